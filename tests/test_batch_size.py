"""Batch sizes that Lightning misreads or cannot read are found by what the code shows.

Each form was run on lightning 2.6.6: the size that Lightning takes is the one the finding names.
"""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent, indent

import projects
import pytest

HEAD = """\
import torch
import torch.nn.functional as F
import lightning.pytorch as pl
import torchmetrics
from torch_geometric.nn import global_mean_pool


class M(pl.LightningModule):
    def __init__(self, net):
        super().__init__()
        self.net = net
        self.mean = torchmetrics.MeanMetric()
        self.acc = torchmetrics.Accuracy(task="binary")

"""


def found(tmp_path: Path, body: str, head: str = HEAD) -> list[tuple[str, str]]:
    text = head + indent(dedent(body).strip("\n"), "    ") + "\n"
    (tmp_path / "model.py").write_text(text, encoding="utf-8")
    report = projects.check(tmp_path, "LM112", "LM113", "LM114")
    assert not report.failures
    return [(d.code, d.help) for d in report.diagnostics]


def fixed(tmp_path: Path, body: str, head: str = HEAD) -> str:
    found(tmp_path, body, head)
    report = projects.fix(tmp_path, "LM112", "LM113", "LM114")
    assert not report.failed
    return (tmp_path / "model.py").read_text(encoding="utf-8")


GRAPHS = """
def validation_step(self, batch, batch_idx):
    out = global_mean_pool(self.net(batch.x, batch.edge_index), batch.batch)
    self.log("val_loss", F.mse_loss(out, batch.y))
"""
IMAGES = """
def validation_step(self, batch, batch_idx):
    images, targets = batch
    images = list(image.to(self.device) for image in images)
    loss = sum(self.net(images, targets).values())
    self.log("val_loss", loss)
"""
TARGETS = """
def training_step(self, batch, batch_idx):
    images, targets = batch
    targets = [{k: v for k, v in t.items()} for t in targets]
    loss = sum(self.net(images, targets).values())
    return loss

def validation_step(self, batch, batch_idx):
    images, targets = batch
    out = self.net(images)
    iou = torch.stack([self.iou(t, o) for t, o in zip(targets, out)]).mean()
    self.log("val_iou", iou)
"""
SAMPLES = """
def validation_step(self, batch, batch_idx):
    x = torch.stack([sample["image"] for sample in batch])
    y = torch.stack([sample["label"] for sample in batch])
    self.log("val_loss", F.cross_entropy(self.net(x), y))
"""
ZIPPED = """
def validation_step(self, batch, batch_idx):
    x, y = zip(*batch)
    loss = F.cross_entropy(self.net(torch.stack(x)), torch.stack(y))
    self.log("val_loss", loss)
"""
TIME_FIRST = """
def validation_step(self, batch, batch_idx):
    x, y = batch
    seq_len, batch_size, _ = x.shape
    self.log("val_loss", F.mse_loss(self.net(x), y))
"""
SECOND = """
def validation_step(self, batch, batch_idx):
    x, y = batch
    bsz = x.size(1)
    self.log("val_loss", F.mse_loss(self.net(x), y))
"""


@pytest.mark.parametrize(
    ("body", "size"),
    [
        (GRAPHS, "batch.num_graphs"),
        (IMAGES, "len(images)"),
        (TARGETS, "len(images)"),
        (IMAGES.replace("images, targets = b", "paths, images, targets = b"), "len(images)"),
        (SAMPLES, "len(batch)"),
        (ZIPPED, "len(batch)"),
        (TIME_FIRST, "batch_size"),
        (SECOND, "bsz"),
    ],
)
def test_a_misread_batch_is_found_and_told_its_size(tmp_path: Path, body: str, size: str) -> None:
    assert found(tmp_path, body) == [("LM112", f"say batch_size={size}")]
    assert f", batch_size={size})" in fixed(tmp_path, body)


def test_a_batch_of_a_class_that_holds_no_tensor_for_lightning_raises(tmp_path: Path) -> None:
    head = HEAD.replace(
        "class M",
        "class Graphs:\n    def __init__(self, x):\n        self.x = x\n"
        "        self.batch_size = len(x)\n\n\nclass M",
    )
    body = """
    def validation_step(self, batch: Graphs, batch_idx):
        self.log("val_loss", F.mse_loss(self.net(batch.x), batch.x))
    """
    assert found(tmp_path, body, head) == [("LM113", "say batch_size=batch.batch_size")]


def test_graphs_are_known_by_what_the_step_reads_of_them(tmp_path: Path) -> None:
    head = HEAD.replace("from torch_geometric.nn import global_mean_pool", "from nets import pool")
    body = GRAPHS.replace("global_mean_pool", "pool")
    assert found(tmp_path, body, head) == [("LM112", "say batch_size=batch.num_graphs")]
    assert found(tmp_path, body.replace("batch.edge_index), batch.batch", "batch.y)"), head) == []


