"""States of a custom Metric that a call of the object puts together otherwise than ``update``.

With ``full_state_update = False``, a call begins with the defaults, updates them with the batch,
and joins what comes out with what was there as ``dist_reduce_fx`` says (torchmetrics 1.9.0,
metric.py, ``_forward_reduce_state_update``). That is right where ``update`` only adds to a sum or
keeps an extreme; it is another number where ``update`` looks at what it has.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from lintmetrics.model.metric_classes import Change, MetricClass, State, is_self
from lintmetrics.model.tensors import constant
from lintmetrics.project import FunctionInfo, Module
from lintmetrics.tree import subtree

_SCALES = (ast.Mult, ast.Div, ast.FloorDiv, ast.Pow, ast.MatMult)
_SCALING_METHODS = frozenset(("mul_", "div_"))
_GROWS = frozenset(("add", "append", "extend", "cat"))
# What keeps the value of a tensor, or makes one number of it.
_VALUES = frozenset(
    ("item", "float", "long", "int", "double", "sum", "mean", "max", "min", "clone", "detach")
)
_ORDERS = (ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Eq, ast.NotEq)
_SMALLEST = 1e-3  # A default below it keeps a quotient finite, and changes no number.


@dataclass(frozen=True)
class Misjoined:
    """A state that a call of the object makes another value of.

    Args:
        state: the state; ``module``, ``node``: the place in ``update``, or its declaration.
        why: what ``update`` does, in words.
        doubt: why a person decides what is meant; empty where the full state is right.
    """

    state: State
    module: Module
    node: ast.AST
    why: str
    doubt: str = ""


def misjoined(metric: MetricClass) -> Iterator[Misjoined]:
    """Yield the states of a class that ``full_state_update = False`` is wrong about."""
    if metric.flag("full_state_update") is not False:
        return
    own = ("forward", "_forward_reduce_state_update", "_reduce_states", "__call__")
    if any(metric.cls.lookup(name) is not None for name in own):
        return
    for state in metric.states:
        if state.cls is not metric.cls or metric.state(state.name) is not state:
            continue
        if not metric.reads(metric.computes, state.name):
            continue
        found = next(_of_state(metric, state), None)
        if found is not None:
            yield found


def _of_state(metric: MetricClass, state: State) -> Iterator[Misjoined]:
    moves = metric.changed(state.name)
    summed = state.kind == "tensor" and state.reduction in ("sum", "mean")
    for move in moves:
        if summed and _is_scaled(state, move):
            yield Misjoined(state, move.module, move.node, "update changes what it has of it")
    if summed and moves and all(move.kind == "add" for move in moves):
        if state.reduction == "sum" and _begins_above_zero(state):
            why, doubt = "it does not begin at 0", "whether each process begins there as well"
            yield Misjoined(state, state.module, state.call, why, f"{doubt} is for you to say")
        if state.reduction == "mean" and not _has_company(metric, state):
            doubt = (
                "say full_state_update = True for the sum, or divide by a count that is added up"
            )
            why = "update adds to it, while a call averages the batches"
            yield Misjoined(state, state.module, state.call, why, doubt)
    if not summed and not (state.kind == "list" and state.reduction in ("cat", "")):
        return
    for move in moves:
        if move.kind in _GROWS or (move.kind == "set" and _is_of_batch(move)):
            other = _looked_at(metric, move)
            if other:
                why = f"what update does to it depends on self.{other}"
                yield Misjoined(state, move.module, move.node, why)


def _is_scaled(state: State, move: Change) -> bool:
    """Tell whether a change multiplies or divides what a state has."""
    if move.kind != "rescale":
        return False
    node = move.node
    if isinstance(node, ast.AugAssign):
        return isinstance(node.op, _SCALES)
    if isinstance(node, ast.Call):
        func = node.func
        return isinstance(func, ast.Attribute) and func.attr in _SCALING_METHODS
    if move.value is None:
        return False
    return any(
        _is_state(move.method, inner, state.name) and _is_under_scale(move, inner)
        for inner in subtree(move.value)
    )


def _is_under_scale(move: Change, node: ast.AST) -> bool:
    """Tell whether a read of a state is a factor of the value that the state gets."""
    below = node
    for above in move.module.ancestors(node):
        if isinstance(above, ast.BinOp):
            if isinstance(above.op, _SCALES):
                other = above.right if below is above.left else above.left
                return constant(move.module, other) not in (1, 1.0)
            if not isinstance(above.op, (ast.Add, ast.Sub)):
                return False
        elif not isinstance(above, ast.UnaryOp):
            return False
        if above is move.value:
            return False
        below = above
    return False


def _begins_above_zero(state: State) -> bool:
    """Tell whether the default of a state is surely not 0."""
    default = state.default
    if not isinstance(default, ast.Call):
        return False
    name = state.module.qualified(default.func) or ""
    value: object = ...
    if name == "torch.ones":
        return True
    if name == "torch.tensor" and default.args:
        value = constant(state.module, default.args[0])
    elif name == "torch.full" and len(default.args) > 1:
        value = constant(state.module, default.args[1])
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return abs(value) >= _SMALLEST


def _has_company(metric: MetricClass, state: State) -> bool:
    """Tell whether another state may make a quotient of a mean of sums."""
    return any(
        other is not state and metric.reads(metric.computes, other.name) for other in metric.states
    )


def _is_of_batch(move: Change) -> bool:
    """Tell whether a state is set to something that a method is given."""
    value = getattr(move.node, "value", None)
    given = {
        one.arg
        for one in ast.walk(move.method.node.args)
        if isinstance(one, ast.arg) and not is_self(ast.Name(one.arg), move.method.node)
    }
    return value is not None and any(
        isinstance(node, ast.Name) and node.id in given for node in subtree(value)
    )


def _looked_at(metric: MetricClass, move: Change) -> str:
    """Return the state whose value decides about a change; empty for none."""
    below: ast.AST = move.node
    if move.value is not None and move.kind in _GROWS:
        for node in subtree(move.value):
            name = _state_read(metric, move.method, node)
            if name and name != move.attribute and _reaches(move, node, move.value):
                return name
    for above in move.module.ancestors(move.node):
        if above is move.method.node:
            return ""
        if isinstance(above, ast.If) and below is not above.test:
            for node in subtree(above.test):
                name = _state_read(metric, move.method, node)
                if name and _is_ordered(move, node, above.test):
                    return name
        below = above
    return ""


def _state_read(metric: MetricClass, method: FunctionInfo, node: ast.AST) -> str:
    """Return the state that a node reads as earlier batches have left it; empty for none."""
    if not isinstance(node, ast.Attribute) or not isinstance(node.ctx, ast.Load):
        return ""
    if not is_self(node.value, method.node) or not metric.is_declared(node.attr):
        return ""
    changes = metric.changed(node.attr)
    if not changes or any(change.kind == "set" for change in changes):
        return ""  # What it is set to may be of this batch.
    return node.attr


def _reaches(move: Change, node: ast.AST, end: ast.AST) -> bool:
    """Tell whether the value that is read is part of a value, and not its type or place alone."""
    below = node
    for above in [*move.module.ancestors(node)]:
        if below is end:
            return True
        if isinstance(above, ast.Attribute):
            if above.attr not in _VALUES:
                return False
        elif isinstance(above, ast.Call):
            func = above.func
            is_length = isinstance(func, ast.Name) and func.id == "len"
            if below is not func and not is_length:
                return False
        elif not isinstance(above, (ast.BinOp, ast.UnaryOp)):
            return False
        below = above
    return False


def _is_ordered(move: Change, node: ast.AST, test: ast.AST) -> bool:
    """Tell whether a condition compares the value that is read."""
    for above in move.module.ancestors(node):
        if isinstance(above, ast.Compare):
            is_order = all(isinstance(op, _ORDERS) for op in above.ops)
            operands = (above.left, *above.comparators)
            return is_order and any(_reaches(move, node, operand) for operand in operands)
        if above is test:
            return False
    return False


def _is_state(method: FunctionInfo, node: ast.AST, name: str) -> bool:
    return (
        isinstance(node, ast.Attribute) and node.attr == name and is_self(node.value, method.node)
    )
