"""Where reports are written, and in which colours."""

from __future__ import annotations

import os
import sys
from typing import TextIO

_STYLES = {
    "path": "1",
    "code": "1;31",
    "mark": "36",
    "rule": "34",
    "caret": "1;31",
    "label": "1",
    "added": "32",
    "removed": "31",
    "place": "36",
    "warning": "33",
    "error": "1;31",
}


class Paint:
    """Colours text, or leaves it alone."""

    def __init__(self, on: bool) -> None:
        self.on = on

    def __call__(self, style: str, text: str) -> str:
        """Return ``text`` in a style."""
        return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if self.on and text else text


def paint_for(stream: TextIO, when: str) -> Paint:
    """Return the colours for a stream.

    Args:
        stream: where the text goes.
        when: ``"always"``, ``"never"``, or ``"auto"``: on a terminal whose user did not set
            ``NO_COLOR``.
    """
    if when != "auto":
        return Paint(when == "always")
    if os.environ.get("NO_COLOR"):
        return Paint(False)
    if os.environ.get("FORCE_COLOR"):
        return Paint(True)
    return Paint(stream.isatty() and os.environ.get("TERM") != "dumb")


def write(stream: TextIO, text: str) -> None:
    """Write text whatever the encoding of the stream; what it cannot show is escaped."""
    encoding = stream.encoding or "utf-8"
    write_bytes(stream, text.encode(encoding, "backslashreplace"))


def write_bytes(stream: TextIO, data: bytes) -> None:
    """Write bytes as they are: newlines of the files in a diff must reach the reader."""
    stream.flush()
    buffer = getattr(stream, "buffer", None)
    if buffer is None:
        stream.write(data.decode("utf-8", "replace"))
    else:
        buffer.write(data)
        buffer.flush()


def tell(text: str) -> None:
    """Write lines to standard error."""
    write(sys.stderr, text if text.endswith("\n") else text + "\n")


def printable(text: str) -> str:
    """Return text without characters that would steer a terminal."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char == "\t" else char.encode("unicode_escape").decode()
        for char in text
    )
