"""What hooks do besides logging: they use Metric objects, fill lists and average batches."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field

from lintmetrics.edits import FunctionNode
from lintmetrics.model.values import Form, Metric, Origin, Value
from lintmetrics.project import Module

BATCH_VALUE = re.compile(r"loss|acc|nll|elbo|perplexity|iou|dice|error", re.I)
# A value that is multiplied by the size of its batch has as many votes as samples.
_WEIGHTED = re.compile(r"\*\s*\w+\[[\"'](?:batch_size|bsz?|num_samples)[\"']\]")


@dataclass(frozen=True, eq=False)
class MetricUse:
    """A Metric object is called, updated, computed or reset.

    Args:
        operation: ``forward``, ``update``, ``compute`` or ``reset``.
        metric: the object.
        node: the call; ``module``: the file that holds it.
        hook: the hook that leads to it.
    """

    operation: str
    metric: Metric
    node: ast.Call
    module: Module = field(repr=False)
    hook: str = ""
    arguments: tuple[Value, ...] = ()
    """What it was given by position."""


@dataclass(frozen=True, eq=False)
class Append:
    """A value is appended to a list that the module holds (``self.x.append(value)``).

    ``looped`` marks one that may be made several times for each batch. ``keys`` lead to the list
    from the attribute, as in ``self.x["loss"][dataloader_idx]``; ``None`` is one that is not known.
    """

    attribute: str
    value: Value
    node: ast.Call
    module: Module = field(repr=False)
    hook: str = ""
    looped: bool = False
    keys: tuple[str | None, ...] = ()


@dataclass(frozen=True, eq=False)
class Added:
    """A value is added to a total that the module holds (``self.x += value``).

    ``looped`` marks one that may be made several times for each batch. ``keys`` lead to the total
    from the attribute; ``None`` is one that is not known. ``tests`` are the undecided conditions
    around it.
    """

    attribute: str
    value: Value
    node: ast.stmt
    target: ast.expr
    added: ast.expr
    module: Module = field(repr=False)
    function: FunctionNode | None
    hook: str
    looped: bool
    keys: tuple[str | None, ...]
    tests: tuple[ast.expr, ...]


@dataclass(frozen=True, eq=False)
class MeterUpdate:
    """A value is given to an object that keeps a mean (``self.loss_meter.update(value)``).

    ``once`` says that it counts once for its batch.
    """

    attribute: str
    value: Value
    node: ast.Call
    module: Module = field(repr=False)
    function: FunctionNode | None
    hook: str
    once: bool


@dataclass(frozen=True, eq=False)
class BatchMean:
    """A mean in which each batch of the epoch has one vote.

    Args:
        origin: the mean itself.
        node: where the module's own code asks for it: the mean, or the call of the helper that
            makes it; ``module``: the file that holds ``node``.
        function: the method that holds ``node``.
        hook: the hook that leads to it.
    """

    origin: Origin
    node: ast.expr
    module: Module = field(repr=False)
    function: FunctionNode | None
    hook: str

    @property
    def is_of_batch_values(self) -> bool:
        """Whether each batch contributes one value of its samples, as far as that can be told."""
        if _WEIGHTED.search(self.origin.module.source.segment(self.origin.node)):
            return False
        entry = self.origin.entry
        if entry is not None:
            # A short batch adds less to a sum or to a count, so each sample has its vote.
            return entry not in (Form.HITS, Form.COUNT, Form.FLAGS, Form.SUM)
        # What the step gives is not known: it stacks like one number, or has the name of one.
        text = self.origin.module.source.segment(self.origin.node)
        return "stack(" in text or BATCH_VALUE.search(text) is not None
