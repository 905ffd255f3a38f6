"""LM113: Lightning cannot tell the size of a batch that it needs."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model import batches
from lintmetrics.model.log_calls import LogCall
from lintmetrics.rule import Consequence, Finding, Rule


class UnreadableBatch(Rule):
    """A mean over batches whose sizes Lightning cannot tell.

    Without ``batch_size=``, ``self.log`` looks for a tensor in the batch. In an object that is no
    tensor, mapping, iterable or dataclass it finds none, and raises. It finds none either in
    batches of numpy arrays or strings, such as a collate function may make.
    """

    code = "LM113"
    consequence = Consequence.CRASH
    source = "lightning 2.6.6, utilities/data.py, extract_batch_size raises"
    bad = """
    import lightning.pytorch as pl
    import torch.nn.functional as F


    class Batch:
        def __init__(self, x, y):
            self.x = x
            self.y = y

        def __len__(self):
            return len(self.x)


    class Regressor(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def validation_step(self, batch: Batch, batch_idx):
            self.log("val_loss", F.mse_loss(self.net(batch.x), batch.y))
    """
    good = """
    import lightning.pytorch as pl
    import torch.nn.functional as F


    class Batch:
        def __init__(self, x, y):
            self.x = x
            self.y = y

        def __len__(self):
            return len(self.x)


    class Regressor(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def validation_step(self, batch: Batch, batch_idx):
            self.log("val_loss", F.mse_loss(self.net(batch.x), batch.y), batch_size=len(batch))
    """

    def check(self, call: LogCall) -> Iterator[Finding]:
        """Find log calls in steps whose batch is an object of the project's own."""
        size = batches.guessed(call)
        if size is not None and size.inference == "fails":
            hint = f"say batch_size={size.expression}" if size.expression else "say batch_size="
            yield Finding(call, size.why, help=hint, detail=size)
