"""The same model with ``self.log``, with TorchMetrics, and with ``put``: what each reports.

The classes below stand in ``docs/put.md`` as they stand here. Each is trained on series whose
batches have time first and whose last batch is short: on one process, on two, and on one that stops
within an epoch and is resumed from its checkpoint. Every number is beside the one that scikit-learn
and NumPy work out from the answers for all samples; one in bold is not that.

Prints the table of ``docs/put.md``. Needs the verify extra and scikit-learn:
``python benchmarks/three_styles.py``.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from sklearn.metrics import f1_score
from torch.nn import functional as F
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassF1Score
from torchmetrics.functional.classification import multiclass_f1_score

from lintmetrics.put import PutMixin, PutRouter

CLASSES, TIME, FEATURES = 3, 6, 4
TRAIN, VAL, BATCH = 88, 52, 16


class Base(pl.LightningModule):
    """What the three have in common: a network over series, and what it answered."""

    def __init__(self) -> None:
        super().__init__()
        self.net = torch.nn.GRU(FEATURES, CLASSES)
        self.answers: dict[str, list[tuple[torch.Tensor, torch.Tensor]]] = {"train": [], "val": []}

    def scored(self, batch: Any, stage: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return scores, labels and the loss of a batch whose series have time first."""
        series, labels = batch
        scores = self.net(series)[0][-1] * 4
        self.answers[stage].append((scores.detach(), labels))
        return scores, labels, F.cross_entropy(scores, labels)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Train with plain gradient descent."""
        return torch.optim.SGD(self.parameters(), lr=0.05)


class WithLog(Base):
    def training_step(self, batch, batch_idx):
        scores, labels, loss = self.scored(batch, "train")
        f1 = multiclass_f1_score(scores, labels, CLASSES)
        self.log("train_f1", f1, on_step=False, on_epoch=True, sync_dist=True)
        return loss

    def validation_step(self, batch, batch_idx):
        scores, labels, loss = self.scored(batch, "val")
        self.log("val_loss", loss, sync_dist=True)
        self.log("val_f1", multiclass_f1_score(scores, labels, CLASSES), sync_dist=True)


class WithTorchMetrics(Base):
    def __init__(self):
        super().__init__()
        self.train_f1 = MulticlassF1Score(CLASSES)
        self.val_f1 = MulticlassF1Score(CLASSES)

    def training_step(self, batch, batch_idx):
        scores, labels, loss = self.scored(batch, "train")
        self.train_f1(scores, labels)
        self.log("train_f1", self.train_f1, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):
        scores, labels, loss = self.scored(batch, "val")
        self.val_f1(scores, labels)
        self.log("val_loss", loss, sync_dist=True)
        self.log("val_f1", self.val_f1)


class WithPut(PutMixin, Base):
    def __init__(self):
        super().__init__()
        self.train_f1 = MulticlassF1Score(CLASSES)
        self.val_f1 = MulticlassF1Score(CLASSES)
        self.val_loss = MeanMetric()

    def training_step(self, batch, batch_idx):
        scores, labels, loss = self.scored(batch, "train")
        self.train_f1.update(scores, labels)
        return loss

    def on_train_epoch_end(self):
        self.put("train_f1", self.train_f1.compute())
        self.train_f1.reset()

    def validation_step(self, batch, batch_idx):
        scores, labels, loss = self.scored(batch, "val")
        self.val_f1.update(scores, labels)
        self.val_loss.update(loss, labels.size(0))

    def on_validation_epoch_end(self):
        self.put("val_loss", self.val_loss.compute())
        self.put("val_f1", self.val_f1.compute())
        self.val_loss.reset()
        self.val_f1.reset()


STYLES = {"log": WithLog, "torchmetrics": WithTorchMetrics, "put": WithPut}


# Data -------------------------------------------------------------------------------------------


class Series:
    """Batches with time first; goes on where a checkpoint left it, as Lightning asks for."""

    def __init__(self, count: int, seed: int, rank: int, world: int) -> None:
        made = torch.Generator().manual_seed(seed)
        self.labels = torch.randint(CLASSES, (count,), generator=made)
        noise = torch.randn(TIME, count, FEATURES, generator=made)
        self.series = noise + F.one_hot(self.labels, FEATURES) * 0.8
        rows = [torch.arange(s, min(s + BATCH, count)) for s in range(0, count, BATCH)]
        self.rows = [batch[rank::world] for batch in rows]
        self.done = 0

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        first, self.done = self.done, 0
        for number in range(first, len(self.rows)):
            self.done = (number + 1) % len(self.rows)
            yield self.series[:, self.rows[number]], self.labels[self.rows[number]]

    def state_dict(self) -> dict[str, int]:
        """Return how many batches of the epoch are done."""
        return {"done": self.done}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on behind the batches that are done."""
        self.done = state["done"]


# Training ---------------------------------------------------------------------------------------


