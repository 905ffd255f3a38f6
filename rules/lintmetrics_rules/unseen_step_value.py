"""LM109: an object that is only updated is logged at each step, where it has no value."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model import hooks
from lintmetrics.model.flow import LightningClass
from lintmetrics.model.held_metrics import held_metrics
from lintmetrics.rule import Consequence, Finding, Rule


class UnseenStepValue(Rule):
    """A Metric object that is updated and logged at each step.

    The step value of an object is what its last call answered; ``update()`` answers nothing. In
    ``training_step``, where ``self.log`` logs steps and no epochs by default, nothing is logged at
    all, and nothing says so.
    """

    code = "LM109"
    consequence = Consequence.IGNORED
    source = (
        "executed on lightning 2.6.6: no row in any logger, no warning; "
        "logger_connector/result.py, _ResultCollection.metrics; torchmetrics 1.9.0, Metric.update"
    )
    bad = """
    import lightning.pytorch as pl
    import torch.nn.functional as F
    from torchmetrics.classification import BinaryF1Score


    class Classifier(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net
            self.train_f1 = BinaryF1Score()

        def training_step(self, batch, batch_idx):
            x, y = batch
            scores = self.net(x)
            self.train_f1.update(scores, y)
            self.log("train_f1", self.train_f1)
            return F.binary_cross_entropy(scores, y.float())
    """
    good = """
    import lightning.pytorch as pl
    import torch.nn.functional as F
    from torchmetrics.classification import BinaryF1Score


    class Classifier(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net
            self.train_f1 = BinaryF1Score()

        def training_step(self, batch, batch_idx):
            x, y = batch
            scores = self.net(x)
            self.train_f1(scores, y)
            self.log("train_f1", self.train_f1)
            return F.binary_cross_entropy(scores, y.float())
    """

    def check(self, model: LightningClass) -> Iterator[Finding]:
        """Find step values of objects that a batch hook updates and never calls."""
        if not model.cls.is_lightning:
            return
        for held in held_metrics(model):
            called = {use.hook for use in held.uses if use.operation == "forward"}
            for call, way in held.logs:
                if not way.on_step or way.on_epoch is None or way.hook in called:
                    continue
                if not hooks.is_batch_hook(way.hook) or not held.is_always_told_apart:
                    continue
                updates = [
                    use for use in held.uses if use.operation == "update" and use.hook == way.hook
                ]
                if not updates or not held.is_followed:
                    continue
                what = "no value at each step" if way.on_epoch else "nothing"
                yield Finding(
                    call,
                    f"{call.key_in([way])} logs {what}: self.{held.path} is only updated in "
                    f"{way.hook}, and update() answers nothing",
                    help=f"call it, self.{held.path}(...), in place of its update(), or log it "
                    "with on_step=False, on_epoch=True",
                    detail=(held, tuple(updates)),
                )
                break
