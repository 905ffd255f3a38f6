"""Totals that a module keeps in its attributes: what adds to them, and what they are divided by."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

from lintmetrics.edits import FunctionNode
from lintmetrics.model.epoch_hooks import STAGE_OF_HOOK, family
from lintmetrics.model.step_outputs import assignments, attribute_values
from lintmetrics.project import ClassInfo
from lintmetrics.tree import subtree

_LOADERS = re.compile(r"(?:^|[._])(?:\w*_)?(?:data_?)?loaders?(?:\(\))?(?:\[[^\[\]]*\])?$", re.I)
_TRAINER_COUNTS = re.compile(
    r"(?:^|\.)trainer\.num_(?:training|val|test|sanity_val)_batches(?:\[[^\[\]]*\])?$"
)
_BATCH_INDEX = re.compile(r"batch_?(?:idx|index|nb|num|id|i)$|^idx$", re.I)
_BATCH_VALUE = re.compile(
    r"loss|acc(?!um)|nll|elbo|perplexity|iou|dice|error|psnr|ssim|mae|mse|wer|cer(?![a-z])", re.I
)
_COUNTED = re.compile(r"num|count|correct|hits|\bn_|_n\b|right", re.I)
_ZERO = ("torch.zeros", "torch.tensor", "torch.as_tensor", "numpy.zeros", "torch.zeros_like")
_SAME = ("to", "cuda", "cpu", "type_as", "float", "double")


@dataclass(frozen=True)
class Addition:
    """A statement that adds to a total.

    Args:
        node: the statement; ``target``: the total; ``added``: what is added.
    """

    node: ast.stmt
    target: ast.expr
    added: ast.expr


def addition(node: ast.stmt) -> Addition | None:
    """Return what ``self.x += value`` and ``self.x = self.x + value`` add."""
    if isinstance(node, ast.AugAssign):
        if isinstance(node.op, ast.Add) and attribute_of(node.target) is not None:
            return Addition(node, node.target, node.value)
        return None
    if not (isinstance(node, ast.Assign) and len(node.targets) == 1):
        return None
    target, value = node.targets[0], node.value
    if not (isinstance(value, ast.BinOp) and isinstance(value.op, ast.Add)):
        return None
    if attribute_of(target) is None:
        return None
    text = ast.unparse(target)
    for own, other in ((value.left, value.right), (value.right, value.left)):
        if isinstance(own, (ast.Attribute, ast.Subscript)) and ast.unparse(own) == text:
            return Addition(node, target, other)
    return None


def attribute_of(node: ast.expr) -> str | None:
    """Return ``x`` for ``self.x`` and ``self.x[...]``."""
    while isinstance(node, ast.Subscript):
        node = node.value
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return node.attr
    return None


def keys_of(node: ast.expr) -> list[ast.expr]:
    """Return the keys that lead from the attribute to a total."""
    found: list[ast.expr] = []
    while isinstance(node, ast.Subscript):
        found.insert(0, node.slice)
        node = node.value
    return found


def is_named_as_mean(target: ast.expr, added: ast.expr) -> bool:
    """Tell whether the names of a total and of what it is given are those of a mean of a batch.

    A product may be one with the size of the batch.
    """
    if any(isinstance(n, ast.BinOp) and isinstance(n.op, ast.Mult) for n in subtree(added)):
        return False
    texts = [ast.unparse(target), ast.unparse(added)]
    return any(map(_BATCH_VALUE.search, texts)) and not any(map(_COUNTED.search, texts))


def is_first_batch(test: ast.expr) -> bool:
    """Tell whether a condition asks for the first batch of the epoch."""
    if not (isinstance(test, ast.Compare) and isinstance(test.ops[0], ast.Eq)):
        return False
    (bound,) = test.comparators
    return (
        isinstance(test.left, ast.Name)
        and _BATCH_INDEX.search(test.left.id) is not None
        and isinstance(bound, ast.Constant)
        and bound.value == 0
    )


def counts_batches(cls: ClassInfo, function: FunctionNode | None, node: ast.expr) -> bool:
    """Tell whether an expression is the number of batches of an epoch: the length of a loader."""
    if isinstance(node, ast.Name) and function is not None:
        found = assignments(function, node.id)
        return len(found) == 1 and found[0] is not None and _is_length(found[0])
    attribute = attribute_of(node) if isinstance(node, ast.Attribute) else None
    if attribute is not None and ast.unparse(node) == f"self.{attribute}":
        values = [v for base in cls.mro() for v in attribute_values(base, attribute)]
        lengths = [v for v in values if not (isinstance(v, ast.Constant) and not v.value)]
        return bool(lengths) and all(map(_is_length, lengths))
    return _is_length(node)


def _is_length(node: ast.expr) -> bool:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
        if node.func.id in ("max", "float", "int"):
            return any(_is_length(argument) for argument in node.args)
        if node.func.id == "sum" and len(node.args) == 1:
            return _TRAINER_COUNTS.search(ast.unparse(node.args[0])) is not None
        if node.func.id == "len" and len(node.args) == 1:
            return _LOADERS.search(ast.unparse(node.args[0])) is not None
    return _TRAINER_COUNTS.search(ast.unparse(node)) is not None


def is_zero(cls: ClassInfo, node: ast.expr) -> bool:
    """Tell whether an expression is where a total begins: zero, in any form, or nothing yet."""
    if isinstance(node, ast.Constant):
        return node.value is None or (not isinstance(node.value, str) and not node.value)
    if isinstance(node, ast.Dict):
        return all(is_zero(cls, value) for value in node.values)
    if isinstance(node, ast.DictComp):
        return is_zero(cls, node.value)
    if isinstance(node, ast.ListComp):
        return is_zero(cls, node.elt)
    if isinstance(node, (ast.List, ast.Tuple)):
        return all(is_zero(cls, value) for value in node.elts)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        return is_zero(cls, node.left)
    if not isinstance(node, ast.Call):
        return False
    func = node.func
    if isinstance(func, ast.Attribute) and func.attr in _SAME:
        return is_zero(cls, func.value)
    name = cls.module.qualified(func) or (func.id if isinstance(func, ast.Name) else "")
    if name in _ZERO:
        return name.rsplit(".", 1)[-1].startswith("zeros") or (
            bool(node.args) and is_zero(cls, node.args[0])
        )
    if name.rsplit(".", 1)[-1] == "defaultdict":
        return bool(node.args) and ast.unparse(node.args[0]) in ("float", "int")
    return False


def is_total(cls: ClassInfo, attribute: str) -> bool:
    """Tell whether all that is done to an attribute is to add to it and to start it anew.

    What an epoch-end hook makes of it in place, such as the mean, is gone with the next start.
    """
    below = {base for sub in cls.subclasses for base in sub.mro()}
    for base in dict.fromkeys((*family(cls), *below)):
        for method in base.methods.values():
            if not all(_keeps(base, method, node) for node in _stores(method, attribute)):
                return False
    return True


def _stores(method: FunctionNode, attribute: str) -> list[ast.stmt | None]:
    """Return the statements of a method that give an attribute a value."""
    found: list[ast.stmt | None] = []
    for node in subtree(method):
        targets: list[ast.expr] = []
        if isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, (ast.AugAssign, ast.AnnAssign, ast.For, ast.AsyncFor)):
            targets = [node.target]
        for target in targets:
            for part in target.elts if isinstance(target, (ast.Tuple, ast.List)) else [target]:
                if attribute_of(part) == attribute:
                    assert isinstance(node, ast.stmt)
                    found.append(node)
    return found


def _keeps(cls: ClassInfo, method: FunctionNode, node: ast.stmt | None) -> bool:
    if node is None:
        return False
    if addition(node) is not None:
        return True
    if isinstance(node, ast.AugAssign):
        return isinstance(node.op, ast.Div) and method.name in STAGE_OF_HOOK
    if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
        return is_zero(cls, node.value)
    return isinstance(node, ast.AnnAssign)
