"""Batches are known part by part where the project shows the loaders that give them.

Each form was run on lightning 2.6.6 with a short last batch: Lightning takes the size that the
finding names, and with the fix the number of the epoch is that of all samples at once.
"""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent, indent

import projects
import pytest

MODEL = """\
import torch
import torch.nn.functional as F
import lightning.pytorch as pl
from torch.nn.utils.rnn import pad_packed_sequence


class M(pl.LightningModule):
    def __init__(self, net):
        super().__init__()
        self.net = net
        self.criterion = torch.nn.CrossEntropyLoss()

"""
DATA = """\
import torch
import lightning.pytorch as pl
from torch.nn.utils.rnn import pack_sequence, pad_sequence
from torch.utils.data import DataLoader, Dataset


def collate(batch):
    {collate}


class Data(pl.LightningDataModule):
    def __init__(self, data):
        super().__init__()
        self.data = data

    def val_dataloader(self):
        return DataLoader(self.data, batch_size=4, collate_fn=collate)
"""
TUPLE = """
def validation_step(self, batch, batch_idx):
    {names} = batch
    loss = F.cross_entropy(self.net(x), y)
    self.log("val_loss", loss)
"""
KEYS = """
def validation_step(self, batch, batch_idx):
    loss = F.cross_entropy(self.net(batch["x"]), batch["y"])
    self.log("val_loss", loss)
"""


def project(tmp_path: Path, body: str, collate: str, data: str = DATA) -> Path:
    model = MODEL + indent(dedent(body).strip("\n"), "    ") + "\n"
    made = data.replace("{collate}", indent(dedent(collate).strip("\n"), "    ").strip())
    return projects.written(tmp_path, {"model.py": model, "data.py": made})


def found(tmp_path: Path, body: str, collate: str, data: str = DATA) -> list[tuple[str, str]]:
    report = projects.check(project(tmp_path, body, collate, data), "LM112", "LM113")
    assert not report.failures
    return [(d.code, d.help) for d in report.diagnostics]


PADDED = """
xs, ys = zip(*batch)
return pad_sequence(xs), torch.tensor(ys)
"""
LENGTHS = """
x = torch.stack([s["x"] for s in batch])
y = torch.tensor([s["y"] for s in batch])
return {"longest": torch.tensor(max(s["n"] for s in batch)), "x": x, "y": y}
"""
SPREAD = """
x, y = zip(*batch)
x, y = torch.stack(x), torch.stack(y)
return {"spread": y.std(unbiased=False), "x": x, "y": y}
"""
SIZE = """
out = {}
out["size"] = torch.tensor([224, 224])
out["x"] = torch.stack([s["x"] for s in batch])
out["y"] = torch.tensor([s["y"] for s in batch])
return out
"""
FLAT = """
tokens, offsets, labels = [], [0], []
for label, text in batch:
    labels.append(label)
    tokens.append(text)
    offsets.append(text.size(0))
offsets = torch.tensor(offsets[:-1]).cumsum(dim=0)
return torch.cat(tokens), offsets, torch.tensor(labels)
"""
PACKED = """
sequences = [torch.tensor(s[0]) for s in batch]
labels = torch.tensor([s[1] for s in batch])
return pack_sequence(sequences, enforce_sorted=False), labels
"""
DETECTION = "return tuple(zip(*batch))"
NUMPY = """
import numpy as np
return np.stack([s[0] for s in batch]), np.array([s[1] for s in batch])
"""
TEXTS = """
return {"x": [str(s["text"]) for s in batch], "y": [int(s["y"]) for s in batch]}
"""
SECOND = """
x = torch.stack([s[0] for s in batch], dim=1)
y = torch.tensor([s[1] for s in batch])
return x, y
"""
TRANSPOSED = """
x = pad_sequence([s[0] for s in batch], batch_first=True)
y = torch.tensor([s[1] for s in batch])
return x.transpose(0, 1), y
"""
STEP_OF_IMAGES = """
def validation_step(self, batch, batch_idx):
    images, targets = batch
    x = torch.stack([image.float() for image in images])
    self.log("val_loss", self.net(x, targets))
"""
FOUND = [
    (TUPLE.format(names="x, y"), PADDED, "LM112", "y.size(0)"),
    (TUPLE.format(names="x, y"), SECOND, "LM112", "y.size(0)"),
    (TUPLE.format(names="x, y"), TRANSPOSED, "LM112", "y.size(0)"),
    (KEYS, LENGTHS, "LM112", 'batch["x"].size(0)'),
    (KEYS, SPREAD, "LM112", 'batch["x"].size(0)'),
    (KEYS, SIZE, "LM112", 'batch["x"].size(0)'),
    (TUPLE.format(names="x, offsets, y"), FLAT, "LM112", "y.size(0)"),
    (TUPLE.format(names="x, y"), PACKED, "LM112", "y.size(0)"),
    (STEP_OF_IMAGES, DETECTION, "LM112", "len(images)"),
    (TUPLE.format(names="x, y"), NUMPY, "LM113", "len(x)"),
    (KEYS, TEXTS, "LM113", 'len(batch["x"])'),
]


