"""The sums of a run. They close: every finding is in exactly one of the parts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection
from typing import TYPE_CHECKING, NamedTuple

from lintmetrics.codemod import Relation
from lintmetrics.report.terminal import Paint

if TYPE_CHECKING:
    from lintmetrics.diagnostics import Diagnostic, Report


class Totals(NamedTuple):
    """How many findings there are of each kind.

    Args:
        fixed: mended, in the file or in the diff.
        fixable: have a fix that the options in force apply, but was not asked for in this run.
        withheld: have a fix that the options in force do not apply.
        blocked: have no fix.
        suppressed: covered by a comment.
        failed: have a fix whose result did not stand up to the check after it.
    """

    fixed: int
    fixable: int
    withheld: int
    blocked: int
    suppressed: int
    failed: int

    @property
    def found(self) -> int:
        """All findings."""
        return sum(self)


def totals(report: Report, applied: Collection[Relation]) -> Totals:
    """Count the findings of a report.

    Args:
        report: the run.
        applied: relations of the fixes that the options in force apply.
    """
    fixes = [item.fix for item in report.diagnostics]
    return Totals(
        fixed=len(report.fixed),
        fixable=sum(fix is not None and fix.relation in applied for fix in fixes),
        withheld=sum(fix is not None and fix.relation not in applied for fix in fixes),
        blocked=sum(fix is None for fix in fixes),
        suppressed=len(report.suppressed),
        failed=len(report.failed),
    )


def summary(
    report: Report,
    applied: Collection[Relation],
    fixing: bool,
    written: bool,
    refused: bool = False,
) -> str:
    """Return the last lines of a run.

    Args:
        report: the run.
        applied: relations of the fixes that the options in force apply.
        fixing: whether the run was asked to fix.
        written: whether it was asked to write the fixes.
        refused: whether they were not written since they were not proved.
    """
    sums = totals(report, applied)
    files = _count(report.files, "file")
    if not sums.found:
        lines = [f"Nothing found in {files}"]
    else:
        done = "not proved" if refused else "fixed" if written else "fixed by this diff"
        parts = [
            (sums.fixed, done),
            (sums.fixable, "left for another run" if fixing else "fixable"),
            (sums.withheld, _withheld(report, applied)),
            (sums.blocked, "without a fix"),
            (sums.suppressed, "suppressed"),
            (sums.failed, "failed to be fixed"),
        ]
        told = ", ".join(f"{number} {what}" for number, what in parts if number)
        lines = [f"Found {sums.found} in {files}: {told}"]
    if sums.fixable and not fixing:
        lines.append(f"Run `lintmetrics fix --apply` to apply the {sums.fixable} marked [*]")
    if fixing and not written and not refused and sums.fixed:
        lines.append("Run it again with `--apply` to write the changes")
    if report.written:
        lines.append(f"Wrote {_count(len(report.written), 'file')}")
    if report.failures:
        lines.append(f"{_count(len(report.failures), 'failure')}: not everything was checked")
    return "".join(f"{line}\n" for line in lines)


def _withheld(report: Report, applied: Collection[Relation]) -> str:
    kinds = {item.fix.relation for item in report.diagnostics if item.fix} - set(applied)
    ways = []
    if Relation.ASSUMES in kinds:
        ways.append("with `--unsafe-fixes`")
    if kinds - {Relation.ASSUMES}:
        ways.append("without `--preserve`")
    return "more fixable " + " or ".join(ways)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def statistics(
    diagnostics: Collection[Diagnostic], applied: Collection[Relation], paint: Paint
) -> str:
    """Return how often each rule found something, the most frequent first."""
    rows = _by_rule(diagnostics, applied)
    if not rows:
        return ""
    wide = max(len(str(count)) for count, _, _, _ in rows)
    out = []
    for count, code, name, fixable in rows:
        mark = paint("mark", "[*]") if fixable == count else "[-]" if fixable else "[ ]"
        out.append(f"{count:>{wide}}  {paint('code', code)}  {mark}  {name}\n")
    return "".join(out)


def statistics_json(diagnostics: Collection[Diagnostic], applied: Collection[Relation]) -> str:
    """Return the same as JSON."""
    rows = [
        {"code": code, "name": name, "count": count, "fixable": fixable == count}
        | {"fixable_count": fixable}
        for count, code, name, fixable in _by_rule(diagnostics, applied)
    ]
    return json.dumps(rows, indent=2) + "\n"


def _by_rule(
    diagnostics: Collection[Diagnostic], applied: Collection[Relation]
) -> list[tuple[int, str, str, int]]:
    counts = Counter((item.code, item.name) for item in diagnostics)
    fixable = Counter(
        item.code for item in diagnostics if item.fix is not None and item.fix.relation in applied
    )
    rows = [(count, code, name, fixable[code]) for (code, name), count in counts.items()]
    return sorted(rows, key=lambda row: (-row[0], row[1]))
