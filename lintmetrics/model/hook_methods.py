"""A method that a class gives under the name of a hook: where it stands, and what it is called."""

from __future__ import annotations

from dataclasses import dataclass

from lintmetrics.edits import FunctionNode
from lintmetrics.project import ClassInfo, Module


@dataclass(frozen=True)
class HookMethod:
    """A hook as one class gives it.

    Args:
        cls: the class; ``function``: the hook.
    """

    cls: ClassInfo
    function: FunctionNode

    @property
    def module(self) -> Module:
        """The file it stands in."""
        return self.cls.module

    @property
    def node(self) -> FunctionNode:
        """Its ``def``."""
        return self.function

    @property
    def name(self) -> str:
        """What it is called."""
        return self.function.name

    @property
    def spelled(self) -> str:
        """How a message names it."""
        return f"{self.cls.node.name}.{self.name}"

    @property
    def where(self) -> str:
        """How a message says where it stands."""
        return f"{self.module.source.path}:{self.function.lineno}"
