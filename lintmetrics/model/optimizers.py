"""How many optimizers a module has, as far as its ``configure_optimizers`` says so."""

from __future__ import annotations

import ast
import re

from lintmetrics.edits import FunctionNode
from lintmetrics.model.epoch_hooks import family
from lintmetrics.model.tensors import bindings
from lintmetrics.model.trails import own_returns
from lintmetrics.project import ClassInfo, Module

_TORCH = re.compile(r"torch\.optim\.(?:\w+\.)*[A-Z]\w*$")
_NAMED = re.compile(r"(?:^|_)opti?m?(?:izer)?(?:$|_|\d)")
_SCHEDULER = re.compile(r"sched|lr|warm", re.I)
_SET_OUTSIDE = re.compile(r"(?<!self)\.automatic_optimization\s*=(?!=)")
_ASKED_FOR = re.compile(r"(?<!self)(?<!\))\.configure_optimizers\(")
_KNOWN_BASE = re.compile(r"(?:torch|pytorch_lightning|lightning|typing|abc|builtins|object)\b")


def several(cls: ClassInfo) -> ast.Return | None:
    """Return where a class surely gives several optimizers; ``None`` where it may give one."""
    method = cls.own("configure_optimizers")
    if method is None or method.cls is not cls:
        return None
    returned = own_returns(method)
    counts = [_count(method.module, method.node, one.value) for one in returned]
    return returned[0] if counts and all(count > 1 for count in counts) else None


def is_automatic(cls: ClassInfo) -> bool:
    """Tell whether Lightning surely runs the optimizers of a class: nobody says otherwise."""
    if not all(_KNOWN_BASE.match(name) for name in cls.base_names):
        return False
    said = (one.module.source.segment(one.node) for one in family(cls))
    if any("automatic_optimization" in text for text in said):
        return False
    project = cls.module.project
    if project.mentioning(_ASKED_FOR, ".configure_optimizers("):
        return False  # A loop of its own, perhaps of Fabric.
    return not project.mentioning(_SET_OUTSIDE, ".automatic_optimization")


def _count(module: Module, method: FunctionNode, node: ast.expr | None) -> int:
    """Return how many optimizers an answer holds; 0 where that is not known."""
    node = _value(module, method, node)
    if not isinstance(node, (ast.List, ast.Tuple)) or not node.elts:
        return 0
    items = node.elts
    if any(isinstance(item, ast.Starred) for item in items):
        return 0
    first = _value(module, method, items[0])
    if isinstance(first, (ast.List, ast.Tuple)):
        # Optimizers, then schedulers.
        if len(items) != 2 or any(isinstance(item, ast.Starred) for item in first.elts):
            return 0
        return len(first.elts)
    return len(items) if all(_is_optimizer(module, method, item) for item in items) else 0


def _value(module: Module, method: FunctionNode, node: ast.expr | None) -> ast.expr | None:
    """Return what a name is bound to, where that is one list or tuple."""
    if isinstance(node, ast.Name):
        bound = bindings(module, node.id, method)
        only = bound[0] if len(bound) == 1 else None
        if isinstance(only, ast.Assign) and len(only.targets) == 1:
            grows = re.search(
                rf"\b{node.id}\s*(?:\+=|\.(?:append|extend|pop|remove|insert|clear)\()",
                module.source.segment(method),
            )
            if isinstance(only.targets[0], ast.Name) and grows is None:
                return only.value
    return node


def _is_optimizer(module: Module, method: FunctionNode, node: ast.expr) -> bool:
    value = _value(module, method, node)
    if isinstance(value, ast.Dict):
        return any(isinstance(k, ast.Constant) and k.value == "optimizer" for k in value.keys)
    if isinstance(value, ast.Call):
        name = module.qualified(value.func) or ""
        if _TORCH.match(name):
            return "lr_scheduler" not in name
    name = node.id if isinstance(node, ast.Name) else getattr(node, "attr", "")
    return bool(_NAMED.search(name)) and not _SCHEDULER.search(name)
