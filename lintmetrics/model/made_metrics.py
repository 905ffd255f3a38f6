"""Expressions that make Metric objects, and the class that such an object is of."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from lintmetrics import facts
from lintmetrics.model.metric_api import LIBRARY, current_signature, is_guarded
from lintmetrics.model.tensors import bindings, constant
from lintmetrics.model.trails import attribute_value, is_self
from lintmetrics.project import ClassInfo, Module
from lintmetrics.tree import subtree

_CLASS = re.compile(
    r"(?:torchmetrics|(?:pytorch_lightning|lightning\.pytorch|lightning)\.metrics)\."
    r"(?!functional\.)(?:\w+\.)*[A-Z]\w+$"
)
_STEPS = 6  # From a name to what it was made of.


@dataclass(frozen=True)
class MadeMetric:
    """A call that makes a Metric object, or a collection of them.

    Args:
        module: the file of the call; ``call``: it; ``name``: dotted name of the class called.
        cls: the class of the project, where it is one of its own.
    """

    module: Module = field(repr=False)
    call: ast.Call
    name: str
    cls: ClassInfo | None = None

    @property
    def short(self) -> str:
        """The name called, without its module."""
        return self.name.rpartition(".")[2]

    @property
    def is_collection(self) -> bool:
        """Whether it is a MetricCollection."""
        return self.cls is None and self.short == "MetricCollection"

    @property
    def class_name(self) -> str:
        """What the class of the object is called; with the expression of a task not known here."""
        if self.cls is not None:
            if self.cls.lookup("__new__") is not None:
                return f"{self.cls.node.name} {id(self.call)}"  # It may make any.
            return self.cls.node.name
        move = facts.moves().get(self.name)
        if move is not None and move.status == "deprecated":
            return f"_{self.short}"  # The shims at the root are classes of their own.
        if not is_dispatcher(self.short):
            return self.short
        task = argument(self.call, 0, "task")
        if task is None:
            return self.short  # Up to 0.10, it was the class itself.
        known = constant(self.module, task)
        if isinstance(known, str):
            return f"{known.lower().capitalize()}{self.short}"
        return f"{self.short} for {ast.unparse(task)}"


def is_dispatcher(short: str) -> bool:
    """Tell whether a class of TorchMetrics makes an object of another class, by its task."""
    signature = current_signature(short, "class")
    if signature is None or "task" not in signature.names:
        return False
    return bool(facts.signatures(LIBRARY, f"Multiclass{short}", "class"))


def made_metric(module: Module, expr: ast.expr, steps: int = _STEPS) -> MadeMetric | None:
    """Return the call that makes what an expression is; ``None`` for what may be no Metric."""
    if steps <= 0:
        return None
    if isinstance(expr, ast.Call):
        symbol = module.resolve(expr.func)
        if isinstance(symbol, ClassInfo):
            is_metric = symbol.is_kind("Metric")
            return MadeMetric(module, expr, symbol.name, symbol) if is_metric else None
        name = symbol.name if symbol is not None else ""
        return MadeMetric(module, expr, name) if _CLASS.match(name) else None
    if isinstance(expr, ast.Name):
        bound = bindings(module, expr.id, module.enclosing_function(expr))
        if len(bound) == 1 and isinstance(bound[0], (ast.Assign, ast.AnnAssign)):
            value, targets = bound[0].value, getattr(bound[0], "targets", [None])
            if value is not None and not isinstance(targets[0], (ast.Tuple, ast.List)):
                return made_metric(module, value, steps - 1)
    if isinstance(expr, ast.Attribute) and is_self(expr.value):
        cls = module.enclosing_class(expr)
        held = attribute_value(cls, expr.attr) if cls is not None else None
        if held is not None:
            return made_metric(held[1], held[0], steps - 1)
    return None


def members_of(made: MadeMetric) -> Iterator[MadeMetric]:
    """Yield the metrics of a MetricCollection that are known; those of collections in it are not.

    Args:
        made: the call that makes the collection.
    """
    for member in written_members(made.call):
        found = made_metric(made.module, member)
        if found is not None and not found.is_collection:
            yield found


def written_members(collection: ast.Call) -> list[ast.expr]:
    """Return the expressions that a MetricCollection is made of, whatever they are."""
    first = collection.args[0] if collection.args else None
    if isinstance(first, (ast.List, ast.Tuple)):
        return list(first.elts)
    return list(first.values if isinstance(first, ast.Dict) else collection.args)


def argument(call: ast.Call, position: int, name: str) -> ast.expr | None:
    """Return an argument of a call by its place or name; ``None`` where it is not written."""
    for keyword in call.keywords:
        if keyword.arg == name:
            return keyword.value
    if position < len(call.args) and not any(isinstance(a, ast.Starred) for a in call.args):
        return call.args[position]
    return None


def is_unpacked(call: ast.Call) -> bool:
    """Tell whether a call is given arguments that are not written in it."""
    return any(keyword.arg is None for keyword in call.keywords) or any(
        isinstance(argument, ast.Starred) for argument in call.args
    )


def is_expected_to_fail(module: Module, call: ast.Call) -> bool:
    """Tell whether code around a call takes its error, or expects it as a test does."""
    if is_guarded(module, call):
        return True
    for above in module.ancestors(call):
        if isinstance(above, (ast.With, ast.AsyncWith)):
            for node in (node for item in above.items for node in subtree(item.context_expr)):
                name = getattr(node, "attr", getattr(node, "id", ""))
                if isinstance(name, str) and "raises" in name.lower():
                    return True
    return False
