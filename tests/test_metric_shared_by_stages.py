"""One object for two loops is found where a number comes out wrong, and split by who uses it."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent, indent

import projects
import pytest

from lintmetrics.diagnostics import Diagnostic

HEAD = """\
import torch
import torchmetrics
import pytorch_lightning as pl
import torch.nn.functional as F
from torch import nn
from torchmetrics import Accuracy, MaxMetric, MetricCollection


class M(pl.LightningModule):
    def __init__(self, net, classes=3):
        super().__init__()
        self.net = net
        self.acc = Accuracy(task="multiclass", num_classes=classes)

"""
TRAIN = """
def training_step(self, batch, batch_idx):
    x, y = batch
    p = self.net(x)
    self.acc(p, y)
    self.log("train_acc", self.acc, on_step=False, on_epoch=True)
    return F.cross_entropy(p, y)
"""
VAL = """
def validation_step(self, batch, batch_idx):
    x, y = batch
    self.acc(self.net(x), y)
    self.log("val_acc", self.acc)
"""
TEST = VAL.replace("validation", "test").replace("val_", "test_")
FED = """
def training_step(self, batch, batch_idx):
    x, y = batch
    p = self.net(x)
    self.acc.update(p, y)
    return F.cross_entropy(p, y)
"""
SHARED = """
def step(self, batch, stage):
    x, y = batch
    p = self.net(x)
    self.acc(p, y)
    self.log(f"{stage}_acc", self.acc, on_step=False, on_epoch=True)
    return F.cross_entropy(p, y)

def training_step(self, batch, batch_idx):
    return self.step(batch, "train")

def validation_step(self, batch, batch_idx):
    self.step(batch, "val")
