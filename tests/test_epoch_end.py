"""Hooks that took the outputs of an epoch: found wherever they are, moved with all that calls them.

Each expected text was run: the module before on lightning 1.9.5, the one after on 2.6.6, with the
same logged numbers.
"""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest
from hook_modules import blocked, found, migrated

# What is found ------------------------------------------------------------------------------------


def test_any_signature_and_an_alias_are_found(tmp_path: Path) -> None:
    assert found(
        tmp_path,
        a="""\
        class M(pl.LightningModule):
            def training_epoch_end(self, *args, **kwargs):
                pass
            def validation_epoch_end(self, outs: list) -> None:
                pass
            test_epoch_end = validation_epoch_end
        """,
    ) == ["LM201 2", "LM201 4", "LM201 6"]


def test_a_class_known_only_through_another_file_and_a_mixin_are_found(tmp_path: Path) -> None:
    files = {
        "base": "class Base(pl.LightningModule):\n    pass\n",
        "mixin": "class Mixin:\n    def test_epoch_end(self, outputs):\n        pass\n",
        "model": "from base import Base\nfrom mixin import Mixin\n\n"
        "class M(Mixin, Base):\n    def validation_epoch_end(self, outputs):\n        pass\n",
    }
    assert found(tmp_path, **files) == ["LM201 2", "LM201 5"]


def test_look_alikes_are_quiet(tmp_path: Path) -> None:
    assert (
        found(
            tmp_path,
            a="""\
            class Adapter:
                def validation_epoch_end(self, outputs):
                    return len(outputs)

            class Probe(pl.Callback):
                def on_validation_epoch_end(self, trainer, module):
                    pass
                def validation_epoch_end(self, outputs):
                    pass

            class M(pl.LightningModule):
                validation_epoch_end = None
                def on_validation_epoch_end(self, split="val"):
                    self.log(split, 1.0)
                def on_train_epoch_end(self, *args, **kwargs):
                    pass
            """,
        )
        == []
    )


# Outputs that are not used ------------------------------------------------------------------------


def test_unused_outputs_make_a_plain_rename(tmp_path: Path) -> None:
    assert migrated(
        tmp_path,
        a="""\
            class M(pl.LightningModule):
                def training_epoch_end(
                    self, outputs: list
                ) -> None:
                    \"\"\"Log the metrics; outputs are left alone.\"\"\"
                    # the epoch is over
                    self.log_dict(self.metrics.compute())

                def validation_epoch_end(self, *args, **kwargs):  # noqa: D102
                    self.log("x", 1.0)
            """,
    ) == dedent("""\
            class M(pl.LightningModule):
                def on_train_epoch_end(self) -> None:
                    \"\"\"Log the metrics; outputs are left alone.\"\"\"
                    # the epoch is over
                    self.log_dict(self.metrics.compute())

                def on_validation_epoch_end(self):  # noqa: D102
                    self.log("x", 1.0)
            """)


def test_super_calls_that_only_hand_outputs_on_lose_them(tmp_path: Path) -> None:
    assert migrated(
        tmp_path,
        a="""\
        class A(pl.LightningModule):
            def validation_epoch_end(self, outputs):
                self.log("a", 1.0)

        class B(A):
            def validation_epoch_end(self, outputs):
                super().validation_epoch_end(outputs)
                self.log("b", 1.0)
        """,
    ) == dedent("""\
        class A(pl.LightningModule):
            def on_validation_epoch_end(self):
                self.log("a", 1.0)

        class B(A):
            def on_validation_epoch_end(self):
                super().on_validation_epoch_end()
                self.log("b", 1.0)
        """)


def test_a_super_call_to_lightning_itself_goes(tmp_path: Path) -> None:
    assert migrated(
        tmp_path,
        a="""\
        class A(pl.LightningModule):
            def training_epoch_end(self, outputs):
                self.log("a", 1.0)
                return super().training_epoch_end(outputs)

            def test_epoch_end(self, outputs):
                if self.quiet:
                    return super().test_epoch_end(outputs)
                self.log("b", 1.0)
        """,
    ) == dedent("""\
        class A(pl.LightningModule):
            def on_train_epoch_end(self):
                self.log("a", 1.0)

            def on_test_epoch_end(self):
                if self.quiet:
                    return
                self.log("b", 1.0)
        """)


# Outputs that are used ----------------------------------------------------------------------------


