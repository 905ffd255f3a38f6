"""Programs in the styles of many hands: what each of them taught the tool."""

from __future__ import annotations

from pathlib import Path

from projects import check, codes, fix, written

from lintmetrics.diagnostics import Report


def _messages(report: Report, code: str) -> list[str]:
    return [found.message for found in report.diagnostics if found.code == code]


def test_names_that_two_packages_give_by_star_are_told_apart(tmp_path: Path) -> None:
    written(
        tmp_path,
        {
            "train.py": """\
                from pytorch_lightning import *
                from torch.nn import *
                from torchmetrics import *
                from torchmetrics.functional import *

                class Net(LightningModule):
                    def __init__(self):
                        super().__init__()
                        self.f1 = F1Score(task="multiclass", num_classes=3, average="macro")

                    def validation_step(self, batch, batch_idx):
                        x, y = batch
                        self.log("f1", self.f1(x, y))
                        self.log("auc", auroc(x, y, task="binary"))
                """
        },
    )
    assert codes(check(tmp_path)) == ["LM102", "LM101"]


def test_a_star_of_an_unknown_package_may_hide_the_name(tmp_path: Path) -> None:
    written(
        tmp_path,
        {
            "train.py": """\
                from pytorch_lightning import LightningModule
                from torchmetrics.functional import *
                from ourlab.scores import *

                class Net(LightningModule):
                    def validation_step(self, batch, batch_idx):
                        x, y = batch
                        self.log("auc", auroc(x, y, task="binary"))
                """
        },
    )
    assert codes(check(tmp_path)) == []


def test_scores_of_each_class_are_no_means_of_batches(tmp_path: Path) -> None:
    written(
        tmp_path,
        {
            "train.py": """\
                import pytorch_lightning as pl
                from torchmetrics import functional as FM

                class Net(pl.LightningModule):
                    def validation_step(self, batch, batch_idx):
                        x, y = batch
                        each = FM.precision(x, y, task="multiclass", num_classes=3, average="none")
                        for name, value in zip(("cat", "dog", "cow"), each):
                            self.log(f"val/{name}", value)
                        self.log("val/first", each[0])
                """
        },
    )
    assert len(_messages(check(tmp_path), "LM101")) == 2


def test_metrics_by_stage_where_the_class_names_the_stages(tmp_path: Path) -> None:
    written(
        tmp_path,
        {
            "train.py": """\
                import pytorch_lightning as pl
                from torch import nn
                from torchmetrics import F1Score, MetricCollection

                class Net(pl.LightningModule):
                    stages = ("train", "val")

                    def __init__(self):
                        super().__init__()
                        scores = MetricCollection(
                            {"f1": F1Score(task="multiclass", num_classes=3, average="macro")}
                        )
                        self.scores = nn.ModuleDict(
                            {"m_" + s: scores.clone(prefix=s + "/") for s in self.stages}
                        )

                    def training_step(self, batch, batch_idx):
                        return self.common(batch, "train")

                    def validation_step(self, batch, batch_idx):
                        return self.common(batch, "val")

                    def common(self, batch, stage):
                        x, y = batch
                        found = self.scores["m_" + stage](x, y)
                        self.log_dict(found, on_step=False, on_epoch=True)
                        return x.mean()
                """
        },
    )
    assert codes(check(tmp_path)) == ["LM102"]


_LOADERS = """\
import pytorch_lightning as pl
from torch import nn
from torch.nn import functional as F
from torchmetrics import F1Score

class Net(pl.LightningModule):
    names = ["seen", "unseen"]

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(5, 3)
        self.f1 = nn.ModuleList(
            [F1Score(task="multiclass", num_classes=3, average="macro") for _ in range(2)]
        )

    def validation_step(self, batch, batch_idx, dataloader_idx=0):
        x, y = batch
        out = self.net(x)
        name = self.names[dataloader_idx]
        self.log(f"{name}/f1", self.f1[dataloader_idx](out, y), add_dataloader_idx=False)
        return {"loss": F.cross_entropy(out, y)}

    def validation_epoch_end(self, outputs):
        for name, of_one in zip(self.names, outputs):
            self.log(f"{name}/loss", sum(o["loss"] for o in of_one) / len(of_one))
"""


