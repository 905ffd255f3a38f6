"""Hooks behind the step: called by it, or run when the batch ends."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

from hook_modules import blocked, migrated


def test_a_step_end_is_called_by_the_step(tmp_path: Path) -> None:
    assert migrated(
        tmp_path,
        a="""\
        class M(pl.LightningModule):
            def validation_step(self, batch, batch_idx):
                x, y = batch
                return self(x), y

            def validation_step_end(self, outputs):
                self.metric(*outputs)
                return outputs
        """,
    ) == dedent("""\
        class M(pl.LightningModule):
            def validation_step(self, batch, batch_idx):
                x, y = batch
                return self._validation_step_end((self(x), y))

            def _validation_step_end(self, outputs):
                self.metric(*outputs)
                return outputs
        """)


def test_a_step_end_without_result_leaves_the_output(tmp_path: Path) -> None:
    after = migrated(
        tmp_path,
        a="""\
        class M(pl.LightningModule):
            def test_step(self, batch, batch_idx):
                return self(batch)

            def test_step_end(self, output):
                self.metric(output)
        """,
    )
    assert (
        "        output = self(batch)\n        self._test_step_end(output)\n        return output\n"
    ) in after


def test_a_step_end_that_only_hands_on_goes(tmp_path: Path) -> None:
    after = migrated(
        tmp_path,
        a="""\
        class M(pl.LightningModule):
            def training_step(self, batch, batch_idx):
                return self.loss(batch)

            def training_step_end(self, outputs):
                return outputs
        """,
    )
    assert "step_end" not in after


def test_a_step_end_of_a_base_runs_at_the_end_of_the_batch(tmp_path: Path) -> None:
    after = migrated(
        tmp_path,
        a="""\
        class A(pl.LightningModule):
            def validation_step_end(self, outputs):
                self.metric.update(outputs)
                return outputs

            def validation_epoch_end(self, outputs):
                self.log("x", sum(outputs))
        """,
        b="""\
        from a import A

        class B(A):
            def validation_step(self, batch, batch_idx):
                return self(batch)
        """,
    )
    assert (
        "        outputs = self._validation_step_end(outputs)\n"
        "        if outputs is not None:\n"
        "            self.validation_step_outputs.append(outputs)\n"
    ) in after


def test_a_training_step_end_over_steps_elsewhere_is_blocked(tmp_path: Path) -> None:
    reasons = blocked(
        tmp_path,
        a="""\
        class A(pl.LightningModule):
            def training_step_end(self, outputs):
                return outputs.mean()

        class B(A):
            def training_step(self, batch, batch_idx):
                return self.loss(batch)
        """,
    )
    assert "training_step of B" in reasons[0]
