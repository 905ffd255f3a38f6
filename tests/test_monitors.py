"""Watched keys are held against all that a project logs; what is not known keeps them quiet."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent, indent

import projects
import pytest

from lintmetrics.codemod import Relation
from lintmetrics.diagnostics import Diagnostic
from lintmetrics.model.metric_direction import better

HEAD = """\
import torch
import pytorch_lightning as pl
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint
from torch.optim.lr_scheduler import ReduceLROnPlateau


class M(pl.LightningModule):
"""
MODEL = """
def training_step(self, batch, batch_idx):
    loss = self.net(batch).mean()
    self.log("train_loss", loss)
    return loss

def validation_step(self, batch, batch_idx):
    loss = self.net(batch).mean()
    self.log("val_loss", loss)
"""


def found(
    tmp_path: Path, body: str, script: str, code: str, extra: dict[str, str] | None = None
) -> list[Diagnostic]:
    projects.written(tmp_path, extra or {})
    text = HEAD + indent(dedent(body).strip("\n"), "    ") + "\n"
    (tmp_path / "model.py").write_text(text, encoding="utf-8")
    run = HEAD.split("\n\n\n")[0] + "\n" + dedent(script)
    (tmp_path / "run.py").write_text(run, encoding="utf-8")
    report = projects.check(tmp_path, code)
    assert not report.failures, report.failures
    return report.diagnostics


def test_an_epoch_value_that_is_not_logged_is_not_the_last_batch(tmp_path: Path) -> None:
    script = 'EarlyStopping(monitor="train_loss_epoch")'
    (diagnostic,) = found(tmp_path, MODEL, script, "LM401")
    assert diagnostic.fix is None
    assert "on_epoch=True" in diagnostic.help


@pytest.mark.parametrize("ending", ["epoch", "step"])
def test_an_ending_of_one_level_is_found_and_taken_away(ending: str, tmp_path: Path) -> None:
    script = f"EarlyStopping(monitor='val_loss_{ending}')"
    (diagnostic,) = found(tmp_path, MODEL, script, "LM401")
    assert diagnostic.fix is not None
    assert diagnostic.fix.relation is Relation.ASSUMES
    projects.fix(tmp_path, "LM401")
    assert "EarlyStopping(monitor='val_loss')" in (tmp_path / "run.py").read_text(encoding="utf-8")


UNKNOWN = {
    "early stopping": 'EarlyStopping(monitor="val/loss")',
    "by position": 'EarlyStopping("valid_loss")',
    "checkpoint": 'ModelCheckpoint(monitor="val_losses", mode="min")',
    "a local": 'def main():\n    key = "val-loss"\n    return EarlyStopping(monitor=key)',
    "a constant": 'KEY = "vall_loss"\nstop = EarlyStopping(monitor=KEY)',
}


@pytest.mark.parametrize("script", UNKNOWN.values(), ids=UNKNOWN)
def test_a_key_that_nobody_logs_is_found(script: str, tmp_path: Path) -> None:
    (diagnostic,) = found(tmp_path, MODEL, script, "LM401")
    assert '"val_loss"' in diagnostic.help
    assert diagnostic.path.endswith("run.py")


RETURNED = """
def validation_step(self, batch, batch_idx):
    loss = F.mse_loss(self.net(batch[0]), batch[1])
    return {"val_loss": loss}
"""


@pytest.mark.parametrize(
    "body",
    [
        RETURNED,
        RETURNED.replace('return {"val_loss": loss}', 'out = {"val_loss": loss}\n    return out'),
        RETURNED + '\ndef on_train_epoch_end(self):\n    self.log("lr", 0.1)',
    ],
)
def test_a_key_that_a_step_only_returns_is_found(body: str, tmp_path: Path) -> None:
    (diagnostic,) = found(tmp_path, body, 'EarlyStopping(monitor="val_loss")', "LM401")
    assert "which validation_step returns and nothing logs" in diagnostic.message
    assert 'self.log("val_loss", ...)' in diagnostic.help


@pytest.mark.parametrize(
    "more",
    [
        '\ndef on_validation_epoch_end(self):\n    self.log("val_loss", self.mean.compute())',
        "\ndef on_validation_epoch_end(self):\n    self.log_dict(self.numbers())",
        '\ndef on_validation_epoch_end(self):\n    self.log(f"val_{self.kind}", 1.0)',
        '\ndef late(self):\n    return self.outputs["val_loss"]',
        '\ndef helper(self):\n    return {"val_loss": 1.0}',
        '\ndef on_validation_epoch_end(self):\n    self.put("val_loss", 1.0)\n    "val_loss"',
    ],
)
def test_a_key_that_a_step_returns_and_something_else_knows_is_quiet(
    more: str, tmp_path: Path
) -> None:
    assert found(tmp_path, RETURNED + more, 'EarlyStopping(monitor="val_loss")', "LM401") == []


def test_a_scheduler_that_watches_what_nobody_logs_is_found(tmp_path: Path) -> None:
    body = (
        MODEL
        + """
