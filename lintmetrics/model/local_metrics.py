"""Metric objects that a hook makes for itself, batch by batch, and how they become attributes."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from lintmetrics.edits import CannotEdit, FunctionNode
from lintmetrics.model import hooks, loaders, logged_values
from lintmetrics.model.log_calls import LogCall
from lintmetrics.model.values import Metric, options
from lintmetrics.project import Module
from lintmetrics.tree import own_nodes, subtree

# Where an object goes that lives with the module: there by itself.
_DEVICE = frozenset(("to", "cuda", "cpu"))


def logged_locals(call: LogCall) -> Iterator[Metric]:
    """Yield the objects that a log call is given and that its own function makes."""
    if call.is_dict or call.function is None or not call.cls.is_kind("LightningModule"):
        return
    if any(keyword.arg in (None, "metric_attribute") for keyword in call.node.keywords):
        return
    seen: set[ast.Call] = set()
    for way in call.contexts:
        for metric in options(way.value):
            if not isinstance(metric, Metric) or metric.path or metric.constructor is None:
                continue
            made = metric.constructor
            if metric.module is not call.module or made in seen:
                continue
            if call.module.enclosing_function(made) is not call.function or metric.is_collection:
                continue
            seen.add(made)
            if not _is_kept(call.module, made):
                yield metric


def _is_kept(module: Module, made: ast.Call) -> bool:
    """Tell whether an object also goes to an attribute or to other code, which may register it."""
    whole = _with_device(module, made)
    above = module.parent(whole)
    if isinstance(above, (ast.keyword, ast.Call)):
        return False
    if not isinstance(above, ast.Assign) or len(above.targets) != 1:
        return True
    target = above.targets[0]
    function = module.enclosing_function(made)
    if not isinstance(target, ast.Name) or function is None:
        return True
    for node in subtree(function):
        if not isinstance(node, ast.Name) or node.id != target.id or node is target:
            continue
        place = module.parent(node)
        if isinstance(place, ast.Call) and place.func is not node and not _is_log(place):
            return True
        if isinstance(place, (ast.Assign, ast.Return, ast.Dict, ast.List, ast.Tuple)):
            return True
    return False


def _is_log(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute) and call.func.attr == "log"


@dataclass(frozen=True)
class LocalMetric:
    """An object in a local name of a function, and all that is done with it.

    Args:
        module, function: where; ``made``: the call of the class.
        statement: the statement that makes it; ``None`` where it is made and called in one.
        mentions: every other place of its name.
    """

    module: Module
    function: FunctionNode
    made: ast.Call
    statement: ast.Assign | None
    mentions: tuple[ast.Name, ...]


def local_metric(module: Module, made: ast.Call) -> LocalMetric:
    """Return the local name of an object that a function makes.

    Raises:
        CannotEdit: it is made under a condition or in a loop, or kept in more than one name.
    """
    function = module.enclosing_function(made)
    line = made.lineno
    if function is None:
        raise CannotEdit(f"the object at line {line} is made in no method")
    whole = _with_device(module, made)
    above = module.parent(whole)
    if isinstance(above, ast.Call) and above.func is whole:
        return LocalMetric(module, function, made, None, ())
    if not isinstance(above, ast.Assign) or above.value is not whole:
        raise CannotEdit(f"the object made at line {line} goes to more than a name")
    target = above.targets[0]
    if len(above.targets) != 1 or not isinstance(target, ast.Name):
        raise CannotEdit(f"the object made at line {line} goes to more than a name")
    if above not in function.body:
        raise CannotEdit(f"the object at line {line} is made under a condition")
    names = [
        node for node in subtree(function) if isinstance(node, ast.Name) and node.id == target.id
    ]
    if any(not isinstance(node.ctx, ast.Load) for node in names if node is not target):
        raise CannotEdit(f"{target.id} at line {line} is also another value")
    if any(node not in own for node in names for own in [set(own_nodes(function))]):
        raise CannotEdit(f"{target.id} at line {line} is used in a nested function")
    return LocalMetric(
        module, function, made, above, tuple(node for node in names if node is not target)
    )


def _with_device(module: Module, made: ast.Call) -> ast.expr:
    """Return a constructor's call with the moves to a device behind it."""
    whole: ast.expr = made
    while True:
        attribute = module.parent(whole)
        call = module.parent(attribute) if attribute is not None else None
        if (
            isinstance(attribute, ast.Attribute)
            and attribute.attr in _DEVICE
            and isinstance(call, ast.Call)
            and call.func is attribute
        ):
            whole = call
            continue
        return whole


def require_one_object(call: LogCall) -> tuple[str, str]:
    """Return the key and the loop of a log call that one object of the module can serve.

    Raises:
        CannotEdit: several loops, loaders or keys come by.
    """
    contexts = call.contexts
    line = call.node.lineno
    if any(not hooks.is_batch_hook(context.hook) for context in contexts):
        raise CannotEdit(f"the log call at line {line} also runs in an epoch-end hook")
    keys = {context.key for context in contexts}
    stages = {context.stage for context in contexts}
    key = next(iter(keys), None)
    if len(keys) != 1 or len(stages) != 1 or key is None or "*" in key:
        raise CannotEdit(f"the log call at line {line} runs with several keys or in several loops")
    for above in call.module.ancestors(call.node):
        if isinstance(above, (ast.For, ast.While, ast.AsyncFor)):
            raise CannotEdit(f"the log call stands in the loop at line {above.lineno}")
        if above is call.function:
            break
    owner = call.module.enclosing_class(call.node)
    if owner is None or not owner.is_kind("LightningModule"):
        raise CannotEdit(f"the log call at line {line} stands in no LightningModule")
    step, idle = logged_values.told_dataloader(list(contexts), owner)
    stage = next(iter(stages))
    if step and (not idle or loaders.how_many(owner, stage) > 1):
        raise CannotEdit(f"{step} serves several dataloaders, which want an object each")
    return key, stage