@pytest.mark.parametrize(("body", "collate", "code", "size"), FOUND)
def test_a_batch_of_a_loader_in_another_file_is_found_and_told_its_size(
    tmp_path: Path, body: str, collate: str, code: str, size: str
) -> None:
    assert found(tmp_path, body, collate) == [(code, f"say batch_size={size}")]
    report = projects.fix(tmp_path, "LM112", "LM113")
    assert not report.failed
    assert f", batch_size={size})" in (tmp_path / "model.py").read_text(encoding="utf-8")


XY = TUPLE.format(names="x, y")
STACKED = """
xs, ys = zip(*batch)
return torch.stack(xs), torch.tensor(ys)
"""
QUIET = [
    # Samples come first, or as many as there may be of them.
    (KEYS, SIZE.replace("[224, 224]", "[batch[0]['n'], batch[1]['n']]")),
    (XY, STACKED),
    (XY, PADDED.replace("xs), ", "xs, batch_first=True), ")),
    (XY, PADDED.replace("xs), ", "xs, True), ")),
    (XY, "return torch.utils.data.default_collate(batch)"),
    (XY, "return unknown(batch)"),
    (XY, TRANSPOSED.replace(", batch_first=True", "")),
    (XY, SECOND.replace("dim=1", "dim=0")),
    # Names, numbers and strings are passed over.
    (
        TUPLE.format(names="name, n, x, y"),
        "return [s[0] for s in batch] and 'a', len(batch), unknown(batch), 1",
    ),
    (
        KEYS,
        "return {'name': [str(s['n']) for s in batch], 'x': torch.stack([s['x'] for s in batch]),"
        " 'y': 1}",
    ),
    # The order of what is first is not known.
    (KEYS, "return {k: torch.stack([s[k] for s in batch]) for k in batch[0]}"),
    (KEYS, LENGTHS.replace("return {", "return {**common(), ")),
    (KEYS, SIZE.replace("out = {}", "out = fresh()")),
    (KEYS, SIZE.replace('out["y"]', 'out.update(extra)\nout["y"]')),
    # The step takes another batch apart than this collate function makes.
    (KEYS, PADDED),
    (XY, LENGTHS),
    (TUPLE.format(names="x, y, z"), PADDED),
    (KEYS.replace('"y"', '"labels"'), LENGTHS),
    # A size of its own, or no guess at all.
    (XY.replace("loss)", "loss, batch_size=len(y))"), PADDED),
    (XY.replace("loss)", "loss, on_epoch=False)"), PADDED),
    (XY.replace("loss)", "loss, reduce_fx='sum')"), PADDED),
    # Numbers of tokens weigh means over tokens.
    (
        XY.replace("x, y =", "x, offsets, y ="),
        FLAT.replace("torch.tensor(labels)", "torch.cat(labels)"),
    ),
    (XY, PACKED.replace("labels = torch.tensor(", "labels = pack_sequence(")),
    # Joined samples that may well have one row each.
    (XY, "return torch.cat([s[0] for s in batch]), torch.tensor([s[1] for s in batch])"),
    (
        TUPLE.format(names="x, offsets, y"),
        FLAT.replace("append(text)", "append(text.unsqueeze(0))"),
    ),
    # A column of what may be no tensors.
    (STEP_OF_IMAGES.replace("image.float()", "self.load(image)"), DETECTION),
    # One of two returns is not known.
    (XY, "if len(batch) > 1:\n    return unknown(batch)\n" + PADDED.strip()),
    (
        XY,
        "xs, ys = zip(*batch)\nx = unknown(xs)\nif x:\n    x = pad_sequence(xs)\n"
        "return x, torch.tensor(ys)",
    ),
    # Views of each sample, each of all samples.
    (STEP_OF_IMAGES, "return [torch.stack([s[0] for s in batch]), 1], torch.tensor([1])"),
]


