"""Whether two records say the same, or what a case says that they must: pure functions.

Points of two records are partners when they left Lightning the same way, in the same stage, under
the same key (through the key map of the case), in the same run and epoch, after the same number of
training batches, and are the same in number among those. Lightning's own step is not asked: it
differs from version to version.
"""

from __future__ import annotations

import bisect
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from lintmetrics.verify.case import Case, KeyClaim, Tolerance
from lintmetrics.verify.differences import explained, lightning_version
from lintmetrics.verify.oracle import OracleError, Truth
from lintmetrics.verify.record import STAGES, VIAS, Point, Record, Weights
from lintmetrics.verify.truth import TOLERANCE, Settled, UnprovedError, is_meant, is_named, settle
from lintmetrics.verify.verdict import KeyVerdict, Side, Verdict

DEFAULT_VIAS = ("logger", "callback", "direct")
"""What is compared unless the user asks for more: the progress bar rounds and shows what it likes
from version to version."""

_STANDING = ("callback", "progress")
"""Ways out whose numbers stand in a dict until they are replaced."""

WEIGHTS = "weights"
"""Key and way out of the row that speaks of the checksums of the weights."""

_WORST_FIRST = (
    Verdict.FAILED,
    Verdict.CHANGED_TRAINING,
    Verdict.WRONG,
    Verdict.DIFFERENT,
    Verdict.MISSING,
    Verdict.NEW,
    Verdict.ALREADY_RIGHT,
    Verdict.UNPROVED,
)

Oracle = Callable[[KeyClaim, Record], Sequence[Truth]]
"""Gives the true numbers of a key from the raw steps of a record."""


@dataclass(frozen=True)
class Claims:
    """What must hold for the keys of two records.

    Args:
        keys: by the key after the change.
        closed: whether a key that has no claim is a failure; otherwise it is preserved.
        changed_weights: as in ``Case``.
    """

    keys: Mapping[str, KeyClaim] = field(default_factory=dict)
    closed: bool = False
    changed_weights: str = ""


def announced(
    corrected: Iterable[str] = (), renamed: Mapping[str, str] | None = None, weights: str = ""
) -> Claims:
    """Return the claims for a program that has no case: every key is preserved, but for some.

    Args:
        corrected: keys, as after the change, whose numbers a fix has announced to correct.
        renamed: key after the change to key before it.
        weights: as ``Case.changed_weights``.
    """
    before = dict(renamed or {})
    right = set(corrected)
    return Claims(
        {
            key: KeyClaim(key, before.get(key, key), "corrects" if key in right else "preserves")
            for key in sorted(right | set(before))
        },
        changed_weights=weights,
    )


def compare(
    claims: Case | Claims,
    before: Record,
    after: Record,
    oracle: Oracle | None = None,
    vias: Sequence[str] = DEFAULT_VIAS,
) -> tuple[KeyVerdict, ...]:
    """Return one verdict for each key, way out and stage, and one for the weights.

    The rows are sorted by key, and do not depend on the order of the claims, nor on how points of
    different keys are interleaved.

    Args:
        claims: a case, or what ``announced`` returns.
        before: what the original recorded, ``after``: what the rewrite did.
        after: the rewrite's record.
        oracle: gives the true numbers; each side is measured by its own raw steps. A key that is
            corrected and has none is measured by what ``truth`` makes of the original's evidence.
        vias: the ways out that are compared.
    """
    asked = _meant(_claims(claims), before)
    weights = _weights(before, after, asked.changed_weights)
    comparison = _Comparison(
        asked,
        before,
        after,
        oracle,
        tuple(vias),
        weights,
    )
    rows = _right_elsewhere(list(comparison.rows()))
    if weights is not None:
        rows.append(weights)
    return tuple(sorted(rows, key=_place))


