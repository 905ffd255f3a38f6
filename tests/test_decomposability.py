"""The decomposability table against the installed libraries, measured on random batches.

A row whose class the measurement contradicts fails, under the name of its metric. Rows that are
not measured are named by a skip with the reason, and the tests here bound which those may be.
"""

from __future__ import annotations

import csv
import importlib.metadata
import importlib.util
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lintmetrics import facts

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks" / "facts"
SUMMARY = "(summary over the variants below)"
IS_INSTALLED = all(importlib.util.find_spec(name) for name in ("torch", "torchmetrics"))
NEEDS_TORCHMETRICS = pytest.mark.skipif(
    not IS_INSTALLED, reason="the table is measured where torch and torchmetrics are installed"
)
# Why a row may be left out for good, and which of TorchMetrics: anything else has to be measured.
NETWORK = "its value is that of a network whose weights have to be downloaded"
LEFT_OUT = {
    "audio.deep_noise_suppression_mean_opinion_score": NETWORK,
    "audio.non_intrusive_speech_quality_assessment": NETWORK,
    "audio.pit_permutate": "is no metric: it puts speakers in order",
    "audio.speech_reverberation_modulation_energy_ratio": (
        "its packages (torchaudio, gammatone) have to match torch, and it takes a minute for each "
        "signal"
    ),
    "image.arniqa": NETWORK,
    "image.deep_image_structure_and_texture_similarity": NETWORK,
    "image.image_gradients": "is no metric: it returns images",
    "image.learned_perceptual_image_patch_similarity": NETWORK,
    "image.perceptual_path_length": "draws its own samples from a generator: a batch has no value",
    "multimodal.clip_image_quality_assessment": NETWORK,
    "multimodal.clip_score": NETWORK,
    "text.bert_score": NETWORK,
    "text.infolm": NETWORK,
    "video.video_multi_method_assessment_fusion": NETWORK,
}
DOWNLOADED_SCRIPT = "evaluate downloads the script of a metric when it is loaded"
OPTIONAL = {
    "monai",
    "pesq",
    "pycocotools",
    "pystoi",
    "scipy",
    "sklearn",
    "torch_fidelity",
    "torch_linear_assignment",
    "torchvision",
}


