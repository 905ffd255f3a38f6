"""LM503: an attribute or method that objects of Lightning no longer have."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model.lightning_versions import failing
from lintmetrics.model.old_members import old_members
from lintmetrics.project import Module
from lintmetrics.rule import Consequence, Finding, Rule


class RemovedLightningMember(Rule):
    """Attributes and methods of the Trainer, modules and data modules that are gone.

    ``trainer.training_type_plugin``, ``trainer.tune()``, ``self.datamodule``,
    ``self.hparams = hparams``: reading them raises an AttributeError, often deep in a run, and
    setting one on a Trainer makes an attribute that nothing reads.
    """

    code = "LM503"
    consequence = Consequence.CRASH
    source = "each member read on lightning 2.6.6: AttributeError"
    bad = """
    import pytorch_lightning as pl


    class Counter(pl.Callback):
        def on_validation_end(self, trainer, pl_module):
            if not trainer.running_sanity_check:
                print(trainer.progress_bar_dict)
    """
    good = """
    import pytorch_lightning as pl


    class Counter(pl.Callback):
        def on_validation_end(self, trainer, pl_module):
            if not trainer.sanity_checking:
                print(trainer.progress_bar_metrics)
    """

    def check(self, module: Module) -> Iterator[Finding]:
        """Find members that are read, called or set."""
        for member in old_members(module, "member"):
            change = member.change
            call = "()" if change.kind == "method" else ""
            name = f"{member.owner}.{change.member}{call}"
            if member.is_passed_over:
                message = (
                    f"{name} is gone {failing(change, module.project)}, and the except passes over "
                    "what depends on it"
                )
            elif member.consequence is Consequence.IGNORED:
                message = f"{name} is set, and nothing of Lightning reads it"
            elif member.consequence is Consequence.STALE:
                message = f"{name} is deprecated"
            elif change.new == f"{change.owner}.{change.member}":
                message = f"{name} is called on an object: TypeError"
            elif change.kind == "item":
                message = f"{name} is one object {failing(change, module.project)}, and no list"
            elif change.kind == "assignment":
                message = f"{name} cannot be set {failing(change, module.project)}: no setter"
            else:
                message = f"{name} is gone {failing(change, module.project)}: AttributeError"
            note = change.note if "{" not in change.note else ""
            yield Finding(
                member,
                message,
                help=note or (f"use {change.new}" if change.new else ""),
                consequence=member.consequence,
            )
