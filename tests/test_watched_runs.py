"""A watched key that is like no other is found where every module that trains is in sight."""

from __future__ import annotations

from pathlib import Path

import projects
import pytest

MODEL = """\
import pytorch_lightning as pl
import torch


class Net(pl.LightningModule):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def training_step(self, batch, batch_idx):
        loss = self.net(batch).mean()
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", self.net(batch).mean())
"""
OTHER = """

class Other(pl.LightningModule):
    def training_step(self, batch, batch_idx):
        self.log("reward", batch.mean())
        return batch.mean()
"""
RUN = """\
import pytorch_lightning as pl
from pytorch_lightning.callbacks import EarlyStopping, LearningRateMonitor, ModelCheckpoint

from model import Net


def main(net, data):
    stop = EarlyStopping(monitor="reward", mode="max")
    trainer = pl.Trainer(callbacks=[stop])
    trainer.fit(Net(net), datamodule=data)
"""
FIT = "    trainer.fit(Net(net), datamodule=data)\n"
CALLBACKS = "callbacks=[stop]"


def watched(
    tmp_path: Path, run: str = RUN, model: str = MODEL, more: dict[str, str] | None = None
) -> list[tuple[str, str]]:
    projects.written(tmp_path, {"model.py": model, "run.py": run, **(more or {})})
    report = projects.check(tmp_path, "LM401", "LM404")
    assert not report.failures, report.failures
    return [(d.code, d.help) for d in report.diagnostics]


FOUND = {
    "a module made in the call": RUN,
    "a module of a name": RUN.replace(FIT, "    model = Net(net)\n    trainer.fit(model)\n"),
    "a module handed on": RUN.replace(
        FIT, "    model = Net(net)\n    model = model.to(data.device)\n    trainer.fit(model)\n"
    ),
    "a module that is loaded or made": RUN.replace(
        FIT,
        "    model = Net.load_from_checkpoint(data.path) if data.path else Net(net)\n"
        "    model.name = 'x'\n    trainer.fit(model, datamodule=data)\n",
    ),
    "a module of either branch": RUN.replace(
        FIT,
        "    if data.path:\n        model = Net.load_from_checkpoint(data.path)\n"
        "    else:\n        model = Net(net)\n    trainer.fit(model=model)\n",
    ),
    "a module that a function makes": RUN.replace(
        "def main", "def made(n):\n    return Net(n)\n\n\ndef main"
    ).replace("fit(Net(net)", "fit(made(net)"),
    "a list of callbacks": RUN.replace(
        "    trainer =",
        "    callbacks = [stop]\n    callbacks.append(LearningRateMonitor())\n    trainer =",
    ).replace(CALLBACKS, "callbacks=callbacks"),
    "callbacks that a function makes": RUN.replace(
        '    stop = EarlyStopping(monitor="reward", mode="max")\n', ""
    )
    .replace(
        "def main",
        'def watchers():\n    return [EarlyStopping("reward", mode="max")]\n\n\ndef main',
    )
    .replace(CALLBACKS, "callbacks=watchers()"),
    "in the file itself": """\
import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint

from model import Net

if __name__ == "__main__":
    best = ModelCheckpoint(monitor="reward", mode="max")
    pl.Trainer(callbacks=[best], max_epochs=3).fit(Net(None))
""",
}


@pytest.mark.parametrize("run", FOUND.values(), ids=FOUND)
def test_a_key_that_is_like_no_other_is_found_where_the_module_is_known(
    run: str, tmp_path: Path
) -> None:
    assert watched(tmp_path, run) == [("LM401", 'what is logged: "train_loss", "val_loss"')]


def test_a_number_in_a_file_name_that_is_like_no_other_is_found(tmp_path: Path) -> None:
    run = RUN.replace(
        'EarlyStopping(monitor="reward", mode="max")', 'ModelCheckpoint(filename="{reward:.2f}")'
    )
    assert [code for code, _ in watched(tmp_path, run)] == ["LM404"]


def test_what_a_module_that_does_not_train_logs_is_not_there(tmp_path: Path) -> None:
    assert watched(tmp_path, more={"other.py": "import pytorch_lightning as pl\n" + OTHER}) == [
        ("LM401", 'what is logged: "train_loss", "val_loss"')
    ]


