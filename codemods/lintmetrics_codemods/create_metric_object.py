"""Writes a Metric object: created with the module, updated in the step, logged as an object."""

from __future__ import annotations

import ast
import builtins
from dataclasses import replace

from lintmetrics.codemod import Blocked, Codemod, Fix, Relation
from lintmetrics.config import Settings
from lintmetrics.edits import CannotEdit, Editor
from lintmetrics.model import attribute_names, hooks, logged_values, object_equivalents
from lintmetrics.model.flow import LightningClass, LogCall, LogContext
from lintmetrics.model.logged_values import LoggedValue
from lintmetrics.model.object_equivalents import MetricObject
from lintmetrics.model.tensors import bindings, constant
from lintmetrics.model.values import Origin
from lintmetrics.project import ClassInfo, Module
from lintmetrics.rule import Finding
from lintmetrics.tree import subtree

_WIDTH = 100


class CreateMetricObject(Codemod):
    """Creates the TorchMetrics object that answers for the epoch, and logs it."""

    codes = ("LM101", "LM104")

    def plan(self, finding: Finding, settings: Settings) -> Fix | Blocked:
        """Plan the object, its update and the log call."""
        call, origin = finding.subject, finding.detail
        assert isinstance(call, LogCall)
        assert isinstance(origin, Origin)
        if origin.kind == "formula" and origin.name != "square root":
            return Blocked(finding.help)
        if origin.averaged:
            return Blocked(
                f"the batch values are averaged by hand at line {call.node.lineno}; update an "
                "object in the step in their place"
            )
        value = logged_values.trace(call, origin.node, origin.module)
        contexts = value.contexts()
        assumed = _require_one_object(value, contexts)
        owner = value.owner
        at = _created_at(owner)
        if origin.kind == "formula":
            held = LightningClass.of(call.cls).attributes
            wanted = object_equivalents.root_mean_squared_error(origin, held)
        else:
            wanted = object_equivalents.object_for(origin, at)
        wanted = _for_init(value, owner, wanted)
        editor = Editor()
        made = _constructor(editor, owner.module, wanted)
        for name in wanted.imports:
            editor.add_import(value.module, name)
        text = _write_creation(editor, value, contexts, made)
        _write_update(editor, value, contexts, text, wanted)
        editor.replace(value.module, value.written, text)
        for argument in value.redundant_arguments():
            editor.drop_argument(value.module, call.node, argument)
        message = (
            f"log a {wanted.name} as {text}: {call.key} becomes its value on the epoch, no longer "
            "the mean of batch values"
        )
        assumes = " and ".join(filter(None, (wanted.assumes, assumed)))
        if assumes:
            message += f"; assumes {assumes}"
            return Fix(Relation.ASSUMES, message, editor.edits, "torchmetrics")
        return Fix(Relation.CORRECTS, message, editor.edits, "torchmetrics")


# May it be done --------------------------------------------------------------------------------


