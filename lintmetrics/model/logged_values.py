"""How a logged value is written: from the call that makes it to the log call that takes it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from lintmetrics.edits import CannotEdit, FunctionNode, default_of
from lintmetrics.model import hooks
from lintmetrics.model.flow import LightningClass
from lintmetrics.model.log_calls import LogCall, LogContext
from lintmetrics.model.tensors import bindings
from lintmetrics.model.values import numbers
from lintmetrics.tree import root_name, subtree

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
# What a test is made of that asks arguments and nothing else.
_OF_CHOICES = (
    ast.Constant,
    ast.Compare,
    ast.BoolOp,
    ast.UnaryOp,
    ast.cmpop,
    ast.boolop,
    ast.unaryop,
    ast.Tuple,
    ast.List,
    ast.expr_context,
)
_OF_VALUES = ("batch_size", "sync_dist", "sync_dist_group", "reduce_fx")


@dataclass(frozen=True)
class LoggedValue:
    """The way of one value through one function.

    Args:
        call: the log call.
        module: the file that holds ``made``.
        made: the expression that makes the value; ``statement``: the statement around it.
        logged: the statement that logs it.
        written: the expression that stands for it where it is logged or handed on: in the log
            call, in the dict it takes, in the call of a method that logs, in a return statement.
        key: the expression of its key.
        local: the name it has in between; empty when it is written in place.
        is_used: whether that name is read by more than the log call.
        log_nodes: every call that logs it, where a helper hands it to several.
        is_by_choice: whether it is logged under a condition of its own, which what the function
            is asked for decides and not the batch: ``if stage:`` in a method of several steps.
    """

    call: LogCall
    module: Module = field(repr=False)
    made: ast.expr
    statement: ast.stmt
    logged: ast.stmt
    written: ast.expr
    key: ast.expr | None
    local: str
    is_used: bool
    log_nodes: tuple[ast.Call, ...] = ()
    is_by_choice: bool = False

    @property
    def function(self) -> FunctionNode | None:
        """The function that makes the value."""
        return self.module.enclosing_function(self.made)

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
        owner = self.module.enclosing_class(self.made)
        if owner is not None and owner.is_kind("Callback") and not owner.is_lightning:
            raise CannotEdit(
                f"{owner.node.name} is a callback, and Lightning finds no Metric object that one "
                "holds; log what it computes, and reset it, where the epoch ends"
            )
        if owner is None or not owner.is_lightning:
            raise CannotEdit(f"the value at line {self.made.lineno} is made in no LightningModule")
        whole = owner.is_kind("LightningModule") or "configure_optimizers" in owner.methods
        if not whole:
            # Behind a LightningModule in the order of bases, its __init__ would never run.
            raise CannotEdit(
                f"{owner.node.name} is a mixin; create the object in the module that takes it in"
            )
        return owner

    def contexts(self) -> list[LogContext]:
        """Return every way that leads to the log call, in the class that holds it and below."""
        nodes = self.log_nodes or (self.call.node,)
        found: list[LogContext] = []
        for cls in (self.owner, *self.owner.subclasses):
            model = LightningClass.of(cls)
            for call in (call for node in nodes for call in model.calls_at(node)):
                if call.entry == self.call.entry or self._is_entry(call):
                    found += [c for c in call.contexts if c not in found]
        own = [context for context in found if self._carries(context)]
        return own or found

    def _carries(self, context: LogContext) -> bool:
        return any(
            origin.node is self.made
            for number in numbers(context.value)
            for origin in number.origins
        )

    def _is_entry(self, call: LogCall) -> bool:
        # Entries of a dict with computed keys differ by key only.
        return call.is_dict and any(self._carries(context) for context in call.contexts)

    def uses_step(self, contexts: list[LogContext]) -> bool:
        """Tell whether the value is also logged at every step (or may be)."""
        return any(context.on_step is not False for context in contexts)

    def redundant_arguments(self) -> list[ast.keyword]:
        """Return the arguments of the log call that say nothing about a Metric object."""
        if self.call.is_dict or self.written not in (self.call.value_node, None):
            return []  # They also speak of other values.
        return [k for k in self.call.node.keywords if k.arg in _OF_VALUES]


def trace(call: LogCall, made: ast.expr, module: Module) -> LoggedValue:
    """Return how the value that ``made`` makes gets to a log call.

    Args:
        call: the log call; ``made``: the expression; ``module``: the file that holds it.

    Raises:
        CannotEdit: it takes a way on which an object cannot follow it; says which.
    """
    if any(k.arg == "rank_zero_only" for k in call.node.keywords):
        raise CannotEdit(
            f"rank_zero_only at line {call.node.lineno}: an object is computed on all ranks"
        )
    function = module.enclosing_function(made)
    if function is None or call.function is None:
        raise CannotEdit(f"the value at line {made.lineno} is made outside any function")
    if function is call.function:
        logged = module.parent(call.node)
        written, key = _written(call, function, made)
        return _follow(call, made, module, function, logged, written, key)
    found = _handed_over(call, made, module, function)
    if found is not None:
        logged, written, key = found
        return _follow(call, made, module, function, logged, written, key)
    entry = _entry_of_helper(made, module, function)
    if entry is not None:
        node, written, key, log_nodes = entry
        if call.node in log_nodes:
            value = _follow(call, made, module, function, node, written, key)
            return replace(value, log_nodes=log_nodes)
    slot = _returned(call, made, module, function)
    if slot is not None:
        statement, written = slot
        value = _follow(call, made, module, function, statement, written, None)
        logged = call.module.parent(call.node)
        if isinstance(logged, ast.Expr) and not value.is_by_choice:
            return replace(value, logged=logged)
    raise CannotEdit(
        f"the value is made at line {made.lineno} in {function.name} and logged at line "
        f"{call.node.lineno} in {call.function.name}; log it where it is made"
    )


def _follow(
    call: LogCall,
    made: ast.expr,
    module: Module,
    function: FunctionNode,
    logged: ast.AST | None,
    written: ast.expr,
    key: ast.expr | None,
) -> LoggedValue:
    """Follow a value inside one function, from where it is made to where it is handed on."""
    if not isinstance(logged, (ast.Expr, ast.Return, ast.Assign)):
        raise CannotEdit(f"the log call at line {call.node.lineno} is part of an expression")
    statement: ast.stmt = logged if _contains(logged, made) else module.statement(made)
    inner = peeled(module, written)
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
        value = _assigned(statement) or _first_of_scipy(module, function, statement, local)
        if value is None or peeled(module, value) is not made:
            raise CannotEdit(
                f"{local} is made of more than one call at line {statement.lineno}; "
                "give the metric a line of its own"
            )
        reads = reads_of(function, local)
        used = any(not _contains(written, node) for node in reads)
    is_by_choice = not used and _is_by_choice(module, function, statement, logged, made)
    if conditions(module, statement) != conditions(module, logged) and not is_by_choice:
        raise CannotEdit(
            f"the value is made at line {statement.lineno} and logged at line {logged.lineno} "
            "under another condition"
        )
    if _conditions_of_expression(module, made, statement) is not None:
        raise CannotEdit(f"the value at line {made.lineno} is made under a condition")
    return LoggedValue(
        call, module, made, statement, logged, written, key, local, used, (), is_by_choice
    )


def _is_by_choice(
    module: Module, function: FunctionNode, made_in: ast.stmt, logged: ast.stmt, made: ast.expr
) -> bool:
    """Tell whether a value may as well be made where it is logged, under a condition more.

    What decides there are arguments of a method that steps call, and no batch: a step has each
    value logged, or none. Nothing that the value is made of may change in between.
    """
    inner, outer = conditions(module, logged), conditions(module, made_in)
    if hooks.is_batch_hook(function.name) or len(inner) <= len(outer):
        return False
    extra = len(inner) - len(outer)
    if inner[extra:] != outer:
        return False
    arguments = function.args
    asked = {a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}
    asked = {name for name in asked if name != "self" and not name.startswith("batch")}
    around = [node for node in module.ancestors(logged) if isinstance(node, _COMPOUND)][:extra]
    for above in around:
        if not isinstance(above, ast.If):
            return False
        for node in subtree(above.test):
            if isinstance(node, ast.Name):
                if node.id not in asked or bindings(module, node.id, function):
                    return False
            elif not isinstance(node, _OF_CHOICES):
                return False
    for node in subtree(made):
        if isinstance(node, ast.Call) and root_name(node.func) == "self":
            return False
        if isinstance(node, ast.Name):
            changes = bindings(module, node.id, function)
            if any(change.lineno >= made_in.lineno for change in changes):
                return False
    return True


def reads_of(function: FunctionNode, name: str) -> list[ast.Name]:
    return [
        node
        for node in subtree(function)
        if isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load)
    ]


def _handed_over(
    call: LogCall, made: ast.expr, module: Module, function: FunctionNode
) -> tuple[ast.AST | None, ast.expr, ast.expr | None] | None:
    """Return statement, value and key where a method that only logs is given the value."""
    helper, value = call.function, call.value_node
    if helper is None or call.is_dict or not isinstance(value, ast.Name):
        return None
    if len(reads_of(helper, value.id)) != 1 or bindings(call.module, value.id, helper):
        return None
    for node in subtree(function):
        if not (isinstance(node, ast.Call) and _is_method(node.func, helper.name)):
            continue
        given = _argument(node, helper, value.id)
        if given is None:
            continue
        inner = peeled(module, given)
        if inner is not made and isinstance(inner, ast.Name):
            bound = bindings(module, inner.id, function)
            if not any(_contains(b, made) for b in bound):
                continue
        elif inner is not made:
            continue
        key = call.key_node
        named = _argument(node, helper, key.id) if isinstance(key, ast.Name) else None
        return module.parent(node), given, named
    return None


def _is_method(func: ast.expr, name: str) -> bool:
    return (
        isinstance(func, ast.Attribute)
        and func.attr == name
        and isinstance(func.value, ast.Name)
        and func.value.id == "self"
    )


def _argument(node: ast.Call, function: FunctionNode, name: str) -> ast.expr | None:
    """Return what a call of a method gives one of its parameters."""
    for keyword in node.keywords:
        if keyword.arg == name:
            return keyword.value
    names = [a.arg for a in (*function.args.posonlyargs, *function.args.args)]
    if name not in names or any(isinstance(a, ast.Starred) for a in node.args):
        return None
    position = names.index(name) - 1  # Behind self.
    return node.args[position] if 0 <= position < len(node.args) else None


def _returned(
    call: LogCall, made: ast.expr, module: Module, function: FunctionNode
) -> tuple[ast.Return, ast.expr] | None:
    """Return the return statement and the part of it that is the value, for a method whose one
    caller does nothing but log it."""
    owner = module.enclosing_class(function)
    caller = call.function
    returns = [node for node in subtree(function) if isinstance(node, ast.Return)]
    if owner is None or caller is None or len(returns) != 1 or returns[0].value is None:
        return None
    sites = [
        node
        for cls in {*owner.mro(), owner, *owner.subclasses}
        for node in subtree(cls.node)
        if isinstance(node, ast.Attribute) and node.attr == function.name
    ]
    if len(sites) != 1:
        return None
    site = call.module.parent(sites[0])
    if not isinstance(site, ast.Call) or call.module.enclosing_function(site) is not caller:
        return None
    handed = returns[0].value

    def is_it(node: ast.expr) -> bool:
        inner = peeled(module, node)
        if isinstance(inner, ast.Name):
            return any(_contains(b, made) for b in bindings(module, inner.id, function))
        return inner is made

    if conditions(call.module, call.module.statement(site)) != conditions(
        call.module, call.module.statement(call.node)
    ):
        return None
    name = _name_of(call.module, site)
    if is_it(handed):
        shown = call.value_node
        if shown is None or call.is_dict:
            return None
        direct = shown is site
        by_name = isinstance(shown, ast.Name) and shown.id == name and _once(caller, name)
        return (returns[0], handed) if direct or by_name else None
    if isinstance(handed, ast.Dict):
        part = next((item for item in handed.values if is_it(item)), None)
        given = call.node.args[0] if call.is_dict and call.node.args else None
        direct = given is site
        by_name = isinstance(given, ast.Name) and given.id == name and _once(caller, name)
        return (returns[0], part) if part is not None and (direct or by_name) else None
    if isinstance(handed, ast.Tuple):
        statement = call.module.parent(site)
        if not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
            return None
        target = statement.targets[0]
        if not isinstance(target, ast.Tuple) or len(target.elts) != len(handed.elts):
            return None
        for part, bound in zip(handed.elts, target.elts, strict=True):
            if is_it(part) and isinstance(bound, ast.Name):
                shown = call.value_node
                is_shown = isinstance(shown, ast.Name) and shown.id == bound.id
                if is_shown and _once(caller, bound.id):
                    return returns[0], part
    return None


# Dicts that a helper makes and its callers log ----------------------------------------------------


def _entry_of_helper(
    made: ast.expr, module: Module, function: FunctionNode
) -> tuple[ast.stmt, ast.expr, ast.expr, tuple[ast.Call, ...]] | None:
    """Return how a helper puts a value into the dict that it returns, where every caller does
    nothing but log that dict.

    Returns statement, expression and key of the entry, and the calls that log the dict.

    Raises:
        CannotEdit: a caller does something else with it.
    """
    owner = module.enclosing_class(function)
    returns = [node for node in subtree(function) if isinstance(node, ast.Return)]
    if owner is None or len(returns) != 1 or hooks.is_batch_hook(function.name):
        return None
    handed = returns[0].value
    parts = handed.elts if isinstance(handed, ast.Tuple) else [handed]
    for index, part in enumerate(parts):
        entry = _entry(made, module, function, part, returns[0])
        if entry is not None:
            place = (index, len(parts)) if isinstance(handed, ast.Tuple) else None
            nodes = _logs_of(owner, function, place)
            return (*entry, nodes) if nodes else None
    return None


def _entry(
    made: ast.expr,
    module: Module,
    function: FunctionNode,
    handed: ast.expr | None,
    returned: ast.Return,
) -> tuple[ast.stmt, ast.expr, ast.expr] | None:
    """Return where a value enters a dict that is returned: statement, expression and key."""

    def is_it(node: ast.expr) -> bool:
        inner = peeled(module, node)
        if isinstance(inner, ast.Name):
            return any(_contains(b, made) for b in bindings(module, inner.id, function))
        return inner is made

    if isinstance(handed, ast.Name):
        # An entry that is set counts as a binding of the name as well.
        bound = [
            statement
            for statement in bindings(module, handed.id, function)
            if not isinstance(statement, ast.Assign)
            or not all(isinstance(target, ast.Subscript) for target in statement.targets)
        ]
        value = _assigned(bound[0]) if len(bound) == 1 else None
        if not isinstance(value, ast.Dict):
            return None
        stores: list[tuple[ast.Assign, ast.expr]] = []
        others: list[str] = []
        for read in reads_of(function, handed.id):
            above = module.parent(read)
            if read is handed:
                continue
            if not isinstance(above, ast.Subscript) or above.value is not read:
                return None
            store = module.parent(above)
            if isinstance(store, ast.Assign) and store.targets == [above] and is_it(store.value):
                stores.append((store, above.slice))
            elif isinstance(above.ctx, ast.Del):
                return None
            else:
                others.append(ast.dump(above.slice))
        entries = [(k, i) for k, i in zip(value.keys, value.values, strict=True) if k is not None]
        places = [(bound[0], item, key) for key, item in entries if is_it(item)]
        places += [(store, store.value, key) for store, key in stores]
        # Another entry of that key, or a reader of it, has a say in what is logged.
        if len(places) != 1 or ast.dump(places[0][2]) in others:
            return None
        return places[0]
    if not isinstance(handed, ast.Dict):
        return None
    for key, item in zip(handed.keys, handed.values, strict=True):
        if key is not None and is_it(item):
            return returned, item, key
    return None


def _logs_of(
    owner: ClassInfo, function: FunctionNode, place: tuple[int, int] | None
) -> tuple[ast.Call, ...]:
    """Return the calls that log what a helper returns; empty when it is called in another way.

    Args:
        owner: the class of the helper; ``function``: the helper.
        place: index of the dict in the tuple that is returned, and its length.
    """
    members = list(dict.fromkeys((*owner.mro(), owner, *owner.subclasses)))
    if any(cls is not owner and function.name in cls.namespace for cls in members):
        return ()
    names = {cls.node.name for cls in members}
    found: list[ast.Call] = []
    for cls in members:
        for node in subtree(cls.node):
            if not (isinstance(node, ast.Attribute) and node.attr == function.name):
                continue
            holder = node.value
            if not (isinstance(holder, ast.Name) and holder.id == "self"):
                if isinstance(holder, ast.Call) or getattr(holder, "id", "") in names:
                    return ()
                continue
            site = cls.module.parent(node)
            if not isinstance(site, ast.Call) or site.func is not node:
                return ()
            found.append(_log_of(cls.module, site, function, place))
    return tuple(found)


def _log_of(
    module: Module, site: ast.Call, helper: FunctionNode, place: tuple[int, int] | None
) -> ast.Call:
    """Return the call that logs what one call of a helper returns."""
    refused = CannotEdit(
        f"the dict that {helper.name} returns at line {site.lineno} is not only logged; log the "
        f"metric in {helper.name}"
    )
    caller = module.enclosing_function(site)
    shown: ast.expr = site
    if place is not None or not isinstance(module.parent(site), (ast.Call, ast.keyword)):
        statement = module.parent(site)
        if not isinstance(statement, ast.Assign) or len(statement.targets) != 1 or caller is None:
            raise refused
        target = statement.targets[0]
        if place is not None:
            index, length = place
            if not isinstance(target, ast.Tuple) or len(target.elts) != length:
                raise refused
            target = target.elts[index]
        if not isinstance(target, ast.Name) or not _once(caller, target.id):
            raise refused
        (shown,) = reads_of(caller, target.id)
    above = module.parent(shown)
    log = module.parent(above) if isinstance(above, ast.keyword) else above
    if not (
        isinstance(log, ast.Call)
        and _is_method(log.func, "log_dict")
        and (log.args[:1] == [shown] or getattr(above, "arg", "") == "dictionary")
        and isinstance(module.parent(log), ast.Expr)
    ):
        raise refused
    here = conditions(module, module.statement(site))
    if here != conditions(module, module.statement(log)):
        raise CannotEdit(
            f"what {helper.name} returns at line {site.lineno} is logged at line {log.lineno} "
            "under another condition"
        )
    for around in module.ancestors(log):
        if isinstance(around, (ast.FunctionDef, ast.AsyncFunctionDef)):
            break
        if isinstance(around, (ast.For, ast.AsyncFor, ast.While)):
            raise CannotEdit(f"the log call stands in the loop at line {around.lineno}")
    return log


def _name_of(module: Module, site: ast.Call) -> str:
    statement = module.parent(site)
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        target = statement.targets[0]
        return target.id if isinstance(target, ast.Name) else ""
    return ""


def _once(function: FunctionNode, name: str) -> bool:
    """Tell whether a name is bound once and read once."""
    found = [n for n in subtree(function) if isinstance(n, ast.Name) and n.id == name]
    return len(found) == 2 and len([n for n in found if isinstance(n.ctx, ast.Load)]) == 1


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
        if value is not None and peeled(module, value) is made:
            for read in reads_of(function, dictionary.id):
                above = module.parent(read)
                if isinstance(above, (ast.Attribute, ast.Subscript)):
                    raise CannotEdit(
                        f"the dict {dictionary.id} is changed or taken apart at line {read.lineno}"
                    )
            return dictionary, None  # The answer of a collection.
        uses = [
            n
            for n in subtree(function)
            if isinstance(n, ast.Name) and n.id == dictionary.id and n is not dictionary
        ]
        others = [n for n in uses if isinstance(n.ctx, ast.Load)]
        if others or len(bound) != 1 or value is None:
            line = max([n.lineno for n in others] + [b.lineno for b in bound] or [call.node.lineno])
            raise CannotEdit(f"the dict {dictionary.id} is used again at line {line}")
        if conditions(module, bound[0]) != conditions(module, module.statement(call.node)):
            raise CannotEdit(f"the dict {dictionary.id} is made under another condition")
        dictionary = value
    if isinstance(dictionary, ast.Dict):
        for key, item in zip(dictionary.keys, dictionary.values, strict=True):
            if key is None:
                continue
            inner = peeled(module, item)
            if inner is made or _contains(item, made):
                return item, key
            if isinstance(inner, ast.Name):
                bound = bindings(module, inner.id, function)
                if any(_contains(b, made) for b in bound):
                    return item, key
    elif dictionary is not None and peeled(module, dictionary) is made:
        return dictionary, None
    place = dictionary if dictionary is not None else call.node
    spread = [k for k in getattr(place, "keys", ()) if k is None]
    how = "takes in another dict" if spread else f"is `{_short(module, place)}`"
    raise CannotEdit(
        f"the dict that line {call.node.lineno} logs {how} at line {place.lineno}, so the value "
        f"that line {made.lineno} makes has no key there; log it on its own"
    )


def _assigned(statement: ast.stmt) -> ast.expr | None:
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        return statement.value if isinstance(statement.targets[0], ast.Name) else None
    if isinstance(statement, ast.AnnAssign):
        return statement.value
    return None


def _first_of_scipy(
    module: Module, function: FunctionNode, statement: ast.stmt, name: str
) -> ast.expr | None:
    """Return the call in ``r, p = pearsonr(x, y)`` where nothing reads but the first result."""
    if not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
        return None
    target, value = statement.targets[0], statement.value
    if not isinstance(target, ast.Tuple) or not isinstance(value, ast.Call):
        return None
    names = [part.id if isinstance(part, ast.Name) else "" for part in target.elts]
    if names[:1] != [name] or not (module.qualified(value.func) or "").startswith("scipy."):
        return None
    return None if any(not n or reads_of(function, n) for n in names[1:]) else value


def peeled(module: Module, node: ast.expr) -> ast.expr:
    """Return an expression without what changes nothing about a number."""
    while True:
        node, before = _result_of_scipy(module, node), node
        if node is not before:
            continue
        if not isinstance(node, ast.Call):
            break
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


def _result_of_scipy(module: Module, node: ast.expr) -> ast.expr:
    """Return the call behind ``pearsonr(x, y)[0]`` or ``.statistic``."""
    inner: ast.expr | None = None
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        inner = node.value if node.slice.value == 0 else None
    elif isinstance(node, ast.Attribute) and node.attr in ("statistic", "correlation"):
        inner = node.value
    if isinstance(inner, ast.Call) and (module.qualified(inner.func) or "").startswith("scipy."):
        return inner
    return node


def _contains(node: ast.AST, wanted: ast.AST) -> bool:
    return any(inner is wanted for inner in subtree(node))


def conditions(module: Module, statement: ast.AST) -> list[tuple[int, str]]:
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


def told_dataloader(contexts: list[LogContext], owner: ClassInfo) -> tuple[str, bool]:
    """Return the name of a step that is told its dataloader (empty when none is), and whether it
    does nothing with what it is told, as code that follows a template does."""
    idle = ""
    for cls in (owner, *owner.subclasses):
        for name in sorted({context.hook for context in contexts}):
            info = cls.lookup(name)
            if info is None or not hooks.is_batch_hook(name):
                continue
            arguments = info.node.args
            for argument in (*arguments.args, *arguments.kwonlyargs):
                if not argument.arg.startswith("dataloader_i"):
                    continue
                is_read = any(
                    isinstance(node, ast.Name) and node.id == argument.arg
                    for node in subtree(info.node)
                )
                if is_read or default_of(info.node, argument.arg) is None:
                    return name, False
                idle = idle or name
    return idle, True


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