def repeat(
    claims: Case | Claims,
    first: Record,
    second: Record,
    tolerance: Tolerance,
    original: Record | None = None,
    *,
    same_batches: bool = True,
    vias: Sequence[str] = DEFAULT_VIAS,
) -> tuple[KeyVerdict, ...]:
    """Return how one program's numbers compare with its own numbers elsewhere.

    Such as a run on a GPU with the run on the CPU, or a run in two processes with the run in one.
    The weights are not asked: sums in another order change their last bits.

    Args:
        claims: the keys of interest, under their names after the change; where they are closed
            other keys are left out, since the run that they were compared in has named them.
        first: the run that counts.
        second: the run that must give the same.
        tolerance: how far the numbers may be apart.
        original: the unmodified program, run as ``second`` was; ``before_gap`` then tells by how
            much it missed the first run.
        same_batches: whether both runs train on the same batches. If not, as when several
            processes share the batches, partners are found by run, epoch and number, and keys that
            are logged more than once in an epoch of training are left out: they speak of batches.
        vias: the ways out that are compared.
    """
    asked = _claims(claims)
    one, two = _Lines(first, vias), _Lines(second, vias)
    unmodified = _Lines(original, vias) if original is not None else None
    rows = []
    for via, stage, key in one.places | two.places:
        claim = asked.keys.get(key)
        if claim is None and (asked.closed or _left_out(key, via, stage, one, two)):
            continue
        before, after = one.line(via, stage, key), two.line(via, stage, key)
        if not same_batches:
            if _per_batch(stage, before) or _per_batch(stage, after):
                continue
            before, after = _without_batches(before), _without_batches(after)
        else:
            before, after = (
                one.filled(via, key, before, after),
                two.filled(via, key, after, before),
            )
        row = _row(key, key, via, stage, "preserves", before, after)
        row = _preserved(row, before, after, tolerance)
        if unmodified is not None and (claim is None or claim.relation != "new"):
            line = unmodified.line(via, stage, claim.before if claim else key)
            line = line if same_batches else _without_batches(line)
            row = replace(row, before_gap=_widest(_pairs(before, line)))
        rows.append(_unless_cut_off(row, first, second))
    return tuple(sorted(rows, key=_place))


def merged(records: Sequence[Record]) -> Record:
    """Return the record of several processes of one run: the first's numbers, everyone's steps.

    Lightning logs on the first process only; an oracle needs the data of all.

    Args:
        records: by rank.
    """
    steps = [
        (step.at.run, step.at.stage, step.at.epoch, step.at.batches, step.batch_idx, rank, step)
        for rank, record in enumerate(records)
        for step in record.steps
    ]
    return replace(
        records[0],
        steps=tuple(item[-1] for item in sorted(steps, key=lambda item: item[:-1])),
        complete=all(record.complete for record in records),
    )


def judge(keys: Iterable[KeyVerdict], sides: Iterable[Side] = ()) -> Verdict:
    """Return the verdict on a whole: the worst of all keys.

    Args:
        keys: the verdicts on the keys; where there is none nothing was shown.
        sides: the trainings; one that did not finish fails the whole.
    """
    rows = list(keys)
    found = {row.verdict for row in rows}
    if any(side.outcome != "finished" for side in sides):
        return Verdict.FAILED
    for verdict in _WORST_FIRST:
        if verdict in found:
            return verdict
    if all(row.via == WEIGHTS for row in rows):
        return Verdict.FAILED
    return Verdict.CORRECTED if Verdict.CORRECTED in found else Verdict.SAME


def close(one: float, other: float, tolerance: Tolerance) -> bool:
    """Return whether two numbers are the same within a tolerance; NaN is the same as NaN."""
    gap = distance(one, other)
    if gap == 0 or not math.isfinite(one) or not math.isfinite(other):
        return gap == 0
    return gap <= max(tolerance.absolute, tolerance.relative * max(abs(one), abs(other)))


def distance(one: float, other: float) -> float:
    """Return how far two numbers are apart; infinitely, if one is NaN or infinite alone."""
    if one == other or (math.isnan(one) and math.isnan(other)):
        return 0.0
    if math.isfinite(one) and math.isfinite(other):
        return abs(one - other)
    return math.inf


def in_words(tolerance: Tolerance) -> str:
    """Return a tolerance as people read it."""
    parts = [
        f"{value:g} {name}"
        for value, name in ((tolerance.absolute, "absolute"), (tolerance.relative, "relative"))
        if value
    ]
    if not parts:
        return "bit-equal"
    return f"{' or '.join(parts)}: {tolerance.reason}" if tolerance.reason else " or ".join(parts)


# The lines of a record ------------------------------------------------------------------------

_Spot = tuple[int, ...]
_Line = Mapping[_Spot, Point]


