"""Calls that hand Lightning's own methods more than they take today."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from lintmetrics import facts
from lintmetrics.facts import Hook
from lintmetrics.model.epoch_hooks import outputs_parameter
from lintmetrics.model.hook_signatures import misfits
from lintmetrics.model.lightning_objects import has_strange_bases, is_left_alone
from lintmetrics.model.lightning_versions import consequence
from lintmetrics.model.own_hooks import given_first, owners
from lintmetrics.project import ClassInfo, Module
from lintmetrics.rule import Consequence
from lintmetrics.tree import subtree

_OPTIMIZER = re.compile(r"opt", re.I)
_INDEX = re.compile(r"idx|index|^i$", re.I)


@dataclass(frozen=True)
class SurplusCall:
    """A call of a method of Lightning with arguments that it takes no longer.

    Args:
        cls: the class that it stands in; ``call``: the call.
        spelled: how a message names the method.
        surplus: the arguments; ``row``: what changed.
        consequence: what comes of it.
    """

    cls: ClassInfo
    call: ast.Call
    spelled: str
    surplus: tuple[ast.expr | ast.keyword, ...]
    row: Hook
    consequence: Consequence

    @property
    def module(self) -> Module:
        """The file it stands in."""
        return self.cls.module

    @property
    def node(self) -> ast.AST:
        """The call."""
        return self.call


def surplus_calls(cls: ClassInfo) -> Iterator[SurplusCall]:
    """Yield the calls in a class that Lightning's methods refuse."""
    for owner in owners(cls):
        ended = facts.hooks_of(owner, "epoch-outputs")
        changed = {**ended, **facts.hooks_of(owner, "signature")}
        called = facts.hooks_of(owner, "call")
        for node in subtree(cls.node):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            name, receiver = node.func.attr, node.func.value
            if not (name in changed or name in called):
                continue
            if not (_is_super(receiver) or getattr(receiver, "id", "") == "self"):
                continue
            if any(name in above.namespace for above in cls.mro()[1:]):
                continue  # It is the project's own that is called.
            surplus: list[ast.expr | ast.keyword] = []
            row = called.get(name)
            if _is_super(receiver) and name in changed:
                row, spelled = changed[name], f"super().{name}"
                surplus = _beyond(node, owner, row)
            elif row is not None:
                spelled = f"self.{name}"
                surplus = _old(node, row) if name not in cls.namespace else []
            if not surplus or row is None or cls.module.enclosing_class(node) is not cls:
                continue
            around = cls.module.enclosing_function(node)
            waits = around is not None and outputs_parameter(around) is not None
            if waits and owner == "module" and row is ended.get(name):
                continue  # The hook is told to collect the outputs itself.
            if has_strange_bases(cls) or name in {misfit.name for misfit in misfits(cls)}:
                continue  # Another's method may be called, or the parameter goes with it.
            found = consequence(row, cls.module.project)
            if found is not None and not is_left_alone(cls.module, node, name):
                yield SurplusCall(cls, node, spelled, tuple(surplus), row, found)


def _is_super(receiver: ast.expr) -> bool:
    return (
        isinstance(receiver, ast.Call)
        and isinstance(receiver.func, ast.Name)
        and receiver.func.id == "super"
        and not receiver.args
    )


def _beyond(call: ast.Call, owner: str, row: Hook) -> list[ast.expr | ast.keyword]:
    """Return the arguments of a call of ``super()`` that the hook of today does not take."""
    current = facts.hook(owner, row.name, "current")
    names = [*given_first(owner, row.name)]
    names += [p.name for p in (current.parameters if current is not None else ())]
    old = {p.name for p in row.parameters} - set(names)
    if not old or row.name == "backward":
        return []  # Nothing went, or Lightning's own takes anything.
    if any(isinstance(argument, ast.Starred) for argument in call.args):
        return []
    return [
        *call.args[len(names) :],
        *(k for k in call.keywords if k.arg is not None and k.arg not in names),
    ]


def _old(call: ast.Call, row: Hook) -> list[ast.expr | ast.keyword]:
    """Return the arguments of a call that are for parameters of old."""
    new = {p.name for _, parameters in row.successors for p in parameters}
    found: list[ast.expr | ast.keyword] = []
    for index, parameter in enumerate(row.parameters):
        if parameter.name in new:
            continue
        found += [keyword for keyword in call.keywords if keyword.arg == parameter.name]
        if index < len(call.args):
            given = call.args[index]
            meant = _INDEX if parameter.name.endswith("_idx") else _OPTIMIZER
            number = isinstance(given, ast.Constant) and type(given.value) is int
            spelled = given.attr if isinstance(given, ast.Attribute) else getattr(given, "id", "")
            if (number and meant is _INDEX) or meant.search(spelled):
                found.append(given)
    return found
