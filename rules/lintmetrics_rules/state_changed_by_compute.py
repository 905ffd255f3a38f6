"""LM317: ``compute`` changes what it computes from."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model.metric_classes import MetricClass
from lintmetrics.project import ClassInfo
from lintmetrics.rule import Consequence, Finding, Rule


class StateChangedByCompute(Rule):
    """Custom metrics whose ``compute`` changes their state.

    A metric may be computed while it still gathers: to log a running value, to show it, or twice
    in one epoch. What ``compute`` divides in place is what the next ``update`` goes on with, and a
    list state that it makes a tensor can be neither appended to nor reset. A local variable does
    the same and harms nobody.
    """

    code = "LM317"
    consequence = Consequence.WRONG_NUMBER
    source = (
        "executed on torchmetrics 1.9.0: computed once in between, a mean of 7.5556 came out as "
        "5.7778; reset() of a list that compute() had made a tensor: AttributeError: 'Tensor' "
        "object has no attribute 'clear' (0.11.4 bore it)"
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
            self.error += (preds - target).abs().sum()
            self.count += target.numel()

        def compute(self):
            self.error /= self.count
            return self.error
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
            error = self.error / self.count
            return error
    """

    def check(self, cls: ClassInfo) -> Iterator[Finding]:
        """Find states that compute makes anew of themselves, and that update goes on with."""
        metric = MetricClass.of(cls)
        if metric is None:
            return
        seen: set[str] = set()
        for change in metric.compute_changes:
            name = change.attribute
            state = metric.state(name)
            if change.kind not in ("rescale", "add", "cat") or change.method.cls is not cls:
                continue
            moves = {move.kind for move in metric.changed(name)}
            if state is None or name in seen or not moves or "set" in moves:
                continue
            if metric.sets_back(name, change):
                continue
            seen.add(name)
            is_list = state.kind == "list"
            yield Finding(
                cls,
                f"compute of {cls.node.name} makes the list self.{name} a tensor, which the next "
                "reset() cannot empty"
                if is_list
                else f"compute of {cls.node.name} changes self.{name}, and the next update goes on "
                "with that",
                help="keep the value in a local variable",
                node=change.node,
                consequence=Consequence.CRASH if is_list else None,
                detail=(metric, change),
            )
