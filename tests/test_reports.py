"""What a report says, byte for byte where programs read it."""

from __future__ import annotations

import io
import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from lintmetrics import sources
from lintmetrics.codemod import Fix, Relation
from lintmetrics.diagnostics import Diagnostic, Failure, Report, UnusedSuppression
from lintmetrics.edits import Edit
from lintmetrics.report import machine, text, totals
from lintmetrics.report.diff import diff
from lintmetrics.report.terminal import Paint, paint_for, printable, write
from lintmetrics.rule import Consequence
from lintmetrics.source import Location

PLAIN = Paint(False)
DEFAULT = frozenset({Relation.PRESERVES, Relation.CORRECTS})
LINE = '        self.log("f1", self.f1(p, y))'


def fix(relation: Relation = Relation.CORRECTS) -> Fix:
    return Fix(relation, "log the metric object", (Edit("m.py", 8, 16, "new\nline"),))


FOUND = Diagnostic(
    path="src/m.py",
    code="LM101",
    name="averaged-batch-value",
    message='"f1" averages the batch values of self.f1 over the epoch',
    help='self.log("f1", self.f1)',
    consequence=Consequence.WRONG_NUMBER,
    start=Location(41, 24),
    end=Location(41, 37),
    source_line=LINE,
    fix=fix(),
    codemod="log-metric-object",
    blocked="",
    first_line=41,
    last_line=41,
    statement_line=41,
)
BLOCKED = replace(
    FOUND, fix=None, codemod="", blocked="`outputs` escapes to self.report() at line 88", code="LM2"
)


def test_full_shows_the_place_and_all_that_is_known() -> None:
    assert text.full([FOUND], DEFAULT, PLAIN) == (
        'src/m.py:41:24: LM101 [*] "f1" averages the batch values of self.f1 over the epoch\n'
        "   |\n"
        '41 |         self.log("f1", self.f1(p, y))\n'
        "   |                        ^^^^^^^^^^^^^\n"
        "   = wrong-number: the logged number is wrong (averaged-batch-value)\n"
        '   = help: self.log("f1", self.f1)\n'
        "   = fix (corrects): log the metric object\n"
        "\n"
    )


def test_full_says_what_blocks_a_fix_and_what_a_fix_needs() -> None:
    assert "= no fix: `outputs` escapes to self.report() at line 88" in text.full(
        [BLOCKED], DEFAULT, PLAIN
    )
    assumes = replace(FOUND, fix=fix(Relation.ASSUMES))
    told = text.full([assumes], DEFAULT, PLAIN)
    assert "[*]" not in told
    assert "= fix (assumes, with --unsafe-fixes): log" in told
    told = text.full([FOUND], {Relation.PRESERVES}, PLAIN)
    assert "= fix (corrects, without --preserve): log" in told
    told = text.full([assumes], frozenset(Relation), PLAIN)
    assert "[*]" in told
    assert "= fix (assumes): log" in told


def test_concise_has_one_line_for_each_finding() -> None:
    cell = replace(FOUND, path="n.ipynb", start=Location(2, 5, 3))
    assert text.concise([FOUND, BLOCKED, cell], DEFAULT, PLAIN).splitlines() == [
        'src/m.py:41:24: LM101 [*] "f1" averages the batch values of self.f1 over the epoch',
        'src/m.py:41:24: LM2 "f1" averages the batch values of self.f1 over the epoch',
        'n.ipynb:cell 3:2:5: LM101 [*] "f1" averages the batch values of self.f1 over the epoch',
    ]


@pytest.mark.parametrize(
    ("line", "start", "end", "carets"),
    [
        ("\tf(x)", 2, 6, "\t^^^^"),
        ("é = f(x)", 5, 9, "    ^^^^"),
        ("数 = f(x)", 5, 9, "     ^^^^"),
        ("e\u0301 = f(x)", 6, 10, "    ^^^^"),
        ("f(x)", 1, 1, "^"),
        ("f(x)", 5, 9, "    ^"),
        ("", 1, 5, "^"),
    ],
)
def test_the_caret_stands_below_the_place(line: str, start: int, end: int, carets: str) -> None:
    item = replace(FOUND, source_line=line, start=Location(7, start), end=Location(7, end))
    assert text.full([item], DEFAULT, PLAIN).splitlines()[3] == f"  | {carets}"


def test_a_place_of_several_lines_is_marked_to_the_end_of_its_first() -> None:
    item = replace(FOUND, source_line="f(a,  ", start=Location(1, 1), end=Location(2, 3))
    assert text.full([item], DEFAULT, PLAIN).splitlines()[3] == "  | ^^^^"


def test_a_long_line_is_cut_around_the_place() -> None:
    line = "a" * 5000 + "X" + "b" * 5000
    item = replace(FOUND, source_line=line, start=Location(1, 5001), end=Location(1, 5002))
    shown, carets = text.full([item], DEFAULT, PLAIN).splitlines()[2:4]
    assert len(shown) < 200
    assert shown[carets.index("^")] == "X"


