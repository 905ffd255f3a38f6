"""The project keeps its own rules: types, lint, format, and who may import whom."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(
    "command",
    [
        ["mypy"],
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["importlinter.cli"],
    ],
    ids=["types", "lint", "format", "layers"],
)
def test_the_tree_is_clean(command: list[str]) -> None:
    module, *arguments = command
    if module == "importlinter.cli":
        line = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as m; m()"]
    else:
        line = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_rule_pages_are_what_the_rules_say() -> None:
    done = subprocess.run(
        [sys.executable, "docs/render.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
