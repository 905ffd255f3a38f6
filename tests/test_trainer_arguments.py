"""Arguments of a Trainer or callback that Lightning refuses are found where they are written."""

from __future__ import annotations

import ast
from datetime import timedelta
from pathlib import Path
from textwrap import dedent

import projects
import pytest

from lintmetrics import facts, runner
from lintmetrics.config import CommandLine, Configuration
from lintmetrics.sources import discover

HEAD = """\
from datetime import timedelta

import lightning.pytorch as pl
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import *

"""
ROWS = [row for found in facts.refused_arguments().values() for row in found]


def found(tmp_path: Path, text: str, target: str = "") -> list[str]:
    projects.written(tmp_path, {"main.py": HEAD + dedent(text).strip("\n") + "\n"})
    said = (f"lightning={target}",) if target else ()
    line = CommandLine(select=("LM508",), isolated=True, target=said)
    configuration = Configuration(line)
    files, _ = discover([str(tmp_path)], configuration.settings_for)
    report = runner.check(files, configuration.settings_for, 1)
    assert not report.failures, report.failures
    return [d.message for d in report.diagnostics]


def test_the_example_of_every_row_is_found(tmp_path: Path) -> None:
    messages = found(tmp_path, "\n".join(row.example for row in ROWS))
    assert [message.partition(")")[0].partition("=")[0] for message in messages] == [
        f"{row.owner}({row.argument}" for row in ROWS
    ]


def test_the_example_of_every_row_is_refused() -> None:
    callbacks = pytest.importorskip("lightning.pytorch.callbacks", reason="needs the verify extra")
    pl = pytest.importorskip("lightning.pytorch")
    known = {**vars(callbacks), "Trainer": pl.Trainer, "timedelta": timedelta}
    for row in ROWS:
        if row.error:  # The others are refused when the run begins.
            with pytest.raises(Exception) as caught:  # noqa: PT011
                eval(row.example, known)
            assert type(caught.value).__name__ == row.error, row.example


def test_a_message_says_what_is_written_and_what_lightning_raises(tmp_path: Path) -> None:
    assert found(tmp_path, "TOP = 3\nModelCheckpoint('best', save_top_k=TOP)") == [
        "ModelCheckpoint(save_top_k=TOP) has no monitor to rank by: MisconfigurationException"
    ]


FOUND = {
    "by position": "ModelCheckpoint('a', 'b', None, False, True, 5)",
    "with None in words": "ModelCheckpoint(monitor=None, save_top_k=2)",
    "a constant of the function": "def f():\n    k = 2\n    return ModelCheckpoint(save_top_k=k)",
    "of a class without an __init__": (
        "class Best(ModelCheckpoint):\n    def extra(self):\n        return 1\n\nBest(save_top_k=2)"
    ),
    "beside what is not known": "def f(kw):\n    Trainer(max_steps=-2, **kw)",
    "a list of ints": "StochasticWeightAveraging(swa_lrs=[1, 0.1])",
    "an hour and more": "Trainer(max_time='1:00:00')",
}


@pytest.mark.parametrize("case", list(FOUND))
def test_what_is_written_in_another_way_is_found(case: str, tmp_path: Path) -> None:
    assert len(found(tmp_path, FOUND[case])) == 1


