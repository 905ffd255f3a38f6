"""Which files a run looks at, and how they are read and written.

A walk costs one ``scandir`` per directory and no object per entry that is not taken: on a large
tree this is most of what a run costs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from lintmetrics.errors import SourceError
from lintmetrics.ignores import IgnorePatterns

if TYPE_CHECKING:
    from lintmetrics.config import Settings
    from lintmetrics.diagnostics import Failure
    from lintmetrics.source import Source

SUFFIXES = (".py", ".pyi", ".ipynb")

EXCLUDED_DIRECTORIES = frozenset(
    {
        ".bzr",
        ".direnv",
        ".eggs",
        ".git",
        ".git-rewrite",
        ".hg",
        ".hypothesis",
        ".ipynb_checkpoints",
        ".mypy_cache",
        ".nox",
        ".pants.d",
        ".pyenv",
        ".pytest_cache",
        ".pytype",
        ".ruff_cache",
        ".svn",
        ".tox",
        ".venv",
        ".vscode",
        "__pycache__",
        "__pypackages__",
        "_build",
        "buck-out",
        "build",
        "dist",
        "node_modules",
        "site-packages",
        "venv",
    }
)
"""Names of directories that a walk does not enter; the list of Ruff, which users know."""

_ENVIRONMENT_MARKS = frozenset({"pyvenv.cfg", "conda-meta"})
_CONFIG_FILES = frozenset({"pyproject.toml", "lintmetrics.toml"})
_SPECIAL = frozenset({".git", ".gitignore"}) | _ENVIRONMENT_MARKS | _CONFIG_FILES


class DiscoveredFile(NamedTuple):
    """A file to look at.

    Args:
        path: where it is, for the operating system; absolute.
        shown: how the user is told of it: relative to the working directory where it is inside,
            with forward slashes.
        data: its bytes when they came from standard input; such a file is never written.
    """

    path: str
    shown: str
    data: bytes | None = None


class SettingsFor(Protocol):
    """Finds the settings in force at a path."""

    def __call__(self, path: str, /) -> Settings: ...


class _Ignores(NamedTuple):
    """Patterns and how many characters of a walked path come before what they are relative to."""

    patterns: IgnorePatterns
    skip: int


def discover(
    paths: Sequence[str | os.PathLike[str]],
    settings_for: SettingsFor,
    force_exclude: bool = False,
) -> tuple[list[DiscoveredFile], list[Failure]]:
    """Return the files under ``paths``, each once, sorted; and what could not be looked at.

    A file that is named is taken whatever its suffix and whatever the excludes say, unless
    ``force_exclude``. In directories, files that git ignores are left out, and so are the excludes.

    Args:
        paths: files, directories, and patterns where no file has that name.
        settings_for: called with each directory named and each that holds a config file.
        force_exclude: apply the excludes to named files as well.
    """
    from lintmetrics.diagnostics import Failure

    cwd = os.getcwd()
    found: dict[str, None] = {}
    links: list[str] = []
    failures: list[Failure] = []
    for given in paths:
        path = os.path.normpath(os.path.join(cwd, os.fspath(given)))
        if os.path.isdir(path):
            if force_exclude and excluded(path, settings_for(path), is_directory=True):
                continue
            walked = _walk(path, settings_for, failures, cwd)
            for entry, is_link in walked:
                if is_link:
                    links.append(entry)
                else:
                    found[entry] = None
        elif os.path.lexists(path):
            if not os.path.exists(path):
                failures.append(Failure(shown(path, cwd), "the symbolic link leads nowhere"))
                continue
            if not (force_exclude and excluded(path, settings_for(os.path.dirname(path)))):
                if os.path.islink(path):
                    links.append(path)
                else:
                    found[path] = None
        elif matches := _matches(path):
            # A shell that leaves patterns alone, and a pattern in quotes.
            for match in matches:
                found[match] = None
        else:
            failures.append(Failure(shown(path, cwd), "no such file or directory"))
    # A link to a file that is there already would be reported, and fixed, twice.
    if links:
        real = {os.path.realpath(path) for path in found}
        for path in sorted(links):
            target = os.path.realpath(path)
            if target not in real:
                real.add(target)
                found[path] = None
    files = [DiscoveredFile(path, shown(path, cwd)) for path in found]
    files.sort(key=lambda file: file.shown)
    failures.sort(key=lambda failure: failure.path)
    return files, failures


def _matches(pattern: str) -> list[str]:
    """Return the Python files and notebooks that a pattern such as ``src/**/*.py`` means."""
    import glob

    if not glob.has_magic(pattern):
        return []
    paths = glob.iglob(pattern, recursive=True)
    return [path for path in paths if path.endswith(SUFFIXES) and os.path.isfile(path)]


def shown(path: str, cwd: str) -> str:
    """Return an absolute path as the user is shown it."""
    prefix = cwd if cwd.endswith(os.sep) else cwd + os.sep
    if path.startswith(prefix):
        path = path[len(prefix) :]
    return path.replace(os.sep, "/") if os.sep != "/" else path


def excluded(path: str, settings: Settings, is_directory: bool = False) -> bool:
    """Tell whether the excludes (not git) leave out an absolute path or a directory above it."""
    root = settings.root or os.getcwd()
    relative = os.path.relpath(path, root).replace(os.sep, "/")
    if relative.startswith("../"):
        relative = path.replace(os.sep, "/").lstrip("/")
    patterns = exclude_patterns(settings)
    parts = [part for part in relative.split("/") if part != "."]
    for end in range(1, len(parts) + 1):
        inner = end < len(parts) or is_directory
        verdict = patterns.verdict("/".join(parts[:end]), inner)
        if verdict or (verdict is None and inner and parts[end - 1] in EXCLUDED_DIRECTORIES):
            return True
    return False


def exclude_patterns(settings: Settings) -> IgnorePatterns:
    """Return the project's own excludes, ready to match."""
    return IgnorePatterns(settings.exclude)