def test_the_step_collects_and_the_hook_empties(tmp_path: Path) -> None:
    assert migrated(
        tmp_path,
        a="""\
        class M(pl.LightningModule):
            def __init__(self):
                super().__init__()
                self.layer = torch.nn.Linear(2, 1)

            def validation_step(self, batch, batch_idx):
                if batch_idx == 0:
                    return
                x, y = batch
                return {"loss": self.loss(x, y), "n": len(x)}

            def validation_epoch_end(self, outs):
                self.log("loss", sum(o["loss"] for o in outs))
        """,
    ) == dedent("""\
        class M(pl.LightningModule):
            def __init__(self):
                super().__init__()
                self.validation_step_outputs = []
                self.layer = torch.nn.Linear(2, 1)

            def validation_step(self, batch, batch_idx):
                if batch_idx == 0:
                    return
                x, y = batch
                output = {"loss": self.loss(x, y), "n": len(x)}
                self.validation_step_outputs.append(output)
                return output

            def on_validation_epoch_end(self):
                self.log("loss", sum(o["loss"] for o in self.validation_step_outputs))
                self.validation_step_outputs.clear()
        """)


@pytest.mark.parametrize(
    "body",
    [
        "if not outputs:\n    return\nself.log('n', float(len(outputs)))",
        "outputs = self.all_gather(outputs)\nself.log('n', float(len(outputs)))",
        "self.last = outputs",
        "self.report(lambda: outputs)",
        "self.report(outputs)",
        "return outputs",
    ],
    ids=["early return", "rebound", "escapes", "closure", "handed on", "returned"],
)
def test_a_body_that_is_not_simple_keeps_every_byte(tmp_path: Path, body: str) -> None:
    lines = [f"        {line}\n" for line in body.split("\n")]
    text = (
        "class M(pl.LightningModule):\n"
        "    def validation_step(self, batch, batch_idx):\n"
        "        return self.loss(batch)\n"
        "    def validation_epoch_end(self, outputs):\n"
    ) + "".join(lines)
    after = migrated(tmp_path, a=text)
    copied = (
        "    def on_validation_epoch_end(self):\n"
        "        outputs = list(self.validation_step_outputs)\n"
        "        self.validation_step_outputs.clear()\n"
    )
    assert copied + "".join(lines) in after


def test_training_outputs_are_dicts_without_graph(tmp_path: Path) -> None:
    after = migrated(
        tmp_path,
        a="""\
        class M(pl.LightningModule):
            def training_step(self, batch, batch_idx):
                loss = self.loss(batch)
                self.log("loss", loss)
                return loss

            def training_epoch_end(self, outputs):
                self.log("sum", sum(o["loss"] for o in outputs))
        """,
    )
    assert (
        'self.training_step_outputs.append({"loss": loss.detach()})\n        return loss' in after
    )


def test_training_outputs_of_unknown_shape_are_taken_where_lightning_gives_them(
    tmp_path: Path,
) -> None:
    after = migrated(
        tmp_path,
        a="""\
        class M(pl.LightningModule):
            def training_step(self, batch, batch_idx):
                return self.shared(batch)

            def training_epoch_end(self, outputs):
                self.log("sum", sum(o["loss"] for o in outputs))
        """,
    )
    assert "    def on_train_batch_end(self, outputs, batch, batch_idx):\n" in after
    assert "        if outputs:\n            self.training_step_outputs.append(\n" in after
    assert "        return self.shared(batch)\n" in after


def test_several_dataloaders_keep_a_list_for_each(tmp_path: Path) -> None:
    after = migrated(
        tmp_path,
        a="""\
        class M(pl.LightningModule):
            def validation_step(self, batch, batch_idx, dataloader_idx=0):
                return self.loss(batch)

            def validation_epoch_end(self, outputs):
                for index, losses in enumerate(outputs):
                    self.log(f"loss{index}", sum(losses))
        """,
    )
    assert "if len(self.trainer.num_val_batches) > 1:" in after
    assert "        return self.loss(batch)\n" in after


def test_a_body_that_only_fits_one_dataloader_makes_a_flat_list(tmp_path: Path) -> None:
    after = migrated(
        tmp_path,
        a="""\
        class M(pl.LightningModule):
            def validation_step(self, batch, batch_idx, dataloader_idx=0):
                return {"loss": self.loss(batch)}

            def validation_epoch_end(self, outputs):
                self.log("loss", sum(o["loss"] for o in outputs))
        """,
    )
    assert "num_val_batches" not in after
    assert "self.validation_step_outputs.append(output)" in after


