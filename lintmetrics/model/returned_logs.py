"""Dicts under ``log`` and ``progress_bar`` that hooks return, which Lightning logged until 1.2."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from lintmetrics.edits import FunctionNode
from lintmetrics.model.epoch_hooks import (
    STAGE_OF_HOOK,
    STAGES,
    TRAINING,
    family,
    references,
    returns,
)
from lintmetrics.model.step_outputs import assignments
from lintmetrics.project import ClassInfo, Module
from lintmetrics.tree import own_nodes, subtree

KEYS = ("log", "progress_bar")


@dataclass(frozen=True)
class ReturnedLog:
    """A ``return`` of a hook whose dict has values that nobody logs."""

    cls: ClassInfo
    function: FunctionNode
    statement: ast.Return
    values: tuple[tuple[str, ast.expr], ...]

    @property
    def module(self) -> Module:
        """The file it stands in."""
        return self.cls.module

    @property
    def node(self) -> ast.AST:
        """The statement."""
        return self.statement

    @property
    def read_at(self) -> str | None:
        """Where another method reads the result of the hook, ``None`` when none does."""
        if self.function.name not in (TRAINING.step, *STAGE_OF_HOOK):
            return self._read_in_family()
        for reference in references(self.module.project, self.function.name):
            call = reference.call
            if reference.receiver == "other" or call is None or reference.cls is None:
                continue
            if self.cls not in (*reference.cls.mro(), *reference.cls.subclasses):
                continue
            if not isinstance(reference.module.parent(call), (ast.Expr, ast.Return)):
                return f"{reference.module.source.path}:{reference.line}"
        return None

    def _read_in_family(self) -> str | None:
        for cls in family(self.cls):
            for method in cls.methods.values():
                for node in own_nodes(method):
                    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                        continue
                    if node.func.attr != self.function.name:
                        continue
                    if not isinstance(cls.module.parent(node), (ast.Expr, ast.Return)):
                        return f"{cls.module.source.path}:{node.lineno}"
        return None


def returned_logs(cls: ClassInfo) -> Iterator[ReturnedLog]:
    """Yield the returns of the hooks of a class that hold numbers to log."""
    # A hook that others called lives on as a helper, whose result is no more looked at than its.
    for name in (TRAINING.step, *STAGE_OF_HOOK, *(stage.helper for stage in STAGES)):
        function = cls.methods.get(name)
        if function is None or not cls.is_lightning:
            continue
        for statement in returns(function):
            values: dict[str, ast.expr] = {}
            for key, value in _values(function, statement.value):
                values.setdefault(key, value)
            if values and not all(_is_logged(function, value) for value in values.values()):
                yield ReturnedLog(cls, function, statement, tuple(values.items()))


def _logs(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("log", "log_dict", "log_metrics")
    )


def _is_logged(function: FunctionNode, value: ast.expr) -> bool:
    """Tell whether a function gives a dict, or each of its items, to a log call."""
    if isinstance(value, ast.Dict):
        keys = {key.value if isinstance(key, ast.Constant) else ... for key in value.keys}
        return keys <= _logged_keys(function)
    if not isinstance(value, ast.Name):
        return False
    # What is filled in or given another value behind a log call is not logged by it.
    last = _last_change(function, value.id, value.lineno)
    items: set[object] = set()
    for node in own_nodes(function):
        parts: list[ast.AST] = []
        if isinstance(node, ast.For) and any(_logs(inner) for inner in subtree(node)):
            parts.append(node.iter)
        elif isinstance(node, ast.Call) and _logs(node):
            parts += [*node.args, *(keyword.value for keyword in node.keywords)]
        if getattr(node, "lineno", 0) < last:
            continue
        for part in parts:
            for inner in subtree(part):
                if not isinstance(inner, ast.Name) or inner.id != value.id:
                    continue
                around = getattr(inner, "lm_parent", None)
                if not isinstance(around, ast.Subscript) or around.value is not inner:
                    return True
                key = around.slice
                items.add(key.value if isinstance(key, ast.Constant) else ...)
    return bool(items) and (... in items or items >= _keys(function, value.id))


def _logged_keys(function: FunctionNode) -> set[object]:
    """Return the keys that the log calls of a function write out."""
    found: set[object] = set()
    for node in own_nodes(function):
        if not (isinstance(node, ast.Call) and _logs(node)):
            continue
        named = [keyword.value for keyword in node.keywords if keyword.arg == "name"]
        for given in (*node.args[:1], *named):
            if isinstance(given, ast.Constant):
                found.add(given.value)
            elif isinstance(given, ast.Dict):
                found |= {key.value for key in given.keys if isinstance(key, ast.Constant)}
    return found


def _last_change(function: FunctionNode, name: str, before: int) -> int:
    """Return the last line above another on which a name is bound or its dict is filled in."""
    lines = [0]
    for node in own_nodes(function):
        held: ast.AST = node
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
            held = node.value
        elif not (isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)):
            continue
        if isinstance(held, ast.Name) and held.id == name and held.lineno < before:
            lines.append(held.lineno)
    return max(lines)


def _keys(function: FunctionNode, name: str) -> set[object]:
    """Return the keys of a dict that a function writes out; none when it is made elsewhere."""
    found: set[object] = set()
    for value in assignments(function, name):
        if isinstance(value, ast.Dict):
            found |= {key.value if isinstance(key, ast.Constant) else ... for key in value.keys}
    return found


def _values(function: FunctionNode, value: ast.expr | None) -> tuple[tuple[str, ast.expr], ...]:
    """Return what a returned dict holds under the keys, as far as the function shows it."""
    filled: tuple[tuple[str, ast.expr], ...] = ()
    if isinstance(value, ast.Name):
        filled = _filled_in(function, value.id)
        found = assignments(function, value.id)
        value = found[0] if len(found) == 1 else None
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name):
        if value.func.id not in ("dict", "OrderedDict"):
            return filled
        given = tuple((k.arg, k.value) for k in value.keywords if k.arg in KEYS)
        if len(value.args) != 1:
            return (*((str(key), item) for key, item in given), *filled)
        (value,) = value.args
    if not isinstance(value, ast.Dict):
        return filled
    shown = tuple(
        (str(key.value), item)
        for key, item in zip(value.keys, value.values, strict=True)
        if isinstance(key, ast.Constant) and key.value in KEYS
    )
    return (*shown, *filled)


def _mentions(call: ast.Call, name: str) -> bool:
    return any(isinstance(inner, ast.Name) and inner.id == name for inner in subtree(call))


def _filled_in(function: FunctionNode, name: str) -> tuple[tuple[str, ast.expr], ...]:
    """Return the keys that a function puts into a dict, or puts something into in it."""
    found: dict[str, ast.expr] = {}
    for node in own_nodes(function):
        if isinstance(node, ast.Call) and _logs(node) and _mentions(node, name):
            return ()  # They may be logged by that.
        if not (isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store)):
            continue
        if isinstance(node.value, ast.Subscript):
            node = node.value
        if (
            isinstance(node.value, ast.Name)
            and node.value.id == name
            and isinstance(node.slice, ast.Constant)
            and node.slice.value in KEYS
        ):
            around = getattr(node, "lm_parent", None)
            given = around.value if isinstance(around, ast.Assign) else node
            if not _is_logged(function, given):
                found.setdefault(str(node.slice.value), node)
    return tuple(found.items())
