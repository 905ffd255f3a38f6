"""Cases that reading reports on real packages brought up: hooks that Lightning 2 lacks."""

from __future__ import annotations

import json
from pathlib import Path
from textwrap import dedent

import projects
import pytest

from lintmetrics.codemod import Relation

SAFE = frozenset((Relation.PRESERVES, Relation.CORRECTS))

STEP_END = """
import pytorch_lightning as pl


class Base(pl.LightningModule):
    def validation_step_end(self, outputs):
        outputs["score"] = outputs["map"].amax(1)
        return outputs


class Model(Base):
    def validation_step(self, batch, batch_idx):
        return {"map": self(batch)}
"""


def test_a_callback_that_reads_changed_outputs_earlier_is_in_the_way(tmp_path: Path) -> None:
    callback = """
    from pytorch_lightning import Callback


    class Collect(Callback):
        def on_validation_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            self.scores.append(outputs["score"])
    """
    projects.written(tmp_path, {"model.py": STEP_END, "callback.py": callback})
    projects.fix(tmp_path, "LM202", relations=projects.ALL)
    assert (tmp_path / "model.py").read_text() == STEP_END
    (finding,) = projects.check(tmp_path, "LM202").diagnostics
    assert "Collect.on_validation_batch_end" in finding.blocked


def test_a_callback_that_reads_what_a_step_end_only_reads_is_told(tmp_path: Path) -> None:
    callback = """
    from pytorch_lightning import Callback


    class Collect(Callback):
        def on_validation_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            self.scores.append(outputs["map"])
    """
    model = STEP_END.replace('outputs["score"] =', "self.score =")
    projects.written(tmp_path, {"model.py": model, "callback.py": callback})
    projects.fix(tmp_path, "LM202", relations=SAFE)
    assert (tmp_path / "model.py").read_text() == model
    (finding,) = projects.check(tmp_path, "LM202").diagnostics
    assert finding.fix is not None
    assert "Collect.on_validation_batch_end" in finding.fix.message


def test_a_callback_that_only_counts_batches_changes_nothing(tmp_path: Path) -> None:
    callback = """
    from pytorch_lightning import Callback


    class Count(Callback):
        def on_validation_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            self.batches += 1
    """
    projects.written(tmp_path, {"model.py": STEP_END, "callback.py": callback})
    projects.fix(tmp_path, "LM202", relations=SAFE)
    assert "on_validation_batch_end" in (tmp_path / "model.py").read_text()


def returned(folder: Path, body: str, name: str = "validation_epoch_end") -> list[str]:
    """Return what is said of a hook of a module."""
    text = "import pytorch_lightning as pl\nfrom collections import OrderedDict\n\n\n"
    text += "class Model(pl.LightningModule):\n"
    text += f"    def {name}(self, outputs):\n"
    text += "".join(f"        {line}\n" for line in dedent(body).strip().splitlines())
    projects.written(folder, {"model.py": text})
    return [d.message for d in projects.check(folder, "LM208").diagnostics]


def test_a_log_dict_in_an_ordered_dict_is_found(tmp_path: Path) -> None:
    body = """
    logs = {"x": 1.0}
    return OrderedDict({"loss": 2.0, "log": logs, "progress_bar": logs})
    """
    (message,) = returned(tmp_path, body, "training_step")
    assert '"log" and "progress_bar"' in message
    assert returned(tmp_path, 'return dict(loss=2.0, log={"x": 1.0})', "training_step")
    assert not returned(tmp_path, "return dict(loss=2.0, logits=outputs)", "training_step")


def test_a_log_dict_that_is_put_in_later_is_found_once(tmp_path: Path) -> None:
    body = """
    result = self.evaluate(outputs)
    result["log"]["test_loss"] = result["log"].pop("val_loss")
    return result
    """
    (message,) = returned(tmp_path, body, "test_epoch_end")
    assert 'under "log"' in message
    assert not returned(tmp_path, 'result = {}\nresult["logits"] = 1\nreturn result')
    body = """
    result = self.evaluate(outputs)
    result["log"] = {"x": 1.0}
    self.log_dict(result["log"])
    return result
    """
    assert not returned(tmp_path, body)


def test_numbers_that_a_log_call_has_are_not_lost(tmp_path: Path) -> None:
    body = """
    logs = {"x": 1.0}
    self.log_dict(logs)
    return {"loss": 2.0, "log": logs}
    """
    assert not returned(tmp_path, body, "training_step")
    body = body.replace("self.log_dict(logs)", "self.summary(logs)")
    assert returned(tmp_path, body, "training_step")


