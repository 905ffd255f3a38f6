"""Begins the ``__init__`` of a custom metric with that of its base."""

from __future__ import annotations

import ast

from lintmetrics.codemod import Blocked, Codemod, Fix, Relation
from lintmetrics.config import Settings
from lintmetrics.edits import Editor
from lintmetrics.model.metric_classes import MetricClass
from lintmetrics.rule import Finding
from lintmetrics.tree import subtree


class InitialisedMetric(Codemod):
    """``super().__init__()`` as the first statement."""

    codes = ("LM316",)

    def plan(self, finding: Finding, settings: Settings) -> Fix | Blocked:
        """Plan the call; keyword arguments that nothing reads are handed on."""
        metric = finding.detail
        assert isinstance(metric, MetricClass)
        init = metric.cls.methods["__init__"]
        rest = init.args.kwarg
        read = {n.id for n in subtree(init) if isinstance(n, ast.Name)}
        given = f"**{rest.arg}" if rest is not None and rest.arg not in read else ""
        editor = Editor()
        editor.insert_at_body_start(metric.module, init, [f"super().__init__({given})"])
        return Fix(Relation.PRESERVES, f"{metric.node.name} begins as a Metric", editor.edits)
