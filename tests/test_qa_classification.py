"""Programs that people wrote: what one rule or another once missed, misread or rewrote wrongly."""

from __future__ import annotations

from pathlib import Path

import projects
import pytest


def step_with(metric: str) -> str:
    return f"""\
import pytorch_lightning as pl
import torchmetrics
from torch import nn
from torchmetrics.functional import f1_score, precision


class Tagger(pl.LightningModule):
    def __init__(self, tags=4):
        super().__init__()
        self.tags = tags
        self.score = {metric}

    def validation_step(self, batch, batch_idx):
        scores, y = batch
        self.log("score", self.score(scores, y))
"""


@pytest.mark.parametrize(
    ("metric", "found"),
    [
        ('torchmetrics.Precision(task="multilabel", num_labels=tags, average="macro")', True),
        ('torchmetrics.F1Score(task="multiclass", num_classes=tags, average="weighted")', True),
        ('torchmetrics.F1Score(num_classes=tags, average="weighted")', True),
        ('torchmetrics.JaccardIndex(task="multilabel", num_labels=tags, average="micro")', True),
        ('torchmetrics.Accuracy(task="multilabel", num_labels=tags, average="macro")', False),
        ('torchmetrics.Recall(task="multiclass", num_classes=tags, average="weighted")', False),
        ('torchmetrics.Accuracy(task="binary", average="macro")', False),
        ('torchmetrics.F1Score(task="multiclass", num_classes=tags, average=tags)', False),
    ],
)
def test_an_average_that_is_measured_under_the_name_with_the_task(
    metric: str, found: bool, tmp_path: Path
) -> None:
    (tmp_path / "model.py").write_text(step_with(metric))
    assert projects.codes(projects.check(tmp_path, "LM102")) == ["LM102"] * found
