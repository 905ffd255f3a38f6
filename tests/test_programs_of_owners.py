"""Repositories read as their owners, from Lightning 1 to 2.6: what each taught the tool."""

from __future__ import annotations

from pathlib import Path

import pytest
from projects import check, codes, fix, written

PL = "import pytorch_lightning as pl\n"


def _found(tmp_path: Path, text: str, *select: str) -> list[tuple[str, int, str]]:
    written(tmp_path, {"train.py": text})
    report = check(tmp_path, *select)
    assert report.failures == []
    return [(d.code, d.start.line, d.message) for d in report.diagnostics]


def test_a_step_that_the_project_calls_too_still_waits_for_the_index_of_lightning(
    tmp_path: Path,
) -> None:
    text = """\
    import pytorch_lightning as pl

    class Pose(pl.LightningModule):
        def training_step(self, batch, batch_nb):
            return self(batch)

        def validation_step(self, batch, batch_nb, loader_nb, shown=False, folder=None):
            return {"error": self(batch), "at": loader_nb}

    def look(model, batches):
        for number, batch in enumerate(batches):
            model.validation_step(batch, number, 0, shown=True, folder="out")
    """
    ((code, line, message),) = _found(tmp_path, text, "LM211")
    assert (code, line) == ("LM211", 7)
    assert "requires `loader_nb`, where Lightning 2 knows dataloader_idx alone" in message


def test_a_parameter_that_a_call_names_keeps_its_name(tmp_path: Path) -> None:
    text = """\
    import pytorch_lightning as pl

    class Pose(pl.LightningModule):
        def test_step(self, batch, batch_nb, loader_nb):
            return self.heads[loader_nb](batch)

    def look(model, batch):
        model.test_step(batch, 0, loader_nb=1)
    """
    written(tmp_path, {"train.py": text})
    before = (tmp_path / "train.py").read_text(encoding="utf-8")
    fix(tmp_path, "LM211")
    assert (tmp_path / "train.py").read_text(encoding="utf-8") == before
    (found,) = check(tmp_path, "LM211").diagnostics
    assert "train.py:8 gives `loader_nb` by its name" in found.blocked


def test_a_step_with_parameters_of_its_own_is_left_to_whoever_calls_it(tmp_path: Path) -> None:
    text = """\
    import pytorch_lightning as pl

    class Pose(pl.LightningModule):
        def training_step(self, batch, batch_nb):
            return self(batch)

        def test_step(self, batch, batch_nb, view, shown=False):
            return self(batch, view)

    def look(model, batches):
        for number, batch in enumerate(batches):
            model.test_step(batch, number, "left", shown=True)
    """
    assert _found(tmp_path, text, "LM211") == []


ARGUMENTS = """\
import os
import pytorch_lightning as pl

def arguments(cfg):
    given = {"gpus": cfg.gpus, "max_epochs": 3}
    if cfg.quick:
        given["weights_summary"] = None
    given.update({"track_grad_norm": 2})
    return given

def build(cfg):
    return pl.Trainer(**arguments(cfg))
"""


def test_what_a_function_puts_into_a_dict_reaches_the_trainer(tmp_path: Path) -> None:
    found = _found(tmp_path, ARGUMENTS, "LM501")
    assert [(line, message.split("(")[1].split("=")[0]) for _, line, message in found] == [
        (5, "gpus"),
        (7, "weights_summary"),
        (8, "track_grad_norm"),
    ]
    fix(tmp_path, "LM501")
    assert (tmp_path / "train.py").read_text(encoding="utf-8") == ARGUMENTS


@pytest.mark.parametrize(
    "change",
    [
        ("**arguments(cfg)", "max_epochs=arguments(cfg)['max_epochs']"),
        ("return given", "return {'max_epochs': given['max_epochs']}"),
        ("return given", "return translated(given)"),
        ("given.update(", "cfg.update("),
    ],
)
def test_a_dict_that_the_trainer_is_not_given_is_no_finding(
    change: tuple[str, str], tmp_path: Path
) -> None:
    found = _found(tmp_path, ARGUMENTS.replace(*change), "LM501")
    assert [line for _, line, _ in found] == ([5, 7] if "update" in change[0] else [])


@pytest.mark.parametrize(
    ("handler", "count"),
    [
        ("except ImportError:\n    raise ValueError('install pytorch-lightning')", 1),
        ("except ImportError as error:\n    print('no')\n    raise error", 1),
        ("except ImportError:\n    LightningLoggerBase = object", 0),
        ("except ImportError:\n    if strict:\n        raise\n", 0),
        ("except ImportError:\n    from pytorch_lightning.loggers import Logger as "
         "LightningLoggerBase", 0),
    ],
)  # fmt: skip
def test_an_import_that_may_only_fail_otherwise_is_needed(
    handler: str, count: int, tmp_path: Path
) -> None:
    text = f"try:\n    from pytorch_lightning.loggers import LightningLoggerBase\n{handler}\n"
    assert len(_found(tmp_path, text, "LM505")) == count


