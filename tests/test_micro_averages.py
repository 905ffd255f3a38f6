"""Scores that are the accuracy under another name are found, where that is certain."""

from __future__ import annotations

from pathlib import Path

import projects
import pytest

FOUND = {
    "a class": 'torchmetrics.F1Score(task="multiclass", num_classes=5)',
    "precision": 'torchmetrics.Precision(task="multiclass", num_classes=5)',
    "recall": 'torchmetrics.Recall("multiclass", num_classes=5)',
    "a weight of its own": 'torchmetrics.FBetaScore(task="multiclass", num_classes=5, beta=2.0)',
    "said": 'torchmetrics.F1Score(task="multiclass", num_classes=5, average="micro")',
    "of one task": (
        'torchmetrics.classification.MulticlassF1Score(num_classes=5, average="micro")'
    ),
    "a function": 'torchmetrics.functional.f1_score(p, y, task="multiclass", num_classes=5)',
    "under a key": '{"f1": torchmetrics.F1Score(task="multiclass", num_classes=5)}',
}


def found(tmp_path: Path, expression: str, name: str = "score") -> list[str]:
    text = f"import torchmetrics\n\n\ndef make(p, y, how, **more):\n    {name} = {expression}\n"
    (tmp_path / "model.py").write_text(text, encoding="utf-8")
    return projects.codes(projects.check(tmp_path, "LM121"))


@pytest.mark.parametrize("expression", FOUND.values(), ids=FOUND)
def test_a_score_that_is_the_accuracy_is_found(expression: str, tmp_path: Path) -> None:
    assert found(tmp_path, expression) == ["LM121"]


QUIET = {
    "another average": 'torchmetrics.F1Score(task="multiclass", num_classes=5, average="macro")',
    "no average": 'torchmetrics.F1Score(task="multiclass", num_classes=5, average=None)',
    "an average that is not known": (
        'torchmetrics.F1Score(task="multiclass", num_classes=5, average=how)'
    ),
    "two classes, and one of them scored": 'torchmetrics.F1Score(task="binary")',
    "labels": 'torchmetrics.F1Score(task="multilabel", num_labels=5)',
    "a task that is not known": "torchmetrics.F1Score(task=how, num_classes=5)",
    "the best of three": 'torchmetrics.F1Score(task="multiclass", num_classes=5, top_k=3)',
    "without one class": ('torchmetrics.F1Score(task="multiclass", num_classes=5, ignore_index=0)'),
    "more arguments": 'torchmetrics.F1Score(task="multiclass", num_classes=5, **more)',
    "the accuracy itself": 'torchmetrics.Accuracy(task="multiclass", num_classes=5)',
    "overlap": ('torchmetrics.JaccardIndex(task="multiclass", num_classes=5, average="micro")'),
    "the default of one task": "torchmetrics.classification.MulticlassF1Score(num_classes=5)",
    "a key that says so": (
        '{"f1_micro": torchmetrics.F1Score(task="multiclass", num_classes=5, average="micro")}'
    ),
}


@pytest.mark.parametrize("expression", QUIET.values(), ids=QUIET)
def test_other_scores_are_left_alone(expression: str, tmp_path: Path) -> None:
    assert found(tmp_path, expression) == []


def test_a_name_that_says_how_it_is_averaged_is_left_alone(tmp_path: Path) -> None:
    said = 'torchmetrics.F1Score(task="multiclass", num_classes=5, average="micro")'
    assert found(tmp_path, said, "micro_f1") == []


def test_an_old_call_is_found_before_it_is_told_its_task(tmp_path: Path) -> None:
    # A file whose fix brings a finding that it did not have is taken back.
    text = """
        import torch
        import torchmetrics

        f1 = torchmetrics.F1Score(num_classes=3)
        f1(torch.tensor([0, 1, 2, 2]), torch.tensor([0, 2, 2, 1]))
        """
    projects.written(tmp_path, {"model.py": text})
    assert "LM121" in projects.codes(projects.check(tmp_path))
    report = projects.fix(tmp_path)
    assert not report.failed
    assert projects.codes(report) == ["LM121"]
