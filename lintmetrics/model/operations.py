"""What operations do to values: arithmetic, tensor methods, library functions, containers.

Each function returns ``UNKNOWN`` for what it does not understand, never a guess.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from lintmetrics.model.decomposability import Verdict, arguments, verdict
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
    text_of,
)
from lintmetrics.project import Module
from lintmetrics.tree import subtree

_SAME = frozenset(
    (
        *("item", "detach", "cpu", "cuda", "to", "float", "double", "half", "bfloat16", "long"),
        *("int", "type", "clone", "numpy", "tolist", "contiguous", "view", "reshape", "squeeze"),
        *("unsqueeze", "flatten", "type_as", "requires_grad_", "bool"),
        *("transpose", "permute", "round", "clamp", "nan_to_num", "ravel", "astype", "copy"),
        *("data_ptr", "masked_fill"),
    )
)
_NONLINEAR = {
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
# Parts of a report that are means over samples, whatever the rest of it is.
_MEANS_OF_REPORTS = ("accuracy", "exact_match")
_NUMERIC = ("torch.", "numpy.", "math.", "jax.numpy.", "torch.Tensor.")
_STACK = frozenset(
    ("stack", "tensor", "as_tensor", "array", "asarray", "Tensor", "FloatTensor", "DoubleTensor")
)
_CONCAT = frozenset(("cat", "concat", "concatenate", "hstack", "vstack"))
_SCALARS = frozenset(
    (Form.MEAN, Form.SUM, Form.HITS, Form.COUNT, Form.RATIO, Form.METRIC, Form.OTHER)
)
_LIGHTNING_METRIC = re.compile(
    r"(?:torchmetrics|(?:pytorch_lightning|lightning\.pytorch|lightning)\.metrics)\.(?!functional)"
    r"(?:\w+\.)*([A-Z]\w+)$"
)

_MONAI_FUNCTIONS = {"ROCAUCMetric": "monai.metrics.compute_roc_auc"}
_MONAI_METRIC = re.compile(r"monai\.metrics\.(?:\w+\.)*[A-Z]\w+$")


# Helpers of numbers ------------------------------------------------------------------------------


def _settled(number: Number) -> tuple[Origin, ...]:
    """Return the origins that survive a reduction over the batch."""
    return tuple(origin for origin in number.origins if not origin.tentative)


def _union(*groups: Iterable[Origin]) -> tuple[Origin, ...]:
    return tuple(dict.fromkeys(origin for group in groups for origin in group))


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


def opaque(
    arguments: Sequence[Value], keywords: dict[str, Value], data_only: bool = False
) -> Value:
    """Return what a function that is not understood makes of its arguments."""
    if any(_has_data(value) for value in (*arguments, *keywords.values())):
        return UNKNOWN if data_only else Number(Form.DATA)
    return UNKNOWN


def _nonlinear(name: str, number: Number, node: ast.expr, module: Module) -> Number:
    origin = Origin(
        "formula",
        _NONLINEAR.get(name, name),
        node,
        module,
        "no",
        tentative=number.form is Form.DATA,
    )
    if number.form in (Form.COUNT, Form.BATCHES, Form.FLAGS):
        return number.then(Form.OTHER)
    if number.form is Form.SUM:
        return Number(Form.OTHER, number.origins)  # A norm, or an entropy: no mean is involved.
    form = number.form if number.form in (Form.DATA, Form.STACKED) else Form.OTHER
    return Number(form, _union(number.origins, [origin]))


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
    return Number(Form.OTHER, _union(inner, [own]))


def _reduce(number: Number, how: str, whole: bool, node: ast.expr, module: Module) -> Number:
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
    if form is Form.DATA:
        return Number(Form.MEAN if how == "mean" else Form.SUM, _settled(number))
    if form is Form.FLAGS:
        return Number(Form.MEAN if how == "mean" else Form.HITS, _settled(number))
    return number


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
        return Number(Form.SUMMED, _union(earlier, value.origins), entry=value.form)
    if fresh:
        return value
    if isinstance(before, Number):
        return _add(before, value)
    return each(before, lambda option: _add(option, value) if isinstance(option, Number) else value)


def _add(left: Number, right: Number) -> Number:
    origins = _union(left.origins, right.origins)
    if left.form is right.form is Form.HITS:
        return Number(Form.HITS, origins, left.terms + right.terms)
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
        return _union(left.origins, right.origins)
    return tuple(
        origin
        for origin in _union(left.origins, right.origins)
        if origin.averaged or origin.verdict in ("exact", "unknown")
    )


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
        return _percent(left.value, right)
    if isinstance(op, ast.BitOr) and isinstance(left, Map) and isinstance(right, Map):
        return updated(left, right)
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
        return _nonlinear("sqrt" if right.value == 0.5 else "power", left, node, module)
    if isinstance(op, (ast.BitAnd, ast.BitOr, ast.BitXor)):
        return Number(Form.FLAGS)
    return opaque([left, right], {})


def _times(left: Value, right: Value) -> Value:
    if not isinstance(left, Number) or not isinstance(right, Number):
        return left if isinstance(left, Number) else right
    origins = _union(left.origins, right.origins)
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


def _divided(left: Value, right: Value, node: ast.expr, module: Module) -> Value:
    if not isinstance(right, Number):
        return left
    if not isinstance(left, Number):
        if right.form in (Form.COUNT, Form.BATCHES):
            return Number(Form.OTHER)
        return _nonlinear("reciprocal", right, node, module)
    origins = _union(left.origins, right.origins)
    if left.form is Form.SUMMED and right.form is Form.BATCHES:
        return _mean_of_batches(left, node, module)
    if right.form is Form.COUNT:
        form = Form.MEAN if left.form in (Form.SUM, Form.HITS) else left.form
        return Number(form, origins)
    if left.form is Form.HITS and right.form is Form.HITS:
        if right.terms >= 4:  # All of tp, tn, fp and fn: the number of samples.
            return Number(Form.MEAN, origins)
        own = Origin("formula", "ratio of counts", node, module, "weighted", "the denominator")
        return Number(Form.RATIO, _union(origins, [own]))
    if left.form is Form.MEAN and right.form is Form.MEAN:
        own = Origin("formula", "ratio of means", node, module, "no")
        return Number(Form.OTHER, _union(origins, [own]))
    if {left.form, right.form} <= {Form.SUM, Form.HITS}:
        own = Origin("formula", "ratio of sums", node, module, "weighted", "the denominator")
        return Number(Form.RATIO, _union(origins, [own]))
    if Form.DATA in (left.form, right.form) or Form.FLAGS in (left.form, right.form):
        return Number(Form.DATA, origins)
    return Number(Form.OTHER, origins)


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


def join(values: list[Value]) -> Value:
    """Return what a name stands for after branches that gave it these values."""
    return merge(values)


# Strings -----------------------------------------------------------------------------------------


def text(parts: Sequence[str | None]) -> Value:
    """Return a string made of known and unknown parts."""
    merged: list[str | None] = []
    for part in parts:
        if merged and isinstance(part, str) and isinstance(merged[-1], str):
            merged[-1] = merged[-1] + part
        elif part != "":
            merged.append(part)
    if not merged:
        return Const("")
    if len(merged) == 1 and merged[0] is not None:
        return Const(merged[0])
    return Text(tuple(merged))


def _parts(value: Value) -> tuple[str | None, ...] | None:
    if isinstance(value, Const) and isinstance(value.value, str):
        return (value.value,)
    return value.parts if isinstance(value, Text) else None


def _joined(left: Value, right: Value) -> Value | None:
    """Return ``left + right`` for strings and lists, ``None`` for anything else."""
    first, second = _parts(left), _parts(right)
    if first is not None or second is not None:
        return text([*(first or (None,)), *(second or (None,))])
    if isinstance(left, Seq) and isinstance(right, Seq):
        return Seq((*left.items, *right.items))
    if isinstance(left, (Seq, Elements)) and isinstance(right, (Seq, Elements)):
        of = merge([element_of(left), element_of(right)])
        return Elements(of, any(isinstance(v, Elements) and v.per_batch for v in (left, right)))
    return None


def _percent(template: str, right: Value) -> Value:
    items = list(right.items) if isinstance(right, Seq) else [right]
    pieces: list[str | None] = []
    rest = re.split(r"%[-#0 +]*[\d.]*[sdifr]", template)
    for index, piece in enumerate(rest):
        pieces.append(piece)
        if index < len(rest) - 1:
            known = items[index] if index < len(items) else UNKNOWN
            pieces.append(text_of(known) if isinstance(known, Const) else None)
    return text(pieces)


def _formatted(template: str, arguments: Sequence[Value], keywords: dict[str, Value]) -> Value:
    pieces: list[str | None] = []
    position = 0
    for index, piece in enumerate(re.split(r"\{(\w*)[^{}]*\}", template)):
        if index % 2 == 0:
            pieces.append(piece)
            continue
        value: Value = UNKNOWN
        if piece == "" and position < len(arguments):
            value = arguments[position]
            position += 1
        elif piece.isdigit() and int(piece) < len(arguments):
            value = arguments[int(piece)]
        elif piece in keywords:
            value = keywords[piece]
        known = _parts(value)
        if known is not None:
            pieces += known
        else:
            pieces.append(str(value.value) if isinstance(value, Const) else None)
    return text(pieces)


# Containers --------------------------------------------------------------------------------------


def items_of(value: Value) -> list[Value] | None:
    """Return the items that iterating yields, ``None`` when they are not known."""
    if isinstance(value, Seq):
        return list(value.items)
    if isinstance(value, Map) and not value.open:
        return [Const(key) for key, _ in value.items]
    return None


def element_of(value: Value) -> Value:
    """Return what stands for any item of an iterable."""
    if isinstance(value, Elements):
        return value.of
    if isinstance(value, Seq):
        return merge(list(value.items))
    if isinstance(value, Number):
        return value
    if isinstance(value, Map):
        return UNKNOWN
    if len(options(value)) > 1:
        return each(value, element_of)
    return UNKNOWN


def unpack(value: Value, count: int) -> list[Value]:
    """Return the parts that an unpacking into ``count`` targets gives."""
    if isinstance(value, Seq) and len(value.items) == count:
        return list(value.items)
    if len(options(value)) > 1:
        split = [unpack(option, count) for option in options(value)]
        return [merge([parts[index] for parts in split]) for index in range(count)]
    if isinstance(value, Number):
        return [value] * count
    if isinstance(value, Elements):
        return [value.of] * count
    return [UNKNOWN] * count


def item(value: Value, key: Value, node: ast.Subscript) -> Value:
    """Return ``value[key]``."""
    name = text_of(key)
    if isinstance(value, Map):
        if name is not None and "*" not in name:
            return value.get(name)
        if name is not None:
            pattern = re.compile(re.escape(name).replace(r"\*", ".*") + "$")
            fitting = [v for k, v in value.items if pattern.match(k)]
            return merge(fitting) if fitting and not value.open else UNKNOWN
        return merge([v for _, v in value.items]) if value.items and not value.open else UNKNOWN
    if isinstance(value, Seq):
        if isinstance(key, Const) and isinstance(key.value, int):
            index = key.value
            if -len(value.items) <= index < len(value.items):
                return value.items[index]
            return UNKNOWN
        if isinstance(node.slice, ast.Slice):
            return Elements(merge(list(value.items)))
        return merge(list(value.items))
    if isinstance(value, Elements):
        if not isinstance(node.slice, ast.Slice):
            return value.of
        # The last hundred batches are a moving window, not the epoch.
        window = isinstance(node.slice.lower, ast.UnaryOp)
        return Elements(value.of, value.per_batch and not window)
    if isinstance(value, Metric) and value.members and name is not None:
        return next((member for key_, member in value.members if key_ == name), UNKNOWN)
    if isinstance(value, Number):
        if value.form is Form.METRIC and name in _MEANS_OF_REPORTS:
            return Number(Form.MEAN)
        return value
    return UNKNOWN


def columns(rows: Value) -> list[Value] | None:
    """Return what ``zip(*rows)`` yields for a list of like tuples, ``None`` for others."""
    if isinstance(rows, Elements) and isinstance(rows.of, Seq):
        return [Elements(item, rows.per_batch) for item in rows.of.items]
    return None


def with_item(holder: Value, key: Value, value: Value) -> Value:
    """Return a container after ``holder[key] = value``."""
    name = text_of(key)
    if isinstance(holder, Map):
        if name is None:
            return replace(holder, open=True)
        return holder.with_item(name, _registered(value, holder.container))
    if len(options(holder)) > 1:
        return each(holder, lambda option: with_item(option, key, value))
    return holder


def updated(found: Map, value: Value) -> Map:
    """Return a dict after ``found.update(value)``."""
    if isinstance(value, Map):
        for key, entry in value.items:
            found = found.with_item(key, _registered(entry, found.container))
        return replace(found, open=found.open or value.open)
    return replace(found, open=True)


def mutated(
    owner: Value,
    name: str,
    arguments: Sequence[Value],
    keywords: dict[str, Value],
    loop: str,
) -> Value | None:
    """Return a container after a method changed it in place, ``None`` when it is none.

    ``loop`` is ``"batches"`` inside a loop over step outputs, ``"other"`` inside another loop.
    """
    if isinstance(owner, Map) and name == "update":
        for argument in arguments:
            owner = updated(owner, argument)
        return updated(owner, Map(tuple(keywords.items())))
    if name == "append" and arguments and isinstance(owner, (Seq, Elements)):
        added = arguments[0]
        if isinstance(owner, Seq):
            added = _registered(added, owner.container)
        if loop or isinstance(owner, Elements):
            of = merge([*([element_of(owner)] if element_of(owner) != UNKNOWN else []), added])
            per_batch = loop == "batches" or (isinstance(owner, Elements) and owner.per_batch)
            return Elements(of, per_batch)
        return replace(owner, items=(*owner.items, added))
    if name == "extend" and arguments and isinstance(owner, (Seq, Elements)):
        return Elements(merge([element_of(arguments[0])]), False)
    if len(options(owner)) > 1 and name in ("append", "update"):
        changed = [mutated(option, name, arguments, keywords, loop) for option in options(owner)]
        return merge([c for c in changed if c is not None]) if all(changed) else None
    return None


def appended(before: Value, items: Sequence[Value], loop: str) -> Value:
    """Return a list after items were added to it in a loop."""
    for entry in items:
        before = mutated(before, "append", [entry], {}, loop) or UNKNOWN
    return before


def held(value: Value, attribute: str) -> Value:
    """Return a value as the module's attribute of that name holds it."""
    if isinstance(value, Metric):
        return value if value.path else value.at(attribute)
    return _placed(value, attribute, "")


