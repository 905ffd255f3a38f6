"""Cases that reading reports on real packages brought up: old metric names, calls and imports."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from textwrap import dedent

import projects
import pytest

from lintmetrics import runner
from lintmetrics.codemod import Relation

CODES = ("LM301", "LM302", "LM303", "LM304", "LM305")
SAFE = frozenset((Relation.PRESERVES, Relation.CORRECTS))


def fixed(folder: Path, text: str, relations: frozenset[Relation] = projects.ALL) -> str:
    """Return a module after its fixes."""
    projects.written(folder, {"model.py": text})
    projects.fix(folder, *CODES, relations=relations)
    return (folder / "model.py").read_text(encoding="utf-8")


def test_a_call_through_a_gone_package_is_one_finding(tmp_path: Path) -> None:
    projects.written(
        tmp_path,
        {
            "model.py": """
            import pytorch_lightning as pl

            acc = pl.metrics.Accuracy(num_classes=7)
            """
        },
    )
    report = projects.check(tmp_path, *CODES)
    assert projects.codes(report) == ["LM301"]
    assert "and Accuracy requires task" in report.diagnostics[0].message
    assert 'task="multiclass"' in report.diagnostics[0].help
    projects.fix(tmp_path, *CODES)
    assert "torchmetrics.Accuracy(task='multiclass', num_classes=7)" in (
        (tmp_path / "model.py").read_text().replace('"', "'")
    )
    assert projects.codes(projects.check(tmp_path, *CODES)) == []


def test_a_call_through_an_import_keeps_a_finding_of_its_own(tmp_path: Path) -> None:
    projects.written(
        tmp_path,
        {
            "model.py": """
            from pytorch_lightning.metrics import Accuracy

            acc = Accuracy(num_classes=7)
            """
        },
    )
    assert projects.codes(projects.check(tmp_path, *CODES)) == ["LM301", "LM302"]


def test_a_function_that_is_handed_on_uncalled_is_not_called_safe(tmp_path: Path) -> None:
    old = """
    import pytorch_lightning as pl

    SCORES = {"iou": pl.metrics.functional.iou, "mse": pl.metrics.functional.mean_squared_error}
    """
    for relations in (SAFE, projects.ALL):
        new = fixed(tmp_path, old, relations)
        assert "pl.metrics.functional.iou" in new
        assert '"mse": torchmetrics.functional.mean_squared_error' in new


def test_calls_through_a_value_that_holds_a_function_are_called_as_the_function_is(
    tmp_path: Path,
) -> None:
    new = fixed(
        tmp_path,
        """
        from functools import partial

        import pytorch_lightning as pl
        import torch.nn.functional as F
        from pytorch_lightning.metrics.functional import accuracy, f1, precision


        class Model(pl.LightningModule):
            fn = staticmethod(f1)

            def __init__(self):
                super().__init__()
                self.score = accuracy
                self.bound = partial(precision, num_classes=3)

            def validation_step(self, batch, batch_idx):
                x, y = batch
                p = self(x)
                self.log("loss", F.cross_entropy(p, y))
                self.log("acc", self.score(p, y))
                self.log("prec", self.bound(p, y))
                return self.fn(p, y, num_classes=3)
        """,
    )
    assert "from torchmetrics.functional import accuracy, f1_score, precision" in new
    assert "fn = staticmethod(f1_score)" in new
    assert 'self.score(p, y, task="multiclass", num_classes=p.shape[1])' in new
    assert 'partial(precision, num_classes=3, task="multiclass")' in new
    assert 'self.fn(p, y, num_classes=3, task="multiclass")' in new


def test_what_is_called_out_of_sight_is_told_where_it_is_named_and_nothing_is_renamed(
    tmp_path: Path,
) -> None:
    text = """
        import pytorch_lightning as pl
        from pytorch_lightning.metrics.functional import accuracy, f1


        class Model(pl.LightningModule):
            table = {"f1": f1}

            def __init__(self):
                super().__init__()
                self.several = [accuracy]

            def validation_step(self, batch, batch_idx):
                for name, score in self.table.items():
                    self.log(name, score(*batch))
        """
    assert fixed(tmp_path, text) == dedent(text)
    found = projects.check(tmp_path, "LM301", "LM302").diagnostics
    assert [(item.code, item.start.line) for item in found] == [
        ("LM301", 3), ("LM302", 7), ("LM302", 11)
    ]  # fmt: skip
    assert all("bind it where it is named" in item.blocked for item in found)


def test_a_function_that_is_told_its_task_by_whoever_calls_it_is_left_alone(
    tmp_path: Path,
) -> None:
    text = """
        from functools import partial

        from torchmetrics.functional import accuracy, f1_score

        TABLE = {"acc": accuracy}
        BOUND = partial(f1_score, task="multiclass", num_classes=3)
        LATER = partial(f1_score, num_classes=3)


        def scores(p, y):
            yield LATER(p, y, task="multiclass")
            for name, score in TABLE.items():
                yield name, score(p, y, task="binary")
        """
    assert fixed(tmp_path, text) == dedent(text)
    assert not projects.check(tmp_path, "LM302").diagnostics


def test_a_class_that_is_only_named_moves_safely(tmp_path: Path) -> None:
    new = fixed(
        tmp_path,
        """
        import pytorch_lightning as pl


        def describe(metric: pl.metrics.F1) -> str:
            return "F1" if isinstance(metric, pl.metrics.F1) else "other"
        """,
        SAFE,
    )
    assert "pl.metrics" not in new
    assert new.count("torchmetrics.F1Score") == 2


def test_a_name_with_a_fallback_that_works_is_not_gone(tmp_path: Path) -> None:
    text = """
    try:
        from pytorch_lightning.metrics import MeanSquaredError
    except ImportError:
        from torchmetrics import MeanSquaredError

    mse = MeanSquaredError()
    """
    assert fixed(tmp_path, text) == dedent(text)
    assert not projects.check(tmp_path, *CODES).diagnostics


def test_a_fallback_that_fails_too_is_found_and_keeps_its_name(tmp_path: Path) -> None:
    new = fixed(
        tmp_path,
        """
        try:
            from pytorch_lightning.metrics import F1
        except ImportError:
            from torchmetrics import F1

        f1 = F1(num_classes=5)
        """,
    )
    assert "    from pytorch_lightning.metrics import F1\n" in new
    assert "    from torchmetrics import F1Score as F1\n" in new
    assert "F1(task='multiclass', num_classes=5)" in new.replace('"', "'")


def test_an_old_fallback_of_a_new_import_is_left_alone(tmp_path: Path) -> None:
    text = """
    try:
        from torchmetrics import F1Score
    except ImportError:
        from pytorch_lightning.metrics import F1 as F1Score
    """
    assert fixed(tmp_path, text) == dedent(text)


IMPORTS = """
{imports}


