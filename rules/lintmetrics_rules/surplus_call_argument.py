"""LM214: an argument that a method of a module or callback takes no longer."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model.hook_calls import surplus_calls
from lintmetrics.project import ClassInfo
from lintmetrics.rule import Consequence, Finding, Rule


class SurplusCallArgument(Rule):
    """An argument that a method of Lightning takes no longer.

    A hook may take more than it is given, but the one of Lightning that it calls by ``super()`` has
    today's parameters and no others. ``toggle_optimizer`` wants no index any more, and
    ``manual_backward`` no optimizer, which it would hand on to ``loss.backward``.
    """

    code = "LM214"
    consequence = Consequence.CRASH
    source = "each call run on lightning 2.6.6: TypeError"
    bad = """
    from pytorch_lightning import LightningModule


    class Gan(LightningModule):
        def on_train_batch_end(self, outputs, batch, batch_idx, unused=0):
            super().on_train_batch_end(outputs, batch, batch_idx, unused)
            self.seen += len(batch)
    """
    good = """
    from pytorch_lightning import LightningModule


    class Gan(LightningModule):
        def on_train_batch_end(self, outputs, batch, batch_idx, unused=0):
            super().on_train_batch_end(outputs, batch, batch_idx)
            self.seen += len(batch)
    """

    def check(self, cls: ClassInfo) -> Iterator[Finding]:
        """Find calls of Lightning's methods with arguments of old."""
        for call in surplus_calls(cls):
            given = ", ".join(f"`{cls.module.source.segment(one)}`" for one in call.surplus)
            effect = (
                "is deprecated" if call.consequence is Consequence.STALE else "raises TypeError"
            )
            yield Finding(
                call,
                f"{call.spelled}() takes {given} no longer, which {effect}",
                help=call.row.note,
                consequence=call.consequence,
            )
