"""One pass over a file: build what the rules ask for, ask them, and plan the fixes."""

from __future__ import annotations

import ast
import functools
import re
import sys
import typing
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from lintmetrics import packs
from lintmetrics.codemod import Fix, Relation
from lintmetrics.config import Settings
from lintmetrics.diagnostics import Diagnostic, Failure
from lintmetrics.edits import CannotEdit
from lintmetrics.model.flow import LightningClass
from lintmetrics.model.log_calls import LogCall
from lintmetrics.project import CallSite, ClassInfo, Module
from lintmetrics.releases import missing
from lintmetrics.rule import Finding, Rule

# A message about a number begins with its key, or with several.
_KEYED = re.compile(r'("[^"]*"(?: / "[^"]*")*)( .*)', re.S)
# How fixes may be written in each style; what is put is first gathered by objects of TorchMetrics.
_WRITTEN_IN = {
    "auto": ("torchmetrics", "outputs"),
    "torchmetrics": ("torchmetrics",),
    "outputs": ("outputs",),
    "put": ("put", "torchmetrics"),
}
_DEEP = 6000  # Levels of calls; well inside the stack that a process has.


@functools.cache
def _subject_type(code: str) -> type:
    """Return the model type that a rule's ``check`` is annotated with."""
    rule = packs.rules()[code]
    hints = typing.get_type_hints(rule.check)
    hints.pop("return", None)
    if len(hints) != 1:
        raise TypeError(f"{rule.code}: check takes one annotated parameter besides self")
    found: type = next(iter(hints.values()))
    return found


def _subjects(module: Module, wanted: set[type]) -> Iterator[Any]:
    """Yield the model objects of a file, of the wanted types only."""
    if Module in wanted:
        yield module
    if CallSite in wanted:
        yield from module.call_sites
    for cls in module.classes:
        if ClassInfo in wanted:
            yield cls
        if (LightningClass in wanted or LogCall in wanted) and (
            cls.is_lightning or cls.is_kind("Callback")
        ):
            model = LightningClass.of(cls)
            if LightningClass in wanted:
                yield model
            if LogCall in wanted:
                yield from model.log_calls


def analyse(
    module: Module, codes: Iterable[str], settings: Settings
) -> tuple[list[Diagnostic], list[Failure]]:
    """Return what the selected rules find in one file, with the plan that mends each finding.

    A rule or codemod that crashes costs its own finding only, and is reported.
    """
    rules = packs.rules()
    by_type: dict[type, list[Rule]] = {}
    for code in sorted(codes):
        by_type.setdefault(_subject_type(code), []).append(rules[code])
    diagnostics: dict[tuple[Any, ...], Diagnostic] = {}
    failures: list[Failure] = []
    if not by_type:
        return [], []
    crashed: set[str] = set()

    def crash(rule: Rule, node: ast.AST | None, error: BaseException) -> None:
        if rule.code in crashed:
            return
        crashed.add(rule.code)
        kind = type(error).__name__
        failures.append(
            Failure(
                module.source.path,
                f"rule {rule.code} ({rule.name}) crashed with {kind}: {error}; the other rules "
                "went on, please report this with the file",
                getattr(node, "lineno", None),
                "LM000",
            )
        )

    limit = sys.getrecursionlimit()
    # A sum of a thousand terms is a thousand levels of tree.
    sys.setrecursionlimit(max(limit, _DEEP))
    try:
        for subject in _subjects(module, set(by_type)):
            for rule in by_type.get(type(subject), ()):
                try:
                    for finding in rule.check(subject):
                        diagnostic = diagnose(rule, finding, settings)
                        diagnostics.setdefault(diagnostic.sort_key, diagnostic)
                except (Exception, RecursionError) as error:
                    crash(rule, subject.node, error)
    except RecursionError:
        failures.append(
            Failure(
                module.source.path,
                "an expression is nested too deeply to be analysed; split it up or exclude the "
                "file",
                None,
                "LM000",
            )
        )
    except Exception as error:  # In the model itself: what was found before it stands.
        failures.append(
            Failure(
                module.source.path,
                f"reading its classes crashed with {type(error).__name__}: {error}; the other "
                "files went on, please report this with the file",
                None,
                "LM000",
            )
        )
    finally:
        sys.setrecursionlimit(limit)
    return _one_for_all_keys(diagnostics.values()), failures


