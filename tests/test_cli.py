"""The manners of the command line: streams, exit codes, files, and what goes wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from lintmetrics import __version__, packs, runner
from lintmetrics.cli import main

FOUND = """\
import pytorch_lightning as pl


class Model(pl.LightningModule):
    def validation_epoch_end(self, outputs):
        print("done")
"""
FIXED = FOUND.replace("validation_epoch_end(self, outputs)", "on_validation_epoch_end(self)")
CLEAN = "x = 1\n"
CODE = "LM201"
NAME = "removed-epoch-end"


@pytest.fixture(autouse=True)
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and no colours asked for."""
    monkeypatch.chdir(tmp_path)
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


class Result:
    """The exit code of a run and what it wrote."""

    def __init__(self, code: int, out: bytes, err: bytes) -> None:
        self.code = code
        self.bytes = out
        self.out = out.decode()
        self.err = err.decode()


@pytest.fixture
def run(capsysbinary: pytest.CaptureFixture[bytes]) -> Any:
    """Call the command line in this process."""

    def call(*arguments: str) -> Result:
        capsysbinary.readouterr()
        code = main(arguments)
        return Result(code, *capsysbinary.readouterr())

    return call


def spawn(*arguments: str, **given: Any) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "lintmetrics", *arguments]
    return subprocess.run(command, capture_output=True, check=False, **given)


def notebook(*cells: str) -> str:
    made = [{"cell_type": "code", "outputs": ["kept"], "source": cell} for cell in cells]
    return json.dumps({"cells": made, "nbformat": 4}, indent=1)


# --- Exit codes and streams --------------------------------------------------------------------


def test_the_exit_code_says_what_happened(tree: Path, run: Any) -> None:
    (tree / "clean.py").write_text(CLEAN)
    (tree / "found.py").write_text(FOUND)
    (tree / "broken.py").write_text("import lightning\ndef (:\n")
    assert run("check", "clean.py").code == 0
    assert run("check", "found.py").code == 1
    assert run("check", "found.py", "--exit-zero").code == 0
    assert run("check", "broken.py").code == 2
    assert run("check", ".").code == 2, "2 beats 1"
    assert run("check", "broken.py", "--exit-zero").code == 2
    assert run("check", "missing.py").code == 2
    assert run("fix", "clean.py").code == 0
    assert run("fix", "found.py").code == 1
    assert run("fix", "found.py", "--exit-zero").code == 0


def test_one_broken_file_does_not_stop_the_others(tree: Path, run: Any) -> None:
    (tree / "a.py").write_text("import lightning\ndef (:\n")
    (tree / "b.py").write_bytes(b"# lightning \xff\n")
    (tree / "c.py").write_text(FOUND)
    (tree / "d.ipynb").write_text("{lightning")
    result = run("check", "--output-format", "concise")
    assert [line.split(": ")[0] for line in result.out.splitlines()] == ["c.py:5:9"]
    told = [line for line in result.err.splitlines() if ": error: " in line]
    assert [line.split(": ")[0] for line in told] == ["a.py:2", "b.py:1", "d.ipynb:1"]


def test_a_rule_that_crashes_is_one_line_and_exit_two(
    tree: Path, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tree / "a.py").write_text(FOUND)
    rules = packs.rules()

    def crash(self: object, subject: object) -> Iterator[object]:
        raise ZeroDivisionError("by zero")
        yield

    crash.__annotations__ = get_type_hints(type(rules[CODE]).check)
    monkeypatch.setattr(type(rules["LM203"]), "check", type(rules[CODE]).check)
    monkeypatch.setattr(type(rules[CODE]), "check", crash)
    result = run("check", "--jobs", "1")
    assert result.code == 2
    (line,) = [line for line in result.err.splitlines() if ": error: " in line]
    assert "LM000" in line
    assert "ZeroDivisionError" in line
    assert "LM203" in result.out, "the other rules went on"


