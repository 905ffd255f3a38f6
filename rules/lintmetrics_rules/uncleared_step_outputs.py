"""LM204: a list or a total of step outputs that still holds those of earlier epochs."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model.kept_outputs import appends, cleared_late, is_uncleared
from lintmetrics.model.kept_totals import KeptAddition, additions, is_never_restarted
from lintmetrics.project import ClassInfo
from lintmetrics.rule import Consequence, Finding, Rule


class UnclearedStepOutputs(Rule):
    """A list of step outputs that is never emptied.

    A step appends to a list and an epoch-end hook works on all of it. When nothing empties the
    list, the second epoch counts the first one again (and the sanity check before it), and memory
    grows until the end of the run. The same is true of a list that is emptied too late: between the
    sanity check and the first validation no ``on_train_epoch_end`` runs. A total that the steps
    add to and the hook divides is such a list as well, when nothing sets it back to zero.
    """

    code = "LM204"
    consequence = Consequence.WRONG_NUMBER
    source = "executed on lightning 2.6.6: 167 samples in an epoch of 103"
    bad = """
import torch
from lightning.pytorch import LightningModule


class Model(LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 1)
        self.validation_step_outputs = []

    def validation_step(self, batch, batch_idx):
        self.validation_step_outputs.append(self.layer(batch))

    def on_validation_epoch_end(self):
        self.log("spread", torch.cat(self.validation_step_outputs).std())
"""
    good = """
import torch
from lightning.pytorch import LightningModule


class Model(LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 1)
        self.validation_step_outputs = []

    def validation_step(self, batch, batch_idx):
        self.validation_step_outputs.append(self.layer(batch))

    def on_validation_epoch_end(self):
        self.log("spread", torch.cat(self.validation_step_outputs).std())
        self.validation_step_outputs.clear()
"""

    def check(self, cls: ClassInfo) -> Iterator[Finding]:
        """Find lists and totals that steps fill, epoch-end hooks read and nobody empties."""
        if not (cls.is_lightning or cls.is_kind("Callback")):
            return
        yield from self._lists(cls)
        for total in additions(cls):
            if is_never_restarted(total):
                yield _of_total(total)

    def _lists(self, cls: ClassInfo) -> Iterator[Finding]:
        seen: set[str] = set()
        for append in appends(cls):
            if append.attribute in seen or not is_uncleared(append):
                continue
            seen.add(append.attribute)
            dead = append.kept.freed_only_in_dead
            late = cleared_late(append)
            how = "never emptied"
            if dead:
                how = f"only emptied in {dead}, which Lightning 2 never calls"
            elif late:
                how = f"only emptied in {late}"
            hook = append.kept.read_in[0][1].name
            again = f"{hook} counts earlier epochs again"
            if late == "on_train_epoch_end":
                again = f"the first {hook} counts the sanity check too"
            yield Finding(
                append,
                f"self.{append.attribute} is {how}; {again}",
                help=f"end {hook} with "
                + (
                    f"a clear() of each list in self.{append.attribute}"
                    if append.kept.is_nested
                    else f"self.{append.attribute}.clear()"
                ),
            )


def _of_total(total: KeptAddition) -> Finding:
    dead, late = total.kept.freed_only_in_dead, cleared_late(total)
    how = "never set back to zero"
    if dead:
        how = f"only set back to zero in {dead}, which Lightning 2 never calls"
    elif late:
        how = f"only set back to zero in {late}"
    hook = total.kept.read_in[0][1].name
    again = f"{hook} counts earlier epochs again"
    if late == "on_train_epoch_end":
        again = f"the first {hook} counts the sanity check too"
    return Finding(
        total,
        f"self.{total.attribute} is {how}; {again}",
        help=f"end {hook} with self.{total.attribute} = 0",
    )
