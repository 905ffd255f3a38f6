"""Writes a formula into the epoch-end hook, applied once to what the steps gathered."""

from __future__ import annotations

import ast
import re

from lintmetrics.codemod import Blocked, Codemod, Fix, Relation
from lintmetrics.config import Settings
from lintmetrics.edits import CannotEdit, Editor, FunctionNode
from lintmetrics.model import attribute_names, creation, epoch_formulas, logged_values
from lintmetrics.model.creation import Place
from lintmetrics.model.epoch_end_places import EpochEndPlace
from lintmetrics.model.epoch_formulas import Formula, Part
from lintmetrics.model.log_calls import LogCall, LogContext
from lintmetrics.model.logged_values import LoggedValue
from lintmetrics.model.object_equivalents import MetricObject
from lintmetrics.model.torchmetrics_versions import require
from lintmetrics.model.trails import attribute_value
from lintmetrics.model.values import Origin
from lintmetrics.project import Module
from lintmetrics.rule import Finding
from lintmetrics.tree import subtree

_STEPS = ("training_step", "validation_step", "test_step")
# Arguments of the log call that mean nothing where a value of the whole epoch is logged.
_OF_BATCHES = frozenset(
    ("on_step", "on_epoch", "batch_size", "sync_dist", "sync_dist_group", "reduce_fx",
     "add_dataloader_idx", "name", "value", "dictionary")
)  # fmt: skip


class EpochEndFormula(Codemod):
    """Gathers the counts and means of a formula and applies it once to those of the epoch."""

    codes = ("LM104",)
    priority = -5

    def plan(self, finding: Finding, settings: Settings) -> Fix | Blocked:
        """Plan what is gathered in the step, and the log call in the epoch-end hook."""
        call, origin = finding.subject, finding.detail
        assert isinstance(call, LogCall)
        assert isinstance(origin, Origin)
        if origin.averaged:
            return Blocked(
                f"the batch values are averaged by hand at line {call.node.lineno}; gather the "
                "parts of the formula and apply it once in the epoch-end hook"
            )
        owner = origin.module.enclosing_class(origin.node)
        if owner is not None and not owner.is_lightning and origin.name == "square root":
            return Blocked(
                f"the root is taken in {owner.node.name} at line {origin.node.lineno} of "
                f"{origin.module.source.path}; update torchmetrics.MeanSquaredError(squared=False) "
                "with what it is given, and log the object"
            )
        return _Move(call).fix()


