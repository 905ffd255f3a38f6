"""Steps whose batches are known part by part: what Lightning takes for the size, and what it is."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lintmetrics.edits import FunctionNode
from lintmetrics.model import hooks, loaders
from lintmetrics.model.batch_parts import (
    UNKNOWN,
    Columns,
    Count,
    Items,
    Listed,
    Made,
    Opaque,
    Packed,
    Part,
    Rows,
    first_sized,
    stored,
)
from lintmetrics.project import ClassInfo
from lintmetrics.tree import own_nodes, subtree

_TENSOR_USES = frozenset(
    {
        *("to", "cuda", "cpu", "float", "half", "long", "shape", "size", "dim", "ndim", "device"),
        *("unsqueeze", "squeeze", "permute", "view", "reshape", "flatten", "numel", "mean", "sum"),
    }
)
_JOINS = frozenset(("stack", "cat", "concat", "pad_sequence", "pack_sequence", "as_nested_tensor"))


@dataclass(frozen=True)
class Reading:
    """How Lightning reads the batches of a step.

    Args:
        inference: ``wrong`` or ``fails``.
        why: what the batch is, and what Lightning takes for its size.
        expression: the size as the step can write it, ``None`` when that is not certain.
    """

    inference: str
    why: str
    expression: str | None


def reading(
    cls: ClassInfo,
    function: FunctionNode,
    name: str,
    stages: Sequence[str],
    logged: ast.expr | None = None,
) -> Reading | None:
    """Return how the loaders' batches are misread; ``None`` when they are not, or none is known.

    Args:
        cls: the module, ``function``: the step.
        function: the step.
        name: the parameter that is the batch.
        stages: in which the step is called.
        logged: what is averaged; where loaders run together it tells whose batch is meant.
    """
    if not _is_whole(cls, function, name):
        return None
    found: list[Reading | None] = []
    for stage in dict.fromkeys(stages):
        for feed in loaders.feeds(cls, stage):
            if feed.keys:
                found.append(_combined(cls, function, name, feed, logged))
            else:
                found.extend(_one(cls, function, name, loader, feed) for loader in feed.loaders)
    different = list(dict.fromkeys(found))
    return different[0] if len(different) == 1 else None


def _one(
    cls: ClassInfo, function: FunctionNode, name: str, loader: loaders.Loader, feed: loaders.Feed
) -> Reading | None:
    part = loader.batch
    step = _Step(cls, function, name, part)
    fits = step.fits()
    if part == UNKNOWN or fits is False or (fits is None and not feed.certain):
        return None
    wrapped = isinstance(_last(part), Rows) and loaders.is_wrapped(_last(part))
    if loader.is_single and not wrapped:
        return None
    return _judged(step, loader.drops_last)


def _last(part: Part) -> Part:
    path = first_sized(part)
    return path[-1] if path else UNKNOWN


def _judged(step: _Step, full: bool) -> Reading | None:
    """Judge the first size that Lightning finds; ``full`` when every batch may be full."""
    part = step.part
    if isinstance(part, Made):
        return Reading(
            "fails",
            f"the batch is a {part.cls.node.name}, in which Lightning finds no tensor to tell its"
            " size by",
            None,
        )
    path = first_sized(part)
    size = step.size()
    if not path:
        return Reading(
            "fails", "the batch holds no tensor, and Lightning finds nothing to tell its size", size
        )
    last = path[-1]
    what = step.called(path)
    if isinstance(last, Packed):
        if not step.weighs_samples():
            return None
        why = f"{what} a PackedSequence, and Lightning takes its number of steps for the batch size"
        return Reading("wrong", why, size)
    listed = any(isinstance(p, (Listed, Columns)) for p in path)
    if isinstance(last, Opaque):
        if full or not listed or not (last.tensor or step.handles_tensors(path)):
            return None
        if isinstance(part, Listed):
            why = "the batch is a list of samples, and Lightning takes a dimension of one for it"
        else:
            why = f"{what} a list, and Lightning takes a dimension of one entry for the batch size"
        return Reading("wrong", why, size)
    if not isinstance(last, Rows):
        return None
    if not last.counts:
        if full:
            return None
        return Reading(
            "wrong", f"{what} a single number, and Lightning takes 1 for the batch size", size
        )
    first = last.counts[0]
    if first is Count.TIME:
        why = "time comes first in the batch, and Lightning takes its length for the batch size"
        return Reading("wrong", why, size if step.weighs_samples() else None)
    if first is Count.TOTAL and step.weighs_samples():
        why = f"{what} joined end to end, and Lightning takes the total length for the batch size"
        return Reading("wrong", why, size)
    if first is Count.FIXED and not full:
        if loaders.is_wrapped(last):
            why = (
                "the loader gives whole batches one by one, and Lightning takes each for one sample"
            )
        else:
            why = f"{what} as long in each batch, and Lightning takes its length for the batch size"
        return Reading("wrong", why, size)
    if first is Count.SAMPLE and not full and len(last.counts) > 1:
        why = f"{what} not batch-first, and Lightning takes another dimension for the batch size"
        return Reading("wrong", why, size)
    return None


class _Step:
    """A step that takes its batch apart, and what its names hold."""

    def __init__(self, cls: ClassInfo, function: FunctionNode, name: str, part: Part) -> None:
        self.cls = cls
        self.function = function
        self.name = name
        self.part = part
        self.is_kept = not rebinds_before_end(function, name)
        self.names: dict[str, Part] = {}
        if self.is_kept:
            for node in own_nodes(function):
                if isinstance(node, ast.Assign) and len(node.targets) == 1:
                    held = self._held(node.value)
                    if held is not None:
                        self._bind(node.targets[0], held)

    def _held(self, expr: ast.expr) -> Part | None:
        """Return the part of the batch that an expression names."""
        if _is_name(expr, self.name):
            return self.part
        if isinstance(expr, ast.Name) and not rebinds_before_end(self.function, expr.id):
            return self.names.get(expr.id)
        if isinstance(expr, ast.Subscript) and isinstance(expr.slice, ast.Constant):
            holder = self._held(expr.value)
            return self._entry(holder, expr.slice.value)
        if isinstance(expr, ast.Attribute):
            holder = self._held(expr.value)
            return self._entry(holder, expr.attr) if isinstance(holder, Items) else None
        return None

    @staticmethod
    def _entry(holder: Part | None, key: object) -> Part | None:
        if isinstance(holder, Items):
            found = holder.get(key)
        elif isinstance(holder, Columns) and isinstance(holder.of, Opaque):
            found = Listed(holder.of)
        else:
            return None
        return None if found == UNKNOWN else found

    def _bind(self, target: ast.expr, part: Part) -> None:
        if isinstance(target, ast.Name):
            self.names.setdefault(target.id, part)
        elif isinstance(target, (ast.Tuple, ast.List)):
            fits = not isinstance(part, Items) or len(part.entries) == len(target.elts)
            for position, element in enumerate(target.elts):
                held = self._entry(part, position) if fits else None
                if held is not None:
                    self._bind(element, held)

    # Does the code of the step go with the batch? ----------------------------------------------

    def fits(self) -> bool | None:
        """Tell whether the step takes such a batch apart; ``None`` when it does not show."""
        if not self.is_kept:
            return None
        seen = list(self._uses())
        if not seen:
            return None
        return all(seen)

    def _uses(self) -> Iterator[bool]:
        parent = self.cls.module.parent
        part = self.part
        for node in own_nodes(self.function):
            if not _is_name(node, self.name):
                continue
            use = parent(node)
            if isinstance(use, ast.Subscript) and use.value is node:
                key = use.slice.value if isinstance(use.slice, ast.Constant) else None
                if isinstance(part, Items) and key is not None:
                    yield part.get(key) != UNKNOWN or any(k == key for k, _ in part.entries)
                elif isinstance(key, str):
                    yield isinstance(part, Items)
            elif isinstance(use, ast.Assign) and isinstance(use.targets[0], (ast.Tuple, ast.List)):
                if isinstance(part, Items):
                    yield len(use.targets[0].elts) == len(part.entries)
                else:
                    yield isinstance(part, Columns)
            elif isinstance(use, (ast.comprehension, ast.Starred)):
                yield isinstance(part, (Listed, Columns))
            elif isinstance(use, ast.Attribute) and isinstance(part, (Items, Listed, Columns)):
                known = isinstance(part, Items) and any(k == use.attr for k, _ in part.entries)
                if known:
                    yield True
                elif use.attr not in ("items", "keys", "values", "get", "copy", "update", "pop"):
                    yield False

    # What the parts are -------------------------------------------------------------------------

    def called(self, path: Sequence[Part]) -> str:
        """Return how the user calls the part that Lightning takes the size of, and ``is``."""
        key: object = None
        for part, below in itertools.pairwise(path):
            if isinstance(part, Items):
                key = next((k for k, held in part.entries if held is below), key)
        held = path[1] if len(path) > 1 and isinstance(path[0], Items) else path[0]
        name = next((n for n, p in self.names.items() if p is held), None)
        if isinstance(key, str):
            return f"`{self.name}[{key!r}]` comes first and is".replace("'", '"')
        if name is not None and name != "_":
            return f"`{name}` comes first and is"
        return "the first part of the batch is"

    def handles_tensors(self, path: Sequence[Part]) -> bool:
        """Tell whether the step uses the entries of the list on the way as tensors."""
        listed = next((p for p in path if isinstance(p, Listed)), None)
        names = [n for n, p in self.names.items() if p is listed]
        if not names and listed is not None:
            # A column is made anew for each question.
            first = next(iter(self.names.items()), None)
            names = [first[0]] if first and isinstance(self.part, Columns) else []
        return any(self._is_list_of_tensors(name) for name in names)

    def _is_list_of_tensors(self, name: str) -> bool:
        module = self.cls.module
        for node in own_nodes(self.function):
            if isinstance(node, (ast.comprehension, ast.For)) and _is_name(node.iter, name):
                holder: ast.AST | None = node if isinstance(node, ast.For) else module.parent(node)
                if isinstance(node.target, ast.Name) and holder is not None:
                    item = node.target.id
                    if any(
                        isinstance(n, ast.Attribute)
                        and n.attr in _TENSOR_USES
                        and _is_name(n.value, item)
                        for n in subtree(holder)
                    ):
                        return True
            if isinstance(node, ast.Call) and node.args and _is_name(node.args[0], name):
                called = getattr(node.func, "attr", getattr(node.func, "id", ""))
                if called in _JOINS or self._detects(node.func):
                    return True
            if (
                isinstance(node, ast.Attribute)
                and node.attr in _TENSOR_USES
                and isinstance(node.value, ast.Subscript)
                and _is_name(node.value.value, name)
            ):
                return True
        return False

    def _detects(self, callee: ast.expr) -> bool:
        """Tell whether a detection model of torchvision is called; it takes lists of images."""
        if not (isinstance(callee, ast.Attribute) and _is_name(callee.value, "self")):
            return False
        kept = stored(self.cls, callee.attr)
        if kept is None or not isinstance(kept[1], ast.Call):
            return False
        made = kept[0].module.qualified(kept[1].func) or ""
        return made.startswith("torchvision.models.detection.")

    def weighs_samples(self) -> bool:
        """Tell whether a loss or metric is given a target with one row for each sample."""
        for node in own_nodes(self.function):
            if not isinstance(node, ast.Call) or len(node.args) + len(node.keywords) < 2:
                continue
            given = [*node.args[1:], *(k.value for k in node.keywords)]
            for expr in given:
                root = expr
                while (
                    isinstance(root, ast.Call)
                    and isinstance(root.func, ast.Attribute)
                    and root.func.attr in ("float", "long", "to", "squeeze", "unsqueeze", "int")
                ):
                    root = root.func.value
                held = self._held(root)
                if (
                    isinstance(held, Rows)
                    and held.counts[:1] == (Count.SAMPLES,)
                    and Count.TIME not in held.counts
                    and _is_measure(node.func)
                ):
                    return True
        return False

    def size(self) -> str | None:
        """Return how the step can write the number of samples."""
        function = self.function
        written = [
            found
            for name, part in self.names.items()
            if name != "_"
            and (
                found := self._squeezed(name, part)
                if rebinds_before_end(function, name)
                else _sized(name, part)
            )
        ]
        if written:
            # The size of a tensor that has the samples first reads best.
            return next((text for text in written if not text.endswith("(1)")), written[0])
        if not self.is_kept:
            return None
        found = _sized(self.name, self.part)
        if found is not None or not isinstance(self.part, Items):
            return found
        used = {
            ast.unparse(node): held
            for node in own_nodes(function)
            if isinstance(node, (ast.Subscript, ast.Attribute))
            and _is_name(node.value, self.name)
            and (held := self._held(node)) is not None
        }
        for text, held in used.items():
            found = _sized(text.replace("'", '"'), held)
            if found is not None:
                return found
        return None

    def _squeezed(self, name: str, part: Part) -> str | None:
        """Return the size of a part whose wrapping dimension is taken off under the same name."""
        if not (isinstance(part, Rows) and loaders.is_wrapped(part)):
            return None
        stores = [
            node
            for node in own_nodes(self.function)
            if isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Store)
        ]
        texts = (f"{name}.squeeze(0)", f"{name}[0]", f"{name}.squeeze(dim=0)")
        values = [
            node.value
            for node in own_nodes(self.function)
            if isinstance(node, ast.Assign) and _is_name(node.targets[0], name)
        ]
        taken = len(values) == 1 and ast.unparse(values[0]) in texts
        pairs = [
            value
            for node in own_nodes(self.function)
            if isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Tuple)
            and isinstance(node.value, ast.Tuple)
            for target, value in zip(node.targets[0].elts, node.value.elts, strict=False)
            if _is_name(target, name)
        ]
        taken |= len(pairs) == 1 and ast.unparse(pairs[0]) in texts
        return f"{name}.size(0)" if taken and len(stores) == 2 else None


def _sized(name: str, part: Part) -> str | None:
    if isinstance(part, Listed) and part.count is Count.SAMPLES:
        return f"len({name})"
    if isinstance(part, Rows) and Count.SAMPLES in part.counts[:2]:
        place = part.counts.index(Count.SAMPLES)
        if part.array:
            return f"len({name})" if place == 0 else None
        return f"{name}.size({place})"
    return None


def _is_measure(callee: ast.expr) -> bool:
    text = ast.unparse(callee).lower()
    return any(word in text for word in ("loss", "entropy", "criterion", "metric", "acc", "f1"))


def _is_whole(cls: ClassInfo, function: FunctionNode, name: str) -> bool:
    """Tell whether a function is given the batch of a step as it is."""
    if function.name in hooks.STEPS:
        return True
    parameters = [a.arg for a in (*function.args.posonlyargs, *function.args.args)]
    place = parameters.index(name) - 1 if name in parameters else -1
    handed: list[bool] = []
    for step in hooks.STEPS:
        info = cls.lookup(step)
        if info is None:
            continue
        arguments = info.node.args.args
        batch = arguments[1].arg if len(arguments) > 1 else ""
        for node in own_nodes(info.node):
            if not (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == function.name
                and _is_name(node.func.value, "self")
            ):
                continue
            given = next((k.value for k in node.keywords if k.arg == name), None)
            if given is None and 0 <= place < len(node.args):
                given = node.args[place]
            handed.append(
                given is not None
                and _is_name(given, batch)
                and not rebinds_before_end(info.node, batch)
            )
    return bool(handed) and all(handed)


# Loaders that run together ---------------------------------------------------------------------


def _combined(
    cls: ClassInfo,
    function: FunctionNode,
    name: str,
    feed: loaders.Feed,
    logged: ast.expr | None,
) -> Reading | None:
    """Judge a value that is made of the batch of one loader, weighed by that of another."""
    part = feed.batch
    step = _Step(cls, function, name, part)
    if logged is None or step.fits() is not True:
        return None
    if all(loader.drops_last for loader in feed.loaders):
        return None
    if any(
        loader.is_open or loader.argument("sampler") or loader.argument("batch_sampler")
        for loader in feed.loaders
    ):
        return None
    used = _loaders_of(step, logged)
    first = _last(part)
    if not isinstance(first, Rows) or used is None or len(used) != 1:
        return None
    key = next(iter(used))
    if key == feed.keys[first.loader]:
        return None
    names = [f"{name}[{k!r}]".replace("'", '"') for k in (key, feed.keys[first.loader])]
    why = f"the value is of {names[0]}, and Lightning takes the size of {names[1]} for its weight"
    return Reading("wrong", why, _size_of_key(step, key))


def _loaders_of(step: _Step, value: ast.expr) -> set[object] | None:
    """Return the keys of the loaders whose batches a value is made of, ``None`` if not known."""
    values: dict[str, list[ast.expr]] = {}
    for node in own_nodes(step.function):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                for inner in subtree(target):
                    if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
                        values.setdefault(inner.id, []).append(node.value)
        elif isinstance(node, (ast.For, ast.AugAssign, ast.With, ast.NamedExpr)):
            return None
    keys: set[object] = set()
    seen: set[str] = set()
    queue: list[ast.expr] = [value]
    parameters = {a.arg for a in step.function.args.args[1:]} - {step.name}
    while queue:
        expr = queue.pop()
        for node in subtree(expr):
            if not isinstance(node, ast.Name) or node.id in seen:
                continue
            if node.id == step.name:
                use = step.cls.module.parent(node)
                if not (isinstance(use, ast.Subscript) and isinstance(use.slice, ast.Constant)):
                    if isinstance(use, ast.Assign) and isinstance(use.targets[0], ast.Tuple):
                        continue  # Told apart by name, below.
                    return None
                keys.add(use.slice.value)
            elif node.id in parameters:
                return None
            else:
                seen.add(node.id)
                held = step.names.get(node.id)
                if isinstance(held, Rows) and isinstance(step.part, Items):
                    keys.add(step.part.entries[held.loader][0])
                else:
                    queue.extend(values.get(node.id, ()))
    return keys


def _size_of_key(step: _Step, key: object) -> str | None:
    """Return the size of the batch of one loader: of a part of it that the step names."""
    for node in own_nodes(step.function):
        if not isinstance(node, ast.Assign) or len(node.targets) != 1:
            continue
        value, target = node.value, node.targets[0]
        held = (
            isinstance(value, ast.Subscript)
            and _is_name(value.value, step.name)
            and isinstance(value.slice, ast.Constant)
            and value.slice.value == key
        )
        if not held or not step.is_kept:
            continue
        names = target.elts if isinstance(target, (ast.Tuple, ast.List)) else [target]
        for element in names:
            if not isinstance(element, ast.Name) or rebinds_before_end(step.function, element.id):
                continue
            if _enters_network(step.function, element.id):
                return f"{element.id}.size(0)"
    return None


def _enters_network(function: FunctionNode, name: str) -> bool:
    """Tell whether a value goes into a network as it is, so that it is a tensor."""
    return any(
        isinstance(node, ast.Call)
        and len(node.args) == 1
        and _is_name(node.args[0], name)
        and (
            _is_name(node.func, "self")
            or (isinstance(node.func, ast.Attribute) and _is_name(node.func.value, "self"))
        )
        for node in own_nodes(function)
    )


# Names -----------------------------------------------------------------------------------------


def rebinds_before_end(function: FunctionNode, name: str) -> bool:
    """Tell whether a name is bound more than once in a body (a parameter: at all)."""
    stores = sum(
        1
        for node in own_nodes(function)
        if isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Store)
    )
    is_parameter = any(a.arg == name for a in function.args.args)
    return stores > (0 if is_parameter else 1)


def _is_name(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name
