"""Writes attributes and methods of Lightning's objects as newer releases have them."""

from __future__ import annotations

import ast

from lintmetrics.codemod import Blocked, Codemod, Fix, Relation
from lintmetrics.config import Settings
from lintmetrics.edits import CannotEdit, Editor
from lintmetrics.model.metric_draft import quote_of
from lintmetrics.model.old_members import OldMember
from lintmetrics.model.trainer_at_hand import has_trainer
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
        if "{index}" in written:
            indexed = module.parent(member.node)
            assert isinstance(indexed, ast.Subscript)
            place = indexed
            written = written.replace("{index}", module.source.segment(indexed.slice))
        written = written.replace("{object}", module.source.segment(member.node.value))
        if written.startswith("("):
            outer = module.parent(place)
            if isinstance(outer, (ast.If, ast.While)) or (
                isinstance(outer, (ast.Assign, ast.keyword, ast.Return)) and outer.value is place
            ):
                written = written[1:-1]
        editor.replace(module, place, written)
        if _needs_trainer(member):
            if _may_be_none(member):
                return Blocked(
                    f"self.{change.member} was None without a Trainer, and self.trainer raises "
                    "there: ask for it only where a Trainer runs the module"
                )
            return Fix(
                Relation.ASSUMES,
                f"{change.note}; assumed that a Trainer runs the module here, without one "
                "self.trainer raises",
                editor.edits,
            )
        relation = Relation.PRESERVES if change.codemod == "safe" else Relation.ASSUMES
        return Fix(relation, change.note, editor.edits)


def _needs_trainer(member: OldMember) -> bool:
    """Tell whether what took the place of a member asks for a Trainer that may not be there."""
    if not member.change.template.startswith("{object}.trainer."):
        return False
    cls, function = (
        member.module.enclosing_class(member.node),
        member.module.enclosing_function(member.node),
    )
    value = member.node.value
    if cls is None or function is None or not isinstance(value, ast.Name) or value.id != "self":
        return True
    return not has_trainer(cls, function.name)


def _may_be_none(member: OldMember) -> bool:
    """Tell whether the code asks if there is one, or runs before there can be any."""
    function = member.module.enclosing_function(member.node)
    if function is not None and function.name == "__init__":
        return True
    text = member.module.source.segment(member.node)
    for above in member.module.ancestors(member.node):
        if isinstance(above, (ast.If, ast.IfExp, ast.While, ast.BoolOp, ast.Assert)):
            tests = above.values if isinstance(above, ast.BoolOp) else [above.test]
            if any(_asks(test, text) for test in tests):
                return True
        if above is function:
            break
    return False


def _asks(test: ast.expr, text: str) -> bool:
    """Tell whether a condition asks if something is there."""
    if isinstance(test, ast.BoolOp):
        return any(_asks(value, text) for value in test.values)
    if isinstance(test, ast.UnaryOp):
        return _asks(test.operand, text)
    if isinstance(test, ast.Compare):
        none = any(isinstance(one, ast.Constant) and one.value is None for one in test.comparators)
        return none and ast.unparse(test.left) == text
    return ast.unparse(test) == text


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
