"""Which class keeps the outputs of its steps for the hooks that read them, and for which stages."""

from __future__ import annotations

from lintmetrics.model import step_outputs
from lintmetrics.model.epoch_hooks import (
    STAGE_OF_HOOK,
    EpochEnd,
    Stage,
    extra_parameters,
    inherited,
    loads,
    own_epoch_end,
)
from lintmetrics.model.hook_groups import HookGroup, is_name, only_statement
from lintmetrics.project import ClassInfo


class CollectingGroup(HookGroup):
    """Hooks that move together, with the classes whose steps keep the outputs for them."""

    def __init__(self, start: EpochEnd) -> None:
        super().__init__(start)
        self.collected: dict[tuple[ClassInfo, str], step_outputs.Collector] = {}
        self.handed_on: set[EpochEnd] = set()

    def collect(self, root: ClassInfo, stage: Stage) -> step_outputs.Collector:
        """Return what keeps the outputs of a stage in a class, made once."""
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

    def root_of(self, end: EpochEnd) -> ClassInfo:
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

    def collecting_base(self, end: EpochEnd) -> ClassInfo | None:
        """Return the base whose hook reads the outputs, so that they are collected anyway."""
        for reference, reached in self.calls.items():
            if reference.function is end.function and any(
                self.uses.get(target, False) for target in reached
            ):
                return None
        root = self.root_of(end)
        return None if root is end.cls else root

    def find_twins(self) -> None:
        """Find hooks that hand on to another stage's hook, as their steps do."""
        for end in self.ends:
            if end.alias is not None or not self.uses[end]:
                continue
            statement = only_statement(end.function)
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
                or not is_name(reference.arguments, end.parameter)
                or inherited(end.cls, end.name)
                or own_epoch_end(end.cls, end.stage.hook) not in (None, end)
                or self.must_merge(target)
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
                self.root_of(target), target.stage, (end.stage,), delegated=end.stage
            )
            if shared.root is end.cls and shared.in_step and not shared.exists:
                self.twins[end] = target
                self.collected[end.cls, target.stage.name] = shared
