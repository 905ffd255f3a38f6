"""LM314: a tensor state is reduced between processes in another way than update fills it."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model.metric_classes import MetricClass
from lintmetrics.model.state_reductions import misreduced
from lintmetrics.project import ClassInfo
from lintmetrics.rule import Consequence, Finding, Rule


class MisreducedMetricState(Rule):
    """States that processes put together in another way than ``update`` fills them.

    A state that batches are added to is the sum over processes, one that keeps the largest is the
    largest. Without ``dist_reduce_fx`` the processes' values are stacked, and ``compute`` goes on
    with one number for each process.
    """

    code = "LM314"
    consequence = Consequence.WRONG_NUMBER
    source = (
        "executed on torchmetrics 1.9.0, in two processes whose mean is 7.5556: sums without a "
        'reduction answered [4.0, 12.0], a sum reduced with "mean" over a count with "sum" 3.7778; '
        'the largest value, 30, was [10.0, 30.0] without one and 40.0 with "sum"'
    )
    bad = """
    import torch
    from torchmetrics import Metric


    class MeanError(Metric):
        def __init__(self):
            super().__init__()
            self.add_state("error", default=torch.tensor(0.0))
            self.add_state("count", default=torch.tensor(0))

        def update(self, preds, target):
            self.error += (preds - target).abs().sum()
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
        """Find states whose reduction does not fit what update does."""
        metric = MetricClass.of(cls)
        for state, wanted, what in misreduced(metric) if metric is not None else ():
            yield Finding(
                cls,
                f"self.{state.name} of {cls.node.name} {what}, and has "
                + (
                    f'dist_reduce_fx="{state.reduction}"'
                    if state.reduction
                    else "no dist_reduce_fx: it is one value for each process"
                ),
                help=f'declare it with dist_reduce_fx="{wanted}"',
                node=state.call,
                detail=(state, wanted),
            )
