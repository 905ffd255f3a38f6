"""Epoch means that steps add up in attributes are found and weighed; look-alikes are left alone."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent, indent

import projects
import pytest

from lintmetrics.codemod import Relation
from lintmetrics.diagnostics import Diagnostic

_HEAD = """
import lightning.pytorch as pl
import torch
import torch.nn.functional as F


class Model(pl.LightningModule):
    def __init__(self, net, criterion):
        super().__init__()
        self.net = net
        self.criterion = criterion
        self.mse = torch.nn.MSELoss()
        self.total = 0.0
        self.n = 0

    def on_validation_epoch_start(self):
        self.total = 0.0
        self.n = 0

"""
_STEP = """
def validation_step(self, batch, batch_idx):
    x, y = batch
    pred = self.net(x)
    loss = F.mse_loss(pred, y)
"""
_ADD = "self.total += loss.item()\nself.n += 1"
_END = 'self.log("val_loss", self.total / self.n)'


def module(step: str = _ADD, end: str = _END, more: str = "") -> str:
    methods = [
        _STEP + indent(dedent(step), "    "),
        "def on_validation_epoch_end(self):\n" + indent(dedent(end), "    "),
        dedent(more),
    ]
    return _HEAD + "\n\n".join(indent(method.strip("\n"), "    ") for method in methods) + "\n"


def found(folder: Path, text: str, *select: str) -> list[Diagnostic]:
    projects.written(folder, {"model.py": text})
    report = projects.check(folder, *(select or ("LM111", "LM204")))
    assert not report.failures, report.failures
    return report.diagnostics


def codes(folder: Path, text: str) -> list[str]:
    return [diagnostic.code for diagnostic in found(folder, text)]


# What is found -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "end"),
    [
        (_ADD, _END),
        ("self.total += loss.detach()\nself.n += 1", _END),
        ("self.total = self.total + loss\nself.n = self.n + 1", _END),
        ("self.total = loss.item() + self.total\nself.n = 1 + self.n", _END),
        ("self.total += self.mse(pred, y)\nself.n += 1", _END),
        ("self.total += (pred - y).abs().mean()\nself.n += 1", _END),
        ("self.total += (pred == y).float().mean()\nself.n += 1", _END),
        (_ADD, 'self.log("val_loss", self.total / max(self.n, 1))'),
        (_ADD, 'self.log("val_loss", self.total / (self.n + 1e-8))'),
        (_ADD, 'self.log("val_loss", float(self.total) / self.n)'),
        (_ADD, 'avg = self.total / self.n\nself.log("val_loss", avg, prog_bar=True)'),
        (_ADD, 'self.total /= self.n\nself.log("val_loss", self.total)'),
        (_ADD, 'self.log_dict({"val_loss": self.total / self.n})'),
        (_ADD, 'self.logger.experiment.add_scalar("val_loss", self.total / self.n)'),
        (_ADD, "print(self.total / self.n)"),
        (_ADD, 'if self.n > 0:\n    self.log("val_loss", self.total / self.n)'),
        (_ADD, 'self.log("val_loss", self.total / len(self.trainer.val_dataloaders))'),
        (_ADD, 'self.log("val_loss", self.total / len(self.val_dataloader()))'),
        (_ADD, 'self.log("val_loss", self.total / self.trainer.num_val_batches[0])'),
        (_ADD, 'self.log("val_loss", self.total / sum(self.trainer.num_val_batches))'),
        (_ADD, 'n = len(self.val_dataloader())\nself.log("val_loss", self.total / n)'),
        ("if batch_idx == 0:\n    self.total = 0.0\n    self.n = 0\n" + _ADD, _END),
        ("if not self.trainer.sanity_checking:\n" + indent(_ADD, "    "), _END),
    ],
)
def test_a_total_of_batch_values_over_the_number_of_batches_is_found(
    tmp_path: Path, step: str, end: str
) -> None:
    (finding,) = found(tmp_path, module(step, end))
    assert finding.code == "LM111"
    assert "gives every batch one vote" in finding.message


def test_a_loss_of_which_nothing_is_known_is_found_by_its_name(tmp_path: Path) -> None:
    step = "val_loss = self.criterion(pred, y)\nself.total += val_loss.item()\nself.n += 1"
    assert codes(tmp_path, module(step)) == ["LM111"]


def test_a_shared_step_adds_for_the_hook_that_calls_it(tmp_path: Path) -> None:
    more = """
    def test_step(self, batch, batch_idx):
        self.shared(batch)

    def shared(self, batch):
        x, y = batch
        self.test_total += F.mse_loss(self.net(x), y).item()
        self.test_n += 1

    def on_test_epoch_start(self):
        self.test_total, self.test_n = 0.0, 0

    def on_test_epoch_end(self):
        self.log("test_loss", self.test_total / self.test_n)
    """
    (finding,) = found(tmp_path, module("pass", "pass", more))
    assert finding.message.startswith('"test_loss" gives')


@pytest.mark.parametrize(
    ("begin", "step", "end"),
    [
        (
            '{"loss": 0.0, "n": 0}',
            'self.kept["loss"] += loss.item()\nself.kept["n"] += 1',
            'self.log("val_loss", self.kept["loss"] / self.kept["n"])\n'
            'self.kept = {"loss": 0.0, "n": 0}',
        ),
        (
            "[]",
            "self.kept += [loss.item()]",
            'self.log("val_loss", sum(self.kept) / len(self.kept))\nself.kept = []',
        ),
        (
            "[]",
            "self.kept.append(loss.item())",
            'self.log("val_loss", sum(self.kept) / len(self.val_dataloader()))\nself.kept = []',
        ),
        (
            "torch.zeros(1)",
            "self.kept += loss.detach()\nself.n += 1",
            'self.log("val_loss", self.kept / self.n)\nself.kept = torch.zeros(1)',
        ),
    ],
)
def test_a_total_may_be_kept_in_a_dict_a_list_or_a_tensor(
    tmp_path: Path, begin: str, step: str, end: str
) -> None:
    text = module(step, end).replace(
        "        self.total = 0.0\n", f"        self.total = 0.0\n        self.kept = {begin}\n", 1
    )
    assert codes(tmp_path, text) == ["LM111"]


# What is quiet -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "end"),
    [
        # Weighed by hand.
        ("self.total += loss.item() * x.size(0)\nself.n += x.size(0)", _END),
        ("self.total += loss.item() * len(y)\nself.n += len(y)", _END),
        ("bs = x.shape[0]\nself.total += loss.item() * bs\nself.n += bs", _END),
        ("self.total += self.criterion(pred, y) * len(y)\nself.n += len(y)", _END),
        # Sums over samples, and counts of them.
        ('self.total += F.mse_loss(pred, y, reduction="sum")\nself.n += len(y)', _END),
        ('self.total += F.mse_loss(pred, y, reduction="sum")\nself.n += 1', _END),
        ("self.total += (pred - y).abs().sum().item()\nself.n += y.numel()", _END),
        ("self.total += (pred.argmax(1) == y).sum().item()\nself.n += y.size(0)", _END),
        ("self.total += (pred.argmax(1) == y).sum().item()\nself.n += 1", _END),
        ("self.total += len(y)\nself.n += 1", 'self.log("size", self.total / self.n)'),
        # Divided by what is no number of batches.
        ("self.total += loss.item()", 'self.log("x", self.total / len(self.val_set))'),
        (
            "self.total += loss.item()",
            'self.log("x", self.total / len(self.trainer.val_dataloaders.dataset))',
        ),
        ("self.total += loss.item()", 'self.log("x", self.total / self.hparams.size)'),
        ("self.total += loss.item()\nself.n += self.hparams.size", _END),
        ("self.total += loss.item()\nself.n += 2", _END),
        # Not divided at all.
        ("self.total += loss.item()\nself.n += 1", 'self.log("total", self.total)'),
        # Several votes for each batch.
        ("for row in pred:\n    self.total += row.mean()\n    self.n += 1", _END),
        ("for p, t in zip(pred, y):\n    self.total += F.mse_loss(p, t)\n    self.n += 1", _END),
        # A running mean, or one of the last batches.
        ("self.total = 0.9 * self.total + 0.1 * loss.item()\nself.n += 1", _END),
        ("self.total += 0.1 * (loss.item() - self.total)\nself.total *= 2\nself.n += 1", _END),
        (
            _ADD + "\nif batch_idx % 10 == 9:\n    self.total = 0.0\n    self.n = 0",
            _END,
        ),
        ("self.total = loss.item()\nself.n = 1", _END),
        # What is added is no mean of a batch, as far as can be told.
        ("self.total += self.weight(x)\nself.n += 1", 'self.log("w", self.total / self.n)'),
        ("self.total += self.features(x)\nself.n += 1", "self.centre = self.total / self.n"),
        ("self.total += self.num_errors(x)\nself.n += 1", _END),
        ("self.total += self.loss_of(x) * self.scale(x)\nself.n += 1", _END),
        ("self.total += self.elapsed\nself.n += 1", 'self.log("seconds", self.total / self.n)'),
        # Two ways to be counted.
        ("self.total += loss.item()\nif batch_idx:\n    self.n += 1\nelse:\n    self.n += 1", _END),
    ],
)
def test_other_totals_are_left_alone(tmp_path: Path, step: str, end: str) -> None:
    assert codes(tmp_path, module(step, end)) == []


@pytest.mark.parametrize(
    "more",
    [
        "def on_validation_start(self):\n    self.total = self.offset",
        "def on_validation_epoch_end_extra(self):\n    self.total = self.total * 0.5",
        "def restore(self, state):\n    self.total = state['total']",
        "def on_train_epoch_end(self):\n    self.total -= 1",
        "def rows(self):\n    for self.total in range(3):\n        pass",
    ],
)
def test_a_total_that_is_given_other_values_is_left_alone(tmp_path: Path, more: str) -> None:
    assert codes(tmp_path, module(more=more)) == []


def test_a_mean_shown_while_the_epoch_runs_is_no_epoch_mean(tmp_path: Path) -> None:
    step = _ADD + '\nself.log("running_loss", self.total / self.n, on_epoch=False, on_step=True)'
    assert codes(tmp_path, module(step, "pass")) == []


def test_a_loader_that_gives_one_sample_at_a_time_has_no_short_batch(tmp_path: Path) -> None:
    more = """
    def val_dataloader(self):
        return torch.utils.data.DataLoader(self.val_set, batch_size=1)
    """
    assert codes(tmp_path, module(more=more)) == []


def test_a_metric_that_cannot_be_averaged_is_a_finding_of_its_own_rule(tmp_path: Path) -> None:
    step = """
    self.total += torchmetrics.functional.f1_score(pred, y, task="binary")
    self.n += 1
    """
    text = "import torchmetrics\n" + module(step, 'self.log("val_f1", self.total / self.n)')
    projects.written(tmp_path, {"model.py": text})
    assert "LM101" in projects.codes(projects.check(tmp_path, "LM1"))


# What outlives its epoch -------------------------------------------------------------------------

_NEVER = """
    def on_validation_epoch_start(self):
        self.total = 0.0
        self.n = 0

