"""States of custom metrics as the fixer writes them, and what it leaves to a person."""

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
    PLAIN,
    PLAIN_LIST,
    SUMS,
    found,
    metric,
)

from lintmetrics.codemod import Relation


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
