"""Which files are found, and that bytes survive reading and writing."""

from __future__ import annotations

import os
import re
import stat
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lintmetrics import sources
from lintmetrics.config import Configuration, Settings
from lintmetrics.errors import SourceError
from lintmetrics.sources import DiscoveredFile, decode, discover, read_source, write


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def put(root: Path, *names: str, text: str = "x = 1\n") -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def found(*paths: str, force_exclude: bool = False) -> list[str]:
    files, failures = discover(paths or (".",), Configuration().settings_for, force_exclude)
    assert failures == []
    return [file.shown for file in files]


def test_python_stubs_and_notebooks_are_found_in_order(tree: Path) -> None:
    put(tree, "b.py", "a/z.pyi", "a/n.ipynb", "a/readme.md", "a/b/c.py", "noext")
    assert found() == ["a/b/c.py", "a/n.ipynb", "a/z.pyi", "b.py"]


def test_a_file_named_twice_is_looked_at_once(tree: Path) -> None:
    put(tree, "a/x.py")
    assert found("a", "a/x.py", "./a/../a/x.py", str(tree / "a")) == ["a/x.py"]


def test_a_named_file_is_taken_whatever_its_suffix_and_excludes(tree: Path) -> None:
    put(tree, "script", ".venv/x.py", "build/y.py")
    assert found("script", ".venv/x.py", "build") == [".venv/x.py", "build/y.py", "script"]
    assert found("script", ".venv/x.py", "build", force_exclude=True) == ["script"]


def test_environments_and_caches_are_left_out(tree: Path) -> None:
    put(tree, "venv/a.py", "node_modules/b.py", "__pycache__/c.py", "pkg/site-packages/d.py")
    put(tree, "my_env/pyvenv.cfg", "my_env/lib/e.py", "conda/conda-meta/history", "conda/f.py")
    put(tree, "keep/g.py")
    assert found() == ["keep/g.py"]


def test_ignore_files_count_from_the_top_of_the_repository(tree: Path) -> None:
    subprocess.run(["git", "init", "-q"], check=True)
    put(tree, ".gitignore", text="/logs/\n*_gen.py\n!keep_gen.py\n")
    put(tree, ".git/info/exclude", text="scratch.py\n")
    put(tree, "sub/.gitignore", text="/only_here.py\n!back_gen.py\n")
    put(tree, "logs/a.py", "x_gen.py", "keep_gen.py", "scratch.py", "sub/scratch.py")
    put(tree, "sub/only_here.py", "sub/deep/only_here.py", "sub/back_gen.py", "sub/logs/b.py")
    inside = ["sub/back_gen.py", "sub/deep/only_here.py", "sub/logs/b.py"]
    assert found() == ["keep_gen.py", *inside]
    assert found("sub") == inside
    assert found("logs") == ["logs/a.py"], "a directory that is named is entered"


def test_ignore_files_count_without_a_repository(tree: Path) -> None:
    put(tree, ".gitignore", text="a.py\n")
    put(tree, "a.py", "b.py")
    assert found() == ["b.py"]


def test_a_repository_inside_another_has_its_own_ignores(tree: Path) -> None:
    subprocess.run(["git", "init", "-q"], check=True)
    put(tree, ".gitignore", text="a.py\n")
    subprocess.run(["git", "init", "-q", "inner"], check=True)
    put(tree, "a.py", "inner/a.py")
    assert found() == ["inner/a.py"]


def test_a_worktree_shares_the_excludes_of_its_repository(tree: Path) -> None:
    run = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c"]
    subprocess.run(["git", "init", "-q", "main"], check=True)
    commit = [*run, "-C", "main", "commit", "-q", "--allow-empty", "-m", "x"]
    subprocess.run(commit, check=True)
    subprocess.run(["git", "-C", "main", "worktree", "add", "-q", "../tree"], check=True)
    put(tree, "main/.git/info/exclude", text="secret.py\n")
    put(tree, "tree/secret.py", "tree/a.py")
    assert found("tree") == ["tree/a.py"]


def test_the_config_excludes_and_takes_back(tree: Path) -> None:
    put(tree, "lintmetrics.toml", text='exclude = ["legacy/", "/gen/*.py", "!build"]\n')
    put(tree, "legacy/a.py", "pkg/legacy/b.py", "gen/c.py", "pkg/gen/d.py", "build/e.py")
    assert found() == ["build/e.py", "pkg/gen/d.py"]
    assert found("legacy/a.py") == ["legacy/a.py"]
    assert found("legacy/a.py", force_exclude=True) == []


