"""A program that is forked from a Python with its imports in it runs as any other."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

pytest.importorskip("psutil", reason="training needs the verify extra")

import psutil

from lintmetrics.verify import training
from lintmetrics.verify.training import Training
from lintmetrics.verify.warm import WarmPythons

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(os, "pidfd_open"), reason="forks with pidfds of Linux"
)

RECORDED = "open(os.environ['LINTMETRICS_RECORD'] + '/record-0-1.jsonl', 'w').write('{}')\n"


@pytest.fixture
def warm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WarmPythons]:
    """Processes for programs that import a Lightning of ours, which counts its imports."""
    imported = tmp_path / "imported"
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / "pytorch_lightning.py").write_text(
        f"import os\nopen({os.fspath(imported)!r}, 'a').write('.')\nIMPORTED_BY = os.getpid()\n"
        "WATCHED = 'LINTMETRICS_CAPTURE' in os.environ\n"
    )
    monkeypatch.setenv("PYTHONPATH", os.fspath(modules))
    monkeypatch.setattr(training.end_all, "__defaults__", (0.5,))
    monkeypatch.setattr("lintmetrics.verify.warm._COMMON", ())
    with WarmPythons() as made:
        yield made


def _train(
    folder: Path,
    name: str,
    program: str,
    warm: WarmPythons | None,
    timeout: float = 60,
    variables: Mapping[str, str] | None = None,
) -> tuple[Training, list[str]]:
    work = folder / name
    work.mkdir()
    path = work / "program.py"
    path.write_text("import os, sys, time, pytorch_lightning as pl\n" + textwrap.dedent(program))
    lines: list[str] = []
    done = training.train(
        [sys.executable, os.fspath(path)],
        work,
        work / "record",
        name=name,
        environment=variables,
        timeout=timeout,
        on_line=lines.append,
        warm=warm,
    )
    return done, lines


def _imports(folder: Path) -> int:
    return len((folder / "imported").read_text())


def test_programs_share_the_imports_and_nothing_else(tmp_path: Path, warm: WarmPythons) -> None:
    program = """
    print(__name__, sys.modules["__main__"].__file__ == __file__, __spec__)
    print(os.path.basename(os.getcwd()), sys.argv == [__file__], sys.path[0] == os.getcwd())
    print(pl.IMPORTED_BY == os.getpid(), getattr(pl, "touched", None))
    print(os.getsid(0) == os.getpid())
    pl.touched = True
    os.environ["TOUCHED"] = "1"
    class Model: pass
    import pickle
    print(pickle.loads(pickle.dumps(Model)) is Model)
    """
    for name in ("one", "two"):
        done, lines = _train(tmp_path, name, program + RECORDED, warm)
        assert done.side.outcome == "finished", done.side.detail
        assert lines == [
            "__main__ True None",
            f"{name} True True",
            "False None",
            "True",
            "True",
        ]
    assert _imports(tmp_path) == 1


def test_what_runs_is_the_same_as_without(tmp_path: Path, warm: WarmPythons) -> None:
    program = """
    print(sorted(set(globals()) - {"__loader__"}), sys.stdout.write_through, sys.flags.isolated)
    print(sorted(k for k in os.environ if k != "LINTMETRICS_MARK" and k != "LINTMETRICS_RECORD"))
    def fails():
        raise ValueError("no such thing")
    fails()
    """
    forked, of_fork = _train(tmp_path, "a", program, warm)
    usual, of_start = _train(tmp_path, "b", program, None)
    assert [line.replace("/a/", "/b/") for line in of_fork] == of_start
    assert of_fork[-1] == "ValueError: no such thing"
    assert forked.side.detail.replace("/a/", "/b/") == usual.side.detail


def test_raw_steps_are_had_of_any_program(tmp_path: Path, warm: WarmPythons) -> None:
    # What of Lightning is watched is decided when it is imported, for whoever comes first.
    program = "print(pl.WATCHED, 'LINTMETRICS_CAPTURE' in os.environ)\n"
    _, lines = _train(tmp_path, "one", program + RECORDED, warm)
    assert lines == ["True False"]


@pytest.mark.parametrize(
    ("end", "outcome", "detail"),
    [
        ("sys.exit(3)", "failed", "exit code 3"),
        ("sys.exit('bad data')", "failed", "exit code 1: bad data"),
        ("os._exit(4)", "failed", "exit code 4"),
        ("raise KeyError('x')", "failed", "exit code 1: KeyError: 'x'"),
        ("def f(:", "failed", "exit code 1: SyntaxError"),
        ("os.kill(os.getpid(), 9)", "killed", "ended by SIGKILL"),
        ("os.abort()", "killed", "ended by SIGABRT"),
        ("pass", "recorded nothing", "it ended well"),
    ],
)
def test_every_end_is_told(
    tmp_path: Path, warm: WarmPythons, end: str, outcome: str, detail: str
) -> None:
    done, _ = _train(tmp_path, "one", end, warm)
    assert done.side.outcome == outcome
    assert done.side.detail.startswith(detail)


def test_a_program_that_waits_does_not_keep_another(tmp_path: Path, warm: WarmPythons) -> None:
    slow: list[Training] = []
    waits = "while not os.path.exists('go'): time.sleep(0.01)\n" + RECORDED
    thread = threading.Thread(target=lambda: slow.append(_train(tmp_path, "slow", waits, warm)[0]))
    thread.start()
    until = time.monotonic() + 30
    while not (tmp_path / "imported").exists() and time.monotonic() < until:
        time.sleep(0.02)
    quick, _ = _train(tmp_path, "quick", "sys.exit(5)", warm)
    assert quick.side.detail.startswith("exit code 5")
    assert not slow
    (tmp_path / "slow" / "go").write_text("")
    thread.join(30)
    assert [done.side.outcome for done in slow] == ["finished"]
    assert _imports(tmp_path) == 1


def test_one_process_serves_all_tests(
    tmp_path: Path, warm: WarmPythons, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        monkeypatch.setenv("PYTEST_CURRENT_TEST", name)
        told, lines = _train(tmp_path, name, "print(os.environ['PYTEST_CURRENT_TEST'])", warm)
        assert lines == [name], told.side.detail
    assert _imports(tmp_path) == 1


def test_other_variables_are_another_process(
    tmp_path: Path, warm: WarmPythons, monkeypatch: pytest.MonkeyPatch
) -> None:
    _train(tmp_path, "one", "", warm)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    _, lines = _train(tmp_path, "two", "print(os.environ['OMP_NUM_THREADS'])", warm)
    assert lines == ["1"]
    assert _imports(tmp_path) == 2


def test_releases_share_what_all_of_them_import(
    tmp_path: Path, warm: WarmPythons, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lintmetrics.verify.warm._COMMON", ("common", "nowhere"))
    counts = f"open({os.fspath(tmp_path / 'shared')!r}, 'a').write('.')\nHERE = __file__\n"
    (tmp_path / "modules" / "common.py").write_text(counts)
    releases = []
    for name in ("old", "older", "bundled"):
        release = tmp_path / name
        release.mkdir()
        (release / "pytorch_lightning.py").write_text(f"import common\nNAME = {name!r}\n")
        releases.append(release)
    (releases[-1] / "common.py").write_text(counts)
    shown = "import common; print(pl.NAME, os.path.dirname(common.HERE), sys.path[2:4])\n"
    before = os.environ["PYTHONPATH"]
    found = []
    for release in releases:
        path = os.pathsep.join([os.fspath(release), before])
        _, lines = _train(
            tmp_path, f"of-{release.name}", shown, warm, variables={"PYTHONPATH": path}
        )
        found += lines
    paths = [[os.fspath(release), before] for release in releases]
    assert found == [
        f"old {before} {paths[0]}",
        f"older {before} {paths[1]}",
        # What has its own is not given that of others.
        f"bundled {releases[2]} {paths[2]}",
    ]
    assert (tmp_path / "shared").read_text() == ".."


def test_what_is_drawn_without_a_seed_differs(tmp_path: Path, warm: WarmPythons) -> None:
    pytest.importorskip("numpy")
    with (tmp_path / "modules" / "pytorch_lightning.py").open("a") as file:
        file.write("import random, numpy.random\n")
    shown = "import random, numpy; print(random.random(), numpy.random.random())"
    drawn = [_train(tmp_path, name, shown, warm)[1] for name in ("one", "two")]
    first, second = (line.split() for lines in drawn for line in lines)
    assert first[0] != second[0]
    assert first[1] != second[1]
    seeded = {"LINTMETRICS_SEED": "3", "PYTHONHASHSEED": "3"}
    again = [_train(tmp_path, name, shown, warm, variables=seeded)[1] for name in ("three", "four")]
    assert again[0][0].split()[1] == again[1][0].split()[1]


def test_what_cannot_be_imported_is_the_program_s_to_say(tmp_path: Path, warm: WarmPythons) -> None:
    (tmp_path / "modules" / "pytorch_lightning.py").write_text("import nowhere\n")
    done, _ = _train(tmp_path, "one", "", warm)
    assert done.side.detail.startswith(
        "exit code 1: ModuleNotFoundError: No module named 'nowhere'"
    )


def test_what_imports_nothing_of_it_starts_as_ever(tmp_path: Path, warm: WarmPythons) -> None:
    path = tmp_path / "plain.py"
    path.write_text("print('plain')\n")
    told = warm.start([sys.executable, os.fspath(path)], tmp_path, dict(os.environ))
    assert told is None


FAMILY = """
import subprocess
sleep = "import time; time.sleep(600)"
pids = [os.getpid(), subprocess.Popen([sys.executable, "-c", sleep]).pid]
child = os.fork()
if child == 0:
    os.setsid()
    time.sleep(600)
