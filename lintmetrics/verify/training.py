"""Run somebody's command with the recorder in it, and leave no process of it behind.

A training may fork workers, start other ranks, detach them in sessions of their own, ignore
polite signals or never end. Every process that comes of it inherits one variable with a random
value, and is found and ended by that; so it is when this process is interrupted, terminated or
killed: a guard process watches for its end.
"""

from __future__ import annotations

import contextlib
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO, TYPE_CHECKING

import psutil

from lintmetrics.errors import LintmetricsError
from lintmetrics.verify.record import Record, read
from lintmetrics.verify.verdict import Side

if TYPE_CHECKING:
    from lintmetrics.verify.warm import Forked, WarmPythons

RECORDER = Path(__file__).with_name("recorder")
"""The folder that makes the recorder part of every Python that is started with it on its path."""

MARK = "LINTMETRICS_MARK"
"""The variable that every process of a training inherits."""

_GRACE = 5.0
"""Seconds that a process has to end by itself once it was asked to."""

_TAIL = 40
"""Lines of output that are kept for the report."""


@dataclass(frozen=True)
class Training:
    """A training that was tried.

    Args:
        side: how it went.
        records: what its processes recorded, by rank; also where it did not come to its end.
    """

    side: Side
    records: Mapping[int, Record] = field(default_factory=dict, repr=False)

    @property
    def record(self) -> Record | None:
        """What the first process recorded; ``None`` where nothing was."""
        return self.records[min(self.records)] if self.records else None


