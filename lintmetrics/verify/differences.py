"""What Lightning itself records differently from version to version: a table and its reader."""

from __future__ import annotations

import csv
import pkgutil
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

KINDS = ("own", "one-sided", "absent", "unread", "value")


@dataclass(frozen=True)
class Difference:
    """One row of ``lightning_differences.csv``.

    Args:
        key: regular expression for the whole key.
        via: a way out of Lightning, or empty for all.
        stage: a stage, or empty for all.
        kind: ``"own"``: Lightning writes the key by itself, nobody logged it. ``"one-sided"``: the
            versions record the key there and others do not, so that it has no partner.
            ``"absent"``: the versions do not record the key there, and others do. ``"unread"``:
            the versions have it there only where something asks for it, so that two of them may
            differ. ``"value"``: the versions compute another number from the same program.
        since: first version that the row is true of; empty from the start.
        until: last version that the row is true of; empty to this day.
        why: what the version does, in words for people.
        source: file and name in Lightning.
    """

    key: str
    via: str
    stage: str
    kind: str
    since: str
    until: str
    why: str
    source: str

    def meets(self, key: str, via: str, stage: str, version: str) -> bool:
        """Return whether the row speaks of a key of a side that ran on a version."""
        if self.via not in ("", via) or self.stage not in ("", stage):
            return False
        if not re.fullmatch(self.key, key):
            return False
        number = _number(version)
        return (not self.since or _number(self.since) <= number) and (
            not self.until or number <= _number(self.until)
        )


@cache
def differences() -> tuple[Difference, ...]:
    """Return the rows of the table."""
    data = pkgutil.get_data("lintmetrics.verify", "lightning_differences.csv")
    assert data is not None
    return tuple(Difference(**row) for row in csv.DictReader(data.decode("utf-8").splitlines()))


@cache
def explained(kind: str, key: str, via: str, stage: str, version: str) -> str:
    """Return why a version records a key as it does, empty when no row of the kind speaks of it."""
    for row in differences():
        if row.kind == kind and row.meets(key, via, stage, version):
            return row.why
    return ""


def lightning_version(environment: Mapping[str, Any]) -> str:
    """Return the version of Lightning in the environment of a record, empty when unknown."""
    root = str(environment.get("lightning_from", "")).split(".")[0]
    for name in (root, "lightning", "pytorch_lightning"):
        if environment.get(name):
            return str(environment[name])
    return ""


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])