class Watch(pl.Callback):
    """Keeps the answers of the last epoch only; stops a run where it is told to."""

    def __init__(self, stop_at: int = 0) -> None:
        self.stop_at = stop_at

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """Forget the training answers of the epoch before."""
        pl_module.answers["train"].clear()

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        """Forget the validation answers of the epoch before."""
        pl_module.answers["val"].clear()

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        """Break off as a machine that goes down does: without an end of the epoch."""
        if trainer.global_step == self.stop_at:
            trainer.save_checkpoint("half.ckpt")
            os._exit(0)


def train(style: str, world: int, stop_at: int = 0, resume: bool = False) -> None:
    """Train in the working directory; leave the numbers reported, and the answers of a process."""
    warnings.simplefilter("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    pl.seed_everything(2)
    rank = int(os.environ.get("LOCAL_RANK", "0"))
    model = STYLES[style]()
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=world,
        strategy="ddp" if world > 1 else "auto",
        max_epochs=2,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[Watch(stop_at), *([PutRouter()] if style == "put" else [])],
    )
    data = [Series(count, seed, rank, world) for seed, count in enumerate((TRAIN, VAL))]
    trainer.fit(model, *data, ckpt_path="half.ckpt" if resume else None)
    answers = {
        stage: [[s.argmax(1).tolist(), t.tolist(), s.tolist()] for s, t in batches]
        for stage, batches in model.answers.items()
    }
    Path(f"answers-{trainer.global_rank}.json").write_text(json.dumps(answers), encoding="utf-8")
    if trainer.is_global_zero:
        reported = {key: float(value) for key, value in trainer.callback_metrics.items()}
        Path("reported.json").write_text(json.dumps(reported), encoding="utf-8")


# The table --------------------------------------------------------------------------------------


def truth(folder: Path) -> dict[str, float]:
    """Return the numbers of the last epoch, worked out from the answers of all processes."""
    joined: dict[str, list[Any]] = {"train": [], "val": []}
    for path in sorted(folder.glob("answers-*.json")):
        for stage, batches in json.loads(path.read_text(encoding="utf-8")).items():
            joined[stage] += batches
    found: dict[str, float] = {}
    for stage, batches in joined.items():
        answers = np.concatenate([np.array(batch[0]) for batch in batches])
        labels = np.concatenate([np.array(batch[1]) for batch in batches])
        found[f"{stage}_f1"] = float(f1_score(labels, answers, average="macro"))
        if stage == "val":
            scores = np.concatenate([np.array(batch[2]) for batch in batches])
            shifted = scores - scores.max(1, keepdims=True)
            logs = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
            found["val_loss"] = float(-logs[np.arange(len(labels)), labels].mean())
    return found


def run(folder: Path, style: str, *options: str) -> None:
    """Train in a process of its own, in a folder."""
    command = [sys.executable, os.path.abspath(__file__), "--train", style, *options]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


def row(what: str, true: float, reported: dict[str, float]) -> str:
    """Return a row of the table: what is true, and what each style reports."""
    cells = []
    for style in STYLES:
        value = reported[style]
        cells.append(f"{value:.4f}" if abs(value - true) < 1e-5 else f"**{value:.4f}**")
    return f"| {what} | {true:.4f} | {' | '.join(cells)} |"


def main() -> None:
    """Train each style in each way, and print what it reports beside what is true."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--train", choices=STYLES, help=argparse.SUPPRESS)
    parser.add_argument("--world", type=int, default=1, help=argparse.SUPPRESS)
    parser.add_argument("--stop-at", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--resume", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.train:
        train(options.train, options.world, options.stop_at, options.resume)
        return
    print("| what is reported | true | `log` | TorchMetrics | `put` |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        whole: dict[str, float] = {}
        for world, where in ((1, "one process"), (2, "two processes")):
            reported: dict[str, dict[str, float]] = {}
            for style in STYLES:
                folder = Path(scratch, f"{style}-{world}")
                folder.mkdir()
                run(folder, style, "--world", str(world))
                reported[style] = json.loads((folder / "reported.json").read_text(encoding="utf-8"))
                true = truth(folder)
            whole = whole or true
            for key in ("val_f1", "val_loss", "train_f1"):
                shown = {style: reported[style][key] for style in STYLES}
                print(row(f"`{key}`, {where}", true[key], shown))
        resumed: dict[str, float] = {}
        for style in STYLES:
            folder = Path(scratch, f"{style}-resumed")
            folder.mkdir()
            run(folder, style, "--stop-at", str(len(Series(TRAIN, 0, 0, 1)) + 3))
            run(folder, style, "--resume")
            text = (folder / "reported.json").read_text(encoding="utf-8")
            resumed[style] = json.loads(text)["train_f1"]
        print(row("`train_f1`, resumed within the epoch", whole["train_f1"], resumed))


if __name__ == "__main__":
    main()
