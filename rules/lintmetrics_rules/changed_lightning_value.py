"""LM502: a value that an argument of Lightning takes no longer, or reads otherwise."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from lintmetrics.model.lightning_versions import failing
from lintmetrics.model.old_arguments import old_arguments
from lintmetrics.project import Module
from lintmetrics.rule import Consequence, Finding, Rule


class ChangedLightningValue(Rule):
    """Values that Lightning takes no longer, or reads otherwise than before.

    ``Trainer(accelerator="ddp")`` was a strategy once, ``devices=None`` the default,
    ``enable_checkpointing=ModelCheckpoint(...)`` is accepted and its callback ignored, and
    ``mode="auto"`` of a ModelCheckpoint is gone.
    """

    code = "LM502"
    consequence = Consequence.CRASH
    source = "each value given to lightning 2.6.6: ValueError, TypeError, or no effect"
    bad = """
    import pytorch_lightning as pl

    trainer = pl.Trainer(accelerator="ddp", devices=2, max_steps=None)
    """
    good = """
    import pytorch_lightning as pl

    trainer = pl.Trainer(strategy="ddp", devices=2)
    """

    def check(self, module: Module) -> Iterator[Finding]:
        """Find values that are gone or mean something else."""
        for argument in old_arguments(module):
            change = argument.change
            if change.kind == "argument":
                continue
            value = ast.unparse(argument.value)
            shown = value if len(value) <= 40 else "..."
            effect = {
                Consequence.IGNORED: "means something else",
                Consequence.STALE: "is deprecated",
            }.get(argument.consequence, f"raises {failing(change, module.project)}")
            yield Finding(
                argument,
                f"{argument.owner}({change.member}={shown}) {effect}",
                help=change.note,
                consequence=argument.consequence,
            )
