"""LM701: numbers that a project with the style ``put`` gives to ``self.log``."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model.log_calls import LogCall
from lintmetrics.rule import Consequence, Finding, Rule


class NumberForLog(Rule):
    """A number that is given to ``self.log`` where the style is ``put``.

    ``self.log`` reduces, weighs, suffixes, samples and resets as its arguments, the hook and the
    kind of the value say. With ``put`` the module computes a finished number with TorchMetrics and
    hands it over as it is. Asked for with ``style = "put"`` alone.
    """

    code = "LM701"
    style = "put"
    consequence = Consequence.STYLE
    source = "https://github.com/Lightning-AI/pytorch-lightning/issues/11176"
    bad = """
    import lightning.pytorch as pl
    from torch.nn import functional as F


    class Net(pl.LightningModule):
        def validation_step(self, batch, batch_idx):
            x, y = batch
            loss = F.cross_entropy(self(x), y)
            self.log("val_loss", loss)
    """
    good = """
    import lightning.pytorch as pl
    from lintmetrics.put import PutMixin, PutRouter
    from torch.nn import functional as F
    from torchmetrics import MeanMetric


    class Net(PutMixin, pl.LightningModule):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.val_loss = MeanMetric(nan_strategy=float("nan"))

        def validation_step(self, batch, batch_idx):
            x, y = batch
            loss = F.cross_entropy(self(x), y)
            self.val_loss.update(loss, x.size(0))

        def on_validation_epoch_end(self):
            self.put("val_loss", self.val_loss.compute(), destinations=["loggers", "callbacks"])
            self.val_loss.reset()

        def configure_callbacks(self):
            return [PutRouter()]
    """

    def check(self, call: LogCall) -> Iterator[Finding]:
        """Find every log call."""
        yield Finding(
            call,
            f"{call.key} is given to {call.module.source.segment(call.node.func)}",
            help="compute the number with TorchMetrics and hand it over with self.put",
        )