def test_an_object_for_each_dataloader_is_logged_as_such(tmp_path: Path) -> None:
    fix(written(tmp_path, {"train.py": _LOADERS}))
    after = (tmp_path / "train.py").read_text(encoding="utf-8")
    assert "        self.f1[dataloader_idx](out, y)\n" in after
    assert 'self.log(f"{name}/f1", self.f1[dataloader_idx], add_dataloader_idx=False)' in after


def test_what_is_wrong_with_lists_by_dataloader_stays_in_sight_when_they_move(
    tmp_path: Path,
) -> None:
    report = fix(written(tmp_path, {"train.py": _LOADERS}))
    assert "LM111" in codes(report)
    assert "LM111" not in [found.code for found in report.fixed]


def test_a_callback_reads_too_early_what_is_put_into_a_dict_bit_by_bit(tmp_path: Path) -> None:
    written(
        tmp_path,
        {
            "train.py": """\
                import pytorch_lightning as pl

                class Net(pl.LightningModule):
                    def on_validation_epoch_end(self):
                        log = {"spread": 1.0}
                        if self.bank:
                            log["knn"] = self.bank.score()
                        log.update(dict(size=2.0), count=3.0)
                        self.log_dict(log)

                class Knn(pl.Callback):
                    def on_validation_epoch_end(self, trainer, pl_module):
                        self.last = trainer.callback_metrics.get("knn")

                class Size(pl.Callback):
                    def on_validation_epoch_end(self, trainer, pl_module):
                        self.last = trainer.callback_metrics["size"]

                class Count(pl.Callback):
                    def on_validation_epoch_end(self, trainer, pl_module):
                        self.last = trainer.callback_metrics["count"]
                """
        },
    )
    assert codes(check(tmp_path, "LM207")) == ["LM207"] * 3


def test_a_key_named_like_its_function_keeps_no_import(tmp_path: Path) -> None:
    written(
        tmp_path,
        {
            "train.py": """\
                import pytorch_lightning as pl
                from torchmetrics.functional import jaccard_index as iou, f1_score, precision

                class Net(pl.LightningModule):
                    def validation_step(self, batch, batch_idx):
                        x, y = batch
                        self.log("val/iou", iou(x, y, task="multiclass", num_classes=3))
                        scores = {"f1_score": f1_score(x, y, task="binary")}
                        self.log_dict(scores)
                """
        },
    )
    fix(tmp_path)
    after = (tmp_path / "train.py").read_text(encoding="utf-8")
    assert "from torchmetrics.functional import precision\n" in after


def test_a_wrong_number_behind_a_crash_does_not_hold_up_the_repair(tmp_path: Path) -> None:
    """What an old metric without a task answers is known once it has one."""
    written(
        tmp_path,
        {
            "train.py": """\
                import torch
                import pytorch_lightning as pl
                from pytorch_lightning.metrics import Precision

                class Net(pl.LightningModule):
                    def __init__(self):
                        super().__init__()
                        self.net = torch.nn.Linear(4, 1)
                        self.precision_of = Precision()

                    def validation_step(self, batch, batch_idx):
                        x, y = batch
                        score = self.net(x).squeeze(1).sigmoid()
                        loss = torch.nn.functional.binary_cross_entropy(score, y.float())
                        self.log("loss", loss)
                        self.log("precision", self.precision_of(score, y))
                """
        },
    )
    report = fix(tmp_path, style="outputs")
    assert not report.failed
    after = (tmp_path / "train.py").read_text(encoding="utf-8")
    assert "from torchmetrics import Precision\n" in after
