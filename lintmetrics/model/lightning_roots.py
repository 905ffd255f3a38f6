"""The two names that Lightning is imported by, and which of them a file or project uses."""

from __future__ import annotations

import re

from lintmetrics.edits import Editor
from lintmetrics.project import Module, Project

OLD, NEW = "pytorch_lightning", "lightning.pytorch"
_IMPORT = re.compile(
    r"^[ \t]*(?:from[ \t]+|import[ \t]+)(pytorch_lightning|lightning)(?=[\s.])([.\w]*)", re.M
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
