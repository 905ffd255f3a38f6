"""Writes attributes and methods of Lightning's objects as newer releases have them."""

from __future__ import annotations

import ast

from lintmetrics.codemod import Blocked, Codemod, Fix, Relation
from lintmetrics.config import Settings
from lintmetrics.edits import CannotEdit, Editor
from lintmetrics.model.old_members import OldMember
from lintmetrics.rule import Finding


class CurrentLightningMember(Codemod):
    """The member that took the place of one that is gone."""

    codes = ("LM503",)

    def plan(self, finding: Finding, settings: Settings) -> Fix | Blocked:
        """Plan one place."""
        member = finding.subject
        assert isinstance(member, OldMember)
        change, module, editor = member.change, member.module, Editor()
        if change.codemod == "manual":
            return Blocked(change.note)
        if not isinstance(member.node.ctx, ast.Load) and change.kind != "assignment":
            return Blocked(f"setting it does nothing; {change.note}")
        if change.kind == "assignment":
            return _assignment(member)
        place: ast.AST = member.node
        if change.kind == "method":
            place = module.parent(member.node) or place
        written = change.template.replace("{object}", module.source.segment(member.node.value))
        if written.startswith("("):
            outer = module.parent(place)
            if isinstance(outer, (ast.If, ast.While)) or (
                isinstance(outer, (ast.Assign, ast.keyword, ast.Return)) and outer.value is place
            ):
                written = written[1:-1]
        editor.replace(module, place, written)
        relation = Relation.PRESERVES if change.codemod == "safe" else Relation.ASSUMES
        return Fix(relation, change.note, editor.edits)


def _assignment(member: OldMember) -> Fix:
    module, editor = member.module, Editor()
    statement = module.parent(member.node)
    function = module.enclosing_function(member.node)
    if not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
        raise CannotEdit("hparams is set together with something else; call save_hyperparameters")
    above = [
        call
        for call in module.calls
        if isinstance(call.func, ast.Attribute)
        and call.func.attr == "__init__"
        and module.enclosing_function(call) is function
        and call.lineno < statement.lineno
    ]
    if function is None or function.name != "__init__" or not above:
        raise CannotEdit(
            "hparams is set outside of __init__, or before super().__init__(); call "
            "save_hyperparameters behind it"
        )
    text = module.source.segment(statement.value)
    if isinstance(statement.value, ast.Dict):
        raise CannotEdit("call save_hyperparameters with the names of the arguments to keep")
    written = member.change.template.replace(
        "{object}", module.source.segment(member.node.value)
    ).replace("{value}", text)
    editor.replace(module, statement, written)
    return Fix(Relation.ASSUMES, member.change.note.replace("{value}", text), editor.edits)
