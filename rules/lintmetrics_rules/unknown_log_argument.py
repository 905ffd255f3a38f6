"""LM606: an argument that ``self.log`` does not take."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from lintmetrics.model.log_arguments import RefusedArgument, refused_arguments
from lintmetrics.project import Module
from lintmetrics.rule import Consequence, Finding, Rule


class UnknownLogArgument(Rule):
    """Arguments that ``self.log`` and ``self.log_dict`` do not take.

    ``sync_dist_op``, ``tbptt_reduce_fx`` and ``tbptt_pad_token`` went with 1.6 and raise a
    TypeError; so does a name that is misspelled. ``reduce_fx`` took any function once, and takes
    mean, sum, min and max since 1.4.
    """

    code = "LM606"
    consequence = Consequence.CRASH
    source = (
        "signatures of log and log_dict in lightning 1.0.8 to 2.6.6, each argument given to 2.6.6: "
        "TypeError; each reduce_fx: MisconfigurationException"
    )
    bad = """
    import lightning.pytorch as pl
    import torch.nn.functional as F


    class Regressor(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def training_step(self, batch, batch_idx):
            x, y = batch
            loss = F.mse_loss(self.net(x), y)
            self.log("train_loss", loss, sync_dist=True, sync_dist_op="mean")
            return loss
    """
    good = """
    import lightning.pytorch as pl
    import torch.nn.functional as F


    class Regressor(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def training_step(self, batch, batch_idx):
            x, y = batch
            loss = F.mse_loss(self.net(x), y)
            self.log("train_loss", loss, sync_dist=True)
            return loss
    """

    def check(self, module: Module) -> Iterator[Finding]:
        """Find arguments and reductions that raise."""
        for argument in refused_arguments(module):
            name = argument.node.arg
            if argument.row is None:
                nearest = f"; {argument.nearest} is" if argument.nearest else ""
                yield Finding(
                    argument,
                    f"{name} is no argument of self.{argument.method}{nearest}",
                    help=f"say {argument.nearest}=" if argument.nearest else "leave it out",
                    blocked="whether another argument is meant is for you to say",
                )
                continue
            yield Finding(
                argument,
                _message(argument),
                help=argument.row.note,
                consequence=argument.consequence,
            )


def _message(argument: RefusedArgument) -> str:
    row = argument.row
    assert row is not None
    if row.action == "value":
        value = ast.unparse(argument.node.value)
        shown = value if len(value) <= 40 else "..."
        return f"reduce_fx={shown} is refused: Lightning reduces by mean, sum, min or max"
    if argument.consequence is Consequence.STALE:
        return f"self.{argument.method}({row.argument}=...) is deprecated"
    return f"self.{argument.method}({row.argument}=...) raises TypeError"
