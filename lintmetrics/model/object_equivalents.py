"""Which TorchMetrics object answers for an epoch what a metric function answers for a batch."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from lintmetrics import facts
from lintmetrics.edits import CannotEdit
from lintmetrics.model import evidence
from lintmetrics.model.decomposability import rows_for
from lintmetrics.model.metric_api import read
from lintmetrics.model.tensors import bindings, constant
from lintmetrics.model.values import Instance, Metric, Origin, Value

if TYPE_CHECKING:
    from lintmetrics.project import Module

_OBJECT = re.compile(r"(torchmetrics(?:\.\w+)*?)\.([A-Z]\w+)\((.*)\)$")
_MSE = frozenset(
    (
        "torch.nn.functional.mse_loss",
        "torchmetrics.functional.mean_squared_error",
        "torchmetrics.functional.regression.mean_squared_error",
    )
)
# Arguments that sklearn and scipy take for truth and prediction, in their own order.
_BOUND = re.compile(r"[\w.]+(?:\(.*\)|\[.*\])?$")
_TRUTH = ("y_true", "x", "labels_true")
_GUESS = ("y_pred", "y_score", "y", "y_prob", "labels_pred")
# A chain that ends in one of these began with a tensor.
_OF_TENSOR = ("detach", "cpu", "numpy")


@dataclass(frozen=True)
class MetricObject:
    """An object to create once and to update at every step.

    Args:
        library: module that the class is imported from; ``name``: the class.
        arguments: the constructor's arguments; each value is an expression of the step, or text.
        inputs: text of what ``update`` is given.
        assumes: what is not proven; empty when all is.
        imports: further modules that the inputs need.
    """

    library: str
    name: str
    arguments: tuple[tuple[str, ast.expr | str], ...]
    inputs: tuple[str, ...]
    assumes: str = ""
    imports: tuple[str, ...] = ()


def object_for(origin: Origin, at: ast.AST) -> MetricObject:
    """Return the object that stands for a metric function's call.

    Args:
        origin: where the value came from.
        at: where the object will be created, so that evidence is valid there.

    Raises:
        CannotEdit: there is none, or a person must decide; says what.
    """
    node = origin.node
    assert isinstance(node, ast.Call)
    if any(isinstance(argument, ast.Starred) for argument in node.args) or any(
        keyword.arg is None for keyword in node.keywords
    ):
        raise CannotEdit(
            f"the arguments of the call at line {node.lineno} are unpacked from a name"
        )
    if origin.name.startswith(("torchmetrics.", "pytorch_lightning.metrics.")):
        return _of_torchmetrics(origin, node)
    if origin.name.startswith(("sklearn.", "scipy.")):
        return _of_sklearn(origin, node, at)
    family = origin.name.split(".")[0]
    raise CannotEdit(
        f"gather the inputs of the epoch and call {family} once in the epoch-end hook, or choose a "
        "TorchMetrics object"
    )


def _equivalent(origin: Origin, row: facts.Decomposability) -> tuple[str, str, str]:
    """Return library, class and arguments of the object that a row of the table names."""
    match = _OBJECT.match(row.modular_equivalent)
    short = origin.name.rsplit(".", 1)[-1]
    if match is None:
        raise CannotEdit(
            f"TorchMetrics has no object for {short}(); gather the inputs of the epoch and call it "
            "once in the epoch-end hook"
        )
    if "CLASS DIFFERS" in row.condition_notes:
        raise CannotEdit(
            f"{match.group(2)} answers another number than {short}(); decide which one is meant"
        )
    return match.group(1), match.group(2), match.group(3)


def _of_torchmetrics(origin: Origin, node: ast.Call) -> MetricObject:
    module = origin.module
    short = origin.name.rsplit(".", 1)[-1]
    call = read(module, node, origin.name)
    if call is None:
        raise CannotEdit(f"the signature of {short}() is not known")
    if call.lacks_task:
        raise CannotEdit(f"{short}() at line {node.lineno} names no task; give it task= first")
    if call.is_gone or call.removed or call.misread or call.ambiguous:
        raise CannotEdit(
            f"{short}() at line {node.lineno} is written for an old TorchMetrics; migrate it first"
        )
    rows = rows_for(origin.name)
    if not rows:
        raise CannotEdit(f"no object is known for {short}()")
    library, name, _ = _equivalent(origin, rows[0])
    found = facts.signatures("torchmetrics", name, "class")
    if not found or call.signature is None:
        raise CannotEdit(f"the signature of {name} is not known")
    signature = found[-1]
    fed = signature.update or ("preds", "target")
    given = {argument.parameter: argument.value for argument in call.arguments}
    missing = [parameter for parameter in fed if parameter not in given]
    if missing or None in given:
        raise CannotEdit(
            f"{short}() at line {node.lineno} is not given {', '.join(missing)} by name"
        )
    arguments: list[tuple[str, ast.expr | str]] = []
    for parameter in (p.name for p in call.signature.parameters):
        if parameter not in given or parameter in fed:
            continue
        if parameter not in signature.names:
            raise CannotEdit(f"{name} takes no {parameter}=, which line {node.lineno} gives")
        arguments.append((parameter, given[parameter]))
    inputs = tuple(module.source.segment(given[parameter]) for parameter in fed)
    return MetricObject(library, name, tuple(arguments), inputs)


# scikit-learn and SciPy --------------------------------------------------------------------------


def _of_sklearn(origin: Origin, node: ast.Call, at: ast.AST) -> MetricObject:
    module = origin.module
    short = origin.name.rsplit(".", 1)[-1]
    named = {keyword.arg: keyword.value for keyword in node.keywords}
    truth = next((named.pop(n) for n in _TRUTH if n in named), None)
    guess = next((named.pop(n) for n in _GUESS if n in named), None)
    positional = list(node.args)
    if truth is None and positional:
        truth = positional.pop(0)
    if guess is None and positional:
        guess = positional.pop(0)
    if truth is None or guess is None or positional:
        raise CannotEdit(f"the arguments of {short}() at line {node.lineno} are not clear")
    if origin.name.startswith("scipy."):
        truth, guess = guess, truth  # Correlations are symmetric; keep the author's order.
    row = _row_of_sklearn(origin, node, named)
    library, name, text = _equivalent(origin, row)
    arguments: list[tuple[str, ast.expr | str]] = []
    assumes: list[str] = []
    classes = row.family == "sklearn" and library.endswith("classification")
    for part in filter(None, (p.strip() for p in text.split(","))):
        key, _, value = part.partition("=")
        if value not in ("C", "L"):
            arguments.append((key, value.replace("'", '"')))
            continue
        shown = evidence.of_function(module, node, guess, truth, at)
        if shown.size is None:
            raise CannotEdit(
                f"{name} wants {key}=, which the code does not show; create the object by hand"
            )
        arguments.append((key, shown.size))
        assumes.append(f"{key}={shown.size} ({shown.size_why or 'from the tensors'})")
    if classes and name.startswith("Binary") and not _says_binary(row, node):
        shown = evidence.of_function(module, node, guess, truth, at)
        if shown.task not in (None, "binary"):
            raise CannotEdit(
                f"{shown.why}, so {short}() at line {node.lineno} is not of two classes"
            )
        assumes.append("two classes")
    preds, target = _tensor(module, guess), _tensor(module, truth)
    if classes and not target.endswith((".long()", ".int()")):
        # TorchMetrics takes no float targets, as binary losses want them.
        target = f"{target}.int()" if _BOUND.match(target) else f"({target}).int()"
    needs = ("torch",) if "torch.as_tensor(" in preds + target else ()
    return MetricObject(
        library, name, tuple(arguments), (preds, target), " and ".join(assumes), needs
    )


_PLAIN = {"average": None, "squared": None, "multi_class": None, "weights": None}


def _row_of_sklearn(
    origin: Origin, node: ast.Call, named: dict[str | None, ast.expr]
) -> facts.Decomposability:
    module = origin.module
    short = origin.name.rsplit(".", 1)[-1]
    given: dict[str, object] = {}
    for key, value in named.items():
        if key not in _PLAIN:
            raise CannotEdit(
                f"{key}= of {short}() at line {node.lineno} has no counterpart that is known to "
                "answer the same"
            )
        given[key] = constant(module, value)
    name = origin.name
    if short == "mean_squared_error" and given.pop("squared", True) is False:
        name = "sklearn.metrics.root_mean_squared_error"
    rows = facts.decomposability(name)
    if given:
        wanted = [f"{key}={value!r}" for key, value in given.items()]
        rows = [row for row in rows if all(w in row.variant for w in wanted)]
        if "multi_class" not in given:
            rows = [row for row in rows if "samples" not in row.variant]
    rows = [row for row in rows if row.decomposable != "depends"]
    if not rows:
        raise CannotEdit(
            f"the arguments of {short}() at line {node.lineno} have no known counterpart"
        )
    return rows[0]


def _says_binary(row: facts.Decomposability, node: ast.Call) -> bool:
    """Tell whether scikit-learn itself refuses anything but two classes."""
    return "average='binary'" in row.variant


def _tensor(module: Module, node: ast.expr) -> str:
    """Return the text of a tensor on the module's device for an argument of scikit-learn."""
    inner = node
    stripped = False
    while (
        isinstance(inner, ast.Call)
        and isinstance(inner.func, ast.Attribute)
        and inner.func.attr in (*_OF_TENSOR, "tolist", "to", "astype")
    ):
        if inner.func.attr == "astype" or (inner.func.attr == "to" and not _is_cpu(inner)):
            break
        stripped = stripped or inner.func.attr in _OF_TENSOR
        inner = inner.func.value
    text = module.source.segment(inner)
    if stripped:
        return text
    return f"torch.as_tensor({module.source.segment(node)}, device=self.device)"


