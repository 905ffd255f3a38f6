"""LM131: a Metric object is asked for another type, and keeps its own."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model.type_changes import type_changes
from lintmetrics.project import Module
from lintmetrics.rule import Consequence, Finding, Rule


class IgnoredTypeChange(Rule):
    """Metric objects that are asked for another type by ``double()`` or ``half()``.

    These do nothing to a Metric object, so that a module can be cast without its metrics. What is
    summed up in single precision stays so, and a mean of many values loses its last digits.
    ``set_dtype`` changes the states.
    """

    code = "LM131"
    consequence = Consequence.IGNORED
    since = "torchmetrics 0.6"
    source = (
        "executed on torchmetrics 1.9.0: states stay float32; the mean of 200,000 values near 1000 "
        "is 1000.494, and 1000.500 with set_dtype; metric.py, double, half, type"
    )
    bad = """
    import torch
    from torchmetrics import MeanMetric

    mean = MeanMetric().double()
    """
    good = """
    import torch
    from torchmetrics import MeanMetric

    mean = MeanMetric().set_dtype(torch.float64)
    """

    def check(self, module: Module) -> Iterator[Finding]:
        """Find calls that a Metric object ignores."""
        for change in type_changes(module):
            yield Finding(
                change,
                f"{change.method}() leaves the states of {change.name} as they are",
                help=f"say .set_dtype({change.wanted}), or drop the call",
                blocked="drop the call to keep today's number, or say "
                f".set_dtype({change.wanted}) for the type that it asks for",
            )
