"""LM609: a data module logs, which has no method for it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from lintmetrics.model.lightning_objects import gives, is_left_alone
from lintmetrics.project import ClassInfo
from lintmetrics.rule import Consequence, Finding, Rule
from lintmetrics.tree import subtree

_LOG = re.compile(r"\bself\s*\.\s*log(?:_dict)?\s*\(")
_SET_OUTSIDE = re.compile(r"\.log(?:_dict)?\s*=(?!=)")


class LogInDataModule(Rule):
    """``self.log`` in a LightningDataModule, which has no such method.

    Modules log, and callbacks are given the method by the Trainer; data modules are not.
    """

    code = "LM609"
    consequence = Consequence.CRASH
    source = "executed on lightning 2.6.6: AttributeError"
    bad = """
    import lightning.pytorch as pl
    from torch.utils.data import DataLoader


    class Digits(pl.LightningDataModule):
        def __init__(self, data):
            super().__init__()
            self.data = data

        def train_dataloader(self):
            self.log("samples", len(self.data))
            return DataLoader(self.data, batch_size=32)
    """
    good = """
    import lightning.pytorch as pl
    from torch.utils.data import DataLoader


    class Digits(pl.LightningDataModule):
        def __init__(self, data):
            super().__init__()
            self.data = data

        def train_dataloader(self):
            return DataLoader(self.data, batch_size=32)


    class Counter(pl.Callback):
        def on_train_epoch_start(self, trainer, pl_module):
            self.log("samples", float(len(trainer.datamodule.data)))
    """

    def check(self, cls: ClassInfo) -> Iterator[Finding]:
        """Find calls of a method that neither the class nor Lightning gives."""
        if not cls.is_kind("LightningDataModule") or not _LOG.search(cls.module.source.code):
            return
        if any(cls.is_kind(kind) for kind in ("LightningModule", "Callback")):
            return
        for node in subtree(cls.node):
            func = node.func if isinstance(node, ast.Call) else None
            if not isinstance(func, ast.Attribute) or func.attr not in ("log", "log_dict"):
                continue
            if not isinstance(func.value, ast.Name) or func.value.id != "self":
                continue
            if cls.module.enclosing_class(func) is not cls or gives(cls, func.attr):
                continue
            if is_left_alone(cls.module, func, func.attr):
                continue
            if cls.module.project.mentioning(_SET_OUTSIDE):
                return
            yield Finding(
                cls,
                f"{cls.node.name} has no method {func.attr}, as no LightningDataModule has: "
                "AttributeError",
                help="log it in a hook of the module, which finds it as self.trainer.datamodule",
                node=node,
            )