def test_a_model_that_crashes_is_one_line_and_exit_two(
    tree: Path, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: object) -> None:
        raise ZeroDivisionError("no such thing")

    (tree / "a.py").write_text(FOUND)
    monkeypatch.setattr("lintmetrics.model.flow.LightningClass._run", broken)
    result = run("check", "a.py")
    assert result.code == 2
    assert "reading its classes crashed with" in result.err


def test_findings_go_to_standard_output_and_totals_to_standard_error(tree: Path, run: Any) -> None:
    (tree / "found.py").write_text(FOUND)
    result = run("check")
    assert "found.py:5:9: LM201" in result.out
    assert "Found 1 in 1 file" in result.err
    assert "Found 1" not in result.out
    quiet = run("check", "--quiet")
    assert quiet.out == result.out
    assert quiet.err == ""


def test_no_files_are_no_findings(tree: Path, run: Any) -> None:
    result = run("check")
    assert (result.code, result.out) == (0, "")
    assert "no Python files" in result.err


def test_output_has_no_colours_in_a_pipe_unless_asked(tree: Path, run: Any) -> None:
    (tree / "found.py").write_text(FOUND)
    assert "\x1b" not in run("check").out
    assert "\x1b" in run("check", "--color", "always").out
    assert "\x1b" in run("fix", "--color", "always").out


def test_output_is_the_same_for_any_number_of_workers_and_any_hash_seed(tree: Path) -> None:
    for number in range(30):
        (tree / f"m{number:02}.py").write_text(FOUND)
    outputs = set()
    for jobs, seed in (("1", "0"), ("2", "1"), ("3", "2")):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = spawn("check", "--jobs", jobs, "--output-format", "json", env=environment)
        assert done.returncode == 1, done.stderr
        outputs.add((done.stdout, done.stderr))
    assert len(outputs) == 1


# --- Selecting ---------------------------------------------------------------------------------


def test_rules_are_selected_by_code_prefix_and_name(tree: Path, run: Any) -> None:
    (tree / "found.py").write_text(FOUND)
    for selector in (CODE, "LM2", NAME, f"LM101,{CODE}", "ALL"):
        assert run("check", "--select", selector).code == 1, selector
    assert run("check", "--select", "LM101").code == 0
    assert run("check", "--ignore", NAME).code == 0
    assert run("check", "--select", "LM101", "--extend-select", CODE).code == 1


@pytest.mark.parametrize("verb", ["check", "fix"])
def test_an_unknown_selector_is_named_with_the_nearest(verb: str, tree: Path, run: Any) -> None:
    result = run(verb, "--select", "removed-epoch-ends")
    assert result.code == 2
    assert "removed-epoch-ends" in result.err
    assert f"did you mean {NAME}?" in result.err
    assert "Traceback" not in result.err


def test_a_suppressed_finding_is_counted_and_an_idle_comment_is_told(tree: Path, run: Any) -> None:
    comment = f"  # lintmetrics: ignore[{CODE}] kept for 1.x"
    lines = FOUND.splitlines()
    lines[4] += comment
    lines[0] += comment
    (tree / "found.py").write_text("\n".join(lines) + "\n")
    result = run("check")
    assert (result.code, result.out) == (0, "")
    assert "1 suppressed" in result.err
    assert "found.py:1:33: unused suppression" in result.err


def test_the_config_file_counts(tree: Path, run: Any) -> None:
    (tree / "found.py").write_text(FOUND)
    config = tree / "lintmetrics.toml"
    config.write_text(f'ignore = ["{CODE}"]')
    assert run("check").code == 0
    assert run("check", "--isolated").code == 1
    assert run("check", "--config", "ignore=[]").code == 1
    config.write_text('per-file-ignores = { "found.py" = ["LM2"] }')
    assert run("check").code == 0
    config.write_text("selct = []")
    result = run("check")
    assert result.code == 2
    assert result.err == (
        "lintmetrics: lintmetrics.toml: unknown key selct; did you mean select?\n"
    )


def test_settings_and_files_are_shown(tree: Path, run: Any) -> None:
    (tree / "a.py").write_text(CLEAN)
    (tree / "lintmetrics.toml").write_text("style = 'outputs'")
    assert run("check", "--show-files").out == "a.py\n"
    assert 'style = "outputs"' in run("check", "--show-settings").out
    assert run("check", "--show-files", "no.py").code == 2


