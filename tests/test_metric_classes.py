"""Custom metrics: states that are declared, filled, reduced, computed and reset as Metric wants."""

from __future__ import annotations

from pathlib import Path

import projects
import pytest
from metric_texts import (
    ADD,
    APPEND,
    CODES,
    DIVIDE,
    JOINED,
    LIST,
    MEDIAN,
    PLAIN,
    PLAIN_LIST,
    SUMS,
    found,
    metric,
)

from lintmetrics.codemod import Relation

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
