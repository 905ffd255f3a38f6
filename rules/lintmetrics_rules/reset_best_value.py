"""LM110: the best value so far is logged as an object, which Lightning resets each epoch."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model import hooks
from lintmetrics.model.flow import LightningClass
from lintmetrics.model.held_metrics import held_metrics
from lintmetrics.rule import Consequence, Finding, Rule

_BEST = {"MaxMetric": "largest", "MinMetric": "smallest"}


class ResetBestValue(Rule):
    """The best value of a run, logged as an object.

    A ``MaxMetric`` or ``MinMetric`` that is given one value for each epoch knows the best of the
    run. Logged as an object, it is reset behind each epoch, and shows the epoch's own value.
    """

    code = "LM110"
    consequence = Consequence.WRONG_NUMBER
    source = (
        "executed on lightning 2.6.6 and torchmetrics 1.9.0: 1.0, .5, .333 where the best stays "
        "1.0; logger_connector/result.py, _ResultMetric.reset"
    )
    bad = """
    import lightning.pytorch as pl
    from torchmetrics import MaxMetric
    from torchmetrics.classification import BinaryF1Score


    class Classifier(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net
            self.val_f1 = BinaryF1Score()
            self.val_f1_best = MaxMetric()

        def validation_step(self, batch, batch_idx):
            x, y = batch
            self.val_f1.update(self.net(x), y)
            self.log("val_f1", self.val_f1)

        def on_validation_epoch_end(self):
            self.val_f1_best(self.val_f1.compute())
            self.log("val_f1_best", self.val_f1_best)
    """
    good = """
    import lightning.pytorch as pl
    from torchmetrics import MaxMetric
    from torchmetrics.classification import BinaryF1Score


    class Classifier(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net
            self.val_f1 = BinaryF1Score()
            self.val_f1_best = MaxMetric()

        def on_train_start(self):
            self.val_f1_best.reset()

        def validation_step(self, batch, batch_idx):
            x, y = batch
            self.val_f1.update(self.net(x), y)
            self.log("val_f1", self.val_f1)

        def on_validation_epoch_end(self):
            self.val_f1_best(self.val_f1.compute())
            self.log("val_f1_best", self.val_f1_best.compute())
    """

    def check(self, model: LightningClass) -> Iterator[Finding]:
        """Find best values that are given a value for each epoch and logged as objects."""
        if not model.cls.is_lightning:
            return
        for held in held_metrics(model):
            which = _BEST.get(held.metric.name.rsplit(".", 1)[-1])
            feeds = [use for use in held.uses if use.operation in ("update", "forward")]
            if which is None or not feeds or not held.is_always_told_apart:
                continue
            if not all(use.hook.endswith("_epoch_end") for use in feeds):
                continue  # Of the batches of an epoch, the best is one for each epoch.
            for call, way in held.logs:
                if hooks.is_batch_hook(way.hook):
                    continue
                yield Finding(
                    call,
                    f"{call.key_in([way])} is the value of the epoch, not the {which} so far: "
                    f"Lightning resets self.{held.path} when it logs it",
                    help=f"log self.{held.path}.compute(), and reset it in on_train_start",
                    detail=held,
                )
                break
