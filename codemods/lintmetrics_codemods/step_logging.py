"""What an epoch end reduces and logs is logged by the step, as batch values or Metric objects."""

from __future__ import annotations

import ast
import io
import json
import re
import tokenize
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from lintmetrics.codemod import Blocked, Codemod, Fix, Relation
from lintmetrics.config import Settings
from lintmetrics.edits import (
    CannotEdit,
    Editor,
    FunctionNode,
    block_of,
    comment_span,
    is_docstring,
)
from lintmetrics.model import attribute_names, batches, single_numbers
from lintmetrics.model.creation import Place, first_fitting
from lintmetrics.model.epoch_hooks import (
    STAGE_OF_HOOK,
    TRAINING,
    EpochEnd,
    Stage,
    extra_parameters,
    family,
    hiding,
    inherited,
    is_generator,
    item_is_flat,
    own_epoch_end,
    references,
    returns,
)
from lintmetrics.model.epoch_reductions import Column, Logged, Path, Reader, Reading, Term
from lintmetrics.model.flow import BATCH_VALUE, BatchMean, LightningClass
from lintmetrics.model.object_equivalents import MetricObject, as_integers, object_for
from lintmetrics.model.step_outputs import (
    dataloader_parameter,
    is_mapping,
    is_tensor,
    may_be_none,
)
from lintmetrics.model.values import (
    UNKNOWN,
    Elements,
    Form,
    Map,
    Metric,
    Number,
    Seq,
    Value,
    merge,
    numbers,
    options,
)
from lintmetrics.project import ClassInfo, Module
from lintmetrics.rule import Finding
from lintmetrics.tree import own_nodes, subtree

_TENSOR_ENDS = ("detach", "cpu", "numpy", "item", "tolist", "cuda", "clone", "data")
_CHEAP = ("float", "long", "int", "bool", "squeeze", "unsqueeze", "view", "reshape", "flatten")
_OFF_DEVICE = ("cpu", "numpy", "item", "tolist")
_SANITY = ("sanity_checking", "running_sanity_check")
# A running total of vectors is a vector, and self.log took none of them in Lightning 1 either.
_OF_ONE_NUMBER = ("sum", "first", "statistics.mean", "statistics.fmean")
_PRAGMA = re.compile(r"#\s*(?:type:|noqa|pylint:|pyright:|mypy:|fmt:)")


class StepLogging(Codemod):
    """Metric objects and batch values, logged in the step; the epoch end that made them goes."""

    codes = ("LM201", "LM111")
    priority = 10

    def plan(self, finding: Finding, settings: Settings) -> Fix | Blocked:
        """Plan the move of everything that a hook logs, or of one mean that it logs."""
        try:
            if isinstance(finding.subject, EpochEnd):
                return _Move(finding.subject.cls, finding.subject.name).whole()
            mean = finding.detail
            assert isinstance(mean, BatchMean)
            assert isinstance(finding.subject, LightningClass)
            owner = mean.module.enclosing_class(mean.node)
            if owner is None or mean.function is None:
                raise CannotEdit("the mean is made outside the class; move it by hand")
            if mean.function.name not in STAGE_OF_HOOK:
                raise CannotEdit(
                    f"{mean.function.name}() at line {mean.function.lineno} makes the mean for "
                    "others; log the batch value in the step by hand"
                )
            move = _Move(owner, mean.function.name)
            if move.stage.removed == mean.function.name:
                return move.whole()
            return move.mean(mean)
        except CannotEdit as error:
            return Blocked(str(error))


@dataclass(frozen=True)
class _Source:
    """Where one step's output is at hand: a statement of the step, and the value given there."""

    step: FunctionNode
    statement: ast.stmt
    value: ast.expr


