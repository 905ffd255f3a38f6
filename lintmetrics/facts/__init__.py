"""What is known of the libraries, as tables: each row holds in named versions and was measured.

Rules hold logic only; whether a name moved, an argument went or a number changed is a row here.
Tables are read when first asked for, once.
"""

from __future__ import annotations

import csv
import pkgutil
from dataclasses import dataclass
from functools import cache


def rows(table: str) -> list[dict[str, str]]:
    """Return the rows of one table of this package, such as ``"moves"`` for ``moves.csv``."""
    # pkgutil reads out of a zip as importlib.resources does, and costs nothing to import.
    data = pkgutil.get_data(__name__, f"{table}.csv")
    assert data is not None
    return list(csv.DictReader(data.decode("utf-8").splitlines()))


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


@dataclass(frozen=True)
class LightningPosition:
    """A positional argument that Lightning reads as another parameter than older releases did.

    Args:
        owner: the class that is made; ``position``: the place of the argument, from 0.
        value: which values give such a call away: ``"bool"``, ``"uri"``, ``"text"``, ``"key"`` (one
            that the project logs), ``"object"`` (anything but a text) or ``"any"``.
        old: the parameter it was; ``until``: the last release that read it so.
        consequence: what the newest release does with the call.
        text: the change in words.
        source: what was looked at or run.
    """

    owner: str
    position: str
    value: str
    old: str
    until: str
    consequence: str
    text: str
    source: str


@cache
def lightning_positions() -> dict[str, tuple[LightningPosition, ...]]:
    """Return the arguments by position that are read otherwise than before, by their class."""
    table: dict[str, tuple[LightningPosition, ...]] = {}
    for row in rows("lightning_positions"):
        one = LightningPosition(**row)
        table[one.owner] = (*table.get(one.owner, ()), one)
    return table


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


# The API of Lightning beside hooks and metrics -------------------------------------------------


@dataclass(frozen=True)
class Change:
    """Something of Lightning that newer releases lack, read otherwise or have elsewhere.

    Args:
        area: ``"trainer"``, ``"callback"``, ``"logger"``, ``"profiler"``, ``"plugin"``,
            ``"module"``, ``"datamodule"`` or ``"import"``.
        old: what it was: ``Trainer(gpus=0)``, ``Trainer.fit(train_dataloader=)``,
            ``Trainer.use_amp``, ``callbacks.base.Callback``; several values are parted by ``|``,
            ``<int>`` is any literal of a type, ``<name>`` a variable, ``<Class>`` an instance.
        new: what took its place; a dotted name begins with ``pl.`` or ``fabric.`` for the root
            that the project imports Lightning from. Empty when nothing did.
        kind: ``"argument"``, ``"value"`` of one that stays, ``"value-beside"`` (only beside other
            old arguments), ``"required"`` (now without default), ``"attribute"``,
            ``"assignment"``, ``"method"``, ``"item"`` (read from it by an index or a loop),
            ``"argparse"``, ``"class"``, ``"function"`` or ``"module"``.
        deprecated_in: release that announced it, where one did.
        removed_in: first release in which the old way fails; empty where it still works.
        codemod: ``"safe"``, ``"unsafe"`` (right if the note holds) or ``"manual"``.
        template: what is written for it; empty to leave it out.
        consequence: what the newest release does with the old code.
        note: the change in words, or what to decide.
        source: what was run or read.
    """

    area: str
    old: str
    new: str
    kind: str
    deprecated_in: str
    removed_in: str
    codemod: str
    template: str
    consequence: str
    note: str
    source: str

    @property
    def owner(self) -> str:
        """What has the argument or member: ``Trainer``, ``Trainer.fit``."""
        return self.old.partition("(")[0] if self._has_argument else self.old.rpartition(".")[0]

    @property
    def member(self) -> str:
        """The name of the argument, attribute or method."""
        if self._has_argument:
            return self.old.partition("(")[2].rstrip(")").partition("=")[0]
        return self.old.rpartition(".")[2].rstrip("()=[]")

    @property
    def values(self) -> tuple[str, ...]:
        """The values of the argument that the row is for; empty for all that are left."""
        given = self.old.partition("=")[2].removesuffix(")") if self._has_argument else ""
        return tuple(given.split("|")) if given else ()

    @property
    def _has_argument(self) -> bool:
        return self.kind in ("argument", "value", "value-beside", "required")


