"""Means that callbacks make of a list of batch values are logged behind each batch instead."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent, indent

import projects
import pytest

from lintmetrics.codemod import Relation

_HEAD = """\
import lightning.pytorch as pl
import numpy as np
import torch


class LossOfEpoch(pl.Callback):
"""
_BEGIN = """
def __init__(self):
    self.losses = []
"""
_LOGGED = 'pl_module.log("val_loss", outputs["loss"].item(), on_step=False, on_epoch=True)'
_LOG = """
pl_module.log("val_loss", np.mean(self.losses))
self.losses.clear()
"""


def callback(
    value: str = 'outputs["loss"].item()',
    end: str = _LOG,
    begin: str = _BEGIN,
    parameters: str = "outputs, batch, batch_idx",
) -> str:
    methods = [
        begin,
        f"def on_validation_batch_end(self, trainer, pl_module, {parameters}):\n"
        f"    self.losses.append({value})",
        "def on_validation_epoch_end(self, trainer, pl_module):\n"
        + indent(dedent(end).strip("\n"), "    "),
    ]
    return _HEAD + "\n\n".join(indent(dedent(m).strip("\n"), "    ") for m in methods) + "\n"


def fixed(folder: Path, text: str, **others: str) -> str:
    files = {f"{name}.py": other for name, other in others.items()}
    projects.written(folder, {**files, "shown.py": text})
    report = projects.fix(folder, "LM111")
    assert not report.failures, report.failures
    return (folder / "shown.py").read_text()


def blocked(folder: Path, text: str, **others: str) -> str:
    files = {f"{name}.py": other for name, other in others.items()}
    projects.written(folder, {**files, "shown.py": text})
    (finding,) = projects.check(folder, "LM111").diagnostics
    assert finding.blocked, "it has a fix"
    return finding.blocked


def test_the_batch_value_is_logged_where_it_was_gathered(tmp_path: Path) -> None:
    assert fixed(tmp_path, callback()) == (
        _HEAD.replace("import numpy as np\n", "")
        + "    def on_validation_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):\n"
        + f"        {_LOGGED}\n"
    )
    assert projects.codes(projects.check(tmp_path, "LM111", "LM204")) == []


@pytest.mark.parametrize(
    ("value", "end", "written"),
    [
        (
            'outputs["loss"].item()',
            'mean = sum(self.losses) / len(self.losses)\nself.log("val_loss", mean)\n'
            "self.losses = []",
            'self.log("val_loss", outputs["loss"].item(), on_step=False, on_epoch=True)',
        ),
        (
            'outputs["loss"]',
            'pl_module.log("val_loss", torch.stack(self.losses).mean())\nself.losses.clear()',
            'pl_module.log("val_loss", outputs["loss"].mean(), on_step=False, on_epoch=True)',
        ),
        (
            "float(outputs['loss'])",
            'pl_module.log("a", np.mean(self.losses), prog_bar=True)\nself.losses.clear()',
            "float(outputs['loss']), on_step=False, on_epoch=True, prog_bar=True",
        ),
    ],
)
def test_every_spelling_is_moved(tmp_path: Path, value: str, end: str, written: str) -> None:
    after = fixed(tmp_path, callback(value, end))
    assert written in after
    assert "losses" not in after


def test_what_else_the_callback_does_stays(tmp_path: Path) -> None:
    begin = "def __init__(self, path):\n    self.path = path\n    self.losses = []"
    end = 'print("done", trainer.current_epoch)' + _LOG
    after = fixed(tmp_path, callback(end=end, begin=begin))
    assert "self.path = path\n\n" in after
    assert after.endswith(
        "    def on_validation_epoch_end(self, trainer, pl_module):\n"
        '        print("done", trainer.current_epoch)\n'
    )


def test_that_the_value_is_a_mean_is_an_assumption(tmp_path: Path) -> None:
    projects.written(tmp_path, {"shown.py": callback()})
    projects.fix(tmp_path, "LM111", relations=frozenset((Relation.CORRECTS,)))
    assert (tmp_path / "shown.py").read_text() == callback()


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        ("print(np.mean(self.losses))\nself.losses.clear()", "is not only logged"),
        ("self.best = np.mean(self.losses)\nself.losses.clear()", "is not only logged"),
        ("if self.losses:\n" + indent(_LOG.strip("\n"), "    "), "is not only logged"),
        ("print(len(self.losses))" + _LOG, "self.losses is used for more than its mean"),
        ("if trainer.current_epoch % 2:\n    return" + _LOG, "may end early at line 15"),
        (
            'key = f"{trainer.state.stage}_loss"\npl_module.log(key, np.mean(self.losses))\n'
            "self.losses.clear()",
            "the key at line",
        ),
        (
            'pl_module.log("val_loss", np.mean(self.losses), batch_size=1)\nself.losses.clear()',
            "batch_size of the log call",
        ),
        (
            'trainer.model.log("val_loss", np.mean(self.losses))\nself.losses.clear()',
            "",
        ),
    ],
)
def test_what_stands_in_the_way_is_said(tmp_path: Path, end: str, reason: str) -> None:
    if reason:
        assert reason in blocked(tmp_path, callback(end=end))
    else:
        assert fixed(tmp_path, callback(end=end)) == callback(end=end)


def test_a_value_that_may_be_several_numbers_is_for_a_person(tmp_path: Path) -> None:
    assert "is one number cannot be told" in blocked(tmp_path, callback('outputs["loss"].cpu()'))


def test_a_callback_that_tells_dataloaders_apart_is_left_alone(tmp_path: Path) -> None:
    text = callback(
        'outputs["loss"].item() if dataloader_idx == 0 else 0.0',
        parameters="outputs, batch, batch_idx, dataloader_idx=0",
    )
    assert "tells dataloaders apart" in blocked(tmp_path, text)


def test_a_module_with_several_dataloaders_adds_their_index(tmp_path: Path) -> None:
    model = """
    import lightning.pytorch as pl


    class Model(pl.LightningModule):
        def validation_step(self, batch, batch_idx, dataloader_idx=0):
            return {"loss": self.net(batch)}
    """
    assert "Model.validation_step" in blocked(tmp_path, callback(), model=dedent(model))


def test_a_module_whose_batches_are_misread_is_for_a_person(tmp_path: Path) -> None:
    model = """
    import lightning.pytorch as pl


    class Model(pl.LightningModule):
        def validation_step(self, batch, batch_idx):
            images, targets = batch
            images = list(image.to(self.device) for image in images)
            targets = [{k: v for k, v in t.items()} for t in targets]
            return {"loss": sum(self.net(images, targets).values())}
    """
    assert "misreads the size" in blocked(tmp_path, callback(), model=dedent(model))