# --- Formats -----------------------------------------------------------------------------------


def test_json_is_json_even_when_there_is_nothing(tree: Path, run: Any) -> None:
    (tree / "found.py").write_text(FOUND)
    (record,) = json.loads(run("check", "--output-format", "json").out)
    assert (record["code"], record["filename"]) == (CODE, "found.py")
    assert record["fix"]["edits"][0]["location"] == {"row": 5, "column": 9}
    (tree / "found.py").write_text(CLEAN)
    assert json.loads(run("check", "--output-format", "json").out) == []
    assert run("check", "--output-format", "json-lines").out == ""


def test_findings_can_go_to_a_file(tree: Path, run: Any) -> None:
    (tree / "found.py").write_text(FOUND)
    result = run("check", "--output-format", "json", "-o", "report.json")
    assert (result.code, result.out) == (1, "")
    assert json.loads((tree / "report.json").read_text())[0]["code"] == CODE
    result = run("check", "-o", "no/such/report")
    assert result.code == 2
    assert "cannot be written" in result.err


def test_statistics_count(tree: Path, run: Any) -> None:
    (tree / "found.py").write_text(FOUND)
    result = run("check", "--statistics")
    assert (result.code, result.out) == (1, f"1  {CODE}  [*]  {NAME}\n")


# --- Fixing ------------------------------------------------------------------------------------


def test_fix_prints_a_diff_that_git_applies(tree: Path, run: Any) -> None:
    subprocess.run(["git", "init", "-q"], check=True)
    (tree / "sub").mkdir()
    (tree / "sub" / "crlf.py").write_bytes(FOUND.replace("\n", "\r\n").encode())
    (tree / "latin.py").write_bytes(b"# coding: latin-1\n# \xe9\n" + FOUND.encode())
    (tree / "mark.py").write_bytes(b"\xef\xbb\xbf" + FOUND.rstrip("\n").encode())
    (tree / "n.ipynb").write_text(notebook("%time", FOUND))
    result = run("fix")
    assert result.code == 1
    assert (tree / "latin.py").read_bytes().endswith(FOUND.encode()), "nothing is written"
    subprocess.run(["git", "apply", "-"], input=result.bytes, check=True)
    assert (tree / "sub" / "crlf.py").read_bytes() == FIXED.replace("\n", "\r\n").encode()
    assert (tree / "latin.py").read_bytes() == b"# coding: latin-1\n# \xe9\n" + FIXED.encode()
    assert (tree / "mark.py").read_bytes() == b"\xef\xbb\xbf" + FIXED.rstrip("\n").encode()
    assert (tree / "n.ipynb").read_text() == notebook("%time", FIXED)
    assert run("fix").out == ""


