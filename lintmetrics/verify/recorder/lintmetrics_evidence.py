"""Gathers what the true numbers of a training follow from, where they are asked for.

Part of the recorder, imported only when ``LINTMETRICS_TRUTH`` is set: a list of what is wanted,
each with the ``keys`` as ``[stage, key]``, the ``code`` of the rule, and the place (``file``,
``first``, ``last``) that it was found at. It computes on copies only, and puts the random state
back.

What is written, beside the recorder's own lines:

``asked``
    what was wanted.
``evidence``
    one for each pass over the data of one loader, where the stage is asked for. Lists have one
    entry for each step, ``null`` where there was none.

    ``sizes``: samples of each batch, as the batch sampler drew them; ``unsized`` says why one is
    not known. ``logged``: what ``self.log`` was given, by key. ``objects``: key to the number of
    the metric object that it was given. ``returned``: single numbers that the steps returned, by
    their place in it. ``held``: the same for lists of the module that have one entry for each
    step. ``metrics``: one for each function and object that was called (see ``_told``).

The arguments of the metrics, joined over the pass, are in ``evidence-<rank>-<pid>.pickle``, for
somebody else to compute from.
"""

from __future__ import annotations

import copy
import functools
import inspect
import json
import os
import re
import sys
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import lintmetrics_recorder as recorder  # type: ignore[import-not-found]

LIMIT = 512 * 2**20
"""Bytes of arguments that are held at a time."""
STORED = 2**30
"""Bytes of arguments that are written in all."""

_LIBRARIES = ("torch", "torchmetrics", "pytorch_lightning", "lightning", "sklearn", "scipy")
_BATCH_HOOKS = ("_step", "_step_end", "_batch_start", "_batch_end")
_METRIC_CODES = frozenset({"LM101", "LM102", "LM103", "LM105", "LM106", "LM107", "LM114"})
_MEAN_CODES = frozenset({"LM104", "LM111"})
_SCALARS = (bool, int, float, str, type(None))
_LEAVES = 200
_MISSING = object()


class _Unlike(Exception):
    """The calls of a pass do not make one; the text says why."""


class _Call:
    """One call of a metric in a step."""

    def __init__(self, step: int, args: Any, kwargs: Any) -> None:
        self.step = step
        self.args = args
        self.kwargs = kwargs
        self.answer: Any = None


class _Site:
    """The calls of one metric at one place: in a loop, of one turn of it."""

    def __init__(self, place: str, nth: int, asked: bool) -> None:
        self.place = place
        self.nth = nth
        self.asked = asked
        self.calls: list[_Call] = []


class _Metric:
    """A function, or an object, and the places that call it."""

    def __init__(self, target: Any, label: str, is_object: bool) -> None:
        self.target = target
        self.label = label
        self.is_object = is_object
        self.sites: dict[tuple[str, int, int], _Site] = {}
        self.computed: dict[int, Any] = {}
        self.closed: dict[str, Any] = {}
        self.template: Any = None
        self.reason = ""
        self.bytes = 0


class _Step:
    def __init__(self, size: Any) -> None:
        self.size = size
        self.logged: dict[str, Any] = {}
        self.returned: Any = None
        self.counts: dict[Any, int] = {}


class _Pass:
    """What is known of one walk over the data of one loader."""

    def __init__(self) -> None:
        self.steps: list[_Step] = []
        self.metrics: dict[int, _Metric] = {}
        self.objects: dict[str, int] = {}
        self.held: dict[str, list[Any]] = {}


class _Evidence:
    """What the recorder of this process gathers."""

    def __init__(self, wanted: list[dict[str, Any]]) -> None:
        self.wanted = wanted
        self.stages = {key[0] for one in wanted for key in one["keys"]}
        codes = {one["code"] for one in wanted}
        self.metrics = bool(codes & _METRIC_CODES)
        # What is averaged by hand may have any name in the steps.
        self.by_hand = bool(codes & _MEAN_CODES)
        self.meant: dict[str, bool] = {}
        self.passes: dict[tuple[str, int], _Pass] = {}
        self.open: _Pass | None = None
        self.module: Any = None
        self.thread = 0
        self.depth = 0
        self.bytes = 0
        self.stored = 0
        self.file: int | None = None
        self.sizes: dict[int, tuple[Any, Any]] = {}

    def wants(self, stage: str) -> bool:
        return "*" in self.stages or {"sanity": "validate"}.get(stage, stage) in self.stages

    def means(self, name: str) -> bool:
        """Whether what is logged under a name is of use."""
        if name not in self.meant:
            patterns = (pattern for one in self.wanted for _, pattern in one["keys"])
            self.meant[name] = self.by_hand or any(
                re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), name, re.DOTALL)
                for pattern in patterns
            )
        return self.meant[name]

    def pass_of(self, stage: str, loader: int) -> _Pass:
        return self.passes.setdefault((stage, loader), _Pass())

    def in_batch(self) -> bool:
        """Whether what happens now belongs to the last step that began."""
        if self.open is None or threading.get_ident() != self.thread:
            return False
        name = _hook_name(self.module)
        return not name or name.endswith(_BATCH_HOOKS)

    def is_asked(self, file: str, line: int) -> bool:
        path = file.replace(os.sep, "/")
        return any(
            one["first"] <= line <= one["last"] and ("/" + path).endswith("/" + one["file"])
            for one in self.wanted
        )


