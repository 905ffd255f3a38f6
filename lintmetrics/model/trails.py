"""The way that predictions and targets take: from where they are used back to what made them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from lintmetrics.edits import default_of
from lintmetrics.model.tensors import bindings, constant
from lintmetrics.project import ClassInfo, External, FunctionInfo, Module, ModuleName
from lintmetrics.tree import subtree

_DEPTH = 20

# Steps that keep what a tensor means, up to its shape, type or device.
_KEEPS = frozenset(
    ("float", "double", "half", "long", "int", "bool", "byte", "view", "reshape", "squeeze",
     "unsqueeze", "detach", "cpu", "cuda", "to", "type", "type_as", "clone", "flatten",
     "contiguous", "data", "permute", "transpose", "numpy", "round", "ravel")
)  # fmt: skip
# Steps that say what the tensor held.
_TELLS = frozenset(
    ("argmax", "softmax", "log_softmax", "sigmoid", "max", "topk", "exp", "ge", "gt", "logsigmoid")
)


@dataclass(frozen=True)
class Spot:
    """One expression on the way of a value.

    Args:
        module: the file; ``expr``: the expression; ``at``: where it is evaluated.
        through: the telling steps between here and where the value is used, last one first, such
            as ``("argmax", "softmax")``; a comparison is ``"compared"``.
        line: the line of the last telling step, 0 for none.
    """

    module: Module
    expr: ast.expr
    at: ast.AST
    through: tuple[str, ...]
    line: int

    @property
    def made(self) -> ast.stmt | None:
        """The statement that bound the name which stands here."""
        if not isinstance(self.expr, ast.Name):
            return None
        return _binding(self.module, self.expr, self.at)

    @property
    def key(self) -> tuple[ast.AST, str] | None:
        """What tells a variable's value here from another: its binding and its name."""
        root: ast.expr = self.expr
        while isinstance(root, (ast.Attribute, ast.Subscript)):
            if isinstance(root, ast.Subscript) and not isinstance(root.slice, ast.Constant):
                return None
            root = root.value
        if not isinstance(root, ast.Name) or is_self(root):
            return None
        made: ast.AST | None = _binding(self.module, root, self.at)
        function = self.module.enclosing_function(root)
        if made is None and function is not None:
            bound = self.module.scope_of(function).get(root.id)
            made = bound if isinstance(bound, ast.arg) else None
        return None if made is None else (made, ast.unparse(self.expr))


def trail(module: Module, expr: ast.expr, at: ast.AST) -> Iterator[Spot]:
    """Yield the spots on the way of a value, nearest first."""
    yield from _walk(module, expr, at, (), 0, 0)


def is_self(node: ast.AST) -> bool:
    """Tell whether a node is the name ``self``."""
    return isinstance(node, ast.Name) and node.id == "self"


def _walk(
    module: Module, expr: ast.expr, at: ast.AST, through: tuple[str, ...], line: int, depth: int
) -> Iterator[Spot]:
    if depth > _DEPTH:
        return
    yield Spot(module, expr, at, through, line)
    step = _step(module, expr)
    if step is not None:
        name, inner = step
        if name in _TELLS or name == "compared":
            through, line = (*through, name), line or expr.lineno
        yield from _walk(module, inner, at, through, line, depth + 1)
    elif isinstance(expr, ast.Name):
        for value, place, where in _values(module, expr, at):
            yield from _walk(where, value, place, through, line, depth + 1)
    elif isinstance(expr, ast.Subscript):
        key = constant(module, expr.slice)
        if isinstance(key, str) and isinstance(expr.value, ast.Name):
            for value, place, where in _entries(module, expr.value, key, at):
                yield from _walk(where, value, place, through, line, depth + 1)


def _step(module: Module, expr: ast.expr) -> tuple[str, ast.expr] | None:
    """Return name and input of an elementwise step."""
    if isinstance(expr, ast.Compare) and len(expr.ops) == 1:
        if isinstance(expr.ops[0], (ast.Gt, ast.GtE)):
            return "compared", expr.left
        return None
    if isinstance(expr, ast.Subscript):
        if isinstance(expr.value, ast.Call):
            inner = _step(module, expr.value)  # torch.max(x, 1)[1]
            if inner is not None and inner[0] in ("max", "topk"):
                return inner
        return None
    if isinstance(expr, ast.Attribute) and expr.attr in ("indices", "data", "T"):
        return "data", expr.value
    if not isinstance(expr, ast.Call):
        return None
    func = expr.func
    if isinstance(func, ast.Attribute):
        name = func.attr
        if isinstance(module.resolve(func.value), (ModuleName, External)):
            inner_value = expr.args[0] if expr.args else None
            arguments = len(expr.args) - 1
        else:
            inner_value = func.value
            arguments = len(expr.args)
            if is_self(func.value):
                return None  # A method or submodule of the class, whatever it is called.
    elif isinstance(func, ast.Name):
        name = (module.qualified(func) or func.id).rsplit(".", 1)[-1]
        inner_value = expr.args[0] if expr.args else None
        arguments = len(expr.args) - 1
    else:
        return None
    if inner_value is None or name not in _KEEPS | _TELLS:
        return None
    if name in ("max", "topk") and not arguments and not expr.keywords:
        return None
    return name, inner_value


