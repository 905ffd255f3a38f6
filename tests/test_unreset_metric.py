"""Objects computed by hand start each epoch anew; whoever resets them, wherever, is believed."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent, indent

import projects
import pytest

from lintmetrics.diagnostics import Diagnostic

HEAD = """\
import torch
import torchmetrics
import pytorch_lightning as pl
from torch import nn
from torchmetrics import Accuracy, MaxMetric, MeanMetric, MetricCollection, SumMetric


class M(pl.LightningModule):
    def __init__(self, net, classes=3):
        super().__init__()
        self.net = net
        self.f1 = torchmetrics.F1Score(task="multiclass", num_classes=classes)

"""
STEP = """
def validation_step(self, batch, batch_idx):
    x, y = batch
    self.f1.update(self.net(x), y)
"""


def text_of(body: str, init: str = "") -> str:
    head = HEAD
    if init:
        made = indent(dedent(init).strip("\n"), "        ")
        head = head.rstrip("\n") + "\n" + made + "\n\n"
    return head + indent(dedent(body).strip("\n"), "    ") + "\n"


def found(
    tmp_path: Path, body: str, init: str = "", extra: dict[str, str] | None = None
) -> list[Diagnostic]:
    projects.written(tmp_path, extra or {})
    (tmp_path / "model.py").write_text(text_of(body, init), encoding="utf-8")
    report = projects.check(tmp_path, "LM107")
    assert not report.failures, report.failures
    return report.diagnostics


def fixed(tmp_path: Path, body: str, init: str = "") -> str:
    (tmp_path / "model.py").write_text(text_of(body, init), encoding="utf-8")
    report = projects.fix(tmp_path, "LM107")
    assert not report.failures
    assert not report.failed
    done = (tmp_path / "model.py").read_text(encoding="utf-8")
    compile(done, "model.py", "exec")
    return done


END = """
def on_validation_epoch_end(self):
    self.log("f1", self.f1.compute())
