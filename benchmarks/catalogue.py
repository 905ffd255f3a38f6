"""What is known of Lightning and TorchMetrics, row by row, and what lintmetrics does about each.

    python benchmarks/catalogue.py            # the table; exits with 1 where a row is not so
    python benchmarks/catalogue.py --rows     # every row with its status besides
    python benchmarks/catalogue.py --no-fix   # without applying the fixes, in a few seconds

The rows are ``catalogue.csv``: a change or a trap each, in the order of the fact tables that they
were taken from. A row that says it is found comes with the shortest code that has it. The code is
checked here, and fixed; the row is an error when another rule answers, or none. A row that is left
out says why.
"""

from __future__ import annotations

import argparse
import csv
import os
import tempfile
import textwrap
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lintmetrics import runner
from lintmetrics.codemod import Relation
from lintmetrics.config import CommandLine, Configuration
from lintmetrics.diagnostics import Diagnostic
from lintmetrics.sources import DiscoveredFile

TABLE = Path(__file__).with_name("catalogue.csv")
STATUSES = {
    "fix": "found, and every place has a fix",
    "partly": "found, and some places have a fix; the others say what a person decides",
    "manual": "found, and the finding says what a person decides",
    "quiet": "right as it is, and nothing is found",
    "left out": "not found, for the reason that the row gives",
}
AREAS = {
    "lightning": "Lightning's API",
    "log": "what self.log does",
    "torchmetrics": "TorchMetrics' API",
}
PRELUDE = (
    "import pytorch_lightning as pl\nimport torch\nimport torchmetrics\nfrom torch import nn\n"
)
INIT = "def __init__(self):\n    super().__init__()\n    self.layer = nn.Linear(4, 2)\n"
TRAIN = "def training_step(self, batch, batch_idx):\n    return self.layer(batch).sum()\n"
STEP = "def {name}(self, batch, batch_idx):\n    x, y = batch\n"
CLASSES = {
    "module": "pl.LightningModule",
    "callback": "pl.Callback",
    "data": "pl.LightningDataModule",
    "metric": "torchmetrics.Metric",
}
STEPS = {"step": "validation_step", "train": "training_step"}


@dataclass(frozen=True)
class Row:
    """One row of the catalogue.

    Args:
        facts: the table that it was taken from, a key of ``AREAS``; ``section``: the part of it.
        subject: what it is about.
        status: a key of ``STATUSES``.
        codes: the rules that find it, with how often: ``LM501*2 LM502``.
        within: where the snippet stands: a key of ``CLASSES`` (the body of such a class) or
            ``STEPS`` (the body of such a step), ``"epoch_end"``, or empty for a file of its own.
        snippet: code that has it; empty where there is none.
        reason: why it is left out.
    """

    facts: str
    section: str
    subject: str
    status: str
    codes: str
    within: str
    snippet: str
    reason: str

    @property
    def name(self) -> str:
        """How an error names it."""
        return f"{self.facts} {self.section}: {self.subject}"

    @property
    def expected(self) -> Counter[str]:
        """How often each rule answers."""
        counts: Counter[str] = Counter()
        for item in self.codes.split():
            code, _, times = item.partition("*")
            counts[code] += int(times or 1)
        return counts

    @property
    def text(self) -> str:
        """The snippet as a file."""
        body = self.snippet.strip("\n") + "\n"
        if self.within in STEPS:
            body = STEP.format(name=STEPS[self.within]) + textwrap.indent(body, "    ")
        elif self.within == "epoch_end":
            body = "def on_validation_epoch_end(self):\n" + textwrap.indent(body, "    ")
        if not self.within:
            return f"{PRELUDE}\n\n{body}"
        base = CLASSES.get(self.within, CLASSES["module"])
        if base == CLASSES["module"]:
            # What has no training step may be no module that is ever trained.
            body = body if "def training_step" in body else f"{body}\n{TRAIN}"
            body = body if "def __init__" in body else f"{INIT}\n{body}"
        return f"{PRELUDE}\n\nclass Thing({base}):\n{textwrap.indent(body, '    ')}"


