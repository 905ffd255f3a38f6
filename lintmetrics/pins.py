"""What a project's own metadata says about the releases that its code runs on.

Only what binds counts: the version in a lock file, ``==``, ``~=``, ``<`` and the like. A lower
bound alone lets the newest release in, which is what is judged for anyway.
"""

from __future__ import annotations

import ast
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lintmetrics.releases import numbers

_DISTRIBUTIONS = {
    "lightning": "lightning",
    "pytorch-lightning": "lightning",
    "torchmetrics": "torchmetrics",
}
_CURRENT = {"lightning": 2, "torchmetrics": 1}  # Major releases that are still made.
_NAME = r"(?P<name>pytorch[-_.]lightning|lightning|torchmetrics)"
_REQUIREMENT = re.compile(
    rf"\s*{_NAME}\s*(?:\[[^\]]*\])?\s*(?P<bounds>[^\w\s;#\[][^;#]*)?(?:[;#].*)?$", re.I
)
_CLAUSE = re.compile(r"(===?|~=|!=|<=|>=|<|>|\^|~|=)?\s*v?(\d[\w.*+!]*)")
_LOCKED = re.compile(
    rf'^\[\[package\]\]\s*^name = "{_NAME}"\s*^version = "(?P<version>[^"]+)"', re.M | re.I
)
_SPOKEN_OF = re.compile(rb"lightning|torchmetrics", re.I)


@dataclass(frozen=True)
class Pin:
    """A bound of a project on one library.

    Args:
        library: ``"lightning"`` or ``"torchmetrics"``.
        version: the newest release that it lets in.
        place: the file, with the line where there is one.
    """

    library: str
    version: str
    place: str


def pins_in(directory: str) -> dict[str, Pin]:
    """Return what the metadata that stands in a directory pins, by library.

    A lock file beats what it was made from. Of several bounds the highest counts: the code has to
    run on that as well.
    """
    try:
        names = sorted(os.listdir(directory))
    except OSError:
        return {}
    found: dict[str, Pin] = {}
    for readers in (_LOCKS, _DECLARATIONS):
        here: dict[str, Pin] = {}
        for name in names:
            for pattern, reader in readers:
                if pattern.fullmatch(name):
                    for pin in _read(directory, name, reader):
                        known = here.get(pin.library)
                        if known is None or _height(pin) > _height(known):
                            here[pin.library] = pin
        found = {**here, **found}
    return found


def targets(pins: Mapping[str, Pin]) -> dict[str, Pin]:
    """Return the pins that say what to judge for.

    A pin of an earlier major release says that the project has not moved yet. To move it is what
    the findings are for, so the newest release is the target then, of TorchMetrics too.
    """
    found = {
        library: pin
        for library, pin in pins.items()
        if _CURRENT[library] == int(numbers(pin.version, 0)[0]) and "." in pin.version
    }
    lightning = pins.get("lightning")
    if lightning is not None and numbers(lightning.version, 0)[0] < _CURRENT["lightning"]:
        return {}
    return found


def _height(pin: Pin) -> tuple[float, ...]:
    return numbers(pin.version, float("inf"))


_Reader = Callable[[str], Iterator[tuple[str, str, int]]]


def _read(directory: str, name: str, reader: _Reader) -> Iterator[Pin]:
    path = os.path.join(directory, name)
    if os.path.isdir(path):
        # requirements/base.txt and its neighbours.
        if name == "requirements":
            for inner in sorted(os.listdir(path)):
                if inner.endswith((".txt", ".in")):
                    yield from _read(path, inner, _lines)
        return
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError:
        return
    if not _SPOKEN_OF.search(data):
        return
    for distribution, version, line in reader(data.decode("utf-8", "replace")):
        library = _DISTRIBUTIONS[re.sub(r"[-_.]+", "-", distribution).lower()]
        place = f"{os.path.relpath(path)}:{line}" if line else os.path.relpath(path)
        yield Pin(library, version, place)


# What a bound says --------------------------------------------------------------------------


def newest_allowed(bounds: str) -> str:
    """Return the newest release that bounds let in, such as ``"2.1"``; empty without a limit."""
    limits: list[str] = []
    if "|" in bounds:
        return ""
    for clause in bounds.split(","):
        match = _CLAUSE.match(clause.strip().strip("()\"' "))
        if match is not None:
            limit = _limit(match.group(1) or "==", match.group(2))
            if limit:
                limits.append(limit)
    return min(limits, key=lambda version: numbers(version, float("inf")), default="")


def _limit(operator: str, version: str) -> str:
    match = re.match(r"\d+(?:\.\d+)*", version)
    assert match is not None
    parts = match.group().split(".")
    if operator in ("==", "===", "=", "<="):
        return ".".join(parts)
    if operator == "~=":
        return ".".join(parts[:-1]) if len(parts) > 1 else ""
    if operator == "~":
        return ".".join(parts[:2])
    if operator == "^":
        zeros = next((i for i, part in enumerate(parts) if int(part)), len(parts) - 1)
        return ".".join(parts[: zeros + 1])
    if operator == "<":
        return _below([int(part) for part in parts])
    return ""


