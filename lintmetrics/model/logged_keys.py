"""The keys under which a project logs numbers, as far as they are written down."""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lintmetrics.kept_answers import kept
from lintmetrics.model.flow import LightningClass
from lintmetrics.model.put_style import is_put
from lintmetrics.model.tensors import bindings
from lintmetrics.model.watched_runs import ALL_RUNS, Runs

if TYPE_CHECKING:
    from lintmetrics.project import Module, Project

LOG = re.compile(r"\.(?:log|put)(?:_dict)?\(")
# Objects with a `log` of their own that tells Lightning nothing.
_OTHER_LOGS = re.compile(r"logg|math|np$|numpy|torch|wandb|mlflow|experiment|console|writer", re.I)
_SUFFIX = re.compile(r"(?:_epoch|_step)?(?:/dataloader_idx_\d+)?$")
# What Lightning and its callbacks log by themselves.
_OF_LIGHTNING = re.compile(r"(?:step|epoch|global_step|v_num|lr\b.*)$")
_NEAR = 0.6
_SHOWN = 4


@dataclass(frozen=True)
class LoggedKeys:
    """The keys that a project logs.

    Args:
        keys: those that are written down, and templates with ``*`` for what is not known.
        is_open: whether something is logged under a key of which nothing is known.
    """

    keys: frozenset[str]
    is_open: bool

    def may_hold(self, key: str) -> bool:
        """Tell whether a key may be there, with the endings that Lightning gives keys."""
        if self.is_open or not self.keys or _OF_LIGHTNING.match(key):
            return True
        wanted = {key, _SUFFIX.sub("", key), re.sub(r"/dataloader_idx_\d+$", "", key)}
        return any(
            name in wanted
            or ("*" in name and any(pattern_of(name).fullmatch(one) for one in wanted))
            for name in self.keys
        )

    def nearest(self, key: str) -> str:
        """Return the key that is most like one; empty when none is."""
        plain = sorted(name for name in self.keys if "*" not in name)
        near = difflib.get_close_matches(key, plain, 1, _NEAR)
        return near[0] if near else ""

    def shown(self, key: str) -> str:
        """Return what is logged in words for a person, what is most like a key first."""
        ranked = difflib.get_close_matches(key, sorted(self.keys), len(self.keys), 0)
        said = ", ".join(f'"{name}"' for name in ranked[:_SHOWN])
        return f"{said} and {len(ranked) - _SHOWN} more" if len(ranked) > _SHOWN else said


def pattern_of(template: str) -> re.Pattern[str]:
    """Return what the keys of a template with ``*`` look like."""
    return re.compile(".*".join(re.escape(part) for part in template.split("*")))


@kept
def logged_keys(project: Project, runs: Runs = ALL_RUNS) -> LoggedKeys:
    """Return every key that trainings of a project log; worked out only where a key is in doubt."""
    keys: set[str] = set()
    for module in project.mentioning(LOG):
        if not runs.may_run(module):
            continue
        for call, key in _keys_in(module):
            if not runs.has_part(module, call):
                continue
            if key is None or not key.strip("*"):
                return LoggedKeys(frozenset(keys), True)
            keys.add(key)
    return LoggedKeys(frozenset(keys), False)


@kept
def _keys_in(module: Module) -> list[tuple[ast.Call, str | None]]:
    return [(call, key) for call in module.calls for key in keys_of(module, call)]


def keys_of(module: Module, call: ast.Call) -> Iterator[str | None]:
    """Yield the keys of a log call as templates, ``None`` for one that is not known."""
    func = call.func
    if is_put(module, call):
        yield from _written_keys(module, call)
        return
    if not (isinstance(func, ast.Attribute) and func.attr in ("log", "log_dict")):
        return
    if _OTHER_LOGS.search(module.source.segment(func.value)):
        return
    if func.attr == "log" and len(call.args) + len(call.keywords) < 2:
        return
    cls = module.enclosing_class(call)
    ways = LightningClass.of(cls).calls_at(call) if cls is not None and cls.is_lightning else []
    if ways:
        yield from (way.key for one in ways for way in one.contexts)
        return
    yield from _written_keys(module, call)


def _written_keys(module: Module, call: ast.Call) -> Iterator[str | None]:
    """Yield the keys that are written in a call, ``None`` for what is not known."""
    assert isinstance(call.func, ast.Attribute)
    names = ("name", "dictionary", "values")
    named = next((k.value for k in call.keywords if k.arg in names), None)
    given = named or (call.args[0] if call.args else None)
    if not call.func.attr.endswith("_dict"):
        yield _template(module, given)
    elif isinstance(given, ast.Dict):
        yield from (None if key is None else _template(module, key) for key in given.keys)
    else:
        yield None


def _template(module: Module, node: ast.expr | None) -> str | None:
    if isinstance(node, ast.JoinedStr):
        return "".join(
            str(part.value) if isinstance(part, ast.Constant) else "*" for part in node.values
        )
    return text_of(module, node) or None


def text_of(module: Module, node: ast.expr | None) -> str:
    """Return a string that is written down, here or in a constant of the file."""
    if isinstance(node, ast.Name) and module.enclosing_function(node) is not None:
        function = module.enclosing_function(node)
        if function is not None and node.id in module.scope_of(function):
            bound = bindings(module, node.id, function)
            only = bound[0] if len(bound) == 1 else None
            node = only.value if isinstance(only, ast.Assign) else None
    if isinstance(node, ast.Name):
        value = module.constant(node.id)
        return value if isinstance(value, str) else ""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
