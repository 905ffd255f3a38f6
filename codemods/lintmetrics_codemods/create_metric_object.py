"""Writes a Metric object: created with the module, updated in the step, logged as an object."""

from __future__ import annotations

import ast

from lintmetrics.codemod import Blocked, Codemod, Fix, Relation
from lintmetrics.config import Settings
from lintmetrics.edits import CannotEdit, Editor
from lintmetrics.model import (
    creation,
    hooks,
    loaders,
    logged_values,
    object_equivalents,
    repeats,
)
from lintmetrics.model.creation import Place
from lintmetrics.model.flow import LightningClass
from lintmetrics.model.log_calls import LogCall, LogContext
from lintmetrics.model.logged_values import LoggedValue
from lintmetrics.model.object_equivalents import MetricObject
from lintmetrics.model.torchmetrics_versions import require
from lintmetrics.model.values import Origin
from lintmetrics.project import Module
from lintmetrics.rule import Finding
from lintmetrics.tree import subtree

# A chain that ends in one of these began with a tensor.
_OF_TENSOR = ("detach", "cpu", "numpy")
# What inputs of an object are called that a step has no name for.
_NAMES = ("preds", "target", "third", "fourth")


class CreateMetricObject(Codemod):
    """Creates the TorchMetrics object that answers for the epoch, and logs it."""

    codes = ("LM101", "LM104")

    def plan(self, finding: Finding, settings: Settings) -> Fix | Blocked:
        """Plan the object, its update and the log call."""
        call, origin = finding.subject, finding.detail
        assert isinstance(call, LogCall)
        assert isinstance(origin, Origin)
        if origin.kind == "formula" and origin.name != "square root":
            return Blocked(f"no metric object answers the {origin.name} of an epoch")
        if origin.averaged:
            return Blocked(
                f"the batch values are averaged by hand at line {call.node.lineno}; update an "
                "object in the step in their place"
            )
        if origin.bound is not None:
            return Blocked(
                f"{origin.label} is bound with arguments at line {origin.bound.lineno}; create the "
                "Metric object with them there, update it in the step and log it"
            )
        value = logged_values.trace(call, origin.node, origin.module)
        contexts = value.contexts()
        assumed, many = _require_one_object(value, contexts)
        owner = value.owner
        place, (wanted, arguments) = creation.first_fitting(
            owner, lambda place: _wanted(value, origin, place)
        )
        editor = Editor()
        made = _constructor(editor, owner.module, wanted.name, arguments)
        subject = creation.Subject(owner, value.module, value.key, call.node.lineno)
        text = creation.write_objects(editor, subject, contexts, made, place, many)
        _write_update(editor, value, contexts, text, wanted)
        editor.replace(value.module, value.written, text)
        for argument in value.redundant_arguments():
            editor.drop_argument(value.module, call.node, argument)
        message = (
            f"log a {wanted.name.rsplit('.', 1)[1]} as {text}: {call.key} becomes its value on the "
            "epoch, no longer the mean of batch values"
        )
        notes = " and ".join(dict.fromkeys(wanted.notes))
        is_assumed = wanted.relation is Relation.ASSUMES
        assumes = " and ".join(filter(None, (notes if is_assumed else "", assumed)))
        if assumes:
            message += f"; assumes {assumes}"
            return Fix(Relation.ASSUMES, message, editor.edits)
        if notes:
            message += f"; {notes}"
        return Fix(Relation.CORRECTS, message, editor.edits)


def _wanted(value: LoggedValue, origin: Origin, place: Place) -> tuple[MetricObject, list[str]]:
    """Return the object for a value, with the text of its arguments at a place."""
    node = origin.node
    if origin.kind == "formula":
        held = LightningClass.of(value.call.cls).attributes
        wanted = object_equivalents.root_mean_squared_error(origin, held)
    else:
        assert isinstance(node, ast.Call)
        wanted = object_equivalents.object_for(origin.module, node, origin.name, place.at)
    return wanted, place.arguments(wanted, origin.module, node)


# May it be done --------------------------------------------------------------------------------


def _require_one_object(value: LoggedValue, contexts: list[LogContext]) -> tuple[str, int]:
    """Check that one object, or one for each key, can stand for all ways to the log call.

    Returns what must be assumed for it, and how many dataloaders want an object each (0: one
    object serves all).
    """
    line = value.call.node.lineno
    if any(not hooks.is_batch_hook(context.hook) for context in contexts):
        raise CannotEdit(f"the log call at line {line} also runs in an epoch-end hook")
    loop = value.in_loop
    if loop is not None:
        raise CannotEdit(
            f"the log call stands in the loop at line {loop.lineno}; it needs an object for each "
            "turn, in a torch.nn.ModuleDict"
        )
    step, idle = logged_values.told_dataloader(contexts, value.owner)
    counts = {loaders.how_many(value.owner, context.stage) for context in contexts}
    if step and (not idle or max(counts) > 1):
        return "", _dataloaders(value, contexts, step)
    if any(context.key is None or "*" in context.key for context in contexts):
        raise CannotEdit(f"the key at line {line} is not known until the code runs")
    stages = {context.stage for context in contexts}
    keys = {context.key for context in contexts}
    if len(keys) == 1 and "train" in stages and len(stages) > 1:
        raise CannotEdit(
            f"line {line} logs train and other batches under one key; one object would mix them, "
            "name the stage in the key"
        )
    return f"that {step} has one dataloader" if step and counts != {1} else "", 0


