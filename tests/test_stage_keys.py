"""One key for two stages is found where loggers are surely given both."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent, indent

import projects
import pytest

HEAD = """\
import torch.nn.functional as F
import lightning.pytorch as pl
from torchmetrics import MeanMetric


class M(pl.LightningModule):
    def __init__(self, net):
        super().__init__()
        self.net = net
        self.a, self.b = MeanMetric(), MeanMetric()

"""
STEPS = """
def training_step(self, batch, batch_idx):
    x, y = batch
    loss = F.mse_loss(self.net(x), y)
    self.log("{}", loss{})
    return loss

def validation_step(self, batch, batch_idx):
    x, y = batch
    loss = F.mse_loss(self.net(x), y)
    self.log("{}", loss{})
"""
OBJECTS = """
def training_step(self, batch, batch_idx):
    self.a.update(self.net(batch))
    self.log("k", self.a, on_step=False, on_epoch=True)

def validation_step(self, batch, batch_idx):
    self.b.update(self.net(batch))
    self.log("k", self.b)
"""


def found(tmp_path: Path, body: str) -> list[str]:
    text = HEAD + indent(dedent(body).strip("\n"), "    ") + "\n"
    (tmp_path / "model.py").write_text(text, encoding="utf-8")
    report = projects.check(tmp_path, "LM119")
    assert not report.failures, report.failures
    return [d.message.split('"')[1] for d in report.diagnostics]


FOUND = {
    "a step and an epoch": (STEPS.format("loss", "", "loss", ""), ["loss"]),
    "two epochs": (
        STEPS.format("loss", ", on_step=False, on_epoch=True", "loss", ""),
        ["loss"],
    ),
    "both at both levels": (
        STEPS.format("loss", ", on_epoch=True", "loss", ", on_step=True"),
        ["loss_step"],
    ),
    "by its ending": (STEPS.format("loss", ", on_epoch=True", "loss_epoch", ""), ["loss_epoch"]),
    "objects": (OBJECTS, ["k"]),
    "a step that both share": (
        """
        def training_step(self, batch, batch_idx):
            return self.shared(batch)

        def validation_step(self, batch, batch_idx):
            return self.shared(batch)

        def shared(self, batch):
            x, y = batch
            loss = F.mse_loss(self.net(x), y)
            self.log_dict({"loss": loss, "error": loss.sqrt()})
            return loss
        """,
        ["loss", "error"],
    ),
    "after the epoch": (
        """
        def training_step(self, batch, batch_idx):
            self.log("k", F.mse_loss(self.net(batch), batch))

        def validation_step(self, batch, batch_idx):
            self.a.update(F.mse_loss(self.net(batch), batch))

        def on_validation_epoch_end(self):
            self.log("k", self.a.compute())
            self.a.reset()
        """,
        ["k"],
    ),
}


@pytest.mark.parametrize(("body", "keys"), FOUND.values(), ids=FOUND)
def test_a_key_of_two_stages_is_found(body: str, keys: list[str], tmp_path: Path) -> None:
    assert found(tmp_path, body) == keys


QUIET = {
    "two keys": STEPS.format("train_loss", "", "val_loss", ""),
    "other endings": STEPS.format("loss", ", on_epoch=True", "loss", ""),
    "only in the progress bar": STEPS.format("loss", ", prog_bar=True, logger=False", "loss", ""),
    "levels that are not known": STEPS.format("loss", ", on_step=self.fine", "loss", ""),
    "arguments that are not known": STEPS.format("loss", ", **self.how", "loss", ""),
    "a test": STEPS.format("loss", "", "loss", "").replace("training_step", "test_step"),
    "a key by stage": """
        def training_step(self, batch, batch_idx):
            return self.shared(batch, "train")

        def validation_step(self, batch, batch_idx):
            return self.shared(batch, "val")

        def shared(self, batch, stage):
            self.log(f"{stage}_loss", F.mse_loss(self.net(batch), batch))
        """,
    "a key by the mode": """
        def training_step(self, batch, batch_idx):
            return self.shared(batch)

        def validation_step(self, batch, batch_idx):
            return self.shared(batch)

        def shared(self, batch):
            stage = "train" if self.training else "val"
            self.log(stage + "_loss", F.mse_loss(self.net(batch), batch))
        """,
    "a key that is not known": """
        def training_step(self, batch, batch_idx):
            self.log(self.key, F.mse_loss(self.net(batch), batch))

        def validation_step(self, batch, batch_idx):
            self.log(self.key, F.mse_loss(self.net(batch), batch))
        """,
    "a setting": STEPS.format("beta", "", "beta", "").replace(", loss)", ", self.beta)"),
    "the size": STEPS.format("n", "", "n", "").replace(", loss)", ", len(x))"),
    "one stage logs": """
        def training_step(self, batch, batch_idx):
            return self.shared(batch, True)

        def validation_step(self, batch, batch_idx):
            return self.shared(batch, False)

        def shared(self, batch, logs):
            loss = F.mse_loss(self.net(batch), batch)
            if logs:
                self.log("loss", loss)
            return loss
        """,
}


@pytest.mark.parametrize("body", QUIET.values(), ids=QUIET)
def test_keys_that_never_meet_are_left_alone(body: str, tmp_path: Path) -> None:
    assert found(tmp_path, body) == []


def test_each_module_has_keys_of_its_own(tmp_path: Path) -> None:
    text = HEAD + indent(STEPS.format("loss", "", "val_loss", ""), "    ")
    text += "\n\nclass N(M):\n    def validation_step(self, batch, batch_idx):\n"
    text += '        self.log("loss", F.mse_loss(self.net(batch), batch))\n'
    (tmp_path / "model.py").write_text(text, encoding="utf-8")
    report = projects.check(tmp_path, "LM119")
    assert len(report.diagnostics) == 1
