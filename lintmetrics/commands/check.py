"""``lintmetrics check``: report."""

from __future__ import annotations

from typing import Any

import click

from lintmetrics.commands import options
from lintmetrics.report.diff import diff


@click.command("check")
@options.run_options
@click.option("--diff", "show_diff", is_flag=True, help="Show what `fix` would change instead.")
@click.pass_context
def command(context: click.Context, /, show_diff: bool, **given: Any) -> None:
    """Report every logged number that is wrong, lost or about to break.

    PATHS are files and directories, the working directory by default; `-` is standard input.
    """
    run = options.start(options.Options(**given))
    if run is None:
        return
    from lintmetrics import runner

    chosen = run.options
    pending = False
    with run.progress() as progress:
        settings_for = run.configuration.settings_for
        if show_diff:
            report = runner.fix(
                run.files, settings_for, chosen.workers, progress, chosen.relations, write=False
            )
        else:
            report = runner.check(run.files, settings_for, chosen.workers, progress)
    report.failures[:0] = run.failures
    if show_diff:
        pending = bool(report.after)
        run.emit_bytes(diff(report.before, report.after, run.paint))
    else:
        run.write_findings(report)
    run.write_rest(report, fixing=show_diff)
    context.exit(run.exit_code(report, pending))
