"""Proofs for the terminal: one line for each case, then what does not hold."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from lintmetrics.report.terminal import Paint, printable
from lintmetrics.verify.report import summary
from lintmetrics.verify.verdict import KeyVerdict, Proof, Verdict

_HEAD = ("case", "relation", "keys", "compared", "largest gap", "original off by", "verdict")
_RIGHT = ("keys", "compared", "largest gap", "original off by")
_WIDEST_NAME = 48
_LONGEST_TEXT = 400


def table(proofs: Sequence[Proof], paint: Paint) -> str:
    """Return the table of proofs, the keys that do not hold, and the totals.

    Args:
        proofs: in the order in which they are shown.
        paint: the colours.
    """
    rows = [_HEAD, *(_cells(proof) for proof in proofs)]
    widths = [max(_width(row[column]) for row in rows) for column in range(len(_HEAD))]
    out = [paint("label", _line(_HEAD, widths).rstrip())]
    for proof, row in zip(proofs, rows[1:], strict=True):
        line = _line(row[:-1], widths)
        out.append(f"{line}  {paint(_style(proof.verdict), row[-1])}")
    for proof in proofs:
        out += _broken(proof, paint)
    tried = [proof for proof in proofs if proof.original_today]
    if tried:
        out += ["", paint("label", "What the unmodified original does on today's Lightning")]
        width = max(_width(_cut(proof.name, _WIDEST_NAME)) for proof in tried)
        for proof in tried:
            name = _cut(proof.name, _WIDEST_NAME)
            blank = " " * (width - _width(name))
            out.append(f"  {name}{blank}  {_cut(proof.original_today, _LONGEST_TEXT)}")
    out += ["", _total(proofs, paint)]
    return "\n".join(out) + "\n"


def line(proof: Proof, paint: Paint) -> str:
    """Return one line on one proof, for a run that tells of each case when it is done."""
    name, relation, keys, compared, gap, missed, verdict = _cells(proof)
    told = f"{name}: {relation or 'nothing'}, {keys} keys, {compared} compared, largest gap {gap}"
    told += f", original off by {missed}: " if summary.missed(proof) else ": "
    return told + paint(_style(proof.verdict), verdict)


def _cells(proof: Proof) -> tuple[str, ...]:
    return (
        _cut(summary.title(proof), _WIDEST_NAME),
        summary.relations(proof),
        str(summary.key_count(summary.metrics(proof))),
        str(summary.compared(proof)),
        summary.gap(summary.widest(proof)) if summary.compared(proof) else "–",
        summary.gap(summary.missed(proof)) if summary.missed(proof) else "–",
        proof.verdict.value,
    )


def _broken(proof: Proof, paint: Paint) -> list[str]:
    if proof.verdict.holds:
        return []
    out = ["", paint("label", _cut(summary.title(proof), _WIDEST_NAME))]
    for side in summary.failed_sides(proof):
        told = f"  {_cut(side.name, _WIDEST_NAME)}: {_cut(side.outcome, _WIDEST_NAME)}"
        out.append(paint("error", f"{told} after {side.seconds:.1f} s"))
        out += [f"    {_cut(text, _LONGEST_TEXT)}" for text in side.detail.splitlines()[-5:]]
    if not summary.metrics(proof) and not summary.failed_sides(proof):
        out.append("  neither side logs a number, so that nothing is shown")
    for row in summary.broken(proof):
        out += _row(row, paint)
    return out


def _row(row: KeyVerdict, paint: Paint) -> list[str]:
    name = _cut(row.key, _WIDEST_NAME)
    if row.before_key != row.key:
        name += f" (was {_cut(row.before_key, _WIDEST_NAME)})"
    head = f"  {paint(_style(row.verdict), row.verdict.value)}  {name}"
    if row.via != summary.WEIGHTS:
        head += f"  [{row.via}, {row.stage}]"
    out = [head, f"    {_cut(row.detail, _LONGEST_TEXT)}"]
    numbers = summary.telling(row)
    if numbers.place:
        told = [("before", numbers.before), ("after", numbers.after)]
        if row.oracle:
            told.append(("oracle", numbers.oracle))
        values = "  ".join(f"{word} {summary.number(value)}" for word, value in told)
        out.append(f"    {numbers.place}: {values}")
    if row.gap:
        out.append(f"    largest gap {summary.gap(row.gap)}; {_cut(row.tolerance, _LONGEST_TEXT)}")
    return out


def _total(proofs: Sequence[Proof], paint: Paint) -> str:
    rows = [row for proof in proofs for row in summary.metrics(proof)]
    bad = sum(not proof.verdict.holds for proof in proofs)
    points = summary.count(sum(row.compared for row in rows), "number")
    cases = summary.count(len(proofs), "case")
    if not proofs:
        return paint("warning", "Nothing was verified")
    if bad:
        return paint("error", f"Not proved: {bad} of {cases}") + f", {points} compared"
    return paint("added", f"Proved: {cases}") + f", {points} compared"


def _style(verdict: Verdict) -> str:
    if verdict.holds:
        return "added"
    return "warning" if verdict in (Verdict.UNPROVED, Verdict.ALREADY_RIGHT) else "error"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = []
    for cell, width, head in zip(cells, widths, _HEAD, strict=False):
        blank = " " * (width - _width(cell))
        padded.append(blank + cell if head in _RIGHT else cell + blank)
    return "  ".join(padded)


def _cut(text: str, length: int) -> str:
    text = printable(text)
    return text if len(text) <= length else text[: length - 1] + "…"


def _width(text: str) -> int:
    """Return how many columns a text takes."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in text
    )
