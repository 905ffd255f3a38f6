"""``put``: finished numbers from modules and callbacks to where they are read.

``self.log`` averages, synchronises, samples, renames and resets. ``put`` does none of it: the user
computes a value, with TorchMetrics or by hand, and names where it goes::

    class Model(PutMixin, LightningModule):
        def on_validation_epoch_end(self):
            self.put("val_acc", self.val_acc.compute())
            self.val_acc.reset()

    Trainer(callbacks=[PutRouter()])

This file imports torch, Lightning (2.0 to 2.6) and the standard library and nothing else, so that
it also works as a single file in somebody else's project.
"""

from __future__ import annotations

import difflib
import importlib
import sys
import time
import warnings
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, TypeAlias

import torch
from torch import Tensor

__all__ = [
    "Destination",
    "PutDeliveryError",
    "PutError",
    "PutMixin",
    "PutRecord",
    "PutRouter",
    "PutWarning",
]


def _lightning_root() -> Any:
    """Return ``lightning.pytorch`` or ``pytorch_lightning``: the one in use, else one there is."""
    names = ("lightning.pytorch", "pytorch_lightning")
    # Whoever has both installed uses one of them, and importing the other takes seconds.
    for name in sorted(names, key=lambda name: name not in sys.modules):
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or error.name.split(".")[0] != name.split(".")[0]:
                raise
    raise ImportError("put needs Lightning: pip install 'lightning>=2'")


_Callback: Any = _lightning_root().Callback

Value: TypeAlias = float | Tensor
_MOST_WAITING = 1000
_LINK = "_put_link"


class PutError(ValueError, TypeError):
    """A ``put`` that cannot be meant: raised at the call, in the user's own line."""


class PutDeliveryError(RuntimeError):
    """A destination raised; names it and its records. The other destinations got theirs."""


class PutWarning(UserWarning):
    """What is put goes nowhere, or is not what it was before a resume."""


@dataclass(frozen=True, slots=True)
class PutRecord:
    """One value on its way.

    Args:
        name: as it was put; nothing is appended to it.
        value: a number, or a tensor without dimensions, detached, on the device where it was.
        destinations: the names of all places it goes to.
        time: ``time.monotonic()`` at the call, seconds.
        step: the step at which ``self.log`` would have written it, counted from 0.
        epoch: ``trainer.current_epoch`` at the call.
        stage: ``"train"``, ``"validate"``, ``"test"``, ``"predict"``; None outside of loops.
    """

    name: str
    value: Value
    destinations: tuple[str, ...]
    time: float
    step: int
    epoch: int
    stage: str | None


Destination = Callable[[Any, Sequence[PutRecord]], None]
"""Called with the trainer and the records of one delivery, in the order in which they were put."""

_EVERYWHERE = ("loggers", "progress_bar", "callbacks")


# What may be put --------------------------------------------------------------------------------


