"""Scores that are given predictions for targets: found by the names, quiet where these say less."""

from __future__ import annotations

from pathlib import Path

import projects
import pytest

HEAD = """
import numpy as np
import pytorch_lightning as pl
import torch
import torchmetrics.functional as tmf
from sklearn import metrics
from sklearn.metrics import confusion_matrix, f1_score, precision_score, r2_score, recall_score


def score(self, batch, preds, targets, labels, y_hat, x, y, pred_labels):
    return {}
"""


def _found(folder: Path, call: str) -> int:
    projects.written(folder, {"score.py": HEAD.replace("{}", call)})
    return len(projects.check(folder, "LM140").diagnostics)


@pytest.mark.parametrize(
    "call",
    [
        "precision_score(preds, targets)",
        "metrics.recall_score(preds.cpu().numpy(), targets.cpu().numpy(), average=None)",
        "recall_score(torch.cat(self.preds), np.concatenate(self.labels))",
        'confusion_matrix(y_hat.argmax(dim=1), batch["labels"])',
        "r2_score(batch['pred'], batch['target'])",
        'tmf.recall(targets, preds, task="binary")',
        "tmf.classification.multiclass_precision(labels, y_hat, num_classes=3)",
    ],
)
def test_the_names_tell(call: str, tmp_path: Path) -> None:
    assert _found(tmp_path, call) == 1


@pytest.mark.parametrize(
    "call",
    [
        "precision_score(targets, preds)",
        'tmf.recall(preds, targets, task="binary")',
        "recall_score(y_true=targets, y_pred=preds)",
        "recall_score(x, y)",
        "recall_score(preds, y)",
        "recall_score(pred_labels, labels)",
        "recall_score(labels, pred_labels)",
        "f1_score(preds, targets, average='macro')",  # The same either way.
        "metrics.accuracy_score(preds, targets)",
        "recall_score(preds, targets, average='micro')",
        "self.recall_score(preds, targets)",
        "recall_score(*batch)",
        "recall_score(preds, preds)",
    ],
)
def test_what_is_right_or_says_less_is_quiet(call: str, tmp_path: Path) -> None:
    assert _found(tmp_path, call) == 0
