"""Keys that one hook logs twice with different arguments, or for several loaders as one."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lintmetrics.model.hooks import STEPS, stage_of
from lintmetrics.model.loaders import how_many
from lintmetrics.model.values import Metric, Number, options

if TYPE_CHECKING:
    from lintmetrics.model.flow import LightningClass
    from lintmetrics.model.log_calls import LogCall, LogContext

_FLAGS = {"prog_bar": False, "logger": True, "enable_graph": False, "add_dataloader_idx": True}
# What Lightning adds to a key itself (lightning 2.6.6, core/module.py, LightningModule.log).
_LOADER = "/dataloader_idx_"


@dataclass(frozen=True)
class Clash:
    """A log call that raises for one before it.

    Args:
        first: the call before; ``call``: the one that raises.
        hook: the hook that runs both; ``key``: what both log.
        what: the argument that differs.
    """

    first: LogCall
    call: LogCall
    hook: str
    key: str
    what: str


def clashes(model: LightningClass) -> Iterator[Clash]:
    """Yield the log calls of a class that give a key of their hook other arguments."""
    groups: dict[tuple[str, str], list[tuple[LogCall, LogContext]]] = {}
    for call in model.log_calls:
        for way in call.contexts:
            if way.key is not None and "*" not in way.key and way.certain:
                groups.setdefault((way.hook, way.key), []).append((call, way))
    for (hook, key), group in groups.items():
        first, *others = group
        for call, way in others:
            what = _difference(first, (call, way))
            if what and call.node is not first[0].node:
                yield Clash(first[0], call, hook, key, what)
                break


def doubles(model: LightningClass) -> Iterator[Clash]:
    """Yield the log calls of a class that join another number to one key of their hook.

    ``what`` is what becomes of the two: their mean where the epoch is logged, else the later one.
    """
    groups: dict[tuple[str, str], list[tuple[LogCall, LogContext]]] = {}
    for call in model.log_calls:
        for way in call.contexts:
            if way.key is not None and "*" not in way.key and _is_once(call, way):
                groups.setdefault((way.hook, way.key), []).append((call, way))
    for (hook, key), ((first, way), *others) in groups.items():
        for call, other in others:
            if call.node is first.node or call.function is not first.function:
                continue
            if _difference((first, way), (call, other)) or _written(first) == _written(call):
                continue
            what = "their mean is" if way.on_epoch else "the later one is"
            yield Clash(first, call, hook, key, what)
            break


def _is_once(call: LogCall, way: LogContext) -> bool:
    """Tell whether a call surely logs one plain number in each run of its hook."""
    loops = (ast.For, ast.While, ast.comprehension, ast.ListComp, ast.Try)
    if not way.certain or way.conditional or way.on_epoch is None or call.value_node is None:
        return False
    if any(isinstance(around, loops) for around in call.module.ancestors(call.node)):
        return False
    found = options(way.value)
    return len(found) == 1 and isinstance(found[0], Number)


def _written(call: LogCall) -> str:
    return "" if call.value_node is None else ast.unparse(call.value_node)


def _difference(one: tuple[LogCall, LogContext], other: tuple[LogCall, LogContext]) -> str:
    """Return the argument in which two calls surely differ; empty where none does."""
    (first, way), (second, way2) = one, other
    for name, default in _FLAGS.items():
        given, given2 = _flag(first, name, default), _flag(second, name, default)
        if given is not None and given2 is not None and given != given2:
            return name
    for name in ("on_step", "on_epoch"):
        level, level2 = getattr(way, name), getattr(way2, name)
        if level is not None and level2 is not None and level != level2:
            return name
    if "?" not in (way.reduce_fx, way2.reduce_fx) and way.reduce_fx != way2.reduce_fx:
        return "reduce_fx"
    held, held2 = _object(way), _object(way2)
    return "Metric objects" if held is not None and held2 is not None and held != held2 else ""


def _flag(call: LogCall, name: str, default: bool) -> bool | None:
    """Return what an argument is given, ``None`` where that does not show."""
    plain = len(call.node.args) <= (1 if call.is_dict else 2)
    if not plain or any(keyword.arg is None for keyword in call.node.keywords):
        return None
    given = call.argument(name)
    if given is None:
        return default
    if isinstance(given, ast.Constant) and isinstance(given.value, bool):
        return given.value
    return default if isinstance(given, ast.Constant) and given.value is None else None


def _object(way: LogContext) -> str | None:
    """Return how the module holds what is logged; empty for a number, ``None`` if not known."""
    found = options(way.value)
    if len(found) != 1:
        return None
    (value,) = found
    if isinstance(value, Metric):
        return value.path if value.path and "..." not in value.path else None
    return "" if isinstance(value, Number) else None


def loader_clashes(model: LightningClass) -> Iterator[tuple[LogCall, str, str]]:
    """Yield log calls that raise where there are several loaders, with a message and a help."""
    for call in model.log_calls:
        for way in call.contexts:
            key = way.key or ""
            added = _flag(call, "add_dataloader_idx", True)
            if _LOADER in key and added:
                yield (
                    call,
                    f'"{key}" holds {_LOADER}, which Lightning adds itself and refuses in a key',
                    "leave it out of the key, or say add_dataloader_idx=False",
                )
                break
            if added is False and way.certain and "*" not in key and _has_several(model, way.hook):
                yield (
                    call,
                    f'"{key}" is one key for several dataloaders, with add_dataloader_idx=False',
                    "put dataloader_idx into the key, or leave add_dataloader_idx out",
                )
                break


def _has_several(model: LightningClass, hook: str) -> bool:
    """Tell whether a step is surely run for several loaders: they show, or it wants an index."""
    info = model.cls.lookup(hook) if hook in STEPS and hook != "training_step" else None
    if info is None:
        return False
    arguments = info.node.args
    names = [argument.arg for argument in arguments.args]
    if "dataloader_idx" not in names:
        return False
    if how_many(model.cls, stage_of(hook)) > 1:
        return True
    return len(names) - names.index("dataloader_idx") > len(arguments.defaults)
