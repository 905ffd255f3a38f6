"""Calls that are to change the type of a Metric object's states, and do not."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

from lintmetrics.model.made_metrics import made_metric
from lintmetrics.project import Module

_TYPES = {
    "double": "torch.float64",
    "half": "torch.float16",
    "bfloat16": "torch.bfloat16",
    "type": "",
}


@dataclass(frozen=True)
class TypeChange:
    """A call that leaves the states of a Metric object as they are.

    Args:
        module: the file; ``node``: the call; ``name``: the object as it is written.
        method: what is called; ``wanted``: the type that is asked for.
    """

    module: Module = field(repr=False)
    node: ast.Call
    name: str
    method: str
    wanted: str


def type_changes(module: Module) -> Iterator[TypeChange]:
    """Yield the calls of a file that ask a Metric object for another type."""
    code = module.source.code
    if not any(f".{method}(" in code for method in _TYPES):
        return
    for call in module.calls:
        func = call.func
        if not isinstance(func, ast.Attribute) or func.attr not in _TYPES:
            continue
        if call.keywords or len(call.args) != (func.attr == "type"):
            continue
        made = made_metric(module, func.value)
        if made is None or (made.cls is not None and made.cls.lookup(func.attr) is not None):
            continue
        wanted = _TYPES[func.attr] or module.source.segment(call.args[0])
        name = module.source.segment(func.value)
        shown = name if len(name) <= 40 and "\n" not in name else made.short
        yield TypeChange(module, call, shown, func.attr, wanted)
