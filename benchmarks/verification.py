"""Write ``docs/verification.md``: what trainings show of cases, mutations and public examples.

    python benchmarks/verification.py -j 2

Needs the ``verify`` extra, scikit-learn, MONAI, and a package index for old Lightning and its
examples; takes some twenty minutes of two cores. The prose is ``verification.md`` beside this file;
each line ``<!-- table: NAME -->`` of it is filled by the function of that name here. ``--only
NAME`` runs one of them again, ``--row NAME`` one row of it, and the others stay; the page is
written as they come.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parent))

from packages import Package, fetch

if TYPE_CHECKING:
    from lintmetrics.verify.case import Case
    from lintmetrics.verify.verdict import Proof

ROOT = Path(__file__).resolve().parent.parent
FIXTURES = ROOT / "fixtures"
MUTATIONS = FIXTURES / "mutations.toml"
TEMPLATE = Path(__file__).with_name("verification.md")
EXAMPLES = Path(__file__).parent / "examples"
PAGE = ROOT / "docs" / "verification.md"

_BLOCK = re.compile(r"<!-- table: (\w+) -->\n")
_END = "<!-- end of table -->\n"


# Tables -----------------------------------------------------------------------------------------


@dataclass
class Rows:
    """The rows of a table of the page, by what stands in their first cell.

    Args:
        head: the names of the columns.
        block: the text of the table as it was; its rows are kept until they are put anew.
        names: what the table may have rows of.
        wanted: those to be run again; all where it is empty.
    """

    head: Sequence[str]
    block: str
    names: Sequence[str]
    wanted: Sequence[str]

    def __post_init__(self) -> None:
        chosen = [name for name in self.names if name in self.wanted]
        self.todo = chosen if self.wanted else list(self.names)
        self.rows = {name: row for name, row in self._old() if name not in self.todo}

    def _old(self) -> Iterator[tuple[str, list[str]]]:
        for line in self.block.splitlines():
            cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            if len(cells) == len(self.head) and _unescaped(cells[0]) in self.names:
                yield _unescaped(cells[0]), cells

    def put(self, name: str, *cells: str) -> None:
        """Set the row of a name."""
        self.rows[name] = [_escaped(cell) for cell in (name, *cells)]
        print(f"{name}: {' | '.join(cells)}", file=sys.stderr, flush=True)

    def column(self, name: str) -> list[str]:
        """Return the cells of a column."""
        place = list(self.head).index(name)
        return [_unescaped(row[place]) for row in self._sorted()]

    def _sorted(self) -> list[list[str]]:
        return [self.rows[name] for name in self.names if name in self.rows]

    def __str__(self) -> str:
        lines = [self.head, ["---"] * len(self.head), *self._sorted()]
        return "".join(f"| {' | '.join(line)} |\n" for line in lines)


_HOLDS = ("same", "corrected", "announced")
_TODAY = "the unmodified original on today's Lightning"
_HOME = (
    *("case", "relation", "keys", "compared", "largest gap", "verdict"),
    *("the original is off by", _TODAY),
)


def cases(workers: int, wanted: Sequence[str], old: str) -> Iterator[str]:
    """Give every case on one CPU, with what its original does on today's Lightning."""
    from lintmetrics.verify.proof import prove
    from lintmetrics.verify.report import summary

    known = {case.name: case for case in _cases()}
    rows = Rows(_HOME, old, sorted(known), wanted)
    for proof in prove([known[name] for name in rows.todo], workers=workers):
        keys = summary.metrics(proof)
        missed = summary.missed(proof)
        rows.put(
            proof.name,
            summary.relations(proof),
            str(summary.key_count(keys)),
            str(summary.compared(proof)),
            summary.gap(summary.widest(proof)),
            proof.verdict.value,
            summary.gap(missed) if missed else "–",
            _first_sentence(proof.original_today) or "is of today",
        )
        yield _cases_told(rows)


