"""What watches a logged number by its key: checkpoints, early stopping, plateau schedulers."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lintmetrics.kept_answers import kept
from lintmetrics.model import devices, hooks
from lintmetrics.model.flow import LightningClass
from lintmetrics.model.frames import Condition
from lintmetrics.model.lightning_objects import ROOT, has_strange_bases
from lintmetrics.model.loaders import how_many
from lintmetrics.model.log_calls import LogCall, LogContext
from lintmetrics.model.logged_keys import (
    LOG,
    LoggedKeys,
    keys_of,
    logged_keys,
    pattern_of,
    text_of,
)
from lintmetrics.model.tensors import bindings
from lintmetrics.model.values import Form, numbers, options
from lintmetrics.model.watched_runs import ALL_RUNS, Runs, runs_of_module, runs_of_scope
from lintmetrics.project import External
from lintmetrics.tree import subtree

if TYPE_CHECKING:
    from lintmetrics.project import Module, Project

_CALLBACK = re.compile(
    r"(?:pytorch_lightning|lightning\.pytorch|lightning)\.callbacks\.(?:\w+\.)*"
    r"(ModelCheckpoint|EarlyStopping)$"
)
_PLATEAU = "torch.optim.lr_scheduler.ReduceLROnPlateau"
_CALLBACKS = re.compile(r"\bcallbacks\s*=")
_HANDED_ON = re.compile(r"(?:callback|logged)_metrics\s*(?:\.update\(|\[[^\]]*\]\s*=[^=])")
_DOTTED = (ast.Name, ast.Attribute)
_IN_BRACES = re.compile(r"\{(.*?)[:}]")
_OF_BATCH = (Form.MEAN, Form.SUM, Form.METRIC, Form.RATIO, Form.HITS, Form.OTHER)


@dataclass(frozen=True, eq=False)
class Monitor:
    """A callback or scheduler that is told the key of a number.

    Args:
        module: the file; ``node``: the call or dict that says it.
        kind: ``ModelCheckpoint``, ``EarlyStopping`` or ``ReduceLROnPlateau``.
        key: the key; ``key_node``: where it is written.
        call: the call whose ``mode`` decides; ``None`` where it is not known.
    """

    module: Module = field(repr=False)
    node: ast.expr
    kind: str
    key: str
    key_node: ast.expr
    call: ast.Call | None

    def argument(self, name: str) -> ast.expr | None:
        """Return a keyword argument of the call that is told the mode."""
        for keyword in self.call.keywords if self.call is not None else ():
            if keyword.arg == name:
                return keyword.value
        return None

    @property
    def mode(self) -> str:
        """``min`` or ``max``; empty where that is not known."""
        if self.call is None or any(keyword.arg is None for keyword in self.call.keywords):
            return ""
        if self.kind == "ReduceLROnPlateau" and len(self.call.args) > 1:
            return ""
        if len(self.call.args) > (2 if self.kind == "EarlyStopping" else 1):
            return ""
        given = self.argument("mode")
        if given is None:
            return "min"
        value = given.value if isinstance(given, ast.Constant) else None
        return value if isinstance(value, str) and value in ("min", "max") else ""

    @property
    def is_for_steps(self) -> bool:
        """Whether it looks at the number in the middle of an epoch."""
        if isinstance(self.node, ast.Dict):
            for key, value in zip(self.node.keys, self.node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value == "interval":
                    return not (isinstance(value, ast.Constant) and value.value == "epoch")
            return False
        return any(
            self.argument(name) is not None
            for name in ("every_n_train_steps", "train_time_interval")
        )


def monitors(module: Module) -> list[Monitor]:
    """Return everything in a file that watches a key which is written down."""
    known: list[Monitor] | None = module.__dict__.get("_lm_monitors")
    if known is None:
        found: list[Monitor] = []
        if "monitor" in module.source.text or "EarlyStopping" in module.source.text:
            found = [*_of_callbacks(module), *_of_schedulers(module)]
        known = module.__dict__["_lm_monitors"] = found
    return known


def filename_keys(module: Module) -> Iterator[Monitor]:
    """Yield each key that a checkpoint writes into its file names, as if it watched it."""
    if "ModelCheckpoint" not in module.source.text:
        return
    for site in module.call_sites:
        match = _CALLBACK.match(site.name)
        if match is None or match.group(1) != "ModelCheckpoint":
            continue
        written = next((k.value for k in site.node.keywords if k.arg == "filename"), None)
        for key in dict.fromkeys(_IN_BRACES.findall(text_of(module, written))):
            if written is not None and key:
                yield Monitor(module, site.node, match.group(1), key, written, None)


def _of_callbacks(module: Module) -> Iterator[Monitor]:
    for site in module.call_sites:
        match = _CALLBACK.match(site.name)
        if match is None:
            continue
        kind = match.group(1)
        written = next((k.value for k in site.node.keywords if k.arg == "monitor"), None)
        if written is None and kind == "EarlyStopping" and site.node.args:
            written = site.node.args[0]
        key = text_of(module, written)
        if written is not None and key:
            yield Monitor(module, site.node, kind, key, written, site.node)


def _of_schedulers(module: Module) -> Iterator[Monitor]:
    for cls in module.classes:
        method = cls.methods.get("configure_optimizers")
        if method is None or not cls.is_lightning:
            continue
        for node in subtree(method):
            if not isinstance(node, ast.Dict):
                continue
            entries = {
                key.value: value
                for key, value in zip(node.keys, node.values, strict=True)
                if isinstance(key, ast.Constant)
            }
            written = entries.get("monitor")
            key = text_of(module, written)
            if written is None or not key:
                continue
            scheduler = entries.get("scheduler", entries.get("lr_scheduler"))
            if isinstance(scheduler, ast.Name):
                bound = bindings(module, scheduler.id, method)
                value = (
                    bound[0].value if len(bound) == 1 and isinstance(bound[0], ast.Assign) else None
                )
                scheduler = value or scheduler
            if isinstance(scheduler, ast.Call) and module.qualified(scheduler.func) == _PLATEAU:
                yield Monitor(module, node, "ReduceLROnPlateau", key, written, scheduler)


# What is logged ----------------------------------------------------------------------------------


def runs_of(monitor: Monitor) -> Runs:
    """Return the trainings in which a key is watched."""
    module = monitor.module
    if isinstance(monitor.node, ast.Dict):
        cls = module.enclosing_class(monitor.node)
        return ALL_RUNS if cls is None else runs_of_module(cls)
    return runs_of_scope(module, module.enclosing_function(monitor.node))


def known_keys(monitor: Monitor) -> LoggedKeys:
    """Return the keys that are logged where a key is watched."""
    return logged_keys(monitor.module.project, runs_of(monitor))


def is_spelled(monitor: Monitor) -> bool:
    """Tell whether a key is written but where it is watched.

    What takes no part in the training does not count. A test of the texts
    first: most keys that are watched are logged by the same name.
    """
    return _spelling(monitor.module.project, monitor.key, runs_of(monitor))[0]


@kept
def _spelling(project: Project, key: str, runs: Runs) -> tuple[bool, frozenset[str]]:
    """Return whether a key is written but where it is watched, and the hooks that return it.

    There are no such hooks where anything else writes it.
    """
    found: set[str] = set()
    for module, node, hook in _spelled(project, key):
        if not runs.has_part(module, node):
            continue
        if not hook:
            return True, frozenset()
        found.add(hook)
    return bool(found), frozenset(found)


@kept
def _spelled(project: Project, key: str) -> list[tuple[Module, ast.AST, str]]:
    """Return where a key is written but where it is watched, and the hook that returns it there.

    Many may watch one key: the texts of the project are searched once for each.
    """
    quoted = re.compile(rf"(['\"]){re.escape(key)}\1")
    return [
        (module, node, _hook_that_returns(module, node))
        for module in project.mentioning(quoted, key)
        for node in subtree(module.tree)
        if isinstance(node, ast.Constant) and node.value == key and not _is_watched(module, node)
    ]


def returned_by(monitor: Monitor) -> str:
    """Return the hook that returns a key in a dict, where that is all the project does with it.

    Empty where the key may be logged, or is written anywhere else.
    """
    project = monitor.module.project
    _, found = _spelling(project, monitor.key, runs_of(monitor))
    if not found or project.mentioning(_HANDED_ON) or _has_strange_callbacks(project):
        return ""
    logged = known_keys(monitor)
    may_be = logged.is_open or (bool(logged.keys) and logged.may_hold(monitor.key))
    return "" if may_be else min(found)


@kept
def _has_strange_callbacks(project: Project) -> bool:
    """Tell whether a Trainer has callbacks of other packages, which may log what steps return."""
    for module in project.mentioning(_CALLBACKS):
        for call in module.calls:
            given = next((k.value for k in call.keywords if k.arg == "callbacks"), None)
            for node in subtree(given) if given is not None else ():
                if not isinstance(node, ast.Call):
                    continue
                made = module.resolve(node.func) if isinstance(node.func, _DOTTED) else None
                if isinstance(made, External) and not ROOT.match(made.name):
                    return True
    return False


def _hook_that_returns(module: Module, node: ast.Constant) -> str:
    """Return the hook of a module that returns the dict in which a constant is a key."""
    made, function = module.parent(node), module.enclosing_function(node)
    cls = module.enclosing_class(node)
    if not isinstance(made, ast.Dict) or node not in made.keys or function is None:
        return ""
    if cls is None or not cls.is_kind("LightningModule") or function.name not in hooks.STEPS:
        return ""
    if has_strange_bases(cls) or function.decorator_list:
        return ""  # They may log what the step returns.
    around = module.parent(made)
    if isinstance(around, ast.Assign) and len(around.targets) == 1:
        name = around.targets[0]
        reads = [
            read
            for read in subtree(function)
            if isinstance(read, ast.Name)
            and isinstance(name, ast.Name)
            and read.id == name.id
            and isinstance(read.ctx, ast.Load)
        ]
        around = module.parent(reads[0]) if len(reads) == 1 else None
    return function.name if isinstance(around, ast.Return) else ""


def _is_watched(module: Module, node: ast.AST) -> bool:
    above = module.parent(node)
    if isinstance(above, ast.keyword):
        return "monitor" in (above.arg or "")
    if isinstance(above, ast.Dict) and node in above.values:
        key = above.keys[above.values.index(node)]
        return isinstance(key, ast.Constant) and "monitor" in str(key.value)
    if isinstance(above, ast.Assign):
        names = {target.id for target in above.targets if isinstance(target, ast.Name)}
        return any(getattr(other.key_node, "id", "") in names for other in monitors(module))
    return any(node is other.key_node for other in monitors(module))


def without_level(monitor: Monitor) -> str:
    """Return the key without an ending that only a number of both levels has.

    Lightning adds ``_step`` and ``_epoch`` where a number is logged at each step and for the epoch.
    Empty where the ending is there, or may be.
    """
    match = re.fullmatch(r"(.+)_(?:epoch|step)", monitor.key)
    if match is None:
        return ""
    base = match.group(1)
    ways = ways_of(monitor, base)
    levels = [(way.on_step, way.on_epoch) for way in ways]
    if not ways or any(None in level or level == (True, True) for level in levels):
        return ""
    logged = known_keys(monitor)
    templates = [pattern_of(name) for name in logged.keys if "*" in name]
    if logged.is_open or any(p.fullmatch(k) for p in templates for k in (base, monitor.key)):
        return ""
    # At steps alone, what a validation logs is not there for those who watch.
    if all(way.stage != "train" and not way.on_epoch for way in ways):
        return ""
    return base


def ways_of(monitor: Monitor, key: str = "") -> list[LogContext]:
    """Return every way in which a key that is spelled in a log call is logged."""
    base = key or re.sub(r"/dataloader_idx_\d+$", "", monitor.key)
    return [way for _, way in _calls_of(monitor, base)]


_Calls = list[tuple[LogCall, LogContext]]


def _calls_of(monitor: Monitor, key: str) -> _Calls:
    """Return the calls that log a key which is spelled, with the ways that lead to them."""
    runs = runs_of(monitor)
    every = _calls_in_project(monitor.module.project, key)
    return [found for found in every if runs.has_part(found[0].module, found[0].node)]


@kept
def _calls_in_project(project: Project, key: str) -> _Calls:
    quoted = re.compile(rf"(['\"]){re.escape(key)}\1")
    return [
        found
        for module in project.mentioning(quoted, key)
        for found in _calls_in(module).get(key, ())
    ]


@kept
def _calls_in(module: Module) -> dict[str, _Calls]:
    """Return the calls of a file that log each key, with the ways that lead to them."""
    found: dict[str, _Calls] = {}
    for cls in module.classes:
        if cls.is_lightning or cls.is_kind("Callback"):
            for call in LightningClass.of(cls).log_calls:
                for way in call.contexts:
                    if way.key is not None:
                        found.setdefault(way.key, []).append((call, way))
    return found


@dataclass(frozen=True)
class Unseen:
    """Why a key is not there for those who watch it, although it is logged.

    Args:
        why: in words; ``help``: what to do.
        key: the key to watch instead; empty where there is none.
    """

    why: str
    help: str
    key: str = ""


def unseen(monitor: Monitor) -> Unseen | None:
    """Return why a logged key is not there for those who watch it; ``None`` where it may be."""
    base = monitor.key.removesuffix("_step")
    of_evaluation = _calls_of(monitor, monitor.key) or _calls_of(monitor, base)
    if not of_evaluation or not all(
        way.stage in ("val", "test") and hooks.is_batch_hook(way.hook) for _, way in of_evaluation
    ):
        return None
    levels = {(way.on_step, way.on_epoch) for _, way in of_evaluation}
    is_step = of_evaluation[0][1].key != monitor.key
    found = None
    if is_step and levels == {(True, True)}:
        found = Unseen(
            f'the steps of "{base}" in an evaluation, which only loggers are given',
            f'watch "{base}"',
            base,
        )
    elif not is_step and levels == {(True, False)}:
        found = Unseen(
            f'"{base}", which is logged at the steps of an evaluation, for loggers alone',
            "log it with on_epoch=True",
        )
    elif not is_step and all(_is_split(call, way) for call, way in of_evaluation):
        found = Unseen(
            f'"{base}", which is logged for each dataloader under a key of its own',
            f'watch "{base}/dataloader_idx_0", or another of them',
        )
    if found is None or _is_logged_elsewhere(monitor, {base, monitor.key}, of_evaluation):
        return None
    return found


def _is_split(call: LogCall, way: LogContext) -> bool:
    """Tell whether Lightning gives the key of a way the number of the dataloader."""
    given = {keyword.arg for keyword in call.node.keywords}
    if None in given or "add_dataloader_idx" in given:
        return False
    return how_many(call.cls, way.stage) > 1


def _is_logged_elsewhere(
    monitor: Monitor, keys: set[str], known: list[tuple[LogCall, LogContext]]
) -> bool:
    """Tell whether a key may be logged by a call besides those that are known."""
    nodes = {call.node for call, _ in known}
    runs = runs_of(monitor)
    for module in monitor.module.project.mentioning(LOG):
        for call in module.calls:
            if call in nodes or not runs.has_part(module, call):
                continue
            for key in keys_of(module, call):
                if key is None or key in keys:
                    return True
                if "*" in key and any(pattern_of(key).fullmatch(one) for one in keys):
                    return True
    return False


def is_last_batch(way: LogContext) -> bool:
    """Tell whether a way leaves the value of one training batch under the key.

    What the module keeps itself may be a running value, of which the last is the one that counts.
    """
    return (
        any(number.form in _OF_BATCH for number in numbers(way.value))
        and hooks.is_batch_hook(way.hook)
        and way.stage == "train"
        and way.on_step is True
        and way.on_epoch is False
    )


def of_one_process(monitor: Monitor) -> str:
    """Tell what the processes know of a key that none of them logs for all.

    Returns:
        ``"alone"`` where the first process is the only one that logs it, ``"each"`` where all of
        them do and none is told of the others, else ``""``.
    """
    found = _calls_of(monitor, monitor.key)
    kinds = {_processes(call, way) for call, way in found}
    if devices.is_alone(monitor.module.project):
        return ""
    if len(kinds) != 1 or "" in kinds or _is_logged_elsewhere(monitor, {monitor.key}, found):
        return ""
    return kinds.pop()


def _processes(call: LogCall, way: LogContext) -> str:
    """Tell which processes come to a log call, and whether they know of each other."""
    decorators = call.function.decorator_list if call.function is not None else []
    if any(ast.unparse(node).endswith("rank_zero_only") for node in decorators):
        return "alone"
    if any(devices.is_of_first(test.node) and _is_body_of(call, test) for test in way.tests):
        return "alone"
    given = call.argument("rank_zero_only")
    is_said = isinstance(given, ast.Constant) and given.value is True
    if any(devices.asks_rank(test.node) for test in way.tests):
        return ""
    # An object gathers by itself, whatever it is told; and what is not surely made of samples may
    # be the same everywhere.
    held = list(numbers(way.value))
    computed = any(origin.kind == "compute" for n in held for origin in n.origins)
    is_of_samples = len(held) == len(options(way.value)) and all(
        number.form in _OF_BATCH and number.form is not Form.OTHER for number in held
    )
    is_own = is_of_samples and not computed and not devices.gathers(call.cls)
    return "each" if is_said and is_own else ""


def _is_body_of(call: LogCall, test: Condition) -> bool:
    """Tell whether a log call is reached where a condition holds, and not where it fails."""
    branch = test.module.parent(test.node)
    if not isinstance(branch, ast.If) or not branch.orelse:
        return isinstance(branch, ast.If)
    if test.module is not call.module:
        return False
    around = set(test.module.ancestors(call.node))
    return any(statement in around for statement in branch.body)


def is_of_validation(monitor: Monitor) -> bool:
    """Tell whether validation alone logs a key, and nothing else may."""
    found = _calls_of(monitor, monitor.key)
    if not found or any(way.stage != "val" for _, way in found):
        return False
    return not _is_logged_elsewhere(monitor, {monitor.key}, found)