def _one_for_all_keys(found: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Return findings with those at one place, which differ by the key alone, made into one.

    A dict whose keys are worked out, such as ``{f"{stage}_{k}": v ...}``, is a log call for each.
    """
    alike: dict[tuple[Any, ...], list[tuple[str, Diagnostic]]] = {}
    for item in found:
        match = _KEYED.match(item.message)
        key, rest = (match[1], match[2]) if match else ("", item.message)
        edits = tuple(fix.edits for fix, _ in item.plans)
        same = (item.path, item.code, item.start, item.end, rest, item.blocked, edits)
        alike.setdefault(same, []).append((key, item))
    return [_joined(group) for group in alike.values()]


def _joined(group: list[tuple[str, Diagnostic]]) -> Diagnostic:
    key, first = group[0]
    if len(group) == 1:
        return first
    every = " / ".join(dict.fromkeys(one for key, _ in group for one in key.split(" / ")))
    plans = tuple(
        (replace(fix, message=fix.message.replace(f"{key} becomes", f"{every} becomes")), name)
        for fix, name in first.plans
    )
    shown = next((i for i, (fix, _) in enumerate(first.plans) if fix is first.fix), None)
    return replace(
        first,
        message=every + first.message.removeprefix(key),
        plans=plans,
        fix=None if shown is None else plans[shown][0],
        keys=tuple(dict.fromkeys(one for _, item in group for one in item.keys)),
    )


def plan(rule: Rule, finding: Finding, settings: Settings) -> tuple[list[tuple[Fix, str]], str]:
    """Return ``([(fix, name of its codemod), ...], what blocks it)`` for a finding.

    The more wanted fix stands first; others follow for runs that its relation keeps it out of, up
    to the first one that preserves all numbers.
    """
    if finding.blocked:
        return [], finding.blocked
    found: list[tuple[Fix, str]] = []
    reasons: list[str] = []
    for codemod in packs.codemods().get(rule.code, ()):
        lacking = missing(codemod.since, settings.targets)
        if lacking:
            reasons.append(f"its fix writes what {lacking} brought, and the target is older")
            continue
        try:
            planned = codemod.plan(finding, settings)
        except CannotEdit as error:
            reasons.append(str(error))
            continue
        if isinstance(planned, Fix):
            if planned.style and planned.style not in _WRITTEN_IN[settings.style]:
                reasons.append(
                    f'its fix is written with {planned.style}, and style = "{settings.style}" '
                    "leaves that out"
                )
                continue
            found.append((planned, codemod.name))
            if planned.relation is Relation.PRESERVES:
                break
            continue
        if planned.reason:
            reasons.append(planned.reason)
    if not reasons:
        reasons.append(finding.help or "no rewrite is known that is right without a person")
    # The least particular codemod says best what stands in the way of any.
    return found, "" if found else reasons[-1]


def diagnose(rule: Rule, finding: Finding, settings: Settings) -> Diagnostic:
    """Return a finding as plain data, with its fix planned."""
    module, node = finding.place
    source = module.source
    if isinstance(node, ast.Module):
        start = end = 0
    else:
        start, end = source.start(node), source.end(node)
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        # The name is the place; the whole body underlined helps nobody.
        start = source.code.index(node.name, start + len("def"))
        end = start + len(node.name)
    plans, blocked = plan(rule, finding, settings)
    shown: tuple[Fix | None, str] = next(
        (one for one in plans if one[0].relation is not Relation.ASSUMES),
        plans[0] if plans else (None, ""),
    )
    first = source.line_of(start)
    statement = first
    if not isinstance(node, ast.Module):
        statement = getattr(module.statement(node), "lineno", first)
    return Diagnostic(
        path=source.path,
        code=rule.code,
        name=rule.name,
        message=finding.message,
        help=finding.help,
        consequence=finding.consequence or rule.consequence,
        start=source.location(start),
        end=source.location(end),
        source_line=source.line_text(first),
        fix=shown[0],
        codemod=shown[1],
        plans=tuple(plans),
        blocked=blocked,
        first_line=first,
        last_line=source.line_of(max(start, end - 1)),
        statement_line=statement,
        keys=finding.keys or _keys(finding.subject),
    )


def _keys(subject: object) -> tuple[tuple[str, str], ...]:
    """Return the keys that a log call logs, with the stages in which it does."""
    if not isinstance(subject, LogCall):
        return ()
    return tuple(dict.fromkeys((way.stage, way.key or "*") for way in subject.contexts))
