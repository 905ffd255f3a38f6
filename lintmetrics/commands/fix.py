"""``lintmetrics fix``: show what would change, or change it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lintmetrics import sources
from lintmetrics.commands import options, training_options
from lintmetrics.commands.training_options import TrainingOptions
from lintmetrics.errors import LintmetricsError
from lintmetrics.report import text
from lintmetrics.report.diff import diff
from lintmetrics.report.terminal import paint_for, tell, write_bytes
from lintmetrics.report.user_lines import in_lines_of_the_user

if TYPE_CHECKING:
    from lintmetrics.diagnostics import Report
    from lintmetrics.verify.verdict import Proof


@click.command("fix", cls=training_options.CommandWithTraining)
@options.run_options
@click.option("--apply", "write", is_flag=True, help="Write the changes; without it, a diff.")
@click.option("--diff", "show_diff", is_flag=True, help="Show the diff with --apply as well.")
@click.option(
    "--exit-non-zero-on-fix", is_flag=True, help="Exit with 1 when anything was fixed by --apply."
)
@click.option(
    "--verify",
    "proving",
    is_flag=True,
    help="With --apply: train before and after by the command behind `--`, and write only when "
    "every number that is logged stayed the same or became the right one.",
)
@training_options.training_options
@click.pass_context
def command(
    context: click.Context,
    /,
    write: bool,
    show_diff: bool,
    exit_non_zero_on_fix: bool,
    proving: bool,
    **given: Any,
) -> None:
    """Print the changes that mend what `check` finds; with --apply, make them.

    A diff can be given to `git apply`. With `-` and --apply, the changed text goes to standard
    output. With --apply --verify -- python train.py, your training is run before and after.
    """
    how = TrainingOptions.taken(given)
    training = training_options.command_of(context)
    if proving:
        _check_proving(training, write, given["paths"])
    else:
        # As everywhere, what follows `--` is not an option.
        given["paths"] += training
    run = options.start(options.Options(**given))
    if run is None:
        return
    from lintmetrics import runner

    chosen = run.options
    from_stdin = bool(run.files) and run.files[0].data is not None
    proofs: list[Proof] = []

    def is_proved(found: Report) -> bool:
        proofs.append(_proof(run, found, training, how))
        return proofs[0].verdict.holds

    with run.progress() as progress:
        report = runner.fix(
            run.files,
            run.configuration.settings_for,
            chosen.workers,
            progress,
            chosen.relations,
            write=write and not from_stdin,
            accept=is_proved if proving else None,
        )
    report.failures[:0] = run.failures
    if not write:
        in_lines_of_the_user(report)
    if from_stdin and write:
        (file,) = run.files
        changed = report.after.get(file.shown)
        data = file.data or b""
        write_bytes(sys.stdout, data if changed is None else sources.diff_bytes(changed))
    elif chosen.output_format.startswith("json") or chosen.statistics:
        run.write_findings(report)
    else:
        if not write or show_diff:
            run.emit_bytes(diff(report.before, report.after, run.paint))
        if write and not show_diff:
            run.write_findings(report)
        elif not chosen.quiet:
            # Standard output is for the patch alone.
            form = text.concise if chosen.output_format == "concise" else text.full
            left = form(report.diagnostics, chosen.relations, paint_for(sys.stderr, chosen.color))
            if left:
                tell(left)
    refused = any(not proof.verdict.holds for proof in proofs)
    if proofs:
        _write_proof(run, proofs, how, refused)
    run.write_rest(report, fixing=True, written=write, refused=refused)
    pending = bool(report.after) and (not write or refused or exit_non_zero_on_fix)
    context.exit(max(run.exit_code(report, pending), training_options.exit_code(proofs)))


# Training before and after ----------------------------------------------------------------------


def _check_proving(training: Sequence[str], write: bool, paths: Sequence[str]) -> None:
    if not write:
        raise click.UsageError(
            "--verify decides whether --apply writes; to verify without writing: "
            "lintmetrics verify --fix -- python train.py"
        )
    if not training:
        raise click.UsageError(
            "say how to train: lintmetrics fix --apply --verify -- python train.py"
        )
    if "-" in paths:
        raise click.UsageError("standard input cannot be trained: name files for --verify")
    training_options.need_extra()


def _proof(
    run: options.Run, report: Report, training: Sequence[str], how: TrainingOptions
) -> Proof:
    """Train what is there and what would be written, in copies."""
    from lintmetrics.verify.trees import copy

    by_name = {file.shown: file for file in run.files}
    with copy(Path.cwd()) as first, copy(Path.cwd()) as second:
        for name, changed in report.after.items():
            inside = os.path.relpath(os.path.realpath(by_name[name].path), second.origin)
            target = second.root / inside
            if not (target.is_file() and second.owns(target)):
                raise LintmetricsError(
                    f"{name}: is not part of what is trained, which is {second.origin}: "
                    f"start in the project that it belongs to"
                )
            target.write_bytes(sources.diff_bytes(changed))
        return how.prove(training, first, second, report.fixed, run.options.quiet)


def _write_proof(
    run: options.Run, proofs: Sequence[Proof], how: TrainingOptions, refused: bool
) -> None:
    kind = run.options.output_format
    if not kind.startswith("json"):
        known = kind if kind == "concise" else "full"
        training_options.write_proofs(proofs, known, paint_for(sys.stdout, run.options.color))
    if how.html:
        training_options.write_page(how.html, proofs)
    if refused:
        tell("lintmetrics: nothing was written, as not every number is shown to be right")
