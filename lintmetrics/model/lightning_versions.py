"""Which changes of Lightning matter to a project, by the version that its code must run on."""

from __future__ import annotations

from lintmetrics.facts import Change, Hook
from lintmetrics.project import Project
from lintmetrics.releases import reaches
from lintmetrics.rule import Consequence


def consequence(change: Change | Hook, project: Project) -> Consequence | None:
    """Return what the old way does on the target; ``None`` where it still is the way."""
    target = project.target_lightning
    if not target or (change.removed_in and reaches(target, change.removed_in)):
        return Consequence(change.consequence)
    if change.deprecated_in and reaches(target, change.deprecated_in):
        return Consequence.STALE
    return None


def failing(change: Change | Hook, project: Project) -> str:
    """Return the release from which on the old way fails, as a message says it."""
    if change.removed_in and not project.target_lightning:
        return f"since Lightning {change.removed_in}"
    return f"on Lightning {project.target_lightning}" if project.target_lightning else "today"
