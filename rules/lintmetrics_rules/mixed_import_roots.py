"""LM506: Lightning is imported from two distributions in one package."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model.lightning_roots import mixed_imports
from lintmetrics.project import Module
from lintmetrics.rule import Consequence, Finding, Rule


class MixedImportRoots(Rule):
    """Lightning imported as ``pytorch_lightning`` here and as ``lightning`` there.

    The two distributions hold separate copies of every class. A Trainer of one takes a callback of
    the other without a word, but does not know its ModelCheckpoint for one: a second one saves
    beside it, and ``ckpt_path="best"`` is the wrong file. Modules and strategies do raise.
    """

    code = "LM506"
    consequence = Consequence.IGNORED
    source = "a callback and a Trainer of different roots, run on lightning 2.6.6"
    bad = """
    import lightning.pytorch as pl
    from lightning.pytorch import Trainer
    from pytorch_lightning.callbacks import ModelCheckpoint

    trainer = Trainer(callbacks=[ModelCheckpoint(monitor="val_loss")])
    """
    good = """
    import lightning.pytorch as pl
    from lightning.pytorch import Trainer
    from lightning.pytorch.callbacks import ModelCheckpoint

    trainer = Trainer(callbacks=[ModelCheckpoint(monitor="val_loss")])
    """

    def check(self, module: Module) -> Iterator[Finding]:
        """Find imports of the root that the project uses less."""
        for mixed in mixed_imports(module):
            yield Finding(
                mixed,
                f"{mixed.spelled} is another copy of what the package imports from {mixed.other}, "
                f"as in {mixed.elsewhere}",
                help=f"import it from {mixed.other} in the whole project",
            )
