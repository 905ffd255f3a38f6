"""Attributes that a callback uses before the module's hook does: what is found, what is not."""

from __future__ import annotations

import os
from pathlib import Path
from textwrap import dedent

import projects
import pytest

from lintmetrics import runner
from lintmetrics.config import CommandLine, Configuration
from lintmetrics.sources import discover

MODEL = """\
import lightning.pytorch as pl
import torch


class M(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.rows = []
        self.best = None

    def validation_step(self, batch, batch_idx):
        self.rows.append(batch.mean())

    def on_validation_epoch_end(self):
        self.best = torch.stack(self.rows).max()
"""
CALLBACK = """
import lightning.pytorch as pl


class C(pl.Callback):
    def on_validation_epoch_end(self, trainer, pl_module):
        print(pl_module.best)
"""


def found(tmp_path: Path, model: str = MODEL, callback: str = CALLBACK) -> list[str]:
    projects.written(tmp_path, {"model.py": model, "callback.py": dedent(callback)})
    report = projects.check(tmp_path, "LM216")
    assert not report.failures, report.failures
    return [d.message for d in report.diagnostics]


READ = "C.on_validation_epoch_end reads pl_module.best before M.on_validation_epoch_end sets it"
EMPTIED = (
    "C.on_validation_epoch_end empties pl_module.rows before M.on_validation_epoch_end reads it"
)


def test_an_attribute_that_the_module_sets_behind_is_found(tmp_path: Path) -> None:
    assert found(tmp_path) == [READ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("pl_module.best", "trainer.lightning_module.best", READ),
        ("print(pl_module.best)", "pl_module.rows.clear()", EMPTIED),
        ("print(pl_module.best)", "pl_module.rows = []", EMPTIED),
        ("print(pl_module.best)", "if pl_module.best > 0.5:\n            print(trainer)", READ),
    ],
)
def test_other_ways_are_found(old: str, new: str, message: str, tmp_path: Path) -> None:
    assert found(tmp_path, callback=CALLBACK.replace(old, new)) == [message]


@pytest.mark.parametrize(
    ("hook", "arguments"),
    [("train_batch_end", ", outputs, batch, batch_idx"), ("train_epoch_end", "")],
)
def test_training_hooks_are_found(hook: str, arguments: str, tmp_path: Path) -> None:
    model = MODEL.replace("on_validation_epoch_end(self", f"on_{hook}(self{arguments}")
    callback = CALLBACK.replace("validation_epoch_end", hook).replace(
        "pl_module)", f"pl_module{arguments})"
    )
    (message,) = found(tmp_path, model, callback)
    assert message == f"C.on_{hook} reads pl_module.best before M.on_{hook} sets it"


def test_a_removed_hook_of_the_module_comes_behind_as_soon_as_it_is_renamed(tmp_path: Path) -> None:
    model = MODEL.replace("on_validation_epoch_end(self", "validation_epoch_end(self, outputs")
    assert found(tmp_path, model) == [READ.replace("M.on_", "M.")]


def test_older_lightning_ran_the_module_first(tmp_path: Path) -> None:
    projects.written(tmp_path, {"model.py": MODEL, "callback.py": dedent(CALLBACK)})
    line = CommandLine(select=("LM216",), isolated=True, target=("lightning=1.9",))
    configuration = Configuration(line)
    files, _ = discover([os.fspath(tmp_path)], configuration.settings_for)
    assert runner.check(files, configuration.settings_for, 1).diagnostics == []


def test_the_hook_gets_the_name_of_the_next(tmp_path: Path) -> None:
    projects.written(tmp_path, {"model.py": MODEL, "callback.py": dedent(CALLBACK)})
    projects.fix(tmp_path, "LM216")
    assert "def on_validation_end(self" in (tmp_path / "callback.py").read_text(encoding="utf-8")


