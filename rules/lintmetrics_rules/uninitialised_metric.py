"""LM316: a custom metric does not call its base's ``__init__``."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model.metric_classes import MetricClass, leaves_base_out
from lintmetrics.project import ClassInfo
from lintmetrics.rule import Consequence, Finding, Rule


class UninitialisedMetric(Rule):
    """Custom metrics whose ``__init__`` does not call that of ``Metric``.

    ``add_state``, ``reset`` and every assignment of a module or parameter raise in such an object;
    one without states is neither reset nor shared between processes.
    """

    code = "LM316"
    consequence = Consequence.CRASH
    source = (
        "executed on torchmetrics 1.9.0: AttributeError: object has no attribute '_defaults'; "
        "without a state: the same for reset()"
    )
    bad = """
    import torch
    from torchmetrics import Metric


    class Total(Metric):
        def __init__(self):
            self.add_state("total", default=torch.tensor(0.0), dist_reduce_fx="sum")

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
        """Find constructors that leave the base out."""
        metric = MetricClass.of(cls)
        init = cls.methods.get("__init__")
        if metric is None or init is None or not leaves_base_out(metric):
            return
        yield Finding(
            cls,
            f"__init__ of {cls.node.name} does not call super().__init__(), so the object has no "
            "states and cannot be reset",
            help="begin it with super().__init__()",
            node=init,
            detail=metric,
        )
