"""What every report says of a proof: counts, the widest gap, the numbers at a telling place."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from lintmetrics.verify.record import Point
from lintmetrics.verify.verdict import KeyVerdict, Proof, Side, Verdict

WEIGHTS = "weights"


@dataclass(frozen=True)
class Numbers:
    """The numbers of a key at one place: where it first parted, else at its end.

    Args:
        place: in words, empty where the key has no point.
        before: the original's number; ``None`` where it has none there. ``after``: the rewrite's.
        after: the rewrite's.
        oracle: the true one, where an oracle was asked.
    """

    place: str
    before: float | None
    after: float | None
    oracle: float | None


def title(proof: Proof) -> str:
    """Return the name of a proof with what it ran on, where that is not one process on the CPU."""
    name = proof.name
    if proof.accelerator != "cpu":
        name += f" · {proof.accelerator}"
    if proof.processes != 1:
        name += f" · {proof.processes} processes"
    return name


def metrics(proof: Proof) -> list[KeyVerdict]:
    """Return the rows of a proof that speak of logged numbers."""
    return [row for row in proof.keys if row.via != WEIGHTS]


def broken(proof: Proof) -> list[KeyVerdict]:
    """Return the rows of a proof that do not hold."""
    return [row for row in proof.keys if not row.verdict.holds]


def key_count(rows: Sequence[KeyVerdict]) -> int:
    """Return how many keys the rows speak of."""
    return len({row.key for row in rows})


def relations(proof: Proof) -> str:
    """Return the relations that were claimed, the most telling first."""
    found = Counter(row.relation for row in metrics(proof))
    order = ("corrects", "preserves", "new", "dropped", "")
    return ", ".join(name or "no claim" for name in order if found[name])


def compared(proof: Proof) -> int:
    """Return how many pairs of points were compared."""
    return sum(row.compared for row in metrics(proof))


def widest(proof: Proof) -> float:
    """Return the largest gap of all keys."""
    return max((row.gap for row in metrics(proof)), default=0.0)


def missed(proof: Proof) -> float:
    """Return by how much the original was off at most, where there is a true number to tell."""
    if proof.verdict is Verdict.FAILED:
        return 0.0
    return max((row.before_gap for row in metrics(proof)), default=0.0)


def failed_sides(proof: Proof) -> list[Side]:
    """Return the trainings that did not finish."""
    return [side for side in proof.sides if side.outcome != "finished"]


def telling(row: KeyVerdict) -> Numbers:
    """Return the numbers of a key where it first parted, else where it ends."""
    point = row.parted or (row.after or row.before or (None,))[-1]
    if point is None:
        return Numbers("", None, None, None)
    at = point.at
    place = f"epoch {at.epoch}, batch {at.batches}"
    if at.run:
        place = f"run {at.run}, {place}"
    return Numbers(place, _at(row.before, point), _at(row.after, point), _at(row.oracle, point))


def _at(points: Sequence[Point], point: Point) -> float | None:
    if point in points:
        return point.value
    at = (point.at.run, point.at.epoch, point.at.batches)
    here = [p for p in points if (p.at.run, p.at.epoch, p.at.batches) == at]
    if not here and point.via in ("callback", "progress"):
        # What was put there earlier stands there still.
        here = [p for p in points if (p.at.run, p.at.epoch, p.at.batches) < at]
    return here[-1].value if here else None


def number(value: float | None, digits: int = 7) -> str:
    """Return a number as reports write it."""
    if value is None:
        return "–"
    return f"{value:.{digits}g}"


def gap(value: float) -> str:
    """Return a distance as reports write it: one or two digits say how large it is."""
    if math.isinf(value):
        return "not finite"
    return "0" if value == 0 else f"{value:.2g}"


def count(value: int, word: str) -> str:
    """Return a count with its word."""
    return f"{value} {word}{'' if value == 1 else 's'}"
