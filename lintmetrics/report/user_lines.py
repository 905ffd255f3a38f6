"""Findings of a fix that is only shown, at the lines of the files as they are."""

from __future__ import annotations

import bisect
import difflib
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lintmetrics.diagnostics import Diagnostic, Report

_OF_FILE = re.compile(r"(?P<path>[^\s:]+\.py):(?P<line>\d+)")
_LINES = re.compile(r"\blines? \(?\d+(?:(?:, | and | or )\d+)*")


def in_lines_of_the_user(report: Report) -> None:
    """Move what is left after a fix from the lines of the new text to those of the old one.

    Cells of notebooks keep their numbers: a fix does not add any, and few are long.
    """
    ways = {
        path: _Way(report.before[path], text)
        for path, text in report.after.items()
        if path in report.before and not path.endswith(".ipynb")
    }
    if ways:
        report.diagnostics = sorted(
            (_moved(item, ways) for item in report.diagnostics), key=lambda item: item.sort_key
        )


class _Way:
    """The way back from lines of the new text of a file to lines of the old one."""

    def __init__(self, before: str, after: str) -> None:
        self.before = before.splitlines()
        self.after = after.splitlines()
        matcher = difflib.SequenceMatcher(None, self.before, self.after, autojunk=False)
        self._steps = [(j1, j2, i1, i2) for _, i1, i2, j1, j2 in matcher.get_opcodes()]
        self._starts = [j1 for j1, _, _, _ in self._steps]

    def line(self, number: int) -> int:
        """Return the line of the old text that a line of the new one stands for (from 1)."""
        at = number - 1
        found = bisect.bisect_right(self._starts, at) - 1
        # A piece that only went is no place for a line.
        while found > 0 and self._steps[found][1] <= at:
            found -= 1
        if found < 0:
            return number
        first, _, old, stop = self._steps[found]
        return min(old + (at - first), max(stop - 1, old), max(len(self.before) - 1, 0)) + 1

    def text(self, number: int) -> str:
        """Return a line of the old text."""
        return self.before[number - 1] if 0 < number <= len(self.before) else ""


def _moved(item: Diagnostic, ways: Mapping[str, _Way]) -> Diagnostic:
    item = replace(
        item,
        message=_renumbered(item.message, item.path, ways),
        help=_renumbered(item.help, item.path, ways),
        blocked=_renumbered(item.blocked, item.path, ways),
    )
    way = ways.get(item.path)
    if way is None or item.start.cell is not None:
        return item
    line = way.line(item.start.line)
    shown = way.text(line)
    start = replace(item.start, line=line)
    end = replace(item.end, line=max(line, way.line(item.end.line)))
    if shown != item.source_line:
        # The line itself is changed: it is shown as a whole.
        indent = len(shown) - len(shown.lstrip())
        start = replace(start, column=indent + 1)
        end = replace(start, column=len(shown.rstrip()) + 1)
    return replace(
        item,
        start=start,
        end=end,
        source_line=shown,
        first_line=way.line(item.first_line),
        last_line=max(line, way.line(item.last_line)),
        statement_line=way.line(item.statement_line),
    )


def _renumbered(text: str, path: str, ways: Mapping[str, _Way]) -> str:
    """Return a text whose line numbers are those of the old texts."""

    def of_file(match: re.Match[str]) -> str:
        way = ways.get(match["path"])
        return match[0] if way is None else f"{match['path']}:{way.line(int(match['line']))}"

    def of_this(match: re.Match[str]) -> str:
        way = ways[path]
        return re.sub(r"\d+", lambda number: str(way.line(int(number[0]))), match[0])

    text = _OF_FILE.sub(of_file, text)
    return _LINES.sub(of_this, text) if path in ways else text
