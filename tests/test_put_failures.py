"""What ``put`` says and saves when a destination, a logger or a router fails or is forgotten."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from put_programs import MARKS, Callback, Kept, Net, Written, data, fit, pl, torch, trainer

from lintmetrics import put
from lintmetrics.put import PutDeliveryError, PutError, PutMixin, PutRouter, PutWarning

pytestmark = MARKS


def test_a_destination_that_fails_takes_nothing_from_the_others() -> None:
    def broken(*_: Any) -> None:
        raise OSError("disk full")

    logger, kept = Written(), Kept()
    wanted = ("broken", "loggers", "kept", "callbacks")
    model = Net(training_step=lambda self, *_: self.put_dict({"a": 1.0, "b": 2.0}, wanted))
    made = trainer(PutRouter({"broken": broken, "kept": kept}), logger=logger)
    with pytest.raises(PutDeliveryError) as caught:
        made.fit(model, data())
    assert "'broken' failed with 'a', 'b' (step 0, epoch 0): OSError: disk full" in str(
        caught.value
    )
    assert isinstance(caught.value.__cause__, OSError)
    assert kept.names == ["a", "b"]
    assert logger.of("a") == [(0, 1.0)]
    assert made.callback_metrics["b"] == 2


def test_a_logger_that_fails_takes_nothing_from_the_others() -> None:
    class Broken(Written):
        def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
            raise OSError("no network")

    logger = Written()
    model = Net(training_step=lambda self, *_: self.put("a", 1.0))
    with pytest.raises(PutDeliveryError, match=r"'loggers' failed with 'a'.*Broken: no network"):
        fit(model, PutRouter(), logger=[Broken(), logger])
    assert logger.of("a") == [(0, 1.0)]


def test_what_was_put_before_an_exception_arrives_and_the_exception_stays() -> None:
    def step(self: Any, batch: Any, loss: Any) -> None:
        self.put("a", batch)
        if batch == 2:
            raise KeyError("mine")

    logger = Written()
    with pytest.raises(KeyError, match="mine"):
        fit(Net(training_step=step), PutRouter(), logger=logger)
    assert logger.of("a") == [(0, 1.0), (1, 2.0)]


def test_a_destination_that_fails_does_not_hide_an_exception() -> None:
    def broken(*_: Any) -> None:
        raise OSError("disk full")

    def step(self: Any, *_: Any) -> None:
        self.put("a", 1.0, "broken")
        raise KeyError("mine")

    with pytest.warns(PutWarning, match="disk full"), pytest.raises(KeyError, match="mine"):
        fit(Net(training_step=step), PutRouter({"broken": broken}))


def test_a_forgotten_router_is_said_once_for_each_class() -> None:
    class Forgetful(Net):
        pass

    class Also(PutMixin, Callback):  # type: ignore[misc]
        def on_train_batch_end(self, *_: Any) -> None:
            self.put("b", 1.0)

    model = Forgetful(training_step=lambda self, *_: self.put("a", 1.0))
    logger = Written()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        made = fit(model, Also(), logger=logger)
        fit(model, Also())
    said = [item for item in caught if item.category is PutWarning]
    assert sorted(str(item.message).split("what ")[1] for item in said) == [
        f"{name} puts goes nowhere: the Trainer has no PutRouter; "
        "add one: Trainer(callbacks=[PutRouter()])"
        for name in sorted((Also.__qualname__, Forgetful.__qualname__))
    ]
    assert all(item.filename == __file__ for item in said)
    assert logger.rows == []
    assert "a" not in made.callback_metrics
    assert model.__dict__[put._LINK].waiting == []
    # Values are checked all the same.
    model = Forgetful(training_step=lambda self, *_: self.put("a", torch.ones(2)))
    with pytest.raises(PutError):
        fit(model)


def test_a_router_that_comes_later_is_found() -> None:
    class Fresh(Net):
        pass

    kept = Kept()
    model = Fresh(training_step=lambda self, *_: self.put("a", 1.0, "kept"))
    with pytest.warns(PutWarning, match="has no PutRouter"):
        fit(model)
    fit(model, PutRouter({"kept": kept}))
    other = Kept()
    fit(model, PutRouter({"kept": other}))
    assert len(kept.records) == len(other.records) == 4


def test_the_router_may_come_from_the_module() -> None:
    kept = Kept()

    class Own(Net):
        def configure_callbacks(self) -> Any:
            return [PutRouter({"kept": kept})]

    made = fit(Own(training_step=lambda self, *_: self.put("a", 1.0, "kept")))
    assert len(kept.records) == 4
    assert isinstance(made.callbacks[0], PutRouter)


def test_two_routers_are_refused() -> None:
    with pytest.raises(RuntimeError, match="PutRouter"):
        trainer(PutRouter(), PutRouter())


def test_a_trial_of_the_tuner_delivers_nothing() -> None:
    logger, kept = Written(), Kept()

    class Tuned(Net):
        lr = 0.1

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=self.lr)

    model = Tuned(training_step=lambda self, *_: self.put("a", 1.0, ("loggers", "kept")))
    made = trainer(PutRouter({"kept": kept}), logger=logger)
    pl.tuner.Tuner(made).lr_find(model, data(), num_training=3)
    assert logger.rows == []
    assert kept.records == []
    made.fit(model, data())
    assert len(kept.records) == 4
