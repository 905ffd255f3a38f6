"""Computes an object of another library at the epoch end, on all that the steps gave it."""

from __future__ import annotations

import ast

from lintmetrics.codemod import Blocked, Codemod, Fix, Relation
from lintmetrics.config import Settings
from lintmetrics.edits import CannotEdit, Editor
from lintmetrics.model import hooks, logged_values
from lintmetrics.model.epoch_end_places import EpochEndPlace
from lintmetrics.model.flow import LightningClass
from lintmetrics.model.log_calls import LogCall
from lintmetrics.model.values import Origin
from lintmetrics.project import ClassInfo, Module
from lintmetrics.rule import Finding
from lintmetrics.tree import subtree

_STEPS = ("training_step", "validation_step", "test_step")
_SETUP = ("__init__", "setup", "configure_model")
_OF_BATCHES = frozenset(("on_step", "on_epoch", "batch_size", "add_dataloader_idx"))
_DATA = ("predictions", "references")


class EpochEndCompute(Codemod):
    """Lets an object of ``evaluate`` or MONAI gather in the step and compute at the epoch end."""

    codes = ("LM101",)
    priority = -5

    def plan(self, finding: Finding, settings: Settings) -> Fix | Blocked:
        """Plan what the step keeps, and the log call in the epoch-end hook."""
        call, origin = finding.subject, finding.detail
        assert isinstance(call, LogCall)
        assert isinstance(origin, Origin)
        node = origin.node
        held: ast.expr | None = None
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            held = node.func.value if node.func.attr in ("compute", "aggregate") else None
        if held is None or not origin.name.startswith(("evaluate.", "monai.metrics.")):
            return Blocked("")  # A function keeps no state that could answer for an epoch.
        return _Move(call, origin, held).fix()


