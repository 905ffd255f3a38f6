"""LM208: numbers in a returned dict that Lightning no longer logs."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model.returned_logs import returned_logs
from lintmetrics.project import ClassInfo
from lintmetrics.rule import Consequence, Finding, Rule


class ReturnedLogDict(Rule):
    """Numbers under ``log`` or ``progress_bar`` in what a hook returns.

    Until 1.2 Lightning logged the dicts that a hook returned under these keys. Since 1.3 it does
    not look at them: the run goes on, and the numbers are gone without a word.
    """

    code = "LM208"
    consequence = Consequence.IGNORED
    since = "lightning 1.3"
    source = "executed on 1.2.10 (logged), 1.3.8 and 2.6.6 (not logged)"
    bad = """
import torch
from lightning.pytorch import LightningModule


class Model(LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 1)

    def training_step(self, batch, batch_idx):
        loss = self.layer(batch).abs().max()
        logs = {"train_loss": loss}
        return {"loss": loss, "log": logs}
"""
    good = """
import torch
from lightning.pytorch import LightningModule


class Model(LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 1)

    def training_step(self, batch, batch_idx):
        loss = self.layer(batch).abs().max()
        logs = {"train_loss": loss}
        self.log_dict(logs)
        return {"loss": loss}
"""

    def check(self, cls: ClassInfo) -> Iterator[Finding]:
        """Find returns of ``training_step`` and of epoch-end hooks with such a key."""
        for returned in returned_logs(cls):
            names = " and ".join(f'"{key}"' for key, _ in returned.values)
            yield Finding(
                returned,
                f"what {cls.node.name}.{returned.function.name} returns under {names} is not "
                "logged since Lightning 1.3",
                help="call self.log_dict with it before the return",
            )
