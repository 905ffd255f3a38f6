"""LM120: a running value is logged as an object at each step, where it has no value."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model import hooks
from lintmetrics.model.flow import LightningClass
from lintmetrics.model.held_metrics import held_metrics
from lintmetrics.rule import Consequence, Finding, Rule

_RUNNING = frozenset(("Running", "RunningMean", "RunningSum"))


class UnseenRunningValue(Rule):
    """A running mean or sum, logged as an object at each step.

    The step value of an object is what it keeps of its last call. A ``Running`` metric hands each
    call on and keeps nothing of it: nothing is logged at steps, and nothing says so. What it is
    over its window, only ``compute()`` tells.
    """

    code = "LM120"
    consequence = Consequence.IGNORED
    source = (
        "executed on lightning 2.6.6 with torchmetrics 1.0.3, 1.6.3, 1.8.2 and 1.9.0: no number, "
        "no warning; wrappers/running.py, Running.forward; result.py, _ResultMetric.update"
    )
    bad = """
    import lightning.pytorch as pl
    import torch.nn.functional as F
    from torchmetrics import RunningMean


    class Regressor(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net
            self.smooth_loss = RunningMean(window=20)

        def training_step(self, batch, batch_idx):
            x, y = batch
            loss = F.mse_loss(self.net(x), y)
            self.smooth_loss(loss)
            self.log("smooth_loss", self.smooth_loss)
            return loss
    """
    good = """
    import lightning.pytorch as pl
    import torch.nn.functional as F
    from torchmetrics import RunningMean


    class Regressor(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net
            self.smooth_loss = RunningMean(window=20)

        def training_step(self, batch, batch_idx):
            x, y = batch
            loss = F.mse_loss(self.net(x), y)
            self.smooth_loss(loss)
            self.log("smooth_loss", self.smooth_loss.compute())
            return loss
    """

    def check(self, model: LightningClass) -> Iterator[Finding]:
        """Find running values that are called and logged as objects at steps."""
        if not model.cls.is_lightning:
            return
        for held in held_metrics(model):
            if held.metric.name.rsplit(".", 1)[-1] not in _RUNNING or not held.is_single:
                continue
            if not any(use.operation == "forward" for use in held.uses):
                continue
            for call, way in held.logs:
                if not hooks.is_batch_hook(way.hook) or not way.on_step:
                    continue
                what = "no value at each step" if way.on_epoch else "nothing"
                ways = [other for place, other in held.logs if place is call]
                both = any(other.on_epoch is not False for other in ways)
                yield Finding(
                    call,
                    f"{call.key_in([way])} logs {what}: only self.{held.path}.compute() has the "
                    "running value",
                    help=f"log self.{held.path}.compute()",
                    detail=held,
                    blocked=f"the epoch takes its number from the object, and rightly; log "
                    f"self.{held.path}.compute() at steps under a key of its own"
                    if both
                    else None,
                )
                break
