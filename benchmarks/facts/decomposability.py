"""Measure whether batch values may be averaged: each row of ``metric_decomposability.csv``.

    python benchmarks/facts/decomposability.py                # the measured table; 1 if it differs
    python benchmarks/facts/decomposability.py --only auroc   # rows whose name or variant match
    python benchmarks/facts/decomposability.py --unknown      # metrics of the release without a row

Runs in an environment with torch and the libraries to measure. How a row is called, on which
inputs (``inputs.py``) and with which weight is data, in ``decomposability.csv``. For each seed one
epoch is drawn and cut twice: into ragged batches and into equal ones. The class follows from the
numbers alone:

* ``exact``: the mean of the batch values, weighted by items, is the value of the epoch.
* ``weighted-only-if-equal-batches``: it is not, but the mean weighted by another known count is.
* ``no``: neither; among them are counts, whose sum over batches is exact.
* ``depends``: a summary, whose variants are of several classes.

The object that a row names, updated batch by batch, has to give the function's value of the epoch.
"""

from __future__ import annotations

import argparse
import ast
import csv
import functools
import importlib
import importlib.util
import inspect
import re
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

HERE = Path(__file__).resolve().parent
TABLE = HERE.parents[1] / "lintmetrics" / "facts" / "metric_decomposability.csv"
CALLS = HERE / "decomposability.csv"
SEEDS = (0, 1, 2)
TOLERANCE = 1e-5  # Of the value, or of 1 where it is smaller: metrics add up in single precision.
SUMMARY = "(summary over the variants below)"
SUM = "1 (sum over batches is exact)"
Row = dict[str, str]
Key = tuple[str, str]
Array = np.ndarray[Any, np.dtype[np.float64]]


def _inputs() -> Any:
    name = "lintmetrics_measured_inputs"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, HERE / "inputs.py")
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


INPUTS = _inputs()


# What calls may use -------------------------------------------------------------------------------


@functools.cache
def _is_there(name: str) -> bool:
    try:
        resolved(name)
    except (AttributeError, ImportError):
        return False
    return True


def resolved(name: str) -> Any:
    """Return what a dotted name stands for; ``None`` for an idiom, whose call is all there is."""
    module, _, attribute = name.rpartition(".")
    if not re.fullmatch(r"[\w.]+", name):
        return None
    return getattr(importlib.import_module(module), attribute)


def computed(metric: Any, *arguments: Any, **named: Any) -> Any:
    """Return the value of a metric object that has seen one batch."""
    metric.update(*arguments, **named)
    return metric.compute()


def compared(metric: Any, generated: Any, real: Any) -> Any:
    """Return the value of a metric object that has seen generated and real images of one batch."""
    metric.update(real, real=True)
    metric.update(generated, real=False)
    return metric.compute()


def per_query(function: Any, preds: Sequence[Any], target: Sequence[Any], **named: Any) -> Any:
    """Return the mean of a function that takes one query."""
    return torch.stack(
        [function(p, t, **named).double() for p, t in zip(preds, target, strict=True)]
    ).mean(0)


def aggregated(metric: Any, preds: Any, target: Any) -> Any:
    """Return the value of a MONAI object that has seen one batch."""
    metric(y_pred=preds, y=target)
    return metric.aggregate()


def finite_mean(values: torch.Tensor) -> torch.Tensor:
    """Return the mean of the finite entries."""
    return values.double()[torch.isfinite(values)].mean()


def single_iou_pairs(preds: Any, target: Any) -> int:
    """Return how many pairs of a predicted and a true box of one image have the same label."""
    return sum(
        int((p["labels"][:, None] == t["labels"][None]).sum())
        for p, t in zip(preds, target, strict=True)
    )


class Features(torch.nn.Module):
    """A small fixed network in place of one whose weights have to be downloaded."""

    num_features = 8

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.weight = torch.randn(48, 8, generator=generator) / 7

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        pooled = torch.nn.functional.adaptive_avg_pool2d(images.float() / 255, 4)
        return 25 * (pooled.flatten(1) - 0.45) @ self.weight


