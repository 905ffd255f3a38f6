"""Lists that a module fills in its steps: found where nobody empties them."""

from __future__ import annotations

from pathlib import Path

import projects
import pytest
from hook_modules import HEAD, blocked, found

from lintmetrics.codemod import Relation

KEPT = """\
class M(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.outputs = []

    def validation_step(self, batch, batch_idx):
        self.outputs.append({value})

    def on_validation_epoch_end(self):
        {read}
{more}
"""


@pytest.mark.parametrize(
    ("value", "read", "more"),
    [
        ("self(batch)", "self.log('x', torch.cat(self.outputs).std())", ""),
        ("self(batch)", "self.report()", "    def report(self):\n        print(self.outputs)"),
        ("self(batch)", "x = self.outputs; self.log('x', torch.cat(x).std())", ""),
        ("float(batch[0])", "self.log('x', sum(self.outputs))", ""),
        (
            "self(batch)",
            "self.log('x', torch.cat(self.outputs).std())",
            "    def on_epoch_end(self):\n        self.outputs.clear()",
        ),
    ],
    ids=[
        "read",
        "read by a helper",
        "read by an alias",
        "numbers summed",
        "cleared in a dead hook",
    ],
)
def test_a_list_that_nobody_empties_is_found(
    tmp_path: Path, value: str, read: str, more: str
) -> None:
    text = KEPT.format(value=value, read=read, more=more)
    lists = [one for one in found(tmp_path, a=text) if one.startswith("LM204")]
    assert lists == ["LM204 7"]


@pytest.mark.parametrize(
    ("value", "read", "more"),
    [
        ("self(batch)", "print(self.outputs); self.outputs.clear()", ""),
        ("self(batch)", "print(self.outputs); self.outputs = []", ""),
        ("self(batch)", "print(self.outputs); del self.outputs[:]", ""),
        ("self(batch)", "print(self.outputs); x = self.outputs; x.clear()", ""),
        ("self(batch)", "use(self.outputs)", ""),
        (
            "self(batch)",
            "print(self.outputs)",
            "    def on_validation_epoch_start(self):\n        self.outputs = []",
        ),
        ("self(batch)", "self._free(self.outputs)", "    def _free(self, x):\n        x.clear()"),
        ("self(batch)", "print(self.outputs)\n        for x in (self.outputs,): x.clear()", ""),
        ("float(batch[0])", "print(self.outputs)", ""),
        ("self(batch)", "pass", ""),
    ],
    ids=[
        "clear",
        "new list",
        "del",
        "alias",
        "unknown function",
        "at the start",
        "helper",
        "loop",
        "history of numbers",
        "never read",
    ],
)
def test_a_list_that_is_emptied_or_meant_to_grow_is_quiet(
    tmp_path: Path, value: str, read: str, more: str
) -> None:
    assert found(tmp_path, a=KEPT.format(value=value, read=read, more=more)) == []


LATE = {
    "behind the epoch of training": ("on_train_epoch_end(self)", "the sanity check too"),
    "behind the run": ("on_train_end(self)", "earlier epochs again"),
    "before the run": ("on_train_start(self)", "earlier epochs again"),
    "in the test": ("on_test_epoch_end(self)", "earlier epochs again"),
}


@pytest.mark.parametrize("emptied", ["self.outputs.clear()", "self.outputs = []"])
@pytest.mark.parametrize(("hook", "told"), LATE.values(), ids=LATE)
def test_a_list_that_is_emptied_too_late_is_found(
    hook: str, told: str, emptied: str, tmp_path: Path
) -> None:
    more = f"    def {hook}:\n        {emptied}"
    text = HEAD + KEPT.format(
        value="self(batch)", read="self.log('x', torch.cat(self.outputs).std())", more=more
    )
    projects.written(tmp_path, {"a.py": text})
    (diagnostic,) = projects.check(tmp_path, "LM204").diagnostics
    assert told in diagnostic.message
    (fixed,) = projects.fix(tmp_path, "LM204").fixed
    assert fixed.fix is not None
    assert len(fixed.fix.edits) == 1, "the hook that reads it, and not the one that is late"
    assert projects.codes(projects.check(tmp_path, "LM204")) == []


IN_TIME = {
    "before the epoch": "    def on_train_epoch_start(self):\n        self.outputs.clear()",
    "before validation": "    def on_validation_epoch_start(self):\n        self.outputs = []",
    "behind validation": "    def on_validation_end(self):\n        self.outputs.clear()",
    "behind the check and the epoch": (
        "    def on_train_start(self):\n        self.outputs.clear()\n\n"
        "    def on_train_epoch_end(self):\n        self.outputs.clear()"
    ),
    "without a check": (
        "    def on_train_epoch_end(self):\n        self.outputs.clear()\n\n\n"
        "trainer = pl.Trainer(num_sanity_val_steps=0)"
    ),
    "a helper": (
        "    def on_train_epoch_end(self):\n        self.anew()\n\n"
        "    def anew(self):\n        self.outputs.clear()"
    ),
}


@pytest.mark.parametrize("more", IN_TIME.values(), ids=IN_TIME)
def test_a_list_that_is_emptied_in_time_is_quiet(more: str, tmp_path: Path) -> None:
    read = "self.log('x', torch.cat(self.outputs).std())"
    projects.written(
        tmp_path, {"a.py": HEAD + KEPT.format(value="self(batch)", read=read, more=more)}
    )
    assert projects.codes(projects.check(tmp_path, "LM204")) == []


def test_a_list_emptied_by_a_base_or_a_callback_is_quiet(tmp_path: Path) -> None:
    model = """\
    from base import Base

    class M(Base):
        def validation_step(self, batch, batch_idx):
            self.outputs.append(self(batch))

        def on_validation_epoch_end(self):
            self.log("x", torch.cat(self.outputs).std())
    """
    made = "class Base(pl.LightningModule):\n    def __init__(self):\n        self.outputs = []\n"
    emptied = made + "    def on_validation_epoch_start(self):\n        self.outputs.clear()\n"
    assert found(tmp_path / "a", model=model, base=made) == ["LM204 5"]
    assert found(tmp_path / "b", model=model, base=emptied) == []
    callback = (
        "class Free(pl.Callback):\n    def on_validation_end(self, trainer, module):\n"
        "        module.outputs.clear()\n"
    )
    assert found(tmp_path / "c", model=model, base=made, callback=callback) == []


def test_an_early_return_blocks_the_clear_and_names_its_line(tmp_path: Path) -> None:
    text = KEPT.format(
        value="self(batch)",
        read="if self.off:\n            return\n        print(torch.cat(self.outputs))",
        more="",
    )
    assert "returns early at a.py:15" in blocked(tmp_path, a=text)[0].replace("\\", "/").replace(
        str(tmp_path) + "/", ""
    )


def test_relations_are_told(tmp_path: Path) -> None:
    text = HEAD + KEPT.format(
        value="self(batch)", read="self.log('x', torch.cat(self.outputs).std())", more=""
    )
    projects.written(tmp_path, {"a.py": text})
    (diagnostic,) = projects.check(tmp_path, "LM204").diagnostics
    assert diagnostic.fix is not None
    assert diagnostic.fix.relation is Relation.CORRECTS