def train(
    command: Sequence[str],
    cwd: Path,
    record: Path,
    *,
    name: str = "",
    environment: Mapping[str, str] | None = None,
    capture: str | None = None,
    timeout: float | None = None,
    on_line: Callable[[str], None] | None = None,
    warm: WarmPythons | None = None,
) -> Training:
    """Run a command to its end, with everything that Lightning logs in it written down.

    Args:
        command: as the user would start it; it must last as long as the training does.
        cwd: the folder to run it in.
        record: the folder for what is recorded; made here.
        name: what the report calls this training.
        environment: variables besides those of this process, such as those of a reference.
        capture: the module whose raw outputs are wanted, as in ``Case``; ``None`` for no raw steps.
        timeout: seconds after which it is ended; ``None`` for never.
        on_line: given every line that it prints.
        warm: processes to fork it from, where it is a Python and a program.
    Raises:
        LintmetricsError: the command cannot be started at all.
    """
    record = record.absolute()
    record.mkdir(parents=True, exist_ok=True)
    mark = uuid.uuid4().hex
    variables = {**os.environ, **(environment or {}), MARK: mark}
    paths = [os.fspath(RECORDER), variables.get("PYTHONPATH", "")]
    variables["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    variables["LINTMETRICS_RECORD"] = os.fspath(record)
    variables.pop("LINTMETRICS_CAPTURE", None)
    if capture is not None:
        variables["LINTMETRICS_CAPTURE"] = capture
    # What is printed last before a hang or a kill is what the report needs most.
    variables["PYTHONUNBUFFERED"] = "1"
    tail: deque[str] = deque(maxlen=_TAIL)
    started = time.monotonic()
    with signals_raise(), guarded(mark):
        _running[mark] = None
        try:
            forked = warm.start(command, cwd, variables) if warm else None
            if forked is not None:
                with contextlib.suppress(psutil.NoSuchProcess):
                    _running[mark] = psutil.Process(forked.pid)
            process = forked or _start(command, cwd, variables)
            try:
                ended = _follow(process, started, timeout, tail, on_line)
            finally:
                # Also after Ctrl-C; and a training that ended well may have left workers.
                end_all(mark)
                process.wait()
        finally:
            # The interrupt may have come before the process had a name here.
            end_all(mark)
            _running.pop(mark, None)
    seconds = time.monotonic() - started
    outcome, detail = _judge(process.wait(), ended, timeout, tail, record)
    records: dict[int, Record] = {}
    try:
        records = read(record)
    except LintmetricsError as error:
        # Half a line of a process that was ended says nothing new.
        if outcome == "finished":
            outcome, detail = "failed", str(error)
    first = records[min(records)].environment if records else {}
    shown = "\n".join([detail, *tail]) if detail else ""
    return Training(Side(name, outcome, first, seconds, shown), records)


def _start(
    command: Sequence[str], cwd: Path, variables: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    flags = 0
    if sys.platform == "win32":
        flags = subprocess.CREATE_NEW_PROCESS_GROUP
    try:
        return subprocess.Popen(
            list(command),
            cwd=cwd,
            env=dict(variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # Ctrl-C is for this process, which then ends the training in order.
            start_new_session=True,
            creationflags=flags,
        )
    except FileNotFoundError:
        if not cwd.is_dir():
            raise LintmetricsError(f"{cwd}: there is no such folder to train in") from None
        raise LintmetricsError(
            f"{command[0]}: there is no such command, neither on PATH nor in {cwd}"
        ) from None
    except OSError as error:
        raise LintmetricsError(f"{command[0]}: cannot be started: {error.strerror}") from None


def _follow(
    process: subprocess.Popen[bytes] | Forked,
    started: float,
    timeout: float | None,
    tail: deque[str],
    on_line: Callable[[str], None] | None,
) -> bool:
    """Pass on what it prints until it ends; ``False`` when it has to be ended."""
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    assert process.stdout is not None
    # A thread, as the pipe stays open for as long as any left-over worker holds it.
    reader = threading.Thread(target=_read, args=(process.stdout, lines), daemon=True)
    reader.start()

    def drain(wait: float) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                line = lines.get(timeout=wait)
                wait = 0
                tail.append(line)
                if on_line:
                    on_line(line)

    while process.poll() is None:
        if timeout is not None and time.monotonic() - started > timeout:
            drain(0)
            return False
        drain(0.1)
    reader.join(0.5)
    drain(0)
    return True


def _read(stream: IO[bytes], lines: queue.SimpleQueue[str]) -> None:
    # Progress bars end their lines with a carriage return only, and may fill megabytes.
    rest = b""
    with contextlib.suppress(OSError, ValueError):
        while data := os.read(stream.fileno(), 65536):
            *whole, rest = re.split(rb"\r\n|\n|\r", rest + data)
            for line in whole:
                lines.put(line.decode("utf-8", "replace"))
    if rest:
        lines.put(rest.decode("utf-8", "replace"))


def _judge(
    code: int, ended: bool, timeout: float | None, tail: Sequence[str], record: Path
) -> tuple[str, str]:
    if not ended:
        last = next((line.strip() for line in reversed(tail) if line.strip()), "nothing")
        return "timed out", f"no end after {timeout:g} s; the last it printed: {last}"
    if code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        hint = ": perhaps for want of memory" if name == "SIGKILL" else ""
        return "killed", f"ended by {name}{hint}"
    if code > 0:
        return "failed", f"exit code {code}: {_error(tail)}"
    if not any(path.stat().st_size for path in record.glob("record-*")):
        return (
            "recorded nothing",
            "it ended well, and no Lightning in it started a training that could be recorded: "
            "is this the command that trains, and does it last as long as the training",
        )
    return "finished", ""


_ERROR = re.compile(r"^(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Interrupt|Exit|Warning)\b")


def _error(tail: Sequence[str]) -> str:
    """Return the line of the output that says most about why it failed."""
    for line in reversed(tail):
        if _ERROR.match(line):
            return line.strip()
    return next((line.strip() for line in reversed(tail) if line.strip()), "it printed nothing")


# Ending what was started ------------------------------------------------------------------------

_running: dict[str, psutil.Process | None] = {}
"""The marks of what runs; with it the process that was forked, and so has not the mark itself."""


def stop() -> None:
    """End every training of this process, such as those of other threads after Ctrl-C.

    Only the main thread is interrupted; to the others, their training was killed.
    """
    for mark in list(_running):
        end_all(mark)


class Trainings:
    """Trainings side by side; whatever ends the ``with`` block, none of them goes on behind it.

    Args:
        workers: how many may run at a time.
    """

    def __init__(self, workers: int) -> None:
        self._pool = ThreadPoolExecutor(max_workers=max(workers, 1))
        self._begun: list[Future[Training]] = []
        self._signals = signals_raise()

    def __enter__(self) -> Trainings:
        self._signals.__enter__()
        return self

    def begin(self, run: Callable[[], Training]) -> Future[Training]:
        """Have a training run as soon as there is room; ``run`` calls ``train``."""
        future = self._pool.submit(run)
        self._begun.append(future)
        return future

    def __exit__(self, *raised: object) -> None:
        try:
            self._pool.shutdown(wait=False, cancel_futures=True)
            # One that was just about to start when the others were ended is ended in its turn.
            while any(not future.done() for future in self._begun):
                stop()
                wait(self._begun, timeout=0.2)
        finally:
            self._signals.__exit__(None, None, None)


def _marked(mark: str) -> list[psutil.Process]:
    """Find every process that came of a training, also those that left its session."""
    found: dict[int, psutil.Process] = {}
    own, forked = os.getpid(), _running.get(mark)
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process == forked or (process.pid != own and process.environ().get(MARK) == mark):
                found[process.pid] = process
    for process in list(found.values()):
        # Those that dropped their environment are still somebody's children.
        with contextlib.suppress(psutil.Error, OSError):
            for child in process.children(recursive=True):
                found.setdefault(child.pid, child)
    return [process for process in found.values() if not _is_zombie(process)]


def _is_zombie(process: psutil.Process) -> bool:
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return True


def end_all(mark: str, grace: float = _GRACE) -> None:
    """End every process of a training: asked first, then killed. Ctrl-C meanwhile: killed now."""
    interrupted: BaseException | None = None
    deadline = time.monotonic() + grace
    # Nothing that may be killed lives for long after it was; what may not be would be waited for
    # in vain.
    last = deadline + 10
    asked: set[int] = set()
    # Who was seen once stays known: a child that was forked is told by its parent alone.
    known: set[psutil.Process] = set()
    while time.monotonic() < last:
        known.update(_marked(mark))
        alive = [process for process in known if process.is_running() and not _is_zombie(process)]
        if not alive:
            break
        try:
            for process in alive:
                with contextlib.suppress(psutil.Error):
                    if time.monotonic() >= deadline:
                        process.kill()
                    elif process.pid not in asked:
                        asked.add(process.pid)
                        process.terminate()
            # Not psutil.wait_procs: it would take the exit code that Popen has to learn.
            time.sleep(0.05)
        except (KeyboardInterrupt, SystemExit) as error:
            interrupted = error
            deadline = 0.0
    if interrupted is not None:
        raise interrupted


@contextlib.contextmanager
def signals_raise() -> Iterator[None]:
    """Make the signals that ask this process to end raise, so that it can clean up."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    names = ("SIGTERM", "SIGHUP", "SIGBREAK")
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    # Who has a handler of their own, or ignores the signal as nohup does, keeps that.
    numbers = [number for number in numbers if signal.getsignal(number) is signal.SIG_DFL]
    before = {number: signal.signal(number, leave) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


# What there is to import waits until somebody has to be ended, which is hardly ever.
_WATCH = """\
import os, sys
if not sys.stdin.buffer.read():
    code = "import sys; from lintmetrics.verify.training import end_all; end_all(sys.argv[1])"
    os.execv(sys.executable, [sys.executable, "-c", code, sys.argv[1]])
"""


@contextlib.contextmanager
def guarded(mark: str) -> Iterator[None]:
    """Have a process at hand that ends the training should this process be killed."""
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-I", "-S", "-c", _WATCH, mark]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=variables,
        start_new_session=True,
    ) as process:
        assert process.stdin is not None
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                process.stdin.write(b"done")
                process.stdin.close()


# Whose Python -----------------------------------------------------------------------------------


def python_of(command: Sequence[str], cwd: Path) -> str:
    """Return the Python that a command will run in, as far as its first word tells.

    That is the word itself where it is a Python, the Python of the script's first line where it is
    a script such as torchrun, and this one otherwise.
    """
    word = command[0]
    found = shutil.which(word) or shutil.which(os.path.join(cwd, word))
    if found is None:
        return sys.executable
    if re.fullmatch(r"python(\d+(\.\d+)?)?(\.exe)?", os.path.basename(found).lower()):
        return os.path.abspath(found)
    with contextlib.suppress(OSError), open(found, "rb") as file:
        first = file.readline(512)
        if first.startswith(b"#!"):
            words = first[2:].decode("utf-8", "replace").split()
            if words and os.path.basename(words[0]) == "env":
                words = [w for w in words[1:] if not w.startswith("-") and "=" not in w]
            if words and re.match(r"python", os.path.basename(words[0])):
                return shutil.which(words[0]) or sys.executable
    return sys.executable
