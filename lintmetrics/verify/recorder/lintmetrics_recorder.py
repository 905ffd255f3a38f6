"""Writes each number that leaves Lightning, under any Lightning from 1.0.8 to 2.6.

Runs inside the user's training, in whatever Python and Lightning that uses: imports the standard
library only, and nothing of lintmetrics. It changes methods of Lightning right after Lightning
is imported, and neither the trainer's callbacks, nor the model, nor the random state, unless
``LINTMETRICS_SEED`` asks for one: that seeds random, NumPy and torch as each is first imported.

``LINTMETRICS_RECORD`` is the folder to write to. ``LINTMETRICS_CAPTURE``, where set, asks for raw
steps: dotted path, from the LightningModule, of the module whose outputs are wanted; empty for
the LightningModule itself. ``LINTMETRICS_TRUTH``, where set, asks for what the true numbers follow
from, which ``lintmetrics_evidence`` beside this file gathers.

What is written, one JSON object to a line of ``record-<rank>-<pid>.jsonl``, by ``t``:

``environment``
    versions, device, rank, world size, arguments; written again when more is known.
``run`` and ``ran``
    a call of fit, validate, test or predict begins and ends.
``numbers``
    ``d`` leaves by ``via`` at ``at`` (run, stage, epoch, batches); the first has the position
    ``order``. For ``callback`` and ``progress`` it is what Lightning has put there anew since the
    last time, equal or not, and ``gone`` names what it took away, so that the lines of a run add
    up to what stood there; ``moment`` says when it was looked at.
``weights``
    checksum at the end of a fit.
``skipped``
    a key whose value is no number, once for each key.
``error``
    the recorder itself failed.
``end``
    the process ended.

When each way out is read:

``logger``
    Lightning's logger connector hands a dict to the loggers; with several loggers once, with none
    all the same. Up to 1.7 before the logger's own aggregation of numbers of equal step. A router
    of ``put`` hands them records; a number of a batch counts with that batch, whenever it arrives.
``callback``, ``progress``
    The dicts behind ``trainer.callback_metrics`` and ``trainer.progress_bar_metrics``, without the
    properties, which compute metrics when read. Moments: ``batch end`` (after Lightning's own
    logging of a training batch, before a validation that follows it), ``evaluation end`` (before
    and after ``on_validation_end``), ``epoch end`` (after Lightning has logged the training
    epoch), ``run end``.
``direct``
    The program calls ``log_metrics`` of a logger of the trainer, ``log_hyperparams`` with metrics,
    ``add_scalar`` or ``add_scalars`` of a TensorBoard writer, ``log`` of a Weights & Biases run, or
    ``log_metrics`` of a CSV writer. Other experiment objects are not seen.
"""

from __future__ import annotations

import atexit
import functools
import itertools
import os
import sys
import time
import weakref
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

ROOTS = ("pytorch_lightning", "lightning.pytorch")

_FLUSH_SECONDS = 1.0
_FLUSH_LINES = 5000
_MISSING = object()

if TYPE_CHECKING:
    Moment = tuple[int, str, int, int]


class _Run:
    """One call of fit, validate, test or predict."""

    def __init__(self, number: int, function: str, trainer: Any) -> None:
        self.number = number
        self.function = function
        self.trainer = trainer
        self.stage = {"fit": "train"}.get(function, function)
        self.epochs = 0
        self.batches = 0
        self.in_batch = False
        self.batch_began = 0.0
        self.batch_idx = 0
        # Lightning's number of an epoch to ours, which begins anew with each run.
        self.epoch_index: dict[int, int] = {}
        self.dataloader_idx = 0
        self.evaluating = False
        # Old versions keep what stands there from one run to the next.
        new: dict[str, dict[str, Any]] = {"callback": {}, "progress": {}}
        self.standing = _STATE.standing.setdefault(trainer, new)

    def moment(self) -> Moment:
        return (self.number, self.stage, max(0, self.epochs - 1), self.batches)

    def back(self) -> None:
        self.stage = {"fit": "train"}.get(self.function, self.function)


class _State:
    """What the recorder of this process knows."""

    def __init__(self) -> None:
        self.folder = ""
        self.capture: str | None = None
        self.evidence: Any = None
        self.runs: list[_Run] = []
        self.begun = 0
        self.suspended = 0
        self.order = itertools.count()
        self.lines: list[dict[str, Any]] = []
        self.file: int | None = None
        self.raw: Any = None
        self.rank = 0
        self.environment: dict[str, Any] = {}
        self.flushed = 0.0
        self.off = False
        self.told: dict[str, bool] = {}
        self.connector: list[dict[str, Any]] = []
        self.logging = 0
        self.standing: Any = weakref.WeakKeyDictionary()


_STATE = _State()


