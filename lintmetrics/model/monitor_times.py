"""Keys of validation that are asked for before a validation has run."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from lintmetrics.kept_answers import kept
from lintmetrics.model.monitors import Monitor, is_of_validation, monitors
from lintmetrics.model.optimizers import is_automatic
from lintmetrics.model.put_style import trainers
from lintmetrics.model.trainer_arguments import value_of
from lintmetrics.model.trainer_calls import trainer_calls
from lintmetrics.project import ClassInfo, Module, Project

_EVERY = "check_val_every_n_epoch"
_TESTS = re.compile(r"(?:tests?|conftest\.py|test_\w+\.py)$")
_TRAINER = re.compile(r"\bTrainer\b")


@dataclass(frozen=True)
class EarlyMonitor:
    """A watched key that is not there when it is asked for.

    Args:
        module: the file; ``node``: where the key is written; ``monitor``: what watches it.
        message: what asks when; ``help``: what to write.
    """

    module: Module = field(repr=False)
    node: ast.expr
    monitor: Monitor
    message: str
    help: str


def early_monitors(module: Module) -> Iterator[EarlyMonitor]:
    """Yield the keys of validation in a file that are asked for before there are any."""
    for monitor in monitors(module):
        if monitor.kind == "ReduceLROnPlateau":
            yield from _of_plateau(module, monitor)
        elif monitor.kind == "EarlyStopping":
            yield from _of_stopping(module, monitor)


def _of_plateau(module: Module, monitor: Monitor) -> Iterator[EarlyMonitor]:
    cls = module.enclosing_class(monitor.node)
    config = _config(module, monitor)
    if cls is None or config is None or not is_automatic(cls):
        return
    frequency, strict = config.get("frequency", 1), config.get("strict", True)
    interval = config.get("interval", "epoch")
    if strict is not True or not isinstance(frequency, int):
        return
    key = monitor.key
    if interval == "step" and frequency == 1 and is_of_validation(monitor):
        yield EarlyMonitor(
            module,
            monitor.key_node,
            monitor,
            f'ReduceLROnPlateau asks for "{key}" of validation after each step, the first too: '
            "MisconfigurationException",
            'say "interval": "epoch"',
        )
    every = _every(cls) if interval == "epoch" else 1
    if frequency < every and is_of_validation(monitor):
        when = "each epoch" if frequency == 1 else f"{frequency} epochs"
        yield EarlyMonitor(
            module,
            monitor.key_node,
            monitor,
            f'ReduceLROnPlateau asks for "{key}" after {when}, and the Trainer validates every '
            f"{every}: MisconfigurationException",
            f'say "frequency": {every} in the dict of the scheduler',
        )


def _of_stopping(module: Module, monitor: Monitor) -> Iterator[EarlyMonitor]:
    call = monitor.call
    if call is None or any(keyword.arg is None for keyword in call.keywords):
        return
    if value_of(module, monitor.argument("check_on_train_epoch_end")) is not True:
        return
    if value_of(module, monitor.argument("strict")) not in (None, True) or len(call.args) > 1:
        return
    every = _least(tuple(_everywhere(module.project)))
    if every > 1 and is_of_validation(monitor):
        yield EarlyMonitor(
            module,
            monitor.key_node,
            monitor,
            f'EarlyStopping asks for "{monitor.key}" after each epoch, and the Trainer validates '
            f"every {every}: RuntimeError",
            "leave check_on_train_epoch_end out",
        )


def _config(module: Module, monitor: Monitor) -> dict[str, object] | None:
    """Return what the dict of a scheduler says; ``None`` where that is not all to be seen."""
    node = monitor.node
    if not isinstance(node, ast.Dict):
        return None
    entries: dict[str, object] = {}
    for key, value in zip(node.keys, node.values, strict=True):
        if not isinstance(key, ast.Constant):
            return None
        entries[str(key.value)] = value_of(module, value)
    if "lr_scheduler" in entries:
        return {}  # The dict of the optimizer, with the scheduler as it is.
    if isinstance(module.parent(node), ast.Assign):
        return None  # It may be added to.
    return entries


# How often a Trainer validates -------------------------------------------------------------------


def _every(cls: ClassInfo) -> int:
    """Return after how many epochs each Trainer that may fit a module validates first; 1 if any."""
    family = (cls, *cls.subclasses)
    runs = [run for run in trainer_calls(cls.module.project) if run.kind == "fit"]
    tied = [run for run in runs if run.cls in family]
    if tied:
        return _least(tuple(_said(run.module, run.trainer) for run in tied))
    return _least(tuple(_everywhere(cls.module.project)))


def _least(counts: tuple[int, ...]) -> int:
    return min(counts, default=1)


@kept
def _everywhere(project: Project) -> list[int]:
    """Return what the Trainers of a project say, those of its tests left out."""
    return [
        _said(module, site.node)
        for module in project.mentioning(_TRAINER, "Trainer")
        if not any(_TESTS.match(part) for part in Path(module.path).parts[-3:])
        for site in trainers(module)
    ]


def _said(module: Module, trainer: ast.Call | None) -> int:
    """Return after how many epochs a Trainer validates; 1 where that is not known."""
    if trainer is None:
        return 1
    given = {keyword.arg: keyword.value for keyword in trainer.keywords}
    if value_of(module, given.get("fast_dev_run")) not in (None, False, 0):
        return 1
    every = value_of(module, given.get(_EVERY))
    return every if isinstance(every, int) else 1
