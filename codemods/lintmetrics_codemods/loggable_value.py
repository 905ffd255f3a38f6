"""Writes a logged value as one that ``self.log`` takes."""

from __future__ import annotations

import ast

from lintmetrics.codemod import Blocked, Codemod, Fix, Relation
from lintmetrics.config import Settings
from lintmetrics.edits import Editor
from lintmetrics.model.log_calls import LogCall
from lintmetrics.model.refused_values import RefusedValue
from lintmetrics.model.single_numbers import is_one_number
from lintmetrics.rule import Finding

_PLAIN = (ast.Name, ast.Attribute, ast.Subscript, ast.Call)
_BLOCKED = {
    "object": "the key of the Metric object is for you to say: self.log(key, ...)",
    "tracker": "which of its numbers is meant is for you to say: compute() or best_metric()",
    "entry": "which of its numbers are wanted is for you to say; the others have to be left out",
    "member": "which of its numbers are wanted is for you to say; it has to leave the collection",
}


class LoggableValue(Codemod):
    """The mean of several losses, the tensor behind an array, the members of a collection."""

    codes = ("LM603",)

    def plan(self, finding: Finding, settings: Settings) -> Fix | Blocked:
        """Plan one value."""
        call, value = finding.subject, finding.detail
        assert isinstance(call, LogCall)
        assert isinstance(value, RefusedValue)
        written, module = call.value_node, call.module
        editor = Editor()
        if value.kind in ("keyless", "keyed"):
            return _other_method(call, value)
        if value.kind in _BLOCKED:
            return Blocked(_BLOCKED[value.kind])
        assert written is not None
        if value.kind == "losses":
            text = module.source.segment(written)
            inner = text if isinstance(written, _PLAIN) else f"({text})"
            editor.replace(module, written, f"{inner}.mean()")
            return Fix(
                Relation.PRESERVES,
                "log the mean of the losses, as Lightning up to 1.6 did",
                editor.edits,
            )
        if value.kind == "rates" and value.made is written:
            end = module.source.end(written)
            editor.replace_range(module, end, end, "[0]")
            return Fix(
                Relation.ASSUMES,
                "log the rate of the first group; assumes that it stands for all",
                editor.edits,
            )
        if value.kind == "array":
            return _tensor(call, value)
        if value.kind == "collection":
            return _members(call)
        return Blocked(f"which number of {value.what} is meant is for you to say")


def _other_method(call: LogCall, value: RefusedValue) -> Fix | Blocked:
    """Plan ``log_dict`` for a dict, ``log`` for a key and a value."""
    func = call.node.func
    assert isinstance(func, ast.Attribute)
    if value.kind == "keyed" and len(call.node.args) != 2:
        return Blocked("which value belongs to the key is for you to say")
    new = "log_dict" if value.kind == "keyless" else "log"
    editor = Editor()
    editor.rename_attribute(call.module, func, new)
    return Fix(Relation.PRESERVES, f"call self.{new}", editor.edits)


def _tensor(call: LogCall, value: RefusedValue) -> Fix | Blocked:
    """Plan the tensor that an array is made of."""
    if value.made is not call.value_node:
        return Blocked(f"the array is made at line {value.made.lineno}; log the tensor behind it")
    inner: ast.expr = value.made
    editor, source = Editor(), call.module.source
    while (
        isinstance(inner, ast.Call)
        and isinstance(inner.func, ast.Attribute)
        and inner.func.attr in ("numpy", "cpu")
    ):
        inner = inner.func.value
    editor.replace_range(call.module, source.end(inner), source.end(value.made), "")
    if all(is_one_number(way.value) for way in call.contexts):
        return Fix(Relation.PRESERVES, "log the tensor itself", editor.edits)
    return Fix(
        Relation.ASSUMES, "log the tensor itself; assumes that it has one element", editor.edits
    )


def _members(call: LogCall) -> Fix | Blocked:
    """Plan a ``log_dict`` call of a collection."""
    node, func = call.node, call.node.func
    key, value = call.key_node, call.value_node
    if call.is_dict or key is None or value is None or len(node.args) != 2:
        return Blocked("log the members of the collection with self.log_dict")
    if any(keyword.arg in (None, "metric_attribute") for keyword in node.keywords):
        return Blocked("log_dict takes no metric_attribute")
    assert isinstance(func, ast.Attribute)
    editor, source = Editor(), call.module.source
    editor.rename_attribute(call.module, func, "log_dict")
    editor.replace_range(call.module, source.start(key), source.start(value), "")
    return Fix(
        Relation.ASSUMES,
        "log each member of the collection; assumes that the keys of the collection are wanted",
        editor.edits,
    )
