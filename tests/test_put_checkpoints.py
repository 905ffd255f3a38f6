"""A run that puts, saved in the middle of an epoch and resumed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from put_programs import (
    MARKS,
    ModelCheckpoint,
    Net,
    Written,
    data,
    fit,
    torch,
    torchmetrics,
    trainer,
)

from lintmetrics.put import PutRouter, PutWarning

pytestmark = MARKS


class Resumable:
    """A loader that goes on where it stopped, as those of torchdata do."""

    def __init__(self) -> None:
        self.place = 0

    def __iter__(self) -> Any:
        values = torch.arange(1.0, 7.0)
        self.place %= 6
        while self.place < 6:
            self.place += 1
            yield values[self.place - 1 : self.place]

    def __len__(self) -> int:
        return 6

    def state_dict(self) -> dict[str, int]:
        return {"place": self.place}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        self.place = state["place"]


class Measured(Net):
    """Puts the epoch values of metrics with number, list and extreme states."""

    def __init__(self) -> None:
        super().__init__()
        self.mean = torchmetrics.MeanMetric()
        self.values = torchmetrics.CatMetric()
        self.extremes = torchmetrics.MinMaxMetric(torchmetrics.MeanMetric())
        self.both = torchmetrics.MetricCollection(
            {"max": torchmetrics.MaxMetric(), "sum": torchmetrics.SumMetric()}
        )
        self.val_mean = torchmetrics.MeanMetric()

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        self.mean.update(batch, len(batch))
        self.values.update(batch)
        self.extremes.update(batch)
        self.extremes.compute()
        self.both.update(batch)
        return self.weight.sum() * batch.mean()

    def on_train_epoch_end(self) -> None:
        self.put("mean", self.mean.compute())
        self.put("median", self.values.compute().median())
        self.put_dict({f"extremes_{key}": value for key, value in self.extremes.compute().items()})
        self.put_dict(self.both.compute())
        for metric in (self.mean, self.values, self.extremes, self.both):
            metric.reset()


def _saved_in_the_middle(tmp_path: Path) -> tuple[Path, Written]:
    logger = Written()
    saving = ModelCheckpoint(tmp_path, every_n_train_steps=4, save_top_k=-1, filename="{step}")
    made = trainer(saving, PutRouter(), logger=logger, max_epochs=2, enable_checkpointing=True)
    made.fit(Measured(), Resumable())
    return tmp_path / "step=4.ckpt", logger


def _values(logger: Written) -> dict[str, list[float]]:
    keys = {key for _, row in logger.rows for key in row}
    return {key: [value for _, value in logger.of(key)] for key in keys}


def test_a_run_resumed_within_an_epoch_puts_the_numbers_of_an_uninterrupted_one(
    tmp_path: Path,
) -> None:
    saved, uninterrupted = _saved_in_the_middle(tmp_path)
    logger = Written()
    made = trainer(PutRouter(), logger=logger, max_epochs=2)
    made.fit(Measured(), Resumable(), ckpt_path=saved)
    # Not their steps: Lightning 2.0 to 2.4 counts one too few after such a resume, for log as well.
    assert _values(logger) == _values(uninterrupted)
    assert _values(logger)["mean"] == [3.5, 3.5]
    assert _values(logger)["extremes_min"] == [1.0, 1.0]


def test_without_the_router_state_such_a_run_would_be_wrong(tmp_path: Path) -> None:
    saved, _ = _saved_in_the_middle(tmp_path)
    held = torch.load(saved, weights_only=False)
    del held["callbacks"]["PutRouter"]
    torch.save(held, saved)
    logger = Written()
    trainer(PutRouter(), logger=logger, max_epochs=1).fit(Measured(), Resumable(), ckpt_path=saved)
    assert _values(logger)["mean"] == [5.5]


def test_metrics_that_share_their_states_are_all_resumed(tmp_path: Path) -> None:
    class Grouped(Net):
        """A collection in which TorchMetrics updates one metric for all."""

        def __init__(self) -> None:
            super().__init__()
            kinds = ("BinaryPrecision", "BinaryRecall", "BinarySpecificity")
            self.all = torchmetrics.MetricCollection(
                [getattr(torchmetrics.classification, kind)() for kind in kinds]
            )

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            self.all.update(torch.tensor([1, 0, 1]), torch.tensor([1, int(batch), 0]) % 2)
            return self.weight.sum() * batch.mean()

        def on_train_epoch_end(self) -> None:
            self.put_dict(self.all.compute())
            self.all.reset()

    saving = ModelCheckpoint(tmp_path, every_n_train_steps=4, save_top_k=-1, filename="{step}")
    whole, resumed = Written(), Written()
    made = trainer(saving, PutRouter(), logger=whole, max_epochs=2, enable_checkpointing=True)
    made.fit(Grouped(), Resumable())
    made = trainer(PutRouter(), logger=resumed, max_epochs=2)
    made.fit(Grouped(), Resumable(), ckpt_path=tmp_path / "step=4.ckpt")
    assert _values(resumed) == _values(whole)
    # Six positives of which three are found false: six true, six false; three odd ones missed.
    assert _values(whole)["BinaryPrecision"] == [0.5, 0.5]
    assert _values(whole)["BinaryRecall"] == pytest.approx([6 / 9, 6 / 9])


def test_the_router_state_is_plain_and_loads_as_weights_only(tmp_path: Path) -> None:
    saved, _ = _saved_in_the_middle(tmp_path)
    state = torch.load(saved, weights_only=False)["callbacks"]["PutRouter"]
    torch.save(state, tmp_path / "state.pt")
    again = torch.load(tmp_path / "state.pt", weights_only=True)
    assert set(again["ranks"][0]) >= {"mean", "values", "extremes", "both.max"}


def test_a_checkpoint_after_the_reset_holds_what_a_reset_leaves(tmp_path: Path) -> None:
    saving = ModelCheckpoint(tmp_path, save_on_train_epoch_end=True, filename="end")
    made = trainer(saving, PutRouter(), enable_checkpointing=True)
    made.fit(Measured(), Resumable())
    held = torch.load(tmp_path / "end.ckpt", weights_only=False)["callbacks"]["PutRouter"]
    # MinMaxMetric keeps its extremes over a reset of TorchMetrics 1.9.
    assert held == {"ranks": [{"extremes": {"min_val": 1.0, "max_val": 3.5}}]}


def test_evaluation_of_a_checkpoint_starts_with_empty_metrics(tmp_path: Path) -> None:
    saved, _ = _saved_in_the_middle(tmp_path)
    model = Measured()
    trainer(PutRouter()).validate(model, data(1), ckpt_path=saved, verbose=False)
    assert model.mean._update_count == 0


def test_metrics_of_another_number_of_processes_are_not_taken(tmp_path: Path) -> None:
    saved, _ = _saved_in_the_middle(tmp_path)
    held = torch.load(saved, weights_only=False)
    held["callbacks"]["PutRouter"]["ranks"] *= 2
    torch.save(held, saved)
    logger = Written()
    made = trainer(PutRouter(), logger=logger)
    with pytest.warns(PutWarning, match="2 processes in the middle of an epoch"):
        made.fit(Measured(), Resumable(), ckpt_path=saved)
    assert _values(logger)["mean"] == [5.5]


def test_what_a_metric_of_the_module_held_gives_way_to_the_checkpoint(tmp_path: Path) -> None:
    saved, _ = _saved_in_the_middle(tmp_path)
    model = Measured()
    model.val_mean.update(7.0)
    model.mean.update(100.0)
    logger = Written()
    trainer(PutRouter(), logger=logger).fit(model, Resumable(), ckpt_path=saved)
    assert _values(logger)["mean"] == [3.5]
    assert model.val_mean._update_count == 0


def test_what_came_before_a_checkpoint_is_delivered_before_it(tmp_path: Path) -> None:
    logger = Written()
    seen: list[int] = []

    class Saving(ModelCheckpoint):  # type: ignore[misc]
        def _save_checkpoint(self, trainer: Any, filepath: str) -> None:
            super()._save_checkpoint(trainer, filepath)
            seen.append(len(logger.of("a")))

    model = Net(on_train_epoch_end=lambda self: self.put("a", 1.0))
    saving = Saving(tmp_path, save_on_train_epoch_end=True)
    fit(model, saving, PutRouter(), logger=logger, enable_checkpointing=True)
    assert seen[0] == 1
