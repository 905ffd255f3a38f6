"""Methods that are called like hooks and are none: found with the hook that is meant, or not."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import projects
import pytest

CODE = "LM212"
HEAD = "import pytorch_lightning as pl\n\n\n"
BASES = {
    "module": "pl.LightningModule",
    "callback": "pl.Callback",
    "data module": "pl.LightningDataModule",
}


def found(tmp_path: Path, text: str) -> list[tuple[str, str]]:
    """Return message and help of what is found."""
    projects.written(tmp_path, {"m.py": HEAD + dedent(text)})
    report = projects.check(tmp_path, CODE)
    assert report.failures == []
    return [(d.message, d.help) for d in report.diagnostics]


@pytest.mark.parametrize(
    ("owner", "name", "meant"),
    [
        ("module", "training_batch_end", "on_train_batch_end"),
        ("module", "on_validation_end_epoch", "on_validation_epoch_end"),
        ("module", "on_val_epoch_end", "on_validation_epoch_end"),
        ("module", "on_valid_epoch_start", "on_validation_epoch_start"),
        ("module", "on_training_epoch_end", "on_train_epoch_end"),
        ("module", "on_train_begin", "on_train_start"),
        ("module", "on_trian_epoch_end", "on_train_epoch_end"),
        ("module", "on_test_ends", "on_test_end"),
        ("module", "val_step", "validation_step"),
        ("module", "validation_setp", "validation_step"),
        ("module", "configure_optimizer", "configure_optimizers"),
        ("callback", "on_end_validation", "on_validation_end"),
        ("callback", "training_epoch_end", "on_train_epoch_end"),
        ("callback", "on_predict_batch_begin", "on_predict_batch_start"),
        ("data module", "validation_dataloader", "val_dataloader"),
    ],
)
def test_the_nearest_hook_is_told(owner: str, name: str, meant: str, tmp_path: Path) -> None:
    text = f"class Own({BASES[owner]}):\n    def {name}(self, *args):\n        print(1)\n"
    ((message, help_text),) = found(tmp_path, text)
    assert message == f"Own.{name} is no hook of Lightning, and nothing calls it"
    assert help_text == f"call it {meant}, if it is meant for Lightning"
    projects.fix(tmp_path, CODE)
    assert f"def {meant}(self, *args):" in (tmp_path / "m.py").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("owner", "name", "of"),
    [
        ("module", "on_sanity_check_start", "callback"),
        ("callback", "validation_step", "module"),
        ("data module", "on_train_epoch_start", "module"),
    ],
)
def test_a_hook_of_others_is_told(owner: str, name: str, of: str, tmp_path: Path) -> None:
    text = f"class Own({BASES[owner]}):\n    def {name}(self, *args):\n        print(1)\n"
    ((message, _),) = found(tmp_path, text)
    assert message == f"Own.{name} is a hook of {of}s; Lightning never calls it on a {owner}"


@pytest.mark.parametrize(
    "text",
    [
        # called
        """
        class Own(pl.LightningModule):
            def training_step(self, batch, batch_idx):
                return self.train_step(batch)

            def train_step(self, batch):
                return self(batch)
        """,
        """
        class Own(pl.LightningModule):
            def on_validation_epoch_end(self):
                self.on_eval_epoch_end("val")

            def on_eval_epoch_end(self, stage):
                print(stage)
        """,
        """
        class Own(pl.Callback):
            def on_valid_end(self, trainer):
                print(1)

        def run(callbacks):
            for callback in callbacks:
                callback.on_valid_end(None)
        """,
        # the hook is there as well
        """
        class Own(pl.LightningModule):
            def validation_step(self, batch, batch_idx):
                return self(batch)

            def val_step(self, batch):
                return self(batch)
        """,
        # of the project's own, or of another library
        """
        class Base(pl.LightningModule):
            def on_valid_epoch_end(self):
                print(1)

        class Own(Base):
            def on_valid_epoch_end(self):
                print(2)

        def run(own):
            own.on_valid_epoch_end()
        """,
        """
        from fastai.callback import Mixin

        class Own(pl.LightningModule, Mixin):
            def on_train_begin(self):
                print(1)
        """,
        # not of a moment
        """
        class Own(pl.LightningModule):
            def configure_loss(self):
                print(1)

            def train_epoch_metrics(self):
                print(1)

            def end_to_end_test(self):
                print(1)

            def on_click(self):
                print(1)

            def test_time_augmentation(self):
                print(1)

            def predict_batch(self, batch):
                print(1)

            def one_training_step(self, batch):
                print(1)

            def before_training(self):
                print(1)

            def on_load(self):
                print(1)

            def _on_validation_end_epoch(self):
                print(1)
        """,
        # no method, or an empty one
        """
        class Own(pl.LightningModule):
            @property
            def val_step(self):
                return 1

            def on_valid_epoch_end(self):
                pass
        """,
        # hooks, old and new
        """
        class Own(pl.LightningModule):
            def validation_epoch_end(self, outputs):
                print(1)

            def on_epoch_end(self):
                print(1)

            def training_step_end(self, output):
                print(1)

            def on_validation_model_eval(self):
                print(1)

            def predict_dataloader(self):
                print(1)
        """,
        """
        class Own:
            def on_valid_epoch_end(self):
                print(1)
        """,
    ],
)
def test_other_methods_are_no_finding(text: str, tmp_path: Path) -> None:
    assert found(tmp_path, text) == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            """
            class Own(pl.LightningModule):
                def training_batch_end(self, loss):
                    print(1)
            """,
            "on_train_batch_end is called with other arguments",
        ),
        (
            """
            class Own(pl.LightningModule):
                def on_valid_epoch_end(self):
                    print(1)

            class Below(Own):
                def on_validation_epoch_end(self):
                    print(1)
            """,
            "Below has a on_validation_epoch_end",
        ),
    ],
)
def test_what_does_not_fit_is_not_renamed(text: str, reason: str, tmp_path: Path) -> None:
    projects.written(tmp_path, {"m.py": HEAD + dedent(text)})
    (diagnostic,) = projects.check(tmp_path, CODE).diagnostics
    assert reason in diagnostic.blocked


_OWN = """
class Own(pl.Callback):
    def on_after_training_step(self, batch, trainer, pl_module):
        print(batch)
"""


def test_what_takes_a_trainer_and_a_module_was_meant_for_lightning(tmp_path: Path) -> None:
    ((message, help_text),) = found(tmp_path, _OWN)
    assert message == "Own.on_after_training_step is no hook of Lightning, and nothing calls it"
    assert help_text == "give it the name of the hook at whose moment it is to run"
    projects.fix(tmp_path, CODE)
    assert "on_after_training_step" in (tmp_path / "m.py").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("pl.Callback", "pl.LightningModule"),
        ("pl.Callback", "Events"),
        ("batch, trainer, pl_module", "batch"),
        ("print(batch)", "pass"),
        ("on_after_training_step", "write_rows"),
        ("class Own", "getattr(callback, 'on_' + stage)(trainer)\n\n\nclass Own"),
        ("class Own", "call(trainer, f'on_{stage}')\n\n\nclass Own"),
        ("class Own", "call(trainer, 'on_after_training_step')\n\n\nclass Own"),
    ],
)
def test_what_is_no_hook_of_a_callback_or_is_called_is_quiet(
    old: str, new: str, tmp_path: Path
) -> None:
    assert found(tmp_path, _OWN.replace(old, new)) == []
