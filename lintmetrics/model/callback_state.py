"""What callbacks keep in a checkpoint, in the hooks that did so in Lightning 1."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from lintmetrics import facts
from lintmetrics.edits import CannotEdit, Editor, FunctionNode
from lintmetrics.facts import Hook
from lintmetrics.model.epoch_hooks import (
    extra_parameters,
    family,
    is_generator,
    loads,
    rebinds,
    required_parameters,
    returns,
)
from lintmetrics.model.hook_methods import HookMethod
from lintmetrics.model.hook_signatures import is_handed_on
from lintmetrics.model.lightning_objects import is_left_alone
from lintmetrics.model.lightning_versions import consequence
from lintmetrics.model.own_hooks import is_empty, mentions, owners
from lintmetrics.model.step_outputs import is_none
from lintmetrics.project import ClassInfo
from lintmetrics.rule import Consequence

SAVE, LOAD = "on_save_checkpoint", "on_load_checkpoint"
TODAY = {SAVE: "state_dict", LOAD: "load_state_dict"}
"""What Lightning calls for a callback's own part of a checkpoint, by the hook of old."""
_STATE = re.compile(r"state", re.I)


@dataclass(frozen=True)
class OldState(HookMethod):
    """A hook of a callback that hands over, or waits for, the callback's own state.

    Args:
        row: what the table knows; ``consequence``: what becomes of it on the target.
    """

    row: Hook
    consequence: Consequence


def old_states(cls: ClassInfo) -> Iterator[OldState]:
    """Yield the hooks of a callback that keep its state as Lightning 1 did."""
    if not (SAVE in cls.methods or LOAD in cls.methods) or "callback" not in owners(cls):
        return
    if any(name in one.namespace for one in family(cls) for name in TODAY.values()):
        return  # Both ways, for both releases.
    for name in (SAVE, LOAD):
        function = cls.methods.get(name)
        if function is None or is_generator(function) or is_empty(function):
            continue
        row = _row(cls, function)
        if row is None or is_left_alone(cls.module, function, name):
            continue
        found = consequence(row, cls.module.project)
        if found is not None:
            yield OldState(cls, function, row, found)


def _row(cls: ClassInfo, function: FunctionNode) -> Hook | None:
    """Return the row of the way in which a hook keeps or takes the state; ``None`` for neither."""
    if function.args.vararg is not None or function.args.kwonlyargs:
        return None
    given = len(extra_parameters(function))
    if function.name == SAVE:
        if _returns_state(function):
            return facts.state_hook(SAVE, given == 3)
        return facts.state_hook(SAVE, False) if given == 2 else None
    if len(required_parameters(function)) != given:
        return None
    if given == 1:
        return facts.state_hook(LOAD, False)
    last = extra_parameters(function)[-1]
    own = cls.methods.get(SAVE)
    paired = own is not None and _returns_state(own) and "checkpoint" not in last.arg
    if given == 3 and loads(function, last.arg) and (paired or _is_state(last.arg)):
        return facts.state_hook(LOAD, True)
    return None


def _is_state(name: str) -> bool:
    return _STATE.search(name) is not None and "checkpoint" not in name


def _returns_state(function: FunctionNode) -> bool:
    """Tell whether a hook returns what is to be kept, and not the checkpoint that it was given."""
    given = extra_parameters(function)
    if len(given) > 3 or any(
        not is_handed_on(function, load)
        for parameter in given[2:]
        for load in loads(function, parameter.arg)
    ):
        return False
    return any(node.value is not None and not is_none(node.value) for node in returns(function))


def write_state(editor: Editor, state: OldState) -> None:
    """Plan the hooks of today for both hooks of a class.

    Raises:
        CannotEdit: one of them needs what the hooks of today are not given.
    """
    cls = state.cls
    for relative in family(cls):
        if relative is not cls and any(name in relative.namespace for name in TODAY):
            raise CannotEdit(f"{relative.node.name} has a hook of the kind too; move both")
    for old in old_states(cls):
        _write(editor, old)


def _write(editor: Editor, old: OldState) -> None:
    function, module = old.function, old.module
    given = extra_parameters(function)
    kept = given[-1] if old.name == LOAD else None
    if function.decorator_list:
        raise CannotEdit(f"{old.spelled} is decorated")
    for reference in mentions(module.project, old.name).references:
        if reference.receiver == "super" and reference.cls is old.cls:
            raise CannotEdit(f"{old.spelled} calls super() at line {reference.line}")
        if reference.receiver == "self" and reference.cls in family(old.cls):
            raise CannotEdit(f"{old.spelled} is called at line {reference.line}")
    if old.name == SAVE and not _returns_state(function):
        raise CannotEdit(f"{old.spelled} returns nothing; give it a third parameter, checkpoint")
    for parameter in given:
        if parameter is kept:
            continue
        read = loads(function, parameter.arg)
        if read or rebinds(function, parameter.arg):
            line = read[0].lineno if read else function.lineno
            raise CannotEdit(
                f"{old.spelled} reads `{parameter.arg}` at line {line}, which "
                f"{TODAY[old.name]} is not given; keep it in self from another hook"
            )
        editor.drop_parameter(module, function, parameter.arg)
    editor.rename_function(module, function, TODAY[old.name])
