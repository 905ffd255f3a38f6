"""Proofs as a table for a page of documentation."""

from __future__ import annotations

from collections.abc import Sequence

from lintmetrics.verify.report import summary
from lintmetrics.verify.verdict import Proof

_HEAD = ("case", "relation", "keys", "compared", "largest gap", "verdict")
_MISSED = "original off by"
_TODAY = "the unmodified original on today's Lightning"


def table(proofs: Sequence[Proof]) -> str:
    """Return a Markdown table: for each case the verdict, and what the original did.

    Args:
        proofs: in the order in which they are shown.
    """
    head = (*_HEAD, _MISSED, _TODAY)
    rows = [head, tuple("---" for _ in head), *(_cells(proof) for proof in proofs)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _cells(proof: Proof) -> tuple[str, ...]:
    rows = summary.metrics(proof)
    missed = summary.missed(proof)
    cells = (
        summary.title(proof),
        summary.relations(proof),
        str(summary.key_count(rows)),
        str(summary.compared(proof)),
        summary.gap(summary.widest(proof)) if summary.compared(proof) else "–",
        proof.verdict.value,
        summary.gap(missed) if missed else "–",
        proof.original_today or "–",
    )
    return tuple(_escaped(cell) for cell in cells)


def _escaped(text: str) -> str:
    """Return text in which nothing is markup, and that stays in its cell."""
    text = " ".join(text.split())
    for sign in "\\`*_[]<>|":
        text = text.replace(sign, f"\\{sign}")
    return text
