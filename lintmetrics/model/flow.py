"""Where logged numbers come from: an interpreter of a module's hooks over abstract values.

Each hook of a LightningModule is run on values that say what is known of them (``values``). Calls
of the module's own methods and of the project's functions are followed with their arguments, so a
shared step that is told its stage logs under the key of that stage. What is not understood is
``UNKNOWN``, and rules stay quiet about it.
"""

from __future__ import annotations

import ast
import contextlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from lintmetrics.edits import FunctionNode, default_of
from lintmetrics.model import (
    arithmetic,
    containers,
    hooks,
    library_functions,
    library_objects,
    texts,
    value_methods,
)
from lintmetrics.model.trails import attribute_value
from lintmetrics.model.values import (
    UNKNOWN,
    Callee,
    Component,
    Const,
    Elements,
    Form,
    Instance,
    Map,
    Metric,
    Named,
    Number,
    Origin,
    Partial,
    SelfValue,
    Seq,
    SuperValue,
    Text,
    Value,
    each,
    merge,
    numbers,
    options,
    text_of,
)
from lintmetrics.project import ClassInfo, External, FunctionInfo, Module, ModuleName
from lintmetrics.tree import subtree

_DEPTH = 8  # Calls followed into each other.
_BUDGET = 100_000  # Expressions looked at for one hook,
_TOTAL = 300_000  # and for all hooks of a class.
_TRY = (ast.Try, getattr(ast, "TryStar", ast.Try))  # `except*` came with Python 3.11.
_LOSS = re.compile(r"loss|objective|criterion|(?:^|[_/.\-])(?:nll|kld?|elbo)(?:$|[_/.\-])", re.I)
BATCH_VALUE = re.compile(r"loss|acc|nll|elbo|perplexity|iou|dice|error", re.I)
# A value that is multiplied by the size of its batch has as many votes as samples.
_WEIGHTED = re.compile(r"\*\s*\w+\[[\"'](?:batch_size|bsz?|num_samples)[\"']\]")
_ZIP = Named("builtins.zip")
_PARTIAL = Named("functools.partial")
_RATIOS = frozenset(("ratio of counts", "ratio of sums", "ratio of means", "square root"))
_SHORT = 250  # Nodes of a function.
_STEP_OUTPUTS = {
    f"{stage}_step": f"{stage}_step_outputs" for stage in ("training", "validation", "test")
}
_SETUP = ("__init__", "setup", "configure_model", "on_fit_start", "on_train_start")


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
    """

    hook: str
    stage: str
    key: str | None
    value: Value
    on_step: bool | None
    on_epoch: bool | None
    reduce_fx: str
    conditional: bool

    @property
    def averaged(self) -> bool:
        """Whether Lightning averages the values that this call logs over batches."""
        return hooks.is_batch_hook(self.hook) and self.on_epoch is True and self.reduce_fx == "mean"


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
        found: dict[ast.expr, tuple[Origin, list[LogContext]]] = {}
        for context in self.contexts:
            if context.key is not None and _LOSS.search(context.key):
                continue
            for number in numbers(context.value):
                for origin in number.origins:
                    if origin.kind == kind and (context.averaged or origin.averaged):
                        _, ways = found.setdefault(origin.node, (origin, []))
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


@dataclass(frozen=True, eq=False)
class MetricUse:
    """A Metric object is called, updated, computed or reset.

    Args:
        operation: ``forward``, ``update``, ``compute`` or ``reset``.
        metric: the object.
        node: the call; ``module``: the file that holds it.
        hook: the hook that leads to it.
    """

    operation: str
    metric: Metric
    node: ast.Call
    module: Module = field(repr=False)
    hook: str = ""
    arguments: tuple[Value, ...] = ()
    """What it was given by position."""


@dataclass(frozen=True, eq=False)
class Append:
    """A value is appended to a list that the module holds (``self.x.append(value)``).

    ``looped`` marks one that may be made several times for each batch. ``keys`` lead to the list
    from the attribute, as in ``self.x["loss"][dataloader_idx]``; ``None`` is one that is not known.
    """

    attribute: str
    value: Value
    node: ast.Call
    module: Module = field(repr=False)
    hook: str = ""
    looped: bool = False
    keys: tuple[str | None, ...] = ()


@dataclass(frozen=True, eq=False)
class BatchMean:
    """A mean in which each batch of the epoch has one vote.

    Args:
        origin: the mean itself.
        node: where the module's own code asks for it: the mean, or the call of the helper that
            makes it; ``module``: the file that holds ``node``.
        function: the method that holds ``node``.
        hook: the hook that leads to it.
    """

    origin: Origin
    node: ast.expr
    module: Module = field(repr=False)
    function: FunctionNode | None
    hook: str

    @property
    def is_of_batch_values(self) -> bool:
        """Whether each batch contributes one value of its samples, as far as that can be told."""
        if _WEIGHTED.search(self.origin.module.source.segment(self.origin.node)):
            return False
        entry = self.origin.entry
        if entry is not None:
            # A short batch adds less to a sum or to a count, so each sample has its vote.
            return entry not in (Form.HITS, Form.COUNT, Form.FLAGS, Form.SUM)
        # What the step gives is not known: it stacks like one number, or has the name of one.
        text = self.origin.module.source.segment(self.origin.node)
        return "stack(" in text or BATCH_VALUE.search(text) is not None


class _Return(Exception):
    pass


class _Budget(Exception):
    pass


class _Names(dict[str, Value]):
    """Names with their values, and which of them were set or deleted since this copy was made.

    Branches are joined by what they touched, so that a long function costs no more per line.
    """

    __slots__ = ("touched",)

    def __init__(self, names: Iterable[tuple[str, Value]] | dict[str, Value] = ()) -> None:
        super().__init__(names)
        self.touched: dict[str, None] = {}

    def __setitem__(self, name: str, value: Value) -> None:
        self.touched[name] = None
        super().__setitem__(name, value)

    def forget(self, name: str) -> None:
        """Delete a name."""
        self.touched[name] = None
        super().pop(name, None)


@dataclass
class _Frame:
    """One function being run: its names, and where its ``super()`` starts."""

    module: Module
    function: FunctionNode | None
    owner: ClassInfo | None
    names: _Names
    returned: list[Value] = field(default_factory=list)
    returns: list[ast.Return] = field(default_factory=list)
    conditions: int = 0


def _touched(method: FunctionNode) -> tuple[frozenset[str], frozenset[str]]:
    """Return the attributes of ``self`` that a method assigns, and those that it calls."""
    known = method.__dict__.get("lm_touched")
    if known is None:
        assigned: set[str] = set()
        called: set[str] = set()
        for node in subtree(method):
            if isinstance(node, ast.Call):
                func = node.func
                if isinstance(func, ast.Attribute) and isinstance(func.value, ast.Name):
                    called.add(func.attr)
            elif (
                isinstance(node, ast.Attribute)
                and isinstance(node.ctx, ast.Store)
                and isinstance(node.value, ast.Name)
                and node.value.id == "self"
            ):
                assigned.add(node.attr)
        known = method.__dict__["lm_touched"] = (frozenset(assigned), frozenset(called))
    touched: tuple[frozenset[str], frozenset[str]] = known
    return touched


class LightningClass:
    """What one LightningModule (or Callback) of the project logs.

    A rule whose ``check`` takes a ``LightningClass`` is called once for each such class.

    Args:
        cls: the class.
    """

    def __init__(self, cls: ClassInfo) -> None:
        self.cls = cls
        self.attributes = _Names()
        self.uses: list[MetricUse] = []
        self.appends: list[Append] = []
        self._means: dict[tuple[int, int], BatchMean] = {}
        self.returned: dict[str, Value] = {}
        self._logs: dict[tuple[int, str | None], list[tuple[LogCall, LogContext]]] = {}
        self._hook = ""
        self._depth = 0
        self._spent = 0
        self._total = 0
        self._limit = 0
        self._changes = 0
        self._answers: dict[object, tuple[int, Value]] = {}
        self._running: list[ast.AST] = []
        self._calls: list[tuple[_Frame, ast.Call]] = []
        self._loops = 0
        self._run()

    @classmethod
    def of(cls, info: ClassInfo) -> LightningClass:
        """Return the model of a class, made once."""
        known = info.module.project.models
        model = known.get(info)
        if model is None:
            model = known[info] = cls(info)
        assert isinstance(model, LightningClass)
        return model

    @property
    def module(self) -> Module:
        """The file that holds the class."""
        return self.cls.module

    @property
    def node(self) -> ast.AST:
        """The class statement."""
        return self.cls.node

    @cached_property
    def log_calls(self) -> list[LogCall]:
        """Every key that the class logs, in order of file and line."""
        calls = []
        for group in self._logs.values():
            first = group[0][0]
            calls.append(replace(first, contexts=tuple(context for _, context in group)))
        return sorted(calls, key=lambda c: (c.module.path, c.node.lineno, c.node.col_offset))

    @property
    def batch_means(self) -> list[BatchMean]:
        """Every mean over the batches of an epoch that is made by hand, in order."""
        return list(self._means.values())

    @cached_property
    def _by_node(self) -> dict[ast.Call, list[LogCall]]:
        found: dict[ast.Call, list[LogCall]] = {}
        for call in self.log_calls:
            found.setdefault(call.node, []).append(call)
        return found

    def calls_at(self, node: ast.Call) -> list[LogCall]:
        """Return what one ``self.log`` or ``self.log_dict`` call logs: an entry for each key."""
        return self._by_node.get(node, [])

    # Running hooks --------------------------------------------------------------------------

    def _run(self) -> None:
        for name in _SETUP:
            self._start(name, {})
        for name in self._changing:
            if isinstance(self.attributes.get(name), Const):
                self.attributes[name] = UNKNOWN
        for name in hooks.LOG_HOOKS:
            if name in hooks.EPOCH_END:
                outputs = self.returned.get(hooks.EPOCH_END[name], UNKNOWN)
                if name == "training_epoch_end":
                    outputs = each(outputs, containers.as_training_output)
                self._start(name, {0: Elements(outputs, per_batch=True)})
                self._start_nested(name, outputs)
            elif name.startswith("on_") and name.endswith("_epoch_end"):
                stage = {"train": "training"}.get(name.split("_")[1], name.split("_")[1])
                self._collect_appends()
                outputs = self.returned.get(f"{stage}_step", UNKNOWN)
                self._start(name, {0: Elements(outputs, per_batch=True)})
                self._start_with_lists(name, f"{stage}_step", outputs)
            else:
                self._start(name, {})

    def is_reassigned(self, attribute: str) -> bool:
        """Tell whether a method assigns an attribute after the setting up, or may."""
        return attribute in self._changing

    @cached_property
    def _changing(self) -> frozenset[str]:
        """Attributes that methods assign which run after the setting up, or may."""
        methods: dict[str, list[FunctionNode]] = {}
        for cls in self.cls.mro():
            for name, method in cls.methods.items():
                methods.setdefault(name, []).append(method)
        setting_up = {name: None for name in _SETUP if name in methods}
        waiting = list(setting_up)
        while waiting:
            for method in methods[waiting.pop()]:
                for name in _touched(method)[1] & (methods.keys() - setting_up.keys()):
                    setting_up[name] = None
                    waiting.append(name)
        return frozenset(
            attribute
            for name, defined in methods.items()
            if name not in setting_up
            for method in defined
            for attribute in _touched(method)[0]
        )

    def _collect_appends(self) -> None:
        """Give each list that the steps filled its elements."""
        found: dict[str, list[tuple[tuple[str | None, ...], Value]]] = {}
        looped: set[str] = set()
        for append in self.appends:
            if hooks.is_batch_hook(append.hook):
                found.setdefault(append.attribute, []).append((append.keys, append.value))
                if append.looped or append.attribute in self._windows:
                    looped.add(append.attribute)
        for attribute, rows in found.items():
            self.attributes[attribute] = _lists(rows, attribute not in looped)
        # A hook behind the step may fill the list under another name, in a base class too; what
        # such a list holds is known by the name that all the world gives it.
        for step, attribute in _STEP_OUTPUTS.items():
            if attribute in self.attributes and attribute not in found:
                outputs = self.returned.get(step, UNKNOWN)
                if step == "training_step":
                    outputs = each(outputs, containers.as_training_output)
                self.attributes[attribute] = Elements(outputs, per_batch=True)

    @cached_property
    def _windows(self) -> frozenset[str]:
        """The attributes that are a deque, which holds the last values and not an epoch's."""
        names: set[str] = set()
        for cls in self.cls.mro():
            for call in cls.module.calls:
                function = call.func
                last = function.attr if isinstance(function, ast.Attribute) else function
                if (last.id if isinstance(last, ast.Name) else last) != "deque":
                    continue
                statement = cls.module.statement(call)
                targets = getattr(statement, "targets", [getattr(statement, "target", None)])
                names |= {t.attr for t in targets if isinstance(t, ast.Attribute)}
        return frozenset(names)

    def _start_nested(self, name: str, outputs: Value) -> None:
        """Run an old epoch end on a list for each dataloader, where there may be several."""
        info = self.cls.lookup(name)
        step = self.cls.lookup(hooks.EPOCH_END[name])
        if info is None or info.cls is None or step is None or name == "training_epoch_end":
            return
        names = [a.arg for a in (*step.node.args.args, *step.node.args.kwonlyargs)]
        if "dataloader_idx" in names or len(step.node.args.args) > 3:
            self._start(name, {0: Elements(Elements(outputs, per_batch=True))})

    def _start_with_lists(self, name: str, step: str, outputs: Value) -> None:
        """Run an epoch end on a list for each dataloader, where a hook behind the step has them."""
        attribute = _STEP_OUTPUTS.get(step, "")
        flat = Elements(outputs, per_batch=True)
        info = self.cls.lookup(step)
        if step == "training_step" or info is None or self.attributes.get(attribute) != flat:
            return
        if "dataloader_idx" in {a.arg for a in (*info.node.args.args, *info.node.args.kwonlyargs)}:
            self.attributes[attribute] = Elements(flat)
            self._start(name, {})
            self.attributes[attribute] = flat

    def _start(self, name: str, given: dict[int, Value]) -> None:
        info = self.cls.lookup(name)
        if info is None or info.cls is None:
            return
        self._hook = name
        self._depth = 0
        self._total += self._spent
        self._spent = 0
        self._limit = min(_BUDGET, _TOTAL - self._total)
        self._running = []
        self._calls = []
        self._answers = {}
        self._loops = 0
        saved = _Names(self.attributes)
        arguments: list[Value] = []
        if hooks.is_batch_hook(name):
            # Behind the batch and its number comes the dataloader's, which is not always 0.
            arguments = [Number(Form.DATA), UNKNOWN, UNKNOWN]
            if name.startswith("on_") or name.endswith("_step_end"):
                arguments = [UNKNOWN, Number(Form.DATA), UNKNOWN, UNKNOWN]
        for position, value in given.items():
            while len(arguments) <= position:
                arguments.append(UNKNOWN)
            arguments[position] = value
        if self.cls.is_kind("Callback") and not self.cls.is_kind("LightningModule"):
            arguments = [UNKNOWN, SelfValue(), *arguments]
        with contextlib.suppress(_Budget):
            self.returned[name] = self._enter(info, arguments, {}, True)
        if name not in _SETUP:
            # What a hook assigns is not what the next hook finds: keep what setup made.
            self.attributes = _Names({**self.attributes, **saved})

    def _enter(
        self,
        info: FunctionInfo,
        arguments: Sequence[Value],
        keywords: dict[str, Value],
        bound: bool,
        closure: Sequence[tuple[str, Value]] = (),
    ) -> Value:
        """Run a function of the project and return what it returns."""
        node = info.node
        if self._depth >= _DEPTH or self._running.count(node) > 1:
            return UNKNOWN
        # The same call made again answers the same, as long as the module's attributes are.
        key = (node, bound, self._depth, tuple(arguments), tuple(keywords.items()))
        if closure or not _is_hashable(key):
            return self._run_body(info, arguments, keywords, bound, closure)
        known = self._answers.get(key)
        if known is not None and known[0] == self._changes:
            return known[1]
        value = self._run_body(info, arguments, keywords, bound, closure)
        self._answers[key] = (self._changes, value)
        return value

    def _run_body(
        self,
        info: FunctionInfo,
        arguments: Sequence[Value],
        keywords: dict[str, Value],
        bound: bool,
        closure: Sequence[tuple[str, Value]],
    ) -> Value:
        node = info.node
        names = _Names(closure)
        parameters = [*node.args.posonlyargs, *node.args.args]
        static = any(
            isinstance(d, ast.Name) and d.id == "staticmethod" for d in node.decorator_list
        )
        queue = list(arguments)
        if bound and not static:
            queue.insert(0, SelfValue())
        frame = _Frame(info.module, node, info.cls, names)
        for parameter in parameters:
            if queue:
                names[parameter.arg] = queue.pop(0)
            elif parameter.arg in keywords:
                names[parameter.arg] = keywords.pop(parameter.arg)
            else:
                names[parameter.arg] = self._default(frame, node, parameter.arg)
        for parameter in node.args.kwonlyargs:
            names[parameter.arg] = (
                keywords.pop(parameter.arg)
                if parameter.arg in keywords
                else self._default(frame, node, parameter.arg)
            )
        if node.args.vararg:
            names[node.args.vararg.arg] = Seq(tuple(queue))
        if node.args.kwarg:
            names[node.args.kwarg.arg] = Map(tuple(keywords.items()))
        self._depth += 1
        self._running.append(node)
        try:
            self._block(frame, node.body)
            finished = True
        except _Return:
            finished = False
        finally:
            self._depth -= 1
            self._running.pop()
        values = list(frame.returned)
        if finished and values:
            # Falling off the end gives None, which Lightning takes as "no output".
            values = [value for value in values if value != Const(None)] or [Const(None)]
        if not values:
            return Const(None)
        return merge(values)

    def _default(self, frame: _Frame, node: FunctionNode, name: str) -> Value:
        default = default_of(node, name)
        return self._eval(frame, default) if isinstance(default, ast.Constant) else UNKNOWN

    # Statements -----------------------------------------------------------------------------

    def _block(self, frame: _Frame, body: Sequence[ast.stmt]) -> None:
        for statement in body:
            self._statement(frame, statement)

    def _statement(self, frame: _Frame, node: ast.stmt) -> None:
        if isinstance(node, ast.Expr):
            self._eval(frame, node.value)
        elif isinstance(node, ast.Assign):
            value = self._running_total(frame, node) or self._eval(frame, node.value)
            for target in node.targets:
                self._bind(frame, target, value)
        elif isinstance(node, ast.Return):
            value = self._eval(frame, node.value) if node.value else Const(None)
            frame.returned.append(value)
            frame.returns.append(node)
            raise _Return
        elif isinstance(node, ast.If):
            self._if(frame, node)
        elif isinstance(node, ast.AnnAssign):
            if node.value is not None:
                self._bind(frame, node.target, self._eval(frame, node.value))
        elif isinstance(node, ast.AugAssign):
            before = self._eval(frame, _as_load(node.target))
            value = self._eval(frame, node.value)
            if isinstance(node.op, ast.Add) and isinstance(value, Seq) and self._loop(frame):
                value = containers.appended(before, value.items, self._loop(frame))
            elif isinstance(node.op, ast.Add) and isinstance(value, Number):
                value = arithmetic.accumulate(before, value, self._loop(frame))
            else:
                made = ast.copy_location(ast.BinOp(node.target, node.op, node.value), node)
                made.lm_parent = node  # type: ignore[attr-defined]
                value = arithmetic.binary(node.op, before, value, made, frame.module)
                self._note_mean(frame, made, value)
            self._bind(frame, node.target, value)
        elif isinstance(node, (ast.For, ast.AsyncFor)):
            self._for(frame, node)
        elif isinstance(node, ast.While):
            self._eval(frame, node.test)
            self._loops += 1
            self._branches(frame, [node.body, node.orelse], always=False)
            self._loops -= 1
        elif isinstance(node, (ast.With, ast.AsyncWith)):
            for item in node.items:
                value = self._eval(frame, item.context_expr)
                if item.optional_vars is not None:
                    self._bind(frame, item.optional_vars, value)
            self._block(frame, node.body)
        elif isinstance(node, _TRY):
            handlers = [handler.body for handler in node.handlers]
            self._branches(frame, [[*node.body, *node.orelse], *handlers], always=True)
            self._block(frame, node.finalbody)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            info = FunctionInfo(frame.module, node, frame.owner)
            frame.names[node.name] = Callee(info, False, tuple(frame.names.items()))
        elif isinstance(node, ast.Raise):
            raise _Return
        elif isinstance(node, ast.Match):
            subject = self._eval(frame, node.subject)
            bodies = []
            for case in node.cases:
                pattern = case.pattern
                if isinstance(pattern, ast.MatchValue) and isinstance(subject, Const):
                    wanted = self._eval(frame, pattern.value)
                    if isinstance(wanted, Const) and wanted.value != subject.value:
                        continue
                bodies.append(case.body)
            self._branches(frame, [*bodies, []], always=False)
        elif isinstance(node, ast.Delete):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    frame.names.forget(target.id)

    def _running_total(self, frame: _Frame, node: ast.Assign) -> Value | None:
        """Return what ``total = total + x`` gives in a loop over step outputs."""
        added, target = node.value, node.targets[0]
        if not (isinstance(added, ast.BinOp) and isinstance(added.op, ast.Add)):
            return None
        if not isinstance(target, ast.Name) or self._loop(frame) != "batches":
            return None
        for own, other in ((added.left, added.right), (added.right, added.left)):
            if isinstance(own, ast.Name) and own.id == target.id:
                value = self._eval(frame, other)
                if isinstance(value, Number):
                    return arithmetic.accumulate(self._eval(frame, own), value, "batches")
        return None

    @staticmethod
    def _loop(frame: _Frame) -> str:
        """Return ``batches`` in a loop over step outputs, ``other`` in another, else nothing."""
        mark = frame.names.get("\0loop")
        return str(mark.value) if isinstance(mark, Const) else ""

    def _if(self, frame: _Frame, node: ast.If) -> None:
        test = arithmetic.truth(self._eval(frame, node.test))
        if test is True:
            self._block(frame, node.body)
        elif test is False:
            self._block(frame, node.orelse)
        else:
            self._branches(frame, [node.body, node.orelse], always=True)

    def _branches(self, frame: _Frame, bodies: Sequence[Sequence[ast.stmt]], always: bool) -> None:
        """Run bodies of which any may run, and join what the names then stand for."""
        before, attributes = frame.names, self.attributes
        ends: list[tuple[_Names, _Names]] = []
        if not always:
            ends.append((_Names(before), _Names(attributes)))
        frame.conditions += 1
        for body in bodies:
            frame.names = _Names(before)
            self.attributes = _Names(attributes)
            try:
                self._block(frame, body)
            except _Return:
                self._changes += bool(self.attributes.touched)
                continue
            self._changes += bool(self.attributes.touched)
            ends.append((frame.names, self.attributes))
        frame.conditions -= 1
        if not ends:
            raise _Return
        frame.names = self._join(before, [names for names, _ in ends])
        self.attributes = self._join(attributes, [held for _, held in ends])

    @staticmethod
    def _join(before: _Names, ends: list[_Names]) -> _Names:
        """Return the names before some branches as they are after any of them."""
        for name in dict.fromkeys(name for end in ends for name in end.touched):
            values = [end[name] for end in ends if name in end]
            if not values:
                before.forget(name)
                continue
            first = values[0]
            before[name] = (
                first
                if all(value is first or value == first for value in values[1:])
                else merge(values)
            )
        return before

    def _for(self, frame: _Frame, node: ast.For | ast.AsyncFor) -> None:
        iterable = self._eval(frame, node.iter)
        items = containers.items_of(iterable)
        per_batch = isinstance(iterable, Elements) and iterable.per_batch
        if items is not None and len(items) <= 12:
            for item in items:
                self._bind(frame, node.target, item)
                try:
                    self._block(frame, node.body)
                except _Return:
                    break
            self._block(frame, node.orelse)
            return
        outer = frame.names.get("\0loop")
        self._bind(frame, node.target, containers.element_of(iterable))
        frame.names["\0loop"] = Const("batches" if per_batch else "other")
        self._loops += 1
        self._branches(frame, [node.body], always=False)
        self._loops -= 1
        frame.names.forget("\0loop")
        if outer is not None:
            frame.names["\0loop"] = outer
        self._block(frame, node.orelse)

    def _bind(self, frame: _Frame, target: ast.expr, value: Value) -> None:
        if isinstance(target, ast.Name):
            frame.names[target.id] = value
        elif isinstance(target, (ast.Tuple, ast.List)):
            parts = containers.unpack(value, len(target.elts))
            for item, part in zip(target.elts, parts, strict=True):
                self._bind(frame, item.value if isinstance(item, ast.Starred) else item, part)
        elif isinstance(target, ast.Attribute):
            if isinstance(self._eval(frame, target.value), SelfValue):
                self._set_attribute(target.attr, value)
        elif isinstance(target, ast.Subscript):
            key = self._eval(frame, target.slice)
            holder = self._eval(frame, target.value)
            changed = containers.with_item(holder, key, value)
            if isinstance(target.value, (ast.Name, ast.Attribute)):
                self._bind(frame, target.value, changed)

    def _set_attribute(self, name: str, value: Value) -> None:
        placed = containers.held(value, name)
        if name not in self.attributes or self.attributes[name] != placed:
            self._changes += 1
            self.attributes[name] = placed

    # Expressions ----------------------------------------------------------------------------

    def _eval(self, frame: _Frame, node: ast.expr) -> Value:
        self._spent += 1
        if self._spent > self._limit:
            raise _Budget
        kind = type(node)
        evaluate = _EVALUATORS.get(kind)
        if evaluate is None:
            evaluate = getattr(LightningClass, f"_eval_{kind.__name__.lower()}", None)
            evaluate = _EVALUATORS[kind] = evaluate or LightningClass._eval_parts
        value: Value = evaluate(self, frame, node)
        if value is not UNKNOWN and (kind is ast.Call or kind is ast.BinOp):
            self._note_mean(frame, node, value)
        return value

    def _eval_parts(self, frame: _Frame, node: ast.expr) -> Value:
        """Look at the parts of an expression that is not understood as a whole."""
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                self._eval(frame, child)
        return UNKNOWN

    def _note_mean(self, frame: _Frame, made: ast.expr, value: Value) -> None:
        """Keep a mean over batches by hand, with the place where the module's own code makes it."""
        for number in numbers(value):
            if number.form is not Form.OTHER:
                continue
            for origin in number.origins:
                if origin.kind != "mean-of-means" or origin.node is not made:
                    continue
                place: tuple[_Frame, ast.expr] = (frame, origin.node)
                for above, call in reversed(self._calls):
                    if place[0].owner is not None:
                        break
                    place = (above, call)
                holder, node = place
                self._means.setdefault(
                    (id(origin.node), id(node)),
                    BatchMean(origin, node, holder.module, holder.function, self._hook),
                )

    def _eval_constant(self, frame: _Frame, node: ast.Constant) -> Value:
        return Const(node.value)

    def _eval_name(self, frame: _Frame, node: ast.Name) -> Value:
        value = frame.names.get(node.id)
        if value is not None:
            return value
        return self._symbol(frame, node)

    def _symbol(self, frame: _Frame, node: ast.expr) -> Value:
        known: dict[ast.expr, Value] = frame.module.__dict__.setdefault("_lm_symbols", {})
        value = known.get(node)
        if value is None:
            value = known[node] = self._resolved(frame, node)
        return value

    def _resolved(self, frame: _Frame, node: ast.expr) -> Value:
        symbol = frame.module.resolve(node)
        if isinstance(symbol, FunctionInfo):
            return Callee(symbol)
        if isinstance(symbol, (External, ModuleName, ClassInfo)):
            return Named(symbol.name)
        if symbol is None and isinstance(node, ast.Name):
            constant = frame.module.constant(node.id)
            if constant is not None:
                return Const(constant)
            return Named(f"builtins.{node.id}")
        return UNKNOWN

    def _eval_attribute(self, frame: _Frame, node: ast.Attribute) -> Value:
        owner = self._eval(frame, node.value)
        if isinstance(owner, SelfValue):
            return self._attribute_of_self(node.attr)
        if isinstance(owner, SuperValue):
            return UNKNOWN
        if isinstance(owner, Component):
            return _part_of(owner, node.attr)
        if isinstance(owner, Named):
            return (
                self._symbol(frame, node) if _is_chain(node) else Named(f"{owner.name}.{node.attr}")
            )
        return each(owner, lambda value: value_methods.attribute(value, node, frame.module))

    def _attribute_of_self(self, name: str) -> Value:
        if name in self.attributes:
            return self.attributes[name]
        if name == "training" and self._hook:
            return Const(hooks.stage_of(self._hook) == "train" and self._hook not in _SETUP)
        info = self.cls.lookup(name)
        if info is not None:
            decorators = {ast.unparse(d).rsplit(".", 1)[-1] for d in info.node.decorator_list}
            if decorators & {"property", "cached_property"}:
                return self._enter(info, [], {}, True)
            return Callee(info, True)
        for cls in self.cls.mro():
            if name in cls.assigned and name not in self._changing:
                return _constant(cls.assigned[name], cls.module)
        return UNKNOWN

    def _named_attribute(self, name: Value) -> Value:
        """Return ``getattr(self, name)``; of several that fit a template, any."""
        template = text_of(name)
        if template is None:
            return UNKNOWN
        if "*" not in template:
            return self._attribute_of_self(template)
        pattern = re.compile(re.escape(template).replace(r"\*", ".*") + "$")
        return merge([held for key, held in self.attributes.items() if pattern.match(key)])

    def _eval_subscript(self, frame: _Frame, node: ast.Subscript) -> Value:
        owner = self._eval(frame, node.value)
        key = self._eval(frame, node.slice)
        return each(owner, lambda value: containers.item(value, key, node))

    def _eval_tuple(self, frame: _Frame, node: ast.Tuple) -> Value:
        return self._sequence(frame, node.elts)

    def _eval_list(self, frame: _Frame, node: ast.List) -> Value:
        return self._sequence(frame, node.elts)

    def _eval_set(self, frame: _Frame, node: ast.Set) -> Value:
        return self._sequence(frame, node.elts)

    def _sequence(self, frame: _Frame, elements: Sequence[ast.expr]) -> Value:
        items: list[Value] = []
        for element in elements:
            if isinstance(element, ast.Starred):
                inner = containers.items_of(self._eval(frame, element.value))
                if inner is None:
                    return UNKNOWN
                items += inner
            else:
                items.append(self._eval(frame, element))
        return Seq(tuple(items))

    def _eval_dict(self, frame: _Frame, node: ast.Dict) -> Value:
        found = Map(())
        for key, item in zip(node.keys, node.values, strict=True):
            value = self._eval(frame, item)
            if key is None:
                found = containers.updated(found, value)
                continue
            name = text_of(self._eval(frame, key))
            found = replace(found, open=True) if name is None else found.with_item(name, value)
        return found

    def _eval_joinedstr(self, frame: _Frame, node: ast.JoinedStr) -> Value:
        parts: list[str | None] = []
        for part in node.values:
            if isinstance(part, ast.Constant):
                parts.append(str(part.value))
                continue
            assert isinstance(part, ast.FormattedValue)
            value = self._eval(frame, part.value)
            if part.format_spec is None and isinstance(value, Const):
                parts.append(str(value.value))
            elif part.format_spec is None and isinstance(value, Text):
                parts += value.parts
            else:
                parts.append(None)
        return texts.text(parts)

    def _eval_ifexp(self, frame: _Frame, node: ast.IfExp) -> Value:
        test = arithmetic.truth(self._eval(frame, node.test))
        if test is not None:
            return self._eval(frame, node.body if test else node.orelse)
        return merge([self._eval(frame, node.body), self._eval(frame, node.orelse)])

    def _eval_boolop(self, frame: _Frame, node: ast.BoolOp) -> Value:
        values = [self._eval(frame, value) for value in node.values]
        truths = [arithmetic.truth(value) for value in values]
        if isinstance(node.op, ast.And):
            if False in truths:
                return Const(False)
            return Const(True) if all(t is True for t in truths) else UNKNOWN
        if True in truths and truths.index(True) == 0:
            return values[0]
        if all(t is False for t in truths):
            return Const(False)
        return UNKNOWN

    def _eval_unaryop(self, frame: _Frame, node: ast.UnaryOp) -> Value:
        value = self._eval(frame, node.operand)
        if isinstance(node.op, ast.Not):
            truth = arithmetic.truth(value)
            return UNKNOWN if truth is None else Const(not truth)
        if isinstance(value, Const) and isinstance(value.value, (int, float)):
            return Const(-value.value) if isinstance(node.op, ast.USub) else value
        return value

    def _eval_compare(self, frame: _Frame, node: ast.Compare) -> Value:
        left = self._eval(frame, node.left)
        rights = [self._eval(frame, right) for right in node.comparators]
        return arithmetic.compare(left, node.ops, rights)

    def _eval_binop(self, frame: _Frame, node: ast.BinOp) -> Value:
        left = self._eval(frame, node.left)
        right = self._eval(frame, node.right)
        return arithmetic.binary(node.op, left, right, node, frame.module)

    def _eval_namedexpr(self, frame: _Frame, node: ast.NamedExpr) -> Value:
        value = self._eval(frame, node.value)
        self._bind(frame, node.target, value)
        return value

    def _eval_await(self, frame: _Frame, node: ast.Await) -> Value:
        return self._eval(frame, node.value)

    def _eval_starred(self, frame: _Frame, node: ast.Starred) -> Value:
        return self._eval(frame, node.value)

    def _eval_lambda(self, frame: _Frame, node: ast.Lambda) -> Value:
        body = ast.copy_location(ast.Return(node.body), node.body)
        function = ast.FunctionDef("<lambda>", node.args, [body], [])
        info = FunctionInfo(frame.module, ast.copy_location(function, node), frame.owner)
        return Callee(info, False, tuple(frame.names.items()))

    def _comprehension(
        self, frame: _Frame, generators: list[ast.comprehension], elements: list[ast.expr]
    ) -> tuple[list[list[Value]] | None, list[Value], bool]:
        """Run a comprehension: known items, else one element that stands for all."""
        first, *rest = generators
        iterable = self._eval(frame, first.iter)
        items = containers.items_of(iterable)
        saved, frame.names = frame.names, _Names(frame.names)
        try:
            if items is not None and len(items) <= 12 and not rest and not first.ifs:
                known = []
                for item in items:
                    self._bind(frame, first.target, item)
                    known.append([self._eval(frame, element) for element in elements])
                return known, [], False
            per_batch = isinstance(iterable, Elements) and iterable.per_batch and not rest
            self._bind(frame, first.target, containers.element_of(iterable))
            for generator in rest:
                inner = self._eval(frame, generator.iter)
                self._bind(frame, generator.target, containers.element_of(inner))
            for generator in generators:
                for condition in generator.ifs:
                    self._eval(frame, condition)
            return None, [self._eval(frame, element) for element in elements], per_batch
        finally:
            frame.names = saved

    def _eval_listcomp(self, frame: _Frame, node: ast.ListComp) -> Value:
        known, element, per_batch = self._comprehension(frame, node.generators, [node.elt])
        if known is not None:
            return Seq(tuple(values[0] for values in known))
        return Elements(element[0], per_batch)

    def _eval_generatorexp(self, frame: _Frame, node: ast.GeneratorExp) -> Value:
        known, element, per_batch = self._comprehension(frame, node.generators, [node.elt])
        if known is not None:
            return Seq(tuple(values[0] for values in known))
        return Elements(element[0], per_batch)

    def _eval_dictcomp(self, frame: _Frame, node: ast.DictComp) -> Value:
        known, element, _ = self._comprehension(frame, node.generators, [node.key, node.value])
        if known is not None:
            found = Map(())
            for key, value in known:
                name = text_of(key)
                found = replace(found, open=True) if name is None else found.with_item(name, value)
            return found
        name = text_of(element[0])
        if name is not None:
            return Map(((name, element[1]),), open=True)
        return Elements(element[1])

    # Calls ----------------------------------------------------------------------------------

    def _eval_call(self, frame: _Frame, node: ast.Call) -> Value:
        function = node.func
        if isinstance(function, ast.Name) and function.id == "super":
            return SuperValue(frame.owner) if frame.owner else UNKNOWN
        if isinstance(function, ast.Attribute):
            owner = self._eval(frame, function.value)
            is_log = isinstance(owner, SelfValue) and function.attr in ("log", "log_dict")
            if is_log and self.cls.lookup(function.attr) is None:
                self._log(frame, node, function.attr == "log_dict")
                return Const(None)
            if isinstance(owner, SuperValue):
                return self._call_super(frame, node, owner, function.attr)
            if not isinstance(owner, (SelfValue, Named)):
                arguments, keywords = self._arguments(frame, node)
                return self._call_method(frame, node, owner, function, arguments, keywords)
        target = self._eval(frame, function)
        if target == _ZIP and len(node.args) == 1 and isinstance(node.args[0], ast.Starred):
            turned = containers.columns(self._eval(frame, node.args[0].value))
            if turned is not None:
                return Seq(tuple(turned))
        arguments, keywords = self._arguments(frame, node)
        return each(target, lambda value: self._call(frame, node, value, arguments, dict(keywords)))

    def _arguments(self, frame: _Frame, node: ast.Call) -> tuple[list[Value], dict[str, Value]]:
        arguments: list[Value] = []
        for argument in node.args:
            if isinstance(argument, ast.Starred):
                inner = containers.items_of(self._eval(frame, argument.value))
                arguments += inner if inner is not None else []
                if inner is None:
                    break
            else:
                arguments.append(self._eval(frame, argument))
        keywords: dict[str, Value] = {}
        for keyword in node.keywords:
            value = self._eval(frame, keyword.value)
            if keyword.arg is not None:
                keywords[keyword.arg] = value
            elif isinstance(value, Map):
                keywords.update(value.items)
        return arguments, keywords

    def _call_super(self, frame: _Frame, node: ast.Call, owner: SuperValue, name: str) -> Value:
        arguments, keywords = self._arguments(frame, node)
        order = self.cls.mro()
        start = order.index(owner.after) + 1 if owner.after in order else len(order)
        for cls in order[start:]:
            info = cls.own(name)
            if info is not None:
                return self._enter(info, arguments, keywords, True)
        return UNKNOWN

    def _call(
        self,
        frame: _Frame,
        node: ast.Call,
        target: Value,
        arguments: list[Value],
        keywords: dict[str, Value],
    ) -> Value:
        if isinstance(target, Callee):
            if self._hook in _SETUP and not _makes_metrics(target):
                return arithmetic.opaque(arguments, keywords)
            self._calls.append((frame, node))
            try:
                return self._enter(
                    target.function, arguments, keywords, target.bound, target.closure
                )
            finally:
                self._calls.pop()
        if isinstance(target, SelfValue):
            return arithmetic.opaque(arguments, keywords)
        if isinstance(target, Metric):
            return self._use(frame, node, target, "forward", arguments)
        if isinstance(target, Component):
            return self._call_component(target, arguments, keywords)
        if isinstance(target, Partial):
            return self._call_partial(frame, node, target, arguments, keywords)
        if target == _PARTIAL and arguments:
            return Partial(arguments[0], node, tuple(arguments[1:]), tuple(keywords.items()))
        if isinstance(target, Named) and arguments and isinstance(arguments[0], SelfValue):
            if target.name == "builtins.setattr" and len(arguments) == 3:
                name = text_of(arguments[1])
                if name is not None and "*" not in name:
                    self._set_attribute(name, arguments[2])
                return Const(None)
            if target.name == "builtins.getattr" and len(arguments) >= 2:
                return each(arguments[1], self._named_attribute)
        if isinstance(target, Named):
            made = self._construct(frame, node, target.name, arguments, keywords)
            if made is not None:
                return made
            return library_functions.call(target.name, node, frame.module, arguments, keywords)
        return library_objects.call_object(target, node, frame.module, arguments, keywords)

    def _call_component(
        self, target: Component, arguments: list[Value], keywords: dict[str, Value]
    ) -> Value:
        """Return what an object of the project makes of its inputs, where that is a root or a
        ratio; other losses are what their author calls them."""
        forward = target.cls.lookup("forward")
        assert forward is not None
        value = self._enter(forward, [target, *arguments], dict(keywords), False)
        is_loss = "loss" in target.cls.node.name.lower()
        if isinstance(value, Number):
            told = {o.name for o in value.origins if o.kind == "formula"}
            if told == {"square root"} or (told and not is_loss and told <= _RATIOS):
                return value
        return arithmetic.opaque(arguments, keywords)

    def _call_partial(
        self,
        frame: _Frame,
        node: ast.Call,
        target: Partial,
        arguments: list[Value],
        keywords: dict[str, Value],
    ) -> Value:
        """Call a function with the arguments that were bound to it and those of this call."""
        bound = target.call
        overridden = {keyword.arg for keyword in node.keywords}
        kept = [k for k in bound.keywords if k.arg is None or k.arg not in overridden]
        whole = ast.Call(bound.args[0], [*bound.args[1:], *node.args], [*kept, *node.keywords])
        ast.copy_location(whole, node)
        whole.lm_parent = node.lm_parent  # type: ignore[attr-defined]
        answer = self._call(
            frame,
            whole,
            target.of,
            [*target.arguments, *arguments],
            {**dict(target.keywords), **keywords},
        )

        def placed(value: Value) -> Value:
            if not isinstance(value, Number):
                return value
            origins = tuple(
                replace(o, node=node, bound=bound) if o.node is whole else o for o in value.origins
            )
            return replace(value, origins=origins)

        return each(answer, placed)

    def _construct(
        self,
        frame: _Frame,
        node: ast.Call,
        name: str,
        arguments: list[Value],
        keywords: dict[str, Value],
    ) -> Value | None:
        """Return the object that calling a class makes, ``None`` for what is no class."""
        symbol = frame.module.resolve(node.func) if _is_chain(node.func) else None
        if isinstance(symbol, ClassInfo):
            if symbol.is_kind("Metric"):
                return Metric(symbol.name, node, frame.module, custom=symbol)
            if _is_formula(symbol):
                return Component(symbol)
            return arithmetic.opaque(arguments, keywords, data_only=True)
        return library_objects.construct(name, node, frame.module, arguments, keywords)

    def _call_method(
        self,
        frame: _Frame,
        node: ast.Call,
        owner: Value,
        function: ast.Attribute,
        arguments: list[Value],
        keywords: dict[str, Value],
    ) -> Value:
        name = function.attr
        if name in ("append", "extend", "update", "setdefault", "insert", "pop", "clear"):
            changed = containers.mutated(owner, name, arguments, keywords, self._loop(frame))
            attribute, slices = _self_list(function.value)
            if name == "append" and attribute and len(arguments) == 1:
                held = self._eval(frame, function.value)
                if not isinstance(held, Metric):
                    looped = self._loops > 0
                    keys = tuple(text_of(self._eval(frame, key)) for key in slices)
                    self.appends.append(
                        Append(
                            attribute, arguments[0], node, frame.module, self._hook, looped, keys
                        )
                    )
            if changed is not None and isinstance(function.value, (ast.Name, ast.Attribute)):
                self._bind(frame, function.value, changed)
                return UNKNOWN

        def one(value: Value) -> Value:
            if isinstance(value, Metric):
                if name in ("update", "compute", "reset", "forward"):
                    return self._use(frame, node, value, name, arguments)
                return library_objects.metric_method(value, name, node, frame.module, keywords)
            if (
                isinstance(value, Elements)
                and isinstance(value.of, Metric)
                and name in ("update", "compute", "reset", "forward")
            ):
                return self._use(frame, node, value.of, name, arguments)
            if isinstance(value, Instance):
                return library_objects.instance_method(
                    value, name, node, frame.module, arguments, keywords
                )
            return value_methods.method(value, name, node, frame.module, arguments, keywords)

        return each(owner, one)

    def _use(
        self,
        frame: _Frame,
        node: ast.Call,
        metric: Metric,
        operation: str,
        arguments: Sequence[Value],
    ) -> Value:
        self.uses.append(
            MetricUse(operation, metric, node, frame.module, self._hook, tuple(arguments))
        )
        if operation in ("update", "reset"):
            return Const(None)
        return library_objects.metric_value(metric, operation, node, frame.module)

    # Log calls ------------------------------------------------------------------------------

    def _log(self, frame: _Frame, node: ast.Call, is_dict: bool) -> None:
        arguments = {"name": 0, "value": 1} if not is_dict else {"dictionary": 0}
        nodes: dict[str, ast.expr] = {}
        for name, position in arguments.items():
            if position < len(node.args) and not isinstance(node.args[position], ast.Starred):
                nodes[name] = node.args[position]
        for keyword in node.keywords:
            if keyword.arg:
                nodes[keyword.arg] = keyword.value
        values = {name: self._eval(frame, expr) for name, expr in nodes.items()}
        if any(isinstance(argument, ast.Starred) for argument in node.args):
            given, _ = self._arguments(frame, node)
            for name, position in arguments.items():
                if position < len(given):
                    values.setdefault(name, given[position])
        for keyword in node.keywords:
            if keyword.arg is None:
                splat = self._eval(frame, keyword.value)
                if isinstance(splat, Map) and not splat.open:
                    values = {**dict(splat.items), **values}
                else:
                    values.setdefault("on_step", UNKNOWN)
                    values.setdefault("on_epoch", UNKNOWN)
                    values.setdefault("reduce_fx", UNKNOWN)
        on_step, on_epoch = self._levels(values)
        reduce_fx = _reduction(values.get("reduce_fx", Const("mean")))

        def record(
            entry: str | None,
            key: Value,
            value: Value,
            key_node: ast.expr | None,
            value_node: ast.expr | None,
        ) -> None:
            for option in options(key):
                context = LogContext(
                    self._hook,
                    hooks.stage_of(self._hook),
                    text_of(option),
                    value,
                    on_step,
                    on_epoch,
                    reduce_fx,
                    frame.conditions > 0,
                )
                call = LogCall(
                    self.cls, frame.module, node, key_node, value_node, frame.function, entry, ()
                )
                group = self._logs.setdefault((id(node), entry), [])
                if not any(known == context for _, known in group):
                    group.append((call, context))

        if not is_dict:
            record(
                None,
                values.get("name", UNKNOWN),
                values.get("value", UNKNOWN),
                nodes.get("name"),
                nodes.get("value"),
            )
            return
        dictionary = nodes.get("dictionary")
        written = _entries(dictionary)
        for option in options(values.get("dictionary", UNKNOWN)):
            if isinstance(option, Map) and option.items:
                for key, value in option.items:
                    key_node, value_node = written.get(key, (None, None))
                    record(key, Const(key), value, key_node, value_node)
            else:
                record(None, UNKNOWN, option, None, dictionary)

    def _levels(self, values: dict[str, Value]) -> tuple[bool | None, bool | None]:
        step, epoch = hooks.default_levels(self._hook)

        def level(name: str, default: bool) -> bool | None:
            value = values.get(name, Const(None))
            if isinstance(value, Const) and (value.value is None or isinstance(value.value, bool)):
                return default if value.value is None else value.value
            return None

        return level("on_step", step), level("on_epoch", epoch)