def _below(parts: list[int]) -> str:
    """Return the newest release below a version: any patch of 2.1 below 2.2."""
    while len(parts) > 1 and parts[-1] == 0:
        parts = parts[:-1]
    parts = [*parts[:-1], parts[-1] - 1]
    return ".".join(str(part) for part in parts) if parts[-1] >= 0 else "0"


# Where bounds stand -------------------------------------------------------------------------


def _requirement(text: str) -> tuple[str, str] | None:
    """Return ``(distribution, newest release)`` of a requirement that has a limit."""
    match = _REQUIREMENT.match(text)
    version = newest_allowed(match.group("bounds") or "") if match is not None else ""
    return (match.group("name"), version) if match is not None and version else None


def _lines(text: str) -> Iterator[tuple[str, str, int]]:
    for number, line in enumerate(text.splitlines(), 1):
        found = _requirement(line)
        if found is not None:
            yield *found, number


def _cfg(text: str) -> Iterator[tuple[str, str, int]]:
    for number, line in enumerate(text.splitlines(), 1):
        found = _requirement(re.sub(r"^[\w.-]+\s*=\s+", "", line))
        if found is not None:
            yield *found, number


def _conda(text: str) -> Iterator[tuple[str, str, int]]:
    for number, line in enumerate(text.splitlines(), 1):
        match = re.match(r"\s*-\s*[\"']?(?:[\w./-]+::)?(.*?)[\"']?\s*(?:#.*)?$", line)
        # conda's `name 2.1` and `name=2.1=py311_0` besides what pip knows.
        spec = re.sub(r"^([\w.-]+)\s+(?=\d)", r"\1==", match.group(1)) if match else ""
        found = _requirement(re.sub(r"^([\w.-]+=[\w.*]+)=\w+$", r"\1", spec))
        if found is not None:
            yield *found, number


def _script(text: str) -> Iterator[tuple[str, str, int]]:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found = _requirement(node.value)
            if found is not None:
                yield *found, node.lineno


def _locked(text: str) -> Iterator[tuple[str, str, int]]:
    for match in _LOCKED.finditer(text):
        yield match["name"], match["version"], text.count("\n", 0, match.start("version")) + 1


def _toml(text: str) -> Iterator[tuple[str, str, int]]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return  # Who reads it for its own sake says so.
    lines = text.splitlines()
    for found in _in_tables(values):
        line = next(
            (
                n
                for n, written in enumerate(lines, 1)
                if found[0] in written and found[2] in written
            ),
            0,
        )
        yield found[0], found[1], line


def _in_tables(values: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield ``(distribution, newest release, text)`` of the requirements of a project file."""
    project, tool = _table(values, "project"), _table(values, "tool")
    poetry = _table(tool, "poetry")
    yield from _listed(project.get("dependencies"))
    for group in (
        _table(project, "optional-dependencies"),
        _table(values, "dependency-groups"),
        _table(_table(tool, "pdm"), "dev-dependencies"),
    ):
        for listed in group.values():
            yield from _listed(listed)
    yield from _listed(_table(tool, "uv").get("dev-dependencies"))
    for table in (
        _table(poetry, "dependencies"),
        _table(poetry, "dev-dependencies"),
        *(_table(group, "dependencies") for group in _tables(_table(poetry, "group"))),
        _table(values, "packages"),
        _table(values, "dev-packages"),
    ):
        for name, given in table.items():
            for one in given if isinstance(given, list) else [given]:
                bounds = one.get("version") if isinstance(one, dict) else one
                if isinstance(bounds, str) and re.fullmatch(_NAME, name, re.I):
                    version = newest_allowed(bounds)
                    if version:
                        yield name, version, bounds


def _listed(items: object) -> Iterator[tuple[str, str, str]]:
    for item in items if isinstance(items, list) else ():
        found = _requirement(item) if isinstance(item, str) else None
        if found is not None:
            yield *found, item


def _table(values: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = values.get(key)
    return found if isinstance(found, dict) else {}


def _tables(values: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    return (value for value in values.values() if isinstance(value, dict))


_LOCKS: list[tuple[re.Pattern[str], _Reader]] = [
    (re.compile(r"(?:uv|poetry|pdm)\.lock"), _locked),
]
_DECLARATIONS: list[tuple[re.Pattern[str], _Reader]] = [
    (re.compile(r"pyproject\.toml|Pipfile"), _toml),
    (re.compile(r"setup\.cfg"), _cfg),
    (re.compile(r"setup\.py"), _script),
    (re.compile(r"[\w.-]*(?:requirements|constraints)[\w.-]*\.(?:txt|in)|requirements"), _lines),
    (re.compile(r"(?:[\w.-]*env[\w.-]*|conda[\w.-]*|meta)\.ya?ml"), _conda),
]
