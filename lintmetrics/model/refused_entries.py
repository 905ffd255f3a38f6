"""What Metric objects compute as a dict, and ``self.log_dict`` refuses an entry of."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from lintmetrics.model.made_metrics import MadeMetric, made_metric, members_of
from lintmetrics.model.refused_values import RefusedValue, answer_of, computes_dict
from lintmetrics.model.tensors import bindings, constant
from lintmetrics.model.torchmetrics_versions import is_past
from lintmetrics.model.values import Metric, options
from lintmetrics.releases import reaches
from lintmetrics.tree import subtree

if TYPE_CHECKING:
    from lintmetrics.model.log_calls import LogCall
    from lintmetrics.project import Module

_PRECISION = ("MeanAveragePrecision", "MAP")
_OF_DICTS = ("MultitaskWrapper",)  # These have items(), as a dict.
_STEPS = 6  # From one name to the next.
_LOOKS = frozenset(("print", "len", "log_dict", "update", "info", "debug", "append"))


def refused_entry(call: LogCall) -> RefusedValue | None:
    """Return why a dict of what metrics computed cannot be logged; ``None`` where it may be."""
    made = call.value_node
    if made is None and call.is_dict and call.entry is not None and "*" in call.entry:
        made = call.node.args[0] if call.node.args else None  # All of a dict, under new keys.
    elif call.entry is not None:
        return None
    if made is None:
        return None
    found = _of_object(call, made) if call.is_dict and call.entry is None else None
    found = found or _of_computed(call, made)
    target = call.module.project.target_lightning
    return found if found is not None and reaches(target, found.since) else None


def _of_object(call: LogCall, made: ast.expr) -> RefusedValue | None:
    """Return what is wrong with a Metric object that ``log_dict`` is given."""
    known = {option for way in call.contexts for option in options(way.value)}
    if len(known) != 1:
        return None
    (metric,) = known
    if not isinstance(metric, Metric) or metric.custom is not None:
        return None
    last = metric.name.rpartition(".")[2]
    if not metric.is_collection:
        if last in _OF_DICTS or metric.container:
            return None
        return RefusedValue("a Metric object in place of a dict", "object", "1.0", made)
    for name, member in metric.members:
        last = member.name.rpartition(".")[2]
        if member.custom is not None or member.is_collection:
            continue
        what = answer_of(member.name, member.constructor)
        if what is None and computes_dict(last):
            what = f"what {last} computes, a dict"
        if what is not None:
            return RefusedValue(f'a collection in which "{name}" is {what}', "member", "1.7", made)
    return None


def _of_computed(call: LogCall, made: ast.expr) -> RefusedValue | None:
    """Return what is wrong with an entry of what a Metric object computed."""
    module = call.module
    if not call.is_dict:
        over = _loop_over(module, call)
        if over is None:
            return None
        made = over
    metric = _computed(module, made, made, _STEPS)
    if metric is None:
        return None
    for what in _entries(metric):
        return RefusedValue(f"a dict with {what}", "entry", "1.7", made)
    return None


def _entries(metric: MadeMetric) -> Iterator[str]:
    """Yield the entries of what an object computes that are not one number each."""
    if metric.is_collection:
        for member in members_of(metric):
            if member.cls is None:
                what = answer_of(member.name, member.call)
                if what is not None:
                    yield what
                yield from _entries(member)
        return
    if metric.cls is not None or metric.short not in _PRECISION:
        return
    given = {k.arg: constant(metric.module, k.value) for k in metric.call.keywords}
    if given.get("extended_summary") is True:
        yield '"ious", a dict for each pair of image and class'
    elif given.get("class_metrics") is True:
        yield '"map_per_class" and others, one element for each class'
    elif is_past("0.11", metric.module.project):
        yield '"classes", one element for each class that occurs'


def _loop_over(module: Module, call: LogCall) -> ast.expr | None:
    """Return the dict whose every value a loop logs; ``None`` for no such loop."""
    value = call.value_node
    statement = module.parent(call.node)
    loop = module.parent(statement) if statement is not None else None
    if not isinstance(value, ast.Name) or not isinstance(loop, ast.For) or loop.orelse:
        return None
    target, over = loop.target, loop.iter
    if not (isinstance(target, ast.Tuple) and len(target.elts) == 2 and statement in loop.body):
        return None
    if not isinstance(target.elts[1], ast.Name) or target.elts[1].id != value.id:
        return None
    for before in loop.body:
        if before is statement:
            break
        stores = (n for n in subtree(before) if isinstance(n, ast.Name))
        if any(n.id == value.id and not isinstance(n.ctx, ast.Load) for n in stores):
            return None
        if any(isinstance(n, (ast.Continue, ast.Break)) for n in subtree(before)):
            return None
    return _items_of(over)


def _items_of(over: ast.expr) -> ast.expr | None:
    is_items = (
        isinstance(over, ast.Call)
        and isinstance(over.func, ast.Attribute)
        and over.func.attr == "items"
        and not over.args
    )
    return over.func.value if is_items else None  # type: ignore[attr-defined]


def _computed(module: Module, expr: ast.expr, at: ast.expr, steps: int) -> MadeMetric | None:
    """Return the object all of whose answer an expression holds; ``None`` where not all may be."""
    if steps <= 0:
        return None
    if isinstance(expr, ast.Call):
        func = expr.func
        if isinstance(func, ast.Attribute) and func.attr in ("compute", "forward"):
            return made_metric(module, func.value)
        is_object = isinstance(func, ast.Attribute)
        return made_metric(module, func) if is_object else None
    if isinstance(expr, ast.DictComp) and len(expr.generators) == 1:
        generator = expr.generators[0]
        target, inner = generator.target, _items_of(generator.iter)
        if generator.ifs or inner is None or not isinstance(target, ast.Tuple):
            return None
        last = target.elts[-1]
        if not isinstance(expr.value, ast.Name) or getattr(last, "id", "") != expr.value.id:
            return None
        return _computed(module, inner, at, steps - 1)
    if isinstance(expr, ast.Dict):
        for key, value in zip(expr.keys, expr.values, strict=True):
            found = _computed(module, value, at, steps - 1) if key is None else None
            if found is not None:
                return found
    if isinstance(expr, ast.Name):
        return _of_name(module, expr, at, steps)
    return None


def _of_name(module: Module, name: ast.Name, at: ast.expr, steps: int) -> MadeMetric | None:
    """Return the object whose answer a local name holds, where nothing takes any of it away."""
    function = module.enclosing_function(at)
    if function is None or _may_lose(module, function, name.id):
        return None
    place = (name.lineno, name.col_offset)
    before = [
        statement
        for statement in bindings(module, name.id, function)
        if isinstance(statement, ast.Assign)
        and any(
            isinstance(target, ast.Name) and target.id == name.id for target in statement.targets
        )
        and (statement.end_lineno or statement.lineno, statement.end_col_offset or 0) <= place
    ]
    if not before or module.parent(before[-1]) is not function:
        return None
    return _computed(module, before[-1].value, at, steps - 1)


def _may_lose(module: Module, function: ast.AST, name: str) -> bool:
    """Tell whether code may take something out of what a name holds, or put a number in place."""
    for node in subtree(function):
        if not isinstance(node, ast.Name) or node.id != name:
            continue
        above = module.parent(node)
        if isinstance(node.ctx, ast.Del):
            return True
        if isinstance(above, ast.Attribute) and above.attr not in ("items", "keys", "values"):
            return above.attr not in ("get", "copy", "update")
        if isinstance(above, ast.Subscript) and not isinstance(above.ctx, ast.Load):
            key = above.slice
            if isinstance(above.ctx, ast.Del) or not isinstance(key, ast.Constant):
                return True
            if key.value in ("classes", "map_per_class", "mar_100_per_class", "ious"):
                return True
        if isinstance(above, ast.Call) and above.func is not node:
            func = above.func
            called = func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")
            if called not in _LOOKS:
                return True
    return False
