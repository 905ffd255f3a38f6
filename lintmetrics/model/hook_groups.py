"""Epoch-end hooks that can only move together: they call, override or share one another."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable

from lintmetrics.edits import CannotEdit, FunctionNode
from lintmetrics.model.epoch_hooks import (
    STAGE_OF_HOOK,
    EpochEnd,
    Reference,
    extra_parameters,
    family,
    inherited,
    loads,
    own_epoch_end,
    rebinds,
    references,
    returns,
    targets,
)
from lintmetrics.model.patched_hooks import patched_class, patches
from lintmetrics.model.step_outputs import attribute_values
from lintmetrics.project import ClassInfo, Module


class HookGroup:
    """The hooks that have to move with one of them, and which of them read their outputs."""

    def __init__(self, start: EpochEnd) -> None:
        self.start = start
        self.project = start.module.project
        self.ends: dict[EpochEnd, None] = {}
        self.calls: dict[Reference, list[EpochEnd]] = {}
        self.lightning_calls: dict[Reference, EpochEnd] = {}
        self.done_calls: dict[Reference, list[EpochEnd]] = {}
        self.twins: dict[EpochEnd, EpochEnd] = {}
        self._gather()
        self.uses = self.used()

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
            if other is not None and (self.must_merge(end) or self.must_merge(other))
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
            f"`{spelled(reference.module, reference.node)}` at {reference.module.source.path}:"
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

    def passes(self, end: EpochEnd) -> dict[ast.Name, Reference]:
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

    def used(self) -> dict[EpochEnd, bool]:
        uses = dict.fromkeys(self.ends, False)
        changed = True
        while changed:
            changed = False
            for end in self.ends:
                if not uses[end] and self._reads(end, uses):
                    uses[end] = changed = True
        return uses

    def _reads(self, end: EpochEnd, uses: dict[EpochEnd, bool]) -> bool:
        passes = self.passes(end)
        for parameter in extra_parameters(end.function):
            for load in loads(end.function, parameter.arg):
                reference = passes.get(load)
                if reference is None:
                    return True
                if any(uses.get(target, False) for target in self.calls.get(reference, ())):
                    return True
        return False

    def bundles(self) -> list[list[EpochEnd]]:
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

    def calls_to(self, bundle: Iterable[EpochEnd]) -> list[Reference]:
        wanted = set(bundle)
        return [
            reference
            for reference, reached in self.calls.items()
            if wanted.intersection(reached)
            and not (self._caller(reference) in self.twins and reference.receiver == "self")
        ]

    def own_hook(self, end: EpochEnd) -> EpochEnd | None:
        if end.name == end.stage.hook:
            return None
        return own_epoch_end(end.cls, end.stage.hook)

    def must_merge(self, end: EpochEnd) -> bool:
        if end.name == end.stage.hook:
            return False
        return bool(self.own_hook(end) or self.inherited_hook(end) or self._overrides_in_a_row(end))

    @staticmethod
    def _overrides_in_a_row(end: EpochEnd) -> bool:
        """Tell whether subclasses override each other's hook of today's name."""
        hook = end.stage.hook
        return any(
            own_epoch_end(below, hook) is not None
            and own_epoch_end(below, end.name) is None
            and inherited(below, hook) is not None
            and not HookGroup.has_taken_place(end, below)
            for below in end.cls.subclasses
        )

    @staticmethod
    def has_taken_place(end: EpochEnd, below: ClassInfo) -> bool:
        """Tell whether a removed hook does not run in a subclass, because one there has moved.

        That one reads the outputs, and a class above the removed hook collects them.
        """
        order = below.mro()
        return (
            end.cls in order
            and any(attribute_values(cls, end.stage.outputs) for cls in end.cls.mro())
            and any(
                own.reads_list
                for cls in order[: order.index(end.cls)]
                if (own := own_epoch_end(cls, end.stage.hook)) is not None
            )
        )

    @staticmethod
    def inherited_hook(end: EpochEnd) -> EpochEnd | None:
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

    def form_of(self, bundle: list[EpochEnd]) -> str:
        """Return what becomes of hooks: ``"plain"``, ``"list"`` or ``"helper"``."""
        used = any(self.uses[end] for end in bundle)
        calls = self.calls_to(bundle)
        merged = any(self.must_merge(end) for end in bundle) or (
            any(reference.receiver == "self" for reference in calls)
            and any(self._is_overridden(end) for end in bundle)
        )
        if merged:
            return "helper"
        if not used:
            return "plain"
        if self._other_parameters_read(bundle):
            return "helper"
        return "list" if all(self.is_chain(reference) for reference in calls) else "helper"

    @staticmethod
    def _is_overridden(end: EpochEnd) -> bool:
        """Tell whether a subclass has a hook of today's name, which a call would reach."""
        return end.name != end.stage.hook and any(
            own_epoch_end(below, end.stage.hook) is not None for below in end.cls.subclasses
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

    def is_chain(self, reference: Reference) -> bool:
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
        if statement not in body or not is_name(reference.arguments, caller.parameter):
            return False
        if rebinds(caller.function, caller.parameter or ""):
            return False
        return not any(node.lineno < statement.lineno for node in returns(caller.function))


def spelled(module: Module, node: ast.AST) -> str:
    try:
        return module.source.segment(node)
    except AttributeError:
        return ast.unparse(node)


def _looks_like_module(receiver: ast.expr) -> bool:
    spelled = ast.unparse(receiver).lower()
    name = r"(?:^|[._])(?:pl_|lightning_)?(?:model|module|net|system)\w*$"
    return re.search(name, spelled) is not None


def only_statement(function: FunctionNode) -> ast.stmt | None:
    body = function.body
    if len(body) > 1 and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        body = body[1:]
    return body[0] if len(body) == 1 else None


def is_name(arguments: list[ast.expr], name: str | None) -> bool:
    return len(arguments) == 1 and isinstance(arguments[0], ast.Name) and arguments[0].id == name
