"""What each hook lets ``self.log`` do, and the log calls that ask for more."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lintmetrics import facts
from lintmetrics.facts import LogHook
from lintmetrics.model.epoch_hooks import family
from lintmetrics.releases import reaches
from lintmetrics.tree import own_nodes, subtree

if TYPE_CHECKING:
    from lintmetrics.edits import FunctionNode
    from lintmetrics.model.flow import LightningClass
    from lintmetrics.model.log_calls import LogCall, LogContext
    from lintmetrics.project import ClassInfo, Module, Project

_LOGS = ("log", "log_dict")


def allowed_in(hook: str, project: Project) -> LogHook | None:
    """Return what a hook allows on the target of a project; ``None`` where that is not known."""
    row = facts.log_hooks().get(hook)
    return row if row is not None and reaches(project.target_lightning, row.since) else None


@dataclass(frozen=True, eq=False)
class RefusedCall:
    """A log call in a hook in which Lightning takes none.

    Args:
        model: the class that has the hook.
        call: the log call; ``hook``: what is known of the hook.
        method: the hook as it is written.
    """

    model: LightningClass
    call: LogCall
    hook: LogHook
    method: FunctionNode

    @property
    def module(self) -> Module:
        """The file that holds the call."""
        return self.call.module

    @property
    def node(self) -> ast.AST:
        """The call."""
        return self.call.node


def refused_calls(model: LightningClass) -> Iterator[RefusedCall]:
    """Yield the log calls of a class that raise wherever they stand in their hook.

    Those that only some runs come to are left out, unless the hook itself has them: what decides
    there may well be which loop runs.
    """
    cls = model.cls
    for name, row in facts.log_hooks().items():
        if row.levels or not reaches(cls.module.project.target_lightning, row.since):
            continue
        info = cls.lookup(name)
        if info is None or info.cls is None or not _may_log(cls, info.node):
            continue
        if _is_called_by_hand(cls, name):
            continue  # Then it logs for the hook that calls it.
        for call in model.refused_calls(name):
            (way,) = call.contexts
            in_hook = call.function is info.node and not name.startswith(("predict", "on_predict"))
            if (way.certain or in_hook) and not _is_tried(call):
                yield RefusedCall(model, call, row, info.node)


@dataclass(frozen=True, eq=False)
class RefusedLevels:
    """A log call that asks for levels which its hook does not take.

    Args:
        call: the log call; ``ways``: those of its ways that are refused, with what is wrong with
            each: ``"step"`` (``on_step=True`` where only epochs are), ``"epoch"``
            (``on_epoch=False`` there) or ``"none"`` (neither).
    """

    call: LogCall
    ways: tuple[tuple[LogContext, str], ...] = field(default=())

    @property
    def raises(self) -> bool:
        """Whether it raises on the target; what has no level left did not up to 1.4."""
        target = self.module.project.target_lightning
        return any(what != "none" for _, what in self.ways) or reaches(target, "1.5")

    @property
    def module(self) -> Module:
        """The file that holds the call."""
        return self.call.module

    @property
    def node(self) -> ast.AST:
        """The call."""
        return self.call.node


def refused_levels(call: LogCall) -> RefusedLevels | None:
    """Return what a log call asks for and does not get; ``None`` where it gets all."""
    found = []
    for way in call.contexts:
        if way.on_step is None or way.on_epoch is None:
            continue
        row = allowed_in(way.hook, call.module.project)
        if row is None or (not way.certain and not _stands_in(call, way.hook)):
            continue
        wrong = ""
        if row.levels == "epoch" and way.on_step:
            wrong = "step"
        elif row.levels == "epoch" and not way.on_epoch:
            wrong = "epoch"
        elif row.levels and not way.on_step and not way.on_epoch:
            wrong = "none"
        if wrong:
            found.append((way, wrong))
    return RefusedLevels(call, tuple(found)) if found and not _is_tried(call) else None


def _stands_in(call: LogCall, hook: str) -> bool:
    return call.function is not None and call.function.name == hook


def _is_tried(call: LogCall) -> bool:
    return any(isinstance(above, ast.Try) for above in call.module.ancestors(call.node))


def _may_log(cls: ClassInfo, function: FunctionNode) -> bool:
    """Tell whether a method, or one that it calls, has a log call in it."""
    known: set[FunctionNode] = set()
    todo = [function]
    while todo:
        method = todo.pop()
        if method in known:
            continue
        known.add(method)
        for node in own_nodes(method):
            if not isinstance(node, ast.Call):
                continue
            func = node.func
            if isinstance(func, ast.Attribute):
                if func.attr in _LOGS:
                    return True
                todo += [c.methods[func.attr] for c in cls.mro() if func.attr in c.methods]
            elif isinstance(func, ast.Name):
                found = cls.module.resolve(func)
                made = getattr(found, "node", None)
                if isinstance(made, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    todo.append(made)
    return False


def _is_called_by_hand(cls: ClassInfo, hook: str) -> bool:
    return any(
        isinstance(node, ast.Attribute)
        and node.attr == hook
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
        for member in family(cls)
        for node in subtree(member.node)
    )
