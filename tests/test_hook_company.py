"""Hooks that stand together on one object move together, or not at all."""

from __future__ import annotations

from pathlib import Path

import projects

HEAD = """\
import pytorch_lightning as pl
import torch

"""
STEPS = """
    def training_step(self, batch, batch_idx):
        return self(batch).mean()

    def validation_step(self, batch, batch_idx):
        return self(batch).mean()
"""


def blocked(tmp_path: Path, text: str) -> list[str]:
    """Return what keeps each hook of a module from moving."""
    (tmp_path / "model.py").write_text(HEAD + text, encoding="utf-8")
    report = projects.check(tmp_path, "LM201")
    assert not report.failures
    return [finding.blocked for finding in report.diagnostics]


def test_a_mixin_moves_whole_or_not_at_all(tmp_path: Path) -> None:
    text = f"""
class Spread:
    def validation_epoch_end(self, outputs):
        self.log("spread", torch.stack(outputs).std())

    def training_epoch_end(self, outputs):
        self.seen += 1


class Model(Spread, pl.LightningModule):{STEPS}"""
    first, second = blocked(tmp_path, text)
    assert "is a mixin" in first
    assert second.startswith("Spread.validation_epoch_end would be left behind: ")


def test_a_class_does_not_move_away_from_its_mixin(tmp_path: Path) -> None:
    text = f"""
class Spread:
    def validation_epoch_end(self, outputs):
        self.log("spread", torch.stack(outputs).std())


class Model(Spread, pl.LightningModule):{STEPS}
    def training_epoch_end(self, outputs):
        self.seen += 1
"""
    first, second = blocked(tmp_path, text)
    assert "is a mixin" in first
    assert second.startswith("Spread.validation_epoch_end would be left behind: ")


def test_a_class_that_names_object_is_a_mixin_too(tmp_path: Path) -> None:
    text = f"""
class Spread(object):
    def validation_epoch_end(self, outputs):
        self.log("spread", torch.stack(outputs).std())


class Model(Spread, pl.LightningModule):{STEPS}"""
    (only,) = blocked(tmp_path, text)
    assert "is a mixin, whose __init__ may never run" in only


def test_a_renamed_hook_hides_no_other(tmp_path: Path) -> None:
    text = f"""
class Timed:
    def on_validation_epoch_end(self):
        self.ended = True


class Base(pl.LightningModule):{STEPS}
    def validation_epoch_end(self, outputs):
        self.log("spread", torch.stack(outputs).std())


class Model(Timed, Base):
    pass
"""
    (only,) = blocked(tmp_path, text)
    assert only.startswith("Timed.on_validation_epoch_end at ")
    assert "in Model, and one would hide the other" in only


def test_a_hook_that_hands_on_hides_nothing(tmp_path: Path) -> None:
    text = f"""
class Timed:
    def on_validation_epoch_end(self):
        super().on_validation_epoch_end()
        self.ended = True


class Base(pl.LightningModule):{STEPS}
    def validation_epoch_end(self, outputs):
        self.log("spread", torch.stack(outputs).std())


class Model(Timed, Base):
    pass
"""
    assert blocked(tmp_path, text) == [""]


def test_a_hook_of_a_class_that_never_meets_is_no_matter(tmp_path: Path) -> None:
    text = f"""
class Timed:
    def on_validation_epoch_end(self):
        self.ended = True


class Base(pl.LightningModule):{STEPS}
    def validation_epoch_end(self, outputs):
        self.log("spread", torch.stack(outputs).std())


class Other(Timed, pl.LightningModule):
    pass


class Model(Base):
    pass
"""
    assert blocked(tmp_path, text) == [""]
