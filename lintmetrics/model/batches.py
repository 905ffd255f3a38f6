"""What a batch looks like: how many samples it has, and whether Lightning can tell.

Lightning walks the batch depth first and takes ``size(0)`` of the first tensor it meets; an object
that is no tensor, mapping, iterable or dataclass tells it nothing.
Source: lightning 2.6.6, ``utilities/data.py``, ``extract_batch_size``; every form below was run.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass

from lintmetrics.edits import FunctionNode
from lintmetrics.kept_answers import kept
from lintmetrics.model import hooks, loaders, parted_steps
from lintmetrics.model.batch_parts import is_bare
from lintmetrics.model.log_calls import LogCall, LogContext
from lintmetrics.model.parted_steps import rebinds_before_end
from lintmetrics.model.values import Number, options
from lintmetrics.project import ClassInfo, Module
from lintmetrics.tree import own_nodes, subtree

_MASKS = frozenset(("train_mask", "val_mask", "test_mask"))
_LABEL = re.compile(r"_$|(?:\w+_)?(?:paths?|files?|names?|ids?|idx|indices|metas?|keys?)$")
_BATCH_NAME = re.compile(r"(?:b|bs|bsz|n_?batch|batch_?size|batch)$", re.I)
_TIME_NAME = re.compile(
    r"(?:t|l|s|time|times|steps|seq|seq_?len|seq_?length|n_?steps|length)$", re.I
)


@dataclass(frozen=True)
class BatchSize:
    """How Lightning's guess at the batch size of a step turns out.

    Args:
        inference: ``wrong`` (silently another number), ``fails`` (raises) or ``unknown``.
        why: what the batch is, and what Lightning takes for its size.
        expression: the size, as the step can write it; ``None`` when that is not evident.
        parameter: the name of the batch.
    """

    inference: str
    why: str = ""
    expression: str | None = None
    parameter: str = ""


@kept
def in_step(cls: ClassInfo, function: FunctionNode) -> BatchSize:
    """Return what the code of a step, or of a method that steps share, shows of its batch."""
    # A step with many log calls is asked about once for each.
    name = batch_parameter(cls, function)
    if name is None:
        return BatchSize("unknown")
    for read in (_annotated, _graphs, _samples, _images, _time_first):
        found = read(cls, function, name)
        if found is not None:
            return found
    # The loaders of one module give batches of one kind: what its other steps show holds here.
    for step in hooks.STEPS:
        other = cls.methods.get(step)
        if other is None or other is function:
            continue
        batch = batch_parameter(cls, other)
        parts = _unpacked(function, name)
        named = [part for part in parts if part and not _LABEL.match(part)]
        if (
            batch is not None
            and named
            and _images(cls, other, batch) is not None
            and len(parts) == len(_unpacked(other, batch))
        ):
            return _listed_images(named[0], name)
        if batch is not None and _samples(cls, other, batch) is not None and not parts:
            return _list_of_samples(function, name)
    return BatchSize("unknown", "", _evident(cls, function, name), name)


def batch_parameter(cls: ClassInfo, function: FunctionNode) -> str | None:
    """Return the parameter that is the batch."""
    arguments = [*function.args.posonlyargs, *function.args.args]
    if function.name in hooks.STEPS:
        return arguments[1].arg if len(arguments) > 1 else None
    return next((a.arg for a in arguments[1:] if a.arg in ("batch", "data")), None)


def _annotated(cls: ClassInfo, function: FunctionNode, name: str) -> BatchSize | None:
    """Read the class that the batch is annotated with, where the project defines it."""
    arguments = [*function.args.posonlyargs, *function.args.args]
    annotation = next((a.annotation for a in arguments if a.arg == name), None)
    if annotation is None or not isinstance(annotation, (ast.Name, ast.Attribute)):
        return None
    kind = cls.module.resolve(annotation)
    if not isinstance(kind, ClassInfo):
        return None
    if not is_bare(kind):
        return None
    expression = None
    for attribute in ("batch_size", "num_samples"):
        if kind.lookup(attribute) is not None or attribute in _set_attributes(kind):
            expression = f"{name}.{attribute}"
            break
    else:
        if kind.lookup("__len__") is not None:
            expression = f"len({name})"
    if rebinds_before_end(function, name):
        expression = None
    return BatchSize(
        "fails",
        f"the batch is a {kind.node.name}, in which Lightning finds no tensor to tell its size by",
        expression,
        name,
    )


def _set_attributes(cls: ClassInfo) -> set[str]:
    return {
        node.attr
        for base in cls.mro()
        for node in subtree(base.node)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
    }


def _graphs(cls: ClassInfo, function: FunctionNode, name: str) -> BatchSize | None:
    """Recognise a batch of PyTorch Geometric, whose first tensor has a row for each node."""
    read = {
        node.attr
        for node in own_nodes(function)
        if isinstance(node, ast.Attribute) and _is_name(node.value, name)
    }
    # No other batches have edges and say of each node which graph it is in.
    named = "num_graphs" in read or {"edge_index", "batch"} <= read
    if not named and not _imports(cls.module, "torch_geometric"):
        return None
    if read & _MASKS:
        return None  # One graph with labelled nodes: nodes are the samples.
    pooled = any(
        isinstance(node, (ast.Name, ast.Attribute))
        and re.match(r"global_\w+_pool$", node.attr if isinstance(node, ast.Attribute) else node.id)
        for node in subtree(cls.module.tree)
    )
    if not ("num_graphs" in read or "batch" in read or ("y" in read and pooled)):
        return None  # Nodes may be the samples.
    expression = None if rebinds_before_end(function, name) else f"{name}.num_graphs"
    return BatchSize(
        "wrong",
        "the batch holds graphs, and Lightning takes its number of nodes for the batch size",
        expression,
        name,
    )


def _imports(module: Module, package: str) -> bool:
    return any(
        item.target == package or item.target.startswith(package + ".") for item in module.imports
    )


def _samples(cls: ClassInfo, function: FunctionNode, name: str) -> BatchSize | None:
    """Recognise a list of samples: it is taken apart sample by sample, by key or position."""
    for node in own_nodes(function):
        if isinstance(node, ast.comprehension) and _is_name(node.iter, name):
            holder = cls.module.parent(node)
            if isinstance(holder, ast.DictComp) or holder is None:
                continue
            if isinstance(node.target, ast.Name) and _keyed(holder, node.target.id):
                return _list_of_samples(function, name)
            if isinstance(node.target, ast.Tuple) and _stacked(cls.module, holder):
                return _list_of_samples(function, name)
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id == "zip"
            and len(node.args) == 1
            and isinstance(node.args[0], ast.Starred)
            and _is_name(node.args[0].value, name)
        ):
            return _list_of_samples(function, name)
    return None


def _list_of_samples(function: FunctionNode, name: str) -> BatchSize:
    return BatchSize(
        "wrong",
        "the batch is a list of samples, and Lightning takes a dimension of one for its size",
        None if rebinds_before_end(function, name) else f"len({name})",
        name,
    )


def _keyed(holder: ast.AST, item: str) -> bool:
    return any(
        isinstance(node, ast.Subscript)
        and _is_name(node.value, item)
        and isinstance(node.slice, ast.Constant)
        and isinstance(node.slice.value, str)
        for node in subtree(holder)
    )


def _stacked(module: Module, holder: ast.AST) -> bool:
    parent = module.parent(holder)
    return (
        isinstance(parent, ast.Call)
        and isinstance(parent.func, ast.Attribute)
        and parent.func.attr in ("stack", "cat", "pad_sequence")
    )


def _images(cls: ClassInfo, function: FunctionNode, name: str) -> BatchSize | None:
    """Recognise images in a list, as detection models take them."""
    parts = [part for part in _unpacked(function, name) if part and not _LABEL.match(part)]
    if len(parts) < 2:
        return None
    images, targets = parts[0], parts[1]
    listed = False
    for node in own_nodes(function):
        if isinstance(node, ast.comprehension) and _is_name(node.iter, targets):
            holder = cls.module.parent(node)
            if isinstance(node.target, ast.Name) and holder is not None:
                item = node.target.id
                listed |= _keyed(holder, item) or any(
                    isinstance(inner, ast.Attribute)
                    and inner.attr == "items"
                    and _is_name(inner.value, item)
                    for inner in subtree(holder)
                )
        if isinstance(node, ast.Assign) and any(_is_name(t, images) for t in node.targets):
            value = node.value
            if isinstance(value, ast.Call) and isinstance(value.func, ast.Name):
                listed |= value.func.id == "list"
            if (
                isinstance(value, ast.Call)
                and isinstance(value.func, ast.Attribute)
                and value.func.attr == "stack"
                and value.args
                and _is_name(value.args[0], images)
            ):
                listed = True
    return _listed_images(images, name) if listed else None


def _listed_images(images: str, name: str) -> BatchSize:
    return BatchSize(
        "wrong",
        "the images are a list, and Lightning takes the channels of one for the batch size",
        f"len({images})",
        name,
    )


def _time_first(cls: ClassInfo, function: FunctionNode, name: str) -> BatchSize | None:
    """Recognise a second dimension that the step itself calls the batch."""
    parts = _unpacked(function, name)
    first = parts[0] if parts else name
    if first is None:
        return None
    for node in own_nodes(function):
        if not isinstance(node, ast.Assign) or len(node.targets) != 1:
            continue
        target, value = node.targets[0], node.value
        if isinstance(target, ast.Tuple) and len(target.elts) >= 2 and _shape_of(value, first):
            names = [e.id if isinstance(e, ast.Name) else "" for e in target.elts]
            if _TIME_NAME.match(names[0]) and _BATCH_NAME.match(names[1]):
                return _second_dimension(names[1], name)
        if (
            isinstance(target, ast.Name)
            and _BATCH_NAME.match(target.id)
            and _dimension_of(value, first) == 1
        ):
            return _second_dimension(target.id, name)
    return None


def _second_dimension(expression: str, name: str) -> BatchSize:
    return BatchSize(
        "wrong",
        "time comes first in the batch, and Lightning takes its length for the batch size",
        expression,
        name,
    )


def _shape_of(value: ast.expr, name: str) -> bool:
    if isinstance(value, ast.Attribute):
        return value.attr == "shape" and _is_name(value.value, name)
    return (
        isinstance(value, ast.Call)
        and isinstance(value.func, ast.Attribute)
        and value.func.attr == "size"
        and not value.args
        and _is_name(value.func.value, name)
    )


def _dimension_of(value: ast.expr, name: str) -> object:
    """Return ``i`` for ``name.size(i)`` and ``name.shape[i]``."""
    if isinstance(value, ast.Subscript) and _shape_of(value.value, name):
        return value.slice.value if isinstance(value.slice, ast.Constant) else None
    if (
        isinstance(value, ast.Call)
        and isinstance(value.func, ast.Attribute)
        and value.func.attr == "size"
        and len(value.args) == 1
        and _is_name(value.func.value, name)
    ):
        return value.args[0].value if isinstance(value.args[0], ast.Constant) else None
    return None


def _evident(cls: ClassInfo, function: FunctionNode, name: str) -> str | None:
    """Return how a step writes, or can write, the size of an ordinary batch."""
    parts = _unpacked(function, name)
    candidates = [part for part in parts if part and part != "_"] or [name]
    for node in own_nodes(function):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            target = node.targets[0].id
            if _BATCH_NAME.match(target) and any(
                _dimension_of(node.value, part) == 0 for part in candidates
            ):
                return target
    for part in candidates:
        if rebinds_before_end(function, part):
            continue
        if _is_tensor(function, part):
            if not _is_deleted(function, part):
                return f"{part}.size(0)"
            before = parts[: parts.index(part)] if part in parts else [None]
            # One that has no name here may be starred.
            if None not in before and not rebinds_before_end(function, name):
                return f"{name}[{len(before)}].size(0)"
    return (
        _asked_part(cls, function, name)
        or _handed_back(cls, function, name)
        or _handed_on(cls, function, name)
    )


def _asked_part(cls: ClassInfo, function: FunctionNode, name: str) -> str | None:
    """Return the size of a part of the batch that is asked for by its key or place."""
    if rebinds_before_end(function, name):
        return None
    for node in own_nodes(function):
        if not (isinstance(node, ast.Subscript) and _is_name(node.value, name)):
            continue
        key = node.slice.value if isinstance(node.slice, ast.Constant) else None
        if not isinstance(key, (str, int)) or not isinstance(node.ctx, ast.Load):
            continue
        holder = cls.module.parent(node)
        target = holder.targets[0] if isinstance(holder, ast.Assign) else None
        if isinstance(target, ast.Name) and target.id != "_":
            changes = rebinds_before_end(function, target.id) or _is_deleted(function, target.id)
            if not changes and _is_tensor(function, target.id):
                return f"{target.id}.size(0)"
        elif not _IN_WORDS.search(str(key)) and _is_used_as_tensor(cls.module, node):
            return f"{cls.module.source.segment(node)}.size(0)"
    return None


def _is_deleted(function: FunctionNode, name: str) -> bool:
    """Tell whether a body deletes a name."""
    return any(
        isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Del)
        for node in own_nodes(function)
    )


def _is_used_as_tensor(module: Module, node: ast.expr) -> bool:
    """Tell whether a part of the batch is used as a tensor, or goes into the network, in place."""
    holder = module.parent(node)
    if isinstance(holder, ast.Attribute) and holder.value is node:
        return holder.attr in _TENSOR_USES
    by_name = isinstance(holder, ast.keyword)
    call = module.parent(holder) if by_name and holder is not None else holder
    if not isinstance(call, ast.Call) or call.func is node:
        return False
    of_torch = ast.unparse(call.func).startswith(("F.", "torch.", "nn.functional."))
    return (of_torch and not by_name) or _is_network(call.func)


def _handed_on(cls: ClassInfo, function: FunctionNode, name: str) -> str | None:
    """Return the size of a part of the batch that another method is handed, and takes apart."""
    if rebinds_before_end(function, name):
        return None
    for call in own_nodes(function):
        if not (
            isinstance(call, ast.Call)
            and isinstance(call.func, ast.Attribute)
            and _is_name(call.func.value, "self")
        ):
            continue
        info = cls.lookup(call.func.attr)
        parameter = _parameter_for(call, info.node, name) if info is not None else None
        if info is None or parameter is None or info.node is function:
            continue
        for node in own_nodes(info.node):
            if not (
                isinstance(node, ast.Assign)
                and len(node.targets) == 1
                and isinstance(node.targets[0], (ast.Tuple, ast.List))
                and _is_name(node.value, parameter)
                and not rebinds_before_end(info.node, parameter)
            ):
                continue
            for index, part in enumerate(node.targets[0].elts):
                if isinstance(part, ast.Starred):
                    break
                if (
                    isinstance(part, ast.Name)
                    and part.id != "_"
                    and not rebinds_before_end(info.node, part.id)
                    and _is_tensor(info.node, part.id)
                ):
                    return f"{name}[{index}].size(0)"
    return None


def _parameter_for(call: ast.Call, function: FunctionNode, name: str) -> str | None:
    """Return the parameter of a method that a call of it gives a name for."""
    parameters = [a.arg for a in (*function.args.posonlyargs, *function.args.args)][1:]
    for parameter, given in zip(parameters, call.args, strict=False):
        if isinstance(given, ast.Starred):
            return None
        if _is_name(given, name):
            return parameter
    return next((k.arg for k in call.keywords if k.arg and _is_name(k.value, name)), None)


def _handed_back(cls: ClassInfo, function: FunctionNode, name: str) -> str | None:
    """Return the size of a part of the batch that a helper unpacks and hands back."""
    for node in own_nodes(function):
        if not (isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Tuple)):
            continue
        call = node.value
        if not (
            isinstance(call, ast.Call)
            and isinstance(call.func, ast.Attribute)
            and _is_name(call.func.value, "self")
            and call.args
            and _is_name(call.args[0], name)
        ):
            continue
        info = cls.lookup(call.func.attr)
        inner = info.node if info is not None else None
        parameters = [a.arg for a in inner.args.args] if inner is not None else []
        if inner is None or len(parameters) < 2:
            continue
        parts = {p for p in _unpacked(inner, parameters[1]) if p and p != "_"}
        returned = [n.value for n in own_nodes(inner) if isinstance(n, ast.Return)]
        if len(returned) != 1 or not isinstance(returned[0], ast.Tuple):
            continue
        for target, value in zip(node.targets[0].elts, returned[0].elts, strict=False):
            if (
                isinstance(value, ast.Name)
                and value.id in parts
                and isinstance(target, ast.Name)
                and not rebinds_before_end(inner, value.id)
                and target.id != "_"
                and not rebinds_before_end(function, target.id)
            ):
                return f"{target.id}.size(0)"
    return None


# What goes into a network under such a name may be a list of texts, or no part of any tensor.
_IN_WORDS = re.compile(r"name|path|file|text|sentence|caption|prompt|word|meta|key|info|url|raw")
_TENSOR_USES = frozenset(
    ("size", "shape", "view", "reshape", "float", "long", "unsqueeze", "flatten", "permute", "dim")
)


def _is_tensor(function: FunctionNode, name: str) -> bool:
    """Tell whether a value is used as a tensor, or goes into the network as it is."""
    for node in own_nodes(function):
        if (
            isinstance(node, ast.Attribute)
            and _is_name(node.value, name)
            and node.attr in _TENSOR_USES
        ):
            return True
        if not isinstance(node, ast.Call):
            continue
        func = node.func
        by_place = any(_is_name(a, name) for a in node.args)
        # A network is given texts and such by name as well.
        by_name = not _IN_WORDS.search(name) and any(
            keyword.arg is not None and _is_name(keyword.value, name) for keyword in node.keywords
        )
        if by_place and ast.unparse(func).startswith(("F.", "torch.", "nn.functional.")):
            return True
        if (by_place or by_name) and _is_network(func):
            return True
    return False


def _is_network(func: ast.expr) -> bool:
    """Tell whether a call is one of the module's network."""
    return _is_name(func, "self") or (
        isinstance(func, ast.Attribute)
        and _is_name(func.value, "self")
        and func.attr in ("forward", "model", "net", "network", "encoder", "backbone")
    )