def _binding(module: Module, name: ast.Name, at: ast.AST) -> ast.stmt | None:
    """Return the one statement that gives a name its value at a place."""
    function = module.enclosing_function(name)
    here = module.statement(at)
    before = [
        s
        for s in bindings(module, name.id, function)
        if (s.lineno, s.col_offset) < (here.lineno, here.col_offset)
    ]
    return before[-1] if before else None


def _values(
    module: Module, name: ast.Name, at: ast.AST
) -> Iterator[tuple[ast.expr, ast.AST, Module]]:
    """Yield what a name holds, with the place that it is evaluated at."""
    statement = _binding(module, name, at)
    if not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
        return
    target, value = statement.targets[0], statement.value
    if isinstance(target, ast.Name):
        yield value, statement, module
        for returned, where in _returns(module, value):
            if not isinstance(returned.value, ast.Tuple) and returned.value is not None:
                yield returned.value, returned, where
        return
    if not isinstance(target, ast.Tuple):
        return
    index = next(
        (i for i, t in enumerate(target.elts) if isinstance(t, ast.Name) and t.id == name.id), None
    )
    if index is None:
        return
    if isinstance(value, ast.Tuple) and len(value.elts) == len(target.elts):
        yield value.elts[index], statement, module
    elif isinstance(value, ast.Call):
        step = _step(module, value)
        if step is not None and step[0] in ("max", "topk") and index == 1:
            yield value, statement, module
        for returned, where in _returns(module, value):
            tuple_ = returned.value
            if isinstance(tuple_, ast.Tuple) and len(tuple_.elts) == len(target.elts):
                yield tuple_.elts[index], returned, where


def _returns(module: Module, value: ast.expr) -> Iterator[tuple[ast.Return, Module]]:
    """Yield the return of a helper method that a value is the call of."""
    if not isinstance(value, ast.Call) or not isinstance(value.func, ast.Attribute):
        return
    if not is_self(value.func.value):
        return
    cls = module.enclosing_class(value)
    method = cls.lookup(value.func.attr) if cls is not None else None
    if method is None or value.func.attr == "forward":
        return
    found = own_returns(method)
    if len(found) == 1:
        yield found[0], method.module


def own_returns(method: FunctionInfo) -> list[ast.Return]:
    """Return the return statements of a function that give a value."""
    return [
        node
        for node in subtree(method.node)
        if isinstance(node, ast.Return)
        and node.value is not None
        and method.module.enclosing_function(node) is method.node
    ]


def _entries(
    module: Module, name: ast.Name, key: str, at: ast.AST
) -> Iterator[tuple[ast.expr, ast.AST, Module]]:
    """Yield what stands under a key of a dict that a helper returned."""
    statement = _binding(module, name, at)
    if not isinstance(statement, ast.Assign):
        return
    places: list[tuple[ast.expr | None, ast.AST, Module]] = [(statement.value, statement, module)]
    places += [(r.value, r, where) for r, where in _returns(module, statement.value)]
    for value, place, where in places:
        if isinstance(value, ast.Dict):
            for entry, inner in zip(value.keys, value.values, strict=True):
                if isinstance(entry, ast.Constant) and entry.value == key:
                    yield inner, place, where


# The width of a network ------------------------------------------------------------------------


@dataclass(frozen=True)
class Width:
    """The number of outputs of a network.

    Args:
        expr: the expression that gives it; ``module``: its file.
        function: the function that it is evaluated in.
        line: where the layer is made.
        sure: it is the width of a layer, not only an argument that is called so.
    """

    expr: ast.expr
    module: Module
    function: ast.AST | None
    line: int
    sure: bool = True


_SAID = frozenset(("num_classes", "n_classes", "num_labels", "n_labels", "nb_classes"))
_LAYERS = {
    "torch.nn.Linear": ("out_features", 1),
    "torch.nn.LazyLinear": ("out_features", 0),
    "torch.nn.Conv1d": ("out_channels", 1),
    "torch.nn.Conv2d": ("out_channels", 1),
    "torch.nn.Conv3d": ("out_channels", 1),
}
_ELEMENTWISE = frozenset(
    ("torch.nn.Softmax", "torch.nn.LogSoftmax", "torch.nn.Sigmoid", "torch.nn.Dropout",
     "torch.nn.Flatten", "torch.nn.ReLU", "torch.nn.Identity")
)  # fmt: skip