@cache
def _changes() -> dict[str, dict[tuple[str, str], tuple[Change, ...]]]:
    table: dict[str, dict[tuple[str, str], tuple[Change, ...]]] = {}
    groups = {"value": "argument", "value-beside": "argument", "argument": "argument"}
    groups |= {"attribute": "member", "assignment": "member", "method": "member", "item": "member"}
    groups |= {"argparse": "argparse", "required": "required"}
    for row in rows("lightning_changes"):
        change = Change(**row)
        group = groups.get(change.kind, "name")
        key = ("", change.old) if group == "name" else (change.owner, change.member)
        known = table.setdefault(group, {})
        known[key] = (*known.get(key, ()), change)
    return table


@cache
def lightning_owners() -> frozenset[str]:
    """Return every class and method of Lightning, an argument of which changed."""
    return frozenset(owner for owner, _ in (*_changes()["argument"], *_changes()["required"]))


def lightning_arguments(owner: str, argument: str) -> tuple[Change, ...]:
    """Return what became of an argument of a class or method; the first row that fits counts."""
    return _changes()["argument"].get((owner, argument), ())


@cache
def lightning_required(owner: str) -> tuple[Change, ...]:
    """Return the arguments that a class has no default for any more."""
    found = _changes()["required"]
    return tuple(row for key in found if key[0] == owner for row in found[key])


@cache
def old_members(group: str) -> dict[str, tuple[Change, ...]]:
    """Return the members that objects of Lightning no longer have, by name.

    Args:
        group: ``"member"`` (attributes and methods) or ``"argparse"`` (class methods).
    """
    table: dict[str, tuple[Change, ...]] = {}
    for (_, member), found in _changes()[group].items():
        table[member] = (*table.get(member, ()), *found)
    return table


def lightning_name(name: str) -> Change | None:
    """Return what became of a name below Lightning's root, such as ``callbacks.base.Callback``."""
    found = _changes()["name"].get(("", name))
    return found[0] if found else None


@cache
def lightning_since(name: str) -> str:
    """Return the release that brought a new name, where that is later than the old one's end."""
    return next((r["since"] for r in rows("lightning_introductions") if r["name"] == name), "")


def is_gone_module(name: str) -> bool:
    """Tell whether Lightning had a module of a name below its root, and has it no longer."""
    found = lightning_name(name)
    return found is not None and found.kind == "module"


# Log calls ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LogHook:
    """What a hook of Lightning lets ``self.log`` do, in a module as in a callback.

    Args:
        hook: its name.
        levels: ``"step"`` and ``"epoch"``, as far as they may be chosen; empty where no number can
            be logged. Where only the epoch is allowed, it cannot be switched off.
        default: the level of a call that names none.
        since: the first release looked at from which on this holds.
        removed_in: the release that calls the hook no longer, empty for those of today.
        instead: the hook nearby that allows it.
        source: what was read or run.
    """

    hook: str
    levels: str
    default: str
    since: str
    removed_in: str
    instead: str
    source: str


@cache
def log_hooks() -> dict[str, LogHook]:
    """Return what each hook allows, by its name."""
    return {row["hook"]: LogHook(**row) for row in rows("log_hooks")}


@dataclass(frozen=True)
class LogArgument:
    """An argument of ``self.log`` or ``self.log_dict``, and what became of it.

    Args:
        method: ``"log"``, ``"log_dict"`` or ``"*"`` for both.
        argument: its name.
        values: the values that the row is for, parted by ``|``: dotted names or literals; empty
            for all that are left.
        action: ``"current"`` (is still there), ``"drop"``, ``"rename"`` or ``"value"`` (the
            argument is still there, and takes ``new`` in place of the value).
        new: name or value to write.
        added_in: first release looked at that has it.
        deprecated_in: release that announced its end.
        removed_in: first release that refuses it.
        relation: what ``action`` does to the numbers: ``"preserves"``, ``"assumes"``; ``"manual"``
            where there is none.
        note: the change in words.
        source: what was run or read.
    """

    method: str
    argument: str
    values: str
    action: str
    new: str
    added_in: str
    deprecated_in: str
    removed_in: str
    relation: str
    note: str
    source: str


@cache
def log_arguments(method: str) -> dict[str, tuple[LogArgument, ...]]:
    """Return the arguments that ``log`` or ``log_dict`` takes or took, by name."""
    table: dict[str, tuple[LogArgument, ...]] = {}
    for row in rows("log_arguments"):
        if row["method"] in (method, "*"):
            name = row["argument"]
            table[name] = (*table.get(name, ()), LogArgument(**row))
    return table


