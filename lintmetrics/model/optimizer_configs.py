"""What ``configure_optimizers`` returns, where Lightning refuses it or reads a part of it."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterator
from dataclasses import dataclass, field

from lintmetrics import facts
from lintmetrics.edits import FunctionNode
from lintmetrics.model.optimizers import is_automatic
from lintmetrics.model.tensors import bindings
from lintmetrics.model.trails import own_returns
from lintmetrics.project import ClassInfo, Module
from lintmetrics.rule import Consequence
from lintmetrics.tree import is_none

_PLATEAU = "torch.optim.lr_scheduler.ReduceLROnPlateau"
_SCHEDULER = "torch.optim.lr_scheduler."
_OPTIMIZER = "torch.optim."
_REFUSED = "MisconfigurationException"


@dataclass(frozen=True)
class MisreadConfig:
    """A part of what is returned that Lightning refuses or does not read.

    Args:
        module: the file; ``node``: the part.
        message: what is wrong; ``help``: what to write.
        consequence: what comes of it.
    """

    module: Module = field(repr=False)
    node: ast.expr
    message: str
    help: str
    consequence: Consequence = Consequence.CRASH


def misread_configs(cls: ClassInfo) -> Iterator[MisreadConfig]:
    """Yield what is wrong with what a module's own ``configure_optimizers`` returns."""
    method = cls.own("configure_optimizers")
    if method is None or method.cls is not cls or not cls.is_kind("LightningModule"):
        return
    answer = _Answer(method.module, method.node, cls)
    for returned in own_returns(method):
        if returned.value is not None:
            yield from answer.look_at(returned.value)


