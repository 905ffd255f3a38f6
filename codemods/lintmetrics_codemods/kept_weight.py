"""Lets a MeanMetric keep a NaN without losing the weights."""

from __future__ import annotations

import ast

from lintmetrics.codemod import Blocked, Codemod, Fix, Relation
from lintmetrics.config import Settings
from lintmetrics.edits import Editor
from lintmetrics.model.flow import LightningClass
from lintmetrics.model.held_metrics import held_metrics
from lintmetrics.rule import Finding


class KeptWeight(Codemod):
    """``nan_strategy=float("nan")``, which keeps a NaN and leaves the weights alone."""

    codes = ("LM114",)
    priority = 5

    def plan(self, finding: Finding, settings: Settings) -> Fix | Blocked:
        """Plan the other value."""
        given, model = finding.detail, finding.subject
        if not isinstance(given, ast.Constant) or not isinstance(model, LightningClass):
            return Blocked("")
        editor = Editor()
        for held in held_metrics(model):
            made = held.metric.constructor
            if made is not None and any(node is given for node in ast.walk(made)):
                editor.replace(held.metric.module, given, 'float("nan")')
                return Fix(
                    Relation.CORRECTS,
                    'nan_strategy=float("nan") keeps a NaN, and counts each value as often as its '
                    "weight says",
                    editor.edits,
                )
        return Blocked("the object is not made where it is held")