def test_what_a_variable_is_said_to_be_counts_where_its_making_is_unknown(tmp_path: Path) -> None:
    text = """\
    import hydra
    from pytorch_lightning import Trainer

    def train(config):
        trainer: Trainer = hydra.utils.instantiate(config.trainer)
        trainer.tune(model=None)

    def other(config):
        trainer: Trainer = hydra.utils.instantiate(config.trainer)
        trainer = Own(trainer)
        trainer.tune(model=None)

    def third(config):
        trainer = hydra.utils.instantiate(config.trainer)
        trainer.tune(model=None)

    class Owner:
        def __init__(self):
            self.trainer = None

        def train(self, model):
            trainer = None
            trainer = Trainer()
            trainer.tune(model)
            self.trainer = Trainer()
            self.trainer.tune(model)

    def fourth(config):
        trainer: Trainer = getattr(config.module, config.name)
        trainer.tune(model=None)
        Kind: Trainer = hydra.utils.instantiate(config.kind)
        Kind.tune(model=None)
    """
    found = _found(tmp_path, text, "LM503")
    assert [line for _, line, _ in found] == [6, 24, 26]
    assert "Trainer.tune" in found[0][2]


EXPERIMENTS = """\
import pytorch_lightning as pl


class Net(pl.LightningModule):
    def training_step(self, batch, batch_idx):
        board = self.logger.experiment[0]
        board.add_image("x", batch[0], batch_idx)
        self.trainer.logger.experiment[1].log({})
        self.logger.experiment["train/loss"].append(1.0)
        self.logger.experiment[batch_idx].log({})
"""


def test_the_experiment_of_one_logger_is_no_list(tmp_path: Path) -> None:
    found = _found(tmp_path, EXPERIMENTS, "LM503")
    assert [line for _, line, _ in found] == [6, 8]
    assert found[0][2].startswith("LightningModule.logger.experiment is one object")
    fix(tmp_path, "LM503")
    fixed = (tmp_path / "train.py").read_text(encoding="utf-8")
    assert "board = self.loggers[0].experiment\n" in fixed
    assert "self.trainer.loggers[1].experiment.log({})" in fixed
    assert codes(check(tmp_path, "LM503")) == []


def test_a_logger_of_the_project_may_have_a_list_of_experiments(tmp_path: Path) -> None:
    own = "\nclass Mine(pl.loggers.Logger):\n    def experiment(self):\n        return []\n"
    assert _found(tmp_path, EXPERIMENTS + own, "LM503") == []


def test_another_object_with_a_close_says_nothing_of_loggers(tmp_path: Path) -> None:
    text = """\
    import pytorch_lightning as pl

    class Store:
        def close(self):
            print(1)

    def run(trainer: pl.Trainer, model):
        trainer.fit(model)
        trainer.logger.close()
    """
    assert [line for _, line, _ in _found(tmp_path, text, "LM503")] == [9]
    own = text.replace("class Store:", "class Mine(pl.loggers.Logger):")
    assert _found(tmp_path, own, "LM503") == []


def test_what_a_trainer_counts_and_holds_cannot_be_set(tmp_path: Path) -> None:
    text = """\
    import pytorch_lightning as pl

    def test_it(loader, model):
        trainer = pl.Trainer(max_epochs=5)
        trainer.train_dataloader = loader
        trainer.current_epoch = 2
        trainer.should_stop = True
        trainer.fit(model)
        trainer.logger.close()
        trainer.logger.save()
    """
    found = _found(tmp_path, text, "LM503")
    assert [line for _, line, _ in found] == [5, 6, 9]


@pytest.mark.parametrize("given", ["", "intra_step_time=True", "True"])
def test_a_callback_that_takes_other_arguments_now_is_renamed_where_it_is_given_none(
    given: str, tmp_path: Path
) -> None:
    text = (
        "import pytorch_lightning as pl\n"
        "from pytorch_lightning.callbacks import GPUStatsMonitor\n\n"
        f"trainer = pl.Trainer(callbacks=[GPUStatsMonitor({given})])\n"
        f"other = pl.callbacks.GPUStatsMonitor({given})\n"
    )
    written(tmp_path, {"train.py": text})
    fix(tmp_path, "LM505")
    after = (tmp_path / "train.py").read_text(encoding="utf-8")
    assert ("GPUStatsMonitor" in after) == bool(given)
    if given:
        assert after == text
        assert [d.blocked for d in check(tmp_path, "LM505").diagnostics] == [
            "line 4 gives it arguments; DeviceStatsMonitor has other arguments and logs under "
            "other keys",
            "line 5 gives it arguments; DeviceStatsMonitor has other arguments and logs under "
            "other keys",
        ]


