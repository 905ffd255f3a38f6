"""Where what is put arrives: the destinations of a router, and rows as ``log`` writes them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from put_programs import (
    EVERYWHERE,
    MARKS,
    Callback,
    Kept,
    Net,
    ProgressBar,
    Written,
    data,
    fit,
    pl,
    torch,
    torchmetrics,
    trainer,
)

from lintmetrics import put
from lintmetrics.put import PutError, PutRecord, PutRouter

pytestmark = MARKS


# Destinations -----------------------------------------------------------------------------------


def test_a_destination_that_is_not_there_is_refused_with_the_nearest_name() -> None:
    model = Net(training_step=lambda self, *_: self.put("loss", 1.0, "logger"))
    with pytest.raises(
        PutError, match=r"test_put_destinations\.py:\d+: .*'logger': did you mean 'loggers'"
    ):
        fit(model, PutRouter())
    model = Net(training_step=lambda self, *_: self.put("loss", 1.0, ("loggers", "x")))
    with pytest.raises(PutError, match="there are 'loggers', 'progress_bar', 'callbacks', 'kept'"):
        fit(model, PutRouter({"kept": Kept()}))
    model = Net(training_step=lambda self, *_: self.put("loss", 1.0, ()))
    with pytest.raises(PutError, match="no destination: name one"):
        fit(model, PutRouter())
    model = Net()
    model.put("early", 1.0, "files")
    with pytest.raises(PutError, match="'early' is put to 'files'"):
        fit(model, PutRouter())


def test_a_value_goes_where_it_is_sent_and_nowhere_else() -> None:
    logger, kept = Written(), Kept()

    def step(self: Any, *_: Any) -> None:
        self.put("a", 1.0, "loggers")
        self.put("b", 2.0, ["callbacks"])
        self.put("c", 3.0, ("progress_bar", "kept"))

    router = PutRouter()
    router.register("kept", kept)
    made = fit(Net(training_step=step), router, logger=logger)
    assert {name for _, row in logger.rows for name in row} == {"a", "epoch"}
    assert set(made.callback_metrics) == {"b"}
    assert set(made.progress_bar_metrics) == {"c"}
    assert set(made.logged_metrics) == {"a"}
    assert kept.names == ["c"] * 4


def test_a_taken_name_and_what_cannot_be_called_are_no_destinations() -> None:
    router = PutRouter({"kept": Kept()})
    for name in ("kept", "loggers"):
        with pytest.raises(PutError, match=name):
            router.register(name, Kept())
    with pytest.raises(PutError, match="cannot be called"):
        router.register("file", "metrics.csv")  # type: ignore[arg-type]
    with pytest.raises(PutError, match="-1"):
        PutRouter(log_every_n_steps=-1)


def test_records_arrive_after_the_hook_in_one_delivery_in_order() -> None:
    kept = Kept()

    def step(self: Any, *_: Any) -> None:
        self.put_dict({"a": 1.0, "b": 2.0}, "kept")
        self.put("c", 3.0, "kept")

    class Reader(Callback):  # type: ignore[misc]
        seen: int | None = None

        def on_before_backward(self, *_: Any) -> None:
            self.seen = self.seen or len(kept.records)

    reader = Reader()
    fit(Net(training_step=step), reader, PutRouter({"kept": kept}))
    assert kept.deliveries == [["a", "b", "c"]] * 4
    # The reader was given to the Trainer first, and still reads after the delivery.
    assert reader.seen == 3


def test_every_logger_gets_one_call_for_a_delivery() -> None:
    first, second = Written(), Written()

    def step(self: Any, *_: Any) -> None:
        self.put_dict({"a": 1.0, "b": 2.0})

    fit(Net(training_step=step), PutRouter(), logger=[first, second])
    assert first.rows == second.rows
    assert first.rows == [(step, {"a": 1.0, "b": 2.0, "epoch": 0}) for step in range(4)]
    assert first.saved >= 4
    assert first.rows[0][1] is not second.rows[0][1]


def test_of_two_values_of_one_name_the_last_counts_within_a_step() -> None:
    logger, kept = Written(), Kept()

    def step(self: Any, *_: Any) -> None:
        self.put("a", 1.0, (*EVERYWHERE, "kept"))
        self.put("a", 2.0, (*EVERYWHERE, "kept"))

    made = fit(Net(training_step=step), PutRouter({"kept": kept}), logger=logger)
    assert logger.of("a") == [(0, 2.0), (1, 2.0), (2, 2.0), (3, 2.0)]
    assert made.callback_metrics["a"] == made.progress_bar_metrics["a"] == 2
    # A destination of one's own judges for itself.
    assert [record.value for record in kept.records] == [1.0, 2.0] * 4


def test_of_two_values_of_two_steps_a_logger_gets_both() -> None:
    logger = Written()
    records = [PutRecord("a", float(step), ("loggers",), 0.0, step, 0, "train") for step in (1, 2)]
    made = trainer(logger=logger)
    put._to_loggers(made, records)
    assert logger.of("a") == [(1, 1.0), (2, 2.0)]


def test_a_value_named_step_is_the_x_axis_as_with_log() -> None:
    logger = Written()

    def end(self: Any) -> None:
        self.put_dict({"a": 1.0, "step": self.current_epoch})

    fit(Net(on_train_epoch_end=end), PutRouter(), logger=logger, max_epochs=2)
    assert logger.rows == [(0, {"a": 1.0}), (1, {"a": 1.0})]


def test_the_bar_is_only_brought_up_to_date_when_it_is_drawn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown: list[int] = []
    drawn: list[Any] = []
    real = put._to_progress_bar

    def bar(trainer: Any, records: Sequence[PutRecord]) -> None:
        shown.append(trainer.fit_loop.epoch_loop.batch_idx)
        real(trainer, records)

    class Bar(ProgressBar):  # type: ignore[misc]
        refresh_rate = 3

        def on_train_batch_end(self, trainer: Any, *args: Any) -> None:
            if args[-1] == 2:
                drawn.append(dict(trainer.progress_bar_metrics))

        def disable(self) -> None:
            pass

    monkeypatch.setattr(put, "_to_progress_bar", bar)
    model = Net(training_step=lambda self, batch, loss: self.put("a", batch, "progress_bar"))
    fit(model, Bar(), PutRouter(), enable_progress_bar=True)
    assert shown == [2, 3]
    assert drawn == [{"a": 3.0}]


# As log, where the RFC left it open -------------------------------------------------------------


def _rows(logger: Written) -> set[tuple[int | None, str, float]]:
    return {(step, key, value) for step, row in logger.rows for key, value in row.items()}


@pytest.mark.parametrize(
    "options",
    [
        {"log_every_n_steps": 1},
        {"log_every_n_steps": 2},
        {"log_every_n_steps": 3, "max_steps": 5},
        {"log_every_n_steps": 1, "accumulate_grad_batches": 2},
        {"log_every_n_steps": 2, "accumulate_grad_batches": 3},
        {"log_every_n_steps": 1, "val_check_interval": 2},
        {"log_every_n_steps": 0},
        {"fast_dev_run": 2},
    ],
    ids=str,
)
def test_loggers_get_the_rows_that_log_would_write(options: dict[str, Any]) -> None:
    class Both(Net):
        def __init__(self, way: str) -> None:
            super().__init__()
            self.way = way
            self.mean = torchmetrics.MeanMetric()
            self.val_mean = torchmetrics.MeanMetric()

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            loss = self.weight.sum() * batch.mean()
            if self.way == "log":
                self.log("loss", loss)
                self.log("mean", loss, on_step=False, on_epoch=True, batch_size=len(batch))
            else:
                self.put("loss", loss)
                self.mean.update(loss, len(batch))
            return loss

        def on_train_epoch_end(self) -> None:
            if self.way == "put":
                self.put("mean", self.mean.compute())
                self.mean.reset()

        def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
            value = self.weight.sum() * batch.mean()
            if self.way == "log":
                self.log("val_step", value, on_step=True, on_epoch=False)
                self.log("val", value, batch_size=len(batch))
            else:
                self.put("val_step", value, "loggers")
                self.val_mean.update(value, len(batch))

        def on_validation_epoch_end(self) -> None:
            if self.way == "put":
                self.put("val", self.val_mean.compute())
                self.val_mean.reset()

    written = {}
    monitored = {}
    for way in ("log", "put"):
        logger = Written()
        # Batches of 3, 3, 3 and 1.
        loader = torch.utils.data.DataLoader(torch.arange(1.0, 11.0), batch_size=3)
        used = dict(options, max_epochs=None if "max_steps" in options else 2, logger=logger)
        made = trainer(*([PutRouter()] if way == "put" else []), **used)
        made.fit(Both(way), loader, loader)
        written[way] = {row for row in _rows(logger) if row[1] != "epoch"}
        monitored[way] = {key: float(value) for key, value in made.callback_metrics.items()}
    assert written["put"] == written["log"]
    assert monitored["put"] == monitored["log"]


def test_a_csv_file_is_the_same_byte_for_byte(tmp_path: Path) -> None:
    for way in ("log", "put"):
        logger = pl.loggers.CSVLogger(tmp_path, name="", version=way)
        used = PutRouter() if way == "put" else Callback()
        model = Net(
            training_step=lambda self, batch, loss, way=way: getattr(self, way)("loss", loss),
            on_train_epoch_end=lambda self, way=way: getattr(self, way)("end", 1.0),
            on_validation_epoch_end=lambda self, way=way: getattr(self, way)("val", 2.0),
        )
        fit(model, used, logger=logger, max_epochs=2, validation=data(2))
    written = [(tmp_path / way / "metrics.csv").read_bytes() for way in ("log", "put")]
    assert written[0] == written[1]
    assert written[0].count(b"\n") == 13


def test_the_router_can_have_its_own_rate() -> None:
    model = Net(training_step=lambda self, *_: self.put("a", 1.0))
    for rate, steps in ((1, [0, 1, 2, 3]), (2, [1, 3]), (0, [])):
        logger = Written()
        fit(model, PutRouter(log_every_n_steps=rate), logger=logger, log_every_n_steps=50)
        assert [step for step, _ in logger.of("a")] == steps


def test_only_loggers_are_sampled() -> None:
    logger, kept = Written(), Kept()
    model = Net(
        training_step=lambda self, batch, loss: self.put("a", batch, (*EVERYWHERE, "kept")),
        on_train_batch_end=lambda self: self.put("b", 1.0),
        on_train_epoch_end=lambda self: self.put("c", 1.0),
        on_validation_epoch_end=lambda self: self.put("d", 1.0),
    )
    made = fit(
        model,
        PutRouter({"kept": kept}),
        logger=logger,
        log_every_n_steps=3,
        validation=data(1),
        num_sanity_val_steps=0,
    )
    assert kept.names == ["a"] * 4
    assert made.callback_metrics["a"] == made.progress_bar_metrics["a"] == 4
    assert logger.of("a") == [(2, 3.0)]
    assert logger.of("b") == [(2, 1.0)]
    assert logger.of("c") == [(3, 1.0)]
    assert logger.of("d") == [(3, 1.0)]


@pytest.mark.parametrize("way", ["log", "put"])
@pytest.mark.parametrize(("least", "written"), [(None, [2]), (4, [2, 3])])
def test_the_batch_that_ends_a_training_is_written(
    way: str, least: int | None, written: list[int]
) -> None:
    def step(self: Any, batch: Any, loss: Any) -> None:
        getattr(self, way)("a", batch)
        if batch == 3:
            self.trainer.should_stop = True

    logger = Written()
    used = {"logger": logger, "log_every_n_steps": 50, "min_steps": least}
    fit(Net(training_step=step), PutRouter(), **used)
    assert logger.of("a") == [(step, step + 1.0) for step in written]


def test_the_sanity_check_writes_nothing_that_stays_and_still_checks() -> None:
    logger, kept = Written(), Kept()
    model = Net(
        validation_step=lambda self, *_: self.put("a", 1.0, (*EVERYWHERE, "kept")),
        on_validation_epoch_end=lambda self: self.put("b", 1.0),
    )
    made = trainer(PutRouter({"kept": kept}), logger=logger, limit_train_batches=0)
    seen: list[Any] = []

    class Reader(Callback):  # type: ignore[misc]
        def on_sanity_check_end(self, trainer: Any, *_: Any) -> None:
            seen.append((dict(trainer.callback_metrics), dict(trainer.progress_bar_metrics)))

        def on_train_start(self, trainer: Any, *_: Any) -> None:
            seen.append((dict(trainer.callback_metrics), dict(trainer.progress_bar_metrics)))

    made.callbacks.append(Reader())
    made.limit_train_batches = 1
    made.limit_val_batches = 1
    made.fit(model, data(), data())
    assert seen == [({"a": 1.0, "b": 1.0}, {}), ({}, {})]
    assert len(kept.records) == 1
    assert [step for step, _ in logger.of("b")] == [0]
    model = Net(validation_step=lambda self, *_: self.put("a", torch.ones(2)))
    with pytest.raises(PutError, match="shape"):
        fit(model, PutRouter(), validation=data(1))


def test_several_dataloaders_bring_no_suffix_and_their_own_steps() -> None:
    kept = Kept()

    def step(self: Any, batch: Any, index: int) -> None:
        self.put(f"loader_{index}", batch, "kept")

    made = trainer(PutRouter({"kept": kept}))
    made.validate(Net(validation_step=step), [data(2), data(3)], verbose=False)
    found = [(item.name, item.step, float(item.value)) for item in kept.records]
    assert found == [
        ("loader_0", 0, 1.0),
        ("loader_0", 1, 2.0),
        ("loader_1", 0, 1.0),
        ("loader_1", 1, 2.0),
        ("loader_1", 2, 3.0),
    ]


@pytest.mark.parametrize("verb", ["validate", "test", "predict"])
def test_evaluation_alone_delivers(verb: str) -> None:
    logger = Written()

    class Ends(Net):
        def on_test_epoch_end(self) -> None:
            self.put("end", 2.0)

        on_validation_epoch_end = on_predict_epoch_end = on_test_epoch_end

    made = trainer(PutRouter(), logger=logger)
    getattr(made, verb)(Ends(), data(2))
    assert logger.of("end") == [(0, 2.0)]
    assert made.callback_metrics["end"] == 2


def test_manual_optimization_is_sampled_by_batches() -> None:
    class Manual(Net):
        automatic_optimization = False

        def training_step(self, batch: Any, batch_idx: int) -> None:
            optimizer = self.optimizers()
            loss = self.weight.sum() * batch.mean()
            self.manual_backward(loss)
            if batch_idx % 2:
                optimizer.step()
                optimizer.zero_grad()
            self.put("a", batch)

    logger = Written()
    fit(Manual(), PutRouter(), logger=logger, log_every_n_steps=2)
    assert logger.of("a") == [(1, 2.0), (3, 4.0)]
