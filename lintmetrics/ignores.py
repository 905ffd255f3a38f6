"""Patterns of paths to leave out, as git reads them; pathspec knows how."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec


class IgnorePatterns:
    """An ordered list of git-ignore patterns, all relative to one directory.

    The last pattern that matches a path decides; a parent that is ignored is the walker's affair,
    which never enters it.
    """

    def __init__(self, lines: Iterable[str]) -> None:
        kept = [line.rstrip("\r\n") for line in lines]
        self._spec: GitIgnoreSpec | None = None
        if any(line.strip() and not line.startswith("#") for line in kept):
            # Most directories have no patterns, and most runs need no library for them.
            from pathspec import GitIgnoreSpec

            self._spec = GitIgnoreSpec.from_lines(line for line in kept if _readable(line))

    def __bool__(self) -> bool:
        return self._spec is not None

    def verdict(self, path: str, is_directory: bool) -> bool | None:
        """Tell whether a path is ignored (``True``), taken back (``False``) or not spoken of.

        Args:
            path: relative to the directory of the patterns, with forward slashes.
            is_directory: whether the path is one.
        """
        if self._spec is None:
            return None
        found = self._spec.check_file(f"{path}/" if is_directory else path)
        parent = path.rpartition("/")[0]
        if found.include and parent:
            # pathspec also matches what lies below a match; a user who names a directory that is
            # ignored wants to look into it.
            above = self._spec.check_file(f"{parent}/")
            if above.include and above.index == found.index:
                return None
        return found.include

    def covers(self, path: str) -> bool:
        """Tell whether a file, or a directory above it, is ignored; for one path, not for walks."""
        parts = path.split("/")
        for end in range(1, len(parts) + 1):
            is_directory = end < len(parts)
            if self.verdict("/".join(parts[:end]), is_directory):
                return True
        return False


def _readable(line: str) -> bool:
    """Tell whether a line is a pattern; git passes over a broken one, pathspec raises."""
    from pathspec import GitIgnoreSpec

    try:
        GitIgnoreSpec.from_lines([line])
    except ValueError:
        return False
    return True
