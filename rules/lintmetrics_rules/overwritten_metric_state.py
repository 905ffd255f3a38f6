"""LM324: each update replaces what a custom Metric has summed up."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model.metric_classes import MetricClass
from lintmetrics.model.state_reductions import overwritten
from lintmetrics.project import ClassInfo
from lintmetrics.rule import Consequence, Finding, Rule


class OverwrittenMetricState(Rule):
    """Sums that each ``update`` of a custom Metric replaces by those of its batch.

    A state with ``dist_reduce_fx="sum"`` is a sum over all batches and processes. Where ``update``
    sets it and does not add to it, ``compute`` is that of the last batch.
    """

    code = "LM324"
    consequence = Consequence.WRONG_NUMBER
    source = (
        "executed on torchmetrics 1.9.0: 7.0 of the last of two batches, where the sum is 10.0; "
        "with full_state_update=False a call adds up, and update does not"
    )
    bad = """
    import torch
    from torchmetrics import Metric


    class MeanError(Metric):
        def __init__(self):
            super().__init__()
            self.add_state("error", default=torch.tensor(0.0), dist_reduce_fx="sum")
            self.add_state("count", default=torch.tensor(0), dist_reduce_fx="sum")

        def update(self, preds, target):
            self.error = (preds - target).abs().sum()
            self.count += target.numel()

        def compute(self):
            return self.error / self.count
    """
    good = """
    import torch
    from torchmetrics import Metric


    class MeanError(Metric):
        def __init__(self):
            super().__init__()
            self.add_state("error", default=torch.tensor(0.0), dist_reduce_fx="sum")
            self.add_state("count", default=torch.tensor(0), dist_reduce_fx="sum")

        def update(self, preds, target):
            self.error += (preds - target).abs().sum()
            self.count += target.numel()

        def compute(self):
            return self.error / self.count
    """

    def check(self, cls: ClassInfo) -> Iterator[Finding]:
        """Find states that update sets to a value of the batch."""
        metric = MetricClass.of(cls)
        for state, change in overwritten(metric) if metric is not None else ():
            yield Finding(
                cls,
                f"each update replaces self.{state.name} of {cls.node.name}, which is declared as "
                "a sum: compute() is that of the last batch",
                help=f"add to it: self.{state.name} += ...",
                node=change.node,
                module=change.module,
            )
