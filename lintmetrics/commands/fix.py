"""``lintmetrics fix``: show what would change, or change it."""

from __future__ import annotations

import sys
from typing import Any

import click

from lintmetrics import sources
from lintmetrics.commands import options
from lintmetrics.report import text
from lintmetrics.report.diff import diff
from lintmetrics.report.terminal import paint_for, tell, write_bytes


@click.command("fix")
@options.run_options
@click.option("--apply", "write", is_flag=True, help="Write the changes; without it, a diff.")
@click.option("--diff", "show_diff", is_flag=True, help="Show the diff with --apply as well.")
@click.option(
    "--exit-non-zero-on-fix", is_flag=True, help="Exit with 1 when anything was fixed by --apply."
)
@click.pass_context
def command(
    context: click.Context,
    /,
    write: bool,
    show_diff: bool,
    exit_non_zero_on_fix: bool,
    **given: Any,
) -> None:
    """Print the changes that mend what `check` finds; with --apply, make them.

    A diff can be given to `git apply`. With `-` and --apply, the changed text goes to standard
    output.
    """
    run = options.start(options.Options(**given))
    if run is None:
        return
    from lintmetrics import runner

    chosen = run.options
    from_stdin = bool(run.files) and run.files[0].data is not None
    with run.progress() as progress:
        report = runner.fix(
            run.files,
            run.configuration.settings_for,
            chosen.workers,
            progress,
            chosen.relations,
            write=write and not from_stdin,
        )
    report.failures[:0] = run.failures
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
    run.write_rest(report, fixing=True, written=write)
    pending = bool(report.after) and (not write or exit_non_zero_on_fix)
    context.exit(run.exit_code(report, pending))
