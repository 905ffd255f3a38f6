"""Writes a logged tensor without what fetches it from the device."""

from __future__ import annotations

import ast

from lintmetrics.codemod import Blocked, Codemod, Fix, Relation
from lintmetrics.config import Settings
from lintmetrics.edits import Editor
from lintmetrics.model.fetched_values import FetchedValue
from lintmetrics.model.log_calls import LogCall
from lintmetrics.rule import Finding


class UnfetchedLogValue(Codemod):
    """The tensor itself, which Lightning detaches and reads when a logger writes it."""

    codes = ("LM608",)

    def plan(self, finding: Finding, settings: Settings) -> Fix | Blocked:
        """Plan one value."""
        call, value = finding.subject, finding.detail
        assert isinstance(call, LogCall)
        assert isinstance(value, FetchedValue)
        source = call.module.source
        if isinstance(value.tensor, ast.NamedExpr):
            return Blocked("the value is given a name in the log call")
        if not value.is_tensor:
            return Blocked(
                f"it cannot be told that `{source.segment(value.tensor)}` is a tensor; if it is, "
                "log it as it is"
            )
        editor = Editor()
        for made in value.calls:
            inner = made.func.value if isinstance(made.func, ast.Attribute) else made.args[0]
            for start, end in (
                (source.start(made), source.start(inner)),
                (source.end(inner), source.end(made)),
            ):
                if "#" in source.text[start:end]:
                    return Blocked(f"a comment stands in the value at line {made.lineno}")
                editor.replace_range(call.module, start, end, "")
        return Fix(Relation.PRESERVES, "log the tensor itself", editor.edits)
