"""Sums and extremes of a batch that are averaged over the epoch are found, means are not."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent, indent

import projects
import pytest

from lintmetrics.diagnostics import Diagnostic

HEAD = """\
import torch
import torch.nn.functional as F
import lightning.pytorch as pl
from torch import nn
from torch.utils.data import DataLoader


class M(pl.LightningModule):
    def __init__(self, net):
        super().__init__()
        self.net = net
        self.added = nn.CrossEntropyLoss(reduction="sum")
        self.each = nn.CrossEntropyLoss(reduction="none")
        self.mean = nn.CrossEntropyLoss()

"""
STEP = """
def validation_step(self, batch, batch_idx):
    x, y = batch
    p = self.net(x)
{}
"""


def found(tmp_path: Path, body: str, *codes: str) -> list[Diagnostic]:
    text = HEAD + indent(dedent(body).strip("\n"), "    ") + "\n"
    (tmp_path / "model.py").write_text(text, encoding="utf-8")
    report = projects.check(tmp_path, *codes)
    assert not report.failures, report.failures
    return report.diagnostics


def step(*lines: str) -> str:
    return STEP.format("\n".join(f"    {line}" for line in lines))


SUMS = {
    "a loss function": step('self.log("k", F.mse_loss(p, y, reduction="sum"))'),
    "the old way to say it": step('self.log("k", F.mse_loss(p, y, size_average=False))'),
    "a loss object": step('self.log("k", self.added(p, y))'),
    "the losses of samples": step('self.log("k", self.each(p, y).sum())'),
    "the losses that count": step(
        'loss = F.l1_loss(p, y, reduction="none")', 'self.log("k", (loss * (y > 0)).sum())'
    ),
    "two sums": step(
        'loss = self.added(p, y) + 0.1 * F.l1_loss(p, y, reduction="sum")', 'self.log("k", loss)'
    ),
    "on its way through a dict": step(
        'losses = {"a": self.added(p, y)}', 'self.log_dict({"k": losses["a"].item()})'
    ),
    "training, for the epoch": step('self.log("k", self.added(p, y), on_epoch=True)').replace(
        "validation", "training"
    ),
}


@pytest.mark.parametrize("body", SUMS.values(), ids=SUMS)
def test_an_averaged_sum_of_losses_is_found(body: str, tmp_path: Path) -> None:
    diagnostics = found(tmp_path, body, "LM115")
    assert [d.code for d in diagnostics] == ["LM115"]
    assert diagnostics[0].blocked


NO_SUMS = {
    "a mean": step('self.log("k", self.mean(p, y))'),
    "said to be a sum": step('self.log("k", self.added(p, y), reduce_fx="sum")'),
    "of torch": step('self.log("k", self.added(p, y), reduce_fx=torch.sum)'),
    "divided by the batch": step('self.log("k", self.added(p, y) / len(x))'),
    "divided by a size": step('self.log("k", self.added(p, y) / x.shape[0])'),
    "divided by what is not known": step('self.log("k", self.added(p, y) / self.count)'),
    "divided by a setting": step('self.log("k", self.added(p, y) / 32)'),
    "times what is not known": step('self.log("k", self.added(p, y) * self.scale)'),
    "divided by a mask": step(
        'loss = F.l1_loss(p, y, reduction="none")', 'self.log("k", loss.sum() / (y > 0).sum())'
    ),
    "the mean of the losses": step('self.log("k", self.each(p, y).mean())'),
    "summed over one dimension": step(
        'self.log("k", F.l1_loss(p, y, reduction="none").sum(dim=1).mean())'
    ),
    "with terms that are means": step('self.log("k", self.added(p, y) / len(y) + self.mean(p, y))'),
    "a sum of losses by name": step(
        "losses = self.net(x, y)", 'self.log("k", sum(losses.values()))'
    ),
    "each step": step('self.log("k", self.added(p, y))').replace("validation", "training"),
    "another reduction": step('self.log("k", F.kl_div(p, y, reduction="batchmean"))'),
    "a reduction by name": step('self.log("k", F.mse_loss(p, y, reduction=self.how))'),
    "batches are counted": step('self.log("k", self.added(p, y), batch_size=1)'),
    "the first batch only": step("if batch_idx == 0:", '    self.log("k", self.added(p, y))'),
    "one sample in each batch": step('self.log("k", self.added(p, y))')
    + "\ndef val_dataloader(self):\n    return DataLoader(self.data, batch_size=1)\n",
    "after the epoch": """
        def on_validation_epoch_end(self):
            self.log("k", self.added(self.p, self.y))
        """,
}


@pytest.mark.parametrize("body", NO_SUMS.values(), ids=NO_SUMS)
def test_what_is_no_sum_over_samples_is_left_alone(body: str, tmp_path: Path) -> None:
    assert found(tmp_path, body, "LM115") == []


EXTREMES = {
    "a method": ('self.log("k", (p - y).abs().max())', 'max(), reduce_fx="max")'),
    "a function": ('self.log("k", torch.max((p - y).abs()))', '.abs()), reduce_fx="max")'),
    "a minimum": ('self.log("k", p.min().item())', 'p.min().item(), reduce_fx="min")'),
    "amax": ('self.log("k", p.amax(), prog_bar=True)', 'prog_bar=True, reduce_fx="max")'),
    "a local name": ('worst = p.abs().max()\n    self.log("k", worst)', 'worst, reduce_fx="max")'),
    "later dimensions first": (
        'self.log("k", (p - y).norm(dim=-1).max())',
        'max(), reduce_fx="max")',
    ),
}


@pytest.mark.parametrize(("line", "after"), EXTREMES.values(), ids=EXTREMES)
def test_an_averaged_extreme_becomes_that_of_the_epoch(
    line: str, after: str, tmp_path: Path
) -> None:
    assert [d.code for d in found(tmp_path, step(line), "LM116")] == ["LM116"]
    projects.fix(tmp_path, "LM116")
    assert after in (tmp_path / "model.py").read_text(encoding="utf-8")


BLOCKED = {
    "in a dict": step('self.log_dict({"k": p.max()})'),
    "turned round": step('self.log("k", -p.max())'),
    "of what the batch makes": step('self.log("k", p.softmax(-1).mean(dim=0).max())'),
    "of a sum over samples": step("use = p.sum(0)", 'self.log("k", use.max())'),
}


@pytest.mark.parametrize("body", BLOCKED.values(), ids=BLOCKED)
def test_an_extreme_that_is_not_of_samples_waits_for_its_author(body: str, tmp_path: Path) -> None:
    diagnostics = found(tmp_path, body, "LM116")
    assert [bool(d.blocked) for d in diagnostics] == [True]


NO_EXTREMES = {
    "along a dimension": step('self.log("k", p.max(dim=1).values.mean())'),
    "of two": step('self.log("k", torch.max(p, y).mean())'),
    "said": step('self.log("k", p.max(), reduce_fx="max")'),
    "said to be a mean": step('self.log("k", p.max(), reduce_fx="mean")'),
    "a part of a formula": step('self.log("k", F.mse_loss(p, y) / p.max())'),
    "a scale": step('self.log("k", (p / p.max()).mean())'),
    "of the weights": step('self.log("k", self.net.weight.max())'),
    "each step": step('self.log("k", p.max())').replace("validation", "training"),
    "the first batch only": step("if batch_idx == 0:", '    self.log("k", p.max())'),
    "one sample in each batch": step('self.log("k", p.max())')
    + "\ndef val_dataloader(self):\n    return DataLoader(self.data)\n",
    "of the epoch": """
        def on_validation_epoch_end(self):
            self.log("k", torch.cat(self.outputs).max())
        """,
    "of python": step('self.log("k", max(F.mse_loss(p, y), 0.1))'),
}


@pytest.mark.parametrize("body", NO_EXTREMES.values(), ids=NO_EXTREMES)
def test_what_is_no_extreme_of_a_batch_is_left_alone(body: str, tmp_path: Path) -> None:
    assert found(tmp_path, body, "LM116") == []
