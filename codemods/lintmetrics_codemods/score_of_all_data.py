"""Keeps what a custom metric scores, and scores it once for all data."""

from __future__ import annotations

import ast

from lintmetrics.codemod import Blocked, Codemod, Fix, Relation
from lintmetrics.config import Settings
from lintmetrics.edits import CannotEdit, Editor, indent_unit, is_docstring
from lintmetrics.model import list_rewrites
from lintmetrics.model.averaged_scores import AveragedScore
from lintmetrics.model.metric_classes import MetricClass, State, is_self
from lintmetrics.project import FunctionInfo
from lintmetrics.rule import Finding
from lintmetrics.tree import subtree

_WIDTH = 100
# What a tensor has and an array has not, and what it does for a function of arrays.
_OF_TENSORS = ("cpu", "numpy", "detach", "tolist")


class ScoreOfAllData(Codemod):
    """List states of the inputs, and the score in ``compute``."""

    codes = ("LM319",)

    def plan(self, finding: Finding, settings: Settings) -> Fix | Blocked:
        """Plan states, update and compute of a class that does nothing but average one score."""
        score = finding.detail
        assert isinstance(score, AveragedScore)
        metric, change = score.metric, score.change
        update, compute = metric.cls.methods.get("update"), metric.cls.methods.get("compute")
        if update is None or compute is None or change.method.node is not update:
            return Blocked("the score is added up in another method than update")
        total = _state(metric, change.attribute)
        count = _state(metric, _divisor(compute, change.attribute))
        if change.kind != "add" or change.node not in update.body:
            return Blocked(f"the score is added under a condition at line {score.call.lineno}")
        counting = metric.changed(count.name)
        if len(metric.changed(total.name)) != 1 or len(counting) != 1:
            return Blocked("update adds up more than one score")
        if counting[0].node not in update.body or counting[0].method.node is not update:
            return Blocked("the scores are counted under a condition")
        _require_no_other(metric, total, count, (change.node, counting[0].node, compute.body[-1]))
        editor = Editor()
        module = metric.module
        segment = module.source.segment
        call = score.call
        is_of_arrays = score.name.startswith("sklearn.")
        appends: list[str] = []
        states: list[str] = []
        arguments: list[str] = []
        this = update.args.args[0].arg
        for argument in (*call.args, *(keyword.value for keyword in call.keywords)):
            if isinstance(argument, ast.Constant) or _is_setting(argument, this):
                arguments.append(segment(argument))
                continue
            base, behind = _peeled(argument)
            given = segment(base) + (".detach()" if ".detach()" in segment(argument) else "")
            if is_of_arrays and base is argument:
                raise CannotEdit(
                    f"whether {segment(argument)} is a tensor does not show at line {call.lineno}"
                )
            name = _name(metric, change.method, base)
            appends.append(f"{this}.{name}.append({given})")
            states.append(f'{this}.add_state("{name}", default=[], dist_reduce_fx="cat")')
            arguments.append(list_rewrites.joined(editor, module, f"{this}.{name}") + behind)
        if len(set(states)) != 2:
            return Blocked(f"{score.label} at line {call.lineno} is given more than two tensors")
        for index, keyword in enumerate(call.keywords, len(call.args)):
            if keyword.arg is None:
                return Blocked(f"the arguments at line {call.lineno} are unpacked from a name")
            arguments[index] = f"{keyword.arg}={arguments[index]}"
        if call not in subtree(change.node):
            return Blocked(f"the score at line {call.lineno} has a name first")
        returned = compute.body[-1]
        function = segment(call.func)
        outer = f"{editor.add_import(module, 'torch')}.tensor" if is_of_arrays else ""
        value = _laid_out(metric, returned, outer, function, arguments)
        _replace(editor, metric, total.call, states)
        editor.remove(module, module.statement(count.call))
        _replace(editor, metric, change.node, appends)
        editor.remove(module, module.statement(counting[0].node))
        assert isinstance(returned, ast.Return)
        assert returned.value is not None
        editor.replace(module, returned.value, value)
        return Fix(
            Relation.CORRECTS,
            f"{metric.node.name} answers with the {score.label} of all data, no longer with the "
            "mean of those of batches",
            editor.edits,
        )