class _Lines:
    """The points of a record by way out, stage and key."""

    def __init__(self, record: Record, vias: Sequence[str]) -> None:
        self.record = record
        self.version = lightning_version(record.environment)
        self._points: dict[tuple[str, str, str], list[Point]] = {}
        for point in sorted(record.points, key=lambda point: point.order):
            if point.via in vias:
                place = (point.via, point.at.stage, point.key)
                self._points.setdefault(place, []).append(point)

    @property
    def places(self) -> set[tuple[str, str, str]]:
        return set(self._points)

    def line(self, via: str, stage: str, key: str) -> _Line:
        """Return the points of a key by run, epoch, batches and number among those."""
        line: dict[_Spot, Point] = {}
        counts: Counter[_Spot] = Counter()
        for point in self._points.get((via, stage, key), ()):
            spot = _spot(point)
            last = line.get((*spot, counts[spot] - 1))
            if via in _STANDING and last is not None and distance(last.value, point.value) == 0:
                # Put there a second time, which nobody who reads it can tell.
                continue
            line[(*spot, counts[spot])] = point
            counts[spot] += 1
        return line

    def filled(self, via: str, key: str, line: _Line, other: _Line) -> _Line:
        """Return a line with what stood there where only the other side was given a number.

        A number stays until the next replaces it, and versions of Lightning differ in how often
        they put the same one there.
        """
        lost = [spot for spot in other if spot not in line]
        if via not in _STANDING or not lost or not key:
            return line
        points = [point for stage in STAGES for point in self._points.get((via, stage, key), ())]
        points.sort(key=lambda point: (_spot(point), point.order))
        places = [_spot(point) for point in points]
        filled = dict(line)
        for spot in lost:
            last = bisect.bisect_right(places, spot[:3]) - 1
            if last >= 0 and places[last][0] == spot[0]:
                filled[spot] = points[last]
        return filled


def _spot(point: Point) -> _Spot:
    return (point.at.run, point.at.epoch, point.at.batches)


def _without_batches(line: _Line) -> _Line:
    """Return the points by run, epoch and number in the epoch."""
    counts: Counter[_Spot] = Counter()
    out: dict[_Spot, Point] = {}
    for spot, point in line.items():
        out[(*spot[:2], counts[spot[:2]])] = point
        counts[spot[:2]] += 1
    return out


def _per_batch(stage: str, line: _Line) -> bool:
    return stage == "train" and any(
        number > 1 for number in Counter(spot[:2] for spot in line).values()
    )


def _pairs(before: _Line, after: _Line) -> list[tuple[Point, Point]]:
    return [(before[spot], point) for spot, point in after.items() if spot in before]


def _widest(pairs: Iterable[tuple[Point, Point]]) -> float:
    return max((distance(one.value, other.value) for one, other in pairs), default=0.0)


def _row(
    key: str, before_key: str, via: str, stage: str, relation: str, before: _Line, after: _Line
) -> KeyVerdict:
    return KeyVerdict(
        key,
        before_key,
        via,
        stage,
        relation,
        Verdict.SAME,
        tuple(before.values()),
        tuple(after.values()),
    )


def _place(row: KeyVerdict) -> tuple[bool, str, int, int, str]:
    via = VIAS.index(row.via) if row.via in VIAS else len(VIAS)
    stage = STAGES.index(row.stage) if row.stage in STAGES else len(STAGES)
    return (row.via == WEIGHTS, row.key, via, stage, row.before_key)


def _left_out(key: str, via: str, stage: str, before: _Lines, after: _Lines) -> bool:
    """Return whether the key is Lightning's own, or stands alone because of its version."""
    place = (via, stage, key)
    sides = [side for side in (before, after) if place in side.places]
    if any(explained("own", key, via, stage, side.version) for side in sides):
        return True
    if len(sides) != 1:
        return False
    other = after if sides[0] is before else before
    return _alone(key, sides[0], key, other, via, stage)


def _alone(key: str, side: _Lines, other_key: str, other: _Lines, via: str, stage: str) -> bool:
    """Return whether it is a version's doing that one side alone records a key there."""
    return bool(
        explained("one-sided", key, via, stage, side.version)
        or explained("absent", other_key, via, stage, other.version)
        or (
            explained("unread", key, via, stage, side.version)
            and explained("unread", other_key, via, stage, other.version)
        )
    )


# Weights --------------------------------------------------------------------------------------


def _weights(before: Record, after: Record, allowed: str) -> KeyVerdict | None:
    old, new = _checksums(before.weights), _checksums(after.weights)
    if not old and not new:
        return None
    row = KeyVerdict(WEIGHTS, WEIGHTS, WEIGHTS, "train", "preserves", Verdict.SAME)
    row = replace(row, compared=len(old.keys() & new.keys()), tolerance="bit-equal")
    if (not old and not before.complete) or (not new and not after.complete):
        side = "original" if not old else "rewrite"
        return replace(row, verdict=Verdict.FAILED, detail=f"the {side} ends before its training")
    changed = [
        f"of run {run}" + _missing_side(run, old, new)
        for run in sorted(old.keys() | new.keys())
        if old.get(run) != new.get(run)
    ]
    if not changed:
        return replace(row, detail=f"the same at the end of {_count(len(old), 'training')}")
    if allowed:
        detail = f"differ at the end {', '.join(changed)}, as the case says: {allowed}"
        return replace(row, verdict=Verdict.ANNOUNCED, detail=detail)
    detail = f"differ at the end {', '.join(changed)}: the trainings went different ways"
    return replace(row, verdict=Verdict.CHANGED_TRAINING, detail=detail)


