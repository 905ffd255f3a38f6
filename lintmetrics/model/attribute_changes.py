"""Attributes of a module over its life: those assigned anew, and those that forget."""

from __future__ import annotations

import ast

from lintmetrics.edits import FunctionNode
from lintmetrics.model import hooks
from lintmetrics.project import ClassInfo
from lintmetrics.tree import subtree


def _touched(method: FunctionNode) -> tuple[frozenset[str], frozenset[str]]:
    """Return the attributes of ``self`` that a method assigns, and those that it calls."""
    known = method.__dict__.get("lm_touched")
    if known is None:
        assigned: set[str] = set()
        called: set[str] = set()
        for node in subtree(method):
            if isinstance(node, ast.Call):
                func = node.func
                if isinstance(func, ast.Attribute) and isinstance(func.value, ast.Name):
                    called.add(func.attr)
            elif (
                isinstance(node, ast.Attribute)
                and isinstance(node.ctx, ast.Store)
                and isinstance(node.value, ast.Name)
                and node.value.id == "self"
            ):
                assigned.add(node.attr)
        known = method.__dict__["lm_touched"] = (frozenset(assigned), frozenset(called))
    touched: tuple[frozenset[str], frozenset[str]] = known
    return touched


def reassigned(cls: ClassInfo) -> frozenset[str]:
    """Return the attributes that methods assign which run after the setting up, or may."""
    methods: dict[str, list[FunctionNode]] = {}
    for base in cls.mro():
        for name, method in base.methods.items():
            methods.setdefault(name, []).append(method)
    setting_up = {name: None for name in hooks.SETUP if name in methods}
    waiting = list(setting_up)
    while waiting:
        for method in methods[waiting.pop()]:
            for name in _touched(method)[1] & (methods.keys() - setting_up.keys()):
                setting_up[name] = None
                waiting.append(name)
    return frozenset(
        attribute
        for name, defined in methods.items()
        if name not in setting_up
        for method in defined
        for attribute in _touched(method)[0]
    )


def windows(cls: ClassInfo) -> frozenset[str]:
    """Return the attributes that are a deque, which holds the last values and not an epoch's."""
    names: set[str] = set()
    for base in cls.mro():
        for call in base.module.calls:
            function = call.func
            last = function.attr if isinstance(function, ast.Attribute) else function
            if (last.id if isinstance(last, ast.Name) else last) != "deque":
                continue
            statement = base.module.statement(call)
            targets = getattr(statement, "targets", [getattr(statement, "target", None)])
            names |= {t.attr for t in targets if isinstance(t, ast.Attribute)}
    return frozenset(names)
