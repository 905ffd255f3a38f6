"""LM127: the best value of a run counts the batches of the sanity check."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from lintmetrics.model import hooks
from lintmetrics.model.flow import LightningClass
from lintmetrics.model.held_metrics import HeldMetric, held_metrics
from lintmetrics.model.hook_effects import MetricUse
from lintmetrics.rule import Consequence, Finding, Rule
from lintmetrics.tree import subtree

_BEST = {"MaxMetric": "largest", "MinMetric": "smallest"}
# Somebody asks for the check, or says how long it is; settings of a Trainer may stand in a file
# beside the code.
_GUARDED = re.compile(
    r"sanity_check|num_sanity_val_steps|\bhydra\b|LightningCLI|OmegaConf|\byaml\b|jsonargparse"
    r"|from_argparse_args|ml_collections|Trainer\([^()]*\*\*"
)
_STARTS = ("on_fit_start", "on_train_start", "on_train_epoch_start", "setup")
_START = re.compile(r"def\s+(?:on_fit_start|on_train_start|on_train_epoch_start|setup)\b")


class BestOfSanityCheck(Rule):
    """The best value of a run, with the sanity check among the epochs.

    Before the training Lightning runs the validation hooks on two batches. What they log is thrown
    away; an object that the module updates itself keeps it. A score of two batches is easily better
    than that of the whole set, and stays the best of the run.
    """

    code = "LM127"
    consequence = Consequence.WRONG_NUMBER
    source = (
        "executed on lightning 2.6.6 and torchmetrics 1.9.0: best 1.0 of the sanity check, where "
        "the best of all epochs is 0.5"
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
            self.val_f1_best.update(self.val_f1.compute())
            self.log("val_f1_best", self.val_f1_best.compute())
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
            self.val_f1_best.update(self.val_f1.compute())
            self.log("val_f1_best", self.val_f1_best.compute())
    """

    def check(self, model: LightningClass) -> Iterator[Finding]:
        """Find best values of validation epochs that nothing ever resets."""
        if not model.cls.is_lightning:
            return
        for held in held_metrics(model):
            which = _BEST.get(held.metric.name.rsplit(".", 1)[-1])
            if which is None or not _is_of_validations(held):
                continue
            if model.module.project.mentioning(_GUARDED) or _is_reset_by_callback(model):
                return
            yield Finding(
                model,
                f"self.{held.path} keeps the {which} value of the run, and the sanity check "
                "before the training counts as an epoch",
                help=f"call self.{held.path}.reset() in on_train_start",
                node=held.node,
                module=held.module,
                detail=held,
                keys=held.keys,
            )


def _is_of_validations(held: HeldMetric) -> bool:
    """Tell whether an object gathers a value for each validation, and gives what it computes."""
    feeds = [use for use in held.uses if use.operation in ("update", "forward")]
    if not feeds or not held.is_single or not held.is_always_told_apart or held.logs:
        return False
    if not all(use.hook.endswith("_epoch_end") for use in feeds):
        return False  # Of the batches of an epoch, the best is one for each epoch.
    if not all(hooks.stage_of(use.hook) == "val" and _is_always(use) for use in feeds):
        return False
    return not held.resets and held.is_followed and bool(held.epoch_computes)


def _is_always(use: MetricUse) -> bool:
    """Tell whether a hook comes to a call whatever is the case."""
    function = use.module.enclosing_function(use.node)
    statement = use.module.statement(use.node)
    if (
        function is None
        or function.name != use.hook
        or use.module.parent(statement) is not function
    ):
        return False
    return not any(
        isinstance(node, (ast.Return, ast.Raise)) and node.lineno < statement.lineno
        for node in subtree(function)
    )


def _is_reset_by_callback(model: LightningClass) -> bool:
    """Tell whether a callback resets objects when the training begins."""
    return any(
        isinstance(node, ast.Attribute) and node.attr.startswith("reset")
        for module in model.module.project.mentioning(_START)
        for cls in module.classes
        if cls.is_kind("Callback") and not cls.is_lightning
        for name in _STARTS
        if name in cls.methods
        for node in subtree(cls.methods[name])
    )
