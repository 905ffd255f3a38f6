"""LM509: a callback that does not go with the Trainer it is given to."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model.trainer_callbacks import refused_callbacks
from lintmetrics.project import Module
from lintmetrics.rule import Consequence, Finding, Rule


class RefusedCallback(Rule):
    """Callbacks that a Trainer refuses, for its other arguments or for one another.

    A ``ModelCheckpoint`` beside ``enable_checkpointing=False``, a progress bar beside
    ``enable_progress_bar=False``, a ``LearningRateMonitor`` without a logger, a second progress
    bar, two callbacks whose states a checkpoint would keep under one key, a tuple of callbacks, or
    a class of which no object was made: each raises when the Trainer is made, or when the training
    begins. ``enable_model_summary=False`` and ``max_time`` do nothing beside a callback for it.
    """

    code = "LM509"
    consequence = Consequence.CRASH
    source = (
        "facts/callback_switches.csv and callback_states.csv, each row run on lightning 2.6.6; "
        "trainer/connectors/callback_connector.py"
    )
    bad = """
    import lightning.pytorch as pl
    from lightning.pytorch.callbacks import ModelCheckpoint

    best = ModelCheckpoint(monitor="val_loss")
    trainer = pl.Trainer(callbacks=[best], enable_checkpointing=False)
    """
    good = """
    import lightning.pytorch as pl
    from lightning.pytorch.callbacks import ModelCheckpoint

    best = ModelCheckpoint(monitor="val_loss")
    trainer = pl.Trainer(callbacks=[best])
    """

    def check(self, module: Module) -> Iterator[Finding]:
        """Find callbacks that a Trainer cannot have, or has in vain."""
        for one in refused_callbacks(module):
            yield Finding(one, one.message, help=one.help, consequence=one.consequence)
