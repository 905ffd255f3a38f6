"""LM118: the number of members of a batch is taken for its number of samples."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model import hooks, said_batch_sizes
from lintmetrics.model.flow import LightningClass
from lintmetrics.model.said_batch_sizes import SaidSize
from lintmetrics.rule import Consequence, Finding, Rule


class MembersAsBatchSize(Rule):
    """``len(batch)`` of a tuple or a dict, said to be its number of samples.

    ``len((x, y))`` is 2 for every batch, and ``len({"image": x, "label": y})`` as well. As a weight
    it gives each batch the same vote, so that a short last batch counts as a full one.
    """

    code = "LM118"
    consequence = Consequence.WRONG_NUMBER
    source = (
        "lightning 2.6.6, logger_connector/result.py, _ResultMetric.update; measured: 3.3235 "
        "logged for 1.9457"
    )
    bad = """
    import lightning.pytorch as pl
    import torch.nn.functional as F


    class Regressor(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def validation_step(self, batch, batch_idx):
            x, y = batch
            self.log("val_loss", F.mse_loss(self.net(x), y), batch_size=len(batch))
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
            self.log("val_loss", F.mse_loss(self.net(x), y), batch_size=x.size(0))
    """

    def check(self, model: LightningClass) -> Iterator[Finding]:
        """Find lengths of tuples and mappings that weigh a mean."""
        for call in model.log_calls:
            found = said_batch_sizes.of_log_call(call)
            if found is not None and found[0].members is not None:
                keys = tuple((way.stage, way.key or "*") for way in found[1])
                yield _finding(model, found[0], keys)
        for said, use in said_batch_sizes.of_mean_metrics(model):
            if said.members is not None:
                yield _finding(model, said, ((hooks.stage_of(use.hook), "*"),))


def _finding(model: LightningClass, said: SaidSize, keys: tuple[tuple[str, str], ...]) -> Finding:
    what = f"{said.members}, the members" if said.members else "the number of keys"
    true = said.true.expression
    return Finding(
        model,
        f"{said.text} is {what} of the batch, and not its number of samples",
        help=f"say {true}" if true else "say the number of samples",
        node=said.node,
        module=said.module,
        detail=said,
        keys=keys,
    )
