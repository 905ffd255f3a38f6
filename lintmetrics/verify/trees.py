"""Folders to train in that are nobody's: a revision, a folder or a folder to be fixed, as a copy.

A revision becomes a git worktree, a folder a copy. What a program needs besides its sources (data,
generated files, virtual environments: what git does not track) comes along: small files as copies,
large ones as links. Nothing is written to the user's tree, and what a run that was killed left
behind, in git's list of worktrees too, is taken away by the next one.
"""

from __future__ import annotations

import contextlib
import difflib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from lintmetrics.errors import LintmetricsError
from lintmetrics.sources import SUFFIXES
from lintmetrics.verify.references import cache_folder

_LARGE = 8 * 2**20
"""Bytes from which on a file is linked and not copied."""

_MANY = 5000
"""Files from which on an untracked folder is linked as a whole."""

_LEFT_OUT = frozenset(
    {
        ".git",
        ".hypothesis",
        ".ipynb_checkpoints",
        ".mypy_cache",
        ".nox",
        ".pytest_cache",
        ".ruff_cache",
        ".tox",
        "__pycache__",
        "lightning_logs",
        "mlruns",
        "node_modules",
        "tb_logs",
        "wandb",
    }
)
"""Folders that no program reads its input from: caches, and what trainings write."""


@dataclass(frozen=True)
class Tree:
    """A folder to train in.

    Args:
        root: the copy or worktree.
        folder: the place in it that is where the user stood.
        label: for people, such as ``"main~1 (3f2a91c)"``.
        origin: the user's folder that it stands for.
        links: files and folders that are the user's own, with their size and time of change.
    """

    root: Path
    folder: Path
    label: str
    origin: Path
    links: Mapping[Path, tuple[int, int]] = field(default_factory=dict, repr=False)

    def owns(self, path: str | os.PathLike[str]) -> bool:
        """Tell whether a file is the tree's own, and not the user's behind a link."""
        return Path(path).resolve().is_relative_to(self.root.resolve())

    def altered(self) -> list[Path]:
        """Return what is linked and was changed since, by whomever."""
        return [path for path, state in self.links.items() if _state(path) != state]

    def import_paths(self, python: str = sys.executable) -> list[str]:
        """Return what to put first on the path so that imports find this tree.

        A package that is installed in development mode is imported from the user's own folder,
        whatever the working directory is; without this, both sides would train the same code.
        """
        asked = subprocess.run(
            [python, "-c", _ASK_PATHS], capture_output=True, text=True, cwd=os.path.sep, check=False
        )
        paths: list[str] = json.loads(asked.stdout.splitlines()[-1]) if asked.stdout else []
        origin = os.path.realpath(self.origin)
        found = []
        for path in paths:
            inside = os.path.relpath(os.path.realpath(path), origin)
            if inside.split(os.sep)[0] == os.pardir or os.path.isabs(inside):
                continue
            mapped = self.root / inside
            # Packages of a virtual environment inside the tree stay where they are.
            if "site-packages" not in Path(inside).parts and mapped.is_dir():
                found.append(os.fspath(mapped))
        return list(dict.fromkeys(found))


_ASK_PATHS = """\
import json, os, sys
paths = [path for path in sys.path if path]
for name, module in list(sys.modules.items()):
    if name.startswith("__editable__"):
        paths += [os.path.dirname(path) for path in getattr(module, "MAPPING", {}).values()]
print(json.dumps(paths))
"""


@contextlib.contextmanager
def tree(spec: str, here: Path | None = None) -> Iterator[Tree]:
    """Give a tree for a revision of the repository the user stands in, or for a folder.

    Args:
        spec: a revision as git understands it, or a folder.
        here: where the user stands; the working directory if not given.
    Raises:
        LintmetricsError: it is neither, or both.
    """
    here = (here or Path.cwd()).absolute()
    given = here / os.path.expanduser(spec)
    plain = os.sep not in spec and not spec.startswith(".")
    if given.is_dir():
        if plain and _commit(here, spec):
            raise LintmetricsError(
                f"{spec} is a folder and a revision: write ./{spec} for the folder, or "
                f"refs/heads/{spec} for the branch"
            )
        with copy(given) as made:
            yield made
        return
    with _worktree(spec, here) as made:
        yield made


@contextlib.contextmanager
def copy(folder: Path) -> Iterator[Tree]:
    """Give a copy of a folder, such as one to run the fixer on.

    Inside a repository the whole of it is copied, as programs import from beside themselves.
    """
    folder = folder.resolve()
    top = _top(folder) or folder
    with _scratch(None) as scratch:
        root = scratch / top.name
        links: dict[Path, tuple[int, int]] = {}
        try:
            _mirror(top, root, links, untracked=False)
        except OSError as error:
            raise _cannot(top, error) from None
        yield Tree(root, root / folder.relative_to(top), os.fspath(folder), top, links)


