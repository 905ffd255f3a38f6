"""Scores of 0 and below, which some retrieval metrics take for documents that were not found."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from lintmetrics.model.metric_api import LIBRARY, is_guarded
from lintmetrics.model.metric_feeds import fed_classes
from lintmetrics.model.tensors import bindings
from lintmetrics.model.trails import attribute_value, is_self
from lintmetrics.project import Module
from lintmetrics.tree import subtree

# torchmetrics 1.9.0, each fed the same ranking below and above 0.
_CLASSES = frozenset(("RetrievalMAP", "RetrievalMRR", "RetrievalPrecision", "RetrievalRecall"))
_FUNCTIONS = frozenset(
    f"retrieval_{name}" for name in ("average_precision", "reciprocal_rank", "precision", "recall")
)
_DISTANCE = re.compile(r"(?:^|_)(?:dists?|distances?|cdist|norms?|mse|mae)(?:_|$)", re.I)
_DISTANCES = frozenset(("cdist", "pairwise_distance", "norm", "vector_norm", "dist", "sqrt", "abs"))
_LOGITS = re.compile(r"(?:^|_)logits?$", re.I)
_LOGS = frozenset(("log_softmax", "logsigmoid", "log_sigmoid"))
_LOG_CLASSES = frozenset(("torch.nn.LogSoftmax", "torch.nn.LogSigmoid"))
_STEPS = 4


@dataclass(frozen=True)
class LowScores:
    """Scores that are never above 0, or are below it for some documents.

    Args:
        module: the file; ``node``: the scores; ``metric``: what is fed with them.
        what: what they are; ``are_all``: all of them are.
    """

    module: Module = field(repr=False)
    node: ast.expr
    metric: str
    what: str
    are_all: bool


def low_scores(module: Module) -> Iterator[LowScores]:
    """Yield the scores of a file that a retrieval metric leaves out."""
    code = module.source.code
    if "Retrieval" not in code and "retrieval_" not in code:
        return
    for call in module.calls:
        metric = _fed(module, call)
        if not metric or is_guarded(module, call):
            continue
        scores = call.args[0] if call.args else None
        for keyword in call.keywords:
            if keyword.arg == "preds":
                scores = keyword.value
        if scores is None or isinstance(scores, ast.Starred):
            continue
        known = _what(module, scores, _STEPS)
        if known is not None:
            yield LowScores(module, scores, metric, *known)


def _fed(module: Module, call: ast.Call) -> str:
    """Return the metric that a call feeds with scores; empty for no such."""
    name = module.qualified(call.func) or ""
    last = name.rpartition(".")[2]
    if name.startswith(f"{LIBRARY}.functional.") and last in _FUNCTIONS:
        return last
    if name or not isinstance(call.func, (ast.Attribute, ast.Name, ast.Call)):
        return ""
    return next((one for one in fed_classes(module, call.func) if one in _CLASSES), "")


def _what(module: Module, expr: ast.expr, steps: int) -> tuple[str, bool] | None:
    """Return what low scores are, and whether all are; ``None`` for others."""
    if steps <= 0:
        return None
    if isinstance(expr, ast.UnaryOp) and isinstance(expr.op, ast.USub):
        return ("negated distances", True) if _is_distance(module, expr.operand) else None
    if isinstance(expr, ast.Name):
        bound = bindings(module, expr.id, module.enclosing_function(expr))
        found = None
        if len(bound) == 1 and isinstance(bound[0], ast.Assign):
            plain = isinstance(bound[0].targets[0], ast.Name)
            found = _what(module, bound[0].value, steps - 1) if plain else None
        # What is called logits has both signs, unless it was made something else and kept its name.
        is_logits = len(bound) < 2 and _LOGITS.search(expr.id) is not None
        is_made = bool(bound) and _is_squashed(getattr(bound[0], "value", None))
        return found or (("logits", False) if is_logits and not is_made else None)
    if not isinstance(expr, ast.Call):
        return None
    func = expr.func
    last = func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")
    if last in ("flatten", "view", "reshape", "squeeze", "detach", "cpu", "float") and isinstance(
        func, ast.Attribute
    ):
        return _what(module, func.value, steps - 1)
    if last in _LOGS:
        return "log-probabilities", True
    name = module.qualified(func) or ""
    if name in ("torch.cosine_similarity", "torch.nn.functional.cosine_similarity"):
        return "cosines", False
    if isinstance(func, ast.Attribute) and is_self(func.value):
        cls = module.enclosing_class(expr)
        held = attribute_value(cls, func.attr) if cls is not None else None
        if held is not None and isinstance(held[0], ast.Call):
            made = held[1].qualified(held[0].func) or ""
            if made in _LOG_CLASSES:
                return "log-probabilities", True
            if made == "torch.nn.CosineSimilarity":
                return "cosines", False
    return None


def _is_squashed(made: ast.expr | None) -> bool:
    """Tell whether an expression makes probabilities."""
    names = (
        getattr(node, "attr", getattr(node, "id", ""))
        for node in (subtree(made) if made is not None else ())
    )
    return any(name in ("sigmoid", "softmax", "exp", "relu", "Sigmoid") for name in names)


def _is_distance(module: Module, expr: ast.expr) -> bool:
    """Tell whether an expression is a distance, by what makes it or what it is called."""
    if isinstance(expr, ast.Call):
        func = expr.func
        last = func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")
        return last in _DISTANCES or _DISTANCE.search(last) is not None
    name = expr.attr if isinstance(expr, ast.Attribute) else getattr(expr, "id", "")
    return _DISTANCE.search(name) is not None