def _state(metric: MetricClass, name: str) -> State:
    state = metric.state(name)
    if state is None or state.cls is not metric.cls:
        raise CannotEdit(f"self.{name} is no state that {metric.node.name} declares once")
    statement = metric.module.statement(state.call)
    if not isinstance(statement, ast.Expr) or statement.value is not state.call:
        raise CannotEdit(f"self.{name} is declared under a condition")
    return state


def _divisor(compute: ast.AST, total: str) -> str:
    """Return the attribute that ``compute`` divides by, where it does nothing else."""
    body = [s for s in getattr(compute, "body", []) if not is_docstring(s)]
    value = body[0].value if len(body) == 1 and isinstance(body[0], ast.Return) else None
    if isinstance(value, ast.BinOp) and isinstance(value.op, ast.Div):
        left, right = value.left, value.right
        if (
            isinstance(left, ast.Attribute)
            and left.attr == total
            and isinstance(right, ast.Attribute)
            and isinstance(right.value, ast.Name)
        ):
            return right.attr
    raise CannotEdit("compute does more than to divide the scores by their number")


def _require_no_other(
    metric: MetricClass, total: State, count: State, known: tuple[ast.AST, ...]
) -> None:
    """Raise where another statement speaks of the states that go."""
    inside = {node for statement in known for node in subtree(statement)}
    for state in (total, count):
        for _, node in metric.mentioned(state.name):
            if node not in inside:
                raise CannotEdit(f"self.{state.name} is also used at line {node.lineno}")


def _is_setting(node: ast.expr, this: str) -> bool:
    return (
        isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == this
    )


def _peeled(node: ast.expr) -> tuple[ast.expr, str]:
    """Return a tensor without what makes an array of it, and that as text."""
    behind = ""
    while (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in _OF_TENSORS
        and not node.args
        and not node.keywords
    ):
        if node.func.attr != "detach":  # Nothing has a graph there.
            behind = f".{node.func.attr}(){behind}"
        node = node.func.value
    return node, behind


def _name(metric: MetricClass, method: FunctionInfo, base: ast.expr) -> str:
    """Return the name of a state for an input: that of the parameter it is made of."""
    arguments = method.node.args
    parameters = {a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}
    found = {n.id for n in subtree(base) if isinstance(n, ast.Name)} & parameters
    found -= {node for node in found if is_self(ast.Name(node, ast.Load()), method.node)}
    if len(found) != 1:
        raise CannotEdit(
            f"what to call {metric.module.source.segment(base)} at line {base.lineno} is for a "
            "person to say"
        )
    name = found.pop()
    if metric.mentioned(name) or name in metric.cls.namespace:
        raise CannotEdit(f"self.{name} is there already")
    return name


def _laid_out(
    metric: MetricClass, returned: ast.stmt, outer: str, function: str, arguments: list[str]
) -> str:
    """Return a call, in another one where there is an outer, on as many lines as it needs."""
    source = metric.module.source
    indent, unit, end = (
        source.indent_of(source.start(returned)),
        indent_unit(metric.module),
        source.newline,
    )
    call = f"{function}({', '.join(arguments)})"
    whole = f"{outer}({call})" if outer else call
    if len(f"{indent}return {whole}") <= _WIDTH:
        return whole
    inner = f"{indent}{unit}" if outer else indent
    if len(f"{inner}{call}") > _WIDTH or not outer:
        each = "".join(f"{inner}{unit}{argument},{end}" for argument in arguments)
        call = f"{function}({end}{each}{inner})"
    return f"{outer}({end}{inner}{call}{end}{indent})" if outer else call


def _replace(editor: Editor, metric: MetricClass, node: ast.AST, lines: list[str]) -> None:
    """Write lines in place of a statement."""
    source = metric.module.source
    statement = metric.module.statement(node)
    indent = source.indent_of(source.start(statement))
    editor.replace(metric.module, statement, f"{source.newline}{indent}".join(lines))
