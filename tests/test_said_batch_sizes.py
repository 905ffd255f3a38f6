"""What is said of the batch size and is no size of a batch is found, and said right."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent, indent

import projects
import pytest

from lintmetrics.diagnostics import Diagnostic

HEAD = """\
import torch.nn.functional as F
import lightning.pytorch as pl
from torch.utils.data import DataLoader
from torchmetrics import MeanMetric
from settings import SIZE

BATCH = 64


class M(pl.LightningModule):
    def __init__(self, net, batch_size):
        super().__init__()
        self.save_hyperparameters()
        self.net = net
        self.batch_size = batch_size
        self.loss = MeanMetric()

"""
STEP = """
def validation_step(self, batch, batch_idx):
    x, y = batch
    self.log("k", F.mse_loss(self.net(x), y), batch_size={})
"""
DICT = """
def validation_step(self, batch, batch_idx):
    p = self.net(batch["x"])
    self.log("k", F.mse_loss(p, batch["y"]), batch_size=len(batch))
"""


def found(tmp_path: Path, body: str, head: str = HEAD) -> list[Diagnostic]:
    text = head + indent(dedent(body).strip("\n"), "    ") + "\n"
    (tmp_path / "model.py").write_text(text, encoding="utf-8")
    (tmp_path / "settings.py").write_text("SIZE = 32\n", encoding="utf-8")
    report = projects.check(tmp_path, "LM117", "LM118")
    assert not report.failures, report.failures
    return report.diagnostics


def loader(arguments: str, stage: str = "val") -> str:
    return f"\ndef {stage}_dataloader(self):\n    return DataLoader(self.data, {arguments})\n"


FOUND = {
    "a number": (STEP.format(32), "LM117"),
    "nothing": (STEP.format(0), "LM117"),
    "less than nothing": (STEP.format(-1), "LM117"),
    "a setting": (STEP.format("self.batch_size"), "LM117"),
    "a hyperparameter": (STEP.format("self.hparams.batch_size"), "LM117"),
    "of a dict": (STEP.format('self.hparams["val_batch_size"]'), "LM117"),
    "of the data": (STEP.format("self.trainer.datamodule.batch_size"), "LM117"),
    "a constant of the file": (STEP.format("BATCH"), "LM117"),
    "a local name": (
        STEP.format("size").replace("    self.log", "    size = self.batch_size\n    self.log"),
        "LM117",
    ),
    "one, where there are more": (STEP.format(1) + loader("batch_size=16"), "LM117"),
    "a loader that keeps the rest": (STEP.format(32) + loader("batch_size=32"), "LM117"),
    "training that keeps the rest": (
        STEP.replace("validation", "training")
        .replace("batch_size", "on_epoch=True, batch_size")
        .format(32)
        + loader("batch_size=32, shuffle=True", "train"),
        "LM117",
    ),
    "the members": (STEP.format("len(batch)"), "LM118"),
    "the members, by name": (
        STEP.format("n").replace("    self.log", "    n = len(batch)\n    self.log"),
        "LM118",
    ),
    "the keys": (DICT, "LM118"),
    "a weight": (
        """
        def validation_step(self, batch, batch_idx):
            x, y = batch
            self.loss.update(F.mse_loss(self.net(x), y), len(batch))
        """,
        "LM118",
    ),
    "a weight by name": (
        """
        def validation_step(self, batch, batch_idx):
            x, y = batch
            self.loss(F.mse_loss(self.net(x), y), weight=len(batch))
        """,
        "LM118",
    ),
    "a shared step": (
        """
        def validation_step(self, batch, batch_idx):
            return self.shared(batch, "val")

        def shared(self, batch, stage):
            x, y = batch
            self.log(f"{stage}_loss", F.mse_loss(self.net(x), y), batch_size=len(batch))
        """,
        "LM118",
    ),
}


@pytest.mark.parametrize(("body", "code"), FOUND.values(), ids=FOUND)
def test_a_size_that_is_none_is_found(body: str, code: str, tmp_path: Path) -> None:
    assert [d.code for d in found(tmp_path, body)] == [code]


QUIET = {
    "the size": STEP.format("x.size(0)"),
    "the length of a part": STEP.format("len(x)"),
    "the length of a member": STEP.format("len(batch[0])"),
    "what is not known": STEP.format("self.how_many(batch)"),
    "an attribute that steps set": STEP.format("self.batch_size").replace(
        "    self.log", "    self.batch_size = x.size(0)\n    self.log"
    ),
    "a property": STEP.format("self.rows_bs") + "\n@property\ndef rows_bs(self):\n    return 3\n",
    "an object": STEP.format(32).replace("F.mse_loss(self.net(x), y)", "self.loss"),
    "a sum": STEP.format('32, reduce_fx="sum"'),
    "a step value": STEP.format(32).replace("validation", "training"),
    "a counter": STEP.format(32).replace("F.mse_loss(self.net(x), y)", "len(x)"),
    "a setting that is logged": STEP.format(32).replace("F.mse_loss(self.net(x), y)", "self.beta"),
    "the first batch only": STEP.format(32).replace(
        "    self.log", "    if batch_idx == 0:\n        self.log"
    ),
    "one, where that may be so": STEP.format(1),
    "one, where that is so": STEP.format(1) + loader("batch_size=1"),
    "a loader that drops the rest": STEP.format(32) + loader("batch_size=32, drop_last=True"),
    "a loader of single samples": STEP.format(32) + loader("num_workers=2"),
    "training of which nothing is known": STEP.replace("validation", "training")
    .replace("batch_size", "on_epoch=True, batch_size")
    .format(32),
    "a list of samples": """
        def validation_step(self, batch, batch_idx):
            x, y = zip(*batch)
            self.log("k", F.mse_loss(self.net(x), y), batch_size=len(batch))
        """,
    "samples by key": """
        def validation_step(self, batch, batch_idx):
            x = self.stack([sample["x"] for sample in batch])
            self.log("k", F.mse_loss(self.net(x), x), batch_size=len(batch))
        """,
    "a tensor": """
        def validation_step(self, batch, batch_idx):
            self.log("k", F.mse_loss(self.net(batch), batch), batch_size=len(batch))
        """,
    "a batch that is unpacked anew": """
        def validation_step(self, batch, batch_idx):
            batch, y = batch
            self.log("k", F.mse_loss(self.net(batch), y), batch_size=len(batch))
        """,
    "a batch of an own class": DICT.replace("batch,", "batch: Graphs,"),
    "a library whose batches have a length": "import tensordict\n" + DICT,
    "after the epoch": """
        def on_validation_epoch_end(self):
            self.log("k", self.value, batch_size=32)
        """,
}


@pytest.mark.parametrize("body", QUIET.values(), ids=QUIET)
def test_a_size_that_may_be_right_is_left_alone(body: str, tmp_path: Path) -> None:
    head, text = HEAD, body
    if body.startswith("import"):
        first, _, text = body.partition("\n")
        head = f"{first}\n{HEAD}"
    assert found(tmp_path, text, head) == []


def test_the_size_is_said_right(tmp_path: Path) -> None:
    for given in ("32", "self.hparams.batch_size", "len(batch)"):
        assert found(tmp_path, STEP.format(given))
        report = projects.fix(tmp_path, "LM117", "LM118")
        assert len(report.fixed) == 1
        text = (tmp_path / "model.py").read_text(encoding="utf-8")
        assert 'self.log("k", F.mse_loss(self.net(x), y), batch_size=x.size(0))' in text


def test_a_weight_is_said_right(tmp_path: Path) -> None:
    body, _ = FOUND["a weight"]
    found(tmp_path, body)
    projects.fix(tmp_path, "LM118")
    text = (tmp_path / "model.py").read_text(encoding="utf-8")
    assert "self.loss.update(F.mse_loss(self.net(x), y), x.size(0))" in text


def test_a_size_that_is_not_evident_waits_for_its_author(tmp_path: Path) -> None:
    body = """
        def validation_step(self, batch, batch_idx):
            p = self.look_up(batch["x"])
            self.log("k", self.score(p, batch["y"]).mean(), batch_size=len(batch))
        """
    diagnostics = found(tmp_path, body)
    assert [d.code for d in diagnostics] == ["LM118"]
    assert diagnostics[0].fix is None


def test_the_size_of_a_part_with_a_key_is_said(tmp_path: Path) -> None:
    body = """
        def validation_step(self, batch, batch_idx):
            p = self.net(batch["x"])
            self.log("k", self.score(p, batch["y"]).mean(), batch_size=len(batch))
        """
    assert [d.code for d in found(tmp_path, body)] == ["LM118"]
    assert len(projects.fix(tmp_path, "LM118").fixed) == 1
    text = (tmp_path / "model.py").read_text(encoding="utf-8")
    assert 'batch_size=batch["x"].size(0))' in text