def test_a_config_further_down_has_its_own_excludes(tree: Path) -> None:
    put(tree, "lintmetrics.toml", text='exclude = ["a.py"]\n')
    put(tree, "sub/pyproject.toml", text='[tool.lintmetrics]\nexclude = ["b.py"]\n')
    put(tree, "other/pyproject.toml", text="[project]\nname = 'lintmetrics-user'\n")
    put(tree, "a.py", "b.py", "sub/a.py", "sub/b.py", "other/a.py", "other/b.py")
    assert found() == ["b.py", "other/b.py", "sub/a.py"]


def test_a_pattern_means_the_files_that_match(tree: Path) -> None:
    put(tree, "a/x.py", "a/b/y.py", "a/b/z.txt", "w[1].py", "n.ipynb")
    assert found("a/**/*.py") == ["a/b/y.py", "a/x.py"]
    assert found("w[1].py", "*.ipynb") == ["n.ipynb", "w[1].py"]
    _, failures = discover(["b/*.py"], Configuration().settings_for)
    assert [failure.path for failure in failures] == ["b/*.py"]


def test_links_neither_loop_nor_repeat(tree: Path) -> None:
    put(tree, "a/x.py", "outside.txt")
    (tree / "a" / "loop").symlink_to(tree / "a", target_is_directory=True)
    (tree / "a" / "again.py").symlink_to(tree / "a" / "x.py")
    (tree / "a" / "other.py").symlink_to(tree / "outside.txt")
    (tree / "a" / "gone.py").symlink_to(tree / "nothing")
    assert found("a") == ["a/other.py", "a/x.py"]


