"""What must hold between two trainings: ``Case`` and ``KeyClaim``, read from a ``case.toml``."""

from __future__ import annotations

import difflib
import math
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lintmetrics.errors import LintmetricsError
from lintmetrics.verify.record import STAGES

RELATIONS = ("preserves", "corrects", "new", "dropped")


class CaseError(LintmetricsError):
    """A case lacks a file, or its ``case.toml`` says something that cannot be."""


@dataclass(frozen=True)
class Tolerance:
    """The largest gap between two numbers that are the same, and why it is not zero.

    Args:
        absolute: in the unit of the number.
        relative: as a share of the larger of the two numbers.
        reason: why the two cannot be bit-equal; must not be empty when either is above zero.
    """

    absolute: float = 0.0
    relative: float = 0.0
    reason: str = ""


@dataclass(frozen=True)
class KeyClaim:
    """What must hold for one key.

    Args:
        key: the key as the program logs it after the change.
        before: the key as it was logged before; the same where it did not change.
        relation: ``"preserves"`` or ``"corrects"``; ``"new"`` for a key that the original did not
            log, ``"dropped"`` for one that the change takes away on purpose, both with a reason.
        oracle: name of the function of ``oracle.py`` that computes the true number of an epoch.
        stage: the steps that the oracle is given, such as ``"validate"``.
        dataloader: only the steps of this loader, where there are several.
        tolerance: against the original (``preserves``) or against the oracle (``corrects``).
        reason: for ``new`` and ``dropped``.
    """

    key: str
    before: str
    relation: str
    oracle: str = ""
    stage: str = "validate"
    dataloader: int | None = None
    tolerance: Tolerance = field(default_factory=Tolerance)
    reason: str = ""


@dataclass(frozen=True)
class Case:
    """A program before and after a change, and what must hold between them.

    Args:
        folder: holds ``before.py``, ``after.py``, ``case.toml`` and, if asked for, ``oracle.py``.
        reference: the Lightning that the original was written for, a name of ``references``.
        fix: arguments of ``lintmetrics fix`` that turn ``before.py`` into ``after.py``.
        keys: by the key after the change.
        capture: dotted path, from the LightningModule, of the module whose outputs the oracle
            needs; empty for the LightningModule itself.
        devices: accelerators that the case is for, such as ``("cpu", "cuda")``.
        device_tolerance: between a run on another accelerator and the run on the CPU.
        processes: numbers of processes that the case is for.
        process_tolerance: between a run in several processes and the run in one.
        timeout: seconds that one training may take.
        about: one line: what the program is and what is wrong with it.
        changed_weights: why the weights may differ at the end, such as an early stopping that
            watches a corrected number; empty where they must not.
    """

    folder: Path
    reference: str
    keys: Mapping[str, KeyClaim]
    fix: tuple[str, ...] = ()
    capture: str = ""
    devices: tuple[str, ...] = ("cpu",)
    device_tolerance: Tolerance = field(default_factory=Tolerance)
    processes: tuple[int, ...] = (1,)
    process_tolerance: Tolerance = field(default_factory=Tolerance)
    timeout: float = 300.0
    about: str = ""
    changed_weights: str = ""

    @property
    def name(self) -> str:
        """The name of the case: that of its folder."""
        return self.folder.name


def read_case(folder: Path) -> Case:
    """Return the case of a folder.

    Raises:
        CaseError: a file is missing, or ``case.toml`` has an unknown key, a value of the wrong
            type, a tolerance without a reason, a relation without what it needs, or two keys that
            were one before.
    """
    path = folder / "case.toml"
    table = _Table(_parsed(path), str(path), "")
    for name in ("before.py", "after.py"):
        if not (folder / name).is_file():
            raise CaseError(f"{folder}: has no {name}; a case holds before.py, after.py, case.toml")
    claims = {}
    names = table.take("keys", _mapping, {})
    for key in names:
        place = f"[keys.{key}] " if _is_bare(key) else f"[keys.{key!r}] "
        if not isinstance(names[key], dict):
            raise table.error("keys", f"has {key!r} as {names[key]!r}; write a table [keys.{key}]")
        claims[key] = _claim(key, _Table(names[key], str(path), place), folder)
    if not claims:
        raise table.error("keys", "is empty; name every key that the program logs, [keys.val_f1]")
    _one_heir_each(table, claims.values())
    case = Case(
        folder=folder,
        reference=table.take("reference", _text),
        keys=claims,
        fix=tuple(table.take("fix", _texts, [])),
        capture=table.take("capture", _maybe_text, ""),
        devices=tuple(table.take("devices", _texts, ["cpu"])),
        device_tolerance=_tolerance(table, "device-tolerance"),
        processes=tuple(table.take("processes", _counts, [1])),
        process_tolerance=_tolerance(table, "process-tolerance"),
        timeout=table.take("timeout", _positive, 300.0),
        about=table.take("about", _line, ""),
        changed_weights=table.take("changed-weights", _line, ""),
    )
    table.close()
    if not case.devices:
        raise table.error("devices", 'is empty; give ["cpu"]')
    if 1 not in case.processes:
        raise table.error("processes", "lacks 1, the run that the others are compared with")
    return case


