"""What ``put`` promises, each promise in a training of a few steps."""

from __future__ import annotations

import copy
import gc
import pickle
import sys
import time
import weakref
from pathlib import Path
from typing import Any

import pytest
from put_programs import (
    EVERYWHERE,
    MARKS,
    Callback,
    Kept,
    ModelCheckpoint,
    Net,
    Part,
    Written,
    data,
    fit,
    pl,
    torch,
    torchmetrics,
    trainer,
)

from lintmetrics import put
from lintmetrics.put import PutError, PutMixin, PutRecord, PutRouter, PutWarning

pytestmark = MARKS


# What may be put --------------------------------------------------------------------------------


def test_a_value_that_is_not_one_number_is_refused_at_the_call() -> None:
    owner = PutMixin()
    refused: list[tuple[Any, str]] = [
        (torch.ones(2, 3), "shape (2, 3)"),
        (torch.ones(0), "shape (0,)"),
        (torch.ones(1, dtype=torch.complex64), "complex"),
        (1j, "complex"),
        (None, "leave the call out"),
        ("0.5", "str"),
        ([0.5], "list"),
        ({"a": 1.0}, "put_dict"),
        (torchmetrics.MeanMetric(), ".compute()"),
        (torchmetrics.MetricCollection([torchmetrics.MeanMetric()]), ".compute()"),
    ]
    for value, said in refused:
        with pytest.raises(PutError) as caught:
            owner.put("val_acc", value)
        assert said in str(caught.value)
        assert "'val_acc'" in str(caught.value)


def test_the_error_names_the_line_of_the_user() -> None:
    owner = PutMixin()
    here = sys._getframe().f_lineno
    with pytest.raises(PutError, match=rf"test_put\.py:{here + 2}: 'loss'"):
        owner.put("loss", torch.ones(2))
    with pytest.raises(PutError, match=rf"test_put\.py:{here + 4}: 'loss'"):
        owner.put_dict({"fine": 1.0, "loss": torch.ones(2)})


def test_the_error_is_a_value_error_and_a_type_error() -> None:
    for kind in (ValueError, TypeError):
        with pytest.raises(kind):
            PutMixin().put("loss", torch.ones(2))
    with pytest.raises(PutError, match="string, not 3"):
        PutMixin().put(3, 1.0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "value",
    [
        2,
        2.0,
        True + 1,
        torch.tensor(2.0),
        torch.tensor([2.0]),
        torch.tensor([[[2]]]),
        torch.tensor(2.0, dtype=torch.float64, requires_grad=True),
        torch.nn.Parameter(torch.tensor([2.0])),
        torch.tensor(2.0, dtype=torch.bfloat16),
    ],
)
def test_every_kind_of_one_number_arrives_everywhere(value: Any) -> None:
    kept, logger = Kept(), Written()
    model = Net(training_step=lambda self, *_: self.put("two", value, (*EVERYWHERE, "kept")))
    made = fit(model, PutRouter({"kept": kept}), logger=logger)
    assert [row["two"] for _, row in logger.rows] == [2.0] * 4
    assert isinstance(logger.rows[0][1]["two"], (int, float))
    assert made.callback_metrics["two"].shape == ()
    assert made.callback_metrics["two"].is_floating_point()
    assert made.callback_metrics["two"] == 2
    assert made.progress_bar_metrics["two"] == 2
    assert isinstance(made.progress_bar_metrics["two"], (int, float))
    first = kept.records[0].value
    assert not isinstance(first, torch.Tensor) or (not first.requires_grad and first.dim() == 0)


def test_numbers_of_numpy_are_numbers() -> None:
    numpy = pytest.importorskip("numpy", reason="torch can do without NumPy")
    logger = Written()
    values = [numpy.float64(0.5), numpy.float32(0.5), numpy.int64(3)]

    def step(self: Any, *_: Any) -> None:
        self.put_dict({str(place): value for place, value in enumerate(values)})

    fit(Net(training_step=step), PutRouter(), logger=logger)
    assert logger.rows[0][1] == {"0": 0.5, "1": 0.5, "2": 3, "epoch": 0}
    with pytest.raises(PutError, match="ndarray"):
        PutMixin().put("a", numpy.ones(1))


def test_a_value_that_changes_later_is_the_value_of_the_call() -> None:
    logger = Written()
    total = torch.zeros(())

    def step(self: Any, batch: Any, loss: Any) -> None:
        total.add_(batch.sum())
        self.put("total", total)
        total.mul_(1.0)
        if batch == 4:
            total.fill_(-1.0)

    made = fit(Net(training_step=step), PutRouter(), logger=logger)
    assert [value for _, value in logger.of("total")] == [1, 3, 6, 10]
    assert made.callback_metrics["total"] == 10