def _placed(value: Value, path: str, container: str) -> Value:
    """Return a value with its Metric objects named by the way to them."""
    if isinstance(value, Metric):
        return value if value.path else value.at(path, value.container or container)
    if isinstance(value, Map):
        items = tuple((key, _placed(v, f"{path}[{key!r}]", "dict")) for key, v in value.items)
        return replace(value, items=items)
    if isinstance(value, Seq):
        entries = enumerate(value.items)
        listed = tuple(_placed(v, f"{path}[{index}]", "list") for index, v in entries)
        return replace(value, items=listed)
    if isinstance(value, Elements) and isinstance(value.of, Metric) and not value.of.path:
        return Elements(value.of.at(f"{path}[...]", value.of.container or "list"))
    return value


def as_training_output(value: Value) -> Value:
    """Return one entry of old ``training_epoch_end`` outputs: always a dict with ``loss``."""
    if isinstance(value, Map):
        return value
    return Map((("loss", value),), open=True) if isinstance(value, Number) else UNKNOWN


# Attributes and methods --------------------------------------------------------------------------


def attribute(value: Value, node: ast.Attribute, module: Module) -> Value:
    """Return ``value.name`` for a value that is no module, class or function."""
    name = node.attr
    if isinstance(value, Map):
        return value.get(name)
    if isinstance(value, Number):
        if name == "shape":
            return Number(Form.COUNT)
        if name == "loss" and value.form is Form.DATA:
            origin = Origin("formula", "loss of the model", node, module, "exact")
            return Number(Form.MEAN, (origin,))
        if name in ("data", "T", "mT", "real"):
            return value
        return Number(Form.DATA) if value.form is Form.DATA else value
    return UNKNOWN


