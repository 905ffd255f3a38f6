"""Old Lightning as overlays: the tables, building and reusing them, and what can go wrong."""

from __future__ import annotations

import base64
import hashlib
import json
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from forks import trained

pytest.importorskip("platformdirs", reason="the overlays' cache needs the verify extra")

from lintmetrics.errors import LintmetricsError
from lintmetrics.verify import references
from lintmetrics.verify.references import Reference

if TYPE_CHECKING:
    from lintmetrics.verify.warm import WarmPythons

NAMES = [reference.name for reference in references.listing()]


def test_the_lightnings_that_were_run_end_to_end_are_there() -> None:
    assert NAMES == ["1.9.5", "1.8.6", "1.6.5", "1.5.10", "1.4.9", "1.2.10", "1.0.8"]


@pytest.mark.parametrize("name", NAMES)
def test_every_requirement_is_pinned_by_hash(name: str) -> None:
    reference = references.reference(name)
    text = references.pins(reference).replace("\\\n", " ")
    pinned = {line.split()[0]: line for line in text.splitlines() if line.strip()}
    assert set(pinned) == set(reference.requirements)
    for line in pinned.values():
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", line)


@pytest.mark.parametrize(
    ("asked", "nearest"), [("1.9.0", "1.9.5"), ("1.5", "1.5.10"), ("2.6", "1.9.5"), ("x", "")]
)
def test_an_unknown_reference_names_the_nearest(asked: str, nearest: str) -> None:
    with pytest.raises(LintmetricsError, match=re.escape(f"the nearest is {nearest}")) as raised:
        references.reference(asked)
    assert all(name in str(raised.value) for name in NAMES)


def test_the_table_speaks_of_known_references_and_launches_only() -> None:
    launches = {row["launch"] for row in references._rows("launches.csv")}
    assert {reference.launch for reference in references.listing()} <= launches
    for row in references._rows("edits.csv"):
        assert set(row["references"].split()) <= set(NAMES)
        assert row["old"] != row["new"]
        assert row["why"]


# A small index on the disk ----------------------------------------------------------------------


