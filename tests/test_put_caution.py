"""Log calls that ``put`` could not stand for: what they are, and what is said of them."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import projects
import pytest
from test_put_style import HEAD, blocked, body_of, fixed, module, step


@pytest.mark.parametrize("hook", ["on_train_start", "on_train_epoch_start"])
def test_what_is_logged_at_the_start_is_written_at_the_end(hook: str, tmp_path: Path) -> None:
    text = module(f'def {hook}(self):\n    self.log("lr", 0.1)\n')
    assert "written at the end of the epoch" in blocked(tmp_path, text)


@pytest.mark.parametrize(
    "lines",
    [
        'if batch_idx % 2 == 0:\n    self.log("a", loss)',
        'if self.global_step % 100 == 0:\n    self.log("a", loss, on_step=True, on_epoch=True)',
        'if batch_idx % 2:\n    return loss\nself.log("a", loss)',
        'if loss > 1:\n    self.log_dict({"a": loss})',
    ],
)
def test_what_some_batches_log_is_repeated_by_log_and_not_by_put(
    lines: str, tmp_path: Path
) -> None:
    assert "logs in some batches alone" in blocked(tmp_path, step(lines, "training_step"))


@pytest.mark.parametrize(
    "lines",
    [
        'if self.hparams.verbose:\n    self.log("a", loss)',
        'if self.current_epoch > 2:\n    self.log("a", loss)',
        'for name, value in self.parts(x).items():\n    self.log("a", value)',
        'if batch_idx > 2:\n    self.log("a", loss, on_step=False, on_epoch=True)',
    ],
)
def test_what_all_batches_of_an_epoch_log_is_put(lines: str, tmp_path: Path) -> None:
    after = fixed(tmp_path, step(lines, "training_step"))
    assert "self.log(" not in after


OBJECTS = """\
class Head(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.acc = BinaryF1Score()


class Net(pl.LightningModule):
    def __init__(self, made, alpha):
        super().__init__()
        self.net = torch.nn.Linear(2, 1)
        self.head = Head()
        self.made = made
        self.alpha = alpha
        self.several = build()
        self.by_name = build()

    def forward(self, x):
        return self.net(x)

"""


def with_objects(lines: str, more: str = "", name: str = "validation_step") -> str:
    text = step(lines, name, more)
    return HEAD + OBJECTS + text[text.index(f"    def {name}") :]


@pytest.mark.parametrize("name", ["validation_step", "training_step"])
@pytest.mark.parametrize(
    ("lines", "more"),
    [
        ('self.head.acc(p, y)\nself.log("a", self.head.acc)', ""),
        ('self.made.update(p, y)\nself.log("a", self.made)', ""),
        ('made = self.made\nmade(p, y)\nself.made(p, y)\nself.log("a", made)', ""),
        ('self.log("a", self.by_name["val"])', ""),
        ('for one in self.several:\n    one(p, y)\n    self.log("a", one)', ""),
        ('for _, one in self.by_name.items():\n    self.log("a", one)', ""),
        ('one = getattr(self, batch.kind)\nself.log("a", one)', ""),
        (
            "self.show(self.head.acc)",
            'def show(self, one):\n    self.head.acc(1, 1)\n    self.log("a", one)\n',
        ),
    ],
)
def test_what_may_be_an_object_is_not_averaged(
    lines: str, more: str, name: str, tmp_path: Path
) -> None:
    assert "may be a Metric object" in blocked(tmp_path, with_objects(lines, more, name))


@pytest.mark.parametrize(
    ("lines", "more"),
    [
        ('self.log("a", self.alpha)', ""),
        ('self.log("a", self.net(x).mean())', ""),
        ('self.log("a", self.trainer.optimizers[0].param_groups[0]["lr"])', ""),
        ('loss, _ = self.parts(x)\nself.log("a", loss)', ""),
        ('self.log("a", self.parts(x)["loss"])', ""),
        (
            "self.show(self.parts(x), len(x))",
            'def show(self, one, size):\n    self.log("a", one, batch_size=size)\n',
        ),
    ],
)
def test_what_is_a_number_is_put(lines: str, more: str, tmp_path: Path) -> None:
    assert "self.log(" not in fixed(tmp_path, with_objects(lines, more))


def test_a_hook_that_reads_the_number_reads_it_behind_the_put(tmp_path: Path) -> None:
    more = """
    def on_validation_epoch_end(self):
        print("done")
        if self.current_epoch:
            self.last = self.trainer.callback_metrics["val_loss"]
    """
    after = fixed(tmp_path, step('self.log("val_loss", loss)', more=more))
    lines = body_of(after, "on_validation_epoch_end").splitlines()
    assert lines[0] == "print('done')"
    assert lines[1].startswith("self.put('val_loss'")
    assert lines[2] == "if self.current_epoch:"
    assert lines[-1] == "self.val_loss.reset()"


def test_a_method_that_reads_the_number_reads_it_behind_the_put(tmp_path: Path) -> None:
    more = """
    def on_validation_epoch_end(self):
        self.remember()

    def remember(self):
        self.last = self.trainer.logged_metrics["val_loss"]
    """
    after = fixed(tmp_path, step('self.log("val_loss", loss)', more=more))
    assert body_of(after, "on_validation_epoch_end").endswith(
        "self.remember()\nself.val_loss.reset()"
    )


READERS = {
    'self.kept.append(trainer.callback_metrics["val_loss"])': True,
    'self.kept.append(trainer.callback_metrics.get("val_loss"))': True,
    "self.kept.append(dict(trainer.callback_metrics))": True,
    "self.kept.append(trainer.logged_metrics[self.key])": True,
    'if "val_loss" in trainer.callback_metrics:\n            pass': True,
    'self.kept.append(trainer.callback_metrics["other"])': False,
    "self.kept.append(trainer.current_epoch)": False,
}


@pytest.mark.parametrize("line", READERS)
def test_a_callback_that_reads_before_the_module_puts(line: str, tmp_path: Path) -> None:
    text = step('self.log("val_loss", loss)') + dedent(
        f"""

        class History(pl.Callback):
            def on_validation_epoch_end(self, trainer, pl_module):
                {line.replace(chr(10), chr(10) + "        ")}
        """
    )
    projects.written(tmp_path, {"model.py": text + "\n\npl.Trainer()\n"})
    (found,) = projects.check(tmp_path, "LM701", style="put").diagnostics
    assert ("History.on_validation_epoch_end reads it" in found.blocked) is READERS[line]


@pytest.mark.parametrize("hook", ["on_validation_end", "on_train_epoch_end"])
def test_a_callback_that_reads_later_reads_what_was_put(hook: str, tmp_path: Path) -> None:
    text = step('self.log("val_loss", loss)') + dedent(
        f"""

        class History(pl.Callback):
            def {hook}(self, trainer, pl_module):
                self.kept.append(trainer.callback_metrics["val_loss"])
        """
    )
    assert "self.put" in fixed(tmp_path, text)


def test_a_stage_that_the_trainer_is_asked_for_is_known(tmp_path: Path) -> None:
    """An object that the else of ``self.trainer.training`` feeds is not fed in training."""
    text = module(
        """
        def shared(self, batch, stage):
            x, y = batch
            p = self(x)
            loss = F.mse_loss(p, y)
            getattr(self, f"{stage}_f1")(p, y)
            self.log(f"{stage}/loss", loss, prog_bar=True)
            return loss

        def training_step(self, batch, batch_idx):
            return self.shared(batch, "train")

        def validation_step(self, batch, batch_idx):
            return self.shared(batch, "val")
        """
    )
    after = fixed(tmp_path, text)
    assert "self.val_loss.update(loss, x.size(0))" in after
    assert "train_loss" not in after


def test_a_comment_between_the_arguments_is_kept(tmp_path: Path) -> None:
    lines = 'self.log(\n    "a",  # watched by the checkpoint\n    loss,  # noqa: E501\n)'
    after = fixed(tmp_path, step(lines))
    assert "        # watched by the checkpoint\n        self.a.update(" in after.replace(
        "val_a", "a"
    )
    assert "noqa" not in after


FAMILY = """\
class Base(pl.LightningModule):
    prefix = "base"

    def __init__(self):
        super().__init__()
        self.net = torch.nn.Linear(2, 1)

    def validation_step(self, batch, batch_idx):
        x, y = batch
        loss = F.mse_loss(self.net(x), y)
        self.log(KEY, loss)


class Below(Base):
    prefix = "below"
"""


@pytest.mark.parametrize(("key", "is_put"), [('f"{self.prefix}_loss"', False), ('"loss"', True)])
def test_a_key_of_each_class_is_put_by_none_for_another(
    key: str, is_put: bool, tmp_path: Path
) -> None:
    text = HEAD + FAMILY.replace("KEY", key)
    if is_put:
        assert body_of(fixed(tmp_path, text), "on_validation_epoch_end").count("self.put(") == 1
    else:
        assert "other keys or objects in Below than in Base" in blocked(tmp_path, text)
