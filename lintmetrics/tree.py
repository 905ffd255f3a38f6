"""The nodes of a parsed file in source order, so that a walk over a part of it is a slice.

Rules and codemods look at the same trees again and again; walking them anew with ``ast.walk`` cost
more than all else. ``index_tree`` gives each node its place once, ``subtree`` reads it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

_LEAF_FIELDS = frozenset(
    {
        *("ctx", "op", "ops", "id", "attr", "arg", "kind", "level", "module", "simple", "rest"),
        *("conversion", "type_comment", "is_async", "asname", "type_ignores", "kwd_attrs"),
    }
)
_NODE_FIELDS: dict[type[ast.AST], tuple[str, ...]] = {}
_NESTED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


def index_tree(tree: ast.AST) -> list[ast.AST]:
    """Give every node its parent and place; return all nodes in source order.

    Operators and the contexts of names are no nodes here: ``ast`` shares one object between all.
    """
    fields = _NODE_FIELDS
    order: list[ast.AST] = []
    stack: list[ast.AST] = [tree]
    while stack:
        node = stack.pop()
        kind = type(node)
        names = fields.get(kind)
        if names is None:
            names = fields[kind] = tuple(n for n in kind._fields if n not in _LEAF_FIELDS)
        held = node.__dict__
        held["lm_index"] = len(order)
        held["lm_order"] = order
        order.append(node)
        first = len(stack)
        for name in names:
            value = held.get(name)
            if value.__class__ is list:
                for child in value:
                    if isinstance(child, ast.AST):
                        child.__dict__["lm_parent"] = node
                        stack.append(child)
            elif isinstance(value, ast.AST):
                value.__dict__["lm_parent"] = node
                stack.append(value)
        if len(stack) - first > 1:
            stack[first:] = stack[: first - 1 if first else None : -1]
    sizes = [1] * len(order)
    for index in range(len(order) - 1, 0, -1):
        held = order[index].__dict__
        held["lm_size"] = sizes[index]
        sizes[held["lm_parent"].__dict__["lm_index"]] += sizes[index]
    tree.__dict__["lm_size"] = sizes[0]
    return order


def subtree(node: ast.AST) -> Sequence[ast.AST]:
    """Return a node and all below it, in source order."""
    held = node.__dict__
    order = held.get("lm_order")
    if order is None:
        return list(ast.walk(node))  # A node that a codemod made.
    index: int = held["lm_index"]
    found: list[ast.AST] = order[index : index + held["lm_size"]]
    return found


def own_nodes(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[ast.AST]:
    """Yield the nodes of a body, without those inside functions and classes nested in it."""
    for statement in function.body:
        nodes = subtree(statement)
        index = 0
        while index < len(nodes):
            node = nodes[index]
            yield node
            index += node.__dict__.get("lm_size", 1) if isinstance(node, _NESTED) else 1


def parameter_names(function: ast.FunctionDef | ast.AsyncFunctionDef) -> set[str]:
    """Return the names of everything that a function is given, ``self`` among them."""
    given = function.args
    every = (*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg)
    return {argument.arg for argument in every if argument is not None}


def root_name(node: ast.AST) -> str:
    """Return the name that a path such as ``self.a[0].b`` begins with; empty for no name."""
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def is_none(node: ast.AST | None) -> bool:
    """Tell whether an expression is ``None`` as it is written."""
    return isinstance(node, ast.Constant) and node.value is None
