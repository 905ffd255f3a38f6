"""Old arguments of the Trainer, callbacks and data modules: found, written anew, or left alone."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import projects
import pytest

from lintmetrics import runner
from lintmetrics.codemod import Relation
from lintmetrics.config import CommandLine, Configuration
from lintmetrics.rule import Consequence
from lintmetrics.sources import discover

CODES = ("LM501", "LM502")
SAFE = frozenset((Relation.PRESERVES, Relation.CORRECTS))


def fixed(tmp_path: Path, text: str, relations: frozenset[Relation] = SAFE) -> str:
    """Return a file after the fixes of these rules."""
    projects.written(tmp_path, {"train.py": text})
    projects.fix(tmp_path, *CODES, relations=relations)
    return (tmp_path / "train.py").read_text(encoding="utf-8")


def trainer(arguments: str, before: str = "") -> str:
    return f"import pytorch_lightning as pl\n{before}\ntrainer = pl.Trainer({arguments})\n"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("gpus=2", 'accelerator="gpu", devices=2'),
        ("gpus=-1, max_epochs=1", 'accelerator="gpu", devices=-1, max_epochs=1'),
        ("gpus=[1, 3]", 'accelerator="gpu", devices=[1, 3]'),
        ("gpus=0", 'accelerator="cpu"'),
        ("max_epochs=1, gpus=None", 'max_epochs=1, accelerator="cpu"'),
        ("gpus=None, tpu_cores=8", 'accelerator="tpu", devices=8'),
        ("num_processes=2, gpus=0", 'accelerator="cpu", devices=2'),
        ("num_processes=1, max_epochs=2", "max_epochs=2"),
        ("max_epochs=2, auto_select_gpus=False", "max_epochs=2"),
        ("gpus=2, distributed_backend='ddp'", "accelerator='gpu', devices=2, strategy='ddp'"),
        ('gpus=2, accelerator="ddp"', 'accelerator="gpu", devices=2, strategy="ddp"'),
        ('accelerator="ddp_cpu"', 'accelerator="cpu", strategy="ddp_spawn"'),
        ("accelerator=None, devices=None, max_steps=None", ""),
        ("checkpoint_callback=False", "enable_checkpointing=False"),
        ("progress_bar_refresh_rate=0", "enable_progress_bar=False"),
        ("progress_bar_refresh_rate=1, max_epochs=2", "max_epochs=2"),
        (
            "progress_bar_refresh_rate=1, process_position=2",
            "callbacks=[pl.callbacks.TQDMProgressBar(process_position=2)]",
        ),
        ("weights_summary=None", "enable_model_summary=False"),
        ('weights_summary="top"', ""),
        ('weights_summary="full"', "callbacks=[pl.callbacks.ModelSummary(max_depth=-1)]"),
        (
            "progress_bar_refresh_rate=20, process_position=1",
            "callbacks=[pl.callbacks.TQDMProgressBar(refresh_rate=20, process_position=1)]",
        ),
        ("terminate_on_nan=False, track_grad_norm=-1", ""),
        ("reload_dataloaders_every_epoch=True", "reload_dataloaders_every_n_epochs=1"),
        ("replace_sampler_ddp=False", "use_distributed_sampler=False"),
        ("row_log_interval=5, overfit_pct=0.1", "log_every_n_steps=5, overfit_batches=0.1"),
        ('amp_backend="native", precision=16', 'precision="16-mixed"'),
        ("precision=16 if big else 32", 'precision="16-mixed" if big else 32'),
        ("max_steps=None if big else 9", "max_steps=-1 if big else 9"),
        ("profiler=True", 'profiler="simple"'),
        ("early_stop_callback=False,", ""),
    ],
)
def test_what_preserves_all_is_written(old: str, new: str, tmp_path: Path) -> None:
    assert fixed(tmp_path, trainer(old)) == trainer(new)


def test_each_branch_of_a_choice_is_written(tmp_path: Path) -> None:
    text = trainer("gpus=2 if torch.cuda.is_available() else None", "import torch")
    assert fixed(tmp_path, text) == trainer(
        '\n    accelerator="gpu" if torch.cuda.is_available() else "cpu",\n'
        '    devices=2 if torch.cuda.is_available() else "auto",\n',
        "import torch",
    )


def test_a_variable_is_taken_for_a_count_only_when_asked(tmp_path: Path) -> None:
    text = trainer("gpus=args.gpus")
    assert fixed(tmp_path, text) == text
    assert fixed(tmp_path, text, projects.ALL) == trainer(
        'accelerator="gpu" if args.gpus else "cpu", devices=args.gpus or 1'
    )


def test_the_devices_of_another_trainer_are_taken_over(tmp_path: Path) -> None:
    # On a CPU `gpus` was None or 0 and `num_devices` is 1, so that it tells no GPU.
    text = """
    import pytorch_lightning as pl

    class Scores(pl.Callback):
        def on_fit_end(self, trainer, pl_module):
            pl.Trainer(gpus=trainer.gpus, logger=False).predict(pl_module)
            if trainer.gpus:
                print(trainer.num_gpus > 1)
    """
    number = 'trainer.num_devices if trainer.strategy.root_device.type == "cuda" else 0'
    projects.written(tmp_path, {"train.py": text})
    projects.fix(tmp_path, "LM501", "LM503", relations=projects.ALL)
    assert (tmp_path / "train.py").read_text(encoding="utf-8") == dedent(
        f"""
        import pytorch_lightning as pl

        class Scores(pl.Callback):
            def on_fit_end(self, trainer, pl_module):
                pl.Trainer(
                    accelerator=trainer.accelerator, devices=trainer.num_devices, logger=False
                ).predict(pl_module)
                if {number}:
                    print(({number}) > 1)
        """
    )


def test_comments_and_layout_around_stay(tmp_path: Path) -> None:
    text = """
    import pytorch_lightning as pl

    trainer = pl.Trainer(
        # how long
        max_epochs=3,
        gpus=1,  # the big one
        checkpoint_callback=False,
        logger  = False,
    )
    """
    assert fixed(tmp_path, text) == dedent(
        """
        import pytorch_lightning as pl

        trainer = pl.Trainer(
            # how long
            max_epochs=3,
            accelerator="gpu",
            devices=1,  # the big one
            enable_checkpointing=False,
            logger  = False,
        )
        """
    )


def test_callbacks_join_those_that_are_given(tmp_path: Path) -> None:
    text = """
    from pytorch_lightning import Trainer
    from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint

    best = ModelCheckpoint(monitor="val_loss", period=2)
    stop = EarlyStopping("val_loss")
    trainer = Trainer(checkpoint_callback=best, callbacks=[stop], weights_summary="full")
    """
    assert fixed(tmp_path, text) == dedent(
        """
        from pytorch_lightning import Trainer
        from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint, ModelSummary

        best = ModelCheckpoint(monitor="val_loss", every_n_epochs=2)
        stop = EarlyStopping("val_loss")
        trainer = Trainer(callbacks=[stop, best, ModelSummary(max_depth=-1)])
        """
    )


def test_the_checkpoint_to_resume_from_goes_to_the_one_fit(tmp_path: Path) -> None:
    text = """
    import pytorch_lightning as pl

    def main(args, model, data):
        trainer = pl.Trainer(max_epochs=9, resume_from_checkpoint=args.resume)
        trainer.fit(model, train_dataloader=data)
    """
    assert fixed(tmp_path, text) == dedent(
        """
        import pytorch_lightning as pl

        def main(args, model, data):
            trainer = pl.Trainer(max_epochs=9)
            trainer.fit(model, train_dataloaders=data, ckpt_path=args.resume)
        """
    )


@pytest.mark.parametrize(
    "rest",
    [
        "trainer.fit(model)\n        trainer.fit(model)",
        "run(trainer)",
        "path = 2\n        trainer.fit(model)",
        "trainer.fit(model, ckpt_path=None)",
        "trainer.fit(model, **more)",
    ],
)
def test_the_checkpoint_stays_where_its_fit_is_not_clear(rest: str, tmp_path: Path) -> None:
    text = dedent(f"""
    import pytorch_lightning as pl

    def main(path, model, more):
        trainer = pl.Trainer(resume_from_checkpoint=path)
        {rest}
    """)
    assert fixed(tmp_path, text, projects.ALL) == text


def test_checkpoints_and_data_modules(tmp_path: Path) -> None:
    text = """
    import pytorch_lightning as pl
    from pytorch_lightning.callbacks import ModelCheckpoint

    class Digits(pl.LightningDataModule):
        def __init__(self, size):
            super().__init__(dims=(1, size))

    best = ModelCheckpoint("runs", filepath="runs/{epoch}-{val_acc:.2f}", monitor="val_acc", mode="auto")
    """  # noqa: E501
    assert fixed(tmp_path, text.replace('"runs", ', "")) == dedent(
        """
        import pytorch_lightning as pl
        from pytorch_lightning.callbacks import ModelCheckpoint

        class Digits(pl.LightningDataModule):
            def __init__(self, size):
                super().__init__()
                self.dims = (1, size)

        best = ModelCheckpoint(
            dirpath="runs", filename="{epoch}-{val_acc:.2f}", monitor="val_acc", mode="max"
        )
        """
    )


@pytest.mark.parametrize(
    "arguments",
    [
        "gpus=count()",
        'accelerator="dp"',
        "track_grad_norm=2",
        "auto_lr_find=True",
        "gpus=1, accelerator=kind",
        "gpus=1, num_processes=2, devices=3",
        "progress_bar_refresh_rate=5, callbacks=[MyProgressBar()]",
        "progress_bar_refresh_rate=5, callbacks=made()",
        "terminate_on_nan=True",
        "checkpoint_callback=unknown",
        "1, gpus=1,  # first\n    auto_lr_find=True",
    ],
)
def test_what_a_person_must_decide_is_found_and_says_why(arguments: str, tmp_path: Path) -> None:
    projects.written(tmp_path, {"train.py": trainer(arguments)})
    left = projects.check(tmp_path, *CODES).diagnostics
    assert left
    assert any(d.blocked for d in left)


def test_dicts_that_are_handed_on_are_found_where_they_are_made(tmp_path: Path) -> None:
    text = """
    import pytorch_lightning as pl

    options = {"max_epochs": 3, "gpus": 1}
    options["weights_summary"] = None
    trainer = pl.Trainer(**options)
    other = dict(gpus=1)
    """
    projects.written(tmp_path, {"train.py": text})
    found = projects.check(tmp_path, *CODES).diagnostics
    assert [d.start.line for d in found] == [4, 5]
    assert all("through the dict" in d.blocked for d in found)


def test_what_is_unpacked_is_assumed_not_to_give_the_same(tmp_path: Path) -> None:
    text = trainer("gpus=1, **rest")
    assert fixed(tmp_path, text) == text
    assert fixed(tmp_path, text, projects.ALL) == trainer('accelerator="gpu", devices=1, **rest')


QUIET = """
import inspect
import pytorch_lightning as pl
import other
from pytorch_lightning.callbacks import ModelCheckpoint

