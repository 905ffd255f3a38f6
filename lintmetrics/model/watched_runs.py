"""Which trainings watch a key, and whether everything that these log is in sight."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from lintmetrics.kept_answers import kept
from lintmetrics.model.lightning_objects import ROOT, has_strange_bases
from lintmetrics.model.sight import files_in_sight
from lintmetrics.model.tensors import bindings
from lintmetrics.model.trainer_calls import TrainerCall, trainer_calls
from lintmetrics.project import ClassInfo, External, FunctionInfo
from lintmetrics.tree import own_nodes, parameter_names, subtree

if TYPE_CHECKING:
    from lintmetrics.edits import FunctionNode
    from lintmetrics.project import Module, Project

_BY_OTHER_WAYS = re.compile(
    r"(?:callback|logged)_metrics|\bgetattr\(|\.log(?:_dict)?\b\s*(?!\()|\.callbacks\b|LightningCLI"
)
_LOGS = ("log", "log_dict")
_NUMBERS = ("callback_metrics", "logged_metrics", "callbacks")
_DEPTH = 4
_ADDS = ("append", "extend", "insert", "update")


@dataclass(frozen=True, eq=False)
class Runs:
    """The trainings that watch a key.

    Args:
        family: the modules that are trained, with their bases and subclasses; empty where that
            is not known.
        names: what these and the code around the training read; a module that is named there may
            be part of one that trains.
        files: the paths of the files that may run with them; ``None`` for all of the project.
        trained: all that may be trained, as far as it is known; ``calls``: what trains it.
    """

    family: frozenset[ClassInfo] = frozenset()
    names: frozenset[str] = frozenset()
    files: frozenset[str] | None = None
    trained: frozenset[ClassInfo] = frozenset()
    calls: tuple[TrainerCall, ...] = ()

    @cached_property
    def is_seen(self) -> bool:
        """Whether whatever they log is logged by a call that can be read."""
        return (
            bool(self.trained)
            and all(cls.is_kind("LightningModule") for cls in self.trained)
            and not any(
                has_strange_bases(cls) or _hands_itself_out(cls) for cls in _family(self.trained)
            )
            and all(_has_known_callbacks(call) for call in self.calls)
            and not _any_logs_otherwise(next(iter(self.trained)).module.project, self.files)
        )

    def may_run(self, module: Module) -> bool:
        """Tell whether anything of a file may run in them."""
        return self.files is None or module.path in self.files

    def has_part(self, module: Module, node: ast.AST) -> bool:
        """Tell whether code may run in them; that of a module that is not trained does not."""
        if not self.may_run(module):
            return False
        if not self.family:
            return True
        cls = module.enclosing_class(node)
        if cls is None or not cls.is_kind("LightningModule"):
            return True
        if cls in self.family or cls.node.name in self.names:
            return True
        return not _names_of(cls).isdisjoint(one.node.name for one in self.family)


ALL_RUNS = Runs()


@kept
def runs_of_module(cls: ClassInfo) -> Runs:
    """Return the trainings of a module, for what it watches itself."""
    files = files_in_sight(cls.module)
    if cls.lookup("training_step") is None:
        return _any_of(cls.module.project, files)
    return _of(frozenset((cls,)), _names_around(cls.module, None), files)


@kept
def runs_of_scope(module: Module, function: FunctionNode | None) -> Runs:
    """Return the trainings that a function starts, or the file itself, for the callbacks it makes.

    Where it starts none, those of the project, if all of these are known.
    """
    project = module.project
    is_whole = any(cls.is_kind("LightningModule") for cls in module.classes)
    files = files_in_sight(module, is_whole)
    every = tuple(
        call
        for call in trainer_calls(project)
        if call.kind == "fit"
        and call.is_of_trainer
        and (files is None or call.module.path in files)
    )
    own = tuple(
        call
        for call in every
        if call.module is module and module.enclosing_function(call.node) is function
    )
    calls = own or every
    if not calls or not all(call.classes for call in calls):
        return _any_of(project, files)
    if not own:
        # Of several functions that train, it is not known which is given the callback.
        return _any_of(project, files, every)
    return _of(_classes(own), _names_around(module, function), files, own)


@kept
def _any_of(
    project: Project, files: frozenset[str] | None, calls: tuple[TrainerCall, ...] = ()
) -> Runs:
    """Return the trainings of whatever module, in some files."""
    return Runs(files=files, trained=_classes(calls), calls=calls)


def _of(
    trained: frozenset[ClassInfo],
    names: frozenset[str],
    files: frozenset[str] | None,
    calls: tuple[TrainerCall, ...] = (),
) -> Runs:
    family = _family(trained)
    read = frozenset(name for one in family for name in _names_of(one))
    return Runs(family, names | read, files, trained, calls)


def _classes(calls: tuple[TrainerCall, ...]) -> frozenset[ClassInfo]:
    return frozenset(cls for call in calls for cls in call.classes)


def _family(trained: frozenset[ClassInfo]) -> frozenset[ClassInfo]:
    return frozenset(one for cls in trained for one in (*cls.mro(), *cls.subclasses))


@kept
def _names_of(cls: ClassInfo) -> frozenset[str]:
    """Return the names that a class reads."""
    return frozenset(name for node in subtree(cls.node) if (name := _spelled(node)))


@kept
def _any_logs_otherwise(project: Project, files: frozenset[str] | None) -> bool:
    paths = project.paths_mentioning(_BY_OTHER_WAYS)
    modules = (project.module_at(path) for path in paths if files is None or path in files)
    return any(module is not None and _logs_otherwise(module) for module in modules)


def _names_around(module: Module, function: FunctionNode | None) -> frozenset[str]:
    """Return the names that a function reads, or a file outside of functions and classes."""
    body: list[ast.AST] = [module.tree] if function is None else [function]
    found: set[str] = set()
    while body:
        for child in ast.iter_child_nodes(body.pop()):
            if not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                found.add(_spelled(child))
                body.append(child)
    return frozenset(found)


def _spelled(node: ast.AST) -> str:
    if isinstance(node, ast.Name):
        return node.id
    return node.attr if isinstance(node, ast.Attribute) else ""


def _hands_itself_out(cls: ClassInfo) -> bool:
    """Tell whether a module gives itself to code of other packages, which may log with it."""
    for node in subtree(cls.node):
        if not isinstance(node, ast.Call):
            continue
        given = (*node.args, *(keyword.value for keyword in node.keywords))
        if not any(isinstance(one, ast.Name) and one.id == "self" for one in given):
            continue
        made = cls.module.resolve(node.func) if _spelled(node.func) else None
        if isinstance(made, External) and not ROOT.match(made.name) and "." in made.name:
            return True
    return False


def _logs_otherwise(module: Module) -> bool:
    """Tell whether a file logs, or adds to what is watched, by anything but a log call."""
    for node in subtree(module.tree):
        above = module.parent(node)
        if isinstance(node, ast.Constant) and node.value in _LOGS:
            if isinstance(above, ast.Call) and _spelled(above.func) == "getattr":
                return True
        elif isinstance(node, ast.Name) and node.id == "LightningCLI":
            return True
        elif not isinstance(node, ast.Attribute):
            continue
        elif node.attr in _LOGS and isinstance(node.ctx, ast.Load):
            is_called = isinstance(above, ast.Call) and above.func is node
            if not is_called and not isinstance(module.resolve(node), External):
                return True
        elif node.attr == "LightningCLI":
            return True
        elif node.attr in _NUMBERS:
            is_set = isinstance(node.ctx, ast.Store) or (
                isinstance(above, ast.Subscript) and isinstance(above.ctx, ast.Store)
            )
            if is_set or (isinstance(above, ast.Attribute) and above.attr in _ADDS):
                return True
    return False


# Callbacks ---------------------------------------------------------------------------------------


def _has_known_callbacks(call: TrainerCall) -> bool:
    """Tell whether the callbacks of a Trainer are Lightning's own and those of the project."""
    made = call.trainer
    if made is None:
        return False
    given = {keyword.arg: keyword.value for keyword in made.keywords}
    if "callbacks" in given:
        return _is_known(call.module, given["callbacks"], _DEPTH)
    return None not in given and not made.args