_EVIDENCE = _Evidence([])


def install() -> None:
    """Begin: what is wanted stands in the environment."""
    global _EVIDENCE
    _EVIDENCE = _Evidence(json.loads(os.environ["LINTMETRICS_TRUTH"]))
    recorder._STATE.lines.append({"t": "asked", "wanted": _EVIDENCE.wanted})


def forked() -> None:
    """A child that was forked has its own file."""
    _EVIDENCE.file = None
    recorder._STATE.lines.append({"t": "asked", "wanted": _EVIDENCE.wanted})


def _hook_name(module: Any) -> str:
    # Lightning's own note of the hook that runs; it moved to the trainer's results and back.
    try:
        name = module.__dict__.get("_current_fx_name", "")
    except AttributeError:
        return ""
    return name if isinstance(name, str) else ""


# ---- steps -------------------------------------------------------------------------------------


def step_begins(run: Any, module: Any, batch: Any) -> None:
    """A step is about to be called."""
    if not _EVIDENCE.wants(run.stage):
        _EVIDENCE.open = None
        return
    loader = run.dataloader_idx if run.stage != "train" else 0
    _EVIDENCE.open = _EVIDENCE.pass_of(run.stage, loader)
    _EVIDENCE.module = module
    _EVIDENCE.thread = threading.get_ident()
    _EVIDENCE.open.steps.append(_Step(_size_of(batch)))


def step_ended(returned: Any) -> None:
    """A step, or the hook after it, has returned."""
    if _EVIDENCE.by_hand and _EVIDENCE.open is not None and returned is not None:
        _EVIDENCE.open.steps[-1].returned = dict(_numbers_in(returned, elements=False))


def epoch_ends(run: Any, module: Any) -> None:
    """The epoch-end hooks are about to be called: they may empty what the steps have gathered."""
    passes = [one for (stage, _), one in _EVIDENCE.passes.items() if stage == run.stage]
    _EVIDENCE.open = None
    if len(passes) != 1 or module is None or not _EVIDENCE.by_hand:
        return
    (gathered,) = passes
    steps = gathered.steps
    for name, value in list(module.__dict__.items()):
        if not isinstance(value, list) or len(value) != len(steps) or name.startswith("__"):
            continue
        series: dict[str, list[Any]] = {}
        for index, item in enumerate(value):
            for path, number in _numbers_in(item, elements=False):
                series.setdefault(f"self.{name}{path}", [None] * len(steps))[index] = number
        gathered.held.update(series)


def pass_ended(run: Any, training: bool) -> None:
    """A walk over the data is over: write down what it showed."""
    for stage, loader in list(_EVIDENCE.passes):
        if (stage == "train") != training:
            continue
        gathered = _EVIDENCE.passes.pop((stage, loader))
        _EVIDENCE.open = None
        at = run.moment()
        world = int(recorder._STATE.environment.get("world_size", 1))
        line = {
            "t": "evidence",
            "at": (at[0], stage, at[2], at[3]),
            "loader": loader,
            "world_size": world,
        }
        if gathered.steps:
            line.update(_told_pass(gathered, world))
            recorder._STATE.lines.append(line)
        for metric in gathered.metrics.values():
            _EVIDENCE.bytes -= metric.bytes


