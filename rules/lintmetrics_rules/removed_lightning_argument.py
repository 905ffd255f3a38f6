"""LM501: an argument that a class or method of Lightning takes no longer."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model.lightning_versions import failing
from lintmetrics.model.old_arguments import lacking_arguments, old_arguments
from lintmetrics.project import Module
from lintmetrics.rule import Consequence, Finding, Rule


class RemovedLightningArgument(Rule):
    """Arguments of the Trainer, callbacks, loggers and data modules that are gone.

    Lightning 2 takes none of the arguments that 1.x deprecated: ``gpus``, ``checkpoint_callback``,
    ``progress_bar_refresh_rate``, ``resume_from_checkpoint`` and about fifty more. The Trainer
    raises a TypeError for each; the data module swallows its own since 2.6.1.
    """

    code = "LM501"
    consequence = Consequence.CRASH
    source = "each argument given to lightning 2.6.6: TypeError"
    bad = """
    import pytorch_lightning as pl

    trainer = pl.Trainer(gpus=2, max_epochs=3, checkpoint_callback=False)
    """
    good = """
    import pytorch_lightning as pl

    trainer = pl.Trainer(accelerator="gpu", devices=2, max_epochs=3, enable_checkpointing=False)
    """

    def check(self, module: Module) -> Iterator[Finding]:
        """Find arguments that are gone, and arguments whose default is."""
        for argument in old_arguments(module):
            change = argument.change
            if change.kind != "argument":
                continue
            effect = (
                "is swallowed"
                if argument.consequence is Consequence.IGNORED
                else "is deprecated"
                if argument.consequence is Consequence.STALE
                else f"raises TypeError {failing(change, module.project)}"
            )
            yield Finding(
                argument,
                f"{argument.owner}({change.member}=...) {effect}",
                help=_help(change.note, change.new),
                consequence=argument.consequence,
            )
        for lacking in lacking_arguments(module):
            yield Finding(
                lacking,
                f"{lacking.owner}() needs {lacking.change.member}="
                f" {failing(lacking.change, module.project)}",
                help=lacking.change.note,
                consequence=lacking.consequence,
            )


def _help(note: str, new: str) -> str:
    if note and "{value}" not in note:
        return note
    return f"use {new}" if new else ""