"""

FOUND = {
    "plain": STEP + END,
    "forward in the step": """
        def validation_step(self, batch, batch_idx):
            x, y = batch
            self.log("batch", self.f1(self.net(x), y))

        def on_validation_epoch_end(self):
            self.log("f1", self.f1.compute())
        """,
    "the removed hook": STEP
    + 'def validation_epoch_end(self, outputs):\n    self.log("f1", self.f1.compute())',
    "training": """
        def training_step(self, batch, batch_idx):
            x, y = batch
            self.f1.update(self.net(x), y)

        def on_train_epoch_end(self):
            print(self.f1.compute())
        """,
    "a helper computes": STEP
    + "def on_validation_epoch_end(self):\n    self._end('val')\n\n"
    + "def _end(self, stage):\n    self.log(stage, self.f1.compute())",
    "through a local": STEP
    + 'def on_validation_epoch_end(self):\n    f1 = self.f1\n    self.log("f1", f1.compute())',
    "a dead hook resets": STEP + END + "def on_epoch_end(self):\n    self.f1.reset()",
    "a step end resets": STEP + END + "def validation_step_end(self, out):\n    self.f1.reset()",
    "reset once before training": STEP + END + "def on_train_start(self):\n    self.f1.reset()",
    "reset behind training": STEP + END + "def on_train_end(self):\n    self.f1.reset()",
    "only the test resets": STEP + END + "def on_test_epoch_end(self):\n    self.f1.reset()",
    "behind the epoch, sanity check": STEP
    + END
    + "def on_train_epoch_end(self):\n    self.f1.reset()",
    "another is reset": STEP + END + "    self.other.reset()",
}


@pytest.mark.parametrize("body", FOUND.values(), ids=FOUND)
def test_an_object_that_keeps_earlier_epochs_is_found(body: str, tmp_path: Path) -> None:
    assert [d.code for d in found(tmp_path, body)] == ["LM107"]


QUIET = {
    "reset behind": STEP + END + "    self.f1.reset()",
    "reset at the start": STEP + END + "def on_validation_epoch_start(self):\n    self.f1.reset()",
    "reset at the start of the loop": STEP
    + END
    + "def on_validation_start(self):\n    self.f1.reset()",
    "reset in a live hook that cannot log": STEP
    + END
    + "def on_validation_end(self):\n    self.f1.reset()",
    "reset before each epoch": STEP + END + "def on_train_epoch_start(self):\n    self.f1.reset()",
    "behind the epoch and before training": STEP
    + END
    + "def on_train_epoch_end(self):\n    self.f1.reset()\n\n"
    + "def on_train_start(self):\n    self.f1.reset()",
    "in the first step": """
        def validation_step(self, batch, batch_idx):
            x, y = batch
            if batch_idx == 0:
                self.f1.reset()
            self.f1.update(self.net(x), y)
        """
    + "\n"
    + indent(END, "        "),
    "a helper resets": STEP + END + "    self._clear()\n\ndef _clear(self):\n    self.f1.reset()",
    "a helper that nobody is seen to call": STEP + END + "def clear(self):\n    self.f1.reset()",
    "a local resets": STEP + END + "    f1 = self.f1\n    f1.reset()",
    "all submodules are reset": STEP
    + END
    + "    for m in self.modules():\n        if hasattr(m, 'reset'):\n            m.reset()",
    "by name": STEP + END + "    getattr(self, 'f' + str(1)).reset()",
    "logged as an object": STEP
    + 'def on_validation_epoch_end(self):\n    self.f1.compute()\n    self.log("f", self.f1)',
    "logged as an object in the step": STEP + '    self.log("f1", self.f1)\n' + END,
    "in a dict of objects": STEP + '    self.log_dict({"f1": self.f1})\n' + END,
    "made anew": STEP
    + END
    + "def on_validation_epoch_start(self):\n    self.f1 = torchmetrics.F1Score(task='binary')",
    "handed to a function": STEP + END + "    finish(self.f1)",
    "kept by another": STEP + END + "    self.kept.append(self.f1)",
    "handed on as an attribute": STEP + END + "    self.trainer.metric = self.f1",
    "no feed in a step": END,
    "fed in another loop": """
        def training_step(self, batch, batch_idx):
            x, y = batch
            self.f1.update(self.net(x), y)
        """
    + "\n"
    + indent(END, "        "),
    "computed in the step only": STEP + '    self.log("f1", self.f1.compute())',
    "the test is run once": """
        def test_step(self, batch, batch_idx):
            x, y = batch
            self.f1.update(self.net(x), y)

        def on_test_epoch_end(self):
            self.log("f1", self.f1.compute())
        """,
    "an unknown object": STEP.replace("f1", "mystery") + END.replace("self.f1", "self.mystery"),
    "no metric": """
        def validation_step(self, batch, batch_idx):
            self.net.update(batch)

        def on_validation_epoch_end(self):
            self.log("x", self.net.compute())
        """,
}


@pytest.mark.parametrize("body", QUIET.values(), ids=QUIET)
def test_an_object_that_starts_anew_is_quiet(body: str, tmp_path: Path) -> None:
    assert [d.message for d in found(tmp_path, body)] == []


BY_NAME = {
    "best": "self.best_f1 = MaxMetric()",
    "total": "self.total_seen = MeanMetric()",
    "sum over the run": "self.samples = SumMetric()",
    "running mean": "self.running_f1 = MeanMetric()",
}


@pytest.mark.parametrize("init", BY_NAME.values(), ids=BY_NAME)
def test_what_speaks_of_the_whole_run_is_quiet(init: str, tmp_path: Path) -> None:
    name = init.split(" ")[0].removeprefix("self.")
    assert found(tmp_path, (STEP + END).replace("self.f1", f"self.{name}"), init) == []


def test_a_reset_in_a_subclass_counts(tmp_path: Path) -> None:
    below = """
        from model import M

        class Below(M):
            def on_validation_epoch_end(self):
                super().on_validation_epoch_end()
                self.f1.reset()
        """
    assert found(tmp_path, STEP + END, extra={"below.py": below}) == []


def test_a_reset_by_a_callback_counts(tmp_path: Path) -> None:
    callback = """
        from pytorch_lightning import Callback

        class Clear(Callback):
            def on_validation_end(self, trainer, pl_module):
                pl_module.f1.reset()
        """
    assert found(tmp_path, STEP + END, extra={"callback.py": callback}) == []


def test_a_reset_of_another_class_is_its_own(tmp_path: Path) -> None:
    other = """
        import pytorch_lightning as pl
        import torchmetrics

        class Other(pl.LightningModule):
            def __init__(self):
                super().__init__()
                self.f1 = torchmetrics.F1Score(task="binary")

            def on_validation_epoch_end(self):
                self.log("f1", self.f1.compute())
                self.f1.reset()
        """
    assert [d.code for d in found(tmp_path, STEP + END, extra={"other.py": other})] == ["LM107"]


def test_a_reset_in_a_mixin_counts(tmp_path: Path) -> None:
    mixin = """
        from model import M

        class Clears:
            def on_validation_epoch_end(self):
                super().on_validation_epoch_end()
                self.f1.reset()

        class Whole(Clears, M):
            pass
        """
    assert found(tmp_path, STEP + END, extra={"mixin.py": mixin}) == []


def test_a_reset_through_the_model_counts(tmp_path: Path) -> None:
    runner = """
        class Runner:
            def clear(self):
                self.model.f1.reset()
        """
    assert found(tmp_path, STEP + END, extra={"runner.py": runner}) == []


def test_a_base_from_another_library_may_reset(tmp_path: Path) -> None:
    projects.written(tmp_path, {})
    text = text_of(STEP + END).replace("M(pl.LightningModule)", "M(Base, pl.LightningModule)")
    text = "from some_library import Base\n" + text
    (tmp_path / "model.py").write_text(text, encoding="utf-8")
    assert projects.check(tmp_path, "LM107").diagnostics == []


def test_a_reset_of_the_container_counts(tmp_path: Path) -> None:
    init = 'self.held = nn.ModuleDict({"a": Accuracy(task="binary"), "b": MeanMetric()})'
    body = """
        def validation_step(self, batch, batch_idx):
            x, y = batch
            self.held["a"].update(self.net(x), y)

        def on_validation_epoch_end(self):
            self.log("a", self.held["a"].compute())
            for metric in self.held.values():
                metric.reset()
        """
    assert found(tmp_path, body, init) == []


def test_objects_of_a_container_are_found(tmp_path: Path) -> None:
    init = 'self.held = nn.ModuleDict({"a": Accuracy(task="binary"), "b": MeanMetric()})'
    body = """
        def validation_step(self, batch, batch_idx):
            x, y = batch
            for metric in self.held.values():
                metric.update(self.net(x), y)

        def on_validation_epoch_end(self):
            for name, metric in self.held.items():
                self.log(name, metric.compute())
        """
    assert {d.code for d in found(tmp_path, body, init)} == {"LM107"}
    text = fixed(tmp_path, body, init)
    assert "self.log(name, metric.compute())\n            metric.reset()\n" in text


def test_a_collection_is_reset_as_a_whole(tmp_path: Path) -> None:
    init = 'self.all = MetricCollection([Accuracy(task="binary")])'
    body = """
        def validation_step(self, batch, batch_idx):
            x, y = batch
            self.all.update(self.net(x), y)

        def on_validation_epoch_end(self):
            self.log_dict(self.all.compute())
        """
    assert "self.log_dict(self.all.compute())\n        self.all.reset()\n" in fixed(
        tmp_path, body, init
    )


def test_a_comprehension_gets_a_loop_behind_it(tmp_path: Path) -> None:
    init = 'self.held = nn.ModuleDict({"a": Accuracy(task="binary"), "b": MeanMetric()})'
    body = """
        def validation_step(self, batch, batch_idx):
            x, y = batch
            for metric in self.held.values():
                metric.update(self.net(x), y)

        def on_validation_epoch_end(self):
            self.log_dict({name: m.compute() for name, m in self.held.items()})
        """
    text = fixed(tmp_path, body, init)
    assert "        for m in self.held.values():\n            m.reset()\n" in text


def test_a_condition_is_left_behind(tmp_path: Path) -> None:
    end = """
