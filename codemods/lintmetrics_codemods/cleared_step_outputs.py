"""``.clear()`` at the end of the hook that reads a list of step outputs."""

from __future__ import annotations

import ast

from lintmetrics.codemod import Blocked, Codemod, Fix, Relation
from lintmetrics.config import Settings
from lintmetrics.edits import Editor
from lintmetrics.model.epoch_hooks import returns
from lintmetrics.model.kept_outputs import Append, of_self
from lintmetrics.rule import Finding
from lintmetrics.tree import subtree


class ClearedStepOutputs(Codemod):
    """A list of step outputs, emptied once it has been read."""

    codes = ("LM204",)

    def plan(self, finding: Finding, settings: Settings) -> Fix | Blocked:
        """Plan the call in each hook that reads the list."""
        append = finding.subject
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
