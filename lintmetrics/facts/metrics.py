"""What is known of metrics: what may be averaged, and how their API moved."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from lintmetrics.facts.tables import rows

# Averaging over batches -----------------------------------------------------------------------


@dataclass(frozen=True)
class Decomposability:
    """May the batch values of a metric be averaged into the value of the epoch?

    Args:
        qualified_name: dotted name of the function or class.
        variant: the arguments that the row speaks of, ``"default"`` for none.
        family: area, such as ``"classification"``.
        decomposable: ``"exact"`` (weighted by items), ``"weighted-only-if-equal-batches"`` (exact
            with the count in ``weight`` only), ``"no"`` or ``"depends"`` (on the variant).
        weight: the count that makes the weighted mean exact, where there is one.
        condition_notes: when the row holds.
        modular_equivalent: the TorchMetrics object to use instead.
        is_primary: the one row that stands for the name when the variant is not known.
        at_functional_root: also importable from ``torchmetrics.functional``.
        needs_task: takes ``task=`` in TorchMetrics 1.x.
        higher_is_better: ``"True"``, ``"False"``, or why it is not known.
        source: what was run.
    """

    qualified_name: str
    variant: str
    family: str
    decomposable: str
    weight: str
    condition_notes: str
    modular_equivalent: str
    is_primary: bool
    at_functional_root: bool
    needs_task: bool
    higher_is_better: str
    source: str


@cache
def _decomposability() -> dict[str, list[Decomposability]]:
    table: dict[str, list[Decomposability]] = {}
    for row in rows("metric_decomposability"):
        record = Decomposability(
            row["qualified_name"],
            row["variant"],
            row["family"],
            row["decomposable"],
            row["weight"],
            row["condition_notes"],
            row["modular_equivalent"],
            row["is_primary"] == "1",
            row["also_at_torchmetrics_functional_root"] == "yes",
            row["needs_task"] == "yes",
            row["higher_is_better"],
            row["source"],
        )
        table.setdefault(record.qualified_name, []).append(record)
        if record.at_functional_root:
            short = record.qualified_name.rsplit(".", 1)[1]
            table.setdefault(f"torchmetrics.functional.{short}", []).append(record)
    return table


def decomposability(qualified_name: str) -> list[Decomposability]:
    """Return the rows of one function or class, primary row first; empty when it is not known."""
    found = _decomposability().get(qualified_name, [])
    return sorted(found, key=lambda record: not record.is_primary)


def decomposability_names() -> list[str]:
    """Return every name that the table has rows for."""
    return list(_decomposability())


# The API of old metrics -----------------------------------------------------------------------


@dataclass(frozen=True)
class Move:
    """A public name of an old release that TorchMetrics 1.9 lacks, or keeps only as a shim.

    Args:
        old: dotted name in the old release.
        kind: ``"class"`` or ``"function"``.
        first: first release looked at that has it, such as ``"tm-0.2.0"`` or ``"pl-1.0.8"``.
        last: the last one.
        status: ``"gone"`` (other name or no successor), ``"moved"`` (same name elsewhere) or
            ``"deprecated"`` (works with a warning until 2.0).
        new: dotted name in 1.9, empty when there is no one successor.
        remark: what else changed.
        source: what was looked at.
    """

    old: str
    kind: str
    first: str
    last: str
    status: str
    new: str
    remark: str
    source: str


@cache
def moves() -> dict[str, Move]:
    """Return every moved name by its old dotted name."""
    return {row["old"]: Move(**row) for row in rows("moves")}


@cache
def gone_modules() -> dict[str, str]:
    """Return every module of an old release that 1.9 lacks, with the one that took its place."""
    return {row["old"]: row["new"] for row in rows("gone_modules")}


@cache
def end_of_module(name: str) -> str:
    """Return the last release looked at that has a module which is gone; empty for no such."""
    return next((row["last"] for row in rows("gone_modules") if row["old"] == name), "")


@dataclass(frozen=True)
class Parameter:
    """One parameter of a signature; ``default`` is source text, ``None`` for a required one."""

    name: str
    default: str | None
    keyword_only: bool = False


@dataclass(frozen=True)
class Signature:
    """The parameters of one metric in a range of releases.

    Args:
        library: ``"torchmetrics"`` or ``"pytorch_lightning.metrics"``.
        name: class or function.
        kind: ``"class"`` (parameters of the constructor) or ``"function"``.
        first: first release looked at; ``last``: last one, such as ``"0.10.3"``.
        parameters: named parameters in order.
        takes_any: has ``**kwargs``, which 1.x checks and 0.8 to 0.11 swallowed.
        update: parameter names of ``update`` for a class, in order.
    """

    library: str
    name: str
    kind: str
    first: str
    last: str
    parameters: tuple[Parameter, ...]
    takes_any: bool
    update: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all parameters."""
        return tuple(parameter.name for parameter in self.parameters)


