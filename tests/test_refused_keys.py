"""Keys that are no text, keys that Lightning forms itself, keys and steps of several loaders."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent, indent

import projects
import pytest

HEAD = """\
import lightning.pytorch as pl
from torch.utils.data import DataLoader


class Model(pl.LightningModule):
"""
ONE = "def val_dataloader(self):\n    return DataLoader(self.data)\n\n"
TWO = "def val_dataloader(self):\n    return [DataLoader(self.a), DataLoader(self.b)]\n\n"
TRAIN = "def training_step(self, batch, batch_idx):\n    return self.net(batch).mean()\n\n"


def found(tmp_path: Path, body: str, code: str, after: str = "") -> list[str]:
    text = HEAD + indent(dedent(body).strip("\n"), "    ") + "\n" + after
    projects.written(tmp_path, {"model.py": text})
    report = projects.check(tmp_path, code)
    assert not report.failures, report.failures
    return [d.message for d in report.diagnostics]


def step(body: str) -> str:
    return "def training_step(self, batch, batch_idx):\n" + indent(dedent(body), "    ")


NO_TEXT = {
    "self.log(1, loss)": "self.log is given the int 1 for a key: TypeError",
    "self.log(None, loss)": "self.log is given None for a key: TypeError",
    "self.log(b'loss', loss)": "self.log is given the bytes b'loss' for a key: TypeError",
    "self.log_dict({0: loss})": "self.log_dict is given the int 0 for a key: TypeError",
    "for i in range(3):\n    self.log(i, loss)": "self.log is given the int i for a key: TypeError",
    "for i, x in enumerate(batch):\n    self.log(i, x.mean())": "self.log is given the int i for",
    "self.log_dict({i: x for i, x in enumerate(batch)})": "self.log_dict is given the int i for",
}


@pytest.mark.parametrize("text", list(NO_TEXT))
def test_a_key_that_is_no_text_is_found(text: str, tmp_path: Path) -> None:
    (message,) = found(tmp_path, step(text), "LM611")
    assert message.startswith(NO_TEXT[text])


@pytest.mark.parametrize(
    "text",
    [
        "self.log('1', loss)",
        "self.log(f'{1}', loss)",
        "self.log(str(1), loss)",
        "self.log(self.key, loss)",
        "self.log(1, loss, add_dataloader_idx=False)",
        "self.log(1, loss, **self.options)",
        "for i in self.names:\n    self.log(i, loss)",
        "for i, name in enumerate(self.names):\n    self.log(name, loss)",
        "for i in range(3):\n    i = f'part{i}'\n    self.log(i, loss)",
        "for i in range(3):\n    self.log(self.names[i], loss)",
        "for i, (i, x) in enumerate(self.pairs):\n    self.log(i, x)",
        "self.log_dict({name: x for i, (name, x) in enumerate(self.pairs)})",
        "self.logger.log(1, loss)",
        "math.log(1, 2)",
        "self.logger.log_metrics({1: loss})",
    ],
)
def test_a_key_that_is_or_may_be_text_is_quiet(text: str, tmp_path: Path) -> None:
    assert found(tmp_path, step(text), "LM611") == []


def test_the_log_of_a_class_of_another_kind_is_quiet(tmp_path: Path) -> None:
    text = "class Plain:\n    def run(self):\n        self.log(1, 2)\n"
    assert found(tmp_path, "pass", "LM611", text) == []
    own = "def log(self, level, text):\n    pass\n\n" + step("self.log(1, 'text')")
    assert found(tmp_path, own, "LM611") == []


FORK = "self.log('loss', loss, on_step=True, on_epoch=True)\n"
FORKED = {
    FORK + "self.log('loss_epoch', loss)": (
        '"loss_epoch" is what Lightning calls the mean of the epoch of "loss" as well: '
        "one curve of both"
    ),
    "self.log('loss_epoch', other, on_step=False, on_epoch=True)\n" + FORK: (
        '"loss_epoch" is what Lightning calls the mean of the epoch of "loss" as well: '
        "the later call replaces the other"
    ),
    FORK + "self.log('loss_step', other)": (
        '"loss_step" is what Lightning calls the number of each step of "loss" as well: '
        "the later call replaces the other"
    ),
    "self.log('loss', loss, on_epoch=True)\nself.log('loss_step', loss, on_step=False, "
    "on_epoch=True)": '"loss_step" is what Lightning calls the number of each step of "loss"',
}


@pytest.mark.parametrize("text", list(FORKED))
def test_a_key_that_lightning_forms_itself_is_found(text: str, tmp_path: Path) -> None:
    (message,) = found(tmp_path, step(text), "LM612")
    assert message.startswith(FORKED[text])


@pytest.mark.parametrize(
    "text",
    [
        FORK,
        FORK + "self.log('loss_step', loss)",
        FORK + "self.log('loss_epoch', loss, on_step=False, on_epoch=True)",
        FORK + "self.log('other_epoch', loss)",
        FORK + "self.log('loss_epoch', loss, logger=False)",
        FORK + "if self.verbose:\n    self.log('loss_epoch', loss)",
        "self.log('loss', loss)\nself.log('loss_epoch', loss, on_step=False, on_epoch=True)",
        "self.log('loss', loss, on_step=False, on_epoch=True)\nself.log('loss_epoch', loss)",
        "self.log('loss', loss, on_step=self.a, on_epoch=True)\nself.log('loss_epoch', loss)",
    ],
)
def test_keys_that_do_not_meet_are_quiet(text: str, tmp_path: Path) -> None:
    assert found(tmp_path, step(text), "LM612") == []


def test_the_same_name_in_another_stage_is_quiet(tmp_path: Path) -> None:
    hook = "def validation_step(self, batch, batch_idx):\n"
    body = step(FORK) + hook + "    self.log('loss_epoch', batch.mean())\n"
    assert found(tmp_path, body, "LM612") == []


LOG = "def validation_step(self, batch, batch_idx, dataloader_idx=0):\n    "


def test_one_name_for_the_loaders_of_the_module_is_found(tmp_path: Path) -> None:
    body = TRAIN + TWO + LOG + "self.log('a', batch.mean(), add_dataloader_idx=False)"
    (message,) = found(tmp_path, body, "LM604")
    assert message == '"a" is one key for several dataloaders, with add_dataloader_idx=False'


@pytest.mark.parametrize(
    "body",
    [
        ONE + LOG + "self.log('a', batch.mean(), add_dataloader_idx=False)",
        TWO + LOG + "self.log('a', batch.mean())",
        TWO + LOG + "self.log(f'a{dataloader_idx}', batch.mean(), add_dataloader_idx=False)",
        TWO + LOG + "if dataloader_idx == 0:\n"
        "        self.log('a', batch.mean(), add_dataloader_idx=False)",
        LOG + "self.log('a', batch.mean(), add_dataloader_idx=False)",
    ],
)
def test_names_that_tell_the_loaders_apart_are_quiet(body: str, tmp_path: Path) -> None:
    assert found(tmp_path, TRAIN + body, "LM604") == []


TWICE = "self.log('a', batch.mean())\n{}self.log('a', {})"


def test_two_numbers_of_one_key_are_found(tmp_path: Path) -> None:
    (message,) = found(tmp_path, step(TWICE.format("", "self.net(batch).mean()")), "LM604")
    assert message == (
        '"a" is given two numbers in training_step, and the later one is logged: the other is of '
        "line 7"
    )
    both = LOG + TWICE.format("    ", "self.net(batch).mean()")
    assert "and their mean is logged" in found(tmp_path, TRAIN + both, "LM604")[0]


@pytest.mark.parametrize(
    "body",
    [
        TWICE.format("", "batch.mean()"),
        "for part in batch:\n    self.log('a', part.mean())",
        "self.log('a', batch.mean())\nif self.more:\n    self.log('a', self.net(batch).mean())",
        "if self.more:\n    self.log('a', batch.mean())\nelse:\n    self.log('a', batch.sum())",
        "self.log('a', batch.mean())\nself.log('b', batch.sum())",
        "self.log('a', batch.mean())\nself.log(self.key, batch.sum())",
        "self.log('a', batch.mean(), on_step=self.a)\nself.log('a', batch.sum(), on_step=self.a, "
        "on_epoch=self.b)",
        "self.log('a', self.metric)\nself.log('a', self.metric)",
    ],
)
def test_one_number_of_a_key_is_quiet(body: str, tmp_path: Path) -> None:
    assert found(tmp_path, step(body), "LM604") == []


WANTS = "def validation_step(self, batch, batch_idx, dataloader_idx):\n    pass\n"


def test_a_step_that_wants_an_index_for_one_loader_is_found_and_fixed(tmp_path: Path) -> None:
    (message,) = found(tmp_path, TRAIN + ONE + WANTS, "LM211")
    assert message == (
        "Model.validation_step requires `dataloader_idx`, which Lightning 2 passes only where "
        "there are several dataloaders: RuntimeError with one"
    )
    assert not projects.fix(tmp_path, "LM211").diagnostics
    assert "batch_idx, dataloader_idx=0):" in (tmp_path / "model.py").read_text()


@pytest.mark.parametrize(
    ("body", "after"),
    [
        (TWO + WANTS, ""),
        (WANTS, ""),
        (ONE + WANTS.replace("idx):", "idx=0):"), ""),
        ("def val_dataloader(self):\n    return self.loaders()\n\n" + WANTS, ""),
        (ONE + WANTS, "\n\npl.Trainer().fit(Model(), val_dataloaders=[1, 2])\n"),
        (ONE + WANTS, "\n\npl.Trainer().fit(Model(), datamodule=data)\n"),
        (ONE + WANTS, "\n\npl.Trainer().validate(Model(), loaders)\n"),
        (ONE + WANTS, "\n\nclass Data(pl.LightningDataModule):\n    pass\n"),
        (ONE + WANTS, "\n\nclass Sub(Model):\n    def val_dataloader(self):\n        return []\n"),
    ],
)
def test_a_step_that_may_have_several_loaders_is_quiet(
    body: str, after: str, tmp_path: Path
) -> None:
    assert found(tmp_path, TRAIN + body, "LM211", after) == []
