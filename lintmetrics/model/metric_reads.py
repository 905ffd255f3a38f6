"""Who reads at the end of an epoch what the Trainer knows of it: hooks, and callbacks."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from lintmetrics.kept_answers import kept
from lintmetrics.tree import subtree

if TYPE_CHECKING:
    from lintmetrics.edits import FunctionNode
    from lintmetrics.project import ClassInfo, Project

_METRICS = ("callback_metrics", "logged_metrics", "progress_bar_metrics")
_HOOK = re.compile(r"\b(?:callback|logged|progress_bar)_metrics\b")
# They run behind the module's hook (lightning 2.6.6, fit_loop.py, ``on_advance_end``).
_LAST = re.compile(r"\.(?:EarlyStopping|\w*Checkpoint)$")


def first_read(owner: ClassInfo, method: FunctionNode) -> ast.stmt | None:
    """Return the first statement of a hook that reads the numbers, itself or in a method."""
    readers = {
        name
        for cls in owner.mro()
        for name, other in cls.methods.items()
        if other is not method and _reads(other)
    }
    for statement in method.body:
        if _reads(statement) or any(
            isinstance(node, ast.Attribute) and node.attr in readers for node in subtree(statement)
        ):
            return statement
    return None


def read_by_callback(project: Project, hook: str, keys: frozenset[str]) -> str:
    """Return the callback's hook that reads one of the keys before the module's; empty for none."""
    for shown, read in _callback_reads(project, hook):
        if read is None or read in keys:
            return shown
    return ""


def _reads(node: ast.AST) -> bool:
    return any(isinstance(part, ast.Attribute) and part.attr in _METRICS for part in subtree(node))


@kept
def _callback_reads(project: Project, hook: str) -> list[tuple[str, str | None]]:
    """Return the hooks of callbacks that read, each with a key; ``None`` for what is not known."""
    found: list[tuple[str, str | None]] = []
    for module in project.mentioning(_HOOK):
        for cls in module.classes:
            method = cls.methods.get(hook)
            if method is None or not cls.is_kind("Callback") or cls.is_kind("LightningModule"):
                continue
            if any(_LAST.search(name) for name in cls.base_names):
                continue
            shown = f"{cls.node.name}.{hook}"
            found += [(shown, key) for key in _keys(cls, method)]
    return found


def _keys(cls: ClassInfo, method: FunctionNode) -> Iterator[str | None]:
    module = cls.module
    if first_read(cls, method) is not None and not _reads(method):
        yield None  # In another method.
    for node in subtree(method):
        if not (isinstance(node, ast.Attribute) and node.attr in _METRICS):
            continue
        around = module.parent(node)
        key: ast.expr | None = None
        if isinstance(around, ast.Subscript) and around.value is node:
            key = around.slice
        elif isinstance(around, ast.Attribute) and around.attr == "get":
            call = module.parent(around)
            key = call.args[0] if isinstance(call, ast.Call) and call.args else None
        elif isinstance(around, ast.Compare) and node in around.comparators:
            key = around.left
        is_known = isinstance(key, ast.Constant) and isinstance(key.value, str)
        yield str(key.value) if is_known and isinstance(key, ast.Constant) else None
