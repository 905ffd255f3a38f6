"""LM108: Metric objects in a plain list, tuple or dict of a module."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model.flow import LightningClass
from lintmetrics.model.plain_containers import plain_containers
from lintmetrics.rule import Consequence, Finding, Rule


class UnregisteredMetric(Rule):
    """Metric objects in a plain list, tuple or dict of a module.

    A module knows its parts by its attributes, and looks into no plain container. The objects in
    one stay on the CPU when the module moves, so that their update meets tensors of two devices,
    and ``self.log`` raises as it cannot find them.
    """

    code = "LM108"
    consequence = Consequence.CRASH
    source = (
        "executed on lightning 2.6.6 and torchmetrics 1.9.0: `Could not find the LightningModule "
        "attribute`; an object in a list stayed on the CPU when the module moved"
    )
    bad = """
    import lightning.pytorch as pl
    from torchmetrics.classification import BinaryAccuracy, BinaryF1Score


    class Classifier(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net
            self.scores = {"val_acc": BinaryAccuracy(), "val_f1": BinaryF1Score()}

        def validation_step(self, batch, batch_idx):
            x, y = batch
            for name, metric in self.scores.items():
                metric.update(self.net(x), y)
                self.log(name, metric)
    """
    good = """
    import lightning.pytorch as pl
    from torch.nn import ModuleDict
    from torchmetrics.classification import BinaryAccuracy, BinaryF1Score


    class Classifier(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net
            self.scores = ModuleDict({"val_acc": BinaryAccuracy(), "val_f1": BinaryF1Score()})

        def validation_step(self, batch, batch_idx):
            x, y = batch
            for name, metric in self.scores.items():
                metric.update(self.net(x), y)
                self.log(name, metric)
    """

    def check(self, model: LightningClass) -> Iterator[Finding]:
        """Find containers whose objects the steps use, and that nobody moves by hand."""
        if not model.cls.is_lightning:
            return
        for held in plain_containers(model):
            if held.is_moved or not held.is_fed:
                continue
            also = ", and self.log does not find them" if held.is_logged else ""
            yield Finding(
                held,
                f"the Metric objects in self.{held.attribute}, a plain {held.kind}, do not move "
                f"with the module{also}",
                help=f"make it a torch.nn.{held.wanted}",
                detail=held,
            )