def _whole(node: ast.Call, first: int = 0) -> bool:
    """Tell whether a reduction names no dimension."""
    named = {keyword.arg for keyword in node.keywords}
    return len(node.args) <= first and not named & {"dim", "axis", "keepdim", "keepdims"}


def _over_first(node: ast.expr) -> bool:
    """Tell whether a reduction is over the first dimension."""
    if not isinstance(node, ast.Call):
        return False
    given: list[ast.expr] = [k.value for k in node.keywords if k.arg in ("dim", "axis")]
    return any(isinstance(d, ast.Constant) and d.value == 0 for d in [*given, *node.args[-1:]])


def method(
    value: Value,
    name: str,
    node: ast.Call,
    module: Module,
    arguments: Sequence[Value],
    keywords: dict[str, Value],
) -> Value:
    """Return the value of ``value.name(...)``."""
    if isinstance(value, Number):
        return _number_method(value, name, node, module, arguments, keywords)
    if isinstance(value, Map):
        if name == "items" and not value.open:
            return Seq(tuple(Seq((Const(key), v)) for key, v in value.items))
        if name == "items":
            return Elements(Seq((UNKNOWN, merge([v for _, v in value.items]))))
        if name == "values":
            return Seq(tuple(v for _, v in value.items))
        if name == "keys":
            return Seq(tuple(Const(key) for key, _ in value.items))
        if name in ("get", "pop") and arguments:
            key = text_of(arguments[0])
            return value.get(key) if key is not None else UNKNOWN
        return value if name in ("copy", "to") else UNKNOWN
    if isinstance(value, Elements):
        if name in ("values", "copy"):
            return value
        if name == "items":
            return Elements(Seq((UNKNOWN, value.of)))
        return UNKNOWN
    if isinstance(value, Seq):
        return value if name == "copy" else UNKNOWN
    if isinstance(value, Const) and isinstance(value.value, (int, float)) and name in _SAME:
        return value
    if isinstance(value, Const) and isinstance(value.value, str):
        if name == "format":
            return _formatted(value.value, arguments, keywords)
        if name in ("lower", "upper", "strip", "capitalize", "title") and not arguments:
            return Const(getattr(value.value, name)())
        if name == "join" and arguments and isinstance(arguments[0], Seq):
            pieces: list[str | None] = []
            for index, part in enumerate(arguments[0].items):
                pieces += ([value.value] if index else []) + list(_parts(part) or (None,))
            return text(pieces)
        if name == "replace" and len(arguments) == 2:
            old, new = text_of(arguments[0]), text_of(arguments[1])
            return Const(value.value.replace(old, new)) if old and new is not None else UNKNOWN
        return UNKNOWN
    return opaque(arguments, keywords)


