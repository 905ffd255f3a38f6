"""Hooks that Lightning calls no longer: found, moved to those that run, or left alone."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import projects
import pytest

from lintmetrics import facts, runner
from lintmetrics.codemod import Relation
from lintmetrics.config import CommandLine, Configuration
from lintmetrics.rule import Consequence
from lintmetrics.sources import discover

CODE = "LM210"
SAFE = frozenset((Relation.PRESERVES, Relation.CORRECTS))
HEAD = "import pytorch_lightning as pl\n\n\n"


def found(tmp_path: Path, **files: str) -> list[str]:
    """Return what is found, by class and hook."""
    projects.written(tmp_path, {f"{name}.py": HEAD + dedent(text) for name, text in files.items()})
    report = projects.check(tmp_path, CODE)
    assert report.failures == []
    return [d.message.split()[0] for d in report.diagnostics]


def fixed(tmp_path: Path, text: str, relations: frozenset[Relation] = projects.ALL) -> str:
    """Return one file after its fix."""
    projects.written(tmp_path, {"m.py": HEAD + dedent(text)})
    projects.fix(tmp_path, CODE, relations=relations)
    return (tmp_path / "m.py").read_text(encoding="utf-8").removeprefix(HEAD)


def blocked(tmp_path: Path, text: str) -> list[str]:
    """Return why there is no fix."""
    projects.written(tmp_path, {"m.py": HEAD + dedent(text)})
    return [d.blocked for d in projects.check(tmp_path, CODE).diagnostics]


BASES = {
    "module": "pl.LightningModule",
    "callback": "pl.Callback",
    "datamodule": "pl.LightningDataModule",
    "logger": "pl.loggers.base.LightningLoggerBase",
}
DEAD = [
    (owner, name, row) for owner in BASES for name, row in facts.hooks_of(owner, "never").items()
]


@pytest.mark.parametrize(("owner", "name", "row"), DEAD, ids=lambda part: str(part)[:40])
def test_every_row_is_found_with_its_note(
    owner: str, name: str, row: facts.Hook, tmp_path: Path
) -> None:
    given = ["self", *(("trainer", "pl_module") if owner == "callback" else ())]
    given += [parameter.name for parameter in row.parameters]
    text = f"class Own({BASES[owner]}):\n    def {name}({', '.join(given)}):\n        print(1)\n"
    projects.written(tmp_path, {"m.py": HEAD + text})
    (diagnostic,) = projects.check(tmp_path, CODE).diagnostics
    assert diagnostic.message.startswith(f"Own.{name} is never called")
    assert diagnostic.help == row.note
    assert diagnostic.consequence is Consequence.IGNORED
    if row.codemod == "manual":
        assert diagnostic.blocked == row.note
        return
    projects.fix(tmp_path, CODE)
    written = (tmp_path / "m.py").read_text(encoding="utf-8")
    for successor, parameters in row.successors:
        assert f"def {successor}({', '.join([*given, *_added(row, parameters)])})" in written
    assert found(tmp_path) == []


def _added(row: facts.Hook, parameters: tuple[facts.HookParameter, ...]) -> list[str]:
    return [parameter.name for parameter in parameters[len(row.parameters) :]]


# What is no finding -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        # of another library
        """
        from transformers import TrainerCallback

        class Own(TrainerCallback):
            def on_epoch_end(self, args, state, control):
                print(1)
        """,
        """
        from transformers import TrainerCallback

        class Own(pl.Callback, TrainerCallback):
            def on_epoch_end(self, *args):
                print(1)
        """,
        """
        from keras.callbacks import Callback

        class Own(Callback):
            def on_batch_end(self, batch, logs=None):
                print(1)
        """,
        """
        class Own:
            def on_epoch_end(self):
                print(1)
        """,
        # called by the project
        """
        class Own(pl.LightningModule):
            def on_train_epoch_end(self):
                self.on_epoch_end()

            def on_epoch_end(self):
                print(1)
        """,
        """
        class Own(pl.LightningModule):
            def on_epoch_end(self):
                print(1)

            on_train_epoch_end = on_epoch_end
        """,
        """
        class Base(pl.LightningModule):
            def on_train_epoch_end(self):
                self.on_epoch_end(self.outputs)

        class Own(Base):
            def on_epoch_end(self, outputs):
                print(outputs)
        """,
        """
        class Own(pl.Callback):
            def on_batch_end(self, trainer, pl_module):
                print(1)

        def run(callbacks):
            for callback in callbacks:
                callback.on_batch_end(None, None)
        """,
        """
        class Own(pl.Callback):
            def on_batch_end(self, trainer, pl_module):
                print(1)

        def run(callbacks, name="on_batch_end"):
            for callback in callbacks:
                getattr(callback, name)(None, None)
        """,
        # nothing to lose
        """
        class Own(pl.LightningModule):
            def on_epoch_end(self):
                \"\"\"For subclasses.\"\"\"

            def on_epoch_start(self):
                pass
        """,
        # for old releases alone
        """
        from packaging import version

        class Own(pl.Callback):
            if version.parse(pl.__version__) < version.parse("1.6"):
                def on_epoch_end(self, trainer, pl_module):
                    print(1)
        """,
        # hooks of today
        """
        class Own(pl.LightningDataModule):
            def state_dict(self):
                return {"a": 1}

            def on_exception(self, exception):
                print(1)
        """,
        """
        class Own(pl.LightningModule):
            def on_save_checkpoint(self, checkpoint):
                checkpoint["a"] = 1

            def close(self):
                print(1)
        """,
    ],
)
def test_what_runs_or_is_not_lightnings_is_no_finding(text: str, tmp_path: Path) -> None:
    assert found(tmp_path, m=text) == []


def test_a_call_of_super_and_a_test_are_no_callers(tmp_path: Path) -> None:
    projects.written(
        tmp_path,
        {
            "tests/test_own.py": """
            from m import Own

            def test_own():
                Own().on_epoch_end(None, None)
            """
        },
    )
    text = """
    class Base(pl.Callback):
        def on_epoch_end(self, trainer, pl_module):
            print(1)

    class Own(Base):
        def on_epoch_end(self, trainer, pl_module):
            super().on_epoch_end(trainer, pl_module)
            print(2)
    """
    assert found(tmp_path, m=text) == ["Base.on_epoch_end", "Own.on_epoch_end"]
    assert "is called at" in blocked(tmp_path, text)[0]


@pytest.mark.parametrize(
    ("target", "consequence"),
    [("1.5", None), ("1.7", Consequence.STALE), ("1.8", Consequence.IGNORED)],
)
def test_the_target_decides(target: str, consequence: Consequence | None, tmp_path: Path) -> None:
    text = """
    class Own(pl.Callback):
        def on_epoch_end(self, trainer, pl_module):
            print(1)
    """
    projects.written(tmp_path, {"m.py": HEAD + dedent(text)})
    line = CommandLine(select=(CODE,), config=(f'target-lightning = "{target}"',), isolated=True)
    settings = Configuration(line)
    files, _ = discover([str(tmp_path)], settings.settings_for)
    report = runner.check(files, settings.settings_for, 1)
    assert [d.consequence for d in report.diagnostics] == ([consequence] if consequence else [])


# What is written ----------------------------------------------------------------------------------


def test_an_end_of_epochs_where_only_training_runs_is_renamed(tmp_path: Path) -> None:
    text = """
    class Own(pl.LightningModule):
        def training_step(self, batch, batch_idx):
            return self(batch)

        def on_epoch_end(self) -> None:
            super().on_epoch_end()
            self.total = 0
    """
    assert fixed(tmp_path, text, SAFE) == dedent(
        """
        class Own(pl.LightningModule):
            def training_step(self, batch, batch_idx):
                return self(batch)

            def on_train_epoch_end(self) -> None:
                self.total = 0
        """
    )


TWO_LOOPS = """
class Own(pl.LightningModule):
    def training_step(self, batch, batch_idx):
        return self(batch)

    def validation_step(self, batch, batch_idx):
        self(batch)

    def on_validation_epoch_end(self):
        print("validated")

    def on_epoch_end(self):
        # anew
        self.total = 0
