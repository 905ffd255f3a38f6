"""Several optimizers are found where Lightning is surely left to run them."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent, indent

import projects
import pytest

HEAD = """\
import lightning.pytorch as pl
import torch
from torch.optim import SGD, Adam
from torch.optim.lr_scheduler import StepLR


class M(pl.LightningModule):
    def training_step(self, batch, batch_idx):
        return self.net(batch).mean()

    def configure_optimizers(self):
"""


def found(tmp_path: Path, text: str, **files: str) -> list[str]:
    projects.written(tmp_path, {"model.py": text, **{f"{k}.py": v for k, v in files.items()}})
    report = projects.check(tmp_path, "LM215")
    assert not report.failures, report.failures
    return [d.message for d in report.diagnostics]


def module(body: str) -> str:
    return HEAD + indent(dedent(body).strip("\n"), "        ") + "\n"


MADE = "a = Adam(self.a.parameters())\nb = torch.optim.SGD(self.b.parameters(), 0.1)\n"
SEVERAL = {
    "a list": "return [Adam(self.a.parameters()), SGD(self.b.parameters(), 0.1)]",
    "a tuple": MADE + "return a, b",
    "with no schedulers": MADE + "return [a, b], []",
    "with schedulers": MADE + "return [a, b], [StepLR(a, 1), StepLR(b, 1)]",
    "of any make": "return [self.made(1), self.made(2)], []",
    "by their names": "opt_g, opt_d = self.made()\nreturn opt_g, opt_d",
    "dicts": MADE + "return {'optimizer': a}, {'optimizer': b}",
    "lists by name": MADE + "optimizers = [a, b]\nreturn optimizers, []",
    "both answers": MADE + "if self.short:\n    return [a, b], []\nreturn a, b",
}


@pytest.mark.parametrize("case", list(SEVERAL))
def test_several_optimizers_are_found(case: str, tmp_path: Path) -> None:
    (message,) = found(tmp_path, module(SEVERAL[case]))
    assert message == "M gives Lightning several optimizers to run: RuntimeError"


ONE = {
    "one": "return Adam(self.a.parameters())",
    "one in a list": "return [Adam(self.a.parameters())]",
    "one with its scheduler": MADE + "return [a], [StepLR(a, 1)]",
    "one with two schedulers": MADE + "return [a], [StepLR(a, 1), StepLR(a, 2)]",
    "one, and none": "opt = Adam(self.a.parameters())\nreturn [opt], []",
    "one beside its scheduler": MADE + "sched = StepLR(a, 1)\nreturn a, sched",
    "one in a dict": MADE + "return {'optimizer': a, 'lr_scheduler': StepLR(a, 1)}",
    "one or two": MADE + "if self.short:\n    return a\nreturn [a, b]",
    "a list that is filled": MADE + "optimizers = []\noptimizers.append(a)\nreturn optimizers",
    "a list that shrinks": MADE + "optimizers = [a, b]\noptimizers.pop()\nreturn optimizers, []",
    "as many as there are": "return [Adam(p) for p in self.parts]",
    "unpacked": "return [*self.made()], []",
    "what somebody else makes": "return self.made()",
    "names that say nothing": "x, y = self.made()\nreturn x, y",
    "the learning rate": "optimizer, lr_scheduler = self.made()\nreturn optimizer, lr_scheduler",
    "none": "return None",
    "nothing": "pass",
}


@pytest.mark.parametrize("case", list(ONE))
def test_one_optimizer_is_quiet(case: str, tmp_path: Path) -> None:
    assert found(tmp_path, module(ONE[case])) == []


TWO = module(SEVERAL["with no schedulers"])
BY_HAND = {
    "in the constructor": "    def __init__(self):\n        self.automatic_optimization = False\n",
    "in the class": "    automatic_optimization = False\n",
    "as a property": "    @property\n    def automatic_optimization(self):\n        return False\n",
}


@pytest.mark.parametrize("case", list(BY_HAND))
def test_optimizers_that_the_module_steps_are_quiet(case: str, tmp_path: Path) -> None:
    assert found(tmp_path, TWO + "\n" + BY_HAND[case]) == []
    below = f"{TWO}\n\nclass N(M):\n{BY_HAND[case]}"
    assert found(tmp_path, below) == []
    above = f"class Base(pl.LightningModule):\n{BY_HAND[case]}\n\nclass M("
    text = TWO.replace("class M(", above).replace("class M(pl.LightningModule)", "class M(Base)")
    assert found(tmp_path, text) == []


def test_a_module_that_is_told_from_outside_is_quiet(tmp_path: Path) -> None:
    told = "from model import M\n\nmodel = M()\nmodel.automatic_optimization = False\n"
    assert found(tmp_path, TWO, train=told) == []


def test_a_module_that_never_trains_is_quiet(tmp_path: Path) -> None:
    assert found(tmp_path, TWO.replace("training_step", "predict_step")) == []


def test_a_step_that_asks_for_the_optimizer_has_its_own_finding(tmp_path: Path) -> None:
    assert found(tmp_path, TWO.replace("batch_idx)", "batch_idx, optimizer_idx)")) == []


def test_a_base_that_is_not_here_may_step_them(tmp_path: Path) -> None:
    text = TWO.replace("class M(pl.LightningModule)", "class M(Gan, pl.LightningModule)")
    assert found(tmp_path, "from gans import Gan\n" + text) == []


def test_what_is_no_module_is_quiet(tmp_path: Path) -> None:
    assert found(tmp_path, TWO.replace("pl.LightningModule", "torch.nn.Module")) == []
