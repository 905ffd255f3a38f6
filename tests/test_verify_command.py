"""``lintmetrics verify`` and ``lintmetrics fix --apply --verify``, as their user meets them."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lintmetrics.cli import main
from lintmetrics.verify import references

if TYPE_CHECKING:
    from lintmetrics.verify.warm import WarmPythons

Run = Callable[..., subprocess.CompletedProcess[str]]
"""Runs a command line in a folder."""

HAS_LIGHTNING = all(importlib.util.find_spec(name) for name in ("lightning", "torchmetrics"))
needs_lightning = pytest.mark.skipif(
    not HAS_LIGHTNING, reason="lightning and torchmetrics are not installed"
)

PROGRAM = """\
import lightning.pytorch as pl
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics.functional import f1_score


class Classifier(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(4, 3)

    def validation_step(self, batch, batch_idx):
        x, y = batch
        logits = self.net(x)
        self.log("val_loss", nn.functional.cross_entropy(logits, y))
        f1 = f1_score(logits, y, task="multiclass", num_classes=3, average="macro")
        self.log("val_f1", f1)

    def training_step(self, batch, batch_idx):
        x, y = batch
        return nn.functional.cross_entropy(self.net(x), y)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


if __name__ == "__main__":
    pl.seed_everything(0)
    x = torch.randn(90, 4)
    data = TensorDataset(x, (x.abs().sum(1) * 2).long() % 3)
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = pl.Trainer(max_epochs=2, accelerator="cpu", **quiet)
    trainer.fit(Classifier(), DataLoader(data, 32), DataLoader(data, 32))
"""


def _run(
    folder: Path, *arguments: str, timeout: float = 300, **variables: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lintmetrics", *arguments],
        cwd=folder,
        env={**os.environ, "LINTMETRICS_CACHE_DIR": str(_cache(folder)), **variables},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command line as ``_run`` does, in this process."""

    def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        monkeypatch.chdir(folder)
        monkeypatch.setenv("LINTMETRICS_CACHE_DIR", str(_cache(folder)))
        capsys.readouterr()
        code = main(arguments)
        return subprocess.CompletedProcess(arguments, code, *capsys.readouterr())

    return run


@pytest.fixture
def forked(here: Run, forking: WarmPythons, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command line in this process; what it trains is forked, not started."""
    from lintmetrics.verify import own_code, training

    monkeypatch.setattr(own_code, "train", partial(training.train, warm=forking))
    for name, value in references.environment(None, None).items():
        if not name.startswith("PL_TRAINER_"):
            monkeypatch.setenv(name, value)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    return here


def _cache(folder: Path) -> Path:
    return folder.parent / f"{folder.name}-cache"


def _state(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".git" not in path.parts
    }


def _project(folder: Path, program: str = PROGRAM) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "train.py").write_text(program, encoding="utf-8")
    return folder


def _git(folder: Path, *arguments: str) -> str:
    named = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    done = subprocess.run(
        ["git", *named, *arguments], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout


TRAIN = ("--", sys.executable, "train.py")


# What needs no training -------------------------------------------------------------------------


def test_the_references_are_listed(tmp_path: Path, here: Run) -> None:
    done = here(_project(tmp_path / "p"), "verify", "--list-references")
    assert done.returncode == 0, done.stderr
    for reference in references.listing():
        assert reference.name in done.stdout
    assert str(_cache(tmp_path / "p")) in done.stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["verify"], "nothing to verify"),
        (["verify", "--before", "HEAD"], "say how to train"),
        (["verify", "--fix"], "say how to train"),
        (["verify", *TRAIN], "say what to compare"),
        (["verify", "--fix", "--after", ".", *TRAIN], "name no --after"),
        (["verify", "--before", ".", "--style", "outputs", *TRAIN], "say how to --fix"),
        (["verify", "cases", "--fix", *TRAIN], "not both"),
        (["verify", "cases", "--reference", "1.9.5"], "a case has its own"),
        (["verify", "nowhere"], "holds no case.toml"),
        (["verify", "--reference", "1.9.4"], "the nearest is 1.9.5"),
        (["verify", "--before", "nope", *TRAIN], "nope: there is no such folder"),
        (["verify", "--fix", "--rename", "a", *TRAIN], "'a' is not OLD=NEW"),
        (["fix", "--verify", *TRAIN], "--verify decides whether --apply writes"),
        (["fix", "--apply", "--verify"], "say how to train"),
        (["fix", "--apply", "--verify", "-", *TRAIN], "standard input cannot be trained"),
    ],
)
def test_what_cannot_be_asked_is_said(
    tmp_path: Path, here: Run, arguments: list[str], told: str
) -> None:
    folder = _project(tmp_path / "p")
    before = _state(folder)
    done = here(folder, *arguments)
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert _state(folder) == before


def test_what_follows_two_dashes_are_paths_to_fix_that_does_not_train(
    tmp_path: Path, here: Run
) -> None:
    folder = _project(tmp_path / "p")
    (folder / "-odd.py").write_text(PROGRAM, encoding="utf-8")
    done = here(folder, "fix", "--isolated", "--", "-odd.py")
    assert done.returncode == 1
    assert "+++ b/-odd.py" in done.stdout


def test_a_fixer_with_nothing_to_do_leaves_nothing_to_verify(tmp_path: Path, here: Run) -> None:
    folder = _project(tmp_path / "p", "print('hello')\n")
    done = here(folder, "verify", "--fix", *TRAIN)
    assert done.returncode == 0
    assert "nothing to verify" in done.stderr


# What trains ------------------------------------------------------------------------------------


def test_a_program_without_lightning_is_told_apart(tmp_path: Path, here: Run) -> None:
    folder = _project(tmp_path / "p", "print('no lightning here')\n")
    done = here(folder, "verify", "--before", ".", *TRAIN)
    assert done.returncode == 2
    assert "recorded nothing" in done.stdout
    assert "this runs code" in done.stderr


def test_a_crash_is_a_verdict_with_the_last_line_of_the_error(tmp_path: Path, here: Run) -> None:
    folder = _project(tmp_path / "p", "raise KeyError('lr')\n")
    done = here(folder, "verify", "--before", ".", "--output-format", "json", *TRAIN)
    assert done.returncode == 2
    (proof,) = json.loads(done.stdout)["cases"]
    assert proof["verdict"] == "failed"
    assert "KeyError: 'lr'" in proof["sides"][0]["detail"]


def test_a_hang_is_ended(tmp_path: Path) -> None:
    folder = _project(tmp_path / "p", "import time\nprint('here', flush=True)\ntime.sleep(600)\n")
    done = _run(folder, "verify", "--before", ".", "--timeout", "2", *TRAIN, timeout=60)
    assert done.returncode == 2
    assert "timed out" in done.stdout
    assert "the last it printed: here" in done.stdout


def test_ctrl_c_leaves_no_process_no_worktree_and_no_copy(tmp_path: Path) -> None:
    started = tmp_path / "started"
    program = f"import time\nopen({str(started)!r}, 'w').close()\ntime.sleep(600)\n"
    folder = _project(tmp_path / "p", program)
    _git(folder, "init", "-q")
    _git(folder, "add", ".")
    _git(folder, "commit", "-qm", "one")
    before = _state(folder)
    running = subprocess.Popen(
        [sys.executable, "-m", "lintmetrics", "verify", "--before", "HEAD", *TRAIN],
        cwd=folder,
        env={**os.environ, "LINTMETRICS_CACHE_DIR": str(_cache(folder))},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while not started.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    _, told = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "interrupted" in told
    assert "Traceback" not in told
    assert _state(folder) == before
    assert len(_git(folder, "worktree", "list").splitlines()) == 1
    assert list((_cache(folder) / "trees").iterdir()) == []
    running_still = subprocess.run(
        ["ps", "-eo", "args"], capture_output=True, text=True, check=True
    )
    assert str(_cache(folder)) not in running_still.stdout


@pytest.mark.training
@needs_lightning
def test_fix_writes_what_is_proved(tmp_path: Path) -> None:
    folder = _project(tmp_path / "p")
    page = tmp_path / "page.html"
    done = _run(folder, "fix", "--apply", "--verify", "--isolated", "--html", str(page), *TRAIN)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "corrected" in done.stdout
    assert "self.val_f1.update(" in (folder / "train.py").read_text(encoding="utf-8")
    assert "val_f1" in page.read_text(encoding="utf-8")


@pytest.mark.training
@needs_lightning
def test_fix_writes_nothing_that_is_not_proved(tmp_path: Path, forked: Run) -> None:
    # A program that reads its own source may break in a way that nobody foresees.
    start = "    pl.seed_everything(0)\n"
    picky = f'{start}    assert open(__file__).read().count("f1_score(") == 2\n'
    folder = _project(tmp_path / "p", PROGRAM.replace(start, picky))
    before = _state(folder)
    done = forked(folder, "fix", "--apply", "--verify", "--isolated", *TRAIN)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "AssertionError" in done.stdout
    assert "nothing was written" in done.stderr
    assert _state(folder) == before


@pytest.mark.training
@needs_lightning
def test_two_revisions_that_log_the_same_are_the_same(tmp_path: Path, forked: Run) -> None:
    folder = _project(tmp_path / "p")
    _git(folder, "init", "-q")
    _git(folder, "add", ".")
    _git(folder, "commit", "-qm", "one")
    (folder / "train.py").write_text(PROGRAM.replace('"val_loss"', '"loss/val"'), encoding="utf-8")
    before = _state(folder)
    named = forked(folder, "verify", "--before", "HEAD", "--rename", "val_loss=loss/val", *TRAIN)
    assert named.returncode == 0, named.stdout + named.stderr
    assert "same" in named.stdout
    unnamed = forked(folder, "verify", "--before", "HEAD", "--after", ".", *TRAIN)
    assert unnamed.returncode == 1
    assert "missing" in unnamed.stdout
    assert "new  loss/val" in unnamed.stdout
    assert _state(folder) == before
    assert len(_git(folder, "worktree", "list").splitlines()) == 1


@pytest.mark.training
@needs_lightning
def test_a_number_that_somebody_mended_by_hand_is_held_against_the_truth(
    tmp_path: Path, forked: Run
) -> None:
    before = _project(tmp_path / "old")
    mended = PROGRAM.replace(
        "        self.net = nn.Linear(4, 3)\n",
        "        self.net = nn.Linear(4, 3)\n"
        '        self.f1 = MulticlassF1Score(num_classes=3, average="{}")\n',
    )
    mended = mended.replace(
        "torchmetrics.functional import f1_score",
        "torchmetrics.classification import MulticlassF1Score",
    )
    mended = mended.replace(
        'f1 = f1_score(logits, y, task="multiclass", num_classes=3, average="macro")',
        "self.f1.update(logits, y)",
    ).replace('self.log("val_f1", f1)', 'self.log("val_f1", self.f1)')
    for average, code, told in (("macro", 0, "corrected"), ("micro", 1, "wrong  val_f1")):
        after = _project(tmp_path / average, mended.replace("{}", average))
        done = forked(before, "verify", "--before", ".", "--after", str(after), *TRAIN)
        assert done.returncode == code, done.stdout + done.stderr
        assert told in done.stdout


@pytest.mark.training
@needs_lightning
def test_a_program_without_a_seed_is_told_of_it_and_can_be_given_one(
    tmp_path: Path, forked: Run
) -> None:
    unseeded = PROGRAM.replace("    pl.seed_everything(0)\n", "").replace(
        "max_epochs=2", "max_epochs=1"
    )
    folder = _project(tmp_path / "p", unseeded)
    drawn = forked(folder, "verify", "--before", ".", "--after", ".", *TRAIN)
    assert drawn.returncode == 1, drawn.stdout + drawn.stderr
    assert "changed training" in drawn.stdout
    assert "try --seed 0" in drawn.stderr
    seeded = forked(folder, "verify", "--before", ".", "--seed", "3", *TRAIN)
    assert seeded.returncode == 0, seeded.stdout + seeded.stderr
    assert "try --seed" not in seeded.stderr
