"""Is a file worth parsing? A test of its bytes that may only err on the side of parsing."""

from __future__ import annotations

import re

# Every rule speaks of something that is spelled with one of these: the libraries by name, a hook
# of a LightningModule or Callback, a log call, or a checkpoint that is loaded.
_INTERESTING = re.compile(
    rb"lightning|torchmetrics|_step\b|_step_end\b|_epoch_end\b|self\.log\b|\.log_dict\(|_batch_end\b"
    rb"|_batch_start\b|_epoch_start\b|_step_outputs\b|\.load_from_checkpoint\("
)
# Finding a fixed word in bytes is ten times as fast as an alternation, and most files have none.
_WORDS = (
    *(b"_step", b"_epoch_end", b"self.log", b".log_dict("),
    *(b"_batch_end", b"_batch_start", b"_epoch_start", b".load_from_checkpoint("),
)
_NOQA = re.compile(rb"noqa\s*:[^\n]*\bLM\d", re.IGNORECASE)


def names_a_library(data: bytes) -> bool:
    """Tell whether the bytes name Lightning or TorchMetrics; no project without such a file has
    anything to find, unless its configuration names bases of its own."""
    return b"lightning" in data or b"torchmetrics" in data


def is_interesting(data: bytes) -> bool:
    """Tell whether a rule could find anything in a file with these bytes."""
    if names_a_library(data):
        return True
    return any(word in data for word in _WORDS) and _INTERESTING.search(data) is not None


def has_suppression(data: bytes) -> bool:
    """Tell whether the bytes may hold a suppression comment."""
    return b"lintmetrics:" in data or (b"LM" in data and _NOQA.search(data) is not None)
