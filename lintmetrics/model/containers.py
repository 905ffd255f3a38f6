"""Lists, tuples and dicts of values: what is in them, and what they are after a change.

Each function returns ``UNKNOWN`` for what it does not understand, never a guess.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import replace

from lintmetrics.model.values import (
    UNKNOWN,
    Const,
    Elements,
    Form,
    Map,
    Metric,
    Number,
    Seq,
    Value,
    each,
    merge,
    options,
    text_of,
)

# Parts of a report that are means over samples, whatever the rest of it is.
_MEANS_OF_REPORTS = ("accuracy", "exact_match")


def items_of(value: Value) -> list[Value] | None:
    """Return the items that iterating yields, ``None`` when they are not known."""
    if isinstance(value, Seq):
        return list(value.items)
    if isinstance(value, Map) and not value.open:
        return [Const(key) for key, _ in value.items]
    return None


def element_of(value: Value) -> Value:
    """Return what stands for any item of an iterable."""
    if isinstance(value, Elements):
        return value.of
    if isinstance(value, Seq):
        return merge(list(value.items))
    if isinstance(value, Number):
        return value
    if isinstance(value, Map):
        return UNKNOWN
    if len(options(value)) > 1:
        return each(value, element_of)
    return UNKNOWN


def unpack(value: Value, count: int) -> list[Value]:
    """Return the parts that an unpacking into ``count`` targets gives."""
    if isinstance(value, Seq) and len(value.items) == count:
        return list(value.items)
    if len(options(value)) > 1:
        split = [unpack(option, count) for option in options(value)]
        return [merge([parts[index] for parts in split]) for index in range(count)]
    if isinstance(value, Number):
        return [value] * count
    if isinstance(value, Elements):
        return [value.of] * count
    return [UNKNOWN] * count


def item(value: Value, key: Value, node: ast.Subscript) -> Value:
    """Return ``value[key]``."""
    name = text_of(key)
    if isinstance(value, Map):
        if name is not None and "*" not in name:
            return value.get(name)
        if name is not None:
            pattern = re.compile(re.escape(name).replace(r"\*", ".*") + "$")
            fitting = [v for k, v in value.items if pattern.match(k)]
            return merge(fitting) if fitting and not value.open else UNKNOWN
        return merge([v for _, v in value.items]) if value.items and not value.open else UNKNOWN
    if isinstance(value, Seq):
        if isinstance(key, Const) and isinstance(key.value, int):
            index = key.value
            if -len(value.items) <= index < len(value.items):
                return value.items[index]
            return UNKNOWN
        if isinstance(node.slice, ast.Slice):
            return Elements(merge(list(value.items)))
        return merge(list(value.items))
    if isinstance(value, Elements):
        if not isinstance(node.slice, ast.Slice):
            return value.of
        # The last hundred batches are a moving window, not the epoch.
        window = isinstance(node.slice.lower, ast.UnaryOp)
        return Elements(value.of, value.per_batch and not window)
    if isinstance(value, Metric) and value.members and name is not None:
        return next((member for key_, member in value.members if key_ == name), UNKNOWN)
    if isinstance(value, Number):
        if value.form is Form.METRIC and name in _MEANS_OF_REPORTS:
            return Number(Form.MEAN)
        return value
    return UNKNOWN


def columns(rows: Value) -> list[Value] | None:
    """Return what ``zip(*rows)`` yields for a list of like tuples, ``None`` for others."""
    if isinstance(rows, Elements) and isinstance(rows.of, Seq):
        return [Elements(item, rows.per_batch) for item in rows.of.items]
    return None


def with_item(holder: Value, key: Value, value: Value) -> Value:
    """Return a container after ``holder[key] = value``."""
    name = text_of(key)
    if isinstance(holder, Map):
        if name is None:
            return replace(holder, open=True)
        return holder.with_item(name, registered(value, holder.container))
    if len(options(holder)) > 1:
        return each(holder, lambda option: with_item(option, key, value))
    return holder


def updated(found: Map, value: Value) -> Map:
    """Return a dict after ``found.update(value)``."""
    if isinstance(value, Map):
        for key, entry in value.items:
            found = found.with_item(key, registered(entry, found.container))
        return replace(found, open=found.open or value.open)
    return replace(found, open=True)


def mutated(
    owner: Value,
    name: str,
    arguments: Sequence[Value],
    keywords: dict[str, Value],
    loop: str,
) -> Value | None:
    """Return a container after a method changed it in place, ``None`` when it is none.

    ``loop`` is ``"batches"`` inside a loop over step outputs, ``"other"`` inside another loop.
    """
    if isinstance(owner, Map) and name == "update":
        for argument in arguments:
            owner = updated(owner, argument)
        return updated(owner, Map(tuple(keywords.items())))
    if name == "append" and arguments and isinstance(owner, (Seq, Elements)):
        added = arguments[0]
        if isinstance(owner, Seq):
            added = registered(added, owner.container)
        if loop or isinstance(owner, Elements):
            of = merge([*([element_of(owner)] if element_of(owner) != UNKNOWN else []), added])
            per_batch = loop == "batches" or (isinstance(owner, Elements) and owner.per_batch)
            return Elements(of, per_batch)
        return replace(owner, items=(*owner.items, added))
    if name == "extend" and arguments and isinstance(owner, (Seq, Elements)):
        return Elements(merge([element_of(arguments[0])]), False)
    if len(options(owner)) > 1 and name in ("append", "update"):
        changed = [mutated(option, name, arguments, keywords, loop) for option in options(owner)]
        return merge([c for c in changed if c is not None]) if all(changed) else None
    return None


def appended(before: Value, items: Sequence[Value], loop: str) -> Value:
    """Return a list after items were added to it in a loop."""
    for entry in items:
        before = mutated(before, "append", [entry], {}, loop) or UNKNOWN
    return before


def held(value: Value, attribute: str) -> Value:
    """Return a value as the module's attribute of that name holds it."""
    if isinstance(value, Metric):
        return value if value.path else value.at(attribute)
    return _placed(value, attribute, "")


