"""Where modules are: which file an import leads to, told from the names of folders and files."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

_MARKERS = (".git", "pyproject.toml", "setup.py", "setup.cfg", ".hg")


class ModuleFiles:
    """The folders of a project, listed as they are asked for.

    Args:
        root: no import is looked for above this directory.
    """

    def __init__(self, root: str | None = None) -> None:
        self._root = root
        self._found: dict[tuple[str, str, int], str | None] = {}
        self._directories: dict[str, frozenset[str]] = {}

    def _entries(self, directory: str) -> frozenset[str]:
        entries = self._directories.get(directory)
        if entries is None:
            try:
                entries = frozenset(os.listdir(directory or "."))
            except OSError:
                entries = frozenset()
            self._directories[directory] = entries
        return entries

    def dotted_name(self, path: str) -> tuple[str, bool]:
        """Return the dotted name of a file, and whether it is a package's ``__init__``."""
        directory, file = os.path.split(path)
        stem = file.split(".")[0]
        is_package = stem == "__init__"
        parts = [] if is_package else [stem]
        while "__init__.py" in self._entries(directory):
            directory, package = os.path.split(directory)
            if not package:
                break
            parts.append(package)
        return ".".join(reversed(parts)) or stem, is_package

    def find(
        self, dotted: str, importer: str, package: Sequence[str], level: int = 0
    ) -> str | None:
        """Return the file of a module as an importing file sees it, ``None`` outside.

        Args:
            dotted: the module's name, whole also where the import is relative.
            importer: the path of the importing file.
            package: the parts of the name of the package that it is in.
            level: the dots of a relative import.
        """
        directory = os.path.dirname(importer)
        key = (dotted, directory, level)
        if key in self._found:
            return self._found[key]
        found: str | None = None
        if level:
            # Relative imports are paths, whether or not the folder is a proper package.
            base = directory
            for _ in range(level - 1):
                base = os.path.dirname(base)
            kept = package[: len(package) - (level - 1)]
            rest = dotted.split(".")[len(kept) :] if dotted else []
            found = self.below(base, [part for part in rest if part])
        elif dotted:
            parts = dotted.split(".")
            for base in self._search_path(directory):
                found = self.below(base, parts)
                if found is not None:
                    break
        self._found[key] = found
        return found

    def _search_path(self, directory: str) -> Iterator[str]:
        current = directory
        while True:
            yield current
            yield os.path.join(current, "src")
            if current == self._root or any(m in self._entries(current) for m in _MARKERS):
                return
            above = os.path.dirname(current)
            if above == current or not current:
                return
            current = above

    def below(self, base: str, parts: Sequence[str]) -> str | None:
        """Return the file of a module by its path from a folder, ``None`` when there is none."""
        directory = base
        for index, part in enumerate(parts):
            entries = self._entries(directory)
            last = index == len(parts) - 1
            if part in entries:
                below = os.path.join(directory, part)
                inside = self._entries(below)
                if "__init__.py" in inside or (inside and not last):
                    directory = below
                    continue
            if last and f"{part}.py" in entries:
                return os.path.join(directory, f"{part}.py")
            return None
        init = os.path.join(directory, "__init__.py")
        return init if "__init__.py" in self._entries(directory) else None


def project_root(path: str) -> str | None:
    """Return the directory that holds a project: the nearest with a marker such as ``.git``."""
    current = path if os.path.isdir(path) else os.path.dirname(path)
    while True:
        if any(os.path.exists(os.path.join(current, marker)) for marker in _MARKERS):
            return current
        above = os.path.dirname(current)
        if above == current:
            return None
        current = above
