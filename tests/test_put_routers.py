"""Which Trainers get a router, and what is said of those that cannot."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import projects
import pytest

NET = """\
import lightning.pytorch as pl
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.cli import LightningCLI
from lintmetrics.put import PutMixin


class Watch(pl.Callback): ...


class Net(PutMixin, pl.LightningModule):
    def on_train_epoch_end(self):
        self.put("lr", 0.1)


"""


def routed(tmp_path: Path, body: str) -> str:
    """Return what stands behind the class when every Trainer has its router."""
    projects.written(tmp_path, {"model.py": NET + dedent(body)})
    report = projects.fix(tmp_path, "LM702")
    assert not report.diagnostics
    text = (tmp_path / "model.py").read_text(encoding="utf-8")
    compile(text, "model.py", "exec")
    assert projects.fix(tmp_path, "LM702").after == {}
    return text.partition('self.put("lr", 0.1)\n\n\n')[2]


def refused(tmp_path: Path, body: str) -> list[str]:
    """Return why Trainers get no router."""
    projects.written(tmp_path, {"model.py": NET + dedent(body)})
    projects.fix(tmp_path, "LM702")
    return [d.blocked for d in projects.check(tmp_path, "LM702").diagnostics]


def test_a_list_of_the_block_that_trains_is_a_list(tmp_path: Path) -> None:
    after = routed(
        tmp_path,
        """\
        if __name__ == "__main__":
            callbacks = [Watch()]
            trainer = pl.Trainer(max_epochs=3, callbacks=callbacks)
        """,
    )
    assert "callbacks=[*callbacks, PutRouter()])" in after


def test_a_list_that_grows_is_a_list(tmp_path: Path) -> None:
    after = routed(
        tmp_path,
        """\
        def train(watch):
            callbacks = []
            if watch:
                callbacks += [Watch()]
            callbacks.append(EarlyStopping("lr"))
            return pl.Trainer(callbacks=callbacks)
        """,
    )
    assert "callbacks=[*callbacks, PutRouter()])" in after


@pytest.mark.parametrize("made", ['ModelCheckpoint(monitor="lr")', "Watch()"])
def test_one_callback_without_a_list_becomes_a_list(made: str, tmp_path: Path) -> None:
    after = routed(tmp_path, f"trainer = pl.Trainer(callbacks={made})\n")
    assert after == f"trainer = pl.Trainer(callbacks=[{made}, PutRouter()])\n"


def test_a_list_with_more_behind_it_gets_one_more(tmp_path: Path) -> None:
    after = routed(
        tmp_path, "def train(more):\n    return pl.Trainer(callbacks=[Watch()] + more)\n"
    )
    assert "callbacks=[Watch()] + more + [PutRouter()])" in after


@pytest.mark.parametrize("arguments", ["**options", "max_epochs=3, **options", "*given"])
def test_arguments_that_are_not_seen_hide_no_lack_of_a_router(
    arguments: str, tmp_path: Path
) -> None:
    (reason,) = refused(tmp_path, f"options, given = {{}}, []\npl.Trainer({arguments})\n")
    assert "add PutRouter() to them" in reason


def test_a_list_beside_arguments_that_are_not_seen_gets_its_router(tmp_path: Path) -> None:
    after = routed(tmp_path, "options = {}\npl.Trainer(callbacks=[Watch()], **options)\n")
    assert "pl.Trainer(callbacks=[Watch(), PutRouter()], **options)" in after


def test_the_router_of_one_trainer_is_none_of_another(tmp_path: Path) -> None:
    """The first gets its router; what the second gets is still not known."""
    (reason,) = refused(
        tmp_path, "first = pl.Trainer()\nsecond = pl.Trainer(callbacks=callbacks_for(Net))\n"
    )
    assert "callbacks_for(Net)" in reason


def test_a_router_that_is_made_on_its_own_may_be_in_what_is_not_seen(tmp_path: Path) -> None:
    body = """\
    from lintmetrics.put import PutRouter

    routers = [PutRouter()]
    first = pl.Trainer(callbacks=callbacks_for(Net))
    second = pl.Trainer(**options)
    """
    assert refused(tmp_path, body) == []