"""


def text_of(body: str) -> str:
    return HEAD + indent(dedent(body).strip("\n"), "    ") + "\n"


def found(tmp_path: Path, body: str, extra: dict[str, str] | None = None) -> list[Diagnostic]:
    projects.written(tmp_path, extra or {})
    (tmp_path / "model.py").write_text(text_of(body), encoding="utf-8")
    report = projects.check(tmp_path, "LM105")
    assert not report.failures, report.failures
    return report.diagnostics


def fixed(tmp_path: Path, body: str, head: str = HEAD) -> str:
    (tmp_path / "model.py").write_text(text_of(body).replace(HEAD, head), encoding="utf-8")
    report = projects.fix(tmp_path, "LM105")
    assert not report.failures
    assert not report.failed
    assert report.diagnostics == []
    done = (tmp_path / "model.py").read_text(encoding="utf-8")
    compile(done, "model.py", "exec")
    return done


FOUND = {
    "both log the object": TRAIN + VAL,
    "a shared step": SHARED,
    "training feeds only": FED + VAL,
    "training logs each step only": TRAIN.replace("on_step=False, on_epoch=True", "on_step=True")
    + VAL,
    "training logs the batch value": TRAIN.replace(
        '"train_acc", self.acc,', '"train_acc", self.acc(p, y),'
    )
    + VAL,
    "validation feeds only": TRAIN + VAL.replace('\n    self.log("val_acc", self.acc)', ""),
    "computed by hand": FED
    + VAL.replace('    self.log("val_acc", self.acc)\n', "")
    + "def on_validation_epoch_end(self):\n"
    + '    self.log("val_acc", self.acc.compute())\n    self.acc.reset()\n',
    "each epoch end resets": TRAIN
    + VAL
    + "def on_train_epoch_end(self):\n    self.acc.reset()\n\n"
    + "def on_validation_epoch_end(self):\n    self.acc.reset()\n",
    "reset before validation, lost for training": TRAIN
    + VAL
    + "def on_validation_epoch_start(self):\n    self.acc.reset()\n",
}


@pytest.mark.parametrize("body", FOUND.values(), ids=FOUND)
def test_a_number_of_two_loops_is_found(body: str, tmp_path: Path) -> None:
    assert [d.code for d in found(tmp_path, body)] == ["LM105"]


QUIET = {
    "one loop": VAL,
    "validation and test never meet": VAL + TEST,
    "batch values only": TRAIN.replace("    self.acc(p, y)\n", "").replace(
        "self.acc,", "self.acc(p, y),"
    )
    + VAL.replace("    self.acc(self.net(x), y)\n", "").replace(
        "self.acc)", "self.acc(self.net(x), y))"
    ),
    "objects of their own": TRAIN + VAL.replace("self.acc", "self.val_acc"),
    "by getattr": SHARED.replace("self.acc", 'getattr(self, f"{stage}_acc")'),
    "by dict": SHARED.replace("self.acc", "self.accs[stage]"),
    "by what is asked": SHARED.replace(
        "self.acc", "(self.acc if stage == 'train' else self.val_acc)"
    ),
    "training cleans up after each batch": FED.replace(
        "    return", "    print(self.acc.compute())\n    self.acc.reset()\n    return"
    )
    + VAL,
    "validation starts anew": FED
    + VAL
    + "def on_validation_epoch_start(self):\n    self.acc.reset()\n",
    "the first validation batch starts anew": FED
    + VAL.replace(
        "    x, y = batch", "    if batch_idx == 0:\n        self.acc.reset()\n    x, y = batch"
    ),
    "made anew": FED + VAL + "def on_validation_epoch_start(self):\n    self.acc = Accuracy()\n",
    "training reads nothing of it": TRAIN.replace("self.acc", "self.other") + VAL,
    "each step of both": TRAIN.replace("on_step=False, on_epoch=True", "on_step=True")
    + VAL.replace("self.acc)", "self.acc, on_step=True, on_epoch=False)"),
    "a loss is no metric": TRAIN.replace("self.acc", "self.crit")
    + VAL.replace("self.acc", "self.crit"),
    "one that speaks of the run": (TRAIN + VAL).replace("self.acc", "self.best"),
}


@pytest.mark.parametrize("body", QUIET.values(), ids=QUIET)
def test_what_loops_do_not_mix_is_quiet(body: str, tmp_path: Path) -> None:
    assert [d.message for d in found(tmp_path, body)] == []


def test_a_callback_that_resets_is_believed(tmp_path: Path) -> None:
    callback = """
        from pytorch_lightning import Callback

        class Clear(Callback):
            def on_validation_start(self, trainer, pl_module):
                pl_module.acc.reset()
        """
    assert found(tmp_path, FED + VAL, {"callback.py": callback}) == []


def test_each_step_names_its_own_object(tmp_path: Path) -> None:
    text = fixed(tmp_path, TRAIN + VAL + TEST)
    assert "        self.val_acc = self.acc.clone()\n        self.test_acc = self.acc" in text
    assert 'self.log("train_acc", self.acc, on_step=False' in text
    assert 'self.val_acc(self.net(x), y)\n        self.log("val_acc", self.val_acc)' in text
    assert 'self.test_acc(self.net(x), y)\n        self.log("test_acc", self.test_acc)' in text


def test_a_shared_step_finds_the_object_by_its_parameter(tmp_path: Path) -> None:
    text = fixed(tmp_path, SHARED)
    assert "self.train_acc = Accuracy(" in text
    assert "self.val_acc = self.train_acc.clone()\n" in text
    assert 'acc = getattr(self, f"{stage}_acc")\n' in text
    assert 'self.log(f"{stage}_acc", acc, on_step=False' in text


def test_hooks_outside_the_shared_step_follow(tmp_path: Path) -> None:
    body = SHARED + "\ndef on_validation_end(self):\n    print(self.acc.compute())\n"
    assert "print(self.val_acc.compute())" in fixed(tmp_path, body)


def test_words_that_are_no_names_become_keys(tmp_path: Path) -> None:
    body = SHARED.replace('"train"', '"train/"').replace('"val"', '"val/"')
    text = fixed(tmp_path, body)
    assert "self.acc = nn.ModuleDict(" in text
    assert '("train/", "val/")' in text
    assert "self.acc[stage](p, y)" in text


def test_a_step_of_validation_and_test_shares_one(tmp_path: Path) -> None:
    body = """
        def evaluate(self, batch, name):
            x, y = batch
            self.acc(self.net(x), y)
            self.log(name, self.acc)

        def validation_step(self, batch, batch_idx):
            self.evaluate(batch, "val_acc")

        def test_step(self, batch, batch_idx):
            self.evaluate(batch, "test_acc")
        """
    text = fixed(tmp_path, TRAIN + dedent(body))
    assert "self.val_acc(self.net(x), y)\n        self.log(name, self.val_acc)" in text
    assert "test_acc = " not in text


def test_a_name_that_is_taken_is_left(tmp_path: Path) -> None:
    head = HEAD.rstrip("\n") + "\n        self.val_acc = 0.0\n\n"
    text = fixed(tmp_path, TRAIN + VAL, head)
    assert "self.val_acc_metric = self.acc.clone()" in text


def test_an_underscore_is_no_word(tmp_path: Path) -> None:
    head = HEAD.replace("self.acc", "self._acc")
    text = fixed(tmp_path, (TRAIN + VAL).replace("self.acc", "self._acc"), head)
    assert "self.val_acc = self._acc.clone()" in text


BLOCKED = {
    "nobody says the stage": SHARED.replace(', "train"', ", self.what()").replace(
        ', "val"', ", self.what()"
    ),
    "set again": TRAIN + VAL + "def setup(self, stage):\n    self.acc = Accuracy(task='binary')\n",
    "used who knows when": TRAIN + VAL + "def report(self):\n    print(self.acc.compute())\n",
    "handed on": SHARED + "def other(self):\n    return self.step\n",
}


@pytest.mark.parametrize("body", BLOCKED.values(), ids=BLOCKED)
def test_a_place_that_takes_a_person_says_why(body: str, tmp_path: Path) -> None:
    (diagnostic,) = found(tmp_path, body)
    assert diagnostic.fix is None
    assert "line" in diagnostic.blocked