def _placed(value: Value, path: str, container: str) -> Value:
    """Return a value with its Metric objects named by the way to them."""
    if isinstance(value, Metric):
        return value if value.path else value.at(path, value.container or container)
    if isinstance(value, Map):
        items = tuple((key, _placed(v, f"{path}[{key!r}]", "dict")) for key, v in value.items)
        return replace(value, items=items)
    if isinstance(value, Seq):
        entries = enumerate(value.items)
        listed = tuple(_placed(v, f"{path}[{index}]", "list") for index, v in entries)
        return replace(value, items=listed)
    if isinstance(value, Elements) and isinstance(value.of, Metric) and not value.of.path:
        return Elements(value.of.at(f"{path}[...]", value.of.container or "list"))
    return value


def registered(value: Value, kind: str) -> Value:
    """Return a value whose metrics are registered as submodules, where something does that."""
    if not kind:
        return value

    def mark(entry: Value) -> Value:
        if isinstance(entry, Metric):
            return replace(entry, container=kind, path="")
        if isinstance(entry, Map):  # A container in a container.
            return Map(tuple((key, mark(inner)) for key, inner in entry.items), entry.open)
        return entry

    if isinstance(value, Metric):
        return mark(value)
    if isinstance(value, Map):
        entries = tuple((key, mark(entry)) for key, entry in value.items)
        return Map(entries, value.open, kind)
    if isinstance(value, Seq):
        return Seq(tuple(mark(entry) for entry in value.items), kind)
    if isinstance(value, Elements):
        return Elements(mark(value.of), value.per_batch)
    return value


def as_training_output(value: Value) -> Value:
    """Return one entry of old ``training_epoch_end`` outputs: always a dict with ``loss``."""
    if isinstance(value, Map):
        return value
    return Map((("loss", value),), open=True) if isinstance(value, Number) else UNKNOWN
