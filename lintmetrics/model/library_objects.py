"""Objects of libraries, first of all metrics: which calls make them, and what they answer.

Each function returns ``UNKNOWN`` for what it does not understand, never a guess.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import replace

from lintmetrics.model import arithmetic, containers, library_functions
from lintmetrics.model.decomposability import Verdict, verdict
from lintmetrics.model.values import (
    UNKNOWN,
    Const,
    Form,
    Instance,
    Map,
    Metric,
    Number,
    Origin,
    Seq,
    Value,
    text_of,
)
from lintmetrics.project import Module
from lintmetrics.tree import subtree

_LIGHTNING_METRIC = re.compile(
    r"(?:torchmetrics|(?:pytorch_lightning|lightning\.pytorch|lightning)\.metrics)\.(?!functional)"
    r"(?:\w+\.)*([A-Z]\w+)$"
)
_MONAI_FUNCTIONS = {"ROCAUCMetric": "monai.metrics.compute_roc_auc"}
_MONAI_METRIC = re.compile(r"monai\.metrics\.(?:\w+\.)*[A-Z]\w+$")


def construct(
    name: str,
    node: ast.Call,
    module: Module,
    values: Sequence[Value],
    keywords: dict[str, Value],
) -> Value | None:
    """Return the object that calling an external class makes, ``None`` for what is no class."""
    if _LIGHTNING_METRIC.match(name):
        members: list[tuple[str, Metric]] = []
        if name.endswith(".MetricCollection") and values:
            first = values[0]
            if isinstance(first, Map):
                members = [(k, v) for k, v in first.items if isinstance(v, Metric)]
            elif isinstance(first, (Seq, Metric)):
                listed = first.items if isinstance(first, Seq) else tuple(values)
                members = [(v.name.rsplit(".", 1)[-1], v) for v in listed if isinstance(v, Metric)]
        return Metric(name, node, module, members=tuple(members))
    if name in ("evaluate.load", "datasets.load_metric") and values:
        which = text_of(values[0])
        extra = text_of(values[1]) if len(values) > 1 else None
        label = f"'{which}', '{extra}'" if extra else f"'{which}'"
        return Instance(f"evaluate.load({label})", node, module) if which else UNKNOWN
    if name == "evaluate.combine" and values and isinstance(values[0], Seq):
        parts = [text_of(entry) for entry in values[0].items]
        shown = ", ".join(repr(part) for part in parts)
        return UNKNOWN if None in parts else Instance(f"evaluate.combine({shown})", node, module)
    if _MONAI_METRIC.match(name):
        return Instance(name, node, module)
    if name in ("torch.nn.ModuleDict", "torch.nn.ModuleList"):
        kind = name.rsplit(".", 1)[1]
        return (
            containers.registered(values[0], kind)
            if values
            else (Map((), container=kind) if kind == "ModuleDict" else Seq((), kind))
        )
    last = name.rsplit(".", 1)[-1]
    if last[:1].isupper() and name.startswith("torch.nn."):
        return Instance(name, node, module)
    return None


def metric_method(
    metric: Metric, name: str, node: ast.Call, module: Module, keywords: dict[str, Value]
) -> Value:
    """Return the value of a method of a Metric that is no use of it."""
    if name == "clone":
        return replace(metric, path="", container="", constructor=metric.constructor)
    if name in ("to", "cpu", "cuda", "train", "eval", "float", "half", "double", "set_dtype"):
        return metric
    if metric.members and name == "values":
        return Seq(tuple(member for _, member in metric.members))
    if metric.members and name == "items":
        return Seq(tuple(Seq((Const(key), member)) for key, member in metric.members))
    return UNKNOWN


def metric_value(metric: Metric, operation: str, node: ast.Call, module: Module) -> Value:
    """Return what calling or computing a Metric answers."""
    known = metric_verdict(metric)
    origin = Origin(operation, metric.name, node, module, known.decomposable, known.weight, metric)
    return Number(Form.METRIC, (origin,))


def metric_verdict(metric: Metric) -> Verdict:
    """Return whether the batch values of a Metric may be averaged."""
    if metric.is_collection:
        found = [metric_verdict(member) for _, member in metric.members]
        for wanted in ("no", "weighted"):
            if any(v.decomposable == wanted for v in found):
                return next(v for v in found if v.decomposable == wanted)
        exact = bool(found) and all(v.decomposable == "exact" for v in found)
        return Verdict("exact" if exact else "unknown")
    if metric.custom is not None:
        return Verdict("unknown")
    return verdict(metric.name, metric.constructor)


def instance_method(
    value: Instance,
    name: str,
    node: ast.Call,
    module: Module,
    arguments: Sequence[Value],
    keywords: dict[str, Value],
) -> Value:
    """Return the value of a method of an external object."""
    if value.name.startswith("evaluate.") and name == "compute":
        return library_functions.functional(value.name, _evaluated(value, node), node, module)
    if value.name.startswith("monai.metrics.") and name == "aggregate":
        return _aggregated(value, node, module)
    if name == "forward":
        return call_object(value, node, module, arguments, keywords)
    return arithmetic.opaque(arguments, keywords)


def call_object(
    target: Value,
    node: ast.Call,
    module: Module,
    values: Sequence[Value],
    keywords: dict[str, Value],
) -> Value:
    """Return what calling an object answers."""
    if (
        isinstance(target, Instance)
        and target.name.startswith("torch.nn.")
        and target.name.endswith("Loss")
    ):
        reduction = library_functions.reduction_of(target.call)
        if reduction == "mean":
            origin = Origin("functional", target.name, node, module, "exact")
            return Number(Form.MEAN, (origin,))
        return library_functions.unaveraged(reduction, target.name, node, module)
    return arithmetic.opaque(values, keywords)


def _evaluated(value: Instance, node: ast.Call) -> Verdict:
    """Return whether what an object of ``evaluate`` computes on batches may be averaged."""
    if not value.name.startswith("evaluate.combine("):
        return verdict(value.name, node)
    found = [verdict(f"evaluate.load({n})", node) for n in re.findall(r"'\w+'", value.name)]
    for wanted in ("no", "weighted"):
        worst = next((known for known in found if known.decomposable == wanted), None)
        if worst is not None:
            return worst
    return Verdict("unknown")


def _aggregated(value: Instance, node: ast.Call, module: Module) -> Value:
    """Return what a metric object of MONAI answers, which gathers until it is reset."""
    name = value.name.rsplit(".", 1)[1]
    known = verdict(_MONAI_FUNCTIONS.get(name, value.name), value.call)
    function = module.enclosing_function(node)
    held = ast.dump(node.func.value) if isinstance(node.func, ast.Attribute) else ""
    is_reset = function is not None and any(
        isinstance(inner, ast.Attribute) and inner.attr == "reset" and ast.dump(inner.value) == held
        for inner in subtree(function)
    )
    # Without a reset in the step, it is a running value, of which no mean is right.
    decided = known.decomposable if is_reset else "no"
    return Number(Form.METRIC, (Origin("functional", value.name, node, module, decided),))
