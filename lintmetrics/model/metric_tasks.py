"""Which task an old classification call had, by the rules that its release guessed it with."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from lintmetrics.edits import default_of
from lintmetrics.model.evidence import Evidence, Inputs
from lintmetrics.model.metric_api import UNKNOWN, MetricCall
from lintmetrics.model.tensors import Tensor, constant
from lintmetrics.project import Module

_SCORED = frozenset(("AUROC", "AveragePrecision", "ROC", "PrecisionRecallCurve",
                     "RecallAtFixedPrecision"))  # fmt: skip
_HARD_LABELS = frozenset(("ConfusionMatrix", "CohenKappa", "MatthewsCorrCoef"))


@dataclass(frozen=True)
class Decision:
    """The task of a call, or why it cannot be told.

    Args:
        task: ``"binary"``, ``"multiclass"`` or ``"multilabel"``; empty where a person must say.
        size: text of the number of classes or labels.
        proof: the code leaves no other way.
        why: where the task shows; ``size_why``: where the size shows.
        blocked: what a person must say.
        casts: the scores are integers and have to become floats.
    """

    task: str = ""
    size: str = ""
    proof: bool = False
    why: str = ""
    size_why: str = ""
    blocked: str = ""
    casts: bool = False


def decide(call: MetricCall, found: Evidence) -> Decision:
    """Tell the task from the tensors where they are all known, else from the code."""
    if found.complete:
        return _by_inputs(call, found)
    return _by_arguments(call, found)


def _by_inputs(call: MetricCall, found: Evidence) -> Decision:
    """Apply the rules by which old releases told the task from the tensors."""
    decisions = [_by_pair(call, pair) for pair in found.inputs]
    blocked = next((d.blocked for d in decisions if d.blocked), "")
    if blocked:
        return Decision(blocked=blocked)
    tasks = {d.task for d in decisions}
    if len(tasks) > 1:
        return Decision(
            blocked=f"the metric is given {' and '.join(sorted(tasks))} inputs in turn; "
            "make one metric for each"
        )
    sizes = [int(d.size) for d in decisions if d.size]
    size = str(max(sizes)) if sizes else ""
    given = call.literal("num_classes")
    if (
        isinstance(given, int)
        and sizes
        and decisions[0].task == "multiclass"
        and given < max(sizes)
    ):
        return Decision(blocked=f"num_classes={given}, and the tensors hold {max(sizes)} classes")
    task = decisions[0].task
    if task == "multilabel" and isinstance(given, int) and sizes and given != max(sizes):
        return Decision(blocked=f"num_classes={given}, and the tensors hold {max(sizes)} labels")
    wide = isinstance(given, int) and given > 2
    if task == "binary" and call.family == "ConfusionMatrix" and wide:
        return Decision(
            blocked=f"num_classes={given} made the matrix wider than the two classes that "
            "occur; task='binary' makes it 2 by 2"
        )
    line = found.inputs[0].node.lineno
    casts = any(d.casts for d in decisions)
    return Decision(
        decisions[0].task,
        size,
        all(d.proof for d in decisions),
        f"the tensors at line {line} are {decisions[0].task}",
        "their number is read off random integers" if not all(d.proof for d in decisions) else "",
        casts=casts,
    )


def _by_pair(call: MetricCall, pair: Inputs) -> Decision:
    preds, target = pair.preds, pair.target
    if preds is None or target is None or preds.shape is None or target.shape is None:
        return Decision(blocked="the tensors that reach the metric are not known")
    family = call.family
    given = call.literal("num_classes")
    flag = call.literal("multiclass")
    flag = call.literal("is_multiclass") if flag is UNKNOWN else flag
    if len(preds.shape) == len(target.shape) + 1:
        if flag is False:
            return Decision(
                blocked="multiclass=False scores the second column only; feed preds[:, 1] with "
                "task='binary'"
            )
        return Decision("multiclass", str(preds.shape[1]), True)
    if len(preds.shape) != len(target.shape):
        return Decision(blocked="predictions and targets have shapes that no task of 1.9 takes")
    if call.literal("multilabel") is True:
        width = preds.shape[1] if len(preds.shape) > 1 else 1
        return Decision("multilabel", str(width), True)
    if preds.kind == "float":
        if len(preds.shape) == 1 or family in _HARD_LABELS:
            if family == "JaccardIndex" or flag is True:
                return Decision(
                    blocked="both classes were scored after the threshold; feed "
                    "(preds >= 0.5).long() with task='multiclass', num_classes=2"
                )
            return Decision("binary", "", True)
        if family == "JaccardIndex":
            return Decision(
                blocked="scores of this shape were cut at the threshold and scored "
                "as two classes; feed (preds >= 0.5).long() with task='multiclass'"
            )
        return Decision("multilabel", str(preds.shape[1]), True)
    return _by_labels(call, preds, target, given, flag)


def _by_labels(
    call: MetricCall, preds: Tensor, target: Tensor, given: object, flag: object
) -> Decision:
    family = call.family
    shape = preds.shape or ()
    binary = all(high is not None and high <= 1 for high in (target.high, -(target.low or 0)))
    if family in _SCORED and len(shape) == 1 and binary and given in (UNKNOWN, None, 1):
        # The sigmoid of 1.9 keeps the order of small integers, and the order is all that counts.
        low, high = preds.low, preds.high
        if low is not None and high is not None and max(-low, high) < 16:
            return Decision("binary", "", True, casts=True)
    if family in _SCORED or family in ("HingeLoss", "CalibrationError"):
        return Decision(
            blocked="the scores are integers, which 1.9 rejects; feed probabilities as floats"
        )
    highs = (preds.high, target.high)
    if given == 1 or flag is False:
        if any(high is None or high > 1 for high in highs):
            return Decision(blocked="two classes are scored, and the tensors hold larger labels")
        return Decision("binary", "", True)
    binary = all(high is not None and high <= 1 for high in highs)
    wide = len(shape) > 1
    if (
        binary
        and given is UNKNOWN
        and flag is not True
        and family in ("Accuracy", "HammingDistance")
    ):
        subset = call.literal("subset_accuracy") is True
        if wide and (family == "HammingDistance" or subset or family == "Accuracy"):
            return Decision("multilabel", str(shape[1]), True)
        return Decision("binary", "", True)
    if isinstance(given, int):
        if any(high is not None and high >= given for high in highs):
            return Decision(blocked=f"num_classes={given}, and the tensors hold larger labels")
        return Decision("multiclass", str(given), True)
    if None in highs:
        return Decision(blocked="the number of classes is not written out")
    size = int(max(high for high in highs if high is not None)) + 1
    size = max(size, 2)
    attained = preds.reaches_ends or target.reaches_ends
    average = call.literal("average")
    free = average in (UNKNOWN, "micro") and family in (
        "Accuracy", "F1Score", "FBetaScore", "Precision", "Recall"
    )  # fmt: skip
    return Decision("multiclass", str(size), attained or free)


def _by_arguments(call: MetricCall, found: Evidence) -> Decision:
    """Tell the task from the arguments, and where they leave it open from the code around."""
    given = call.argument("num_classes")
    number = call.literal("num_classes")
    size: str = found.size or ""
    if given is not None:
        size = call.module.source.segment(given.value)
    if number is None:
        size = found.size or ""
    size_why = "" if given is not None and number is not None else found.size_why
    family = call.family
    if call.literal("multilabel") is True:
        proof = given is not None
        return Decision("multilabel", size, proof, "multilabel=True", size_why)
    for flag in ("multiclass", "is_multiclass"):
        if call.literal(flag) is True:
            return Decision("multiclass", size, False, f"{flag}=True", size_why)
        if call.literal(flag) is False:
            if given is None or number in (1, None):
                return Decision("binary", "", False, f"{flag}=False with one column of scores")
            if number == 2:
                return Decision(
                    blocked=f"{flag}=False with num_classes=2 scores one column of two; feed "
                    "preds[:, 1] with task='binary', or say task='multilabel' for two labels"
                )
            return Decision("multilabel", size, False, f"{flag}=False", size_why)
    top_k = call.literal("top_k")
    if call.argument("top_k") is not None and top_k is not None:
        return Decision("multiclass", size, given is not None, "top_k is given", size_why)
    if call.argument("mdmc_average") is not None and call.literal("mdmc_average") is not None:
        several = "multilabel" if found.task == "multilabel" else "multiclass"
        return Decision(several, size, False, "mdmc_average is given", size_why)
    if number == 1 and family not in ("ConfusionMatrix", "JaccardIndex"):
        return Decision("binary", "", True, "num_classes=1")
    if family == "JaccardIndex" and found.task != "multilabel":
        if found.task == "binary":
            return Decision(
                blocked="IoU of binary scores was the mean over both classes; feed hard labels "
                "with task='multiclass', num_classes=2 for that, task='binary' for class 1 alone"
            )
        why = found.why if found.task is not None else "IoU scored class labels"
        return Decision("multiclass", size, False, why, size_why)
    task, why = found.task, found.why
    if task is None and why and number != 1:
        return Decision(blocked=f"{why}, so the task is not one; make a metric for each")
    if family in _SCORED and (given is None or number is None):
        # Measured, 0.2 to 0.10: several classes raised without num_classes; labels were flattened.
        return Decision("binary", "", True, "no num_classes is given")
    if number == 2 and task is None:
        if family in ("AUROC", "AveragePrecision", "ROC", "PrecisionRecallCurve"):
            return Decision(
                blocked="num_classes=2 leaves two ways: task='binary' for one score per sample, "
                "task='multiclass', num_classes=2 for two columns"
            )
        return Decision("multiclass", size, False, "num_classes=2 scored both classes")
    if number == 2 and task == "binary" and family not in _SCORED | _HARD_LABELS:
        if "compared" in why:
            return Decision("multiclass", size, False, "num_classes=2 scored both classes")
        return Decision(
            blocked="num_classes=2 scored both classes on class labels (task='multiclass') and, up "
            "to 0.2, class 1 alone on scores (task='binary'); say which"
        )
    if task is None and isinstance(number, int) and number > 2:
        return Decision(
            "multiclass", size, False, f"num_classes={number} and nothing speaks of several labels"
        )
    if task is None and given is not None and number is UNKNOWN:
        default = _default(call.module, given.value)
        if default in (1, 2) or (family in _SCORED and default is UNKNOWN):
            return Decision(
                blocked=f"{size} may be 1, which is task='binary', or more, which is "
                f"task='multiclass' or 'multilabel'; say which"
            )
        return Decision(
            "multiclass", size, False, "num_classes is given and nothing speaks of several labels"
        )
    if task is None and call.literal("pos_label") in (0, 1):
        return Decision("binary", "", False, "pos_label is given")
    if task is None and call.literal("average") in ("macro", "weighted", "none") and size:
        return Decision("multiclass", size, False, "an average over classes is asked for", size_why)
    if task is None and size and "another metric" in size_why:
        beside = "the metric beside it is given num_classes"
        return Decision("multiclass", size, False, beside, size_why)
    if task is None:
        return Decision(
            blocked="the code does not say the task; add task='binary', or task='multiclass' with "
            "num_classes=..., or task='multilabel' with num_labels=..."
        )
    proof = found.proof
    if task == "binary" and given is not None and number not in (None, 1, 2):
        task, proof = "multilabel", False
    known = found.size_proof or (given is not None and number is not None)
    proof = proof and (task == "binary" or known)
    return Decision(task, size if task != "binary" else "", proof, why, size_why)


def _default(module: Module, expr: ast.expr) -> object:
    """Return the default of the parameter that an expression names."""
    function = module.enclosing_function(expr)
    if function is None or not isinstance(expr, ast.Name):
        return UNKNOWN
    return constant(module, default_of(function, expr.id))
