"""What tests of several files share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from lintmetrics.verify.warm import WarmPythons


@pytest.fixture(scope="session")
def forking() -> Iterator[WarmPythons]:
    """Processes that all trainings of this run's cases are forked from."""
    pytest.importorskip("psutil", reason="training needs the verify extra")
    from lintmetrics.verify.warm import WarmPythons

    with WarmPythons() as made:
        yield made