@pytest.mark.parametrize(
    ("runs", "told"),
    [
        ("trainer.fit(model)\n    trainer.test(model)", None),
        ("trainer.test(model)\n    trainer.fit(model)", "line 5"),
        ("trainer.test(model)", "line 5"),
    ],
)
def test_a_trainer_that_tests_what_it_resumes_from_is_left_to_a_person(
    runs: str, told: str | None, tmp_path: Path
) -> None:
    text = (
        "import pytorch_lightning as pl\n\ndef run(model, path):\n"
        f"    trainer = pl.Trainer(resume_from_checkpoint=path)\n    {runs}\n"
    )
    written(tmp_path, {"train.py": text})
    (found,) = check(tmp_path, "LM501").diagnostics
    if told is None:
        assert found.blocked is None or found.blocked == ""
    else:
        assert f"to that at {told}" in found.blocked


AVERAGE = """\
import pytorch_lightning as pl

class Average(pl.Callback):
    def on_before_zero_grad(self, trainer, pl_module):
        pl_module.target.update(pl_module.online)

class Net(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.average = Average()

    def training_step(self, batch, batch_idx):
        return self(batch)

    def on_train_batch_end(self, *args):
        self.average.on_before_zero_grad(self.trainer, self)
"""


def test_a_callback_that_the_project_calls_itself_takes_what_it_is_given(tmp_path: Path) -> None:
    assert _found(tmp_path, AVERAGE, "LM211") == []


@pytest.mark.parametrize(
    "change",
    [
        ("self.average.on_before_zero_grad(self.trainer, self)", "print(args)"),
        ("(self.trainer, self)", "(self.trainer, self, None)"),
        (
            "self.average.on_before_zero_grad(self.trainer, self)",
            "print(args)\n\ndef test_it():\n    Average().on_before_zero_grad(None, Net())",
        ),
    ],
)
def test_a_callback_that_only_lightning_calls_lacks_what_it_gives(
    change: tuple[str, str], tmp_path: Path
) -> None:
    ((_, line, _),) = _found(tmp_path, AVERAGE.replace(*change), "LM211")
    assert line == 4


def test_a_step_output_gets_one_name_though_two_fixes_ask_for_it(tmp_path: Path) -> None:
    text = """\
    import pytorch_lightning as pl
    import torch

    class Net(pl.LightningModule):
        def validation_step(self, batch, batch_idx):
            x, y = batch
            loss, results = self.scores(x, y)
            return {"loss_of_batch": loss, **results}

        def validation_epoch_end(self, outputs):
            loss = torch.stack([one["loss_of_batch"] for one in outputs]).mean()
            self.log("val_loss", loss)
            self.log("val_worst", self.worst(outputs))

        def scores(self, x, y):
            return torch.nn.functional.mse_loss(self(x), y), {"size": x.abs().max()}

        def worst(self, outputs):
            return torch.stack([one["size"] for one in outputs]).max()
    """
    written(tmp_path, {"train.py": text})
    fix(tmp_path)
    after = (tmp_path / "train.py").read_text(encoding="utf-8")
    assert "output = output" not in after
    assert after.count('output = {"loss_of_batch": loss, **results}') == 1
    assert 'self.log("val_loss", output["loss_of_batch"])' in after
    assert "self.validation_step_outputs.append(output)" in after
    assert codes(check(tmp_path)) == []


STRATEGY = """\
import pytorch_lightning as pl

def build(gpus, spread):
    strategy = None
    if gpus > 1:
        strategy = pl.strategies.DDPStrategy()
    return pl.Trainer(devices=gpus, strategy=strategy)
"""


def test_a_value_that_a_name_may_still_have_reaches_the_trainer(tmp_path: Path) -> None:
    ((code, line, message),) = _found(tmp_path, STRATEGY, "LM502")
    assert (code, line) == ("LM502", 4)
    assert message == "Trainer(strategy=None) raises since Lightning 2.0"
    (found,) = check(tmp_path, "LM502").diagnostics
    assert found.blocked == (
        "Trainer is given it as strategy at line 7; change it here: strategy=None was the "
        'default, and it is "auto" now'
    )


@pytest.mark.parametrize(
    "text",
    [
        'strategy = "ddp" if gpus > 1 else None\n',
        'accelerator = "ddp"\n    strategy = "auto"\n',
        "if spread:\n        strategy = None\n    else:\n        strategy = make(gpus)\n",
        "strategy = None\n    for one in spread:\n        strategy = one\n",
        "strategy = None\n    if spread:\n        raise ValueError\n",
    ],
)
def test_one_of_several_values_is_found(text: str, tmp_path: Path) -> None:
    given = "accelerator=accelerator, " if "accelerator" in text else ""
    whole = (
        "import pytorch_lightning as pl\n\ndef build(gpus, spread):\n"
        f"    {text}    return pl.Trainer({given}strategy=strategy)\n"
    )
    assert len(_found(tmp_path, whole, "LM502")) == 1


