"""The true numbers of keys that a fix corrects in the user's own program, which has no oracle.

The recorder is told which keys are meant. For each pass over the data it writes down what metrics
were given and answered, what steps logged and returned, and how many samples each batch had; and
it calls each metric once more, on the whole pass. From that evidence, which is the original's
alone, the true number of a pass follows without anything that the rewrite does.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

from lintmetrics.codemod import Relation
from lintmetrics.diagnostics import Diagnostic

VARIABLE = "LINTMETRICS_TRUTH"
"""The environment variable that tells the recorder what to gather."""

CODES = frozenset({"LM101", "LM102", "LM103", "LM104", "LM111", "LM112", "LM113", "LM114"})
"""The rules whose findings speak of wrong numbers that have a true one."""

_STAGES = {"train": "train", "val": "validate", "test": "test", "predict": "predict", "*": "*"}


def asked(findings: Iterable[Diagnostic], folder: Path) -> dict[str, str]:
    """Return the environment variables that have a training of the original tell the truth.

    They belong to the training *before* the change: the truth is computed from the original, and
    ``compare.compare`` holds the rewrite's numbers against it.

    Args:
        findings: the findings whose fixes are the change; only wrong numbers are asked for.
        folder: the tree that the paths of the findings lie in.
    """
    wanted = []
    for finding in findings:
        preserves = finding.fix is not None and finding.fix.relation is Relation.PRESERVES
        if finding.code not in CODES or preserves or not finding.keys:
            continue
        keys = [[_STAGES.get(stage, stage), key] for stage, key in finding.keys]
        wanted.append(
            {
                "code": finding.code,
                "keys": keys,
                "file": _relative(finding.path, folder),
                "first": finding.first_line,
                "last": finding.last_line,
                "about": finding.message,
            }
        )
    return {VARIABLE: json.dumps(wanted)} if wanted else {}


def _relative(path: str, folder: Path) -> str:
    if os.path.isabs(path):
        absolute = os.path.realpath(path)
        root = os.path.realpath(folder)
        if absolute.startswith(root + os.sep):
            path = os.path.relpath(absolute, root)
    return Path(path).as_posix()