class Net(LightningModule):
    def __init__(self, net):
        super().__init__()
        self.net = net
        self.criterion = torch.nn.CrossEntropyLoss()
        self.train_acc = {accuracy}

    def training_step(self, batch, batch_idx):
        x, y = batch
        scores = self.net(x)
        self.train_acc(torch.argmax(scores, dim=1), y)
        return self.criterion(scores, y)
"""


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            """
            import torch
            from pytorch_lightning import LightningModule
            from torchmetrics import Accuracy

            from mine.core import Base  # kept
            """,
            """
            import torch
            from pytorch_lightning import LightningModule
            from torchmetrics.classification import MulticlassAccuracy

            from mine.core import Base  # kept
            """,
        ),
        (
            """
            import os

            import torch
            from pytorch_lightning import LightningModule
            from pytorch_lightning.metrics import Accuracy
            from tqdm import tqdm

            from .core import Base
            """,
            """
            import os

            import torch
            from pytorch_lightning import LightningModule
            from torchmetrics.classification import MulticlassAccuracy
            from tqdm import tqdm

            from .core import Base
            """,
        ),
    ],
)
def test_an_import_stands_where_imports_are_sorted(tmp_path: Path, before: str, after: str) -> None:
    text = IMPORTS.format(imports=dedent(before).strip(), accuracy="Accuracy()")
    new = IMPORTS.format(
        imports=dedent(after).strip(), accuracy='MulticlassAccuracy(average="micro")'
    )
    assert fixed(tmp_path, text).replace("'", '"') == new.replace("'", '"')


def test_a_plain_import_stands_before_from_imports_and_behind_the_future(tmp_path: Path) -> None:
    new = fixed(
        tmp_path,
        """
        from __future__ import annotations
        from torch import nn
        import pytorch_lightning as pl

        from .layers import Block

        mse = pl.metrics.MeanSquaredError()
        """,
    )
    assert "from torch import nn\nimport torchmetrics\n\nfrom .layers" in new
    new = fixed(
        tmp_path,
        """
        from __future__ import annotations
        from torch import nn
        from pytorch_lightning import metrics

        mse = metrics.MeanSquaredError()
        """,
    )
    compile(new, "model.py", "exec")


def test_a_file_of_another_package_keeps_no_unread_import(tmp_path: Path) -> None:
    text = IMPORTS.format(
        imports="import torch\nfrom pytorch_lightning import LightningModule\n"
        "from torchmetrics import Accuracy",
        accuracy="Accuracy()",
    )
    other = "from base.model import Task\n\n\nclass Accuracy(Task):\n    pass\n"
    projects.written(tmp_path, {"other.py": other})
    assert "import Accuracy" not in fixed(tmp_path, text)


def test_an_import_that_another_file_reads_stays(tmp_path: Path) -> None:
    text = IMPORTS.format(
        imports="import torch\nfrom pytorch_lightning import LightningModule\n"
        "from torchmetrics import Accuracy",
        accuracy="Accuracy()",
    )
    for reader in (
        "from model import IMPORTS, \\\n    Accuracy\n",
        "from model import (\n    IMPORTS,\n    Accuracy,\n)\n",
        "from model import *\n",
    ):
        projects.written(tmp_path, {"other.py": reader})
        assert "from torchmetrics import Accuracy\n" in fixed(tmp_path, text), reader


def test_a_module_whose_members_are_looked_up_by_name_is_not_called_safe(tmp_path: Path) -> None:
    old = """
    import pytorch_lightning as pl

    NAMESPACE = pl.metrics.functional
    chosen = getattr(NAMESPACE, "mean_squared_error")
    """
    assert fixed(tmp_path, old, SAFE) == dedent(old)
    assert "NAMESPACE = torchmetrics.functional\n" in fixed(tmp_path, old)


def test_a_member_of_a_moved_module_moves_safely(tmp_path: Path) -> None:
    new = fixed(
        tmp_path,
        """
        import pytorch_lightning as pl

        name = pl.metrics.functional.mean_squared_error.__name__
        """,
        SAFE,
    )
    assert "name = torchmetrics.functional.mean_squared_error.__name__" in new


RETURNED = """
from torchmetrics import AUROC


