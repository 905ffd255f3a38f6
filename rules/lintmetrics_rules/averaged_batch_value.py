"""LM101: a metric's batch values are averaged over the epoch."""

from collections.abc import Iterator

from lintmetrics.model.log_calls import LogCall
from lintmetrics.rule import Consequence, Finding, Rule


class AveragedBatchValue(Rule):
    """Batch values of a metric function averaged into an epoch value.

    ``self.log`` averages what it is given over the batches of an epoch, weighted by batch size.
    That is right for accuracy or a mean loss. It is wrong for a metric that is no mean over
    samples: the mean of batch AUROCs or batch F1 scores is not the AUROC or F1 of the epoch, it
    moves with the batch size and with the order of the data.
    """

    code = "LM101"
    consequence = Consequence.WRONG_NUMBER
    source = (
        "measured: metric_decomposability.csv (torchmetrics 1.9.0); lightning 2.6.6, "
        "logger_connector/result.py, _ResultMetric"
    )
    bad = """
    import pytorch_lightning as pl
    from torchmetrics.functional import auroc


    class Classifier(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def validation_step(self, batch, batch_idx):
            x, y = batch
            score = self.net(x)
            self.log("val_auroc", auroc(score, y, task="binary"))
    """
    good = """
    import pytorch_lightning as pl
    from torchmetrics.classification import BinaryAUROC


    class Classifier(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net
            self.val_auroc = BinaryAUROC()

        def validation_step(self, batch, batch_idx):
            x, y = batch
            score = self.net(x)
            self.val_auroc.update(score, y)
            self.log("val_auroc", self.val_auroc)
    """

    def check(self, call: LogCall) -> Iterator[Finding]:
        """Find metric functions whose batch value reaches an epoch mean."""
        for origin, ways in call.averaged("functional"):
            if origin.verdict not in ("no", "weighted"):
                continue
            module, node = call.place(origin)
            yield Finding(
                call,
                f"{call.key_in(ways)} is the mean of batch values of {origin.label}, not its value "
                "on the epoch",
                help="update a TorchMetrics object in the step and log the object",
                node=node,
                module=module,
                detail=origin,
            )
