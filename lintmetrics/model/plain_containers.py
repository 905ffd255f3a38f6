"""Plain lists, tuples and dicts of a module that hold Metric objects, where nothing finds them."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from lintmetrics.model import attribute_names
from lintmetrics.model.epoch_hooks import reads_of
from lintmetrics.model.flow import LightningClass
from lintmetrics.model.held_metrics import HeldMetric, held_metrics
from lintmetrics.model.values import Elements, Map, Metric, Seq, Value
from lintmetrics.tree import subtree

if TYPE_CHECKING:
    from lintmetrics.edits import FunctionNode
    from lintmetrics.project import ClassInfo, Module

_MOVES = frozenset(("to", "cuda", "cpu", "to_empty", "_apply"))
_REGISTERS = frozenset(("add_module", "register_module", "setattr", "ModuleList", "ModuleDict"))
_KINDS: dict[type[ast.expr], str] = {
    **dict.fromkeys((ast.Dict, ast.DictComp), "dict"),
    **dict.fromkeys((ast.List, ast.ListComp), "list"),
    ast.Tuple: "tuple",
}
# What the containers of torch can do as well (torch 2.13, ``nn/modules/container.py``).
_OF_MODULE_LIST = frozenset(("append", "extend", "insert", "pop"))
_OF_MODULE_DICT = frozenset(("items", "keys", "values", "update", "pop", "clear"))
_LOOKS = frozenset(("len", "zip", "enumerate", "list", "reversed", "sum", "print"))


@dataclass(eq=False)
class PlainContainer:
    """A plain container in an attribute of a module, with Metric objects in it.

    Args:
        cls: the class that makes it; ``attribute``: what it is called there.
        value: the expression that makes it.
        held: the objects in it that hooks use.
        contents: what is known to be in it.
    """

    cls: ClassInfo
    attribute: str
    value: ast.expr
    held: Sequence[HeldMetric] = field(repr=False)
    contents: Value = field(repr=False)

    @property
    def module(self) -> Module:
        """The file that makes it."""
        return self.cls.module

    @property
    def node(self) -> ast.AST:
        """The expression that makes it."""
        return self.value

    @property
    def kind(self) -> str:
        """What it is: ``dict``, ``list`` or ``tuple``."""
        return _KINDS[type(self.value)]

    @property
    def wanted(self) -> str:
        """The container of ``torch.nn`` that does the same."""
        return "ModuleDict" if self.kind == "dict" else "ModuleList"

    @property
    def is_fed(self) -> bool:
        """Whether a step gives its objects data."""
        return any(held.feeds() for held in self.held)

    @property
    def is_logged(self) -> bool:
        """Whether one of its objects is logged as it is."""
        return any(held.logs for held in self.held)

    @cached_property
    def mentions(self) -> list[tuple[Module, ast.Attribute]]:
        """Every read of it in its class, the bases and the classes below."""
        return reads_of(self.cls, self.attribute)

    @cached_property
    def is_moved(self) -> bool:
        """Whether its objects are moved or registered by hand, or kept on the CPU on purpose."""
        if any(_is_move(node) for node in subtree(self.value)):
            return True
        functions: dict[FunctionNode, Module] = {}
        for module, node in self.mentions:
            function = module.enclosing_function(node)
            if function is not None:
                functions[function] = module
        for held in self.held:
            for use in held.feeds():
                function = use.module.enclosing_function(use.node)
                if function is not None:
                    functions[function] = use.module
        for function in functions:
            names = self._names(function)
            for call in subtree(function):
                if not isinstance(call, ast.Call):
                    continue
                called = call.func
                last = called.attr if isinstance(called, ast.Attribute) else ""
                last = called.id if isinstance(called, ast.Name) else last
                if last in ("cpu", "numpy") or last in _REGISTERS:
                    return True
                if _is_move(call) and isinstance(called, ast.Attribute):
                    receiver = subtree(called.value)
                    if any(self._is_it(n) or getattr(n, "id", "") in names for n in receiver):
                        return True
        return False

    def _is_it(self, node: ast.AST) -> bool:
        return isinstance(node, ast.Attribute) and node.attr == self.attribute

    def _names(self, function: FunctionNode) -> set[str]:
        """Return the locals of a method that stand for something in the container."""
        names: set[str] = set()
        for node in subtree(function):
            over: ast.expr | None = None
            targets: list[ast.expr] = []
            if isinstance(node, (ast.For, ast.comprehension)):
                over, targets = node.iter, [node.target]
            elif isinstance(node, ast.Assign):
                over, targets = node.value, node.targets
            if over is not None and any(self._is_it(inner) for inner in subtree(over)):
                names |= {n.id for t in targets for n in subtree(t) if isinstance(n, ast.Name)}
        return names

    # What a container of torch would say to it --------------------------------------------------

    @property
    def keys(self) -> list[str] | None:
        """The keys of a dict, ``None`` where not all are known."""
        if isinstance(self.contents, Map) and not self.contents.open:
            return [key for key, _ in self.contents.items]
        return None

    @property
    def refused_keys(self) -> list[str]:
        """The keys that ``ModuleDict`` refuses."""
        return [k for k in self.keys or () if not attribute_names.is_module_dict_key(k)]

    @property
    def others(self) -> bool:
        """Whether it may hold what is no Metric object."""
        return not _is_all_metrics(self.contents)

    @property
    def odd_use(self) -> ast.AST | None:
        """A place that asks it for something that a container of torch cannot do."""
        for module, node in self.mentions:
            above = module.parent(node)
            methods = _OF_MODULE_DICT if self.kind == "dict" else _OF_MODULE_LIST
            if isinstance(above, ast.Attribute):
                if above.attr not in methods:
                    return above
            elif isinstance(above, ast.Subscript):
                if above.value is not node or isinstance(above.ctx, ast.Del):
                    return above
            elif isinstance(above, ast.Call):
                func = above.func
                if not (isinstance(func, ast.Name) and func.id in _LOOKS):
                    return above
            elif isinstance(above, ast.Compare):
                if not all(isinstance(op, (ast.In, ast.NotIn)) for op in above.ops):
                    return above
            elif not isinstance(above, (ast.For, ast.comprehension, ast.If, ast.UnaryOp)):
                return above
        return None


def plain_containers(model: LightningClass) -> Iterator[PlainContainer]:
    """Yield the plain containers of a module that Metric objects of its hooks live in."""
    groups: dict[str, list[HeldMetric]] = {}
    for held in held_metrics(model):
        if "[" in held.path and held.metric.container in ("dict", "list"):
            groups.setdefault(held.attribute, []).append(held)
    for attribute, members in groups.items():
        made = [
            (cls, node)
            for cls in model.cls.mro()
            for method in cls.methods.values()
            for node in subtree(method)
            if isinstance(node, (ast.Assign, ast.AnnAssign)) and _stores(node, attribute)
        ]
        if len(made) != 1:
            continue
        cls, statement = made[0]
        value = statement.value
        if value is not None and type(value) in _KINDS:
            contents = model.attributes.get(attribute)
            if contents is not None:
                yield PlainContainer(cls, attribute, value, members, contents)


def _stores(statement: ast.Assign | ast.AnnAssign, attribute: str) -> bool:
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    return any(
        isinstance(target, ast.Attribute)
        and target.attr == attribute
        and isinstance(target.value, ast.Name)
        and target.value.id == "self"
        for target in targets
    )


def _is_move(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in _MOVES
    )


def _is_all_metrics(value: Value) -> bool:
    if isinstance(value, Metric):
        return True
    if isinstance(value, Map):
        return all(_is_all_metrics(item) for _, item in value.items)
    if isinstance(value, Seq):
        return all(_is_all_metrics(item) for item in value.items)
    return isinstance(value, Elements) and _is_all_metrics(value.of)
