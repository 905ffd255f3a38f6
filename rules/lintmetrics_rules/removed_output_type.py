"""LM206: the type of outputs that went with the epoch-end hooks."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from lintmetrics.project import Module
from lintmetrics.rule import Consequence, Finding, Rule

_REMOVED = re.compile(
    r"(?:pytorch_lightning|lightning\.pytorch|lightning)\.utilities\.types\.EPOCH_OUTPUT$"
)


class RemovedOutputType(Rule):
    """An import of ``EPOCH_OUTPUT``, which went with the epoch-end hooks.

    ``pytorch_lightning.utilities.types.EPOCH_OUTPUT`` named the type of ``outputs``. Lightning 2
    has neither, and the import stops the whole file from being imported.
    """

    code = "LM206"
    consequence = Consequence.CRASH
    since = "lightning 2.0"
    source = "imported on lightning 2.6.6: ImportError"
    bad = """
from lightning.pytorch.utilities.types import EPOCH_OUTPUT


def number_of_batches(outputs: EPOCH_OUTPUT) -> int:
    return len(outputs)
"""
    good = """
def number_of_batches(outputs: list) -> int:
    return len(outputs)
"""

    def check(self, module: Module) -> Iterator[Finding]:
        """Find imports that run whenever the file is imported."""
        for item in module.imports:
            if not _REMOVED.match(item.target):
                continue
            guarded = any(
                isinstance(around, ast.Try)
                or (isinstance(around, ast.If) and "TYPE_CHECKING" in ast.unparse(around.test))
                for around in module.ancestors(item.statement)
            )
            if not guarded:
                yield Finding(
                    item,
                    f"{item.target} is gone from Lightning 2: ImportError",
                    help="write list where the type was named",
                )
