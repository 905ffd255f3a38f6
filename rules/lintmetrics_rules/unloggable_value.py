"""LM603: a logged value that is no number, or several."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model.log_calls import LogCall
from lintmetrics.model.refused_values import refused_value
from lintmetrics.rule import Consequence, Finding, Rule

_HELP = {
    "array": "log the tensor itself",
    "dict": "log its entries: self.log_dict({...})",
    "collection": "log its members: self.log_dict(...) with the collection",
    "keyless": "say self.log_dict(...)",
    "keyed": "say self.log(...), or give log_dict a dict",
    "losses": "log its mean: .mean()",
    "rates": "log the rate of one group: [0]",
    "vector": "log one number for each of them, each under a key of its own, or their mean",
    "other": "log a number, a tensor of one element or a Metric object",
}


class UnloggableValue(Rule):
    """Logged values that are no number, or several.

    ``self.log`` takes a number, a tensor of one element or a Metric object that computes one. A
    string, ``None``, a list, a dict, a NumPy array and a MetricCollection raise. Up to 1.6 a tensor
    of several elements was logged as its mean, and up to 1.9 a dict went to the loggers as it was;
    both raise today. A dict of numbers is for ``self.log_dict``, which takes no key.
    """

    code = "LM603"
    consequence = Consequence.CRASH
    source = "core/module.py of lightning 1.2.10 to 2.6.6, each value logged on 2.6.6: ValueError"
    bad = """
    import lightning.pytorch as pl
    import torch.nn.functional as F


    class Regressor(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def validation_step(self, batch, batch_idx):
            x, y = batch
            losses = F.mse_loss(self.net(x), y, reduction="none")
            self.log("val_loss", losses)
    """
    good = """
    import lightning.pytorch as pl
    import torch.nn.functional as F


    class Regressor(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def validation_step(self, batch, batch_idx):
            x, y = batch
            losses = F.mse_loss(self.net(x), y, reduction="none")
            self.log("val_loss", losses.mean())
    """

    def check(self, call: LogCall) -> Iterator[Finding]:
        """Find values that raise whatever the batch is."""
        value = refused_value(call)
        if value is not None:
            name = call.module.source.segment(value.made) if "key" in value.kind else call.key
            name = name if len(name) <= 40 and "\n" not in name else "the first argument"
            method = "self.log_dict" if value.kind == "keyed" else "self.log"
            yield Finding(
                call,
                f"{name} is {value.what}, which {method} refuses",
                help=_HELP[value.kind],
                node=value.made if "key" in value.kind else call.value_node,
                detail=value,
            )
