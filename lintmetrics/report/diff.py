"""Unified diffs that ``git apply`` takes, byte for byte."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from lintmetrics import sources

if TYPE_CHECKING:
    from lintmetrics.report.terminal import Paint

_CONTEXT = 3


def diff(before: Mapping[str, str], after: Mapping[str, str], paint: Paint) -> bytes:
    """Return the changes of all files.

    Names are relative to the top of the git work tree that holds the file, as in git's own diffs,
    because ``git apply`` silently passes over other names when it runs in a subdirectory; without
    a work tree they are relative to the working directory.

    Args:
        before: text by path, as ``sources.shown_bytes`` gives it; ``after``: the same.
        after: the texts to arrive at.
        paint: the colours.
    """
    out: list[str] = []
    for path in sorted(before):
        if path in after and before[path] != after[path]:
            out += _file(_name(path), before[path], after[path], paint)
    return sources.diff_bytes("".join(out))


def _name(path: str) -> str:
    full = os.path.normpath(os.path.join(os.getcwd(), path))
    top = sources.repository_top(full)
    if top is None:
        return path.lstrip("/")
    return os.path.relpath(full, top).replace(os.sep, "/")


def _quoted(name: str) -> str:
    """Return a name as git writes it: in C notation when it holds anything unusual."""
    data = name.encode("utf-8", "surrogateescape")
    if all(byte > 0x1F and byte not in b'"\\\x7f' and byte < 0x80 for byte in data):
        return name
    escapes = {0x09: "\\t", 0x0A: "\\n", 0x0D: "\\r", 0x22: '\\"', 0x5C: "\\\\"}
    inner = "".join(
        escapes.get(byte) or (chr(byte) if 0x1F < byte < 0x7F else f"\\{byte:03o}") for byte in data
    )
    return f'"{inner}"'


def _file(name: str, before: str, after: str, paint: Paint) -> list[str]:
    old, new = _lines(before), _lines(after)
    # Equal ends are most of a file, and difflib would compare them all.
    head = 0
    shorter = min(len(old), len(new))
    while head < shorter and old[head] == new[head]:
        head += 1
    tail = 0
    while tail < shorter - head and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    matcher = difflib.SequenceMatcher(
        None, old[head : len(old) - tail], new[head : len(new) - tail], autojunk=False
    )
    codes = [("equal", 0, head, 0, head)] if head else []
    codes += [
        (t, a + head, b + head, c + head, d + head) for t, a, b, c, d in matcher.get_opcodes()
    ]
    if tail:
        codes.append(("equal", len(old) - tail, len(old), len(new) - tail, len(new)))
    matcher.opcodes = codes  # type: ignore[attr-defined]
    old_name, new_name = _quoted(f"a/{name}"), _quoted(f"b/{name}")
    # A name with a blank ends at a tab, or patch(1) takes what follows for a time.
    ending = "\t\n" if " " in name else "\n"
    out = [
        paint("label", f"diff --git {old_name} {new_name}") + "\n",
        paint("label", f"--- {old_name}") + ending,
        paint("label", f"+++ {new_name}") + ending,
    ]
    for group in matcher.get_grouped_opcodes(_CONTEXT):
        first, last = group[0], group[-1]
        place = f"@@ -{_range(first[1], last[2])} +{_range(first[3], last[4])} @@"
        out.append(paint("place", place) + "\n")
        for tag, a, b, c, d in group:
            if tag == "equal":
                out += [_line(" ", line, "", paint) for line in old[a:b]]
                continue
            out += [_line("-", line, "removed", paint) for line in old[a:b]]
            out += [_line("+", line, "added", paint) for line in new[c:d]]
    return out


def _lines(text: str) -> list[str]:
    """Split at line feeds only, as git does."""
    lines = text.split("\n")
    last = lines.pop()
    return [line + "\n" for line in lines] + ([last] if last else [])


def _range(start: int, stop: int) -> str:
    length = stop - start
    if length == 1:
        return str(start + 1)
    return f"{start if length == 0 else start + 1},{length}"


def _line(sign: str, line: str, style: str, paint: Paint) -> str:
    body = line.removesuffix("\n")
    ending = "\n" if body != line else "\n\\ No newline at end of file\n"
    return (paint(style, sign + body) if style else sign + body) + ending
