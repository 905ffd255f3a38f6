"""LM104: a root, exponential or ratio of batch means is averaged over the epoch."""

import re
from collections.abc import Iterator

from lintmetrics.model.log_calls import LogCall
from lintmetrics.model.values import Origin
from lintmetrics.rule import Consequence, Finding, Rule

_FORMULAS = {
    "square root": "the root of a batch mean",
    "exponential": "the exponential of a batch mean",
    "logarithm": "the logarithm of a batch mean",
    "ratio of counts": "a ratio of batch counts",
    "ratio of sums": "a ratio of batch sums",
    "ratio of means": "a ratio of batch means",
}
# A ratio whose denominator the model did not see through may be a mean over masked elements,
# which is what its author wants to average. These words name ratios that are not.
_RATIO = re.compile(
    r"(?:^|[^a-z])(?:f_?1|f_?beta|fscore|prec|precision|ppv|npv|recall|sens|sensitivity|spec|"
    r"specificity|tpr|fpr|tnr|fnr|far|frr|iou|miou|jaccard|dice|dsc|mcc|kappa|"
    r"r_?2|r_?sq|r_?squared|nse)"
    r"(?:$|[^a-z]|score|coef)",
    re.I,
)


class NonlinearBatchMean(Rule):
    """Roots, exponentials and ratios of batch means averaged into an epoch value.

    The mean over batches of a square root, exponential or ratio is not the root, exponential or
    ratio of the epoch: RMSE, perplexity, precision, recall, F1 and IoU come out wrong, and move
    with the batch size. Average what is linear, and apply the formula once at the end.
    """

    code = "LM104"
    consequence = Consequence.WRONG_NUMBER
    source = (
        "measured on lightning 2.6.6: RMSE 1.0599 logged, 1.2347 true; perplexity 555.12 logged, "
        "6.9988 true"
    )
    bad = """
    import pytorch_lightning as pl
    import torch
    import torch.nn.functional as F


    class Regressor(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def validation_step(self, batch, batch_idx):
            x, y = batch
            self.log("val_rmse", torch.sqrt(F.mse_loss(self.net(x), y)))
    """
    good = """
    import pytorch_lightning as pl
    import torch
    import torch.nn.functional as F
    from torchmetrics import MeanSquaredError


    class Regressor(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net
            self.val_rmse = MeanSquaredError(squared=False)

        def validation_step(self, batch, batch_idx):
            x, y = batch
            self.val_rmse.update(self.net(x), y)
            self.log("val_rmse", self.val_rmse)
    """

    def check(self, call: LogCall) -> Iterator[Finding]:
        """Find formulas of batch means that reach an epoch mean."""
        for origin, ways in call.averaged("formula"):
            key = call.key_in(ways)
            if origin.verdict == "exact" or not _is_meant(origin, key):
                continue
            module, node = call.place(origin)
            yield Finding(
                call,
                f"{key} averages {_FORMULAS[origin.name]}, which is not its value on the epoch",
                help=_help(origin),
                node=node,
                module=module,
                detail=origin,
            )


def _is_meant(origin: Origin, key: str) -> bool:
    if origin.name.startswith("ratio"):
        return _RATIO.search(key) is not None
    return origin.name in _FORMULAS


def _help(origin: Origin) -> str:
    if origin.name == "square root":
        return "update torchmetrics.MeanSquaredError(squared=False) in the step and log the object"
    if origin.name.startswith("ratio"):
        return "update a TorchMetrics object in the step and log the object, or gather the counts"
    return (
        "log the mean itself, or gather it in torchmetrics.MeanMetric and apply the formula in the "
        "epoch-end hook"
    )
