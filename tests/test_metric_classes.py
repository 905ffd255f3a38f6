"""Custom metrics: states that are declared, filled, reduced, computed and reset as Metric wants."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent, indent

import projects
import pytest

from lintmetrics.codemod import Relation
from lintmetrics.diagnostics import Diagnostic

CODES = tuple(f"LM{code}" for code in range(311, 323) if code != 321)
HEAD = """\
import collections
import torch
import torchmetrics
import numpy as np
from abc import ABC
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score
from torch import nn
from torchmetrics import Metric
from torchmetrics.functional import auroc, mean_absolute_error, retrieval_average_precision
from torchmetrics.utilities import dim_zero_cat


"""


def metric(
    init: str = "",
    update: str = "pass",
    compute: str = "return torch.tensor(0.0)",
    rest: str = "",
    base: str = "Metric",
    name: str = "Own",
    begin: str = "super().__init__()",
) -> str:
    """Return a custom metric from the bodies of its methods."""

    def body(text: str, spaces: int) -> str:
        return indent(dedent(text).strip("\n"), " " * spaces) + "\n"

    text = f"class {name}({base}):\n    def __init__(self, scale=1, **kwargs):\n"
    text += body("\n".join(filter(None, (begin, dedent(init).strip("\n")))) or "pass", 8)
    text += "\n    def update(self, preds, target):\n" + body(update, 8)
    text += "\n    def compute(self):\n" + body(compute, 8)
    return text + ("\n" + body(rest, 4) if rest else "")


SUMS = """
self.add_state("total", default=torch.tensor(0.0), dist_reduce_fx="sum")
self.add_state("count", default=torch.tensor(0), dist_reduce_fx="sum")
"""
ADD = "self.total += (preds - target).abs().sum()\nself.count += target.numel()"
DIVIDE = "return self.total / self.count"
LIST = 'self.add_state("errors", default=[], dist_reduce_fx="cat")'
APPEND = "self.errors.append((preds - target).abs())"
MEDIAN = "return dim_zero_cat(self.errors).median()"
PLAIN = "self.total = 0.0\nself.count = 0"
PLAIN_LIST = "self.errors = []"
JOINED = "return torch.cat(self.errors).median()"


def found(tmp_path: Path, text: str, *more: str) -> list[Diagnostic]:
    projects.written(tmp_path, {"pyproject.toml": ""})
    (tmp_path / "own.py").write_text(HEAD + "\n\n".join((text, *more)), encoding="utf-8")
    report = projects.check(tmp_path, *CODES)
    assert not report.failures, report.failures
    return report.diagnostics


FOUND = {
    # LM311: gathered in plain attributes
    "numbers": ("LM311", metric(PLAIN, ADD, DIVIDE)),
    "a list": ("LM311", metric(PLAIN_LIST, APPEND, JOINED)),
    "list()": ("LM311", metric("self.errors = list()", APPEND, JOINED)),
    "a tensor": (
        "LM311",
        metric(
            "self.total = torch.zeros(3)", "self.total += preds.sum(0)", "return self.total.mean()"
        ),
    ),
    "a buffer": (
        "LM311",
        metric(
            'self.register_buffer("total", torch.tensor(0.0))',
            "self.total += preds.sum()",
            "return self.total",
        ),
    ),
    "a dict of lists": (
        "LM311",
        metric(
            "self.seen = collections.defaultdict(list)",
            "self.seen[0].append(preds)",
            "return torch.cat(self.seen[0]).mean()",
        ),
    ),
    "one of two": ("LM311", metric(SUMS.split("\n")[1] + "\nself.count = 0", ADD, DIVIDE)),
    "set on the first batch": (
        "LM311",
        metric(
            "self.total = None",
            (
                "if self.total is None:\n    self.total = preds.sum()\n"
                "else:\n    self.total += preds.sum()"
            ),
            "return self.total",
        ),
    ),
    "in a helper": (
        "LM311",
        metric(
            PLAIN,
            "self._add(preds)",
            DIVIDE,
            "def _add(self, preds):\n    self.total += preds.sum()",
        ),
    ),
    "in an annotation": ("LM311", metric("self.errors: list = []", APPEND, JOINED)),
    "of an old Metric": ("LM311", metric(PLAIN, ADD, DIVIDE, base="torchmetrics.metric.Metric")),
    "beside a mixin": ("LM311", metric(PLAIN, ADD, DIVIDE, base="Metric, ABC")),
    # LM312
    "grown": (
        "LM312",
        metric(
            'self.add_state("x", torch.tensor([]), "cat")',
            "self.x = torch.cat([self.x, preds])",
            "return self.x.median()",
        ),
    ),
    "grown by a tuple": (
        "LM312",
        metric(
            'self.add_state("x", default=torch.empty(0), dist_reduce_fx=None)',
            "self.x = torch.cat((self.x, preds), dim=0)",
            "return self.x.sum()",
        ),
    ),
    # LM313
    "joined": ("LM313", metric(LIST, APPEND, JOINED)),
    "joined in a helper": (
        "LM313",
        metric(
            LIST,
            APPEND,
            "return self._all().median()",
            "def _all(self):\n    return torch.cat(self.errors, dim=0)",
        ),
    ),
    "stacked": (
        "LM313",
        metric(
            LIST, "self.errors.append(preds.mean())", "return torch.stack(self.errors).median()"
        ),
    ),
    "declared in a base": (
        "LM313",
        metric(LIST, APPEND, MEDIAN, name="Base")
        + (
            "\n\nclass Own(Base):\n    def compute(self):\n"
            "        return torch.cat(self.errors).mean()\n"
        ),
    ),
    # LM314
    "no reduction": (
        "LM314",
        metric(
            'self.add_state("total", torch.tensor(0.0))',
            "self.total += preds.sum()",
            "return self.total",
        ),
    ),
    "None": (
        "LM314",
        metric(
            'self.add_state("total", torch.zeros(3), dist_reduce_fx=None)',
            "self.total += preds.sum(0)",
            "return (self.total / 3).mean()",
        ),
    ),
    "largest without": (
        "LM314",
        metric(
            'self.add_state("top", torch.tensor(0.0))',
            "self.top = torch.max(self.top, preds.max())",
            "return self.top",
        ),
    ),
    "largest summed": (
        "LM314",
        metric(
            'self.add_state("top", torch.tensor(0.0), "sum")',
            "self.top = torch.maximum(self.top, preds.max())",
            "return self.top",
        ),
    ),
    "smallest averaged": (
        "LM314",
        metric(
            'self.add_state("low", torch.tensor(9.0), "mean")',
            "self.low = torch.min(preds.min(), self.low)",
            "return self.low",
        ),
    ),
    "a mean over a sum": ("LM314", metric(SUMS.replace('"sum"', '"mean"', 1), ADD, DIVIDE)),
    "a sum kept as largest": (
        "LM314",
        metric(
            'self.add_state("total", torch.tensor(0.0), "max")',
            "self.total += preds.sum()",
            "return self.total",
        ),
    ),
    "added by assignment": (
        "LM314",
        metric(
            'self.add_state("total", torch.tensor(0.0))',
            "self.total = self.total + preds.sum()",
            "return self.total",
        ),
    ),
    "in a tuple": (
        "LM314",
        metric(
            'self.add_state("low", torch.tensor(9.0))',
            "self.low = torch.min(self.low, preds.min())",
            "return self.low, 1",
        ),
    ),
    # LM315
    "a number": (
        "LM315",
        metric(
            'self.add_state("total", 0.0, "sum")', "self.total += preds.sum()", "return self.total"
        ),
    ),
    "None as default": (
        "LM315",
        metric('self.add_state("total", default=None)', "pass", "return self.total"),
    ),
    "a list with something": (
        "LM315",
        metric(
            'self.add_state("x", default=[0.0])',
            "self.x.append(preds)",
            "return dim_zero_cat(self.x)",
        ),
    ),
    "an array": ("LM315", metric('self.add_state("x", default=np.zeros(3))')),
    # LM316
    "no super": ("LM316", metric(SUMS, ADD, DIVIDE, begin="")),
    "no super, no state": ("LM316", metric("self.scale = scale", begin="")),
    # LM317
    "divided in place": ("LM317", metric(SUMS, ADD, "self.total /= self.count\nreturn self.total")),
    "assigned anew": (
        "LM317",
        metric(SUMS, ADD, "self.total = self.total / self.count\nreturn self.total"),
    ),
    "a list made a tensor": (
        "LM317",
        metric(
            LIST, APPEND, "self.errors = dim_zero_cat(self.errors)\nreturn self.errors.median()"
        ),
    ),
    # LM318
    "half a reset": (
        "LM318",
        metric(SUMS + "self.last = None", ADD, DIVIDE, "def reset(self):\n    self.last = None"),
    ),
    "half the states": (
        "LM318",
        metric(SUMS, ADD, DIVIDE, "def reset(self):\n    self.total = torch.tensor(0.0)"),
    ),
    # LM319
    "mean of scores": (
        "LM319",
        metric(SUMS, "self.total += roc_auc_score(target, preds)\nself.count += 1", DIVIDE),
    ),
    "weighted scores": (
        "LM319",
        metric(
            SUMS,
            (
                "self.total += auroc(preds, target, task='binary') * len(preds)\n"
                "self.count += len(preds)"
            ),
            DIVIDE,
        ),
    ),
    "a list of scores": (
        "LM319",
        metric(
            LIST,
            (
                "score = f1_score(target.cpu(), preds.cpu(), average='macro')\n"
                "self.errors.append(torch.tensor(score))"
            ),
            "return dim_zero_cat(self.errors).mean()",
        ),
    ),
    # LM320
    "item": (
        "LM320",
        metric(SUMS, "self.total = self.total.item() + preds.sum().item()", "return self.total"),
    ),
    "float in compute": (
        "LM320",
        metric(SUMS, ADD, "self.total = float(self.total / self.count)\nreturn self.total"),
    ),
    # LM322
    "reset in compute": (
        "LM322",
        metric(
            LIST, APPEND, "value = dim_zero_cat(self.errors).median()\nself.reset()\nreturn value"
        ),
    ),
    "reset in compute, one batch": (
        "LM322",
        metric(
            SUMS,
            ADD,
            "value = self.total / self.count\nself.reset()\nreturn value",
            "full_state_update = False",
        ),
    ),
}


@pytest.mark.parametrize(("code", "text"), FOUND.values(), ids=FOUND)
def test_what_goes_wrong_is_found(code: str, text: str, tmp_path: Path) -> None:
    assert code in {diagnostic.code for diagnostic in found(tmp_path, text)}


RESET = "def reset(self):\n    super().reset()\n    "
QUIET = {
    "sums": metric(SUMS, ADD, DIVIDE),
    "a list": metric(LIST, APPEND, MEDIAN),
    # Plain attributes that are set back, or are no gathering.
    "reset by hand": metric(PLAIN, ADD, DIVIDE, RESET + "self.total = 0.0\n    self.count = 0"),
    "emptied by hand": metric(PLAIN_LIST, APPEND, JOINED, RESET + "self.errors.clear()"),
    "emptied by another method": metric(
        PLAIN_LIST, APPEND, JOINED, "def start(self):\n    self.errors = []"
    ),
    "emptied by compute": metric(
        PLAIN_LIST, APPEND, "value = torch.cat(self.errors).mean()\nself.errors = []\nreturn value"
    ),
    "set in update": metric(PLAIN_LIST, "self.errors = []\n" + APPEND, JOINED),
    "never computed": metric(SUMS + "self.calls = 0", ADD + "\nself.calls += 1", DIVIDE),
    "a setting": metric(
        SUMS + "self.scale = scale", ADD, "return self.scale * self.total / self.count"
    ),
    "a table": metric(
        SUMS + "self.names = {}",
        ADD + '\nself.names["a"] = 1',
        "return self.total * len(self.names)",
    ),
    "declared by a loop": metric(
        (
            'for name in ("total", "count"):\n'
            '    self.add_state(name, torch.tensor(0.0), dist_reduce_fx="sum")'
        ),
        ADD,
        DIVIDE,
    ),
    "declared by unknown names": metric(
        (
            "self.total = 0.0\nfor name in scale:\n"
            '    self.add_state(name, torch.tensor(0.0), dist_reduce_fx="sum")'
        ),
        ADD,
        "return self.total",
    ),
    "the best so far": metric(
        "self.best = 0.0", "self.best = max(self.best, preds.max())", "return self.best"
    ),
    "moving average": metric(
        "self.mean = 0.0", "self.mean = 0.9 * self.mean + 0.1 * preds.mean()", "return self.mean"
    ),
    "a property": metric(SUMS, ADD, DIVIDE, "@property\ndef ratio(self):\n    return self.total"),
    "declared below": metric(
        "self.total = None", "self.total += preds.sum()", "return self.total", name="Base"
    )
    + (
        "\n\nclass Own(Base):\n    def __init__(self):\n"
        "        super().__init__()\n"
        '        self.add_state("total", torch.tensor(0.0), dist_reduce_fx="sum")\n'
    ),
    "no Metric": metric(PLAIN, ADD, DIVIDE, base="nn.Module"),
    "an unknown base": metric(PLAIN, ADD, DIVIDE, base="Metric, Unknown"),
    "of another library": metric(PLAIN, ADD, DIVIDE, base="Meter"),
    "a ready metric": metric(
        "self.seen = []",
        "super().update(preds, target)\nself.seen.append(preds)",
        "return super().compute()",
        base="torchmetrics.MeanMetric",
    ),
    "by setattr": metric(
        PLAIN,
        ADD,
        DIVIDE,
        'def reset(self):\n    for name in ("total", "count"):\n        setattr(self, name, 0)',
    ),
    # Growing, joining.
    "joined with others": metric(
        'self.add_state("x", torch.zeros(1, 3), None)',
        "self.x = torch.cat([preds, target])",
        "return self.x.sum()",
    ),
    "joined when a list": metric(
        LIST,
        APPEND,
        (
            "errors = torch.cat(self.errors) if isinstance(self.errors, list) else self.errors\n"
            "return errors.median()"
        ),
    ),
    "ready for an error": metric(
        LIST,
        APPEND,
        (
            "try:\n    errors = torch.cat(self.errors)\n"
            "except TypeError:\n    errors = self.errors\n"
            "return errors.median()"
        ),
    ),
    "joined without a reduction": metric(LIST.replace('"cat"', "None"), APPEND, JOINED),
    "joined in update": metric(LIST, "self.errors.append(torch.cat([preds, target]))", MEDIAN),
    "another list joined": metric(
        LIST, APPEND, "parts = [dim_zero_cat(self.errors)]\nreturn torch.cat(parts).median()"
    ),
    # Reductions.
    "both means": metric(SUMS.replace('"sum"', '"mean"'), ADD, DIVIDE),
    "summed in compute": metric(
        SUMS.replace('"sum"', "None"), ADD, "return self.total.sum() / self.count.sum()"
    ),
    "summed by torch": metric(
        'self.add_state("total", torch.tensor(0.0))',
        "self.total += preds.sum()",
        "return torch.sum(self.total)",
    ),
    "looked at": metric(
        'self.add_state("total", torch.tensor(0.0))',
        "self.total += preds.sum()",
        "total = self.total\nif total.ndim:\n    total = total.sum()\nreturn total",
    ),
    "handed on": metric(
        'self.add_state("total", torch.tensor(0.0))',
        "self.total += preds.sum()",
        "return gathered(self.total)",
    ),
    "a function": metric(
        'self.add_state("total", torch.tensor(0.0), dist_reduce_fx=torch.sum)',
        "self.total += preds.sum()",
        "return self.total",
    ),
    "a name": metric(
        'self.add_state("total", torch.tensor(0.0), dist_reduce_fx=scale)',
        "self.total += preds.sum()",
        "return self.total",
    ),
    "unpacked": metric(
        'self.add_state("total", torch.tensor(0.0), **kwargs)',
        "self.total += preds.sum()",
        "return self.total",
    ),
    "set, not added": metric(
        'self.add_state("last", torch.tensor(0.0))', "self.last = preds.sum()", "return self.last"
    ),
    "in two ways": metric(
        'self.add_state("x", torch.tensor(0.0))',
        "self.x += preds.sum()\nself.x = torch.max(self.x, preds.max())",
        "return self.x",
    ),
    "Welford": metric(
        'self.add_state("mean", torch.tensor(0.0))\nself.add_state("n", torch.tensor(0), "sum")',
        "self.n += 1\nself.mean = self.mean + (preds - self.mean) / self.n",
        "return self.mean",
    ),
    "largest": metric(
        'self.add_state("top", torch.tensor(0.0), "max")',
        "self.top = torch.max(self.top, preds.max())",
        "return self.top",
    ),
    "batches of the longest": metric(
        'self.add_state("n", torch.tensor(0), "max")', "self.n += 1", "return self.n"
    ),
    "own sync": metric(
        'self.add_state("total", torch.tensor(0.0))',
        "self.total += preds.sum()",
        "return self.total",
        "def _sync_dist(self, *args, **kwargs):\n    pass",
    ),
    # Defaults.
    "zeros": metric(
        'self.add_state("x", torch.zeros(3).long(), "sum")',
        "self.x += preds.sum(0)",
        "return self.x.sum()",
    ),
    "a local default": metric(
        'zero = torch.tensor(0.0)\nself.add_state("x", zero, "sum")',
        "self.x += preds.sum()",
        "return self.x",
    ),
    "an unknown default": metric(
        'self.add_state("x", make(scale), "sum")', "self.x += preds.sum()", "return self.x"
    ),
    "by width": metric(
        'self.add_state("x", scale * torch.ones(2), "sum")',
        "self.x += preds.sum()",
        "return self.x",
    ),
    # Construction.
    "base by name": metric(SUMS, ADD, DIVIDE, begin="Metric.__init__(self)"),
    "super later": metric(
        "self.scale = scale\nsuper().__init__(**kwargs)\n" + SUMS, ADD, DIVIDE, begin=""
    ),
    "super in two words": metric(SUMS, ADD, DIVIDE, begin="super(Own, self).__init__()"),
    "by a helper": metric("start(self)\n" + SUMS, ADD, DIVIDE, begin=""),
    # compute
    "a local": metric(SUMS, ADD, "total = self.total / self.count\nreturn total"),
    "a result of its own": metric(
        SUMS + "self.value = None", ADD, "self.value = self.total / self.count\nreturn self.value"
    ),
    "a state it fills": metric(
        SUMS + 'self.add_state("mean", torch.tensor(0.0), "sum")',
        ADD,
        "self.mean = self.total / self.count\nreturn self.mean",
    ),
    "changed and reset": metric(
        SUMS,
        ADD,
        (
            "self.total /= self.count\nvalue = self.total.clone()\n"
            "self.total.zero_()\nself.count.zero_()\nreturn value"
        ),
    ),
    "reset, nothing joined": metric(
        SUMS, ADD, "value = self.total / self.count\nself.reset()\nreturn value"
    ),
    "an own reset in compute": metric(
        LIST,
        APPEND,
        "value = dim_zero_cat(self.errors).sum()\nself.reset()\nreturn value",
        "def reset(self):\n    self.errors = []",
    ),
    # reset
    "super reset": metric(SUMS + "self.last = None", ADD, DIVIDE, RESET + "self.last = None"),
    "all states": metric(
        SUMS,
        ADD,
        DIVIDE,
        "def reset(self):\n    self.total = torch.tensor(0.0)\n    self.count = torch.tensor(0)",
    ),
    "from the defaults": metric(
        SUMS,
        ADD,
        DIVIDE,
        (
            "def reset(self):\n"
            "    for name, value in self._defaults.items():\n"
            "        setattr(self, name, value)"
        ),
    ),
    "base reset by name": metric(SUMS, ADD, DIVIDE, "def reset(self):\n    Metric.reset(self)"),
    "a wrapper": metric(
        "self.inner = scale",
        "self.inner.update(preds, target)",
        "return self.inner.compute()",
        "def reset(self):\n    self.inner.reset()",
    ),
    # Scores.
    "accuracy": metric(
        SUMS,
        "self.total += accuracy_score(target, preds) * len(preds)\nself.count += len(preds)",
        DIVIDE,
    ),
    "a mean error": metric(
        SUMS, "self.total += mean_absolute_error(preds, target)\nself.count += 1", DIVIDE
    ),
    "of one query": metric(
        SUMS, "self.total += retrieval_average_precision(preds, target)\nself.count += 1", DIVIDE
    ),
    "per sample": metric(
        SUMS,
        (
            "for p, t in zip(preds, target):\n"
            "    self.total += roc_auc_score(t, p)\n    self.count += 1"
        ),
        DIVIDE,
    ),
    "the last score": metric(
        SUMS, "self.total = torch.tensor(roc_auc_score(target, preds))", "return self.total"
    ),
    "a sum of scores": metric(
        SUMS, "self.total += roc_auc_score(target, preds)", "return self.total"
    ),
    "once for all": metric(
        LIST,
        APPEND,
        "return torch.tensor(roc_auc_score(dim_zero_cat(self.errors), dim_zero_cat(self.errors)))",
    ),
    # Numbers.
    "added to": metric(
        SUMS,
        "self.total = self.total + preds.sum().item()\nself.count = self.count + len(target)",
        DIVIDE,
    ),
    "begun anew with a number": metric(
        SUMS, "if scale:\n    self.total = 0\nself.total += preds.sum()", "return self.total"
    ),
    "of the whole run": metric(
        "self.score_history = []",
        "self.score_history.append(preds)",
        "return self.score_history[-1]",
    ),
    "a number of its own": metric(
        SUMS + "self.last = 0.0", ADD + "\nself.last = preds.sum().item()", DIVIDE
    ),
    "a tensor of a number": metric(
        SUMS, "self.total = torch.tensor(preds.sum().item())", "return self.total"
    ),
}


@pytest.mark.parametrize("text", QUIET.values(), ids=QUIET)
def test_what_is_right_or_not_known_is_quiet(text: str, tmp_path: Path) -> None:
    assert [(d.code, d.message) for d in found(tmp_path, text)] == []


def test_what_others_empty_is_quiet(tmp_path: Path) -> None:
    own = metric(PLAIN_LIST, APPEND, JOINED)
    user = "def start(metric: Own):\n    metric.errors = []\n"
    assert found(tmp_path, own, user) == []
    assert [d.code for d in found(tmp_path, own, "def show(metric):\n    print(metric)\n")] == [
        "LM311"
    ]


USER = """
import lightning.pytorch as pl


