"""Numbers of one process that stand for those of all are found, where several are certain."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent, indent

import projects
import pytest

from lintmetrics.diagnostics import Diagnostic

HEAD = """\
import torch
import torch.nn.functional as F
import lightning.pytorch as pl
from lightning.pytorch.strategies import DDPStrategy
from torchmetrics import MeanMetric


class M(pl.LightningModule):
    def __init__(self, net):
        super().__init__()
        self.net = net
        self.metric = MeanMetric()

"""
STEP = """
def validation_step(self, batch, batch_idx):
    x, y = batch
    loss = F.mse_loss(self.net(x), y)
    self.log("k", loss)
"""
TRAINER = 'pl.Trainer(accelerator="gpu", strategy="ddp", devices=4).fit(M(None), None)\n'


def found(
    tmp_path: Path, body: str, trainer: str = TRAINER, code: str = "LM122"
) -> list[Diagnostic]:
    text = HEAD + indent(dedent(body).strip("\n"), "    ") + f"\n\n\n{trainer}"
    (tmp_path / "model.py").write_text(text, encoding="utf-8")
    report = projects.check(tmp_path, code)
    assert not report.failures, report.failures
    return report.diagnostics


SEVERAL = {
    "a strategy and devices": TRAINER,
    "devices alone": 'pl.Trainer(accelerator="gpu", devices=2).fit(M(None))\n',
    "a list of devices": 'pl.Trainer(accelerator="gpu", devices=[0, 1]).fit(M(None))\n',
    "a strategy alone": 'trainer = pl.Trainer(strategy="ddp_find_unused_parameters_true")\n',
    "a strategy as an object": "trainer = pl.Trainer(strategy=DDPStrategy(), devices=-1)\n",
    "nodes": 'trainer = pl.Trainer(strategy="fsdp", devices=1, num_nodes=2)\n',
    "as it was said before": 'trainer = pl.Trainer(gpus=8, accelerator="ddp")\n',
    "two trainers": 'a = pl.Trainer(devices=2)\nb = pl.Trainer(strategy="ddp")\n',
    "two trainers, and this one": (
        "one = pl.Trainer(devices=1)\nmany = pl.Trainer(devices=4)\nmany.fit(M(None))\n"
    ),
}


@pytest.mark.parametrize("trainer", SEVERAL.values(), ids=SEVERAL)
def test_a_number_of_one_of_several_processes_is_found(trainer: str, tmp_path: Path) -> None:
    assert [d.code for d in found(tmp_path, STEP, trainer)] == ["LM122"]
    projects.fix(tmp_path, "LM122")
    text = (tmp_path / "model.py").read_text(encoding="utf-8")
    assert 'self.log("k", loss, sync_dist=True)' in text


ONE = {
    "no trainer": "",
    "one device": 'trainer = pl.Trainer(accelerator="gpu", devices=1)\n',
    "a strategy with one device": 'trainer = pl.Trainer(strategy="ddp", devices=1)\n',
    "devices that are not known": "trainer = pl.Trainer(devices=count, strategy=how)\n",
    "all there are": 'trainer = pl.Trainer(devices="auto")\n',
    "a split batch": 'trainer = pl.Trainer(devices=2, strategy="dp")\n',
    "one of two trainers": "a = pl.Trainer(devices=2)\nb = pl.Trainer()\n",
    "the other of two trainers": (
        "one = pl.Trainer(devices=1)\nmany = pl.Trainer(devices=4)\none.fit(M(None))\n"
    ),
    "another trainer": "from transformers import Trainer\n\ntrainer = Trainer(devices=4)\n",
}


@pytest.mark.parametrize("trainer", ONE.values(), ids=ONE)
def test_one_process_is_left_alone(trainer: str, tmp_path: Path) -> None:
    assert found(tmp_path, STEP, trainer) == []


def test_a_trainer_of_the_tests_says_nothing(tmp_path: Path) -> None:
    trainer = "import lightning.pytorch as pl\n\ntrainer = pl.Trainer(devices=2)\n"
    projects.written(tmp_path, {"tests/test_model.py": trainer})
    assert found(tmp_path, STEP, "") == []


QUIET = {
    "synchronised": STEP.replace("loss)\n", "loss, sync_dist=True)\n").replace(
        "(x), y, s", "(x), y)"
    ),
    "said not to be known": STEP.replace('"k", loss', '"k", loss, sync_dist=self.many'),
    "on purpose": STEP.replace('"k", loss', '"k", loss, rank_zero_only=True'),
    "arguments that are not known": STEP.replace('"k", loss', '"k", loss, **self.how'),
    "each step": STEP.replace("validation", "training"),
    "an object": STEP.replace('"k", loss', '"k", self.metric'),
    "a setting": STEP.replace('"k", loss', '"k", self.beta'),
    "gathered by hand": STEP.replace(
        "    self.log", "    loss = self.all_gather(loss)\n    self.log"
    ),
    "what an object computes": STEP.replace('"k", loss', '"k", self.metric.compute()'),
    "the first batch only": STEP.replace(
        "    self.log", "    if batch_idx == 0:\n        self.log"
    ),
}


@pytest.mark.parametrize("body", QUIET.values(), ids=QUIET)
def test_what_is_the_same_in_all_processes_is_left_alone(body: str, tmp_path: Path) -> None:
    assert found(tmp_path, body) == []


def test_a_call_that_may_be_skipped_gets_no_synchronisation(tmp_path: Path) -> None:
    body = STEP.replace("    self.log", "    if loss > 1:\n        self.log")
    diagnostics = found(tmp_path, body)
    assert [d.code for d in diagnostics] == ["LM122"]
    assert diagnostics[0].fix is None


# Calls that wait for all ----------------------------------------------------------------------

WAITING = {
    "a mask": "mask = y > 0\n    if mask.any():",
    "a count": "hits = (y > 0).sum()\n    if hits > 0:",
    "a value": "if loss.item() < 10:",
    "no number": "if not torch.isnan(loss):",
    "a part of the batch": 'if x["scored"] and batch_idx:'.replace(" and batch_idx", ""),
    "the first process": "if self.trainer.is_global_zero:",
    "the rank": "if self.global_rank == 0:",
}


@pytest.mark.parametrize("test", WAITING.values(), ids=WAITING)
def test_a_call_that_some_processes_skip_is_found(test: str, tmp_path: Path) -> None:
    body = STEP.replace("    self.log", f"    {test}\n        self.log").replace(
        '"k", loss', '"k", loss, sync_dist=True'
    )
    assert [d.code for d in found(tmp_path, body, "", "LM123")] == ["LM123"]


def test_a_condition_around_the_method_that_logs_is_seen(tmp_path: Path) -> None:
    body = """
        def validation_step(self, batch, batch_idx):
            x, y = batch
            if (y > 0).any():
                self.report(F.mse_loss(self.net(x), y))

        def report(self, loss):
            self.log("k", loss, sync_dist=True)
        """
    assert [d.code for d in found(tmp_path, body, "", "LM123")] == ["LM123"]


ALIKE = {
    "a setting": "if self.fine:",
    "the number of the batch": "if batch_idx % 10 == 0:",
    "the epoch": "if self.current_epoch > 3:",
    "a shape": "if x.ndim == 4:",
    "a size": "if len(x) > 1:",
    "a kind": "if isinstance(batch, dict):",
    "a key": 'if "mask" in batch:',
    "something at all": "if y is not None:",
    "a name": 'for name, part in batch.items():\n      if name != "mask":',
}


@pytest.mark.parametrize("test", ALIKE.values(), ids=ALIKE)
def test_a_condition_that_is_the_same_everywhere_is_left_alone(test: str, tmp_path: Path) -> None:
    body = STEP.replace("    self.log", f"    {test}\n        self.log").replace(
        '"k", loss', '"k", loss, sync_dist=True'
    )
    assert found(tmp_path, body, "", "LM123") == []


def test_a_condition_without_synchronisation_is_left_alone(tmp_path: Path) -> None:
    body = STEP.replace("    self.log", "    if loss > 1:\n        self.log")
    assert found(tmp_path, body, "", "LM123") == []
    assert found(tmp_path, body.replace("loss)\n", "self.metric, sync_dist=True)\n"), "") == []


# Two arguments against each other --------------------------------------------------------------

BOTH = STEP.replace('"k", loss', '"k", loss, sync_dist=True, rank_zero_only=True')


def test_an_argument_that_turns_the_other_off_is_found(tmp_path: Path) -> None:
    assert [d.code for d in found(tmp_path, BOTH, "", "LM124")] == ["LM124"]


HARMLESS = {
    "an object": BOTH.replace('"k", loss', '"k", self.metric'),
    "what an object computes": BOTH.replace('"k", loss', '"k", self.metric.compute()'),
    "gathered by hand": BOTH.replace(
        "    self.log", "    loss = self.all_gather(loss)\n    self.log"
    ),
    "in the first process": BOTH.replace(
        "    self.log", "    if self.trainer.is_global_zero:\n        self.log"
    ),
    "one of the two": BOTH.replace("rank_zero_only=True", "rank_zero_only=False"),
    "a setting": BOTH.replace('"k", loss', '"k", self.beta'),
}


@pytest.mark.parametrize("body", HARMLESS.values(), ids=HARMLESS)
def test_two_arguments_that_do_no_harm_are_left_alone(body: str, tmp_path: Path) -> None:
    assert found(tmp_path, body, "", "LM124") == []
