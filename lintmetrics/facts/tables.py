"""The tables of this package, read."""

from __future__ import annotations

import csv
import pkgutil


def rows(table: str) -> list[dict[str, str]]:
    """Return the rows of one table of this package, such as ``"moves"`` for ``moves.csv``."""
    # pkgutil reads out of a zip as importlib.resources does, and costs nothing to import.
    data = pkgutil.get_data(__package__, f"{table}.csv")
    assert data is not None
    return list(csv.DictReader(data.decode("utf-8").splitlines()))