with open("pids", "w") as file:
    file.write(" ".join(map(str, [*pids, child])) + "\\n")
time.sleep(600)
"""


def _family(folder: Path) -> list[psutil.Process]:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        if (folder / "pids").exists() and (folder / "pids").read_text().endswith("\n"):
            return [psutil.Process(int(pid)) for pid in (folder / "pids").read_text().split()]
        time.sleep(0.02)
    raise AssertionError("the program has not come so far")


def _assert_gone(family: list[psutil.Process]) -> None:
    until = time.monotonic() + 15
    while any(map(psutil.Process.is_running, family)) and time.monotonic() < until:
        time.sleep(0.05)
    assert [process for process in family if process.is_running()] == []


def test_a_hang_is_timed_out_with_its_family_and_the_next_goes_on(
    tmp_path: Path, warm: WarmPythons
) -> None:
    families: list[list[psutil.Process]] = []
    watch = threading.Thread(target=lambda: families.append(_family(tmp_path / "one")))
    watch.start()
    done, _ = _train(tmp_path, "one", FAMILY, warm, timeout=4)
    watch.join()
    assert done.side.outcome == "timed out"
    _assert_gone(families[0])
    assert _train(tmp_path, "two", RECORDED, warm)[0].side.outcome == "finished"
    assert _imports(tmp_path) == 1


def test_whoever_forks_may_be_killed(tmp_path: Path, warm: WarmPythons) -> None:
    _, lines = _train(tmp_path, "one", "print(os.getppid())", warm)
    assert int(lines[0]) != os.getpid()
    os.kill(int(lines[0]), signal.SIGKILL)
    assert _train(tmp_path, "two", RECORDED, warm)[0].side.outcome == "finished"
    assert _train(tmp_path, "three", RECORDED, warm)[0].side.outcome == "finished"
    kills = f"if os.getppid() != {os.getpid()}: os.kill(os.getppid(), 9); time.sleep(600)"
    during, _ = _train(tmp_path, "four", kills, warm)
    assert during.side.outcome == "killed"


def test_nothing_is_left_behind(tmp_path: Path, warm: WarmPythons) -> None:
    _, lines = _train(tmp_path, "one", "print(os.getppid())", warm)
    forks = psutil.Process(int(lines[0]))
    warm.close()
    _assert_gone([forks])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_to_this_process_ends_all(
    tmp_path: Path, warm: WarmPythons, number: signal.Signals
) -> None:
    (tmp_path / "program.py").write_text("import os, sys, time, pytorch_lightning as pl\n" + FAMILY)
    code = """
    import sys
    from pathlib import Path
    from lintmetrics.verify import training, warm
    training.end_all.__defaults__ = (0.5,)
    warm._COMMON = ()
    here = Path(sys.argv[1])
    with warm.WarmPythons() as forking:
        program = str(here / "program.py")
        training.train([sys.executable, program], here, here / "record", warm=forking)
    """
    paths = [os.environ["PYTHONPATH"], *(path for path in sys.path if path)]
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), os.fspath(tmp_path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        stderr=subprocess.PIPE,
    )
    family = _family(tmp_path)
    family.append(psutil.Process(family[0].ppid()))
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode in (-number, 128 + number), said.decode()
    _assert_gone(family)
