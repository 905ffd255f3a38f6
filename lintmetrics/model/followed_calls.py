"""Calls: which code of the project they run and with what, and what they do to Metric objects."""

from __future__ import annotations

import ast
import re
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

from lintmetrics.edits import FunctionNode, default_of
from lintmetrics.model import (
    arithmetic,
    attribute_changes,
    containers,
    hooks,
    library_functions,
    library_objects,
    running_totals,
    value_methods,
)
from lintmetrics.model.frames import Frame, Names, Returned
from lintmetrics.model.hook_effects import Added, Append, BatchMean, MeterUpdate, MetricUse
from lintmetrics.model.interpreter import Interpreter, is_chain
from lintmetrics.model.mean_meters import mean_meter
from lintmetrics.model.values import (
    UNKNOWN,
    Callee,
    Component,
    Const,
    Elements,
    Form,
    Instance,
    Map,
    Meter,
    Metric,
    Named,
    Number,
    Partial,
    SelfValue,
    Seq,
    SuperValue,
    Value,
    each,
    merge,
    numbers,
    text_of,
)
from lintmetrics.project import ClassInfo, FunctionInfo, Module
from lintmetrics.tree import subtree

_DEPTH = 8  # Calls followed into each other.
_ZIP = Named("builtins.zip")
_PARTIAL = Named("functools.partial")
_RATIOS = frozenset(("ratio of counts", "ratio of sums", "ratio of means", "square root"))
_SHORT = 250  # Nodes of a function.
# What self.trainer answers, and the hooks in which it is true (lightning 2.6.6, trainer.py).
_TRAINER_STAGES = {"training": "train", "validating": "val", "testing": "test"}