NAMES = {
    "resolved": resolved,
    "torch": torch,
    "np": np,
    "F": torch.nn.functional,
    "C": INPUTS.C,
    "L": INPUTS.L,
    "D": 3,  # Outputs of a regression.
    "Features": Features,
    "computed": computed,
    "compared": compared,
    "per_query": per_query,
    "aggregated": aggregated,
    "finite_mean": finite_mean,
    "single_iou_pairs": single_iou_pairs,
}


# Batches ------------------------------------------------------------------------------------------


def batch(fields: dict[str, Any], start: int, stop: int) -> dict[str, Any]:
    """Return the fields of some items of an epoch."""
    cut = {
        name: value.value if isinstance(value, INPUTS.Shared) else value[start:stop]
        for name, value in fields.items()
    }
    return {**cut, "n": stop - start}


def ragged_sizes(kind: Any, seed: int) -> list[int]:
    """Return the sizes of the batches of an epoch: a short last one, or all of them drawn."""
    if seed % 2 == 0:
        return [kind.size] * kind.batches + [kind.short]
    rest = kind.size * kind.batches + kind.short - kind.short * (kind.batches + 1)
    drawn = np.random.default_rng(seed).multinomial(
        rest, [1 / (kind.batches + 1)] * (kind.batches + 1)
    )
    sizes: list[int] = (drawn + kind.short).tolist()
    return sizes


@functools.cache
def epoch(
    kind: str, seed: int
) -> tuple[dict[str, Any], list[dict[str, Any]], list[dict[str, Any]]]:
    """Return one epoch of a kind of inputs: whole, in ragged batches and in equal ones.

    The equal batches leave the items of the short last batch out.
    """
    known = INPUTS.KINDS[kind]
    sizes = ragged_sizes(known, seed)
    total = sum(sizes)
    fields = known.draw(torch.Generator().manual_seed(1000 + seed), total)
    ends = np.cumsum(sizes).tolist()
    ragged = [batch(fields, end - size, end) for size, end in zip(sizes, ends, strict=True)]
    starts = range(0, known.size * known.batches, known.size)
    equal = [batch(fields, start, start + known.size) for start in starts]
    return batch(fields, 0, total), ragged, equal


def merged(kind: str, seed: int) -> dict[str, Any]:
    """Return the items of all equal batches of an epoch as one batch."""
    known = INPUTS.KINDS[kind]
    whole, _, _ = epoch(kind, seed)
    fields = known.draw(torch.Generator().manual_seed(1000 + seed), whole["n"])
    return batch(fields, 0, known.size * known.batches)


# Values -------------------------------------------------------------------------------------------


def flat(value: Any) -> tuple[Array, Any]:
    """Return the numbers of a value, and its shape with the names in it."""
    if isinstance(value, torch.Tensor):
        return value.detach().double().reshape(-1).numpy(), tuple(value.shape)
    if isinstance(value, dict):
        parts = {str(k): flat(v) for k, v in value.items() if not isinstance(v, str)}
        names = sorted(parts)
        numbers = [parts[name][0] for name in names]
        shape = tuple((name, parts[name][1]) for name in names)
        return np.concatenate([np.empty(0), *numbers]), shape
    if isinstance(value, (tuple, list)):
        each = [flat(v) for v in value]
        return np.concatenate([np.empty(0), *(a for a, _ in each)]), tuple(s for _, s in each)
    array = np.asarray(value, dtype=float)
    return array.reshape(-1), array.shape


def mean(values: Array, weights: Array) -> Array:
    """Return the weighted mean over batches; a batch value that is no number counts nothing."""
    spread = weights[:, None] if weights.ndim == 1 else weights
    used = np.where(np.isfinite(values), np.broadcast_to(spread, values.shape), 0.0)
    with np.errstate(all="ignore"):
        result: Array = (np.where(used == 0, 0.0, values) * used).sum(0) / used.sum(0)
    return result


