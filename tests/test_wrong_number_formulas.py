"""Formulas of batch means and counts move to the epoch end, with what they are made of gathered."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent, indent

import projects
import pytest

from lintmetrics.codemod import Relation
from lintmetrics.diagnostics import Diagnostic

FAMILY = ("LM101", "LM102", "LM103", "LM104")

_HEAD = """
import math

import lightning.pytorch as pl
import torch
import torch.nn as nn
import torch.nn.functional as F
import torchmetrics

EPS = 1e-8


class Model(pl.LightningModule):
    def __init__(self, net, pad=0):
        super().__init__()
        self.net = net
        self.loss = nn.CrossEntropyLoss(ignore_index=pad)
"""


def model(*methods: str, init: str = "") -> str:
    text = _HEAD + indent(dedent(init).strip("\n"), "        ").rstrip() + "\n"
    for method in methods:
        text += "\n" + indent(dedent(method).strip("\n"), "    ") + "\n"
    return text


def step(lines: str, hook: str = "validation_step", extra: str = "") -> str:
    head = f"def {hook}(self, batch, batch_idx{extra}):\n    x, y = batch\n    p = self.net(x)\n"
    return head + indent(dedent(lines).strip("\n"), "    ")


def fixed(folder: Path, text: str) -> tuple[list[Diagnostic], str]:
    """Return what was found before, and the text after every fix was made."""
    projects.written(folder, {"model.py": text})
    before = projects.check(folder, *FAMILY)
    report = projects.fix(folder, *FAMILY)
    assert not report.failures
    assert not report.failed
    after = (folder / "model.py").read_text(encoding="utf-8")
    compile(after, "model.py", "exec")
    assert projects.fix(folder, *FAMILY).after == {}, "the second run changes something"
    return before.diagnostics, after


_COUNTS = """\
pred = p.argmax(1)
tp = ((pred == 1) & (y == 1)).sum()
fp = ((pred == 1) & (y == 0)).sum().float()
fn = ((pred == 0) & (y == 1)).sum().item()
"""

_GATHERED = {
    "perplexity": (
        'loss = F.cross_entropy(p, y)\nself.log("val_loss", loss)\nself.log("ppl", loss.exp())',
        [
            "self.val_loss = torchmetrics.MeanMetric()",
            "self.val_loss.update(loss, (y != -100).sum())",
            "def on_validation_epoch_end(self):",
            'self.log("ppl", self.val_loss.compute().exp())',
            "self.val_loss.reset()",
        ],
    ),
    "padded": (
        'self.log("ppl", math.exp(self.loss(p, y)), prog_bar=True, batch_size=len(x))',
        [
            "self.val_ppl_mean.update(self.loss(p, y), (y != self.loss.ignore_index).sum())",
            'self.log("ppl", math.exp(self.val_ppl_mean.compute()), prog_bar=True)',
        ],
    ),
    "root": (
        'self.log("rmse", (((p - y) ** 2).mean() + EPS).sqrt())',
        [
            "self.val_rmse_mean.update((p - y) ** 2)",
            'self.log("rmse", (self.val_rmse_mean.compute() + EPS).sqrt())',
        ],
    ),
    "counts": (
        _COUNTS + 'self.log("val_precision", tp / (tp + fp))',
        [
            "self.val_tp = torchmetrics.SumMetric()",
            "self.val_tp.update(tp)",
            "self.val_fp.update(fp)",
            "tp = self.val_tp.compute()",
            "fp = self.val_fp.compute()",
            'self.log("val_precision", tp / (tp + fp))',
            "self.val_tp.reset()",
        ],
    ),
    "harmonic": (
        _COUNTS
        + "precision = tp / (tp + fp + EPS)\n"
        + "recall = tp / (tp + fn + EPS)\n"
        + "f1 = 2 * precision * recall / (precision + recall + EPS)\n"
        + 'self.log("val_precision", precision)\n'
        + 'self.log("val_f1", f1)',
        [
            "self.val_fn.update(fn)",
            "precision = tp / (tp + fp + EPS)",
            'self.log("val_precision", precision)',
            "recall = tp / (tp + fn + EPS)",
            "f1 = 2 * precision * recall / (precision + recall + EPS)",
            'self.log("val_f1", f1)',
            "self.val_tp.reset()",
        ],
    ),
    "guarded": (
        _COUNTS + 'self.log("val_recall", tp / (tp + fn) if tp + fn > 0 else 0.0)',
        ['self.log("val_recall", tp / (tp + fn) if tp + fn > 0 else 0.0)'],
    ),
    "dict entry": (
        'loss = F.mse_loss(p, y)\nself.log_dict({"mse": loss, "exp": torch.exp(loss)})',
        [
            "self.val_loss.update(loss, y.numel())",
            'self.log_dict({"mse": loss})',
            'self.log("exp", torch.exp(self.val_loss.compute()))',
        ],
    ),
}


@pytest.mark.parametrize(("lines", "wanted"), _GATHERED.values(), ids=_GATHERED)
def test_parts_are_gathered_and_the_formula_is_applied_once(
    lines: str, wanted: list[str], tmp_path: Path
) -> None:
    before, after = fixed(tmp_path, model(step(lines)))
    assert {d.code for d in before} == {"LM104"}
    assert all(d.fix is not None and d.fix.relation is Relation.CORRECTS for d in before)
    position = 0
    for line in wanted:
        assert line in after[position:], after
        position = after.index(line, position) + len(line)


def test_formulas_of_one_step_share_what_they_gather(tmp_path: Path) -> None:
    lines = _COUNTS + (
        'self.log("val_precision", tp / (tp + fp))\nself.log("val_recall", tp / (tp + fn))'
    )
    _, after = fixed(tmp_path, model(step(lines)))
    assert after.count("self.val_tp.update(tp)") == 1
    assert after.count("tp = self.val_tp.compute()") == 1
    assert after.count("def on_validation_epoch_end") == 1
    assert after.index('self.log("val_recall"') < after.index("self.val_tp.reset()")


def test_stages_that_share_a_step_gather_apart(tmp_path: Path) -> None:
    shared = (
        "def shared(self, batch, stage):\n"
        "    x, y = batch\n"
        "    loss = F.cross_entropy(self.net(x), y)\n"
        '    self.log(f"{stage}_ppl", loss.exp(), on_step=False, on_epoch=True)\n'
        "    return loss"
    )
    train = 'def training_step(self, batch, batch_idx):\n    return self.shared(batch, "train")'
    validate = 'def validation_step(self, batch, batch_idx):\n    self.shared(batch, "val")'
    _, after = fixed(tmp_path, model(shared, train, validate))
    assert 'self.ppl_loss[f"{stage}_ppl"].update(loss, (y != -100).sum())' in after
    assert 'self.log("train_ppl", self.ppl_loss["train_ppl"].compute().exp())' in after
    assert 'self.log("val_ppl", self.ppl_loss["val_ppl"].compute().exp())' in after


def test_an_epoch_end_that_is_there_logs_them(tmp_path: Path) -> None:
    hook = "def on_validation_epoch_end(self):\n    print(self.current_epoch)"
    text = model(step('self.log("ppl", F.cross_entropy(p, y).exp())'), hook)
    _, after = fixed(tmp_path, text)
    assert after.count("def on_validation_epoch_end") == 1
    assert after.index("print(") < after.index('self.log("ppl"')


_BLOCKED = {
    "class weights": (
        'self.log("ppl", F.cross_entropy(p, y, weight=x).exp())',
        "decide whether the epoch's value is to be weighted alike",
    ),
    "at every step": (
        'self.log("ppl", F.cross_entropy(p, y).exp(), on_step=True, on_epoch=True)',
        "decide what a step is to show",
    ),
    "under a condition": (
        'if batch_idx > 3:\n    self.log("ppl", F.cross_entropy(p, y).exp())',
        "stands under a condition",
    ),
    "argument of the step": (
        'self.log("ppl", F.cross_entropy(p, y).exp(), prog_bar=batch_idx > 3)',
        "prog_bar= at line",
    ),
    "two values": (
        "loss = F.cross_entropy(p, y)\nif batch_idx:\n    loss = loss * 2\n"
        'self.log("ppl", loss.exp())',
        "more than one value",
    ),
    "target that changes": (
        'loss = F.cross_entropy(p, y)\ny = y[:1]\nself.log("ppl", loss.exp())',
        "y is given another value",
    ),
}


@pytest.mark.parametrize(("lines", "reason"), _BLOCKED.values(), ids=_BLOCKED)
def test_what_a_person_must_decide_about_a_formula(lines: str, reason: str, tmp_path: Path) -> None:
    text = model(step(lines))
    before, after = fixed(tmp_path, text)
    assert after == dedent(text)
    (only,) = before
    assert only.fix is None
    assert reason in only.blocked


def test_several_dataloaders_are_told_apart_by_a_person(tmp_path: Path) -> None:
    lines = 'self.log("ppl", F.cross_entropy(p, y).exp())\nprint(dataloader_idx)'
    text = model(step(lines, extra=", dataloader_idx"))
    before, after = fixed(tmp_path, text)
    assert after == dedent(text)
    assert "told its dataloader" in before[0].blocked


def test_sums_of_what_is_worked_out_from_one_batch_are_not_gathered(tmp_path: Path) -> None:
    # The spread around the mean of a batch does not add up to the spread around that of the epoch.
    lines = """
    residual = ((y - p) ** 2).sum()
    spread = ((y - y.mean()) ** 2).sum()
    self.log("val_r2", 1 - residual / spread)
    """
    text = model(step(lines))
    before, after = fixed(tmp_path, text)
    assert after == dedent(text)
    (only,) = before
    assert only.code == "LM104"
    assert "y.mean() at line" in only.blocked
    assert "torchmetrics.R2Score" in only.blocked


def test_a_soft_dice_that_is_logged_as_a_metric_is_one_of_the_epoch(tmp_path: Path) -> None:
    lines = """
    dice = 2 * (p * y).sum() / (p.sum() + y.sum() + EPS)
    self.log("val_loss", 1 - dice)
    self.log("val_dice", dice)
    """
    before, after = fixed(tmp_path, model(step(lines)))
    assert [item.message[:10] for item in before] == ['"val_dice"']
    assert 'self.log("val_loss", 1 - dice)' in after
    assert after.count("SumMetric()") == 3


_OWN_LOSS = """

