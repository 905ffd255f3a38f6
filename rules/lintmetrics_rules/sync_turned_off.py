"""LM124: one argument of a log call turns the other off."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from lintmetrics.model import devices, stage_keys
from lintmetrics.model.log_calls import LogCall, LogContext
from lintmetrics.model.values import Metric, Number, options
from lintmetrics.rule import Consequence, Finding, Rule


class SyncTurnedOff(Rule):
    """``sync_dist=True`` and ``rank_zero_only=True`` in one log call.

    ``rank_zero_only=True`` says that only the first process logs, and turns the synchronisation
    off: the number is that of the samples of the first process.
    """

    code = "LM124"
    consequence = Consequence.WRONG_NUMBER
    source = "lightning 2.6.6, logger_connector/result.py, _Sync._generate_sync_fn"
    bad = """
    import lightning.pytorch as pl
    import torch.nn.functional as F


    class Regressor(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def validation_step(self, batch, batch_idx):
            x, y = batch
            loss = F.mse_loss(self.net(x), y)
            self.log("val_loss", loss, sync_dist=True, rank_zero_only=True)
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
            loss = F.mse_loss(self.net(x), y)
            self.log("val_loss", loss, sync_dist=True)
    """

    def check(self, call: LogCall) -> Iterator[Finding]:
        """Find log calls that are told both."""
        given = [call.argument(name) for name in ("sync_dist", "rank_zero_only")]
        if not all(isinstance(one, ast.Constant) and one.value is True for one in given):
            return
        if all(_is_local(way) for way in call.contexts) and not devices.gathers(call.cls):
            yield Finding(
                call,
                f"{call.key} is not synchronised: rank_zero_only=True turns sync_dist=True off",
                help="take rank_zero_only=True out where every process logs, else sync_dist=True",
                blocked="which of the two is meant is yours to say: without rank_zero_only=True "
                "every process has to reach the call",
            )


def _is_local(way: LogContext) -> bool:
    """Tell whether a value is surely made of the samples of one process."""
    if any(devices.asks_rank(test.node) for test in way.tests):
        return False
    return stage_keys.is_of_samples(way) and not any(
        isinstance(value, Metric) or any(origin.kind == "compute" for origin in value.origins)
        for value in options(way.value)
        if isinstance(value, (Metric, Number))
    )
