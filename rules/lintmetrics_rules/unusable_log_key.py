"""LM611: a number that is logged under something that is no text."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from lintmetrics.model.log_arguments import unusable_keys
from lintmetrics.project import Module
from lintmetrics.rule import Consequence, Finding, Rule


class UnusableLogKey(Rule):
    """Log calls whose key is a number or ``None``, and no text.

    ``self.log(index, loss)`` in a loop over ``enumerate`` gives Lightning a number to search for
    what only texts hold, and raises TypeError at the first batch.
    """

    code = "LM611"
    consequence = Consequence.CRASH
    since = "lightning 1.4"
    source = "executed on pytorch-lightning 1.5.10, 1.9.5 and lightning 2.6.6: TypeError"
    bad = """
    import lightning.pytorch as pl


    class Regressor(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def validation_step(self, batch, batch_idx):
            x, y = batch
            for index, error in enumerate((self.net(x) - y).abs().mean(0)):
                self.log(index, error)
    """
    good = """
    import lightning.pytorch as pl


    class Regressor(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def validation_step(self, batch, batch_idx):
            x, y = batch
            for index, error in enumerate((self.net(x) - y).abs().mean(0)):
                self.log(f"error_{index}", error)
    """

    def check(self, module: Module) -> Iterator[Finding]:
        """Find keys that are surely no text."""
        for key in unusable_keys(module):
            shown = ast.unparse(key.node)
            said = key.kind if shown == key.kind else f"the {key.kind} {shown}"
            yield Finding(
                key,
                f"self.{key.method} is given {said} for a key: TypeError",
                help=f'make a text of it: f"value_{{{shown}}}"'
                if shown.isidentifier()
                else "write the key as a text",
            )
