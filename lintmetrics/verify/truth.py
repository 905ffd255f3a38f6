"""The true numbers of keys that a fix corrects in the user's own program, which has no oracle.

The recorder is told which keys are meant. For each pass over the data it writes down what metrics
were given and answered, what steps logged and returned, and how many samples each batch had; and
it calls each metric once more, on the whole pass. From that evidence, which is the original's
alone, the true number of a pass follows without anything that the rewrite does.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lintmetrics.codemod import Relation
from lintmetrics.diagnostics import Diagnostic
from lintmetrics.errors import LintmetricsError
from lintmetrics.verify.case import Tolerance
from lintmetrics.verify.oracle import Truth
from lintmetrics.verify.record import Record

VARIABLE = "LINTMETRICS_TRUTH"
"""The environment variable that tells the recorder what to gather."""

_METRICS = frozenset({"LM101", "LM102", "LM103", "LM105", "LM106", "LM107"})
"""Those whose number is what a metric answers for the whole pass."""

_MEANS = frozenset({"LM111", "LM112", "LM113", "LM114", "LM117", "LM118"})
"""Those whose number is the mean of the batch values, weighed with the samples of each batch."""

CODES = _METRICS | _MEANS | {"LM104", "LM116"}
"""The rules whose findings speak of wrong numbers that have a true one."""

TOLERANCE = Tolerance(
    absolute=1e-6, relative=1e-5, reason="sums in single precision, in another order"
)
"""How far a number may be from the true one."""

_STAGES = {"train": "train", "val": "validate", "test": "test", "predict": "predict", "*": "*"}


def asked(findings: Iterable[Diagnostic], folder: Path) -> dict[str, str]:
    """Return the environment variables that have a training of the original tell the truth.

    They belong to the training *before* the change: the truth is computed from the original, and
    ``compare.compare`` holds the rewrite's numbers against it.

    Args:
        findings: the findings whose fixes are the change; only wrong numbers are asked for.
        folder: the tree that the paths of the findings lie in.
    """
    wanted = []
    for finding in findings:
        preserves = finding.fix is not None and finding.fix.relation is Relation.PRESERVES
        if finding.code not in CODES or preserves or not finding.keys:
            continue
        keys = [[_STAGES.get(stage, stage), key] for stage, key in finding.keys]
        wanted.append(
            {
                "code": finding.code,
                "keys": keys,
                "file": _relative(finding.path, folder),
                "first": finding.first_line,
                "last": finding.last_line,
                "about": finding.message,
            }
        )
    return {VARIABLE: json.dumps(wanted)} if wanted else {}


def _relative(path: str, folder: Path) -> str:
    if os.path.isabs(path):
        absolute = os.path.realpath(path)
        root = os.path.realpath(folder)
        if absolute.startswith(root + os.sep):
            path = os.path.relpath(absolute, root)
    return Path(path).as_posix()


class UnprovedError(LintmetricsError):
    """The evidence does not tell the true numbers of a key; the text says why."""


@dataclass(frozen=True)
class Settled:
    """The true numbers of a key.

    Args:
        truths: one for each pass over the data, in their order.
        how: where they come from, as it stands behind "equals" or "differs from".
        sure: whether a number that differs is wrong; if not, what is right depends on something
            that the evidence does not show, such as how many elements a sample has.
    """

    truths: tuple[Truth, ...]
    how: str
    sure: bool = True


def settle(record: Record, key: str) -> Settled:
    """Return the true numbers of a key of the original.

    A metric's is what the same metric answers for the whole pass, given the arguments of all of
    its calls; scikit-learn's answer takes its place where the two agree. A mean's is the mean of
    the batch values, weighed with the samples that the batch sampler drew for each batch. An
    extreme's is that of the batches' extremes.

    Args:
        record: of the original, with evidence.
        key: as the original logged it, with whatever Lightning put behind it.
    Raises:
        UnprovedError: nothing was asked about the key, what was logged is not what a metric
            answered, sizes of batches are not known, a metric was given too much, and such.
    """
    asks = _asks(record, key)
    if not asks:
        raise UnprovedError("no finding that has a true number speaks of it")
    passes = _passes(record, key, asks)
    codes = {one["code"] for one in asks}
    if codes & _METRICS:
        return _metric_truth(passes, record)
    about = " ".join(one["about"] for one in asks)
    if "LM104" in codes:
        return _formula_truth(passes, about)
    if "LM116" in codes:
        return _extreme_truth(passes, about)
    return _mean_truth(passes)


_LOADER = re.compile(r"/dataloader_idx_(\d+)$")


def is_named(record: Record, key: str) -> bool:
    """Return whether a finding speaks of a key by its name, and not as one of unknown keys."""
    patterns = (pattern for one in _asks(record, key) for _, pattern in one["keys"])
    return any("*" not in pattern for pattern in patterns if _fits(pattern, key))


def is_meant(record: Record, key: str) -> bool:
    """Return whether a finding may speak of a key.

    One whose key is not known, such as that of a collection of metrics, may speak of every key that
    the original logs in its stage.
    """
    asks = _asks(record, key)
    if not asks or is_named(record, key):
        return True
    stages = {stage for one in asks for stage, pattern in one["keys"] if _fits(pattern, key)}
    return any(point.key == key and {point.at.stage, "*"} & stages for point in record.points)


def _asks(record: Record, key: str) -> list[Mapping[str, Any]]:
    """Return what was asked about a key, by those findings that name it best."""
    best: dict[int, list[Mapping[str, Any]]] = {}
    for line in record.evidence:
        for one in line.get("wanted", ()):
            fits = [pattern for _, pattern in one["keys"] if _fits(pattern, key)]
            if fits:
                known = max(len(pattern.replace("*", "")) for pattern in fits)
                best.setdefault(known, []).append(one)
    return best[max(best)] if best else []


def _fits(pattern: str, key: str) -> bool:
    expression = ".*".join(map(re.escape, pattern.split("*")))
    return any(re.fullmatch(expression, name, re.DOTALL) for name in _names(key))


def _names(key: str) -> tuple[str, ...]:
    """Return what a program may have called a key that left Lightning."""
    bare = _LOADER.sub("", key)
    return tuple(dict.fromkeys((key, bare, bare.removesuffix("_epoch"))))


# Passes ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Pass:
    """One pass over the data of one loader, seen for one key.

    Args:
        line: what the recorder wrote.
        key: as the program calls it.
        logged: the number of the pass that left Lightning, where one did.
    """

    line: Mapping[str, Any]
    key: str
    logged: float | None

    @property
    def in_steps(self) -> Sequence[float | None] | None:
        return self.line["logged"].get(self.key)  # type: ignore[no-any-return]

    @property
    def is_object(self) -> bool:
        return self.key in self.line["objects"]

    def mean(self, values: Sequence[float | None]) -> float:
        """Return the mean of batch values, weighed with the samples of each batch.

        Raises:
            UnprovedError: the sizes of the batches are not known.
        """
        sizes = self.line["sizes"]
        if sizes is None:
            raise UnprovedError(
                f"how many samples a batch has is not known: {self.line['unsized']}"
            )
        known = [(v, n) for v, n in zip(values, sizes, strict=True) if v is not None]
        return _sum(v * n for v, n in known) / float(sum(n for _, n in known))

    def averages(self, values: Sequence[float | None]) -> bool:
        """Return whether what was logged at the end is a mean of one value of each batch."""
        if self.logged is None or None in values or not values:
            return False
        known = [value for value in values if value is not None]
        means = [_sum(known) / len(known)]
        if self.line["sizes"] is not None:
            means.append(self.mean(values))
        return any(_near(mean, self.logged) for mean in means)

    def truth(self, value: float) -> Truth:
        run, stage, epoch, batches = self.line["at"]
        return Truth(run, stage, epoch, batches, value)


def _sum(values: Iterable[float]) -> float:
    found = list(values)
    # fsum refuses to add infinities of both signs.
    return math.fsum(found) if all(map(math.isfinite, found)) else sum(found)


def _near(one: float, other: float) -> bool:
    if math.isnan(one) and math.isnan(other):
        return True
    return one == other or abs(one - other) <= 1e-6 + 1e-5 * max(abs(one), abs(other))


def _agree(results: Sequence[Sequence[float]]) -> bool:
    return all(
        _near(one, other)
        for result in results[1:]
        for one, other in zip(results[0], result, strict=True)
    )


def _passes(record: Record, key: str, asks: Sequence[Mapping[str, Any]]) -> list[_Pass]:
    stages = {stage for one in asks for stage, pattern in one["keys"] if _fits(pattern, key)}
    found = _LOADER.search(key)
    loader = int(found[1]) if found else None
    lines = [
        line
        for line in record.evidence
        if line["t"] == "evidence"
        and ("*" in stages or {"sanity": "validate"}.get(line["at"][1], line["at"][1]) in stages)
        and loader in (None, line["loader"])
    ]
    if not lines:
        raise UnprovedError("the original made no step in which it could have been logged")
    if any(line["world_size"] > 1 for line in lines):
        raise UnprovedError("several processes share the data of a pass")
    names = [
        name
        for name in _names(key)
        if any(name in line["logged"] or name in line["objects"] for line in lines)
    ]
    name = names[0] if names else _names(key)[-1]
    # Several stages may be meant, and only some log it.
    said = [line for line in lines if name in line["logged"] or name in line["objects"]]
    if names:
        lines = said
    moments = [tuple(line["at"]) for line in lines]
    if len(set(moments)) < len(moments):
        raise UnprovedError("several loaders share the key")
    keys = {key, name}
    return [_Pass(line, name, _epoch_number(record, keys, line)) for line in lines]


def _epoch_number(record: Record, keys: Container[str], line: Mapping[str, Any]) -> float | None:
    """Return what the original logged for a pass as a whole."""
    run, stage, epoch, batches = line["at"]
    found = [
        point
        for point in record.points
        if point.key in keys
        and point.via != "progress"
        and (point.at.run, point.at.stage, point.at.epoch) == (run, stage, epoch)
        and point.at.batches == batches
    ]
    return found[-1].value if found else None


# Metrics --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Answer:
    """Numbers that a metric answered in the steps of a pass, and the one for the whole pass.

    Args:
        name: what tells it from others in every pass alike.
        label: what people call the metric.
        asked: whether it was called where the finding is.
        series: what it answered in each step.
        whole: what the recorder wrote of the call for the whole pass.
        path: the number's place in the answers.
        factor: what the program has multiplied the answers with.
    """

    name: tuple[Any, ...]
    label: str
    asked: bool
    series: Sequence[float | None]
    whole: Mapping[str, Any]
    path: str
    factor: float = 1.0

    def value(self) -> float:
        """Return the number of the whole pass.

        Raises:
            UnprovedError: there is none.
        """
        values = self.whole["values"]
        if self.path not in values:
            raise UnprovedError(f"{self.label}: {self.whole['reason'] or 'no such number'}")
        return float(values[self.path]) * self.factor


def _answers(line: Mapping[str, Any]) -> Iterator[_Answer]:
    counts: Counter[str] = Counter()
    for metric in line["metrics"]:
        label = metric["label"]
        number = counts[label]
        counts[label] += 1
        whole = metric["whole"]
        for site in metric["sites"]:
            name = (label, number if metric["object"] else 0, site["place"], site["nth"])
            for path, series in site["answers"].items():
                yield _Answer((*name, path), label, site["asked"], series, site["whole"], path)
            whole = whole or site["whole"]
        for path, series in metric["computed"].items():
            if whole:
                place = (label, number, "compute", 0, path)
                yield _Answer(place, label, False, series, whole, path)


def _metric_truth(passes: Sequence[_Pass], record: Record) -> Settled:
    if all(one.logged is None and one.in_steps is None and not one.is_object for one in passes):
        raise UnprovedError("the original logs no number of a pass")
    choices = [list(_explaining(one)) for one in passes]
    common = set.intersection(*({answer.name for answer in found} for found in choices))
    if not common:
        raise UnprovedError(_unexplained(passes))
    chosen = [
        {answer.name: answer for answer in found if answer.name in common} for found in choices
    ]
    names = sorted(common, key=lambda name: (not chosen[0][name].asked, str(name)))
    asked = [name for name in names if chosen[0][name].asked]
    results = [[found[name].value() for found in chosen] for name in asked or names]
    if not _agree(results):
        raise UnprovedError("several metrics answer what is logged, and differ over the epoch")
    first = [found[(asked or names)[0]] for found in chosen]
    confirmed = [_confirmed(answer) for answer in first]
    label = first[0].label
    truths = tuple(one.truth(value) for one, value in zip(passes, results[0], strict=True))
    if all(found is not None for found in confirmed):
        known = [found for found in confirmed if found is not None]
        how = f"{known[0][0]} of scikit-learn on the data of the whole epoch"
        truths = tuple(
            one.truth(found[1] * answer.factor)
            for one, found, answer in zip(passes, known, first, strict=True)
        )
    else:
        how = f"{label} called once on the data of the whole epoch"
    return Settled(truths, how)


def _unexplained(passes: Sequence[_Pass]) -> str:
    steps = [one.in_steps for one in passes]
    if not any(one.line["metrics"] for one in passes):
        return "no metric of a library is called in the steps"
    if any(series is not None and None in series for series in steps):
        return "it is not logged in every step"
    if any(series is not None for series in steps):
        return "what the steps log is not what a metric answers there"
    return "what is logged at the end of the epoch is no mean of what a metric answers in the steps"


def _explaining(one: _Pass) -> Iterator[_Answer]:
    """Yield the answers that are what was logged."""
    if one.is_object:
        index = one.line["objects"][one.key]
        metric = one.line["metrics"][index]
        whole = metric["whole"] or (metric["sites"][0]["whole"] if metric["sites"] else None)
        if whole:
            yield _Answer((metric["label"], "object"), metric["label"], True, (), whole, "")
        return
    logged = one.in_steps
    if logged is None:
        yield from _closing(one)
    for answer in _answers(one.line):
        for factor in (1.0, 100.0):
            series = [None if v is None else v * factor for v in answer.series]
            if logged is not None:
                explains = _alike(series, logged)
            else:
                # The check before a training has no number that leaves some versions.
                explains = one.logged is None or one.averages(series)
            if explains:
                yield replace(answer, name=(*answer.name, factor), factor=factor)


def _closing(one: _Pass) -> Iterator[_Answer]:
    """Yield what objects that were computed behind the steps must have answered."""
    counts: Counter[str] = Counter()
    for metric in one.line["metrics"]:
        label = metric["label"]
        counts[label] += 1
        whole = metric["whole"] or (metric["sites"][0]["whole"] if metric["sites"] else None)
        if not whole:
            continue
        for path, value in metric["closed"].items():
            for factor in (1.0, 100.0):
                if one.logged is None or (value is not None and _near(value * factor, one.logged)):
                    name = (label, counts[label], "closed", path, factor)
                    yield _Answer(name, label, True, (), whole, path, factor)


def _alike(one: Sequence[float | None], other: Sequence[float | None]) -> bool:
    return len(one) == len(other) and all(
        a is not None
        and b is not None
        and (a == b or (math.isnan(a) and math.isnan(b)) or abs(a - b) <= 2e-7 * abs(a) + 1e-9)
        for a, b in zip(one, other, strict=True)
    )


def _confirmed(answer: _Answer) -> tuple[str, float] | None:
    """Return what scikit-learn says, where it has an equal that agrees."""
    if answer.label.startswith("sklearn."):
        return answer.label.rpartition(".")[2], answer.whole["values"][answer.path]
    if answer.path or "confirmed" not in answer.whole:
        return None
    name, value = answer.whole["confirmed"]
    return name, value


# Means ----------------------------------------------------------------------------------------

_MEAN = "the mean of the batch values, weighed with the samples of each batch"


def _mean_truth(passes: Sequence[_Pass]) -> Settled:
    series = _mean_series(passes)
    truths = [one.truth(one.mean(values)) for one, values in zip(passes, series, strict=True)]
    return Settled(tuple(truths), _MEAN)


def _extreme_truth(passes: Sequence[_Pass], about: str) -> Settled:
    """Return the extremes of passes: those of the batches' extremes, which their steps log."""
    wanted = [name for name in ("maximum", "minimum") if name in about]
    if len(wanted) != 1:
        raise UnprovedError("whether the largest or the smallest value is meant is not known")
    truths = []
    for one in passes:
        if one.in_steps is None or None in one.in_steps:
            raise UnprovedError("it is not logged in every step")
        known = [value for value in one.in_steps if value is not None]
        truths.append(one.truth(max(known) if wanted == ["maximum"] else min(known)))
    return Settled(tuple(truths), f"the {wanted[0]} of what the steps log")


