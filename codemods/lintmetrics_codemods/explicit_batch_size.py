"""Says how many samples a batch has, where Lightning or a MeanMetric has to know."""

from __future__ import annotations

import ast

from lintmetrics.codemod import Blocked, Codemod, Fix, Relation
from lintmetrics.config import Settings
from lintmetrics.edits import Editor
from lintmetrics.model.batches import BatchSize, is_known_at
from lintmetrics.rule import Finding


class ExplicitBatchSize(Codemod):
    """``batch_size=`` for ``self.log``, ``weight=`` for a MeanMetric."""

    codes = ("LM112", "LM113", "LM114")
    since = "lightning 1.5"

    def plan(self, finding: Finding, settings: Settings) -> Fix | Blocked:
        """Plan one more argument."""
        module, call = finding.place
        size = finding.detail
        assert isinstance(call, ast.Call)
        if not isinstance(size, BatchSize) or size.expression is None:
            return Blocked("the code does not show how many samples a batch has; say it by hand")
        if not is_known_at(module, call, size.expression):
            return Blocked(f"`{size.expression}` is not known at line {call.lineno}")
        is_mean = not size.why or not ast.unparse(call.func).endswith((".log", ".log_dict"))
        name = "weight" if is_mean else "batch_size"
        editor = Editor()
        editor.append_argument(module, call, f"{name}={size.expression}")
        return Fix(
            Relation.CORRECTS,
            f"each batch weighs {size.expression}, its number of samples",
            editor.edits,
        )
