"""Metric objects that a module holds: which hooks feed them, read them, log them and reset them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from lintmetrics.model import attribute_names, hooks
from lintmetrics.model.epoch_hooks import STAGES, company, reads_of
from lintmetrics.model.flow import LightningClass
from lintmetrics.model.hook_effects import MetricUse
from lintmetrics.model.log_calls import LogCall, LogContext
from lintmetrics.model.values import Metric, numbers, options
from lintmetrics.tree import subtree

if TYPE_CHECKING:
    from lintmetrics.edits import FunctionNode
    from lintmetrics.project import ClassInfo, Module

DEAD_HOOKS = frozenset(
    (
        *("on_epoch_start", "on_epoch_end", "on_batch_start", "on_batch_end"),
        *(stage.step_end for stage in STAGES),
    )
)
"""Hooks of Lightning 1 that no loop of Lightning 2 calls (lightning 2.6.6, ``core/hooks.py``)."""

# What a metric says of a whole run is not to be emptied between epochs.
_WHOLE_RUN = re.compile(
    r"(?:^|_)(?:best|total|cumul\w*|seen|running|history|overall|global|ema|lifetime|so_far)(?:_|$)"
)
_RUN_CLASSES = frozenset(
    (
        *("MaxMetric", "MinMetric", "MinMaxMetric", "MetricTracker", "Running", "RunningMean"),
        *("RunningSum", "CatMetric", "SumMetric"),
    )
)
# Bases that leave the metrics of a class alone.
_KNOWN_BASE = re.compile(
    r"(?:torch|pytorch_lightning|lightning|torchmetrics|typing|typing_extensions|abc|builtins"
    r"|collections|enum|dataclasses)\b"
)
# These look at a container without taking the objects in it anywhere.
_LOOKS = frozenset(
    ("len", "zip", "enumerate", "list", "tuple", "print", "isinstance", "sorted", "reversed", "id")
)
_LOGS = ("log", "log_dict")


@dataclass(frozen=True)
class Reset:
    """A place at which a metric starts anew: the hook, or the method or function, and the call."""

    where: str
    node: ast.Call
    is_dead: bool = False


@dataclass(eq=False)
class HeldMetric:
    """A Metric object, or a collection of them, in an attribute of a module.

    A rule gets them from ``held_metrics``.

    Args:
        model: the class whose hooks were followed.
        path: how the class holds it, such as ``val_f1`` or ``metrics['val']``.
        metric: the object.
        uses: every call of it or of one of its methods, in the order of Lightning's hooks.
        logs: every way in which the object itself is logged.
    """

    model: LightningClass
    path: str
    metric: Metric
    uses: list[MetricUse] = field(default_factory=list)
    logs: list[tuple[LogCall, LogContext]] = field(default_factory=list)

    @property
    def module(self) -> Module:
        """The file that makes it."""
        return self.metric.module if self.metric.constructor is not None else self.model.module

    @property
    def node(self) -> ast.AST:
        """The call that makes it; the class where that is not known."""
        return self.metric.constructor or self.model.node

    @property
    def cls(self) -> ClassInfo:
        """The class whose hooks were followed."""
        return self.model.cls

    @property
    def attribute(self) -> str:
        """The attribute it is held in, itself or in a container."""
        return self.path.partition("[")[0]

    @property
    def is_single(self) -> bool:
        """Whether the path names one object, and not any of a container."""
        return "[..." not in self.path

    @property
    def speaks_of_whole_run(self) -> bool:
        """Whether its class or its name says that it gathers over more than an epoch."""
        last = self.metric.name.rsplit(".", 1)[-1]
        return last in _RUN_CLASSES or _WHOLE_RUN.search(self.attribute) is not None

    def feeds(self, stage: str = "") -> list[MetricUse]:
        """Return what gives it data in the batch hooks, of one stage or of all."""
        return [
            use
            for use in self.uses
            if use.operation in ("update", "forward")
            and hooks.is_batch_hook(use.hook)
            and (not stage or hooks.stage_of(use.hook) == stage)
        ]

    @property
    def epoch_computes(self) -> list[MetricUse]:
        """Every ``compute()`` that a hook makes once for an epoch."""
        return [
            use
            for use in self.uses
            if use.operation == "compute" and use.hook.endswith("_epoch_end")
        ]

    @cached_property
    def is_always_told_apart(self) -> bool:
        """Whether no call of it may be, in the same hook, a call of another object."""
        others = {
            (use.node, use.hook)
            for held in held_metrics(self.model)
            if held is not self
            for use in held.uses
        }
        return not any((use.node, use.hook) in others for use in self.uses)

    @property
    def is_followed(self) -> bool:
        """Whether all that happens to the object can be seen in the project."""
        return (
            self.escape is None
            and not self.model.is_reassigned(self.attribute)
            and all(_KNOWN_BASE.match(name) for name in self.cls.base_names)
        )

    @property
    def keys(self) -> tuple[tuple[str, str], ...]:
        """The stages and keys under which it, or what it computes, is logged for an epoch."""
        found: dict[tuple[str, str], None] = {}
        for call in self.model.log_calls:
            for way in call.contexts:
                held = [option.path for option in options(way.value) if isinstance(option, Metric)]
                for number in numbers(way.value):
                    held += [
                        origin.metric.path
                        for origin in number.origins
                        if origin.metric is not None and origin.kind == "compute"
                    ]
                if self.path in held:
                    found[way.stage, way.key or "*"] = None
        return tuple(found)

    # What happens to it elsewhere -------------------------------------------------------------

    @cached_property
    def mentions(self) -> list[tuple[Module, ast.Attribute]]:
        """Every read of it in its class, the bases and the classes below."""
        return reads_of(self.cls, self.attribute)

    @cached_property
    def escape(self) -> ast.AST | None:
        """A place from which code that is not followed may reach the object."""
        for module, node in self.mentions:
            inner: ast.AST = node
            above = module.parent(inner)
            while isinstance(above, ast.Subscript) and above.value is inner:
                inner, above = above, module.parent(above)
            if not self._stays(module, inner, above):
                return node
        return None

    def _stays(self, module: Module, inner: ast.AST, above: ast.AST | None) -> bool:
        if isinstance(above, ast.Attribute):
            # A method of the object, or of its container, is looked at where it is followed.
            return above.attr not in ("append", "pop", "clone") or self._is_setup(module, above)
        if isinstance(above, (ast.For, ast.comprehension)):
            return above.iter is inner
        if isinstance(above, (ast.Compare, ast.If, ast.IfExp, ast.BoolOp, ast.UnaryOp, ast.Expr)):
            return True
        if isinstance(above, ast.Assign):
            return all(isinstance(target, ast.Name) for target in above.targets)
        if isinstance(above, ast.Dict):
            over = module.parent(above)
            return isinstance(over, ast.Call) and _is_log(over)
        if isinstance(above, ast.keyword):
            above = module.parent(above)
        if not isinstance(above, ast.Call):
            return False
        if above.func is inner or _is_log(above):
            return True
        func = above.func
        if isinstance(func, ast.Name) and func.id in _LOOKS:
            return True
        if isinstance(func, ast.Attribute) and getattr(func.value, "id", "") == "self":
            return self.cls.lookup(func.attr) is not None
        return False

    @staticmethod
    def _is_setup(module: Module, node: ast.AST) -> bool:
        function = module.enclosing_function(node)
        return function is not None and function.name in ("__init__", "setup", "configure_model")

    @property
    def is_logged(self) -> bool:
        """Whether the object itself is logged, so that Lightning computes and resets it."""
        if self.logs:
            return True
        for module, node in self.mentions:
            if self._is_of_another(module, node):
                continue
            for above in module.ancestors(node):
                if isinstance(above, ast.Call) and _is_log(above):
                    inner = node
                    over = module.parent(inner)
                    while isinstance(over, (ast.Subscript, ast.Dict, ast.keyword)):
                        over = module.parent(over)
                    if over is above:
                        return True
                if isinstance(above, ast.stmt):
                    break
        return False

    def _is_of_another(self, module: Module, node: ast.Attribute) -> bool:
        """Tell whether a mention of the container surely names another object in it."""
        entry = module.parent(node)
        if not (isinstance(entry, ast.Subscript) and isinstance(entry.slice, ast.Constant)):
            return False
        named = f"{self.attribute}[{entry.slice.value!r}]"
        return self.is_single and "[" in self.path and not self.path.startswith(named)

    @cached_property
    def resets(self) -> list[Reset]:
        """Every place at which it, or a container that holds it, may be reset."""
        found: list[Reset] = []
        known: set[ast.Call] = set()
        for held in held_metrics(self.model):
            for use in held.uses:
                if use.operation == "reset":
                    known.add(use.node)
                    if held.path == self.path or held.attribute == self.attribute:
                        found.append(Reset(use.hook, use.node, use.hook in DEAD_HOOKS))
        members = company(self.cls)
        for cls in members:
            for call in _resets_in(cls.node):
                if call in known:
                    continue
                receiver = _receiver(call)
                if receiver is not None and receiver != self.attribute:
                    continue
                function = _method_around(cls, call)
                name = function.name if function is not None else ""
                dead = receiver is not None and name in DEAD_HOOKS and not _is_called(members, name)
                found.append(Reset(name, call, dead))
        spelled = re.compile(rf"\.{re.escape(self.attribute)}\b[^\n]*\.reset\(")
        for module in self.cls.module.project.mentioning(spelled, f".{self.attribute}"):
            for call in _resets_in(module.tree):
                if _receiver(call) == self.attribute:
                    continue  # Of this class, and known; or of another, which has its own.
                if any(
                    isinstance(node, ast.Attribute) and node.attr == self.attribute
                    for node in subtree(call.func)
                ):
                    found.append(Reset("", call))
        return found


def held_metrics(model: LightningClass) -> Sequence[HeldMetric]:
    """Return the metrics in the attributes of a module, each with all that happens to it."""
    known: list[HeldMetric] | None = model.__dict__.get("lm_held")
    if known is not None:
        return known
    found: dict[str, HeldMetric] = {}

    def of(metric: Metric) -> HeldMetric | None:
        if not metric.path:
            return None
        held = found.get(metric.path)
        if held is None:
            held = found[metric.path] = HeldMetric(model, metric.path, metric)
        return held

    for use in model.uses:
        held = of(use.metric)
        if held is not None:
            held.uses.append(use)
    for call in model.log_calls:
        for context in call.contexts:
            for option in options(context.value):
                held = of(option) if isinstance(option, Metric) else None
                if held is not None:
                    held.logs.append((call, context))
    known = model.__dict__["lm_held"] = list(found.values())
    return known


def own_name(held: HeldMetric, stage: str) -> str:
    """Return a free attribute name for the object that one stage gets for itself."""
    plain = attribute_names.without_stage(held.attribute) or held.attribute
    return attribute_names.attribute_for(plain, stage, held.cls)


def _is_log(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute) and call.func.attr in _LOGS


def _resets_in(tree: ast.AST) -> Iterator[ast.Call]:
    for node in subtree(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "reset"
        ):
            yield node


def _receiver(call: ast.Call) -> str | None:
    """Return ``x`` for ``self.x.reset()`` and ``self.x[...].reset()``; ``None`` for any other."""
    node: ast.AST = call.func
    name: str | None = None
    while isinstance(node, (ast.Attribute, ast.Subscript, ast.Call)):
        if isinstance(node, ast.Attribute):
            name = node.attr
            node = node.value
        else:
            node = node.value if isinstance(node, ast.Subscript) else node.func
    return name if isinstance(node, ast.Name) and node.id == "self" else None


def _method_around(cls: ClassInfo, node: ast.AST) -> FunctionNode | None:
    """Return the method of a class around a node, whatever functions stand in between."""
    methods = set(cls.methods.values())
    for above in cls.module.ancestors(node):
        if above in methods:
            return above
    return None


def _is_called(members: Sequence[ClassInfo], name: str) -> bool:
    """Tell whether the classes of a family call a method themselves."""
    return any(
        isinstance(node, ast.Attribute)
        and node.attr == name
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
        for cls in members
        for node in subtree(cls.node)
    )
