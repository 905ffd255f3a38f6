"""Writes the Metric object into the log call that was given its answer."""

from __future__ import annotations

import ast

from lintmetrics.codemod import Blocked, Codemod, Fix, Relation
from lintmetrics.config import Settings
from lintmetrics.edits import CannotEdit, Editor
from lintmetrics.model import hooks, logged_values
from lintmetrics.model.flow import LogCall
from lintmetrics.model.logged_values import LoggedValue
from lintmetrics.model.values import Metric, Origin
from lintmetrics.rule import Finding


class LogMetricObject(Codemod):
    """Logs the object that a class already has, in place of what it answers."""

    codes = ("LM102", "LM103")

    def plan(self, finding: Finding, settings: Settings) -> Fix | Blocked:
        """Plan the call of the object and the log call."""
        call, origin = finding.subject, finding.detail
        assert isinstance(call, LogCall)
        assert isinstance(origin, Origin)
        assert isinstance(origin.node, ast.Call)
        metric = origin.metric
        if metric is None or not metric.path:
            return Blocked(
                "the object is no attribute of the module, so Lightning cannot find it; create it "
                "in __init__"
            )
        if metric.container in ("dict", "list"):
            kind = "ModuleDict" if metric.container == "dict" else "ModuleList"
            return Blocked(
                f"self.{metric.path} is kept in a plain {metric.container}, where Lightning does "
                f"not find it; keep it in torch.nn.{kind}"
            )
        value = logged_values.trace(call, origin.node)
        reason = _standing_in_the_way(value, metric, origin)
        if reason:
            return Blocked(reason)
        editor = Editor()
        name = _object_text(value, origin.node)
        if origin.kind == "forward":
            _keep_call(editor, value, origin.node)
        else:
            _drop_compute(editor, value, metric)
        editor.replace(value.module, value.written, name)
        for keyword in value.redundant_arguments():
            editor.drop_argument(value.module, call.node, keyword)
        text = f"log {name} itself: {call.key} becomes its value on the epoch"
        relation = Relation.CORRECTS
        if metric.custom is not None:
            relation = Relation.ASSUMES
            text += f"; assumes that {metric.custom.node.name}.compute() gives one number"
        return Fix(relation, text, editor.edits, "torchmetrics")


def _object_text(value: LoggedValue, made: ast.Call) -> str:
    func = made.func
    if isinstance(func, ast.Attribute) and func.attr in ("forward", "compute"):
        func = func.value
    return value.module.source.segment(func)


def _standing_in_the_way(value: LoggedValue, metric: Metric, origin: Origin) -> str:
    contexts = value.contexts()
    step = logged_values.loops_over_loaders(contexts, value.owner)
    if step:
        return (
            f"{step} is told its dataloader, and one self.{metric.path} would mix them; give each "
            "dataloader an object of its own"
        )
    stages: dict[str, None] = {}
    for hook, operation, node in logged_values.family_uses(value.owner, metric.path):
        if hooks.is_batch_hook(hook) and operation in ("forward", "update"):
            stages[hooks.stage_of(hook)] = None
        elif operation == "reset" and not _is_next_to(value, node):
            return (
                f"self.{metric.path} is reset at line {node.lineno}, before Lightning computes it; "
                "Lightning resets a logged object itself, take that line out"
            )
    if "train" in stages and len(stages) > 1:
        return (
            f"self.{metric.path} is used in {' and '.join(stages)}, which would mix them; give "
            "each stage an object of its own"
        )
    return ""


def _is_next_to(value: LoggedValue, node: ast.Call) -> bool:
    """Tell whether a reset stands in the block of the log call, as a statement."""
    module = value.module
    parent = module.parent(node)
    return isinstance(parent, ast.Expr) and module.parent(parent) is module.parent(value.logged)


def _keep_call(editor: Editor, value: LoggedValue, made: ast.Call) -> None:
    """Let the object be called, as a statement of its own before it is logged."""
    module = value.module
    text = logged_values.lines_of(module, made)
    if not value.local:
        editor.insert_before(module, value.logged, text)
    elif not value.is_used:
        editor.replace(module, value.statement, module.source.segment(made))


def _drop_compute(editor: Editor, value: LoggedValue, metric: Metric) -> None:
    """Take out the computing and resetting that Lightning does itself."""
    module = value.module
    if value.local and not value.is_used:
        editor.remove(module, value.statement)
    feeds = []
    for _, operation, node in logged_values.family_uses(value.owner, metric.path):
        if operation == "reset" and _is_next_to(value, node):
            statement = module.parent(node)
            assert isinstance(statement, ast.stmt)
            editor.remove(module, statement)
        elif operation in ("update", "forward"):
            feeds.append((operation, node))
    if not value.uses_step(value.contexts()):
        return
    # After update() alone, a step has no value and on_step=True logs nothing (lightning 2.6.6).
    for operation, node in dict.fromkeys(feeds):
        if operation != "update":
            continue
        if module.enclosing_function(node) is not value.call.function:
            raise CannotEdit(
                f"self.{metric.path} is updated at line {node.lineno}, away from the log call; "
                "call it instead, so that on_step has a value"
            )
        assert isinstance(node.func, ast.Attribute)
        editor.replace(module, node.func, module.source.segment(node.func.value))
