"""LM205: a list of training outputs that keeps every graph alive."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model.kept_outputs import appends, graph_of
from lintmetrics.project import ClassInfo
from lintmetrics.rule import Consequence, Finding, Rule


class StepOutputsWithGraph(Rule):
    """A list of training outputs that keeps the graph of every batch.

    Lightning 1 detached the loss before it kept it for ``training_epoch_end``. A loss appended as
    it is holds on to the graph that made it, so memory grows with every batch of the epoch.
    """

    code = "LM205"
    consequence = Consequence.SLOW
    source = "executed on lightning 2.6.6: requires_grad of the stored loss is True"
    bad = """
import torch
from lightning.pytorch import LightningModule


class Model(LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 1)
        self.training_step_outputs = []

    def training_step(self, batch, batch_idx):
        loss = self.layer(batch).abs().max()
        self.training_step_outputs.append(loss)
        return loss

    def on_train_epoch_end(self):
        self.log("worst", torch.stack(self.training_step_outputs).max())
        self.training_step_outputs.clear()
"""
    good = """
import torch
from lightning.pytorch import LightningModule


class Model(LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 1)
        self.training_step_outputs = []

    def training_step(self, batch, batch_idx):
        loss = self.layer(batch).abs().max()
        self.training_step_outputs.append(loss.detach())
        return loss

    def on_train_epoch_end(self):
        self.log("worst", torch.stack(self.training_step_outputs).max())
        self.training_step_outputs.clear()
"""

    def check(self, cls: ClassInfo) -> Iterator[Finding]:
        """Find the returned loss in what a training step appends."""
        for append in appends(cls):
            loss = graph_of(append)
            if loss is not None and cls.is_lightning and append.kept.is_list:
                yield Finding(
                    append,
                    f"self.{append.attribute} keeps `{loss.id}` with the graph that made it, for "
                    "every batch of the epoch",
                    help=f"append {loss.id}.detach()",
                    node=loss,
                )
