"""LM115: the sum of the losses of a batch is averaged over the batches."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from lintmetrics.model.arithmetic import UNAVERAGED
from lintmetrics.model.batches import one_sample_per_batch
from lintmetrics.model.log_calls import LogCall, LogContext
from lintmetrics.model.values import Form, Origin, numbers
from lintmetrics.rule import Consequence, Finding, Rule


class SummedBatchLoss(Rule):
    """The sum of the losses of a batch, averaged over the batches of an epoch.

    With ``reduction="sum"`` a loss grows with the batch. ``self.log`` averages those sums, weighted
    by the sizes of the batches: the result is neither the loss of a sample nor the loss of the
    epoch, and another batch size gives another number.
    """

    code = "LM115"
    consequence = Consequence.WRONG_NUMBER
    source = (
        "measured on lightning 2.6.6, 103 samples in batches of 32: 46.97 logged, the mean is 1.95 "
        "and the sum 200.4; logger_connector/result.py, _ResultMetric.update"
    )
    bad = """
    import lightning.pytorch as pl
    import torch.nn.functional as F


    class Regressor(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def validation_step(self, batch, batch_idx):
            x, y = batch
            loss = F.mse_loss(self.net(x), y, reduction="sum")
            self.log("val_loss", loss)
    """
    good = """
    import lightning.pytorch as pl
    import torch.nn.functional as F


    class Regressor(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def validation_step(self, batch, batch_idx):
            x, y = batch
            loss = F.mse_loss(self.net(x), y, reduction="sum")
            self.log("val_loss", loss, reduce_fx="sum")
    """

    def check(self, call: LogCall) -> Iterator[Finding]:
        """Find sums over a batch that reach an epoch mean."""
        given = call.argument("batch_size")
        if isinstance(given, ast.Constant) and given.value == 1:
            return  # Batches are what is counted.
        ways = [way for way in call.contexts if _summed(way) is not None]
        ways = [way for way in ways if not one_sample_per_batch(call.cls, way.hook)]
        origin = _summed(ways[0]) if ways else None
        if origin is None:
            return
        module, node = call.place(origin)
        yield Finding(
            call,
            f"{call.key_in(ways)} averages sums over the samples of a batch: it grows with the "
            "batch size",
            help='log the sum with reduce_fx="sum", or the mean of the samples',
            node=node,
            module=module,
            detail=origin,
            blocked="whether the sum of the epoch or the mean of its samples is meant is yours to "
            'say: log with reduce_fx="sum", or divide by the number of samples',
        )


def _summed(way: LogContext) -> Origin | None:
    """Return the loss that was added up over the samples of each batch."""
    if way.is_of_chosen_batches or not way.averaged:
        return None
    for number in numbers(way.value):
        for origin in number.origins:
            if number.form is Form.SUM and origin.why == UNAVERAGED:
                return origin
    return None
