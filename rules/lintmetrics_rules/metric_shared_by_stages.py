"""LM105: one Metric object gathers in training and in validation."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model import hooks
from lintmetrics.model.flow import LightningClass
from lintmetrics.model.held_metrics import HeldMetric, held_metrics, own_name
from lintmetrics.rule import Consequence, Finding, Rule

_BEFORE_VALIDATION = frozenset(("on_validation_start", "on_validation_epoch_start"))


class MetricSharedByStages(Rule):
    """One Metric object that gathers in training and in validation.

    Validation runs inside the training epoch. What it computes from an object that the training
    steps fed as well counts the training batches; and when Lightning resets the object behind
    validation, nothing of the training epoch is left to compute.
    """

    code = "LM105"
    consequence = Consequence.WRONG_NUMBER
    source = (
        "executed on lightning 2.6.6 and torchmetrics 1.9.0: validation .5, training NaN, where "
        "the stages have 1 and 0"
    )
    bad = """
    import lightning.pytorch as pl
    import torch.nn.functional as F
    from torchmetrics.classification import BinaryF1Score


    class Classifier(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net
            self.f1 = BinaryF1Score()

        def training_step(self, batch, batch_idx):
            x, y = batch
            scores = self.net(x)
            self.f1(scores, y)
            self.log("train_f1", self.f1, on_step=False, on_epoch=True)
            return F.binary_cross_entropy(scores, y.float())

        def validation_step(self, batch, batch_idx):
            x, y = batch
            self.f1(self.net(x), y)
            self.log("val_f1", self.f1)
    """
    good = """
    import lightning.pytorch as pl
    import torch.nn.functional as F
    from torchmetrics.classification import BinaryF1Score


    class Classifier(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net
            self.f1 = BinaryF1Score()
            self.val_f1 = self.f1.clone()

        def training_step(self, batch, batch_idx):
            x, y = batch
            scores = self.net(x)
            self.f1(scores, y)
            self.log("train_f1", self.f1, on_step=False, on_epoch=True)
            return F.binary_cross_entropy(scores, y.float())

        def validation_step(self, batch, batch_idx):
            x, y = batch
            self.val_f1(self.net(x), y)
            self.log("val_f1", self.val_f1)
    """

    def check(self, model: LightningClass) -> Iterator[Finding]:
        """Find objects that both loops feed, where one of them reads what was gathered."""
        if not model.cls.is_lightning:
            return
        for held in held_metrics(model):
            train, val = held.feeds("train"), held.feeds("val")
            if not train or not val or not held.is_single or not held.is_always_told_apart:
                continue
            what = _what_is_mixed(held)
            if what:
                yield Finding(
                    model,
                    f"self.{held.path} gathers in {train[0].hook} and in {val[0].hook}: {what}",
                    help="give each stage an object of its own, such as "
                    f"self.{own_name(held, 'val')} = self.{held.path}.clone()",
                    node=held.node,
                    module=held.module,
                    detail=held,
                    keys=held.keys,
                )


def _what_is_mixed(held: HeldMetric) -> str:
    """Return which numbers are of both loops; empty when neither reads what was gathered."""
    if held.speaks_of_whole_run or held.model.is_reassigned(held.attribute):
        return ""
    reads = [
        (hooks.stage_of(use.hook), f"what {use.hook} computes")
        for use in held.uses
        if use.operation == "compute" and use.hook.endswith("_epoch_end")
    ]
    reads += [(way.stage, call.key_in([way])) for call, way in held.logs if way.on_epoch]
    resets = {reset.where for reset in held.resets if not reset.is_dead}
    if "" in resets:
        return ""  # Whoever resets it from outside may do so in between.
    clean_before = resets & _BEFORE_VALIDATION or any(
        hooks.is_batch_hook(name) and hooks.stage_of(name) in ("train", "val") for name in resets
    )
    of_val = [what for stage, what in reads if stage == "val"]
    if of_val and not clean_before:
        return f"{of_val[0]} counts training batches too"
    of_train = [what for stage, what in reads if stage == "train"]
    if of_train and not any(hooks.is_batch_hook(name) for name in resets):
        return f"{of_train[0]} is of what validation leaves of the epoch"
    return ""
