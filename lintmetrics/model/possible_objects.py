"""Which expressions may be Metric objects though nothing says so, and which are numbers."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lintmetrics.model.hooks import LOG_HOOKS
from lintmetrics.model.tensors import bindings
from lintmetrics.tree import root_name, subtree

if TYPE_CHECKING:
    from lintmetrics.edits import FunctionNode
    from lintmetrics.project import ClassInfo, Module

_STEPS = 8  # From an expression to what it was made of.
_USES = r"(?:\.(?:update|compute|reset|forward))?\("
_NUMBERS = ("trainer", "hparams", "current_epoch", "global_step", "lr")
_COMPREHENSION = (ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp)


@dataclass(frozen=True)
class Place:
    """Where an expression stands: ``function`` of a class, ``owner``, in a file."""

    module: Module
    function: FunctionNode | None
    owner: ClassInfo


def may_be_object(place: Place, node: ast.expr, steps: int = _STEPS) -> bool:
    """Tell whether an expression whose value is not known may be an object that gathers."""
    if steps <= 0:
        return True
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id == "getattr"
    if isinstance(node, ast.Attribute):
        return _attribute(place, node)
    if isinstance(node, ast.Subscript):
        if root_name(node) == "self":
            return not _is_of_numbers(node)
        return may_be_object(place, node.value, steps - 1)
    if isinstance(node, ast.Name):
        return _name(place, node, steps)
    if isinstance(node, ast.IfExp):
        return any(may_be_object(place, part, steps - 1) for part in (node.body, node.orelse))
    if isinstance(node, ast.Dict):
        return any(may_be_object(place, value, steps - 1) for value in node.values)
    if isinstance(node, ast.DictComp):
        return may_be_object(place, node.value, steps - 1)
    return False


def _attribute(place: Place, node: ast.Attribute) -> bool:
    """Tell whether an attribute is used as an object is, anywhere in the project."""
    if root_name(node) not in ("self", "pl_module", "trainer"):
        return False
    if _is_of_numbers(node):
        return False
    used = re.compile(rf"\.{re.escape(node.attr)}{_USES}")
    return bool(place.module.project.mentioning(used, node.attr))


def _is_of_numbers(node: ast.expr) -> bool:
    return any(isinstance(part, ast.Attribute) and part.attr in _NUMBERS for part in _chain(node))


def _chain(node: ast.expr) -> Iterator[ast.expr]:
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        yield node
        node = node.value


def _name(place: Place, node: ast.Name, steps: int) -> bool:
    for above in place.module.ancestors(node):
        if isinstance(above, _COMPREHENSION):
            for part in above.generators:
                if node.id in _names(part.target):
                    return _element(place, part.iter, steps)
        if above is place.function:
            break
    function = place.function
    if function is None:
        return False
    bound = bindings(place.module, node.id, function)
    for statement in bound:
        if isinstance(statement, (ast.For, ast.AsyncFor)):
            if node.id in _names(statement.target) and _element(place, statement.iter, steps):
                return True
        elif (
            isinstance(statement, (ast.Assign, ast.AnnAssign))
            and statement.value is not None
            and may_be_object(place, statement.value, steps - 1)
        ):
            return True
    if bound:
        return False
    return _parameter(place, function, node.id, steps)


def _names(target: ast.expr) -> set[str]:
    return {part.id for part in subtree(target) if isinstance(part, ast.Name)}


def _element(place: Place, node: ast.expr, steps: int) -> bool:
    """Tell whether what a loop goes over may hold objects."""
    if isinstance(node, ast.Call):
        inner = [node.func.value] if isinstance(node.func, ast.Attribute) else []
        return any(_element(place, part, steps - 1) for part in (*inner, *node.args))
    if isinstance(node, (ast.Attribute, ast.Subscript)):
        return root_name(node) == "self"
    if isinstance(node, (ast.List, ast.Tuple)):
        return any(may_be_object(place, part, steps - 1) for part in node.elts)
    return may_be_object(place, node, steps - 1)


def _parameter(place: Place, function: FunctionNode, name: str, steps: int) -> bool:
    """Tell whether a method may be given an object; hooks are given none."""
    if function.name in LOG_HOOKS:
        return False
    arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    names = [argument.arg for argument in arguments]
    if name not in names:
        return name in (
            getattr(function.args.vararg, "arg", ""),
            getattr(function.args.kwarg, "arg", ""),
        )
    position = names.index(name) - 1
    for cls in dict.fromkeys((*place.owner.mro(), *place.owner.subclasses)):
        for method in cls.methods.values():
            for call in subtree(method):
                if not (
                    isinstance(call, ast.Call)
                    and isinstance(call.func, ast.Attribute)
                    and call.func.attr == function.name
                ):
                    continue
                given = next((k.value for k in call.keywords if k.arg == name), None)
                if given is None and 0 <= position < len(call.args):
                    given = call.args[position]
                at = Place(cls.module, cls.module.enclosing_function(call), cls)
                if isinstance(given, ast.Starred) or (
                    given is not None and may_be_object(at, given, steps - 1)
                ):
                    return True
    return False
