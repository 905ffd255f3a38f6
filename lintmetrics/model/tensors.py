"""What a tensor holds that the code itself writes out: dtype, shape, range and values.

``torch.tensor([0.1, 0.9])`` is known to the last value, ``torch.randint(5, (20,))`` by dtype, shape
and range. Everything that comes from elsewhere is unknown, and stays so.
"""

from __future__ import annotations

import ast
import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lintmetrics.project import Module

_DEPTH = 24


@dataclass(frozen=True)
class Tensor:
    """What is known of one tensor.

    Args:
        kind: ``"float"``, ``"int"`` or ``"bool"``.
        shape: its sizes, ``None`` when unknown.
        low: no element is smaller; ``high``: none is larger. ``None`` when unknown.
        values: all elements in row-major order, ``None`` when unknown.
        random: drawn from the range ``low`` to ``high``, so that many elements reach its ends.
    """

    kind: str
    shape: tuple[int, ...] | None = None
    low: float | None = None
    high: float | None = None
    values: tuple[float, ...] | None = None
    random: bool = False

    @property
    def ndim(self) -> int | None:
        """Number of dimensions, ``None`` when unknown."""
        return None if self.shape is None else len(self.shape)

    @property
    def size(self) -> int | None:
        """Number of elements, ``None`` when unknown."""
        return None if self.shape is None else math.prod(self.shape)

    @property
    def reaches_ends(self) -> bool:
        """Whether ``low`` and ``high`` occur, surely or (random, many elements) in practice."""
        if self.values is not None:
            return True
        if not self.random or self.low is None or self.high is None or self.size is None:
            return False
        return self.kind == "int" and self.size >= 50 * (self.high - self.low + 1)

    @property
    def outside_unit(self) -> bool | None:
        """Whether an element lies outside [0, 1]; ``None`` when unknown."""
        if self.low is None or self.high is None:
            return None
        if self.values is None and (self.low < 0 or self.high > 1):
            return None if not self.random else True
        return self.low < 0 or self.high > 1


def known_tensor(module: Module, expr: ast.expr, at: ast.AST) -> Tensor | None:
    """Return what is known of an expression evaluated at a place, ``None`` when nothing is."""
    return _Reader(module).tensor(expr, at, 0)


def constant(module: Module, expr: ast.expr | None) -> object:
    """Return the value of a literal or of a name bound once to one; ``Ellipsis`` when unknown."""
    if expr is None:
        return ...
    try:
        return ast.literal_eval(expr)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        pass
    if isinstance(expr, ast.Name):
        bound = bindings(module, expr.id, module.enclosing_function(expr))
        if not bound and module.enclosing_function(expr) is not None:
            function = module.enclosing_function(expr)
            if function is not None and expr.id in module.scope_of(function):
                return ...
            bound = bindings(module, expr.id, None)
        if len(bound) == 1 and isinstance(bound[0], ast.Assign):
            value = bound[0].value
            if not isinstance(value, ast.Name):
                return constant(module, value)
    return ...


def bindings(module: Module, name: str, function: ast.AST | None) -> list[ast.stmt]:
    """Return the statements of one scope that bind or change a name, in order."""
    owner: ast.AST = function or module.tree
    scopes: dict[ast.AST, dict[str, list[ast.stmt]]] = module.__dict__.setdefault("_lm_bound", {})
    if owner not in scopes:
        scopes[owner] = _all_bindings(module, owner)
    return scopes[owner].get(name, [])


def _all_bindings(module: Module, owner: ast.AST) -> dict[str, list[ast.stmt]]:
    found: dict[str, dict[ast.stmt, None]] = {}
    for node in _own_nodes(owner):
        root: ast.expr | None = None
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            root = node
        elif isinstance(node, (ast.Subscript, ast.Attribute)) and isinstance(node.ctx, ast.Store):
            root = node
            while isinstance(root, (ast.Subscript, ast.Attribute)):
                root = root.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            # x.mul_(2): a method with a trailing underscore works in place.
            in_place = node.func.attr.endswith("_") and not node.func.attr.endswith("__")
            root = node.func.value if in_place else None
        if isinstance(root, ast.Name):
            found.setdefault(root.id, {})[module.statement(node)] = None
    return {
        name: sorted(statements, key=lambda s: (s.lineno, s.col_offset))
        for name, statements in found.items()
    }


