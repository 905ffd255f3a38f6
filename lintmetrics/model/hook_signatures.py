"""Hooks whose parameters are not those that Lightning calls them with."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from lintmetrics import facts
from lintmetrics.edits import FunctionNode, default_of
from lintmetrics.facts import Hook
from lintmetrics.model.epoch_hooks import STAGE_OF_HOOK, loads
from lintmetrics.model.hook_methods import HookMethod
from lintmetrics.model.hooks import STEPS, stage_of
from lintmetrics.model.lightning_objects import is_left_alone, kind_of
from lintmetrics.model.lightning_versions import consequence
from lintmetrics.model.loaders import are_several, how_many, is_one
from lintmetrics.model.optimizers import is_automatic
from lintmetrics.model.own_hooks import given_first, mentions, owners
from lintmetrics.project import ClassInfo
from lintmetrics.releases import reaches
from lintmetrics.rule import Consequence

_STATE = ("on_save_checkpoint", "on_load_checkpoint")
_OTHERS_CALL = ("setup", "teardown", "prepare_data", "backward", "configure_optimizers")
_HARMLESS = ("rank_zero_only", "no_grad", "inference_mode", "override", "abstractmethod")
_RUNS = (*STEPS, "configure_optimizers")
_TODAY = "2.0"  # Since this release hooks are called as the rows of today's say.


@dataclass(frozen=True)
class Misfit(HookMethod):
    """A hook that Lightning cannot call, or calls with less than it waits for.

    Args:
        owner: what its class is to Lightning.
        current: how Lightning calls it; ``row``: what changed, where the table says so.
        problem: ``"requires"`` (a parameter that is not given), ``"lacks"`` (one that is),
            ``"index"`` (one that is given only where there are several dataloaders), ``"several"``
            (does not take that one, and there are several), ``"shifted"``
            (one takes what is meant for another), ``"unfilled"`` (reads a parameter that keeps its
            default), ``"unrun"`` (never calls the one that does the work), ``"refused"`` or
            ``"named"`` (needs the name of today).
        parameter: the name of that parameter.
        consequence: what comes of it.
    """

    owner: str
    current: Hook
    row: Hook | None
    problem: str
    parameter: str
    consequence: Consequence

    @property
    def written(self) -> str:
        """The signature that fits."""
        optional = "dataloader_idx=0"
        told = self.problem in ("index", "named", "several")
        names = ["self", *given_first(self.owner, self.name)]
        names += [p.name for p in self.current.parameters if not p.optional]
        names += [
            optional if p.name == "dataloader_idx" else p.name
            for p in self.current.parameters
            if p.optional and (told or p.name == "batch_idx")
        ]
        return f"{self.name}({', '.join(names)})"


def misfits(cls: ClassInfo) -> Iterator[Misfit]:
    """Yield the hooks of a class that do not fit how Lightning calls them."""
    project = cls.module.project
    for owner in owners(cls):
        hooks = facts.hooks_of(owner, "current")
        for name in hooks.keys() & cls.methods.keys():
            function = cls.methods[name]
            if name in STAGE_OF_HOOK or not _is_plain(function):
                continue
            found = problem_of(cls, owner, function, hooks[name])
            if found is None or is_left_alone(cls.module, function, name):
                continue
            problem, parameter = found
            row = change_of(owner, function, problem, parameter)
            effect = consequence(row, project) if row is not None else Consequence.CRASH
            if row is None and not reaches(project.target_lightning, _TODAY):
                continue
            if effect is None:
                continue
            # Who else calls a step says nothing where it waits for what only Lightning counts.
            meant = name in STEPS and problem == "named" and "loader" in parameter
            if not meant and _is_own(cls, owner, function, hooks[name]):
                continue
            if problem == "unfilled" and effect is not Consequence.STALE:
                effect = Consequence.IGNORED
            yield Misfit(cls, function, owner, hooks[name], row, problem, parameter, effect)


def _is_plain(function: FunctionNode) -> bool:
    arguments = function.args
    if not (arguments.posonlyargs or arguments.args) or isinstance(function, ast.AsyncFunctionDef):
        return False
    return all(
        ast.unparse(decorator).split("(")[0].rpartition(".")[2] in _HARMLESS
        for decorator in function.decorator_list
    )


def positional(owner: str, function: FunctionNode) -> list[ast.arg]:
    """Return the parameters of a hook behind those that every hook of its owner has."""
    arguments = function.args
    given = 1 + len(given_first(owner, function.name))
    return [*arguments.posonlyargs, *arguments.args][given:]


def problem_of(
    cls: ClassInfo, owner: str, function: FunctionNode, current: Hook
) -> tuple[str, str] | None:
    """Return why a method cannot be called as a hook is, and for which parameter."""
    arguments = function.args
    own = positional(owner, function)
    names = [a.arg for a in own]
    only = [a.arg for a in arguments.kwonlyargs]
    by_name = [p.name for p in current.parameters if p.keyword]
    given = [p.name for p in current.parameters if not p.keyword and not p.optional]
    most = given + [p.name for p in current.parameters if p.optional]
    first = given_first(owner, current.name)
    if len(arguments.posonlyargs + arguments.args) <= len(first):
        if arguments.vararg is None:
            return None if current.name in _STATE else ("lacks", first[-1])
        given, most = [], []
    if current.name == "training_step" and "optimizer_idx" in [*names, *only]:
        return "refused", "optimizer_idx"
    if owner == "callback" and current.name in _STATE and len(names) < len(given):
        return None  # What callbacks keep is another matter.
    if len(names) < len(given) and arguments.vararg is None:
        return "lacks", given[len(names)]
    for name in by_name:
        if name not in (*names[len(given) :], *only) and arguments.kwarg is None:
            return "lacks", name
    row = facts.hook(owner, current.name, "signature")
    gone = _gone(row)
    for name, wanted in zip(names, given, strict=False):
        if name in gone and name != wanted and default_of(function, name) is not None:
            return "shifted", name
    for index, argument in enumerate(own):
        name = argument.arg
        if index < len(given) or name in by_name or default_of(function, name) is not None:
            continue
        if index >= len(most):
            return "requires", next((n for n in names if n in gone), name)
        if most[index] == "dataloader_idx":
            return _told(cls, owner, current, name)
    for name in only:
        if name not in by_name and default_of(function, name) is None:
            return "requires", name
    for name, wanted in zip(names, given, strict=False):
        if name in gone and name != wanted:
            return "shifted", name
    if _lacks_index(cls, owner, function, current):
        return "several", "dataloader_idx"
    if owner == "module" and current.name == "optimizer_step" and len(names) >= len(given):
        closure = names[len(given) - 1]
        if not arguments.vararg and not any(loads(function, closure)) and is_automatic(cls):
            return "unrun", closure
    return _unfilled(function, names, only, gone)


def _told(cls: ClassInfo, owner: str, current: Hook, name: str) -> tuple[str, str] | None:
    """Return what is wrong with a parameter for the index of the dataloader without default."""
    if current.name in STEPS:
        if name != "dataloader_idx":
            return "named", name
        # Lightning 1 gave it to steps where there were several dataloaders, and 2 does so too.
        return ("index", name) if is_one(cls, stage_of(current.name)) else None
    if owner == "module" and are_several(cls, stage_of(current.name)):
        return None if name == "dataloader_idx" else ("named", name)
    return "index", name


def _lacks_index(cls: ClassInfo, owner: str, function: FunctionNode, current: Hook) -> bool:
    """Tell whether several dataloaders are shown, and a hook is not to be told which."""
    wanted = [p.name for p in current.parameters if not p.keyword]
    if owner != "module" or wanted[-1:] != ["dataloader_idx"]:
        return False
    arguments = function.args
    if arguments.vararg or arguments.kwarg or arguments.kwonlyargs:
        return False
    few = len(positional(owner, function)) == len(wanted) - 1
    return few and how_many(cls, stage_of(current.name)) > 1


def _gone(row: Hook | None) -> set[str]:
    """Return the parameters that the change of a hook took away."""
    if row is None:
        return set()
    left = {p.name for _, parameters in row.successors for p in parameters}
    return {p.name for p in row.parameters} - left


def _unfilled(
    function: FunctionNode, names: list[str], only: list[str], gone: set[str]
) -> tuple[str, str] | None:
    for name in (*names, *only):
        default = default_of(function, name)
        empty = isinstance(default, ast.Constant) and default.value is None
        if name in gone and empty and _is_read(function, name):
            return "unfilled", name
    return None


def _is_read(function: FunctionNode, name: str) -> bool:
    return any(not is_handed_on(function, load) for load in loads(function, name))


def is_handed_on(function: FunctionNode, load: ast.Name) -> bool:
    """Tell whether a read only hands a parameter to the hook that a method overrides."""
    above = getattr(load, "lm_parent", None)
    if isinstance(above, ast.keyword):
        above = getattr(above, "lm_parent", None)
    return (
        isinstance(above, ast.Call)
        and isinstance(above.func, ast.Attribute)
        and above.func.attr == function.name
        and isinstance(above.func.value, ast.Call)
        and getattr(above.func.value.func, "id", "") == "super"
    )


def change_of(owner: str, function: FunctionNode, problem: str, parameter: str) -> Hook | None:
    """Return the row that tells why a hook does not fit, where there is one."""
    if problem in ("refused", "named", "several"):
        kinds = ("refused",) if problem == "refused" else ("named", "signature")
        rows = (facts.hook(owner, function.name, kind) for kind in kinds)
        return next((row for row in rows if row is not None), None)
    row = facts.hook(owner, function.name, "signature")
    if row is None or problem == "unrun":
        return None
    new = row.successors[0][1]
    if problem == "lacks":
        fits = len(row.parameters) < len(new) and parameter in {p.name for p in new}
        return row if fits and len(positional(owner, function)) == len(row.parameters) else None
    if problem == "requires" and function.name == "training_step" and parameter != "hiddens":
        return None
    return row if len(row.parameters) > len(new) or problem == "index" else None


def _is_called_by_fabric(cls: ClassInfo, name: str) -> bool:
    """Tell whether a trainer of the project's own calls hooks: ``fabric.call("on_fit_start")``."""
    for module, node in mentions(cls.module.project, name).texts:
        call = module.parent(node)
        if isinstance(call, ast.Call) and getattr(call.func, "attr", "") == "call":
            return True
    return False


