"""The callbacks that a Trainer is given, and those of them that it refuses or ignores."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

from lintmetrics import facts
from lintmetrics.model.batch_parts import local_value
from lintmetrics.model.lightning_objects import Kind, kind_of_class
from lintmetrics.model.put_style import callbacks_of, trainers
from lintmetrics.model.trainer_arguments import UNKNOWN, given_to, holds, is_expected, value_of
from lintmetrics.project import ClassInfo, Module
from lintmetrics.releases import reaches
from lintmetrics.rule import Consequence
from lintmetrics.tree import subtree

_BARS = frozenset(("ProgressBar", "TQDMProgressBar", "RichProgressBar"))
_ONE_BAR = "1.5"  # Of two progress bars, 1.4.9 took one; 1.5.10 to 2.6.6 raise.
_BRANCHES = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.Try, ast.Match, ast.IfExp)
_DOTTED = (ast.Name, ast.Attribute)
# What a ModelCheckpoint is triggered by where it says nothing (model_checkpoint.py, 2.6.6).
_TRIGGERS = ("every_n_train_steps", "every_n_epochs", "train_time_interval")


@dataclass(frozen=True)
class GivenCallback:
    """A callback that a Trainer is surely given.

    Args:
        module: the file; ``node``: where it stands among the callbacks.
        made: the call that makes it; ``kind``: what it is.
    """

    module: Module = field(repr=False)
    node: ast.expr
    made: ast.Call
    kind: Kind

    @property
    def name(self) -> str:
        """The name of its class as the code has it."""
        return ast.unparse(self.made.func).rpartition(".")[2]


@dataclass(frozen=True)
class RefusedCallback:
    """A callback that the Trainer it is given to refuses, or that undoes an argument of it.

    Args:
        module: the file; ``node``: the callback.
        message: what is wrong; ``help``: what to write instead.
        consequence: what comes of it.
    """

    module: Module = field(repr=False)
    node: ast.expr
    message: str
    help: str
    consequence: Consequence = Consequence.CRASH


def refused_callbacks(module: Module) -> Iterator[RefusedCallback]:
    """Yield the callbacks of a file that do not go with the Trainer that they are given to."""
    if "callbacks" not in module.source.code:
        return
    for site in trainers(module):
        given = callbacks_of(site.node)
        if given is None or is_expected(module, site.node):
            continue
        value = local_value(module, given) if isinstance(given, ast.Name) else given
        if isinstance(value, (ast.Tuple, ast.Set)) and value.elts:
            kind = "tuple" if isinstance(value, ast.Tuple) else "set"
            yield RefusedCallback(
                module,
                given,
                f"callbacks is a {kind}, to which the Trainer cannot append: AttributeError",
                "write a list",
            )
        yield from _classes(module, given)
        callbacks = list(given_callbacks(module, site.node, given))
        yield from _switched(module, site.node, callbacks)
        yield from _bars(module, callbacks)
        yield from _repeated(module, callbacks)


# Which callbacks there are -----------------------------------------------------------------------


def given_callbacks(module: Module, trainer: ast.Call, given: ast.expr) -> Iterator[GivenCallback]:
    """Yield the callbacks that a Trainer is surely given, as far as it can be seen."""
    for node in _entries(module, trainer, given):
        made = local_value(module, node) if isinstance(node, ast.Name) else node
        if isinstance(made, ast.Call) and isinstance(made.func, _DOTTED):
            kind = kind_of_class(module.resolve(made.func))
            if kind.names or (kind.cls is not None and kind.cls.is_kind("Callback")):
                yield GivenCallback(module, node, made, kind)


def _entries(module: Module, trainer: ast.Call, given: ast.expr) -> Iterator[ast.expr]:
    """Yield the expressions that surely stand among the callbacks of a Trainer."""
    if isinstance(given, ast.Call):
        yield given
    elif isinstance(given, (ast.List, ast.Tuple)):
        yield from (entry for entry in given.elts if not isinstance(entry, ast.Starred))
    elif isinstance(given, ast.BinOp) and isinstance(given.op, ast.Add):
        yield from _entries(module, trainer, given.left)
        yield from _entries(module, trainer, given.right)
    elif isinstance(given, ast.Name):
        value = local_value(module, given)
        if isinstance(value, ast.Call):
            yield given
        elif isinstance(value, (ast.List, ast.Tuple)):
            yield from _of_list(module, trainer, given, value)


def _of_list(
    module: Module, trainer: ast.Call, name: ast.Name, value: ast.List | ast.Tuple
) -> Iterator[ast.expr]:
    """Yield what a list holds by the time that a Trainer is given it."""
    owner = module.enclosing_function(name) or module.tree
    added: list[ast.expr] = []
    for node in subtree(owner):
        if not (isinstance(node, ast.Name) and node.id == name.id) or node is name:
            continue
        above = module.parent(node)
        if not (isinstance(above, ast.Attribute) and above.value is node):
            continue
        call = module.parent(above)
        if above.attr not in ("append", "extend", "insert"):
            return  # Something may be taken out again.
        plain = (
            isinstance(call, ast.Call) and call.args and isinstance(module.parent(call), ast.Expr)
        )
        if plain and isinstance(call, ast.Call) and _is_before(module, call, trainer):
            last = call.args[-1]
            added += [last] if above.attr != "extend" else list(_entries(module, trainer, last))
    if _is_before(module, value, trainer):
        yield from (entry for entry in value.elts if not isinstance(entry, ast.Starred))
        yield from added


def _is_before(module: Module, node: ast.expr, trainer: ast.Call) -> bool:
    """Tell whether code has surely run, in the same function, before a Trainer is made."""
    if module.enclosing_function(node) is not module.enclosing_function(trainer):
        # A list at the top of the file, which a function reads.
        if module.enclosing_function(node) is not None:
            return False
        return not _branches(module, node)
    if node.lineno > trainer.lineno:
        return False
    return _branches(module, node) <= _branches(module, trainer)


def _branches(module: Module, node: ast.AST) -> set[tuple[ast.AST, str]]:
    """Return the branches that code stands in, with the part of each."""
    found: set[tuple[ast.AST, str]] = set()
    below = node
    for around in module.ancestors(node):
        if isinstance(around, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            break
        if isinstance(around, _BRANCHES):
            for part, inner in ast.iter_fields(around):
                if inner is below or (isinstance(inner, list) and below in inner):
                    found.add((around, part))
        below = around
    return found


# What is wrong with them -------------------------------------------------------------------------


def _classes(module: Module, given: ast.expr) -> Iterator[RefusedCallback]:
    """Yield the entries that are classes, of which nobody made an object."""
    entries = given.elts if isinstance(given, (ast.List, ast.Tuple)) else [given]
    for entry in entries:
        if not isinstance(entry, _DOTTED):
            continue
        symbol = module.resolve(entry)
        kind = kind_of_class(symbol)
        own = isinstance(symbol, ClassInfo) and symbol.is_kind("Callback")
        if own or kind.names & _known_callbacks():
            name = ast.unparse(entry)
            yield RefusedCallback(
                module,
                entry,
                f"{name} among the callbacks is the class, and no object of it: TypeError",
                f"make one: {name}(...)",
            )


def _known_callbacks() -> frozenset[str]:
    return frozenset(
        name for row in facts.callback_switches() for name in row.callbacks.split("|")
    ) | frozenset(facts.callback_states())


def _switched(
    module: Module, trainer: ast.Call, callbacks: list[GivenCallback]
) -> Iterator[RefusedCallback]:
    """Yield the callbacks that an argument of the Trainer turns off, or that undo it."""
    arguments = {keyword.arg: keyword.value for keyword in trainer.keywords if keyword.arg}
    for row in facts.callback_switches():
        node = arguments.get(row.argument)
        if node is None or not reaches(module.project.target_lightning, row.since or "0"):
            continue
        if not holds(row.refused, {row.argument: value_of(module, node)}):
            continue
        for one in callbacks:
            if not one.kind.names & set(row.callbacks.split("|")) or _overrides(one, row.hook):
                continue
            consequence = Consequence(row.consequence)
            value = ast.unparse(node)
            yield RefusedCallback(
                module,
                one.node,
                f"{one.name} is given to a Trainer with {row.argument}={value}: {row.text}",
                row.help,
                consequence,
            )


def _overrides(one: GivenCallback, hook: str) -> bool:
    """Tell whether a class of the project may do otherwise than Lightning's own."""
    cls = one.kind.cls
    return cls is not None and bool(hook) and cls.lookup(hook) is not None