def _place() -> str:
    """Return ``file:line`` of the nearest frame outside of this file."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals is globals():
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def _checked(name: str, value: Any) -> Value:
    """Return a value that nobody else can change, or say what is wrong with it.

    Raises:
        PutError: the name is no string, or the value is not one real number.
    """
    if not isinstance(name, str):
        raise PutError(f"{_place()}: the name of a put is a string, not {name!r}")
    if isinstance(value, Tensor):
        if value.numel() == 1 and not value.is_complex():
            # A copy: metric states, static graph outputs and losses are changed in place.
            copy = value.detach().clone()
            return copy.reshape(()) if copy.dim() else copy
        if value.numel() == 1:
            what, help = f"a complex tensor ({value.dtype})", "put its .abs() or its parts"
        else:
            what = f"a tensor of shape {tuple(value.shape)}"
            help = "put one number for each name, such as its .mean() or, with put_dict, its parts"
    elif isinstance(value, (float, int)):
        return value
    elif isinstance(value, Real):
        # A NumPy scalar: loggers write numbers of Python.
        return float(value)
    else:
        what, help = f"{type(value).__qualname__}", "put a number or a tensor of one element"
        if callable(getattr(value, "compute", None)):
            what, help = f"the metric object {what}", "put what its .compute() returns"
        elif isinstance(value, Mapping):
            help = "put_dict takes several values by name"
        elif value is None:
            what, help = "None", "leave the call out where there is no value"
    raise PutError(f"{_place()}: {name!r} is put as {what}: {help}")


def _as_tensor(value: Value) -> Tensor:
    """Return a value as ModelCheckpoint and EarlyStopping compare it: a floating point tensor."""
    if isinstance(value, Tensor):
        return value if value.is_floating_point() else value.to(torch.get_default_dtype())
    return torch.tensor(value, dtype=torch.get_default_dtype())


def _as_numbers(values: Mapping[str, Value]) -> dict[str, float]:
    """Return values as numbers of Python, with one transfer for each device and type."""
    numbers: dict[str, Any] = {}
    away: dict[Any, dict[str, Any]] = {}
    for name, value in values.items():
        if not isinstance(value, Tensor):
            numbers[name] = value
        elif value.device.type == "cpu":
            numbers[name] = value.item()
        else:
            numbers[name] = None  # keeps the order in which the names were put
            away.setdefault((value.device, value.dtype), {})[name] = value
    for tensors in away.values():
        # All at once: each .item() would wait for the device.
        together = torch.stack(list(tensors.values())).tolist()
        numbers.update(zip(tensors, together, strict=True))
    return numbers


# The object that puts ---------------------------------------------------------------------------


class _Link:
    """Ties an object that puts to the router of its run.

    It is the only thing that ``put`` leaves on a module, so a copy of the module (SWA, EMA, a
    process that is spawned) must not take the router along: copies of a link are untied.
    """

    __slots__ = ("router", "token", "waiting")

    def __init__(self, waiting: Iterable[PutRecord] = ()) -> None:
        self.router: PutRouter | None = None
        self.token: Any = _UNTIED
        self.waiting: list[PutRecord] = list(waiting)

    def __reduce__(self) -> tuple[Any, ...]:
        return (_Link, (self.waiting,))


_UNTIED = object()
_warned: weakref.WeakSet[type] = weakref.WeakSet()


def _token(owner: Any) -> Any:
    """Return what is another object in another run: the trainer, or the ``log`` it hands out."""
    attributes = owner.__dict__
    return attributes["_trainer"] if "_trainer" in attributes else attributes.get("log")


def _link_of(owner: Any) -> _Link:
    link = owner.__dict__.get(_LINK)
    if link is None:
        # Past nn.Module.__setattr__, which is not ready before its own __init__.
        link = owner.__dict__[_LINK] = _Link()
    found: _Link = link
    return found


def _trainer_of(owner: Any) -> Any:
    """Return the trainer of a module or of a callback, None before there is one."""
    token = _token(owner)
    # Every callback is handed the module's own ``log`` before its first hook (2.0 to 2.6,
    # ``_attach_model_logging_functions``): the only way from a callback to its trainer.
    module = getattr(token, "__self__", None)
    return token if "_trainer" in owner.__dict__ else getattr(module, "_trainer", None)


def _tie(owner: Any) -> _Link:
    """Find the router of an object's present run, once for each run."""
    link = _link_of(owner)
    link.token = _token(owner)
    link.router = None
    trainer = _trainer_of(owner)
    router = _router_of(trainer)
    # Before its setup it does not route yet, and what is put waits.
    link.router = router if router is not None and router._trainer() is trainer else None
    return link


def _router_of(trainer: Any) -> PutRouter | None:
    callbacks = getattr(trainer, "callbacks", ())
    return next((item for item in callbacks if isinstance(item, PutRouter)), None)


class PutMixin:
    """Gives ``put`` to a ``LightningModule`` or ``Callback``; has no ``__init__`` to be called."""

    def put(self, name: str, value: Value, destinations: str | Sequence[str] | None = None) -> None:
        """Hand a finished number on.

        Args:
            name: under which it is written, monitored and shown, as it is.
            value: a number or a tensor of one element.
            destinations: ``"loggers"``, ``"progress_bar"``, ``"callbacks"`` or names that were
                registered at the router; None means all three of these.

        Raises:
            PutError: the name is no string, the value is not one number, or no destination is
                called so.
        """
        link: _Link | None = self.__dict__.get(_LINK)
        if link is None or link.token is not _token(self):
            link = _tie(self)
        finished = _checked(name, value)
        if link.router is not None:
            link.router._take(name, finished, destinations)
        else:
            _keep(self, link, name, finished, destinations)

    def put_dict(
        self, values: Mapping[str, Value], destinations: str | Sequence[str] | None = None
    ) -> None:
        """Hand several finished numbers on, by name."""
        for name, value in values.items():
            self.put(name, value, destinations)