def _require_one_object(value: LoggedValue, contexts: list[LogContext]) -> str:
    """Check that one object, or one for each key, can stand for all ways to the log call.

    Returns what must be assumed for it.
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
    if step and not idle:
        raise CannotEdit(
            f"{step} is told its dataloader, and one object would mix them; give each dataloader "
            "an object of its own"
        )
    if any(context.key is None or "*" in context.key for context in contexts):
        raise CannotEdit(f"the key at line {line} is not known until the code runs")
    stages = {context.stage for context in contexts}
    keys = {context.key for context in contexts}
    if len(keys) == 1 and "train" in stages and len(stages) > 1:
        raise CannotEdit(
            f"line {line} logs train and other batches under one key; one object would mix them, "
            "name the stage in the key"
        )
    return f"that {step} has one dataloader" if step else ""


def _created_at(owner: ClassInfo) -> ast.AST:
    """Return the node of ``__init__`` behind which the object is created."""
    init = owner.methods.get("__init__")
    if init is None:
        return owner.node
    for node in subtree(init):
        if isinstance(node, ast.Return) and node is not init.body[-1]:
            raise CannotEdit(
                f"__init__ may return at line {node.lineno}, before an object at its end is created"
            )
    if not any(
        isinstance(node, ast.Attribute) and node.attr == "__init__" for node in subtree(init)
    ):
        raise CannotEdit(f"__init__ at line {init.lineno} calls no super().__init__()")
    return init.body[-1]


# Text that is right in __init__ ----------------------------------------------------------------


def _for_init(value: LoggedValue, owner: ClassInfo, wanted: MetricObject) -> MetricObject:
    """Return the object with its arguments as ``__init__`` can write them."""
    done: list[tuple[str, ast.expr | str]] = []
    for name, argument in wanted.arguments:
        if isinstance(argument, str):
            done.append((name, argument))
            continue
        done.append((name, _argument_text(value, owner, name, argument)))
    return replace(wanted, arguments=tuple(done))


def _argument_text(value: LoggedValue, owner: ClassInfo, name: str, node: ast.expr) -> str:
    module = value.module
    function = value.function
    assert function is not None
    local = module.scope_of(function)
    for inner in subtree(node):
        if isinstance(inner, (ast.Call, ast.Lambda, ast.NamedExpr, ast.Await)):
            raise CannotEdit(f"{name}= at line {node.lineno} is worked out in the step")
        if not isinstance(inner, ast.Name):
            continue
        if inner.id == "self":
            attribute = module.parent(inner)
            if isinstance(attribute, ast.Attribute) and _is_set(owner, attribute):
                continue
            raise CannotEdit(
                f"{name}={module.source.segment(node)} at line {node.lineno} is not set in __init__"
            )
        if inner.id in local:
            known = constant(module, node)
            if known is not ... and isinstance(known, (int, float, str, bool)):
                return repr(known) if not isinstance(known, str) else f'"{known}"'
            bound = bindings(module, inner.id, function)
            if node is inner and len(bound) == 1 and isinstance(bound[0], ast.Assign):
                return _argument_text(value, owner, name, bound[0].value)
            raise CannotEdit(
                f"{name}={module.source.segment(node)} at line {node.lineno} is a value of the "
                "step; create the object in __init__ with what it will be"
            )
        if not module.binds(inner.id) and not hasattr(builtins, inner.id):
            raise CannotEdit(f"{inner.id} at line {node.lineno} is not known in __init__")
    return module.source.segment(node)


def _is_set(owner: ClassInfo, attribute: ast.Attribute) -> bool:
    """Tell whether ``self.name`` is there when ``__init__`` ends."""
    name = attribute.attr
    for cls in owner.mro():
        if name in cls.namespace:
            return True
        init = cls.methods.get("__init__")
        for node in subtree(init) if init is not None else ():
            if (
                isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and node.value.id == "self"
                and (
                    (node.attr == name and isinstance(node.ctx, ast.Store))
                    or (name == "hparams" and node.attr == "save_hyperparameters")
                )
            ):
                return True
    return False


# What is written -------------------------------------------------------------------------------


def _constructor(editor: Editor, module: Module, wanted: MetricObject) -> str:
    name = editor.add_import(module, wanted.library, wanted.name)
    return f"{name}({', '.join(f'{key}={value}' for key, value in wanted.arguments)})"


def _creation(name: str, made: str) -> list[str]:
    """Return ``self.name = made``, split behind the bracket where it is long."""
    line = f"self.{name} = {made}"
    if len(line) <= _WIDTH - 8:
        return [line]
    head, _, rest = made.partition("(")
    return [f"self.{name} = {head}(", f"    {rest[:-1]}", ")"]


def _write_creation(
    editor: Editor, value: LoggedValue, contexts: list[LogContext], made: str
) -> str:
    """Create the object, or one for each key; return the expression that names it in the step."""
    owner = value.owner
    module = owner.module
    keys = list(dict.fromkeys(context.key for context in contexts if context.key is not None))
    stages = list(dict.fromkeys(context.stage for context in contexts))
    if len(keys) == 1:
        stage = stages[0] if len(stages) == 1 else ""
        name = attribute_names.attribute_for(keys[0], stage, owner)
        editor.append_to_init(module, owner.node, _creation(name, made))
        return f"self.{name}"
    if value.key is None:
        raise CannotEdit(f"the keys at line {value.call.node.lineno} are not written out")
    refused = [key for key in keys if not attribute_names.is_module_dict_key(key)]
    if refused:
        raise CannotEdit(
            f'torch.nn.ModuleDict takes no key "{refused[0]}"; create one object for each key by '
            "hand"
        )
    common = {attribute_names.without_stage(key) for key in keys}
    base = common.pop() if len(common) == 1 else ""
    name = attribute_names.attribute_for(base or "metrics_by_key", "", owner)
    container = editor.add_import(module, "torch.nn", "ModuleDict")
    listed = ", ".join(f'"{key}"' for key in keys)
    inner = f"{{key: {made} for key in ({listed})}}"
    editor.append_to_init(module, owner.node, _creation(name, f"{container}({inner})"))
    key_text = " ".join(value.module.source.segment(value.key).split())
    return f"self.{name}[{key_text}]"


def _write_update(
    editor: Editor,
    value: LoggedValue,
    contexts: list[LogContext],
    text: str,
    wanted: MetricObject,
) -> None:
    """Feed the object where the batch value was made."""
    module = value.module
    # After update() alone, a step has no value and on_step=True logs nothing (lightning 2.6.6).
    method = "" if value.uses_step(contexts) else ".update"
    feed = f"{text}{method}({', '.join(wanted.inputs)})"
    lines = _dedented(module, value.statement, feed)
    if not value.local:
        editor.insert_before(module, value.statement, lines)
    elif value.is_used:
        editor.insert_after(module, value.statement, lines)
    else:
        editor.replace(module, value.statement, feed)


def _dedented(module: Module, statement: ast.stmt, text: str) -> list[str]:
    source = module.source
    indent = source.indent_of(source.start(statement))
    first, *rest = text.splitlines()
    return [first, *(line[len(indent) :] if line.startswith(indent) else line for line in rest)]
