"""Metrics that are handed on as values, and the calls that are made through those values.

``self.score = f1`` and ``partial(f1, num_classes=3)`` call nothing, but what they name has to be
called as TorchMetrics 1.9 wants it all the same.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from lintmetrics.kept_answers import kept
from lintmetrics.model.metric_api import MetricCall, is_guarded, kind_of, read, wants_task
from lintmetrics.model.moved_names import is_exported, is_passed_on, successor
from lintmetrics.model.tensors import bindings
from lintmetrics.model.trails import is_self
from lintmetrics.project import CallSite, Module
from lintmetrics.tree import subtree

_LIBRARY = re.compile(r"(?:torchmetrics|pytorch_lightning\.metrics)\.")
_SAYS_TASK = re.compile(r"\btask\s*=|[\"']task[\"']|\*\*")


@dataclass(frozen=True)
class HandedOn:
    """A metric that is handed on, uncalled.

    Args:
        module: the file; ``node``: where the metric is named; ``name``: its dotted name.
        calls: the calls that are made through it, read as calls of the metric; the call of
            ``functools.partial`` for one that is bound with arguments.
        is_followed: whether these are all the calls of it.
    """

    module: Module = field(repr=False)
    node: ast.Name | ast.Attribute
    name: str
    calls: tuple[MetricCall, ...]
    is_followed: bool

    @property
    def target(self) -> str:
        """Dotted name of the metric in 1.9."""
        moved = successor(self.name, self.module.project)
        return moved.new if moved is not None and moved.new else self.name

    @property
    def lacks_task(self) -> bool:
        """Whether 1.9 wants a task of whoever calls it, and nothing speaks of one."""
        if self.is_followed or not wants_task(self.target):
            return False
        if _is_gone(self.name, self.module):
            return True  # The releases that have the name know no task.
        return _is_kept(self.module, self.node) and not _SAYS_TASK.search(self.module.source.code)


def handed_on(module: Module) -> list[HandedOn]:
    """Return the metrics that a file hands on uncalled, in order."""
    known: list[HandedOn] | None = module.__dict__.get("_lm_handed_on")
    if known is None:
        known = module.__dict__["_lm_handed_on"] = list(_find(module))
    return known


def handed_on_at(module: Module, node: ast.AST) -> HandedOn | None:
    """Return the metric that is handed on at a node."""
    return next((one for one in handed_on(module) if one.node is node), None)


@kept
def metric_calls(module: Module) -> tuple[MetricCall, ...]:
    """Return the calls of metrics in a file: by name, and through values that hold a metric."""
    return tuple(_calls(module))


def _calls(module: Module) -> Iterator[MetricCall]:
    through = {call.node: call for one in handed_on(module) for call in one.calls}
    for site in module.call_sites:
        call = through.pop(site.node, None) or read(site.module, site.node, site.name)
        if call is not None:
            yield call
    yield from through.values()


def site_of(call: MetricCall) -> CallSite:
    """Return a call as the subject of a finding."""
    return CallSite(call.module, call.bound or call.node, call.name)


def _find(module: Module) -> Iterator[HandedOn]:
    if "metrics" not in module.source.code:
        return
    bound = {item.bound for item in module.imports}
    for node in subtree(module.tree):
        if not isinstance(node, (ast.Name, ast.Attribute)) or not isinstance(node.ctx, ast.Load):
            continue
        root: ast.expr = node
        while isinstance(root, ast.Attribute):
            root = root.value
        if not isinstance(root, ast.Name) or (root.id not in bound and "*" not in bound):
            continue
        parent = module.parent(node)
        if isinstance(parent, ast.Attribute) or not is_passed_on(module, node):
            continue
        name = module.qualified(node)
        if name is None or not _LIBRARY.match(name) or is_guarded(module, node):
            continue
        if isinstance(parent, ast.Call) and _is_partial(module, parent) and parent.args[0] is node:
            call = _bound_call(module, parent, node, name)
            # Only its arguments are told here; what is added later by a call is not hidden.
            if call is not None:
                yield HandedOn(module, node, name, (call,), True)
                continue
        calls = _calls_through(module, node)
        found = [read(module, call, name) for call in calls or ()]
        if calls is not None and all(call is not None for call in found):
            through = tuple(replace(call, reference=node) for call in found if call is not None)
            yield HandedOn(module, node, name, through, True)
        else:
            yield HandedOn(module, node, name, (), False)


def _is_gone(name: str, module: Module) -> bool:
    moved = successor(name, module.project)
    return moved is not None and moved.status != "deprecated"


def _is_partial(module: Module, call: ast.Call) -> bool:
    return bool(call.args) and module.qualified(call.func) == "functools.partial"


def _bound_call(
    module: Module, partial: ast.Call, node: ast.Name | ast.Attribute, name: str
) -> MetricCall | None:
    """Return a ``functools.partial`` of a metric as the call of it that it stands for."""
    if len(partial.args) > 1 or any(keyword.arg is None for keyword in partial.keywords):
        return None
    calls = _calls_through(module, partial)
    if calls and any(k.arg in ("task", None) for call in calls for k in call.keywords):
        return None
    if calls is None and not _is_gone(name, module) and _SAYS_TASK.search(module.source.code):
        return None
    whole = ast.copy_location(ast.Call(node, [], partial.keywords), partial)
    whole.lm_parent = partial.lm_parent  # type: ignore[attr-defined]
    call = read(module, whole, name)
    fed = calls[0] if calls else None
    return None if call is None else replace(call, bound=partial, fed=fed, reference=node)


def _is_kept(module: Module, node: ast.AST) -> bool:
    """Tell whether a metric is put where the file itself calls it later."""
    for above in module.ancestors(node):
        if isinstance(above, ast.Call):
            if getattr(above.func, "id", "") not in ("staticmethod", "dict", "list", "tuple"):
                return False
        elif isinstance(above, (ast.Assign, ast.AnnAssign)):
            return True
        elif isinstance(above, (ast.stmt, ast.Lambda)):
            return False
    return False


def _calls_through(module: Module, node: ast.expr) -> list[ast.Call] | None:
    """Return all calls of what an expression is assigned to; ``None`` when there may be others."""
    value, parent = node, module.parent(node)
    is_static = False
    if isinstance(parent, ast.Call) and getattr(parent.func, "id", "") == "staticmethod":
        is_static = True
        value, parent = parent, module.parent(parent)
    if isinstance(parent, ast.Assign) and len(parent.targets) == 1:
        target = parent.targets[0]
    elif isinstance(parent, ast.AnnAssign):
        target = parent.target
    else:
        return None
    if parent.value is not value:
        return None
    owner = module.parent(parent)
    if isinstance(target, ast.Attribute) and is_self(target.value):
        return _of_attribute(module, parent, target.attr)
    if not isinstance(target, ast.Name):
        return None
    if isinstance(owner, ast.ClassDef):
        is_function = kind_of(module.qualified(node) or "a.a") == "function"
        # A plain function in a class body is given the object when it is called.
        unbound = is_static or not is_function or isinstance(node, ast.Call)
        return _of_attribute(module, parent, target.id) if unbound else None
    return _of_name(module, parent, target.id)


def _of_name(module: Module, statement: ast.stmt, name: str) -> list[ast.Call] | None:
    function = module.enclosing_function(statement)
    if bindings(module, name, function) != [statement]:
        return None
    if function is None and is_exported(module, name):
        return None
    reads = [
        node
        for node in subtree(function or module.tree)
        if isinstance(node, ast.Name) and node.id == name and node not in subtree(statement)
    ]
    if function is None and any(not isinstance(node.ctx, ast.Load) for node in reads):
        return None
    return _all_called(module, reads)


def _of_attribute(module: Module, statement: ast.stmt, name: str) -> list[ast.Call] | None:
    cls = module.enclosing_class(statement)
    if cls is None:
        return None
    reads: list[ast.expr] = []
    for owner in {*cls.mro(), *cls.subclasses}:
        found = [
            node
            for node in subtree(owner.node)
            if isinstance(node, ast.Attribute) and node.attr == name
        ]
        found = [node for node in found if isinstance(node.value, ast.Name)]
        stored = [node for node in found if isinstance(node.ctx, ast.Store)]
        if any(module.statement(node) is not statement for node in stored):
            return None  # It may hold something else.
        loads = [node for node in found if isinstance(node.ctx, ast.Load)]
        if loads and owner.module is not module:
            return None
        reads += loads
    return _all_called(module, reads)


def _all_called(module: Module, reads: list[ast.expr] | list[ast.Name]) -> list[ast.Call] | None:
    calls: list[ast.Call] = []
    for node in reads:
        parent = module.parent(node)
        if not isinstance(parent, ast.Call) or parent.func is not node:
            return None
        calls.append(parent)
    return sorted(calls, key=lambda call: (call.lineno, call.col_offset))
