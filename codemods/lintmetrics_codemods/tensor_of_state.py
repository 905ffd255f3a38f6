"""Makes the number that a state is given a tensor of the state's type and device."""

from __future__ import annotations

import ast

from lintmetrics.codemod import Blocked, Codemod, Fix, Relation
from lintmetrics.config import Settings
from lintmetrics.edits import Editor
from lintmetrics.model.metric_classes import Change
from lintmetrics.rule import Finding


class TensorOfState(Codemod):
    """``self.x.new_tensor(...)`` around a number."""

    codes = ("LM320",)

    def plan(self, finding: Finding, settings: Settings) -> Fix | Blocked:
        """Plan the tensor."""
        change = finding.detail
        assert isinstance(change, Change)
        node = change.node
        assert isinstance(node, ast.Assign)
        if len(node.targets) != 1 or not isinstance(node.targets[0], ast.Attribute):
            return Blocked(f"line {node.lineno} sets several attributes")
        editor = Editor()
        source = change.module.source
        target = source.segment(node.targets[0])
        text = source.segment(node.value)
        editor.replace(change.module, node.value, f"{target}.new_tensor({text})")
        return Fix(Relation.PRESERVES, f"self.{change.attribute} stays a tensor", editor.edits)
