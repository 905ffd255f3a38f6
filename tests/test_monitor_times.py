"""Keys of validation that are asked for before a validation has run are found."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import projects
import pytest

MODEL = """\
import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import EarlyStopping
from torch.optim.lr_scheduler import ReduceLROnPlateau


class Model(pl.LightningModule):
    def training_step(self, batch, batch_idx):
        loss = self.net(batch).mean()
        self.log("loss", loss)
        return loss

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", self.net(batch).mean())

    def configure_optimizers(self):
        opt = torch.optim.Adam(self.net.parameters())
        plateau = ReduceLROnPlateau(opt)
        return {RETURNED}


"""
DICT = '[opt], [{"scheduler": plateau, "monitor": "val_loss"}]'
EVERY = "trainer = pl.Trainer(check_val_every_n_epoch=3)\n"


def found(tmp_path: Path, returned: str, text: str, model: str = MODEL) -> list[str]:
    whole = model.replace("{RETURNED}", returned) + dedent(text)
    projects.written(tmp_path, {"main.py": whole})
    report = projects.check(tmp_path, "LM411")
    assert not report.failures, report.failures
    return [d.message for d in report.diagnostics]


FOUND = [
    (DICT, EVERY, 'ReduceLROnPlateau asks for "val_loss" after each epoch, and the Trainer valid'),
    ('{"optimizer": opt, "lr_scheduler": plateau, "monitor": "val_loss"}', EVERY, "ReduceLROn"),
    (
        DICT.replace("}", ', "frequency": 2}'),
        EVERY,
        'ReduceLROnPlateau asks for "val_loss" after 2',
    ),
    (DICT, "pl.Trainer(check_val_every_n_epoch=2).fit(Model())\npl.Trainer()", "ReduceLROnPla"),
    (
        DICT.replace("}", ', "interval": "step"}'),
        "",
        'ReduceLROnPlateau asks for "val_loss" of validation after each step, the first too: Misc',
    ),
    (
        "opt",
        EVERY + 'EarlyStopping("val_loss", check_on_train_epoch_end=True)',
        'EarlyStopping asks for "val_loss" after each epoch, and the Trainer validates every 3: R',
    ),
]


@pytest.mark.parametrize(("returned", "text", "message"), FOUND)
def test_a_key_that_is_not_there_yet_is_found(
    returned: str, text: str, message: str, tmp_path: Path
) -> None:
    (said,) = found(tmp_path, returned, text)
    assert said.startswith(message)


QUIET = [
    (DICT, ""),
    (DICT, "pl.Trainer()"),
    (DICT, "pl.Trainer(check_val_every_n_epoch=1)"),
    (DICT, EVERY + "pl.Trainer()"),
    (DICT, EVERY + "pl.Trainer().fit(Model())"),
    (DICT, "def f(n):\n    pl.Trainer(check_val_every_n_epoch=n)"),
    (DICT, "pl.Trainer(check_val_every_n_epoch=2, fast_dev_run=True)"),
    (DICT, "def f(quick):\n    pl.Trainer(check_val_every_n_epoch=2, fast_dev_run=quick)"),
    (DICT, "def f(kw):\n    pl.Trainer(**kw)"),
    (DICT.replace("}", ', "frequency": 3}'), EVERY),
    (DICT.replace("}", ', "frequency": 4}'), EVERY),
    (DICT.replace("}", ', "frequency": self.every}'), EVERY),
    (DICT.replace("}", ', "strict": False}'), EVERY),
    (DICT.replace("}", ", **self.more}"), EVERY),
    (DICT.replace("}", ', "interval": "step", "frequency": 500}'), ""),
    (DICT.replace("val_loss", "loss").replace("}", ', "interval": "step"}'), ""),
    (DICT.replace("val_loss", "loss"), EVERY),
    (DICT.replace("plateau,", "torch.optim.lr_scheduler.StepLR(opt, 1),"), EVERY),
    ("opt", EVERY + 'EarlyStopping("val_loss")'),
    ("opt", EVERY + 'EarlyStopping("val_loss", check_on_train_epoch_end=False)'),
    ("opt", EVERY + 'EarlyStopping("val_loss", check_on_train_epoch_end=True, strict=False)'),
    ("opt", EVERY + 'EarlyStopping("loss", check_on_train_epoch_end=True)'),
    ("opt", 'pl.Trainer()\nEarlyStopping("val_loss", check_on_train_epoch_end=True)'),
]


@pytest.mark.parametrize(("returned", "text"), QUIET)
def test_a_key_that_is_or_may_be_there_is_quiet(returned: str, text: str, tmp_path: Path) -> None:
    assert found(tmp_path, returned, text) == []


def test_a_key_that_training_logs_as_well_is_quiet(tmp_path: Path) -> None:
    both = MODEL.replace('self.log("loss", loss)', 'self.log("val_loss", loss)')
    assert found(tmp_path, DICT, EVERY, both) == []


def test_a_key_that_code_of_another_kind_may_log_is_quiet(tmp_path: Path) -> None:
    text = EVERY + "\n\ndef more(model, key, value):\n    model.log(key, value)\n"
    assert found(tmp_path, DICT, text) == []


def test_schedulers_that_the_module_steps_itself_are_quiet(tmp_path: Path) -> None:
    manual = MODEL.replace(
        "    def training", "    automatic_optimization = False\n\n    def training"
    )
    assert found(tmp_path, DICT, EVERY, manual) == []
