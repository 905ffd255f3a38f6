"""Updates of Metric objects whose answer, which is ``None``, is used."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from lintmetrics.model.held_metrics import HeldMetric, held_metrics
from lintmetrics.tree import subtree

if TYPE_CHECKING:
    from lintmetrics.model.flow import LightningClass
    from lintmetrics.model.hook_effects import MetricUse
    from lintmetrics.project import Module

_LOOKS = frozenset(("print", "repr", "str", "isinstance"))


def used_updates(model: LightningClass) -> Iterator[tuple[HeldMetric, MetricUse]]:
    """Yield the updates of a module's objects that a log call or a sum is given."""
    seen: set[ast.AST] = set()
    for held in held_metrics(model):
        for use in held.uses:
            func = use.node.func
            is_update = isinstance(func, ast.Attribute) and func.attr == "update"
            if use.operation != "update" or not is_update or use.node in seen:
                continue
            seen.add(use.node)
            if _is_used(use.module, use.node):
                yield held, use


def _is_used(module: Module, node: ast.expr) -> bool:
    """Tell whether an expression stands where a number is wanted, itself or under a local name."""
    above = module.parent(node)
    if isinstance(above, ast.keyword):
        above = module.parent(above)
    if isinstance(above, ast.Call):
        return above.func is not node and getattr(above.func, "id", "") not in _LOOKS
    if isinstance(above, (ast.BinOp, ast.UnaryOp)):
        return True
    if isinstance(above, ast.Attribute):
        return True
    if not isinstance(above, ast.Assign) or len(above.targets) != 1:
        return False
    target, function = above.targets[0], module.enclosing_function(node)
    if not isinstance(target, ast.Name) or function is None:
        return False
    names = [n for n in subtree(function) if isinstance(n, ast.Name) and n.id == target.id]
    if sum(not isinstance(n.ctx, ast.Load) for n in names) != 1:
        return False
    return any(isinstance(n.ctx, ast.Load) and _is_used(module, n) for n in names)
