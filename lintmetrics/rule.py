"""What a rule is, and what it says: ``Rule``, ``Finding``, ``Consequence``."""

from __future__ import annotations

import ast
import enum
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

if TYPE_CHECKING:
    from lintmetrics.project import Module


class Consequence(enum.Enum):
    """What happens when the code is left as it is."""

    WRONG_NUMBER = "wrong-number"
    CRASH = "crash"
    IGNORED = "ignored"
    STALE = "stale"
    SLOW = "slow"
    STYLE = "style"


class Subject(Protocol):
    """Anything in the model that stands at a place in a file."""

    @property
    def module(self) -> Module: ...

    @property
    def node(self) -> ast.AST: ...


@dataclass(frozen=True)
class Finding:
    """One place that a rule objects to.

    Args:
        subject: the model object the rule looked at; a codemod starts from it.
        message: what is there, in the user's own names: facts, present tense, no full stop.
        help: one line to paste or to do.
        node: a narrower place than the subject's own.
        module: the file that holds ``node``, when it is not the subject's own.
        consequence: overrides the rule's, when this place is worse or better than most.
        detail: what the rule learned and its codemod needs, so that nothing is worked out twice.
        blocked: why no codemod can decide this place, when the rule itself already knows.
        keys: ``(stage, key)`` of the numbers it speaks of, when the subject is not the log call.
    """

    subject: Subject
    message: str
    help: str = ""
    node: ast.AST | None = None
    module: Module | None = None
    consequence: Consequence | None = None
    detail: Any = None
    blocked: str | None = None
    keys: tuple[tuple[str, str], ...] = ()

    @property
    def place(self) -> tuple[Module, ast.AST]:
        """The file and node that the user is shown."""
        return self.module or self.subject.module, self.node or self.subject.node


class Rule:
    """A query over the model. One file, one class, no state.

    ``check`` is called once for each model object of the type that its parameter is annotated
    with; the class docstring is the rule's page: a first line that names the pattern, then why.
    """

    code: ClassVar[str]
    consequence: ClassVar[Consequence]
    source: ClassVar[str]
    """Where the truth of the rule comes from, with its version."""
    bad: ClassVar[str]
    """The shortest module that must be found."""
    good: ClassVar[str]
    """The same module as it is right, quiet under every rule."""
    since: ClassVar[str] = ""
    """The release from which on it holds, such as ``"lightning 2.0"``; silent for older targets."""
    style: ClassVar[str] = ""
    """The style that it speaks for, such as ``"put"``; silent where another one is chosen."""

    def check(self, subject: Any) -> Iterator[Finding]:
        """Yield what is wrong with one model object."""
        raise NotImplementedError

    @property
    def name(self) -> str:
        """The rule's name as the user writes it, such as ``averaged-batch-value``."""
        return _hyphenated(type(self).__name__)

    @property
    def summary(self) -> str:
        """The first line of the docstring, without its full stop."""
        return (type(self).__doc__ or "").strip().splitlines()[0].rstrip(".")


@cache
def _hyphenated(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).lower()
