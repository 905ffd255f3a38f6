"""What functions of Python and of libraries answer for values of which only the form is known.

Each function returns ``UNKNOWN`` for what it does not understand, never a guess.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import replace

from lintmetrics.model import arithmetic, containers
from lintmetrics.model.decomposability import Verdict, arguments, verdict
from lintmetrics.model.values import (
    UNKNOWN,
    Const,
    Elements,
    Form,
    Map,
    Number,
    Origin,
    Seq,
    Text,
    Value,
    each,
    options,
)
from lintmetrics.project import Module

_NUMERIC = ("torch.", "numpy.", "math.", "jax.numpy.", "torch.Tensor.")
_STACK = frozenset(
    ("stack", "tensor", "as_tensor", "array", "asarray", "Tensor", "FloatTensor", "DoubleTensor")
)
_CONCAT = frozenset(("cat", "concat", "concatenate", "hstack", "vstack"))
_EXTREMES = frozenset(("max", "min", "amax", "amin", "nanmax", "nanmin"))
_NO_METRICS = ("image_gradients", "pit_permutate", "total_variation")
# What functions of several scores answer, by key: may the mean over batches of each be taken?
# The formulas are those of transformers, data/metrics/__init__.py.
_SCORES = {
    "acc_and_f1": {"acc": "exact", "f1": "weighted", "acc_and_f1": "no"},
    "pearson_and_spearman": dict.fromkeys(("pearson", "spearmanr", "corr"), "no"),
}


def call(
    name: str,
    node: ast.Call,
    module: Module,
    values: Sequence[Value],
    keywords: dict[str, Value],
) -> Value:
    """Return what an external function answers."""
    first = values[0] if values else keywords.get("input", UNKNOWN)
    last = name.rsplit(".", 1)[-1]
    if name.startswith("builtins."):
        return _builtin(last, node, module, values, keywords)
    if name == "collections.OrderedDict":
        return _builtin("dict", node, module, values, keywords)
    known = verdict(name, node)
    if known.decomposable != "unknown" or known.family:
        return functional(name, known, node, module)
    if name.startswith("transformers.data.metrics.") and last in _SCORES:
        return Map(
            tuple(
                (key, Number(Form.METRIC, (Origin("functional", name, node, module, one),)))
                for key, one in _SCORES[last].items()
            )
        )
    if ".functional." in name and name.startswith(("torchmetrics", "pytorch_lightning.metrics")):
        return Number(Form.METRIC, (Origin("functional", name, node, module),))
    if name.startswith(_NUMERIC) or name in ("statistics.mean", "statistics.fmean"):
        if len(options(first)) > 1:
            return each(
                first, lambda option: call(name, node, module, [option, *values[1:]], keywords)
            )
        if last in ("mean", "average", "nanmean", "fmean"):
            if "weights" in keywords or (last == "average" and len(values) > 2):
                return arithmetic.opaque(values, keywords)
            number = _stacked(first, False)
            if isinstance(number, Number):
                return arithmetic.reduced(
                    number, "mean", arithmetic.is_whole(node, 1), node, module
                )
            return number
        if last in ("sum", "nansum"):
            if isinstance(first, Number):
                return arithmetic.reduced(first, "sum", arithmetic.is_whole(node, 1), node, module)
            return _total(first, node, module)
        if last in _EXTREMES and isinstance(first, Number) and first.form is Form.DATA:
            if arithmetic.is_whole(node, 1):
                return arithmetic.extreme(first, last, node, module)
            return Number(Form.DATA)
        if last in arithmetic.NONLINEAR:
            return (
                arithmetic.nonlinear(last, first, node, module)
                if isinstance(first, Number)
                else UNKNOWN
            )
        if last in ("pow", "power") and len(values) > 1:
            return arithmetic.binary(ast.Pow(), first, values[1], node, module)
        if isinstance(first, Const) and _is_zero(last, first, len(values)):
            return Const(0.0)  # Where a running total begins.
        if last in _STACK:
            return _stacked(first, False)
        if last in _CONCAT:
            return _stacked(first, True)
        if last in ("eq", "ne", "gt", "ge", "lt", "le", "isclose", "logical_and", "logical_or"):
            return Number(Form.FLAGS)
        if last in ("numel",):
            return Number(Form.COUNT)
        if last in ("div", "true_divide", "divide") and len(values) > 1:
            return arithmetic.binary(ast.Div(), first, values[1], node, module)
        if last in ("add", "sub", "mul") and len(values) > 1:
            op = {"add": ast.Add(), "sub": ast.Sub(), "mul": ast.Mult()}[last]
            return arithmetic.binary(op, first, values[1], node, module)
        if last in arithmetic.SAME and isinstance(first, Number):
            return first
    return arithmetic.opaque(values, keywords)


def _is_zero(name: str, first: Const, count: int) -> bool:
    if name in ("tensor", "as_tensor", "FloatTensor", "array"):
        return not isinstance(first.value, bool) and first.value in (0, 0.0)
    return name == "zeros" and count == 1 and first.value == 1


def _builtin(
    name: str, node: ast.Call, module: Module, values: Sequence[Value], keywords: dict[str, Value]
) -> Value:
    first: Value = values[0] if values else UNKNOWN
    if name in ("float", "int", "round", "abs", "bool"):
        return first if isinstance(first, (Number, Const)) else arithmetic.opaque(values, keywords)
    if name == "str":
        return first if isinstance(first, (Const, Text)) else UNKNOWN
    if name == "len":
        if isinstance(first, Elements):
            return Number(Form.BATCHES) if first.per_batch else UNKNOWN
        if isinstance(first, Seq):
            return Const(len(first.items))
        if isinstance(first, Number):
            return Number(Form.BATCHES if first.form is Form.STACKED else Form.COUNT)
        return UNKNOWN
    if name == "sum":
        return _total(first, node, module)
    if name in ("list", "tuple", "sorted", "reversed", "set"):
        if not values:
            return Seq(())
        return first if isinstance(first, (Seq, Elements)) else arithmetic.opaque(values, keywords)
    if name == "dict":
        found = first if isinstance(first, Map) else Map((), open=bool(values))
        return containers.updated(found, Map(tuple(keywords.items())))
    if name == "zip":
        lists = [containers.items_of(value) for value in values]
        if lists and all(entry is not None for entry in lists):
            return Seq(tuple(Seq(group) for group in zip(*(e or [] for e in lists), strict=False)))
        return Elements(
            Seq(tuple(containers.element_of(value) for value in values)),
            any(isinstance(v, Elements) and v.per_batch for v in values),
        )
    if name == "enumerate":
        known = containers.items_of(first)
        if known is not None:
            return Seq(tuple(Seq((Const(i), entry)) for i, entry in enumerate(known)))
        per_batch = isinstance(first, Elements) and first.per_batch
        return Elements(Seq((UNKNOWN, containers.element_of(first))), per_batch)
    if name == "range" and len(values) == 1:
        if isinstance(first, Const) and isinstance(first.value, int) and 0 <= first.value <= 12:
            return Seq(tuple(Const(i) for i in range(first.value)))
        return Elements(UNKNOWN)
    if name in ("max", "min"):
        inner = [v for v in values if isinstance(v, Number)]
        if len(inner) == 1 and inner[0].form is Form.BATCHES:
            return inner[0]  # max(len(outputs), 1)
        return (
            Number(Form.OTHER, arithmetic.union(*(v.origins for v in inner))) if inner else UNKNOWN
        )
    return arithmetic.opaque(values, keywords, data_only=True)


def reduction_of(call: ast.Call) -> object:
    """Return how the call of a loss, or of its class, reduces the losses of the samples.

    ``...`` where that is not a constant; what reduces in another way to a number is a ``mean``.
    """
    given = arguments(call)
    reduction = given.get("reduction", "mean")
    if reduction is None or given.get("reduce") is False:
        return "none"
    if given.get("size_average") is False:
        return "sum"
    return reduction if reduction in ("none", "sum", ...) else "mean"


def unaveraged(reduction: object, name: str, node: ast.Call, module: Module) -> Number:
    """Return what a loss answers that does not average the losses of the samples."""
    why = arithmetic.UNAVERAGED
    origins = (Origin("functional", name, node, module, "exact", why),)
    if reduction == "sum":
        return Number(Form.SUM, origins)
    return Number(Form.DATA, origins if reduction == "none" else ())


def functional(name: str, known: Verdict, node: ast.Call, module: Module) -> Value:
    """Return what a metric function or a loss of a library answers, by what is known of it."""
    if known.weight.startswith("1 (sum"):
        return Number(Form.DATA)  # Counts: they may be added up, and mean nothing alone.
    origin = Origin("functional", name, node, module, known.decomposable, known.weight)
    form = Form.METRIC
    if known.family == "pairwise" or name.rsplit(".", 1)[-1] in _NO_METRICS:
        return Number(Form.DATA)
    if known.family == "torch_loss":
        reduction = reduction_of(node)
        if reduction != "mean":
            return unaveraged(reduction, name, node, module)
        # A weighted or masked loss is still what its author calls the loss.
        origin = replace(origin, verdict="exact", why="")
        form = Form.MEAN
    return Number(form, (origin,))


def _stacked(value: Value, concatenated: bool) -> Value:
    if isinstance(value, Elements) and value.per_batch:
        forms = []
        origins: tuple[Origin, ...] = ()
        for option in options(value.of):
            if isinstance(option, Number):
                forms.append(option.form)
                origins = arithmetic.union(origins, option.origins)
            elif isinstance(option, (Map, Seq, Elements)):
                return UNKNOWN
        if concatenated and all(f in (Form.DATA, Form.FLAGS) for f in forms):
            return Number(Form.DATA)  # The whole epoch in one tensor.
        entry = None if not forms else forms[0] if len(set(forms)) == 1 else Form.OTHER
        return Number(Form.STACKED, origins, entry=entry)
    if isinstance(value, Seq) and value.items:
        found = [option for entry in value.items for option in options(entry)]
        inner = [entry for entry in found if isinstance(entry, Number)]
        if not inner:
            return UNKNOWN
        origins = arithmetic.union(*(entry.origins for entry in inner))
        scalars = all(entry.form in arithmetic.SCALARS for entry in inner)
        return Number(Form.OTHER if scalars else Form.DATA, origins)
    if isinstance(value, Number):
        return value
    return arithmetic.opaque([value], {})


def _total(value: Value, node: ast.Call, module: Module) -> Value:
    if isinstance(value, Elements):
        if value.per_batch:
            stacked = _stacked(value, False)
            return stacked.then(Form.SUMMED) if isinstance(stacked, Number) else UNKNOWN
        return Number(Form.DATA) if isinstance(value.of, Number) else UNKNOWN
    if isinstance(value, Seq):
        total: Value = Const(0)
        for entry in value.items:
            total = (
                entry
                if total == Const(0)
                else arithmetic.binary(ast.Add(), total, entry, node, module)
            )
        return total
    if isinstance(value, Number):
        return arithmetic.reduced(value, "sum", True, node, module)
    return UNKNOWN