class _Move:
    """One computation on its way to the epoch end."""

    def __init__(self, call: LogCall, origin: Origin, held: ast.expr) -> None:
        assert isinstance(origin.node, ast.Call)
        self.call = call
        self.node = origin.node
        self.module: Module = origin.module
        self.text = self.module.source.segment(held)
        by_hand = (
            f"give {self.text} the data of each batch in the step, and compute and log it in the "
            "epoch-end hook"
        )
        function = self.module.enclosing_function(self.node)
        owner = self.module.enclosing_class(self.node)
        if function is None or owner is None or function.name not in _STEPS:
            where = function.name if function is not None else "no method"
            raise CannotEdit(f"{self.text} is computed in {where}, not in a step itself; {by_hand}")
        if not (
            isinstance(held, ast.Attribute)
            and isinstance(held.value, ast.Name)
            and held.value.id == "self"
        ):
            raise CannotEdit(f"{self.text} is no attribute of the module; {by_hand}")
        self.attribute = held.attr
        self.function = function
        self.owner: ClassInfo = owner
        self.by_hand = by_hand
        self.editor = Editor()

    def fix(self) -> Fix:
        """Plan the whole move."""
        statement = self.module.statement(self.node)
        logs, name = self._logs(statement)
        for log in logs:
            self._require_epoch(log)
        self._require_one_loop()
        step, _ = logged_values.told_dataloader(list(self.call.contexts), self.owner)
        if step:
            raise CannotEdit(
                f"{step} is told its dataloader, and one {self.text} would mix them; make one for "
                "each dataloader"
            )
        place = EpochEndPlace.of(self.owner, self.function.name)
        if name and place.binds(name):
            raise CannotEdit(f"{place.name} has a local {name} of its own; {self.by_hand}")
        feed, compute = self._split()
        lines = [] if statement in logs else [self._moved(statement, compute)]
        lines += [self._moved(log, compute) for log in logs]
        resets = self._resets()
        gone = [s for s in (statement, *logs, *resets) if s is not statement or not feed]
        for one in dict.fromkeys(gone):
            self.editor.remove(self.module, one)
        if feed:
            self.editor.replace(self.module, statement, feed)
        # An object of evaluate begins anew when it has computed; one of MONAI does not.
        is_kept = isinstance(self.node.func, ast.Attribute) and self.node.func.attr == "aggregate"
        place.write(self.editor, self.function, lines, [f"{self.text}.reset()"] if is_kept else [])
        mark = self.module.source.start(self.node)
        self.editor.claim(self.module, self.owner.node, mark)
        return Fix(
            Relation.CORRECTS,
            f"compute {self.text} once, in {place.name}, on what the steps gave it: "
            f"{self.call.key} becomes its value on the epoch",
            self.editor.edits,
        )

    def _logs(self, statement: ast.stmt) -> tuple[list[ast.stmt], str]:
        """Return the statements that log what is computed, and the name it has in between."""
        if logged_values.conditions(self.module, statement):
            raise CannotEdit(
                f"{self.text} is computed under a condition at line {statement.lineno}; decide "
                f"when the epoch's value is logged: {self.by_hand}"
            )
        if _is_log(statement):
            return [statement], ""
        target = statement.targets[0] if isinstance(statement, ast.Assign) else None
        if not isinstance(target, ast.Name) or len(getattr(statement, "targets", ())) != 1:
            raise CannotEdit(f"what {self.text} computes is taken apart; {self.by_hand}")
        logs: list[ast.stmt] = []
        for read in logged_values.reads_of(self.function, target.id):
            around = self.module.statement(read)
            if not _is_log(around) or logged_values.conditions(self.module, around):
                raise CannotEdit(
                    f"{target.id} is also used at line {read.lineno}; decide what that is to do "
                    f"with a value of the epoch: {self.by_hand}"
                )
            if around not in logs:
                logs.append(around)
        return logs, target.id

    def _require_epoch(self, log: ast.stmt) -> None:
        assert isinstance(log, ast.Expr)
        assert isinstance(log.value, ast.Call)
        for logged in LightningClass.of(self.call.cls).calls_at(log.value):
            for context in logged.contexts:
                if context.on_step is not False or context.on_epoch is not True:
                    raise CannotEdit(
                        f"line {log.lineno} also logs the value at every step; decide what a step "
                        f"is to show, and {self.by_hand}"
                    )

    def _require_one_loop(self) -> None:
        """Raise where the object gathers what must not be mixed, or is computed elsewhere."""
        stages: set[str] = set()
        for cls in (self.owner, *self.owner.mro(), *self.owner.subclasses):
            for node in subtree(cls.node):
                if not (isinstance(node, ast.Attribute) and node.attr == self.attribute):
                    continue
                function = cls.module.enclosing_function(node)
                if function is None or function.name in _SETUP:
                    continue
                if function.name not in _STEPS:
                    raise CannotEdit(
                        f"{self.text} is also used in {function.name} at line {node.lineno}; "
                        f"{self.by_hand}"
                    )
                stages.add(hooks.stage_of(function.name))
        if "train" in stages and len(stages) > 1:
            raise CannotEdit(
                f"{self.text} serves {' and '.join(sorted(stages))}, and would mix what it gathers;"
                " give each stage an object of its own"
            )

    def _split(self) -> tuple[str, str]:
        """Return what the step does with the data, and the call that computes."""
        source = self.module.source
        assert isinstance(self.node.func, ast.Attribute)
        if self.node.args:
            raise CannotEdit(f"{self.text} is given data by place; {self.by_hand}")
        given = {k.arg: " ".join(source.segment(k).split()) for k in self.node.keywords}
        data = [given[name] for name in _DATA if name in given]
        rest = [text for name, text in given.items() if name not in _DATA]
        if None in given or (data and len(data) != len(_DATA)):
            raise CannotEdit(f"{self.text} is given data that has no name; {self.by_hand}")
        for keyword in self.node.keywords:
            if keyword.arg not in _DATA:
                self._require_portable(keyword.value, "")
        compute = f"{self.text}.{self.node.func.attr}({', '.join(rest)})"
        return (f"{self.text}.add_batch({', '.join(data)})" if data else ""), compute

    def _resets(self) -> list[ast.stmt]:
        source = self.module.source
        return [
            s
            for s in self.function.body
            if isinstance(s, ast.Expr) and source.segment(s) == f"{self.text}.reset()"
        ]

    def _require_portable(self, node: ast.AST, own: str) -> None:
        """Raise where an expression speaks of something that only the step has."""
        scope = self.module.scope_of(self.function)
        inner = {
            target.id
            for part in subtree(node)
            if isinstance(part, ast.comprehension)
            for target in subtree(part.target)
            if isinstance(target, ast.Name)
        }
        for name in subtree(node):
            if (
                isinstance(name, ast.Name)
                and name.id in scope
                and name.id not in ("self", own)
                and name.id not in inner
            ):
                raise CannotEdit(
                    f"{name.id} at line {name.lineno} is a value of the step; {self.by_hand}"
                )

    def _moved(self, statement: ast.stmt, compute: str) -> str:
        """Return the text of a statement as it stands in the epoch-end hook."""
        source = self.module.source
        start = source.start(statement)
        text = source.segment(statement)
        changes: list[tuple[int, int, str]] = []
        if isinstance(statement, ast.Assign):
            assert isinstance(statement.targets[0], ast.Name)
        else:
            assert isinstance(statement, ast.Expr)
            assert isinstance(statement.value, ast.Call)
            placed: list[ast.AST] = [*statement.value.args, *statement.value.keywords]
            for keyword in statement.value.keywords:
                if keyword.arg in _OF_BATCHES:
                    before = [
                        source.end(n) for n in placed if source.end(n) < source.start(keyword)
                    ]
                    changes.append((max(before), source.end(keyword), ""))
                else:
                    self._require_outside(keyword.value, statement)
            for argument in statement.value.args:
                self._require_outside(argument, statement)
        if self.node in subtree(statement):
            changes.append((source.start(self.node), source.end(self.node), compute))
        for first, last, new in sorted(changes, reverse=True):
            text = text[: first - start] + new + text[last - start :]
        if "#" in text:
            raise CannotEdit(f"a comment stands inside line {statement.lineno}; {self.by_hand}")
        return " ".join(text.split())

    def _require_outside(self, node: ast.expr, statement: ast.stmt) -> None:
        made = self.module.statement(self.node)
        own = ""
        if isinstance(made, ast.Assign) and isinstance(made.targets[0], ast.Name):
            own = made.targets[0].id
        if self.node in subtree(node):
            for part in ast.iter_child_nodes(node):
                if part is not self.node and isinstance(part, ast.expr):
                    self._require_outside(part, statement)
            return
        if node is not self.node:
            self._require_portable(node, own)


def _is_log(statement: ast.stmt) -> bool:
    call = statement.value if isinstance(statement, ast.Expr) else None
    return (
        isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr in ("log", "log_dict")
        and isinstance(call.func.value, ast.Name)
        and call.func.value.id == "self"
    )
