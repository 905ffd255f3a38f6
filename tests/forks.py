"""Programs that train, each in a process that is forked from one with torch in it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lintmetrics.verify import references

if TYPE_CHECKING:
    from lintmetrics.verify.warm import WarmPythons

LIKE_PROOFS = {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
"""Variables of every training of a case: what runs under the same ones shares its imports."""


def trained(
    forking: WarmPythons,
    folder: Path,
    program: str,
    lightning: str | None = None,
    capture: str | None = None,
    **variables: str,
) -> list[str]:
    """Train with the recorder, which writes to ``record``; return the lines that are printed.

    Args:
        forking: what it is forked from.
        folder: where the program is, and runs.
        program: the name of its file.
        lightning: the name of a reference; ``None`` for today's Lightning.
        capture: as ``train`` takes it.
        variables: more variables of its environment.
    """
    from lintmetrics.verify.training import train

    reference = None if lightning is None else references.reference(lightning)
    overlay = None if reference is None else references.overlay(reference)
    lines: list[str] = []
    done = train(
        [sys.executable, program],
        folder,
        folder / "record",
        environment=references.environment(overlay, reference) | LIKE_PROOFS | variables,
        capture=capture,
        timeout=300,
        on_line=lines.append,
        warm=forking,
    )
    assert done.side.outcome == "finished", done.side.detail
    assert not [line for line in lines if line.startswith("lintmetrics: ")]
    return lines
