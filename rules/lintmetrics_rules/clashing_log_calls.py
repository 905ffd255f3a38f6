"""LM604: keys that one hook logs in two ways."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model.flow import LightningClass
from lintmetrics.model.log_clashes import clashes, doubles, loader_clashes
from lintmetrics.rule import Consequence, Finding, Rule


class ClashingLogCalls(Rule):
    """A key that one hook logs twice with different arguments.

    What a hook logs under a key is one series. A second log call of that key in the hook has to
    give the same ``on_step``, ``on_epoch``, ``prog_bar``, ``logger`` and ``reduce_fx``, and the
    same Metric object; else Lightning raises. With the same arguments two numbers become one: their
    mean over the epoch, or the later one at a step. The loaders of an evaluation are told apart by
    what Lightning adds to the key: with ``add_dataloader_idx=False`` the key has to say which is
    meant, and without it no key may hold ``/dataloader_idx_``.
    """

    code = "LM604"
    consequence = Consequence.CRASH
    since = "lightning 1.4"
    source = (
        "logger_connector/result.py of lightning 1.4.9 to 2.6.6, run on both: "
        "MisconfigurationException"
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
            loss = F.mse_loss(self.net(x), y)
            self.log("val_loss", loss)
            self.log("val_loss", loss, prog_bar=True, logger=False)
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
            loss = F.mse_loss(self.net(x), y)
            self.log("val_loss", loss, prog_bar=True)
    """

    def check(self, model: LightningClass) -> Iterator[Finding]:
        """Find keys whose second log call raises."""
        for clash in clashes(model):
            where = (
                f"line {clash.first.node.lineno}"
                if clash.first.module is clash.call.module
                else f"{clash.first.module.source.path}:{clash.first.node.lineno}"
            )
            yield Finding(
                clash.call,
                f'"{clash.key}" is logged twice in {clash.hook} with different {clash.what}, '
                f"first at {where}",
                help="log it once, or under two keys",
                blocked="which of the two is meant is for you to say",
            )
        for double in doubles(model):
            yield Finding(
                double.call,
                f'"{double.key}" is given two numbers in {double.hook}, and {double.what} logged: '
                f"the other is of line {double.first.node.lineno}",
                help="log each under a key of its own",
                consequence=Consequence.WRONG_NUMBER,
                blocked="which of the two is meant is for you to say",
            )
        for call, message, hint in loader_clashes(model):
            yield Finding(call, message, help=hint, blocked=hint)
