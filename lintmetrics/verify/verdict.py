"""What was found when two trainings were compared: ``KeyVerdict``, ``Proof``."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lintmetrics.verify.record import Point


class Verdict(enum.Enum):
    """The answer for one key, or for a whole case."""

    SAME = "same"
    """``preserves`` holds."""
    CORRECTED = "corrected"
    """``corrects`` holds: the number is the oracle's, and the original's was not."""
    DIFFERENT = "different"
    """The number changed and must not have."""
    WRONG = "wrong"
    """The number is not the oracle's."""
    ALREADY_RIGHT = "already right"
    """The original's number was the oracle's, so that nothing was corrected."""
    ANNOUNCED = "announced"
    """The key is new, or gone, as the case says with its reason."""
    MISSING = "missing"
    """The original logged the key, the rewrite does not."""
    NEW = "new"
    """The rewrite logs a key that the original did not."""
    UNPROVED = "unproved"
    """The number changed as announced, and there is no oracle that says what is right."""
    CHANGED_TRAINING = "changed training"
    """The weights differ at the end: the trainings went different ways, whatever was logged."""
    FAILED = "failed"
    """A side crashed, hung, was killed or logged nothing; ``detail`` says which and how."""

    @property
    def holds(self) -> bool:
        """Whether what was claimed is shown."""
        return self in (Verdict.SAME, Verdict.CORRECTED, Verdict.ANNOUNCED)


@dataclass(frozen=True)
class KeyVerdict:
    """The answer for one key on one way out of Lightning.

    Args:
        key: as after the change; ``before_key`` as before it.
        via: one of ``record.VIAS``.
        stage: one of ``record.STAGES``.
        relation: what was claimed.
        verdict: what is so.
        before: the original's points. ``after``: the rewrite's. ``oracle``: the true numbers, at
            the rewrite's epochs, and ``oracle_before``: at the original's.
        compared: how many pairs of points were compared.
        gap: the largest distance to what the claim compares with (original or oracle).
        before_gap: the largest distance of the original from the oracle.
        parted: the first point of ``after`` that is further away than the tolerance.
        tolerance: as it was used, with its reason, in words.
        detail: one line for people.
    """

    key: str
    before_key: str
    via: str
    stage: str
    relation: str
    verdict: Verdict
    before: tuple[Point, ...] = ()
    after: tuple[Point, ...] = ()
    oracle: tuple[Point, ...] = ()
    oracle_before: tuple[Point, ...] = ()
    compared: int = 0
    gap: float = 0.0
    before_gap: float = 0.0
    parted: Point | None = None
    tolerance: str = ""
    detail: str = ""


@dataclass(frozen=True)
class Side:
    """One training as it went.

    Args:
        name: such as ``"before"``, ``"after"``, ``"before on today's Lightning"``.
        outcome: ``"finished"``, ``"failed"``, ``"timed out"``, ``"killed"`` or
            ``"recorded nothing"``.
        environment: as in ``Record``.
        seconds: wall time.
        detail: the last line of an error, and the tail of what was printed.
    """

    name: str
    outcome: str
    environment: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    detail: str = ""


@dataclass(frozen=True)
class Proof:
    """The answer for one case.

    Args:
        name: of the case, or of the user's command.
        verdict: ``SAME`` or ``CORRECTED`` when every key holds, else the worst.
        keys: one for each key and way out.
        sides: the trainings.
        diff: unified diff between the two programs.
        about: one line on the case.
        accelerator, processes: what it was run on.
        original_today: what the unmodified original does on today's Lightning: ``"raises ..."``,
            ``"silently different: ..."``, ``"same"``, or empty where it was not tried.
    """

    name: str
    verdict: Verdict
    keys: tuple[KeyVerdict, ...] = ()
    sides: tuple[Side, ...] = ()
    diff: str = ""
    about: str = ""
    accelerator: str = "cpu"
    processes: int = 1
    original_today: str = ""
