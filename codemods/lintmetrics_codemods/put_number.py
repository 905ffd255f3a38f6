"""Hands a logged number over with ``put``: gathered by an object, computed once, reset by hand."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from lintmetrics.codemod import Blocked, Codemod, Fix, Relation
from lintmetrics.config import Settings
from lintmetrics.edits import CannotEdit, Editor, FunctionNode
from lintmetrics.model import (
    attribute_changes,
    attribute_names,
    batches,
    creation,
    hooks,
    loaders,
    logged_values,
    metric_reads,
    possible_objects,
    put_style,
)
from lintmetrics.model.epoch_end_places import EpochEndPlace
from lintmetrics.model.flow import LightningClass
from lintmetrics.model.held_metrics import held_metrics
from lintmetrics.model.log_calls import LogCall, LogContext
from lintmetrics.model.tensors import bindings
from lintmetrics.model.values import Const, Metric, Number, Value, options
from lintmetrics.rule import Finding
from lintmetrics.tree import own_nodes, subtree

# What self.log makes of the values of an epoch, and the object that makes the same of them.
_OBJECTS = {"mean": "MeanMetric", "sum": "SumMetric", "min": "MinMetric", "max": "MaxMetric"}
_SAID = ("name", "dictionary", "value")
_KNOWN = frozenset(
    (
        *(*_SAID, "on_step", "on_epoch", "prog_bar", "logger", "batch_size", "sync_dist"),
        *("reduce_fx", "add_dataloader_idx", "enable_graph", "metric_attribute"),
    )
)
_STEPS = {"train": "training_step", "val": "validation_step", "test": "test_step"}
# self.log keeps their numbers until the epoch ends (lightning 2.6.6, training_epoch_loop.py).
_AT_START = ("on_train_start", "on_train_epoch_start")
_TOLD_TOOLS = re.compile(r"#\s*(?:noqa|type:|pylint:|pyright:|fmt:|ruff:)")
_LOADER = "dataloader_idx"
_TRAINING = "self.trainer.training"
_BY_BATCH = ("global_step", "fit_loop", "is_last_batch", "should_stop")


@dataclass(frozen=True)
class _Way:
    """The ways to a log call that log at the same levels.

    ``on_step`` and ``on_epoch`` are both false in hooks that run once for an epoch.
    """

    contexts: tuple[LogContext, ...]
    on_step: bool
    on_epoch: bool

    @property
    def values(self) -> list[Value]:
        """Everything that may be logged."""
        return [value for context in self.contexts for value in options(context.value)]

    @property
    def metrics(self) -> list[Metric]:
        """The Metric objects among it."""
        return [value for value in self.values if isinstance(value, Metric)]

    @property
    def stages(self) -> set[str]:
        """The loops it belongs to."""
        return {context.stage for context in self.contexts}


@dataclass
class _AtEnd:
    """What one epoch-end hook gets."""

    place: EpochEndPlace
    chunks: list[tuple[str, ...]] = field(default_factory=list)
    resets: list[str] = field(default_factory=list)
    before: ast.stmt | None = None

    def add(self, lines: Sequence[str]) -> None:
        """Add statements, once."""
        if lines and tuple(lines) not in self.chunks:
            self.chunks.append(tuple(lines))

    def write(self, editor: Editor, after: FunctionNode) -> None:
        """Write all of it."""
        lines = [line for chunk in self.chunks for line in chunk]
        self.place.write(editor, after, lines, self.resets, self.before)


class PutNumber(Codemod):
    """Writes ``put`` with the number of the epoch, or of the step, in place of ``self.log``."""

    codes = ("LM701",)
    leads_to = ("LM702", "LM703")
    since = "lightning 2.0"

    def plan(self, finding: Finding, settings: Settings) -> Fix | Blocked:
        """Plan the object, its update, and the epoch-end hook that puts its value."""
        call = finding.subject
        assert isinstance(call, LogCall)
        return _Handover(call).fix()


class _Handover:
    """One log call on its way to ``put``."""

    def __init__(self, call: LogCall) -> None:
        module, line = call.module, call.node.lineno
        owner = module.enclosing_class(call.node)
        if owner is None or call.function is None:
            raise CannotEdit(f"the log call at line {line} stands in no method of a class")
        self.in_callback = owner.is_kind("Callback") and not owner.is_kind("LightningModule")
        if not (self.in_callback or owner.is_kind("LightningModule")):
            raise CannotEdit(f"{owner.node.name} is no LightningModule by itself, which has put")
        func = call.node.func
        receiver = module.source.segment(func.value) if isinstance(func, ast.Attribute) else ""
        if receiver != "self" and not self.in_callback:
            raise CannotEdit(f"{receiver} is another object; let it put the number itself")
        statement = module.parent(call.node)
        if not isinstance(statement, ast.Expr):
            raise CannotEdit(f"what the log call at line {line} answers is used")
        for name in put_style.PUTS:
            if owner.lookup(name) is not None and not put_style.has_mixin(owner):
                raise CannotEdit(f"{owner.node.name} has a {name} of its own")
        self.call, self.module, self.owner, self.line = call, module, owner, line
        self.function: FunctionNode = call.function
        self.statement = statement
        self.editor = Editor()
        self.ends: dict[str, _AtEnd] = {}
        self.made: set[str] = set()
        self.assumed: list[str] = []
        self.weight = ""

    def fix(self) -> Fix:
        """Plan the whole handover."""
        self._require_known_arguments()
        entries = self._entries()
        ways = [self._ways(entry) for entry in entries]
        for group in ways:
            self._require_unread(group)
        lines: list[str] = []
        if all(self._stays(group) for group in ways):
            lines = self._in_place(entries, ways)
        else:
            for entry, group in zip(entries, ways, strict=True):
                lines += self._branches(entry, group)
        if lines:
            lines = [*self._comments(), *lines]
        self.editor.replace_statement(self.module, self.statement, lines)
        for end in self.ends.values():
            step = self.owner.methods.get(end.place.step, self.function)
            end.write(self.editor, step)
        self._mix_in()
        mark = self.module.source.start(self.call.node)
        self.editor.claim(self.owner.module, self.owner.node, mark)
        where = " and ".join(self.ends)
        message = f"put {self.call.key}" + (f" in {where}" if where else "")
        if self.weight:
            message += f"; each batch weighs {self.weight}"
        if self.assumed:
            assumed = " and ".join(dict.fromkeys(self.assumed))
            message = f"{message}; assumes {assumed}"
            return Fix(Relation.ASSUMES, message, self.editor.edits, "put")
        return Fix(Relation.PRESERVES, message, self.editor.edits, "put")

    # What is logged ---------------------------------------------------------------------------

    def _require_known_arguments(self) -> None:
        node = self.call.node
        starred = any(isinstance(argument, ast.Starred) for argument in node.args)
        if starred or any(keyword.arg is None for keyword in node.keywords):
            raise CannotEdit(f"the arguments at line {self.line} are unpacked from a name")
        for keyword in node.keywords:
            if keyword.arg not in _KNOWN:
                raise CannotEdit(f"{keyword.arg}= at line {self.line} has no place in put")
        if len(node.args) > (1 if self.call.is_dict else 2):
            raise CannotEdit(f"the log call at line {self.line} is given flags by place")

    def _flag(self, name: str, default: bool) -> bool:
        given = self.call.argument(name)
        if given is None:
            return default
        if isinstance(given, ast.Constant) and isinstance(given.value, bool):
            return given.value
        raise CannotEdit(f"{name}= at line {self.line} is not known until the code runs")

    def _entries(self) -> list[LogCall]:
        """Return everything that the call logs, in the class that holds it and below."""
        found: dict[str | None, LogCall] = {}
        for cls in (self.owner, *self.owner.subclasses):
            for entry in LightningClass.of(cls).calls_at(self.call.node):
                known = found.get(entry.entry, replace(entry, contexts=()))
                more = tuple(way for way in entry.contexts if way not in known.contexts)
                found[entry.entry] = replace(known, contexts=known.contexts + more)
        return list(found.values())

    def _ways(self, entry: LogCall) -> list[_Way]:
        """Return the ways to an entry by the levels at which they log.

        Raises:
            CannotEdit: one of them has no counterpart.
        """
        groups: dict[tuple[bool, bool], list[LogContext]] = {}
        for way in entry.contexts:
            if way.stage not in _STEPS:
                raise CannotEdit(f"{way.hook} logs nothing in Lightning")
            if way.hook in _AT_START:
                raise CannotEdit(
                    f"what {way.hook} logs is written at the end of the epoch, and what it puts at "
                    "its start"
                )
            if not hooks.is_batch_hook(way.hook):
                groups.setdefault((False, False), []).append(way)
                continue
            if way.on_step is None or way.on_epoch is None:
                raise CannotEdit(f"the levels at line {self.line} are not known until it runs")
            if way.on_step and way.stage != "train":
                raise CannotEdit(
                    f"{way.hook} logs each step on an axis of its own, which put does not keep"
                )
            if not (way.on_step or way.on_epoch):
                raise CannotEdit(f"the log call at line {self.line} logs nothing")
            if way.on_step and self._is_of_some_batches(way):
                raise CannotEdit(
                    f"line {self.line} logs in some batches alone, and self.log writes its last "
                    "value in the rows of the others as well; put writes it where it is put"
                )
            if way.on_epoch and way.reduce_fx not in _OBJECTS:
                raise CannotEdit(f"reduce_fx= at line {self.line} is no reduction that is known")
            groups.setdefault((way.on_step, way.on_epoch), []).append(way)
        if not groups:
            raise CannotEdit(f"no hook leads to the log call at line {self.line}")
        if (False, False) in groups and len(groups) > 1:
            raise CannotEdit(f"line {self.line} is reached from steps and from epoch-end hooks")
        return [_Way(tuple(ways), *level) for level, ways in groups.items()]

    def _is_of_some_batches(self, way: LogContext) -> bool:
        """Tell whether a way is taken in some batches of an epoch and not in others."""
        if any(not self._is_fixed(test.node) for test in way.tests):
            return True
        return not way.certain and any(
            isinstance(node, (ast.Return, ast.Continue, ast.Break))
            and node.lineno < self.line
            and any(isinstance(above, ast.If) for above in self.module.ancestors(node))
            for node in own_nodes(self.function)
        )

    def _is_fixed(self, test: ast.expr) -> bool:
        """Tell whether a condition comes out the same in all batches of an epoch."""
        changing = attribute_changes.reassigned(self.owner)
        for node in subtree(test):
            if isinstance(node, ast.Name) and node.id != "self":
                return False
            if isinstance(node, ast.Call):
                return False
            if isinstance(node, ast.Attribute) and (
                node.attr in _BY_BATCH
                or (isinstance(node.value, ast.Name) and node.attr in changing)
            ):
                return False
        return True

    def _stays(self, ways: list[_Way]) -> bool:
        """Tell whether an entry is handed over as it is, where it is logged."""
        return len(ways) == 1 and not ways[0].on_epoch and not ways[0].metrics

    # How it is written ------------------------------------------------------------------------

    def _in_place(self, entries: list[LogCall], ways: list[list[_Way]]) -> list[str]:
        """Return the one ``put`` that takes the place of the call."""
        for entry, group in zip(entries, ways, strict=True):
            self._require_reduced_by_nobody()
            self._require_one_loader(group[0])
            self._require_number(entry, group[0])
        node = self.call.node
        given = [*node.args, *(k.value for k in node.keywords if k.arg in _SAID)]
        if len(given) != (1 if self.call.is_dict else 2):
            raise CannotEdit(f"the log call at line {self.line} lacks a key or a value")
        by_name = {k.arg: k.value for k in node.keywords}
        if not node.args and "name" in by_name:
            given = [by_name["name"], by_name["value"]]
        name = "put_dict" if self.call.is_dict else "put"
        return [f"self.{name}({', '.join(map(self._text, given))}{self._destinations()})"]

    def _branches(self, entry: LogCall, ways: list[_Way]) -> list[str]:
        """Return the statements that take the place of an entry, told apart by stage."""
        if len(ways) == 1:
            return self._write(entry, ways[0])
        train = [way for way in ways if way.stages == {"train"}]
        rest = [way for way in ways if "train" not in way.stages]
        if len(train) != 1 or len(rest) != 1 or len(ways) != 2:
            raise CannotEdit(f"line {self.line} logs at several levels in one stage")
        own, others = self._write(entry, train[0]), self._write(entry, rest[0])
        if not own:
            own, others, head = others, [], f"if not {_TRAINING}:"
        else:
            head = f"if {_TRAINING}:"
        lines = [head, *_indented(own)] if own else []
        return [*lines, "else:", *_indented(others)] if others else lines

    def _write(self, entry: LogCall, way: _Way) -> list[str]:
        if not way.metrics:
            return self._numbers(entry, way)
        if len(way.metrics) < len(way.values):
            raise CannotEdit(f"line {self.line} logs an object here and a number there")
        return self._objects(entry, way)

    def _destinations(self) -> str:
        """Return the last argument of ``put``, for where ``self.log`` takes the number."""
        logger, progress_bar = self._flag("logger", True), self._flag("prog_bar", False)
        if logger and progress_bar:
            return ""
        names = [*(["loggers"] if logger else []), *(["progress_bar"] if progress_bar else [])]
        if not names:
            return ', destinations="callbacks"'
        return ", destinations=[" + ", ".join(f'"{name}"' for name in (*names, "callbacks")) + "]"

    def _text(self, node: ast.expr) -> str:
        text = self.module.source.segment(node)
        if "\n" not in text:
            return text
        if "#" in text or '"""' in text:
            raise CannotEdit(f"a comment or a long string stands in the call at line {self.line}")
        return " ".join(text.split())

    def _comments(self) -> list[str]:
        """Return the comments between the arguments of the call, which its lines take along."""
        text = self.module.source.segment(self.statement)
        tokens = tokenize.generate_tokens(io.StringIO(text).readline)
        found = [token.string for token in tokens if token.type == tokenize.COMMENT]
        return [comment for comment in found if not _TOLD_TOOLS.match(comment)]

    def _key(self, entry: LogCall) -> str:
        if entry.key_node is not None:
            return self._text(entry.key_node)
        keys = {context.key for context in entry.contexts}
        key = keys.pop() if len(keys) == 1 else None
        if key is None or "*" in key:
            raise CannotEdit(f"the keys at line {self.line} are not written out")
        return _quoted(key)

    def _value(self, entry: LogCall) -> str:
        if entry.value_node is None:
            raise CannotEdit(f"the values at line {self.line} are not written out in the call")
        return self._text(entry.value_node)

    # Plain numbers ----------------------------------------------------------------------------

    def _numbers(self, entry: LogCall, way: _Way) -> list[str]:
        """Return what is done with numbers that are no objects."""
        self._require_number(entry, way)
        key, value = self._key(entry), self._value(entry)
        if not way.on_epoch:
            self._require_reduced_by_nobody()
            self._require_one_loader(way)
            return [f"self.put({key}, {value}{self._destinations()})"]
        if self.in_callback:
            raise CannotEdit(
                f"{self.owner.node.name} is a callback, and nothing moves a metric object that "
                "one holds to the device; let the module gather the number"
            )
        lines: list[str] = []
        if way.on_step:
            self._require_reduced_by_nobody()
            if not isinstance(ast.parse(value, mode="eval").body, ast.Name):
                name = self._free_local(entry.key)
                lines.append(f"{name} = {value}")
                value = name
            lines += self._of_both_levels(key, value)
        count = self._loader_count(way)
        made, feed = self._gathering(entry, way, value)
        place, _ = creation.first_fitting(self.owner, lambda place: None)
        subject = creation.Subject(self.owner, self.module, entry.key_node, self.line)
        held = creation.write_objects(self.editor, subject, way.contexts, made, place, count)
        attribute, _, member = held.partition("[")
        if held in self.made:
            raise CannotEdit(f"two keys of line {self.line} give the same name")
        self.made.add(held)
        for context in way.contexts:
            by_key = f"[{_quoted(context.key or '')}]" if member and not count else ""
            self._at_end(entry, context, way, attribute + by_key, count)
        return [*lines, f"{held}.{feed}"]

    def _require_number(self, entry: LogCall, way: _Way) -> None:
        """Raise where a value may be an object that cannot be followed."""
        if all(isinstance(value, (Number, Const)) for value in way.values):
            return
        node = entry.value_node
        if node is None and self.call.node.args:
            node = self.call.node.args[-1]
        place = possible_objects.Place(self.module, self.function, self.owner)
        if node is not None and possible_objects.may_be_object(place, node):
            raise CannotEdit(f"`{self._text(node)}` at line {self.line} may be a Metric object")

    def _of_both_levels(self, key: str, value: str) -> list[str]:
        """Return what hands over the value of a step where there is one of the epoch as well."""
        # Lightning shows callbacks the value of the step under the plain key as well.
        return [
            f"self.put({_ending(key, '_step')}, {value}{self._destinations()})",
            f'self.put({key}, {value}, destinations="callbacks")',
        ]

    def _gathering(self, entry: LogCall, way: _Way, value: str) -> tuple[str, str]:
        """Return the constructor of the object that gathers numbers, and the call that feeds it."""
        reductions = {context.reduce_fx for context in way.contexts}
        if len(reductions) > 1:
            raise CannotEdit(f"reduce_fx= at line {self.line} is not known until the code runs")
        reduction = reductions.pop()
        made = self.editor.add_import(self.owner.module, "torchmetrics", _OBJECTS[reduction])
        # A NaN stays one, as with self.log. By default it is left out, and "disable" leaves the
        # weights out (torchmetrics 1.9.0, aggregation.py, _cast_and_nan_check_input).
        made += '(nan_strategy=float("nan"))'
        weight = f", {self._batch_size(entry, way)}" if reduction == "mean" else ""
        return made, f"update({value}{weight})"

    def _batch_size(self, entry: LogCall, way: _Way) -> str:
        said = self.call.argument("batch_size")
        if said is not None:
            return self._text(said)
        size = batches.of(self.owner, self.function, sorted(way.stages), entry.value_node)
        if size.expression is None:
            raise CannotEdit(
                "the code does not show how many samples a batch has; say batch_size= in the log "
                "call"
            )
        if not batches.is_known_at(self.module, self.call.node, size.expression):
            raise CannotEdit(f"`{size.expression}` is not known at line {self.line}")
        self.weight = size.expression
        return size.expression

    # Metric objects ---------------------------------------------------------------------------

    def _objects(self, entry: LogCall, way: _Way) -> list[str]:
        """Return what is done with Metric objects that are logged."""
        held = way.metrics
        for metric in held:
            self._require_usable(metric)
        collections = {metric.is_collection for metric in held}
        if len(collections) > 1:
            raise CannotEdit(f"line {self.line} logs a collection here and an object there")
        is_collection = collections.pop()
        if is_collection and way.on_step and way.on_epoch:
            raise CannotEdit(f"line {self.line} gives each name of a collection two endings")
        shown = self._value(entry)
        if not (way.on_step or way.on_epoch):
            return [*self._puts(entry, f"{shown}.compute()", is_collection), f"{shown}.reset()"]
        count = 0
        if shown.endswith(f"[{_LOADER}]"):
            count = self._loader_count(way)
        else:
            self._require_one_loader(way)
        lines: list[str] = []
        if way.on_step:
            value = self._batch_value(shown)
            lines = (
                self._of_both_levels(self._key(entry), value)
                if way.on_epoch
                else self._puts(entry, value, is_collection)
            )
        else:
            self._update_only(held, shown)
        for context in way.contexts:
            for metric in (v for v in options(context.value) if isinstance(v, Metric)):
                path = metric.path.partition("[")[0] if count else metric.path
                self._at_end(entry, context, way, "self." + path.replace("'", '"'), count)
        return lines

    def _puts(self, entry: LogCall, value: str, is_collection: bool) -> list[str]:
        if is_collection:
            return [f"self.put_dict({value}{self._destinations()})"]
        return [f"self.put({self._key(entry)}, {value}{self._destinations()})"]

    def _require_usable(self, metric: Metric) -> None:
        """Raise where an object cannot be computed and reset by hand."""
        if not metric.path:
            raise CannotEdit(f"the object at line {self.line} is no attribute of the module")
        if metric.container in ("dict", "list"):
            raise CannotEdit(f"self.{metric.path} is kept in a plain {metric.container}")
        for one in held_metrics(LightningClass.of(self.owner)):
            if one.path != metric.path:
                continue
            if one.speaks_of_whole_run:
                raise CannotEdit(f"self.{one.path} speaks of the whole run; say when it is reset")
            stages = {hooks.stage_of(use.hook) for use in one.feeds()}
            if "train" in stages and len(stages) > 1:
                raise CannotEdit(f"self.{one.path} gathers in {' and '.join(sorted(stages))}")

    def _calls_of(self, shown: str) -> list[tuple[ast.Call, ast.AST | None]]:
        """Return the calls of an object in the function of the log call, with what holds each."""
        segment = self.module.source.segment
        return [
            (node, self.module.parent(node))
            for node in subtree(self.function)
            if isinstance(node, ast.Call) and segment(node.func) in (shown, f"{shown}.update")
        ]

    def _batch_value(self, shown: str) -> str:
        """Return the name of what an object answers for the batch; it gets one if it has none."""
        calls = self._calls_of(shown)
        around = calls[0][1] if len(calls) == 1 else None
        alike = isinstance(around, (ast.Expr, ast.Assign)) and logged_values.conditions(
            self.module, around
        ) == logged_values.conditions(self.module, self.statement)
        if not alike or not isinstance(around, (ast.Expr, ast.Assign)):
            raise CannotEdit(
                f"{shown} is not called once, in a line of its own, where it is logged"
            )
        if isinstance(around, ast.Assign):
            target = around.targets[0] if len(around.targets) == 1 else None
            if isinstance(target, ast.Name) and (
                bindings(self.module, target.id, self.function) == [around]
            ):
                return target.id
            raise CannotEdit(f"what {shown} answers at line {around.lineno} has no name")
        name = self._free_local(shown.rpartition(".")[2])
        start = self.module.source.start(around)
        self.editor.replace_range(self.module, start, start, f"{name} = ")
        return name

    def _free_local(self, words: str) -> str:
        base = "_".join(attribute_names.words(words)) or "value"
        base = base if base.isidentifier() else f"value_{base}"
        taken = {*self.module.scope_of(self.function), *self.made}
        names = (base, f"{base}_value", *(f"{base}_value_{n}" for n in range(2, 99)))
        name = next(n for n in names if n not in taken and not self.module.binds(n))
        self.made.add(name)
        return name

    def _update_only(self, held: Sequence[Metric], shown: str) -> None:
        """Have an object gather without an answer for the batch, where nobody asks for one."""
        line = self.line
        calls = self._calls_of(shown)
        if not calls and logged_values.conditions(self.module, self.statement):
            raise CannotEdit(f"{shown} is fed elsewhere, and logged under a condition at {line}")
        for node, around in calls:
            statement = self.module.statement(node)
            if logged_values.conditions(self.module, statement) != logged_values.conditions(
                self.module, self.statement
            ):
                raise CannotEdit(
                    f"{shown} is fed at line {node.lineno} and logged at line {line} under another "
                    "condition"
                )
            paths = {metric.path for metric in held}
            by_step = any(
                way.on_step
                for one in held_metrics(LightningClass.of(self.owner))
                if one.path in paths
                for _, way in one.logs
            )
            is_bare = self.module.source.segment(node.func) == shown
            if is_bare and isinstance(around, ast.Expr) and not by_step:
                end = self.module.source.end(node.func)
                self.editor.replace_range(self.module, end, end, ".update")

    # The end of the epoch ---------------------------------------------------------------------

    def _at_end(
        self, entry: LogCall, context: LogContext, way: _Way, text: str, count: int
    ) -> None:
        """Put the value of an epoch in the hook that ends it, and reset the object there."""
        place = EpochEndPlace.of(self.owner, _STEPS[context.stage])
        self._require_of_all_below(entry, context)
        self._require_same_everywhere(entry, context)
        self._require_not_taken(place, text)
        if way.on_epoch:
            self._require_unread_by_callbacks(place, context)
        is_collection = any(metric.is_collection for metric in way.metrics)
        if "..." in text:
            raise CannotEdit(f"which object line {self.line} logs is not known until it runs")
        held = "metric" if count else text
        if count and not (place.loops_with(held) and place.loops_with(_LOADER)):
            raise CannotEdit(f"{place.name} has a local {held} or {_LOADER} of its own")
        puts = self._epoch_puts(entry, context, way, held, count) if way.on_epoch else []
        if puts and not context.certain:
            if is_collection:
                raise CannotEdit(f"line {self.line} logs a collection under a condition")
            # What no batch reached has no value, for self.log as well.
            puts = [f"if {held}.update_called:", *_indented(puts)]
        end = self.ends.setdefault(place.name, _AtEnd(place))
        if count:
            head = f"for {_LOADER}, {held} in enumerate({text}):"
            end.add([head, *_indented([*puts, f"{held}.reset()"])])
        else:
            end.add(puts)
        reset = None if count else place.resets((text,))
        if reset is None and not count:
            end.resets += [] if f"{text}.reset()" in end.resets else [f"{text}.reset()"]
        read = metric_reads.first_read(self.owner, place.method) if place.method else None
        for statement in (reset, read if way.on_epoch else None):
            if statement is not None and (
                end.before is None or statement.lineno < end.before.lineno
            ):
                end.before = statement

    def _epoch_puts(
        self, entry: LogCall, context: LogContext, way: _Way, held: str, count: int
    ) -> list[str]:
        to = self._destinations()
        if any(metric.is_collection for metric in way.metrics):
            if count > 1:
                raise CannotEdit(f"line {self.line} logs a collection for each dataloader")
            return [f"self.put_dict({held}.compute(){to})"]
        key = context.key
        if key is None or "*" in key:
            names = (
                {n.id for n in subtree(entry.key_node) if isinstance(n, ast.Name)}
                if (entry.key_node is not None)
                else {""}
            )
            if not count or not names <= {_LOADER}:
                raise CannotEdit(f"the key at line {self.line} is not known until the code runs")
            shown = self._key(entry)
        else:
            shown = _quoted(key)
        suffix = f"/{_LOADER}_{{{_LOADER}}}" if count > 1 and self._flag(_ADDS, True) else ""
        lines = [
            f"self.put({_ending(shown, ('_epoch' if way.on_step else '') + suffix)}, "
            f"{held}.compute(){to})"
        ]
        if way.on_step:
            plain = _ending(shown, suffix)
            lines.append(f'self.put({plain}, {held}.compute(), destinations="callbacks")')
        return lines

    # What must hold ---------------------------------------------------------------------------

    def _require_of_all_below(self, entry: LogCall, context: LogContext) -> None:
        """Raise where a class below inherits the hook, and not the step that the hook speaks of."""
        for below in self.owner.subclasses:
            stages = {
                way.stage
                for call in LightningClass.of(below).calls_at(entry.node)
                for way in call.contexts
            }
            if context.stage not in stages:
                raise CannotEdit(
                    f"{below.node.name} has a {_STEPS[context.stage]} that does not come here, and "
                    "would put numbers of no batch; convert it by hand"
                )

    def _require_same_everywhere(self, entry: LogCall, context: LogContext) -> None:
        """Raise where one hook would have to put this for one class, and that for another."""
        first: tuple[str, frozenset[tuple[str | None, str]]] | None = None
        for cls in (self.owner, *self.owner.subclasses):
            logged = frozenset(
                (way.key, value.path if isinstance(value, Metric) else "")
                for call in LightningClass.of(cls).calls_at(entry.node)
                if call.entry == entry.entry
                for way in call.contexts
                if way.stage == context.stage
                for value in options(way.value)
            )
            if first is not None and logged and logged != first[1]:
                raise CannotEdit(
                    f"line {self.line} logs other keys or objects in {cls.node.name} than in "
                    f"{first[0]}; put each in a hook of its own"
                )
            if logged:
                first = (cls.node.name, logged)

    def _require_unread(self, ways: list[_Way]) -> None:
        """Raise where a program goes on with what ``trainer.test()`` answers."""
        for stage in sorted({stage for way in ways for stage in way.stages}):
            where = put_style.read_result(self.module.project, stage)
            if where:
                raise CannotEdit(
                    f"the answer of the Trainer at {where} is used, and holds what self.log logged "
                    "alone; read trainer.callback_metrics there"
                )

    def _require_unread_by_callbacks(self, place: EpochEndPlace, context: LogContext) -> None:
        """Raise where something reads the number before the hook of the module can put it."""
        key = context.key or ""
        keys = frozenset((key, f"{key}_epoch"))
        reader = metric_reads.read_by_callback(self.module.project, place.name, keys)
        if reader:
            raise CannotEdit(
                f"{reader} reads it from the Trainer, and runs before {place.name} of the module"
            )
        for base in self.owner.mro()[1:]:
            method = base.methods.get(place.name)
            if method is not None and metric_reads.first_read(base, method) is not None:
                raise CannotEdit(
                    f"{place.name} of {base.node.name} reads numbers from the Trainer, and runs "
                    "first; put them there by hand"
                )

    def _require_not_taken(self, place: EpochEndPlace, text: str) -> None:
        """Raise where the hook of a base computes or resets the same object."""
        for base in self.owner.mro()[1:]:
            method = base.methods.get(place.name)
            spoken = base.module.source.segment(method) if method is not None else ""
            if re.search(rf"{re.escape(text)}\.(?:compute|reset)\(", spoken):
                raise CannotEdit(f"{place.name} of {base.node.name} already computes {text}")

    def _require_reduced_by_nobody(self) -> None:
        if self._flag("sync_dist", False):
            raise CannotEdit(
                f"sync_dist=True at line {self.line} reduces the value over processes, and put "
                "reduces nothing; gather it with a metric object"
            )

    def _require_one_loader(self, way: _Way) -> None:
        if self._loader_count(way):
            raise CannotEdit(
                f"line {self.line} logs for each of several dataloaders; create an object for each"
            )

    def _loader_count(self, way: _Way) -> int:
        """Return how many dataloaders want an object each; 0 where one serves all."""
        step, idle = logged_values.told_dataloader(list(way.contexts), self.owner)
        if not step:
            return 0
        counts = {loaders.how_many(self.owner, context.stage) for context in way.contexts}
        count = counts.pop() if len(counts) == 1 else 0
        if count > 1:
            return count
        if count == 1 or idle:
            self.assumed += [] if count == 1 else [f"that {step} has one dataloader"]
            return 0
        raise CannotEdit(f"how many dataloaders {step} has is not known until the code runs")

    def _mix_in(self) -> None:
        if put_style.has_mixin(self.owner):
            return
        module = self.owner.module
        name = self.editor.add_import(module, put_style.home(module.project), put_style.MIXIN)
        source, bases = module.source, self.owner.node.bases
        above = self.owner.mro()[1:]
        if above:
            # Behind the others, it stands right whether or not a base has it or will get it.
            end = source.end(bases[-1])
            self.editor.replace_range(module, end, end, f", {name}")
        else:
            start = source.start(bases[0])
            self.editor.replace_range(module, start, start, f"{name}, ")
        for base in above:
            if base.module is module:
                # Let it get the mixin first: then this class needs none.
                self.editor.claim(module, base.node, source.start(self.call.node))


_ADDS = "add_dataloader_idx"


def _indented(lines: Sequence[str]) -> list[str]:
    return [f"    {line}" for line in lines]


def _quoted(key: str) -> str:
    return '"' + key.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _ending(key: str, suffix: str) -> str:
    """Return the text of a key with an ending, which may hold an expression in braces."""
    if not suffix:
        return key
    node = ast.parse(key, mode="eval").body
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        if "{" not in suffix:
            return _quoted(node.value + suffix)
        return "f" + _quoted(node.value.replace("{", "{{").replace("}", "}}") + suffix)
    if isinstance(node, ast.JoinedStr) and key.endswith(('"', "'")):
        return key[:-1] + suffix + key[-1]
    return f'f"{{{key}}}{suffix}"'
