"""LM209: a removed epoch-end hook that is set from outside the class."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model.patched_hooks import patches
from lintmetrics.project import Module
from lintmetrics.rule import Consequence, Finding, Rule


class PatchedEpochEnd(Rule):
    """A removed epoch-end hook that is set on a class or an instance from outside.

    Lightning 2 asks the module whether it has something to call by the name of a removed hook, and
    raises if it has, wherever that came from: a function assigned to the class in a notebook, a
    ``types.MethodType`` on the instance, ``setattr``, a class decorator.
    """

    code = "LM209"
    consequence = Consequence.CRASH
    since = "lightning 2.0"
    source = "lightning 2.6.6, trainer/configuration_validator.py, executed"
    bad = """
from lightning.pytorch import LightningModule


class Model(LightningModule):
    pass


def rest(self, outputs):
    self.epochs_seen += 1


Model.validation_epoch_end = rest
"""
    good = """
from lightning.pytorch import LightningModule


class Model(LightningModule):
    pass


def rest(self):
    self.epochs_seen += 1


Model.on_validation_epoch_end = rest
"""

    def check(self, module: Module) -> Iterator[Finding]:
        """Find what becomes a hook of Lightning 1 at run time."""
        for patch in patches(module):
            verb = "test" if patch.stage.name == "test" else "fit"
            yield Finding(
                patch,
                f"{patch.spelled} is set to a hook of Lightning 1; trainer.{verb} raises "
                "NotImplementedError",
                help=f"make it a method {patch.stage.hook}(self) that reads a list which "
                f"{patch.stage.step} fills",
            )
