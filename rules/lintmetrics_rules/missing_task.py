"""LM302: a classification metric without the task that it needs since 0.11."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model.metric_api import MetricCall
from lintmetrics.model.metric_migration import migrate, wanted
from lintmetrics.model.metric_references import handed_on, metric_calls, site_of
from lintmetrics.model.moved_names import MovedRead, unit_of
from lintmetrics.model.torchmetrics_versions import release
from lintmetrics.project import Module
from lintmetrics.rule import Consequence, Finding, Rule


class MissingTask(Rule):
    """Classification metrics called without ``task``.

    Up to 0.10 a classification metric looked at the tensors and guessed whether they were binary,
    multiclass or multilabel. Since 0.11 it must be told, and raises ``TypeError`` if it is not.
    The guess cannot be repeated by adding just any task: ``F1Score(task="binary")`` scores one
    class, the old ``F1(num_classes=2)`` scored two. ``task="multiclass"`` wants ``num_classes``
    besides, ``task="multilabel"`` wants ``num_labels``; and some metrics want now what they worked
    out themselves, as ``PeakSignalNoiseRatio`` did its ``data_range``.
    """

    code = "LM302"
    consequence = Consequence.CRASH
    since = "torchmetrics 0.11"
    source = "run: torchmetrics 0.2.0 to 0.10.3 against 1.9.0 on the same data"
    bad = """
    from torchmetrics import F1Score

    f1 = F1Score(num_classes=1)
    """
    good = """
    from torchmetrics import F1Score

    f1 = F1Score(task="binary")
    """

    def check(self, module: Module) -> Iterator[Finding]:
        """Find calls whose signature in 1.9 wants a task and which name none."""
        for call in metric_calls(module):
            yield from _of_call(call)
        for handed in handed_on(module):
            is_told = isinstance(unit_of(module, handed.node), MovedRead)
            if handed.lacks_task and not is_told:
                short = handed.target.rsplit(".", 1)[1]
                yield Finding(
                    handed,
                    f"{short} is handed on without task, which {release(module)} requires of every "
                    "call",
                    help=f"bind it: functools.partial({short}, task=...)",
                    detail=handed,
                )


def _of_call(call: MetricCall) -> Iterator[Finding]:
    site = site_of(call)
    if call.reference is None and isinstance(unit_of(call.module, call.node.func), MovedRead):
        return  # The name itself is gone at this place; what is said of that says all.
    if call.lacks_size and call.bound is None:
        task = call.literal("task")
        yield Finding(
            site,
            f'{call.short} is called with task="{task}" and without {call.lacks_size}',
            help=migrate(call).blocked or f"say {call.lacks_size}=",
            detail=call,
        )
    if call.lacks_required and call.bound is None:
        names = ", ".join(call.lacks_required)
        yield Finding(
            site,
            f"{call.short} is called without {names}, which {release(call.module)} requires",
            help=f"say {call.lacks_required[0]}=",
            detail=call,
            blocked=wanted(call.lacks_required[0]),
        )
    if not call.lacks_task:
        return
    migration = migrate(call)
    done = "called" if call.bound is None else "bound"
    task = f'task="{migration.task}"' if migration.task and not migration.blocked else "task="
    yield Finding(
        site,
        f"{call.short} is {done} without task, which {release(call.module)} requires"
        if call.current == call.short
        else f"{call.short} becomes {call.current}, which requires task in {release(call.module)}",
        help=migration.blocked or f"say {task}",
        detail=call,
    )
