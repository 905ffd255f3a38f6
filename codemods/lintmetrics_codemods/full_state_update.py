"""Lets a call of a custom metric update what the object has."""

from __future__ import annotations

from lintmetrics.codemod import Blocked, Codemod, Fix, Relation
from lintmetrics.config import Settings
from lintmetrics.edits import Editor
from lintmetrics.model.forward_states import Misjoined
from lintmetrics.rule import Finding


class FullStateUpdate(Codemod):
    """``full_state_update = True``, where ``update`` looks at what it has."""

    codes = ("LM329",)

    def plan(self, finding: Finding, settings: Settings) -> Fix | Blocked:
        """Plan the flag."""
        found = finding.detail
        assert isinstance(found, Misjoined)
        if found.doubt:
            return Blocked(found.doubt)
        value = found.state.cls.assigned.get("full_state_update")
        if value is None:
            return Blocked("a base says full_state_update; say it for this class, where it is True")
        editor = Editor()
        editor.replace(found.state.cls.module, value, "True")
        return Fix(
            Relation.CORRECTS,
            f"a call makes the self.{found.state.name} that update() makes",
            editor.edits,
        )
