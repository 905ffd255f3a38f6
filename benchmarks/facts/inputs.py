"""Random inputs to measure metrics on: for each kind, what one epoch of it is made of.

A kind is a function that draws ``n`` items; an item is what a data loader would deliver as one.
``table.csv`` of ``decomposability`` names a kind for each row, and its calls read the fields.
Values are doubles where a metric takes them, so that a gap is the metric's and not the rounding's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

Fields = dict[str, Any]
C, L = 5, 4  # Classes and labels.
SHARES = torch.tensor([0.35, 0.25, 0.2, 0.13, 0.07])


@dataclass(frozen=True)
class Kind:
    """How to draw one kind of inputs.

    Args:
        draw: makes the fields of ``n`` items; a tensor, an array or a list has one entry for each.
        size: items of a batch.
        batches: batches of an epoch, beside the short last one.
        short: items of the last batch, and of the smallest where sizes are drawn.
    """

    draw: Callable[[torch.Generator, int], Fields]
    size: int = 16
    batches: int = 5
    short: int = 9


KINDS: dict[str, Kind] = {}
Draw = Callable[[torch.Generator, int], Fields]


def kind(size: int = 16, batches: int = 5, short: int = 9) -> Callable[[Draw], Draw]:
    """Enter a function as a kind of inputs, by its name."""

    def enter(draw: Draw) -> Draw:
        KINDS[draw.__name__] = Kind(draw, size, batches, short)
        return draw

    return enter


def _normal(g: torch.Generator, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=g, dtype=torch.float64)


def _uniform(g: torch.Generator, *shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=g, dtype=torch.float64)


def _classes(g: torch.Generator, *shape: int) -> torch.Tensor:
    return torch.multinomial(SHARES, int(np.prod(shape)), True, generator=g).reshape(shape)


# Classification -----------------------------------------------------------------------------------


@kind()
def binary(g: torch.Generator, n: int) -> Fields:
    target = (_uniform(g, n) < 0.35).long()
    logits = _normal(g, n) + 1.2 * target - 0.8
    groups = (_uniform(g, n) < 0.4).long()
    return {"preds": logits.sigmoid(), "target": target, "groups": groups, "logits": logits}


@kind()
def multiclass(g: torch.Generator, n: int) -> Fields:
    target = _classes(g, n)
    logits = _normal(g, n, C) + 1.6 * F.one_hot(target, C)
    return {"preds": logits.softmax(-1), "target": target, "labels": logits.argmax(-1)}


@kind(size=40, batches=3, short=24)
def binary_all_present(g: torch.Generator, n: int) -> Fields:
    """Batches large enough to hold both classes."""
    return binary(g, n)


@kind(size=60, batches=3, short=45)
def multiclass_all_present(g: torch.Generator, n: int) -> Fields:
    """Batches large enough to hold every class."""
    return multiclass(g, n)


@kind()
def multiclass_ignored(g: torch.Generator, n: int) -> Fields:
    """Some targets are -1, to be ignored."""
    fields = multiclass(g, n)
    fields["target"] = fields["target"].masked_fill(_uniform(g, n) < 0.25, -1)
    return fields


@kind()
def multilabel(g: torch.Generator, n: int) -> Fields:
    target = (_uniform(g, n, L) < torch.tensor([0.5, 0.3, 0.2, 0.1])).long()
    logits = _normal(g, n, L) + 1.2 * target - 0.6
    return {"preds": logits.sigmoid(), "target": target, "labels": (logits > 0).long()}


@kind(size=40, batches=3, short=30)
def multilabel_all_present(g: torch.Generator, n: int) -> Fields:
    """Batches large enough to hold every label."""
    return multilabel(g, n)


@kind()
def binary_points(g: torch.Generator, n: int) -> Fields:
    """Several answers for each sample, as for pixels."""
    target = (_uniform(g, n, 6) < 0.4).long()
    return {"preds": (_normal(g, n, 6) + 1.2 * target - 0.6).sigmoid(), "target": target}


@kind()
def multiclass_points(g: torch.Generator, n: int) -> Fields:
    target = _classes(g, n, 6)
    # Far apart, so that some samples are right throughout.
    logits = _normal(g, n, C, 6) + 4.5 * F.one_hot(target, C).movedim(-1, 1)
    return {"preds": logits.softmax(1), "target": target}


@kind()
def multilabel_points(g: torch.Generator, n: int) -> Fields:
    target = (_uniform(g, n, L, 6) < 0.35).long()
    return {"preds": (_normal(g, n, L, 6) + 1.2 * target - 0.6).sigmoid(), "target": target}


@kind()
def rankings(g: torch.Generator, n: int) -> Fields:
    """Scores of eight documents for each query, with graded relevance."""
    return {"preds": _uniform(g, n, 8), "target": torch.randint(0, 4, (n, 8), generator=g)}


# Numbers ------------------------------------------------------------------------------------------


@kind()
def regression(g: torch.Generator, n: int) -> Fields:
    target = _normal(g, n) + 0.7
    positive = _uniform(g, n) + 0.5
    outputs = _normal(g, n, 3)
    p, q = (_uniform(g, n, 4).clamp_min(0.05) for _ in range(2))
    return {
        "preds": 0.8 * target + 0.5 * _normal(g, n) + 0.1,
        "target": target,
        "positive_preds": (positive + 0.3 * _normal(g, n)).clamp_min(0.05),
        "positive_target": positive,
        "output_preds": 0.7 * outputs + 0.6 * _normal(g, n, 3),
        "output_target": outputs,
        "p": p / p.sum(1, keepdim=True),
        "q": q / q.sum(1, keepdim=True),
        "ensemble": target[:, None] + 0.6 * _normal(g, n, 7),
    }


@kind()
def losses(g: torch.Generator, n: int) -> Fields:
    """What the losses of torch take."""
    classes = _classes(g, n)
    binary_target = (_uniform(g, n) < 0.3).double()
    return {
        **regression(g, n),
        "logits": _normal(g, n, C) + 1.6 * F.one_hot(classes, C),
        "classes": classes,
        "classes_ignored": classes.masked_fill(_uniform(g, n) < 0.25, -100),
        "class_weights": _each(torch.tensor([0.2, 0.5, 1.0, 2.0, 4.0], dtype=torch.float64)),
        "weight_matrix": _each(_normal(torch.Generator().manual_seed(3), C, 6)),
        "logit": _normal(g, n) + binary_target,
        "binary_target": binary_target,
        "sign": 2 * binary_target - 1,
        "label_logits": _normal(g, n, L),
        "label_target": (_uniform(g, n, L) < 0.3).double(),
        "variance": _uniform(g, n) + 0.2,
        "item_weights": _uniform(g, n) + 0.1,
        "counts": torch.randint(0, 6, (n,), generator=g).double(),
        "anchor": _normal(g, n, 6),
        "positive": _normal(g, n, 6),
        "negative": _normal(g, n, 6),
    }


@dataclass(frozen=True)
class Shared:
    """A field that is no item's: every batch has the whole of it."""

    value: Any


