"""Check and fix the files of a project: gate, workers, rounds, and totals that close."""

from __future__ import annotations

import ast
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from lintmetrics import gate
from lintmetrics.codemod import Relation
from lintmetrics.config import Settings
from lintmetrics.diagnostics import Diagnostic, Failure, Report
from lintmetrics.errors import SourceError
from lintmetrics.garbage import collect_much, uncollected
from lintmetrics.releases import missing
from lintmetrics.sources import (
    DiscoveredFile,
    decode,
    diff_bytes,
    discover,
    read_bytes,
    shown,
    shown_bytes,
    write,
)

if TYPE_CHECKING:
    from lintmetrics.project import Project
    from lintmetrics.source import Source

Progress = Callable[[int, int], None]
SettingsFor = Callable[[str], Settings]

_ROUNDS = 200  # A fix that is still not at rest after so many rounds never will be.
_FEW = 50  # So many files are parsed whatever they hold.
_WORTH_WORKERS = 24  # Below this many files a second process costs more than it brings.


class _Files:
    """The files of a run: their bytes as they are now, and their trees, kept between rounds."""

    def __init__(self, files: Sequence[DiscoveredFile], settings_for: SettingsFor) -> None:
        self.given = {file.path: file for file in files}
        self.settings_for = settings_for
        self.edited: dict[str, bytes] = {}
        self._trees: dict[str, tuple[Source, ast.Module]] = {}
        self._cwd = os.getcwd()
        self._universe: list[str] | None = None
        self.by_shown = {file.shown: file for file in files}

    def file(self, path: str) -> DiscoveredFile:
        """Return a file by its absolute path, also one that was not given."""
        return self.given.get(path) or DiscoveredFile(path, shown(path, self._cwd))

    def data(self, path: str) -> bytes:
        """Return the bytes of a file as they are after the edits made so far."""
        known = self.edited.get(path)
        return read_bytes(self.file(path)) if known is None else known

    def edit(self, path: str, data: bytes) -> None:
        """Give a file other bytes, in memory."""
        self.edited[path] = data
        self._trees.pop(path, None)

    def read(self, path: str) -> tuple[Source, ast.Module]:
        """Return ``(source, tree)`` of a file."""
        from lintmetrics import syntax

        known = self._trees.get(path)
        if known is None:
            source = decode(self.data(path), self.file(path).shown)
            known = self._trees[path] = (source, syntax.parse(source))
        return known

    def universe(self) -> Iterable[str]:
        """Return the Python files of the whole project, for questions about subclasses.

        A file that stands in no project, such as a script in a home directory, has its neighbours
        for one: what lies around it may be anything.
        """
        if self._universe is None:
            paths = set(self.given)
            directories = {os.path.dirname(path) for path in self.given}
            roots = {_root_of(directory) for directory in directories}
            for root in sorted(root for root in roots if root is not None):
                if sum(path.startswith(root + os.sep) for path in paths) > 200:
                    continue  # A whole tree was given; it is its own universe.
                found, _ = discover([root], self.settings_for)
                paths.update(file.path for file in found)
            for directory in directories if None in roots else ():
                paths.update(os.path.join(directory, name) for name in _listed(directory))
            self._universe = sorted(path for path in paths if path.endswith(".py"))
        return self._universe

    def project(self, settings: Settings) -> Project:
        """Return a project that reads the files as they are now."""
        from lintmetrics.project import Project

        bases, targets = settings.lightning_bases, settings.targets
        return Project(self.read, self.universe, None, bases, self.data, targets)


def _root_of(path: str) -> str | None:
    from lintmetrics.module_files import project_root

    return project_root(path)


