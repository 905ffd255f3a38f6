"""What configure_optimizers returns is found where Lightning refuses it, or reads a part of it."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent, indent

import projects
import pytest

HEAD = """\
import lightning.pytorch as pl
from torch.optim import SGD, Adam
from torch.optim.lr_scheduler import OneCycleLR, ReduceLROnPlateau, StepLR


class M(pl.LightningModule):
    def training_step(self, batch, batch_idx):
        return self.net(batch).mean()

    def configure_optimizers(self):
        opt = Adam(self.net.parameters())
        step = StepLR(opt, 1)
        plateau = ReduceLROnPlateau(opt)
"""
NO_MONITOR = "crash: the ReduceLROnPlateau of M has no monitor: MisconfigurationException"


def found(tmp_path: Path, body: str, head: str = HEAD) -> list[str]:
    text = head + indent(dedent(body).strip("\n"), "        ") + "\n"
    projects.written(tmp_path, {"model.py": text})
    report = projects.check(tmp_path, "LM410")
    assert not report.failures, report.failures
    return [f"{d.consequence.value}: {d.message}" for d in report.diagnostics]


FOUND = {
    "return [opt], [plateau]": NO_MONITOR,
    "return [opt], plateau": NO_MONITOR,
    "return {'optimizer': opt, 'lr_scheduler': plateau}": NO_MONITOR,
    "return {'optimizer': opt, 'lr_scheduler': plateau, 'monitor': None}": NO_MONITOR,
    "return {'optimizer': opt, 'lr_scheduler': {'scheduler': plateau}, 'monitor': 'a'}": NO_MONITOR,
    "return [{'optimizer': opt, 'lr_scheduler': plateau, 'monitor': 'a'}]": NO_MONITOR,
    "return [opt], [{'scheduler': plateau, 'interval': 'epoch'}]": NO_MONITOR,
    "return [opt], [{'scheduler': step, 'reduce_on_plateau': True}]": NO_MONITOR,
    "config = {'scheduler': plateau}\nreturn [opt], [config]": NO_MONITOR,
    "return [opt], [{'lr_scheduler': step}]": 'crash: the dict of a scheduler lacks "scheduler"',
    "return [opt], [{'interval': 'step'}]": (
        'crash: the dict of a scheduler lacks "scheduler": MisconfigurationException'
    ),
    "return [opt], [{'scheduler': step, 'interval': 'batch'}]": (
        "crash: \"interval\" is 'batch', and neither step nor epoch: MisconfigurationException"
    ),
    "return [opt], [{'scheduler': step, 'intervall': 'step'}]": (
        'ignored: "intervall" in the dict of a scheduler is read by nobody'
    ),
    "return {'optimizer': opt, 'lr_schedulers': step}": (
        'ignored: "lr_schedulers" in the dict of an optimizer is read by nobody'
    ),
    "return {'optimizer': opt, 'scheduler': step}": 'ignored: "scheduler" in the dict of an opt',
    "return {'optimizer': opt, 'lr_scheduler': step, 'interval': 'step'}": (
        'ignored: "interval" in the dict of an optimizer is read by nobody'
    ),
    "return {'opt': opt}": 'crash: the dict of an optimizer lacks "optimizer": KeyError',
    "return {'optimizer': opt, 'lr_scheduler': [step]}": (
        'crash: "lr_scheduler" is a list, and no scheduler: AttributeError'
    ),
    "return {'optimizer': opt, 'lr_scheduler': None}": 'crash: "lr_scheduler" is None, and no sch',
    "return opt, step": (
        "crash: an optimizer and a scheduler are returned side by side, which Lightning takes for "
        "two optimizers: MisconfigurationException"
    ),
    "return [opt, step]": "crash: an optimizer and a scheduler are returned side by side",
    "return opt, [step]": "crash: an optimizer and a scheduler are returned side by side",
}


@pytest.mark.parametrize("text", list(FOUND))
def test_what_lightning_refuses_or_leaves_out_is_found(text: str, tmp_path: Path) -> None:
    assert found(tmp_path, text)[0].startswith(FOUND[text])


QUIET = [
    "return opt",
    "return [opt]",
    "return [opt], [step]",
    "return [opt], step",
    "return [opt], []",
    "return [opt], [{'scheduler': step, 'interval': 'step', 'frequency': 2, 'name': 'a'}]",
    "return {'optimizer': opt}",
    "return {'optimizer': opt, 'frequency': 2}",
    "return {'optimizer': opt, 'lr_scheduler': step}",
    "return {'optimizer': opt, 'lr_scheduler': plateau, 'monitor': 'a'}",
    "return {'optimizer': opt, 'lr_scheduler': plateau, 'monitor': self.key}",
    "return {'optimizer': opt, 'lr_scheduler': {'scheduler': plateau, 'monitor': 'a'}}",
    "return [opt], [{'scheduler': plateau, 'monitor': 'a', 'strict': False}]",
    "return [opt], [{'scheduler': plateau, 'reduce_on_plateau': False}]",
    "return {'optimizer': opt, 'lr_scheduler': plateau, **self.more}",
    "return [opt], [{'scheduler': plateau, **self.more}]",
    "return [opt], [{**self.config, 'interval': 'step'}]",
    "return {**self.config}",
    "config = {'scheduler': plateau}\nconfig['monitor'] = 'a'\nreturn [opt], [config]",
    "config = {'scheduler': plateau}\nconfig.update(self.more)\nreturn [opt], [config]",
    "config = {'optimizer': opt}\nif self.slow:\n    config['lr_scheduler'] = step\nreturn config",
    "return [opt], [{'scheduler': step, 'interval': self.interval}]",
    "return [opt, SGD(self.other.parameters())]",
    "return opt, SGD(self.other.parameters())",
    "return self.made()",
    "return opt, self.scheduler",
    "return [opt], [self.scheduler(opt)]",
    "scheduler = plateau if self.slow else step\nreturn [opt], [scheduler]",
    "return None",
]


@pytest.mark.parametrize("text", QUIET)
def test_what_lightning_reads_is_quiet(text: str, tmp_path: Path) -> None:
    assert found(tmp_path, text) == []


def test_who_steps_the_schedulers_by_hand_needs_no_monitor(tmp_path: Path) -> None:
    head = HEAD.replace(
        "    def training_step",
        "    automatic_optimization = False\n\n    def training_step",
    )
    assert found(tmp_path, "return [opt], [plateau]", head) == []
    assert found(tmp_path, "return {'optimizer': opt, 'lr_scheduler': plateau}", head) == []


def test_a_class_of_another_kind_is_quiet(tmp_path: Path) -> None:
    head = HEAD.replace("pl.LightningModule", "object")
    assert found(tmp_path, "return [opt], [plateau]", head) == []
