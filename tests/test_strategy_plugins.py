"""A strategy given to ``plugins=``: no plugin since Lightning 1.7, whatever its class is called."""

from __future__ import annotations

from pathlib import Path

import projects
import pytest

from lintmetrics.codemod import Relation

SAFE = frozenset((Relation.PRESERVES, Relation.CORRECTS))
IMPORTS = """
import pytorch_lightning as pl
from pytorch_lightning.plugins import DDPPlugin
from pytorch_lightning.strategies import DDPStrategy, DeepSpeedStrategy
from pytorch_lightning.plugins.environments import LightningEnvironment

"""


def _fixed(tmp_path: Path, arguments: str) -> str:
    projects.written(tmp_path, {"train.py": f"{IMPORTS}trainer = pl.Trainer({arguments})\n"})
    projects.fix(tmp_path, "LM501", "LM502", relations=SAFE)
    return (tmp_path / "train.py").read_text(encoding="utf-8").rpartition("Trainer")[2].strip()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("plugins=DDPPlugin()", "(strategy=DDPPlugin())"),
        ("plugins=DDPStrategy(static_graph=True)", "(strategy=DDPStrategy(static_graph=True))"),
        ("plugins=[DeepSpeedStrategy(stage=2)]", "(strategy=DeepSpeedStrategy(stage=2))"),
        # What the plugin is decides; the name beside it gave way to it in 1.x as well.
        ('accelerator="ddp", plugins=DDPPlugin()', "(strategy=DDPPlugin())"),
        (
            'plugins=[DDPPlugin()], gpus=2, distributed_backend="ddp"',
            '(strategy=DDPPlugin(), accelerator="gpu", devices=2)',
        ),
        (
            "plugins=[DDPPlugin(), LightningEnvironment()]",
            "(strategy=DDPPlugin(), plugins=[LightningEnvironment()])",
        ),
    ],
)
def test_it_becomes_the_strategy(old: str, new: str, tmp_path: Path) -> None:
    assert _fixed(tmp_path, old) == new
    assert not projects.check(tmp_path, "LM501", "LM502").diagnostics


def test_the_new_name_of_a_plugin_does_not_hide_it(tmp_path: Path) -> None:
    text = """
    import pytorch_lightning as pl
    from pytorch_lightning.plugins import DDPPlugin

    trainer = pl.Trainer(accelerator="ddp", plugins=DDPPlugin())
    """
    projects.written(tmp_path, {"train.py": text})
    projects.fix(tmp_path)
    assert "pl.Trainer(strategy=DDPStrategy())" in (tmp_path / "train.py").read_text("utf-8")


@pytest.mark.parametrize(
    "arguments",
    [
        "plugins=[DDPStrategy(), DeepSpeedStrategy()]",  # Which one it is, nobody can say.
        'plugins=DDPPlugin(), strategy="fsdp"',
        "plugins=[DDPPlugin(), *more]",
    ],
)
def test_where_another_may_be_meant_it_stays_and_is_found(arguments: str, tmp_path: Path) -> None:
    assert _fixed(tmp_path, arguments) == f"({arguments})"
    assert projects.codes(projects.check(tmp_path, "LM502")) == ["LM502"]


def test_plugins_that_still_are_plugins_are_right(tmp_path: Path) -> None:
    _fixed(tmp_path, "plugins=[LightningEnvironment()], strategy=DDPStrategy()")
    assert not projects.check(tmp_path, "LM502").diagnostics


def test_a_dict_of_arguments_is_found_where_it_is_made(tmp_path: Path) -> None:
    text = f'{IMPORTS}given = {{}}\ngiven["plugins"] = [DDPStrategy()]\npl.Trainer(**given)\n'
    projects.written(tmp_path, {"train.py": text})
    assert projects.codes(projects.fix(tmp_path, "LM502", relations=SAFE)) == ["LM502"]
    assert (tmp_path / "train.py").read_text("utf-8") == text
