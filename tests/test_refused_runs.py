"""Runs that Lightning refuses are found where the Trainer and the module can be seen."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import projects
import pytest

HEAD = """\
import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import GradientAccumulationScheduler
from torch.utils.data import DataLoader


class Step(pl.LightningModule):
    def training_step(self, batch, batch_idx):
        return self.net(batch).mean()


class Whole(Step):
    def configure_optimizers(self):
        return torch.optim.Adam(self.net.parameters())


class Hand(Whole):
    def __init__(self):
        super().__init__()
        self.automatic_optimization = False


class Said(Whole):
    @property
    def automatic_optimization(self):
        return False


class Data(pl.LightningDataModule):
    pass


loader = DataLoader([1])
"""


def found(tmp_path: Path, text: str) -> list[str]:
    projects.written(tmp_path, {"main.py": HEAD + dedent(text).strip("\n") + "\n"})
    report = projects.check(tmp_path, "LM217")
    assert not report.failures, report.failures
    return [d.message for d in report.diagnostics]


FOUND = {
    "pl.Trainer().fit(Step(), loader)": (
        "Step has no configure_optimizers, without which pl.Trainer().fit() does not begin: "
        "MisconfigurationException"
    ),
    "class None_(pl.LightningModule):\n    pass\n\npl.Trainer().fit(None_(), loader)": (
        "None_ has no training_step"
    ),
    "def main(trainer: pl.Trainer):\n    model = Whole()\n    trainer.test(model, loader)": (
        "Whole has no test_step, without which trainer.test() does not begin"
    ),
    "pl.Trainer().validate(model=Whole(), dataloaders=loader)": "Whole has no validation_step",
    "pl.Trainer().fit(Whole())": (
        "pl.Trainer().fit() is given no data, and Whole has no train_dataloader: Misconfiguration"
    ),
    "class Kept(Whole):\n    def __init__(self):\n        super().__init__()\n"
    "        self.train_dataloader = DataLoader([1])\n\npl.Trainer().fit(Kept())": (
        "Kept sets self.train_dataloader to a DataLoader, where pl.Trainer().fit() calls a method"
    ),
    "pl.Trainer().fit(Whole, loader)": (
        "pl.Trainer().fit() is given the class Whole, and no module: TypeError"
    ),
    "pl.Trainer().fit(Whole(), loader, datamodule=Data())": (
        "pl.Trainer().fit() is given loaders beside a data module: MisconfigurationException"
    ),
    "pl.Trainer(gradient_clip_val=1.0).fit(Hand(), loader)": (
        "Trainer(gradient_clip_val=1.0) is not for Hand, which steps its optimizers itself: "
        "MisconfigurationException of fit"
    ),
    "trainer = pl.Trainer(accumulate_grad_batches=2)\ntrainer.fit(Said(), loader)": (
        "Trainer(accumulate_grad_batches=2) is not for Said"
    ),
    "pl.Trainer(callbacks=[GradientAccumulationScheduler({0: 2})]).fit(Hand(), loader)": (
        "GradientAccumulationScheduler is not for Hand, which steps its optimizers itself: Runtime"
    ),
}


@pytest.mark.parametrize("text", list(FOUND))
def test_a_run_that_is_refused_is_found(text: str, tmp_path: Path) -> None:
    (message,) = found(tmp_path, text)
    assert message.startswith(FOUND[text])


QUIET = [
    "pl.Trainer().fit(Whole(), loader)",
    "pl.Trainer().fit(Whole(), train_dataloaders=loader)",
    "pl.Trainer().fit(Whole(), datamodule=Data())",
    "def f(kw):\n    pl.Trainer().fit(Whole(), **kw)",
    "pl.Trainer(limit_train_batches=0).fit(Whole())",
    "pl.Trainer(gradient_clip_val=0).fit(Hand(), loader)",
    "pl.Trainer(accumulate_grad_batches=1).fit(Hand(), loader)",
    "pl.Trainer(accumulate_grad_batches=2, gradient_clip_val=1).fit(Whole(), loader)",
    "def f(n):\n    pl.Trainer(accumulate_grad_batches=n).fit(Hand(), loader)",
    "class May(Whole):\n    def __init__(self, hand):\n        super().__init__()\n"
    "        if hand:\n            self.automatic_optimization = False\n\n"
    "pl.Trainer(gradient_clip_val=1).fit(May(True), loader)",
    "class May(Whole):\n    def __init__(self, hand):\n        super().__init__()\n"
    "        self.automatic_optimization = hand\n\n"
    "pl.Trainer(gradient_clip_val=1).fit(May(False), loader)",
    "class Back(Hand):\n    def __init__(self):\n        super().__init__()\n"
    "        self.automatic_optimization = True\n\n"
    "pl.Trainer(gradient_clip_val=1).fit(Back(), loader)",
    # What a module lacks here, something else may give it.
    "Step.configure_optimizers = make\npl.Trainer().fit(Step(), loader)",
    "model = Step()\nmodel.configure_optimizers = make\npl.Trainer().fit(model, loader)",
    "class Late(Step):\n    def __init__(self):\n        self.configure_optimizers = make\n\n"
    "pl.Trainer().fit(Late(), loader)",
    "from other import Base\n\nclass Far(Base, Step):\n    pass\n\npl.Trainer().fit(Far(), loader)",
    "from lightning.pytorch.demos.boring_classes import BoringModel\n\n"
    "class Bored(BoringModel):\n    pass\n\npl.Trainer().fit(Bored())",
    "class Own(Whole):\n    def train_dataloader(self):\n        return loader\n\n"
    "pl.Trainer().fit(Own())",
    "class Ask(Whole):\n    def __getattr__(self, name):\n        return name\n\n"
    "pl.Trainer().fit(Ask())",
    "def f(model):\n    pl.Trainer().fit(model)",
    "def f(model: Step):\n    pl.Trainer().fit(model, loader)",
    "def f(trainer):\n    trainer.fit(Step(), loader)",
    "class Trainer:\n    pass\n\nTrainer().fit(Step())",
    "class Mine(pl.Trainer):\n    def fit(self, model):\n        pass\n\nMine().fit(Step())",
    "import pytest\n\nwith pytest.raises(Exception):\n    pl.Trainer().fit(Step(), loader)",
    "def f(data):\n    pl.Trainer().fit(Whole(), loader, datamodule=data)",
    "def f(one=None):\n    pl.Trainer().fit(Whole(), one, datamodule=Data())",
]


@pytest.mark.parametrize("text", QUIET)
def test_a_run_that_begins_or_may_is_quiet(text: str, tmp_path: Path) -> None:
    assert found(tmp_path, text) == []


def test_a_module_of_another_file_is_looked_at(tmp_path: Path) -> None:
    projects.written(tmp_path, {"models.py": HEAD})
    text = (
        "from models import Hand\nimport lightning as L\n\nL.Trainer(gradient_clip_val=1).fit({})"
    )
    projects.written(tmp_path, {"train.py": text.format("Hand(), [1]")})
    assert projects.codes(projects.check(tmp_path, "LM217")) == ["LM217"]
    projects.written(tmp_path, {"train.py": text.format("Whole(), [1]")})
    assert projects.codes(projects.check(tmp_path, "LM217")) == []


ADAM = "def configure_optimizers(self):\n        return torch.optim.Adam(self.net.parameters())\n"
STEP = "def training_step(self, batch, batch_idx):\n"


def module(body: str, head: str = ADAM) -> str:
    return f"class Some(pl.LightningModule):\n    {head}\n    {STEP}        {body}\n\n\n"


LOG = "self.log('loss', self.net(batch).mean())"


def test_a_step_that_returns_no_loss_is_found(tmp_path: Path) -> None:
    said = "Some.training_step returns no loss, and Lightning takes no step"
    assert found(tmp_path, module(LOG)) == [said]
    assert found(tmp_path, module(f"{LOG}\n        return")) == [said]


@pytest.mark.parametrize(
    "text",
    [
        module("return self.net(batch).mean()"),
        module("return self.other(batch)"),
        module("if batch_idx:\n            return None\n        return self.net(batch)"),
        module("pass"),
        module("raise NotImplementedError"),
        module(LOG, "def configure_optimizers(self):\n        return None\n"),
        module(LOG, "def configure_optimizers(self):\n        pass\n"),
        module(LOG, "def configure_optimizers(self):\n        return [], []\n"),
        module(LOG, "def configure_optimizers(self):\n        return []\n"),
        module(LOG, "automatic_optimization = False\n    " + ADAM),
        module(LOG + "\n        self.optimizers().step()"),
        module(LOG, "net = None\n"),
        module(LOG) + f"class Sub(Some):\n    {STEP}        return self.net(batch)\n",
    ],
)
def test_a_step_that_gives_a_loss_or_needs_none_is_quiet(text: str, tmp_path: Path) -> None:
    assert found(tmp_path, text) == []


SKIPS = module("if batch_idx:\n            return None\n        return self.net(batch)")


def test_none_on_several_devices_is_found(tmp_path: Path) -> None:
    (message,) = found(tmp_path, SKIPS + "pl.Trainer(devices=2, strategy='ddp')\n")
    assert message == (
        "Some.training_step returns None here, which several devices do not allow: RuntimeError"
    )


@pytest.mark.parametrize(
    "text", ["pl.Trainer(devices=1)", "", "def f(n):\n    pl.Trainer(devices=n)"]
)
def test_none_on_what_may_be_one_device_is_quiet(text: str, tmp_path: Path) -> None:
    assert found(tmp_path, SKIPS + text) == []


def made(body: str) -> str:
    return f"class Made(pl.LightningModule):\n    def __init__(self):\n        {body}\n"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "self.epochs = self.trainer.max_epochs",
            "self.trainer before there is a Trainer: Runtime",
        ),
        ("self.opt = self.optimizers()", "self.optimizers before there is a Trainer: RuntimeError"),
        ("self.print('made')", "self.print before there is a Trainer: RuntimeError"),
        (
            "self.logger.experiment.add_text('a', 'b')",
            "self.logger before there is a Trainer: Attr",
        ),
        ("self.log('a', 1.0)", "self.log before there is a Trainer: nothing is logged"),
    ],
)
def test_what_asks_for_a_trainer_too_early_is_found(
    body: str, message: str, tmp_path: Path
) -> None:
    (said,) = found(tmp_path, made(body))
    assert said.startswith(f"Made.__init__ asks for {message}")


@pytest.mark.parametrize(
    "text",
    [
        made("print('made')"),
        made("self.get = lambda: self.trainer"),
        made("def later():\n            return self.trainer"),
        made("if self.ready:\n            self.epochs = self.trainer.max_epochs"),
        made("try:\n            self.trainer\n        except RuntimeError:\n            pass"),
        made("self.trainer = None\n        self.a = self.trainer"),
        made("self.rank = self.global_rank"),
        made("self.has = self.logger is not None"),
        made("self.log_a = self.log"),
        made("self.log('a', 1.0)") + "\n    def log(self, name, value):\n        pass\n",
        made("self.trainer.max_epochs").replace("__init__", "setup"),
        made("self.trainer.max_epochs").replace("pl.LightningModule", "pl.Callback"),
        "from other import Base\n\n" + made("self.trainer.a").replace("pl.", "Base, pl."),
    ],
)
def test_what_needs_no_trainer_or_runs_later_is_quiet(text: str, tmp_path: Path) -> None:
    assert found(tmp_path, text) == []
