"""LM403: a number of the last training batch decides for the epoch."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lintmetrics.model.monitors import is_last_batch, monitors, ways_of
from lintmetrics.project import Module
from lintmetrics.rule import Consequence, Finding, Rule

# Counters and running values are what they are, whatever the batch; other loops log by epochs.
_OTHER = re.compile(
    r"(?:^|[_/.\-])(?:val\w*|test|dev|eval\w*|lr|epoch|step|avg|mean|ema|running)(?:$|[_/.\-])"
)


class LastBatchMonitor(Rule):
    """A training number that is watched and logged at steps only.

    In ``training_step``, ``self.log`` logs steps and no epochs by default. What a checkpoint or
    early stopping finds under the key at the end of the epoch is the value of the last batch.
    """

    code = "LM403"
    consequence = Consequence.WRONG_NUMBER
    source = "executed on lightning 2.6.6: 9.0 is compared where the mean of the epoch is 1.9457"
    bad = """
    import lightning.pytorch as pl
    import torch.nn.functional as F
    from lightning.pytorch.callbacks import EarlyStopping


    class Regressor(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def training_step(self, batch, batch_idx):
            x, y = batch
            loss = F.mse_loss(self.net(x), y)
            self.log("train_loss", loss)
            return loss

        def configure_callbacks(self):
            return [EarlyStopping(monitor="train_loss")]
    """
    good = """
    import lightning.pytorch as pl
    import torch.nn.functional as F
    from lightning.pytorch.callbacks import EarlyStopping


    class Regressor(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def training_step(self, batch, batch_idx):
            x, y = batch
            loss = F.mse_loss(self.net(x), y)
            self.log("train_loss", loss, on_step=False, on_epoch=True)
            return loss

        def configure_callbacks(self):
            return [EarlyStopping(monitor="train_loss")]
    """

    def check(self, module: Module) -> Iterator[Finding]:
        """Find watched keys that only training steps log, and not for the epoch."""
        for monitor in monitors(module):
            if _OTHER.search(monitor.key) or monitor.is_for_steps:
                continue
            ways = ways_of(monitor)
            if ways and all(is_last_batch(way) for way in ways):
                yield Finding(
                    monitor,
                    f'{monitor.kind} watches "{monitor.key}" of the last batch: {ways[0].hook} '
                    "logs it at steps only",
                    help=f'log "{monitor.key}" with on_epoch=True',
                    node=monitor.key_node,
                )
