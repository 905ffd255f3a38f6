"""Checkpoints with objects among their hyperparameters: which calls read them, and which may."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from projects import check, written

from lintmetrics import runner
from lintmetrics.config import CommandLine, Configuration
from lintmetrics.sources import discover

MODEL = """\
import argparse
import lightning.pytorch as pl
from omegaconf import DictConfig


class Net(pl.LightningModule):
    def __init__(self, args, width=3):
        super().__init__()
        self.save_hyperparameters()

    def training_step(self, batch, batch_idx):
        return self.net(batch)
"""
TRAIN = """\
import argparse
import lightning.pytorch as pl
from model import Net


def main():
    parser = argparse.ArgumentParser()
    args = parser.parse_args()
    model = Net(args)
    trainer = pl.Trainer(max_epochs=3)
    trainer.fit(model, ckpt_path=None)
    trainer.test()
    trainer.test(ckpt_path="best")
    trainer.test(model)
    trainer.validate(model, ckpt_path="last")
"""
LOAD = "from model import Net\n\nnet = Net.load_from_checkpoint('a.ckpt')\n"


def _found(tmp_path: Path, *changes: tuple[str, str]) -> list[str]:
    texts = {"model.py": MODEL, "train.py": TRAIN, "load.py": LOAD}
    for name, text in texts.items():
        for old, new in changes:
            text = text.replace(old, new)
        texts[name] = text
    written(tmp_path, texts)
    report = check(tmp_path, "LM512")
    assert report.failures == []
    return [f"{d.path.rpartition('/')[2]}:{d.start.line} {d.message}" for d in report.diagnostics]


ALL = ["load.py:3", "train.py:12", "train.py:13", "train.py:15"]


def test_each_way_to_a_checkpoint_with_a_namespace_is_found(tmp_path: Path) -> None:
    found = _found(tmp_path)
    assert [one.split(" ")[0] for one in found] == ALL
    assert found[0] == (
        "load.py:3 load_from_checkpoint reads a checkpoint of Net in which `args` is a "
        "Namespace: UnpicklingError"
    )


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ((("self, args,", "self, args: argparse.Namespace,"), ("Net(args)", "Net(made())")), 1),
        ((("self, args,", "self, args: DictConfig,"), ("rameters()", "rameters(args)")), 2),
        ((("Net(args)", "Net(width=2, args=args)"),), 1),
        ((("Net(args)", "Net(argparse.Namespace(a=1))"),), 1),
        ((("rameters()", "rameters(logger=False)"),), 1),
        ((("rameters()", "rameters(ignore='width')"),), 1),
    ],
)
def test_what_shows_the_object(
    changes: tuple[tuple[str, str], ...], kind: int, tmp_path: Path
) -> None:
    found = _found(tmp_path, *changes)
    assert [one.split(" ")[0] for one in found] == ALL
    assert all(("Namespace" if kind == 1 else "DictConfig") in one for one in found)


@pytest.mark.parametrize(
    "changes",
    [
        (("rameters()", "rameters(args)"),),
        (("rameters()", "rameters('width')"),),
        (("rameters()", "rameters(ignore=['args'])"),),
        (("rameters()", "rameters(ignore=kept)"),),
        (("        self.save_hyperparameters()\n", "        self.args = args\n"),),
        (("self.save_hyper", "args = vars(args)\n        self.save_hyper"),),
        (("Net(args)", "Net(vars(args))"),),
        (("Net(args)", "Net(args.width)"),),
        (("Net(args)", "Net(**vars(args))"),),
        (("self, args,", "self, args: dict,"),),
        (("model = Net(args)", "model = Net(args)\n    other = Net({})"),),
        (("import argparse\n", "from torch.serialization import add_safe_globals\n"),),
        (("def training_step", "def on_save_checkpoint(self, checkpoint):\n"
          "        checkpoint.pop('hyper_parameters')\n\n    def training_step"),),
    ],
)  # fmt: skip
def test_what_is_kept_otherwise_is_no_finding(
    changes: tuple[tuple[str, str], ...], tmp_path: Path
) -> None:
    assert _found(tmp_path, *changes) == []


@pytest.mark.parametrize(
    ("changes", "left"),
    [
        ((("'a.ckpt'", "'a.ckpt', weights_only=False"),), ALL[1:]),
        ((("'a.ckpt'", "'a.ckpt', **given"),), ALL[1:]),
        ((("max_epochs=3", "enable_checkpointing=False"),), [ALL[0], *ALL[2:]]),
        ((("max_epochs=3", "**given"),), [ALL[0], *ALL[2:]]),
        ((('ckpt_path="last"', "ckpt_path=args.path"),), ALL[:3]),
        ((('ckpt_path="last"', 'ckpt_path="last", weights_only=False'),), ALL[:3]),
        ((("trainer.fit(model, ckpt_path=None)", "train(trainer, model)"),), [ALL[0], ALL[3]]),
        ((("Net.load_from", "Other.load_from"),), ALL[1:]),
    ],
)
def test_calls_that_read_no_such_checkpoint(
    changes: tuple[tuple[str, str], ...], left: list[str], tmp_path: Path
) -> None:
    assert [one.split(" ")[0] for one in _found(tmp_path, *changes)] == left


@pytest.mark.parametrize(("target", "count"), [("2.5", 0), ("2.6", 4)])
def test_older_releases_unpickle_whatever_there_is(target: str, count: int, tmp_path: Path) -> None:
    written(tmp_path, {"model.py": MODEL, "train.py": TRAIN, "load.py": LOAD})
    line = CommandLine(select=("LM512",), isolated=True, target=(f"lightning={target}",))
    settings_for = Configuration(line).settings_for
    files, _ = discover([os.fspath(tmp_path)], settings_for)
    assert len(runner.check(files, settings_for, 1).diagnostics) == count
