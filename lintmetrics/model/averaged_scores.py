"""Scores of single batches that a custom Metric adds up, to answer with their mean."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from lintmetrics.model.decomposability import verdict
from lintmetrics.model.metric_classes import Change, MetricClass, bound_once, is_self, name_of
from lintmetrics.project import FunctionInfo
from lintmetrics.tree import subtree

# A score of one picture, sentence or query, averaged over them, is what these are meant for.
_OF_ALL_DATA = frozenset(("classification", "regression", "clustering", "nominal", "sklearn"))
_SAME_METHODS = frozenset(("item", "detach", "cpu", "float", "double", "to"))
_SAME_CALLS = frozenset(("float", "builtins.float", "torch.tensor", "torch.as_tensor"))
_MEANS = frozenset(("mean", "fmean", "average", "nanmean"))
_DEPTH = 6


@dataclass(frozen=True)
class AveragedScore:
    """A score of one batch that goes into a mean.

    Args:
        metric: the class; ``change``: where the score is added or appended.
        call: the call that scores the batch; ``name``: the function.
        is_weighted: whether it is multiplied with something first.
    """

    metric: MetricClass
    change: Change
    call: ast.Call
    name: str
    is_weighted: bool

    @property
    def label(self) -> str:
        """How the user calls the function."""
        return self.name.rsplit(".", 1)[-1]


def averaged_scores(metric: MetricClass) -> Iterator[AveragedScore]:
    """Yield the scores that ``update`` of the class itself adds up and ``compute`` divides."""
    for change in metric.update_changes:
        if change.method.cls is not metric.cls or change.value is None:
            continue
        if change.kind not in ("add", "append") or _is_in_loop(change):
            continue
        for call, is_weighted in _scores(change.method, change.value, False, 0):
            name = name_of(change.method.module, call)
            known = verdict(name, call)
            if known.family not in _OF_ALL_DATA:
                continue
            is_wrong = known.decomposable == "no" or (
                known.decomposable == "weighted" and not is_weighted
            )
            if is_wrong and _is_averaged(metric, change.attribute):
                yield AveragedScore(metric, change, call, name, is_weighted)


def _scores(
    method: FunctionInfo, node: ast.expr, is_weighted: bool, depth: int
) -> Iterator[tuple[ast.Call, bool]]:
    """Yield the calls whose answer an expression is, through what changes nothing about it."""
    if depth > _DEPTH:
        return
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        for side in (node.left, node.right):
            yield from _scores(method, side, True, depth + 1)
    elif isinstance(node, ast.Call):
        func = node.func
        name = name_of(method.module, node)
        if isinstance(func, ast.Attribute) and func.attr in _SAME_METHODS and not _is_name(func):
            yield from _scores(method, func.value, is_weighted, depth + 1)
        elif name in _SAME_CALLS and node.args:
            yield from _scores(method, node.args[0], is_weighted, depth + 1)
        elif "." in name:
            yield node, is_weighted
    else:
        bound = bound_once(method, node)
        if bound is not None:
            yield from _scores(method, bound, is_weighted, depth + 1)


def _is_name(func: ast.Attribute) -> bool:
    return isinstance(func.value, ast.Name) and func.value.id in ("torch", "np", "numpy", "self")


def _is_in_loop(change: Change) -> bool:
    """Tell whether a change is made several times in one batch: for samples, images or classes."""
    for above in change.module.ancestors(change.node):
        if isinstance(above, (ast.For, ast.While, ast.AsyncFor)):
            return True
        if above is change.method.node:
            break
    return False


def _is_averaged(metric: MetricClass, attribute: str) -> bool:
    """Tell whether ``compute`` divides an attribute, or takes its mean."""
    for method in metric.computes:
        names = {attribute}
        for node in subtree(method.node):
            if not (
                isinstance(node, ast.Attribute)
                and node.attr in names
                and isinstance(node.ctx, ast.Load)
                and is_self(node.value, method.node)
            ):
                continue
            below: ast.AST = node
            for above in method.module.ancestors(node):
                if isinstance(above, ast.stmt):
                    break
                if isinstance(above, ast.BinOp) and isinstance(above.op, ast.Div):
                    return above.left is below
                if isinstance(above, ast.Attribute) and above.attr in _MEANS:
                    return True
                if isinstance(above, ast.Call) and below is not above.func:
                    func = above.func
                    last = func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")
                    if last in _MEANS:
                        return True
                below = above
    return False