# Hooks ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class HookParameter:
    """A parameter of a hook as a row of the table spells it.

    Args:
        name: its name.
        optional: Lightning gives it only to those that have it, or only sometimes (``x?``).
        keyword: Lightning gives it by its name (behind ``*``).
        default: what it is given where nobody gives it (``x=0``); empty where there is none.
    """

    name: str
    optional: bool = False
    keyword: bool = False
    default: str = ""


@dataclass(frozen=True)
class Hook:
    """A hook that Lightning calls, called once, or calls with other arguments now.

    Args:
        owner: ``"module"``, ``"callback"``, ``"datamodule"``, ``"logger"``, or the class of
            Lightning that has it.
        old: the hook with its parameters, without ``self``, and for callbacks without the trainer
            and the module.
        new: what is written instead; several are parted by ``|``; empty where nothing is.
        kind: ``"current"`` (how 2.6 calls it), ``"never"`` (called no longer), ``"signature"``
            (other parameters), ``"refused"`` (a parameter that Lightning rejects), ``"named"``
            (a parameter that needs its name), ``"state"`` (what callbacks keep), ``"call"`` (a
            method that is called with less now), ``"replaced"`` (works, deprecated),
            ``"rejected"``, ``"step-end"`` or ``"epoch-outputs"`` (rows of the hooks behind steps
            and epochs).
        deprecated_in: release that announced it, where one did.
        removed_in: first release in which the old way fails; empty where it still works.
        consequence: what the newest release does with the old code.
        codemod: ``"safe"``, ``"unsafe"`` (right if the note holds) or ``"manual"``.
        template: lines that the body begins with, or the parameter as it is written.
        note: the change in words, or what to decide.
        source: what was run or read.
    """

    owner: str
    old: str
    new: str
    kind: str
    deprecated_in: str
    removed_in: str
    consequence: str
    codemod: str
    template: str
    note: str
    source: str

    @property
    def name(self) -> str:
        """The name of the hook."""
        return self.old.partition("(")[0]

    @property
    def parameters(self) -> tuple[HookParameter, ...]:
        """The parameters of the old way, or of today's where the row is of that."""
        return _hook_parameters(self.old)

    @property
    def successors(self) -> tuple[tuple[str, tuple[HookParameter, ...]], ...]:
        """Names and parameters of the hooks that take its place."""
        return tuple(
            (one.partition("(")[0], _hook_parameters(one)) for one in self.new.split("|") if one
        )


@cache
def _hook_parameters(signature: str) -> tuple[HookParameter, ...]:
    found: list[HookParameter] = []
    keyword = False
    for part in signature.partition("(")[2].rstrip(")").split(","):
        name, _, default = part.strip().partition("=")
        if name == "*":
            keyword = True
        elif name:
            found.append(HookParameter(name.rstrip("?"), name.endswith("?"), keyword, default))
    return tuple(found)


@cache
def _hooks() -> dict[tuple[str, str], tuple[Hook, ...]]:
    table: dict[tuple[str, str], tuple[Hook, ...]] = {}
    for row in rows("lightning_hooks"):
        hook = Hook(**row)
        key = (hook.owner, hook.name)
        table[key] = (*table.get(key, ()), hook)
    return table


@cache
def hooks_of(owner: str, *kinds: str) -> dict[str, Hook]:
    """Return the hooks of an owner, of some kinds, by name; the last row of a name counts."""
    return {
        name: hook
        for (of, name), found in _hooks().items()
        if of == owner
        for hook in found
        if hook.kind in kinds
    }


def hook(owner: str, name: str, kind: str) -> Hook | None:
    """Return the row of a hook that is of one kind."""
    found = (row for row in _hooks().get((owner, name), ()) if row.kind == kind)
    return next(found, None)


def state_hook(name: str, whole: bool) -> Hook | None:
    """Return the row of a callback's hook that kept its state.

    Args:
        name: the hook.
        whole: whether it has the parameters of 1.5 to 1.7, or fewer.
    """
    found = [row for row in _hooks().get(("callback", name), ()) if row.kind == "state"]
    return next((row for row in found if whole == any(not p.keyword for p in row.parameters)), None)


# What a Trainer and its callbacks refuse --------------------------------------------------------


