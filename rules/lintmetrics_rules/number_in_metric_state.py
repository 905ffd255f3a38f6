"""LM320: a tensor state is given a number of Python."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model.metric_classes import MetricClass
from lintmetrics.model.state_values import is_number
from lintmetrics.project import ClassInfo
from lintmetrics.rule import Consequence, Finding, Rule


class NumberInMetricState(Rule):
    """States that ``update`` or ``compute`` replaces with a number of Python.

    A state is a tensor as long as it lives: it is copied, moved to a device and sent to other
    processes. Where ``.item()`` or ``float()`` leaves a number in its place, the next call,
    ``reset()`` or ``.to()`` raises.
    """

    code = "LM320"
    consequence = Consequence.CRASH
    source = (
        "executed on torchmetrics 1.9.0: reset(): AttributeError: 'float' object has no attribute "
        "'device'; calling the object, and compute() in two processes: TypeError: 'float' object "
        "is not iterable"
    )
    bad = """
    import torch
    from torchmetrics import Metric


    class Peak(Metric):
        def __init__(self):
            super().__init__()
            self.add_state("peak", default=torch.tensor(0.0), dist_reduce_fx="max")

        def update(self, values):
            self.peak = max(float(self.peak), values.max().item())

        def compute(self):
            return self.peak
    """
    good = """
    import torch
    from torchmetrics import Metric


    class Peak(Metric):
        def __init__(self):
            super().__init__()
            self.add_state("peak", default=torch.tensor(0.0), dist_reduce_fx="max")

        def update(self, values):
            self.peak = self.peak.new_tensor(max(float(self.peak), values.max().item()))

        def compute(self):
            return self.peak
    """

    def check(self, cls: ClassInfo) -> Iterator[Finding]:
        """Find assignments of numbers to tensor states."""
        metric = MetricClass.of(cls)
        if metric is None:
            return
        for change in (*metric.update_changes, *metric.compute_changes):
            state = metric.state(change.attribute)
            if state is None or state.kind != "tensor" or change.method.cls is not cls:
                continue
            # What update adds to a number behind it may be a tensor again.
            if change in metric.update_changes and not all(
                is_number(other) for other in metric.changed(state.name)
            ):
                continue
            if is_number(change):
                yield Finding(
                    cls,
                    f"self.{state.name} of {cls.node.name} becomes a number, and the next reset() "
                    "or call raises",
                    help=f"keep it a tensor: self.{state.name}.new_tensor(...)",
                    node=change.node,
                    detail=change,
                )
