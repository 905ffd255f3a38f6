"""The user's own program, trained in two trees by the user's own command, and what it logged."""

from __future__ import annotations

import fnmatch
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from lintmetrics.codemod import Relation
from lintmetrics.diagnostics import Diagnostic
from lintmetrics.report.diff import diff
from lintmetrics.report.terminal import Paint
from lintmetrics.rule import Consequence
from lintmetrics.sources import SUFFIXES, shown_bytes
from lintmetrics.verify import compare, references
from lintmetrics.verify.case import KeyClaim, Tolerance
from lintmetrics.verify.proof import ORIGINAL_TODAY, TODAY, Building, Place, original_today
from lintmetrics.verify.record import Record
from lintmetrics.verify.training import Training, Trainings, python_of, train
from lintmetrics.verify.trees import Tree
from lintmetrics.verify.truth import asked
from lintmetrics.verify.verdict import KeyVerdict, Proof

ANY_PLACE = Place("", 1)
"""Where a program trains that says so itself."""

OnLine = Callable[[str, str], None]
"""Called with the name of a training and a line that it prints."""


@dataclass(frozen=True)
class Change:
    """A program before and after a change, and how to train it.

    Args:
        command: as the user would start it.
        before: the tree of the original, ``after``: of the rewrite.
        after: the tree of the rewrite.
        reference: the Lightning that the original is for; ``"today"`` for the one installed.
        place: where to train.
        timeout: seconds that one training may take; ``None`` for no end.
        fixed: the findings of the original that the change has mended.
        renamed: key after the change to key before it.
        tolerance: how far numbers that are the same may be apart.
        vias: the ways out of Lightning that are compared.
        seed: what random, NumPy and torch start from, for a program that does not say so itself;
            ``None`` to leave them alone.
    """

    command: Sequence[str]
    before: Tree
    after: Tree
    reference: str = TODAY
    place: Place = ANY_PLACE
    timeout: float | None = None
    fixed: Sequence[Diagnostic] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)
    tolerance: Tolerance = field(default_factory=Tolerance)
    vias: Sequence[str] = compare.DEFAULT_VIAS
    seed: int | None = None


def prove(
    change: Change,
    *,
    today: bool = False,
    workers: int = 1,
    building: Building | None = None,
    on_line: OnLine | None = None,
) -> Proof:
    """Train a program in both trees and return what holds.

    Args:
        change: what to compare.
        today: whether to train also the original on today's Lightning.
        workers: how many trainings may run at a time.
        building: called before a reference is built.
        on_line: given what the trainings print.
    Raises:
        LintmetricsError: the command cannot be started, or the reference cannot be had.
    """
    python = python_of(change.command, change.before.folder)
    overlays: dict[str, Path | None] = {TODAY: None}
    if change.reference != TODAY:
        reference = references.reference(change.reference)
        told = building(reference) if building else None
        overlays[change.reference] = references.overlay(reference, told, python)
    wanted = [("before", change.before, change.reference), ("after", change.after, TODAY)]
    if today and change.reference != TODAY:
        wanted.append((ORIGINAL_TODAY, change.before, TODAY))
    with tempfile.TemporaryDirectory(prefix="lintmetrics-") as scratch:
        begun = {}
        with Trainings(workers) as trainings:
            for name, tree, lightning in wanted:
                record = Path(scratch) / re.sub(r"\W+", "-", name)
                run = partial(
                    _train, change, name, tree, lightning, overlays[lightning], record, on_line
                )
                begun[name] = trainings.begin(run)
            done = {name: future.result() for name, future in begun.items()}
    return _judged(change, done)