class _Move:
    """One epoch-end hook of a class, and the step that its reductions go to."""

    def __init__(self, cls: ClassInfo, name: str) -> None:
        self.cls = cls
        self.module: Module = cls.module
        self.stage: Stage = STAGE_OF_HOOK[name]
        end = own_epoch_end(cls, name)
        if end is None or end.alias is not None:
            raise CannotEdit(f"{name} of {cls.node.name} is an alias of another method")
        self.end = end
        self.hook = end.function
        self.editor = Editor()
        self.model = LightningClass.of(cls)
        self.spelled: dict[Path, str] = {}
        self.lines: list[str] = []
        self.created: dict[str, tuple[Place, list[str]]] = {}
        self.places: dict[ast.AST, Place] = {}
        self.notes: list[str] = []
        self.assumed: list[str] = []
        self.corrected: list[str] = []
        self.made: set[str] = set()
        self.attributes: dict[tuple[object, ...], str] = {}
        self.locals: dict[str, str] = {}
        self.hints: dict[Path, str] = {}
        self.hint = "output"
        self.hook_goes = False
        self.list_goes = False
        self.told: list[ast.stmt] = []
        self.replaced: list[ast.AST] = []

    # The two plans ----------------------------------------------------------------------------

    def whole(self) -> Fix:
        """Move all that a removed hook does."""
        if self.end.name != self.stage.removed:
            raise CannotEdit(f"{self.end.name} is not called with outputs by Lightning 2")
        self._require_alone()
        parameters = extra_parameters(self.hook)
        arguments = self.hook.args
        if len(parameters) != 1 or parameters[0] in (arguments.vararg, arguments.kwarg):
            raise CannotEdit(f"{self.end.spelled} does not take the outputs by one name")
        name = parameters[0].arg
        # What fails on one list for each dataloader ran with one dataloader.
        source = self._returned(item_is_flat(self.cls, self.hook, name))
        reading = self._read(lambda e: isinstance(e, ast.Name) and e.id == name, source)
        self._require_no_return(reading)
        logged = [*reading.logged, *self._returned_logs(reading)]
        told = self._read_back(reading, reading.logged, reading.needing, name)
        if not logged:
            raise CannotEdit(f"{self.end.spelled} logs nothing that its outputs give")
        kept = [s for s in reading.kept if not isinstance(s, ast.Return)]
        if kept and reading.guards:
            raise CannotEdit(
                f"{self.end.spelled} returns early at line {reading.guards[0].lineno}, and what "
                "stays in it would run"
            )
        self._require_unused(reading, kept, told)
        if kept and own_epoch_end(self.cls, self.stage.hook) is not None:
            raise CannotEdit(f"{self.cls.node.name} has a {self.stage.hook} as well")
        if kept and hiding(self.end) is not None:
            raise CannotEdit(f"a {self.stage.hook} stands beside {self.end.spelled}")
        self.hook_goes = not kept
        gone = list(dict.fromkeys([*(s for s, _ in reading.pure), *reading.logs, *reading.cleared]))
        gone = [statement for statement in gone if statement not in told]
        for item in logged:
            self._write(item, source)
        self._carry_comments(gone, reading)
        self._finish(source)
        if kept:
            for statement in gone:
                self.editor.remove(self.module, statement, gone)
            if reading.returned is not None and reading.returned.value is not None:
                self.editor.remove(self.module, reading.returned)
            self.editor.rename_function(self.module, self.hook, self.stage.hook)
            self.editor.drop_parameter(self.module, self.hook, name)
        else:
            self._remove_method(self.hook)
        return self._fix()

    def mean(self, mean: BatchMean) -> Fix:
        """Move one mean out of a hook that stays."""
        attribute, source = self._filled(mean)
        reading = self._read(
            lambda e: (
                isinstance(e, ast.Attribute)
                and e.attr == attribute
                and isinstance(e.value, ast.Name)
                and e.value.id == "self"
            ),
            source,
        )
        chosen = [
            (statement, [item for item in reading.logged if item.call in subtree(statement)])
            for statement in reading.logs
        ]
        chosen = [
            (statement, items)
            for statement, items in chosen
            if all(item.term.kind == "mean" for item in items)
            and any(self._is_of(item.term, mean) for item in items)
        ]
        if not chosen:
            if reading.needing:
                raise CannotEdit(reading.reasons[0])
            raise CannotEdit(f"the mean at line {mean.node.lineno} is not logged by self.log")
        last = max(self.hook.body.index(statement) for statement, _ in chosen)
        self._require_reached(self.hook.body[:last], reading)
        gone = [statement for statement, _ in chosen]
        left = [s for s in self.hook.body if s not in gone and not is_docstring(s)]
        left = _alive(left, reading)
        gone = [s for s in self.hook.body if s not in left and not is_docstring(s)]
        items = [item for _, items in chosen for item in items]
        if any(item.term.node in subtree(s) for item in items for s in left):
            users = [s for s in left if not any(s is pure for pure, _ in reading.pure)]
            names = {
                name for name, term in reading.terms.items() if any(term is i.term for i in items)
            }
            users = [s for s in users if any(_reads(s, name) for name in names)]
            told = self._read_back(reading, items, users)
            calls = [node for node in self.replaced if isinstance(node, ast.Call)]
            numpy = any((self.module.qualified(c.func) or "").startswith("numpy.") for c in calls)
            if numpy and source.statement not in source.step.body:
                raise CannotEdit(
                    f"self.{attribute} may stay empty, whose mean is NaN for numpy; log the batch "
                    "value in the step by hand"
                )
            for item in items:
                used = [s for s in left if item.term.node in subtree(s) and s not in told]
                if used:
                    raise CannotEdit(
                        f"the mean made at line {used[0].lineno} is also used otherwise; log the "
                        "batch value in the step by hand"
                    )
        rest = _alive([s for s in left if s not in reading.cleared], reading)
        if all(s in reading.guards for s in rest):
            rest = []
        done = [s for s in self.hook.body if s not in rest and not is_docstring(s)]
        emptied = self._emptied(attribute, source, done)
        self.hook_goes = not rest and emptied is not None
        self.list_goes = emptied is not None
        for _, items in chosen:
            for item in items:
                self._write(item, source)
        self._carry_comments(gone, reading)
        if emptied is not None:
            self._drop_list(emptied, source)
            gone = done
        if self.hook_goes:
            self._remove_method(self.hook)
        else:
            for statement in gone:
                self.editor.remove(self.module, statement, gone)
        self._finish(source)
        return self._fix()

    def _fix(self) -> Fix:
        relation = Relation.PRESERVES
        said: list[str] = []
        keys = ", ".join(dict.fromkeys(self.corrected))
        if keys:
            relation = Relation.CORRECTS
            said.append(f"{keys}: the plain mean of batch values becomes the mean over samples")
        if self.attributes:
            names = ", ".join(f"self.{name}" for name in self.attributes.values())
            said.append(f"{self.stage.step} updates {names} and logs the object")
        if self.assumed:
            relation = Relation.ASSUMES
            said.append("assumes " + "; ".join(dict.fromkeys(self.assumed)))
        said += dict.fromkeys(self.notes)
        text = "; ".join(said) or f"what {self.stage.step} logs already needs no {self.hook.name}"
        return Fix(relation, text, self.editor.edits, "torchmetrics")

    # What must hold ---------------------------------------------------------------------------

    def _require_alone(self) -> None:
        """Raise where other classes or methods have a part in the hook or the step."""
        where = self.end.spelled
        if inherited(self.cls, self.end.name) or inherited(self.cls, self.stage.hook):
            raise CannotEdit(f"a base class of {self.cls.node.name} has an epoch end of its own")
        project = self.module.project
        relatives = family(self.cls)
        for name in (self.end.name, self.stage.step):
            for found in relatives:
                if found is not self.cls and name in found.namespace:
                    raise CannotEdit(
                        f"{found.node.name}.{name} has a part in what {where} is given"
                    )
            for reference in references(project, name):
                if reference.cls in relatives or reference.receiver == "other":
                    if (
                        reference.receiver == "other"
                        and reference.module is not self.module
                        and self.cls.node.name not in reference.module.source.text
                    ):
                        continue
                    raise CannotEdit(
                        f"{name} is also named at {reference.module.source.path}:{reference.line}"
                    )
        for found in relatives:
            if self.stage.step_end in found.namespace:
                raise CannotEdit(f"{found.node.name}.{self.stage.step_end} still makes the outputs")
            for name, value in found.assigned.items():
                if isinstance(value, ast.Name) and value.id in (self.end.name, self.stage.step):
                    raise CannotEdit(f"{name} of {found.node.name} is an alias of {value.id}")
        if self.hook.decorator_list:
            raise CannotEdit(f"{where} is decorated")

    def _step(self, one_dataloader: bool = False) -> FunctionNode:
        step = self.cls.methods.get(self.stage.step)
        if not isinstance(step, ast.FunctionDef) or is_generator(step):
            raise CannotEdit(f"{self.cls.node.name} has no {self.stage.step} of its own")
        if dataloader_parameter(step) and not one_dataloader:
            raise CannotEdit(
                f"{self.stage.step} tells dataloaders apart, and self.log in it adds their index "
                "to the key"
            )
        names = [parameter.arg for parameter in extra_parameters(step)]
        if "optimizer_idx" in names or "hiddens" in names:
            raise CannotEdit(f"{self.stage.step} is called several times for each batch")
        return step

    def _returned(self, one_dataloader: bool) -> _Source:
        step = self._step(one_dataloader)
        found = [node for node in returns(step) if node.value is not None]
        if len(returns(step)) != 1 or not found or found[0] is not step.body[-1]:
            raise CannotEdit(f"{self.stage.step} does not end with its only return")
        value = found[0].value
        assert value is not None
        if isinstance(value, ast.Constant):
            raise CannotEdit(f"{self.stage.step} returns nothing")
        if may_be_none(self.cls, step, value):
            raise CannotEdit(f"{self.stage.step} may return None, which was left out")
        return _Source(step, found[0], value)

    def _filled(self, mean: BatchMean) -> tuple[str, _Source]:
        """Return the list that a mean is made of, and the statement that fills it."""
        step = self._step()
        for other in self.cls.subclasses:
            if step.name in other.namespace:
                owner = next(c for c in other.mro() if self.end.name in c.namespace)
                if owner is self.cls:
                    raise CannotEdit(
                        f"{other.node.name}.{step.name} feeds {self.end.spelled} as well; log the "
                        "batch value in both steps by hand"
                    )
        appends: dict[str, list[ast.Call]] = {}
        for append in self.model.appends:
            if append.hook == self.stage.step and append.node not in appends.get(
                append.attribute, []
            ):
                appends.setdefault(append.attribute, []).append(append.node)
        read = self._lists_of(mean.node, appends)
        if len(read) != 1:
            raise CannotEdit(
                f"it cannot be told which list of {self.stage.step} the mean at line "
                f"{mean.node.lineno} is made of"
            )
        attribute = read.pop()
        calls = appends[attribute]
        statement = self.module.statement(calls[0])
        if len(calls) != 1 or not isinstance(statement, ast.Expr) or self._repeats(statement, step):
            raise CannotEdit(f"self.{attribute} is not filled by one statement of {step.name}")
        for append in self.model.appends:
            if append.attribute == attribute and append.node is not calls[0]:
                raise CannotEdit(
                    f"self.{attribute} is also filled at line {append.node.lineno}, by "
                    f"{append.hook}"
                )
        if not isinstance(calls[0].func, ast.Attribute) or not isinstance(
            calls[0].func.value, ast.Attribute
        ):
            raise CannotEdit(f"self.{attribute} is filled by parts")
        return attribute, _Source(step, statement, calls[0].args[0])

    def _lists_of(self, node: ast.AST, filled: Collection[str]) -> set[str]:
        """Return the lists that an expression of the hook is made of, as far as it shows."""
        for part in (node, self.hook):
            found = {n.attr for n in subtree(part) if isinstance(n, ast.Attribute)} & set(filled)
            if found:
                return found
        return set()

    def _repeats(self, statement: ast.stmt, step: FunctionNode) -> bool:
        """Tell whether a statement may run more than once for a batch."""
        around = self.module.parent(statement)
        while isinstance(around, (ast.If, ast.With)):
            around = self.module.parent(around)
        return around is not step

    def _read(self, is_outputs: Callable[[ast.expr], bool], source: _Source) -> Reading:
        means = frozenset(id(mean.node) for mean in self.model.batch_means)
        value = self._output_value(source)
        keys: tuple[str, ...] = ()
        if isinstance(value, Map) and not value.open and self.stage is not TRAINING:
            keys = tuple(key for key, _ in value.items)
        found = Reader(
            self.module, self.hook, is_outputs, means, self._is_own_metric, self._object_for, keys
        ).read()
        self.hints = found.names
        return found

    def _object_for(self, module: Module, call: ast.Call, name: str) -> MetricObject:
        """Return an object with its arguments as the place of its creation writes them."""

        def made(place: Place) -> tuple[MetricObject, list[str]]:
            wanted = object_for(module, call, name, place.at)
            return wanted, place.arguments(wanted, module, call)

        place, wanted, texts = first_fitting(self.cls, made)
        self.places[call] = place
        pairs = (text.partition("=") for text in texts)
        return replace(wanted, arguments=tuple((name, text) for name, _, text in pairs))

    def _is_own_metric(self, expr: ast.expr) -> bool:
        """Tell whether an expression is a Metric of the module that nothing but this hook uses."""
        if not (
            isinstance(expr, ast.Attribute)
            and isinstance(expr.value, ast.Name)
            and expr.value.id == "self"
            and isinstance(self.model.attributes.get(expr.attr), Metric)
        ):
            return False
        reads = [
            node
            for cls in family(self.cls)
            for node in subtree(cls.node)
            if isinstance(node, ast.Attribute)
            and node.attr == expr.attr
            and isinstance(node.ctx, ast.Load)
        ]
        return reads == [expr]

    def _require_no_return(self, reading: Reading) -> None:
        for statement in reading.kept:
            if any(isinstance(n, (ast.Return, ast.Raise)) for n in subtree(statement)):
                raise CannotEdit(f"{self.end.spelled} may end early at line {statement.lineno}")

    def _require_reached(self, before: list[ast.stmt], reading: Reading) -> None:
        """Raise where the hook may end before it logs; what the step logs is always logged."""
        for statement in before:
            # Nothing is kept of what is logged in a sanity check, wherever that is done.
            test = statement.test if isinstance(statement, ast.If) else None
            if isinstance(test, ast.Attribute) and test.attr in _SANITY:
                continue
            if statement not in reading.guards and any(
                isinstance(node, ast.Return) for node in subtree(statement)
            ):
                raise CannotEdit(f"{self.end.spelled} may end early at line {statement.lineno}")

    def _read_back(
        self, reading: Reading, logged: list[Logged], users: list[ast.stmt], outputs: str = ""
    ) -> list[ast.stmt]:
        """Let a hook that uses a mean otherwise read what Lightning made of the step's values.

        In ``on_*_epoch_end`` the callback metrics hold the epoch values of what the step logged
        (lightning 2.6.6). Return the statements that name such means.
        """
        told: dict[ast.stmt, None] = {}
        for statement, reason in zip(users, self._reasons(reading, users), strict=True):
            for node in subtree(statement):
                if not isinstance(node, ast.Name) or node.id not in reading.terms:
                    continue
                maker = self._replaceable(reading, logged, node.id)
                if maker is None:
                    raise CannotEdit(reason)
                told[maker] = None
            if _reads(statement, outputs) or not any(_reads(statement, n) for n in reading.terms):
                raise CannotEdit(reason)
        return list(told)

    def _reasons(self, reading: Reading, users: list[ast.stmt]) -> list[str]:
        known = dict(zip(reading.needing, reading.reasons, strict=True))
        return [
            known.get(
                statement,
                f"the mean is also used at line {statement.lineno}; log the batch value in the "
                "step by hand",
            )
            for statement in users
        ]

    def _replaceable(self, reading: Reading, logged: list[Logged], name: str) -> ast.stmt | None:
        """Write a name of a mean anew, once; return the statement that makes it."""
        term = reading.terms[name]
        makers = [statement for statement, bound in reading.pure if bound == name]
        item = next((i for i in logged if i.term.node is term.node), None)
        if (
            term.kind != "mean"
            or len(makers) != 1
            or not isinstance(makers[0], ast.Assign)
            or item is None
            or item.call is None
            or not isinstance(item.key, ast.Constant)
            or not isinstance(term.node, ast.Call)
            or term.node not in subtree(makers[0])
            or dataloader_parameter(self._step(True))
            or references(self.module.project, self.end.name)
            or [n for n in subtree(self.hook) if _binds(n, name)] != [makers[0].targets[0]]
        ):
            return None
        called = self.module.qualified(term.node.func) or ""
        inner = term.node.func.value if isinstance(term.node.func, ast.Attribute) else None
        made = self.module.qualified(inner.func) if isinstance(inner, ast.Call) else None
        if not called.startswith(("torch.", "numpy.")) and not (made or "").startswith("torch."):
            return None
        if makers[0] not in self.told:
            self.told.append(makers[0])
            text = f"self.trainer.callback_metrics[{self._key_text(item)}]"
            number = ".item()" if called.startswith("numpy.") else ""
            self.editor.replace(self.module, term.node, text + number)
            self.replaced.append(term.node)
            self.notes.append(f"`{name}` is read back from the callback metrics")
        return makers[0]

    def _require_unused(self, reading: Reading, kept: list[ast.stmt], told: list[ast.stmt]) -> None:
        for statement in kept:
            for maker, name in reading.pure:
                if maker not in told and _reads(statement, name):
                    raise CannotEdit(f"`{name}` is also used at line {statement.lineno}")

    def _returned_logs(self, reading: Reading) -> list[Logged]:
        """Return what a body that logs nothing itself handed to Lightning before 1.3."""
        if any(_logs(statement) for statement in self.hook.body):
            return []
        shown: dict[str, tuple[ast.expr, Term, set[str]]] = {}
        for key, node, term in reading.returned_items:
            if term.kind == "record" and key in ("log", "progress_bar"):
                for inner, inner_node, item in term.items:
                    if item is None:
                        raise CannotEdit(f"{inner!r} is returned, and made of more than outputs")
                    shown.setdefault(inner, (inner_node, item, set()))[2].add(key)
            else:
                shown.setdefault(key, (node, term, set()))[2].add("callback")
        found: list[Logged] = []
        for node, term, places in shown.values():
            if term.kind not in ("mean", "metric"):
                raise CannotEdit(f"what {self.end.spelled} returns is no mean and no metric")
            extra: list[str] = []
            if "progress_bar" in places:
                extra.append("prog_bar=True")
            if "log" not in places:
                extra.append("logger=False")
            found.append(Logged(node, term, None, tuple(extra)))
        if found:
            self.notes.append("returned values, which Lightning ignores since 1.3, are logged")
        return found

    def _means(self) -> list[BatchMean]:
        return [
            mean
            for mean in self.model.batch_means
            if not batches.one_sample_per_batch(self.cls, mean.hook)
        ]

    def _is_of(self, term: Term, mean: BatchMean) -> bool:
        if term.node is None:
            return False
        # `total /= n` is a mean that stands in the tree as a statement.
        return term.node is self.module.parent(mean.node) or mean.node in subtree(term.node)

    # Writing ----------------------------------------------------------------------------------

    def _write(self, item: Logged, source: _Source) -> None:
        key = self._key_text(item)
        self.hint = "loss" if "loss" in key.lower() else _short(item.key)
        if item.term.kind == "mean":
            self._write_mean(item, key, source)
        else:
            self._write_metric(item, key, source)

    def _key_text(self, item: Logged) -> str:
        """Return a key as the source has it, or as a loop over keys makes it."""
        if isinstance(item.key, ast.Constant) and not hasattr(item.key, "lm_parent"):
            return json.dumps(item.key.value, ensure_ascii=False)
        return self.module.source.segment(item.key)

    def _options(self, item: Logged, is_object: bool) -> list[str]:
        options = list(item.extra)
        given = set()
        for keyword in item.call.keywords if item.call else ():
            if keyword.arg in ("name", "value", "dictionary"):
                continue
            if keyword.arg in ("batch_size", "reduce_fx", "rank_zero_only", "metric_attribute"):
                raise CannotEdit(
                    f"{keyword.arg} of the log call at line {keyword.value.lineno} means something "
                    "else in a step"
                )
            if keyword.arg in ("sync_dist", "add_dataloader_idx") and is_object:
                continue  # An object synchronises itself.
            given.add(keyword.arg)
            options.append(self.module.source.segment(keyword))
        if self.stage is TRAINING:
            if "on_step" not in given:
                options.append("on_step=False")
            if "on_epoch" not in given:
                options.append("on_epoch=True")
        return options

    def _already(self, key: ast.expr) -> bool:
        """Tell whether the step logs the same key over the epoch already."""
        wanted = key.value if isinstance(key, ast.Constant) else None
        for call in self.model.log_calls:
            for context in call.contexts:
                if context.hook != self.stage.step:
                    continue
                if context.key is None or wanted is None:
                    if context.key is None or "*" in context.key:
                        raise CannotEdit(
                            f"{self.stage.step} logs under a key that cannot be told at line "
                            f"{call.node.lineno}"
                        )
                    continue
                if context.key == wanted:
                    if not context.averaged or context.on_step is not False:
                        raise CannotEdit(
                            f"{self.stage.step} logs {wanted!r} step by step at line "
                            f"{call.node.lineno}; give one of the two another key"
                        )
                    return True
        return False

    def _write_mean(self, item: Logged, key: str, source: _Source) -> None:
        if not any(m.is_of_batch_values and self._is_of(item.term, m) for m in self._means()):
            raise CannotEdit(f"it cannot be told what one batch gives to {key}")
        shown = key if key.startswith('"') else key.replace("'", '"')
        self.corrected.append(shown)
        if self._already(item.key):
            self.notes.append(f"{self.stage.step} already logs {shown}")
            return
        forms = {number.form for number in numbers(self._value_of(item.term.column, source))}
        if forms & {Form.HITS, Form.COUNT, Form.FLAGS, Form.SUM}:
            raise CannotEdit(f"{key} is the mean of sums or counts, and self.log would weigh them")
        reduced = self._reduced(item, source)
        value = self._column(item.term.column, source, on_device=False)
        if reduced:
            value = f"{value}.mean()" if item.term.column.atomic else f"({value}).mean()"
        options = self._options(item, False)
        size = batches.in_step(self.cls, source.step)
        if size.inference in ("wrong", "fails"):
            if size.expression is None:
                raise CannotEdit(f"{size.why}; tell self.log the batch_size by hand")
            options.append(f"batch_size={size.expression}")
        elif (line := batches.chunked(self.cls, source.step)) is not None:
            raise CannotEdit(
                f"the batch is worked on piece by piece at line {line}, and Lightning would take "
                "the size of one piece for its own; tell self.log the batch_size by hand"
            )
        self.lines += _call_lines("self.log", [key, value, *options])

    def _reduced(self, item: Logged, source: _Source) -> bool:
        """Tell whether the value of one batch must be reduced, so that ``self.log`` can take it.

        The mean of stacked tensors, which are all of one shape, is the mean of their means.
        """
        term = item.term
        if term.by in _OF_ONE_NUMBER or self._is_one_number(term.column, source):
            return False
        if term.by in ("torch.stack", "torch.vstack"):
            return True
        shown = self._shown(term.column, source)
        ends = _bare(shown)[1] if shown is not None else []
        if set(ends) & {"numpy", "cpu", "detach"} and "tolist" not in ends and _is_mean(term.by):
            return True
        named = [str(p) for path in term.column.paths for p in path]
        named += [self._key_text(item), ast.unparse(shown) if shown else ""]
        plain = all(
            not isinstance(option, (Seq, Map, Elements))
            and not (isinstance(option, Number) and option.form in (Form.FLAGS, Form.OTHER))
            for option in options(self._value_of(term.column, source))
        )
        if plain and "tolist" not in ends and any(BATCH_VALUE.search(name) for name in named):
            return False
        line = getattr(term.node, "lineno", self.hook.lineno)
        raise CannotEdit(
            f"whether a batch gives one number to the mean at line {line} cannot be told; log the "
            "batch value in the step by hand"
        )

    def _output_value(self, source: _Source) -> Value:
        """Return what is known of the step's output."""
        if isinstance(source.statement, ast.Return):
            return self.model.returned.get(self.stage.step, UNKNOWN)
        call = getattr(source.statement, "value", None)
        return merge([a.value for a in self.model.appends if a.node is call])

    def _value_of(self, column: Column, source: _Source) -> Value:
        """Return what is known of the part of the step's output that a column is."""
        value = self._output_value(source)
        if len(column.pieces) != 1 or isinstance(column.pieces[0], str):
            return UNKNOWN
        path = column.pieces[0]
        if self.stage is TRAINING and path == ("loss",) and not isinstance(value, Map):
            path = ()
        return single_numbers.part_of(value, path)

    def _shown(self, column: Column, source: _Source) -> ast.expr | None:
        """Return the expression of the step that a column is, where it is one."""
        if len(column.pieces) != 1 or isinstance(column.pieces[0], str):
            return None
        path = column.pieces[0]
        if self.stage is TRAINING and not is_mapping(source.step, source.value):
            path = ()
        part, rest = _part(source.value, path)
        if part is None and path and (above := self._above(source)) is not None:
            part, rest = _part(above, path)
        return None if rest else part

    def _is_one_number(self, column: Column, source: _Source) -> bool:
        """Tell whether what a batch gives is surely one number."""
        last = column.pieces[-1]
        if isinstance(last, str):
            return last.endswith((".mean()", ".sum()", ".max()", ".min()"))
        if single_numbers.is_one_number(self._value_of(column, source)):
            return True
        step, shown = source.step, self._shown(column, source)
        if shown is not None:
            inner, ends = _bare(shown)
            made = inner.func if isinstance(inner, ast.Call) else None
            if "item" in ends or (isinstance(made, ast.Name) and made.id in ("float", "int")):
                return True
            if isinstance(inner, ast.Name) and single_numbers.is_logged_in(step, inner.id):
                return True
            return single_numbers.is_made_as_loss(self.cls, step, inner)
        return last == ("loss",) and single_numbers.is_made_as_loss(self.cls, step, source.value)

    def _write_metric(self, item: Logged, key: str, source: _Source) -> None:
        if self._already(item.key):
            raise CannotEdit(f"{self.stage.step} logs {key} as well; give one another key")
        term = item.term
        assert term.preds is not None
        given = [self._column(term.preds, source, on_device=True)]
        if term.target is not None:
            target = self._column(term.target, source, on_device=True)
            if term.metric is not None and term.metric.casts:
                target = as_integers(target)
            given.append(target)
        if self.stage is TRAINING:
            given[0] = f"{given[0]}.detach()"
        if term.held:
            attribute = term.held.removeprefix("self.")
            self.attributes[(attribute, *given)] = attribute
            self.lines += _call_lines(f"self.{attribute}.update", given)
        else:
            attribute = self._attribute(item, tuple(given))
        self.lines += _call_lines(
            "self.log", [key, f"self.{attribute}", *self._options(item, True)]
        )

    def _attribute(self, item: Logged, given: tuple[str, ...]) -> str:
        metric = item.term.metric
        assert metric is not None
        identity = (metric.name, metric.arguments, given)
        if identity in self.attributes:
            return self.attributes[identity]
        name = self._free_attribute(item, metric.name)
        constructor = self._class(metric.name)
        place = self.places.get(item.term.node) if item.term.node is not None else None
        place = place or Place(self.cls, self.cls.methods.get("__init__"))
        arguments = [f"{key}={value}" for key, value in metric.arguments]
        self.created.setdefault(place.name, (place, []))[1].extend(
            _call_lines(f"self.{name} = {constructor}", arguments)
        )
        self.lines += _call_lines(f"self.{name}.update", list(given))
        self.attributes[identity] = name
        if metric.relation is Relation.ASSUMES:
            self.assumed += metric.notes
        else:
            if metric.relation is Relation.CORRECTS:
                self.corrected.append(self._key_text(item))
            self.notes += metric.notes
        return name

    def _class(self, dotted: str) -> str:
        owner, short = dotted.rsplit(".", 1)
        known = self.module.local_name(dotted)
        if known is not None:
            return known
        if self.module.local_name("torchmetrics") == "torchmetrics":
            return dotted
        return self.editor.add_import(self.module, owner, short)

    def _free_attribute(self, item: Logged, metric: str) -> str:
        key = item.key.value if isinstance(item.key, ast.Constant) else metric.rsplit(".", 1)[1]
        stage = {"training": "train", "validation": "val"}.get(self.stage.name, self.stage.name)
        name = attribute_names.attribute_for(str(key), stage, self.cls)
        while name in self.attributes.values():
            name += "_metric"
        return name

    # The step's side --------------------------------------------------------------------------

    def _column(self, column: Column, source: _Source, on_device: bool) -> str:
        text = column.text(lambda path: self._spell(path, source, on_device))
        if not column.name or len(column.pieces) == 1:
            return text
        if text not in self.locals:
            self.locals[text] = self._free_local(column.name, source)
            self.lines.append(f"{self.locals[text]} = {_joined(text)}")
        return self.locals[text]

    def _spell(self, path: Path, source: _Source, on_device: bool) -> str:
        """Return how the step can name a part of its output just before it gives it away."""
        if self.stage is TRAINING and not is_mapping(source.step, source.value):
            # Lightning 1 made {"loss": loss} of a tensor.
            if path != ("loss",) or not is_tensor(self.cls, source.step, source.value):
                raise CannotEdit(
                    f"it cannot be told whether {self.stage.step} returns a tensor or a dict"
                )
            path = ()
        if path in self.spelled:
            return self.spelled[path]
        part, rest = _part(source.value, path)
        if part is None and path:
            part, rest = self._displayed(source, path), ()
        if part is None:
            text = self._output(source) + "".join(f"[{_key(piece)}]" for piece in path)
        else:
            inner, _ = _bare(part)
            if on_device and self._is_off_device(inner, source):
                raise CannotEdit(
                    f"`{self.module.source.segment(part)}` at line {part.lineno} has left the "
                    "device of the module; a Metric object needs it there"
                )
            text = self._named(inner, path, source) + "".join(f"[{_key(p)}]" for p in rest)
        self.spelled[path] = text
        return text

    def _displayed(self, source: _Source, path: Path) -> ast.expr | None:
        """Return what a dict that was made just before has at a path, where it has a name."""
        above = self._above(source)
        if above is None or not isinstance(source.value, ast.Name):
            return None
        part, rest = _part(above, path)
        if part is None or rest or not _is_plain(part) or _reads(part, source.value.id):
            return None  # In `loss = {"loss": loss}` the name is the dict's from then on.
        return part

    def _above(self, source: _Source) -> ast.expr | None:
        """Return the dict or tuple that the output was given as its only name just before."""
        block = block_of(self.module, source.statement)
        index = block.index(source.statement)
        above = block[index - 1] if index else None
        if not (
            isinstance(source.value, ast.Name)
            and isinstance(above, ast.Assign)
            and isinstance(above.targets[0], ast.Name)
            and above.targets[0].id == source.value.id
            and isinstance(above.value, (ast.Dict, ast.Tuple))
        ):
            return None
        return above.value

    def _named(self, expr: ast.expr, path: Path, source: _Source) -> str:
        text = self.module.source.segment(expr)
        if _is_plain(expr):
            return text
        # The value is made in the output itself: it gets a name, so that it is made once.
        wanted = str(path[-1]) if path and isinstance(path[-1], str) else ""
        wanted = wanted or self.hints.get(path) or self.hint
        name = self._free_local(wanted, source)
        if self.list_goes:
            self.lines.append(f"{name} = {_joined(text)}")
            return name
        self.editor.insert_before(self.module, source.statement, [f"{name} = {_joined(text)}"], -3)
        self.editor.replace(self.module, expr, name)
        return name

    def _output(self, source: _Source) -> str:
        value = source.value
        if isinstance(value, ast.Name):
            return value.id
        if () in self.spelled:
            return self.spelled[()]
        name = self._free_local("output", source)
        text = self.module.source.segment(value)
        if "\n" in text:
            raise CannotEdit(f"the output at line {value.lineno} spans lines; give it a name")
        if self.list_goes:
            self.lines.append(f"{name} = {text}")
            self.spelled[()] = name
            return name
        self.editor.insert_before(self.module, source.statement, [f"{name} = {text}"], -3)
        self.editor.replace(self.module, value, name)
        self.spelled[()] = name
        return name

    def _free_local(self, wanted: str, source: _Source) -> str:
        name = wanted if wanted.isidentifier() else "value"
        taken = set(self.module.scope_of(source.step)) | {
            node.id for node in subtree(source.step) if isinstance(node, ast.Name)
        }
        while name in taken or name in self.made:
            name += "_value"
        self.made.add(name)
        return name

    def _is_off_device(self, expr: ast.expr, source: _Source) -> bool:
        names = {node.id for node in subtree(expr) if isinstance(node, ast.Name)}
        for node in own_nodes(source.step):
            if isinstance(node, ast.Assign) and any(
                isinstance(inner, ast.Name) and inner.id in names
                for target in node.targets
                for inner in subtree(target)
            ):
                _, ends = _bare(node.value)
                if set(ends) & set(_OFF_DEVICE):
                    return True
        return False

    def _finish(self, source: _Source) -> None:
        if self.lines:
            self.editor.insert_before(self.module, source.statement, self.lines)
        if self.created and not self.cls.is_kind("LightningModule"):
            raise CannotEdit(f"{self.cls.node.name} is a mixin, whose __init__ may never run")
        for place, lines in self.created.values():
            place.write(self.editor, lines)

    # What goes --------------------------------------------------------------------------------

    def _carry_comments(self, gone: list[ast.stmt], reading: Reading) -> None:
        """Put the comments of what goes before the new log calls, so that they outlive it."""
        if not self.lines:
            return
        source = self.module.source
        if self.hook_goes:
            spans = [(source.start(self.hook), source.end(self.hook))]
        else:
            spans = [
                comment_span(self.module, statement, gone)
                for statement in gone
                if statement not in reading.cleared
            ]
        # What stands beside the emptying of a list speaks of that.
        silent = [comment_span(self.module, s, reading.cleared) for s in reading.cleared]
        found: list[str] = []
        text = "\n" * (self.hook.lineno - 1) + source.segment(self.hook)
        tail = source.text[source.end(self.hook) : source.line_end(source.end(self.hook))]
        for token in tokenize.generate_tokens(io.StringIO(text + tail).readline):
            if token.type != tokenize.COMMENT or _PRAGMA.match(token.string):
                continue
            at = source.offset(token.start[0], 0)
            if any(source.line_start(start) <= at < end for start, end in spans) and not any(
                source.line_start(start) <= at < end for start, end in silent
            ):
                found.append(token.string)
        self.lines[:0] = found

    def _remove_method(self, function: FunctionNode) -> None:
        """Remove a method with the blank lines before it."""
        source = self.module.source
        siblings = block_of(self.module, function)
        index = siblings.index(function)
        if index == 0:
            self.editor.remove(self.module, function)
            return
        above = source.line_end(source.end(siblings[index - 1]))
        start = source.line_start(source.start(function))
        while start > above:
            previous = source.line_start(start - 1)
            if previous < above or source.text[previous:start].strip():
                break
            start = previous
        end = source.line_end(source.end(function))
        self.editor.replace_range(self.module, start, end, "")

    def _emptied(
        self, attribute: str, source: _Source, done: list[ast.stmt]
    ) -> list[ast.stmt] | None:
        """Return where a list is made and emptied; ``None`` when more is done with it.

        The statements of the hook that are done with, and the one that fills it, do not count.
        """
        found: dict[ast.stmt, None] = {}
        users = {cls.node for cls in family(self.cls)}
        for module in self.module.project.mentioning(re.compile(rf"\.\s*{attribute}\b")):
            for node in subtree(module.tree):
                if not (isinstance(node, ast.Attribute) and node.attr == attribute):
                    continue
                owner = module.enclosing_class(node)
                is_own = isinstance(node.value, ast.Name) and node.value.id == "self"
                if is_own and owner is not None and owner.node not in users:
                    continue  # Another class has a list of that name.
                statement = module.statement(node)
                if is_own and owner is self.cls:
                    passed = [*done, *self.replaced]
                    if statement is source.statement or any(node in subtree(s) for s in passed):
                        continue
                    if _empties(statement, node) and self._can_go(statement):
                        found[statement] = None
                        continue
                return None
        return list(found)

    def _spoken_of(self, statement: ast.stmt, emptied: list[ast.stmt]) -> list[ast.stmt]:
        """Return statements whose comment goes along: also one that plainly speaks of a list."""
        block = block_of(self.module, statement)
        following = block[block.index(statement) + 1 :][:1]
        source = self.module.source
        start, _ = comment_span(self.module, statement, [*emptied, *following])
        above = source.text[start : source.line_start(source.start(statement))]
        return [*emptied, *following] if re.search(r"_epoch_end|outputs", above) else emptied

    def _can_go(self, statement: ast.stmt) -> bool:
        """Tell whether a statement, or the method that holds nothing else, can be removed."""
        function = self.module.enclosing_function(statement)
        if len(block_of(self.module, statement)) > 1 or function is self.hook:
            return True
        return (
            function is not None
            and self.module.parent(statement) is function
            and not function.decorator_list
            and not any(function.name in base.namespace for base in self.cls.mro()[1:])
            and self.cls.is_kind("LightningModule")
            and function.name.startswith("on_")
        )

    def _drop_list(self, emptied: list[ast.stmt], source: _Source) -> None:
        for statement in emptied:
            function = self.module.enclosing_function(statement)
            if function is self.hook and self.hook_goes:
                continue
            if function is not None and len(block_of(self.module, statement)) == 1:
                self._remove_method(function)
            else:
                self.editor.remove(self.module, statement, self._spoken_of(statement, emptied))
        start = self.module.source.start(source.statement)
        end = self.module.source.end(source.statement)
        if self.lines:
            # The log calls take the place of the append.
            indent = self.module.source.indent_of(start)
            newline = self.module.source.newline
            self.editor.replace_range(
                self.module, start, end, (newline + indent).join("\n".join(self.lines).split("\n"))
            )
            self.lines = []
        else:
            self.editor.remove(self.module, source.statement)


