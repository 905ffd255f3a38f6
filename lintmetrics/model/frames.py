"""Functions being run on abstract values: their names, and the ways in which a run ends."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass, field

from lintmetrics.edits import FunctionNode
from lintmetrics.model.values import Value
from lintmetrics.project import ClassInfo, Module


class Returned(Exception):
    """A function was left: it returned or raised."""


class OutOfBudget(Exception):
    """More expressions were looked at than a hook, or a class, is worth."""


@dataclass(frozen=True)
class Condition:
    """A condition that was not decided, around what is being run.

    Args:
        node: the condition; ``module``: the file that holds it.
        asks_data: whether it asks what is in the batch.
    """

    node: ast.expr
    module: Module = field(repr=False)
    asks_data: bool


class Names(dict[str, Value]):
    """Names with their values, and which of them were set or deleted since this copy was made.

    Branches are joined by what they touched, so that a long function costs no more per line.
    """

    __slots__ = ("touched",)

    def __init__(self, names: Iterable[tuple[str, Value]] | dict[str, Value] = ()) -> None:
        super().__init__(names)
        self.touched: dict[str, None] = {}

    def __setitem__(self, name: str, value: Value) -> None:
        self.touched[name] = None
        super().__setitem__(name, value)

    def forget(self, name: str) -> None:
        """Delete a name."""
        self.touched[name] = None
        super().pop(name, None)


@dataclass
class Frame:
    """One function being run: its names, and where its ``super()`` starts.

    ``left`` says that it may have been left already, under a condition that was not decided.
    """

    module: Module
    function: FunctionNode | None
    owner: ClassInfo | None
    names: Names
    returned: list[Value] = field(default_factory=list)
    returns: list[ast.Return] = field(default_factory=list)
    conditions: int = 0
    left: bool = False
