"""Moves the body of a hook that Lightning calls no longer to those that run in its place."""

from __future__ import annotations

import ast

from lintmetrics.codemod import Blocked, Codemod, Fix, Relation
from lintmetrics.config import Settings
from lintmetrics.edits import CannotEdit, Editor
from lintmetrics.facts import HookParameter
from lintmetrics.model.hook_families import (
    HookFamily,
    add_parameters,
    call_from,
    runs_behind_later_releases,
    written_call,
)
from lintmetrics.model.own_hooks import OwnHook, given_first
from lintmetrics.rule import Finding
from lintmetrics.tree import subtree

# lightning 2.6.6, trainer.py: restored behind on_fit_start; run with a resumed training.
_RESTORED = ("global_step", "current_epoch", "optimizers", "lr_scheduler_configs", "fit_loop")
_STEPS = {
    "on_train_": "training_step",
    "on_validation_": "validation_step",
    "on_test_": "test_step",
}


class CurrentHook(Codemod):
    """The hook, or the hooks, that run in the place of one that does not."""

    codes = ("LM210",)

    def plan(self, finding: Finding, settings: Settings) -> Fix | Blocked:
        """Plan the new names for all classes that override each other's hook."""
        hook = finding.subject
        assert isinstance(hook, OwnHook)
        if hook.row.codemod == "manual":
            return Blocked(hook.row.note)
        editor = Editor()
        family = HookFamily.of(hook.cls, hook.name)
        for member in family.members:
            # Two hooks of old may have one successor, and the second joins the first.
            editor.claim(member.module, member.node, hook.function.lineno)
        successors = hook.row.successors
        if len(successors) > 1:
            return self._in_each_loop(editor, hook, family)
        name, parameters = successors[0]
        if name == "on_fit_start":
            _require_weights_alone(family)
        taken = next((one for one in family.relatives if name in one.namespace), None)
        if taken is None:
            self._rename(editor, hook, family, name, parameters)
        elif name.startswith(("setup", "on_exception", "finalize")) or parameters:
            return Blocked(f"{taken.node.name} has a {name} of its own; let that do both")
        else:
            helper = _free_name(family)
            call_from(editor, family.top, family, [name], helper)
            family.rename(editor, helper)
            family.drop_calls_of_lightning(editor)
        relation = Relation.PRESERVES if hook.row.codemod == "safe" else Relation.ASSUMES
        return Fix(relation, f"{hook.name} becomes {name}: {hook.row.note}", editor.edits)

    @staticmethod
    def _rename(
        editor: Editor,
        hook: OwnHook,
        family: HookFamily,
        name: str,
        parameters: tuple[HookParameter, ...],
    ) -> None:
        added = [p.name for p in parameters][len(hook.row.parameters) :]
        for member in family.members:
            function = member.methods[family.name]
            arguments = function.args
            count = len(arguments.posonlyargs + arguments.args) - 1
            wanted = len(hook.row.parameters) + len(given_first(hook.owner, hook.name))
            if count != wanted and arguments.vararg is None:
                raise CannotEdit(
                    f"{member.node.name}.{family.name} at line {function.lineno} takes other "
                    "arguments than Lightning gave it"
                )
            add_parameters(editor, member.module, function, added)
            lines = hook.row.template.split("; ") if hook.row.template else []
            if lines:
                if arguments.vararg is not None:
                    raise CannotEdit(f"{name} needs a parameter for the exception")
                editor.insert_at_body_start(member.module, function, lines)
        family.rename(editor, name)
        for reference in (*family.passes, *family.last):
            if reference in family.last:
                editor.rename_attribute(reference.module, reference.node, name)
            if added and reference.call is not None and reference.function is not None:
                given = [p.name for p in parameters]
                inside = reference.module.source
                start = inside.end(reference.node)
                editor.replace_range(
                    reference.module,
                    start,
                    inside.end(reference.call),
                    f"({written_call(hook.owner, given, reference.function)})",
                )

    @staticmethod
    def _in_each_loop(editor: Editor, hook: OwnHook, family: HookFamily) -> Fix:
        names = [name for name, _ in hook.row.successors]
        top = family.top
        if hook.owner == "module":
            steps = {name for one in (*top.mro(), *top.subclasses) for name in one.namespace}
            if "training_step" in steps:
                # A loop without a step never runs.
                names = [
                    n
                    for n in names
                    if any(n.startswith(p) and s in steps for p, s in _STEPS.items())
                ]
        if len(names) == 1 and not any(names[0] in one.namespace for one in family.relatives):
            family.drop_calls_of_lightning(editor)
            family.rename(editor, names[0])
            return Fix(
                Relation.PRESERVES,
                f"{hook.name} becomes {names[0]}: no other loop runs",
                editor.edits,
            )
        helper = _free_name(family)
        call_from(editor, top, family, names, helper)
        family.rename(editor, helper)
        family.drop_calls_of_lightning(editor)
        spelled = ", ".join(names[:-1]) + f" and {names[-1]}" if len(names) > 1 else names[0]
        sure = len(names) == 1 or runs_behind_later_releases(top.module.project)
        return Fix(
            Relation.PRESERVES if sure else Relation.ASSUMES,
            f"{spelled} call what was {hook.name}, as Lightning 1.2 to 1.7 did"
            + ("" if sure else "; 1.0 and 1.1 called it behind training alone"),
            editor.edits,
        )


def _require_weights_alone(family: HookFamily) -> None:
    """Raise where a body reads what Lightning 2 restores behind ``on_fit_start``."""
    for member in family.members:
        for node in subtree(member.methods[family.name]):
            if isinstance(node, ast.Attribute) and node.attr in _RESTORED:
                raise CannotEdit(
                    f"{member.node.name}.{family.name} reads {node.attr} at line {node.lineno}, "
                    "which on_fit_start finds as it is in a new run, also where one is resumed; "
                    "on_train_start finds it restored"
                )


def _free_name(family: HookFamily) -> str:
    name = f"_{family.name}"
    if any(name in one.namespace for one in family.relatives):
        raise CannotEdit(f"a {name} is there already")
    return name