def _is_cpu(call: ast.Call) -> bool:
    return (
        bool(call.args) and isinstance(call.args[0], ast.Constant) and call.args[0].value == "cpu"
    )


# What an object answers --------------------------------------------------------------------------


@cache
def _answers() -> dict[str, str]:
    return {row["name"]: row["answer"] for row in facts.rows("metric_answers")}


def other_than_one_number(metric: Metric) -> str:
    """Return what ``compute()`` answers when that is not one number, which alone can be logged."""
    if metric.is_collection:
        # A collection logs each member; it takes the dict of a member apart only when computed.
        return next(filter(None, (other_than_one_number(m) for _, m in metric.members)), "")
    known = _answers().get(metric.name.rsplit(".", 1)[-1], "")
    if not known and metric.constructor is not None:
        for keyword in metric.constructor.keywords:
            value = constant(metric.module, keyword.value)
            if keyword.arg == "average" and value in (None, "none"):
                return "one number for each class"
            if keyword.arg == "multioutput" and value == "raw_values":
                return "one number for each output"
            if keyword.arg == "multidim_average" and value == "samplewise":
                return "one number for each sample"
    return known


# Roots of mean squared errors --------------------------------------------------------------------


def root_mean_squared_error(origin: Origin, attributes: dict[str, Value]) -> MetricObject:
    """Return the object for the root of a mean squared error.

    Raises:
        CannotEdit: it is the root of something else.
    """
    module = origin.module
    inner = _under_root(module, origin.node)
    if isinstance(inner, ast.Name):
        bound = bindings(module, inner.id, module.enclosing_function(origin.node))
        if len(bound) == 1 and isinstance(bound[0], ast.Assign):
            inner = bound[0].value
    while (
        isinstance(inner, ast.Call)
        and isinstance(inner.func, ast.Attribute)
        and inner.func.attr in ("item", "detach", "cpu", "float")
        and not inner.args
    ):
        inner = inner.func.value
    if isinstance(inner, ast.Call) and len(inner.args) >= 2 and _is_mse(module, inner, attributes):
        pair = tuple(module.source.segment(argument) for argument in inner.args[:2])
        return MetricObject("torchmetrics", "MeanSquaredError", (("squared", "False"),), pair)
    raise CannotEdit(
        "what stands under the root is no mean squared error that is written out; gather its mean "
        "over the epoch and take the root in the epoch-end hook"
    )


def _under_root(module: Module, node: ast.expr) -> ast.expr | None:
    if isinstance(node, ast.BinOp):
        return node.left
    if isinstance(node, ast.Call):
        if isinstance(node.func, ast.Attribute) and not node.args:
            return node.func.value
        return node.args[0] if node.args else None
    return None


def _is_mse(module: Module, call: ast.Call, attributes: dict[str, Value]) -> bool:
    if any(not isinstance(k.arg, str) or k.arg != "reduction" for k in call.keywords):
        return False
    if any(constant(module, k.value) != "mean" for k in call.keywords) or len(call.args) > 2:
        return False
    func = call.func
    if module.qualified(func) in _MSE:
        return True
    held = attributes.get(func.attr) if isinstance(func, ast.Attribute) else None
    return (
        isinstance(held, Instance)
        and held.name == "torch.nn.MSELoss"
        and not held.call.keywords
        and not held.call.args
    )
