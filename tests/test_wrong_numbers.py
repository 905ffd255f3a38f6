"""Batch values that an epoch averages are found whatever way they take; look-alikes are not."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent, indent

import projects
import pytest

from lintmetrics.diagnostics import Diagnostic

FAMILY = ("LM101", "LM102", "LM103", "LM104")

_HEAD = """
import math
import numpy as np
import sklearn.metrics
import torch
import torch.nn as nn
import torch.nn.functional as F
import torchmetrics
import torchmetrics.functional as MF
import pytorch_lightning as pl
from sklearn.metrics import f1_score, r2_score, roc_auc_score
from torchmetrics.functional import auroc, f1_score as tm_f1


"""


def found(tmp_path: Path, body: str, extra: dict[str, str] | None = None) -> list[Diagnostic]:
    projects.written(tmp_path, {"model.py": _HEAD + dedent(body), **(extra or {})})
    report = projects.check(tmp_path, *FAMILY)
    assert not report.failures, report.failures
    return report.diagnostics


def module(*methods: str, init: str = "") -> str:
    """Return a module with the given methods, and statements for its ``__init__``."""
    lines = ["class Model(pl.LightningModule):", "    def __init__(self, net, classes=5):"]
    lines += ["        super().__init__()", "        self.net = net"]
    lines += [indent(dedent(init).strip("\n"), "        "), ""]
    for method in methods:
        lines += [indent(dedent(method).strip("\n"), "    "), ""]
    return "\n".join(lines)


def step(*lines: str, hook: str = "validation_step") -> str:
    body = "\n".join(indent(dedent(line).strip("\n"), "    ") for line in lines)
    return f"def {hook}(self, batch, batch_idx):\n    x, y = batch\n    p = self.net(x)\n{body}\n"


_FUNCTIONAL = {
    "direct": 'self.log("k", auroc(p, y, task="binary"))',
    "module attribute": 'self.log("k", torchmetrics.functional.auroc(p, y, task="binary"))',
    "module alias": 'self.log("k", MF.auroc(p, y, task="binary"))',
    "item": 'self.log("k", auroc(p, y, task="binary").item())',
    "float": 'self.log("k", float(auroc(p, y, task="binary")))',
    "mean of classes": 'self.log("k", auroc(p, y, task="multiclass", num_classes=3).mean())',
    "tensor of float": 'self.log("k", torch.tensor(r2_score(y.cpu().numpy(), p.cpu().numpy())))',
    "local": 'v = auroc(p, y, task="binary")\nself.log("k", v)',
    "walrus": 'if (v := auroc(p, y, task="binary")) is not None:\n    self.log("k", v)',
    "percent": 'self.log("k", 100 * auroc(p, y, task="binary"))',
    "complement": 'self.log("k", 1 - auroc(p, y, task="binary"))',
    "log_dict": 'self.log_dict({"k": auroc(p, y, task="binary"), "n": 1.0})',
    "dict local": 'd = {"k": auroc(p, y, task="binary")}\nself.log_dict(d)',
    "dict item": 'd = {}\nd["k"] = auroc(p, y, task="binary")\nself.log_dict(d)',
    "dict update": 'd = {"n": 1}\nd.update({"k": auroc(p, y, task="binary")})\nself.log_dict(d)',
    "dict or": 'd = {"n": 1} | {"k": auroc(p, y, task="binary")}\nself.log_dict(d)',
    "dict splat": 'd = {"k": auroc(p, y, task="binary")}\nself.log_dict({"n": 1, **d})',
    "dict call": 'self.log_dict(dict(k=auroc(p, y, task="binary")))',
    "loop over dict": (
        'd = {"k": auroc(p, y, task="binary")}\n'
        'for name, value in d.items():\n    self.log(f"val_{name}", value)'
    ),
    "dict comprehension": (
        'd = {"k": auroc(p, y, task="binary")}\n'
        'self.log_dict({f"val_{n}": v for n, v in d.items()})'
    ),
    "loop over functions": (
        'for name, metric in (("a", auroc), ("b", tm_f1)):\n'
        '    self.log(name, metric(p, y, task="binary"))'
    ),
    "unpacking": 'a, b = auroc(p, y, task="binary"), 1.0\nself.log("k", a)',
    "conditional expression": (
        'v = auroc(p, y, task="binary") if y.sum() > 0 else torch.tensor(0.0)\nself.log("k", v)'
    ),
    "with": 'with torch.no_grad():\n    v = auroc(p, y, task="binary")\nself.log("k", v)',
    "try": (
        "try:\n    v = roc_auc_score(y.cpu(), p.cpu())\nexcept ValueError:\n    v = 0.5\n"
        'self.log("k", v)'
    ),
    "nested function": (
        'def score():\n    return auroc(p, y, task="binary")\nself.log("k", score())'
    ),
    "lambda": 'score = lambda a, b: auroc(a, b, task="binary")\nself.log("k", score(p, y))',
    "sklearn": 'self.log("k", f1_score(y.cpu().numpy(), p.argmax(1).cpu().numpy()))',
    "sklearn module": 'self.log("k", sklearn.metrics.roc_auc_score(y.tolist(), p.tolist()))',
    "keyword arguments": 'self.log(name="k", value=auroc(p, y, task="binary"))',
    "star arguments": 'args = ("k", auroc(p, y, task="binary"))\nself.log(*args)',
    "keyword splat": (
        "options = dict(prog_bar=True, on_epoch=True)\n"
        'self.log("k", auroc(p, y, task="binary"), **options)'
    ),
    "setattr": (
        'setattr(self, "last", auroc(p, y, task="binary"))\nself.log("k", getattr(self, "last"))'
    ),
    "attribute": 'self.last = auroc(p, y, task="binary")\nself.log("k", self.last)',
    "match": (
        'match len(batch):\n    case 2:\n        v = auroc(p, y, task="binary")\n'
        '    case _:\n        v = auroc(p, y, task="multiclass", num_classes=2)\n'
        'self.log("k", v)'
    ),
    "psnr": 'self.log("k", MF.peak_signal_noise_ratio(p, y, data_range=1.0))',
    "squared=False": 'self.log("k", MF.mean_squared_error(p, y, squared=False))',
    "report": (
        "r = sklearn.metrics.classification_report(y.cpu(), p.cpu(), output_dict=True)\n"
        'self.log("k", r["macro avg"]["f1-score"])'
    ),
    "support": (
        "a, b, f, _ = sklearn.metrics.precision_recall_fscore_support(y, p, average='macro')\n"
        'self.log("k", f)'
    ),
    "both values": 'self.log("k", (auroc(p, y, task="binary") + auroc(-p, y, task="binary")) / 2)',
}


@pytest.mark.parametrize("line", _FUNCTIONAL.values(), ids=_FUNCTIONAL)
def test_a_metric_function_in_a_step_is_found(line: str, tmp_path: Path) -> None:
    diagnostics = found(tmp_path, module(step(*line.split("\n\n"))))
    assert {d.code for d in diagnostics} == {"LM101"}


_QUIET = {
    "micro accuracy": 'self.log("k", MF.accuracy(p, y, task="multiclass", num_classes=5))',
    "accuracy by hand": 'self.log("k", (p.argmax(1) == y).float().mean())',
    "accuracy by count": 'self.log("k", (p.argmax(1) == y).sum() / len(y))',
    "mse": 'self.log("k", MF.mean_squared_error(p, y))',
    "mean loss": 'self.log("val_loss", F.cross_entropy(p, y))',
    "root as loss": 'self.log("val_loss", torch.sqrt(F.mse_loss(p, y)))',
    "metric inside a loss": (
        'loss = F.cross_entropy(p, y) + 1 - tm_f1(p, y, task="binary")\nself.log("k", loss)'
    ),
    "masked mean": 'm = y > 0\nself.log("k", ((p > 0) & m).sum() / m.sum())',
    "step level only": ('self.log("k", auroc(p, y, task="binary"), on_step=True, on_epoch=False)'),
    "maximum": 'self.log("k", auroc(p, y, task="binary"), reduce_fx="max")',
    "unknown reduction": 'self.log("k", auroc(p, y, task="binary"), reduce_fx=self.how)',
    "unknown level": 'self.log("k", auroc(p, y, task="binary"), on_epoch=self.epoch_wise)',
    "unknown function": 'self.log("k", self.score(p, y))',
    "unknown import": 'from mine import metric\nself.log("k", metric(p, y))',
    "root of data": 'self.log("k", torch.sqrt((p - y) ** 2).mean())',
    "log probability": 'self.log("k", -torch.log(p).mean())',
    "learned scale": 'self.log("scale", self.net.scale.exp())',
    "mean over samples in a list": (
        "scores = []\nfor a, b in zip(y, p):\n    scores.append(f1_score(a, b))\n"
        'self.log("k", sum(scores) / len(scores))\nself.log("n", np.mean(scores))'
    ),
    "mean over samples by comprehension": (
        'scores = [auroc(a, b, task="binary") for a, b in zip(p, y)]\n'
        'self.log("k", torch.stack(scores).mean())\nself.log("n", sum(scores) / len(scores))'
    ),
    "sum over samples": (
        'total = 0\nfor a, b in zip(p, y):\n    total += auroc(a, b, task="binary")\n'
        'self.log("k", total / len(p))'
    ),
    "accuracy of a report": (
        "r = sklearn.metrics.classification_report(y.cpu(), p.cpu(), output_dict=True)\n"
        'self.log("k", r["accuracy"])'
    ),
    "per-image psnr": 'self.log("k", MF.peak_signal_noise_ratio(p, y, dim=(1, 2, 3)))',
    "entropy of codes": 'q = p.mean(0)\nself.log("k", torch.exp(-torch.sum(q * torch.log(q))))',
    "norm": 'self.log("k", torch.sqrt((p ** 2).sum()))',
    "similarities": 'self.log("k", MF.pairwise_cosine_similarity(p, y).mean())',
    "learning rate": 'self.log("lr", math.sqrt(self.learning_rate))',
}


@pytest.mark.parametrize("line", _QUIET.values(), ids=_QUIET)
def test_what_may_be_averaged_is_quiet(line: str, tmp_path: Path) -> None:
    assert found(tmp_path, module(step(*line.split("\n\n")))) == []


def test_a_training_step_averages_nothing_by_default(tmp_path: Path) -> None:
    log = 'self.log("k", auroc(p, y, task="binary"))'
    assert found(tmp_path, module(step(log, hook="training_step"))) == []


def test_a_training_step_with_on_epoch_averages(tmp_path: Path) -> None:
    log = 'self.log("k", auroc(p, y, task="binary"), on_epoch=True)'
    assert len(found(tmp_path, module(step(log, hook="training_step")))) == 1


_SHARED = """
def _shared(self, batch, stage):
    x, y = batch
    p = self.net(x)
    self.log(f"{stage}_auroc", auroc(p, y, task="binary"))