QUIET = [
    "ModelCheckpoint()",
    "ModelCheckpoint(monitor='a', save_top_k=3)",
    "ModelCheckpoint('a', 'b', 'c', save_top_k=3)",
    "ModelCheckpoint(save_top_k=-1)",
    "ModelCheckpoint(save_top_k=0)",
    "ModelCheckpoint(save_top_k=True)",
    "def f(kw):\n    ModelCheckpoint(save_top_k=3, **kw)",
    "def f(key):\n    ModelCheckpoint(save_top_k=3, monitor=key)",
    "def f(k):\n    ModelCheckpoint(save_top_k=k)",
    "def f(c):\n    ModelCheckpoint(save_top_k=3 if c else 1)",
    "def f(c):\n    k = 3\n    if c:\n        k = 1\n    ModelCheckpoint(save_top_k=k)",
    "def f(names):\n    ModelCheckpoint(*names, save_top_k=3)",
    "ModelCheckpoint(every_n_train_steps=10, every_n_epochs=0)",
    "ModelCheckpoint(every_n_train_steps=10, every_n_epochs=None)",
    "def f(span):\n    ModelCheckpoint(every_n_train_steps=10, train_time_interval=span)",
    "ModelCheckpoint(every_n_train_steps=10, train_time_interval=None)",
    "ModelCheckpoint(monitor='a', mode='max')",
    "EarlyStopping('a', mode='min')",
    "LearningRateMonitor(logging_interval=None)",
    "LearningRateMonitor('step')",
    "StochasticWeightAveraging(swa_lrs=1e-2, swa_epoch_start=5)",
    "StochasticWeightAveraging(swa_lrs=[0.1, 0.2], swa_epoch_start=1.0)",
    "def f(lr):\n    StochasticWeightAveraging(lr)",
    "GradientAccumulationScheduler({0: 1, 4: 2})",
    "def f(factor):\n    GradientAccumulationScheduler({0: factor})",
    "Timer('00:10:00:00')",
    "Timer(timedelta(hours=2))",
    "Timer({'hours': 2}, interval='epoch')",
    "Trainer(max_steps=-1, max_epochs=-1)",
    "Trainer(max_epochs=0, max_steps=1e5)",
    "Trainer(limit_train_batches=1.0, limit_val_batches=0, limit_test_batches=20.0)",
    "Trainer(limit_train_batches=-1, overfit_batches=2)",
    "Trainer(limit_val_batches=-1, fast_dev_run=True)",
    "def f(quick):\n    Trainer(limit_val_batches=-1, fast_dev_run=quick)",
    "def f(kw):\n    Trainer(limit_val_batches=-1, **kw)",
    "Trainer(val_check_interval=0.25)",
    "Trainer(val_check_interval=1000, check_val_every_n_epoch=None)",
    "Trainer(val_check_interval='00:01:00:00')",
    "Trainer(check_val_every_n_epoch=None)",
    "Trainer(num_sanity_val_steps=-1)",
    "Trainer(devices='auto')",
    "Trainer(devices=[0])",
    "Trainer(accelerator='gpu', devices=[0, 1])",
    "Trainer(accelerator='cpu', devices=2)",
    "Trainer(gradient_clip_val=1, gradient_clip_algorithm='VALUE')",
    "Trainer(profiler='simple')",
    "Trainer(profiler=None, max_time={'hours': 2})",
    "Trainer(precision=16)",
    "Trainer(precision='bf16-mixed')",
    "Trainer(precision=None)",
    "Trainer(barebones=True)",
    "Trainer(barebones=True, logger=False, enable_checkpointing=False, num_sanity_val_steps=0)",
    # What is gone since an older release is another matter.
    "Trainer(max_steps=None)",
    "ModelCheckpoint(monitor='a', mode='auto')",
    # Where an error is wanted, or caught.
    "import pytest\n\nwith pytest.raises(ValueError):\n    ModelCheckpoint(save_top_k=3)",
    "def f(self):\n    with self.assertRaises(ValueError):\n        Trainer(max_steps=-2)",
    "try:\n    Trainer(devices=0)\nexcept Exception:\n    pass",
    # Other classes of these names, and classes with an __init__ of their own.
    "from mine import ModelCheckpoint\n\nModelCheckpoint(save_top_k=3)",
    "def f(Trainer):\n    Trainer(max_steps=-2)",
    "class Best(ModelCheckpoint):\n    def __init__(self, save_top_k):\n"
    "        super().__init__(monitor='a', save_top_k=save_top_k)\n\nBest(save_top_k=3)",
]


@pytest.mark.parametrize("text", QUIET)
def test_what_lightning_takes_is_quiet(text: str, tmp_path: Path) -> None:
    assert found(tmp_path, text) == []


def test_the_release_that_the_code_runs_on_decides(tmp_path: Path) -> None:
    text = "Trainer(num_nodes=0)\nTrainer(devices=0)\nTrainer(max_steps=-2)"
    assert len(found(tmp_path, text)) == 3
    assert len(found(tmp_path, text, "1.9")) == 2
    assert len(found(tmp_path, text, "1.5")) == 1
    assert found(tmp_path, text, "1.4") == []


def test_every_condition_of_the_table_asks_for_its_own_argument() -> None:
    for row in ROWS:
        names = {n.id for n in ast.walk(ast.parse(row.refused)) if isinstance(n, ast.Name)}
        assert row.argument in names, row
        assert row.example.startswith(f"{row.owner}("), row


@pytest.mark.parametrize(
    "value", ["4", "'4'", "None", "True", "[4]", "(4,)", "{}", "{1: 'a'}", "0.5"]
)
def test_no_row_stumbles_over_a_value_of_another_type(value: str, tmp_path: Path) -> None:
    calls = {f"{row.owner}({row.argument}={value})" for row in ROWS}
    found(tmp_path, "\n".join(sorted(calls)))  # It fails where a rule crashes.