def _checksums(weights: Iterable[Weights]) -> dict[int, list[str]]:
    runs: dict[int, list[str]] = {}
    for item in sorted(weights, key=lambda item: item.order):
        runs.setdefault(item.at.run, []).append(item.sha256)
    return runs


def _missing_side(run: int, old: Mapping[int, object], new: Mapping[int, object]) -> str:
    if run not in new:
        return " (only the original trains in it)"
    return " (only the rewrite trains in it)" if run not in old else ""


# One key --------------------------------------------------------------------------------------


class _Comparison:
    def __init__(
        self,
        claims: Claims,
        before: Record,
        after: Record,
        oracle: Oracle | None,
        vias: Sequence[str],
        weights: KeyVerdict | None,
    ) -> None:
        self._claims = claims
        self._before = _Lines(before, vias)
        self._after = _Lines(after, vias)
        self._oracle = oracle
        self._vias = vias
        verdict = weights.verdict if weights is not None else Verdict.SAME
        self._weights_changed = verdict is Verdict.CHANGED_TRAINING
        self._weights_apart = verdict in (Verdict.CHANGED_TRAINING, Verdict.ANNOUNCED)
        self._known_truths: dict[str, Settled | UnprovedError] = {}
        self._known: dict[tuple[str, bool], Sequence[Truth]] = {}

    def rows(self) -> Iterator[KeyVerdict]:
        silent = set(self._claims.keys)
        for via, stage, key, before_key, claim in self._tasks():
            if claim is None and self._left_out(via, stage, key or before_key):
                continue
            if claim is not None and self._stands_alone(via, stage, claim):
                continue
            if claim is not None:
                silent.discard(claim.key)
            before = self._before.line(via, stage, before_key) if before_key else {}
            after = self._after.line(via, stage, key) if key else {}
            relation = claim.relation if claim else "" if self._claims.closed else "preserves"
            row = _row(key or before_key, before_key or key, via, stage, relation, before, after)
            both = (
                self._before.filled(via, before_key, before, after),
                self._after.filled(via, key, after, before),
            )
            row = self._judged(row, *both, claim)
            yield _unless_cut_off(row, self._before.record, self._after.record)
        if self._claims.closed:
            for key in sorted(silent):
                yield self._never_logged(self._claims.keys[key])

    def _tasks(self) -> set[tuple[str, str, str, str, KeyClaim | None]]:
        """Return way out, stage, key after, key before (empty where there is none) and claim."""
        keys = self._claims.keys
        heirs = {claim.before: claim for claim in keys.values() if claim.relation != "new"}
        tasks: set[tuple[str, str, str, str, KeyClaim | None]] = set()
        for via, stage, key in self._after.places:
            claim = keys.get(key)
            if claim is not None:
                tasks.add(
                    (via, stage, key, claim.before if claim.relation != "new" else key, claim)
                )
            else:
                tasks.add((via, stage, key, "" if key in heirs else key, None))
        for via, stage, key in self._before.places:
            claim = heirs.get(key)
            if claim is not None:
                tasks.add((via, stage, claim.key, key, claim))
            elif key in keys and keys[key].relation == "new":
                tasks.add((via, stage, key, key, keys[key]))
            else:
                tasks.add((via, stage, "" if key in keys else key, key, None))
        return tasks

    def _left_out(self, via: str, stage: str, key: str) -> bool:
        return _left_out(key, via, stage, self._before, self._after)

    def _stands_alone(self, via: str, stage: str, claim: KeyClaim) -> bool:
        """Return whether only one side could record a key there, in the versions they ran on."""
        if claim.relation in ("new", "dropped"):
            return False
        old = (via, stage, claim.before) in self._before.places
        new = (via, stage, claim.key) in self._after.places
        if old == new:
            return False
        sides = ((claim.before, self._before), (claim.key, self._after))
        (key, side), (other_key, other) = sides if old else sides[::-1]
        return _alone(key, side, other_key, other, via, stage)

    def _judged(
        self, row: KeyVerdict, before: _Line, after: _Line, claim: KeyClaim | None
    ) -> KeyVerdict:
        if claim is None and self._claims.closed and before and after:
            row = replace(_preserved(row, before, after, Tolerance()), verdict=Verdict.UNPROVED)
            return replace(row, detail="the case says nothing about this key", parted=None)
        if claim is None:
            return self._explained(self._trained(_preserved(row, before, after, Tolerance())))
        if claim.relation == "dropped":
            return _dropped(row, claim)
        if claim.relation == "new":
            if before:
                detail = "the case says that the key is new, and the original logs it"
                return replace(row, verdict=Verdict.DIFFERENT, detail=detail)
            if not claim.oracle:
                return replace(row, verdict=Verdict.ANNOUNCED, detail=claim.reason)
        elif not before or not after:
            return _one_sided(row, before, after)
        if claim.relation == "preserves":
            row = self._drawn(row, claim)
            row = _preserved(row, before, after, claim.tolerance)
            return self._explained(self._trained(row))
        if claim.oracle:
            return self._corrected(row, claim)
        if self._before.record.evidence and not row.before_key.endswith("_step"):
            return self._settled(row, before, after, claim)
        return _unproved(row, before, after, claim, "no oracle says what is right")

    def _settled(self, row: KeyVerdict, before: _Line, after: _Line, claim: KeyClaim) -> KeyVerdict:
        """Return the verdict on a key whose true numbers follow from what the original did."""
        if not is_named(self._before.record, claim.before):
            same = _preserved(row, before, after, claim.tolerance)
            if same.verdict is Verdict.SAME:
                return same
        try:
            settled = self._settle(claim.before)
        except UnprovedError as error:
            return _unproved(row, before, after, claim, f"what is right is not known: {error}")
        stages = {truth.stage for truth in settled.truths} - {"sanity"}
        stage = "validate" if row.stage == "sanity" or not stages else row.stage
        if stage not in stages:
            stage = min(stages, default=stage)
        claim = replace(claim, stage=stage, tolerance=_wider(claim.tolerance, TOLERANCE))
        whole = row
        if self._is_forked(claim):
            # In training the key holds what the step gave, then what the epoch gives.
            steps = self._after.line(row.via, row.stage, f"{claim.key}_step")
            spots = _changed(before, after, steps, claim.tolerance)
            row = replace(row, before=_at(before, spots), after=_at(after, spots))
            if not spots:
                return _unproved(row, before, after, claim, "")
        row = self._measured_by(row, claim, settled.truths, settled.truths, settled.how)
        row = replace(row, before=whole.before, after=whole.after)
        if row.verdict is not Verdict.WRONG:
            return row
        if self._weights_apart:
            detail = f"the trainings went different ways; {row.detail}"
            verdict = Verdict.CHANGED_TRAINING if self._weights_changed else Verdict.UNPROVED
            return replace(row, verdict=verdict, detail=detail)
        if not settled.sure:
            detail = f"{row.detail}, unless samples count for more than one"
            return replace(row, verdict=Verdict.UNPROVED, detail=detail)
        return row

    def _settle(self, key: str) -> Settled:
        if key not in self._known_truths:
            try:
                self._known_truths[key] = settle(self._before.record, key)
            except UnprovedError as error:
                self._known_truths[key] = error
        found = self._known_truths[key]
        if isinstance(found, UnprovedError):
            raise found
        return found

    def _is_forked(self, claim: KeyClaim) -> bool:
        """Return whether Lightning logs the key also for the step and for the epoch apart."""
        names = {f"{claim.before}_step", f"{claim.key}_step"}
        return any(
            key in names for lines in (self._before, self._after) for *_, key in lines.places
        )

    def _trained(self, row: KeyVerdict) -> KeyVerdict:
        parted = row.verdict in (Verdict.DIFFERENT, Verdict.MISSING, Verdict.NEW)
        if not (self._weights_changed and parted and row.before and row.after):
            return row
        detail = f"the trainings went different ways; {row.detail}"
        return replace(row, verdict=Verdict.CHANGED_TRAINING, detail=detail)

    def _explained(self, row: KeyVerdict) -> KeyVerdict:
        """Return a row that has parted with what is known of the versions of Lightning."""
        if row.verdict.holds:
            return row
        notes = [
            f"Lightning {lines.version}: {why}"
            for lines, key in ((self._before, row.before_key), (self._after, row.key))
            if (why := explained("value", key, row.via, row.stage, lines.version))
        ]
        return replace(row, detail="; ".join([row.detail, *notes])) if notes else row

    def _never_logged(self, claim: KeyClaim) -> KeyVerdict:
        return KeyVerdict(
            claim.key,
            claim.before,
            self._vias[0] if self._vias else VIAS[0],
            claim.stage,
            claim.relation,
            Verdict.FAILED,
            detail="neither side logs the key that the case speaks of",
        )

    # The oracle

    def _truths(self, claim: KeyClaim, of_after: bool) -> Sequence[Truth]:
        place = (claim.key, of_after)
        if place not in self._known:
            record = (self._after if of_after else self._before).record
            self._known[place] = self._oracle(claim, record) if self._oracle else ()
        return self._known[place]

    def _drawn(self, row: KeyVerdict, claim: KeyClaim) -> KeyVerdict:
        """Return a row with the true numbers beside it, which its claim does not ask for."""
        if not claim.oracle:
            return row
        try:
            new = _measured(row.after, self._truths(claim, True), claim)
            old = _measured(row.before, self._truths(claim, False), claim)
        except OracleError:
            return row
        return replace(row, oracle=new.truths, oracle_before=old.truths, before_gap=old.gap)

    def _corrected(self, row: KeyVerdict, claim: KeyClaim) -> KeyVerdict:
        """Return the verdict on a key that an oracle decides."""
        try:
            truths, truths_before = self._truths(claim, True), self._truths(claim, False)
        except OracleError as error:
            return replace(row, verdict=Verdict.FAILED, detail=str(error))
        row = self._measured_by(row, claim, truths, truths_before, "the oracle")
        moved = "" if self._weights_apart else _other_ground(claim, truths, truths_before)
        if moved and row.verdict.holds:
            # A rewrite that leaves samples out, or alters the model, is right on what is left.
            return replace(row, verdict=Verdict.DIFFERENT, detail=moved)
        return row

    def _measured_by(
        self,
        row: KeyVerdict,
        claim: KeyClaim,
        truths: Sequence[Truth],
        truths_before: Sequence[Truth],
        oracle: str,
    ) -> KeyVerdict:
        """Return the verdict on a key whose true numbers are known.

        Args:
            row: the key.
            claim: what must hold for it.
            truths: the true numbers of the rewrite. ``truths_before``: of the original.
            truths_before: the same where both sides see the same data with the same weights.
            oracle: where they come from.
        """
        new = _measured(row.after, truths, claim)
        old = _measured(row.before, truths_before, claim)
        row = replace(
            row,
            oracle=new.truths,
            oracle_before=old.truths,
            compared=len(new.truths),
            gap=new.gap,
            before_gap=old.gap,
            parted=new.parted,
            tolerance=in_words(claim.tolerance),
        )
        if new.parted is not None:
            true = next(point for point in new.truths if point.order == new.parted.order)
            says = "the oracle says" if oracle == "the oracle" else f"{oracle} is"
            detail = f"{_told(new.parted)} and {says} {_number(true.value)}"
            return replace(row, verdict=Verdict.WRONG, detail=detail)
        if not new.truths or new.without:
            detail = f"no raw steps of stage {claim.stage} for {_count(new.without, 'point')}"
            return replace(row, verdict=Verdict.UNPROVED, detail=detail)
        silent = _silent_passes(row, truths, truths_before)
        if silent:
            first = silent[0]
            detail = f"nothing is logged in {_count(len(silent), 'epoch')}, first in {first.epoch}"
            return replace(row, verdict=Verdict.MISSING, detail=detail)
        right = f"equals {oracle} at {_count(len(new.truths), 'point')}"
        if claim.relation == "new":
            return replace(row, verdict=Verdict.ANNOUNCED, detail=f"{claim.reason}; {right}")
        if not old.truths:
            detail = f"{right}; the original has no raw steps of stage {claim.stage}"
            return replace(row, verdict=Verdict.UNPROVED, detail=detail)
        if old.parted is None:
            detail = f"{right}, and so does the original: nothing was corrected"
            return replace(row, verdict=Verdict.ALREADY_RIGHT, detail=detail)
        missed = _number(old.gap) if math.isfinite(old.gap) else "more than any number"
        detail = f"{right}; the original misses it by up to {missed}"
        return replace(row, verdict=Verdict.CORRECTED, detail=detail)


