"""Modules, loggers and destinations for trainings of a few steps, in which something is put."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

torch: Any = pytest.importorskip("torch", reason="put needs torch; install the verify extra")
torchmetrics: Any = pytest.importorskip("torchmetrics", reason="needs the verify extra")
pytest.importorskip("lintmetrics.put", reason="put needs Lightning", exc_type=ImportError)

from lintmetrics import put  # noqa: E402
from lintmetrics.put import PutMixin, PutRecord  # noqa: E402

pl: Any = put._lightning_root()
Module: Any = pl.LightningModule
Callback: Any = pl.Callback
Logger: Any = pl.loggers.logger.Logger
ModelCheckpoint: Any = pl.callbacks.ModelCheckpoint
ProgressBar: Any = pl.callbacks.ProgressBar
Part: Any = torch.nn.Module

MARKS = [
    pytest.mark.training,
    pytest.mark.filterwarnings("ignore"),
    # What put says itself is never only noise.
    pytest.mark.filterwarnings("error::lintmetrics.put.PutWarning"),
]

EVERYWHERE = ("loggers", "progress_bar", "callbacks")
Rows = list[tuple[int | None, dict[str, Any]]]


class Written(Logger):  # type: ignore[misc]
    """A logger that keeps its calls."""

    name = version = "written"

    def __init__(self) -> None:
        super().__init__()
        self.rows: Rows = []
        self.saved = 0

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self.rows.append((step, metrics))

    def log_hyperparams(self, *_: Any, **__: Any) -> None:
        pass

    def save(self) -> None:
        self.saved += 1

    def of(self, key: str) -> list[tuple[int | None, float]]:
        return [(step, row[key]) for step, row in self.rows if key in row]


class Net(PutMixin, Module):  # type: ignore[misc]
    """Trains on numbers; ``when`` says what to do in which hook."""

    def __init__(self, **when: Callable[..., Any]) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))
        self.when = when

    def do(self, hook: str) -> None:
        if hook in self.when:
            self.when[hook](self)

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        loss = (self.weight * batch.mean()).sum()
        if "training_step" in self.when:
            self.when["training_step"](self, batch, loss)
        return loss

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        if "validation_step" in self.when:
            self.when["validation_step"](self, batch, dataloader_idx)

    test_step = predict_step = validation_step

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def on_train_epoch_end(self) -> None:
        self.do("on_train_epoch_end")

    def on_validation_epoch_end(self) -> None:
        self.do("on_validation_epoch_end")

    def on_train_batch_end(self, *_: Any) -> None:
        self.do("on_train_batch_end")

    def on_fit_start(self) -> None:
        self.do("on_fit_start")

    def teardown(self, stage: str) -> None:
        self.do("teardown")


def data(count: int = 4, size: int = 1) -> Any:
    numbers = torch.arange(1.0, 1.0 + count * size)
    return torch.utils.data.DataLoader(numbers, batch_size=size)


def trainer(*callbacks: Any, **options: Any) -> Any:
    quiet = dict.fromkeys(
        ("enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False
    )
    given = {"max_epochs": 1, "logger": False, "log_every_n_steps": 1, "accelerator": "cpu"}
    return pl.Trainer(**{**quiet, **given, "callbacks": list(callbacks), **options})


def fit(model: Any, *callbacks: Any, validation: Any = None, **options: Any) -> Any:
    made = trainer(*callbacks, **options)
    made.fit(model, data(), validation)
    return made


class Kept:
    """A destination that keeps what it gets."""

    def __init__(self) -> None:
        self.records: list[PutRecord] = []
        self.deliveries: list[list[str]] = []

    def __call__(self, trainer: Any, records: Sequence[PutRecord]) -> None:
        self.records.extend(records)
        self.deliveries.append([record.name for record in records])

    @property
    def names(self) -> list[str]:
        return [record.name for record in self.records]
