"""LM203: an epoch-end hook of Lightning 2 that still takes outputs."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model.epoch_hooks import (
    STAGES,
    outputs_parameter,
    own_epoch_end,
    required_parameters,
    surplus_parameters,
)
from lintmetrics.project import ClassInfo
from lintmetrics.rule import Consequence, Finding, Rule


class EpochEndParameter(Rule):
    """An epoch-end hook with a parameter that Lightning never fills.

    ``on_train_epoch_end``, ``on_validation_epoch_end`` and ``on_test_epoch_end`` are called without
    arguments. A parameter without a default raises ``TypeError`` at the end of the epoch; one with
    a default keeps it for ever, so the code that reads it works on nothing. Those of a callback are
    given the trainer and the module, and no longer the outputs.
    """

    code = "LM203"
    consequence = Consequence.CRASH
    since = "lightning 1.5"
    source = "executed on lightning 2.6.6"
    bad = """
import torch
from lightning.pytorch import LightningModule


class Model(LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 1)

    def validation_step(self, batch, batch_idx):
        return self.layer(batch)

    def on_validation_epoch_end(self, outputs):
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
        """Find hooks of modules that want, or read, what nobody gives them."""
        for stage in STAGES:
            if stage.hook not in cls.methods:
                continue
            end = own_epoch_end(cls, stage.hook)
            if end is None or end.alias is not None:
                continue
            if cls.is_kind("Callback"):
                for argument in surplus_parameters(end):
                    yield Finding(
                        end,
                        f"{end.spelled} requires `{argument.arg}`, which Lightning 2 does not pass "
                        "to callbacks: TypeError at the end of the epoch",
                        help=f"write {stage.hook}(self, trainer, pl_module)",
                    )
                    break
                continue
            if not cls.is_lightning:
                continue
            parameter = outputs_parameter(end.function)
            if parameter is None:
                continue
            if parameter in required_parameters(end.function):
                yield Finding(
                    end,
                    f"{end.spelled} requires `{parameter.arg}`, which Lightning 2 does not pass: "
                    "TypeError at the end of the epoch",
                    help=f"collect in {stage.step}, read and clear in {stage.hook}(self)",
                )
            else:
                yield Finding(
                    end,
                    f"{end.spelled} reads `{parameter.arg}`, which Lightning 2 never passes",
                    help=f"collect in {stage.step}, read and clear in {stage.hook}(self)",
                    consequence=Consequence.IGNORED,
                )
