"""LM215: several optimizers, and Lightning is left to run them."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from lintmetrics.model import optimizers
from lintmetrics.project import ClassInfo
from lintmetrics.rule import Consequence, Finding, Rule


class SeveralOptimizers(Rule):
    """Several optimizers in a module that leaves the optimization to Lightning.

    Lightning 1 ran the training step once for each optimizer. Lightning 2 runs it once, and refuses
    several optimizers when the training begins, unless the module steps them itself.
    """

    code = "LM215"
    consequence = Consequence.CRASH
    since = "lightning 2.0"
    source = "executed on lightning 2.6.6: RuntimeError for a list, a tuple, and dicts of them"
    bad = """
    import lightning.pytorch as pl
    import torch


    class Gan(pl.LightningModule):
        def __init__(self, generator, critic):
            super().__init__()
            self.generator = generator
            self.critic = critic

        def training_step(self, batch, batch_idx):
            return self.critic(self.generator(batch)).mean()

        def configure_optimizers(self):
            opt_g = torch.optim.Adam(self.generator.parameters())
            opt_c = torch.optim.Adam(self.critic.parameters())
            return [opt_g, opt_c], []
    """
    good = """
    import lightning.pytorch as pl
    import torch


    class Gan(pl.LightningModule):
        def __init__(self, generator, critic):
            super().__init__()
            self.generator = generator
            self.critic = critic
            self.automatic_optimization = False

        def training_step(self, batch, batch_idx):
            opt_g, opt_c = self.optimizers()
            for optimizer in (opt_g, opt_c):
                loss = self.critic(self.generator(batch)).mean()
                optimizer.zero_grad()
                self.manual_backward(loss)
                optimizer.step()

        def configure_optimizers(self):
            opt_g = torch.optim.Adam(self.generator.parameters())
            opt_c = torch.optim.Adam(self.critic.parameters())
            return [opt_g, opt_c], []
    """

    def check(self, cls: ClassInfo) -> Iterator[Finding]:
        """Find modules that are trained with several optimizers, and by Lightning."""
        if "configure_optimizers" not in cls.methods or not cls.is_kind("LightningModule"):
            return
        step = cls.lookup("training_step")
        returned = optimizers.several(cls)
        if step is None or returned is None or not optimizers.is_automatic(cls):
            return
        if any(
            arg.arg == "optimizer_idx" for arg in ast.walk(step.node) if isinstance(arg, ast.arg)
        ):
            return  # The parameter says so already.
        yield Finding(
            cls,
            f"{cls.node.name} gives Lightning several optimizers to run: RuntimeError",
            help="set self.automatic_optimization = False, and step each of self.optimizers() in "
            "training_step",
            node=returned,
        )
