"""``MetricTracker`` objects: whether they are ever started, and which direction is best."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from lintmetrics.model.decomposability import higher_is_better
from lintmetrics.model.made_metrics import made_metric, members_of
from lintmetrics.model.metric_api import is_guarded
from lintmetrics.model.tensors import bindings
from lintmetrics.model.trails import attribute_value, is_self
from lintmetrics.project import CallSite, ClassInfo, Module
from lintmetrics.tree import subtree

_USES = frozenset(("update", "forward", "compute", "compute_all", "best_metric"))


@dataclass(frozen=True)
class TrackerUse:
    """The first use of a tracker that nothing ever starts.

    Args:
        module: the file; ``node``: the use; ``name``: the tracker as it is written.
        method: what is asked of it; ``forward`` for a call of the object.
    """

    module: Module = field(repr=False)
    node: ast.Call
    name: str
    method: str


def trackers(module: Module) -> Iterator[CallSite]:
    """Yield the calls of a file that make a ``MetricTracker``."""
    if "MetricTracker" not in module.source.code:
        return
    for site in module.call_sites:
        if site.name.endswith(".MetricTracker") and not is_guarded(module, site.node):
            yield site


def unstarted(module: Module) -> Iterator[TrackerUse]:
    """Yield the first use of each tracker that no ``increment()`` precedes anywhere."""
    for site in trackers(module):
        statement = module.parent(site.node)
        if not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
            continue
        target = statement.targets[0]
        if isinstance(target, ast.Attribute) and is_self(target.value):
            cls = module.enclosing_class(target)
            if cls is not None and attribute_value(cls, target.attr) is not None:
                yield from _of_attribute(cls, target.attr)
        elif isinstance(target, ast.Name):
            function = module.enclosing_function(target)
            if bindings(module, target.id, function) == [statement]:
                yield from _of_name(module, function or module.tree, target.id)


def _of_attribute(cls: ClassInfo, attribute: str) -> Iterator[TrackerUse]:
    """Yield the first use of a tracker in an attribute of a class."""
    if any(_starts_unseen(one) for one in cls.mro()):
        return
    project = cls.module.project
    pattern = re.compile(rf"\.{re.escape(attribute)}\b")
    uses: list[TrackerUse] = []
    for module in project.mentioning(pattern, f".{attribute}"):
        for node in subtree(module.tree):
            if not isinstance(node, ast.Attribute) or node.attr != attribute:
                continue
            if isinstance(node.ctx, ast.Store):
                continue
            use = _use(module, node)
            if use is None:
                return  # It is handed on, or started.
            if is_self(node.value) and module.enclosing_class(node) is cls:
                uses.append(use)
    wanted = [use for use in uses if use.method in _USES]
    if wanted:
        yield wanted[0]


def _starts_unseen(cls: ClassInfo) -> bool:
    """Tell whether a class starts what it finds in another way than by an attribute of its own."""
    return any(
        (isinstance(node, ast.Name) and node.id in ("getattr", "vars"))
        or (
            isinstance(node, ast.Attribute)
            and node.attr == "increment"
            and not (isinstance(node.value, ast.Attribute) and is_self(node.value.value))
        )
        for node in subtree(cls.node)
    )


def _of_name(module: Module, scope: ast.AST, name: str) -> Iterator[TrackerUse]:
    """Yield the first use of a tracker in a local name."""
    uses: list[TrackerUse] = []
    for node in subtree(scope):
        if isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load):
            use = _use(module, node)
            if use is None:
                return
            uses.append(use)
    wanted = [use for use in uses if use.method in _USES]
    if wanted:
        yield wanted[0]


def _use(module: Module, node: ast.expr) -> TrackerUse | None:
    """Return what is done with a tracker; ``None`` where it may be started."""
    above = module.parent(node)
    if isinstance(above, ast.Call) and above.func is node:
        return TrackerUse(module, above, module.source.segment(node), "forward")
    if isinstance(above, ast.Attribute):
        call = module.parent(above)
        if isinstance(call, ast.Call) and call.func is above and above.attr != "increment":
            return TrackerUse(module, call, module.source.segment(node), above.attr)
    return None


@dataclass(frozen=True)
class Directions:
    """What is known of the metrics that a tracker keeps.

    Args:
        higher: the classes of which a higher value is better; ``lower``: those of the others.
    """

    higher: tuple[str, ...]
    lower: tuple[str, ...]


def directions(module: Module, collection: ast.expr) -> Directions | None:
    """Return the directions of the members of a collection; ``None`` where it is none."""
    made = made_metric(module, collection)
    if made is None or not made.is_collection:
        return None
    found: dict[str, list[str]] = {"True": [], "False": []}
    for member in members_of(made):
        better = higher_is_better(member.name) if member.cls is None else ""
        if better in found:
            found[better].append(member.short)
    return Directions(tuple(found["True"]), tuple(found["False"]))
