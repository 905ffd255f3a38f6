"""What the recorder wrote, read back: points, raw steps, weights and the environment of a run."""

from __future__ import annotations

import json
import math
import os
import pickle
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

from lintmetrics.errors import LintmetricsError
from lintmetrics.verify.second_opinion import second_opinions

RECORDER = Path(__file__).parent / "recorder"
"""What goes first on ``PYTHONPATH`` for a training to be recorded."""

VIAS = ("logger", "callback", "progress", "direct")
"""The ways out of Lightning: numbers it hands to loggers, numbers that stand in
``callback_metrics``, numbers on the progress bar, numbers the program gave to a logger itself."""

STAGES = ("train", "validate", "test", "predict", "sanity")


@dataclass(frozen=True)
class Moment:
    """When something happened, as the recorder counted it: the same in every Lightning.

    Args:
        run: which call of fit, validate, test or predict of the process, from 0.
        stage: one of ``STAGES``; what the trainer was doing.
        epoch: training epochs begun before this moment in this run, less one; from 0.
        batches: training batches finished in this run before this moment.
    """

    run: int
    stage: str
    epoch: int
    batches: int


@dataclass(frozen=True)
class Point:
    """One number as it left Lightning.

    Args:
        order: position among everything that the process recorded.
        via: one of ``VIAS``.
        at: when, in the recorder's own count.
        key: the name it was logged under, as it left Lightning.
        value: the number; may be NaN or infinite.
        step: Lightning's own step for it, where it had one. Differs between versions.
    """

    order: int
    via: str
    at: Moment
    key: str
    value: float
    step: int | None = None


@dataclass(frozen=True)
class Weights:
    """Checksum of the weights at the end of a run: a changed training is no changed metric.

    Args:
        order: position among everything that the process recorded.
        at: when.
        sha256: over the names, shapes, types and bytes of the parameters and of the buffers that
            do not belong to a metric.
    """

    order: int
    at: Moment
    sha256: str


@dataclass(frozen=True)
class RawStep:
    """What went into and came out of one step, for an oracle to compute from.

    Args:
        at: when.
        batch_idx: Lightning's index of the batch.
        dataloader_idx: which loader; 0 where there is one.
        batch: the batch, tensors as numpy arrays, containers as dicts, lists and tuples, other
            objects as dicts of their attributes.
        outputs: what the captured module returned on each of its calls in this step, in order.
        returned: what the step returned.
    """

    at: Moment
    batch_idx: int
    dataloader_idx: int
    batch: Any
    outputs: Sequence[Any]
    returned: Any


@dataclass(frozen=True)
class Record:
    """Everything one process recorded.

    Args:
        environment: versions of Python, torch, Lightning and TorchMetrics, device, rank, world
            size, arguments.
        points: the numbers, in the order in which they left Lightning.
        weights: checksums, one for each run that trained.
        steps: raw steps, where a case asked for them.
        complete: the process came to its end; without it the last lines may be missing.
        evidence: for ``truth`` to read: what was asked for, then what each pass over the data
            showed; empty where nothing was asked.
    """

    environment: Mapping[str, Any]
    points: tuple[Point, ...]
    weights: tuple[Weights, ...] = ()
    steps: tuple[RawStep, ...] = field(default=(), repr=False)
    complete: bool = True
    evidence: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)


def environment(folder: Path, capture: str | None = None) -> dict[str, str]:
    """The environment variables that have a training recorded.

    Args:
        folder: where the record goes; made when it is not there.
        capture: dotted path of the module whose outputs are wanted in raw steps, empty for the
            LightningModule; ``None`` for no raw steps.

    Returns:
        Variables to set. ``PYTHONPATH`` holds the recorder only: the caller puts its own after it.
    """
    found = {"LINTMETRICS_RECORD": os.fspath(folder), "PYTHONPATH": os.fspath(RECORDER)}
    if capture is not None:
        found["LINTMETRICS_CAPTURE"] = capture
    return found


def read(folder: Path) -> dict[int, Record]:
    """Read what the processes of one training wrote, by rank.

    A process that starts others for the training itself (``ddp_spawn``, ``fork``) shares its rank
    with one of them; the two become one record, in which the runs that the started process took
    part in are told by that process.

    Raises:
        LintmetricsError: a file is not a record.
    """
    processes = sorted((_process(path) for path in folder.glob("record-*.jsonl")), key=_seniority)
    records: dict[int, Record] = {}
    for process in processes:
        rank = int(process.environment.get("rank", 0))
        old = records.get(rank)
        records[rank] = process if old is None else _joined(old, process)
    return {rank: records[rank] for rank in sorted(records)}


def _seniority(record: Record) -> tuple[int, int]:
    return int(record.environment["rank"]), int(record.environment["pid"])


def _joined(first: Record, second: Record) -> Record:
    """One record of two processes of one rank, one of which started the other."""
    parent, child = first, second
    if first.environment["parent"] == second.environment["pid"]:
        parent, child = second, first
    last = {point.at.run: point.at for point in child.points}
    points = [p for p in parent.points if p.at.run not in last] + list(child.points)
    weights = [replace(w, at=last.get(w.at.run, w.at)) for w in (*parent.weights, *child.weights)]
    environment = {**child.environment, "pid": parent.environment["pid"]}
    environment["runs"] = parent.environment["runs"] or child.environment["runs"]
    environment["errors"] = (*parent.environment["errors"], *child.environment["errors"])
    points.sort(key=lambda point: point.at.run)
    return Record(
        environment=environment,
        points=tuple(replace(point, order=order) for order, point in enumerate(points)),
        weights=tuple(sorted(weights, key=lambda w: w.at.run)),
        steps=tuple(sorted((*parent.steps, *child.steps), key=lambda step: step.at.run)),
        complete=parent.complete,
        evidence=(*parent.evidence, *child.evidence),
    )


