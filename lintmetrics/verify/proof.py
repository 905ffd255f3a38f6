"""Train the two programs of a case, wherever it is for, and judge what they logged."""

from __future__ import annotations

import contextlib
import difflib
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from lintmetrics.errors import LintmetricsError
from lintmetrics.verify import compare, references
from lintmetrics.verify.case import Case, Tolerance
from lintmetrics.verify.oracle import Oracle, OracleError
from lintmetrics.verify.training import Training, Trainings, train
from lintmetrics.verify.verdict import KeyVerdict, Proof, Side, Verdict
from lintmetrics.verify.warm import WarmPythons

TODAY = "today"
"""The name of the Lightning that is installed, where a reference is asked for."""

ORIGINAL_TODAY = "before on today's Lightning"
"""The name of the training that shows what the unmodified original does today."""

Building = Callable[[references.Reference], references.Progress | None]
"""Called before a reference is built; gives what is told how far that is."""


@dataclass(frozen=True)
class Place:
    """Where a program trains.

    Args:
        accelerator: ``"cpu"``, ``"cuda"``, or empty to leave the choice to the program.
        processes: how many train together.
    """

    accelerator: str = "cpu"
    processes: int = 1

    def __str__(self) -> str:
        many = f", {self.processes} processes" if self.processes > 1 else ""
        return f"{self.accelerator}{many}"


HOME = Place()
"""Where both programs of every case are compared first."""


def prove(
    cases: Sequence[Case],
    accelerators: Sequence[str] = ("cpu",),
    processes: Sequence[int] = (1,),
    *,
    today: bool = True,
    workers: int = 1,
    building: Building | None = None,
    warm: WarmPythons | None = None,
) -> Iterator[Proof]:
    """Train cases before and after, and give what holds, in the order of the cases.

    In one process on the CPU, the rewrite is compared with the original and the oracle. Elsewhere
    it must give what it gives there, and the original is run beside it to see by how much it
    misses that.

    Args:
        cases: what must hold.
        accelerators: those wanted, ``"cpu"`` and ``"cuda"``; a case that is not for one is left
            out there.
        processes: the numbers of processes wanted.
        today: whether to try also what the unmodified originals do on today's Lightning.
        workers: how many trainings may run at a time.
        building: called before a reference is built.
        warm: processes to fork programs from that other calls use as well.
    """
    with (
        contextlib.ExitStack() as ours,
        tempfile.TemporaryDirectory(prefix="lintmetrics-") as scratch,
    ):
        forking = warm or ours.enter_context(WarmPythons())
        trials = [
            _Trial(case, place, Path(scratch) / str(number), today, forking)
            for number, (case, place) in enumerate(
                (case, place) for case in cases for place in _places(case, accelerators, processes)
            )
        ]
        built = _Built(building)
        for trial in trials:
            trial.prepare(built)
        begun: dict[tuple[Path, _Wanted], Future[Training]] = {}
        with Trainings(workers) as trainings:
            for trial in trials:
                trial.begin(trainings, begun)
            for trial in trials:
                yield trial.proof()


def _places(case: Case, accelerators: Sequence[str], processes: Sequence[int]) -> list[Place]:
    return [
        Place(accelerator, count)
        for accelerator in accelerators
        if accelerator in case.devices
        for count in processes
        if count in case.processes
    ]


class _Built:
    """References, each built once."""

    def __init__(self, building: Building | None) -> None:
        self._building = building
        self._known: dict[str, Path | LintmetricsError] = {}

    def folder(self, name: str) -> Path:
        if name not in self._known:
            try:
                reference = references.reference(name)
                told = self._building(reference) if self._building else None
                self._known[name] = references.overlay(reference, told)
            except LintmetricsError as error:
                self._known[name] = error
        found = self._known[name]
        if isinstance(found, LintmetricsError):
            raise found
        return found


@dataclass(frozen=True)
class _Wanted:
    """A training of a case: its program, on a Lightning, at a place."""

    program: str
    lightning: str
    place: Place


