"""Findings for programs: JSON with Ruff's keys and ours, and annotations for GitHub."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from lintmetrics.codemod import Relation
from lintmetrics.errors import SourceError
from lintmetrics.report.text import place
from lintmetrics.rule import Consequence

if TYPE_CHECKING:
    from lintmetrics.diagnostics import Diagnostic
    from lintmetrics.edits import Edit
    from lintmetrics.source import Location, Source

    SourceOf = Callable[[str], Source | None]
    """Reads a file by the path that the user is shown; ``None`` where its text has changed."""

_APPLICABILITY = {
    Relation.PRESERVES: "safe",
    Relation.CORRECTS: "safe",
    Relation.ASSUMES: "unsafe",
}
_SEVERITY = {
    Consequence.WRONG_NUMBER: "error",
    Consequence.CRASH: "error",
    Consequence.IGNORED: "error",
    Consequence.STALE: "warning",
    Consequence.SLOW: "warning",
    Consequence.STYLE: "warning",
}


def json_array(groups: Iterable[tuple[str, Diagnostic]], source_of: SourceOf) -> str:
    """Return an array of findings.

    Args:
        groups: ``(status, finding)``; the status is ``"left"``, ``"fixed"`` or ``"failed"``.
        source_of: for the rows and columns of edits.
    """
    return json.dumps(list(_records(groups, source_of)), indent=2) + "\n"


def json_lines(groups: Iterable[tuple[str, Diagnostic]], source_of: SourceOf) -> str:
    """Return one JSON object per line."""
    return "".join(json.dumps(record) + "\n" for record in _records(groups, source_of))


def _records(
    groups: Iterable[tuple[str, Diagnostic]], source_of: SourceOf
) -> Iterator[dict[str, Any]]:
    seen: Counter[str] = Counter()
    for status, item in groups:
        print_of = fingerprint(item)
        seen[print_of] += 1
        if seen[print_of] > 1:
            print_of = _digest(f"{print_of}:{seen[print_of]}")
        yield {
            "cell": item.start.cell,
            "code": item.code,
            "end_location": _location(item.end),
            "filename": item.path,
            "fix": _fix(item, source_of),
            "location": _location(item.start),
            "message": item.message,
            "name": item.name,
            "noqa_row": item.start.line,
            "severity": _SEVERITY[item.consequence],
            "url": _url(item.code),
            "consequence": item.consequence.value,
            "relation": item.fix.relation.value if item.fix else None,
            "help": item.help or None,
            "blocked_by": item.blocked or None,
            "codemod": item.codemod or None,
            "status": status,
            "fingerprint": print_of,
        }


def fingerprint(item: Diagnostic) -> str:
    """Return what identifies a finding when lines above it come and go."""
    line = " ".join(item.source_line.split())
    message = re.sub(r"\bline \d+", "line", item.message)
    return _digest("\n".join((item.path, item.code, line, message)))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _location(place: Location) -> dict[str, int]:
    return {"row": place.line, "column": place.column}


def _url(code: str) -> str | None:
    from lintmetrics import packs

    rule = packs.rules().get(code)
    source = rule.source if rule is not None else ""
    match = re.search(r"https?://\S+", source)
    return match.group().rstrip(".,;)") if match else None


def _fix(item: Diagnostic, source_of: SourceOf) -> dict[str, Any] | None:
    if item.fix is None:
        return None
    return {
        "applicability": _APPLICABILITY[item.fix.relation],
        "message": item.fix.message,
        "edits": [
            record for edit in item.fix.edits if (record := _edit(edit, item.path, source_of))
        ],
    }


def _edit(edit: Edit, path: str, source_of: SourceOf) -> dict[str, Any] | None:
    try:
        source = source_of(edit.path)
    except SourceError:
        return None
    if source is None or edit.end > len(source.text):
        return None
    start, end = source.location(edit.start), source.location(edit.end)
    record: dict[str, Any] = {
        "content": edit.new,
        "location": _location(start),
        "end_location": _location(end),
    }
    if start.cell is not None:
        record["cell"] = start.cell
    if edit.path != path:
        record["filename"] = edit.path
    return record


def github(diagnostics: Collection[Diagnostic]) -> str:
    """Return workflow commands that GitHub shows at the lines of a pull request."""
    out = []
    for item in diagnostics:
        level = _SEVERITY[item.consequence]
        fields = {"title": f"lintmetrics ({item.code})", "file": item.path}
        if item.start.cell is None:
            fields |= {"line": str(item.start.line), "col": str(item.start.column)}
            fields |= {"endLine": str(item.end.line), "endColumn": str(item.end.column)}
        told = ",".join(f"{key}={_escaped(value, True)}" for key, value in fields.items())
        where = place(item.path, item.start)
        message = _escaped(f"{where}: {item.code} {item.message}", False)
        out.append(f"::{level} {told}::{message}\n")
    return "".join(out)


def _escaped(text: str, is_property: bool) -> str:
    text = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return text.replace(":", "%3A").replace(",", "%2C") if is_property else text
