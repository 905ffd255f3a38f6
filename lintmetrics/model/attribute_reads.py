"""Attributes of a module that a callback uses in a hook that runs before the module's own.

Lightning 2 calls a hook of the callbacks first and that of the module behind it (each hook run on
lightning 2.6.6).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from lintmetrics.edits import FunctionNode
from lintmetrics.kept_answers import kept
from lintmetrics.model.callback_reads import EarlyRead
from lintmetrics.model.epoch_hooks import STAGES, Stage, family
from lintmetrics.model.lightning_objects import kind_of
from lintmetrics.project import ClassInfo, Project
from lintmetrics.tree import own_nodes, subtree

_STAGE = {name: stage for stage in STAGES for name in (stage.hook, stage.removed, stage.batch_end)}
_HOOKS = re.compile(r"def\s+on_(?:train|validation|test)_(?:epoch|batch)_end\b")
_MODULE_HOOKS = re.compile(rf"def\s+(?:{'|'.join(sorted(_STAGE))})\b")
# What these set stands until the loop comes to it.
_MADE_BEFORE = re.compile(r"__init__$|setup$|configure_|on_\w+_start$")
_EMPTY = frozenset(
    ("list", "dict", "set", "tuple", "defaultdict", "deque", "Counter", "zeros", "empty", "full")
)
_EMPTIES = ("clear", "reset")
_OF_BEFORE = re.compile(r"prev|last|\bold|_old|before|former", re.I)


@dataclass(frozen=True)
class EarlyAttribute(EarlyRead):
    """An attribute that a callback uses in a hook, and the module's hook behind it.

    ``is_emptied`` where the callback empties what the module's hook reads; else the callback reads
    what the module's hook sets, or computes a Metric object that it feeds (``is_fed``).
    """

    is_emptied: bool = False
    is_fed: bool = False

    @property
    def later(self) -> str | None:
        """The next hook of a callback, which runs behind the module's; none in an epoch."""
        return super().later if self.name == self.stage.hook else None

    @property
    def shown(self) -> str:
        """How a message names it."""
        return f"pl_module.{self.key}"


def early_attributes(cls: ClassInfo) -> Iterator[EarlyAttribute]:
    """Yield the first attribute that each hook of a callback uses too early."""
    if not _HOOKS.search(cls.module.source.code) or not cls.is_kind("Callback"):
        return
    if cls.is_lightning:
        return
    for stage in STAGES:
        for name in (stage.hook, stage.batch_end):
            function = cls.methods.get(name)
            if function is not None:
                yield from _of_hook(cls, function, stage)


def _of_hook(cls: ClassInfo, function: FunctionNode, stage: Stage) -> Iterator[EarlyAttribute]:
    written, read, fed = _tables(cls.module.project)
    uses = [
        node
        for node in own_nodes(function)
        if isinstance(node, ast.Attribute) and _is_of_module(cls, function, node)
    ]
    stored = {node.attr for node in uses if isinstance(node.ctx, ast.Store)}
    for node in uses:
        place = (function.name, node.attr)
        emptied = _is_emptied(cls, node)
        if emptied and place in read:
            yield EarlyAttribute(cls, function, stage, node, node.attr, read[place], True)
            return
        is_read = isinstance(node.ctx, ast.Load) and not emptied and node.attr not in stored
        if is_read and place in written:
            yield EarlyAttribute(cls, function, stage, node, node.attr, written[place])
            return
        if place in fed and _is_computed(cls.module.parent(node)):
            yield EarlyAttribute(cls, function, stage, node, node.attr, fed[place], is_fed=True)
            return


def _is_computed(above: ast.AST | None) -> bool:
    return isinstance(above, ast.Attribute) and above.attr == "compute"


def _is_of_module(cls: ClassInfo, function: FunctionNode, node: ast.Attribute) -> bool:
    """Tell whether an attribute is that of the module which a hook of a callback is given."""
    value, arguments = node.value, [*function.args.posonlyargs, *function.args.args]
    if isinstance(value, ast.Name):
        return (
            len(arguments) > 2 and value.id == arguments[2].arg and not _is_of_another(cls, value)
        )
    return (
        isinstance(value, ast.Attribute)
        and value.attr == "lightning_module"
        and isinstance(value.value, ast.Name)
        and len(arguments) > 1
        and value.value.id == arguments[1].arg
    )


def _is_of_another(cls: ClassInfo, name: ast.Name) -> bool:
    """Tell whether the module is said to be of a class that is not here."""
    said = kind_of(cls.module, name)
    return said.cls is None and not said.names <= {"LightningModule"}


def _is_emptied(cls: ClassInfo, node: ast.Attribute) -> bool:
    above = cls.module.parent(node)
    if isinstance(node.ctx, ast.Store):
        return isinstance(above, ast.Assign) and _is_reset(above.value)
    return isinstance(above, ast.Attribute) and above.attr in _EMPTIES