@pytest.mark.parametrize(("body", "collate"), QUIET)
def test_other_batches_of_loaders_are_no_finding(tmp_path: Path, body: str, collate: str) -> None:
    assert found(tmp_path, body, collate) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        # Every batch holds one sample.
        ("batch_size=4, ", "batch_size=1, "),
        ("batch_size=4, ", ""),
        # What the loader does is not written in the call.
        ("batch_size=4, ", "batch_size=4, **options, "),
        ("batch_size=4, ", "batch_size=None, "),
        ("collate_fn=collate)", "collate_fn=self.collate)"),
        # Another loader of the project gives batches of another kind.
        (
            "        return DataLoader(",
            "        if self.data is None:\n            return DataLoader(self.data, 8)\n"
            "        return DataLoader(",
        ),
        ("def collate", "OTHER = DataLoader(range(8), batch_size=4)\n\n\ndef collate"),
        # A loader of another library has its own way with samples.
        ("torch.utils.data import", "torch_geometric.loader import"),
        # The batch changes on its way to the step.
        (
            "    def val_d",
            "    def on_after_batch_transfer(self, b, i):\n        return f(b)\n\n    def val_d",
        ),
    ],
)
def test_a_loader_that_may_do_otherwise_is_no_finding(tmp_path: Path, old: str, new: str) -> None:
    assert old in DATA
    assert found(tmp_path, XY, PADDED, DATA.replace(old, new)) == []


def test_full_batches_weigh_the_same_whatever_is_taken_for_their_size(tmp_path: Path) -> None:
    full = DATA.replace("batch_size=4, ", "batch_size=4, drop_last=True, ")
    assert found(tmp_path, KEYS, LENGTHS, full) == []
    assert [code for code, _ in found(tmp_path, XY, PADDED, full)] == ["LM112"]  # Time varies.


SPELLINGS = [
    ("collate_fn=collate)", "collate_fn=lambda samples: collate(samples))"),
    ("collate_fn=collate)", "collate_fn=functools.partial(collate, pad=0))"),
    ("return DataLoader(self.data", "return self._loader(self.data"),
    ("return DataLoader(", "loader = DataLoader("),
]


@pytest.mark.parametrize(("old", "new"), SPELLINGS)
def test_a_collate_function_is_found_however_it_is_handed_over(
    tmp_path: Path, old: str, new: str
) -> None:
    data = "import functools\n" + DATA.replace(old, new)
    if "_loader(" in new:
        data = data.replace(
            "    def val_d",
            "    def _loader(self, data, **options):\n"
            "        return DataLoader(data, batch_size=4, collate_fn=collate)\n\n    def val_d",
        )
    elif "loader =" in new:
        data += "        return loader\n"
    assert found(tmp_path, XY, PADDED, data) == [("LM112", "say batch_size=y.size(0)")]


def test_the_data_module_that_is_fitted_counts(tmp_path: Path) -> None:
    other = (
        "\n\nclass Other(pl.LightningDataModule):\n    def val_dataloader(self):\n"
        "        return DataLoader([], batch_size=4)\n"
    )
    assert found(tmp_path, XY, PADDED, DATA + other) == []
    run = (
        "import lightning.pytorch as pl\nfrom data import {0}\nfrom model import M\n\n"
        "model = M(None)\ndata = {0}()\npl.Trainer().fit(model, datamodule=data)\n"
    )
    projects.written(tmp_path, {"run.py": run.format("Data")})
    assert projects.codes(projects.check(tmp_path, "LM112")) == ["LM112"]
    projects.written(tmp_path, {"run.py": run.format("Other")})
    assert projects.codes(projects.check(tmp_path, "LM112")) == []