class Model(pl.LightningModule):
    def __init__(self, gpus=1, precision=16, mode="auto"):
        super().__init__()

class Data(pl.LightningDataModule):
    def __init__(self, dims, train_transforms=None):
        super().__init__()

class Own(pl.Trainer):
    def __init__(self, gpus=None, **more):
        super().__init__(devices=gpus or "auto", **more)

class Runner:
    def fit(self, train_dataloader): ...

Model(gpus=2, precision=16, mode="auto")
Data(dims=(1, 2), train_transforms=None)
Own(gpus=1)
Runner().fit(train_dataloader=1)
other.Trainer(gpus=1, weights_summary=None)
other.ModelCheckpoint(filepath="x", period=1)
settings = {"gpus": 1, "weights_summary": None}
settings["period"] = 2
print(dict(gpus=1), settings)
pl.Trainer(logger=None)
pl.Trainer(accelerator="cpu", devices=1, precision=32, max_steps=-1, strategy="ddp", profiler=None)
pl.Trainer(enable_checkpointing=True, accumulate_grad_batches=2, precision="16-mixed")
ModelCheckpoint(mode="max", save_top_k=1)
if pl.__version__ < "1.7":
    pl.Trainer(gpus=1)
if "gpus" in inspect.signature(pl.Trainer.__init__).parameters:
    pl.Trainer(gpus=1)