def calls() -> list[dict[str, str]]:
    """Return how each row is measured, or why it is not."""
    with (BENCHMARKS / "decomposability.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def names() -> list[str]:
    """Return the names that have something to measure, each once."""
    return list(dict.fromkeys(call["qualified_name"] for call in calls() if call["call"]))


@pytest.fixture(scope="module")
def measuring() -> Iterator[Any]:
    """The module that measures; it imports torch."""
    torch = pytest.importorskip("torch")
    name = "lintmetrics_measured_decomposability"
    spec = importlib.util.spec_from_file_location(name, BENCHMARKS / "decomposability.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield module
    torch.set_num_threads(threads)


# What is measured, and what is not ----------------------------------------------------------------


def test_every_row_is_measured_or_left_out_for_a_reason() -> None:
    known = {(call["qualified_name"], call["variant"]): call for call in calls()}
    rows = {
        (row["qualified_name"], row["variant"])
        for row in facts.rows("metric_decomposability")
        if row["variant"] != SUMMARY
    }
    assert set(known) == rows
    assert len(known) == len(calls())
    for call in known.values():
        assert bool(call["call"]) == bool(call["inputs"]) != bool(call["left_out"]), call


def test_only_these_metrics_are_never_measured() -> None:
    left_out = {c["qualified_name"]: c["left_out"] for c in calls() if c["left_out"]}
    ours = {n: why for n, why in left_out.items() if n.startswith("torchmetrics.")}
    assert ours == {f"torchmetrics.functional.{name}": why for name, why in LEFT_OUT.items()}
    assert {why for name, why in left_out.items() if name not in ours} == {DOWNLOADED_SCRIPT}


def test_few_rows_wait_for_a_package_that_torchmetrics_does_not_bring() -> None:
    waiting = [c for c in calls() if c["needs"] and c["qualified_name"].startswith("torchmetrics.")]
    assert {package for c in calls() for package in c["needs"].split()} <= OPTIONAL
    assert len(waiting) <= 20


def test_few_objects_differ_from_their_function() -> None:
    assert {c["qualified_name"].rsplit(".", 1)[1] for c in calls() if c["object_differs"]} == {
        "generalized_dice_score",
        "mean_iou",
        "multiscale_structural_similarity_index_measure",
        "structural_similarity_index_measure",
    }


def test_a_row_with_a_weight_of_its_own_says_how_it_is_counted() -> None:
    classes = {
        (row["qualified_name"], row["variant"]): row["decomposable"]
        for row in facts.rows("metric_decomposability")
    }
    for call in calls():
        if call["call"]:
            weighted = classes[call["qualified_name"], call["variant"]].startswith("weighted")
            assert weighted == bool(call["weight"]), call


# The measurement ----------------------------------------------------------------------------------


@NEEDS_TORCHMETRICS
@pytest.mark.parametrize("name", names() if IS_INSTALLED else ["every row"])
def test_the_installed_library_agrees_with_the_table(measuring: Any, name: str) -> None:
    rows = [row for row in measuring.read(measuring.TABLE) if row["qualified_name"] == name]
    outcomes = list(measuring.outcomes(rows))
    contradicted = [f"{o.row['variant']}: {o.said}" for o in outcomes if o.said]
    assert not contradicted, f"{name} {'; '.join(contradicted)}"
    left_out = {o.left_out for o in outcomes if o.left_out}
    if importlib.metadata.version("torchmetrics").startswith("1.9."):
        assert not any("has no such name" in reason for reason in left_out)
    if all(o.left_out for o in outcomes):
        pytest.skip(f"not measured: {name}: {'; '.join(sorted(left_out))}")


@NEEDS_TORCHMETRICS
@pytest.mark.parametrize(
    ("name", "variant", "column", "lie"),
    [
        ("binary_accuracy", "default", "decomposable", "no"),
        ("binary_auroc", "default", "decomposable", "exact"),
        ("multiclass_f1_score", "average='macro' (default)", "decomposable", "exact"),
        ("binary_f1_score", "default", "decomposable", "exact"),
        ("binary_precision", "default", "decomposable", "no"),
        ("binary_auroc", "default", "decomposable", "weighted-only-if-equal-batches"),
        ("binary_confusion_matrix", "default", "weight", ""),
        ("binary_auroc", "default", "weight", "1 (sum over batches is exact)"),
        ("accuracy", SUMMARY, "decomposable", "exact"),
        ("auroc", SUMMARY, "decomposable", "depends"),
    ],
)
def test_a_row_that_lies_is_caught(
    measuring: Any, name: str, variant: str, column: str, lie: str
) -> None:
    name = f"torchmetrics.functional.classification.{name}"
    rows = [row for row in measuring.read(measuring.TABLE) if row["qualified_name"] == name]
    lying = [row | ({column: lie} if row["variant"] == variant else {}) for row in rows]
    assert lying != rows
    caught = [o.row["variant"] for o in measuring.outcomes(lying) if o.said]
    assert caught == [variant]


@NEEDS_TORCHMETRICS
def test_a_weight_that_is_not_the_one_is_caught(measuring: Any) -> None:
    name = "torchmetrics.functional.classification.binary_precision"
    row = next(r for r in measuring.read(measuring.TABLE) if r["qualified_name"] == name)
    call = measuring.calls()[measuring.key(row)]
    measured = measuring.measure(call)
    assert measuring.contradiction(row, measured, call) == ""
    wrong = call | {"weight": "(target == 1).sum()"}
    assert "not exact with the weight" in measuring.contradiction(row, measured, wrong)


@NEEDS_TORCHMETRICS
def test_an_object_that_is_not_the_one_is_caught(measuring: Any) -> None:
    name = "torchmetrics.functional.classification.multiclass_f1_score"
    row = next(r for r in measuring.read(measuring.TABLE) if r["qualified_name"] == name)
    call = measuring.calls()[measuring.key(row)]
    assert measuring.object_contradiction(row, call) == ""
    for other in (
        "MulticlassF1Score(num_classes=C, average='micro')",
        "MulticlassRecall(num_classes=C)",
    ):
        wrong = row | {"modular_equivalent": f"torchmetrics.classification.{other}"}
        assert other in measuring.object_contradiction(wrong, call)
    differing = call | {"object_differs": "pools"}
    assert "equals its object" in measuring.object_contradiction(row, differing)


@NEEDS_TORCHMETRICS
def test_the_command_names_the_row_that_lies(
    measuring: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = measuring.read(measuring.TABLE)
    for row in rows:
        if row["qualified_name"].endswith(".classification.binary_recall"):
            row["decomposable"] = "exact"
    table = tmp_path / "table.csv"
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)

    def ended(path: Path) -> object:
        monkeypatch.setattr(measuring, "TABLE", path)
        monkeypatch.setattr(
            sys, "argv", ["decomposability.py", "--only", r"\.binary_recall default"]
        )
        with pytest.raises(SystemExit) as end:
            measuring.main()
        return end.value.code

    assert ended(measuring.TABLE) == 0
    assert "CONTRADICTED" not in capsys.readouterr().out
    assert ended(table) == 1
    assert "binary_recall,default,weighted-only-if-equal-batches" in capsys.readouterr().out


# The yardstick ------------------------------------------------------------------------------------


@NEEDS_TORCHMETRICS
@pytest.mark.parametrize(
    ("call", "decomposable", "sums"),
    [
        ("preds.mean()", "exact", False),
        ("preds.sum()", "no", True),
        ("preds.max()", "no", False),
        ("preds.mean() ** 2", "no", False),
        # Right for equal batches only: the divisor is that of a full batch.
        ("preds.sum() / 16 if n < 20 else preds.mean()", "no", False),
        ("(preds * (target > 1)).sum() / (target > 1).sum()", "no", False),
        ("preds", "no", False),
    ],
)
def test_values_of_which_the_class_is_known(
    measuring: Any, call: str, decomposable: str, sums: bool
) -> None:
    row = {"qualified_name": "idiom: by hand", "variant": call, "call": call}
    measured = measuring.measure(row | {"inputs": "regression", "weight": "", "needs": ""})
    assert (measured.decomposable, measured.sums) == (decomposable, sums)


@NEEDS_TORCHMETRICS
def test_every_kind_of_inputs_draws_what_its_seed_says(measuring: Any) -> None:
    torch = pytest.importorskip("torch")
    kinds = measuring.INPUTS.KINDS
    assert {call["inputs"] for call in calls() if call["inputs"]} <= set(kinds)
    for name in kinds:
        for seed in measuring.SEEDS[:2]:
            whole, ragged, equal = measuring.epoch(name, seed)
            assert sum(part["n"] for part in ragged) == whole["n"]
            assert len({part["n"] for part in ragged}) > 1, "no batch is shorter"
            assert len({part["n"] for part in equal}) == 1
            fields = [k for k, v in whole.items() if isinstance(v, torch.Tensor)]
            again = measuring.merged(name, seed)
            for k in fields:
                assert torch.equal(again[k], whole[k][: len(again[k])])


@NEEDS_TORCHMETRICS
def test_a_batch_value_that_is_no_number_counts_nothing(measuring: Any) -> None:
    np = pytest.importorskip("numpy")
    values, weights = np.array([[1.0], [np.nan], [4.0]]), np.array([1.0, 5.0, 2.0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert measuring.mean(values, weights) == pytest.approx(3.0)
        assert measuring.gap(np.array([np.nan]), np.array([1.0])) == float("inf")
