"""Classes of a project whose objects keep a plain mean, as the ``AverageMeter`` of many loops does.

An object is given a value, and how often it counts: once, unless the caller says more.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from lintmetrics.edits import FunctionNode, default_of, is_docstring
from lintmetrics.project import ClassInfo
from lintmetrics.tree import own_nodes, subtree


@dataclass(frozen=True)
class MeanMeter:
    """A class whose objects keep the mean of what they are given.

    Args:
        cls: the class.
        method: the method that is given the values; ``weight``: its parameter for how often a
            value counts, empty where each counts once.
        means: the attributes, properties and methods that are the mean.
    """

    cls: ClassInfo
    method: str
    weight: str
    means: frozenset[str]


_KNOWN: WeakKeyDictionary[ClassInfo, MeanMeter | None] = WeakKeyDictionary()


def mean_meter(cls: ClassInfo) -> MeanMeter | None:
    """Return what a class keeps, ``None`` where that is no plain mean."""
    if cls not in _KNOWN:
        _KNOWN[cls] = _read(cls)
    return _KNOWN[cls]


def _read(cls: ClassInfo) -> MeanMeter | None:
    if any(ast.unparse(base) != "object" for base in cls.node.bases) or cls.node.keywords:
        return None
    found = [
        (name, *gathered)
        for name, method in cls.methods.items()
        if not name.startswith("__") or name == "__call__"
        if (gathered := _gathers(method)) is not None
    ]
    if len(found) != 1:
        return None
    name, weight, total, count = found[0]
    means = {
        mean
        for method in cls.methods.values()
        for node in own_nodes(method)
        if (mean := _mean_of(method, node, total, count))
    }
    return MeanMeter(cls, name, weight, frozenset(means)) if means else None


def _gathers(method: FunctionNode) -> tuple[str, str, str] | None:
    """Return the weight, the total and the counter of a method that adds a value to a mean."""
    parameters = [a.arg for a in method.args.args][1:]
    if not 1 <= len(parameters) <= 2 or method.args.vararg or method.args.kwarg:
        return None
    value, weight = parameters[0], parameters[1] if len(parameters) == 2 else ""
    default = default_of(method, weight) if weight else None
    if weight and not (isinstance(default, ast.Constant) and default.value == 1):
        return None
    once = (f"{value} * {weight}", f"{weight} * {value}") if weight else (value,)
    counted = weight or "1"
    totals: list[str] = []
    counters: list[str] = []
    for node in own_nodes(method):
        added = _added(node)
        if added is None:
            continue
        if added[1] in once:
            totals.append(added[0])
        elif added[1] == counted:
            counters.append(added[0])
        else:
            return None
    if len(totals) != 1 or len(counters) != 1 or _is_changed(method, value):
        return None
    return weight, totals[0], counters[0]


def _added(node: ast.AST) -> tuple[str, str] | None:
    """Return the attribute that a statement adds to, and what it adds, as text."""
    if isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Add):
        target: ast.expr = node.target
        value = node.value
    elif (
        isinstance(node, ast.Assign)
        and isinstance(node.value, ast.BinOp)
        and isinstance(node.value.op, ast.Add)
        and ast.unparse(node.value.left) == ast.unparse(node.targets[0])
    ):
        target, value = node.targets[0], node.value.right
    else:
        return None
    text = ast.unparse(target)
    return (text, ast.unparse(value)) if text.startswith("self.") else None


def _is_changed(method: FunctionNode, name: str) -> bool:
    """Tell whether a method gives a parameter another value, but for taking it out of a tensor."""
    return any(
        isinstance(node, ast.Name)
        and node.id == name
        and isinstance(node.ctx, ast.Store)
        and not _is_unwrapped(getattr(node, "lm_parent", None), name)
        for node in subtree(method)
    )


def _is_unwrapped(statement: ast.AST | None, name: str) -> bool:
    return isinstance(statement, ast.Assign) and ast.unparse(statement.value) in (
        f"{name}.item()",
        f"float({name})",
        f"{name}.detach()",
        f"{name}.detach().cpu().item()",
        f"{name}.detach().item()",
        f"{name}.data.item()",
    )


def _mean_of(method: FunctionNode, node: ast.AST, total: str, count: str) -> str:
    """Return the name under which a statement gives the mean, empty where it gives none."""
    if isinstance(node, ast.Assign) and _divides(node.value, total, count):
        target = node.targets[0]
        if isinstance(target, ast.Attribute) and ast.unparse(target.value) == "self":
            return target.attr
    if isinstance(node, ast.Return) and node.value is not None:
        body = [s for s in method.body if not is_docstring(s)]
        plain = len(body) <= 2 and len(method.args.args) == 1
        if plain and _divides(node.value, total, count):
            return method.name
    return ""


def _divides(value: ast.expr, total: str, count: str) -> bool:
    if isinstance(value, ast.IfExp):
        return _divides(value.body, total, count) or _divides(value.orelse, total, count)
    return (
        isinstance(value, ast.BinOp)
        and isinstance(value.op, ast.Div)
        and ast.unparse(value.left) == total
        and ast.unparse(value.right) in (count, f"max({count}, 1)", f"max(1, {count})")
    )
