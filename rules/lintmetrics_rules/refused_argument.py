"""LM508: an argument with which a Trainer or callback cannot be made."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from lintmetrics.model.trainer_arguments import refused_arguments
from lintmetrics.project import Module
from lintmetrics.rule import Consequence, Finding, Rule


class RefusedArgument(Rule):
    """Arguments of a Trainer or callback that Lightning refuses, alone or beside others.

    ``ModelCheckpoint(save_top_k=3)`` without a ``monitor`` has nothing to rank by,
    ``every_n_train_steps`` and ``every_n_epochs`` exclude each other, ``limit_val_batches=1.5`` is
    neither a part nor a number of batches. Lightning raises where the object is made, which on a
    cluster is when the job has waited for its turn.

    Found where the values are written down.
    """

    code = "LM508"
    consequence = Consequence.CRASH
    source = "facts/refused_arguments.csv, each row run on lightning 2.6.6 and on older releases"
    bad = """
    from lightning.pytorch.callbacks import ModelCheckpoint

    best = ModelCheckpoint(dirpath="checkpoints", save_top_k=3)
    """
    good = """
    from lightning.pytorch.callbacks import ModelCheckpoint

    best = ModelCheckpoint(dirpath="checkpoints", save_top_k=-1)
    """

    def check(self, module: Module) -> Iterator[Finding]:
        """Find values that are refused where an object is made."""
        for argument in refused_arguments(module):
            value = ast.unparse(argument.node)
            shown = value if len(value) <= 40 else "..."
            row = argument.row
            error = f": {row.error}" if row.error else ""
            yield Finding(
                argument,
                f"{argument.owner}({row.argument}={shown}) {row.text}{error}",
                help=row.help,
            )
