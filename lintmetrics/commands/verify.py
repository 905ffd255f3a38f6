"""``lintmetrics verify``: train code before and after a change, and compare what it logs."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lintmetrics import config, sources
from lintmetrics.commands import options, training_options
from lintmetrics.commands.training_options import TrainingOptions
from lintmetrics.config import CommandLine, Configuration
from lintmetrics.errors import LintmetricsError
from lintmetrics.report.terminal import Paint, paint_for, tell, write

if TYPE_CHECKING:
    from lintmetrics.diagnostics import Diagnostic
    from lintmetrics.sources import DiscoveredFile, SettingsFor
    from lintmetrics.verify.case import Case
    from lintmetrics.verify.trees import Tree
    from lintmetrics.verify.verdict import Proof


@dataclass(frozen=True)
class _Change:
    """Which two trees to compare; see the help of the options."""

    before: str | None
    after: str | None
    fix: bool
    style: str | None
    preserve: bool
    unsafe_fixes: bool
    select: tuple[str, ...]

    @property
    def given(self) -> bool:
        return bool(self.before or self.after or self.fix)

    def check(self) -> None:
        """Raise a usage error where the options contradict each other."""
        if self.fix and self.after:
            raise click.UsageError("--fix makes the rewrite itself; name no --after with it")
        if not self.given:
            raise click.UsageError(
                "say what to compare: --before REV|DIR [--after REV|DIR], or --fix"
            )
        if not self.fix and (self.style or self.select or self.preserve or self.unsafe_fixes):
            raise click.UsageError(
                "--style, --select, --preserve and --unsafe-fixes say how to --fix"
            )

    @contextmanager
    def trees(self) -> Iterator[tuple[Tree, Tree, list[Diagnostic]]]:
        """Give the two trees, and the findings whose fixes lie between them."""
        from lintmetrics.verify.trees import tree

        before = self.before or ("." if self.fix else "HEAD")
        after = before if self.fix else (self.after or ".")
        with ExitStack() as stack:
            first = stack.enter_context(tree(before))
            second = stack.enter_context(tree(after))
            yield first, second, self._fixed(second) if self.fix else _mended(first, second)

    def _fixed(self, made: Tree) -> list[Diagnostic]:
        from lintmetrics import runner

        files, settings_for = _files(made, CommandLine(select=self.select, style=self.style))
        relations = options.relations(self.preserve, self.unsafe_fixes)
        report = runner.fix(files, settings_for, relations=relations, write=True)
        for failure in report.failures:
            tell(f"{failure.path}: error: {failure.reason}")
        return report.fixed


def _files(made: Tree, line: CommandLine) -> tuple[list[DiscoveredFile], SettingsFor]:
    """Return the sources of a tree, but those that are the user's own behind a link."""
    settings_for = Configuration(line).settings_for
    files, failures = sources.discover((os.fspath(made.folder),), settings_for)
    for failure in failures:
        tell(f"{failure.path}: error: {failure.reason}")
    return [
        file._replace(shown=os.path.relpath(file.path, made.folder))
        for file in files
        if made.owns(file.path)
    ], settings_for


def _mended(first: Tree, second: Tree) -> list[Diagnostic]:
    """Return what is found in the original and no longer in the rewrite.

    Somebody who mends a wrong number changes it, and then the number is not to be the original's.
    """
    from lintmetrics import runner

    old, new = (runner.check(*_files(made, CommandLine())).diagnostics for made in (first, second))
    left = Counter(map(_place, new))
    mended = []
    for item in old:
        if left[_place(item)]:
            left[_place(item)] -= 1
        else:
            mended.append(item)
    return mended


def _place(item: Diagnostic) -> tuple[object, ...]:
    return (item.path, item.code, item.keys, item.message)


