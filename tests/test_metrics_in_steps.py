"""Metric objects that steps make, and what their ``update`` answers."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent, indent

import projects
import pytest

from lintmetrics.diagnostics import Diagnostic

# Objects that steps make --------------------------------------------------------------------------

MODULE = """\
import torch
import torchmetrics
import lightning.pytorch as pl
from torchmetrics import Accuracy, F1Score, MeanMetric, MetricCollection


class M(pl.LightningModule):
    def __init__(self, net, classes=3):
        super().__init__()
        self.net = net
        self.classes = classes
        self.kept = MeanMetric()

"""


def steps(tmp_path: Path, body: str) -> list[Diagnostic]:
    text = MODULE + indent(dedent(body).strip("\n"), "    ") + "\n"
    (tmp_path / "model.py").write_text(text, encoding="utf-8")
    report = projects.check(tmp_path, "LM102", "LM103", "LM321")
    assert not report.failures, report.failures
    return report.diagnostics


LOGGED = """
def validation_step(self, batch, batch_idx):
    x, y = batch
    f1 = F1Score(task="multiclass", num_classes=self.classes, average="macro").to(self.device)
    f1.update(self.net(x), y)
    self.log("val_f1", f1)
"""


def test_a_local_object_that_is_logged_is_found(tmp_path: Path) -> None:
    assert [d.code for d in steps(tmp_path, LOGGED)] == ["LM321"]


KEPT = {
    "an attribute": LOGGED.replace("f1.update", "self.kept.update").replace(
        ", f1)", ", self.kept)"
    ),
    "an alias of an attribute": LOGGED.replace(
        "f1 = F1Score", "f1 = self.kept\nother = F1Score"
    ).replace("\nother", "\n    other"),
    "its value, of a mean": LOGGED.replace("F1Score", "Accuracy")
    .replace(', average="macro"', ', average="micro"')
    .replace('log("val_f1", f1)', 'log("loss", f1.compute())'),
    "made elsewhere": LOGGED.replace("f1 = F1Score", "f1 = make"),
    "found by name": LOGGED.replace(", f1)", ', f1, metric_attribute="f1")'),
    "also an attribute": LOGGED.replace("    self.log", "    self.f1 = f1\n    self.log"),
    "registered": LOGGED.replace("    self.log", '    self.add_module("f1", f1)\n    self.log'),
    "handed in": (
        "def validation_step(self, batch, batch_idx):\n"
        "    self.show(MeanMetric)\n\ndef show(self, metric):\n"
        "    self.log('a', metric)"
    ),
}


@pytest.mark.parametrize("body", KEPT.values(), ids=KEPT)
def test_objects_of_the_module_are_quiet(body: str, tmp_path: Path) -> None:
    assert "LM321" not in [d.code for d in steps(tmp_path, body)]


CALLED = LOGGED.replace("    f1.update(self.net(x), y)\n", "").replace(
    ", f1)", ", f1(self.net(x), y))"
)
MADE = {
    "logged": (
        LOGGED,
        '        self.val_f1.update(self.net(x), y)\n        self.log("val_f1", self.val_f1)\n',
    ),
    "called": (
        CALLED,
        '        self.val_f1(self.net(x), y)\n        self.log("val_f1", self.val_f1)\n',
    ),
    "computed": (
        LOGGED.replace(", f1)", ", f1.compute())"),
        '        self.val_f1.update(self.net(x), y)\n        self.log("val_f1", self.val_f1)\n',
    ),
    "in one expression": (
        (
            "def validation_step(self, batch, batch_idx):\n"
            "    x, y = batch\n"
            '    self.log("auc", torchmetrics.AUROC(task="binary")(self.net(x), y))'
        ),
        '        self.val_auc(self.net(x), y)\n        self.log("auc", self.val_auc)\n',
    ),
    "named first": (
        CALLED.replace(
            'self.log("val_f1", f1(self.net(x), y))',
            'score = f1(self.net(x), y)\n    self.log("val_f1", score)\n    return score',
        ),
        (
            "        score = self.val_f1(self.net(x), y)\n"
            '        self.log("val_f1", self.val_f1)\n'
            "        return score\n"
        ),
    ),
}


@pytest.mark.parametrize(("body", "wanted"), MADE.values(), ids=MADE)
def test_the_module_keeps_the_object(body: str, wanted: str, tmp_path: Path) -> None:
    steps(tmp_path, body)
    report = projects.fix(tmp_path, "LM102", "LM103", "LM321")
    assert not report.failed
    assert report.diagnostics == []
    text = (tmp_path / "model.py").read_text(encoding="utf-8")
    assert wanted in text
    assert "self.val_" in text.partition("def validation_step")[0]
    assert ".to(" not in text


LEFT = {
    "a size of the batch": LOGGED.replace("self.classes", "y.max() + 1"),
    "in two loops": LOGGED.replace("validation_step", "_step")
    + (
        "\ndef training_step(self, b, i):\n    self._step(b, i)\n\n"
        "def validation_step(self, b, i):\n    self._step(b, i)"
    ),
    "several loaders": LOGGED.replace("batch_idx)", "batch_idx, dataloader_idx)"),
    "in a loop": LOGGED.replace("    self.log", "    for _ in range(2):\n        self.log"),
    "under a condition": LOGGED.replace("    f1 = ", "    if batch_idx:\n        f1 = "),
    "reset in between": LOGGED.replace("    self.log", "    f1.reset()\n    self.log"),
    "a key that is not known": LOGGED.replace('"val_f1"', 'f"{batch_idx}"'),
}


@pytest.mark.parametrize("body", LEFT.values(), ids=LEFT)
def test_an_object_that_one_attribute_cannot_stand_for_is_left(body: str, tmp_path: Path) -> None:
    for diagnostic in steps(tmp_path, body):
        assert diagnostic.fix is None, diagnostic.fix
        assert diagnostic.blocked


# What update answers ------------------------------------------------------------------------------

ANSWERS = {
    "logged": (True, 'self.log("a", self.kept.update(batch))'),
    "logged by name": (True, 'self.log("a", value=self.kept.update(batch))'),
    "named and logged": (True, 'value = self.kept.update(batch)\nself.log("a", value)'),
    "reckoned with": (True, "return self.kept.update(batch) * 2"),
    "its item": (True, "return self.kept.update(batch).item()"),
    "not used": (False, "self.kept.update(batch)"),
    "named in vain": (False, "value = self.kept.update(batch)"),
    "returned": (False, "return self.kept.update(batch)"),
    "called": (False, 'self.log("a", self.kept(batch))'),
    "asked for": (False, "value = self.kept.update(batch)\nif value is None:\n    pass"),
    "of a dict": (False, "self.hparams.update(lr=1)"),
    "set anew": (False, "value = self.kept.update(batch)\nvalue = 2\nself.log('a', value)"),
}


@pytest.mark.parametrize(("is_used", "body"), ANSWERS.values(), ids=ANSWERS)
def test_the_answer_of_update_is_none(is_used: bool, body: str, tmp_path: Path) -> None:
    text = MODULE + "    def validation_step(self, batch, batch_idx):\n" + indent(body, " " * 8)
    (tmp_path / "model.py").write_text(text + "\n", encoding="utf-8")
    report = projects.check(tmp_path, "LM323")
    assert not report.failures, report.failures
    assert [d.code for d in report.diagnostics] == ["LM323"] * is_used