def _empties(statement: ast.stmt, node: ast.Attribute) -> bool:
    """Tell whether a statement makes a list, or clears it, and does nothing else."""
    if isinstance(statement, (ast.Assign, ast.AnnAssign)):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        value = statement.value
        return targets == [node] and (
            (isinstance(value, ast.List) and not value.elts)
            or (value is not None and ast.unparse(value) == "list()")
        )
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Call)
        and isinstance(statement.value.func, ast.Attribute)
        and statement.value.func.value is node
        and statement.value.func.attr == "clear"
    )


def _alive(statements: list[ast.stmt], reading: Reading) -> list[ast.stmt]:
    """Return statements without the assignments that nothing among them reads any more."""
    left = list(statements)
    changed = True
    while changed:
        changed = False
        for statement in [s for s in left if any(s is pure for pure, _ in reading.pure)]:
            names = [name for s, name in reading.pure if s is statement]
            others = [s for s in left if s is not statement]
            if not any(_reads(s, name) for s in others for name in names):
                left = others
                changed = True
    return left


def _binds(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name and not isinstance(node.ctx, ast.Load)


def _short(key: ast.expr) -> str:
    """Return the last word of a key as a name."""
    text = str(key.value).rsplit("/", 1)[-1] if isinstance(key, ast.Constant) else ""
    return text if text.isidentifier() else "output"


def _reads(statement: ast.AST, name: str) -> bool:
    return any(
        isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load)
        for node in subtree(statement)
    )


