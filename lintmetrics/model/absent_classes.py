"""Means of an IoU for each class in which absent classes count as -1."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from lintmetrics.model.made_metrics import argument
from lintmetrics.model.tensors import bindings, constant
from lintmetrics.project import CallSite, Module
from lintmetrics.tree import subtree

_MEANS = ("mean", "nanmean")


def averaged_with_absent(module: Module) -> Iterator[tuple[CallSite, ast.AST]]:
    """Yield the calls of ``mean_iou`` for each class, with what averages their answers."""
    if "mean_iou" not in module.source.code:
        return
    for site in module.call_sites:
        if not site.name.endswith(".mean_iou"):
            continue
        if constant(module, argument(site.node, 4, "per_class")) is not True:
            continue
        means = [_mean(module, read) for read in _reads(module, site.node)]
        yield from ((site, mean) for mean in means if mean is not None)


def _reads(module: Module, call: ast.Call) -> Iterator[ast.expr]:
    """Yield the call, and the reads of the one local name that it is given to."""
    yield call
    statement = module.parent(call)
    function = module.enclosing_function(call)
    if not isinstance(statement, ast.Assign) or function is None:
        return
    target = statement.targets[0]
    if isinstance(target, ast.Name) and bindings(module, target.id, function) == [statement]:
        names = (node for node in subtree(function) if isinstance(node, ast.Name))
        yield from (n for n in names if n.id == target.id and isinstance(n.ctx, ast.Load))


def _mean(module: Module, read: ast.expr) -> ast.AST | None:
    """Return the mean that is taken of a value as it is."""
    above = module.parent(read)
    if isinstance(above, ast.Attribute) and above.attr in _MEANS:
        call = module.parent(above)
        return call if isinstance(call, ast.Call) and call.func is above else None
    if isinstance(above, ast.Call) and above.args and above.args[0] is read:
        name = module.qualified(above.func)
        return above if name in ("torch.mean", "torch.nanmean") else None
    return None
