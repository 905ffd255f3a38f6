"""LM305: a custom metric hands its base what the base takes no longer."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from lintmetrics.model.metric_api import kind_of, read
from lintmetrics.model.moved_names import successor
from lintmetrics.model.torchmetrics_versions import release
from lintmetrics.project import ClassInfo, External
from lintmetrics.rule import Consequence, Finding, Rule
from lintmetrics.tree import subtree


class OldMetricSubclass(Rule):
    """Custom metrics written for the base class of an older release.

    ``Metric.__init__`` took ``compute_on_step`` and three more positional arguments up to 0.7; now
    it takes keywords only and raises for ``compute_on_step``. And ``F1Score``, ``Accuracy`` and
    their like became functions in the clothes of a class: they choose a class by ``task``, so a
    subclass of one of them no longer makes an object of its own class.
    """

    code = "LM305"
    consequence = Consequence.CRASH
    since = "torchmetrics 1.0"
    source = "run: torchmetrics 1.9.0, Metric.__init__"
    bad = """
    import torch
    from torchmetrics import Metric


    class Total(Metric):
        def __init__(self, compute_on_step=True):
            super().__init__(compute_on_step=compute_on_step, dist_sync_on_step=False)
            self.add_state("total", torch.tensor(0.0), dist_reduce_fx="sum")

        def update(self, values):
            self.total += values.sum()

        def compute(self):
            return self.total
    """
    good = """
    import torch
    from torchmetrics import Metric


    class Total(Metric):
        def __init__(self, compute_on_step=True):
            super().__init__(dist_sync_on_step=False)
            self.add_state("total", torch.tensor(0.0), dist_reduce_fx="sum")

        def update(self, values):
            self.total += values.sum()

        def compute(self):
            return self.total
    """

    def check(self, cls: ClassInfo) -> Iterator[Finding]:
        """Find old arguments of the base's constructor, and bases that are dispatchers."""
        if not cls.is_kind("Metric"):
            return
        for base, node in zip(cls.bases, cls.node.bases, strict=True):
            if not isinstance(base, External) or kind_of(base.name) != "class":
                continue
            yield from _dispatcher(cls, base.name, node)
            for call in _constructions(cls, base.name):
                known = read(cls.module, call, base.name)
                if known is not None and known.removed:
                    names = ", ".join(a.parameter or "" for a in known.removed)
                    yield Finding(
                        cls,
                        f"{cls.node.name} hands {names} to {known.short}, which "
                        f"{release(cls.module)} rejects",
                        help="leave it out; update() without the call skips the batch value",
                        node=call,
                        detail=known,
                    )


def _dispatcher(cls: ClassInfo, base: str, node: ast.expr) -> Iterator[Finding]:
    moved = successor(base, cls.module.project)
    short = (moved.new if moved is not None and moved.new else base).rsplit(".", 1)[1]
    if short not in _DISPATCHERS:
        return
    yield Finding(
        cls,
        f"{cls.node.name} derives from {base.rsplit('.', 1)[1]}, which only picks a class by task",
        help="derive from BinaryX, MulticlassX or MultilabelX of torchmetrics.classification, "
        f"with {short} for X",
        node=node,
        blocked=f"which of Binary{short}, Multiclass{short} and Multilabel{short} is meant is for "
        "a person to say",
    )


_DISPATCHERS = frozenset(
    (
        "AUROC",
        "Accuracy",
        "AveragePrecision",
        "CalibrationError",
        "CohenKappa",
        "ConfusionMatrix",
        "ExactMatch",
        "F1Score",
        "FBetaScore",
        "HammingDistance",
        "HingeLoss",
        "JaccardIndex",
        "MatthewsCorrCoef",
        "Precision",
        "PrecisionRecallCurve",
        "ROC",
        "Recall",
        "Specificity",
        "StatScores",
    )
)


def _constructions(cls: ClassInfo, base: str) -> Iterator[ast.Call]:
    """Yield the calls of a class's ``__init__`` that construct its base."""
    init = cls.methods.get("__init__")
    if init is None:
        return
    for node in subtree(init):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        if node.func.attr != "__init__":
            continue
        owner = node.func.value
        if isinstance(owner, ast.Call) and getattr(owner.func, "id", "") == "super":
            yield node