def test_a_scheduler_of_a_module_watches_what_the_module_logs(tmp_path: Path) -> None:
    model = (
        MODEL
        + """
    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
        plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, mode="max")
        return {"optimizer": optimizer, "lr_scheduler": plateau, "monitor": "reward"}
"""
    )
    assert [code for code, _ in watched(tmp_path, "", model)] == ["LM401"]


METHOD = "\n    def on_train_epoch_end(self):\n        "
KNOWN: dict[str, tuple[str, str, dict[str, str]]] = {
    "logged": (RUN, MODEL + METHOD + 'self.log("reward", 1.0)\n', {}),
    "logged by a base": (
        RUN,
        MODEL.replace("pl.LightningModule", "Base").replace(
            "\n\nclass Net", OTHER.replace("Other", "Base") + "\n\nclass Net"
        ),
        {},
    ),
    "logged by a subclass": (
        RUN,
        MODEL + "\n\nclass Late(Net):" + METHOD + 'self.log("reward", 1.0)\n',
        {},
    ),
    "of a base that is not known": (
        RUN,
        MODEL.replace("pl.LightningModule", "Base").replace(
            "import torch\n", "from far import Base\n"
        ),
        {},
    ),
    "a key that is not known": (RUN, MODEL + METHOD + "self.log(self.key, 1.0)\n", {}),
    "a template": (RUN, MODEL + METHOD + 'self.log(f"re{self.key}", 1.0)\n', {}),
    "logged by a callback": (
        RUN.replace(CALLBACKS, "callbacks=[stop, Extra()]").replace(
            "from model", "from extra import Extra\nfrom model"
        ),
        MODEL,
        {
            "extra.py": "import pytorch_lightning as pl\n\n\nclass Extra(pl.Callback):\n"
            "    def on_train_epoch_end(self, trainer, pl_module):\n"
            '        pl_module.log("reward", 1.0)\n'
        },
    ),
    "a callback of another package": (
        RUN.replace(CALLBACKS, "callbacks=[stop, Extra()]").replace(
            "from model", "from far import Extra\nfrom model"
        ),
        MODEL,
        {},
    ),
    "callbacks of another package in a list": (
        RUN.replace(
            "    trainer =",
            "    callbacks = [stop]\n    callbacks += data.callbacks\n    trainer =",
        ).replace(CALLBACKS, "callbacks=callbacks"),
        MODEL,
        {},
    ),
    "callbacks among other arguments": (
        RUN.replace(CALLBACKS, "**data.arguments"),
        MODEL,
        {},
    ),
    "callbacks that are added later": (
        RUN.replace(FIT, "    trainer.callbacks.append(data.callback)\n" + FIT),
        MODEL,
        {},
    ),
    "a Trainer that is given": (
        RUN.replace("def main(net, data):", "def main(net, data, trainer):").replace(
            "    trainer = pl.Trainer(callbacks=[stop])\n", ""
        ),
        MODEL,
        {},
    ),
    "a module that is given": (RUN.replace("fit(Net(net)", "fit(net"), MODEL, {}),
    "a module that may be another": (
        RUN.replace(FIT, "    model = Net(net) if data else data.model\n    trainer.fit(model)\n"),
        MODEL,
        {},
    ),
    "a module that a parameter may replace": (
        RUN.replace(FIT, "    net = net or Net(3)\n    trainer.fit(net)\n"),
        MODEL,
        {},
    ),
    "modules by name": (
        RUN.replace(FIT, "    trainer.fit(KINDS[data.kind](net))\n"),
        MODEL,
        {},
    ),
    "a module inside of another": (
        RUN.replace("Net(net)", "Net(Other())").replace("import Net", "import Net, Other"),
        MODEL + OTHER,
        {},
    ),
    "a module that holds another": (
        RUN,
        MODEL.replace("self.net = net", "self.net = Other()") + OTHER,
        {},
    ),
    "log under another name": (
        RUN,
        MODEL + METHOD + "write = self.log\n        write(*self.pair)\n",
        {},
    ),
    "log by its name": (RUN, MODEL + METHOD + 'getattr(self, "log")(*self.pair)\n', {}),
    "numbers that are put in": (
        RUN,
        MODEL + METHOD + "self.trainer.callback_metrics[self.key] = 1.0\n",
        {},
    ),
    "given to code of another package": (
        RUN,
        MODEL.replace("import torch\n", "import far\nimport torch\n")
        + METHOD
        + "far.evaluate(self)\n",
        {},
    ),
    "logged by a function": (
        RUN,
        MODEL.replace("import torch\n", "import torch\nfrom far import finish\n")
        + METHOD
        + "finish(self)\n",
        {"far.py": 'def finish(model):\n    model.log("reward", 1.0)\n'},
    ),
    "written somewhere": (
        RUN.replace("from model", "from names import KEYS\nfrom model"),
        MODEL,
        {"names.py": 'KEYS = ["reward"]\n'},
    ),
    "written somewhere that is loaded by its name": (
        "import importlib\n" + RUN,
        MODEL,
        {"names.py": 'KEYS = ["reward"]\n'},
    ),
    "what Lightning watches itself": (RUN.replace('"reward"', '"lr-SGD"'), MODEL, {}),
    "a module that logs nothing": (
        RUN,
        "import pytorch_lightning as pl\n\n\nclass Net(pl.LightningModule):\n"
        "    def training_step(self, batch, batch_idx):\n        return batch.mean()\n",
        {},
    ),
    "callbacks of a library": (
        'from pytorch_lightning.callbacks import EarlyStopping\n\nstop = EarlyStopping("reward")\n',
        MODEL,
        {},
    ),
    "callbacks of a project that trains a module of others besides": (
        RUN.replace(CALLBACKS, "callbacks=watchers()")
        .replace(
            "def main",
            'def watchers():\n    return [EarlyStopping("reward", mode="max")]\n\n\ndef main',
        )
        .replace('    stop = EarlyStopping(monitor="reward", mode="max")\n', ""),
        MODEL,
        {
            "more.py": "import pytorch_lightning as pl\nfrom run import watchers\n\n\n"
            "def train(model):\n    pl.Trainer(callbacks=watchers()).fit(model)\n"
        },
    ),
    "a command line": (
        RUN,
        MODEL,
        {"cli.py": "from pytorch_lightning.cli import LightningCLI\n\nLightningCLI()\n"},
    ),
}


