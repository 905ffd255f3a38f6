"""The recorder inside real trainings, and what is read back."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from forks import trained

from lintmetrics.errors import LintmetricsError
from lintmetrics.verify.record import RECORDER, Moment, Point, Record, environment, read

if TYPE_CHECKING:
    from lintmetrics.verify.warm import WarmPythons

OLD = ("1.0.8", "1.2.10", "1.4.9", "1.5.10", "1.6.5", "1.8.6", "1.9.5")

# Two epochs of five batches, a ragged validation, a test. Trained data come in a fixed order, so
# that every Lightning trains the same weights.
PROGRAM = '''
import importlib
import os
import sys
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

pl = importlib.import_module(os.environ.get("ROOT", "pytorch_lightning"))
VERSION = tuple(int(part) for part in pl.__version__.split(".")[:2])


class Logger(importlib.import_module(pl.__name__ + ".loggers").CSVLogger):
    """Keeps nothing: what arrives is the recorder's affair."""


class Model(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))

    def forward(self, x):
        return self.net(x)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = nn.functional.cross_entropy(self(x), y)
        self.log("loss", loss, prog_bar=True)
        self.log("mean_loss", loss, on_step=False, on_epoch=True)
        if LOGGERS:
            # Not self.logger: 1.6 fails to find it where there are two.
            LOGGERS[0].log_metrics({"own": float(batch_idx)}, step=7)
        return loss

    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.log("val_loss", nn.functional.cross_entropy(self.net.forward(x), y), prog_bar=True)

    def test_step(self, batch, batch_idx):
        x, y = batch
        self.log("test_acc", (self(x).argmax(1) == y).float().mean())

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def loader(rows, **options):
    x = torch.randn(rows, 3, generator=torch.Generator().manual_seed(rows))
    return DataLoader(TensorDataset(x, (x.sum(1) > 0).long()), batch_size=5, **options)


def trainer(**options):
    given = dict(default_root_dir=os.getcwd(), max_epochs=2, log_every_n_steps=1)
    if VERSION < (1, 5):
        given.update(progress_bar_refresh_rate=0, weights_summary=None)
    else:
        given.update(enable_progress_bar=False, enable_model_summary=False)
    if VERSION >= (1, 6):
        given.update(accelerator="cpu")
    given.update(options)
    return pl.Trainer(**given)


LOGGERS = []


def main():
    torch.manual_seed(3)
    LOGGERS.extend([Logger(os.getcwd(), name="a"), Logger(os.getcwd(), name="b")])
    model, fitted = Model(), trainer(logger=LOGGERS)
    fitted.fit(model, loader(25), loader(13))
    fitted.test(model, loader(13), verbose=False)
    return model, fitted


if __name__ == "__main__":
    model, fitted = main()
    print("state", sorted(model.state_dict()), [type(c).__name__ for c in fitted.callbacks])
    print("weights", [p.tolist() for p in model.state_dict().values()])
    print("random", torch.rand(1).item())
