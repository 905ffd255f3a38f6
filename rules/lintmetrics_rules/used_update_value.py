"""LM323: what ``update`` of a Metric answers is used, and it is ``None``."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model.flow import LightningClass
from lintmetrics.model.used_updates import used_updates
from lintmetrics.rule import Consequence, Finding, Rule


class UsedUpdateValue(Rule):
    """Code that goes on with what ``update`` of a Metric answers.

    ``Metric`` wraps ``update`` and drops what it returns, also that of a custom class. The value
    of a batch is what calling the object gives.
    """

    code = "LM323"
    consequence = Consequence.CRASH
    source = (
        "executed on torchmetrics 1.9.0 and lightning 2.6.6: update() answers None, and self.log "
        "raises a ValueError for it"
    )
    bad = """
    import lightning.pytorch as pl
    from torchmetrics.regression import MeanAbsoluteError


    class Regressor(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net
            self.val_mae = MeanAbsoluteError()

        def validation_step(self, batch, batch_idx):
            x, y = batch
            self.log("val_mae", self.val_mae.update(self.net(x), y))
    """
    good = """
    import lightning.pytorch as pl
    from torchmetrics.regression import MeanAbsoluteError


    class Regressor(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net
            self.val_mae = MeanAbsoluteError()

        def validation_step(self, batch, batch_idx):
            x, y = batch
            self.val_mae.update(self.net(x), y)
            self.log("val_mae", self.val_mae)
    """

    def check(self, model: LightningClass) -> Iterator[Finding]:
        """Find updates whose answer is logged, reckoned with or handed on."""
        if not model.cls.is_lightning:
            return
        for held, use in used_updates(model):
            yield Finding(
                model,
                f"self.{held.path}.update() answers None, and the code goes on with it",
                help=f"call self.{held.path}(...) for the value of the batch, or log the object",
                node=use.node,
                module=use.module,
                blocked="whether the value of the batch or that of the epoch is meant is for a "
                "person to say",
            )
