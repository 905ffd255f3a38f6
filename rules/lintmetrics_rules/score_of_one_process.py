"""LM128: a score of the epoch that each process works out of its own samples."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model import devices, hooks
from lintmetrics.model.log_calls import LogCall, LogContext
from lintmetrics.model.values import Origin, numbers
from lintmetrics.rule import Consequence, Finding, Rule


class ScoreOfOneProcess(Rule):
    """A score that each process works out of its own samples, in a project with several devices.

    What the steps have gathered is a part of the samples, one part for each process. Without
    ``sync_dist=True`` the score of the first process is logged; with it, the mean of the scores,
    which is the score of nothing. A Metric object gathers the samples of all processes.

    Found where the Trainer that fits the module, or every Trainer of the project, is told of
    several devices or of a strategy for them.
    """

    code = "LM128"
    consequence = Consequence.WRONG_NUMBER
    source = (
        "executed on lightning 2.6.6 with 2 processes: F1 .857 of the first, .629 with sync_dist, "
        ".667 of all samples"
    )
    bad = """
    import lightning.pytorch as pl
    import torch
    from torchmetrics.functional.classification import binary_f1_score


    class Classifier(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net
            self.scores, self.labels = [], []

        def validation_step(self, batch, batch_idx):
            x, y = batch
            self.scores.append(self.net(x))
            self.labels.append(y)

        def on_validation_epoch_end(self):
            f1 = binary_f1_score(torch.cat(self.scores), torch.cat(self.labels))
            self.log("val_f1", f1, sync_dist=True)
            self.scores.clear()
            self.labels.clear()


    def evaluate(net, data):
        pl.Trainer(devices=2, strategy="ddp").validate(Classifier(net), datamodule=data)
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
            self.log("val_f1", self.val_f1)


    def evaluate(net, data):
        pl.Trainer(devices=2, strategy="ddp").validate(Classifier(net), datamodule=data)
    """

    def check(self, call: LogCall) -> Iterator[Finding]:
        """Find scores of an epoch that no mean over processes makes right."""
        if call.is_of_callback or call.argument("rank_zero_only") is not None:
            return
        ways = [(way, origin) for way in call.contexts for origin in _scores(way)]
        if not ways or not devices.is_distributed(call.cls) or devices.gathers(call.cls):
            return
        way, origin = ways[0]
        given = call.argument("sync_dist")
        is_mean = given is not None and getattr(given, "value", None) is not False
        yield Finding(
            call,
            f"{call.key_in([way])} is the mean over processes of {origin.label}, each of its own "
            "samples"
            if is_mean
            else f"{call.key_in([way])} is {origin.label} of the samples of the first process",
            help="update a Metric object in the step and log it: it gathers the samples of all",
        )


def _scores(way: LogContext) -> Iterator[Origin]:
    """Yield what makes a number of all samples that a hook has, at the end of an epoch."""
    if hooks.is_batch_hook(way.hook) or any(devices.asks_rank(test.node) for test in way.tests):
        return
    for number in numbers(way.value):
        for origin in number.origins:
            is_score = origin.kind == "functional" and not origin.averaged
            if is_score and origin.verdict in ("no", "weighted"):
                yield origin
