"""Means that must stay where they are made are weighed there with the batch sizes.

Every accepted text was trained before and after with a short last batch; the number after is the
mean over the samples.
"""

from __future__ import annotations

import re
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
        "        loss = (\n"
        '            torch.stack([o[f"{stage}_loss"] * o["batch_size"] for o in outputs]).mean()\n'
        "            / mean_batch_size\n"
        "        )\n",
    )


def test_the_key_of_the_size_is_quoted_as_those_beside_it(tmp_path: Path) -> None:
    text = (LIST + STEP + END.replace("OTHER", "self.outs.clear()")).replace(
        '"val_loss"', "'val_loss'"
    )
    done = fixed(tmp_path, text)
    assert "{'val_loss': loss, 'batch_size': x.size(0)}" in done
    assert "o['val_loss'] * o['batch_size'] for o in self.outs" in done
    assert '"batch_size"' not in done


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
        '            sum(o["val_loss"] * o["batch_size"] for o in self.outs)\n'
        "            / len(self.outs)\n"
        "            / mean_batch_size\n" in fixed(tmp_path, text)
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


def promised_and_done(tmp_path: Path, text: str) -> tuple[int, str]:
    """Return how many fixes a check announces, and the module after all of them are made."""
    path = tmp_path / "model.py"
    path.write_text(HEAD + text, encoding="utf-8")
    found = projects.check(tmp_path, "LM111", "LM201").diagnostics
    report = projects.fix(tmp_path, "LM111", "LM201")
    assert not report.failures
    assert len(report.fixed) == len(found)
    done = path.read_text(encoding="utf-8").removeprefix(HEAD)
    compile(done, "model.py", "exec")
    return sum(item.fix is not None for item in found), done


TRAINED = """\
class Model(pl.LightningModule):
    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self(x), y)
        acc = (self(x).argmax(1) == y).float().mean()
        return {"loss": loss, "acc": acc}

    def training_epoch_end(self, outputs):
        self.log("loss", torch.stack([o["loss"] for o in outputs]).mean())
        self.log("acc", torch.stack([o["acc"] for o in outputs]).mean())
        print(len(outputs))
"""


@pytest.mark.parametrize("shared", [False, True])
def test_a_fix_that_is_announced_is_made_when_the_hook_has_moved(
    shared: bool, tmp_path: Path
) -> None:
    text = TRAINED
    if shared:
        text = text.replace("training_step(self, batch, batch_idx)", "_step(self, batch)") + (
            "\n    def training_step(self, batch, batch_idx):\n        return self._step(batch)\n"
            "\n    def test_step(self, batch, batch_idx):\n        self._step(batch)\n"
        )
    announced, done = promised_and_done(tmp_path, text)
    assert announced == 3
    assert '"acc": acc, "batch_size": x.size(0)}' in done
    assert 'o["acc"] * o["batch_size"] for o in self.training_step_outputs' in done
    # The copy that is kept holds all keys.
    assert "{k: v.detach() if isinstance(v, torch.Tensor) else v for k, v in " in done


def test_a_copy_that_detaches_whatever_it_finds_minds_a_number(tmp_path: Path) -> None:
    step = STEP.replace(
        "self.outs.append(output)",
        "self.outs.append({k: v.detach() for k, v in output.items()})",
    )
    assert "v.detach()" in reason(tmp_path, LIST + step + END.replace("OTHER", "self.outs.clear()"))


def test_a_dict_that_begins_empty_takes_the_size(tmp_path: Path) -> None:
    step = STEP.replace('output = {"val_loss": loss}', "output = {}\n        OTHER").replace(
        "OTHER", 'output.update({"val_loss": loss})'
    )
    done = fixed(tmp_path, LIST + step + END.replace("OTHER", "self.outs.clear()"))
    assert 'output = {"batch_size": x.size(0)}\n' in done


def test_an_empty_output_stays_empty(tmp_path: Path) -> None:
    step = STEP.replace(
        "        loss =", "        if y is None:\n            return {}\n        loss ="
    )
    step = step.replace("self.outs.append(output)", "return output")
    end = END.replace("OTHER", "print()").replace("on_validation_epoch_end(self)", "NAME")
    end = end.replace("NAME", "validation_epoch_end(self, outs)").replace("self.outs", "outs")
    end = end.replace("for o in outs", "for o in outs if o")
    text = LIST + step + end.replace(" if o]", "]")
    (tmp_path / "model.py").write_text(HEAD + text, encoding="utf-8")
    for finding in projects.check(tmp_path, "LM111").diagnostics:
        assert finding.fix is None


