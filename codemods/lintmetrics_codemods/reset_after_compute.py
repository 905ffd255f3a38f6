"""Resets a Metric object behind the place that computes it for an epoch."""

from __future__ import annotations

import ast

from lintmetrics.codemod import Blocked, Codemod, Fix, Relation
from lintmetrics.config import Settings
from lintmetrics.edits import CannotEdit, Editor, FunctionNode
from lintmetrics.model import hooks
from lintmetrics.model.held_metrics import HeldMetric
from lintmetrics.model.hook_effects import MetricUse
from lintmetrics.project import Module
from lintmetrics.rule import Finding
from lintmetrics.tree import own_nodes, subtree

_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


class ResetAfterCompute(Codemod):
    """Resets the object in the epoch-end hook, once its value is taken."""

    codes = ("LM107",)

    def plan(self, finding: Finding, settings: Settings) -> Fix | Blocked:
        """Plan a reset behind every computation that ends an epoch."""
        held = finding.detail
        assert isinstance(held, HeldMetric)
        computes = held.epoch_computes
        _require_one_for_each_stage(held, computes)
        _require_no_other(held, {use.node for use in computes})
        editor = Editor()
        last: dict[tuple[FunctionNode, str], tuple[MetricUse, list[str]]] = {}
        for use in computes:
            function = use.module.enclosing_function(use.node)
            if function is None:
                return Blocked(f"self.{held.path} is computed outside any function")
            lines = _reset_lines(use.module, use.node, function)
            known = last.get((function, lines[-1]))
            if known is None or known[0].node.lineno <= use.node.lineno:
                last[function, lines[-1]] = (use, lines)
        for (function, _), (use, lines) in last.items():
            _insert(editor, use.module, function, use.node, lines)
        if held.path != held.attribute:
            # A plain dict that becomes a ModuleDict may get other keys in the same round.
            editor.claim(held.cls.module, held.cls.node, 0)
        values = " and ".join(dict.fromkeys(use.hook for use in computes))
        return Fix(
            Relation.CORRECTS,
            f"reset self.{held.path} behind {values}: each epoch counts its own batches only",
            editor.edits,
        )


def _require_one_for_each_stage(held: HeldMetric, computes: list[MetricUse]) -> None:
    """Raise where a value is taken again, behind the hook that would reset the object."""
    by_stage: dict[str, set[str]] = {}
    for use in computes:
        by_stage.setdefault(hooks.stage_of(use.hook), set()).add(use.hook)
    fed = {hooks.stage_of(use.hook) for use in held.feeds()}
    if {"train", "val"} <= fed:
        raise CannotEdit(
            f"self.{held.path} gathers in training and in validation; give each an object first"
        )
    for stage, names in by_stage.items():
        if len(names) > 1 or (stage not in fed and {"train", "val"} <= by_stage.keys()):
            both = " and ".join(sorted({use.hook for use in computes}))
            raise CannotEdit(f"self.{held.path} is computed in {both}; reset it in the last one")


def _require_no_other(held: HeldMetric, known: set[ast.Call]) -> None:
    for use in held.uses:
        if use.node in known and not use.hook.endswith("_epoch_end"):
            raise CannotEdit(f"{use.hook} computes self.{held.path} by the same line")
    for module, node in held.mentions:
        for above in module.ancestors(node):
            if not isinstance(above, (ast.Attribute, ast.Subscript, ast.Call)):
                break
            if isinstance(above, ast.Call):
                func = above.func
                computed = isinstance(func, ast.Attribute) and func.attr == "compute"
                if computed and above not in known:
                    raise CannotEdit(
                        f"self.{held.path} is also computed at line {above.lineno}; reset it "
                        "behind the last place"
                    )
                break


def _reset_lines(module: Module, call: ast.Call, function: FunctionNode) -> list[str]:
    """Return the statement that resets what a call computes, as it is called in that place."""
    func = call.func
    assert isinstance(func, ast.Attribute)
    receiver = func.value
    text = " ".join(module.source.segment(receiver).split())
    for node in subtree(receiver):
        if isinstance(node, (ast.Call, ast.NamedExpr, ast.Await)):
            raise CannotEdit(f"what is computed at line {call.lineno} is worked out there")
    names = {node.id for node in subtree(receiver) if isinstance(node, ast.Name)}
    for above in module.ancestors(call):
        if isinstance(above, ast.Lambda):
            raise CannotEdit(f"the value at line {call.lineno} is computed in a lambda")
        if isinstance(above, _COMPREHENSIONS):
            bound = {
                node.id
                for generator in above.generators
                for node in subtree(generator.target)
                if isinstance(node, ast.Name)
            }
            if names & bound:
                return _loop(module, above, receiver, function)
        if above is function:
            break
    return [f"{text}.reset()"]


def _loop(
    module: Module,
    comprehension: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp,
    receiver: ast.expr,
    function: FunctionNode,
) -> list[str]:
    """Return a loop that resets all objects that a comprehension computes."""
    generator = comprehension.generators[0]
    refused = CannotEdit(
        f"the objects are computed in the comprehension at line {comprehension.lineno}; reset "
        "each of them behind it"
    )
    if len(comprehension.generators) > 1 or generator.ifs or not isinstance(receiver, ast.Name):
        raise refused
    name, over, target = receiver.id, generator.iter, generator.target
    if name in module.scope_of(function):
        raise refused
    if isinstance(target, ast.Tuple):
        pair = [node.id for node in target.elts if isinstance(node, ast.Name)]
        func = over.func if isinstance(over, ast.Call) and not over.args else None
        if len(pair) != 2 or pair[1] != name or not isinstance(func, ast.Attribute):
            raise refused
        if func.attr != "items":
            raise refused
        shown = f"{module.source.segment(func.value)}.values()"
    elif isinstance(target, ast.Name):
        shown = module.source.segment(over)
    else:
        raise refused
    return [f"for {name} in {shown}:", f"    {name}.reset()"]


def _insert(
    editor: Editor, module: Module, function: FunctionNode, call: ast.Call, lines: list[str]
) -> None:
    """Insert a reset behind a statement; at the end of the function where that is conditional."""
    statement = module.statement(call)
    around: ast.AST | None = statement
    conditional = False
    while around is not None and around is not function:
        if isinstance(around, (ast.If, ast.Try, ast.While, ast.Match)):
            conditional = True
        if isinstance(around, (ast.FunctionDef, ast.AsyncFunctionDef)):
            raise CannotEdit(f"the value at line {call.lineno} is computed in a nested function")
        around = module.parent(around)
    returns = [node for node in own_nodes(function) if isinstance(node, ast.Return)]
    bare = returns == [function.body[-1]] and returns[0].value is None
    if isinstance(statement, ast.Return) or any(node in subtree(statement) for node in returns):
        raise CannotEdit(
            f"the value is returned where it is computed, at line {call.lineno}; reset the object "
            "behind it"
        )
    if not conditional:
        editor.insert_after(module, statement, lines)
        return
    if returns and not bare:
        raise CannotEdit(
            f"{function.name} may return at line {returns[0].lineno}, before a reset at its end"
        )
    if not lines[0].startswith(("self.", "for ")):
        raise CannotEdit(f"the value at line {call.lineno} is computed under a condition")
    editor.append_to_body(module, function, lines)
