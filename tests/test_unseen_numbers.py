"""Numbers that nobody sees: read before they are logged, or returned and never logged."""

from __future__ import annotations

from pathlib import Path

import pytest
from hook_modules import blocked, found, migrated

LOGGED = """\
class M(pl.LightningModule):
    def {hook}(self):
        self.log("score", 1.0)
{more}

class C(pl.Callback):
    def on_{loop}_epoch_end(self, trainer, pl_module):
        metrics = trainer.callback_metrics
        print(metrics[{key}])
"""


def test_a_callback_that_reads_too_early_is_moved_behind_the_module(tmp_path: Path) -> None:
    text = LOGGED.format(hook="on_validation_epoch_end", loop="validation", key="'score'", more="")
    assert found(tmp_path, a=text) == ["LM207 9"]
    after = migrated(tmp_path, a=text)
    assert "    def on_validation_end(self, trainer, pl_module):\n" in after
    assert "    def on_validation_epoch_end(self):\n" in after


@pytest.mark.parametrize(
    ("hook", "loop", "key", "more"),
    [
        ("validation_step", "validation", "'score'", ""),
        ("on_validation_epoch_end", "test", "'score'", ""),
        ("on_validation_epoch_end", "validation", "'other'", ""),
        (
            "on_validation_epoch_end",
            "validation",
            "'score'",
            "    def training_step(self, batch):\n        self.log('score', 0.0)\n",
        ),
    ],
    ids=["logged in a step", "another loop", "another key", "logged in a step as well"],
)
def test_a_callback_that_may_read_in_time_is_quiet(
    tmp_path: Path, hook: str, loop: str, key: str, more: str
) -> None:
    told = found(tmp_path, a=LOGGED.format(hook=hook, loop=loop, key=key, more=more))
    assert [one for one in told if one.startswith("LM207")] == []


def test_no_later_hook_in_training_is_told(tmp_path: Path) -> None:
    text = LOGGED.format(hook="on_train_epoch_end", loop="train", key="'score'", more="")
    assert "no hook of a callback runs behind" in blocked(tmp_path, a=text)[0]


def test_a_returned_log_is_logged_once_for_all_its_names(tmp_path: Path) -> None:
    after = migrated(
        tmp_path,
        a="""\
        class M(pl.LightningModule):
            def training_step(self, batch, batch_idx):
                loss = self.loss(batch)
                logs = {"train_loss": loss}
                bar = logs
                return {"loss": loss, "log": logs, "progress_bar": bar}

            def on_validation_epoch_end(self):
                logs = {"val_loss": self.total}
                return {
                    "val_loss": self.total,
                    "log": logs,
                }
        """,
    )
    assert '        self.log_dict(logs, prog_bar=True)\n        return {"loss": loss}\n' in after
    assert (
        "        self.log_dict(logs)\n"
        "        return {\n"
        '            "val_loss": self.total,\n'
        "        }\n"
    ) in after


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("return {'loss': x, 'log': make(x)}", "give it a name"),
        (
            "logs = {'a': x}\n        self.log('a', x)\n        return {'loss': x, 'log': logs}",
            '"a" is logged at line',
        ),
        (
            "logs = make()\n        return {'loss': x, 'log': logs, 'progress_bar': {'a': x}}",
            "may share a key",
        ),
        (
            "out = {'loss': x, 'log': {'a': x}}\n        self.keep(out)\n        return out",
            "built apart from the return",
        ),
    ],
    ids=["call", "logged already", "two dicts", "built apart"],
)
def test_a_returned_log_that_is_not_plain_is_blocked(
    tmp_path: Path, body: str, reason: str
) -> None:
    text = (
        "class M(pl.LightningModule):\n    def training_step(self, batch, batch_idx):\n"
        f"        x = self(batch)\n        {body}\n"
    )
    (told,) = blocked(tmp_path, a=text)
    assert reason in told


def test_a_returned_log_that_another_hook_reads_is_blocked(tmp_path: Path) -> None:
    (told,) = blocked(
        tmp_path,
        a="""\
        class M(pl.LightningModule):
            def training_step(self, batch, batch_idx):
                x = self(batch)
                logs = {"a": x}
                return {"loss": x, "log": logs}

            def on_train_batch_end(self, outputs, batch, batch_idx):
                print(outputs["log"])
        """,
    )
    assert "reads the key" in told


def test_a_loss_without_graph_may_be_kept(tmp_path: Path) -> None:
    text = """\
    class M(pl.LightningModule):
        def __init__(self):
            super().__init__()
            self.kept = []

        def training_step(self, batch, batch_idx):
            loss = torch.tensor([self.solver.step(batch)])
            out = {"loss": loss}
            self.kept.append(out)
            return out
    """
    assert found(tmp_path, a=text) == []
