"""Step values that nobody would see, and best values that each epoch forgets."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent, indent

import projects
import pytest

from lintmetrics.diagnostics import Diagnostic

HEAD = """\
import torch
import pytorch_lightning as pl
from torch import nn
from torchmetrics import Accuracy, MaxMetric, MetricCollection, MinMetric


class M(pl.LightningModule):
    def __init__(self, net):
        super().__init__()
        self.net = net
        self.acc = Accuracy(task="binary")
        self.all = MetricCollection([Accuracy(task="binary")])
        self.best = MaxMetric()

"""


def found(tmp_path: Path, body: str, code: str) -> list[Diagnostic]:
    text = HEAD + indent(dedent(body).strip("\n"), "    ") + "\n"
    (tmp_path / "model.py").write_text(text, encoding="utf-8")
    report = projects.check(tmp_path, code)
    assert not report.failures, report.failures
    return report.diagnostics


def fixed(tmp_path: Path, body: str, code: str) -> str:
    assert found(tmp_path, body, code)
    report = projects.fix(tmp_path, code)
    assert report.diagnostics == []
    text = (tmp_path / "model.py").read_text(encoding="utf-8")
    compile(text, "model.py", "exec")
    return text


STEP = """
def training_step(self, batch, batch_idx):
    x, y = batch
    p = self.net(x)
    self.acc.update(p, y)
    self.log("acc", self.acc)
    return p.mean()
"""
UNSEEN = {
    "default levels": STEP,
    "on_step": STEP.replace("self.acc)", "self.acc, on_step=True, on_epoch=False)"),
    "both levels": STEP.replace("self.acc)", "self.acc, on_epoch=True)"),
    "a dict": STEP.replace('self.log("acc", self.acc)', 'self.log_dict({"acc": self.acc})'),
    "a collection": STEP.replace("self.acc.update", "self.all.update").replace(
        'self.log("acc", self.acc)', "self.log_dict(self.all)"
    ),
    "validation, steps only": STEP.replace("training", "validation").replace(
        "self.acc)", "self.acc, on_step=True, on_epoch=False)"
    ),
    "behind the batch": STEP.replace(
        "training_step(self, batch, batch_idx)",
        "on_train_batch_end(self, outputs, batch, batch_idx)",
    ),
}


@pytest.mark.parametrize("body", UNSEEN.values(), ids=UNSEEN)
def test_a_step_value_of_an_update_is_found(body: str, tmp_path: Path) -> None:
    assert [d.code for d in found(tmp_path, body, "LM109")] == ["LM109"]


SEEN = {
    "called": STEP.replace("self.acc.update(", "self.acc("),
    "called by name": STEP.replace("self.acc.update(", "self.acc.forward("),
    "called as well": STEP.replace("    self.acc.update(p, y)", "    self.acc(p, y)\n    pass"),
    "epochs only": STEP.replace("self.acc)", "self.acc, on_step=False, on_epoch=True)"),
    "validation": STEP.replace("training", "validation"),
    "levels unknown": STEP.replace("self.acc)", "self.acc, on_step=self.often)"),
    "a value": STEP.replace("self.acc)", "self.acc.compute())"),
    "handed to a helper": STEP.replace("self.acc.update(p, y)", "feed(self.acc, p, y)"),
    "fed elsewhere": STEP.replace("    self.acc.update(p, y)\n", ""),
    "fed by who knows whom": STEP.replace("    return", "    feed(self.acc)\n    return"),
    "at the end of the epoch": STEP.replace('    self.log("acc", self.acc)\n', "")
    + 'def on_train_epoch_end(self):\n    self.log("acc", self.acc)\n',
}


@pytest.mark.parametrize("body", SEEN.values(), ids=SEEN)
def test_a_value_that_is_seen_is_quiet(body: str, tmp_path: Path) -> None:
    assert [d.message for d in found(tmp_path, body, "LM109")] == []


def test_the_object_is_called(tmp_path: Path) -> None:
    assert "        self.acc(p, y)\n        self.log(" in fixed(tmp_path, STEP, "LM109")


BEST = """
def training_step(self, batch, batch_idx):
    return self.net(batch)

def on_validation_epoch_end(self):
    self.best.update(self.acc.compute())
    self.log("best", self.best)
"""
FORGOTTEN = {
    "update": BEST,
    "call": BEST.replace("best.update(", "best("),
    "the smallest": BEST.replace("self.best", "self.least").replace(
        "def training", "def setup(self, stage):\n    self.least = MinMetric()\n\ndef training"
    ),
    "a dict": BEST.replace('self.log("best", self.best)', 'self.log_dict({"best": self.best})'),
    "the removed hook": BEST.replace(
        "on_validation_epoch_end(self", "validation_epoch_end(self, o"
    ),
}


@pytest.mark.parametrize("body", FORGOTTEN.values(), ids=FORGOTTEN)
def test_a_best_value_that_is_forgotten_is_found(body: str, tmp_path: Path) -> None:
    assert [d.code for d in found(tmp_path, body, "LM110")] == ["LM110"]


KEPT = {
    "computed": BEST.replace("self.best)", "self.best.compute())"),
    "best batch of the epoch": """
        def validation_step(self, batch, batch_idx):
            self.best.update(self.net(batch).mean())
            self.log("best", self.best)
        """,
    "best batch, logged at the end": """
        def validation_step(self, batch, batch_idx):
            self.best.update(self.net(batch).mean())

        def on_validation_epoch_end(self):
            self.log("best", self.best)
        """,
    "another object": BEST.replace("self.best", "self.acc"),
    "a number": BEST.replace("self.best)", "float(self.best.compute()))"),
    "not logged": BEST.replace('    self.log("best", self.best)\n', ""),
}


@pytest.mark.parametrize("body", KEPT.values(), ids=KEPT)
def test_a_best_value_that_is_kept_is_quiet(body: str, tmp_path: Path) -> None:
    assert [d.message for d in found(tmp_path, body, "LM110")] == []


def test_the_value_is_computed_and_the_check_forgotten(tmp_path: Path) -> None:
    text = fixed(tmp_path, BEST, "LM110")
    assert 'self.log("best", self.best.compute())' in text
    assert "    def on_train_start(self):\n        self.best.reset()\n\n    def training" in text


def test_a_reset_before_training_is_not_written_twice(tmp_path: Path) -> None:
    body = BEST + "def on_train_start(self):\n    self.best.reset()\n"
    assert fixed(tmp_path, body, "LM110").count("self.best.reset()") == 1


def test_a_start_of_training_takes_the_reset(tmp_path: Path) -> None:
    body = BEST + "def on_train_start(self):\n    print()\n"
    text = fixed(tmp_path, body, "LM110")
    assert "def on_train_start(self):\n        self.best.reset()\n        print()" in text