def _is_driven(cls: ClassInfo, function: FunctionNode) -> bool:
    """Tell whether a module of the project calls a hook of a callback, with all that it takes."""
    arguments = function.args
    taken = len(arguments.posonlyargs + arguments.args) - 1
    return any(
        reference.receiver == "other"
        and reference.cls is not None
        and reference.cls.is_lightning
        and reference.call is not None
        and len(reference.arguments) == taken
        and kind_of(reference.module, reference.node.value).cls in (cls, *cls.subclasses)
        for reference in mentions(cls.module.project, function.name).references
    )


def _is_own(cls: ClassInfo, owner: str, function: FunctionNode, current: Hook) -> bool:
    """Tell whether a method is rather the project's own: called as it is, or never by a Trainer."""
    name = function.name
    if _is_called_by_fabric(cls, name) or (owner == "callback" and _is_driven(cls, function)):
        return True
    if not (name in _OTHERS_CALL or name in STEPS or name.endswith("_dataloader")):
        return False
    relatives = (*cls.mro(), *cls.subclasses)
    runs = any(run in relative.methods for relative in relatives for run in _RUNS)
    if owner == "module" and name not in STEPS and not runs:
        return True  # A part of a model, which no Trainer is given.
    given = len(current.parameters)
    taken = len(positional(owner, function))
    for reference in mentions(cls.module.project, name).references:
        call = reference.call
        if call is None or reference.receiver == "super":
            continue
        count = len(reference.arguments)
        if any(isinstance(argument, ast.Starred) for argument in call.args):
            return True
        by_itself = reference.receiver == "self" and reference.cls in relatives
        if count > given or ((taken or by_itself) and count == taken != given):
            return True
    return False
