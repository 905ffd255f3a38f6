"""Answers are worked out once, and nothing of a project is left when it is done with."""

from __future__ import annotations

import gc
from pathlib import Path
from textwrap import dedent

from lintmetrics import packs, runner
from lintmetrics.config import CommandLine, Configuration
from lintmetrics.kept_answers import kept
from lintmetrics.project import Project
from lintmetrics.sources import discover


class Thing:
    """Something to ask about."""


def test_an_answer_is_worked_out_once_for_each_object_and_argument() -> None:
    asked: list[tuple[Thing, int]] = []

    @kept
    def answer(thing: Thing, number: int) -> int:
        asked.append((thing, number))
        return number + 1

    one, other = Thing(), Thing()
    assert [answer(one, 1), answer(one, 1), answer(one, 2), answer(other, 1)] == [2, 2, 3, 2]
    assert asked == [(one, 1), (one, 2), (other, 1)]


def test_two_functions_do_not_share_their_answers() -> None:
    @kept
    def first(thing: Thing) -> str:
        return "first"

    @kept
    def second(thing: Thing) -> str:
        return "second"

    thing = Thing()
    assert (first(thing), second(thing), first(thing)) == ("first", "second", "first")


def _projects() -> int:
    gc.collect()
    return sum(isinstance(thing, Project) for thing in gc.get_objects())


def test_no_project_outlives_its_check(tmp_path: Path) -> None:
    for rule in packs.rules().values():
        (tmp_path / f"{rule.name.replace('-', '_')}.py").write_text(dedent(rule.bad))
    configuration = Configuration(CommandLine(isolated=True))
    before = _projects()
    files, _ = discover([str(tmp_path)], configuration.settings_for)
    report = runner.check(files, configuration.settings_for, 1)
    assert len({found.code for found in report.diagnostics}) > 50
    assert _projects() <= before
