"""Tells ``self.log`` to take the largest or smallest value of the epoch."""

from __future__ import annotations

import ast

from lintmetrics.codemod import Blocked, Codemod, Fix, Relation
from lintmetrics.config import Settings
from lintmetrics.edits import Editor
from lintmetrics.model.log_calls import LogCall
from lintmetrics.model.logged_values import trace
from lintmetrics.model.tensors import bindings
from lintmetrics.model.values import Number, Origin, options
from lintmetrics.project import Module
from lintmetrics.rule import Finding
from lintmetrics.tree import subtree

_REDUCTIONS = frozenset(
    (
        *("mean", "sum", "std", "var", "norm", "median", "average", "nanmean", "nansum", "prod"),
        *("bincount", "histc", "logsumexp", "cov", "corrcoef", "cdist", "svd", "svdvals"),
    )
)


class ReducedExtreme(Codemod):
    """``reduce_fx="max"`` for the maximum of a batch, ``"min"`` for a minimum."""

    codes = ("LM116",)
    since = "lightning 1.5"

    def plan(self, finding: Finding, settings: Settings) -> Fix | Blocked:
        """Plan one more argument."""
        call, origin = finding.subject, finding.detail
        assert isinstance(call, LogCall)
        assert isinstance(origin, Origin)
        which = origin.name[:3]
        if call.is_dict:
            return Blocked(
                f"log_dict reduces all its values alike; log this one with reduce_fx={which!r}"
            )
        if any(keyword.arg is None for keyword in call.node.keywords):
            return Blocked(f"the arguments of the log call at line {call.node.lineno} are hidden")
        values = [value for way in call.contexts for value in options(way.value)]
        if not all(isinstance(value, Number) and origin in value.origins for value in values):
            return Blocked(f"other values are logged at line {call.node.lineno} as well")
        if _is_of_whole_batch(origin.module, origin.node):
            return Blocked(
                f"the {origin.name} is taken of what the whole batch makes together; decide what "
                "it is of an epoch"
            )
        # Only what is logged as it is: a minus sign in between turns a maximum round.
        trace(call, origin.node, origin.module)
        editor = Editor()
        editor.append_argument(call.module, call.node, f'reduce_fx="{which}"')
        return Fix(
            Relation.CORRECTS,
            f"the {origin.name} of the epoch is logged, where it was the mean of those of batches",
            editor.edits,
        )


def _is_of_whole_batch(module: Module, node: ast.expr) -> bool:
    """Tell whether values are reduced over the samples before the extreme of them is taken."""
    function = module.enclosing_function(node)
    looked: set[str] = set()
    waiting: list[ast.AST] = [node]
    while waiting:
        for inner in subtree(waiting.pop()):
            if isinstance(inner, ast.Call) and inner is not node and _reduces_samples(inner):
                return True
            if isinstance(inner, ast.Name) and inner.id not in looked:
                looked.add(inner.id)
                waiting += [
                    bound.value
                    for bound in bindings(module, inner.id, function)
                    if isinstance(bound, ast.Assign)
                ]
    return False


def _reduces_samples(call: ast.Call) -> bool:
    """Tell whether a call reduces, and surely not over later dimensions alone."""
    func = call.func
    name = func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")
    if name not in _REDUCTIONS:
        return False
    given = [k.value for k in call.keywords if k.arg in ("dim", "axis")]
    given += [argument for argument in call.args if _is_dimension(argument)]
    if not given:
        return True
    parts = given[0].elts if isinstance(given[0], (ast.Tuple, ast.List)) else given[:1]
    return any(not _is_later(part) for part in parts)


def _is_dimension(node: ast.expr) -> bool:
    if isinstance(node, ast.UnaryOp):
        node = node.operand
    if isinstance(node, (ast.Tuple, ast.List)):
        return all(_is_dimension(part) for part in node.elts)
    return isinstance(node, ast.Constant) and type(node.value) is int


def _is_later(node: ast.expr) -> bool:
    """Tell whether a dimension is not the first, which is that of the samples."""
    if isinstance(node, ast.UnaryOp):
        return isinstance(node.op, ast.USub)
    return isinstance(node, ast.Constant) and isinstance(node.value, int) and node.value > 0
