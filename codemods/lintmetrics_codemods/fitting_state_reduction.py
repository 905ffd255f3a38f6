"""Gives a state the reduction that fits how ``update`` fills it."""

from __future__ import annotations

from lintmetrics.codemod import Blocked, Codemod, Fix, Relation
from lintmetrics.config import Settings
from lintmetrics.edits import Editor
from lintmetrics.model.list_rewrites import write_reduction
from lintmetrics.model.metric_classes import State
from lintmetrics.rule import Finding


class FittingStateReduction(Codemod):
    """``dist_reduce_fx="sum"``, ``"max"`` or ``"min"``."""

    codes = ("LM314",)

    def plan(self, finding: Finding, settings: Settings) -> Fix | Blocked:
        """Plan the argument."""
        state, wanted = finding.detail
        assert isinstance(state, State)
        if any(keyword.arg is None for keyword in state.call.keywords):
            return Blocked(f"the arguments at line {state.call.lineno} are unpacked from a name")
        editor = Editor()
        write_reduction(editor, state, wanted)
        return Fix(
            Relation.CORRECTS,
            f'reduce self.{state.name} with "{wanted}": several processes answer for all data',
            editor.edits,
        )