def _logs(statement: ast.AST) -> bool:
    return any(
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("log", "log_dict")
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "self"
        for node in subtree(statement)
    )


def _call_lines(function: str, arguments: list[str]) -> list[str]:
    """Return a call as lines of at most 100 columns, in a method."""
    line = f"{function}({', '.join(arguments)})"
    if len(line) <= 88:
        return [line]
    return [f"{function}(", *(f"    {argument}," for argument in arguments), ")"]


def _joined(text: str) -> str:
    if "\n" not in text:
        return text
    return " ".join(line.strip() for line in text.splitlines())


def _key(piece: str | int) -> str:
    return f'"{piece}"' if isinstance(piece, str) else str(piece)


def _part(value: ast.expr, path: Path) -> tuple[ast.expr | None, Path]:
    """Return the expression that a display has at a path, and what is left of the path."""
    rest = path
    found: ast.expr = value
    while rest:
        key = rest[0]
        if isinstance(found, ast.Dict):
            if any(k is None for k in found.keys):
                return None, rest
            entries = [
                v
                for k, v in zip(found.keys, found.values, strict=True)
                if isinstance(k, ast.Constant) and k.value == key
            ]
            if not entries:
                raise CannotEdit(f"the step's output at line {found.lineno} has no {key!r}")
            found = entries[-1]
        elif isinstance(found, (ast.Tuple, ast.List)) and isinstance(key, int):
            if key >= len(found.elts) or any(isinstance(e, ast.Starred) for e in found.elts):
                return None, rest
            found = found.elts[key]
        elif (
            isinstance(found, ast.Call)
            and isinstance(found.func, ast.Name)
            and found.func.id == "dict"
            and not found.args
        ):
            entries = [k.value for k in found.keywords if k.arg == key]
            if not entries:
                raise CannotEdit(f"the step's output at line {found.lineno} has no {key!r}")
            found = entries[-1]
        elif found is value:
            return None, rest
        else:
            return (found, rest) if _is_plain(found) else (None, rest)
        rest = rest[1:]
    return found, ()


