"""LM405: a key that only one process logs is watched in all of them."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model.monitors import monitors, of_one_process
from lintmetrics.project import Module
from lintmetrics.rule import Consequence, Finding, Rule


class MonitorOfOneProcess(Rule):
    """A watched key that only the first process logs, or that each process logs for itself.

    Checkpoints, early stopping and plateau schedulers look for the key in every process. Where
    only the first one logs it the others raise. Where all of them log it with
    ``rank_zero_only=True`` nothing is synchronised, and each watches a number of its own.
    """

    code = "LM405"
    consequence = Consequence.CRASH
    source = (
        "executed on lightning 2.6.6 with 2 processes: RuntimeError of EarlyStopping and "
        "MisconfigurationException of ModelCheckpoint in the second; with rank_zero_only=True in "
        "both, 6.5 in the one and 8.5 in the other"
    )
    bad = """
    import lightning.pytorch as pl
    import torch.nn.functional as F
    from lightning.pytorch.callbacks import EarlyStopping


    class Regressor(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def validation_step(self, batch, batch_idx):
            x, y = batch
            loss = F.mse_loss(self.net(x), y)
            if self.trainer.is_global_zero:
                self.log("val_loss", loss, rank_zero_only=True)

        def configure_callbacks(self):
            return [EarlyStopping(monitor="val_loss")]
    """
    good = """
    import lightning.pytorch as pl
    import torch.nn.functional as F
    from lightning.pytorch.callbacks import EarlyStopping


    class Regressor(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def validation_step(self, batch, batch_idx):
            x, y = batch
            loss = F.mse_loss(self.net(x), y)
            self.log("val_loss", loss, sync_dist=True)

        def configure_callbacks(self):
            return [EarlyStopping(monitor="val_loss")]
    """

    def check(self, module: Module) -> Iterator[Finding]:
        """Find watched keys that no process logs for all."""
        for monitor in monitors(module):
            how = of_one_process(monitor)
            if how:
                is_alone = how == "alone"
                yield Finding(
                    monitor,
                    f'{monitor.kind} watches "{monitor.key}" in every process, and '
                    + (
                        "only the first one logs it"
                        if is_alone
                        else "each process has a number of its own: rank_zero_only=True"
                    ),
                    help=f'log "{monitor.key}" in all processes, with sync_dist=True',
                    node=monitor.key_node,
                    consequence=None if is_alone else Consequence.WRONG_NUMBER,
                )
