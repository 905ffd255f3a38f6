"""LM121: a score is asked for in a form in which it is the accuracy."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model.metric_references import metric_calls, site_of
from lintmetrics.model.micro_averages import is_accuracy
from lintmetrics.project import Module
from lintmetrics.rule import Consequence, Finding, Rule


class MicroAverageIsAccuracy(Rule):
    """Precision, recall or F1 of several classes with the micro average, which is the accuracy.

    When each sample has one class and gets one prediction, every wrong prediction is one false
    positive and one false negative. Over all classes together, precision, recall and F1 are then
    the same number, the accuracy. ``task="multiclass"`` takes that average unless it is told
    another.
    """

    code = "LM121"
    consequence = Consequence.WRONG_NUMBER
    source = (
        "measured on torchmetrics 1.9.0: F1 .4466, precision .4466, recall .4466 and accuracy "
        ".4466, where the macro F1 is .4420"
    )
    bad = """
    from torchmetrics import F1Score

    f1 = F1Score(task="multiclass", num_classes=5)
    """
    good = """
    from torchmetrics import F1Score

    f1 = F1Score(task="multiclass", num_classes=5, average="macro")
    """

    def check(self, module: Module) -> Iterator[Finding]:
        """Find scores of several classes that are averaged over samples."""
        for call in metric_calls(module):
            how = is_accuracy(call)
            # precision_recall answers two numbers, and is written as two calls today.
            both = ("precision", "recall") if call.short == "precision_recall" else (call.short,)
            for name in both if how else ():
                yield Finding(
                    site_of(call),
                    f"{name} {how} is the accuracy under another name",
                    help='say average="macro" for the mean over classes, or drop it',
                    blocked='which number is meant is yours to say: average="macro" is the mean '
                    'over the classes, average="weighted" weighs them by their samples',
                )
