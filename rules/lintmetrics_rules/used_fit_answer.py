"""LM218: code that goes on with what ``trainer.fit()`` answers."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from lintmetrics.model.fit_answers import used_answers
from lintmetrics.project import Module
from lintmetrics.rule import Consequence, Finding, Rule


class UsedFitAnswer(Rule):
    """Code that goes on with what ``trainer.fit()`` answers.

    Up to 1.2 ``fit`` answered 1 when it was through, and scripts and tests compared with it. Today
    it answers ``None``: the comparison never holds, and an attribute of it, such as the
    ``history`` of other libraries, is not there. A run that fails raises; how far one came is in
    ``trainer.state`` and its numbers are in ``trainer.callback_metrics``.
    """

    code = "LM218"
    consequence = Consequence.CRASH
    since = "lightning 1.3"
    source = "run: pytorch-lightning 1.2.10 answers 1; 1.4.9 to 1.9.5 and lightning 2.6.6 None"
    bad = """
    import lightning.pytorch as pl


    def train(model, trainer: pl.Trainer):
        result = trainer.fit(model)
        assert result == 1
    """
    good = """
    import lightning.pytorch as pl


    def train(model, trainer: pl.Trainer):
        trainer.fit(model)
        assert trainer.state.finished
    """

    def check(self, module: Module) -> Iterator[Finding]:
        """Find uses of an answer that is nothing."""
        for found in used_answers(module):
            assert isinstance(found.call.func, ast.Attribute)
            trainer = ast.unparse(found.call.func.value)
            name = trainer if trainer.isidentifier() else "trainer"
            yield Finding(
                found,
                f"{trainer}.fit() answers None, and {found.use}",
                help=f"ask {name}.state.finished, or {name}.callback_metrics for numbers",
                consequence=found.consequence,
            )