else:
    pl.Trainer(devices=1)
try:
    pl.Trainer(gpus=1)
except TypeError:
    pl.Trainer(devices=1)
old = pl.Trainer(gpus=1) if hasattr(pl.Trainer, "gpus") else pl.Trainer()
"""


def test_what_is_right_or_of_others_is_left_alone(tmp_path: Path) -> None:
    projects.written(tmp_path, {"train.py": QUIET})
    report = projects.check(tmp_path, *CODES)
    assert [(d.start.line, d.message) for d in report.diagnostics] == []
    assert report.failures == []


def _judged(tmp_path: Path, version: str) -> list[tuple[str, Consequence]]:
    line = CommandLine(select=CODES, config=(f'target-lightning = "{version}"',))
    configuration = Configuration(line)
    files, _ = discover([str(tmp_path)], configuration.settings_for)
    found = runner.check(files, configuration.settings_for, 1).diagnostics
    return [(d.message.partition("(")[2].partition("=")[0], d.consequence) for d in found]


def test_the_target_decides(tmp_path: Path) -> None:
    text = trainer("gpus=1, weights_summary=None, track_grad_norm=2, precision=16")
    projects.written(tmp_path, {"train.py": text})
    assert _judged(tmp_path, "1.4") == []
    assert _judged(tmp_path, "1.9") == [
        ("gpus", Consequence.STALE),
        ("weights_summary", Consequence.CRASH),
    ]
    assert [name for name, _ in _judged(tmp_path, "2.6")] == [
        *("gpus", "weights_summary", "track_grad_norm", "precision"),
    ]


def test_what_the_unpacked_arguments_hold_already_is_not_given_twice(tmp_path: Path) -> None:
    text = dedent(
        """
        import pytorch_lightning as pl


        class Own(pl.Trainer):
            def __init__(self, rate=1, **more):
                more["callbacks"] = [] if "callbacks" not in more else more["callbacks"]
                more["callbacks"] += [pl.Callback()]
                more.setdefault("accelerator", "gpu")
                super().__init__(gpus=2, progress_bar_refresh_rate=rate, **more)
        """
    )
    projects.written(tmp_path, {"train.py": text})
    assert fixed(tmp_path, text, projects.ALL) == text
    found = projects.check(tmp_path, *CODES).diagnostics
    assert sorted(d.blocked for d in found) == [
        "accelerator= is given through **more as well",
        "callbacks= is given through **more as well",
    ]


def test_a_checkpoint_of_one_kind_or_the_other_keeps_both(tmp_path: Path) -> None:
    text = """
    from pytorch_lightning.callbacks import ModelCheckpoint

    def saved(monitor):
        return ModelCheckpoint(monitor=monitor, save_top_k=None if monitor is None else 5)
    """
    assert "save_top_k=1 if monitor is None else 5" in fixed(tmp_path, text)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (
            'filepath=os.path.join(folder, "{epoch:03d}"), save_top_k=-1',
            'dirpath=folder, filename="{epoch:03d}", save_top_k=-1',
        ),
        (
            "filepath=os.path.join(root, name(), '{epoch}-{val_loss:.2f}')",
            "dirpath=os.path.join(root, name()), filename='{epoch}-{val_loss:.2f}'",
        ),
        # A folder, perhaps, or a name that is worked out.
        ('filepath=os.path.join(folder, "best")', None),
        ('filepath=os.path.join(folder, f"{name}")', None),
        ('filepath=os.path.join(folder, "a/{epoch}")', None),
        ('filepath=os.path.join(*parts, "{epoch}")', None),
        ('filepath=folder / "{epoch}"', None),
    ],
)
def test_a_joined_path_of_a_checkpoint_is_parted(old: str, new: str | None, tmp_path: Path) -> None:
    head = "import os\nfrom pytorch_lightning.callbacks import ModelCheckpoint\nprint(os.sep)\n"
    text = f"{head}ModelCheckpoint({old})\n"
    assert fixed(tmp_path, text) == (f"{head}ModelCheckpoint({new})\n" if new else text)