def test_the_diff_of_a_subdirectory_is_for_git_as_well(
    tree: Path, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    subprocess.run(["git", "init", "-q"], check=True)
    (tree / "sub").mkdir()
    (tree / "sub" / "a.py").write_text(FOUND)
    monkeypatch.chdir(tree / "sub")
    subprocess.run(["git", "apply", "-"], input=run("fix").bytes, check=True)
    assert (tree / "sub" / "a.py").read_text() == FIXED


LEFT = """\
import pytorch_lightning as pl
import torch
import torch.nn.functional as F


class Model(pl.LightningModule):
    def validation_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(x, y)
        self.log("perplexity", torch.exp(loss))
        hard = F.cross_entropy(x, y, weight=self.weight)
        self.log("hard", torch.exp(hard))
"""


def test_what_a_diff_leaves_is_told_at_the_lines_of_the_file(tree: Path, run: Any) -> None:
    (tree / "model.py").write_text(LEFT)
    shown = run("fix", "model.py")
    assert "+from torchmetrics import MeanMetric" in shown.out
    assert "model.py:12:26: LM104" in shown.err
    assert '12 |         self.log("hard", torch.exp(hard))' in shown.err
    assert "F.cross_entropy(x, y, weight=self.weight) at line 11 is given weight=" in shown.err
    concise = run("fix", "--output-format", "concise", "model.py")
    checked = run("check", "--output-format", "concise", "model.py")
    (left,) = [line for line in concise.err.splitlines() if "LM104" in line]
    assert left in checked.out.splitlines()
    written = run("fix", "--apply", "model.py")
    assert "model.py:17:26: LM104" in written.out
    assert (tree / "model.py").read_text().splitlines()[16].strip().startswith('self.log("hard"')


def test_apply_writes_and_says_so(tree: Path, run: Any) -> None:
    (tree / "a.py").write_text(FOUND)
    (tree / "a.py").chmod(0o755)
    result = run("fix", "--apply")
    assert (result.code, result.out) == (0, "")
    assert "Found 1 in 1 file: 1 fixed" in result.err
    assert "Wrote 1 file" in result.err
    assert (tree / "a.py").read_text() == FIXED
    assert (tree / "a.py").stat().st_mode & 0o777 == 0o755
    again = run("fix", "--apply")
    assert (again.code, again.out) == (0, "")
    assert os.listdir(tree) == ["a.py"]


def test_apply_can_be_made_to_fail_a_hook(tree: Path, run: Any) -> None:
    (tree / "a.py").write_text(FOUND)
    assert run("fix", "--apply", "--exit-non-zero-on-fix").code == 1
    assert run("fix", "--apply", "--exit-non-zero-on-fix").code == 0


def test_check_can_show_the_diff(tree: Path, run: Any) -> None:
    (tree / "a.py").write_text(FOUND)
    assert run("check", "--diff").bytes == run("fix").bytes
    assert (tree / "a.py").read_text() == FOUND


def test_a_selection_limits_the_fixes(tree: Path, run: Any) -> None:
    (tree / "a.py").write_text(FOUND)
    assert run("fix", "--ignore", CODE).out == ""


def test_a_link_is_written_through(tree: Path, run: Any) -> None:
    (tree / "real.txt").write_text(FOUND)
    (tree / "link.py").symlink_to("real.txt")
    assert run("fix", "--apply", "link.py").code == 0
    assert (tree / "link.py").is_symlink()
    assert (tree / "real.txt").read_text() == FIXED


# --- Standard input ----------------------------------------------------------------------------


def test_standard_input_is_checked_under_its_name(tree: Path) -> None:
    (tree / "lintmetrics.toml").write_text('per-file-ignores = { "old/**" = ["LM2"] }')
    arguments = ("check", "-", "--output-format", "concise", "--stdin-filename")
    done = spawn(*arguments, "src/m.py", input=FOUND.encode())
    assert done.returncode == 1
    assert done.stdout.startswith(b"src/m.py:5:9: LM201")
    done = spawn(*arguments, "old/m.py", input=FOUND.encode())
    assert (done.returncode, done.stdout) == (0, b"")
    done = spawn(*arguments, "n.ipynb", input=notebook("x = 1", FOUND).encode())
    assert done.stdout.startswith(b"n.ipynb:cell 2:5:9: LM201")


def test_standard_input_is_fixed_to_standard_output(tree: Path) -> None:
    data = b"\xef\xbb\xbf" + FOUND.replace("\n", "\r\n").encode()
    done = spawn("fix", "--apply", "-", input=data)
    assert done.returncode == 0
    assert done.stdout == b"\xef\xbb\xbf" + FIXED.replace("\n", "\r\n").encode()
    done = spawn("fix", "--apply", "-", input=CLEAN.encode())
    assert done.stdout == CLEAN.encode()
    done = spawn("fix", "-", "--stdin-filename", "a.py", input=FOUND.encode())
    assert b"+++ b/a.py" in done.stdout
    assert os.listdir(tree) == []


def test_standard_input_goes_alone(tree: Path, run: Any) -> None:
    result = run("check", "-", "a.py")
    assert result.code == 2
    assert "standard input" in result.err


# --- Other verbs -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [CODE, CODE.lower(), NAME, "removed_epoch_end"])
def test_a_rule_is_explained_by_code_or_name(name: str, run: Any) -> None:
    for verb in ("explain", "rule"):
        result = run(verb, name)
        assert result.code == 0
        assert result.out.startswith(f"{CODE} {NAME}\n")
        assert packs.rules()[CODE].summary in result.out


def test_an_unknown_rule_is_named_with_the_nearest(run: Any) -> None:
    result = run("explain", "removed-epoch-and")
    assert result.code == 2
    assert f"did you mean {CODE} ({NAME})?" in result.err


def test_all_rules_are_listed(run: Any) -> None:
    result = run("rules")
    assert [line.split()[0] for line in result.out.splitlines()] == list(packs.rules())
    listed = json.loads(run("rules", "--output-format", "json").out)
    assert [rule["code"] for rule in listed] == list(packs.rules())
    assert all(rule["bad"] and rule["good"] and rule["explanation"] for rule in listed)


def test_the_version_is_told(run: Any) -> None:
    assert run("--version").out == f"lintmetrics, version {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["chekc"], "did you mean check?"),
        (["src"], "did you mean `lintmetrics check src`?"),
        (["check", "--outputformat", "json"], "--output-format"),
        (["check", "--output-format", "xml"], "xml"),
        (["check", "-j", "x"], "x"),
    ],
)
def test_a_wrong_word_is_answered_with_the_right_one(
    arguments: list[str], told: str, tree: Path, run: Any
) -> None:
    (tree / "src").mkdir()
    result = run(*arguments)
    assert result.code == 2
    assert told in result.err


