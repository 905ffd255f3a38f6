"""What is right for a key of a user's own program follows from what the original did."""

from __future__ import annotations

import importlib
import json
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from forks import trained
from projects import check

from lintmetrics.verify import compare, truth
from lintmetrics.verify.case import KeyClaim
from lintmetrics.verify.compare import Claims
from lintmetrics.verify.record import RECORDER, Moment, Point, Record, Weights, read
from lintmetrics.verify.second_opinion import second_opinions
from lintmetrics.verify.truth import Settled, UnprovedError, asked, settle
from lintmetrics.verify.verdict import KeyVerdict, Verdict

if TYPE_CHECKING:
    from lintmetrics.verify.warm import WarmPythons

F1 = "torchmetrics.functional.f1_score"


def ask(code: str, *keys: str, stage: str = "validate", about: str = "") -> dict[str, Any]:
    place = {"file": "train.py", "first": 10, "last": 12, "about": about}
    return {"code": code, "keys": [[stage, key] for key in keys], **place}


def site(values: Sequence[float], whole: float | None, **more: Any) -> dict[str, Any]:
    """One place that calls a metric: its answers in the steps, and for the whole pass."""
    told = {"values": {} if whole is None else {"": whole}, "reason": more.pop("reason", "")}
    if "confirmed" in more:
        told["confirmed"] = more.pop("confirmed")
    first = more.pop("first", [])
    place = {"place": "train.py:11", "nth": 0, "asked": True, **more}
    return {**place, "answers": {"": list(values)} if values else {}, "first": first, "whole": told}


def metric(*sites: dict[str, Any], label: str = F1, **more: Any) -> dict[str, Any]:
    told = {"label": label, "object": False, "computed": {}, "closed": {}, "whole": None}
    return {**told, "sites": sites, **more}


def seen(epoch: int = 0, stage: str = "validate", loader: int = 0, **more: Any) -> dict[str, Any]:
    """What the recorder writes of one pass over four batches, the last of them short."""
    line = {"t": "evidence", "at": [0, stage, epoch, 4 * (epoch + 1)], "loader": loader}
    line.update(world_size=1, steps=4, sizes=[8, 8, 8, 4], unsized="")
    line.update(logged={}, objects={}, returned={}, held={}, metrics=[])
    return {**line, **more}


def record(
    evidence: Sequence[Mapping[str, Any]] = (),
    numbers: Mapping[str, Sequence[float]] | None = None,
    stage: str = "validate",
    weights: str = "aa",
) -> Record:
    points = tuple(
        Point(order, "logger", Moment(0, stage, epoch, 4 * (epoch + 1)), key, value)
        for order, (key, epoch, value) in enumerate(
            (key, epoch, value)
            for key, values in (numbers or {}).items()
            for epoch, value in enumerate(values)
        )
    )
    end = Weights(len(points), Moment(0, "train", 0, 0), weights)
    return Record({"lightning": "1.9.5"}, points, (end,), evidence=tuple(evidence))


def settled(
    code: str, *passes: dict[str, Any], logged: float | None = None, **more: Any
) -> Settled:
    asks = {"t": "asked", "wanted": [ask(code, "f1", **more)]}
    numbers = {} if logged is None else {"f1": [logged] * len(passes)}
    return settle(record([asks, *passes], numbers), "f1")


def why_not(code: str, *passes: dict[str, Any], **more: Any) -> str:
    with pytest.raises(UnprovedError) as raised:
        settled(code, *passes, **more)
    return str(raised.value)


STEPS = [0.5, 0.75, 1.0, 0.25]
WEIGHED = (8 * 0.5 + 8 * 0.75 + 8 * 1.0 + 4 * 0.25) / 28


# What is asked for ------------------------------------------------------------------------------