class Index:
    """A package index in a folder, with one package that plays Lightning."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.wheel = folder / "oldlight-1.0-py3-none-any.whl"
        files = {
            "oldlight/__init__.py": "from numbers import Inf\n",
            "oldlight/deep/__init__.py": "",
            "tests/__init__.py": "",
            "oldlight-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: oldlight\n"
            "Version: 1.0\nRequires-Dist: missing-from-every-index\n",
            "oldlight-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: test\n"
            "Root-Is-Purelib: true\nTag: py3-none-any\n",
        }
        record = "oldlight-1.0.dist-info/RECORD"
        lines = []
        for name, text in files.items():
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest())
            lines.append(f"{name},sha256={digest.rstrip(b'=').decode()},{len(text)}")
        files[record] = "\n".join([*lines, f"{record},,"]) + "\n"
        with zipfile.ZipFile(self.wheel, "w") as archive:
            for name, text in files.items():
                archive.writestr(name, text)
        self.sha256 = hashlib.sha256(self.wheel.read_bytes()).hexdigest()


REFERENCE = Reference("9.9", ("oldlight==1.0",), ("tests",), "3.8", "3.99", "devices", "")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Index:
    pytest.importorskip("pip", reason="overlays are fetched with pip")
    made = Index(tmp_path / "index")
    monkeypatch.setenv("LINTMETRICS_CACHE_DIR", os.fspath(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", os.fspath(made.folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setattr(
        references, "pins", lambda reference: f"oldlight==1.0 --hash=sha256:{made.sha256}\n"
    )
    edit = references.Edit("oldlight/__init__.py", "Inf", "inf", "it moved")
    monkeypatch.setattr(references, "edits", lambda reference: (edit,))
    return made


def _left(folder: Path) -> list[str]:
    return sorted(
        path.name for path in (folder / "cache" / "references").iterdir() if path.suffix != ".lock"
    )


def test_an_overlay_is_built_edited_pruned_and_reused_offline(index: Index, tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    folder = references.overlay(REFERENCE, lambda done, total: steps.append((done, total)))
    assert (folder / "oldlight/__init__.py").read_text() == "from numbers import inf\n"
    assert not (folder / "tests").exists()
    assert steps[0] == (0, 3)
    assert steps[-1] == (3, 3)
    assert steps == sorted(steps)
    index.wheel.unlink()
    assert references.overlay(REFERENCE) == folder
    assert _left(tmp_path) == [folder.name]


def test_what_runs_is_what_the_edit_left(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    folder = references.overlay(REFERENCE)
    told = subprocess.run(
        [sys.executable, "-c", "import oldlight"],
        env={**os.environ, "PYTHONPATH": os.fspath(folder)},
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    ).stderr
    assert "cannot import name 'inf'" in told


def test_an_overlay_that_was_compiled_since_is_whole(index: Index) -> None:
    folder = references.overlay(REFERENCE)
    (folder / "oldlight/deep/__pycache__").mkdir(exist_ok=True)
    (folder / "oldlight/deep/__pycache__/extra.pyc").write_bytes(b"")
    assert references.complete(folder)


def test_an_overlay_that_is_not_whole_is_built_anew(index: Index, tmp_path: Path) -> None:
    folder = references.overlay(REFERENCE)
    for harm in ("half deleted", "altered", "no manifest", "torn manifest"):
        harmed = tmp_path / harm
        shutil.copytree(folder, harmed)
        manifest = harmed / "overlay.json"
        if harm == "half deleted":
            shutil.rmtree(harmed / "oldlight/deep")
        elif harm == "altered":
            (harmed / "oldlight/__init__.py").write_text("")
        elif harm == "no manifest":
            manifest.unlink()
        else:
            manifest.write_text(manifest.read_text()[:50])
        assert not references.complete(harmed), harm
    shutil.rmtree(folder / "oldlight/deep")
    assert references.overlay(REFERENCE) == folder
    assert references.complete(folder)
    assert _left(tmp_path) == [folder.name]


def _build_in_a_process(started: str, environment: dict[str, str], sha256: str) -> None:
    os.environ.update(environment)
    references.pins = lambda reference: f"oldlight==1.0 --hash=sha256:{sha256}\n"
    references.edits = lambda reference: ()
    # Told of as soon as pip has begun.
    references.overlay(REFERENCE, lambda done, total: Path(started).touch())


def _process(index: Index, started: Path) -> multiprocessing.process.BaseProcess:
    environment = {name: os.environ[name] for name in os.environ if "PIP" in name or "LINT" in name}
    process = multiprocessing.get_context("spawn").Process(
        target=_build_in_a_process, args=(os.fspath(started), environment, index.sha256)
    )
    process.start()
    return process


def test_two_processes_build_one_overlay_once(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = [tmp_path / "first", tmp_path / "second"]
    processes = [_process(index, path) for path in started]
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert [path.exists() for path in started].count(True) == 1
    assert len(_left(tmp_path)) == 1


def test_a_build_that_was_killed_is_done_again(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(references, "edits", lambda reference: ())
    process = _process(index, tmp_path / "started")
    while not (tmp_path / "started").exists():
        time.sleep(0.01)
    process.kill()
    process.join()
    folder = references.overlay(REFERENCE)
    assert references.complete(folder)
    assert _left(tmp_path) == [folder.name]


# What can go wrong ------------------------------------------------------------------------------


def _refused(reference: Reference = REFERENCE, python: str = sys.executable) -> str:
    with pytest.raises(LintmetricsError) as raised:
        references.overlay(reference, python=python)
    return str(raised.value)


def test_a_file_with_another_hash_is_not_installed(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = "0" * 64
    monkeypatch.setattr(
        references, "pins", lambda reference: f"oldlight==1.0 --hash=sha256:{wrong}\n"
    )
    said = _refused()
    assert "another hash than the pinned one (oldlight==1.0 from" in said
    assert _left(tmp_path) == []


def test_an_index_without_the_package_is_named(index: Index, tmp_path: Path) -> None:
    index.wheel.unlink()
    assert "the package index has no oldlight==1.0 for Python" in _refused()
    assert _left(tmp_path) == []


def test_an_index_that_cannot_be_reached_is_named(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    assert "the package index cannot be reached" in _refused()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_cache_folder_that_cannot_be_made_is_named(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("LINTMETRICS_CACHE_DIR", os.fspath(tmp_path / "file" / "cache"))
    said = _refused()
    assert "cannot be written" in said
    assert "LINTMETRICS_CACHE_DIR" in said


def test_a_full_disk_is_told_from_what_pip_says() -> None:
    said = ["Collecting x", "ERROR: Could not install packages due to an OSError: [Errno 28] No "]
    said[-1] += "space left on device"
    of = references.interpreter(sys.executable)
    assert references._reason(said, of).startswith("the disk is full")


def test_a_python_that_is_too_old_or_too_new_is_named(index: Index) -> None:
    old = Reference("9.9", ("oldlight==1.0",), (), "3.6", "3.8", "devices", "")
    assert "runs on Python 3.6 to 3.8" in _refused(old)
    new = Reference("9.9", ("oldlight==1.0",), (), "3.98", "3.99", "devices", "")
    assert "runs on Python 3.98 to 3.99" in _refused(new)


def test_a_python_without_pip_is_told_how_to_get_it(index: Index, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", bare], check=True)
    python = os.fspath(bare / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))
    assert "-m ensurepip" in _refused(python=python)


def test_a_command_that_is_no_python_is_named(tmp_path: Path) -> None:
    assert "cannot be run as a Python" in _refused(python=os.fspath(tmp_path / "none"))


# The environment of a training ------------------------------------------------------------------


def test_the_trainer_is_told_of_devices_in_the_words_of_its_version(tmp_path: Path) -> None:
    new, old = references.reference("1.9.5"), references.reference("1.2.10")
    assert references.environment(tmp_path, new, "cpu", 2) == {
        "PYTHONPATH": os.pathsep.join(
            filter(None, [os.fspath(tmp_path), os.environ.get("PYTHONPATH", "")])
        ),
        "PL_TRAINER_ACCELERATOR": "cpu",
        "PL_TRAINER_DEVICES": "2",
        "PL_TRAINER_STRATEGY": "ddp",
        "CUDA_VISIBLE_DEVICES": "",
    }
    assert references.environment(None, old, "cpu", 2) == {
        "PL_TRAINER_ACCELERATOR": "ddp_cpu",
        "PL_TRAINER_NUM_PROCESSES": "2",
        "CUDA_VISIBLE_DEVICES": "",
    }
    assert references.environment(None, old, "cuda") == {"PL_TRAINER_GPUS": "1"}
    assert references.environment(None, None, "") == {}
    with pytest.raises(LintmetricsError, match="there are cpu and cuda"):
        references.environment(None, None, "tpu")


PROGRAM = """
import json, warnings
warnings.simplefilter("ignore")
import pytorch_lightning as pl, torch
from torch.utils.data import DataLoader

