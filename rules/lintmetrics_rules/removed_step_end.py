"""LM202: the step-end hooks that Lightning 2 never calls."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model.step_ends import own_step_ends
from lintmetrics.project import ClassInfo
from lintmetrics.rule import Consequence, Finding, Rule


class RemovedStepEnd(Rule):
    """A hook behind the step that Lightning 2 never calls.

    ``training_step_end``, ``validation_step_end`` and ``test_step_end`` were handed what the step
    returned. Lightning 2 lets them stand and never calls them: metrics that are updated or logged
    there vanish without a word.
    """

    code = "LM202"
    consequence = Consequence.IGNORED
    since = "lightning 2.0"
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

    def validation_step_end(self, scores):
        self.log("highest", scores.max(), batch_size=len(scores), reduce_fx="max")
        return scores
"""
    good = """
import torch
from lightning.pytorch import LightningModule


class Model(LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 1)

    def validation_step(self, batch, batch_idx):
        return self._validation_step_end(self.layer(batch))

    def _validation_step_end(self, scores):
        self.log("highest", scores.max(), batch_size=len(scores), reduce_fx="max")
        return scores
"""

    def check(self, cls: ClassInfo) -> Iterator[Finding]:
        """Find the hooks that a module or a mixin of modules defines."""
        for end in own_step_ends(cls):
            if cls.is_lightning:
                yield Finding(
                    end,
                    f"{end.spelled} is never called by Lightning 2; what it does is lost",
                    help=f"call it at the end of {end.stage.step}, under a name of its own",
                )
