"""Metrics that get their keys from the names of their classes."""

from __future__ import annotations

import ast
import re

from lintmetrics.model.metric_api import LIBRARY, OLD_LIBRARY, MetricCall
from lintmetrics.project import Module
from lintmetrics.tree import own_nodes

_NAMES_BY_CLASS = re.compile(
    r"MetricCollection\(\s*(?!\{|\[\s*\]|\))"
    r"|metric\w*\.__class__\.__name__|type\(\w*metric\w*\)\.__name__"
    r"|\.__class__\.__name__\)?\.lower\("
)


def is_named_by_class(call: MetricCall) -> bool:
    """Tell whether a metric may get to where its class gives it a key.

    With a task the object is of another class, and the key of a MetricCollection another.
    """
    module = call.module
    node: ast.AST = call.node
    parent = module.parent(node)
    while isinstance(parent, (ast.IfExp, ast.BoolOp, ast.List, ast.Tuple)):
        node, parent = parent, module.parent(parent)
    if isinstance(parent, (ast.Assign, ast.AnnAssign)):
        targets = parent.targets if isinstance(parent, ast.Assign) else [parent.target]
        if any(_is_collected(module, ast.unparse(target)) for target in targets):
            return True
        if not any(_is_handed_on(module, target) for target in targets):
            return False
    elif isinstance(parent, ast.Call):
        if parent.func is node or _is_of_library(module, parent):
            return False
    elif not isinstance(parent, (ast.Return, ast.arguments)):
        return False
    known: dict[str, bool] = module.project.__dict__
    if "_lm_names_by_class" not in known:
        known["_lm_names_by_class"] = bool(module.project.mentioning(_NAMES_BY_CLASS))
    return known["_lm_names_by_class"]


def _is_of_library(module: Module, call: ast.Call) -> bool:
    return (module.qualified(call.func) or "").startswith((LIBRARY, OLD_LIBRARY, "torch."))


def _is_handed_on(module: Module, target: ast.expr) -> bool:
    """Tell whether a local variable is an argument of a call of the project's own."""
    function = module.enclosing_function(target)
    if function is None or not isinstance(target, ast.Name):
        return False
    return any(
        isinstance(node, ast.Call)
        and not _is_of_library(module, node)
        and any(
            isinstance(given, ast.Name) and given.id == target.id
            for given in (*node.args, *(keyword.value for keyword in node.keywords))
        )
        for node in own_nodes(function)
    )


def _is_collected(module: Module, name: str) -> bool:
    """Tell whether a variable goes into a MetricCollection that has no keys of its own."""
    for node in module.calls:
        if not (module.qualified(node.func) or "").endswith(".MetricCollection"):
            continue
        for argument in node.args:
            given = argument.elts if isinstance(argument, (ast.List, ast.Tuple)) else [argument]
            if any(ast.unparse(item) == name for item in given):
                return True
    return False