def _is_known(module: Module, node: ast.expr, depth: int) -> bool:
    """Tell whether the log calls of what an expression is, or holds, are in sight."""
    if depth <= 0:
        return False
    if isinstance(node, (ast.List, ast.Tuple)):
        return all(_is_known(module, item, depth) for item in node.elts)
    ways: list[ast.expr] = []
    if isinstance(node, ast.Starred):
        ways = [node.value]
    elif isinstance(node, ast.BinOp):
        ways = [node.left, node.right]
    elif isinstance(node, ast.IfExp):
        ways = [node.body, node.orelse]
    elif isinstance(node, ast.Name):
        ways = _ways_of(module, node)
    elif isinstance(node, ast.Call):
        return _makes_known(module, node, depth)
    else:
        return isinstance(node, ast.Constant)
    return bool(ways) and all(_is_known(module, way, depth - 1) for way in ways)


def _makes_known(module: Module, call: ast.Call, depth: int) -> bool:
    made = module.resolve(call.func) if isinstance(call.func, (ast.Name, ast.Attribute)) else None
    if isinstance(made, External):
        return ROOT.match(made.name) is not None
    if isinstance(made, ClassInfo):
        return not has_strange_bases(made)
    if isinstance(made, FunctionInfo):
        answers = [n.value for n in own_nodes(made.node) if isinstance(n, ast.Return)]
        return bool(answers) and all(
            one is not None and _is_known(made.module, one, depth - 1) for one in answers
        )
    return False


def _ways_of(module: Module, name: ast.Name) -> list[ast.expr]:
    """Return what a name may hold, and what is added to the list that it holds.

    Empty where one of them is not known.
    """
    function = module.enclosing_function(name)
    while function is not None and name.id not in module.scope_of(function):
        function = module.enclosing_function(function)
    if function is not None and name.id in parameter_names(function):
        return []
    ways: list[ast.expr] = []
    for bound in bindings(module, name.id, function):
        kinds = (ast.Assign, ast.AnnAssign, ast.AugAssign)
        value = bound.value if isinstance(bound, kinds) else None
        if value is None:
            return []
        ways.append(value)
    for call in module.calls:
        func = call.func
        if (
            isinstance(func, ast.Attribute)
            and func.attr in _ADDS
            and isinstance(func.value, ast.Name)
            and func.value.id == name.id
            and module.enclosing_function(call) is function
        ):
            if not call.args:
                return []
            ways.append(call.args[-1])
    return ways
