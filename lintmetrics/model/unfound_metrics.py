"""Logged Metric objects that are no part of the module, so that Lightning does not find them."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from lintmetrics.model.hooks import LOG_HOOKS
from lintmetrics.model.tensors import bindings
from lintmetrics.model.values import Metric, options
from lintmetrics.tree import parameter_names, root_name, subtree

if TYPE_CHECKING:
    from lintmetrics.edits import FunctionNode
    from lintmetrics.model.log_calls import LogCall
    from lintmetrics.project import Module

# Hooks that run once, in which an object may well be made before it is looked for.
_ONCE = frozenset(
    (
        *("on_train_start", "on_validation_start", "on_test_start"),
        *("on_test_epoch_start", "on_test_epoch_end"),
    )
)


def unfound(call: LogCall) -> str | None:
    """Return why Lightning does not find the object that a call logs; ``None`` if it may."""
    if call.argument("metric_attribute") is not None or call.value_node is None:
        return None
    if any(keyword.arg is None for keyword in call.node.keywords):
        return None
    found: set[str | None] = set()
    for way in call.contexts:
        for option in options(way.value):
            if not isinstance(option, Metric):
                return None
            found.add(_why(call, option))
    return found.pop() if len(found) == 1 else None


def _why(call: LogCall, metric: Metric) -> str | None:
    value, module, function = call.value_node, call.module, call.function
    assert value is not None
    if function is None:
        return None
    if call.is_of_callback:
        if metric.path and _is_own(call, function, value) and not _hands_over(call):
            return f"{call.cls.node.name} holds"
        return None
    if not call.cls.is_kind("LightningModule"):
        return None
    if not metric.path:
        made = value  # One that the function makes itself is another rule's.
        if isinstance(value, ast.Name):
            bound = bindings(module, value.id, function)
            if len(bound) != 1 or not isinstance(bound[0], ast.Assign) or len(bound[0].targets) > 1:
                return None
            made = bound[0].value
            if _is_kept(function, value.id):
                return None
        if not isinstance(made, ast.Call):
            return None
        func = made.func
        if isinstance(func, ast.Attribute) and func.attr == "clone" and root_name(func) == "self":
            return "is a clone"
        return None
    constructor = metric.constructor
    if constructor is None or "[" in metric.path or not _is_attribute(value, metric.path):
        return None
    maker = metric.module.enclosing_function(constructor)
    if maker is None or maker.name not in LOG_HOOKS or maker.name in _ONCE:
        return None
    statement = metric.module.statement(constructor)
    if not isinstance(statement, ast.Assign) or metric.module.parent(statement) is not maker:
        return None
    return f"{maker.name} makes anew each time" if _is_whole(metric.module, statement) else None


def _is_own(call: LogCall, function: FunctionNode, value: ast.expr) -> bool:
    """Tell whether a callback has what it logs from an attribute of its own."""
    if isinstance(value, ast.Name):
        bound = bindings(call.module, value.id, function)
        if len(bound) != 1:
            return False
        (statement,) = bound
        if isinstance(statement, ast.For):
            value = statement.iter
        elif isinstance(statement, ast.Assign):
            value = statement.value
        else:
            return False
    first = function.args.args[0].arg if function.args.args else ""
    names = {n.id for n in subtree(value) if isinstance(n, ast.Name)}
    return (
        first == "self" and "self" in names and not names & (parameter_names(function) - {"self"})
    )


def _is_whole(module: Module, statement: ast.Assign) -> bool:
    target = statement.targets[0]
    return len(statement.targets) == 1 and isinstance(target, ast.Attribute)


def _is_attribute(value: ast.expr, path: str) -> bool:
    return isinstance(value, ast.Attribute) and value.attr == path and root_name(value) == "self"


def _is_kept(function: ast.AST, name: str) -> bool:
    """Tell whether a local object is also given to an attribute or to other code."""
    for node in subtree(function):
        if not (isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load)):
            continue
        above = getattr(node, "lm_parent", None)
        if isinstance(above, ast.Assign):
            return True
        if isinstance(above, ast.Call) and above.func is not node:
            func = above.func
            if not (isinstance(func, ast.Attribute) and func.attr in ("log", "log_dict")):
                return True
    return False


def _hands_over(call: LogCall) -> bool:
    """Tell whether a callback makes something an attribute of a module."""
    for cls in call.cls.mro():
        for node in subtree(cls.node):
            name = getattr(node, "attr", None) or getattr(node, "id", None)
            if name in ("add_module", "register_module", "setattr"):
                return True
            is_set = isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
            if is_set and root_name(node) != "self":
                return True
    return False