def test_a_log_dict_inside_an_ordered_dict_is_logged(tmp_path: Path) -> None:
    returned(
        tmp_path,
        """
    logs = {"x": 1.0}
    return OrderedDict({"loss": 2.0, "log": logs, "progress_bar": logs})
    """,
        "training_step",
    )
    projects.fix(tmp_path, "LM208")
    new = (tmp_path / "model.py").read_text()
    assert "        self.log_dict(logs, prog_bar=True)\n" in new
    assert 'return OrderedDict({"loss": 2.0})' in new


def test_a_helper_that_was_a_hook_is_still_said_to_return_what_nobody_logs(tmp_path: Path) -> None:
    projects.written(
        tmp_path,
        {
            "model.py": """
            import torch
            import pytorch_lightning as pl


            class Model(pl.LightningModule):
                def validation_step(self, batch, batch_idx):
                    return {"loss": self(batch)}

                def validation_epoch_end(self, outs):
                    worst = torch.stack([out["loss"] for out in outs]).max()
                    return {"worst": worst, "log": {"worst": worst}}

                def test_step(self, batch, batch_idx):
                    return self.validation_step(batch, batch_idx)

                def test_epoch_end(self, outs):
                    result = self.validation_epoch_end(outs)
                    result["log"]["test_worst"] = result["log"].pop("worst")
                    return result
            """
        },
    )
    before = projects.codes(projects.check(tmp_path, "LM208"))
    projects.fix(tmp_path, "LM201", "LM208")
    report = projects.check(tmp_path, "LM2")
    assert before == projects.codes(report) == ["LM208", "LM208"]
    assert "Model._validation_epoch_end returns" in report.diagnostics[0].message
    assert "is read at" in report.diagnostics[0].blocked


def test_a_detached_dict_keeps_lines_readable(tmp_path: Path) -> None:
    projects.written(
        tmp_path,
        {
            "model.py": """
            import torch
            from lightning import LightningModule


            class Model(LightningModule):
                def __init__(self):
                    super().__init__()
                    self.training_step_outputs = []

                def training_step(self, batch, batch_idx):
                    loss = self(batch).sum()
                    out = {"loss": loss}
                    self.training_step_outputs.append(out)
                    return out

                def on_train_epoch_end(self):
                    for out in self.training_step_outputs:
                        self.log("loss", out["loss"])
                    self.training_step_outputs.clear()
            """
        },
    )
    projects.fix(tmp_path, "LM205")
    assert (
        ".append(\n"
        "            {k: v.detach() if isinstance(v, torch.Tensor) else v "
        "for k, v in out.items()}\n        )\n"
    ) in (tmp_path / "model.py").read_text()


CALLBACK = """
from pytorch_lightning import Callback


class Timer(Callback):
    def on_train_epoch_end(self, trainer, pl_module, outputs):
        self.stop({0})

    def on_validation_epoch_end(self, trainer, pl_module):
        self.stop()
"""


def test_a_callback_that_waits_for_outputs_is_found(tmp_path: Path) -> None:
    projects.written(tmp_path, {"timer.py": CALLBACK.format("")})
    (finding,) = projects.check(tmp_path, "LM203").diagnostics
    assert "requires `outputs`" in finding.message
    projects.fix(tmp_path, "LM203", relations=SAFE)
    new = (tmp_path / "timer.py").read_text()
    assert new == CALLBACK.format("").replace(", outputs", "")


def test_a_callback_that_reads_outputs_is_left_to_a_person(tmp_path: Path) -> None:
    projects.written(tmp_path, {"timer.py": CALLBACK.format("len(outputs)")})
    (finding,) = projects.check(tmp_path, "LM203").diagnostics
    assert "pl_module.training_step_outputs" in finding.blocked


def test_a_callback_with_a_default_is_quiet(tmp_path: Path) -> None:
    text = CALLBACK.format("").replace("outputs)", "unused=None)")
    projects.written(tmp_path, {"timer.py": text})
    assert not projects.check(tmp_path, "LM203").diagnostics


def test_an_epoch_end_that_returned_only_its_log_returns_nothing(tmp_path: Path) -> None:
    text = """
    import pytorch_lightning as pl


    class Model(pl.LightningModule):
        def on_validation_epoch_end(self):
            logs = {"x": self.best}
            if self.quiet:
                return {"log": logs}
            logs["y"] = 1.0
            return {"log": logs}
    """
    projects.written(tmp_path, {"model.py": text})
    projects.fix(tmp_path, "LM208")
    new = (tmp_path / "model.py").read_text()
    assert "            self.log_dict(logs)\n            return\n" in new
    assert new.endswith('        logs["y"] = 1.0\n        self.log_dict(logs)\n')


