"""What a step gives may be a vector: ``self.log`` raises on one, the mean of a stack does not."""

from __future__ import annotations

from pathlib import Path

import projects
import pytest

MODEL = """\
import numpy as np
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import nn


class Scorer(pl.LightningModule):
    def __init__(self, net, criterion):
        super().__init__()
        self.net = net
        self.criterion = criterion
        self.summing = nn.MSELoss(reduction="sum")

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = self.criterion(self.net(x), y)
        return loss

    def validation_step(self, batch, batch_idx):
        x, y = batch
        p = self.net(x)
        STEP

    def validation_epoch_end(self, outputs):
        END
"""


def fixed(step: str, end: str, folder: Path) -> str:
    text = MODEL.replace("STEP", step.replace("\n", "\n        "))
    (folder / "model.py").write_text(text.replace("END", end))
    assert not projects.fix(folder, "LM111", "LM201").failures
    assert projects.codes(projects.check(folder, "LM111", "LM201")) == []
    return (folder / "model.py").read_text()


@pytest.mark.parametrize(
    ("step", "end", "logged"),
    [
        # One number for all that is known of it: nothing is added.
        ("return F.mse_loss(p, y)", "torch.stack(outputs).mean()", "key"),
        ('return {"v": F.mse_loss(p, y)}', 'torch.stack([o["v"] for o in outputs]).mean()', "v"),
        # What training minimises is one number.
        (
            'loss = self.criterion(p, y)\nreturn {"v": loss}',
            'torch.stack([o["v"] for o in outputs]).mean()',
            "loss",
        ),
        # Only one number can be logged, before as well as now.
        (
            'odd = self.rate(p)\nself.log("odd", odd)\nreturn {"odd": odd}',
            'torch.stack([o["odd"] for o in outputs]).mean()',
            "odd",
        ),
        ('return {"v": self.rate(p, y)}', 'sum(o["v"] for o in outputs) / len(outputs)', "v"),
        ('return {"v": self.rate(p, y)}', 'torch.stack([o["v"] for o in outputs]).mean(0)', "v"),
        (
            'return {"v": self.rate(p, y)}',
            'torch.stack([o["v"].mean() for o in outputs]).mean()',
            "v.mean()",
        ),
        ('return {"v": self.rate(p, y).item()}', 'np.mean([o["v"] for o in outputs])', "v"),
        (
            'return {"acc": torch.sort(p)[0]}',
            'torch.tensor([o["acc"].mean() for o in outputs]).mean()',
            "acc.mean()",
        ),
        # torch.tensor makes one number of each, or raises.
        (
            'acc = torch.dot(p, y)\nreturn {"acc": acc}',
            'torch.tensor([o["acc"] for o in outputs]).mean()',
            "acc",
        ),
        # One number for each class, or nothing is known.
        (
            'return {"v": F.mse_loss(p, y, reduction="none").mean(0)}',
            'torch.stack([o["v"] for o in outputs]).mean()',
            "v.mean()",
        ),
        (
            'per_class = self.rate(p, y)\nreturn {"v": per_class}',
            'torch.stack([o["v"] for o in outputs]).mean()',
            "per_class.mean()",
        ),
        (
            'loss = F.mse_loss(p, y)\nreturn {"v": loss.repeat(3)}',
            'torch.stack([o["v"] for o in outputs]).mean()',
            "v.mean()",
        ),
        (
            'v = F.l1_loss(p, y, reduction="none").mean(0)\nreturn v',
            "torch.stack(outputs).mean()",
            "v.mean()",
        ),
        (
            'v = F.l1_loss(p, y, reduction="none").mean(0)\nreturn {"v": v.cpu().numpy()}',
            'np.mean([o["v"] for o in outputs])',
            "v.mean()",
        ),
    ],
)
def test_the_step_logs_one_number(step: str, end: str, logged: str, tmp_path: Path) -> None:
    text = fixed(step, f'self.log("key", {end})', tmp_path)
    assert f'self.log("key", {logged})' in text
    assert "validation_epoch_end" not in text


@pytest.mark.parametrize(
    "step",
    [
        'return F.mse_loss(p, y, reduction="none").mean(1)',
        "return (p - y).abs().mean(dim=1)",
    ],
)
def test_one_number_for_each_sample_updates_an_object(step: str, tmp_path: Path) -> None:
    text = fixed(step, 'self.log("key", torch.cat(outputs).mean())', tmp_path)
    assert "self.val_key.update(" in text
    assert 'self.log("key", self.val_key)' in text


@pytest.mark.parametrize(
    ("step", "end"),
    [
        ('return {"v": self.rate(p, y)}', 'torch.tensor([o["v"] for o in outputs]).mean()'),
        ('return {"v": self.rate(p, y)}', 'np.mean([o["v"] for o in outputs])'),
        ('return {"acc": [p.mean(), y.mean()]}', 'np.mean([o["acc"] for o in outputs])'),
        ('return {"acc": p.tolist()}', 'np.mean([o["acc"] for o in outputs])'),
    ],
)
def test_what_may_be_no_tensor_and_no_number_stays(step: str, end: str, tmp_path: Path) -> None:
    text = MODEL.replace("STEP", step).replace("END", f'self.log("key", {end})')
    (tmp_path / "model.py").write_text(text)
    projects.fix(tmp_path, "LM111", "LM201")
    hook = (tmp_path / "model.py").read_text().split("def on_validation_epoch_end", 1)[1]
    assert '"key"' in hook
    assert '"acc"] * o[' not in hook  # A list would be repeated.


@pytest.mark.parametrize(
    ("step", "end"),
    [
        ('return {"acc": self.rate(p, y)}', 'np.mean([o["acc"] for o in outputs])'),
        ('return {"loss": self.rate(p, y)}', 'torch.tensor([o["loss"] for o in outputs]).mean()'),
        (
            'return {"loss": self.rate(p, y)}',
            'torch.stack([o["loss"] for o in outputs]).sum() / len(outputs)',
        ),
        (
            'iou = self.rate(p, y) / p.size(0)\n        return {"iou": iou}',
            'np.mean([o["iou"] for o in outputs])',
        ),
    ],
)
def test_a_name_tells_what_a_value_is_about_and_not_that_it_is_one_number(
    step: str, end: str, tmp_path: Path
) -> None:
    text = MODEL.replace("STEP", step).replace("END", f'self.log("key", {end})')
    (tmp_path / "model.py").write_text(text)
    projects.fix(tmp_path, "LM111", "LM201")
    hook = (tmp_path / "model.py").read_text().split("def on_validation_epoch_end", 1)[1]
    assert '"key"' in hook


def test_a_mean_of_sums_is_no_mean_of_means(tmp_path: Path) -> None:
    step, end = 'return {"v": self.summing(p, y)}', 'torch.stack([o["v"] for o in outputs]).mean()'
    text = MODEL.replace("STEP", step).replace("END", f'self.log("key", {end})')
    (tmp_path / "model.py").write_text(text)
    assert projects.codes(projects.check(tmp_path, "LM111")) == []
