"""Notebooks: one module made of the code cells, and edits that touch nothing else in the file.

The cells are joined by separator lines, comments that no cell can hold, so that an edited text
falls apart into its cells again without guessing. What IPython understands and Python does not,
such as ``%matplotlib inline``, is replaced in the parser's view by a placeholder of equal length.
"""

from __future__ import annotations

import bisect
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from json.decoder import JSONDecodeError, JSONDecoder, scanstring  # type: ignore[attr-defined]
from typing import Any

from lintmetrics.errors import SourceError
from lintmetrics.source import Source

SEPARATOR = "#\x1f"
"""The line between two cells."""

MAX_BYTES = 200_000_000

_MARK = b"\xef\xbb\xbf"
_SPACE = re.compile(r"[ \t\n\r]*")
_RAW_PIECE = re.compile(r"\\u[0-9a-fA-F]{4}|\\.|[^\\]+", re.DOTALL)
_DECODER = JSONDecoder()

# Cell magics whose body is Python that runs in the notebook; of any other, the whole cell is text.
_PYTHON_MAGICS = frozenset(
    {
        "capture",
        "debug",
        "ipytest",
        "lprun",
        "memit",
        "mprun",
        "prun",
        "px",
        "pyinstrument",
        "pypy",
        "python",
        "python3",
        "scalene",
        "snakeviz",
        "time",
        "timeit",
        "wandb",
    }
)

_CANDIDATE = re.compile(r"(?m)^\s*[%!?/,;]|\?[ \t]*(?:#.*)?$|=\s*[%!]")
_ASSIGNED = re.compile(r"[A-Za-z_][\w., \t*\[\]'\"():]*?=[ \t]*(?=[%!])(?!%=)")
_HELP = re.compile(r"%{0,2}[\w*][\w.*\[\]'\"-]*[ \t]*\?\??[ \t]*(?:#.*)?\Z")
_TOKEN = re.compile(
    r"""(?P<comment>\#[^\r\n]*)
    |(?P<string>(?:\b[rRbBuUfFtT]{1,2})?(?:'''|\"\"\"|'|\"))
    |(?P<open>[(\[{])|(?P<close>[)\]}])
    |(?P<continued>\\(?:\r\n|\r|\n))
    |(?P<newline>\r\n|\r|\n)""",
    re.VERBOSE,
)


@dataclass(frozen=True)
class Cell:
    """A code cell.

    Args:
        number: 1-based, counted over all cells of the notebook.
        text: what the author typed.
        start: where the JSON of its source begins in the file; ``end``: behind it.
    """

    number: int
    text: str
    start: int
    end: int

    @property
    def newline(self) -> str:
        """The newline to end it with."""
        return "\r\n" if "\r\n" in self.text else "\n"


class Notebook:
    """The container of the code cells of an ``.ipynb`` file."""

    def __init__(self, path: str, raw: str, mark: bytes, cells: list[Cell]) -> None:
        self.path = path
        self.raw = raw
        self.mark = mark
        self.cells = cells
        self._first_lines: list[int] = []
        line = 1
        for cell in cells:
            self._first_lines.append(line)
            line += len(re.findall(r"\r\n|\r|\n", cell.text + cell.newline)) + 1

    @property
    def text(self) -> str:
        """The module that the cells make."""
        return self.join([cell.text for cell in self.cells])

    def join(self, texts: list[str]) -> str:
        """Return one text of equally many cells."""
        pieces = []
        for cell, text in zip(self.cells, texts, strict=True):
            pieces += [text, cell.newline, SEPARATOR, cell.newline]
        return "".join(pieces)

    def pack(self, text: str) -> bytes:
        """Return the bytes of the notebook with ``text`` spread over its cells."""
        pieces = re.split(re.escape(SEPARATOR) + r"\r?\n", text)
        if len(pieces) != len(self.cells) + 1 or pieces.pop():
            raise SourceError(self.path, "the fix would reach across the border of two cells")
        out: list[str] = []
        position = 0
        ascii_only: bool | None = None
        for cell, piece in zip(self.cells, pieces, strict=True):
            for newline in (cell.newline, "\r\n", "\n"):
                if piece.endswith(newline):
                    piece = piece[: -len(newline)]
                    break
            if piece != cell.text:
                if ascii_only is None:
                    ascii_only = _ascii_only(self.raw)
                out.append(self.raw[position : cell.start])
                out.append(_respelled(self.raw[cell.start : cell.end], piece, ascii_only))
                position = cell.end
        out.append(self.raw[position:])
        return self.mark + "".join(out).encode("utf-8", "surrogatepass")

    def locate(self, line: int) -> tuple[int | None, int]:
        """Return ``(number of the cell, line in it)``."""
        if not self.cells:
            return None, line
        index = max(bisect.bisect_right(self._first_lines, line) - 1, 0)
        return self.cells[index].number, line - self._first_lines[index] + 1


