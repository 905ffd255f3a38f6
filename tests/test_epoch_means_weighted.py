"""Means that must stay where they are made are weighed there with the batch sizes.

Every accepted text was trained before and after with a short last batch; the number after is the
mean over the samples.
"""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import projects
import pytest

HEAD = """\
import numpy as np
import pytorch_lightning as pl
import torch
import torch.nn.functional as F


"""
SHARED = """\
class Model(pl.LightningModule):
    def __init__(self, net):
        super().__init__()
        self.net = net
        self.validation_step_outputs = []
        self.test_step_outputs = []

    def _step(self, batch, stage):
        x, y = batch
        logits = self.net(x)
        return {
            f"{stage}_loss": F.cross_entropy(logits, y),
            f"{stage}_acc": (logits.argmax(1) == y).float().mean(),
        }

    def validation_step(self, batch, batch_idx):
        output = self._step(batch, "val")
        self.validation_step_outputs.append(output)
        return output

    def test_step(self, batch, batch_idx):
        output = self._step(batch, "test")
        self.test_step_outputs.append(output)
        return output

    def on_validation_epoch_end(self):
        self._end(self.validation_step_outputs, "val")
        self.validation_step_outputs.clear()

    def on_test_epoch_end(self):
        self._end(self.test_step_outputs, "test")
        self.test_step_outputs.clear()

"""
LIST = """\
class Model(pl.LightningModule):
    def __init__(self, net):
        super().__init__()
        self.net = net
        self.outs = []

"""
STEP = """\
    def validation_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        output = {"val_loss": loss}
        self.outs.append(output)

"""


def fixed(tmp_path: Path, text: str) -> str:
    """Return a module after all means of it are mended."""
    path = tmp_path / "model.py"
    path.write_text(HEAD + text, encoding="utf-8")
    report = projects.fix(tmp_path, "LM111")
    assert not report.failures
    done = path.read_text(encoding="utf-8").removeprefix(HEAD)
    compile(done, "model.py", "exec")
    assert not projects.check(tmp_path, "LM111").diagnostics
    return done


def reason(tmp_path: Path, text: str) -> str:
    """Return why the only mean of a module is left as it is."""
    (tmp_path / "model.py").write_text(HEAD + text, encoding="utf-8")
    (finding,) = projects.check(tmp_path, "LM111").diagnostics
    assert finding.fix is None
    return finding.blocked


def test_a_shared_end_is_weighed_in_place(tmp_path: Path) -> None:
    text = SHARED + (
        "    def _end(self, outputs, stage):\n"
        '        loss = torch.stack([o[f"{stage}_loss"] for o in outputs]).mean()\n'
        '        self.log(f"{stage}_loss", loss)\n'
    )
    assert fixed(tmp_path, text) == text.replace(
        "(logits.argmax(1) == y).float().mean(),\n",
        '(logits.argmax(1) == y).float().mean(),\n            "batch_size": x.size(0),\n',
    ).replace(
        '        loss = torch.stack([o[f"{stage}_loss"] for o in outputs]).mean()\n',
        '        mean_batch_size = sum(o["batch_size"] for o in outputs) / len(outputs)\n'
        '        loss = torch.stack([o[f"{stage}_loss"] * o["batch_size"] for o in outputs])'
        ".mean() / mean_batch_size\n",
    )


def test_a_closure_over_keys_is_weighed_once(tmp_path: Path) -> None:
    text = SHARED + (
        "    def _end(self, outputs, stage):\n"
        "        gather = lambda key: torch.stack([o[key] for o in outputs]).mean()\n"
        '        self.log(f"{stage}_loss", gather(f"{stage}_loss"))\n'
        '        self.log(f"{stage}_acc", gather(f"{stage}_acc"))\n'
    )
    done = fixed(tmp_path, text)
    assert done.count("mean_batch_size =") == 1
    assert (
        'gather = lambda key: torch.stack([o[key] * o["batch_size"] for o in outputs]).mean()'
        " / mean_batch_size\n" in done
    )


