"""LM610: one of several loggers is given a number by hand, and the others are not."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from lintmetrics.model.logger_calls import first_loggers
from lintmetrics.project import Module
from lintmetrics.rule import Consequence, Finding, Rule


class FirstLoggerAlone(Rule):
    """``self.logger.log_metrics`` in a project whose Trainers have several loggers.

    Lightning 1 wrapped several loggers in one that handed on what it was given. Today ``logger`` is
    the first of them; the others are in ``loggers``.

    Found where every Trainer of the project is given a list of several loggers.
    """

    code = "LM610"
    consequence = Consequence.IGNORED
    since = "lightning 1.8"
    source = "executed on lightning 2.6.6: the second of two loggers is given nothing"
    bad = """
    import lightning.pytorch as pl
    import torch
    from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger


    class Model(pl.LightningModule):
        def on_validation_epoch_end(self):
            self.logger.log_metrics({"spread": float(torch.ones(3).std())})


    trainer = pl.Trainer(logger=[CSVLogger("logs"), TensorBoardLogger("logs")])
    """
    good = """
    import lightning.pytorch as pl
    import torch
    from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger


    class Model(pl.LightningModule):
        def on_validation_epoch_end(self):
            for logger in self.loggers:
                logger.log_metrics({"spread": float(torch.ones(3).std())})


    trainer = pl.Trainer(logger=[CSVLogger("logs"), TensorBoardLogger("logs")])
    """

    def check(self, module: Module) -> Iterator[Finding]:
        """Find calls of the one logger."""
        for found in first_loggers(module):
            assert isinstance(found.node.func, ast.Attribute)
            name = found.node.func.attr
            yield Finding(
                found,
                f"{found.owner}.logger.{name}() reaches the first of several loggers alone",
                help=f"for logger in {found.owner}.loggers: logger.{name}(...)",
            )
