"""What ``check`` and ``fix`` have in common: their options, and how a run starts and ends."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from lintmetrics import config, sources
from lintmetrics.codemod import Relation
from lintmetrics.config import CommandLine, Configuration
from lintmetrics.errors import LintmetricsError
from lintmetrics.releases import LIBRARIES, NEWEST
from lintmetrics.report import text, totals
from lintmetrics.report.terminal import Paint, paint_for, tell, write, write_bytes

if TYPE_CHECKING:
    from lintmetrics.diagnostics import Diagnostic, Failure, Report
    from lintmetrics.source import Source

_F = TypeVar("_F", bound=Callable[..., Any])
FORMATS = ("full", "concise", "json", "json-lines", "github")


def _selectors(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> tuple[str, ...]:
    """Take several selectors in one value, with commas, or the option several times."""
    return tuple(item.strip() for value in values for item in value.split(",") if item.strip())


def selector_option(name: str, help_text: str) -> Callable[[_F], _F]:
    """Make an option that takes rules by code, prefix or name."""
    return click.option(
        name, multiple=True, metavar="CODE|NAME,…", callback=_selectors, help=help_text
    )


color_option = click.option(
    "--color",
    type=click.Choice(("auto", "always", "never")),
    default="auto",
    show_default=True,
    help="When to use colours.",
)


def relations(preserve: bool, unsafe_fixes: bool) -> frozenset[Relation]:
    """Return the relations of the fixes that these two options ask for."""
    found = {Relation.PRESERVES}
    if not preserve:
        found.add(Relation.CORRECTS)
    if unsafe_fixes:
        found.add(Relation.ASSUMES)
    return frozenset(found)


_OPTIONS = [
    click.argument("paths", nargs=-1, type=click.Path()),
    selector_option("--select", "Rules to run: codes, prefixes, names, or ALL."),
    selector_option("--extend-select", "Rules to run besides those of the config file."),
    selector_option("--ignore", "Rules to leave out."),
    click.option(
        "--output-format",
        type=click.Choice(FORMATS),
        default="full",
        show_default=True,
        help="How findings are written.",
    ),
    click.option(
        "--output-file", "-o", type=click.Path(dir_okay=False), help="Write findings there."
    ),
    click.option("--statistics", is_flag=True, help="Count the findings of each rule instead."),
    click.option(
        "--style",
        type=click.Choice(config.STYLES),
        help="How fixes are written: with metric objects, with a list of step outputs, or with put "
        "in place of self.log.",
    ),
    click.option(
        "--target",
        "targets",
        multiple=True,
        metavar="LIBRARY=VERSION …",
        help="The lightning or torchmetrics to judge and write for: a version, or newest. "
        "By default what the project pins.",
    ),
    click.option("--preserve", is_flag=True, help="Only fixes that keep every logged number."),
    click.option("--unsafe-fixes", is_flag=True, help="Also fixes that assume what is not shown."),
    click.option(
        "--config",
        "configs",
        multiple=True,
        metavar="FILE|KEY=VALUE",
        help="Take this config file for all files, or set a key as in TOML.",
    ),
    click.option("--isolated", is_flag=True, help="Read no config file."),
    click.option("--force-exclude", is_flag=True, help="Exclude files that are named as well."),
    click.option("--stdin-filename", metavar="PATH", help="The name of what `-` reads."),
    click.option(
        "--jobs",
        "-j",
        type=click.IntRange(min=0),
        default=0,
        help="Processes to use; 0, the default, for as many as there are processors.",
    ),
    click.option("--exit-zero", is_flag=True, help="Exit with 0 even if there are findings."),
    click.option("--show-files", is_flag=True, help="List the files to look at, and stop."),
    click.option("--show-settings", is_flag=True, help="Show the settings in force, and stop."),
    click.option("--quiet", "-q", is_flag=True, help="Write findings and failures only."),
    color_option,
]


@dataclass(frozen=True)
class Options:
    """The options of one run; see their help."""

    paths: tuple[str, ...]
    select: tuple[str, ...]
    extend_select: tuple[str, ...]
    ignore: tuple[str, ...]
    output_format: str
    output_file: str | None
    statistics: bool
    style: str | None
    targets: tuple[str, ...]
    preserve: bool
    unsafe_fixes: bool
    configs: tuple[str, ...]
    isolated: bool
    force_exclude: bool
    stdin_filename: str | None
    jobs: int
    exit_zero: bool
    show_files: bool
    show_settings: bool
    quiet: bool
    color: str

    @property
    def relations(self) -> frozenset[Relation]:
        """The relations of the fixes to apply."""
        return relations(self.preserve, self.unsafe_fixes)

    @property
    def workers(self) -> int:
        """How many processes to use."""
        if self.jobs:
            return self.jobs
        if hasattr(os, "sched_getaffinity"):
            return len(os.sched_getaffinity(0))
        return os.cpu_count() or 1


def run_options(function: _F) -> _F:
    """Give a command the options that ``check`` and ``fix`` share."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