CALLBACKS = {
    "the next hook": CALLBACK.replace("on_validation_epoch_end", "on_validation_end"),
    "another hook": CALLBACK.replace("on_validation_epoch_end", "on_train_epoch_end"),
    "another attribute": CALLBACK.replace("pl_module.best", "pl_module.current_epoch"),
    "asked for": CALLBACK.replace("pl_module.best", "getattr(pl_module, 'best', 0)"),
    "its own": CALLBACK.replace("pl_module.best", "self.best"),
    "what it sets itself": CALLBACK.replace(
        "print(pl_module.best)", "pl_module.best = self.score()\n        print(pl_module.best)"
    ),
    "a method": CALLBACK.replace("on_validation_epoch_end", "told"),
    "no callback": CALLBACK.replace("(pl.Callback)", ""),
    "what it keeps": CALLBACK.replace("print(pl_module.best)", "self.kept = pl_module.rows"),
}
MODELS = {
    "set in the step": MODEL.replace("self.rows.append(", "self.best = self.rows.append("),
    "set by a method": MODEL + "\n    def again(self):\n        self.best = self.rows[0]\n",
    "set in another hook": MODEL.replace("on_validation_epoch_end", "on_validation_epoch_start"),
    "set for the next epoch": MODEL.replace("torch.stack(self.rows).max()", "None"),
    "set in two hooks": MODEL
    + "\n    def on_train_epoch_end(self):\n        self.best = self.rows[0]\n",
    "counted": MODEL.replace("self.best = torch", "self.best += torch"),
    "a local name": MODEL.replace("self.best = torch", "best = torch"),
    "no module": MODEL.replace("(pl.LightningModule)", ""),
}


@pytest.mark.parametrize("case", list(CALLBACKS))
def test_what_a_callback_may_use_is_quiet(case: str, tmp_path: Path) -> None:
    assert found(tmp_path, callback=CALLBACKS[case]) == []


@pytest.mark.parametrize("case", list(MODELS))
def test_what_a_module_sets_elsewhere_is_quiet(case: str, tmp_path: Path) -> None:
    assert found(tmp_path, MODELS[case]) == []


def test_a_list_that_the_module_empties_behind_is_read_in_time(tmp_path: Path) -> None:
    model = MODEL + "        self.rows.clear()\n"
    assert found(tmp_path, model, CALLBACK.replace("best", "rows")) == []


def test_a_list_that_the_module_does_not_read_there_may_be_emptied(tmp_path: Path) -> None:
    model = MODEL.replace("torch.stack(self.rows).max()", "self.trainer.world_size")
    assert found(tmp_path, model, CALLBACK.replace("best", "rows.clear()")) == []


FED = """
import lightning.pytorch as pl
from torchmetrics import SumMetric


class M(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.total = SumMetric()
        self.rows = []

    def validation_step(self, batch, batch_idx):
        self.rows.append(batch.mean())

    def on_validation_epoch_start(self):
        self.total.reset()

    def validation_epoch_end(self, outputs):
        self.log("total", self.total(sum(self.rows)))
"""
COMPUTES = CALLBACK.replace("pl_module.best", "pl_module.total.compute()")


def test_a_metric_that_the_module_feeds_behind_is_found(tmp_path: Path) -> None:
    assert found(tmp_path, FED, COMPUTES) == [
        "C.on_validation_epoch_end computes pl_module.total before M.validation_epoch_end feeds it"
    ]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        # Fed in each step, or by another: what the callback computes is that of the epoch.
        ("self.rows.append(batch.mean())", "self.total.update(batch.mean())"),
        ('self.log("total", self.total(sum(self.rows)))', 'self.log("t", self.total.compute())'),
        (
            "def on_validation_epoch_start",
            "def feed(self, x):\n        self.total(x)\n\n    def on_x",
        ),
        ("def validation_epoch_end(self, outputs)", "def test_epoch_end(self, outputs)"),
    ],
)
def test_a_metric_that_is_fed_before_is_quiet(old: str, new: str, tmp_path: Path) -> None:
    assert old in FED
    assert found(tmp_path, FED.replace(old, new), COMPUTES) == []
    assert found(tmp_path, FED, COMPUTES.replace(".compute()", ".reset()")) == []
