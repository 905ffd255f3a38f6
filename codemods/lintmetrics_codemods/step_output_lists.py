"""``*_epoch_end(outputs)`` becomes ``on_*_epoch_end()`` over a list that the steps fill."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from typing import cast
from weakref import WeakKeyDictionary

from lintmetrics.codemod import Blocked, Codemod, Fix, Relation
from lintmetrics.config import Settings
from lintmetrics.edits import CannotEdit, Editor, FunctionNode, block_of, is_docstring
from lintmetrics.model import step_outputs
from lintmetrics.model.epoch_hooks import (
    STAGE_OF_HOOK,
    TRAINING,
    EpochEnd,
    Reference,
    Stage,
    calls_super,
    company,
    extra_parameters,
    family,
    hiding,
    inherited,
    is_generator,
    loads,
    own_epoch_end,
    rebinds,
    references,
    required_parameters,
    returns,
    standing_with,
    surplus_parameters,
    targets,
)
from lintmetrics.model.kept_outputs import appends
from lintmetrics.model.patched_hooks import patched_class, patches
from lintmetrics.project import ClassInfo, Module, Project
from lintmetrics.rule import Finding
from lintmetrics.tree import own_nodes, subtree

_LIGHTNING_ONLY = re.compile(r"(?:pytorch_lightning|lightning|torch|typing|abc|builtins)(?:\.|$)")
_LIMIT = 100  # Longest line that an inlined name may make.


class StepOutputLists(Codemod):
    """The outputs of the steps in a list of the module, emptied when the epoch ends."""

    codes = ("LM201", "LM203")

    def plan(self, finding: Finding, settings: Settings) -> Fix | Blocked:
        """Plan all edits of every hook that has to move together with this one."""
        end = finding.subject
        assert isinstance(end, EpochEnd)
        if end.cls.is_kind("Callback"):
            return _of_callback(end)
        plan = _Migration(end).fix()
        for other in standing_with(end):
            reason = _obstacle(other)
            if reason is not None:
                raise CannotEdit(f"{other.spelled} would be left behind: {reason}")
        return plan


_obstacles: WeakKeyDictionary[Project, dict[EpochEnd, str | None]] = WeakKeyDictionary()


def _obstacle(end: EpochEnd) -> str | None:
    """Return what keeps a hook from moving, asked once for each."""
    known = _obstacles.setdefault(end.module.project, {})
    if end not in known:
        try:
            _Migration(end).fix()
            known[end] = None
        except CannotEdit as error:
            known[end] = str(error)
    return known[end]


def _of_callback(end: EpochEnd) -> Fix | Blocked:
    """Plan the hook of a callback without the outputs that it is not given."""
    editor = Editor()
    for argument in surplus_parameters(end):
        read = next(iter(loads(end.function, argument.arg)), None)
        if read is not None:
            return Blocked(
                f"`{argument.arg}` is read at {end.module.source.path}:{read.lineno}; let the "
                f"module keep its outputs, and read pl_module.{end.stage.outputs} there"
            )
        editor.drop_parameter(end.module, end.function, argument.arg)
    for reference in references(end.module.project, end.name):
        if len(reference.arguments) > 2 and (
            reference.receiver != "self" or reference.cls in family(end.cls)
        ):
            return Blocked(
                f"the call at {reference.module.source.path}:{reference.line} hands outputs on; "
                "change both"
            )
    return Fix(Relation.PRESERVES, f"{end.spelled} takes what callbacks are given", editor.edits)


class _Migration:
    """The hooks that call each other, and the edits that move them all."""

    def __init__(self, start: EpochEnd) -> None:
        self.start = start
        self.project = start.module.project
        self.ends: dict[EpochEnd, None] = {}
        self.calls: dict[Reference, list[EpochEnd]] = {}
        self.lightning_calls: dict[Reference, EpochEnd] = {}
        self.done_calls: dict[Reference, list[EpochEnd]] = {}
        self.editor = Editor()
        self.collected: dict[tuple[ClassInfo, str], step_outputs.Collector] = {}
        self.twins: dict[EpochEnd, EpochEnd] = {}
        self.notes: list[str] = []
        self.helped: dict[EpochEnd, bool] = {}
        self.handed_on: set[EpochEnd] = set()
        self._gather()
        self.uses = self._used()

    # What belongs together --------------------------------------------------------------------

    def _gather(self) -> None:
        queue = [self.start]
        while queue:
            end = queue.pop()
            if end in self.ends or end.is_done:
                continue
            self.ends[end] = None
            found: list[EpochEnd] = []
            for name in STAGE_OF_HOOK:
                for reference in references(self.project, name):
                    inside = reference.function is end.function
                    if not inside and name != end.name:
                        continue
                    if name == end.name:
                        self._require_unset(end, reference)
                    reached = targets(reference)
                    if reached and all(target.is_done for target in reached):
                        if inside:
                            self.done_calls[reference] = reached
                        continue
                    if end in reached or (inside and reached):
                        self.calls[reference] = reached
                        found += reached
                        caller = self._caller(reference)
                        if caller is not None:
                            found.append(caller)
                    elif inside and reference.receiver == "super":
                        self.lightning_calls[reference] = end
                    elif name == end.name:
                        self._foreign(end, reference)
            for name in STAGE_OF_HOOK:
                same = own_epoch_end(end.cls, name)
                if same is not None and same.function is end.function:
                    found.append(same)
            found += self._merged_with(end)
            queue += found

    def _require_unset(self, end: EpochEnd, reference: Reference) -> None:
        """Stop where a hook of the family is set from outside, which needs the same move."""
        own = reference.cls is None or reference.cls in family(end.cls)
        for patch in patches(reference.module):
            at = patch.node
            place = (at.lineno, at.col_offset)
            if place != (reference.node.lineno, reference.node.col_offset):
                continue
            cls = patched_class(patch)
            if (cls is None and own) or (cls is not None and cls in family(end.cls)):
                raise CannotEdit(
                    f"{patch.spelled} is set at {reference.module.source.path}:{reference.line}; "
                    "make that a method first"
                )

    def _merged_with(self, end: EpochEnd) -> list[EpochEnd]:
        """Return overrides of a hook, and what it overrides, where one has to be merged."""
        if end.name == end.stage.hook:
            return []
        related = [inherited(end.cls, end.name)]
        for below in end.cls.subclasses:
            own = own_epoch_end(below, end.name)
            if own is not None and inherited(below, end.name) == end:
                related.append(own)
        return [
            other
            for other in related
            if other is not None and (self._must_merge(end) or self._must_merge(other))
        ]

    def _caller(self, reference: Reference) -> EpochEnd | None:
        if reference.cls is None or reference.function is None:
            return None
        if reference.function.name not in STAGE_OF_HOOK or not reference.cls.is_lightning:
            return None
        end = own_epoch_end(reference.cls, reference.function.name)
        return end if end is not None and end.function is reference.function else None

    def _foreign(self, end: EpochEnd, reference: Reference) -> None:
        """Stop at a use of the hook's name on something that cannot be told."""
        if end.name != end.stage.removed or reference.receiver != "other":
            return
        if reference.function is end.function:
            return  # A hook that hands on to a part of the module, not to itself.
        if reference.cls is not None and reference.cls.is_kind("Callback"):
            receiver = reference.node.value
            if isinstance(receiver, ast.Call) or not _looks_like_module(receiver):
                return
        names = {cls.node.name for cls in family(end.cls)}
        if reference.module is not end.module and not any(
            re.search(rf"\b{re.escape(name)}\b", reference.module.source.text) for name in names
        ):
            return
        if not _looks_like_module(reference.node.value) and self._plain_class_has(end.name):
            return
        raise CannotEdit(
            f"`{_text(reference.module, reference.node)}` at {reference.module.source.path}:"
            f"{reference.line} names the hook on an object that cannot be told; rename it there "
            f"by hand first"
        )

    def _plain_class_has(self, name: str) -> bool:
        pattern = re.compile(rf"\bdef\s+{name}\b")
        return any(
            name in cls.methods and not cls.is_lightning
            for module in self.project.mentioning(pattern)
            for cls in module.classes
        )

    # Who reads the outputs --------------------------------------------------------------------

    def _passes(self, end: EpochEnd) -> dict[ast.Name, Reference]:
        """Return the reads of the parameters that only hand them to another hook."""
        found: dict[ast.Name, Reference] = {}
        for reference in (*self.calls, *self.lightning_calls, *self.done_calls):
            if reference in self.done_calls and any(
                extra_parameters(target.function) for target in self.done_calls[reference]
            ):
                continue
            if reference.function is not end.function:
                continue
            for argument in reference.arguments:
                inner = argument.value if isinstance(argument, ast.Starred) else argument
                if isinstance(inner, ast.Name):
                    found[inner] = reference
        return found

    def _used(self) -> dict[EpochEnd, bool]:
        uses = dict.fromkeys(self.ends, False)
        changed = True
        while changed:
            changed = False
            for end in self.ends:
                if not uses[end] and self._reads(end, uses):
                    uses[end] = changed = True
        return uses

    def _reads(self, end: EpochEnd, uses: dict[EpochEnd, bool]) -> bool:
        passes = self._passes(end)
        for parameter in extra_parameters(end.function):
            for load in loads(end.function, parameter.arg):
                reference = passes.get(load)
                if reference is None:
                    return True
                if any(uses.get(target, False) for target in self.calls.get(reference, ())):
                    return True
        return False

    # The plan ---------------------------------------------------------------------------------

    def fix(self) -> Fix:
        for end in self.ends:
            self._require_movable(end)
        self._find_twins()
        forms = [(bundle, self._form(bundle)) for bundle in self._bundles()]
        for bundle, form in forms:
            if form == "helper" and any(self.uses[end] for end in bundle):
                self.handed_on.update(bundle)
        for bundle, form in forms:
            self._write(bundle, form)
        for end in self.ends:
            self._keep_overrides(end)
        for reference, reached in self.done_calls.items():
            if reference.arguments and not any(extra_parameters(t.function) for t in reached):
                self._call_hook(reference)
        for collector in self.collected.values():
            collector.write(self.editor)
        self._imports()
        message = self._message()
        # Where no outputs are read there is no list, and only one way to write the hook.
        style = "outputs" if any(self.uses.values()) else ""
        return Fix(Relation.PRESERVES, message, self.editor.edits, style)

    def _message(self) -> str:
        hook = self.start.stage.hook
        if not self.uses[self.start] and self.start.name == hook:
            text = f"{hook} takes no parameter; what was passed to it was not used"
        elif not self.uses[self.start]:
            text = f"{self.start.name} becomes {hook}; its outputs were not used"
        else:
            text = (
                f"{self.start.name} becomes {hook}"
                if self.start.name != hook
                else f"{hook} loses its parameter"
            ) + f"; the outputs are collected in self.{self._list_name()}"
        if _returns_log(self.start.function):
            text += (
                "; the dict it returns has not been logged since Lightning 1.3, so what it names "
                "there needs a self.log of its own"
            )
        others = [end.spelled for end in self.ends if end != self.start]
        if others:
            text += f"; moved together with {', '.join(others[:4])}"
            if len(others) > 4:
                text += f" and {len(others) - 4} more"
        return "; ".join([text, *dict.fromkeys(self.notes)])

    def _list_name(self) -> str:
        """Return the list that the hook that was found reads now."""
        end = self.start
        if end.alias is not None:
            return STAGE_OF_HOOK[end.function.name].outputs
        return self.twins.get(end, end).stage.outputs

    def _require_movable(self, end: EpochEnd) -> None:
        function, where = end.function, f"{end.spelled} at {end.module.source.path}:{end.line}"
        met = hiding(end)
        if met is not None:
            own, below = met
            raise CannotEdit(
                f"{own.spelled} at {own.module.source.path}:{own.line} runs besides {end.spelled} "
                f"in {below.node.name}, and one would hide the other; let one call super()"
            )
        arguments = function.args
        if not (arguments.posonlyargs or arguments.args):
            raise CannotEdit(f"{where} has no self")
        for decorator in function.decorator_list:
            name = ast.unparse(decorator).split("(")[0].split(".")[-1]
            if name in ("staticmethod", "classmethod", "property", "overload"):
                raise CannotEdit(f"{where} is decorated with @{name}")
        if is_generator(function) or isinstance(function, ast.AsyncFunctionDef):
            raise CannotEdit(f"{where} is a generator or a coroutine")
        same = [
            node
            for node in subtree(end.cls.node)
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
            and node.name == function.name
            and end.module.enclosing_class(node) is end.cls
        ]
        if end.alias is None and len(same) > 1:
            raise CannotEdit(f"{where} is defined {len(same)} times in its class")
        if self.uses[end] and end.name == end.stage.hook:
            self._require_outputs(end)
        if end.cls.is_kind("LightningModule"):
            for reference, reached in self.calls.items():
                if (
                    reference.function is function
                    and reference.receiver == "super"
                    and inherited(end.cls, reference.name) is None
                ):
                    raise CannotEdit(
                        f"super() at {end.module.source.path}:{reference.line} reaches "
                        f"{reached[0].spelled} in some subclasses and Lightning in others; give "
                        "those subclasses a hook of their own first"
                    )
        if self.uses[end] and end.stage is TRAINING:
            for cls in (*end.cls.mro(), *end.cls.subclasses):
                step = cls.methods.get(end.stage.step)
                for parameter in extra_parameters(step) if step is not None else ():
                    if parameter.arg in ("optimizer_idx", "hiddens"):
                        raise CannotEdit(
                            f"training_step of {cls.node.name} takes `{parameter.arg}` at "
                            f"{cls.module.source.path}:{parameter.lineno}, which Lightning 2 "
                            "never passes; several optimizers nested the outputs, so move it to "
                            "manual optimization first"
                        )

    @staticmethod
    def _require_outputs(end: EpochEnd) -> None:
        """Stop at a hook that waits for outputs where no step of the class returns any."""
        related = company(end.cls)
        steps = [found for cls in related if (found := cls.own(end.stage.step)) is not None]
        if not steps or any(
            node.value is not None and not step_outputs.is_none(node.value)
            for found in steps
            for node in returns(found.node)
        ):
            return
        kept = [a.attribute for cls in related for a in appends(cls) if a.stage is end.stage]
        instead = f"self.{kept[0]}, which it fills" if len(set(kept)) == 1 else "a list it fills"
        raise CannotEdit(
            f"{end.stage.step} at {steps[0].module.source.path}:{steps[0].node.lineno} returns "
            f"nothing that could be collected; let {end.name} read {instead}, and empty it there"
        )

    def _find_twins(self) -> None:
        """Find hooks that hand on to another stage's hook, as their steps do."""
        for end in self.ends:
            if end.alias is not None or not self.uses[end]:
                continue
            statement = _only_statement(end.function)
            value = getattr(statement, "value", None)
            reference = next(
                (r for r in self.calls if r.call is value and r.receiver == "self"), None
            )
            if reference is None or len(self.calls[reference]) != 1:
                continue
            target = self.calls[reference][0]
            if (
                target.cls is not end.cls
                or target.stage is end.stage
                or target.alias is not None
                or not _is_name(reference.arguments, end.parameter)
                or inherited(end.cls, end.name)
                or own_epoch_end(end.cls, end.stage.hook) not in (None, end)
                or self._must_merge(target)
                or self._is_overridden(target)
                or self._is_overridden(end)
                or any(
                    name in below.namespace
                    for below in end.cls.subclasses
                    for name in (target.name, end.name)
                )
                or len([r for r, reached in self.calls.items() if target in reached]) != 1
                or len([r for r, reached in self.calls.items() if end in reached]) != 0
                or not step_outputs.step_delegates(end.cls, end.stage, target.stage)
            ):
                continue
            shared = step_outputs.Collector(
                self._root(target), target.stage, (end.stage,), delegated=end.stage
            )
            if shared.root is end.cls and shared.in_step and not shared.exists:
                self.twins[end] = target
                self.collected[end.cls, target.stage.name] = shared

    def _bundles(self) -> list[list[EpochEnd]]:
        """Return the hooks in groups that have to take the same form."""
        group = {end: end for end in self.ends}

        def find(end: EpochEnd) -> EpochEnd:
            while group[end] is not end:
                end = group[end]
            return end

        for end in self.ends:
            if end.alias is not None:
                original = own_epoch_end(end.cls, end.function.name)
                if original is None or original not in group:
                    raise CannotEdit(
                        f"{end.spelled} at {end.module.source.path}:{end.line} is an alias of a "
                        "method that is no hook"
                    )
                group[find(end)] = find(original)
        for reference, reached in self.calls.items():
            caller = self._caller(reference)
            joined = list(reached)
            if (
                reference.receiver == "super"
                and reached
                and caller is not None
                and caller in group
                and caller.stage is reached[0].stage
            ):
                joined.append(caller)
            for end in joined[1:]:
                group[find(end)] = find(joined[0])
        for end in self.ends:
            for other in self._merged_with(end):
                group[find(end)] = find(other)
        bundles: dict[EpochEnd, list[EpochEnd]] = {}
        for end in self.ends:
            bundles.setdefault(find(end), []).append(end)
        return list(bundles.values())

    def _calls_to(self, bundle: Iterable[EpochEnd]) -> list[Reference]:
        wanted = set(bundle)
        return [
            reference
            for reference, reached in self.calls.items()
            if wanted.intersection(reached)
            and not (self._caller(reference) in self.twins and reference.receiver == "self")
        ]

    def _own_hook(self, end: EpochEnd) -> EpochEnd | None:
        if end.name == end.stage.hook:
            return None
        return own_epoch_end(end.cls, end.stage.hook)

    def _must_merge(self, end: EpochEnd) -> bool:
        if end.name == end.stage.hook:
            return False
        return bool(
            self._own_hook(end) or self._inherited_hook(end) or self._overrides_in_a_row(end)
        )

    @staticmethod
    def _overrides_in_a_row(end: EpochEnd) -> bool:
        """Tell whether subclasses override each other's hook of today's name."""
        hook = end.stage.hook
        return any(
            own_epoch_end(below, hook) is not None
            and own_epoch_end(below, end.name) is None
            and inherited(below, hook) is not None
            for below in end.cls.subclasses
        )

    @staticmethod
    def _inherited_hook(end: EpochEnd) -> EpochEnd | None:
        """Return the hook of a base that ran besides this one in Lightning 1."""
        above = inherited(end.cls, end.stage.hook)
        # One that reads the list of outputs is the base's own successor of the removed hook.
        if above is None or above.reads_list:
            return None
        if inherited(end.cls, end.name) is None:
            raise CannotEdit(
                f"whether {above.spelled} at {above.module.source.path}:{above.line} ran besides "
                f"{end.name} or took its place cannot be told; rename {end.spelled} to "
                f"{end.stage.hook} and call super() in it, or not"
            )
        return above

    def _form(self, bundle: list[EpochEnd]) -> str:
        """Return what becomes of hooks: ``"plain"``, ``"list"`` or ``"helper"``."""
        used = any(self.uses[end] for end in bundle)
        calls = self._calls_to(bundle)
        merged = any(self._must_merge(end) for end in bundle) or (
            any(reference.receiver == "self" for reference in calls)
            and any(self._is_overridden(end) for end in bundle)
        )
        if merged:
            return "helper"
        if not used:
            return "plain"
        if self._other_parameters_read(bundle):
            return "helper"
        return "list" if all(self._is_chain(reference) for reference in calls) else "helper"

    def _write(self, bundle: list[EpochEnd], form: str) -> None:
        calls = self._calls_to(bundle)
        self._check_aliases(bundle, form)
        if form == "helper":
            self._write_helper(bundle, calls, any(self.uses[end] for end in bundle))
            return
        for end in bundle:
            if self.uses[end]:
                self._write_direct(end)
            else:
                self._write_plain(end)
        for reference in calls:
            self._call_hook(reference)

    @staticmethod
    def _is_overridden(end: EpochEnd) -> bool:
        """Tell whether a subclass has a hook of today's name, which a call would reach."""
        return end.name != end.stage.hook and any(
            own_epoch_end(below, end.stage.hook) is not None for below in end.cls.subclasses
        )

    def _check_aliases(self, bundle: list[EpochEnd], form: str) -> None:
        """Stop at an alias that cannot stay one."""
        for end in bundle:
            if end.alias is None:
                continue
            original = own_epoch_end(end.cls, end.function.name)
            assert original is not None
            merged = any(self._must_merge(e) or self._is_overridden(e) for e in bundle)
            chained = any(reference.function is end.function for reference in self.calls)
            elsewhere = self.uses[end] and (
                self._root(original) is not end.cls or self._collect(end.cls, original.stage).exists
            )
            if (
                merged
                or chained
                or elsewhere
                or inherited(end.cls, original.name) in bundle
                or (form == "helper" and len(bundle) > 2)
            ):
                raise CannotEdit(
                    f"the alias {end.spelled} at {end.module.source.path}:{end.line} cannot stay "
                    f"one; make it a method that calls {original.name} first"
                )

    def _other_parameters_read(self, bundle: list[EpochEnd]) -> bool:
        for end in bundle:
            found = extra_parameters(end.function)
            arguments = end.function.args
            for parameter in found:
                simple = parameter is found[0] and parameter not in (
                    arguments.vararg,
                    arguments.kwarg,
                )
                if not simple and loads(end.function, parameter.arg):
                    return True
        return False

    def _is_chain(self, reference: Reference) -> bool:
        """Tell whether a call is a plain ``super().hook(outputs)`` that surely runs."""
        caller = self._caller(reference)
        call = reference.call
        if reference.receiver != "super" or caller is None or call is None:
            return False
        if caller.stage is not self.calls[reference][0].stage:
            return False
        statement = reference.module.parent(call)
        if not isinstance(statement, (ast.Expr, ast.Return)):
            return False
        body = caller.function.body
        if statement not in body or not _is_name(reference.arguments, caller.parameter):
            return False
        if rebinds(caller.function, caller.parameter or ""):
            return False
        return not any(node.lineno < statement.lineno for node in returns(caller.function))

    # Forms ------------------------------------------------------------------------------------

    def _rename(self, end: EpochEnd, name: str) -> None:
        if end.alias is not None:
            self._rename_alias(end)
        elif end.name != name:
            self.editor.rename_function(end.module, end.function, name)

    def _rename_alias(self, end: EpochEnd) -> None:
        assert end.alias is not None
        original = STAGE_OF_HOOK[end.function.name].hook
        target = end.alias.targets[0] if isinstance(end.alias, ast.Assign) else end.alias.target
        assert end.alias.value is not None
        if isinstance(end.alias, ast.Assign) and len(end.alias.targets) > 1:
            raise CannotEdit(f"line {end.line} binds several names at once")
        if end.name != end.stage.hook:
            self.editor.replace(end.module, target, end.stage.hook)
        self.editor.replace(end.module, end.alias.value, original)

    def _call_hook(self, reference: Reference) -> None:
        """Write a call of the new hook, which takes no outputs."""
        call = reference.call
        stage = STAGE_OF_HOOK[reference.name]
        if call is None:
            if reference.name != stage.hook:
                self.editor.rename_attribute(reference.module, reference.node, stage.hook)
            return
        if not all(_is_harmless(argument) for argument in reference.arguments):
            raise CannotEdit(
                f"the call at {reference.module.source.path}:{reference.line} works out its "
                "argument, which the new hook does not take"
            )
        source = reference.module.source
        start = source.end(reference.node) - len(reference.name)
        given = "self" if reference.receiver == "class" else ""
        text = f"{stage.hook}({given})"
        if source.text[start : source.end(call)] != text:
            self.editor.replace_range(reference.module, start, source.end(call), text)

    def _drop_lightning_call(self, end: EpochEnd) -> None:
        """Remove ``super().training_epoch_end(outputs)`` where the base is Lightning's own."""
        for reference, caller in self.lightning_calls.items():
            if caller.function is not end.function or end.alias is not None:
                continue
            cls = end.cls
            where = f"{reference.module.source.path}:{reference.line}"
            if not cls.is_kind("LightningModule") or not all(
                _LIGHTNING_ONLY.match(name) for name in cls.base_names
            ):
                raise CannotEdit(
                    f"`{_text(reference.module, reference.node)}` at {where} goes to a base "
                    "outside this project; migrate that base first"
                )
            if reference.name == end.stage.hook:
                self._call_hook(reference)
                continue
            call = reference.call
            statement = reference.module.parent(call) if call is not None else None
            if isinstance(statement, ast.Return) and not _is_last(
                end.module, statement, end.function
            ):
                self.editor.replace(end.module, statement, "return")
            elif isinstance(statement, (ast.Expr, ast.Return)):
                self.editor.remove(end.module, statement)
            else:
                raise CannotEdit(
                    f"the result of `{_text(reference.module, reference.node)}` at {where} is "
                    "used; Lightning returned None there"
                )

    def _drop_parameters(self, end: EpochEnd) -> None:
        if extra_parameters(end.function):
            self.editor.keep_first_parameter(end.module, end.function)

    def _write_plain(self, end: EpochEnd) -> None:
        self._rename(end, end.stage.hook)
        if end.alias is not None:
            return
        self._drop_parameters(end)
        self._drop_lightning_call(end)
        root = self._collecting_base(end)
        if root is not None:
            self._collect(root, end.stage)
            self.editor.insert_at_body_start(
                end.module, end.function, [f"self.{end.stage.outputs}.clear()"]
            )

    def _collecting_base(self, end: EpochEnd) -> ClassInfo | None:
        """Return the base whose hook reads the outputs, so that they are collected anyway."""
        for reference, reached in self.calls.items():
            if reference.function is end.function and any(
                self.uses.get(target, False) for target in reached
            ):
                return None
        root = self._root(end)
        return None if root is end.cls else root

    def _root(self, end: EpochEnd) -> ClassInfo:
        """Return the topmost class above a hook whose own hook reads the outputs.

        For a mixin that is the base which its subclasses stand it beside, if they all do.
        """
        if end.cls.is_kind("LightningModule"):
            return self._topmost(end, end.cls.mro()) or end.cls
        found = [
            self._topmost(end, order[order.index(end.cls) + 1 :])
            for below in end.cls.subclasses
            if end.cls in (order := below.mro()) and below.is_kind("LightningModule")
        ]
        beside = found[0] if found and all(found) else None
        return beside or self._topmost(end, end.cls.mro()) or end.cls

    def _topmost(self, end: EpochEnd, order: list[ClassInfo]) -> ClassInfo | None:
        root = None
        for cls in order:
            for name in (end.stage.removed, end.stage.hook):
                own = own_epoch_end(cls, name)
                if own is None or STAGE_OF_HOOK[own.function.name] is not end.stage:
                    continue
                if (
                    self.uses.get(own, False)
                    or own in self.handed_on
                    or (
                        own not in self.uses
                        and any(loads(own.function, p.arg) for p in extra_parameters(own.function))
                    )
                ):
                    root = cls
        return root

    def _collect(self, root: ClassInfo, stage: Stage) -> step_outputs.Collector:
        key = (root, stage.name)
        if key not in self.collected:
            sharing = tuple(
                other
                for name, other in STAGE_OF_HOOK.items()
                if other is not stage
                and (own := own_epoch_end(root, name)) is not None
                and own.alias is not None
                and STAGE_OF_HOOK.get(own.function.name) is stage
            )
            self.collected[key] = step_outputs.Collector(root, stage, sharing)
        return self.collected[key]

    def _write_direct(self, end: EpochEnd) -> None:
        self._rename(end, end.stage.hook)
        if end.alias is not None:
            return
        function, module, stage = end.function, end.module, end.stage
        if end in self.twins:
            self._drop_parameters(end)
            self._call_hook(next(r for r in self.calls if r.function is function))
            return
        self._drop_parameters(end)
        self._drop_lightning_call(end)
        collector = self._collect(self._root(end), stage)
        passes = self._passes(end)
        chained = [
            reference
            for reference in self.calls
            if reference.function is function
            and self._is_chain(reference)
            and any(self.uses.get(target, False) for target in self.calls[reference])
        ]
        kept = bool(chained) or any(
            reference.function is function
            and reference.receiver == "super"
            and any(target.reads_list for target in reached)
            for reference, reached in self.done_calls.items()
        )
        name = end.parameter
        assert name is not None
        reads = [
            load
            for load in loads(function, name)
            if (reference := passes.get(load)) is None
            or (
                reference in self.calls
                and reference not in chained
                and any(self.uses.get(target, False) for target in self.calls[reference])
            )
        ]
        attribute = f"self.{stage.outputs}"
        self_name = [*function.args.posonlyargs, *function.args.args][0].arg
        if self_name != "self":
            raise CannotEdit(f"{end.spelled} calls its instance `{self_name}`")
        if not reads:
            return
        if not kept and self._can_inline(end, reads):
            for load in reads:
                self.editor.replace(module, load, attribute)
            last = function.body[-1]
            if isinstance(last, ast.Return):
                self.editor.insert_before(module, last, [f"{attribute}.clear()"])
            else:
                self.editor.insert_after(module, last, [f"{attribute}.clear()"])
            return
        lines = collector.reading(name, clear=not kept)
        self.editor.insert_at_body_start(module, function, lines)

    def _can_inline(self, end: EpochEnd, reads: list[ast.Name]) -> bool:
        """Tell whether the list may stand where the parameter stood, emptied at the end."""
        function, module = end.function, end.module
        name = end.parameter or ""
        if len(reads) > 3 or rebinds(function, name):
            return False
        found = returns(function)
        last = function.body[-1]
        if any(node is not last for node in found):
            return False
        if found and any(node in reads for node in subtree(last)):
            return False
        longer = len(f"self.{end.stage.outputs}") - len(name)
        by_line: dict[int, int] = {}
        for load in reads:
            by_line[load.lineno] = by_line.get(load.lineno, 0) + longer
            for around in module.ancestors(load):
                if around is function:
                    break
                if isinstance(
                    around, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
                ):
                    return False
                if isinstance(around, ast.JoinedStr):
                    return False
            if not self._is_read_only(module, load):
                return False
        return all(
            len(module.source.line_text(line)) + extra <= _LIMIT for line, extra in by_line.items()
        )

    @staticmethod
    def _is_read_only(module: Module, load: ast.Name) -> bool:
        parent = module.parent(load)
        if isinstance(parent, (ast.For, ast.comprehension)):
            return parent.iter is load
        if isinstance(parent, ast.Subscript):
            return parent.value is load and isinstance(parent.ctx, ast.Load)
        if isinstance(parent, ast.Call) and load in parent.args:
            called = parent.func
            if isinstance(called, ast.Name):
                return called.id in ("len", "enumerate", "zip", "sum", "list", "tuple")
            if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name):
                return called.value.id == "torch" and called.attr in ("stack", "cat")
        return False

    def _write_helper(self, bundle: list[EpochEnd], calls: list[Reference], used: bool) -> None:
        """Keep the bodies under a private name, and let a new hook call them."""
        members = set(bundle)
        for end in bundle:
            for cls in family(end.cls):
                if end.stage.helper in cls.namespace:
                    raise CannotEdit(
                        f"{cls.node.name} already has a {end.stage.helper} at "
                        f"{cls.module.source.path}:{cls.namespace[end.stage.helper].lineno}"  # type: ignore[attr-defined]
                    )
        for reference in calls:
            stage = STAGE_OF_HOOK[reference.name]
            if any(end.alias is not None for end in self.calls[reference]):
                raise CannotEdit(
                    f"the alias {stage.removed} is called at {reference.module.source.path}:"
                    f"{reference.line}; make it a method of its own first"
                )
            if used or reference.call is None:
                self.editor.rename_attribute(reference.module, reference.node, stage.helper)
            else:
                self._call_helper_without_outputs(reference, stage)
        for end in bundle:
            if end.alias is not None:
                self._rename_alias(end)
                continue
            self.editor.rename_function(end.module, end.function, end.stage.helper)
            self.helped[end] = used
            if not used:
                self._drop_parameters(end)
            self._drop_lightning_call(end)
            above = inherited(end.cls, end.name)
            if above is None or above not in members or self._own_hook(end):
                self._add_hook(end, used)

    def _call_helper_without_outputs(self, reference: Reference, stage: Stage) -> None:
        call = reference.call
        assert call is not None
        if not all(_is_harmless(argument) for argument in reference.arguments):
            raise CannotEdit(
                f"the call at {reference.module.source.path}:{reference.line} works out its "
                "argument, which the new hook does not take"
            )
        source = reference.module.source
        start = source.end(reference.node) - len(reference.name)
        given = "self" if reference.receiver == "class" else ""
        self.editor.replace_range(
            reference.module, start, source.end(call), f"{stage.helper}({given})"
        )

    def _add_hook(self, end: EpochEnd, used: bool) -> None:
        stage, module = end.stage, end.module
        own = self._own_hook(end)
        above = inherited(end.cls, end.name)
        if own is not None and above in self.ends and calls_super(own.function, stage.hook):
            # The base's hook calls the helper, which is this one's: it must be called, and once.
            self._super_first(own)
            return
        if own is not None and (own.alias is not None or extra_parameters(own.function)):
            raise CannotEdit(
                f"{own.spelled} at {module.source.path}:{own.line} has parameters of its own"
            )
        required = required_parameters(end.function)
        if used and len(required) > 1:
            raise CannotEdit(f"{end.spelled} requires more than its outputs")
        if own is not None:
            self._begin_with_helper(end, own, used)
            return
        lines = self._helper_lines(end, "outputs", used)
        if end.name != stage.hook and self._inherited_hook(end) is not None:
            lines.append(f"super().{stage.hook}()")
        self.editor.add_method(
            module,
            end.cls.node,
            [f"def {stage.hook}(self):", *(f"    {line}" for line in lines)],
            before=end.function,
            rank=1,
        )

    def _helper_lines(self, end: EpochEnd, name: str, used: bool) -> list[str]:
        """Return the lines that call what was the removed hook."""
        stage = end.stage
        if used:
            reading = self._collect(self._root(end), stage).reading(name, clear=True)
            return [*reading, f"self.{stage.helper}({name})"]
        lines = [f"self.{stage.helper}()"]
        root = self._collecting_base(end)
        if root is not None:
            self._collect(root, stage)
            lines.insert(0, f"self.{stage.outputs}.clear()")
        return lines

    def _begin_with_helper(self, end: EpochEnd, own: EpochEnd, used: bool) -> None:
        """Let a hook that is there already begin with what was the removed one."""
        name = "outputs"
        if loads(own.function, name) or rebinds(own.function, name):
            name = "step_outputs"
        lines = self._helper_lines(end, name, used)
        self.editor.insert_at_body_start(own.module, own.function, lines)

    def _keep_overrides(self, end: EpochEnd) -> None:
        """Let hooks of subclasses, which ran besides a removed one, call what it becomes."""
        stage = end.stage
        if end.name == stage.hook or end.alias is not None:
            return
        for below in end.cls.subclasses:
            own = own_epoch_end(below, stage.hook)
            if own is None or own_epoch_end(below, end.name) is not None:
                continue
            if inherited(below, end.name) != end:
                continue
            where = f"{own.spelled} at {own.module.source.path}:{own.line}"
            if inherited(below, stage.hook) is not None:
                if calls_super(own.function, stage.hook):
                    self._super_first(own)
                elif own.alias is None and end in self.helped:
                    self._begin_with_helper(end, own, self.helped[end])
                else:
                    raise CannotEdit(f"{where} hides a hook that ran besides it")
                continue
            if any(own_epoch_end(cls, end.name) is not None for cls in below.subclasses):
                raise CannotEdit(
                    f"{where} stands between two classes with {end.name}; merge them by hand"
                )
            if own.alias is not None:
                raise CannotEdit(f"{where} is an alias and does not call super()")
            self._super_first(own)

    def _super_first(self, own: EpochEnd) -> None:
        """Let a hook begin with the call of the one it overrides, wherever that stood."""
        hook, module, body = own.stage.hook, own.module, own.function.body
        first = body[1] if len(body) > 1 and is_docstring(body[0]) else body[0]
        if _is_super_call(first, hook):
            return
        for node in own_nodes(own.function):
            if not (
                isinstance(node, ast.Attribute)
                and node.attr == hook
                and isinstance(node.value, ast.Call)
                and ast.unparse(node.value.func) == "super"
            ):
                continue
            statement = module.statement(node)
            if inherited(own.cls, hook) is not None or not _is_super_call(statement, hook):
                raise CannotEdit(
                    f"{own.spelled} at {module.source.path}:{own.line} calls super() at line "
                    f"{node.lineno}, and what it calls has to run first; merge the two by hand"
                )
            # It called Lightning's empty hook until now, so it may move.
            if isinstance(statement, ast.Return) and not _is_last(module, statement, own.function):
                self.editor.replace(module, statement, "return")
            else:
                self.editor.remove(module, statement)
        self.editor.insert_at_body_start(module, own.function, [f"super().{hook}()"])

    def _imports(self) -> None:
        for collector in self.collected.values():
            if collector.needs_torch:
                self.editor.add_import(collector.root.module, "torch")


