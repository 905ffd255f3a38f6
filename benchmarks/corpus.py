"""Check and fix the packages of ``corpus.tsv``, and print what a stranger would want to know.

    python benchmarks/corpus.py                  # every package
    python benchmarks/corpus.py --which before   # the last 1.x-style versions only
    python benchmarks/corpus.py anomalib --show 10 --seed 3   # ten findings and diffs to read
    python benchmarks/corpus.py --findings out.tsv   # every finding, one a line

Fixes are made on copies. Four counts must be 0: files that fail to parse because of the tool,
that do not compile after a fix, that a second run would change again, or that changed outside an
edit.
"""

from __future__ import annotations

import argparse
import random
import resource
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from packages import Package, fetch, packages
from speed import PEER_ARGUMENTS, cpu, peer

from lintmetrics import runner
from lintmetrics.codemod import Relation
from lintmetrics.config import CommandLine, Configuration
from lintmetrics.diagnostics import Diagnostic, Report
from lintmetrics.edits import Edit, apply
from lintmetrics.report.diff import diff
from lintmetrics.report.terminal import Paint
from lintmetrics.sources import decode, discover

ALL = frozenset(Relation)


def _compiles(text: str, name: str) -> bool:
    try:
        compile(text, name, "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return False
    return True


class Totals:
    """Counts over all packages."""

    def __init__(self) -> None:
        self.found: Counter[str] = Counter()
        self.fixable: Counter[str] = Counter()
        self.relations: Counter[str] = Counter()
        self.broken: Counter[str] = Counter()
        self.files = self.bytes = self.unreadable = self.failed = 0
        self.seconds = 0.0
        self.beside: Counter[str] = Counter()
        self.read: list[tuple[Package, Diagnostic]] = []


def _package(
    package: Package, totals: Totals, jobs: int, beside: Sequence[str]
) -> tuple[Report, str]:
    folder = fetch(package)
    configuration = Configuration(CommandLine(isolated=True))
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / package.label
        shutil.copytree(folder, copy)
        files, _ = discover([str(copy)], configuration.settings_for)
        began = time.process_time()
        report = runner.check(files, configuration.settings_for, 1)
        totals.seconds += time.process_time() - began
        totals.files += len(files)
        totals.bytes += sum(Path(file.path).stat().st_size for file in files)
        for name in beside:
            command = ["ruff", "check", "--isolated", "--no-cache", "--quiet"]
            if name != "ruff":
                command = [*peer(name), *PEER_ARGUMENTS[name]]
            (seconds,) = cpu([[*command, str(copy)]], 1)
            totals.beside[name] += seconds  # type: ignore[assignment]
        for diagnostic in report.diagnostics:
            totals.found[diagnostic.code] += 1
            totals.read.append((package, diagnostic))
            if diagnostic.fix is not None:
                totals.fixable[diagnostic.code] += 1
                totals.relations[diagnostic.fix.relation.value] += 1
        before_compiled = {
            file.shown: _compiles(Path(file.path).read_text("utf-8", "replace"), file.shown)
            for file in files
            if file.path.endswith(".py")
        }
        totals.unreadable += len(report.failures)
        fixed = runner.fix(files, configuration.settings_for, jobs, None, ALL, write=True)
        totals.failed += len(fixed.failed)
        for _, reason in fixed.failed:
            print(f"  taken back: {_.path}:{_.start.line} {_.code}: {reason}")
        for name, text in fixed.after.items():
            if name.endswith(".py") and before_compiled.get(name) and not _compiles(text, name):
                totals.broken["does not compile"] += 1
                print(f"  does not compile: {name}")
        again = runner.fix(files, configuration.settings_for, jobs, None, ALL, write=False)
        for name in again.after:
            totals.broken["second run not idle"] += 1
            print(f"  second run changes: {name}")
        totals.broken["changed outside an edit"] += _outside(report, folder, copy)
        return report, diff(fixed.before, fixed.after, Paint(False)).decode("utf-8", "replace")


def _outside(report: Report, folder: Path, copy: Path) -> int:
    """Count single fixes after which bytes outside the declared ranges differ."""
    count = 0
    for diagnostic in report.diagnostics:
        if diagnostic.fix is None:
            continue
        by_path: dict[str, list[Edit]] = {}
        for edit in diagnostic.fix.edits:
            by_path.setdefault(edit.path, []).append(edit)
        for name, edits in by_path.items():
            original = folder / Path(name).resolve().relative_to(copy.resolve())
            data = original.read_bytes()
            source = decode(data, name)
            packed = source.container.pack(apply(source.text, edits))
            first, last = min(e.start for e in edits), max(e.end for e in edits)
            if name.endswith(".ipynb"):
                continue  # Cells are spelled as JSON; the test suite compares those.
            head = len(source.container.pack(source.text[:first]))
            tail = len(source.container.pack(source.text[last:])) - (len(data) - len(data.lstrip()))
            same = packed[:head] == data[:head] and (tail <= 0 or packed[-tail:] == data[-tail:])
            count += not same
    return count


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="packages; all by default")
    parser.add_argument("--which", help="before, after or extra")
    parser.add_argument("--show", type=int, default=0, help="print so many findings and diffs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--findings", type=Path, help="write every finding to this file")
    parser.add_argument("--diffs", type=Path, help="write the diff of each package to this folder")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument(
        "--beside",
        nargs="*",
        default=["ruff"],
        choices=["ruff", *PEER_ARGUMENTS],
        help="tools to time on the same files; ruff by default, fixit and torchfix take minutes",
    )
    given = parser.parse_args()
    totals = Totals()
    for package in packages():
        if given.names and package.package not in given.names and package.label not in given.names:
            continue
        if given.which and package.which != given.which:
            continue
        try:
            report, patch = _package(package, totals, given.jobs, given.beside)
        except RuntimeError as error:
            print(f"left out: {error}")
            continue
        fixable = sum(d.fix is not None for d in report.diagnostics)
        print(f"{package.label}: {len(report.diagnostics)} findings, {fixable} with a fix")
        if given.diffs:
            given.diffs.mkdir(parents=True, exist_ok=True)
            (given.diffs / f"{package.label}.diff").write_text(patch, encoding="utf-8")
    if given.findings:
        with given.findings.open("w", encoding="utf-8") as file:
            for package, d in totals.read:
                relation = d.fix.relation.value if d.fix else "-"
                place = d.path.split(package.label, 1)[-1].lstrip("/")
                fields = (package.label, f"{place}:{d.start.line}:{d.start.column}", d.code)
                file.write("\t".join((*fields, relation, d.message, d.blocked)) + "\n")
    for package, d in random.Random(given.seed).sample(
        totals.read, min(given.show, len(totals.read))
    ):
        print(f"\n{package.label} {d.path}:{d.start.line} {d.code} {d.message}")
        print(f"    {d.source_line.strip()}\n    fix: {d.fix.message if d.fix else d.blocked}")
    _print(totals)


