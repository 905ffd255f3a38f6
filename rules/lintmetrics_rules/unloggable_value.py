"""LM603: a logged value that is no number, or several."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model.log_calls import LogCall
from lintmetrics.model.refused_entries import refused_entry
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
    "tracker": "log what it computes: .compute(), or .best_metric()",
    "object": "log it under a key of its own: self.log(key, ...)",
    "entry": "leave it out of what is logged, and log its elements under keys of their own",
    "member": "keep it out of the collection, and log what it computes by itself",
    "other": "log a number, a tensor of one element or a Metric object",
}
# These are called as they are written, and the others by their key.
_WRITTEN = (
    "keyless",
    "keyed",
    "object",
    "entry",
    "member",
)


class UnloggableValue(Rule):
    """Logged values that are no number, or several.

    ``self.log`` takes a number, a tensor of one element or a Metric object that computes one. A
    string, ``None``, a list, a dict, a NumPy array and a MetricCollection raise. Up to 1.6 a tensor
    of several elements was logged as its mean, and up to 1.9 a dict went to the loggers as it was;
    both raise today. A dict of numbers is for ``self.log_dict``, which takes no key, and refuses a
    dict in which one value is none: what ``MeanAveragePrecision`` computes has ``classes``, one
    element for each class, and a collection may have a member that answers with a matrix.
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
        value = refused_value(call) or refused_entry(call)
        if value is not None:
            written = value.kind in _WRITTEN
            name = call.module.source.segment(value.made) if written else call.key
            name = name if len(name) <= 40 and "\n" not in name else "the first argument"
            is_dict = call.is_dict and value.kind in _WRITTEN
            method = "self.log_dict" if is_dict else "self.log"
            yield Finding(
                call,
                f"{name} is {value.what}, which {method} refuses",
                help=_HELP[value.kind],
                node=value.made if written else call.value_node,
                detail=value,
            )