def test_nothing_in_a_file_can_steer_the_terminal() -> None:
    item = replace(FOUND, source_line="x = '\x1b[2J'", message="a\x1b[31mb", path="a\x07.py")
    told = text.full([item], DEFAULT, PLAIN)
    assert "\x1b" not in told
    assert "\x07" not in told
    assert printable("a\tb\x00") == "a\tb\\x00"


@pytest.mark.parametrize(
    ("when", "terminal", "environment", "coloured"),
    [
        ("auto", True, {}, True),
        ("auto", False, {}, False),
        ("auto", True, {"NO_COLOR": "1"}, False),
        ("auto", True, {"NO_COLOR": ""}, True),
        ("auto", True, {"TERM": "dumb"}, False),
        ("auto", False, {"FORCE_COLOR": "1"}, True),
        ("always", False, {"NO_COLOR": "1"}, True),
        ("never", True, {"FORCE_COLOR": "1"}, False),
    ],
)
def test_colours_are_for_terminals(
    when: str,
    terminal: bool,
    environment: dict[str, str],
    coloured: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: terminal)
    assert paint_for(stream, when).on == coloured


def test_colours_change_nothing_but_colours() -> None:
    import re

    coloured = text.full([FOUND, BLOCKED], DEFAULT, Paint(True))
    assert coloured != text.full([FOUND, BLOCKED], DEFAULT, PLAIN)
    assert re.sub("\x1b\\[[0-9;]*m", "", coloured) == text.full([FOUND, BLOCKED], DEFAULT, PLAIN)


def test_a_stream_that_lacks_a_character_is_given_its_escape() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    write(stream, "é\n")
    assert raw.getvalue() == b"\\xe9\n"


def test_json_has_the_keys_of_ruff_and_ours() -> None:
    source = sources.decode(b"import x\nself.f(1)\n", "m.py")
    (record,) = json.loads(machine.json_array([("left", FOUND)], lambda path: source))
    fingerprint = record.pop("fingerprint")
    assert len(fingerprint) == 32
    assert record.pop("url") is None or record["url"].startswith("http")
    assert record == {
        "cell": None,
        "code": "LM101",
        "end_location": {"row": 41, "column": 37},
        "filename": "src/m.py",
        "fix": {
            "applicability": "safe",
            "message": "log the metric object",
            "edits": [
                {
                    "content": "new\nline",
                    "location": {"row": 1, "column": 9},
                    "end_location": {"row": 2, "column": 8},
                    "filename": "m.py",
                }
            ],
        },
        "location": {"row": 41, "column": 24},
        "message": FOUND.message,
        "name": "averaged-batch-value",
        "noqa_row": 41,
        "severity": "error",
        "consequence": "wrong-number",
        "relation": "corrects",
        "help": FOUND.help,
        "blocked_by": None,
        "codemod": "log-metric-object",
        "status": "left",
    }


def test_json_says_why_there_is_no_fix() -> None:
    (record,) = json.loads(machine.json_array([("left", BLOCKED)], lambda path: None))
    assert record["fix"] is None
    assert record["relation"] is None
    assert record["blocked_by"] == BLOCKED.blocked
    unsafe = replace(FOUND, fix=fix(Relation.ASSUMES))
    (record,) = json.loads(machine.json_array([("left", unsafe)], lambda path: None))
    assert record["fix"]["applicability"] == "unsafe"


def test_json_of_nothing_is_an_empty_array() -> None:
    assert json.loads(machine.json_array([], lambda path: None)) == []
    assert machine.json_lines([], lambda path: None) == ""


def test_a_fingerprint_outlives_a_move_and_tells_twins_apart() -> None:
    moved = replace(FOUND, start=Location(99, 3), source_line="    " + LINE)
    assert machine.fingerprint(moved) == machine.fingerprint(FOUND)
    assert machine.fingerprint(BLOCKED) != machine.fingerprint(FOUND)
    lines = machine.json_lines([("left", FOUND), ("left", moved)], lambda path: None)
    prints = {json.loads(line)["fingerprint"] for line in lines.splitlines()}
    assert len(prints) == 2


def test_github_commands_are_escaped() -> None:
    item = replace(FOUND, message="100% of\na: b", path="a,b.py")
    assert machine.github([item]) == (
        "::error title=lintmetrics (LM101),file=a%2Cb.py,line=41,col=24,endLine=41,endColumn=37"
        "::a,b.py:41:24: LM101 100%25 of%0Aa: b\n"
    )


def report() -> Report:
    assumes = replace(FOUND, fix=fix(Relation.ASSUMES))
    return Report(
        files=5,
        diagnostics=[FOUND, FOUND, assumes, BLOCKED],
        suppressed=[FOUND],
        fixed=[FOUND] * 3,
        failed=[(FOUND, "a second run changes it again")],
        failures=[Failure("a.py", "cannot be read")],
    )


def test_totals_close() -> None:
    sums = totals.totals(report(), DEFAULT)
    assert sums == (3, 2, 1, 1, 1, 1)
    assert sums.found == 9
    assert totals.totals(report(), {Relation.PRESERVES}).withheld == 3


