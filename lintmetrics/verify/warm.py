"""Pythons that have imported what programs begin with; a training is a fork of one.

A program that trains for a second imports torch and Lightning for six. Programs that import the
same releases under the same variables are forked, each in a session and folder of its own, from
one process that has done so.
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

from lintmetrics.verify.training import MARK, end_all, guarded

_MODULES = ("torch", "pytorch_lightning", "lightning.pytorch")
"""What is imported beforehand where a program imports it, or something of it."""

_BESIDES = ("sklearn.datasets",)
"""What is imported beforehand wherever it is installed, for what a program may use."""

_OWN = ("LINTMETRICS_RECORD", "LINTMETRICS_CAPTURE", MARK, "PYTEST_CURRENT_TEST")
"""Variables that may differ between programs forked from one process."""


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
        for warm in self._made.values():
            if warm is not None:
                warm.close()
        self._made.clear()

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
        modules = _imports(Path(program))
        if not modules:
            return None
        shared = {name: value for name, value in variables.items() if name not in _OWN}
        key = (python, modules, frozenset(shared.items()))
        with self._lock:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            if key not in self._made:
                self._made[key] = _Warm.of(python, modules, variables)
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
    wanted = [
        module
        for module in _MODULES
        if any(f"{name}.".startswith(f"{module.partition('.')[0]}.") for name in names)
    ]
    return (*wanted, *(f"{name}?" for name in _BESIDES)) if wanted else ()


class _Warm:
    """One process that forks."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        asked: socket.socket,
        mark: str,
        guard: contextlib.ExitStack,
    ) -> None:
        self._process = process
        self._asked = asked
        self._mark = mark
        self._guard = guard

    @classmethod
    def of(cls, python: str, modules: Sequence[str], variables: Mapping[str, str]) -> _Warm | None:
        """Start one; ``None`` where the modules cannot be imported, as the program will say."""
        mark = uuid.uuid4().hex
        guard = contextlib.ExitStack()
        guard.enter_context(guarded(mark))
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        code = "import lintmetrics_warm; lintmetrics_warm.serve()"
        with theirs:
            process = subprocess.Popen(
                [python, "-c", code, str(theirs.fileno()), *modules],
                # The recorder leaves steps alone for good where none are wanted at the import.
                env={**variables, "LINTMETRICS_CAPTURE": "", MARK: mark},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        warm = cls(process, ours, mark, guard)
        with contextlib.suppress(OSError):
            if ours.recv(16) == b"ready":
                return warm
        warm.close()
        return None

    def fork(self, program: str, cwd: Path, variables: Mapping[str, str]) -> Forked:
        """Start a program.

        Raises:
            OSError: the process has ended.
        """
        request = Path(variables["LINTMETRICS_RECORD"]) / "request.json"
        what = {"program": program, "cwd": os.fspath(cwd), "variables": dict(variables)}
        request.write_text(json.dumps(what), encoding="utf-8")
        stdout, printed = os.pipe()
        told, telling = os.pipe()
        try:
            socket.send_fds(self._asked, [os.fsencode(request)], [printed, telling])
        finally:
            os.close(printed)
            os.close(telling)
        return Forked(open(stdout, "rb", buffering=0), open(told, "rb"))

    def close(self) -> None:
        """End it, and whatever it has forked."""
        self._asked.close()
        end_all(self._mark)
        self._process.wait()
        self._guard.close()
