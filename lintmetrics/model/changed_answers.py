"""What a Trainer or a module of Lightning 2 answers otherwise than Lightning 1, under its old name.

``trainer.max_steps`` is -1 where none is given (it was ``None``), ``trainer.val_dataloaders`` is
what the user gave (it was a list), and ``self.train_dataloader()`` raises in a module that has none
of its own (it was given that of the Trainer). Each read on lightning 2.6.6.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from lintmetrics.edits import FunctionNode
from lintmetrics.kept_answers import kept
from lintmetrics.model.batch_parts import local_value
from lintmetrics.model.lightning_objects import gives, is_left_alone, kind_of
from lintmetrics.model.trainer_calls import trainer_calls
from lintmetrics.project import ClassInfo, FunctionInfo, Module, Project
from lintmetrics.tree import own_nodes, subtree

_READ = re.compile(
    r"\.\s*(?:max_steps|(?:val|test|predict)_dataloaders|(?:train|val|test|predict)_dataloader)\b"
)
_LOADERS = ("val_dataloaders", "test_dataloaders", "predict_dataloaders")
_METHODS = ("train_dataloader", "val_dataloader", "test_dataloader", "predict_dataloader")
_IN_ORDER = frozenset(("enumerate", "list", "tuple", "zip", "len", "reversed"))
_DEPTH = 5


@dataclass(frozen=True)
class ChangedAnswer:
    """A place that goes by what Lightning 1 answered.

    Args:
        module: the file; ``node``: what is read.
        kind: ``"none"`` (asked for being ``None`` or 0), ``"index"`` (taken for a list),
            ``"round"`` (gone through, or counted, as a list) or ``"own"`` (not there).
        asked: the test, for ``"none"``.
    """

    module: Module = field(repr=False)
    node: ast.Attribute
    kind: str
    asked: str = ""


def changed_answers(module: Module) -> Iterator[ChangedAnswer]:
    """Yield the places of a file that go by what Lightning 1 answered."""
    if not _READ.search(module.source.code):
        return
    for node in subtree(module.tree):
        if not isinstance(node, ast.Attribute) or not isinstance(node.ctx, ast.Load):
            continue
        found = None
        if node.attr == "max_steps":
            found = _limit(module, node)
        elif node.attr in _LOADERS:
            found = _loaders(module, node)
        elif node.attr in _METHODS:
            found = _method(module, node)
        if found is not None and not is_left_alone(module, node, node.attr):
            yield found


# The limit of steps ----------------------------------------------------------------------------


def _limit(module: Module, node: ast.Attribute) -> ChangedAnswer | None:
    parent = module.parent(node)
    asked = ""
    if isinstance(parent, ast.Compare) and parent.left is node and len(parent.ops) == 1:
        other = parent.comparators[0]
        if isinstance(other, ast.Constant) and other.value is None:
            asked = ast.unparse(parent)
    elif isinstance(parent, (ast.If, ast.IfExp, ast.While)) and parent.test is node:
        asked = ast.unparse(node)
    elif isinstance(parent, ast.UnaryOp) and isinstance(parent.op, ast.Not):
        asked = ast.unparse(parent)
    elif isinstance(parent, ast.BoolOp):
        # The last of ``a or b`` is what comes out, whatever it is.
        is_last = parent.values[-1] is node
        asked = "" if is_last and not _is_tested(module, parent) else ast.unparse(node)
    if not asked or "Trainer" not in kind_of(module, node.value).names:
        return None
    function = module.enclosing_function(node)
    if any(map(_compares, subtree(function or module.tree))):
        return None  # It is known there that no limit is a number.
    return ChangedAnswer(module, node, "none", asked)


def _is_tested(module: Module, node: ast.AST) -> bool:
    above = module.parent(node)
    return (isinstance(above, (ast.If, ast.IfExp, ast.While)) and above.test is node) or (
        isinstance(above, ast.UnaryOp) and isinstance(above.op, ast.Not)
    )


def _compares(node: ast.AST) -> bool:
    """Tell whether a limit of steps is compared with a number."""
    if not isinstance(node, ast.Compare):
        return False
    sides = [node.left, *node.comparators]
    return any(isinstance(side, ast.Attribute) and side.attr == "max_steps" for side in sides) and (
        not any(isinstance(side, ast.Constant) and side.value is None for side in sides)
    )


# The loaders of a Trainer ----------------------------------------------------------------------


def _loaders(module: Module, node: ast.Attribute) -> ChangedAnswer | None:
    parent = module.parent(node)
    kind = ""
    if isinstance(parent, ast.Subscript) and parent.value is node:
        kind = "index"
    elif isinstance(parent, (ast.For, ast.comprehension)):
        kind = "round" if parent.iter is node else ""
    elif isinstance(parent, ast.Call):
        kind = "round" if node in parent.args and _is_in_order(parent.func) else ""
    if not kind or "Trainer" not in kind_of(module, node.value).names:
        return None
    stage = node.attr.removesuffix("s")
    return ChangedAnswer(module, node, kind) if _is_one(module.project, stage) else None


def _is_in_order(func: ast.expr) -> bool:
    return isinstance(func, ast.Name) and func.id in _IN_ORDER


@kept
def _single(project: Project) -> frozenset[str]:
    """Return the methods of loaders that give one loader wherever the project has them."""
    known: dict[str, list[bool]] = {name: [] for name in _METHODS}
    for module in project.mentioning(re.compile(r"\w_dataloaders?\b")):
        for cls in module.classes:
            if cls.is_lightning or cls.is_kind("LightningDataModule"):
                for name in _METHODS:
                    method = cls.methods.get(name)
                    if method is not None:
                        known[name].append(_returns_one(module, cls, method, 0))
        for node in subtree(module.tree):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                for name in _METHODS:
                    if node.attr == name:
                        known[name].append(False)
    for call in trainer_calls(project):
        for name, value in _handed(call.node, call.kind):
            if kind_of(call.module, value).names & {"LightningDataModule"}:
                continue
            known[name].append(_is_loader(call.module, value, None, 0))
    return frozenset(name for name, found in known.items() if found and all(found))


def _is_one(project: Project, name: str) -> bool:
    return name in _single(project)


def _handed(call: ast.Call, kind: str) -> Iterator[tuple[str, ast.expr]]:
    """Yield what a call hands to a Trainer, by the method whose place it takes."""
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    value = given.get("val_dataloaders") or given.get("dataloaders")
    if kind == "fit":
        value = value or (call.args[2] if len(call.args) > 2 else None)
        if value is not None:
            yield "val_dataloader", value
        return
    value = value or given.get("test_dataloaders") or (call.args[1] if len(call.args) > 1 else None)
    if value is not None:
        yield ("val_dataloader" if kind == "validate" else "test_dataloader"), value


def _returns_one(module: Module, cls: ClassInfo | None, function: FunctionNode, depth: int) -> bool:
    returned = [node.value for node in own_nodes(function) if isinstance(node, ast.Return)]
    return bool(returned) and all(
        value is not None and _is_loader(module, value, cls, depth) for value in returned
    )


def _is_loader(module: Module, value: ast.expr, cls: ClassInfo | None, depth: int) -> bool:
    """Tell whether an expression surely is one loader."""
    if depth > _DEPTH:
        return False
    if isinstance(value, ast.IfExp):
        return all(_is_loader(module, v, cls, depth + 1) for v in (value.body, value.orelse))
    if isinstance(value, ast.Name):
        made = local_value(module, value)
        return made is not None and _is_loader(module, made, cls, depth + 1)
    if not isinstance(value, ast.Call):
        return False
    func = value.func
    if isinstance(func, ast.Attribute) and cls is not None and ast.unparse(func.value) == "self":
        info = cls.lookup(func.attr)
        return info is not None and _returns_one(info.module, cls, info.node, depth + 1)
    made_by = module.resolve(func)
    if isinstance(made_by, FunctionInfo):
        return _returns_one(made_by.module, None, made_by.node, depth + 1)
    if isinstance(made_by, ClassInfo):
        return any(base.endswith(".DataLoader") for base in made_by.base_names)
    return (module.qualified(func) or "").endswith(".DataLoader")


# The loaders of a module -----------------------------------------------------------------------


def _method(module: Module, node: ast.Attribute) -> ChangedAnswer | None:
    parent = module.parent(node)
    cls = module.enclosing_class(node)
    if (
        cls is None
        or not cls.is_kind("LightningModule")
        or not (isinstance(parent, ast.Call) and parent.func is node and not parent.args)
        or not (isinstance(node.value, ast.Name) and node.value.id == "self")
        or gives(cls, node.attr)
        or _is_set_from_outside(module.project, node.attr)
        or not _is_made(cls)
    ):
        return None
    return ChangedAnswer(module, node, "own")


def _is_set_from_outside(project: Project, name: str) -> bool:
    pattern = re.compile(rf"\.{name}\s*=[^=]|setattr\([^)]*['\"]{name}['\"]")
    return bool(project.mentioning(pattern))


def _is_made(cls: ClassInfo) -> bool:
    """Tell whether the project makes objects of a class, and does not leave that to others."""
    family = {cls, *cls.subclasses}
    names = re.compile("|".join(rf"\b{re.escape(one.node.name)}\b" for one in family))
    return any(
        module.resolve(call.func) in family
        for module in cls.module.project.mentioning(names)
        for call in module.calls
        if isinstance(call.func, (ast.Name, ast.Attribute))
    )
