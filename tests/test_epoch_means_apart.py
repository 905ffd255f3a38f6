"""Means that stand beside other uses of the outputs are logged by the step; the rest stays.

Each text was run: the module before on lightning 1.9.5, the one after on 2.6.6, with a short last
batch; what the hook does besides was the same, means became the mean over samples.
"""

from __future__ import annotations

from pathlib import Path

import projects
import pytest

HEAD = """\
import pytorch_lightning as pl
import torch
import torch.nn.functional as F

torch.set_num_threads(1)


"""
STEP = """\
class Model(pl.LightningModule):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def validation_step(self, batch, batch_idx):
        x, y = batch
        logits = self.net(x)
        loss = F.cross_entropy(logits, y)
        return {"val_loss": loss, "logits": logits, "y": y}

"""
LOGGED = STEP.replace("        return", '        self.log("v_loss", loss)\n        return')
REMOVED = """\
    def validation_epoch_end(self, outputs):
        _, logits, y = outputs[0].values()
        self.draw(logits, y)
        avg = torch.stack([o["val_loss"] for o in outputs]).mean()
        self.log("v_loss", avg)
"""
LEFT = """\
    def validation_epoch_end(self, outputs):
        _, logits, y = outputs[0].values()
        self.draw(logits, y)
"""
BASE = """\
class Base(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.outs = []

    def on_validation_batch_end(self, outputs, batch, batch_idx, dataloader_idx=0):
        if outputs is not None:
            self.outs.append(outputs)


"""
TODAY = """\
    def on_validation_epoch_end(self):
        _, logits, y = self.outs[0].values()
        self.draw(logits, y)
        avg = torch.stack([o["val_loss"] for o in self.outs]).mean()
        self.log("v_loss", avg)
        self.outs.clear()
"""
BELOW = "(pl.LightningModule)", "(Base)"


def fixed(tmp_path: Path, text: str, *select: str) -> str:
    """Return a module after its means are mended, with all that moves them."""
    path = tmp_path / "model.py"
    path.write_text(HEAD + text, encoding="utf-8")
    report = projects.fix(tmp_path, *(select or ("LM111",)))
    assert not report.failures
    assert not report.failed
    done = path.read_text(encoding="utf-8").removeprefix(HEAD)
    compile(done, "model.py", "exec")
    return done


def test_a_mean_leaves_a_hook_that_shows_outputs(tmp_path: Path) -> None:
    assert fixed(tmp_path, STEP + REMOVED) == LOGGED + LEFT


def test_the_rest_of_the_hook_moves_to_a_list(tmp_path: Path) -> None:
    done = fixed(tmp_path, STEP + REMOVED, "LM111", "LM2")
    assert done == STEP.replace(
        "        super().__init__()\n",
        "        super().__init__()\n        self.validation_step_outputs = []\n",
    ).replace(
        '        return {"val_loss": loss, "logits": logits, "y": y}\n',
        '        output = {"val_loss": loss, "logits": logits, "y": y}\n'
        '        self.log("v_loss", loss)\n'
        "        self.validation_step_outputs.append(output)\n"
        "        return output\n",
    ) + (
        "    def on_validation_epoch_end(self):\n"
        "        _, logits, y = self.validation_step_outputs[0].values()\n"
        "        self.draw(logits, y)\n"
        "        self.validation_step_outputs.clear()\n"
    )


def test_a_list_that_a_base_fills_behind_the_step_is_known(tmp_path: Path) -> None:
    done = fixed(tmp_path, BASE + STEP.replace(*BELOW) + TODAY)
    assert done == BASE + LOGGED.replace(*BELOW) + (
        "    def on_validation_epoch_end(self):\n"
        "        _, logits, y = self.outs[0].values()\n"
        "        self.draw(logits, y)\n"
        "        self.outs.clear()\n"
    )


OTHER = """\

    def test_step(self, batch, batch_idx):
        return self.validation_step(batch, batch_idx)
"""
SUBCLASS = """\


class Other(Model):
    def validation_step(self, batch, batch_idx):
        return {"val_loss": self.net(batch), "logits": batch, "y": batch}
"""


@pytest.mark.parametrize(
    "text",
    [
        # What the step logs would be logged in the test, too.
        STEP + REMOVED + OTHER,
        # What another step gives would be logged no more.
        STEP + REMOVED + SUBCLASS,
        (BASE + STEP.replace(*BELOW) + TODAY + SUBCLASS),
        # Not every batch has a part in the mean.
        (BASE.replace("outputs is not None", "batch_idx < 3") + STEP.replace(*BELOW) + TODAY),
        (BASE + STEP.replace(*BELOW) + TODAY).replace("self.outs.append(outputs)", "self.outs = 1"),
        # A step without an output has no vote.
        STEP.replace("        loss =", "        if batch_idx:\n            return\n        loss =")
        + REMOVED,
        # The sum of a batch has the weight of its samples.
        STEP.replace("(logits, y)\n", '(logits, y, reduction="sum")\n') + REMOVED,
    ],
)
def test_what_the_step_cannot_log_for_the_hook_stays(text: str, tmp_path: Path) -> None:
    assert fixed(tmp_path, text) == text


# Closures over keys -------------------------------------------------------------------------------

TWO = STEP.replace(
    '"val_loss": loss,', '"val_loss": loss, "val_acc": (logits.argmax(1) == y).float().mean(),'
)
GATHER = {
    "lambda": """\
        gather = lambda key: torch.stack([o[key] for o in outputs]).mean()
""",
    "def": """\
        def gather(key):
            \"\"\"Average what the batches gave.\"\"\"
            return torch.stack([o[key] for o in outputs]).mean()

""",
}
CLOSURE = """\
    def validation_epoch_end(self, outputs):
GATHER\
        val_loss = gather("val_loss")
        self.log("v_loss", val_loss)
        self.log("v_acc", gather("val_acc"), prog_bar=True)
"""


