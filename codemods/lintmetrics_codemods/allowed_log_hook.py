"""Writes a log call where Lightning takes it: a hook before the one that refuses it."""

from __future__ import annotations

import ast

from lintmetrics.codemod import Blocked, Codemod, Fix, Relation
from lintmetrics.config import Settings
from lintmetrics.edits import Editor
from lintmetrics.model.epoch_hooks import company
from lintmetrics.model.log_permissions import RefusedCall
from lintmetrics.rule import Finding
from lintmetrics.tree import subtree

# Behind these nothing but callbacks runs until the hook that refuses to log.
_MOVES = {
    "on_validation_end": "on_validation_epoch_end",
    "on_test_end": "on_test_epoch_end",
}
_OLD = {
    "on_validation_epoch_end": "validation_epoch_end",
    "on_test_epoch_end": "test_epoch_end",
}
# What Lightning hands out between the two.
_LATER = frozenset(
    ("callback_metrics", "logged_metrics", "progress_bar_metrics", "checkpoint_callback")
)


class AllowedLogHook(Codemod):
    """The same method as a hook that may log."""

    codes = ("LM601",)

    def plan(self, finding: Finding, settings: Settings) -> Fix | Blocked:
        """Plan the new name of the hook."""
        refused = finding.subject
        assert isinstance(refused, RefusedCall)
        hook, method, cls = refused.hook.hook, refused.method, refused.model.cls
        new = _MOVES.get(hook)
        if new is None:
            near = f"; {refused.hook.instead} may log" if refused.hook.instead else ""
            return Blocked(f"what {hook} logs has no other place that is surely right{near}")
        if not cls.is_lightning:
            return Blocked(f"callbacks run {new} before the module does; move the log call by hand")
        found = cls.lookup(hook)
        owner = found.cls if found is not None else None
        if owner is None or found is None:
            return Blocked(f"{hook} is no method of a class of the project")
        taken = [
            member
            for member in company(owner)
            if {new, _OLD[new]} & set(member.namespace)
            or (member is not owner and hook in member.namespace)
        ]
        if taken:
            return Blocked(
                f"{taken[0].node.name} has a hook of its own there; log in its {new} by hand"
            )
        for node in subtree(method):
            if isinstance(node, ast.Attribute) and node.attr in _LATER:
                return Blocked(
                    f"{hook} reads {node.attr} at line {node.lineno}, which lacks the numbers of "
                    f"the epoch in {new}"
                )
            if isinstance(node, ast.Attribute) and node.attr == hook:
                return Blocked(f"{hook} calls {hook} of its base at line {node.lineno}")
        editor = Editor()
        source = found.module.source
        start = source.code.index(hook, source.start(method))
        editor.replace_range(found.module, start, start + len(hook), new)
        return Fix(
            Relation.ASSUMES,
            f"make it {new}; assumes that nothing in it waits for what callbacks do there",
            editor.edits,
        )
