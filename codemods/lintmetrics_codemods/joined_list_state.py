"""Joins a list state with what takes a list and a tensor."""

from __future__ import annotations

import ast

from lintmetrics.codemod import Blocked, Codemod, Fix, Relation
from lintmetrics.config import Settings
from lintmetrics.edits import Editor
from lintmetrics.model import list_rewrites
from lintmetrics.model.metric_classes import State
from lintmetrics.project import FunctionInfo
from lintmetrics.rule import Finding


class JoinedListState(Codemod):
    """``dim_zero_cat`` in place of ``torch.cat``."""

    codes = ("LM313",)

    def plan(self, finding: Finding, settings: Settings) -> Fix | Blocked:
        """Plan the call; one process joins what it joined before."""
        method, call, state = finding.detail
        assert isinstance(method, FunctionInfo)
        assert isinstance(call, ast.Call)
        assert isinstance(state, State)
        if not list_rewrites.joins_rows(method.module, call):
            return Blocked(
                f"what several processes hold joined along the first dimension is put together in "
                f"another way at line {call.lineno}"
            )
        editor = Editor()
        text = method.module.source.segment(call.args[0])
        editor.replace(method.module, call, list_rewrites.joined(editor, method.module, text))
        return Fix(
            Relation.PRESERVES,
            f"dim_zero_cat joins self.{state.name} in one process and leaves it in several",
            editor.edits,
        )