def _bars(module: Module, callbacks: list[GivenCallback]) -> Iterator[RefusedCallback]:
    """Yield the progress bars of a Trainer behind the first."""
    bars = [one for one in callbacks if one.kind.names & _BARS]
    if len(bars) > 1 and reaches(module.project.target_lightning, _ONE_BAR):
        yield RefusedCallback(
            module,
            bars[1].node,
            f"{bars[1].name} is the second progress bar of a Trainer: MisconfigurationException",
            f"leave it or {bars[0].name} out",
        )


def _repeated(module: Module, callbacks: list[GivenCallback]) -> Iterator[RefusedCallback]:
    """Yield the callbacks whose state would be kept under the key of another's."""
    if not reaches(module.project.target_lightning, facts.callback_states_since()):
        return
    seen: dict[tuple[object, ...], GivenCallback] = {}
    for one in callbacks:
        key = _state_key(module, one)
        if key is None:
            continue
        first = seen.setdefault(key, one)
        if first is one:
            continue
        arguments = facts.callback_states().get(one.name, ())
        ways = (
            f"give them different {', '.join(arguments[:-1])} or {arguments[-1]}; or"
            if (len(arguments) > 1)
            else ""
        )
        said = "the same" if first.node is one.node or first.made is one.made else "a second"
        yield RefusedCallback(
            module,
            one.node,
            f"{said} {one.name} of one state key is given to a Trainer: RuntimeError",
            f"{ways} leave one of them out".strip(),
        )