class RMSELoss(nn.Module):
    def __init__(self, eps=1e-6):
        super().__init__()
        self.mse = nn.MSELoss()
        self.eps = eps

    def forward(self, guess, truth):
        return torch.sqrt(self.mse(guess, truth) + self.eps)


class DiceLoss(nn.Module):
    def forward(self, guess, truth):
        return 1 - 2 * (guess * truth).sum() / (guess.sum() + truth.sum())


class Net(nn.Module):
    def forward(self, x, y):
        return torch.sqrt(x * y).view(-1)
"""


def test_a_root_inside_a_module_of_the_project_is_seen_through_its_attribute(
    tmp_path: Path,
) -> None:
    init = "self.root = RMSELoss()\nself.dice = DiceLoss()\nself.layers = Net()"
    lines = """
    root = self.root(p, y)
    self.log("val_loss", root)
    self.log("val_rmse", root)
    self.log("val_dice", self.dice(p, y))
    self.log("width", self.layers(p, y).mean())
    """
    text = model(step(lines), init=init) + _OWN_LOSS
    before, _ = fixed(tmp_path, text)
    assert [item.message.split(" averages")[0] for item in before] == ['"val_rmse"']
    assert "the root is taken in RMSELoss at line" in before[0].blocked


@pytest.mark.parametrize(
    ("lines", "second"),
    [
        ("loss = ((self.net(x) - y) ** 2).mean()", "self.net(x)"),
        ("loss = torch.mean((p + torch.rand_like(p) - y).abs())", "torch.rand_like(p)"),
        ("loss = F.l1_loss(p, self.net(x.flip(0)))", "self.net(x.flip(0))"),
        ("loss = ((x.T @ make(y)) ** 2).mean()", "make(y)"),
        ("loss = ((p - y.float().view(-1)) ** 2).mean()", ""),
        ("loss = torch.mean(torch.pow(p - y, 2))", ""),
    ],
)
def test_nothing_that_a_step_works_out_is_worked_out_again(
    lines: str, second: str, tmp_path: Path
) -> None:
    text = model(step(f'{lines}\nself.log("rmse", loss.sqrt())\nself.log("loss", loss)'))
    before, after = fixed(tmp_path, text)
    (only,) = before
    assert (f"{second} at line" in (only.blocked or "")) == bool(second)
    assert ("MeanMetric" in after) != bool(second)


def test_a_mean_that_leaves_the_step_takes_its_network_along(tmp_path: Path) -> None:
    line = 'self.log("rmse", ((self.net(x) - y) ** 2).mean().sqrt())'
    _, after = fixed(tmp_path, model(step(line)))
    assert after.count("self.net(x) - y") == 1


def test_a_network_that_a_loss_runs_is_run_once(tmp_path: Path) -> None:
    lines = """
    one = F.mse_loss(self.net(x), y)
    two = F.mse_loss(self.net(x * 2), y)
    self.log("one", one.sqrt())
    self.log("two", torch.sqrt(two))
    """
    _, after = fixed(tmp_path, model(step(lines)))
    assert "preds = self.net(x)\n        one = F.mse_loss(preds, y)" in after
    assert "preds_2 = self.net(x * 2)\n        two = F.mse_loss(preds_2, y)" in after
    assert "self.val_one.update(preds, y)" in after
    assert "self.val_two.update(preds_2, y)" in after
    assert after.count("self.net(") == model(step(lines)).count("self.net(")


def test_a_network_that_may_not_be_run_twice_stays_where_a_name_does_not_fit(
    tmp_path: Path,
) -> None:
    lines = 'loss = F.mse_loss(self.net(x) if x.any() else x, y)\nself.log("rmse", loss.sqrt())'
    text = model(step(lines))
    (only,), after = fixed(tmp_path, text)
    assert after.count("self.net(x) if") == 1
    assert only.fix is not None or "second time" in only.blocked