def test_nothing_waits_for_the_device_in_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    inside = False
    real = torch.Tensor.item

    def item(self: Any) -> Any:
        read.append("in" if inside else "out")
        return real(self)

    def step(self: Any, batch: Any, loss: Any) -> None:
        nonlocal inside
        inside = True
        self.put("loss", loss)
        inside = False

    logger = Written()
    monkeypatch.setattr(torch.Tensor, "item", item)
    fit(Net(training_step=step), PutRouter(), logger=logger, log_every_n_steps=4)
    # Once for the logger at the fourth step and once for the progress bar at the end.
    assert len(logger.rows) == 1
    assert read.count("out") <= 2 + 1
    assert "in" not in read


def test_tensors_of_another_device_are_read_together(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Any] = []
    real = torch.stack

    def stack(tensors: Any) -> Any:
        read.append(tensors)
        return real([torch.tensor(7.0) for _ in tensors])

    monkeypatch.setattr(torch, "stack", stack)
    away = torch.ones((), device="meta")
    found = put._as_numbers({"a": away, "b": 0.5, "c": away})
    assert found == {"a": 7.0, "b": 0.5, "c": 7.0}
    assert list(found) == ["a", "b", "c"]
    assert len(read) == 1


# Records ----------------------------------------------------------------------------------------


def test_a_record_is_stamped_at_the_call() -> None:
    kept = Kept()
    before = time.monotonic()
    model = Net(
        training_step=lambda self, *_: self.put("train", 1.0, "kept"),
        validation_step=lambda self, *_: self.put("val", 1.0, "kept"),
        on_train_epoch_end=lambda self: self.put("epoch", 1.0, "kept"),
        on_validation_epoch_end=lambda self: self.put("val_epoch", 1.0, "kept"),
    )
    fit(model, PutRouter({"kept": kept}), validation=data(2), max_epochs=2)
    found = [(item.name, item.stage, item.epoch, item.step) for item in kept.records]
    once = [
        *(("train", "train", 0, step) for step in range(4)),
        # As self.log: batches of evaluation are counted by themselves, over all epochs.
        ("val", "validate", 0, 0),
        ("val", "validate", 0, 1),
        ("val_epoch", "validate", 0, 3),
        ("epoch", "train", 0, 3),
    ]
    assert found[:8] == once
    assert [row[3] for row in found[8:]] == [4, 5, 6, 7, 2, 3, 7, 7]
    assert all(row[2] == 1 for row in found[8:])
    times = [item.time for item in kept.records]
    assert times == sorted(times)
    assert before <= times[0] <= times[-1] <= time.monotonic()
    assert {item.destinations for item in kept.records} == {("kept",)}


def test_a_record_cannot_be_changed() -> None:
    record = PutRecord("a", 1.0, ("loggers",), 0.0, 0, 0, None)
    with pytest.raises(AttributeError):
        record.name = "b"  # type: ignore[misc]
    assert pickle.loads(pickle.dumps(record)) == record


HOOKS = """
    setup configure_model on_fit_start configure_optimizers on_train_start on_train_epoch_start
    on_train_batch_start on_before_batch_transfer on_after_batch_transfer training_step
    on_before_zero_grad on_before_backward on_after_backward on_before_optimizer_step
    on_train_batch_end on_validation_model_eval on_validation_start on_validation_epoch_start
    on_validation_batch_start validation_step on_validation_batch_end on_validation_epoch_end
    on_validation_end on_validation_model_train on_train_epoch_end lr_scheduler_step
    on_train_end on_fit_end teardown on_save_checkpoint train_dataloader val_dataloader
    prepare_data transfer_batch_to_device backward optimizer_step optimizer_zero_grad
    configure_gradient_clipping configure_callbacks
""".split()  # noqa: SIM905 (forty names, read as one paragraph)


def test_a_value_can_be_put_in_every_hook(tmp_path: Path) -> None:
    kept = Kept()
    called: list[str] = []

    def putting(name: str, original: Any) -> Any:
        def hook(self: Any, *args: Any, **named: Any) -> Any:
            called.append(name)
            self.put(name, 1.0, "kept")
            return original(self, *args, **named)

        return hook

    class Everywhere(Net):
        def __init__(self) -> None:
            super().__init__()
            self.put("__init__", 1.0, "kept")

        def train_dataloader(self) -> Any:
            return data(2)

        def val_dataloader(self) -> Any:
            return data(1)

        def configure_optimizers(self) -> Any:
            made = torch.optim.SGD(self.parameters(), lr=0.1)
            return [made], [torch.optim.lr_scheduler.ConstantLR(made)]

    for name in HOOKS:
        setattr(Everywhere, name, putting(name, getattr(Everywhere, name)))
    model = Everywhere()
    made = trainer(
        PutRouter({"kept": kept}),
        ModelCheckpoint(tmp_path),
        num_sanity_val_steps=0,
        enable_checkpointing=True,
    )
    made.fit(model)
    assert set(called) == set(HOOKS)
    assert kept.names == ["__init__", *called]


