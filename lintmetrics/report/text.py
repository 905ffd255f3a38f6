"""Findings for people: ``full`` shows the place, ``concise`` has one line for each."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection
from typing import TYPE_CHECKING

from lintmetrics.codemod import Relation
from lintmetrics.report.terminal import Paint, printable
from lintmetrics.rule import Consequence

if TYPE_CHECKING:
    from lintmetrics.diagnostics import Diagnostic, UnusedSuppression
    from lintmetrics.source import Location

CONSEQUENCES = {
    Consequence.WRONG_NUMBER: "the logged number is wrong",
    Consequence.CRASH: "it raises on the target version",
    Consequence.IGNORED: "it is accepted and never has an effect",
    Consequence.STALE: "it works today and is deprecated",
    Consequence.SLOW: "it costs time or memory for nothing",
    Consequence.STYLE: "it works, and is not written in the style that was chosen",
}

_WIDEST = 140


def place(path: str, start: Location) -> str:
    """Return a place as editors and terminals make it clickable."""
    cell = "" if start.cell is None else f"cell {start.cell}:"
    return f"{path}:{cell}{start.line}:{start.column}"


def headline(diagnostic: Diagnostic, applied: Collection[Relation], paint: Paint) -> str:
    """Return the line that every text format has for a finding.

    Args:
        diagnostic: the finding.
        applied: relations of the fixes that would be applied; those get a ``[*]``.
        paint: the colours.
    """
    fix = diagnostic.fix
    mark = paint("mark", "[*]") + " " if fix is not None and fix.relation in applied else ""
    where = paint("path", printable(place(diagnostic.path, diagnostic.start)))
    return f"{where}: {paint('code', diagnostic.code)} {mark}{printable(diagnostic.message)}"


def concise(
    diagnostics: Collection[Diagnostic], applied: Collection[Relation], paint: Paint
) -> str:
    """Return one line for each finding."""
    return "".join(f"{headline(item, applied, paint)}\n" for item in diagnostics)


def full(diagnostics: Collection[Diagnostic], applied: Collection[Relation], paint: Paint) -> str:
    """Return each finding with its source line, its consequence, its help, and its fix."""
    out: list[str] = []
    for item in diagnostics:
        out.append(headline(item, applied, paint))
        line, carets = _marked_line(item)
        number = str(item.start.line)
        bar = paint("rule", "|")
        edge = " " * len(number)
        out.append(f"{edge} {bar}")
        out.append(f"{paint('rule', number)} {bar} {line}".rstrip())
        out.append(f"{edge} {bar} {paint('caret', carets)}".rstrip())

        def note(label: str, text: str, edge: str = edge) -> None:
            out.append(f"{edge} {paint('rule', '=')} {paint('label', label)}: {printable(text)}")

        note(item.consequence.value, f"{CONSEQUENCES[item.consequence]} ({item.name})")
        if item.help:
            note("help", item.help)
        if item.fix is not None:
            needs = "" if item.fix.relation in applied else f", {_needs(item.fix.relation)}"
            note(f"fix ({item.fix.relation.value}{needs})", item.fix.message)
        elif item.blocked and item.blocked != item.help:
            note("no fix", item.blocked)
        out.append("")
    return "".join(f"{line}\n" for line in out)


def _needs(relation: Relation) -> str:
    if relation is Relation.ASSUMES:
        return "with --unsafe-fixes"
    return "without --preserve"


def unused(items: Collection[UnusedSuppression], paint: Paint) -> str:
    """Return one line for each suppression that suppresses nothing."""
    out = []
    for item in items:
        codes = ", ".join(item.codes)
        why = f"{codes} finds nothing here" if codes else "it names no rule; write ignore[CODE]"
        where = paint("path", printable(place(item.path, item.start)))
        comment = printable(item.comment)
        out.append(f"{where}: {paint('warning', 'unused suppression')}: {why}: {comment}\n")
    return "".join(out)


def _marked_line(item: Diagnostic) -> tuple[str, str]:
    """Return the source line and the carets below it, cut to what a screen can show."""
    line = item.source_line
    start = min(item.start.column - 1, len(line))
    same_line = (item.end.line, item.end.cell) == (item.start.line, item.start.cell)
    end = item.end.column - 1 if same_line else len(line.rstrip())
    end = max(min(end, len(line)), start + 1)
    if len(line) > _WIDEST:
        left = max(0, min(start - 20, len(line) - _WIDEST))
        line = (
            ("…" if left else "")
            + line[left : left + _WIDEST]
            + ("…" if left + _WIDEST < len(line) else "")
        )
        shift = left - (1 if left else 0)
        start, end = start - shift, min(end - shift, len(line))
    before = "".join("\t" if char == "\t" else " " * _width(char) for char in line[:start])
    carets = "^" * max(1, sum(_width(char) for char in line[start:end]))
    return printable(line).rstrip(), before + carets


def _width(char: str) -> int:
    if char < "\u0300":
        return 1 if char.isprintable() or char == "\t" else len(printable(char))
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else len(printable(char))
