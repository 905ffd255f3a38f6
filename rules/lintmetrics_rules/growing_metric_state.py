"""LM312: a custom metric's tensor state grows by concatenation."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model.metric_classes import MetricClass
from lintmetrics.project import ClassInfo
from lintmetrics.rule import Consequence, Finding, Rule


class GrowingMetricState(Rule):
    """Tensor states that ``update`` makes longer with ``torch.cat``.

    Every batch copies all batches before it, so an epoch costs the square of its length. Between
    processes a tensor state is stacked, not joined: parts of another length raise, and parts of
    one length come out with a dimension more. A list state is appended to, and joined once.
    """

    code = "LM312"
    consequence = Consequence.SLOW
    source = (
        "executed on torchmetrics 1.9.0, in two processes: a state of 4 and 4 values is (2, 4) in "
        "compute(), one of 5 and 4 values raises `stack expects each tensor to be equal size`"
    )
    bad = """
    import torch
    from torchmetrics import Metric


    class MedianError(Metric):
        def __init__(self):
            super().__init__()
            self.add_state("errors", default=torch.tensor([]), dist_reduce_fx="cat")

        def update(self, preds, target):
            errors = (preds - target).abs().float()
            self.errors = torch.cat([self.errors, errors])

        def compute(self):
            return self.errors.median()
    """
    good = """
    from torchmetrics import Metric
    from torchmetrics.utilities import dim_zero_cat


    class MedianError(Metric):
        def __init__(self):
            super().__init__()
            self.add_state("errors", default=[], dist_reduce_fx="cat")

        def update(self, preds, target):
            errors = (preds - target).abs().float()
            self.errors.append(errors)

        def compute(self):
            return dim_zero_cat(self.errors).median()
    """

    def check(self, cls: ClassInfo) -> Iterator[Finding]:
        """Find tensor states that update concatenates to."""
        metric = MetricClass.of(cls)
        if metric is None:
            return
        for change in metric.update_changes:
            state = metric.state(change.attribute)
            if change.kind != "cat" or change.method.cls is not cls or state is None:
                continue
            if state.kind == "tensor":
                yield Finding(
                    cls,
                    f"self.{state.name} of {cls.node.name} is copied whole for every batch, and "
                    "not joined between processes",
                    help="declare it with default=[], append to it, and join it in compute with "
                    "dim_zero_cat",
                    node=change.node,
                    detail=(metric, state),
                )
