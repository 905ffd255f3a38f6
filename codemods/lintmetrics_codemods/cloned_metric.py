"""A copy for the second name of a Metric object."""

from __future__ import annotations

from lintmetrics.codemod import Blocked, Codemod, Fix, Relation
from lintmetrics.config import Settings
from lintmetrics.edits import Editor
from lintmetrics.model.shared_objects import SharedObject
from lintmetrics.rule import Finding


class ClonedMetric(Codemod):
    """``.clone()`` where the second name is set."""

    codes = ("LM125",)

    def plan(self, finding: Finding, settings: Settings) -> Fix | Blocked:
        """Plan the copy."""
        shared = finding.detail
        assert isinstance(shared, SharedObject)
        if not shared.can_copy:
            return Blocked(
                f"self.{shared.later} is set together with another name, or in a container without "
                "clone(): make its objects anew"
            )
        editor = Editor()
        text = shared.module.source.segment(shared.node)
        editor.replace(shared.module, shared.node, f"{text}.clone()")
        return Fix(
            Relation.CORRECTS,
            f"self.{shared.later} gets objects of its own, and each loop's number is of its own "
            "batches",
            editor.edits,
        )