def configure_optimizers(self):
    optimizer = torch.optim.Adam(self.parameters())
    scheduler = ReduceLROnPlateau(optimizer)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "monitor": "val-loss"}}
"""
    )
    (diagnostic,) = found(tmp_path, body, "", "LM401")
    assert "ReduceLROnPlateau" in diagnostic.message


KNOWN = {
    "as logged": (MODEL, 'EarlyStopping(monitor="val_loss")', None),
    "of both levels": (
        MODEL.replace('"val_loss", loss)', '"val_loss", loss, on_step=True)'),
        'EarlyStopping(monitor="val_loss_epoch")',
        None,
    ),
    "levels that are not known": (
        MODEL.replace('"val_loss", loss)', '"val_loss", loss, on_step=self.often)'),
        'EarlyStopping(monitor="val_loss_epoch")',
        None,
    ),
    "an ending that something may log": (
        MODEL + '\ndef on_train_epoch_end(self):\n    self.log(f"val_{self.name()}", 1.0)',
        'EarlyStopping(monitor="val_loss_epoch")',
        None,
    ),
    "of a dataloader": (MODEL, 'EarlyStopping(monitor="val_loss/dataloader_idx_1")', None),
    "what Lightning gives": (MODEL, 'ModelCheckpoint(monitor="step")', None),
    "not written down": (MODEL, "EarlyStopping(monitor=cfg.monitor)", None),
    "put together": (MODEL, 'EarlyStopping(monitor=f"{cfg.stage}/loss")', None),
    "nothing like it": (MODEL, 'EarlyStopping(monitor="reward")', None),
    "an f-string may be it": (
        MODEL + '\ndef on_train_epoch_end(self):\n    self.log(f"val/{self.name()}", 1.0)',
        'EarlyStopping(monitor="val/loss")',
        None,
    ),
    "any key at all": (
        MODEL + "\ndef on_train_epoch_end(self):\n    self.log_dict(self.numbers())",
        'EarlyStopping(monitor="val/loss")',
        None,
    ),
    "a name that is not known": (
        MODEL + "\ndef on_train_epoch_end(self):\n    self.log(self.key, 1.0)",
        'EarlyStopping(monitor="val/loss")',
        None,
    ),
    "logged by a callback": (
        MODEL,
        'EarlyStopping(monitor="val/loss")',
        {
            "other.py": """
            class Other:
                def on_validation_end(self, trainer, pl_module):
                    pl_module.log("val/loss", 1.0)
            """
        },
    ),
    "logged by what is no Lightning here": (
        MODEL,
        'EarlyStopping(monitor="val/loss")',
        {"other.py": "def finish(model, key, value):\n    model.log(key, value)\n"},
    ),
    "written somewhere": (
        MODEL,
        'EarlyStopping(monitor="val/loss")',
        {"other.py": 'KEYS = ["val/loss"]\n'},
    ),
    "no model here": ("x = 1", 'EarlyStopping(monitor="val/loss")', None),
    "another library": (MODEL, 'def EarlyStopping(monitor): ...\nEarlyStopping("val/loss")', None),
}


@pytest.mark.parametrize(("body", "script", "extra"), KNOWN.values(), ids=KNOWN)
def test_what_may_be_logged_is_quiet(
    body: str, script: str, extra: dict[str, str] | None, tmp_path: Path
) -> None:
    assert [d.message for d in found(tmp_path, body, script, "LM401", extra)] == []


WRONG = {
    "the default": 'ModelCheckpoint(monitor="val_acc")',
    "early stopping": 'EarlyStopping("val/f1", patience=3)',
    "said": 'ModelCheckpoint(monitor="valid_auroc", mode="min", save_top_k=2)',
    "a loss": 'EarlyStopping(monitor="val_loss", mode="max")',
}


@pytest.mark.parametrize("script", WRONG.values(), ids=WRONG)
def test_a_mode_that_takes_the_worst_is_found(script: str, tmp_path: Path) -> None:
    assert [d.code for d in found(tmp_path, MODEL, script, "LM402")] == ["LM402"]
    report = projects.fix(tmp_path, "LM402")
    assert report.diagnostics == []
    text = (tmp_path / "run.py").read_text(encoding="utf-8")
    assert ('mode="max"' in text) == ("loss" not in script)


RIGHT = {
    "a loss": 'ModelCheckpoint(monitor="val_loss")',
    "said": 'ModelCheckpoint(monitor="val_acc", mode="max")',
    "an open name": 'ModelCheckpoint(monitor="val_score")',
    "both": 'ModelCheckpoint(monitor="val_dice_loss")',
    "turned around": 'ModelCheckpoint(monitor="neg_acc")',
    "all are kept": 'ModelCheckpoint(monitor="val_acc", save_top_k=-1)',
    "none is watched": "ModelCheckpoint()",
    "told elsewhere": 'ModelCheckpoint(monitor="val_acc", mode=cfg.mode)',
    "told by a dict": 'ModelCheckpoint(monitor="val_acc", **cfg)',
    "another library": 'import mine\nmine.ModelCheckpoint(monitor="val_acc")',
}


@pytest.mark.parametrize("script", RIGHT.values(), ids=RIGHT)
def test_a_mode_that_fits_or_is_open_is_quiet(script: str, tmp_path: Path) -> None:
    assert [d.message for d in found(tmp_path, MODEL, script, "LM402")] == []


def test_a_plateau_in_a_dict_has_a_mode(tmp_path: Path) -> None:
    body = (
        MODEL
        + """
