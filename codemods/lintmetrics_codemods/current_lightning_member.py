"""Writes attributes and methods of Lightning's objects as newer releases have them."""

from __future__ import annotations

import ast

from lintmetrics.codemod import Blocked, Codemod, Fix, Relation
from lintmetrics.config import Settings
from lintmetrics.edits import CannotEdit, Editor
from lintmetrics.model.metric_draft import quote_of
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
        misread = _misread(member)
        if misread:
            return Blocked(misread)
        place: ast.AST = member.node
        if change.kind == "method":
            place = module.parent(member.node) or place
        written = change.template.replace('"', quote_of(module))
        written = written.replace("{object}", module.source.segment(member.node.value))
        if written.startswith("("):
            outer = module.parent(place)
            if isinstance(outer, (ast.If, ast.While)) or (
                isinstance(outer, (ast.Assign, ast.keyword, ast.Return)) and outer.value is place
            ):
                written = written[1:-1]
        editor.replace(module, place, written)
        relation = Relation.PRESERVES if change.codemod == "safe" else Relation.ASSUMES
        return Fix(relation, change.note, editor.edits)


# Counts that were 0 or None without such a device, and the keys that Lightning 1 set by itself.
_ZERO_WITHOUT = frozenset(("tpu_cores", "ipus"))
_KEYS_OF_OLD = frozenset(("loss", "v_num"))


def _misread(member: OldMember) -> str:
    """Say why what took the place of a member means something else where it is read."""
    module, name = member.module, member.change.member
    parent = module.parent(member.node)
    if name in _ZERO_WITHOUT and _is_asked(parent, member.node):
        return (
            f"{name} was 0 or None without such a device and num_devices is 1 on a CPU: ask "
            "trainer.accelerator"
        )
    if name == "progress_bar_dict" and isinstance(parent, ast.Subscript):
        key = parent.slice.value if isinstance(parent.slice, ast.Constant) else None
        if key in _KEYS_OF_OLD:
            return (
                f"Lightning 2 puts no {key!r} there by itself: log it with prog_bar=True, and read "
                "trainer.progress_bar_metrics"
            )
    return ""


def _is_asked(parent: ast.AST | None, node: ast.AST) -> bool:
    """Tell whether a place asks a count for being none, or hands it to a Trainer."""
    if isinstance(parent, (ast.If, ast.While, ast.IfExp)):
        return parent.test is node
    if isinstance(parent, ast.Compare):
        others = [one for one in (parent.left, *parent.comparators) if one is not node]
        return any(isinstance(one, ast.Constant) and one.value in (None, 0) for one in others)
    if isinstance(parent, ast.keyword):
        return parent.arg in (*_ZERO_WITHOUT, "devices")
    return isinstance(parent, ast.BoolOp) or (
        isinstance(parent, ast.UnaryOp) and isinstance(parent.op, ast.Not)
    )


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
