"""List states of a custom Metric, and where ``compute`` makes one tensor of them."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from lintmetrics.model.metric_classes import MetricClass, State, is_self, name_of
from lintmetrics.project import FunctionInfo
from lintmetrics.tree import subtree

_JOINS = frozenset(
    (
        *("torch.cat", "torch.concat", "torch.concatenate", "torch.stack", "torch.hstack"),
        *("torch.vstack",),
    )
)
_LOOKS = frozenset(("isinstance", "is_tensor", "type", "torch.is_tensor"))


def concatenations(metric: MetricClass) -> Iterator[tuple[FunctionInfo, ast.Call, State]]:
    """Yield where ``compute`` joins a list state that several processes hold joined.

    Not where the code looks first what it has, or is ready for an error; only in methods that the
    class itself defines, and that look at states that it or its bases declare.
    """
    for method in metric.computes:
        if method.cls is not metric.cls:
            continue
        for call in subtree(method.node):
            if not isinstance(call, ast.Call) or not call.args:
                continue
            given = call.args[0]
            if not isinstance(given, ast.Attribute) or not is_self(given.value, method.node):
                continue
            state = metric.state(given.attr)
            if state is None or state.kind != "list" or state.reduction != "cat":
                continue
            if name_of(method.module, call) not in _JOINS:
                continue
            if not _is_guarded(metric, method, call, state.name):
                yield method, call, state


def _is_guarded(metric: MetricClass, method: FunctionInfo, call: ast.Call, name: str) -> bool:
    """Tell whether a join runs only where the state is a list."""
    for above in method.module.ancestors(call):
        if isinstance(above, ast.Try):
            return True
        if above is method.node:
            break
    if any(change.attribute == name for change in metric.compute_changes):
        return True  # It may be made a list again.
    for node in subtree(method.node):
        if isinstance(node, ast.Call):
            func = node.func
            last = func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")
            if last in _LOOKS and any(
                isinstance(inner, ast.Attribute) and inner.attr == name for inner in subtree(node)
            ):
                return True
        elif isinstance(node, ast.Attribute) and node.attr in ("sync_on_compute", "_is_synced"):
            return True
    return False