def install() -> None:
    """Begin: watch for Lightning to be imported."""
    if _STATE.folder:
        return
    begin()
    sys.meta_path.insert(0, _Finder())
    atexit.register(_end)
    # A child that was forked has its own file; what its parent has not written yet is the parent's.
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_forked)
    leave = os._exit

    def leave_after_writing(status: int) -> None:
        _end()
        leave(status)

    os._exit = leave_after_writing  # type: ignore[assignment]
    if os.environ.get("LINTMETRICS_TRUTH"):
        try:
            _gather()
        except Exception:
            _failed("install")
    if "LINTMETRICS_SEED" in os.environ:
        _PATCHES.update({"random": _seed_random, "numpy": _seed_numpy, "torch": _seed_torch})
    for name in list(sys.modules):
        if _patches_of(name):
            _patch(sys.modules[name])


def begin() -> None:
    """Take from the environment where to write, and what to keep besides the numbers."""
    _STATE.folder = os.path.abspath(os.environ["LINTMETRICS_RECORD"])
    _STATE.capture = os.environ.get("LINTMETRICS_CAPTURE")


def _seed() -> int:
    return int(os.environ["LINTMETRICS_SEED"])


def _seed_random(random: Any) -> None:
    random.seed(_seed())


def _seed_numpy(numpy: Any) -> None:
    numpy.random.seed(_seed())


def _seed_torch(torch: Any) -> None:
    torch.manual_seed(_seed())


def _gather() -> None:
    import lintmetrics_evidence  # type: ignore[import-not-found]

    lintmetrics_evidence.install()
    _STATE.evidence = lintmetrics_evidence


def _forked() -> None:
    _STATE.lines = []
    _STATE.file = None
    _STATE.raw = None
    _STATE.flushed = 0.0
    if _STATE.evidence is not None:
        _STATE.evidence.forked()


# ---- writing ---------------------------------------------------------------------------------


def _guarded(function: Callable[..., Any]) -> Callable[..., Any]:
    """An error of the recorder never reaches the training: it is written down and shown."""

    @functools.wraps(function)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        if _STATE.off or _STATE.suspended:
            return None
        try:
            return function(*args, **kwargs)
        except Exception:
            _failed(function.__name__)
            return None

    return guarded


def _failed(where: str) -> None:
    import traceback

    text = traceback.format_exc()
    last = text.strip().splitlines()[-1]
    if where + last in _STATE.told:
        return
    _STATE.told[where + last] = True
    _STATE.lines.append({"t": "error", "where": where, "text": text})
    _say(f"the recorder failed in {where}: {last}")


def _say(text: str) -> None:
    try:
        sys.stderr.write(f"lintmetrics: {text}\n")
    except (OSError, ValueError, AttributeError):
        # The program has closed its stderr, or has none: nowhere to say it.
        return


def _flush() -> None:
    import json

    lines, _STATE.lines = _STATE.lines, []
    _STATE.flushed = time.monotonic()
    if _STATE.off or not lines:
        return
    try:
        if _STATE.file is None:
            lines.insert(0, _environment())
            os.makedirs(_STATE.folder, exist_ok=True)
            name = f"record-{_STATE.rank}-{os.getpid()}.jsonl"
            path = os.path.join(_STATE.folder, name)
            _STATE.file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        text = "".join(json.dumps(_plain(line)) + "\n" for line in lines)
        data = text.encode("utf-8", "surrogatepass")
        while data:
            data = data[os.write(_STATE.file, data) :]
    except OSError as error:
        # Half a record says too little, and the training must go on.
        _STATE.off = True
        _say(f"nothing more is recorded: {error}")


def _plain(line: dict[str, Any]) -> dict[str, Any]:
    """The line with every number read: this is where the recorder waits for a device."""
    if line["t"] == "numbers":
        line["d"] = {key: _number(value) for key, value in line["d"].items()}
    return line


def _number(value: Any) -> float:
    return float(value.item() if hasattr(value, "item") else value)


def _end() -> None:
    if _STATE.file is None or _STATE.off:
        return
    _STATE.lines.append({"t": "end"})
    _flush()
    os.close(_STATE.file)
    _STATE.off = True


def _environment() -> dict[str, Any]:
    found = {"t": "environment", "rank": _STATE.rank, "pid": os.getpid(), "parent": os.getppid()}
    found["python"] = sys.version.split()[0]
    found["arguments"] = list(getattr(sys, "argv", []))
    for name in ("torch", "pytorch_lightning", "lightning", "torchmetrics", "numpy"):
        version = getattr(sys.modules.get(name), "__version__", None)
        if version is not None:
            found[name] = str(version)
    found.update(_STATE.environment)
    return found


# ---- runs, stages, moments -------------------------------------------------------------------


def _run_of(trainer: Any) -> _Run:
    if type(trainer) in weakref.ProxyTypes:
        # Models hold their trainer so; its methods know the trainer itself.
        trainer = trainer.fit.__self__
    for run in reversed(_STATE.runs):
        if run.trainer is trainer:
            return run
    # A spawned process: its fit was called in the parent, which says which one it was.
    number, _, function = os.environ.get("LINTMETRICS_FIT", "0:fit").partition(":")
    run = _Run(int(number), function or "fit", trainer)
    _STATE.begun = max(_STATE.begun, run.number + 1)
    _STATE.runs.append(run)
    _STATE.lines.append({"t": "run", "run": run.number, "function": function, "entered": False})
    return run


