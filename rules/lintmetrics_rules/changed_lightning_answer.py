"""LM511: a Trainer or module of Lightning 2 answers otherwise, under the old name."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from lintmetrics.model.changed_answers import changed_answers
from lintmetrics.project import Module
from lintmetrics.rule import Consequence, Finding, Rule


class ChangedLightningAnswer(Rule):
    """What a Trainer or a module answers otherwise than Lightning 1 did, under the same name.

    ``trainer.max_steps`` is -1 without a limit, and was ``None``: ``if trainer.max_steps:`` is
    always true, and the -1 goes on into schedules. ``trainer.val_dataloaders`` is the loader that
    was given, and was a list: ``[0]`` raises, and a loop goes through batches.
    ``self.train_dataloader()`` raises where the loaders are those of a data module; Lightning 1
    lent them to the module.
    """

    code = "LM511"
    consequence = Consequence.CRASH
    since = "lightning 2.0"
    source = "each read on lightning 2.6.6: -1, the DataLoader itself, MisconfigurationException"
    bad = """
    import lightning.pytorch as pl
    import torch


    class Model(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def steps(self):
            if self.trainer.max_steps:
                return self.trainer.max_steps
            return self.trainer.estimated_stepping_batches
    """
    good = """
    import lightning.pytorch as pl
    import torch


    class Model(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def steps(self):
            if self.trainer.max_steps > 0:
                return self.trainer.max_steps
            return self.trainer.estimated_stepping_batches
    """

    def check(self, module: Module) -> Iterator[Finding]:
        """Find places that go by what Lightning 1 answered."""
        for answer in changed_answers(module):
            text = ast.unparse(answer.node)
            if answer.kind == "none":
                yield Finding(
                    answer,
                    f"{text} is -1 without a limit, which is true and not None: {answer.asked} "
                    "tells nothing",
                    help=f"ask {text} > 0",
                    consequence=Consequence.WRONG_NUMBER,
                )
            elif answer.kind == "own":
                yield Finding(
                    answer,
                    f"{text}() raises: the module has none of its own, and is given none",
                    help="self.trainer.estimated_stepping_batches counts the steps of a run; the "
                    "loader of a data module is self.trainer.datamodule's",
                )
            elif answer.kind == "index":
                yield Finding(
                    answer,
                    f"{text} is the one loader that was given, and no list of loaders: TypeError",
                    help=f"read {text}, or give a list of loaders",
                )
            else:
                yield Finding(
                    answer,
                    f"{text} is the one loader that was given, and no list: these are its batches",
                    help=f"read {text} as the loader, or give a list of loaders",
                    consequence=Consequence.WRONG_NUMBER,
                )
