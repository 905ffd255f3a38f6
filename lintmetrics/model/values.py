"""What an expression may stand for, as far as logging cares.

The interpreter in ``flow`` computes with these instead of numbers. A value that is not understood
is ``UNKNOWN``, and nothing is ever said about it.
"""

from __future__ import annotations

import ast
import enum
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lintmetrics.project import ClassInfo, FunctionInfo, Module


class Form(enum.Enum):
    """How a number relates to the samples of a batch."""

    DATA = "data"  # a tensor that depends on the batch; its shape is not known
    MEAN = "mean"  # one number: a mean over the batch
    SUM = "sum"  # one number: a sum over the batch
    FLAGS = "flags"  # a tensor of comparisons
    HITS = "hits"  # one number: how many flags are set
    COUNT = "count"  # one number: how many samples or elements the batch has
    RATIO = "ratio"  # one number: hits divided by hits
    PEAK = "peak"  # one number: the largest or smallest of the batch
    METRIC = "metric"  # one number or small tensor that a metric answered
    STACKED = "stacked"  # one entry per batch of the epoch
    SUMMED = "summed"  # the sum over batches of one entry per batch
    BATCHES = "batches"  # how many batches the epoch had
    OTHER = "other"  # a number made of the ones above


@dataclass(frozen=True)
class Origin:
    """Where a number came from.

    Args:
        kind: ``functional`` (a metric function), ``forward`` (a Metric object was called),
            ``compute`` (``.compute()``), ``formula`` (arithmetic), ``mean-of-means``.
        name: canonical dotted name of the function or Metric class, or the operation.
        node: the expression that made it; ``module``: the file that holds it.
        verdict: ``no``, ``weighted``, ``exact`` or ``unknown``: may it be averaged over batches
            with the batch size as weight?
        why: the weight that would make it right, or what the operation does.
        metric: the Metric object, for ``forward`` and ``compute``.
        averaged: whether it was averaged over the batches by hand on its way.
        tentative: taken back when the tensor is reduced later, as in ``x.exp().mean()``.
        entry: for ``mean-of-means``, what each batch contributed; ``None`` when that is not known.
        bound: the ``functools.partial`` that holds some of the arguments.
    """

    kind: str
    name: str
    node: ast.expr
    module: Module = field(repr=False)
    verdict: str = "unknown"
    why: str = ""
    metric: Metric | None = None
    averaged: bool = False
    tentative: bool = False
    entry: Form | None = None
    bound: ast.Call | None = None

    @property
    def label(self) -> str:
        """What made the number, as the user would call it."""
        if self.name.startswith("evaluate."):
            return self.name
        return self.name.rsplit(".", 1)[-1] + "()"


class Value:
    """Base of all values."""

    __slots__ = ()


