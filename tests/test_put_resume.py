"""A program that ``fix --style put`` wrote, stopped within an epoch and resumed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

torch: Any = pytest.importorskip("torch", reason="needs the verify extra")
pl: Any = pytest.importorskip("lightning.pytorch", reason="needs the verify extra")
pytest.importorskip("torchmetrics", reason="needs the verify extra")
pytest.importorskip("sklearn", reason="needs scikit-learn")

pytestmark = [pytest.mark.training, pytest.mark.filterwarnings("ignore")]
PROGRAM = Path(__file__).parents[1] / "fixtures/put_metrics/after.py"
BATCHES = 5
# Within the second epoch, which is what the numbers at the end speak of.
SAVED_AT = BATCHES + 3


class Digits:
    """A loader that goes on where it stopped, with a short last batch."""

    def __init__(self) -> None:
        self.place = 0
        made = torch.Generator().manual_seed(5)
        self.x = torch.rand(70, 64, generator=made)
        self.y = torch.randint(10, (70,), generator=made)

    def __iter__(self) -> Any:
        self.place %= BATCHES
        while self.place < BATCHES:
            rows = slice(16 * self.place, 16 * self.place + 16)
            self.place += 1
            yield self.x[rows], self.y[rows]

    def __len__(self) -> int:
        return BATCHES

    def state_dict(self) -> dict[str, int]:
        return {"place": self.place}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        self.place = state["place"]


def _program() -> ModuleType:
    """Return the program as a module, under the name that Lightning has here."""
    text = PROGRAM.read_text(encoding="utf-8").replace("pytorch_lightning", "lightning.pytorch")
    module = ModuleType("put_metrics_after")
    exec(compile(text, PROGRAM, "exec"), module.__dict__)
    return module


def _numbers(program: ModuleType, folder: Path, resumed: Path | None = None) -> dict[str, float]:
    pl.seed_everything(1)
    saving = pl.callbacks.ModelCheckpoint(
        folder, every_n_train_steps=SAVED_AT, save_top_k=-1, filename="{step}"
    )
    trainer = pl.Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger=False,
        callbacks=[saving, program.PutRouter()],
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )
    trainer.fit(program.DigitClassifier(), Digits(), Digits(), ckpt_path=resumed)
    return {key: float(value) for key, value in trainer.callback_metrics.items()}


def test_a_resumed_run_ends_with_the_numbers_of_an_uninterrupted_one(tmp_path: Path) -> None:
    program = _program()
    whole = _numbers(program, tmp_path)
    half = tmp_path / f"step={SAVED_AT}.ckpt"
    assert {"train_acc_epoch", "confidence", "val_loss", "val/f1", "val_odd"} <= whole.keys()
    assert _numbers(program, tmp_path / "again", half) == whole


def test_without_what_the_router_keeps_it_would_not(tmp_path: Path) -> None:
    program = _program()
    whole = _numbers(program, tmp_path)
    half = tmp_path / f"step={SAVED_AT}.ckpt"
    held = torch.load(half, weights_only=False)
    del held["callbacks"]["PutRouter"]
    torch.save(held, half)
    resumed = _numbers(program, tmp_path / "again", half)
    apart = {key for key in whole if resumed[key] != whole[key]}
    assert apart == {"train_acc", "train_acc_epoch", "confidence"}
