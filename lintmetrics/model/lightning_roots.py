"""The two names that Lightning is imported by, and which of them a file or project uses."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from lintmetrics.edits import Editor
from lintmetrics.model.metric_api import is_guarded
from lintmetrics.project import Module, Project

OLD, NEW = "pytorch_lightning", "lightning.pytorch"
_IMPORT = re.compile(
    r"(?:^|(?<=\r))[ \t]*(?:from[ \t]+|import[ \t]+)(pytorch_lightning|lightning)(?=[\s.])([.\w]*)",
    re.M,
)


def root_of(module: Module) -> str:
    """Return the root that a file has Lightning from; else the one that the project has it from."""
    for match in _IMPORT.finditer(module.source.code):
        if match.group(1) == OLD:
            return OLD
        if not match.group(2).startswith((".fabric", ".app")):
            return NEW
    counts = {OLD: 0, NEW: 0}
    for _, text in module.project.texts() if "lightning" not in module.source.code else ():
        for match in _IMPORT.finditer(text):
            counts[OLD if match.group(1) == OLD else NEW] += 1
    return OLD if counts[OLD] > counts[NEW] else NEW


def spelled(name: str, root: str) -> str:
    """Return a name of the tables, such as ``pl.callbacks.Callback``, below a root."""
    head, _, rest = name.partition(".")
    if head == "pl":
        return f"{root}.{rest}"
    if head == "fabric":
        return f"{'lightning_fabric' if root == OLD else 'lightning.fabric'}.{rest}"
    return name


def imported(editor: Editor, module: Module, name: str) -> str:
    """Make a dotted name readable in a file, in the way that the file reads its neighbours."""
    home, _, member = name.rpartition(".")
    known = module.local_name(name)
    if known is not None:
        return known
    neighbours = any(item.target.rpartition(".")[0] == home for item in module.imports)
    root = next((root for root in (OLD, NEW, "lightning") if name.startswith(root + ".")), None)
    if root is not None and not neighbours:
        alias = module.local_name(root)
        if alias is not None:
            return f"{alias}.{name[len(root) + 1 :]}"
    return editor.add_import(module, home, member)


def project_roots(project: Project) -> dict[str, list[str]]:
    """Return the files of a project that name each root in an import."""
    known: dict[str, list[str]] | None = project.__dict__.get("_lm_roots")
    if known is None:
        known = project.__dict__["_lm_roots"] = {OLD: [], NEW: []}
        for path, text in project.texts():
            roots = {
                OLD if match.group(1) == OLD else NEW
                for match in _IMPORT.finditer(text)
                if match.group(1) == OLD or not match.group(2).startswith((".fabric", ".app"))
            }
            for root in roots:
                known[root].append(path)
    return known


@dataclass(frozen=True)
class MixedImport:
    """An import of the root that a project uses less, in a package that uses both.

    Args:
        module: the file; ``node``: the import statement.
        root: the root of the import; ``other``: the one that the project uses more.
        spelled: the module as the statement names it.
        elsewhere: a place of the package that imports from the other.
    """

    module: Module = field(repr=False)
    node: ast.Import | ast.ImportFrom
    root: str
    other: str
    spelled: str
    elsewhere: str


def imports_of(module: Module, root: str) -> list[ast.Import | ast.ImportFrom]:
    """Return the statements of a file that import from a root wherever the file runs."""
    found: dict[ast.Import | ast.ImportFrom, None] = {}
    for item in module.imports:
        statement = item.statement
        if isinstance(statement, ast.ImportFrom) and statement.level:
            continue
        dotted = item.alias.name if isinstance(statement, ast.Import) else statement.module or ""
        if _root_in(dotted) != root or is_guarded(module, statement):
            continue
        if module.project.find(dotted, module) is None:
            found[statement] = None
    return list(found)


def _root_in(dotted: str) -> str:
    if dotted == OLD or dotted.startswith(OLD + "."):
        return OLD
    parts = dotted.split(".")
    if parts[0] == "lightning" and (len(parts) == 1 or parts[1] == "pytorch"):
        return NEW
    return ""


def mixed_imports(module: Module) -> Iterator[MixedImport]:
    """Yield the imports of a file that mix a second root into its package."""
    roots = project_roots(module.project)
    if not (roots[OLD] and roots[NEW]):
        return
    less, more = (OLD, NEW) if len(roots[OLD]) <= len(roots[NEW]) else (NEW, OLD)
    statements = imports_of(module, less)
    if not statements:
        return
    home = _package_of(module)
    for path in sorted(roots[more], key=lambda path: path != module.path):
        other = module.project.module_at(path) if _is_below(path, home, module) else None
        if other is None or (other is not module and _package_of(other) != home):
            continue  # A project of its own that lies below the package, such as an example.
        there = imports_of(other, more)
        if there:
            place = f"{other.source.path}:{there[0].lineno}"
            for statement in statements:
                spelled_as = (
                    statement.module or ""
                    if isinstance(statement, ast.ImportFrom)
                    else statement.names[0].name
                )
                yield MixedImport(module, statement, less, more, spelled_as, place)
            return


def _package_of(module: Module) -> str:
    """Return the folder of the outermost package that holds a file; empty for a script."""
    depth = module.name.count(".") + (1 if module.is_package else 0)
    directory = module.path
    for _ in range(depth):
        directory = os.path.dirname(directory)
    return directory if depth else ""


def _is_below(path: str, home: str, module: Module) -> bool:
    return path == module.path or (bool(home) and path.startswith(home + os.sep))
