"""A repository that nobody wrote: 2,000 files, of which 200 hold a LightningModule.

A tenth of the modules shares a base class with others of its package, a fifth stays on Lightning 1,
each has its own metrics, and every package has a file of helpers, one of data and plain code around
them. The same numbers give the same files.
"""

from __future__ import annotations

import random
from pathlib import Path

PACKAGES = 20
MODULES, FILES = 200, 2000
METRICS = (
    ("f1", "F1Score(task='multiclass', num_classes={classes}, average='macro')", "f1_score"),
    ("auroc", "AUROC(task='multiclass', num_classes={classes})", "auroc"),
    ("acc", "Accuracy(task='multiclass', num_classes={classes})", "accuracy"),
)
HEAD = '''"""Model {number} of {package}."""

import pytorch_lightning as pl
import torch
import torchmetrics
from torch import nn
from torch.nn import functional as F

from {package}.blocks import encoder_{block}
from {package}.losses import smooth_{block}


class {name}({base}):
    """A classifier over {classes} classes."""

    def __init__(self, width={width}, lr=1e-3, weight_decay=0.0):
        super().__init__()
        self.save_hyperparameters()
        self.encoder = encoder_{block}(width)
        self.head = nn.Linear(width, {classes})
{created}
        self.best = torchmetrics.MaxMetric()
{lists}
    def forward(self, x):
        return self.head(self.encoder(x))

    def _shared_step(self, batch, stage):
        x, y = batch
        logits = self(x)
        loss = F.cross_entropy(logits, y) + smooth_{block}(logits)
        self.log(f"{{stage}}/loss", loss, on_epoch=True, batch_size=len(x))
        return loss, logits, y

    def training_step(self, batch, batch_idx):
        loss, logits, y = self._shared_step(batch, "train")
{train}
        return loss

    def validation_step(self, batch, batch_idx):
        loss, logits, y = self._shared_step(batch, "val")
        probabilities = logits.softmax(-1)
{evaluated}
        return {{"loss": loss, "logits": logits, "target": y}}

    def test_step(self, batch, batch_idx):
        loss, logits, y = self._shared_step(batch, "test")
        self.log("test/rmse", F.mse_loss(logits.argmax(-1).float(), y.float()).sqrt())
        return loss
{hooks}
    def configure_optimizers(self):
        optimizer = torch.optim.AdamW(
            self.parameters(), lr=self.hparams.lr, weight_decay=self.hparams.weight_decay
        )
        scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=3)
        return {{
            "optimizer": optimizer,
            "lr_scheduler": {{"scheduler": scheduler, "monitor": "val/loss"}},
        }}


def train(data, epochs={epochs}):
    checkpoint = pl.callbacks.ModelCheckpoint(monitor="val/loss", save_top_k=2)
    trainer = pl.Trainer({trainer}, max_epochs=epochs, callbacks=[checkpoint])
    trainer.fit({name}(), data)
    return trainer
'''
OLD_HOOK = """
    def validation_epoch_end(self, outputs):
        loss = torch.stack([output["loss"] for output in outputs]).mean()
        self.log("val/mean_loss", loss)
"""
NEW_HOOK = """
    def on_validation_epoch_end(self):
        self.best.update(self.val_{metric}.compute())
        self.log("val/best_{metric}", self.best.compute())
"""
PLAIN = '''"""Part {number} of {package}: what is read, cut and counted."""

import json
import math
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Record{number}:
    name: str
    values: list[float] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)

    def mean(self) -> float:
        return sum(self.values) / max(1, len(self.values))

    def spread(self) -> float:
        middle = self.mean()
        return math.sqrt(sum((value - middle) ** 2 for value in self.values))


def read_{number}(path: Path) -> list[Record{number}]:
    found = []
    for line in path.read_text().splitlines():
        if not line.strip():
            continue
        entry = json.loads(line)
        found.append(Record{number}(entry["name"], entry["values"], entry["tags"]))
    return found


def grouped_{number}(records: list[Record{number}], tag: str) -> dict[str, list[Record{number}]]:
    groups: dict[str, list[Record{number}]] = defaultdict(list)
    for record in records:
        groups[record.tags.get(tag, "none")].append(record)
    return dict(groups)


def counts_{number}(records: list[Record{number}]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for record in records:
        counts.update(record.tags.values())
    log = {{name: math.log1p(times) for name, times in counts.items()}}
    print(sorted(log, key=log.__getitem__)[:{limit}])
    return counts
'''
BLOCKS = """import torch
from torch import nn


{functions}
"""
BLOCK = """def encoder_{n}(width):
    layers = [nn.Linear({n} + 4, width), nn.ReLU(), nn.Dropout(0.{n})]
    return nn.Sequential(*layers, nn.Linear(width, width))
"""
LOSS = """def smooth_{n}(logits):
    return (logits.logsumexp(-1) ** 2).mean() * 1e-{n}
"""


def written(folder: Path) -> Path:
    """Write the repository into a folder; return it."""
    rng = random.Random(7)
    (folder / "pyproject.toml").parent.mkdir(parents=True, exist_ok=True)
    (folder / "pyproject.toml").write_text('[project]\nname = "synthetic"\nversion = "1"\n')
    per_package = FILES // PACKAGES
    for part in range(PACKAGES):
        package = f"part_{part}"
        home = folder / package
        home.mkdir()
        files = {"__init__.py": ""}
        files["blocks.py"] = BLOCKS.format(
            functions="\n\n".join(BLOCK.format(n=n) for n in range(1, 6))
        )
        files["losses.py"] = "\n\n".join(LOSS.format(n=n) for n in range(1, 6))
        for number in range(MODULES // PACKAGES):
            files[f"model_{number}.py"] = _model(package, number, rng)
        for number in range(per_package - len(files)):
            files[f"plain_{number}.py"] = PLAIN.format(
                number=number, package=package, limit=rng.randint(3, 40)
            )
        for name, text in files.items():
            (home / name).write_text(text, encoding="utf-8")
    return folder


def _model(package: str, number: int, rng: random.Random) -> str:
    metric, made, function = METRICS[number % len(METRICS)]
    classes = rng.randint(3, 20)
    is_old = number % 5 == 0
    derives = number % 10 == 9
    made = made.format(classes=classes)
    created = f"        self.train_{metric} = torchmetrics.{made}\n"
    created += f"        self.val_{metric} = torchmetrics.{made}"
    train = f'        self.log("train/{metric}", self.train_{metric}(logits, y))'
    if number % 3 == 0:
        evaluated = (
            f'        self.log("val/{metric}", torchmetrics.functional.{function}('
            f'probabilities, y, task="multiclass", num_classes={classes}))'
        )
    else:
        evaluated = (
            f"        self.val_{metric}.update(probabilities, y)\n"
            f'        self.log("val/{metric}", self.val_{metric})'
        )
    text = HEAD.format(
        number=number,
        package=package,
        block=rng.randint(1, 5),
        name=f"Model{number}",
        base="Model8" if derives else "pl.LightningModule",
        classes=classes,
        width=rng.choice((16, 32, 64)),
        created=created,
        lists="        self.outputs = []\n" if number % 4 == 0 else "",
        train=train,
        evaluated=evaluated,
        hooks=OLD_HOOK if is_old else NEW_HOOK.format(metric=metric),
        epochs=rng.randint(1, 90),
        trainer="gpus=1" if is_old else "accelerator='gpu', devices=1",
    )
    if derives:
        text = text.replace(
            f"from {package}.blocks", f"from {package}.model_8 import Model8\nfrom {package}.blocks"
        )
    return text
