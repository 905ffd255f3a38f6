"""LM329: a call of a custom metric makes another number than its update."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model.forward_states import misjoined
from lintmetrics.model.metric_classes import MetricClass
from lintmetrics.project import ClassInfo
from lintmetrics.rule import Consequence, Finding, Rule


class MisjoinedMetricState(Rule):
    """States of a custom Metric that a call of the object makes another number of than ``update``.

    ``full_state_update = False`` says that a batch can be worked out by itself and joined with the
    others by ``dist_reduce_fx``. A call of the object, and so each ``self.metric(...)`` of a step,
    then does that. Where ``update`` multiplies what it has, looks at it, or adds to a mean, a call
    gives one number and ``update()`` another. Sums that begin at 0 and are only added to, and
    extremes, are the same both ways.
    """

    code = "LM329"
    consequence = Consequence.WRONG_NUMBER
    since = "torchmetrics 0.9"
    source = (
        "executed on torchmetrics 1.9.0, update() against calls: a product 192 and 20, a decayed "
        "mean 0.75 and 0.82, a cap on the batches 11 and 19; metric.py, _reduce_states"
    )
    bad = """
    import torch
    from torchmetrics import Metric


    class DecayedLoss(Metric):
        full_state_update = False

        def __init__(self):
            super().__init__()
            self.add_state("loss", default=torch.tensor(0.0), dist_reduce_fx="mean")

        def update(self, loss):
            self.loss = 0.9 * self.loss + 0.1 * loss

        def compute(self):
            return self.loss
    """
    good = """
    import torch
    from torchmetrics import Metric


    class DecayedLoss(Metric):
        full_state_update = True

        def __init__(self):
            super().__init__()
            self.add_state("loss", default=torch.tensor(0.0), dist_reduce_fx="mean")

        def update(self, loss):
            self.loss = 0.9 * self.loss + 0.1 * loss

        def compute(self):
            return self.loss
    """

    def check(self, cls: ClassInfo) -> Iterator[Finding]:
        """Find states that cannot be worked out batch by batch."""
        metric = MetricClass.of(cls)
        for found in misjoined(metric) if metric is not None else ():
            yield Finding(
                cls,
                f"a call of {cls.node.name} makes another number of self.{found.state.name} than "
                f"update(): full_state_update is False, and {found.why}",
                help="say full_state_update = True",
                node=found.node,
                module=found.module,
                detail=found,
            )
