"""Callbacks that do not go with their Trainer are found where both can be seen."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import projects
import pytest

from lintmetrics import facts, runner
from lintmetrics.config import CommandLine, Configuration
from lintmetrics.sources import discover

HEAD = """\
import lightning.pytorch as pl
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import *


class Best(ModelCheckpoint):
    pass


class Kept(pl.Callback):
    def state_dict(self):
        return {}


"""


def found(tmp_path: Path, text: str, target: str = "") -> list[str]:
    projects.written(tmp_path, {"main.py": HEAD + dedent(text).strip("\n") + "\n"})
    said = (f"lightning={target}",) if target else ()
    configuration = Configuration(CommandLine(select=("LM509",), isolated=True, target=said))
    files, _ = discover([str(tmp_path)], configuration.settings_for)
    report = runner.check(files, configuration.settings_for, 1)
    assert not report.failures, report.failures
    return [f"{d.consequence.value}: {d.message}" for d in report.diagnostics]


def test_the_example_of_every_row_is_found(tmp_path: Path) -> None:
    rows = facts.callback_switches()
    messages = found(tmp_path, "\n".join(row.example for row in rows))
    assert [m.partition(": ")[0] for m in messages] == [row.consequence for row in rows]
    assert all(row.text in m for row, m in zip(rows, messages, strict=True))


FOUND = {
    "Trainer(callbacks=ModelCheckpoint(), enable_checkpointing=False)": (
        "crash: ModelCheckpoint is given to a Trainer with enable_checkpointing=False: "
        "MisconfigurationException"
    ),
    "Trainer(callbacks=[Best()], enable_checkpointing=False, fast_dev_run=True)": "crash: Best is",
    "def f():\n    best = Best()\n    other = [best]\n"
    "    return Trainer(callbacks=other, enable_checkpointing=False)": "crash: Best is given to",
    "def f(c):\n    some = []\n    if c:\n        some.append(Timer())\n    some.append(Best())\n"
    "    return Trainer(callbacks=some, enable_checkpointing=False)": "crash: Best is given to",
    "def f(more):\n    return Trainer(callbacks=[Best()] + more, enable_checkpointing=False)": (
        "crash: Best is given to"
    ),
    "def f(kw):\n    return Trainer(callbacks=[Best()], enable_checkpointing=False, **kw)": (
        "crash: Best is given to"
    ),
    "def f(c):\n    if c:\n        some = [TQDMProgressBar()]\n"
    "        return Trainer(callbacks=some, enable_progress_bar=False)": "crash: TQDMProgressBar",
    "SOME = [RichProgressBar()]\n\ndef f():\n"
    "    return Trainer(callbacks=SOME, enable_progress_bar=False)": "crash: RichProgressBar is",
    "Trainer(callbacks=[TQDMProgressBar(), Timer(), RichProgressBar()])": (
        "crash: RichProgressBar is the second progress bar of a Trainer: MisconfigurationException"
    ),
    "Trainer(callbacks=[ModelCheckpoint(), ModelCheckpoint(dirpath='a')])": (
        "crash: a second ModelCheckpoint of one state key is given to a Trainer: RuntimeError"
    ),
    "Trainer(callbacks=[ModelCheckpoint('a', 'b', 'c'), ModelCheckpoint(monitor='c')])": (
        "crash: a second ModelCheckpoint"
    ),
    "Trainer(callbacks=[ModelCheckpoint(), ModelCheckpoint(every_n_epochs=1)])": (
        "crash: a second ModelCheckpoint"
    ),
    "def f(c):\n    Trainer(callbacks=[EarlyStopping(c.key), EarlyStopping(c.key, patience=9)])": (
        "crash: a second EarlyStopping"
    ),
    "best = Best(monitor='a')\nTrainer(callbacks=[best, best])": "crash: the same Best",
    "Trainer(callbacks=[Kept(), Kept()])": "crash: a second Kept",
    "Trainer(callbacks=[EarlyStopping])": (
        "crash: EarlyStopping among the callbacks is the class, and no object of it: TypeError"
    ),
    "Trainer(callbacks=Kept)": "crash: Kept among the callbacks is the class",
    "Trainer(callbacks=(Kept(),))": (
        "crash: callbacks is a tuple, to which the Trainer cannot append: AttributeError"
    ),
    "some = (Kept(),)\nTrainer(callbacks=some)": "crash: callbacks is a tuple",
}


@pytest.mark.parametrize("text", list(FOUND))
def test_what_a_trainer_refuses_is_found(text: str, tmp_path: Path) -> None:
    (message,) = found(tmp_path, text)
    assert message.startswith(FOUND[text])


QUIET = [
    "Trainer(callbacks=[ModelCheckpoint()], enable_checkpointing=True)",
    "Trainer(callbacks=[EarlyStopping('a')], enable_checkpointing=False)",
    "Trainer(callbacks=[ModelCheckpoint()])",
    "Trainer(enable_checkpointing=False, logger=False, enable_progress_bar=False)",
    "def f(on):\n    Trainer(callbacks=[ModelCheckpoint()], enable_checkpointing=on)",
    "def f(c):\n    Trainer(callbacks=[Best()] if c else [], enable_checkpointing=False)",
    "def f(c):\n    one = ModelCheckpoint() if c else Timer()\n"
    "    Trainer(callbacks=[one], enable_checkpointing=False)",
    "def f(c):\n    some = []\n    if c:\n        some.append(ModelCheckpoint())\n"
    "    Trainer(callbacks=some, enable_checkpointing=False)",
    "def f(c):\n    some = []\n    for one in c:\n        some.append(ModelCheckpoint(one))\n"
    "    Trainer(callbacks=some, enable_checkpointing=False)",
    "def f():\n    some = [ModelCheckpoint()]\n    some.pop()\n"
    "    Trainer(callbacks=some, enable_checkpointing=False)",
    "def f():\n    some = []\n    t = Trainer(callbacks=some, enable_checkpointing=False)\n"
    "    some.append(ModelCheckpoint())\n    return t",
    "def f(c):\n    some = [ModelCheckpoint()]\n    some = c(some)\n"
    "    Trainer(callbacks=some, enable_checkpointing=False)",
    "def f(some):\n    Trainer(callbacks=some, enable_checkpointing=False)",
    "def f(some):\n    Trainer(callbacks=[*some], enable_checkpointing=False)",
    "Trainer(callbacks=[LearningRateMonitor()])",
    "Trainer(callbacks=[LearningRateMonitor()], logger=True)",
    "Trainer(callbacks=[LearningRateMonitor()], logger=None)",
    "def f(logger):\n    Trainer(callbacks=[LearningRateMonitor()], logger=logger)",
    "class Rates(LearningRateMonitor):\n    def on_train_start(self, *args):\n        pass\n\n\n"
    "Trainer(callbacks=[Rates()], logger=False)",
    "Trainer(callbacks=[TQDMProgressBar()])",
    "Trainer(callbacks=[ModelSummary(max_depth=2)])",
    "Trainer(callbacks=[Timer()])",
    "Trainer(callbacks=[GradientAccumulationScheduler({0: 2})], accumulate_grad_batches=1)",
    "Trainer(callbacks=[ModelCheckpoint(monitor='a'), ModelCheckpoint(monitor='b')])",
    "Trainer(callbacks=[ModelCheckpoint(monitor='a'), ModelCheckpoint(monitor='a', mode='max')])",
    "Trainer(callbacks=[ModelCheckpoint(), ModelCheckpoint(every_n_train_steps=5)])",
    "Trainer(callbacks=[ModelCheckpoint(), Best()])",
    "def f(a, b):\n    Trainer(callbacks=[EarlyStopping(a), EarlyStopping(b)])",
    "def f(a, b):\n    Trainer(callbacks=[ModelCheckpoint(**a), ModelCheckpoint(**b)])",
    "Trainer(callbacks=[LambdaCallback(), LambdaCallback()])",
    "Trainer(callbacks=[LearningRateMonitor('step'), LearningRateMonitor('epoch')])",
    "class Two(Kept):\n    state_key = 'two'\n\n\nTrainer(callbacks=[Two(), Two()])",
    "class Two(Kept):\n    @property\n    def state_key(self):\n        return self.name\n\n\n"
    "Trainer(callbacks=[Two('a'), Two('b')])",
    "class Own(ModelCheckpoint):\n    def __init__(self, name):\n"
    "        super().__init__(monitor=name)\n\n\nTrainer(callbacks=[Own('a'), Own('b')])",
    "Trainer(callbacks=())",
    "def f(some):\n    Trainer(callbacks=tuple(some))",
    "import pytest\n\nwith pytest.raises(ValueError):\n    Trainer(callbacks=Kept)",
    "class Trainer:\n    pass\n\n\nTrainer(callbacks=[Best()], enable_checkpointing=False)",
]


@pytest.mark.parametrize("text", QUIET)
def test_what_a_trainer_takes_is_quiet(text: str, tmp_path: Path) -> None:
    assert found(tmp_path, text) == []


def test_the_release_that_the_code_runs_on_decides(tmp_path: Path) -> None:
    text = """
    Trainer(callbacks=[ModelCheckpoint(), ModelCheckpoint()])
    Trainer(callbacks=[TQDMProgressBar()], enable_progress_bar=False)
    """
    assert len(found(tmp_path, text)) == 2
    assert len(found(tmp_path, text, "1.8")) == 1
    assert found(tmp_path, text, "1.5") == []


@pytest.mark.parametrize(
    ("base", "count"), [("ProgressBar", 1), ("TQDMProgressBar", 0), ("RichProgressBar", 0)]
)
def test_a_bar_of_tqdm_is_not_made_by_the_abstract_base(
    base: str, count: int, tmp_path: Path
) -> None:
    text = f"class Bar({base}):\n    def init_train_tqdm(self):\n        return self.made()\n"
    projects.written(tmp_path, {"main.py": HEAD + text})
    assert len(projects.check(tmp_path, "LM210").diagnostics) == count
