"""Writes ``on_step`` and ``on_epoch`` as the hook takes them."""

from __future__ import annotations

import ast

from lintmetrics.codemod import Blocked, Codemod, Fix, Relation
from lintmetrics.config import Settings
from lintmetrics.edits import Editor
from lintmetrics.model.flow import LightningClass
from lintmetrics.model.log_calls import LogCall
from lintmetrics.model.log_permissions import refused_levels
from lintmetrics.rule import Finding


class AllowedLogLevels(Codemod):
    """A log call with levels that its hook takes."""

    codes = ("LM602",)

    def plan(self, finding: Finding, settings: Settings) -> Fix | Blocked:
        """Plan the arguments of one log call."""
        call = finding.subject
        assert isinstance(call, LogCall)
        owner = call.module.enclosing_class(call.node) or call.cls
        entries = [
            entry  # One for each key.
            for cls in dict.fromkeys((call.cls, owner, *owner.subclasses))
            if cls.is_lightning or cls.is_kind("Callback")
            for entry in LightningClass.of(cls).calls_at(call.node)
        ]
        ways = [way for entry in entries for way in entry.contexts]
        all_refused = [found for entry in entries if (found := refused_levels(entry)) is not None]
        fate = [pair for found in all_refused for pair in found.ways]
        wrong = {what for _, what in fate}
        if len(fate) != len(ways) or len(wrong) != 1:
            hooks = ", ".join(sorted({way.hook for way in ways}))
            return Blocked(f"the same call logs in {hooks}, each with levels of its own")
        (what,) = wrong
        editor, module = Editor(), call.module
        if what == "none":
            return _one_level(call, editor)
        arguments = [call.argument("on_step"), call.argument("on_epoch")]
        given = [
            keyword
            for keyword in call.node.keywords
            if keyword.arg in ("on_step", "on_epoch")
            and isinstance(keyword.value, ast.Constant)
            and keyword.value.value is (keyword.arg == "on_step")
        ]
        if not given or not all(a is None or isinstance(a, ast.Constant) for a in arguments):
            return Blocked("where its levels come from does not show in the call")
        for keyword in given:
            editor.drop_argument(module, call.node, keyword)
        names = " and ".join(str(keyword.arg) for keyword in given)
        return Fix(
            Relation.PRESERVES,
            f"leave {names} out: the hook logs one value for each epoch",
            editor.edits,
        )


def _one_level(call: LogCall, editor: Editor) -> Fix | Blocked:
    """Plan the level that the other one, switched off, leaves."""
    step, epoch = call.argument("on_step"), call.argument("on_epoch")
    if (step is None) == (epoch is None):
        return Blocked("both levels are switched off; say which is meant, or remove the call")
    wanted = "on_epoch" if epoch is None else "on_step"
    given = next(k for k in call.node.keywords if k.arg in ("on_step", "on_epoch"))
    source = call.module.source
    start, end = source.start(given), source.end(given)
    if "(" in source.text[start:end]:
        return Blocked(f"{given.arg} at line {given.lineno} stands in parentheses")
    line = source.line_start(start)
    alone = not source.text[line:start].strip()  # Arguments on lines of their own.
    between = f"{source.newline}{source.indent_of(line)}" if alone else " "
    editor.replace_range(call.module, end, end, f",{between}{wanted}=True")
    what = "the mean of each epoch" if wanted == "on_epoch" else "the value of each step"
    return Fix(Relation.ASSUMES, f"say {wanted}=True; assumes that {what} is meant", editor.edits)
