"""A step that leaves what its metric has gathered to Lightning."""

from __future__ import annotations

import ast

from lintmetrics.codemod import Blocked, Codemod, Fix, Relation
from lintmetrics.config import Settings
from lintmetrics.edits import Editor
from lintmetrics.model.hook_effects import MetricUse
from lintmetrics.rule import Finding


class KeptMetricState(Codemod):
    """The reset goes out of the step."""

    codes = ("LM126",)

    def plan(self, finding: Finding, settings: Settings) -> Fix | Blocked:
        """Plan the removal of the statement."""
        reset = finding.detail
        assert isinstance(reset, MetricUse)
        statement = reset.module.statement(reset.node)
        if not isinstance(statement, ast.Expr) or statement.value is not reset.node:
            return Blocked(f"the answer of the reset at line {reset.node.lineno} is used")
        editor = Editor()
        editor.remove(reset.module, statement)
        return Fix(
            Relation.CORRECTS,
            "what is logged for the epoch becomes the metric of all its batches, where it was that "
            "of none",
            editor.edits,
        )
