"""LM605: a number under a key that Lightning uses for itself."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model.log_calls import LogCall
from lintmetrics.model.row_keys import taken
from lintmetrics.rule import Consequence, Finding, Rule


class TakenLogKey(Rule):
    """Numbers logged as ``step`` or ``epoch``, which place a row and are no numbers of it.

    A number with the key ``step`` is taken out of its row and becomes the row's place on the axis,
    for all that is logged beside it; one with the key ``epoch`` stands where Lightning writes the
    epoch. Counting epochs or steps in one's own way is what people do with that, and is left alone;
    a loss, a metric or the number of the batch puts every row in a wrong place.
    """

    code = "LM605"
    consequence = Consequence.WRONG_NUMBER
    source = (
        "lightning 2.6.6, logger_connector/logger_connector.py, log_metrics; measured: the row of "
        'log("step", 100.0) stands at step 100'
    )
    bad = """
    import lightning.pytorch as pl
    import torch.nn.functional as F


    class Regressor(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def training_step(self, batch, batch_idx):
            x, y = batch
            loss = F.mse_loss(self.net(x), y)
            self.log("loss", loss)
            self.log("step", batch_idx)
            return loss
    """
    good = """
    import lightning.pytorch as pl
    import torch.nn.functional as F


    class Regressor(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def training_step(self, batch, batch_idx):
            x, y = batch
            loss = F.mse_loss(self.net(x), y)
            self.log("loss", loss)
            self.log("batch", batch_idx)
            return loss
    """

    def check(self, call: LogCall) -> Iterator[Finding]:
        """Find values that Lightning takes for the place of a row."""
        found = taken(call)
        if found is None:
            return
        way, what = found
        effect = "the place of its row" if way.key == "step" else "the epoch of its row"
        yield Finding(
            call,
            f'"{way.key}" is {what}, and Lightning takes it for {effect} in every logger',
            help="log it under another key",
            blocked="choose another key; what reads the old one has to change with it",
        )