@contextlib.contextmanager
def _worktree(spec: str, here: Path) -> Iterator[Tree]:
    if shutil.which("git") is None:
        raise LintmetricsError(f"{spec}: there is no such folder, and no git to ask for a revision")
    top = _top(here)
    if top is None:
        raise LintmetricsError(
            f"{spec}: there is no such folder, and {here} is in no git work tree that could have "
            f"a revision of that name"
        )
    commit = _commit(here, spec)
    if commit is None:
        raise LintmetricsError(_unknown(spec, here))
    with _scratch(top) as scratch:
        root = scratch / top.name
        added = _git(top, "worktree", "add", "--detach", "--quiet", os.fspath(root), commit)
        if added.returncode != 0:
            raise LintmetricsError(f"{spec}: git cannot check it out: {_said(added)}")
        _add_submodules(top, root, commit)
        links: dict[Path, tuple[int, int]] = {}
        try:
            _add_untracked(top, root, links)
        except OSError as error:
            raise _cannot(top, error) from None
        folder = root / here.resolve().relative_to(top)
        if not folder.is_dir():
            raise LintmetricsError(f"{spec}: it has no folder {here.resolve().relative_to(top)}")
        yield Tree(root, folder, f"{spec} ({commit[:7]})", top, links)


# git --------------------------------------------------------------------------------------------