def _each(value: object) -> Shared:
    return Shared(value)


# Columns, vectors, clusters -----------------------------------------------------------------------


@kind(size=40, batches=4, short=24)
def nominal(g: torch.Generator, n: int) -> Fields:
    target = torch.randint(0, 4, (n,), generator=g)
    preds = torch.where(_uniform(g, n) < 0.5, target, torch.randint(0, 4, (n,), generator=g))
    shares = (_normal(g, n, 3) * 1.2).softmax(-1)
    ratings = F.one_hot(torch.multinomial(shares, 8, True, generator=g), 3).sum(1)
    third = torch.randint(0, 3, (n,), generator=g)
    columns = torch.stack([target, preds, third], 1)
    return {"preds": preds, "target": target, "columns": columns, "ratings": ratings}


@kind()
def vectors(g: torch.Generator, n: int) -> Fields:
    return {"x": _normal(g, n, 6), "fixed": _each(_normal(g, 20, 6))}


@kind(size=40, batches=4, short=16)
def feature_pairs(g: torch.Generator, n: int) -> Fields:
    return {"a": _normal(g, n, 6), "b": 1.2 * _normal(g, n, 6) + 0.3}


@kind(size=8, batches=3, short=3)
def repeats(g: torch.Generator, n: int) -> Fields:
    """Five answers of a network for each small picture."""
    return {"x": _uniform(g, n, 5, 3, 8, 8) * _uniform(g, n, 1, 1, 1, 1)}