@pytest.mark.parametrize(
    ("collate", "codes"),
    [
        ("x, y = (torch.stack(c) for c in zip(*batch))\nreturn {'m': y.mean(), 'x': x, 'y': y}", 1),
        ("x, y = [torch.stack(c) for c in zip(*batch)]\nreturn {'x': x, 'm': y.mean(), 'y': y}", 0),
        ("x, y = map(torch.stack, zip(*batch))\nreturn {'m': y.std(), 'x': x, 'y': y}", 1),
        ("x, y = map(torch.stack, zip(*batch))\nreturn {'x': x, 'y': y}", 0),
        ("x, y = map(list, zip(*batch))\nreturn {'x': torch.stack(x), 'y': torch.stack(y)}", 0),
        (
            "a, b = zip(*[(s['x'], s['y']) for s in batch])\n"
            "x, y = [torch.stack(c) for c in (a, b)]\n"
            "return {'m': y.sum(), 'x': x, 'y': y}",
            1,
        ),
    ],
)
def test_columns_of_samples_are_stacked_in_one_expression(
    tmp_path: Path, collate: str, codes: int
) -> None:
    assert [code for code, _ in found(tmp_path, KEYS, collate)] == ["LM112"] * codes


HELPER = """\
import torch
import lightning.pytorch as pl
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader
from model import M


def collate(batch):
    {collate}


def plain(data):
    return DataLoader(data, batch_size=4)


def made(data):
    return DataLoader(data, batch_size=4, collate_fn=collate)


def both(a, b):
    return plain(a), made(b)


def main(a, b):
    {main}
"""


@pytest.mark.parametrize(
    ("main", "wrong"),
    [
        ("pl.Trainer().fit(M(None), plain(a), made(b))", True),
        ("pl.Trainer().fit(M(None), made(a), plain(b))", False),
        ("val = made(b)\n    pl.Trainer().fit(M(None), plain(a), [val])", True),
        ("train, val = both(a, b)\n    pl.Trainer().fit(M(None), train, val)", True),
        ("val, train = both(a, b)\n    pl.Trainer().fit(M(None), train, val)", False),
        ("train, val = plain(a), made(b)\n    pl.Trainer().fit(M(None), train, val)", True),
        ("(train, *val) = both(a, b)\n    pl.Trainer().fit(M(None), train, val)", False),
    ],
)
def test_a_loader_that_a_function_makes_shows_its_batches(
    tmp_path: Path, main: str, wrong: bool
) -> None:
    data = HELPER.replace("{main}", main)
    assert found(tmp_path, XY, PADDED, data) == [("LM112", "say batch_size=y.size(0)")] * wrong


DATASET = """\
import torch
import lightning.pytorch as pl
from torch.utils.data import DataLoader, Dataset


class Batches(Dataset):
    def __init__(self, x, y, batch_size):
        self.x, self.y, self.batch_size = x, y, batch_size

    def __len__(self):
        return -(-len(self.x) // self.batch_size)

    def __getitem__(self, i):
        part = slice(i * self.batch_size, (i + 1) * self.batch_size)
        return self.x[part], self.y[part]


class Data(pl.LightningDataModule):
    def val_dataloader(self):
        return DataLoader(Batches(self.x, self.y, 4), batch_size=1)
"""
SQUEEZED = """
def validation_step(self, batch, batch_idx):
    x, y = batch
    x, y = x.squeeze(0), y.squeeze(0)
    loss = F.cross_entropy(self.net(x), y)
    self.log("val_loss", loss)
"""


def test_whole_batches_that_a_loader_wraps_are_found(tmp_path: Path) -> None:
    assert found(tmp_path, SQUEEZED, "", DATASET) == [("LM112", "say batch_size=x.size(0)")]
    assert found(tmp_path, XY, "", DATASET) == [("LM112", "say batch_size=x.size(1)")]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("batch_size=1)", "batch_size=None)"),  # Lightning then sees the batch itself.
        ("batch_size=1)", "batch_size=8)"),
        ("// self.batch_size", "// self.window"),  # Samples of several rows each.
    ],
)
def test_samples_of_many_rows_are_no_whole_batches(tmp_path: Path, old: str, new: str) -> None:
    assert found(tmp_path, SQUEEZED, "", DATASET.replace(old, new)) == []


COMBINED = """
def train_dataloader(self):
    labelled = DataLoader(self.a, batch_size=4)
    return {"labelled": labelled, "plain": DataLoader(self.b, batch_size=32)}

def training_step(self, batch, batch_idx):
    x, y = batch["labelled"]
    u, _ = batch["plain"]
    loss = F.cross_entropy(self.net(x), y)
    consistency = self.net(u).pow(2).mean()
    self.log("loss", loss, on_epoch=True)
    self.log("consistency", consistency, on_epoch=True)
    self.log("both", loss + consistency, on_epoch=True)
    return loss + consistency
"""
HEAD = MODEL.replace("import torch\n", "import torch\nfrom torch.utils.data import DataLoader\n", 1)