@dataclass(frozen=True)
class _Answer:
    """The reader of one method."""

    module: Module
    method: FunctionNode
    cls: ClassInfo

    def look_at(self, node: ast.expr) -> Iterator[MisreadConfig]:
        """Yield what is wrong with an expression that is returned."""
        value = self._said(node)
        if isinstance(value, ast.Dict):
            yield from self._optimizer(value)
        elif isinstance(value, (ast.List, ast.Tuple)) and value.elts:
            items = [self._said(item) for item in value.elts]
            if all(isinstance(item, ast.Dict) for item in items):
                for item in items:
                    assert isinstance(item, ast.Dict)
                    yield from self._optimizer(item, several=True)
            elif len(items) == 2:
                yield from self._pair(value, items[0], items[1])

    def _pair(
        self, node: ast.expr, first: ast.expr | None, second: ast.expr | None
    ) -> Iterator[MisreadConfig]:
        """Yield what is wrong with two things: lists of optimizers and schedulers, one hopes."""
        if self._made(first, _OPTIMIZER) and not self._made(first, _SCHEDULER):
            listed = isinstance(second, ast.List) and len(second.elts) == 1
            other = (
                self._said(second.elts[0]) if isinstance(second, ast.List) and listed else second
            )
            if self._made(other, _SCHEDULER):
                yield MisreadConfig(
                    self.module,
                    node,
                    "an optimizer and a scheduler are returned side by side, which Lightning takes "
                    f"for two optimizers: {_REFUSED}",
                    "return [optimizer], [scheduler]",
                )
            return
        if not isinstance(first, ast.List):
            return
        held = second.elts if isinstance(second, ast.List) else [second] if second else []
        for item in held:
            yield from self._scheduler(item, None, outer=False)

    def _optimizer(self, config: ast.Dict, several: bool = False) -> Iterator[MisreadConfig]:
        """Yield what is wrong with the dict of an optimizer."""
        entries, is_whole = _entries(config)
        scheduler = entries.get("lr_scheduler")
        if is_whole and "optimizer" not in entries:
            yield MisreadConfig(
                self.module, config, 'the dict of an optimizer lacks "optimizer": KeyError', _SHAPE
            )
            return
        yield from self._unread(entries, "optimizer", scheduler is not None)
        if scheduler is None:
            return
        said = self._said(scheduler)
        if isinstance(said, (ast.List, ast.Tuple)) or is_none(said):
            yield MisreadConfig(
                self.module,
                scheduler,
                f'"lr_scheduler" is {"None" if is_none(said) else "a list"}, and no scheduler: '
                "AttributeError",
                "leave it out" if is_none(said) else _SHAPE,
            )
            return
        monitor = None if several else entries.get("monitor")
        yield from self._scheduler(scheduler, monitor, outer=is_whole)

    def _scheduler(
        self, node: ast.expr, monitor: ast.expr | None, outer: bool
    ) -> Iterator[MisreadConfig]:
        """Yield what is wrong with a scheduler, or with its dict.

        Args:
            node: the scheduler; ``monitor``: the key beside it in the dict of the optimizer.
            outer: whether that dict is seen as a whole.
        """
        said = self._said(node)
        if not isinstance(said, ast.Dict):
            lacks = monitor is None or is_none(self._said(monitor))
            if self._is_plateau(said) and lacks and (outer or not self._in_dict(node)):
                yield self._without_monitor(node)
            return
        entries, is_whole = _entries(said)
        yield from self._unread(entries, "scheduler", True)
        if not is_whole:
            return
        if "scheduler" not in entries:
            yield MisreadConfig(
                self.module, said, f'the dict of a scheduler lacks "scheduler": {_REFUSED}', _SHAPE
            )
            return
        if not is_automatic(self.cls):
            return
        interval = self._said(entries["interval"]) if "interval" in entries else None
        if isinstance(interval, ast.Constant) and interval.value not in ("step", "epoch"):
            yield MisreadConfig(
                self.module,
                interval,
                f'"interval" is {ast.unparse(interval)}, and neither step nor epoch: {_REFUSED}',
                'say "step" or "epoch"',
            )
        forced = entries.get("reduce_on_plateau")
        watched = entries.get("monitor")
        lacks = watched is None or is_none(self._said(watched))
        is_plateau = self._is_plateau(self._said(entries["scheduler"])) and forced is None
        if lacks and (is_plateau or (isinstance(forced, ast.Constant) and forced.value is True)):
            yield self._without_monitor(said)

    def _without_monitor(self, node: ast.expr) -> MisreadConfig:
        return MisreadConfig(
            self.module,
            node,
            f"the ReduceLROnPlateau of {self.cls.node.name} has no monitor: {_REFUSED}",
            '"lr_scheduler": {"scheduler": scheduler, "monitor": "val_loss"}',
        )

    def _unread(
        self, entries: dict[str, ast.expr], kind: str, has_scheduler: bool
    ) -> Iterator[MisreadConfig]:
        """Yield the keys of a dict that Lightning does not read."""
        known = facts.optimizer_keys(kind)
        inner = facts.optimizer_keys("scheduler")
        for key, value in entries.items():
            if key in known or (key == "frequency" and not has_scheduler):
                continue  # How often an optimizer was run is a matter of Lightning 1.
            near = difflib.get_close_matches(key, sorted(known), 1, 0.75)
            if kind == "optimizer" and key == "scheduler" and not has_scheduler:
                near = ["lr_scheduler"]
            if kind == "optimizer" and key in inner and has_scheduler:
                help_ = f'it goes with the scheduler: {{"scheduler": scheduler, "{key}": ...}}'
            else:
                help_ = f'call it "{near[0]}"' if near else "leave it out"
            yield MisreadConfig(
                self.module,
                value,
                f'"{key}" in the dict of {"an" if kind == "optimizer" else "a"} {kind} is read by '
                "nobody",
                help_,
                Consequence.IGNORED,
            )

    def _is_plateau(self, node: ast.expr | None) -> bool:
        is_made = isinstance(node, ast.Call) and self.module.qualified(node.func) == _PLATEAU
        return is_made and is_automatic(self.cls)

    def _made(self, node: ast.expr | None, root: str) -> bool:
        """Tell whether an expression makes an object of a class below a root."""
        if not isinstance(node, ast.Call):
            return False
        name = self.module.qualified(node.func) or ""
        return name.startswith(root) and name.rpartition(".")[2][:1].isupper()

    def _in_dict(self, node: ast.expr) -> bool:
        return isinstance(self.module.parent(node), ast.Dict)

    def _said(self, node: ast.expr | None) -> ast.expr | None:
        """Return what a name is bound to, once and for all; ``None`` where that is not known."""
        if not isinstance(node, ast.Name):
            return node
        bound = bindings(self.module, node.id, self.method)
        only = bound[0] if len(bound) == 1 else None
        if isinstance(only, ast.Assign) and isinstance(only.targets[0], ast.Name):
            return None if _is_changed(self.method, node.id) else only.value
        return None


_SHAPE = '{"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, ...}}'


def _is_changed(method: FunctionNode, name: str) -> bool:
    """Tell whether a method is called on a name that may change what it holds."""
    changing = ("append", "extend", "insert", "update", "pop", "setdefault", "clear", "remove")
    return any(
        isinstance(node, ast.Attribute)
        and node.attr in changing
        and isinstance(node.value, ast.Name)
        and node.value.id == name
        for node in ast.walk(method)
    )


def _entries(config: ast.Dict) -> tuple[dict[str, ast.expr], bool]:
    """Return the entries of a dict by their keys, and whether those are all."""
    found: dict[str, ast.expr] = {}
    is_whole = True
    for key, value in zip(config.keys, config.values, strict=True):
        if isinstance(key, ast.Constant) and isinstance(key.value, str):
            found[key.value] = value
        else:
            is_whole = False
    return found, is_whole
