"""What ``update`` adds to a state: one number or many, whole ones or others."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from lintmetrics.edits import Editor
from lintmetrics.model.metric_classes import Change, MetricClass, bound_once, name_of
from lintmetrics.project import FunctionInfo, Module

_REDUCES = frozenset(("sum", "mean", "nansum", "nanmean", "max", "min", "norm", "count_nonzero"))
_SAME = frozenset(("detach", "cpu", "float", "double", "long", "int", "to", "clone", "squeeze"))
_OF_FLAGS = frozenset(
    (
        *("eq", "ne", "gt", "ge", "lt", "le", "isclose", "isin", "isnan", "bool", "long", "int"),
        *("logical_and", "logical_or", "logical_not", "logical_xor", "argmax", "argmin"),
    )
)
_DEPTH = 5


def number_default(
    editor: Editor, metric: MetricClass, module: Module, value: ast.expr, moves: Sequence[Change]
) -> str:
    """Return the tensor that a state begins with in place of a number.

    A whole number stays one where all that is added to it is: a float cannot be added in place to
    a tensor of integers.
    """
    del metric
    torch = editor.add_import(module, "torch")
    text = module.source.segment(value)
    is_whole = isinstance(value, ast.Constant) and isinstance(value.value, int)
    if is_whole and not all(m.kind == "add" and is_count(m.method, m.value) for m in moves):
        text = f"{text}.0"
    return f"{torch}.tensor({text})"


def is_count(method: FunctionInfo, node: ast.expr | None, depth: int = 0) -> bool:
    """Tell whether an expression is a whole number of Python: a size, a length, a constant."""
    if node is None or depth > _DEPTH:
        return False
    if isinstance(node, ast.Constant):
        return type(node.value) is int
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Sub, ast.Mult)):
        return is_count(method, node.left, depth + 1) and is_count(method, node.right, depth + 1)
    if isinstance(node, ast.Subscript):
        return isinstance(node.value, ast.Attribute) and node.value.attr == "shape"
    if isinstance(node, ast.Call):
        func = node.func
        if isinstance(func, ast.Attribute):
            if func.attr == "numel" or (func.attr == "size" and bool(node.args)):
                return True
            if func.attr in ("item", "detach", "cpu") and not node.args:
                return is_count(method, func.value, depth + 1)
            if func.attr in ("sum", "count_nonzero"):
                return _adds_flags(method, node, depth)
            return False
        return name_of(method.module, node) in ("len", "int", "builtins.len", "builtins.int")
    bound = bound_once(method, node)
    return bound is not None and is_count(method, bound, depth + 1)


def _adds_flags(method: FunctionInfo, call: ast.Call, depth: int) -> bool:
    """Tell whether a call counts: one number, the sum of all of a tensor of flags or whole ones."""
    func = call.func
    assert isinstance(func, ast.Attribute)
    is_of_torch = (method.module.qualified(func) or "").startswith("torch.")
    given = [*call.args, *(keyword.value for keyword in call.keywords)]
    if len(given) != (1 if is_of_torch else 0):
        return False
    return func.attr == "count_nonzero" or _is_whole(
        method, call.args[0] if is_of_torch else func.value, depth + 1
    )


def _is_whole(method: FunctionInfo, node: ast.expr, depth: int) -> bool:
    """Tell whether an expression is a tensor of flags or of whole numbers."""
    if depth > _DEPTH:
        return False
    if isinstance(node, ast.Compare):
        return True
    if isinstance(node, ast.UnaryOp):
        return _is_whole(method, node.operand, depth + 1)
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.BitAnd, ast.BitOr, ast.BitXor)):
        return True
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Sub, ast.Mult)):
        return all(_is_whole(method, side, depth + 1) for side in (node.left, node.right))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        if node.func.attr in ("view", "reshape", "flatten", "detach", "cpu", "squeeze"):
            return _is_whole(method, node.func.value, depth + 1)
        return node.func.attr in _OF_FLAGS
    bound = bound_once(method, node)
    return bound is not None and _is_whole(method, bound, depth + 1)


def is_one_number(method: FunctionInfo, node: ast.expr | None, depth: int = 0) -> bool:
    """Tell whether an expression is surely one number, of Python or in a tensor."""
    if node is None or depth > _DEPTH:
        return False
    if is_count(method, node):
        return True
    if isinstance(node, ast.Constant):
        return type(node.value) is float
    if isinstance(node, ast.UnaryOp):
        return is_one_number(method, node.operand, depth + 1)
    if isinstance(node, ast.BinOp):
        return all(is_one_number(method, n, depth + 1) for n in (node.left, node.right))
    if isinstance(node, ast.Call):
        func = node.func
        if isinstance(func, ast.Attribute):
            if func.attr == "item":
                return True
            name = method.module.qualified(func) or ""
            if name.startswith("torch.") and func.attr in _REDUCES:
                return len(node.args) == 1 and not node.keywords
            if func.attr in _REDUCES:
                return not node.args and not node.keywords
            return func.attr in _SAME and is_one_number(method, func.value, depth + 1)
        return name_of(method.module, node) in ("float", "builtins.float")
    bound = bound_once(method, node)
    return bound is not None and is_one_number(method, bound, depth + 1)


def is_number(change: Change) -> bool:
    """Tell whether a plain assignment surely leaves a number of Python in an attribute."""
    node = change.node
    return isinstance(node, ast.Assign) and _is_python(change.method, node.value, 0)


def _is_python(method: FunctionInfo, node: ast.expr, depth: int) -> bool:
    if depth > _DEPTH:
        return False
    if isinstance(node, ast.Constant):
        return type(node.value) in (int, float)
    if isinstance(node, ast.UnaryOp):
        return _is_python(method, node.operand, depth + 1)
    if isinstance(node, ast.BinOp):
        return all(_is_python(method, side, depth + 1) for side in (node.left, node.right))
    if isinstance(node, ast.IfExp):
        return all(_is_python(method, side, depth + 1) for side in (node.body, node.orelse))
    if isinstance(node, ast.Call):
        if isinstance(node.func, ast.Attribute):
            return node.func.attr == "item" and not node.args
        name = name_of(method.module, node).removeprefix("builtins.")
        if name in ("max", "min", "sum", "abs", "round") and len(node.args) > 1:
            return all(_is_python(method, argument, depth + 1) for argument in node.args)
        return name in ("float", "int", "len")
    bound = bound_once(method, node)
    return bound is not None and _is_python(method, bound, depth + 1)
