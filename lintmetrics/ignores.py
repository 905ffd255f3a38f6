"""Patterns of paths to leave out, as git reads them.

The patterns of one file are split by kind, because a walk asks about every entry of every directory
and most patterns are a plain name or a suffix, which a dictionary answers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_MAGIC = re.compile(r"[*?\[\\]")
_CLASSES = {
    "alnum": "a-zA-Z0-9",
    "alpha": "a-zA-Z",
    "blank": " \\t",
    "digit": "0-9",
    "lower": "a-z",
    "space": "\\s",
    "upper": "A-Z",
    "xdigit": "0-9a-fA-F",
}


class IgnorePatterns:
    """An ordered list of git-ignore patterns, all relative to one directory.

    The last pattern that matches a path decides; a parent that is ignored is the walker's affair,
    which never enters it.
    """

    def __init__(self, lines: Iterable[str]) -> None:
        self._verdicts: list[bool] = []
        self._names: dict[tuple[str, bool], int] = {}
        self._suffixes: dict[tuple[str, bool], int] = {}
        self._patterns: list[tuple[int, bool, bool, re.Pattern[str]]] = []
        for line in lines:
            self._add(line)
        self._patterns.reverse()
        sources = [pattern.pattern for _, _, by_name, pattern in self._patterns if by_name]
        self._any_name = re.compile("|".join(sources)) if sources else None
        sources = [pattern.pattern for _, _, by_name, pattern in self._patterns if not by_name]
        self._any_path = re.compile("|".join(sources)) if sources else None

    def __bool__(self) -> bool:
        return bool(self._verdicts)

    def _add(self, line: str) -> None:
        line = _without_trailing_spaces(line.rstrip("\r\n"))
        if not line or line.startswith("#"):
            return
        ignored = not line.startswith("!")
        if not ignored:
            line = line[1:]
        only_directories = line.endswith("/")
        if only_directories:
            line = line[:-1]
        if not line:
            return
        index = len(self._verdicts)
        if "/" not in line:
            if not _MAGIC.search(line):
                self._verdicts.append(ignored)
                self._names[line, only_directories] = index
                return
            if line.startswith("*.") and not _MAGIC.search(line, 1) and "." not in line[2:]:
                self._verdicts.append(ignored)
                self._suffixes[line[1:], only_directories] = index
                return
            by_name = True
        else:
            by_name = False
            line = line.removeprefix("/")
        pattern = _compiled(line, by_name)
        if pattern is None:
            return
        self._verdicts.append(ignored)
        self._patterns.append((index, only_directories, by_name, pattern))

    def verdict(self, path: str, name: str, is_directory: bool) -> bool | None:
        """Tell whether a path is ignored (``True``), taken back (``False``) or not spoken of.

        Args:
            path: relative to the directory of the patterns, with forward slashes.
            name: the last part of ``path``.
            is_directory: whether the path is one.
        """
        best = self._names.get((name, False), -1)
        if is_directory:
            best = max(best, self._names.get((name, True), -1))
        if self._suffixes:
            dot = name.rfind(".")
            if dot >= 0:
                best = max(best, self._suffixes.get((name[dot:], False), -1))
                if is_directory:
                    best = max(best, self._suffixes.get((name[dot:], True), -1))
        if (self._any_name and self._any_name.match(name)) or (
            self._any_path and self._any_path.match(path)
        ):
            for index, only_directories, by_name, pattern in self._patterns:
                if index < best:
                    break
                if only_directories and not is_directory:
                    continue
                if pattern.match(name if by_name else path):
                    best = index
                    break
        return self._verdicts[best] if best >= 0 else None

    def covers(self, path: str) -> bool:
        """Tell whether a file, or a directory above it, is ignored; for one path, not for walks."""
        parts = path.split("/")
        for end in range(1, len(parts) + 1):
            is_directory = end < len(parts)
            if self.verdict("/".join(parts[:end]), parts[end - 1], is_directory):
                return True
        return False


def _without_trailing_spaces(line: str) -> str:
    while line.endswith(" "):
        backslashes = len(line) - 1 - len(line[:-1].rstrip("\\"))
        if backslashes % 2:
            break
        line = line[:-1]
    return line


def _compiled(pattern: str, by_name: bool) -> re.Pattern[str] | None:
    """Return the regular expression of a pattern, ``None`` for one that git never matches."""
    out: list[str] = []
    i, n = 0, len(pattern)
    while i < n:
        char = pattern[i]
        if char == "*":
            end = i
            while end < n and pattern[end] == "*":
                end += 1
            whole = (i == 0 or pattern[i - 1] == "/") and (end == n or pattern[end] == "/")
            if end - i >= 2 and whole and not by_name:
                if end == n:
                    out.append(".+" if i else ".*")
                    i = end
                else:
                    out.append("(?:.+/)?")
                    i = end + 1
            else:
                out.append("[^/]*")
                i = end
        elif char == "?":
            out.append("[^/]")
            i += 1
        elif char == "[":
            bracket, i = _bracket(pattern, i)
            if bracket is None:
                return None
            out.append(bracket)
        elif char == "\\":
            if i + 1 == n:
                return None
            out.append(re.escape(pattern[i + 1]))
            i += 2
        else:
            out.append(re.escape(char))
            i += 1
    try:
        return re.compile("(?:" + "".join(out) + r")\Z", re.DOTALL)
    except re.error:
        return None


def _bracket(pattern: str, start: int) -> tuple[str | None, int]:
    """Translate ``[...]`` at ``start``; ``(None, end)`` when it is not closed or not known."""
    i, n = start + 1, len(pattern)
    negated = i < n and pattern[i] in "!^"
    if negated:
        i += 1
    items: list[str] = []
    first = True
    while i < n and (first or pattern[i] != "]"):
        first = False
        if pattern.startswith("[:", i):
            close = pattern.find(":]", i)
            members = _CLASSES.get(pattern[i + 2 : close]) if close > 0 else None
            if members is None:
                return None, n
            items.append(members)
            i = close + 2
            continue
        if pattern[i] == "\\" and i + 1 < n:
            i += 1
        low = pattern[i]
        i += 1
        if i + 1 < n and pattern[i] == "-" and pattern[i + 1] != "]":
            i += 1
            if pattern[i] == "\\" and i + 1 < n:
                i += 1
            high = pattern[i]
            i += 1
            if low <= high:
                items.append(f"{re.escape(low)}-{re.escape(high)}")
        else:
            items.append(re.escape(low))
    if i >= n:
        return None, n
    members = "".join(items)
    if negated:
        return f"(?!/)[^{members}]" if members else "[^/]", i + 1
    return f"(?!/)[{members}]" if members else "(?!)", i + 1
