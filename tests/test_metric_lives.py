"""Metric objects that live longer, shorter or twice: what is found, and what is left alone."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent, indent

import projects
import pytest

HEAD = """\
import copy
import lightning.pytorch as pl
import torchmetrics
from torch import nn
from torchmetrics import MaxMetric, MeanMetric, MetricCollection, MinMetric, SumMetric


class M(pl.LightningModule):
"""
FED = """
def training_step(self, batch, batch_idx):
    self.a.update(batch)
    self.log("train", self.a, on_step=False, on_epoch=True)

def validation_step(self, batch, batch_idx):
    self.b.update(batch)
    self.log("val", self.b)
"""
FED_DICTS = (
    FED.replace('"train", ', "").replace('"val", ', "").replace("self.log(", "self.log_dict(")
)


def module(body: str, init: str = "") -> str:
    made = (
        f"def __init__(self):\n    super().__init__()\n{indent(dedent(init).strip(), '    ')}\n\n"
    )
    return HEAD + indent((made if init else "") + dedent(body).strip("\n"), "    ") + "\n"


def found(tmp_path: Path, code: str, text: str, **files: str) -> list[str]:
    projects.written(tmp_path, {"model.py": text, **{f"{k}.py": v for k, v in files.items()}})
    report = projects.check(tmp_path, code)
    assert not report.failures, report.failures
    return [d.message for d in report.diagnostics]


# One object under two names ---------------------------------------------------------------------

TWICE = {
    "a local object": (FED, "acc = MeanMetric()\nself.a = acc\nself.b = acc"),
    "both at once": (FED, "self.a = self.b = MeanMetric()"),
    "one list": (
        FED_DICTS,
        "ms = [MeanMetric(), SumMetric()]\nself.a = MetricCollection(ms, prefix='t')\n"
        "self.b = MetricCollection(ms, prefix='v')",
    ),
    "one dict": (
        FED_DICTS,
        "ms = {'m': MeanMetric()}\nself.a = MetricCollection(ms)\nself.b = MetricCollection(ms)",
    ),
    "one member": (
        FED_DICTS,
        "m = MeanMetric()\nself.a = MetricCollection([m])\n"
        "self.b = MetricCollection([m, SumMetric()])",
    ),
    "one collection": (
        FED_DICTS,
        "ms = MetricCollection([MeanMetric()])\nself.a = MetricCollection(ms, prefix='t')\n"
        "self.b = MetricCollection(ms, prefix='v')",
    ),
}


@pytest.mark.parametrize("case", list(TWICE))
def test_one_object_under_two_names_is_found(case: str, tmp_path: Path) -> None:
    body, init = TWICE[case]
    (message,) = found(tmp_path, "LM125", module(body, init))
    assert message.startswith("self.a and self.b hold one Metric object")


def test_an_attribute_of_another_is_found_by_the_first_name(tmp_path: Path) -> None:
    text = module(FED, "self.a = MeanMetric()\nself.b = self.a")
    assert len(found(tmp_path, "LM105", text)) == 1
    assert found(tmp_path, "LM125", text) == []


def test_an_object_that_setup_hands_on_is_found(tmp_path: Path) -> None:
    setup = "def setup(self, stage):\n    m = MeanMetric()\n    self.a = m\n    self.b = m\n"
    assert len(found(tmp_path, "LM125", module(setup + FED))) == 1


ONCE = {
    "a copy": (FED, "acc = MeanMetric()\nself.a = acc\nself.b = acc.clone()"),
    "a deep copy": (FED, "acc = MeanMetric()\nself.a = acc\nself.b = copy.deepcopy(acc)"),
    "a copied collection": (
        FED_DICTS,
        "ms = MetricCollection([MeanMetric()])\nself.a = ms.clone(prefix='t')\n"
        "self.b = ms.clone(prefix='v')",
    ),
    "objects of their own": (FED, "self.a = MeanMetric()\nself.b = MeanMetric()"),
    "a function that makes them": (
        FED_DICTS,
        "self.a = MetricCollection(self.made())\nself.b = MetricCollection(self.made())",
    ),
    "a name that is bound again": (
        FED,
        "acc = MeanMetric()\nself.a = acc\nacc = MeanMetric()\nself.b = acc",
    ),
    "lists written twice": (
        FED_DICTS,
        "self.a = MetricCollection([MeanMetric()])\nself.b = MetricCollection([MeanMetric()])",
    ),
    "copies of a list": (
        FED_DICTS,
        "ms = [MeanMetric()]\nself.a = MetricCollection([m.clone() for m in ms])\n"
        "self.b = MetricCollection([m.clone() for m in ms])",
    ),
    "a network": (
        FED.replace(".update", ""),
        "net = nn.Linear(2, 2)\nself.a = net\nself.b = net",
    ),
    "a loss": (
        FED.replace(".update", "").replace("self.a,", "self.a(batch),"),
        "loss = nn.MSELoss()\nself.a = loss\nself.b = loss",
    ),
    "one of several": (
        FED,
        "acc = MeanMetric()\nif acc:\n    self.a = acc\nelse:\n    self.b = acc",
    ),
    "classes": (FED, "kind = MeanMetric\nself.a = kind()\nself.b = kind()"),
    "validation and test": (
        FED.replace("training_step", "test_step"),
        "acc = MeanMetric()\nself.a = acc\nself.b = acc",
    ),
    "reset before each batch": (
        FED.replace("    self.a.update", "    self.a.reset()\n    self.a.update"),
        "acc = MeanMetric()\nself.a = acc\nself.b = acc",
    ),
    "steps alone": (
        """
        def training_step(self, batch, batch_idx):
            self.log("t", self.a(batch), on_step=True)

        def validation_step(self, batch, batch_idx):
            self.b.update(batch)

        def on_validation_epoch_start(self):
            self.b.reset()

        def on_validation_epoch_end(self):
            self.log("v", self.b.compute())
        """,
        "acc = MeanMetric()\nself.a = acc\nself.b = acc",
    ),
    "a name that nobody feeds": (
        FED.replace("self.b", "self.c"),
        "acc = MeanMetric()\nself.a = acc\nself.b = acc\nself.c = MeanMetric()",
    ),
    "one that a subclass makes anew": (
        FED + "\nclass N(M):\n    def __init__(self):\n        super().__init__()\n"
        "        self.b = MeanMetric()\n",
        "acc = MeanMetric()\nself.a = acc\nself.b = acc.clone()",
    ),
}


@pytest.mark.parametrize("case", list(ONCE))
def test_objects_of_their_own_are_quiet(case: str, tmp_path: Path) -> None:
    body, init = ONCE[case]
    assert found(tmp_path, "LM125", module(body, init)) == []


# Reset in the step that logs ---------------------------------------------------------------------

EMPTIED = {
    "behind the log": 'self.a.update(batch)\nself.log("k", self.a)\nself.a.reset()',
    "before the log": 'self.a(batch)\nself.a.reset()\nself.log("k", self.a)',
    "before the update": 'self.a.reset()\nself.a.update(batch)\nself.log("k", self.a)',
    "both levels": 'self.a(batch)\nself.log("k", self.a, on_step=True)\nself.a.reset()',
    "in a dict": 'self.a(batch)\nself.log_dict({"k": self.a})\nself.a.reset()',
}
KEPT = {
    "never": 'self.a.update(batch)\nself.log("k", self.a)',
    "at the first batch": (
        'if batch_idx == 0:\n    self.a.reset()\nself.a.update(batch)\nself.log("k", self.a)'
    ),
    "behind what it computes": (
        'self.a.update(batch)\nself.log("k", self.a.compute())\nself.a.reset()'
    ),
    "at steps alone": (
        'self.a(batch)\nself.log("k", self.a, on_step=True, on_epoch=False)\nself.a.reset()'
    ),
    "of another": 'self.a.update(batch)\nself.log("k", self.a)\nself.b.reset()',
    "of any": 'self.a.update(batch)\nself.log("k", self.a)\nself.c[batch_idx].reset()',
}
LIVES = (
    "self.a = MeanMetric()\nself.b = MeanMetric()\n"
    "self.c = nn.ModuleList([MeanMetric(), MeanMetric()])"
)


def step(body: str) -> str:
    return "def validation_step(self, batch, batch_idx):\n" + indent(body, "    ")


@pytest.mark.parametrize("case", list(EMPTIED))
def test_a_reset_in_the_step_that_logs_is_found(case: str, tmp_path: Path) -> None:
    (message,) = found(tmp_path, "LM126", module(step(EMPTIED[case]), LIVES))
    assert (
        message
        == '"k" is computed when the epoch ends, and self.a is emptied in each validation_step'
    )


@pytest.mark.parametrize("case", list(KEPT))
def test_a_reset_that_takes_nothing_is_quiet(case: str, tmp_path: Path) -> None:
    assert found(tmp_path, "LM126", module(step(KEPT[case]), LIVES)) == []


def test_a_reset_in_another_hook_is_quiet(tmp_path: Path) -> None:
    for hook in ("on_validation_epoch_end", "on_train_batch_end", "on_validation_epoch_start"):
        body = step(KEPT["never"]) + f"\n\ndef {hook}(self, *args):\n    self.a.reset()\n"
        assert found(tmp_path, "LM126", module(body, LIVES)) == []


# The best value of a run -------------------------------------------------------------------------

BEST = """
def validation_step(self, batch, batch_idx):
    self.acc.update(batch)
    self.log("acc", self.acc)

