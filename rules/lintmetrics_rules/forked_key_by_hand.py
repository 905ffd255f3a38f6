"""LM612: a key that Lightning forms itself, logged by hand beside it."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from lintmetrics.model import hooks, stage_keys
from lintmetrics.model.flow import LightningClass
from lintmetrics.model.stage_keys import Written
from lintmetrics.rule import Consequence, Finding, Rule


class ForkedKeyByHand(Rule):
    """A key with ``_step`` or ``_epoch`` that Lightning forms itself, and that a step logs as well.

    With ``on_step=True, on_epoch=True`` a ``loss`` becomes ``loss_step`` at each step and
    ``loss_epoch`` for the epoch. A log call of its own under one of the two joins the same curve:
    batch values stand between the means of the epochs, or the later call replaces the other.
    """

    code = "LM612"
    consequence = Consequence.WRONG_NUMBER
    since = "lightning 1.3"
    source = (
        "executed on lightning 2.6.6: loss_epoch is 0.5, 2.5, 4.5, 6.5 of the batches, then 3.5 of "
        "the epoch; with two numbers of one level the later call is left"
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
            self.log("loss", loss, on_step=True, on_epoch=True)
            self.log("loss_epoch", loss)
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
            self.log("loss", loss, on_step=True, on_epoch=True)
            return loss
    """

    def check(self, model: LightningClass) -> Iterator[Finding]:
        """Find keys that one stage logs by hand, and by the level of another key."""
        if not model.cls.is_lightning:
            return
        for name, ways in stage_keys.written(model).items():
            ways = [one for one in ways if one.way.certain and hooks.is_batch_hook(one.way.hook)]
            for one in ways:
                forks = [w for w in ways if w.way.key != name and w.way.stage == one.way.stage]
                if one.way.key != name or not forks:
                    continue
                fork = forks[0]
                is_same_level = bool(one.way.on_epoch) == name.endswith("_epoch")
                if is_same_level and _value(one) == _value(fork):
                    continue
                formed = "mean of the epoch" if name.endswith("_epoch") else "number of each step"
                outcome = (
                    "the later call replaces the other" if is_same_level else "one curve of both"
                )
                yield Finding(
                    model,
                    f'"{name}" is what Lightning calls the {formed} of "{fork.way.key}" as well: '
                    f"{outcome}",
                    help="leave it to Lightning, or give it a key of its own",
                    node=one.call.key_node or one.call.node,
                    module=one.call.module,
                    blocked="which of the two is meant is yours to say",
                    keys=((one.way.stage, name),),
                )
                break


def _value(one: Written) -> str:
    """Return how the value of a log call is written."""
    node = one.call.value_node
    return "" if node is None else ast.unparse(node)
