"""One Metric object that a module holds in two attributes, itself or in two collections."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from lintmetrics.edits import FunctionNode
from lintmetrics.model import hooks
from lintmetrics.model.flow import LightningClass
from lintmetrics.model.held_metrics import HeldMetric, held_metrics
from lintmetrics.model.metric_api import LIBRARY, OLD_LIBRARY, kind_of
from lintmetrics.model.tensors import bindings
from lintmetrics.project import ClassInfo, Module
from lintmetrics.tree import own_nodes

_MAKERS = ("__init__", "setup", "configure_model", "on_fit_start")
# Containers that hold the very objects that they are given.
_KEEPS = re.compile(
    r"(?:torch\.nn\.(?:ModuleDict|ModuleList)|torchmetrics\.(?:\w+\.)*MetricCollection)$"
)
_BEFORE = frozenset(("on_validation_start", "on_validation_epoch_start"))


@dataclass(frozen=True)
class SharedObject:
    """One object under two names, of which training feeds one and validation the other.

    Args:
        model: the class; ``module``: the file that makes it.
        train, val: the attributes.
        node: what the later of them, ``later``, is set to.
        what: which number is of both loops.
        can_copy: whether what is set has a ``clone`` of its own.
        keys: what is logged of both.
    """

    model: LightningClass
    module: Module
    train: str
    val: str
    node: ast.expr
    later: str
    what: str
    can_copy: bool
    keys: tuple[tuple[str, str], ...]


def shared_objects(model: LightningClass) -> Iterator[SharedObject]:
    """Yield the objects of a module that two attributes share, over two loops."""
    if not model.cls.is_lightning:
        return
    for owner in model.cls.mro():
        for name in _MAKERS:
            method = owner.methods.get(name)
            if method is not None and model.cls.lookup(name) is not None:
                yield from _in_method(model, owner, method)


def _in_method(
    model: LightningClass, owner: ClassInfo, method: FunctionNode
) -> Iterator[SharedObject]:
    module = owner.module
    holders: dict[ast.AST, list[tuple[str, ast.expr, bool]]] = {}
    for statement in own_nodes(method):
        if not isinstance(statement, ast.Assign) or _is_looped(module, statement, method):
            continue
        for target in statement.targets:
            if isinstance(target, ast.Attribute) and getattr(target.value, "id", "") == "self":
                several = len(statement.targets) > 1
                for made in _objects(module, method, statement.value, statement):
                    row = (target.attr, statement.value, not several)
                    holders.setdefault(made, []).append(row)
    told: set[tuple[str, str]] = set()
    for rows in holders.values():
        for index, (second, value, is_alone) in enumerate(rows):
            for first, _, _ in rows[:index]:
                if first == second or (first, second) in told:
                    continue
                for train, val in ((first, second), (second, first)):
                    found = _over_loops(model, train, val)
                    if found is not None:
                        told.add((first, second))
                        what, keys = found
                        can_copy = is_alone and not _is_torch_container(module, value)
                        yield SharedObject(
                            model, module, train, val, value, second, what, can_copy, keys
                        )


def _objects(
    module: Module, method: FunctionNode, node: ast.expr, at: ast.stmt, depth: int = 0
) -> Iterator[ast.AST]:
    """Yield the calls that make the metrics which an expression hands on as they are."""
    if depth > 6:
        return
    if isinstance(node, ast.Name):
        bound = bindings(module, node.id, method)
        only = bound[0] if len(bound) == 1 else None
        if not isinstance(only, ast.Assign) or only.lineno >= at.lineno:
            return
        if not _is_looped(module, only, method):
            yield from _objects(module, method, only.value, only, depth + 1)
    elif isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "self":
        stores = [
            inner
            for inner in own_nodes(method)
            if isinstance(inner, ast.Assign)
            and any(
                isinstance(t, ast.Attribute)
                and t.attr == node.attr
                and getattr(t.value, "id", "") == "self"
                for t in inner.targets
            )
        ]
        if len(stores) == 1 and stores[0].lineno < at.lineno:
            yield from _objects(module, method, stores[0].value, stores[0], depth + 1)
    elif isinstance(node, (ast.List, ast.Tuple)):
        for item in node.elts:
            yield from _objects(module, method, item, at, depth + 1)
    elif isinstance(node, ast.Dict):
        for item in node.values:
            yield from _objects(module, method, item, at, depth + 1)
    elif isinstance(node, ast.Call):
        name = module.qualified(node.func) or ""
        if _KEEPS.match(name):
            for argument in node.args:
                yield from _objects(module, method, argument, at, depth + 1)
        made = module.resolve(node.func)
        is_own = isinstance(made, ClassInfo) and made.is_kind("Metric")
        is_known = name.startswith((LIBRARY + ".", OLD_LIBRARY + ".")) and kind_of(name) == "class"
        if is_own or is_known:
            yield node


def _is_looped(module: Module, statement: ast.stmt, method: FunctionNode) -> bool:
    """Tell whether a statement may run several times, or only in one of several cases."""
    return module.parent(statement) is not method


def _is_torch_container(module: Module, node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and (module.qualified(node.func) or "").startswith("torch.")


def _over_loops(
    model: LightningClass, train: str, val: str
) -> tuple[str, tuple[tuple[str, str], ...]] | None:
    """Return which number counts the batches of both loops; ``None`` where none does."""
    ours = [h for h in held_metrics(model) if h.attribute == train]
    others = [h for h in held_metrics(model) if h.attribute == val]
    fed = next((use for h in ours for use in h.feeds("train")), None)
    if fed is None or not any(h.feeds("val") for h in others):
        return None
    both = [*ours, *others]
    if any(h.speaks_of_whole_run or model.is_reassigned(h.attribute) for h in both):
        return None
    resets = {reset.where for h in both for reset in h.resets if not reset.is_dead}
    if "" in resets or any(
        hooks.is_batch_hook(name) and hooks.stage_of(name) in ("train", "val") for name in resets
    ):
        return None
    keys = tuple(dict.fromkeys(key for h in both for key in h.keys))
    if not resets & _BEFORE:
        for what in _reads(others, "val"):
            return f"{what} counts training batches too", keys
    for what in _reads(ours, "train"):
        return f"{what} is of what validation leaves of the epoch", keys
    return None


def _reads(held: list[HeldMetric], stage: str) -> Iterator[str]:
    for one in held:
        for use in one.epoch_computes:
            if hooks.stage_of(use.hook) == stage:
                yield f"what {use.hook} computes"
        for call, way in one.logs:
            if way.on_epoch and way.stage == stage:
                yield call.key_in([way])
