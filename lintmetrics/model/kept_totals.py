"""Totals that outlive their epoch: what steps add up, which hook reads it, who starts it anew."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from lintmetrics.edits import FunctionNode
from lintmetrics.model import hooks
from lintmetrics.model.epoch_hooks import STAGES, Stage
from lintmetrics.model.flow import LightningClass
from lintmetrics.model.hook_effects import Added
from lintmetrics.model.kept_outputs import MADE_IN, KeptList, cleared_late, of_self
from lintmetrics.model.running_totals import (
    addition,
    counts_batches,
    is_named_as_mean,
    is_total,
    is_zero,
)
from lintmetrics.model.values import Const, Form, numbers
from lintmetrics.project import ClassInfo, Module
from lintmetrics.tree import subtree

_OF_THE_RUN = re.compile(
    r"hist|ever|all_time|lifetime|cumul|seen|overall|ema|reward|return|episode|global|best|record",
    re.I,
)
_SCORE = re.compile(r"loss|acc(?!um)|nll|iou|dice|err|psnr|ssim|mae|mse|correct|hits", re.I)
_RESETTING = ("zero_", "fill_", "copy_", "clear", "update", "pop", "reset")


class KeptTotal(KeptList):
    """An attribute of a module that its steps add to."""

    @property
    def is_list(self) -> bool:
        """Whether it is what steps add to and others start anew, and nothing else."""
        return bool(self.values) and is_total(self.cls, self.attribute)

    @property
    def is_nested(self) -> bool:
        """Whether it is a container of totals."""
        return any(isinstance(value, (ast.Dict, ast.DictComp, ast.List)) for value in self.values)

    @property
    def is_reduced(self) -> bool:
        """Totals are read as a mean."""
        return True

    def _frees(self, cls: ClassInfo, method: FunctionNode, node: ast.Attribute) -> bool:
        module = cls.module
        statement = module.statement(node)
        inner: ast.AST = node
        parent = module.parent(inner)
        while isinstance(parent, ast.Subscript) and parent.value is inner:
            inner, parent = parent, module.parent(parent)
        if isinstance(getattr(inner, "ctx", None), (ast.Store, ast.Del)):
            divided = isinstance(statement, ast.AugAssign) or (
                isinstance(statement, (ast.Assign, ast.AnnAssign))
                and statement.value is not None
                and not is_zero(cls, statement.value)
                and not isinstance(statement.value, ast.Tuple)
            )
            return addition(statement) is None and not divided and method.name not in MADE_IN
        if isinstance(parent, ast.Attribute):
            return parent.attr in _RESETTING
        # A container may be emptied under any name.
        return inner is node and self.is_nested

    def _reads(self, node: ast.AST) -> bool:
        return isinstance(getattr(node, "ctx", None), ast.Load) and not _is_added_to(node)


@dataclass(frozen=True)
class KeptAddition:
    """A total that a step adds to, for the epoch that its hook reads it in."""

    cls: ClassInfo
    stage: Stage
    function: FunctionNode
    node: ast.AST
    module: Module
    attribute: str

    @property
    def kept(self) -> KeptTotal:
        """The total."""
        return KeptTotal(self.cls, self.attribute)


def additions(cls: ClassInfo) -> Iterator[KeptAddition]:
    """Yield each total of a class that the steps of training or validation add to, once."""
    seen: set[str] = set()
    for one in LightningClass.of(cls).added:
        stage = next(
            (s for s in STAGES if hooks.stage_of(s.step) == hooks.stage_of(one.hook)), None
        )
        if (
            stage is None
            or stage.name == "test"  # One pass is all that most tests of a model are.
            or one.attribute in seen
            or one.looped
            or one.function is None
            or not _is_of_an_epoch(one)
        ):
            continue
        owner = one.module.enclosing_class(one.node)
        if owner is not cls:
            continue
        seen.add(one.attribute)
        yield KeptAddition(cls, stage, one.function, one.node, one.module, one.attribute)


def is_never_restarted(one: KeptAddition) -> bool:
    """Tell whether a mean of an epoch is made of what earlier epochs have left as well."""
    kept = one.kept
    if not kept.is_list or not kept.read_in or _OF_THE_RUN.search(one.attribute):
        return False
    if not any(_is_divided(one.cls, hook, one.attribute) for _, hook in kept.read_in):
        return False
    from_outside = rf"(?<!\bself)\.{re.escape(one.attribute)}\b\s*(?:\[[^\]]*\]\s*)?=[^=]"
    if re.search(from_outside, one.cls.module.source.text):
        return False  # A callback beside it, perhaps.
    return not kept.freed_in or kept.freed_only_in_dead is not None or bool(cleared_late(one))


def _is_of_an_epoch(one: Added) -> bool:
    """Tell whether what is added is a mean, a sum or a count of a batch, as far as that shows."""
    if one.value == Const(1):
        return True
    forms = {number.form for number in numbers(one.value)}
    if forms and forms <= {Form.MEAN, Form.SUM, Form.HITS, Form.COUNT, Form.METRIC, Form.RATIO}:
        return True
    return is_named_as_mean(one.target, one.added)


def _is_score(one: Added) -> bool:
    """Tell whether what is added is surely a loss or a score of the batch, or its part of one."""
    if one.value == Const(1):
        return False
    forms = {number.form for number in numbers(one.value)}
    if forms and forms <= {Form.MEAN, Form.HITS, Form.METRIC, Form.RATIO}:
        return True
    return _SCORE.search(f"{ast.unparse(one.target)} {ast.unparse(one.added)}") is not None


def _is_divided(cls: ClassInfo, hook: FunctionNode, attribute: str) -> bool:
    """Tell whether a hook divides one total by another, or by the number of batches."""
    added = {one.attribute for one in LightningClass.of(cls).added}
    scores = {one.attribute for one in LightningClass.of(cls).added if _is_score(one)}
    for node in subtree(hook):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            left, right = node.left, node.right
        elif isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Div):
            left, right = node.target, node.value
        else:
            continue
        above, below = _attributes(left) & added, _attributes(right) & added
        if not above & scores:
            continue  # Rates, shares and statistics of the run may be meant to go on.
        if attribute in above and (below or counts_batches(cls, hook, right)):
            return True
        if attribute in below and above:
            return True
    return False


def _attributes(node: ast.AST) -> set[str]:
    return {name for inner in subtree(node) if (name := of_self(inner)) is not None}


def _is_added_to(node: ast.AST) -> bool:
    """Tell whether a total is read only to add to it."""
    inner, parent = node, getattr(node, "lm_parent", None)
    while parent is not None and not isinstance(inner, ast.stmt):
        inner, parent = parent, getattr(parent, "lm_parent", None)
    made = addition(inner) if isinstance(inner, ast.stmt) else None
    return made is not None and node not in subtree(made.added)
