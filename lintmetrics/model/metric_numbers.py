"""What 1.9 answers otherwise though the call means the same, applied to one migration."""

from __future__ import annotations

from lintmetrics import facts
from lintmetrics.codemod import Relation
from lintmetrics.model.evidence import Evidence, Inputs
from lintmetrics.model.metric_api import UNKNOWN
from lintmetrics.model.metric_draft import Draft, Undecided

_THRESHOLDED = frozenset(
    ("Accuracy", "F1Score", "FBetaScore", "Precision", "Recall", "Specificity", "StatScores",
     "HammingDistance", "ConfusionMatrix", "CohenKappa", "MatthewsCorrCoef", "JaccardIndex",
     "ExactMatch")
)  # fmt: skip


def value_changes(draft: Draft, found: Evidence | None) -> None:
    """Note every known change of the number, or stop where no call gives the old one."""
    call = draft.call
    if not (call.is_old or call.move is not None):
        return
    for change in facts.value_changes():
        if change.metric != call.family:
            continue
        if not _applies(draft, change.condition, found):
            continue
        if change.relation == "blocked":
            raise Undecided(change.text)
        draft.plan.note(
            f"{call.current}: {change.text}",
            Relation.CORRECTS if change.relation == "corrects" else Relation.ASSUMES,
        )
    if found is not None and call.family in _THRESHOLDED and draft.plan.task != "multiclass":
        _threshold_changes(draft, found)


def _threshold_changes(draft: Draft, found: Evidence) -> None:
    threshold = draft.literal("threshold")
    threshold = threshold if isinstance(threshold, (int, float)) else 0.5
    if found.scores == "logits" and not found.complete and draft.plan.task:
        draft.plan.note(
            "the scores are logits: up to 0.10 they were compared with the threshold as they "
            "are, now they go through a sigmoid first",
            Relation.CORRECTS if not draft.has("threshold") else Relation.ASSUMES,
        )
    for pair in found.inputs:
        preds = pair.preds
        if preds is None or preds.kind != "float":
            continue
        if preds.values is not None and threshold in preds.values:
            draft.plan.note(
                f"a score equals the threshold {threshold}: it counted as positive up to 0.10, "
                "as negative now",
                Relation.ASSUMES,
            )
        if preds.outside_unit:
            draft.plan.note(
                "scores outside [0, 1] were compared with the threshold as they are up to "
                "0.10 and go through a sigmoid now",
                Relation.ASSUMES,
            )


def _applies(draft: Draft, condition: str, found: Evidence | None) -> bool:
    average = draft.literal("average")
    pairs = found.inputs if found is not None and found.complete else ()
    task = draft.plan.task
    if condition == "always":
        return True
    if condition.startswith("ignore_index"):
        given = draft.has("ignore_index") and draft.literal("ignore_index") is not None
        macro = average in ("macro", "weighted")
        return given and (condition == "ignore_index" or macro)
    if condition == "top_k > 1":
        return draft.has("top_k") and draft.literal("top_k") not in (None, 1)
    if condition == "weighted":
        return average == "weighted"
    if condition == "binary labels":
        labels = found is not None and found.scores == "labels" and not found.complete
        return task == "binary" and labels and draft.literal("num_classes") in (UNKNOWN, None)
    if condition == "multiclass":
        return task == "multiclass" and _classes(draft) != 2
    if condition == "old library":
        return draft.call.of_old_library and draft.call.kind == "function"
    if condition == "per class":
        binned = draft.call.short.startswith("Binned")
        return task in ("multiclass", "multilabel") and not draft.has("average") and not binned
    if condition == "absent class by class":
        each = draft.has("average") and average in ("none", None)
        absent = any(_absent(pair, _classes(draft)) for pair in pairs)
        return task == "multiclass" and each and absent
    if condition in ("absent class", "absent class of iou"):
        macro = average == "macro" or (condition.endswith("iou") and average is UNKNOWN)
        if task != "multiclass" or not macro:
            return False
        if not pairs:
            return condition.endswith("iou") or draft.call.of_old_library
        return any(_absent(pair, _classes(draft)) for pair in pairs)
    if condition == "multiclass logits" and not pairs:
        return task == "multiclass" and found is not None and found.scores == "logits"
    if condition == "multiclass logits":
        outside = any(pair.preds is not None and pair.preds.outside_unit for pair in pairs)
        return task == "multiclass" and (outside if pairs else False)
    if condition == "binary scores":
        is_fed = found is not None and found.is_fed and not pairs
        bounded = found is not None and found.scores in ("labels", "probabilities")
        return task == "binary" and draft.call.kind == "class" and is_fed and not bounded
    if condition == "logits":
        return not pairs or any(p.preds is None or p.preds.outside_unit for p in pairs)
    raise AssertionError(f"value_changes.csv: condition {condition!r} is not known")


def _classes(draft: Draft) -> int | None:
    value = draft.literal("num_classes")
    if isinstance(value, int):
        return value
    for text in (*draft.plan.first, *draft.plan.last):
        name, _, number = text.partition("=")
        if name == "num_classes" and number.isdigit():
            return int(number)
    return None


# Text ---------------------------------------------------------------------------------


def _absent(pair: Inputs, classes: int | None) -> bool:
    """Tell whether a class occurs neither in predictions nor in targets, as far as is known."""
    preds, target = pair.preds, pair.target
    if preds is None or target is None or classes is None:
        return True
    seen: set[int] = set()
    for tensor in (preds, target):
        if tensor.kind != "float" and tensor.values is not None:
            seen |= {int(value) for value in tensor.values}
        elif tensor.kind != "float" and tensor.reaches_ends and classes <= 2:
            seen |= {int(tensor.low or 0), int(tensor.high or 0)}
        elif tensor.kind != "float" and tensor.reaches_ends and tensor.high is not None:
            seen |= set(range(int(tensor.low or 0), int(tensor.high) + 1))
        elif tensor.values is not None and tensor.shape and len(tensor.shape) == 2:
            width = tensor.shape[1]
            for start in range(0, len(tensor.values), width):
                row = tensor.values[start : start + width]
                seen.add(row.index(max(row)))
    return not set(range(classes)) <= seen
