"""What a run has to say: plain data that crosses processes and that every report prints."""

from __future__ import annotations

from dataclasses import dataclass, field

from lintmetrics.codemod import Fix
from lintmetrics.rule import Consequence
from lintmetrics.source import Location


@dataclass(frozen=True)
class Diagnostic:
    """One finding as the user is shown it.

    Args:
        path: the file, as shown to the user.
        code: the rule's code.
        name: the rule's name.
        message: what is there.
        help: one line to paste or to do; may be empty.
        consequence: what happens when the code is left as it is.
        start: first character; ``end``: behind the last one.
        source_line: the text of the first line, without its newline.
        fix: the plan that mends it, if there is one; one that assumes nothing, where there is.
        codemod: the name of the codemod that made the plan.
        blocked: why there is no plan; empty when there is one.
        first_line: 1-based line of the whole text where the place starts (for suppressions;
            in a notebook it differs from ``start.line``); ``last_line``: where it ends.
        statement_line: first line of the statement around the place.
    """

    path: str
    code: str
    name: str
    message: str
    help: str
    consequence: Consequence
    start: Location
    end: Location
    source_line: str
    fix: Fix | None
    codemod: str
    blocked: str
    first_line: int
    last_line: int
    statement_line: int
    plans: tuple[tuple[Fix, str], ...] = ()
    """Every plan with the name of its codemod, the more wanted first."""
    keys: tuple[tuple[str, str], ...] = ()
    """``(stage, key)`` of the logged numbers that it speaks of, ``*`` in a key for what is not
    known; empty where the finding is not about keys, or they are not known."""

    @property
    def sort_key(self) -> tuple[str, int, int, int, str, str]:
        """Order of reports: path, cell, line, column, code, message."""
        start = self.start
        return (self.path, start.cell or 0, start.line, start.column, self.code, self.message)


@dataclass(frozen=True)
class Failure:
    """A file, or a rule on a file, that could not be handled. One clear line.

    Args:
        path: the file.
        reason: what is wrong and how to mend it.
        line: 1-based line, where known.
        code: ``"LM000"`` for a crash of a rule, else ``""``.
    """

    path: str
    reason: str
    line: int | None = None
    code: str = ""


@dataclass(frozen=True)
class UnusedSuppression:
    """A suppression comment that suppresses nothing (or only partly)."""

    path: str
    start: Location
    comment: str
    codes: tuple[str, ...]


@dataclass
class Report:
    """Everything that one run of ``check`` or ``fix`` found and did.

    The totals close: every diagnostic found is in exactly one of ``diagnostics`` (left: it has a
    fix that was not applied, or it is blocked), ``suppressed``, ``fixed`` or ``failed`` (its fix
    was planned and applied, but the result did not stand up to the check).
    """

    files: int = 0
    diagnostics: list[Diagnostic] = field(default_factory=list)
    suppressed: list[Diagnostic] = field(default_factory=list)
    fixed: list[Diagnostic] = field(default_factory=list)
    failed: list[tuple[Diagnostic, str]] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    unused_suppressions: list[UnusedSuppression] = field(default_factory=list)
    before: dict[str, str] = field(default_factory=dict)
    """Text of each changed file before the fix, by path."""
    after: dict[str, str] = field(default_factory=dict)
    """Text of each changed file after the fix, by path."""
    written: list[str] = field(default_factory=list)
    """Paths written by ``--apply``."""
