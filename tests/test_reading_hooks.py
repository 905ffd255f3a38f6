"""Cases that reading reports on real packages brought up: hooks that Lightning 2 lacks."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import projects

from lintmetrics.codemod import Relation

SAFE = frozenset((Relation.PRESERVES, Relation.CORRECTS))

STEP_END = """
import pytorch_lightning as pl


class Base(pl.LightningModule):
    def validation_step_end(self, outputs):
        outputs["score"] = outputs["map"].amax(1)
        return outputs


class Model(Base):
    def validation_step(self, batch, batch_idx):
        return {"map": self(batch)}
"""


def test_a_callback_that_reads_outputs_earlier_is_told(tmp_path: Path) -> None:
    callback = """
    from pytorch_lightning import Callback


    class Collect(Callback):
        def on_validation_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            self.scores.append(outputs["score"])
    """
    projects.written(tmp_path, {"model.py": STEP_END, "callback.py": callback})
    projects.fix(tmp_path, "LM202", relations=SAFE)
    assert (tmp_path / "model.py").read_text() == STEP_END
    (finding,) = projects.check(tmp_path, "LM202").diagnostics
    assert finding.fix is not None
    assert "Collect.on_validation_batch_end" in finding.fix.message


def test_a_callback_that_only_counts_batches_changes_nothing(tmp_path: Path) -> None:
    callback = """
    from pytorch_lightning import Callback


    class Count(Callback):
        def on_validation_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            self.batches += 1
    """
    projects.written(tmp_path, {"model.py": STEP_END, "callback.py": callback})
    projects.fix(tmp_path, "LM202", relations=SAFE)
    assert "on_validation_batch_end" in (tmp_path / "model.py").read_text()
