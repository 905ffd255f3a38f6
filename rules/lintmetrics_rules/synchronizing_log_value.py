"""LM608: a logged value that is fetched from the device at each training step."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model.fetched_values import fetched
from lintmetrics.model.log_calls import LogCall
from lintmetrics.rule import Consequence, Finding, Rule


class SynchronizingLogValue(Rule):
    """Logged values that wait for the device at each training step.

    ``loss.item()``, ``float(loss)`` and ``loss.cpu()`` wait until the device has done all that it
    was given, and nothing new is given to it meanwhile. ``self.log`` takes the tensor as it is,
    detaches it, and fetches its value when a logger writes it, at each fiftieth step by default.
    """

    code = "LM608"
    consequence = Consequence.SLOW
    source = (
        "lightning 2.6.6, core/module.py, LightningModule.log: value.clone().detach(); the same "
        "numbers with and without on 1.4.9 and 2.6.6"
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
            self.log("train_loss", loss.item())
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
            self.log("train_loss", loss)
            return loss
    """

    def check(self, call: LogCall) -> Iterator[Finding]:
        """Find values that a training step fetches to log them."""
        value = fetched(call)
        if value is not None:
            yield Finding(
                call,
                f"{call.key} waits for the device at each step: {value.how} fetches it",
                help="log the tensor itself",
                node=call.value_node,
                detail=value,
            )
