"""How Python source is stored in bytes: encoding declarations, byte order marks, newlines."""

from __future__ import annotations

import codecs
import re

from lintmetrics.errors import SourceError
from lintmetrics.source import Source

MAX_BYTES = 10_000_000
"""Python files above this are data, not code: the largest in 400 old packages has 1.2 MB."""

_COOKIE = re.compile(rb"^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")
_BLANK = re.compile(rb"^[ \t\f]*(?:#.*)?$")
_WIDE_MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)


class PlainText:
    """The container of a ``.py`` file.

    Args:
        path: the file, as shown to the user.
        encoding: the name of its codec.
        mark: the byte order mark it begins with, or nothing.
        exact: whether the codec gives the file's own bytes back.
    """

    def __init__(self, path: str, encoding: str, mark: bytes = b"", exact: bool = True) -> None:
        self.path = path
        self.encoding = encoding
        self.mark = mark
        self.exact = exact

    def pack(self, text: str) -> bytes:
        """Return the bytes of the file with ``text`` in it."""
        if not self.exact:
            raise SourceError(
                self.path,
                f"cannot be written back byte for byte in {self.encoding}; convert it to UTF-8",
            )
        try:
            return self.mark + text.encode(self.encoding)
        except UnicodeEncodeError as error:
            character = text[error.start]
            raise SourceError(
                self.path,
                f"{character!r} of the fix does not exist in {self.encoding}; "
                "convert the file to UTF-8",
            ) from None

    def locate(self, line: int) -> tuple[int | None, int]:
        """Return the line itself: there are no cells."""
        return None, line


def read(data: bytes, path: str) -> Source:
    """Return the source of a Python file from its bytes.

    Raises:
        SourceError: the bytes are no Python text.
    """
    if len(data) > MAX_BYTES:
        raise SourceError(
            path,
            f"has {len(data) / 1e6:.0f} MB; Python files above {MAX_BYTES // 1_000_000} MB "
            "are not read, exclude it",
        )
    for wide, name in _WIDE_MARKS:
        if data.startswith(wide):
            raise SourceError(path, f"is {name} text, which Python does not read; save it as UTF-8")
    mark = b""
    if data.startswith(codecs.BOM_UTF8):
        mark, data = codecs.BOM_UTF8, data[len(codecs.BOM_UTF8) :]
    encoding = _declared(data, path, bool(mark))
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = len(re.findall(rb"\r\n|\r|\n", data[: error.start])) + 1
        raise SourceError(
            path,
            f"byte {data[error.start]:#04x} is not {encoding}; "
            "save it as UTF-8 or declare its encoding in the first line",
            line,
        ) from None
    except (LookupError, ValueError, TypeError) as error:
        raise SourceError(path, f"cannot be decoded as {encoding}: {error}") from None
    if "\0" in text:
        before = text[: text.index("\0")]
        line = len(re.findall(r"\r\n|\r|\n", before)) + 1
        raise SourceError(path, "holds a NUL character, so it is no Python text", line)
    exact = encoding == "utf-8" or _round_trips(text, encoding, data)
    return Source(path, text, PlainText(path, encoding, mark, exact))


def _round_trips(text: str, encoding: str, data: bytes) -> bool:
    try:
        return text.encode(encoding) == data
    except UnicodeError:
        return False


def _declared(data: bytes, path: str, marked: bool) -> str:
    """Return the encoding that the first two lines declare, as Python reads them (PEP 263)."""
    head = data[:1000]
    if b"coding" not in head:
        return "utf-8"
    lines = re.split(rb"\r\n|\r|\n", head)
    for number, line in enumerate(lines[:2], 1):
        match = _COOKIE.match(line)
        if match:
            name = match[1].decode("ascii", "replace")
            normal = name[:12].lower().replace("_", "-")
            if normal == "utf-8" or normal.startswith("utf-8-"):
                return "utf-8"
            if marked:
                raise SourceError(
                    path, f"begins with the mark of UTF-8 and declares {name}; keep one", number
                )
            try:
                info = codecs.lookup(name)
            except LookupError:
                raise SourceError(
                    path, f"declares the encoding {name}, which Python does not know", number
                ) from None
            # base64, rot13 and the like are codecs without being encodings of text.
            if not getattr(info, "_is_text_encoding", True):
                raise SourceError(
                    path, f"declares {name}, which is not an encoding of text", number
                )
            return info.name
        if not _BLANK.match(line):
            break
    return "utf-8"
