"""Wrong numbers are fixed as a careful person would, or the reason is named."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent, indent

import projects
import pytest

from lintmetrics.codemod import Relation
from lintmetrics.diagnostics import Diagnostic

FAMILY = ("LM101", "LM102", "LM103", "LM104")

_HEAD = """
import lightning.pytorch as pl
import torch
import torch.nn.functional as F
import torchmetrics
from scipy.stats import pearsonr
from sklearn.metrics import f1_score as sk_f1, roc_auc_score
from torchmetrics.functional import auroc, f1_score


class Model(pl.LightningModule):
    def __init__(self, net, num_classes=3):
        super().__init__()
        self.net = net
        self.num_classes = num_classes
"""
_F1 = 'torchmetrics.F1Score(task="binary")'
_AUROC = 'torchmetrics.AUROC(task="binary")'


def model(*methods: str, init: str = "") -> str:
    text = _HEAD + indent(dedent(init).strip("\n"), "        ").rstrip() + "\n"
    for method in methods:
        text += "\n" + indent(dedent(method).strip("\n"), "    ") + "\n"
    return text


def step(lines: str, hook: str = "validation_step", extra: str = "") -> str:
    head = f"def {hook}(self, batch, batch_idx{extra}):\n    x, y = batch\n    p = self.net(x)\n"
    return head + indent(dedent(lines).strip("\n"), "    ")


def fixed(folder: Path, text: str) -> tuple[list[Diagnostic], str]:
    """Return what was found before, and the text after every fix was made."""
    projects.written(folder, {"model.py": text})
    before = projects.check(folder, *FAMILY)
    report = projects.fix(folder, *FAMILY)
    assert not report.failures
    assert not report.failed
    after = (folder / "model.py").read_text(encoding="utf-8")
    compile(after, "model.py", "exec")
    assert projects.fix(folder, *FAMILY).after == {}, "the second run changes something"
    return before.diagnostics, after


def changed(before: str, after: str) -> tuple[list[str], list[str]]:
    """Return the lines that went and the lines that came, without indentation and imports."""
    old, new = before.splitlines(), after.splitlines()
    went = [line.strip() for line in old if line not in new]
    came = [line.strip() for line in new if line not in old]
    return [w for w in went if "import" not in w], [c for c in came if "import" not in c]


_CASES: dict[str, tuple[str, str, list[str]]] = {
    "functional": (
        "",
        'self.log("val_auroc", auroc(p, y, task="binary"), prog_bar=True, batch_size=len(y))',
        [
            'self.val_auroc = torchmetrics.AUROC(task="binary")',
            "self.val_auroc.update(p, y)",
            'self.log("val_auroc", self.val_auroc, prog_bar=True)',
        ],
    ),
    "both levels": (
        "",
        'self.log("val/f1", f1_score(p, y, task="binary"), on_step=True, on_epoch=True)',
        [
            f"self.val_f1 = {_F1}",
            "self.val_f1(p, y)",
            'self.log("val/f1", self.val_f1, on_step=True, on_epoch=True)',
        ],
    ),
    "the key names no stage": (
        "",
        'self.log("f1", f1_score(p, y, task="binary").item(), sync_dist=True)',
        [f"self.val_f1 = {_F1}", "self.val_f1.update(p, y)", 'self.log("f1", self.val_f1)'],
    ),
    "the name is taken": (
        "self.val_f1 = None",
        'self.log("val_f1", f1_score(p, y, task="binary"))',
        [
            f"self.val_f1_metric = {_F1}",
            "self.val_f1_metric.update(p, y)",
            'self.log("val_f1", self.val_f1_metric)',
        ],
    ),
    "local": (
        "",
        'f1 = f1_score(p, y, task="binary")\nself.log("val_f1", f1)',
        [f"self.val_f1 = {_F1}", "self.val_f1.update(p, y)", 'self.log("val_f1", self.val_f1)'],
    ),
    "local that is read": (
        "",
        'f1 = f1_score(p, y, task="binary")\nself.log("val_f1", f1)\nreturn f1',
        [f"self.val_f1 = {_F1}", "self.val_f1.update(p, y)", 'self.log("val_f1", self.val_f1)'],
    ),
    "arguments": (
        "",
        'self.log("val_f1", f1_score(p, y, task="multiclass", num_classes=self.num_classes, '
        'average="macro"))',
        [
            "self.val_f1 = torchmetrics.F1Score(",
            'task="multiclass", num_classes=self.num_classes, average="macro"',
            ")",
            "self.val_f1.update(p, y)",
            'self.log("val_f1", self.val_f1)',
        ],
    ),
    "dict": (
        "",
        'self.log_dict({"val_f1": f1_score(p, y, task="binary"), "n": 1.0}, batch_size=4)',
        [
            f"self.val_f1 = {_F1}",
            "self.val_f1.update(p, y)",
            'self.log_dict({"val_f1": self.val_f1, "n": 1.0}, batch_size=4)',
        ],
    ),
    "scikit-learn": (
        "",
        'self.log("val_f1", sk_f1(y.cpu().numpy(), (p > 0.5).cpu().numpy()))',
        [
            "self.val_f1 = torchmetrics.classification.BinaryF1Score()",
            "self.val_f1.update(p > 0.5, y.int())",
            'self.log("val_f1", self.val_f1)',
        ],
    ),
    "arrays stay arrays": (
        "",
        'labels = y.cpu().numpy()\nself.log("val_auc", roc_auc_score(labels, p.cpu()))',
        [
            "self.val_auc = torchmetrics.classification.BinaryAUROC()",
            "self.val_auc.update(p, torch.as_tensor(labels, device=self.device).int())",
            'self.log("val_auc", self.val_auc)',
        ],
    ),
    "scipy": (
        "",
        'self.log("val_r", pearsonr(p.cpu().numpy(), y.cpu().numpy())[0])',
        [
            "self.val_r = torchmetrics.regression.PearsonCorrCoef()",
            "self.val_r.update(p, y)",
            'self.log("val_r", self.val_r)',
        ],
    ),
    "root": (
        "self.loss = torch.nn.MSELoss()",
        'mse = self.loss(p, y)\nself.log("val_loss", mse)\nself.log("val_rmse", mse ** 0.5)',
        [
            "self.val_rmse = torchmetrics.MeanSquaredError(squared=False)",
            "self.val_rmse.update(p, y)",
            'self.log("val_rmse", self.val_rmse)',
        ],
    ),
    "forward": (
        f"self.f1 = {_F1}",
        'self.log("val_f1", self.f1(p, y), on_epoch=True, sync_dist=True)',
        ["self.f1(p, y)", 'self.log("val_f1", self.f1, on_epoch=True)'],
    ),
    "forward, local": (
        f"self.f1 = {_F1}",
        'score = self.f1(p, y)\nself.log("val_f1", score)',
        ["self.f1(p, y)", 'self.log("val_f1", self.f1)'],
    ),
    "forward, local that is read": (
        f"self.f1 = {_F1}",
        'score = self.f1(p, y)\nself.log("val_f1", score)\nprint(score)',
        ['self.log("val_f1", self.f1)'],
    ),
    "collection": (
        f'self.m = torchmetrics.MetricCollection({{"f1": {_F1}}}, prefix="val_")',
        "scores = self.m(p, y)\nself.log_dict(scores)",
        ["self.m(p, y)", "self.log_dict(self.m)"],
    ),
    "compute": (
        f"self.f1 = {_F1}",
        'self.f1.update(p, y)\nself.log("val_f1", self.f1.compute())',
        ['self.log("val_f1", self.f1)'],
    ),
    "compute at both levels": (
        f"self.f1 = {_F1}",
        'self.f1.update(p, y)\nself.log("val_f1", self.f1.compute(), on_step=True, on_epoch=True)',
        ["self.f1(p, y)", 'self.log("val_f1", self.f1, on_step=True, on_epoch=True)'],
    ),
    "compute and reset": (
        f"self.f1 = {_F1}",
        'self.f1.update(p, y)\nf1 = self.f1.compute()\nself.log("val_f1", f1)\nself.f1.reset()',
        ['self.log("val_f1", self.f1)'],
    ),
}


@pytest.mark.parametrize(("init", "lines", "came"), _CASES.values(), ids=_CASES)
def test_the_object_is_written(init: str, lines: str, came: list[str], tmp_path: Path) -> None:
    text = model(step(lines), init=init)
    _, after = fixed(tmp_path, text)
    assert changed(text, after)[1] == came


def test_a_shared_step_gets_an_object_for_each_key(tmp_path: Path) -> None:
    text = model(
        """
        def _shared(self, batch, stage):
            x, y = batch
            self.log(f"{stage}_auroc", auroc(self.net(x), y, task="binary"))

        def training_step(self, batch, batch_idx):
            self._shared(batch, "train")

        def validation_step(self, batch, batch_idx):
            self._shared(batch, "val")
        """
    )
    _, after = fixed(tmp_path, text)
    assert changed(text, after)[1] == [
        "self.auroc = torch.nn.ModuleDict(",
        '{key: torchmetrics.AUROC(task="binary") for key in ("train_auroc", "val_auroc")}',
        ")",
        'self.auroc[f"{stage}_auroc"](self.net(x), y)',
        'self.log(f"{stage}_auroc", self.auroc[f"{stage}_auroc"])',
    ]


def test_stages_that_share_an_object_get_their_own(tmp_path: Path) -> None:
    text = model(
        step('self.log("train_f1", self.f1(p, y), on_epoch=True)', "training_step"),
        step('self.log("val_f1", self.f1(p, y))'),
        init=f"self.f1 = {_F1}",
    )
    _, after = fixed(tmp_path, text)
    assert changed(text, after)[1] == [
        f"self.val_f1 = {_F1}",
        "self.f1(p, y)",
        'self.log("train_f1", self.f1, on_epoch=True)',
        "self.val_f1(p, y)",
        'self.log("val_f1", self.val_f1)',
    ]


def test_validation_and_test_get_objects_of_their_own(tmp_path: Path) -> None:
    line = 'self.log("f1", f1_score(p, y, task="binary"))'
    text = model(step(line), step(line, "test_step"))
    _, after = fixed(tmp_path, text)
    assert f"self.val_f1 = {_F1}" in after
    assert f"self.test_f1 = {_F1}" in after
    assert "import auroc\n" in after, "the import lost its last reader"


def test_helpers_hand_the_object_on(tmp_path: Path) -> None:
    text = model(
        """
        def scores(self, p, y):
            return {"f1": f1_score(p, y, task="binary")}

        def _log(self, key, value):
            self.log(key, value, prog_bar=True)
        """,
        step('self.log_dict(self.scores(p, y))\nself._log("auc", auroc(p, y, task="binary"))'),
    )
    _, after = fixed(tmp_path, text)
    assert 'return {"f1": self.val_f1}' in after
    assert 'self._log("auc", self.val_auc)' in after


_MACRO = 'f1_score(p, y, task="multiclass", num_classes=3, average="macro")'
_CALLERS = """
def training_step(self, batch, batch_idx):
    loss, logs = self._shared(batch, "train")
    self.log_dict(logs, on_step=False, on_epoch=True)
    return loss

