"""What scikit-learn says where TorchMetrics was asked: the same metric from other hands.

Which of scikit-learn's averages a metric means has changed from one TorchMetrics to the next, and
some have no equal. So every reading that is near is given, and it is for the caller to see whether
one of them agrees.
"""

from __future__ import annotations

import contextlib
import importlib
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, TypeVar

_T = TypeVar("_T")

_AVERAGES = ("binary", "micro", "macro", "weighted", "samples")

_LABELS = {
    "f1": "f1_score",
    "fbeta": "fbeta_score",
    "precision": "precision_score",
    "recall": "recall_score",
    "sensitivity": "recall_score",
    "jaccardindex": "jaccard_score",
    "iou": "jaccard_score",
    "jaccard": "jaccard_score",
    "dice": "f1_score",
}
_AGREEMENTS = {
    "accuracy": ("accuracy_score", "balanced_accuracy_score"),
    "cohenkappa": ("cohen_kappa_score",),
    "matthewscorrcoef": ("matthews_corrcoef",),
    "hammingdistance": ("hamming_loss",),
}
_SCORES = {
    "auroc": "roc_auc_score",
    "averageprecision": "average_precision_score",
}
_DISTANCES = {
    "meansquarederror": ("mean_squared_error", "root_mean_squared_error"),
    "meanabsoluteerror": ("mean_absolute_error",),
    "meansquaredlogerror": ("mean_squared_log_error",),
    "meanabsolutepercentageerror": ("mean_absolute_percentage_error",),
    "r2": ("r2_score",),
    "explainedvariance": ("explained_variance_score",),
}
_CORRELATIONS = {"pearsoncorrcoef": "pearsonr", "spearmancorrcoef": "spearmanr"}


def second_opinions(
    label: str, settings: Mapping[str, Any], data: Mapping[str, Any]
) -> Iterator[tuple[str, float]]:
    """Yield the name of a function of scikit-learn or scipy and what it answers.

    Args:
        label: the metric, such as ``"torchmetrics.functional.f1_score"``.
        settings: what it was told besides data.
        data: its arrays by the name of the argument; predictions come before targets.
    """
    try:
        numpy = importlib.import_module("numpy")
        stats = importlib.import_module("scipy.stats")
        metrics = importlib.import_module("sklearn.metrics")
    except ImportError:
        return
    arrays = [value for value in data.values() if isinstance(value, numpy.ndarray)]
    if len(arrays) < 2:
        return
    if "target" in data and "preds" in data:
        arrays = [data["preds"], data["target"]]
    kind = _kind(label)
    calls: Iterator[tuple[str, Callable[[], Any]]]
    if kind in _DISTANCES or kind in _CORRELATIONS:
        calls = _of_values(kind, arrays[0], arrays[1], metrics, stats)
    else:
        calls = _of_classes(kind, settings, arrays[0], arrays[1], metrics)
    for name, call in _quietly(lambda: list(calls)) or ():
        answer = _quietly(partial(_number, call))
        if answer is not None:
            yield name, answer


def _number(call: Callable[[], Any]) -> float:
    return float(call())


def _quietly(function: Callable[[], _T]) -> _T | None:
    """Return what a function does; ``None`` where the data are no reading of the metric."""
    with warnings.catch_warnings(), contextlib.suppress(ValueError, TypeError, ArithmeticError):
        warnings.simplefilter("ignore")
        with contextlib.suppress(IndexError, AttributeError):
            return function()
    return None


def _kind(label: str) -> str:
    name = re.sub(r"[^a-z0-9]", "", label.rpartition(".")[2].lower())
    name = re.sub(r"^(binary|multiclass|multilabel|retrieval)", "", name)
    return re.sub(r"score$", "", name)


