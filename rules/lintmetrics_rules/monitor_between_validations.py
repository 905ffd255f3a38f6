"""LM411: a key of validation that is asked for before any validation has run."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model.monitor_times import early_monitors
from lintmetrics.project import Module
from lintmetrics.rule import Consequence, Finding, Rule


class MonitorBetweenValidations(Rule):
    """A scheduler or early stopping that asks for a number before validation has logged it.

    A ``ReduceLROnPlateau`` is stepped after each epoch, or each step. Where the Trainer validates
    every second epoch, a key of validation is not there after the first one, and Lightning raises;
    what the sanity check logged does not count.

    Found where validation alone logs the key, and each Trainer that may fit the module says how
    often it validates.
    """

    code = "LM411"
    consequence = Consequence.CRASH
    source = (
        "executed on pytorch-lightning 1.5.10, 1.9.5 and lightning 2.6.6: of the scheduler a "
        "MisconfigurationException, of EarlyStopping a RuntimeError"
    )
    bad = """
    import lightning.pytorch as pl
    import torch
    from torch.optim.lr_scheduler import ReduceLROnPlateau


    class Regressor(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def training_step(self, batch, batch_idx):
            return self.net(batch).mean()

        def validation_step(self, batch, batch_idx):
            self.log("val_loss", self.net(batch).mean())

        def configure_optimizers(self):
            optimizer = torch.optim.Adam(self.net.parameters())
            scheduler = ReduceLROnPlateau(optimizer)
            return [optimizer], [{"scheduler": scheduler, "monitor": "val_loss"}]


    trainer = pl.Trainer(check_val_every_n_epoch=2)
    """
    good = """
    import lightning.pytorch as pl
    import torch
    from torch.optim.lr_scheduler import ReduceLROnPlateau


    class Regressor(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def training_step(self, batch, batch_idx):
            return self.net(batch).mean()

        def validation_step(self, batch, batch_idx):
            self.log("val_loss", self.net(batch).mean())

        def configure_optimizers(self):
            optimizer = torch.optim.Adam(self.net.parameters())
            scheduler = ReduceLROnPlateau(optimizer)
            return [optimizer], [{"scheduler": scheduler, "monitor": "val_loss", "frequency": 2}]


    trainer = pl.Trainer(check_val_every_n_epoch=2)
    """

    def check(self, module: Module) -> Iterator[Finding]:
        """Find keys that are not there when they are first asked for."""
        for found in early_monitors(module):
            yield Finding(found, found.message, help=found.help)