def _text(module: Module, node: ast.AST) -> str:
    try:
        return module.source.segment(node)
    except AttributeError:
        return ast.unparse(node)


def _looks_like_module(receiver: ast.expr) -> bool:
    spelled = ast.unparse(receiver).lower()
    name = r"(?:^|[._])(?:pl_|lightning_)?(?:model|module|net|system)\w*$"
    return re.search(name, spelled) is not None


def _returns_log(function: FunctionNode) -> bool:
    """Tell whether a hook returns the dict that Lightning logged until 1.2."""
    return any(
        isinstance(node, ast.Dict)
        and any(
            isinstance(key, ast.Constant) and key.value in ("log", "progress_bar")
            for key in node.keys
        )
        for node in own_nodes(function)
    )


def _only_statement(function: FunctionNode) -> ast.stmt | None:
    body = function.body
    if len(body) > 1 and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        body = body[1:]
    return body[0] if len(body) == 1 else None


def _is_super_call(statement: ast.stmt, name: str) -> bool:
    value = statement.value if isinstance(statement, (ast.Expr, ast.Return)) else None
    return value is not None and ast.unparse(value) == f"super().{name}()"


def _is_last(module: Module, statement: ast.stmt, function: FunctionNode) -> bool:
    """Tell whether nothing of a function runs behind a statement."""
    current: ast.AST = statement
    while current is not function:
        block = block_of(module, cast(ast.stmt, current))
        parent = module.parent(current)
        if block[-1] is not current or parent is None:
            return False
        if not isinstance(parent, (ast.If, ast.With, ast.FunctionDef)):
            return False
        current = parent
    return True


def _is_name(arguments: list[ast.expr], name: str | None) -> bool:
    return len(arguments) == 1 and isinstance(arguments[0], ast.Name) and arguments[0].id == name


def _is_harmless(expr: ast.expr) -> bool:
    """Tell whether leaving out an expression leaves nothing undone."""
    return not any(
        isinstance(node, (ast.Call, ast.Await, ast.Yield, ast.YieldFrom, ast.NamedExpr))
        for node in subtree(expr)
    )