def _is_formula(cls: ClassInfo) -> bool:
    """Tell whether the objects of a class are called with predictions and targets, and are short
    enough to be worth following: networks are not."""
    forward = cls.lookup("forward") if cls.is_kind("nn.Module") else None
    if forward is None or cls.is_lightning or not 3 <= len(forward.node.args.args) <= 5:
        return False
    return len(subtree(forward.node)) <= _SHORT


def _part_of(owner: Component, name: str) -> Value:
    """Return what an object holds under a name: a loss of torch, or a constant."""
    held = attribute_value(owner.cls, name)
    if held is None:
        return UNKNOWN
    node, module = held
    if isinstance(node, ast.Constant):
        return Const(node.value)
    dotted = module.qualified(node.func) if isinstance(node, ast.Call) else None
    if not isinstance(node, ast.Call) or not (dotted or "").startswith("torch.nn."):
        return UNKNOWN
    return library_objects.construct(dotted or "", node, module, [], {}) or UNKNOWN


def _makes_metrics(target: Callee) -> bool:
    """Tell whether a function may make a Metric, which is all that matters of it in setup."""
    if target.bound or target.function.cls is not None or target.closure:
        return True
    return "etric" in target.function.module.source.text


_EVALUATORS: dict[type[ast.expr], Callable[[LightningClass, _Frame, Any], Value]] = {}