def _bare(expr: ast.expr) -> tuple[ast.expr, list[str]]:
    """Return an expression without the calls that take it off the graph or the device."""
    ends: list[str] = []
    while (
        isinstance(expr, ast.Call)
        and isinstance(expr.func, ast.Attribute)
        and expr.func.attr in _TENSOR_ENDS
        and not expr.args
    ):
        ends.append(expr.func.attr)
        expr = expr.func.value
    return expr, ends


def _is_mean(by: str) -> bool:
    """Tell whether batches were joined by a function whose mean is over all that they hold."""
    return by not in ("cat", "sum of all")


def _is_plain(expr: ast.expr) -> bool:
    """Tell whether naming an expression twice costs nothing."""
    if isinstance(expr, ast.Name):
        return True
    if isinstance(expr, ast.Attribute):
        return _is_plain(expr.value)
    if isinstance(expr, ast.Subscript):
        return _is_plain(expr.value) and isinstance(expr.slice, (ast.Constant, ast.Name))
    if isinstance(expr, ast.Call) and isinstance(expr.func, ast.Attribute):
        # Casts and views.
        cheap = expr.func.attr in _CHEAP and not expr.keywords
        return cheap and _is_plain(expr.func.value) and all(_is_number(a) for a in expr.args)
    return False


def _is_number(node: ast.expr) -> bool:
    if isinstance(node, ast.UnaryOp):
        node = node.operand
    return isinstance(node, ast.Constant)