def read(data: bytes, path: str) -> Source:
    """Return the code of a notebook as one source; empty when it is not a Python notebook.

    Raises:
        SourceError: the bytes are not a notebook.
    """
    if len(data) > MAX_BYTES:
        raise SourceError(
            path,
            f"has {len(data) / 1e6:.0f} MB; notebooks above {MAX_BYTES // 1_000_000} MB are not "
            "read, clear its outputs or exclude it",
        )
    mark = b""
    if data.startswith(_MARK):
        mark, data = _MARK, data[len(_MARK) :]
    try:
        raw = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise SourceError(
            path, f"byte {data[error.start]:#04x} is not UTF-8, as a notebook must be", line
        ) from None
    if not raw.strip():
        raise SourceError(path, "is empty, so it is not a notebook")
    try:
        cells = _code_cells(raw)
    except JSONDecodeError as error:
        raise SourceError(path, f"is not valid JSON: {error.msg}", error.lineno) from None
    except RecursionError:
        raise SourceError(path, "is JSON nested too deeply for a notebook") from None
    if cells is None:
        raise SourceError(path, "is JSON but not a notebook: it has no list of cells")
    notebook = Notebook(path, raw, mark, cells)
    text = notebook.text
    if "\0" in text:
        raise SourceError(path, "holds a NUL character in a code cell")
    if text.count(SEPARATOR) != len(cells):
        raise SourceError(path, "holds a control character (0x1f) behind a # in a code cell")
    code = notebook.join([_python_view(cell.text) for cell in cells])
    return Source(path, text, notebook, code)


def _code_cells(raw: str) -> list[Cell] | None:
    """Return the code cells of a Python notebook, none of another's; ``None``: not a notebook."""
    spans: list[tuple[int, int]] = []
    metadata: Any = {}
    known = False
    top = _space(raw, 0)
    end = top + 1
    for key, start, stop in _members(raw, top):
        end = stop
        if key == "cells" and raw[start] == "[":
            known = True
            spans += _elements(raw, start)
        elif key == "worksheets" and raw[start] == "[":
            known = True
            for sheet, _ in _elements(raw, start):
                for inner, inner_start, _ in _members(raw, sheet):
                    if inner == "cells" and raw[inner_start] == "[":
                        spans += _elements(raw, inner_start)
        elif key == "metadata":
            metadata = _DECODER.raw_decode(raw, start)[0]
    if raw[top] != "{":
        _, end = _DECODER.raw_decode(raw, top)
        end -= 1
    end = _space(raw, _space(raw, end) + 1)
    if end != len(raw):
        raise JSONDecodeError("Extra data", raw, end)
    if not known:
        return None
    name = _language(metadata)
    if name not in ("", "python", "python2", "python3", "ipython", "ipython3"):
        return []
    cells = []
    for number, (start, _) in enumerate(spans, 1):
        cell = _code_cell(raw, start, number)
        if cell is not None:
            cells.append(cell)
    return cells


def _language(metadata: Any) -> str:
    if not isinstance(metadata, dict):
        return ""
    for key, field in (("language_info", "name"), ("kernelspec", "language")):
        value = metadata.get(key)
        if isinstance(value, dict) and isinstance(value.get(field), str) and value[field]:
            return str(value[field]).lower()
    return ""


