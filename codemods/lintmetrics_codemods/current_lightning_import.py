"""Writes names of Lightning from where newer releases have them."""

from __future__ import annotations

import ast
import re

from lintmetrics import facts
from lintmetrics.codemod import Blocked, Codemod, Fix, Relation
from lintmetrics.config import Settings
from lintmetrics.edits import CannotEdit, Editor
from lintmetrics.model.lightning_names import OldName, old_names
from lintmetrics.model.lightning_roots import imported, spelled
from lintmetrics.model.moved_names import is_exported
from lintmetrics.project import Module
from lintmetrics.releases import reaches
from lintmetrics.rule import Finding
from lintmetrics.tree import subtree

_WIDTH = 88


class CurrentLightningImport(Codemod):
    """Moves an import, with what reads its names, or one chain of attributes."""

    codes = ("LM505",)

    def plan(self, finding: Finding, settings: Settings) -> Fix | Blocked:
        """Plan an import together with the names beside it that are as safe, or one chain."""
        name = finding.subject
        assert isinstance(name, OldName)
        if not name.new or name.change.codemod == "manual":
            return Blocked(finding.help)
        since = facts.lightning_since(name.change.new)
        if since and not reaches(settings.target_lightning, since):
            return Blocked(
                f"{name.new} came with Lightning {since}, and the target is "
                f"{settings.target_lightning}"
            )
        if name.change.codemod == "unsafe" and "other arguments" in name.change.note:
            _require_no_arguments(name)
        editor = Editor()
        if isinstance(name.node, ast.Constant):
            _text(editor, name, name.node)
            return _fix(editor, [name])
        if name.item is None:
            _chain(editor, name)
            return _fix(editor, [name])
        statement = name.item.statement
        names = [
            other
            for other in old_names(name.module)
            if other.item is not None
            and other.item.statement is statement
            and other.new
            and (other is name or other.change.codemod == "safe")
        ]
        if isinstance(statement, ast.Import):
            names = [name]
            _plain_import(editor, name, statement)
        else:
            _import(editor, name.module, statement, names)
        return _fix(editor, names)


def _fix(editor: Editor, names: list[OldName]) -> Fix:
    unsafe = [name.change.note for name in names if name.change.codemod == "unsafe"]
    if unsafe:
        return Fix(Relation.ASSUMES, "; ".join(dict.fromkeys(unsafe)), editor.edits)
    text = ", ".join(f"{name.change.old} is {name.new}" for name in names)
    return Fix(Relation.PRESERVES, text, editor.edits)


def _text(editor: Editor, name: OldName, node: ast.Constant) -> None:
    """Write the new name between the quotes of a string."""
    if "other arguments" in name.change.note:
        raise CannotEdit(name.change.note)
    written = name.module.source.segment(node)
    if written.count(name.dotted) != 1 or len(written) != len(name.dotted) + 2:
        raise CannotEdit(f"the string is written in another way; write {name.new}")
    editor.replace(name.module, node, written.replace(name.dotted, name.new))


def _require_no_arguments(name: OldName) -> None:
    """Raise where what takes other arguments now is given some."""
    bound = name.item.bound if name.item is not None else ""
    for call in name.module.calls:
        called = call.func is name.node or (bound and getattr(call.func, "id", "") == bound)
        if called and (call.args or call.keywords):
            raise CannotEdit(f"line {call.lineno} gives it arguments; {name.change.note}")


def _chain(editor: Editor, name: OldName) -> None:
    module, node = name.module, name.node
    alias = module.local_name(name.root)
    rest = name.new.removeprefix(name.root + ".")
    if alias is not None and rest != name.new and not rest.startswith(("cli.", "tuner.")):
        editor.replace(module, node, f"{alias}.{rest}")
        return
    editor.replace(module, node, imported(editor, module, name.new))


