"""LM210: a hook that Lightning calls no longer."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model.own_hooks import is_empty, is_used, own_hooks
from lintmetrics.project import ClassInfo
from lintmetrics.rule import Consequence, Finding, Rule


class DeadHook(Rule):
    """A hook that Lightning 2 never calls.

    ``on_epoch_end``, ``on_batch_end``, ``on_pretrain_routine_start``, ``on_keyboard_interrupt`` and
    two dozen more may stand in a module, callback, data module or logger and never run. Lightning
    1.8 and 1.9 refused most of them; Lightning 2 says nothing, so metrics that are reset there are
    never reset, and what is logged or saved there is lost.
    """

    code = "LM210"
    consequence = Consequence.IGNORED
    source = "each hook run on lightning 2.6.6 and on the releases that called it"
    bad = """
    from pytorch_lightning import Callback


    class Note(Callback):
        def on_batch_end(self, trainer, pl_module):
            pl_module.log("seen", float(trainer.global_step))
    """
    good = """
    from pytorch_lightning import Callback


    class Note(Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            pl_module.log("seen", float(trainer.global_step))
    """

    def check(self, cls: ClassInfo) -> Iterator[Finding]:
        """Find hooks with a body that neither Lightning nor the project calls."""
        for hook in own_hooks(cls, "never", "replaced"):
            if is_empty(hook.function) or is_used(cls, hook.name):
                continue
            if hook.row.kind == "replaced":
                message = f"{hook.spelled} is deprecated since Lightning {hook.row.deprecated_in}"
            elif hook.consequence is Consequence.STALE:
                message = f"{hook.spelled} is deprecated, and Lightning 2 never calls it"
            else:
                message = f"{hook.spelled} is never called by Lightning 2; what it does is lost"
            yield Finding(hook, message, help=hook.row.note, consequence=hook.consequence)
