"""LM313: a list state is concatenated in a way that several processes refuse."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from lintmetrics.model.list_states import concatenations
from lintmetrics.model.metric_classes import MetricClass
from lintmetrics.project import ClassInfo
from lintmetrics.rule import Consequence, Finding, Rule


class ConcatenatedListState(Rule):
    """List states that ``compute`` joins with ``torch.cat``.

    In one process the state is a list. In several, ``dist_reduce_fx="cat"`` has joined it before
    ``compute`` runs: it is a tensor, and ``torch.cat`` of a tensor raises, behind a whole epoch of
    training. ``dim_zero_cat`` takes both.
    """

    code = "LM313"
    consequence = Consequence.CRASH
    source = (
        "executed on torchmetrics 1.9.0, in two processes: TypeError: cat(): argument 'tensors' "
        "(position 1) must be tuple of Tensors, not Tensor"
    )
    bad = """
    import torch
    from torchmetrics import Metric


    class MedianError(Metric):
        def __init__(self):
            super().__init__()
            self.add_state("errors", default=[], dist_reduce_fx="cat")

        def update(self, preds, target):
            self.errors.append((preds - target).abs())

        def compute(self):
            return torch.cat(self.errors).median()
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
            return dim_zero_cat(self.errors).median()
    """

    def check(self, cls: ClassInfo) -> Iterator[Finding]:
        """Find joins of a state that several processes have joined already."""
        metric = MetricClass.of(cls)
        if metric is None:
            return
        for method, call, state in concatenations(metric):
            func = ast.unparse(call.func)
            yield Finding(
                cls,
                f"{func}(self.{state.name}) of {cls.node.name} raises in several processes, where "
                "it is one tensor already",
                help=f"join it with dim_zero_cat(self.{state.name}) of torchmetrics.utilities",
                node=call,
                module=method.module,
                detail=(method, call, state),
            )
