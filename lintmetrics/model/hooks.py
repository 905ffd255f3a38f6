"""Lightning's hooks as logging sees them: stage, level, and what ``self.log`` does by default.

Source: lightning 2.6.6, ``trainer/connectors/logger_connector/fx_validator.py``; every hook run.
"""

from __future__ import annotations

STEPS = {
    "training_step": "train",
    "validation_step": "val",
    "test_step": "test",
    "predict_step": "predict",
}
"""The step hooks, with the stage of each."""

_TRAIN_BATCH = (
    "training_step",
    "training_step_end",
    "on_train_batch_start",
    "on_train_batch_end",
    "on_before_backward",
    "backward",
    "on_after_backward",
    "on_before_optimizer_step",
    "optimizer_step",
    "configure_gradient_clipping",
    "on_before_zero_grad",
    "optimizer_zero_grad",
)
_EVAL_BATCH = tuple(
    name
    for stage in ("validation", "test")
    for name in (
        f"{stage}_step",
        f"{stage}_step_end",
        f"on_{stage}_batch_start",
        f"on_{stage}_batch_end",
    )
)
_EPOCH = (
    *(
        name
        for stage in ("train", "validation", "test")
        for name in (f"on_{stage}_start", f"on_{stage}_epoch_start", f"on_{stage}_epoch_end")
    ),
    "training_epoch_end",
    "validation_epoch_end",
    "test_epoch_end",
    "on_epoch_end",
)

SETUP = ("__init__", "setup", "configure_model", "on_fit_start", "on_train_start")
"""Hooks and methods that set a module up before its first batch."""
LOG_HOOKS = (*_TRAIN_BATCH, *_EVAL_BATCH, *_EPOCH)
"""Hooks in which ``self.log`` is allowed, old ones included."""

EPOCH_END = {
    "training_epoch_end": "training_step",
    "validation_epoch_end": "validation_step",
    "test_epoch_end": "test_step",
}
"""The hooks that Lightning 2 removed, with the step whose outputs they were given."""


def is_batch_hook(hook: str) -> bool:
    """Tell whether a hook runs once for each batch."""
    return hook in _TRAIN_BATCH or hook in _EVAL_BATCH


def default_levels(hook: str) -> tuple[bool, bool]:
    """Return the ``(on_step, on_epoch)`` that ``self.log`` takes in a hook."""
    return (True, False) if hook in _TRAIN_BATCH else (False, True)


def stage_of(hook: str) -> str:
    """Return ``train``, ``val``, ``test`` or ``predict``: the loop that a hook belongs to."""
    if "validation" in hook:
        return "val"
    if "test" in hook:
        return "test"
    if "predict" in hook:
        return "predict"
    return "train"
