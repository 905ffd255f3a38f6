"""Names, members and import roots of Lightning that moved: found, written anew, or left alone."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import projects
import pytest

from lintmetrics import facts
from lintmetrics.codemod import Relation

SAFE = frozenset((Relation.PRESERVES, Relation.CORRECTS))


def fixed(
    tmp_path: Path, text: str, code: str, relations: frozenset[Relation] = projects.ALL
) -> str:
    """Return a file after the fixes of one rule."""
    projects.written(tmp_path, {"model.py": text})
    projects.fix(tmp_path, code, relations=relations)
    return (tmp_path / "model.py").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (
            "from pytorch_lightning.core.lightning import LightningModule",
            "from pytorch_lightning import LightningModule",
        ),
        (
            "from pytorch_lightning.callbacks.base import Callback as Base",
            "from pytorch_lightning.callbacks import Callback as Base",
        ),
        (
            "from pytorch_lightning.utilities.cli import (\n    LightningCLI,  # the one\n)",
            "from pytorch_lightning.cli import (\n    LightningCLI,  # the one\n)",
        ),
        (
            "from pytorch_lightning.utilities.seed import isolate_rng, seed_everything",
            "from pytorch_lightning.utilities.seed import isolate_rng\n"
            "from pytorch_lightning import seed_everything",
        ),
        (
            "from pytorch_lightning.loggers import LightningLoggerBase\n\n\n"
            "class Mine(LightningLoggerBase):\n    pass",
            "from pytorch_lightning.loggers import Logger\n\n\nclass Mine(Logger):\n    pass",
        ),
        (
            "from pytorch_lightning.loggers import LightningLoggerBase\n\nLogger = 1\n"
            "class Mine(LightningLoggerBase):\n    pass",
            "from pytorch_lightning.loggers import Logger as LightningLoggerBase\n\nLogger = 1\n"
            "class Mine(LightningLoggerBase):\n    pass",
        ),
        (
            "from pytorch_lightning import profiler\n\nprofiler.SimpleProfiler()",
            "from pytorch_lightning import profilers as profiler\n\nprofiler.SimpleProfiler()",
        ),
        (
            "import pytorch_lightning as pl\n\npl.utilities.seed.seed_everything(1)",
            "import pytorch_lightning as pl\n\npl.seed_everything(1)",
        ),
        (
            "from lightning.pytorch.utilities.cloud_io import get_filesystem",
            "from lightning.fabric.utilities.cloud_io import get_filesystem",
        ),
    ],
)
def test_names_come_from_where_they_are(old: str, new: str, tmp_path: Path) -> None:
    assert fixed(tmp_path, old + "\n", "LM505", SAFE) == new + "\n"


@pytest.mark.parametrize(
    "text",
    [
        "from pytorch_lightning.utilities.distributed import sync_ddp",
        "from pytorch_lightning.utilities.cli import MODEL_REGISTRY",
        "from pytorch_lightning.profiler import *",
        "from pytorch_lightning import profiler\n\nrun(profiler)",
        "import pytorch_lightning.utilities.cli",
        "from pytorch_lightning.lite import LightningLite",
    ],
)
def test_names_without_a_successor_are_found_and_stay(text: str, tmp_path: Path) -> None:
    projects.written(tmp_path, {"model.py": text + "\n"})
    found = projects.check(tmp_path, "LM505").diagnostics
    assert found
    assert all(d.blocked and d.fix is None for d in found)


def test_what_takes_the_place_of_a_name_is_said(tmp_path: Path) -> None:
    projects.written(
        tmp_path,
        {"model.py": "from pytorch_lightning.utilities.distributed import log\n\nlog.info('x')\n"},
    )
    (found,) = projects.check(tmp_path, "LM505").diagnostics
    assert "logging.getLogger(__name__)" in found.help


QUIET = """
from typing import TYPE_CHECKING

import pytorch_lightning as pl
from pytorch_lightning import Callback, LightningModule, Trainer, seed_everything
from pytorch_lightning.callbacks.early_stopping import EarlyStopping
from pytorch_lightning.utilities.seed import isolate_rng
from pytorch_lightning.utilities.exceptions import MisconfigurationException
from profiler import SimpleProfiler
from mine.utilities.distributed import rank_zero_only

