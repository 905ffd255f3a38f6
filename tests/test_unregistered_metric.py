"""Metric objects in plain containers are found unless someone moves them; torch.nn takes them."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent, indent

import projects
import pytest

from lintmetrics.codemod import Relation
from lintmetrics.diagnostics import Diagnostic

HEAD = """\
import torch
import pytorch_lightning as pl
from torch import nn
from torchmetrics import Accuracy, MeanMetric, MetricCollection


class M(pl.LightningModule):
    def __init__(self, net, names):
        super().__init__()
        self.net = net
"""
DICT = 'self.held = {"acc": Accuracy(task="binary"), "mean": MeanMetric()}'
LIST = 'self.held = [Accuracy(task="binary"), MeanMetric()]'
STEP = """
def validation_step(self, batch, batch_idx):
    x, y = batch
    for metric in self.held:
        metric.update(self.net(x), y)
"""
VALUES = STEP.replace("self.held:", "self.held.values():")
BY_KEY = """
def training_step(self, batch, batch_idx):
    return self.step(batch, "train")

def validation_step(self, batch, batch_idx):
    return self.step(batch, "val")

def step(self, batch, stage):
    x, y = batch
    self.held[stage](self.net(x), y)
    self.log(f"{stage}_acc", self.held[stage])
"""
STAGES = 'self.held = {"train": Accuracy(task="binary"), "val": Accuracy(task="binary")}'


def written(tmp_path: Path, init: str, body: str) -> None:
    text = HEAD + indent(dedent(init).strip("\n"), "        ") + "\n\n"
    text += indent(dedent(body).strip("\n"), "    ") + "\n"
    (tmp_path / "model.py").write_text(text, encoding="utf-8")


def found(tmp_path: Path, init: str, body: str) -> list[Diagnostic]:
    written(tmp_path, init, body)
    report = projects.check(tmp_path, "LM108")
    assert not report.failures, report.failures
    return report.diagnostics


def fixed(tmp_path: Path, init: str, body: str) -> str:
    written(tmp_path, init, body)
    report = projects.fix(tmp_path, "LM108")
    assert not report.failures
    assert not report.failed
    assert report.diagnostics == []
    done = (tmp_path / "model.py").read_text(encoding="utf-8")
    compile(done, "model.py", "exec")
    return done


FOUND = {
    "dict": (DICT, VALUES),
    "list": (LIST, STEP),
    "tuple": ('self.held = (Accuracy(task="binary"), MeanMetric())', STEP),
    "by key": (STAGES, BY_KEY),
    "by index": (
        LIST,
        STEP.replace("for metric in self.held:", "metric = self.held[0]\n    if x:"),
    ),
    "appended": ('self.held = []\nself.held.append(Accuracy(task="binary"))', STEP),
    "comprehension": ('self.held = [Accuracy(task="binary") for _ in range(3)]', STEP),
    "collections": (
        'self.held = {"a": MetricCollection([Accuracy(task="binary")])}',
        VALUES,
    ),
}


@pytest.mark.parametrize(("init", "body"), FOUND.values(), ids=FOUND)
def test_a_plain_container_is_found(init: str, body: str, tmp_path: Path) -> None:
    assert [d.code for d in found(tmp_path, init, body)] == ["LM108"]


QUIET = {
    "ModuleDict": (DICT.replace("{", "nn.ModuleDict({").replace("}", "})"), VALUES),
    "ModuleList": (LIST.replace("[", "nn.ModuleList([").replace("]", "])"), STEP),
    "MetricCollection": (LIST.replace("[", "MetricCollection([").replace("]", "])"), STEP),
    "attributes as well": (
        'self.a = Accuracy(task="binary")\nself.b = MeanMetric()\nself.held = [self.a, self.b]',
        STEP,
    ),
    "moved where made": (
        'self.held = [Accuracy(task="binary").to("cuda"), MeanMetric().to("cuda")]',
        STEP,
    ),
    "moved in a loop": (
        LIST,
        STEP + "def on_fit_start(self):\n    for m in self.held:\n        m.to(self.device)",
    ),
    "moved by index": (
        LIST,
        STEP + "def setup(self, stage):\n    self.held[0] = self.held[0].to(self.device)",
    ),
    "moved in the step": (LIST, STEP.replace("metric.update(", "metric.to(x.device).update(")),
    "kept on the CPU": (LIST, STEP.replace("self.net(x)", "self.net(x).cpu()")),
    "registered by name": (
        LIST + "\nfor i, m in enumerate(self.held):\n    self.add_module(str(i), m)",
        STEP,
    ),
    "registered again": (LIST + "\nself.kept = nn.ModuleList(self.held)", STEP),
    "never fed": (LIST, "def on_fit_end(self):\n    print(self.held)"),
    "no metrics": ("self.held = [nn.Linear(2, 2), nn.Linear(2, 2)]", STEP),
    "unknown": ("self.held = names", STEP),
    "functions": ("self.held = [torch.mean, torch.sum]", STEP),
}


@pytest.mark.parametrize(("init", "body"), QUIET.values(), ids=QUIET)
def test_what_is_registered_or_moved_is_quiet(init: str, body: str, tmp_path: Path) -> None:
    assert [d.message for d in found(tmp_path, init, body)] == []


WRITTEN = {
    "dict": (DICT, VALUES, 'nn.ModuleDict({"acc": Accuracy(task="binary"), "mean": MeanMetric()})'),
    "list": (LIST, STEP, 'nn.ModuleList([Accuracy(task="binary"), MeanMetric()])'),
    "tuple": (
        'self.held = (Accuracy(task="binary"), MeanMetric())',
        STEP,
        'nn.ModuleList((Accuracy(task="binary"), MeanMetric()))',
    ),
    "appended": (
        'self.held = []\nself.held.append(Accuracy(task="binary"))',
        STEP,
        "self.held = nn.ModuleList([])",
    ),
}


@pytest.mark.parametrize(("init", "body", "wanted"), WRITTEN.values(), ids=WRITTEN)
def test_torch_takes_the_container(init: str, body: str, wanted: str, tmp_path: Path) -> None:
    assert wanted in fixed(tmp_path, init, body)


def test_keys_that_are_refused_get_an_ending(tmp_path: Path) -> None:
    text = fixed(tmp_path, STAGES, BY_KEY)
    assert "nn.ModuleDict(\n" in text
    assert '"train_metrics": Acc' in text
    assert '"val_metrics": Acc' in text
    assert 'self.held[f"{stage}_metrics"](self.net(x), y)' in text
    assert 'self.log(f"{stage}_acc", self.held[f"{stage}_metrics"])' in text


def test_keys_of_a_comprehension_get_an_ending(tmp_path: Path) -> None:
    init = 'self.held = {s: Accuracy(task="binary") for s in ("train", "val")}'
    text = fixed(tmp_path, init, BY_KEY)
    assert '{f"{s}_metrics": Accuracy(task="binary") for s in ("train", "val")}' in text


BLOCKED = {
    "keys that are read": (
        STAGES,
        VALUES.replace("for metric in self.held.values", "for name, metric in self.held.items"),
    ),
    "get": (DICT, VALUES + 'def on_fit_end(self):\n    print(self.held.get("acc"))'),
    "a dot": (DICT.replace('"acc"', '"val.acc"'), VALUES),
    "numbers": (DICT.replace('"acc"', "0").replace('"mean"', "1"), VALUES),
    "sorted away": (LIST, STEP + "def on_fit_end(self):\n    self.held.reverse()"),
    "handed on": (LIST, STEP + "def on_fit_end(self):\n    report(self.held)"),
    "beside others": (
        DICT.replace("MeanMetric()", "torch.mean"),
        BY_KEY.replace("stage]", "'acc']"),
    ),
}


@pytest.mark.parametrize(("init", "body"), BLOCKED.values(), ids=BLOCKED)
def test_what_torch_refuses_is_left(init: str, body: str, tmp_path: Path) -> None:
    for diagnostic in found(tmp_path, init, body):
        assert diagnostic.fix is None
        assert diagnostic.blocked


def test_keys_that_are_not_known_are_assumed(tmp_path: Path) -> None:
    init = "self.held = {name: MeanMetric() for name in names}"
    for diagnostic in found(tmp_path, init, VALUES):
        assert diagnostic.fix is None or diagnostic.fix.relation is Relation.ASSUMES
