"""Plain attributes of a custom Metric in which ``update`` gathers, though they are no states."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection
from dataclasses import dataclass

from lintmetrics.model.flow import LightningClass
from lintmetrics.model.held_metrics import held_metrics
from lintmetrics.model.metric_classes import Change, MetricClass, changes, is_self, kind_of, name_of
from lintmetrics.project import FunctionInfo
from lintmetrics.tree import subtree

_GATHERS = frozenset(("add", "append", "extend", "item", "cat"))
_HOLDERS = frozenset(("collections.defaultdict", "collections.Counter", "dict", "list"))
# What speaks of a whole run is not to be emptied between epochs.
_WHOLE_RUN = re.compile(r"(?:^|_)(?:best|cumul\w*|history|ema|lifetime|so_far)(?:_|$)")


@dataclass(frozen=True)
class GatheredAttribute:
    """An attribute that ``update`` adds to, ``compute`` reads and nothing sets back.

    Args:
        metric: the class; ``name``: the attribute.
        made: the statements of ``__init__`` that make it, in the method ``maker``.
        initial: what it is made of; ``None`` where it is a buffer.
        changes: what ``update`` does to it.
        resets: the methods that set it back by hand, which is right for ``update()`` alone: calling
            the object resets it in between, and only states are put back behind that.
    """

    metric: MetricClass
    name: str
    maker: FunctionInfo
    made: tuple[ast.stmt, ...]
    initial: ast.expr | None
    changes: tuple[Change, ...]
    resets: tuple[FunctionInfo, ...] = ()


def gathered(metric: MetricClass) -> list[GatheredAttribute]:
    """Return the attributes of a class that are to be states, in the order they are made.

    Only those that the class itself makes: what a base makes is found there.
    """
    if not metric.are_all_known or "__init__" not in metric.cls.methods:
        return []
    if any(metric.cls.lookup(name) is not None for name in ("add_state", "__setattr__")):
        return []
    making = metric.reached("__init__")
    working = {method.node for method in (*making, *metric.updates)}
    found: dict[str, GatheredAttribute] = {}
    for maker in making:
        if maker.cls is not metric.cls:
            continue
        for name, statement, initial in _made(maker):
            if name in found or metric.is_declared(name) or name in metric.cls.namespace:
                continue
            moves = metric.changed(name)
            if _WHOLE_RUN.search(name) or not moves or not _is_gathering(maker, initial, moves):
                continue
            if not metric.reads(metric.computes, name):
                continue
            resets = _setters(metric, name, working)
            if resets is None or metric.is_touched_outside(name):
                continue
            by_hand = [method.node for method in metric.reached("reset")]
            if any(method.node not in by_hand for method in resets):
                continue
            found[name] = GatheredAttribute(
                metric, name, maker, (statement,), initial, tuple(moves), tuple(resets)
            )
    kept = list(found.values())
    if any(attribute.resets for attribute in kept) and not _is_called(metric):
        return [attribute for attribute in kept if not attribute.resets]
    return kept


def _is_called(metric: MetricClass) -> bool:
    """Tell whether a module of the project calls such an object, and does not only update it."""
    classes = {metric.cls, *metric.cls.subclasses}
    return any(
        held.metric.custom in classes and any(use.operation == "forward" for use in held.uses)
        for module in metric.users()
        for cls in module.classes
        if cls.is_lightning
        for held in held_metrics(LightningClass.of(cls))
    )


def _made(maker: FunctionInfo) -> list[tuple[str, ast.stmt, ast.expr | None]]:
    """Return the attributes that a method makes empty, with the statement and the value."""
    found: list[tuple[str, ast.stmt, ast.expr | None]] = []
    for node in subtree(maker.node):
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                if (
                    isinstance(target, ast.Attribute)
                    and is_self(target.value, maker.node)
                    and _is_empty(maker, node.value)
                ):
                    found.append((target.attr, node, node.value))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr != "register_buffer" or not is_self(node.func.value, maker.node):
                continue
            first = node.args[0] if node.args else None
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                found.append((first.value, maker.module.statement(node), None))
    return found


def _is_empty(maker: FunctionInfo, value: ast.expr) -> bool:
    """Tell whether a value is where gathering begins: nothing, zero, or a tensor or container."""
    if isinstance(value, ast.Constant):
        return value.value is None or (
            isinstance(value.value, (int, float)) and not value.value and value.value is not False
        )
    if isinstance(value, (ast.List, ast.Dict)):
        return not getattr(value, "elts", getattr(value, "keys", None))
    if isinstance(value, ast.Call):
        name = name_of(maker.module, value)
        if name in _HOLDERS:
            return True
        if name.startswith("numpy."):
            return name == "numpy.zeros"
    return kind_of(maker, value) == "tensor"


def _is_gathering(maker: FunctionInfo, initial: ast.expr | None, moves: list[Change]) -> bool:
    """Tell whether all that update does is to add."""
    gathers = False
    for move in moves:
        if move.kind in _GATHERS:
            gathers = True
        elif move.kind != "set" or not _is_first(move, initial):
            return False
    return gathers


def _is_first(move: Change, initial: ast.expr | None) -> bool:
    """Tell whether a value is set for the first batch only: ``if self.x is None``."""
    if not isinstance(initial, ast.Constant) or initial.value is not None:
        return False
    for above in move.module.ancestors(move.node):
        if isinstance(above, ast.If) and any(
            isinstance(node, ast.Attribute) and node.attr == move.attribute
            for node in subtree(above.test)
        ):
            return True
    return False


def _setters(
    metric: MetricClass, name: str, working: Collection[ast.AST]
) -> list[FunctionInfo] | None:
    """Return the other methods that set an attribute back; ``None`` where any may."""
    methods = {method.node: method for method, _ in metric.mentioned(name)}
    found = []
    for method in methods.values():
        if method.node in working:
            continue
        if any(change.attribute == name for change in changes(method)):
            found.append(method)
        for node in subtree(method.node):
            if isinstance(node, ast.Delete) and name in ast.dump(node):
                return None
    for cls in metric.cls.mro():
        for node in cls.methods.values():
            for inner in subtree(node):
                func = inner.func if isinstance(inner, ast.Call) else None
                if isinstance(func, ast.Name) and func.id in ("setattr", "vars"):
                    return None
    return found
