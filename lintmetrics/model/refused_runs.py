"""Runs that Lightning refuses for what a module lacks, or for how it optimizes."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from lintmetrics import facts
from lintmetrics.edits import FunctionNode
from lintmetrics.model.batch_parts import local_value
from lintmetrics.model.devices import is_distributed
from lintmetrics.model.lightning_objects import ROOT, has_strange_bases, kind_of
from lintmetrics.model.optimizers import is_automatic
from lintmetrics.model.put_style import callbacks_of
from lintmetrics.model.trainer_arguments import UNKNOWN, is_expected, value_of
from lintmetrics.model.trainer_callbacks import given_callbacks
from lintmetrics.model.trainer_calls import TrainerCall, model_of, trainer_calls
from lintmetrics.project import ClassInfo, Module
from lintmetrics.releases import reaches
from lintmetrics.rule import Consequence
from lintmetrics.tree import is_none, own_nodes

_STEPS = {
    "fit": ("training_step", "configure_optimizers"),
    "validate": ("validation_step",),
    "test": ("test_step",),
}
_LOADERS = {"fit": "train_dataloader", "validate": "val_dataloader", "test": "test_dataloader"}
_BRANCHES = (ast.If, ast.For, ast.While, ast.Try, ast.Match)
_SHORT = (ast.IfExp, ast.BoolOp, ast.Lambda, ast.comprehension, ast.GeneratorExp, ast.With)
_NONE_ALONE = "2.6"  # None of one device alone: loops/optimization/automatic.py of 2.6.6.
_SCHEDULER = "GradientAccumulationScheduler"


@dataclass(frozen=True)
class RefusedRun:
    """A run that Lightning refuses when it begins.

    Args:
        module: the file; ``node``: what asks for it.
        message: why; ``help``: what to write.
        consequence: what comes of it.
    """

    module: Module = field(repr=False)
    node: ast.AST
    message: str
    help: str
    consequence: Consequence = Consequence.CRASH


def refused_runs(module: Module) -> Iterator[RefusedRun]:
    """Yield the calls of ``fit``, ``validate`` and ``test`` in a file that raise at once."""
    for one in module.classes:
        yield from _without_loss(one)
        yield from _before_trainer(one)
    if "rainer" not in module.source.code:
        return
    for call in trainer_calls(module.project):
        if call.module is not module or not is_of_lightning(call):
            continue
        if is_expected(module, call.node):
            continue
        yield from _not_made(call)
        yield from _two_sources(call)
        cls = call.cls
        if cls is None or not _is_plain(cls):
            continue
        yield from _lacking(call, cls)
        if call.kind == "fit" and call.trainer is not None and is_manual(cls):
            yield from _by_hand(call, call.trainer, cls)


def is_of_lightning(call: TrainerCall) -> bool:
    """Tell whether Lightning's own Trainer is called."""
    if call.trainer is not None:
        return True
    assert isinstance(call.node.func, ast.Attribute)
    kind = kind_of(call.module, call.node.func.value)
    return "Trainer" in kind.names and kind.cls is None


def _is_plain(cls: ClassInfo) -> bool:
    """Tell whether what a module has can be seen: Lightning gives it nothing but hooks."""
    if not cls.is_kind("LightningModule"):
        return False
    roots = [match.group(1) for name in cls.base_names if (match := ROOT.match(name))]
    return all(name.endswith(("LightningModule", "Mixin")) for name in roots)


def _says(call: TrainerCall) -> str:
    assert isinstance(call.node.func, ast.Attribute)
    return f"{ast.unparse(call.node.func)}()"


# The module --------------------------------------------------------------------------------------


def _not_made(call: TrainerCall) -> Iterator[RefusedRun]:
    """Yield a run of a class, of which nobody made a module."""
    given = model_of(call.node)
    if not isinstance(given, (ast.Name, ast.Attribute)):
        return
    symbol = call.module.resolve(given)
    if isinstance(symbol, ClassInfo) and symbol.is_kind("LightningModule"):
        name = ast.unparse(given)
        yield RefusedRun(
            call.module,
            given,
            f"{_says(call)} is given the class {name}, and no module: TypeError",
            f"make one: {name}(...)",
        )


def _two_sources(call: TrainerCall) -> Iterator[RefusedRun]:
    """Yield a run that is given loaders and a data module."""
    named = {keyword.arg: keyword.value for keyword in call.node.keywords}
    data = named.get("datamodule")
    if data is None or "LightningDataModule" not in kind_of(call.module, data).names:
        return
    loaders = [*call.node.args[1:], *(v for k, v in named.items() if k and "dataloader" in k)]
    for node in loaders:
        value = local_value(call.module, node) if isinstance(node, ast.Name) else node
        if isinstance(value, (ast.Call, ast.List)):
            yield RefusedRun(
                call.module,
                node,
                f"{_says(call)} is given loaders beside a data module: MisconfigurationException",
                "give it one of the two",
            )
            return