class M(pl.LightningModule):
    def __init__(self, net):
        super().__init__()
        self.net = net
        self.error = Own()

    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.error{call}(self.net(x), y)
        self.log("val_error", self.error)
"""
BY_HAND = {
    "a list": (
        metric(PLAIN_LIST, APPEND, JOINED, "def reset(self):\n    self.errors = []\n"),
        "    def reset(self):\n        super().reset()\n\n",
    ),
    "cleared": (
        metric(PLAIN_LIST, APPEND, JOINED, RESET + "self.errors.clear()\n    self.last = None\n"),
        "    def reset(self):\n        super().reset()\n        self.last = None\n",
    ),
    "numbers": (
        metric(PLAIN, ADD, DIVIDE, RESET + "self.total = 0.0\n    self.count = 0\n"),
        "    def reset(self):\n        super().reset()\n\n",
    ),
}


@pytest.mark.parametrize(("own", "wanted"), BY_HAND.values(), ids=BY_HAND)
def test_a_reset_by_hand_is_not_enough_for_calls(own: str, wanted: str, tmp_path: Path) -> None:
    assert found(tmp_path, own, USER.format(call=".update")) == []
    (diagnostic,) = found(tmp_path, own, USER.format(call=""))
    assert diagnostic.code == "LM311"
    assert "calling the object keeps the last batch only" in diagnostic.message
    report = projects.fix(tmp_path, *CODES)
    assert not report.failed
    assert report.diagnostics == []
    text = (tmp_path / "own.py").read_text(encoding="utf-8")
    assert wanted in text
    assert "self.add_state(" in text


def test_one_finding_speaks_of_all_attributes(tmp_path: Path) -> None:
    (diagnostic,) = found(tmp_path, metric(PLAIN, ADD, DIVIDE))
    assert diagnostic.message.startswith("self.total and self.count of Own are no states")
    assert diagnostic.fix is not None
    assert diagnostic.fix.relation is Relation.CORRECTS


# What is written ----------------------------------------------------------------------------------


def fixed(tmp_path: Path, text: str) -> str:
    found(tmp_path, text)
    report = projects.fix(tmp_path, *CODES)
    assert not report.failures
    assert not report.failed
    assert report.diagnostics == []
    done = (tmp_path / "own.py").read_text(encoding="utf-8")
    compile(done, "own.py", "exec")
    return done


TOTAL = 'self.add_state("total", default=torch.tensor(0.0), dist_reduce_fx="sum")'
WRITTEN = {
    "numbers": (
        metric(PLAIN, ADD, DIVIDE),
        (
            f"        {TOTAL}\n"
            f'        self.add_state("count", default=torch.tensor(0), dist_reduce_fx="sum")\n'
        ),
    ),
    "two at once": (
        metric("self.total = self.count = 0", ADD, DIVIDE),
        (
            f"        {TOTAL}\n"
            f'        self.add_state("count", default=torch.tensor(0), dist_reduce_fx="sum")\n'
        ),
    ),
    "a whole number that floats are added to": (
        metric("self.total = 0", "self.total += preds.sum()", "return self.total"),
        TOTAL,
    ),
    "hits, which are counted": (
        metric("self.hits = 0", "self.hits += (preds == target).sum()", "return self.hits / 2"),
        'self.add_state("hits", default=torch.tensor(0), dist_reduce_fx="sum")',
    ),
    "hits in words": (
        metric(
            "self.hits = 0",
            "both = torch.logical_and(preds > 0, target > 0)\nself.hits += torch.sum(both).item()",
            "return self.hits / 2",
        ),
        'self.add_state("hits", default=torch.tensor(0), dist_reduce_fx="sum")',
    ),
    "a joined list": (metric(PLAIN_LIST, APPEND, JOINED), LIST),
    "a tensor that grows": (
        metric(
            "self.x = torch.tensor([])",
            "self.x = torch.cat([self.x, preds.float()])",
            "return self.x.median()",
        ),
        'self.add_state("x", default=[], dist_reduce_fx="cat")',
    ),
    "a tensor that grew": (
        metric(
            "self.x = torch.empty(0)",
            "self.x = torch.cat((self.x, preds.sigmoid()))",
            "return self.x.median()",
        ),
        "        self.x.append(preds.sigmoid())\n\n    def compute(self):\n"
        "        return dim_zero_cat(self.x).median()\n",
    ),
    "a score of all data": (
        metric(
            SUMS,
            "self.total += auroc(preds, target, task='binary')\nself.count += 1",
            DIVIDE,
        ),
        "return auroc(dim_zero_cat(self.preds), dim_zero_cat(self.target), task='binary')",
    ),
    "an input worked on": (
        metric(
            SUMS,
            "self.total += float(f1_score(target.cpu(), preds.argmax(1).cpu(), average='macro'))\n"
            "self.count += 1",
            DIVIDE,
        ),
        "        self.target.append(target)\n        self.preds.append(preds.argmax(1))\n",
    ),
    "a stacked list": (
        metric(
            PLAIN_LIST, "self.errors.append(preds.mean())", "return torch.stack(self.errors).mean()"
        ),
        'self.add_state("errors", default=[], dist_reduce_fx=None)',
    ),
    "a buffer": (
        metric(
            'self.register_buffer("total", torch.zeros(3))',
            "self.total += preds.sum(0)",
            "return self.total.sum()",
        ),
        'self.add_state("total", default=torch.zeros(3), dist_reduce_fx="sum", persistent=True)',
    ),
    "a growing state": (
        metric(
            'self.add_state("x", torch.tensor([], dtype=torch.long))',
            "self.x = torch.cat([self.x, target])",
            "return self.x.sum()",
        ),
        'self.add_state("x", [], dist_reduce_fx="cat")',
    ),
    "an appended state": (
        metric(
            'self.add_state("x", torch.tensor([]), "sum")',
            "self.x = torch.cat([self.x, preds.float()])",
            "return self.x.sum()",
        ),
        "        self.x.append(preds.float())\n",
    ),
    "a name for dim_zero_cat": (
        metric(LIST, APPEND, JOINED),
        "return dim_zero_cat(self.errors).median()",
    ),
    "a reduction by position": (
        metric(
            'self.add_state("top", torch.tensor(0.0), "sum")',
            "self.top = torch.max(self.top, preds.max())",
            "return self.top",
        ),
        'self.add_state("top", torch.tensor(0.0), "max")',
    ),
    "a reduction behind a flag": (
        metric(
            'self.add_state("total", torch.tensor(0.0), persistent=True)',
            "self.total += preds.sum()",
            "return self.total",
        ),
        'self.add_state("total", torch.tensor(0.0), persistent=True, dist_reduce_fx="sum")',
    ),
    "a negative default": (
        metric(
            'self.add_state("top", default=-1.0, dist_reduce_fx="max")',
            "self.top = torch.max(self.top, preds.max())",
            "return self.top",
        ),
        "default=torch.tensor(-1.0)",
    ),
    "what the base is given": (metric(SUMS, ADD, DIVIDE, begin=""), "super().__init__(**kwargs)"),
    "a product in brackets": (
        metric(SUMS, ADD, "self.total /= self.count + 1\nreturn self.total"),
        "        total = self.total / (self.count + 1)\n        return total\n",
    ),
    "a free name": (
        metric(SUMS, ADD, "total = 2\nself.total /= self.count\nreturn self.total * total"),
        "        total_value = self.total / self.count\n        return total_value * total\n",
    ),
    "a number made a tensor": (
        metric(SUMS, "self.total = self.total.item() + preds.sum().item()", "return self.total"),
        "self.total = self.total.new_tensor(self.total.item() + preds.sum().item())",
    ),
}


@pytest.mark.parametrize(("text", "wanted"), WRITTEN.values(), ids=WRITTEN)
def test_the_state_is_kept_as_a_metric_keeps_it(text: str, wanted: str, tmp_path: Path) -> None:
    assert wanted in fixed(tmp_path, text)


BLOCKED = {
    "a dict": metric("self.seen = {}", "self.seen[0] += 1", "return self.seen[0]"),
    "arrays": metric(
        "self.seen = []",
        "self.seen.append(preds.numpy())",
        "return np.concatenate(self.seen).mean()",
    ),
    "vectors": metric("self.total = 0", "self.total += preds.abs()", "return self.total"),
    "half of a quotient": metric(
        "self.total = 0.0\nself.seen = []",
        "self.total += preds.sum()\nself.seen.extend(target)",
        "return self.total / len(self.seen)",
    ),
    "before super": metric(
        "self.total = 0.0\nsuper().__init__()",
        "self.total += preds.sum()",
        "return self.total",
        begin="",
    ),
    "a growing state that is asked for": metric(
        'self.add_state("x", torch.tensor([]))',
        "self.x = torch.cat([self.x, preds])",
        "if self.x.numel() == 0:\n    return 0\nreturn self.x.sum()",
    ),
    "scores of arrays": metric(
        SUMS, "self.total += roc_auc_score(target, preds)\nself.count += 1", DIVIDE
    ),
    "a score with a name": metric(
        SUMS,
        "score = auroc(preds, target, task='binary')\nself.total += score\nself.count += 1",
        DIVIDE,
    ),
    "scores that are scaled": metric(
        SUMS,
        "self.total += auroc(preds, target, task='binary')\nself.count += 1",
        "return 100 * self.total / self.count",
    ),
    "a score beside others": metric(
        SUMS + 'self.add_state("other", torch.tensor(0.0), "sum")',
        "self.total += auroc(preds, target, task='binary')\nself.count += 1\n"
        "self.other += self.total",
        DIVIDE,
    ),
    "scores of some batches": metric(
        SUMS,
        "if target.any():\n    self.total += auroc(preds, target, task='binary')\n"
        "    self.count += 1",
        DIVIDE,
    ),
    "new values in front": metric(
        'self.add_state("x", torch.tensor([]))',
        "self.x = torch.cat([preds, self.x])",
        "return self.x.sum()",
    ),
    "joined side by side": metric(LIST, APPEND, "return torch.cat(self.errors, dim=1).median()"),
    "under a condition": metric(
        SUMS, ADD, "if self.count:\n    self.total /= self.count\nreturn self.total"
    ),
    "no number": metric('self.add_state("x", default={})'),
}


@pytest.mark.parametrize("text", BLOCKED.values(), ids=BLOCKED)
def test_what_needs_a_person_is_left(text: str, tmp_path: Path) -> None:
    diagnostics = found(tmp_path, text)
    assert diagnostics
    for diagnostic in diagnostics:
        assert diagnostic.fix is None, diagnostic.fix
        assert diagnostic.blocked


def test_a_state_of_unknown_type_is_assumed_to_hold_floats(tmp_path: Path) -> None:
    text = metric(
        'self.add_state("x", torch.tensor([]))',
        "self.x = torch.cat([self.x, preds == target])",
        "return self.x.mean()",
    )
    (diagnostic,) = found(tmp_path, text)
    assert diagnostic.fix is not None
    assert diagnostic.fix.relation is Relation.ASSUMES


# Objects that steps make --------------------------------------------------------------------------

MODULE = """\
import torch
import torchmetrics
import lightning.pytorch as pl
from torchmetrics import Accuracy, F1Score, MeanMetric, MetricCollection


