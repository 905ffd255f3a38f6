"""LM129: the number that a step logs for the epoch is replaced by one of the epoch's end."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model import hooks, stage_keys
from lintmetrics.model.flow import LightningClass
from lintmetrics.rule import Consequence, Finding, Rule


class ReplacedEpochValue(Rule):
    """A key that a step logs for the epoch, and that the hook at its end logs again.

    Both are numbers of the same epoch under one key. Lightning keeps them apart by their hooks, and
    gives loggers, monitors and the progress bar the later one: what the step logged is lost.
    """

    code = "LM129"
    consequence = Consequence.IGNORED
    source = (
        "executed on lightning 2.6.6: of validation_step and on_validation_epoch_end the latter is "
        "left in callback_metrics, in logged_metrics and in what loggers are given"
    )
    bad = """
    import lightning.pytorch as pl
    import torch
    import torch.nn.functional as F


    class Regressor(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net
            self.errors = []

        def validation_step(self, batch, batch_idx):
            x, y = batch
            self.log("val_error", F.l1_loss(self.net(x), y))
            self.errors.append((self.net(x) - y).abs())

        def on_validation_epoch_end(self):
            self.log("val_error", torch.cat(self.errors).median())
            self.errors.clear()
    """
    good = """
    import lightning.pytorch as pl
    import torch
    import torch.nn.functional as F


    class Regressor(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net
            self.errors = []

        def validation_step(self, batch, batch_idx):
            x, y = batch
            self.log("val_error", F.l1_loss(self.net(x), y))
            self.errors.append((self.net(x) - y).abs())

        def on_validation_epoch_end(self):
            self.log("val_median_error", torch.cat(self.errors).median())
            self.errors.clear()
    """

    def check(self, model: LightningClass) -> Iterator[Finding]:
        """Find keys of an epoch that two hooks of one stage surely log."""
        if not model.cls.is_lightning:
            return
        for name, ways in stage_keys.written(model).items():
            ends = {
                one.way.stage: one
                for one in ways
                if one.way.hook.endswith("_epoch_end") and one.way.on_epoch and one.way.certain
            }
            for one in ways:
                end = ends.get(one.way.stage)
                if end is None or not hooks.is_batch_hook(one.way.hook):
                    continue
                if not one.way.on_epoch or (one.way.on_step and not name.endswith("_epoch")):
                    continue
                if not one.way.certain or one.call.node is end.call.node:
                    continue
                yield Finding(
                    model,
                    f'"{name}" of {one.way.hook} is replaced by that of {end.way.hook}, which is '
                    "logged for the same epoch",
                    help="log one of the two, or give one a key of its own",
                    node=one.call.key_node or one.call.node,
                    module=one.call.module,
                    blocked="which of the two is meant is yours to say",
                    keys=((one.way.stage, one.way.key or ""),),
                )
                break
