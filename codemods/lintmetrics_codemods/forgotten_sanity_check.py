"""Forgets what the sanity check left in the best value of a run."""

from __future__ import annotations

from lintmetrics.codemod import Blocked, Codemod, Fix, Relation
from lintmetrics.config import Settings
from lintmetrics.edits import CannotEdit, Editor
from lintmetrics.model.before_training import write_on_train_start
from lintmetrics.model.held_metrics import HeldMetric
from lintmetrics.rule import Finding


class ForgottenSanityCheck(Codemod):
    """A reset in ``on_train_start``, which runs behind the sanity check."""

    codes = ("LM127",)

    def plan(self, finding: Finding, settings: Settings) -> Fix | Blocked:
        """Plan the reset."""
        held = finding.detail
        assert isinstance(held, HeldMetric)
        editor = Editor()
        try:
            write_on_train_start(editor, held.cls, [f"self.{held.path}.reset()"])
        except CannotEdit as error:
            return Blocked(f"{error}; reset self.{held.path} there")
        return Fix(
            Relation.CORRECTS,
            f"self.{held.path} becomes the best of the epochs, without the sanity check",
            editor.edits,
        )
