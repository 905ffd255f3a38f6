"""LM117: every batch of a mean is given the same weight."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model import said_batch_sizes
from lintmetrics.model.log_calls import LogCall
from lintmetrics.rule import Consequence, Finding, Rule


class ConstantBatchSize(Rule):
    """A ``batch_size=`` that is the same for every batch.

    ``self.log`` weighs the value of each batch with ``batch_size``. Where that is a number of the
    configuration, the last batch of an epoch counts as a full one, however few samples it holds:
    the number is the plain mean of batch means. Lightning checks nothing about it: 0 gives NaN.

    Quiet where the loaders are seen to drop a short last batch or to give one sample at a time,
    and about training unless its loaders are seen to keep it.
    """

    code = "LM117"
    consequence = Consequence.WRONG_NUMBER
    source = (
        "lightning 2.6.6, logger_connector/result.py, _ResultMetric.update; measured: 3.3235 "
        "logged for 1.9457"
    )
    bad = """
    import lightning.pytorch as pl
    import torch.nn.functional as F


    class Regressor(pl.LightningModule):
        def __init__(self, net, batch_size=32):
            super().__init__()
            self.net = net
            self.batch_size = batch_size

        def validation_step(self, batch, batch_idx):
            x, y = batch
            loss = F.mse_loss(self.net(x), y)
            self.log("val_loss", loss, batch_size=self.batch_size)
    """
    good = """
    import lightning.pytorch as pl
    import torch.nn.functional as F


    class Regressor(pl.LightningModule):
        def __init__(self, net, batch_size=32):
            super().__init__()
            self.net = net
            self.batch_size = batch_size

        def validation_step(self, batch, batch_idx):
            x, y = batch
            loss = F.mse_loss(self.net(x), y)
            self.log("val_loss", loss, batch_size=x.size(0))
    """

    def check(self, call: LogCall) -> Iterator[Finding]:
        """Find constants that are said to be the size of every batch."""
        found = said_batch_sizes.of_log_call(call)
        if found is None or found[0].members is not None:
            return
        said, ways = found
        is_weight = said.value is None or said.value > 0
        if is_weight:
            stages = {way.stage for way in ways}
            known = {stage: said_batch_sizes.last_batch(call.cls, stage) for stage in stages}
            ways = [w for w in ways if _may_be_short(w.stage, known[w.stage])]
        if said.value == 1:
            ways = [w for w in ways if said_batch_sizes.has_large_batches(call.cls, w.stage)]
        if ways:
            true = said.true.expression
            yield Finding(
                call,
                f"{call.key_in(ways)} weighs every batch as {said.text}, a short last one too"
                if is_weight
                else f"{call.key_in(ways)} weighs every batch as {said.text}",
                help=f"say batch_size={true}" if true else "say the number of samples",
                detail=said,
            )


def _may_be_short(stage: str, shown: str) -> bool:
    return shown == "short" if stage == "train" else shown not in ("single", "full")