def _claims(claims: Case | Claims) -> Claims:
    if isinstance(claims, Claims):
        return claims
    return Claims(claims.keys, closed=True, changed_weights=claims.changed_weights)


def _meant(claims: Claims, before: Record) -> Claims:
    """Return claims without those of fixes that do not know their keys, and cannot mean these."""
    if not before.evidence:
        return claims
    version = lightning_version(before.environment)
    keys = {}
    for name, claim in claims.keys.items():
        if claim.relation == "corrects" and not claim.oracle and not is_named(before, claim.before):
            if any(explained("own", name, via, stage, version) for via in VIAS for stage in STAGES):
                continue
            if not is_meant(before, claim.before):
                claim = replace(claim, relation="preserves")
        keys[name] = claim
    return replace(claims, keys=keys)


def _preserved(row: KeyVerdict, before: _Line, after: _Line, tolerance: Tolerance) -> KeyVerdict:
    """Return a row with the verdict on two lines that must be the same."""
    pairs = _pairs(before, after)
    apart = [pair for pair in pairs if not close(pair[0].value, pair[1].value, tolerance)]
    row = replace(row, compared=len(pairs), gap=_widest(pairs), tolerance=in_words(tolerance))
    if apart:
        old, new = min(apart, key=lambda pair: pair[1].order)
        detail = f"{_told(new)} and was {_number(old.value)}"
        detail += f"; apart at {len(apart)} of {_count(len(pairs), 'point')}"
        return replace(row, verdict=Verdict.DIFFERENT, parted=new, detail=detail)
    if before.keys() == after.keys():
        told = "equal" if row.gap == 0 else f"within {row.tolerance}"
        return replace(row, detail=f"{told} at {_count(len(pairs), 'point')}")
    return _one_sided(row, before, after)


