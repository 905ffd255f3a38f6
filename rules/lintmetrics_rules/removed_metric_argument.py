"""LM303: a metric is given an argument that 1.9 rejects."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics import facts
from lintmetrics.model.metric_api import MetricCall
from lintmetrics.model.metric_feeds import old_feeds
from lintmetrics.model.metric_migration import SAMPLES
from lintmetrics.model.metric_references import metric_calls, site_of
from lintmetrics.model.torchmetrics_versions import release
from lintmetrics.project import Module
from lintmetrics.rule import Consequence, Finding, Rule


class RemovedMetricArgument(Rule):
    """Arguments that metrics no longer take.

    ``compute_on_step``, ``mdmc_average``, ``k``, ``num_outputs`` and others are gone or have
    another name. TorchMetrics 0.8 to 0.11 swallowed unknown keywords in silence; since 1.0 a class
    raises ``ValueError`` and a function ``TypeError``. The same goes for the keywords that a metric
    object is fed with, such as ``predictions`` and ``references``.
    """

    code = "LM303"
    consequence = Consequence.CRASH
    since = "torchmetrics 1.0"
    source = "introspected and run: torchmetrics 0.2.0 to 1.9.0"
    bad = """
    from torchmetrics import MeanSquaredError

    mse = MeanSquaredError(compute_on_step=False)
    """
    good = """
    from torchmetrics import MeanSquaredError

    mse = MeanSquaredError()
    """

    def check(self, module: Module) -> Iterator[Finding]:
        """Find arguments that the signature in 1.9 lacks."""
        for call in metric_calls(module):
            yield from _of_call(call)
        for feed in old_feeds(module):
            for keyword, row in feed.keywords:
                yield Finding(
                    feed,
                    f"{feed.metric} is fed {row.argument}, which {release(module)} rejects",
                    help=row.text,
                    node=keyword,
                    detail=feed,
                )


def _of_call(call: MetricCall) -> Iterator[Finding]:
    site = site_of(call)
    average = call.argument("average")
    if average is not None and call.literal("average") == "samples":
        yield Finding(
            site,
            f'{call.short} is given average="samples", which {release(call.module)} rejects',
            help="say average='micro', multidim_average='samplewise' and take the mean",
            node=average.node,
            detail=call,
            blocked=SAMPLES,
        )
    for argument in call.removed:
        change = facts.argument_change(call.current, argument.parameter or "")
        if not argument.is_keyword and change is not None and change.action == "rename":
            continue  # Its place says what it is, whatever its name.
        yield Finding(
            site,
            f"{call.short} is given {argument.parameter}, which {release(call.module)} rejects",
            help=change.text if change is not None else "",
            node=argument.node,
            detail=call,
        )
