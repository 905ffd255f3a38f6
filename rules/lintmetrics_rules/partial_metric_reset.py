"""LM318: ``reset`` of a custom metric leaves the states as they are."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model.metric_classes import MetricClass, unreset_states
from lintmetrics.project import ClassInfo
from lintmetrics.rule import Consequence, Finding, Rule


class PartialMetricReset(Rule):
    """Custom metrics whose own ``reset`` hides that of ``Metric``.

    The states are set back by ``Metric.reset``. An override that does not call it leaves them, so
    an epoch counts all epochs before it, and calling the object, which resets it in between, counts
    each batch twice.
    """

    code = "LM318"
    consequence = Consequence.WRONG_NUMBER
    source = (
        "executed on torchmetrics 1.9.0: a mean of 4.0 and then of 12.0 came out as 4.0 and 7.5556"
    )
    bad = """
    import torch
    from torchmetrics import Metric


    class MeanError(Metric):
        def __init__(self):
            super().__init__()
            self.add_state("error", default=torch.tensor(0.0), dist_reduce_fx="sum")
            self.add_state("count", default=torch.tensor(0), dist_reduce_fx="sum")
            self.worst = None

        def update(self, preds, target):
            errors = (preds - target).abs()
            self.worst = errors.max()
            self.error += errors.sum()
            self.count += target.numel()

        def compute(self):
            return self.error / self.count

        def reset(self):
            self.worst = None
    """
    good = """
    import torch
    from torchmetrics import Metric


    class MeanError(Metric):
        def __init__(self):
            super().__init__()
            self.add_state("error", default=torch.tensor(0.0), dist_reduce_fx="sum")
            self.add_state("count", default=torch.tensor(0), dist_reduce_fx="sum")
            self.worst = None

        def update(self, preds, target):
            errors = (preds - target).abs()
            self.worst = errors.max()
            self.error += errors.sum()
            self.count += target.numel()

        def compute(self):
            return self.error / self.count

        def reset(self):
            super().reset()
            self.worst = None
    """

    def check(self, cls: ClassInfo) -> Iterator[Finding]:
        """Find overrides of reset that leave states which update adds to."""
        metric = MetricClass.of(cls)
        if metric is None or "reset" not in cls.methods:
            return
        left = unreset_states(metric)
        if left:
            names = " and ".join(f"self.{name}" for name in left)
            yield Finding(
                cls,
                f"reset of {cls.node.name} does not call that of Metric and leaves {names}: each "
                "epoch counts those before it",
                help="begin it with super().reset()",
                node=cls.methods["reset"],
                detail=metric,
            )
