"""The catalogue of what is known: each row is found, fixed, quiet or left out as it says."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from lintmetrics import packs

SCRIPT = Path(__file__).parent.parent / "benchmarks" / "catalogue.py"


@pytest.fixture(scope="module")
def catalogue() -> ModuleType:
    """The benchmark as a module."""
    spec = importlib.util.spec_from_file_location("catalogue", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["catalogue"] = module  # Its dataclass is looked up there.
    spec.loader.exec_module(module)
    return module


def test_every_row_that_is_found_or_quiet_is_so(catalogue: ModuleType, tmp_path: Path) -> None:
    # How often, and with which fix, is for the script, which is run for each release.
    checker = catalogue.Checker(tmp_path)
    wrong = []
    for row in catalogue.rows():
        if row.status != "left out":
            codes = {item.code for item in checker.found(row)}
            if not codes >= set(row.expected) or (row.status == "quiet" and codes):
                wrong.append((row.name, row.codes, sorted(codes)))
    assert wrong == []


def test_what_has_a_fix_is_fixed(catalogue: ModuleType, tmp_path: Path) -> None:
    # All of them are fixed by the script itself; here a few of each area.
    checker = catalogue.Checker(tmp_path)
    fixed = [row for row in catalogue.rows() if row.status in ("fix", "partly")][::12]
    lines = [line for row in fixed for line in catalogue.errors(row, checker)]
    assert [line for line in lines if "is left when it has been fixed" in line] == []


def test_no_row_stands_there_twice(catalogue: ModuleType) -> None:
    names = [row.name for row in catalogue.rows()]
    assert sorted({name for name in names if names.count(name) > 1}) == []


def test_every_code_is_that_of_a_rule(catalogue: ModuleType) -> None:
    named = {code for row in catalogue.rows() for code in row.expected}
    assert named - set(packs.rules()) == set()


def test_a_row_that_is_not_so_is_told(catalogue: ModuleType, tmp_path: Path) -> None:
    checker = catalogue.Checker(tmp_path)

    def told(status: str, codes: str, snippet: str, reason: str = "") -> list[str]:
        row = catalogue.Row("log", "1", "x", status, codes, "", snippet, reason)
        return list(catalogue.errors(row, checker))

    old = "pl.Trainer(gpus=1)"
    assert told("fix", "LM501", old) == []
    assert told("fix", "LM501*2", old) == ["log 1: x: LM501*2 is said, LM501 found"]
    assert told("manual", "LM501", old) == ["log 1: x: is said to be 'manual' and is 'fix'"]
    assert told("fix", "LM501", "pl.Trainer()") == ["log 1: x: LM501 is said, nothing found"]
    assert told("quiet", "", old) == ["log 1: x: nothing is said, LM501 found"]
    assert told("left out", "", "") == ["log 1: x: is left out without a reason"]
    assert told("left out", "", old, "so") == ["log 1: x: is left out, and LM501 finds it"]
    assert told("done", "", "") == ["log 1: x: no status is called 'done'"]