'''


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "train.py"
    path.write_text(PROGRAM)
    return path


def start(
    folder: Path,
    *command: str,
    record: str | None = "record",
    capture: str | None = None,
    **more: str,
) -> subprocess.Popen[str]:
    found = {k: v for k, v in os.environ.items() if not k.startswith("LINTMETRICS_")}
    path = [found.get("PYTHONPATH", "")]
    if record is not None:
        found.update(environment(folder / record, capture))
        path.insert(0, os.fspath(RECORDER))
    found.update({"PYTHONPATH": os.pathsep.join(p for p in path if p), **more})
    found.update(OMP_NUM_THREADS="1", PYTHONWARNINGS="ignore")
    return subprocess.Popen(
        [sys.executable, *command],
        cwd=folder,
        env=found,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def run(folder: Path, *command: str, **options: Any) -> str:
    process = start(folder, *command, **options)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err[-3000:]
    assert "lintmetrics: " not in err
    return out


def lines(record: Record) -> dict[tuple[str, str, str], list[tuple[Moment, float]]]:
    found = defaultdict(list)
    for point in record.points:
        found[point.via, point.at.stage, point.key].append((point.at, point.value))
    return found


def training() -> None:
    pytest.importorskip("torch", reason="trainings need the verify extra")
    pytest.importorskip("pytorch_lightning", reason="trainings need the verify extra")


# What a record says, without training ---------------------------------------------------------


def written(folder: Path, *entries: dict[str, Any], name: str = "record-0-1.jsonl") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    return folder


def numbers(order: int, via: str, at: tuple[int, str, int, int], **more: Any) -> dict[str, Any]:
    return {"t": "numbers", "order": order, "via": via, "at": at, **more}


def test_a_line_of_several_numbers_is_one_point_for_each(tmp_path: Path) -> None:
    line = numbers(3, "logger", (0, "train", 1, 6), d={"a": 1.0, "b": float("nan")}, step=5)
    record = read(written(tmp_path, line, {"t": "end"}))[0]
    assert record.points[0] == Point(3, "logger", Moment(0, "train", 1, 6), "a", 1.0, 5)
    assert record.points[1].order == 4
    assert record.points[1].value != record.points[1].value
    assert record.complete


def test_a_callback_metric_put_in_place_twice_at_one_moment_is_one_point(tmp_path: Path) -> None:
    put = {"d": {"acc": 0.5}, "moment": "evaluation end"}
    folder = written(
        tmp_path,
        numbers(0, "callback", (0, "validate", 0, 5), **put),
        numbers(1, "callback", (0, "train", 0, 5), **put),
        numbers(2, "callback", (0, "validate", 1, 10), **put),
    )
    assert [point.at.batches for point in read(folder)[0].points] == [5, 10]


def test_a_record_cut_off_in_the_middle_of_a_line_is_read_up_to_there(tmp_path: Path) -> None:
    folder = written(tmp_path, numbers(0, "logger", (0, "train", 0, 1), d={"a": 1.0}))
    with (folder / "record-0-1.jsonl").open("a") as file:
        file.write('{"t": "numbers", "ord')
    record = read(folder)[0]
    assert len(record.points) == 1
    assert not record.complete


def test_a_file_that_is_no_record_is_named(tmp_path: Path) -> None:
    (tmp_path / "record-0-1.jsonl").write_text("hello\n")
    with pytest.raises(LintmetricsError, match=r"record-0-1\.jsonl:1: "):
        read(tmp_path)


def test_raw_steps_that_would_run_code_are_refused(tmp_path: Path) -> None:
    written(tmp_path, {"t": "end"})
    (tmp_path / "raw-0-1").mkdir()
    (tmp_path / "raw-0-1" / "steps.pickle").write_bytes(pickle.dumps(os.getcwd))
    with pytest.raises(LintmetricsError, match="has no place in a record"):
        read(tmp_path)


def test_a_spawned_process_tells_of_the_run_that_its_parent_began(tmp_path: Path) -> None:
    about = {"t": "environment", "rank": 0}
    written(
        tmp_path,
        {**about, "pid": 1, "parent": 0},
        numbers(0, "callback", (0, "train", 0, 0), d={"a": 9.0}, moment="run end"),
        {"t": "weights", "order": 1, "at": (0, "train", 0, 0), "sha256": "x"},
        numbers(2, "logger", (1, "test", 0, 0), d={"b": 2.0}),
        {"t": "end"},
    )
    child = numbers(0, "callback", (0, "train", 1, 4), d={"a": 9.0}, moment="batch end")
    name = "record-0-2.jsonl"
    written(tmp_path, {**about, "pid": 2, "parent": 1}, child, name=name)
    record = read(tmp_path)[0]
    assert [(point.key, point.at.batches) for point in record.points] == [("a", 4), ("b", 0)]
    assert [weights.at.batches for weights in record.weights] == [4]
    assert record.complete


def test_a_program_without_lightning_leaves_no_record(tmp_path: Path) -> None:
    run(tmp_path, "-c", "import json")
    assert not (tmp_path / "record").exists()


def test_the_users_own_sitecustomize_runs_too(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text("MINE = 1\nprint('mine')\n")
    text = "import sitecustomize; print(sitecustomize.MINE)"
    path = os.pathsep.join([os.fspath(RECORDER), os.fspath(tmp_path / "site")])
    assert run(tmp_path, "-c", text, PYTHONPATH=path).split() == ["mine", "1"]


# Real trainings ---------------------------------------------------------------------------------

STAGES = {
    ("logger", "train", "loss"): [(0, b) for b in range(1, 6)] + [(1, b) for b in range(6, 11)],
    ("logger", "train", "mean_loss"): [(0, 5), (1, 10)],
    ("logger", "validate", "val_loss"): [(0, 5), (1, 10)],
    ("logger", "test", "test_acc"): [(0, 0)],
    ("callback", "train", "mean_loss"): [(0, 5), (1, 10)],
    ("callback", "validate", "val_loss"): [(0, 5), (1, 10)],
    ("callback", "test", "test_acc"): [(0, 0)],
    ("progress", "validate", "val_loss"): [(0, 5), (1, 10)],
    ("direct", "train", "own"): [(0, b) for b in range(5)] + [(1, b) for b in range(5, 10)],
}


@pytest.fixture(scope="module")
def today(tmp_path_factory: pytest.TempPathFactory) -> Record:
    training()
    folder = tmp_path_factory.mktemp("today")
    (folder / "train.py").write_text(PROGRAM)
    run(folder, "train.py", capture="net")
    return read(folder / "record")[0]


@pytest.mark.training
def test_every_way_out_is_recorded_at_its_moments(today: Record) -> None:
    found = lines(today)
    for key, moments in STAGES.items():
        assert [(at.epoch, at.batches) for at, _ in found[key]] == moments, key
    assert today.complete
    assert today.environment["errors"] == ()
    assert [run["function"] for run in today.environment["runs"]] == ["fit", "test"]
    assert len(today.weights) == 1


@pytest.mark.training
def test_raw_steps_hold_what_an_oracle_needs(today: Record) -> None:
    validated = [step for step in today.steps if step.at.stage == "validate" and not step.at.epoch]
    assert [step.batch_idx for step in validated] == [0, 1, 2]
    assert [len(step.batch[1]) for step in validated] == [5, 5, 3]
    # The program calls net.forward(): past the hooks of a module.
    assert [step.outputs[0].shape for step in validated] == [(5, 2), (5, 2), (3, 2)]
    trained = [step for step in today.steps if step.at.stage == "train"]
    logged = [value for _, value in lines(today)["logger", "train", "loss"]]
    assert [float(step.returned) for step in trained] == logged


@pytest.mark.training
@pytest.mark.parametrize("version", OLD)
def test_old_lightning_is_recorded_like_todays(
    version: str, program: Path, tmp_path: Path, today: Record, forking: WarmPythons
) -> None:
    training()
    trained(forking, tmp_path, program.name, version, capture="net")
    record = read(tmp_path / "record")[0]
    assert record.environment["errors"] == ()
    assert record.environment["pytorch_lightning"].startswith(version)
    assert record.weights[0].sha256 == today.weights[0].sha256
    assert len(record.steps) == len(today.steps)
    old, new = lines(record), lines(today)
    for key, moments in STAGES.items():
        assert [(at.epoch, at.batches) for at, _ in old[key]] == moments, key
        assert [value for _, value in old[key]] == pytest.approx(
            [value for _, value in new[key]], abs=1e-6
        ), key


@pytest.mark.training
def test_recording_changes_nothing(program: Path, tmp_path: Path) -> None:
    training()
    with_record = run(tmp_path, program.name, capture="")
    assert with_record == run(tmp_path, program.name, record=None)


@pytest.mark.training
def test_one_program_may_use_both_lightnings_without_a_logger(
    program: Path, tmp_path: Path
) -> None:
    training()
    pytest.importorskip("lightning")
    text = """
        import os, train
        os.environ["ROOT"] = "lightning.pytorch"
        source = open("train.py").read()
        other = {"__name__": "other"}
        exec(compile(source, "other", "exec"), other)
        for names in (vars(train), other):
            names["torch"].manual_seed(3)
            model = names["Model"]()
            names["trainer"](logger=False).fit(model, names["loader"](25, num_workers=1))
            import gc; gc.collect()
        os._exit(0)
    """
    (tmp_path / "both.py").write_text(
        "if __name__ == '__main__':\n" + textwrap.indent(textwrap.dedent(text), "    ")
    )
    run(tmp_path, "both.py")
    assert len(list((tmp_path / "record").iterdir())) == 1
    record = read(tmp_path / "record")[0]
    assert record.complete
    first, second = record.weights
    assert first.sha256 == second.sha256
    losses: dict[int, list[float]] = defaultdict(list)
    for point in record.points:
        if point.via == "logger" and point.key == "loss":
            losses[point.at.run].append(point.value)
    assert len(losses[0]) == 10
    assert losses[0] == losses[1]


@pytest.mark.training
def test_what_a_killed_training_wrote_is_read(program: Path, tmp_path: Path) -> None:
    training()
    text = """
        import time, train
        class Slow(train.Model):
            def on_train_epoch_start(self):
                if self.current_epoch == 1:
                    print("second epoch", flush=True)
                    time.sleep(600)
        train.trainer(logger=False).fit(Slow(), train.loader(25), train.loader(13))
    """
    (tmp_path / "slow.py").write_text(textwrap.dedent(text))
    process = start(tmp_path, "slow.py")
    assert process.stdout is not None
    begun = time.monotonic()
    while "second epoch" not in process.stdout.readline():
        assert time.monotonic() - begun < 200
    process.send_signal(signal.SIGKILL)
    process.communicate()
    record = read(tmp_path / "record")[0]
    assert not record.complete
    assert [at.batches for at, _ in lines(record)["logger", "train", "mean_loss"]] == [5]


@pytest.mark.training
@pytest.mark.parametrize("launcher", ["ddp", "ddp_spawn", "torchrun"])
def test_two_processes_leave_a_record_each(launcher: str, program: Path, tmp_path: Path) -> None:
    training()
    strategy = "ddp_spawn" if launcher == "ddp_spawn" else "ddp"
    text = f"""
        import train
        if __name__ == "__main__":
            train.torch.manual_seed(3)
            model = train.Model()
            fitted = train.trainer(logger=False, strategy="{strategy}", devices=2)
            fitted.fit(model, train.loader(20), train.loader(13))
    """
    (tmp_path / "two.py").write_text(textwrap.dedent(text))
    command = ["two.py"]
    if launcher == "torchrun":
        command = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "two.py"]
    process = start(tmp_path, *command)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err[-3000:]
    records = read(tmp_path / "record")
    assert sorted(records) == [0, 1]
    for record in records.values():
        assert record.environment["errors"] == ()
        assert record.environment["world_size"] == 2
        assert [at.batches for at, _ in lines(record)["logger", "train", "mean_loss"]] == [2, 4]
    assert len(records[0].weights) == 1
    assert records[0].complete