def _number_method(
    value: Number,
    name: str,
    node: ast.Call,
    module: Module,
    arguments: Sequence[Value],
    keywords: dict[str, Value],
) -> Value:
    if name in _SAME:
        return value
    if name in ("mean", "nanmean"):
        return _reduce(value, "mean", _whole(node), node, module)
    if name in ("sum", "nansum"):
        return _reduce(value, "sum", _whole(node), node, module)
    if name in _NONLINEAR:
        return _nonlinear(name, value, node, module)
    if name == "pow" and arguments:
        return binary(ast.Pow(), value, arguments[0], node, module)
    if name in ("size", "numel", "nelement", "dim", "__len__"):
        return Number(Form.COUNT)
    if name in ("eq", "ne", "gt", "ge", "lt", "le", "isclose", "logical_and", "logical_or"):
        return Number(Form.FLAGS)
    for op, names in (
        (ast.Add(), ("add", "add_")),
        (ast.Sub(), ("sub", "sub_")),
        (ast.Mult(), ("mul", "mul_", "multiply")),
        (ast.Div(), ("div", "div_", "true_divide", "divide")),
    ):
        if name in names and arguments:
            return binary(op, value, arguments[0], node, module)
    if name in ("all", "any") and not _whole(node):
        return Number(Form.FLAGS)
    if value.form is Form.DATA:
        return Number(Form.DATA)
    return Number(Form.OTHER, value.origins) if value.form in _SCALARS else Number(Form.DATA)


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
        return _functional(value.name, _evaluated(value, node), node, module)
    if value.name.startswith("monai.metrics.") and name == "aggregate":
        return _aggregated(value, node, module)
    if name == "forward":
        return call_object(value, node, module, arguments, keywords)
    return opaque(arguments, keywords)


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


