"""Which methods of a module run with a Trainer at hand: hooks, and what only hooks call.

``self.trainer`` raises a RuntimeError in a module that no Trainer has been given (lightning 2.6.6).
"""

from __future__ import annotations

import ast
import re

from lintmetrics import facts
from lintmetrics.model.epoch_hooks import STAGE_OF_HOOK, family
from lintmetrics.project import ClassInfo
from lintmetrics.tree import subtree

_DEPTH = 6
# Whoever saves or loads a module calls these, with a Trainer or without.
_OF_CHECKPOINTS = frozenset(
    ("state_dict", "load_state_dict", "on_load_checkpoint", "on_save_checkpoint")
)


def has_trainer(cls: ClassInfo, name: str) -> bool:
    """Tell whether a method of a module surely runs with a Trainer at hand."""
    return _has_trainer(cls, name, frozenset())


def _has_trainer(cls: ClassInfo, name: str, through: frozenset[str]) -> bool:
    if name in facts.log_hooks() or name in STAGE_OF_HOOK:
        return name not in _OF_CHECKPOINTS
    if name.startswith("__") or name == "forward" or len(through) >= _DEPTH:
        return False
    callers: set[str] = set()
    for one in family(cls):
        for caller, method in one.methods.items():
            for node in subtree(method):
                if isinstance(node, ast.Attribute) and node.attr == name:
                    callers.add(caller)
    callers -= through | {name}
    from_outside = re.compile(rf"(?<!self)(?<!super\(\))\.{re.escape(name)}\b")
    if not callers or cls.module.project.mentioning(from_outside):
        return False
    return all(_has_trainer(cls, caller, through | {name}) for caller in callers)
