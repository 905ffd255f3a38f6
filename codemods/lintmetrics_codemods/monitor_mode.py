"""Says where the best value of a watched number lies."""

from __future__ import annotations

from lintmetrics.codemod import Blocked, Codemod, Fix, Relation
from lintmetrics.config import Settings
from lintmetrics.edits import Editor
from lintmetrics.model.monitors import Monitor
from lintmetrics.rule import Finding


class MonitorMode(Codemod):
    """``mode=`` as the name of the number wants it."""

    codes = ("LM402",)

    def plan(self, finding: Finding, settings: Settings) -> Fix | Blocked:
        """Plan the argument."""
        monitor, wanted = finding.subject, finding.detail
        assert isinstance(monitor, Monitor)
        call = monitor.call
        if call is None:
            return Blocked("the call that takes the mode is not known")
        editor = Editor()
        module = monitor.module
        given = monitor.argument("mode")
        if given is not None:
            editor.replace(module, given, f'"{wanted}"')
        else:
            last = max(module.source.end(node) for node in (*call.args, *call.keywords))
            editor.replace_range(module, last, last, f', mode="{wanted}"')
        side = "higher" if wanted == "max" else "lower"
        return Fix(
            Relation.ASSUMES,
            f'say mode="{wanted}"; assumes that a {side} "{monitor.key}" is better',
            editor.edits,
        )
