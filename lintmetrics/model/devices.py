"""On how many devices a project trains its modules, as far as its own code says so."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from lintmetrics.kept_answers import kept
from lintmetrics.model.batch_parts import local_value
from lintmetrics.model.tensors import constant
from lintmetrics.model.trainer_calls import is_trainer, trainer_calls
from lintmetrics.project import ClassInfo, FunctionInfo, Module, Project
from lintmetrics.tree import subtree

_TRAINER = re.compile(r"\bTrainer\(")
_COUNTS = ("devices", "gpus", "num_nodes", "num_processes", "tpu_cores")
_STRATEGIES = ("strategy", "accelerator", "distributed_backend", "plugins")
# Strategies that give each process a part of the samples; "dp" and "auto" do not, or may not.
_SHARDED = re.compile(r"(?:ddp|fsdp|deepspeed|horovod|bagua|colossalai|hpu_parallel|xla)(?:_|\d|$)")
_SHARDED_CLASS = re.compile(r"(?:DDP|FSDP|DeepSpeed|Horovod|Bagua)\w*(?:Strategy|Plugin)$")
_TESTS = re.compile(r"(?:tests?|conftest\.py|test_\w+\.py)$")

_RANK = re.compile(
    r"\b(?:is_global_zero|global_rank|local_rank|is_rank_zero|get_rank|global_zero)\b"
)
_FIRST = re.compile(r"(?:global_rank|\brank|get_rank\(\))$")
_GATHERED = re.compile(
    r"all_?gather|all_?reduce|\.reduce\(|reduce_(?:mean|tensor|dict)|gather_|sync_(?:ddp|tensor)"
    r"|\bdist\.|torch\.distributed|\bxm\."
)
_NAMED_GATHERING = re.compile(
    r"gathered|gather_|all_?reduce|_ranks?(?:_|$)|across|synchroni[sz]e|sync_(?!dist)|_sync$|broadcast"
)
_DEPTH = 2
# Without its sampler each process has all samples, or those that the project gives it.
_SAMPLERS = ("use_distributed_sampler", "replace_sampler_ddp")


def is_distributed(cls: ClassInfo) -> bool:
    """Tell whether the project surely trains a module on several devices.

    That is so where the Trainer that fits it, or else every Trainer of the project, is told of
    several devices or of a strategy for them, and leaves the sampler to Lightning.
    """
    tied, everywhere = _told(cls.module.project)
    own = [told for other in (*cls.mro(), *cls.subclasses) for told in tied.get(other, ())]
    told = own or everywhere
    return bool(told) and all(told)


@kept
def gathers(cls: ClassInfo) -> bool:
    """Tell whether a class gathers from the other processes by hand, and may log the outcome."""
    owners = list(dict.fromkeys((cls, *cls.mro())))
    if any(_GATHERED.search(one.module.source.segment(one.node)) for one in owners):
        return True
    return any(_hands_to_gather(one.module, one.node, 0) for one in owners)


@kept
def is_alone(project: Project) -> bool:
    """Tell whether every Trainer of a project is told of one device."""
    counts = [
        _is_of_one(module, call)
        for module in project.mentioning(_TRAINER, "Trainer(")
        for call in module.calls
        if is_trainer(module, call)
    ]
    return bool(counts) and all(counts)


def _is_of_one(module: Module, call: ast.Call) -> bool:
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    nodes = _count(constant(module, given["num_nodes"])) if "num_nodes" in given else 1
    told = [_count(constant(module, given[n])) for n in ("devices", "gpus") if n in given]
    return nodes == 1 and told == [1] and None not in given


def _hands_to_gather(module: Module, node: ast.AST, depth: int) -> bool:
    """Tell whether code calls a function that gathers, of the project or by its name."""
    for call in subtree(node):
        if not isinstance(call, ast.Call):
            continue
        func = call.func
        name = func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")
        if _NAMED_GATHERING.search(name):
            return True
        if depth < _DEPTH and isinstance(func, (ast.Name, ast.Attribute)):
            made = module.resolve(func)
            if isinstance(made, FunctionInfo):
                text = made.module.source.segment(made.node)
                if _GATHERED.search(text) or _hands_to_gather(made.module, made.node, depth + 1):
                    return True
    return False


def is_of_first(test: ast.expr) -> bool:
    """Tell whether a condition lets the first process alone pass."""
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
        return any(is_of_first(value) for value in test.values)
    if isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], ast.Eq):
        sides = (test.left, test.comparators[0])
        zero = any(isinstance(side, ast.Constant) and side.value == 0 for side in sides)
        return zero and any(_FIRST.search(ast.unparse(side)) is not None for side in sides)
    return isinstance(test, ast.Attribute) and test.attr == "is_global_zero"


def asks_rank(node: ast.expr) -> bool:
    """Tell whether a condition asks which process it is."""
    return _RANK.search(ast.unparse(node)) is not None


@kept
def _told(project: Project) -> tuple[dict[ClassInfo, list[bool]], list[bool]]:
    """Return what the Trainers say, by the module they fit, and what all of them say."""
    tied: dict[ClassInfo, list[bool]] = {}
    everywhere = [
        _is_sharded(module, call)
        for module in project.mentioning(_TRAINER, "Trainer(")
        if not _is_of_tests(module)
        for call in module.calls
        if is_trainer(module, call)
    ]
    for call in trainer_calls(project):
        if call.trainer is not None and call.cls is not None and not _is_of_tests(call.module):
            tied.setdefault(call.cls, []).append(_is_sharded(call.module, call.trainer))
    return tied, everywhere


def _is_of_tests(module: Module) -> bool:
    return any(_TESTS.match(part) for part in Path(module.path).parts[-3:])


def _is_sharded(module: Module, call: ast.Call) -> bool:
    given = {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
    if any(name in given and constant(module, given[name]) is not True for name in _SAMPLERS):
        return False
    counts = [_count(constant(module, given[name])) for name in _COUNTS if name in given]
    if any(count > 1 for count in counts):
        # Without a strategy, several devices are a reason for DDP; "dp" splits the batch instead.
        return not any(constant(module, given[n]) == "dp" for n in _STRATEGIES if n in given)
    nodes = _count(constant(module, given["num_nodes"])) if "num_nodes" in given else 1
    devices = [_count(constant(module, given[n])) for n in ("devices", "gpus") if n in given]
    if 1 in devices and nodes <= 1:
        return False
    return any(_names_strategy(module, given[name]) for name in _STRATEGIES if name in given)


def _count(value: object) -> int:
    """Return a number of devices; 0 where it is not told, as with ``"auto"`` or ``-1``."""
    if isinstance(value, bool):
        return 0
    if isinstance(value, (list, tuple)):
        return len(value)
    if isinstance(value, str):
        parts = value.split(",")
        return int(value) if value.isdigit() else len(parts) if len(parts) > 1 else 0
    return value if isinstance(value, int) and value > 0 else 0


def _names_strategy(module: Module, node: ast.expr) -> bool:
    value = constant(module, node)
    if isinstance(value, str):
        return _SHARDED.match(value) is not None
    if isinstance(node, (ast.List, ast.Tuple)):
        return any(_names_strategy(module, item) for item in node.elts)
    if isinstance(node, ast.Name):
        inner = local_value(module, node)
        return isinstance(inner, ast.Call) and _names_strategy(module, inner)
    if isinstance(node, ast.Call):
        name = (module.qualified(node.func) or "").rpartition(".")[2]
        return _SHARDED_CLASS.match(name) is not None
    return False
