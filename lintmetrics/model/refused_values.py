"""Logged values that ``self.log`` refuses whatever the batch is: no number, or several."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lintmetrics.model.lightning_objects import gives
from lintmetrics.model.tensors import bindings
from lintmetrics.model.trails import attribute_value
from lintmetrics.model.values import Const, Form, Map, Metric, Number, Seq, Value, options
from lintmetrics.releases import reaches
from lintmetrics.tree import parameter_names

if TYPE_CHECKING:
    from lintmetrics.model.log_calls import LogCall
    from lintmetrics.project import ClassInfo, Module

_STEPS = 4  # From one local name to another.
_DISPLAYS: dict[type[ast.expr], str] = {
    **dict.fromkeys((ast.List, ast.ListComp), "a list"),
    **dict.fromkeys((ast.Dict, ast.DictComp), "a dict"),
    **dict.fromkeys((ast.Set, ast.SetComp), "a set"),
    ast.Tuple: "a tuple",
    ast.GeneratorExp: "a generator",
    ast.JoinedStr: "text",
}
_BUILTINS = {
    **dict.fromkeys(("str", "repr"), "text"),
    **dict.fromkeys(("list", "sorted"), "a list"),
    **{name: f"a {name}" for name in ("tuple", "dict", "set")},
}
_ARRAYS = frozenset(
    f"numpy.{name}" for name in ("array", "asarray", "stack", "concatenate", "zeros", "ones")
)
_LOSS = re.compile(r"torch\.nn\.functional\.\w*(?:loss|entropy\w*|kl_div)$")
_LOSS_CLASS = re.compile(r"torch\.nn\.(?:modules\.loss\.)?\w+Loss$")
# What these answer: torchmetrics 1.9.0, each run.
_MATRIX = re.compile(r"(?:^|\.)(?:Binary|Multiclass|Multilabel)?(?:ConfusionMatrix|StatScores)$")
_MATRIX_FUNCTION = re.compile(
    r"(?:^|\.)(?:binary_|multiclass_|multilabel_)?(?:confusion_matrix|stat_scores)$"
)
_CURVE = re.compile(
    r"(?:^|\.)(?:(?:Binary|Multiclass|Multilabel)?(?:ROC|PrecisionRecallCurve)"
    r"|(?:binary_|multiclass_|multilabel_)?(?:roc|precision_recall_curve))$"
)
_OF_DICTS = frozenset(
    ("ClasswiseWrapper", "MinMaxMetric", "BootStrapper", "MultitaskWrapper", "MeanAveragePrecision")
)
_TASKS = re.compile(r"(?:^|[._])(?:multiclass|multilabel)", re.I)


@dataclass(frozen=True)
class RefusedValue:
    """A value that ``self.log`` raises on.

    Args:
        what: it in words, such as ``"a list"``.
        kind: ``"array"``, ``"dict"``, ``"collection"``, ``"losses"``, ``"vector"``, ``"rates"``,
            ``"tracker"`` or ``"other"``; ``"entry"`` for one value of a dict, ``"member"`` for one
            metric of a collection and ``"object"`` for one given to ``log_dict``; ``"keyless"`` and
            ``"keyed"`` for a ``log`` call that wants to be a ``log_dict`` call and the other way
            round.
        since: the first release that raises.
        made: the expression that makes it.
    """

    what: str
    kind: str
    since: str
    made: ast.expr


def computes_dict(name: str) -> bool:
    """Tell whether a class of TorchMetrics computes a dict, by its last name."""
    return name in _OF_DICTS


def refused_value(call: LogCall) -> RefusedValue | None:
    """Return why the value of a log call is refused; ``None`` where it may be one number."""
    mixed = _mixed_up(call)
    if mixed is not None:
        return mixed
    if call.value_node is None or (call.is_dict and call.entry is None):
        return None
    made, module = _made(call), call.module
    found = _written(module, made) or _known(call, made) or _several(call, made)
    if found is None or not reaches(module.project.target_lightning, found.since):
        return None
    return found


def _mixed_up(call: LogCall) -> RefusedValue | None:
    """Return what takes ``log`` for ``log_dict``, or the other way round."""
    node = call.node
    if not node.args or any(isinstance(argument, ast.Starred) for argument in node.args):
        return None
    first, given = node.args[0], {keyword.arg for keyword in node.keywords}
    found = None
    if call.is_dict:
        text = isinstance(first, ast.Constant) and isinstance(first.value, str)
        if text or isinstance(first, ast.JoinedStr):
            found = RefusedValue("a key in place of a dict", "keyed", "1.0", first)
    elif len(node.args) == 1 and isinstance(first, ast.Dict) and not given & {"value", None}:
        found = RefusedValue("a dict without a key", "keyless", "1.0", first)
    own = found is not None and (gives(call.cls, "log") or gives(call.cls, "log_dict"))
    return None if own else found


def _made(call: LogCall) -> ast.expr:
    """Return the expression that a logged value is, behind names that have one meaning."""
    made, module = call.value_node, call.module
    assert made is not None
    for _ in range(_STEPS):
        if not isinstance(made, ast.Name) or call.function is None:
            break
        bound = bindings(module, made.id, call.function)
        if len(bound) != 1 or made.id in parameter_names(call.function):
            break
        statement = bound[0]
        if not (
            isinstance(statement, ast.Assign)
            and len(statement.targets) == 1
            and isinstance(statement.targets[0], ast.Name)
        ):
            break
        made = statement.value
    return made


def _written(module: Module, made: ast.expr) -> RefusedValue | None:
    """Return what is no number by the way it is written."""
    if isinstance(made, ast.Constant) and (made.value is None or isinstance(made.value, str)):
        return RefusedValue("None" if made.value is None else "text", "other", "1.4", made)
    kind = _DISPLAYS.get(type(made))
    if kind is not None:
        # Up to 1.9, a dict went to the loggers as it was.
        since = "2.0" if kind == "a dict" else "1.4"
        return RefusedValue(kind, "dict" if isinstance(made, ast.Dict) else "other", since, made)
    if not isinstance(made, ast.Call):
        return None
    func = made.func
    if isinstance(func, ast.Name) and func.id in _BUILTINS and not module.binds(func.id):
        kind = _BUILTINS[func.id]
        return RefusedValue(kind, "other", "2.0" if kind == "a dict" else "1.4", made)
    if (
        isinstance(func, ast.Attribute)
        and func.attr == "get_last_lr"
        and not (made.args or (isinstance(func.value, ast.Name) and func.value.id == "self"))
    ):
        return RefusedValue("a list, of the rate of each group", "rates", "1.4", made)
    if isinstance(func, ast.Attribute) and func.attr == "numpy" and not made.args:
        return RefusedValue("a NumPy array", "array", "1.4", made)
    if module.qualified(func) in _ARRAYS:
        return RefusedValue("a NumPy array", "other", "1.4", made)
    return None


def _known(call: LogCall, made: ast.expr) -> RefusedValue | None:
    """Return what is no number by all that is known of it on every way."""
    found = {_kind(option) for way in call.contexts for option in options(way.value)}
    if len(found) != 1 or None in found:
        return None
    (kind,) = found
    assert kind is not None
    since = "2.0" if kind == "a dict" else "1.4"
    called = {"a MetricCollection": "collection", "a MetricTracker": "tracker"}
    return RefusedValue(kind, called.get(kind, "other"), since, made)


def _kind(value: Value) -> str | None:
    if isinstance(value, Metric):
        last = value.name.rpartition(".")[2]
        if value.is_collection:
            return "a MetricCollection"
        if value.custom is None and last == "MetricTracker":
            return "a MetricTracker"
        if value.custom is None and last in _OF_DICTS:
            return f"a {last}, which computes a dict"
        return None
    if isinstance(value, Const) and isinstance(value.value, str):
        return "text"
    if isinstance(value, Map) and not value.container:
        return "a dict"
    return "a tuple or list" if isinstance(value, Seq) and not value.container else None


def _several(call: LogCall, made: ast.expr) -> RefusedValue | None:
    """Return what is a tensor of several elements, whatever the batch is."""
    module = call.module
    if isinstance(made, ast.Call):
        if _is_unreduced(call.cls, module, made):
            return RefusedValue("one loss for each element", "losses", "1.7", made)
        name, first = module.qualified(made.func), made.args[0] if made.args else None
        if name in ("torch.stack", "torch.tensor", "torch.as_tensor") and _is_long(first):
            return RefusedValue("a tensor of several elements", "vector", "1.7", made)
    found = {_vector(option, made) for way in call.contexts for option in options(way.value)}
    if len(found) == 1 and (what := found.pop()) is not None:
        return RefusedValue(what, "vector", "1.7", made)
    return None


def _is_long(first: ast.expr | None) -> bool:
    return (
        isinstance(first, (ast.List, ast.Tuple))
        and len(first.elts) > 1
        and not any(isinstance(element, ast.Starred) for element in first.elts)
    )


def _is_unreduced(cls: ClassInfo, module: Module, call: ast.Call) -> bool:
    """Tell whether a call is a loss of torch with ``reduction="none"``."""
    name = module.qualified(call.func) or ""
    if _LOSS.match(name):
        return _says_none(call, "reduction")
    func = call.func
    if not (
        isinstance(func, ast.Attribute)
        and isinstance(func.value, ast.Name)
        and func.value.id == "self"
    ):
        return False
    held = attribute_value(cls, func.attr)
    if held is None or not isinstance(held[0], ast.Call):
        return False
    made = held[1].qualified(held[0].func) or ""
    return _LOSS_CLASS.match(made) is not None and _says_none(held[0], "reduction")


def _says_none(call: ast.Call, argument: str) -> bool:
    return any(
        keyword.arg == argument
        and isinstance(keyword.value, ast.Constant)
        and keyword.value.value in ("none", None)
        for keyword in call.keywords
    )


def _vector(value: Value, made: ast.expr) -> str | None:
    """Return what a metric answers, where that is surely no single number."""
    if isinstance(value, Number):
        if value.form is Form.STACKED and isinstance(made, ast.Call):
            return "one value for each batch"
        if value.form is not Form.METRIC or len(value.origins) != 1:
            return None
        origin = value.origins[0]
        if origin.node is not made:
            return None  # An element of it, or something made of it.
        if origin.metric is not None:
            return _vector(origin.metric, made)
        return answer_of(origin.name, made if isinstance(made, ast.Call) else None)
    if isinstance(value, Metric) and value.custom is None and not value.is_collection:
        return answer_of(value.name, value.constructor)
    return None


def answer_of(name: str, call: ast.Call | None) -> str | None:
    """Return what a metric answers where that is surely no single number; ``None`` elsewhere.

    Args:
        name: dotted name of its class or function; ``call``: the call that makes it, or is it.
    """
    last = name.rpartition(".")[2]
    if not name.startswith(("torchmetrics.", "pytorch_lightning.", "lightning.")):
        return None
    if _MATRIX.search(last) or _MATRIX_FUNCTION.search(last):
        return f"what {last} answers, a tensor of several elements"
    if _CURVE.search(last):
        return f"what {last} answers, a tuple of tensors"
    several = call is not None and (
        _TASKS.search(last)
        or any(
            keyword.arg == "task"
            and isinstance(keyword.value, ast.Constant)
            and keyword.value.value in ("multiclass", "multilabel")
            for keyword in call.keywords
        )
    )
    if several and call is not None and _says_none(call, "average"):
        return f"what {last} answers, one value for each class"
    return None
