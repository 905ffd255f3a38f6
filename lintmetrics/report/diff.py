"""Unified diffs that ``git apply`` takes, byte for byte."""

from __future__ import annotations

import bisect
import difflib
import os
from collections import Counter
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
    matcher = difflib.SequenceMatcher(None, "", "")
    matcher.opcodes = _opcodes(old, new)  # type: ignore[attr-defined]
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


_Opcode = tuple[str, int, int, int, int]


def _opcodes(old: list[str], new: list[str]) -> list[_Opcode]:
    """Return difflib's operations, in a time that does not grow with lines times changes.

    Lines that occur once in both texts, in the longest run of them that keeps its order, hold the
    texts together; difflib sees only what lies between.
    """
    counts_old, counts_new = Counter(old), Counter(new)
    places = {line: index for index, line in enumerate(new) if counts_new[line] == 1}
    pairs = [
        (index, places[line])
        for index, line in enumerate(old)
        if counts_old[line] == 1 and line in places
    ]
    codes: list[_Opcode] = []
    old_end = new_end = 0
    for old_next, new_next in [*_ascending(pairs), (len(old), len(new))]:
        matcher = difflib.SequenceMatcher(
            None, old[old_end:old_next], new[new_end:new_next], autojunk=False
        )
        for tag, a, b, c, d in matcher.get_opcodes():
            _add(codes, (tag, a + old_end, b + old_end, c + new_end, d + new_end))
        if old_next < len(old):
            _add(codes, ("equal", old_next, old_next + 1, new_next, new_next + 1))
        old_end, new_end = old_next + 1, new_next + 1
    return codes


def _add(codes: list[_Opcode], code: _Opcode) -> None:
    if codes and code[0] == "equal" == codes[-1][0]:
        codes[-1] = ("equal", codes[-1][1], code[2], codes[-1][3], code[4])
    else:
        codes.append(code)


def _ascending(pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the longest part of the pairs in which the second numbers ascend as well."""
    tails: list[int] = []
    ends: list[int] = []
    previous: list[int] = []
    for index, (_, place) in enumerate(pairs):
        length = bisect.bisect_left(tails, place)
        previous.append(ends[length - 1] if length else -1)
        if length == len(tails):
            tails.append(place)
            ends.append(index)
        else:
            tails[length], ends[length] = place, index
    chosen: list[tuple[int, int]] = []
    index = ends[-1] if ends else -1
    while index >= 0:
        chosen.append(pairs[index])
        index = previous[index]
    return chosen[::-1]


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
