"""Comments that keep a finding from being reported, and those that keep none.

``# lintmetrics: ignore[LM101] reason`` behind code covers its line, and the whole of a statement on
whose first or last line it stands; on a line of its own it covers the statement that follows, with
all that is in it. ``# lintmetrics: file-ignore[LM101]`` covers the file. ``# noqa: LM101`` covers
what the trailing form covers; without codes it is left to other linters.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lintmetrics.diagnostics import Diagnostic, UnusedSuppression
from lintmetrics.tree import subtree

if TYPE_CHECKING:
    from lintmetrics.source import Source

_OURS = re.compile(
    r"#\s*lintmetrics:\s*(?P<kind>file-ignore|ignore)\b(?:\[(?P<codes>[^\]\r\n]*)\])?"
)
_NOQA = re.compile(
    r"#\s*noqa:\s*(?P<codes>[A-Z]+[0-9]+(?:[\s,]+[A-Z]+[0-9]+)*)(?![\w-])", re.IGNORECASE
)
_MARKER = re.compile(r"lintmetrics:|noqa:", re.IGNORECASE)


@dataclass
class _Comment:
    """One suppression comment.

    Args:
        text: as it stands in the file.
        offset: where it begins.
        codes: the codes and names it gives.
        first: the first line it covers; ``last``: the last; both 1-based, of the whole text.
        noqa: whether it is a comment that other linters read too.
    """

    text: str
    offset: int
    codes: tuple[str, ...]
    first: int
    last: int
    noqa: bool
    used: set[str] = field(default_factory=set)


class Suppressions:
    """The suppression comments of one file."""

    def __init__(self, source: Source, comments: list[_Comment]) -> None:
        self._source = source
        self._comments = comments

    @classmethod
    def read(cls, source: Source, tree: ast.Module | None = None) -> Suppressions:
        """Return the suppressions in a source.

        Args:
            source: the file.
            tree: its parsed ``source.code``; without it a comment covers single lines.
        """
        if not _MARKER.search(source.text):
            return cls(source, [])
        return cls(source, list(_comments(source, tree)))

    def __bool__(self) -> bool:
        return bool(self._comments)

    def suppress(self, diagnostic: Diagnostic) -> bool:
        """Tell whether a comment covers a finding, and remember that it did."""
        covered = False
        for comment in self._comments:
            if not comment.first <= diagnostic.first_line <= comment.last:
                continue
            for code in comment.codes:
                if code in (diagnostic.code, diagnostic.name):
                    comment.used.add(code)
                    covered = True
        return covered

    def unused(self, active: Collection[str]) -> list[UnusedSuppression]:
        """Return the comments, or the codes in them, that suppressed nothing.

        Args:
            active: the codes and names of the rules that ran on the file; a comment for a rule
                that did not run is not called unused. Our comments that name no rule at all, or
                one that does not exist, are.
        """
        from lintmetrics import packs

        if not self._comments:
            return []
        rules = packs.rules().values()
        known = {rule.code for rule in rules} | {rule.name for rule in rules}
        active = set(active) | {rule.name for rule in rules if rule.code in active}
        found = []
        for comment in self._comments:
            left = tuple(
                code
                for code in comment.codes
                if code not in comment.used
                and (code in active or (code not in known and not comment.noqa))
            )
            if left or not comment.codes:
                place = self._source.location(comment.offset)
                found.append(UnusedSuppression(self._source.path, place, comment.text, left))
        return found


def _comments(source: Source, tree: ast.Module | None) -> Iterator[_Comment]:
    spans: dict[int, tuple[int, int]] | None = None
    for offset, text in _comment_tokens(source):
        match = _OURS.search(text)
        noqa = None if match else _NOQA.search(text)
        found = match or noqa
        if found is None:
            continue
        given = found["codes"] or ""
        codes = tuple(dict.fromkeys(code for code in re.split(r"[\s,]+", given) if code))
        line = source.line_of(offset)
        begin = offset + found.start()
        shown = text[found.start() :].rstrip() if match else found.group()
        if noqa:
            codes = tuple(code.upper() for code in codes)
        elif found["kind"] == "file-ignore":
            last = source.line_of(len(source.text)) + 1
            yield _Comment(shown, begin, codes, 1, last, False)
            continue
        if spans is None:
            spans = _trailing_spans(tree)
        own_line = not source.text[source.line_start(offset) : offset].strip(" \t\f")
        if own_line and not noqa:
            first, last = _following(source, line, tree)
        else:
            first, last = spans.get(line, (line, line))
        yield _Comment(shown, begin, codes, first, last, bool(noqa))


def _comment_tokens(source: Source) -> Iterator[tuple[int, str]]:
    """Yield ``(offset, text)`` of the comments that may be ours."""
    import io
    import tokenize

    if not source.code.isascii() or "\r" in source.code or "\f" in source.code:
        yield from _comments_by_hand(source)
        return
    try:
        for token in tokenize.generate_tokens(io.StringIO(source.code).readline):
            if token.type == tokenize.COMMENT and _MARKER.search(token.string):
                yield source.offset(*token.start), token.string
    except (tokenize.TokenError, SyntaxError):
        # The parser took the file, so only its last line can be at fault: all comments came.
        return


_LEXEME = re.compile(
    r"""(?P<comment>\#[^\r\n]*)
    |'''(?:\\.|[^\\])*?'''|\"\"\"(?:\\.|[^\\])*?\"\"\"
    |'(?:\\(?:\r\n|.)|[^\\'\r\n])*'|"(?:\\(?:\r\n|.)|[^\\"\r\n])*\"""",
    re.VERBOSE | re.DOTALL,
)