def _lacking(call: TrainerCall, cls: ClassInfo) -> Iterator[RefusedRun]:
    """Yield a run for which a module lacks a method."""
    for name in _STEPS[call.kind]:
        if _lacks(cls, name):
            yield RefusedRun(
                call.module,
                call.node,
                f"{cls.node.name} has no {name}, without which {_says(call)} does not begin: "
                "MisconfigurationException",
                f"write {name}",
            )
            return
    name = _LOADERS[call.kind]
    known = {"model", "ckpt_path", "weights_only", "verbose"}
    if len(call.node.args) > 1 or any(k.arg not in known for k in call.node.keywords):
        return
    if call.trainer is None or any("limit_" in (k.arg or "limit_") for k in call.trainer.keywords):
        return  # Of no batches at all, no loader is asked for.
    made = _loader_of(cls, name)
    if made is not None:
        yield RefusedRun(
            call.module,
            call.node,
            f"{cls.node.name} sets self.{name} to a DataLoader, where {_says(call)} calls a "
            "method: AttributeError",
            f"return it from a method: def {name}(self)",
        )
    elif _lacks(cls, name):
        yield RefusedRun(
            call.module,
            call.node,
            f"{_says(call)} is given no data, and {cls.node.name} has no {name}: "
            "MisconfigurationException",
            f"give it a loader or a data module, or write {name}",
        )


def _lacks(cls: ClassInfo, name: str) -> bool:
    """Tell whether a module surely has no method of its own for a hook."""
    if any(name in owner.namespace for owner in cls.mro()) or has_strange_bases(cls):
        return False
    assigned = re.compile(rf"\.{name}\s*(?::[^=\n]*)?=(?!=)|['\"]{name}['\"]")
    return not cls.module.project.mentioning(assigned, name)


def _loader_of(cls: ClassInfo, name: str) -> ast.Call | None:
    """Return the loader that a module keeps under the name of the method that is to return it."""
    if cls.lookup(name) is not None:
        return None
    for owner in cls.mro():
        for method in owner.methods.values():
            for node in own_nodes(method):
                if (
                    isinstance(node, ast.Assign)
                    and len(node.targets) == 1
                    and ast.unparse(node.targets[0]) == f"self.{name}"
                    and isinstance(node.value, ast.Call)
                    and (owner.module.qualified(node.value.func) or "").endswith(".DataLoader")
                ):
                    return node.value
    return None


def _before_trainer(cls: ClassInfo) -> Iterator[RefusedRun]:
    """Yield what the ``__init__`` of a module asks of a Trainer that it cannot have yet."""
    init = cls.methods.get("__init__")
    if init is None or not init.args.args or not _is_plain(cls) or has_strange_bases(cls):
        return
    own = init.args.args[0].arg
    for node in own_nodes(init):
        if not (isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)):
            continue
        row = facts.before_trainer().get(node.attr)
        if row is None or not (isinstance(node.value, ast.Name) and node.value.id == own):
            continue
        if not reaches(cls.module.project.target_lightning, row.since or "0"):
            continue
        above = cls.module.parent(node)
        is_used = {
            "read": True,
            "call": isinstance(above, ast.Call) and above.func is node,
            "attribute": isinstance(above, ast.Attribute),
        }[row.use]
        if not is_used or _has_own(cls, node.attr) or not _is_certain(cls.module, node):
            continue
        yield RefusedRun(
            cls.module,
            node,
            f"{cls.node.name}.__init__ asks for {own}.{node.attr} before there is a Trainer: "
            f"{row.text}",
            row.help,
            Consequence(row.consequence),
        )


def _has_own(cls: ClassInfo, name: str) -> bool:
    """Tell whether a class gives a name of Lightning's another meaning."""
    stored = re.compile(rf"\.{name}\s*(?::[^=\n]*)?=(?!=)")
    return any(
        name in owner.namespace or stored.search(owner.module.source.segment(owner.node))
        for owner in (*cls.mro(), *cls.subclasses)
    )


def _is_certain(module: Module, node: ast.AST) -> bool:
    """Tell whether code runs whenever its function does."""
    for around in module.ancestors(node):
        if isinstance(around, (ast.FunctionDef, ast.AsyncFunctionDef)):
            return True
        if isinstance(around, (*_BRANCHES, *_SHORT)):
            return False
    return False


# How it optimizes --------------------------------------------------------------------------------


