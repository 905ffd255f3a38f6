"""Says how many samples a batch has where another number was said."""

from __future__ import annotations

from lintmetrics.codemod import Blocked, Codemod, Fix, Relation
from lintmetrics.config import Settings
from lintmetrics.edits import Editor
from lintmetrics.model.batches import is_known_at
from lintmetrics.model.said_batch_sizes import SaidSize
from lintmetrics.rule import Finding


class TrueBatchSize(Codemod):
    """The size of the batch in place of a constant, or of the number of its members."""

    codes = ("LM117", "LM118")

    def plan(self, finding: Finding, settings: Settings) -> Fix | Blocked:
        """Plan the other expression."""
        said = finding.detail
        assert isinstance(said, SaidSize)
        true = said.true.expression
        if true is None:
            return Blocked("the code does not show how many samples a batch has; say it by hand")
        if not is_known_at(said.module, said.node, true):
            return Blocked(f"`{true}` is not known at line {said.node.lineno}")
        editor = Editor()
        editor.replace(said.module, said.node, true)
        return Fix(
            Relation.CORRECTS,
            f"each batch weighs {true}, its number of samples, where it weighed {said.text}",
            editor.edits,
        )
