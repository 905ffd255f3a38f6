"""What the README shows is what the tool says and does."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from forks import trained

if TYPE_CHECKING:
    from lintmetrics.verify.warm import WarmPythons

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
FIXTURE = ROOT / "fixtures" / "averaged_batch_value"


def _block(language: str) -> list[str]:
    match = re.search(rf"```{language}\n(.*?)```", README, re.DOTALL)
    assert match is not None
    return match.group(1).splitlines()


def _lintmetrics(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "lintmetrics", *arguments, "--isolated", "before.py"],
        cwd=FIXTURE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    return done.stdout


def test_the_finding_is_printed_as_shown() -> None:
    (line,) = _block("text")
    assert line in _lintmetrics("check", "--output-format", "concise").splitlines()


def test_the_fix_is_printed_as_shown() -> None:
    printed = _lintmetrics("fix").splitlines()
    for line in _block("diff"):
        if line != "...":
            assert line in printed


def test_the_fixture_after_is_what_the_fix_writes(tmp_path: Path) -> None:
    copy = tmp_path / "before.py"
    copy.write_bytes((FIXTURE / "before.py").read_bytes())
    subprocess.run(
        [sys.executable, "-m", "lintmetrics", "fix", "-q", "--apply", "--isolated", str(copy)],
        check=True,
    )
    assert copy.read_text(encoding="utf-8") == (FIXTURE / "after.py").read_text(encoding="utf-8")


def test_the_code_shown_is_the_code_of_the_fixture() -> None:
    shown = "\n".join(f"    {line}" for line in _block("python"))
    assert shown in (FIXTURE / "before.py").read_text(encoding="utf-8")


@pytest.mark.parametrize("side", ["before", "after"])
def test_the_numbers_shown_are_the_numbers_of_the_training(
    side: str, tmp_path: Path, forking: WarmPythons
) -> None:
    for needed in ("torch", "lightning", "torchmetrics", "sklearn"):
        pytest.importorskip(needed, reason="training needs the verify extra and scikit-learn")
    printed = trained(forking, tmp_path, str(FIXTURE / f"{side}.py"))
    (line,) = (line for line in printed if line.startswith("val_f1 "))
    value = float(line.split()[-1])
    assert f"**{value:.3f}**" in README
