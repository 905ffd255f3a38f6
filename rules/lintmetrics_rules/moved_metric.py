"""LM301: a metric is imported or read from where 1.9 has it no longer."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from lintmetrics.model.metric_api import read
from lintmetrics.model.metric_migration import migrate
from lintmetrics.model.metric_references import handed_on_at
from lintmetrics.model.moved_names import (
    MovedImport,
    MovedRead,
    Successor,
    moved_imports,
    moved_reads,
)
from lintmetrics.model.torchmetrics_versions import release
from lintmetrics.project import Module
from lintmetrics.rule import Consequence, Finding, Rule


class MovedMetric(Rule):
    """Metric names that moved, were renamed or are gone.

    ``pytorch_lightning.metrics`` is gone since Lightning 1.5, TorchMetrics renamed a good part of
    its classes and functions in 0.7 and 0.8, and its package root keeps audio, image, text,
    detection and retrieval metrics only as shims until 2.0. An import of a name that is gone stops
    the whole file.
    """

    code = "LM301"
    consequence = Consequence.CRASH
    source = "introspected: pytorch-lightning 1.0.8 to 1.2.10, torchmetrics 0.2.0 to 1.9.0"
    bad = """
    from pytorch_lightning.metrics import MeanSquaredError

    mse = MeanSquaredError()
    """
    good = """
    from torchmetrics import MeanSquaredError

    mse = MeanSquaredError()
    """

    def check(self, module: Module) -> Iterator[Finding]:
        """Find imports and attribute chains that name something moved."""
        for unit in moved_imports(module):
            yield _of_import(module, unit)
        for chain in moved_reads(module):
            yield _of_read(module, chain)


def _of_import(module: Module, unit: MovedImport) -> Finding:
    moved = [successor for _, successor in unit.names]
    return Finding(
        unit,
        _message(moved, module),
        help=_help(moved),
        consequence=_consequence(moved),
        detail=unit,
    )


def _of_read(module: Module, unit: MovedRead) -> Finding:
    moved = unit.read.successor
    message, hint, consequence = _message([moved], module), _help([moved]), _consequence([moved])
    parent = module.parent(unit.node)
    if isinstance(parent, ast.Call) and parent.func is unit.node:
        call = read(module, parent, moved.old)
        if call is not None and call.lacks_task:
            migration = migrate(call)
            message += f", and {call.current} requires task"
            if migration.blocked:
                hint = migration.blocked
            elif migration.target:
                hint = f"use {migration.target}"
            elif migration.task:
                hint += f' with task="{migration.task}"'
    handed = handed_on_at(module, unit.node)
    if handed is not None and handed.lacks_task:
        message += f", and {handed.target.rsplit('.', 1)[1]} requires task"
    return Finding(unit, message, help=hint, consequence=consequence, detail=unit)


def _consequence(moved: list[Successor]) -> Consequence:
    if all(item.status == "deprecated" for item in moved):
        return Consequence.STALE
    return Consequence.CRASH


def _message(moved: list[Successor], module: Module) -> str:
    gone = [item for item in moved if item.status != "deprecated"]
    names = ", ".join(item.old for item in (gone or moved))
    if not gone:
        plural = "are only shims" if len(moved) > 1 else "is only a shim"
        return f"{names} {plural} in {release(module)} and gone in 2.0"
    where = (
        "current Lightning"
        if all(item.old.startswith("pytorch_lightning") for item in gone)
        else release(module)
    )
    return f"{names} {'are' if len(gone) > 1 else 'is'} gone from {where}"


def _help(moved: list[Successor]) -> str:
    targets = list(dict.fromkeys(item.new for item in moved if item.new))
    if not targets:
        remark = next((item.remark for item in moved if item.remark), "")
        return remark or "nothing takes its place"
    return f"use {', '.join(targets)}"
