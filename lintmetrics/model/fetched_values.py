"""Logged values that a training step fetches from the device, where the tensor would do."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lintmetrics.model.tensors import bindings
from lintmetrics.model.trails import attribute_value
from lintmetrics.model.values import Form, numbers
from lintmetrics.tree import own_nodes, subtree

if TYPE_CHECKING:
    from lintmetrics.edits import FunctionNode
    from lintmetrics.model.log_calls import LogCall
    from lintmetrics.project import Module

_DEPTH = 6
# What only tensors have, not the arrays and numbers of NumPy.
_OF_TENSORS = frozenset(
    (
        *("detach", "cpu", "cuda", "float", "double", "half", "bfloat16", "long", "int", "bool"),
        *("backward", "requires_grad_", "softmax", "log_softmax", "sigmoid", "unsqueeze"),
    )
)
_NO_TENSOR = frozenset(
    ("item", "tolist", "numpy", "size", "dim", "numel", "nelement", "ndimension", "element_size")
)
# Functions of torch that answer no tensor, or one that lies on the CPU.
_OF_CPU = re.compile(
    r"torch\.(?:tensor|as_tensor|from_numpy|numel|is_\w+|get_\w+|initial_seed|seed|cuda\..*"
    r"|distributed\..*|backends\..*|utils\..*|optim\..*|Generator|device|Size|finfo|iinfo"
    r"|zeros|ones|full|rand\w*|arange|linspace|FloatTensor|Tensor)$"
)
_ELSEWHERE = re.compile(r"(?:numpy|sklearn|scipy|math|statistics|pandas|builtins|time|random)\b")
_NOT_FLOAT = ("long", "int", "bool", "argmax", "argmin", "any", "all", "double")
_RARE = frozenset(("batch_idx", "global_step", "batch_nb", "is_last_batch", "log_every_n_steps"))


@dataclass(frozen=True)
class FetchedValue:
    """A logged value that is fetched from the device.

    Args:
        how: what fetches it, such as ``.item()``.
        calls: every call that fetches it, outermost first.
        tensor: the tensor; ``is_tensor``: whether it surely is one.
    """

    how: str
    calls: tuple[ast.Call, ...]
    tensor: ast.expr
    is_tensor: bool


def fetched(call: LogCall) -> FetchedValue | None:
    """Return how a training step fetches what it logs; ``None`` where it does not."""
    value = call.value_node
    if isinstance(value, ast.DictComp) and call.is_dict and call.entry is None:
        value = value.value
    if value is None or not any(way.hook == "training_step" for way in call.contexts):
        return None
    if not call.cls.is_kind("LightningModule") and not call.cls.is_lightning:
        return None
    function = call.function
    if function is None or _is_rare(call):
        return None
    inner, calls = value, []
    while isinstance(inner, ast.Call) and not inner.keywords:
        func = inner.func
        if isinstance(func, ast.Attribute) and func.attr in ("item", "cpu") and not inner.args:
            calls.append(inner)
            inner = func.value
        elif isinstance(func, ast.Attribute) and func.attr == "detach" and not inner.args:
            inner = func.value
        elif (
            isinstance(func, ast.Name)
            and func.id == "float"
            and len(inner.args) == 1
            and not isinstance(inner.args[0], ast.Starred)
        ):
            calls.append(inner)
            inner = inner.args[0]
        else:
            break
    if not calls:
        return None
    names = [_name(made) for made in calls]
    surely = "cpu" in names or _is_tensor(call, function, inner, _DEPTH) is True
    # Of whole numbers in a tensor, Lightning warns.
    whole = {n.form for way in call.contexts for n in numbers(way.value)} & {Form.HITS, Form.COUNT}
    if whole or _is_other_type(inner):
        surely = False
    if not surely and (names == ["float"] or not _may_be_tensor(call, function, inner)):
        return None
    shown = "float()" if "float" in names and "item" not in names else f".{names[0]}()"
    return FetchedValue(shown, tuple(calls), inner, surely)


def _is_other_type(expr: ast.expr) -> bool:
    """Tell whether what makes a tensor makes whole numbers, truth values, or doubles.

    A number is logged in single precision, a tensor of doubles as it is (run on lightning 2.6.6).
    """
    return (
        isinstance(expr, ast.Call)
        and isinstance(expr.func, ast.Attribute)
        and expr.func.attr in _NOT_FLOAT
    )


def _name(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else "float"


def _is_rare(call: LogCall) -> bool:
    """Tell whether a condition around the call lets it run at some steps only."""
    for above in call.module.ancestors(call.node):
        if isinstance(above, (ast.FunctionDef, ast.AsyncFunctionDef)):
            return False
        if isinstance(above, (ast.If, ast.IfExp, ast.While)):
            for node in subtree(above.test):
                if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod):
                    return True
                name = getattr(node, "id", None) or getattr(node, "attr", None)
                if name in _RARE:
                    return True
    return False


def _is_tensor(call: LogCall, function: FunctionNode, expr: ast.expr, depth: int) -> bool | None:
    """Tell whether an expression is a tensor on the device; ``None`` where that does not show."""
    module = call.module
    if depth <= 0:
        return None
    if isinstance(expr, ast.BinOp):
        sides = [_is_tensor(call, function, side, depth - 1) for side in (expr.left, expr.right)]
        return True if True in sides else None
    if isinstance(expr, ast.UnaryOp):
        return _is_tensor(call, function, expr.operand, depth - 1)
    if isinstance(expr, ast.Call):
        func = expr.func
        name = module.qualified(func) or ""
        if name.startswith("torch."):
            return _OF_CPU.match(name) is None
        if _ELSEWHERE.match(name):
            return False
        if isinstance(func, ast.Attribute):
            if func.attr in _NO_TENSOR:
                return False
            if func.attr in _OF_TENSORS:
                inner = _is_tensor(call, function, func.value, depth - 1)
                return True if inner is None else inner
            if isinstance(func.value, ast.Name) and func.value.id == "self":
                held = attribute_value(call.cls, func.attr)
                made = held[0] if held is not None else None
                if held is not None and isinstance(made, ast.Call):
                    dotted = held[1].qualified(made.func) or ""
                    if dotted.startswith(("torch.nn.", "torchmetrics.")):
                        return True
                return None
            return _is_tensor(call, function, func.value, depth - 1)
        return None
    if _is_trained_on(module, function, expr):
        return True
    if isinstance(expr, ast.Name):
        bound = bindings(module, expr.id, function)
        answers = {_bound(call, function, statement, expr.id, depth) for statement in bound}
        return answers.pop() if len(answers) == 1 else None
    return None


def _bound(
    call: LogCall, function: FunctionNode, statement: ast.stmt, name: str, depth: int
) -> bool | None:
    if isinstance(statement, ast.AugAssign):
        return True if _is_tensor(call, function, statement.value, depth - 1) else None
    if (
        isinstance(statement, ast.Assign)
        and len(statement.targets) == 1
        and isinstance(statement.targets[0], ast.Name)
        and not any(isinstance(n, ast.Name) and n.id == name for n in subtree(statement.value))
    ):
        return _is_tensor(call, function, statement.value, depth - 1)
    return None


def _is_trained_on(module: Module, function: FunctionNode, expr: ast.expr) -> bool:
    """Tell whether a training step goes backward from just what an expression says."""
    if isinstance(expr, ast.Name):
        for statement in bindings(module, expr.id, function):
            value = getattr(statement, "value", None)
            if isinstance(value, ast.Call) and _is_fetch(value):
                return False
    wanted = ast.dump(expr)
    for node in own_nodes(function):
        shown: ast.expr | None = None
        if isinstance(node, ast.Return) and function.name == "training_step":
            shown = node.value
            if isinstance(shown, ast.Dict):
                for key, value in zip(shown.keys, shown.values, strict=True):
                    if isinstance(key, ast.Constant) and key.value == "loss":
                        shown = value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr == "manual_backward" and node.args:
                shown = node.args[0]
            elif node.func.attr == "backward":
                shown = node.func.value
        if shown is not None and ast.dump(shown) == wanted:
            return True
    return False


def _is_fetch(value: ast.Call) -> bool:
    if isinstance(value.func, ast.Attribute):
        return value.func.attr in _NO_TENSOR
    return isinstance(value.func, ast.Name) and value.func.id in ("float", "int")


def _may_be_tensor(call: LogCall, function: FunctionNode, expr: ast.expr) -> bool:
    """Tell whether nothing says that what ``item()`` is called on is no tensor."""
    if _is_tensor(call, function, expr, _DEPTH) is False:
        return False
    for way in call.contexts:
        for number in numbers(way.value):
            if any(_ELSEWHERE.match(origin.name) for origin in number.origins):
                return False
    for node in subtree(expr):
        if isinstance(node, ast.Name) and node.id != "self":
            for statement in bindings(call.module, node.id, function):
                for made in subtree(statement):
                    if isinstance(made, ast.Call):
                        name = call.module.qualified(made.func) or ""
                        func = made.func
                        last = func.attr if isinstance(func, ast.Attribute) else ""
                        if _ELSEWHERE.match(name) or last == "numpy" or _OF_CPU.match(name):
                            return False
    return True