class Task:
    def default_metric(self):
        return AUROC(compute_on_step=False)
"""


def test_a_metric_that_a_collection_may_name_is_not_called_safe(tmp_path: Path) -> None:
    other = """
    from torchmetrics import MetricCollection


    def collected(task):
        return MetricCollection(task.default_metric(), prefix="val_")
    """
    assert "AUROC(task=" in fixed(tmp_path, RETURNED, SAFE)
    projects.written(tmp_path, {"other.py": other})
    assert fixed(tmp_path, RETURNED, SAFE) == RETURNED
    (finding, *_) = projects.check(tmp_path, *CODES).diagnostics
    assert finding.fix is not None
    assert "BinaryAUROC" in finding.fix.message


def test_a_variable_in_a_collection_without_keys_is_not_called_safe(tmp_path: Path) -> None:
    text = """
    from torchmetrics import AUROC, MetricCollection

    auroc = AUROC(compute_on_step=False)
    metrics = MetricCollection({0})
    """
    lists = dedent(text.replace("{0}", "[auroc]"))
    assert fixed(tmp_path, lists, SAFE) == lists
    named = dedent(text.replace("{0}", '{"auroc": auroc}'))
    assert "AUROC(task=" in fixed(tmp_path, named, SAFE)


def test_a_note_speaks_only_of_what_is_written(tmp_path: Path) -> None:
    text = """
    from pytorch_lightning.metrics.functional import mean_squared_error

    by_place = mean_squared_error(scores, labels)
    """
    projects.written(tmp_path, {"model.py": text})
    (finding,) = projects.check(tmp_path, *CODES).diagnostics
    assert finding.fix is not None
    assert "preds" not in finding.fix.message
    projects.written(tmp_path, {"model.py": text.replace("scores,", "pred=scores, target=")})
    (finding, *_) = projects.check(tmp_path, "LM301").diagnostics
    assert finding.fix is not None
    assert "pred is preds" in finding.fix.message


def test_a_metric_that_a_base_names_by_its_class_is_not_called_safe(tmp_path: Path) -> None:
    text = """
    from torchmetrics import AUROC
    from core import Task


    class Binary(Task):
        def __init__(self, metrics=None):
            if metrics is None:
                metrics = AUROC(compute_on_step=False)
            super().__init__(metrics=metrics)
    """
    core = """
    class Task:
        def __init__(self, metrics):
            self.metrics = {{metrics.{0}: metrics}}
    """
    projects.written(tmp_path, {"core.py": core.format("__class__.__name__.lower()")})
    assert fixed(tmp_path, text, SAFE) == dedent(text)
    projects.written(tmp_path, {"core.py": core.format("key")})
    assert "AUROC(task=" in fixed(tmp_path, text, SAFE)


def test_a_star_import_of_today_hides_no_old_call(tmp_path: Path) -> None:
    new = fixed(
        tmp_path,
        """
        from torchmetrics import *

        accuracy = Accuracy(num_classes=3)
        f1 = F1(num_classes=3)
        error = MeanSquaredError()
        """,
    )
    assert new.startswith("\nimport torchmetrics\nfrom torchmetrics import *\n")
    assert 'accuracy = Accuracy(task="multiclass", num_classes=3)' in new.replace("'", '"')
    assert 'f1 = torchmetrics.F1Score(task="multiclass", num_classes=3)' in new.replace("'", '"')
    assert "error = MeanSquaredError()" in new


def test_of_two_findings_alike_the_one_with_a_fix_is_told_of_as_fixed(tmp_path: Path) -> None:
    text = "from torchmetrics import F1Score\n\nf = F1Score(num_classes=3, average='macro')\n"
    projects.written(tmp_path, {"model.py": text})
    (mended,) = projects.check(tmp_path, "LM302").diagnostics
    place = replace(mended.start, line=mended.start.line + 9)
    left = replace(mended, plans=(), fix=None, start=place)
    for first in ([mended, left], [left, mended]):
        assert runner._gone(first, [left], projects.ALL) == [mended]
