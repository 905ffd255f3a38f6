"""Correct rewrites with one thing spoiled, which a proof must not pass: ``Mutation``."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass, fields
from pathlib import Path

from lintmetrics.errors import LintmetricsError
from lintmetrics.verify.case import Case, read_case


class MutationError(LintmetricsError):
    """A table of mutations cannot be read, or one of them does not fit its fixture."""


@dataclass(frozen=True)
class Mutation:
    """One change to an ``after.py`` that makes it wrong.

    Args:
        name: what is done, in a few words.
        fixture: the folder of the case.
        text: what stands in ``after.py``, once.
        becomes: what it is replaced by.
        wrong: what is wrong then, in one line.
    """

    name: str
    fixture: str
    text: str
    becomes: str
    wrong: str


def read_mutations(path: Path) -> list[Mutation]:
    """Return the mutations of a TOML file, ``[[mutation]]`` by ``[[mutation]]``.

    Raises:
        MutationError: it is no TOML, or a mutation lacks something or has too much.
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        rows = tomllib.loads(path.read_text(encoding="utf-8"))["mutation"]
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError) as error:
        raise MutationError(f"{path}: holds no mutations: {error}") from None
    wanted = {field.name for field in fields(Mutation)}
    for number, row in enumerate(rows, 1):
        if set(row) != wanted or not all(isinstance(value, str) for value in row.values()):
            told = ", ".join(sorted(wanted))
            raise MutationError(f"{path}: mutation {number} must have these texts: {told}")
    return [Mutation(**row) for row in rows]


def mutated(mutation: Mutation, fixtures: Path, into: Path) -> Case:
    """Return the case of a mutation, in a copy of its fixture.

    Args:
        mutation: what to spoil.
        fixtures: the folder with the folders of all cases.
        into: where the copy goes, under the name of the mutation.

    Raises:
        MutationError: ``after.py`` does not hold the text, or holds it more than once.
    """
    source = fixtures / mutation.fixture / "after.py"
    try:
        text = source.read_text(encoding="utf-8")
    except OSError as error:
        raise MutationError(f"{mutation.name}: {source}: {error.strerror}") from None
    found = text.count(mutation.text)
    if found != 1:
        times = f"{found} times" if found else "not"
        told = f"{mutation.text!r} is {times} in {source}; a mutation replaces one place"
        raise MutationError(f"{mutation.name}: {told}")
    folder = into / mutation.name.replace(" ", "-")
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(source.parent, folder, ignore=ignored)
    (folder / "after.py").write_text(
        text.replace(mutation.text, mutation.becomes), encoding="utf-8"
    )
    return read_case(folder)
