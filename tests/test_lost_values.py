"""Values that another replaces, and loggers that are given nothing: what is found, what is not."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent, indent

import projects
import pytest

HEAD = """\
import lightning.pytorch as pl
import torch
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger, WandbLogger
from torchmetrics import MeanMetric


class M(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.rows = []
        self.m = MeanMetric()

"""


def found(tmp_path: Path, code: str, body: str, rest: str = "") -> list[str]:
    text = HEAD + indent(dedent(body).strip("\n"), "    ") + "\n" + rest
    projects.written(tmp_path, {"model.py": text})
    report = projects.check(tmp_path, code)
    assert not report.failures, report.failures
    return [d.message for d in report.diagnostics]


# A number that another replaces -----------------------------------------------------------------

STEP = "def validation_step(self, batch, batch_idx):\n    {}\n\n"
END = "def on_validation_epoch_end(self):\n    {}\n"
FIRST, SECOND = 'self.log("v", batch.mean())', 'self.log("v", torch.cat(self.rows).median())'
REPLACED = (
    '"v" of validation_step is replaced by that of on_validation_epoch_end, which is logged for '
    "the same epoch"
)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (FIRST, SECOND),
        ('self.log_dict({"v": batch.mean()})', SECOND),
        (FIRST, 'self.log_dict({"v": torch.cat(self.rows).median(), "w": 1.0})'),
        ('self.m.update(batch)\n    self.log("v", self.m)', SECOND),
    ],
)
def test_a_number_that_the_end_of_the_epoch_replaces_is_found(
    first: str, second: str, tmp_path: Path
) -> None:
    assert found(tmp_path, "LM129", STEP.format(first) + END.format(second)) == [REPLACED]


def test_that_of_training_is_found(tmp_path: Path) -> None:
    body = STEP.format('self.log("v", batch.mean(), on_step=False, on_epoch=True)') + END.format(
        SECOND
    )
    body = body.replace("on_validation", "on_train").replace("validation", "training")
    assert found(tmp_path, "LM129", body) == [
        REPLACED.replace("on_validation", "on_train").replace("validation", "training")
    ]


KEPT = {
    "other keys": (FIRST, SECOND.replace('"v"', '"w"')),
    "for the steps alone": (FIRST.replace("())", "(), on_step=True, on_epoch=False)"), SECOND),
    "under another name": (FIRST.replace("())", "(), on_step=True)"), SECOND),
    "in some batches": (f"if batch_idx:\n        {FIRST}", SECOND),
    "in some epochs": (FIRST, f"if self.rows:\n        {SECOND}"),
    "not for loggers": (FIRST.replace("())", "(), logger=False)"), SECOND),
    "of the step alone": (FIRST, "self.rows.clear()"),
    "a key that is not known": (FIRST, SECOND.replace('"v"', "self.key")),
}


@pytest.mark.parametrize("case", list(KEPT))
def test_numbers_that_stand_beside_each_other_are_quiet(case: str, tmp_path: Path) -> None:
    first, second = KEPT[case]
    assert found(tmp_path, "LM129", STEP.format(first) + END.format(second)) == []


def test_another_stage_is_quiet(tmp_path: Path) -> None:
    body = STEP.format(FIRST) + END.format(SECOND).replace("validation", "test")
    assert found(tmp_path, "LM129", body) == []


# The first of several loggers -------------------------------------------------------------------

CALL = "def on_validation_epoch_end(self):\n    self.logger.log_metrics({'v': 1.0})\n"
TWO = "\n\nt = pl.Trainer(logger=[CSVLogger('a'), TensorBoardLogger('b')])\n"


@pytest.mark.parametrize(
    "rest",
    [
        TWO,
        "\n\nloggers = [CSVLogger('a'), TensorBoardLogger('b')]\nt = pl.Trainer(logger=loggers)\n",
    ],
)
def test_a_call_of_the_first_logger_is_found(rest: str, tmp_path: Path) -> None:
    assert found(tmp_path, "LM610", CALL, rest) == [
        "self.logger.log_metrics() reaches the first of several loggers alone"
    ]


def test_a_call_of_the_trainer_is_found(tmp_path: Path) -> None:
    body = CALL.replace("self.logger.log_metrics", "self.trainer.logger.log_hyperparams")
    assert found(tmp_path, "LM610", body, TWO) == [
        "self.trainer.logger.log_hyperparams() reaches the first of several loggers alone"
    ]


OTHERS = {
    "one logger": (CALL, "\n\nt = pl.Trainer(logger=CSVLogger('a'))\n"),
    "one in a list": (CALL, "\n\nt = pl.Trainer(logger=[CSVLogger('a')])\n"),
    "the default": (CALL, "\n\nt = pl.Trainer()\n"),
    "no Trainer": (CALL, ""),
    "several in one of two": (CALL, TWO + "u = pl.Trainer(logger=CSVLogger('a'))\n"),
    "what is given": (CALL, "\n\ndef main(logger):\n    pl.Trainer(logger=logger)\n"),
    "a list that grows": (
        CALL,
        "\n\nloggers = []\nloggers.append(CSVLogger('a'))\npl.Trainer(logger=loggers)\n",
    ),
    "all of them": (
        "def on_fit_start(self):\n    for one in self.loggers:\n        one.log_metrics({})\n",
        TWO,
    ),
    "what only one has": (CALL.replace("log_metrics", "log_image"), TWO),
    "its writer": (CALL.replace("logger.log_metrics", "logger.experiment.add_scalars"), TWO),
    "one that is asked for": (
        "def on_fit_start(self):\n    if isinstance(self.logger, CSVLogger):\n"
        "        self.logger.log_metrics({})\n",
        TWO,
    ),
    "its own": (CALL + "\n@property\ndef logger(self):\n    return self.loggers[1]\n", TWO),
    "of another object": (CALL.replace("self.logger", "self.writer.logger"), TWO),
}


@pytest.mark.parametrize("case", list(OTHERS))
def test_what_reaches_the_loggers_that_are_meant_is_quiet(case: str, tmp_path: Path) -> None:
    body, rest = OTHERS[case]
    assert found(tmp_path, "LM610", body, rest) == []