@dataclass
class Run:
    """The files of a run and what to do with its report."""

    options: Options
    configuration: Configuration
    files: list[sources.DiscoveredFile]
    failures: list[Failure]

    @property
    def paint(self) -> Paint:
        """The colours of standard output."""
        if self.options.output_file:
            return Paint(self.options.color == "always")
        return paint_for(sys.stdout, self.options.color)

    def emit(self, content: str) -> None:
        """Write findings where they were asked for."""
        if self.options.output_file is None:
            write(sys.stdout, content)
            return
        try:
            with open(self.options.output_file, "w", encoding="utf-8", errors="replace") as file:
                file.write(content)
        except OSError as error:
            raise self._unwritable(error) from None

    def emit_bytes(self, data: bytes) -> None:
        """Write a diff where findings were asked for."""
        if self.options.output_file is None:
            write_bytes(sys.stdout, data)
            return
        try:
            with open(self.options.output_file, "wb") as file:
                file.write(data)
        except OSError as error:
            raise self._unwritable(error) from None

    def _unwritable(self, error: OSError) -> LintmetricsError:
        name = self.options.output_file
        return LintmetricsError(f"--output-file {name}: cannot be written: {error.strerror}")

    def write_findings(self, report: Report) -> None:
        """Write the findings that are left, in the format that was asked for."""
        options, shown = self.options, report.diagnostics
        kind = options.output_format
        if options.statistics:
            if kind.startswith("json"):
                self.emit(totals.statistics_json(shown, options.relations))
            else:
                self.emit(totals.statistics(shown, options.relations, self.paint))
        elif kind in ("full", "concise"):
            form = text.concise if kind == "concise" else text.full
            self.emit(form(shown, options.relations, self.paint))
        else:
            from lintmetrics.report import machine

            if kind == "github":
                self.emit(machine.github(shown))
            else:
                form_of = machine.json_array if kind == "json" else machine.json_lines
                reader = self._source_reader(report.before)
                self.emit(form_of(_with_status(report), reader))

    def _source_reader(self, changed: Mapping[str, str]) -> Callable[[str], Source | None]:
        by_name = {file.shown: file for file in self.files}
        known: dict[str, Source | None] = {}

        def read(path: str) -> Source | None:
            if path not in known:
                # Positions in a file that was fixed meanwhile would point anywhere.
                if path in changed:
                    known[path] = None
                else:
                    absolute = os.path.join(os.getcwd(), path)
                    file = by_name.get(path, sources.DiscoveredFile(absolute, path))
                    known[path] = sources.decode(sources.read_bytes(file), path)
            return known[path]

        return read

    def write_rest(
        self, report: Report, fixing: bool = False, written: bool = False, refused: bool = False
    ) -> None:
        """Write failures, unused suppressions and totals to standard error."""
        paint = paint_for(sys.stderr, self.options.color)
        for failure in report.failures:
            where = failure.path if failure.line is None else f"{failure.path}:{failure.line}"
            code = f"{failure.code} " if failure.code else ""
            tell(f"{where}: {paint('error', 'error')}: {code}{failure.reason}")
        for item, reason in report.failed:
            where = text.place(item.path, item.start)
            tell(f"{where}: {paint('error', 'not fixed')}: {item.code} {reason}")
        if not self.options.quiet:
            for line in self._pinned():
                tell(line)
            tell_unused = text.unused(report.unused_suppressions, paint)
            tell(
                tell_unused
                + totals.summary(report, self.options.relations, fixing, written, refused)
            )

    def _pinned(self) -> Iterator[str]:
        """Yield a line for each release that the project's metadata made the target."""
        folders = {os.path.dirname(file.path) for file in self.files}
        told: dict[str, None] = {}
        for folder in sorted(folders):
            settings = self.configuration.settings_for(folder)
            for library, place in settings.pinned_at.items():
                name = f"{LIBRARIES[library]} {settings.targets[library]}"
                told[
                    f"Judged for {name}, pinned at {place}; --target {library}={NEWEST} asks for "
                    "what the newest release lacks"
                ] = None
        yield from told

    def exit_code(self, report: Report, pending: bool = False) -> int:
        """Return 2 when something could not be done, 1 when something is left, else 0."""
        if report.failures or report.failed:
            return 2
        if (report.diagnostics or pending) and not self.options.exit_zero:
            return 1
        return 0

    @contextmanager
    def progress(self) -> Iterator[Callable[[int, int], None] | None]:
        """Give what a long run calls with ``(files done, files in all)``: a bar on a terminal."""
        if self.options.quiet or not sys.stderr.isatty():
            yield None
            return
        bar: Any = None
        started = time.monotonic()

        def advance(done: int, total: int) -> None:
            nonlocal bar
            if bar is None:
                if time.monotonic() - started < 1 or total - done < 10:
                    return
                bar = click.progressbar(length=total, label="files", file=sys.stderr)
                bar.__enter__()
            bar.update(done - bar.pos)

        try:
            yield advance
        finally:
            if bar is not None:
                bar.__exit__(None, None, None)


