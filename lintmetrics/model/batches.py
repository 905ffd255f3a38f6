"""What a batch looks like: how many samples it has, and whether Lightning can tell.

Lightning walks the batch depth first and takes ``size(0)`` of the first tensor it meets.
Source: lightning 2.6.6, ``utilities/data.py``, ``extract_batch_size``; every row of the tests run.
"""

from __future__ import annotations

import ast

from lintmetrics.model import hooks
from lintmetrics.project import ClassInfo

_LOADERS = {"train": "train_dataloader", "val": "val_dataloader", "test": "test_dataloader"}


def one_sample_per_batch(cls: ClassInfo, hook: str) -> bool:
    """Tell whether the module's own loader of a hook's stage gives one sample at a time."""
    info = cls.lookup(_LOADERS.get(hooks.stage_of(hook), ""))
    if info is None:
        return False
    loaders = [
        node
        for node in ast.walk(info.node)
        if isinstance(node, ast.Call)
        and (info.module.qualified(node.func) or "").endswith(".DataLoader")
    ]
    return bool(loaders) and all(_single(call) for call in loaders)


def _single(call: ast.Call) -> bool:
    if any(keyword.arg in (None, "batch_sampler") for keyword in call.keywords):
        return False
    size = next((k.value for k in call.keywords if k.arg == "batch_size"), None)
    if size is None and len(call.args) > 1:
        size = call.args[1]
    if size is None:
        return not any(isinstance(argument, ast.Starred) for argument in call.args)
    return isinstance(size, ast.Constant) and size.value == 1
