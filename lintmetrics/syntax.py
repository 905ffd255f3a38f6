"""Reading Python, including Python newer than the one that runs.

``ast`` reads what the running Python reads. When it refuses, LibCST, which knows later grammar, is
asked where the newer constructs are; those that say nothing about metrics are replaced in the
parser's view by older ones of the same length, so every offset stays valid.
"""

from __future__ import annotations

import ast
import re
import sys
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

from lintmetrics.errors import SourceError

if TYPE_CHECKING:
    from lintmetrics.source import Source

_NEWLINE = re.compile(r"\r\n|\r|\n")

# Importing LibCST costs more than parsing fifty files: Python 2 is told apart without it.
_NEWER = re.compile(
    r"\btype\s+\w+|\b(?:def|class)\s+\w+\s*\[|\bexcept\s*\*|\bexcept\s[^:(#\r\n]*,"
    r"|\b[rR]?[fFtT][rR]?[\"\']|\*\w+\s*:\s*\*|[\[,]\s*\*"
)
_STRING_OR_COMMENT = re.compile(
    r"#[^\r\n]*|\'\'\'(?:\\.|[^\\])*?\'\'\'|\"\"\"(?:\\.|[^\\])*?\"\"\""
    r"|\'(?:\\.|[^\\\'\r\n])*\'|\"(?:\\.|[^\\\"\r\n])*\"",
    re.DOTALL,
)
_DEEPEST = 100  # Python refuses 200 brackets in each other; LibCST kills the process at thousands.


def parse(source: Source, version: tuple[int, int] = sys.version_info[:2]) -> ast.Module:
    """Return the tree of a source; its offsets hold in ``source.text`` and ``source.code``.

    Where the text is newer than the running Python, ``source.code`` is given placeholders for the
    constructs that this Python cannot read.

    Args:
        source: what to parse.
        version: the Python whose grammar is to be enough; for tests.

    Raises:
        SourceError: the text is no Python, or no Python that this one can be shown.
    """
    try:
        return _parse(source.code)
    except SyntaxError as error:
        refused = error
    except (RecursionError, MemoryError):
        raise _too_deep(source) from None
    except ValueError as error:
        raise SourceError(source.path, f"cannot be parsed: {error}") from None
    code = None
    if _NEWER.search(source.code):
        if _depth(source.code) > _DEEPEST:
            raise _too_deep(source)
        code = _masked(source.code, version)
    if code is None or code == source.code:
        raise _syntax_error(source, refused)
    try:
        tree = _parse(code)
    except SyntaxError as error:
        raise _newer(source, error) from None
    except (RecursionError, MemoryError):
        raise _too_deep(source) from None
    source.mask(code)
    return tree


