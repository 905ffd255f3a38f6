"""What is known of Lightning: its arguments, members, names, hooks and log calls."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from lintmetrics.facts.tables import rows

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
