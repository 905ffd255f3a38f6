"""Which files of a project work together, by what they import.

Unrelated scripts may share a folder: what one logs is not there for what another watches.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from lintmetrics.kept_answers import kept

if TYPE_CHECKING:
    from lintmetrics.project import Module, Project

_FROM = re.compile(r"\bfrom[ \t]+([.\w]+)[ \t]+import[ \t]*(\([^)]*\)|(?:\\\r?\n|[^\n\\])*)")
_IMPORT = re.compile(r"\bimport[ \t]+([^\n]*)")
_WORD = re.compile(r"[^\W\d]\w*")
_MODULE = re.compile(r"\bclass\b.*\bLightningModule\b")
# Whoever makes objects by their dotted names may bring any two files together.
_BY_NAME = re.compile(
    r"\b(?:hydra|instantiate|importlib|import_module|__import__|LightningCLI|locate|runpy|exec"
    r"|load_class|get_class|registry)\b"
)


def files_in_sight(module: Module, is_whole: bool = False) -> frozenset[str] | None:
    """Return the paths of all files that may run together with a file.

    These are what it imports, who imports it, and what those import, and so on.

    Args:
        module: the file.
        is_whole: whether it is surely a program of its own, which nobody loads by its name.

    Returns:
        The paths; ``None`` where any file of the project may be among them: where objects are made
        by their names, and where none of these files has a module to train.
    """
    project = module.project
    by_name = project.paths_mentioning(_BY_NAME)
    if by_name and not is_whole:
        return None
    imports = _imports(project)
    if module.path not in imports:
        return None
    found = _reached(project, frozenset(_closure(module.path, _importers(project))))
    if not found.isdisjoint(by_name):
        return None
    trained = project.paths_mentioning(_MODULE, "LightningModule")
    return None if found.isdisjoint(trained) else found


@kept
def _reached(project: Project, files: frozenset[str]) -> frozenset[str]:
    imports = _imports(project)
    return frozenset(path for start in files for path in _closure(start, imports))


def _closure(start: str, edges: dict[str, set[str]]) -> set[str]:
    found, queue = {start}, [start]
    while queue:
        further = edges.get(queue.pop(), set()) - found
        found |= further
        queue += further
    return found


@kept
def _imports(project: Project) -> dict[str, set[str]]:
    """Return the files that each file may import: all that are called as a word of its imports.

    More than it does import, never fewer.
    """
    words: dict[str, set[str]] = {}
    called: dict[str, set[str]] = {}
    for path, text in project.texts():
        directory, file = os.path.split(path)
        stem = file.split(".")[0]
        name = os.path.basename(directory) if stem == "__init__" else stem
        called.setdefault(name, set()).add(path)
        said = [*(" ".join(m.groups()) for m in _FROM.finditer(text)), *_IMPORT.findall(text)]
        words[path] = {word for one in said for word in _WORD.findall(one)}
    return {
        path: {other for word in found & called.keys() for other in called[word]} - {path}
        for path, found in words.items()
    }


@kept
def _importers(project: Project) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for path, imported in _imports(project).items():
        for other in imported:
            found.setdefault(other, set()).add(path)
    return found
