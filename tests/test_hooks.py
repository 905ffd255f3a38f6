"""The hooks work in the real pre-commit, installed from this repository as it stands."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("pre_commit") is None, reason="no pre-commit"),
    pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not in a git work tree"),
]

FOUND = """\
import pytorch_lightning as pl


class Model(pl.LightningModule):
    def validation_epoch_end(self, outputs):
        print("done")
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pre-commit installs the hooks; once for all tests."""
    return tmp_path_factory.mktemp("pre-commit")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A scratch repository with one finding, and one in a file that the config excludes."""
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / "model.py").write_text(FOUND)
    (tmp_path / "legacy").mkdir()
    (tmp_path / "legacy" / "model.py").write_text(FOUND)
    (tmp_path / "lintmetrics.toml").write_text('exclude = ["legacy/"]\n')
    subprocess.run(["git", "-C", str(tmp_path), "add", "."], check=True)
    return tmp_path


def try_repo(repository: Path, cache: Path, hook: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pre_commit", "try-repo", str(ROOT), hook, "--all-files"]
    done = subprocess.run(
        [*command, "--verbose"],
        cwd=repository,
        env={**os.environ, "PRE_COMMIT_HOME": str(cache), "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    if "InstallFailed" in done.stdout or "CalledProcessError" in done.stdout + done.stderr:
        unreachable = ("Could not find a version", "Connection", "Temporary failure", "Network")
        if any(word in done.stdout + done.stderr for word in unreachable):
            pytest.skip("the dependencies cannot be installed here")
    return done


def test_the_check_hook_reports(repository: Path, cache: Path) -> None:
    done = try_repo(repository, cache, "lintmetrics-check")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "model.py:5:9: LM201" in done.stdout
    assert "legacy" not in done.stdout
    assert (repository / "model.py").read_text() == FOUND


def test_the_fix_hook_fixes_and_then_passes(repository: Path, cache: Path) -> None:
    done = try_repo(repository, cache, "lintmetrics-fix")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "def on_validation_epoch_end(self):" in (repository / "model.py").read_text()
    assert (repository / "legacy" / "model.py").read_text() == FOUND
    subprocess.run(["git", "-C", str(repository), "add", "."], check=True)
    done = try_repo(repository, cache, "lintmetrics-fix")
    assert done.returncode == 0, done.stdout + done.stderr
