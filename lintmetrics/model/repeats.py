"""What a step may work out a second time, and still do what it did."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from lintmetrics.tree import subtree

if TYPE_CHECKING:
    from lintmetrics.project import Module

# Methods and functions that answer something else when they are called again, or run a network.
_NEVER = re.compile(r"rand|dropout|bernoulli|multinomial|sample|forward$|^pop$|^next$")
_BUILTINS = frozenset(("len", "int", "float", "bool", "range", "list", "tuple", "abs", "zip"))


def unrepeatable(module: Module, node: ast.expr) -> ast.Call | None:
    """Return the call in an expression that must not be made twice; ``None`` if there is none.

    A second pass through a network costs as much as the first, draws other dropout masks, moves
    batch statistics, and sees other weights once an optimizer has stepped. Operations on tensors
    can be repeated.
    """
    for inner in subtree(node):
        if not isinstance(inner, ast.Call):
            continue
        func = inner.func
        resolved = module.qualified(func)
        root: ast.expr = func
        while isinstance(root, (ast.Attribute, ast.Subscript, ast.Call)):
            root = root.func if isinstance(root, ast.Call) else root.value
        if isinstance(root, ast.Name) and root.id == "self":
            return inner
        if resolved is not None:
            harmless = resolved.startswith(("torch.", "numpy."))
        else:
            harmless = isinstance(func, ast.Attribute) or (
                isinstance(func, ast.Name) and func.id in _BUILTINS
            )
        name = func.attr if isinstance(func, ast.Attribute) else ast.unparse(func)
        if not harmless or _NEVER.search(name):
            return inner
    return None
