"""LM507: an argument by position that is another parameter today."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model.shifted_positions import shifted_positions
from lintmetrics.project import Module
from lintmetrics.rule import Consequence, Finding, Rule


class ShiftedLightningArgument(Rule):
    """Arguments by position that Lightning reads as another parameter than they were written for.

    ``ModelCheckpoint("best", "val_loss")`` watched the loss; today it names the file after it, and
    watches nothing. Found where the value itself tells what it was meant for: a key that the
    project logs, an address, a switch.
    """

    code = "LM507"
    consequence = Consequence.IGNORED
    since = "lightning 2.0"
    source = (
        "the parameters of pytorch-lightning 1.0.8 to 1.9.5 and of lightning 2.6.6, introspected"
    )
    bad = """
    import lightning.pytorch as pl
    import torch.nn.functional as F


    class Regressor(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def validation_step(self, batch, batch_idx):
            x, y = batch
            self.log("val_loss", F.mse_loss(self.net(x), y))


    best = pl.callbacks.ModelCheckpoint("checkpoints", "val_loss")
    """
    good = """
    import lightning.pytorch as pl
    import torch.nn.functional as F


    class Regressor(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def validation_step(self, batch, batch_idx):
            x, y = batch
            self.log("val_loss", F.mse_loss(self.net(x), y))


    best = pl.callbacks.ModelCheckpoint("checkpoints", monitor="val_loss")
    """

    def check(self, module: Module) -> Iterator[Finding]:
        """Find values that only fit what they once were."""
        for shifted in shifted_positions(module):
            row = shifted.row
            yield Finding(
                shifted,
                f"{row.owner}: {row.text}",
                help=f"name it, where it is that: {row.old}=...",
                consequence=Consequence(row.consequence),
            )