def _walk(
    top: str, settings_for: SettingsFor, failures: list[Failure], cwd: str
) -> Iterator[tuple[str, bool]]:
    """Yield ``(absolute path, is a symbolic link)`` of the files to take below a directory."""
    from lintmetrics.diagnostics import Failure

    settings = settings_for(top)
    stack = [(top, _ignores_above(top), _excludes(settings, top))]
    while stack:
        directory, ignores, excludes = stack.pop()
        try:
            with os.scandir(directory) as iterator:
                entries = list(iterator)
        except OSError as error:
            reason = f"the directory cannot be listed: {_reason(error)}"
            failures.append(Failure(shown(directory, cwd), reason))
            continue
        special = {entry.name for entry in entries if entry.name in _SPECIAL}
        if special:
            if directory != top:
                if special & _ENVIRONMENT_MARKS:
                    continue
                if special & _CONFIG_FILES:
                    excludes = _excludes(settings_for(directory), directory)
            if ".git" in special:
                ignores = _repository_ignores(directory)
            if ".gitignore" in special:
                ignores = _with(ignores, directory, ".gitignore")
        base = directory if directory.endswith(os.sep) else directory + os.sep
        for entry in entries:
            name = entry.name
            is_directory = not name.endswith(SUFFIXES)
            try:
                if is_directory:
                    if not entry.is_dir(follow_symlinks=False):
                        continue
                elif not entry.is_file():
                    # A directory may be called "x.py" as well.
                    is_directory = entry.is_dir(follow_symlinks=False)
                    if not is_directory:
                        continue
            except OSError as error:
                failures.append(Failure(shown(base + name, cwd), _reason(error)))
                continue
            path = base + name
            verdict = None
            if excludes is not None:
                verdict = excludes.patterns.verdict(
                    path[excludes.skip :].replace(os.sep, "/"), is_directory
                )
            if verdict or (verdict is None and is_directory and name in EXCLUDED_DIRECTORIES):
                continue
            for patterns, skip in ignores:
                ignored = patterns.verdict(path[skip:].replace(os.sep, "/"), is_directory)
                if ignored is not None:
                    break
            else:
                ignored = False
            if ignored:
                continue
            if is_directory:
                stack.append((path, ignores, excludes))
            else:
                yield path, entry.is_symlink()


def _excludes(settings: Settings, directory: str) -> _Ignores | None:
    patterns = exclude_patterns(settings)
    if not patterns:
        return None
    root = settings.root or os.getcwd()
    prefix = root if root.endswith(os.sep) else root + os.sep
    if not (directory + os.sep).startswith(prefix):
        prefix = directory + os.sep
    return _Ignores(patterns, len(prefix))


def _with(ignores: tuple[_Ignores, ...], directory: str, name: str) -> tuple[_Ignores, ...]:
    """Put the patterns of one ignore file before those that are farther away."""
    patterns = _read_patterns(os.path.join(directory, name))
    if not patterns:
        return ignores
    skip = len(directory) if directory.endswith(os.sep) else len(directory) + 1
    return (_Ignores(patterns, skip), *ignores)


def _read_patterns(path: str) -> IgnorePatterns:
    try:
        with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="\n") as file:
            return IgnorePatterns(file)
    except OSError:
        # git goes on without an ignore file that it cannot read, and so do we.
        return IgnorePatterns(())