def width_of(spot: Spot, cls: ClassInfo) -> Width | None:
    """Return the width of the network whose output stands at a spot, if the code shows it."""
    return _width(cls, spot.module, spot.expr, spot.at, 0)


def _width(cls: ClassInfo, module: Module, expr: ast.expr, at: ast.AST, depth: int) -> Width | None:
    if depth > 6 or not isinstance(expr, ast.Call):
        return None
    func = expr.func
    if is_self(func) or (
        isinstance(func, ast.Attribute) and is_self(func.value) and func.attr == "forward"
    ):
        forward = cls.lookup("forward")
        returned = own_returns(forward) if forward is not None else []
        if forward is None or len(returned) != 1 or returned[0].value is None:
            return None
        for spot in trail(forward.module, returned[0].value, returned[0]):
            if isinstance(spot.expr, ast.Call) and not is_self(spot.expr.func):
                found = _width(cls, spot.module, spot.expr, spot.at, depth + 1)
                if found is not None:
                    return found
        return None
    if isinstance(func, ast.Attribute) and is_self(func.value):
        made = attribute_value(cls, func.attr)
        return None if made is None else _made_width(made[0], made[1], depth + 1)
    return None


def _network_width(call: ast.Call, module: Module, net: ClassInfo, depth: int) -> Width | None:
    """Return the width of a network of the project, in terms of the call that makes it."""
    output = ast.parse("self(x)", mode="eval").body
    inner = _width(net, net.module, output, output, depth + 1)
    init = net.lookup("__init__")
    if inner is None or init is None:
        return None
    if isinstance(constant(inner.module, inner.expr), int):
        return inner
    name = inner.expr.id if isinstance(inner.expr, ast.Name) else ""
    if inner.function is not init.node or bindings(init.module, name, init.node):
        return None
    parameters = [a.arg for a in init.node.args.args[1:]]
    given = next((k.value for k in call.keywords if k.arg == name), None)
    if given is None and name in parameters and parameters.index(name) < len(call.args):
        given = call.args[parameters.index(name)]
    if given is None and name in parameters and not any(k.arg is None for k in call.keywords):
        default = default_of(init.node, name)
        if isinstance(constant(init.module, default), int) and default is not None:
            return Width(default, init.module, init.node, default.lineno)
    if given is None or isinstance(given, ast.Starred):
        return None
    return Width(given, module, module.enclosing_function(call), call.lineno)


def attribute_value(cls: ClassInfo, name: str) -> tuple[ast.expr, Module] | None:
    """Return what ``self.name`` is set to, when it is set once in the class and its bases."""
    found = attribute_values(cls, name)
    return found[0] if len(found) == 1 else None


def attribute_values(cls: ClassInfo, name: str) -> list[tuple[ast.expr, Module]]:
    """Return everything that ``self.name`` is set to in the class and its bases."""
    return [
        (value, owner.module) for owner in cls.mro() for value in _attributes(owner).get(name, ())
    ]


def _attributes(cls: ClassInfo) -> dict[str, list[ast.expr]]:
    """Return what a class sets on ``self``, by attribute."""
    known: dict[str, list[ast.expr]] | None = cls.__dict__.get("_lm_attributes")
    if known is None:
        known = cls.__dict__["_lm_attributes"] = {}
        for node in subtree(cls.node):
            if isinstance(node, ast.Assign) and len(node.targets) == 1:
                target, value = node.targets[0], node.value
            elif isinstance(node, ast.AnnAssign) and node.value is not None:
                target, value = node.target, node.value
            else:
                continue
            if isinstance(target, ast.Attribute) and is_self(target.value):
                known.setdefault(target.attr, []).append(value)
    return known


def _made_width(value: ast.expr, module: Module, depth: int) -> Width | None:
    if depth > 8 or not isinstance(value, ast.Call):
        return None
    name = module.qualified(value.func) or ""
    if name in _LAYERS:
        parameter, position = _LAYERS[name]
        named = {k.arg: k.value for k in value.keywords}
        expr = named.get(parameter)
        if expr is None and len(value.args) > position:
            expr = value.args[position]
        if expr is None or isinstance(expr, ast.Starred):
            return None
        return Width(expr, module, module.enclosing_function(value), value.lineno)
    if name == "torch.nn.Sequential":
        for layer in reversed(value.args):
            if isinstance(layer, ast.Call) and module.qualified(layer.func) in _ELEMENTWISE:
                continue
            return _made_width(layer, module, depth + 1)
    net = module.resolve(value.func)
    if isinstance(net, ClassInfo):
        found = _network_width(value, module, net, depth + 1)
        if found is not None:
            return found
    said = next((k for k in value.keywords if k.arg in _SAID), None)
    if said is None:
        return None
    sure = name.startswith(("torchvision.models.", "timm."))
    return Width(said.value, module, module.enclosing_function(value), value.lineno, sure)
