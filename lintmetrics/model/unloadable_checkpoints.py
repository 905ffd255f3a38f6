"""Checkpoints of a project that hold what Lightning 2.6 does not unpickle by itself."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from lintmetrics.kept_answers import kept
from lintmetrics.model.batch_parts import local_value
from lintmetrics.model.lightning_objects import is_left_alone, kind_of_class
from lintmetrics.model.trainer_calls import TrainerCall, trainer_calls
from lintmetrics.project import ClassInfo, FunctionInfo, Module
from lintmetrics.releases import reaches
from lintmetrics.tree import own_nodes

_SINCE = "2.6"
_LOADS = re.compile(r"\.(?:load_from_checkpoint|fit|validate|test)\s*\(")
# A project that says what may be unpickled, or keeps its hyperparameters out of the file.
_MINDED = re.compile(
    r"safe_globals|NO_WEIGHTS_ONLY_LOAD|hyper_parameters|CHECKPOINT_HYPER_PARAMS|serialization\."
)
_PARSED = ("parse_args", "parse_known_args")
# As a whole DictConfig is kept as it is, where a Namespace is taken apart.
_KEPT_WHOLE = "DictConfig"
_TYPES = {
    "argparse.Namespace": "Namespace",
    "omegaconf.DictConfig": _KEPT_WHOLE,
    "omegaconf.dictconfig.DictConfig": _KEPT_WHOLE,
}


@dataclass(frozen=True)
class UnloadableCheckpoint:
    """A call that reads a checkpoint of a module, in which there is an object.

    Args:
        module: the file; ``node``: the call.
        cls: the module whose checkpoint it is.
        parameter: what its ``__init__`` keeps; ``kind``: the class of that.
    """

    module: Module = field(repr=False)
    node: ast.Call
    cls: ClassInfo
    parameter: str
    kind: str


def unloadable_checkpoints(module: Module) -> Iterator[UnloadableCheckpoint]:
    """Yield the calls of a file that load what holds a Namespace or a DictConfig."""
    project = module.project
    if not reaches(project.target_lightning, _SINCE) or not _LOADS.search(module.source.code):
        return
    if project.mentioning(_MINDED):
        return
    for call in module.calls:
        func = call.func
        if isinstance(func, ast.Attribute) and func.attr == "load_from_checkpoint":
            cls = kind_of_class(module.resolve(func.value)).cls
            yield from _found(module, call, cls)
    for run in trainer_calls(project):
        if run.module is module and run.is_of_trainer:
            cls = _loaded(run)
            if cls is not None:
                yield from _found(module, run.node, cls)


def _found(module: Module, call: ast.Call, cls: ClassInfo | None) -> Iterator[UnloadableCheckpoint]:
    named = {keyword.arg for keyword in call.keywords}
    if cls is None or named & {None, "weights_only"} or is_left_alone(module, call, "weights_only"):
        return
    held = _held(cls)
    if held is not None:
        yield UnloadableCheckpoint(module, call, cls, *held)


def _loaded(run: TrainerCall) -> ClassInfo | None:
    """Return the class of the module of which a run reads a checkpoint, or ``None``."""
    path = next((k.value for k in run.node.keywords if k.arg == "ckpt_path"), None)
    if path is not None:
        text = isinstance(path, ast.Constant) and isinstance(path.value, str)
        return (run.cls or _fitted(run)) if text else None
    model = run.node.args or any(keyword.arg == "model" for keyword in run.node.keywords)
    if run.kind == "fit" or model or run.trainer is None:
        return None
    # Without a module, the best checkpoint of the training is taken, where one is written.
    given = {keyword.arg for keyword in run.trainer.keywords}
    off = {"enable_checkpointing", "checkpoint_callback", "fast_dev_run", "barebones", None}
    return None if given & off else _fitted(run)


def _fitted(run: TrainerCall) -> ClassInfo | None:
    """Return the class of the one module that the Trainer of a run trained before."""
    assert isinstance(run.node.func, ast.Attribute)
    name = ast.unparse(run.node.func.value)
    function = run.module.enclosing_function(run.node)
    fits = [
        other
        for other in trainer_calls(run.module.project)
        if other.kind == "fit"
        and other.module is run.module
        and isinstance(other.node.func, ast.Attribute)
        and ast.unparse(other.node.func.value) == name
        and other.module.enclosing_function(other.node) is function
        and other.node.lineno < run.node.lineno
    ]
    return fits[0].cls if len(fits) == 1 else None


@kept
def _held(cls: ClassInfo) -> tuple[str, str] | None:
    """Return which parameter of a module its checkpoints hold as an object, and of what class."""
    init = cls.lookup("__init__")
    if init is None or init.cls is None:
        return None
    saves = [
        node
        for node in own_nodes(init.node)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "save_hyperparameters"
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "self"
    ]
    if len(saves) != 1:
        return None
    (save,) = saves
    ordered = [*init.node.args.posonlyargs, *init.node.args.args][1:]
    parameters = [*ordered, *init.node.args.kwonlyargs]
    whole = [one.id for one in save.args if isinstance(one, ast.Name)]
    if save.args and not (len(save.args) == len(whole) == 1):
        return None
    left_out: set[object] = set()
    for keyword in save.keywords:
        if keyword.arg == "logger":
            continue
        if keyword.arg != "ignore":
            return None
        try:
            ignored = ast.literal_eval(keyword.value)
        except ValueError:
            return None
        left_out |= {ignored} if isinstance(ignored, str) else set(ignored)
    for place, parameter in enumerate(parameters):
        if parameter.arg in left_out or (whole and parameter.arg not in whole):
            continue
        if _is_bound_again(init, parameter.arg, save.lineno):
            continue
        kind = _kind(cls, init, parameter, place if place < len(ordered) else None)
        if kind and (not whole or kind == _KEPT_WHOLE):
            return parameter.arg, kind
    return None


def _is_bound_again(init: FunctionInfo, name: str, line: int) -> bool:
    return any(
        isinstance(node, ast.Name)
        and node.id == name
        and isinstance(node.ctx, ast.Store)
        and node.lineno <= line
        for node in own_nodes(init.node)
    )


def _kind(cls: ClassInfo, init: FunctionInfo, parameter: ast.arg, place: int | None) -> str:
    """Return the class of what a parameter surely is given; empty where that is not known."""
    annotation = parameter.annotation
    if annotation is not None:
        said = annotation
        if isinstance(said, ast.Subscript) and ast.unparse(said.value).endswith("Optional"):
            said = said.slice
        return _TYPES.get(init.module.qualified(said) or "", "")
    kinds = set()
    for module in cls.module.project.mentioning(re.compile(rf"\b{cls.node.name}\s*\(")):
        for call in module.calls:
            if module.resolve(call.func) is cls:
                kinds.add(_given(module, call, parameter.arg, place))
    return kinds.pop() if len(kinds) == 1 else ""


def _given(module: Module, call: ast.Call, name: str, place: int | None) -> str:
    value = next((k.value for k in call.keywords if k.arg == name), None)
    before = call.args[: place + 1] if place is not None else []
    starred = any(isinstance(one, ast.Starred) for one in before)
    if value is None and place is not None and place < len(call.args) and not starred:
        value = call.args[place]
    made = local_value(module, value) if isinstance(value, ast.Name) else value
    if not isinstance(made, ast.Call):
        return ""
    parsed = isinstance(made.func, ast.Attribute) and made.func.attr in _PARSED
    if parsed or module.qualified(made.func) == "argparse.Namespace":
        return "Namespace"
    return ""