def test_a_closure_that_also_counts_is_left(tmp_path: Path) -> None:
    text = SHARED.replace("_acc", "_num_right") + (
        "    def _end(self, outputs, stage):\n"
        "        gather = lambda key: torch.stack([o[key] for o in outputs]).mean()\n"
        '        self.log(f"{stage}_loss", gather(f"{stage}_loss"))\n'
        '        rate = gather(f"{stage}_num_right") / len(self.net)\n'
        '        self.log(f"{stage}_rate", rate)\n'
    )
    assert "is a mean over the samples of a batch cannot be told" in reason(tmp_path, text)


def test_numpy_keeps_answering_where_there_is_nothing(tmp_path: Path) -> None:
    text = (
        LIST
        + STEP.replace("loss}", "loss.item()}")
        + (
            "    def on_validation_epoch_end(self):\n"
            "        if self.trainer.sanity_checking:\n"
            "            return\n"
            '        mean = np.mean([o["val_loss"] for o in self.outs])\n'
            '        print(mean, file=open("log.txt", "a"))\n'
            '        self.log(f"{self.name}_loss", mean)\n'
            "        self.outs.clear()\n"
        )
    )
    assert (
        '        mean_batch_size = np.mean([o["batch_size"] for o in self.outs])\n'
        '        mean = np.mean([o["val_loss"] * o["batch_size"] for o in self.outs])'
        " / mean_batch_size\n"
    ) in fixed(tmp_path, text)


def test_a_quotient_of_sums_is_weighed(tmp_path: Path) -> None:
    text = (
        LIST
        + STEP
        + (
            "    def on_validation_epoch_end(self):\n"
            '        mean = sum(o["val_loss"] for o in self.outs) / len(self.outs)\n'
            '        self.log(f"{self.name}_loss", mean)\n'
            "        self.best = min(self.best, mean)\n"
            "        self.outs.clear()\n"
        )
    )
    assert (
        'sum(o["val_loss"] * o["batch_size"] for o in self.outs) / len(self.outs)'
        " / mean_batch_size\n" in fixed(tmp_path, text)
    )


END = """\
    def on_validation_epoch_end(self):
        mean = torch.stack([o["val_loss"] for o in self.outs]).mean()
        self.log(f"{self.name}_loss", mean)
        self.best = min(self.best, mean)
        OTHER
        self.outs.clear()
"""


@pytest.mark.parametrize(
    "other",
    [
        "(loss,) = self.outs[0].values()",
        "print([key for o in self.outs for key in o])",
        "print({**self.outs[0]})",
        "self.keep(self.outs)",
        "print([list(o.values()) for o in self.outs])",
        "torch.save(self.outs, 'outs.pt')",
        "first, *rest = self.outs",
        "print(len([self.show(o) for o in self.outs]))",
    ],
)
def test_outputs_whose_keys_are_counted_stay(tmp_path: Path, other: str) -> None:
    text = LIST + STEP + END.replace("OTHER", other)
    assert "may mind another key in the outputs" in reason(tmp_path, text)


def test_a_dict_that_is_logged_whole_gets_no_size(tmp_path: Path) -> None:
    step = STEP.replace(
        "        self.outs", "        self.log_dict(output, on_step=True)\n        self.outs"
    )
    text = LIST + step + END.replace("OTHER", "pass")
    assert "`self.log_dict(output, on_step=True)`" in reason(tmp_path, text)


def test_a_callback_that_reads_the_output_is_asked(tmp_path: Path) -> None:
    text = (
        LIST
        + STEP
        + "        return output\n\n"
        + END.replace("OTHER", "pass")
        + dedent(
            """

            class Table(pl.Callback):
                def on_validation_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
                    print(",".join(outputs))
            """
        )
    )
    assert "`print" in reason(tmp_path, text) or "join" in reason(tmp_path, text)


@pytest.mark.parametrize(
    ("body", "weighed"),
    [
        ('outputs["x"] = outputs["loss"]', True),
        ('print("x" in outputs.keys())', True),
        ("print(outputs.keys() == {1})", False),
        ("print(*outputs)", False),
    ],
)
def test_the_methods_that_a_callback_hands_the_output_to_are_asked(
    body: str, weighed: bool, tmp_path: Path
) -> None:
    callback = f"""

class Table(pl.Callback):
    def on_validation_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self._note(outputs, pl_module)
        self._show(outputs)

    def _note(self, outputs, pl_module):
        {body}

    @staticmethod
    def _show(outputs):
        print(outputs["loss"])
"""
    text = LIST + STEP + "        return output\n\n" + END.replace("OTHER", "pass") + callback
    (tmp_path / "model.py").write_text(HEAD + text)
    assert not projects.fix(tmp_path, "LM111").failures
    assert ("mean_batch_size" in (tmp_path / "model.py").read_text()) == weighed