def _claim(key: str, table: _Table, folder: Path) -> KeyClaim:
    relation = table.take("relation", _one_of(RELATIONS))
    if relation == "new" and "before" in table.values:
        raise table.error("before", "names what a new key has not: drop it, or the relation")
    if relation == "dropped" and table.values.get("before", key) != key:
        raise table.error("before", "differs from the key; a dropped key has its old name alone")
    claim = KeyClaim(
        key=key,
        before=table.take("before", _text, key),
        relation=relation,
        oracle=table.take("oracle", _identifier, ""),
        stage=table.take("stage", _one_of(STAGES), "validate"),
        dataloader=table.take("dataloader", _index, None),
        tolerance=_tolerance(table, "tolerance"),
        reason=table.take("reason", _line, ""),
    )
    table.close()
    if relation == "corrects" and not claim.oracle:
        raise table.error("oracle", "is missing; only an oracle shows that a number is right now")
    if relation in ("new", "dropped") and not claim.reason:
        raise table.error("reason", f"is missing; say why the key is {relation}")
    if claim.oracle and relation == "dropped":
        raise table.error("oracle", "has nothing to measure: the key is dropped")
    if claim.oracle and not (folder / "oracle.py").is_file():
        raise table.error("oracle", f"names {claim.oracle!r}, and there is no oracle.py")
    return claim


def _one_heir_each(table: _Table, claims: Iterable[KeyClaim]) -> None:
    heirs: dict[str, str] = {}
    for claim in claims:
        if claim.relation == "new":
            continue
        other = heirs.setdefault(claim.before, claim.key)
        if other != claim.key:
            told = f"{claim.before!r} of before.py is both {other!r} and {claim.key!r} afterwards"
            raise table.error("keys", f"{told}; give one of them its own, or the relation new")


def _tolerance(table: _Table, name: str) -> Tolerance:
    values = table.take(name, _mapping, {})
    inner = _Table(values, table.path, f"{table.place}{name}: ")
    tolerance = Tolerance(
        absolute=inner.take("absolute", _not_negative, 0.0),
        relative=inner.take("relative", _not_negative, 0.0),
        reason=inner.take("reason", _line, ""),
    )
    inner.close()
    if (tolerance.absolute or tolerance.relative) and not tolerance.reason:
        raise inner.error("reason", "is missing; say why the numbers cannot be bit-equal")
    return tolerance


# Reading with care ----------------------------------------------------------------------------


class _Wrong(Exception):
    """A value is not what it must be; the text says what it must be."""


_REQUIRED: Any = object()


class _Table:
    """A table of a TOML file, whose keys are taken one by one until none is left."""

    def __init__(self, values: Mapping[str, Any], path: str, place: str) -> None:
        self.values = values
        self.path = path
        self.place = place
        self._taken: set[str] = set()

    def error(self, name: str, what: str) -> CaseError:
        return CaseError(f"{self.path}: {self.place}{name} {what}")

    def take(self, name: str, reader: Callable[[Any], Any], default: Any = _REQUIRED) -> Any:
        self._taken.add(name)
        if name not in self.values:
            if default is _REQUIRED:
                self._nearly(name)
                raise self.error(name, "is missing")
            return default
        try:
            return reader(self.values[name])
        except _Wrong as error:
            raise self.error(name, f"is {self.values[name]!r}; it must be {error}") from None

    def _nearly(self, name: str) -> None:
        for near in difflib.get_close_matches(name, self.values.keys() - self._taken, n=1):
            raise self.error(near, f"is no setting of a case; did you mean {name}")

    def close(self) -> None:
        """Raise for a key that nobody asked for."""
        for name in self.values:
            if name not in self._taken:
                near = difflib.get_close_matches(name, self._taken, n=1)
                told = (
                    f"did you mean {near[0]}"
                    if near
                    else f"known: {', '.join(sorted(self._taken))}"
                )
                raise self.error(name, f"is no setting of a case; {told}")


def _parsed(path: Path) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CaseError(f"{path.parent}: has no case.toml, so it is no case") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CaseError(f"{path}: cannot be read: {error}") from None


def _is_bare(key: str) -> bool:
    return key.replace("_", "").replace("-", "").isalnum() and key.isascii()


def _mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _Wrong("a table")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise _Wrong("a text that is not empty")
    return value


def _maybe_text(value: Any) -> str:
    if not isinstance(value, str):
        raise _Wrong("a text")
    return value


def _line(value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or "\n" in value:
        raise _Wrong("one line of text")
    return value


def _identifier(value: Any) -> str:
    if not isinstance(value, str) or not value.isidentifier():
        raise _Wrong("the name of a function of oracle.py")
    return value


def _texts(value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise _Wrong("a list of texts")
    return value


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _counts(value: Any) -> list[int]:
    if (
        not isinstance(value, list)
        or not all(_is_integer(item) and item > 0 for item in value)
        or len(set(value)) < len(value)
    ):
        raise _Wrong("a list of different whole numbers from 1")
    return value


def _index(value: Any) -> int:
    if not _is_integer(value) or value < 0:
        raise _Wrong("a whole number from 0")
    return int(value)


def _not_negative(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _Wrong("a number")
    if not math.isfinite(value) or value < 0:
        raise _Wrong("a finite number from 0")
    return float(value)


def _positive(value: Any) -> float:
    if _not_negative(value) == 0:
        raise _Wrong("above zero")
    return float(value)


def _one_of(known: tuple[str, ...]) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if not isinstance(value, str) or value not in known:
            raise _Wrong(f"one of {', '.join(known)}")
        return value

    return read
