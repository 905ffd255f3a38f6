"""Which of the values that a name is given in a function may still stand at a later place."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from lintmetrics.project import Module
from lintmetrics.tree import own_nodes, parameter_names, subtree


def reaching_values(module: Module, name: ast.Name) -> Iterator[ast.expr]:
    """Yield the values that a local name may have where it is read.

    Only of a name that nothing but plain assignments bind, and that no condition asks for; none
    where that is not so.
    """
    function = module.enclosing_function(name)
    if function is not None:
        if name.id not in module.scope_of(function) or name.id in parameter_names(function):
            return
        nodes = list(own_nodes(function))
        body = function.body
    else:
        nodes = [n for n in subtree(module.tree) if module.enclosing_function(n) is None]
        body = module.tree.body
    statements: list[ast.Assign | ast.AnnAssign] = []
    for node in nodes:
        if isinstance(node, ast.Name) and node.id == name.id and not isinstance(node.ctx, ast.Load):
            statement = module.parent(node)
            plain = isinstance(statement, (ast.Assign, ast.AnnAssign))
            if not plain or not isinstance(node.ctx, ast.Store):
                return
            assert isinstance(statement, (ast.Assign, ast.AnnAssign))
            statements.append(statement)
        elif isinstance(node, (ast.Global, ast.Nonlocal)) and name.id in node.names:
            return
    if any(_asks(node, name.id) for node in nodes):
        return
    place = {id(one) for one in (name, *module.ancestors(name))}
    for statement in statements:
        before = statement.value is not None and statement.lineno < name.lineno
        if before and _reaches(module, statement, place, name.id, body):
            assert statement.value is not None
            yield statement.value


def _asks(node: ast.AST, name: str) -> bool:
    """Tell whether code looks at what a name has."""
    asked: ast.AST
    if isinstance(node, (ast.If, ast.IfExp, ast.While, ast.Assert)):
        asked = node.test
    elif isinstance(node, (ast.BoolOp, ast.Compare, ast.Match)):
        asked = node
    else:
        return False
    return any(isinstance(inner, ast.Name) and inner.id == name for inner in subtree(asked))


def _reaches(
    module: Module, statement: ast.stmt, place: set[int], name: str, body: Sequence[ast.stmt]
) -> bool:
    """Tell whether nothing that surely runs between a statement and a place binds the name."""
    below: ast.AST = statement
    while True:
        block = _block_of(module, below, body)
        if block is None:
            return False
        for later in block[next(i for i, one in enumerate(block) if one is below) + 1 :]:
            if id(later) in place:
                # In that statement, what stands before the place.
                return not _binds_before(later, place, name)
            if _always_binds([later], name) or _leaves(later):
                return False
        parent = module.parent(below)
        if parent is None or not isinstance(parent, (ast.If, ast.With, ast.For, ast.Try)):
            return False
        if id(parent) in place:
            return False  # Another branch than that of the place.
        below = parent


def _binds_before(statement: ast.stmt, place: set[int], name: str) -> bool:
    """Tell whether a name is surely bound in a statement, before a place within it."""
    for block in _blocks(statement):
        index = next((i for i, one in enumerate(block) if id(one) in place), None)
        if index is not None:
            before = block[:index]
            return _always_binds(before, name) or _binds_before(block[index], place, name)
    return False


def _blocks(statement: ast.AST) -> Iterator[list[ast.stmt]]:
    for field in ("body", "orelse", "finalbody"):
        block = getattr(statement, field, None)
        if isinstance(block, list) and block and isinstance(block[0], ast.stmt):
            yield block
    for handler in getattr(statement, "handlers", ()):
        yield handler.body


def _block_of(module: Module, node: ast.AST, body: Sequence[ast.stmt]) -> Sequence[ast.stmt] | None:
    if any(one is node for one in body):
        return body
    parent = module.parent(node)
    if parent is None:
        return None
    return next((b for b in _blocks(parent) if any(one is node for one in b)), None)


def _always_binds(statements: Sequence[ast.stmt], name: str) -> bool:
    for one in statements:
        if isinstance(one, (ast.Assign, ast.AnnAssign)):
            targets = one.targets if isinstance(one, ast.Assign) else [one.target]
            if any(isinstance(target, ast.Name) and target.id == name for target in targets):
                return True
        elif isinstance(one, ast.If):
            if _ends_there(one.body, name) and _ends_there(one.orelse, name):
                return True
        elif isinstance(one, (ast.With, ast.Try)) and _always_binds(one.body, name):
            return True
    return False


def _ends_there(block: Sequence[ast.stmt], name: str) -> bool:
    return bool(block) and (_always_binds(block, name) or _leaves(block[-1]))


def _leaves(statement: ast.stmt) -> bool:
    return isinstance(statement, (ast.Return, ast.Raise, ast.Continue, ast.Break))
