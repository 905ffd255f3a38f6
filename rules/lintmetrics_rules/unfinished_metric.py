"""LM325: a custom metric is made that lacks update or compute."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model.metric_classes import MetricClass
from lintmetrics.model.unfinished_metrics import makers, missing_methods
from lintmetrics.project import ClassInfo
from lintmetrics.rule import Consequence, Finding, Rule


class UnfinishedMetric(Rule):
    """Custom metrics that are made without an ``update`` or a ``compute``.

    ``Metric`` leaves both to its classes and is abstract without them, so that the call which makes
    such an object raises. A base that only others derive from may lack them.
    """

    code = "LM325"
    consequence = Consequence.CRASH
    source = (
        "executed on torchmetrics 1.9.0: TypeError, can't instantiate abstract class; metric.py "
        "has had both as abstract methods since 0.2"
    )
    bad = """
    import torch
    from torchmetrics import Metric


    class Total(Metric):
        def __init__(self):
            super().__init__()
            self.add_state("total", default=torch.tensor(0.0), dist_reduce_fx="sum")

        def update(self, values):
            self.total += values.sum()


    total = Total()
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


    total = Total()
    """

    def check(self, cls: ClassInfo) -> Iterator[Finding]:
        """Find calls that make objects of such a class."""
        metric = MetricClass.of(cls)
        lacking = missing_methods(metric) if metric is not None else []
        if metric is None or not lacking:
            return
        names = " and no ".join(lacking)
        for module, call in makers(metric):
            yield Finding(
                cls,
                f"{cls.node.name} is made here, and has no {names}: the call raises",
                help=f"give {cls.node.name} a {' and a '.join(lacking)}",
                node=call,
                module=module,
            )