def _told_pass(gathered: _Pass, world: int) -> dict[str, Any]:
    steps = gathered.steps
    logged: dict[str, list[Any]] = {}
    returned: dict[str, list[Any]] = {}
    for index, step in enumerate(steps):
        for found, into in ((step.logged, logged), (step.returned or {}, returned)):
            for name, value in found.items():
                into.setdefault(name, [None] * len(steps))[index] = _float(value)
    unsized = [step.size for step in steps if isinstance(step.size, str)]
    numbers = {identity: index for index, identity in enumerate(gathered.metrics)}
    return {
        "steps": len(steps),
        "sizes": None if unsized else [step.size for step in steps],
        "unsized": unsized[0] if unsized else "",
        "logged": logged,
        "objects": {key: numbers[i] for key, i in gathered.objects.items() if i in numbers},
        "returned": returned,
        "held": {name: [_float(v) for v in values] for name, values in gathered.held.items()},
        "metrics": [_told(metric, len(steps), world) for metric in gathered.metrics.values()],
    }


def _float(value: Any) -> float | None:
    return None if value is None else float(value.item() if hasattr(value, "item") else value)


def _is_number(value: Any) -> bool:
    if isinstance(value, (int, float)):
        return not isinstance(value, bool)
    if recorder._is_tensor(value):
        return bool(value.numel() == 1)
    return hasattr(value, "dtype") and hasattr(value, "item") and getattr(value, "size", 0) == 1


def _numbers_in(
    value: Any, path: str = "", depth: int = 0, elements: bool = True
) -> Iterator[tuple[str, Any]]:
    """Yield the single numbers of a value with their place in it.

    ``elements``: also those of a small tensor, such as one that has a number for each class.
    """
    if _is_number(value):
        yield path, value.detach().clone() if recorder._is_tensor(value) else value
    elif recorder._is_tensor(value) or (hasattr(value, "dtype") and hasattr(value, "shape")):
        if elements and len(value.shape) == 1 and 1 < value.shape[0] <= _LEAVES:
            for index, number in enumerate(value.tolist()):
                if _is_number(number):
                    yield f"{path}[{index}]", number
    elif depth < 4 and isinstance(value, dict):
        for key, item in list(value.items())[:_LEAVES]:
            yield from _numbers_in(item, f"{path}[{key!r}]", depth + 1, elements)
    elif depth < 4 and isinstance(value, (list, tuple)) and len(value) <= _LEAVES:
        for index, item in enumerate(value):
            yield from _numbers_in(item, f"{path}[{index}]", depth + 1, elements)


def _log(original: Callable[..., Any]) -> Callable[..., Any]:
    """Around ``LightningModule.log``."""

    @functools.wraps(original)
    def log(self: Any, name: Any, value: Any = _MISSING, *args: Any, **kwargs: Any) -> Any:
        _logged(str(name), value)
        if value is _MISSING:
            return original(self, name, *args, **kwargs)
        return original(self, name, value, *args, **kwargs)

    return log


@recorder._guarded  # type: ignore[untyped-decorator]
def _logged(name: str, value: Any) -> None:
    if not _EVIDENCE.in_batch() or not _EVIDENCE.means(name):
        return
    gathered = _EVIDENCE.open
    assert gathered is not None
    if hasattr(value, "_modules") and recorder._is_metric(value):
        gathered.objects[name] = id(value)
    elif isinstance(value, dict):
        for path, number in _numbers_in(value):
            gathered.steps[-1].logged[name + path] = number
    elif _is_number(value):
        kept = value.detach().clone() if recorder._is_tensor(value) else value
        gathered.steps[-1].logged[name] = kept


# ---- how many samples a batch has ----------------------------------------------------------------


def _leaves(value: Any, left: list[int], depth: int = 0) -> Iterator[Any]:
    """Yield what a batch is made of, outermost first, as far as the count in ``left`` reaches."""
    if left[0] <= 0 or depth > 6 or isinstance(value, (str, bytes)):
        return
    left[0] -= 1
    yield value
    inner: Any = ()
    if recorder._is_tensor(value) or hasattr(value, "__array_interface__"):
        return
    if isinstance(value, (list, tuple)):
        inner = value[:_LEAVES]
    elif isinstance(value, dict):
        inner = list(value.values())[:_LEAVES]
    elif hasattr(value, "__dict__") and not isinstance(value, type):
        inner = list(vars(value).values())[:_LEAVES]
    for item in inner:
        yield from _leaves(item, left, depth + 1)


def _remember(batch: Any, size: Any) -> None:
    for leaf in _leaves(batch, [_LEAVES]):
        if isinstance(leaf, _SCALARS):
            continue
        try:
            reference = weakref.ref(leaf)
        except TypeError:
            continue
        _EVIDENCE.sizes[id(leaf)] = (reference, size)
    if len(_EVIDENCE.sizes) > 50000:
        alive = {i: pair for i, pair in _EVIDENCE.sizes.items() if pair[0]() is not None}
        _EVIDENCE.sizes = alive