def test_sums_over_batches_keep_their_votes(tmp_path: Path) -> None:
    text = LIST + STEP.replace("self.net(x), y)", 'self.net(x), y, reduction="sum")')
    (tmp_path / "model.py").write_text(HEAD + text + END.replace("OTHER", "pass"))
    report = projects.fix(tmp_path, "LM111")
    assert not report.failures
    assert "mean_batch_size" not in (tmp_path / "model.py").read_text()


def test_steps_of_subclasses_give_their_size_as_well(tmp_path: Path) -> None:
    text = (
        LIST
        + STEP
        + END.replace("OTHER", "pass")
        + dedent(
            """

            class Robust(Model):
                def validation_step(self, batch, batch_idx):
                    x, y = batch
                    self.outs.append({"val_loss": F.l1_loss(self.net(x), y)})
            """
        )
    )
    done = fixed(tmp_path, text)
    assert done.count('"batch_size": x.size(0)}') == 2


def test_a_class_whose_steps_are_elsewhere_is_left(tmp_path: Path) -> None:
    text = (
        LIST
        + END.replace("OTHER", "pass")
        + dedent(
            """

            class Robust(Model):
                def validation_step(self, batch, batch_idx):
                    x, y = batch
                    self.outs.append({"val_loss": F.l1_loss(self.net(x), y)})
            """
        )
    )
    (tmp_path / "model.py").write_text(HEAD + text)
    for finding in projects.check(tmp_path, "LM111").diagnostics:
        assert finding.fix is None
        assert "nothing in Model fills self.outs" in finding.blocked


def test_a_hook_that_moves_as_well_reads_what_it_is_given(tmp_path: Path) -> None:
    text = (
        "class Model(pl.LightningModule):\n"
        "    def training_step(self, batch, batch_idx):\n"
        "        x, y = batch\n"
        "        loss = F.cross_entropy(self(x), y)\n"
        '        return {"loss": loss}\n'
        "\n"
        "    def training_epoch_end(self, outputs):\n"
        '        mean = torch.stack([o["loss"] for o in outputs]).mean()\n'
        "        self.best = min(self.best, mean)\n"
        '        self.log(f"{self.name}_loss", mean)\n'
    )
    path = tmp_path / "model.py"
    path.write_text(HEAD + text, encoding="utf-8")
    report = projects.fix(tmp_path, "LM111", "LM201")
    assert not report.failures
    done = path.read_text(encoding="utf-8")
    compile(done, "model.py", "exec")
    assert "in outputs" not in done
    assert done.count("in self.training_step_outputs") == 2
    assert '"batch_size": x.size(0)' in done
    assert '{"loss": loss.detach()}' not in done


def test_a_closure_by_def_is_weighed(tmp_path: Path) -> None:
    text = SHARED + (
        "    def _end(self, outputs, stage):\n"
        "        def gather(key):\n"
        "            return torch.stack([o[key] for o in outputs]).mean()\n"
        "\n"
        '        self.log(f"{stage}_loss", gather(f"{stage}_loss"))\n'
    )
    done = fixed(tmp_path, text)
    assert (
        '        mean_batch_size = sum(o["batch_size"] for o in outputs) / len(outputs)\n'
        "        def gather(key):\n"
        '            return torch.stack([o[key] * o["batch_size"] for o in outputs]).mean()'
        " / mean_batch_size\n"
    ) in done


def test_a_dict_that_goes_into_two_lists_is_followed_into_both(tmp_path: Path) -> None:
    step = STEP.replace(
        "        self.outs.append(output)",
        "        if self.trainer.testing:\n"
        "            self.tested.append(output)\n"
        "        else:\n"
        "            self.outs.append(output)",
    )
    kept = LIST.replace("self.outs = []", "self.outs = []\n        self.tested = []")
    text = kept + step + END.replace("OTHER", "self.tested.clear()")
    assert '"batch_size": x.size(0)' in fixed(tmp_path, text)
    text = kept + step + END.replace("OTHER", "print(self.tested)")
    assert "`print(self.tested)`" in reason(tmp_path, text)
