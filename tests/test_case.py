"""A case is read strictly: what it says wrongly is told of, with where and how to mend it."""

from __future__ import annotations

from pathlib import Path

import pytest

from lintmetrics.verify.case import CaseError, KeyClaim, Tolerance, read_case

GOOD = """
about = "F1 of each batch, averaged"
reference = "1.9.5"
fix = ["--style", "torchmetrics"]
capture = "net"
devices = ["cpu", "cuda"]
processes = [1, 2]
timeout = 60
device-tolerance = { relative = 1e-4, reason = "another order of sums" }
process-tolerance = { absolute = 1e-6, reason = "another order of sums" }
changed-weights = "early stopping watches a corrected number"

[keys.val_f1]
relation = "corrects"
oracle = "val_f1"
before = "f1"
tolerance = { absolute = 1e-6, reason = "float32" }

[keys."val/loss 😀"]
relation = "preserves"

[keys.extra]
relation = "new"
reason = "asked for"

[keys.old]
relation = "dropped"
reason = "a duplicate"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "averaged_f1"
    folder.mkdir()
    for name in ("before.py", "after.py", "oracle.py"):
        (folder / name).write_text("")
    (folder / "case.toml").write_text(GOOD, encoding="utf-8")
    return folder


def test_everything_that_a_case_says_is_read(folder: Path) -> None:
    case = read_case(folder)
    assert (case.name, case.reference, case.capture) == ("averaged_f1", "1.9.5", "net")
    assert (case.fix, case.devices) == (("--style", "torchmetrics"), ("cpu", "cuda"))
    assert (case.processes, case.timeout) == ((1, 2), 60.0)
    assert case.device_tolerance == Tolerance(0.0, 1e-4, "another order of sums")
    assert case.changed_weights.startswith("early stopping")
    assert case.keys["val_f1"] == KeyClaim(
        "val_f1", "f1", "corrects", "val_f1", tolerance=Tolerance(1e-6, 0.0, "float32")
    )
    assert list(case.keys) == ["val_f1", "val/loss 😀", "extra", "old"]


def test_little_is_enough(folder: Path) -> None:
    (folder / "case.toml").write_text('reference = "1.4.9"\n[keys.a]\nrelation = "preserves"')
    (folder / "oracle.py").unlink()
    case = read_case(folder)
    assert case.keys == {"a": KeyClaim("a", "a", "preserves")}
    assert (case.devices, case.processes, case.timeout) == (("cpu",), (1,), 300.0)


HEAD = 'reference = "1.9.5"\n'
KEY = '[keys.a]\nrelation = "preserves"\n'


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("reference = ", "cannot be read"),
        (KEY, "reference is missing"),
        ('refrence = "1.9.5"\n' + KEY, "refrence is no setting of a case; did you mean reference"),
        ("reference = 1.9\n" + KEY, "reference is 1.9; it must be a text"),
        (HEAD, "keys is empty"),
        (HEAD + "keys = 3", "keys is 3; it must be a table"),
        (HEAD + "keys = { a = 1 }", r"write a table \[keys.a\]"),
        (HEAD + "[keys.a]", r"\[keys.a\] relation is missing"),
        (HEAD + '[keys.a]\nrelation = "keeps"', "one of preserves, corrects, new, dropped"),
        (HEAD + '[keys.a]\nrelation = "corrects"', "oracle is missing"),
        (HEAD + '[keys.a]\nrelation = "new"', "say why the key is new"),
        (HEAD + '[keys.a]\nrelation = "dropped"', "say why the key is dropped"),
        (HEAD + '[keys.a]\nrelation = "new"\nreason = "r"\nbefore = "b"', "before names what"),
        (HEAD + KEY + 'oracle = "a b"', "the name of a function"),
        (HEAD + KEY + 'stage = "val"', "one of train, validate"),
        (HEAD + KEY + "dataloader = -1", "a whole number from 0"),
        (HEAD + KEY + "dataloader = true", "a whole number from 0"),
        (HEAD + KEY + "tolerence = 1", "did you mean tolerance"),
        (HEAD + KEY + "tolerance = 1e-6", "tolerance is 1e-06; it must be a table"),
        (HEAD + KEY + "tolerance = { absolute = 1e-6 }", "tolerance: reason is missing"),
        (HEAD + KEY + 'tolerance = { absolute = 1, reason = " " }', "one line of text"),
        (HEAD + KEY + 'tolerance = { absolute = nan, reason = "r" }', "a finite number from 0"),
        (HEAD + KEY + 'tolerance = { relative = inf, reason = "r" }', "a finite number from 0"),
        (HEAD + KEY + 'tolerance = { absolute = -1, reason = "r" }', "a finite number from 0"),
        (HEAD + KEY + 'tolerance = { abs = 1, reason = "r" }', "abs is no setting"),
        (HEAD + KEY + '[keys.b]\nrelation = "preserves"\nbefore = "a"', "both 'a' and 'b'"),
        (HEAD + "timeout = 0\n" + KEY, "above zero"),
        (HEAD + "timeout = true\n" + KEY, "a number"),
        (HEAD + "devices = []\n" + KEY, "devices is empty"),
        (HEAD + 'devices = "cpu"\n' + KEY, "a list of texts"),
        (HEAD + "processes = [2]\n" + KEY, "processes lacks 1"),
        (HEAD + "processes = [1, 1]\n" + KEY, "different whole numbers"),
        (HEAD + "processes = [0, 1]\n" + KEY, "different whole numbers"),
        (HEAD + "fix = [1]\n" + KEY, "a list of texts"),
        (HEAD + 'about = "two\\nlines"\n' + KEY, "one line of text"),
    ],
)
def test_what_is_wrong_is_told_of(folder: Path, text: str, told: str) -> None:
    (folder / "case.toml").write_text(text)
    with pytest.raises(CaseError, match=told) as caught:
        read_case(folder)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["before.py", "after.py", "case.toml", "oracle.py"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(CaseError, match=name):
        read_case(folder)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CaseError, match="nowhere"):
        read_case(tmp_path / "nowhere")
