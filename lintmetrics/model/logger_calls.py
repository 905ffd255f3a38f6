"""Calls of a module's or Trainer's one logger, in a project whose Trainers have several."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from lintmetrics.kept_answers import kept
from lintmetrics.model.batch_parts import local_value
from lintmetrics.model.lightning_objects import ROOT, gives, kind_of
from lintmetrics.project import Module, Project

_CALLS = re.compile(r"\.logger\s*\.\s*(?:log_metrics|log_hyperparams)\s*\(")
_LOGGERS = re.compile(r"\b(?:self|trainer|pl_module)\.loggers\b")
_TRAINER = re.compile(r"\bTrainer\(")
_METHODS = frozenset(("log_metrics", "log_hyperparams"))
_TESTS = re.compile(r"(?:tests?|conftest\.py|test_\w+\.py)$")


@dataclass(frozen=True)
class FirstLogger:
    """A call that the first of several loggers is given alone.

    Args:
        module: the file; ``node``: the call.
        owner: what has the loggers, as it is written.
    """

    module: Module = field(repr=False)
    node: ast.Call
    owner: str


def first_loggers(module: Module) -> Iterator[FirstLogger]:
    """Yield the calls of a file that reach the first logger alone."""
    if not _CALLS.search(module.source.code) or not _has_several(module.project):
        return
    for call in module.calls:
        func = call.func
        if not isinstance(func, ast.Attribute) or func.attr not in _METHODS:
            continue
        logger = func.value
        if not isinstance(logger, ast.Attribute) or logger.attr != "logger":
            continue
        kind = kind_of(module, logger.value)
        if not kind.names & {"LightningModule", "Trainer"}:
            continue
        if kind.cls is not None and gives(kind.cls, "logger"):
            continue
        if func.attr == "log_hyperparams" and len(call.args) + len(call.keywords) > 1:
            continue  # Only the logger of TensorBoard takes more than the parameters.
        if _LOGGERS.search(module.source.code) or _asks_which(module, call):
            continue
        yield FirstLogger(module, call, module.source.segment(logger.value))


def _asks_which(module: Module, call: ast.Call) -> bool:
    """Tell whether the code looks at which logger it has."""
    for above in module.ancestors(call):
        if isinstance(above, (ast.FunctionDef, ast.AsyncFunctionDef)):
            return re.search(r"isinstance\([^()]*logger", ast.unparse(above)) is not None
    return False


@kept
def _has_several(project: Project) -> bool:
    """Tell whether every Trainer of a project has several loggers."""
    found: list[bool] = []
    for module in project.mentioning(_TRAINER):
        if any(_TESTS.match(part) for part in Path(module.path).parts[-3:]):
            continue
        for call in module.calls:
            name = module.qualified(call.func) or ""
            if ROOT.match(name) and name.rpartition(".")[2] == "Trainer":
                given = next((k.value for k in call.keywords if k.arg == "logger"), None)
                value = local_value(module, given) if isinstance(given, ast.Name) else given
                several = isinstance(value, (ast.List, ast.Tuple)) and len(value.elts) > 1
                found.append(several)
    return bool(found) and all(found)