"""


def test_each_loop_that_runs_calls_what_was_the_end_of_all(tmp_path: Path) -> None:
    assert fixed(tmp_path, TWO_LOOPS, SAFE) == TWO_LOOPS
    assert fixed(tmp_path, TWO_LOOPS) == dedent(
        """
        class Own(pl.LightningModule):
            def training_step(self, batch, batch_idx):
                return self(batch)

            def validation_step(self, batch, batch_idx):
                self(batch)

            def on_validation_epoch_end(self):
                print("validated")
                self._on_epoch_end()

            def _on_epoch_end(self):
                # anew
                self.total = 0

            def on_train_epoch_end(self):
                self._on_epoch_end()
        """
    )


def test_code_that_ran_on_1_3_or_later_is_sure_of_its_loops(tmp_path: Path) -> None:
    text = "\nimport torchmetrics\n" + TWO_LOOPS
    assert "self._on_epoch_end()" in fixed(tmp_path, text, SAFE)


def test_a_start_of_epochs_comes_before_those_of_today(tmp_path: Path) -> None:
    text = """
    class Base(pl.Callback):
        def on_test_epoch_start(self, trainer, pl_module):
            print("test")

    class Own(Base):
        def on_epoch_start(self, trainer: pl.Trainer, model) -> None:
            self.n = 0

        def on_train_epoch_start(self, t, m):
            \"\"\"Say so.\"\"\"
            print("train")
    """
    assert fixed(tmp_path, text) == dedent(
        """
        class Base(pl.Callback):
            def on_test_epoch_start(self, trainer, pl_module):
                print("test")

        class Own(Base):
            def _on_epoch_start(self, trainer: pl.Trainer, model) -> None:
                self.n = 0

            def on_validation_epoch_start(self, trainer: pl.Trainer, model) -> None:
                self._on_epoch_start(trainer, model)

            def on_test_epoch_start(self, trainer: pl.Trainer, model) -> None:
                self._on_epoch_start(trainer, model)
                super().on_test_epoch_start(trainer, model)

            def on_train_epoch_start(self, t, m):
                \"\"\"Say so.\"\"\"
                self._on_epoch_start(t, m)
                print("train")
        """
    )


def test_overrides_move_together(tmp_path: Path) -> None:
    text = """
    class Base(pl.Callback):
        def on_batch_end(self, trainer, pl_module):
            super().on_batch_end(trainer, pl_module)
            print(1)

    class Own(Base):
        def on_batch_end(self, *args):
            super().on_batch_end(*args)
            print(2)
    """
    assert fixed(tmp_path, text, SAFE) == dedent(
        """
        class Base(pl.Callback):
            def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
                super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
                print(1)

        class Own(Base):
            def on_train_batch_end(self, *args):
                super().on_train_batch_end(*args)
                print(2)
        """
    )


def test_ctrl_c_is_told_from_other_exceptions(tmp_path: Path) -> None:
    text = """
    class Own(pl.Callback):
        def on_keyboard_interrupt(self, trainer, pl_module):
            \"\"\"Keep what there is.\"\"\"
            trainer.save_checkpoint("last.ckpt")
    """
    assert fixed(tmp_path, text, SAFE) == dedent(
        """
        class Own(pl.Callback):
            def on_exception(self, trainer, pl_module, exception):
                \"\"\"Keep what there is.\"\"\"
                if not isinstance(exception, KeyboardInterrupt):
                    return
                trainer.save_checkpoint("last.ckpt")
        """
    )


def test_two_hooks_with_one_successor_both_run_in_it(tmp_path: Path) -> None:
    text = """
    class Own(pl.LightningModule):
        def on_pretrain_routine_start(self):
            print("first")

        def on_pretrain_routine_end(self):
            print("second")
    """
    assert fixed(tmp_path, text, SAFE) == dedent(
        """
        class Own(pl.LightningModule):
            def on_fit_start(self):
                print("first")
                self._on_pretrain_routine_end()

            def _on_pretrain_routine_end(self):
                print("second")
        """
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            """
            class Own(pl.Callback):
                def on_pretrain_routine_start(self, trainer, pl_module):
                    print(trainer.global_step)
            """,
            "on_train_start finds it restored",
        ),
        (
            """
            class Own(pl.Callback):
                def setup(self, trainer, pl_module, stage):
                    print(1)

                def on_before_accelerator_backend_setup(self, trainer, pl_module):
                    print(2)
            """,
            "Own has a setup of its own",
        ),
        (
            """
            class Own(pl.LightningModule):
                def on_epoch_end(self):
                    print(1)

                def on_train_epoch_end(self):
                    if self.done:
                        return
                    print(2)
            """,
            "on_train_epoch_end may return at line",
        ),
        (
            """
            class Own(pl.LightningModule):
                def on_epoch_end(self):
                    print(1)

            class Below(Own):
                def on_test_epoch_end(self):
                    print(2)
            """,
            "Below.on_test_epoch_end does not call that of Own",
        ),
        (
            """
            class Own(pl.Callback):
                def on_batch_end(self, trainer, pl_module):
                    for batch in self.batches:
                        print(batch)
            """,
            "has a `batch` already",
        ),
        (
            """
            class Own(pl.Callback):
                def on_batch_end(self, trainer):
                    print(1)
            """,
            "takes other arguments",
        ),
    ],
)
def test_what_cannot_be_moved_says_why(text: str, reason: str, tmp_path: Path) -> None:
    (told,) = blocked(tmp_path, text)
    assert reason in told
    before = HEAD + dedent(text)
    assert HEAD + fixed(tmp_path, text) == before


def test_what_still_works_and_is_deprecated_is_told_so(tmp_path: Path) -> None:
    text = """
    class Own(pl.LightningModule):
        def configure_sharded_model(self):
            self.layer = nn.Linear(2, 2)
    """
    projects.written(tmp_path, {"m.py": HEAD + dedent(text)})
    (diagnostic,) = projects.check(tmp_path, CODE).diagnostics
    assert diagnostic.message.endswith("is deprecated since Lightning 2.1")
    assert diagnostic.consequence is Consequence.STALE
    assert fixed(tmp_path, text, SAFE) == dedent(text)
    assert "def configure_model(self):" in fixed(tmp_path, text)
