"""LM505: a name of Lightning is imported or read from where it is no longer."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model.lightning_names import old_names
from lintmetrics.project import Module
from lintmetrics.rule import Consequence, Finding, Rule


class MovedLightningName(Rule):
    """Names of Lightning that moved, were renamed or are gone.

    ``pytorch_lightning.core.lightning``, ``pytorch_lightning.utilities.distributed``, ``profiler``
    and about a hundred other modules are gone, and names such as ``DDPPlugin`` or
    ``LightningLoggerBase`` with them. An import of one stops the whole file.
    """

    code = "LM505"
    consequence = Consequence.CRASH
    source = "names of pytorch-lightning 1.0.8 to 1.9.5 against lightning 2.6.6, imported"
    bad = """
    from pytorch_lightning.core.lightning import LightningModule
    from pytorch_lightning.utilities.distributed import rank_zero_info

    rank_zero_info(LightningModule.__name__)
    """
    good = """
    from pytorch_lightning import LightningModule
    from pytorch_lightning.utilities.rank_zero import rank_zero_info

    rank_zero_info(LightningModule.__name__)
    """

    def check(self, module: Module) -> Iterator[Finding]:
        """Find imports and chains of attributes."""
        for name in old_names(module):
            change, target = name.change, module.project.target_lightning
            where = f"Lightning {target}" if target else "current Lightning"
            effect = (
                f"is deprecated in {where}"
                if name.consequence is Consequence.STALE
                else f"is gone from {where}"
            )
            hint = f"use {name.new}" if name.new else change.note
            yield Finding(
                name,
                f"{name.dotted} {effect}",
                help=hint or "nothing public takes its place",
                consequence=name.consequence,
            )
