"""Arguments by position that were written for another parameter, and old members of members."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import projects
import pytest

HEAD = """\
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import (
    CometLogger, CSVLogger, MLFlowLogger, TensorBoardLogger, WandbLogger
)


class M(pl.LightningModule):
    def validation_step(self, batch, batch_idx):
        self.log("val_loss", batch.mean())


"""


def found(tmp_path: Path, text: str, code: str = "LM507") -> list[str]:
    projects.written(tmp_path, {"main.py": HEAD + dedent(text).strip("\n") + "\n"})
    report = projects.check(tmp_path, code)
    assert not report.failures, report.failures
    return [f"{d.consequence.value}: {d.message}" for d in report.diagnostics]


FOUND = {
    'ModelCheckpoint("best", "val_loss")': "ignored: ModelCheckpoint: the second argument is fil",
    'pl.callbacks.ModelCheckpoint(None, "val_loss", save_top_k=3)': "ignored: ModelCheckpoint: the",
    'WandbLogger("a", "b", False)': "ignored: WandbLogger: the third argument is version since 1.8",
    'MLFlowLogger("a", "file:./runs")': "ignored: MLFlowLogger: the second argument is run_name",
    'MLFlowLogger("a", "http://host:5000")': "ignored: MLFlowLogger: the second argument is run_na",
    'MLFlowLogger("a", "b", None, {}, "d", "v_")': "ignored: MLFlowLogger: the sixth argument is",
    'CometLogger("key")': "crash: CometLogger: it takes arguments by name alone since 2.5.1",
    'pl.Trainer(TensorBoardLogger("a"))': "crash: Trainer: it takes arguments by name alone sin",
}


@pytest.mark.parametrize("text", list(FOUND))
def test_a_value_that_only_fits_the_old_parameter_is_found(text: str, tmp_path: Path) -> None:
    (message,) = found(tmp_path, text)
    assert message.startswith(FOUND[text])


@pytest.mark.parametrize(
    "text",
    [
        'ModelCheckpoint("best")',
        'ModelCheckpoint("best", "{epoch}-{val_loss:.2f}")',
        'ModelCheckpoint("best", "model")',
        'ModelCheckpoint("best", "val_loss", "val_loss")',
        'ModelCheckpoint("best", "val_loss", monitor="val_loss")',
        'ModelCheckpoint("best", filename="val_loss")',
        'ModelCheckpoint("best", name)',
        "ModelCheckpoint(*given)",
        'ModelCheckpoint("best", "val_loss", **given)',
        'WandbLogger("a", "b", "v1")',
        'WandbLogger("a", "b", offline=True)',
        'WandbLogger("a", "b", version)',
        'MLFlowLogger("a", "run 1")',
        'MLFlowLogger("a", tracking_uri="file:./runs")',
        'MLFlowLogger("a", "b", "file:./runs", {}, "d", "all")',
        'MLFlowLogger("a", "b", "file:./runs", {}, "d", True)',
        'CometLogger(api_key="key")',
        "pl.Trainer()",
        'pl.Trainer("gpu")',
        "pl.Trainer(arguments)",
        'pl.Trainer(logger=CSVLogger("a"))',
        'import mine\n\nmine.Trainer(CSVLogger("a"))',
        'import mine\n\nmine.ModelCheckpoint("best", "val_loss")',
    ],
)
def test_what_may_be_meant_for_today_is_quiet(text: str, tmp_path: Path) -> None:
    assert found(tmp_path, text) == []


# What Lightning's loader no longer wraps --------------------------------------------------------

READS = """
    class C(pl.Callback):
        def on_fit_start(self, trainer, pl_module):
            print(trainer.train_dataloader.loaders.dataset)
"""


def test_the_loaders_of_the_train_loader_are_the_loader(tmp_path: Path) -> None:
    assert found(tmp_path, READS, "LM503") == [
        "crash: Trainer.train_dataloader.loaders is gone since Lightning 2.0: AttributeError"
    ]
    projects.fix(tmp_path, "LM503")
    written = (tmp_path / "main.py").read_text(encoding="utf-8")
    assert "print(trainer.train_dataloader.dataset)" in written


@pytest.mark.parametrize(
    "text",
    [
        READS.replace("train_dataloader.loaders", "loaders"),
        READS.replace("trainer.train", "self.train"),
        READS
        + "\n\n    class L:\n        def __init__(self, a):\n            self.loaders = [a]\n\n"
        "        def __iter__(self):\n            return iter(self.loaders)\n",
        READS + "\n\n    class L(torch.utils.data.DataLoader):\n        loaders = ()\n",
        READS + "\n\n    made = object()\n    made.loaders = ()\n",
        READS.replace(
            "            print(",
            "            if hasattr(trainer.train_dataloader, 'loaders'):\n                print(",
        ),
    ],
)
def test_other_loaders_are_quiet(text: str, tmp_path: Path) -> None:
    assert found(tmp_path, text, "LM503") == []


def test_loaders_of_what_is_no_loader_say_nothing(tmp_path: Path) -> None:
    made = "\n\n    class L:\n        def __init__(self, a):\n            self.loaders = {1: a}\n"
    text = READS + made
    assert len(found(tmp_path, text, "LM503")) == 1


def test_an_offline_logger_of_comet_is_told(tmp_path: Path) -> None:
    text = """
        a = CometLogger(offline=True)
        b = CometLogger(offline=False)
        c = CometLogger(online=False)
    """
    assert found(tmp_path, text, "LM501") == ["ignored: CometLogger(offline=...) is swallowed"] * 2
    projects.fix(tmp_path, "LM501")
    written = (tmp_path / "main.py").read_text(encoding="utf-8")
    assert "b = CometLogger()\n" in written
    assert "a = CometLogger(offline=True)\n" in written
