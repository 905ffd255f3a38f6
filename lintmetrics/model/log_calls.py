"""Log calls: which keys they log, with which values and levels, and every way that leads there."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from lintmetrics.edits import FunctionNode
from lintmetrics.model import hooks
from lintmetrics.model.frames import Condition
from lintmetrics.model.values import Origin, Value, numbers
from lintmetrics.project import ClassInfo, Module

_LOSS = re.compile(r"loss|objective|criterion|(?:^|[_/.\-])(?:nll|kld?|elbo)(?:$|[_/.\-])", re.I)


@dataclass(frozen=True)
class LogContext:
    """One way in which a log call is reached.

    Args:
        hook: the hook that Lightning calls.
        stage: ``train``, ``val``, ``test`` or ``predict``.
        key: the key as a template, ``*`` for what is not known; ``None`` when nothing is known.
        value: what is logged.
        on_step, on_epoch: the levels, Lightning's defaults for the hook filled in; ``None`` when
            the arguments are not constants.
        reduce_fx: ``mean``, ``sum``, ``min``, ``max``, or ``?``.
        conditional: whether it stands under a condition that was not decided.
        tests: the conditions around it, in this method and in those that lead to it.
        certain: whether nor does any call that leads from the hook to it.
    """

    hook: str
    stage: str
    key: str | None
    value: Value
    on_step: bool | None
    on_epoch: bool | None
    reduce_fx: str
    conditional: bool
    certain: bool = field(default=True, compare=False)
    tests: tuple[Condition, ...] = ()

    @property
    def averaged(self) -> bool:
        """Whether Lightning averages the values that this call logs over batches."""
        return hooks.is_batch_hook(self.hook) and self.on_epoch is True and self.reduce_fx == "mean"

    @property
    def is_of_chosen_batches(self) -> bool:
        """Whether the number of the batch decides if anything is logged, such as the first only."""
        return any(
            "batch_i" in condition.module.source.segment(condition.node) for condition in self.tests
        )


@dataclass(frozen=True, eq=False)
class LogCall:
    """One key logged by one ``self.log`` or ``self.log_dict`` call, with all ways that lead to it.

    Args:
        cls: the module whose hooks were followed.
        node: the call; ``module``: the file that holds it.
        key_node, value_node: the expressions of key and value; ``value_node`` is ``None`` when
            the value is not written in the call itself (an entry of a dict built elsewhere).
        function: the function that holds the call.
        entry: the entry's key for ``log_dict``, ``None`` for ``log``.
        contexts: the ways that lead to it, in the order of Lightning's hooks.
    """

    cls: ClassInfo
    module: Module = field(repr=False)
    node: ast.Call
    key_node: ast.expr | None
    value_node: ast.expr | None
    function: FunctionNode | None
    entry: str | None
    contexts: tuple[LogContext, ...]

    @property
    def is_dict(self) -> bool:
        """Whether it is a ``log_dict`` call."""
        return isinstance(self.node.func, ast.Attribute) and self.node.func.attr == "log_dict"

    @property
    def is_of_callback(self) -> bool:
        """Whether a callback logs it, whose Metric objects Lightning does not find."""
        return self.cls.is_kind("Callback") and not self.cls.is_kind("LightningModule")

    @property
    def key(self) -> str:
        """The key as the user would recognise it."""
        keys = list(dict.fromkeys(c.key for c in self.contexts if c.key))
        if len(keys) == 1:
            return f'"{keys[0]}"'
        if keys:
            return " / ".join(f'"{key}"' for key in keys)
        if self.key_node is not None:
            return self.module.source.segment(self.key_node)
        return self.module.source.segment(self.node.args[0]) if self.node.args else "a value"

    def averaged(self, kind: str) -> list[tuple[Origin, list[LogContext]]]:
        """Return what ends up in a mean over batches, with the ways that lead there.

        A value that was mixed with others is what its author calls it, and so is one whose key
        speaks of a loss; both are left out.
        """
        # One call may answer several scores, of which only some are means over the batch.
        found: dict[tuple[ast.expr, str], tuple[Origin, list[LogContext]]] = {}
        for context in self.contexts:
            if context.key is not None and _LOSS.search(context.key):
                continue
            for number in numbers(context.value):
                for origin in number.origins:
                    if origin.kind == kind and (context.averaged or origin.averaged):
                        place = (origin.node, origin.verdict)
                        _, ways = found.setdefault(place, (origin, []))
                        if context not in ways:
                            ways.append(context)
        return list(found.values())

    def name_of(self, origin: Origin) -> str:
        """Return how the user calls the Metric object that answered; as it is written where
        several may have."""
        several = {
            other.metric.path
            for context in self.contexts
            for number in numbers(context.value)
            for other in number.origins
            if other.node is origin.node and other.metric is not None
        }
        if len(several) > 1 and isinstance(origin.node, ast.Call):
            func = origin.node.func
            if isinstance(func, ast.Attribute) and func.attr in ("forward", "compute"):
                func = func.value
            return origin.module.source.segment(func)
        metric = origin.metric
        if metric is None:
            return origin.label
        return f"self.{metric.path}" if metric.path else metric.name.rsplit(".", 1)[-1]

    def key_in(self, contexts: Sequence[LogContext]) -> str:
        """Return the key as the user would recognise it, for some of the ways."""
        return replace(self, contexts=tuple(contexts)).key

    def place(self, origin: Origin) -> tuple[Module, ast.AST]:
        """Return where a reader looks for a value: the logged expression, or its origin when the
        log call only hands on what it was given."""
        shown = self.value_node or (self.node.args[0] if self.node.args else self.node)
        if isinstance(shown, ast.Name) and self.function is not None:
            bound = self.module.scope_of(self.function).get(shown.id)
            if isinstance(bound, ast.arg):
                return origin.module, origin.node
        here = origin.module is self.module and (
            self.module.enclosing_function(origin.node) is self.function
        )
        if self.value_node is None and here:
            return origin.module, origin.node
        return self.module, shown

    def argument(self, name: str) -> ast.expr | None:
        """Return a keyword argument of the call."""
        for keyword in self.node.keywords:
            if keyword.arg == name:
                return keyword.value
        return None
