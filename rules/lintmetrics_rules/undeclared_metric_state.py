"""LM311: a custom metric gathers in a plain attribute."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model.metric_attributes import gathered
from lintmetrics.model.metric_classes import MetricClass
from lintmetrics.project import ClassInfo
from lintmetrics.rule import Consequence, Finding, Rule


class UndeclaredMetricState(Rule):
    """Custom metrics that gather in attributes which are no states.

    ``reset()`` sets back what ``add_state`` declared, and nothing else: what ``update`` adds to a
    number, list or buffer of another kind stays for the next epoch, and the first epoch holds the
    sanity check. Several processes do not share it, and it does not move to the device. A ``reset``
    that empties it by hand is right for ``update()`` alone: calling the object resets it to compute
    the batch, and then puts back what was gathered, for states only.
    """

    code = "LM311"
    consequence = Consequence.WRONG_NUMBER
    source = (
        "executed on torchmetrics 1.9.0: a mean of 4.0 and, behind reset(), 12.0 came out as 4.0 "
        "and 7.5556; two processes answered 4.0 and 12.0 where 7.5556 is the mean of all; one that "
        "reset() empties by hand answered 7.0 when called, the mean of the last batch, for 4.0"
    )
    bad = """
    import torch
    from torchmetrics import Metric


    class MeanError(Metric):
        def __init__(self):
            super().__init__()
            self.error = 0.0
            self.count = 0

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
        """Find attributes that update adds to, compute reads and nothing sets back."""
        metric = MetricClass.of(cls)
        found = gathered(metric) if metric is not None else []
        if not found:
            return
        each = [f"self.{attribute.name}" for attribute in found]
        names = " and ".join(filter(None, (", ".join(each[:-1]), each[-1])))
        what = "are no states" if len(found) > 1 else "is no state"
        them = "them" if len(found) > 1 else "it"
        which = (
            "calling the object keeps the last batch only"
            if all(attribute.resets for attribute in found)
            else f"reset() leaves {them}"
        )
        yield Finding(
            cls,
            f"{names} of {cls.node.name} {what}: {which}, processes do not share {them}",
            help=f'declare {them} with self.add_state("{found[0].name}", ...)',
            node=found[0].made[0],
            detail=found,
        )
