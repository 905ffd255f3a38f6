"""Imports that fixes have left without a reader.

Several fixes of one file may each take away one use of a name. None of them can tell that its own
was the last, so what they leave behind is taken out when all are made.
"""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from lintmetrics.edits import CannotEdit, Edit, Editor
from lintmetrics.tree import subtree

if TYPE_CHECKING:
    from lintmetrics.project import Module

_WORD = re.compile(r"\w+")


def _read_names(tree: ast.Module) -> set[str]:
    """Return every name that a file reads, also inside strings (``__all__``, annotations)."""
    names: set[str] = set()
    for node in subtree(tree):
        if isinstance(node, ast.Name):
            names.add(node.id)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names.update(_WORD.findall(node.value[:200]))
    return names


def _is_imported_elsewhere(module: Module, name: str) -> bool:
    """Tell whether another file of the project may import a name from this one."""
    stem = module.name.rsplit(".", 1)[-1]
    readers = module.project.from_imports
    return any(readers.get((stem, read), frozenset()) - {module.path} for read in (name, "*"))


def left_unread(before: ast.Module, after: Module) -> tuple[Edit, ...]:
    """Return the edits that take out one import whose last reader a fix took away.

    A name that the fixes themselves imported, and then no longer needed, goes too.

    Args:
        before: the tree of the file as its author left it.
        after: the file as the fixes made it.
    """
    if after.is_package:
        return ()  # What a package imports, others may read.
    imported = {
        alias.asname or alias.name.split(".")[0]
        for node in before.body
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    }
    was_read = _read_names(before)
    is_read = _read_names(after.tree)
    for item in after.imports:
        name = item.bound
        if name in is_read or (name in imported and name not in was_read):
            continue
        if item.statement not in after.tree.body:
            continue
        if item.alias.asname == item.alias.name:
            continue  # `import x as x` says that others read it.
        if "noqa" in after.source.line_text(item.statement.lineno):
            continue
        if _is_imported_elsewhere(after, name):
            continue
        editor = Editor()
        try:
            editor.remove_import(after, item.statement, name)
        except CannotEdit:
            continue
        return editor.edits
    return ()