def on_validation_epoch_end(self):
    if not self.trainer.sanity_checking:
        self.log("f1", self.f1.compute())
    print("done")
"""
    assert 'print("done")\n        self.f1.reset()\n' in fixed(tmp_path, STEP + end)


BLOCKED = {
    "returned": STEP
    + "def on_validation_epoch_end(self):\n    self.log('a', self.value())\n\n"
    + "def value(self):\n    return self.f1.compute()",
    "computed again": STEP + END + "def on_validation_end(self):\n    print(self.f1.compute())",
    "leaves early": STEP
    + "def on_validation_epoch_end(self):\n    if self.quiet:\n        return\n"
    + "    if self.loud:\n        self.log('a', self.f1.compute())",
}


@pytest.mark.parametrize("body", BLOCKED.values(), ids=BLOCKED)
def test_a_place_that_takes_a_person_says_why(body: str, tmp_path: Path) -> None:
    (diagnostic,) = found(tmp_path, body)
    assert diagnostic.fix is None
    assert "line" in diagnostic.blocked


def test_one_entry_of_a_container_is_logged_and_another_is_computed(tmp_path: Path) -> None:
    init = """
    self.kinds = {s: Accuracy(task="multiclass", num_classes=3) for s in ("train", "val")}
    """
    body = """
    def training_step(self, batch, batch_idx):
        x, y = batch
        self.kinds["train"](self.net(x), y)
        self.log("train_acc", self.kinds["train"], on_step=False, on_epoch=True)

    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.kinds["val"].update(self.net(x), y)

    def on_validation_epoch_end(self):
        self.log("val_acc", self.kinds["val"].compute())
    """
    (only,) = found(tmp_path, body, init)
    assert only.message.startswith("self.kinds['val'] is never reset")
    assert only.keys == (("val", "val_acc"),)
    report = projects.fix(tmp_path, "LM107", "LM108")
    assert not report.failures
    done = (tmp_path / "model.py").read_text(encoding="utf-8")
    # The container gets other keys in the same run; the reset is of the one there is.
    assert 'self.kinds["val_metrics"].reset()' in done
    assert '["val"]' not in done


CALLBACK = """\
import pytorch_lightning as pl
from torchmetrics import MeanMetric