def _require_members(name: OldName, bound: str) -> None:
    """Raise where something is read from a module that its successor has not, or elsewhere."""
    module = name.module
    for node in subtree(module.tree):
        if not (isinstance(node, ast.Name) and node.id == bound and isinstance(node.ctx, ast.Load)):
            continue
        parent = module.parent(node)
        if not (isinstance(parent, ast.Attribute) and parent.value is node):
            raise CannotEdit(f"{bound} is handed on as a module at line {node.lineno}")
        row = facts.lightning_name(f"{name.change.old}.{parent.attr}")
        if row is None or spelled(row.new, name.root) != f"{name.new}.{parent.attr}":
            raise CannotEdit(f"{bound}.{parent.attr} at line {node.lineno} is not in {name.new}")


def _plain_import(editor: Editor, name: OldName, statement: ast.Import) -> None:
    assert name.item is not None
    if name.change.kind != "module" or not name.item.alias.asname:
        raise CannotEdit("the import binds the root; import what is needed by name")
    _require_members(name, name.item.bound)
    start = name.module.source.start(name.item.alias)
    editor.replace_range(name.module, start, start + len(name.item.alias.name), name.new)


def _import(
    editor: Editor, module: Module, statement: ast.ImportFrom, names: list[OldName]
) -> None:
    """Write a from-import anew: what stays, then what comes from elsewhere."""
    source = module.source
    moved = {id(name.item.alias): name for name in names if name.item is not None}
    homes: dict[str, list[tuple[str, str]]] = {}
    for alias in statement.names:
        name = moved.get(id(alias))
        if alias.name == "*":
            raise CannotEdit("a star import hides which names are used; import them by name")
        bound = alias.asname or alias.name
        if name is None:
            homes.setdefault(module.absolute(statement), []).append((alias.name, bound))
            continue
        if name.change.kind == "module":
            _require_members(name, bound)
        home, _, last = name.new.rpartition(".")
        renamed = not alias.asname and last != bound and name.change.kind != "module"
        if renamed and _rename(editor, module, bound, last):
            bound = last
        homes.setdefault(home, []).append((last, bound))
    unchanged = all(
        (last, bound) == (alias.name, alias.asname or alias.name)
        for (last, bound), alias in zip(
            [pair for pairs in homes.values() for pair in pairs], statement.names, strict=True
        )
    )
    if len(homes) == 1 and unchanged:
        start = source.start(statement)
        match = re.compile(r"from\s+([\w.]+)\s+import\b").match(source.code, start)
        if match is None:
            raise CannotEdit(f"the import at line {statement.lineno} cannot be read")
        editor.replace_range(module, match.start(1), match.end(1), next(iter(homes)))
        return
    if "#" in source.segment(statement):
        raise CannotEdit(f"a comment stands inside the import at line {statement.lineno}")
    indent = source.indent_of(source.start(statement))
    lines = [_line(home, pairs, indent, source.newline) for home, pairs in homes.items()]
    if len(lines) > 1 and source.line_text(statement.lineno).lstrip()[:5] != "from ":
        raise CannotEdit(f"line {statement.lineno} holds more than one statement")
    editor.replace(module, statement, f"{source.newline}{indent}".join(lines))


def _line(home: str, pairs: list[tuple[str, str]], indent: str, newline: str) -> str:
    names = [last if last == bound else f"{last} as {bound}" for last, bound in pairs]
    line = f"from {home} import {', '.join(names)}"
    if len(indent) + len(line) <= _WIDTH or len(names) == 1:
        return line
    inner = "".join(f"{indent}    {name},{newline}" for name in names)
    return f"from {home} import ({newline}{inner}{indent})"


def _rename(editor: Editor, module: Module, old: str, new: str) -> bool:
    """Write a new name wherever the old one is read; tell whether that could be done."""
    if module.binds(new) or is_exported(module, old):
        return False
    reads: list[ast.Name] = []
    for node in subtree(module.tree):
        if isinstance(node, ast.Name) and node.id == old:
            if not isinstance(node.ctx, ast.Load):
                return False
            reads.append(node)
        elif isinstance(node, ast.Constant) and old in re.findall(r"\w+", str(node.value)):
            return False
    for read in reads:
        editor.replace(module, read, new)
    return True
