"""Calls of Lightning's own methods with arguments of old: found, shortened, or left alone."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import projects
import pytest

CODE = "LM214"
HEAD = "import pytorch_lightning as pl\n\n\n"


def written(tmp_path: Path, line: str, hook: str) -> Path:
    """Write a module with one line in a hook; return the folder."""
    owner = "pl.Callback" if "trainer" in hook else "pl.LightningModule"
    text = f"class Own({owner}):\n    def {hook}:\n        {line}\n"
    return projects.written(tmp_path, {"m.py": HEAD + text})


BATCH = "on_train_batch_end(self, outputs, batch, batch_idx, unused=0)"
IN_CALLBACK = "on_train_batch_start(self, trainer, pl_module, batch, batch_idx, unused=0)"
STEP = "training_step(self, batch, batch_idx)"


@pytest.mark.parametrize(
    ("hook", "old", "new"),
    [
        (
            BATCH,
            "super().on_train_batch_end(outputs, batch, batch_idx, unused)",
            "super().on_train_batch_end(outputs, batch, batch_idx)",
        ),
        (
            IN_CALLBACK,
            "super().on_train_batch_start(trainer, pl_module, batch, batch_idx, unused=unused)",
            "super().on_train_batch_start(trainer, pl_module, batch, batch_idx)",
        ),
        (
            "on_train_epoch_end(self, trainer, pl_module, unused=None)",
            "super().on_train_epoch_end(trainer, pl_module, unused=unused)",
            "super().on_train_epoch_end(trainer, pl_module)",
        ),
        (
            "on_train_epoch_end(self)",
            "super().on_train_epoch_end([])",
            "super().on_train_epoch_end()",
        ),
        (STEP, "self.toggle_optimizer(first, 0)", "self.toggle_optimizer(first)"),
        (STEP, "self.toggle_optimizer(g, optimizer_idx=i)", "self.toggle_optimizer(g)"),
        (STEP, "self.manual_backward(loss, opt_g)", "self.manual_backward(loss)"),
        (
            STEP,
            "self.manual_backward(loss, self.optimizer, retain_graph=True)",
            "self.manual_backward(loss, retain_graph=True)",
        ),
    ],
)
def test_arguments_of_old_are_left_out(hook: str, old: str, new: str, tmp_path: Path) -> None:
    written(tmp_path, old, hook)
    (diagnostic,) = projects.check(tmp_path, CODE).diagnostics
    assert "raises TypeError" in diagnostic.message
    projects.fix(tmp_path, CODE)
    assert new in (tmp_path / "m.py").read_text(encoding="utf-8")
    assert projects.check(tmp_path, CODE).diagnostics == []


@pytest.mark.parametrize(
    ("hook", "line"),
    [
        (BATCH, "super().on_train_batch_end(outputs, batch, batch_idx)"),
        (
            "on_test_batch_start(self, batch, batch_idx, dataloader_idx=0)",
            "super().on_test_batch_start(batch, batch_idx, dataloader_idx)",
        ),
        ("on_train_batch_start(self, *args)", "super().on_train_batch_start(*args)"),
        ("backward(self, loss, *args)", "super().backward(loss, 1, 2)"),
        ("setup(self, stage=None)", "super().setup(stage)"),
        (STEP, "self.toggle_optimizer(optimizer)"),
        (STEP, "self.untoggle_optimizer(optimizer)"),
        (STEP, "self.manual_backward(loss, gradient)"),
        (STEP, "self.net.manual_backward(loss, optimizer)"),
        (STEP, "engine.toggle_optimizer(optimizer, 0)"),
    ],
)
def test_what_lightning_takes_is_no_finding(hook: str, line: str, tmp_path: Path) -> None:
    assert projects.check(written(tmp_path, line, hook), CODE).diagnostics == []


def test_the_projects_own_methods_take_what_they_like(tmp_path: Path) -> None:
    text = """
    class Base(pl.LightningModule):
        def manual_backward(self, loss, optimizer):
            optimizer.step(loss)

        def on_train_batch_start(self, batch, batch_idx, stage=""):
            print(stage)

    class Own(Base):
        def training_step(self, batch, batch_idx):
            self.manual_backward(batch, self.optimizer)

        def on_train_batch_start(self, batch, batch_idx):
            super().on_train_batch_start(batch, batch_idx, "train")
    """
    projects.written(tmp_path, {"m.py": HEAD + dedent(text)})
    assert projects.check(tmp_path, CODE).diagnostics == []


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("self.untoggle_optimizer(0)", "give it the optimizer"),
        ("self.untoggle_optimizer(optimizer_idx)", "give it the optimizer"),
    ],
)
def test_what_a_person_decides_says_so(line: str, reason: str, tmp_path: Path) -> None:
    (diagnostic,) = projects.check(written(tmp_path, line, STEP), CODE).diagnostics
    assert reason in diagnostic.blocked