"""


def never(text: str) -> str:
    return text.replace(_NEVER, "")


@pytest.mark.parametrize(
    "step",
    [
        "self.total += (pred.argmax(1) == y).sum().item()\nself.n += y.size(0)",
        "self.total += loss.item() * len(y)\nself.n += len(y)",
    ],
)
def test_totals_that_nothing_sets_back_are_found_and_set_back(tmp_path: Path, step: str) -> None:
    first, second = found(tmp_path, never(module(step)))
    assert first.code == second.code == "LM204"
    assert first.message == (
        "self.total is never set back to zero; on_validation_epoch_end counts earlier epochs again"
    )
    assert not projects.fix(tmp_path, "LM204").failures
    written = (tmp_path / "model.py").read_text().rstrip()
    assert written.endswith(f"        {_END}\n        self.total = 0.0\n        self.n = 0")
    assert projects.codes(projects.check(tmp_path, "LM111", "LM204")) == []


def test_a_total_set_back_at_the_end_of_the_training_epoch_counts_the_sanity_check(
    tmp_path: Path,
) -> None:
    more = """
    def on_train_epoch_end(self):
        self.total = 0.0
        self.n = 0
    """
    step = "self.total += (pred == y).sum()\nself.n += len(y)"
    first, _ = found(tmp_path, never(module(step, more=more)))
    assert first.message == (
        "self.total is only set back to zero in on_train_epoch_end; the first "
        "on_validation_epoch_end counts the sanity check too"
    )


@pytest.mark.parametrize(
    ("step", "end", "more"),
    [
        # Never divided: a count of the whole run.
        ("self.total += len(y)", 'self.log("total", self.total)', ""),
        # Divided by what is no total.
        ("self.total += len(y)", 'self.log("share", self.total / self.hparams.size)', ""),
        # Set back by a method, by a batch, or from outside.
        (
            "self.total += (pred == y).sum()\nself.n += len(y)",
            _END,
            "def forget(self):\n    self.total = 0\n    self.n = 0",
        ),
        (
            "if batch_idx == 0:\n    self.total = 0\n    self.n = 0\n"
            "self.total += (pred == y).sum()\nself.n += len(y)",
            _END,
            "",
        ),
        (
            "self.total += (pred == y).sum()\nself.n += len(y)",
            _END + "\nself.total.zero_()\nself.n = 0",
            "",
        ),
        # What is added is not known.
        ("self.total += self.reward(x)\nself.n += self.steps(x)", _END, ""),
    ],
)
def test_totals_that_are_meant_to_last_or_set_back_are_left_alone(
    tmp_path: Path, step: str, end: str, more: str
) -> None:
    assert codes(tmp_path, never(module(step, end, more))) == []


def test_totals_of_the_run_are_left_alone(tmp_path: Path) -> None:
    step = "self.total += (pred == y).sum()\nself.n += len(y)"
    text = never(module(step)).replace("self.total", "self.correct_ever")
    assert codes(tmp_path, text.replace("self.n", "self.samples_seen")) == []


def test_totals_of_the_test_are_left_alone(tmp_path: Path) -> None:
    step = "self.total += (pred == y).sum()\nself.n += len(y)"
    text = never(module(step)).replace("validation_step", "test_step")
    assert codes(tmp_path, text.replace("on_validation_epoch_end", "on_test_epoch_end")) == []


def test_a_callback_that_sets_a_total_back_is_seen(tmp_path: Path) -> None:
    step = "self.total += (pred == y).sum()\nself.n += len(y)"
    text = never(module(step)) + dedent(
        """

        class Forget(pl.Callback):
            def on_validation_epoch_start(self, trainer, pl_module):
                pl_module.total = 0
                pl_module.n = 0
        """
    )
    assert codes(tmp_path, text) == []


# What is written ---------------------------------------------------------------------------------


def fixed(folder: Path, text: str, *relations: Relation) -> str:
    projects.written(folder, {"model.py": text})
    report = projects.fix(
        folder, "LM111", relations=frozenset(relations or (Relation.PRESERVES, Relation.CORRECTS))
    )
    assert not report.failures, report.failures
    return (folder / "model.py").read_text()


def blocked(folder: Path, text: str) -> str:
    (finding,) = found(folder, text, "LM111")
    assert finding.blocked is not None
    return finding.blocked


def test_each_value_is_weighed_where_it_is_added(tmp_path: Path) -> None:
    text = module()
    assert fixed(tmp_path, text) == text.replace(
        "self.total += loss.item()", "self.total += loss.item() * x.size(0)"
    ).replace("self.n += 1", "self.n += x.size(0)")
    assert codes(tmp_path, (tmp_path / "model.py").read_text()) == []


@pytest.mark.parametrize(
    ("step", "written"),
    [
        ("self.total += loss / 2\nself.n += 1", "self.total += (loss / 2) * x.size(0)"),
        ("self.total += (loss / 2)\nself.n += 1", "self.total += (loss / 2) * x.size(0)"),
        (
            "self.total = self.total + loss\nself.n += 1",
            "self.total = self.total + loss * x.size(0)",
        ),
        ("bs = y.shape[0]\n" + _ADD, "self.total += loss.item() * bs"),
        (
            "if not self.trainer.sanity_checking:\n" + indent(_ADD, "    "),
            "    self.n += x.size(0)",
        ),
    ],
)
def test_a_weight_is_written_as_a_person_would(tmp_path: Path, step: str, written: str) -> None:
    assert written in fixed(tmp_path, module(step))


def test_all_totals_of_one_counter_are_weighed_together(tmp_path: Path) -> None:
    text = module(
        "self.total += loss.item()\nself.acc += (pred == y).float().mean()\nself.n += 1",
        'self.log("val_loss", self.total / self.n)\nself.log("val_acc", self.acc / self.n)',
    ).replace("self.n = 0", "self.n = 0\n        self.acc = 0.0")
    after = fixed(tmp_path, text)
    assert "self.total += loss.item() * x.size(0)" in after
    assert "self.acc += (pred == y).float().mean() * x.size(0)" in after
    assert after.count("self.n += x.size(0)") == 1


def test_a_counter_of_batches_is_renamed_for_what_it_counts(tmp_path: Path) -> None:
    after = fixed(
        tmp_path,
        module()
        .replace("self.n +", "self.num_batches +")
        .replace("self.n =", "self.num_batches =")
        .replace("self.n)", "self.num_batches)"),
    )
    assert "num_batches" not in after
    assert "self.num_samples += x.size(0)" in after
    assert "self.total / self.num_samples" in after


def test_a_counter_with_another_reader_keeps_its_name(tmp_path: Path) -> None:
    projects.written(tmp_path, {"show.py": "def show(model):\n    print(model.num_batches)\n"})
    text = (
        module()
        .replace("self.n +", "self.num_batches +")
        .replace("self.n =", "self.num_batches =")
        .replace("self.n)", "self.num_batches)")
    )
    assert "outside" in blocked(tmp_path, text)


def test_samples_are_counted_where_there_was_only_a_loader(tmp_path: Path) -> None:
    text = module(
        "self.total += loss.item()",
        'self.log("val_loss", self.total / len(self.val_dataloader()))',
    )
    after = fixed(tmp_path, text)
    assert after.count("self.val_samples = 0") == 2
    assert "self.val_samples += x.size(0)" in after
    assert "self.total / self.val_samples" in after


def test_a_loss_that_may_be_a_sum_is_an_assumption(tmp_path: Path) -> None:
    step = "val_loss = self.criterion(pred, y)\nself.total += val_loss.item()\nself.n += 1"
    text = module(step)
    assert fixed(tmp_path, text) == text
    assert "val_loss.item() * x.size(0)" in fixed(tmp_path, text, *Relation)


@pytest.mark.parametrize(
    ("step", "end", "more", "reason"),
    [
        (_ADD, _END + "\nself.history.append(self.total)", "", "`self.total` is also used at"),
        (_ADD, _END + "\nprint(self.n)", "", "`self.n` is also used at"),
        (
            _ADD + "\nself.hits += (pred == y).sum()",
            _END + '\nself.log("hits", self.hits / self.n)',
            "def on_validation_start(self):\n    self.hits = 0",
            "is a sum or a count, which needs no weight",
        ),
        (
            "self.total += loss.item()\nif batch_idx > 3:\n    self.n += 1",
            _END,
            "",
            "self.n is not counted along with `self.total`",
        ),
        (
            _ADD,
            'n = len(self.val_dataloader())\nself.log("val_loss", self.total / n)',
            "",
            "`n` is the number of batches",
        ),
    ],
)
def test_what_stands_in_the_way_is_said(
    tmp_path: Path, step: str, end: str, more: str, reason: str
) -> None:
    assert reason in blocked(tmp_path, module(step, end, more))


def test_a_batch_whose_size_is_not_evident_is_for_a_person(tmp_path: Path) -> None:
    text = module().replace(
        "    x, y = batch\n        pred = self.net(x)\n        loss = F.mse_loss(pred, y)",
        "    loss = F.mse_loss(*self.net(**batch))",
    )
    reason = blocked(tmp_path, text)
    assert reason.startswith("the size of the batch is not evident in validation_step")
    assert "multiply the value at line" in reason


# Callbacks ---------------------------------------------------------------------------------------

_CALLBACK = """
import numpy as np
import lightning.pytorch as pl


