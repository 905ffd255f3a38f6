"""Arguments of ``self.log`` and ``self.log_dict`` that Lightning refuses, and what they became."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING

from lintmetrics import facts
from lintmetrics.facts import LogArgument
from lintmetrics.model.lightning_objects import gives, is_left_alone, kind_of
from lintmetrics.project import FunctionInfo
from lintmetrics.releases import reaches
from lintmetrics.rule import Consequence
from lintmetrics.tree import subtree

if TYPE_CHECKING:
    from lintmetrics.project import ClassInfo, Module

_LOGS = ("log", "log_dict")
# What ``reduce_fx`` takes (lightning 2.6.6, logger_connector/result.py, _Metadata).
_REDUCTIONS = frozenset(
    (
        *("torch.mean", "torch.sum", "torch.min", "torch.max"),
        *("builtins.sum", "builtins.min", "builtins.max"),
    )
)
_REDUCTION_NAMES = frozenset(("mean", "avg", "sum", "min", "max"))


@dataclass(frozen=True, eq=False)
class RefusedArgument:
    """An argument of a log call that Lightning does not take, or not with this value.

    Args:
        module: the file; ``call``: the log call; ``node``: the argument.
        row: what became of it; ``None`` where no release had it.
        nearest: the argument that is spelled most like it, for one that no release had.
        consequence: what it does on the target.
    """

    module: Module = field(repr=False)
    call: ast.Call
    node: ast.keyword
    row: LogArgument | None
    nearest: str
    consequence: Consequence

    @property
    def method(self) -> str:
        """``log`` or ``log_dict``."""
        assert isinstance(self.call.func, ast.Attribute)
        return self.call.func.attr

    def given(self, name: str) -> ast.keyword | None:
        """Return another argument of the call."""
        return next((k for k in self.call.keywords if k.arg == name), None)

    def says_the_same(self, other: ast.keyword) -> bool:
        """Tell whether another argument is given the same reduction."""
        if ast.dump(self.node.value) == ast.dump(other.value):
            return True
        names = [_reduction(self.module, keyword.value) for keyword in (self.node, other)]
        return bool(names[0]) and names[0] == names[1]


def refused_arguments(module: Module) -> Iterator[RefusedArgument]:
    """Yield the arguments of a file's log calls that the target does not take."""
    for call in module.calls:
        func = call.func
        if not isinstance(func, ast.Attribute) or func.attr not in _LOGS:
            continue
        known = facts.log_arguments(func.attr)
        for keyword in call.keywords:
            name = keyword.arg
            if name is None:
                continue
            rows = known.get(name, ())
            if rows and len(rows) == 1 and rows[0].action == "current":
                continue
            if name == "reduce_fx" and not _is_refused_reduction(module, keyword.value):
                continue
            cls = _owner(module, func.value)
            if cls is None or is_left_alone(module, call, name):
                continue
            if not rows:
                if _is_plain(cls) and isinstance(func.value, ast.Name) and func.value.id == "self":
                    nearest = get_close_matches(name, [a for a in known if _is_current(known[a])])
                    yield RefusedArgument(
                        module, call, keyword, None, (nearest or [""])[0], Consequence.CRASH
                    )
                continue
            row = _row(module, rows, keyword.value)
            found = _consequence(row, module.project.target_lightning) if row else None
            if row is not None and found is not None:
                yield RefusedArgument(module, call, keyword, row, "", found)


@dataclass(frozen=True)
class UnusableKey:
    """A key of a log call that is surely no text.

    Args:
        module: the file; ``node``: the key; ``method``: ``log`` or ``log_dict``.
        kind: the type of the key, or ``None``.
    """

    module: Module = field(repr=False)
    node: ast.expr
    method: str
    kind: str


def unusable_keys(module: Module) -> Iterator[UnusableKey]:
    """Yield the keys of a file's log calls that Lightning cannot search for what it adds to keys.

    With ``add_dataloader_idx=False`` it does not search.
    """
    for call in module.calls:
        func = call.func
        if not isinstance(func, ast.Attribute) or func.attr not in _LOGS or not call.args:
            continue
        if any(keyword.arg in (None, "add_dataloader_idx") for keyword in call.keywords):
            continue
        keys: list[ast.expr | None] = [call.args[0]]
        if func.attr == "log_dict":
            given = call.args[0]
            keys = list(given.keys) if isinstance(given, ast.Dict) else []
            keys += [given.key] if isinstance(given, ast.DictComp) else []
        for key in keys:
            kind = "" if key is None else _kind_of_key(module, key)
            if key is None or not kind:
                continue
            cls = _owner(module, func.value)
            if cls is not None and not is_left_alone(module, call, func.attr):
                yield UnusableKey(module, key, func.attr, kind)


