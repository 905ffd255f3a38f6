"""Statements that run behind the sanity check and before the first epoch of a training."""

from __future__ import annotations

from collections.abc import Sequence

from lintmetrics.edits import CannotEdit, Editor
from lintmetrics.project import ClassInfo


def write_on_train_start(editor: Editor, owner: ClassInfo, lines: Sequence[str]) -> None:
    """Add statements to the ``on_train_start`` of a module, which is made where it is lacking.

    Raises:
        CannotEdit: a base class has one, which would have to be called.
    """
    start = owner.methods.get("on_train_start")
    if start is not None:
        editor.insert_at_body_start(owner.module, start, lines)
        return
    if owner.lookup("on_train_start") is not None:
        raise CannotEdit("a base class has on_train_start")
    step = owner.methods.get("training_step") or owner.methods.get("validation_step")
    body = [f"    {line}" for line in lines]
    editor.add_method(owner.module, owner.node, ["def on_train_start(self):", *body], before=step)
