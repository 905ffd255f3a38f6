"""What must hold between two trainings: ``Case`` and ``KeyClaim``, read from a ``case.toml``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Tolerance:
    """The largest gap between two numbers that are the same, and why it is not zero.

    Args:
        absolute: in the unit of the number.
        relative: as a share of the larger of the two numbers.
        reason: why the two cannot be bit-equal; must not be empty when either is above zero.
    """

    absolute: float = 0.0
    relative: float = 0.0
    reason: str = ""


@dataclass(frozen=True)
class KeyClaim:
    """What must hold for one key.

    Args:
        key: the key as the program logs it after the change.
        before: the key as it was logged before; the same where it did not change.
        relation: ``"preserves"`` or ``"corrects"``; ``"new"`` for a key that the original did not
            log, ``"dropped"`` for one that the change takes away on purpose, both with a reason.
        oracle: name of the function of ``oracle.py`` that computes the true number of an epoch.
        stage: the steps that the oracle is given, such as ``"validate"``.
        dataloader: only the steps of this loader, where there are several.
        tolerance: against the original (``preserves``) or against the oracle (``corrects``).
        reason: for ``new`` and ``dropped``.
    """

    key: str
    before: str
    relation: str
    oracle: str = ""
    stage: str = "validate"
    dataloader: int | None = None
    tolerance: Tolerance = field(default_factory=Tolerance)
    reason: str = ""


@dataclass(frozen=True)
class Case:
    """A program before and after a change, and what must hold between them.

    Args:
        folder: holds ``before.py``, ``after.py``, ``case.toml`` and, if asked for, ``oracle.py``.
        reference: the Lightning that the original was written for, a name of ``references``.
        fix: arguments of ``lintmetrics fix`` that turn ``before.py`` into ``after.py``.
        keys: by the key after the change.
        capture: dotted path, from the LightningModule, of the module whose outputs the oracle
            needs; empty for the LightningModule itself.
        devices: accelerators that the case is for, such as ``("cpu", "cuda")``.
        device_tolerance: between a run on another accelerator and the run on the CPU.
        processes: numbers of processes that the case is for.
        process_tolerance: between a run in several processes and the run in one.
        timeout: seconds that one training may take.
        about: one line: what the program is and what is wrong with it.
        changed_weights: why the weights may differ at the end, such as an early stopping that
            watches a corrected number; empty where they must not.
    """

    folder: Path
    reference: str
    keys: Mapping[str, KeyClaim]
    fix: tuple[str, ...] = ()
    capture: str = ""
    devices: tuple[str, ...] = ("cpu",)
    device_tolerance: Tolerance = field(default_factory=Tolerance)
    processes: tuple[int, ...] = (1,)
    process_tolerance: Tolerance = field(default_factory=Tolerance)
    timeout: float = 300.0
    about: str = ""
    changed_weights: str = ""

    @property
    def name(self) -> str:
        """The name of the case: that of its folder."""
        return self.folder.name
