"""Keywords that a MetricCollection is fed and that none of its metrics takes."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

from lintmetrics import facts
from lintmetrics.model.made_metrics import (
    MadeMetric,
    is_dispatcher,
    is_expected_to_fail,
    made_metric,
    members_of,
    written_members,
)
from lintmetrics.model.metric_api import LIBRARY
from lintmetrics.project import Module

_FEEDS = ("update", "forward", "__call__")


@dataclass(frozen=True)
class DroppedKeyword:
    """A keyword that a collection drops.

    Args:
        module: the file; ``node``: the keyword.
        known: the names that a metric of the collection takes.
    """

    module: Module = field(repr=False)
    node: ast.keyword
    known: tuple[str, ...]


def dropped_keywords(module: Module) -> Iterator[DroppedKeyword]:
    """Yield the keywords of a file that a collection of known metrics drops.

    Those that only have another name today are no matter of it.
    """
    for call in module.calls:
        if not call.keywords or any(keyword.arg is None for keyword in call.keywords):
            continue
        func = call.func
        if isinstance(func, ast.Attribute) and func.attr in _FEEDS:
            made = made_metric(module, func.value)
        elif isinstance(func, ast.Attribute):
            made = made_metric(module, func)  # self.metrics(preds=..., target=...)
        else:
            continue
        if made is None or not made.is_collection or is_expected_to_fail(module, call):
            continue
        known = _known(made)
        for keyword in call.keywords if known else ():
            if keyword.arg not in known and not _is_renamed(made, keyword, call):
                yield DroppedKeyword(module, keyword, tuple(sorted(known)))


def _is_renamed(made: MadeMetric, keyword: ast.keyword, call: ast.Call) -> bool:
    """Tell whether a keyword has another name today, which the call does not give besides."""
    rows = (facts.update_argument(member.short, keyword.arg or "") for member in members_of(made))
    given = {other.arg for other in call.keywords}
    return any(row is not None and row.new not in given for row in rows)


def _known(made: MadeMetric) -> set[str]:
    """Return the keywords that the members take; none where not all are known."""
    members = list(members_of(made))
    if not members or len(members) != len(written_members(made.call)):
        return set()
    found: set[str] = set()
    for member in members:
        names = _parameters(member)
        if not names:
            return set()
        found |= names
    return found


def _parameters(member: MadeMetric) -> set[str]:
    """Return the parameters of the ``update`` of a metric; none where it takes any."""
    if member.cls is not None:
        method = member.cls.lookup("update")
        if method is None or method.node.args.kwarg is not None or method.node.decorator_list:
            return set()
        arguments = method.node.args
        named = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
        return {one.arg for one in named[1:]}
    name = f"Multiclass{member.short}" if is_dispatcher(member.short) else member.short
    known = facts.signatures(LIBRARY, name, "class")
    return set(known[-1].update) if known and known[-1].last.startswith("1.") else set()