def _unpacked(function: FunctionNode, name: str) -> list[str | None]:
    """Return the names that ``x, y = batch`` gives its parts; ``None`` for nested ones."""
    for node in own_nodes(function):
        if (
            isinstance(node, ast.Assign)
            and _is_name(node.value, name)
            and len(node.targets) == 1
            and isinstance(node.targets[0], (ast.Tuple, ast.List))
        ):
            return [e.id if isinstance(e, ast.Name) else None for e in node.targets[0].elts]
    return []


def chunked(cls: ClassInfo, function: FunctionNode) -> int | None:
    """Return the line of a loop over the pieces of a part of the batch, each a batch by itself.

    That is ``for i in range(len(x))`` with ``x[i]`` measured in the body; Lightning would take the
    size of the first piece.
    """
    batch = batch_parameter(cls, function)
    if batch is None:
        return None
    parts = {part for part in _unpacked(function, batch) if part}
    for node in own_nodes(function):
        if (
            isinstance(node, ast.Assign)
            and isinstance(node.value, ast.Subscript)
            and _is_name(node.value.value, batch)
        ):
            parts.update(t.id for t in node.targets if isinstance(t, ast.Name))
    for loop in own_nodes(function):
        if not isinstance(loop, ast.For):
            continue
        named = {node.id for node in subtree(loop.iter) if isinstance(node, ast.Name)}
        if "len" not in named or not (looped := parts & named):
            continue
        pieces = {
            target.id
            for node in subtree(loop)
            if isinstance(node, ast.Assign)
            and isinstance(node.value, ast.Subscript)
            and any(_is_name(node.value.value, part) for part in looped)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        if any(
            isinstance(node, ast.Attribute)
            and node.attr in ("size", "shape")
            and any(_is_name(node.value, piece) for piece in pieces)
            for node in subtree(loop)
        ):
            return loop.lineno
    return None


def _is_name(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


# Loaders ---------------------------------------------------------------------------------------


def one_sample_per_batch(cls: ClassInfo, hook: str) -> bool:
    """Tell whether the module's own loader of a hook's stage gives one sample at a time."""
    info = cls.lookup(loaders.METHODS.get(hooks.stage_of(hook), ""))
    if info is None:
        return False
    found = loaders.called_in(info.module, info.node)
    return bool(found) and all(loader.is_single for loader in found)


# Log calls -------------------------------------------------------------------------------------


def guessed(call: LogCall) -> BatchSize | None:
    """Return how Lightning's guess turns out for a log call; ``None`` where it makes none."""
    if call.function is None or call.argument("batch_size") is not None:
        return None
    if any(keyword.arg is None for keyword in call.node.keywords):
        return None
    if not any(_is_guessed(context) for context in call.contexts):
        return None
    stages = [context.stage for context in call.contexts if _is_guessed(context)]
    return of(call.cls, call.function, stages, call.value_node)


def of(
    cls: ClassInfo, function: FunctionNode, stages: Sequence[str], logged: ast.expr | None = None
) -> BatchSize:
    """Return what a step, or else the loaders of its stages, show of its batch.

    Args:
        cls: the module, ``function``: the step.
        function: the step, or a method that steps share.
        stages: in which it is called.
        logged: what is averaged, where that is known.
    """
    shown = in_step(cls, function)
    if shown.inference != "unknown" or not shown.parameter:
        return shown
    reading = parted_steps.reading(cls, function, shown.parameter, stages, logged)
    if reading is None:
        return shown
    return BatchSize(reading.inference, reading.why, reading.expression, shown.parameter)


def is_known_at(module: Module, call: ast.expr, expression: str) -> bool:
    """Tell whether the names of an expression are bound before a place."""
    function = module.enclosing_function(call)
    if function is None:
        return False
    parameters = {a.arg for a in (*function.args.args, *function.args.kwonlyargs)}
    for name in (n.id for n in subtree(ast.parse(expression)) if isinstance(n, ast.Name)):
        if name in ("len", "self") or name in parameters:
            continue
        if not any(
            isinstance(node, ast.Name)
            and node.id == name
            and isinstance(node.ctx, ast.Store)
            and node.lineno < call.lineno
            for node in subtree(function)
        ):
            return False
    return True


def _is_guessed(context: LogContext) -> bool:
    held = options(context.value)
    return context.averaged and bool(held) and all(isinstance(v, Number) for v in held)