class Shown(pl.Callback):
    def __init__(self):
        self.total = 0.0
        self.n = 0
        self.losses = []

    def on_validation_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        {step}

    def on_validation_epoch_end(self, trainer, pl_module):
        pl_module.log("shown", {mean})
        self.total = 0.0
        self.n = 0
        self.losses.clear()
"""


def callback(step: str, mean: str) -> str:
    return _CALLBACK.format(step=step, mean=mean)


def test_a_total_of_a_callback_is_found_with_what_to_do(tmp_path: Path) -> None:
    step = 'self.total += outputs["loss"].item()\n        self.n += 1'
    (finding,) = found(tmp_path, callback(step, "self.total / self.n"))
    assert finding.help == (
        "log the batch value in on_validation_batch_end: "
        'pl_module.log("shown", value, on_step=False, on_epoch=True)'
    )
    assert finding.blocked is not None
    assert finding.blocked.startswith("the size of the batch is not evident in on_validation_batch")


def test_a_total_of_a_callback_is_weighed_where_the_batch_is_taken_apart(tmp_path: Path) -> None:
    step = (
        'self.total += outputs["loss"].item()\n        self.n += 1\n        print(batch[0].size(0))'
    )
    after = fixed(tmp_path, callback(step, "self.total / self.n"), *Relation)
    assert 'self.total += outputs["loss"].item() * batch[0].size(0)' in after
    assert "self.n += batch[0].size(0)" in after
