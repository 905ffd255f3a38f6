"""LM304: a metric takes an argument and does something else with it than it seems."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model.misread_arguments import misreadings
from lintmetrics.project import Module
from lintmetrics.rule import Consequence, Finding, Rule


class MisreadMetricArgument(Rule):
    """Metric calls that run on 1.9 and answer another number than they say.

    ``task="binary"`` makes the dispatchers ignore ``average`` without a word, a positional number
    may have become another parameter, and the shim ``torchmetrics.PeakSignalNoiseRatio`` still has
    a default range, 3.0, that no image has. A MetricTracker with one ``maximize`` for all takes the
    worst for the best where the directions differ; ``BERTScore`` compares sentences of different
    pairs in every release. Most of it raises nothing; the number is just another one.
    """

    code = "LM304"
    consequence = Consequence.WRONG_NUMBER
    since = "torchmetrics 1.0"
    source = (
        "run: torchmetrics 1.9.0 (PSNR of 20.0 dB reported as 29.6 dB; F1 0.033 apart; an IoU with "
        "absent classes 0.02 and 0.63)"
    )
    bad = """
    from torchmetrics import F1Score

    f1 = F1Score(task="binary", average="macro")
    """
    good = """
    from torchmetrics import F1Score

    f1 = F1Score(task="multiclass", num_classes=2, average="macro")
    """

    def check(self, module: Module) -> Iterator[Finding]:
        """Find arguments that are ignored or misread."""
        for found in misreadings(module):
            yield Finding(
                found.subject,
                found.message,
                help=found.help,
                node=found.node,
                detail=found.call,
                consequence=found.consequence,
                blocked=found.blocked,
            )
