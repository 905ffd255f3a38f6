"""Creates in ``__init__`` the Metric object that a step makes anew for every batch."""

from __future__ import annotations

import ast

from lintmetrics.codemod import Blocked, Codemod, Fix, Relation
from lintmetrics.config import Settings
from lintmetrics.edits import CannotEdit, Editor
from lintmetrics.model import attribute_names, creation, logged_values
from lintmetrics.model.creation import Place
from lintmetrics.model.local_metrics import LocalMetric, local_metric, require_one_object
from lintmetrics.model.log_calls import LogCall
from lintmetrics.model.logged_values import LoggedValue
from lintmetrics.model.object_equivalents import MetricObject, other_than_one_number
from lintmetrics.model.values import Metric, Origin
from lintmetrics.project import Module
from lintmetrics.rule import Finding

_FEEDS = frozenset(("update", "forward"))


class MetricAttribute(Codemod):
    """Makes an attribute of a local object, updates it in the step and logs it."""

    codes = ("LM102", "LM103", "LM321")
    priority = 1

    def plan(self, finding: Finding, settings: Settings) -> Fix | Blocked:
        """Plan the attribute, the calls of the object and the log call."""
        call, detail = finding.subject, finding.detail
        assert isinstance(call, LogCall)
        metric = detail.metric if isinstance(detail, Origin) else detail
        if not isinstance(metric, Metric) or metric.path or metric.constructor is None:
            return Blocked("")  # The object is an attribute already.
        if metric.is_collection or call.is_dict or metric.module is not call.module:
            return Blocked("")
        answer = other_than_one_number(metric)
        if answer:
            return Blocked(f"the object computes {answer}, which is logged in parts")
        key, stage = require_one_object(call)
        local = local_metric(metric.module, metric.constructor)
        owner = call.module.enclosing_class(call.node)
        if owner is None or local.function is not call.function:
            raise CannotEdit(f"the object at line {local.made.lineno} is made in another method")
        editor = Editor()
        name = f"self.{attribute_names.attribute_for(key, stage, owner)}"
        made = _write_creation(editor, owner.module, call, local, name.removeprefix("self."))
        if isinstance(detail, Origin):
            _write_value(editor, call, detail, local, name)
        else:
            _rename(editor, local, name, ())
        if local.statement is not None:
            editor.remove(local.module, local.statement)
        return Fix(
            Relation.CORRECTS,
            f"keep a {made} as {name}: {call.key} becomes its value on the epoch",
            editor.edits,
        )


def _write_creation(
    editor: Editor, module: Module, call: LogCall, local: LocalMetric, attribute: str
) -> str:
    """Create the object with the module; return the name of its class."""
    owner = module.enclosing_class(call.node)
    assert owner is not None

    def make(place: Place) -> tuple[MetricObject, list[str]]:
        return MetricObject(""), place.repeated(local.module, local.made)

    place, (_, arguments) = creation.first_fitting(owner, make)
    cls = module.source.segment(local.made.func)
    place.write(editor, creation.assignment(attribute, f"{cls}({', '.join(arguments)})"))
    return cls.rsplit(".", 1)[-1]


def _write_value(
    editor: Editor, call: LogCall, origin: Origin, local: LocalMetric, name: str
) -> None:
    """Log the object in place of what it answers."""
    value = logged_values.trace(call, origin.node, origin.module)
    node = origin.node
    if value.function is not call.function or value.module is not local.module:
        raise CannotEdit(f"the value at line {node.lineno} is logged in another method")
    assert isinstance(node, ast.Call)
    if origin.kind == "forward":
        _keep_call(editor, value, node, name)
        skipped: tuple[ast.AST, ...] = (node.func,)
    else:
        func = node.func
        assert isinstance(func, ast.Attribute)
        if value.is_used:
            raise CannotEdit(f"{value.local} at line {node.lineno} is also used elsewhere")
        if value.local:
            editor.remove(value.module, value.statement)
        skipped = (func.value,)
        if value.uses_step(value.contexts()):
            raise CannotEdit(f"the step value at line {node.lineno} is that of all updates so far")
    _rename(editor, local, name, skipped)
    editor.replace(value.module, value.written, name)
    for argument in value.redundant_arguments():
        editor.drop_argument(value.module, call.node, argument)


def _keep_call(editor: Editor, value: LoggedValue, made: ast.Call, name: str) -> None:
    """Let the object be called as a statement before it is logged."""
    module = value.module
    start, end = module.source.end(made.func), module.source.end(made)
    text = name + module.source.text[start:end]
    if "\n" in text:
        raise CannotEdit(f"the call at line {made.lineno} stands on several lines")
    if not value.local:
        editor.insert_before(module, value.statement, [text])
    elif value.is_used:
        editor.replace(module, made.func, name)
    else:
        editor.replace(module, value.statement, text)


def _rename(editor: Editor, local: LocalMetric, name: str, skipped: tuple[ast.AST, ...]) -> None:
    """Let every place speak of the attribute.

    Raises:
        CannotEdit: one of them asks the object for more than to take a batch.
    """
    module = local.module
    for node in local.mentions:
        if node in skipped:
            continue
        above = module.parent(node)
        is_called = isinstance(above, ast.Call) and above.func is node
        if isinstance(above, ast.Attribute):
            if above.attr not in _FEEDS or not isinstance(module.parent(above), ast.Call):
                raise CannotEdit(f"line {node.lineno} calls {node.id}.{above.attr} in the step")
        elif not is_called and not _is_logged(module, node):
            raise CannotEdit(f"line {node.lineno} hands {node.id} on")
        editor.replace(module, node, name)


def _is_logged(module: Module, node: ast.AST) -> bool:
    above = module.parent(node)
    call = (
        module.parent(above) if isinstance(above, ast.keyword) and above.arg == "value" else above
    )
    return (
        isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr == "log"
    )
