"""Which findings a comment covers, and which comments cover none."""

from __future__ import annotations

import json

import pytest

from lintmetrics import packs, syntax
from lintmetrics.diagnostics import Diagnostic
from lintmetrics.rule import Consequence
from lintmetrics.source import Location, Source
from lintmetrics.sources import decode
from lintmetrics.suppressions import Suppressions

CODE, OTHER = list(packs.rules())[:2]
NAME = packs.rules()[CODE].name


def finding(first: int, last: int | None = None, code: str = CODE) -> Diagnostic:
    return Diagnostic(
        path="a.py",
        code=code,
        name=packs.rules()[code].name,
        message="m",
        help="",
        consequence=Consequence.CRASH,
        start=Location(first, 1),
        end=Location(last or first, 2),
        source_line="",
        fix=None,
        codemod="",
        blocked="",
        first_line=first,
        last_line=last or first,
        statement_line=first,
    )


def suppressions(text: str, name: str = "a.py") -> tuple[Suppressions, Source]:
    source = decode(text.encode(), name)
    tree = syntax.parse(source)
    return Suppressions.read(source, tree), source


def covered(text: str, code: str = CODE) -> list[int]:
    """Return the lines on which a finding is suppressed."""
    found, source = suppressions(text)
    lines = range(1, source.line_of(len(text)) + 1)
    return [line for line in lines if found.suppress(finding(line, code=code))]


IGNORE = f"# lintmetrics: ignore[{CODE}] because"


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (f"a = 1\nb = 2  {IGNORE}\nc = 3\n", [2]),
        (f"f(\n    a,\n    b,\n)  {IGNORE}\nc\n", [1, 2, 3, 4]),
        (f"f(  {IGNORE}\n    a,\n)\nc\n", [1, 2, 3]),
        (f"f(\n    a,  {IGNORE}\n    b,\n)\n", [2]),
        (f"{IGNORE}\nf(\n    a,\n)\nb\n", [2, 3, 4]),
        (f"{IGNORE}\n# more\n\na\nb\n", [4]),
        (f"x\n{IGNORE}\n@d\ndef f(a):\n    b\n\n    c\nd\n", [3, 4, 5, 6, 7]),
        (f"def f(a):  {IGNORE}\n    b\nc\n", [1]),
        (f"def f(\n    a,\n):  {IGNORE}\n    b\nc\n", [1, 2, 3]),
        (f"def f(\n    a,\n    b,\n):  {IGNORE}\n    # about c\n    c\n", [1, 2, 3, 4]),
        (f"@d\ndef f():  {IGNORE}\n    b\n", [2]),
        (f"class A:\n    {IGNORE}\n    def f(self):\n        b\n    c = 1\n", [3, 4]),
        (f"f(\n    {IGNORE}\n    a,\n    b,\n)\n", [3]),
        (f"if x:\n    a\n{IGNORE}\nelif y:\n    b\nc\n", [4, 5]),
        (f"x = '''\n{IGNORE}\n'''\na\n", []),
        (f"x = 'a'  # see '{IGNORE}'\n", [1]),
        (f"x = '{IGNORE}'\na\n", []),
        (f"a\n{IGNORE}\n", []),
        (f"a = 1  #lintmetrics:ignore[{NAME}]\n", [1]),
        (f"a = 1  # lintmetrics: ignore[X1, {CODE}]\n", [1]),
        ("a = 1  # lintmetrics: ignore\n", []),
        ("a = 1  # lintmetrics: ignore[]\n", []),
        (f"a = 1  # lintmetrics: ignore[{OTHER}]\n", []),
        (f"a\nb\n# lintmetrics: file-ignore[{CODE}] generated\nc\n", [1, 2, 3, 4, 5]),
        (f"a = 1  # noqa: {CODE}\n", [1]),
        (f"a = 1  # NOQA:E501,{CODE.lower()}\n", [1]),
        (f"a = 1  # noqa: E501 {CODE} why\n", [1]),
        ("a = 1  # noqa\n", []),
        ("a = 1  # noqa: E501\n", []),
        (f"# noqa: {CODE}\na\n", [1]),
        (f"f(\n    a,\n)  # noqa: {CODE}\n", [1, 2, 3]),
        (f"a = 1  # type: ignore  {IGNORE}\n", [1]),
        (f"é = '#'; b = 1  {IGNORE}\r\nc = 2\r\n", [1]),
        (f"x = f'a#{{b}}' \\\n  'c'  {IGNORE}\r\nd\n", [1, 2]),
    ],
)
def test_a_comment_covers_these_lines(text: str, lines: list[int]) -> None:
    assert covered(text) == lines


def test_only_the_codes_that_are_named_are_covered() -> None:
    text = f"a = 1  # lintmetrics: ignore[{CODE}]\n"
    assert covered(text, OTHER) == []


def unused(text: str, active: set[str], *findings: Diagnostic) -> list[tuple[str, ...]]:
    found, _ = suppressions(text)
    for item in findings:
        found.suppress(item)
    return [item.codes for item in found.unused(active)]


def test_a_comment_that_covers_nothing_is_reported() -> None:
    text = f"a = 1  # lintmetrics: ignore[{CODE}, {OTHER}]\n"
    both = {CODE, OTHER}
    assert unused(text, both) == [(CODE, OTHER)]
    assert unused(text, both, finding(1)) == [(OTHER,)]
    assert unused(text, {CODE}, finding(1)) == [], "the other rule did not run"
    assert unused(f"a = 1  # lintmetrics: ignore[{NAME}]\n", {CODE}) == [(NAME,)]
    assert unused(f"# lintmetrics: file-ignore[{CODE}]\n", {CODE}) == [(CODE,)]


def test_a_comment_that_names_no_rule_is_reported() -> None:
    assert unused("a = 1  # lintmetrics: ignore\n", {CODE}) == [()]
    assert unused("a = 1  # lintmetrics: ignore[LM000x]\n", {CODE}) == [("LM000x",)]


def test_codes_of_other_linters_are_their_affair() -> None:
    assert unused("a = 1  # noqa: E501, F401\n", {CODE}) == []
    assert unused("a = 1  # noqa\n", {CODE}) == []
    assert unused(f"a = 1  # noqa: E501, {CODE}\n", {CODE}) == [(CODE,)]


def test_a_reported_comment_is_shown_with_its_place() -> None:
    found, _ = suppressions(f"a = 1\nb = 2  # noqa: {CODE}  # x\n")
    (item,) = found.unused({CODE})
    assert (item.path, item.start, item.comment) == ("a.py", Location(2, 8), f"# noqa: {CODE}")


def test_comments_in_notebooks_cover_their_own_cell_only() -> None:
    cells = [
        {"cell_type": "code", "source": f"%time\na = 1\n{IGNORE}"},
        {"cell_type": "code", "source": f"a = 3\nb = 2  {IGNORE}\nc = 3"},
    ]
    text = json.dumps({"cells": cells})
    found, source = suppressions(text, "n.ipynb")
    lines = [source.line_text(n) for n in range(1, 9) if found.suppress(finding(n))]
    assert lines == [f"b = 2  {IGNORE}"]


def test_files_without_the_marker_are_not_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lintmetrics.suppressions._comments", None)
    assert not suppressions("a = 1  # nothing here\n")[0]