# Metrics -----------------------------------------------------------------------------------------


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


def metric_value(metric: Metric, operation: str, node: ast.Call, module: Module) -> Value:
    """Return what calling or computing a Metric answers."""
    known = metric_verdict(metric)
    origin = Origin(operation, metric.name, node, module, known.decomposable, known.weight, metric)
    return Number(Form.METRIC, (origin,))


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
            _registered(values[0], kind)
            if values
            else (Map((), container=kind) if kind == "ModuleDict" else Seq((), kind))
        )
    last = name.rsplit(".", 1)[-1]
    if last[:1].isupper() and name.startswith("torch.nn."):
        return Instance(name, node, module)
    return None


def _registered(value: Value, kind: str) -> Value:
    """Return a value whose metrics are registered as submodules, where something does that."""
    if not kind:
        return value

    def mark(entry: Value) -> Value:
        if isinstance(entry, Metric):
            return replace(entry, container=kind, path="")
        if isinstance(entry, Map):  # A container in a container.
            return Map(tuple((key, mark(inner)) for key, inner in entry.items), entry.open)
        return entry

    if isinstance(value, Metric):
        return mark(value)
    if isinstance(value, Map):
        entries = tuple((key, mark(entry)) for key, entry in value.items)
        return Map(entries, value.open, kind)
    if isinstance(value, Seq):
        return Seq(tuple(mark(entry) for entry in value.items), kind)
    if isinstance(value, Elements):
        return Elements(mark(value.of), value.per_batch)
    return value