def on_validation_epoch_end(self):
    self.best.update(self.acc.compute())
    self.log("best", self.best.compute())
"""
ACC = "self.acc = MeanMetric()\nself.best = MaxMetric()"


@pytest.mark.parametrize("init", [ACC, ACC.replace("Max", "Min")])
def test_the_best_value_with_the_sanity_check_is_found(init: str, tmp_path: Path) -> None:
    (message,) = found(tmp_path, "LM127", module(BEST, init))
    assert message.startswith("self.best keeps the ")


RESETS = {
    "before the training": BEST + "\ndef on_train_start(self):\n    self.best.reset()\n",
    "with the fit": BEST + "\ndef on_fit_start(self):\n    self.best.reset()\n",
    "behind the check": BEST + "\ndef on_sanity_check_end(self):\n    self.best.reset()\n",
    "in a helper": BEST + "\ndef forget(self):\n    self.best.reset()\n",
    "unless it is the check": BEST.replace(
        "    self.best.update(self.acc.compute())",
        "    if not self.trainer.sanity_checking:\n        self.best.update(self.acc.compute())",
    ),
    "of a training": BEST.replace("validation", "training")
    .replace("on_training", "on_train")
    .replace('"acc", self.acc', '"acc", self.acc, on_epoch=True'),
    "of a test": BEST.replace("validation", "test"),
    "of batches": BEST.replace("self.acc.update(batch)", "self.best.update(batch)").replace(
        "    self.best.update(self.acc.compute())\n", ""
    ),
    "nobody reads it": BEST.replace('    self.log("best", self.best.compute())\n', ""),
    "an object that is logged": BEST.replace("self.best.compute()", "self.best"),
}


@pytest.mark.parametrize("case", list(RESETS))
def test_a_best_value_without_the_sanity_check_is_quiet(case: str, tmp_path: Path) -> None:
    assert found(tmp_path, "LM127", module(RESETS[case], ACC)) == []


def test_a_training_without_the_check_is_quiet(tmp_path: Path) -> None:
    train = "import lightning.pytorch as pl\ntrainer = pl.Trainer(num_sanity_val_steps=0)\n"
    assert found(tmp_path, "LM127", module(BEST, ACC), train=train) == []


def test_a_base_that_trains_first_keeps_its_own_reset(tmp_path: Path) -> None:
    text = module(BEST, ACC)
    text += "\n\nclass N(M):\n    def on_train_start(self):\n        self.best.reset()\n"
    assert found(tmp_path, "LM127", text) == []
