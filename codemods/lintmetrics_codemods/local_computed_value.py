"""Keeps what ``compute`` works out in a local variable, and the state as it is."""

from __future__ import annotations

import ast

from lintmetrics.codemod import Blocked, Codemod, Fix, Relation
from lintmetrics.config import Settings
from lintmetrics.edits import CannotEdit, Editor
from lintmetrics.model.metric_classes import Change, MetricClass, mentions
from lintmetrics.rule import Finding
from lintmetrics.tree import subtree

_SIGNS: dict[type[ast.operator], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.FloorDiv: "//",
    ast.Pow: "**",
    ast.Mod: "%",
    ast.MatMult: "@",
}


class LocalComputedValue(Codemod):
    """``x = self.x / n`` in place of ``self.x /= n``."""

    codes = ("LM317",)

    def plan(self, finding: Finding, settings: Settings) -> Fix | Blocked:
        """Plan the assignment and every later mention in the method."""
        metric, change = finding.detail
        assert isinstance(metric, MetricClass)
        assert isinstance(change, Change)
        method, node, name = change.method, change.node, change.attribute
        module = method.module
        places = list(mentions(method, name))
        others = [
            place
            for other in metric.computes
            if other.node is not method.node
            for place in mentions(other, name)
        ]
        if others:
            raise CannotEdit(f"self.{name} is also read in a method at line {others[0].lineno}")
        if not isinstance(node, (ast.Assign, ast.AugAssign)) or node not in method.node.body:
            raise CannotEdit(f"self.{name} is changed under a condition at line {node.lineno}")  # type: ignore[attr-defined]
        stores = [place for place in places if isinstance(place.ctx, ast.Store)]
        if len(stores) != 1 or (isinstance(node, ast.Assign) and node.targets != stores):
            raise CannotEdit(f"self.{name} is set several times in {method.node.name}")
        local = self._local(change)
        editor = Editor()
        text = module.source.segment(stores[0])
        if isinstance(node, ast.AugAssign):
            value = module.source.segment(node.value)
            if isinstance(node.value, (ast.BinOp, ast.IfExp, ast.BoolOp, ast.Compare)):
                value = f"({value})"
            editor.replace(module, node, f"{local} = {text} {_SIGNS[type(node.op)]} {value}")
        else:
            editor.replace(module, stores[0], local)
        behind = module.source.end(node)
        for place in places:
            if module.source.start(place) > behind:
                editor.replace(module, place, local)
        return Fix(
            Relation.PRESERVES,
            f"self.{name} stays what update made it; what is computed from it is {local}",
            editor.edits,
        )

    def _local(self, change: Change) -> str:
        """Return a name that the method does not use."""
        method = change.method
        used = {n.id for n in subtree(method.node) if isinstance(n, ast.Name)}
        used |= {n.arg for n in subtree(method.node) if isinstance(n, ast.arg)}
        name = change.attribute.lstrip("_")
        for candidate in (name, f"{name}_value", f"computed_{name}"):
            if candidate not in used and candidate.isidentifier():
                return candidate
        raise CannotEdit(f"no name is free for the value of self.{name}")
