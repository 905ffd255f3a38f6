"""Terms: what is made of the outputs of an epoch, as far as it can be written for one batch."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass

from lintmetrics.model.object_equivalents import MetricObject

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Column:
    """An expression of one batch: source text between parts of the step's output."""

    pieces: tuple[str | Path, ...]
    atomic: bool = True
    name: str = ""
    """How the hook calls it, when it has a name there."""

    @property
    def paths(self) -> tuple[Path, ...]:
        """The parts of the output that it reads."""
        return tuple(piece for piece in self.pieces if not isinstance(piece, str))

    def text(self, spell: Callable[[Path], str]) -> str:
        """Return the expression, with each part spelled as the step has it."""
        return "".join(p if isinstance(p, str) else spell(p) for p in self.pieces)


@dataclass(frozen=True)
class Term:
    """A value made of the outputs.

    Args:
        kind: ``outputs`` (the list), ``item`` (of one step), ``rows`` (a list, one per step),
            ``summed`` (their total), ``stacked`` (one row per batch), ``whole`` (one row per
            sample), ``mean`` (of one value per batch), ``metric`` (of all data) or ``record`` (a
            dict).
        column: the expression of one batch, for all but ``outputs``, ``metric`` and ``record``.
        metric: the object that gives the number; ``preds``, ``target``: what updates it.
        held: how the module names the object, where it has it already.
        items: key, its node, and term, for ``record``.
        by: what joins the values of the batches, for ``stacked`` and ``mean``: the function's
            name, ``sum`` for the operator, ``cat``, or ``first`` for a mean over the first
            dimension only, which leaves the others as they are.
        node: what makes it; ``made``: the mean itself, where a closure makes it for ``node``.
    """

    kind: str
    column: Column = Column(())
    metric: MetricObject | None = None
    preds: Column | None = None
    target: Column | None = None
    items: tuple[tuple[str, ast.expr, Term | None], ...] = ()
    node: ast.AST | None = None
    held: str = ""
    by: str = ""
    made: ast.AST | None = None

    def having(self, kind: str) -> Term:
        """Return the same column as another kind."""
        return Term(kind, self.column, node=self.node, by=self.by)


OUTPUTS = Term("outputs")
