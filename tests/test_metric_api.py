"""Old metric names, arguments and tasks: what is found, written, and left to a person."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import projects
import pytest

from lintmetrics.codemod import Relation
from lintmetrics.diagnostics import Report

SAFE = frozenset((Relation.PRESERVES, Relation.CORRECTS))
CODES = ("LM301", "LM302", "LM303", "LM304", "LM305")

MODULE = """
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torchmetrics import Accuracy, F1Score


class Net(pl.LightningModule):
    def __init__(self, width, n_outputs):
        super().__init__()
        self.fc = torch.nn.Linear(width, n_outputs)
        self.accuracy = {metric}

    def forward(self, x):
        return self.fc(x.flatten(1))

    def training_step(self, batch, batch_idx):
        x, y = batch
        scores = self(x)
        self.accuracy({preds}, y)
        return {loss}
"""


def fixed(folder: Path, text: str, relations: frozenset[Relation] = SAFE) -> str:
    """Return a module after the fixes of some relations."""
    projects.written(folder, {"model.py": text})
    projects.fix(folder, *CODES, relations=relations)
    return (folder / "model.py").read_text(encoding="utf-8")


def found(folder: Path, text: str) -> Report:
    """Return what is found in a module."""
    projects.written(folder, {"model.py": text})
    return projects.check(folder, *CODES)


def blocked(folder: Path, text: str) -> str:
    """Return why the last finding in a module has no fix."""
    report = found(folder, text)
    assert report.diagnostics
    return report.diagnostics[-1].blocked


# Names --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (
            "from pytorch_lightning.metrics import MeanSquaredError as M\nm = M()\n",
            "from torchmetrics import MeanSquaredError as M\nm = M()\n",
        ),
        (
            "import pytorch_lightning as pl\nm = pl.metrics.MeanAbsoluteError(), pl.Trainer()\n",
            "import pytorch_lightning as pl\nimport torchmetrics\n"
            "m = torchmetrics.MeanAbsoluteError(), pl.Trainer()\n",
        ),
        (
            "from pytorch_lightning import metrics\nm = metrics.MeanAbsoluteError()\n",
            "import torchmetrics as metrics\nm = metrics.MeanAbsoluteError()\n",
        ),
        (
            "from pytorch_lightning.metrics import functional as FM\n"
            "v = FM.r2score(p, t), FM.mean_squared_error(p, t)\n",
            "from torchmetrics import functional as FM\n"
            "v = FM.r2_score(p, t), FM.mean_squared_error(p, t)\n",
        ),
        (
            "import pytorch_lightning.metrics.functional as pf\nv = pf.mean_squared_error(p, t)\n",
            "import torchmetrics.functional as pf\nv = pf.mean_squared_error(p, t)\n",
        ),
        (
            "import pytorch_lightning.metrics\nm = pytorch_lightning.metrics.MeanSquaredError()\n",
            "import torchmetrics\nm = torchmetrics.MeanSquaredError()\n",
        ),
        (
            "from torchmetrics import PearsonCorrcoef, MeanMetric\nm = PearsonCorrcoef()\n",
            "from torchmetrics import PearsonCorrCoef, MeanMetric\nm = PearsonCorrCoef()\n",
        ),
        (
            "from torchmetrics import SNR, MeanMetric, WER\nm = [SNR, WER]\n",
            "from torchmetrics import MeanMetric\nfrom torchmetrics.audio import SignalNoiseRatio\n"
            "from torchmetrics.text import WordErrorRate\nm = [SignalNoiseRatio, WordErrorRate]\n",
        ),
        (
            "from torchmetrics.regression.r2score import R2Score\nm = R2Score()\n",
            "from torchmetrics import R2Score\nm = R2Score()\n",
        ),
        (
            "def f():\n    from torchmetrics import AverageMeter\n    return AverageMeter()\n",
            "def f():\n    from torchmetrics import MeanMetric\n    return MeanMetric()\n",
        ),
        (
            "from torchmetrics import BLEUScore\nm = BLEUScore()\n",
            "from torchmetrics.text import BLEUScore\nm = BLEUScore()\n",
        ),
        (
            "import torchmetrics as tm\nm = tm.SNR()\n",
            "import torchmetrics as tm\nm = tm.audio.SignalNoiseRatio()\n",
        ),
    ],
)
def test_a_name_moves_with_everything_that_reads_it(tmp_path: Path, old: str, new: str) -> None:
    assert fixed(tmp_path, old) == new


def test_a_name_that_other_files_import_is_kept(tmp_path: Path) -> None:
    files = {
        "pack/__init__.py": "from torchmetrics import PearsonCorrcoef\n",
        "pack/use.py": "from pack import PearsonCorrcoef\n\nm = PearsonCorrcoef()\n",
    }
    projects.written(tmp_path, files)
    projects.fix(tmp_path, *CODES, relations=SAFE)
    init = (tmp_path / "pack/__init__.py").read_text(encoding="utf-8")
    assert init == "from torchmetrics import PearsonCorrCoef as PearsonCorrcoef\n"
    assert (tmp_path / "pack/use.py").read_text(encoding="utf-8") == files["pack/use.py"]


def test_an_import_that_a_failed_one_falls_back_to_is_left_alone(tmp_path: Path) -> None:
    text = """
    try:
        from torchmetrics import PearsonCorrCoef
    except ImportError:
        from torchmetrics import PearsonCorrcoef as PearsonCorrCoef
    """
    assert found(tmp_path, text).diagnostics == []


def test_a_call_behind_a_version_test_is_left_alone(tmp_path: Path) -> None:
    text = """
    import torchmetrics

    if torchmetrics.__version__ < "0.11":
        accuracy = torchmetrics.Accuracy()
    else:
        accuracy = torchmetrics.Accuracy(task="binary")
    """
    assert found(tmp_path, text).diagnostics == []


def test_an_import_waits_for_a_call_that_a_person_must_decide(tmp_path: Path) -> None:
    text = """
    from pytorch_lightning.metrics import Accuracy, MeanSquaredError

    accuracy = Accuracy()
    error = MeanSquaredError()
    """
    report = found(tmp_path, text)
    assert {d.code for d in report.diagnostics} == {"LM301", "LM302"}
    assert all("does not say the task" in d.blocked for d in report.diagnostics)
    assert fixed(tmp_path, text) == dedent(text)


def test_a_star_import_says_what_to_do(tmp_path: Path) -> None:
    assert "by name" in blocked(tmp_path, "from pytorch_lightning.metrics import *\n")


# Tasks --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        ("F1Score(num_classes=1)", 'task="binary"'),
        ("F1Score(num_classes=1, average='macro')", 'task="binary"'),
        ("Accuracy(num_classes=4, multilabel=True)", 'task="multilabel", num_labels=4'),
        ("Accuracy(top_k=2, num_classes=9)", 'task="multiclass", top_k=2, num_classes=9'),
        ("AUROC()", 'task="binary"'),
        ("AUROC(pos_label=1)", 'task="binary"'),
    ],
)
def test_arguments_that_admit_one_task_prove_it(tmp_path: Path, call: str, arguments: str) -> None:
    name = call.partition("(")[0]
    text = f'from torchmetrics import {name}\nmetric = {call}\nquoted = "", "", "", ""\n'
    assert f"metric = {name}({arguments})\n" in fixed(tmp_path, text)


@pytest.mark.parametrize(
    ("scores", "is_safe"),
    [
        ("torch.sigmoid(self.net(x))", True),
        ("self.net(x).sigmoid()", True),
        ("self.net(x).squeeze(1)", False),
        ("F.cosine_similarity(x, self.net(x))", False),
    ],
)
@pytest.mark.parametrize("name", ["AUROC", "AveragePrecision"])
def test_scores_that_may_leave_the_unit_interval_are_an_assumption(
    name: str, scores: str, is_safe: bool, tmp_path: Path
) -> None:
    text = f"""
    import pytorch_lightning as pl
    import torch
    import torch.nn.functional as F
    from torchmetrics import {name}


    class Net(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net
            self.score = {name}(compute_on_step=False)

        def validation_step(self, batch, batch_idx):
            x, y = batch
            self.score.update({scores}, y)
    """
    assert ('task="binary"' in fixed(tmp_path, text, SAFE)) is is_safe
    assert 'task="binary"' in fixed(tmp_path, text, frozenset(Relation))


@pytest.mark.parametrize(
    ("preds", "target", "call", "arguments"),
    [
        ("[0, 2, 1]", "[0, 1, 1]", "Accuracy()", 'task="multiclass", num_classes=3'),
        ("[[0.1, 0.9], [0.8, 0.2]]", "[1, 0]", "Accuracy()", 'task="multiclass", num_classes=2'),
        ("[0.2, 0.8]", "[0, 1]", "F1Score()", 'task="binary"'),
        (
            "[[0.2, 0.8], [0.9, 0.1]]",
            "[[0, 1], [1, 1]]",
            "F1Score(num_classes=2)",
            'task="multilabel", num_labels=2',
        ),
        ("[0, 1, 1]", "[0, 1, 0]", "F1Score(num_classes=2)", 'task="multiclass", num_classes=2'),
    ],
)
def test_written_out_tensors_prove_the_task(
    tmp_path: Path, preds: str, target: str, call: str, arguments: str
) -> None:
    name = call.partition("(")[0]
    text = dedent(f"""
    import torch
    from torchmetrics import {name}

    quoted = "", "", "", ""
    metric = {call}
    metric(torch.tensor({preds}), torch.tensor({target}))
    """)
    assert f"metric = {name}({arguments})\n" in fixed(tmp_path, text)


def test_a_loss_and_a_layer_that_share_the_tensors_prove_task_and_size(tmp_path: Path) -> None:
    loss = "F.cross_entropy(scores, y)"
    text = MODULE.format(metric="Accuracy()", preds="scores.argmax(1)", loss=loss)
    assert 'Accuracy(task="multiclass", num_classes=n_outputs)' in fixed(tmp_path, text)


def test_a_loss_on_other_tensors_is_no_proof(tmp_path: Path) -> None:
    loss = "F.cross_entropy(self.fc(x), y)"
    text = MODULE.format(metric="Accuracy()", preds="scores", loss=loss)
    assert fixed(tmp_path, text) == text
    every = fixed(tmp_path, text, projects.ALL)
    assert 'Accuracy(task="multiclass", num_classes=n_outputs)' in every


def test_raw_scores_of_a_binary_loss_are_corrected_and_said(tmp_path: Path) -> None:
    text = MODULE.format(
        metric="Accuracy()", preds="scores", loss="F.binary_cross_entropy_with_logits(scores, y)"
    ).replace("n_outputs)", "1)", 1)
    text = text.replace("torch.nn.Linear(width, n_outputs)", "torch.nn.Linear(width, 1)")
    text = text.replace("def __init__(self, width, 1)", "def __init__(self, width)")
    report = found(tmp_path, text)
    (finding,) = report.diagnostics
    assert finding.fix is not None
    assert finding.fix.relation is Relation.CORRECTS
    assert "sigmoid" in finding.fix.message


def test_a_function_takes_its_classes_from_the_scores_themselves(tmp_path: Path) -> None:
    text = """
    import torch.nn.functional as F
    from torchmetrics.functional import accuracy

    def step(model, x, y):
        scores = model(x)
        loss = F.cross_entropy(scores, y)
        return loss, accuracy(F.softmax(scores, dim=1), y)
    """
    wanted = 'accuracy(F.softmax(scores, dim=1), y, task="multiclass", num_classes=scores.shape[1])'
    assert wanted in fixed(tmp_path, text)


def test_several_labels_are_told_from_several_classes_by_the_flag(tmp_path: Path) -> None:
    text = """
    from torchmetrics import F1Score

    def make(config):
        return F1Score(num_classes=config.n, multiclass=False)
    """
    wanted = 'F1Score(task="multilabel", num_labels=config.n)'
    assert wanted in fixed(tmp_path, text, projects.ALL)


def test_a_size_whose_default_is_one_is_not_guessed(tmp_path: Path) -> None:
    text = """
    from torchmetrics import F1Score

    def make(num_classes=1):
        return F1Score(num_classes=num_classes)
    """
    assert "may be 1" in blocked(tmp_path, text)


# Arguments ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("R2Score(num_outputs=3)", "R2Score()"),
        ("RetrievalPrecision(k=3)", "RetrievalPrecision(top_k=3)"),
        (
            "MeanSquaredError(compute_on_step=False, squared=False)",
            "MeanSquaredError(squared=False)",
        ),
        (
            "MeanSquaredError(squared=False, compute_on_step=False)",
            "MeanSquaredError(squared=False)",
        ),
        (
            "StatScores(task='binary', mdmc_reduce='global')",
            "StatScores(task='binary', multidim_average='global')",
        ),
    ],
)
def test_a_removed_argument_goes_and_a_renamed_one_is_renamed(
    tmp_path: Path, old: str, new: str
) -> None:
    name = old.partition("(")[0]
    package = "torchmetrics.retrieval" if name.startswith("Retrieval") else "torchmetrics"
    text = f"from {package} import {name}\nmetric = {old}\n"
    assert fixed(tmp_path, text).endswith(f"metric = {new}\n")


def test_arguments_on_lines_of_their_own_keep_their_lines_and_comments(tmp_path: Path) -> None:
    text = """
    from torchmetrics import F1Score

    metric = F1Score(
        num_classes=5,  # the five species
        multilabel=True,
        average="macro",
    )
    """
    assert fixed(tmp_path, text) == dedent("""
    from torchmetrics import F1Score

    metric = F1Score(
        task="multilabel",
        num_labels=5,  # the five species
        average="macro",
    )
    """)


def test_comments_around_a_removed_argument_stay(tmp_path: Path) -> None:
    text = """
    from torchmetrics import MeanSquaredError

    metric = MeanSquaredError(
        squared=False,
        # the root of it
        compute_on_step=False,
    )
    """
    assert fixed(tmp_path, text) == dedent("""
    from torchmetrics import MeanSquaredError

    metric = MeanSquaredError(
        squared=False,
        # the root of it
    )
    """)


def test_a_comment_that_would_be_lost_blocks(tmp_path: Path) -> None:
    text = """
    from torchmetrics import R2Score

    metric = R2Score(
        num_outputs=3,  # x, y, z
        compute_on_step=False,
    )
    """
    assert "comment" in blocked(tmp_path, text)


def test_the_last_argument_takes_its_comma_along(tmp_path: Path) -> None:
    text = "from torchmetrics import R2Score\nmetric = R2Score(num_outputs=3,)\n"
    assert fixed(tmp_path, text).endswith("R2Score()\n")


def test_a_collection_keeps_the_keys_that_class_names_gave_it(tmp_path: Path) -> None:
    text = """
    from torchmetrics import F1, MeanMetric, MetricCollection

    metrics = MetricCollection(
        [F1(num_classes=1), MeanMetric()], prefix="val_"
    )
    """
    assert fixed(tmp_path, text) == dedent("""
    from torchmetrics import F1Score, MeanMetric, MetricCollection

    metrics = MetricCollection(
        {"F1": F1Score(task="binary"), "MeanMetric": MeanMetric()}, prefix="val_"
    )
    """)


def test_an_ambiguous_position_is_left_to_a_person(tmp_path: Path) -> None:
    text = "from torchmetrics.functional import f1\nvalue = f1(p, t, 5)\n"
    assert "num_classes or beta" in blocked(tmp_path, text)


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        ("AUROC(pos_label=0)", "1 - target"),
        ("JaccardIndex(num_classes=3, absent_score=1.0)", "zero_division"),
        ("Accuracy(num_classes=3, mdmc_average='samplewise')", "samplewise"),
        ("Precision(num_classes=3, sample_weights=w)", "nothing takes its place"),
    ],
)
def test_what_has_no_equal_call_says_what_to_decide(tmp_path: Path, call: str, reason: str) -> None:
    name = call.partition("(")[0]
    text = f"from torchmetrics import {name}\nmetric = {call}\n"
    if "sample_weights" in call:
        text = "from torchmetrics.functional import auroc\nv = auroc(p, t, sample_weights=w)\n"
    assert reason in blocked(tmp_path, text)


# Numbers that move --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("from torchmetrics import SSIM\nmetric = SSIM(data_range=1.0)\n", "borders"),
        (
            "from torchmetrics import F1Score\n"
            "metric = F1Score(num_classes=3, average='macro', ignore_index=0)\n",
            "left out",
        ),
        ("from torchmetrics import ROC\nmetric = ROC()\n", "first threshold"),
    ],
)
def test_a_number_that_changes_is_said(tmp_path: Path, text: str, part: str) -> None:
    fixes = [d.fix for d in found(tmp_path, text).diagnostics if d.fix]
    assert fixes
    assert all(fix.relation is not Relation.PRESERVES for fix in fixes)
    assert any(part in fix.message for fix in fixes)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (
            "from torchmetrics import F1Score\nm = F1Score(task='binary', average='macro')\n",
            "ignores",
        ),
        ("import torchmetrics\nm = torchmetrics.PeakSignalNoiseRatio()\n", "range of 3.0"),
        ("from torchmetrics import R2Score\nm = R2Score(3)\n", "as adjusted"),
    ],
)
def test_a_call_that_runs_and_misreads_is_found(tmp_path: Path, text: str, part: str) -> None:
    messages = [d.message for d in found(tmp_path, text).diagnostics if d.code == "LM304"]
    assert len(messages) == 1
    assert part in messages[0]


@pytest.mark.parametrize(
    "call",
    [
        "Accuracy(task='multiclass', num_classes=3)",
        "F1Score('binary')",
        "Accuracy(**options)",
        "Accuracy(task=task, num_classes=2, average='macro')",
        "MeanSquaredError(squared=False, dist_sync_on_step=True)",
        "MulticlassF1Score(num_classes=3, average='macro')",
        "JaccardIndex(task='multiclass', num_classes=3, zero_division=1.0)",
    ],
)
def test_a_call_of_today_is_quiet(tmp_path: Path, call: str) -> None:
    name = call.partition("(")[0]
    text = f"from torchmetrics.classification import {name}\nmetric = {call}\n"
    if name == "MeanSquaredError":
        text = text.replace(".classification", "")
    assert found(tmp_path, text).diagnostics == []


# Names without a plain successor ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (
            "from torchmetrics.functional import precision_recall\n"
            "v = precision_recall(p, t, num_classes=1)\n",
            "import torchmetrics\n"
            "v = (\n"
            '    torchmetrics.functional.precision(p, t, task="binary"),\n'
            '    torchmetrics.functional.recall(p, t, task="binary"),\n'
            ")\n",
        ),
        (
            "from pytorch_lightning.metrics.functional import psnr\nv = psnr(p, t)\n",
            "from torchmetrics.functional.image import peak_signal_noise_ratio\n"
            "v = peak_signal_noise_ratio(p, t, data_range=t.max() - t.min())\n",
        ),
        (
            "from pytorch_lightning.metrics.functional import embedding_similarity\n"
            "v = embedding_similarity(e, reduction='mean')\n",
            "from torchmetrics.functional import pairwise_cosine_similarity\n"
            "v = pairwise_cosine_similarity(e, reduction='mean')\n",
        ),
        (
            "from torchmetrics import PermutationInvariantTraining as PIT\nm = PIT(f, 'max')\n",
            "from torchmetrics.audio import PermutationInvariantTraining as PIT\n"
            "m = PIT(f, eval_func='max')\n",
        ),
    ],
)
def test_a_call_takes_another_shape_where_it_must(tmp_path: Path, old: str, new: str) -> None:
    assert fixed(tmp_path, old) == new


def test_tokens_become_strings(tmp_path: Path) -> None:
    text = """
    from pytorch_lightning.metrics.functional import bleu_score

    score = bleu_score(texts, refs)
    """
    assert fixed(tmp_path, text) == dedent("""
    from torchmetrics.functional.text import bleu_score

    score = bleu_score([" ".join(s) for s in texts], [[" ".join(r) for r in s] for s in refs])
    """)


# Custom metrics -----------------------------------------------------------------------------------


def test_positional_arguments_of_the_base_become_keywords(tmp_path: Path) -> None:
    text = """
    from pytorch_lightning.metrics import Metric


    class Total(Metric):
        def __init__(self, compute_on_step=True, dist_sync_on_step=False):
            super().__init__(compute_on_step, dist_sync_on_step)
    """
    assert fixed(tmp_path, text) == dedent("""
    from torchmetrics import Metric


    class Total(Metric):
        def __init__(self, compute_on_step=True, dist_sync_on_step=False):
            super().__init__(dist_sync_on_step=dist_sync_on_step)
    """)


def test_a_subclass_of_a_dispatcher_is_found(tmp_path: Path) -> None:
    text = """
    from torchmetrics import ROC


    class Curve(ROC):
        pass
    """
    assert "BinaryROC" in blocked(tmp_path, text)


# Real shapes --------------------------------------------------------------------------------------


def test_micro_accuracy_of_an_unknown_number_of_classes_needs_none(tmp_path: Path) -> None:
    text = """
    import torch
    from pytorch_lightning import LightningModule
    from torchmetrics import Accuracy


    class Net(LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net
            self.criterion = torch.nn.CrossEntropyLoss()
            self.train_acc = Accuracy()

        def step(self, batch):
            x, y = batch
            scores = self.net(x)
            loss = self.criterion(scores, y)
            return loss, torch.argmax(scores, dim=1), y

        def training_step(self, batch, batch_idx):
            loss, preds, targets = self.step(batch)
            self.train_acc(preds, targets)
            return loss
    """
    after = fixed(tmp_path, text)
    assert "from torchmetrics.classification import MulticlassAccuracy\n" in after
    assert 'self.train_acc = MulticlassAccuracy(average="micro")' in after


def test_two_losses_of_two_tasks_decide_nothing(tmp_path: Path) -> None:
    text = """
    import torch
    from pytorch_lightning import LightningModule
    from torchmetrics import F1Score


    class Net(LightningModule):
        def __init__(self, n_classes, several):
            super().__init__()
            self.loss = torch.nn.BCEWithLogitsLoss() if several else torch.nn.CrossEntropyLoss()
            self.f1 = F1Score(num_classes=n_classes)
    """
    assert "BCEWithLogitsLoss" in blocked(tmp_path, text)


def test_one_output_is_no_choice_between_classes(tmp_path: Path) -> None:
    loss = "F.cross_entropy(scores, y)"
    text = MODULE.format(metric="Accuracy()", preds="scores", loss=loss)
    text = text.replace("torch.nn.Linear(width, n_outputs)", "torch.nn.Linear(width, 1)")
    assert "two classes at least" in blocked(tmp_path, text)


def test_a_network_of_the_project_hands_its_width_on(tmp_path: Path) -> None:
    text = """
    import torch
    import torch.nn.functional as F
    from pytorch_lightning import LightningModule
    from torchmetrics import F1Score


    class Body(torch.nn.Module):
        def __init__(self, outputs):
            super().__init__()
            self.last = torch.nn.Linear(8, outputs)

        def forward(self, x):
            return self.last(x)


    class Net(LightningModule):
        def __init__(self, species):
            super().__init__()
            self.body = Body(outputs=species)
            self.f1 = F1Score()

        def training_step(self, batch, batch_idx):
            x, y = batch["image"], batch["label"]
            scores = self.body(x)
            self.f1(scores, y)
            return F.cross_entropy(scores, y)
    """
    assert 'F1Score(task="multiclass", num_classes=species)' in fixed(tmp_path, text)


def test_the_sklearn_metrics_of_old_say_where_to_go(tmp_path: Path) -> None:
    text = "from pytorch_lightning.metrics.sklearns import F1\nf1 = F1(average='macro')\n"
    report = found(tmp_path, text)
    assert projects.codes(report) == ["LM301"]
    assert "scikit-learn" in report.diagnostics[0].help


def test_labels_of_two_classes_gave_the_accuracy_and_the_fix_says_so(tmp_path: Path) -> None:
    text = """
    import torch
    import torch.nn.functional as F
    from pytorch_lightning import LightningModule
    from torchmetrics import Precision


    class Net(LightningModule):
        def __init__(self):
            super().__init__()
            self.net = torch.nn.Linear(8, 1)
            self.precision, self.other = Precision(), None

        def training_step(self, batch, batch_idx):
            x, y = batch
            scores = self.net(x)
            self.precision((torch.sigmoid(scores) > 0.5).int(), y)
            return F.binary_cross_entropy_with_logits(scores, y)
    """
    (finding,) = found(tmp_path, text).diagnostics
    assert finding.fix is not None
    assert finding.fix.relation is Relation.CORRECTS
    assert "was the accuracy" in finding.fix.message


def test_a_default_is_evaluated_outside_its_function(tmp_path: Path) -> None:
    text = """
    import torch.nn.functional as F
    from pytorch_lightning import LightningModule
    from torchmetrics import Accuracy


    class Net(LightningModule):
        def __init__(self, num_classes, metric=Accuracy()):
            super().__init__()
            self.metric = metric

        def training_step(self, batch, batch_idx):
            return F.cross_entropy(self(batch[0]), batch[1])
    """
    assert 'metric=MulticlassAccuracy(average="micro")' in fixed(tmp_path, text, projects.ALL)


def test_an_attribute_of_a_moved_function_moves_with_it(tmp_path: Path) -> None:
    old = (
        "import pytorch_lightning as pl\n"
        "same = name == pl.metrics.functional.r2score.__name__, pl.Trainer\n"
    )
    new = (
        "import pytorch_lightning as pl\nimport torchmetrics\n"
        "same = name == torchmetrics.functional.r2_score.__name__, pl.Trainer\n"
    )
    assert fixed(tmp_path, old) == new


@pytest.mark.parametrize(
    "text",
    [
        "metric = Accuracy(task='binary') if _TM_GE_0_11 else Accuracy()\n",
        "def make():\n    if version >= 11:\n        return Accuracy(task='binary')\n"
        "    return Accuracy()\n",
    ],
)
def test_the_old_side_of_a_version_test_is_left_alone(tmp_path: Path, text: str) -> None:
    assert found(tmp_path, "from torchmetrics import Accuracy\n" + text).diagnostics == []


def test_a_task_without_its_number_is_found_and_completed(tmp_path: Path) -> None:
    loss = "F.cross_entropy(scores, y)"
    metric = "Accuracy(task='multiclass')"
    text = MODULE.format(metric=metric, preds="scores", loss=loss)
    assert "Accuracy(task='multiclass', num_classes=n_outputs)" in fixed(tmp_path, text)
    alone = "from torchmetrics import F1Score\nmetric = F1Score(task='multilabel')\n"
    assert "num_labels" in blocked(tmp_path, alone)


FEEDS = """
import torch.nn as nn
from torchmetrics import MetricCollection
from torchmetrics.text import CharErrorRate, WordErrorRate


class Reader(nn.Module):
    def __init__(self, own):
        super().__init__()
        self.wer = WordErrorRate()
        self.stages = nn.ModuleDict({{"val": CharErrorRate(), "test": WordErrorRate()}})
        self.both = MetricCollection([WordErrorRate(), CharErrorRate()])
        self.own = own

    def read(self, said, meant, stage):
        local = self.wer.clone()
        return {call}
"""


@pytest.mark.parametrize(
    "metric",
    [
        "self.wer",
        "self.wer.update",
        "self.stages[stage]",
        "self.both.update",
        "local",
        "local.forward",
    ],
)
def test_a_metric_object_is_fed_by_the_names_of_today(tmp_path: Path, metric: str) -> None:
    text = FEEDS.format(call=f"{metric}(predictions=(said), references=meant)")
    assert f"{metric}(preds=(said), target=meant)\n" in fixed(tmp_path, text)


@pytest.mark.parametrize(
    "call",
    [
        "self.own(predictions=said, references=meant)",
        "stage(predictions=said, references=meant)",
        "self.wer(preds=said, target=meant)",
    ],
)
def test_what_is_no_metric_or_fed_rightly_keeps_its_keywords(tmp_path: Path, call: str) -> None:
    assert found(tmp_path, FEEDS.format(call=call)).diagnostics == []


def test_a_keyword_of_two_that_mean_one_is_dropped_by_a_person(tmp_path: Path) -> None:
    text = FEEDS.format(call="self.both(predictions=said, preds=meant)")
    (finding,) = found(tmp_path, text).diagnostics
    assert finding.code == "LM304"
    assert finding.fix is None


def test_an_object_that_took_tokens_is_fed_strings_only_on_an_assumption(tmp_path: Path) -> None:
    text = (
        "from torchmetrics import BLEUScore\nbleu = BLEUScore()\n"
        "bleu.update(reference_corpus=meant, translate_corpus=said)\n"
    )
    assert "update(reference_corpus=" in fixed(tmp_path, text)
    assert "bleu.update(target=meant, preds=said)" in fixed(tmp_path, text, projects.ALL)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("from torchmetrics.functional.multimodal import clip_score\nclip_score(images=a, text=b)",
         "clip_score(source=a, target=b)"),
        ("from torchmetrics.functional.text import rouge_score\nrouge_score(a, targets=b)\n",
         "rouge_score(a, target=b)"),
    ],
)  # fmt: skip
def test_a_function_is_given_the_names_of_today(tmp_path: Path, old: str, new: str) -> None:
    assert new in fixed(tmp_path, old)


# What 1.9 rejects or takes for something else, though nothing in it is old -----------------------


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("from torchmetrics import F1Score\nm = F1Score('multiclass', 5)\n", "LM304", "reads 5"),
        ("from torchmetrics.classification import BinaryF1Score as B\nB(2)\n", "LM304", "reads 2"),
        ("from torchmetrics.classification import MulticlassFBetaScore as M\nm = M(5, 2.0)\n",
         "LM304", "reads 2.0 as num_classes"),
        ("from torchmetrics import MeanSquaredError\nm = MeanSquaredError(False)\n",
         "LM304", "reads False as squared"),
        ("from torchmetrics import Accuracy\n"
         "m = Accuracy(task='multiclass', num_classes=3, threshold=0.7)\n", "LM304", "ignores thr"),
        ("from torchmetrics import AUROC\n"
         "m = AUROC(task='multilabel', num_labels=3, max_fpr=0.5)\n", "LM304", "ignores max_fpr"),
        ("from torchmetrics import MetricTracker, MeanSquaredError\n"
         "m = MetricTracker(MeanSquaredError(), maximize=True)\n", "LM304", "lower is better"),
        ("from torchmetrics import MetricTracker, Specificity\n"
         "m = MetricTracker(Specificity(task='binary'))\n", "LM304", "does not know"),
        ("from torchmetrics.image import PeakSignalNoiseRatio\nm = PeakSignalNoiseRatio()\n",
         "LM302", "without data_range"),
        ("from torchmetrics.retrieval import RetrievalMAP\nm = RetrievalMAP(k=2)\n",
         "LM303", "is given k"),
        ("from torchmetrics.segmentation import DiceScore\n"
         "m = DiceScore(num_classes=3, zero_division=0)\n", "LM303", "is given zero_division"),
        ("from torchmetrics import F1Score\n"
         "m = F1Score(task='multilabel', num_labels=3, average='samples')\n", "LM303", "samples"),
        ("from torchmetrics.text import BLEUScore\nbleu = BLEUScore()\nbleu(references, preds)\n",
         "LM304", "reads references as the predictions"),
        ("from torchmetrics.functional.text import bleu_score\nbleu_score([o.targets], o.preds)\n",
         "LM304", "reads [o.targets] as the predictions"),
    ],
)  # fmt: skip
def test_a_call_that_does_not_say_what_it_seems_is_found_once(
    tmp_path: Path, text: str, code: str, message: str
) -> None:
    (finding,) = found(tmp_path, text).diagnostics
    assert finding.code == code
    assert message in finding.message


@pytest.mark.parametrize(
    ("text", "consequence"),
    [
        # torchmetrics 1.9.0 refuses a mode called max with the first batch.
        (
            "from torchmetrics.audio import PermutationInvariantTraining as PIT\n"
            "m = PIT(f, 'max')\n",
            "crash",
        ),
        ("from torchmetrics.regression import R2Score\nm = R2Score(2)\n", "wrong-number"),
    ],
)
def test_what_raises_is_told_from_what_is_read_otherwise(
    tmp_path: Path, text: str, consequence: str
) -> None:
    (finding,) = found(tmp_path, text).diagnostics
    assert finding.consequence.value == consequence


@pytest.mark.parametrize(
    "text",
    [
        "from torchmetrics import Accuracy\nm = Accuracy('binary', 0.3)\n",
        "from torchmetrics import Accuracy\n"
        "m = Accuracy(task='multiclass', num_classes=3, threshold=0.5)\n",
        "from torchmetrics.classification import BinaryF1Score\nm = BinaryF1Score(0.3)\n",
        "from torchmetrics.classification import MulticlassFBetaScore as M\nm = M(2.0, 5)\n",
        "from torchmetrics import MetricTracker, MeanSquaredError\n"
        "m = MetricTracker(MeanSquaredError())\n",
        "from torchmetrics.image import PeakSignalNoiseRatio\nm = PeakSignalNoiseRatio(*options)\n",
        "from torchmetrics.text import BLEUScore\nbleu = BLEUScore()\nbleu(preds, references)\n",
        "from torchmetrics.text import BLEUScore\nbleu = BLEUScore()\nbleu(a, b)\n",
    ],
)
def test_a_call_that_says_what_it_means_is_left_alone(tmp_path: Path, text: str) -> None:
    assert found(tmp_path, text).diagnostics == []


def test_a_number_of_classes_by_its_place_is_named(tmp_path: Path) -> None:
    text = "from torchmetrics import F1Score\nm = F1Score('multiclass', 5)\n"
    assert "F1Score('multiclass', num_classes=5)" in fixed(tmp_path, text)


def test_an_average_over_samples_is_not_given_a_task_that_rejects_it(tmp_path: Path) -> None:
    text = "from torchmetrics import F1Score\nm = F1Score(num_classes=3, average='samples')\n"
    assert fixed(tmp_path, text, projects.ALL) == text


DECISIONS = """import torch
from torchmetrics.functional import hinge_loss
target = torch.tensor({target})
preds = torch.tensor({preds})
loss = hinge_loss(preds, target{options})
"""
COLUMNS = "[[-1.0, 0.9, 0.2], [0.5, -1.1, 0.8], [2.2, -0.5, 0.3]]"


@pytest.mark.parametrize(
    ("preds", "target", "options", "loss"),
    [
        ("[-2.2, 2.4, 0.1]", "[0, 1, 1]", "",
         "(1 - preds * (2 * target - 1)).clamp(min=0).mean()"),
        ("[-2.2, 2.4, 0.1]", "[0, 1, 1]", ", squared=True",
         "(1 - preds * (2 * target - 1)).clamp(min=0).pow(2).mean()"),
        (COLUMNS, "[0, 1, 2]", "",
         "(\n    (1 - preds.gather(1, target[:, None]) + "
         "preds.scatter(1, target[:, None], -torch.inf))\n"
         "    .amax(1)\n    .clamp(min=0)\n    .mean()\n)"),
        (COLUMNS, "[0, 1, 2]", ", multiclass_mode='one-vs-all'",
         "(1 - preds * (2 * torch.nn.functional.one_hot(target, 3) - 1)).clamp(min=0).mean(0)"),
    ],
)  # fmt: skip
def test_a_hinge_loss_of_decision_values_is_written_out(
    tmp_path: Path, preds: str, target: str, options: str, loss: str
) -> None:
    text = fixed(tmp_path, DECISIONS.format(preds=preds, target=target, options=options))
    assert text.endswith(f"loss = {loss}\n")
    assert "hinge" not in text


def test_a_hinge_loss_whose_shapes_are_not_known_is_left_to_a_person(tmp_path: Path) -> None:
    text = "from torchmetrics.functional import hinge_loss\nloss = hinge_loss(preds, target)\n"
    assert fixed(tmp_path, text, projects.ALL) == text


def test_groups_of_indexes_come_in_the_order_in_which_they_occur(tmp_path: Path) -> None:
    text = (
        "from torchmetrics.utilities.data import get_group_indexes\n"
        "groups = get_group_indexes(batch.indexes)\n"
    )
    assert fixed(tmp_path, text) == (
        "groups = [(batch.indexes == i).nonzero().flatten() "
        "for i in dict.fromkeys(batch.indexes.tolist())]\n"
    )
