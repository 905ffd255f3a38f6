"""Steps that serve several dataloaders: how they are told which, and how many there are."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lintmetrics.edits import FunctionNode, default_of
from lintmetrics.model import hooks, loaders
from lintmetrics.tree import subtree

if TYPE_CHECKING:
    from lintmetrics.project import ClassInfo, Module

_BRANCHES = (ast.If, ast.IfExp, ast.While, ast.Match, ast.Assert)


@dataclass(frozen=True)
class ToldStep:
    """A step with a parameter that tells it the dataloader.

    Args:
        step: the hook; ``function``: the method that is it; ``parameter``: the parameter's name.
        count: how many dataloaders there are; 0 where that is not written down.
    """

    step: str
    function: FunctionNode
    parameter: str
    count: int


def told(cls: ClassInfo, step: str, nodes: Sequence[tuple[Module, ast.AST]]) -> ToldStep | None:
    """Return how a step is told its dataloader, where it does the same for each.

    Lightning 2 refuses the parameter without a default when there is one dataloader only; one with
    a default counts when the step reads it, or where several dataloaders are shown.

    Args:
        cls: the class; ``step``: its hook.
        nodes: the calls that are asked about, with the files that hold them.
    """
    info = cls.lookup(step)
    if info is None:
        return None
    function = info.node
    parameters = [*function.args.args, *function.args.kwonlyargs]
    named = [a.arg for a in parameters if a.arg.startswith("dataloader_i")]
    if len(named) != 1:
        return None
    name = named[0]
    reads = _reads(function, name)
    count = loaders.how_many(cls, hooks.stage_of(step))
    several = loaders.are_several(cls, hooks.stage_of(step))
    if default_of(function, name) is not None and not reads and not several:
        return None
    if _decides(function, name):
        return None
    for module, node in nodes:
        holder = module.enclosing_function(node)
        if any(isinstance(n, ast.Name) and n.id == name for n in subtree(_receiver(node))):
            return None
        if holder is function:
            continue
        # A helper that is told as well may do another thing for each dataloader.
        if holder is None or any(_is_handed_on(info.module, read) for read in reads):
            return None
    return ToldStep(step, function, name, count)


def _receiver(node: ast.AST) -> ast.AST:
    """Return what a call is made on, or what a log call is given."""
    if isinstance(node, ast.Call):
        func = node.func
        if isinstance(func, ast.Attribute) and func.attr in ("log", "log_dict"):
            given = [*node.args[1:2], *(k.value for k in node.keywords if k.arg == "value")]
            return given[0] if given else node
        return func
    return node


def _reads(function: FunctionNode, name: str) -> list[ast.Name]:
    return [n for n in subtree(function) if isinstance(n, ast.Name) and n.id == name]


def _decides(function: FunctionNode, name: str) -> bool:
    """Tell whether a method does something else for one dataloader than for another."""
    for node in subtree(function):
        if isinstance(node, _BRANCHES):
            asked = node.subject if isinstance(node, ast.Match) else node.test
            if any(isinstance(n, ast.Name) and n.id == name for n in subtree(asked)):
                return True
    return False


def _is_handed_on(module: Module, read: ast.Name) -> bool:
    above = module.parent(read)
    if isinstance(above, ast.keyword):
        above = module.parent(above)
    if not isinstance(above, ast.Call):
        return False
    func = above.func
    return isinstance(func, ast.Attribute) and getattr(func.value, "id", "") in ("self", "super")
