"""Leaves out the arguments that a method of Lightning takes no longer."""

from __future__ import annotations

import ast

from lintmetrics.codemod import Blocked, Codemod, Fix, Relation
from lintmetrics.config import Settings
from lintmetrics.edits import Editor
from lintmetrics.model.hook_calls import SurplusCall
from lintmetrics.model.hook_families import drop_arguments
from lintmetrics.rule import Finding


class FewerCallArguments(Codemod):
    """The call with what is left of its arguments."""

    codes = ("LM214",)

    def plan(self, finding: Finding, settings: Settings) -> Fix | Blocked:
        """Plan one call, where leaving out an argument leaves out nothing else."""
        call = finding.subject
        assert isinstance(call, SurplusCall)
        if call.row.codemod == "manual":
            return Blocked(call.row.note)
        for given in call.surplus:
            if any(isinstance(n, (ast.Call, ast.NamedExpr, ast.Await)) for n in ast.walk(given)):
                return Blocked(f"what is called in the arguments of {call.spelled} would not run")
        editor = Editor()
        drop_arguments(editor, call.module, call.call, call.surplus)
        return Fix(Relation.PRESERVES, f"{call.spelled} is given what it takes", editor.edits)
