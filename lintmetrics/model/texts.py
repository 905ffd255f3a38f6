"""Strings made of known and unknown parts: what keys that are put together come to."""

from __future__ import annotations

import re
from collections.abc import Sequence

from lintmetrics.model.values import UNKNOWN, Const, Seq, Text, Value, text_of


def text(parts: Sequence[str | None]) -> Value:
    """Return a string made of known and unknown parts."""
    merged: list[str | None] = []
    for part in parts:
        if merged and isinstance(part, str) and isinstance(merged[-1], str):
            merged[-1] = merged[-1] + part
        elif part != "":
            merged.append(part)
    if not merged:
        return Const("")
    if len(merged) == 1 and merged[0] is not None:
        return Const(merged[0])
    return Text(tuple(merged))


def parts_of(value: Value) -> tuple[str | None, ...] | None:
    """Return the known and unknown parts of a string, ``None`` for what is no string."""
    if isinstance(value, Const) and isinstance(value.value, str):
        return (value.value,)
    return value.parts if isinstance(value, Text) else None


def percent(template: str, right: Value) -> Value:
    """Return ``template % right``."""
    items = list(right.items) if isinstance(right, Seq) else [right]
    pieces: list[str | None] = []
    rest = re.split(r"%[-#0 +]*[\d.]*[sdifr]", template)
    for index, piece in enumerate(rest):
        pieces.append(piece)
        if index < len(rest) - 1:
            known = items[index] if index < len(items) else UNKNOWN
            pieces.append(text_of(known) if isinstance(known, Const) else None)
    return text(pieces)


def formatted(template: str, arguments: Sequence[Value], keywords: dict[str, Value]) -> Value:
    """Return ``template.format(*arguments, **keywords)``."""
    pieces: list[str | None] = []
    position = 0
    for index, piece in enumerate(re.split(r"\{(\w*)[^{}]*\}", template)):
        if index % 2 == 0:
            pieces.append(piece)
            continue
        value: Value = UNKNOWN
        if piece == "" and position < len(arguments):
            value = arguments[position]
            position += 1
        elif piece.isdigit() and int(piece) < len(arguments):
            value = arguments[int(piece)]
        elif piece in keywords:
            value = keywords[piece]
        known = parts_of(value)
        if known is not None:
            pieces += known
        else:
            pieces.append(str(value.value) if isinstance(value, Const) else None)
    return text(pieces)
