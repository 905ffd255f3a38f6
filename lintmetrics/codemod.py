"""What a codemod is, and what it plans: ``Codemod``, ``Fix``, ``Blocked``, ``Relation``."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from lintmetrics.edits import Edit

if TYPE_CHECKING:
    from lintmetrics.config import Settings
    from lintmetrics.rule import Finding


class Relation(enum.Enum):
    """How the numbers after a fix relate to the numbers before it."""

    PRESERVES = "preserves"
    CORRECTS = "corrects"
    ASSUMES = "assumes"


@dataclass(frozen=True)
class Fix:
    """A plan: edits that belong together, in one file or several, applied all or not at all.

    Args:
        relation: what the edits do to the logged numbers.
        message: what is written, and for ``corrects`` which number becomes which, for ``assumes``
            what is assumed.
        edits: the changes.
        style: ``"torchmetrics"``, ``"outputs"``, ``"put"`` or ``""`` where there is only one way
            to write it.
    """

    relation: Relation
    message: str
    edits: tuple[Edit, ...]
    style: str = ""


@dataclass(frozen=True)
class Blocked:
    """Why a finding has no fix: what stands in the way, where, and what a person must decide.

    A codemod that is for another kind of place gives no reason, and leaves the word to the others.
    """

    reason: str


class Codemod:
    """Plans the edits for the findings of the rules it names by code. Writes, never searches."""

    codes: ClassVar[tuple[str, ...]]
    priority: ClassVar[int] = 0
    """The codemod with the highest priority whose plan is not blocked writes the fix."""
    since: ClassVar[str] = ""
    """The release that brought what it writes, such as ``"lightning 1.5"``; not for older targets.
    """
    leads_to: ClassVar[tuple[str, ...]] = ()
    """Codes of findings that may stand elsewhere once its fix is made, for a person to decide."""

    def plan(self, finding: Finding, settings: Settings) -> Fix | Blocked:
        """Return the edits for one finding, or what blocks them."""
        raise NotImplementedError

    @property
    def name(self) -> str:
        """The codemod's name, such as ``log-metric-object``."""
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", type(self).__name__).lower()