try:
    from pytorch_lightning.utilities.cloud_io import load
except ImportError:
    from mine import load
if TYPE_CHECKING:
    from pytorch_lightning.core.lightning import LightningModule as Old
if pl.__version__ >= "2":
    from pytorch_lightning.loggers import Logger
else:
    from pytorch_lightning.loggers import LightningLoggerBase as Logger
numbers = pl.__version__.split(".")
is_second = int(numbers[0]) > 1
if not is_second:
    from pytorch_lightning.callbacks import ProgressBarBase as Bar

class Engine:
    def __init__(self):
        self.trainer = object()
        self.gpus = 1
    def run(self, trainer):
        return self.trainer.gpus, trainer.gpus, self.gpus, trainer.tune()

class Model(LightningModule):
    def __init__(self, precision):
        super().__init__()
        self.precision = precision
        self.model_size = 3
    @property
    def datamodule(self):
        return self.trainer.datamodule
    def training_step(self, batch, batch_idx):
        return self.precision, self.model_size, self.datamodule.x, self.trainer.num_devices

class Wrapped(LightningModule):
    def __getattr__(self, name):
        return super().__getattr__(name)
    def show(self):
        return self.use_amp, self.grad_norm(2)

class Data(pl.LightningDataModule):
    def __init__(self, dims):
        super().__init__()
        self.dims = dims
        self.train_transforms = None
    def show(self):
        return self.dims, self.train_transforms

class Watch(Callback):
    def on_fit_start(self, trainer, pl_module):
        if hasattr(trainer, "training_type_plugin"):
            return trainer.training_type_plugin
        return trainer.strategy, trainer.fit_loop, trainer.callback_metrics

def connector(trainer: Trainer):
    if hasattr(trainer, "_accelerator_connector"):
        return trainer._accelerator_connector
    return trainer.accelerator_connector

class Own(Trainer):
    def __init__(self, gpus):
        super().__init__()
        self.gpus = gpus
    def show(self):
        return self.gpus

