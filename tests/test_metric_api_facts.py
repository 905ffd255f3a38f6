"""The tables about old metrics agree with each other."""

from __future__ import annotations

import re

import pytest

from lintmetrics import facts

MOVES = list(facts.moves().values())


def current(name: str, kind: str) -> facts.Signature | None:
    found = facts.signatures("torchmetrics", name, kind)
    return found[-1] if found and found[-1].last.startswith("1.") else None


# Table: its key, and its other columns. What the reader does not know is not there.
TABLES = {
    "moves": (("old",), "kind first last status new remark source"),
    "gone_modules": (("old",), "first last new source"),
    "signatures": (("library", "name", "kind", "first"), "last parameters update source"),
    "metric_introductions": (("name", "kind"), "since source"),
    "argument_changes": (("metric", "argument"), "until action new values text source"),
    "update_arguments": (("metric", "argument"), "until new relation text source"),
    "shifted_arguments": (("metric", "position"), "literal old until fixable effect text source"),
    "ignored_arguments": (("task", "metric", "argument"), "harmless until source"),
    "value_changes": (("metric", "condition"), "relation since text source"),
    "known_faults": (("metric", "kind"), "unless fault help source"),
    "container_names": (("container", "name"), "source"),
    "metric_answers": (("name",), "answer source"),
    "metric_decomposability": (
        ("qualified_name", "variant"),
        "family decomposable weight condition_notes modular_equivalent is_primary "
        "also_at_torchmetrics_functional_root needs_task higher_is_better source",
    ),
}
VERSION = re.compile(r"(?:(?:pl[- ]|tm-)?\d+(?:\.\d+){1,2}|none)")


@pytest.mark.parametrize("table", TABLES)
def test_a_table_has_the_columns_that_its_reader_knows(table: str) -> None:
    key, others = TABLES[table]
    for row in facts.rows(table):
        assert set(row) == {*key, *others.split()}
        assert None not in row.values()


@pytest.mark.parametrize("table", TABLES)
def test_a_table_says_each_thing_once(table: str) -> None:
    keys = [tuple(row[column] for column in TABLES[table][0]) for row in facts.rows(table)]
    assert sorted({key for key in keys if keys.count(key) > 1}) == []


@pytest.mark.parametrize("table", TABLES)
def test_every_row_names_its_versions_and_its_source(table: str) -> None:
    dated = [c for c in ("first", "last", "until", "since") if c in facts.rows(table)[0]]
    for row in facts.rows(table):
        assert row["source"], row
        for column in dated:
            assert VERSION.fullmatch(row[column]), row
        # Where no column holds a version, the source does; the script names what it looks at.
        assert dated or re.search(r"\d\.\d", row["source"]), row


def test_no_successor_has_moved_itself() -> None:
    moved = facts.moves()
    again = [m.old for m in MOVES if m.new in moved and moved[m.new].status != "deprecated"]
    assert again == []


def test_no_successor_lives_in_a_module_that_is_gone() -> None:
    gone = facts.gone_modules()
    assert [m.old for m in MOVES if m.new and m.new.rpartition(".")[0] in gone] == []


def test_every_module_that_is_gone_is_followed_by_one_that_is_not() -> None:
    gone = facts.gone_modules()
    assert [old for old, new in gone.items() if new in gone] == []


@pytest.mark.parametrize(
    "row", facts.rows("argument_changes"), ids=lambda r: "-".join(r.values())[:40]
)
def test_an_argument_that_is_renamed_gets_a_name_that_exists(row: dict[str, str]) -> None:
    assert row["action"] in ("drop", "rename", "keep", "decide")
    if row["action"] != "rename" or row["metric"] == "*":
        return
    kind = "class" if row["metric"][:1].isupper() else "function"
    signature = current(row["metric"], kind)
    if signature is not None:
        assert row["new"] in signature.names
        assert row["argument"] not in signature.names


def test_every_change_of_a_number_names_a_metric_of_today_and_a_relation() -> None:
    for change in facts.value_changes():
        assert change.relation in ("corrects", "assumes", "blocked")
        assert current(change.metric, "class") is not None, change.metric


def test_every_shifted_argument_has_another_name_today() -> None:
    for row in facts.rows("shifted_arguments"):
        for shifted in facts.shifted_arguments(row["metric"]):
            kind = "class" if shifted.metric[:1].isupper() else "function"
            signature = current(shifted.metric, kind)
            assert signature is not None
            assert signature.names[shifted.position] != shifted.old
            assert not shifted.fixable or shifted.old in signature.names or shifted.until != "none"


def test_a_signature_is_split_at_commas_that_are_not_inside_a_default() -> None:
    (old, *_) = facts.signatures("torchmetrics", "SSIM", "class")
    assert old.names[:4] == ("kernel_size", "sigma", "reduction", "data_range")
    assert old.parameters[0].default == "(11, 11)"


def test_a_function_is_known_at_the_functional_root_too() -> None:
    rows = facts.decomposability("torchmetrics.functional.f1_score")
    assert rows
    assert rows[0].is_primary
    assert rows[0].needs_task
    assert facts.decomposability("torchmetrics.functional.no_such_metric") == []
