"""What a file does with the answer of ``trainer.fit()``, which is ``None``."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

from lintmetrics.model.batch_parts import local_value
from lintmetrics.model.refused_runs import is_of_lightning
from lintmetrics.model.trainer_calls import trainer_calls
from lintmetrics.project import Module
from lintmetrics.rule import Consequence
from lintmetrics.tree import subtree

_TESTS = (ast.If, ast.While, ast.IfExp, ast.BoolOp)


@dataclass(frozen=True)
class UsedAnswer:
    """A use of what ``fit`` answers, as if that were something.

    Args:
        module: the file; ``node``: the use; ``call``: the call of ``fit``.
        use: what is done with it, in words.
        consequence: what comes of that.
    """

    module: Module = field(repr=False)
    node: ast.AST
    call: ast.Call
    use: str
    consequence: Consequence


def used_answers(module: Module) -> Iterator[UsedAnswer]:
    """Yield the uses in a file of what ``fit`` of a Trainer answers."""
    if ".fit(" not in module.source.code:
        return
    for run in trainer_calls(module.project):
        if run.module is not module or run.kind != "fit" or not is_of_lightning(run):
            continue
        for node in _answers(module, run.node):
            found = _use(module, node)
            if found is not None:
                yield UsedAnswer(module, node, run.node, *found)


def _answers(module: Module, call: ast.Call) -> Iterator[ast.expr]:
    """Yield the expressions that are what a call answers."""
    above = module.parent(call)
    if not isinstance(above, ast.Assign):
        yield call
        return
    for target in above.targets:
        if isinstance(target, (ast.Tuple, ast.List)):
            yield call
        elif isinstance(target, ast.Name):
            for node in subtree(module.enclosing_function(call) or module.tree):
                if not isinstance(node, ast.Name) or node.id != target.id:
                    continue
                if isinstance(node.ctx, ast.Load) and local_value(module, node) is call:
                    yield node


def _use(module: Module, node: ast.expr) -> tuple[str, Consequence] | None:
    """Return what is done with an answer; ``None`` for what does no harm, or may do none."""
    above = module.parent(node)
    if isinstance(above, ast.Attribute):
        return f"its {above.attr} is asked for: AttributeError", Consequence.CRASH
    if isinstance(above, ast.Subscript) and above.value is node:
        return "an item of it is asked for: TypeError", Consequence.CRASH
    if isinstance(above, ast.Assign) or (isinstance(above, ast.For) and above.iter is node):
        return "it is taken apart: TypeError", Consequence.CRASH
    if isinstance(above, ast.Assert) and above.test is node:
        return "it is asserted: AssertionError", Consequence.CRASH
    if isinstance(above, ast.Compare) and len(above.ops) == 1:
        return _compared(module, node, above)
    is_tested = isinstance(above, _TESTS) and (isinstance(above, ast.BoolOp) or above.test is node)
    if is_tested or (isinstance(above, ast.UnaryOp) and isinstance(above.op, ast.Not)):
        return "a condition asks for it, which is never true", Consequence.IGNORED
    return None


def _compared(
    module: Module, node: ast.expr, comparison: ast.Compare
) -> tuple[str, Consequence] | None:
    other = comparison.comparators[0] if comparison.left is node else comparison.left
    if not isinstance(other, ast.Constant) or other.value is None:
        return None
    said = f"it is compared with {ast.unparse(other)}"
    if isinstance(comparison.ops[0], (ast.Lt, ast.LtE, ast.Gt, ast.GtE)):
        return f"{said}: TypeError", Consequence.CRASH
    is_wanted = isinstance(comparison.ops[0], (ast.Eq, ast.Is))
    if is_wanted and isinstance(module.parent(comparison), ast.Assert):
        return f"{said}: AssertionError", Consequence.CRASH
    return f"{said}, which is always {not is_wanted}", Consequence.IGNORED