def rows() -> list[Row]:
    """Return the rows of the catalogue, in order."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        return [Row(**row) for row in csv.DictReader(file)]


class Checker:
    """Runs ``check`` and ``fix`` on rows, each in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._settings_for = Configuration(CommandLine(isolated=True)).settings_for
        self._count = 0

    def found(self, row: Row) -> list[Diagnostic]:
        """Return what is found in the code of a row."""
        report = runner.check([self._file(row)], self._settings_for, 1)
        assert not report.failures, (row.name, report.failures)
        return report.diagnostics

    def left(self, row: Row) -> list[Diagnostic]:
        """Return what is found in the code of a row when it has been fixed."""
        file = self._file(row)
        report = runner.fix([file], self._settings_for, 1, None, frozenset(Relation), write=True)
        assert not report.failures, (row.name, report.failures)
        return [*report.diagnostics, *(item for item, _ in report.failed)]

    def _file(self, row: Row) -> DiscoveredFile:
        self._count += 1
        folder = self._folder / str(self._count)
        folder.mkdir()
        path = folder / "thing.py"
        path.write_text(row.text, encoding="utf-8")
        return DiscoveredFile(os.fspath(path), "thing.py")


def status(found: list[Diagnostic]) -> str:
    """Return what findings make of a row."""
    fixed = [item.fix is not None for item in found]
    if not found:
        return "quiet"
    return "fix" if all(fixed) else "partly" if any(fixed) else "manual"


def spelled(counts: Counter[str]) -> str:
    """Return codes as the table spells them."""
    return " ".join(f"{c}*{n}" if n > 1 else c for c, n in sorted(counts.items()))


def errors(row: Row, checker: Checker, fix: bool = True) -> Iterator[str]:
    """Yield what is not so in a row.

    Args:
        row: the row; ``checker``: looks at its code.
        fix: apply its fixes as well.
    """
    if row.status not in STATUSES:
        yield f"{row.name}: no status is called {row.status!r}"
        return
    if row.status == "left out":
        if not row.reason:
            yield f"{row.name}: is left out without a reason"
        if row.snippet and (found := checker.found(row)):
            yield f"{row.name}: is left out, and {found[0].code} finds it"
        return
    found = checker.found(row)
    if row.codes:
        # What other rules find in the same lines is no matter of this row.
        found = [item for item in found if item.code in row.expected]
    counts = Counter(item.code for item in found)
    if counts != row.expected:
        yield f"{row.name}: {row.codes or 'nothing'} is said, {spelled(counts) or 'nothing'} found"
    elif status(found) != row.status:
        yield f"{row.name}: is said to be {row.status!r} and is {status(found)!r}"
    elif fix and row.status in ("fix", "partly"):
        mended = {item.code for item in found if item.fix is not None}
        kept = {item.code for item in found if item.fix is None}
        for item in checker.left(row):
            if item.code in mended - kept:
                yield f"{row.name}: {item.code} is left when it has been fixed"


def table(all_rows: list[Row]) -> Iterator[str]:
    """Yield the lines of the table: a row for each area and one for their sum."""
    yield f"| area | rows | {' | '.join(STATUSES)} |"
    yield f"|---|{'---|' * (len(STATUSES) + 1)}"
    for facts, area in [*AREAS.items(), ("", "all")]:
        of_area = [row for row in all_rows if not facts or row.facts == facts]
        counts = Counter(row.status for row in of_area)
        cells = " | ".join(str(counts[name]) for name in STATUSES)
        yield f"| {area} | {len(of_area)} | {cells} |"


def main() -> int:
    """Check every row, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rows", action="store_true", help="print every row")
    parser.add_argument("--no-fix", action="store_true", help="apply no fix")
    given = parser.parse_args()
    wrong: list[str] = []
    all_rows = rows()
    with tempfile.TemporaryDirectory() as name:
        checker = Checker(Path(name))
        for row in all_rows:
            wrong += errors(row, checker, not given.no_fix)
    if given.rows:
        for row in all_rows:
            said = row.codes or row.reason
            print(f"{row.facts} {row.section} | {row.subject} | {row.status} | {said}")
        print()
    for line in table(all_rows):
        print(line)
    print()
    for name, meaning in STATUSES.items():
        print(f"{name}: {meaning}")
    reasons = Counter(row.reason for row in all_rows if row.status == "left out")
    print("\nLeft out, because")
    for reason, times in reasons.most_common():
        print(f"  {times:3} {reason}")
    for line in wrong:
        print(f"error: {line}")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
