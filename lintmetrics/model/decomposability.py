"""May a value be averaged over batches? The measured table, asked about one call."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from lintmetrics import facts

_CONDITION = re.compile(r"(\w+)=('[^']*'|\"[^\"]*\"|\([\d, ]*\)|[\w.\-]+)(\s*\(default\))?")
# Arguments that decide between the variants of one metric; others do not change its class.
_DECISIVE = ("task", "average", "reduction", "multidim_average", "squared", "normalize", "dim")


@dataclass(frozen=True)
class Verdict:
    """What the table says of one call.

    Args:
        decomposable: ``exact``, ``weighted`` (right only with another weight), ``no`` or
            ``unknown`` (the arguments do not decide it, or the name is not in the table).
        weight: the weight that would make the mean right, for ``weighted``.
        family: area of the metric, such as ``classification``; empty when unknown.
    """

    decomposable: str
    weight: str = ""
    family: str = ""


UNDECIDED = Verdict("unknown")


@cache
def _classes() -> dict[str, list[facts.Decomposability]]:
    """Class name of the TorchMetrics object to use, to the rows of the function it stands for."""
    found: dict[str, list[facts.Decomposability]] = {}
    for name in facts.decomposability_names():
        if not name.startswith("torchmetrics."):
            continue
        for row in facts.decomposability(name):
            for match in re.finditer(r"([A-Z]\w+)\(", row.modular_equivalent):
                group = found.setdefault(match.group(1), [])
                if row not in group:
                    group.append(row)
                break
    return found


@cache
def _renamed() -> dict[str, str]:
    """Last part of an old name to the last part of its successor."""
    return {
        old.rsplit(".", 1)[1]: move.new.rsplit(".", 1)[1]
        for old, move in facts.moves().items()
        if move.new
    }


def rows_for(name: str) -> list[facts.Decomposability]:
    rows = facts.decomposability(name)
    if rows:
        return rows
    parts = name.split(".")
    last = parts[-1]
    if parts[0] not in ("torchmetrics", "pytorch_lightning", "lightning"):
        return []
    if last[:1].isupper():
        known = _classes()
        return known.get(last) or known.get(_renamed().get(last, ""), [])
    if "functional" in parts:
        for candidate in (last, _renamed().get(last, "")):
            rows = facts.decomposability(f"torchmetrics.functional.{candidate}")
            if rows:
                return rows
            for family in ("classification", "regression", "image", "text", "audio", "retrieval"):
                rows = facts.decomposability(f"torchmetrics.functional.{family}.{candidate}")
                if rows:
                    return rows
    return []


def arguments(call: ast.Call | None) -> dict[str, object]:
    """Return the keyword arguments of a call: constants as they are, others as ``...``."""
    found: dict[str, object] = {}
    for keyword in call.keywords if call else ():
        if keyword.arg is not None:
            value = keyword.value
            found[keyword.arg] = value.value if isinstance(value, ast.Constant) else ...
    if found.get("average") == "none":
        found["average"] = None  # The same, in a word.
    return found


def _compatible(row: facts.Decomposability, given: dict[str, object]) -> bool:
    conditions = {}
    for match in _CONDITION.finditer(row.variant):
        conditions[match.group(1)] = (match.group(2).strip("'\""), bool(match.group(3)))
    for key in _DECISIVE:
        value = given.get(key)
        if key in conditions:
            wanted, default = conditions[key]
            if key not in given:
                # An old call names no task: any may be meant.
                if not default and key != "task":
                    return False
            elif value is not ... and str(value) != wanted:
                return False
        elif key in given and key in ("multidim_average",) and value != "global":
            return False
    samplewise = "multidim_average='samplewise'" in row.variant
    return not samplewise or "multidim_average" in given


def _is_default(row: facts.Decomposability) -> bool:
    """Tell whether a row speaks of a call that gives nothing but what decides."""
    conditions = _CONDITION.search(row.variant)
    return not (
        "(default)" not in row.variant
        and "default" not in row.variant
        and "average='" not in row.variant
        and not conditions
        and not row.is_primary
    )


def _of_the_task(
    name: str, given: dict[str, object], tasks: set[str]
) -> list[facts.Decomposability]:
    """Return what was measured under the name that says the task: ``multilabel_precision``."""
    package, _, function = name.rpartition(".")
    if not package.startswith("torchmetrics.") or given.get("average") is ...:
        return []
    task = given.get("task", ...)
    # Without a task, as in old releases, an average was taken over classes or labels.
    wanted = {task} if isinstance(task, str) else tasks or {"multiclass", "multilabel"}
    found = []
    for task in sorted(wanted):
        # A binary metric takes no average and answers as if none were given.
        rest = {
            k: v for k, v in given.items() if k != "task" and (k, task) != ("average", "binary")
        }
        rows = facts.decomposability(f"{package}.{task}_{function}")
        found += [row for row in rows if _compatible(row, rest) and _is_default(row)]
    return found


def verdict(name: str, call: ast.Call | None, tasks: Iterable[str] = ()) -> Verdict:
    """Return whether the values of one metric call may be averaged over batches.

    Args:
        name: canonical dotted name of the metric function or class.
        call: the call with the metric's arguments (the constructor, for a class).
        tasks: tasks that the evidence leaves open, where the call does not say; all by default.
    """
    given = arguments(call)
    root = name.endswith((".mean_squared_error", ".MeanSquaredError"))
    if root and given.get("squared") is False:
        name = "sklearn.metrics.root_mean_squared_error"
    rows = rows_for(name)
    if not rows:
        return UNDECIDED
    if call is not None and "task" not in given and "torchmetrics" in name:
        position = 2 if name.rsplit(".", 1)[1][:1].islower() else 0
        if len(call.args) > position:
            value = call.args[position]
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                given["task"] = value.value
    if given.get("multilabel") is True:
        given["task"] = "multilabel"
    variants = [
        row for row in rows if row.decomposable != "depends" and "summary" not in row.variant
    ]
    possible = [row for row in variants if _compatible(row, given)]
    fitting = [row for row in possible if _is_default(row)]
    if not fitting and name.startswith("evaluate."):
        fitting = possible  # Named by the subset, such as 'glue', 'cola'.
    wanted = set(tasks)
    if wanted and "task" not in given:
        fitting = [
            row
            for row in fitting
            if "task=" not in row.variant or any(f"task='{t}'" in row.variant for t in wanted)
        ]
    if not fitting:
        fitting = _of_the_task(rows[0].qualified_name, given, wanted)
    classes = {row.decomposable for row in fitting}
    # An argument that is measured on its own, and that this call gives.
    classes.update(
        row.decomposable
        for row in possible
        for key in given
        if key not in _DECISIVE and f"{key}=" in row.variant and "(default" not in row.variant
    )
    family = rows[0].family
    if not classes:
        return Verdict("unknown", "", family)
    if classes == {"exact"}:
        return Verdict("exact", "", family)
    if classes == {"weighted-only-if-equal-batches"}:
        return Verdict("weighted", fitting[0].weight, family)
    if "exact" not in classes and "depends" not in classes:
        return Verdict("no", "", family)
    return Verdict("unknown", "", family)


def higher_is_better(name: str) -> str:
    """Return what the table says of a metric: ``"True"``, ``"False"``, or why it is not known."""
    said = {row.higher_is_better for row in rows_for(name)}
    return said.pop() if len(said) == 1 else ""