@pytest.mark.parametrize(("run", "model", "more"), KNOWN.values(), ids=KNOWN)
def test_a_key_that_something_may_log_is_quiet(
    run: str, model: str, more: dict[str, str], tmp_path: Path
) -> None:
    assert watched(tmp_path, run, model, more) == []


SCRIPT = """\
import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint


class Net(pl.LightningModule):
    def validation_step(self, batch, batch_idx):
        self.log("{logged}", self.net(batch).mean())


best = ModelCheckpoint(monitor="val_loss", filename="{{epoch}}-{{val_loss:.2f}}")
"""


def test_scripts_of_one_folder_that_import_nothing_of_each_other_are_told_apart(
    tmp_path: Path,
) -> None:
    projects.written(
        tmp_path,
        {"one.py": SCRIPT.format(logged="val_loss"), "two.py": SCRIPT.format(logged="val/loss")},
    )
    report = projects.check(tmp_path, "LM401", "LM404")
    assert [(Path(d.path).name, d.code) for d in report.diagnostics] == [
        ("two.py", "LM401"),
        ("two.py", "LM404"),
    ]


@pytest.mark.parametrize(
    "link",
    ["import one\n", "from one import Net as First\n", "import hydra\n", "from . import one\n"],
)
def test_scripts_that_may_work_together_are_one_program(link: str, tmp_path: Path) -> None:
    projects.written(
        tmp_path,
        {
            "one.py": SCRIPT.format(logged="val_loss"),
            "two.py": link + SCRIPT.format(logged="val/loss"),
        },
    )
    assert projects.check(tmp_path, "LM401", "LM404").diagnostics == []


def test_what_a_third_file_brings_together_is_one_program(tmp_path: Path) -> None:
    callback = (
        "import pytorch_lightning as pl\n\n\nclass Late(pl.Callback):\n"
        "    def on_train_epoch_end(self, trainer, pl_module):\n"
        '        pl_module.log("val_loss", 1.0)\n'
    )
    files = {"one.py": SCRIPT.format(logged="val/loss"), "late.py": callback}
    projects.written(tmp_path / "apart", files)
    assert len(projects.check(tmp_path / "apart", "LM401").diagnostics) == 1
    files["main.py"] = "from late import Late\nfrom one import Net, best\n"
    projects.written(tmp_path / "together", files)
    assert projects.check(tmp_path / "together", "LM401").diagnostics == []
