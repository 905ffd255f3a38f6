"""Collections, wrappers and trackers of metrics: what they refuse, lose or cannot take apart."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent, indent

import projects
import pytest

from lintmetrics import runner
from lintmetrics.config import CommandLine, Configuration
from lintmetrics.sources import discover

HEAD = """\
import lightning.pytorch as pl
import pytest
import torch
import torchmetrics
from torch import nn
from torchmetrics import Accuracy, CohenKappa, F1Score, MeanMetric, MeanSquaredError, Metric
from torchmetrics import ClasswiseWrapper, ConfusionMatrix, MetricCollection, MetricTracker
from torchmetrics import MinMaxMetric, R2Score, SumMetric
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score
from torchmetrics.classification import MulticlassF1Score as Score
from torchmetrics.detection import MeanAveragePrecision
from torchmetrics.image import PeakSignalNoiseRatio


"""
CODES = ("LM304", "LM326", "LM327", "LM328", "LM603")


def found(folder: Path, texts: dict[str, str], target: str = "") -> dict[str, set[str]]:
    """Return what is found in each text, as a project of its own."""
    names = {str(number): name for number, name in enumerate(texts)}
    for number, name in names.items():
        # Files of one run may look for a name in each other.
        thing = HEAD + dedent(texts[name]).replace(".tracker", f".tracker_{number}")
        files = {f"{number}/pyproject.toml": "", f"{number}/thing.py": thing}
        projects.written(folder, files)
    targets = (target,) if target else ()
    settings = Configuration(CommandLine(select=CODES, isolated=True, target=targets)).settings_for
    files_found, _ = discover([str(folder)], settings)
    report = runner.check(files_found, settings, 1)
    assert not report.failures, report.failures
    codes: dict[str, set[str]] = {name: set() for name in texts}
    for diagnostic in report.diagnostics:
        assert diagnostic.fix is not None or diagnostic.blocked
        codes[names[Path(diagnostic.path).parent.name]].add(diagnostic.code)
    return codes


def module(held: str, step: str = "pass", end: str = "pass", rest: str = "") -> str:
    """Return a module from what it holds, a step of it and what it does behind the epoch."""

    def body(text: str, spaces: int) -> str:
        return indent(dedent(text).strip("\n"), " " * spaces) + "\n"

    text = "class Thing(pl.LightningModule):\n    def __init__(self, net):\n"
    text += "        super().__init__()\n        self.net = net\n" + body(held, 8)
    text += "\n    def validation_step(self, batch, batch_idx):\n        x, y = batch\n"
    text += body(step, 8) + "\n    def on_validation_epoch_end(self):\n" + body(end, 8)
    return text + ("\n" + body(rest, 4) if rest else "")


MAP = "self.map = MeanAveragePrecision()"
FED = "self.map.update(x, y)"
TRACKER = "self.tracker = MetricTracker(R2Score())"

FOUND = {
    # LM326: names
    "two in a list": ("LM326", "MetricCollection([MeanMetric(), MeanMetric()])"),
    "two in a tuple": ("LM326", "MetricCollection((MeanMetric(), SumMetric(), MeanMetric()))"),
    "two arguments": ("LM326", "MetricCollection(MeanMetric(), MeanMetric())"),
    "by an alias": ("LM326", "MetricCollection([Score(3), MulticlassF1Score(3, average='micro')])"),
    "a dispatcher and its class": (
        "LM326",
        "MetricCollection([Accuracy(task='multiclass', num_classes=3), MulticlassAccuracy(3)])",
    ),
    "one task for both": (
        "LM326",
        """
        def make(task):
            return MetricCollection([F1Score(task=task), F1Score(task=task, average="macro")])
        """,
    ),
    "one object twice": ("LM326", "mean = MeanMetric()\nMetricCollection([mean, mean])"),
    "a list by name": (
        "LM326",
        "def make():\n    all = [MeanMetric(), MeanMetric()]\n    return MetricCollection(all)",
    ),
    "lost in a collection": (
        "LM326",
        "MetricCollection([MeanMetric(), MetricCollection([MeanMetric()])])",
    ),
    "a number for a name": ("LM326", "MetricCollection({1: MeanMetric()})"),
    "a dot": ("LM326", "MetricCollection({'a.b': MeanMetric()})"),
    "no name": ("LM326", "MetricCollection({'': MeanMetric()})"),
    "a method of a collection": ("LM326", "MetricCollection({'compute': MeanMetric()})"),
    "train in a collection": ("LM326", "MetricCollection(dict(train=MeanMetric()))"),
    "train in a ModuleDict": ("LM326", "nn.ModuleDict({'train': MeanMetric()})"),
    "each stage": (
        "LM326",
        "nn.ModuleDict({s: MetricCollection([MeanMetric()]) for s in ('train', 'val')})",
    ),
    "a copy": ("LM326", "nn.ModuleDict({'type': MeanMetric().clone()})"),
    "added later": (
        "LM326",
        module("self.all = nn.ModuleDict()\nself.all['train'] = MeanMetric()"),
    ),
    # LM327: classes
    "averaged": ("LM327", "ClasswiseWrapper(Accuracy(task='multiclass', num_classes=3))"),
    "averaged by default": ("LM327", "ClasswiseWrapper(MulticlassAccuracy(3))"),
    "averaged by position": ("LM327", "ClasswiseWrapper(MulticlassAccuracy(3, 1, 'weighted'))"),
    "one number": ("LM327", "ClasswiseWrapper(CohenKappa(task='multiclass', num_classes=3))"),
    "too few labels": (
        "LM327",
        "ClasswiseWrapper(MulticlassAccuracy(3, average=None), labels=['a', 'b'])",
    ),
    "too many labels": (
        "LM327",
        "ClasswiseWrapper(MulticlassAccuracy(num_classes=2, average=None), ['a', 'b', 'c'])",
    ),
    # LM328: trackers
    "never started": (
        "LM328",
        module(TRACKER, "self.tracker.update(x, y)", "self.log('r2', self.tracker.compute())"),
    ),
    "called": ("LM328", module(TRACKER, "self.tracker(x, y)")),
    "a local one": ("LM328", "tracker = MetricTracker(R2Score())\ntracker.update(1, 2)"),
    # LM304: directions, keywords
    "mixed, all high": (
        "LM304",
        "MetricTracker(MetricCollection([MeanSquaredError(), R2Score()]), maximize=True)",
    ),
    "mixed, all low": (
        "LM304",
        "MetricTracker(MetricCollection({'m': MeanSquaredError(), 'r': R2Score()}), False)",
    ),
    "a keyword that nothing takes": (
        "LM304",
        module(
            "self.all = MetricCollection([MeanSquaredError(), R2Score()])",
            "self.all.update(preds=x, target=y, weights=y)",
        ),
    ),
    # LM603: what log_dict refuses
    "classes": ("LM603", module(MAP, FED, "self.log_dict(self.map.compute())")),
    "classes by name": (
        "LM603",
        module(MAP, FED, "found = self.map.compute()\nself.log_dict(found)"),
    ),
    "classes under new keys": (
        "LM603",
        module(
            MAP,
            FED,
            """
            found = self.map.compute()
            found = {"val/" + k: v for k, v in found.items()}
            found["best"] = found["val/map"]
            self.log_dict(found)
            """,
        ),
    ),
    "classes in a loop": (
        "LM603",
        module(MAP, FED, "for k, v in self.map.compute().items():\n    self.log(f'val_{k}', v)"),
    ),
    "classes of a collection": (
        "LM603",
        module(
            "self.map = MetricCollection({'map': MeanAveragePrecision()})",
            FED,
            "self.log_dict(self.map.compute())",
        ),
    ),
    "a dict of a member": (
        "LM603",
        module(
            "self.map = MetricCollection({'map': MeanAveragePrecision()})",
            f"{FED}\nself.log_dict(self.map)",
        ),
    ),
    "each class": (
        "LM603",
        module(
            "self.map = MeanAveragePrecision(class_metrics=True)",
            FED,
            "self.log_dict(self.map.compute())",
        ),
    ),
    "an extended summary": (
        "LM603",
        module(
            "self.map = MeanAveragePrecision(extended_summary=True)",
            FED,
            "self.log_dict({**self.map.compute()})",
        ),
    ),
    "a matrix of a member": (
        "LM603",
        module(
            "self.all = MetricCollection([ConfusionMatrix(task='binary')])",
            "self.all.update(x, y)\nself.log_dict(self.all)",
        ),
    ),
    "a matrix among what is computed": (
        "LM603",
        module(
            "self.all = MetricCollection([ConfusionMatrix(task='binary')])",
            "self.all.update(x, y)",
            "self.log_dict(self.all.compute())",
        ),
    ),
    "an object for a dict": (
        "LM603",
        module("self.r2 = R2Score()", "self.r2.update(x, y)\nself.log_dict(self.r2, True)"),
    ),
    "a tracker": (
        "LM603",
        module(
            TRACKER,
            "self.tracker.increment()\nself.tracker.update(x, y)\nself.log('r2', self.tracker)",
        ),
    ),
}


@pytest.fixture(scope="module")
def codes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """What is found in every text of the two tables."""
    texts = {name: text for name, (_, text) in FOUND.items()}
    return found(tmp_path_factory.mktemp("all"), {**texts, **_named(QUIET)})


@pytest.mark.parametrize("name", FOUND)
def test_what_a_container_refuses_or_loses_is_found(name: str, codes: dict[str, set[str]]) -> None:
    assert codes[name] == {FOUND[name][0]}


def _named(texts: dict[str, str]) -> dict[str, str]:
    """Return the right texts under names that none of the wrong ones has."""
    return {f"right: {name}": text for name, text in texts.items()}


QUIET = {
    "an entry of a dict that is written down": module(
        "self.r2 = R2Score()",
        "self._scores(x, y, self.stage)",
        rest="""
        def _scores(self, x, y, stage):
            self.r2(x, y)
            self.log_dict({f"{stage}_loss": x.mean(), f"{stage}_r2": self.r2}, on_epoch=True)
        """,
    ),
    "other tasks": (
        "MetricCollection([F1Score(task='binary'), F1Score(task='multiclass', num_classes=3)])"
    ),
    "tasks that are not known": """
        def make(one, other):
            return MetricCollection([F1Score(task=one), F1Score(task=other)])
        """,
    "a shim beside its successor": (
        "MetricCollection([PeakSignalNoiseRatio(1.0), torchmetrics.PeakSignalNoiseRatio(1.0)])"
    ),
    "names of their own": "MetricCollection({'a': MeanMetric(), 'b': MeanMetric()})",
    "names that are free": "MetricCollection({'get': MeanMetric(), 'metrics': SumMetric()})",
    "free in a ModuleDict": "nn.ModuleDict({'compute': MeanMetric(), 'val': MeanMetric()})",
    "no metrics": "nn.ModuleDict({'train': nn.Linear(1, 1)})",
    "a plain dict": "stages = {'train': MeanMetric(), 'val': MeanMetric()}",
    "apart by their prefixes": (
        "MetricCollection([MetricCollection([MeanMetric()], prefix='a_'),\n"
        "    MetricCollection([MeanMetric()], prefix='b_')])"
    ),
    "a list that grows": """
        def make(more):
            all = [MeanMetric()]
            all.append(SumMetric())
            return MetricCollection(all)
        """,
    "members that are given": "def make(a, b):\n    return MetricCollection([a, b])",
    "unpacked": "def make(more):\n    return MetricCollection([*more, MeanMetric(), *more])",
    "a name made at run time": "def make(n):\n    return nn.ModuleDict({f'{n}': MeanMetric()})",
    "a name of another file": "from keys import K\nnn.ModuleDict({K: MeanMetric()})",
    "an expected error": """
        def test_it():
            with pytest.raises(ValueError):
                MetricCollection([MeanMetric(), MeanMetric()])
        """,
    "a dict of a module, added to": module("self.all = {}\nself.all['train'] = MeanMetric()"),
    "each class": "ClasswiseWrapper(MulticlassAccuracy(num_classes=3, average=None))",
    "each class in a word": "ClasswiseWrapper(MulticlassAccuracy(3, average='none'), list('abc'))",
    "a matrix": "ClasswiseWrapper(ConfusionMatrix(task='multiclass', num_classes=3))",
    "each sample": "ClasswiseWrapper(MulticlassAccuracy(3, multidim_average='samplewise'))",
    "an average that is given": """
        def make(how, names):
            return ClasswiseWrapper(MulticlassAccuracy(3, average=how), labels=names)
        """,
    "classes that are given": """
        def make(n):
            return ClasswiseWrapper(MulticlassAccuracy(n, average=None), labels=["a"])
        """,
    "labels enough": "ClasswiseWrapper(MulticlassAccuracy(2, average=None), labels=['a', 'b'])",
    "a task that is given": "def make(t):\n    return ClasswiseWrapper(Accuracy(task=t))",
    "started": module(
        TRACKER,
        "self.tracker.update(x, y)",
        rest="def on_validation_epoch_start(self):\n    self.tracker.increment()",
    ),
    "started elsewhere": module(TRACKER, "self.tracker.update(x, y)")
    + "\n\ndef start(thing):\n    thing.tracker.increment()\n",
    "handed on": module(TRACKER, "self.tracker.update(x, y)\nprint(self.tracker)"),
    "started in a loop": module(
        TRACKER,
        "self.tracker.update(x, y)",
        rest="""
        def on_validation_epoch_start(self):
            for part in self.modules():
                if isinstance(part, MetricTracker):
                    part.increment()
        """,
    ),
    "started by its name": module(
        TRACKER,
        "self.tracker.update(x, y)",
        rest="def start(self, name):\n    getattr(self, name).increment()",
    ),
    "a class that makes others": """
        class Ours(Metric):
            def __new__(cls, task):
                return make(task)

        MetricCollection([Ours("a"), Ours("b")])
        """,
    "never used": module(TRACKER),
    "one direction for each": (
        "MetricTracker(MetricCollection([MeanSquaredError(), R2Score()]), maximize=[False, True])"
    ),
    "directions of their own": "MetricTracker(MetricCollection([MeanSquaredError(), R2Score()]))",
    "one direction that fits": (
        "MetricTracker(MetricCollection([R2Score(), Accuracy(task='binary')]), maximize=True)"
    ),
    "a keyword that one takes": module(
        "self.all = MetricCollection([MeanSquaredError(), R2Score(), MeanMetric()])",
        "self.all.update(preds=x, target=y, value=y, weight=y)",
    ),
    "a member that is not known": module(
        "self.all = MetricCollection([MeanSquaredError(), MinMaxMetric(R2Score())])",
        "self.all.update(preds=x, target=y, other=y)",
    ),
    "without classes": module(
        MAP,
        FED,
        "found = self.map.compute()\nfound.pop('classes')\nself.log_dict(found)",
    ),
    "classes deleted": module(
        MAP,
        FED,
        "found = self.map.compute()\ndel found['classes']\nself.log_dict(found)",
    ),
    "classes left out": module(
        MAP,
        FED,
        """
        found = self.map.compute()
        found = {k: v for k, v in found.items() if k != "classes"}
        self.log_dict(found)
        """,
    ),
    "classes averaged": module(
        MAP, FED, "self.log_dict({k: v.mean() for k, v in self.map.compute().items()})"
    ),
    "classes passed over": module(
        MAP,
        FED,
        """
        for k, v in self.map.compute().items():
            if k == "classes":
                continue
            self.log(k, v)
        """,
    ),
    "single numbers alone": module(
        MAP,
        FED,
        "for k, v in self.map.compute().items():\n    if v.numel() == 1:\n        self.log(k, v)",
    ),
    "cleaned elsewhere": module(
        MAP, FED, "found = self.map.compute()\nclean(found)\nself.log_dict(found)"
    ),
    "one entry": module(MAP, FED, "self.log('map', self.map.compute()['map'])"),
    "a dict of dicts": module(
        "self.all = MetricCollection([MinMaxMetric(R2Score())])",
        "self.all.update(x, y)",
        "self.log_dict(self.all.compute())",
    ),
    "the best of a tracker": module(
        TRACKER,
        "self.tracker.increment()\nself.tracker.update(x, y)",
        "self.log('best', self.tracker.best_metric())",
    ),
}


@pytest.mark.parametrize("name", QUIET)
def test_what_a_container_takes_is_not_found(name: str, codes: dict[str, set[str]]) -> None:
    assert codes[f"right: {name}"] == set()


def test_the_vector_of_classes_came_with_torchmetrics_1(tmp_path: Path) -> None:
    texts = {"old": module(MAP, FED, "self.log_dict(self.map.compute())")}
    assert found(tmp_path, texts, "torchmetrics=0.11") == {"old": set()}


def test_a_name_in_another_file_is_followed(tmp_path: Path) -> None:
    projects.written(
        tmp_path,
        {
            "scores.py": """
                from torchmetrics.classification import MulticlassF1Score

                class Ours(MulticlassF1Score):
                    pass
                """,
            "thing.py": """
                from scores import Ours
                from torchmetrics import MetricCollection

                MetricCollection([Ours(3), Ours(4)])
                """,
        },
    )
    (diagnostic,) = projects.check(tmp_path, "LM326").diagnostics
    assert "two metrics of the class Ours" in diagnostic.message
