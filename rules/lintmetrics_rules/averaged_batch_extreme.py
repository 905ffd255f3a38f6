"""LM116: the largest or smallest value of each batch is averaged over the epoch."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model.batches import one_sample_per_batch
from lintmetrics.model.log_calls import LogCall, LogContext
from lintmetrics.model.values import Form, Origin, numbers, options
from lintmetrics.rule import Consequence, Finding, Rule


class AveragedBatchExtreme(Rule):
    """The largest or smallest value of each batch, averaged over the epoch.

    The mean of the maxima of the batches is not the maximum of the epoch: the worst error of 103
    samples stands in one batch of four, and the mean hides it. The larger the batches, the larger
    the number.
    """

    code = "LM116"
    consequence = Consequence.WRONG_NUMBER
    source = (
        "executed on lightning 2.6.6: 1, 1 and 4 of batches of 4, 4 and 2 log 1.6, with "
        'reduce_fx="max" 4.0; logger_connector/result.py, _ResultMetric.update'
    )
    bad = """
    import lightning.pytorch as pl


    class Regressor(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def validation_step(self, batch, batch_idx):
            x, y = batch
            error = (self.net(x) - y).abs()
            self.log("val_max_error", error.max())
    """
    good = """
    import lightning.pytorch as pl


    class Regressor(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def validation_step(self, batch, batch_idx):
            x, y = batch
            error = (self.net(x) - y).abs()
            self.log("val_max_error", error.max(), reduce_fx="max")
    """

    def check(self, call: LogCall) -> Iterator[Finding]:
        """Find extremes of a batch that reach an epoch mean."""
        if call.argument("reduce_fx") is not None:
            return
        ways = [way for way in call.contexts if _extreme(way) is not None]
        ways = [way for way in ways if not one_sample_per_batch(call.cls, way.hook)]
        origin = _extreme(ways[0]) if ways else None
        if origin is None:
            return
        module, node = call.place(origin)
        which = origin.name
        yield Finding(
            call,
            f"{call.key_in(ways)} is the mean of the {which} of each batch, not the {which} of "
            "the epoch",
            help=f'log it with reduce_fx="{which[:3]}"',
            node=node,
            module=module,
            detail=origin,
        )


def _extreme(way: LogContext) -> Origin | None:
    if way.is_of_chosen_batches or not way.averaged or len(options(way.value)) != 1:
        return None
    for number in numbers(way.value):
        if number.form is Form.PEAK:
            return number.origins[0]
    return None
