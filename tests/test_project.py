"""What a project knows of files that it has not parsed."""

from __future__ import annotations

import ast
import os
import re
from pathlib import Path

import projects
import pytest

from lintmetrics import runner, syntax
from lintmetrics.config import CommandLine, Configuration
from lintmetrics.project import Project
from lintmetrics.source import Source
from lintmetrics.sources import decode, discover

BEFORE = b"from old import Base\n\n\nclass Model(Base):\n    hook = 1\n"
AFTER = b"from new import Other\n\n\nclass Model(Other):\n    later = 1\n"


def project(path: Path, data: bytes) -> Project:
    """Return a project whose one file was edited in memory, and holds ``BEFORE`` on disk."""
    path.write_bytes(BEFORE)

    def read(name: str) -> tuple[Source, ast.Module]:
        source = decode(data, name)
        return source, syntax.parse(source)

    return Project(read, lambda: [os.fspath(path)], data=lambda _: data)


def test_a_file_is_searched_as_it_is_after_the_edits_so_far(tmp_path: Path) -> None:
    edited = project(tmp_path / "model.py", AFTER)
    assert edited.mentioning(re.compile("hook")) == []
    assert [m.path for m in edited.mentioning(re.compile("later"))] == [
        os.fspath(tmp_path / "model.py")
    ]
    assert set(edited.from_imports) == {("new", "Other")}


def test_a_round_of_fixes_sees_what_the_rounds_before_wrote(tmp_path: Path) -> None:
    path = tmp_path / "model.py"
    path.write_bytes(BEFORE)
    configuration = Configuration(CommandLine(isolated=True))
    files, _ = discover([os.fspath(tmp_path)], configuration.settings_for)
    held = runner._Files(files, configuration.settings_for)
    (given,) = held.given
    held.edit(given, AFTER)
    now = held.project(configuration.settings_for(given))
    assert now.mentioning(re.compile("hook")) == []
    assert len(now.mentioning(re.compile("later"))) == 1


def test_a_file_that_cannot_be_read_mentions_nothing(tmp_path: Path) -> None:
    def read(name: str) -> tuple[Source, ast.Module]:
        raise AssertionError(name)

    gone = Project(read, lambda: [os.fspath(tmp_path / "gone.py")])
    assert gone.mentioning(re.compile("class")) == []


WATCHES = """
import model
import pytorch_lightning as pl

stop = pl.callbacks.EarlyStopping(monitor="val/loss")


class Other(pl.LightningModule):
    def validation_step(self, batch, batch_idx):
        self.log("val_loss", self(batch))
"""
LOGS = """
import pytorch_lightning as pl


class Model(pl.LightningModule):
    def validation_step(self, batch, batch_idx):
        self.log("val/loss", self(batch))
"""


@pytest.mark.parametrize(
    ("place", "mark", "counts"),
    [
        ("mine", "", True),
        ("mine/parts", "", False),
        ("others", "", False),
        ("mine/parts", "mine/setup.cfg", True),
        ("others", "mine/setup.cfg", False),
        ("others", "setup.cfg", True),
    ],
)
def test_what_lies_around_a_file_belongs_to_it_as_far_as_a_mark_says(
    place: str, mark: str, counts: bool, tmp_path: Path
) -> None:
    """Without a mark, such as in a folder of many trees, only the files beside it do."""
    texts = {"mine/train.py": WATCHES, f"{place}/model.py": LOGS}
    projects.written(tmp_path, texts | ({mark: ""} if mark else {}))
    report = projects.check(tmp_path / "mine" / "train.py", "LM401")
    assert projects.codes(report) == ([] if counts else ["LM401"])
