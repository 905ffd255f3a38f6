"""What a mean is told of the size of a batch, and whether that is the size of every batch."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from lintmetrics.edits import FunctionNode
from lintmetrics.model import batches, hooks, loaders
from lintmetrics.model.batches import BatchSize
from lintmetrics.model.flow import LightningClass
from lintmetrics.model.hook_effects import MetricUse
from lintmetrics.model.log_calls import LogCall, LogContext
from lintmetrics.model.parted_steps import rebinds_before_end
from lintmetrics.model.tensors import bindings
from lintmetrics.model.values import Form, Number, options
from lintmetrics.project import ClassInfo, Module
from lintmetrics.tree import own_nodes

_SIZE = re.compile(r"(?:^|_)(?:batch_?size|bs|bsz)(?:$|_)", re.I)
# Sums and counts are no means, whatever their weight.
_NO_MEANS = (Form.SUM, Form.HITS, Form.COUNT, Form.BATCHES)
# Batches of these libraries have string keys, and a length that is their number of samples.
_SIZED_BATCHES = re.compile(r"\b(?:tensordict|torch_geometric|torchio|dgl|pandas|polars)\b")


@dataclass(frozen=True)
class SaidSize:
    """An expression that is given as the number of samples of a batch.

    Args:
        module: the file; ``node``: the expression where it is given.
        text: how it is written, behind a local name.
        members: how many members the batch has, where it is their number; 0 where the batch is a
            mapping, whose keys it counts; ``None`` where it is a constant.
        value: the constant, where it is written down.
        true: what is known of the real size.
    """

    module: Module = field(repr=False)
    node: ast.expr
    text: str
    members: int | None
    value: int | None
    true: BatchSize


def of_log_call(call: LogCall) -> tuple[SaidSize, list[LogContext]] | None:
    """Return what a log call says of its batch size where that is no size of a batch, and the ways
    in which it decides a mean."""
    given = call.argument("batch_size")
    if given is None or call.function is None:
        return None
    ways = [context for context in call.contexts if _is_weighed(context)]
    said = _said(call.cls, call.module, call.function, given, [c.stage for c in ways])
    if said is None or not ways:
        return None
    return said, ways


def of_mean_metrics(model: LightningClass) -> Iterator[tuple[SaidSize, MetricUse]]:
    """Yield what the MeanMetrics of a module are given as weights that are no sizes of batches."""
    for use in model.uses:
        if use.operation not in ("update", "forward") or not hooks.is_batch_hook(use.hook):
            continue
        if not use.metric.name.endswith(".MeanMetric"):
            continue
        given = use.node.args[1] if len(use.node.args) > 1 else None
        given = next((k.value for k in use.node.keywords if k.arg == "weight"), given)
        function = use.module.enclosing_function(use.node)
        if given is not None and function is not None:
            stages = [hooks.stage_of(use.hook)]
            said = _said(model.cls, use.module, function, given, stages)
            if said is not None:
                yield said, use


def last_batch(cls: ClassInfo, stage: str) -> str:
    """Return what the loaders of a stage show of its last batch.

    ``short`` where it may be, ``full`` where they drop it, ``single`` where every batch is one
    sample, and nothing where no loader is known.
    """
    found = [loader for feed in loaders.feeds(cls, stage) for loader in feed.loaders]
    if not found:
        return ""
    if all(loader.is_single for loader in found):
        return "single"
    return "full" if all(loader.drops_last for loader in found) else "short"


def has_large_batches(cls: ClassInfo, stage: str) -> bool:
    """Tell whether a loader of a stage is seen to put several samples into a batch."""
    for feed in loaders.feeds(cls, stage):
        for loader in feed.loaders:
            size = loader.argument("batch_size", 1)
            if isinstance(size, ast.Constant) and isinstance(size.value, int) and size.value > 1:
                return True
    return False


def _is_weighed(context: LogContext) -> bool:
    held = options(context.value)
    return (context.averaged and not context.is_of_chosen_batches) and all(
        isinstance(value, Number) and value.form not in _NO_MEANS for value in held
    )


def _said(
    cls: ClassInfo, module: Module, function: FunctionNode, given: ast.expr, stages: Sequence[str]
) -> SaidSize | None:
    inner = _behind_name(module, function, given)
    text = " ".join(module.source.segment(inner).split())
    members = _members(cls, module, function, inner)
    is_constant, value = _constant(cls, module, function, inner)
    if members is None and not is_constant:
        return None
    true = batches.of(cls, function, stages)
    return SaidSize(module, given, text, members, value, true)


def _behind_name(module: Module, function: FunctionNode, node: ast.expr) -> ast.expr:
    """Return what a local name is bound to once; any other expression as it is."""
    if not isinstance(node, ast.Name):
        return node
    bound = bindings(module, node.id, function)
    only = bound[0] if len(bound) == 1 else None
    if isinstance(only, ast.Assign) and len(only.targets) == 1:
        target = only.targets[0]
        return only.value if isinstance(target, ast.Name) else node
    return node


def _members(cls: ClassInfo, module: Module, function: FunctionNode, node: ast.expr) -> int | None:
    """Return the number of members for ``len(batch)`` of a tuple, 0 for that of a mapping."""
    if not (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "len"
        and len(node.args) == 1
        and isinstance(node.args[0], ast.Name)
    ):
        return None
    name = node.args[0].id
    if name != batches.batch_parameter(cls, function) or rebinds_before_end(function, name):
        return None
    arguments = [*function.args.posonlyargs, *function.args.args]
    if any(a.arg == name and _is_own_class(a.annotation) for a in arguments):
        return None
    mapping = False
    for inner in own_nodes(function):
        if (
            isinstance(inner, ast.Assign)
            and isinstance(inner.value, ast.Name)
            and inner.value.id == name
            and isinstance(inner.targets[0], (ast.Tuple, ast.List))
        ):
            parts = inner.targets[0].elts
            if any(isinstance(part, ast.Starred) for part in parts):
                return None
            return len(parts)
        if (
            isinstance(inner, ast.Subscript)
            and isinstance(inner.value, ast.Name)
            and inner.value.id == name
            and isinstance(inner.slice, ast.Constant)
        ):
            if not isinstance(inner.slice.value, str):
                return None  # Of a tuple the members are not counted here; of a list they are it.
            mapping = True
    if mapping and not _SIZED_BATCHES.search(module.source.text):
        return 0
    return None


def _is_own_class(annotation: ast.expr | None) -> bool:
    """Tell whether a batch is annotated with a class that may have a length of its own."""
    if annotation is None:
        return False
    text = ast.unparse(annotation).strip("'\"")
    return not re.match(
        r"(?:(?:typing|t|torch|builtins)\.)?(?:Any|[Dd]ict|[Tt]uple|[Ll]ist|Mapping|Sequence)\b",
        text,
    )


def _constant(
    cls: ClassInfo, module: Module, function: FunctionNode, node: ast.expr
) -> tuple[bool, int | None]:
    """Tell whether an expression is the same for every batch, and its value where written."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        is_constant, value = _constant(cls, module, function, node.operand)
        return is_constant, None if value is None else -value
    if isinstance(node, ast.Constant):
        plain = isinstance(node.value, int) and not isinstance(node.value, bool)
        return plain, node.value if plain else None  # type: ignore[return-value]
    if isinstance(node, ast.Name):
        known = module.constant(node.id) if node.id not in module.scope_of(function) else None
        plain = isinstance(known, int) and not isinstance(known, bool)
        return plain, known if plain else None  # type: ignore[return-value]
    last = node.attr if isinstance(node, ast.Attribute) else ""
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        last = str(node.slice.value)
    first = ""
    root = node
    while isinstance(root, (ast.Attribute, ast.Subscript)):
        first = root.attr if isinstance(root, ast.Attribute) else first
        root = root.value
    if not (isinstance(root, ast.Name) and root.id == "self" and _SIZE.search(last)):
        return False, None
    changes = LightningClass.of(cls).is_reassigned(first) or cls.lookup(first) is not None
    return not changes, None
