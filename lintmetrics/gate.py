"""Is a file worth parsing? A test of its bytes that may only err on the side of parsing."""

from __future__ import annotations

import re

# Every rule speaks of something that is spelled with one of these: the libraries by name, a hook
# of a LightningModule or Callback, or a log call.
_INTERESTING = re.compile(
    rb"lightning|torchmetrics|_step\b|_step_end\b|_epoch_end\b|self\.log\b|\.log_dict\(|_batch_end\b"
    rb"|_batch_start\b|_epoch_start\b|_step_outputs\b"
)
_SUPPRESSION = re.compile(rb"lintmetrics:|noqa\s*:[^\n]*\bLM\d", re.IGNORECASE)
_PROJECT = re.compile(rb"lightning|torchmetrics")


def names_a_library(data: bytes) -> bool:
    """Tell whether the bytes name Lightning or TorchMetrics; no project without such a file has
    anything to find, unless its configuration names bases of its own."""
    return _PROJECT.search(data) is not None


def is_interesting(data: bytes) -> bool:
    """Tell whether a rule could find anything in a file with these bytes."""
    return _INTERESTING.search(data) is not None


def has_suppression(data: bytes) -> bool:
    """Tell whether the bytes may hold a suppression comment."""
    return _SUPPRESSION.search(data) is not None
