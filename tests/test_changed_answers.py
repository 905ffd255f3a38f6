"""What a Trainer or module answers otherwise since Lightning 2: found where the code goes by it."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent, indent

import projects
import pytest

_MODULE = """
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader


class Model(pl.LightningModule):
    def training_step(self, batch, batch_idx):
        return self(batch).sum()

"""


def _found(folder: Path, method: str, *, rest: str = "", name: str = "steps") -> list[str]:
    body = indent(dedent(method).strip("\n"), "        ")
    text = f"{_MODULE}    def {name}(self):\n{body}\n\n\n{dedent(rest)}"
    projects.written(folder, {"model.py": text})
    return [one.message for one in projects.check(folder, "LM511").diagnostics]


@pytest.mark.parametrize(
    "method",
    [
        "if self.trainer.max_steps:\n    return self.trainer.max_steps",
        "return 1 if self.trainer.max_steps is None else self.trainer.max_steps",
        "if self.trainer.max_steps is not None and self.ready:\n    return 2",
        "return self.trainer.max_steps or 1000",
        "if self.ready and self.trainer.max_steps:\n    return 2",
        "if not self.trainer.max_steps:\n    return 2",
    ],
)
def test_no_limit_is_a_number(method: str, tmp_path: Path) -> None:
    assert len(_found(tmp_path, method)) == 1


@pytest.mark.parametrize(
    "method",
    [
        "return self.trainer.max_steps",
        "if self.trainer.max_steps > 0:\n    return self.trainer.max_steps",
        "if self.trainer.max_steps and self.trainer.max_steps != -1:\n    return 2",
        "if self.trainer.max_steps is None or self.trainer.max_steps < 0:\n    return 2",
        "if self._trainer.max_steps is None or self.trainer.max_steps < 0:\n    return 2",
        "return self.given or self.trainer.max_steps",
        "if self.hparams.max_steps:\n    return 2",
        "if self.max_steps:\n    return 2",
        "if args.max_steps is None:\n    return 2",
        "if self.trainer.max_epochs:\n    return 2",
    ],
)
def test_what_reads_the_limit_rightly_or_another_is_quiet(method: str, tmp_path: Path) -> None:
    assert _found(tmp_path, method) == []


_DATA = """
class Data(pl.LightningDataModule):
    def _make(self, data):
        loader = DataLoader(data)
        return loader

    def train_dataloader(self):
        return self._make(self.train)

    def val_dataloader(self):
        {}
"""
_ONE = _DATA.format("return self._make(self.val)")
_FIT = "\n\npl.Trainer().fit(Model(), datamodule=Data())\n"


@pytest.mark.parametrize(
    "method",
    [
        "return len(self.trainer.val_dataloaders[0])",
        "return [len(one.dataset) for one in self.trainer.val_dataloaders]",
        "for one in self.trainer.val_dataloaders:\n    print(one)",
        "return len(self.trainer.val_dataloaders)",
        "for i, one in enumerate(self.trainer.val_dataloaders):\n    print(i, one)",
    ],
)
def test_one_loader_is_no_list(method: str, tmp_path: Path) -> None:
    assert len(_found(tmp_path, method, rest=_ONE + _FIT)) == 1


@pytest.mark.parametrize(
    "rest",
    [
        _DATA.format("return [self._make(self.val)]"),
        _DATA.format("return self.loaders"),
        _DATA.format("return [self._make(one) for one in self.val]"),
        _ONE + "\n\npl.Trainer().fit(Model(), DataLoader(a), [DataLoader(b)])\n",
        _ONE + "\n\npl.Trainer().fit(Model(), DataLoader(a), given)\n",
        _ONE + "\n\ndata.val_dataloader = more\n",
        "",
    ],
)
def test_where_it_may_be_a_list_all_is_quiet(rest: str, tmp_path: Path) -> None:
    assert _found(tmp_path, "return len(self.trainer.val_dataloaders[0])", rest=rest) == []


def test_the_loader_itself_and_the_counts_beside_it_are_right(tmp_path: Path) -> None:
    method = """
    a = len(self.trainer.val_dataloaders.dataset)
    b = self.trainer.num_val_batches[0]
    loaders = self.trainer.val_dataloaders
    if isinstance(loaders, list):
        loaders = loaders[0]
    return a, b, loaders, self.val_dataloaders[0]
    """
    assert _found(tmp_path, method, rest=_ONE + _FIT) == []


_USES = "return len(self.train_dataloader())"


def test_a_module_has_no_loaders_of_others(tmp_path: Path) -> None:
    assert _found(tmp_path, _USES, rest=_ONE + _FIT) == [
        "self.train_dataloader() raises: the module has none of its own, and is given none"
    ]


@pytest.mark.parametrize(
    "rest",
    [
        # Others make objects of it, and may well give them loaders.
        _ONE,
        "class Mine(Model):\n    def train_dataloader(self):\n        return 1\n\n\nMine()\n",
        "model = Model()\nmodel.train_dataloader = lambda: 1\n",
        "class Mine(Model, Unknown):\n    pass\n\n\nMine()\n",
    ],
)
def test_where_the_loaders_may_be_there_all_is_quiet(rest: str, tmp_path: Path) -> None:
    assert _found(tmp_path, _USES, rest="from elsewhere import Unknown\n\n\n" + rest) == []


def test_a_loader_of_its_own_is_right(tmp_path: Path) -> None:
    assert _found(tmp_path, "return 1", name="train_dataloader", rest=_FIT) == []
    text = f"{_MODULE}    def steps(self):\n        {_USES}\n\n"
    text += "    def train_dataloader(self):\n        return 1\n\n\nModel()\n"
    projects.written(tmp_path, {"model.py": text})
    assert not projects.check(tmp_path, "LM511").diagnostics