class _Move:
    """One logged formula on its way to the epoch end."""

    def __init__(self, call: LogCall) -> None:
        function, written = call.function, call.value_node
        if function is None or written is None:
            raise CannotEdit(
                f"the dict logged at line {call.node.lineno} is put together elsewhere; log the "
                "formula on its own, or apply it in the epoch-end hook"
            )
        self.call = call
        self.module: Module = call.module
        self.function: FunctionNode = function
        self.written = written
        parent = self.module.parent(call.node)
        if not isinstance(parent, ast.Expr):
            raise CannotEdit(f"the log call at line {call.node.lineno} is part of an expression")
        self.statement: ast.stmt = parent
        self.value = LoggedValue(
            call, self.module, written, parent, parent, written, call.key_node, "", False
        )
        self.owner = self.value.owner
        self.contexts = self.value.contexts()
        self._require_plain_log()
        self.editor = Editor()
        self.creations: list[tuple[str, str]] = []
        self.names: dict[str, str] = {}
        self.is_known: set[str] = set()

    # What must hold ------------------------------------------------------------------------------

    def _require_plain_log(self) -> None:
        line = self.call.node.lineno
        steps = {context.hook for context in self.contexts}
        if not steps <= set(_STEPS) or not steps:
            raise CannotEdit(f"the log call at line {line} is also reached from other hooks")
        loop = self.value.in_loop
        if loop is not None:
            raise CannotEdit(
                f"the log call at line {line} stands in the loop at line {loop.lineno}; gather the "
                "parts of each turn in a torch.nn.ModuleDict, and apply the formula in the "
                "epoch-end hook"
            )
        if logged_values.conditions(self.module, self.statement):
            raise CannotEdit(
                f"the log call at line {line} stands under a condition; decide when the epoch's "
                "value is logged, and apply the formula in the epoch-end hook"
            )
        for context in self.contexts:
            if context.key is None or "*" in context.key:
                raise CannotEdit(f"the key at line {line} is not known until the code runs")
            if context.on_step is not False:
                raise CannotEdit(
                    f'"{context.key}" is also logged at every step of {context.hook}; decide what '
                    "a step is to show, log that under a key of its own with on_epoch=False, and "
                    "apply the formula to the epoch's parts in the epoch-end hook"
                )
            if context.on_epoch is not True or context.reduce_fx != "mean":
                raise CannotEdit(f"how line {line} reduces its values is not known")
        step, _ = logged_values.told_dataloader(self.contexts, self.owner)
        if step:
            raise CannotEdit(
                f"{step} is told its dataloader, and its key carries the index; gather the parts "
                "for each dataloader in a torch.nn.ModuleList and log one key for each"
            )
        stages = {context.stage for context in self.contexts}
        keys = {context.key for context in self.contexts}
        if len(keys) == 1 and "train" in stages and len(stages) > 1:
            raise CannotEdit(
                f"line {line} logs train and other batches under one key; name the stage in it"
            )

    # The plan ------------------------------------------------------------------------------------

    def fix(self) -> Fix:
        """Plan the whole move."""
        formula = epoch_formulas.formula_of(
            self.call.cls, self.module, self.function, self.statement, self.written
        )
        places = [EpochEndPlace.of(self.owner, c.hook) for c in self._by_hook()]
        if self.module is not self.owner.module:
            raise CannotEdit(f"the log call at line {self.call.node.lineno} is in another file")
        feeds = self._gather(formula)
        for context, place in zip(self._by_hook(), places, strict=True):
            self._log(formula, context, place)
        self._rewrite_step(formula, feeds)
        if self.creations:
            self._create()
        self.editor.claim(
            self.owner.module, self.owner.node, self.module.source.start(self.written)
        )
        hooks = " and ".join(place.name for place in places)
        held = ", ".join(dict.fromkeys(self.names.values()))
        text = (
            f"gather {held} in the step and log the formula of the epoch in {hooks}: "
            f"{self.call.key} becomes its value on the epoch"
        )
        return Fix(Relation.CORRECTS, text, self.editor.edits)

    def _by_hook(self) -> list[LogContext]:
        found: dict[str, LogContext] = {}
        for context in self.contexts:
            known = found.setdefault(context.hook, context)
            if known.key != context.key:
                raise CannotEdit(
                    f"line {self.call.node.lineno} logs several keys in {context.hook}; write one "
                    "log call for each"
                )
        return list(found.values())

    def _gather(self, formula: Formula) -> list[str]:
        """Name the objects that gather, create those that are new, return what feeds them."""
        keys = list(dict.fromkeys(str(c.key) for c in self.contexts))
        stages = list(dict.fromkeys(c.stage for c in self.contexts))
        feeds: list[str] = []
        taken: set[str] = set()
        for part in formula.parts:
            wanted = "MeanMetric" if part.is_mean else "SumMetric"
            ident = self._ident(part)
            if ident in self.names:
                continue
            arguments = ", ".join(part.feed)
            known = self._fed_already(arguments, wanted) if len(keys) == 1 else ""
            if known:
                self.names[ident] = known
                self.is_known.add(known)
                continue
            kind = "mean" if part.is_mean else "sum"
            if len(keys) == 1:
                stage = stages[0] if len(stages) == 1 else ""
                base = part.name or f"{keys[0]}_{kind}"
                name = self._free(base, stage, taken)
                made, text = self._object(wanted), f"self.{name}"
            else:
                if self.call.key_node is None or not all(
                    attribute_names.is_module_dict_key(key) for key in keys
                ):
                    raise CannotEdit(
                        f"the keys at line {self.call.node.lineno} name no attributes; create one "
                        "object for each key by hand"
                    )
                rest = {attribute_names.without_stage(key) for key in keys}
                base = (rest.pop() if len(rest) == 1 else "") or "parts"
                name = self._free(f"{base}_{part.name or kind}", "", taken)
                container = self.editor.add_import(self.owner.module, "torch.nn", "ModuleDict")
                listed = ", ".join(f'"{key}"' for key in keys)
                made = f"{container}({{key: {self._object(wanted)} for key in ({listed})}})"
                key_text = " ".join(self.module.source.segment(self.call.key_node).split())
                text = f"self.{name}[{key_text}]"
            taken.add(name)
            self.names[ident] = text
            self.creations.append((name, made))
            feeds.append(f"{text}.update({arguments})")
        return feeds

    @staticmethod
    def _ident(part: Part) -> str:
        return f"{part.is_mean} {', '.join(part.feed)}"

    def _object(self, kind: str) -> str:
        require(self.owner.module.project, kind)
        return f"{self.editor.add_import(self.owner.module, 'torchmetrics', kind)}()"

    def _free(self, base: str, stage: str, taken: set[str]) -> str:
        name = attribute_names.attribute_for(base, stage, self.owner)
        number = 2
        while name in taken:
            name = attribute_names.attribute_for(f"{base}_{number}", stage, self.owner)
            number += 1
        return name

    def _fed_already(self, arguments: str, kind: str) -> str:
        """Return the object that the step feeds with the same, and the epoch end resets."""
        for statement in self.function.body:
            call = statement.value if isinstance(statement, ast.Expr) else None
            if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
                continue
            held = call.func.value
            given = " ".join(self.module.source.segment(call).split())
            text = self.module.source.segment(held)
            if call.func.attr != "update" or given != f"{text}.update({arguments})":
                continue
            if isinstance(held, ast.Attribute) and self._is_of(held.attr, kind):
                place = EpochEndPlace.of(self.owner, self.contexts[0].hook)
                if place.resets([text]) is not None:
                    return text
        return ""

    def _is_of(self, attribute: str, kind: str) -> bool:
        found = attribute_value(self.owner, attribute)
        if found is None or not isinstance(found[0], ast.Call):
            return False
        return (found[1].qualified(found[0].func) or "").rsplit(".", 1)[-1] == kind

    # The epoch end -------------------------------------------------------------------------------

    def _log(self, formula: Formula, context: LogContext, place: EpochEndPlace) -> None:
        keys = {c.key for c in self.contexts}
        held = {
            ident: text if len(keys) == 1 else re.sub(r"\[.*\]$", f'["{context.key}"]', text)
            for ident, text in self.names.items()
        }
        simple = len(formula.parts) == 1 and not formula.statements
        simple = simple and len(formula.parts[0].nodes) == 1
        lines: list[str] = []
        replaced: dict[ast.expr, str] = {}
        for part in formula.parts:
            text = f"{held[self._ident(part)]}.compute()"
            if formula.uses_numpy and not all(self._is_asked(node) for node in part.nodes):
                if any(self._is_asked(node) for node in part.nodes):
                    raise CannotEdit(
                        f"{part.name} is taken for a tensor and for a number; apply the formula in "
                        "the epoch-end hook by hand"
                    )
                text += ".item()"
            if simple or not part.name:
                replaced.update(dict.fromkeys(part.nodes, text))
            else:
                line = f"{part.name} = {text}"
                if not self._has(place, line) and line not in lines:
                    self._require_free(place, part.name)
                    lines.append(line)
        for statement in formula.statements:
            line = self._with(statement, replaced)
            if not self._has(place, line):
                self._require_free(place, _bound(statement))
                lines.append(line)
        options = [f'"{context.key}"', self._with(formula.expression, replaced), *self._options()]
        lines.append(f"self.log({', '.join(options)})")
        new = [text for ident, text in held.items() if self.names[ident] not in self.is_known]
        resets = [f"{text}.reset()" for text in dict.fromkeys(new)]
        before = place.resets(sorted(self.is_known)) if self.is_known else None
        place.write(self.editor, self.function, lines, resets, before)

    def _is_asked(self, node: ast.expr) -> bool:
        """Tell whether a method of a part is called, so that it has to be a tensor."""
        parent = self.module.parent(node)
        return isinstance(parent, ast.Attribute)

    def _has(self, place: EpochEndPlace, line: str) -> bool:
        source = self.module.source
        body = place.method.body if place.method is not None else []
        return any(" ".join(source.segment(s).split()) == line for s in body)

    @staticmethod
    def _require_free(place: EpochEndPlace, name: str) -> None:
        if place.binds(name):
            raise CannotEdit(
                f"{place.name} has a local {name} of its own; move the formula by hand"
            )

    def _with(self, node: ast.AST, replaced: dict[ast.expr, str]) -> str:
        """Return the text of a node with some parts of it replaced."""
        source = self.module.source
        start = source.start(node)
        text = source.segment(node)
        inside = [inner for inner in subtree(node) if inner in replaced]
        for inner in sorted(inside, key=source.start, reverse=True):
            assert isinstance(inner, ast.expr)
            first, last = source.start(inner) - start, source.end(inner) - start
            text = text[:first] + replaced[inner] + text[last:]
        if "#" in text:
            raise CannotEdit(f"a comment stands in the formula at line {source.line_of(start)}")
        return " ".join(text.split())

    def _options(self) -> list[str]:
        node = self.call.node
        if any(keyword.arg is None for keyword in node.keywords):
            raise CannotEdit(f"the arguments at line {node.lineno} are unpacked from a name")
        if len(node.args) > (1 if self.call.is_dict else 2):
            raise CannotEdit(f"the arguments at line {node.lineno} are given by place")
        kept = []
        for keyword in node.keywords:
            if keyword.arg in _OF_BATCHES:
                continue
            scope = self.module.scope_of(self.function)
            for inner in subtree(keyword.value):
                if isinstance(inner, ast.Name) and inner.id in scope and inner.id != "self":
                    raise CannotEdit(f"{keyword.arg}= at line {node.lineno} is a value of the step")
            text = " ".join(self.module.source.segment(keyword.value).split())
            kept.append(f"{keyword.arg}={text}")
        return kept

    # The step ------------------------------------------------------------------------------------

    def _rewrite_step(self, formula: Formula, feeds: list[str]) -> None:
        gone: list[ast.stmt] = []
        if self._drop_entry():
            if feeds:
                self.editor.insert_before(self.module, self.statement, feeds)
        else:
            gone = [self.statement]
            if feeds:
                # In front of the last one: behind it, a new method may begin.
                if feeds[:-1]:
                    self.editor.insert_before(self.module, self.statement, feeds[:-1])
                self.editor.replace(self.module, self.statement, feeds[-1])
            else:
                self.editor.remove(self.module, self.statement)
        for statement in reversed(formula.statements):
            name = _bound(statement)
            reads = [
                node
                for node in subtree(self.function)
                if isinstance(node, ast.Name)
                and node.id == name
                and isinstance(node.ctx, ast.Load)
                and not any(node in subtree(other) for other in gone)
                and not self._in_dropped(node)
            ]
            if not reads:
                self.editor.remove(self.module, statement)
                gone.append(statement)

    def _in_dropped(self, node: ast.AST) -> bool:
        return node in subtree(self.written)

    def _drop_entry(self) -> bool:
        """Take the entry out of the dict that is logged; tell whether others stay in it."""
        if not self.call.is_dict:
            return False
        held = self.module.parent(self.written)
        assert isinstance(held, ast.Dict)
        if len(held.values) == 1:
            return False
        index = held.values.index(self.written)
        source = self.module.source
        if index:
            start, end = source.end(held.values[index - 1]), source.end(self.written)
        else:
            first, following = held.keys[0], held.keys[1]
            if first is None or following is None:
                raise CannotEdit(f"the dict at line {held.lineno} is put together of others")
            start, end = source.start(first), source.start(following)
        if "#" in source.text[start:end]:
            raise CannotEdit(f"a comment stands in the dict at line {held.lineno}")
        self.editor.replace_range(self.module, start, end, "")
        return True

    def _create(self) -> None:
        def make(place: Place) -> tuple[MetricObject, list[str]]:
            return MetricObject("torchmetrics.MeanMetric"), []

        place, _ = creation.first_fitting(self.owner, make)
        lines = [creation.assignment(name, made) for name, made in self.creations]
        place.write(self.editor, [line for group in lines for line in group])


def _bound(statement: ast.stmt) -> str:
    target = statement.targets[0] if isinstance(statement, ast.Assign) else None
    if isinstance(statement, ast.AnnAssign):
        target = statement.target
    assert isinstance(target, ast.Name)
    return target.id
