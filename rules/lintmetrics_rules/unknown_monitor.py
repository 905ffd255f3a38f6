"""LM401: a key is watched that nothing in the project logs."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model.monitors import (
    is_spelled,
    known_keys,
    monitors,
    returned_by,
    runs_of,
    unseen,
    ways_of,
    without_level,
)
from lintmetrics.project import Module
from lintmetrics.rule import Consequence, Finding, Rule


class UnknownMonitor(Rule):
    """A checkpoint, early stopping or scheduler that watches a key nobody logs.

    Lightning raises at the end of the first epoch when a watched key is not there; a
    ``ModelCheckpoint`` that is triggered by steps, and an ``EarlyStopping`` with
    ``strict=False``, do nothing and say nothing.
    """

    code = "LM401"
    consequence = Consequence.CRASH
    source = (
        "executed on lightning 2.6.6: MisconfigurationException of ModelCheckpoint, RuntimeError "
        "of EarlyStopping; callbacks/model_checkpoint.py and early_stopping.py"
    )
    bad = """
    import lightning.pytorch as pl
    import torch.nn.functional as F
    from lightning.pytorch.callbacks import EarlyStopping


    class Regressor(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def validation_step(self, batch, batch_idx):
            x, y = batch
            self.log("val/loss", F.mse_loss(self.net(x), y))


    stop = EarlyStopping(monitor="val_loss")
    """
    good = """
    import lightning.pytorch as pl
    import torch.nn.functional as F
    from lightning.pytorch.callbacks import EarlyStopping


    class Regressor(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def validation_step(self, batch, batch_idx):
            x, y = batch
            self.log("val/loss", F.mse_loss(self.net(x), y))


    stop = EarlyStopping(monitor="val/loss")
    """

    def check(self, module: Module) -> Iterator[Finding]:
        """Find keys that are written nowhere else.

        Where it is not known which modules train, a key much like them has to be logged.
        """
        for monitor in monitors(module):
            lost = unseen(monitor)
            if lost is not None:
                yield Finding(
                    monitor,
                    f"{monitor.kind} watches {lost.why}",
                    help=lost.help,
                    node=monitor.key_node,
                    detail=lost.key or None,
                )
                continue
            hook = returned_by(monitor)
            if hook:
                yield Finding(
                    monitor,
                    f'{monitor.kind} watches "{monitor.key}", which {hook} returns and nothing '
                    "logs",
                    help=f'log it in {hook}: self.log("{monitor.key}", ...)',
                    node=monitor.key_node,
                )
                continue
            if is_spelled(monitor):
                continue
            plain = without_level(monitor)
            if plain:
                wants_epoch = monitor.key.endswith("_epoch")
                lacks = wants_epoch and not any(w.on_epoch for w in ways_of(monitor, plain))
                yield Finding(
                    monitor,
                    f'{monitor.kind} watches "{monitor.key}", and "{plain}" is logged at one level '
                    "only, under its own name",
                    help=f'log "{plain}" with on_epoch=True' if lacks else f'watch "{plain}"',
                    node=monitor.key_node,
                    detail=None if lacks else plain,
                )
                continue
            logged = known_keys(monitor)
            if logged.may_hold(monitor.key):
                continue
            nearest = logged.nearest(monitor.key)
            if nearest or runs_of(monitor).is_seen:
                yield Finding(
                    monitor,
                    f'{monitor.kind} watches "{monitor.key}", which nothing logs',
                    help=f'the nearest key that is logged is "{nearest}"'
                    if nearest
                    else f"what is logged: {logged.shown(monitor.key)}",
                    node=monitor.key_node,
                )
