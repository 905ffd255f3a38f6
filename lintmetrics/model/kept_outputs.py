"""Lists that a module fills batch by batch: what goes in, who reads them, who empties them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from lintmetrics.edits import FunctionNode
from lintmetrics.model.epoch_hooks import (
    STAGE_OF_HOOK,
    STAGES,
    TRAINING,
    Stage,
    extra_parameters,
    family,
    returns,
)
from lintmetrics.model.step_outputs import (
    assignments,
    attribute_values,
    is_empty_list,
    is_plain_number,
)
from lintmetrics.project import ClassInfo, Module
from lintmetrics.tree import own_nodes, subtree

MADE_IN = (
    "__init__",
    "setup",
    "configure_model",
    "on_fit_start",
    "on_train_start",
    "prepare_data",
)
_FILLED_OR_EMPTIED = ("append", "extend", "clear")
_DEAD = ("on_epoch_end", "on_epoch_start", *(stage.step_end for stage in STAGES))
_BEFORE_TRAINING = frozenset(("on_train_start", "on_sanity_check_end"))
_LATE = _BEFORE_TRAINING | {
    *("on_train_epoch_end", "on_train_end", "on_fit_end", "teardown"),
    *("on_test_start", "on_test_epoch_start", "on_test_epoch_end", "on_test_end"),
}
_NO_CHECK = re.compile(r"num_sanity_val_steps\s*[=:]\s*0\b")
_FREEING = ("clear", "pop", "popleft", "popitem", "remove", "__delitem__")
_REDUCING = ("mean", "stack", "cat", "sum", "tensor", "concatenate", "vstack", "hstack", "average")
_READ_ONLY = (
    *_REDUCING,
    "len",
    "list",
    "tuple",
    "zip",
    "enumerate",
    "max",
    "min",
    "std",
    "median",
    "array",
    "asarray",
    "as_tensor",
    "print",
    "sorted",
    "reversed",
    "isinstance",
    "range",
)
_PASSING = ("enumerate", "zip", "reversed", "list", "tuple", "sorted", "iter")
_HISTORY = re.compile(r"hist|curve|traject|record|best|trace|log", re.I)


@dataclass(frozen=True)
class Append:
    """One place in a step, or in the hook behind it, that puts something into a list."""

    cls: ClassInfo
    stage: Stage
    function: FunctionNode
    call: ast.Call
    attribute: str

    @property
    def module(self) -> Module:
        """The file it stands in."""
        return self.cls.module

    @property
    def node(self) -> ast.AST:
        """The call."""
        return self.call

    @property
    def value(self) -> ast.expr:
        """What goes in."""
        return self.call.args[0]

    @property
    def kept(self) -> KeptList:
        """The list it goes into."""
        return KeptList(self.cls, self.attribute)


class Kept(Protocol):
    """What a step leaves in an attribute of the object, for the end of the epoch."""

    @property
    def cls(self) -> ClassInfo:
        """The class whose step it is."""

    @property
    def stage(self) -> Stage:
        """The loop that the step belongs to."""

    @property
    def kept(self) -> KeptList:
        """The attribute."""


def appends(cls: ClassInfo) -> Iterator[Append]:
    """Yield every append to a list of the object that the batch hooks of a class make."""
    for stage in STAGES:
        for name in (stage.step, stage.batch_end):
            function = cls.methods.get(name)
            if function is None:
                continue
            for call in own_nodes(function):
                if (
                    isinstance(call, ast.Call)
                    and isinstance(call.func, ast.Attribute)
                    and call.func.attr in ("append", "extend")
                    and len(call.args) == 1
                ):
                    receiver = call.func.value
                    while isinstance(receiver, ast.Subscript):
                        receiver = receiver.value
                    attribute = of_self(receiver)
                    if attribute is not None:
                        yield Append(cls, stage, function, call, attribute)


def of_self(node: ast.AST) -> str | None:
    """Return ``x`` of ``self.x``."""
    if (
        isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    ):
        return node.attr
    return None


def _holds_lists(value: ast.expr) -> bool:
    """Tell whether an expression makes a dict or a list of empty lists."""
    if isinstance(value, ast.ListComp):
        inside = [value.elt]
    elif isinstance(value, ast.DictComp):
        inside = [value.value]
    elif isinstance(value, ast.Dict):
        inside = value.values
    else:
        inside = value.elts if isinstance(value, ast.List) else []
    return bool(inside) and all(is_empty_list(one) for one in inside)


@dataclass(frozen=True)
class KeptList:
    """An attribute of a module that its steps append to."""

    cls: ClassInfo
    attribute: str

    @cached_property
    def relatives(self) -> list[ClassInfo]:
        """Every class whose methods run on the same instance."""
        found = dict.fromkeys(family(self.cls))
        for below in self.cls.subclasses:
            found.update(dict.fromkeys(below.mro()))
        return list(found)

    @property
    def is_list(self) -> bool:
        """Whether everything that is assigned to it is a list, or lists by dataloader."""
        return bool(self.values) and all(
            is_empty_list(value) or _holds_lists(value) for value in self.values
        )

    @property
    def is_nested(self) -> bool:
        """Whether it is made with the lists inside that are appended to, and has to keep them."""
        return any(_holds_lists(value) for value in self.values)

    @cached_property
    def values(self) -> list[ast.expr]:
        """Everything that is assigned to it."""
        return [v for cls in self.relatives for v in attribute_values(cls, self.attribute)]

    def _uses(self) -> Iterator[tuple[ClassInfo, FunctionNode, ast.Attribute]]:
        for cls in self.relatives:
            for method in cls.methods.values():
                for node in subtree(method):
                    if of_self(node) == self.attribute:
                        assert isinstance(node, ast.Attribute)
                        yield cls, method, node

    @cached_property
    def freed_in(self) -> list[str]:
        """Names of the methods that empty or replace it; ``"?"`` where that cannot be told."""
        found: list[str] = []
        for cls in self.relatives:
            for method in cls.methods.values():
                for node in subtree(method):
                    if (
                        isinstance(node, ast.Call)
                        and isinstance(node.func, ast.Name)
                        and node.func.id in ("setattr", "getattr", "delattr", "vars")
                        and not (
                            len(node.args) > 1
                            and isinstance(node.args[1], ast.Constant)
                            and node.args[1].value != self.attribute
                        )
                    ):
                        found.append("?")
        for cls, method, node in self._uses():
            if self._frees(cls, method, node):
                found.append(method.name)
        text = re.compile(
            rf"(?<!\bself)\.{re.escape(self.attribute)}\b\s*(?:=[^=]|\.\s*clear|\[[^\]]*\]\s*=)"
        )
        here = {cls.module for cls in self.relatives}
        if any(m not in here for m in self.cls.module.project.mentioning(text)):
            found.append("?")
        return found

    def _frees(self, cls: ClassInfo, method: FunctionNode, node: ast.Attribute) -> bool:
        module = cls.module
        inner: ast.AST = node
        parent = module.parent(inner)
        while isinstance(parent, ast.Subscript) and parent.value is inner:
            if not isinstance(parent.ctx, ast.Load):
                return method.name not in MADE_IN
            inner, parent = parent, module.parent(parent)
        if isinstance(node.ctx, (ast.Store, ast.Del)):
            return method.name not in MADE_IN
        if isinstance(parent, ast.Attribute):
            call = module.parent(parent)
            if parent.attr in ("values", "items") and isinstance(call, ast.Call):
                loop = _loop_over(module, call)
                return loop is not None and _empties_each(module, loop)
            return parent.attr in _FREEING
        if isinstance(parent, ast.Call) and inner in parent.args:
            loop = _loop_over(module, inner)
            if loop is not None:
                return _empties_each(module, loop)
            return self._function_frees(cls, parent, inner)
        if isinstance(parent, ast.keyword):
            return True
        if isinstance(parent, ast.Assign) and parent.value is inner:
            names = [t.id for t in parent.targets if isinstance(t, ast.Name)]
            return len(names) != len(parent.targets) or any(
                _name_is_freed(module, method, name) for name in names
            )
        if isinstance(parent, (ast.For, ast.comprehension)):
            return parent.iter is not inner or _empties_each(module, parent)
        # In a tuple or another container it may be emptied under any name.
        return isinstance(parent, (ast.Tuple, ast.List, ast.Dict, ast.NamedExpr, ast.IfExp))

    def _function_frees(self, cls: ClassInfo, call: ast.Call, given: ast.AST) -> bool:
        name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
        if isinstance(call.func, ast.Name):
            name = call.func.id
        if name in _READ_ONLY or name in ("append", "log"):
            return False
        index = next(i for i, argument in enumerate(call.args) if argument is given)
        if isinstance(call.func, ast.Attribute) and of_self(call.func) is not None:
            info = cls.lookup(call.func.attr)
            if info is not None and info.cls is not None:
                parameters = extra_parameters(info.node)
                return index >= len(parameters) or _name_is_freed(
                    info.module, info.node, parameters[index].arg
                )
        qualified = cls.module.qualified(call.func) or ""
        return not qualified.startswith(("torch.", "numpy.", "torchmetrics."))

    @cached_property
    def read_in(self) -> list[tuple[ClassInfo, FunctionNode]]:
        """The epoch-end hooks that read it, themselves or through a method they call."""
        readers: dict[str, None] = {}
        for _, method, node in self._uses():
            if self._reads(node):
                readers[method.name] = None
        found: dict[tuple[ClassInfo, FunctionNode], None] = {}
        for cls in self.relatives:
            for name, method in cls.methods.items():
                if name not in STAGE_OF_HOOK:
                    continue
                called = {
                    of_self(node.func) for node in subtree(method) if isinstance(node, ast.Call)
                }
                own = any(
                    of_self(node) == self.attribute and self._reads(node)
                    for node in subtree(method)
                )
                if own or called.intersection(readers):
                    found[cls, method] = None
        return list(found)

    def _reads(self, node: ast.AST) -> bool:
        parent = getattr(node, "lm_parent", None)
        while isinstance(parent, ast.Subscript):
            node, parent = parent, getattr(parent, "lm_parent", None)
        if not isinstance(getattr(node, "ctx", None), ast.Load):
            return False
        return not (isinstance(parent, ast.Attribute) and parent.attr in _FILLED_OR_EMPTIED)

    @property
    def is_reduced(self) -> bool:
        """Whether an epoch-end hook averages or joins what is in it."""
        for _, method in self.read_in:
            for node in subtree(method):
                if not isinstance(node, ast.Call):
                    continue
                func = node.func
                name = func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")
                if name in _REDUCING and any(
                    of_self(inner) == self.attribute for a in node.args for inner in subtree(a)
                ):
                    return True
        return False

    @property
    def freed_only_in_dead(self) -> str | None:
        """The hook that empties it and that Lightning 2 never calls, if no other does."""
        found = self.freed_in
        if found and all(name in _DEAD for name in found):
            return found[0]
        return None


def _loop_over(module: Module, node: ast.AST) -> ast.For | ast.comprehension | None:
    """Return the loop that goes through something, be it numbered, turned round or copied."""
    inner, parent = node, module.parent(node)
    while (
        isinstance(parent, ast.Call)
        and inner in parent.args
        and isinstance(parent.func, ast.Name)
        and parent.func.id in _PASSING
    ):
        inner, parent = parent, module.parent(parent)
    if isinstance(parent, (ast.For, ast.comprehension)) and parent.iter is inner:
        return parent
    return None


def _empties_each(module: Module, loop: ast.For | ast.comprehension) -> bool:
    function = module.enclosing_function(loop)
    target, called = loop.target, getattr(loop.iter, "func", None)
    name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
    if name in ("enumerate", "items") and isinstance(target, ast.Tuple):
        target = target.elts[-1]  # The first is a number, or the key.
    return function is not None and any(
        isinstance(node, ast.Name) and _name_is_freed(module, function, node.id)
        for node in subtree(target)
    )


def _name_is_freed(module: Module, function: FunctionNode, name: str) -> bool:
    for node in subtree(function):
        if not (isinstance(node, ast.Name) and node.id == name):
            continue
        inner: ast.AST = node
        parent = module.parent(inner)
        while isinstance(parent, ast.Subscript) and parent.value is inner:
            if not isinstance(parent.ctx, ast.Load):
                return True
            inner, parent = parent, module.parent(parent)
        if isinstance(parent, ast.Attribute) and parent.attr in _FREEING:
            return True
        if isinstance(parent, ast.Call) and inner in parent.args:
            func = parent.func
            called = func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")
            if called not in _READ_ONLY:
                return True
    return False


def is_uncleared(append: Append) -> bool:
    """Tell whether what a step appends is still there in the next epoch, against all intent."""
    kept = append.kept
    return _is_of_an_epoch(append) and (
        not kept.freed_in or kept.freed_only_in_dead is not None or bool(cleared_late(append))
    )


def cleared_late(append: Kept) -> str:
    """Return the hook that empties what validation appends, where it comes too late or too seldom.

    A check runs two batches of validation before the training, and no hook of an epoch between.
    Source: lightning 2.6.6, run: 167 outputs in the first epoch of 103.
    """
    found = append.kept.freed_in
    if append.stage.step != "validation_step" or not found or not set(found) <= _LATE:
        return ""
    if "on_train_epoch_end" not in found:
        return found[0]
    if _BEFORE_TRAINING & set(found) or _checks_nothing(append.cls.module):
        return ""
    return "on_train_epoch_end"


def _checks_nothing(module: Module) -> bool:
    return any(module.project.mentioning(_NO_CHECK))


def _is_of_an_epoch(append: Append) -> bool:
    kept = append.kept
    if _HISTORY.search(append.attribute) or not kept.is_list:
        return False
    if not kept.read_in:
        return False
    if append.cls.is_kind("Callback") and not kept.is_reduced:
        return False  # What a callback shows of the whole run is its own matter.
    return not is_plain_number(append.function, append.value) or kept.is_reduced


def graph_of(append: Append) -> ast.Name | None:
    """Return the loss, still with its graph, that a training step puts into a list."""
    if append.stage is not TRAINING:
        return None
    returned: set[str] = set()
    for node in returns(append.function):
        value = node.value
        if isinstance(value, ast.Name):
            returned.add(value.id)
        elif isinstance(value, ast.Dict):
            for key, item in zip(value.keys, value.values, strict=True):
                if (
                    isinstance(key, ast.Constant)
                    and key.value == "loss"
                    and isinstance(item, ast.Name)
                ):
                    returned.add(item.id)
    values: list[ast.expr] = [append.value]
    if isinstance(append.value, ast.Dict):
        values = list(append.value.values)
    elif isinstance(append.value, (ast.Tuple, ast.List)):
        values = append.value.elts
    for value in values:
        if isinstance(value, ast.Name) and value.id in returned:
            return value if _has_graph(append.function, value) else None
    return None


_WITHOUT_GRAPH = ("Tensor", "tensor", "as_tensor", "detach", "item", "zeros", "ones", "full")


def _has_graph(function: FunctionNode, value: ast.expr, depth: int = 4) -> bool:
    """Tell whether a loss may carry a graph; one made from plain numbers does not."""
    if not depth:
        return True
    if isinstance(value, ast.Name):
        found = assignments(function, value.id)
        return not found or any(
            item is None or _has_graph(function, item, depth - 1) for item in found
        )
    if isinstance(value, ast.Dict):
        return any(
            _has_graph(function, item, depth - 1)
            for key, item in zip(value.keys, value.values, strict=True)
            if not (isinstance(key, ast.Constant) and key.value != "loss")
        )
    if isinstance(value, ast.Call):
        func = value.func
        name = func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")
        return name not in _WITHOUT_GRAPH
    return True
