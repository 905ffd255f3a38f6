"""What the recorder wrote, read back: points, raw steps, weights and the environment of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

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
    """

    environment: Mapping[str, Any]
    points: tuple[Point, ...]
    weights: tuple[Weights, ...] = ()
    steps: tuple[RawStep, ...] = field(default=(), repr=False)
    complete: bool = True