@_guarded
def _begin_run(trainer: Any, function: str) -> _Run | None:
    if any(run.trainer is trainer for run in _STATE.runs):
        # test() of old versions calls fit(), and a program may call validate() inside a fit.
        return None
    run = _Run(_STATE.begun, function, trainer)
    _STATE.begun += 1
    _STATE.runs.append(run)
    os.environ["LINTMETRICS_FIT"] = f"{run.number}:{function}"
    _STATE.lines.append({"t": "run", "run": run.number, "function": function, "entered": True})
    _wrap_loggers(trainer)
    return run


@_guarded
def _end_run(run: _Run, error: BaseException | None) -> None:
    run.back()
    if _STATE.evidence is not None:
        _STATE.evidence.pass_ended(run, True)
    _look(run, "run end")
    if run.function == "fit" and error is None:
        _record_weights(run)
    line = {"t": "ran", "run": run.number, "at": run.moment()}
    if error is not None:
        last = str(error).strip().splitlines()[-1:] or [""]
        line["raised"] = f"{type(error).__name__}: {last[0]}"[:500]
    _STATE.lines.append(line)
    _flush()


def _entry(function: str, original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def entry(self: Any, *args: Any, **kwargs: Any) -> Any:
        run = _begin_run(self, function)
        if run is None:
            return original(self, *args, **kwargs)
        try:
            result = original(self, *args, **kwargs)
        except BaseException as error:
            _end_run(run, error)
            raise
        else:
            _end_run(run, None)
            return result
        finally:
            _STATE.runs.remove(run)

    return entry


def _evaluation(original: Callable[..., Any]) -> Callable[..., Any]:
    """Around an evaluation of 1.0 to 1.3, which logs after its last hook."""

    @functools.wraps(original)
    def evaluation(self: Any, *args: Any, **kwargs: Any) -> Any:
        _evaluation_begins(self)
        try:
            return original(self, *args, **kwargs)
        finally:
            _evaluation_ended(self)

    return evaluation


@_guarded
def _evaluation_begins(trainer: Any) -> None:
    _run_of(trainer).evaluating = True


@_guarded
def _evaluation_ended(trainer: Any) -> None:
    run = _run_of(trainer)
    run.evaluating = False
    _evaluated(run)


def _aside(original: Callable[..., Any]) -> Callable[..., Any]:
    """Trial trainings that look for a learning rate or a batch size are no part of the run."""

    @functools.wraps(original)
    def aside(*args: Any, **kwargs: Any) -> Any:
        _STATE.suspended += 1
        try:
            return original(*args, **kwargs)
        finally:
            _STATE.suspended -= 1

    return aside


_EVALUATIONS = {"validation": "validate", "test": "test", "predict": "predict"}
_STARTS = {f"on_{name}_start": stage for name, stage in _EVALUATIONS.items()}
_ENDS = frozenset(f"on_{name}_end" for name in _EVALUATIONS)
_BATCH_STARTS = frozenset(f"on_{n}_batch_start" for n in ("train", *_EVALUATIONS))
_BEGUN = frozenset(_STARTS) | _ENDS | _BATCH_STARTS | {"on_train_epoch_start", "on_train_batch_end"}
_ENDED = _ENDS | {"on_train_epoch_start"}
_EPOCH_ENDS = frozenset(f"on_{name}_epoch_end" for name in ("train", *_EVALUATIONS))


@_guarded
def _hook_begins(trainer: Any, name: str, args: tuple[Any, ...]) -> None:
    run = _run_of(trainer)
    _watch_routers(trainer)
    if name in _BATCH_STARTS:
        run.batch_idx = args[1] if len(args) > 1 and isinstance(args[1], int) else 0
        run.dataloader_idx = 0
        if name == "on_train_batch_start":
            run.in_batch = True
            run.batch_began = time.monotonic()
        elif len(args) > 2 and isinstance(args[2], int):
            run.dataloader_idx = args[2]
    elif name == "on_train_batch_end":
        if run.in_batch:
            run.in_batch = False
            run.batches += 1
    elif name == "on_train_epoch_start":
        if _STATE.evidence is not None:
            _STATE.evidence.pass_ended(run, True)
        run.epochs += 1
        run.epoch_index[int(trainer.current_epoch)] = run.epochs - 1
        run.back()
        _identify(trainer)
    elif name in _STARTS:
        sanity = getattr(trainer, "sanity_checking", None)
        if sanity is None:
            sanity = getattr(trainer, "running_sanity_check", False)
        run.stage = "sanity" if sanity and name == "on_validation_start" else _STARTS[name]
        _identify(trainer)
    else:
        _look(run, "evaluation end")


@_guarded
def _hook_ended(trainer: Any, name: str) -> None:
    run = _run_of(trainer)
    if name in _ENDS and not run.evaluating:
        _evaluated(run)


def _evaluated(run: _Run) -> None:
    if _STATE.evidence is not None:
        _STATE.evidence.pass_ended(run, False)
    _look(run, "evaluation end")
    run.back()
    _flush()


def _identify(trainer: Any) -> None:
    """What is known of the process once Lightning has set up its devices."""
    module = _module(trainer)
    found: dict[str, Any] = {
        "rank": int(getattr(trainer, "global_rank", 0) or 0),
        "world_size": int(getattr(trainer, "world_size", 1) or 1),
        "device": str(getattr(module, "device", "")),
        "lightning_from": _root(type(trainer)),
    }
    if found == _STATE.environment:
        return
    _STATE.environment = found
    _STATE.rank = found["rank"]
    if _STATE.file is not None:
        _STATE.lines.append(_environment())
    else:
        _STATE.lines.append({"t": "identified"})
    if _watches_steps():
        _wrap_old_steps(trainer)
    _wrap_loggers(trainer)
    _flush()


def _root(trainer: type) -> str:
    for cls in trainer.__mro__:
        for root in ROOTS:
            if cls.__module__.startswith(root + "."):
                return root
    return trainer.__module__


def _module(trainer: Any) -> Any:
    module = getattr(trainer, "lightning_module", None)
    if module is None and hasattr(trainer, "get_model"):
        module = trainer.get_model()
    return getattr(module, "_orig_mod", module)


# ---- callback metrics and the progress bar -----------------------------------------------------


def _look(run: _Run, moment: str) -> None:
    """Record what Lightning has put into its dicts since the last look."""
    trainer = run.trainer
    connector = getattr(trainer, "_logger_connector", None)
    if connector is None:
        connector = getattr(trainer, "logger_connector", None)
    if connector is None:
        return
    for via, name in (("callback", "callback_metrics"), ("progress", "progress_bar_metrics")):
        # Without the property: reading it computes metrics.
        held = connector.__dict__.get("_" + name, _MISSING)
        if held is _MISSING:
            held = connector.__dict__.get(name, {})
        held = getattr(held, "metrics", held)
        seen = run.standing[via]
        new: dict[str, Any] = {}
        for key, value in list(_flat(held)):
            old = seen.get(key)
            version = _version(value)
            if old is not None and old[0] is value and old[1] == version:
                continue
            kept = _keep(key, value)
            if kept is None:
                continue
            if old is not None and _converted(old[0], value):
                seen[key] = (value, version)
                continue
            seen[key] = (value, version)
            new[key] = kept
        gone = [key for key in seen if key not in held and "/" not in key]
        for key in gone:
            del seen[key]
        if new or gone:
            _numbers(via, run.moment(), new, moment=moment, gone=gone)
    if time.monotonic() - _STATE.flushed > _FLUSH_SECONDS or len(_STATE.lines) > _FLUSH_LINES:
        _flush()


def _converted(old: Any, new: Any) -> bool:
    # 1.2 turns plain numbers into tensors, in place, the first time its dict is read.
    return isinstance(old, (int, float)) and _is_tensor(new) and float(new.item()) == float(old)


def _version(value: Any) -> Any:
    try:
        return getattr(value, "_version", None)
    except RuntimeError:
        # Tensors made in inference mode keep no count of changes.
        return None


def _is_tensor(value: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def _keep(key: str, value: Any) -> Any:
    """The number, safe from later changes and still on its device; ``None`` if it is none."""
    if isinstance(value, (float, int)):
        return value
    if _is_tensor(value):
        if value.numel() == 1:
            return value.detach().clone()
    elif hasattr(value, "dtype") and hasattr(value, "item") and getattr(value, "size", 0) == 1:
        return float(value.item())
    if key not in _STATE.told:
        _STATE.told[key] = True
        _STATE.lines.append({"t": "skipped", "key": key, "type": type(value).__name__})
    return None


def _flat(metrics: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in metrics.items():
        name = prefix + str(key)
        if isinstance(value, dict):
            yield from _flat(value, name + "/")
        else:
            yield name, value


def _numbers(via: str, at: Moment, numbers: dict[str, Any], **more: Any) -> None:
    order = next(_STATE.order)
    for _ in range(len(numbers) - 1):
        next(_STATE.order)
    line = {"t": "numbers", "order": order, "via": via, "at": at, "d": numbers}
    line.update((key, value) for key, value in more.items() if value is not None)
    _STATE.lines.append(line)


# ---- loggers -----------------------------------------------------------------------------------


def _log_metrics(original: Callable[..., Any]) -> Callable[..., Any]:
    """Around the logger connector's ``log_metrics``: what the loggers get is Lightning's."""

    @functools.wraps(original)
    def log_metrics(self: Any, metrics: Any, *args: Any, **kwargs: Any) -> Any:
        if _STATE.off or _STATE.suspended:
            return original(self, metrics, *args, **kwargs)
        handing: dict[str, Any] = {"given": dict(metrics) if metrics else {}}
        _STATE.connector.append(handing)
        try:
            _wrap_loggers(self.trainer)
            return original(self, metrics, *args, **kwargs)
        finally:
            _STATE.connector.remove(handing)
            _handed(self.trainer, handing, kwargs.get("step"))

    return log_metrics


@_guarded
def _handed(trainer: Any, handing: dict[str, Any], step: Any) -> None:
    numbers = handing.get("got")
    if numbers is None:
        # No logger, or not the process that logs.
        numbers = {k: v for k, v in handing["given"].items() if k != "step"}
    else:
        step = handing["step"]
    kept = {}
    for key, value in _flat(numbers):
        number = _keep(key, value)
        if number is not None:
            kept[key] = number
    if kept:
        _numbers("logger", _run_of(trainer).moment(), kept, step=_step(step))


def _step(step: Any) -> int | None:
    try:
        return None if step is None else int(step)
    except (TypeError, ValueError):
        return None


@_guarded
def _direct(metrics: Any, step: Any) -> None:
    if not _STATE.runs or not isinstance(metrics, dict):
        return
    kept = {}
    for key, value in _flat(metrics):
        number = _keep(key, value)
        if number is not None:
            kept[key] = number
    if kept:
        _numbers("direct", _STATE.runs[-1].moment(), kept, step=_step(step))


_LOGGER_METHODS = (
    "log_metrics",
    "agg_and_log_metrics",
    "log_hyperparams",
    "_finalize_agg_metrics",
    "save",
    "finalize",
    "close",
    "after_save_checkpoint",
)


@_guarded
def _wrap_loggers(trainer: Any) -> None:
    loggers = getattr(trainer, "loggers", None)
    found = list(loggers) if loggers is not None else []
    if "logger" in trainer.__dict__ or loggers is None:
        logger = getattr(trainer, "logger", None)
        if logger is not None:
            found.append(logger)
            found.extend(getattr(logger, "_logger_iterable", ()))
    for logger in found:
        for cls in type(logger).__mro__:
            if "_lintmetrics_watched" in cls.__dict__ or cls is object:
                continue
            for name in _LOGGER_METHODS:
                method = cls.__dict__.get(name)
                if callable(method) and not hasattr(method, "_lintmetrics"):
                    setattr(cls, name, _mark(_logger_method(name, method)))


def _logger_method(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        if _STATE.logging == 0:
            _logger_called(name, args, kwargs)
        _STATE.logging += 1
        try:
            return original(self, *args, **kwargs)
        finally:
            _STATE.logging -= 1

    return method


@_guarded
def _logger_called(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    metrics: Any = None
    step: Any = None
    if name in ("log_metrics", "agg_and_log_metrics"):
        metrics = args[0] if args else kwargs.get("metrics")
        step = args[1] if len(args) > 1 else kwargs.get("step")
    elif name == "log_hyperparams":
        metrics = args[1] if len(args) > 1 else kwargs.get("metrics")
    if metrics is None:
        return
    if _STATE.connector:
        handing = _STATE.connector[-1]
        if "got" not in handing:
            handing["got"] = dict(metrics)
            handing["step"] = step
        return
    _direct(metrics, step)


def _watch_routers(trainer: Any) -> None:
    """Have the routers of ``put`` say what they hand to loggers, with a logger or without."""
    for callback in getattr(trainer, "callbacks", None) or ():
        if type(callback).__name__ != "PutRouter":
            continue
        destinations = callback._destinations
        if not isinstance(destinations["loggers"], functools.partial):
            # A partial of a function that can be imported: routers travel to spawned processes.
            destinations["loggers"] = functools.partial(_routed, destinations["loggers"])


def _routed(original: Callable[..., Any], trainer: Any, records: Any) -> Any:
    """Around the way of ``put`` to the loggers."""
    _received(trainer, records)
    _STATE.logging += 1
    try:
        return original(trainer, records)
    finally:
        _STATE.logging -= 1


@_guarded
def _received(trainer: Any, records: Any) -> None:
    run = _run_of(trainer)
    number, stage, epoch, batches = run.moment()
    rows: dict[tuple[Moment, int | None], dict[str, Any]] = {}
    for record in records:
        under_way = run.in_batch and record.time >= run.batch_began
        at = (
            number,
            record.stage or stage,
            run.epoch_index.get(int(record.epoch), epoch),
            batches + (1 if under_way else 0),
        )
        value = _keep(record.name, record.value)
        if value is not None:
            # The router writes the epoch beside the numbers, as Lightning does.
            beside = {"epoch": record.epoch} if trainer.loggers else {}
            rows.setdefault((at, _step(record.step)), beside)[record.name] = value
    for (at, step), row in rows.items():
        _numbers("logger", at, row, step=step)


def _writer(read: Callable[..., Any], original: Callable[..., Any]) -> Callable[..., Any]:
    """Around a method of an experiment object, which the program may call past the logger."""

    @functools.wraps(original)
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        if _STATE.logging == 0 and not _STATE.connector:
            _written(read, args, kwargs)
        _STATE.logging += 1
        try:
            return original(self, *args, **kwargs)
        finally:
            _STATE.logging -= 1

    return method


@_guarded
def _written(read: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    metrics, step = read(*args, **kwargs)
    _direct(metrics, step)


def _scalar(tag: Any, scalar_value: Any = None, global_step: Any = None, *_: Any, **__: Any) -> Any:
    return {str(tag): scalar_value}, global_step


def _scalars(
    main_tag: Any, tag_scalar_dict: Any = None, global_step: Any = None, *_: Any, **__: Any
) -> Any:
    return {str(main_tag): tag_scalar_dict}, global_step


def _dict(data: Any = None, step: Any = None, *_: Any, **more: Any) -> Any:
    return (more.get("metrics_dict") or more.get("metrics") or data), step


# ---- weights -----------------------------------------------------------------------------------


def _record_weights(run: _Run) -> None:
    import ctypes
    import hashlib

    module = _module(run.trainer)
    if module is None:
        return
    digest = hashlib.sha256()
    for name, tensor in sorted(_tensors(module, "", set()), key=lambda pair: pair[0]):
        flat = tensor.detach()
        if flat.layout is not sys.modules["torch"].strided:
            flat = flat.to_dense()
        flat = flat.cpu().contiguous()
        digest.update(f"{name}|{tuple(flat.shape)}|{flat.dtype};".encode())
        if flat.numel():
            digest.update(ctypes.string_at(flat.data_ptr(), flat.numel() * flat.element_size()))
    order = next(_STATE.order)
    line = {"t": "weights", "order": order, "at": run.moment(), "sha256": digest.hexdigest()}
    _STATE.lines.append(line)


def _tensors(module: Any, prefix: str, seen: set[int]) -> Iterator[tuple[str, Any]]:
    """Parameters and buffers, without those of metrics: a rewrite adds metrics."""
    if id(module) in seen or _is_metric(module):
        return
    seen.add(id(module))
    for tensors in (module._parameters, module._buffers):
        for name, tensor in tensors.items():
            if tensor is not None and id(tensor) not in seen:
                seen.add(id(tensor))
                yield prefix + name, tensor
    for name, child in module._modules.items():
        if child is not None:
            yield from _tensors(child, prefix + name + ".", seen)


def _is_metric(module: Any) -> bool:
    return any(
        cls.__name__ == "Metric"
        and (cls.__module__.startswith("torchmetrics") or ".metrics" in cls.__module__)
        for cls in type(module).__mro__
    )


# ---- raw steps ---------------------------------------------------------------------------------

_STEPS = ("training_step", "validation_step", "test_step", "predict_step")


def _captured(trainer: Any, args: tuple[Any, ...], call: Callable[[], Any]) -> Any:
    """Make the call of one step and record what went in and came out."""
    if _STATE.off or _STATE.suspended:
        return call()
    if _STATE.evidence is not None:
        _evidence_begins(trainer, args)
    begun = _step_begins(trainer, args) if _STATE.capture is not None else None
    try:
        returned = call()
    finally:
        if begun is not None:
            _step_left(begun)
    if begun is not None:
        _step_ended(trainer, begun, returned)
    if _STATE.evidence is not None:
        _evidence_ended(returned)
    return returned


def _watches_steps() -> bool:
    return _STATE.capture is not None or _STATE.evidence is not None


@_guarded
def _evidence_begins(trainer: Any, args: tuple[Any, ...]) -> None:
    run = _run_of(trainer)
    _STATE.evidence.step_begins(run, _module(trainer), args[0] if args else None)


@_guarded
def _evidence_ended(returned: Any) -> None:
    _STATE.evidence.step_ended(returned)


@_guarded
def _evidence_epoch_ends(trainer: Any) -> None:
    _STATE.evidence.epoch_ends(_run_of(trainer), _module(trainer))


@_guarded
def _step_begins(trainer: Any, args: tuple[Any, ...]) -> dict[str, Any]:
    run = _run_of(trainer)
    module = _module(trainer)
    path = _STATE.capture or ""
    for name in path.split(".") if path else ():
        module = module[int(name)] if name.isdigit() else getattr(module, name)
    outputs: list[Any] = []
    begun: dict[str, Any] = {
        "at": run.moment(),
        "batch_idx": run.batch_idx,
        "dataloader_idx": run.dataloader_idx,
        "batch": _encode(args[0]) if args else ("s", None),
        "outputs": outputs,
        "module": module,
    }
    forward = module.forward
    begun["had"] = module.__dict__.get("forward", _MISSING)

    @functools.wraps(forward)
    def watched(*inputs: Any, **options: Any) -> Any:
        output = forward(*inputs, **options)
        _output(outputs, output)
        return output

    # On the object and for this step only: programs call forward() as well as the module.
    module.__dict__["forward"] = watched
    return begun


@_guarded
def _output(outputs: list[Any], output: Any) -> None:
    outputs.append(_encode(output))


@_guarded
def _step_left(begun: dict[str, Any]) -> None:
    module = begun.pop("module")
    had = begun.pop("had")
    if had is _MISSING:
        module.__dict__.pop("forward", None)
    else:
        module.__dict__["forward"] = had


@_guarded
def _step_ended(trainer: Any, begun: dict[str, Any], returned: Any) -> None:
    import pickle

    begun["returned"] = _encode(returned)
    if _STATE.raw is None:
        name = f"raw-{_STATE.rank}-{os.getpid()}"
        folder = os.path.join(_STATE.folder, name)
        os.makedirs(folder, exist_ok=True)
        path = os.path.join(folder, "steps.pickle")
        _STATE.raw = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    data = pickle.dumps(begun, protocol=4)
    while data:
        data = data[os.write(_STATE.raw, data) :]


def _encode(value: Any, depth: int = 0) -> tuple[Any, ...]:
    """Plain tuples that any Python and any numpy can read: a tag, then what it needs."""
    if value is None or isinstance(value, (bool, int, float, str, bytes)):
        return ("s", value)
    if _is_tensor(value):
        tensor = value.detach()
        torch = sys.modules["torch"]
        if tensor.layout is not torch.strided:
            tensor = tensor.to_dense()
        if tensor.dtype is torch.bfloat16:
            tensor = tensor.float()
        value = tensor.cpu().resolve_conj().numpy()
    if hasattr(value, "__array_interface__") and hasattr(value, "tobytes"):
        if value.dtype.hasobject:
            return _encode(value.tolist(), depth)
        return ("a", value.dtype.str, tuple(value.shape), value.tobytes())
    if depth > 20:
        return ("r", repr(value))
    depth += 1
    if isinstance(value, (list, tuple, set, frozenset)):
        tag = "l" if isinstance(value, list) else "t"
        return (tag, [_encode(item, depth) for item in value])
    if not hasattr(value, "items") and callable(getattr(value, "to_dict", None)):
        # Graph batches keep their tensors in stores and list them here.
        value = value.to_dict()
    if hasattr(value, "items") and hasattr(value, "keys"):
        return ("d", [(_key(key), _encode(item, depth)) for key, item in value.items()])
    attributes = getattr(value, "__dict__", None)
    if attributes and not callable(value):
        return ("d", [(_key(key), _encode(item, depth)) for key, item in attributes.items()])
    return ("r", repr(value))


def _key(key: Any) -> Any:
    return key if isinstance(key, (bool, int, float, str)) else str(key)


@_guarded
def _wrap_old_steps(trainer: Any) -> None:
    """1.0 has an accelerator class for each kind of training, each with its own steps."""
    backend = getattr(trainer, "accelerator_backend", None)
    if backend is None:
        return
    for cls in type(backend).__mro__:
        for name in _STEPS:
            if name in cls.__dict__ and not hasattr(cls.__dict__[name], "_lintmetrics"):
                setattr(cls, name, _mark(_old_step(cls.__dict__[name])))


def _old_step(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def step(self: Any, args: Any, *more: Any) -> Any:
        trainer = getattr(self, "trainer", None)
        if trainer is None:
            trainer = self.lightning_module.trainer
        given = tuple(args.values()) if isinstance(args, dict) else tuple(args)
        return _captured(trainer, given, lambda: original(self, args, *more))

    return step


# ---- putting it in place -------------------------------------------------------------------------


def _mark(function: Any) -> Any:
    function._lintmetrics = True
    return function


def _replace(owner: Any, name: str, wrap: Callable[[Any], Any]) -> None:
    original = vars(owner).get(name)
    if callable(original) and not hasattr(original, "_lintmetrics"):
        setattr(owner, name, _mark(wrap(original)))


def _hooks(callbacks: bool, module: bool) -> Callable[[Any], Any]:
    """Around a dispatcher of hooks: callbacks come first and the LightningModule last."""

    def wrap(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def dispatch(self: Any, hook_name: str, *args: Any, **kwargs: Any) -> Any:
            if callbacks and hook_name in _BEGUN:
                _hook_begins(self, hook_name, args)
            if callbacks and _STATE.evidence is not None and hook_name in _EPOCH_ENDS:
                _evidence_epoch_ends(self)
            result = original(self, hook_name, *args, **kwargs)
            if module and _STATE.evidence is not None and hook_name.endswith("_step_end"):
                _evidence_ended(result)
            if module and hook_name in _ENDED:
                _hook_ended(self, hook_name)
            return result

        return dispatch

    return wrap


def _strategy_hooks(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def dispatch(self: Any, hook_name: str, *args: Any, **kwargs: Any) -> Any:
        if hook_name not in _STEPS:
            return original(self, hook_name, *args, **kwargs)
        return _captured(self, args, lambda: original(self, hook_name, *args, **kwargs))

    return dispatch


def _dispatchers(owner: Any) -> None:
    _replace(owner, "call_hook", _hooks(True, True))
    _replace(owner, "_call_callback_hooks", _hooks(True, False))
    _replace(owner, "_call_lightning_module_hook", _hooks(False, True))
    if _watches_steps():
        _replace(owner, "_call_strategy_hook", _strategy_hooks)


def _patch_trainer(module: Any) -> None:
    trainer = module.Trainer
    for function in ("fit", "validate", "test", "predict"):
        _replace(trainer, function, functools.partial(_entry, function))
    _replace(trainer, "run_evaluation", _evaluation)
    _replace(trainer, "tune", _aside)
    _dispatchers(trainer)


def _patch_connector(module: Any) -> None:
    for name in ("LoggerConnector", "_LoggerConnector"):
        connector = vars(module).get(name)
        if not isinstance(connector, type):
            continue
        _replace(connector, "log_metrics", _log_metrics)
        for method, moment in (
            ("update_train_step_metrics", "batch end"),
            ("log_train_step_metrics", "batch end"),
            ("on_epoch_end", "epoch end"),
            ("update_train_epoch_metrics", "epoch end"),
            ("log_train_epoch_end_metrics", "epoch end"),
        ):
            _replace(connector, method, functools.partial(_then_look, moment))


def _then_look(moment: str, original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        _looked(self.trainer, moment)
        return result

    return method


@_guarded
def _looked(trainer: Any, moment: str) -> None:
    run = _run_of(trainer)
    _look(run, moment if run.stage == "train" else "evaluation end")
    if moment == "epoch end":
        _flush()


def _patch_accelerator(module: Any) -> None:
    if _watches_steps() and hasattr(module, "Accelerator"):
        for name in _STEPS:
            _replace(module.Accelerator, name, _old_step)


def _patch_trials(module: Any) -> None:
    for name in ("lr_find", "_lr_find", "scale_batch_size", "_scale_batch_size"):
        _replace(module, name, _aside)
        if hasattr(module, "Tuner"):
            _replace(module.Tuner, name, _aside)


def _patch_writers(module: Any) -> None:
    for owner, name, read in (
        ("SummaryWriter", "add_scalar", _scalar),
        ("SummaryWriter", "add_scalars", _scalars),
        ("Run", "log", _dict),
        ("ExperimentWriter", "log_metrics", _dict),
        ("_ExperimentWriter", "log_metrics", _dict),
    ):
        cls = vars(module).get(owner)
        if isinstance(cls, type):
            _replace(cls, name, functools.partial(_writer, read))


_PATCHES: dict[str, Callable[[Any], None]] = {
    "torch.utils.tensorboard.writer": _patch_writers,
    "tensorboardX.writer": _patch_writers,
    "wandb.sdk.wandb_run": _patch_writers,
    "lightning.fabric.loggers.csv_logs": _patch_writers,
    "lightning_fabric.loggers.csv_logs": _patch_writers,
}
for _name in ROOTS:
    _PATCHES[_name + ".trainer.trainer"] = _patch_trainer
    _PATCHES[_name + ".trainer.call"] = _dispatchers
    _PATCHES[_name + ".trainer.connectors.logger_connector"] = _patch_connector
    _PATCHES[_name + ".trainer.connectors.logger_connector.logger_connector"] = _patch_connector
    _PATCHES[_name + ".accelerators.accelerator"] = _patch_accelerator
    _PATCHES[_name + ".loggers.csv_logs"] = _patch_writers
    for _part in ("lr_finder", "batch_size_scaling", "tuning"):
        _PATCHES[_name + ".tuner." + _part] = _patch_trials


def _patches_of(name: str) -> list[Callable[[Any], None]]:
    more = _STATE.evidence.patch_for(name) if _STATE.evidence is not None else None
    return [patch for patch in (_PATCHES.get(name), more) if patch is not None]


def _patch(module: Any) -> None:
    try:
        for patch in _patches_of(module.__name__):
            patch(module)
    except Exception:
        _failed("patch of " + module.__name__)


class _Finder:
    """Finds nothing itself: runs a patch after the module it is for has been imported."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if not _patches_of(name):
            return None
        for finder in sys.meta_path:
            find = getattr(finder, "find_spec", None)
            if finder is self or find is None:
                continue
            spec = find(name, path, target)
            if spec is not None:
                _patch_after_import(spec.loader)
                return spec
        return None


def _patch_after_import(loader: Any) -> None:
    execute = getattr(loader, "exec_module", None)
    if execute is None:
        return

    def exec_module(module: Any) -> None:
        execute(module)
        _patch(module)

    loader.exec_module = exec_module
