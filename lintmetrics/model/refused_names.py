"""Names of Metric objects that a ``ModuleDict`` or a ``MetricCollection`` refuses."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

from lintmetrics import facts
from lintmetrics.model.made_metrics import (
    is_expected_to_fail,
    is_unpacked,
    made_metric,
)
from lintmetrics.model.tensors import bindings, constant
from lintmetrics.model.trails import attribute_value, is_self
from lintmetrics.project import Module
from lintmetrics.tree import subtree

_DICTS = {
    "torch.nn.ModuleDict": "ModuleDict",
    "torch.nn.modules.container.ModuleDict": "ModuleDict",
}


@dataclass(frozen=True)
class RefusedName:
    """A name that a container does not take.

    Args:
        module: the file; ``node``: the name, or the member that would have it.
        container: ``"ModuleDict"`` or ``"MetricCollection"``.
        name: the name as it is written.
        why: ``"taken"`` (an attribute of the container), ``"dot"``, ``"empty"``, ``"text"`` (it is
            none), ``"twice"`` (two members of one class) or ``"lost"`` (the second silently takes
            the place of the first).
    """

    module: Module = field(repr=False)
    node: ast.expr
    container: str
    name: str
    why: str


def refused_names(module: Module) -> Iterator[RefusedName]:
    """Yield the names in a file that a container of Metric objects refuses."""
    code = module.source.code
    if "MetricCollection" not in code and "ModuleDict" not in code:
        return
    for call in module.calls:
        container = _container(module, call)
        if container and not is_unpacked(call) and not is_expected_to_fail(module, call):
            yield from _of_call(module, call, container)
    for node in subtree(module.tree):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript):
            yield from _of_item(module, node.targets[0], node.value)


def _container(module: Module, call: ast.Call) -> str:
    func = call.func
    last = func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")
    if last not in ("MetricCollection", "ModuleDict") and not isinstance(func, ast.Name):
        return ""
    name = module.qualified(func) or ""
    if name.endswith(".MetricCollection") and ("torchmetrics" in name or ".metrics." in name):
        return "MetricCollection"
    return _DICTS.get(name, "")


def _of_call(module: Module, call: ast.Call, container: str) -> Iterator[RefusedName]:
    first = call.args[0] if call.args else None
    for keyword in call.keywords:
        if first is None and keyword.arg in ("metrics", "modules"):
            first = keyword.value
    if first is None:
        return
    first = _behind_name(module, first)
    if container == "MetricCollection" and isinstance(first, (ast.List, ast.Tuple)):
        yield from _twice(module, first.elts)
    elif container == "MetricCollection" and made_metric(module, first) is not None:
        yield from _twice(module, call.args)
    else:
        yield from _keys(module, first, container)


def _behind_name(module: Module, expr: ast.expr) -> ast.expr:
    """Return what a local name is given, where nothing else happens to it."""
    if isinstance(expr, ast.Name):
        function = module.enclosing_function(expr)
        bound = bindings(module, expr.id, function)
        if function is not None and len(bound) == 1 and isinstance(bound[0], ast.Assign):
            value = bound[0].value
            if isinstance(value, (ast.List, ast.Tuple, ast.Dict, ast.DictComp)):
                return value
    return expr


def _keys(module: Module, first: ast.expr, container: str) -> Iterator[RefusedName]:
    """Yield the refused keys of a dict that a container is made of."""
    if isinstance(first, ast.Dict):
        if container == "ModuleDict" and not any(_is_metric(module, v) for v in first.values):
            return
        for key in first.keys:
            if key is not None:
                yield from _refused(module, key, container, _text(key))
    elif isinstance(first, ast.DictComp) and len(first.generators) == 1:
        generator = first.generators[0]
        if container == "ModuleDict" and not _is_metric(module, first.value):
            return
        plain = isinstance(generator.target, ast.Name) and isinstance(first.key, ast.Name)
        if not plain or generator.ifs or generator.target.id != first.key.id:  # type: ignore[attr-defined]
            return
        values = constant(module, generator.iter)
        for value in values if isinstance(values, (list, tuple)) else ():
            yield from _refused(module, first.key, container, value)
    elif isinstance(first, ast.Call) and isinstance(first.func, ast.Name):
        named = [k for k in first.keywords if k.arg is not None]
        if first.func.id != "dict" or module.binds("dict"):
            return
        if container == "ModuleDict" and not any(_is_metric(module, k.value) for k in named):
            return
        for keyword in named:
            yield from _refused(module, keyword.value, container, keyword.arg)


def _of_item(module: Module, target: ast.Subscript, value: ast.expr) -> Iterator[RefusedName]:
    """Yield the refused key of a member that is added later."""
    held = target.value
    if not isinstance(held, ast.Attribute) or not is_self(held.value):
        return
    key = _text(target.slice)
    cls = module.enclosing_class(target)
    if key is ... or cls is None or not _is_metric(module, value):
        return
    made = attribute_value(cls, held.attr)
    if made is not None and isinstance(made[0], ast.Call):
        container = _container(made[1], made[0])
        if container:
            yield from _refused(module, target.slice, container, key)


def _text(key: ast.expr) -> object:
    return key.value if isinstance(key, ast.Constant) else ...


def _refused(module: Module, node: ast.expr, container: str, key: object) -> Iterator[RefusedName]:
    why = ""
    if key is ...:
        return
    if not isinstance(key, str):
        why = "text"
    elif not key:
        why = "empty"
    elif "." in key:
        why = "dot"
    elif key in facts.container_names(container) or (key[:2] == key[-2:] == "__"):
        why = "taken"
    if why:
        yield RefusedName(module, node, container, repr(key), why)


def _twice(module: Module, members: list[ast.expr]) -> Iterator[RefusedName]:
    """Yield the members of a list that have the class name of an earlier one."""
    seen: set[str] = set()
    for member in members:
        if isinstance(member, ast.Starred):
            return
        made = made_metric(module, member)
        if made is None:
            continue
        if made.is_collection:
            names = _names_in(made.module, made.call)
            for name in names:
                if name in seen:
                    yield RefusedName(module, member, "MetricCollection", name, "lost")
            seen |= set(names)
            continue
        if made.class_name in seen:
            yield RefusedName(module, member, "MetricCollection", made.class_name, "twice")
        seen.add(made.class_name)


def _names_in(module: Module, call: ast.Call) -> list[str]:
    """Return the names that the members of a collection in a collection get there."""
    if len(call.args) != 1 or call.keywords:
        return []  # A prefix keeps them apart.
    listed = call.args[0]
    members = listed.elts if isinstance(listed, (ast.List, ast.Tuple)) else [listed]
    made = [made_metric(module, member) for member in members]
    return [one.class_name for one in made if one is not None and not one.is_collection]


def _is_metric(module: Module, expr: ast.expr) -> bool:
    """Tell whether an expression makes Metric objects: one, a copy, or a container of them."""
    if made_metric(module, expr) is not None:
        return True
    if isinstance(expr, ast.Call):
        func = expr.func
        if isinstance(func, ast.Attribute) and func.attr == "clone":
            return made_metric(module, func.value) is not None
        if (
            _container(module, expr) == "ModuleDict"
            or module.qualified(func) == "torch.nn.ModuleList"
        ):
            return any(
                isinstance(node, ast.Call) and made_metric(module, node) is not None
                for argument in expr.args
                for node in subtree(argument)
            )
    return False