def test_one_class_of_a_hierarchy_collects_for_all(tmp_path: Path) -> None:
    after = migrated(
        tmp_path,
        a="""\
        class A(pl.LightningModule):
            def validation_step(self, batch, batch_idx):
                return self.loss(batch)

            def validation_epoch_end(self, outputs):
                self.log("a", sum(outputs))
        """,
        b="""\
        from a import A

        class B(A):
            def validation_step(self, batch, batch_idx):
                return super().validation_step(batch, batch_idx) * 2

            def validation_epoch_end(self, outputs):
                self.log("b", float(len(outputs)))

        class C(A):
            def validation_epoch_end(self, outputs):
                self.log("c", 1.0)
        """,
    )
    assert after.count("self.validation_step_outputs = []") == 1
    assert after.count(".append(outputs)") == 1
    assert after.count(".append(") == 1
    assert after.count(".clear()") == 3


def test_a_chain_leaves_the_list_to_its_base(tmp_path: Path) -> None:
    after = migrated(
        tmp_path,
        a="""\
        class A(pl.LightningModule):
            def validation_step(self, batch, batch_idx):
                return self.loss(batch)

            def validation_epoch_end(self, outputs):
                self.log("a", sum(outputs))

        class B(A):
            def validation_epoch_end(self, outputs):
                self.log("b", max(outputs))
                super().validation_epoch_end(outputs)
        """,
    )
    assert (
        dedent("""\
        class B(A):
            def on_validation_epoch_end(self):
                outputs = list(self.validation_step_outputs)
                self.log("b", max(outputs))
                super().on_validation_epoch_end()
        """)
        in after
    )
    assert after.count(".clear()") == 1


def test_outputs_made_for_a_call_stay_with_a_private_method(tmp_path: Path) -> None:
    after = migrated(
        tmp_path,
        a="""\
        class A(pl.LightningModule):
            def validation_step(self, batch, batch_idx):
                return self.loss(batch)

            def validation_epoch_end(self, outputs):
                self.log("a", sum(outputs))
                return len(outputs)

        class B(A):
            def validation_epoch_end(self, outputs):
                count = super().validation_epoch_end([o[0] for o in outputs])
                self.log("n", float(count))
        """,
    )
    assert after.count("def on_validation_epoch_end(self):") == 1
    assert after.count("def _validation_epoch_end(self, outputs):") == 2
    assert "count = super()._validation_epoch_end([o[0] for o in outputs])" in after


# What cannot be decided ---------------------------------------------------------------------------


def test_what_blocks_is_named_with_its_line(tmp_path: Path) -> None:
    reasons = blocked(
        tmp_path,
        a="""\
        class M(pl.LightningModule):
            def training_step(self, batch, batch_idx, optimizer_idx):
                return self.loss(batch)

            def training_epoch_end(self, outputs):
                self.log("x", sum(o["loss"] for o in outputs))

            def validation_epoch_end(self, outputs):
                self.log("x", 1.0)

        def by_hand(model: M):
            model.validation_epoch_end([])
        """,
    )
    assert len(reasons) == 2
    assert "`optimizer_idx` at " in reasons[0]
    assert "a.py:6" in reasons[0]
    assert "`model.validation_epoch_end` at " in reasons[1]
    assert "a.py:16" in reasons[1]


def test_a_mixin_without_init_of_its_own_is_blocked(tmp_path: Path) -> None:
    reasons = blocked(
        tmp_path,
        a="""\
        class Mixin:
            def validation_epoch_end(self, outputs):
                self.log("x", sum(outputs))

        class M(Mixin, pl.LightningModule):
            def validation_step(self, batch, batch_idx):
                return self.loss(batch)
        """,
    )
    assert "is a mixin" in reasons[0]


# Types --------------------------------------------------------------------------------------------


def test_the_output_type_goes_with_its_import(tmp_path: Path) -> None:
    after = migrated(
        tmp_path,
        a="""\
        from pytorch_lightning.utilities.types import EPOCH_OUTPUT, STEP_OUTPUT

        class M(pl.LightningModule):
            def validation_epoch_end(self, outputs: EPOCH_OUTPUT) -> None:
                self.log("x", 1.0)

        def count(outputs: "EPOCH_OUTPUT") -> int:
            return len(outputs)
        """,
    )
    assert "EPOCH_OUTPUT" not in after
    assert "import STEP_OUTPUT\n" in after
    assert 'outputs: "list"' in after