def combined(tmp_path: Path, text: str) -> list[tuple[str, str]]:
    folder = projects.written(
        tmp_path, {"model.py": HEAD + indent(text.strip("\n"), "    ") + "\n"}
    )
    report = projects.check(folder, "LM112", "LM113")
    assert not report.failures
    return [(d.message, d.help) for d in report.diagnostics]


def test_a_value_of_the_second_of_two_loaders_is_weighed_by_the_first(tmp_path: Path) -> None:
    assert combined(tmp_path, COMBINED) == [
        (
            'the value is of batch["plain"], and Lightning takes the size of batch["labelled"] for'
            " its weight",
            "say batch_size=u.size(0)",
        )
    ]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("self.net(u)", "self.net(torch.cat([x, u]))"),
        ("batch_size=4)", "batch_size=4, drop_last=True)"),
        ('self.log("consistency", consistency, on_epoch=True)', 'self.log("c", consistency)'),
        ("self.net(u)", "self.view(batch)"),
        ('return {"labelled"', 'return {**more, "labelled"'),
    ],
)
def test_loaders_that_run_together_are_left_alone_in_doubt(
    tmp_path: Path, old: str, new: str
) -> None:
    text = COMBINED.replace(old, new)
    if "drop_last" in new:
        text = text.replace("batch_size=32)", "batch_size=32, drop_last=True)")
    assert combined(tmp_path, text) == []


DATACLASS = """
from dataclasses import dataclass


@dataclass
class Batch:
    scale: torch.Tensor
    x: torch.Tensor
    y: torch.Tensor


def make(batch):
    xs, ys = zip(*batch)
    return Batch(torch.tensor(0.5), torch.stack(xs), torch.tensor(ys))
"""


def test_the_first_field_of_a_dataclass_tells_the_size(tmp_path: Path) -> None:
    body = KEYS.replace('batch["x"]', "batch.x").replace('batch["y"]', "batch.y")
    data = DATA.replace("class Data", DATACLASS.lstrip("\n") + "\n\nclass Data")
    data = data.replace("collate_fn=collate)", "collate_fn=make)")
    assert found(tmp_path, body, "pass", data) == [("LM112", "say batch_size=batch.x.size(0)")]
    x_first = data.replace("    scale: torch.Tensor\n", "").replace("torch.tensor(0.5), ", "")
    assert found(tmp_path, body, "pass", x_first) == []


# What else weighs by the size of a batch --------------------------------------------------------

WEIGHED = """
    import lightning.pytorch as pl
    import torch
    from torch import nn
    from torch.nn.utils.rnn import pad_sequence
    from torch.utils.data import DataLoader
    from torchmetrics import MeanMetric


    def collate(items):
        return pad_sequence([x for x, _ in items]), torch.stack([y for _, y in items])


    class Model(pl.LightningModule):
        def __init__(self, data):
            super().__init__()
            self.data = data
            self.net = nn.GRU(2, 1)
            self.mean = MeanMetric()
            self.validation_step_outputs = []

        def validation_step(self, batch, batch_idx):
            x, y = batch
            loss = nn.functional.mse_loss(self.net(x)[0][-1].squeeze(1), y)
            {step}

        {end}

        def val_dataloader(self):
            return DataLoader(self.data, batch_size=8, collate_fn=collate)
"""


@pytest.mark.parametrize(
    ("step", "end", "fixed"),
    [
        (
            "self.mean.update(loss)\n            self.log('mean', self.mean)",
            "",
            "self.mean.update(loss, weight=y.size(0))",
        ),
        (
            "self.validation_step_outputs.append(loss)",
            "def on_validation_epoch_end(self):\n"
            "            values = torch.stack(self.validation_step_outputs)\n"
            "            self.log('mean', values.mean())\n"
            "            self.validation_step_outputs.clear()",
            "batch_size=y.size(0)",
        ),
    ],
)
def test_other_weights_know_the_loaders_too(
    tmp_path: Path, step: str, end: str, fixed: str
) -> None:
    """Time comes first in the batches of the loader, which the step alone does not show."""
    text = WEIGHED.replace("{step}", step).replace("{end}", end)
    projects.written(tmp_path, {"model.py": text})
    projects.fix(tmp_path)
    assert fixed in (tmp_path / "model.py").read_text()
