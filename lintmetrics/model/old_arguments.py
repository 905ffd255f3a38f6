"""Arguments of Lightning's classes and methods that newer releases lack or read otherwise."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from lintmetrics import facts
from lintmetrics.facts import Change
from lintmetrics.model.lightning_objects import (
    Kind,
    is_left_alone,
    kind_of,
    kind_of_class,
)
from lintmetrics.model.lightning_versions import consequence
from lintmetrics.model.reaching_values import reaching_values
from lintmetrics.project import ClassInfo, FunctionInfo, Module
from lintmetrics.rule import Consequence
from lintmetrics.tree import own_nodes, subtree


@functools.cache
def _methods() -> dict[str, str]:
    """Return the methods whose arguments changed, by name."""
    owners = facts.lightning_owners()
    return {owner.rpartition(".")[2]: owner for owner in owners if "." in owner}


@dataclass(frozen=True)
class OldArgument:
    """An argument that a call gives, and what became of it.

    Args:
        module: the file; ``owner``: what is called, such as ``Trainer`` or ``Trainer.fit``.
        node: the argument where it is written, or the key of the dict that is handed on.
        call: the call it goes to.
        change: what became of it.
        value: what it is given.
        consequence: what that does.
        blocked: why it cannot be rewritten where it stands.
    """

    module: Module = field(repr=False)
    node: ast.AST
    call: ast.Call
    owner: str
    change: Change
    value: ast.expr
    consequence: Consequence
    blocked: str = ""


@dataclass(frozen=True)
class LackingArgument:
    """A call without an argument that has no default any more."""

    module: Module = field(repr=False)
    node: ast.Call
    owner: str
    change: Change
    consequence: Consequence


def old_arguments(module: Module) -> list[OldArgument]:
    """Return the old arguments in a file, in order."""
    known: list[OldArgument] | None = module.__dict__.get("_lm_old_arguments")
    if known is None:
        known = module.__dict__["_lm_old_arguments"] = list(_find(module))
    return known


def arguments_of(module: Module, call: ast.Call) -> list[OldArgument]:
    """Return the old arguments that one call is given in place."""
    return [a for a in old_arguments(module) if a.call is call and isinstance(a.node, ast.keyword)]


def lacking_arguments(module: Module) -> Iterator[LackingArgument]:
    """Yield the calls that lack an argument which lost its default."""
    for call in module.calls:
        if call.args or any(keyword.arg is None for keyword in call.keywords):
            continue
        name = _spelled(call.func)
        if name is None or not facts.lightning_required(name):
            continue
        for change in facts.lightning_required(name):
            given = any(keyword.arg == change.member for keyword in call.keywords)
            found = consequence(change, module.project)
            if given or found is None or name not in kind_of_class(module.resolve(call.func)).names:
                continue
            if not is_left_alone(module, call, change.member):
                yield LackingArgument(module, call, name, change, found)


def _find(module: Module) -> Iterator[OldArgument]:
    if not _names().search(module.source.code):
        return
    for call in module.calls:
        starred = any(keyword.arg is None for keyword in call.keywords)
        if not starred and not any(keyword.arg in _arguments() for keyword in call.keywords):
            continue
        owner = _owner(module, call)
        if owner is None:
            continue
        found = list(_given(module, call, owner))
        plain = any(argument.change.kind != "value-beside" for argument in found)
        for argument in found:
            if plain or argument.change.kind != "value-beside":
                yield argument


def _given(module: Module, call: ast.Call, owner: str) -> Iterator[OldArgument]:
    for keyword in call.keywords:
        if keyword.arg is not None:
            yield from _one(module, call, owner, keyword, keyword.arg, keyword.value, "")
            yield from _held(module, call, owner, keyword.arg, keyword.value)
            continue
        for node, name, value in _unpacked(module, keyword.value):
            blocked = (
                f"{name} reaches {owner} through the dict at line {node.lineno}; change the dict"
            )
            yield from _one(module, call, owner, node, name, value, blocked)


def _held(
    module: Module, call: ast.Call, owner: str, name: str, value: ast.expr
) -> Iterator[OldArgument]:
    """Yield the values with which a call raises, where the name that it gives may have them."""
    if not isinstance(value, ast.Name) or not facts.lightning_arguments(owner, name):
        return
    if change_of(module, owner, name, value) or is_left_alone(module, call, name):
        return
    for made in reaching_values(module, value):
        if isinstance(made, (ast.Constant, ast.IfExp)):
            blocked = f"{owner} is given it as {value.id} at line {call.lineno}; change it here"
            for found in _one(module, call, owner, made, name, made, blocked):
                if found.consequence is Consequence.CRASH:
                    yield found


def _one(
    module: Module,
    call: ast.Call,
    owner: str,
    node: ast.AST,
    name: str,
    value: ast.expr,
    blocked: str,
) -> Iterator[OldArgument]:
    change = change_of(module, owner, name, value)
    if change is None:
        return
    found = consequence(change, module.project)
    if found is not None and not is_left_alone(module, node, name):
        yield OldArgument(module, node, call, owner, change, value, found, blocked)


def change_of(module: Module, owner: str, name: str, value: ast.expr) -> Change | None:
    """Return the row for an argument with a value; ``None`` when nothing is known of it."""
    rows = facts.lightning_arguments(owner, name)
    if isinstance(value, ast.IfExp) and rows:
        # The row of the branch that is harder to rewrite stands for both.
        branches = [change_of(module, owner, name, one) for one in (value.body, value.orelse)]
        order = ("manual", "unsafe", "safe")
        known = [row for row in branches if row is not None]
        return min(known, key=lambda row: order.index(row.codemod)) if known else None
    for row in rows:
        if not row.values or any(fits(module, pattern, value) for pattern in row.values):
            return row
    return None


def fits(module: Module, pattern: str, value: ast.expr) -> bool:
    """Tell whether a value is one that a row is for."""
    if pattern == "<int>":
        inner = value.operand if isinstance(value, ast.UnaryOp) else value
        return isinstance(inner, ast.Constant) and type(inner.value) is int
    if pattern == "<str>":
        return isinstance(value, ast.Constant) and isinstance(value.value, str)
    if pattern == "<list>":
        return isinstance(value, (ast.List, ast.Tuple)) and bool(value.elts)
    if pattern == "<join>":
        return joined(module, value) is not None
    if pattern == "<dict>":
        return isinstance(value, ast.Dict)
    if pattern == "<name>":
        if isinstance(value, ast.Name) and kind_of(module, value).names:
            return False
        return is_name(value)
    if pattern == "<Trainer.gpus>":
        return (
            isinstance(value, ast.Attribute)
            and value.attr == "gpus"
            and "Trainer" in kind_of(module, value.value).names
        )
    if pattern.startswith("<"):
        wanted = pattern.strip("<>")
        if wanted in kind_of(module, value).names:
            return True
        return isinstance(value, ast.List) and any(
            wanted in kind_of(module, one).names for one in value.elts
        )
    return ast.unparse(value) == _normal(pattern)


def joined(module: Module, value: ast.expr) -> tuple[str, ast.Constant] | None:
    """Return the folder and the last part of ``os.path.join(folder, "{epoch}")``.

    ``None`` where a value is something else, or where the last part is no template of a file name.
    """
    if not isinstance(value, ast.Call) or value.keywords or len(value.args) < 2:
        return None
    *folder, last = value.args
    if module.qualified(value.func) != "os.path.join" or any(
        isinstance(one, ast.Starred) for one in value.args
    ):
        return None
    if not isinstance(last, ast.Constant) or not isinstance(last.value, str):
        return None
    if "{" not in last.value or "/" in last.value or "\\" in last.value:
        return None
    texts = [module.source.segment(one) for one in folder]
    if len(texts) == 1:
        return texts[0], last
    return f"{module.source.segment(value.func)}({', '.join(texts)})", last


def is_name(value: ast.expr) -> bool:
    """Tell whether a value is a name, or an attribute or item of one: free of side effects."""
    while isinstance(value, (ast.Attribute, ast.Subscript)):
        if isinstance(value, ast.Subscript) and not isinstance(value.slice, ast.Constant):
            return False
        value = value.value
    return isinstance(value, ast.Name)


@functools.cache
def _normal(pattern: str) -> str:
    return ast.unparse(ast.parse(pattern, mode="eval"))


@functools.cache
def _arguments() -> frozenset[str]:
    """Every argument that a row is about."""
    return frozenset(
        row["old"].partition("(")[2].rstrip(")").partition("=")[0]
        for row in facts.rows("lightning_changes")
        if row["kind"] in ("argument", "value", "value-beside")
    )


@functools.cache
def _names() -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(sorted(_arguments()))})\b")


def _owner(module: Module, call: ast.Call) -> str | None:
    """Return what of Lightning a call gives its arguments to."""
    func = call.func
    if isinstance(func, ast.Attribute):
        if func.attr in _methods() and "Trainer" in kind_of(module, func.value).names:
            kind = kind_of(module, func.value)
            return None if kind.cls and _has(kind.cls, func.attr) else _methods()[func.attr]
        if func.attr == "__init__":
            return _of_init(module, func)
    called: ast.expr = call.args[0] if _spelled(func) == "partial" and call.args else func
    kind = kind_of_class(module.resolve(called))
    if kind.cls is not None and _has(kind.cls, "__init__"):
        return None  # What its own __init__ takes, it may well do something with.
    return _known(kind) if kind.cls is None or not kind.cls.is_kind("LightningDataModule") else None


def _of_init(module: Module, func: ast.Attribute) -> str | None:
    cls = module.enclosing_class(func)
    if cls is None:
        return None
    value = func.value
    if isinstance(value, ast.Call) and _spelled(value.func) == "super":
        above = cls.mro()[1:]
        if any("__init__" in other.namespace for other in above):
            return None
        return _known(kind_of_class(cls))
    return _known(kind_of_class(module.resolve(value)))


def _known(kind: Kind) -> str | None:
    found = sorted(kind.names & facts.lightning_owners())
    return found[0] if len(found) == 1 else None


def _has(cls: ClassInfo, name: str) -> bool:
    return any(name in owner.namespace for owner in cls.mro())


def _spelled(func: ast.expr) -> str | None:
    return func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", None)


def _unpacked(module: Module, value: ast.expr) -> Iterator[tuple[ast.expr, str, ast.expr]]:
    """Yield ``(place, name, value)`` of what a dict holds that a call unpacks."""
    if isinstance(value, ast.Name):
        function = module.enclosing_function(value)
        nodes = list(own_nodes(function)) if function is not None else [
            node for node in subtree(module.tree) if module.enclosing_function(node) is None
        ]  # fmt: skip
        if function is not None and value.id not in module.scope_of(function):
            return
        for node in nodes:
            if isinstance(node, ast.Assign) and any(
                isinstance(target, ast.Name) and target.id == value.id for target in node.targets
            ):
                if not isinstance(node.value, ast.Name):
                    yield from _unpacked(module, node.value)
            elif isinstance(node, ast.Call) and _is_update_of(node, value.id):
                yield from _unpacked(module, node.args[0])
            elif (
                isinstance(node, ast.Assign)
                and isinstance(node.targets[0], ast.Subscript)
                and isinstance(node.targets[0].value, ast.Name)
                and node.targets[0].value.id == value.id
            ):
                key = node.targets[0].slice
                if isinstance(key, ast.Constant) and isinstance(key.value, str):
                    yield key, key.value, node.value
    elif isinstance(value, ast.Dict):
        for name, item in zip(value.keys, value.values, strict=True):
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                yield name, name.value, item
    elif isinstance(value, ast.Call) and _spelled(value.func) == "dict" and not value.args:
        for keyword in value.keywords:
            if keyword.arg is not None:
                yield keyword.value, keyword.arg, keyword.value
    elif isinstance(value, ast.Call):
        made = module.resolve(value.func)
        if isinstance(made, FunctionInfo) and made.module is module:
            for node in own_nodes(made.node):
                if isinstance(node, ast.Return) and isinstance(node.value, (ast.Name, ast.Dict)):
                    yield from _unpacked(module, node.value)


def _is_update_of(call: ast.Call, name: str) -> bool:
    """Tell whether a call puts a dict that is written there into one that has a name."""
    func = call.func
    return (
        isinstance(func, ast.Attribute)
        and func.attr == "update"
        and isinstance(func.value, ast.Name)
        and func.value.id == name
        and len(call.args) == 1
        and isinstance(call.args[0], ast.Dict)
    )