def test_help_names_every_verb(run: Any) -> None:
    result = run("--help")
    assert result.code == 0
    for verb in ("check", "fix", "explain", "rules"):
        assert f"\n  {verb}" in result.out
        assert run(verb, "--help").code == 0


# --- Interruptions -----------------------------------------------------------------------------


def test_control_c_is_one_line(tree: Path, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tree / "a.py").write_text(FOUND)

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "check", interrupted)
    result = run("check")
    assert result.code == 130
    assert result.err.strip() == "lintmetrics: interrupted"


@pytest.mark.skipif(sys.platform == "win32", reason="signals differ")
def test_control_c_during_a_run_leaves_no_traceback_and_no_part_of_a_file(tree: Path) -> None:
    for number in range(400):
        (tree / f"m{number:03}.py").write_text(FOUND * 20)
    command = [sys.executable, "-m", "lintmetrics", "fix", "--apply", "--jobs", "2"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    time.sleep(1.0)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    if process.returncode == 130:
        assert err.decode().strip().splitlines() == ["lintmetrics: interrupted"]
    assert b"Traceback" not in err
    names = sorted(os.listdir(tree))
    assert names == [f"m{number:03}.py" for number in range(400)]
    for name in names:
        text = (tree / name).read_text()
        assert text == FOUND * 20 or "on_validation_epoch_end" in text


def test_a_closed_pipe_is_quiet(tree: Path) -> None:
    for number in range(20):
        (tree / f"m{number}.py").write_text(FOUND * 50)
    script = f"{sys.executable} -m lintmetrics check | head -n 1"
    done = subprocess.run(["bash", "-c", script], capture_output=True, check=False)
    assert b"Traceback" not in done.stderr
    assert b"BrokenPipe" not in done.stderr


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("broken.py", b"def f(:\n"),
        ("undecodable.py", b"x = '\xff'\n"),
        ("nul.py", b"x = 1\0\n"),
        ("broken.ipynb", b"{"),
    ],
)
def test_a_broken_file_is_told_of_even_when_it_has_nothing_to_do_with_lightning(
    tmp_path: Path, name: str, data: bytes
) -> None:
    (tmp_path / name).write_bytes(data)
    (tmp_path / "model.py").write_text(
        "import pytorch_lightning as pl\n\n\nclass M(pl.LightningModule):\n"
        "    def validation_epoch_end(self, outputs):\n        pass\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "lintmetrics", "check", "--output-format", "concise", "."],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "LM201" in done.stdout
    (told,) = (line for line in done.stderr.splitlines() if name in line)
    assert "error:" in told
