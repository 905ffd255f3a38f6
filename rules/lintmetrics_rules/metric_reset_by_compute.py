"""LM322: ``compute`` resets the object."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model.metric_classes import MetricClass, own_resets
from lintmetrics.project import ClassInfo
from lintmetrics.rule import Consequence, Finding, Rule


class MetricResetByCompute(Rule):
    """Custom metrics whose ``compute`` resets them.

    While ``compute`` runs in several processes, a list state is one tensor, which ``reset`` cannot
    empty. And where the class says ``full_state_update = False``, calling the object computes each
    batch before it is put to the others, so the batch is gone. Lightning resets what it logs.
    """

    code = "LM322"
    consequence = Consequence.CRASH
    source = (
        "executed on torchmetrics 1.9.0: in two processes AttributeError: 'Tensor' object has no "
        "attribute 'clear'; called with full_state_update = False, no batch was left and the mean "
        "was nan"
    )
    bad = """
    from torchmetrics import Metric
    from torchmetrics.utilities import dim_zero_cat


    class MedianError(Metric):
        def __init__(self):
            super().__init__()
            self.add_state("errors", default=[], dist_reduce_fx="cat")

        def update(self, preds, target):
            self.errors.append((preds - target).abs())

        def compute(self):
            median = dim_zero_cat(self.errors).median()
            self.reset()
            return median
    """
    good = """
    from torchmetrics import Metric
    from torchmetrics.utilities import dim_zero_cat


    class MedianError(Metric):
        def __init__(self):
            super().__init__()
            self.add_state("errors", default=[], dist_reduce_fx="cat")

        def update(self, preds, target):
            self.errors.append((preds - target).abs())

        def compute(self):
            median = dim_zero_cat(self.errors).median()
            return median
    """

    def check(self, cls: ClassInfo) -> Iterator[Finding]:
        """Find resets that lose a batch, or that several processes cannot make."""
        metric = MetricClass.of(cls)
        if metric is None or cls.lookup("reset") is not None:
            return
        joined = [s for s in metric.states if s.kind == "list" and s.reduction == "cat"]
        is_reduced = metric.flag("full_state_update") is False
        if not joined and not (is_reduced and metric.states):
            return
        for method, call in own_resets(metric):
            what = (
                f"cannot empty self.{joined[0].name} in several processes, where it is a tensor"
                if joined
                else "loses each batch that the object is called with"
            )
            yield Finding(
                cls,
                f"compute of {cls.node.name} resets the object, which {what}",
                help="leave it out: Lightning resets what it logs, and whoever computes by hand "
                "resets behind it",
                node=call,
                module=method.module,
                consequence=None if joined else Consequence.WRONG_NUMBER,
            )
