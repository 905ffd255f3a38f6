"""LM404: the file name of a checkpoint has a number in it that nothing in the project logs."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model.monitors import filename_keys, is_spelled, known_keys, runs_of
from lintmetrics.project import Module
from lintmetrics.rule import Consequence, Finding, Rule


class UnknownFilenameKey(Rule):
    """A checkpoint's file name with a number that nobody logs.

    ``filename="{epoch}-{val_loss:.2f}"`` writes the number that is logged as ``val_loss``. Where
    nothing is, Lightning writes 0 and says nothing: every checkpoint is called ``val_loss=0.00``.
    """

    code = "LM404"
    consequence = Consequence.WRONG_NUMBER
    source = "executed on lightning 2.6.6; callbacks/model_checkpoint.py"
    bad = """
    import lightning.pytorch as pl
    import torch.nn.functional as F
    from lightning.pytorch.callbacks import ModelCheckpoint


    class Regressor(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def validation_step(self, batch, batch_idx):
            x, y = batch
            self.log("val/loss", F.mse_loss(self.net(x), y))


    best = ModelCheckpoint(monitor="val/loss", filename="{epoch}-{val_loss:.2f}")
    """
    good = """
    import lightning.pytorch as pl
    import torch.nn.functional as F
    from lightning.pytorch.callbacks import ModelCheckpoint


    class Regressor(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def validation_step(self, batch, batch_idx):
            x, y = batch
            self.log("val/loss", F.mse_loss(self.net(x), y))


    best = ModelCheckpoint(
        monitor="val/loss",
        filename="{epoch}-{val/loss:.2f}",
        auto_insert_metric_name=False,
    )
    """

    def check(self, module: Module) -> Iterator[Finding]:
        """Find keys that are written nowhere else.

        Where it is not known which modules train, a key much like them has to be logged.
        """
        for named in filename_keys(module):
            if is_spelled(named):
                continue
            logged = known_keys(named)
            if logged.may_hold(named.key):
                continue
            nearest = logged.nearest(named.key)
            if nearest or runs_of(named).is_seen:
                yield Finding(
                    named,
                    f'{named.kind} writes "{named.key}" into file names, which nothing logs: '
                    "it is always 0",
                    help=f'the nearest key that is logged is "{nearest}"'
                    if nearest
                    else f"what is logged: {logged.shown(named.key)}",
                    node=named.key_node,
                    blocked="which number is meant is yours to say",
                )
