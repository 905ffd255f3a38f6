"""How releases compare: a target, which may be vague, against the release that a fact names."""

from __future__ import annotations

import re
from collections.abc import Mapping

LIBRARIES = {"lightning": "Lightning", "torchmetrics": "TorchMetrics"}
"""The libraries whose releases matter, with the names that messages call them by."""
NEWEST = "newest"
"""What is said for the newest release of all."""


def numbers(version: str, rest: float) -> tuple[float, ...]:
    """Return the first three numbers of a version; ``rest`` for those that it does not say."""
    found = [float(part) for part in re.findall(r"\d+", _plain(version))[:3]]
    return (*found, *[rest] * (3 - len(found)))


def _plain(version: str) -> str:
    """Return a version without what follows its numbers, such as ``rc1``, ``.post0``, ``.*``."""
    match = re.match(r"v?\d+(?:\.\d+)*", version)
    return match.group() if match else ""


def reaches(target: str, release: str) -> bool:
    """Tell whether a target is a release or a newer one.

    Args:
        target: such as ``"2.1"``, which is its last patch; empty for the newest of all.
        release: such as ``"2.0"``, which is its first.
    """
    return not target or numbers(target, float("inf")) >= numbers(release, 0)


def missing(since: str, targets: Mapping[str, str]) -> str:
    """Return what a target lacks, such as ``"Lightning 2.0"``; empty where it has it.

    Args:
        since: the release that has what is asked for, such as ``"lightning 2.0"``; empty for any.
        targets: the target of each library; empty for the newest.
    """
    library, _, release = since.partition(" ")
    if not since or reaches(targets[library], release):
        return ""
    return f"{LIBRARIES[library]} {release}"
