"""Packs of rules and codemods, found through entry points; the built-in pack is one of them.

An entry point of the group ``lintmetrics.rules`` or ``lintmetrics.codemods`` names a package. Every
module in it is imported, and each subclass of ``Rule`` or ``Codemod`` that it defines is taken in.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Iterator
from importlib import metadata
from types import ModuleType
from typing import TypeVar

from lintmetrics.codemod import Codemod
from lintmetrics.errors import LintmetricsError
from lintmetrics.rule import Rule

_T = TypeVar("_T", Rule, Codemod)


def _imported(pack: str, name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise LintmetricsError(
            f"pack {pack!r}: cannot import {name} ({error}); "
            "reinstall the package that declares it, or uninstall it"
        ) from error


def _defined(group: str, base: type[_T]) -> Iterator[tuple[str, type[_T]]]:
    points = sorted(metadata.entry_points(group=group), key=lambda p: (p.name != "core", p.name))
    seen: set[str] = set()
    for point in points:
        if point.value in seen:
            continue
        seen.add(point.value)
        package = _imported(point.name, point.value)
        modules = [package]
        for info in sorted(
            pkgutil.iter_modules(getattr(package, "__path__", []), f"{point.value}."),
            key=lambda info: info.name,
        ):
            modules.append(_imported(point.name, info.name))
        for module in modules:
            for value in vars(module).values():
                if (
                    isinstance(value, type)
                    and issubclass(value, base)
                    and value is not base
                    and value.__module__ == module.__name__
                    and not value.__name__.startswith("_")
                ):
                    yield point.name, value


@functools.cache
def rules() -> dict[str, Rule]:
    """Return every rule by its code, in order of code.

    Raises:
        LintmetricsError: a pack cannot be imported, or two packs claim one code or name.
    """
    found: dict[str, Rule] = {}
    owners: dict[str, str] = {}
    for pack, cls in _defined("lintmetrics.rules", Rule):
        rule = cls()
        for label in (rule.code, rule.name):
            if label in owners:
                raise LintmetricsError(
                    f"pack {pack!r}: {label} of {cls.__module__} is already taken by "
                    f"{owners[label]}, so a suppression would silence both; give one a free code"
                )
            owners[label] = cls.__module__
        found[rule.code] = rule
    if not found:
        # "Nothing found" would be a lie.
        raise LintmetricsError("no rules are installed: pip install --force-reinstall lintmetrics")
    return dict(sorted(found.items()))


@functools.cache
def codemods() -> dict[str, tuple[Codemod, ...]]:
    """Return the codemods for each code, the more wanted first (by ``priority``, then name)."""
    found: dict[str, list[Codemod]] = {}
    for _, cls in _defined("lintmetrics.codemods", Codemod):
        codemod = cls()
        for code in codemod.codes:
            found.setdefault(code, []).append(codemod)
    return {
        code: tuple(sorted(group, key=lambda c: (-c.priority, c.name)))
        for code, group in sorted(found.items())
    }


def matches(selector: str, rule: Rule) -> bool:
    """Tell whether a selector (code, code prefix, name or ``ALL``) means a rule."""
    return selector == "ALL" or selector == rule.name or rule.code.startswith(selector)


@functools.lru_cache(maxsize=1024)
def selected(select: tuple[str, ...], ignore: tuple[str, ...]) -> frozenset[str]:
    """Return the codes that a selection leaves: the most specific selector decides."""

    def weight(selectors: tuple[str, ...], rule: Rule) -> int:
        return max(
            (
                0 if s == "ALL" else 99 if s in (rule.name, rule.code) else len(s)
                for s in selectors
                if matches(s, rule)
            ),
            default=-1,
        )

    return frozenset(
        code for code, rule in rules().items() if weight(select, rule) > weight(ignore, rule)
    )