def _constant(node: ast.expr, module: Module) -> Value:
    """Return what a class gives an attribute, where constants are all that it is made of."""
    if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "staticmethod" and node.args:
        name = module.qualified(node.args[0])
        return Named(name) if name is not None and "." in name else UNKNOWN
    if isinstance(node, ast.Constant):
        return Const(node.value)
    if isinstance(node, (ast.Tuple, ast.List)) and len(node.elts) <= 12:
        return Seq(tuple(_constant(element, module) for element in node.elts))
    return UNKNOWN


def _is_hashable(key: object) -> bool:
    try:
        hash(key)
    except TypeError:
        return False
    return True


def _reduction(value: Value) -> str:
    if isinstance(value, Const) and isinstance(value.value, str):
        return {"avg": "mean"}.get(value.value.lower(), value.value.lower())
    if isinstance(value, Named):
        return value.name.rsplit(".", 1)[-1]
    return "?"


def _entries(node: ast.expr | None) -> dict[str, tuple[ast.expr, ast.expr]]:
    found: dict[str, tuple[ast.expr, ast.expr]] = {}
    if isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                found[key.value] = (key, value)
    return found


def _is_chain(node: ast.expr) -> bool:
    while isinstance(node, ast.Attribute):
        node = node.value
    return isinstance(node, ast.Name)


