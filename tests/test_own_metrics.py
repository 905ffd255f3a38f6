"""Metric objects and classes that raise where they are made, or make another number than meant."""

from __future__ import annotations

import re
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
import torch.nn.functional as F
import torchmetrics
from abc import ABC, abstractmethod
from torch import nn
from torchmetrics import MeanMetric, Metric, MetricCollection
from torchmetrics.functional import retrieval_average_precision
from torchmetrics.functional.segmentation import mean_iou
from torchmetrics.image import StructuralSimilarityIndexMeasure
from torchmetrics.retrieval import RetrievalMAP, RetrievalMRR, RetrievalNormalizedDCG


"""
CODES = ("LM130", "LM131", "LM132", "LM304", "LM325", "LM329")


def found(folder: Path, texts: dict[str, str], target: str = "") -> dict[str, set[str]]:
    """Return what is found in each text, as a project of its own."""
    names = {str(number): name for number, name in enumerate(texts)}
    for number, name in names.items():
        # Files of one run may look for a name in each other.
        thing = HEAD + re.sub(r"\bOwn\b", f"Own{number}", dedent(texts[name]))
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


def state(
    update: str,
    reduction: str = "sum",
    default: str = "torch.tensor(0.0)",
    compute: str = "return self.x",
    flag: str = "full_state_update = False",
) -> str:
    """Return a metric with the states ``x`` and ``n``."""
    text = f"class Own(Metric):\n    {flag or 'pass'}\n\n    def __init__(self):\n"
    text += "        super().__init__()\n"
    text += f'        self.add_state("x", {default}, dist_reduce_fx="{reduction}")\n'
    if "self.n" in update:
        text += '        self.add_state("n", torch.tensor(0.0), dist_reduce_fx="sum")\n'
    text += "\n    def update(self, v):\n" + indent(dedent(update).strip("\n"), " " * 8)
    return text + f"\n\n    def compute(self):\n        {compute}\n"


UNFINISHED = """
class Own(Metric):
    def update(self, v):
        pass
"""
FEED = """
class Thing(nn.Module):
    def __init__(self):
        super().__init__()
        self.map = {}
        self.ndcg = RetrievalNormalizedDCG()
        self.cosine = nn.CosineSimilarity()

    def feed(self, x, y, i, dist):
        {}