class _Trial:
    """The trainings of one case at one place."""

    def __init__(
        self, case: Case, place: Place, scratch: Path, today: bool, warm: WarmPythons
    ) -> None:
        self.case = case
        self.warm = warm
        self.place = place
        self.scratch = scratch
        self.wanted: dict[str, _Wanted] = {}
        before = "before.py"
        if place == HOME:
            self.wanted["before"] = _Wanted(before, case.reference, HOME)
            self.wanted["after"] = _Wanted("after.py", TODAY, HOME)
            if today and case.reference != TODAY:
                self.wanted[ORIGINAL_TODAY] = _Wanted(before, TODAY, HOME)
        else:
            self.wanted["after"] = _Wanted("after.py", TODAY, HOME)
            self.wanted[f"after on {place}"] = _Wanted("after.py", TODAY, place)
            self.wanted[f"before on {place}"] = _Wanted(before, case.reference, place)
        self.oracle: Oracle | None = None
        self.overlays: dict[str, Path] = {}
        self.refused: Side | None = None
        self.begun: dict[str, Future[Training]] = {}

    def prepare(self, built: _Built) -> None:
        """Get what the trainings need; what cannot be had is this case's verdict, not the end."""
        try:
            if any(claim.oracle for claim in self.case.keys.values()):
                self.oracle = Oracle(self.case.folder / "oracle.py")
        except OracleError as error:
            self.refused = Side("oracle", "failed", detail=str(error))
        for name, wanted in self.wanted.items():
            try:
                if wanted.lightning != TODAY:
                    self.overlays[wanted.lightning] = built.folder(wanted.lightning)
            except LintmetricsError as error:
                self.refused = Side(name, "failed", detail=str(error))

    def begin(
        self, trainings: Trainings, begun: dict[tuple[Path, _Wanted], Future[Training]]
    ) -> None:
        """Have everything trained that is not yet, such as what runs elsewhere are held against."""
        if self.refused is not None:
            return
        for name, wanted in self.wanted.items():
            what = (self.case.folder, wanted)
            if what not in begun:
                begun[what] = trainings.begin(partial(self._train, name, wanted))
            self.begun[name] = begun[what]

    def proof(self) -> Proof:
        base = Proof(
            name=self.case.name,
            verdict=Verdict.FAILED,
            diff=_diff(self.case.folder),
            about=self.case.about,
            accelerator=self.place.accelerator,
            processes=self.place.processes,
        )
        if self.refused is not None:
            return replace(base, sides=(self.refused,))
        done = {name: future.result() for name, future in self.begun.items()}
        return self._at_home(base, done) if self.place == HOME else self._elsewhere(base, done)

    def _at_home(self, base: Proof, done: Mapping[str, Training]) -> Proof:
        before, after = done["before"], done["after"]
        keys: tuple[KeyVerdict, ...] = ()
        if before.record is not None and after.record is not None:
            keys = compare.compare(self.case, before.record, after.record, self.oracle)
        tried = done.get(ORIGINAL_TODAY)
        return replace(
            base,
            verdict=compare.judge(keys, (before.side, after.side)),
            keys=keys,
            sides=tuple(training.side for training in done.values()),
            original_today=original_today(before, tried, _corrected(keys)) if tried else "",
        )

    def _elsewhere(self, base: Proof, done: Mapping[str, Training]) -> Proof:
        home, away = done["after"], done[f"after on {self.place}"]
        original = done[f"before on {self.place}"]
        keys: tuple[KeyVerdict, ...] = ()
        if home.record is not None and away.record is not None:
            keys = compare.repeat(
                self.case,
                home.record,
                away.record,
                self._tolerance,
                original.record,
                same_batches=self.place.processes == 1,
            )
        return replace(
            base,
            verdict=compare.judge(keys, (home.side, away.side)),
            keys=keys,
            sides=tuple(training.side for training in done.values()),
        )

    @property
    def _tolerance(self) -> Tolerance:
        many = self.place.processes > 1
        return self.case.process_tolerance if many else self.case.device_tolerance

    def _train(self, name: str, wanted: _Wanted) -> Training:
        folder = self.scratch / re.sub(r"\W+", "-", name)
        work = folder / "work"
        work.mkdir(parents=True)
        overlay = self.overlays.get(wanted.lightning)
        reference = references.reference(wanted.lightning) if overlay is not None else None
        place = wanted.place
        environment = references.environment(overlay, reference, place.accelerator, place.processes)
        # One thread: sums come in one order, and trainings side by side do not fight for cores.
        environment |= {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        program = shutil.copy(self.case.folder / wanted.program, work)
        return train(
            [sys.executable, os.fspath(program)],
            cwd=work,
            record=folder / "record",
            name=name,
            environment=environment,
            capture=self.case.capture if self.oracle is not None else None,
            timeout=self.case.timeout,
            # Imports of others may touch a device. Of several processes the first is forked; it
            # starts the others.
            warm=self.warm if place.accelerator == HOME.accelerator else None,
        )


def original_today(before: Training, tried: Training, corrected: Sequence[str] = ()) -> str:
    """Say what the unmodified original does on today's Lightning.

    Args:
        before: its training on the Lightning that it was written for.
        tried: its training on today's.
        corrected: keys whose numbers are known to be wrong in the original.

    Returns:
        ``"raises ..."``, ``"silently different: ..."``, ``"silently wrong: ..."`` or ``"same"``.
    """
    if tried.side.outcome == "recorded nothing":
        return "logs nothing"
    if tried.side.outcome != "finished":
        first = tried.side.detail.splitlines()[0] if tried.side.detail else tried.side.outcome
        return f"raises {re.sub(r'^exit code [0-9]+: ', '', first)}"
    if before.record is None or tried.record is None:
        return ""
    rows = compare.compare(compare.announced(), before.record, tried.record)
    missing = sorted({row.key for row in rows if row.verdict is Verdict.MISSING})
    other = sorted(
        {row.key for row in rows if not row.verdict.holds and row.verdict is not Verdict.MISSING}
    )
    parts = [f"never logs {', '.join(missing)}"] if missing else []
    parts += [f"logs other numbers for {', '.join(other)}"] if other else []
    if parts:
        return f"silently different: {'; '.join(parts)}"
    if corrected:
        return f"silently wrong: the same wrong numbers for {', '.join(corrected)}"
    return "same"


def _corrected(keys: Sequence[KeyVerdict]) -> list[str]:
    return sorted({row.before_key for row in keys if row.verdict is Verdict.CORRECTED})


def _diff(folder: Path) -> str:
    old, new = (
        (folder / name).read_text(encoding="utf-8").splitlines(keepends=True)
        for name in ("before.py", "after.py")
    )
    return "".join(difflib.unified_diff(old, new, "before.py", "after.py"))