def test_a_name_that_was_something_else_before_is_the_dict(tmp_path: Path) -> None:
    step = STEP.replace("loss = F.", "loss, more = self.pair(x), F.").replace("output", "loss")
    done = fixed(tmp_path, LIST + step + END.replace("OTHER", "self.outs.clear()"))
    assert 'loss = {"val_loss": loss, "batch_size": x.size(0)}' in done


@pytest.mark.parametrize(
    ("call", "size"),
    [
        ("self(x=x, mask=y)", "x.size(0)"),
        ("self.forward(input_signal=x)", "x.size(0)"),
        ("self.encoder(inputs=x)", "x.size(0)"),
        ("self.decode(inputs=x)", ""),
    ],
)
def test_what_a_network_is_given_by_name_shows_the_size(
    call: str, size: str, tmp_path: Path
) -> None:
    step = STEP.replace("F.cross_entropy(self.net(x), y)", f"self.criterion({call}, y)")
    text = LIST + step + END.replace("OTHER", "self.outs.clear()")
    if size:
        assert f'"batch_size": {size}' in fixed(tmp_path, text)
    else:
        assert "the size of the batch is not evident" in reason(tmp_path, text)


def test_texts_that_a_network_is_given_show_no_size(tmp_path: Path) -> None:
    step = STEP.replace("F.cross_entropy(self.net(x), y)", "self(texts=texts, labels=y)")
    step = step.replace("x, y = batch", "texts, y = batch")
    text = LIST + step + END.replace("OTHER", "self.outs.clear()")
    assert '"batch_size": y.size(0)' in fixed(tmp_path, text)


@pytest.mark.parametrize(
    ("first", "value", "size"),
    [
        ("x = batch['image']", "F.cross_entropy(self.net(x), batch['label'])", "x.size(0)"),
        (
            'y = batch["label"]',
            'self.criterion(self.net(batch["image"]), y)',
            'batch["image"].size(0)',
        ),
        ("n = len(batch)", "self(pixels=batch['image'], labels=n)", "batch['image'].size(0)"),
        ("n = len(batch)", "self._loss(batch)", "batch[1].size(0)"),
        ("n = len(batch)", "self._loss(data=batch)", "batch[1].size(0)"),
        ("x, y = batch", "self(pixels=x)\n        del x", "batch[0].size(0)"),
        ("*names, x, y = batch", "self(pixels=x)\n        del x", ""),
        # What another method makes of it, or a text, shows no size.
        ("batch = self.moved(batch)", "self._loss(batch)", ""),
        ("n = len(batch)", "self._loss(batch[0])", ""),
        ("n = len(batch)", "self(captions=batch['caption'], labels=n)", ""),
        ("n = len(batch)", "self._pairs(batch)", ""),
    ],
)
def test_a_part_of_the_batch_shows_the_size(
    first: str, value: str, size: str, tmp_path: Path
) -> None:
    step = STEP.replace("x, y = batch", first).replace("F.cross_entropy(self.net(x), y)", value)
    helpers = (
        "    def _loss(self, data):\n"
        "        names, x, y = data\n"
        "        return F.cross_entropy(self.net(x), y)\n\n"
        "    def _pairs(self, data):\n"
        "        *names, x, y = data\n"
        "        return F.cross_entropy(self.net(x), y)\n\n"
    )
    text = LIST + step + helpers + END.replace("OTHER", "self.outs.clear()")
    if size:
        assert re.search(rf"['\"]batch_size['\"]: {re.escape(size)}", fixed(tmp_path, text))
    else:
        assert "the size of the batch is not evident" in reason(tmp_path, text)


def test_a_list_that_is_filled_under_another_name_is_followed(tmp_path: Path) -> None:
    step = STEP.replace("self.outs.append(output)", "return output")
    hook = (
        "    def on_validation_batch_end(self, outputs, batch, batch_idx, dataloader_idx=0):\n"
        "        collected = self.outs\n"
        "        if len(self.trainer.num_val_batches) > 1:\n"
        "            if not collected:\n"
        "                collected.extend([] for _ in self.trainer.num_val_batches)\n"
        "            collected = collected[dataloader_idx]\n"
        "        if outputs is not None:\n"
        "            collected.append(outputs)\n\n"
    )
    text = LIST + step + hook + END.replace("OTHER", "pass")
    text = text.replace("self.outs", "self.validation_step_outputs")
    assert '"batch_size": x.size(0)' in fixed(tmp_path, text)
    # What is put in from elsewhere has no size.
    extended = hook.replace("collected.append(outputs)", "collected.extend(self.more)")
    text = LIST + step + extended + END.replace("OTHER", "pass")
    text = text.replace("self.outs", "self.validation_step_outputs")
    assert "extend" in reason(tmp_path, text) or "fills" in reason(tmp_path, text)
