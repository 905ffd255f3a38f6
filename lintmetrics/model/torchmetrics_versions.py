"""Which changes of TorchMetrics matter to a project, by the version that its code must run on."""

from __future__ import annotations

import functools
from collections.abc import Iterable

from lintmetrics import facts
from lintmetrics.edits import CannotEdit
from lintmetrics.facts import Move
from lintmetrics.project import Module, Project
from lintmetrics.releases import numbers, reaches

_SHIMMED = "1.0"  # The release that made shims of the package root's names.
_WITHOUT_METRICS = "1.5"  # The release of Lightning that has no pl.metrics any more.


def is_over(status: str, last: str, project: Project) -> bool:
    """Tell whether the target lacks an old name, or warns of it.

    Args:
        status: as in ``Move``.
        last: the last release looked at that has the name, such as ``"tm-0.7.3"``; empty for one of
            ``pytorch_lightning.metrics`` that is no longer known.
        project: says the target.
    """
    target = project.target_torchmetrics
    if not last.startswith("tm-"):
        return reaches(project.target_lightning, _WITHOUT_METRICS)
    if status == "deprecated":
        return reaches(target, _SHIMMED)
    # In which of the releases between two that were looked at it went is not known.
    return not target or reaches(target, _behind(last.removeprefix("tm-")))


@functools.cache
def _behind(release: str) -> str:
    """Return the release that was looked at next."""
    looked_at = {m.last.removeprefix("tm-") for m in facts.moves().values() if m.last[:2] == "tm"}
    later = [one for one in looked_at if numbers(one, 0) > numbers(release, 0)]
    return min(later, key=lambda one: numbers(one, 0), default="1.9")


def move_of(name: str, project: Project) -> Move | None:
    """Return what became of a name on the target; ``None`` where it still is in its place."""
    move = facts.moves().get(name)
    return move if move is not None and is_over(move.status, move.last, project) else None


def is_past(until: str, project: Project) -> bool:
    """Tell whether the target is newer than the last release that knew something.

    Args:
        until: such as ``"0.11"``, which is all of its patches; ``"none"`` for no release.
        project: says the target.
    """
    target = project.target_torchmetrics
    if not target or not until[:1].isdigit():
        return True
    end = float("inf")
    return numbers(target, end) > numbers(until, end)


def release(module: Module) -> str:
    """Return the release that is judged for, as messages name it."""
    return f"TorchMetrics {module.project.target_torchmetrics or '1.9'}"


def require(project: Project, name: str, arguments: Iterable[str] = ()) -> None:
    """Raise where the target does not have a metric yet that a fix would write.

    Args:
        project: says the target; ``name``: dotted name in 1.9.
        arguments: ``name=value`` texts of what it is given.
    """
    target = project.target_torchmetrics
    if not target:
        return
    short = name.rpartition(".")[2]
    since = facts.first_release(short)
    if since and not reaches(target, since):
        raise CannotEdit(f"{short} came with TorchMetrics {since}, and the target is {target}")
    if reaches(target, _SHIMMED):
        return  # What came between 1.0 and 1.9 is no argument that a fix writes.
    kind = "class" if short[:1].isupper() else "function"
    known = [s for s in facts.signatures("torchmetrics", short, kind) if reaches(target, s.first)]
    for argument in arguments:
        parameter = argument.partition("=")[0]
        if parameter.isidentifier() and known and parameter not in known[-1].names:
            raise CannotEdit(f"{short} has no {parameter} in TorchMetrics {target}, the target")
