"""What a Trainer or a callback is given where it is made, and what of that Lightning refuses."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from types import CodeType

from lintmetrics import facts
from lintmetrics.facts import RefusedValue
from lintmetrics.model.lightning_objects import is_left_alone, kind_of_class
from lintmetrics.model.old_arguments import change_of
from lintmetrics.model.tensors import constant
from lintmetrics.project import Module
from lintmetrics.releases import reaches

UNKNOWN = ...
"""Stands for a value that the code does not show."""

# What a condition of the table may use besides the arguments.
_WORDS: dict[str, object] = {
    "isinstance": isinstance,
    "any": any,
    "match": re.fullmatch,
    **{kind.__name__: kind for kind in (int, float, str, list, tuple, dict)},
}


@dataclass(frozen=True)
class RefusedArgument:
    """An argument with a value that Lightning refuses.

    Args:
        module: the file; ``node``: the value; ``owner``: what is made.
        row: what is known of it.
    """

    module: Module = field(repr=False)
    node: ast.expr
    owner: str
    row: RefusedValue


def given_to(module: Module, call: ast.Call, owner: str) -> dict[str, ast.expr] | None:
    """Return the arguments of a call by name; ``None`` where some of them cannot be seen."""
    names = facts.lightning_parameters(owner)
    if any(keyword.arg is None for keyword in call.keywords) or len(call.args) > len(names):
        return None
    if any(isinstance(argument, ast.Starred) for argument in call.args):
        return None
    found = dict(zip(names, call.args, strict=False))
    return found | {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}


def value_of(module: Module, node: ast.expr | None) -> object:
    """Return the value of an argument: that of a literal, ``None`` for none, else ``UNKNOWN``."""
    if node is None:
        return None
    if isinstance(node, ast.Call) and module.qualified(node.func) == "datetime.timedelta":
        return timedelta.resolution  # However long it is, it is one.
    return constant(module, node)


def is_expected(module: Module, node: ast.AST) -> bool:
    """Tell whether code stands where an error is expected: in a ``try``, or a test of it."""
    below: ast.AST = node
    for around in module.ancestors(node):
        if isinstance(around, ast.Try) and around.handlers and below in around.body:
            return True
        if isinstance(around, (ast.With, ast.AsyncWith)) and any(
            "raises" in ast.unparse(item.context_expr).lower() for item in around.items
        ):
            return True
        below = around
    return False


def refused_arguments(module: Module) -> Iterator[RefusedArgument]:
    """Yield the arguments of a file with which a Trainer or callback cannot be made."""
    table = facts.refused_arguments()
    if not any(name in module.source.code for name in table):
        return
    for call in module.calls:
        func = call.func
        name = func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")
        owner = _owner(module, call, name)
        if owner and not is_expected(module, call):
            yield from _refused(module, call, owner)


def _owner(module: Module, call: ast.Call, name: str) -> str:
    """Return the class of the table that a call makes an object of; empty for no such."""
    if not name or not (call.args or call.keywords):
        return ""
    kind = kind_of_class(module.resolve(call.func))
    found = kind.names & facts.refused_arguments().keys()
    if len(found) != 1:
        return ""
    if kind.cls is not None and any("__init__" in cls.namespace for cls in kind.cls.mro()):
        return ""  # What its own __init__ takes, it may well do something with.
    return min(found)


def _refused(module: Module, call: ast.Call, owner: str) -> Iterator[RefusedArgument]:
    positional = facts.lightning_parameters(owner)
    seen = given_to(module, call, owner)
    given = seen
    if given is None:
        if call.args:
            return
        given = {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
    told: set[str] = set()
    for row in facts.refused_arguments()[owner]:
        node = given.get(row.argument)
        if node is None or row.argument in told:
            continue
        if not reaches(module.project.target_lightning, row.since or "0"):
            continue
        if row.argument not in positional and change_of(module, owner, row.argument, node):
            continue  # Said as what became of it.
        values = {
            name: UNKNOWN
            if seen is None and name not in given
            else value_of(module, given.get(name))
            for name in _names(row.refused)
        }
        if holds(row.refused, values) and not is_left_alone(module, call, row.argument):
            told.add(row.argument)
            yield RefusedArgument(module, node, owner, row)


def holds(condition: str, values: Mapping[str, object]) -> bool:
    """Tell whether a condition of the table surely holds of the values of arguments."""
    if any(value is UNKNOWN for value in values.values()):
        return False
    try:
        return bool(eval(_compiled(condition), {"__builtins__": {}, **_WORDS, **values}))
    except (TypeError, ValueError, AttributeError):
        return False  # A value of another type than the row is about, such as a text for a number.


@functools.cache
def _compiled(condition: str) -> CodeType:
    return compile(condition, "refused_arguments.csv", "eval")


@functools.cache
def _names(condition: str) -> frozenset[str]:
    """Return the arguments that a condition is about."""
    bound = {"one", *_WORDS}
    return frozenset(
        node.id
        for node in ast.walk(ast.parse(condition, mode="eval"))
        if isinstance(node, ast.Name) and node.id not in bound
    )