@dataclass(frozen=True)
class RefusedValue:
    """A value of an argument that Lightning refuses, by itself or beside others.

    Args:
        owner: the class that is made; ``argument``: what has to be given for the row to be asked.
        refused: a Python expression of the arguments by name; one that is not given is ``None``.
        since: the first release that refuses it, of those looked at; empty for all of them.
        text: what is wrong with the value, in words.
        error: the exception; empty where ``text`` names it.
        help: what to write instead.
        example: a call that is refused.
        source: what was run.
    """

    owner: str
    argument: str
    refused: str
    since: str
    text: str
    error: str
    help: str
    example: str
    source: str


@cache
def refused_arguments() -> dict[str, tuple[RefusedValue, ...]]:
    """Return the values that Lightning refuses, by the class that is made."""
    table: dict[str, tuple[RefusedValue, ...]] = {}
    for row in rows("refused_arguments"):
        one = RefusedValue(**row)
        table[one.owner] = (*table.get(one.owner, ()), one)
    return table


@cache
def lightning_parameters(owner: str) -> tuple[str, ...]:
    """Return the names of the first parameters of a class, by position; empty for keywords only."""
    found = (row["parameters"] for row in rows("lightning_parameters") if row["owner"] == owner)
    return tuple(next(found, "").split())


@dataclass(frozen=True)
class CallbackSwitch:
    """An argument of the Trainer that does not go with a callback it is given.

    Args:
        callbacks: names of the callbacks, parted by ``|``.
        argument: the argument; ``refused``: an expression of it, as in ``RefusedValue``.
        since: the first release looked at of which this is so; empty for all of them.
        consequence: what comes of it.
        hook: the method of the callback that sees to it; empty where the Trainer itself does.
        text: what comes of it, in words; ``help``: what to write instead.
        example: a call that has it.
        source: what was run.
    """

    callbacks: str
    argument: str
    refused: str
    since: str
    consequence: str
    hook: str
    text: str
    help: str
    example: str
    source: str


@cache
def callback_switches() -> tuple[CallbackSwitch, ...]:
    """Return every argument of the Trainer that does not go with a callback."""
    return tuple(CallbackSwitch(**row) for row in rows("callback_switches"))


@cache
def callback_states() -> dict[str, tuple[str, ...]]:
    """Return the callbacks that a Trainer takes once, and the arguments that make another of them.

    A checkpoint holds what each callback keeps under a key that those arguments are a part of.
    """
    return {row["callback"]: tuple(row["arguments"].split()) for row in rows("callback_states")}


@cache
def callback_states_since() -> str:
    """Return the release from which on a Trainer refuses two callbacks of one key."""
    return rows("callback_states")[0]["since"]


@cache
def optimizer_keys(kind: str) -> frozenset[str]:
    """Return the keys that Lightning reads in the dict of an ``optimizer`` or ``scheduler``."""
    return frozenset(row["key"] for row in rows("optimizer_keys") if row["dict"] == kind)


# Packages beside Lightning ------------------------------------------------------------------------


@dataclass(frozen=True)
class Companion:
    """A package for Lightning 1 that cannot be imported beside newer releases.

    Args:
        package: what is imported; ``distribution``: what is installed; ``last``: its last release.
        since: the release of Lightning from which on it fails; ``error``: what importing it raises.
        help: what to do; ``source``: how this is known.
    """

    package: str
    distribution: str
    last: str
    since: str
    error: str
    help: str
    source: str


@cache
def lightning_companions() -> dict[str, Companion]:
    """Return the packages for Lightning 1 that newer releases are too new for, by name."""
    return {row["package"]: Companion(**row) for row in rows("lightning_companions")}


@dataclass(frozen=True)
class BeforeTrainer:
    """A member of a module that asks for the Trainer, which no module has while it is made.

    Args:
        member: its name; ``use``: ``"read"``, ``"call"``, or ``"attribute"`` (one of it is read).
        consequence: what comes of it; ``since``: the first release looked at of which this is so.
        text: what comes of it, in words; ``help``: what to write instead.
        source: what was run.
    """

    member: str
    use: str
    consequence: str
    since: str
    text: str
    help: str
    source: str


@cache
def before_trainer() -> dict[str, BeforeTrainer]:
    """Return the members of a module that ask for its Trainer, by name."""
    return {row["member"]: BeforeTrainer(**row) for row in rows("before_trainer")}
