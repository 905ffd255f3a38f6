"""LM120: a running value is logged as an object, which shows that of the batch alone."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model import hooks
from lintmetrics.model.flow import LightningClass
from lintmetrics.model.held_metrics import held_metrics
from lintmetrics.rule import Consequence, Finding, Rule

_RUNNING = frozenset(("Running", "RunningMean", "RunningSum"))


class RunningValueOfBatch(Rule):
    """A running mean or sum, logged as an object at each step.

    At a step, Lightning logs what the last call of an object answered. A ``Running`` metric answers
    with the value of that batch alone; what it is over its window, only ``compute()`` tells.
    """

    code = "LM120"
    consequence = Consequence.WRONG_NUMBER
    source = "torchmetrics 1.9.0, wrappers/running.py, Running.forward; lightning 2.6.6, result.py"
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
                if hooks.is_batch_hook(way.hook) and way.on_step:
                    yield Finding(
                        call,
                        f"{call.key_in([way])} is the value of each batch, not the running one "
                        f"that self.{held.path} keeps",
                        help=f"log self.{held.path}.compute()",
                        detail=held,
                    )
                    break