def _own_nodes(owner: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of a scope without those of functions and classes inside it."""
    stack = list(getattr(owner, "body", []))
    while stack:
        node = stack.pop()
        yield node
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            continue
        stack.extend(ast.iter_child_nodes(node))


def _nested(value: object) -> tuple[tuple[int, ...], list[float], str] | None:
    """Return shape, elements and kind of a nested list of numbers."""
    if isinstance(value, bool):
        return (), [float(value)], "bool"
    if isinstance(value, int):
        return (), [float(value)], "int"
    if isinstance(value, float):
        return (), [value], "float"
    if not isinstance(value, (list, tuple)):
        return None
    parts = [_nested(item) for item in value]
    shapes = {part[0] for part in parts if part is not None}
    if None in parts or len(shapes) > 1:
        return None
    elements = [element for part in parts if part for element in part[1]]
    kinds = {part[2] for part in parts if part}
    kind = next((k for k in ("float", "int", "bool") if k in kinds), "float")
    inner = shapes.pop() if shapes else ()
    return (len(value), *inner), elements, kind


def _sizes(arguments: list[ast.expr]) -> tuple[int, ...] | None:
    values: list[object] = []
    for argument in arguments:
        try:
            values.append(ast.literal_eval(argument))
        except ValueError:
            if isinstance(argument, ast.BinOp):
                try:
                    values.append(_arithmetic(argument))
                    continue
                except ValueError:
                    return None
            return None
    if len(values) == 1 and isinstance(values[0], (list, tuple)):
        values = list(values[0])
    if all(isinstance(value, int) for value in values):
        return tuple(values)  # type: ignore[arg-type]
    return None


def _arithmetic(node: ast.expr) -> float:
    """Return the value of arithmetic on literal numbers."""
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_arithmetic(node.operand)
    if isinstance(node, ast.BinOp):
        operation = _OPERATIONS.get(type(node.op))
        if operation is not None:
            try:
                return operation(_arithmetic(node.left), _arithmetic(node.right))
            except (ArithmeticError, OverflowError):
                pass
    raise ValueError("no literal number")


_OPERATIONS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
    ast.FloorDiv: lambda a, b: a // b,
}
_DTYPES = {
    "float": "float", "float16": "float", "float32": "float", "float64": "float",
    "double": "float", "half": "float", "bfloat16": "float",
    "int": "int", "int8": "int", "int16": "int", "int32": "int", "int64": "int",
    "long": "int", "short": "int", "uint8": "int",
    "bool": "bool",
}  # fmt: skip
_MAKERS = {
    "tensor": None, "as_tensor": None, "Tensor": "float", "FloatTensor": "float",
    "DoubleTensor": "float", "LongTensor": "int", "IntTensor": "int", "BoolTensor": "bool",
}  # fmt: skip
_SAME = frozenset(("clone", "detach", "cpu", "cuda", "contiguous", "requires_grad_", "numpy"))
_CASTS = {
    "long": "int", "int": "int", "short": "int", "float": "float", "double": "float",
    "half": "float", "bool": "bool",
}  # fmt: skip


class _Reader:
    """Evaluates expressions of one module as far as they are written out."""

    def __init__(self, module: Module) -> None:
        self.module = module

    def tensor(self, expr: ast.expr, at: ast.AST, depth: int) -> Tensor | None:
        if depth > _DEPTH:
            return None
        if isinstance(expr, ast.Name):
            return self._name(expr, at, depth + 1)
        if isinstance(expr, ast.Call):
            return self._call(expr, at, depth + 1)
        if isinstance(expr, ast.BinOp):
            return self._binary(expr, at, depth + 1)
        if isinstance(expr, ast.Compare) and len(expr.ops) == 1:
            inner = self.tensor(expr.left, at, depth + 1)
            return None if inner is None else Tensor("bool", inner.shape, 0, 1)
        if isinstance(expr, ast.UnaryOp):
            inner = self.tensor(expr.operand, at, depth + 1)
            if inner is None or not isinstance(expr.op, ast.USub):
                return inner
            values = inner.values and tuple(-value for value in inner.values)
            low = None if inner.high is None else -inner.high
            high = None if inner.low is None else -inner.low
            return replace(inner, low=low, high=high, values=values or None)
        if isinstance(expr, ast.Subscript):
            return self._subscript(expr, at, depth + 1)
        return None

    def _name(self, name: ast.Name, at: ast.AST, depth: int) -> Tensor | None:
        function = self.module.enclosing_function(name)
        bound = bindings(self.module, name.id, function)
        if not bound:
            if function is None or name.id in self.module.scope_of(function):
                return None
            bound = bindings(self.module, name.id, None)
            if len(bound) != 1:
                return None
        here = self.module.statement(at)
        before = [s for s in bound if (s.lineno, s.col_offset) < (here.lineno, here.col_offset)]
        if not before:
            before = bound if self.module.enclosing_function(bound[0]) is not function else []
        owner = self.module.parent(before[0]) if before else None
        current: Tensor | None = None
        for statement in before:
            if self.module.parent(statement) is not owner:
                return None  # Bound under a condition or in a loop.
            if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
                target = statement.targets[0]
                if isinstance(target, ast.Name):
                    current = self.tensor(statement.value, statement, depth)
                elif isinstance(target, ast.Subscript) and current is not None:
                    current = self._stored(current, statement.value, statement, depth)
                elif isinstance(target, ast.Tuple) and isinstance(statement.value, ast.Tuple):
                    pairs = zip(target.elts, statement.value.elts, strict=False)
                    value = next(
                        (v for t, v in pairs if isinstance(t, ast.Name) and t.id == name.id), None
                    )
                    current = None if value is None else self.tensor(value, statement, depth)
                else:
                    return None
            else:
                return None
        return current

    def _stored(self, current: Tensor, value: ast.expr, at: ast.AST, depth: int) -> Tensor | None:
        """Return a tensor after some of its elements were set."""
        new = self.tensor(value, at, depth)
        if new is None:
            number = constant(self.module, value)
            if not isinstance(number, (int, float)):
                return replace(current, low=None, high=None, values=None, random=False)
            new = Tensor(current.kind, (), number, number)
        low = high = None
        if None not in (current.low, current.high, new.low, new.high):
            low = min(current.low, new.low)  # type: ignore[type-var]
            high = max(current.high, new.high)  # type: ignore[type-var]
        return replace(current, low=low, high=high, values=None)

    def _callee(self, call: ast.Call) -> str:
        name = self.module.qualified(call.func)
        return name if name is not None and name.startswith("torch.") else ""

    def _dtype(self, call: ast.Call) -> str | None:
        for keyword in call.keywords:
            if keyword.arg == "dtype":
                name = (self.module.qualified(keyword.value) or "").rpartition(".")[2]
                return _DTYPES.get(name, "?")
        return None

    def _call(self, call: ast.Call, at: ast.AST, depth: int) -> Tensor | None:
        name = self._callee(call)
        dtype = self._dtype(call)
        if dtype == "?":
            return None
        if name:
            made = self._made(name.rpartition(".")[2], call, dtype, at, depth)
            if made is not None or not name.startswith("torch.nn.functional."):
                return made
        if isinstance(call.func, ast.Attribute):
            inner = self.tensor(call.func.value, at, depth)
            if inner is not None:
                return self._method(call.func.attr, inner, call.args, call)
        return None

    def _made(
        self, name: str, call: ast.Call, dtype: str | None, at: ast.AST, depth: int
    ) -> Tensor | None:
        arguments = call.args
        if name in _MAKERS:
            if not arguments:
                return None
            fixed = _MAKERS[name]
            literal = constant(self.module, arguments[0])
            if literal is ... and not isinstance(arguments[0], ast.Name):
                return None
            if literal is ...:
                inner = self.tensor(arguments[0], at, depth)
                return inner and (replace(inner, kind=dtype) if dtype else inner)
            nested = _nested(literal)
            if nested is None:
                return None
            shape, elements, kind = nested
            values = tuple(elements)
            low, high = (min(values), max(values)) if values else (None, None)
            return Tensor(dtype or fixed or kind, shape, low, high, values)
        if name in ("rand", "randn", "zeros", "ones", "empty"):
            shape_ = _sizes(arguments)
            low, high = {"rand": (0.0, 1.0), "zeros": (0.0, 0.0), "ones": (1.0, 1.0)}.get(
                name, (None, None)
            )
            kind = dtype or "float"
            values_ = None
            if low == high and low is not None and shape_ is not None and math.prod(shape_) < 4096:
                values_ = (low,) * math.prod(shape_)
            return Tensor(kind, shape_, low, high, values_, name == "rand")
        if name == "randint":
            return self._randint(call)
        if name == "arange" and arguments:
            numbers = [constant(self.module, a) for a in arguments]
            ends = [n for n in numbers if isinstance(n, int)]
            if len(ends) == len(numbers):
                span = range(*ends)
                if 0 < len(span) < 4096:
                    values_ = tuple(float(v) for v in span)
                    return Tensor(dtype or "int", (len(span),), min(values_), max(values_), values_)
            return None
        if not arguments:
            return None
        inner = self.tensor(arguments[0], at, depth)
        if inner is None:
            return None
        if name in ("rand_like", "randn_like", "zeros_like", "ones_like"):
            low, high = {"rand_like": (0.0, 1.0), "zeros_like": (0.0, 0.0)}.get(name, (None, None))
            return Tensor(inner.kind, inner.shape, low, high)
        return self._method(name, inner, arguments[1:], call)

    def _randint(self, call: ast.Call) -> Tensor | None:
        named = {k.arg: k.value for k in call.keywords if k.arg}
        arguments = list(call.args)
        size = named.get("size") or (arguments.pop() if len(arguments) > 1 else None)
        numbers = [constant(self.module, a) for a in arguments]
        low = constant(self.module, named["low"]) if "low" in named else None
        high = constant(self.module, named["high"]) if "high" in named else None
        if len(numbers) == 2:
            low, high = numbers
        elif len(numbers) == 1:
            if high is None:
                high = numbers[0]
            else:
                low = numbers[0]
        low = low or 0
        if not isinstance(low, int) or not isinstance(high, int) or size is None:
            return None
        return Tensor("int", _sizes([size]), low, high - 1, None, True)

    def _method(
        self, name: str, inner: Tensor, arguments: list[ast.expr], call: ast.Call
    ) -> Tensor | None:
        named = {k.arg: k.value for k in call.keywords if k.arg}
        if name in _SAME:
            return inner
        if name in ("to", "type"):
            kinds = [
                _DTYPES.get((self.module.qualified(a) or "").rpartition(".")[2])
                for a in (*arguments, *named.values())
            ]
            kind = next((k for k in kinds if k), None)
            return self._cast(inner, kind) if kind else inner
        if name in _CASTS:
            return self._cast(inner, _CASTS[name])
        if name in ("softmax", "sigmoid"):
            return Tensor("float", inner.shape, 0.0, 1.0)
        if name == "log_softmax":
            return Tensor("float", inner.shape, None, 0.0)
        if name in ("argmax", "argmin"):
            axis = constant(self.module, arguments[0] if arguments else named.get("dim"))
            if inner.shape is None or not isinstance(axis, int):
                return Tensor("int", None, 0.0, None)
            axis %= len(inner.shape) or 1
            shape = tuple(n for i, n in enumerate(inner.shape) if i != axis)
            return Tensor("int", shape, 0.0, float(inner.shape[axis] - 1))
        if name in ("view", "reshape"):
            sizes = _sizes(arguments)
            if sizes is None or inner.size is None:
                return replace(inner, shape=None, values=None)
            if -1 in sizes:
                rest = math.prod(n for n in sizes if n != -1) or 1
                sizes = tuple(inner.size // rest if n == -1 else n for n in sizes)
            return replace(inner, shape=sizes)
        if name == "flatten" and not arguments and inner.size is not None:
            return replace(inner, shape=(inner.size,))
        if name == "unsqueeze" and inner.shape is not None:
            axis = constant(self.module, arguments[0] if arguments else named.get("dim"))
            if isinstance(axis, int):
                sizes_ = list(inner.shape)
                sizes_.insert(axis if axis >= 0 else axis + len(sizes_) + 1, 1)
                return replace(inner, shape=tuple(sizes_))
        if name == "squeeze" and inner.shape is not None and not arguments and not named:
            return replace(inner, shape=tuple(n for n in inner.shape if n != 1))
        if name in ("round", "clamp", "abs", "floor"):
            return replace(inner, low=None, high=None, values=None)
        return None

    @staticmethod
    def _cast(inner: Tensor, kind: str) -> Tensor:
        if kind == inner.kind:
            return inner
        values = inner.values
        if kind == "int" and inner.kind == "float":
            values = values and tuple(float(int(value)) for value in values)
            low = None if inner.low is None else float(math.floor(inner.low))
            high = None if inner.high is None else float(math.floor(inner.high))
            return Tensor(kind, inner.shape, low, high, values or None)
        return replace(inner, kind=kind)

    def _binary(self, expr: ast.BinOp, at: ast.AST, depth: int) -> Tensor | None:
        left = self._operand(expr.left, at, depth)
        right = self._operand(expr.right, at, depth)
        if left is None or right is None:
            return None
        kinds = {left.kind, right.kind}
        kind = next(k for k in ("float", "int", "bool") if k in kinds)
        if isinstance(expr.op, ast.Div):
            kind = "float"
        if () in (left.shape, right.shape):
            shape = right.shape if left.shape == () else left.shape
        else:
            shape = left.shape if left.shape == right.shape else None
        operation = _OPERATIONS.get(type(expr.op))
        if operation is None:
            return Tensor(kind, shape)
        values: tuple[float, ...] | None = None
        low: float | None = None
        high: float | None = None
        try:
            if left.values is not None and right.values is not None and shape is not None:
                size = math.prod(shape)
                a = left.values * size if left.shape == () else left.values
                b = right.values * size if right.shape == () else right.values
                values = tuple(itertools.starmap(operation, zip(a, b, strict=True)))
            ends = (left.low, left.high, right.low, right.high)
            if None not in ends:
                corners = [
                    operation(x, y)
                    for x in (left.low, left.high)
                    for y in (right.low, right.high)
                    if x is not None and y is not None
                ]
                low, high = min(corners), max(corners)
        except (ArithmeticError, ValueError):
            return Tensor(kind, shape)
        random = (left.random and right.shape == ()) or (right.random and left.shape == ())
        return Tensor(kind, shape, low, high, values, random)

    def _operand(self, expr: ast.expr, at: ast.AST, depth: int) -> Tensor | None:
        number = constant(self.module, expr)
        if isinstance(number, (int, float)):
            kind = "float" if isinstance(number, float) else "int"
            return Tensor(kind, (), number, number, (float(number),))
        return self.tensor(expr, at, depth)

    def _subscript(self, expr: ast.Subscript, at: ast.AST, depth: int) -> Tensor | None:
        inner = self.tensor(expr.value, at, depth)
        if inner is None:
            return None
        rest = replace(inner, shape=None, values=None, random=False)
        if inner.shape is None:
            return rest
        index = expr.slice.elts if isinstance(expr.slice, ast.Tuple) else [expr.slice]
        shape = list(inner.shape)
        out: list[int] = []
        for position, item in enumerate(index):
            if position >= len(shape):
                return rest
            if isinstance(item, ast.Slice) and item.lower is item.upper is item.step is None:
                out.append(shape[position])
            elif isinstance(constant(self.module, item), int):
                continue
            else:
                return rest
        return replace(rest, shape=(*out, *shape[len(index) :]))
