"""``.detach()`` on a loss that a training step keeps."""

from __future__ import annotations

import ast

from lintmetrics.codemod import Blocked, Codemod, Fix, Relation
from lintmetrics.config import Settings
from lintmetrics.edits import Editor, indent_unit
from lintmetrics.model.kept_outputs import Append, graph_of
from lintmetrics.model.step_outputs import is_mapping, is_tensor
from lintmetrics.rule import Finding

_LIMIT = 100  # A longer line is broken inside its parentheses.


class DetachedStepOutputs(Codemod):
    """Training outputs without their graph."""

    codes = ("LM205",)

    def plan(self, finding: Finding, settings: Settings) -> Fix | Blocked:
        """Plan the detached value in place of the one with its graph."""
        append = finding.subject
        assert isinstance(append, Append)
        loss = graph_of(append)
        assert loss is not None
        editor = Editor()
        if is_tensor(append.cls, append.function, loss):
            editor.replace(append.module, loss, f"{loss.id}.detach()")
        elif is_mapping(append.function, loss) and isinstance(append.value, ast.Name):
            torch = editor.add_import(append.module, "torch")
            detached = (
                f"{{k: v.detach() if isinstance(v, {torch}.Tensor) else v "
                f"for k, v in {loss.id}.items()}}"
            )
            source = append.module.source
            start = source.start(loss)
            line = source.line_text(loss.lineno)
            if len(line) - len(loss.id) + len(detached) > _LIMIT and line.rstrip().endswith(")"):
                indent = source.indent_of(start)
                inner = source.newline + indent + indent_unit(append.module)
                detached = f"{inner}{detached}{source.newline}{indent}"
            editor.replace(append.module, loss, detached)
        else:
            return Blocked(
                f"whether `{loss.id}` is a tensor or a mapping cannot be told; append it detached"
            )
        return Fix(
            Relation.PRESERVES,
            f"self.{append.attribute} keeps `{loss.id}` without its graph",
            editor.edits,
        )
