"""Writes the arguments of log calls as Lightning takes them."""

from __future__ import annotations

from lintmetrics.codemod import Blocked, Codemod, Fix, Relation
from lintmetrics.config import Settings
from lintmetrics.edits import Editor
from lintmetrics.model.log_arguments import RefusedArgument
from lintmetrics.rule import Finding


class CurrentLogArgument(Codemod):
    """A log call without the arguments that are gone, or with those in their place."""

    codes = ("LM606",)

    def plan(self, finding: Finding, settings: Settings) -> Fix | Blocked:
        """Plan one argument."""
        argument = finding.subject
        assert isinstance(argument, RefusedArgument)
        row, module, keyword = argument.row, argument.module, argument.node
        if row is None:
            return Blocked("")
        if row.relation == "manual":
            return Blocked(row.note)
        editor = Editor()
        if row.action == "rename":
            other = argument.given(row.new)
            if other is not None:
                if not argument.says_the_same(other):
                    return Blocked(
                        f"{row.new} is given as well, and says something else; one of the two has "
                        "to do for batches and processes"
                    )
                editor.drop_argument(module, argument.call, keyword)
                return Fix(
                    Relation.PRESERVES, f"leave {row.argument} out: {row.new} says it", editor.edits
                )
            start = module.source.start(keyword)
            editor.replace_range(module, start, start + len(row.argument), row.new)
        elif row.action == "value" and row.new:
            editor.replace(module, keyword.value, row.new)
        else:
            editor.drop_argument(module, argument.call, keyword)
        return Fix(Relation(row.relation), row.note, editor.edits)
