"""Custom metrics that lack a method which ``Metric`` leaves to them, and what makes them."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from lintmetrics.model.made_metrics import is_expected_to_fail
from lintmetrics.model.metric_classes import MetricClass
from lintmetrics.project import Module
from lintmetrics.tree import subtree

_WANTED = ("update", "compute")


def missing_methods(metric: MetricClass) -> list[str]:
    """Return which of ``update`` and ``compute`` a class surely lacks."""
    order = metric.cls.mro()
    if any(cls.node.decorator_list or cls.node.keywords for cls in order):
        return []
    if any("__new__" in cls.namespace or "__getattr__" in cls.namespace for cls in order):
        return []
    lacking = [name for name in _WANTED if not any(name in cls.namespace for cls in order)]
    if not lacking or any(_gives(module, name) for module in metric.users() for name in lacking):
        return []
    return lacking


def makers(metric: MetricClass) -> Iterator[tuple[Module, ast.Call]]:
    """Yield the calls of the project that make an object of a class."""
    for module in metric.users():
        for call in module.calls:
            if module.resolve(call.func) is metric.cls and not is_expected_to_fail(module, call):
                yield module, call


def _gives(module: Module, name: str) -> bool:
    """Tell whether code gives a class a method from outside."""
    return any(
        (isinstance(node, ast.Attribute) and node.attr == name and isinstance(node.ctx, ast.Store))
        or (isinstance(node, ast.Constant) and node.value in (name, "__abstractmethods__"))
        for node in subtree(module.tree)
    )
