"""Which Metric object gives, for an epoch, what a function gives for all of its data at once."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field

from lintmetrics import facts
from lintmetrics.codemod import Relation
from lintmetrics.facts import ObjectEquivalent
from lintmetrics.model import evidence, metric_api, metric_migration
from lintmetrics.project import Module

_CLASS = re.compile(r"torchmetrics(?:\.\w+)*\.[A-Z]\w*")
_FAMILIES = ("classification", "regression")
_FUNCTIONAL = (
    "torchmetrics.functional",
    "pytorch_lightning.metrics.functional",
    "lightning.pytorch.metrics.functional",
)
_TRUE_FIRST = "sklearn."


@dataclass(frozen=True)
class EpochObject:
    """A Metric to make once and to update with the data of each batch.

    Args:
        name: dotted name of the class.
        arguments: source text of the constructor's arguments.
        preds, target: the expressions that the function was given.
        relation: how sure it is that the number stays; ``notes``: what that rests on.
        casts: whether targets have to be made integers, which the function did not ask for.
    """

    name: str
    arguments: tuple[str, ...]
    preds: ast.expr
    target: ast.expr
    relation: Relation
    notes: tuple[str, ...] = field(default=())
    casts: bool = False


class NoObject(Exception):
    """No Metric object is known to give the same number; says why."""


def epoch_object(module: Module, call: ast.Call, name: str) -> EpochObject:
    """Return the object that stands for a call of a metric function on whole-epoch data.

    Raises:
        NoObject: there is none, or it cannot be told.
    """
    if name.startswith(_FUNCTIONAL):
        return _of_torchmetrics(module, call, name)
    found = facts.object_equivalents(name)
    if found:
        return _of_other(module, call, name, found)
    raise NoObject(f"{name}() at line {call.lineno} has no known Metric object")


def _of_torchmetrics(module: Module, call: ast.Call, name: str) -> EpochObject:
    where = f"{name.rsplit('.', 1)[1]}() at line {call.lineno}"
    read = metric_api.read(module, call, name)
    if read is None or read.kind != "function":
        raise NoObject(f"{where} is no metric function")
    if read.ambiguous:
        raise NoObject(read.ambiguous)
    migration = metric_migration.migrate(read)
    if migration.blocked:
        raise NoObject(migration.blocked)
    if migration.before or migration.after or migration.elsewhere or migration.twice:
        raise NoObject(f"{where} has to be rewritten for TorchMetrics 1.9 first")
    function = (migration.target or read.current).rsplit(".", 1)[-1]
    target_class = _class_of(function)
    if target_class is None:
        raise NoObject(f"{where} has no known Metric object")
    data: dict[str, ast.expr] = {}
    arguments = list(migration.first)
    for index, argument in enumerate(read.arguments):
        if argument.parameter in ("preds", "target"):
            data[argument.parameter] = argument.value
            continue
        text = module.source.segment(argument.node)
        if index in migration.changed:
            changed = migration.changed[index]
            if changed is None:
                continue
            text = changed
        elif not argument.is_keyword:
            text = f"{argument.parameter}={text}" if argument.parameter else text
        if "=" not in text:
            raise NoObject(f"{where} has an argument that cannot be named")
        arguments.append(text)
    arguments += migration.last
    if len(data) != 2:
        raise NoObject(f"{where} is not given predictions and targets by name or place")
    _require_accepted(target_class, arguments, where)
    return EpochObject(
        target_class,
        tuple(arguments),
        data["preds"],
        data["target"],
        migration.relation,
        tuple(migration.notes),
    )


def _class_of(function: str) -> str | None:
    """Return the class whose object computes what a function of TorchMetrics 1.9 does."""
    for family in ("", "classification.", "regression."):
        for row in facts.decomposability(f"torchmetrics.functional.{family}{function}"):
            match = _CLASS.match(row.modular_equivalent)
            differs = "CLASS DIFFERS" in row.condition_notes
            if match and row.is_primary and row.family in _FAMILIES and not differs:
                return match.group()
    return None


def _require_accepted(name: str, arguments: list[str], where: str) -> None:
    """Raise where the class does not take an argument that the function took."""
    short = name.rsplit(".", 1)[1]
    signatures = facts.signatures("torchmetrics", short, "class")
    if not signatures or not signatures[-1].last.startswith("1."):
        raise NoObject(f"{where} has no Metric object in TorchMetrics 1.9")
    accepted = {*signatures[-1].names, "task"}
    for text in arguments:
        parameter = text.split("=", 1)[0].strip()
        if parameter not in accepted and not signatures[-1].takes_any:
            raise NoObject(f"{short} does not take {parameter}, which {where} is given")


# Other libraries -------------------------------------------------------------------------------


def _of_other(
    module: Module, call: ast.Call, name: str, found: list[ObjectEquivalent]
) -> EpochObject:
    where = f"{name.rsplit('.', 1)[1]}() at line {call.lineno}"
    named = {k.arg: k.value for k in call.keywords if k.arg}
    if len(named) != len(call.keywords) or len(call.args) > 2:
        raise NoObject(f"{where} has arguments that cannot be named")
    first, second = ("y_true", "y_pred") if name.startswith(_TRUE_FIRST) else ("y_pred", "y")
    data = dict(zip((first, second), call.args, strict=False))
    for parameter in (first, second, "y_score"):
        if parameter in named:
            data["y_pred" if parameter == "y_score" else parameter] = named.pop(parameter)
    if len(data) != 2:
        raise NoObject(f"{where} is not given predictions and targets")
    preds = data["y_pred"]
    target = data["y_true" if name.startswith(_TRUE_FIRST) else "y"]
    given: dict[str, str] = {"average": _default_average(name)}
    for parameter, value in named.items():
        if parameter == "zero_division" and isinstance(value, ast.Constant) and not value.value:
            continue
        if not isinstance(value, ast.Constant) or parameter not in ("average", "squared"):
            raise NoObject(f"{where} is given {parameter}, which no Metric object takes alike")
        given[parameter] = str(value.value)
    fitting = [row for row in found if _matches(row, given)]
    if not fitting:
        raise NoObject(f"{where} has no known Metric object with these arguments")
    known = evidence.of_function(module, call, preds, target)
    row = fitting[0]
    if row.task != "any":
        chosen = next((r for r in fitting if r.task == known.task), None)
        if chosen is None:
            raise NoObject(
                f"the data of {where} does not show whether it is binary, multiclass or "
                "multilabel; name the Metric object by hand"
            )
        row = chosen
    arguments, notes = _arguments(row, known, given, where)
    relation = Relation.PRESERVES if row.proof or known.proof else Relation.ASSUMES
    casts = ".classification." in row.object  # They take no float targets, as BCE wants them.
    return EpochObject(row.object, arguments, preds, target, relation, notes, casts)


def _default_average(name: str) -> str:
    short = name.rsplit(".", 1)[1]
    return "binary" if short in ("f1_score", "precision_score", "recall_score") else "macro"


def _matches(row: ObjectEquivalent, given: dict[str, str]) -> bool:
    for condition in filter(None, row.arguments.split(";")):
        parameter, values = condition.split("=")
        if given.get(parameter) not in values.split("|"):
            return False
    return True


def _arguments(
    row: ObjectEquivalent, known: evidence.Evidence, given: dict[str, str], where: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    arguments: list[str] = []
    notes: list[str] = []
    if row.task in ("multiclass", "multilabel"):
        if known.size is None:
            raise NoObject(f"nothing near {where} tells the number of classes; name the object")
        name = "num_classes" if row.task == "multiclass" else "num_labels"
        arguments.append(f"{name}={known.size}")
        notes.append(known.size_why)
    if row.task != "any":
        notes.insert(0, known.why)
    for taken in filter(None, row.takes.split(";")):
        parameter, _, fixed = taken.partition("=")
        if fixed:
            arguments.append(f'{parameter}="{fixed}"')
        elif parameter in given:
            value = given[parameter]
            text = value if value in ("True", "False") else f'"{value}"'
            arguments.append(f"{parameter}={text}")
    if row.remark:
        notes.append(row.remark)
    return tuple(arguments), tuple(filter(None, notes))
