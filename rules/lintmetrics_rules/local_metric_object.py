"""LM321: a Metric object that a step makes is logged."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model.local_metrics import logged_locals
from lintmetrics.model.log_calls import LogCall
from lintmetrics.rule import Consequence, Finding, Rule


class LocalMetricObject(Rule):
    """Metric objects that a step makes and hands to ``self.log``.

    Lightning looks for a logged object among the parts of the module, and raises for one that is
    none of them. One that each step makes anew could not gather either: it has seen one batch.
    """

    code = "LM321"
    consequence = Consequence.CRASH
    source = (
        "executed on lightning 2.6.6: MisconfigurationException: Could not find the "
        "`LightningModule` attribute for the `torchmetrics.Metric` logged"
    )
    bad = """
    import lightning.pytorch as pl
    from torchmetrics.classification import BinaryAccuracy


    class Classifier(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def validation_step(self, batch, batch_idx):
            x, y = batch
            accuracy = BinaryAccuracy().to(self.device)
            accuracy.update(self.net(x), y)
            self.log("val_acc", accuracy)
    """
    good = """
    import lightning.pytorch as pl
    from torchmetrics.classification import BinaryAccuracy


    class Classifier(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net
            self.val_acc = BinaryAccuracy()

        def validation_step(self, batch, batch_idx):
            x, y = batch
            self.val_acc.update(self.net(x), y)
            self.log("val_acc", self.val_acc)
    """

    def check(self, call: LogCall) -> Iterator[Finding]:
        """Find objects made in the function that logs them."""
        for metric in logged_locals(call):
            short = metric.name.rsplit(".", 1)[-1]
            yield Finding(
                call,
                f"{call.key} is given an object of {short} that this method makes; Lightning does "
                "not find it in the module and raises",
                help=f"create the {short} in __init__, and update it here",
                node=call.value_node,
                detail=metric,
            )
