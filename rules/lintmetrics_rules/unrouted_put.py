"""LM702: what modules put, and no router delivers."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model import put_style
from lintmetrics.project import CallSite, Module
from lintmetrics.rule import Consequence, Finding, Rule


class UnroutedPut(Rule):
    """A Trainer without the router that delivers what modules put.

    ``self.put`` hands a number to the ``PutRouter`` among the callbacks of the Trainer, which takes
    it to loggers, progress bar and ``callback_metrics``. Without a router nothing is delivered: no
    curve, and no key for a checkpoint to watch.
    """

    code = "LM702"
    consequence = Consequence.IGNORED
    source = "lintmetrics.put on lightning 2.6.6: put() without a router warns and keeps nothing"
    bad = """
    import lightning.pytorch as pl
    from lintmetrics.put import PutMixin


    class Net(PutMixin, pl.LightningModule):
        def training_step(self, batch, batch_idx):
            loss = self(batch).mean()
            self.put("train_loss", loss)
            return loss


    trainer = pl.Trainer(max_epochs=3)
    """
    good = """
    import lightning.pytorch as pl
    from lintmetrics.put import PutMixin, PutRouter


    class Net(PutMixin, pl.LightningModule):
        def training_step(self, batch, batch_idx):
            loss = self(batch).mean()
            self.put("train_loss", loss)
            return loss


    trainer = pl.Trainer(max_epochs=3, callbacks=[PutRouter()])
    """

    def check(self, module: Module) -> Iterator[Finding]:
        """Find Trainers of a project whose modules put, without a router."""
        for site in put_style.trainers(module):
            if put_style.is_used(module.project) and not put_style.may_be_routed(site):
                yield _finding(site)


def _finding(site: CallSite) -> Finding:
    return Finding(
        site,
        "this Trainer delivers nothing of what modules put: it has no PutRouter",
        help="callbacks=[PutRouter()]",
    )
