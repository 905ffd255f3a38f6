"""``*_step_end`` becomes a method that the step, or the end of the batch, calls itself."""

from __future__ import annotations

from lintmetrics.codemod import Blocked, Codemod, Fix, Relation
from lintmetrics.config import Settings
from lintmetrics.edits import Editor
from lintmetrics.model.step_ends import StepEnd, write_step_end
from lintmetrics.rule import Finding


class InlinedStepEnd(Codemod):
    """The body behind a step, called where Lightning 2 still comes by."""

    codes = ("LM202",)

    def plan(self, finding: Finding, settings: Settings) -> Fix | Blocked:
        """Plan the call, or the removal of a hook that only hands its argument on."""
        assert isinstance(finding.subject, StepEnd)
        editor = Editor()
        message, assumption = write_step_end(editor, finding.subject)
        if assumption:
            return Fix(Relation.ASSUMES, f"{message}; {assumption}", editor.edits)
        return Fix(Relation.PRESERVES, message, editor.edits)