@kind(size=6, batches=4, short=3)
def clouds(g: torch.Generator, n: int) -> Fields:
    points = _normal(g, n, 12, 3)
    return {"a": points, "b": points @ _normal(g, 3, 3) + 0.3 * _normal(g, n, 12, 3)}


@kind(size=40, batches=4, short=24)
def clusters(g: torch.Generator, n: int) -> Fields:
    target = torch.randint(0, 4, (n,), generator=g)
    preds = torch.where(_uniform(g, n) < 0.6, target, torch.randint(0, 4, (n,), generator=g))
    points = (3 * _normal(g, 4, 3))[target] + _normal(g, n, 3)
    return {"preds": preds, "target": target, "points": points}


@kind(size=6, batches=5, short=3)
def queries(g: torch.Generator, n: int) -> Fields:
    """Scores and relevance of the documents of a query, 8 to 24 each; one in ten finds none."""
    preds, target, indexes = [], [], []
    for query in range(n):
        documents = int(torch.randint(8, 25, (1,), generator=g))
        relevant = (_uniform(g, documents) < 0.3).long() * int(_uniform(g, 1) > 0.1)
        spread = 1 + 2 * _uniform(g, 1)
        preds.append(_normal(g, documents) * spread + 0.6 * relevant + 12)
        target.append(relevant)
        indexes.append(torch.full((documents,), query))
    return {"preds": preds, "target": target, "indexes": indexes}


# Text ---------------------------------------------------------------------------------------------

# Of two to eight letters, no two alike.
WORDS = [(chr(97 + i) + chr(122 - i)) * (1 + i % 4) for i in range(26)]


@kind(size=4, batches=3, short=3)
def text(g: torch.Generator, n: int) -> Fields:
    """Sentences with words left out, changed and added; noise differs between them."""

    def draw(count: int) -> list[str]:
        return [WORDS[i] for i in torch.randint(0, len(WORDS), (count,), generator=g)]

    def corrupted(words: list[str], noise: float) -> str:
        out = []
        for word in words:
            chance = float(_uniform(g, 1))
            if chance >= noise * 0.4:
                out.append(draw(1)[0] if chance < noise else word)
            if float(_uniform(g, 1)) < noise * 0.3:
                out += draw(1)
        return " ".join(out or WORDS[:1])

    preds, target, references = [], [], []
    for _ in range(n):
        words = draw(int(torch.randint(5, 22, (1,), generator=g)))
        noise = 0.6 * float(_uniform(g, 1))
        preds.append(corrupted(words, noise))
        target.append(" ".join(words))
        references.append([target[-1], corrupted(words, noise)])
    return {"preds": preds, "target": target, "references": references}


@kind(size=6, batches=5, short=3)
def tokens(g: torch.Generator, n: int) -> Fields:
    """Logits of sequences of 14 tokens, and targets of which some have padding (-100)."""
    target = torch.randint(0, 7, (n, 14), generator=g)
    lengths = torch.randint(3, 15, (n,), generator=g)
    return {
        "logits": _normal(g, n, 14, 7) + 1.5 * F.one_hot(target, 7),
        "target": target,
        "padded": target.masked_fill(torch.arange(14) >= lengths[:, None], -100),
        "lengths": lengths,
    }


# Sound and pictures -------------------------------------------------------------------------------


def _spectrum(signal: torch.Tensor) -> torch.Tensor:
    window = torch.hann_window(64)
    found = torch.stft(signal.float(), 64, return_complex=True, window=window)
    return torch.view_as_real(found)


