"""Objects of a project that keep a mean: one vote a batch is found, weighed ones are left alone."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent, indent

import projects
import pytest

from lintmetrics.codemod import Relation

_METER = """
class AverageMeter:
    def __init__(self):
        self.reset()

    def reset(self):
        self.val, self.avg, self.sum, self.count = 0, 0, 0, 0

    def update(self, val, n=1):
        self.val = val
        self.sum += val * n
        self.count += n
        self.avg = self.sum / self.count
"""
_AVERAGER = """
class AverageMeter(object):
    def __init__(self):
        self.total = 0.0
        self.steps = 0

    def update(self, value):
        value = value.item()
        self.total = self.total + value
        self.steps += 1

    @property
    def avg(self):
        return self.total / max(self.steps, 1)
"""
_COMPUTED = """
class AverageMeter:
    def __init__(self):
        self.s, self.c = 0.0, 0

    def update(self, v, k=1):
        self.s += k * v
        self.c += k

    def avg(self):
        return self.s / self.c if self.c else 0.0
"""


def module(
    update: str = "self.meter.update(loss.item())",
    end: str = 'self.log("val_loss", self.meter.avg)',
    loss: str = "F.cross_entropy(pred, y)",
) -> str:
    return f"""
import lightning.pytorch as pl
import torch.nn.functional as F

from meters import AverageMeter


class Model(pl.LightningModule):
    def __init__(self, net, criterion):
        super().__init__()
        self.net = net
        self.criterion = criterion
        self.meter = AverageMeter()

    def validation_step(self, batch, batch_idx):
        x, y = batch
        pred = self.net(x)
        loss = {loss}
{indent(dedent(update), " " * 8)}

    def on_validation_epoch_end(self):
{indent(dedent(end), " " * 8)}
        self.meter.reset()
"""


def codes(folder: Path, meters: str, model: str) -> list[str]:
    projects.written(folder, {"meters.py": meters, "model.py": model})
    report = projects.check(folder, "LM111")
    assert not report.failures, report.failures
    return projects.codes(report)


@pytest.mark.parametrize(
    ("meters", "update", "end"),
    [
        (_METER, "self.meter.update(loss.item())", 'self.log("val_loss", self.meter.avg)'),
        (_METER, "self.meter.update(loss.item(), 1)", 'self.log("val_loss", self.meter.avg)'),
        (_METER, "self.meter.update(loss)", "print(self.meter.avg)"),
        (_AVERAGER, "self.meter.update(loss)", 'self.log("val_loss", self.meter.avg)'),
        (_COMPUTED, "self.meter.update(loss)", 'self.log("val_loss", self.meter.avg())'),
        (_METER, "self.meter.update(loss)", 'mean = self.meter.avg\nself.log("val_loss", mean)'),
    ],
)
def test_a_batch_value_that_counts_once_is_found(
    tmp_path: Path, meters: str, update: str, end: str
) -> None:
    assert codes(tmp_path, meters, module(update, end)) == ["LM111"]


_OTHERS = {
    "a sum over the samples": _METER.replace("self.sum / self.count", "self.sum"),
    "a moving mean": _METER.replace("+= val * n", "= 0.9 * self.sum + 0.1 * val"),
    "weighed by itself": _METER.replace("val * n", "val * len(val)"),
    "another default": _METER.replace("n=1", "n=32"),
    "no default": _METER.replace("n=1", "n"),
    "a base class": _METER.replace("AverageMeter:", "AverageMeter(Base):"),
    "its own weight": _METER.replace("+= n", "+= n if n else 1"),
    "a changed value": _METER.replace("self.val = val", "val = self.val = val ** 0.5"),
}


@pytest.mark.parametrize("meters", _OTHERS.values(), ids=_OTHERS)
def test_a_class_that_is_no_plain_mean_is_left_alone(tmp_path: Path, meters: str) -> None:
    assert codes(tmp_path, meters, module()) == []


@pytest.mark.parametrize(
    ("update", "end", "loss"),
    [
        ("self.meter.update(loss.item(), x.size(0))", "", ""),
        ("self.meter.update(loss.item(), n=len(y))", "", ""),
        ("self.meter.update(loss.item(), self.hparams.n)", "", ""),
        ("for row in pred:\n    self.meter.update(row.mean())", "", ""),
        ("self.meter.update(loss)", 'self.log("last", self.meter.val)', ""),
        ("self.meter.update(loss)", 'self.log("n", self.meter.count)', ""),
        ("self.meter.update((pred.argmax(1) == y).sum())", "", ""),
        ("self.meter.update(loss)", "", 'F.cross_entropy(pred, y, reduction="sum")'),
        ("self.meter.update(self.clock())", "", ""),
        ("self.meter = AverageMeter()\nself.meter.update(loss)", "", ""),
    ],
)
def test_what_is_weighed_or_no_mean_is_left_alone(
    tmp_path: Path, update: str, end: str, loss: str
) -> None:
    text = module(
        update, end or 'self.log("val_loss", self.meter.avg)', loss or "F.cross_entropy(pred, y)"
    )
    assert codes(tmp_path, _METER, text) == []


def test_a_mean_shown_in_the_step_is_no_epoch_mean(tmp_path: Path) -> None:
    update = 'self.meter.update(loss)\nself.log("so_far", self.meter.avg, prog_bar=True)'
    assert codes(tmp_path, _METER, module(update, "pass")) == []


def test_the_fix_gives_the_size_of_the_batch(tmp_path: Path) -> None:
    projects.written(tmp_path, {"meters.py": _METER, "model.py": module()})
    report = projects.fix(tmp_path, "LM111", relations=frozenset((Relation.CORRECTS,)))
    assert not report.failures
    written = (tmp_path / "model.py").read_text()
    assert written == module("self.meter.update(loss.item(), x.size(0))")
    assert codes(tmp_path, _METER, written) == []


def test_a_given_one_is_replaced(tmp_path: Path) -> None:
    text = module("self.meter.update(loss.item(), 1)")
    projects.written(tmp_path, {"meters.py": _METER, "model.py": text})
    projects.fix(tmp_path, "LM111")
    assert "update(loss.item(), x.size(0))" in (tmp_path / "model.py").read_text()


def test_a_loss_that_may_be_a_sum_is_an_assumption(tmp_path: Path) -> None:
    text = module(loss="self.criterion(pred, y)")
    projects.written(tmp_path, {"meters.py": _METER, "model.py": text})
    projects.fix(tmp_path, "LM111", relations=frozenset((Relation.CORRECTS,)))
    assert (tmp_path / "model.py").read_text() == text
    projects.fix(tmp_path, "LM111")
    assert "update(loss.item(), x.size(0))" in (tmp_path / "model.py").read_text()


def test_an_object_that_takes_no_weight_is_for_a_person(tmp_path: Path) -> None:
    projects.written(tmp_path, {"meters.py": _AVERAGER, "model.py": module()})
    (finding,) = projects.check(tmp_path, "LM111").diagnostics
    assert finding.blocked == (
        "AverageMeter.update counts each value once; let it take the size of the batch as a "
        "weight, and give it"
    )
