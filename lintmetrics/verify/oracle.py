"""The true numbers of a case: its ``oracle.py`` is given the raw steps of each epoch."""

from __future__ import annotations

import difflib
import importlib.util
import inspect
import numbers
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from lintmetrics.errors import LintmetricsError
from lintmetrics.verify.case import KeyClaim
from lintmetrics.verify.record import RawStep, Record


class OracleError(LintmetricsError):
    """An ``oracle.py`` cannot be loaded, or does not answer with a number."""


@dataclass(frozen=True)
class Truth:
    """The true number of one pass over the data.

    Args:
        run: as in ``record.Moment``.
        stage: what was passed over the data; ``"sanity"`` for the check before a training.
        epoch: as in ``record.Moment``.
        batches: training batches finished in the run when the pass came to its end.
        value: the number.
    """

    run: int
    stage: str
    epoch: int
    batches: int
    value: float


class Oracle:
    """The functions of one ``oracle.py``; called as ``oracle(claim, record)``.

    Each takes the raw steps of one pass, in order, and returns a number. A pass is one epoch of
    training, or one walk over the validation, test or prediction data.

    Args:
        path: the file. It is run here and now, in this process.
    Raises:
        OracleError: the file is missing or raises.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._module = _module(path)

    def __call__(self, claim: KeyClaim, record: Record) -> tuple[Truth, ...]:
        """Return the true numbers of a key, in the order of the passes.

        Raises:
            OracleError: there is no such function, it does not take the steps, it raises, or what
                it returns is no number.
        """
        function = self._function(claim.oracle)
        truths = []
        for steps in passes(record, claim.stage, claim.dataloader):
            last = steps[-1].at
            done = last.batches + (last.stage == "train")
            value = self._number(claim.oracle, function, steps)
            truths.append(Truth(last.run, last.stage, last.epoch, done, value))
        return tuple(truths)

    def _function(self, name: str) -> Callable[[Sequence[RawStep]], Any]:
        function = getattr(self._module, name, None)
        if function is None:
            has = [key for key, value in vars(self._module).items() if inspect.isfunction(value)]
            near = difflib.get_close_matches(name, has, n=1)
            told = f"; did you mean {near[0]}" if near else ""
            raise OracleError(f"{self.path}: there is no function {name!r}{told}")
        if not callable(function):
            raise OracleError(f"{self.path}: {name!r} is no function")
        try:
            inspect.signature(function).bind(())
        except TypeError:
            raise OracleError(
                f"{self.path}: {name}{inspect.signature(function)} does not take the raw steps of "
                f"an epoch alone; write it as def {name}(steps)"
            ) from None
        except ValueError:
            # Functions written in C have no signature to read; the call will tell.
            return function  # type: ignore[no-any-return]
        return function  # type: ignore[no-any-return]

    def _number(
        self, name: str, function: Callable[[Sequence[RawStep]], Any], steps: tuple[RawStep, ...]
    ) -> float:
        at = steps[0].at
        where = f"{self.path}: {name} for {at.stage}, run {at.run}, epoch {at.epoch}"
        try:
            value = function(steps)
        except Exception as error:
            raise OracleError(f"{where}: {type(error).__name__}: {error}") from error
        item = getattr(value, "item", None)
        if item is not None and getattr(value, "size", None) == 1:
            value = item()
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            raise OracleError(f"{where}: returns {type(value).__name__}, which is no number")
        return float(value)


def passes(
    record: Record, stage: str, dataloader: int | None = None
) -> tuple[tuple[RawStep, ...], ...]:
    """Return the raw steps of a stage, one group for each pass, in order.

    Args:
        record: holds the steps.
        stage: one of ``record.STAGES``; ``"validate"`` takes the check before a training with it.
        dataloader: only the steps of this loader.
    """
    stages = (stage, "sanity") if stage == "validate" else (stage,)
    groups: dict[tuple[int, int, int, str], list[RawStep]] = {}
    for step in record.steps:
        at = step.at
        if at.stage not in stages or dataloader not in (None, step.dataloader_idx):
            continue
        # The check comes before the first epoch: epoch and batches are those of what follows it.
        epoch = -1 if at.stage == "sanity" else at.epoch
        batches = -1 if at.stage == "train" else at.batches
        groups.setdefault((at.run, epoch, batches, at.stage), []).append(step)
    return tuple(tuple(groups[place]) for place in sorted(groups))


def _module(path: Path) -> ModuleType:
    if not path.is_file():
        raise OracleError(f"{path}: no such file; a key with an oracle needs it")
    name = f"_lintmetrics_oracle_{abs(hash(path.resolve())):x}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    written = sys.dont_write_bytecode
    # The folder is the user's: nothing is left in it.
    sys.dont_write_bytecode = True
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise OracleError(f"{path}: {type(error).__name__}: {error}") from error
    finally:
        sys.dont_write_bytecode = written
        del sys.modules[name]
    return module