_NO_METRICS = ("image_gradients", "pit_permutate", "total_variation")
# Functions ---------------------------------------------------------------------------------------


def _functional(name: str, known: Verdict, node: ast.Call, module: Module) -> Value:
    if known.weight.startswith("1 (sum"):
        return Number(Form.DATA)  # Counts: they may be added up, and mean nothing alone.
    origin = Origin("functional", name, node, module, known.decomposable, known.weight)
    form = Form.METRIC
    if known.family == "pairwise" or name.rsplit(".", 1)[-1] in _NO_METRICS:
        return Number(Form.DATA)
    if known.family == "torch_loss":
        reduction = arguments(node).get("reduction", "mean")
        if reduction in ("none", None, ...):
            return Number(Form.DATA)
        if reduction == "sum":
            return Number(Form.SUM)
        # A weighted or masked loss is still what its author calls the loss.
        origin = replace(origin, verdict="exact", why="")
        form = Form.MEAN
    return Number(form, (origin,))


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
        reduction = arguments(target.call).get("reduction", "mean")
        if reduction == "mean":
            origin = Origin("functional", target.name, node, module, "exact")
            return Number(Form.MEAN, (origin,))
        return Number(Form.SUM) if reduction == "sum" else Number(Form.DATA)
    return opaque(values, keywords)


def _stacked(value: Value, concatenated: bool) -> Value:
    if isinstance(value, Elements) and value.per_batch:
        forms = []
        origins: tuple[Origin, ...] = ()
        for option in options(value.of):
            if isinstance(option, Number):
                forms.append(option.form)
                origins = _union(origins, option.origins)
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
        origins = _union(*(entry.origins for entry in inner))
        scalars = all(entry.form in _SCALARS for entry in inner)
        return Number(Form.OTHER if scalars else Form.DATA, origins)
    if isinstance(value, Number):
        return value
    return opaque([value], {})


