"""Lines that a fix makes too long are broken as a formatter would; those of the author stay."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import projects
import pytest

from lintmetrics.edits import apply
from lintmetrics.long_lines import broken_lines
from lintmetrics.sources import decode


def broken(text: str, before: str = "") -> str:
    source = decode(text.encode(), "model.py")
    return apply(text, broken_lines(before, source))


def formatted(text: str) -> str:
    command = [sys.executable, "-m", "ruff", "format", "--isolated", "--line-length", "100", "-"]
    return subprocess.run(command, input=text, text=True, capture_output=True, check=True).stdout


W = "a_rather_long_name_of_something"


@pytest.mark.parametrize(
    "line",
    [
        f'self.log("val_loss", {W}, prog_bar=True, on_step=False, on_epoch=True, sync_dist=True)',
        f"self.log({W}, self.{W}, {W}, on_step=False, on_epoch=True, sync_dist=True, a=1)",
        f"{W} = torch.stack([o['loss'] for o in self.{W}_of_the_steps_of_an_epoch]).mean()",
        f"mean = torch.stack([o * n for o, n in self.{W}]).mean() / mean_batch_size_of_it_all",
        f"total = sum(o['batch_size'] for o in self.{W}_outputs) / len(self.{W}_outputs)",
        f"return self._training_step_end({{'loss': F.binary_cross_entropy({W}, {W}.float())}})",
        f"self.{W} = nn.ModuleDict({{'train': F1Score(task='binary'), 'val': F1Score(task='b')}})",
        f"value = {W}.first_of_all(1) if self.{W} else self.another_one_of_that(2, 3, 4)",
        f"if {W} and self.{W}(1, 2) and not another_of_those_long_names_there_are_here:",
        f"x = {W} + self.some_function_of_it({W}, another_of_the_many_names_of_this_file)",
        f"x, y = {W}.first(a).second(b), self.some_function_of_it({W}, another_of_the_many)",
        f"x: Dict[str, int] = self.some_function_of_it({W}, another_of_the_many_names_here, 12)",
        f"x[{W}, 1] += self.some_function_of_it({W}, another_of_the_many_names_here, 12, 1)",
        f"x = {W}.rename(pkl=1, key=2).to_tuple(3, 4, 5, 6, 7, 8).map(f=self.build_a_sample_it)",
        f"x = self.{W}[f'{{stage}}_metrics'](predictions_of_this_batch, labels_of_this_batch[1])",
    ],
)
def test_a_formatter_would_write_the_same(line: str) -> None:
    line = line.replace("'", '"')
    text = f"def step(self):\n    for a in b:\n        {line}\n"
    text += "            pass\n" if line.endswith(":") else ""
    assert max(map(len, text.splitlines())) > 100
    done = broken(text)
    assert done == formatted(text)
    assert broken(done) == done


def test_a_part_of_a_call_is_broken_where_it_stands() -> None:
    text = (
        "x = call(\n"
        f'    first=torchmetrics.F1Score(task="multiclass", num_classes=3, average="{W}", k=1),\n'
        f'    second={{"a_key": torchmetrics.F1Score(task="multiclass", n=3, average="{W}")}},\n'
        ")\n"
    )
    text = text.replace("first=t", "the_first_of_them=t").replace("second=", "the_second_of_all=")
    assert broken(text) == formatted(text) != text


@pytest.mark.parametrize("end", ["", ","])
def test_arguments_that_stand_together_get_a_line_each(end: str) -> None:
    row = ", ".join(f"argument_{n}=some_value_{n}" for n in range(4))
    text = f"trainer = Trainer(\n    {row}{end}\n)\n"
    assert max(map(len, text.splitlines())) > 100
    assert broken(text) == formatted(text) != text


def test_what_goes_on_behind_a_line_is_left() -> None:
    row = ", ".join(f"argument_{n}=some_value_{n}" for n in range(4))
    text = f"trainer = Trainer(\n    {row}\n    or that\n)\n"
    assert broken(text) == text


@pytest.mark.parametrize(
    "line",
    [
        f"self.log('val_loss', {W}, on_step=False, on_epoch=True, sync_dist=True)  # {W}",
        f"key = lambda o: self.some_function_of_it({W}, another_of_the_many_names_here, 12, 13)",
        f"a = self.some_function_of_it({W}, 12, 1, 12345678); b = self.another_function({W})",
        f"text = '{W} {W} {W} {W}'",
        f"a = self.function({W}, 12, 1, 12345678) + self.another_function({W}, 1234) + \\\n  1",
    ],
)
def test_what_is_laid_out_otherwise_is_left(line: str) -> None:
    assert broken(line + "\n") == line + "\n"


def test_the_author_decides_how_long_a_line_may_be() -> None:
    line = f'self.log("val_loss", {W}, prog_bar=True, on_step=False, on_epoch=True, rank=True)\n'
    line = "x = " + line
    assert 100 < len(line) - 1 < 115
    assert broken(line, line) == line
    assert broken(line, "y" * 115 + "\n") == line
    assert broken(line) != line


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_lines_that_a_fix_makes_too_long_are_broken(newline: str, tmp_path: Path) -> None:
    text = (
        "import torch\n"
        "import pytorch_lightning as pl\n"
        "from pytorch_lightning.metrics.functional import accuracy\n\n\n"
        "class Model(pl.LightningModule):\n"
        "\tdef validation_step(self, batch, batch_idx):\n"
        "\t\tpredictions_of_it, y = batch\n"
        f"\t\t{W} = self.net(predictions_of_it)\n"
        f"\t\tself.print(accuracy({W}, y, num_classes=self.number_of), 'all')\n"
    )
    (tmp_path / "model.py").write_bytes(text.replace("\n", newline).encode())
    projects.fix(tmp_path, "LM3")
    done = (tmp_path / "model.py").read_bytes().decode()
    assert "task='multiclass'" in done
    assert max(map(len, done.splitlines())) <= 100
    assert done.count(newline) == done.count("\n")
    assert projects.fix(tmp_path).after == {}
