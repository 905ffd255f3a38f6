"""Scratch projects for tests: write files, run the tool on them as a user would, in process."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent

from lintmetrics import runner
from lintmetrics.codemod import Relation
from lintmetrics.config import CommandLine, Configuration
from lintmetrics.diagnostics import Report
from lintmetrics.sources import discover

ALL = frozenset(Relation)


def written(folder: Path, files: Mapping[str, str]) -> Path:
    """Write dedented texts under a folder; return it."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text), encoding="utf-8")
    return folder


def check(folder: Path, *select: str, jobs: int = 1, style: str = "auto") -> Report:
    """Check every file under a folder."""
    line = CommandLine(select=select, isolated=True, style=None if style == "auto" else style)
    configuration = Configuration(line)
    files, failures = discover([os.fspath(folder)], configuration.settings_for)
    report = runner.check(files, configuration.settings_for, jobs)
    report.failures[:0] = failures
    return report


def fix(
    folder: Path, *select: str, relations: frozenset[Relation] = ALL, style: str = "auto"
) -> Report:
    """Fix every file under a folder, in place."""
    line = CommandLine(select=select, isolated=True, style=None if style == "auto" else style)
    configuration = Configuration(line)
    files, failures = discover([os.fspath(folder)], configuration.settings_for)
    report = runner.fix(files, configuration.settings_for, 1, None, relations, write=True)
    report.failures[:0] = failures
    return report


def codes(report: Report) -> list[str]:
    """Return the codes of what was found, in order."""
    return [diagnostic.code for diagnostic in report.diagnostics]