def _state_key(module: Module, one: GivenCallback) -> tuple[object, ...] | None:
    """Return what tells the state of a callback from that of others; ``None`` if not known."""
    cls = one.kind.cls
    if cls is not None:
        names = {name for owner in cls.mro() for name in owner.namespace}
        if names & {"state_key", "_generate_state_key"}:
            return None
        if cls.lookup("state_dict") is not None and one.kind.names <= {"Callback"}:
            return (cls,)
        if cls.lookup("__init__") is not None or cls.lookup("state_dict") is not None:
            return None
    found = one.kind.names & facts.callback_states().keys()
    if len(found) != 1:
        return None
    owner = min(found)
    arguments = facts.callback_states()[owner]
    given = given_to(module, one.made, owner) if arguments else {}
    if given is None:
        return None
    values = {name: _said(module, given.get(name)) for name in arguments}
    if owner == "ModelCheckpoint":
        if all(values[name] is None for name in _TRIGGERS):
            values["every_n_epochs"] = 1
        values |= {name: values[name] or 0 for name in _TRIGGERS[:2]}
    if "mode" in values:
        values["mode"] = values["mode"] or "min"
    return (cls or owner, *values.values())


def _said(module: Module, node: ast.expr | None) -> object:
    """Return what tells the value of an argument from others: itself, or how it is written."""
    value = value_of(module, node)
    if value is not UNKNOWN and not isinstance(value, (str, int, float, type(None))):
        return ("spelled", ast.unparse(node)) if node is not None else None
    if value is UNKNOWN and node is not None:
        return ("spelled", ast.unparse(node))
    return value
