"""Proofs for programs: JSON whose keys stay as they are within a ``version``."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from lintmetrics.verify.record import Point
from lintmetrics.verify.verdict import KeyVerdict, Proof, Side

VERSION = 1
"""Grows when a key changes its meaning or goes; keys may come at any time."""


def to_json(proofs: Sequence[Proof]) -> str:
    """Return proofs as JSON; numbers that JSON has not are ``"NaN"`` and ``"Infinity"``."""
    told = {
        "version": VERSION,
        "holds": bool(proofs) and all(proof.verdict.holds for proof in proofs),
        "cases": [_proof(proof) for proof in proofs],
    }
    return json.dumps(told, indent=2, allow_nan=False) + "\n"


def _proof(proof: Proof) -> dict[str, Any]:
    return {
        "name": proof.name,
        "about": proof.about,
        "verdict": proof.verdict.value,
        "holds": proof.verdict.holds,
        "accelerator": proof.accelerator,
        "processes": proof.processes,
        "original_today": proof.original_today,
        "keys": [_key(row) for row in proof.keys],
        "sides": [_side(side) for side in proof.sides],
        "diff": proof.diff,
    }


def _key(row: KeyVerdict) -> dict[str, Any]:
    return {
        "key": row.key,
        "before_key": row.before_key,
        "via": row.via,
        "stage": row.stage,
        "relation": row.relation,
        "verdict": row.verdict.value,
        "holds": row.verdict.holds,
        "compared": row.compared,
        "gap": _plain(row.gap),
        "before_gap": _plain(row.before_gap),
        "tolerance": row.tolerance,
        "parted": _point(row.parted) if row.parted else None,
        "detail": row.detail,
        "before": [_point(point) for point in row.before],
        "after": [_point(point) for point in row.after],
        "oracle": [_point(point) for point in row.oracle],
        "oracle_before": [_point(point) for point in row.oracle_before],
    }


def _point(point: Point) -> dict[str, Any]:
    return {
        "run": point.at.run,
        "epoch": point.at.epoch,
        "batches": point.at.batches,
        "step": point.step,
        "value": _plain(point.value),
    }


def _side(side: Side) -> dict[str, Any]:
    return {
        "name": side.name,
        "outcome": side.outcome,
        "seconds": _plain(side.seconds),
        "detail": side.detail,
        "environment": _plain(side.environment),
    }


def _plain(value: Any) -> Any:
    """Return a value as JSON has it; what it has not becomes text."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return str(value)
