"""LM217: a run that raises when it begins."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model.refused_runs import refused_runs
from lintmetrics.project import Module
from lintmetrics.rule import Consequence, Finding, Rule


class RefusedRun(Rule):
    """A module that a Trainer cannot train or test as it is.

    ``fit`` wants a ``training_step``, ``configure_optimizers`` and training data, ``validate`` and
    ``test`` their step and data; a data module excludes loaders. A module that steps its optimizers
    itself excludes ``gradient_clip_val`` and ``accumulate_grad_batches`` of the Trainer. Lightning
    says so when the run begins, after the data is prepared. A ``training_step`` that returns no
    loss trains nothing, and one that returns ``None`` at times raises on several devices. An
    ``__init__`` that asks for ``self.trainer`` raises, and what it logs is lost.

    Found where the Trainer and the class of the module can be seen.
    """

    code = "LM217"
    consequence = Consequence.CRASH
    source = (
        "each run on pytorch-lightning 1.5.10, 1.9.5 and lightning 2.6.6; "
        "trainer/configuration_validator.py"
    )
    bad = """
    import lightning.pytorch as pl
    import torch


    class Regressor(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net
            self.automatic_optimization = False

        def training_step(self, batch, batch_idx):
            optimizer = self.optimizers()
            optimizer.zero_grad()
            self.manual_backward(self.net(batch).mean())
            optimizer.step()

        def configure_optimizers(self):
            return torch.optim.Adam(self.net.parameters())


    trainer = pl.Trainer(accumulate_grad_batches=4)
    trainer.fit(Regressor(torch.nn.Linear(4, 1)), torch.utils.data.DataLoader(torch.zeros(8, 4)))
    """
    good = """
    import lightning.pytorch as pl
    import torch


    class Regressor(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net
            self.automatic_optimization = False

        def training_step(self, batch, batch_idx):
            optimizer = self.optimizers()
            self.manual_backward(self.net(batch).mean() / 4)
            if (batch_idx + 1) % 4 == 0:
                optimizer.step()
                optimizer.zero_grad()

        def configure_optimizers(self):
            return torch.optim.Adam(self.net.parameters())


    trainer = pl.Trainer()
    trainer.fit(Regressor(torch.nn.Linear(4, 1)), torch.utils.data.DataLoader(torch.zeros(8, 4)))
    """

    def check(self, module: Module) -> Iterator[Finding]:
        """Find runs that Lightning refuses for what can be seen of the module."""
        for run in refused_runs(module):
            yield Finding(run, run.message, help=run.help, consequence=run.consequence)