def _mean_series(passes: Sequence[_Pass]) -> list[Sequence[float | None]]:
    """Return the batch values of each pass that the original averages, one way or another."""
    inner = [one.in_steps for one in passes]
    if all(series is not None for series in inner):
        return [series for series in inner if series is not None]
    given = [_given(one) for one in passes]
    if all(series is not None for series in given):
        return [series for series in given if series is not None]
    choices = [dict(_candidates(one)) for one in passes]
    common = set.intersection(*(set(found) for found in choices))
    spoken = [index for index, one in enumerate(passes) if one.logged is not None]
    if not spoken:
        raise UnprovedError("the original logs no number of a pass")
    right = [
        name for name in sorted(common) if all(passes[i].averages(choices[i][name]) for i in spoken)
    ]
    if not right:
        raise UnprovedError("what is logged is no mean of one value of each batch")
    results = [
        [one.mean(found[name]) for one, found in zip(passes, choices, strict=True)]
        for name in right
    ]
    if not _agree(results):
        raise UnprovedError("it is the mean of several values of the steps, which differ")
    return [found[right[0]] for found in choices]


def _given(one: _Pass) -> Sequence[float | None] | None:
    """Return what a mean object that is logged was given."""
    index = one.line["objects"].get(one.key)
    if index is None:
        return None
    sites = one.line["metrics"][index]["sites"]
    return sites[0]["first"] if len(sites) == 1 and sites[0]["first"] else None


