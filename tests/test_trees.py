"""Trees to train in: revisions, folders and copies; the user's own is never changed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

pytest.importorskip("psutil", reason="verify needs its extra")
pytest.importorskip("platformdirs", reason="verify needs its extra")

from projects import written

from lintmetrics.errors import LintmetricsError
from lintmetrics.verify import trees

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="revisions need git")


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "protocol.file.allow=always"]
    return subprocess.run(
        ["git", *who, *arguments], cwd=folder, check=True, capture_output=True, text=True
    ).stdout


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LINTMETRICS_CACHE_DIR", os.fspath(tmp_path / "cache"))
    folder = written(
        tmp_path / "project",
        {
            "train.py": "print(1)\n",
            "package/model.py": "x = 1\n",
            ".gitignore": "data/\n*.log\nlightning_logs/\n",
        },
    )
    git(folder, "init", "--quiet", "--initial-branch", "main")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "first")
    git(folder, "tag", "v1.0")
    written(folder, {"train.py": "print(2)\n"})
    git(folder, "commit", "--quiet", "-am", "second")
    written(
        folder,
        {
            "train.py": "print(3)\n",
            "data/x.csv": "1\n",
            "notes.txt": "n",
            "scratch.py": "",
            "drafts/model.py": "",
            "drafts/settings.yaml": "",
            "lightning_logs/version_7/metrics.csv": "",
        },
    )
    (folder / "data/large.bin").write_bytes(b"\0" * trees._LARGE)
    return folder


def _everything(folder: Path) -> dict[str, object]:
    """All that may not change: files with their times, git's view and git's lists."""
    files = {
        os.fspath(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_relative_to(folder / ".git")
    }
    listed = git(folder, "worktree", "list")
    own = (folder / ".git/config").read_text()
    return {**files, "?": git(folder, "status", "--porcelain"), "worktrees": listed, "own": own}


def test_a_revision_is_a_worktree_with_the_data_beside_it(repository: Path) -> None:
    before = _everything(repository)
    with trees.tree("HEAD", repository) as made:
        assert (made.root / "train.py").read_text() == "print(2)\n"
        assert (made.root / "data/x.csv").read_text() == "1\n"
        assert (made.root / "data/large.bin").is_symlink()
        assert (made.root / "notes.txt").exists()
        assert not (made.root / "scratch.py").exists()
        assert (made.root / "drafts/settings.yaml").exists()
        assert not (made.root / "drafts/model.py").exists()
        assert not (made.root / "lightning_logs").exists()
        assert made.label.startswith("HEAD (")
        # What the program writes stays there.
        (made.root / "data/x.csv").write_text("2\n")
        (made.root / "data/new.csv").write_text("2\n")
        (made.root / "train.py").unlink()
        assert made.altered() == []
    assert not made.root.exists()
    assert _everything(repository) == before
    assert not (repository / ".git/worktrees").exists()


def test_two_revisions_stand_side_by_side(repository: Path) -> None:
    with trees.tree("v1.0", repository) as old, trees.tree("main", repository) as new:
        assert (old.root / "train.py").read_text() == "print(1)\n"
        assert (new.root / "train.py").read_text() == "print(2)\n"


def test_a_folder_is_copied_with_what_is_not_committed(repository: Path) -> None:
    before = _everything(repository)
    with trees.tree(".", repository) as made:
        assert (made.root / "train.py").read_text() == "print(3)\n"
        assert (made.root / "scratch.py").exists()
        (made.root / "train.py").write_text("fixed")
        (made.root / "lightning_logs").mkdir()
    assert not made.root.exists()
    assert _everything(repository) == before


def test_a_folder_outside_of_git_is_copied(tmp_path: Path, repository: Path) -> None:
    plain = written(tmp_path / "plain", {"train.py": "", "sub/a.txt": "a"})
    (plain / "link").symlink_to("sub/a.txt")
    (plain / "absolute").symlink_to(repository / "train.py")
    with trees.tree(os.fspath(plain)) as made:
        (made.root / "link").write_text("b")
        assert (made.root / "absolute").read_text() == "print(3)\n"
    assert (plain / "sub/a.txt").read_text() == "a"


def test_the_users_place_in_the_tree_is_kept(repository: Path) -> None:
    with trees.tree("HEAD", repository / "package") as made:
        assert made.folder == made.root / "package"
    with trees.copy(repository / "package") as made:
        assert made.folder == made.root / "package"
        assert (made.root / "train.py").exists()


def test_a_linked_file_that_was_written_to_is_named(repository: Path) -> None:
    with trees.tree("HEAD", repository) as made:
        with (made.root / "data/large.bin").open("ab") as file:
            file.write(b"more")
        assert made.altered() == [repository.resolve() / "data/large.bin"]


def test_an_untracked_folder_of_many_files_is_linked_whole(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trees, "_MANY", 10)
    written(repository, {f"data/images/{number}.png": "" for number in range(20)})
    for spec in ("HEAD", "."):
        with trees.tree(spec, repository) as made:
            inside = made.root / "data"
            assert inside.is_symlink() or (inside / "images").is_symlink()
            assert len(list((inside / "images").iterdir())) == 20
    assert len(list((repository / "data/images").iterdir())) == 20


def test_submodules_that_are_checked_out_are_filled_from_the_disk(
    repository: Path, tmp_path: Path
) -> None:
    part = written(tmp_path / "part", {"part.py": "old"})
    git(part, "init", "--quiet")
    git(part, "add", ".")
    git(part, "commit", "--quiet", "-m", "part")
    git(repository, "submodule", "--quiet", "add", os.fspath(part), "libs/part")
    git(repository, "commit", "--quiet", "-m", "with part")
    shutil.rmtree(part)
    before = _everything(repository)
    with trees.tree("HEAD", repository) as made:
        assert (made.root / "libs/part/part.py").read_text() == "old"
    assert not made.root.exists()
    assert _everything(repository) == before
    with trees.tree("v1.0", repository) as made:
        assert not (made.root / "libs/part/part.py").exists()


def test_packages_in_development_mode_are_imported_from_the_tree(repository: Path) -> None:
    written(repository, {"src/mine/__init__.py": ""})
    git(repository, "add", "src")
    git(repository, "commit", "--quiet", "-m", "src")
    environment = repository.parent / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    python = environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    site = next(environment.rglob("site-packages"))
    (site / "mine.pth").write_text(f"{repository / 'src'}\n")
    with trees.tree("HEAD", repository) as made:
        assert made.import_paths(os.fspath(python)) == [os.fspath(made.root / "src")]


# What can go wrong ------------------------------------------------------------------------------


def _refused(spec: str, here: Path) -> str:
    with pytest.raises(LintmetricsError) as raised, trees.tree(spec, here):
        pass
    return str(raised.value)


def test_an_unknown_revision_names_near_ones(repository: Path) -> None:
    assert "the nearest: main" in _refused("mian", repository)
    assert "neither a folder nor a revision" in _refused("--help", repository)


def test_a_revision_outside_of_git_is_refused(tmp_path: Path, repository: Path) -> None:
    (tmp_path / "nowhere").mkdir()
    assert "in no git work tree" in _refused("HEAD", tmp_path / "nowhere")


def test_a_folder_that_is_also_a_revision_has_to_be_told_apart(repository: Path) -> None:
    git(repository, "branch", "package")
    assert "is a folder and a revision" in _refused("package", repository)
    with trees.tree("./package", repository) as made:
        assert made.folder.name == "package"
    with trees.tree("refs/heads/package", repository) as made:
        assert (made.root / "train.py").exists()


def test_a_folder_that_the_revision_lacks_is_named(repository: Path) -> None:
    (repository / "later").mkdir()
    assert "it has no folder later" in _refused("HEAD", repository / "later")
    assert not (repository / ".git/worktrees").exists()


def test_hooks_of_the_user_do_not_run(repository: Path) -> None:
    hook = repository / ".git/hooks/post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {repository}/ran\n")
    hook.chmod(0o755)
    with trees.tree("HEAD", repository):
        pass
    assert not (repository / "ran").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_of_a_run_that_was_stopped(
    repository: Path, tmp_path: Path, number: signal.Signals
) -> None:
    before = _everything(repository)
    code = """
    import sys, time
    from pathlib import Path
    from lintmetrics.verify import training, trees
    with training.signals_raise(), trees.tree("HEAD", Path(sys.argv[1])) as made:
        print(made.root, flush=True)
        time.sleep(60)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), os.fspath(repository)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    root = Path(process.stdout.readline().strip())
    assert root.is_dir()
    time.sleep(0.1)
    process.send_signal(number)
    process.communicate(timeout=30)
    if number == signal.SIGKILL:
        assert root.is_dir()
        trees.remove_left()
    assert not root.exists()
    assert _everything(repository) == before
    assert list((tmp_path / "cache/trees").iterdir()) == []
