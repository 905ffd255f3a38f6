"""A list of step outputs is emptied, and a total set back, at the end of the hook that reads it."""

from __future__ import annotations

import ast

from lintmetrics.codemod import Blocked, Codemod, Fix, Relation
from lintmetrics.config import Settings
from lintmetrics.edits import Editor
from lintmetrics.model.epoch_hooks import returns
from lintmetrics.model.kept_outputs import Append, of_self
from lintmetrics.model.kept_totals import KeptAddition
from lintmetrics.rule import Finding
from lintmetrics.tree import subtree


class ClearedStepOutputs(Codemod):
    """A list or a total of step outputs, begun anew once it has been read."""

    codes = ("LM204",)

    def plan(self, finding: Finding, settings: Settings) -> Fix | Blocked:
        """Plan the call in each hook that reads the list."""
        append = finding.subject
        if isinstance(append, KeptAddition):
            return _restarted(append)
        assert isinstance(append, Append)
        kept, line = append.kept, f"self.{append.attribute}.clear()"
        lines = [line]
        if kept.is_nested:
            made = {type(value) for value in kept.values}
            if not (made <= {ast.Dict, ast.DictComp} or made <= {ast.List, ast.ListComp}):
                return Blocked(f"self.{append.attribute} is made in different forms; empty it")
            inside = ".values()" if made <= {ast.Dict, ast.DictComp} else ""
            lines = [f"for kept in self.{append.attribute}{inside}:", "    kept.clear()"]
        if kept.freed_only_in_dead is not None:
            return Blocked(f"move what {kept.freed_only_in_dead} does to a hook that is called")
        editor = Editor()
        for cls, hook in kept.read_in:
            path, module = cls.module.source.path, cls.module
            last = hook.body[-1]
            for early in returns(hook):
                if early is not last:
                    return Blocked(
                        f"{hook.name} returns early at {path}:{early.lineno}; "
                        f"decide where to call {line}"
                    )
            for node in subtree(hook):
                if of_self(node) != append.attribute:
                    continue
                parent = module.parent(node)
                if isinstance(parent, (ast.Return, ast.Assign, ast.Tuple, ast.Dict, ast.List)):
                    return Blocked(
                        f"self.{append.attribute} escapes at {path}:{parent.lineno}; decide "
                        "whether what it escapes to may be emptied"
                    )
            if isinstance(last, ast.Return):
                if last.value is not None and any(
                    of_self(node) == append.attribute for node in subtree(last)
                ):
                    return Blocked(
                        f"self.{append.attribute} is read in the return at {path}:{last.lineno}"
                    )
                editor.insert_before(module, last, lines)
            else:
                editor.append_to_body(module, hook, lines)
        hooks = " and ".join(dict.fromkeys(hook.name for _, hook in kept.read_in))
        return Fix(
            Relation.CORRECTS,
            f"{hooks} empties self.{append.attribute}: each epoch counts its own outputs, where "
            "it counted those of all epochs before",
            editor.edits,
        )


def _restarted(total: KeptAddition) -> Fix | Blocked:
    """Plan what sets a total back in each hook that reads it."""
    kept, name = total.kept, f"self.{total.attribute}"
    if kept.freed_only_in_dead is not None:
        return Blocked(f"move what {kept.freed_only_in_dead} does to a hook that is called")
    if kept.is_nested:
        return Blocked(f"{name} holds several totals; set each back to zero")
    begun = {ast.unparse(value) for value in kept.values if _is_plain(value)}
    if len(begun) != 1:
        return Blocked(f"what {name} begins with cannot be told; set it back by hand")
    line = f"{name} = {begun.pop()}"
    editor = Editor()
    for cls, hook in kept.read_in:
        path, last = cls.module.source.path, hook.body[-1]
        for early in returns(hook):
            if early is not last:
                return Blocked(
                    f"{hook.name} returns early at {path}:{early.lineno}; decide where to set "
                    f"{name} back"
                )
        if isinstance(last, ast.Return):
            if last.value is not None and any(
                of_self(node) == total.attribute for node in subtree(last)
            ):
                return Blocked(f"{name} is read in the return at {path}:{last.lineno}")
            editor.insert_before(cls.module, last, [line])
        else:
            editor.append_to_body(cls.module, hook, [line])
    hooks = " and ".join(dict.fromkeys(hook.name for _, hook in kept.read_in))
    return Fix(
        Relation.CORRECTS,
        f"{hooks} sets {name} back: each epoch counts its own batches, where it counted those of "
        "all epochs before",
        editor.edits,
    )


def _is_plain(value: ast.expr) -> bool:
    """Tell whether an expression means the same in every method: numbers, torch and self."""
    return all(
        not isinstance(node, ast.Name) or node.id in ("self", "torch", "float", "int")
        for node in subtree(value)
    ) and not (isinstance(value, ast.Constant) and value.value is None)
