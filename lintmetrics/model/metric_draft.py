"""The draft of a migration: what is known of a call, and the small steps that change it."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field

from lintmetrics.codemod import Relation
from lintmetrics.model import evidence
from lintmetrics.model.evidence import Evidence
from lintmetrics.model.metric_api import MetricCall
from lintmetrics.project import Module


@dataclass
class Migration:
    """What a call has to become in 1.9.

    Args:
        target: dotted name to call, when it is not the plain successor of the old name.
        changed: new text of an argument, by its place; ``None`` takes it out.
        first: arguments to add in front; ``last``: arguments to add behind.
        before: text to put before the call; ``after``: behind it.
        elsewhere: expressions outside the call, with their new text.
        twice: the two functions that are called with the same arguments in its place.
        instead: an expression that takes the place of the whole call.
        relation: what happens to the number.
        notes: facts a reader of the diff needs.
        blocked: why there is no such call; empty when there is.
        task: the task that was chosen.
    """

    target: str = ""
    changed: dict[int, str | None] = field(default_factory=dict)
    first: list[str] = field(default_factory=list)
    last: list[str] = field(default_factory=list)
    before: str = ""
    after: str = ""
    elsewhere: list[tuple[ast.expr, str]] = field(default_factory=list)
    twice: tuple[str, str] | None = None
    instead: str = ""
    relation: Relation = Relation.PRESERVES
    notes: list[str] = field(default_factory=list)
    blocked: str = ""
    task: str = ""

    def note(self, text: str, relation: Relation = Relation.PRESERVES) -> None:
        """Add a fact, and lower the relation to what it allows."""
        if text not in self.notes:
            self.notes.append(text)
        order = list(Relation)
        self.relation = max(self.relation, relation, key=order.index)

    @property
    def is_idle(self) -> bool:
        """Whether the call stays as it is."""
        return not (
            self.target
            or self.changed
            or self.first
            or self.last
            or self.before
            or self.after
            or self.elsewhere
            or self.twice
            or self.instead
        )


def quote_of(module: Module) -> str:
    """Return the quotation mark that a file uses most."""
    known: str | None = module.__dict__.get("_lm_quote")
    if known is None:
        code = module.source.code
        known = "'" if code.count("'") > code.count('"') else '"'
        module.__dict__["_lm_quote"] = known
    return known


class Undecided(Exception):
    """A person must decide; the message says what."""


class Draft:
    """A call and its migration in the making.

    Args:
        call: the call; ``plan``: what it becomes, filled in step by step.
        at: where added arguments must be valid, when that is not the call itself.
    """

    def __init__(self, call: MetricCall, plan: Migration, at: ast.AST | None) -> None:
        self.call = call
        self.at = at
        self.plan = plan
        self.module = call.module
        self.gone: set[int] = set()  # Arguments dealt with one by one.
        self.renamed: dict[int, str] = {}
        self.values: dict[int, str] = {}
        self.quote = quote_of(self.module)

    # Small steps --------------------------------------------------------------------------

    def text(self, node: ast.AST) -> str:
        """Return the source text of a node."""
        return self.module.source.segment(node)

    def string(self, value: str) -> str:
        """Quote a value as the file does."""
        return f"{self.quote}{value}{self.quote}"

    def index(self, parameter: str) -> int | None:
        """Return the place of the argument bound to a parameter."""
        for index, argument in enumerate(self.call.arguments):
            if argument.parameter == parameter:
                return index
        return None

    def drop(self, parameter: str) -> None:
        """Take an argument out."""
        index = self.index(parameter)
        if index is not None:
            self.plan.changed[index] = None
            self.gone.add(index)

    def literal(self, parameter: str) -> object:
        """Return the literal value of an argument; ``...`` when absent or not a literal."""
        return self.call.literal(parameter)

    def has(self, parameter: str) -> bool:
        """Tell whether a parameter is given."""
        return self.index(parameter) is not None

    def evidence(self) -> Evidence:
        """Return what the code around the call says about the task."""
        if not hasattr(self, "_evidence"):
            call = self.call
            if call.kind == "class":
                found = evidence.of_metric(call.module, call.node)
            else:
                pair = self.pair()
                # What is bound with arguments is bound where it is made, not where it is called.
                at = self.at or (call.module.statement(call.bound) if call.bound else None)
                found = (
                    Evidence()
                    if pair is None
                    else evidence.of_function(call.module, call.fed or call.node, *pair, at)
                )
            self._evidence = found
        return self._evidence

    def pair(self) -> tuple[ast.expr, ast.expr] | None:
        """Return the expressions of predictions and targets of a functional call."""
        if self.call.bound is not None:
            return self._pair_of(self.call.fed)
        preds = next(
            (a for n in ("preds", "pred", "x") if (a := self.call.argument(n)) is not None), None
        )
        target = next(
            (a for n in ("target", "y") if (a := self.call.argument(n)) is not None), None
        )
        return None if preds is None or target is None else (preds.value, target.value)

    @staticmethod
    def _pair_of(fed: ast.Call | None) -> tuple[ast.expr, ast.expr] | None:
        """Return what a call gives a function that is bound with its other arguments."""
        if fed is None:
            return None
        named = {keyword.arg: keyword.value for keyword in fed.keywords}
        preds = fed.args[0] if fed.args else named.get("preds")
        target = fed.args[1] if len(fed.args) > 1 else named.get("target")
        return None if preds is None or target is None else (preds, target)
