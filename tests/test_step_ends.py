"""Hooks behind the step: called by it, or run when the batch ends."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest
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


HELPED = """\
class Base(pl.LightningModule):
    def test_step_end(self, outputs):
        {}
        return outputs

    @staticmethod
    def _scores(found):
        found["score"] = found["map"].max()


class Model(Base):
    def test_step(self, batch, batch_idx):
        return {{"map": self(batch)}}


class Shown(pl.Callback):
    def on_test_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        print(outputs["map"])
"""


@pytest.mark.parametrize(
    "line", ["self._scores(outputs)", "outputs['n'] = 1", "outputs.update(n=1)", "del outputs['n']"]
)
def test_what_a_callback_reads_is_not_changed_behind_it(line: str, tmp_path: Path) -> None:
    (reason,) = blocked(tmp_path, a=HELPED.format(line))
    assert "changes the outputs that Shown.on_test_batch_end at" in reason
    assert migrated(tmp_path, a=HELPED.format(line)) == HELPED.format(line)


@pytest.mark.parametrize("line", ["print(outputs['map'])", "self.metric.update(outputs['map'])"])
def test_a_step_end_that_only_reads_may_follow_the_callbacks(line: str, tmp_path: Path) -> None:
    text = HELPED.format(line)
    assert blocked(tmp_path, a=text) == []
    assert "self._test_step_end(outputs)" in migrated(tmp_path, a=text)


def test_what_no_callback_reads_is_changed_at_the_end_of_the_batch(tmp_path: Path) -> None:
    text = HELPED.format("self._scores(outputs)").replace('print(outputs["map"])', "print(batch)")
    assert "outputs = self._test_step_end(outputs)" in migrated(tmp_path, a=text)
