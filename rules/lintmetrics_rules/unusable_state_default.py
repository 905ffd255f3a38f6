"""LM315: a state's default is no tensor and no empty list."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model.metric_classes import MetricClass
from lintmetrics.project import ClassInfo
from lintmetrics.rule import Consequence, Finding, Rule


class UnusableStateDefault(Rule):
    """States whose default is a number, an array or a container that is not empty.

    ``add_state`` takes a tensor or an empty list and raises for anything else, when the object is
    made.
    """

    code = "LM315"
    consequence = Consequence.CRASH
    source = (
        "executed on torchmetrics 1.9.0: ValueError: state variable must be a tensor or any empty "
        "list (where you can append tensors)"
    )
    bad = """
    import torch
    from torchmetrics import Metric


    class Total(Metric):
        def __init__(self):
            super().__init__()
            self.add_state("total", default=0.0, dist_reduce_fx="sum")

        def update(self, values):
            self.total += values.sum()

        def compute(self):
            return self.total
    """
    good = """
    import torch
    from torchmetrics import Metric


    class Total(Metric):
        def __init__(self):
            super().__init__()
            self.add_state("total", default=torch.tensor(0.0), dist_reduce_fx="sum")

        def update(self, values):
            self.total += values.sum()

        def compute(self):
            return self.total
    """

    def check(self, cls: ClassInfo) -> Iterator[Finding]:
        """Find defaults that add_state refuses."""
        metric = MetricClass.of(cls)
        if metric is None or cls.lookup("add_state") is not None:
            return
        for state in metric.states:
            if state.cls is cls and state.kind == "wrong":
                yield Finding(
                    cls,
                    f"the default of self.{state.name} of {cls.node.name} is neither a tensor nor "
                    "an empty list, which add_state refuses",
                    help="make it a torch.tensor(...), or an empty list to append to",
                    node=state.default,
                    detail=(metric, state),
                )
