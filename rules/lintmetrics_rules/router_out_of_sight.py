"""LM703: a project that puts, and builds no Trainer."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model import put_style
from lintmetrics.project import Module
from lintmetrics.rule import Consequence, Finding, Rule


class RouterOutOfSight(Rule):
    """A class that puts, in a project that builds no Trainer.

    Whoever trains it has to give the Trainer a ``PutRouter``, and no file of this project can be
    changed to do so. Asked for with ``style = "put"`` alone.
    """

    code = "LM703"
    style = "put"
    consequence = Consequence.STYLE
    source = "lintmetrics.put on lightning 2.6.6: put() without a router warns and keeps nothing"
    bad = """
    import lightning.pytorch as pl
    from lintmetrics.put import PutMixin


    class Net(PutMixin, pl.LightningModule):
        def training_step(self, batch, batch_idx):
            loss = self(batch).mean()
            self.put("train_loss", loss)
            return loss
    """
    good = """
    import lightning.pytorch as pl
    from lintmetrics.put import PutMixin, PutRouter


    class Net(PutMixin, pl.LightningModule):
        def training_step(self, batch, batch_idx):
            loss = self(batch).mean()
            self.put("train_loss", loss)
            return loss

        def configure_callbacks(self):
            return [PutRouter()]
    """

    def check(self, module: Module) -> Iterator[Finding]:
        """Find classes whose numbers nobody in the project routes."""
        project = module.project
        for cls in put_style.putting_classes(module):
            if put_style.builds_trainer(project) or put_style.is_routed_somewhere(project):
                return
            yield Finding(
                cls,
                f"{cls.node.name} puts, and no Trainer is built in this project",
                blocked="give the Trainer that trains it callbacks=[PutRouter()]",
            )
