"""LM211: a hook whose parameters are not what Lightning calls it with."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model.hook_signatures import Misfit, misfits
from lintmetrics.project import ClassInfo
from lintmetrics.rule import Consequence, Finding, Rule


class ChangedHookSignature(Rule):
    """A hook whose parameters are not those that Lightning calls it with.

    Lightning 2 has no ``optimizer_idx``, tells the hooks of training no ``dataloader_idx`` and
    those of validation, testing and prediction only where there are several dataloaders. A hook
    that requires one, or lacks what it is given now, raises TypeError in the middle of a run.
    """

    code = "LM211"
    consequence = Consequence.CRASH
    source = "each signature run on lightning 2.6.6"
    bad = """
    from pytorch_lightning import Callback


    class Note(Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx, dataloader_idx):
            pl_module.log("size", float(len(batch)))
    """
    good = """
    from pytorch_lightning import Callback


    class Note(Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            pl_module.log("size", float(len(batch)))
    """

    def check(self, cls: ClassInfo) -> Iterator[Finding]:
        """Find hooks that cannot be called, or wait for what never comes."""
        for misfit in misfits(cls):
            note = misfit.row.note if misfit.row is not None else ""
            if misfit.problem == "unrun":
                note = f"step with optimizer.step(closure={misfit.parameter})"
            yield Finding(
                misfit,
                _message(misfit),
                help=note or f"write {misfit.written}",
                consequence=misfit.consequence,
            )


def _message(misfit: Misfit) -> str:
    name, parameter = misfit.spelled, misfit.parameter
    if misfit.consequence is Consequence.STALE:
        return f"{name} takes `{parameter}`, which is deprecated and gone in newer releases"
    if misfit.problem == "lacks":
        return f"{name} does not take `{parameter}`, which Lightning passes: TypeError"
    if misfit.problem == "index":
        error = "RuntimeError" if misfit.owner == "module" else "TypeError"
        return (
            f"{name} requires `{parameter}`, which Lightning 2 passes only where there are "
            f"several dataloaders: {error} with one"
        )
    if misfit.problem == "several":
        return (
            f"{name} does not take `{parameter}`, and there are several dataloaders: RuntimeError"
        )
    if misfit.problem == "named":
        return (
            f"{name} requires `{parameter}`, where Lightning 2 knows dataloader_idx alone: "
            "RuntimeError"
        )
    if misfit.problem == "shifted":
        return f"{name} takes `{parameter}`, and Lightning 2 passes something else in its place"
    if misfit.problem == "unrun":
        return (
            f"{name} never calls `{parameter}`, in which Lightning runs training_step and "
            "backward: MisconfigurationException"
        )
    if misfit.problem == "unfilled":
        return f"{name} reads `{parameter}`, which Lightning 2 never passes"
    error = "RuntimeError" if misfit.problem == "refused" else "TypeError"
    return f"{name} takes `{parameter}`, which Lightning 2 does not pass: {error}"