def training_step(self, batch, batch_idx):
    return self._shared(batch, "train")

def validation_step(self, batch, batch_idx):
    self._shared(batch, "val")

def test_step(self, batch, batch_idx):
    self._shared(batch, stage="test")
"""


def test_a_shared_step_is_named_by_the_keys_that_are_averaged(tmp_path: Path) -> None:
    (only,) = found(tmp_path, module(_SHARED))
    assert '"val_auroc" / "test_auroc"' in only.message
    assert "train_auroc" not in only.message
    assert only.source_line.strip().startswith("self.log(")


_HELPERS = {
    "tuple": (
        'def both(self, p, y):\n    return F.mse_loss(p, y), auroc(p, y, task="binary")',
        'loss, score = self.both(p, y)\nself.log("val_loss", loss)\nself.log("k", score)',
    ),
    "dict": (
        'def scores(self, p, y):\n    return {"auroc": auroc(p, y, task="binary")}',
        "self.log_dict(self.scores(p, y))",
    ),
    "dict item": (
        'def scores(self, p, y):\n    return dict(auroc=auroc(p, y, task="binary"))',
        's = self.scores(p, y)\nself.log("k", s["auroc"])',
    ),
    "prefixed": (
        'def scores(self, p, y):\n    return {"auroc": auroc(p, y, task="binary")}',
        'self.log_dict({f"val/{k}": v for k, v in self.scores(p, y).items()})',
    ),
    "static": (
        '@staticmethod\ndef score(p, y):\n    return auroc(p, y, task="binary")',
        'self.log("k", self.score(p, y))',
    ),
    "log helper": (
        "def _log(self, key, value):\n    self.log(key, value, prog_bar=True)",
        'self._log("k", auroc(p, y, task="binary"))',
    ),
    "keyword only": (
        'def score(self, *, preds, target):\n    return auroc(preds, target, task="binary")',
        'self.log("k", self.score(preds=p, target=y))',
    ),
    "early return": (
        "def score(self, p, y):\n    if y.sum() == 0:\n        return None\n"
        '    return auroc(p, y, task="binary")',
        's = self.score(p, y)\nif s is not None:\n    self.log("k", s)',
    ),
    "property": (
        '@property\ndef score(self):\n    return auroc(self.p, self.y, task="binary")',
        'self.log("k", self.score)',
    ),
    "recursion": (
        "def score(self, p, y, n=3):\n    if n > 0:\n        return self.score(p, y, n - 1)\n"
        '    return auroc(p, y, task="binary")',
        'self.log("k", self.score(p, y))',
    ),
}


@pytest.mark.parametrize(("helper", "lines"), _HELPERS.values(), ids=_HELPERS)
def test_a_helper_hides_nothing(helper: str, lines: str, tmp_path: Path) -> None:
    diagnostics = found(tmp_path, module(helper, step(lines)))
    assert {d.code for d in diagnostics} == {"LM101"}


def test_a_log_helper_is_shown_where_the_value_is_made(tmp_path: Path) -> None:
    helper, lines = _HELPERS["log helper"]
    (only,) = found(tmp_path, module(helper, step(lines)))
    assert "auroc(p, y" in only.source_line


def test_a_function_of_another_file_is_followed(tmp_path: Path) -> None:
    scores = """
    from torchmetrics.functional import auroc


    def score(p, y):
        return {"auroc": auroc(p, y, task="binary")}
    """
    model = "from scores import score\n" + module(step("self.log_dict(score(p, y))"))
    (only,) = found(tmp_path, model, {"scores.py": scores})
    assert only.path.endswith("model.py")


def test_a_base_in_another_file_is_followed(tmp_path: Path) -> None:
    base = _HEAD + module('def score(self, p, y):\n    return auroc(p, y, task="binary")')
    model = "from base import Model as Base\n\n\nclass Child(Base):\n"
    model += indent(step('self.log("k", self.score(p, y))'), "    ")
    (only,) = found(tmp_path, model, {"base.py": base})
    assert only.path.endswith("model.py")


_FORWARD = {
    "direct": ("self.f1 = F1", 'self.log("k", self.f1(p, y))'),
    "local": ("self.f1 = F1", 'v = self.f1(p, y)\nself.log("k", v)'),
    "item": ("self.f1 = F1", 'self.log("k", self.f1(p, y).item())'),
    "forward": ("self.f1 = F1", 'self.log("k", self.f1.forward(p, y))'),
    "module dict": (
        'self.m = nn.ModuleDict({"val": F1})',
        'self.log("k", self.m["val"](p, y))',
    ),
    "module list": ("self.m = nn.ModuleList([F1])", 'self.log("k", self.m[0](p, y))'),
    "plain dict": ('self.m = {"f1": F1}', "for k, m in self.m.items():\n    self.log(k, m(p, y))"),
    "collection": (
        'self.m = torchmetrics.MetricCollection({"f1": F1})',
        "self.log_dict(self.m(p, y))",
    ),
    "cloned collection": (
        'm = torchmetrics.MetricCollection([F1])\nself.m = m.clone(prefix="val_")',
        "d = self.m(p, y)\nself.log_dict(d)",
    ),
    "setattr": (
        'for s in ("train", "val"):\n    setattr(self, f"{s}_f1", F1)',
        'self.log("k", getattr(self, "val_f1")(p, y))',
    ),
    "comprehension": (
        'self.m = nn.ModuleDict({f"{s}_f1": F1 for s in ("train", "val")})',
        'self.log("k", self.m["val_f1"](p, y))',
    ),
    "nested containers": (
        'self.m = nn.ModuleDict({"val_": nn.ModuleDict({"f1": F1})})',
        'self.log("k", self.m["val_"]["f1"](p, y))',
    ),
    "clone": (
        "self.train_f1 = F1\nself.val_f1 = self.train_f1.clone()",
        'self.log("k", self.val_f1(p, y))',
    ),
    "average given": (
        'self.m = torchmetrics.Accuracy(task="multiclass", num_classes=3, average="macro")',
        'self.log("k", self.m(p, y))',
    ),
}


@pytest.mark.parametrize(("init", "lines"), _FORWARD.values(), ids=_FORWARD)
def test_an_answer_of_a_metric_object_is_found(init: str, lines: str, tmp_path: Path) -> None:
    init = init.replace("F1", 'torchmetrics.F1Score(task="binary")')
    diagnostics = found(tmp_path, module(step(lines), init=init))
    assert {d.code for d in diagnostics} == {"LM102"}


_FORWARD_QUIET = {
    "object": ("self.f1 = F1", 'self.f1(p, y)\nself.log("k", self.f1)'),
    "collection": (
        'self.m = torchmetrics.MetricCollection({"f1": F1})',
        "self.m.update(p, y)\nself.log_dict(self.m)",
    ),
    "micro": (
        'self.m = torchmetrics.Accuracy(task="multiclass", num_classes=3)',
        'self.log("k", self.m(p, y))',
    ),
    "unknown members": (
        "self.m = torchmetrics.MetricCollection(make_metrics())",
        "self.log_dict(self.m(p, y))",
    ),
    "not logged": ("self.f1 = F1", 'self.f1(p, y)\nself.log("k", F.mse_loss(p, y))'),
    "a project's own": ("self.m = Unknown()", 'self.log("k", self.m(p, y))'),
}


@pytest.mark.parametrize(("init", "lines"), _FORWARD_QUIET.values(), ids=_FORWARD_QUIET)
def test_a_logged_object_is_quiet(init: str, lines: str, tmp_path: Path) -> None:
    init = init.replace("F1", 'torchmetrics.F1Score(task="binary")')
    assert found(tmp_path, module(step(lines), init=init)) == []


def test_a_container_used_by_several_stages_is_one_finding(tmp_path: Path) -> None:
    init = """
    base = torchmetrics.MetricCollection([torchmetrics.F1Score(task="binary")])
    self.m = nn.ModuleDict({f"{s}_m": base.clone(prefix=f"{s}/") for s in ("val", "test")})
    """
    shared = """
    def shared(self, batch, stage):
        x, y = batch
        self.log_dict(self.m[f"{stage}_m"](self.net(x), y))

    def validation_step(self, batch, batch_idx):
        self.shared(batch, "val")

    def test_step(self, batch, batch_idx):
        self.shared(batch, "test")
    """
    (only,) = found(tmp_path, module(shared, init=init))
    assert 'self.m[f"{stage}_m"]' in only.message


def test_a_callback_that_logs_for_the_module_is_followed(tmp_path: Path) -> None:
    callback = """
    class Scores(pl.Callback):
        def on_validation_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            x, y = batch
            pl_module.log("k", auroc(pl_module(x), y, task="binary"))
    """
    (only,) = found(tmp_path, callback)
    assert only.code == "LM101"


_REPORTS = {
    "subset": ('evaluate.load("glue", "cola")', 'r["matthews_correlation"]', 1),
    "old name": ('datasets.load_metric("f1")', 'r["f1"]', 1),
    "mean part": ('evaluate.load("glue", "mrpc")', 'r["accuracy"]', 0),
    "mean": ('evaluate.load("accuracy")', 'r["accuracy"]', 0),
}


@pytest.mark.parametrize(("made", "part", "count"), _REPORTS.values(), ids=_REPORTS)
def test_hugging_face_metrics_are_known_by_name(
    made: str, part: str, count: int, tmp_path: Path
) -> None:
    body = "import datasets\nimport evaluate\n\n\n" + module(
        step(f'r = self.m.compute(predictions=p, references=y)\nself.log("k", {part})'),
        init=f"self.m = {made}",
    )
    assert len(found(tmp_path, body)) == count


_INIT = 'self.f1 = torchmetrics.F1Score(task="binary")\nself.acc = torchmetrics.Accuracy("binary")'
_COMPUTE = [
    'self.f1.update(p, y)\nself.log("k", self.f1.compute())',
    'self.f1(p, y)\nself.log("k", self.f1.compute(), on_step=True, on_epoch=True)',
    'self.acc.update(p, y)\nself.log("k", self.acc.compute())',
    'self.acc.update(p, y)\nv = self.acc.compute()\nself.log_dict({"k": v})',
    'self.f1.update(p, y)\nself.log("k", self.f1.compute())\nself.f1.reset()',
]


@pytest.mark.parametrize("lines", _COMPUTE)
def test_compute_at_every_step_is_found(lines: str, tmp_path: Path) -> None:
    diagnostics = found(tmp_path, module(step(lines), init=_INIT))
    assert [d.code for d in diagnostics] == ["LM103"]


def test_compute_with_reset_of_a_mean_is_quiet(tmp_path: Path) -> None:
    lines = 'self.acc.update(p, y)\nself.log("k", self.acc.compute())\nself.acc.reset()'
    assert found(tmp_path, module(step(lines), init=_INIT)) == []


def test_compute_in_an_epoch_hook_is_quiet(tmp_path: Path) -> None:
    end = """
    def on_validation_epoch_end(self):
        self.log("k", self.f1.compute())
        self.f1.reset()
    """
    assert found(tmp_path, module(step("self.f1.update(p, y)"), end, init=_INIT)) == []


_FORMULAS = {
    "rmse": 'self.log("val_rmse", torch.sqrt(F.mse_loss(p, y)))',
    "rmse method": 'self.log("val_rmse", F.mse_loss(p, y).sqrt())',
    "rmse power": 'self.log("val_rmse", F.mse_loss(p, y) ** 0.5)',
    "rmse math": 'self.log("val_rmse", math.sqrt(F.mse_loss(p, y).item()))',
    "rmse numpy": 'self.log("val_rmse", np.sqrt(((p - y) ** 2).mean().item()))',
    "rmse of functional": 'self.log("val_rmse", torch.sqrt(MF.mean_squared_error(p, y)))',
    "perplexity": 'loss = F.cross_entropy(p, y)\nself.log("ppl", torch.exp(loss))',
    "perplexity math": 'loss = F.cross_entropy(p, y)\nself.log("ppl", math.exp(loss))',
    "psnr": 'self.log("psnr", -10 * torch.log10(F.mse_loss(p, y)))',
    "precision": (
        "h = p > 0\ntp = (h & (y == 1)).sum()\nfp = (h & (y == 0)).sum()\n"
        'self.log("precision", tp / (tp + fp))'
    ),
    "recall of flags": 'h = p > 0\nself.log("val_recall", (h & (y == 1)).sum() / (y == 1).sum())',
    "f1": (
        "h = p > 0\ntp = (h & (y == 1)).sum()\nfp = (h & (y == 0)).sum()\n"
        "fn = (~h & (y == 1)).sum()\nprec = tp / (tp + fp)\nrec = tp / (tp + fn)\n"
        'self.log("val_f1", 2 * prec * rec / (prec + rec))'
    ),
    "iou": (
        "h = p > 0\nt = y > 0\ninter = (h & t).sum()\nunion = (h | t).sum()\n"
        'self.log("val/iou", inter / union)'
    ),
    "soft dice": 'self.log("val_dice", 2 * (p * y).sum() / (p.sum() + y.sum()))',
}


@pytest.mark.parametrize("lines", _FORMULAS.values(), ids=_FORMULAS)
def test_a_formula_of_batch_means_is_found(lines: str, tmp_path: Path) -> None:
    diagnostics = found(tmp_path, module(step(lines)))
    assert {d.code for d in diagnostics} == {"LM104"}