def _sizes(batch: Any) -> list[Any]:
    found: list[Any] = []
    for leaf in _leaves(batch, [_LEAVES]):
        reference, size = _EVIDENCE.sizes.get(id(leaf), (None, None))
        if reference is not None and reference() is leaf and size not in found:
            found.append(size)
    return found


def _size_of(batch: Any) -> Any:
    """The samples of a batch; a text that says why they are not known."""
    found = _sizes(batch)
    if not found:
        return "the batch does not come from a DataLoader of torch as it is"
    return found[0] if len(found) == 1 else "a batch has parts of several loaders"


def _shows(batch: Any, size: int) -> bool:
    """Whether anything in a batch is as many as its samples are."""
    for leaf in _leaves(batch, [_LEAVES]):
        shape = getattr(leaf, "shape", None)
        if shape is not None:
            if size in tuple(shape):
                return True
        elif isinstance(leaf, (list, tuple, dict)):
            if len(leaf) == size:
                return True
        elif isinstance(leaf, int):
            if leaf == size:
                return True
        elif hasattr(type(leaf), "__len__") and len(leaf) == size:
            return True
    return size == 1


def _drawn(index: Any, iterator: Any) -> Any:
    if getattr(iterator, "_dataset_kind", 0) == 1:
        return "an iterable dataset does not say how many samples it gives"
    if not getattr(iterator, "_auto_collation", False):
        return "the dataset itself makes the batches"
    if not getattr(iterator, "_in_order", True):
        return "the loader gives batches in any order"
    return len(index)


