"""LM123: only some processes may reach a log call that waits for all."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from lintmetrics.model import devices
from lintmetrics.model.frames import Condition
from lintmetrics.model.log_calls import LogCall, LogContext
from lintmetrics.model.values import Metric, options
from lintmetrics.rule import Consequence, Finding, Rule

# What a batch looks like is the same in every process, whatever is in it.
_SHAPE = re.compile(
    r"\b(?:ndim|shape|dtype|device|size|dim|numel|len|isinstance|hasattr|is_cuda|batch_idx"
    r"|batch_size|keys|requires_grad|is_tensor|is_floating_point)\b"
)


class SyncUnderCondition(Rule):
    """A synchronised log call that not every process reaches.

    With ``sync_dist=True`` every process waits until all have logged the same key. Where a process
    skips the call, since its batch has nothing of the kind or since it is not the first, the others
    wait for ever, or take the number of another key for this one.
    """

    code = "LM123"
    consequence = Consequence.CRASH
    source = (
        "executed on lightning 2.6.6 with 2 processes: a key that one of them logs alone makes the "
        "run hang, or end in an error of gloo; logger_connector/result.py, _ResultMetric.compute"
    )
    bad = """
    import lightning.pytorch as pl
    import torch.nn.functional as F


    class Detector(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def validation_step(self, batch, batch_idx):
            x, y = batch
            found = y > 0
            if found.any():
                loss = F.mse_loss(self.net(x)[found], y[found])
                self.log("val_loss", loss, sync_dist=True)
    """
    good = """
    import lightning.pytorch as pl
    import torch.nn.functional as F
    from torchmetrics import MeanSquaredError


    class Detector(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net
            self.val_loss = MeanSquaredError()

        def validation_step(self, batch, batch_idx):
            x, y = batch
            found = y > 0
            if found.any():
                self.val_loss.update(self.net(x)[found], y[found])

        def on_validation_epoch_end(self):
            self.log("val_loss", self.val_loss)
    """

    def check(self, call: LogCall) -> Iterator[Finding]:
        """Find calls that wait for all processes where some may pass by."""
        given = call.argument("sync_dist")
        alone = call.argument("rank_zero_only")
        if not (isinstance(given, ast.Constant) and given.value is True) or alone is not None:
            return
        ways = [way for way in call.contexts if _asked(way) is not None]
        asked = _asked(ways[0]) if ways else None
        if asked is None:
            return
        text = " ".join(asked.module.source.segment(asked.node).split())
        if len(text) > 60:
            text = text[:57] + "..."
        yield Finding(
            call,
            f"{call.key_in(ways)} waits for all processes, and not every one has `{text}`",
            help="update a Metric object under the condition, and log it outside",
            blocked="a process that has nothing to log has to take part all the same: update a "
            "Metric object under the condition, and log it in the epoch-end hook",
        )


def _asked(way: LogContext) -> Condition | None:
    """Return the condition around a log call that may differ from process to process."""
    if any(isinstance(option, Metric) for option in options(way.value)):
        return None  # Gathered by itself, whatever is said.
    for condition in reversed(way.tests):
        text = condition.module.source.segment(condition.node)
        if devices.asks_rank(condition.node) or (condition.asks_data and not _SHAPE.search(text)):
            return condition
    return None
