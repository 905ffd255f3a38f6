"""Says how many samples a batch has, where Lightning or a MeanMetric has to know."""

from __future__ import annotations

import ast
import re

from lintmetrics.codemod import Blocked, Codemod, Fix, Relation
from lintmetrics.config import Settings
from lintmetrics.edits import Editor
from lintmetrics.model.batches import BatchSize
from lintmetrics.project import Module
from lintmetrics.rule import Finding
from lintmetrics.tree import subtree

_CLOSED = re.compile(r"(?:\s*\))*")


class ExplicitBatchSize(Codemod):
    """``batch_size=`` for ``self.log``, ``weight=`` for a MeanMetric."""

    codes = ("LM112", "LM113", "LM114")

    def plan(self, finding: Finding, settings: Settings) -> Fix | Blocked:
        """Plan one more argument."""
        module, call = finding.place
        size = finding.detail
        assert isinstance(call, ast.Call)
        if not isinstance(size, BatchSize) or size.expression is None:
            return Blocked("the code does not show how many samples a batch has; say it by hand")
        if not _is_bound(module, call, size.expression):
            return Blocked(f"`{size.expression}` is not known at line {call.lineno}")
        is_mean = not size.why or not ast.unparse(call.func).endswith((".log", ".log_dict"))
        name = "weight" if is_mean else "batch_size"
        given: list[ast.expr | ast.keyword] = [*call.args, *call.keywords]
        end = max(module.source.end(node) for node in given)
        closing = module.source.end(call) - 1
        match = _CLOSED.match(module.source.code, end, closing)
        place = match.end() if match and match.group().strip() else end
        editor = Editor()
        editor.replace_range(module, place, place, f", {name}={size.expression}")
        return Fix(
            Relation.CORRECTS,
            f"each batch weighs {size.expression}, its number of samples",
            editor.edits,
        )


def _is_bound(module: Module, call: ast.Call, expression: str) -> bool:
    """Tell whether the names of an expression are bound before a call."""
    function = module.enclosing_function(call)
    if function is None:
        return False
    parameters = {a.arg for a in (*function.args.args, *function.args.kwonlyargs)}
    for name in (n.id for n in subtree(ast.parse(expression)) if isinstance(n, ast.Name)):
        if name in ("len", "self") or name in parameters:
            continue
        if not any(
            isinstance(node, ast.Name)
            and node.id == name
            and isinstance(node.ctx, ast.Store)
            and node.lineno < call.lineno
            for node in subtree(function)
        ):
            return False
    return True
