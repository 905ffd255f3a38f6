"""LM125: one Metric object under two names, one for training and one for validation."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model.flow import LightningClass
from lintmetrics.model.shared_objects import shared_objects
from lintmetrics.rule import Consequence, Finding, Rule


class MetricUnderTwoNames(Rule):
    """One Metric object under two names, one for training and one for validation.

    A second name, or a second ``MetricCollection`` made of the same objects, is no second object:
    both loops gather in the same states. Validation runs inside the training epoch, so its number
    counts training batches, and its reset takes what training gathered.
    """

    code = "LM125"
    consequence = Consequence.WRONG_NUMBER
    source = (
        "executed on lightning 2.6.6 and torchmetrics 1.9.0: two collections of one list of "
        "metrics logged 2.0 for validation and NaN for training, of 3 and 1"
    )
    bad = """
    import lightning.pytorch as pl
    import torch.nn.functional as F
    from torchmetrics import MetricCollection
    from torchmetrics.classification import BinaryF1Score, BinaryRecall


    class Classifier(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net
            metrics = [BinaryF1Score(), BinaryRecall()]
            self.train_metrics = MetricCollection(metrics, prefix="train_")
            self.val_metrics = MetricCollection(metrics, prefix="val_")

        def training_step(self, batch, batch_idx):
            x, y = batch
            scores = self.net(x)
            self.train_metrics.update(scores, y)
            self.log_dict(self.train_metrics, on_step=False, on_epoch=True)
            return F.binary_cross_entropy(scores, y.float())

        def validation_step(self, batch, batch_idx):
            x, y = batch
            self.val_metrics.update(self.net(x), y)
            self.log_dict(self.val_metrics)
    """
    good = """
    import lightning.pytorch as pl
    import torch.nn.functional as F
    from torchmetrics import MetricCollection
    from torchmetrics.classification import BinaryF1Score, BinaryRecall


    class Classifier(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net
            metrics = [BinaryF1Score(), BinaryRecall()]
            self.train_metrics = MetricCollection(metrics, prefix="train_")
            self.val_metrics = MetricCollection(metrics, prefix="val_").clone()

        def training_step(self, batch, batch_idx):
            x, y = batch
            scores = self.net(x)
            self.train_metrics.update(scores, y)
            self.log_dict(self.train_metrics, on_step=False, on_epoch=True)
            return F.binary_cross_entropy(scores, y.float())

        def validation_step(self, batch, batch_idx):
            x, y = batch
            self.val_metrics.update(self.net(x), y)
            self.log_dict(self.val_metrics)
    """

    def check(self, model: LightningClass) -> Iterator[Finding]:
        """Find objects that both loops feed, each under a name of its own."""
        for shared in shared_objects(model):
            first = shared.train if shared.later == shared.val else shared.val
            yield Finding(
                model,
                f"self.{first} and self.{shared.later} hold one Metric object, fed in training "
                f"and in validation: {shared.what}",
                help=f"give self.{shared.later} objects of its own, with .clone()",
                node=shared.node,
                module=shared.module,
                detail=shared,
                keys=shared.keys,
            )
