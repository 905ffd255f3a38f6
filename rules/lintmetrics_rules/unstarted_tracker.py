"""LM328: a MetricTracker is used and never started."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model.trackers import unstarted
from lintmetrics.project import Module
from lintmetrics.rule import Consequence, Finding, Rule


class UnstartedTracker(Rule):
    """A ``MetricTracker`` that is used and never told that an epoch begins.

    A tracker keeps a copy of its metric for each epoch, and makes the first one when
    ``increment()`` is called. Until then, ``update``, ``compute`` and a call of the object raise.
    """

    code = "LM328"
    consequence = Consequence.CRASH
    source = (
        "executed on torchmetrics 1.9.0: ValueError, `update` cannot be called before "
        "`.increment()` has been called; wrappers/tracker.py"
    )
    bad = """
    import lightning.pytorch as pl
    from torchmetrics import MetricTracker
    from torchmetrics.classification import BinaryF1Score


    class Classifier(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net
            self.tracker = MetricTracker(BinaryF1Score())

        def validation_step(self, batch, batch_idx):
            x, y = batch
            self.tracker.update(self.net(x), y)

        def on_validation_epoch_end(self):
            self.log("val_f1", self.tracker.compute())
    """
    good = """
    import lightning.pytorch as pl
    from torchmetrics import MetricTracker
    from torchmetrics.classification import BinaryF1Score


    class Classifier(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net
            self.tracker = MetricTracker(BinaryF1Score())

        def on_validation_epoch_start(self):
            self.tracker.increment()

        def validation_step(self, batch, batch_idx):
            x, y = batch
            self.tracker.update(self.net(x), y)

        def on_validation_epoch_end(self):
            self.log("val_f1", self.tracker.compute())
    """

    def check(self, module: Module) -> Iterator[Finding]:
        """Find trackers without an increment."""
        for use in unstarted(module):
            yield Finding(
                use,
                f"{use.name} is a MetricTracker that nothing starts: {use.method} raises",
                help=f"call {use.name}.increment() where each epoch begins",
                blocked="where an epoch begins is for a person to say",
            )