class Watch(pl.Callback):
    def __init__(self):
        super().__init__()
        self.mean = MeanMetric()

    def on_validation_batch_end(self, trainer, module, outputs, batch, batch_idx):
        self.mean.update(outputs)

    def on_validation_epoch_end(self, trainer, module):
        module.log("watched", self.mean.compute())
"""


def test_an_object_of_a_callback_is_found_and_reset(tmp_path: Path) -> None:
    projects.written(tmp_path, {"watch.py": CALLBACK})
    assert projects.codes(projects.check(tmp_path, "LM107")) == ["LM107"]
    projects.fix(tmp_path, "LM107")
    text = (tmp_path / "watch.py").read_text(encoding="utf-8")
    assert text.rstrip().endswith("        self.mean.reset()")


@pytest.mark.parametrize(
    "more",
    [
        "        self.mean.reset()\n",
        "\n    def on_validation_epoch_start(self, trainer, module):\n        self.mean.reset()\n",
    ],
)
def test_an_object_that_a_callback_resets_is_quiet(more: str, tmp_path: Path) -> None:
    projects.written(tmp_path, {"watch.py": CALLBACK + more})
    assert projects.codes(projects.check(tmp_path, "LM107")) == []


def test_an_object_that_a_callback_puts_into_the_module_is_the_modules(tmp_path: Path) -> None:
    text = CALLBACK.replace("self.mean", "module.mean").replace(
        "    def __init__(self):\n        super().__init__()\n",
        "    def setup(self, trainer, module, stage):\n",
    )
    projects.written(tmp_path, {"watch.py": text})
    assert projects.codes(projects.check(tmp_path, "LM107")) == []