def test_a_value_can_be_put_when_all_is_over() -> None:
    kept = Kept()
    model = Net(teardown=lambda self: self.put("last", 1.0, "kept"))
    made = fit(model, PutRouter({"kept": kept}))
    model.put("after", 2.0, ("kept", "callbacks"))
    assert kept.names == ["last", "after"]
    assert made.callback_metrics["after"] == 2


def test_what_is_put_before_there_is_a_trainer_waits_for_it() -> None:
    kept = Kept()

    class Early(Net):
        def __init__(self) -> None:
            self.put("before_init", 1.0, "kept")
            super().__init__()
            self.put("size", 3.0, (*EVERYWHERE, "kept"))

    logger = Written()
    model = Early()
    made = fit(model, PutRouter({"kept": kept}), logger=logger, validation=data(1))
    assert kept.names == ["before_init", "size"]
    assert logger.of("size") == [(0, 3.0)]
    assert made.callback_metrics["size"] == 3
    assert made.progress_bar_metrics["size"] == 3


def test_what_waits_is_bounded() -> None:
    class Never(PutMixin):
        pass

    owner = Never()
    for _ in range(put._MOST_WAITING):
        owner.put("a", 1.0)
    with pytest.warns(PutWarning, match="1000 values wait for a Trainer"):
        owner.put("a", 1.0)
    owner.put("a", 1.0)
    assert len(owner.__dict__[put._LINK].waiting) == put._MOST_WAITING


def test_what_is_put_before_the_sanity_check_is_there_after_it() -> None:
    model = Net(on_fit_start=lambda self: self.put("parameters", 5.0))
    made = trainer(PutRouter())
    seen: list[dict[str, Any]] = []
    model.when["training_step"] = lambda *_: seen.append(dict(made.callback_metrics))
    made.fit(model, data(), data())
    assert seen[0] == {"parameters": 5}


# What monitors read -----------------------------------------------------------------------------


def test_a_module_and_a_callback_put_alike() -> None:
    class Putting(PutMixin, Callback):  # type: ignore[misc]
        def setup(self, *_: Any, **__: Any) -> None:
            self.put("set_up", 0.0, "kept")

        def on_train_epoch_end(self, *_: Any) -> None:
            self.put("from_callback", 1.0, (*EVERYWHERE, "kept"))

    logger, kept = Written(), Kept()
    made = fit(Net(), Putting(), PutRouter({"kept": kept}), logger=logger)
    assert kept.names == ["set_up", "from_callback"]
    assert logger.of("from_callback") == [(3, 1.0)]
    assert made.callback_metrics["from_callback"] == 1


def test_a_part_of_the_module_may_put() -> None:
    class Measuring(PutMixin, Part):  # type: ignore[misc]
        def forward(self, value: Any) -> Any:
            self.put("activation", value)
            return value

    class Whole(Net):
        def __init__(self) -> None:
            super().__init__()
            self.part = Measuring()

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            return self.part(self.weight.sum() * batch.mean())

    logger = Written()
    fit(Whole(), PutRouter(), logger=logger)
    assert len(logger.of("activation")) == 4


@pytest.mark.parametrize("at_train_end", [True, False])
def test_model_checkpoint_reads_what_is_put_in_the_same_hook(
    at_train_end: bool, tmp_path: Path
) -> None:
    hook = "on_train_epoch_end" if at_train_end else "on_validation_epoch_end"
    scores = [0.5, 0.9, 0.7]
    model = Net(**{hook: lambda self: self.put("acc", scores[self.current_epoch])})
    saving = ModelCheckpoint(
        tmp_path,
        monitor="acc",
        mode="max",
        filename="{epoch}-{acc:.2f}",
        save_on_train_epoch_end=at_train_end,
        save_top_k=1,
    )
    fit(
        model,
        saving,
        PutRouter(),
        validation=data(1),
        max_epochs=3,
        enable_checkpointing=True,
        num_sanity_val_steps=0,
    )
    assert Path(saving.best_model_path).name == "epoch=1-acc=0.90.ckpt"
    assert saving.best_model_score == pytest.approx(0.9)


@pytest.mark.parametrize("hook", ["on_train_epoch_end", "on_validation_epoch_end"])
def test_early_stopping_reads_what_is_put_in_the_same_hook(hook: str) -> None:
    losses = [3.0, 2.0, 2.5, 2.6, 2.7]
    model = Net(**{hook: lambda self: self.put("loss", losses[self.current_epoch])})
    stopping = pl.callbacks.EarlyStopping(
        "loss", patience=1, check_on_train_epoch_end=hook == "on_train_epoch_end"
    )
    fit(model, stopping, PutRouter(), validation=data(1), max_epochs=5, num_sanity_val_steps=0)
    # The best was epoch 1; epoch 2 was worse once: that is the patience.
    assert stopping.stopped_epoch == 2
    assert stopping.best_score == 2