def _with_status(report: Report) -> list[tuple[str, Diagnostic]]:
    groups = [("left", item) for item in report.diagnostics]
    groups += [("fixed", item) for item in report.fixed]
    groups += [("failed", item) for item, _ in report.failed]
    return sorted(groups, key=lambda group: group[1].sort_key)


def _targets(
    targets: tuple[str, ...], paths: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return all targets and what is left of the paths.

    ``--target lightning=2.0 torchmetrics=1.2`` names two, and click hands the second one over as a
    path.
    """
    said = [part for item in targets for part in item.replace(",", " ").split()]
    more = [
        path
        for path in (paths if targets else ())
        if path.partition("=")[0] in config.TARGETS and "=" in path and not os.path.exists(path)
    ]
    return (*said, *more), tuple(path for path in paths if path not in more)


def start(options: Options) -> Run | None:
    """Read the settings and find the files; ``None`` when the user only wanted to see them."""
    targets, paths = _targets(options.targets, options.paths)
    configuration = Configuration(
        CommandLine(
            select=options.select,
            extend_select=options.extend_select,
            ignore=options.ignore,
            style=options.style,
            target=targets,
            config=options.configs,
            isolated=options.isolated,
        )
    )
    named = bool(paths)
    paths = paths or (".",)
    if "-" in paths:
        if len(paths) > 1:
            raise click.UsageError("`-` reads standard input; name no other path with it")
        name = options.stdin_filename or "stdin.py"
        path = os.path.abspath(name)
        shown = sources.shown(path, os.getcwd())
        settings = configuration.settings_for(path)
        files = []
        if not (options.force_exclude and sources.excluded(path, settings)):
            data = b"" if options.show_settings else sys.stdin.buffer.read()
            files = [sources.DiscoveredFile(path, shown, data)]
        failures: list[Failure] = []
    else:
        files, failures = sources.discover(paths, configuration.settings_for, options.force_exclude)
    run = Run(options, configuration, files, failures)
    if options.show_files:
        run.emit("".join(f"{file.shown}\n" for file in files))
    elif options.show_settings:
        first = files[0].path if files else os.getcwd()
        target = first if paths == ("-",) else os.path.abspath(paths[0])
        if not named:
            target = os.getcwd()
        run.emit(config.shown_settings(configuration.settings_for(target)) + "\n")
    else:
        if not files and not failures and not options.quiet:
            tell("lintmetrics: no Python files or notebooks here")
        return run
    for failure in failures:
        tell(f"{failure.path}: error: {failure.reason}")
    if failures:
        raise click.exceptions.Exit(2)
    return None
