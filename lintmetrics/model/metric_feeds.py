"""Calls that feed a metric object by keyword, and the keywords that 1.9 has other names for."""

from __future__ import annotations

import ast
from collections.abc import Container, Iterator
from dataclasses import dataclass, field

from lintmetrics import facts
from lintmetrics.facts import UpdateArgument
from lintmetrics.model.metric_api import LIBRARY, OLD_LIBRARY, is_guarded, kind_of
from lintmetrics.model.tensors import bindings
from lintmetrics.model.trails import attribute_values, is_self
from lintmetrics.project import ClassInfo, Module

_FEEDS = frozenset(("update", "forward", "__call__"))
_SAME_OBJECT = frozenset(("to", "clone", "cuda", "cpu", "double", "float", "half"))
_HOLDERS = frozenset(("torch.nn.ModuleDict", "torch.nn.ModuleList"))
_DEPTH = 8


@dataclass(frozen=True)
class Feed:
    """A call of a metric object.

    Args:
        module: the file; ``node``: the call.
        keywords: those that 1.9 calls otherwise, with what is known of each.
        metric: name of the class that is fed.
    """

    module: Module = field(repr=False)
    node: ast.Call
    keywords: tuple[tuple[ast.keyword, UpdateArgument], ...]
    metric: str


def old_feeds(module: Module) -> Iterator[Feed]:
    """Yield the calls in a file that feed a metric by a keyword that its class no longer has."""
    old = facts.old_update_arguments()
    for node in module.calls:
        named = [keyword for keyword in node.keywords if keyword.arg in old]
        if not named:
            continue
        # A collection hands each keyword to those of its metrics that know it: all must agree.
        metrics = fed_classes(module, node.func)
        rows = [
            [facts.update_argument(metric, keyword.arg or "") for keyword in named]
            for metric in metrics
        ]
        if not rows or is_guarded(module, node):
            continue
        first = [row for row in rows[0] if row is not None]
        alike = all([r.new if r else "" for r in row] == [r.new for r in first] for row in rows)
        taken = {keyword.arg for keyword in node.keywords}
        if alike and len(first) == len(named) and not taken & {row.new for row in first}:
            yield Feed(module, node, tuple(zip(named, first, strict=True)), metrics[0])


def fed_objects(module: Module, metrics: Container[str]) -> Iterator[Feed]:
    """Yield the calls in a file that feed an object of one of some classes by position."""
    if not any(name in module.source.code for name in ("torchmetrics", "lightning")):
        return
    for node in module.calls:
        if len(node.args) < 2 or not isinstance(node.func, (ast.Attribute, ast.Name)):
            continue
        found = fed_classes(module, node.func)
        if len(set(found)) == 1 and found[0] in metrics and not is_guarded(module, node):
            yield Feed(module, node, (), found[0])


def fed_classes(module: Module, func: ast.expr) -> list[str]:
    """Return the current class names of the metrics that a call feeds; empty when in doubt."""
    if isinstance(func, ast.Attribute) and func.attr in _FEEDS:
        found = _classes(module, func.value, 0)
        if found:
            return found
    return _classes(module, func, 0)


def _classes(module: Module, expr: ast.expr, depth: int) -> list[str]:
    """Return the classes of the metric objects that an expression may stand for."""
    if depth > _DEPTH:
        return []
    if isinstance(expr, ast.Call):
        func = expr.func
        if isinstance(func, ast.Attribute) and func.attr in _SAME_OBJECT:
            return _classes(module, func.value, depth + 1)
        name = module.qualified(func) or ""
        if name in _HOLDERS or name.endswith(".MetricCollection"):
            return _all(module, [expr.args[0]] if expr.args else [], depth)
        return _class(name)
    if isinstance(expr, (ast.Dict, ast.List, ast.Tuple)):
        values = expr.values if isinstance(expr, ast.Dict) else expr.elts
        return _all(module, list(values), depth)
    if isinstance(expr, (ast.DictComp, ast.ListComp)):
        return _classes(module, expr.value if isinstance(expr, ast.DictComp) else expr.elt, depth)
    if isinstance(expr, ast.Subscript):
        return _classes(module, expr.value, depth + 1)
    if isinstance(expr, ast.IfExp):
        return _all(module, [expr.body, expr.orelse], depth)
    if isinstance(expr, ast.Attribute) and is_self(expr.value):
        cls = module.enclosing_class(expr)
        return [] if cls is None else _of_attribute(cls, expr.attr, depth)
    if isinstance(expr, ast.Name):
        bound = bindings(module, expr.id, module.enclosing_function(expr))
        if not bound or not all(isinstance(s, (ast.Assign, ast.AnnAssign)) for s in bound):
            return []
        before = [s for s in bound if s.lineno < expr.lineno] or bound
        value = before[-1].value if isinstance(before[-1], (ast.Assign, ast.AnnAssign)) else None
        targets = getattr(before[-1], "targets", [getattr(before[-1], "target", None)])
        plain = all(isinstance(target, ast.Name) for target in targets)
        return _classes(module, value, depth + 1) if value is not None and plain else []
    return []


def _of_attribute(cls: ClassInfo, name: str, depth: int) -> list[str]:
    found: list[str] = []
    for value, owner in attribute_values(cls, name):
        if isinstance(value, ast.Constant) and value.value is None:
            continue  # Declared first, made later.
        inner = _classes(owner, value, depth + 1)
        if not inner:
            return []
        found += inner
    return found


def _all(module: Module, values: list[ast.expr | None], depth: int) -> list[str]:
    found: list[str] = []
    for value in values:
        inner = [] if value is None else _classes(module, value, depth + 1)
        if not inner:
            return []
        found += inner
    return found


def _class(name: str) -> list[str]:
    if not name.startswith((LIBRARY + ".", OLD_LIBRARY + ".")) or kind_of(name) != "class":
        return []
    move = facts.moves().get(name)
    return [(move.new if move is not None and move.new else name).rsplit(".", 1)[1]]
