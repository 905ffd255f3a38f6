"""``self.datamodule`` becomes the Trainer's where there surely is one."""

from __future__ import annotations

from pathlib import Path
from textwrap import indent

import projects
import pytest

from lintmetrics.codemod import Relation

HEAD = "import pytorch_lightning as pl\n\n\nclass M(pl.LightningModule):\n"


def relation(tmp_path: Path, body: str, **files: str) -> str:
    """Return what is said of the one place: a relation, or why there is no fix."""
    text = HEAD + indent(body.strip("\n"), "    ") + "\n"
    projects.written(tmp_path, {"model.py": text, **{f"{k}.py": v for k, v in files.items()}})
    report = projects.check(tmp_path, "LM503")
    assert not report.failures, report.failures
    (found,) = report.diagnostics
    return found.fix.relation.value if found.fix is not None else str(found.blocked)


SURE = {
    "a step": "def training_step(self, batch, batch_idx):\n    return self.datamodule.size",
    "a hook": "def on_fit_start(self):\n    print(self.datamodule.size)",
    "an old hook": "def validation_epoch_end(self, outputs):\n    print(self.datamodule.size)",
    "setup": "def setup(self, stage):\n    self.size = self.datamodule.size",
    "optimizers": "def configure_optimizers(self):\n    return made(self.datamodule.size)",
    "what a step calls": (
        "def training_step(self, batch, batch_idx):\n    return self.shared(batch)\n\n"
        "def test_step(self, batch, batch_idx):\n    return self.shared(batch)\n\n"
        "def shared(self, batch):\n    return self.again(batch)\n\n"
        "def again(self, batch):\n    return self.datamodule.size"
    ),
    "asked there": "def on_fit_start(self):\n    if self.datamodule is not None:\n        print(1)",
}


@pytest.mark.parametrize("case", list(SURE))
def test_a_hook_has_a_trainer(case: str, tmp_path: Path) -> None:
    assert relation(tmp_path, SURE[case]) == Relation.PRESERVES.value


ASSUMED = {
    "a method that nobody calls": "def export(self):\n    return self.datamodule.size",
    "the network": "def forward(self, x):\n    return x + self.datamodule.size",
    "a property": "@property\ndef size(self):\n    return self.datamodule.size",
    "what saves": "def on_save_checkpoint(self, checkpoint):\n    self.n = self.datamodule.size",
    "what a step and others call": (
        "def training_step(self, batch, batch_idx):\n    return self.size()\n\n"
        "def export(self):\n    return self.size()\n\n"
        "def size(self):\n    return self.datamodule.size"
    ),
    "what calls itself": "def size(self):\n    return self.size() or self.datamodule.size",
}


@pytest.mark.parametrize("case", list(ASSUMED))
def test_another_method_may_run_without_one(case: str, tmp_path: Path) -> None:
    assert relation(tmp_path, ASSUMED[case]) == Relation.ASSUMES.value


def test_what_other_code_calls_may_run_without_one(tmp_path: Path) -> None:
    body = SURE["what a step calls"]
    outside = "from model import M\n\nprint(M().shared(None))\n"
    assert relation(tmp_path, body, use=outside) == Relation.ASSUMES.value


NONE = {
    "the constructor": "def __init__(self):\n    super().__init__()\n    self.n = self.datamodule",
    "asked": "def export(self):\n    if self.datamodule is not None:\n        return 1",
    "asked shortly": "def export(self):\n    if not self.datamodule:\n        return 1",
    "one or the other": "def export(self):\n    return self.datamodule or 1",
}


@pytest.mark.parametrize("case", list(NONE))
def test_code_that_expects_none_is_for_a_person(case: str, tmp_path: Path) -> None:
    assert "was None without a Trainer" in relation(tmp_path, NONE[case])
