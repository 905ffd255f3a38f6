"""LM129: the number that a step logs for the epoch is replaced by one of the epoch's end."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model import hooks, loaders, stage_keys
from lintmetrics.model.flow import LightningClass
from lintmetrics.model.log_calls import LogContext
from lintmetrics.model.values import Metric, numbers, options
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
                if _same_object(one.way, end.way) or _may_be_split(model, one):
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


def _same_object(one: LogContext, other: LogContext) -> bool:
    """Tell whether two ways give what one Metric object computes for the epoch."""
    held = _paths(one)
    return bool(held) and held == _paths(other)


def _paths(way: LogContext) -> set[str]:
    found = {option.path for option in options(way.value) if isinstance(option, Metric)}
    for number in numbers(way.value):
        found |= {o.metric.path for o in number.origins if o.metric is not None}
    return found


def _may_be_split(model: LightningClass, one: stage_keys.Written) -> bool:
    """Tell whether Lightning may give the step's key the number of a dataloader."""
    count = loaders.how_many(model.cls, one.way.stage)
    if count == 1:
        return False
    step = model.cls.lookup(one.way.hook)
    arguments = [] if step is None else [*step.node.args.posonlyargs, *step.node.args.args]
    return (
        count > 1
        or loaders.are_several(model.cls, one.way.stage)
        or any("loader" in argument.arg or "dataset" in argument.arg for argument in arguments)
    )
