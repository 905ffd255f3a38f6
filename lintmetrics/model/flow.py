"""Where logged numbers come from: an interpreter of a module's hooks over abstract values.

Each hook of a LightningModule is run on values that say what is known of them (``values``). Calls
of the module's own methods and of the project's functions are followed with their arguments, so a
shared step that is told its stage logs under the key of that stage. What is not understood is
``UNKNOWN``, and rules stay quiet about it.
"""

from __future__ import annotations

import ast
import contextlib
from dataclasses import replace
from functools import cached_property

from lintmetrics.model import arithmetic, attribute_changes, containers, hooks, running_totals
from lintmetrics.model.followed_calls import CallFollower
from lintmetrics.model.frames import Frame, Names, OutOfBudget
from lintmetrics.model.hook_effects import Added, BatchMean, MeterUpdate
from lintmetrics.model.log_calls import LogCall, LogContext
from lintmetrics.model.values import (
    UNKNOWN,
    Const,
    Elements,
    Form,
    Map,
    Meter,
    Named,
    Number,
    SelfValue,
    Seq,
    Value,
    each,
    merge,
    numbers,
    options,
    text_of,
)
from lintmetrics.project import ClassInfo, Module
from lintmetrics.tree import subtree

_BUDGET = 100_000  # Expressions looked at for one hook,
_TOTAL = 300_000  # and for all hooks of a class.
_STEP_OUTPUTS = {
    f"{stage}_step": f"{stage}_step_outputs" for stage in ("training", "validation", "test")
}


class LightningClass(CallFollower):
    """What one LightningModule (or Callback) of the project logs.

    A rule whose ``check`` takes a ``LightningClass`` is called once for each such class.

    Args:
        cls: the class.
    """

    def __init__(self, cls: ClassInfo) -> None:
        super().__init__(cls)
        self.returned: dict[str, Value] = {}
        self._logs: dict[tuple[int, str | None], list[tuple[LogCall, LogContext]]] = {}
        self._total = 0
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

    def totals_in(self, node: ast.expr) -> list[str]:
        """Return the totals that an expression reads, of those that hooks of batches add to."""
        added = {ast.unparse(one.target) for one in self.added}
        if not added:
            return []
        read = [
            ast.unparse(n) for n in subtree(node) if isinstance(n, (ast.Attribute, ast.Subscript))
        ]
        return [text for text in dict.fromkeys(read) if text in added]

    def is_of_totals(self, node: ast.expr) -> bool:
        """Tell whether an expression reads totals, or objects that keep a mean, of the module."""
        kept = {one.attribute for one in self.meter_updates}
        return bool(self.totals_in(node)) or any(
            isinstance(inner, ast.Attribute) and inner.attr in kept for inner in subtree(node)
        )

    @cached_property
    def _by_node(self) -> dict[ast.Call, list[LogCall]]:
        found: dict[ast.Call, list[LogCall]] = {}
        for call in self.log_calls:
            found.setdefault(call.node, []).append(call)
        return found

    def refused_calls(self, hook: str) -> list[LogCall]:
        """Return what a hook logs in which Lightning allows no log call, each way on its own.

        Such a hook is run apart from the others: what it logs arrives nowhere.
        """
        kept = self._logs, self.uses, self.appends, self._means, self.returned, self.attributes
        fed = self.added, self.meter_updates
        self.added, self.meter_updates = [], []
        self._logs, self.uses, self.appends, self._means = {}, [], [], {}
        self.returned, self.attributes = dict(self.returned), Names(self.attributes)
        try:
            self._start(hook, {})
            groups = self._logs.values()
            return [replace(call, contexts=(way,)) for group in groups for call, way in group]
        finally:
            self._logs, self.uses, self.appends, self._means, self.returned, self.attributes = kept
            self.added, self.meter_updates = fed

    def calls_at(self, node: ast.Call) -> list[LogCall]:
        """Return what one ``self.log`` or ``self.log_dict`` call logs: an entry for each key."""
        return self._by_node.get(node, [])

    # Running hooks --------------------------------------------------------------------------------

    def _run(self) -> None:
        for name in hooks.SETUP:
            self._start(name, {})
        for name in self._changing:
            if isinstance(self.attributes.get(name), Const):
                self.attributes[name] = UNKNOWN
        for name in hooks.LOG_HOOKS:
            if name in hooks.EPOCH_END or name.endswith("_epoch_end"):
                self._collect_totals(hooks.stage_of(name))
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

    def _collect_totals(self, stage: str) -> None:
        """Give each total that the steps of a stage added to what an epoch makes it."""
        found: dict[str, list[Added]] = {}
        for one in self.added:
            found.setdefault(one.attribute, []).append(one)
        for attribute, additions in found.items():
            own = [one for one in additions if hooks.stage_of(one.hook) == stage] or additions
            if attribute in self._set_in_batches or any(one.looped for one in own):
                continue
            if running_totals.is_total(self.cls, attribute):
                self.attributes[attribute] = _totals([(one.keys, one) for one in own])
        self._collect_meters(stage)

    def _collect_meters(self, stage: str) -> None:
        """Give each object that keeps a mean what the steps of a stage gave it."""
        found: dict[str, list[MeterUpdate]] = {}
        for one in self.meter_updates:
            found.setdefault(one.attribute, []).append(one)
        for attribute, updates in found.items():
            own = [one for one in updates if hooks.stage_of(one.hook) == stage]
            held = self.attributes.get(attribute)
            if not isinstance(held, Meter):
                continue
            fed = _fed(own) if own and attribute not in self._set_in_batches else None
            self.attributes[attribute] = replace(held, fed=fed)

    @cached_property
    def _windows(self) -> frozenset[str]:
        return attribute_changes.windows(self.cls)

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
        self._tests = []
        saved = Names(self.attributes)
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
        with contextlib.suppress(OutOfBudget):
            self.returned[name] = self._enter(info, arguments, {}, True)
        if name not in hooks.SETUP:
            # What a hook assigns is not what the next hook finds: keep what setup made.
            self.attributes = Names({**self.attributes, **saved})

    # Log calls ------------------------------------------------------------------------------------

    def _log(self, frame: Frame, node: ast.Call, is_dict: bool) -> None:
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
                    not any(f.conditions or f.left for f, _ in (*self._calls, (frame, node))),
                    tuple(self._tests),
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