def _listed(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError:
        return []


def _gated(files: _Files, report: Report) -> list[str]:
    """Return the paths worth analysing, and report those that cannot be read or parsed."""
    chosen: list[str] = []
    rest: list[str] = []
    library = False
    for path, file in files.given.items():
        try:
            data = read_bytes(file)
        except SourceError as error:
            report.failures.append(Failure(file.shown, error.reason, error.line))
            continue
        named = gate.names_a_library(data)
        library = library or named
        (chosen if named or gate.is_interesting(data) else rest).append(path)
    if not library and rest and not _has_bases(files, chosen):
        # A tree that names neither library has nothing to say, whatever its methods are called.
        rest += chosen
        chosen = []
    if library or len(rest) <= _FEW:
        # Who checks a project wants to hear of a broken file in it, Lightning or not. In a large
        # tree without Lightning that would cost more than all else.
        _report_broken(files, rest, report)
    return chosen


def _report_broken(files: _Files, paths: Sequence[str], report: Report) -> None:
    """Report the files that cannot be decoded or parsed."""
    from lintmetrics import syntax

    for path in paths:
        file = files.given[path]
        try:
            syntax.parse(decode(read_bytes(file), file.shown))
        except SourceError as error:
            report.failures.append(Failure(file.shown, error.reason, error.line))


def _has_bases(files: _Files, paths: Sequence[str]) -> bool:
    return any(files.settings_for(path).lightning_bases for path in paths)


def _codes(settings: Settings, path: str) -> frozenset[str]:
    from lintmetrics import packs

    chosen = packs.selected(settings.select, (*settings.ignore, *settings.ignored_at(path)))
    rules = packs.rules()
    chosen = frozenset(code for code in chosen if rules[code].style in ("", settings.style))
    if not any(settings.targets.values()):
        return chosen
    return frozenset(code for code in chosen if not missing(rules[code].since, settings.targets))


_Result = tuple[str, list[Diagnostic], list[Failure]]


class _Analyst:
    """Analyses files one by one; one project for each set of settings."""

    def __init__(self, files: _Files) -> None:
        self._files = files
        self._projects: dict[tuple[frozenset[str], tuple[str, ...]], Project] = {}

    def __call__(self, path: str) -> _Result:
        from lintmetrics.analysis import analyse

        settings = self._files.settings_for(path)
        key = (frozenset(settings.lightning_bases), tuple(settings.targets.values()))
        project = self._projects.get(key)
        if project is None:
            project = self._projects[key] = self._files.project(settings)
        module = project.module_at(path)
        if module is None:
            error = project.errors[path]
            return path, [], [Failure(error.path, error.reason, error.line)]
        diagnostics, failures = analyse(module, _codes(settings, path), settings)
        return path, diagnostics, failures


_worker: _Analyst | None = None


def _start_worker(files: Sequence[DiscoveredFile], settings_for: SettingsFor) -> None:
    import gc
    import signal

    global _worker
    # The parent tells the user about Ctrl-C; workers just end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.disable()
    _worker = _Analyst(_Files(files, settings_for))


def _work(path: str) -> _Result:
    assert _worker is not None
    return _worker(path)


def _analyse_all(
    files: _Files, paths: Sequence[str], jobs: int, progress: Progress | None
) -> list[_Result]:
    results: list[_Result] = []
    if jobs > 1 and len(paths) >= _WORTH_WORKERS and not files.edited:
        from concurrent.futures import ProcessPoolExecutor

        chunk = max(1, min(16, len(paths) // (jobs * 4)))
        with ProcessPoolExecutor(
            jobs, None, _start_worker, (list(files.given.values()), files.settings_for)
        ) as pool:
            for result in pool.map(_work, paths, chunksize=chunk):
                results.append(result)
                if progress:
                    progress(len(results), len(paths))
        return results
    with uncollected():
        collect_much()
        analyst = _Analyst(files)
        for path in paths:
            results.append(analyst(path))
            if progress:
                progress(len(results), len(paths))
    return results


def _merged(files: _Files, results: Sequence[_Result]) -> tuple[list[Diagnostic], list[Failure]]:
    """Return all diagnostics of given files once, sorted, and all failures."""
    diagnostics: dict[tuple[object, ...], Diagnostic] = {}
    failures: dict[Failure, None] = {}
    for _, found, failed in results:
        for diagnostic in found:
            file = files.by_shown.get(diagnostic.path)
            if file is None:
                continue  # It stands in a file that was not asked about.
            if diagnostic.code not in _codes(files.settings_for(file.path), file.path):
                continue
            diagnostics.setdefault(diagnostic.sort_key, diagnostic)
        for failure in failed:
            failures.setdefault(failure)
    return (
        _after_others(sorted(diagnostics.values(), key=lambda d: d.sort_key)),
        sorted(failures, key=lambda f: (f.path, f.line or 0, f.code, f.reason)),
    )


def _after_others(diagnostics: list[Diagnostic]) -> list[Diagnostic]:
    """Return findings with those of a style blocked where something else is the matter.

    A number that is wrong, or that crashes, is mended before it is written in another style: after
    that nobody would find it.
    """
    from lintmetrics import packs
    from lintmetrics.rule import Consequence

    rules = packs.rules()
    waiting = [d for d in diagnostics if rules[d.code].style]
    if not waiting:
        return diagnostics
    others = [d for d in diagnostics if not rules[d.code].style]
    at_line: dict[tuple[str, int], Diagnostic] = {}
    by_key: dict[tuple[str, tuple[str, str]], Diagnostic] = {}
    for other in others:
        at_line.setdefault((other.path, other.statement_line), other)
        if other.consequence is Consequence.WRONG_NUMBER:
            for key in other.keys:
                by_key.setdefault((other.path, key), other)
    result: list[Diagnostic] = []
    for diagnostic in diagnostics:
        first = None
        if rules[diagnostic.code].style:
            first = at_line.get((diagnostic.path, diagnostic.statement_line)) or next(
                (
                    by_key[diagnostic.path, k]
                    for k in diagnostic.keys
                    if (diagnostic.path, k) in by_key
                ),
                None,
            )
        if first is not None:
            diagnostic = replace(
                diagnostic,
                fix=None,
                codemod="",
                plans=(),
                blocked=f"{first.code} at line {first.first_line} comes first",
            )
        result.append(diagnostic)
    return result


def _suppress(files: _Files, diagnostics: Sequence[Diagnostic], report: Report) -> list[Diagnostic]:
    """Split off what comments suppress, and report the comments that suppress nothing."""
    from lintmetrics.suppressions import Suppressions

    by_path: dict[str, list[Diagnostic]] = {}
    for diagnostic in diagnostics:
        by_path.setdefault(diagnostic.path, []).append(diagnostic)
    left: list[Diagnostic] = []
    report.suppressed = []
    report.unused_suppressions = []
    for name, file in sorted(files.by_shown.items()):
        found = by_path.get(name, [])
        try:
            data = files.data(file.path)
        except SourceError:
            continue
        if not found and not gate.has_suppression(data):
            continue
        try:
            source, tree = files.read(file.path)
        except SourceError:
            left += found
            continue
        suppressions = Suppressions.read(source, tree)
        for diagnostic in found:
            target = report.suppressed if suppressions.suppress(diagnostic) else left
            target.append(diagnostic)
        codes = _codes(files.settings_for(file.path), file.path)
        report.unused_suppressions += suppressions.unused(codes)
    return left


def check(
    files: Sequence[DiscoveredFile],
    settings_for: SettingsFor,
    jobs: int = 1,
    progress: Progress | None = None,
) -> Report:
    """Return what the rules find in the files.

    Args:
        files: what to look at.
        settings_for: the settings in force at a path.
        jobs: how many processes may work; the result does not depend on it.
        progress: told ``(files done, files in all)``.
    """
    report = Report(files=len(files))
    held = _Files(files, settings_for)
    paths = _gated(held, report)
    diagnostics, failures = _merged(held, _analyse_all(held, paths, jobs, progress))
    report.failures += failures
    report.diagnostics = _suppress(held, diagnostics, report)
    return report


# Fixing ------------------------------------------------------------------------------------------


def _identity(diagnostic: Diagnostic) -> tuple[str, str, str, str]:
    """Return what stays the same about a finding while lines move around it."""
    return (diagnostic.path, diagnostic.code, diagnostic.message, diagnostic.source_line.strip())


class _Fixer:
    """Applies fixes in rounds until nothing is left to fix, and takes back what does not hold."""

    def __init__(self, files: _Files, paths: list[str], relations: frozenset[Relation]) -> None:
        self._files = files
        self._paths = paths
        self._relations = relations
        self.applied: list[Diagnostic] = []
        self.rejected: dict[tuple[str, str, str, str], str] = {}
        self._links: list[set[str]] = []

    def choose(self, diagnostics: Sequence[Diagnostic]) -> list[Diagnostic]:
        """Return the findings whose fixes can be made together, in order."""
        from lintmetrics.edits import EditSet

        taken = EditSet()
        chosen: list[Diagnostic] = []
        for diagnostic in diagnostics:
            allowed = [p for p in diagnostic.plans if p[0].relation in self._relations]
            if not allowed:
                continue
            fix, codemod = allowed[0]
            if fix is not diagnostic.fix:
                diagnostic = replace(diagnostic, fix=fix, codemod=codemod)
            if _identity(diagnostic) in self.rejected:
                continue
            outside = [e.path for e in fix.edits if e.path not in self._files.by_shown]
            if outside:
                self.rejected[_identity(diagnostic)] = (
                    f"the fix also changes {outside[0]}, which is not among the files given; "
                    "run it on the whole project"
                )
                continue
            if any(taken.clashes(edit) for edit in fix.edits):
                continue
            for edit in fix.edits:
                taken.add(edit)
            chosen.append(diagnostic)
        return chosen

    def make(self, chosen: Sequence[Diagnostic]) -> set[str]:
        """Apply the fixes in memory; return the paths that changed."""
        from lintmetrics.edits import Edit, apply

        edits: dict[str, list[Edit]] = {}
        for diagnostic in chosen:
            assert diagnostic.fix is not None
            for edit in diagnostic.fix.edits:
                edits.setdefault(edit.path, []).append(edit)
        before: dict[str, bytes] = {}
        try:
            for name, planned in edits.items():
                path = self._files.by_shown[name].path
                source, _ = self._files.read(path)
                text = apply(source.text, planned)
                packed = source.container.pack(text)
                before[path] = self._files.data(path)
                self._files.edit(path, packed)
                self._files.read(path)
        except (SourceError, ValueError) as error:
            for path, data in before.items():
                self._files.edit(path, data)
            if len(chosen) == 1:
                self.rejected[_identity(chosen[0])] = f"the rewritten file does not parse: {error}"
                return set()
            changed: set[str] = set()
            # One of them is at fault: only the first is made, the next round plans anew.
            return changed | self.make(chosen[:1])
        for diagnostic in chosen:
            assert diagnostic.fix is not None
            self._links.append(
                {self._files.by_shown[edit.path].path for edit in diagnostic.fix.edits}
            )
        self.applied += chosen
        return set(before)

    @property
    def leads_to(self) -> frozenset[str]:
        """The codes of what the fixes made so far may bring to light."""
        from lintmetrics import packs

        made = {(diagnostic.code, diagnostic.codemod) for diagnostic in self.applied}
        codemods = packs.codemods()
        return frozenset(
            code
            for finding, name in made
            for codemod in codemods.get(finding, ())
            if codemod.name == name
            for code in codemod.leads_to
        )

    def linked(self, paths: set[str]) -> set[str]:
        """Return all files whose fixes hang together with those of some files."""
        reached = set(paths)
        grown = True
        while grown:
            grown = False
            for link in self._links:
                if link & reached and not link <= reached:
                    reached |= link
                    grown = True
        return reached


def _counts(diagnostics: Iterable[Diagnostic]) -> Counter[tuple[str, str]]:
    return Counter((diagnostic.path, diagnostic.code) for diagnostic in diagnostics)


def _key_counts(diagnostics: Iterable[Diagnostic]) -> Counter[tuple[str, str]]:
    """Return how many keys the findings speak of: a loop that logs three is one finding."""
    found: Counter[tuple[str, str]] = Counter()
    for diagnostic in diagnostics:
        found[diagnostic.path, diagnostic.code] += len(diagnostic.keys) or 1
    return found


def fix(
    files: Sequence[DiscoveredFile],
    settings_for: SettingsFor,
    jobs: int = 1,
    progress: Progress | None = None,
    relations: frozenset[Relation] = frozenset((Relation.PRESERVES, Relation.CORRECTS)),
    write: bool = False,
    accept: Callable[[Report], bool] | None = None,
) -> Report:
    """Return what the fixes of some relations change; write it when asked to.

    A file whose result does not stand up (it does not parse, or has a finding that it did not
    have) is left as it was, with all files that its fixes hang together with.

    Args:
        files: what to fix.
        settings_for: the settings of a file.
        jobs: processes to use.
        progress: told how many files are done.
        relations: of the fixes to make.
        write: whether to write what changed.
        accept: asked before anything is written, where there is something to write.
    """
    report = Report(files=len(files))
    held = _Files(files, settings_for)
    paths = _gated(held, report)
    diagnostics, failures = _merged(held, _analyse_all(held, paths, jobs, progress))
    report.failures += failures
    first = _suppress(held, diagnostics, report)
    fixer = _Fixer(held, paths, relations)
    current, complete = first, True
    for _ in range(_ROUNDS):
        chosen = fixer.choose(current)
        if not chosen and complete:
            break
        if chosen:
            touched = fixer.make(chosen)
            # Only what changed, and what waited for it, can have something new to fix; when that
            # is at rest, a look at everything follows.
            waiting = {held.by_shown[d.path].path for d in current if d.fix and d not in chosen}
            scope = [path for path in paths if path in touched | waiting]
        else:
            scope = paths
        found, _ = _merged(held, _analyse_all(held, scope, 1, None))
        current, complete = _suppress(held, found, report), scope == paths
    _tidy(held)
    final = _settle(held, fixer, paths, first, report)
    report.fixed = _gone(first, final, relations)
    refused = {_identity(d): fixer.rejected.get(_identity(d)) for d in final}
    for diagnostic in final:
        why = refused[_identity(diagnostic)]
        if why is None:
            report.diagnostics.append(diagnostic)
        else:
            report.failed.append((diagnostic, why))
    for path in sorted(held.edited):
        file = held.file(path)
        before = read_bytes(file)
        after = held.edited[path]
        if before != after:
            report.before[file.shown] = shown_bytes(before)
            report.after[file.shown] = shown_bytes(after)
    if write and report.after and (accept is None or accept(report)):
        _write(held, fixer, report)
    return report


def _tidy(held: _Files) -> None:
    """Take out and join the imports that fixes left or added, and break lines they made long."""
    from lintmetrics import syntax
    from lintmetrics.edits import apply
    from lintmetrics.imports import joined, left_unread, spelled_alike
    from lintmetrics.long_lines import broken_lines

    for path in sorted(held.edited):
        file = held.file(path)
        before = syntax.parse(decode(read_bytes(file), file.shown))
        for _ in range(_ROUNDS):
            module = held.project(held.settings_for(path)).module_at(path)
            if module is None:
                break
            edits = (
                left_unread(before, module)
                or joined(before, module)
                or spelled_alike(before, module)
            )
            if not edits:
                break
            held.edit(path, module.source.container.pack(apply(module.source.text, edits)))
        source, _ = held.read(path)
        edits = broken_lines(decode(read_bytes(file), file.shown).text, source)
        if edits:
            held.edit(path, source.container.pack(apply(source.text, edits)))


def _settle(
    held: _Files, fixer: _Fixer, paths: list[str], first: list[Diagnostic], report: Report
) -> list[Diagnostic]:
    """Check everything once more, take back what does not hold, and return what is left."""
    from lintmetrics import packs

    allowed, allowed_keys = _counts(first), _key_counts(first)
    final = first
    for _ in range(len(held.given) + 1):
        if not held.edited:
            final = first
            break
        found, failures = _merged(held, _analyse_all(held, paths, 1, None))
        final = _suppress(held, found, report)
        # What is not in the style that was chosen is no worse for being written anew.
        follow = fixer.leads_to | {code for code, rule in packs.rules().items() if rule.style}
        keys = _key_counts(final)
        worse = {
            key: count
            for key, count in _counts(final).items()
            if count > allowed[key]
            and keys[key] > allowed_keys[key]
            and key[1] not in follow
            and held.by_shown[key[0]].path in held.edited
        }
        if worse:
            suspects = [d for d in final if (d.path, d.code) in worse]
            caused = _counts(_caused(held, fixer, first, suspects))
            worse = {key: caused[key] for key in worse if caused[key] > allowed[key]}
        broken = {f.path for f in failures} - {f.path for f in report.failures}
        names = {name for name, _ in worse} | broken
        bad = {held.by_shown[name].path for name in names if name in held.by_shown}
        if not bad & set(held.edited):
            break
        reason = "the rewritten file has a finding that it did not have before" + (
            f" ({', '.join(sorted({code for _, code in worse}))})" if worse else ""
        )
        for path in fixer.linked(bad):
            held.edited.pop(path, None)
            held._trees.pop(path, None)
            for diagnostic in fixer.applied:
                if held.by_shown[diagnostic.path].path == path:
                    fixer.rejected[_identity(diagnostic)] = reason
    return final


def _caused(
    held: _Files, fixer: _Fixer, first: Sequence[Diagnostic], final: Sequence[Diagnostic]
) -> Iterator[Diagnostic]:
    """Yield the findings of the last pass, but for those that a mended crash hid in the first.

    What a call that raises would answer cannot be told; once it runs, it can. Such a wrong number
    stands on a line as its author left it.
    """
    from lintmetrics.rule import Consequence

    known = {(d.path, d.code, d.source_line) for d in first}
    mended = {a.path for a in fixer.applied if a.consequence is Consequence.CRASH}
    lines: dict[str, frozenset[str]] = {}
    for diagnostic in final:
        path, line = diagnostic.path, diagnostic.source_line
        is_new = (path, diagnostic.code, line) not in known
        if is_new and diagnostic.consequence is Consequence.WRONG_NUMBER and path in mended:
            if path not in lines:
                file = held.by_shown[path]
                lines[path] = frozenset(decode(read_bytes(file), file.shown).text.splitlines())
            if line in lines[path]:
                continue
        yield diagnostic


def _gone(
    first: list[Diagnostic], final: list[Diagnostic], relations: frozenset[Relation]
) -> list[Diagnostic]:
    """Return the findings of the first pass that the last one no longer has.

    A finding that is left may have moved, or speak of another line than before; then it is known
    by its file and code. Of two alike, the one that had no fix to make is left.
    """
    left = Counter(_identity(diagnostic) for diagnostic in final)
    moved: list[Diagnostic] = []
    for diagnostic in sorted(first, key=lambda d: any(p[0].relation in relations for p in d.plans)):
        if left[_identity(diagnostic)] > 0:
            left[_identity(diagnostic)] -= 1
        else:
            moved.append(diagnostic)
    renamed = Counter((path, code) for (path, code, _, _), n in left.items() for _ in range(n))
    gone: list[Diagnostic] = []
    for diagnostic in sorted(moved, key=lambda d: d.sort_key, reverse=True):
        if renamed[diagnostic.path, diagnostic.code] > 0:
            renamed[diagnostic.path, diagnostic.code] -= 1
        else:
            gone.append(diagnostic)
    return gone[::-1]


def _write(held: _Files, fixer: _Fixer, report: Report) -> None:
    """Write the changed files; of files whose fixes hang together all are written or none."""
    waiting = set(report.after)
    while waiting:
        first = held.by_shown[min(waiting)].path
        group = sorted(held.file(path).shown for path in fixer.linked({first}))
        group = [name for name in group if name in waiting]
        waiting -= set(group)
        done: dict[str, bytes] = {}
        try:
            for name in group:
                file = held.by_shown[name]
                # A file that somebody has saved since it was read is theirs.
                before = diff_bytes(report.before[name])
                write(file, held.edited[file.path], before)
                done[name] = before
        except SourceError as error:
            report.failures.append(Failure(error.path, error.reason))
            for name, before in done.items():
                write(held.by_shown[name], before)
        else:
            report.written += group
    report.written.sort()
