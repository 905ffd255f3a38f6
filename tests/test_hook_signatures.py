"""Hooks whose parameters changed, and what callbacks keep: found, written anew, or left alone."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import projects
import pytest

from lintmetrics import facts
from lintmetrics.codemod import Relation

CODES = ("LM211", "LM213")
SAFE = frozenset((Relation.PRESERVES, Relation.CORRECTS))
HEAD = "import pytorch_lightning as pl\n\n\n"


def messages(tmp_path: Path, text: str) -> list[str]:
    """Return what is found."""
    projects.written(tmp_path, {"m.py": HEAD + dedent(text)})
    report = projects.check(tmp_path, *CODES)
    assert report.failures == []
    return [diagnostic.message for diagnostic in report.diagnostics]


def fixed(tmp_path: Path, text: str) -> str:
    """Return one file after the fixes that preserve."""
    projects.written(tmp_path, {"m.py": HEAD + dedent(text)})
    projects.fix(tmp_path, *CODES, relations=SAFE)
    return (tmp_path / "m.py").read_text(encoding="utf-8").removeprefix(HEAD)


def blocked(tmp_path: Path, text: str) -> list[str]:
    """Return why findings have no fix."""
    projects.written(tmp_path, {"m.py": HEAD + dedent(text)})
    return [d.blocked for d in projects.check(tmp_path, *CODES).diagnostics]


BASES = {
    "module": "pl.LightningModule",
    "callback": "pl.Callback",
    "datamodule": "pl.LightningDataModule",
    "BaseFinetuning": "pl.callbacks.BaseFinetuning",
}
STEP = "\n    def training_step(self, batch, batch_idx):\n        return self(batch)\n"
CHANGED = [
    (owner, name, row)
    for owner in BASES
    for name, row in facts.hooks_of(owner, "signature", "refused").items()
]


def _class(owner: str, name: str, names: list[str]) -> str:
    step = STEP if owner == "module" and name != "training_step" else ""
    first = ["self", *(("trainer", "pl_module") if owner == "callback" else ())]
    given = ", ".join([*first, *names])
    return f"class Own({BASES[owner]}):\n    def {name}({given}):\n        {_body(name)}\n{step}"


def _body(name: str) -> str:
    return "optimizer_closure()" if name == "optimizer_step" else "print(1)"


@pytest.mark.parametrize(("owner", "name", "row"), CHANGED, ids=lambda part: str(part)[:40])
def test_every_row_is_found_and_written_where_nothing_reads_it(
    owner: str, name: str, row: facts.Hook, tmp_path: Path
) -> None:
    text = _class(owner, name, [parameter.name for parameter in row.parameters])
    projects.written(tmp_path, {"m.py": HEAD + text})
    (diagnostic,) = projects.check(tmp_path, "LM211").diagnostics
    assert diagnostic.message.startswith(f"Own.{name} ")
    assert diagnostic.help == row.note
    projects.fix(tmp_path, "LM211", relations=SAFE)
    assert projects.check(tmp_path, "LM211").diagnostics == []


@pytest.mark.parametrize("owner", ["module", "callback", "datamodule"])
def test_hooks_as_lightning_calls_them_are_no_finding(owner: str, tmp_path: Path) -> None:
    text = f"class Own({BASES[owner]}):\n"
    for name, row in facts.hooks_of(owner, "current").items():
        first = ["self"]
        if owner == "callback" and name not in ("state_dict", "load_state_dict"):
            first += ["trainer", "pl_module"]
        names = [p.name + ("=0" if p.name == "dataloader_idx" else "") for p in row.parameters]
        text += f"    def {name}({', '.join([*first, *names])}):\n        {_body(name)}\n\n"
    assert messages(tmp_path, text) == []


@pytest.mark.parametrize(
    "text",
    [
        # what takes anything
        """
        class Own(pl.Callback):
            def on_train_batch_end(self, *args, **kwargs):
                print(args)

            def setup(self, trainer, pl_module, **kwargs):
                print(kwargs)

            def on_validation_batch_end(self, trainer, pl_module, outputs, *args):
                print(args)
        """,
        # parameters of old that are not needed
        """
        class Own(pl.Callback):
            def on_train_batch_end(
                self, trainer, pl_module, outputs, batch, batch_idx, dataloader_idx=0, unused=0
            ):
                print(dataloader_idx)
        """,
        # steps take what they like
        """
        class Own(pl.LightningModule):
            def training_step(self, batch):
                return self(batch)

            def validation_step(self, batch):
                self(batch)

            def test_step(self, batch, batch_idx, dataloader_idx):
                self(batch)

            def predict_step(self, batch, batch_nr):
                return self(batch)
        """,
        # several dataloaders
        """
        class Own(pl.LightningModule):
            def training_step(self, batch, batch_idx):
                return self(batch)

            def validation_step(self, batch, batch_idx, dataloader_idx):
                self(batch)

            def on_validation_batch_end(self, outputs, batch, batch_idx, dataloader_idx):
                print(dataloader_idx)

            def val_dataloader(self):
                return [DataLoader(self.one), DataLoader(self.two)]
        """,
        # the project's own
        """
        class Part(pl.LightningModule):
            def setup(self, width):
                self.width = width

        class Own(pl.LightningModule):
            def training_step(self, batch, batch_idx):
                return self(batch)

            def prepare_data(self, folder):
                print(folder)

        def run(own):
            own.prepare_data("data")
        """,
        """
        class Inner(pl.LightningModule):
            def training_step(self, batch, batch_idx, stage):
                return self(batch)

        class Own(pl.LightningModule):
            def training_step(self, batch, batch_idx):
                return self.inner.training_step(batch, batch_idx, "train")
        """,
        """
        class Base(pl.LightningDataModule):
            def setup_all(self):
                self.setup()

        class Own(Base):
            def setup(self):
                print(1)
        """,
        """
        class Own(pl.Callback):
            def on_train_batch_end(self, outputs):
                print(outputs)

        def run(fabric):
            fabric.call("on_train_batch_end", outputs=1)
        """,
        # decorated in a way that may change what is taken
        """
        class Own(pl.LightningModule):
            @with_index
            def training_step(self, batch, batch_idx, index):
                return self(batch)
        """,
        # of another rule
        """
        class Own(pl.LightningModule):
            def on_validation_epoch_end(self, outputs):
                print(outputs)
        """,
        # of nobody
        """
        class Own:
            def on_train_batch_end(self, dataloader_idx):
                print(1)
        """,
        # what callbacks keep as they should
        """
        class Own(pl.Callback):
            def state_dict(self):
                return {"n": self.n}

            def load_state_dict(self, state_dict):
                self.n = state_dict["n"]

            def on_save_checkpoint(self, trainer, pl_module, checkpoint):
                return {"n": self.n}
        """,
        """
        class Own(pl.Callback):
            def on_save_checkpoint(self, trainer, pl_module, checkpoint):
                checkpoint["n"] = self.n
                return checkpoint

            def on_load_checkpoint(self, trainer, pl_module, checkpoint):
                self.n = checkpoint["n"]
        """,
        """
        class Own(pl.Callback):
            def on_save_checkpoint(self, trainer, pl_module, checkpoint):
                if not self.n:
                    return
                print(self.n)
        """,
        """
        class Own(pl.LightningModule):
            def on_save_checkpoint(self, checkpoint):
                return {"n": self.n}
        """,
        """
        class Own(pl.LightningModule):
            def optimizer_step(self, *args, **kwargs):
                self.n += 1
                super().optimizer_step(*args, **kwargs)
        """,
        """
        class Own(pl.LightningModule):
            def optimizer_step(self, epoch, batch_idx, optimizer, closure):
                loss = closure()
                optimizer.step()
        """,
        """
        class Own(pl.LightningModule):
            def optimizer_step(self, epoch, batch_idx, optimizer, optimizer_closure):
                with self.timer:
                    optimizer.step(closure=optimizer_closure)
        """,
        """
        class Own(pl.LightningModule):
            def __init__(self):
                super().__init__()
                self.automatic_optimization = False

            def optimizer_step(self, epoch, batch_idx, optimizer, optimizer_closure):
                optimizer.step()
        """,
        """
        class Own(Strange):
            def optimizer_step(self, epoch, batch_idx, optimizer, optimizer_closure):
                optimizer.step()
        """,
    ],
)
def test_what_lightning_can_call_is_no_finding(text: str, tmp_path: Path) -> None:
    assert messages(tmp_path, text) == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            """
            class Own(pl.LightningModule):
                def training_step(self, batch, batch_idx, optimizer_idx=0):
                    return self(batch)[optimizer_idx]
            """,
            "takes `optimizer_idx`, which Lightning 2 does not pass: RuntimeError",
        ),
        (
            """
            class Own(pl.LightningModule):
                def validation_step(self, batch, batch_idx, dataset_idx):
                    self(batch)
            """,
            "requires `dataset_idx`, where Lightning 2 knows dataloader_idx alone: RuntimeError",
        ),
        (
            """
            class Own(pl.LightningModule):
                def backward(self, loss, optimizer=None, optimizer_idx=None):
                    loss.backward(retain_graph=optimizer_idx == 0)

                def configure_optimizers(self):
                    return Adam(self.parameters())
            """,
            "reads `optimizer_idx`, which Lightning 2 never passes",
        ),
        (
            """
            class Own(pl.LightningModule):
                def optimizer_step(self, epoch, i, optimizer, optimizer_idx=0, closure=None):
                    optimizer.step(closure)
            """,
            "takes `optimizer_idx`, and Lightning 2 passes something else in its place",
        ),
        (
            """
            class Own(pl.LightningModule):
                def optimizer_step(self, epoch, i, optimizer, optimizer_idx, closure=None):
                    optimizer.step(closure)
            """,
            "takes `optimizer_idx`, and Lightning 2 passes something else in its place",
        ),
        (
            """
            class Own(pl.LightningModule):
                def optimizer_step(self, epoch, i, optimizer, opt_i, second_order_closure=None):
                    optimizer.step()
                    optimizer.zero_grad()
            """,
            "never calls `opt_i`, in which Lightning runs training_step and backward: "
            "MisconfigurationException",
        ),
        (
            """
            class Own(pl.LightningModule):
                def optimizer_step(self, epoch, batch_idx, optimizer, optimizer_closure):
                    optimizer.step()
            """,
            "never calls `optimizer_closure`, in which Lightning runs training_step and backward: "
            "MisconfigurationException",
        ),
        (
            """
            class Own(pl.Callback):
                def on_train_batch_end(self, trainer, pl_module):
                    print(1)
            """,
            "does not take `outputs`, which Lightning passes: TypeError",
        ),
        (
            """
            class Own(pl.Callback):
                def on_fit_start(self, trainer):
                    print(1)
            """,
            "does not take `pl_module`, which Lightning passes: TypeError",
        ),
        (
            """
            class Own(pl.LightningModule):
                def configure_gradient_clipping(self, optimizer, value, algorithm):
                    print(1)
            """,
            "does not take `gradient_clip_val`, which Lightning passes: TypeError",
        ),
    ],
)
def test_a_message_says_what_happens(text: str, told: str, tmp_path: Path) -> None:
    (message,) = messages(tmp_path, text)
    assert message.endswith(told)


# What is written ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (
            """
            class Base(pl.LightningModule):
                def training_step(self, batch, batch_idx, optimizer_idx):
                    return self(batch)

            class Own(Base):
                def training_step(self, batch, batch_idx, optimizer_idx=0):
                    return super().training_step(batch, batch_idx, optimizer_idx=optimizer_idx)
            """,
            """
            class Base(pl.LightningModule):
                def training_step(self, batch, batch_idx):
                    return self(batch)

            class Own(Base):
                def training_step(self, batch, batch_idx):
                    return super().training_step(batch, batch_idx)
            """,
        ),
        (
            """
            class Own(pl.LightningModule):
                def optimizer_step(self, epoch, i, optimizer, opt_idx, optimizer_closure,
                                   on_tpu=False, using_native_amp=False, using_lbfgs=False):
                    super().optimizer_step(epoch, i, optimizer, opt_idx, optimizer_closure,
                                           on_tpu=on_tpu, using_lbfgs=using_lbfgs)
            """,
            """
            class Own(pl.LightningModule):
                def optimizer_step(self, epoch, i, optimizer, optimizer_closure):
                    super().optimizer_step(epoch, i, optimizer, optimizer_closure)
            """,
        ),
        (
            """
            class Own(pl.Callback):
                def on_train_batch_end(self, trainer, model, outputs, batch, i, dl: int):
                    print(dl)

                def on_test_batch_start(self, trainer, model, batch, batch_idx, _index):
                    print(1)
            """,
            """
            class Own(pl.Callback):
                def on_train_batch_end(self, trainer, model, outputs, batch, i, dl: int = 0):
                    print(dl)

                def on_test_batch_start(self, trainer, model, batch, batch_idx, _index=0):
                    print(1)
            """,
        ),
        (
            """
            class Own(pl.LightningModule):
                def validation_step(self, batch, batch_idx):
                    self(batch)

                def test_step(self, batch, batch_idx):
                    self(batch)

                def val_dataloader(self):
                    return [DataLoader(self.one), DataLoader(self.two)]

                def test_dataloader(self):
                    return DataLoader(self.one)
            """,
            """
            class Own(pl.LightningModule):
                def validation_step(self, batch, batch_idx, dataloader_idx=0):
                    self(batch)

                def test_step(self, batch, batch_idx):
                    self(batch)

                def val_dataloader(self):
                    return [DataLoader(self.one), DataLoader(self.two)]

                def test_dataloader(self):
                    return DataLoader(self.one)
            """,
        ),
        (
            """
            class Own(pl.LightningModule):
                def test_step(self, batch, batch_idx, dataset_idx: int):
                    return self.heads[dataset_idx](batch)
            """,
            """
            class Own(pl.LightningModule):
                def test_step(self, batch, batch_idx, dataloader_idx: int = 0):
                    return self.heads[dataloader_idx](batch)
            """,
        ),
        (
            """
            class Own(pl.LightningDataModule):
                def setup(self):
                    super().setup()

                def on_before_batch_transfer(self, batch):
                    super().on_before_batch_transfer(batch=batch)
            """,
            """
            class Own(pl.LightningDataModule):
                def setup(self, stage=None):
                    super().setup(stage)

                def on_before_batch_transfer(self, batch, dataloader_idx=0):
                    super().on_before_batch_transfer(batch=batch, dataloader_idx=dataloader_idx)
            """,
        ),
        (
            """
            class Own(pl.Callback):
                def on_save_checkpoint(self, trainer, pl_module):
                    return {"n": self.n}

                def on_load_checkpoint(self, checkpointed_state):
                    self.n = checkpointed_state["n"]
            """,
            """
            class Own(pl.Callback):
                def state_dict(self):
                    return {"n": self.n}

                def load_state_dict(self, checkpointed_state):
                    self.n = checkpointed_state["n"]
            """,
        ),
    ],
)
def test_what_is_written(old: str, new: str, tmp_path: Path) -> None:
    assert fixed(tmp_path, old) == dedent(new)
    assert fixed(tmp_path, new) == dedent(new)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            """
            class Own(pl.LightningModule):
                def training_step(self, batch, batch_idx, optimizer_idx):
                    if optimizer_idx == 0:
                        return self(batch)
            """,
            "reads `optimizer_idx` at",
        ),
        (
            """
            class Own(pl.Callback):
                def on_train_batch_end(self, trainer, pl_module):
                    print(1)
            """,
            "write on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx)",
        ),
        (
            """
            class Own(pl.LightningModule):
                def backward(self, loss, optimizer=None, optimizer_idx=None):
                    loss.backward(retain_graph=optimizer_idx == 0)

                def configure_optimizers(self):
                    return Adam(self.parameters())
            """,
            "there is no index",
        ),
        (
            """
            class Own(pl.Callback):
                def on_train_batch_start(self, trainer, model, batch, batch_idx, dataloader_idx):
                    print(1)

            def run(callback):
                callback.on_train_batch_start(None, None, [], 0, 0)
            """,
            "is called with it at",
        ),
        (
            """
            class Own(pl.Callback):
                def on_save_checkpoint(self, trainer, pl_module, checkpoint):
                    return {"n": trainer.global_step}
            """,
            "reads `trainer` at line 7, which state_dict is not given",
        ),
        (
            """
            class Own(pl.callbacks.EarlyStopping):
                def on_save_checkpoint(self, trainer, pl_module, checkpoint):
                    state = super().on_save_checkpoint(trainer, pl_module, checkpoint)
                    return {**state, "n": self.n}
            """,
            "calls super() at line 7",
        ),
    ],
)
def test_what_cannot_be_written_says_why(text: str, reason: str, tmp_path: Path) -> None:
    (told,) = blocked(tmp_path, text)
    assert reason in told
    assert fixed(tmp_path, text) == dedent(text)
