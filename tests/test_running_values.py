"""Running values that are logged as objects at steps are found."""

from __future__ import annotations

from pathlib import Path
from textwrap import indent

import projects
import pytest

HEAD = """\
import torch.nn.functional as F
import lightning.pytorch as pl
from torchmetrics import MeanMetric, RunningMean
from torchmetrics.wrappers import Running


class M(pl.LightningModule):
    def __init__(self, net):
        super().__init__()
        self.net = net
        self.run = {}

"""
STEP = """\
def training_step(self, batch, batch_idx):
    x, y = batch
    loss = F.mse_loss(self.net(x), y)
    self.run(loss)
    self.log("k", self.run)
    return loss
"""


def found(tmp_path: Path, body: str, made: str = "RunningMean(window=9)") -> list[str]:
    text = HEAD.format(made) + indent(body, "    ")
    (tmp_path / "model.py").write_text(text, encoding="utf-8")
    return projects.codes(projects.check(tmp_path, "LM120"))


@pytest.mark.parametrize("made", ["RunningMean(window=9)", "Running(MeanMetric(), window=9)"])
def test_a_running_value_that_is_not_shown_is_found(made: str, tmp_path: Path) -> None:
    assert found(tmp_path, STEP, made) == ["LM120"]
    (fixed,) = projects.fix(tmp_path, "LM120").fixed
    text = (tmp_path / "model.py").read_text(encoding="utf-8")
    assert 'self.log("k", self.run.compute())' in text
    assert fixed.message == '"k" logs nothing: only self.run.compute() has the running value'
    assert fixed.fix is not None
    assert "best" not in fixed.fix.message


BOTH = STEP.replace("self.run)", "self.run, on_epoch=True)")
BY_STAGE = STEP.replace("training_step(self, batch, batch_idx)", "step(self, batch)") + (
    "def training_step(self, batch, batch_idx):\n    return self.step(batch)\n\n"
    "def validation_step(self, batch, batch_idx):\n    self.step(batch)\n"
)


@pytest.mark.parametrize(
    ("body", "what"),
    [(BOTH, "no value at each step"), (BY_STAGE, "nothing")],
    ids=["both", "by stage"],
)
def test_the_number_of_the_epoch_is_right_and_stays(body: str, what: str, tmp_path: Path) -> None:
    # The mean of the running values of all steps is another number.
    assert found(tmp_path, body) == ["LM120"]
    (left,) = projects.fix(tmp_path, "LM120").diagnostics
    assert left.message.startswith(f'"k" logs {what}: ')
    assert "a key of its own" in left.blocked


QUIET = {
    "computed": STEP.replace("self.run)", "self.run.compute())"),
    "for the epoch": STEP.replace("self.run)", "self.run, on_step=False, on_epoch=True)"),
    "updated only": STEP.replace("self.run(loss)", "self.run.update(loss)"),
}


@pytest.mark.parametrize("body", QUIET.values(), ids=QUIET)
def test_what_is_shown_as_it_is_stays(body: str, tmp_path: Path) -> None:
    assert found(tmp_path, body) == []


def test_another_object_is_left_alone(tmp_path: Path) -> None:
    assert found(tmp_path, STEP, "MeanMetric()") == []