def _code_cell(raw: str, start: int, number: int) -> Cell | None:
    kind = language = ""
    source: tuple[int, int] | None = None
    for key, begin, end in _members(raw, start):
        if key == "cell_type" and raw[begin] == '"':
            kind = scanstring(raw, begin + 1)[0]
        elif key == "language" and raw[begin] == '"':
            language = scanstring(raw, begin + 1)[0]
        elif key in ("source", "input") and raw[begin] in '"[':
            source = (begin, end)
    if kind != "code" or source is None or language not in ("", "python"):
        return None
    value = _DECODER.raw_decode(raw, source[0])[0]
    if isinstance(value, list):
        if not all(isinstance(line, str) for line in value):
            return None
        value = "".join(value)
    return Cell(number, value, *source)


def _space(raw: str, position: int) -> int:
    match = _SPACE.match(raw, position)
    assert match is not None
    return match.end()


def _members(raw: str, position: int) -> Iterator[tuple[str, int, int]]:
    """Yield ``(key, start of the value, end of the value)`` of the JSON object at a position."""
    if raw[position : position + 1] != "{":
        if position < len(raw):
            _DECODER.raw_decode(raw, position)
        return
    position = _space(raw, position + 1)
    while raw[position : position + 1] != "}":
        if raw[position : position + 1] != '"':
            raise JSONDecodeError("a key in double quotes is missing", raw, position)
        key, position = scanstring(raw, position + 1)
        position = _space(raw, position)
        if raw[position : position + 1] != ":":
            raise JSONDecodeError("a colon is missing", raw, position)
        start = _space(raw, position + 1)
        _, end = _DECODER.raw_decode(raw, start)
        yield key, start, end
        position = _next(raw, end, "}")


def _elements(raw: str, position: int) -> Iterator[tuple[int, int]]:
    """Yield ``(start, end)`` of the elements of the JSON array at a position."""
    position = _space(raw, position + 1)
    while raw[position : position + 1] != "]":
        _, end = _DECODER.raw_decode(raw, position)
        yield position, end
        position = _next(raw, end, "]")


def _next(raw: str, position: int, close: str) -> int:
    position = _space(raw, position)
    if raw[position : position + 1] == ",":
        return _space(raw, position + 1)
    if raw[position : position + 1] != close:
        raise JSONDecodeError("a comma is missing", raw, position)
    return position


# --- Writing a cell back ---------------------------------------------------------------------


def _ascii_only(raw: str) -> bool:
    """Tell whether the notebook spells other characters as escapes."""
    return raw.isascii() and re.search(r"\\u(?!00[01])[0-9a-fA-F]{4}", raw) is not None


def _lines(text: str) -> list[str]:
    return [line for line in re.split(r"(?<=\n)", text) if line]


def _respelled(old: str, text: str, ascii_only: bool) -> str:
    """Return the JSON of a cell's source with a new text.

    Lines that stay keep their spelling; the layout is that of the old value.
    """
    if old.startswith('"'):
        spelled = dict(_raw_lines(old[1:-1]))
        return '"' + "".join(_spell(line, spelled, ascii_only) for line in _lines(text)) + '"'
    spans = list(_elements(old, 0))
    spelled = {_DECODER.raw_decode(old, start)[0]: old[start + 1 : end - 1] for start, end in spans}
    lines = [f'"{_spell(line, spelled, ascii_only)}"' for line in _lines(text)]
    if not lines:
        return "[]"
    if spans:
        opening, closing = old[: spans[0][0]], old[spans[-1][1] :]
        one = len(spans) == 1
        between = "," + (opening[1:] or " ") if one else old[spans[0][1] : spans[1][0]]
    else:
        opening, between, closing = "[", ", ", "]"
    return opening + between.join(lines) + closing