def _process(path: Path) -> Record:
    environment: dict[str, Any] = {"rank": 0, "pid": 0, "parent": 0}
    errors: list[str] = []
    skipped: dict[str, str] = {}
    runs: list[Mapping[str, Any]] = []
    points: list[Point] = []
    weights: list[Weights] = []
    evidence: list[Mapping[str, Any]] = []
    complete = False
    standing: dict[tuple[str, str], Point] = {}
    for line in _lines(path):
        kind = line["t"]
        if kind == "numbers":
            points += _points(line, standing)
        elif kind == "weights":
            weights.append(Weights(line["order"], Moment(*line["at"]), line["sha256"]))
        elif kind == "environment":
            environment.update((key, value) for key, value in line.items() if key != "t")
        elif kind == "error":
            errors.append(line["text"])
        elif kind in ("asked", "evidence"):
            _hear_others(line, path.parent)
            evidence.append(line)
        elif kind == "skipped":
            skipped[line["key"]] = line["type"]
        elif kind in ("run", "ran"):
            runs.append(line)
        complete = kind == "end"
    environment.update(errors=tuple(errors), skipped=skipped, runs=_runs(runs))
    raw = path.with_name(path.stem.replace("record-", "raw-", 1)) / "steps.pickle"
    return Record(
        environment=environment,
        points=tuple(points),
        weights=tuple(weights),
        steps=tuple(_steps(raw)) if raw.exists() else (),
        complete=complete,
        evidence=tuple(evidence),
    )


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as file:
        for number, text in enumerate(file, 1):
            if not text.endswith(b"\n"):
                # The process was killed while it wrote.
                return
            try:
                line = json.loads(text)
                yield line if "t" in line else _broken(path, number)
            except (ValueError, TypeError):
                _broken(path, number)


def _broken(path: Path, number: int) -> NoReturn:
    raise LintmetricsError(f"{path}:{number}: no line of a record; record the training again")


def _runs(lines: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Any], ...]:
    runs: dict[int, dict[str, Any]] = {}
    for line in lines:
        run = runs.setdefault(line["run"], {"run": line["run"], "ended": False, "raised": ""})
        if line["t"] == "run":
            run["function"] = line["function"]
        else:
            run.update(ended=True, raised=line.get("raised", ""))
    return tuple(runs.values())


def _points(line: Mapping[str, Any], standing: dict[tuple[str, str], Point]) -> Iterator[Point]:
    at, via = Moment(*line["at"]), line["via"]
    for order, (key, value) in enumerate(line["d"].items(), line["order"]):
        point = Point(order, via, at, key, value, line.get("step"))
        if "moment" in line:
            old = standing.get((via, key))
            standing[via, key] = point
            # Lightning puts some numbers in place twice, and which ones differs between versions.
            if old is not None and _put_again(old, point):
                continue
        yield point
    for key in line.get("gone", ()):
        standing.pop((via, key), None)


def _put_again(old: Point, new: Point) -> bool:
    same = old.value == new.value or (math.isnan(old.value) and math.isnan(new.value))
    then, now = old.at, new.at
    return same and (then.run, then.epoch, then.batches) == (now.run, now.epoch, now.batches)


class _Plain(pickle.Unpickler):
    """Reads tuples, lists, numbers, text and bytes, and runs nothing."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise pickle.UnpicklingError(f"{module}.{name} has no place in a record")


def _steps(path: Path) -> Iterator[RawStep]:
    with path.open("rb") as file:
        while True:
            try:
                step = _Plain(file).load()
            except EOFError:
                return
            except pickle.UnpicklingError as error:
                if "truncated" in str(error):
                    return
                raise LintmetricsError(f"{path}: {error}; record the training again") from error
            yield RawStep(
                at=Moment(*step["at"]),
                batch_idx=step["batch_idx"],
                dataloader_idx=step["dataloader_idx"],
                batch=_value(step["batch"]),
                outputs=tuple(_value(output) for output in step["outputs"]),
                returned=_value(step["returned"]),
            )


def _hear_others(line: Mapping[str, Any], folder: Path) -> None:
    """Put beside what metrics answered for a pass what scikit-learn says to the same data.

    Now, since the data are not kept for as long as the record.
    """
    for metric in line.get("metrics", ()):
        for part in (metric, *metric["sites"]):
            whole = part["whole"]
            if not whole or "data" not in whole:
                continue
            name, offset = whole.pop("data")
            if "" not in whole["values"] or metric["label"].startswith("sklearn."):
                continue
            data = _value_at(folder / name, offset)
            value = whole["values"][""]
            for function, other in second_opinions(metric["label"], whole["settings"], data):
                if math.isclose(value, other, rel_tol=1e-5, abs_tol=1e-6):
                    whole["confirmed"] = [function, other]
                    break


def _value_at(path: Path, offset: int) -> Any:
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return _value(_Plain(file).load())
    except (OSError, EOFError, pickle.UnpicklingError):
        # The process was killed while it wrote; the metric's own answer stands alone.
        return {}


def _value(node: Sequence[Any]) -> Any:
    tag = node[0]
    if tag == "a":
        import numpy

        return numpy.frombuffer(node[3], dtype=node[1]).reshape(node[2]).copy()
    if tag == "l":
        return [_value(item) for item in node[1]]
    if tag == "t":
        return tuple(_value(item) for item in node[1])
    if tag == "d":
        return {key: _value(item) for key, item in node[1]}
    return node[1]
