"""Callbacks that read logged numbers in a hook that Lightning 2 runs before the module's."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from lintmetrics.edits import FunctionNode
from lintmetrics.kept_answers import kept
from lintmetrics.model.epoch_hooks import STAGES, Stage, own_epoch_end
from lintmetrics.model.hook_methods import HookMethod
from lintmetrics.model.step_outputs import assignments
from lintmetrics.project import ClassInfo, Project
from lintmetrics.tree import subtree

_METRICS = ("callback_metrics", "logged_metrics", "progress_bar_metrics")
_EPOCH_END = re.compile(r"_epoch_end\b")


@dataclass(frozen=True)
class EarlyRead(HookMethod):
    """A key that a callback reads in a hook, and the module hook that logs it afterwards."""

    stage: Stage
    place: ast.expr
    key: str
    logged_by: str

    @property
    def shown(self) -> str:
        """How a message names what is read."""
        return f'"{self.key}"'

    @property
    def later(self) -> str | None:
        """The next hook that a callback has, which sees the number; none behind training."""
        return None if self.stage.loop == "train" else f"on_{self.stage.loop}_end"


def early_reads(cls: ClassInfo) -> Iterator[EarlyRead]:
    """Yield the first read of each hook of a callback that comes too early."""
    if not any(stage.hook in cls.methods for stage in STAGES) or not cls.is_kind("Callback"):
        return
    for stage in STAGES:
        function = cls.methods.get(stage.hook)
        if function is None:
            continue
        for place, key in _reads(function):
            logged_by = _logged(cls.module.project).get((stage.hook, key))
            if logged_by is not None:
                yield EarlyRead(cls, function, stage, place, key, logged_by)
                break


def _reads(function: FunctionNode) -> Iterator[tuple[ast.expr, str]]:
    names: set[str] = set()
    for node in subtree(function):
        if isinstance(node, ast.Assign) and _is_metrics(node.value, names):
            names.update(t.id for t in node.targets if isinstance(t, ast.Name))
    for node in subtree(function):
        key: ast.expr | None = None
        if isinstance(node, ast.Subscript) and _is_metrics(node.value, names):
            key = node.slice
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "get"
            and node.args
            and _is_metrics(node.func.value, names)
        ):
            key = node.args[0]
        if isinstance(key, ast.Constant) and isinstance(key.value, str):
            assert isinstance(node, ast.expr)
            yield node, key.value


def _is_metrics(node: ast.expr, names: set[str]) -> bool:
    if isinstance(node, ast.Name):
        return node.id in names
    return isinstance(node, ast.Attribute) and node.attr in _METRICS


@kept
def _logged(project: Project) -> dict[tuple[str, str], str]:
    """Return ``(hook, key)`` of every key that modules log in epoch-end hooks, with the hook."""
    table: dict[tuple[str, str], str] = {}
    elsewhere: set[str] = set()
    for module in project.mentioning(_EPOCH_END):
        for cls in module.classes:
            if not cls.is_lightning:
                continue
            for name, method in cls.methods.items():
                for key in _keys(method):
                    hook = next((s for s in STAGES if name in (s.hook, s.removed)), None)
                    if hook is None:
                        elsewhere.add(key)
                    elif own_epoch_end(cls, name) is not None:
                        table.setdefault((hook.hook, key), f"{cls.node.name}.{name}")
    for place in [place for place in table if place[1] in elsewhere]:
        # Logged in a step as well: what the callback reads cannot be told.
        del table[place]
    return table


def _keys(method: FunctionNode) -> Iterator[str]:
    for node in subtree(method):
        if not (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id == "self"
            and node.args
        ):
            continue
        given = node.args[0]
        if node.func.attr == "log" and isinstance(given, ast.Constant):
            yield str(given.value)
        elif node.func.attr == "log_dict":
            if isinstance(given, ast.Name):
                yield from _keys_of(method, given.id)
            else:
                yield from _keys_in(given)


def _keys_of(method: FunctionNode, name: str) -> Iterator[str]:
    """Yield the keys of a dict that a method makes, those set one by one as well."""
    for value in assignments(method, name):
        if value is not None:
            yield from _keys_in(value)
    for node in subtree(method):
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
            if isinstance(node.value, ast.Name) and node.value.id == name:
                yield from _texts([node.slice])
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "update"
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id == name
        ):
            yield from (keyword.arg for keyword in node.keywords if keyword.arg)
            for argument in node.args:
                yield from _keys_in(argument)


def _keys_in(value: ast.expr) -> Iterator[str]:
    if isinstance(value, ast.Dict):
        yield from _texts(value.keys)
    elif isinstance(value, ast.Call) and getattr(value.func, "id", "") == "dict":
        yield from (keyword.arg for keyword in value.keywords if keyword.arg)


def _texts(keys: Iterable[ast.expr | None]) -> Iterator[str]:
    for key in keys:
        if isinstance(key, ast.Constant) and isinstance(key.value, str):
            yield key.value