def _raw_lines(raw: str) -> Iterator[tuple[str, str]]:
    """Yield ``(line, its spelling)`` of the inside of a JSON string."""
    spelled = ""
    for match in _RAW_PIECE.finditer(raw):
        piece = match.group()
        spelled += piece
        if piece == "\\n" or piece.lower() == "\\u000a":
            yield json.loads(f'"{spelled}"'), spelled
            spelled = ""
    if spelled:
        yield json.loads(f'"{spelled}"'), spelled


def _spell(line: str, spelled: dict[str, str], ascii_only: bool) -> str:
    known = spelled.get(line)
    return json.dumps(line, ensure_ascii=ascii_only)[1:-1] if known is None else known


# --- What IPython adds to Python -------------------------------------------------------------


def _blank(text: str, keep: str = "") -> str:
    """Return ``keep`` filled with spaces to the length of ``text``; newlines stay."""
    return keep + re.sub(r"[^\r\n]", " ", text[len(keep) :])


def _python_view(text: str) -> str:
    """Return a cell with placeholders of the same length for what is not Python."""
    if not _CANDIDATE.search(text):
        return text
    stripped = text.lstrip(" \t\r\n")
    if stripped.startswith("%%") and not stripped.startswith("%%%"):
        start = len(text) - len(stripped)
        name = re.match(r"%%(\w*)", stripped)
        line_end = re.search(r"\r|\n|\Z", stripped)
        assert name is not None
        assert line_end is not None
        end = start + line_end.start()
        if name[1] not in _PYTHON_MAGICS:
            return text[:start] + _blank(text[start:], "0")
        return text[:start] + _blank(text[start:end], "0") + _without_line_magics(text[end:])
    return _without_line_magics(text)


def _without_line_magics(text: str) -> str:
    out: list[str] = []
    position = 0
    while position < len(text):
        end = _logical_end(text, position)
        out.append(_masked(text[position:end], text, position))
        position += len(out[-1])
    return "".join(out)


def _masked(statement: str, text: str, position: int) -> str:
    """Return a logical line as Python can read it, or the physical line when it is a magic."""
    body = statement.lstrip(" \t\f")
    indent = statement[: len(statement) - len(body)]
    if body[:1] in ("%", "!", "?", "/", ",", ";"):
        return indent + _blank(_physical(text, position + len(indent)), "0")
    first = re.match(r"[^\r\n]*", body)
    assert first is not None
    match = _ASSIGNED.match(first.group())
    if match is not None and "==" not in match.group():
        start = position + len(indent) + match.end()
        return indent + match.group() + _blank(_physical(text, start), "0")
    line = _physical(text, position + len(indent))
    if "?" in line and _HELP.match(line.rstrip("\r\n")):
        return indent + _blank(line, "0")
    return statement


def _physical(text: str, position: int) -> str:
    """Return a line with its backslash continuations, from a position to behind its newline."""
    end = position
    while end < len(text):
        match = re.compile(r"\r\n|\r|\n|\Z").search(text, end)
        assert match is not None
        continued = text[position : match.start()].endswith("\\")
        end = match.end()
        if not continued:
            break
    return text[position:end]


def _logical_end(text: str, position: int) -> int:
    """Return where the statement that begins at a position ends, behind its newline."""
    depth = 0
    # A help request or a shell command may hold quotes and brackets that Python cannot pair.
    while position < len(text):
        match = _TOKEN.search(text, position)
        if match is None:
            return len(text)
        position = match.end()
        kind = match.lastgroup
        if kind == "open":
            depth += 1
        elif kind == "close":
            depth = max(depth - 1, 0)
        elif kind == "newline" and depth == 0:
            return position
        elif kind == "string":
            position = _string_end(text, match.group(), position)
    return len(text)


def _string_end(text: str, opening: str, position: int) -> int:
    quote = opening.lstrip("rRbBuUfFtT")
    stop = quote if len(quote) == 3 else rf"{quote}|(?=[\r\n])"
    # A backslash protects the next character in raw strings as well.
    match = re.compile(rf"(?:\\(?:\r\n|.)|(?!{stop}|\\).)*(?:{stop}|\\?\Z)", re.DOTALL).match(
        text, position
    )
    return match.end() if match and match.end() > position else len(text)
