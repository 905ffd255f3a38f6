"""Scores of several classes that, averaged over samples, are nothing but the accuracy.

Source: measured on torchmetrics 1.9.0 with random predictions of five classes; precision, recall,
F-beta and F1 with ``average="micro"`` are equal to the micro accuracy to the last bit.
"""

from __future__ import annotations

import ast
import re

from lintmetrics.model.metric_api import MetricCall
from lintmetrics.model.metric_migration import migrate

_SCORES = frozenset(("F1Score", "FBetaScore", "Precision", "Recall"))
_ONLY = ("ignore_index", "top_k", "multidim_average", "mdmc_average", "mdmc_reduce", "reduction")
_SAYS_MICRO = re.compile(r"micro", re.I)


def is_accuracy(call: MetricCall) -> str:
    """Return how a call asks for the accuracy under another name; empty when it does not."""
    family = call.family
    if family.removeprefix("Multiclass") not in _SCORES or call.bound is not None:
        return ""
    if any(argument.parameter is None for argument in call.arguments):
        return ""
    if any(call.argument(name) is not None for name in _ONLY):
        return ""
    given = call.argument("average")
    average = call.literal("average") if given is not None else ""
    if given is not None and (average != "micro" or _is_named_micro(call)):
        return ""
    if given is None and family.startswith("Multiclass"):
        return ""  # The classes of one task have another default.
    if not family.startswith("Multiclass") and _task(call) != "multiclass":
        return ""
    return 'with average="micro"' if given is not None else "of several classes"


def _task(call: MetricCall) -> str:
    """Return the task of a call, of today or as it has to be told it today."""
    if not call.is_old and call.move is None:
        task = call.literal("task")
        return task if isinstance(task, str) else ""
    plan = migrate(call)
    written = " ".join((*plan.first, *plan.last, *(text or "" for text in plan.changed.values())))
    if plan.blocked or plan.instead or plan.target or "average" in written:
        return ""
    task = call.literal("task")
    return plan.task or (task if isinstance(task, str) else "")


def _is_named_micro(call: MetricCall) -> bool:
    """Tell whether what a call makes has a name that says how it is averaged."""
    module = call.module
    for above in module.ancestors(call.node):
        if isinstance(above, ast.Dict):
            names = [k for k, v in zip(above.keys, above.values, strict=True) if _holds(v, call)]
            if any(k is not None and _SAYS_MICRO.search(module.source.segment(k)) for k in names):
                return True
        if isinstance(above, (ast.Assign, ast.AnnAssign)):
            targets = above.targets if isinstance(above, ast.Assign) else [above.target]
            return any(_SAYS_MICRO.search(module.source.segment(t)) for t in targets)
        if isinstance(above, ast.Call):
            first = above.args[0] if above.args else None
            if first is not None and _SAYS_MICRO.search(module.source.segment(first)):
                return first is not call.node
        if isinstance(above, ast.stmt):
            break
    return False


def _holds(node: ast.AST, call: MetricCall) -> bool:
    return any(inner is call.node for inner in ast.walk(node))
