"""Imports when all fixes of a file are made: what nothing reads goes, what belongs together joins.

Several fixes of one file may each take away one use of a name, or each import one of a module. None
of them can tell that its own was the last, so this is done when all are made.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from lintmetrics.edits import CannotEdit, Edit, Editor, indent_unit
from lintmetrics.tree import subtree

if TYPE_CHECKING:
    from lintmetrics.project import ImportedName, Module

_WORD = re.compile(r"\w+")


_LINE_LENGTH = 88  # No line that a fix joins is longer than what most formatters allow.


def _read_names(tree: ast.Module) -> set[str]:
    """Return every name that a file reads, also inside strings (``__all__``, annotations)."""
    names: set[str] = set()
    keys: set[ast.expr] = set()
    texts: list[ast.Constant] = []
    for node in subtree(tree):
        if isinstance(node, ast.Name):
            names.add(node.id)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            texts.append(node)
        else:
            keys.update(_log_keys(node))
    for text in texts:
        if text not in keys:
            names.update(_names_in(str(text.value)))
    return names


def _log_keys(node: ast.AST) -> Iterator[ast.expr]:
    """Yield the strings that numbers are logged as, often named like the function behind them."""
    if isinstance(node, ast.Dict):
        yield from (key for key in node.keys if key is not None)
    elif (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "log"
        and node.args
    ):
        yield from (part for part in subtree(node.args[0]) if isinstance(part, ast.Constant))


def _names_in(text: str) -> list[str]:
    """Return the names in a string that can be an annotation or a name; prose has none."""
    if len(text) > 200:
        return []
    try:
        ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError):
        return []
    return _WORD.findall(text)


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


def _by_kind(name: str) -> tuple[int, str]:
    """Return the place of a name where constants come first, then classes, then functions."""
    return (0 if name.isupper() and len(name) > 1 else 1 if name[:1].isupper() else 2), name.lower()


_ORDERS: tuple[Callable[[str], tuple[int, str] | str], ...] = (_by_kind, str.lower)
"""How names of one import are sorted; the first is what isort and Ruff do by default."""


def joined(before: ast.Module, after: Module) -> tuple[Edit, ...]:
    """Return the edits that join one import that fixes added with another of the same module.

    Args:
        before: the tree of the file as its author left it.
        after: the file as the fixes made it.
    """
    written = {ast.dump(node) for node in before.body}
    homes: dict[tuple[str | None, int], ast.ImportFrom] = {}
    for statement in after.tree.body:
        if not isinstance(statement, (ast.Import, ast.ImportFrom)):
            homes.clear()  # What is imported behind other code, or in another cell, stays there.
            continue
        if not isinstance(statement, ast.ImportFrom):
            continue
        is_column = _is_column(after, statement)
        if not is_column and not _is_plain_line(after, statement):
            continue
        origin = (statement.module, statement.level)
        home = homes.setdefault(origin, statement)
        added = ast.dump(statement) not in written
        if home is statement or is_column or not (added or ast.dump(home) not in written):
            continue
        names = [ast.unparse(alias) for alias in home.names]
        order = next((key for key in _ORDERS if names == sorted(names, key=key)), None)
        names += [ast.unparse(alias) for alias in statement.names]
        names = list(dict.fromkeys(names))
        if order is not None:
            names.sort(key=order)
        head = f"from {'.' * home.level}{home.module or ''} import"
        line = f"{head} {', '.join(names)}"
        if _is_column(after, home) or len(line) > _LINE_LENGTH:
            unit = indent_unit(after)
            line = after.source.newline.join([f"{head} (", *(f"{unit}{n}," for n in names), ")"])
        editor = Editor()
        editor.replace(after, home, line)
        editor.remove(after, statement)
        return editor.edits
    return ()


def spelled_alike(before: ast.Module, after: Module) -> tuple[Edit, ...]:
    """Return the edits that give up one of several ways to name TorchMetrics that fixes added.

    ``import torchmetrics``, ``import torchmetrics as metrics`` and ``from torchmetrics import
    F1Score`` are each right, and each come from another fix; all three in one file are not.

    Args:
        before: the tree of the file as its author left it.
        after: the file as the fixes made it.
    """
    written = {ast.dump(node) for node in before.body}
    own = {
        alias.asname or alias.name
        for node in before.body
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
        if (node.module if isinstance(node, ast.ImportFrom) else alias.name) == "torchmetrics"
    }
    found = [
        item
        for item in after.imports
        if item.statement in after.tree.body and _names_torchmetrics(item)
    ]
    whole = [item for item in found if isinstance(item.statement, ast.Import)]
    if not whole:
        return ()
    # What the author wrote is kept, then the plain name.
    whole.sort(key=lambda item: (ast.dump(item.statement) not in written, bool(item.alias.asname)))
    kept = whole[0]
    for item in found:
        if item is kept or ast.dump(item.statement) in written or item.bound in own:
            continue
        suffix = "" if item in whole else f".{item.alias.name}"
        edits = _renamed(after, item, kept.bound + suffix)
        if edits:
            return edits
    return ()


def _names_torchmetrics(item: ImportedName) -> bool:
    statement = item.statement
    if isinstance(statement, ast.Import):
        return item.alias.name == "torchmetrics"
    return statement.module == "torchmetrics" and not statement.level and item.bound != "*"


def _renamed(module: Module, item: ImportedName, new: str) -> tuple[Edit, ...]:
    """Return the edits that read a name otherwise, and import it no longer."""
    old = item.bound
    if any(other.bound == old and other is not item for other in module.imports):
        return ()
    editor = Editor()
    for node in subtree(module.tree):
        if isinstance(node, ast.Name) and node.id == old:
            if not isinstance(node.ctx, ast.Load):
                return ()
            if module.qualified(node) != item.target:
                return ()
            editor.replace(module, node, new)
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.arg)):
            if getattr(node, "name", getattr(node, "arg", "")) == old:
                return ()
        elif (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and old != "torchmetrics"
            and old in _names_in(node.value)
        ):
            return ()
    if not isinstance(item.statement, (ast.Import, ast.ImportFrom)):
        return ()
    try:
        editor.remove_import(module, item.statement, old)
    except CannotEdit:
        return ()
    return editor.edits


def _is_column(module: Module, statement: ast.ImportFrom) -> bool:
    """Tell whether a statement has each name on a line of its own, and nothing else."""
    source = module.source
    head = f"from {'.' * statement.level}{statement.module or ''} import ("
    lines = source.text[source.start(statement) : source.end(statement)].splitlines()
    names = [f"{ast.unparse(alias)}," for alias in statement.names]
    return [line.strip() for line in lines] == [head, *names, ")"]


def _is_plain_line(module: Module, statement: ast.ImportFrom) -> bool:
    """Tell whether a statement is all that stands on its line."""
    if statement.lineno != statement.end_lineno or statement.names[0].name == "*":
        return False
    source = module.source
    text = source.text[source.start(statement) : source.end(statement)]
    return text == source.line_text(statement.lineno).strip() and "(" not in text
