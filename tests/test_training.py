"""A command is run with the recorder in it, and no process of it survives, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

pytest.importorskip("psutil", reason="training needs the verify extra")

import psutil

from lintmetrics.errors import LintmetricsError
from lintmetrics.verify import training
from lintmetrics.verify.verdict import Side

posix = pytest.mark.skipif(sys.platform == "win32", reason="sessions and signals of POSIX")

RECORDED = "open(os.environ['LINTMETRICS_RECORD'] + '/record-0-1.jsonl', 'w').write('{}')\n"


def _train(folder: Path, program: str, timeout: float | None = 60, **more: object) -> Side:
    (folder / "train.py").write_text("import os, sys, time\n" + textwrap.dedent(program))
    return training.train(
        [sys.executable, "train.py"],
        folder,
        folder / "record",
        name="before",
        timeout=timeout,
        **more,  # type: ignore[arg-type]
    ).side


def _gone(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def _wait_for(path: Path, seconds: float = 30) -> str:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if path.exists() and path.read_text().endswith("\n"):
            return path.read_text()
        time.sleep(0.02)
    raise AssertionError(f"{path.name} was not written")


def test_a_training_that_ends_well_is_finished(tmp_path: Path) -> None:
    lines: list[str] = []
    side = _train(tmp_path, RECORDED + "print('epoch 0'); print('ä')", on_line=lines.append)
    assert (side.name, side.outcome, side.detail) == ("before", "finished", "")
    assert lines == ["epoch 0", "ä"]
    assert 0 < side.seconds < 60


def test_the_recorder_comes_first_on_the_path_and_the_overlay_after_it(tmp_path: Path) -> None:
    lines: list[str] = []
    _train(
        tmp_path,
        """
        for name in ("PYTHONPATH", "LINTMETRICS_RECORD", "LINTMETRICS_CAPTURE", "PL_TRAINER_X"):
            print(os.environ.get(name))
        """,
        environment={"PYTHONPATH": "/overlay", "PL_TRAINER_X": "1"},
        capture="net",
        on_line=lines.append,
    )
    assert lines[-4:] == [
        os.pathsep.join([os.fspath(training.RECORDER), "/overlay"]),
        os.fspath(tmp_path / "record"),
        "net",
        "1",
    ]


def test_a_command_that_trains_nothing_recorded_nothing(tmp_path: Path) -> None:
    side = _train(tmp_path, "print('hello')")
    assert side.outcome == "recorded nothing"
    assert side.detail.endswith("hello")


def test_a_crash_shows_its_error_and_what_was_printed_last(tmp_path: Path) -> None:
    side = _train(tmp_path, "print('epoch 3')\nraise ValueError('no data')")
    assert side.outcome == "failed"
    first, *rest = side.detail.splitlines()
    assert first == "exit code 1: ValueError: no data"
    assert "epoch 3" in rest


@posix
def test_a_training_killed_by_the_system_says_so(tmp_path: Path) -> None:
    side = _train(tmp_path, "os.kill(os.getpid(), 9)")
    assert side.outcome == "killed"
    assert side.detail.startswith("ended by SIGKILL: perhaps for want of memory")


def test_a_command_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(LintmetricsError, match="no-such-launcher: there is no such command"):
        training.train(["no-such-launcher"], tmp_path, tmp_path / "record")
    with pytest.raises(LintmetricsError, match="there is no such folder"):
        training.train([sys.executable], tmp_path / "none", tmp_path / "record")


def test_progress_bars_and_endless_lines_are_followed(tmp_path: Path) -> None:
    lines: list[str] = []
    program = "for i in range(100): sys.stdout.write(f'\\r{i}%')\nprint()\nprint('x' * 1_000_000)"
    _train(tmp_path, program, on_line=lines.append)
    assert "57%" in lines
    assert "x" * 1_000_000 in lines


# Nothing survives -------------------------------------------------------------------------------

FAMILY = """
import signal, subprocess
# A worker, one in a session of its own, and one that ignores being asked to end.
sleep = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + sleep
detached = (
    "import os, subprocess, sys\\n"
    "if os.fork() == 0:\\n"
    "    os.setsid()\\n"
    f"    subprocess.run([sys.executable, '-c', {sleep!r}])\\n"
    "else:\\n"
    "    os.wait()\\n"
)
children = [
    subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    for code in (sleep, deaf, detached)
]
pids = [os.getpid(), *(int(child.stdout.readline()) for child in children)]
pids += [child.pid for child in children]
with open("pids", "w") as file:
    file.write(" ".join(map(str, pids)) + "\\n")
