"""Which expressions are objects of Lightning: a Trainer, a module, a callback, a data module."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from lintmetrics.edits import FunctionNode
from lintmetrics.model.metric_api import is_guarded
from lintmetrics.project import ClassInfo, External, FunctionInfo, Module, ModuleName, Symbol
from lintmetrics.tree import is_none, own_nodes, subtree

ROOT = re.compile(r"(?:pytorch_lightning|lightning\.pytorch|lightning)\.(?!fabric\b|app\b)(.+)$")
"""A dotted name of Lightning, and what it is called below the root."""

_HARMLESS_BASE = re.compile(r"(?:torch|abc|typing|builtins|collections|enum)\.|object$")
# What is found by its name may be the class, whatever the annotation says of its objects.
_FINDS_CLASSES = re.compile(r"getattr|class|locate|import|type|cls", re.I)
_STEPS = 6  # From one name to what it was made of.


@dataclass(frozen=True)
class Kind:
    """What is known of an object.

    Args:
        names: the Lightning classes that it is an instance of, by their last names.
        cls: the class of the project that it is made of, where it is one.
    """

    names: frozenset[str]
    cls: ClassInfo | None = None


_NOTHING = Kind(frozenset())


def kind_of_class(symbol: Symbol | None) -> Kind:
    """Return what an instance of a class is."""
    if isinstance(symbol, ClassInfo):
        names = frozenset(_last(name) for name in symbol.base_names if ROOT.match(name))
        if symbol.is_kind("LightningModule"):
            names |= {"LightningModule"}
        return Kind(names, symbol)
    if isinstance(symbol, (External, ModuleName)) and ROOT.match(symbol.name):
        return Kind(frozenset((_last(symbol.name),)))
    return _NOTHING


def kind_of(module: Module, expr: ast.expr, steps: int = _STEPS) -> Kind:
    """Return what an expression is an instance of; a kind without names when it is not known."""
    if steps <= 0:
        return _NOTHING
    if isinstance(expr, ast.Name):
        return _of_name(module, expr, steps)
    if isinstance(expr, ast.Call):
        return _of_call(module, expr)
    if isinstance(expr, ast.Attribute):
        return _of_attribute(module, expr, steps)
    return _NOTHING


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _of_call(module: Module, call: ast.Call) -> Kind:
    func = call.func
    if isinstance(func, ast.Name) and func.id == "super":
        cls = module.enclosing_class(call)
        return kind_of_class(cls) if cls is not None else _NOTHING
    if isinstance(func, ast.Attribute) and func.attr in (
        *("from_argparse_args", "load_from_checkpoint", "from_datasets"),
    ):
        func = func.value
    return kind_of_class(module.resolve(func))


def _of_name(module: Module, expr: ast.Name, steps: int) -> Kind:
    for function in _functions_around(module, expr):
        arguments = function.args
        ordered = [*arguments.posonlyargs, *arguments.args]
        cls = module.enclosing_class(function) if _is_method(module, function) else None
        if expr.id not in module.scope_of(function):
            continue
        if cls is not None and ordered and ordered[0].arg == expr.id and not _is_static(function):
            return kind_of_class(cls)
        nodes = list(own_nodes(function))
        made = list(_assigned(nodes, expr.id))
        for argument in (*ordered, *arguments.kwonlyargs):
            if argument.arg == expr.id:
                return _NOTHING if made else _of_parameter(module, argument, cls)
        kind = _made_of(module, made, steps)
        return kind if kind.names else _said_to_be(module, nodes, expr.id)
    if module.binds(expr.id):
        top = [n for n in subtree(module.tree) if module.enclosing_function(n) is None]
        kind = _made_of(module, list(_assigned(top, expr.id)), steps)
        return kind if kind.names else _said_to_be(module, top, expr.id)
    return _NOTHING


def _functions_around(module: Module, node: ast.AST) -> Iterator[FunctionNode]:
    function = module.enclosing_function(node)
    while function is not None:
        yield function
        function = module.enclosing_function(function)


def _is_method(module: Module, function: FunctionNode) -> bool:
    return isinstance(module.parent(function), ast.ClassDef)


def _is_static(function: FunctionNode) -> bool:
    return any(isinstance(d, ast.Name) and d.id == "staticmethod" for d in function.decorator_list)


def _assigned(nodes: Iterable[ast.AST], name: str) -> Iterator[ast.expr | None]:
    """Yield what a name is given; ``None`` for what is no plain assignment."""
    for node in nodes:
        if isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Store):
            statement = getattr(node, "lm_parent", None)
            plain = isinstance(statement, (ast.Assign, ast.AnnAssign))
            yield statement.value if plain and statement is not None else None


def _made_of(module: Module, values: list[ast.expr | None], steps: int) -> Kind:
    """Return what all values of a name are, beside the None that says that there is none yet."""
    kinds = {
        kind_of(module, value, steps - 1) if value is not None else _NOTHING
        for value in values
        if not is_none(value)
    }
    return kinds.pop() if len(kinds) == 1 else _NOTHING


def _said_to_be(module: Module, nodes: Iterable[ast.AST], name: str) -> Kind:
    """Return what the annotation says of a name that is given one value, of unknown making."""
    given = [
        getattr(node, "lm_parent", None)
        for node in nodes
        if isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Store)
    ]
    statement = given[0] if len(given) == 1 else None
    if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.value, ast.Call):
        return _NOTHING
    if name[:1].isupper() or _FINDS_CLASSES.search(_spelled(statement.value.func)):
        return _NOTHING
    return _of_annotation(module, statement.annotation)


def _of_annotation(module: Module, annotation: ast.expr) -> Kind:
    found = [kind_of_class(symbol) for symbol in _named_types(module, annotation)]
    known = [kind for kind in found if kind.names]
    return known[0] if len(found) == len(known) == 1 else _NOTHING


def _of_parameter(module: Module, argument: ast.arg, cls: ClassInfo | None) -> Kind:
    if argument.annotation is not None:
        return _of_annotation(module, argument.annotation)
    if cls is not None and cls.is_kind("Callback"):
        # Every hook of a callback is given the two, and they are called so by all.
        if argument.arg == "trainer":
            return Kind(frozenset(("Trainer",)))
        if argument.arg == "pl_module":
            return Kind(frozenset(("LightningModule",)))
    return _NOTHING


def _named_types(module: Module, annotation: ast.expr) -> Iterator[Symbol | None]:
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        name = annotation.value.strip()
        if name.replace(".", "").isidentifier():
            first, *rest = name.split(".")
            symbol = module.lookup(first)
            for part in rest:
                symbol = module.project.member(symbol, part, 0) if symbol is not None else None
            yield symbol
    elif isinstance(annotation, (ast.Name, ast.Attribute)):
        yield module.resolve(annotation)
    elif isinstance(annotation, ast.Subscript) and _spelled(annotation.value) == "Optional":
        yield from _named_types(module, annotation.slice)
    elif isinstance(annotation, ast.BinOp):
        for side in (annotation.left, annotation.right):
            if not (isinstance(side, ast.Constant) and side.value is None):
                yield from _named_types(module, side)
    else:
        yield None


def _spelled(expr: ast.expr) -> str:
    return expr.attr if isinstance(expr, ast.Attribute) else getattr(expr, "id", "")


def _of_attribute(module: Module, expr: ast.Attribute, steps: int) -> Kind:
    owner = kind_of(module, expr.value, steps - 1)
    if owner.cls is not None:
        given = list(_given_to_self(owner.cls, expr.attr))
        if given:
            kinds = {
                kind_of(m, value, steps - 1) if value is not None else _NOTHING
                for m, value in given
                if not is_none(value)
            }
            return kinds.pop() if len(kinds) == 1 else _NOTHING
        if any(expr.attr in cls.namespace for cls in owner.cls.mro()):
            return _NOTHING
    if expr.attr == "trainer" and owner.names & {"LightningModule", "LightningDataModule"}:
        return Kind(frozenset(("Trainer",)))
    if expr.attr == "lightning_module" and "Trainer" in owner.names:
        return Kind(frozenset(("LightningModule",)))
    if expr.attr == "datamodule" and "Trainer" in owner.names:
        return Kind(frozenset(("LightningDataModule",)))
    return _NOTHING


def _given_to_self(cls: ClassInfo, name: str) -> Iterator[tuple[Module, ast.expr | None]]:
    for owner in cls.mro():
        for node in subtree(owner.node):
            if (
                isinstance(node, ast.Attribute)
                and node.attr == name
                and isinstance(node.ctx, ast.Store)
                and isinstance(node.value, ast.Name)
                and node.value.id == "self"
            ):
                statement = owner.module.parent(node)
                plain = isinstance(statement, (ast.Assign, ast.AnnAssign))
                value = statement.value if plain else None  # type: ignore[union-attr]
                yield owner.module, value


def gives(cls: ClassInfo, name: str) -> bool:
    """Tell whether a class may itself have an attribute that Lightning no longer gives it."""
    family = (*cls.mro(), *cls.subclasses)
    if any(name in owner.namespace for owner in family) or has_strange_bases(cls):
        return True
    return any(
        any(_given_to_self(owner, name)) or _sets_by_name(owner) for owner in (cls, *cls.subclasses)
    )


def has_strange_bases(cls: ClassInfo) -> bool:
    """Tell whether a class has attributes that cannot be seen: of unknown bases, or made up."""
    for owner in (*cls.mro(), *cls.subclasses):
        if "__getattr__" in owner.namespace:
            return True
        for base, node in zip(owner.bases, owner.node.bases, strict=True):
            if base is None and not (isinstance(node, ast.Name) and node.id == "object"):
                return True
            if isinstance(base, (External, ModuleName)):
                if not (ROOT.match(base.name) or _HARMLESS_BASE.match(base.name)):
                    return True
            elif isinstance(base, FunctionInfo):
                return True
    return False


def _sets_by_name(cls: ClassInfo) -> bool:
    """Tell whether attributes of an instance are set by ``setattr`` or ``__dict__``."""
    return any(
        isinstance(node, ast.Call)
        and (
            (_spelled(node.func) in ("setattr", "register_buffer", "add_module"))
            or (_spelled(node.func) == "update" and "__dict__" in ast.unparse(node.func))
        )
        for owner in cls.mro()
        for node in subtree(owner.node)
    )


def is_left_alone(module: Module, node: ast.AST, name: str) -> bool:
    """Tell whether code runs only where a test allows it that knows both releases.

    Args:
        module: the file; ``node``: the place.
        name: what the test may ask for, as in ``hasattr(trainer, "gpus")``.
    """
    if is_guarded(module, node):
        return True
    below: ast.AST = node
    for around in module.ancestors(node):
        tested = isinstance(around, (ast.If, ast.IfExp, ast.While)) and below is not around.test
        if tested and _asks_for(around.test, name):  # type: ignore[attr-defined]
            return True
        if isinstance(around, ast.BoolOp) and any(
            _asks_for(value, name) for value in around.values[: _index(around.values, below)]
        ):
            return True
        # if hasattr(trainer, ...): return the new one; what follows is for the old release.
        body = around.body if isinstance(around, (ast.FunctionDef, ast.AsyncFunctionDef)) else []
        if any(_leaves_by_test(one) and _line(one) < _line(node) for one in body):
            return True
        below = around
    return False


def _line(node: ast.AST) -> int:
    return int(getattr(node, "lineno", 0))


def _leaves_by_test(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.If)
        and isinstance(statement.body[-1], (ast.Return, ast.Raise))
        and any(
            isinstance(node, ast.Call) and _spelled(node.func) == "hasattr"
            for node in subtree(statement.test)
        )
    )


def _index(values: list[ast.expr], node: ast.AST) -> int:
    return next((i for i, value in enumerate(values) if value is node), 0)


def _asks_for(test: ast.expr, name: str) -> bool:
    return any(isinstance(node, ast.Constant) and node.value == name for node in subtree(test))
