"""Keys as they leave Lightning: which log calls write to one and the same series.

Source: section 5 of the semantics of ``self.log``, run on lightning 2.6.6.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from lintmetrics.model.flow import LightningClass
from lintmetrics.model.log_calls import LogCall, LogContext
from lintmetrics.model.values import Form, Metric, Number, options

_SIZES = (Form.COUNT, Form.BATCHES)


@dataclass(frozen=True)
class Written:
    """One way in which a key is written.

    Args:
        call: the log call; ``way``: how it is reached; ``name``: the key as loggers are given it.
    """

    call: LogCall
    way: LogContext
    name: str


def written(model: LightningClass) -> dict[str, list[Written]]:
    """Return every key that loggers are given for certain, with all that writes it, in order."""
    found: dict[str, list[Written]] = {}
    for call in model.log_calls:
        if not _reaches_loggers(call):
            continue
        for way in call.contexts:
            for name in _names(way):
                found.setdefault(name, []).append(Written(call, way, name))
    return found


def is_of_samples(way: LogContext) -> bool:
    """Tell whether what is logged is surely a number made of samples, and no setting or counter."""
    held = options(way.value)
    return bool(held) and all(
        isinstance(value, Metric) or (isinstance(value, Number) and value.form not in _SIZES)
        for value in held
    )


def _reaches_loggers(call: LogCall) -> bool:
    if any(keyword.arg is None for keyword in call.node.keywords):
        return False
    given = call.argument("logger")
    return given is None or (isinstance(given, ast.Constant) and given.value in (True, None))


def _names(way: LogContext) -> Iterator[str]:
    if way.key is None or "*" in way.key or way.on_step is None or way.on_epoch is None:
        return
    if way.on_step and way.on_epoch:
        yield f"{way.key}_step"
        yield f"{way.key}_epoch"
    elif way.on_step or way.on_epoch:
        yield way.key
