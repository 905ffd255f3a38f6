"""Old Lightning, ready to run: small folders that are put in front of today's environment.

Only pure Python differs between Lightning 1.0 and today, so that the original of a program trains
on today's torch when the Lightning and TorchMetrics it was written for come first on the path.
What each reference holds, and what little is changed in it, are the tables in ``pins``; its files
are pinned by hash and fetched with the user's own pip from the user's own index.
"""

from __future__ import annotations

import contextlib
import csv
import difflib
import hashlib
import json
import os
import pkgutil
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO

from lintmetrics.errors import LintmetricsError

Progress = Callable[[int, int], None]
"""Called with (steps done, steps in all) while an overlay is built."""

_MANIFEST = "overlay.json"
_COMPILED = ("compileall", "-qq", "--invalidation-mode", "checked-hash")
"""How the modules are compiled; part of what an overlay is."""


@dataclass(frozen=True)
class Reference:
    """A Lightning of the past.

    Args:
        name: the version of Lightning.
        requirements: what the overlay holds, ``name==version`` each.
        remove: top-level folders that the packages bring along and that would hide the user's.
        first_python, last_python: between them it was built; also that of the training itself.
        launch: the name of its way to be told of devices, in ``launches.csv``.
        remark: one line for people.
    """

    name: str
    requirements: tuple[str, ...]
    remove: tuple[str, ...]
    first_python: str
    last_python: str
    launch: str
    remark: str

    @property
    def torchmetrics(self) -> str:
        """The version of TorchMetrics in it; empty where there is none."""
        pinned = dict(item.split("==") for item in self.requirements)
        return pinned.get("torchmetrics", "")

    def runs_on(self, version: tuple[int, int]) -> bool:
        """Tell whether a Python, such as ``(3, 11)``, can run it."""
        return _numbers(self.first_python) <= version <= _numbers(self.last_python)


@dataclass(frozen=True)
class Edit:
    """A text of an old release that today's torch, NumPy or Python refuses, and what it becomes.

    Args:
        file: path in the overlay; every occurrence of ``old`` in it becomes ``new``.
        why: one line.
    """

    file: str
    old: str
    new: str
    why: str


def _numbers(version: str) -> tuple[int, int]:
    major, minor = version.split(".")
    return int(major), int(minor)


def _pin_file(name: str) -> bytes:
    data = pkgutil.get_data(__name__, f"pins/{name}")
    assert data is not None
    return data


def _rows(name: str) -> list[dict[str, str]]:
    # A cell of edits.csv may hold several lines: the reader is given the text, not its lines.
    lines = _pin_file(name).decode("utf-8").splitlines(keepends=True)
    return list(csv.DictReader(lines))


@cache
def listing() -> tuple[Reference, ...]:
    """Return every reference, newest first."""
    return tuple(
        Reference(
            row["name"],
            tuple(row["requirements"].split()),
            tuple(row["remove"].split()),
            row["first_python"],
            row["last_python"],
            row["launch"],
            row["remark"],
        )
        for row in _rows("index.csv")
    )


def edits(reference: Reference) -> tuple[Edit, ...]:
    """Return what is changed in a reference so that it runs today."""
    return tuple(
        Edit(row["file"], row["old"], row["new"], row["why"])
        for row in _rows("edits.csv")
        if reference.name in row["references"].split()
    )


def pins(reference: Reference) -> str:
    """Return the requirements of a reference with their hashes, as pip reads them."""
    return _pin_file(f"{reference.name}.txt").decode("utf-8")


def reference(name: str) -> Reference:
    """Return the reference of that name, such as ``"1.4.9"``.

    Raises:
        LintmetricsError: there is none of that name.
    """
    known = {item.name: item for item in listing()}
    if name in known:
        return known[name]
    near = _nearest(name, list(known))
    raise LintmetricsError(
        f"--reference {name}: there is no such reference; the nearest is {near}; "
        f"there are {', '.join(known)}"
    )