def gap(found: Array, whole: Array) -> float:
    """Return the largest difference, in units of the value or of 1 where it is smaller."""
    known = np.isfinite(found) & np.isfinite(whole)
    if not known.any():
        return float("inf")
    scale = np.maximum(1.0, np.abs(whole[known]))
    return float((np.abs(found[known] - whole[known]) / scale).max())


def spread(values: Array) -> float:
    """Return the largest difference between the values of two batches."""
    finite = values[:, np.isfinite(values).all(0)]
    return float(np.ptp(finite, axis=0).max()) if finite.size else 0.0


@dataclass
class Measured:
    """The gaps between what batch values give and the value of the epoch, largest of all seeds.

    Args:
        items: of the mean weighted by items, over ragged batches.
        equal: of the plain mean over equal batches.
        total: of the sum over ragged batches.
        weights: of the mean weighted by a count, by the expression of the count.
        spread: the largest difference between batch values; 0 where the inputs tell nothing.
        shapeless: the shape of the value follows the batch, so that there is no mean.
    """

    items: float = 0.0
    equal: float = 0.0
    total: float = 0.0
    weights: dict[str, float] = field(default_factory=dict)
    spread: float = 0.0
    shapeless: bool = False

    @property
    def decomposable(self) -> str:
        """The class that the numbers give."""
        if self.shapeless:
            return "no"
        if max(self.items, self.equal) < TOLERANCE:
            return "exact"
        if any(found < TOLERANCE for found in self.weights.values()):
            return "weighted-only-if-equal-batches"
        return "no"

    @property
    def sums(self) -> bool:
        """Whether the sum over batches is the value of the epoch."""
        return not self.shapeless and self.total < TOLERANCE

    @property
    def settled(self) -> bool:
        """Whether no further seed can change the class."""
        gaps = (self.items, self.total, *self.weights.values())
        return self.shapeless or min(gaps) >= TOLERANCE


# Rows ---------------------------------------------------------------------------------------------


def key(row: Row) -> Key:
    """Return what tells rows apart: a name and its variant."""
    return row["qualified_name"], row["variant"]


