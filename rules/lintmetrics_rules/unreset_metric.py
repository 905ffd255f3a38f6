"""LM107: a Metric object computed by hand that still holds earlier epochs."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model import hooks
from lintmetrics.model.flow import LightningClass
from lintmetrics.model.held_metrics import HeldMetric, held_metrics
from lintmetrics.rule import Consequence, Finding, Rule

# Once for a run, or behind it: too seldom for an epoch.
_ONCE = frozenset(
    (
        *("__init__", "setup", "configure_model", "teardown", "on_fit_start", "on_fit_end"),
        *("on_train_start", "on_train_end", "on_sanity_check_start", "on_sanity_check_end"),
    )
)
_BEFORE_TRAINING = frozenset(("on_train_start", "on_sanity_check_end"))
_BEHIND_VALIDATION = frozenset(("on_train_epoch_end", "training_epoch_end"))


class UnresetMetric(Rule):
    """A Metric object that is computed by hand and never reset.

    Lightning resets the objects that it is given to log. One whose ``compute()`` is called at the
    end of the epoch keeps its state: the next epoch counts the last ones again, and the first one
    counts the sanity check.
    """

    code = "LM107"
    consequence = Consequence.WRONG_NUMBER
    source = (
        "executed on lightning 2.6.6 and torchmetrics 1.9.0: 1.628, 2.492, 3.416 in three epochs "
        "whose means are 1.946, 3.892, 5.837"
    )
    bad = """
    import lightning.pytorch as pl
    from torchmetrics.classification import BinaryF1Score


    class Classifier(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net
            self.val_f1 = BinaryF1Score()

        def validation_step(self, batch, batch_idx):
            x, y = batch
            self.val_f1.update(self.net(x), y)

        def on_validation_epoch_end(self):
            self.log("val_f1", self.val_f1.compute())
    """
    good = """
    import lightning.pytorch as pl
    from torchmetrics.classification import BinaryF1Score


    class Classifier(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net
            self.val_f1 = BinaryF1Score()

        def validation_step(self, batch, batch_idx):
            x, y = batch
            self.val_f1.update(self.net(x), y)

        def on_validation_epoch_end(self):
            self.log("val_f1", self.val_f1.compute())
            self.val_f1.reset()
    """

    def check(self, model: LightningClass) -> Iterator[Finding]:
        """Find objects that steps feed, an epoch end computes and nothing resets in between."""
        if not (model.cls.is_lightning or model.cls.is_kind("Callback")):
            return
        for held in held_metrics(model):
            if not held.mentions:
                continue  # A callback has put it into the module.
            for stage in ("train", "val"):
                computes = [u for u in held.epoch_computes if hooks.stage_of(u.hook) == stage]
                if not computes or not held.feeds(stage):
                    continue
                what = _what_remains(held, stage, computes[-1].hook)
                if what:
                    yield Finding(
                        model,
                        f"self.{held.path} is {what}",
                        help=f"end {computes[-1].hook} with self.{held.path}.reset()"
                        if held.is_single
                        else f"end {computes[-1].hook} with a reset() of each",
                        node=computes[-1].node,
                        module=computes[-1].module,
                        detail=held,
                        keys=tuple(key for key in held.keys if key[0] == stage),
                    )


def _what_remains(held: HeldMetric, stage: str, hook: str) -> str:
    """Return when the object is reset and what it counts too much; empty when all is well."""
    if held.speaks_of_whole_run or held.is_logged or not held.is_followed:
        return ""
    again = f"{hook} counts earlier epochs again"
    live = [reset.where for reset in held.resets if not reset.is_dead]
    dead = [reset.where for reset in held.resets if reset.is_dead]
    in_time = [
        name for name in live if name not in _ONCE and hooks.stage_of(name or "on_train") != "test"
    ]
    if not in_time:
        if dead:
            return f"only reset in {dead[0]}, which Lightning 2 never calls; {again}"
        seldom = next((name for name in live if name in _ONCE and name != "__init__"), "")
        return f"only reset in {seldom}; {again}" if seldom else f"never reset; {again}"
    late = stage == "val" and set(in_time) <= _BEHIND_VALIDATION
    if late and not _BEFORE_TRAINING & set(live):
        return f"only reset in {in_time[0]}; the first {hook} counts the sanity check too"
    return ""
