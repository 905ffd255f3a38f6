"""The hooks that a class gives Lightning: whose they are, and who beside Lightning calls them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from lintmetrics import facts
from lintmetrics.edits import FunctionNode, is_docstring
from lintmetrics.facts import Hook
from lintmetrics.kept_answers import kept
from lintmetrics.model.epoch_hooks import Reference, company, reference_at
from lintmetrics.model.hook_methods import HookMethod
from lintmetrics.model.lightning_objects import ROOT, is_left_alone, kind_of
from lintmetrics.model.lightning_versions import consequence
from lintmetrics.project import ClassInfo, External, Module, ModuleName, Project
from lintmetrics.rule import Consequence
from lintmetrics.tree import subtree

_LOGGER = re.compile(r"(?:Lightning)?LoggerBase$|Logger$")
_FINETUNING = ("BaseFinetuning", "BackboneFinetuning")
CALLBACK_GIVEN = ("trainer", "pl_module")
"""What the hooks of a callback are given first."""
_GIVEN_NOTHING = ("state_dict", "load_state_dict")
_TEST = re.compile(r"(?:^|[/\\])(?:tests?[/\\]|test_[^/\\]*$|conftest\.py$)")


@dataclass(frozen=True)
class OwnHook(HookMethod):
    """A method that a class gives under the name of a hook.

    Args:
        owner: what its class is to Lightning, as the table of hooks says it.
        row: what the table knows of it.
        consequence: what becomes of it on the target.
    """

    owner: str
    row: Hook
    consequence: Consequence


def owners(cls: ClassInfo) -> tuple[str, ...]:
    """Return what a class is to Lightning: ``"module"``, ``"callback"``, ``"datamodule"``, ...

    The names are those of the table of hooks; empty for a class that Lightning never calls, or
    that another library with hooks calls as well.
    """
    if cls.is_kind("Callback"):
        if any("allback" in name and not ROOT.match(name) for name in _foreign(cls)):
            return ()
        last = {name.rpartition(".")[2] for name in cls.base_names}
        if "ProgressBar" in last and not last & {"TQDMProgressBar", "RichProgressBar"}:
            return ("callback", "ProgressBar")
        return ("callback", "BaseFinetuning") if last.intersection(_FINETUNING) else ("callback",)
    if cls.is_lightning:
        return ("module",)
    if cls.is_kind("LightningDataModule"):
        return ("datamodule",)
    if any(ROOT.match(name) and _LOGGER.search(name) for name in cls.base_names):
        return ("logger",)
    return ()


def _foreign(cls: ClassInfo) -> Iterator[str]:
    for above in cls.mro():
        for base, node in zip(above.bases, above.node.bases, strict=True):
            if base is None:
                yield ast.unparse(node)
            elif isinstance(base, (External, ModuleName)):
                yield base.name


def given_first(owner: str, name: str) -> tuple[str, ...]:
    """Return what a hook is given before the parameters that the table names."""
    return CALLBACK_GIVEN if owner == "callback" and name not in _GIVEN_NOTHING else ()


def own_hooks(cls: ClassInfo, *kinds: str) -> Iterator[OwnHook]:
    """Yield the methods of a class that the table has rows of some kinds for."""
    for owner in owners(cls):
        rows = facts.hooks_of(owner, *kinds)
        for name in rows.keys() & cls.methods.keys():
            function = cls.methods[name]
            found = consequence(rows[name], cls.module.project)
            if found is None or is_left_alone(cls.module, function, name):
                continue
            yield OwnHook(cls, function, owner, rows[name], found)


def is_empty(function: FunctionNode) -> bool:
    """Tell whether a method does nothing, so that nothing is lost where nobody calls it."""
    return all(
        is_docstring(statement)
        or isinstance(statement, ast.Pass)
        or (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))
        or (isinstance(statement, ast.Return) and statement.value is None)
        or _raises_not_implemented(statement)
        for statement in function.body
    )


def _raises_not_implemented(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Raise) and "NotImplemented" in ast.unparse(statement)


# Who speaks of a method --------------------------------------------------------------------------


@dataclass(frozen=True)
class Mentions:
    """Every place of a project that names a method.

    Args:
        references: the attributes; ``texts``: strings and plain names that say no more than it.
    """

    references: tuple[Reference, ...]
    texts: tuple[tuple[Module, ast.AST], ...]


@kept
def mentions(project: Project, name: str) -> Mentions:
    """Return the places of a project that name a method, its definitions left out."""
    spelled = re.compile(rf"(?:\.\s*\\?\s*|['\"]|[=(,\[]\s*){name}\b")
    references: list[Reference] = []
    texts: list[tuple[Module, ast.AST]] = []
    for module in project.mentioning(spelled, name):
        for node in subtree(module.tree):
            if isinstance(node, ast.Attribute):
                if node.attr == name:
                    references.append(reference_at(module, node))
            elif isinstance(node, ast.Constant):
                if node.value == name:
                    texts.append((module, node))
            elif isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load):
                texts.append((module, node))
    return Mentions(tuple(references), tuple(texts))


def is_used(cls: ClassInfo, name: str) -> bool:
    """Tell whether the project itself may call a method of a class, or hand it on.

    A method that only passes on to the one that it overrides does not count, nor does a test that
    calls it by hand.
    """
    found = mentions(cls.module.project, name)
    relatives = set(company(cls))
    if any(_may_mean(module, node, relatives) for module, node in found.texts):
        return True
    return any(
        _may_reach(reference, relatives)
        for reference in found.references
        if reference.receiver != "other" or not _is_test(reference.module) or _is_test(cls.module)
    )


def _is_test(module: Module) -> bool:
    return _TEST.search(module.source.path) is not None


def calls_by_hand(cls: ClassInfo, name: str) -> Reference | None:
    """Return a place that calls a method on what may be an object of a class."""
    relatives = set(company(cls))
    for reference in mentions(cls.module.project, name).references:
        if reference.receiver in ("other", "class") and _may_reach(reference, relatives):
            return reference
    return None


def may_reach(reference: Reference, cls: ClassInfo) -> bool:
    """Tell whether a place may mean the method of an object of a class, or of its relatives."""
    return _may_reach(reference, set(company(cls)))


def _may_mean(module: Module, node: ast.AST, relatives: set[ClassInfo]) -> bool:
    if isinstance(node, ast.Constant):
        return True  # getattr(callback, "on_epoch_end") and its kin.
    # A plain name means a method in the body of its class alone: later = on_epoch_end.
    return module.enclosing_function(node) is None and module.enclosing_class(node) in relatives


def _may_reach(reference: Reference, relatives: set[ClassInfo]) -> bool:
    inside = reference.function is not None and reference.function.name == reference.name
    if reference.receiver == "super":
        return not inside and reference.cls in relatives
    if reference.receiver == "self":
        return reference.cls in relatives
    if reference.receiver == "class":
        return not inside and reference.owner in relatives
    if inside and reference.cls is not None:
        for owner in owners(reference.cls):
            if reference.name in facts.hooks_of(owner, "never"):
                return False  # A hook that nobody calls hands on in vain.
    kind = kind_of(reference.module, reference.node.value)
    if kind.cls is not None:
        return kind.cls in relatives
    return "Trainer" not in kind.names
