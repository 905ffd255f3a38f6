"""LM119: training and validation log under one key."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model import stage_keys
from lintmetrics.model.flow import LightningClass
from lintmetrics.rule import Consequence, Finding, Rule


class KeyOfTwoStages(Rule):
    """One key that training and validation both log.

    Loggers, ``callback_metrics`` and the progress bar know a number by its key alone. What both
    stages log becomes one curve that jumps between the two, and whoever watches the key is given
    the value of the stage that ran last.
    """

    code = "LM119"
    consequence = Consequence.WRONG_NUMBER
    source = (
        "executed on lightning 2.6.6: the key holds 1.6 of validation, then 10.8 of training; "
        "logger_connector/logger_connector.py"
    )
    bad = """
    import lightning.pytorch as pl
    import torch.nn.functional as F


    class Regressor(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def _shared_step(self, batch):
            x, y = batch
            loss = F.mse_loss(self.net(x), y)
            self.log("loss", loss)
            return loss

        def training_step(self, batch, batch_idx):
            return self._shared_step(batch)

        def validation_step(self, batch, batch_idx):
            return self._shared_step(batch)
    """
    good = """
    import lightning.pytorch as pl
    import torch.nn.functional as F


    class Regressor(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def _shared_step(self, batch, stage):
            x, y = batch
            loss = F.mse_loss(self.net(x), y)
            self.log(f"{stage}_loss", loss)
            return loss

        def training_step(self, batch, batch_idx):
            return self._shared_step(batch, "train")

        def validation_step(self, batch, batch_idx):
            return self._shared_step(batch, "val")
    """

    def check(self, model: LightningClass) -> Iterator[Finding]:
        """Find keys of which loggers are given values by both stages."""
        told: set[str] = set()
        for name, ways in stage_keys.written(model).items():
            ways = [one for one in ways if stage_keys.is_of_samples(one.way)]
            by_stage = {one.way.stage: one for one in reversed(ways)}
            train, val = by_stage.get("train"), by_stage.get("val")
            if train is None or val is None or train.way.key in told:
                continue
            told.add(train.way.key or "")
            both = [train.way.key or "", val.way.key or ""]
            yield Finding(
                model,
                f'"{name}" is one curve of two stages: {train.way.hook} and {val.way.hook} both '
                "log it",
                help=f'give each stage a key: "train_{both[0]}" and "val_{both[0]}"',
                node=train.call.key_node or train.call.node,
                module=train.call.module,
                blocked="a new key is for you to choose: monitors and dashboards know the old one",
                keys=(("train", both[0]), ("val", both[1])),
            )
