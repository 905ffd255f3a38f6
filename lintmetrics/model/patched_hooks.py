"""Epoch-end hooks that are set on a class or an instance from outside its class statement."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from lintmetrics.edits import FunctionNode
from lintmetrics.model.epoch_hooks import STAGES, Stage
from lintmetrics.project import ClassInfo, FunctionInfo, Module
from lintmetrics.tree import subtree

_REMOVED = {stage.removed: stage for stage in STAGES}
_SPELLED = re.compile(rf"(?:\.\s*|['\"])(?:{'|'.join(_REMOVED)})\b")
_BINDERS = ("MethodType", "partial", "partialmethod", "__get__")


@dataclass(frozen=True)
class Patch:
    """A statement that sets a removed hook on a class or an instance.

    Args:
        module: the file.
        node: the attribute, or the call of ``setattr``.
        stage: the loop that the hook ended.
        receiver: what is patched.
        value: what becomes the hook.
    """

    module: Module
    node: ast.expr
    stage: Stage
    receiver: ast.expr
    value: ast.expr

    @property
    def spelled(self) -> str:
        """How a message names it."""
        return f"{self.module.source.segment(self.receiver)}.{self.stage.removed}"

    @property
    def named(self) -> ast.expr:
        """What stands for the function, without what binds it to the instance."""
        value = self.value
        while isinstance(value, ast.Call):
            func = value.func
            if isinstance(func, ast.Attribute) and func.attr == "__get__":
                value = func.value
            elif _last(func) in _BINDERS and value.args:
                value = value.args[0]
            else:
                break
        return value

    @property
    def is_bound(self) -> bool:
        """Whether something binds the function to an instance."""
        return self.named is not self.value

    @property
    def function(self) -> FunctionNode | None:
        """The function that becomes the hook, where the project defines it."""
        found = self.named
        if isinstance(found, ast.Name):
            for around in self.module.ancestors(self.node):
                if isinstance(around, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    local = self.module.scope_of(around).get(found.id)
                    if isinstance(local, (ast.FunctionDef, ast.AsyncFunctionDef)):
                        return local
                    if local is not None:
                        return None
        symbol = self.module.resolve(found)
        if isinstance(symbol, FunctionInfo) and symbol.module is self.module:
            return symbol.node
        return None


def patches(module: Module) -> Iterator[Patch]:
    """Yield every place of a file that sets a removed hook on something of Lightning."""
    if not _SPELLED.search(module.source.text):
        return
    for node in subtree(module.tree):
        found = _assigned(module, node) or _set(module, node)
        if found is not None and not _is_harmless(found.value) and _may_be_module(found):
            yield found


def _assigned(module: Module, node: ast.AST) -> Patch | None:
    if not (isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)):
        return None
    stage = _REMOVED.get(node.attr)
    statement = module.parent(node)
    if stage is None or not isinstance(statement, (ast.Assign, ast.AnnAssign)):
        return None
    if statement.value is None:
        return None
    return Patch(module, node, stage, node.value, statement.value)


def _set(module: Module, node: ast.AST) -> Patch | None:
    if not (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "setattr"
        and len(node.args) == 3
        and isinstance(node.args[1], ast.Constant)
    ):
        return None
    stage = _REMOVED.get(str(node.args[1].value))
    return Patch(module, node, stage, node.args[0], node.args[2]) if stage else None


def _is_harmless(value: ast.expr) -> bool:
    """Tell whether a value is none that could be called; Lightning 2 asks whether it can."""
    return isinstance(value, ast.Constant)


def _may_be_module(patch: Patch) -> bool:
    """Tell whether what is patched may be a LightningModule; what is known to be none is none."""
    module, receiver = patch.module, patch.receiver
    around = module.enclosing_class(patch.node)
    if isinstance(receiver, ast.Name) and receiver.id == "self" and around is not None:
        return around.is_lightning
    symbol = module.resolve(receiver)
    if isinstance(symbol, ClassInfo):
        return symbol.is_lightning
    made = _made_of(patch)
    if made is not None:
        return made.is_lightning
    return "lightning" in module.source.text


def _made_of(patch: Patch) -> ClassInfo | None:
    """Return the class that an instance was made of, where its only assignment shows it."""
    module, receiver = patch.module, patch.receiver
    if not isinstance(receiver, ast.Name):
        return None
    scope: ast.AST = module.enclosing_function(patch.node) or module.tree
    made = [
        node.value
        for node in subtree(scope)
        if isinstance(node, ast.Assign)
        and any(isinstance(t, ast.Name) and t.id == receiver.id for t in node.targets)
    ]
    if len(made) != 1 or not isinstance(made[0], ast.Call):
        return None
    func = made[0].func
    if isinstance(func, ast.Attribute) and func.attr == "load_from_checkpoint":
        func = func.value
    symbol = module.resolve(func)
    return symbol if isinstance(symbol, ClassInfo) else None


def patched_class(patch: Patch) -> ClassInfo | None:
    """Return the class that is patched, or whose instance is."""
    symbol = patch.module.resolve(patch.receiver)
    return symbol if isinstance(symbol, ClassInfo) else _made_of(patch)


def _last(func: ast.expr) -> str:
    return func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")
