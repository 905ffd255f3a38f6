"""Scores that are given the predictions for the targets, and the targets for the predictions.

scikit-learn takes ``(y_true, y_pred)``, TorchMetrics ``(preds, target)``. Which is which is told by
the names that the code itself gives the two.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from lintmetrics.project import Module

# What changes when the two are swapped; an F1 or an accuracy of labels does not.
_SKLEARN = {
    "precision_score": "the recall",
    "recall_score": "the precision",
    "precision_recall_fscore_support": "precision and recall in each other's place",
    "classification_report": "precision and recall in each other's place",
    "confusion_matrix": "the matrix on its side",
    "balanced_accuracy_score": "another number",
    "r2_score": "another number",
    "explained_variance_score": "another number",
}
_TORCHMETRICS = {
    "precision": "the recall",
    "recall": "the precision",
    "confusion_matrix": "the matrix on its side",
    "specificity": "another number",
    "r2_score": "another number",
    "explained_variance": "another number",
}
_TASK = re.compile(r"^(?:binary|multiclass|multilabel)_")
_PREDICTED = re.compile(
    r"(?:^|_)(?:pred|preds|prediction|predictions|predicted|yhat|y_hat|logits?|probs?)(?:_|$)"
)
_TRUE = re.compile(r"(?:^|_)(?:target|targets|labels?|true|truths?|gt|gold)(?:_|$)")
_SPELLED = re.compile(r"\b(?:sklearn|torchmetrics|metrics)\b")


@dataclass(frozen=True)
class SwappedArguments:
    """A call whose first two arguments stand in each other's place, by their names.

    Args:
        module: the file; ``node``: the call.
        name: the function; ``first``, ``second``: what is given, in words of the code.
        order: the order that the function takes; ``answer``: what comes out instead.
    """

    module: Module = field(repr=False)
    node: ast.Call
    name: str
    first: str
    second: str
    order: str
    answer: str


def swapped_arguments(module: Module) -> Iterator[SwappedArguments]:
    """Yield the calls of a file that give a score its two arguments in the other order."""
    if not _SPELLED.search(module.source.code):
        return
    for call in module.calls:
        if len(call.args) < 2 or any(isinstance(one, ast.Starred) for one in call.args[:2]):
            continue
        name = module.qualified(call.func) or ""
        package, _, last = name.rpartition(".")
        if package == "sklearn.metrics":
            answer, order = _SKLEARN.get(last), "(y_true, y_pred)"
            wanted = (_PREDICTED, _TRUE)
        elif package.startswith("torchmetrics.functional"):
            answer, order = _TORCHMETRICS.get(_TASK.sub("", last)), "(preds, target)"
            wanted = (_TRUE, _PREDICTED)
        else:
            continue
        average = next((k.value for k in call.keywords if k.arg == "average"), None)
        how = average.value if isinstance(average, ast.Constant) else ""
        if how == "micro":
            continue  # Of classes, precision and recall are one number then.
        if how in ("weighted", "samples") and answer:
            answer = "another number"
        said = [_said(one) for one in call.args[:2]]
        if answer and all(_is(text, pattern) for text, pattern in zip(said, wanted, strict=True)):
            yield SwappedArguments(module, call, last, said[0], said[1], order, answer)


def _is(text: str, pattern: re.Pattern[str]) -> bool:
    """Tell whether a name is of one kind, and not of the other as ``pred_labels`` may be."""
    other = _TRUE if pattern is _PREDICTED else _PREDICTED
    return pattern.search(text) is not None and other.search(text) is None


def _said(node: ast.expr) -> str:
    """Return what the code calls an argument, beneath what is done to it; empty when nothing."""
    while True:
        if isinstance(node, ast.Name):
            return node.id.lower()
        if isinstance(node, ast.Subscript):
            key = node.slice
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                return key.value.lower()
            node = node.value
        elif isinstance(node, ast.Call):
            func = node.func
            if isinstance(func, ast.Attribute) and not _is_of_package(func.value):
                node = func.value
            elif node.args:
                node = node.args[0]
            else:
                return ""
        elif isinstance(node, ast.Attribute):
            return node.attr.lower()
        else:
            return ""


def _is_of_package(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in ("torch", "np", "numpy", "F", "jnp")
