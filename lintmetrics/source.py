"""The text of one file: what stands in it, what the parser may see of it, and where things are.

Two views of equal length are kept. ``text`` is the file as its author wrote it; ``code`` is what
the parser reads, in which notebook magics and syntax newer than the running Python are replaced by
placeholders of the same length. Offsets are therefore valid in both, and an edit planned on the
tree lands in the right place of the text.
"""

from __future__ import annotations

import ast
import bisect
import re
from dataclasses import dataclass
from typing import Protocol

_NEWLINE = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True, order=True)
class Location:
    """A place shown to the user: 1-based line and column, and the 1-based cell of a notebook."""

    line: int
    column: int
    cell: int | None = None


class Container(Protocol):
    """How a text is stored on disk: encoding, byte order mark, or the cells of a notebook."""

    def pack(self, text: str) -> bytes:
        """Return the bytes of the whole file with ``text`` in place of its text."""

    def locate(self, line: int) -> tuple[int | None, int]:
        """Return ``(cell, line in the cell)`` for a 1-based line of the text."""


class Source:
    """One file's text with its line table.

    Args:
        path: the path as shown to the user, with forward slashes.
        text: the decoded text, newlines untouched.
        container: packs an edited text into the bytes of the file.
        code: the parser's view, of the same length as ``text``; ``text`` itself by default.
    """

    def __init__(self, path: str, text: str, container: Container, code: str | None = None) -> None:
        self.path = path
        self.text = text
        self.container = container
        self.code = text if code is None else code
        if len(self.code) != len(text):
            raise AssertionError(f"{path}: the parser's view has another length than the text")
        self._ascii = self.code.isascii()
        self._starts = [0, *(match.end() for match in _NEWLINE.finditer(self.code))]

    def mask(self, code: str) -> None:
        """Take another parser's view, of the same length and with the same newlines."""
        starts = [0, *(match.end() for match in _NEWLINE.finditer(code))]
        if len(code) != len(self.text) or starts != self._starts:
            raise AssertionError(f"{self.path}: the parser's view has another shape than the text")
        self.code = code
        self._ascii = code.isascii()

    @property
    def newline(self) -> str:
        """The line ending of the first line, ``"\\n"`` when there is none."""
        match = _NEWLINE.search(self.text)
        return match.group() if match else "\n"

    def offset(self, line: int, column: int) -> int:
        """Return the offset of an ``ast`` position: 1-based line, column in UTF-8 bytes."""
        start = self._starts[line - 1]
        if self._ascii:
            return start + column
        end = self._starts[line] if line < len(self._starts) else len(self.code)
        encoded = self.code[start:end].encode("utf-8", "surrogatepass")
        return start + len(encoded[:column].decode("utf-8", "surrogatepass"))

    def start(self, node: ast.AST) -> int:
        """Return the offset of a node's first character (a decorator is not part of a ``def``)."""
        return self.offset(node.lineno, node.col_offset)  # type: ignore[attr-defined]

    def end(self, node: ast.AST) -> int:
        """Return the offset behind a node's last character."""
        return self.offset(node.end_lineno, node.end_col_offset)  # type: ignore[attr-defined]

    def segment(self, node: ast.AST) -> str:
        """Return the text of a node as its author wrote it."""
        return self.text[self.start(node) : self.end(node)]

    def line_of(self, offset: int) -> int:
        """Return the 1-based line that holds an offset."""
        return bisect.bisect_right(self._starts, offset)

    def line_start(self, offset: int) -> int:
        """Return the offset of the first character of the line that holds ``offset``."""
        return self._starts[self.line_of(offset) - 1]

    def line_end(self, offset: int) -> int:
        """Return the offset behind the newline of the line that holds ``offset``."""
        line = self.line_of(offset)
        return self._starts[line] if line < len(self._starts) else len(self.text)

    def line_text(self, line: int) -> str:
        """Return a 1-based line without its newline."""
        start = self._starts[line - 1]
        end = self._starts[line] if line < len(self._starts) else len(self.text)
        return self.text[start:end].rstrip("\r\n")

    def indent_of(self, offset: int) -> str:
        """Return the white space that begins the line holding ``offset``."""
        line = self.line_text(self.line_of(offset))
        return line[: len(line) - len(line.lstrip(" \t\f"))]

    def location(self, offset: int) -> Location:
        """Return where an offset is, as the user counts it."""
        line = self.line_of(offset)
        cell, cell_line = self.container.locate(line)
        return Location(cell_line, offset - self._starts[line - 1] + 1, cell)