parser.add_argparse_args()
Engine.from_argparse_args(parser)
"""


@pytest.mark.parametrize("code", ["LM503", "LM504", "LM505", "LM506"])
def test_what_is_right_or_of_others_is_left_alone(code: str, tmp_path: Path) -> None:
    projects.written(tmp_path, {"model.py": QUIET})
    report = projects.check(tmp_path, code)
    assert [(d.start.line, d.message) for d in report.diagnostics] == []
    assert report.failures == []


def test_members_are_written_as_they_are_called_now(tmp_path: Path) -> None:
    text = """
    import pytorch_lightning as pl

    class Model(pl.LightningModule):
        def __init__(self, hparams):
            super().__init__()
            self.hparams = hparams

        def on_fit_start(self):
            print(self.datamodule, self.trainer.root_gpu)

    def main(model):
        trainer = pl.Trainer()
        trainer.fit(model)
        return trainer.progress_bar_dict, trainer.get_model(), trainer.num_processes
    """
    assert fixed(tmp_path, text, "LM503") == dedent(
        """
        import pytorch_lightning as pl

        class Model(pl.LightningModule):
            def __init__(self, hparams):
                super().__init__()
                self.save_hyperparameters(hparams)

            def on_fit_start(self):
                print(self.trainer.datamodule, self.trainer.strategy.root_device.index)

        def main(model):
            trainer = pl.Trainer()
            trainer.fit(model)
            return trainer.progress_bar_metrics, trainer.lightning_module, trainer.num_devices
        """
    )


def test_members_that_a_person_must_replace_say_so(tmp_path: Path) -> None:
    text = """
    from pytorch_lightning import LightningDataModule, Trainer

    class Digits(LightningDataModule):
        pass

    def main(model, trainer: "Trainer"):
        trainer.tune(model)
        trainer.gpus = 3
        data = Digits()
        return trainer.lr_schedulers[0], data.size(), data.has_prepared_data
    """
    projects.written(tmp_path, {"model.py": text})
    found = projects.check(tmp_path, "LM503").diagnostics
    assert [d.start.line for d in found] == [8, 9, 11, 11, 11]
    assert all(d.blocked for d in found)
    assert "nothing of Lightning reads it" in found[1].message


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("pl.Trainer(tpu_cores=trainer.tpu_cores)", "1 on a CPU"),
        ("'tpu' if trainer.tpu_cores else 'cpu'", "1 on a CPU"),
        ("trainer.ipus is None", "1 on a CPU"),
        ("max(trainer.tpu_cores or 1, 1)", "1 on a CPU"),
        ("not trainer.ipus", "1 on a CPU"),
        ("float(trainer.progress_bar_dict['loss'])", "log it with prog_bar=True"),
    ],
)
def test_members_whose_successor_means_something_else_there_stay(
    text: str, reason: str, tmp_path: Path
) -> None:
    before = f"import pytorch_lightning as pl\n\ntrainer = pl.Trainer()\nseen = {text}\n"
    assert fixed(tmp_path, before, "LM503") == before
    (found,) = projects.check(tmp_path, "LM503").diagnostics
    assert reason in found.blocked


def test_members_whose_successor_counts_as_they_did_are_written_anew(tmp_path: Path) -> None:
    before = """
    import pytorch_lightning as pl

    trainer = pl.Trainer()
    size = 8 * max(1, trainer.num_processes, trainer.tpu_cores)
    print(trainer.progress_bar_dict["val_loss"], trainer.devices and 1)
    """
    after = fixed(tmp_path, before, "LM503")
    assert "max(1, trainer.num_devices, trainer.num_devices)" in after
    assert 'trainer.progress_bar_metrics["val_loss"], trainer.num_devices and 1' in after


def test_argparse_helpers_are_found_on_both_classes(tmp_path: Path) -> None:
    text = """
    import pytorch_lightning as pl

    class Digits(pl.LightningDataModule):
        pass

    parser = pl.Trainer.add_argparse_args(parser)
    data = Digits.from_argparse_args(parser.parse_args())
    """
    projects.written(tmp_path, {"model.py": text})
    found = projects.check(tmp_path, "LM504").diagnostics
    assert [d.start.line for d in found] == [7, 8]


MIXED = {
    "pkg/__init__.py": "",
    "pkg/model.py": "import lightning.pytorch as pl\n\nclass Model(pl.LightningModule): ...\n",
    "pkg/train.py": "from lightning.pytorch import Trainer\nfrom pkg import watch\n",
    "pkg/watch.py": "from pytorch_lightning.callbacks import Callback, ModelCheckpoint\n",
    "tools/run.py": "import pytorch_lightning as pl\n\npl.seed_everything(1)\n",
}


def test_a_second_root_goes_from_the_whole_project_at_once(tmp_path: Path) -> None:
    projects.written(tmp_path, {**MIXED, "pkg/more.py": "from lightning import Trainer\n"})
    (tmp_path / "pyproject.toml").write_text("")
    found = projects.check(tmp_path, "LM506").diagnostics
    assert [d.path.rpartition("/")[2] for d in found] == ["watch.py"]
    projects.fix(tmp_path, "LM506")
    assert (tmp_path / "pkg/watch.py").read_text() == (
        "from lightning.pytorch.callbacks import Callback, ModelCheckpoint\n"
    )
    assert (tmp_path / "tools/run.py").read_text().startswith("import lightning.pytorch as pl\n")
    assert projects.check(tmp_path, "LM506").diagnostics == []


def test_one_place_that_cannot_be_renamed_keeps_all(tmp_path: Path) -> None:
    patched = 'import pytorch_lightning\nprint("pytorch_lightning.callbacks.Callback")\n'
    projects.written(tmp_path, {**MIXED, "tools/run.py": patched})
    (tmp_path / "pyproject.toml").write_text("")
    projects.fix(tmp_path, "LM506")
    assert (tmp_path / "pkg/watch.py").read_text() == MIXED["pkg/watch.py"]


def test_roots_apart_or_by_choice_are_no_mixture(tmp_path: Path) -> None:
    either = """
    try:
        import lightning.pytorch as pl
    except ImportError:
        import pytorch_lightning as pl
    """
    scripts = {
        "a/run.py": "import lightning.pytorch as pl\n",
        "b/run.py": "import pytorch_lightning\n",
    }
    fabric = "from lightning.fabric import seed_everything\nimport pytorch_lightning as pl\n"
    projects.written(tmp_path, {**scripts, "c/run.py": either, "d/run.py": fabric})
    assert projects.check(tmp_path, "LM506").diagnostics == []


def test_an_example_below_a_package_is_a_project_of_its_own(tmp_path: Path) -> None:
    example = {
        "pkg/examples/digits/src/digits/__init__.py": "",
        "pkg/examples/digits/src/digits/watch.py": "from pytorch_lightning import Callback\n",
        "pkg/examples/digits/src/run.py": "import pytorch_lightning as pl\n",
        "pkg/examples/digits/src/digits/more.py": "import pytorch_lightning as pl\n",
    }
    package = {name: text for name, text in MIXED.items() if name != "pkg/watch.py"}
    projects.written(tmp_path, {**package, **example})
    (tmp_path / "pyproject.toml").write_text("")
    assert projects.check(tmp_path, "LM506").diagnostics == []


def test_a_flag_that_tests_no_version_guards_nothing(tmp_path: Path) -> None:
    text = """
    import pytorch_lightning as pl

    sizes = pl.__version__.split(".")
    is_large = sizes
    is_deep = 3 > 2
    if is_large or is_deep:
        from pytorch_lightning.callbacks import ProgressBarBase
    """
    projects.written(tmp_path, {"model.py": text})
    assert len(projects.check(tmp_path, "LM505").diagnostics) == 1


def test_the_table_is_true_of_what_is_installed() -> None:
    import importlib
    import inspect

    pl = pytest.importorskip("lightning.pytorch")
    from lightning.pytorch import callbacks, loggers

    def there(dotted: str) -> bool:
        parts = dotted.split(".")
        for end in range(len(parts), 0, -1):
            try:
                found = importlib.import_module(".".join(parts[:end]))
            except ImportError:
                continue
            for part in parts[end:]:
                if not hasattr(found, part):
                    return False
                found = getattr(found, part)
            return True
        return False

    wrong: list[str] = []
    for row in facts.rows("lightning_changes"):
        change = facts.Change(**row)
        if change.kind in ("class", "function", "module", "object"):
            if there(f"lightning.pytorch.{change.old}"):
                wrong.append(f"{change.old} is still there")
            new = change.new.replace("pl.", "lightning.pytorch.", 1)
            if change.new.startswith("fabric."):
                new = f"lightning.{change.new}"
            if change.new and not there(new):
                wrong.append(f"{change.new} is not there")
        elif change.kind == "argument" and change.consequence == "crash":
            owner = change.owner
            found = pl.Trainer if owner.startswith("Trainer") else None
            found = found or getattr(callbacks, owner, None) or getattr(loggers, owner, None)
            if "." in owner:
                found = getattr(pl.Trainer, owner.partition(".")[2])
            if found is not None and change.member in inspect.signature(found).parameters:
                wrong.append(f"{change.old} is still taken")
        elif change.kind in ("attribute", "method", "argparse"):
            if "." in change.owner:
                # What a Trainer has in training only: a loader of the user's own, since 2.0.
                assert there(f"lightning.pytorch.{change.owner}")
                continue
            found = getattr(pl, change.owner, None) or getattr(callbacks, change.owner, None)
            found = found or getattr(loggers, change.owner)
            # What is deprecated is there, and so is what only a class may be asked.
            stays = change.consequence == "stale" or change.new == f"{change.owner}.{change.member}"
            if not stays and hasattr(found, change.member):
                wrong.append(f"{change.old} is still there")
    assert wrong == []


def test_a_logger_that_is_taken_for_a_list_is_the_list_of_them(tmp_path: Path) -> None:
    text = """
    import pytorch_lightning as pl


    class Model(pl.LightningModule):
        def training_step(self, batch, batch_idx):
            self.logger[0].log_metrics({"a": 1.0})
            for one in self.logger:
                one.save()
            names = [one.name for one in self.trainer.logger]
            return self.logger.experiment[0]


    class Own(pl.LightningModule):
        @property
        def logger(self):
            return []

        def training_step(self, batch, batch_idx):
            return self.logger[0]


    class Other:
        def __init__(self, logger):
            self.logger = logger

        def run(self):
            return self.logger[0]
    """
    projects.written(tmp_path, {"model.py": text})
    report = projects.check(tmp_path, "LM503")
    assert [d.start.line for d in report.diagnostics] == [7, 8, 10, 11]
    assert "and no list" in report.diagnostics[0].message
    projects.fix(tmp_path, "LM503")
    fixed = (tmp_path / "model.py").read_text(encoding="utf-8")
    assert "self.loggers[0].log_metrics" in fixed
    assert "for one in self.loggers:" in fixed
    assert "self.trainer.loggers]" in fixed
    assert "return self.loggers[0].experiment" in fixed
    assert fixed.count("self.logger[0]") == 2


def test_a_module_is_loaded_by_its_class(tmp_path: Path) -> None:
    text = """
    import pytorch_lightning as pl


    class Model(pl.LightningModule):
        @classmethod
        def restored(cls, path):
            return cls.load_from_checkpoint(path)

        def again(self, path):
            return type(self).load_from_checkpoint(path)


    model = Model()
    model.load_from_checkpoint("a.ckpt")
    other = Model.load_from_checkpoint("a.ckpt")
    """
    projects.written(tmp_path, {"model.py": text})
    (found,) = projects.check(tmp_path, "LM503").diagnostics
    assert found.start.line == 15
    assert "called on an object: TypeError" in found.message


def test_methods_of_a_trainer_that_its_arguments_made_are_found(tmp_path: Path) -> None:
    text = """
    from pytorch_lightning import Trainer

    def main(args, model):
        trainer = Trainer.from_argparse_args(args)
        if args.find:
            print(trainer.lr_find(model).suggestion())
        optimizers, _, _ = trainer.init_optimizers(model)
        return optimizers, trainer.lr_find, trainer.fit(model)
    """
    projects.written(tmp_path, {"train.py": text})
    report = projects.check(tmp_path, "LM503")
    assert [one.message.partition(" ")[0] for one in report.diagnostics] == [
        "Trainer.lr_find()",
        "Trainer.init_optimizers()",
    ]


_PASSED_OVER = """
import pytorch_lightning as pl


