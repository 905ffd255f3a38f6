"""LM607: a logged Metric object that Lightning does not find in the module."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model.log_calls import LogCall
from lintmetrics.model.unfound_metrics import unfound
from lintmetrics.rule import Consequence, Finding, Rule


class UnfoundMetric(Rule):
    """Logged Metric objects that are no part of the module.

    Lightning computes and resets a logged object by the name it has in the module, and looks it up
    once. An object that a callback holds has none, nor has a clone, nor one that each epoch makes
    anew, and ``self.log`` raises. A callback logs what its object computes, and resets it.
    """

    code = "LM607"
    consequence = Consequence.CRASH
    since = "lightning 1.4"
    source = (
        "lightning 2.6.6, core/module.py, LightningModule.log, run: MisconfigurationException, "
        "`Could not find the LightningModule attribute`"
    )
    bad = """
    import lightning.pytorch as pl
    from torchmetrics.classification import BinaryF1Score


    class ScoreOnTheSide(pl.Callback):
        def __init__(self):
            self.f1 = BinaryF1Score()

        def on_validation_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            self.f1.update(outputs["scores"].cpu(), outputs["targets"].cpu())
            pl_module.log("val_f1", self.f1)
    """
    good = """
    import lightning.pytorch as pl
    from torchmetrics.classification import BinaryF1Score


    class ScoreOnTheSide(pl.Callback):
        def __init__(self):
            self.f1 = BinaryF1Score()

        def on_validation_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            self.f1.update(outputs["scores"].cpu(), outputs["targets"].cpu())

        def on_validation_epoch_end(self, trainer, pl_module):
            pl_module.log("val_f1", self.f1.compute())
            self.f1.reset()
    """

    def check(self, call: LogCall) -> Iterator[Finding]:
        """Find objects that are logged and held by nothing, or by a callback."""
        why = unfound(call)
        if why is not None:
            yield Finding(
                call,
                f"{call.key} is a Metric object that {why}; Lightning does not find it in the "
                "module and raises",
                help="log its compute() at the end of the epoch and reset it"
                if call.is_of_callback
                else "make it an attribute of the module in __init__, and use that",
                node=call.value_node,
                blocked="where the object belongs, and what else uses it, is for you to say",
            )
