"""Log calls that raise, misplace their row or wait for the device, and the many that are right."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path
from textwrap import dedent, indent

import projects
import pytest

from lintmetrics import facts, runner
from lintmetrics.config import CommandLine, Configuration
from lintmetrics.diagnostics import Diagnostic
from lintmetrics.model import hooks
from lintmetrics.sources import discover

HEAD = """\
import numpy as np
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
import torchmetrics
from torch import nn
from torchmetrics import MetricCollection
from torchmetrics.classification import (
    BinaryAccuracy, BinaryF1Score, ConfusionMatrix, MulticlassF1Score
)


def last(values):
    return values[-1]


class M(pl.LightningModule):
    def __init__(self, net):
        super().__init__()
        self.net = net
        self.acc = BinaryAccuracy()
        self.f1 = BinaryF1Score()
        self.all = MetricCollection([BinaryAccuracy(), BinaryF1Score()])
        self.matrix = ConfusionMatrix(task="binary")
        self.each = MulticlassF1Score(num_classes=3, average=None)
        self.criterion = nn.CrossEntropyLoss()
        self.spread = nn.MSELoss(reduction="none")

"""
ALL = tuple(f"LM60{number}" for number in range(1, 9))


def written(tmp_path: Path, body: str, head: str = HEAD) -> Path:
    text = head + indent(dedent(body).strip("\n"), "    ") + "\n"
    (tmp_path / "model.py").write_text(text, encoding="utf-8")
    return tmp_path


def found(tmp_path: Path, body: str, *codes: str, target: str = "") -> list[Diagnostic]:
    written(tmp_path, body)
    config = (f"target-lightning='{target}'",) if target else ()
    line = CommandLine(select=codes or ALL, isolated=True, config=config)
    configuration = Configuration(line)
    files, failures = discover([str(tmp_path)], configuration.settings_for)
    report = runner.check(files, configuration.settings_for, 1)
    assert report.failures == failures == []
    return report.diagnostics


def fixed(tmp_path: Path, body: str, code: str) -> str:
    assert [d.code for d in found(tmp_path, body, code)]
    report = projects.fix(tmp_path, code)
    assert report.diagnostics == []
    text = (tmp_path / "model.py").read_text(encoding="utf-8")
    compile(text, "model.py", "exec")
    return text


def in_hook(hook: str, line: str, parameters: str = "self") -> str:
    return f"def {hook}({parameters}):\n    {line}\n"


def in_training(*lines: str) -> str:
    return "\n    ".join(
        (
            "def training_step(self, batch, batch_idx):",
            "x, y = batch",
            "p = self.net(x)",
            "loss = self.criterion(p, y)",
            *lines,
            "return loss",
        )
    )


def in_validation(*lines: str) -> str:
    return "\n    ".join(
        ("def validation_step(self, batch, batch_idx):", "x, y = batch", "p = self.net(x)", *lines)
    )


# Hooks ------------------------------------------------------------------------------------------

REFUSING = [name for name, row in facts.log_hooks().items() if not row.levels]
PREDICTING = in_hook("shared", 'self.log(f"{stage}_loss", batch.mean())', "self, batch, stage")


@pytest.mark.parametrize("hook", REFUSING)
def test_a_log_call_in_a_hook_that_takes_none_is_found(hook: str, tmp_path: Path) -> None:
    body = in_hook(hook, 'self.log("x", 1.0)', "self, *args")
    assert [d.code for d in found(tmp_path, body)] == ["LM601"]


@pytest.mark.parametrize(
    "body",
    [
        in_hook("on_validation_end", 'self.log_dict({"x": 1.0})'),
        in_hook("on_validation_end", "self.report()") + in_hook("report", 'self.log("x", 1.0)'),
        in_hook("on_test_end", 'if self.trainer.is_global_zero: self.log("x", 1.0)'),
        PREDICTING + in_hook("predict_step", 'self.shared(batch, "p")', "self, batch, batch_idx"),
    ],
    ids=["log_dict", "through a method", "under a condition", "through a shared step"],
)
def test_a_log_call_is_found_on_its_way(body: str, tmp_path: Path) -> None:
    assert [d.code for d in found(tmp_path, body)] == ["LM601"]


ALLOWED = {
    **{
        hook: in_hook(hook, 'self.log("x", 1.0)', "self, *args")
        for hook, row in facts.log_hooks().items()
        if row.levels and not row.removed_in
    },
    "a logger": in_hook("on_fit_start", 'self.logger.log_metrics({"x": 1.0})'),
    "an experiment": in_hook("on_train_end", 'self.logger.experiment.log({"x": 1.0})'),
    "a log of its own": in_hook("on_train_end", 'self.log("x", 1.0)')
    + in_hook("log", "print(name, value)", "self, name, value"),
    "told not to": in_hook("shared", 'if stage != "predict": self.log("x", 1.0)', "self, b, stage")
    + in_hook("predict_step", 'return self.shared(batch, "predict")', "self, batch, batch_idx"),
    "not while predicting": in_hook(
        "predict_step", 'if not self.trainer.predicting: self.log("x", 1.0)', "self, batch, i"
    ),
    "left before": """
        def shared(self, batch):
            if self.trainer.predicting:
                return batch
            self.log("x", 1.0)

        def predict_step(self, batch, batch_idx):
            return self.shared(batch)
        """,
    "called by a step": in_hook("predict_step", 'self.log("x", 1.0)', "self, batch, batch_idx")
    + in_hook("test_step", "self.predict_step(batch, batch_idx)", "self, batch, batch_idx"),
    "tried": """
        def on_train_end(self):
            try:
                self.log("x", 1.0)
            except Exception:
                print("no")
        """,
    "no hook": in_hook("report", 'self.log("x", 1.0)'),
    "a function in it": """
        def configure_optimizers(self):
            def later():
                self.log("x", 1.0)
            return torch.optim.SGD(self.parameters(), lr=0.1)
        """,
}


@pytest.mark.parametrize("body", ALLOWED.values(), ids=ALLOWED)
def test_a_log_call_where_it_may_be_is_quiet(body: str, tmp_path: Path) -> None:
    assert [d.message for d in found(tmp_path, dedent(body), "LM601", "LM602")] == []


def test_a_callback_is_refused_alike(tmp_path: Path) -> None:
    text = """
        import lightning.pytorch as pl

        class Report(pl.Callback):
            def on_fit_end(self, trainer, pl_module):
                pl_module.log("x", 1.0)

            def on_validation_end(self, trainer, pl_module):
                self.log("y", 1.0)

            def on_validation_epoch_end(self, trainer, pl_module):
                pl_module.log("z", 1.0)

            def on_train_epoch_start(self, trainer, pl_module):
                pl_module.log("w", 1.0, on_step=True)
        """
    projects.written(tmp_path, {"report.py": text})
    report = projects.check(tmp_path, *ALL)
    assert sorted(d.message.split()[0] for d in report.diagnostics) == ['"w"', '"x"', '"y"']
    assert all(d.fix is None for d in report.diagnostics if d.code == "LM601")


MOVED = in_hook("on_validation_end", 'self.log("x", self.total)')


def test_the_hook_before_takes_the_log_call(tmp_path: Path) -> None:
    assert "    def on_validation_epoch_end(self):\n" in fixed(tmp_path, MOVED, "LM601")


@pytest.mark.parametrize(
    "body",
    [
        MOVED + in_hook("on_validation_epoch_end", "self.total = 0"),
        in_hook("on_validation_end", 'self.log("x", self.trainer.callback_metrics["y"] * 2)'),
        in_hook("on_validation_end", 'super().on_validation_end(); self.log("x", 1.0)'),
        in_hook("on_train_end", 'self.log("x", 1.0)'),
    ],
    ids=["there is one", "waits for the numbers", "calls its base", "no hook behind"],
)
def test_a_hook_that_cannot_move_says_why(body: str, tmp_path: Path) -> None:
    diagnostics = found(tmp_path, body, "LM601")
    assert diagnostics
    assert all(d.fix is None and d.blocked for d in diagnostics)


def test_hooks_and_levels_of_classes_below_are_heard(tmp_path: Path) -> None:
    text = """
        import lightning.pytorch as pl

        class Base(pl.LightningModule):
            def write(self):
                self.log("x", 1.0, on_step=True)

            def on_train_epoch_end(self):
                self.write()

            def on_validation_end(self):
                self.log("y", 1.0)

        class Below(Base):
            def on_train_epoch_end(self):
                pass

            def training_step(self, batch, batch_idx):
                self.write()

            def on_validation_end(self):
                super().on_validation_end()
        """
    projects.written(tmp_path, {"model.py": text})
    diagnostics = projects.check(tmp_path, *ALL).diagnostics
    assert [d.code for d in diagnostics] == ["LM602", "LM601"]
    assert all(d.fix is None and d.blocked for d in diagnostics)


# Levels -----------------------------------------------------------------------------------------

LEVELS = {
    "a step in an epoch hook": (
        in_hook("on_train_epoch_end", 'self.log("x", 1.0, on_step=True)'),
        'self.log("x", 1.0)',
    ),
    "a step in an old epoch hook": (
        in_hook("training_epoch_end", 'self.log("x", 1.0, on_step=True)', "self, outputs"),
        'self.log("x", 1.0)',
    ),
    "no epoch in an epoch hook": (
        in_hook("on_validation_start", 'self.log("x", 1.0, on_epoch=False)'),
        'self.log("x", 1.0)',
    ),
    "both in an epoch hook": (
        in_hook("on_test_epoch_end", 'self.log("x", 1.0, on_step=True, on_epoch=True)'),
        'self.log("x", 1.0, on_epoch=True)',
    ),
    "no step in training": (
        in_training('self.log("x", loss, on_step=False, prog_bar=True)'),
        'self.log("x", loss, on_step=False, on_epoch=True, prog_bar=True)',
    ),
    "no epoch in validation": (
        in_validation('self.log("x", p.mean(), on_epoch=False)'),
        'self.log("x", p.mean(), on_epoch=False, on_step=True)',
    ),
    "several keys": (
        in_hook("on_test_start", 'self.log_dict({"x": 1.0, "y": 2.0}, on_step=True)'),
        'self.log_dict({"x": 1.0, "y": 2.0})',
    ),
    "on lines of their own": (
        in_training("self.log(", '    "x",', "    loss,", "    on_step=False,", ")"),
        "            on_step=False,\n            on_epoch=True,\n        )",
    ),
}


@pytest.mark.parametrize(("body", "line"), LEVELS.values(), ids=LEVELS)
def test_levels_that_the_hook_refuses_are_mended(body: str, line: str, tmp_path: Path) -> None:
    assert line in fixed(tmp_path, body, "LM602")


UNDECIDED = {
    "both off": in_training('self.log("x", loss, on_step=False, on_epoch=False)'),
    "both off in a dict": in_validation('self.log_dict({"x": p.mean()}, False, None, False, False)')
    + '\n    self.log("x", p.mean(), on_step=False, on_epoch=False)',
    "shared by stages": in_hook(
        "shared", 'self.log(f"{s}", 1.0, on_step=s == "a", on_epoch=s == "b")', "self, s"
    )
    + in_hook("training_step", 'self.shared("a")', "self, batch, i")
    + in_hook("test_step", 'self.shared("c")', "self, batch, i"),
}


@pytest.mark.parametrize("body", UNDECIDED.values(), ids=UNDECIDED)
def test_levels_that_say_nothing_are_left_to_the_author(body: str, tmp_path: Path) -> None:
    (only,) = found(tmp_path, body, "LM602")
    assert only.fix is None
    assert only.blocked


FITTING = {
    "an epoch hook": in_hook(
        "on_train_epoch_end", 'self.log("x", 1.0, on_step=False, on_epoch=True)'
    ),
    "defaults": in_hook("on_train_epoch_end", 'self.log("x", 1.0, on_step=None, on_epoch=None)'),
    "steps of an evaluation": in_validation(
        'self.log("x", p.mean(), on_step=True, on_epoch=False)'
    ),
    "epochs of training": in_training('self.log("x", loss, on_step=False, on_epoch=True)'),
    "not known": in_training('self.log("x", loss, on_step=self.often, on_epoch=self.rare)'),
    "from a dict": in_training('self.log("x", loss, on_step=False, **self.options)'),
    "one of two": in_hook(
        "shared", "self.log(s, 1.0, on_step=s == 't', on_epoch=s != 't')", "self, s"
    )
    + in_hook("training_step", 'self.shared("t")', "self, batch, i")
    + in_hook("validation_step", 'self.shared("v")', "self, batch, i"),
    "where a condition decides": in_hook(
        "write", 'if self.trainer.training: self.log("x", 1.0, on_step=True)'
    )
    + in_hook("on_train_epoch_end", "self.write()")
    + in_hook("training_step", "self.write()", "self, batch, i"),
}


@pytest.mark.parametrize("body", FITTING.values(), ids=FITTING)
def test_levels_that_the_hook_takes_are_quiet(body: str, tmp_path: Path) -> None:
    assert [d.message for d in found(tmp_path, body, "LM602")] == []


# Values -----------------------------------------------------------------------------------------

REFUSED = {
    "text": 'self.log("x", "high")',
    "formatted": 'self.log("x", f"{p.mean():.3f}")',
    "text of a number": 'self.log("x", str(p.mean()))',
    "none": 'self.log("x", None)',
    "rates": 'rates = self.lr_schedulers().get_last_lr(); self.log("x", rates)',
    "a list made": 'self.log("x", list(p))',
    "a list": 'self.log("x", [p.mean()])',
    "a list by name": 'means = [row.mean() for row in p]; self.log("x", means)',
    "a dict": 'self.log("x", {"a": p.mean()})',
    "a dict in a dict": 'self.log_dict({"x": {"a": p.mean()}})',
    "a pair": 'self.log("x", (p.mean(), p.max()))',
    "an array": 'self.log("x", p.mean().detach().cpu().numpy())',
    "an array made": 'self.log("x", np.array(3.0))',
    "a collection": 'self.log("x", self.all)',
    "losses": 'self.log("x", F.mse_loss(p, y, reduction="none"))',
    "losses of an object": 'self.log("x", self.spread(p, y))',
    "stacked": 'self.log("x", torch.stack([p.mean(), p.max()]))',
    "a matrix": 'self.log("x", self.matrix(p, y))',
    "an object with a matrix": 'self.matrix.update(p, y); self.log("x", self.matrix)',
    "one for each class": 'self.log("x", self.each(p, y))',
}


@pytest.mark.parametrize("line", REFUSED.values(), ids=REFUSED)
def test_a_value_that_raises_is_found(line: str, tmp_path: Path) -> None:
    assert [d.code for d in found(tmp_path, in_validation(*line.split("; ")), "LM603")] == ["LM603"]


TAKEN = {
    "a float": 'self.log("x", 0.5)',
    "an int": 'self.log("x", len(x))',
    "a bool": 'self.log("x", True)',
    "a loss": 'self.log("x", F.mse_loss(p, y))',
    "a mean of losses": 'self.log("x", F.mse_loss(p, y, reduction="none").mean())',
    "losses made one": 'd = F.mse_loss(p, y, reduction="none"); d = d.mean(); self.log("x", d)',
    "an object": 'self.acc.update(p, y); self.log("x", self.acc)',
    "a collection": "self.all.update(p, y); self.log_dict(self.all)",
    "answers of a collection": "self.log_dict(self.all(p, y))",
    "an entry": 'self.log("x", self.all(p, y)["BinaryAccuracy"])',
    "an element of a matrix": 'self.log("x", self.matrix(p, y)[0, 0])',
    "the trace of a matrix": 'm = self.matrix(p, y); self.log("x", m.trace() / m.sum())',
    "one class": 'self.log("x", self.each(p, y)[1])',
    "the mean of classes": 'self.log("x", self.each(p, y).mean())',
    "a number of numpy": 'self.log("x", np.mean(p.cpu().numpy()))',
    "an element of an array": 'self.log("x", p.cpu().numpy()[0])',
    "the mean of an array": 'self.log("x", p.cpu().numpy().mean())',
    "a rate": 'self.log("x", self.lr_schedulers().get_last_lr()[0])',
    "one in a tensor": 'self.log("x", torch.tensor([0.5]))',
    "maybe none": 'v = None if self.quiet else p.mean(); self.log("x", v)',
    "set later": 'v = None; v = p.mean() if v is None else v; self.log("x", v)',
    "an argument": "self.write(None); self.write(p.mean())",
    "entries": 'self.log_dict({"a": p.mean(), "b": p.max()})',
    "a dict by name": 'd = {"a": p.mean()}; self.log_dict(d)',
    "of a dict": 'd = {"a": p.mean()}; self.log("x", d["a"])',
    "unpacked": 'a, b = p.mean(), p.max(); self.log("x", a)',
    "not known": 'self.log("x", self.score(p))',
    "by keyword": 'self.log(name="x", value=p.mean())',
    "a dict by keyword": 'self.log_dict(dictionary={"x": p.mean()})',
    "spread": 'pair = ("x", p.mean()); self.log(*pair)',
    "options": 'self.log("x", **self.entry(p))',
}
WRITE = in_hook("write", 'if value is not None: self.log("x", value)', "self, value")


@pytest.mark.parametrize("line", TAKEN.values(), ids=TAKEN)
def test_a_value_that_may_be_one_number_is_quiet(line: str, tmp_path: Path) -> None:
    body = in_validation(*line.split("; ")) + "\n" + WRITE
    assert [d.message for d in found(tmp_path, body, "LM603")] == []


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ('self.log("x", self.spread(p, y))', 'self.log("x", self.spread(p, y).mean())'),
        ('self.log("x", p.mean().cpu().numpy())', 'self.log("x", p.mean())'),
        ('self.log("x", self.all, on_epoch=True)', "self.log_dict(self.all, on_epoch=True)"),
        ('self.log("x", sched.get_last_lr())', 'self.log("x", sched.get_last_lr()[0])'),
        ('self.log({"x": p.mean()}, prog_bar=True)', 'self.log_dict({"x": p.mean()}, prog_bar'),
        ('self.log_dict("x", p.mean())', 'self.log("x", p.mean())'),
    ],
    ids=["losses", "an array", "a collection", "rates", "a dict", "a key"],
)
def test_a_value_is_written_as_it_is_taken(line: str, wanted: str, tmp_path: Path) -> None:
    assert wanted in fixed(tmp_path, in_validation(line), "LM603")


# Keys -------------------------------------------------------------------------------------------

CLASHES = {
    "the bar": ('self.log("x", 1.0)', 'self.log("x", 1.0, prog_bar=True)'),
    "the logger": ('self.log("x", 1.0, logger=False)', 'self.log("x", 1.0)'),
    "levels": ('self.log("x", 1.0)', 'self.log_dict({"x": 1.0}, on_step=True)'),
    "the reduction": ('self.log("x", 1.0)', 'self.log("x", 1.0, reduce_fx="sum")'),
    "objects": ('self.log("x", self.acc)', 'self.log("x", self.f1)'),
    "the loaders": ('self.log("x/dataloader_idx_1", 1.0)',),
}


@pytest.mark.parametrize("lines", CLASHES.values(), ids=CLASHES)
def test_a_key_in_two_ways_is_found(lines: tuple[str, ...], tmp_path: Path) -> None:
    assert [d.code for d in found(tmp_path, in_validation(*lines), "LM604")] == ["LM604"]


AGREED = {
    "the same": ('self.log("x", 1.0)', 'self.log("x", 2.0)'),
    "said and not": ('self.log("x", 1.0, logger=True)', 'self.log("x", 2.0, on_epoch=True)'),
    "either": (
        "if self.loud:",
        '    self.log("x", 1.0, prog_bar=True)',
        "else:",
        '    self.log("x", 1.0)',
    ),
    "batch sizes": ('self.log("x", 1.0, batch_size=3)', 'self.log("x", 1.0)'),
    "two keys": ('self.log("x", 1.0)', 'self.log("y", 1.0, prog_bar=True)'),
    "not known": ('self.log("x", 1.0)', 'self.log("x", 1.0, prog_bar=self.loud)'),
    "keys not known": ("self.log(self.name, 1.0)", "self.log(self.name, 1.0, prog_bar=True)"),
    "by position": ('self.log("x", 1.0, True)', 'self.log("x", 1.0, prog_bar=True)'),
    "loaders told apart": ('self.log("x/dataloader_idx_1", 1.0, add_dataloader_idx=False)',),
}


@pytest.mark.parametrize("lines", AGREED.values(), ids=AGREED)
def test_keys_that_agree_are_quiet(lines: tuple[str, ...], tmp_path: Path) -> None:
    body = (
        in_validation(*lines) + "\n" + in_hook("test_step", 'self.log("x", 1, True)', "self, b, i")
    )
    assert [d.message for d in found(tmp_path, body, "LM604")] == []


@pytest.mark.parametrize(
    ("parameters", "key", "count"),
    [
        ("self, batch, batch_idx, dataloader_idx", '"x"', 1),
        ("self, batch, batch_idx, dataloader_idx=0", '"x"', 0),
        ("self, batch, batch_idx", '"x"', 0),
        ("self, batch, batch_idx, dataloader_idx", 'f"x{dataloader_idx}"', 0),
    ],
)
def test_one_key_for_several_loaders(parameters: str, key: str, count: int, tmp_path: Path) -> None:
    line = f"self.log({key}, 1.0, add_dataloader_idx=False)"
    body = in_hook("validation_step", line, parameters)
    assert len(found(tmp_path, body, "LM604")) == count


MISPLACED = [
    in_training('self.log("step", batch_idx)'),
    in_training('self.log("step", loss)'),
    in_training('self.log("step", self.global_step, on_step=False, on_epoch=True)'),
    in_validation('self.log("epoch", F.mse_loss(p, y))'),
]
PLACED = [
    in_training('self.log("step", self.global_step)'),
    in_training('self.log("step", float(self.current_epoch), on_step=False, on_epoch=True)'),
    in_training('self.log("epoch", self.current_epoch)'),
    in_training('self.log("step", loss, on_step=True, on_epoch=True)'),
    in_training('self.log("step", loss, logger=False)'),
    in_training('self.log("train/step", batch_idx)'),
    in_hook("on_validation_epoch_end", 'self.log("step", self.current_epoch)'),
    in_hook("on_validation_epoch_end", 'self.log("step", self.samples_seen)'),
]


@pytest.mark.parametrize("body", MISPLACED)
def test_a_number_that_places_its_row_is_found(body: str, tmp_path: Path) -> None:
    assert [d.code for d in found(tmp_path, body, "LM605")] == ["LM605"]


@pytest.mark.parametrize("body", PLACED)
def test_a_row_that_is_placed_on_purpose_is_quiet(body: str, tmp_path: Path) -> None:
    assert [d.message for d in found(tmp_path, body, "LM605")] == []


# Arguments --------------------------------------------------------------------------------------

GONE = {
    "drop": ("tbptt_reduce_fx=torch.mean", ""),
    "drop a number": ("tbptt_pad_token=0, prog_bar=True", ", prog_bar=True"),
    "the mean of processes": ('sync_dist=True, sync_dist_op="mean"', ", sync_dist=True"),
    "the sum of processes": ('sync_dist_op="sum"', ', reduce_fx="sum"'),
    "said twice, in two ways": (
        'reduce_fx=torch.sum, sync_dist_op="sum"',
        ", reduce_fx=torch.sum",
    ),
    "said twice": ('reduce_fx="max", sync_dist_op="max"', ', reduce_fx="max"'),
    "an array function": ("reduce_fx=np.mean", ', reduce_fx="mean"'),
    "the largest": ("reduce_fx=torch.amax", ', reduce_fx="max"'),
    "none": ("reduce_fx=None", ""),
}


@pytest.mark.parametrize(("given", "left"), GONE.values(), ids=GONE)
def test_an_argument_that_went_is_mended(given: str, left: str, tmp_path: Path) -> None:
    text = fixed(tmp_path, in_training(f'self.log("x", loss, {given})'), "LM606")
    assert f'self.log("x", loss{left})' in text


@pytest.mark.parametrize(
    "given",
    [
        "reduce_fx=lambda values: values[-1]",
        "reduce_fx=torch.median",
        "reduce_fx=last",
        'reduce_fx="median"',
        'reduce_fx="sum", sync_dist_op="max"',
        "progress_bar=True",
        "on_epochs=True",
    ],
)
def test_an_argument_that_nobody_can_decide_says_so(given: str, tmp_path: Path) -> None:
    (only,) = found(tmp_path, in_training(f'self.log("x", loss, {given})'), "LM606")
    assert only.fix is None
    assert only.blocked


OTHERS = {
    "all there are": in_training(
        'self.log("x", loss, prog_bar=True, logger=True, on_step=True, on_epoch=True, '
        'reduce_fx="mean", enable_graph=False, sync_dist=True, sync_dist_group=None, '
        "add_dataloader_idx=True, batch_size=4, rank_zero_only=False)"
    ),
    "an attribute": in_training('self.log("x", self.acc, metric_attribute="acc")'),
    "reductions": in_training('self.log("x", loss, reduce_fx=torch.max)')
    + '\n    self.log("y", loss, reduce_fx=min); self.log("z", loss, reduce_fx="SUM")',
    "a reduction by name": in_training('self.log("x", loss, reduce_fx=self.reduce)'),
    "a logger": in_training("self.logger.experiment.log(x=1, commit=False)"),
    "a log of its own": in_training('self.log("x", loss, every=10)')
    + "\n"
    + in_hook("log", "super().log(name, value)", "self, name, value, every=1"),
    "by version": in_training(
        'if pl.__version__ < "1.6":',
        '    self.log("x", loss, sync_dist_op="mean")',
    ),
    "of something else": in_training('self.journal.log("x", loss, tbptt_pad_token=1)'),
}


@pytest.mark.parametrize("body", OTHERS.values(), ids=OTHERS)
def test_arguments_of_today_are_quiet(body: str, tmp_path: Path) -> None:
    assert [d.message for d in found(tmp_path, body, "LM606")] == []


def test_a_log_that_hands_on_to_the_base_is_read(tmp_path: Path) -> None:
    body = in_hook("log", "super().log(name, value, sync_dist_op=op)", "self, name, value, op=None")
    (only,) = found(tmp_path, body + in_training('self.log("x", loss, op="max")'), "LM606")
    assert "sync_dist_op" in only.message


def test_objects_in_a_list_of_a_callback(tmp_path: Path) -> None:
    text = """
        import lightning.pytorch as pl
        from torchmetrics.classification import BinaryAccuracy, BinaryF1Score

        class Watch(pl.Callback):
            def __init__(self):
                self.metrics = [BinaryAccuracy(), BinaryF1Score()]

            def on_validation_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
                for metric in self.metrics:
                    pl_module.log(metric.name, metric)
                for name, other in pl_module.metrics.items():
                    pl_module.log(name, other)
        """
    projects.written(tmp_path, {"watch.py": text})
    (only,) = projects.check(tmp_path, "LM607").diagnostics
    assert only.start.line == 11  # Not those of the module.


def test_a_base_from_elsewhere_may_take_more(tmp_path: Path) -> None:
    text = """
        import pytorch_lightning as pl
        from theirs import LogMixin

        class M(LogMixin, pl.LightningModule):
            def training_step(self, batch, batch_idx):
                self.log("x", 1.0, every=10)
        """
    projects.written(tmp_path, {"model.py": text})
    assert projects.check(tmp_path, "LM606").diagnostics == []


# Objects ----------------------------------------------------------------------------------------

LOST = {
    "a clone": ("acc = self.acc.clone()", "acc.update(p, y)", 'self.log("x", acc)'),
    "made anew": ("self.acc = BinaryAccuracy()", "self.acc(p, y)", 'self.log("x", self.acc)'),
}


@pytest.mark.parametrize("lines", LOST.values(), ids=LOST)
def test_an_object_that_is_not_found_is_found(lines: tuple[str, ...], tmp_path: Path) -> None:
    (only,) = found(tmp_path, in_validation(*lines), "LM607")
    assert only.blocked


HELD = {
    "an attribute": ("self.acc.update(p, y)", 'self.log("x", self.acc)'),
    "by another name": ("acc = self.acc", "acc.update(p, y)", 'self.log("x", acc)'),
    "named": ("acc = BinaryAccuracy()", 'self.log("x", acc, metric_attribute="acc")'),
    "kept": ("acc = BinaryAccuracy()", "self.last = acc", 'self.log("x", acc)'),
    "registered": ("a = BinaryAccuracy()", 'self.add_module("a", a)', 'self.log("x", a)'),
    "members": ("for name, one in self.all.items():", "    self.log(name, one)"),
    "a number": ("acc = BinaryAccuracy()", 'self.log("x", acc(p, y))'),
    "made once": (
        "if not hasattr(self, 'own'):",
        "    self.own = BinaryAccuracy()",
        'self.log("x", self.own)',
    ),
    "not known": ("acc = self.metric_for(x)", 'self.log("x", acc)'),
}


@pytest.mark.parametrize("lines", HELD.values(), ids=HELD)
def test_an_object_of_the_module_is_quiet(lines: tuple[str, ...], tmp_path: Path) -> None:
    assert [d.message for d in found(tmp_path, in_validation(*lines), "LM607")] == []


@pytest.mark.parametrize(
    ("setup", "value", "count"),
    [
        ("self.acc = BinaryAccuracy()", "self.acc", 1),
        ("self.acc = BinaryAccuracy()", "self.acc.compute()", 0),
        ("self.acc = BinaryAccuracy()", "pl_module.acc", 0),
        ("self.acc = pl_module.acc = BinaryAccuracy()", "self.acc", 0),
        ("self.acc = {'a': BinaryAccuracy()}", "self.acc['a']", 1),
    ],
)
def test_an_object_of_a_callback(setup: str, value: str, count: int, tmp_path: Path) -> None:
    text = f"""
        import lightning.pytorch as pl
        from torchmetrics.classification import BinaryAccuracy

        class Watch(pl.Callback):
            def setup(self, trainer, pl_module, stage):
                {setup}

            def on_validation_epoch_end(self, trainer, pl_module):
                pl_module.log("x", {value})
        """
    projects.written(tmp_path, {"watch.py": text})
    assert len(projects.check(tmp_path, "LM607").diagnostics) == count


# Fetching ---------------------------------------------------------------------------------------

FETCHED = {
    "item": ('self.log("x", loss.item())', 'self.log("x", loss)'),
    "detached": ('self.log("x", loss.detach().cpu().item())', 'self.log("x", loss.detach())'),
    "cpu": ('self.log("x", p.mean().cpu())', 'self.log("x", p.mean())'),
    "float": ('self.log("x", float(F.l1_loss(p, y)))', 'self.log("x", F.l1_loss(p, y))'),
    "a float of an item": ('self.log("x", float(loss.item()))', 'self.log("x", loss)'),
    "a sum": ('self.log("x", (loss + 1).item())', 'self.log("x", loss + 1)'),
    "in a dict": (
        'self.log_dict({"x": loss.item(), "y": 1.0})',
        'self.log_dict({"x": loss, "y": 1.0})',
    ),
    "an answer": ('self.log("x", self.acc(p, y).item())', 'self.log("x", self.acc(p, y))'),
    "by keyword": ('self.log("x", value=loss.item())', 'self.log("x", value=loss)'),
}


@pytest.mark.parametrize(("line", "wanted"), FETCHED.values(), ids=FETCHED)
def test_a_fetched_value_is_logged_as_it_is(line: str, wanted: str, tmp_path: Path) -> None:
    assert wanted in fixed(tmp_path, in_training(line), "LM608")


@pytest.mark.parametrize(
    "lines",
    [
        ("parts = self.parts(p, y)", 'self.log("x", parts["a"].item())'),
        ("hits = (p.argmax(1) == y).sum()", 'self.log("x", hits.item())'),
        ("parts = self.parts(p, y)", "self.log_dict({k: v.item() for k, v in parts.items()})"),
        ('self.log("x", loss.double().item())',),
    ],
    ids=["not known", "whole numbers", "each of a dict", "doubles"],
)
def test_what_may_be_no_tensor_is_left(lines: tuple[str, ...], tmp_path: Path) -> None:
    (only,) = found(tmp_path, in_training(*lines), "LM608")
    assert only.fix is None
    assert only.blocked


UNFETCHED = {
    "a tensor": in_training('self.log("x", loss)'),
    "detached": in_training('self.log("x", loss.detach())'),
    "an evaluation": in_validation('self.log("x", p.mean().item())'),
    "now and then": in_training("if batch_idx % 50 == 0:", '    self.log("x", loss.item())'),
    "used as well": in_training("value = loss.item()", "print(value)", 'self.log("x", value)'),
    "of numpy": in_training("a = np.mean([1.0, 2.0])", 'self.log("x", a.item())'),
    "an array": in_training("a = p.detach().cpu().numpy().mean()", 'self.log("x", a.item())'),
    "a number": in_training('self.log("x", float(batch_idx))'),
    "a float of who knows what": in_training('self.log("x", float(self.rate(loss)))'),
    "made here": in_training('self.log("x", torch.tensor(3.0).item())'),
    "a rate": in_training('self.log("x", float(self.optimizers().param_groups[0]["lr"]))'),
    "the end of an epoch": in_hook("on_train_epoch_end", 'self.log("x", self.total.item())'),
}


@pytest.mark.parametrize("body", UNFETCHED.values(), ids=UNFETCHED)
def test_what_waits_for_nothing_is_quiet(body: str, tmp_path: Path) -> None:
    assert [d.message for d in found(tmp_path, body, "LM608")] == []


# Releases ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "target", "expected"),
    [
        (in_training('self.log("x", loss, sync_dist_op="mean")'), "1.3", []),
        (in_training('self.log("x", loss, sync_dist_op="mean")'), "1.5", ["stale"]),
        (in_training('self.log("x", loss, sync_dist_op="mean")'), "1.6", ["crash"]),
        (in_training('self.log("x", loss, reduce_fx=torch.amax)'), "1.3", []),
        (in_validation('self.log("x", self.spread(p, y))'), "1.6", []),
        (in_validation('self.log("x", self.spread(p, y))'), "1.7", ["crash"]),
        (in_validation('self.log("x", {"a": p.mean()})'), "1.9", []),
        (in_hook("on_train_epoch_start", 'self.log("x", 1.0, on_step=True)'), "1.4", []),
        (in_training('self.log("x", loss, on_step=False)'), "1.4", ["ignored"]),
        (in_training('self.log("x", loss, on_step=False)'), "2.0", ["crash"]),
        (in_hook("on_validation_end", 'self.log("x", 1.0)'), "1.3", []),
    ],
)
def test_the_target_decides(body: str, target: str, expected: list[str], tmp_path: Path) -> None:
    codes = ("LM601", "LM602", "LM603", "LM606")
    diagnostics = found(tmp_path, body, *codes, target=target)
    assert [d.consequence.value for d in diagnostics] == expected


# Facts ------------------------------------------------------------------------------------------


def test_the_levels_that_are_assumed_are_those_of_the_table() -> None:
    for name, row in facts.log_hooks().items():
        if row.levels and name in hooks.LOG_HOOKS:
            assert hooks.default_levels(name) == (row.default == "step", row.default == "epoch")
    assert set(hooks.LOG_HOOKS) <= {n for n, row in facts.log_hooks().items() if row.levels}


def _installed(module: str) -> ast.Module:
    spec = importlib.util.find_spec("lightning")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("lightning is not installed")
    path = Path(spec.submodule_search_locations[0]) / "pytorch" / module
    return ast.parse(path.read_text(encoding="utf-8"))


def test_the_table_of_hooks_is_that_of_the_installed_lightning() -> None:
    tree = _installed("trainer/connectors/logger_connector/fx_validator.py")
    (table,) = (
        node for node in ast.walk(tree) if isinstance(node, ast.Dict) and len(node.keys) > 9
    )
    read = {}
    for key, value in zip(table.keys, table.values, strict=True):
        options = (
            {k.arg: ast.literal_eval(k.value) for k in value.keywords}
            if isinstance(value, ast.Call)
            else {}
        )
        step, epoch = (True in options.get("allowed_on_step", ())), bool(options)
        default = {True: "step", False: "epoch"}.get(options.get("default_on_step", ""), "")
        free = False in options.get("allowed_on_epoch", (False,))
        assert isinstance(key, ast.Constant)
        read[key.value] = (("step epoch" if step else "epoch") if epoch else "", default)
        assert step == free or not options
    rows = {n: (r.levels, r.default) for n, r in facts.log_hooks().items() if not r.removed_in}
    assert rows == read


def test_the_table_of_arguments_is_that_of_the_installed_lightning() -> None:
    tree = _installed("core/module.py")
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name in ("log", "log_dict"):
            given = {a.arg for a in (*node.args.args, *node.args.kwonlyargs)} - {"self"}
            rows = facts.log_arguments(node.name)
            current = {n for n, group in rows.items() if any(r.action == "current" for r in group)}
            assert current == given