class Timer(pl.Callback):
    def on_train_epoch_end(self, trainer, pl_module):
        try:
            print(trainer.training_type_plugin.reduce(self.seconds))
        except AttributeError:
            pass
"""


def test_what_a_try_passes_over_is_lost(tmp_path: Path) -> None:
    projects.written(tmp_path, {"timer.py": _PASSED_OVER})
    (found,) = projects.check(tmp_path, "LM503").diagnostics
    assert found.consequence.value == "ignored"
    assert "passes over" in found.message
    projects.fix(tmp_path, "LM503")
    assert "trainer.strategy.reduce" in (tmp_path / "timer.py").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("            pass\n", "            print(trainer.strategy.reduce(self.seconds))\n"),
        ("            pass\n", "            pass\n        else:\n            return\n"),
        ("AttributeError", "TypeError"),
        ("  try:", "  if not hasattr(trainer, 'strategy'):\n            return\n        try:"),
        (
            "        try:",
            "        try:\n            print(trainer.strategy)\n        except AttributeError:\n"
            "            pass\n        try:",
        ),
    ],
)
def test_what_a_try_has_another_way_for_is_quiet(old: str, new: str, tmp_path: Path) -> None:
    assert old in _PASSED_OVER
    projects.written(tmp_path, {"timer.py": _PASSED_OVER.replace(old, new)})
    assert projects.codes(projects.check(tmp_path, "LM503")) == []
