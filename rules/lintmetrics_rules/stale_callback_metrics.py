"""LM207: a callback that reads a number before the module has logged it."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model.callback_reads import early_reads
from lintmetrics.project import ClassInfo
from lintmetrics.rule import Consequence, Finding, Rule


class StaleCallbackMetrics(Rule):
    """A callback that reads a number before the module logs it.

    Lightning 1 ran ``validation_epoch_end`` of the module before the callbacks. Lightning 2 runs
    ``on_validation_epoch_end`` of the callbacks first, so a number that the module logs in its hook
    of that name is missing there in the first epoch and one epoch old in all others.
    """

    code = "LM207"
    consequence = Consequence.WRONG_NUMBER
    source = "executed on lightning 2.6.6 and 1.9.5"
    bad = """
import torch
from lightning.pytorch import Callback, LightningModule


class Model(LightningModule):
    def on_validation_epoch_end(self):
        self.log("spread", torch.ones(3).std())


class Printer(Callback):
    def on_validation_epoch_end(self, trainer, pl_module):
        print(trainer.callback_metrics.get("spread"))
"""
    good = """
import torch
from lightning.pytorch import Callback, LightningModule


class Model(LightningModule):
    def on_validation_epoch_end(self):
        self.log("spread", torch.ones(3).std())


class Printer(Callback):
    def on_validation_end(self, trainer, pl_module):
        print(trainer.callback_metrics.get("spread"))
"""

    def check(self, cls: ClassInfo) -> Iterator[Finding]:
        """Find reads of keys that a module of the project logs in the hook of the same name."""
        for read in early_reads(cls):
            later = read.later
            yield Finding(
                read,
                f'{cls.node.name}.{read.name} reads "{read.key}" before {read.logged_by} logs it',
                help=f"rename the hook to {later}" if later else "read it in the next hook",
                node=read.place,
            )
