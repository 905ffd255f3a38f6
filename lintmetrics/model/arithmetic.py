"""What arithmetic, comparisons and reductions do to numbers of which only the form is known.

Each function returns ``UNKNOWN`` for what it does not understand, never a guess.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from dataclasses import replace

from lintmetrics.model import containers, texts
from lintmetrics.model.values import (
    UNKNOWN,
    Const,
    Elements,
    Form,
    Instance,
    Map,
    Metric,
    Number,
    Origin,
    Seq,
    Text,
    Value,
    each,
    merge,
    options,
)
from lintmetrics.project import Module

SAME = frozenset(
    (
        *("item", "detach", "cpu", "cuda", "to", "float", "double", "half", "bfloat16", "long"),
        *("int", "type", "clone", "numpy", "tolist", "contiguous", "view", "reshape", "squeeze"),
        *("unsqueeze", "flatten", "type_as", "requires_grad_", "bool"),
        *("transpose", "permute", "round", "clamp", "nan_to_num", "ravel", "astype", "copy"),
        *("data_ptr", "masked_fill"),
    )
)
"""Methods and functions that leave a number what it is."""
NONLINEAR = {
    "sqrt": "square root",
    "exp": "exponential",
    "log": "logarithm",
    "log2": "logarithm",
    "log10": "logarithm",
    "log1p": "logarithm",
    "expm1": "exponential",
    "square": "square",
    "rsqrt": "inverse square root",
    "reciprocal": "reciprocal",
}
"""Functions that no mean survives, with what a message calls them."""
UNAVERAGED = "the losses of the samples, as they are or added up"
"""What ``Origin.why`` says of a loss that was asked not to average."""
SCALARS = frozenset(
    (
        *(Form.MEAN, Form.SUM, Form.HITS, Form.COUNT, Form.RATIO, Form.PEAK, Form.METRIC),
        Form.OTHER,
    )
)
"""Forms of one number of a batch."""


def opaque(
    arguments: Sequence[Value], keywords: dict[str, Value], data_only: bool = False
) -> Value:
    """Return what a function that is not understood makes of its arguments."""
    if any(_has_data(value) for value in (*arguments, *keywords.values())):
        return UNKNOWN if data_only else Number(Form.DATA)
    return UNKNOWN


def _has_data(value: Value) -> bool:
    if isinstance(value, Number):
        return True
    if isinstance(value, Seq):
        return any(_has_data(item) for item in value.items)
    if isinstance(value, Map):
        return any(_has_data(item) for _, item in value.items)
    if isinstance(value, Elements):
        return _has_data(value.of)
    return any(_has_data(o) for o in options(value)) if len(options(value)) > 1 else False


def binary(op: ast.operator, left: Value, right: Value, node: ast.expr, module: Module) -> Value:
    """Return the value of an arithmetic operation."""
    if len(options(left)) > 1:
        return each(left, lambda option: binary(op, option, right, node, module))
    if len(options(right)) > 1:
        return each(right, lambda option: binary(op, left, option, node, module))
    if isinstance(op, ast.Add):
        joined = _joined(left, right)
        if joined is not None:
            return joined
    if isinstance(op, ast.Mod) and isinstance(left, Const) and isinstance(left.value, str):
        return texts.percent(left.value, right)
    if isinstance(op, ast.BitOr) and isinstance(left, Map) and isinstance(right, Map):
        return containers.updated(left, right)
    if not isinstance(left, Number) and not isinstance(right, Number):
        return UNKNOWN
    if isinstance(op, (ast.Add, ast.Sub)):
        if isinstance(left, Number) and isinstance(right, Number):
            return _add(left, right)
        return left if isinstance(left, Number) else right
    if isinstance(op, (ast.Mult, ast.MatMult)):
        return _times(left, right)
    if isinstance(op, (ast.Div, ast.FloorDiv)):
        return _divided(left, right, node, module)
    if isinstance(op, ast.Pow) and isinstance(left, Number):
        if isinstance(right, Const) and right.value == 1:
            return left
        if not isinstance(right, Const):
            return Number(Form.OTHER if left.form is not Form.DATA else Form.DATA, left.origins)
        return nonlinear("sqrt" if right.value == 0.5 else "power", left, node, module)
    if isinstance(op, (ast.BitAnd, ast.BitOr, ast.BitXor)):
        return Number(Form.FLAGS)
    return opaque([left, right], {})


def _joined(left: Value, right: Value) -> Value | None:
    """Return ``left + right`` for strings and lists, ``None`` for anything else."""
    first, second = texts.parts_of(left), texts.parts_of(right)
    if first is not None or second is not None:
        return texts.text([*(first or (None,)), *(second or (None,))])
    if isinstance(left, Seq) and isinstance(right, Seq):
        return Seq((*left.items, *right.items))
    if isinstance(left, (Seq, Elements)) and isinstance(right, (Seq, Elements)):
        of = merge([containers.element_of(left), containers.element_of(right)])
        return Elements(of, any(isinstance(v, Elements) and v.per_batch for v in (left, right)))
    return None


def _times(left: Value, right: Value) -> Value:
    if not isinstance(left, Number) or not isinstance(right, Number):
        number, factor = (left, right) if isinstance(left, Number) else (right, left)
        return number if isinstance(factor, Const) else _rescaled(number)
    origins = union(left.origins, right.origins)
    forms = {left.form, right.form}
    if forms == {Form.FLAGS}:
        return Number(Form.FLAGS, origins)
    if forms & {Form.DATA, Form.FLAGS}:
        return Number(Form.DATA, _mixed(left, right))
    if forms == {Form.COUNT}:
        return Number(Form.COUNT, origins)
    if Form.COUNT in forms and Form.MEAN in forms:
        return Number(Form.SUM, origins)
    return Number(Form.OTHER, _mixed(left, right))


def _rescaled(value: Value) -> Value:
    """Return a number after a factor of which nothing is known: it may be that of a mean."""
    if not isinstance(value, Number) or value.form not in (Form.SUM, Form.DATA):
        return value
    return replace(value, origins=_averaged(value.origins))


def _averaged(origins: Iterable[Origin]) -> tuple[Origin, ...]:
    """Return origins without the word that the losses of samples were not averaged."""
    return tuple(replace(o, why="") if o.why == UNAVERAGED else o for o in origins)


def _divided(left: Value, right: Value, node: ast.expr, module: Module) -> Value:
    if not isinstance(right, Number):
        return _rescaled(left)
    if not isinstance(left, Number):
        if right.form in (Form.COUNT, Form.BATCHES):
            return Number(Form.OTHER)
        return nonlinear("reciprocal", right, node, module)
    origins = union(left.origins, right.origins)
    if left.form is Form.SUMMED and right.form is Form.BATCHES:
        return _mean_of_batches(left, node, module)
    if right.form is Form.COUNT:
        if left.form is Form.PEAK:
            return Number(Form.OTHER)
        form = Form.MEAN if left.form in (Form.SUM, Form.HITS) else left.form
        return Number(form, _averaged(origins))
    if left.form is Form.HITS and right.form is Form.HITS:
        if right.terms >= 4:  # All of tp, tn, fp and fn: the number of samples.
            return Number(Form.MEAN, origins)
        own = Origin("formula", "ratio of counts", node, module, "weighted", "the denominator")
        return Number(Form.RATIO, union(origins, [own]))
    if left.form is Form.MEAN and right.form is Form.MEAN:
        own = Origin("formula", "ratio of means", node, module, "no")
        return Number(Form.OTHER, union(origins, [own]))
    if {left.form, right.form} <= {Form.SUM, Form.HITS}:
        own = Origin("formula", "ratio of sums", node, module, "weighted", "the denominator")
        return Number(Form.RATIO, union(origins, [own]))
    if Form.DATA in (left.form, right.form) or Form.FLAGS in (left.form, right.form):
        return Number(Form.DATA, origins)
    return Number(Form.OTHER, origins)


def _add(left: Number, right: Number) -> Number:
    origins = union(left.origins, right.origins)
    if left.form is right.form is Form.HITS:
        return Number(Form.HITS, origins, left.terms + right.terms)
    if left.form is right.form is Form.PEAK:
        return Number(Form.OTHER)
    if left.form is right.form:
        return Number(Form.DATA if left.form is Form.FLAGS else left.form, origins)
    if Form.DATA in (left.form, right.form):
        return Number(Form.DATA, _mixed(left, right))
    if {left.form, right.form} == {Form.HITS, Form.SUM}:
        return Number(Form.SUM, origins)
    if Form.HITS in (left.form, right.form) and Form.COUNT in (left.form, right.form):
        return Number(Form.HITS, origins, max(left.terms, right.terms) + 1)
    return Number(Form.OTHER, _mixed(left, right))


def _mixed(left: Number, right: Number) -> tuple[Origin, ...]:
    """Return the origins of a sum or product of unlike numbers.

    A loss with a term that is no mean is still a loss: only what is plain a metric keeps its say.
    """
    plain = (Form.METRIC, Form.RATIO, Form.OTHER)
    if left.form in plain and right.form in plain:
        return union(left.origins, right.origins)
    return tuple(
        origin
        for origin in union(left.origins, right.origins)
        if origin.averaged or origin.verdict in ("exact", "unknown")
    )


def nonlinear(name: str, number: Number, node: ast.expr, module: Module) -> Number:
    """Return what a function that is not linear makes of a number, which no mean survives."""
    origin = Origin(
        "formula",
        NONLINEAR.get(name, name),
        node,
        module,
        "no",
        tentative=number.form is Form.DATA,
    )
    if number.form in (Form.COUNT, Form.BATCHES, Form.FLAGS):
        return number.then(Form.OTHER)
    if number.form is Form.PEAK:
        return Number(Form.OTHER)
    if number.form is Form.SUM:
        return Number(Form.OTHER, number.origins)  # A norm, or an entropy: no mean is involved.
    form = number.form if number.form in (Form.DATA, Form.STACKED) else Form.OTHER
    return Number(form, union(number.origins, [origin]))


def reduced(number: Number, how: str, whole: bool, node: ast.expr, module: Module) -> Number:
    """Return a mean or sum of a number; ``whole`` when it is over all dimensions."""
    form = number.form
    if form is Form.STACKED:
        if not whole and not _over_first(node):
            return number  # A reduction of each batch's entry by itself.
        if how == "mean":
            return _mean_of_batches(number, node, module)
        return number.then(Form.SUMMED)
    if not whole:
        return Number(Form.DATA, _settled(number)) if form in (Form.DATA, Form.FLAGS) else number
    if form is Form.DATA and how == "mean":
        return Number(Form.MEAN, _averaged(_settled(number)))
    if form is Form.DATA:
        return Number(Form.SUM, _settled(number))
    if form is Form.FLAGS:
        return Number(Form.MEAN if how == "mean" else Form.HITS, _settled(number))
    return number


def extreme(number: Number, name: str, node: ast.expr, module: Module) -> Number:
    """Return the largest or smallest of all that a batch holds, which no mean survives."""
    if number.form is not Form.DATA:
        return Number(Form.OTHER, number.origins) if number.form in SCALARS else Number(Form.DATA)
    what = "maximum" if name in ("max", "amax", "nanmax") else "minimum"
    return Number(Form.PEAK, (Origin("formula", what, node, module, "no"),))


def _mean_of_batches(number: Number, node: ast.expr, module: Module) -> Number:
    own = Origin(
        "mean-of-means",
        "mean over batches",
        node,
        module,
        "weighted",
        "batch sizes",
        entry=number.entry,
    )
    inner = [replace(origin, averaged=True) for origin in _settled(number)]
    return Number(Form.OTHER, union(inner, [own]))


def _settled(number: Number) -> tuple[Origin, ...]:
    """Return the origins that survive a reduction over the batch."""
    return tuple(origin for origin in number.origins if not origin.tentative)


def union(*groups: Iterable[Origin]) -> tuple[Origin, ...]:
    """Return all origins of some groups, each once and in order."""
    return tuple(dict.fromkeys(origin for group in groups for origin in group))


def accumulate(before: Value, value: Number, loop: str) -> Value:
    """Return ``before + value`` as a running total.

    ``loop`` is ``"batches"`` in a loop over step outputs, ``"other"`` in another one.
    """
    per_batch = loop == "batches"
    if loop == "other":
        # One term for each sample, class or layer: who knows.
        return Number(Form.DATA if value.form is not Form.HITS else Form.HITS)
    fresh = isinstance(before, Const) and before.value in (0, 0.0)
    summed = isinstance(before, Number) and before.form is Form.SUMMED
    if per_batch and (fresh or summed):
        earlier = before.origins if isinstance(before, Number) else ()
        return Number(Form.SUMMED, union(earlier, value.origins), entry=value.form)
    if fresh:
        return value
    if isinstance(before, Number):
        return _add(before, value)
    return each(before, lambda option: _add(option, value) if isinstance(option, Number) else value)


def compare(left: Value, ops: Sequence[ast.cmpop], rights: Sequence[Value]) -> Value:
    """Return the value of a comparison."""
    if len(ops) == 1:
        op, right = ops[0], rights[0]
        if isinstance(op, (ast.Is, ast.IsNot, ast.Eq, ast.NotEq)):
            same: bool | None = None
            if isinstance(left, Const) and isinstance(right, Const):
                same = left.value == right.value
            elif Const(None) in (left, right):
                other = right if left == Const(None) else left
                if isinstance(other, (Number, Map, Seq, Elements, Metric, Instance, Text)):
                    same = False
            if same is not None:
                return Const(same if isinstance(op, (ast.Is, ast.Eq)) else not same)
        if isinstance(op, (ast.In, ast.NotIn)) and isinstance(left, Const):
            within: bool | None = None
            if isinstance(right, Seq) and all(isinstance(i, Const) for i in right.items):
                within = left in right.items
            elif isinstance(right, Const) and isinstance(right.value, str):
                within = isinstance(left.value, str) and left.value in right.value
            elif isinstance(right, Map) and not right.open:
                within = any(key == left.value for key, _ in right.items)
            if within is not None:
                return Const(within if isinstance(op, ast.In) else not within)
    involved = [left, *rights]
    if any(isinstance(v, Number) and v.form in (Form.DATA, Form.FLAGS) for v in involved):
        return Number(Form.FLAGS)
    return UNKNOWN


def truth(value: Value) -> bool | None:
    """Return whether a condition holds, ``None`` when that is not known."""
    return bool(value.value) if isinstance(value, Const) else None


def is_whole(node: ast.Call, first: int = 0) -> bool:
    """Tell whether a reduction names no dimension."""
    named = {keyword.arg for keyword in node.keywords}
    return len(node.args) <= first and not named & {"dim", "axis", "keepdim", "keepdims"}


def _over_first(node: ast.expr) -> bool:
    """Tell whether a reduction is over the first dimension."""
    if not isinstance(node, ast.Call):
        return False
    given: list[ast.expr] = [k.value for k in node.keywords if k.arg in ("dim", "axis")]
    return any(isinstance(d, ast.Constant) and d.value == 0 for d in [*given, *node.args[-1:]])
