"""``put`` in two processes: whose numbers go where, and what a resume finds again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent

# Both trainings and both processes come from one start of Python, which imports Lightning once.
PROGRAM = """
import json
import sys
import warnings

from lintmetrics import put
from lintmetrics.put import PutMixin, PutRouter

pl = put._lightning_root()
import torch
import torchmetrics

torch.set_num_threads(1)


class Written(pl.loggers.logger.Logger):
    name = version = "written"

    def __init__(self):
        super().__init__()
        self.rows = []

    def log_metrics(self, metrics, step=None):
        self.rows.append([step, metrics])

    def log_hyperparams(self, *_, **__):
        pass


class Numbers:
    def __init__(self, rank):
        self.place = 0
        self.values = torch.arange(1.0, 7.0) + 10 * rank

    def __iter__(self):
        self.place %= 6
        while self.place < 6:
            self.place += 1
            yield self.values[self.place - 1 : self.place]

    def __len__(self):
        return 6

    def state_dict(self):
        return {"place": self.place}

    def load_state_dict(self, state):
        self.place = state["place"]


class Net(PutMixin, pl.LightningModule):
    def __init__(self, out):
        super().__init__()
        self.out = out
        self.weight = torch.nn.Parameter(torch.ones(1))
        self.mean = torchmetrics.MeanMetric()
        self.all = torchmetrics.CatMetric()
        self.records = []

    def train_dataloader(self):
        return Numbers(self.trainer.global_rank)

    def setup(self, stage):
        router = next(item for item in self.trainer.callbacks if isinstance(item, PutRouter))
        router.register("kept", lambda trainer, found: self.records.extend(found))

    def training_step(self, batch, batch_idx):
        self.mean.update(batch)
        self.all.update(batch)
        self.put("own", batch, ("callbacks", "loggers", "kept"))
        return (self.weight * batch).sum()

    def on_train_epoch_end(self):
        self.put("mean", self.mean.compute())
        self.put("median", self.all.compute().median())
        self.mean.reset()
        self.all.reset()

    def on_train_end(self):
        found = {
            "rows": self.trainer.logger.rows,
            "monitored": {key: float(v) for key, v in self.trainer.callback_metrics.items()},
            "kept": [float(record.value) for record in self.records],
        }
        with open(f"{self.out}-{self.trainer.global_rank}.json", "w") as file:
            json.dump(found, file)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.0)


def train(out, ckpt_path=None):
    saving = pl.callbacks.ModelCheckpoint(
        "saved", every_n_train_steps=4, save_top_k=-1, filename="{step}"
    )
    pl.Trainer(
        max_epochs=2,
        accelerator="cpu",
        devices=2,
        strategy="ddp_fork",
        logger=Written(),
        log_every_n_steps=1,
        use_distributed_sampler=False,
        callbacks=[PutRouter(), saving] if ckpt_path is None else [PutRouter()],
        enable_checkpointing=ckpt_path is None,
        enable_progress_bar=False,
        enable_model_summary=False,
    ).fit(Net(out), ckpt_path=ckpt_path)


if __name__ == "__main__":
    train("whole")
    train("resumed", "saved/step=4.ckpt")
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not hasattr(os, "fork"):
        pytest.skip("processes are forked here")
    for needed in ("torch", "torchmetrics"):
        pytest.importorskip(needed, reason="training needs the verify extra")
    pytest.importorskip("lintmetrics.put", reason="put needs Lightning", exc_type=ImportError)
    folder = tmp_path_factory.mktemp("two")
    (folder / "train.py").write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "train.py"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return folder


def read(folder: Path, name: str, rank: int) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / f"{name}-{rank}.json").read_text())
    return found


def values(found: dict[str, Any], key: str) -> list[float]:
    return [row[key] for _, row in found["rows"] if key in row]


@pytest.mark.training
def test_a_computed_metric_is_that_of_all_processes(trained: Path) -> None:
    first = read(trained, "whole", 0)
    # 1 to 6 in one process, 11 to 16 in the other.
    assert values(first, "mean") == [8.5, 8.5]
    assert values(first, "median") == [6.0, 6.0]


@pytest.mark.training
def test_every_process_monitors_and_one_writes(trained: Path) -> None:
    first, second = (read(trained, "whole", rank) for rank in (0, 1))
    for found in (first, second):
        assert found["monitored"]["mean"] == 8.5
    assert len(first["rows"]) == 14
    assert second["rows"] == []


@pytest.mark.training
def test_put_itself_synchronises_nothing(trained: Path) -> None:
    first, second = (read(trained, "whole", rank) for rank in (0, 1))
    assert (first["monitored"]["own"], second["monitored"]["own"]) == (6.0, 16.0)
    assert values(first, "own") == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0] * 2


@pytest.mark.training
def test_a_destination_of_ones_own_is_called_in_every_process(trained: Path) -> None:
    for rank in (0, 1):
        kept = read(trained, "whole", rank)["kept"]
        assert kept == [10.0 * rank + number for number in range(1, 7)] * 2


@pytest.mark.training
def test_each_process_finds_its_half_of_the_epoch_again(trained: Path) -> None:
    for key in ("mean", "median"):
        whole, resumed = (values(read(trained, name, 0), key) for name in ("whole", "resumed"))
        assert resumed == whole
    assert read(trained, "resumed", 1)["kept"][:2] == [15.0, 16.0]


@pytest.mark.training
def test_a_checkpoint_holds_what_each_process_has_gathered(trained: Path) -> None:
    import torch

    held = torch.load(trained / "saved/step=4.ckpt", weights_only=False)
    ranks = held["callbacks"]["PutRouter"]["ranks"]
    assert [float(rank["mean"]["mean_value"]) for rank in ranks] == [10.0, 50.0]