class M(pl.LightningModule):
    def __init__(self, net, classes=3):
        super().__init__()
        self.net = net
        self.classes = classes
        self.kept = MeanMetric()

"""


def steps(tmp_path: Path, body: str) -> list[Diagnostic]:
    text = MODULE + indent(dedent(body).strip("\n"), "    ") + "\n"
    (tmp_path / "model.py").write_text(text, encoding="utf-8")
    report = projects.check(tmp_path, "LM102", "LM103", "LM321")
    assert not report.failures, report.failures
    return report.diagnostics


LOGGED = """
def validation_step(self, batch, batch_idx):
    x, y = batch
    f1 = F1Score(task="multiclass", num_classes=self.classes, average="macro").to(self.device)
    f1.update(self.net(x), y)
    self.log("val_f1", f1)
"""


def test_a_local_object_that_is_logged_is_found(tmp_path: Path) -> None:
    assert [d.code for d in steps(tmp_path, LOGGED)] == ["LM321"]


KEPT = {
    "an attribute": LOGGED.replace("f1.update", "self.kept.update").replace(
        ", f1)", ", self.kept)"
    ),
    "an alias of an attribute": LOGGED.replace(
        "f1 = F1Score", "f1 = self.kept\nother = F1Score"
    ).replace("\nother", "\n    other"),
    "its value, of a mean": LOGGED.replace("F1Score", "Accuracy")
    .replace(', average="macro"', ', average="micro"')
    .replace('log("val_f1", f1)', 'log("loss", f1.compute())'),
    "made elsewhere": LOGGED.replace("f1 = F1Score", "f1 = make"),
    "found by name": LOGGED.replace(", f1)", ', f1, metric_attribute="f1")'),
    "also an attribute": LOGGED.replace("    self.log", "    self.f1 = f1\n    self.log"),
    "registered": LOGGED.replace("    self.log", '    self.add_module("f1", f1)\n    self.log'),
    "handed in": (
        "def validation_step(self, batch, batch_idx):\n"
        "    self.show(MeanMetric)\n\ndef show(self, metric):\n"
        "    self.log('a', metric)"
    ),
}


@pytest.mark.parametrize("body", KEPT.values(), ids=KEPT)
def test_objects_of_the_module_are_quiet(body: str, tmp_path: Path) -> None:
    assert "LM321" not in [d.code for d in steps(tmp_path, body)]


CALLED = LOGGED.replace("    f1.update(self.net(x), y)\n", "").replace(
    ", f1)", ", f1(self.net(x), y))"
)
MADE = {
    "logged": (
        LOGGED,
        '        self.val_f1.update(self.net(x), y)\n        self.log("val_f1", self.val_f1)\n',
    ),
    "called": (
        CALLED,
        '        self.val_f1(self.net(x), y)\n        self.log("val_f1", self.val_f1)\n',
    ),
    "computed": (
        LOGGED.replace(", f1)", ", f1.compute())"),
        '        self.val_f1.update(self.net(x), y)\n        self.log("val_f1", self.val_f1)\n',
    ),
    "in one expression": (
        (
            "def validation_step(self, batch, batch_idx):\n"
            "    x, y = batch\n"
            '    self.log("auc", torchmetrics.AUROC(task="binary")(self.net(x), y))'
        ),
        '        self.val_auc(self.net(x), y)\n        self.log("auc", self.val_auc)\n',
    ),
    "named first": (
        CALLED.replace(
            'self.log("val_f1", f1(self.net(x), y))',
            'score = f1(self.net(x), y)\n    self.log("val_f1", score)\n    return score',
        ),
        (
            "        score = self.val_f1(self.net(x), y)\n"
            '        self.log("val_f1", self.val_f1)\n'
            "        return score\n"
        ),
    ),
}


@pytest.mark.parametrize(("body", "wanted"), MADE.values(), ids=MADE)
def test_the_module_keeps_the_object(body: str, wanted: str, tmp_path: Path) -> None:
    steps(tmp_path, body)
    report = projects.fix(tmp_path, "LM102", "LM103", "LM321")
    assert not report.failed
    assert report.diagnostics == []
    text = (tmp_path / "model.py").read_text(encoding="utf-8")
    assert wanted in text
    assert "self.val_" in text.partition("def validation_step")[0]
    assert ".to(" not in text


LEFT = {
    "a size of the batch": LOGGED.replace("self.classes", "y.max() + 1"),
    "in two loops": LOGGED.replace("validation_step", "_step")
    + (
        "\ndef training_step(self, b, i):\n    self._step(b, i)\n\n"
        "def validation_step(self, b, i):\n    self._step(b, i)"
    ),
    "several loaders": LOGGED.replace("batch_idx)", "batch_idx, dataloader_idx)"),
    "in a loop": LOGGED.replace("    self.log", "    for _ in range(2):\n        self.log"),
    "under a condition": LOGGED.replace("    f1 = ", "    if batch_idx:\n        f1 = "),
    "reset in between": LOGGED.replace("    self.log", "    f1.reset()\n    self.log"),
    "a key that is not known": LOGGED.replace('"val_f1"', 'f"{batch_idx}"'),
}


@pytest.mark.parametrize("body", LEFT.values(), ids=LEFT)
def test_an_object_that_one_attribute_cannot_stand_for_is_left(body: str, tmp_path: Path) -> None:
    for diagnostic in steps(tmp_path, body):
        assert diagnostic.fix is None, diagnostic.fix
        assert diagnostic.blocked


# What update answers ------------------------------------------------------------------------------

ANSWERS = {
    "logged": (True, 'self.log("a", self.kept.update(batch))'),
    "logged by name": (True, 'self.log("a", value=self.kept.update(batch))'),
    "named and logged": (True, 'value = self.kept.update(batch)\nself.log("a", value)'),
    "reckoned with": (True, "return self.kept.update(batch) * 2"),
    "its item": (True, "return self.kept.update(batch).item()"),
    "not used": (False, "self.kept.update(batch)"),
    "named in vain": (False, "value = self.kept.update(batch)"),
    "returned": (False, "return self.kept.update(batch)"),
    "called": (False, 'self.log("a", self.kept(batch))'),
    "asked for": (False, "value = self.kept.update(batch)\nif value is None:\n    pass"),
    "of a dict": (False, "self.hparams.update(lr=1)"),
    "set anew": (False, "value = self.kept.update(batch)\nvalue = 2\nself.log('a', value)"),
}


@pytest.mark.parametrize(("is_used", "body"), ANSWERS.values(), ids=ANSWERS)
def test_the_answer_of_update_is_none(is_used: bool, body: str, tmp_path: Path) -> None:
    text = MODULE + "    def validation_step(self, batch, batch_idx):\n" + indent(body, " " * 8)
    (tmp_path / "model.py").write_text(text + "\n", encoding="utf-8")
    report = projects.check(tmp_path, "LM323")
    assert not report.failures, report.failures
    assert [d.code for d in report.diagnostics] == ["LM323"] * is_used