def read(path: Path) -> list[Row]:
    """Return the rows of a table."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def calls() -> dict[Key, Row]:
    """Return how each row is measured, or why it is not."""
    return {key(row): row for row in read(CALLS)}


def missing(call: Row) -> list[str]:
    """Return the packages that measuring a row needs and that are not there."""
    return [name for name in call["needs"].split() if not _is_installed(name)]


@functools.cache
def _is_installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


@functools.cache
def candidates(kind: str) -> tuple[str, ...]:
    """Return every weight that is known for a kind of inputs, as expressions."""
    found = {c["weight"] for c in calls().values() if c["inputs"] == kind} - {""}
    return tuple(sorted(found))


@functools.cache
def _weights(kind: str, seed: int, expression: str) -> Array:
    code = compile(expression, expression, "eval")
    _, ragged, _ = epoch(kind, seed)
    found = [np.asarray(eval(code, {**NAMES, **part}), dtype=float) for part in ragged]
    return np.stack([value.reshape(-1) if value.ndim else value for value in found])


def measure(call: Row, seeds: Sequence[int] = SEEDS) -> Measured:
    """Measure one row on every seed, until its class is settled."""
    function = resolved(call["qualified_name"])
    code = compile(call["call"], call["call"], "eval")
    kind = call["inputs"]

    def value(part: dict[str, Any]) -> tuple[Array, Any]:
        return flat(eval(code, {**NAMES, "f": function, **part}))

    measured = Measured()
    for seed in seeds:
        torch.manual_seed(seed)
        whole, ragged, equal = epoch(kind, seed)
        expected, shape = value(whole)
        parts = [value(part) for part in ragged]
        if any(found != shape for _, found in parts):
            measured.shapeless = True
            break
        values = np.stack([numbers for numbers, _ in parts])
        measured.spread = max(measured.spread, spread(values))
        counts = np.array([part["n"] for part in ragged], dtype=float)
        measured.items = max(measured.items, gap(mean(values, counts), expected))
        measured.total = max(measured.total, gap(np.nansum(values, axis=0), expected))
        for expression in candidates(kind):
            weights = _weights(kind, seed, expression)
            fits = weights.ndim == 1 or weights.shape == values.shape
            found = gap(mean(values, weights), expected) if fits else float("inf")
            measured.weights[expression] = max(measured.weights.get(expression, 0.0), found)
        same = np.stack([value(part)[0] for part in equal])
        together, _ = value(merged(kind, seed))
        measured.equal = max(measured.equal, gap(mean(same, np.ones(len(same))), together))
        if measured.settled:
            break
    return measured


class _WithoutCall(ast.NodeTransformer):
    """Puts ``value`` in the place of the call of ``f``, whose arguments it keeps."""

    def __init__(self) -> None:
        self.arguments: list[ast.expr] | None = None

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if isinstance(node.func, ast.Name) and node.func.id == "f":
            self.arguments = node.args
            return ast.Name("value", ast.Load())
        return self.generic_visit(node)


def object_gap(row: Row, call: Row, seed: int = 1) -> float | None:
    """Return how far the object of a row is from the function, ``None`` where it has none.

    The object is updated batch by batch, with what the function takes, and computed once; the
    function gets the whole epoch. Where the object is used otherwise, ``arguments``, ``update`` and
    ``value`` of the call say how it is built, what it takes and what is done with its value. Of
    other libraries, only rows with an ``update`` are compared.
    """
    built = re.fullmatch(r"(torchmetrics\.[\w.]+)\((.*)\)", row["modular_equivalent"])
    rest = _WithoutCall()
    tree = ast.fix_missing_locations(rest.visit(ast.parse(call["call"], mode="eval")))
    if built is None or built[1].endswith(".MeanMetric"):
        return None
    update = call["update"]
    if row["qualified_name"].startswith("torchmetrics."):  # Others take the target first.
        update = update or ", ".join(map(ast.unparse, rest.arguments or []))
    if not update:
        return None
    function = resolved(call["qualified_name"])
    whole, ragged, _ = epoch(call["inputs"], seed)
    metric = eval(f"build({call['arguments'] or built[2]})", {**NAMES, "build": resolved(built[1])})
    for part in ragged:
        metric.update(*eval(f"({update},)", {**NAMES, **part}))
    own = call["value"] or ("" if rest.arguments else "value")
    after = compile(own or tree, call["call"], "eval")
    found, _ = flat(eval(after, {**NAMES, **whole, "value": metric.compute()}))
    expected, _ = flat(eval(call["call"], {**NAMES, "f": function, **whole}))
    return gap(found, expected) if found.shape == expected.shape else float("inf")


def contradiction(row: Row, measured: Measured, call: Row) -> str:
    """Return in which way a measurement contradicts a row; empty where it does not."""
    if not measured.shapeless and measured.spread < TOLERANCE:
        return "has the same value on every batch, so that its inputs tell nothing"
    if measured.decomposable != row["decomposable"]:
        return f"is {measured.decomposable!r}, the row says {row['decomposable']!r}"
    if row["decomposable"].startswith("weighted"):
        found = measured.weights.get(call["weight"], float("inf"))
        if found >= TOLERANCE:
            return f"is not exact with the weight of the row, {row['weight']!r}: off by {found:.2g}"
    if (row["weight"] == SUM) != (measured.decomposable == "no" and measured.sums):
        return "is exact as a sum, which the row does not say" if measured.sums else (
            "is not exact as a sum, which the row says"
        )  # fmt: skip
    return ""


def object_contradiction(row: Row, call: Row) -> str:
    """Return in which way the object of a row is not what is said; empty where it is."""
    found = object_gap(row, call)
    if found is None or (found >= TOLERANCE) == bool(call["object_differs"]):
        return ""
    if call["object_differs"]:
        return f"equals its object, of which is said that it {call['object_differs']}"
    return f"is off by {found:.2g} from its object, {row['modular_equivalent']}"


def summarised(classes: set[str]) -> str:
    """Return the class of a name from those of its variants."""
    return next(iter(classes)) if len(classes) == 1 else "depends"


@dataclass(frozen=True)
class Outcome:
    """What became of a row: measured, or left out for a reason; ``said`` is a contradiction."""

    row: Row
    measured: str
    gaps: Measured | None
    said: str
    left_out: str


def outcomes(rows: Sequence[Row], seeds: Sequence[int] = SEEDS) -> Iterator[Outcome]:
    """Measure rows one after the other; summaries come last."""
    known = calls()
    classes: dict[str, set[str]] = {}
    complete: dict[str, bool] = {}
    for row in rows:
        if row["variant"] == SUMMARY:
            continue
        name, call = row["qualified_name"], known.get(key(row))
        absent = missing(call) if call else []
        reason = "no call is known" if call is None else call["left_out"]
        reason = reason or (f"{', '.join(absent)} not installed" if absent else "")
        if not reason and not _is_there(name):
            reason = "the installed release has no such name"
        complete[name] = complete.get(name, True) and not reason
        if reason or call is None:
            yield Outcome(row, "", None, "", reason)
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = measure(call, seeds)
            said = [contradiction(row, found, call), object_contradiction(row, call)]
        classes.setdefault(name, set()).add(found.decomposable)
        yield Outcome(row, found.decomposable, found, "; ".join(filter(None, said)), "")
    for row in rows:
        if row["variant"] != SUMMARY:
            continue
        if not complete.get(row["qualified_name"]):
            yield Outcome(row, "", None, "", "not all of its variants were measured")
            continue
        summary = summarised(classes[row["qualified_name"]])
        differs = summary != row["decomposable"]
        said = f"is {summary!r}, the row says {row['decomposable']!r}" if differs else ""
        yield Outcome(row, summary, None, said, "")


# The release --------------------------------------------------------------------------------------


def public_metrics() -> list[str]:
    """Return the functions of the installed TorchMetrics, and the classes without a function."""
    functions: dict[str, str] = {}
    for package in ("torchmetrics.functional", *_areas("torchmetrics.functional")):
        module = importlib.import_module(package)
        for name in getattr(module, "__all__", ()):
            if inspect.isfunction(getattr(module, name, None)):
                functions[name] = f"{package}.{name}"  # The area, where there is one, wins.
    return sorted(functions.values())


def _areas(package: str) -> list[str]:
    root = Path(next(iter(importlib.import_module(package).__path__)))
    return sorted(f"{package}.{p.name}" for p in root.iterdir() if (p / "__init__.py").exists())


def main() -> None:
    """Print the measured table and what contradicts the committed one."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default="", help="pattern for names and variants")
    parser.add_argument("--seeds", type=int, default=len(SEEDS), help="how many epochs to draw")
    parser.add_argument("--unknown", action="store_true", help="list metrics without a row")
    options = parser.parse_args()
    rows = read(TABLE)
    if options.unknown:
        named = {row["qualified_name"] for row in rows}
        print(*(name for name in public_metrics() if name not in named), sep="\n")
        return
    rows = [row for row in rows if re.search(options.only, " ".join(key(row)))]
    contradicted = left_out = 0
    print("name,variant,measured,gap by items,gap of equal batches,smallest gap by a weight,remark")
    writer = csv.writer(sys.stdout, lineterminator="\n")
    for outcome in outcomes(rows, range(options.seeds)):
        gaps = outcome.gaps
        numbers = ["", "", ""]
        if gaps is not None and not gaps.shapeless:
            best = min(gaps.weights.values(), default=None)
            numbers = [
                f"{gaps.items:.2g}",
                f"{gaps.equal:.2g}",
                f"{best:.2g}" if best is not None else "",
            ]
        remark = f"CONTRADICTED: {outcome.said}" if outcome.said else outcome.left_out
        writer.writerow([*key(outcome.row), outcome.measured, *numbers, remark])
        contradicted += bool(outcome.said)
        left_out += bool(outcome.left_out)
    measured = len(rows) - left_out
    print(
        f"{measured} rows measured, {contradicted} contradicted, {left_out} left out",
        file=sys.stderr,
    )
    raise SystemExit(1 if contradicted else 0)


if __name__ == "__main__":
    main()
