"""LM106: one Metric object is logged for several dataloaders."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model import loaders_of_steps
from lintmetrics.model.flow import LightningClass
from lintmetrics.model.held_metrics import held_metrics
from lintmetrics.rule import Consequence, Finding, Rule


class MetricSharedByLoaders(Rule):
    """One Metric object that is logged for each of several dataloaders.

    Lightning logs the object under a key for each dataloader, and resets it behind the last one:
    the value of each dataloader counts the batches of those before it.
    """

    code = "LM106"
    consequence = Consequence.WRONG_NUMBER
    source = (
        "executed on lightning 2.6.6 and torchmetrics 1.9.0: 0.0 and 0.5 where the two dataloaders "
        "have 0 and 1"
    )
    bad = """
    import lightning.pytorch as pl
    from torchmetrics.classification import BinaryF1Score


    class Classifier(pl.LightningModule):
        def __init__(self, net, clean, noisy):
            super().__init__()
            self.net = net
            self.clean, self.noisy = clean, noisy
            self.val_f1 = BinaryF1Score()

        def val_dataloader(self):
            return [self.clean, self.noisy]

        def validation_step(self, batch, batch_idx, dataloader_idx):
            x, y = batch
            self.val_f1(self.net(x), y)
            self.log("val_f1", self.val_f1)
    """
    good = """
    import lightning.pytorch as pl
    from torch.nn import ModuleList
    from torchmetrics.classification import BinaryF1Score


    class Classifier(pl.LightningModule):
        def __init__(self, net, clean, noisy):
            super().__init__()
            self.net = net
            self.clean, self.noisy = clean, noisy
            self.val_f1 = ModuleList([BinaryF1Score() for _ in range(2)])

        def val_dataloader(self):
            return [self.clean, self.noisy]

        def validation_step(self, batch, batch_idx, dataloader_idx):
            x, y = batch
            self.val_f1[dataloader_idx](self.net(x), y)
            self.log("val_f1", self.val_f1[dataloader_idx])
    """

    def check(self, model: LightningClass) -> Iterator[Finding]:
        """Find objects that a step for several dataloaders feeds and logs."""
        if not model.cls.is_lightning:
            return
        for held in held_metrics(model):
            if not held.logs or not held.is_single or not held.is_always_told_apart:
                continue
            for step in ("validation_step", "test_step"):
                ways = [(call, way) for call, way in held.logs if way.hook == step and way.on_epoch]
                feeds = [use for use in held.feeds() if use.hook == step]
                if not ways or not feeds:
                    continue
                call = ways[0][0]
                nodes = [(use.module, use.node) for use in feeds]
                nodes += [(call.module, call.node) for call, _ in ways]
                told = loaders_of_steps.told(model.cls, step, nodes)
                if told is not None:
                    key = call.key_in([way for other, way in ways if other is call])
                    yield Finding(
                        call,
                        f"self.{held.path} gathers from all dataloaders of {step}: {key} of each "
                        "counts those before it too",
                        help="give each dataloader an object of its own: a torch.nn.ModuleList, "
                        f"and self.{held.path}[{told.parameter}] in {step}",
                        detail=(held, told),
                    )
