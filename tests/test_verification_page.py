"""The page of what was verified speaks of the cases, mutations and examples that there are."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from lintmetrics.verify.mutation import read_mutations

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "verification.md"


@pytest.fixture(scope="module")
def writer() -> ModuleType:
    """The script that writes the page."""
    path = ROOT / "benchmarks" / "verification.py"
    spec = importlib.util.spec_from_file_location("verification", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _names(block: str) -> list[str]:
    """Return what stands in the first cells of a table."""
    cells = re.findall(r"^\| (.+?) \|", block, re.MULTILINE)[2:]
    return [cell.replace("\\", "") for cell in cells]


def test_the_prose_is_that_of_the_template(writer: ModuleType) -> None:
    page = PAGE.read_text(encoding="utf-8")
    template = writer.TEMPLATE.read_text(encoding="utf-8")
    assert writer.filled(template, writer.blocks(page)) == page
    assert set(writer.blocks(page)) == set(writer.TABLES)


def test_every_case_is_on_the_page(writer: ModuleType) -> None:
    tables = writer.blocks(PAGE.read_text(encoding="utf-8"))
    names = sorted(path.parent.name for path in (ROOT / "fixtures").glob("*/case.toml"))
    again = "python benchmarks/verification.py --only cases --row NAME writes the row of one case"
    assert _names(tables["cases"]) == names, again


def test_every_mutation_is_on_the_page_and_refused(writer: ModuleType) -> None:
    table = writer.blocks(PAGE.read_text(encoding="utf-8"))["mutations"]
    known = read_mutations(ROOT / "fixtures" / "mutations.toml")
    assert _names(table) == [mutation.name for mutation in known]
    assert f"{len(known)} of {len(known)} are refused" in table


def test_every_example_is_on_the_page(writer: ModuleType) -> None:
    block = writer.blocks(PAGE.read_text(encoding="utf-8"))["examples"]
    titles = re.findall(r"^### (.+)$", block, re.MULTILINE)
    assert titles == [example.title for example in writer.read_examples()]
    assert len(titles) >= 5


def test_a_row_can_be_run_again_and_the_others_stay(writer: ModuleType) -> None:
    head = ("case", "verdict")
    rows = writer.Rows(head, "", ["a_b", "c"], [])
    rows.put("a_b", "x|y")
    rows.put("c", "same")
    again = writer.Rows(head, str(rows), ["a_b", "c", "d"], ["c"])
    assert again.todo == ["c"]
    assert again.column("verdict") == ["x|y"]
    again.put("c", "wrong")
    assert again.column("verdict") == ["x|y", "wrong"]
    assert writer.Rows(head, str(again), ["c"], ["d"]).column("case") == ["c"]


def test_an_edit_that_does_not_fit_is_an_error(writer: ModuleType) -> None:
    edit = writer.Edit("b", "for a reason", text="a")
    assert edit.made("xax") == "xbx"
    assert writer.Edit("b", "for a reason", after="a").made("xacd") == "xab"
    for text in ("x", "aa"):
        with pytest.raises(ValueError, match="times"):
            edit.made(text)