def _cases_told(rows: Rows) -> str:
    verdicts = rows.column("verdict")
    held = sum(verdict in _HOLDS for verdict in verdicts)
    compared = sum(int(cell) for cell in rows.column("compared"))
    today = rows.column(_TODAY)
    old = [text for text in today if text != "is of today"]
    raising = sum(text.startswith("raises") for text in old)
    silent = sum(text.startswith(("silently", "logs nothing")) for text in old)
    return (
        f"{held} of {len(verdicts)} cases hold; {compared} numbers were compared. Of the "
        f"{len(old)} originals for an older Lightning, {raising} raise on today's, {silent} run "
        f"and log wrong numbers or none, and {len(old) - raising - silent} log what they did. "
        f"{len(today) - len(old)} are of today's Lightning themselves.\n\n{rows}"
    )


_AWAY = ("case", "compared", "largest gap", "tolerance", "the original is off by", "verdict")


def processes(workers: int, wanted: Sequence[str], old: str) -> Iterator[str]:
    """Give the cases that are for two processes, held against one."""
    from lintmetrics.verify.proof import prove

    known = {case.name: case for case in _cases() if 2 in case.processes}
    rows = Rows(_AWAY, old, sorted(known), wanted)
    chosen = [known[name] for name in rows.todo]
    for proof in prove(chosen, processes=(2,), today=False, workers=workers):
        _put_away(rows, proof)
        yield str(rows)


def devices(workers: int, wanted: Sequence[str], old: str) -> Iterator[str]:
    """Give the cases that are for a GPU, held against the CPU; a sentence where there is none."""
    import torch

    from lintmetrics.verify.proof import prove

    known = {case.name: case for case in _cases() if "cuda" in case.devices}
    if not torch.cuda.is_available():
        yield (
            "The machine that wrote this page has no GPU, so that nothing is claimed here. "
            f"{len(known)} of the cases name one.\n"
        )
        return
    rows = Rows(_AWAY, old, sorted(known), wanted)
    chosen = [known[name] for name in rows.todo]
    for proof in prove(chosen, accelerators=("cuda",), today=False, workers=workers):
        _put_away(rows, proof)
        yield f"On one {torch.cuda.get_device_name()}:\n\n{rows}"


def _put_away(rows: Rows, proof: Proof) -> None:
    from lintmetrics.verify.report import summary

    keys = summary.metrics(proof)
    missed = summary.missed(proof)
    rows.put(
        proof.name,
        str(summary.compared(proof)),
        summary.gap(summary.widest(proof)),
        next((row.tolerance for row in keys if row.tolerance), "–"),
        summary.gap(missed) if missed else "–",
        proof.verdict.value,
    )


def mutations(workers: int, wanted: Sequence[str], old: str) -> Iterator[str]:
    """Give the mutations of right rewrites, and what the proof says to them."""
    from lintmetrics.verify.mutation import mutated, read_mutations
    from lintmetrics.verify.proof import prove
    from lintmetrics.verify.report import summary

    known = {mutation.name: mutation for mutation in read_mutations(MUTATIONS)}
    head = ("mutation", "of", "what is wrong", "verdict", "where it shows first")
    rows = Rows(head, old, list(known), wanted)
    with tempfile.TemporaryDirectory(prefix="lintmetrics-") as scratch:
        spoiled = [mutated(known[name], FIXTURES, Path(scratch)) for name in rows.todo]
        proofs = prove(spoiled, today=False, workers=workers)
        for name, proof in zip(rows.todo, proofs, strict=True):
            worst = [row for row in summary.broken(proof) if row.verdict is proof.verdict]
            shown = f"{worst[0].key}: {worst[0].detail}" if worst else "–"
            mutation = known[name]
            rows.put(name, mutation.fixture, mutation.wrong, proof.verdict.value, shown)
            verdicts = rows.column("verdict")
            refused = sum(verdict not in _HOLDS for verdict in verdicts)
            yield f"{refused} of {len(verdicts)} are refused.\n\n{rows}"


def examples(workers: int, wanted: Sequence[str], old: str) -> Iterator[str]:
    """Give what became of the examples of old Lightning; they run one after the other."""
    parts = re.split(r"^(?=### )", old, flags=re.MULTILINE)
    kept = {part.splitlines()[0][4:]: part.rstrip("\n") for part in parts if part.startswith("###")}
    for example in read_examples():
        if example.title in kept and wanted and example.title not in wanted:
            continue
        kept[example.title] = f"### {example.title}\n\n{example.told}\n\n{example.run()}"
        print(example.title, file=sys.stderr, flush=True)
        titles = [item.title for item in read_examples() if item.title in kept]
        yield "\n\n".join(kept[title] for title in titles) + "\n"