@pytest.mark.parametrize(
    "text",
    [
        'strategy = None\n    strategy = "auto"\n',
        'strategy = None\n    if spread:\n        strategy = "ddp"\n    else:\n'
        '        strategy = "auto"\n',
        'strategy = None\n    if spread:\n        strategy = "ddp"\n    else:\n        return\n',
        'strategy = None\n    if strategy is None:\n        strategy = make(spread)\n',
        "strategy = make(None)\n",
        "for strategy in (None, spread):\n        pass\n",
        "strategy = None\n    del strategy\n",
        'strategy = None\n    with spread:\n        strategy = "auto"\n',
        'strategy = None\n    strategy = strategy or "auto"\n',
        'strategy = None\n    strategy, other = make(spread)\n',
        'if spread:\n        strategy = None\n        return strategy\n    strategy = "auto"\n',
    ],
)  # fmt: skip
def test_a_value_that_never_arrives_is_no_finding(text: str, tmp_path: Path) -> None:
    whole = (
        "import pytorch_lightning as pl\n\ndef build(gpus, spread):\n"
        f"    {text}    return pl.Trainer(strategy=strategy)\n"
    )
    assert _found(tmp_path, whole, "LM502") == []


@pytest.mark.parametrize(
    "text",
    [
        "def build(strategy=None):\n    return pl.Trainer(strategy=strategy)\n",
        "def build(n):\n    strategy = None\n    if n:\n        strategy = 'ddp'\n"
        "    if strategy is not None:\n        return pl.Trainer(strategy=strategy)\n"
        "    return pl.Trainer()\n",
        "def build(n):\n    strategy = None\n    if n:\n        strategy = 'ddp'\n"
        "    return pl.Trainer(strategy=strategy) if strategy else pl.Trainer()\n",
        "strategy = None\n\ndef build():\n    return pl.Trainer(strategy=strategy)\n",
        "def build(n):\n    precision = 16\n    return pl.Trainer(precision=precision)\n",
    ],
)
def test_what_others_may_give_is_no_finding(text: str, tmp_path: Path) -> None:
    assert _found(tmp_path, f"import pytorch_lightning as pl\n\n{text}", "LM502") == []


@pytest.mark.parametrize(
    ("given", "count"),
    [
        ('"out/profile.txt"', 1),
        ('os.path.join(folder, "profile.txt")', 1),
        ("log", 1),
        ('Path(folder) / "a.log"', 1),
        ('f"{folder}/a.txt"', 1),
        ('"out"', 0),
        ("folder", 0),
        ('os.path.join("a.txt", folder)', 0),
        ('"out", "profile.txt"', 0),
        ('dirpath="out", filename="profile.txt"', 0),
        ('"runs/version_1.2"', 0),
    ],
)
def test_a_file_that_a_profiler_takes_for_a_folder(given: str, count: int, tmp_path: Path) -> None:
    text = (
        "import os\nfrom pathlib import Path\nimport pytorch_lightning as pl\n\n"
        "def build(folder):\n"
        '    log = os.path.join(folder, "profile.txt")\n'
        f"    return pl.profilers.AdvancedProfiler({given})\n"
    )
    assert len(_found(tmp_path, text, "LM507")) == count


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("import pl_bolts\n", [2]),
        ("import pl_bolts.optimizers as bolts\n", [2]),
        ("from pl_bolts.models import UNet, PixelCNN\n", [2]),
        ("def build():\n    from pl_bolts.models import UNet\n    return UNet()\n", [3]),
        ("try:\n    import pl_bolts\nexcept ImportError:\n    pl_bolts = None\n", []),
        ("try:\n    import pl_bolts\nexcept ImportError:\n    raise ValueError('no')\n", [3]),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import pl_bolts\n", []),
        ("from flags import _BOLTS_AVAILABLE\nif _BOLTS_AVAILABLE:\n    import pl_bolts\n", []),
        ("from .pl_bolts import UNet\n", []),
        ("import pl_bolts_of_ours\n", []),
    ],
)
def test_a_package_that_goes_with_lightning_one_alone(
    text: str, lines: list[int], tmp_path: Path
) -> None:
    found = _found(tmp_path, f"import pytorch_lightning as pl\n{text}", "LM513")
    assert [line for _, line, _ in found] == lines


def test_a_project_may_be_that_package(tmp_path: Path) -> None:
    written(tmp_path, {"pl_bolts/__init__.py": "", "pl_bolts/models.py": "import torch\n"})
    assert _found(tmp_path, "import pytorch_lightning\nimport pl_bolts.models\n", "LM513") == []
