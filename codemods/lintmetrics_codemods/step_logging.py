"""What an epoch end reduces and logs is logged by the step, as batch values or Metric objects."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Iterable
from dataclasses import replace

from lintmetrics.codemod import Blocked, Codemod, Fix, Relation
from lintmetrics.config import Settings
from lintmetrics.edits import CannotEdit, FunctionNode, is_docstring
from lintmetrics.model import attribute_names, batches, hooks
from lintmetrics.model.creation import Place, first_fitting
from lintmetrics.model.epoch_hooks import (
    STAGE_OF_HOOK,
    TRAINING,
    EpochEnd,
    Reference,
    extra_parameters,
    family,
    hiding,
    inherited,
    item_is_flat,
    own_epoch_end,
    references,
)
from lintmetrics.model.epoch_reductions import SANITY, Logged, Reader, Reading
from lintmetrics.model.epoch_terms import Term
from lintmetrics.model.flow import LightningClass
from lintmetrics.model.hook_effects import BatchMean
from lintmetrics.model.hook_removal import HookRemoval
from lintmetrics.model.kept_outputs import of_self
from lintmetrics.model.object_equivalents import MetricObject, as_integers, object_for
from lintmetrics.model.returned_logs import KEYS
from lintmetrics.model.step_outputs import (
    assignments,
    dataloader_parameter,
)
from lintmetrics.model.step_side import StepSource, bare, reads
from lintmetrics.model.torchmetrics_versions import require
from lintmetrics.model.values import (
    Form,
    Map,
    Metric,
    numbers,
)
from lintmetrics.project import ClassInfo, Module
from lintmetrics.rule import Finding
from lintmetrics.tree import subtree

# These make one number of each tensor that they are given in a list.
_OF_ONE_ELEMENT = ("torch.tensor", "torch.as_tensor", "torch.FloatTensor", "torch.Tensor")
# A running total of vectors is a vector, and self.log took none of them in Lightning 1 either.
_OF_ONE_NUMBER = ("sum", "first", "statistics.mean", "statistics.fmean")


class _Waits(CannotEdit):
    """Another fix has to be made before this one can be."""


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
            if finding.subject.is_of_totals(mean.origin.node):
                return Blocked("")
            owner = mean.module.enclosing_class(mean.node)
            if owner is None or mean.function is None:
                raise CannotEdit("the mean is made outside the class; move it by hand")
            method = mean.module.enclosing_method(mean.node) or mean.function
            if method.name not in STAGE_OF_HOOK:
                raise CannotEdit(
                    f"{method.name}() at line {method.lineno} makes the mean for others; log the "
                    "batch value in the step by hand"
                )
            move = _Move(owner, method.name)
            if move.stage.removed != method.name:
                return move.mean(mean)
            try:
                return move.whole()
            except CannotEdit as error:
                try:
                    # What the hook does besides stays in it.
                    return _Move(owner, method.name).mean(mean)
                except _Waits:
                    raise
                except CannotEdit:
                    raise error from None
        except CannotEdit as error:
            return Blocked(str(error))


class _Move(HookRemoval):
    """One epoch-end hook of a class, and the step that its reductions go to."""

    def __init__(self, cls: ClassInfo, name: str) -> None:
        super().__init__(cls, name)
        self.created: dict[str, tuple[Place, list[str]]] = {}
        self.places: dict[ast.AST, Place] = {}
        self.notes: list[str] = []
        self.assumed: list[str] = []
        self.corrected: list[str] = []
        self.attributes: dict[tuple[object, ...], str] = {}
        self.told: list[ast.stmt] = []

    # The two plans ----------------------------------------------------------------------------

    def whole(self) -> Fix:
        """Move all that a removed hook does."""
        if self.end.name != self.stage.removed:
            raise CannotEdit(f"{self.end.name} is not called with outputs by Lightning 2")
        self._require_alone()
        name = self._parameter()
        # What fails on one list for each dataloader ran with one dataloader.
        source = self.returned_source(item_is_flat(self.cls, self.hook, name))
        reading = self._read(self._is_outputs(name), source)
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
        self.carry_comments(gone, reading)
        self._finish(source)
        if kept:
            for statement in gone:
                self.editor.remove(self.module, statement, gone)
            if reading.returned is not None and reading.returned.value is not None:
                self.editor.remove(self.module, reading.returned)
            self.editor.rename_function(self.module, self.hook, self.stage.hook)
            self.editor.drop_parameter(self.module, self.hook, name)
        else:
            self.remove_method(self.hook)
        return self._fix()

    def mean(self, mean: BatchMean) -> Fix:
        """Move one mean out of a hook that stays."""
        attribute, source = self.source_of(mean)
        if isinstance(source.statement, ast.Return):
            # Other steps may end elsewhere, and other hooks be given what this one returns.
            self._require_own(self.cls.subclasses)
        reading = self._read(
            self._is_list(attribute) if attribute else self._is_outputs(self._parameter()), source
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
        before = [s for s in self.hook.body[:last] if not self._ends_step_too(s, source)]
        self._require_reached(before, reading)
        gone = [statement for statement, _ in chosen]
        left = [s for s in self.hook.body if s not in gone and not is_docstring(s)]
        left = _alive(left, reading)
        gone = [s for s in self.hook.body if s not in left and not is_docstring(s)]
        items = [item for _, items in chosen for item in items]
        if reading.returned in left and self._is_unheard(reading, items):
            left = _alive([s for s in left if s is not reading.returned], reading)
            gone = [s for s in self.hook.body if s not in left and not is_docstring(s)]
        if any(item.term.node in subtree(s) for item in items for s in left):
            users = [s for s in left if not any(s is pure for pure, _ in reading.pure)]
            names = {
                name for name, term in reading.terms.items() if any(term is i.term for i in items)
            }
            users = [s for s in users if any(reads(s, name) for name in names)]
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
        if not attribute and (not rest or self.told):
            raise _Waits(f"{self.end.spelled} at line {self.end.line} has to move first")
        done = [s for s in self.hook.body if s not in rest and not is_docstring(s)]
        emptied = self.emptied(attribute, source, done) if attribute else None
        self.hook_goes = not rest and emptied is not None
        self.list_goes = emptied is not None
        for _, items in chosen:
            for item in items:
                self._write(item, source)
        self.carry_comments(gone, reading)
        if emptied is not None:
            self.drop_list(emptied, source)
            gone = done
        if self.hook_goes:
            self.remove_method(self.hook)
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

    def _parameter(self) -> str:
        """Return the name by which the hook takes the outputs."""
        parameters = extra_parameters(self.hook)
        arguments = self.hook.args
        if len(parameters) != 1 or parameters[0] in (arguments.vararg, arguments.kwarg):
            raise CannotEdit(f"{self.end.spelled} does not take the outputs by one name")
        return parameters[0].arg

    @staticmethod
    def _is_outputs(name: str) -> Callable[[ast.expr], bool]:
        return lambda e: isinstance(e, ast.Name) and e.id == name

    @staticmethod
    def _is_list(attribute: str) -> Callable[[ast.expr], bool]:
        return lambda e: of_self(e) == attribute

    def _require_alone(self) -> None:
        """Raise where other classes or methods have a part in the hook or the step."""
        if inherited(self.cls, self.end.name) or inherited(self.cls, self.stage.hook):
            raise CannotEdit(f"a base class of {self.cls.node.name} has an epoch end of its own")
        self._require_own(family(self.cls))

    def _require_own(self, others: Iterable[ClassInfo]) -> None:
        """Raise where other classes or methods have a part in the hook or the step."""
        where = self.end.spelled
        relatives = family(self.cls)
        for name in (self.end.name, self.stage.step):
            for found in others:
                if found is not self.cls and name in found.namespace:
                    raise CannotEdit(
                        f"{found.node.name}.{name} has a part in what {where} is given"
                    )
            reference = self._mention(name)
            if reference is not None:
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

    def _mention(self, name: str) -> Reference | None:
        """Return a place that names a hook of this class, as far as it shows."""
        relatives = family(self.cls)
        for reference in references(self.module.project, name):
            is_other = reference.receiver == "other"
            if is_other and reference.module is not self.module:
                if self.cls.node.name in reference.module.source.text:
                    return reference
            elif is_other or reference.cls in relatives:
                return reference
        return None

    def _read(self, is_outputs: Callable[[ast.expr], bool], source: StepSource) -> Reading:
        means = frozenset(id(mean.node) for mean in self.model.batch_means)
        value = self.output_value(source)
        keys: tuple[str, ...] = ()
        if isinstance(value, Map) and not value.open and self.stage is not TRAINING:
            keys = tuple(key for key, _ in value.items)
        found = Reader(
            self.module, is_outputs, means, self._is_own_metric, self._object_for, keys
        ).read(self.hook)
        self.hints = found.names
        return found

    def _object_for(self, module: Module, call: ast.Call, name: str) -> MetricObject:
        """Return an object with its arguments as the place of its creation writes them."""

        def made(place: Place) -> tuple[MetricObject, list[str]]:
            wanted = object_for(module, call, name, place.at)
            return wanted, place.arguments(wanted, module, call)

        place, (wanted, texts) = first_fitting(self.cls, made)
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
            if self._leaves(statement, (ast.Return, ast.Raise)):
                raise CannotEdit(f"{self.end.spelled} may end early at line {statement.lineno}")

    def _ends_step_too(self, statement: ast.stmt, source: StepSource) -> bool:
        """Tell whether the step has ended already where the hook ends in a statement."""
        if not isinstance(statement, ast.If) or statement.orelse or len(statement.body) > 1:
            return False
        named = {node.attr for node in subtree(statement.test) if isinstance(node, ast.Attribute)}
        known = (ast.Attribute, ast.Constant, ast.Compare, ast.cmpop, ast.UnaryOp, ast.Not)
        if not isinstance(statement.body[0], ast.Return) or any(
            not isinstance(node, (*known, ast.expr_context))
            and not (isinstance(node, ast.Name) and node.id == "self")
            for node in subtree(statement.test)
        ):
            return False
        for method in (source.step, self.hook):
            for node in subtree(method):
                if not isinstance(node, ast.Attribute) or isinstance(node.ctx, ast.Load):
                    continue
                if node.attr in named:
                    return False
        return any(
            isinstance(other, ast.If)
            and ast.dump(other.test) == ast.dump(statement.test)
            and isinstance(other.body[-1], ast.Return)
            and other.end_lineno is not None
            and other.end_lineno < source.statement.lineno
            for other in source.step.body
        )

    def _leaves(self, statement: ast.stmt, by: type[ast.stmt] | tuple[type[ast.stmt], ...]) -> bool:
        """Tell whether the hook itself may end in a statement; functions inside it may not."""
        return any(
            isinstance(node, by) and self.module.enclosing_function(node) is self.hook
            for node in subtree(statement)
        )

    def _require_reached(self, before: list[ast.stmt], reading: Reading) -> None:
        """Raise where the hook may end before it logs; what the step logs is always logged."""
        for statement in before:
            # Nothing is kept of what is logged in a sanity check, wherever that is done.
            test = statement.test if isinstance(statement, ast.If) else None
            if isinstance(test, ast.Attribute) and test.attr in SANITY:
                continue
            if statement not in reading.guards and self._leaves(statement, ast.Return):
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
            if reads(statement, outputs) or not any(reads(statement, n) for n in reading.terms):
                raise CannotEdit(reason)
        return list(told)

    def _is_unheard(self, reading: Reading, items: list[Logged]) -> bool:
        """Tell whether a hook ends by returning a mean, which nobody asks for.

        Lightning ignores what the hook returns since 1.3; until then it logged what stood at "log".
        """
        value = reading.returned.value if reading.returned is not None else None
        if value is None or self._mention(self.end.name) is not None:
            return False
        names = {n for n, term in reading.terms.items() if any(term is i.term for i in items)}
        return (
            not any(isinstance(node, (ast.Call, ast.Await)) for node in subtree(value))
            and not any(key in KEYS for key, _, _ in reading.returned_items)
            and any(reads(value, name) for name in names)
        )

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
            or term.node is None
            or not isinstance(made := term.made or term.node, ast.Call)
            or term.node not in subtree(makers[0])
            or dataloader_parameter(self.step_function(True))
            or self._mention(self.end.name) is not None
            or [n for n in subtree(self.hook) if _binds(n, name)] != [makers[0].targets[0]]
        ):
            return None
        called = self.module.qualified(made.func) or ""
        inner = made.func.value if isinstance(made.func, ast.Attribute) else None
        joined = self.module.qualified(inner.func) if isinstance(inner, ast.Call) else None
        if not called.startswith(("torch.", "numpy.")) and not (joined or "").startswith("torch."):
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
                if maker not in told and reads(statement, name):
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
        made = term.made or term.node
        if made is None:
            return False
        # `total /= n` is a mean that stands in the tree as a statement.
        return made is self.module.parent(mean.node) or mean.node in subtree(made)

    # Writing ----------------------------------------------------------------------------------

    def _write(self, item: Logged, source: StepSource) -> None:
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

    def _write_mean(self, item: Logged, key: str, source: StepSource) -> None:
        if not any(m.is_of_batch_values and self._is_of(item.term, m) for m in self._means()):
            raise CannotEdit(f"it cannot be told what one batch gives to {key}")
        shown = key if key.startswith('"') else key.replace("'", '"')
        self.corrected.append(shown)
        if self._already(item.key):
            self.notes.append(f"{self.stage.step} already logs {shown}")
            return
        forms = {number.form for number in numbers(self.value_of(item.term.column, source))}
        if forms & {Form.HITS, Form.COUNT, Form.FLAGS, Form.SUM}:
            raise CannotEdit(f"{key} is the mean of sums or counts, and self.log would weigh them")
        reduced = self._reduced(item, source)
        value = self.column_text(item.term.column, source, on_device=False)
        if reduced:
            value = f"{value}.mean()" if item.term.column.atomic else f"({value}).mean()"
        options = self._options(item, False)
        size = batches.of(self.cls, source.step, (hooks.stage_of(self.stage.step),))
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

    def _reduced(self, item: Logged, source: StepSource) -> bool:
        """Tell whether the value of one batch must be reduced, so that ``self.log`` can take it.

        The mean of stacked tensors, which are all of one shape, is the mean of their means.
        """
        term = item.term
        if term.by in _OF_ONE_NUMBER or self.is_one_number(term.column, source):
            return False
        if term.by in ("torch.stack", "torch.vstack"):
            return True
        shown = self.shown(term.column, source)
        inner, ends = bare(shown) if shown is not None else (None, [])
        is_array = bool(set(ends) & {"numpy", "cpu", "detach"}) and "tolist" not in ends
        if inner is not None and not is_array:
            is_array = not ends and _is_of_torch(self.module, source.step, inner)
        if is_array and "numpy" not in ends and term.by in _OF_ONE_ELEMENT:
            return False  # A tensor of more elements would have raised there.
        if is_array and _is_mean(term.by):
            return True
        line = getattr(term.node, "lineno", self.hook.lineno)
        raise CannotEdit(
            f"whether a batch gives one number to the mean at line {line} cannot be told; log the "
            "batch value in the step by hand"
        )

    def _write_metric(self, item: Logged, key: str, source: StepSource) -> None:
        if self._already(item.key):
            raise CannotEdit(f"{self.stage.step} logs {key} as well; give one another key")
        term = item.term
        assert term.preds is not None
        given = [self.column_text(term.preds, source, on_device=True)]
        if term.target is not None:
            target = self.column_text(term.target, source, on_device=True)
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
        require(self.module.project, dotted)
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

    def _finish(self, source: StepSource) -> None:
        if self.lines:
            self.editor.insert_before(self.module, source.statement, self.lines)
        if self.created and not self.cls.is_kind("LightningModule"):
            raise CannotEdit(f"{self.cls.node.name} is a mixin, whose __init__ may never run")
        for place, lines in self.created.values():
            place.write(self.editor, lines)


def _alive(statements: list[ast.stmt], reading: Reading) -> list[ast.stmt]:
    """Return statements without the assignments that nothing among them reads any more."""
    left = list(statements)
    changed = True
    while changed:
        changed = False
        for statement in [s for s in left if any(s is pure for pure, _ in reading.pure)]:
            names = [name for s, name in reading.pure if s is statement]
            others = [s for s in left if s is not statement]
            if not any(reads(s, name) for s in others for name in names):
                left = others
                changed = True
    return left


def _is_of_torch(module: Module, function: FunctionNode, value: ast.expr) -> bool:
    """Tell whether a function of torch makes a value, which then is a tensor."""
    made = assignments(function, value.id) if isinstance(value, ast.Name) else [value]
    return bool(made) and all(
        isinstance(one, ast.Call) and (module.qualified(one.func) or "").startswith("torch.")
        for one in made
    )


def _binds(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name and not isinstance(node.ctx, ast.Load)


def _short(key: ast.expr) -> str:
    """Return the last word of a key as a name."""
    text = str(key.value).rsplit("/", 1)[-1] if isinstance(key, ast.Constant) else ""
    return text if text.isidentifier() else "output"


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


def _is_mean(by: str) -> bool:
    """Tell whether batches were joined by a function whose mean is over all that they hold."""
    return by not in ("cat", "sum of all")
