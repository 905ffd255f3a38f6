"""``lintmetrics put --vendor``, and what it writes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lintmetrics import __version__, cli

PROGRAM = """
import sys
sys.modules["lintmetrics"] = None  # as if it were not installed
import put

try:
    import lightning.pytorch as pl
except ImportError:
    import pytorch_lightning as pl
import torch


class Net(put.PutMixin, pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def training_step(self, batch, batch_idx):
        self.put("loss", batch.mean())
        return self.weight.sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


trainer = pl.Trainer(
    max_epochs=1, logger=False, enable_checkpointing=False, enable_progress_bar=False,
    enable_model_summary=False, accelerator="cpu", callbacks=[put.PutRouter()],
)
trainer.fit(Net(), torch.utils.data.DataLoader(torch.arange(3.0)))
print("loss", float(trainer.callback_metrics["loss"]))
try:
    Net().put("loss", torch.ones(2))
except put.PutError as error:
    print(error)
"""


def vendor(path: Path, *options: str) -> int:
    return cli.main(["put", "--vendor", str(path), *options])


def test_the_file_says_what_it_is_and_a_second_run_is_idle(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "finished.py"
    assert vendor(target) == 0
    assert f"written, the put of lintmetrics {__version__}" in capsys.readouterr().out
    lines = target.read_text().splitlines()
    assert __version__ in lines[0]
    assert "Apache-2.0" in lines[1]
    assert lines[3].startswith('"""')
    before = target.stat().st_mtime_ns
    assert vendor(target) == 0
    assert "is up to date" in capsys.readouterr().out
    assert target.stat().st_mtime_ns == before
    assert [path.name for path in tmp_path.iterdir()] == ["finished.py"]


def test_a_folder_gets_a_file_of_the_usual_name(tmp_path: Path) -> None:
    assert vendor(tmp_path) == 0
    assert (tmp_path / "put.py").is_file()


def test_the_file_of_somebody_else_is_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "put.py"
    target.write_text("def put(ball): ...\n")
    assert vendor(target) == 2
    said = capsys.readouterr().err
    assert "not a copy of put" in said
    assert "--force" in said
    assert target.read_text() == "def put(ball): ...\n"
    assert vendor(target, "--force") == 0
    assert "class PutRouter" in target.read_text()


def test_a_copy_of_an_earlier_version_is_brought_up_to_date(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from lintmetrics.commands import put

    target = tmp_path / "put.py"
    monkeypatch.setattr(put, "__version__", "0.0.1")
    assert vendor(target) == 0
    monkeypatch.undo()
    target.chmod(0o640)
    capsys.readouterr()
    assert vendor(target) == 0
    assert f"brought from 0.0.1 to lintmetrics {__version__}" in capsys.readouterr().out
    assert "0.0.1" not in target.read_text()
    if os.name == "posix":
        assert target.stat().st_mode & 0o777 == 0o640


def test_a_copy_with_changes_of_the_user_is_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "put.py"
    assert vendor(target) == 0
    target.write_text(target.read_text() + "\nMINE = 1\n")
    assert vendor(target) == 2
    assert "that was changed" in capsys.readouterr().err
    assert "MINE" in target.read_text()
    assert vendor(target, "--force") == 0
    assert "MINE" not in target.read_text()


def test_the_ends_of_lines_are_no_change(tmp_path: Path) -> None:
    target = tmp_path / "put.py"
    assert vendor(target) == 0
    target.write_bytes(target.read_bytes().replace(b"\n", b"\r\n"))
    before = target.read_bytes()
    assert vendor(target) == 0
    assert target.read_bytes() == before


def test_what_is_no_python_file_or_cannot_be_written_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("put.txt", "put-it.py", "sub/put"):
        assert vendor(tmp_path / name) == 2
        assert "name a Python file" in capsys.readouterr().err
    assert vendor(tmp_path / "missing" / "put.py") == 2
    assert "cannot be written" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    assert cli.main(["put"]) == 2


def test_a_link_is_written_through(tmp_path: Path) -> None:
    real = tmp_path / "real.py"
    link = tmp_path / "put.py"
    assert vendor(real) == 0
    text = real.read_text()
    try:
        link.symlink_to(real)
    except OSError:
        pytest.skip("no symbolic links here")
    real.write_text("mine = 1\n")
    assert vendor(link, "--force") == 0
    assert link.is_symlink()
    assert real.read_text() == text


def test_writing_it_needs_neither_torch_nor_lightning(tmp_path: Path) -> None:
    probe = (
        "import sys\n"
        "for name in ('torch', 'lightning', 'pytorch_lightning'):\n"
        "    sys.modules[name] = None\n"
        "from lintmetrics import cli\n"
        f"sys.exit(cli.main(['put', '--vendor', {str(tmp_path)!r}]))"
    )
    subprocess.run([sys.executable, "-c", probe], check=True, capture_output=True)


def test_the_runtime_imports_nothing_of_lintmetrics() -> None:
    import ast

    from lintmetrics.commands.put import _copy

    found = set()
    for node in ast.walk(ast.parse(_copy())):
        if isinstance(node, ast.Import):
            found |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level
            found.add((node.module or "").split(".")[0])
    assert "lintmetrics" not in found
    assert found <= {*sys.stdlib_module_names, "torch"}


def test_the_page_names_tests_that_there_are() -> None:
    page = (Path(__file__).parent.parent / "docs/put.md").read_text(encoding="utf-8")
    tests = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("*.py"))
    named = set(re.findall(r"`((?:[a-z]+_){4,}[a-z]+)`", page)) - {"_batches_that_stepped"}
    assert len(named) > 40
    assert [name for name in sorted(named) if f"def test_{name}(" not in tests] == []


@pytest.mark.training
def test_the_copy_trains_where_lintmetrics_is_not_installed(tmp_path: Path) -> None:
    for needed in ("torch", "lightning"):
        pytest.importorskip(needed, reason="training needs the verify extra")
    assert vendor(tmp_path) == 0
    (tmp_path / "train.py").write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, "train.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "loss 2.0" in done.stdout
    line = PROGRAM.splitlines().index('    Net().put("loss", torch.ones(2))') + 1
    assert f"train.py:{line}: 'loss' is put as a tensor of shape (2,)" in done.stdout