"""
HANG = FAMILY + "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('stuck')\ntime.sleep(600)\n"


@pytest.fixture
def short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training.end_all, "__defaults__", (0.5,))


def _assert_all_gone(folder: Path) -> None:
    pids = [int(pid) for pid in (folder / "pids").read_text().split()]
    assert len(pids) == 7
    until = time.monotonic() + 10
    while not all(map(_gone, pids)) and time.monotonic() < until:
        time.sleep(0.05)
    assert [pid for pid in pids if not _gone(pid)] == []


@posix
@pytest.mark.usefixtures("short_grace")
def test_a_hang_is_timed_out_and_its_whole_family_is_gone(tmp_path: Path) -> None:
    side = _train(tmp_path, HANG, timeout=3)
    assert side.outcome == "timed out"
    assert side.detail.startswith("no end after 3 s; the last it printed: stuck")
    _assert_all_gone(tmp_path)


@posix
@pytest.mark.usefixtures("short_grace")
def test_workers_that_outlive_a_training_are_gone(tmp_path: Path) -> None:
    side = _train(tmp_path, FAMILY + RECORDED + "os._exit(0)")
    assert side.outcome == "finished"
    _assert_all_gone(tmp_path)


@posix
@pytest.mark.usefixtures("short_grace")
def test_workers_that_outlive_a_crash_are_gone(tmp_path: Path) -> None:
    assert _train(tmp_path, FAMILY + "os.abort()").outcome == "killed"
    _assert_all_gone(tmp_path)


@posix
@pytest.mark.usefixtures("short_grace")
def test_an_interrupt_ends_the_family_and_is_passed_on(tmp_path: Path) -> None:
    def interrupt() -> None:
        _wait_for(tmp_path / "pids")
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        _train(tmp_path, HANG)
    thread.join()
    _assert_all_gone(tmp_path)


@posix
@pytest.mark.usefixtures("short_grace")
def test_a_listener_that_fails_ends_the_family(tmp_path: Path) -> None:
    def broken(line: str) -> None:
        raise RuntimeError(line)

    with pytest.raises(RuntimeError, match="stuck"):
        _train(tmp_path, HANG, on_line=broken)
    _assert_all_gone(tmp_path)


@posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_signal_to_this_process_ends_the_family(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "train.py").write_text("import os, sys, time\n" + HANG)
    code = """
    import sys
    from pathlib import Path
    from lintmetrics.verify import training
    training.end_all.__defaults__ = (0.5,)
    here = Path(sys.argv[1])
    training.train([sys.executable, "train.py"], here, here / "record")
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), os.fspath(tmp_path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        stderr=subprocess.PIPE,
    )
    _wait_for(tmp_path / "pids")
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode in (-number, 128 + number), said.decode()
    _assert_all_gone(tmp_path)


@posix
@pytest.mark.usefixtures("short_grace")
def test_trainings_of_other_threads_can_be_stopped(tmp_path: Path) -> None:
    sides: list[Side] = []
    thread = threading.Thread(target=lambda: sides.append(_train(tmp_path, HANG)))
    thread.start()
    _wait_for(tmp_path / "pids")
    training.stop()
    thread.join(30)
    assert [side.outcome for side in sides] == ["killed"]
    _assert_all_gone(tmp_path)


def test_the_signals_mean_afterwards_what_they_meant_before(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    _train(tmp_path, "pass")
    assert signal.getsignal(signal.SIGTERM) == before


# Whose Python -----------------------------------------------------------------------------------


@posix
def test_the_python_of_a_command_is_found(tmp_path: Path) -> None:
    assert training.python_of([sys.executable, "train.py"], tmp_path) == sys.executable
    launcher = tmp_path / "launcher"
    launcher.write_text(f"#!{sys.executable}\nprint(1)\n")
    launcher.chmod(0o755)
    assert training.python_of(["./launcher", "--nproc", "2"], tmp_path) == sys.executable
    script = tmp_path / "train.sh"
    script.write_text("#!/bin/sh\npython train.py\n")
    script.chmod(0o755)
    assert training.python_of([os.fspath(script)], tmp_path) == sys.executable
    assert training.python_of(["not-there"], tmp_path) == sys.executable