def _patch_loader(module: Any) -> None:
    base = module._BaseDataLoaderIter

    def next_index(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def method(self: Any) -> Any:
            index = original(self)
            pending(self, index)
            return index

        return method

    @recorder._guarded  # type: ignore[untyped-decorator]
    def pending(iterator: Any, index: Any) -> None:
        queue = iterator.__dict__.setdefault("_lintmetrics_sizes", deque())
        queue.append(_drawn(index, iterator))

    def step(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def method(self: Any) -> Any:
            batch = original(self)
            given(self, batch)
            return batch

        return method

    @recorder._guarded  # type: ignore[untyped-decorator]
    def given(iterator: Any, batch: Any) -> None:
        queue = iterator.__dict__.get("_lintmetrics_sizes")
        if queue:
            size = queue.popleft()
            if isinstance(size, int) and not _shows(batch, size):
                size = "nothing in a batch is as many as the samples that were drawn for it"
            _remember(batch, size)

    def reset(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def method(self: Any, *args: Any, **kwargs: Any) -> Any:
            self.__dict__.pop("_lintmetrics_sizes", None)
            return original(self, *args, **kwargs)

        return method

    recorder._replace(base, "_next_index", next_index)
    recorder._replace(base, "__next__", step)
    recorder._replace(base, "_reset", reset)


def _transferred(original: Callable[..., Any]) -> Callable[..., Any]:
    """Around the hooks that move a batch to a device: what they make has as many samples."""

    @functools.wraps(original)
    def method(self: Any, batch: Any, *args: Any, **kwargs: Any) -> Any:
        moved = original(self, batch, *args, **kwargs)
        if moved is not batch:
            carried(batch, moved)
        return moved

    @recorder._guarded  # type: ignore[untyped-decorator]
    def carried(batch: Any, moved: Any) -> None:
        found = _sizes(batch)
        if len(found) == 1:
            _remember(moved, found[0])

    return method


# ---- metrics -----------------------------------------------------------------------------------


def _caller() -> tuple[str, int]:
    frame = sys._getframe(2)
    while frame.f_back is not None:
        name = str(frame.f_globals.get("__name__", ""))
        if name.split(".")[0] not in (*_LIBRARIES, __name__, recorder.__name__):
            break
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno


def _watched(target: Any, label: str, call: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Make a call of a metric that the program itself makes, and keep what went in and came out."""
    if _EVIDENCE.depth or not _EVIDENCE.in_batch() or _is_own(target):
        return call(*args, **kwargs)
    noted = _called(target, label, args, kwargs)
    _EVIDENCE.depth += 1
    try:
        answer = call(*args, **kwargs)
    finally:
        _EVIDENCE.depth -= 1
    if noted is not None:
        _answered(noted, answer)
    return answer


def _is_own(target: Any) -> bool:
    """Whether it is one of the objects in which Lightning itself keeps what is logged."""
    module = type(target).__module__
    return module.startswith(_ROOTS) and ".metrics" not in module


@recorder._guarded  # type: ignore[untyped-decorator]
def _called(target: Any, label: str, args: Any, kwargs: Any) -> Any:
    gathered = _EVIDENCE.open
    assert gathered is not None
    metric = _metric(gathered, target, label)
    file, line = _caller()
    step = gathered.steps[-1]
    nth = step.counts.get((id(target), file, line), 0)
    step.counts[id(target), file, line] = nth + 1
    place = f"{file}:{line}"
    site = metric.sites.get((file, line, nth))
    if site is None:
        site = _Site(place, nth, _EVIDENCE.is_asked(file, line))
        metric.sites[file, line, nth] = site
    noted = _Call(len(gathered.steps) - 1, (), {})
    site.calls.append(noted)
    if not metric.reason:
        size = sum(_bytes(value) for value in (*args, *kwargs.values()))
        metric.bytes += size
        _EVIDENCE.bytes += size
        if _EVIDENCE.bytes > LIMIT:
            metric.reason = f"too large: its arguments have more than {metric.bytes} bytes"
            _EVIDENCE.bytes -= metric.bytes
            metric.bytes = 0
            for other in metric.sites.values():
                for call in other.calls:
                    call.args, call.kwargs = (), {}
        else:
            noted.args = tuple(_copy(arg) for arg in args)
            noted.kwargs = {key: _copy(arg) for key, arg in kwargs.items()}
    return noted


@recorder._guarded  # type: ignore[untyped-decorator]
def _answered(noted: _Call, answer: Any) -> None:
    noted.answer = dict(_numbers_in(answer))


def _metric(gathered: _Pass, target: Any, label: str) -> _Metric:
    metric = gathered.metrics.get(id(target))
    if metric is None:
        is_object = hasattr(target, "_modules")
        metric = gathered.metrics[id(target)] = _Metric(target, label, is_object)
        if is_object:
            _take_template(metric, target)
    return metric


def _take_template(metric: _Metric, target: Any) -> None:
    size = sum(
        _bytes([vars(module), module._parameters, module._buffers]) for module in target.modules()
    )
    if size > LIMIT:
        metric.reason = f"too large: the object has {size} bytes"
        return
    _EVIDENCE.depth += 1
    try:
        metric.template = copy.deepcopy(target)
    except Exception as error:
        metric.reason = f"the object cannot be copied: {type(error).__name__}: {error}"
    finally:
        _EVIDENCE.depth -= 1


@recorder._guarded  # type: ignore[untyped-decorator]
def _computed(target: Any, label: str, answer: Any) -> None:
    gathered = _EVIDENCE.open
    assert gathered is not None
    metric = _metric(gathered, target, label)
    metric.computed[len(gathered.steps) - 1] = dict(_numbers_in(answer))


@recorder._guarded  # type: ignore[untyped-decorator]
def _closed(target: Any, answer: Any) -> None:
    """An object was computed outside the steps: that speaks of every pass that has fed it."""
    for gathered in _EVIDENCE.passes.values():
        if id(target) in gathered.metrics:
            gathered.metrics[id(target)].closed = dict(_numbers_in(answer))


def _bytes(value: Any, depth: int = 0) -> int:
    if recorder._is_tensor(value):
        return int(value.numel() * value.element_size())
    if hasattr(value, "nbytes"):
        return int(value.nbytes)
    if isinstance(value, str):
        return len(value)
    if depth < 4 and isinstance(value, dict):
        return sum(_bytes(item, depth + 1) for item in value.values())
    if depth < 4 and isinstance(value, (list, tuple)):
        return 8 * len(value) + sum(_bytes(item, depth + 1) for item in value)
    return 0


def _copy(value: Any) -> Any:
    if recorder._is_tensor(value):
        kept = value.detach()
        return kept.clone() if kept.device.type == "cpu" else kept.cpu()
    if hasattr(value, "__array_interface__") and hasattr(value, "copy"):
        return value.copy()
    if isinstance(value, list):
        return [_copy(item) for item in value]
    if type(value) is tuple:
        return tuple(_copy(item) for item in value)
    if type(value) is dict:
        return {key: _copy(item) for key, item in value.items()}
    return value


def _told(metric: _Metric, steps: int, world: int) -> dict[str, Any]:
    """What a metric answered in the steps, and what it answers for the whole pass.

    ``sites``: for each place its ``place``, ``nth``, whether it was ``asked`` for, ``answers`` by
    the number's place in the answer, ``first`` argument where it is a number, and the ``whole``.
    ``computed``: what ``compute()`` of an object answered in the steps, ``closed``: what it
    answered last behind them. ``whole``: of all calls of an object together, where there are
    several sites.
    """
    sites = list(metric.sites.values())
    told: dict[str, Any] = {
        "label": metric.label,
        "object": metric.is_object,
        "sites": [],
        "computed": _by_path(metric.computed, steps),
        "closed": {path: _float(number) for path, number in metric.closed.items()},
        "whole": None,
    }
    for site in sites:
        answers = {call.step: call.answer or {} for call in site.calls}
        first = {
            call.step: {"": call.args[0]}
            for call in site.calls
            if len(call.args) == 1 and not call.kwargs and _is_number(call.args[0])
        }
        told["sites"].append(
            {
                "place": site.place,
                "nth": site.nth,
                "asked": site.asked,
                "answers": _by_path(answers, steps),
                "first": _by_path(first, steps).get("", []),
                "whole": _whole(metric, site.calls, world),
            }
        )
    if metric.is_object and len(sites) > 1:
        calls = sorted((call for site in sites for call in site.calls), key=lambda c: c.step)
        told["whole"] = _whole(metric, calls, world)
    return told


def _by_path(answers: dict[int, Any], steps: int) -> dict[str, list[float | None]]:
    found: dict[str, list[float | None]] = {}
    for step, numbers in answers.items():
        for path, number in numbers.items():
            found.setdefault(path, [None] * steps)[step] = _float(number)
    return found


def _whole(metric: _Metric, calls: list[_Call], world: int) -> dict[str, Any]:
    """What the metric answers for all calls at once: ``values``, or the ``reason`` for none."""
    if world > 1:
        return {"values": {}, "reason": "several processes share the data of a pass"}
    if metric.reason:
        return {"values": {}, "reason": metric.reason}
    try:
        args, kwargs = _joined(calls)
    except _Unlike as error:
        return {"values": {}, "reason": str(error)}
    except Exception as error:
        text = f"its arguments cannot be joined: {type(error).__name__}: {error}"
        return {"values": {}, "reason": text[:500]}
    try:
        answer = _alone(functools.partial(_evaluated, metric, args, kwargs))
        values = {path: _float(number) for path, number in _numbers_in(answer)}
    except Exception as error:
        text = f"it does not answer for the whole pass: {type(error).__name__}: {error}"
        return {"values": {}, "reason": " ".join(text.split())[:500]}
    told: dict[str, Any] = {"values": values, "reason": ""}
    if not values:
        told["reason"] = f"it answers with {type(answer).__name__}, not with numbers"
    told["calls"] = len(calls)
    told.update(_stored(metric, args, kwargs))
    return told


def _evaluated(metric: _Metric, args: Any, kwargs: Any) -> Any:
    if not metric.is_object:
        return metric.target(*args, **kwargs)
    fresh = copy.deepcopy(metric.template)
    fresh = fresh.cpu()
    fresh.reset()
    fresh.update(*args, **kwargs)
    return fresh.compute()


def _alone(function: Callable[[], Any]) -> Any:
    """Call a function so that the training does not notice."""
    import random
    import warnings

    torch = sys.modules["torch"]
    numpy = sys.modules.get("numpy")
    ours = random.getstate()
    theirs = numpy.random.get_state() if numpy is not None else None
    state = torch.get_rng_state()
    _EVIDENCE.depth += 1
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with getattr(torch, "inference_mode", torch.no_grad)():
                return function()
    finally:
        _EVIDENCE.depth -= 1
        torch.set_rng_state(state)
        random.setstate(ours)
        if numpy is not None:
            numpy.random.set_state(theirs)


# ---- many calls as one ---------------------------------------------------------------------------


def _joined(calls: list[_Call]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    shapes = {(len(call.args), tuple(sorted(call.kwargs))) for call in calls}
    if len(shapes) > 1:
        raise _Unlike("it is called in different ways")
    args_count, names = shapes.pop()
    rows = [_rows(call) for call in calls]
    args = tuple(
        _join([call.args[i] for call in calls], rows, f"argument {i + 1}", i < 2)
        for i in range(args_count)
    )
    kwargs = {
        name: _join([call.kwargs[name] for call in calls], rows, name, args_count + i < 2)
        for i, name in enumerate(_as_given(calls[0], names))
    }
    return args, kwargs


def _as_given(call: _Call, names: tuple[str, ...]) -> list[str]:
    return [name for name in call.kwargs if name in names]


def _rows(call: _Call) -> Any:
    for value in (*call.args, *call.kwargs.values()):
        shape = getattr(value, "shape", None)
        if shape is not None and len(shape):
            return int(shape[0])
        if isinstance(value, (list, tuple)):
            return len(value)
    return None


def _join(values: list[Any], rows: list[Any], name: str, first: bool) -> Any:
    """One argument of all calls: data end to end, a setting as it is."""
    torch = sys.modules["torch"]
    if all(recorder._is_tensor(value) for value in values):
        return _join_arrays(values, rows, name, first, torch.cat, torch.equal)
    numpy = sys.modules.get("numpy")
    if all(hasattr(value, "__array_interface__") and hasattr(value, "shape") for value in values):
        assert numpy is not None
        return _join_arrays(values, rows, name, first, numpy.concatenate, numpy.array_equal)
    if all(isinstance(value, (list, tuple)) for value in values):
        same = all(_same(value, values[0]) for value in values)
        per_row = all(len(value) == rows[i] for i, value in enumerate(values))
        if first or (per_row and not same):
            return [item for value in values for item in value]
        if same:
            return values[0]
    elif first and all(isinstance(value, str) for value in values):
        return list(values)
    elif all(_same(value, values[0]) for value in values):
        return values[0]
    raise _Unlike(f"its {name} changes from batch to batch")


def _join_arrays(
    values: list[Any],
    rows: list[Any],
    name: str,
    first: bool,
    cat: Callable[..., Any],
    equal: Callable[..., bool],
) -> Any:
    ranks = {len(value.shape) for value in values}
    same = all(value.shape == values[0].shape and equal(value, values[0]) for value in values)
    if not first and same and (ranks == {0} or len(values) > 1):
        return values[0]
    if ranks == {0, 1}:
        # A last batch of one sample, squeezed.
        values = [value if len(value.shape) else value.reshape(1) for value in values]
    elif ranks == {0} and first:
        values = [value.reshape(1) for value in values]
    elif len(ranks) > 1:
        raise _Unlike(f"its {name} has different shapes")
    elif not first and any(value.shape[0] != rows[i] for i, value in enumerate(values)):
        raise _Unlike(f"its {name} changes from batch to batch")
    if len({tuple(value.shape[1:]) for value in values}) > 1:
        raise _Unlike(f"its {name} has different shapes from batch to batch")
    return cat(values)


def _same(one: Any, other: Any) -> bool:
    if one is other:
        return True
    if recorder._is_tensor(one) or recorder._is_tensor(other):
        return False
    try:
        return bool(one == other)
    except (TypeError, ValueError, RuntimeError):
        return False


def _stored(metric: _Metric, args: Any, kwargs: Any) -> dict[str, Any]:
    """Write the arguments for somebody else to compute from, and say where they are."""
    import pickle

    named = _named(metric, args, kwargs)
    data = {name: value for name, value in named.items() if _bytes(value)}
    settings = {k: v for k, v in named.items() if isinstance(v, _SCALARS)}
    if metric.is_object:
        held = vars(metric.template).items()
        settings = {k: v for k, v in held if isinstance(v, _SCALARS) and k[0] != "_"}
    size = _bytes(data)
    if not size or _EVIDENCE.stored + size > STORED:
        return {"settings": settings}
    state = recorder._STATE
    if _EVIDENCE.file is None:
        os.makedirs(state.folder, exist_ok=True)
        path = os.path.join(state.folder, f"evidence-{state.rank}-{os.getpid()}.pickle")
        _EVIDENCE.file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    written = pickle.dumps(recorder._encode(data), protocol=4)
    offset = os.lseek(_EVIDENCE.file, 0, os.SEEK_END)
    _EVIDENCE.stored += len(written)
    while written:
        written = written[os.write(_EVIDENCE.file, written) :]
    file = f"evidence-{state.rank}-{os.getpid()}.pickle"
    return {"settings": settings, "data": [file, offset]}


def _named(metric: _Metric, args: Any, kwargs: Any) -> dict[str, Any]:
    function = metric.template.update if metric.is_object else metric.target
    try:
        return dict(inspect.signature(function).bind(*args, **kwargs).arguments)
    except (TypeError, ValueError):
        return {**{str(i): value for i, value in enumerate(args)}, **kwargs}


# ---- putting it in place -------------------------------------------------------------------------


def _function(original: Any, label: str) -> Any:
    @functools.wraps(original)
    def function(*args: Any, **kwargs: Any) -> Any:
        if _EVIDENCE.open is None or recorder._STATE.off or recorder._STATE.suspended:
            return original(*args, **kwargs)
        return _watched(original, label, original, args, kwargs)

    return recorder._mark(function)


def _patch_functions(module: Any) -> None:
    # Where they are defined, so that they can still be pickled by name.
    for name, value in list(vars(module).items()):
        if name.startswith("_") or not inspect.isfunction(value):
            continue
        if value.__module__ == module.__name__ and not hasattr(value, "_lintmetrics"):
            setattr(module, name, _function(value, f"{_public(module.__name__)}.{name}"))


def _public(module: str) -> str:
    parts = module.split(".")
    if "functional" in parts:
        return ".".join(parts[: parts.index("functional") + 1])
    return ".".join(part for part in parts if not part.startswith("_"))


def _patch_metric(module: Any) -> None:
    cls = vars(module).get("Metric")
    if not isinstance(cls, type) or "_wrap_update" not in vars(cls):
        return
    call = cls.__call__

    def __call__(self: Any, *args: Any, **kwargs: Any) -> Any:
        if _EVIDENCE.open is None or recorder._STATE.off or recorder._STATE.suspended:
            return call(self, *args, **kwargs)
        return _watched(self, _label(self), functools.partial(call, self), args, kwargs)

    setattr(cls, "__call__", recorder._mark(__call__))  # noqa: B010 - mypy knows it as fixed
    recorder._replace(cls, "_wrap_update", _wrap_update)
    recorder._replace(cls, "_wrap_compute", _wrap_compute)


def _wrap_update(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def wrap(self: Any, update: Any) -> Any:
        wrapped = original(self, update)

        @functools.wraps(wrapped)
        def method(*args: Any, **kwargs: Any) -> Any:
            if _EVIDENCE.open is None or recorder._STATE.off or recorder._STATE.suspended:
                return wrapped(*args, **kwargs)
            return _watched(self, _label(self), wrapped, args, kwargs)

        return method

    return wrap


def _wrap_compute(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def wrap(self: Any, compute: Any) -> Any:
        wrapped = original(self, compute)

        @functools.wraps(wrapped)
        def method(*args: Any, **kwargs: Any) -> Any:
            if _EVIDENCE.depth or not _EVIDENCE.passes or _is_own(self):
                return wrapped(*args, **kwargs)
            _EVIDENCE.depth += 1
            try:
                answer = wrapped(*args, **kwargs)
            finally:
                _EVIDENCE.depth -= 1
            if _EVIDENCE.in_batch():
                _computed(self, _label(self), answer)
            else:
                _closed(self, answer)
            return answer

        return method

    return wrap


def _label(target: Any) -> str:
    cls = type(target)
    return f"{_public(cls.__module__.split('.')[0])}.{cls.__qualname__}"


def _patch_module(module: Any) -> None:
    cls = vars(module).get("LightningModule")
    if isinstance(cls, type):
        recorder._replace(cls, "log", _log)
        recorder._replace(cls, "_apply_batch_transfer_handler", _transferred)


_ROOTS = recorder.ROOTS
_FUNCTIONS = ("torchmetrics.functional.", *(f"{root}.metrics.functional." for root in _ROOTS))
_NAMED = {
    "sklearn.metrics._classification": _patch_functions,
    "sklearn.metrics._ranking": _patch_functions,
    "sklearn.metrics._regression": _patch_functions,
    "scipy.stats._stats_py": _patch_functions,
    "scipy.stats.stats": _patch_functions,
    "torchmetrics.metric": _patch_metric,
}
_ALWAYS: dict[str, Callable[[Any], None]] = {"torch.utils.data.dataloader": _patch_loader}
for _root in _ROOTS:
    _NAMED[_root + ".metrics.metric"] = _patch_metric
    for _part in ("lightning", "module"):
        _ALWAYS[f"{_root}.core.{_part}"] = _patch_module


def patch_for(name: str) -> Callable[[Any], None] | None:
    """Return what is to be done to a module of this name after its import."""
    if name in _ALWAYS:
        return _ALWAYS[name]
    if not _EVIDENCE.metrics:
        return None
    return _patch_functions if name.startswith(_FUNCTIONS) else _NAMED.get(name)