def _without_loss(cls: ClassInfo) -> Iterator[RefusedRun]:
    """Yield a step that gives Lightning nothing to optimize, at all or where that raises."""
    step = cls.methods.get("training_step")
    if step is None or step.decorator_list or not cls.is_kind("LightningModule"):
        return
    if any("training_step" in other.namespace for other in cls.subclasses) or _is_stub(step):
        return
    nodes = list(own_nodes(step))
    if any(isinstance(node, (ast.Yield, ast.YieldFrom)) for node in nodes):
        return
    returned = [node for node in nodes if isinstance(node, ast.Return)]
    empty = [node for node in returned if node.value is None or is_none(node.value)]
    if len(empty) == len(returned):
        if _has_optimizer(cls) and is_automatic(cls) and not _steps_itself(cls):
            yield RefusedRun(
                cls.module,
                step,
                f"{cls.node.name}.training_step returns no loss, and Lightning takes no step",
                "return the loss",
                Consequence.IGNORED,
            )
        return
    if not empty or not reaches(cls.module.project.target_lightning, _NONE_ALONE):
        return
    if is_automatic(cls) and is_distributed(cls):
        yield RefusedRun(
            cls.module,
            empty[0],
            f"{cls.node.name}.training_step returns None here, which several devices do not "
            "allow: RuntimeError",
            "return a loss of 0 that has the graph: 0.0 * loss",
        )


def _is_stub(step: FunctionNode) -> bool:
    """Tell whether a method is there to be overridden: a docstring, ``pass``, ``raise``."""
    return all(
        isinstance(one, (ast.Pass, ast.Raise))
        or (isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant))
        for one in step.body
    ) or any(isinstance(node, ast.Raise) for node in step.body)


def _steps_itself(cls: ClassInfo) -> bool:
    """Tell whether a module may take its steps by hand, whatever it says of that."""
    texts = (owner.module.source.segment(owner.node) for owner in cls.mro())
    return any(re.search(r"backward\(|optimizers\(\)|optimizer_step", text) for text in texts)


def _has_optimizer(cls: ClassInfo) -> bool:
    """Tell whether a module surely gives Lightning an optimizer of its own."""
    method = cls.lookup("configure_optimizers")
    if method is None:
        return False
    returned = [node.value for node in own_nodes(method.node) if isinstance(node, ast.Return)]
    return bool(returned) and not any(one is None or _is_nothing(one) for one in returned)


def _is_nothing(node: ast.expr) -> bool:
    """Tell whether an answer holds no optimizer: ``None``, ``[]``, ``[], []``."""
    if isinstance(node, (ast.List, ast.Tuple)):
        return all(_is_nothing(one) for one in node.elts)
    return is_none(node) or (isinstance(node, ast.Dict) and not node.keys)


def is_manual(cls: ClassInfo) -> bool:
    """Tell whether a module surely steps its optimizers itself."""
    for owner in cls.mro():
        prop = owner.methods.get("automatic_optimization")
        if prop is not None:
            returned = [n.value for n in own_nodes(prop) if isinstance(n, ast.Return)]
            return [_is_false(value) for value in returned] == [True]
    said: list[tuple[ClassInfo, ast.Assign]] = []
    for owner in cls.mro():
        if "automatic_optimization" in owner.namespace:
            return False
        for method in owner.methods.values():
            for node in own_nodes(method):
                if isinstance(node, ast.Assign) and _says_optimization(node):
                    said.append((owner, node))
    if len(said) != 1:
        return False
    owner, node = said[0]
    function = owner.module.enclosing_function(node)
    plain = not any(isinstance(above, _BRANCHES) for above in owner.module.ancestors(node))
    return function is not None and function.name == "__init__" and plain and _is_false(node.value)


def _says_optimization(node: ast.Assign) -> bool:
    return any(
        isinstance(target, ast.Attribute) and target.attr == "automatic_optimization"
        for target in node.targets
    )


def _is_false(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant) and node.value is False


def _by_hand(call: TrainerCall, trainer: ast.Call, cls: ClassInfo) -> Iterator[RefusedRun]:
    """Yield what a Trainer is to do for a module that steps its optimizers itself."""
    module, name = call.module, cls.node.name
    given = {keyword.arg: keyword.value for keyword in trainer.keywords if keyword.arg}
    for argument, help_ in (
        ("gradient_clip_val", "leave it out, and call self.clip_gradients(...) in training_step"),
        ("accumulate_grad_batches", "leave it out, and step every n-th batch in training_step"),
    ):
        value = value_of(module, given.get(argument))
        if value is UNKNOWN or not isinstance(value, (int, float)):
            continue
        if value > 0 if argument == "gradient_clip_val" else value != 1:
            yield RefusedRun(
                module,
                given[argument],
                f"Trainer({argument}={ast.unparse(given[argument])}) is not for {name}, which "
                "steps its optimizers itself: MisconfigurationException of fit",
                help_,
            )
    callbacks = callbacks_of(trainer)
    for one in given_callbacks(module, trainer, callbacks) if callbacks is not None else ():
        if _SCHEDULER in one.kind.names and one.kind.cls is None:
            yield RefusedRun(
                module,
                one.node,
                f"{_SCHEDULER} is not for {name}, which steps its optimizers itself: "
                "RuntimeError of fit",
                "leave it out, and step every n-th batch in training_step",
            )