def _comments_by_hand(source: Source) -> Iterator[tuple[int, str]]:
    for match in _LEXEME.finditer(source.code):
        if match.lastgroup == "comment" and _MARKER.search(match.group()):
            yield match.start(), match.group()


def _header(statement: ast.stmt) -> tuple[int, int]:
    """Return the lines of a statement without the block it holds."""
    first = min(
        [statement.lineno, *(item.lineno for item in getattr(statement, "decorator_list", ()))]
    )
    body = getattr(statement, "body", None)
    if isinstance(body, list) and body:
        inner = min(
            [body[0].lineno, *(item.lineno for item in getattr(body[0], "decorator_list", ()))]
        )
        return statement.lineno, max(statement.lineno, inner - 1)
    return first, statement.end_lineno or statement.lineno


def _statements(tree: ast.AST) -> Iterator[ast.stmt]:
    """Yield all statements, the outer ones first; expressions hold none worth the walk."""
    queue: list[ast.AST] = [tree]
    for node in queue:
        for name in ("body", "orelse", "finalbody", "handlers", "cases"):
            block = getattr(node, name, None)
            if isinstance(block, list):
                queue += block
        if isinstance(node, ast.stmt):
            yield node


def _trailing_spans(tree: ast.Module | None) -> dict[int, tuple[int, int]]:
    """Return what a trailing comment covers, for the lines where it is more than its own line."""
    spans: dict[int, tuple[int, int]] = {}
    if tree is None:
        return spans
    for statement in _statements(tree):
        first, last = _header(statement)
        body = getattr(statement, "body", None)
        if last > first and not (isinstance(body, list) and body):
            spans[first] = spans[last] = (first, last)
        elif last > first:
            # Comments and blank lines may stand between a header and its block.
            last = max(
                (node.end_lineno or first for node in _header_nodes(statement)), default=first
            )
            for line in (first, last, last + 1):
                if line < statement.body[0].lineno:  # type: ignore[attr-defined]
                    spans[line] = (first, max(last, line))
    return spans


def _header_nodes(statement: ast.stmt) -> Iterator[ast.expr]:
    for name, value in ast.iter_fields(statement):
        if name in ("body", "orelse", "finalbody", "handlers", "cases", "decorator_list"):
            continue
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, ast.AST):
                yield from (node for node in subtree(item) if hasattr(node, "end_lineno"))  # type: ignore[misc]


def _following(source: Source, line: int, tree: ast.Module | None) -> tuple[int, int]:
    """Return the lines of the statement below an own-line comment."""
    total = source.line_of(len(source.text))
    cell, _ = source.container.locate(line)
    line += 1
    while True:
        if line > total or source.container.locate(line)[0] != cell:
            return line, line - 1
        text = source.line_text(line).strip(" \t\f")
        if text and not text.startswith("#"):
            break
        line += 1
    if tree is not None:
        for statement in _statements(tree):
            decorators = getattr(statement, "decorator_list", ())
            first = min([statement.lineno, *(item.lineno for item in decorators)])
            if first == line and isinstance(statement, ast.stmt):
                return line, statement.end_lineno or line
    return line, line