def _ignores_above(top: str) -> tuple[_Ignores, ...]:
    """Return the patterns of the repository around a directory, without the directory's own."""
    above: list[str] = []
    directory = top
    while not os.path.lexists(os.path.join(directory, ".git")):
        parent = os.path.dirname(directory)
        if parent == directory:
            return ()
        directory = parent
        above.append(directory)
    if not above:
        return ()
    ignores = _repository_ignores(directory)
    for directory in reversed(above):
        ignores = _with(ignores, directory, ".gitignore")
    return ignores


def _repository_ignores(directory: str) -> tuple[_Ignores, ...]:
    """Return the patterns of ``info/exclude`` of the repository whose top is ``directory``."""
    git = os.path.join(directory, ".git")
    if os.path.isfile(git):
        # A worktree or a submodule: the file names the directory, which may share another's.
        git = _pointed_to(git, directory, "gitdir:")
        common = os.path.join(git, "commondir")
        if os.path.isfile(common):
            git = _pointed_to(common, git, "")
    patterns = _read_patterns(os.path.join(git, "info", "exclude"))
    if not patterns:
        return ()
    return (_Ignores(patterns, len(directory.rstrip(os.sep)) + 1),)


def _pointed_to(path: str, base: str, prefix: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            target = file.readline().strip()
    except OSError:
        return base
    return os.path.normpath(os.path.join(base, target.removeprefix(prefix).strip()))


def repository_top(path: str) -> str | None:
    """Return the top directory of the git work tree that holds an absolute path, if any."""
    directory = os.path.dirname(path)
    while True:
        if os.path.lexists(os.path.join(directory, ".git")):
            return directory
        parent = os.path.dirname(directory)
        if parent == directory:
            return None
        directory = parent


def read_bytes(file: DiscoveredFile) -> bytes:
    """Return a file's bytes.

    Raises:
        SourceError: it cannot be read.
    """
    if file.data is not None:
        return file.data
    try:
        with open(file.path, "rb", buffering=0) as stream:
            return stream.readall()
    except OSError as error:
        raise SourceError(file.shown, f"cannot be read: {_reason(error)}") from None
    except MemoryError:
        raise SourceError(file.shown, "cannot be read: it is larger than the memory") from None


def read_source(path: str, shown_path: str) -> Source:
    """Return a file's text with the way it is stored.

    Raises:
        SourceError: it cannot be read or decoded.
    """
    return decode(read_bytes(DiscoveredFile(path, shown_path)), shown_path)


def decode(data: bytes, shown_path: str) -> Source:
    """Return the text of a file from its bytes; a notebook is known by its suffix.

    Raises:
        SourceError: the bytes are not text, or not a notebook.
    """
    if shown_path.endswith(".ipynb"):
        from lintmetrics import notebooks

        return notebooks.read(data, shown_path)
    from lintmetrics import containers

    return containers.read(data, shown_path)


def write(file: DiscoveredFile, data: bytes, before: bytes | None = None) -> None:
    """Replace a file's content in one step: at any moment it is the old one or the new one.

    The mode is kept, and a symbolic link is written through.

    Args:
        file: what to write.
        data: the new content.
        before: the content that the new one was made from; a file that is no longer this is left.

    Raises:
        SourceError: it cannot be written, and is as it was.
    """
    target = os.path.realpath(file.path)
    folder, name = os.path.split(target)
    temporary = os.path.join(folder, f".{name[:100]}.{os.getpid()}.lintmetrics")
    try:
        if not os.access(target, os.W_OK):
            raise SourceError(file.shown, "cannot be written: it is read-only")
        if before is not None:
            with open(target, "rb", buffering=0) as stream:
                if stream.readall() != before:
                    raise SourceError(file.shown, "was changed by another program meanwhile")
        status = os.stat(target)
        # O_BINARY exists on Windows only, where text mode would translate newlines.
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        descriptor = os.open(temporary, flags, 0o600)
        try:
            with open(descriptor, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            _keep_owner(temporary, status)
            os.chmod(temporary, status.st_mode & 0o7777)
            os.replace(temporary, target)
        except BaseException:
            _discard(temporary)
            raise
    except OSError as error:
        raise SourceError(file.shown, f"cannot be written: {_reason(error)}") from None


def _keep_owner(path: str, status: os.stat_result) -> None:
    if not hasattr(os, "chown"):
        return
    made = os.stat(path)
    if (made.st_uid, made.st_gid) != (status.st_uid, status.st_gid):
        try:
            os.chown(path, status.st_uid, status.st_gid)
        except PermissionError:
            # Only root may give files away; an editor that saves by renaming does no better.
            return


def _discard(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def shown_bytes(data: bytes) -> str:
    """Return bytes as text for a diff; ``diff_bytes`` gives the same bytes back."""
    return data.decode("utf-8", "surrogateescape")


def diff_bytes(text: str) -> bytes:
    """Undo ``shown_bytes``."""
    return text.encode("utf-8", "surrogateescape")
