"""Which values of a step are surely one number, as ``self.log`` wants them.

A mean over the stacked outputs of an epoch takes vectors as well, and ``self.log`` raises on them
(lightning 2.6.6). What is not surely one number here may be one all the same.
"""

from __future__ import annotations

import ast
import re

from lintmetrics.edits import FunctionNode
from lintmetrics.model.epoch_hooks import returns
from lintmetrics.model.values import (
    UNKNOWN,
    Const,
    Form,
    Map,
    Number,
    Origin,
    Seq,
    Value,
    each,
    options,
)
from lintmetrics.project import ClassInfo
from lintmetrics.tree import own_nodes

_ONE = frozenset((Form.MEAN, Form.SUM, Form.HITS, Form.COUNT, Form.RATIO))
_SEVERAL = re.compile(r"curve|confusion|matrix|stat_scores|roc$|per_class|report", re.I)
_PER_CLASS = ("none", None, ...)


def is_one_number(value: Value) -> bool:
    """Tell whether a value is a number, or a tensor of one element, whatever happens."""
    found = options(value)
    return bool(found) and all(_is_one(option) for option in found)


def _is_one(value: Value) -> bool:
    if isinstance(value, Const):
        return isinstance(value.value, (int, float))
    if not isinstance(value, Number):
        return False
    if value.form is Form.METRIC:
        return bool(value.origins) and all(_answers_one(origin) for origin in value.origins)
    return value.form in _ONE


def _answers_one(origin: Origin) -> bool:
    """Tell whether a metric answers with one number, not with one for each class or sample."""
    if _SEVERAL.search(origin.name.rsplit(".", 1)[-1]):
        return False
    if origin.metric is not None and (origin.metric.custom or origin.metric.is_collection):
        return False
    call = origin.metric.constructor if origin.metric is not None else origin.node
    for made in (call, origin.bound):
        if not isinstance(made, ast.Call):
            continue
        for keyword in made.keywords:
            if keyword.arg is None:
                return False
            if keyword.arg in ("average", "reduction", "multidim_average", "output_dict"):
                given = keyword.value.value if isinstance(keyword.value, ast.Constant) else ...
                if given in _PER_CLASS or given in ("samplewise", True):
                    return False
    return True


def part_of(value: Value, path: tuple[str | int, ...]) -> Value:
    """Return what a value holds under keys and indices."""
    for key in path:

        def inner(option: Value, key: str | int = key) -> Value:
            if isinstance(option, Map) and isinstance(key, str):
                return option.get(key)
            if isinstance(option, Seq) and isinstance(key, int) and key < len(option.items):
                return option.items[key]
            return UNKNOWN

        value = each(value, inner)
    return value


def is_logged_in(step: FunctionNode, name: str) -> bool:
    """Tell whether a step hands a name to ``self.log`` as it is, which takes one number only."""
    return any(
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "log"
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "self"
        and any(
            isinstance(given, ast.Name) and given.id == name
            for given in (*node.args[1:2], *(k.value for k in node.keywords if k.arg == "value"))
        )
        for node in own_nodes(step)
    )


def is_made_as_loss(cls: ClassInfo, step: FunctionNode, value: ast.expr) -> bool:
    """Tell whether ``training_step`` gives what the same function made for its loss.

    A loss that is trained on is one number.
    """
    info = cls.lookup("training_step")
    if info is None:
        return False
    made = _maker(step, value)
    if made is None:
        return False
    return any(
        node.value is not None and _maker(info.node, _loss_in(info.node, node.value)) == made
        for node in returns(info.node)
    )


def _loss_in(step: FunctionNode, value: ast.expr) -> ast.expr:
    """Return the loss in what a training step returns, or all of it where it is no dict display."""
    shown = _assigned(step, value.id)[0] if isinstance(value, ast.Name) else value
    if isinstance(shown, ast.Dict):
        for key, item in zip(shown.keys, shown.values, strict=True):
            if isinstance(key, ast.Constant) and key.value == "loss":
                return item
    return value


def _maker(step: FunctionNode, value: ast.expr) -> tuple[str, int | None] | None:
    """Return the function that makes a value in a step, and which part of its answer it is."""
    index: int | None = None
    for _ in range(4):
        if not isinstance(value, ast.Name):
            break
        found, place = _assigned(step, value.id)
        if found is None or (place is not None and index is not None):
            return None
        value, index = found, place if place is not None else index
    if not isinstance(value, ast.Call):
        return None
    named = sorted(ast.unparse(k) for k in value.keywords if isinstance(k.value, ast.Constant))
    return ast.unparse(value.func) + "".join(named), index


def _assigned(step: FunctionNode, name: str) -> tuple[ast.expr | None, int | None]:
    """Return the only value that a name is given in a step, and the place in it."""
    found: list[tuple[ast.expr | None, int | None]] = []
    for node in own_nodes(step):
        if not (isinstance(node, ast.Name) and node.id == name) or isinstance(node.ctx, ast.Load):
            continue
        holder = getattr(node, "lm_parent", None)
        place: int | None = None
        if isinstance(holder, ast.Tuple):
            place = holder.elts.index(node)
            holder = getattr(holder, "lm_parent", None)
        found.append((holder.value if isinstance(holder, ast.Assign) else None, place))
    return found[0] if len(found) == 1 else (None, None)
