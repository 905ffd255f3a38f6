"""Which TorchMetrics object answers, for an epoch, what a metric function answers for its data."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from lintmetrics import facts
from lintmetrics.codemod import Relation
from lintmetrics.edits import CannotEdit
from lintmetrics.facts import ObjectEquivalent
from lintmetrics.model import evidence, metric_api, metric_migration
from lintmetrics.model.decomposability import rows_for
from lintmetrics.model.tensors import bindings, constant
from lintmetrics.model.values import Instance, Metric, Origin, Value

if TYPE_CHECKING:
    from lintmetrics.project import Module

_OBJECT = re.compile(r"torchmetrics(?:\.\w+)*\.[A-Z]\w*(?=\()")
_MSE = frozenset(
    (
        "torch.nn.functional.mse_loss",
        "torchmetrics.functional.mean_squared_error",
        "torchmetrics.functional.regression.mean_squared_error",
    )
)
_FUNCTIONAL = re.compile(
    r"(?:torchmetrics|(?:pytorch_lightning|lightning\.pytorch)\.metrics)\.(?:\w+\.)*functional\."
)
# What other libraries call predictions and truth; scikit-learn has the truth in front.
_GUESS = ("y_pred", "y_score", "y_prob", "labels_pred", "x", "a")
_TRUTH = ("y_true", "labels_true", "y", "b")
_TRUE_FIRST = "sklearn."
_OF_TENSORS = "monai."
_BINARY_BY_DEFAULT = frozenset(
    ("f1_score", "precision_score", "recall_score", "fbeta_score", "jaccard_score")
)


@dataclass(frozen=True)
class MetricObject:
    """An object to create once and to update with the data of every batch.

    Args:
        name: dotted name of the class.
        arguments: the constructor's arguments; each value is an expression at the place of the
            function's call, or text that is valid where the object is created.
        inputs: the expressions that ``update`` is given.
        relation: how sure it is that the answer is the function's; ``notes``: what that rests on.
        casts: whether targets have to be made integers, which the function did not ask for.
        of_arrays: whether the function takes what is no tensor.
    """

    name: str
    arguments: tuple[tuple[str, ast.expr | str], ...] = ()
    inputs: tuple[ast.expr, ...] = ()
    relation: Relation = Relation.PRESERVES
    notes: tuple[str, ...] = ()
    casts: bool = False
    of_arrays: bool = False


def object_for(module: Module, call: ast.Call, name: str, at: ast.AST) -> MetricObject:
    """Return the object that stands for a call of a metric function.

    Args:
        module: the file; ``call``: the call; ``name``: dotted name of the function.
        at: where the object will be created, so that evidence is valid there.

    Raises:
        CannotEdit: there is none, or a person must decide; says what.
    """
    if any(isinstance(argument, ast.Starred) for argument in call.args) or any(
        keyword.arg is None for keyword in call.keywords
    ):
        raise CannotEdit(
            f"the arguments of the call at line {call.lineno} are unpacked from a name"
        )
    if _FUNCTIONAL.match(name):
        return _of_torchmetrics(module, call, name, at)
    found = facts.object_equivalents(name)
    if found:
        return _of_other(module, call, name, found, at)
    short = name.rsplit(".", 1)[-1]
    raise CannotEdit(
        f"TorchMetrics has no object that is known to answer as {short}() at line {call.lineno}; "
        "gather the inputs of the epoch and call it once in the epoch-end hook"
    )


# TorchMetrics ------------------------------------------------------------------------------------


def _of_torchmetrics(module: Module, call: ast.Call, name: str, at: ast.AST) -> MetricObject:
    where = f"{name.rsplit('.', 1)[1]}() at line {call.lineno}"
    read = metric_api.read(module, call, name)
    if read is None or read.kind != "function":
        raise CannotEdit(f"the signature of {where} is not known")
    if read.ambiguous:
        raise CannotEdit(read.ambiguous)
    migration = metric_migration.migrate(read, at)
    if migration.blocked:
        raise CannotEdit(migration.blocked)
    if (
        migration.before
        or migration.after
        or migration.elsewhere
        or migration.twice
        or migration.instead
    ):
        raise CannotEdit(f"{where} has to be rewritten for TorchMetrics 1.9 first")
    target = _class_of(name, migration.target or read.current, where)
    short = target.rsplit(".", 1)[1]
    signature = metric_api.current_signature(short, "class")
    if signature is None:
        raise CannotEdit(f"{where} has no Metric object in TorchMetrics 1.9")
    fed = signature.update or ("preds", "target")
    data: dict[str, ast.expr] = {}
    arguments: list[tuple[str, ast.expr | str]] = [_pair(text) for text in migration.first]
    for index, argument in enumerate(read.arguments):
        parameter = _today(read.current, argument.parameter)
        if parameter in fed:
            data[parameter] = argument.value
        elif index not in migration.changed:
            if parameter is None:
                raise CannotEdit(f"{where} has an argument that cannot be named")
            arguments.append((parameter, argument.value))
        else:
            changed = migration.changed[index]
            if changed is not None:
                key, text = _pair(changed)
                same = text == module.source.segment(argument.value)
                arguments.append((key or parameter or "", argument.value if same else text))
    arguments.extend(_pair(text) for text in migration.last)
    missing = [parameter for parameter in fed if parameter not in data]
    if missing:
        raise CannotEdit(f"{where} is not given {', '.join(missing)} by name or place")
    for key, _ in arguments:
        # The classes that take a task hand the rest on to those that know one task.
        if key not in signature.names and not (key == "task" and signature.takes_any):
            raise CannotEdit(f"{short} takes no {key}=, which {where} is given")
    return MetricObject(
        target,
        tuple(arguments),
        tuple(data[parameter] for parameter in fed),
        migration.relation,
        tuple(migration.notes),
    )


def _pair(text: str) -> tuple[str, str]:
    match = re.match(r"(\w+)=(?!=)", text)
    return (match.group(1), text[match.end() :].strip()) if match else ("", text)


def _today(metric: str, parameter: str | None) -> str | None:
    """Return what TorchMetrics 1.9 calls a parameter."""
    change = facts.argument_change(metric, parameter) if parameter is not None else None
    return change.new if change is not None and change.action == "rename" else parameter


def _class_of(name: str, current: str, where: str) -> str:
    """Return the class whose object computes what a function of TorchMetrics does."""
    short = current.rsplit(".", 1)[-1]
    rows = rows_for(name) if name.endswith(f".{short}") else []
    rows = rows or rows_for(f"torchmetrics.functional.{short}")
    if not rows:
        raise CannotEdit(f"no object is known for {where}")
    match = _OBJECT.match(rows[0].modular_equivalent)
    if match is None:
        raise CannotEdit(
            f"TorchMetrics has no object for {where}; gather the inputs of the epoch and call it "
            "once in the epoch-end hook"
        )
    if "CLASS DIFFERS" in rows[0].condition_notes:
        shown = match.group().rsplit(".", 1)[1]
        raise CannotEdit(f"{shown} answers another number than {where}; decide which one is meant")
    return match.group()


# Other libraries ---------------------------------------------------------------------------------


def _of_other(
    module: Module, call: ast.Call, name: str, found: list[ObjectEquivalent], at: ast.AST
) -> MetricObject:
    short = name.rsplit(".", 1)[1]
    where = f"{short}() at line {call.lineno}"
    preds, target, named = _data(call, name, where)
    given: dict[str, object] = {
        "average": "binary" if short in _BINARY_BY_DEFAULT else "macro",
        "multi_class": "raise",
    }
    asked: list[str] = []
    for parameter, node in named.items():
        value = constant(module, node)
        if parameter == "zero_division" and value in (0, "warn"):
            continue  # What TorchMetrics does.
        if not any(parameter in _mentioned(row) for row in found):
            raise CannotEdit(f"{where} is given {parameter}, which no Metric object takes alike")
        if value is ...:
            raise CannotEdit(f"{parameter}= of {where} is not known until the code runs")
        given[parameter] = value
        asked.append(parameter)
    fitting = [row for row in found if _matches(row, given, asked)]
    if not fitting:
        raise CannotEdit(f"{where} has no known Metric object with these arguments")
    known = evidence.of_function(module, call, preds, target, at)
    if known.task != "binary" and not known.proof and _is_column(module, preds):
        known = evidence.Evidence("binary", why=f"{where} is given one column of the predictions")
    row = fitting[0]
    if row.task != "any":
        chosen = next((r for r in fitting if r.task == known.task), None)
        if chosen is None and known.task is None:
            chosen = next((r for r in fitting if r.proof == "default"), None)
        if chosen is None and known.task is not None:
            raise CannotEdit(f"{known.why}, and no {known.task} object is known for {where}")
        if chosen is None:
            raise CannotEdit(
                f"the data of {where} does not show whether it is binary, multiclass or "
                "multilabel; name the Metric object by hand"
            )
        row = chosen
    arguments, notes = _arguments(row, known, given, where)
    sized = row.task not in ("multiclass", "multilabel") or known.size_proof
    proven = row.proof == "yes" or (known.proof and known.task == row.task and sized)
    return MetricObject(
        row.object,
        arguments,
        (preds, target),
        Relation.PRESERVES if proven else Relation.ASSUMES,
        notes,
        casts=".classification." in row.object,  # They take no float targets, as BCE wants them.
        of_arrays=not name.startswith(_OF_TENSORS),
    )


def _data(call: ast.Call, name: str, where: str) -> tuple[ast.expr, ast.expr, dict[str, ast.expr]]:
    """Return predictions, truth and the other arguments of a call."""
    named = {k.arg: k.value for k in call.keywords if k.arg}
    truth = next((named.pop(n) for n in _TRUTH if n in named), None)
    guess = next((named.pop(n) for n in _GUESS if n in named), None)
    placed = list(call.args)
    for is_truth in (True, False) if name.startswith(_TRUE_FIRST) else (False, True):
        if is_truth and truth is None and placed:
            truth = placed.pop(0)
        elif not is_truth and guess is None and placed:
            guess = placed.pop(0)
    if truth is None or guess is None:
        raise CannotEdit(f"{where} is not given predictions and targets")
    if placed:
        raise CannotEdit(f"{where} has arguments that cannot be named")
    return guess, truth, named


def _is_column(module: Module, node: ast.expr) -> bool:
    """Tell whether an expression is one column of a matrix, such as ``p[:, 1].cpu()``."""
    while isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and not node.args:
        node = node.func.value
    if isinstance(node, ast.Name):
        bound = bindings(module, node.id, module.enclosing_function(node))
        if len(bound) != 1 or not isinstance(bound[0], ast.Assign):
            return False
        return not isinstance(bound[0].value, ast.Name) and _is_column(module, bound[0].value)
    return (
        isinstance(node, ast.Subscript)
        and isinstance(node.slice, ast.Tuple)
        and len(node.slice.elts) == 2
        and isinstance(node.slice.elts[0], ast.Slice)
        and isinstance(constant(module, node.slice.elts[1]), int)
    )


def _pairs(text: str) -> list[tuple[str, str]]:
    parts = (part.partition("=") for part in filter(None, text.split(";")))
    return [(name, value) for name, _, value in parts]


def _mentioned(row: ObjectEquivalent) -> set[str]:
    return {name for name, _ in (*_pairs(row.arguments), *_pairs(row.takes))}


def _matches(row: ObjectEquivalent, given: dict[str, object], asked: list[str]) -> bool:
    return set(asked) <= _mentioned(row) and all(
        str(given.get(parameter)) in values.split("|")
        for parameter, values in _pairs(row.arguments)
    )


def _arguments(
    row: ObjectEquivalent, known: evidence.Evidence, given: dict[str, object], where: str
) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
    arguments: list[tuple[str, str]] = []
    notes: list[str] = []
    if row.task != "any":
        notes.append(known.why if known.task else f"{row.task} data in {where}")
    if row.task in ("multiclass", "multilabel"):
        name = "num_classes" if row.task == "multiclass" else "num_labels"
        if known.size is None:
            short = row.object.rsplit(".", 1)[1]
            raise CannotEdit(
                f"{short} wants {name}=, and nothing near {where} tells it; create the object by "
                "hand"
            )
        arguments.append((name, known.size))
        notes.append(f"{name}={known.size} ({known.size_why or 'from the tensors'})")
    for parameter, fixed in _pairs(row.takes):
        if fixed:
            plain = fixed in ("True", "False")
            arguments.append((parameter, fixed if plain else f'"{fixed}"'))
        elif parameter in given:
            value = given[parameter]
            if parameter == "beta" and isinstance(value, int):
                value = float(value)  # TorchMetrics takes no integer here.
            arguments.append((parameter, f'"{value}"' if isinstance(value, str) else str(value)))
    if row.remark:
        notes.append(row.remark)
    return tuple(arguments), tuple(filter(None, notes))


def as_integers(text: str) -> str:
    """Return a tensor's text as integers."""
    if text.endswith((".long()", ".int()")):
        return text
    value = ast.parse(f"({text})", mode="eval").body
    tight = isinstance(value, (ast.Name, ast.Attribute, ast.Call, ast.Subscript))
    return f"{text}.int()" if tight else f"({text}).int()"


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
        return MetricObject(
            "torchmetrics.MeanSquaredError", (("squared", "False"),), tuple(inner.args[:2])
        )
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
