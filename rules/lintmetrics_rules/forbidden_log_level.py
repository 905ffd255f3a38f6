"""LM602: ``on_step`` and ``on_epoch`` as the hook does not allow them."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model.log_calls import LogCall
from lintmetrics.model.log_permissions import refused_levels
from lintmetrics.rule import Consequence, Finding, Rule

_WRONG = {
    "step": "asks for a step value (on_step=True), and {hook} has no steps",
    "epoch": "asks for no epoch value (on_epoch=False), all that {hook} can log",
    "none": "is logged for neither step nor epoch in {hook}",
}


class ForbiddenLogLevel(Rule):
    """Log calls whose ``on_step`` and ``on_epoch`` the hook does not take.

    A hook that runs once for an epoch logs for the epoch: ``on_step=True`` raises there, and so
    does ``on_epoch=False``. A step may log either or both, and raises where neither is left:
    ``on_step=False`` alone in ``training_step``, which logs no epochs by default, and
    ``on_epoch=False`` alone in ``validation_step``, which logs no steps. Up to 1.4 nothing was
    logged there, and nothing said so.
    """

    code = "LM602"
    consequence = Consequence.CRASH
    source = (
        "logger_connector/fx_validator.py and result.py of lightning 1.5.10 to 2.6.6, run on "
        "2.6.6: MisconfigurationException"
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
            self.log("train_loss", loss, on_step=False)
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
            self.log("train_loss", loss, on_step=False, on_epoch=True)
            return loss
    """

    def check(self, call: LogCall) -> Iterator[Finding]:
        """Find log calls that raise for the levels they ask for."""
        refused = refused_levels(call)
        if refused is None:
            return
        way, wrong = refused.ways[0]
        effect = "it raises" if refused.raises else "nothing is logged"
        hint = {
            "step": "leave on_step out",
            "epoch": "leave on_epoch out",
            "none": "say on_epoch=True for the mean of the epoch, or on_step=True for each step",
        }[wrong]
        yield Finding(
            call,
            f"{call.key_in([way])} {_WRONG[wrong].format(hook=way.hook)}: {effect}",
            help=hint,
            consequence=None if refused.raises else Consequence.IGNORED,
        )