@pytest.mark.parametrize("interval", ["epoch", "step"])
def test_a_plateau_scheduler_reads_what_is_put_in_the_same_hook(interval: str) -> None:
    class Plateau(Net):
        def configure_optimizers(self) -> Any:
            made = torch.optim.SGD(self.parameters(), lr=1.0)
            plan = torch.optim.lr_scheduler.ReduceLROnPlateau(made, patience=0, factor=0.5)
            return [made], [{"scheduler": plan, "monitor": "loss", "interval": interval}]

    hook = "on_train_epoch_end" if interval == "epoch" else "on_train_batch_end"
    model = Plateau(**{hook: lambda self: self.put("loss", 1.0)})
    made = fit(model, PutRouter(), max_epochs=3 if interval == "epoch" else 1)
    # The first value is the best; each further one is no better.
    reduced = 2 if interval == "epoch" else 3
    assert made.optimizers[0].param_groups[0]["lr"] == 0.5**reduced


# Copies -----------------------------------------------------------------------------------------


class Plain(Net):
    """A module that can be pickled."""

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        self.put("a", 1.0, "kept")
        return super().training_step(batch, batch_idx)


def test_a_copy_of_a_module_in_training_takes_no_router_along() -> None:
    copies: list[Any] = []

    def step(self: Any, *_: Any) -> None:
        self.put("a", 1.0)
        if not copies:
            when, self.when = self.when, {}
            copies.append(copy.deepcopy(self))
            copies.append(pickle.loads(pickle.dumps(self)))
            self.when = when

    fit(Net(training_step=step), PutRouter({"kept": Kept()}))
    for made in copies:
        assert made.__dict__[put._LINK].router is None
        assert made.weight == 1
    kept = Kept()
    copies[0].when = {"training_step": lambda self, *_: self.put("a", 1.0, "kept")}
    fit(copies[0], PutRouter({"kept": kept}))
    assert len(kept.records) == 4


def test_weight_averaging_works() -> None:
    kept = Kept()
    averaging = pl.callbacks.StochasticWeightAveraging(swa_lrs=0.05, swa_epoch_start=1)
    fit(Plain(), averaging, PutRouter({"kept": kept}), max_epochs=3)
    assert len(kept.records) == 12


def test_a_router_can_be_copied() -> None:
    kept = Kept()
    router = PutRouter({"kept": kept})
    fit(Plain(), router)
    for made in (copy.deepcopy(router), pickle.loads(pickle.dumps(router))):
        fit(Plain(), made)
        copied: Any = made._destinations["kept"]
        assert len(copied.records) == 8
    assert len(kept.records) == 4


def test_put_keeps_no_trainer_alive() -> None:
    made = fit(Plain(), PutRouter({"kept": Kept()}))
    gone = weakref.ref(made)
    del made
    gc.collect()
    assert gone() is None


def test_the_state_dict_of_a_module_is_that_of_its_weights() -> None:
    model = Net(training_step=lambda self, *_: self.put("a", 1.0))
    fit(model, PutRouter())
    assert set(model.state_dict()) == {"weight"}
    assert dict(model.hparams) == {}


# Beside log -------------------------------------------------------------------------------------


def test_log_and_put_live_in_one_module() -> None:
    def step(self: Any, batch: Any, loss: Any) -> None:
        self.log("logged", batch, on_epoch=True, on_step=False)
        self.put("put", batch)

    logger = Written()
    made = fit(Net(training_step=step), PutRouter(), logger=logger)
    assert made.callback_metrics["logged"] == 2.5
    assert made.callback_metrics["put"] == 4
    assert logger.of("logged") == [(3, 2.5)]
    assert [value for _, value in logger.of("put")] == [1, 2, 3, 4]


def test_a_compiled_module_puts() -> None:
    logger = Written()
    model = Net(training_step=lambda self, batch, loss: self.put("a", batch))
    fit(torch.compile(model, backend="eager"), PutRouter(), logger=logger)
    assert [value for _, value in logger.of("a")] == [1, 2, 3, 4]


def test_a_module_that_has_put_can_be_scripted() -> None:
    class Forward(Net):
        def forward(self, value: torch.Tensor) -> torch.Tensor:
            return value * self.weight

        def on_train_batch_end(self, *_: Any) -> None:
            self.put("a", 1.0)

    model = Forward()
    fit(model, PutRouter())
    value = torch.ones(1)
    assert torch.equal(torch.jit.trace(model, value)(value), model(value))