def _keep(owner: Any, link: _Link, name: str, value: Value, destinations: Any) -> None:
    """Let a record wait for its router; where the trainer has none, say so once."""
    trainer = _trainer_of(owner)
    waits = trainer is None or _router_of(trainer) is not None
    if waits and len(link.waiting) < _MOST_WAITING:
        names = (destinations,) if isinstance(destinations, str) else destinations
        wanted = _EVERYWHERE if names is None else tuple(names)
        link.waiting.append(PutRecord(name, value, wanted, time.monotonic(), 0, 0, None))
        return
    kind = type(owner)
    if kind in _warned or not getattr(trainer, "is_global_zero", True):
        return
    _warned.add(kind)
    if waits:
        why = f"{_MOST_WAITING} values wait for a Trainer and no more are kept"
    else:
        why = "the Trainer has no PutRouter; add one: Trainer(callbacks=[PutRouter()])"
    warnings.warn(
        f"{_place()}: what {kind.__qualname__} puts goes nowhere: {why}", PutWarning, stacklevel=3
    )


# Metric objects ---------------------------------------------------------------------------------


def _metrics_of(module: torch.nn.Module) -> dict[str, Any]:
    """Return the metric objects of a module by path; empty where TorchMetrics is not in use."""
    library = sys.modules.get("torchmetrics")
    kind = getattr(library, "Metric", None)
    if kind is None:
        return {}
    collection = getattr(library, "MetricCollection", ())
    found = {}
    for path, item in module.named_modules():
        if isinstance(item, kind):
            found[path] = item
        elif isinstance(item, collection):
            # Of metrics with the same states only one is updated; this hands them to the others.
            list(item.values())
    return found


def _copied(value: Any) -> Any:
    """Return a state without its device and graph: tensors in lists, as checkpoints hold them."""
    if isinstance(value, Tensor):
        return value.detach().cpu().clone()
    if isinstance(value, (list, tuple)):
        return [_copied(item) for item in value]
    return value


def _moved(value: Any, device: Any) -> Any:
    if isinstance(value, Tensor):
        return value.to(device)
    return [_moved(item, device) for item in value] if isinstance(value, list) else value


def _state(metric: Any) -> dict[str, Any]:
    """Return what a metric has gathered since its reset."""
    found = {}
    updated = getattr(metric, "_update_count", 1)
    for name, value in vars(metric).items():
        private = name.startswith("_")
        if name in metric._defaults or (private and type(value) is int):
            # Private numbers count updates, or places in a ring (Running).
            if updated:
                found[name] = _copied(value)
        elif isinstance(value, Tensor) and not private:
            # No state, and not reset: the extremes of MinMaxMetric.
            found[name] = _copied(value)
    return found


def _restore(metric: Any, state: Mapping[str, Any] | None) -> None:
    """Give a metric what it had gathered; None for nothing."""
    state = state or {}
    if metric._defaults and getattr(metric, "_update_count", 0):
        metric.reset()
    for name, value in state.items():
        setattr(metric, name, _moved(value, metric.device))
    metric._computed = None


# The router -------------------------------------------------------------------------------------


def _connector_values(trainer: Any, name: str) -> dict[str, Any]:
    """Return the dictionary behind ``trainer.callback_metrics`` and its like.

    The property itself computes every metric that was logged, at each access.
    """
    connector = getattr(trainer, "_logger_connector", None)
    values = getattr(connector, f"_{name}", None)
    found: dict[str, Any] = getattr(trainer, name) if values is None else values
    return found


def _to_progress_bar(trainer: Any, records: Sequence[PutRecord]) -> None:
    shown = _connector_values(trainer, "progress_bar_metrics")
    shown.update(_as_numbers({record.name: record.value for record in records}))


def _to_callbacks(trainer: Any, records: Sequence[PutRecord]) -> None:
    values = _connector_values(trainer, "callback_metrics")
    for record in records:
        values[record.name] = _as_tensor(record.value)


def _to_loggers(trainer: Any, records: Sequence[PutRecord]) -> None:
    logged = _connector_values(trainer, "logged_metrics")
    steps: dict[tuple[int, int], dict[str, Value]] = {}
    for record in records:
        logged[record.name] = _as_tensor(record.value)
        steps.setdefault((record.step, record.epoch), {})[record.name] = record.value
    if not trainer.loggers or not trainer.is_global_zero:
        return
    failed: tuple[Any, Exception] | None = None
    for (stamped, epoch), values in steps.items():
        metrics = _as_numbers(values)
        if "step" in metrics:
            # Lightning's documented way to choose the x axis.
            step = int(metrics.pop("step"))
        else:
            step = stamped
            metrics.setdefault("epoch", epoch)
        for logger in trainer.loggers:
            try:
                # A copy for each: some loggers add their prefix in place.
                logger.log_metrics(metrics=dict(metrics), step=step)
                logger.save()
            except Exception as error:
                failed = failed or (logger, error)
    if failed is not None:
        broken, reason = failed
        raise PutDeliveryError(f"{type(broken).__qualname__}: {reason}") from reason