def _of_values(
    kind: str, preds: Any, target: Any, metrics: Any, stats: Any
) -> Iterator[tuple[str, Callable[[], Any]]]:
    if preds.shape != target.shape and preds.size == target.size:
        preds = preds.reshape(target.shape)
    preds, target = preds.astype(float), target.astype(float)
    if kind in _CORRELATIONS:
        name = _CORRELATIONS[kind]
        yield name, lambda: getattr(stats, name)(target.ravel(), preds.ravel())[0]
        return
    for name in _DISTANCES[kind]:
        function = getattr(metrics, name, None)
        if function is None:
            continue
        yield name, partial(function, target.ravel(), preds.ravel())
        if target.ndim == 2:
            for output in ("uniform_average", "variance_weighted"):
                yield name, partial(function, target, preds, multioutput=output)


def _of_classes(
    kind: str, settings: Mapping[str, Any], preds: Any, target: Any, metrics: Any
) -> Iterator[tuple[str, Callable[[], Any]]]:
    average = settings.get("average")
    averages = ("binary", average) if average in _AVERAGES else _AVERAGES
    classes = settings.get("num_classes")
    for true, found, scores in _readings(preds, target, settings.get("threshold")):
        if kind in _LABELS:
            name = _LABELS[kind]
            options: dict[str, Any] = {"zero_division": 0}
            if name == "fbeta_score":
                options["beta"] = settings.get("beta", 1.0)
            function = partial(getattr(metrics, name), true, found, **options)
            for kept in averages:
                yield name, partial(function, average=kept)
                if isinstance(classes, int) and true.ndim == 1:
                    yield name, partial(function, average=kept, labels=list(range(classes)))
        for name in _AGREEMENTS.get(kind, ()):
            yield name, partial(getattr(metrics, name), true, found)
        if kind in _SCORES and scores is not None:
            function = getattr(metrics, _SCORES[kind])
            for kept in [None, *averages]:
                yield _SCORES[kind], partial(_of_scores, function, true, scores, kept)


def _of_scores(function: Callable[..., Any], true: Any, scores: Any, average: str | None) -> Any:
    """Return the area of one score for each sample, or over the classes against the rest."""
    import numpy

    if scores.ndim == 1:
        if average is not None:
            raise ValueError("one score has nothing to average")
        return function(true, scores)
    if scores.shape[1] == 2 and average is None and true.ndim == 1:
        return function(true, scores[:, 1])
    table = true if true.ndim == 2 else numpy.eye(scores.shape[1])[true.astype(int)]
    return function(table, scores, average=average or "macro")


def _readings(preds: Any, target: Any, threshold: Any) -> Iterator[tuple[Any, Any, Any]]:
    """Yield true classes, predicted classes and scores, as the shapes allow to read them."""
    import numpy

    at = threshold if isinstance(threshold, float) else 0.5
    if preds.dtype.kind == "f" and preds.ndim == target.ndim + 1:
        flat = numpy.moveaxis(preds, 1, -1).reshape(-1, preds.shape[1]).astype(float)
        true = target.reshape(-1)
        yield true, flat.argmax(1), flat
        return
    if preds.shape != target.shape and preds.size == target.size:
        preds = preds.reshape(target.shape)
    if preds.shape != target.shape:
        return
    if preds.dtype.kind != "f":
        yield target.reshape(-1), preds.reshape(-1), None
        if target.ndim == 2:
            yield target, preds, None
        return
    scores = preds.astype(float)
    if scores.size and (scores.min() < 0 or scores.max() > 1):
        scores = 1 / (1 + numpy.exp(-scores))
    found = (scores >= at).astype(int)
    # As float32 the metric has compared with its threshold; so must this.
    if preds.dtype.itemsize <= 4 and preds.min(initial=0) >= 0 and preds.max(initial=0) <= 1:
        found = (preds > preds.dtype.type(at)).astype(int)
    yield target.reshape(-1).astype(int), found.reshape(-1), scores.reshape(-1)
    if target.ndim == 2:
        yield target.astype(int), found, scores
