"""LM102: what a Metric object answers on a batch is averaged over the epoch."""

from collections.abc import Iterator

from lintmetrics.model.log_calls import LogCall
from lintmetrics.rule import Consequence, Finding, Rule


class AveragedForwardValue(Rule):
    """Answers of a Metric object averaged instead of the object logged.

    Calling a Metric object returns its value on that batch alone. ``self.log`` is then given a
    plain tensor and averages it over the epoch: the state that the object gathered is neither
    used nor reset. The mean of batch F1 scores is not the F1 of the epoch.
    """

    code = "LM102"
    consequence = Consequence.WRONG_NUMBER
    source = (
        "measured on lightning 2.6.6 and torchmetrics 1.9.0: AUROC .7229 logged, .6610 true; "
        "Metric.forward and logger_connector/result.py, _ResultMetric"
    )
    bad = """
    import pytorch_lightning as pl
    from torchmetrics.classification import BinaryF1Score


    class Classifier(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net
            self.val_f1 = BinaryF1Score()

        def validation_step(self, batch, batch_idx):
            x, y = batch
            self.log("val_f1", self.val_f1(self.net(x), y))
    """
    good = """
    import pytorch_lightning as pl
    from torchmetrics.classification import BinaryF1Score


    class Classifier(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net
            self.val_f1 = BinaryF1Score()

        def validation_step(self, batch, batch_idx):
            x, y = batch
            self.val_f1(self.net(x), y)
            self.log("val_f1", self.val_f1)
    """

    def check(self, call: LogCall) -> Iterator[Finding]:
        """Find Metric objects whose answers on batches reach an epoch mean."""
        for origin, ways in call.averaged("forward"):
            metric = origin.metric
            if metric is None or origin.verdict not in ("no", "weighted"):
                continue
            name = call.name_of(origin)
            module, node = call.place(origin)
            if call.is_of_callback:
                # Lightning finds no object that a callback holds, and raises (lightning 2.6.6).
                help = f"update {name} here; log {name}.compute() and reset it at the epoch's end"
            else:
                help = f"call {name} in the step and log the object itself in place of its answer"
            yield Finding(
                call,
                f"{call.key_in(ways)} is the mean of what {name} answers on each batch, not its "
                "value on the epoch",
                help=help,
                node=node,
                module=module,
                detail=origin,
            )