def environment(workers: int, wanted: Sequence[str], old: str) -> Iterator[str]:
    """Give what this was run with."""
    from importlib.metadata import version

    names = ("torch", "lightning", "torchmetrics", "scikit-learn", "numpy")
    packages = ", ".join(f"{name} {version(name)}" for name in names)
    older = sorted({case.reference for case in _cases()} - {"today"}, key=_parts)
    yield (
        f"Python {platform.python_version()}, {packages}; {platform.system()} on "
        f"{platform.machine()}, {os.cpu_count()} cores. The originals ran on Lightning "
        f"{', '.join(older)} and, where they are of today, on today's.\n"
    )


Table = Callable[[int, Sequence[str], str], Iterator[str]]

TABLES: dict[str, Table] = {
    "environment": environment,
    "cases": cases,
    "processes": processes,
    "devices": devices,
    "mutations": mutations,
    "examples": examples,
}


def _parts(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


def _cases() -> list[Case]:
    from lintmetrics.verify.case import read_case

    return [read_case(path.parent) for path in sorted(FIXTURES.glob("*/case.toml"))]


def _first_sentence(text: str) -> str:
    """Return what an error says first, without the places of files of this machine."""
    return re.split(r"\.\s+[A-Z`]|\s+\(/", text)[0]


_SIGNS = "\\`*_[]<>|"


def _escaped(text: str) -> str:
    text = " ".join(text.split())
    for sign in _SIGNS:
        text = text.replace(sign, f"\\{sign}")
    return text


def _unescaped(text: str) -> str:
    return re.sub(rf"\\([{re.escape(_SIGNS)}])", r"\1", text)


# Examples ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Edit:
    """A change that is made before anything is fixed.

    Args:
        text: what is replaced, found once; empty where everything after ``after`` is.
        becomes: what it becomes.
        reason: why.
        after: see ``text``.
    """

    becomes: str
    reason: str
    text: str = ""
    after: str = ""

    def made(self, source: str) -> str:
        """Return a script with the edit made.

        Raises:
            ValueError: it does not fit.
        """
        anchor = self.text or self.after
        if source.count(anchor) != 1:
            raise ValueError(f"{anchor!r} is in the script {source.count(anchor)} times")
        if self.text:
            return source.replace(self.text, self.becomes)
        return source[: source.index(self.after)] + self.after + self.becomes


@dataclass(frozen=True)
class Example:
    """A script that Lightning came with.

    Args:
        version: of pytorch-lightning. ``sha256``: of its wheel.
        script: path in the wheel.
        about: one line.
        edits: made first, in this order.
        beside: files of ``benchmarks/examples`` that are put beside the script.
        package: files of the wheel that are put beside it.
        fix: arguments of ``lintmetrics fix``.
        environment: variables that are set for the command.
    """

    version: str
    sha256: str
    script: str
    about: str
    edits: tuple[Edit, ...] = ()
    beside: tuple[str, ...] = ()
    package: tuple[str, ...] = ()
    fix: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The script and the version, as a heading."""
        return f"{self.script}, Lightning {self.version}"

    @property
    def command(self) -> list[str]:
        """What a user would type, in the folder of the script."""
        line = ["lintmetrics", "fix", "--apply", *self.fix, "--verify"]
        line += ["--reference", self.version, "--seed", "0"]
        return [*line, "--", "python", Path(self.script).name]

    @property
    def told(self) -> str:
        """What it is and what was edited first."""
        about = f"{self.about[0].upper()}{self.about[1:]}."
        if not self.edits:
            return f"{about} Not edited."
        reasons = "".join(f"- {edit.reason}\n" for edit in self.edits)
        return f"{about} Edited first:\n\n{reasons}".rstrip()

    def run(self) -> str:
        """Take the script through the command; return in Markdown what happened."""
        wheel = f"pytorch_lightning-{self.version}-py3-none-any.whl"
        source = fetch(Package("pytorch-lightning", self.version, "extra", wheel, self.sha256))
        with tempfile.TemporaryDirectory(prefix="lintmetrics-") as scratch:
            script = Path(scratch) / Path(self.script).name
            text = (source / self.script).read_text(encoding="utf-8")
            for edit in self.edits:
                text = edit.made(text)
            script.write_text(text, encoding="utf-8")
            for path in [EXAMPLES / name for name in self.beside] + [
                source / name for name in self.package
            ]:
                shutil.copy(path, scratch)
            # `python` is the one that runs this, as in the environment of a user.
            here = str(Path(sys.executable).parent)
            programs = os.pathsep.join((here, os.environ.get("PATH", "")))
            done = subprocess.run(
                [sys.executable, "-m", "lintmetrics", "fix", "--isolated", *self.command[2:]],
                cwd=scratch,
                env={**os.environ, **self.environment, "PATH": programs},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            written = script.read_text(encoding="utf-8") != text
        for old, new in ((sys.prefix, "..."), (scratch, "example")):
            done.stdout = done.stdout.replace(old, new)
        return self._outcome(done, written)

    def _outcome(self, done: subprocess.CompletedProcess[str], written: bool) -> str:
        if written:
            verdict = "**Proved and written.**"
        elif "nothing was written" in done.stdout:
            verdict = "**Refused**: not every number is shown to be right, so nothing was written."
        elif done.returncode in (0, 1):
            verdict = "**Nothing to fix**, so nothing was trained."
        else:
            verdict = f"**The command failed** with {done.returncode}."
        lines = [line.rstrip() for line in done.stdout.splitlines()]
        # Findings without a fix come before the table of what was proved.
        start = next((i for i, line in enumerate(lines) if line.startswith("case ")), 0)
        told = "\n".join(lines[start:])
        variables = [f"{name}={value}" for name, value in self.environment.items()]
        typed = " ".join([*variables, *self.command])
        return f"{verdict}\n\n```console\n$ {typed}\n{told}\n```\n"


def read_examples() -> list[Example]:
    """Return the examples of the table, in its order."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    rows = tomllib.loads((EXAMPLES / "examples.toml").read_text(encoding="utf-8"))["example"]
    return [_example(row) for row in rows]


def _example(row: dict[str, Any]) -> Example:
    edits = tuple(Edit(**edit) for edit in row.pop("edit", ()))
    beside, package, fix = (tuple(row.pop(name, ())) for name in ("beside", "package", "fix"))
    return Example(edits=edits, beside=beside, package=package, fix=fix, **row)


# The page ---------------------------------------------------------------------------------------


def blocks(page: str) -> dict[str, str]:
    """Return the tables of a page by name."""
    found = {}
    for match in _BLOCK.finditer(page):
        rest = page[match.end() :]
        found[match[1]] = rest[: rest.index(_END)] if _END in rest else ""
    return found


def filled(template: str, tables: dict[str, str]) -> str:
    """Return the template with its tables filled in."""
    return _BLOCK.sub(lambda match: f"{match[0]}{tables.get(match[1], '')}{_END}", template)


def main() -> int:
    """Run what is asked for and write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", action="append", choices=sorted(TABLES), default=[])
    parser.add_argument("--row", action="append", default=[], help="a row to run again")
    parser.add_argument("-j", "--jobs", type=int, default=1, help="trainings at a time")
    chosen = parser.parse_args()
    for name, table in TABLES.items():
        if chosen.only and name not in chosen.only:
            continue
        for made in table(chosen.jobs, chosen.row, tables_of_page().get(name, "")):
            # What another run has written meanwhile stays.
            write({**tables_of_page(), name: made})
    write(tables_of_page())
    return 0


def tables_of_page() -> dict[str, str]:
    """Return the tables of the page as it is."""
    return blocks(PAGE.read_text(encoding="utf-8")) if PAGE.exists() else {}


def write(tables: dict[str, str]) -> None:
    """Write the page with these tables."""
    page = filled(TEMPLATE.read_text(encoding="utf-8"), tables)
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    raise SystemExit(main())
