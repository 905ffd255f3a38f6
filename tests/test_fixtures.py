"""The fixtures: programs before and after a fix, trained on Lightning of their time and of today.

Where lightning is installed every case is proved, on each device and in each number of processes
that it names; ``-m training`` runs that alone.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lintmetrics import packs
from lintmetrics.cli import main
from lintmetrics.errors import LintmetricsError
from lintmetrics.report.terminal import Paint
from lintmetrics.verify.case import Case, read_case
from lintmetrics.verify.verdict import Proof

if TYPE_CHECKING:
    from lintmetrics.verify.warm import WarmPythons

ROOT = Path(__file__).parent.parent / "fixtures"
FOLDERS = sorted(path.parent for path in ROOT.glob("*/before.py"))

Trial = tuple[str, str, int]
"""A case by its name, the device and the number of processes."""

each = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)


# What the fixer writes --------------------------------------------------------------------------


@each
def test_a_fixture_is_a_case(folder: Path) -> None:
    case = read_case(folder)
    assert case.about, "say in one line what the program is and what is wrong with it"


@dataclass(frozen=True)
class _Fixed:
    """What the fix of a fixture wrote.

    Args:
        text: the program as it is now.
        findings: what was mended, as the report has it.
        again: the program after a second run.
    """

    text: str
    findings: Sequence[Mapping[str, str]]
    again: str


class _Fixes:
    """The fixes of fixtures, each made when it is first asked for."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._made: dict[Path, _Fixed] = {}

    def __getitem__(self, folder: Path) -> _Fixed:
        if folder not in self._made:
            self._made[folder] = self._make(folder)
        return self._made[folder]

    def _make(self, folder: Path) -> _Fixed:
        project = self._scratch / folder.name
        project.mkdir()
        copy, report = project / "before.py", project / "report.json"
        copy.write_bytes((folder / "before.py").read_bytes())
        command = ["fix", "-q", "--apply", *read_case(folder).fix, "--isolated", os.fspath(copy)]
        command += ["--output-format", "json", "--output-file", os.fspath(report)]
        main(command)
        text = copy.read_text(encoding="utf-8")
        entries = json.loads(report.read_text(encoding="utf-8"))
        main(command)
        fixed = [entry for entry in entries if entry["status"] == "fixed"]
        return _Fixed(text, fixed, copy.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def fixes(tmp_path_factory: pytest.TempPathFactory) -> _Fixes:
    """What ``fix --apply`` makes of each fixture."""
    return _Fixes(tmp_path_factory.mktemp("fixes"))


@each
def test_the_after_is_what_the_fix_writes_and_a_second_run_is_idle(
    folder: Path, fixes: _Fixes
) -> None:
    assert fixes[folder].text == (folder / "after.py").read_text(encoding="utf-8")
    assert fixes[folder].again == fixes[folder].text


def test_every_fixable_rule_and_every_codemod_is_in_the_fix_of_a_fixture(fixes: _Fixes) -> None:
    mended = [finding for folder in FOLDERS for finding in fixes[folder].findings]
    fixable = packs.codemods()
    names = {codemod.name for group in fixable.values() for codemod in group}
    told = "each needs a fixture that trains before and after"
    assert names - {finding["codemod"] for finding in mended} == set(), told
    assert fixable.keys() - {finding["code"] for finding in mended} == set(), told


# What the trainings show ------------------------------------------------------------------------


def _trials() -> list[Trial]:
    """Return name, device and number of processes of everything there is to prove."""
    found = []
    for folder in FOLDERS:
        try:
            case = read_case(folder)
        except LintmetricsError:
            # What is wrong with it is told by the test that reads it.
            continue
        found += [(case.name, on, n) for on in case.devices for n in case.processes]
    return found


def _missing(name: str) -> str:
    """Return why the programs of a case cannot be trained here; empty where they can."""
    needed = {"lightning", "platformdirs", "psutil"}
    for program in ("before.py", "after.py"):
        text = (ROOT / name / program).read_text(encoding="utf-8")
        needed.update(re.findall(r"^(?:import|from) (\w+)", text, re.MULTILINE))
        # A program may bring a stand-in for a library along.
        needed.difference_update(re.findall(r"^sys\.modules\[\"(\w+)\"\] = ", text, re.MULTILINE))
    lacking = sorted(name for name in needed if importlib.util.find_spec(name) is None)
    told = "training needs the verify extra and what the program imports; not installed: "
    return told + ", ".join(lacking) if lacking else ""


def _has_cuda() -> bool:
    torch = importlib.import_module("torch")
    return bool(torch.cuda.is_available())


class _Proofs:
    """Proofs as they are asked for, of trainings that are shared by all tests of this process.

    Args:
        cases: those that will be asked for, in that order.
        devices: the accelerators to train on.
        counts: the numbers of processes to train in.
        workers: how many trainings go on at a time.
        warm: what they are forked from.
    """

    def __init__(
        self,
        cases: Sequence[Case],
        devices: Sequence[str],
        counts: Sequence[int],
        workers: int,
        warm: WarmPythons,
    ) -> None:
        from lintmetrics.verify.proof import prove

        self._coming = prove(cases, devices, counts, today=False, workers=workers, warm=warm)
        self._made: dict[Trial, Proof] = {}

    def __getitem__(self, trial: Trial) -> Proof:
        while trial not in self._made:
            proof = next(self._coming)
            self._made[proof.name, proof.accelerator, proof.processes] = proof
        return self._made[trial]

    def close(self) -> None:
        """End the trainings that nobody waits for."""
        if isinstance(self._coming, Generator):
            self._coming.close()


def _chosen(request: pytest.FixtureRequest) -> list[str]:
    """Return the cases that this run asks for, in its order."""
    names: dict[str, None] = {}
    for item in request.session.items:
        if isinstance(item, pytest.Function) and item.path == request.path:
            trial = item.callspec.params.get("trial") if hasattr(item, "callspec") else None
            if isinstance(trial, tuple):
                names[trial[0]] = None
    return list(names)


@pytest.fixture(scope="module")
def proofs(request: pytest.FixtureRequest, forking: WarmPythons) -> Iterator[_Proofs | None]:
    """Proofs of all that this run asks for, two trainings at a time."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        # Tests are dealt out between processes one by one: each proves what it is given.
        yield None
        return
    cases = [read_case(ROOT / name) for name in _chosen(request) if not _missing(name)]
    counts = sorted({count for case in cases for count in case.processes})
    devices = ("cpu", "cuda") if cases and _has_cuda() else ("cpu",)
    shared = _Proofs(cases, devices, counts, workers=2, warm=forking)
    yield shared
    shared.close()


@pytest.mark.training
@pytest.mark.parametrize("trial", _trials(), ids=lambda trial: "-".join(map(str, trial)))
def test_the_proof_holds(
    trial: Trial,
    proofs: _Proofs | None,
    forking: WarmPythons,
    capsys: pytest.CaptureFixture[str],
) -> None:
    name, device, count = trial
    if _missing(name):
        pytest.skip(_missing(name))
    if device == "cuda" and not _has_cuda():
        pytest.skip("there is no CUDA device on this machine")
    from lintmetrics.verify.report import terminal

    made = proofs or _Proofs([read_case(ROOT / name)], [device], [count], 1, forking)
    proof = made[trial]
    if made is not proofs:
        made.close()
    plain = Paint(False)
    with capsys.disabled():
        print(f"\n{terminal.line(proof, plain)}", end="")
    assert proof.verdict.holds, "\n" + terminal.table([proof], plain)