def test_the_summary_names_every_part_and_the_next_command() -> None:
    told = totals.summary(report(), DEFAULT, fixing=False, written=False).splitlines()
    assert told == [
        "Found 9 in 5 files: 3 fixed by this diff, 2 fixable, 1 more fixable with "
        "`--unsafe-fixes`, 1 without a fix, 1 suppressed, 1 failed to be fixed",
        "Run `lintmetrics fix --apply` to apply the 2 marked [*]",
        "1 failure: not everything was checked",
    ]
    nothing = totals.summary(Report(files=1), DEFAULT, fixing=False, written=False)
    assert nothing == "Nothing found in 1 file\n"


def test_statistics_count_by_rule() -> None:
    found = [FOUND, BLOCKED, BLOCKED, replace(BLOCKED, code="LM3", name="x", fix=fix())]
    assert totals.statistics(found, DEFAULT, PLAIN) == (
        "2  LM2  [ ]  averaged-batch-value\n1  LM101  [*]  averaged-batch-value\n1  LM3  [*]  x\n"
    )
    rows = json.loads(totals.statistics_json(found, DEFAULT))
    assert [row["count"] for row in rows] == [2, 1, 1]


def test_unused_suppressions_are_told_with_what_to_do() -> None:
    item = UnusedSuppression("a.py", Location(3, 9), "# lintmetrics: ignore", ())
    assert text.unused([item], PLAIN) == (
        "a.py:3:9: unused suppression: it names no rule; write ignore[CODE]: "
        "# lintmetrics: ignore\n"
    )
    item = replace(item, codes=("LM101", "LM102"))
    assert "LM101, LM102 finds nothing here" in text.unused([item], PLAIN)


# --- Diffs -----------------------------------------------------------------------------------


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty repository that is the working directory."""
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def apply(patch: bytes) -> None:
    done = subprocess.run(["git", "apply", "-"], input=patch, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


def changed(path: str, before: bytes, after: bytes) -> bytes:
    """Write a file, apply our diff with git, and return what the file then holds."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_bytes(before)
    texts = [sources.shown_bytes(data) for data in (before, after)]
    apply(diff({path: texts[0]}, {path: texts[1]}, PLAIN))
    return Path(path).read_bytes()


CONTENT = st.lists(
    st.sampled_from(
        [b"a\n", b"b\n", b"c\r\n", b"\xff\xe9\n", b"\n", b"x\ry\n", b"\x0c\n", b"--- q\n"]
    )
).map(b"".join)


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(CONTENT, CONTENT, st.sampled_from([b"", b"end", b"\r"]), st.sampled_from([b"", b"end"]))
@example(b"a\n", b"a\n", b"", b"x")
@example(b"a\n" * 9, b"a\n" * 4, b"x", b"")
def test_git_applies_a_diff_byte_for_byte(
    repository: Path, before: bytes, after: bytes, before_end: bytes, after_end: bytes
) -> None:
    before, after = before + before_end, after + after_end
    # A file that comes into being or goes is no business of a fix.
    if not before or not after or before == after:
        return
    assert changed("a.py", before, after) == after


@pytest.mark.parametrize("name", ["a b.py", "sub/é.py", 'q"uote.py', "tab\t.py", "back\\slash.py"])
def test_git_applies_a_diff_of_an_awkward_name(repository: Path, name: str) -> None:
    assert changed(name, b"a\n", b"b\n") == b"b\n"


def test_git_applies_a_diff_made_in_a_subdirectory(repository: Path) -> None:
    (repository / "sub").mkdir()
    os.chdir(repository / "sub")
    assert changed("deep/a.py", b"a\n", b"b\n") == b"b\n"
    (repository / "top.py").write_bytes(b"a\n")
    path = str(repository / "top.py")
    patch = diff({path: "a\n"}, {path: "b\n"}, PLAIN)
    os.chdir(repository)
    apply(patch)
    assert (repository / "top.py").read_bytes() == b"b\n"


def test_git_applies_a_diff_outside_of_a_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert changed("sub/a.py", b"a\n", b"b\n") == b"b\n"


def test_several_files_make_one_sorted_diff(repository: Path) -> None:
    before = {"b.py": "1\n", "a.py": "1\n", "same.py": "1\n"}
    after = {"b.py": "2\n", "a.py": "2\n", "same.py": "1\n"}
    lines = diff(before, after, PLAIN).decode().splitlines()
    assert [line for line in lines if line.startswith("---")] == ["--- a/a.py", "--- a/b.py"]


def test_a_thousand_changes_in_one_file_are_quick() -> None:
    import time

    lines = [f"line {number}\n" for number in range(10_000)]
    after = [line.upper() if number % 10 == 0 else line for number, line in enumerate(lines)]
    started = time.process_time()
    diff({"a.py": "".join(lines)}, {"a.py": "".join(after)}, PLAIN)
    assert time.process_time() - started < 1
