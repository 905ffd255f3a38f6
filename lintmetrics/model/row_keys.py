"""The keys by which Lightning places a row, and what is logged under them."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from lintmetrics.model.hooks import is_batch_hook
from lintmetrics.model.values import Form, Number, options
from lintmetrics.tree import subtree

if TYPE_CHECKING:
    from lintmetrics.model.log_calls import LogCall, LogContext

_KEYS = ("step", "epoch")
_MEASURED = frozenset((Form.MEAN, Form.SUM, Form.HITS, Form.RATIO, Form.METRIC))


def taken(call: LogCall) -> tuple[LogContext, str] | None:
    """Return the way in which a call misplaces its row, with what it logs; ``None`` for none."""
    off = call.argument("logger")
    if isinstance(off, ast.Constant) and off.value is False:
        return None
    for way in call.contexts:
        if way.key not in _KEYS or (way.on_step is not False and way.on_epoch is not False):
            continue  # With both levels, the keys are step_step and step_epoch.
        what = _misplaced(call, way)
        if what:
            return way, what
    return None


def _misplaced(call: LogCall, way: LogContext) -> str:
    value = call.value_node
    found = options(way.value)
    if found and all(isinstance(v, Number) and v.form in _MEASURED for v in found):
        return "a measured number"
    if value is None:
        return ""
    if isinstance(value, ast.Name) and _is_batch_number(call, way, value.id):
        return "the number of the batch"
    counts = any(isinstance(n, ast.Attribute) and n.attr == "global_step" for n in subtree(value))
    if (
        counts
        and is_batch_hook(way.hook)
        and way.hook.startswith(("training", "on_train"))
        and way.on_epoch
        and way.averaged
    ):
        return "the mean of the steps of an epoch"
    return ""


def _is_batch_number(call: LogCall, way: LogContext, name: str) -> bool:
    """Tell whether a name is the number of the batch that its hook is given."""
    function = call.function
    if function is None or function.name != way.hook or "step" not in way.hook:
        return False
    names = [argument.arg for argument in function.args.args]
    stored = any(
        isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Store)
        for node in subtree(function)
    )
    return len(names) > 2 and names[2] == name and not stored
