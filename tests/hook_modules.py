"""Modules with hooks that Lightning 2 lacks: write their files, run the hook rules on them."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import projects

HEAD = """\
import torch
import pytorch_lightning as pl


"""


def migrated(tmp_path: Path, **files: str) -> str:
    """Fix files with the hook rules; return all texts, one after the other."""
    projects.written(tmp_path, {f"{name}.py": HEAD + dedent(text) for name, text in files.items()})
    projects.fix(tmp_path, "LM2", style="outputs")
    texts = [(tmp_path / f"{name}.py").read_text(encoding="utf-8") for name in files]
    return "".join(text.removeprefix(HEAD) for text in texts)


def blocked(tmp_path: Path, **files: str) -> list[str]:
    """Return why findings have no fix."""
    projects.written(tmp_path, {f"{name}.py": HEAD + dedent(text) for name, text in files.items()})
    report = projects.check(tmp_path, "LM2")
    return [d.blocked for d in report.diagnostics if d.blocked]


def found(tmp_path: Path, **files: str) -> list[str]:
    """Return ``code line`` of every finding."""
    projects.written(tmp_path, {f"{name}.py": HEAD + dedent(text) for name, text in files.items()})
    report = projects.check(tmp_path, "LM2")
    return [f"{d.code} {d.start.line - 4}" for d in report.diagnostics]
