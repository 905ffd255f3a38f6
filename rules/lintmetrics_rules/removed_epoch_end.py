"""LM201: the epoch-end hooks that Lightning 2 rejects."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from lintmetrics.model.epoch_hooks import STAGES, own_epoch_end
from lintmetrics.project import ClassInfo
from lintmetrics.rule import Consequence, Finding, Rule


class RemovedEpochEnd(Rule):
    """An epoch-end hook that Lightning 2 rejects.

    Lightning 1 kept what every step returned and handed it to ``training_epoch_end``,
    ``validation_epoch_end`` or ``test_epoch_end``. Lightning 2 keeps nothing: a module that still
    has one of the first two cannot be fitted, one with the last cannot be tested. Testing is the
    trap, because fitting such a module works.
    """

    code = "LM201"
    consequence = Consequence.CRASH
    since = "lightning 2.0"
    source = "lightning 2.6.6, trainer/configuration_validator.py"
    bad = """
import torch
from lightning.pytorch import LightningModule


class Model(LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 1)

    def validation_step(self, batch, batch_idx):
        return self.layer(batch)

    def validation_epoch_end(self, outputs):
        self.log("spread", torch.cat(outputs).std())
"""
    good = """
import torch
from lightning.pytorch import LightningModule


class Model(LightningModule):
    def __init__(self):
        super().__init__()
        self.validation_step_outputs = []
        self.layer = torch.nn.Linear(4, 1)

    def validation_step(self, batch, batch_idx):
        output = self.layer(batch)
        self.validation_step_outputs.append(output)
        return output

    def on_validation_epoch_end(self):
        self.log("spread", torch.cat(self.validation_step_outputs).std())
        self.validation_step_outputs.clear()
"""

    def check(self, cls: ClassInfo) -> Iterator[Finding]:
        """Find the hooks that a module or a mixin of modules gives."""
        for stage in STAGES:
            if stage.removed not in cls.namespace or not cls.is_lightning:
                continue
            end = own_epoch_end(cls, stage.removed)
            verb = "test" if stage.name == "test" else "fit"
            if end is None:
                value = cls.assigned.get(stage.removed)
                if isinstance(value, (ast.Lambda, ast.Name, ast.Attribute)):
                    yield Finding(
                        cls,
                        f"{cls.node.name}.{stage.removed} is a hook of Lightning 1; trainer.{verb} "
                        "raises NotImplementedError",
                        help=f"collect in {stage.step}, read and clear in {stage.hook}(self)",
                        node=value,
                        blocked=f"{stage.removed} is no method; give it a def",
                    )
                continue
            yield Finding(
                end,
                f"{end.spelled} is a hook of Lightning 1; trainer.{verb} raises "
                "NotImplementedError",
                help=f"collect in {stage.step}, read and clear in {stage.hook}(self)",
            )