"""
MAP = "RetrievalMAP()"

FOUND = {
    "no compute": ("LM325", UNFINISHED + "\n\nOwn()"),
    "no update": ("LM325", "class Own(Metric):\n    def compute(self):\n        return 1\n\nOwn()"),
    "nothing in the base either": (
        "LM325",
        UNFINISHED + "\n\nclass Below(Own):\n    pass\n\n\nBelow()",
    ),
    "a metric before super": (
        "LM130",
        """
        class Thing(pl.LightningModule):
            def __init__(self):
                self.size = 3
                self.mean = MeanMetric()
                super().__init__()
        """,
    ),
    "a container before super": (
        "LM130",
        """
        class Thing(nn.Module):
            def __init__(self):
                self.all = nn.ModuleDict({"a": MeanMetric()})
                nn.Module.__init__(self)
        """,
    ),
    "a state before super": (
        "LM130",
        """
        class Own(Metric):
            def __init__(self):
                self.add_state("x", torch.tensor(0.0), dist_reduce_fx="sum")
                super().__init__()

            def update(self, v):
                self.x += v

            def compute(self):
                return self.x
        """,
    ),
    "no super at all": (
        "LM130",
        """
        class Thing(pl.LightningModule):
            def __init__(self):
                self.mean = MeanMetric()
        """,
    ),
    "double": ("LM131", "MeanMetric().double()"),
    "half of an attribute": (
        "LM131",
        """
        class Thing(nn.Module):
            def __init__(self):
                super().__init__()
                self.mean = MeanMetric()
                self.mean.half()
        """,
    ),
    "type": ("LM131", "mean = MeanMetric()\nmean.type(torch.float64)"),
    "of a collection": ("LM131", "MetricCollection([MeanMetric()]).double()"),
    "distances": ("LM132", FEED.format(MAP, "self.map(-dist, y, indexes=i)")),
    "distances by keyword": (
        "LM132",
        FEED.format(MAP, "self.map.update(preds=-torch.cdist(x, x), target=y, indexes=i)"),
    ),
    "log-probabilities by name": (
        "LM132",
        FEED.format("RetrievalMRR()", "s = F.log_softmax(x, -1)\n        self.map(s, y, i)"),
    ),
    "cosines": ("LM132", FEED.format(MAP, "self.map(self.cosine(x, x), y, i)")),
    "logits": ("LM132", FEED.format(MAP, "logits = self.net(x)\n        self.map(logits, y, i)")),
    "logits of an object made in place": (
        "LM132",
        "def score(logits, y, i):\n    return RetrievalMRR()(logits, y, indexes=i).item()",
    ),
    "to a function": (
        "LM132",
        FEED.format(MAP, "retrieval_average_precision(-x.norm(dim=1), y)"),
    ),
    "to one of a collection": (
        "LM132",
        FEED.format(
            "MetricCollection([RetrievalMAP(), RetrievalNormalizedDCG()])",
            "self.map(-dist, y, indexes=i)",
        ),
    ),
    "several sentences": ("LM304", "torchmetrics.text.bert.BERTScore()"),
    "several sentences, by function": (
        "LM304",
        "def score(a, b):\n    return torchmetrics.functional.text.bert.bert_score(a, b)",
    ),
    "a range for each batch": ("LM304", "StructuralSimilarityIndexMeasure()"),
    "absent classes in a mean": (
        "LM304",
        "def score(a, b):\n    return mean_iou(a, b, 3, per_class=True).mean()",
    ),
    "absent classes in a mean by name": (
        "LM304",
        "def score(a, b):\n    s = mean_iou(a, b, 3, per_class=True)\n    return torch.mean(s)",
    ),
    "a bool for num_outputs": ("LM304", "torchmetrics.PearsonCorrCoef(False)"),
    "a bool for ignore_index": ("LM304", "RetrievalMAP('neg', False)"),
    "a product": ("LM329", state("self.x = self.x * v.sum()", default="torch.tensor(1.0)")),
    "a product in place": ("LM329", state("self.x *= v.sum()", default="torch.tensor(1.0)")),
    "a decayed mean": ("LM329", state("self.x = 0.9 * self.x + 0.1 * v.mean()", "mean")),
    "a running mean": (
        "LM329",
        state("self.x = (self.x * self.n + v.sum()) / (self.n + 1)\nself.n += 1", "mean"),
    ),
    "added to a mean": ("LM329", state("self.x += v.sum()", "mean")),
    "begun above 0": ("LM329", state("self.x += v.sum()", default="torch.ones(3)")),
    "a cap": ("LM329", state("if self.n < 2:\n    self.x += v.sum()\nself.n += 1")),
    "the first batch": ("LM329", state("if self.n == 0:\n    self.x = v[0]\nself.n += 1")),
    "one state in another": (
        "LM329",
        state("self.n += self.x + v.sum()\nself.x += v.sum()", compute="return self.x + self.n"),
    ),
    "so many of a list": (
        "LM329",
        state(
            "if len(self.x) < 4:\n    self.x.append(v)",
            "cat",
            "[]",
            "return torchmetrics.utilities.dim_zero_cat(self.x)",
        ),
    ),
}


@pytest.fixture(scope="module")
def codes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """What is found in every text of the two tables."""
    texts = {name: text for name, (_, text) in FOUND.items()}
    right = {f"right: {name}": text for name, text in QUIET.items()}
    return found(tmp_path_factory.mktemp("all"), {**texts, **right})


@pytest.mark.parametrize("name", FOUND)
def test_what_raises_or_makes_another_number_is_found(
    name: str, codes: dict[str, set[str]]
) -> None:
    assert codes[name] == {FOUND[name][0]}


FINISHED = """
class Whole(Own):
    def compute(self):
        return 1