def _candidates(one: _Pass) -> Iterator[tuple[str, Sequence[float | None]]]:
    """Yield every number that each step of a pass has, by a name that is the same in all passes."""
    line = one.line
    for kind in ("returned", "held", "logged"):
        for name, series in line[kind].items():
            if None not in series:
                yield f"{kind} {name}", series
    for metric in line["metrics"]:
        for site in metric["sites"]:
            if site["first"] and None not in site["first"]:
                yield f"given {site['place']} {site['nth']}", site["first"]


# Formulas -------------------------------------------------------------------------------------

_FORMULAS: tuple[tuple[str, str, Callable[[float], float], Callable[[float], float]], ...] = (
    ("root of a batch mean", "root", math.sqrt, lambda value: value * value),
    ("exponential of a batch mean", "exponential", math.exp, math.log),
    ("logarithm of a batch mean", "logarithm", math.log, math.exp),
)


def _formula_truth(passes: Sequence[_Pass], about: str) -> Settled:
    """Return the formula of the weighed mean of what the formula was applied to in each batch."""
    row = next((row for row in _FORMULAS if row[0] in about), None)
    if row is None:
        raise UnprovedError("batch values of this formula do not tell its value on the epoch")
    _, name, formula, inverse = row
    series = _mean_series(passes)
    try:
        truths = tuple(
            one.truth(formula(one.mean([None if v is None else inverse(v) for v in values])))
            for one, values in zip(passes, series, strict=True)
        )
    except (ValueError, OverflowError) as error:
        raise UnprovedError(f"the {name} of a batch cannot be undone: {error}") from None
    how = f"the {name} of the mean of the batches, weighed with the samples of each"
    return Settled(truths, how, sure=False)
