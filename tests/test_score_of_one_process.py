"""Scores of a part of the samples are found where several processes surely train."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent, indent

import projects
import pytest

HEAD = """\
import lightning.pytorch as pl
import torch
import torchmetrics.functional as MF
import torch.nn.functional as F
from sklearn.metrics import f1_score


class M(pl.LightningModule):
    def __init__(self, net):
        super().__init__()
        self.net = net
        self.p, self.t = [], []

    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.p.append(self.net(x))
        self.t.append(y)

    def on_validation_epoch_end(self):
        p, t = torch.cat(self.p), torch.cat(self.t)
"""
DDP = "\n\npl.Trainer(devices=2, strategy='ddp').fit(M(None))\n"
F1 = "f1 = MF.f1_score(p, t, task='binary')\n"


def found(tmp_path: Path, body: str, trainer: str = DDP) -> list[str]:
    text = HEAD + indent(dedent(body).strip("\n"), "        ") + "\n" + trainer
    projects.written(tmp_path, {"model.py": text})
    report = projects.check(tmp_path, "LM128")
    assert not report.failures, report.failures
    return [d.message for d in report.diagnostics]


FOUND = {
    "its mean": (
        F1 + 'self.log("f1", f1, sync_dist=True)',
        '"f1" is the mean over processes of f1_score(), each of its own samples',
    ),
    "that of the first": (
        F1 + 'self.log("f1", f1)',
        '"f1" is f1_score() of the samples of the first process',
    ),
    "without the mean": (
        F1 + 'self.log("f1", f1, sync_dist=False)',
        '"f1" is f1_score() of the samples of the first process',
    ),
    "of scikit-learn": (
        'self.log("f1", f1_score(t.cpu(), p.cpu(), average="macro"), sync_dist=True)',
        '"f1" is the mean over processes of f1_score(), each of its own samples',
    ),
    "in a dict": (
        F1 + 'self.log_dict({"f1": f1}, sync_dist=True)',
        '"f1" is the mean over processes of f1_score(), each of its own samples',
    ),
}


@pytest.mark.parametrize("case", list(FOUND))
def test_a_score_of_a_part_of_the_samples_is_found(case: str, tmp_path: Path) -> None:
    body, message = FOUND[case]
    assert found(tmp_path, body) == [message]


QUIET = {
    "a mean that stays one": 'self.log("mse", F.mse_loss(p, t), sync_dist=True)',
    "the mean of accuracies": 'self.log("a", MF.accuracy(p, t, task="binary"), sync_dist=True)',
    "gathered first": "p, t = self.all_gather((p, t))\n" + F1 + 'self.log("f1", f1)',
    "of the first process alone": (
        "if self.trainer.is_global_zero:\n    " + F1 + '    self.log("f1", f1, rank_zero_only=True)'
    ),
    "asked for its rank": "if self.global_rank == 0:\n    " + F1 + '    self.log("f1", f1)',
    "for the first process": F1 + 'self.log("f1", f1, rank_zero_only=True)',
    "no score": 'self.log("n", float(len(p)))',
    "printed": F1 + "print(f1)",
}


@pytest.mark.parametrize("case", list(QUIET))
def test_what_is_right_on_each_process_is_quiet(case: str, tmp_path: Path) -> None:
    assert found(tmp_path, QUIET[case]) == []


TRAINERS = {
    "one device": "\n\npl.Trainer(devices=1).fit(M(None))\n",
    "as many as there are": "\n\npl.Trainer().fit(M(None))\n",
    "none": "",
    "one of two": DDP + "\npl.Trainer(devices=1).fit(M(None))\n",
    "split batches": "\n\npl.Trainer(gpus=2, accelerator='dp').fit(M(None))\n",
}


@pytest.mark.parametrize("case", list(TRAINERS))
def test_one_process_has_all_samples(case: str, tmp_path: Path) -> None:
    assert found(tmp_path, FOUND["its mean"][0], TRAINERS[case]) == []
