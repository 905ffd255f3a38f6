"""LM212: a method that is called like a hook, and is none."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model.unknown_hooks import unknown_hooks
from lintmetrics.project import ClassInfo
from lintmetrics.rule import Consequence, Finding, Rule

_CALLED = {"datamodule": "data module"}


class UnknownHook(Rule):
    """A method that is called like a hook, but that Lightning does not know.

    Lightning calls hooks by their names. ``training_batch_end``, ``on_validation_end_epoch`` or
    ``on_valid_epoch_end`` are methods like any other to it, and a hook of callbacks in a module, or
    of modules in a callback, never runs: what such a method logs or resets never is.
    """

    code = "LM212"
    consequence = Consequence.IGNORED
    source = "names of hooks from lightning 2.6.6; no other is called"
    bad = """
    from lightning.pytorch import Callback


    class Note(Callback):
        def on_validation_end_epoch(self, trainer, pl_module):
            pl_module.log("epochs", float(trainer.current_epoch))
    """
    good = """
    from lightning.pytorch import Callback


    class Note(Callback):
        def on_validation_epoch_end(self, trainer, pl_module):
            pl_module.log("epochs", float(trainer.current_epoch))
    """

    def check(self, cls: ClassInfo) -> Iterator[Finding]:
        """Find methods with the words of a hook that neither Lightning nor the project calls."""
        for hook in unknown_hooks(cls):
            of, owner = _CALLED.get(hook.of, hook.of), _CALLED.get(hook.owner, hook.owner)
            if of == owner:
                message = f"{hook.spelled} is no hook of Lightning, and nothing calls it"
                help_text = (
                    f"call it {hook.meant}, if it is meant for Lightning"
                    if hook.meant
                    else "give it the name of the hook at whose moment it is to run"
                )
            else:
                message = (
                    f"{hook.spelled} is a hook of {of}s; Lightning never calls it on a {owner}"
                )
                help_text = f"move it to a {of}, or call it from a hook of the {owner}"
            yield Finding(hook, message, help=help_text)