def _parse(code: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(code)


def _depth(code: str) -> int:
    """Return how many brackets stand in each other at the most."""
    deepest = depth = 0
    for bracket in re.findall(r"[()\[\]{}]", _STRING_OR_COMMENT.sub("", code)):
        depth = depth + 1 if bracket in "([{" else max(depth - 1, 0)
        deepest = max(deepest, depth)
    return deepest


def _place(source: Source, line: int | None) -> tuple[str, int | None]:
    """Return how to name a line: the cell in words, or the line itself."""
    if line is None or line < 1:
        return "", None
    cell, inner = source.container.locate(line)
    return ("", inner) if cell is None else (f"cell {cell}, line {inner}: ", None)


def _syntax_error(source: Source, error: SyntaxError) -> SourceError:
    where, line = _place(source, error.lineno)
    return SourceError(source.path, f"{where}syntax error: {error.msg}", line)


def _newer(source: Source, error: SyntaxError) -> SourceError:
    where, line = _place(source, error.lineno)
    running = ".".join(map(str, sys.version_info[:2]))
    return SourceError(
        source.path,
        f"{where}uses syntax newer than Python {running} ({error.msg}); run lintmetrics with the "
        "Python that the file is written for",
        line,
    )


def _too_deep(source: Source) -> SourceError:
    return SourceError(source.path, "is nested too deeply to be parsed; split the expression up")


def _masked(code: str, version: tuple[int, int]) -> str | None:
    """Return the code with newer constructs replaced, ``None`` where LibCST refuses it as well."""
    import libcst
    from libcst.metadata import MetadataWrapper, PositionProvider

    try:
        wrapper = MetadataWrapper(libcst.parse_module(code), unsafe_skip_copy=True)
        positions = wrapper.resolve(PositionProvider)
    except (libcst.ParserSyntaxError, libcst.CSTValidationError, RecursionError):
        return None
    starts = [0, *(match.end() for match in _NEWLINE.finditer(code))]

    def span(node: libcst.CSTNode) -> tuple[int, int]:
        found = positions[node]
        return (
            starts[found.start.line - 1] + found.start.column,
            starts[found.end.line - 1] + found.end.column,
        )

    view = list(code)
    for start, end, new in _replacements(wrapper.module, span, code, version):
        view[start:end] = new
    return "".join(view)


def _replacements(
    module: object,
    span: _Span,
    code: str,
    version: tuple[int, int],
) -> Iterator[tuple[int, int, str]]:
    """Yield ``(start, end, replacement of the same length)`` of what is newer than ``version``."""
    import libcst as cst

    templates = getattr(cst, "TemplatedString", ())
    stack: list[cst.CSTNode] = [module]  # type: ignore[list-item]
    while stack:
        node = stack.pop()
        inner: list[cst.CSTNode] = list(node.children)
        if version < (3, 12):
            if isinstance(node, cst.TypeAlias):
                start, end = span(node)
                name = node.name.value
                yield start, end, _padded(f"{name}=0", code[start:end])
                continue
            if isinstance(node, cst.TypeParameters):
                start, end = span(node)
                yield start, end, _blank_continued(code[start:end])
                continue
        if isinstance(node, cst.TypeParam) and version < (3, 13) and node.default is not None:
            start = span(node.param)[1]
            end = span(node.default)[1]
            yield start, end, _padded("", code[start:end])
        if version < (3, 11):
            if isinstance(node, cst.TryStar):
                for handler in node.handlers:
                    start, _ = span(handler)
                    star = code.index("*", start)
                    yield star, star + 1, " "
            elif isinstance(node, cst.Index) and node.star is not None:
                start, _ = span(node)
                star = code.index("*", start)
                yield star, star + 1, " "
            elif isinstance(node, cst.Annotation) and isinstance(
                node.annotation, cst.StarredElement
            ):
                start, _ = span(node.annotation)
                star = code.index("*", start)
                yield star, star + 1, " "
        if isinstance(node, (cst.FormattedString, cst.ConcatenatedString)) or (
            templates and isinstance(node, templates)
        ):
            start, end = span(node)
            text = code[start:end]
            if not _readable(text):
                yield from _string(node, start, text, span, code)
            continue
        if version < (3, 14) and isinstance(node, cst.ExceptHandler):
            kind = node.type
            if isinstance(kind, cst.Tuple) and not kind.lpar:
                start, end = span(kind)
                yield start, end, _padded(_unknown(code[start:end]), code[start:end])
        stack += inner


if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    _Span = Callable[[Any], tuple[int, int]]


def _readable(text: str) -> bool:
    try:
        _parse(f"({text}\n)")
    except (SyntaxError, ValueError):
        return False
    return True


def _string(
    node: object, start: int, text: str, span: _Span, code: str
) -> Iterator[tuple[int, int, str]]:
    """Replace the parts of a string that this Python cannot read, or all of it.

    An unknown name stands in, never a constant: a key that cannot be read must not look like one.
    """
    import libcst as cst

    parts: list[tuple[int, int, str]] = []
    stack: list[cst.CSTNode] = [node]  # type: ignore[list-item]
    while stack:
        part = stack.pop()
        if isinstance(part, cst.FormattedStringExpression):
            begin, end = span(part)
            inside = code[begin + 1 : end - 1]
            if len(inside) >= 1 and not _NEWLINE.search(inside):
                parts.append((begin + 1, end - 1, _padded(_unknown(inside), inside)))
            continue
        stack += part.children
    changed = list(text)
    for begin, end, new in parts:
        changed[begin - start : end - start] = new
    if parts and _readable("".join(changed)):
        # Only what must go goes: a part that reads well alone keeps its expression.
        for part_index, (begin, end, _) in enumerate(parts):
            kept = list(changed)
            kept[begin - start : end - start] = code[begin:end]
            if _readable("".join(kept)):
                changed = kept
                parts[part_index] = (begin, end, code[begin:end])
        yield from parts
        return
    if _NEWLINE.search(text):
        yield start, start + len(text), "(_" + _padded("", text[2:-1]) + ")"
    else:
        yield start, start + len(text), _padded(_unknown(text), text)


def _unknown(text: str) -> str:
    """Return a name that no program binds, as far as the room allows."""
    return "_" * min(len(text), 3)


def _padded(keep: str, text: str) -> str:
    """Return ``keep`` filled with spaces to the length of ``text``; newlines stay."""
    return keep + re.sub(r"[^\r\n]", " ", text[len(keep) :])


def _blank_continued(text: str) -> str:
    """Return spaces for ``text``, with its newlines behind backslashes."""
    blank = re.sub(r"[^\r\n]", " ", text)
    return re.sub(r" (?=\r\n|\r|\n)", r"\\", blank)
