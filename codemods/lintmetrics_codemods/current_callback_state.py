"""Keeps the state of a callback where Lightning asks for it today."""

from __future__ import annotations

from lintmetrics.codemod import Blocked, Codemod, Fix, Relation
from lintmetrics.config import Settings
from lintmetrics.edits import Editor
from lintmetrics.model.callback_state import OldState, write_state
from lintmetrics.rule import Finding


class CurrentCallbackState(Codemod):
    """``state_dict`` and ``load_state_dict``, with the bodies that were there."""

    codes = ("LM213",)
    since = "lightning 1.6"

    def plan(self, finding: Finding, settings: Settings) -> Fix | Blocked:
        """Plan both hooks of a callback at once, so that one takes what the other keeps."""
        state = finding.subject
        assert isinstance(state, OldState)
        editor = Editor()
        write_state(editor, state)
        return Fix(
            Relation.PRESERVES,
            "state_dict and load_state_dict keep what the hooks of old kept",
            editor.edits,
        )
