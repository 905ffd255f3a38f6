"""Patterns are read as git reads them; git itself is the judge."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from lintmetrics.ignores import IgnorePatterns

NAMES = ["a", "b", "ab", "a.py", "x.py", "*", "a b", "!a", "#a", "a ", "]", "[a", ".a"]
PATTERNS = ["a", "b", "*.py", "/a", "d0/", "!a.py", "d1/a/", "**/a", "a/**", "d?/ab", "[ab]"]
PATTERNS += ["x*", "!d1/a/b", "#a", "\\#a", "a b", ".a", "d*/", "*", "d0/**/a"]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with directories and files of awkward names, three levels deep."""
    root = tmp_path_factory.mktemp("ignores")
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    for index, name in enumerate(NAMES):
        directory = root / f"d{index % 3}" / name
        directory.mkdir(parents=True)
        for inner in NAMES[index % 4 :: 3]:
            (directory / inner).write_text("")
        if not (root / name).exists():
            (root / name).write_text("")
    (root / "b.py").mkdir()
    (root / "b.py" / "a").mkdir()
    (root / "b.py" / "a" / "b").write_text("")
    return root


def _entries(root: Path) -> list[tuple[str, bool]]:
    found = []
    for directory, directories, files in os.walk(root):
        if ".git" in directories:
            directories.remove(".git")
        inside = os.path.relpath(directory, root)
        for names, is_directory in ((directories, True), (files, False)):
            found += [(os.path.normpath(os.path.join(inside, n)), is_directory) for n in names]
    return [entry for entry in found if entry[0] != ".gitignore"]


def _ignored(patterns: IgnorePatterns, path: str, is_directory: bool) -> bool:
    parts = path.split("/")
    return any(
        patterns.verdict("/".join(parts[:end]), is_directory or end < len(parts))
        for end in range(1, len(parts) + 1)
    )


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.sampled_from(PATTERNS), max_size=4))
@example(["*.py", "!a.py"])
@example(["/d0", "d1/a/", "!d1/a/b"])
def test_patterns_ignore_what_git_ignores(repository: Path, lines: list[str]) -> None:
    (repository / ".gitignore").write_text("".join(f"{line}\n" for line in lines))
    entries = _entries(repository)
    answer = subprocess.run(
        ["git", "-C", str(repository), "check-ignore", "-z", "--stdin", "--no-index"],
        input="\0".join(path for path, _ in entries).encode(),
        capture_output=True,
        check=False,
    )
    theirs = set(answer.stdout.decode().split("\0")) - {""}
    patterns = IgnorePatterns(lines)
    ours = {path for path, is_directory in entries if _ignored(patterns, path, is_directory)}
    assert ours == theirs


def test_a_file_below_an_ignored_directory_is_covered() -> None:
    patterns = IgnorePatterns(["legacy/", "*.ipynb"])
    assert patterns.covers("src/legacy/deep/model.py")
    assert patterns.covers("a.ipynb")
    assert not patterns.covers("src/legacy.py")
