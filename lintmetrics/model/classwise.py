"""Metrics in a ``ClasswiseWrapper``: whether they answer once for each class, and for how many."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

from lintmetrics.model.made_metrics import (
    MadeMetric,
    argument,
    is_dispatcher,
    is_expected_to_fail,
    is_unpacked,
    made_metric,
)
from lintmetrics.model.metric_api import LIBRARY, current_signature
from lintmetrics.model.tensors import constant
from lintmetrics.project import Module
from lintmetrics.tree import subtree

_AVERAGES = ("micro", "macro", "weighted")
# One number whatever they are given: torchmetrics 1.9.0, each wrapped and computed.
_ONE_NUMBER = frozenset(
    f"{task}{name}"
    for task in ("", "Binary", "Multiclass", "Multilabel")
    for name in ("CohenKappa", "MatthewsCorrCoef", "CalibrationError")
)


@dataclass(frozen=True)
class Wrapped:
    """A metric that a ``ClasswiseWrapper`` cannot take apart as it is told.

    Args:
        module: the file; ``node``: what is to be changed.
        metric: the name of the metric.
        average: what it averages over the classes; empty where it never answers for each.
        labels: how many labels are given; ``classes``: how many classes there are; 0 for both where
            the metric answers with one number.
    """

    module: Module = field(repr=False)
    node: ast.AST
    metric: str
    average: str = ""
    labels: int = 0
    classes: int = 0


def misfits(module: Module) -> Iterator[Wrapped]:
    """Yield the metrics of a file that do not fit the ``ClasswiseWrapper`` around them."""
    if "ClasswiseWrapper" not in module.source.code:
        return
    for site in module.call_sites:
        if not site.name.endswith(".ClasswiseWrapper") or is_unpacked(site.node):
            continue
        inner = argument(site.node, 0, "metric")
        made = made_metric(module, inner) if inner is not None else None
        if made is None or made.cls is not None or is_unpacked(made.call):
            continue
        if is_expected_to_fail(module, site.node):
            continue
        node = inner if inner is not None and made.module is module else site.node
        average = _average(made)
        if average is not None:
            yield Wrapped(module, node or site.node, made.short, average)
            continue
        labels = argument(site.node, 1, "labels")
        given = constant(module, labels)
        classes = _classes(made)
        if isinstance(given, list) and classes and len(given) != classes and labels is not None:
            yield Wrapped(module, labels, made.short, "", len(given), classes)


def _average(made: MadeMetric) -> str | None:
    """Return how a metric averages over the classes; ``None`` where it may answer for each."""
    if not made.name.startswith(f"{LIBRARY}."):
        return None
    signature = current_signature(made.short, "class")
    if signature is None or made.short.startswith("Multilabel"):
        return None
    if _gives(made, "multidim_average", "global") or made.short in _ONE_NUMBER:
        return "" if made.short in _ONE_NUMBER else None
    task = argument(made.call, 0, "task") if is_dispatcher(made.short) else None
    if is_dispatcher(made.short) and constant(made.module, task) != "multiclass":
        return None
    default = {p.name: p.default for p in signature.parameters}.get("average", "None")
    given = next((k.value for k in made.call.keywords if k.arg == "average"), None)
    if given is None and "average" in signature.names:
        place = signature.names.index("average")
        given = made.call.args[place] if place < len(made.call.args) else None
    value = constant(made.module, given) if given is not None else str(default).strip("'\"")
    return value if isinstance(value, str) and value in _AVERAGES else None


def _gives(made: MadeMetric, name: str, harmless: str) -> bool:
    """Tell whether a call gives an argument another value than one."""
    return any(
        keyword.arg == name and constant(made.module, keyword.value) != harmless
        for keyword in made.call.keywords
    )


def _classes(made: MadeMetric) -> int:
    """Return for how many classes a metric answers; 0 where that is not known."""
    if any(isinstance(node, ast.Starred) for node in subtree(made.call)):
        return 0
    for keyword in made.call.keywords:
        if keyword.arg in ("num_classes", "num_labels"):
            value = constant(made.module, keyword.value)
            return value if isinstance(value, int) and not isinstance(value, bool) else 0
    signature = current_signature(made.short, "class")
    first = signature.names[:1] if signature is not None else ()
    if first in (("num_classes",), ("num_labels",)) and made.call.args:
        value = constant(made.module, made.call.args[0])
        return value if isinstance(value, int) and not isinstance(value, bool) else 0
    return 0