def _dataloaders(value: LoggedValue, contexts: list[LogContext], step: str) -> int:
    """Return how many dataloaders a step that tells them apart is given."""
    parameter = "dataloader_idx"
    function = value.function
    is_own = function is not None and function.name == step and value.owner.lookup(step) is not None
    names = {a.arg for a in function.args.args} if function is not None else set()
    count = loaders.how_many(value.owner, contexts[0].stage)
    in_key = {n.id for n in subtree(value.key) if isinstance(n, ast.Name)} if value.key else set()
    if any(context.key is None or "*" in context.key for context in contexts):
        is_own = is_own and in_key <= {"self", parameter}
    if count and is_own and parameter in names and len({c.hook for c in contexts}) == 1:
        return count
    raise CannotEdit(
        f"{step} is told its dataloader, and one object would mix them; create a "
        "torch.nn.ModuleList with one object for each dataloader, update and log the one at "
        f"[{parameter}]"
    )


# What is written -------------------------------------------------------------------------------


def _constructor(editor: Editor, module: Module, dotted: str, arguments: list[str]) -> str:
    require(module.project, dotted, arguments)
    library, name = dotted.rsplit(".", 1)
    return f"{editor.add_import(module, library, name)}({', '.join(arguments)})"


def _write_update(
    editor: Editor,
    value: LoggedValue,
    contexts: list[LogContext],
    text: str,
    wanted: MetricObject,
) -> None:
    """Feed the object where the batch value was made, or logged where that is a choice."""
    module = value.module
    # After update() alone, a step has no value and on_step=True logs nothing (lightning 2.6.6).
    method = "" if value.uses_step(contexts) else ".update"
    inputs = [
        _named_before(editor, value, node, name) or _input(editor, module, wanted, node)
        for name, node in zip(_NAMES, wanted.inputs, strict=False)
    ]
    if wanted.casts:
        inputs[1] = object_equivalents.as_integers(inputs[1])
    feed = f"{text}{method}({', '.join(inputs)})"
    lines = _dedented(module, value.statement, feed)
    if value.is_by_choice:
        editor.remove(module, value.statement)
        editor.insert_before(module, value.logged, lines)
    elif not value.local:
        editor.insert_before(module, value.statement, lines)
    elif value.is_used:
        editor.insert_after(module, value.statement, lines)
    else:
        editor.replace(module, value.statement, feed)


def _named_before(editor: Editor, value: LoggedValue, node: ast.expr, base: str) -> str:
    """Name what the step goes on to use as well, if it must not be worked out twice."""
    module = value.module
    gone: list[ast.AST] = [value.written]
    if value.is_by_choice or (value.local and not value.is_used):
        gone.append(value.statement)
    call = repeats.unrepeatable(module, node)
    if call is None or any(node in subtree(top) for top in gone):
        return ""
    text = " ".join(module.source.segment(node).split())
    above: ast.AST | None = node
    while above is not None and not isinstance(above, ast.stmt):
        above = module.parent(above)
        if isinstance(above, (ast.Lambda, ast.comprehension, ast.IfExp, ast.BoolOp)):
            above = None
    function = module.enclosing_function(node)
    if not isinstance(above, (ast.Assign, ast.AnnAssign)) or function is None:
        raise CannotEdit(
            f"{text} at line {call.lineno} would be worked out a second time; give it a name in "
            "the step"
        )
    taken = module.scope_of(function)
    name = next(n for n in (base, *(f"{base}_{i}" for i in range(2, 99))) if n not in taken)
    editor.insert_before(module, above, [f"{name} = {text}"])
    editor.replace(module, node, name)
    # Another fix of this round would take the same name for another value.
    owner = value.owner
    editor.claim(owner.module, owner.node, module.source.start(node))
    return name


def _input(editor: Editor, module: Module, wanted: MetricObject, node: ast.expr) -> str:
    """Return the text of what an object is given, on the device of the module."""
    inner = node
    went = False
    while isinstance(inner, ast.Call) and isinstance(inner.func, ast.Attribute):
        name = inner.func.attr
        if name not in (*_OF_TENSOR, "tolist") and not (name == "to" and _is_cpu(inner)):
            break
        went = went or name in _OF_TENSOR
        inner = inner.func.value
    if went:
        return module.source.segment(inner)
    text = module.source.segment(node)
    if not wanted.of_arrays:
        return text
    editor.add_import(module, "torch")
    return f"torch.as_tensor({text}, device=self.device)"


def _is_cpu(call: ast.Call) -> bool:
    return (
        bool(call.args) and isinstance(call.args[0], ast.Constant) and call.args[0].value == "cpu"
    )


def _dedented(module: Module, statement: ast.stmt, text: str) -> list[str]:
    source = module.source
    indent = source.indent_of(source.start(statement))
    first, *rest = text.splitlines()
    return [first, *(line[len(indent) :] if line.startswith(indent) else line for line in rest)]