def configure_optimizers(self):
    optimizer = torch.optim.Adam(self.parameters())
    scheduler = ReduceLROnPlateau(optimizer, factor=0.5)
    return {"optimizer": optimizer, "lr_scheduler": scheduler, "monitor": "val_acc"}
"""
    )
    assert [d.code for d in found(tmp_path, body, "", "LM402")] == ["LM402"]
    projects.fix(tmp_path, "LM402")
    text = (tmp_path / "model.py").read_text(encoding="utf-8")
    assert 'ReduceLROnPlateau(optimizer, factor=0.5, mode="max")' in text


@pytest.mark.parametrize(
    ("key", "wanted"),
    [
        ("val_acc", "max"),
        ("valAccuracy", "max"),
        ("val/F1Score", "max"),
        ("test-mIoU", "max"),
        ("val_map", "max"),
        ("val_loss", "min"),
        ("rmse", "min"),
        ("val_wer", "min"),
        ("score", ""),
        ("acc_loss", ""),
        ("accumulated", ""),
        ("elbo", ""),
        ("", ""),
    ],
)
def test_words_tell_the_direction(key: str, wanted: str) -> None:
    assert better(key) == wanted


LAST = {
    "the default": MODEL,
    "said": MODEL.replace('"train_loss", loss)', '"train_loss", loss, on_epoch=False)'),
    "a dict": MODEL.replace('"train_loss", loss)', '"x", loss)').replace(
        "    return loss", '    self.log_dict({"train_loss": loss})\n    return loss'
    ),
}


@pytest.mark.parametrize("body", LAST.values(), ids=LAST)
def test_a_watched_last_batch_is_found(body: str, tmp_path: Path) -> None:
    script = 'EarlyStopping(monitor="train_loss")'
    assert [d.code for d in found(tmp_path, body, script, "LM403")] == ["LM403"]


EPOCH = {
    "an epoch value": (
        MODEL.replace('"train_loss", loss)', '"train_loss", loss, on_epoch=True)'),
        'EarlyStopping(monitor="train_loss")',
    ),
    "levels unknown": (
        MODEL.replace('"train_loss", loss)', '"train_loss", loss, on_epoch=self.often)'),
        'EarlyStopping(monitor="train_loss")',
    ),
    "validation": (MODEL, 'EarlyStopping(monitor="val_loss")'),
    "steps trigger": (MODEL, 'ModelCheckpoint(monitor="train_loss", every_n_train_steps=50)'),
    "logged for the epoch as well": (
        MODEL + '\ndef on_train_epoch_end(self):\n    self.log("train_loss", 1.0)',
        'EarlyStopping(monitor="train_loss")',
    ),
    "a counter": (
        MODEL.replace('"train_loss"', '"global_step"'),
        'ModelCheckpoint(monitor="global_step", mode="max")',
    ),
    "a running value": (
        MODEL.replace('"train_loss", loss)', '"train_loss", self.average)'),
        'EarlyStopping(monitor="train_loss")',
    ),
    "not seen": (MODEL.replace('"train_loss"', "self.key"), 'EarlyStopping(monitor="train_loss")'),
}


@pytest.mark.parametrize(("body", "script"), EPOCH.values(), ids=EPOCH)
def test_a_number_of_the_epoch_is_quiet(body: str, script: str, tmp_path: Path) -> None:
    assert [d.message for d in found(tmp_path, body, script, "LM403")] == []


NAMES = [
    ('ModelCheckpoint(filename="{epoch}-{val_los:.2f}")', ["val_los"]),
    (
        'ModelCheckpoint(filename="{val_losses}-{train_los}", dirpath="a")',
        ["val_losses", "train_los"],
    ),
    ('NAME = "{step}-{val_los}"\ncheckpoint = ModelCheckpoint(filename=NAME)', ["val_los"]),
    ('ModelCheckpoint(filename="{epoch}-{step}-{val_loss:.2f}-{v_num}")', []),
    ('ModelCheckpoint(filename="{train_loss_step:.2f}-{train_loss_epoch}")', []),
    ('ModelCheckpoint(filename="best")', []),
    ('ModelCheckpoint(filename=f"{3}-{M.__name__}")', []),
    ('ModelCheckpoint(filename="{dice:.2f}")', []),
    ('KEY = "val_los"\nModelCheckpoint(filename="{val_los}")', []),
]


@pytest.mark.parametrize(("script", "keys"), NAMES)
def test_a_number_in_a_file_name_is_one_that_is_logged(
    tmp_path: Path, script: str, keys: list[str]
) -> None:
    here = found(tmp_path, MODEL, script, "LM404")
    assert sorted(d.message.split('"')[1] for d in here) == sorted(keys)
    assert all("always 0" in d.message and "nearest key" in d.help for d in here)


def test_a_number_in_a_file_name_may_be_logged_under_a_key_that_is_not_known(
    tmp_path: Path,
) -> None:
    body = MODEL + "    self.log(self.key, loss)\n"
    script = 'ModelCheckpoint(filename="{val_los:.2f}")'
    assert found(tmp_path, body, script, "LM404") == []


LOADERS = """
def val_dataloader(self):
    return [self.first, self.second]

