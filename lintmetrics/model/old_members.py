"""Attributes and methods of Lightning's objects that newer releases lack."""

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
    gives,
    has_strange_bases,
    is_left_alone,
    kind_of,
    kind_of_class,
)
from lintmetrics.model.lightning_versions import consequence
from lintmetrics.project import Module
from lintmetrics.rule import Consequence
from lintmetrics.tree import subtree


@dataclass(frozen=True)
class OldMember:
    """A place that reads, calls or sets what an object of Lightning no longer has.

    Args:
        module: the file; ``node``: the attribute.
        owner: the class that had it; ``change``: what became of it.
        consequence: what the place does.
        is_passed_over: it stands in a ``try`` that goes on without it when it raises.
    """

    module: Module = field(repr=False)
    node: ast.Attribute
    owner: str
    change: Change
    consequence: Consequence
    is_passed_over: bool = False


def old_members(module: Module, group: str) -> Iterator[OldMember]:
    """Yield the places of a file that use old members.

    Args:
        module: the file; ``group``: ``"member"``, or ``"argparse"`` for those of the class itself.
    """
    rows = facts.old_members(group)
    if not _spelling(group).search(module.source.code):
        return
    for node in subtree(module.tree):
        if isinstance(node, ast.Attribute) and node.attr in rows:
            for change in rows[node.attr]:
                member = _member(module, node, change)
                if member is not None:
                    yield member
                    break


@functools.cache
def _spelling(group: str) -> re.Pattern[str]:
    return re.compile(rf"\.\s*(?:{'|'.join(sorted(facts.old_members(group)))})\b")


def _member(module: Module, node: ast.Attribute, change: Change) -> OldMember | None:
    parent = module.parent(node)
    is_call = isinstance(parent, ast.Call) and parent.func is node
    is_store = not isinstance(node.ctx, ast.Load)
    if change.kind in ("method", "argparse") and not is_call:
        return None
    if change.kind == "attribute" and (is_call or (is_store and change.owner != "Trainer")):
        return None
    if change.kind == "assignment" and not (is_store and isinstance(parent, ast.Assign)):
        return None
    if change.kind == "item" and not _is_indexed(node, parent):
        return None
    if change.member == "experiment" and not _is_one_of_many(parent):
        return None
    found = consequence(change, module.project)
    if found is None:
        return None
    kind = kind_of(module, node.value)
    outer, _, inner = change.owner.partition(".")
    if inner:
        # What one member holds has lost another.
        if not isinstance(node.value, ast.Attribute) or node.value.attr != inner:
            return None
        if outer not in kind_of(module, node.value.value).names or _is_stored(module, node.attr):
            return None
        if inner == "logger" and _is_of_own_logger(module, node.attr):
            return None
        left = is_left_alone(module, node, node.attr)
        return None if left else OldMember(module, node, change.owner, change, found)
    if change.kind == "argparse" and not kind.names:
        kind = kind_of_class(module.resolve(node.value))
    if change.kind == "method" and _is_of_class(module, node.value):
        return None  # The class itself, in a class method.
    if change.owner not in kind.names or not _is_ours(module, node, kind, change):
        return None
    if is_left_alone(module, node, node.attr):
        if not _is_passed_over(module, node, change):
            return None
        return OldMember(module, node, change.owner, change, Consequence.IGNORED, True)
    if is_store and change.kind == "attribute":
        found = Consequence.IGNORED
    return OldMember(module, node, change.owner, change, found)


def _is_passed_over(module: Module, node: ast.Attribute, change: Change) -> bool:
    """Tell whether a ``try`` does nothing in the place of what its body did in Lightning 1."""
    attempt = next((one for one in module.ancestors(node) if isinstance(one, ast.Try)), None)
    if change.kind not in ("attribute", "method") or attempt is None or attempt.orelse:
        return False
    inside = any(node in subtree(statement) for statement in attempt.body)
    passed = [h for h in attempt.handlers if all(isinstance(one, ast.Pass) for one in h.body)]
    caught = {
        getattr(name, "id", "")
        for handler in passed
        for name in (subtree(handler.type) if handler.type is not None else ())
    }
    if not inside or len(passed) != len(attempt.handlers) or "AttributeError" not in caught:
        return False
    if is_left_alone(module, attempt, node.attr):
        return False
    # Elsewhere in the function, another try may hold what newer releases have.
    function = module.enclosing_function(node)
    others = [one for one in subtree(function or module.tree) if isinstance(one, ast.Try)]
    return others == [attempt]


def _is_indexed(node: ast.Attribute, parent: ast.AST | None) -> bool:
    """Tell whether a member is taken for a list."""
    if isinstance(parent, ast.Subscript):
        return parent.value is node
    return isinstance(parent, (ast.For, ast.AsyncFor, ast.comprehension)) and parent.iter is node


def _is_one_of_many(parent: ast.AST | None) -> bool:
    """Tell whether the first experiment, or another, is taken of those of several loggers."""
    place = parent.slice if isinstance(parent, ast.Subscript) else None
    return isinstance(place, ast.Constant) and type(place.value) is int


def _is_of_own_logger(module: Module, name: str) -> bool:
    """Tell whether a logger of the project's own has what those of Lightning lack."""
    return any(
        name in cls.namespace and "Logger" in " ".join((cls.node.name, *cls.base_names))
        for other in module.project.mentioning(re.compile(rf"\bdef {name}\b"))
        for cls in other.classes
    )


def _is_of_class(module: Module, value: ast.expr) -> bool:
    """Tell whether a name is the first parameter of a class method."""
    function = module.enclosing_function(value)
    if function is None or not isinstance(value, ast.Name):
        return False
    decorators = {node.id for node in function.decorator_list if isinstance(node, ast.Name)}
    first = function.args.args[:1]
    return "classmethod" in decorators and any(one.arg == value.id for one in first)


def _is_ours(module: Module, node: ast.Attribute, kind: Kind, change: Change) -> bool:
    """Tell whether a member can only be Lightning's."""
    cls, name = kind.cls, node.attr
    if cls is not None:
        if change.kind in ("assignment", "argparse"):
            return not has_strange_bases(cls) and not any(name in c.namespace for c in cls.mro())
        return not gives(cls, name)
    if isinstance(node.ctx, ast.Load) and change.kind == "attribute":
        # What the project itself sets on such an object is there.
        stored = re.compile(rf"\.{name}\s*=[^=]|setattr\([^)]*['\"]{name}['\"]")
        return not stored.search(module.source.code)
    return True


def _is_stored(module: Module, name: str) -> bool:
    """Tell whether a loader of the project, or what is set from outside, has an attribute."""
    outside = re.compile(rf"(?<!\bself)\.{name}\s*(?::[^=\n]+)?=[^=]")
    if module.project.mentioning(outside):
        return True
    return any(
        re.search(rf"\bself\.{name}\s*(?::[^=\n]+)?=[^=]", other.source.segment(cls.node))
        or name in cls.namespace
        for other in module.project.mentioning(re.compile(rf"\b{name}\b"))
        for cls in other.classes
        if cls.lookup("__iter__") or any("Loader" in base for base in cls.base_names)
    )
