"""What attributes and methods of numbers, strings and containers give."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from lintmetrics.model import arithmetic, texts
from lintmetrics.model.values import (
    UNKNOWN,
    Const,
    Elements,
    Form,
    Map,
    Number,
    Origin,
    Seq,
    Value,
    merge,
    text_of,
)
from lintmetrics.project import Module

EXTREMES = frozenset(("max", "min", "amax", "amin"))


def attribute(value: Value, node: ast.Attribute, module: Module) -> Value:
    """Return ``value.name`` for a value that is no module, class or function."""
    name = node.attr
    if isinstance(value, Map):
        return value.get(name)
    if isinstance(value, Number):
        if name == "shape":
            return Number(Form.COUNT)
        if name == "loss" and value.form is Form.DATA:
            origin = Origin("formula", "loss of the model", node, module, "exact")
            return Number(Form.MEAN, (origin,))
        if name in ("data", "T", "mT", "real"):
            return value
        return Number(Form.DATA) if value.form is Form.DATA else value
    return UNKNOWN


def method(
    value: Value,
    name: str,
    node: ast.Call,
    module: Module,
    arguments: Sequence[Value],
    keywords: dict[str, Value],
) -> Value:
    """Return the value of ``value.name(...)``."""
    if isinstance(value, Number):
        return _number_method(value, name, node, module, arguments, keywords)
    if isinstance(value, Map):
        if name == "items" and not value.open:
            return Seq(tuple(Seq((Const(key), v)) for key, v in value.items))
        if name == "items":
            return Elements(Seq((UNKNOWN, merge([v for _, v in value.items]))))
        if name == "values":
            return Seq(tuple(v for _, v in value.items))
        if name == "keys":
            return Seq(tuple(Const(key) for key, _ in value.items))
        if name in ("get", "pop") and arguments:
            key = text_of(arguments[0])
            return value.get(key) if key is not None else UNKNOWN
        return value if name in ("copy", "to") else UNKNOWN
    if isinstance(value, Elements):
        if name in ("values", "copy"):
            return value
        if name == "items":
            return Elements(Seq((UNKNOWN, value.of)))
        return UNKNOWN
    if isinstance(value, Seq):
        return value if name == "copy" else UNKNOWN
    if (
        isinstance(value, Const)
        and isinstance(value.value, (int, float))
        and name in arithmetic.SAME
    ):
        return value
    if isinstance(value, Const) and isinstance(value.value, str):
        if name == "format":
            return texts.formatted(value.value, arguments, keywords)
        if name in ("lower", "upper", "strip", "capitalize", "title") and not arguments:
            return Const(getattr(value.value, name)())
        if name == "join" and arguments and isinstance(arguments[0], Seq):
            pieces: list[str | None] = []
            for index, part in enumerate(arguments[0].items):
                pieces += ([value.value] if index else []) + list(texts.parts_of(part) or (None,))
            return texts.text(pieces)
        if name == "replace" and len(arguments) == 2:
            old, new = text_of(arguments[0]), text_of(arguments[1])
            return Const(value.value.replace(old, new)) if old and new is not None else UNKNOWN
        return UNKNOWN
    return arithmetic.opaque(arguments, keywords)


def _number_method(
    value: Number,
    name: str,
    node: ast.Call,
    module: Module,
    arguments: Sequence[Value],
    keywords: dict[str, Value],
) -> Value:
    if name in arithmetic.SAME:
        return value
    if name in ("mean", "nanmean"):
        return arithmetic.reduced(value, "mean", arithmetic.is_whole(node), node, module)
    if name in ("sum", "nansum"):
        return arithmetic.reduced(value, "sum", arithmetic.is_whole(node), node, module)
    if name in arithmetic.NONLINEAR:
        return arithmetic.nonlinear(name, value, node, module)
    if name == "pow" and arguments:
        return arithmetic.binary(ast.Pow(), value, arguments[0], node, module)
    if name in ("size", "numel", "nelement", "dim", "__len__"):
        return Number(Form.COUNT)
    if name in ("eq", "ne", "gt", "ge", "lt", "le", "isclose", "logical_and", "logical_or"):
        return Number(Form.FLAGS)
    for op, names in (
        (ast.Add(), ("add", "add_")),
        (ast.Sub(), ("sub", "sub_")),
        (ast.Mult(), ("mul", "mul_", "multiply")),
        (ast.Div(), ("div", "div_", "true_divide", "divide")),
    ):
        if name in names and arguments:
            return arithmetic.binary(op, value, arguments[0], node, module)
    if name in EXTREMES and arithmetic.is_whole(node):
        return arithmetic.extreme(value, name, node, module)
    if name in ("all", "any") and not arithmetic.is_whole(node):
        return Number(Form.FLAGS)
    if value.form is Form.DATA:
        return Number(Form.DATA)
    return (
        Number(Form.OTHER, value.origins) if value.form in arithmetic.SCALARS else Number(Form.DATA)
    )