def validation_step(self, batch, batch_idx):
    loss, logs = self._shared(batch, "val")
    self.log_dict(logs)
"""


def _shared(lines: str) -> str:
    return step(lines, "_shared").replace("batch, batch_idx", "batch, stage")


def test_the_dict_of_a_helper_that_its_callers_log_holds_objects(tmp_path: Path) -> None:
    helper = _shared(
        f"f1 = {_MACRO}\nlogs = {{'n': 1.0, f'{{stage}}_f1': f1}}\nreturn p.mean(), logs"
    )
    text = model(helper, _CALLERS)
    _, after = fixed(tmp_path, text)
    assert changed(text, after)[1] == [
        "self.f1 = torch.nn.ModuleDict(",
        "{",
        'key: torchmetrics.F1Score(task="multiclass", num_classes=3, average="macro")',
        'for key in ("train_f1", "val_f1")',
        "}",
        ")",
        "self.f1[f'{stage}_f1'].update(p, y)",
        "logs = {'n': 1.0, f'{stage}_f1': self.f1[f'{stage}_f1']}",
    ]


def test_entries_that_a_helper_sets_one_by_one_hold_objects(tmp_path: Path) -> None:
    helper = _shared(
        "logs = {f'{stage}/loss': F.cross_entropy(p, y)}\n"
        "if stage == 'val':\n    logs['val/auc'] = auroc(p, y, task='binary')\n"
        "return logs[f'{stage}/loss'], logs"
    )
    text = model(helper, _CALLERS)
    _, after = fixed(tmp_path, text)
    assert changed(text, after)[1] == [
        "self.val_auc = torchmetrics.AUROC(task='binary')",
        "self.val_auc.update(p, y)",
        "logs['val/auc'] = self.val_auc",
    ]


def test_a_metric_object_in_the_dict_of_a_helper_is_handed_on(tmp_path: Path) -> None:
    helper = _shared("return p.mean(), {f'{stage}_f1': self.f1(p, y)}")
    text = model(helper, _CALLERS, init=f"self.f1 = {_F1}")
    _, after = fixed(tmp_path, text)
    assert f'{{key: {_F1} for key in ("train_f1", "val_f1")}}' in after
    assert "self.f1[f'{stage}_f1'](p, y)" in after
    assert "return p.mean(), {f'{stage}_f1': self.f1[f'{stage}_f1']}" in after


_MORE_THAN_LOGGED = {
    "returned": _CALLERS.replace("return loss", "return {'loss': loss, **logs}"),
    "printed": _CALLERS + "    print(logs)\n",
    "not logged": _CALLERS.replace("self.log_dict(logs)", "pass"),
    "taken apart": _CALLERS.replace("log_dict(logs)", "log('val_f1', logs['val_f1'])"),
    "under a condition": _CALLERS.replace(
        "    self.log_dict(logs)", "    if batch_idx:\n        self.log_dict(logs)"
    ),
}


@pytest.mark.parametrize("callers", _MORE_THAN_LOGGED.values(), ids=_MORE_THAN_LOGGED)
def test_the_dict_of_a_helper_that_is_more_than_logged_stays(callers: str, tmp_path: Path) -> None:
    helper = _shared(f"return p.mean(), {{f'{{stage}}_f1': {_MACRO}}}")
    text = model(helper, callers)
    before, after = fixed(tmp_path, text)
    assert after == text
    assert before
    assert all("_shared" in found.blocked for found in before)


def test_a_class_without_init_gets_one(tmp_path: Path) -> None:
    text = (
        "import lightning.pytorch as pl\nfrom torchmetrics.functional import auroc\n\n\n"
        "class Model(pl.LightningModule):\n"
        + indent(step('self.log("val_auc", auroc(p, y, task="binary"))'), "    ")
    )
    _, after = fixed(tmp_path, text)
    assert 'super().__init__(*args, **kwargs)\n        self.val_auc = AUROC(task="binary")' in after


_F1_OF = 'f1_score(p, y, task="multiclass", num_classes={}, average="macro")'


def test_objects_are_created_where_what_they_need_is_set(tmp_path: Path) -> None:
    text = model(
        "def setup(self, stage=None):\n    self.classes = self.trainer.datamodule.classes",
        "def configure_model(self):\n    self.head = torch.nn.Linear(4, 3)",
        step(f'self.log("val_f1", {_F1_OF.format("self.classes")})'),
        step(f'self.log("test_f1", {_F1_OF.format("self.head.out_features")})', "test_step"),
        init="self.classes = None",
    )
    _, after = fixed(tmp_path, text)
    setup = after.split("def setup")[1].split("def ")[0]
    assert "self.val_f1 = torchmetrics.F1Score(" in setup
    assert "num_classes=self.classes" in setup
    build = after.split("def configure_model")[1].split("def ")[0]
    assert "self.test_f1 = torchmetrics.F1Score(" in build


_CHOSEN = """
    def evaluate(self, batch, stage=None):
        x, y = batch
        p = self.net(x)
        auc = auroc(p, y, task="binary")
        loss = F.binary_cross_entropy(p, y.float())
        if stage:
            self.log(f"{stage}_loss", loss)
            self.log(f"{stage}_auc", auc)
        return loss

    def validation_step(self, batch, batch_idx):
        self.evaluate(batch, "val")

    def test_step(self, batch, batch_idx):
        self.evaluate(batch, "test")
