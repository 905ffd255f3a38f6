"""When a run looks for garbage: hardly ever, since what it makes lives until its end."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_MUCH = 1_000_000  # Objects since the last look; a large project makes so many once over.


@contextmanager
def uncollected() -> Iterator[None]:
    """Look for no garbage meanwhile, as importing and parsing make none to speak of."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def collect_much() -> None:
    """Look for garbage if much has been made since the last look: what earlier rounds left."""
    if gc.get_count()[0] > _MUCH:
        gc.collect()
