"""Proofs as one HTML page that needs no network and no script."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lintmetrics.report.terminal import printable
from lintmetrics.verify.differences import lightning_version
from lintmetrics.verify.record import VIAS
from lintmetrics.verify.report import summary
from lintmetrics.verify.report.curves import curve
from lintmetrics.verify.verdict import KeyVerdict, Proof, Side, Verdict

if TYPE_CHECKING:
    from jinja2 import Environment

_MOST_VALUES = 60
_LONGEST_DIFF = 4000

_LONGEST_TEXT = 800

_MARKS = {True: "✓", False: "✗"}


@dataclass(frozen=True)
class _Key:
    """One row of a table of keys: a key in a stage, with all ways out that say the same."""

    row: KeyVerdict
    vias: str
    numbers: summary.Numbers
    picture: str
    values: tuple[tuple[str, str, str, str, bool], ...]
    unseen: int

    @property
    def renamed(self) -> bool:
        return self.row.key != self.row.before_key

    @property
    def is_weights(self) -> bool:
        return self.row.via == summary.WEIGHTS


def page(proofs: Sequence[Proof]) -> str:
    """Return the page.

    Whatever a user wrote, in names, paths or code, is shown as text: escaped, and without
    characters that steer a terminal or turn the direction of writing.

    Args:
        proofs: in the order in which they are shown.
    """
    text = pkgutil.get_data("lintmetrics.verify.report", "page.html")
    assert text is not None
    template = _environment().from_string(text.decode("utf-8"))
    told = [(proof, _keys(proof)) for proof in proofs]
    held = sum(proof.verdict.holds for proof in proofs)
    rows = [row for proof in proofs for row in summary.metrics(proof)]
    return template.render(
        proofs=told,
        held=held,
        holds=bool(proofs) and held == len(proofs),
        compared=sum(row.compared for row in rows),
        numbers=sum(summary.key_count(summary.metrics(proof)) for proof in proofs),
        corrected=_corrected(proofs),
        broken=[
            (proof, key.row) for proof, keys in told for key in keys if not key.row.verdict.holds
        ],
        crashed=[(proof, side) for proof in proofs for side in summary.failed_sides(proof)],
    )


def _environment() -> Environment:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(
        shown=_shown,
        number=summary.number,
        gap=summary.gap,
        tone=_tone,
        mark=lambda verdict: _MARKS[verdict.holds],
        diff=_diff,
        versions=_versions,
        counted=summary.count,
        title=summary.title,
        relations=summary.relations,
        compared=summary.compared,
        widest=summary.widest,
        key_count=lambda proof: summary.key_count(summary.metrics(proof)),
    )
    return environment


def _shown(text: object) -> str:
    """Return a text as the page shows it; the JSON report has it whole."""
    told = printable(str(text))
    return told if len(told) <= _LONGEST_TEXT else f"{told[:_LONGEST_TEXT]}…"


def _corrected(proofs: Sequence[Proof]) -> list[tuple[Proof, KeyVerdict]]:
    """Return one row for each key that was corrected."""
    found: dict[tuple[int, str], tuple[Proof, KeyVerdict]] = {}
    for index, proof in enumerate(proofs):
        for row in summary.metrics(proof):
            if row.verdict is Verdict.CORRECTED:
                found.setdefault((index, row.key), (proof, row))
    return list(found.values())


def _tone(verdict: Verdict) -> str:
    if verdict.holds:
        return "good"
    return "unsure" if verdict in (Verdict.UNPROVED, Verdict.ALREADY_RIGHT) else "bad"


def _keys(proof: Proof) -> list[_Key]:
    """Return the rows of a proof: what does not hold first, equal ways out of a key in one row."""
    groups: dict[tuple[str, str, Verdict, str], list[KeyVerdict]] = {}
    for row in sorted(proof.keys, key=lambda row: VIAS.index(row.via) if row.via in VIAS else 9):
        groups.setdefault((row.key, row.stage, row.verdict, row.before_key), []).append(row)
    keys = [_key(rows) for rows in groups.values()]
    return sorted(
        keys, key=lambda key: (key.row.verdict.holds, key.is_weights, key.row.key, key.row.stage)
    )


def _key(rows: Sequence[KeyVerdict]) -> _Key:
    row = max(rows, key=lambda row: len(row.before) + len(row.after))
    values = _values(row)
    return _Key(
        row,
        ", ".join(row.via for row in rows),
        summary.telling(row),
        curve(row),
        tuple(values[:_MOST_VALUES]),
        max(0, len(values) - _MOST_VALUES),
    )


def _values(row: KeyVerdict) -> list[tuple[str, str, str, str, bool]]:
    """Return place, before, after, oracle, and whether the row is where the key first parted."""
    spots: dict[tuple[int, int, int], dict[str, float]] = {}
    for name, points in (("before", row.before), ("after", row.after), ("oracle", row.oracle)):
        for point in points:
            spot = (point.at.run, point.at.epoch, point.at.batches)
            spots.setdefault(spot, {})[name] = point.value
    runs = len({spot[0] for spot in spots}) > 1
    parted = row.parted.at if row.parted else None
    out = []
    for spot, found in sorted(spots.items()):
        place = f"epoch {spot[1]}, batch {spot[2]}"
        before, after, oracle = (
            summary.number(found.get(name), 9) for name in ("before", "after", "oracle")
        )
        here = parted is not None and spot == (parted.run, parted.epoch, parted.batches)
        out.append((f"run {spot[0]}, {place}" if runs else place, before, after, oracle, here))
    return out


def _diff(text: str) -> Iterator[tuple[str, str]]:
    """Yield the lines of a unified diff, each with what it is."""
    lines = text.splitlines()
    for line in lines[:_LONGEST_DIFF]:
        if line.startswith(("--- ", "+++ ", "diff --git ", "index ")):
            kind = "file"
        elif line.startswith("@@"):
            kind = "place"
        else:
            kind = {"+": "added", "-": "removed"}.get(line[:1], "same")
        yield kind, printable(line.replace("\t", "    "))
    if len(lines) > _LONGEST_DIFF:
        yield "place", f"… {len(lines) - _LONGEST_DIFF} more lines"


def _versions(side: Side) -> list[tuple[str, str]]:
    """Return what a side ran on, what a reader asks for first."""
    environment = side.environment
    lightning = lightning_version(environment)
    told = [("Lightning", lightning)] if lightning else []
    names = {"torchmetrics": "TorchMetrics", "torch": "torch", "numpy": "NumPy", "python": "Python"}
    names |= {"device": "device", "world_size": "processes"}
    told += [(name, str(environment[key])) for key, name in names.items() if environment.get(key)]
    return told
