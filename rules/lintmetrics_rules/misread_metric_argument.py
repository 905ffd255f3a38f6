"""LM304: a metric takes an argument and does something else with it than it seems."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from lintmetrics.model.metric_api import MetricCall, read
from lintmetrics.project import CallSite
from lintmetrics.rule import Consequence, Finding, Rule

_RANGE_SHIMS = frozenset(
    (
        "torchmetrics.PeakSignalNoiseRatio",
        "torchmetrics.functional.peak_signal_noise_ratio",
    )
)


class MisreadMetricArgument(Rule):
    """Metric calls that run on 1.9 and answer another number than they say.

    ``task="binary"`` makes the dispatchers ignore ``average`` without a word, a positional number
    may have become another parameter, and the shim ``torchmetrics.PeakSignalNoiseRatio`` still has
    a default range, 3.0, that no image has. Nothing raises; the number is just another one.
    """

    code = "LM304"
    consequence = Consequence.WRONG_NUMBER
    source = "run: torchmetrics 1.9.0 (PSNR of 20.0 dB reported as 29.6 dB; F1 0.033 apart)"
    bad = """
    from torchmetrics import F1Score

    f1 = F1Score(task="binary", average="macro")
    """
    good = """
    from torchmetrics import F1Score

    f1 = F1Score(task="multiclass", num_classes=2, average="macro")
    """

    def check(self, site: CallSite) -> Iterator[Finding]:
        """Find arguments that are ignored or misread."""
        call = read(site.module, site.node, site.name)
        if call is None:
            return
        average = call.literal("average")
        if call.literal("task") == "binary" and average in ("macro", "weighted"):
            yield Finding(
                site,
                f'{call.short} ignores average="{average}" with task="binary": '
                "only the positive class is scored",
                help='drop average, or say task="multiclass", num_classes=2 to average two classes',
                node=_node(call, "average"),
                detail=call,
                blocked="drop average to keep today's number, or say task='multiclass', "
                "num_classes=2 (and feed class labels) to average over both classes",
            )
        if call.name in _RANGE_SHIMS and not _gives_range(call):
            yield Finding(
                site,
                f"{call.short} without data_range assumes a range of 3.0",
                help="say data_range=, 1.0 for images in [0, 1], 255 for 8-bit images",
                detail=call,
                blocked="only the range of the images says data_range: 1.0 for [0, 1], "
                "2.0 for [-1, 1], 255 for 8-bit",
            )
        for argument, row in call.misread:
            yield Finding(
                site,
                f"{call.short} reads {ast.unparse(argument.value)} as {argument.parameter}",
                help=row.text,
                node=argument.node,
                detail=call,
                blocked=None if row.fixable else f"{row.text}; name the argument or drop it",
            )


def _node(call: MetricCall, parameter: str) -> ast.AST | None:
    argument = call.argument(parameter)
    return None if argument is None else argument.node


def _gives_range(call: MetricCall) -> bool:
    unpacked = any(keyword.arg is None for keyword in call.node.keywords)
    return unpacked or call.argument("data_range") is not None