def _unproved(
    row: KeyVerdict, before: _Line, after: _Line, claim: KeyClaim, why: str
) -> KeyVerdict:
    """Return the verdict on a key that may change, where nothing says what it must become."""
    row = _preserved(row, before, after, claim.tolerance)
    if row.verdict is Verdict.SAME:
        return replace(row, detail=f"{row.detail}; a fix has announced that it may change")
    if row.verdict is Verdict.DIFFERENT:
        detail = f"changed as announced, and {why}; {row.detail}"
        return replace(row, verdict=Verdict.UNPROVED, detail=detail)
    return row


def _changed(before: _Line, after: _Line, steps: _Line, tolerance: Tolerance) -> list[_Spot]:
    """Return where the rewrite's number is neither what the original logged nor that of a step."""
    given = {(spot[:3], point.value) for spot, point in steps.items()}
    return [
        spot
        for spot, point in after.items()
        if (spot[:3], point.value) not in given
        and (spot not in before or not close(before[spot].value, point.value, tolerance))
    ]


def _at(line: _Line, spots: Iterable[_Spot]) -> tuple[Point, ...]:
    return tuple(line[spot] for spot in spots if spot in line)


def _wider(one: Tolerance, other: Tolerance) -> Tolerance:
    absolute = max(one.absolute, other.absolute)
    relative = max(one.relative, other.relative)
    reasons = dict.fromkeys(reason for reason in (one.reason, other.reason) if reason)
    return Tolerance(absolute, relative, "; ".join(reasons))


