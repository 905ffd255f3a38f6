"""Lists of step outputs inside other lists and dicts: what is in them, and what empties them."""

from __future__ import annotations

from pathlib import Path

import projects
import pytest

MODEL = """\
import torch
import torch.nn.functional as F
import lightning.pytorch as pl


class Model(pl.LightningModule):
    def __init__(self, net):
        super().__init__()
        self.net = net
        self.outs = START

    def validation_step(self, batch, batch_idx, dataloader_idx=0):
        x, y = batch
        loss = F.mse_loss(self.net(x), y)
        FILL

    def on_validation_epoch_end(self):
        END
"""
LISTS = ("[[], []]", "self.outs[dataloader_idx].append(loss)")
NAMED = ('{"loss": []}', 'self.outs["loss"].append(loss)')
FILLED = ("{}", "self.outs.setdefault(dataloader_idx, []).append(loss)")


def codes(lists: tuple[str, str], end: str, folder: Path) -> list[str]:
    text = MODEL.replace("START", lists[0]).replace("FILL", lists[1])
    (folder / "model.py").write_text(text.replace("END", end.replace("\n", "\n        ")))
    return projects.codes(projects.check(folder, "LM111", "LM204"))


@pytest.mark.parametrize(
    ("lists", "end"),
    [
        (
            LISTS,
            "for i, outs in enumerate(self.outs):\n"
            '    self.log(f"v{i}", torch.stack(outs).mean())\n'
            "    outs.clear()",
        ),
        (
            LISTS,
            "for i in range(len(self.outs)):\n"
            '    self.log(f"v{i}", torch.stack(self.outs[i]).mean())\n'
            "    self.outs[i].clear()",
        ),
        (
            LISTS,
            "for name, outs in zip(self.names, self.outs):\n"
            "    self.log(name, torch.stack(outs).mean())\n"
            "[outs.clear() for outs in self.outs]",
        ),
        (NAMED, 'self.log("v", torch.stack(self.outs["loss"]).mean())\nself.outs["loss"].clear()'),
        (
            FILLED,
            "for i, outs in self.outs.items():\n"
            '    self.log(f"v{i}", torch.stack(outs).mean())\n'
            "self.outs.clear()",
        ),
    ],
)
def test_a_mean_of_a_list_in_lists_is_found_and_its_emptying_seen(
    lists: tuple[str, str], end: str, tmp_path: Path
) -> None:
    assert codes(lists, end, tmp_path) == ["LM111"]


@pytest.mark.parametrize(
    ("lists", "end"),
    [
        (LISTS, "for i, outs in enumerate(self.outs):\n    self.show(i, sum(outs))"),
        (LISTS, "for outs in self.outs:\n    print(torch.cat(outs).std())"),
        (NAMED, 'print(torch.stack(self.outs["loss"]).std())'),
    ],
)
def test_lists_that_are_only_gone_through_are_never_emptied(
    lists: tuple[str, str], end: str, tmp_path: Path
) -> None:
    assert codes(lists, end, tmp_path) == ["LM204"]


def test_an_average_over_dataloaders_is_no_mean_of_batches(tmp_path: Path) -> None:
    end = 'self.log("v", sum(sum(outs) for outs in self.outs) / len(self.outs))\nself.outs.clear()'
    assert codes(LISTS, end, tmp_path) == []