def _git(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # A hook that runs this tool has set variables that speak of another index and work tree.
    variables = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "-c", f"core.hooksPath={os.devnull}", "-c", "advice.detachedHead=false"]
    return subprocess.run(
        [*command, *arguments],
        cwd=folder,
        env={**variables, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="surrogateescape",
        check=False,
    )


def _said(ended: subprocess.CompletedProcess[str]) -> str:
    lines = [line.strip() for line in ended.stderr.splitlines() if line.strip()]
    return lines[-1].removeprefix("fatal: ") if lines else f"exit code {ended.returncode}"


def _top(folder: Path) -> Path | None:
    if shutil.which("git") is None:
        return None
    answer = _git(folder, "rev-parse", "--show-toplevel")
    line = answer.stdout.removesuffix("\n")
    return Path(line).resolve() if answer.returncode == 0 and line else None


def _commit(folder: Path, spec: str) -> str | None:
    if shutil.which("git") is None:
        return None
    wanted = f"{spec}^{{commit}}"
    answer = _git(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", wanted)
    return answer.stdout.strip() or None if answer.returncode == 0 else None


def _unknown(spec: str, here: Path) -> str:
    names = _git(here, "for-each-ref", "--format=%(refname:short)").stdout.split()
    near = difflib.get_close_matches(spec, names, 3, 0.5)
    hint = f"the nearest: {', '.join(near)}" if near else "`git log --oneline` lists revisions"
    return f"{spec}: neither a folder nor a revision of {here}; {hint}"


def _add_submodules(top: Path, root: Path, commit: str) -> None:
    """Fill the submodules that the user has checked out, from the user's own disk."""
    for line in _git(top, "ls-tree", "-rz", commit).stdout.split("\0"):
        if not line.startswith("160000 "):
            continue
        head, _, path = line.partition("\t")
        wanted = head.split()[2]
        source = top / path
        if not (source / ".git").exists():
            continue
        target = root / path
        cloned = _git(root, "clone", "--quiet", "--shared", "--no-checkout", str(source), path)
        if cloned.returncode == 0:
            cloned = _git(target, "checkout", "--quiet", "--detach", wanted)
        if cloned.returncode != 0:
            raise LintmetricsError(
                f"{path}: the submodule cannot be had at {wanted[:7]} ({_said(cloned)}): "
                f"run git -C {path} fetch"
            )
        _add_submodules(source, target, wanted)


def _add_untracked(top: Path, root: Path, links: dict[Path, tuple[int, int]]) -> None:
    """Bring along what git does not track: ignored files, and others that are no sources."""
    shape = ("--exclude-standard", "--directory", "--no-empty-directory")
    ignored = _git(top, "ls-files", "-z", "-oi", *shape).stdout
    others = _git(top, "ls-files", "-z", "-o", *shape).stdout
    for names, sources in ((ignored, True), (others, False)):
        for name in filter(None, names.split("\0")):
            path = Path(name)
            if _LEFT_OUT.intersection(path.parts):
                continue
            # A source that is neither committed nor ignored is no part of any revision.
            if not sources and path.suffix in SUFFIXES:
                continue
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            _mirror(top / path, root / path, links, True, sources)


# Copies -----------------------------------------------------------------------------------------


def _mirror(
    source: Path,
    target: Path,
    links: dict[Path, tuple[int, int]],
    untracked: bool,
    sources: bool = True,
) -> None:
    """Copy a file or folder, its large parts as links; what is there already stays."""
    if source.is_symlink():
        if not os.path.lexists(target):
            pointed = os.readlink(source)
            target.symlink_to(pointed if _stays_inside(source) else source.resolve())
    elif source.is_dir():
        if (source / "pyvenv.cfg").exists() or (untracked and _holds_many(source)):
            if not target.exists():
                _link(source, target, links)
            return
        target.mkdir(exist_ok=True)
        for entry in sorted(os.scandir(source), key=lambda entry: entry.name):
            if entry.name in _LEFT_OUT or (not sources and entry.name.endswith(SUFFIXES)):
                continue
            data = untracked or _is_data(entry)
            _mirror(Path(entry.path), target / entry.name, links, data, sources)
    elif source.is_file() and not os.path.lexists(target):
        if source.stat().st_size >= _LARGE:
            _link(source, target, links)
        else:
            shutil.copy2(source, target)


def _is_data(entry: os.DirEntry[str]) -> bool:
    """A folder without any source directly in it."""
    return entry.is_dir() and not any(name.endswith(SUFFIXES) for name in os.listdir(entry.path))


def _stays_inside(link: Path) -> bool:
    # A relative link that leaves its own folder only downwards, or beside, stays right in a copy.
    pointed = os.readlink(link)
    return not os.path.isabs(pointed) and os.pardir not in Path(pointed).parts


def _holds_many(folder: Path) -> bool:
    count = 0
    for _, _, files in os.walk(folder):
        count += len(files)
        if count > _MANY:
            return True
    return False


def _link(source: Path, target: Path, links: dict[Path, tuple[int, int]]) -> None:
    try:
        target.symlink_to(source, target_is_directory=source.is_dir())
    except OSError:
        # Windows lends links to some users only.
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copy2(source, target)
        return
    links[source] = _state(source)


def _state(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return (-1, -1)
    return (found.st_size, found.st_mtime_ns)


def _cannot(top: Path, error: OSError) -> LintmetricsError:
    return LintmetricsError(
        f"{top}: cannot be copied to {cache_folder()} ({error.strerror or error}): free some "
        f"space, or name another folder in LINTMETRICS_CACHE_DIR"
    )


# What is left behind ----------------------------------------------------------------------------


@contextlib.contextmanager
def _scratch(repository: Path | None) -> Iterator[Path]:
    """Give an empty folder that is gone afterwards; at the latest when this is called again."""
    place = cache_folder() / "trees"
    try:
        place.mkdir(parents=True, exist_ok=True)
        remove_left()
        folder = Path(tempfile.mkdtemp(dir=place))
        own = psutil.Process()
        owner = {"pid": own.pid, "since": own.create_time(), "repository": str(repository or "")}
        (folder / "owner.json").write_text(json.dumps(owner), encoding="utf-8")
    except OSError as error:
        raise LintmetricsError(
            f"{place}: cannot be written ({error.strerror or error}): free some space, or name "
            f"another folder in LINTMETRICS_CACHE_DIR"
        ) from None
    try:
        yield folder
    finally:
        _remove(folder, repository)


def _remove(folder: Path, repository: Path | None) -> None:
    if repository is not None and repository.is_dir():
        # Only ours: a prune would also forget worktrees of the user's on disks not mounted now.
        for path in _registered(repository):
            if path.is_relative_to(folder.resolve()):
                _git(repository, "worktree", "remove", "--force", "--force", os.fspath(path))
    shutil.rmtree(folder, ignore_errors=True)


def _registered(repository: Path) -> list[Path]:
    listed = _git(repository, "worktree", "list", "--porcelain").stdout.splitlines()
    return [Path(line[9:]) for line in listed if line.startswith("worktree ")]


def remove_left() -> None:
    """Take away the trees of runs that were killed."""
    place = cache_folder() / "trees"
    for folder in place.iterdir() if place.is_dir() else ():
        try:
            owner = json.loads((folder / "owner.json").read_text(encoding="utf-8"))
            since = psutil.Process(owner["pid"]).create_time()
            alive = abs(since - owner["since"]) < 1
            repository = owner["repository"]
        except psutil.NoSuchProcess:
            alive, repository = False, owner["repository"]
        except psutil.Error:
            alive, repository = True, ""
        except (OSError, ValueError, KeyError):
            # Being made right now, or killed while it was.
            alive = _age(folder) < 60
            repository = ""
        if not alive:
            _remove(folder, Path(repository) if repository else None)


def _age(folder: Path) -> float:
    import time

    try:
        return time.time() - folder.stat().st_mtime
    except OSError:
        return 0.0
