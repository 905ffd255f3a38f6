"""LM601: a log call in a hook in which Lightning takes none."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model.flow import LightningClass
from lintmetrics.model.log_permissions import refused_calls
from lintmetrics.rule import Consequence, Finding, Rule


class LogInForbiddenHook(Rule):
    """Log calls in a hook in which Lightning takes none.

    Around an epoch every hook may log: ``on_validation_start``, ``on_validation_epoch_start``,
    ``on_validation_epoch_end``. Right behind, the numbers of the epoch have been handed out, and
    ``self.log`` raises: in ``on_validation_end``, ``on_test_end`` and ``on_train_end``, in the
    hooks around the whole fit, in those that set up, save, load or configure, and all over
    ``predict``. A module and a callback are refused alike.
    """

    code = "LM601"
    consequence = Consequence.CRASH
    source = (
        "logger_connector/fx_validator.py of lightning 1.4.9 to 2.6.6, each hook run on 2.6.6: "
        "MisconfigurationException"
    )
    bad = """
    import lightning.pytorch as pl
    import torch
    import torch.nn.functional as F


    class Regressor(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net
            self.worst = torch.tensor(0.0)

        def validation_step(self, batch, batch_idx):
            x, y = batch
            self.worst = torch.maximum(self.worst, (self.net(x) - y).abs().max())
            self.log("val_loss", F.mse_loss(self.net(x), y))

        def on_validation_end(self):
            self.log("val_worst", self.worst)
            self.worst = torch.tensor(0.0)
    """
    good = """
    import lightning.pytorch as pl
    import torch
    import torch.nn.functional as F


    class Regressor(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net
            self.worst = torch.tensor(0.0)

        def validation_step(self, batch, batch_idx):
            x, y = batch
            self.worst = torch.maximum(self.worst, (self.net(x) - y).abs().max())
            self.log("val_loss", F.mse_loss(self.net(x), y))

        def on_validation_epoch_end(self):
            self.log("val_worst", self.worst)
            self.worst = torch.tensor(0.0)
    """

    def check(self, model: LightningClass) -> Iterator[Finding]:
        """Find log calls that raise for the hook they are in."""
        for refused in refused_calls(model):
            hook = refused.hook
            if hook.instead:
                hint = f"log it in {hook.instead}"
            elif "predict" in hook.hook:
                hint = "log it in a test or validation step; predict logs nothing"
            else:
                hint = "keep it in an attribute and log it in a step or at the end of an epoch"
            yield Finding(
                refused,
                f"{refused.call.key} is logged in {hook.hook}, where Lightning takes no log call",
                help=hint,
                keys=tuple((way.stage, way.key or "*") for way in refused.call.contexts),
            )