def _print(totals: Totals) -> None:
    print("\nfindings by rule (with a fix):")
    for code, count in sorted(totals.found.items()):
        print(
            f"  {code}  {count:5d}  {totals.fixable[code]:5d}  {totals.fixable[code] / count:4.0%}"
        )
    found, fixable = sum(totals.found.values()), sum(totals.fixable.values())
    print(f"  all    {found:5d}  {fixable:5d}  {fixable / max(1, found):4.0%}")
    print("fixes by relation:", dict(totals.relations))
    print("files that could not be read or crashed a rule:", totals.unreadable)
    print("fixes taken back:", totals.failed)
    for what in ("does not compile", "second run not idle", "changed outside an edit"):
        print(f"{what}: {totals.broken[what]}")
    megabytes = totals.bytes / 1e6
    rate = max(totals.seconds, 1e-9)
    print(
        f"check: {totals.files} files, {megabytes:.1f} MB, {totals.seconds:.1f} CPU s; "
        f"{totals.files / rate:.0f} files/s, {megabytes / rate:.2f} MB/s; "
        f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB"
    )
    for name, seconds in totals.beside.items():
        print(
            f"{name} on the same files: {seconds:.1f} CPU s, {totals.seconds / seconds:.2f} of it"
        )


if __name__ == "__main__":
    main()
