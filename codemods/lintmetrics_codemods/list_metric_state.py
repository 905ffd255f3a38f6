"""Makes a tensor state that grows a list state, which is appended to and joined once."""

from __future__ import annotations

import ast

from lintmetrics.codemod import Blocked, Codemod, Fix, Relation
from lintmetrics.config import Settings
from lintmetrics.edits import Editor
from lintmetrics.model import list_rewrites
from lintmetrics.model.metric_classes import MetricClass, State
from lintmetrics.rule import Finding


class ListMetricState(Codemod):
    """``default=[]``, ``append`` and ``dim_zero_cat``."""

    codes = ("LM312",)

    def plan(self, finding: Finding, settings: Settings) -> Fix | Blocked:
        """Plan the declaration, every update and every place that reads the state."""
        metric, state = finding.detail
        assert isinstance(metric, MetricClass)
        assert isinstance(state, State)
        name = state.name
        changes = metric.changed(name)
        if any(change.kind != "cat" for change in changes):
            return Blocked(f"update changes self.{name} in other ways as well")
        if state.reduction == "?":
            return Blocked(f"self.{name} is put together by a function of its own")
        if not isinstance(state.default, ast.Call) or not list_rewrites.is_empty_tensor(
            state.default
        ):
            return Blocked(f"self.{name} does not begin empty")
        if list_rewrites.is_read_outside(metric, name):
            return Blocked(f"code outside {metric.node.name} reads .{name} as one tensor")
        editor = Editor()
        module = state.module
        editor.replace(module, state.default, "[]")
        list_rewrites.write_reduction(editor, state, "cat")
        for change in changes:
            list_rewrites.append_in_place_of(editor, change)
        list_rewrites.join_reads(editor, metric, name, changes)
        text = f"append to self.{name} and join it once, also between processes"
        if list_rewrites.keeps_type(module, state.default) or all(
            change.value is not None and list_rewrites.holds_floats(change.method, change.value)
            for change in changes
        ):
            return Fix(Relation.PRESERVES, text, editor.edits)
        return Fix(
            Relation.ASSUMES,
            f"{text}; assumes that what is appended holds floats, which an empty tensor made it",
            editor.edits,
        )