@pytest.mark.parametrize("gather", GATHER.values(), ids=list(GATHER))
def test_a_closure_over_keys_is_a_mean_for_each(gather: str, tmp_path: Path) -> None:
    done = fixed(tmp_path, TWO + CLOSURE.replace("GATHER", gather))
    assert "epoch_end" not in done
    assert "gather" not in done
    assert '        self.log("v_loss", loss)\n' in done
    assert '        self.log("v_acc", val_acc, prog_bar=True)\n' in done


def test_a_closure_that_is_asked_otherwise_stays(tmp_path: Path) -> None:
    text = (
        TWO
        + CLOSURE.replace("GATHER", GATHER["def"])
        + ('        self.draw(outputs[0]["logits"], gather("val_loss"))\n')
    )
    done = fixed(tmp_path, text)
    step, hook = done.split("def validation_epoch_end")
    assert 'self.log("v_loss", loss)' in step
    assert "self.log" not in hook
    assert 'o[key] * o["batch_size"] for o in outputs]' in hook
    assert '        self.draw(outputs[0]["logits"], gather("val_loss"))\n' in hook


# What stays in the hook ---------------------------------------------------------------------------


def test_a_function_inside_the_hook_does_not_end_it(tmp_path: Path) -> None:
    inside = (
        "        def total(rows, key):\n"
        "            found = 0\n"
        "            for row in rows:\n"
        "                found += row[key].sum()\n"
        "            return found\n\n"
        '        self.draw(total(outputs, "logits"))\n'
    )
    text = REMOVED.replace("        _, logits, y = outputs[0].values()\n", inside)
    text = text.replace("        self.draw(logits, y)\n", "")
    done = fixed(tmp_path, STEP + text)
    assert done == LOGGED + text[: text.index("        avg =")]


def test_a_mean_that_is_shown_is_read_back_whatever_others_call(tmp_path: Path) -> None:
    text = (
        BASE
        + STEP.replace(*BELOW)
        + TODAY.replace(
            "        self.outs.clear()", '        print(f"{avg:.2f}")\n        self.outs.clear()'
        )
    )
    other = (
        "\n\nclass Other(pl.LightningModule):\n"
        "    def on_validation_epoch_end(self):\n"
        "        super().on_validation_epoch_end()\n"
    )
    done = fixed(tmp_path, text + other)
    assert '        avg = self.trainer.callback_metrics["v_loss"]\n' in done
    assert '        self.log("v_loss", loss)\n' in done


def test_what_a_hook_returns_goes_with_the_mean(tmp_path: Path) -> None:
    text = BASE + STEP.replace(*BELOW) + TODAY + '        return {"val_loss": avg}\n'
    done = fixed(tmp_path, text)
    assert '        self.log("v_loss", loss)\n' in done
    assert done.endswith("        self.outs.clear()\n")


def test_what_a_hook_returns_stays_where_it_is_asked_for(tmp_path: Path) -> None:
    text = (
        (BASE + STEP.replace(*BELOW) + TODAY)
        + '        return {"val_loss": avg}\n\n'
        + "    def show(self):\n        return self.on_validation_epoch_end()\n"
    )
    assert fixed(tmp_path, text) == text


GUARDED = """\
class Model(pl.LightningModule):
    def __init__(self, net, parts=3):
        super().__init__()
        self.net = net
        self.parts = parts
        self.outs = []

    def validation_step(self, batch, batch_idx):
        if self.parts == 0:
            return 0.0
        loss = F.mse_loss(self.net(batch), batch)
        self.outs.append(loss)
        return loss

    def on_validation_epoch_end(self):
        if self.parts == 0:
            return
        avg = torch.stack(self.outs).mean()
        self.log("v_loss", avg)
        self.seen.append(float(avg))
        self.outs.clear()
"""


def test_a_condition_under_which_the_step_ends_too_is_no_matter(tmp_path: Path) -> None:
    done = fixed(tmp_path, GUARDED)
    assert '        self.log("v_loss", loss)\n' in done
    assert '        avg = self.trainer.callback_metrics["v_loss"]\n' in done


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("        if self.parts == 0:\n            return 0.0\n", ""),
        ("        if self.parts == 0:\n            return 0.0\n", "        self.parts -= 1\n"),
        ("            return\n", "            self.seen.append(0.0)\n            return\n"),
    ],
)
def test_a_condition_of_the_hook_alone_keeps_the_mean(old: str, new: str, tmp_path: Path) -> None:
    text = GUARDED.replace(old, new)
    assert fixed(tmp_path, text) == text


def test_a_mean_that_waits_for_its_hook_says_so(tmp_path: Path) -> None:
    text = """\
class Base(pl.LightningModule):
    def validation_epoch_end(self, outputs):
        print(len(outputs))


class Model(Base):
    def validation_step(self, batch, batch_idx):
        loss = F.mse_loss(self(batch), batch)
        return loss

    def validation_epoch_end(self, losses):
        self.log("v_loss", torch.stack(losses).mean())
"""
    (tmp_path / "model.py").write_text(HEAD + text, encoding="utf-8")
    (finding,) = projects.check(tmp_path, "LM111").diagnostics
    assert finding.fix is None
    assert finding.blocked == "Model.validation_epoch_end at line 18 has to move first"
    done = fixed(tmp_path, text, "LM111", "LM201")
    assert '        self.log("v_loss", loss)\n' in done
    assert "torch.stack" not in done
