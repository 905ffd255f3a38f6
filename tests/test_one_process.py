"""Keys that one process logs, and data modules that log: what is found, and what is left alone."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent, indent

import projects
import pytest

HEAD = """\
import lightning.pytorch as pl
import torch
import torch.nn.functional as F
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.utilities import rank_zero_only
from torchmetrics import MeanMetric


class M(pl.LightningModule):
    def __init__(self, net):
        super().__init__()
        self.net = net
        self.m = MeanMetric()

    def validation_step(self, batch, batch_idx):
        x, y = batch
        loss = F.mse_loss(self.net(x), y)
"""
TAIL = "\n\nstop = EarlyStopping(monitor='v')\n"


def found(tmp_path: Path, code: str, text: str, **files: str) -> list[str]:
    projects.written(tmp_path, {"model.py": text, **{f"{k}.py": v for k, v in files.items()}})
    report = projects.check(tmp_path, code)
    assert not report.failures, report.failures
    return [f"{d.consequence.value}: {d.message}" for d in report.diagnostics]


def step(body: str, rest: str = TAIL) -> str:
    return HEAD + indent(dedent(body).strip("\n"), "        ") + "\n" + rest


# A watched key that one process logs ---------------------------------------------------------

ALONE = 'crash: EarlyStopping watches "v" in every process, and only the first one logs it'
EACH = (
    'wrong-number: EarlyStopping watches "v" in every process, and each process has a number of '
    "its own: rank_zero_only=True"
)
FOUND = {
    "in the first process": ("if self.trainer.is_global_zero:\n    self.log('v', loss)", ALONE),
    "by its rank": (
        "if self.global_rank == 0:\n    self.log('v', loss, rank_zero_only=True)",
        ALONE,
    ),
    "and more": (
        "if batch_idx > 0 and self.trainer.is_global_zero:\n    self.log('v', loss)",
        ALONE,
    ),
    "said of all": ("self.log('v', loss, rank_zero_only=True)", EACH),
}


@pytest.mark.parametrize("case", list(FOUND))
def test_a_watched_key_of_one_process_is_found(case: str, tmp_path: Path) -> None:
    body, message = FOUND[case]
    assert found(tmp_path, "LM405", step(body)) == [message]


def test_a_method_of_the_first_process_is_one(tmp_path: Path) -> None:
    helper = "\n    @rank_zero_only\n    def told(self, loss):\n        self.log('v', loss)\n"
    assert found(tmp_path, "LM405", step("self.told(loss)", helper + TAIL)) == [ALONE]


QUIET = {
    "of all": "self.log('v', loss, sync_dist=True)",
    "another key": "self.log('v', loss)\nif self.trainer.is_global_zero:\n    self.log('w', loss)",
    "of the first, and of the others": (
        "if self.trainer.is_global_zero:\n    self.log('v', loss)\nelse:\n    self.log('v', loss)"
    ),
    "of the others": "if not self.trainer.is_global_zero:\n    self.log('v', loss)",
    "of any": "if self.trainer.is_global_zero or batch_idx:\n    self.log('v', loss)",
    "not said": "self.log('v', loss, rank_zero_only=False)",
    "said elsewhere": "self.log('v', loss, rank_zero_only=self.alone)",
    "an object": "self.m.update(loss)\nself.log('v', self.m, rank_zero_only=True)",
    "what an object computes": "self.log('v', self.m.compute(), rank_zero_only=True)",
    "under some condition": "if batch_idx:\n    self.log('v', loss)",
}


@pytest.mark.parametrize("case", list(QUIET))
def test_a_watched_key_of_all_processes_is_quiet(case: str, tmp_path: Path) -> None:
    assert found(tmp_path, "LM405", step(QUIET[case])) == []


def test_a_key_that_nobody_watches_is_quiet(tmp_path: Path) -> None:
    text = step(FOUND["said of all"][0], "\n\nstop = EarlyStopping(monitor='w')\n")
    assert found(tmp_path, "LM405", text) == []


def test_a_key_that_another_class_logs_for_all_is_quiet(tmp_path: Path) -> None:
    other = (
        "\n\nclass N(M):\n    def test_step(self, batch, i):\n        self.log('v', batch.mean())\n"
    )
    assert found(tmp_path, "LM405", step(FOUND["said of all"][0], other + TAIL)) == []


# Data modules that log ----------------------------------------------------------------------------

DATA = """\
import lightning.pytorch as pl


class D(pl.LightningDataModule):
    def train_dataloader(self):
        self.log("n", 1.0)
"""


def test_a_data_module_that_logs_is_found(tmp_path: Path) -> None:
    (message,) = found(tmp_path, "LM609", DATA)
    assert message == ("crash: D has no method log, as no LightningDataModule has: AttributeError")
    text = DATA.replace('log("n", 1.0)', 'log_dict({"n": 1.0})')
    assert len(found(tmp_path, "LM609", text)) == 1
    below = f"{DATA}\n\nclass E(D):\n    def setup(self, stage):\n        self.log('m', 2.0)\n"
    assert len(found(tmp_path, "LM609", below)) == 2


SPEAKS = {
    "a method of its own": DATA + "\n    def log(self, name, value):\n        print(name, value)\n",
    "an attribute": DATA + "\n    def setup(self, stage):\n        self.log = print\n",
    "of the class": DATA.replace("    def train", "    log = print\n\n    def train"),
    "of a mixin": DATA.replace(
        "class D(pl.LightningDataModule)",
        "class L:\n    def log(self, *a):\n        pass\n\n\nclass D(L, pl.LightningDataModule)",
    ),
    "of a base that is not here": "from talk import Talks\n"
    + DATA.replace("(pl.Lightning", "(Talks, pl.Lightning"),
    "given from outside": DATA + "\n\ndata = D()\ndata.log = print\n",
    "where it is there": DATA.replace(
        '        self.log("n", 1.0)',
        '        if hasattr(self, "log"):\n            self.log("n", 1.0)',
    ),
    "made up": DATA + "\n    def __getattr__(self, name):\n        return print\n",
    "a logger": DATA.replace("self.log(", "self.log.info("),
    "another object": DATA.replace("self.log(", "self.trainer.model.log("),
    "a module": DATA.replace("LightningDataModule", "LightningModule"),
    "a callback": DATA.replace("LightningDataModule", "Callback"),
    "a class inside": DATA.replace(
        "    def train_dataloader(self):\n",
        "    class Inner(pl.LightningModule):\n        def training_step(self, batch):\n    ",
    ),
    "no class of Lightning": DATA.replace("(pl.LightningDataModule)", ""),
}


@pytest.mark.parametrize("case", list(SPEAKS))
def test_what_has_a_log_is_quiet(case: str, tmp_path: Path) -> None:
    assert found(tmp_path, "LM609", SPEAKS[case]) == []