QUIET = [
    # Given, not averaged, or a Metric object: no guess is made.
    GRAPHS.replace("batch.y))", "batch.y), batch_size=batch.num_graphs)"),
    GRAPHS.replace("validation_step", "training_step"),
    GRAPHS.replace("batch.y))", "batch.y), reduce_fx='sum')"),
    GRAPHS.replace("F.mse_loss(out, batch.y)", "self.acc"),
    GRAPHS.replace("batch.y))", "batch.y), **self.options)"),
    # Nodes are the samples.
    """
    def validation_step(self, batch, batch_idx):
        out = self.net(batch.x, batch.edge_index)
        loss = F.cross_entropy(out[batch.val_mask], batch.y[batch.val_mask])
        self.log("val_loss", loss)
    """,
    """
    def validation_step(self, batch, batch_idx):
        self.log("val_loss", F.mse_loss(self.net(batch.x, batch.edge_index), batch.target))
    """,
    # Ordinary batches.
    """
    def validation_step(self, batch, batch_idx):
        x, y = batch
        batch_size, seq_len, _ = x.shape
        self.log("val_loss", F.cross_entropy(self.net(x), y))
    """,
    """
    def validation_step(self, batch, batch_idx):
        x, y = batch
        for image in x:
            self.show(image)
        self.log("val_loss", F.cross_entropy(self.net(x), y))
    """,
    """
    def validation_step(self, batch, batch_idx):
        batch = {k: v.to(self.device) for k, v in batch.items()}
        self.log("val_loss", F.cross_entropy(self.net(batch["x"]), batch["y"]))
    """,
    """
    def validation_step(self, batch, batch_idx):
        views = [self.net(view) for view in batch[0]]
        self.log("val_loss", F.mse_loss(views[0], views[1]))
    """,
]


@pytest.mark.parametrize("body", QUIET)
def test_other_batches_are_no_finding(tmp_path: Path, body: str) -> None:
    assert found(tmp_path, body) == []


def test_an_argument_in_parentheses_keeps_them(tmp_path: Path) -> None:
    body = GRAPHS.replace(
        "F.mse_loss(out, batch.y))", "(\n        F.mse_loss(out, batch.y)\n    ))"
    )
    done = fixed(tmp_path, body)
    assert "), batch_size=batch.num_graphs)" in done
    compile(done, "model.py", "exec")


# MeanMetric -----------------------------------------------------------------------------------


MEAN = """
def _model_step(self, batch):
    x, y = batch
    logits = self.net(x)
    return F.cross_entropy(logits, y), logits.argmax(1), y

def validation_step(self, batch, batch_idx):
    loss, preds, targets = self._model_step(batch)
    self.mean(loss)
    self.log("val_loss", self.mean)
"""


def test_a_mean_metric_without_weights_is_found(tmp_path: Path) -> None:
    assert found(tmp_path, MEAN) == [("LM114", "say weight=targets.size(0)")]
    assert "self.mean(loss, weight=targets.size(0))" in fixed(tmp_path, MEAN)


WEIGHTED = MEAN.replace("self.mean(loss)", "self.mean.update(loss, weight=targets.size(0))")
DISABLED = HEAD.replace("MeanMetric()", 'MeanMetric(nan_strategy="disable")')


def test_a_mean_metric_that_leaves_its_weights_out_is_found(tmp_path: Path) -> None:
    kept = 'nan_strategy=float("nan") keeps a NaN and the weights'
    assert found(tmp_path, WEIGHTED, DISABLED) == [("LM114", kept)]
    assert 'MeanMetric(nan_strategy=float("nan"))' in fixed(tmp_path, WEIGHTED, DISABLED)


def test_a_mean_metric_of_equal_weights_may_look_for_no_nan(tmp_path: Path) -> None:
    for given in ("preds == targets", "(preds == targets).float(), 1", "preds * 2, weight=None"):
        body = MEAN.replace("self.mean(loss)", f"self.mean({given})")
        assert found(tmp_path, body, DISABLED) == []


@pytest.mark.parametrize("strategy", ["warn", "ignore", "error"])
def test_other_ways_with_a_nan_keep_the_weights(strategy: str, tmp_path: Path) -> None:
    head = HEAD.replace("MeanMetric()", f'MeanMetric(nan_strategy="{strategy}")')
    assert found(tmp_path, WEIGHTED, head) == []


@pytest.mark.parametrize(
    "body",
    [
        MEAN.replace("self.mean(loss)", "self.mean(loss, weight=len(preds))"),
        MEAN.replace("self.mean(loss)", "self.mean(loss, len(preds))"),
        MEAN.replace("self.mean(loss)", "self.mean(preds == targets)"),
    ],
)
def test_a_mean_metric_of_samples_or_with_weights_is_right(tmp_path: Path, body: str) -> None:
    assert found(tmp_path, body) == []
