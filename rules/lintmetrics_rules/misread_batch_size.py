"""LM112: Lightning weighs the batches of a mean by something that is not their size."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model import batches
from lintmetrics.model.log_calls import LogCall
from lintmetrics.rule import Consequence, Finding, Rule


class MisreadBatchSize(Rule):
    """A mean over batches, weighted by what is not the batch size.

    Without ``batch_size=``, ``self.log`` takes ``size(0)`` of the first tensor that it finds in the
    batch. For graphs that is the number of nodes, for a list of images the number of channels, for
    sequences with time first their length, for a PackedSequence its steps, for samples joined end
    to end their total length, and 1 where a single number comes first. The mean over the epoch is
    then weighted by that.

    What a batch is, the step shows, or the collate function and the loaders of the module, of the
    data module that it is fitted with, or of the only data modules in the project. Where two
    loaders run together, Lightning takes the size of the first one's batch for both.
    """

    code = "LM112"
    consequence = Consequence.WRONG_NUMBER
    source = (
        "lightning 2.6.6, utilities/data.py, extract_batch_size; measured: graphs of 10 and 90 "
        "nodes that log 0 and 1 give 0.9"
    )
    bad = """
    import lightning.pytorch as pl
    import torch.nn.functional as F
    from torch_geometric.nn import global_mean_pool


    class Molecules(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def validation_step(self, batch, batch_idx):
            nodes = self.net(batch.x, batch.edge_index)
            energy = global_mean_pool(nodes, batch.batch)
            self.log("val_loss", F.mse_loss(energy, batch.y))
    """
    good = """
    import lightning.pytorch as pl
    import torch.nn.functional as F
    from torch_geometric.nn import global_mean_pool


    class Molecules(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def validation_step(self, batch, batch_idx):
            nodes = self.net(batch.x, batch.edge_index)
            energy = global_mean_pool(nodes, batch.batch)
            self.log("val_loss", F.mse_loss(energy, batch.y), batch_size=batch.num_graphs)
    """

    def check(self, call: LogCall) -> Iterator[Finding]:
        """Find log calls whose batch is known to be misread."""
        size = batches.guessed(call)
        if size is not None and size.inference == "wrong":
            hint = f"say batch_size={size.expression}" if size.expression else "say batch_size="
            yield Finding(call, size.why, help=hint, detail=size)