def _one_sided(row: KeyVerdict, before: _Line, after: _Line) -> KeyVerdict:
    """Return the verdict on lines of which one has points that the other has not."""
    lost = [point for spot, point in before.items() if spot not in after]
    extra = [point for spot, point in after.items() if spot not in before]
    if lost:
        whole = "the key" if not after else f"{_count(len(lost), 'point')} of {len(before)}"
        first = min(lost, key=lambda point: point.order)
        detail = f"the rewrite does not log {whole}, first at {_when(first)}"
        return replace(row, verdict=Verdict.MISSING, detail=detail)
    whole = "the key" if not before else f"{_count(len(extra), 'point')} of {len(after)}"
    first = min(extra, key=lambda point: point.order)
    detail = f"the original does not log {whole}, first at {_when(first)}"
    return replace(row, verdict=Verdict.NEW, parted=first, detail=detail)


def _right_elsewhere(rows: Sequence[KeyVerdict]) -> list[KeyVerdict]:
    """Return rows in which a key that was corrected may have been right in places.

    The few batches of the check before a training are often all of one size, so that the original
    was right there; it must have been wrong somewhere.
    """
    corrected = {row.key for row in rows if row.verdict is Verdict.CORRECTED}
    return [
        replace(row, verdict=Verdict.SAME, detail=f"{row.detail} here")
        if row.verdict is Verdict.ALREADY_RIGHT and row.key in corrected
        else row
        for row in rows
    ]


def _dropped(row: KeyVerdict, claim: KeyClaim) -> KeyVerdict:
    if row.after:
        detail = "the case says that the key is dropped, and the rewrite logs it"
        return replace(row, verdict=Verdict.DIFFERENT, parted=row.after[0], detail=detail)
    return replace(row, verdict=Verdict.ANNOUNCED, detail=claim.reason)


def _unless_cut_off(row: KeyVerdict, before: Record, after: Record) -> KeyVerdict:
    """Return a row, which cannot hold where a record is known to lack its end."""
    if before.complete and after.complete:
        return row
    if row.verdict in (Verdict.DIFFERENT, Verdict.WRONG, Verdict.CHANGED_TRAINING):
        return row
    side = "original" if after.complete else "rewrite" if before.complete else "two sides"
    ends = "end" if side == "two sides" else "ends"
    detail = f"the {side} {ends} before its time; up to there: {row.detail}"
    return replace(row, verdict=Verdict.FAILED, detail=detail)