class Model(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
    def training_step(self, batch, batch_idx):
        loss = (self.weight - batch).square().mean()
        self.log("loss", loss)
        return loss
    def validation_step(self, batch, batch_idx):
        return batch.mean()
    def validation_epoch_end(self, outputs):
        self.log("val", torch.stack(outputs).mean())
    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1)]

trainer = pl.Trainer(max_epochs=1)
train, val = torch.arange(4.0), torch.arange(5.0)
trainer.fit(Model(), DataLoader(train, batch_size=2), DataLoader(val, batch_size=2))
callback = trainer.checkpoint_callback
Model.load_from_checkpoint(callback.best_model_path)
numbers = {name: float(value) for name, value in trainer.callback_metrics.items()}
print(json.dumps([pl.__version__, numbers]))
"""


@pytest.mark.training
@pytest.mark.parametrize("name", NAMES)
def test_every_reference_trains_here(name: str, tmp_path: Path, forking: WarmPythons) -> None:
    for needed in ("torch", "lightning"):
        pytest.importorskip(needed, reason="training needs the verify extra")
    try:
        references.overlay(references.reference(name))
    except LintmetricsError as error:
        if "cannot be reached" in str(error):
            pytest.skip(str(error))
        raise
    (tmp_path / "train.py").write_text(PROGRAM)
    version, numbers = json.loads(trained(forking, tmp_path, "train.py", name)[-1])
    assert version.removesuffix(".post0") == name
    # Batches of 0 1, 2 3 and 4: the mean of their means. Last batch of training: 2, 3.
    assert numbers["val"] == pytest.approx(7 / 3)
    assert numbers["loss"] > 0
