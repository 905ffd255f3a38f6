"""Makes the default of a state a tensor."""

from __future__ import annotations

import ast

from lintmetrics.codemod import Blocked, Codemod, Fix, Relation
from lintmetrics.config import Settings
from lintmetrics.edits import Editor
from lintmetrics.model.metric_classes import MetricClass, State
from lintmetrics.model.state_values import number_default
from lintmetrics.rule import Finding


class TensorDefault(Codemod):
    """``torch.tensor(0.0)`` in place of ``0.0``."""

    codes = ("LM315",)

    def plan(self, finding: Finding, settings: Settings) -> Fix | Blocked:
        """Plan the default; whole numbers become floats where update may add some."""
        metric, state = finding.detail
        assert isinstance(metric, MetricClass)
        assert isinstance(state, State)
        default = state.default
        assert default is not None
        if not _is_number(default):
            return Blocked(
                f"what self.{state.name} holds is no number; keep it in tensors, or in a list of "
                "tensors that begins empty"
            )
        editor = Editor()
        module = state.module
        made = number_default(editor, metric, module, default, metric.changed(state.name))
        editor.replace(module, default, made)
        return Fix(Relation.PRESERVES, f"begin self.{state.name} with {made}", editor.edits)


def _is_number(node: ast.expr) -> bool:
    if isinstance(node, ast.UnaryOp):
        return _is_number(node.operand)
    return isinstance(node, ast.Constant) and type(node.value) in (int, float)
