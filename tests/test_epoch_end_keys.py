"""One mean for each key of the outputs, made in a loop or in a comprehension."""

from __future__ import annotations

from pathlib import Path

import projects
import pytest

MODEL = """\
import torch
import torch.nn.functional as F
import pytorch_lightning as pl


class Model(pl.LightningModule):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def validation_step(self, batch, batch_idx):
        x, y = batch
        p = self.net(x)
        return {"a": F.mse_loss(p, y), "b": OTHER}

    def validation_epoch_end(self, outputs):
        END
"""
LOSS = "F.l1_loss(p, y)"


def fixed(end: str, folder: Path, other: str = LOSS) -> str:
    text = MODEL.replace("OTHER", other).replace("END", end.replace("\n", "\n        "))
    (folder / "model.py").write_text(text)
    assert not projects.fix(folder, "LM111", "LM201").failures
    return (folder / "model.py").read_text()


@pytest.mark.parametrize(
    ("end", "keys"),
    [
        (
            "logs = {k: torch.stack([o[k] for o in outputs]).mean() for k in outputs[0]}\n"
            "self.log_dict(logs)",
            ("a", "b"),
        ),
        (
            'self.log_dict({f"val_{k}": torch.stack([o[k] for o in outputs]).mean() '
            "for k in outputs[0].keys()})",
            ("val_a", "val_b"),
        ),
        (
            'self.log_dict({"val/" + k: torch.stack([o[k] for o in outputs]).mean() '
            'for k in ["a", "b"]})',
            ("val/a", "val/b"),
        ),
        (
            'for k in ("a", "b"):\n'
            "    value = sum(o[k] for o in outputs) / len(outputs)\n"
            '    self.log(f"val/{k}", value)',
            ("val/a", "val/b"),
        ),
        (
            "means = {k: torch.stack([o[k] for o in outputs]).mean() for k in outputs[0]}\n"
            "for k, mean in means.items():\n"
            '    self.log("val_" + k, mean)',
            ("val_a", "val_b"),
        ),
        (
            "logs = {}\n"
            "for k in outputs[0].keys():\n"
            "    logs[k] = torch.stack([o[k] for o in outputs]).mean()\n"
            "self.log_dict(logs)",
            ("a", "b"),
        ),
        (
            "logs = {}\n"
            "for k in outputs[0]:\n"
            "    mean = torch.stack([o[k] for o in outputs]).mean()\n"
            '    logs[f"val/{k}"] = mean\n'
            "for k, v in logs.items():\n"
            "    self.log(k, v)",
            ("val/a", "val/b"),
        ),
    ],
)
def test_the_step_logs_each_key(end: str, keys: tuple[str, str], tmp_path: Path) -> None:
    text = fixed(end, tmp_path)
    assert f'self.log("{keys[0]}", a)' in text
    assert f'self.log("{keys[1]}", b)' in text
    assert "epoch_end" not in text
    assert projects.codes(projects.check(tmp_path, "LM111", "LM201")) == []


def test_a_vector_among_them_is_reduced(tmp_path: Path) -> None:
    end = "self.log_dict({k: torch.stack([o[k] for o in outputs]).mean() for k in outputs[0]})"
    text = fixed(end, tmp_path, 'F.l1_loss(p, y, reduction="none").mean(0)')
    assert 'self.log("a", a)' in text
    assert 'self.log("b", b.mean())' in text


@pytest.mark.parametrize(
    ("end", "other"),
    [
        # A count may not be weighed.
        (
            "self.log_dict({k: torch.stack([o[k] for o in outputs]).mean() for k in outputs[0]})",
            "(p > y).sum().float()",
        ),
        # More is done with each of them.
        (
            'for k in ("a", "b"):\n'
            "    value = torch.stack([o[k] for o in outputs]).mean()\n"
            "    print(k, value)\n"
            "    self.log(k, value)",
            LOSS,
        ),
        (
            'for k in ("a", "b"):\n'
            "    value = torch.stack([o[k] for o in outputs]).mean()\n"
            "    self.log(k, value)\n"
            'self.log("last", value * 2)',
            LOSS,
        ),
        # One key for all of them: the last one wins.
        (
            'for k in ("a", "b"):\n    self.log("x", torch.stack([o[k] for o in outputs]).mean())',
            LOSS,
        ),
        (
            "logs = {}\n"
            "for k in outputs[0]:\n"
            "    logs[k] = torch.stack([o[k] for o in outputs]).mean()\n"
            "self.show(logs)\n"
            "self.log_dict(logs)",
            LOSS,
        ),
        (
            "self.log_dict({k: torch.stack([o[k] for o in outputs if k in o]).mean() "
            "for k in outputs[0]})",
            LOSS,
        ),
    ],
)
def test_what_is_more_than_that_stays_as_it_is(end: str, other: str, tmp_path: Path) -> None:
    text = fixed(end, tmp_path, other)
    assert "batch_size" not in text
    assert "self.log" in text.split("def on_validation_epoch_end", 1)[1]