class Unknown(Value):
    """Nothing is known."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN = Unknown()


@dataclass(frozen=True)
class Const(Value):
    """A Python constant."""

    value: object


@dataclass(frozen=True)
class Text(Value):
    """A string of which parts are known; ``None`` stands for an unknown part."""

    parts: tuple[str | None, ...]


@dataclass(frozen=True)
class Seq(Value):
    """A tuple or list whose items are known; ``container`` names one that registers modules."""

    items: tuple[Value, ...]
    container: str = ""


@dataclass(frozen=True)
class Elements(Value):
    """A list, tuple or dict of unknown length whose elements are all alike.

    ``per_batch`` marks one element for each batch of an epoch (step outputs).
    """

    of: Value
    per_batch: bool = False


@dataclass(frozen=True)
class Map(Value):
    """A dict with known keys; ``open`` when it may hold more.

    ``container`` names one that registers the modules put in it.
    """

    items: tuple[tuple[str, Value], ...]
    open: bool = False
    container: str = ""

    def get(self, key: str) -> Value:
        """Return the value under a key, ``UNKNOWN`` when it is not known."""
        for name, value in reversed(self.items):
            if name == key:
                return value
        return UNKNOWN

    def with_item(self, key: str, value: Value) -> Map:
        """Return the dict with one key set."""
        kept = tuple((k, v) for k, v in self.items if k != key)
        return replace(self, items=(*kept, (key, value)))


@dataclass(frozen=True)
class Number(Value):
    """A number or tensor with its origins."""

    form: Form
    origins: tuple[Origin, ...] = ()
    terms: int = 1
    """How many different counts were added up, for ``HITS``."""
    entry: Form | None = None
    """What one batch contributed, for ``STACKED`` and ``SUMMED``; ``None`` when not known."""

    def then(self, form: Form) -> Number:
        """Return the number in another form."""
        return replace(self, form=form)


@dataclass(frozen=True)
class Metric(Value):
    """A Metric object, or a collection of them, of TorchMetrics, ``pl.metrics`` or the project.

    Args:
        name: canonical dotted name of its class.
        constructor: the call that makes it; ``module``: the file that holds the call.
        path: how the module holds it, such as ``val_f1`` or ``metrics['val']``; empty for a local.
        container: ``""``, ``ModuleDict``, ``ModuleList``, or ``dict``/``list`` for plain ones.
        members: for a MetricCollection, name and Metric of each member.
        custom: the project's class, for a custom Metric.
    """

    name: str
    constructor: ast.Call | None
    module: Module = field(repr=False)
    path: str = ""
    container: str = ""
    members: tuple[tuple[str, Metric], ...] = ()
    custom: ClassInfo | None = None

    @property
    def is_collection(self) -> bool:
        """Whether it is a MetricCollection."""
        return self.name.endswith(".MetricCollection")

    def at(self, path: str, container: str = "") -> Metric:
        """Return the same Metric, held under a path."""
        return replace(self, path=path, container=container or self.container)


@dataclass(frozen=True)
class Instance(Value):
    """An object of an external class, such as ``torch.nn.CrossEntropyLoss``."""

    name: str
    call: ast.Call
    module: Module = field(repr=False)


@dataclass(frozen=True)
class Component(Value):
    """An object of a class of the project that makes one number of its inputs, as a loss does."""

    cls: ClassInfo


@dataclass(frozen=True)
class Meter(Value):
    """An object of a class of the project that keeps the mean of what it is given.

    ``fed`` is what the batches of an epoch gave it, each once; ``None`` while that is not known.
    """

    cls: ClassInfo
    fed: Number | None = None


@dataclass(frozen=True)
class Callee(Value):
    """A function of the project, bound to the module (``bound``) or free.

    ``owner`` is the class in which ``super()`` of its body starts.
    """

    function: FunctionInfo
    bound: bool = False
    closure: tuple[tuple[str, Value], ...] = ()


@dataclass(frozen=True)
class Partial(Value):
    """A function with some of its arguments, as ``functools.partial`` makes it."""

    of: Value
    call: ast.Call
    arguments: tuple[Value, ...]
    keywords: tuple[tuple[str, Value], ...]


@dataclass(frozen=True)
class Named(Value):
    """An external function or class, known by its dotted name."""

    name: str


@dataclass(frozen=True)
class SelfValue(Value):
    """The module itself."""


@dataclass(frozen=True)
class SuperValue(Value):
    """``super()`` inside a method that ``after`` defines."""

    after: ClassInfo


@dataclass(frozen=True)
class Choice(Value):
    """One of several values, depending on what happens at run time."""

    options: tuple[Value, ...]


def merge(values: list[Value]) -> Value:
    """Return the value of a variable that has one of several values."""
    flat: list[Value] = []
    for value in values:
        for option in value.options if isinstance(value, Choice) else (value,):
            if option not in flat:
                flat.append(option)
    if not flat:
        return UNKNOWN
    if len(flat) == 1:
        return flat[0]
    if len(flat) > 6:
        return UNKNOWN
    return Choice(tuple(flat))


def options(value: Value) -> tuple[Value, ...]:
    """Return what a value may be."""
    return value.options if isinstance(value, Choice) else (value,)


def each(value: Value, function: Callable[[Value], Value]) -> Value:
    """Apply a function to all that a value may be."""
    if isinstance(value, Choice):
        return merge([function(option) for option in value.options])
    return function(value)


def numbers(value: Value) -> Iterator[Number]:
    """Yield the numbers that a value may be."""
    for option in options(value):
        if isinstance(option, Number):
            yield option


def text_of(value: Value) -> str | None:
    """Return a string as a template, in which ``*`` stands for what is not known."""
    if isinstance(value, Const) and isinstance(value.value, str):
        return value.value
    if isinstance(value, Text):
        return "".join("*" if part is None else part for part in value.parts)
    return None
