"""LM213: a callback whose state is kept no longer."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model.callback_state import SAVE, old_states
from lintmetrics.project import ClassInfo
from lintmetrics.rule import Consequence, Finding, Rule


class LostCallbackState(Rule):
    """A callback that keeps its state as Lightning 1 did.

    What ``on_save_checkpoint`` of a callback returned went into the checkpoint, and
    ``on_load_checkpoint`` was given it back. Lightning 2 drops what the first returns, and gives
    the second the whole checkpoint: counters and best values begin anew when a run is resumed.
    """

    code = "LM213"
    consequence = Consequence.IGNORED
    source = "executed on lightning 2.6.6; trainer/call.py"
    bad = """
    from pytorch_lightning import Callback


    class Best(Callback):
        def __init__(self):
            self.best = 0.0

        def on_save_checkpoint(self, trainer, pl_module, checkpoint):
            return {"best": self.best}

        def on_load_checkpoint(self, trainer, pl_module, callback_state):
            self.best = callback_state["best"]
    """
    good = """
    from pytorch_lightning import Callback


    class Best(Callback):
        def __init__(self):
            self.best = 0.0

        def state_dict(self):
            return {"best": self.best}

        def load_state_dict(self, callback_state):
            self.best = callback_state["best"]
    """

    def check(self, cls: ClassInfo) -> Iterator[Finding]:
        """Find hooks that hand over a state that nobody takes, or wait for one."""
        for state in old_states(cls):
            if state.consequence is Consequence.STALE:
                message = f"{state.spelled} keeps the state in a way that is deprecated"
            elif state.consequence is Consequence.CRASH:
                message = f"{state.spelled} does not take what Lightning passes: TypeError"
            elif state.name == SAVE:
                message = f"{state.spelled} returns a state, which Lightning 2 drops"
            else:
                message = (
                    f"{state.spelled} waits for what the callback kept, and is given the whole "
                    "checkpoint"
                )
            yield Finding(state, message, help=state.row.note, consequence=state.consequence)