def test_a_hook_of_a_notebook_may_end_with_a_magic(tmp_path: Path) -> None:
    cell = [
        "import torch\n",
        "import pytorch_lightning as pl\n",
        "class Model(pl.LightningModule):\n",
        "    def validation_step(self, batch, batch_idx):\n",
        "        return self(batch)\n",
        "    def validation_epoch_end(self, outputs):\n",
        "        self.log('x', torch.cat(outputs).std())\n",
        "        !nvidia-smi -q",
    ]
    book = {
        "cells": [
            {
                "cell_type": "code",
                "execution_count": None,
                "id": "a",
                "metadata": {},
                "outputs": [],
                "source": cell,
            }
        ],
        "metadata": {},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    path = tmp_path / "book.ipynb"
    path.write_text(json.dumps(book, indent=1))
    projects.fix(tmp_path, "LM201")
    lines = json.loads(path.read_text())["cells"][0]["source"]
    assert lines[-2:] == [
        "        !nvidia-smi -q\n",
        "        self.validation_step_outputs.clear()",
    ]


def test_a_hook_that_is_no_def_is_found(tmp_path: Path) -> None:
    text = """
    from pytorch_lightning import LightningModule
    from elsewhere import collect


    class Model(LightningModule):
        training_epoch_end = None
        validation_epoch_end = lambda self, outputs: print(len(outputs))
        test_epoch_end = collect
    """
    projects.written(tmp_path, {"model.py": text})
    findings = projects.check(tmp_path, "LM201").diagnostics
    assert [f.start.line for f in findings] == [8, 9]
    assert all("give it a def" in finding.blocked for finding in findings)


def test_a_base_from_a_star_import_is_known(tmp_path: Path) -> None:
    text = """
    from pytorch_lightning import *


    class Model(LightningModule):
        def test_epoch_end(self, outputs):
            print("done")
    """
    projects.written(tmp_path, {"model.py": text})
    assert projects.codes(projects.check(tmp_path, "LM201")) == ["LM201"]
    projects.written(tmp_path, {"model.py": "from ourlab.nets import *\n" + dedent(text)})
    assert projects.codes(projects.check(tmp_path, "LM201")) == []


def test_a_method_that_goes_takes_its_blank_lines_along(tmp_path: Path) -> None:
    text = """
    import pytorch_lightning as pl


    class Model(pl.LightningModule):
        def training_step(self, batch, batch_idx):
            return self(batch)

        def training_step_end(self, outputs):
            return outputs

        def forward(self, x):
            return x
    """
    projects.written(tmp_path, {"model.py": text})
    projects.fix(tmp_path, "LM202")
    gone = "    def training_step_end(self, outputs):\n        return outputs\n\n"
    assert (tmp_path / "model.py").read_text() == dedent(text).replace(gone, "")


@pytest.mark.parametrize(
    ("lines", "is_found"),
    [
        ('self.log("acc", logs["acc"])', True),
        ('self.log("acc", logs["acc"])\nself.log("lr", logs["lr"])', False),
        ('self.log_dict(logs)\nlogs["more"] = acc', True),
        ("self.log_dict(logs)", False),
        ("for key, value in logs.items():\n    self.log(key, value)", False),
        ('self.log("acc", acc)\nlogs = {"acc": acc}', True),
        ('self.log("other", acc)', True),
    ],
)
def test_a_returned_dict_counts_as_logged_where_all_of_it_is(
    lines: str, is_found: bool, tmp_path: Path
) -> None:
    body = "\n".join(f"                    {line}" for line in lines.splitlines()).strip()
    text = f"""
            import pytorch_lightning as pl


            class Model(pl.LightningModule):
                def training_step(self, batch, batch_idx):
                    loss, acc = self(batch)
                    logs = {{"acc": acc, "lr": 0.1}}
                    {body}
                    return {{"loss": loss, "log": logs}}
            """
    projects.written(tmp_path, {"model.py": text})
    assert projects.codes(projects.check(tmp_path, "LM208")) == ["LM208"] * is_found


@pytest.mark.parametrize(("key", "is_found"), [("acc", True), ("loss", False)])
def test_a_returned_display_counts_as_logged_by_its_keys(
    key: str, is_found: bool, tmp_path: Path
) -> None:
    text = f"""
        import pytorch_lightning as pl


        class Model(pl.LightningModule):
            def training_step(self, batch, batch_idx):
                loss, acc = self(batch)
                self.log("loss", loss)
                out = {{"loss": loss}}
                out["log"] = {{"{key}": acc}}
                return out
        """
    projects.written(tmp_path, {"model.py": text})
    assert projects.codes(projects.check(tmp_path, "LM208")) == ["LM208"] * is_found