class CallFollower(Interpreter):
    """Follows calls of a class's own methods and of the project's functions, with their arguments.

    Args:
        cls: the class that ``self`` is one of.
    """

    def __init__(self, cls: ClassInfo) -> None:
        super().__init__()
        self.cls = cls
        self.uses: list[MetricUse] = []
        self.appends: list[Append] = []
        self.added: list[Added] = []
        self.meter_updates: list[MeterUpdate] = []
        self._set_in_batches: set[str] = set()
        self._means: dict[tuple[int, int], BatchMean] = {}
        self._hook = ""
        self._depth = 0
        self._answers: dict[object, tuple[int, Value]] = {}
        self._running: list[ast.AST] = []
        self._calls: list[tuple[Frame, ast.Call]] = []

    @abstractmethod
    def _log(self, frame: Frame, node: ast.Call, is_dict: bool) -> None:
        """Keep what a call of ``self.log`` or ``self.log_dict`` logs."""

    # Running functions ----------------------------------------------------------------------------

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
        names = Names(closure)
        parameters = [*node.args.posonlyargs, *node.args.args]
        static = any(
            isinstance(d, ast.Name) and d.id == "staticmethod" for d in node.decorator_list
        )
        queue = list(arguments)
        if bound and not static:
            queue.insert(0, SelfValue())
        frame = Frame(info.module, node, info.cls, names)
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
        except Returned:
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

    def _default(self, frame: Frame, node: FunctionNode, name: str) -> Value:
        default = default_of(node, name)
        return self._eval(frame, default) if isinstance(default, ast.Constant) else UNKNOWN

    def _note_mean(self, frame: Frame, made: ast.expr, value: Value) -> None:
        """Keep a mean over batches by hand, with the place where the module's own code makes it."""
        for number in numbers(value):
            if number.form is not Form.OTHER:
                continue
            for origin in number.origins:
                if origin.kind != "mean-of-means" or origin.node is not made:
                    continue
                place: tuple[Frame, ast.expr] = (frame, origin.node)
                for above, call in reversed(self._calls):
                    if place[0].owner is not None:
                        break
                    place = (above, call)
                holder, node = place
                key = (id(origin.node), id(node))
                mean = BatchMean(origin, node, holder.module, holder.function, self._hook)
                known = self._means.get(key)
                # Of the keys that a comprehension stands for, one may be a count, another a mean.
                if known is None or (mean.is_of_batch_values and not known.is_of_batch_values):
                    self._means[key] = mean

    def _note_added(self, frame: Frame, made: running_totals.Addition, value: Value) -> None:
        """Keep what a hook that runs for each batch adds to a total."""
        attribute = running_totals.attribute_of(made.target)
        if attribute is None or not hooks.is_batch_hook(self._hook):
            return
        holder: ast.expr = made.target
        while isinstance(holder, ast.Subscript):
            holder = holder.value
        assert isinstance(holder, ast.Attribute)
        if not isinstance(self._eval(frame, holder.value), SelfValue):
            return
        keys = tuple(text_of(self._eval(frame, key)) for key in running_totals.keys_of(made.target))
        tests = tuple(test.node for test in self._tests)
        self.added.append(
            Added(
                attribute,
                value,
                made.node,
                made.target,
                made.added,
                frame.module,
                frame.function,
                self._hook,
                self._loops > 0,
                keys,
                tests,
            )
        )

    def _note_set(self, name: str) -> None:
        """Keep that a hook that runs for each batch starts a total anew, within the epoch."""
        first = any(running_totals.is_first_batch(test.node) for test in self._tests)
        if hooks.is_batch_hook(self._hook) and not first:
            self._set_in_batches.add(name)

    def _divisor(self, frame: Frame, node: ast.expr, left: Value, right: Value) -> Value:
        """Return what a total is divided by, where that is a number of batches."""
        if isinstance(right, Number) or hooks.is_batch_hook(self._hook):
            return right
        if not any(number.form is Form.SUMMED for number in numbers(left)):
            return right
        if running_totals.counts_batches(self.cls, frame.function, node):
            return Number(Form.BATCHES)
        return right

    # Attributes of self ---------------------------------------------------------------------------

    def is_reassigned(self, attribute: str) -> bool:
        """Tell whether a method assigns an attribute after the setting up, or may."""
        return attribute in self._changing

    @cached_property
    def _changing(self) -> frozenset[str]:
        return attribute_changes.reassigned(self.cls)

    def _attribute_of_self(self, name: str) -> Value:
        if name in self.attributes:
            return self.attributes[name]
        if name == "training" and self._hook:
            return Const(hooks.stage_of(self._hook) == "train" and self._hook not in hooks.SETUP)
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

    def _eval_attribute(self, frame: Frame, node: ast.Attribute) -> Value:
        stage = _TRAINER_STAGES.get(node.attr)
        if (
            stage is not None
            and hooks.is_batch_hook(self._hook)
            and isinstance(node.value, ast.Attribute)
            and node.value.attr == "trainer"
            and isinstance(self._eval(frame, node.value.value), SelfValue)
        ):
            return Const(hooks.stage_of(self._hook) == stage)
        return super()._eval_attribute(frame, node)

    def _named_attribute(self, name: Value) -> Value:
        """Return ``getattr(self, name)``; of several that fit a template, any."""
        template = text_of(name)
        if template is None:
            return UNKNOWN
        if "*" not in template:
            return self._attribute_of_self(template)
        pattern = re.compile(re.escape(template).replace(r"\*", ".*") + "$")
        return merge([held for key, held in self.attributes.items() if pattern.match(key)])

    # Calls ----------------------------------------------------------------------------------------

    def _eval_call(self, frame: Frame, node: ast.Call) -> Value:
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

    def _arguments(self, frame: Frame, node: ast.Call) -> tuple[list[Value], dict[str, Value]]:
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

    def _call_super(self, frame: Frame, node: ast.Call, owner: SuperValue, name: str) -> Value:
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
        frame: Frame,
        node: ast.Call,
        target: Value,
        arguments: list[Value],
        keywords: dict[str, Value],
    ) -> Value:
        if isinstance(target, Callee):
            if self._hook in hooks.SETUP and not _makes_metrics(target):
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
        frame: Frame,
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
        frame: Frame,
        node: ast.Call,
        name: str,
        arguments: list[Value],
        keywords: dict[str, Value],
    ) -> Value | None:
        """Return the object that calling a class makes, ``None`` for what is no class."""
        symbol = frame.module.resolve(node.func) if is_chain(node.func) else None
        if isinstance(symbol, ClassInfo):
            if symbol.is_kind("Metric"):
                return Metric(symbol.name, node, frame.module, custom=symbol)
            if mean_meter(symbol) is not None:
                return Meter(symbol)
            if _is_formula(symbol):
                return Component(symbol)
            return arithmetic.opaque(arguments, keywords, data_only=True)
        return library_objects.construct(name, node, frame.module, arguments, keywords)

    def _call_method(
        self,
        frame: Frame,
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

        if isinstance(owner, Meter):
            self._update_meter(frame, node, owner, function, arguments)
            return self._mean_of_meter(frame, owner, name, node)

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

    def _update_meter(
        self,
        frame: Frame,
        node: ast.Call,
        meter: Meter,
        function: ast.Attribute,
        arguments: Sequence[Value],
    ) -> None:
        """Keep what a hook that runs for each batch gives to an object that keeps a mean."""
        kept, attribute = mean_meter(meter.cls), running_totals.attribute_of(function.value)
        if kept is None or attribute is None or function.attr != kept.method:
            return
        if not hooks.is_batch_hook(self._hook) or not arguments:
            return
        plain = isinstance(function.value, ast.Attribute) and not node.keywords
        weights = arguments[1:]
        once = plain and self._loops == 0 and all(weight == Const(1) for weight in weights)
        self.meter_updates.append(
            MeterUpdate(
                attribute, arguments[0], node, frame.module, frame.function, self._hook, once
            )
        )

    def _use(
        self,
        frame: Frame,
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


def _is_formula(cls: ClassInfo) -> bool:
    """Tell whether the objects of a class are called with predictions and targets, and are short
    enough to be worth following: networks are not."""
    forward = cls.lookup("forward") if cls.is_kind("nn.Module") else None
    if forward is None or cls.is_lightning or not 3 <= len(forward.node.args.args) <= 5:
        return False
    return len(subtree(forward.node)) <= _SHORT


def _makes_metrics(target: Callee) -> bool:
    """Tell whether a function may make a Metric, which is all that matters of it in setup."""
    if target.bound or target.function.cls is not None or target.closure:
        return True
    return "etric" in target.function.module.source.text


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
