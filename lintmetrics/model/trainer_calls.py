"""Which modules the Trainers of a project train: ``trainer.fit(Model())`` and its like."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from lintmetrics.kept_answers import kept
from lintmetrics.model.batch_parts import local_value
from lintmetrics.model.lightning_objects import ROOT
from lintmetrics.model.tensors import bindings
from lintmetrics.project import ClassInfo, FunctionInfo, Module, Project
from lintmetrics.tree import own_nodes, parameter_names

_CALLED = re.compile(r"\.(?:fit|validate|test)\s*\(")
_KINDS = ("fit", "validate", "test")
_NAMED_TRAINER = re.compile(r"trainer", re.I)
# What hands a module on as it is.
_SAME = frozenset(("to", "cuda", "cpu", "float", "half", "double", "eval", "train", "compile"))
_DEPTH = 4


@dataclass(frozen=True, eq=False)
class TrainerCall:
    """A call of ``fit``, ``validate`` or ``test``.

    Args:
        module: the file; ``node``: the call; ``kind``: the name of the method.
        trainer: the call that makes the Trainer; ``None`` where it is not known to be one.
        classes: what the module may be an object of; empty where that is not known.
    """

    module: Module = field(repr=False)
    node: ast.Call
    kind: str
    trainer: ast.Call | None
    classes: tuple[ClassInfo, ...]

    @property
    def cls(self) -> ClassInfo | None:
        """The one class that the module is an object of; ``None`` where it may be several."""
        return self.classes[0] if len(self.classes) == 1 else None

    @property
    def is_of_trainer(self) -> bool:
        """Whether it is surely or by its name a Trainer that is called, and no other estimator."""
        assert isinstance(self.node.func, ast.Attribute)
        said = self.module.source.segment(self.node.func.value)
        return self.trainer is not None or _NAMED_TRAINER.search(said) is not None


@kept
def trainer_calls(project: Project) -> list[TrainerCall]:
    """Return every call in a project that may hand a module to a Trainer."""
    return [
        TrainerCall(
            module,
            call,
            func.attr,
            _trainer(module, func.value),
            classes_of(module, model_of(call)),
        )
        for module in project.mentioning(_CALLED)
        for call in module.calls
        if isinstance(func := call.func, ast.Attribute) and func.attr in _KINDS
    ]


def is_trainer(module: Module, call: ast.Call) -> bool:
    """Tell whether a call makes a Trainer."""
    name = module.qualified(call.func) or ""
    return ROOT.match(name) is not None and name.rpartition(".")[2] == "Trainer"


def _trainer(module: Module, node: ast.expr) -> ast.Call | None:
    made = local_value(module, node) if isinstance(node, ast.Name) else node
    return made if isinstance(made, ast.Call) and is_trainer(module, made) else None


def model_of(call: ast.Call) -> ast.expr | None:
    """Return what a call hands to a Trainer as the module; ``None`` for nothing."""
    named = next((k.value for k in call.keywords if k.arg == "model"), None)
    return named or (call.args[0] if call.args else None)


def classes_of(module: Module, node: ast.expr | None, depth: int = _DEPTH) -> tuple[ClassInfo, ...]:
    """Return the classes of the project that an expression may be an object of.

    Empty where one of the ways to it is not known.
    """
    if node is None or depth <= 0:
        return ()
    if isinstance(node, ast.Name):
        return _of_name(module, node, depth)
    if isinstance(node, ast.IfExp):
        return _all(classes_of(module, part, depth - 1) for part in (node.body, node.orelse))
    if not isinstance(node, ast.Call):
        return ()
    made = module.resolve(node.func) if isinstance(node.func, (ast.Name, ast.Attribute)) else None
    if isinstance(made, ClassInfo):
        return (made,)
    if isinstance(made, FunctionInfo):
        return _of_function(made, depth)
    if not isinstance(node.func, ast.Attribute):
        return ()
    if node.func.attr == "load_from_checkpoint":
        held = module.resolve(node.func.value)
        if isinstance(held, ClassInfo):
            return (held,)
        return classes_of(module, node.func.value, depth - 1)
    if node.func.attr in _SAME:
        if module.qualified(node.func) == "torch.compile":
            return classes_of(module, node.args[0] if node.args else None, depth - 1)
        return classes_of(module, node.func.value, depth - 1)
    return ()


def only_class(module: Module, node: ast.expr) -> ClassInfo | None:
    """Return the one class of the project that an expression is an object of."""
    found = classes_of(module, node)
    return found[0] if len(found) == 1 else None


def _of_name(module: Module, name: ast.Name, depth: int) -> tuple[ClassInfo, ...]:
    function = module.enclosing_function(name)
    while function is not None and name.id not in module.scope_of(function):
        function = module.enclosing_function(function)
    if function is not None and name.id in parameter_names(function):
        return ()
    ways = []
    for bound in bindings(module, name.id, function):
        targets = (
            bound.targets if isinstance(bound, ast.Assign) else [getattr(bound, "target", None)]
        )
        if not any(isinstance(node, ast.Name) and node.id == name.id for node in targets):
            if any(isinstance(node, (ast.Name, ast.Tuple, ast.List)) for node in targets):
                return ()
            continue  # model.name = ...: the object stays what it is.
        value = bound.value if isinstance(bound, (ast.Assign, ast.AnnAssign)) else None
        if not (isinstance(value, ast.Call) and _hands_on(value, name.id)):
            ways.append(classes_of(module, value, depth - 1))
    return _all(ways)


def _hands_on(value: ast.Call, name: str) -> bool:
    """Tell whether ``model = model.to(device)`` binds a name to what it held."""
    func = value.func
    if not isinstance(func, ast.Attribute) or func.attr not in _SAME:
        return False
    given = func.value if not value.args or func.attr != "compile" else value.args[0]
    return isinstance(given, ast.Name) and given.id == name


def _of_function(made: FunctionInfo, depth: int) -> tuple[ClassInfo, ...]:
    """Return what a function of the project answers with."""
    returned = [node.value for node in own_nodes(made.node) if isinstance(node, ast.Return)]
    return _all(classes_of(made.module, value, depth - 1) for value in returned)


def _all(ways: Iterable[tuple[ClassInfo, ...]]) -> tuple[ClassInfo, ...]:
    found = list(ways)
    return tuple(dict.fromkeys(cls for way in found for cls in way)) if all(found) else ()