def _kind_of_key(module: Module, key: ast.expr) -> str:
    """Return the type of a key that is surely no text, as a message says it; else empty."""
    if isinstance(key, ast.Constant):
        value = key.value
        is_text = isinstance(value, (str, type(...)))
        return "" if is_text else "None" if value is None else type(value).__name__
    if isinstance(key, ast.Name) and _counts(module, key):
        return "int"
    return ""


def _counts(module: Module, name: ast.Name) -> bool:
    """Tell whether a name counts the rounds of the loop around it, and is bound nowhere else."""
    loops: list[tuple[ast.expr, ast.expr]] = []
    function = module.enclosing_function(name)
    for around in module.ancestors(name):
        if isinstance(around, ast.For):
            loops.append((around.target, around.iter))
        elif isinstance(around, ast.DictComp):
            loops += [(one.target, one.iter) for one in around.generators]
        if around is function:
            break
    for target, source in loops:
        func = source.func if isinstance(source, ast.Call) else None
        made = func.id if isinstance(func, ast.Name) else ""
        first = target.elts[0] if isinstance(target, ast.Tuple) and target.elts else None
        counter = target if made == "range" else first if made == "enumerate" else None
        if isinstance(counter, ast.Name) and counter.id == name.id:
            stores = [
                node
                for node in subtree(function or module.tree)
                if isinstance(node, ast.Name)
                and node.id == name.id
                and isinstance(node.ctx, ast.Store)
            ]
            return len(stores) == 1
    return False


def _is_current(rows: tuple[LogArgument, ...]) -> bool:
    return any(row.action == "current" for row in rows)


def _consequence(row: LogArgument, target: str) -> Consequence | None:
    if reaches(target, row.removed_in):
        return Consequence.CRASH
    if row.deprecated_in and reaches(target, row.deprecated_in):
        return Consequence.STALE
    return None


def _row(module: Module, rows: tuple[LogArgument, ...], value: ast.expr) -> LogArgument | None:
    """Return the row for a value: the first that fits."""
    for row in rows:
        if row.action == "current":
            continue
        if not row.values or _spelled(module, value) in row.values.split("|"):
            return row
    return None


def _spelled(module: Module, value: ast.expr) -> str:
    if isinstance(value, ast.Constant):
        return f'"{value.value.lower()}"' if isinstance(value.value, str) else str(value.value)
    return module.qualified(value) or ""


def _reduction(module: Module, value: ast.expr) -> str:
    """Return the name of a reduction that Lightning takes; empty for any other."""
    name = _spelled(module, value).strip('"').rpartition(".")[2]
    return "mean" if name == "avg" else name if name in _REDUCTION_NAMES else ""


def _is_refused_reduction(module: Module, value: ast.expr) -> bool:
    """Tell whether Lightning surely refuses to reduce with a value."""
    if isinstance(value, ast.Lambda):
        return True
    if isinstance(value, ast.Constant):
        text = value.value
        return text is None or (isinstance(text, str) and text.lower() not in _REDUCTION_NAMES)
    if isinstance(module.resolve(value), FunctionInfo):
        return True  # One of the project's own.
    name = module.qualified(value) or ""
    return name.startswith(("torch.", "numpy.", "statistics.", "math.")) and (
        name not in _REDUCTIONS and name.count(".") == 1
    )


def _owner(module: Module, receiver: ast.expr) -> ClassInfo | None:
    """Return the class of a module or callback whose ``log`` is Lightning's own."""
    if isinstance(receiver, ast.Call) and isinstance(receiver.func, ast.Name):
        if receiver.func.id != "super":
            return None
        cls = module.enclosing_class(receiver)
        above = cls.mro()[1:] if cls is not None else []
        owns = any(name in owner.namespace for owner in above for name in _LOGS)
        return None if cls is None or owns or not cls.is_kind("LightningModule") else cls
    cls = kind_of(module, receiver).cls
    if cls is None and isinstance(receiver, ast.Name):
        cls = module.enclosing_class(receiver)
        kind = kind_of(module, receiver)
        if receiver.id != "self" and "LightningModule" not in kind.names:
            return None
    if cls is None or not (cls.is_lightning or cls.is_kind("Callback")):
        return None
    family = (*cls.mro(), *cls.subclasses)
    if any(name in owner.namespace for owner in family for name in _LOGS):
        return None
    return cls


def _is_plain(cls: ClassInfo) -> bool:
    """Tell whether no base from elsewhere, and no attribute, may be a ``log`` of its own."""
    return cls.is_kind("LightningModule") and not gives(cls, "log")