def _total(value: Value, node: ast.Call, module: Module) -> Value:
    if isinstance(value, Elements):
        if value.per_batch:
            stacked = _stacked(value, False)
            return stacked.then(Form.SUMMED) if isinstance(stacked, Number) else UNKNOWN
        return Number(Form.DATA) if isinstance(value.of, Number) else UNKNOWN
    if isinstance(value, Seq):
        total: Value = Const(0)
        for entry in value.items:
            total = entry if total == Const(0) else binary(ast.Add(), total, entry, node, module)
        return total
    if isinstance(value, Number):
        return _reduce(value, "sum", True, node, module)
    return UNKNOWN


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
    known = verdict(name, node)
    if known.decomposable != "unknown" or known.family:
        return _functional(name, known, node, module)
    if ".functional." in name and name.startswith(("torchmetrics", "pytorch_lightning.metrics")):
        return Number(Form.METRIC, (Origin("functional", name, node, module),))
    if name.startswith(_NUMERIC) or name in ("statistics.mean", "statistics.fmean"):
        if len(options(first)) > 1:
            return each(
                first, lambda option: call(name, node, module, [option, *values[1:]], keywords)
            )
        if last in ("mean", "average", "nanmean", "fmean"):
            if "weights" in keywords or (last == "average" and len(values) > 2):
                return opaque(values, keywords)
            number = _stacked(first, False)
            if isinstance(number, Number):
                return _reduce(number, "mean", _whole(node, 1), node, module)
            return number
        if last in ("sum", "nansum"):
            if isinstance(first, Number):
                return _reduce(first, "sum", _whole(node, 1), node, module)
            return _total(first, node, module)
        if last in _NONLINEAR:
            return _nonlinear(last, first, node, module) if isinstance(first, Number) else UNKNOWN
        if last in ("pow", "power") and len(values) > 1:
            return binary(ast.Pow(), first, values[1], node, module)
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
            return binary(ast.Div(), first, values[1], node, module)
        if last in ("add", "sub", "mul") and len(values) > 1:
            op = {"add": ast.Add(), "sub": ast.Sub(), "mul": ast.Mult()}[last]
            return binary(op, first, values[1], node, module)
        if last in _SAME and isinstance(first, Number):
            return first
    return opaque(values, keywords)


def _is_zero(name: str, first: Const, count: int) -> bool:
    if name in ("tensor", "as_tensor", "FloatTensor", "array"):
        return not isinstance(first.value, bool) and first.value in (0, 0.0)
    return name == "zeros" and count == 1 and first.value == 1


def _builtin(
    name: str, node: ast.Call, module: Module, values: Sequence[Value], keywords: dict[str, Value]
) -> Value:
    first: Value = values[0] if values else UNKNOWN
    if name in ("float", "int", "round", "abs", "bool"):
        return first if isinstance(first, (Number, Const)) else opaque(values, keywords)
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
        return first if isinstance(first, (Seq, Elements)) else opaque(values, keywords)
    if name == "dict":
        found = first if isinstance(first, Map) else Map((), open=bool(values))
        return updated(found, Map(tuple(keywords.items())))
    if name == "zip":
        lists = [items_of(value) for value in values]
        if lists and all(entry is not None for entry in lists):
            return Seq(tuple(Seq(group) for group in zip(*(e or [] for e in lists), strict=False)))
        return Elements(
            Seq(tuple(element_of(value) for value in values)),
            any(isinstance(v, Elements) and v.per_batch for v in values),
        )
    if name == "enumerate":
        known = items_of(first)
        if known is not None:
            return Seq(tuple(Seq((Const(i), entry)) for i, entry in enumerate(known)))
        per_batch = isinstance(first, Elements) and first.per_batch
        return Elements(Seq((UNKNOWN, element_of(first))), per_batch)
    if name == "range" and len(values) == 1:
        if isinstance(first, Const) and isinstance(first.value, int) and 0 <= first.value <= 12:
            return Seq(tuple(Const(i) for i in range(first.value)))
        return Elements(UNKNOWN)
    if name in ("max", "min"):
        inner = [v for v in values if isinstance(v, Number)]
        if len(inner) == 1 and inner[0].form is Form.BATCHES:
            return inner[0]  # max(len(outputs), 1)
        return Number(Form.OTHER, _union(*(v.origins for v in inner))) if inner else UNKNOWN
    return opaque(values, keywords, data_only=True)
