"""Lets an own ``reset`` of a custom metric set back its states too."""

from __future__ import annotations

from lintmetrics.codemod import Blocked, Codemod, Fix, Relation
from lintmetrics.config import Settings
from lintmetrics.edits import Editor
from lintmetrics.model.metric_classes import MetricClass
from lintmetrics.rule import Finding


class WholeMetricReset(Codemod):
    """``super().reset()`` as the first statement."""

    codes = ("LM318",)

    def plan(self, finding: Finding, settings: Settings) -> Fix | Blocked:
        """Plan the call."""
        metric = finding.detail
        assert isinstance(metric, MetricClass)
        editor = Editor()
        editor.insert_at_body_start(metric.module, metric.cls.methods["reset"], ["super().reset()"])
        return Fix(
            Relation.CORRECTS,
            f"reset sets back the states of {metric.node.name}: each epoch counts its own batches",
            editor.edits,
        )
