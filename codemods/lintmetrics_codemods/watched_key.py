"""Watches the key that is logged, where the ending of the watched one does not exist."""

from __future__ import annotations

import ast

from lintmetrics.codemod import Blocked, Codemod, Fix, Relation
from lintmetrics.config import Settings
from lintmetrics.edits import Editor
from lintmetrics.model.monitors import Monitor
from lintmetrics.rule import Finding


class WatchedKey(Codemod):
    """The logged key in place of one that nothing logs."""

    codes = ("LM401",)

    def plan(self, finding: Finding, settings: Settings) -> Fix | Blocked:
        """Plan the key, where there is one that differs by its ending alone."""
        monitor, key = finding.subject, finding.detail
        assert isinstance(monitor, Monitor)
        if not isinstance(key, str):
            return Blocked(finding.help)
        node = monitor.key_node
        text = monitor.module.source.segment(node)
        if not isinstance(node, ast.Constant) or text[1:-1] != monitor.key:
            return Blocked(f'the key is written elsewhere; write "{key}" there')
        editor = Editor()
        editor.replace(monitor.module, node, f"{text[0]}{key}{text[-1]}")
        return Fix(
            Relation.ASSUMES,
            f'watch "{key}"; assumes that it is the number "{monitor.key}" was meant to be',
            editor.edits,
        )
