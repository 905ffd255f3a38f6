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


EARLY = """\
import torch
import pytorch_lightning as pl


class Warm(pl.LightningModule):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def validation_step(self, batch, batch_idx):
        return {"loss": self.net(batch).mean(), "scores": self.net(batch)}

    def validation_epoch_end(self, outputs):
        TEST
        loss = torch.stack([o["loss"] for o in outputs]).mean()
        self.log("val/loss", loss)
        self.draw(torch.cat([o["scores"] for o in outputs]))
"""


@pytest.mark.parametrize(
    ("test", "moved"),
    [
        ("if self.current_epoch < 3: return", False),
        ("if self.trainer.sanity_checking: return", True),
        ("if not outputs: return", True),
    ],
)
def test_a_mean_behind_an_early_return_stays_with_it(
    test: str, moved: bool, tmp_path: Path
) -> None:
    (tmp_path / "model.py").write_text(EARLY.replace("TEST", test))
    report = projects.fix(tmp_path)
    assert not report.failures
    text = (tmp_path / "model.py").read_text()
    hook = text.split("def on_validation_epoch_end", 1)[1]
    assert ('self.log("val/loss"' not in hook) == moved
    # A mean that stays is weighed there, so none is left that gives each batch one vote.
    assert projects.codes(projects.check(tmp_path)) == []
    assert ('o["loss"] * o["batch_size"]' in hook.split("return\n", 1)[1]) != moved


FILLED = """\
import pytorch_lightning as pl
from torch import nn
from torchmetrics import JaccardIndex


class Segmenter(pl.LightningModule):
    def __init__(self, classes=3):
        super().__init__()
        START
        for stage in ("train_", "val_"):
            FILL

    def validation_step(self, batch, batch_idx):
        scores, y = batch
        iou = self.metrics[KEY](scores, y)
        self.log("val/iou", iou)
"""
IOU = 'JaccardIndex(task="multiclass", num_classes=classes)'


@pytest.mark.parametrize(
    ("start", "fill", "key", "registered"),
    [
        ("self.metrics = nn.ModuleDict()", f"self.metrics[stage] = {IOU}", '"val_"', True),
        ("self.metrics = nn.ModuleDict({})", f"self.metrics[stage] = {IOU}", '"val_"', True),
        (
            "self.metrics = nn.ModuleDict()",
            f"self.metrics.update({{stage: {IOU}}})",
            '"val_"',
            True,
        ),
        ("self.metrics = nn.ModuleList()", f"self.metrics.append({IOU})", "1", True),
        ("self.metrics = {}", f"self.metrics[stage] = {IOU}", '"val_"', False),
    ],
)
def test_a_container_of_modules_registers_what_is_put_in_later(
    start: str, fill: str, key: str, registered: bool, tmp_path: Path
) -> None:
    text = FILLED.replace("START", start).replace("FILL", fill).replace("KEY", key)
    (tmp_path / "model.py").write_text(text)
    (only,) = projects.check(tmp_path, "LM102").diagnostics
    assert (only.fix is not None) == registered
    assert registered or "plain dict" in only.blocked


TRANSPOSED = """\
import torch
import pytorch_lightning as pl


class Regressor(pl.LightningModule):
    def validation_step(self, batch, batch_idx):
        x, y = batch
        return self.loss(x, y), x, y

    def validation_epoch_end(self, outs):
        losses, x, y = zip(*outs)
        self.log("all", self.loss(torch.cat(x), torch.cat(y)))
        self.log("loss", sum(losses) / len(losses))
"""


def test_outputs_turned_round_are_still_one_value_per_batch(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text(TRANSPOSED)
    (only,) = projects.check(tmp_path, "LM111").diagnostics
    assert '"loss"' in only.message


SIZED = """\
import pytorch_lightning as pl
from sklearn.metrics import f1_score
from torch import nn


class Leaves(pl.LightningModule):
    def __init__(self, cfg):
        super().__init__()
        self.save_hyperparameters()
        self.fc = nn.Linear(4, WIDTH)
        self.criterion = nn.CrossEntropyLoss()

    def forward(self, x):
        return self.fc(x)

    def validation_step(self, batch, batch_idx):
        x, y = batch
        out = self(x)
        self.log("loss", self.criterion(out, y))
        self.log("f1", f1_score(y.cpu(), out.argmax(-1).cpu(), average="macro"))
"""


@pytest.mark.parametrize(
    ("width", "fixed"),
    [
        ("cfg['classes']", True),
        ('cfg.model["classes"]', True),
        ("self.hparams['classes']", True),
        ("len(cfg['names'])", False),
        ("cfg[next(sizes)]", False),
    ],
)
def test_a_size_from_a_dict_of_settings(width: str, fixed: bool, tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text(SIZED.replace("WIDTH", width))
    (only,) = projects.check(tmp_path, "LM101").diagnostics
    assert (only.fix is not None) == fixed