Whole()
"""

QUIET = {
    "a base that is never made": UNFINISHED + FINISHED,
    "an abstract base": """
        class Own(Metric, ABC):
            @abstractmethod
            def update(self, v): ...

            @abstractmethod
            def compute(self): ...
        """,
    "given by a mixin": """
        class Sums:
            def compute(self):
                return 1

        class Own(Sums, Metric):
            def update(self, v):
                pass

        Own()
        """,
    "given by an assignment": """
        def total(self):
            return 1

        class Own(Metric):
            compute = total

            def update(self, v):
                pass

        Own()
        """,
    "given from outside": UNFINISHED + "\n\nOwn.compute = lambda self: 1\nOwn()",
    "of another library's base": """
        from somewhere import Base

        class Own(Base, Metric):
            def update(self, v):
                pass

        Own()
        """,
    "an expected error": UNFINISHED + "\n\nwith pytest.raises(TypeError):\n    Own()",
    "behind super": """
        class Thing(pl.LightningModule):
            def __init__(self):
                super().__init__()
                self.mean = MeanMetric()
        """,
    "a local metric before super": """
        class Thing(pl.LightningModule):
            def __init__(self):
                mean = MeanMetric()
                super().__init__()
                self.mean = mean
        """,
    "a number before super": """
        class Thing(pl.LightningModule):
            def __init__(self):
                self.size = 3
                super().__init__()
        """,
    "a plain list before super": """
        class Thing(pl.LightningModule):
            def __init__(self):
                self.all = [MeanMetric()]
                super().__init__()
        """,
    "a base called through a helper": """
        class Thing(pl.LightningModule):
            def __init__(self):
                self.begin()
                self.mean = MeanMetric()

            def begin(self):
                super().__init__()
        """,
    "begun by a class below": """
        class Part(nn.Module):
            def __init__(self):
                self.mean = MeanMetric()

        class Thing(pl.LightningModule, Part):
            def __init__(self):
                pl.LightningModule.__init__(self)
                Part.__init__(self)
        """,
    "no module": """
        class Holder:
            def __init__(self):
                self.mean = MeanMetric()
        """,
    "a callback": """
        class Watch(pl.Callback):
            def __init__(self):
                self.mean = MeanMetric()
                super().__init__()
        """,
    "no __init__ of its own": "class Thing(pl.LightningModule):\n    pass",
    "set_dtype": "MeanMetric().set_dtype(torch.float64)",
    "to": "MeanMetric().to(torch.float64)",
    "float": "MeanMetric().float()",
    "a module": "nn.Linear(1, 1).double()",
    "what a metric computes": "MeanMetric().compute().double()",
    "a double of its own": """
        class Own(MeanMetric):
            def double(self):
                return self.set_dtype(torch.float64)

        Own().double()
        """,
    "another metric": FEED.format(MAP, "self.ndcg(-dist, y, indexes=i)"),
    "what may be above 0": FEED.format(MAP, "self.map(-x, y, indexes=i)"),
    "similarities": FEED.format(MAP, "self.map(1 - dist, y, indexes=i)"),
    "exponentials": FEED.format(MAP, "self.map(torch.exp(-dist), y, indexes=i)"),
    "probabilities": FEED.format(MAP, "self.map(x.softmax(-1), y, indexes=i)"),
    "logits made probabilities": FEED.format(
        MAP, "logits = self.net(x).sigmoid()\n        self.map(logits, y, i)"
    ),
    "a sigmoid of logits": FEED.format(
        MAP, "logits = self.net(x)\n        self.map(logits.sigmoid(), y, i)"
    ),
    "logits that are changed": FEED.format(
        MAP, "logits = self.net(x)\n        logits = squash(logits)\n        self.map(logits, y, i)"
    ),
    "cosines moved up": FEED.format(MAP, "self.map(self.cosine(x, x) + 1, y, i)"),
    "one pair": "torchmetrics.functional.text.bert.bert_score(['a'], ['b'])",
    "a range that is given": "StructuralSimilarityIndexMeasure(data_range=1.0)",
    "a mean over present classes": (
        "def score(a, b):\n    s = mean_iou(a, b, 3, per_class=True)\n    return s[s >= 0].mean()"
    ),
    "a mean of samples": "def score(a, b):\n    return mean_iou(a, b, 3).mean()",
    "log_prob, as before": "torchmetrics.KLDivergence(False)",
    "an index": "RetrievalMAP('neg', -100)",
    "outputs": "torchmetrics.PearsonCorrCoef(3)",
    "a sum": state("self.x += v.sum()"),
    "a sum without +=": state("self.x = self.x + v.sum()"),
    "a sum of several": state("self.x = self.x + v.sum() + v.mean()"),
    "a difference": state("self.x = self.x - v.sum()"),
    "a factor of 1": state("self.x = self.x * 1 + v.sum()"),
    "a small beginning": state("self.x += v.sum()", default="torch.tensor(1e-8)"),
    "the largest": state("self.x = torch.max(self.x, v.max())", "max"),
    "the largest by a condition": state("if v.max() > self.x:\n    self.x = v.max()", "max"),
    "its device and type": state("self.x += v.to(self.x.device).sum().to(self.x.dtype)"),
    "a check": state("if self.n < 0:\n    raise ValueError\nself.x += v.sum()\nself.n += 1"),
    "a shape made first": state(
        "if self.n == 0:\n    self.x = torch.zeros(1)\nself.x += v.sum()\nself.n += 1"
    ),
    "of the batch alone": state(
        "self.n = v.sum()\nself.x += self.n", compute="return self.x + self.n"
    ),
    "a list": state("self.x.append(v)", "cat", "[]"),
    "the full state": state("self.x *= v.sum()", flag="full_state_update = True"),
    "not said": state("self.x *= v.sum()", flag=""),
    "a forward of its own": state("self.x *= v.sum()")
    + "\n    def forward(self, v):\n        self.update(v)\n",
    "a mean by another": state(
        "self.x += v.sum()\nself.n += 1", "mean", compute="return self.x / self.n"
    ),
    "never computed": state("self.x *= v.sum()", compute="return torch.tensor(1.0)"),
}


@pytest.mark.parametrize("name", QUIET)
def test_what_is_right_is_not_found(name: str, codes: dict[str, set[str]]) -> None:
    assert codes[f"right: {name}"] == set()


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ("1.6", FEED.format(MAP, "self.map(-dist, y, indexes=i)")),
        ("0.8", state("self.x *= v.sum()")),
        ("0.5", "MeanMetric().double()"),
        ("0.6", "RetrievalMAP('neg', False)"),
    ],
    ids=["low scores", "full_state_update", "double", "compute_on_step"],
)
def test_what_came_later_is_not_found_for_an_older_release(
    target: str, text: str, tmp_path: Path
) -> None:
    assert found(tmp_path, {"old": text}, f"torchmetrics={target}") == {"old": set()}