def validation_step(self, batch, batch_idx, dataloader_idx=0):
    self.log("val_loss", self.net(batch).mean(){more})
"""
STEPS = """
def validation_step(self, batch, batch_idx):
    self.log("val_loss", self.net(batch).mean(), on_step=True, on_epoch={epoch})
"""
AT_THE_END = """
def on_train_epoch_end(self):
    self.log("val_loss", 1.0)
"""
UNSEEN = [
    (STEPS.format(epoch=False), "val_loss", "for loggers alone"),
    (STEPS.format(epoch=True), "val_loss_step", "which only loggers are given"),
    (LOADERS.format(more=""), "val_loss", "for each dataloader under a key of its own"),
]
SEEN = [
    (STEPS.format(epoch=True), "val_loss"),
    (STEPS.format(epoch=True), "val_loss_epoch"),
    (STEPS.format(epoch="self.every"), "val_loss"),
    (STEPS.format(epoch=False) + "    self.log(self.key, 1.0)\n", "val_loss"),
    (STEPS.format(epoch=False).replace("validation", "training"), "val_loss"),
    (STEPS.format(epoch=False) + AT_THE_END, "val_loss"),
    (LOADERS.format(more=""), "val_loss/dataloader_idx_1"),
    (LOADERS.format(more=", add_dataloader_idx=False"), "val_loss"),
    (LOADERS.format(more="").replace(", self.second", ""), "val_loss"),
    (LOADERS.format(more="").replace("[self.first, self.second]", "self.loaders"), "val_loss"),
    (LOADERS.format(more="").replace("_step", "_epoch_end"), "val_loss"),
]


@pytest.mark.parametrize(("body", "key", "why"), UNSEEN)
def test_a_key_that_only_loggers_are_given_is_not_there_to_watch(
    tmp_path: Path, body: str, key: str, why: str
) -> None:
    script = f'EarlyStopping(monitor="{key}")'
    (diagnostic,) = found(tmp_path, body, script, "LM401")
    assert why in diagnostic.message
    assert (diagnostic.fix is not None) == key.endswith("_step")


@pytest.mark.parametrize(("body", "key"), SEEN)
def test_a_key_that_callbacks_are_given_is_there_to_watch(
    tmp_path: Path, body: str, key: str
) -> None:
    assert found(tmp_path, body, f'EarlyStopping(monitor="{key}")', "LM401") == []
