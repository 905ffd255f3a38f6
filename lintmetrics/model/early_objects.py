"""Metric objects and states that ``__init__`` makes before the base can take them."""

from __future__ import annotations

import ast

from lintmetrics.model.made_metrics import made_metric
from lintmetrics.model.metric_classes import is_self
from lintmetrics.project import ClassInfo, Module
from lintmetrics.tree import own_nodes, subtree

_CONTAINERS = frozenset(("torch.nn.ModuleDict", "torch.nn.ModuleList"))


def early_object(cls: ClassInfo) -> tuple[ast.stmt, str, bool] | None:
    """Return what a class first makes before ``super().__init__()``: the statement, and what.

    The third part tells whether the constructor of the base is called at all.
    """
    init = cls.methods.get("__init__")
    if init is None or not cls.is_kind("nn.Module") or init.decorator_list:
        return None
    if any("__setattr__" in one.namespace or "__new__" in one.namespace for one in cls.mro()):
        return None
    found: list[tuple[ast.stmt, str]] = []
    is_started = False
    for statement in init.body:
        if _may_start(statement, init):
            is_started = True
            break
        made = _made(cls.module, statement, init)
        if made:
            found.append((statement, made))
    if not is_started and (cls.is_kind("Metric") or cls.subclasses or cls.node.decorator_list):
        # Another rule speaks of a metric that leaves its base out; a class below may call it.
        return None
    if is_started and not any(_is_start(node) for node in own_nodes(init)):
        return None
    if found:
        return found[0][0], found[0][1], is_started
    return None


def _may_start(statement: ast.stmt, init: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Tell whether a statement may run the constructor of a base, or anything of the object."""
    for node in subtree(statement):
        if _is_start(node) or (isinstance(node, ast.Name) and node.id == "super"):
            return True
        if isinstance(node, (ast.Return, ast.Yield)):
            return True
        if isinstance(node, ast.Call):
            func = node.func
            given = (*node.args, *(keyword.value for keyword in node.keywords))
            if any(is_self(argument, init) for argument in given):
                return True
            called = isinstance(func, ast.Attribute) and is_self(func.value, init)
            if called and getattr(func, "attr", "") != "add_state":
                return True
    return False


def _is_start(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and node.attr in ("__init__", "__dict__", "__setstate__")


def _made(module: Module, statement: ast.stmt, init: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    """Return what a statement gives the object: an attribute with a Metric, or a state."""
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        func = statement.value.func
        adds = isinstance(func, ast.Attribute) and func.attr == "add_state"
        return "a state" if adds and is_self(func.value, init) else ""  # type: ignore[attr-defined]
    if not isinstance(statement, (ast.Assign, ast.AnnAssign)) or statement.value is None:
        return ""
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    for target in targets:
        if isinstance(target, ast.Attribute) and is_self(target.value, init):
            value = statement.value
            if made_metric(module, value) is not None or _holds_metrics(module, value):
                return f"self.{target.attr}"
    return ""


def _holds_metrics(module: Module, value: ast.expr) -> bool:
    """Tell whether an expression is a container of torch with Metric objects in it."""
    if not isinstance(value, ast.Call) or module.qualified(value.func) not in _CONTAINERS:
        return False
    return any(
        isinstance(node, ast.Call) and made_metric(module, node) is not None
        for argument in value.args
        for node in subtree(argument)
    )