def _nearest(name: str, known: list[str]) -> str:
    """Return the version nearest to another one, by its numbers where it has any."""
    numbers = [int(part) for part in re.findall(r"\d+", name)[:3]]
    if not numbers:
        return (difflib.get_close_matches(name, known, 1, 0) or known)[0]

    def place(parts: list[int]) -> int:
        return sum(part * 1000**power for part, power in zip(parts, (2, 1, 0), strict=False))

    return min(known, key=lambda item: abs(place([*map(int, item.split("."))]) - place(numbers)))


# The interpreter that trains --------------------------------------------------------------------


@dataclass(frozen=True)
class Interpreter:
    """What is to be known of a Python before packages are put in front of it.

    Args:
        path: its executable.
        version: such as ``(3, 11)``.
        tag: implementation, version and platform in one word.
        has_pip: it can run pip.
    """

    path: str
    version: tuple[int, int]
    tag: str
    has_pip: bool


_ASK = """\
import importlib.util, json, sys, sysconfig
print(json.dumps([list(sys.version_info[:2]), sys.implementation.cache_tag,
                  sysconfig.get_platform(), importlib.util.find_spec("pip") is not None]))
"""


@cache
def interpreter(python: str) -> Interpreter:
    """Ask a Python who it is.

    Raises:
        LintmetricsError: it cannot be run.
    """
    try:
        # Not the working directory: a pip.py of the user's is not pip.
        answer = subprocess.run(
            [python, "-c", _ASK], capture_output=True, check=True, timeout=60, cwd=os.path.sep
        )
        version, tag, platform, has_pip = json.loads(answer.stdout.splitlines()[-1])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError) as error:
        raise LintmetricsError(f"{python}: cannot be run as a Python: {error}") from None
    major, minor = version
    return Interpreter(python, (major, minor), f"{tag}-{platform}", has_pip)


# The cache --------------------------------------------------------------------------------------


def cache_folder() -> Path:
    """Return the folder in which overlays are kept; ``LINTMETRICS_CACHE_DIR`` overrides it."""
    chosen = os.environ.get("LINTMETRICS_CACHE_DIR")
    if chosen:
        return Path(chosen).expanduser().absolute()
    import platformdirs

    return Path(platformdirs.user_cache_dir("lintmetrics", appauthor=False))


def references_folder() -> Path:
    """Return the folder that overlays are kept in."""
    return cache_folder() / "references"


def is_built(reference: Reference, python: str = sys.executable) -> bool:
    """Tell whether the overlay of a reference is there and whole."""
    return complete(_overlay_path(reference, interpreter(python)))


def _overlay_path(reference: Reference, of: Interpreter) -> Path:
    content = [pins(reference), repr(edits(reference)), repr(reference.remove), *_COMPILED]
    digest = hashlib.sha256("\0".join(content).encode()).hexdigest()[:12]
    return references_folder() / f"{reference.name}-{of.tag}-{digest}"


def _sealed(folder: Path) -> dict[str, str]:
    """Return the hash of every file of an overlay but the compiled ones."""
    found = {}
    for root, _, names in os.walk(folder):
        inside = os.path.relpath(root, folder).replace(os.path.sep, "/")
        prefix = "" if inside == "." else f"{inside}/"
        for name in names:
            path = os.path.join(root, name)
            if name.endswith(".pyc") or name == _MANIFEST or not os.path.isfile(path):
                continue
            with open(path, "rb") as file:
                digest = hashlib.blake2b(file.read(), digest_size=16).hexdigest()
            found[prefix + name] = digest
    return dict(sorted(found.items()))