class PutRouter(_Callback):  # type: ignore[misc]
    """Delivers what is put, after every hook.

    Args:
        destinations: places of the user's own, by name; see ``register``.
        log_every_n_steps: how often loggers are written in training batches; None means the
            argument of that name of the Trainer.
    """

    def __init__(
        self,
        destinations: Mapping[str, Destination] | None = None,
        log_every_n_steps: int | None = None,
    ) -> None:
        super().__init__()
        if log_every_n_steps is not None and log_every_n_steps < 0:
            raise PutError(f"log_every_n_steps is a count from 0 on, not {log_every_n_steps}")
        self.log_every_n_steps = log_every_n_steps
        self._destinations: dict[str, Destination] = {
            "loggers": _to_loggers,
            "progress_bar": _to_progress_bar,
            "callbacks": _to_callbacks,
        }
        self._trainer: Callable[[], Any] = _nobody
        self._forget()
        for name, destination in (destinations or {}).items():
            self.register(name, destination)

    def _forget(self) -> None:
        """Start a run with nothing on the way."""
        self._pending: dict[str, list[PutRecord]] = {}
        self._shown: dict[str, PutRecord] = {}
        # Lightning empties callback_metrics after setup and after the sanity check; what was put
        # before is written again when the loops start. None: they have started.
        self._early: list[PutRecord] | None = []
        self._unsampled: list[PutRecord] = []
        self._batch: str | None = None  # None, "sampled", "skipped" or "accumulating"
        self._evaluation_step: int | None = None
        self._epoch_ending = False
        self._over = False

    def __getstate__(self) -> dict[str, Any]:
        # A weak reference cannot be pickled, and a copy routes for another trainer.
        return {**self.__dict__, "_trainer": _nobody}

    def register(self, name: str, destination: Destination) -> None:
        """Add a destination, called with the trainer and its records on every rank.

        Raises:
            PutError: the name is taken, or what is given cannot be called.
        """
        if name in self._destinations:
            raise PutError(f"there is a destination {name!r} already")
        if not callable(destination):
            raise PutError(f"the destination {name!r} cannot be called: {destination!r}")
        self._destinations[name] = destination

    # Taking ---------------------------------------------------------------------------------

    def _known(self, name: str, destinations: str | Sequence[str] | None) -> tuple[str, ...]:
        if destinations is None:
            return _EVERYWHERE
        wanted = (destinations,) if isinstance(destinations, str) else tuple(destinations)
        for place in wanted:
            if place not in self._destinations:
                near = difflib.get_close_matches(str(place), self._destinations, 1)
                hint = f"did you mean {near[0]!r}? " if near else ""
                there = ", ".join(map(repr, self._destinations))
                raise PutError(f"{_place()}: {name!r} is put to {place!r}: {hint}there are {there}")
        if not wanted:
            raise PutError(
                f"{_place()}: {name!r} is put to no destination: name one, or none at all for all"
            )
        return wanted

    def _step(self, trainer: Any) -> int:
        """Return the step at which Lightning's own logging would write now."""
        if self._evaluation_step is not None:
            return self._evaluation_step
        step = getattr(trainer.fit_loop.epoch_loop, "_batches_that_stepped", None)
        if step is None:
            step = trainer.global_step
        # Lightning takes one off, too, for what is logged at the end of a training epoch.
        return int(step) - self._epoch_ending

    def _take(self, name: str, value: Value, destinations: str | Sequence[str] | None) -> None:
        wanted = self._known(name, destinations)
        trainer = self._trainer()
        if trainer is None:
            return
        callbacks = trainer.callbacks
        if not (callbacks and callbacks[0] is self) and not any(c is self for c in callbacks):
            # A tuner's trial: it takes all callbacks and loggers away, and ours is one of them.
            return
        stage = trainer.state.stage
        stage = None if stage is None else str(getattr(stage, "value", stage))
        if stage == "sanity_check":
            # As self.log: callbacks may look, and Lightning empties what they see afterwards.
            if "callbacks" in wanted:
                _connector_values(trainer, "callback_metrics")[name] = _as_tensor(value)
            return
        step = self._step(trainer)
        epoch = trainer.current_epoch
        self._route(trainer, PutRecord(name, value, wanted, time.monotonic(), step, epoch, stage))
        if self._over:
            self._deliver(trainer)

    def _route(self, trainer: Any, record: PutRecord) -> None:
        for destination in record.destinations:
            if destination == "callbacks":
                # At once: ReduceLROnPlateau, EarlyStopping and ModelCheckpoint read in the very
                # hook in which the module puts, before the router's next hook.
                _connector_values(trainer, "callback_metrics")[record.name] = _as_tensor(
                    record.value
                )
            elif destination == "progress_bar":
                self._shown[record.name] = record
            elif destination == "loggers" and self._batch in ("skipped", "accumulating"):
                if self._batch == "skipped":
                    self._unsampled.append(record)
            else:
                self._pending.setdefault(destination, []).append(record)
        if self._early is not None:
            self._early.append(record)

    # Delivering -----------------------------------------------------------------------------

    def _deliver(self, trainer: Any, *, show: bool = True) -> None:
        """Hand every destination its records.

        Args:
            show: also bring the progress bar up to date; waits for the device of its tensors.

        Raises:
            PutDeliveryError: a destination raised; after all others have got theirs.
        """
        if show and self._shown:
            shown, self._shown = self._shown, {}
            self._pending["progress_bar"] = list(shown.values())
        if not self._pending:
            return
        pending, self._pending = self._pending, {}
        failed: tuple[str, list[PutRecord], Exception] | None = None
        for destination, records in pending.items():
            try:
                self._destinations[destination](trainer, records)
            except Exception as error:
                failed = failed or (destination, records, error)
        if failed is not None:
            name, lost, reason = failed
            names = ", ".join(dict.fromkeys(repr(record.name) for record in lost))
            raise PutDeliveryError(
                f"destination {name!r} failed with {names} "
                f"(step {lost[-1].step}, epoch {lost[-1].epoch}): "
                f"{type(reason).__name__}: {reason}"
            ) from reason

    def _settle(self, trainer: Any) -> None:
        """Decide on what a batch put to loggers, now that the batch is over.

        As ``self.log``: a batch that ends a training is written, whatever its number.
        """
        if self._unsampled:
            if trainer.should_stop:
                self._pending.setdefault("loggers", []).extend(self._unsampled)
            self._unsampled = []

    def _after_hook(self, trainer: Any, *_: Any, **__: Any) -> None:
        if self._batch is not None:
            self._batch = None
            self._settle(trainer)
        if self._pending or self._shown:
            self._deliver(trainer)

    on_fit_start = on_fit_end = on_sanity_check_start = on_sanity_check_end = _after_hook
    on_train_end = _after_hook
    on_validation_end = on_validation_epoch_start = on_validation_batch_end = _after_hook
    on_test_end = on_test_epoch_start = on_test_batch_end = _after_hook
    on_predict_end = on_predict_epoch_start = on_predict_epoch_end = _after_hook
    on_predict_batch_start = on_predict_batch_end = _after_hook

    def _in_batch(self, trainer: Any, *_: Any, **__: Any) -> None:
        if self._pending:
            self._deliver(trainer, show=False)

    on_before_backward = on_after_backward = _in_batch
    on_before_optimizer_step = on_before_zero_grad = _in_batch

    def _on_start(self, trainer: Any, *_: Any) -> None:
        early, self._early = self._early, (self._early if trainer.sanity_checking else None)
        if early and self._early is None:
            for record in early:
                if "callbacks" in record.destinations:
                    _to_callbacks(trainer, [record])
                if "progress_bar" in record.destinations:
                    self._shown[record.name] = record
        self._after_hook(trainer)

    on_train_start = on_validation_start = on_test_start = on_predict_start = _on_start

    def on_train_epoch_start(self, trainer: Any, *_: Any) -> None:
        self._after_hook(trainer)
        self._epoch_ending = False

    def on_train_epoch_end(self, trainer: Any, *_: Any) -> None:
        self._after_hook(trainer)
        self._epoch_ending = True

    def on_train_batch_start(self, trainer: Any, pl_module: Any, *_: Any, **__: Any) -> None:
        self._settle(trainer)
        if self._pending:
            self._deliver(trainer, show=False)
        loop = trainer.fit_loop.epoch_loop
        every = self.log_every_n_steps
        every = trainer.log_every_n_steps if every is None else every
        step = getattr(loop, "_batches_that_stepped", trainer.global_step) + 1
        accumulates = getattr(loop, "_should_accumulate", bool)
        if pl_module.automatic_optimization and accumulates():
            self._batch = "accumulating"
        elif trainer.fast_dev_run or (every and step % every == 0):
            self._batch = "sampled"
        else:
            self._batch = "skipped"

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        # The bar reads in this hook, after us, when its rate says so; no one waits for the device
        # for numbers that are not shown.
        rate = getattr(trainer.progress_bar_callback, "refresh_rate", 1)
        if trainer.progress_bar_callback is None:
            rate = 0
        due = rate and ((batch_idx + 1) % rate == 0 or trainer.is_last_batch)
        self._deliver(trainer, show=bool(due))

    def _on_evaluation_batch_start(
        self,
        trainer: Any,
        pl_module: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._after_hook(trainer)
        loop = trainer.test_loop if trainer.testing else trainer.validate_loop
        if str(getattr(trainer.state.fn, "value", "")) == "fit":
            loop = trainer.fit_loop.epoch_loop.val_loop
        seen = getattr(loop, "_seen_batches_per_dataloader", {})
        self._evaluation_step = int(seen.get(dataloader_idx, batch_idx if not seen else 0))

    on_validation_batch_start = on_test_batch_start = _on_evaluation_batch_start

    def _on_evaluation_epoch_end(self, trainer: Any, *_: Any) -> None:
        self._evaluation_step = None
        self._after_hook(trainer)

    on_validation_epoch_end = on_test_epoch_end = _on_evaluation_epoch_end

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Tie every module and callback that puts to this run, and go first among callbacks."""
        self._forget()
        self._trainer = weakref.ref(trainer)
        others = [item for item in trainer.callbacks if item is not self]
        # A new list: Lightning walks through the old one in this moment.
        trainer.callbacks = [self, *others]
        for owner in (*pl_module.modules(), *others):
            if isinstance(owner, PutMixin):
                link = _link_of(owner)
                link.token = _token(owner)
                link.router = self
                waiting, link.waiting = link.waiting, []
                for record in waiting:
                    self._known(record.name, record.destinations)
                    self._route(trainer, record)
        self._deliver(trainer)

    def teardown(self, trainer: Any, *_: Any, **__: Any) -> None:
        """Deliver, and from now on at once: no hook follows in which it could be done."""
        self._after_hook(trainer)
        self._over = True

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """Deliver what is on the way before the run ends, without hiding why it ends."""
        self._batch = None
        self._over = True
        try:
            self._deliver(trainer)
        except PutDeliveryError as error:
            warnings.warn(str(error), PutWarning, stacklevel=2)

    # Checkpoints ----------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Return what the metric objects of the module have gathered, for each rank.

        TorchMetrics keeps its states out of checkpoints, so a run that is resumed within an epoch
        would compute its epoch from the rest alone.
        """
        trainer = self._trainer()
        if trainer is None or trainer.lightning_module is None:
            return {}
        # Whoever resumes from this checkpoint does not put again what came before it.
        self._deliver(trainer)
        metrics = _metrics_of(trainer.lightning_module)
        if not metrics:
            return {}
        states = {path: state for path, item in metrics.items() if (state := _state(item))}
        ranks: list[Any] = [states]
        if trainer.world_size > 1 and torch.distributed.is_initialized():
            ranks = [None] * trainer.world_size
            torch.distributed.all_gather_object(ranks, states)
        return {"ranks": ranks} if any(ranks) else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Give the metric objects of the module what they had gathered, in a fit that resumes."""
        trainer = self._trainer()
        ranks = state_dict.get("ranks")
        if trainer is None or not ranks:
            return
        if str(getattr(trainer.state.fn, "value", "")) != "fit":
            # A checkpoint that is validated or tested starts with empty metrics.
            return
        if len(ranks) != trainer.world_size:
            if trainer.is_global_zero:
                warnings.warn(
                    f"the checkpoint holds metrics of {len(ranks)} processes in the middle of an "
                    f"epoch and this run has {trainer.world_size}: the first epoch's values are "
                    f"those of its remaining batches; resume with {len(ranks)}, or from a "
                    "checkpoint of the end of an epoch",
                    PutWarning,
                    stacklevel=2,
                )
            return
        states = ranks[trainer.global_rank]
        for path, metric in _metrics_of(trainer.lightning_module).items():
            _restore(metric, states.get(path))


def _nobody() -> None:
    """Stand for the trainer of a router that has none yet."""
