"""Two records are the same, or what is not is found, named and placed."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lintmetrics.verify import compare
from lintmetrics.verify.case import Case, KeyClaim, Tolerance
from lintmetrics.verify.compare import Claims, announced, judge
from lintmetrics.verify.oracle import Oracle, OracleError, passes
from lintmetrics.verify.record import Moment, Point, RawStep, Record, Weights
from lintmetrics.verify.verdict import KeyVerdict, Side, Verdict

TODAY = {"lightning": "2.6.6", "lightning_from": "lightning.pytorch"}
ROUNDING = Tolerance(absolute=1e-6, reason="float32 sums in another order")


def _record(
    numbers: Mapping[str, Sequence[float]],
    stage: str = "validate",
    via: str = "logger",
    weights: str = "aa",
    per_epoch: int = 4,
) -> Record:
    """One point for each key and epoch, as validation leaves them."""
    rows = sorted(
        (epoch, key, value) for key, values in numbers.items() for epoch, value in enumerate(values)
    )
    points = tuple(
        Point(order, via, Moment(0, stage, epoch, per_epoch * (epoch + 1)), key, value, epoch)
        for order, (epoch, key, value) in enumerate(rows)
    )
    end = Weights(len(points), Moment(0, "train", 0, 0), weights)
    return Record(TODAY, points, (end,) if weights else ())


def _steps(values: Sequence[Sequence[float]], stage: str = "validate") -> tuple[RawStep, ...]:
    """Raw steps of an epoch for each inner list, a batch of one for each of its numbers."""
    return tuple(
        RawStep(Moment(0, stage, epoch, 4 * (epoch + 1)), index, 0, value, (), None)
        for epoch, batch_values in enumerate(values)
        for index, value in enumerate(batch_values)
    )


def _rows(verdicts: Sequence[KeyVerdict]) -> list[KeyVerdict]:
    return [row for row in verdicts if row.via != compare.WEIGHTS]


def _only(verdicts: Sequence[KeyVerdict]) -> KeyVerdict:
    (row,) = _rows(verdicts)
    return row


def _case(*claims: KeyClaim, **more: object) -> Case:
    case = Case(Path("case"), "1.9.5", {claim.key: claim for claim in claims})
    return replace(case, **more)  # type: ignore[arg-type]


def _mean(tmp_path: Path) -> Oracle:
    path = tmp_path / "oracle.py"
    path.write_text("def mean(steps):\n    return sum(s.batch for s in steps) / len(steps)\n")
    return Oracle(path)


# Records against each other -------------------------------------------------------------------

NUMBERS = st.floats(allow_nan=True, allow_infinity=True, width=32)
RECORDS = st.builds(
    Record,
    st.just(TODAY),
    st.lists(
        st.builds(
            Point,
            st.just(0),
            st.sampled_from(["logger", "callback", "direct"]),
            st.builds(
                Moment,
                st.integers(0, 1),
                st.sampled_from(["train", "validate", "sanity"]),
                st.integers(0, 2),
                st.integers(0, 3),
            ),
            st.sampled_from(["a", "b", "c/d"]),
            NUMBERS,
        ),
        max_size=25,
    ).map(lambda points: tuple(replace(p, order=i) for i, p in enumerate(points))),
)


@given(RECORDS)
def test_a_record_is_the_same_as_itself(record: Record) -> None:
    rows = compare.compare(Claims(), record, record)
    assert {row.verdict for row in rows} <= {Verdict.SAME}
    assert all(row.gap == 0 and row.parted is None for row in rows)
    assert judge(rows) is (Verdict.SAME if record.points else Verdict.FAILED)
    assert {r.verdict for r in compare.repeat(Claims(), record, record, Tolerance())} <= {
        Verdict.SAME
    }


@given(RECORDS, st.data())
def test_any_number_that_changes_is_found_where_it_changes(
    record: Record, data: st.DataObject
) -> None:
    if not record.points:
        return
    index = data.draw(st.integers(0, len(record.points) - 1))
    old = record.points[index]
    value = data.draw(NUMBERS.filter(lambda new: compare.distance(new, old.value) > 0))
    points = list(record.points)
    points[index] = replace(old, value=value)
    rows = compare.compare(Claims(), record, replace(record, points=tuple(points)))
    apart = [row for row in rows if not row.verdict.holds]
    assert old.key in {row.key for row in apart}
    assert old.via in {row.via for row in apart}
    if old.via != "callback":
        (row,) = apart
        assert row.verdict is Verdict.DIFFERENT
        assert row.parted == points[index]
        assert row.gap == compare.distance(value, old.value)
    assert judge(rows) in (Verdict.DIFFERENT, Verdict.MISSING, Verdict.NEW)


@given(RECORDS, st.data())
def test_any_point_that_is_lost_is_named(record: Record, data: st.DataObject) -> None:
    loggers = [point for point in record.points if point.via != "callback"]
    if not loggers:
        return
    lost = data.draw(st.sampled_from(loggers))
    other = replace(record, points=tuple(p for p in record.points if p != lost))
    gone = [row for row in compare.compare(Claims(), record, other) if not row.verdict.holds]
    assert {(row.key, row.via, row.stage) for row in gone} == {(lost.key, lost.via, lost.at.stage)}
    new = [row for row in compare.compare(Claims(), other, record) if not row.verdict.holds]
    assert len(new) == 1


@given(RECORDS, RECORDS)
def test_the_gap_does_not_depend_on_which_side_is_first(one: Record, other: Record) -> None:
    there = compare.compare(Claims(), one, other)
    back = compare.compare(Claims(), other, one)
    assert [(r.key, r.via, r.stage, r.gap, r.compared) for r in there] == [
        (r.key, r.via, r.stage, r.gap, r.compared) for r in back
    ]


@given(RECORDS, RECORDS, st.randoms())
def test_how_keys_interleave_does_not_matter(
    one: Record, other: Record, randomness: random.Random
) -> None:
    """The order of points of one line is kept, all others are mixed."""
    orders: dict[tuple[str, str], list[Point]] = {}
    for point in other.points:
        orders.setdefault((point.via, point.key), []).append(point)
    mixed: list[Point] = []
    while orders:
        place = randomness.choice(sorted(orders))
        mixed.append(orders[place].pop(0))
        if not orders[place]:
            del orders[place]
    shuffled = replace(other, points=tuple(replace(p, order=i) for i, p in enumerate(mixed)))

    def told(record: Record) -> list[tuple[object, ...]]:
        rows = compare.compare(Claims(), one, record)
        return [(r.key, r.via, r.stage, r.verdict, r.gap, r.compared, r.detail) for r in rows]

    assert told(shuffled) == told(other)


@given(RECORDS)
def test_keys_may_change_places(record: Record) -> None:
    """The key map is asked both ways: what was ``a`` is ``b`` now, and what was ``b`` is ``a``."""
    swap = {"a": "b", "b": "a"}
    points = tuple(replace(p, key=swap.get(p.key, p.key)) for p in record.points)
    rows = compare.compare(announced(renamed=swap), record, replace(record, points=points))
    assert {row.verdict for row in rows} <= {Verdict.SAME}
    assert all(row.before_key == swap.get(row.key, row.key) for row in rows)


def test_nan_equals_nan_and_infinity_itself() -> None:
    record = _record({"a": [math.nan, math.inf, -math.inf, 0.0]})
    assert judge(compare.compare(Claims(), record, record)) is Verdict.SAME
    for value in (0.5, math.inf, math.nan):
        other = _record({"a": [0.25, value, -math.inf, 0.0]})
        row = _only(compare.compare(Claims(), record, other))
        assert (row.verdict, row.gap) == (Verdict.DIFFERENT, math.inf)


def test_infinity_is_not_within_a_relative_tolerance() -> None:
    assert not compare.close(1.0, math.inf, Tolerance(relative=0.5, reason="r"))
    assert not compare.close(math.inf, -math.inf, Tolerance(absolute=1.0, relative=1.0, reason="r"))
    assert compare.close(1.0, 1.4, Tolerance(relative=0.5, reason="r"))


def test_lightnings_own_step_is_not_compared() -> None:
    record = _record({"a": [1.0, 2.0]})
    other = replace(record, points=tuple(replace(p, step=99) for p in record.points))
    assert judge(compare.compare(Claims(), record, other)) is Verdict.SAME


def test_the_first_parting_is_the_earliest() -> None:
    row = _only(
        compare.compare(Claims(), _record({"a": [1.0, 2.0, 3.0]}), _record({"a": [1.0, 2.5, 9.0]}))
    )
    assert row.parted is not None
    assert (row.parted.at.epoch, row.parted.value, row.gap) == (1, 2.5, 6.0)
    assert "epoch 1" in row.detail
    assert "2 of 3" in row.detail


def test_a_number_put_twice_in_callback_metrics_is_one() -> None:
    record = _record({"a": [1.0, 2.0]}, via="callback")
    again = [replace(p, order=10 * p.order) for p in record.points]
    again.insert(1, replace(again[0], order=1))
    again.append(replace(again[-1], order=99, at=Moment(0, "train", 2, 9)))
    assert judge(compare.compare(Claims(), record, replace(record, points=tuple(again)))) is (
        Verdict.SAME
    )


def test_lightnings_own_keys_are_left_out() -> None:
    record = _record({"a": [1.0]})
    other = _record({"a": [1.0], "epoch": [0.0]})
    assert judge(compare.compare(Claims(), record, other)) is Verdict.SAME
    assert judge(compare.compare(_case(KeyClaim("a", "a", "preserves")), record, other)) is (
        Verdict.SAME
    )


# Training and crashes -------------------------------------------------------------------------


def test_a_changed_training_is_told_from_a_changed_metric() -> None:
    before = _record({"a": [1.0, 2.0], "b": [1.0, 1.0]})
    after = _record({"a": [1.0, 2.1], "b": [1.0, 1.0]}, weights="bb")
    rows = {row.key: row for row in compare.compare(Claims(), before, after)}
    assert rows["a"].verdict is Verdict.CHANGED_TRAINING
    assert rows["b"].verdict is Verdict.SAME
    assert rows["weights"].verdict is Verdict.CHANGED_TRAINING
    same = replace(after, weights=before.weights)
    rows = {row.key: row for row in compare.compare(Claims(), before, same)}
    assert rows["a"].verdict is Verdict.DIFFERENT
    assert rows["weights"].verdict is Verdict.SAME


def test_a_training_that_changes_unseen_still_fails() -> None:
    numbers = {"a": [1.0]}
    rows = compare.compare(Claims(), _record(numbers), _record(numbers, weights="bb"))
    assert judge(rows) is Verdict.CHANGED_TRAINING
    rows = compare.compare(
        announced(weights="stops early"), _record(numbers), _record(numbers, weights="bb")
    )
    assert judge(rows) is Verdict.SAME


@pytest.mark.parametrize("crashed", ["before", "after", "both"])
def test_nothing_holds_for_a_record_that_was_cut_off(crashed: str) -> None:
    whole = _record({"a": [1.0, 2.0]})
    cut = replace(_record({"a": [1.0]}, weights=""), complete=False)
    before = whole if crashed == "after" else cut
    after = whole if crashed == "before" else cut
    rows = compare.compare(Claims(), before, after)
    assert {row.verdict for row in rows} == {Verdict.FAILED}
    assert judge(rows) is Verdict.FAILED


def test_empty_records_show_nothing() -> None:
    assert compare.compare(Claims(), Record({}, ()), Record({}, ())) == ()
    assert judge(()) is Verdict.FAILED
    weights_only = compare.compare(Claims(), _record({}), _record({}))
    assert judge(weights_only) is Verdict.FAILED
    row = _only(compare.compare(_case(KeyClaim("a", "a", "preserves")), _record({}), _record({})))
    assert (row.verdict, row.key) == (Verdict.FAILED, "a")


def test_a_side_that_did_not_finish_fails_the_whole() -> None:
    rows = compare.compare(Claims(), _record({"a": [1.0]}), _record({"a": [1.0]}))
    assert judge(rows, [Side("before", "finished"), Side("after", "timed out")]) is Verdict.FAILED
    assert judge(rows, [Side("before", "finished"), Side("after", "finished")]) is Verdict.SAME


# Claims ---------------------------------------------------------------------------------------


def test_a_key_that_a_case_does_not_name_fails_by_name() -> None:
    case = _case(KeyClaim("a", "a", "preserves"))
    both = _record({"a": [1.0], "b": [1.0]})
    rows = {r.key: r for r in compare.compare(case, both, both)}
    assert rows["b"].verdict is Verdict.UNPROVED
    assert not judge(list(rows.values())).holds
    one = _record({"a": [1.0]})
    assert judge(compare.compare(case, both, one)) is Verdict.MISSING
    assert judge(compare.compare(case, one, both)) is Verdict.NEW


def test_new_and_dropped_keys_hold_when_announced() -> None:
    case = _case(
        KeyClaim("n", "n", "new", reason="asked for"), KeyClaim("d", "d", "dropped", reason="dup")
    )
    row_of = {r.key: r for r in compare.compare(case, _record({"d": [1.0]}), _record({"n": [1.0]}))}
    assert row_of["n"].verdict is row_of["d"].verdict is Verdict.ANNOUNCED
    assert (row_of["n"].detail, row_of["d"].detail) == ("asked for", "dup")
    both = _record({"n": [1.0], "d": [1.0]})
    rows = _rows(compare.compare(case, both, both))
    assert {row.verdict for row in rows} == {Verdict.DIFFERENT}


def test_a_renamed_key_whose_old_name_is_still_logged_is_new() -> None:
    case = _case(KeyClaim("val_a", "a", "preserves"))
    rows = {
        r.key: r
        for r in compare.compare(case, _record({"a": [1.0]}), _record({"val_a": [1.0], "a": [1.0]}))
    }
    assert (rows["val_a"].verdict, rows["a"].verdict) == (Verdict.SAME, Verdict.NEW)


def test_a_stated_tolerance_is_used_and_told() -> None:
    case = _case(KeyClaim("a", "a", "preserves", tolerance=ROUNDING))
    near = compare.compare(case, _record({"a": [1.0]}), _record({"a": [1.0 + 5e-7]}))
    assert judge(near) is Verdict.SAME
    assert "float32 sums" in _only(near).tolerance
    far = compare.compare(case, _record({"a": [1.0]}), _record({"a": [1.0 + 2e-6]}))
    assert judge(far) is Verdict.DIFFERENT


def test_an_announced_correction_without_an_oracle_is_unproved() -> None:
    claims = announced(["a"])
    changed = compare.compare(claims, _record({"a": [1.0]}), _record({"a": [2.0]}))
    assert judge(changed) is Verdict.UNPROVED
    same = compare.compare(claims, _record({"a": [1.0]}), _record({"a": [1.0]}))
    assert judge(same) is Verdict.SAME
    lost = compare.compare(claims, _record({"a": [1.0]}), _record({}))
    assert judge(lost) is Verdict.MISSING


# Oracles --------------------------------------------------------------------------------------

CORRECTS = KeyClaim("a", "a", "corrects", oracle="mean", tolerance=ROUNDING)
TRUE = [[1.0, 2.0], [3.0, 4.0]]


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        ([1.4, 3.5], [1.5, 3.5], Verdict.CORRECTED),
        ([1.5, 3.5], [1.5, 3.5], Verdict.ALREADY_RIGHT),
        ([1.4, 3.5], [1.5, 3.6], Verdict.WRONG),
        ([1.4, 3.5], [1.4, 3.5], Verdict.WRONG),
        ([math.nan, 3.5], [1.5, 3.5], Verdict.CORRECTED),
        ([1.4, 3.5], [1.5, math.nan], Verdict.WRONG),
        ([1.4, 3.5], [1.5], Verdict.MISSING),
        ([1.5 + 5e-7, 3.5], [1.5, 3.5], Verdict.ALREADY_RIGHT),
    ],
)
@pytest.mark.parametrize("via", ["logger", "callback"])
def test_corrects_is_equality_with_the_oracle_at_every_epoch(
    tmp_path: Path, before: list[float], after: list[float], verdict: Verdict, via: str
) -> None:
    steps = _steps(TRUE)
    row = _only(
        compare.compare(
            _case(CORRECTS),
            replace(_record({"a": before}, via=via), steps=steps),
            replace(_record({"a": after}, via=via), steps=steps),
            _mean(tmp_path),
        )
    )
    assert row.verdict is verdict
    assert [point.value for point in row.oracle_before] == [1.5, 3.5]
    if verdict is Verdict.WRONG:
        assert row.parted is not None


def test_the_original_may_have_been_right_in_the_check_before_the_training(tmp_path: Path) -> None:
    check = Moment(0, "sanity", 0, 0)
    steps = (RawStep(check, 0, 0, 7.0, (), None), *_steps(TRUE))

    def checked(values: list[float]) -> Record:
        record = _record({"a": values}, via="callback")
        return replace(
            record, points=(Point(-1, "callback", check, "a", 7.0), *record.points), steps=steps
        )

    rows = compare.compare(
        _case(CORRECTS), checked([1.4, 3.5]), checked([1.5, 3.5]), _mean(tmp_path)
    )
    assert {row.stage: row.verdict for row in _rows(rows)} == {
        "sanity": Verdict.SAME,
        "validate": Verdict.CORRECTED,
    }
    rows = compare.compare(
        _case(CORRECTS), checked([1.5, 3.5]), checked([1.5, 3.5]), _mean(tmp_path)
    )
    assert judge(rows) is Verdict.ALREADY_RIGHT


@pytest.mark.parametrize(("version", "verdict"), [("1.0.8", Verdict.SAME), ("1.2.10", Verdict.NEW)])
def test_a_version_may_have_no_number_of_a_stage_where_others_have_one(
    version: str, verdict: Verdict
) -> None:
    check = Point(-1, "callback", Moment(0, "sanity", 0, 0), "a", 7.0)
    after = _record({"a": [1.5]}, via="callback")
    old = {"pytorch_lightning": version, "lightning_from": "pytorch_lightning"}
    before = replace(after, environment=old)
    rows = compare.compare(
        _case(KeyClaim("a", "a", "preserves")),
        before,
        replace(after, points=(check, *after.points)),
    )
    assert judge(rows) is verdict
    rows = compare.compare(
        _case(KeyClaim("a", "a", "preserves")),
        replace(before, points=()),
        replace(after, points=(check,)),
    )
    assert not judge(rows).holds, "a key that is nowhere else is not proved by that"


def test_each_side_is_measured_by_its_own_steps(tmp_path: Path) -> None:
    before = replace(_record({"a": [9.0, 9.0]}), steps=_steps([[9.0], [9.0]]))
    after = replace(_record({"a": [1.5, 3.5]}, weights="bb"), steps=_steps(TRUE))
    case = _case(CORRECTS, changed_weights="it stops early")
    row = _only(compare.compare(case, before, after, _mean(tmp_path)))
    assert row.verdict is Verdict.ALREADY_RIGHT
    assert row.before_gap == 0


@pytest.mark.parametrize(
    ("seen", "logged"), [([[1.0, 2.0], [3.0]], [1.5, 3.0]), ([[1.0, 2.0]], [1.5])]
)
def test_a_number_that_is_right_for_other_data_does_not_hold(
    tmp_path: Path, seen: list[list[float]], logged: list[float]
) -> None:
    before = replace(_record({"a": [1.4, 3.4]}), steps=_steps(TRUE))
    after = replace(_record({"a": logged}), steps=_steps(seen))
    row = _only(compare.compare(_case(CORRECTS), before, after, _mean(tmp_path)))
    assert row.verdict is Verdict.DIFFERENT
    assert "epoch 1" in row.detail


def test_without_steps_nothing_is_proved(tmp_path: Path) -> None:
    record = _record({"a": [1.5]})
    row = _only(compare.compare(_case(CORRECTS), record, record, _mean(tmp_path)))
    assert row.verdict is Verdict.UNPROVED
    assert "raw steps" in row.detail


def test_a_training_epoch_is_one_pass(tmp_path: Path) -> None:
    claim = replace(CORRECTS, stage="train")
    steps = tuple(
        RawStep(Moment(0, "train", epoch, 2 * epoch + i), i, 0, value, (), None)
        for epoch, values in enumerate(TRUE)
        for i, value in enumerate(values)
    )
    before = replace(_record({"a": [0.0, 0.0]}, "train", per_epoch=2), steps=steps)
    after = replace(_record({"a": [1.5, 3.5]}, "train", per_epoch=2), steps=steps)
    row = _only(compare.compare(_case(claim), before, after, _mean(tmp_path)))
    assert (row.verdict, row.compared) == (Verdict.CORRECTED, 2)


def test_validation_within_an_epoch_is_a_pass_each_time() -> None:
    steps = tuple(
        RawStep(Moment(0, stage, 0, batches), i, loader, 0, (), None)
        for stage, batches in (("sanity", 0), ("validate", 2), ("validate", 4))
        for loader in (0, 1)
        for i in range(2)
    )
    record = Record(TODAY, (), steps=steps)
    assert [len(group) for group in passes(record, "validate")] == [4, 4, 4]
    assert [len(group) for group in passes(record, "validate", dataloader=1)] == [2, 2, 2]
    assert passes(record, "test") == ()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("def mena(steps): return 1.0", "did you mean mena"),
        ("mean = 3", "no function"),
        ("def mean(): return 1.0", "does not take the raw steps"),
        ("def mean(steps, other): return 1.0", "does not take the raw steps"),
        ("def mean(steps): return 'x'", "no number"),
        ("def mean(steps): return None", "no number"),
        ("def mean(steps): return 1 / 0", "ZeroDivisionError"),
        ("def mean(steps): return steps[99]", "epoch 0"),
    ],
)
def test_an_oracle_that_gives_no_number_is_told_of(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "oracle.py"
    path.write_text(text)
    record = replace(_record({"a": [1.5, 3.5]}), steps=_steps(TRUE))
    with pytest.raises(OracleError, match=told):
        Oracle(path)(CORRECTS, record)
    row = _only(compare.compare(_case(CORRECTS), record, record, Oracle(path)))
    assert row.verdict is Verdict.FAILED
    assert told in row.detail


@pytest.mark.parametrize("text", [None, "def mean(steps:", "raise ValueError('no data')"])
def test_an_oracle_that_cannot_be_loaded_is_told_of(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "oracle.py"
    if text is not None:
        path.write_text(text)
    with pytest.raises(OracleError, match=r"oracle\.py"):
        Oracle(path)


# The same program elsewhere -------------------------------------------------------------------


def test_a_device_may_differ_by_its_tolerance() -> None:
    cpu, gpu = _record({"a": [1.0]}), _record({"a": [1.0 + 1e-5]}, weights="other")
    tolerance = Tolerance(relative=1e-4, reason="another order of sums")
    assert judge(compare.repeat(Claims(), cpu, gpu, tolerance)) is Verdict.SAME
    assert judge(compare.repeat(Claims(), cpu, gpu, Tolerance())) is Verdict.DIFFERENT


def test_two_processes_are_compared_by_epoch() -> None:
    one = _record({"a": [1.0, 2.0]})
    two = _record({"a": [1.0, 2.0]}, per_epoch=2)
    original = _record({"a": [1.0, 2.25]}, per_epoch=2)
    (row,) = compare.repeat(Claims(), one, two, Tolerance(), original, same_batches=False)
    assert (row.verdict, row.compared, row.before_gap) == (Verdict.SAME, 2, 0.25)
    wrong = compare.repeat(Claims(), one, original, Tolerance(), same_batches=False)
    assert judge(wrong) is Verdict.DIFFERENT


def test_the_steps_of_all_processes_are_one_pass() -> None:
    records = [
        replace(_record({"a": [float(rank)]}), steps=_steps([[float(rank)] * 2]))
        for rank in range(2)
    ]
    merged = compare.merged(records)
    assert [step.batch for step in merged.steps] == [0.0, 1.0, 0.0, 1.0]
    assert merged.points == records[0].points
