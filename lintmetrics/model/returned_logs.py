"""Dicts under ``log`` and ``progress_bar`` that hooks return, which Lightning logged until 1.2."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from lintmetrics.edits import FunctionNode
from lintmetrics.model.epoch_hooks import STAGE_OF_HOOK, TRAINING, references, returns
from lintmetrics.model.step_outputs import assignments
from lintmetrics.project import ClassInfo, Module

KEYS = ("log", "progress_bar")


@dataclass(frozen=True)
class ReturnedLog:
    """A ``return`` of a hook whose dict has values that nobody logs."""

    cls: ClassInfo
    function: FunctionNode
    statement: ast.Return
    values: tuple[tuple[str, ast.expr], ...]

    @property
    def module(self) -> Module:
        """The file it stands in."""
        return self.cls.module

    @property
    def node(self) -> ast.AST:
        """The statement."""
        return self.statement

    @property
    def read_at(self) -> str | None:
        """Where another method reads the result of the hook, ``None`` when none does."""
        for reference in references(self.module.project, self.function.name):
            call = reference.call
            if reference.receiver == "other" or call is None or reference.cls is None:
                continue
            if self.cls not in (*reference.cls.mro(), *reference.cls.subclasses):
                continue
            if not isinstance(reference.module.parent(call), (ast.Expr, ast.Return)):
                return f"{reference.module.source.path}:{reference.line}"
        return None


def returned_logs(cls: ClassInfo) -> Iterator[ReturnedLog]:
    """Yield the returns of the hooks of a class that hold numbers to log."""
    for name in (TRAINING.step, *STAGE_OF_HOOK):
        function = cls.methods.get(name)
        if function is None or not cls.is_lightning:
            continue
        for statement in returns(function):
            value = statement.value
            if isinstance(value, ast.Name):
                found = assignments(function, value.id)
                value = found[0] if len(found) == 1 else None
            if not isinstance(value, ast.Dict):
                continue
            values = tuple(
                (str(key.value), item)
                for key, item in zip(value.keys, value.values, strict=True)
                if isinstance(key, ast.Constant) and key.value in KEYS
            )
            if values:
                yield ReturnedLog(cls, function, statement, values)
