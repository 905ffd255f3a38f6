"""LM122: an epoch value of one process stands for that of all."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from lintmetrics.model import devices, hooks, stage_keys
from lintmetrics.model.log_calls import LogCall, LogContext
from lintmetrics.model.values import numbers, options
from lintmetrics.rule import Consequence, Finding, Rule


class UnsyncedEpochValue(Rule):
    """An epoch value of the first process, in a project that trains on several devices.

    Each process sees its own part of the samples. Without ``sync_dist=True`` the number that is
    logged for the epoch is that of the first process; monitors in the others see other numbers.
    Metric objects are gathered by themselves.

    Found where the Trainer that fits the module, or every Trainer of the project, is told of
    several devices or of a strategy for them.
    """

    code = "LM122"
    consequence = Consequence.WRONG_NUMBER
    source = (
        "executed on lightning 2.6.6 with 2 processes: 24.0 logged, 28.5 of all samples; "
        "logger_connector/result.py, _Sync"
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
            self.log("val_loss", F.mse_loss(self.net(x), y))


    def evaluate(net, data):
        pl.Trainer(devices=4, strategy="ddp").validate(Regressor(net), datamodule=data)
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
            self.log("val_loss", F.mse_loss(self.net(x), y), sync_dist=True)


    def evaluate(net, data):
        pl.Trainer(devices=4, strategy="ddp").validate(Regressor(net), datamodule=data)
    """

    def check(self, call: LogCall) -> Iterator[Finding]:
        """Find means and sums over the samples of one process."""
        if not _is_unsynced(call) or not devices.is_distributed(call.cls):
            return
        ways = [way for way in call.contexts if _is_of_one_process(way)]
        if ways and not devices.gathers(call.cls):
            yield Finding(
                call,
                f"{call.key_in(ways)} is the value of the first process: this project trains on "
                "several devices",
                help="say sync_dist=True",
                detail=ways,
            )


def _is_unsynced(call: LogCall) -> bool:
    if any(keyword.arg in (None, "rank_zero_only") for keyword in call.node.keywords):
        return False
    given = call.argument("sync_dist")
    return given is None or (isinstance(given, ast.Constant) and given.value is False)


def _is_of_one_process(way: LogContext) -> bool:
    if way.on_epoch is not True or not hooks.is_batch_hook(way.hook) or way.is_of_chosen_batches:
        return False
    if way.reduce_fx not in ("mean", "sum", "min", "max") or not stage_keys.is_of_samples(way):
        return False
    found = list(numbers(way.value))
    # What an object computes is gathered; of what cannot be averaged no mean is right at all.
    return len(found) == len(options(way.value)) and not any(
        origin.kind == "compute" or origin.verdict in ("no", "weighted")
        for number in found
        for origin in number.origins
    )