def complete(folder: Path) -> bool:
    """Tell whether an overlay is there, with every file as it was built and no other."""
    try:
        manifest = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
        return bool(manifest["files"] == _sealed(folder))
    except (OSError, ValueError, KeyError, TypeError):
        return False


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock that ends with its holder, however that ends."""
    with path.open("a+b") as file:
        if sys.platform == "win32":
            import msvcrt
            import time

            while True:
                try:
                    file.seek(0)
                    msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
                    break
                except OSError:
                    time.sleep(0.2)
            try:
                yield
            finally:
                file.seek(0)
                msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def overlay(
    reference: Reference, progress: Progress | None = None, python: str = sys.executable
) -> Path:
    """Return the folder of a reference, built when it is not there or not whole.

    Args:
        reference: the Lightning that is wanted.
        progress: told how far the building is.
        python: the interpreter that will train; its pip fetches the files.
    Raises:
        LintmetricsError: it cannot be built, and why.
    """
    of = interpreter(python)
    if not reference.runs_on(of.version):
        raise LintmetricsError(
            f"reference {reference.name} runs on Python {reference.first_python} to "
            f"{reference.last_python}, and {python} is {of.version[0]}.{of.version[1]}: "
            f"start lintmetrics, or the command after `--`, with one of those"
        )
    folder = _overlay_path(reference, of)
    if complete(folder):
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _locked(folder.with_name(folder.name + ".lock")):
            # Another process may have built it while this one waited.
            if not complete(folder):
                _build(reference, of, folder, progress)
    except OSError as error:
        raise LintmetricsError(
            f"reference {reference.name}: {folder.parent} cannot be written "
            f"({error.strerror or error}): free some space, or name another folder in "
            f"LINTMETRICS_CACHE_DIR"
        ) from None
    return folder


def _build(reference: Reference, of: Interpreter, folder: Path, progress: Progress | None) -> None:
    if not of.has_pip:
        raise LintmetricsError(
            f"reference {reference.name}: {of.path} has no pip to fetch it with: "
            f"run {of.path} -m ensurepip"
        )
    # What builds that were killed have left; the lock is held, so that nobody needs it.
    for left in folder.parent.glob(f"{folder.name}.building-*"):
        shutil.rmtree(left, ignore_errors=True)
    steps = len(reference.requirements) + 2
    with tempfile.TemporaryDirectory(
        prefix=f"{folder.name}.building-", dir=folder.parent, ignore_cleanup_errors=True
    ) as scratch:
        built = Path(scratch) / "overlay"
        requirements = Path(scratch) / "requirements.txt"
        requirements.write_text(pins(reference), encoding="utf-8")
        _install(reference, of, requirements, built, progress or (lambda done, total: None), steps)
        for name in reference.remove:
            shutil.rmtree(built / name, ignore_errors=True)
        for edit in edits(reference):
            path = built / edit.file
            data = path.read_bytes()
            old, new = edit.old.encode(), edit.new.encode()
            if old not in data:
                raise LintmetricsError(
                    f"reference {reference.name}: {edit.file} does not hold {edit.old!r}; "
                    f"please report this"
                )
            path.write_bytes(data.replace(old, new))
        _compile(built, of)
        seal = {"reference": reference.name, "python": of.tag, "files": _sealed(built)}
        (built / _MANIFEST).write_text(json.dumps(seal, indent=1), encoding="utf-8")
        if folder.exists():
            folder.rename(Path(scratch) / "broken")
        built.rename(folder)
    if progress:
        progress(steps, steps)


def _install(
    reference: Reference,
    of: Interpreter,
    requirements: Path,
    target: Path,
    progress: Progress,
    steps: int,
) -> None:
    command = [of.path, "-m", "pip", "install", "--no-deps", "--require-hashes"]
    command += ["--only-binary", ":all:", "--no-compile", "--target", os.fspath(target)]
    # pip tells only with -vv that an index did not answer.
    command += ["--no-input", "--disable-pip-version-check", "--progress-bar", "off", "-vv"]
    command += ["-r", os.fspath(requirements)]
    # Settings that speak of where and what to install are not meant for this folder.
    ours = {"PIP_USER": "0", "PIP_REQUIRE_VIRTUALENV": "0", "PIP_CONSTRAINT": ""}
    ours |= {"PIP_TARGET": "", "PIP_PREFIX": "", "PIP_ROOT": "", "PIP_QUIET": "0"}
    ours |= {"PIP_RETRIES": os.environ.get("PIP_RETRIES", "2"), "PYTHONIOENCODING": "utf-8"}
    ours |= {"LC_ALL": "C.UTF-8"}
    said: list[str] = []
    done = 0
    progress(0, steps)
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=requirements.parent,
        env={**os.environ, **ours},
    ) as pip:
        try:
            assert pip.stdout is not None
            for line in _lines(pip.stdout):
                said.append(line)
                if line.startswith(("Collecting ", "Installing collected packages")):
                    done += 1
                    progress(min(done, steps), steps)
        except BaseException:
            pip.kill()
            raise
    if pip.returncode != 0:
        raise LintmetricsError(f"reference {reference.name}: {_reason(said, of)}")


def _compile(folder: Path, of: Interpreter) -> None:
    """Compile the modules as they are after the edits.

    An edit may keep a file's size and happen in the second in which pip wrote the file, which is
    all that Python compares by default: the hash of the source is what tells them apart.
    """
    # A template that is no module of this Python stays as it is: nobody imports it.
    subprocess.run(
        [of.path, "-m", *_COMPILED, os.fspath(folder)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )


def _lines(stream: IO[bytes]) -> Iterator[str]:
    for line in stream:
        yield line.decode("utf-8", "replace").rstrip()


_UNREACHABLE = re.compile(
    r"NewConnectionError|NameResolutionError|ConnectTimeout|ReadTimeout|ProxyError|SSLError|"
    r"Connection (?:refused|reset)|connection error|timed out|RemoteDisconnected|"
    r"\b(?:401|403|407|5\d\d) (?:Client|Server) Error"
)


def _reason(said: list[str], of: Interpreter) -> str:
    """Say in one line why pip failed, and what to do."""
    text = "\n".join(said)
    errors = [line.strip() for line in said if line.startswith("ERROR:")]
    last = (errors or [line for line in said if line.strip()] or ["pip said nothing"])[-1]
    last = last.removeprefix("ERROR: ")
    if "DO NOT MATCH THE HASHES" in text:
        wrong = re.search(r"^\s+(\S+==\S+) from (\S+)", text, re.MULTILINE)
        where = f" ({wrong[1]} from {wrong[2].rstrip(':')})" if wrong else ""
        return (
            f"the index serves a file with another hash than the pinned one{where}, and it was "
            f"not installed: ask who runs the index"
        )
    if "No space left on device" in text or "Errno 28" in text or "Errno 122" in text:
        return "the disk is full: free some space, or name another folder in LINTMETRICS_CACHE_DIR"
    if "Permission denied" in text or "Read-only file system" in text:
        return f"pip cannot write: {last}"
    missing = re.search(r"No matching distribution found for (\S+)", text)
    if _UNREACHABLE.search(text):
        return (
            f"the package index cannot be reached, and {'it' if not missing else missing[1]} is "
            f"not in pip's cache: build it once with a network, or set PIP_INDEX_URL to a mirror"
        )
    if missing:
        return (
            f"the package index has no {missing[1]} for Python {of.version[0]}.{of.version[1]} "
            f"on this platform: set PIP_INDEX_URL to one that has"
        )
    return f"pip failed: {last}"


# The environment of a training ------------------------------------------------------------------


def environment(
    folder: Path | None,
    reference: Reference | None,
    accelerator: str = "cpu",
    processes: int = 1,
) -> dict[str, str]:
    """Return the environment variables with which a program trains on a reference.

    Lightning takes the arguments of ``Trainer`` that a program does not give from variables named
    ``PL_TRAINER_<ARGUMENT>``; 1.0 also those that it gives.

    Args:
        folder: what ``overlay`` answered for the reference; ``None`` for today's Lightning.
        reference: ``None`` for today's Lightning.
        accelerator: ``"cpu"``, ``"cuda"``, or empty to leave the choice to the program.
        processes: how many train together.
    """
    found: dict[str, str] = {}
    if folder is not None:
        paths = [os.fspath(folder), os.environ.get("PYTHONPATH", "")]
        found["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    if accelerator:
        launch = reference.launch if reference else "devices"
        many = "one" if processes == 1 else "many"
        for row in _rows("launches.csv"):
            if (row["launch"], row["accelerator"], row["processes"]) == (launch, accelerator, many):
                variables = row["variables"].format(processes=processes).split()
                found |= dict(item.split("=", 1) for item in variables)
                break
        else:
            raise LintmetricsError(f"--accelerator {accelerator}: there are cpu and cuda")
        if accelerator == "cpu":
            # So that a program that asks torch and not Lightning stays on the CPU as well.
            found["CUDA_VISIBLE_DEVICES"] = ""
    return found