def _totals(rows: list[tuple[tuple[str | None, ...], Added]]) -> Value:
    """Return what holds the totals that values were added to, with the keys of each."""
    if not all(keys for keys, _ in rows):
        return _total([added for _, added in rows])
    inner: dict[str, list[tuple[tuple[str | None, ...], Added]]] = {}
    for keys, added in rows:
        inner.setdefault(keys[0] or "*", []).append((keys[1:], added))
    if any("*" in key for key in inner):
        return Elements(_totals([(keys[1:], added) for keys, added in rows]))
    return Map(tuple((key, _totals(found)) for key, found in inner.items()))


def _fed(updates: list[MeterUpdate]) -> Number | None:
    """Return what an object that keeps a mean holds, where each batch gave it one value."""
    if len({one.node for one in updates}) != 1 or not all(one.once for one in updates):
        return None
    update = updates[0]
    value = list(numbers(update.value))
    forms = {number.form for number in value}
    origins = arithmetic.union(*(number.origins for number in value))
    if len(forms) == 1 and forms != {Form.DATA}:
        return Number(Form.STACKED, origins, entry=forms.pop())
    named = running_totals.is_named_as_mean(update.node.func, update.node.args[0])
    return Number(Form.STACKED, origins, entry=Form.DATA) if named and len(forms) < 2 else None


def _total(additions: list[Added]) -> Value:
    """Return what a total is at the end of an epoch in which each batch added to it."""
    if all(added.value == Const(1) for added in additions):
        hooked = [added.hook for added in additions]
        return Number(Form.BATCHES) if len(set(hooked)) == len(hooked) else UNKNOWN
    lists = [added.value for added in additions if isinstance(added.value, Seq)]
    if lists:
        one = all(len(added.items) == 1 for added in lists) and len(lists) == len(additions)
        return Elements(merge([added.items[0] for added in lists]), True) if one else UNKNOWN
    found = [list(numbers(added.value)) for added in additions]
    forms = {number.form for group in found for number in group}
    origins = arithmetic.union(*(number.origins for group in found for number in group))
    if len(forms) == 1 and all(found) and forms != {Form.DATA}:
        return Number(Form.SUMMED, origins, entry=forms.pop())
    if len(forms) > 1:
        return UNKNOWN
    # What is added is not known: the names tell whether it is the mean of a batch.
    named = all(running_totals.is_named_as_mean(added.target, added.added) for added in additions)
    return Number(Form.SUMMED, origins, entry=Form.DATA) if named else UNKNOWN