def test_wrong_numbers_are_asked_for_with_their_keys_and_places(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(
        "import lightning.pytorch as pl\n"
        "from torchmetrics.functional import auroc\n\n"
        "class Model(pl.LightningModule):\n"
        "    def validation_step(self, batch, batch_idx):\n"
        "        x, y = batch\n"
        "        self.log('val_auc', auroc(self(x), y, task='binary'))\n"
    )
    report = check(tmp_path)
    variables = asked(report.diagnostics, tmp_path)
    (wanted,) = json.loads(variables[truth.VARIABLE])
    assert (wanted["code"], wanted["keys"]) == ("LM101", [["validate", "val_auc"]])
    assert (wanted["file"], wanted["first"], wanted["last"]) == ("train.py", 7, 7)
    assert asked([], tmp_path) == {}


# Metrics --------------------------------------------------------------------------------------


def test_a_metric_that_is_logged_in_the_step_is_true_over_the_whole_epoch() -> None:
    called = metric(site(STEPS, 0.6))
    found = settled("LM101", seen(0, logged={"f1": STEPS}, metrics=[called]))
    assert [(t.stage, t.epoch, t.batches, t.value) for t in found.truths] == [
        ("validate", 0, 4, 0.6)
    ]
    assert (
        found.how == "torchmetrics.functional.f1_score called once on the data of the whole epoch"
    )
    assert found.sure


def test_scikit_learn_speaks_where_it_agrees() -> None:
    called = metric(site(STEPS, 0.6, confirmed=["f1_score", 0.6000001]))
    found = settled("LM101", seen(logged={"f1": STEPS}, metrics=[called]))
    assert found.truths[0].value == 0.6000001
    assert found.how.startswith("f1_score of scikit-learn")


def test_a_share_that_is_logged_in_percent_is_true_in_percent() -> None:
    logged = [100 * value for value in STEPS]
    found = settled("LM101", seen(logged={"f1": logged}, metrics=[metric(site(STEPS, 0.6))]))
    assert found.truths[0].value == pytest.approx(60)


def test_what_an_object_computes_in_the_steps_is_true_over_all_of_its_updates() -> None:
    called = metric(site([], 0.6), object=True, computed={"": STEPS}, label="torchmetrics.F1Score")
    found = settled("LM103", seen(logged={"f1": STEPS}, metrics=[called]))
    assert found.truths[0].value == 0.6


@pytest.mark.parametrize("logged", [sum(STEPS) / 4, WEIGHED])
def test_a_mean_of_answers_that_is_logged_at_the_end_leads_to_the_metric(logged: float) -> None:
    other = metric(site([0.1] * 4, 0.1), label="torchmetrics.functional.accuracy")
    passes = seen(metrics=[other, metric(site(STEPS, 0.6))])
    assert settled("LM101", passes, logged=logged).truths[0].value == 0.6


def test_what_no_metric_answered_is_not_known() -> None:
    called = metric(site(STEPS, 0.6))
    other = [1 - value for value in STEPS]
    told = why_not("LM101", seen(logged={"f1": other}, metrics=[called]))
    assert told == "what the steps log is not what a metric answers there"
    told = why_not("LM101", seen(metrics=[called]), logged=0.111)
    assert told.startswith("what is logged at the end of the epoch is no mean")
    told = why_not("LM101", seen(logged={"f1": STEPS}))
    assert told == "no metric of a library is called in the steps"
    told = why_not("LM101", seen(logged={"f1": [*STEPS[:3], None]}, metrics=[called]))
    assert told == "it is not logged in every step"


def test_two_metrics_that_answer_the_same_are_told_apart_by_the_place_of_the_finding() -> None:
    other = metric(site(STEPS, 0.7, asked=False, place="train.py:40"), label="m.recall")
    passes = seen(logged={"f1": STEPS}, metrics=[other, metric(site(STEPS, 0.6))])
    assert settled("LM101", passes).truths[0].value == 0.6
    other = metric(site(STEPS, 0.7), label="m.recall")
    passes = seen(logged={"f1": STEPS}, metrics=[other, metric(site(STEPS, 0.6))])
    assert "several metrics" in why_not("LM101", passes)


def test_an_answer_must_explain_every_pass() -> None:
    """In the first epoch two metrics answer the same, in the second they do not."""
    apart = [0.5, 0.5, 0.5, 0.5]
    first = seen(
        0,
        logged={"f1": STEPS},
        metrics=[metric(site(STEPS, 0.7), label="a"), metric(site(STEPS, 0.6))],
    )
    second = seen(
        1,
        logged={"f1": STEPS},
        metrics=[metric(site(apart, 0.5), label="a"), metric(site(STEPS, 0.6))],
    )
    assert [t.value for t in settled("LM101", first, second).truths] == [0.6, 0.6]


def test_what_was_too_large_or_shared_is_not_known_and_says_so() -> None:
    large = metric(
        site(STEPS, None, reason="too large: its arguments have more than 600000000 bytes")
    )
    told = why_not("LM101", seen(logged={"f1": STEPS}, metrics=[large]))
    assert told == f"{F1}: too large: its arguments have more than 600000000 bytes"
    assert "several processes" in why_not("LM101", seen(logged={"f1": STEPS}, world_size=2))
    assert "several loaders" in why_not(
        "LM101", seen(logged={"f1": STEPS}), seen(logged={"f1": STEPS}, loader=1)
    )


def test_a_key_of_one_loader_is_true_on_the_data_of_that_loader() -> None:
    lines = [
        seen(loader=loader, logged={"f1": STEPS}, metrics=[metric(site(STEPS, value))])
        for loader, value in enumerate((0.6, 0.7))
    ]
    asks = {"t": "asked", "wanted": [ask("LM101", "f1")]}
    found = settle(record([asks, *lines]), "f1/dataloader_idx_1")
    assert [t.value for t in found.truths] == [0.7]


def test_the_stages_of_a_key_are_those_of_its_findings() -> None:
    called = [metric(site(STEPS, 0.6))]
    lines = [
        seen(stage=stage, logged={"f1": STEPS}, metrics=called)
        for stage in ("sanity", "validate", "test")
    ]
    assert [t.stage for t in settled("LM101", *lines).truths] == ["sanity", "validate"]
    assert "no step" in why_not("LM101", seen(stage="test"), stage="train")


# Means ----------------------------------------------------------------------------------------


def test_a_mean_is_weighed_with_the_samples_that_were_drawn() -> None:
    found = settled("LM112", seen(logged={"f1": STEPS}))
    assert found.truths[0].value == pytest.approx(WEIGHED, abs=1e-12)
    assert found.how == "the mean of the batch values, weighed with the samples of each batch"


def test_without_the_sizes_of_the_batches_a_mean_is_not_known() -> None:
    why = "an iterable dataset does not say how many samples it gives"
    told = why_not("LM112", seen(logged={"f1": STEPS}, sizes=None, unsized=why))
    assert told == f"how many samples a batch has is not known: {why}"


@pytest.mark.parametrize(
    "where",
    [
        {"returned": {"['loss']": STEPS, "['other']": [0.0, 1.0, 2.0, 3.0]}},
        {"held": {"self.outputs": STEPS}},
        {"logged": {"step_loss": STEPS}},
    ],
)
def test_a_plain_mean_of_step_values_is_found_wherever_they_are(where: dict[str, Any]) -> None:
    found = settled("LM111", seen(**where), logged=sum(STEPS) / 4)
    assert found.truths[0].value == pytest.approx(WEIGHED, abs=1e-12)


def test_a_number_that_is_no_mean_of_step_values_is_not_known() -> None:
    told = why_not("LM111", seen(returned={"": STEPS}), logged=0.9)
    assert told == "what is logged is no mean of one value of each batch"
    twice = {"a": STEPS, "b": [0.25, 1.0, 0.75, 0.5]}
    told = why_not("LM111", seen(returned=twice), logged=sum(STEPS) / 4)
    assert told == "it is the mean of several values of the steps, which differ"


@pytest.mark.parametrize("code", ["LM101", "LM105", "LM106", "LM107"])
def test_what_an_object_answered_behind_the_steps_leads_to_what_it_answers_of_one_pass(
    code: str,
) -> None:
    held = metric(site([], 0.6), object=True, closed={"": 0.625})
    assert settled(code, seen(metrics=[held]), logged=0.625).truths[0].value == 0.6
    assert settled(code, seen(metrics=[held]), logged=62.5).truths[0].value == 60.0
    told = why_not(code, seen(metrics=[held]), logged=0.7)
    assert told.startswith("what is logged at the end of the epoch is no mean")


def test_an_object_of_each_stage_answers_for_its_own() -> None:
    mine = metric(site([], 0.6), object=True, closed={"": 0.625})
    other = metric(site([], 0.4), object=True, closed={"": 0.5})
    found = settled("LM106", seen(metrics=[other, mine]), logged=0.625)
    assert found.truths[0].value == 0.6


@pytest.mark.parametrize("code", ["LM117", "LM118"])
def test_a_mean_with_a_said_batch_size_is_weighed_by_the_samples(code: str) -> None:
    found = settled(code, seen(logged={"f1": STEPS}), logged=sum(STEPS) / 4)
    assert found.truths[0].value == pytest.approx(WEIGHED, abs=1e-12)


@pytest.mark.parametrize(("which", "value"), [("maximum", max(STEPS)), ("minimum", min(STEPS))])
def test_an_extreme_is_that_of_the_batches(which: str, value: float) -> None:
    about = f"the mean of the {which} of each batch, not the {which} of the epoch"
    assert settled("LM116", seen(logged={"f1": STEPS}), about=about).truths[0].value == value
    broken = seen(logged={"f1": [*STEPS[:3], None]})
    assert why_not("LM116", broken, about=about) == "it is not logged in every step"
    assert "largest or the smallest" in why_not("LM116", seen(logged={"f1": STEPS}), about="?")


def test_a_mean_object_is_weighed_by_what_it_was_given() -> None:
    given = metric(site([], 0.625, first=STEPS), object=True, label="torchmetrics.MeanMetric")
    found = settled("LM114", seen(objects={"f1": 0}, metrics=[given]))
    assert found.truths[0].value == pytest.approx(WEIGHED, abs=1e-12)


def test_a_root_of_batch_means_is_the_root_of_their_mean_unless_samples_differ() -> None:
    found = settled("LM104", seen(logged={"f1": STEPS}), about="averages the root of a batch mean")
    squares = (8 * 0.25 + 8 * 0.5625 + 8 * 1.0 + 4 * 0.0625) / 28
    assert found.truths[0].value == pytest.approx(squares**0.5, abs=1e-12)
    assert not found.sure
    ratio = "averages a ratio of batch counts"
    assert "do not tell" in why_not("LM104", seen(logged={"f1": STEPS}), about=ratio)


# Held against the rewrite ------------------------------------------------------------------------


def verdict(
    after: Sequence[float],
    evidence: Sequence[Mapping[str, Any]],
    before: Sequence[float] = (0.625,),
    *,
    key: str = "f1",
    code: str = "LM101",
    weights: str = "aa",
    named: str = "f1",
    about: str = "",
) -> KeyVerdict:
    asks = {"t": "asked", "wanted": [ask(code, named, about=about)]}
    claims = Claims({key: KeyClaim(key, key, "corrects")})
    old = record([asks, *evidence], {key: before})
    rows = compare.compare(claims, old, record((), {key: after}, weights=weights))
    (row,) = [row for row in rows if row.via != compare.WEIGHTS]
    return row


CALLED = [seen(logged={"f1": STEPS}, metrics=[metric(site(STEPS, 0.6))])]


def test_a_rewrite_that_logs_the_true_number_is_corrected() -> None:
    row = verdict([0.6000001], CALLED)
    assert row.verdict is Verdict.CORRECTED
    assert [point.value for point in row.oracle] == [0.6]
    assert row.before_gap == pytest.approx(0.025)
    assert row.tolerance.startswith("1e-06 absolute or 1e-05 relative")
    assert row.detail == (
        f"equals {F1} called once on the data of the whole epoch at 1 point; "
        "the original misses it by up to 0.025"
    )


def test_a_rewrite_that_logs_another_number_is_wrong() -> None:
    row = verdict([0.61], CALLED)
    assert row.verdict is Verdict.WRONG
    assert row.parted is not None
    assert row.detail.endswith(
        f"it is 0.61 and {F1} called once on the data of the whole epoch is 0.6"
    )


def test_where_the_original_was_right_nothing_is_corrected() -> None:
    assert verdict([0.6], CALLED, before=[0.6]).verdict is Verdict.ALREADY_RIGHT


def test_where_nothing_is_known_a_change_is_not_proved() -> None:
    row = verdict([0.6], [seen(logged={"f1": STEPS})])
    assert row.verdict is Verdict.UNPROVED
    assert "no metric of a library is called in the steps" in row.detail
    assert verdict([0.625], [seen(logged={"f1": STEPS})]).verdict is Verdict.SAME


def test_a_formula_that_differs_is_not_proved_instead_of_wrong() -> None:
    passes = [seen(logged={"f1": STEPS})]
    about = "averages the root of a batch mean"
    assert verdict([0.9], passes, code="LM104", about=about).verdict is Verdict.UNPROVED


def test_other_weights_have_other_truths() -> None:
    assert verdict([0.61], CALLED, weights="bb").verdict is Verdict.CHANGED_TRAINING


def test_a_finding_without_a_key_says_nothing_of_keys_that_it_does_not_change() -> None:
    assert verdict([0.625], CALLED, named="*").verdict is Verdict.SAME
    assert verdict([0.6], CALLED, named="*").verdict is Verdict.CORRECTED


def test_a_finding_without_a_key_says_nothing_of_other_stages() -> None:
    asks = {"t": "asked", "wanted": [ask("LM102", "*", stage="test")]}
    claims = Claims({"f1": KeyClaim("f1", "f1", "corrects")})
    old = record([asks, *CALLED], {"f1": [0.625]})
    rows = compare.compare(claims, old, record((), {"f1": [0.6]}))
    assert [row.verdict for row in rows if row.key == "f1"] == [Verdict.DIFFERENT]


def test_a_step_keeps_its_own_number_where_the_epoch_has_another() -> None:
    """``on_step`` and ``on_epoch``: the plain key holds either, by turns."""
    evidence = [
        {"t": "asked", "wanted": [ask("LM101", "f1", stage="train")]},
        seen(stage="train", logged={"f1": STEPS}, metrics=[metric(site(STEPS, 0.6))]),
    ]

    def logged(epoch: float, evidence: Sequence[Mapping[str, Any]] = ()) -> Record:
        def at(order: int, via: str, key: str, value: float, batches: int) -> Point:
            return Point(order, via, Moment(0, "train", 0, batches), key, value)

        points = [
            at(2 * i + j, "callback", key, value, i + 1)
            for i, value in enumerate(STEPS)
            for j, key in enumerate(("f1", "f1_step"))
        ]
        points += [at(8, "callback", "f1_epoch", epoch, 4), at(9, "callback", "f1", epoch, 4)]
        return Record({"lightning": "1.9.5"}, tuple(points), evidence=tuple(evidence))

    keys = ("f1", "f1_step", "f1_epoch")
    claims = Claims({key: KeyClaim(key, key, "corrects") for key in keys})
    for epoch, verdicts in (
        (0.6, [Verdict.CORRECTED, Verdict.CORRECTED, Verdict.SAME]),
        (0.7, [Verdict.WRONG, Verdict.WRONG, Verdict.SAME]),
    ):
        rows = compare.compare(claims, logged(0.625, evidence), logged(epoch))
        assert [row.verdict for row in rows] == verdicts


# Second opinions ----------------------------------------------------------------------------------


def opinions(label: str, settings: Mapping[str, Any], preds: Any, target: Any) -> set[float]:
    numpy = pytest.importorskip("numpy")
    pytest.importorskip("sklearn", reason="second opinions come from scikit-learn")
    data = {"preds": numpy.array(preds), "target": numpy.array(target)}
    return {round(value, 6) for _, value in second_opinions(label, settings, data)}


def test_scikit_learn_has_equals_worked_out_by_hand() -> None:
    scores = [[0.9, 0.1], [0.2, 0.8], [0.4, 0.6], [0.7, 0.3]]
    # Class 0: 1 hit, 1 false alarm, 1 miss; class 1 the same: F1 of 1/2 each.
    assert 0.5 in opinions(F1, {"average": "macro", "num_classes": 2}, scores, [0, 1, 0, 1])
    assert 0.75 in opinions("pl.AUROC", {}, [0.1, 0.8, 0.6, 0.3], [0, 1, 0, 1])
    assert 0.75 in opinions("pl.Accuracy", {}, [0.1, 0.8, 0.6, 0.7], [0, 1, 0, 1])
    assert 2.5 in opinions("torchmetrics.MeanSquaredError", {}, [1.0, 2.0], [0.0, 4.0])
    assert round(2.5**0.5, 6) in opinions("x.MeanSquaredError", {}, [1.0, 2.0], [0.0, 4.0])
    assert -1.0 in opinions("torchmetrics.PearsonCorrCoef", {}, [1.0, 2.0, 3.0], [3.0, 2.0, 1.0])
    assert opinions("torchmetrics.FID", {}, [1.0, 2.0], [0.0, 4.0]) == set()


# Many calls as one ----------------------------------------------------------------------------


@pytest.fixture
def gathering(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The part of the recorder that gathers, loaded here and not installed."""
    pytest.importorskip("torch", reason="what metrics are given are tensors")
    monkeypatch.syspath_prepend(RECORDER)
    for name in ("lintmetrics_recorder", "lintmetrics_evidence"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module("lintmetrics_evidence")


def calls(gathering: Any, *args: tuple[Any, ...], **settings: Any) -> list[Any]:
    return [gathering._Call(step, given, settings) for step, given in enumerate(args)]


def test_data_are_joined_and_settings_are_handed_on(gathering: Any) -> None:
    import torch

    preds, target = torch.rand(7, 3), torch.arange(7)
    weights = torch.tensor([1.0, 2.0, 3.0, 4.0])
    made = [(preds[:4], target[:4], weights), (preds[4:], target[4:], weights)]
    args, kwargs = gathering._joined(calls(gathering, *made, average="macro", classes=[0, 1]))
    assert torch.equal(args[0], preds)
    assert torch.equal(args[1], target)
    assert torch.equal(args[2], weights)
    assert kwargs == {"average": "macro", "classes": [0, 1]}


def test_lists_texts_and_a_squeezed_last_batch_are_joined(gathering: Any) -> None:
    import torch

    made = [(["a b"], ["a"]), (["c"], ["c", "d"][:1])]
    assert gathering._joined(calls(gathering, *made))[0] == (["a b", "c"], ["a", "c"])
    made_of_texts = [("a b", "a"), ("c", "d")]
    assert gathering._joined(calls(gathering, *made_of_texts))[0] == (["a b", "c"], ["a", "d"])
    made_of_tensors = [(torch.tensor([1.0, 2.0]),), (torch.tensor(3.0),)]
    (joined,), _ = gathering._joined(calls(gathering, *made_of_tensors))
    assert joined.tolist() == [1, 2, 3]


def test_calls_that_do_not_make_one_say_why(gathering: Any) -> None:
    import torch

    def why(*made: Any) -> str:
        with pytest.raises(gathering._Unlike) as raised:
            gathering._joined(list(made))
        return str(raised.value)

    one = gathering._Call(0, (torch.rand(2, 4), torch.rand(2, 4)), {"k": 1})
    assert why(one, gathering._Call(1, one.args, {})) == "it is called in different ways"
    assert why(one, gathering._Call(1, one.args, {"k": 2})) == "its k changes from batch to batch"
    wide = gathering._Call(1, (torch.rand(2, 5), torch.rand(2, 5)), {"k": 1})
    assert why(one, wide) == "its argument 1 has different shapes from batch to batch"


def test_arguments_that_are_too_large_are_let_go(
    gathering: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    def mean(values: Any) -> Any:
        return values.mean()

    monkeypatch.setattr(gathering, "LIMIT", 100)
    gathering._EVIDENCE.open = gathered = gathering._Pass()
    gathering._EVIDENCE.thread = threading.get_ident()
    for _ in range(3):
        gathered.steps.append(gathering._Step(10))
        gathering._watched(mean, "mean", mean, (torch.ones(10),), {})
    (told,) = gathering._told_pass(gathered, 1)["metrics"]
    assert told["sites"][0]["answers"] == {"": [1.0, 1.0, 1.0]}
    reason = told["sites"][0]["whole"]["reason"]
    assert reason == "too large: its arguments have more than 120 bytes"
    assert gathering._EVIDENCE.bytes == 0


# Real trainings -----------------------------------------------------------------------------------

PROGRAM = """
import importlib
import json
import os
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

pl = importlib.import_module(os.environ.get("ROOT", "pytorch_lightning"))
VERSION = tuple(int(part) for part in pl.__version__.split(".")[:2])
OLD = VERSION < (1, 3)
metrics = importlib.import_module("pytorch_lightning.metrics" if OLD else "torchmetrics")
functional = importlib.import_module(metrics.__name__ + ".functional")
f1 = getattr(functional, "f1", None) or functional.f1_score
F1 = getattr(metrics, "F1", None) or metrics.F1Score
try:
    OPTIONS = dict(num_classes=2, average="macro", task="multiclass")
    F1(**OPTIONS)
except (TypeError, ValueError):
    del OPTIONS["task"]
SEEN = []


class Model(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(3, 2)
        self.f1 = F1(**OPTIONS)
        self.outputs = []

    def training_step(self, batch, batch_idx):
        x, y = batch
        return nn.functional.cross_entropy(self.net(x), y)

    def validation_step(self, batch, batch_idx):
        x, y = batch
        p = self.net(x).softmax(1)
        loss = nn.functional.cross_entropy(self.net(x), y)
        SEEN.append((self.trainer.global_step, p.argmax(1).tolist(), y.tolist(), loss.item()))
        self.log("functional", f1(p, y, **OPTIONS))
        self.log("object", self.f1(p, y))
        self.log("mean", loss)
        self.log("noise", float(torch.rand(1)))
        self.outputs.append(loss)
        return {"loss": loss}

    def on_validation_epoch_end(self):
        if VERSION >= (2, 0):
            self.log("by_hand", torch.stack(self.outputs).mean())
        self.outputs.clear()

    if VERSION < (2, 0):
        def validation_epoch_end(self, outputs):
            self.log("by_hand", torch.stack([x["loss"] for x in outputs]).mean())

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def loader(rows, **options):
    x = torch.randn(rows, 3, generator=torch.Generator().manual_seed(rows))
    noise = torch.randn(rows, generator=torch.Generator().manual_seed(1))
    return DataLoader(TensorDataset(x, (x.sum(1) + noise > 0).long()), batch_size=8, **options)


if __name__ == "__main__":
    torch.manual_seed(3)
    model = Model()
    pl.Trainer(default_root_dir=os.getcwd(), max_epochs=2).fit(
        model, loader(25, shuffle=True), loader(21, num_workers=1)
    )
    print("seen", json.dumps(SEEN))
    print("weights", [p.tolist() for p in model.net.parameters()], torch.rand(1).item())
"""


def train(forking: WarmPythons, folder: Path, lightning: str | None, **more: str) -> list[str]:
    folder.mkdir(exist_ok=True)
    (folder / "train.py").write_text(PROGRAM)
    printed = trained(forking, folder, "train.py", lightning, **more)
    return [line for line in printed if line.startswith(("seen ", "weights "))]


def macro_f1(found: Sequence[int], true: Sequence[int]) -> float:
    pairs = list(zip(found, true, strict=True))
    scores = []
    for kind in (0, 1):
        hits = sum(f == t == kind for f, t in pairs)
        named = sum(f == kind for f, _ in pairs) + sum(t == kind for _, t in pairs)
        scores.append(2 * hits / named)
    return sum(scores) / 2


@pytest.mark.training
@pytest.mark.parametrize("lightning", ["1.0.8", "1.4.9", "1.9.5", None])
def test_the_truth_is_found_in_a_training_and_changes_nothing_in_it(
    tmp_path: Path, forking: WarmPythons, lightning: str | None
) -> None:
    for module in ("torch", "pytorch_lightning", "torchmetrics"):
        pytest.importorskip(module, reason="trainings need the verify extra")
    asks = [ask("LM101", "functional"), ask("LM102", "object")]
    asks += [ask("LM112", "mean"), ask("LM111", "by_hand")]
    told = train(forking, tmp_path / "a", lightning, **{truth.VARIABLE: json.dumps(asks)})
    known = read(tmp_path / "a" / "record")[0]
    assert known.environment["errors"] == ()
    line, _ = told
    seen = json.loads(line.removeprefix("seen "))
    passes = [[step for step in seen if step[0] == steps] for steps in sorted({s[0] for s in seen})]
    expected: dict[str, list[float]] = {"functional": [], "mean": []}
    for steps in passes:
        found = [label for step in steps for label in step[1]]
        true = [label for step in steps for label in step[2]]
        expected["functional"].append(macro_f1(found, true))
        expected["mean"].append(sum(s[3] * len(s[2]) for s in steps) / len(true))
    expected["object"], expected["by_hand"] = expected["functional"], expected["mean"]
    for key, values in expected.items():
        truths = settle(known, key).truths
        assert [t.stage for t in truths] == ["sanity", "validate", "validate"], key
        assert [t.value for t in truths] == pytest.approx(values, abs=2e-6), key
    if lightning in ("1.9.5", None):
        assert train(forking, tmp_path / "b", lightning) == told
        other = read(tmp_path / "b" / "record")[0]
        assert other.points == known.points
        assert [w.sha256 for w in other.weights] == [w.sha256 for w in known.weights]
        assert other.evidence == ()
