"""Methods that are called like a hook, and are none: words in another order, other words, slips."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass

from lintmetrics import facts
from lintmetrics.edits import FunctionNode
from lintmetrics.model.hook_methods import HookMethod
from lintmetrics.model.lightning_objects import has_strange_bases, is_left_alone
from lintmetrics.model.own_hooks import is_empty, is_used, owners
from lintmetrics.project import ClassInfo
from lintmetrics.tree import parameter_names

_TABLE = ("module", "callback", "datamodule")
# What people call the parts of a run, and what Lightning does.
_WORDS = {
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validate": "validation",
    "eval": "validation",
    "evaluation": "validation",
    "testing": "test",
    "prediction": "predict",
    "predicting": "predict",
    "predictions": "predict",
    "begin": "start",
    "begins": "start",
    "starts": "start",
    "started": "start",
    "ends": "end",
    "ended": "end",
    "finish": "end",
    "finished": "end",
    "batches": "batch",
    "epochs": "epoch",
    "steps": "step",
    "optimizer": "optimizers",
    "dataloaders": "dataloader",
}
_LOOPS = {"train", "validation", "test", "predict"}
_MOMENTS = {"start", "end"}
_SUBJECTS = ("batch", "epoch", "step", "fit", "backward", "sanity")
# getattr(callback, f"on_{stage}_saved"): which hooks a project has of its own, cannot be told.
_CALLED_BY_PARTS = re.compile(r"""f["']on_\w*\{|["']on_\w*["']\s*(?:\+|%)|["']on_\w*(?:%s|\{)""")
_SLIP = 2  # So many letters may differ, in a name that is long enough.
_LONG = 12


@dataclass(frozen=True)
class UnknownHook(HookMethod):
    """A method with the words of a hook in its name, which Lightning does not know.

    Args:
        owner: what its class is to Lightning.
        meant: the hook that has most of the name, empty where none has; ``of``: whose hook it is.
    """

    owner: str
    meant: str
    of: str


def unknown_hooks(cls: ClassInfo) -> Iterator[UnknownHook]:
    """Yield the methods of a class that are called like hooks, and that nobody calls."""
    for owner in owners(cls)[:1]:
        if owner not in _TABLE:
            continue
        for name, function in cls.methods.items():
            found = _meant(owner, name) or _of_a_callback(owner, name, function)
            if found is None or function.decorator_list or is_empty(function):
                continue
            if any(name in above.namespace for above in cls.mro()[1:]) or has_strange_bases(cls):
                continue  # The project's own, or perhaps that of another library.
            if found[1] == owner and cls.lookup(found[0]) is not None:
                continue  # The hook is there: this is a part of it, or another thing.
            if is_used(cls, name) or is_left_alone(cls.module, function, name):
                continue
            if not found[0] and cls.module.project.mentioning(_CALLED_BY_PARTS):
                continue
            yield UnknownHook(cls, function, owner, *found)


def _of_a_callback(owner: str, name: str, function: FunctionNode) -> tuple[str, str] | None:
    """Return no hook, for a method that takes what each hook of a callback is given."""
    own = facts.hooks_of(owner, "current", "never", "rejected", "step-end", "replaced")
    is_one = owner == "callback" and name.startswith("on_") and name not in own
    given = parameter_names(function)
    return ("", owner) if is_one and {"trainer", "pl_module"} <= set(given) else None


@functools.cache
def _meant(owner: str, name: str) -> tuple[str, str] | None:
    """Return the hook that a name is near to, and whose it is; ``None`` for no such name."""
    own = facts.hooks_of(owner, "current", "never", "rejected", "step-end", "replaced")
    if name in own or name.startswith("_"):
        return None
    current = facts.hooks_of(owner, "current")
    for other in _TABLE:
        if name in facts.hooks_of(other, "current") and _is_hookish(name):
            return name, other
    near = _by_words(name, current) if _is_hookish(name) else ""
    near = near or _by_letters(name, current)
    return (near, owner) if near else None


def _is_hookish(name: str) -> bool:
    """Tell whether a name speaks of a moment of a run as hooks do."""
    words = {_WORDS.get(word, word) for word in name.split("_")}
    if name.startswith("on_"):
        return bool(words & (_MOMENTS | {"before", "after"}))
    if not words & _LOOPS:
        return "configure" in words
    return words <= {*_LOOPS, "step", "dataloader"} or bool(
        words & _MOMENTS and words.intersection(_SUBJECTS)
    )


def _by_words(name: str, hooks: dict[str, facts.Hook]) -> str:
    """Return the hook with the same words, in whatever order and form."""
    words = _key(name)
    for hook in hooks:
        if _key(hook) == words:
            return hook
    return ""


def _key(name: str) -> tuple[str, ...]:
    words = [_WORDS.get(word, word) for word in name.split("_") if word != "on"]
    return tuple(sorted(words))


def _by_letters(name: str, hooks: dict[str, facts.Hook]) -> str:
    """Return the one hook that a slip of the pen makes of a name."""
    if len(name) < _LONG:
        return ""
    near = [hook for hook in hooks if _may_be_near(name, hook) and _distance(name, hook) <= _SLIP]
    return near[0] if len(near) == 1 else ""


def _may_be_near(name: str, hook: str) -> bool:
    """Tell whether two names can be so near: of that many parts, one more than slips is whole."""
    if abs(len(name) - len(hook)) > _SLIP:
        return False
    size = len(hook) // (_SLIP + 1)
    parts = (hook[:size], hook[size : 2 * size], hook[2 * size :])
    return any(part in name for part in parts)


def _distance(one: str, other: str) -> int:
    """Return how many letters have to be put in, left out, changed or swapped."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        last, before, row = before, row, [i]
        for j, wanted in enumerate(other, 1):
            cost = min(before[j] + 1, row[-1] + 1, before[j - 1] + (letter != wanted))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == wanted:
                cost = min(cost, last[j - 2] + 1)
            row.append(cost)
    return row[-1]
