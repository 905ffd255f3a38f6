"""LM216: a callback uses an attribute of the module before the module's hook does."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model.attribute_reads import early_attributes
from lintmetrics.project import ClassInfo
from lintmetrics.rule import Consequence, Finding, Rule


class StaleModuleAttribute(Rule):
    """A callback that uses an attribute of the module in the hook that comes before the module's.

    Lightning 1 ran ``validation_epoch_end`` of the module before the callbacks. Lightning 2 runs
    each hook of the callbacks first: what the module sets in its hook of that name is that of the
    epoch before, or not there at all in the first one; and what a callback empties is empty when
    the module's hook reads it.
    """

    code = "LM216"
    consequence = Consequence.WRONG_NUMBER
    since = "lightning 2.0"
    source = "each hook run on lightning 2.6.6: the callbacks' first, then the module's"
    bad = """
    import lightning.pytorch as pl
    import torch


    class Model(pl.LightningModule):
        def __init__(self):
            super().__init__()
            self.scores = []

        def validation_step(self, batch, batch_idx):
            self.scores.append(self(batch))

        def on_validation_epoch_end(self):
            self.spread = torch.cat(self.scores).std()
            self.scores.clear()


    class Printer(pl.Callback):
        def on_validation_epoch_end(self, trainer, pl_module):
            print(pl_module.spread)
    """
    good = """
    import lightning.pytorch as pl
    import torch


    class Model(pl.LightningModule):
        def __init__(self):
            super().__init__()
            self.scores = []

        def validation_step(self, batch, batch_idx):
            self.scores.append(self(batch))

        def on_validation_epoch_end(self):
            self.spread = torch.cat(self.scores).std()
            self.scores.clear()


    class Printer(pl.Callback):
        def on_validation_end(self, trainer, pl_module):
            print(pl_module.spread)
    """

    def check(self, cls: ClassInfo) -> Iterator[Finding]:
        """Find attributes that a module of the project sets or reads in the same hook."""
        for read in early_attributes(cls):
            does = "empties" if read.is_emptied else "computes" if read.is_fed else "reads"
            then = "reads" if read.is_emptied else "feeds" if read.is_fed else "sets"
            yield Finding(
                read,
                f"{read.spelled} {does} {read.shown} before {read.logged_by} {then} it",
                help=f"rename the hook to {read.later}" if read.later else "do so in the next hook",
                node=read.place,
            )
