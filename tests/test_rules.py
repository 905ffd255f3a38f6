"""What must hold for every rule and every codemod there is."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import projects
import pytest

from lintmetrics import packs
from lintmetrics.rule import Rule

RULES = list(packs.rules().values())
FIXABLE = [rule for rule in RULES if rule.code in packs.codemods()]


def _name(rule: Rule) -> str:
    return rule.name


def _style(rule: Rule) -> str:
    return rule.style or "auto"


@pytest.mark.parametrize("rule", RULES, ids=_name)
def test_the_bad_example_is_found(rule: Rule, tmp_path: Path) -> None:
    projects.written(tmp_path, {"model.py": rule.bad})
    assert rule.code in projects.codes(projects.check(tmp_path, style=_style(rule)))


@pytest.mark.parametrize("rule", RULES, ids=_name)
def test_the_good_example_is_quiet_under_every_rule(rule: Rule, tmp_path: Path) -> None:
    projects.written(tmp_path, {"model.py": rule.good})
    report = projects.check(tmp_path, style=_style(rule))
    assert [d.message for d in report.diagnostics] == []
    assert report.failures == []


@pytest.mark.parametrize("rule", RULES, ids=_name)
def test_a_rule_says_what_it_must(rule: Rule) -> None:
    assert rule.code.startswith("LM")
    assert len(rule.code) == 5
    assert rule.code[2:].isdigit()
    assert rule.summary
    assert not rule.summary.endswith(".")
    assert len((type(rule).__doc__ or "").strip().splitlines()) > 2, "the docstring gives no why"
    assert rule.source
    module = sys.modules[type(rule).__module__]
    assert Path(str(module.__file__)).stem == rule.name.replace("-", "_")


@pytest.mark.parametrize("rule", RULES, ids=_name)
def test_every_finding_has_a_fix_or_says_what_blocks_it(rule: Rule, tmp_path: Path) -> None:
    projects.written(tmp_path, {"model.py": rule.bad})
    for diagnostic in projects.check(tmp_path, style=_style(rule)).diagnostics:
        assert (diagnostic.fix is None) == bool(diagnostic.blocked)
        assert not diagnostic.message.endswith(".")


@pytest.mark.parametrize("rule", FIXABLE, ids=_name)
def test_a_fix_removes_its_finding_and_a_second_run_is_idle(rule: Rule, tmp_path: Path) -> None:
    projects.written(tmp_path, {"model.py": rule.bad})
    before = projects.check(tmp_path, style=_style(rule))
    report = projects.fix(tmp_path, style=_style(rule))
    assert not report.failed
    if any(d.fix for d in before.diagnostics if d.code == rule.code):
        text = (tmp_path / "model.py").read_text(encoding="utf-8")
        ast.parse(text)
        assert text != dedent(rule.bad)
        left = [d for d in report.diagnostics if d.code == rule.code and d.fix]
        assert left == []
    again = projects.fix(tmp_path, style=_style(rule))
    assert again.after == {}


@pytest.mark.parametrize("ending", ["\r\n", "\r"], ids=["CRLF", "CR"])
@pytest.mark.parametrize("rule", FIXABLE, ids=_name)
def test_line_endings_survive_a_fix(rule: Rule, ending: str, tmp_path: Path) -> None:
    projects.written(tmp_path, {"plain.py": rule.bad})
    converted = dedent(rule.bad).replace("\n", ending).encode()
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "plain.py").write_bytes(converted)
    projects.fix(tmp_path, style=_style(rule))
    plain = (tmp_path / "plain.py").read_bytes()
    odd = (tmp_path / "odd" / "plain.py").read_bytes()
    assert odd == plain.replace(b"\n", ending.encode())


@pytest.mark.parametrize("rule", FIXABLE, ids=_name)
def test_tabs_survive_a_fix(rule: Rule, tmp_path: Path) -> None:
    tabbed = "\n".join(
        "\t" * ((len(line) - len(line.lstrip(" "))) // 4) + line.lstrip(" ")
        for line in dedent(rule.bad).split("\n")
    )
    projects.written(tmp_path, {"model.py": tabbed})
    projects.fix(tmp_path, style=_style(rule))
    text = (tmp_path / "model.py").read_text(encoding="utf-8")
    ast.parse(text)


@pytest.fixture(scope="module")
def all_bad(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("all")
    for rule in RULES:
        for copy in range(3):
            projects.written(folder, {f"part{copy}/{rule.name.replace('-', '_')}.py": rule.bad})
    return folder


def _run(folder: Path, *arguments: str, seed: str = "0") -> str:
    done = subprocess.run(
        [sys.executable, "-m", "lintmetrics", *arguments, "."],
        cwd=folder,
        env={**os.environ, "PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    return done.stdout


def test_output_is_the_same_for_any_number_of_workers(all_bad: Path) -> None:
    one = _run(all_bad, "check", "--isolated", "--output-format", "json", "-j1")
    assert one == _run(all_bad, "check", "--isolated", "--output-format", "json", "-j4")


def test_output_is_the_same_for_any_hash_seed(all_bad: Path) -> None:
    fix = ("fix", "--isolated", "--unsafe-fixes")
    # One worker is enough to tell, and takes less; with several it is the same output too.
    outputs = {_run(all_bad, *fix, "-j1", seed=s) for s in "012"} | {_run(all_bad, *fix, seed="3")}
    assert len(outputs) == 1


def test_git_apply_takes_the_diff(all_bad: Path, tmp_path: Path) -> None:
    import shutil

    tree = tmp_path / "tree"
    shutil.copytree(all_bad, tree)
    subprocess.run(["git", "init", "-q"], cwd=tree, check=True)
    patch = _run(tree, "fix", "--isolated", "--unsafe-fixes")
    done = subprocess.run(
        ["git", "apply", "-"], cwd=tree, input=patch, text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    other = tmp_path / "other"
    shutil.copytree(all_bad, other)
    projects.fix(other)
    for path in sorted(other.rglob("*.py")):
        assert path.read_bytes() == (tree / path.relative_to(other)).read_bytes()


def test_the_gate_hides_no_finding(all_bad: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lintmetrics import gate

    gated = projects.check(all_bad)
    monkeypatch.setattr(gate, "is_interesting", lambda data: True)
    monkeypatch.setattr(gate, "names_a_library", lambda data: True)
    everything = projects.check(all_bad)
    assert [d.sort_key for d in gated.diagnostics] == [d.sort_key for d in everything.diagnostics]
