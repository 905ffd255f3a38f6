"""A callback's hook under the name of the next one, which runs behind the module's."""

from __future__ import annotations

import ast

from lintmetrics.codemod import Blocked, Codemod, Fix, Relation
from lintmetrics.config import Settings
from lintmetrics.edits import Editor, FunctionNode
from lintmetrics.model.attribute_reads import EarlyAttribute
from lintmetrics.model.callback_reads import EarlyRead
from lintmetrics.rule import Finding
from lintmetrics.tree import subtree


class LaterCallbackHook(Codemod):
    """The hook behind the one that comes too early."""

    codes = ("LM207", "LM216")

    def plan(self, finding: Finding, settings: Settings) -> Fix | Blocked:
        """Plan the new name, where nothing else has it."""
        read = finding.subject
        assert isinstance(read, EarlyRead)
        cls, where = read.cls, f"{read.module.source.path}:{read.function.lineno}"
        if read.later is None:
            if isinstance(read, EarlyAttribute):
                return Blocked(
                    f"no hook of a callback runs behind {read.logged_by} before the next one begins"
                )
            return Blocked(
                "no hook of a callback runs behind the module's on_train_epoch_end; log "
                f"{read.shown} in a step or read it in on_train_epoch_start of the next epoch"
            )
        logged = _log_call(read.function)
        if logged is not None:
            # lightning 2.6.6, fx_validator.py: on_validation_end and on_test_end may not log.
            return Blocked(
                f"{read.name} also logs, at {read.module.source.path}:{logged.lineno}, which "
                f"{read.later} may not; move only what reads the number to {read.later}"
            )
        relatives = (*cls.mro(), *cls.subclasses)
        for relative in relatives:
            if read.later in relative.namespace:
                return Blocked(f"{relative.node.name} has a {read.later} of its own; merge the two")
            if relative is not cls and read.name in relative.namespace:
                return Blocked(f"{relative.node.name} has the hook at {where} too; rename both")
        editor = Editor()
        editor.rename_function(read.module, read.function, read.later)
        if isinstance(read, EarlyAttribute):
            what = f"{read.later} runs behind {read.logged_by}, where {read.name} runs before it"
        else:
            what = (
                f"{read.later} reads {read.shown} of this epoch, where {read.name} read that of "
                "the epoch before"
            )
        return Fix(Relation.CORRECTS, what, editor.edits)


def _log_call(function: FunctionNode) -> ast.Call | None:
    for node in subtree(function):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in ("log", "log_dict")
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id in {argument.arg for argument in function.args.args}
        ):
            return node
    return None