@kind(size=5, batches=4, short=2)
def audio(g: torch.Generator, n: int) -> Fields:
    """Signals with noise of different strength, and two speakers in the wrong order."""
    target = _normal(g, n, 1000).cumsum(-1) * 0.05 + _normal(g, n, 1000)
    preds = target + _normal(g, n, 1000) * (0.2 + 2 * _uniform(g, n, 1))
    speakers = _normal(g, n, 2, 1000)
    return {
        "preds": preds,
        "target": target,
        "speaker_preds": speakers.flip(1) + 0.5 * _normal(g, n, 2, 1000),
        "speaker_target": speakers,
        "spectrum": _spectrum(preds),
        "target_spectrum": _spectrum(target),
    }


@kind(size=2, batches=2, short=1)
def speech(g: torch.Generator, n: int) -> Fields:
    """A second of voiced sound at 16 kHz, with noise."""
    time = torch.arange(16000 * 1.2) / 16000
    pitch = 100 + 100 * _uniform(g, n, 1)
    voice = sum((2 * torch.pi * pitch * k * time).sin() / k for k in range(1, 12))
    loudness = 0.55 + 0.45 * (2 * torch.pi * (2 + 3 * _uniform(g, n, 1)) * time).sin()
    target = 0.05 * voice * loudness
    noise = 0.002 + 0.03 * _uniform(g, n, 1)
    return {"preds": target + noise * _normal(g, *target.shape), "target": target}