def _split(text: str) -> list[str]:
    # Defaults hold commas and brackets of their own.
    parts: list[str] = []
    depth = start = 0
    for index, character in enumerate(text):
        if character in "([{<":
            depth += 1
        elif character in ")]}>":
            depth -= 1
        elif character == "," and depth == 0:
            parts.append(text[start:index].strip())
            start = index + 1
    return [*parts, text[start:].strip()] if text.strip() else parts


def _signature(row: dict[str, str]) -> Signature:
    parameters: list[Parameter] = []
    takes_any = keyword_only = False
    for part in _split(row["parameters"]):
        if part.startswith("**"):
            takes_any = True
        elif part.startswith("*"):
            keyword_only = True
        else:
            name, _, default = part.partition("=")
            parameters.append(Parameter(name, default or None, keyword_only))
    update = tuple(p.partition("=")[0] for p in _split(row["update"]) if not p.startswith("*"))
    return Signature(
        row["library"],
        row["name"],
        row["kind"],
        row["first"],
        row["last"],
        tuple(parameters),
        takes_any,
        update,
    )


_LIBRARIES = ("torchmetrics", "pytorch_lightning.metrics")


@cache
def _raw_signatures() -> dict[tuple[str, str, str], list[dict[str, str]]]:
    table: dict[tuple[str, str, str], list[dict[str, str]]] = {}
    for row in rows("signatures"):
        table.setdefault((row["library"], row["name"], row["kind"]), []).append(row)
    return table


@cache
def signatures(library: str, name: str, kind: str) -> tuple[Signature, ...]:
    """Return the signatures of a metric in one library, oldest first."""
    return tuple(_signature(row) for row in _raw_signatures().get((library, name, kind), []))


@cache
def first_release(name: str) -> str:
    """Return the release of TorchMetrics that brought a class or function; empty when not known."""
    for row in rows("metric_introductions"):
        if row["name"] == name:
            return row["since"]
    return ""


def is_metric_name(name: str, kind: str) -> bool:
    """Tell whether any release had a metric ``"class"`` or ``"function"`` of a name."""
    return any((library, name, kind) in _raw_signatures() for library in _LIBRARIES)


@dataclass(frozen=True)
class ArgumentChange:
    """What became of an argument of an old release.

    Args:
        metric: class or function name in 1.9, ``"*"`` for all.
        argument: its old name.
        until: the last release that took it.
        action: ``"drop"``, ``"rename"``, ``"keep"`` (only its values changed) or ``"decide"`` (what
            becomes of it depends on its value).
        new: its name now.
        values: old values and what they are now; an empty new value means the argument goes.
        text: the change in words.
        source: what was looked at or run.
    """

    metric: str
    argument: str
    until: str
    action: str
    new: str
    values: dict[str, str]
    text: str
    source: str


@cache
def _argument_changes() -> dict[tuple[str, str], ArgumentChange]:
    table = {}
    for row in rows("argument_changes"):
        values = dict(pair.split("=", 1) for pair in row["values"].split(";") if pair)
        change = ArgumentChange(
            row["metric"],
            row["argument"],
            row["until"],
            row["action"],
            row["new"],
            values,
            row["text"],
            row["source"],
        )
        table[change.metric, change.argument] = change
    return table


def argument_change(metric: str, argument: str) -> ArgumentChange | None:
    """Return what became of an argument, ``None`` when nothing is known to have."""
    table = _argument_changes()
    return table.get((metric, argument)) or table.get(("*", argument))


@dataclass(frozen=True)
class UpdateArgument:
    """A parameter of a metric's ``update`` that has another name in 1.9.

    Args:
        metric: class name in 1.9; ``argument``: the old name; ``new``: the name now.
        until: the last release that took the old one.
        relation: ``"preserves"``, or ``"assumes"`` where what is given changed too.
        text: the change in words.
        source: what was looked at, with its versions.
    """

    metric: str
    argument: str
    until: str
    new: str
    relation: str
    text: str
    source: str


@cache
def _update_arguments() -> dict[tuple[str, str], UpdateArgument]:
    found = (UpdateArgument(**row) for row in rows("update_arguments"))
    return {(row.metric, row.argument): row for row in found}


def update_argument(metric: str, argument: str) -> UpdateArgument | None:
    """Return what a parameter of a metric's ``update`` is called now, if that changed."""
    return _update_arguments().get((metric, argument))