@dataclass(frozen=True)
class _Measured:
    """Points held against the true numbers.

    Args:
        truths: for each point that has one, at its place.
        gap: the largest distance.
        parted: the first point that is too far away.
        without: points that have no true number.
    """

    truths: tuple[Point, ...]
    gap: float
    parted: Point | None
    without: int


def _measured(points: Iterable[Point], truths: Sequence[Truth], claim: KeyClaim) -> _Measured:
    found: list[Point] = []
    gap, parted, without = 0.0, None, 0
    by_pass = {(t.run, t.stage, t.epoch, _eval(t.stage, t.batches)): t for t in truths}
    for point in points:
        truth = _truth(point, by_pass, truths, claim)
        if truth is None:
            # What stands before the first pass is over speaks of no pass.
            without += point.at.stage == claim.stage
            continue
        found.append(replace(point, value=truth.value, step=None))
        gap = max(gap, distance(point.value, truth.value))
        if parted is None and not close(point.value, truth.value, claim.tolerance):
            parted = point
    return _Measured(tuple(found), gap, parted, without)


_Passes = Mapping[tuple[int, str, int, int], Truth]


def _eval(stage: str, batches: int) -> int:
    return -1 if stage == "train" else batches


def _truth(
    point: Point, by_pass: _Passes, truths: Sequence[Truth], claim: KeyClaim
) -> Truth | None:
    """Return the true number that a point must show.

    What a program hands to a logger in the stage itself speaks of the pass that is under way.
    Anything else shows the last pass that is over: a number stays in ``callback_metrics`` until
    the next pass replaces it.
    """
    at = point.at
    if at.stage in (claim.stage, "sanity"):
        here = by_pass.get((at.run, at.stage, at.epoch, _eval(at.stage, at.batches)))
        if here is not None and (point.via in ("logger", "direct") or at.batches >= here.batches):
            return here
    now = (at.epoch, at.batches)
    over = [t for t in truths if t.run == at.run and (t.epoch, t.batches) <= now]
    if not over:
        return None
    last = over[-1]
    if len(over) > 1 and (last.epoch, last.batches) == now and last.stage != at.stage:
        # The count of batches does not tell whether this was read before or after that pass.
        return min(over[-2:], key=lambda truth: distance(truth.value, point.value))
    return last


def _silent_passes(
    row: KeyVerdict, truths: Sequence[Truth], truths_before: Sequence[Truth]
) -> list[Truth]:
    """Return the passes of the rewrite that have no point, though the original's had one."""

    def silent(truths: Sequence[Truth], points: Sequence[Point]) -> list[Truth]:
        spoken = {(p.at.run, p.at.epoch, _eval(row.stage, p.at.batches)) for p in points}
        return [
            t
            for t in truths
            if t.stage == row.stage and (t.run, t.epoch, _eval(row.stage, t.batches)) not in spoken
        ]

    missed = silent(truths, row.after)
    missed_before = {(t.run, t.epoch, t.batches) for t in silent(truths_before, row.before)}
    return [t for t in missed if (t.run, t.epoch, t.batches) not in missed_before]


def _other_ground(claim: KeyClaim, truths: Sequence[Truth], truths_before: Sequence[Truth]) -> str:
    """Return where the true numbers of two sides part, whatever they log; empty if nowhere.

    With the same weights, data and model the truth is one.
    """
    by_pass = {(t.run, t.stage, t.epoch, t.batches): t.value for t in truths}
    for truth in truths_before:
        if truth.stage != claim.stage:
            continue
        at = f"epoch {truth.epoch} after {_count(truth.batches, 'batch')}"
        value = by_pass.get((truth.run, truth.stage, truth.epoch, truth.batches))
        if value is None:
            return f"the rewrite makes no pass over the data of stage {claim.stage} at {at}"
        if not close(value, truth.value, claim.tolerance):
            told = f"{_number(value)} from the steps of the rewrite and {_number(truth.value)} from"
            return f"at {at} the oracle says {told} those of the original: other data or model"
    return ""


# Words ----------------------------------------------------------------------------------------


def _when(point: Point) -> str:
    at = point.at
    run = f"run {at.run}, " if at.run else ""
    return f"{run}epoch {at.epoch} after {_count(at.batches, 'batch')}"


def _told(point: Point) -> str:
    return f"{_when(point)} it is {_number(point.value)}"


def _number(value: float) -> str:
    return f"{value:.9g}"


def _count(number: int, word: str) -> str:
    if number == 1:
        return f"1 {word}"
    return f"{number} {word}{'es' if word.endswith('ch') else 's'}"