"""


def test_an_object_is_fed_where_a_stage_has_its_value_logged(tmp_path: Path) -> None:
    _, after = fixed(tmp_path, model(_CHOSEN))
    body = after.split("if stage:")
    assert "auroc(" not in after
    assert body[1].lstrip().splitlines()[:3] == [
        'self.log(f"{stage}_loss", loss)',
        '            self.auc[f"{stage}_auc"].update(p, y)',
        '            self.log(f"{stage}_auc", self.auc[f"{stage}_auc"])',
    ]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("if stage:", "if stage and len(y) > 1:"),
        ("if stage:", "if stage and self.verbose:"),
        ("if stage:", "for _ in stage:"),
        ("        if stage:", "        p = p * 2\n        if stage:"),
        ("        if stage:", "        p.clamp_(0, 1)\n        if stage:"),
        ("auroc(p, y", "auroc(self.net(x), y"),
        ("        return loss", "        return loss + auc"),
    ],
)
def test_a_value_that_may_change_before_it_is_logged_stays(
    old: str, new: str, tmp_path: Path
) -> None:
    text = model(_CHOSEN.replace(old, new, 1))
    diagnostics, after = fixed(tmp_path, text)
    assert after == text
    assert "another condition" in next(d.blocked for d in diagnostics if "auroc" in d.message)


def test_each_dataloader_gets_an_object(tmp_path: Path) -> None:
    text = model(
        step(
            'self.log("val_auc", auroc(p, y, task="binary"))\n'
            'self.log(f"f1_{dataloader_idx}", f1_score(p, y, task="binary"))',
            extra=", dataloader_idx",
        ),
        "def val_dataloader(self):\n    return [self.one, self.two]",
    )
    _, after = fixed(tmp_path, text)
    assert changed(text, after)[1] == [
        f"self.val_auc = torch.nn.ModuleList([{_AUROC} for _ in range(2)])",
        f"self.val_f1 = torch.nn.ModuleList([{_F1} for _ in range(2)])",
        "self.val_auc[dataloader_idx].update(p, y)",
        'self.log("val_auc", self.val_auc[dataloader_idx])',
        "self.val_f1[dataloader_idx].update(p, y)",
        'self.log(f"f1_{dataloader_idx}", self.val_f1[dataloader_idx])',
    ]


_ASSUMED = {
    "number of classes": 'self.log("k", sk_f1(y.cpu(), p.argmax(1).cpu(), average="macro"))',
    "two classes": 'self.log("k", roc_auc_score(y.cpu(), p.cpu()))',
}


@pytest.mark.parametrize("lines", _ASSUMED.values(), ids=_ASSUMED)
def test_what_is_not_proven_is_assumed(lines: str, tmp_path: Path) -> None:
    before, _ = fixed(tmp_path, model(step(lines)))
    (only,) = before
    assert only.fix is not None
    assert only.fix.relation is Relation.ASSUMES
    assert "assumes" in only.fix.message


_OLD = {
    "one task is left": ("auroc(p, y)", Relation.CORRECTS, 'torchmetrics.AUROC(task="binary")'),
    "the loss tells": (
        'f1_score(p, y, average="macro", num_classes=self.num_classes)',
        Relation.CORRECTS,
        'task="multiclass"',
    ),
    "MONAI": (
        "compute_roc_auc(p.sigmoid().cpu(), y.cpu())",
        Relation.ASSUMES,
        "torchmetrics.classification.BinaryAUROC()",
    ),
}


@pytest.mark.parametrize(("call", "relation", "made"), _OLD.values(), ids=_OLD)
def test_calls_of_old_releases_become_objects_at_once(
    call: str, relation: Relation, made: str, tmp_path: Path
) -> None:
    text = model(step(f'F.cross_entropy(p, y)\nself.log("k", {call})'))
    text = "from monai.metrics import compute_roc_auc\n" + text
    if "sigmoid" in call:
        text = text.replace("F.cross_entropy(p, y)", "F.binary_cross_entropy_with_logits(p, y)")
    before, after = fixed(tmp_path, text)
    (only,) = before
    assert only.fix is not None
    assert only.fix.relation is relation
    assert made in after
    assert "self.val_k.update(p" in after


def test_one_dataloader_is_assumed_of_a_step_that_ignores_its_index(tmp_path: Path) -> None:
    line = 'self.log("k", auroc(p, y, task="binary"))'
    before, _ = fixed(tmp_path, model(step(line, extra=", dataloader_idx=0")))
    (only,) = before
    assert only.fix is not None
    assert "one dataloader" in only.fix.message


_BLOCKED = {
    "several dataloaders": (
        model(step('self.log("k", auroc(p, y, task="binary"))', extra=", dataloader_idx")),
        "create a torch.nn.ModuleList with one object for each dataloader",
    ),
    "set under a condition": (
        model(
            step(f'self.log("k", {_F1_OF.format("self.n")})'),
            'def setup(self, stage=None):\n    if stage == "fit":\n        self.n = 3',
        ),
        "is set under a condition at line",
    ),
    "mixin": (
        _HEAD.replace("class Model(pl.LightningModule):", "class Scores:").split("    def")[0]
        + indent(step('self.log("k", auroc(p, y, task="binary"))'), "    ")
        + "\n\n\nclass Model(pl.LightningModule, Scores):\n    pass\n",
        "mixin",
    ),
    "no task": (
        model(step('self.log("k", auroc(p, y, num_classes=self.num_classes))')),
        "task",
    ),
    "value of the step": (
        model(
            step(
                'n = len(x)\nself.log("k", f1_score(p, y, task="multiclass", num_classes=n, '
                'average="macro"))'
            )
        ),
        "worked out in the step",
    ),
    "scaled": (model(step('self.log("k", 100 * auroc(p, y, task="binary"))')), "goes through"),
    "rebound": (
        model(step('a = auroc(p, y, task="binary")\na = a * 1\nself.log("k", a)')),
        "more than one value",
    ),
    "under a condition": (
        model(step('a = auroc(p, y, task="binary")\nif batch_idx > 3:\n    self.log("k", a)')),
        "another condition",
    ),
    "in a loop": (
        model(step('for i in range(99):\n    self.log(f"k", auroc(p, y, task="binary"))')),
        "loop",
    ),
    "plain dict": (
        model(step('self.log("k", self.m["f1"](p, y))'), init=f'self.m = {{"f1": {_F1}}}'),
        "plain dict",
    ),
    "spread into a dict": (
        model(
            step('f = {"f": self.f1(p, y)}\nself.log_dict({**f, "n": 1.0})'),
            init=f"self.f1 = {_F1}",
        ),
        "takes in another dict at line",
    ),
    "made by a method": (
        model(
            step('d = self.pick({"f": self.f1(p, y)})\nself.log_dict(d)'),
            "def pick(self, found):\n    return found",
            init=f"self.f1 = {_F1}",
        ),
        'is `self.pick({"f": self.f1(p, y)})` at line',
    ),
    "of a callback": (
        "import lightning.pytorch as pl\nimport torchmetrics\n\n\n"
        "class Score(pl.Callback):\n"
        f"    def __init__(self):\n        self.f1 = {_F1}\n\n"
        "    def on_test_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):\n"
        '        self.log("f1", self.f1(outputs, batch))\n',
        "Score is a callback, and Lightning finds no Metric object that one holds",
    ),
    "reset elsewhere": (
        model(
            step('self.log("k", self.f1(p, y))'),
            "def on_validation_epoch_end(self):\n    self.f1.reset()",
            init=f"self.f1 = {_F1}",
        ),
        "reset at line",
    ),
    "by hand": (
        model(step('self.log("ppl", torch.exp(F.cross_entropy(p, y, weight=self.net.weight)))')),
        "weighted alike",
    ),
    "unknown argument": (
        model(step('self.log("k", sk_f1(y.cpu(), p.cpu(), sample_weight=x))')),
        "sample_weight",
    ),
}


@pytest.mark.parametrize(("text", "reason"), _BLOCKED.values(), ids=_BLOCKED)
def test_what_a_person_must_decide_is_said(text: str, reason: str, tmp_path: Path) -> None:
    before, after = fixed(tmp_path, text)
    assert after == dedent(text)
    (only,) = before
    assert only.fix is None
    assert reason in only.blocked


_MODULES = """
self.scores = torch.nn.ModuleDict(
    {
        "f1": torchmetrics.F1Score(task="multiclass", num_classes=3, average="macro"),
        "auroc": torchmetrics.AUROC(task="multiclass", num_classes=3),
    }
)
"""


@pytest.mark.parametrize(
    "lines",
    [
        'self.log_dict({f"val_{k}": m(p, y) for k, m in self.scores.items()}, prog_bar=True)',
        'found = {f"val_{k}": m(p, y) for k, m in self.scores.items()}\n'
        "self.log_dict(found, prog_bar=True)",
    ],
)
def test_a_dict_made_of_the_answers_of_objects_is_made_of_the_objects(
    lines: str, tmp_path: Path
) -> None:
    # Trained on lightning 2.6.6, batches of 4, 4 and 3: F1 0.141 and AUROC 0.192 before, 0.231 and
    # 0.467 after, which is what both are on all 11 samples.
    _, after = fixed(tmp_path, model(step(lines), init=_MODULES))
    assert "for m in self.scores.values():\n            m(p, y)\n" in after
    assert '{f"val_{k}": m for k, m in self.scores.items()}' in after


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (
            "found = {k: m(p, y) for k, m in self.scores.items()}\nprint(found)\n"
            "self.log_dict(found)",
            "does not go straight to log_dict",
        ),
        (
            "self.log_dict({k: m.forward(p, y) for k, m in self.scores.items()})",
            "made in more than one step",
        ),
        (
            "m = 3\nself.log_dict({k: m(p, y) for k, m in self.scores.items()})",
            "m has another meaning",
        ),
    ],
)
def test_why_a_dict_of_answers_cannot_be_one_of_objects(
    lines: str, reason: str, tmp_path: Path
) -> None:
    before, _ = fixed(tmp_path, model(step(lines), init=_MODULES))
    assert before
    assert all(reason in item.blocked for item in before)


@pytest.mark.parametrize("style", ["auto", "torchmetrics", "outputs"])
def test_the_style_of_epoch_end_hooks_does_not_keep_batch_values_wrong(
    style: str, tmp_path: Path
) -> None:
    lines = """
    self.log("val_auroc", auroc(p, y, task="binary"))
    self.log("val_f1", self.f1(p, y))
    self.log("val_ppl", torch.exp(F.cross_entropy(p, y)))
    """
    text = model(step(lines), init='self.f1 = torchmetrics.F1Score(task="binary")')
    projects.written(tmp_path, {"model.py": text})
    report = projects.fix(tmp_path, *FAMILY, style=style)
    assert sorted(item.code for item in report.fixed) == ["LM101", "LM102", "LM104"]


def test_one_place_that_logs_for_every_stage_is_one_finding(tmp_path: Path) -> None:
    shared = """
    def shared(self, batch, stage):
        x, y = batch
        found = {"auc": auroc(x, y, task="binary")}
        self.log_dict({f"{stage}_{k}": v for k, v in found.items()}, on_epoch=True)
    """
    steps = [
        f'def {hook}_step(self, batch, batch_idx):\n    self.shared(batch, "{stage}")'
        for hook, stage in (("training", "train"), ("validation", "val"))
    ]
    projects.written(tmp_path, {"model.py": model(shared, *steps)})
    (only,) = projects.check(tmp_path, *FAMILY).diagnostics
    assert only.message.startswith('"train_auc" / "val_auc" is the mean of batch values')
    assert only.keys == (("train", "train_auc"), ("val", "val_auc"))


@pytest.mark.parametrize(("names", "is_fixed"), [("r, _", True), ("r, chance", False)])
def test_the_first_of_two_results_is_the_metric(names: str, is_fixed: bool, tmp_path: Path) -> None:
    lines = f'{names} = pearsonr(p.cpu(), y.cpu())\nself.log("r", r)'
    if not is_fixed:
        lines += "\nprint(chance)"
    text = model(step(lines))
    _, after = fixed(tmp_path, text)
    assert ("self.val_r.update(p, y)" in after) == is_fixed
    assert (after == dedent(text)) != is_fixed


@pytest.mark.parametrize(
    ("loaders", "many"),
    [
        ("def val_dataloader(self):\n    return [self.one, self.two]", 2),
        ("def val_dataloader(self):\n    both = self.one, self.two\n    return both", 2),
        ("def val_dataloader(self):\n    return torch.utils.data.DataLoader(self.one)", 1),
    ],
)
def test_how_many_dataloaders_a_class_makes_is_no_assumption(
    tmp_path: Path, loaders: str, many: int
) -> None:
    line = 'self.log("val_f1", f1_score(p, y, task="binary"))'
    before, after = fixed(tmp_path, model(step(line, extra=", dataloader_idx=0"), loaders))
    assert [item.fix.relation for item in before if item.fix] == [Relation.CORRECTS]
    assert ("self.val_f1[dataloader_idx].update(p, y)" in after) == (many > 1)
    assert f"for _ in range({many})" in after or many == 1


@pytest.mark.parametrize(("given", "many"), [("train, [one, two]", 2), ("train, [one]", 1)])
def test_how_many_dataloaders_a_trainer_is_given_is_no_assumption(
    tmp_path: Path, given: str, many: int
) -> None:
    line = 'self.log("val_f1", f1_score(p, y, task="binary"))'
    text = model(step(line, extra=", dataloader_idx=0"))
    text += f"\n\ndef main(train, one, two):\n    pl.Trainer().fit(Model(None), {given})\n"
    before, after = fixed(tmp_path, text)
    assert [item.fix.relation for item in before if item.fix] == [Relation.CORRECTS]
    assert ("self.val_f1[dataloader_idx].update(p, y)" in after) == (many > 1)
