"""Texts of custom metrics, whole and in parts, and what is found in them."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent, indent

import projects

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