def _pictures(g: torch.Generator, n: int, channels: int, edge: int) -> Fields:
    coarse = _uniform(g, n, channels, edge // 4, edge // 4)
    target = F.interpolate(coarse, scale_factor=4, mode="bilinear").clamp(0.02, 1)
    noise = 0.02 + 0.15 * _uniform(g, n, 1, 1, 1)
    preds = (target + noise * _normal(g, n, channels, edge, edge)).clamp(0.01, 1)
    half = (n, channels, edge // 2, edge // 2)
    panchromatic = target.mean(1, keepdim=True).expand(-1, channels, -1, -1).clone()
    return {
        "preds": preds,
        "target": target,
        # Noisier than the predictions in some pictures only.
        "low_resolution": F.avg_pool2d(target, 2) + noise.flip(0) * _normal(g, *half),
        "panchromatic": panchromatic,
        "panchromatic_low": F.avg_pool2d(panchromatic, 2),
        "grey_preds": preds.mean(1, keepdim=True),
        "grey_target": target.mean(1, keepdim=True),
    }


def _dimmed(g: torch.Generator, fields: Fields) -> Fields:
    factor = 0.3 + 0.7 * _uniform(g, len(fields["preds"]), 1, 1, 1)
    return {name: fields[name] * factor for name in ("preds", "target")}


@kind(size=4, batches=3, short=2)
def images(g: torch.Generator, n: int) -> Fields:
    return _pictures(g, n, 3, 32)


@kind(size=4, batches=3, short=2)
def grey_images(g: torch.Generator, n: int) -> Fields:
    return _pictures(g, n, 1, 32)


@kind(size=4, batches=3, short=2)
def dim_images(g: torch.Generator, n: int) -> Fields:
    """Brightness differs between images, so that a batch's smallest and largest value do too."""
    return _dimmed(g, _pictures(g, n, 3, 32))


@kind(size=3, batches=2, short=2)
def large_images(g: torch.Generator, n: int) -> Fields:
    """Large enough for windows of 41 pixels, and for several scales."""
    return _pictures(g, n, 1, 48)


@kind(size=3, batches=2, short=2)
def dim_large_images(g: torch.Generator, n: int) -> Fields:
    return _dimmed(g, _pictures(g, n, 1, 48))


@kind(size=30, batches=3, short=16)
def byte_images(g: torch.Generator, n: int) -> Fields:
    preds = (_uniform(g, n, 3, 32, 32) * 200).byte()
    return {"preds": preds, "target": (_uniform(g, n, 3, 32, 32) ** 1.4 * 255).byte()}


# Masks and boxes ----------------------------------------------------------------------------------


@kind(size=6, batches=4, short=3)
def masks(g: torch.Generator, n: int) -> Fields:
    """Label maps of four classes; the last one is missing from some images."""
    coarse = torch.randn(n, 4, 3, 3, generator=g)
    scores = F.interpolate(coarse, scale_factor=4, mode="bilinear")
    scores[:, 3] -= 2 * torch.rand(n, 1, 1, generator=g)
    preds = (scores + 0.9 * torch.randn(n, 4, 12, 12, generator=g)).argmax(1)
    return _with_one_hot(preds, scores.argmax(1))


@kind(size=4, batches=3, short=2)
def full_masks(g: torch.Generator, n: int) -> Fields:
    """Every class is in every label map."""
    fields = masks(g, n)
    for name in ("preds", "target"):
        fields[name][:, 0, :4] = torch.arange(4)
    return _with_one_hot(fields["preds"], fields["target"])


def _with_one_hot(preds: torch.Tensor, target: torch.Tensor) -> Fields:
    one_hot = {
        f"one_hot_{name}": F.one_hot(labels, 4).movedim(-1, 1)
        for name, labels in (("preds", preds), ("target", target))
    }
    return {"preds": preds, "target": target, **one_hot}


@kind()
def boxes(g: torch.Generator, n: int) -> Fields:
    """Pairs of boxes; an item is a pair."""
    corner = 50 * _uniform(g, n, 2)
    target = torch.cat([corner, corner + 5 + 20 * _uniform(g, n, 2)], 1)
    return {"preds": target + 2.5 * _normal(g, n, 4), "target": target}


@kind(size=6, batches=4, short=3)
def detections(g: torch.Generator, n: int) -> Fields:
    """Images with one to four boxes of three labels; some are missed, some mislabelled."""
    preds, target = [], []
    for _ in range(n):
        count = int(torch.randint(1, 5, (1,), generator=g))
        corner = 50 * torch.rand(count, 2, generator=g)
        found = torch.cat([corner, corner + 5 + 20 * torch.rand(count, 2, generator=g)], 1)
        labels = torch.randint(0, 3, (count,), generator=g)
        keep = torch.rand(count, generator=g) < 0.85
        keep[0] = True
        wrong = torch.rand(count, generator=g) >= 0.85
        preds.append(
            {
                "boxes": (found + 1.5 * torch.randn(count, 4, generator=g))[keep],
                "scores": torch.rand(count, generator=g)[keep],
                "labels": torch.where(wrong, (labels + 1) % 3, labels)[keep],
            }
        )
        target.append({"boxes": found, "labels": labels})
    return {"preds": preds, "target": target}


@kind(size=6, batches=4, short=3)
def panoptic(g: torch.Generator, n: int) -> Fields:
    """Pairs of category and instance for each pixel; categories 2 and 3 have no instances."""
    coarse = torch.randn(n, 4, 3, 3, generator=g)
    scores = F.interpolate(coarse, scale_factor=5)
    noise = F.interpolate(torch.randn(n, 4, 5, 5, generator=g), scale_factor=3)
    parts = torch.randint(0, 2, (n, 1, 3, 3), generator=g).float()
    instances = F.interpolate(parts, scale_factor=5)[:, 0].long()

    def labelled(categories: torch.Tensor) -> torch.Tensor:
        return torch.stack([categories, torch.where(categories < 2, instances, 0)], -1)

    preds = labelled((scores + 0.55 * noise).argmax(1))
    return {"preds": preds, "target": labelled(scores.argmax(1))}


@kind(size=8, batches=4, short=4)
def faces(g: torch.Generator, n: int) -> Fields:
    """Vertices of a face, one frame an item."""
    target = _normal(g, n, 10, 3)
    mouth = _each([0, 2, 5])
    return {"preds": target + 0.2 * _normal(g, n, 10, 3), "target": target, "mouth": mouth}


@kind(size=6, batches=4, short=3)
def captions(g: torch.Generator, n: int) -> Fields:
    return {"images": torch.rand(n, 3, 8, 8, generator=g), "texts": text(g, n)["target"]}
