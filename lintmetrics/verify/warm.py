"""Pythons that have imported what programs begin with; a training is a fork of one.

A program that trains for a second imports torch and Lightning for six. Programs that import the
same releases under the same variables are forked, each in a session and folder of its own, from
one process that has done so. Those processes in turn are forked from one that has imported what
all releases of Lightning import, which is most of it.
"""

from __future__ import annotations

import ast
import contextlib
import json
import os
import select
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from lintmetrics.verify.training import MARK, RECORDER, end_all, guarded

_MODULES = ("torch", "pytorch_lightning", "lightning.pytorch")
"""What is imported beforehand where a program imports it, or something of it."""

_COMMON = ("torch", "torch._dynamo", "sklearn.datasets")
"""What is imported before any Lightning, wherever it is installed: optimizers of torch import
``torch._dynamo`` when the first one is made, and programs train with what scikit-learn brings."""

_OWN = (
    MARK,
    "LINTMETRICS_CACHE_DIR",
    "LINTMETRICS_CAPTURE",
    "LINTMETRICS_RECORD",
    "PYTEST_CURRENT_TEST",
)
"""Variables that may differ between programs forked from one process."""

_WATCHED = {"LINTMETRICS_CAPTURE": ""}
"""The recorder leaves steps alone for good where none are wanted when Lightning is imported."""

_OF_TRAINER = "PL_TRAINER_"
"""What the names of variables begin with that Lightning reads when a ``Trainer`` is made."""


