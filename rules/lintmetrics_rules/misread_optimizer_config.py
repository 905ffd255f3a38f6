"""LM410: optimizers and schedulers returned in a form that Lightning refuses or reads in part."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model.optimizer_configs import misread_configs
from lintmetrics.project import ClassInfo
from lintmetrics.rule import Consequence, Finding, Rule


class MisreadOptimizerConfig(Rule):
    """What ``configure_optimizers`` returns, in a form that Lightning refuses or reads in part.

    A ``ReduceLROnPlateau`` without ``monitor``, a dict of a scheduler without ``scheduler`` or with
    another ``interval`` than step and epoch, an optimizer and a scheduler side by side: each raises
    when the training begins. A key that Lightning does not know, such as ``interval`` beside
    ``optimizer``, is left out with a warning, and the learning rate follows the default.
    """

    code = "LM410"
    consequence = Consequence.CRASH
    source = (
        "each form run on pytorch-lightning 1.5.10, 1.9.5 and lightning 2.6.6; core/optimizer.py"
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
            loss = self.net(batch).mean()
            self.log("loss", loss, on_step=False, on_epoch=True)
            return loss

        def configure_optimizers(self):
            optimizer = torch.optim.Adam(self.net.parameters())
            scheduler = {"scheduler": ReduceLROnPlateau(optimizer)}
            return {"optimizer": optimizer, "lr_scheduler": scheduler, "monitor": "loss"}
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
            loss = self.net(batch).mean()
            self.log("loss", loss, on_step=False, on_epoch=True)
            return loss

        def configure_optimizers(self):
            optimizer = torch.optim.Adam(self.net.parameters())
            scheduler = {"scheduler": ReduceLROnPlateau(optimizer), "monitor": "loss"}
            return {"optimizer": optimizer, "lr_scheduler": scheduler}
    """

    def check(self, cls: ClassInfo) -> Iterator[Finding]:
        """Find what a module returns and Lightning does not take as it is."""
        for found in misread_configs(cls):
            yield Finding(found, found.message, help=found.help, consequence=found.consequence)
