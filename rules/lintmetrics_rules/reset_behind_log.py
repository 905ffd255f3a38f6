"""LM126: a Metric object is reset in the step that logs it."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from lintmetrics.model import hooks
from lintmetrics.model.flow import LightningClass
from lintmetrics.model.held_metrics import HeldMetric, held_metrics
from lintmetrics.model.hook_effects import MetricUse
from lintmetrics.rule import Consequence, Finding, Rule


class ResetBehindLog(Rule):
    """A Metric object that is logged for the epoch and reset in each step.

    ``self.log`` keeps the object and computes it when the epoch ends. What a reset in the step
    leaves of the epoch is nothing: the number is that of an empty metric. Lightning itself resets
    a logged object behind the epoch.
    """

    code = "LM126"
    consequence = Consequence.WRONG_NUMBER
    source = (
        "executed on lightning 2.6.6 and torchmetrics 1.9.0: NaN of a MeanMetric, 0.0 of an "
        "Accuracy"
    )
    bad = """
    import lightning.pytorch as pl
    from torchmetrics.classification import BinaryF1Score


    class Classifier(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net
            self.f1 = BinaryF1Score()

        def validation_step(self, batch, batch_idx):
            x, y = batch
            self.f1.update(self.net(x), y)
            self.log("val_f1", self.f1)
            self.f1.reset()
    """
    good = """
    import lightning.pytorch as pl
    from torchmetrics.classification import BinaryF1Score


    class Classifier(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net
            self.f1 = BinaryF1Score()

        def validation_step(self, batch, batch_idx):
            x, y = batch
            self.f1.update(self.net(x), y)
            self.log("val_f1", self.f1)
    """

    def check(self, model: LightningClass) -> Iterator[Finding]:
        """Find resets behind the log call of the same hook."""
        if not model.cls.is_lightning:
            return
        told: set[ast.Call] = set()
        for held in held_metrics(model):
            for reset, key in _resets_of_logged(held):
                if reset.node in told or not held.is_always_told_apart:
                    continue
                told.add(reset.node)
                yield Finding(
                    model,
                    f"{key} is computed when the epoch ends, and self.{held.path} is emptied in "
                    f"each {reset.hook}",
                    help="take the reset out: Lightning resets what it logs when the epoch ends",
                    node=reset.node,
                    module=reset.module,
                    detail=reset,
                    keys=held.keys,
                )


def _resets_of_logged(held: HeldMetric) -> Iterator[tuple[MetricUse, str]]:
    """Yield the resets that every batch comes to, with the key that is logged for the epoch."""
    if not held.is_single:
        return
    for reset in held.uses:
        if reset.operation != "reset" or not hooks.is_batch_hook(reset.hook):
            continue
        statement = reset.module.statement(reset.node)
        if reset.module.parent(statement) is not reset.module.enclosing_function(reset.node):
            continue  # Under a condition, such as the first batch only.
        for call, way in held.logs:
            if way.hook == reset.hook and way.on_epoch is True and way.certain:
                yield reset, call.key_in([way])
                break