def _self_attribute(node: ast.expr) -> str | None:
    """Return ``x`` for ``self.x`` and ``self.x[...]``."""
    while isinstance(node, ast.Subscript):
        node = node.value
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return node.attr if node.value.id == "self" else None
    return None


def _self_list(node: ast.expr) -> tuple[str | None, list[ast.expr]]:
    """Return ``x`` and the keys for ``self.x[...]`` and ``self.x.setdefault(..., [])``."""
    keys: list[ast.expr] = []
    while True:
        if isinstance(node, ast.Subscript):
            keys.insert(0, node.slice)
            node = node.value
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "setdefault"
            and node.args
        ):
            keys.insert(0, node.args[0])
            node = node.func.value
        else:
            return _self_attribute(node), keys


def _lists(rows: list[tuple[tuple[str | None, ...], Value]], per_batch: bool) -> Value:
    """Return what holds the lists that values were appended to, with the keys of each."""
    if not all(keys for keys, _ in rows):
        return Elements(merge([value for _, value in rows]), per_batch)
    inner: dict[str, list[tuple[tuple[str | None, ...], Value]]] = {}
    for keys, value in rows:
        inner.setdefault(keys[0] or "*", []).append((keys[1:], value))
    if any("*" in key for key in inner):
        return Elements(_lists([(keys[1:], value) for keys, value in rows], per_batch))
    return Map(tuple((key, _lists(found, per_batch)) for key, found in inner.items()))


def _as_load(node: ast.expr) -> ast.expr:
    return node