def test_what_is_missing_is_named(tree: Path) -> None:
    put(tree, "x.py")
    (tree / "gone.py").symlink_to(tree / "nothing")
    files, failures = discover(["x.py", "no.py", "gone.py"], Configuration().settings_for)
    assert [file.shown for file in files] == ["x.py"]
    assert [failure.path for failure in failures] == ["gone.py", "no.py"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_directory_that_cannot_be_listed_is_named(tree: Path) -> None:
    put(tree, "a/x.py", "b.py")
    (tree / "a").chmod(0)
    try:
        files, failures = discover(["."], Configuration().settings_for)
    finally:
        (tree / "a").chmod(0o755)
    assert [file.shown for file in files] == ["b.py"]
    assert "cannot be listed" in failures[0].reason


def test_a_directory_may_be_called_like_a_file(tree: Path) -> None:
    put(tree, "pkg.py/a.py")
    assert found() == ["pkg.py/a.py"]


def test_files_elsewhere_are_shown_in_full(tree: Path) -> None:
    put(tree, "here/x", "there/a.py")
    os.chdir(tree / "here")
    assert found("../there") == [f"{tree}/there/a.py"]


# --- Bytes and text --------------------------------------------------------------------------

NEWLINES = st.sampled_from(["\n", "\r\n", "\r"])
WORDS = st.text(
    st.characters(blacklist_categories=["Cs"], blacklist_characters="\0\r\n"), max_size=20
)


@settings(deadline=None)
@given(st.lists(st.tuples(WORDS, NEWLINES)), st.booleans(), st.booleans())
def test_utf8_text_comes_back_byte_for_byte(
    lines: list[tuple[str, str]], mark: bool, ends_with_newline: bool
) -> None:
    text = "".join(word + newline for word, newline in lines)
    if not ends_with_newline:
        text = text.rstrip("\r\n")
    if "coding" in text:
        return
    data = (b"\xef\xbb\xbf" if mark else b"") + text.encode()
    if data.startswith((b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf\xef\xbb\xbf")):
        return
    source = decode(data, "a.py")
    assert source.container.pack(source.text) == data


@settings(deadline=None)
@given(st.binary(max_size=60), st.sampled_from(["latin-1", "iso-8859-15", "cp1252", "koi8-r"]))
def test_declared_encodings_come_back_byte_for_byte(body: bytes, encoding: str) -> None:
    data = f"# -*- coding: {encoding} -*-\r\n# ".encode() + body.replace(b"\0", b"")
    if encoding == "cp1252" and re.search(rb"[\x81\x8d\x8f\x90\x9d]", body):
        with pytest.raises(SourceError, match="is not cp1252"):
            decode(data, "a.py")
        return
    source = decode(data, "a.py")
    assert source.container.pack(source.text) == data
    assert source.newline == "\r\n"


@pytest.mark.parametrize(
    ("data", "reason", "line"),
    [
        (b"a = 1\nb = '\xe9'\n", "0xe9 is not utf-8", 2),
        (b"a = 1\n\0", "NUL", 2),
        ("a = 1".encode("utf-16"), "UTF-16", None),
        ("a = 1".encode("utf-32"), "UTF-32", None),
        (b"# coding: klingon\n", "klingon", 1),
        (b"#!/usr/bin/env python\n# vim: set fileencoding=klingon :\n", "klingon", 2),
        (b"# coding: rot13\n", "not an encoding of text", 1),
        (b"\xef\xbb\xbf# coding: latin-1\n", "keep one", 1),
        (b"x = 1\n" * 2_000_000, "12 MB", None),
    ],
)
def test_what_is_no_python_text_is_said_in_one_line(
    data: bytes, reason: str, line: int | None
) -> None:
    with pytest.raises(SourceError, match=reason) as caught:
        decode(data, "a.py")
    assert caught.value.line == line
    assert "\n" not in str(caught.value)


def test_a_declaration_counts_in_the_first_two_lines_only() -> None:
    assert decode(b"x = 1\n# coding: latin-1\n", "a.py").text
    with pytest.raises(SourceError):
        decode(b"\n\n# coding: latin-1\n# \xe9\n", "a.py")
    assert decode(b"\n# coding: latin-1\n# \xe9\n", "a.py").text.endswith("é\n")


def test_a_character_that_the_encoding_lacks_is_not_written() -> None:
    source = decode(b"# coding: latin-1\n", "a.py")
    with pytest.raises(SourceError, match="does not exist"):
        source.container.pack(source.text + "# €\n")


def test_an_empty_file_is_an_empty_text() -> None:
    source = decode(b"", "a.py")
    assert source.text == ""
    assert source.container.pack("") == b""


def test_writing_keeps_mode_and_links(tree: Path) -> None:
    put(tree, "real.py")
    (tree / "real.py").chmod(0o750)
    (tree / "link.py").symlink_to("real.py")
    write(DiscoveredFile(str(tree / "link.py"), "link.py"), b"y = 2\n", before=b"x = 1\n")
    assert (tree / "link.py").is_symlink()
    assert (tree / "real.py").read_bytes() == b"y = 2\n"
    assert stat.S_IMODE((tree / "real.py").stat().st_mode) == 0o750
    assert sorted(os.listdir(tree)) == ["link.py", "real.py"]


def test_a_file_changed_meanwhile_is_left(tree: Path) -> None:
    put(tree, "a.py", text="new\n")
    with pytest.raises(SourceError, match="changed"):
        write(DiscoveredFile(str(tree / "a.py"), "a.py"), b"fixed\n", before=b"old\n")
    assert (tree / "a.py").read_text() == "new\n"


def test_a_write_that_fails_leaves_the_file_and_nothing_else(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tree, "a.py")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(SourceError, match="no space left"):
        write(DiscoveredFile(str(tree / "a.py"), "a.py"), b"y\n")
    assert os.listdir(tree) == ["a.py"]
    assert (tree / "a.py").read_text() == "x = 1\n"


def test_an_interrupted_write_leaves_the_file_and_nothing_else(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tree, "a.py")

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(DiscoveredFile(str(tree / "a.py"), "a.py"), b"y\n")
    assert os.listdir(tree) == ["a.py"]


def test_a_file_that_is_gone_is_said_in_one_line(tree: Path) -> None:
    with pytest.raises(SourceError, match=r"a\.py: cannot be read: no such file"):
        read_source(str(tree / "a.py"), "a.py")


def test_bytes_survive_the_way_through_a_diff() -> None:
    data = bytes(range(256))
    assert sources.diff_bytes(sources.shown_bytes(data)) == data


def test_excludes_are_relative_to_the_config_file(tree: Path) -> None:
    settings = Settings(exclude=("sub/x.py",), root=str(tree))
    assert sources.excluded(str(tree / "sub" / "x.py"), settings)
    assert not sources.excluded(str(tree / "x.py"), settings)