@cache
def old_update_arguments() -> frozenset[str]:
    """Return every name that a parameter of some ``update`` no longer has."""
    return frozenset(argument for _, argument in _update_arguments())


@dataclass(frozen=True)
class ValueChange:
    """A metric that answers another number for the same meaning.

    Args:
        metric: class name in 1.9; its function behaves alike.
        condition: when, in the words that the metric model knows.
        relation: ``"corrects"`` where only the new number is right, ``"assumes"`` where neither
            is, ``"blocked"`` where no call of 1.9 gives the old meaning.
        since: the release that changed it.
        text: the change in words, with the gap that was measured.
        source: what was run.
    """

    metric: str
    condition: str
    relation: str
    since: str
    text: str
    source: str


@cache
def value_changes() -> tuple[ValueChange, ...]:
    """Return every known change of a number."""
    return tuple(ValueChange(**row) for row in rows("value_changes"))


@dataclass(frozen=True)
class ShiftedArgument:
    """A positional argument that 1.9 reads as another parameter than older releases did.

    Args:
        metric: class or function name in 1.9.
        position: its place, from 0.
        literal: the values that give such a call away: ``"int"``, ``"count"`` (above 1),
            ``"float"``, ``"bool"``, ``"tuple"`` or strings by ``|``.
        old: the parameter it was, or is taken for.
        until: the last release that read it so, ``"none"`` where none did.
        fixable: naming the argument is right.
        raises: 1.9 does not take it; it reads it as something else otherwise.
        text: the change in words.
        source: what was looked at or run.
    """

    metric: str
    position: int
    literal: str
    old: str
    until: str
    fixable: bool
    raises: bool
    text: str
    source: str


@cache
def shifted_arguments(metric: str) -> tuple[ShiftedArgument, ...]:
    """Return the places at which 1.9 reads an argument of a metric otherwise than before."""
    return tuple(
        ShiftedArgument(
            row["metric"],
            int(row["position"]),
            row["literal"],
            row["old"],
            row["until"],
            row["fixable"] == "yes",
            row["effect"] == "raises",
            row["text"],
            row["source"],
        )
        for row in rows("shifted_arguments")
        if row["metric"] == metric
    )


@dataclass(frozen=True)
class KnownFault:
    """A metric that answers another number than it says, in every release until now.

    Args:
        metric: class or function name in 1.9; ``kind``: ``"class"`` or ``"function"``.
        unless: the argument that avoids it; empty where none does.
        fault: what it does, in words; ``help``: what to do instead.
        source: what was run or looked at.
    """

    metric: str
    kind: str
    unless: str
    fault: str
    help: str
    source: str


@cache
def known_faults() -> dict[tuple[str, str], KnownFault]:
    """Return every metric with a fault, by name and kind."""
    found = (KnownFault(**row) for row in rows("known_faults"))
    return {(fault.metric, fault.kind): fault for fault in found}


@cache
def container_names(container: str) -> frozenset[str]:
    """Return the names that ``ModuleDict`` or ``MetricCollection`` gives to no member."""
    return frozenset(
        row["name"] for row in rows("container_names") if row["container"] == container
    )


@cache
def ignored_arguments(metric: str, task: str) -> dict[str, str]:
    """Return the arguments that a metric ignores with a task, with the value that does no harm."""
    return {
        row["argument"]: row["harmless"]
        for row in rows("ignored_arguments")
        if row["task"] == task and row["metric"] in ("*", metric)
    }


@dataclass(frozen=True)
class ObjectEquivalent:
    """The TorchMetrics object that gives what a function of another library gives of an epoch.

    Args:
        function: dotted name.
        arguments: ``name=value|value`` pairs that a call must match, its defaults filled in.
        task: ``"binary"``, ``"multiclass"``, ``"multilabel"`` or ``"any"``.
        object: dotted name of the class.
        takes: arguments handed on (``name``) or fixed (``name=value``).
        proof: ``"yes"`` where the call itself shows that the object is right, ``"default"`` where
            the object is what such calls mean unless the data shows another task.
        remark: where the two differ.
    """

    function: str
    arguments: str
    task: str
    object: str
    takes: str
    proof: str
    remark: str


@cache
def _object_equivalents() -> dict[str, list[ObjectEquivalent]]:
    table: dict[str, list[ObjectEquivalent]] = {}
    for row in rows("object_equivalents"):
        table.setdefault(row["function"], []).append(ObjectEquivalent(**row))
    return table


def object_equivalents(function: str) -> list[ObjectEquivalent]:
    """Return the objects that may stand for a function of another library."""
    return _object_equivalents().get(function, [])
