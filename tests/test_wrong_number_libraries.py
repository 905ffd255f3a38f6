"""Objects of evaluate and MONAI gather in the step and compute at the epoch end."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent, indent

import projects
import pytest

from lintmetrics.diagnostics import Diagnostic

_HEAD = """
import datasets
import evaluate
import lightning.pytorch as pl
from monai.metrics import DiceMetric, ROCAUCMetric


class Model(pl.LightningModule):
    def __init__(self, net):
        super().__init__()
        self.net = net
        self.metric = {}
"""


def model(made: str, *methods: str) -> str:
    text = _HEAD.format(made)
    for method in methods:
        text += "\n" + indent(dedent(method).strip("\n"), "    ") + "\n"
    return text


def step(lines: str, hook: str = "validation_step") -> str:
    head = f"def {hook}(self, batch, batch_idx):\n    x, y = batch\n    p = self.net(x)\n"
    return head + indent(dedent(lines).strip("\n"), "    ")


def fixed(folder: Path, text: str) -> tuple[list[Diagnostic], str]:
    """Return what was found before, and the text after every fix was made."""
    projects.written(folder, {"model.py": text})
    before = projects.check(folder, "LM10")
    report = projects.fix(folder, "LM10")
    assert not report.failures
    assert not report.failed
    after = (folder / "model.py").read_text(encoding="utf-8")
    compile(after, "model.py", "exec")
    assert projects.fix(folder, "LM10").after == {}, "the second run changes something"
    return before.diagnostics, after


_F1 = 'evaluate.load("f1")'
_GIVEN = "predictions=p.argmax(1), references=y"
_MOVED = {
    "in place": (
        _F1,
        f'self.log("f1", self.metric.compute({_GIVEN}, average="macro")["f1"], prog_bar=True)',
        [
            f"self.metric.add_batch({_GIVEN})",
            "def on_validation_epoch_end(self):",
            'self.log("f1", self.metric.compute(average="macro")["f1"], prog_bar=True)',
        ],
    ),
    "load_metric": (
        'datasets.load_metric("f1")',
        f"self.log_dict(self.metric.compute({_GIVEN}), on_epoch=True, batch_size=len(x))",
        [f"self.metric.add_batch({_GIVEN})", "self.log_dict(self.metric.compute())"],
    ),
    "two of one": (
        'evaluate.load("glue", "mrpc")',
        f'res = self.metric.compute({_GIVEN})\nself.log("f1", res["f1"])\n'
        'self.log("acc", res["accuracy"])',
        [
            f"self.metric.add_batch({_GIVEN})",
            "res = self.metric.compute()",
            'self.log("f1", res["f1"])',
            'self.log("acc", res["accuracy"])',
        ],
    ),
    "renamed": (
        'evaluate.combine(["f1", "matthews_correlation"])',
        f"res = self.metric.compute({_GIVEN})\n"
        'self.log_dict({f"val_{k}": v for k, v in res.items()})',
        [
            "res = self.metric.compute()",
            'self.log_dict({f"val_{k}": v for k, v in res.items()})',
        ],
    ),
    "gathered and computed at once": (
        _F1,
        f'self.metric.add_batch({_GIVEN})\nself.log("f1", self.metric.compute()["f1"])',
        [
            f"self.metric.add_batch({_GIVEN})",
            "def on_validation_epoch_end(self):",
            'self.log("f1", self.metric.compute()["f1"])',
        ],
    ),
    "monai": (
        'DiceMetric(reduction="mean_batch")',
        'self.metric(p, y)\nself.log("dice", self.metric.aggregate().mean())\nself.metric.reset()',
        [
            "self.metric(p, y)",
            "def on_validation_epoch_end(self):",
            'self.log("dice", self.metric.aggregate().mean())',
            "self.metric.reset()",
        ],
    ),
    "monai never reset": (
        "DiceMetric()",
        'self.metric(p, y)\nd = self.metric.aggregate().item()\nself.log("dice", d)',
        ["d = self.metric.aggregate().item()", 'self.log("dice", d)', "self.metric.reset()"],
    ),
    "monai curve": (
        "ROCAUCMetric()",
        'self.metric(p, y)\nself.log("auc", self.metric.aggregate())\nself.metric.reset()',
        ['self.log("auc", self.metric.aggregate())'],
    ),
}


@pytest.mark.parametrize(("made", "lines", "wanted"), _MOVED.values(), ids=_MOVED)
def test_an_epoch_is_computed_once(
    made: str, lines: str, wanted: list[str], tmp_path: Path
) -> None:
    before, after = fixed(tmp_path, model(made, step(lines)))
    assert {d.code for d in before} == {"LM101"}
    position = 0
    for line in wanted:
        assert line in after[position:], after
        position = after.index(line, position) + len(line)
    assert after.count(wanted[-1]) == 1


_QUIET = {
    "gathered": (
        _F1,
        f"self.metric.add_batch({_GIVEN})",
        'self.log("f1", self.metric.compute()["f1"])',
    ),
    "accuracy": (
        'evaluate.load("accuracy")',
        f'self.log("acc", self.metric.compute({_GIVEN})["accuracy"])',
        "pass",
    ),
    "monai": (
        "DiceMetric()",
        "self.metric(p, y)",
        'self.log("dice", self.metric.aggregate().item())\nself.metric.reset()',
    ),
    "monai mean of samples": (
        "DiceMetric()",
        'self.metric(p, y)\nself.log("dice", self.metric.aggregate())\nself.metric.reset()',
        "pass",
    ),
}


@pytest.mark.parametrize(("made", "lines", "end"), _QUIET.values(), ids=_QUIET)
def test_what_is_right_stays_quiet(made: str, lines: str, end: str, tmp_path: Path) -> None:
    hook = "def on_validation_epoch_end(self):\n" + indent(end, "    ")
    before, _ = fixed(tmp_path, model(made, step(lines), hook))
    assert before == []


_LOG = f'self.log("f1", self.metric.compute({_GIVEN})["f1"]'
_BLOCKED = {
    "train and val": (
        [
            step(_LOG + ", on_epoch=True, on_step=False)", "training_step"),
            step(_LOG + ")"),
        ],
        "give each stage an object of its own",
    ),
    "used again": (
        [step(f'res = self.metric.compute({_GIVEN})\nself.log("f1", res["f1"])\nreturn res')],
        "res is also used at line",
    ),
    "every step": ([step(_LOG + ", on_step=True)")], "decide what a step is to show"),
    "value of the step": (
        [step(f'self.log("f1", self.metric.compute({_GIVEN}, labels=x)["f1"])')],
        "x at line",
    ),
    "in a helper": (
        [
            step('self.log("f1", self.score(p, y))'),
            f'def score(self, p, y):\n    return self.metric.compute({_GIVEN})["f1"]',
        ],
        "computed in score",
    ),
}


@pytest.mark.parametrize(("methods", "reason"), _BLOCKED.values(), ids=_BLOCKED)
def test_what_a_person_must_decide(methods: list[str], reason: str, tmp_path: Path) -> None:
    text = model(_F1, *methods)
    before, after = fixed(tmp_path, text)
    assert after == text
    assert before
    assert all(reason in finding.blocked for finding in before), before[0].blocked


_OF_DICTS = """
import lightning.pytorch as pl
import torch
from transformers.data.metrics import acc_and_f1, pearson_and_spearman