def _is_reset(value: ast.expr | None) -> bool:
    """Tell whether a value is one to begin with."""
    if isinstance(value, ast.UnaryOp):
        return _is_reset(value.operand)
    if isinstance(value, (ast.List, ast.Tuple, ast.Set)):
        return all(_is_reset(item) for item in value.elts)
    if isinstance(value, ast.Dict):
        return all(_is_reset(item) for item in value.values)
    if isinstance(value, ast.Call):
        name = value.func.attr if isinstance(value.func, ast.Attribute) else ""
        name = value.func.id if isinstance(value.func, ast.Name) else name
        return name in _EMPTY
    return value is None or isinstance(value, ast.Constant)


_Table = dict[tuple[str, str], str]


@kept
def _tables(project: Project) -> tuple[_Table, _Table, _Table]:
    """Return ``(hook, attribute)`` of what hooks of modules set, read and feed, with the hook.

    Attributes are left out that modules set in other places as well, but to begin with, or read
    elsewhere than in that hook.
    """
    written: _Table = {}
    read: _Table = {}
    fed: _Table = {}
    fed_in: dict[str, set[str]] = {}
    set_elsewhere: set[str] = set()
    filled: set[str] = set()
    mentioned: dict[str, set[ClassInfo]] = {}
    owners: dict[tuple[str, str], set[ClassInfo]] = {}
    used: dict[str, set[str]] = {}
    for module in project.mentioning(_MODULE_HOOKS):
        for cls in module.classes:
            if not cls.is_lightning:
                continue
            for name, method in cls.methods.items():
                stage = _STAGE.get(name)
                hook = "" if stage is None else name if name != stage.removed else stage.hook
                for node in subtree(method):
                    if not isinstance(node, ast.Attribute) or not _is_self(node.value):
                        continue
                    mentioned.setdefault(node.attr, set()).add(cls)
                    used.setdefault(node.attr, set())
                    if isinstance(node.ctx, ast.Load):
                        used[node.attr].add(name)
                    if hook:
                        owners.setdefault((hook, node.attr), set()).update(family(cls))
                    above = module.parent(node)
                    spelled = f"{cls.node.name}.{name}"
                    if _feeds(above, node):
                        fed_in.setdefault(node.attr, set()).add(hook or name)
                        if hook.endswith("_epoch_end"):
                            fed.setdefault((hook, node.attr), spelled)
                    if isinstance(node.ctx, ast.Store):
                        value = above.value if isinstance(above, ast.Assign) else None
                        is_plain = isinstance(above, ast.Assign) and not _is_reset(value)
                        if hook and is_plain and not _is_made_of(value, node.attr):
                            written.setdefault((hook, node.attr), spelled)
                        elif not _MADE_BEFORE.match(name) or is_plain:
                            set_elsewhere.add(node.attr)
                    elif isinstance(above, ast.Attribute) and above.attr in _EMPTIES:
                        continue
                    elif hook.endswith("_epoch_end"):
                        read.setdefault((hook, node.attr), spelled)
                    elif isinstance(above, ast.Attribute) and above.attr in ("append", "update"):
                        filled.add(node.attr)
    hooks: dict[str, set[str]] = {}
    for hook, attribute in written:
        hooks.setdefault(attribute, set()).add(hook)
    for place in list(written):
        # What other methods read or fill is what the module goes by, and not a result.
        if place[1] in set_elsewhere or len(hooks[place[1]]) > 1 or used[place[1]] - {place[0]}:
            del written[place]

    def is_of_all(place: tuple[str, str]) -> bool:
        """Tell whether every module with the attribute has the hook that uses it."""
        return mentioned[place[1]] <= owners[place] and not _OF_BEFORE.search(place[1])

    return (
        {place: name for place, name in written.items() if is_of_all(place)},
        {place: name for place, name in read.items() if place[1] in filled and is_of_all(place)},
        {p: name for p, name in fed.items() if fed_in[p[1]] == {p[0]} and is_of_all(p)},
    )


def _feeds(above: ast.AST | None, node: ast.Attribute) -> bool:
    """Tell whether an attribute is called with values, as a Metric object is, or updated."""
    if isinstance(above, ast.Attribute):
        return above.attr in ("update", "forward")
    return isinstance(above, ast.Call) and above.func is node and bool(above.args or above.keywords)


def _is_made_of(value: ast.expr | None, attribute: str) -> bool:
    """Tell whether a value goes on from what the attribute has been."""
    return value is not None and any(
        isinstance(node, ast.Attribute) and node.attr == attribute and _is_self(node.value)
        for node in subtree(value)
    )


def _is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"