def _train(
    change: Change,
    name: str,
    tree: Tree,
    lightning: str,
    overlay: Path | None,
    record: Path,
    on_line: OnLine | None,
) -> Training:
    place = change.place
    environment = references.environment(
        overlay,
        None if overlay is None else references.reference(lightning),
        place.accelerator,
        place.processes,
    )
    paths = tree.import_paths(python_of(change.command, tree.folder))
    paths.append(environment.get("PYTHONPATH", os.environ.get("PYTHONPATH", "")))
    environment["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    if change.seed is not None:
        seed = str(change.seed)
        environment |= {"LINTMETRICS_SEED": seed, "PYTHONHASHSEED": seed}
    if name == "before":
        environment |= asked(change.fixed, tree.folder)
    return train(
        change.command,
        cwd=tree.folder,
        record=record,
        name=name,
        environment=environment,
        timeout=change.timeout,
        on_line=None if on_line is None else partial(on_line, name),
    )


def _judged(change: Change, done: Mapping[str, Training]) -> Proof:
    before, after = done["before"], done["after"]
    keys: tuple[KeyVerdict, ...] = ()
    if before.record is not None and after.record is not None:
        claims = claims_of(change, before.record, after.record)
        keys = compare.compare(claims, before.record, after.record, vias=change.vias)
    tried = done.get(ORIGINAL_TODAY)
    return Proof(
        name=" ".join(change.command),
        verdict=compare.judge(keys, (before.side, after.side)),
        keys=keys,
        sides=tuple(training.side for training in done.values()),
        diff=tree_diff(change.before.root, change.after.root),
        about=f"{change.before.label} → {change.after.label}",
        accelerator=change.place.accelerator or "cpu",
        processes=change.place.processes,
        original_today=original_today(before, tried) if tried else "",
    )


# What a change may do ---------------------------------------------------------------------------

_SUFFIX = re.compile(r"(_step|_epoch)?(/dataloader_idx_\d+)?$")
"""What Lightning puts behind a key that a program gives it."""

_SUMS = Tolerance(
    relative=2e-6, reason="a metric object sums in single precision, in an order of its own"
)


def claims_of(change: Change, before: Record, after: Record) -> compare.Claims:
    """Return what must hold for a change: what its fixes have announced, all else preserved.

    Args:
        change: what was trained.
        before: what its original recorded. ``after``: what its rewrite did.
        after: what its rewrite recorded.
    """
    logged = {point.key for record in (before, after) for point in record.points}
    first = {point.key for point in before.points}
    claims: dict[str, KeyClaim] = {}
    for finding in change.fixed:
        for key in sorted(_spoken_of(finding, logged)):
            old = change.renamed.get(key, key)
            if old not in first and finding.consequence is Consequence.IGNORED:
                why = f"was never logged: {finding.message}"
                claims[key] = KeyClaim(key, old, "new", reason=why)
            elif _corrects(finding):
                claims[key] = KeyClaim(key, old, "corrects", tolerance=_SUMS)
            elif key not in claims:
                claims[key] = KeyClaim(key, old, "preserves", tolerance=_SUMS)
    for key, old in change.renamed.items():
        claims.setdefault(key, KeyClaim(key, old, "preserves", tolerance=change.tolerance))
    tolerance = change.tolerance
    if tolerance != Tolerance():
        for key in sorted(logged - claims.keys() - set(change.renamed.values())):
            claims[key] = KeyClaim(key, key, "preserves", tolerance=tolerance)
    return compare.Claims(claims)


def _corrects(finding: Diagnostic) -> bool:
    """Tell whether a number is to change when a finding is mended."""
    if finding.fix is not None:
        return finding.fix.relation is not Relation.PRESERVES
    return finding.consequence is Consequence.WRONG_NUMBER


def _spoken_of(finding: Diagnostic, logged: Iterable[str]) -> set[str]:
    """Return the logged keys that a finding speaks of, with what Lightning put behind them."""
    patterns = [re.compile(fnmatch.translate(_literal(key))) for _, key in finding.keys]
    return {
        key
        for key in logged
        if any(
            pattern.match(key) or pattern.match(_SUFFIX.sub("", key, count=1))
            for pattern in patterns
        )
    }


def _literal(key: str) -> str:
    """Return a key as a pattern in which only ``*`` stands for something else."""
    return re.sub(r"[\[?]", lambda found: f"[{found[0]}]", key)


# The difference between two trees ---------------------------------------------------------------


def tree_diff(before: Path, after: Path) -> str:
    """Return the unified diff between the sources of two trees."""
    old, new = _sources(before), _sources(after)
    names = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
    told = diff(
        {name: shown_bytes(old.get(name, b"")) for name in names},
        {name: shown_bytes(new.get(name, b"")) for name in names},
        Paint(False),
    )
    return told.decode("utf-8", "replace")


def _sources(root: Path) -> dict[str, bytes]:
    found = {}
    for folder, names, files in os.walk(root):
        names[:] = [name for name in names if not name.startswith(".") and name != "__pycache__"]
        for file in files:
            path = Path(folder, file)
            if path.suffix in SUFFIXES and path.is_file() and not path.is_symlink():
                found[path.relative_to(root).as_posix()] = path.read_bytes()
    return found
