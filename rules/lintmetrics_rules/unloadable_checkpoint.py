"""LM512: a checkpoint with an object among its hyperparameters, which is not unpickled."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model.unloadable_checkpoints import unloadable_checkpoints
from lintmetrics.project import Module
from lintmetrics.rule import Consequence, Finding, Rule


class UnloadableCheckpoint(Rule):
    """Checkpoints with a Namespace or a DictConfig, which Lightning 2.6 no longer loads.

    ``self.save_hyperparameters()`` puts what ``__init__`` is given into each checkpoint. Up to 2.5
    Lightning unpickled whatever there was; 2.6 leaves it to torch, which since its release 2.6
    takes tensors and plain values alone. ``load_from_checkpoint``, a run that is resumed, and
    ``trainer.test()`` behind a training, which takes the best checkpoint, raise UnpicklingError.

    Found where the code shows that a parameter is given such an object.
    """

    code = "LM512"
    consequence = Consequence.CRASH
    since = "lightning 2.6"
    source = "each call run on lightning 2.6.6 with torch 2.13: UnpicklingError"
    bad = """
    from argparse import Namespace

    import lightning.pytorch as pl


    class Model(pl.LightningModule):
        def __init__(self, args: Namespace):
            super().__init__()
            self.save_hyperparameters()

        def training_step(self, batch, batch_idx):
            return self.net(batch)


    def evaluate(path):
        return Model.load_from_checkpoint(path)
    """
    good = """
    from argparse import Namespace

    import lightning.pytorch as pl


    class Model(pl.LightningModule):
        def __init__(self, args: Namespace):
            super().__init__()
            self.save_hyperparameters(args)

        def training_step(self, batch, batch_idx):
            return self.net(batch)


    def evaluate(path):
        return Model.load_from_checkpoint(path)
    """

    def check(self, module: Module) -> Iterator[Finding]:
        """Find calls that read such a checkpoint."""
        for found in unloadable_checkpoints(module):
            name = getattr(found.node.func, "attr", "")
            yield Finding(
                found,
                f"{name} reads a checkpoint of {found.cls.node.name} in which `{found.parameter}` "
                f"is a {found.kind}: UnpicklingError",
                help="give weights_only=False to load a file that you trust, or save plain values",
            )
