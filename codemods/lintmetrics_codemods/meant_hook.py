"""Gives a method the name of the hook that it is called like."""

from __future__ import annotations

from lintmetrics import facts
from lintmetrics.codemod import Blocked, Codemod, Fix, Relation
from lintmetrics.config import Settings
from lintmetrics.edits import Editor
from lintmetrics.model.hook_families import HookFamily
from lintmetrics.model.hook_signatures import problem_of
from lintmetrics.model.unknown_hooks import UnknownHook
from lintmetrics.rule import Finding


class MeantHook(Codemod):
    """The nearest hook, where the method takes what that is given."""

    codes = ("LM212",)

    def plan(self, finding: Finding, settings: Settings) -> Fix | Blocked:
        """Plan the name, where nothing else has it."""
        hook = finding.subject
        assert isinstance(hook, UnknownHook)
        if hook.of != hook.owner or not hook.meant:
            return Blocked(finding.help)
        current = facts.hook(hook.owner, hook.meant, "current")
        assert current is not None
        problem = problem_of(hook.cls, hook.owner, hook.function, current)
        if problem is not None:
            return Blocked(f"{hook.meant} is called with other arguments; {finding.help}")
        family = HookFamily.of(hook.cls, hook.name)
        taken = next((one for one in family.relatives if hook.meant in one.namespace), None)
        if taken is not None:
            return Blocked(f"{taken.node.name} has a {hook.meant}; let that do both")
        editor = Editor()
        # Two names may be near to one hook.
        editor.claim(hook.module, hook.cls.node, hook.function.lineno)
        family.rename(editor, hook.meant)
        return Fix(
            Relation.ASSUMES,
            f"{hook.name} becomes {hook.meant}, if that is what it is meant to be",
            editor.edits,
        )
