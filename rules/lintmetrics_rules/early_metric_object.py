"""LM130: a Metric object is assigned before the module can take it."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model.early_objects import early_object
from lintmetrics.project import ClassInfo
from lintmetrics.rule import Consequence, Finding, Rule


class EarlyMetricObject(Rule):
    """Metric objects that ``__init__`` assigns before it calls ``super().__init__()``.

    A module keeps its parts in a table that ``torch.nn.Module.__init__`` makes. A Metric object, or
    a container of torch that holds some, cannot be assigned before; nor has a custom metric states
    until ``Metric.__init__`` has run. Both raise where the object is made.
    """

    code = "LM130"
    consequence = Consequence.CRASH
    source = (
        "executed on lightning 2.6.6 and torchmetrics 1.9.0: AttributeError, cannot assign module "
        "before Module.__init__() call; add_state: no attribute '_defaults'"
    )
    bad = """
    import lightning.pytorch as pl
    from torchmetrics.classification import BinaryF1Score


    class Classifier(pl.LightningModule):
        def __init__(self, net):
            self.val_f1 = BinaryF1Score()
            super().__init__()
            self.net = net

        def validation_step(self, batch, batch_idx):
            x, y = batch
            self.val_f1.update(self.net(x), y)
            self.log("val_f1", self.val_f1)
    """
    good = """
    import lightning.pytorch as pl
    from torchmetrics.classification import BinaryF1Score


    class Classifier(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.val_f1 = BinaryF1Score()
            self.net = net

        def validation_step(self, batch, batch_idx):
            x, y = batch
            self.val_f1.update(self.net(x), y)
            self.log("val_f1", self.val_f1)
    """

    def check(self, cls: ClassInfo) -> Iterator[Finding]:
        """Find what is made too early."""
        early = early_object(cls)
        if early is not None:
            statement, made, is_started = early
            when = "before super().__init__() is called"
            if not is_started:
                when = "and super().__init__() is never called"
            yield Finding(
                cls,
                f"{made} of {cls.node.name} is made {when}: the line raises",
                help="begin __init__ with super().__init__()",
                node=statement,
            )
