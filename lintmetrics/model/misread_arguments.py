"""Arguments of metrics that are taken and do something else than they seem to."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from lintmetrics import facts
from lintmetrics.kept_answers import kept
from lintmetrics.model.absent_classes import averaged_with_absent
from lintmetrics.model.decomposability import higher_is_better
from lintmetrics.model.dropped_keywords import dropped_keywords
from lintmetrics.model.metric_api import UNKNOWN, MetricCall, is_guarded, read
from lintmetrics.model.metric_feeds import fed_objects
from lintmetrics.model.tensors import constant
from lintmetrics.model.trackers import directions
from lintmetrics.project import CallSite, Module, Project
from lintmetrics.rule import Consequence, Subject

_RANGE_SHIMS = frozenset(
    (
        "torchmetrics.PeakSignalNoiseRatio",
        "torchmetrics.functional.peak_signal_noise_ratio",
    )
)
_TRANSLATIONS = frozenset(("BLEUScore", "SacreBLEUScore", "bleu_score", "sacre_bleu_score"))
_TRANSLATION_OBJECT = re.compile("BLEUScore")  # As they have been called in every release.
_TRUTH = re.compile(r"(?:^|_)(?:ref|refs|reference|references|targets?|gold|truth|labels?)(?:_|$)")
_GUESS = re.compile(
    r"(?:^|_)(?:preds?|predictions?|hyps?|hypothes[ei]s|candidates?|translations?|generated|"
    r"outputs?)(?:_|$)"
)


@dataclass(frozen=True)
class Misreading:
    """An argument that a metric ignores or reads as another.

    Args:
        subject: what it is about; ``node``: where, if it is not all of that.
        message: what is wrong; ``help``: what to write instead.
        blocked: why no fix is surely right; ``None`` where there may be one.
        call: what was read of the call, for the fix.
        consequence: what comes of it; ``None`` for another number than is said.
    """

    subject: Subject
    message: str
    help: str
    node: ast.AST | None = None
    blocked: str | None = None
    call: MetricCall | None = None
    consequence: Consequence | None = None


def misreadings(module: Module) -> Iterator[Misreading]:
    """Yield the arguments in a file that are ignored or misread."""
    for site in module.call_sites:
        if site.name.endswith(".MetricTracker"):
            yield from _tracked(site)
        call = read(site.module, site.node, site.name)
        if call is not None:
            yield from _of_call(site, call)
    if _makes_translations(module.project):
        for feed in fed_objects(module, _TRANSLATIONS):
            yield from _swapped(module, feed, feed.node, feed.metric)
    for site, mean in averaged_with_absent(module):
        yield Misreading(
            site,
            "mean_iou answers -1 for a class that is absent, which this mean counts as a score",
            help="average without them: scores[scores >= 0].mean(), or drop per_class",
            node=mean,
            blocked="average without the absent classes: scores[scores >= 0].mean(), or drop "
            "per_class for the mean of each sample",
        )
    for dropped in dropped_keywords(module):
        name = dropped.node.arg
        yield Misreading(
            dropped,
            f"no metric of this collection takes {name}, which is dropped without a word",
            help=f"its metrics take {', '.join(dropped.known)}",
            consequence=Consequence.IGNORED,
            blocked="whether the name is misspelt or the argument to be dropped is for a "
            "person to say",
        )


@kept
def _makes_translations(project: Project) -> bool:
    """Tell whether anything in a project may be an object that scores translations."""
    return bool(project.mentioning(_TRANSLATION_OBJECT, "BLEUScore"))


def _of_call(site: CallSite, call: MetricCall) -> Iterator[Misreading]:
    average = call.literal("average")
    if call.literal("task") == "binary" and average in ("macro", "weighted"):
        yield Misreading(
            site,
            f'{call.short} ignores average="{average}" with task="binary": '
            "only the positive class is scored",
            help='drop average, or say task="multiclass", num_classes=2 to average two classes',
            node=_node(call, "average"),
            call=call,
            blocked="drop average to keep today's number, or say task='multiclass', "
            "num_classes=2 (and feed class labels) to average over both classes",
        )
    yield from _ignored(site, call)
    yield from _swapped(site.module, site, site.node, call.current)
    if call.name in _RANGE_SHIMS and not _gives(call, "data_range"):
        yield Misreading(
            site,
            f"{call.short} without data_range assumes a range of 3.0",
            help="say data_range=, 1.0 for images in [0, 1], 255 for 8-bit images",
            call=call,
            blocked="only the range of the images says data_range: 1.0 for [0, 1], "
            "2.0 for [-1, 1], 255 for 8-bit",
        )
    yield from _faulty(site, call)
    for argument, row in call.misread:
        yield Misreading(
            site,
            f"{call.short} reads {ast.unparse(argument.value)} as {argument.parameter}",
            help=row.text,
            node=argument.node,
            call=call,
            consequence=Consequence.CRASH if row.raises else None,
            blocked=None if row.fixable else f"{row.text}; name the argument or drop it",
        )


def _ignored(site: CallSite, call: MetricCall) -> Iterator[Misreading]:
    """Find arguments that the dispatcher takes and does nothing with."""
    task = call.literal("task")
    if not isinstance(task, str) or call.signature is None or "task" not in call.signature.names:
        return
    for parameter, harmless in facts.ignored_arguments(call.current, task.lower()).items():
        value = call.literal(parameter)
        if value is UNKNOWN or value is None or str(value) == harmless:
            continue
        if any(argument.parameter == parameter for argument, _ in call.misread):
            continue  # It was written for another parameter.
        yield Misreading(
            site,
            f'{call.short} ignores {parameter}={value!r} with task="{task}"',
            help=f"drop {parameter}",
            node=_node(call, parameter),
            call=call,
            blocked=f"drop {parameter} to keep today's number, or apply it to the inputs",
        )


def _faulty(site: CallSite, call: MetricCall) -> Iterator[Misreading]:
    """Find metrics that answer another number than they say, whatever they are given."""
    fault = facts.known_faults().get((call.current, call.kind))
    if fault is None or (fault.unless and _gives(call, fault.unless)) or _is_of_one(call):
        return
    yield Misreading(
        site,
        f"{call.short} {fault.fault}",
        help=fault.help,
        call=call,
        blocked=fault.help,
    )


def _is_of_one(call: MetricCall) -> bool:
    """Tell whether a function is given one pair alone."""
    if call.kind != "function" or not call.arguments:
        return False
    first = call.arguments[0].value
    if isinstance(first, (ast.List, ast.Tuple)):
        return len(first.elts) == 1 and not isinstance(first.elts[0], ast.Starred)
    return isinstance(constant(call.module, first), str)


def _tracked(site: CallSite) -> Iterator[Misreading]:
    """Find trackers that take the worst step for the best, or do not know which is best."""
    given = {keyword.arg: keyword.value for keyword in site.node.keywords}
    metric = site.node.args[0] if site.node.args else given.get("metric")
    if None in given or not isinstance(metric, ast.Call) or is_guarded(site.module, site.node):
        return
    maximize = site.node.args[1] if len(site.node.args) > 1 else given.get("maximize")
    yield from _of_mixed(site, metric, maximize)
    name = site.module.qualified(metric.func)
    better = higher_is_better(name) if name is not None else ""
    short = (name or "").rsplit(".", 1)[-1]
    if better == "False" and constant(site.module, maximize) is True:
        yield Misreading(
            site,
            f"MetricTracker takes the highest {short} for the best, and lower is better",
            help="drop maximize, which 1.7 and later read off the metric",
            node=maximize,
            blocked="drop maximize, or say maximize=False where only 1.6 and before are used",
        )
    elif maximize is None and better.startswith("None"):
        yield Misreading(
            site,
            f"MetricTracker does not know whether a higher {short} is better",
            help="say maximize=True or maximize=False",
            consequence=Consequence.CRASH,
            blocked=f"{short} leaves higher_is_better unset, so maximize= is for a person to say",
        )


def _of_mixed(site: CallSite, metric: ast.expr, maximize: ast.expr | None) -> Iterator[Misreading]:
    """Find trackers that take the same direction for metrics of which some are better lower."""
    one = constant(site.module, maximize)
    known = directions(site.module, metric)
    if known is None or not isinstance(one, bool) or maximize is None:
        return
    wrong = known.lower if one else known.higher
    if wrong:
        says = "highest" if one else "lowest"
        better = "lower" if one else "higher"
        yield Misreading(
            site,
            f"MetricTracker takes the {says} {wrong[0]} for the best, and {better} is better",
            help="drop maximize, which 1.7 and later read off each metric, or give a list with one "
            "for each",
            node=maximize,
            blocked="drop maximize, or give maximize=[...] with one for each metric, in the order "
            "of the collection",
        )


def _swapped(module: Module, subject: Subject, node: ast.Call, metric: str) -> Iterator[Misreading]:
    """Find references given where 1.9 takes predictions: up to 0.6 they came first."""
    if metric not in _TRANSLATIONS or len(node.args) < 2:
        return
    first, second = (_last_name(argument) for argument in node.args[:2])
    if _TRUTH.search(first) and _GUESS.search(second):
        yield Misreading(
            subject,
            f"{metric} reads {ast.unparse(node.args[0])} as the predictions",
            help="predictions come first since 0.7, references second",
            node=node.args[0],
            blocked="swap the two: references came first in 0.5 and 0.6, and 0.7 swapped them",
        )


def _last_name(expr: ast.expr) -> str:
    """Return the name that says what an expression holds."""
    while isinstance(expr, (ast.List, ast.Tuple)) and len(expr.elts) == 1:
        expr = expr.elts[0]
    if isinstance(expr, ast.Attribute):
        return expr.attr
    return expr.id if isinstance(expr, ast.Name) else ""


def _node(call: MetricCall, parameter: str) -> ast.AST | None:
    argument = call.argument(parameter)
    return None if argument is None else argument.node


def _gives(call: MetricCall, parameter: str) -> bool:
    unpacked = any(keyword.arg is None for keyword in call.node.keywords)
    return unpacked or call.argument(parameter) is not None
