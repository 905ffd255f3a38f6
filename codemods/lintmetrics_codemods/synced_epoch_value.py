"""``sync_dist=True`` for a number that each process makes of its own samples."""

from __future__ import annotations

import ast

from lintmetrics.codemod import Blocked, Codemod, Fix, Relation
from lintmetrics.config import Settings
from lintmetrics.edits import Editor
from lintmetrics.model.log_calls import LogCall
from lintmetrics.rule import Finding


class SyncedEpochValue(Codemod):
    """The argument that makes one number of those of all processes."""

    codes = ("LM122",)

    def plan(self, finding: Finding, settings: Settings) -> Fix | Blocked:
        """Plan the argument."""
        call = finding.subject
        assert isinstance(call, LogCall)
        for way in call.contexts:
            if way.tests:
                line = way.tests[-1].node.lineno
                return Blocked(
                    f"the condition at line {line} may keep a process from the log call, and the "
                    "others would wait for it"
                )
        given = call.argument("sync_dist")
        editor = Editor()
        if isinstance(given, ast.Constant):
            editor.replace(call.module, given, "True")
        else:
            editor.append_argument(call.module, call.node, "sync_dist=True")
        return Fix(
            Relation.CORRECTS,
            f"{call.key} becomes the value of all processes, where it was that of the first",
            editor.edits,
        )