@click.command("verify", cls=training_options.CommandWithTraining)
@click.argument("cases", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--before", metavar="REV|DIR", help="The original: a git revision (HEAD) or a folder."
)
@click.option("--after", metavar="REV|DIR", help="The rewrite; the working directory if not given.")
@click.option("--fix", is_flag=True, help="Make the rewrite by running the fixer on a copy.")
@click.option("--style", type=click.Choice(config.STYLES), help="With --fix: as for `fix`.")
@click.option("--preserve", is_flag=True, help="With --fix: as for `fix`.")
@click.option("--unsafe-fixes", is_flag=True, help="With --fix: as for `fix`.")
@options.selector_option("--select", "With --fix: as for `fix`.")
@training_options.training_options
@click.option(
    "--output-format",
    type=click.Choice(("full", "concise", "json", "markdown")),
    default="full",
    show_default=True,
    help="How verdicts are written.",
)
@click.option(
    "--jobs",
    "-j",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="How many trainings of cases run at a time.",
)
@click.option("--list-references", is_flag=True, help="List the versions of Lightning to be had.")
@click.option("--quiet", "-q", is_flag=True, help="Write verdicts only.")
@options.color_option
@click.pass_context
def command(
    context: click.Context,
    /,
    cases: tuple[Path, ...],
    output_format: str,
    jobs: int,
    list_references: bool,
    quiet: bool,
    color: str,
    **given: Any,
) -> None:
    """Train before and after a change, and compare every number that is logged.

    With a command behind `--`, that is run in a copy of --before and in a copy of --after (or, with
    --fix, in a copy that the fixer was run on). Without one, CASES are folders with a case.toml, or
    folders of such folders. With nothing but --reference, that version of Lightning is fetched.

    This executes the code that it is given; `check` and `fix` never do.
    """
    how = TrainingOptions.taken(given)
    change = _Change(**given)
    training = training_options.command_of(context)
    training_options.need_extra()
    if list_references:
        write(sys.stdout, _listing(paint_for(sys.stdout, color)))
        return
    if training:
        if cases:
            raise click.UsageError("name either CASES or a command behind `--`, not both")
        change.check()
        proofs = _prove_change(training, change, how, quiet)
        if not proofs:
            tell("lintmetrics: the fixer changes nothing here, so that there is nothing to verify")
            return
    elif change.given:
        raise click.UsageError("say how to train: lintmetrics verify ... -- python train.py")
    elif cases:
        if how.reference:
            raise click.UsageError("a case has its own reference; --reference is for a command")
        proofs = _prove_cases(_cases(cases), how, jobs, quiet)
    elif how.reference:
        write(sys.stdout, f"{_fetched(how.reference)}\n")
        return
    else:
        raise click.UsageError(
            "nothing to verify: name folders of cases, or a change and how to train, such as\n"
            "lintmetrics verify --fix -- python train.py"
        )
    training_options.write_proofs(proofs, output_format, paint_for(sys.stdout, color))
    if how.html:
        training_options.write_page(how.html, proofs)
    context.exit(training_options.exit_code(proofs))


def _listing(paint: Paint) -> str:
    from lintmetrics.verify import references

    rows = [("Lightning", "TorchMetrics", "Python", "here", "")]
    rows += [
        (
            item.name,
            item.torchmetrics or "–",
            f"{item.first_python}–{item.last_python}",
            "yes" if references.is_built(item) else "no",
            item.remark,
        )
        for item in references.listing()
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    lines[0] = paint("label", lines[0])
    return "\n".join([*lines, "", f"They are kept in {references.references_folder()}.", ""])


def _fetched(name: str) -> Path:
    from lintmetrics.verify import references

    found = references.reference(name)
    return references.overlay(found, training_options.building(found))


def _cases(paths: Sequence[Path]) -> list[Case]:
    """Return the cases of folders and of the folders in them."""
    from lintmetrics.verify.case import read_case

    found: list[Case] = []
    for path in paths:
        inside = [path] if (path / "case.toml").is_file() else []
        inside = inside or sorted(item.parent for item in path.glob("*/case.toml"))
        if not inside:
            raise LintmetricsError(f"{path}: holds no case.toml, and no folder with one")
        found += [read_case(folder) for folder in inside]
    return found


def _prove_cases(
    cases: Sequence[Case], how: TrainingOptions, jobs: int, quiet: bool
) -> list[Proof]:
    from lintmetrics.verify import proof
    from lintmetrics.verify.report import terminal

    if not quiet:
        many = "1 case" if len(cases) == 1 else f"{len(cases)} cases"
        tell(f"lintmetrics: this runs code: before.py and after.py of {many}")
    accelerators = dict.fromkeys(("cpu", how.accelerator or "cpu"))
    processes = dict.fromkeys((1, how.processes))
    proofs = []
    for found in proof.prove(
        cases,
        list(accelerators),
        list(processes),
        workers=jobs,
        building=training_options.building,
    ):
        proofs.append(found)
        if not quiet:
            tell(terminal.line(found, paint_for(sys.stderr, "auto")))
    return proofs


def _prove_change(
    training: Sequence[str], change: _Change, how: TrainingOptions, quiet: bool
) -> list[Proof]:
    with change.trees() as (first, second, fixed):
        if change.fix and not fixed:
            return []
        return [how.prove(training, first, second, fixed, quiet)]
