"""Hooks that are set on a class or an instance from outside its class statement."""

from __future__ import annotations

import json
from pathlib import Path
from textwrap import dedent

import projects
import pytest

HEAD = """\
import types
import pytorch_lightning as pl
import torch


class Model(pl.LightningModule):
    def validation_step(self, batch, batch_idx):
        return self(batch).mean()


def report(self, outputs):
    self.log("spread", torch.stack(outputs).std())


def tick(self, outputs):
    self.epochs_seen += 1


"""


def found(tmp_path: Path, text: str) -> list[str]:
    (tmp_path / "model.py").write_text(HEAD + dedent(text), encoding="utf-8")
    return projects.codes(projects.check(tmp_path, "LM201", "LM209"))


@pytest.mark.parametrize(
    "text",
    [
        "Model.validation_epoch_end = report",
        'setattr(Model, "training_epoch_end", report)',
        "model = Model()\nmodel.validation_epoch_end = types.MethodType(report, model)",
        "model = Model()\nmodel.test_epoch_end = report.__get__(model)",
        "model = Model()\nmodel.validation_epoch_end = lambda outputs: None",
        "def ending(cls):\n    cls.validation_epoch_end = report\n    return cls\n",
        "def run(model):\n    model.test_epoch_end = types.MethodType(report, model)\n",
    ],
)
def test_a_hook_set_from_outside_is_found(tmp_path: Path, text: str) -> None:
    assert found(tmp_path, text) == ["LM209"]


def test_a_hook_that_a_module_sets_on_itself_is_found(tmp_path: Path) -> None:
    text = """
    class Late(pl.LightningModule):
        def setup(self, stage):
            self.validation_epoch_end = self.finish

        def finish(self, outputs):
            pass
    """
    assert found(tmp_path, text) == ["LM209"]


@pytest.mark.parametrize(
    "text",
    [
        "model = Model()\nmodel.validation_epoch_end = None",
        "class Loop:\n    pass\n\n\nLoop.validation_epoch_end = report",
        "class Loop:\n    def __init__(self, f):\n        self.validation_epoch_end = f\n",
        "class Loop:\n    pass\n\n\nloop = Loop()\nloop.validation_epoch_end = report",
        "Model.validation_epochs_end = report",
    ],
)
def test_what_lightning_never_asks_for_is_left_alone(tmp_path: Path, text: str) -> None:
    assert found(tmp_path, text) == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("Model.validation_epoch_end = tick", "Model.on_validation_epoch_end = tick"),
        (
            'setattr(Model, "training_epoch_end", tick)',
            'setattr(Model, "on_train_epoch_end", tick)',
        ),
        (
            "model = Model()\nmodel.test_epoch_end = types.MethodType(tick, model)",
            "model = Model()\nmodel.on_test_epoch_end = types.MethodType(tick, model)",
        ),
    ],
)
def test_a_function_that_reads_no_outputs_keeps_running(
    tmp_path: Path, before: str, after: str
) -> None:
    path = tmp_path / "model.py"
    path.write_text(HEAD + before + "\n", encoding="utf-8")
    report = projects.fix(tmp_path, "LM201", "LM209")
    assert not report.failures
    wanted = HEAD.replace("def tick(self, outputs)", "def tick(self)") + after + "\n"
    assert path.read_text(encoding="utf-8") == wanted


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Model.validation_epoch_end = report", "report at line 11 reads `outputs`"),
        ("Model.validation_epoch_end = tick\ntick(Model(), [])", "is used elsewhere as well"),
        (
            "Model.validation_epoch_end = tick\nModel.test_epoch_end = tick",
            "is used elsewhere as well",
        ),
        ("Model.validation_epoch_end = make()", "cannot be read"),
    ],
)
def test_a_hook_that_cannot_be_renamed_says_why(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "model.py").write_text(HEAD + text, encoding="utf-8")
    for finding in projects.check(tmp_path, "LM209").diagnostics:
        assert finding.fix is None
        assert reason in finding.blocked


def test_a_class_is_not_migrated_while_its_hook_is_replaced_outside(tmp_path: Path) -> None:
    text = """
    class Own(pl.LightningModule):
        def validation_step(self, batch, batch_idx):
            return self(batch).mean()

        def validation_epoch_end(self, outputs):
            self.log("spread", torch.stack(outputs).std())


    Own.validation_epoch_end = report
    """
    (tmp_path / "model.py").write_text(HEAD + dedent(text), encoding="utf-8")
    findings = projects.check(tmp_path, "LM201", "LM209").diagnostics
    assert projects.codes(projects.check(tmp_path, "LM201", "LM209")) == ["LM201", "LM209"]
    assert all(finding.fix is None for finding in findings)
    assert "make that a method first" in findings[0].blocked


def test_a_hook_of_another_class_set_outside_stops_nothing(tmp_path: Path) -> None:
    text = """
    class Own(pl.LightningModule):
        def validation_step(self, batch, batch_idx):
            return self(batch).mean()

        def validation_epoch_end(self, outputs):
            self.log("spread", torch.stack(outputs).std())


    Model.validation_epoch_end = report
    """
    (tmp_path / "model.py").write_text(HEAD + dedent(text), encoding="utf-8")
    findings = projects.check(tmp_path, "LM201").diagnostics
    assert [finding.fix is not None for finding in findings] == [True]


def test_a_cell_that_sets_a_hook_is_mended(tmp_path: Path) -> None:
    cells = [HEAD, "Model.validation_epoch_end = tick"]
    book = {
        "cells": [
            {
                "cell_type": "code",
                "execution_count": None,
                "metadata": {},
                "outputs": [],
                "source": cell.splitlines(keepends=True),
            }
            for cell in cells
        ],
        "metadata": {},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    path = tmp_path / "book.ipynb"
    path.write_text(json.dumps(book, indent=1), encoding="utf-8")
    assert projects.codes(projects.check(tmp_path, "LM209")) == ["LM209"]
    projects.fix(tmp_path, "LM209")
    done = json.loads(path.read_text(encoding="utf-8"))
    assert done["cells"][1]["source"] == ["Model.on_validation_epoch_end = tick"]
    assert "def tick(self):\n" in done["cells"][0]["source"]
