"""Answers that are worked out once, and kept on the object that they are about.

They live as long as it does. A table beside the objects, weak in its keys or bounded, would keep a
project with all its trees for good: what it holds leads back to the project.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

_Owner = TypeVar("_Owner")
_Rest = ParamSpec("_Rest")
_Answer = TypeVar("_Answer")


def kept(
    work: Callable[Concatenate[_Owner, _Rest], _Answer],
) -> Callable[Concatenate[_Owner, _Rest], _Answer]:
    """Return a function that works out its answer once for each object and further arguments.

    Args:
        work: a function of a project, file or class, which keeps the answers, and of what else
            they depend on.
    """
    label = f"_lm_{work.__module__}.{work.__qualname__}"

    @functools.wraps(work)
    def asked(owner: _Owner, /, *rest: _Rest.args, **named: _Rest.kwargs) -> _Answer:
        known: dict[Any, _Answer] = owner.__dict__.setdefault(label, {})
        key = (*rest, *named.items())
        if key not in known:
            known[key] = work(owner, *rest, **named)
        return known[key]

    return asked
