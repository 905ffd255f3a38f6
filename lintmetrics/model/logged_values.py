"""How a logged value is written: from the call that makes it to the log call that takes it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lintmetrics.edits import CannotEdit, FunctionNode
from lintmetrics.model import hooks
from lintmetrics.model.flow import LightningClass, LogCall, LogContext
from lintmetrics.model.tensors import bindings

if TYPE_CHECKING:
    from lintmetrics.project import ClassInfo, Module

# What changes nothing about one number on its way to the log call.
_PLAIN_METHODS = frozenset(("item", "detach", "cpu", "float", "double", "to", "clone", "squeeze"))
_PLAIN_CALLS = re.compile(
    r"builtins\.float|torch\.(?:tensor|as_tensor|squeeze)|numpy\.(?:float\w*|squeeze)$"
)
_COMPOUND = (
    ast.If,
    ast.For,
    ast.AsyncFor,
    ast.While,
    ast.Try,
    ast.ExceptHandler,
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.Lambda,
    ast.Match,
    ast.match_case,
    ast.IfExp,
    ast.BoolOp,
    ast.ListComp,
    ast.DictComp,
    ast.SetComp,
    ast.GeneratorExp,
)
_ONE_OF = {
    "log": ("batch_size", "sync_dist", "sync_dist_group", "reduce_fx"),
    "log_dict": (),
}


@dataclass(frozen=True)
class LoggedValue:
    """The way of one value through one function.

    Args:
        call: the log call.
        made: the expression that makes the value; ``statement``: the statement around it.
        logged: the statement that is the log call.
        written: the expression in the log call, or in the dict it takes, that stands for it.
        key: the expression of its key.
        local: the name it has in between; empty when it is written in place.
        is_used: whether that name is read by more than the log call.
    """

    call: LogCall
    made: ast.expr
    statement: ast.stmt
    logged: ast.stmt
    written: ast.expr
    key: ast.expr | None
    local: str
    is_used: bool

    @property
    def module(self) -> Module:
        """The file that holds the log call."""
        return self.call.module

    @property
    def in_loop(self) -> ast.stmt | None:
        """The loop around the log call, inside its function."""
        for above in self.module.ancestors(self.logged):
            if isinstance(above, (ast.FunctionDef, ast.AsyncFunctionDef)):
                return None
            if isinstance(above, (ast.For, ast.AsyncFor, ast.While)):
                return above
        return None

    @property
    def owner(self) -> ClassInfo:
        """The class whose method holds the log call.

        Raises:
            CannotEdit: it is no LightningModule, so that an object has nowhere to live.
        """
        owner = self.module.enclosing_class(self.call.node)
        if owner is None or not (owner.is_kind("LightningModule") or owner.is_lightning):
            raise CannotEdit(
                f"the log call at line {self.call.node.lineno} stands in no LightningModule"
            )
        return owner

    def contexts(self) -> list[LogContext]:
        """Return every way that leads to the log call, in the class that holds it and below."""
        found: list[LogContext] = []
        for cls in (self.owner, *self.owner.subclasses):
            for call in LightningClass.of(cls).log_calls:
                if call.node is self.call.node and (
                    call.entry == self.call.entry or self._is_entry(call)
                ):
                    found += [c for c in call.contexts if c not in found]
        return found

    def _is_entry(self, call: LogCall) -> bool:
        # Entries of a dict with computed keys differ by key only.
        return call.is_dict and any(
            origin.node is self.made
            for context in call.contexts
            for origin in getattr(context.value, "origins", ())
        )

    def uses_step(self, contexts: list[LogContext]) -> bool:
        """Tell whether the value is also logged at every step (or may be)."""
        return any(context.on_step is not False for context in contexts)

    def redundant_arguments(self) -> list[ast.keyword]:
        """Return the arguments of the log call that say nothing about a Metric object."""
        names = () if self.call.is_dict else _ONE_OF["log"]
        return [k for k in self.call.node.keywords if k.arg in names]


def trace(call: LogCall, made: ast.expr) -> LoggedValue:
    """Return how the value that ``made`` makes gets to a log call.

    Raises:
        CannotEdit: it takes a way on which an object cannot follow it; says which.
    """
    module = call.module
    function = call.function
    if function is None or module.enclosing_function(made) is not function:
        where = getattr(made, "lineno", 0)
        raise CannotEdit(
            f"the value is made at line {where} in another function than the log call at line "
            f"{call.node.lineno}; log it where it is made, or return its inputs"
        )
    logged = module.parent(call.node)
    if not isinstance(logged, ast.Expr):
        raise CannotEdit(f"the log call at line {call.node.lineno} is part of an expression")
    if any(k.arg == "rank_zero_only" for k in call.node.keywords):
        raise CannotEdit(
            f"rank_zero_only at line {call.node.lineno}: an object is computed on all ranks"
        )
    written, key = _written(call, function, made)
    statement: ast.stmt = logged if _contains(logged, made) else module.statement(made)
    inner = _peeled(module, written)
    local, used = "", False
    if inner is not made:
        if not isinstance(inner, ast.Name):
            raise CannotEdit(
                f"the value goes through {_short(module, written)} at line {written.lineno}; "
                "an object is logged as it is"
            )
        local = inner.id
        bound = bindings(module, local, function)
        if len(bound) != 1:
            lines = ", ".join(str(b.lineno) for b in bound) or "another place"
            raise CannotEdit(f"{local} is given more than one value (lines {lines})")
        statement = bound[0]
        value = _assigned(statement)
        if value is None or _peeled(module, value) is not made:
            raise CannotEdit(
                f"{local} is made of more than one call at line {statement.lineno}; "
                "give the metric a line of its own"
            )
        reads = [
            node
            for node in ast.walk(function)
            if isinstance(node, ast.Name) and node.id == local and isinstance(node.ctx, ast.Load)
        ]
        used = any(not _contains(written, node) for node in reads)
    if _conditions(module, statement) != _conditions(module, logged):
        raise CannotEdit(
            f"the value is made at line {statement.lineno} and logged at line {logged.lineno} "
            "under another condition"
        )
    between = _conditions_of_expression(module, made, statement)
    if between is not None:
        raise CannotEdit(f"the value at line {made.lineno} is made under a condition")
    return LoggedValue(call, made, statement, logged, written, key, local, used)


def _written(
    call: LogCall, function: FunctionNode, made: ast.expr
) -> tuple[ast.expr, ast.expr | None]:
    """Return the expression that stands for the value where it is logged, and its key."""
    module = call.module
    if call.value_node is not None and not call.is_dict:
        return call.value_node, call.key_node
    dictionary: ast.expr | None = call.node.args[0] if call.node.args else None
    if dictionary is None:
        dictionary = call.argument("dictionary")
    if isinstance(dictionary, ast.Name):
        bound = bindings(module, dictionary.id, function)
        value = _assigned(bound[0]) if len(bound) == 1 else None
        if value is not None and _peeled(module, value) is made:
            return dictionary, None  # The answer of a collection.
        uses = [
            n
            for n in ast.walk(function)
            if isinstance(n, ast.Name) and n.id == dictionary.id and n is not dictionary
        ]
        others = [n for n in uses if isinstance(n.ctx, ast.Load)]
        if others or len(bound) != 1 or value is None:
            line = max([n.lineno for n in others] + [b.lineno for b in bound] or [call.node.lineno])
            raise CannotEdit(f"the dict {dictionary.id} is used again at line {line}")
        if _conditions(module, bound[0]) != _conditions(module, module.statement(call.node)):
            raise CannotEdit(f"the dict {dictionary.id} is made under another condition")
        dictionary = value
    if isinstance(dictionary, ast.Dict):
        for key, item in zip(dictionary.keys, dictionary.values, strict=True):
            if key is None:
                continue
            inner = _peeled(module, item)
            if inner is made or _contains(item, made):
                return item, key
            if isinstance(inner, ast.Name):
                bound = bindings(module, inner.id, function)
                if any(_contains(b, made) for b in bound):
                    return item, key
    elif dictionary is not None and _peeled(module, dictionary) is made:
        return dictionary, None
    raise CannotEdit(
        f"the dict logged at line {call.node.lineno} is put together elsewhere; write the metric "
        "into it by name, or log it on its own"
    )


def _assigned(statement: ast.stmt) -> ast.expr | None:
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        return statement.value if isinstance(statement.targets[0], ast.Name) else None
    if isinstance(statement, ast.AnnAssign):
        return statement.value
    return None


def _peeled(module: Module, node: ast.expr) -> ast.expr:
    """Return an expression without what changes nothing about a number."""
    while isinstance(node, ast.Call):
        func = node.func
        if isinstance(func, ast.Attribute) and func.attr in _PLAIN_METHODS:
            name = module.qualified(func) if isinstance(func.value, ast.Name) else None
            if name is None or not _PLAIN_CALLS.match(name):
                if node.args and func.attr != "to":
                    break
                node = func.value
                continue
        name = module.qualified(func)
        if name is None and isinstance(func, ast.Name):
            name = f"builtins.{func.id}"
        if name is None or not _PLAIN_CALLS.match(name) or not node.args:
            break
        node = node.args[0]
    return node


def _contains(node: ast.AST, wanted: ast.AST) -> bool:
    return any(inner is wanted for inner in ast.walk(node))


def _conditions(module: Module, statement: ast.AST) -> list[tuple[int, str]]:
    """Return the branches and loops that a statement stands in, inside its function."""
    found: list[tuple[int, str]] = []
    below: ast.AST = statement
    for above in module.ancestors(statement):
        if isinstance(above, (ast.FunctionDef, ast.AsyncFunctionDef)):
            break
        if isinstance(above, _COMPOUND):
            branch = next(
                (
                    field
                    for field in ("body", "orelse", "finalbody", "handlers", "cases")
                    if isinstance(getattr(above, field, None), list)
                    and below in getattr(above, field)
                ),
                "",
            )
            found.append((id(above), branch))
        below = above
    return found


def _conditions_of_expression(module: Module, node: ast.AST, statement: ast.stmt) -> ast.AST | None:
    for above in module.ancestors(node):
        if above is statement:
            return None
        if isinstance(above, _COMPOUND):
            return above
    return None


def _short(module: Module, node: ast.AST) -> str:
    text = " ".join(module.source.segment(node).split())
    return text if len(text) <= 60 else text[:57] + "..."


def loops_over_loaders(contexts: list[LogContext], owner: ClassInfo) -> str:
    """Return the name of a step that is told its dataloader; empty when none is."""
    for cls in (owner, *owner.subclasses):
        for name in sorted({context.hook for context in contexts}):
            info = cls.lookup(name)
            if info is None or not hooks.is_batch_hook(name):
                continue
            arguments = info.node.args
            named = [a.arg for a in (*arguments.args, *arguments.kwonlyargs)]
            if any(argument.startswith("dataloader_i") for argument in named):
                return name
    return ""


def lines_of(module: Module, node: ast.AST) -> list[str]:
    """Return the text of an expression as lines without the indentation of its statement."""
    source = module.source
    indent = source.indent_of(source.start(module.statement(node)))
    first, *rest = source.segment(node).splitlines()
    return [first, *(line[len(indent) :] if line.startswith(indent) else line for line in rest)]


def family_uses(owner: ClassInfo, path: str) -> Iterator[tuple[str, str, ast.Call]]:
    """Yield ``(hook, operation, call)`` for each use of an object, in a class and below it."""
    seen: set[tuple[str, int]] = set()
    for cls in (owner, *owner.subclasses):
        for use in LightningClass.of(cls).uses:
            if use.metric.path == path and (use.hook, id(use.node)) not in seen:
                seen.add((use.hook, id(use.node)))
                yield use.hook, use.operation, use.node
