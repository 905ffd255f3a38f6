"""LM402: the best value of a watched number is taken from the wrong end."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model.metric_direction import better
from lintmetrics.model.monitors import monitors
from lintmetrics.project import Module
from lintmetrics.rule import Consequence, Finding, Rule


class WrongMonitorMode(Rule):
    """A checkpoint, early stopping or scheduler that takes the worst value for the best.

    The default is ``mode="min"`` (it was ``"auto"``, which went by the name, up to Lightning 1.2).
    With it, the checkpoint of the lowest accuracy is kept, and training stops once it gets better.
    """

    code = "LM402"
    consequence = Consequence.WRONG_NUMBER
    source = "executed on lightning 2.6.6: of accuracies .5, .9 and .7 the checkpoint of .5 is kept"
    bad = """
    from lightning.pytorch.callbacks import ModelCheckpoint

    keep = ModelCheckpoint(monitor="val_acc", save_top_k=1)
    """
    good = """
    from lightning.pytorch.callbacks import ModelCheckpoint

    keep = ModelCheckpoint(monitor="val_acc", save_top_k=1, mode="max")
    """

    def check(self, module: Module) -> Iterator[Finding]:
        """Find modes that the name of the watched number contradicts."""
        for monitor in monitors(module):
            wanted = better(monitor.key)
            if not wanted or not monitor.mode or monitor.mode == wanted:
                continue
            keeps = monitor.argument("save_top_k")
            if keeps is not None and module.source.segment(keeps) in ("0", "-1"):
                continue  # All are kept, or none.
            end = "lowest" if monitor.mode == "min" else "highest"
            default = ", the default" if monitor.argument("mode") is None else ""
            yield Finding(
                monitor,
                f'{monitor.kind} takes the {end} "{monitor.key}" for the best: mode is '
                f'"{monitor.mode}"{default}',
                help=f'say mode="{wanted}"',
                node=monitor.key_node,
                detail=wanted,
            )
