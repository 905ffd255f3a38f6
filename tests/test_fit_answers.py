"""What fit answers is None, and code that goes on with it is found."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import projects
import pytest

HEAD = "import lightning.pytorch as pl\n\ntrainer = pl.Trainer()\n"


def found(tmp_path: Path, text: str) -> list[str]:
    projects.written(tmp_path, {"main.py": HEAD + dedent(text).strip("\n") + "\n"})
    report = projects.check(tmp_path, "LM218")
    assert not report.failures, report.failures
    return [f"{d.consequence.value}: {d.message}" for d in report.diagnostics]


FOUND = {
    "done = trainer.fit(model)\nassert done == 1": (
        "crash: trainer.fit() answers None, and it is compared with 1: AssertionError"
    ),
    "assert trainer.fit(model)": "crash: trainer.fit() answers None, and it is asserted",
    "done = trainer.fit(model)\nprint(done.history)": (
        "crash: trainer.fit() answers None, and its history is asked for: AttributeError"
    ),
    "loss = trainer.fit(model)['loss']": "crash: trainer.fit() answers None, and an item of it",
    "a, b = trainer.fit(model)": "crash: trainer.fit() answers None, and it is taken apart",
    "for loss in trainer.fit(model):\n    pass": "crash: trainer.fit() answers None, and it is ta",
    "def f():\n    done = pl.Trainer().fit(model)\n    return done > 0": (
        "crash: pl.Trainer().fit() answers None, and it is compared with 0: TypeError"
    ),
    "if trainer.fit(model):\n    pass": (
        "ignored: trainer.fit() answers None, and a condition asks for it, which is never true"
    ),
    "done = trainer.fit(model)\nif not done:\n    raise ValueError": "ignored: trainer.fit() ans",
    "done = trainer.fit(model)\nok = done == 1": (
        "ignored: trainer.fit() answers None, and it is compared with 1, which is always False"
    ),
    "done = trainer.fit(model)\nif done != 1:\n    raise ValueError": "ignored: trainer.fit() ans",
}


@pytest.mark.parametrize("text", list(FOUND))
def test_a_use_of_the_answer_is_found(text: str, tmp_path: Path) -> None:
    (message,) = found(tmp_path, text)
    assert message.startswith(FOUND[text])


@pytest.mark.parametrize(
    "text",
    [
        "trainer.fit(model)",
        "def f():\n    return trainer.fit(model)",
        "done = trainer.fit(model)\nprint(done)",
        "done = trainer.fit(model)\nassert done is None",
        "done = trainer.fit(model)\nassert done == None",
        "done = trainer.fit(model)\ndone = 1\nassert done == 1",
        "done = trainer.test(model)\nassert done[0]['loss'] < 1",
        "def f(trainer):\n    assert trainer.fit(model) == 1",
        "estimator = make()\nestimator.fit(x).predict(x)",
        "class Mine(pl.Trainer):\n    def fit(self, model):\n        return 1\n\n\n"
        "assert Mine().fit(model) == 1",
        "import sys\n\nsys.exit(trainer.fit(model))",
        "run = [lambda: trainer.fit(model)]",
        "import pytest\n\n\ndef test():\n    with pytest.raises(ValueError):\n"
        "        trainer.fit(model)",
    ],
)
def test_what_does_no_harm_is_quiet(text: str, tmp_path: Path) -> None:
    assert found(tmp_path, text) == []
