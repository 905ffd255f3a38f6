"""Arguments by position that Lightning reads as another parameter than they were written for."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from lintmetrics import facts
from lintmetrics.facts import LightningPosition
from lintmetrics.kept_answers import kept
from lintmetrics.model.batch_parts import local_value
from lintmetrics.model.lightning_objects import kind_of, kind_of_class
from lintmetrics.model.logged_keys import logged_keys
from lintmetrics.model.metric_api import is_guarded
from lintmetrics.model.tensors import constant
from lintmetrics.project import Module, Project

_FILE = re.compile(r"[^/\\]\.(?:txt|log|json|csv|prof|out|md)$")
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
    if wanted == "file":
        return _FILE.search(_end_of_path(module, node)) is not None
    if not isinstance(value, str):
        return False
    if wanted == "uri":
        return _URI.match(value) is not None
    if wanted == "text":
        return value != "all"
    return wanted == "key" and value in _plain_keys(module.project)


def _end_of_path(module: Module, node: ast.expr) -> str:
    """Return the last part of a path as far as it is written down."""
    if isinstance(node, ast.Name):
        made = local_value(module, node)
        return _end_of_path(module, made) if made is not None else ""
    value = constant(module, node)
    if isinstance(value, str):
        return value
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Div, ast.Add)):
        return _end_of_path(module, node.right)
    if isinstance(node, ast.JoinedStr) and node.values:
        return _end_of_path(module, node.values[-1])
    joined = isinstance(node, ast.Call) and getattr(node.func, "attr", "") in ("join", "joinpath")
    path = isinstance(node, ast.Call) and module.qualified(node.func) == "pathlib.Path"
    if isinstance(node, ast.Call) and node.args and (joined or path):
        return _end_of_path(module, node.args[-1])
    return ""


def _loggers(module: Module, node: ast.expr) -> frozenset[str]:
    """Return the loggers of Lightning that an expression is an instance of."""
    return frozenset(name for name in kind_of(module, node).names if name.endswith("Logger"))


@kept
def _plain_keys(project: Project) -> frozenset[str]:
    """Return the keys that a project surely logs."""
    return frozenset(
        key for key in logged_keys(project).keys if "*" not in key and key not in ("epoch", "step")
    )
