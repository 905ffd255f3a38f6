"""One object for several dataloaders is found where they are certain, and becomes a list."""

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
from torchmetrics import Accuracy


class M(pl.LightningModule):
    def __init__(self, net, loaders):
        super().__init__()
        self.net = net
        self.loaders = loaders
        self.acc = Accuracy(task="multiclass", num_classes=3)

    def val_dataloader(self):
        return [self.loaders[0], self.loaders[1]]

"""
STEP = """
def validation_step(self, batch, batch_idx, dataloader_idx):
    x, y = batch
    self.acc(self.net(x), y)
    self.log("acc", self.acc)
"""


def found(tmp_path: Path, body: str, head: str = HEAD) -> list[Diagnostic]:
    text = head + indent(dedent(body).strip("\n"), "    ") + "\n"
    (tmp_path / "model.py").write_text(text, encoding="utf-8")
    report = projects.check(tmp_path, "LM106")
    assert not report.failures, report.failures
    return report.diagnostics


FOUND = {
    "no default": STEP,
    "a default, and read": STEP.replace("dataloader_idx)", "dataloader_idx=0)").replace(
        '"acc"', 'f"acc_{dataloader_idx}"'
    ),
    "keys of their own": STEP.replace(
        '"acc", self.acc', 'f"acc_{dataloader_idx}", self.acc, add_dataloader_idx=False'
    ),
    "update": STEP.replace("self.acc(", "self.acc.update("),
    "test": STEP.replace("validation", "test"),
}


@pytest.mark.parametrize("body", FOUND.values(), ids=FOUND)
def test_one_object_for_several_dataloaders_is_found(body: str, tmp_path: Path) -> None:
    assert [d.code for d in found(tmp_path, body)] == ["LM106"]


QUIET = {
    "no parameter": STEP.replace(", dataloader_idx)", ")"),
    "an object of each": STEP.replace("self.acc", "self.accs[dataloader_idx]"),
    "one dataloader only": STEP.replace(
        "    x, y = batch", "    if dataloader_idx != 0:\n        return\n    x, y = batch"
    ),
    "logged for one only": STEP.replace(
        '    self.log("acc"', '    if dataloader_idx == 0:\n        self.log("acc"'
    ),
    "logged once, for all together": STEP.replace('    self.log("acc", self.acc)\n', "")
    + 'def on_validation_epoch_end(self):\n    self.log("acc", self.acc)\n',
    "batch values": STEP.replace("    self.acc(self.net(x), y)\n", "").replace(
        ", self.acc)", ", self.acc(self.net(x), y))"
    ),
    "step values": STEP.replace(", self.acc)", ", self.acc, on_step=True, on_epoch=False)"),
    "by name": STEP.replace("self.acc", 'getattr(self, f"acc_{dataloader_idx}")'),
    "a helper that is told": """
        def validation_step(self, batch, batch_idx, dataloader_idx):
            self.evaluate(batch, dataloader_idx)

        def evaluate(self, batch, which):
            x, y = batch
            if which == 0:
                self.acc(self.net(x), y)
                self.log("acc", self.acc)
        """,
}


@pytest.mark.parametrize("body", QUIET.values(), ids=QUIET)
def test_what_keeps_dataloaders_apart_is_quiet(body: str, tmp_path: Path) -> None:
    assert [d.message for d in found(tmp_path, body)] == []


def test_a_list_is_quiet(tmp_path: Path) -> None:
    head = HEAD.replace("self.acc = Accuracy", "self.accs = nn.ModuleList([Accuracy").replace(
        "num_classes=3)\n", "num_classes=3) for _ in range(2)])\n"
    )
    assert found(tmp_path, STEP.replace("self.acc", "self.accs[dataloader_idx]"), head) == []


def test_the_object_becomes_a_list(tmp_path: Path) -> None:
    found(tmp_path, STEP)
    report = projects.fix(tmp_path, "LM106")
    assert report.diagnostics == []
    text = (tmp_path / "model.py").read_text(encoding="utf-8")
    assert "nn.ModuleList(" in text
    assert "for _ in range(2)]" in text
    assert 'self.log("acc", self.acc[dataloader_idx])' in text


BLOCKED = {
    "how many": (STEP, HEAD.replace("return [self.loaders[0], self.loaders[1]]", "return 1")),
    "another hook": (STEP + "def on_validation_end(self):\n    print(self.acc)\n", HEAD),
}


@pytest.mark.parametrize(("body", "head"), BLOCKED.values(), ids=BLOCKED)
def test_a_place_that_takes_a_person_says_why(body: str, head: str, tmp_path: Path) -> None:
    (diagnostic,) = found(tmp_path, body, head)
    assert diagnostic.fix is None
    assert "dataloader" in diagnostic.blocked


def test_a_default_that_is_not_read_counts_where_several_dataloaders_are_shown(
    tmp_path: Path,
) -> None:
    body = STEP.replace("dataloader_idx)", "dataloader_idx=0)")
    assert len(found(tmp_path, body)) == 1
    one = HEAD.replace("[self.loaders[0], self.loaders[1]]", "self.loaders[0]")
    assert found(tmp_path, body, one) == []


LISTED = {
    "as many as sets": "return [DataLoader(part, batch_size=8) for part in self.loaders]",
    "a loop": (
        "found = []\n        for part in self.loaders:\n"
        "            found.append(DataLoader(part))\n        return found"
    ),
    "by name": "found = [DataLoader(part) for part in self.loaders]\n        return found",
}


@pytest.mark.parametrize("body", LISTED.values(), ids=LISTED)
def test_a_list_of_dataloaders_counts_whatever_its_length(body: str, tmp_path: Path) -> None:
    head = HEAD.replace("return [self.loaders[0], self.loaders[1]]", body)
    step = STEP.replace("dataloader_idx)", "dataloader_idx=0)")
    (diagnostic,) = found(tmp_path, step, head)
    assert diagnostic.fix is None
    assert "how many dataloaders" in diagnostic.blocked


def test_a_comprehension_over_what_is_written_down_is_counted(tmp_path: Path) -> None:
    body = "return [DataLoader(part) for part in (self.clean, self.noisy, self.rare)]"
    found(tmp_path, STEP, HEAD.replace("return [self.loaders[0], self.loaders[1]]", body))
    projects.fix(tmp_path, "LM106")
    assert "for _ in range(3)]" in (tmp_path / "model.py").read_text(encoding="utf-8")


def test_a_comprehension_over_one_is_one_dataloader(tmp_path: Path) -> None:
    body = "return [DataLoader(part) for part in [self.clean]]"
    head = HEAD.replace("return [self.loaders[0], self.loaders[1]]", body)
    assert found(tmp_path, STEP.replace("dataloader_idx)", "dataloader_idx=0)"), head) == []
