"""Calls a Metric object in place of its ``update()``, so that each step has a value."""

from __future__ import annotations

import ast

from lintmetrics.codemod import Blocked, Codemod, Fix, Relation
from lintmetrics.config import Settings
from lintmetrics.edits import Editor
from lintmetrics.rule import Finding


class CalledMetric(Codemod):
    """The object called where it was updated."""

    codes = ("LM109",)

    def plan(self, finding: Finding, settings: Settings) -> Fix | Blocked:
        """Plan the call at each update of the hook."""
        held, updates = finding.detail
        editor = Editor()
        for use in updates:
            func = use.node.func
            if not (isinstance(func, ast.Attribute) and func.attr == "update"):
                return Blocked(f"self.{held.path} is updated by another name")
            editor.replace(use.module, func, use.module.source.segment(func.value))
        return Fix(
            Relation.CORRECTS,
            f"call self.{held.path}, so that the value of each step is logged",
            editor.edits,
        )
