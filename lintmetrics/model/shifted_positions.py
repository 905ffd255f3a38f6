"""Arguments by position that Lightning reads as another parameter than they were written for."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from lintmetrics import facts
from lintmetrics.facts import LightningPosition
from lintmetrics.kept_answers import kept
from lintmetrics.model.lightning_objects import kind_of, kind_of_class
from lintmetrics.model.logged_keys import logged_keys
from lintmetrics.model.metric_api import is_guarded
from lintmetrics.model.tensors import constant
from lintmetrics.project import Module, Project

_URI = re.compile(r"\w+://|(?:file|sqlite):")


@dataclass(frozen=True)
class ShiftedPosition:
    """An argument by position that is another parameter today.

    Args:
        module: the file; ``node``: the argument; ``call``: the call that is given it.
        row: what is known of the place.
    """

    module: Module = field(repr=False)
    node: ast.expr
    call: ast.Call
    row: LightningPosition


def shifted_positions(module: Module) -> Iterator[ShiftedPosition]:
    """Yield the arguments of a file whose values only fit what they once were."""
    table = facts.lightning_positions()
    if not any(f"{name}(" in module.source.code for name in table):
        return
    for call in module.calls:
        func = call.func
        name = func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")
        if not call.args or name not in table:
            continue
        if any(isinstance(one, ast.Starred) for one in call.args):
            continue
        if name not in kind_of_class(module.resolve(func)).names or is_guarded(module, call):
            continue
        given = {keyword.arg for keyword in call.keywords}
        for row in table[name]:
            place = int(row.position)
            if place >= len(call.args) or row.old in given or None in given:
                continue
            if row.value == "key" and place < len(call.args) - 1:
                continue  # What comes behind it may be watched.
            if _fits(module, row.value, call.args[place]):
                yield ShiftedPosition(module, call.args[place], call, row)


def _fits(module: Module, wanted: str, node: ast.expr) -> bool:
    value = constant(module, node)
    if wanted == "any":
        return True
    if wanted == "object":
        return isinstance(node, ast.Call) and bool(_loggers(module, node))
    if wanted == "bool":
        return isinstance(value, bool)
    if not isinstance(value, str):
        return False
    if wanted == "uri":
        return _URI.match(value) is not None
    if wanted == "text":
        return value != "all"
    return wanted == "key" and value in _plain_keys(module.project)


def _loggers(module: Module, node: ast.expr) -> frozenset[str]:
    """Return the loggers of Lightning that an expression is an instance of."""
    return frozenset(name for name in kind_of(module, node).names if name.endswith("Logger"))


@kept
def _plain_keys(project: Project) -> frozenset[str]:
    """Return the keys that a project surely logs."""
    return frozenset(
        key for key in logged_keys(project).keys if "*" not in key and key not in ("epoch", "step")
    )