class Forked:
    """A process that another one has forked, with what ``subprocess.Popen`` tells of its own.

    Args:
        stdout: what it prints.
        told: the pipe that brings its number, then its exit code.
    """

    def __init__(self, stdout: BinaryIO, told: BinaryIO) -> None:
        self.stdout = stdout
        self._told = told
        number = told.readline()
        if not number.endswith(b"\n"):
            raise OSError("the process that forks has ended")
        self.pid = int(number)
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit code; ``None`` while it runs."""
        if self.returncode is None and select.select([self._told], [], [], 0)[0]:
            return self.wait()
        return self.returncode

    def wait(self) -> int:
        """Return the exit code when it has ended."""
        if self.returncode is None:
            # Whoever forks was killed when it says nothing, and so was all that came of it.
            self.returncode = int(self._told.readline() or -9)
            self._told.close()
        return self.returncode


class WarmPythons:
    """Processes that fork programs, made as they are needed and ended with the ``with`` block."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._locks: dict[object, threading.Lock] = {}
        self._made: dict[object, _Warm | None] = {}
        self._common: dict[object, _Warm | None] = {}

    def __enter__(self) -> WarmPythons:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        raised: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all processes, and whatever they have forked."""
        for made in (self._made, self._common):
            for warm in made.values():
                if warm is not None:
                    warm.close()
            made.clear()

    def start(
        self, command: Sequence[str], cwd: Path, variables: Mapping[str, str]
    ) -> Forked | None:
        """Start a program; ``None`` where this can only be done the usual way.

        Args:
            command: the Python and the program, and nothing else.
            cwd: the folder to run it in.
            variables: the whole environment.
        """
        if sys.platform != "linux" or not hasattr(os, "pidfd_open") or len(command) != 2:
            return None
        python, program = command
        modules = _imports(cwd / program)
        if not modules:
            return None
        shared = {
            name: value
            for name, value in variables.items()
            if name not in _OWN and not name.startswith(_OF_TRAINER)
        }
        key = (python, modules, frozenset(shared.items()))
        with self._locked(key):
            if key not in self._made:
                self._made[key] = self._make(python, modules, variables, shared)
            warm = self._made[key]
            if warm is None:
                return None
            try:
                return warm.fork(program, cwd, variables)
            except OSError:
                # It was killed, say for want of memory; the next one gets a new one.
                warm.close()
                del self._made[key]
                return None

    def _locked(self, key: object) -> threading.Lock:
        with self._lock:
            return self._locks.setdefault(key, threading.Lock())

    def _make(
        self,
        python: str,
        modules: Sequence[str],
        variables: Mapping[str, str],
        shared: Mapping[str, str],
    ) -> _Warm | None:
        """Return a process with these imports; ``None`` where they cannot be had."""
        common = [f"{name}?" for name in _COMMON]
        usual = [os.fspath(RECORDER), os.environ.get("PYTHONPATH", "")]
        first = {**variables, "PYTHONPATH": os.pathsep.join(path for path in usual if path)}
        key = (python, frozenset({**shared, "PYTHONPATH": ""}.items()))
        with self._locked(key):
            if key not in self._common:
                self._common[key] = _Warm.of(python, common, first)
            before = self._common[key]
            if before is not None:
                try:
                    found = before.another(modules, variables)
                except OSError:
                    before.close()
                    del self._common[key]
                    found = None
                if found is not None:
                    return found
        return _Warm.of(python, [*modules, *common], variables)


def _imports(program: Path) -> tuple[str, ...]:
    """Return what is worth importing before a program is run."""
    try:
        tree = ast.parse(program.read_bytes())
    except (OSError, SyntaxError, ValueError):
        # What is wrong with it is said by the Python that runs it.
        return ()
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return tuple(
        module
        for module in _MODULES
        if any(f"{name}.".startswith(f"{module.partition('.')[0]}.") for name in names)
    )


class _Warm:
    """One process that forks.

    Args:
        asked: where it is asked for a child.
        ending: what ends it, and whatever it has forked.
    """

    def __init__(self, asked: socket.socket, ending: contextlib.ExitStack) -> None:
        self._asked = asked
        self._ending = ending

    @classmethod
    def of(cls, python: str, modules: Sequence[str], variables: Mapping[str, str]) -> _Warm | None:
        """Start one; ``None`` where the modules cannot be imported, as the program will say."""
        mark = uuid.uuid4().hex
        ending = contextlib.ExitStack()
        ending.enter_context(guarded(mark))
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        code = "import lintmetrics_warm; lintmetrics_warm.serve()"
        with theirs:
            process = subprocess.Popen(
                [python, "-c", code, str(theirs.fileno()), *modules],
                env={**variables, **_WATCHED, MARK: mark},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        ending.callback(process.wait)
        ending.callback(end_all, mark)
        return cls(ours, ending)._ready()

    def another(self, modules: Sequence[str], variables: Mapping[str, str]) -> _Warm | None:
        """Fork one that goes on to import these modules; ``None`` where it cannot.

        Raises:
            OSError: the process has ended.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._ask({"modules": [*modules]}, {**variables, **_WATCHED}, [theirs.fileno()])
        # It ends when its socket does; or with the one that it was forked from.
        return _Warm(ours, contextlib.ExitStack())._ready()

    def fork(self, program: str, cwd: Path, variables: Mapping[str, str]) -> Forked:
        """Start a program.

        Raises:
            OSError: the process has ended.
        """
        stdout, printed = os.pipe()
        told, telling = os.pipe()
        try:
            self._ask({"program": program, "cwd": os.fspath(cwd)}, variables, [printed, telling])
        finally:
            os.close(printed)
            os.close(telling)
        return Forked(open(stdout, "rb", buffering=0), open(told, "rb"))

    def _ask(
        self, what: Mapping[str, object], variables: Mapping[str, str], given: Sequence[int]
    ) -> None:
        request = Path(variables["LINTMETRICS_RECORD"]) / "request.json"
        text = json.dumps({**what, "variables": dict(variables)})
        request.write_text(text, encoding="utf-8")
        socket.send_fds(self._asked, [os.fsencode(request)], [*given])

    def _ready(self) -> _Warm | None:
        with contextlib.suppress(OSError):
            if self._asked.recv(16) == b"ready":
                return self
        self.close()
        return None

    def close(self) -> None:
        """End it, and whatever it has forked."""
        self._asked.close()
        self._ending.close()
