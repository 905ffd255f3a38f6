"""What a step costs with 1, 10 and 100 metrics under ``self.log`` and under ``put``.

A linear model is trained on the CPU with a logger that keeps nothing, several times in turn:
bare, with ``self.log``, with ``put``, and again. A time is the median step of the fastest round,
because other programs only ever add to it; what metrics add is that less the bare one's, by kind:

- step: a number in each step, written to loggers, progress bar and monitors at each step;
- epoch: metric objects (TorchMetrics ``MeanMetric``) that are updated in each step and reported at
  the end of the epoch: ``self.log(key, metric)`` beside ``put(key, metric.compute())``.

Prints a table for ``benchmarks/README.md``. Needs the verify extra:
``python benchmarks/put_overhead.py [--rounds 5] [--steps 200]``.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import time
import warnings
from typing import Any

import lightning
import lightning.pytorch as pl
import torch
import torchmetrics
from torch.utils.data import DataLoader

from lintmetrics.put import PutMixin, PutRouter

SIZES = (1, 10, 100)


class Nowhere(pl.loggers.logger.Logger):
    """A logger whose own cost is nothing."""

    name = version = "nowhere"

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Take the metrics."""

    def log_hyperparams(self, *_: Any, **__: Any) -> None:
        """Take the hyperparameters."""


class Tiny(PutMixin, pl.LightningModule):
    """A linear model that hands on ``size`` metrics in one of the ways."""

    def __init__(self, way: str, kind: str, size: int) -> None:
        super().__init__()
        self.net = torch.nn.Linear(8, 1)
        self.way, self.kind = way, kind
        self.keys = [f"metric_{number}" for number in range(size)]
        made = {key: torchmetrics.MeanMetric() for key in self.keys if kind == "epoch"}
        self.metrics = torch.nn.ModuleDict(made)
        self.times: list[float] = []

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        """Return the loss, after handing the metrics on."""
        loss = self.net(batch).square().mean()
        if self.kind == "epoch":
            for metric in self.metrics.values():
                metric.update(loss.detach(), 4)
        if self.way == "log":
            for key in self.keys:
                if self.kind == "epoch":
                    self.log(key, self.metrics[key], on_step=False, on_epoch=True)
                else:
                    self.log(key, loss, prog_bar=True)
        elif self.way == "put" and self.kind == "step":
            for key in self.keys:
                self.put(key, loss)
        return loss

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Take the time: from here to the next one is a step with all that belongs to it."""
        self.times.append(time.perf_counter())

    def on_train_epoch_end(self) -> None:
        """Hand the values of the epoch on, and close the last step's time after it."""
        if self.way == "put" and self.kind == "epoch":
            for key, metric in self.metrics.items():
                self.put(key, metric.compute())
                metric.reset()

    def on_train_end(self) -> None:
        """Close the time of the last step, which holds the end of the epoch."""
        self.times.append(time.perf_counter())

    def configure_optimizers(self) -> Any:
        """Return the optimizer."""
        return torch.optim.SGD(self.parameters(), lr=0.01)


def train(way: str, kind: str, size: int, steps: int) -> float:
    """Return the seconds of a step: of the median step, or for epochs of all divided by steps."""
    model = Tiny(way, kind, size)
    trainer = pl.Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=Nowhere(),
        log_every_n_steps=1,
        callbacks=[PutRouter()] if way == "put" else [],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model, DataLoader(torch.randn(steps * 4, 8), batch_size=4))
    lengths = [after - before for before, after in zip(model.times, model.times[1:], strict=False)]
    # The first steps warm up. What an epoch costs is in its last step, so that counts in full.
    warm = lengths[10:-1]
    if kind == "step":
        return statistics.median(warm)
    return statistics.median(warm) + lengths[-1] / steps


def main() -> None:
    """Train in turn and print the table."""
    arguments = argparse.ArgumentParser(description="time per step under self.log and under put")
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--steps", type=int, default=200)
    given = arguments.parse_args()
    warnings.simplefilter("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    print(
        f"Lightning {lightning.__version__}, torch {torch.__version__}, TorchMetrics "
        f"{torchmetrics.__version__}; {given.rounds} rounds of {given.steps} steps\n"
    )
    print("| kind | metrics | bare step, µs | log, µs | put, µs | put / log | added: put / log |")
    print("|---|---|---|---|---|---|---|")
    for kind in ("step", "epoch"):
        for size in SIZES:
            found: dict[str, list[float]] = {"bare": [], "log": [], "put": []}
            for _ in range(given.rounds):
                for way, times in found.items():
                    times.append(train(way, kind, size, given.steps) * 1e6)
            bare, log, put = (min(times) for times in found.values())
            added = (put - bare) / (log - bare)
            print(
                f"| {kind} | {size} | {bare:.0f} | {log:.0f} | {put:.0f} | {put / log:.2f} "
                f"| {added:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
