"""States that each update replaces are found where a sum is declared, and nowhere else."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent, indent

import projects
import pytest

CLASS = """\
import torch
from torchmetrics import Metric


class Mine(Metric):
    {flag}
    def __init__(self):
        super().__init__()
        self.add_state("n", default=torch.tensor(0.0), dist_reduce_fx={reduction})

    def update(self, x, y):
{update}

    def compute(self):
        return {answer}
"""


def found(
    tmp_path: Path,
    update: str,
    reduction: str = '"sum"',
    flag: str = "",
    answer: str = "self.n",
) -> list[str]:
    body = indent(dedent(update).strip("\n"), " " * 8)
    text = CLASS.format(update=body, reduction=reduction, flag=flag, answer=answer)
    projects.written(tmp_path, {"mine.py": text})
    report = projects.check(tmp_path, "LM324")
    assert not report.failures, report.failures
    return [d.message for d in report.diagnostics]


@pytest.mark.parametrize(
    "update",
    [
        "self.n = x.sum()",
        "total = (x - y).sum()\nself.n = total",
        "k, self.n = self.counted(x, y)",
        "self.n = self.n_of(x)",
    ],
)
def test_a_sum_of_the_last_batch_is_found(update: str, tmp_path: Path) -> None:
    assert found(tmp_path, update) == [
        "each update replaces self.n of Mine, which is declared as a sum: compute() is that of "
        "the last batch"
    ]


def test_a_class_that_looks_at_its_state_is_found(tmp_path: Path) -> None:
    assert len(found(tmp_path, "self.n = x.sum()", flag="full_state_update = True\n")) == 1


QUIET = {
    "added": "self.n += x.sum()",
    "added at length": "self.n = self.n + x.sum()",
    "added by a function": "self.n = torch.add(self.n, x.sum())",
    "made of the old one": "n = self.n\nself.n = n + x.sum()",
    "in a helper": "self.n = self.more(self.n, x)",
    "by the object": "self.n = more(self, x)",
    "added in place": "self.n.add_(x.sum())",
    "in some batches": "if x.sum() > 0:\n    self.n = x.sum()",
    "set and added": "self.n = x.sum()\nself.n += y.sum()",
    "a constant": "self.n = torch.tensor(1.0)",
    "another attribute": "self.last = x.sum()",
    "never": "print(x)",
}


@pytest.mark.parametrize("case", list(QUIET))
def test_what_adds_up_is_quiet(case: str, tmp_path: Path) -> None:
    assert found(tmp_path, QUIET[case]) == []


@pytest.mark.parametrize("reduction", ["None", '"mean"', '"max"', '"cat"', "torch.sum"])
def test_what_is_no_sum_may_be_the_last(reduction: str, tmp_path: Path) -> None:
    assert found(tmp_path, "self.n = x.sum()", reduction) == []


def test_a_call_adds_up_where_the_state_need_not_be_known(tmp_path: Path) -> None:
    assert found(tmp_path, "self.n = x.sum()", flag="full_state_update = False\n") == []
    assert found(tmp_path, "self.n = x.sum()", flag="full_state_update = quick()\n") == []


def test_a_state_that_compute_does_not_read_is_quiet(tmp_path: Path) -> None:
    assert found(tmp_path, "self.n = x.sum()", answer="torch.tensor(0.0)") == []
