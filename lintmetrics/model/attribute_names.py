"""Names for new attributes of a module: taken from the key that is logged, and free."""

from __future__ import annotations

import ast
import keyword
import re
from typing import TYPE_CHECKING

from lintmetrics.tree import subtree

if TYPE_CHECKING:
    from lintmetrics.project import ClassInfo

_STAGES = {
    "train": ("train", "training", "trn"),
    "val": ("val", "valid", "validation", "dev", "eval"),
    "test": ("test", "testing", "tst"),
    "predict": ("predict", "pred"),
}
_ALL_STAGES = frozenset(word for words in _STAGES.values() for word in words)
# Attributes of LightningModule and torch.nn.Module (lightning 2.6.6, torch 2.13), and those of
# earlier releases; what begins with an underscore or ends in `_step` cannot come from a key here.
_TAKEN = frozenset(
    (
        *("add_module", "all_gather", "allow_zero_length_dataloader_with_multiple_devices"),
        *("apply", "automatic_optimization", "backward", "bfloat16", "buffers", "call_super_init"),
        *("children", "clip_gradients", "compile", "cpu", "cuda", "current_epoch", "device"),
        *("device_mesh", "double", "dtype", "dump_patches", "eval", "example_input_array"),
        *("extra_repr", "fabric", "float", "forward", "freeze", "get_buffer", "get_extra_state"),
        *("get_parameter", "get_submodule", "global_rank", "global_step", "half", "hparams"),
        *("hparams_initial", "ipu", "load_from_checkpoint", "load_state_dict", "local_rank", "log"),
        *("log_dict", "logger", "loggers", "lr_scheduler_step", "lr_schedulers", "manual_backward"),
        *("metrics", "model_size", "modules", "mtia", "named_buffers", "named_children"),
        *("named_modules", "named_parameters", "on_gpu", "optimizer_step", "optimizers"),
        *("parameters", "precision", "prepare_data_per_node", "print", "register_buffer"),
        *("register_module", "register_parameter", "requires_grad_", "save_hyperparameters"),
        *("set_extra_state", "set_submodule", "setup", "share_memory", "state_dict"),
        *("strict_loading", "summarize", "summary", "teardown", "to", "to_empty", "to_onnx"),
        *("to_tensorrt", "to_torchscript", "toggle_optimizer", "train", "trainer", "training"),
        *("transfer_batch_to_device", "truncated_bptt_steps", "type", "unfreeze"),
        *("untoggle_optimizer", "use_amp", "xpu", "zero_grad"),
    )
)
# Keys that torch.nn.ModuleDict refuses, because it has attributes of these names.
_OF_MODULE_DICT = _TAKEN | {"clear", "get", "items", "keys", "pop", "update", "values"}


def words(key: str) -> list[str]:
    """Return the parts of a key as an identifier spells them."""
    return [part for part in re.split(r"[^0-9a-zA-Z]+", key) if part]


def names_stage(key: str) -> bool:
    """Tell whether a key says which loop it belongs to."""
    return any(word.lower() in _ALL_STAGES for word in words(key))


def without_stage(key: str) -> str:
    """Return a key without the words that name a loop."""
    kept = [word for word in words(key) if word.lower() not in _ALL_STAGES]
    return "_".join(kept)


def is_module_dict_key(key: str) -> bool:
    """Tell whether torch.nn.ModuleDict takes a key."""
    return bool(key) and "." not in key and key not in _OF_MODULE_DICT


def attribute_for(key: str, stage: str, cls: ClassInfo) -> str:
    """Return a free attribute name for what is logged under a key.

    Args:
        key: the key; ``stage``: the loop, put in front when the key does not name it; may be empty.
        cls: the class that gets the attribute.
    """
    parts = words(key)
    name = "_".join(parts) or "metric"
    if stage and not names_stage(key):
        name = f"{stage}_{name}"
    if name[0].isdigit():
        name = f"metric_{name}"
    taken = _taken(cls)
    for candidate in (name, f"{name}_metric", *(f"{name}_metric_{n}" for n in range(2, 50))):
        if candidate not in taken and not keyword.iskeyword(candidate):
            return candidate
    return f"{name}_object"


def _taken(cls: ClassInfo) -> set[str]:
    """Return every attribute name that a class, its bases and those below it have or mention."""
    cached: set[str] | None = cls.__dict__.get("_lm_taken")
    if cached is None:
        cached = set(_TAKEN)
        for owner in (*cls.mro(), *cls.subclasses):
            cached.update(owner.namespace)
            cached.update(
                node.attr
                for node in subtree(owner.node)
                if isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and node.value.id == "self"
            )
        cls.__dict__["_lm_taken"] = cached
    return cached
