"""Hooks for the end of an epoch that share code: other stages, bases, subclasses, half-migrated."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

from hook_modules import blocked, migrated

# One stage for another ----------------------------------------------------------------------------


def test_aliases_stay_aliases(tmp_path: Path) -> None:
    assert migrated(
        tmp_path,
        a="""\
        class M(pl.LightningModule):
            def __init__(self):
                super().__init__()

            def validation_step(self, batch, batch_idx):
                return self.loss(batch)

            test_step = validation_step

            def validation_epoch_end(self, outputs):
                self.log("loss", sum(outputs))

            test_epoch_end = validation_epoch_end
        """,
    ) == dedent("""\
        class M(pl.LightningModule):
            def __init__(self):
                super().__init__()
                self.validation_step_outputs = []

            def validation_step(self, batch, batch_idx):
                output = self.loss(batch)
                self.validation_step_outputs.append(output)
                return output

            test_step = validation_step

            def on_validation_epoch_end(self):
                self.log("loss", sum(self.validation_step_outputs))
                self.validation_step_outputs.clear()

            on_test_epoch_end = on_validation_epoch_end
        """)


def test_a_stage_that_hands_everything_on_shares_the_list(tmp_path: Path) -> None:
    after = migrated(
        tmp_path,
        a="""\
        class M(pl.LightningModule):
            def validation_step(self, batch, batch_idx):
                return self.loss(batch)

            def validation_epoch_end(self, outputs):
                self.log("loss", sum(outputs))

            def test_step(self, batch, batch_idx):
                return self.validation_step(batch, batch_idx)

            def test_epoch_end(self, outputs):
                return self.validation_epoch_end(outputs)
        """,
    )
    assert after.count(".append(") == 1
    assert (
        "    def on_test_epoch_end(self):\n        return self.on_validation_epoch_end()\n" in after
    )


def test_a_step_called_by_another_does_not_collect_twice(tmp_path: Path) -> None:
    after = migrated(
        tmp_path,
        a="""\
        class M(pl.LightningModule):
            def validation_step(self, batch, batch_idx):
                return self.loss(batch)

            def validation_epoch_end(self, outputs):
                self.log("loss", sum(outputs))

            def test_step(self, batch, batch_idx):
                return self.validation_step(batch, batch_idx)
        """,
    )
    assert (
        "def on_validation_batch_end(self, outputs, batch, batch_idx, dataloader_idx=0):" in after
    )
    assert "        return self.loss(batch)\n" in after


# Hooks that are there already ---------------------------------------------------------------------


def test_the_old_hook_runs_before_the_new_one_of_the_same_class(tmp_path: Path) -> None:
    after = migrated(
        tmp_path,
        a="""\
        class M(pl.LightningModule):
            def validation_epoch_end(self, outputs):
                self.total = 1.0

            def on_validation_epoch_end(self):
                self.log("total", self.total)
        """,
    )
    assert "    def _validation_epoch_end(self):\n        self.total = 1.0\n" in after
    assert "        self._validation_epoch_end()\n        self.log(" in after


def test_a_new_hook_of_a_subclass_keeps_calling_the_old_one(tmp_path: Path) -> None:
    after = migrated(
        tmp_path,
        a="class A(pl.LightningModule):\n"
        "    def validation_epoch_end(self, outputs):\n        self.total = 1.0\n",
        b="from a import A\n\nclass B(A):\n"
        "    def on_validation_epoch_end(self):\n        self.log('total', self.total)\n",
    )
    assert "        super().on_validation_epoch_end()\n        self.log('total'" in after


def test_a_batch_end_that_is_there_collects(tmp_path: Path) -> None:
    after = migrated(
        tmp_path,
        a="""\
        class M(pl.LightningModule):
            def validation_step(self, *args):
                return self.shared(*args)

            def shared(self, batch, batch_idx):
                if batch_idx:
                    return self.loss(batch)

            def on_validation_batch_end(self, out, batch, batch_idx, dataloader_idx=0):
                \"\"\"Count.\"\"\"
                self.count += 1

            def validation_epoch_end(self, outputs):
                self.log("loss", torch.stack(outputs).sum())
        """,
    )
    assert (
        '        """Count."""\n'
        "        if out is not None:\n"
        "            self.validation_step_outputs.append(out)\n"
        "        self.count += 1\n"
    ) in after


# Half-migrated ------------------------------------------------------------------------------------


def test_a_parameter_that_nobody_fills_goes(tmp_path: Path) -> None:
    after = migrated(
        tmp_path,
        a="""\
        class M(pl.LightningModule):
            def __init__(self):
                super().__init__()
                self.validation_step_outputs = []

            def validation_step(self, batch, batch_idx):
                loss = self.loss(batch)
                self.validation_step_outputs.append(loss)
                return loss

            def on_validation_epoch_end(self, outputs):
                self.log("loss", sum(outputs))
        """,
    )
    assert after.count("self.validation_step_outputs = []") == 1
    assert after.count(".append(") == 1
    assert '        self.log("loss", sum(self.validation_step_outputs))\n' in after


def test_a_list_in_a_base_that_took_the_hooks_place_is_used(tmp_path: Path) -> None:
    after = migrated(
        tmp_path,
        a="""\
        class A(pl.LightningModule):
            def __init__(self):
                super().__init__()
                self.validation_step_outputs = []

            def on_validation_epoch_end(self):
                self.log("a", sum(self.validation_step_outputs))
                self.validation_step_outputs.clear()

        class B(A):
            def validation_step(self, batch, batch_idx):
                return self.loss(batch)

            def validation_epoch_end(self, outputs):
                self.log("b", sum(outputs))
        """,
    )
    assert after.count("self.validation_step_outputs = []") == 1
    assert "super().on_validation_epoch_end" not in after
    assert after.count(".append(output)") == 1


HALF_MOVED = """\
class A(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.validation_step_outputs = []

    def on_validation_batch_end(self, outputs, batch, batch_idx, dataloader_idx=0):
        if outputs is not None:
            self.validation_step_outputs.append(outputs)

    def validation_epoch_end(self, outputs):
        self.log("a", sum(outputs))

class B(A):
    def on_validation_epoch_end(self):
        self.log("b", sum(self.validation_step_outputs))
        self.validation_step_outputs.clear()

class C(B):
    def on_validation_epoch_end(self):
        outputs = list(self.validation_step_outputs)
        self.validation_step_outputs.clear()
        self._validation_epoch_end(outputs)

    def _validation_epoch_end(self, outputs):
        self.log("c", sum(outputs))

class D(C):
    def on_validation_epoch_end(self):
        super().on_validation_epoch_end()
        self.log("d", 1.0)
"""


def test_a_base_follows_subclasses_that_have_moved(tmp_path: Path) -> None:
    after = migrated(tmp_path, a=HALF_MOVED)
    old, new = after.split("class B(A)"), HALF_MOVED.split("class B(A)")
    assert old[1] == new[1]
    assert old[0] == new[0].replace(
        '    def validation_epoch_end(self, outputs):\n        self.log("a", sum(outputs))\n',
        "    def on_validation_epoch_end(self):\n"
        '        self.log("a", sum(self.validation_step_outputs))\n'
        "        self.validation_step_outputs.clear()\n",
    )


# Families of hooks --------------------------------------------------------------------------------


def test_a_base_that_reads_nothing_leaves_the_list_to_its_subclass(tmp_path: Path) -> None:
    after = migrated(
        tmp_path,
        a="""\
        class A(pl.LightningModule):
            def validation_step(self, batch, batch_idx):
                return self.loss(batch)

            def validation_epoch_end(self, outputs):
                self.log("a", 1.0)

        class B(A):
            def validation_epoch_end(self, outputs):
                super().validation_epoch_end(outputs)
                self.log("b", sum(outputs))
        """,
    )
    assert after.count("self.validation_step_outputs = []") == 1
    assert after.index("class B") < after.index("self.validation_step_outputs = []")
    assert after.count(".clear()") == 1
    assert "        super().on_validation_epoch_end()\n        self.log(" in after


def test_hooks_that_override_each_other_all_run_what_ran_besides_them(tmp_path: Path) -> None:
    after = migrated(
        tmp_path,
        a="""\
        class A(pl.LightningModule):
            def test_epoch_end(self, outputs):
                self.log("a", 1.0)

            def on_test_epoch_end(self):
                self.log("on_a", 1.0)

        class B(A):
            def on_test_epoch_end(self):
                self.log("on_b", 1.0)
        """,
    )
    assert after.count("        self._test_epoch_end()\n        self.log(") == 2


def test_a_hook_of_a_base_that_may_have_taken_the_place_is_left_to_a_person(
    tmp_path: Path,
) -> None:
    (told,) = blocked(
        tmp_path,
        a="""\
        class A(pl.LightningModule):
            def on_validation_epoch_end(self):
                self.log("a", 1.0)

        class B(A):
            def validation_epoch_end(self, outputs):
                self.log("b", 1.0)
        """,
    )
    assert "A.on_validation_epoch_end at " in told


def test_a_call_does_not_reach_a_hook_that_only_ran_besides(tmp_path: Path) -> None:
    after = migrated(
        tmp_path,
        a="""\
        class A(pl.LightningModule):
            def validation_epoch_end(self, outputs):
                self.log("a", 1.0)

            def test_epoch_end(self, outputs):
                self.validation_epoch_end(outputs)

        class B(A):
            def on_validation_epoch_end(self):
                self.log("b", 1.0)
        """,
    )
    assert "    def on_test_epoch_end(self):\n        self._validation_epoch_end()\n" in after
    assert '        super().on_validation_epoch_end()\n        self.log("b"' in after.replace(
        "'", '"'
    )


def test_an_alias_that_cannot_share_its_list_is_left_to_a_person(tmp_path: Path) -> None:
    reasons = blocked(
        tmp_path,
        a="""\
        class A(pl.LightningModule):
            def validation_step(self, batch, batch_idx):
                return self.loss(batch)

            def validation_epoch_end(self, outputs):
                self.log("a", sum(outputs))

        class B(A):
            def validation_epoch_end(self, outputs):
                self.log("b", sum(outputs))
                super().validation_epoch_end(outputs)

            test_epoch_end = validation_epoch_end
        """,
    )
    assert "the alias B.test_epoch_end" in reasons[0]