class Model(pl.LightningModule):
    def validation_step(self, batch, batch_idx):
        result = {call}
        self.log("number", torch.tensor(result["{key}"]))
"""


@pytest.mark.parametrize(
    ("call", "key", "found"),
    [
        ("acc_and_f1(self(batch), batch.y)", "f1", ["LM101"]),
        ("acc_and_f1(self(batch), batch.y)", "acc_and_f1", ["LM101"]),
        ("acc_and_f1(self(batch), batch.y)", "acc", []),
        ("pearson_and_spearman(self(batch), batch.y)", "corr", ["LM101"]),
        ("pearson_and_spearman(self(batch), batch.y)", "other", []),
        ("own(self(batch), batch.y)", "f1", []),
    ],
)
def test_scores_in_one_dict_are_told_apart(
    call: str, key: str, found: list[str], tmp_path: Path
) -> None:
    text = _OF_DICTS.format(call=call, key=key)
    projects.written(tmp_path, {"model.py": text})
    assert projects.codes(projects.check(tmp_path, "LM10")) == found
    projects.fix(tmp_path, "LM10")
    assert (tmp_path / "model.py").read_text(encoding="utf-8") == text


@pytest.mark.parametrize("kind", ["OrderedDict", "dict"])
def test_an_output_is_followed_through_a_dict_by_name(kind: str, tmp_path: Path) -> None:
    text = f"""
    from collections import OrderedDict

    import pytorch_lightning as pl
    import torch
    from sklearn.metrics import f1_score


    class Model(pl.LightningModule):
        def validation_step(self, batch, batch_idx):
            f1 = torch.tensor(f1_score(batch.y, self(batch)))
            return {kind}({{"f1": f1, "names": batch.names}})

        def validation_epoch_end(self, outputs):
            self.log("f1", torch.stack([x["f1"] for x in outputs]).mean())
    """
    projects.written(tmp_path, {"model.py": text})
    assert projects.codes(projects.check(tmp_path, "LM101")) == ["LM101"]


def test_one_call_of_several_scores_is_found_for_those_that_are_no_means(tmp_path: Path) -> None:
    text = """
    import pytorch_lightning as pl
    import torch
    from transformers.data.metrics import acc_and_f1


    class Model(pl.LightningModule):
        def validation_step(self, batch, batch_idx):
            result = acc_and_f1(self(batch), batch.y)
            for key, value in {"acc": result["acc"], "f1": result["f1"]}.items():
                self.log(f"val_{key}", torch.tensor(value))
    """
    projects.written(tmp_path, {"model.py": text})
    found = projects.check(tmp_path, "LM101").diagnostics
    assert [one.message.partition(" ")[0] for one in found] == ['"val_f1"']


def test_keys_of_a_loop_that_a_fix_logs_one_by_one_are_no_new_findings(tmp_path: Path) -> None:
    text = """
    import pytorch_lightning as pl
    import torch
    from transformers.data.metrics import acc_and_f1


    class Model(pl.LightningModule):
        def test_step(self, batch, batch_idx):
            result = acc_and_f1(self(batch), batch.y)
            return {
                "f1": torch.tensor(result["f1"]),
                "acc_and_f1": torch.tensor(result["acc_and_f1"]),
            }

        def test_epoch_end(self, outputs):
            f1 = torch.stack([x["f1"] for x in outputs]).mean()
            both = torch.stack([x["acc_and_f1"] for x in outputs]).mean()
            for key, value in {"f1": f1, "both": both}.items():
                self.log(f"test_{key}", value)
    """
    projects.written(tmp_path, {"model.py": text})
    before = projects.codes(projects.check(tmp_path, "LM101", "LM111", "LM201"))
    assert before.count("LM101") == 1
    report = projects.fix(tmp_path, "LM101", "LM111", "LM201")
    assert not report.failed
    assert projects.codes(projects.check(tmp_path, "LM101", "LM111", "LM201")) == ["LM101"] * 2
