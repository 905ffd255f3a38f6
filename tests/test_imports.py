"""What fixes leave of a file's imports: nothing unread, and one line for one module."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest
from projects import fix, written

MODEL = """\
{docstring}import lightning.pytorch as pl
import torch
{imports}

class Net(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.fc = torch.nn.Linear(4, 3)

    def validation_step(self, batch, batch_idx):
        x, y = batch
        guess = self.fc(x).argmax(1)
        self.log("val_p", precision(guess, y, task="multiclass", num_classes=3, average="macro"))
        self.log("val_f", f1_score(guess, y, task="multiclass", num_classes=3, average="macro"))
"""
BOTH = "from torchmetrics.functional import f1_score, precision\n"


def _fixed(folder: Path, source: str) -> str:
    fix(written(folder, {"net.py": source}))
    return (folder / "net.py").read_text(encoding="utf-8")


def _imports(tmp_path: Path, imports: str = BOTH, docstring: str = "") -> list[str]:
    after = _fixed(tmp_path, MODEL.format(imports=imports, docstring=docstring))
    return [line for line in after.splitlines() if "import" in line and "metrics" in line]


def test_two_fixes_that_import_from_one_module_share_a_line(tmp_path: Path) -> None:
    assert _imports(tmp_path) == ["from torchmetrics import F1Score, Precision"]


def test_a_word_in_a_docstring_is_no_reader(tmp_path: Path) -> None:
    found = _imports(tmp_path, docstring='"""Logs precision and f1_score of each batch."""\n')
    assert found == ["from torchmetrics import F1Score, Precision"]


@pytest.mark.parametrize(
    ("own", "left"),
    [
        (
            "from torchmetrics import Accuracy",
            "from torchmetrics import Accuracy, F1Score, Precision",
        ),
        ("from torchmetrics import MeanMetric, Accuracy", None),
        ("from torchmetrics import (Accuracy,)", None),
        ("from torchmetrics import Accuracy  # the old one", None),
    ],
)
def test_what_the_author_wrote_is_joined_only_when_it_is_a_plain_sorted_line(
    tmp_path: Path, own: str, left: str | None
) -> None:
    """Whatever is read must stay importable; an author's own layout is not undone."""
    source = MODEL.format(imports=BOTH + own + "\nprint(Accuracy)\n", docstring="")
    after = _fixed(tmp_path, source)
    if left is None:
        assert own in after or "MeanMetric, Accuracy, " in after
    else:
        assert left in after.splitlines()


LONG = ["MeanAbsoluteError", "MeanAbsolutePercentageError", "MeanSquaredLogError"]


def test_a_line_that_would_be_too_long_becomes_a_column(tmp_path: Path) -> None:
    own = f"from torchmetrics import {', '.join(LONG)}\n"
    source = MODEL.format(imports=BOTH + own + f"\nprint({', '.join(LONG)})\n", docstring="")
    column = "".join(f"    {name},\n" for name in ("F1Score", *LONG, "Precision"))
    assert f"from torchmetrics import (\n{column})\n" in _fixed(tmp_path, source)


def test_a_column_of_the_authors_gets_the_names_in_their_order(tmp_path: Path) -> None:
    own = "from torchmetrics import (\n    Accuracy,\n    MeanMetric,\n)\n"
    source = MODEL.format(imports=BOTH + own + "\nprint(Accuracy, MeanMetric)\n", docstring="")
    column = "    Accuracy,\n    F1Score,\n    MeanMetric,\n    Precision,\n"
    after = _fixed(tmp_path, source)
    assert f"from torchmetrics import (\n{column})\n" in after
    assert after.count("from torchmetrics import") == 1


def test_a_column_with_a_comment_is_left(tmp_path: Path) -> None:
    own = "from torchmetrics import (\n    Accuracy,  # old\n    MeanMetric,\n)\n"
    source = MODEL.format(imports=BOTH + own + "\nprint(Accuracy, MeanMetric)\n", docstring="")
    assert own in _fixed(tmp_path, source)


def test_a_string_annotation_is_a_reader(tmp_path: Path) -> None:
    source = MODEL.format(imports=BOTH + "from typing import Callable\n", docstring="")
    source += "\n\nCHECKS: 'dict[str, precision]' = {}\n"
    after = _fixed(tmp_path, source)
    assert "from torchmetrics.functional import precision" in after.splitlines()


def test_torchmetrics_is_named_in_one_way(tmp_path: Path) -> None:
    source = """
    import pytorch_lightning as pl
    import torch
    import torch.nn.functional as F
    from pytorch_lightning import metrics


    class Model(pl.LightningModule):
        def __init__(self, num_classes=3):
            super().__init__()
            self.mse = pl.metrics.MeanSquaredError()
            self.f1 = metrics.F1(num_classes=num_classes)

        def validation_step(self, batch, batch_idx):
            x, y = batch
            self.log("ppl", torch.exp(F.cross_entropy(x, y)))
    """
    after = _fixed(tmp_path, dedent(source))
    assert [line for line in after.splitlines() if "import" in line and "metrics" in line] == [
        "import torchmetrics"
    ]
    for made in ("MeanSquaredError()", "F1Score(", "MeanMetric()"):
        assert f"torchmetrics.{made}" in after


def test_how_the_author_names_torchmetrics_is_kept(tmp_path: Path) -> None:
    source = """
    import pytorch_lightning as pl
    import torch
    import torch.nn.functional as F
    import torchmetrics as tm
    from pytorch_lightning.metrics import MeanSquaredError
    from torchmetrics import MeanAbsoluteError


    class Model(pl.LightningModule):
        def __init__(self):
            super().__init__()
            self.mse = MeanSquaredError()
            self.mae = MeanAbsoluteError()
            self.error = tm.MeanSquaredLogError()

        def validation_step(self, batch, batch_idx):
            x, y = batch
            self.log("ppl", torch.exp(F.cross_entropy(x, y)))
    """
    after = _fixed(tmp_path, dedent(source))
    assert "import torchmetrics as tm" in after.splitlines()
    assert "self.mae = MeanAbsoluteError()" in after
    assert "tm.MeanMetric()" in after
