"""What a batch is made of, as the collate function that puts it together shows.

A collate function is read statement by statement with parts instead of tensors: a part knows what
its dimensions count, and nothing else. What is not understood is ``UNKNOWN``, and stays so.
"""

from __future__ import annotations

import ast
import enum
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from lintmetrics.edits import FunctionNode
from lintmetrics.model.tensors import constant
from lintmetrics.project import ClassInfo, External, FunctionInfo, Module
from lintmetrics.tree import own_nodes, subtree

_DEPTH = 5  # Calls followed into each other.


class Count(enum.Enum):
    """What the size of a dimension counts."""

    SAMPLES = "samples"
    TIME = "time"  # the longest sample
    TOTAL = "total"  # all steps or nodes of all samples
    SAMPLE = "sample"  # whatever one sample has there
    FIXED = "fixed"  # the same number in each batch
    UNKNOWN = "unknown"


class Part:
    """Base of all parts."""

    __slots__ = ()


@dataclass(frozen=True)
class Unknown(Part):
    """Nothing is known."""


UNKNOWN = Unknown()


@dataclass(frozen=True)
class Opaque(Part):
    """Something that belongs to one sample; ``tensor`` when it is a tensor."""

    tensor: bool = False


@dataclass(frozen=True)
class Plain(Part):
    """A Python number, a string or ``None``, in which Lightning finds no size."""

    kind: str


@dataclass(frozen=True)
class Rows(Part):
    """A tensor, or a numpy array, by what its first dimensions count; none: it has no dimension.

    ``loader`` is the place of the loader that it comes from, where there are several.
    """

    counts: tuple[Count, ...]
    array: bool = False
    loader: int = 0


@dataclass(frozen=True)
class Packed(Part):
    """A PackedSequence."""


@dataclass(frozen=True)
class Listed(Part):
    """A list with entries that are all alike, and what its length counts."""

    of: Part
    count: Count = Count.SAMPLES


@dataclass(frozen=True)
class Columns(Part):
    """What ``zip(*samples)`` gives: for each place in a sample, a tuple with that of each."""

    of: Part


@dataclass(frozen=True)
class Items(Part):
    """A tuple, list, dict, named tuple or dataclass with known entries."""

    entries: tuple[tuple[object, Part], ...]

    def get(self, key: object) -> Part:
        """Return the entry under a key, an attribute's name or a position."""
        for name, part in self.entries:
            if name == key and type(name) is type(key):
                return part
        if isinstance(key, int) and -len(self.entries) <= key < len(self.entries):
            return self.entries[key][1]
        return UNKNOWN

    def with_entry(self, key: object, part: Part) -> Items:
        """Return the dict with one entry set."""
        if any(name == key for name, _ in self.entries):
            return Items(tuple((n, part if n == key else p) for n, p in self.entries))
        return Items((*self.entries, (key, part)))


@dataclass(frozen=True)
class Made(Part):
    """An object of a class of the project in which Lightning finds nothing."""

    cls: ClassInfo


def first_sized(part: Part) -> tuple[Part, ...]:
    """Return the parts that Lightning passes on its way to the first size, that one last.

    Empty when there is none; ``UNKNOWN`` last when the way is not known.
    """
    if isinstance(part, (Rows, Packed)):
        return () if isinstance(part, Rows) and part.array else (part,)
    if isinstance(part, (Plain, Made)):
        return ()
    if isinstance(part, Opaque):
        return (part,)
    if isinstance(part, Listed):
        inner = first_sized(part.of)
        return (part, *inner) if inner else ()
    if isinstance(part, Columns):
        column = Listed(_at(part.of, 0)) if isinstance(part.of, (Items, Opaque)) else UNKNOWN
        if isinstance(part.of, Items):
            return first_sized(Items(tuple((i, Listed(p)) for i, (_, p) in _numbered(part.of))))
        return (part, *first_sized(column))
    if isinstance(part, Items):
        for _, entry in part.entries:
            inner = first_sized(entry)
            if inner:
                return (part, *inner)
        return ()
    return (UNKNOWN,)


def _numbered(items: Items) -> Iterator[tuple[int, tuple[object, Part]]]:
    return enumerate(items.entries)


def _at(part: Part, key: object) -> Part:
    if isinstance(part, Opaque):
        return Opaque(part.tensor)
    if isinstance(part, Items):
        return part.get(key)
    if isinstance(part, Listed):
        return part.of if isinstance(key, int) else UNKNOWN
    if isinstance(part, Columns) and isinstance(key, int):
        return Listed(_at(part.of, key))
    if isinstance(part, Rows) and isinstance(key, int) and part.counts:
        return replace(part, counts=part.counts[1:]) if len(part.counts) > 1 else UNKNOWN
    return UNKNOWN


def _placed(over: Columns | Items, made: Sequence[Part]) -> Part:
    """Return the entries that are made of each place of a sample, in order."""
    if isinstance(over, Items):
        return Items(tuple((i, part) for i, part in enumerate(made)))
    (entry,) = made
    if entry == Listed(over.of):
        return over
    # Columns of samples that nothing is known of may be of different kinds.
    return UNKNOWN if isinstance(entry, (Opaque, Unknown)) else Listed(entry, Count.FIXED)


def collated(samples: Part) -> Part:
    """Return what the default collate function makes of a list of samples."""
    of = samples.of if isinstance(samples, Listed) else UNKNOWN
    return _collated(of)


def _collated(of: Part) -> Part:
    if isinstance(of, Items):
        return Items(tuple((key, _collated(part)) for key, part in of.entries))
    if isinstance(of, Plain):
        return Rows((Count.SAMPLES,)) if of.kind == "number" else Listed(of)
    if isinstance(of, Rows):
        return Rows((Count.SAMPLES, *of.counts))
    return Rows((Count.SAMPLES, Count.SAMPLE)) if isinstance(of, Opaque) and of.tensor else UNKNOWN


_SAME = frozenset(
    {
        *("to", "float", "long", "int", "half", "bool", "double", "type", "type_as", "astype"),
        *("contiguous", "clone", "detach", "cuda", "cpu", "pin_memory", "requires_grad_", "copy"),
    }
)
_REDUCED = frozenset(
    {
        *("max", "min", "sum", "mean", "numel", "prod", "amax", "amin", "std", "var", "median"),
        *("norm", "any", "all"),
    }
)
_KEEP_NO_DIMENSION = frozenset(("unbiased", "correction", "ddof", "dtype"))
_TENSOR_MAKERS = frozenset(
    {
        *("tensor", "as_tensor", "LongTensor", "FloatTensor", "IntTensor", "BoolTensor", "Tensor"),
        *("from_numpy", "DoubleTensor", "ByteTensor"),
    }
)
_NUMBERS = frozenset(("len", "int", "float", "sum", "max", "min", "round", "abs", "bool"))
_PAIRS = frozenset(("stack", "cat", "concat", "concatenate", "hstack", "vstack"))


class Reader:
    """Reads the functions that make samples and batches.

    Args:
        module: the file that holds the expression.
        owner: the class that ``self`` is an object of.
        default: what an unknown value is: ``UNKNOWN``, or ``Opaque`` inside of one sample.
    """

    def __init__(
        self,
        module: Module,
        owner: ClassInfo | None = None,
        default: Part = UNKNOWN,
        depth: int = 0,
    ) -> None:
        self.module = module
        self.owner = owner
        self.default = default
        self.depth = depth
        self.names: dict[str, Part] = {}
        self.returned: list[Part] = []
        self.measured = False

    # Functions ----------------------------------------------------------------------------------

    def function(self, node: FunctionNode, arguments: Sequence[Part]) -> Part:
        """Return what a function returns; its first parameters are given."""
        if isinstance(node, ast.AsyncFunctionDef):
            return UNKNOWN
        if any(isinstance(n, (ast.Yield, ast.YieldFrom)) for n in own_nodes(node)):
            return UNKNOWN
        parameters = [*node.args.posonlyargs, *node.args.args]
        static = any(getattr(d, "id", "") == "staticmethod" for d in node.decorator_list)
        holder = self.module.parent(node)
        if isinstance(holder, ast.ClassDef) and not static:
            parameters = parameters[1:]
        self.names = dict(zip((p.arg for p in parameters), arguments, strict=False))
        self.measured = _measures(self.module, node)
        self._block(node.body)
        return agreed(self.returned)

    def call(self, target: FunctionInfo, arguments: Sequence[Part]) -> Part:
        """Return what a function of the project returns."""
        if self.depth >= _DEPTH:
            return UNKNOWN
        inner = Reader(target.module, target.cls or self.owner, self.default, self.depth + 1)
        return inner.function(target.node, arguments)

    def applied(self, callee: ast.expr, arguments: Sequence[Part]) -> Part:
        """Return what a callable returns that an expression names."""
        if isinstance(callee, ast.Lambda):
            names = [a.arg for a in callee.args.args]
            inner = Reader(self.module, self.owner, self.default, self.depth + 1)
            inner.names = {**self.names, **dict(zip(names, arguments, strict=False))}
            return inner.part(callee.body)
        if isinstance(callee, ast.Call):
            name = self.module.qualified(callee.func) or ""
            if name in ("functools.partial", "partial") and callee.args:
                if len(callee.args) > 1:
                    return UNKNOWN
                return self.applied(callee.args[0], arguments)
            made = self.module.resolve(callee.func)
            if isinstance(made, ClassInfo):
                method = made.lookup("__call__")
                return UNKNOWN if method is None else self.call(method, arguments)
            return UNKNOWN
        if isinstance(callee, ast.Attribute) and _is_self(callee.value) and self.owner:
            method = self.owner.lookup(callee.attr)
            if method is not None:
                return self.call(method, arguments)
            kept = stored(self.owner, callee.attr)
            if kept is not None and self.depth < _DEPTH:
                inner = Reader(kept[0].module, kept[0], self.default, self.depth + 1)
                return inner.applied(kept[1], arguments)
            return UNKNOWN
        target = self.module.resolve(callee)
        if isinstance(target, FunctionInfo):
            return self.call(target, arguments)
        if isinstance(target, External) and target.name.rpartition(".")[2] == "default_collate":
            return collated(arguments[0])
        if isinstance(callee, ast.Name):
            value = local_value(self.module, callee)
            if value is not None:
                return self.applied(value, arguments)
        return UNKNOWN

    # Statements ---------------------------------------------------------------------------------

    def _block(self, body: Sequence[ast.stmt]) -> None:
        for statement in body:
            self._statement(statement)

    def _statement(self, statement: ast.stmt) -> None:
        if isinstance(statement, ast.Return):
            self.returned.append(self.part(statement.value) if statement.value else Plain("none"))
        elif isinstance(statement, ast.Assign):
            value = self.part(statement.value)
            for target in statement.targets:
                self._assign(target, value)
        elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
            self._assign(statement.target, self.part(statement.value))
        elif isinstance(statement, ast.AugAssign) and isinstance(statement.target, ast.Name):
            held = self.names.get(statement.target.id, self.default)
            if not isinstance(held, (Plain, Opaque, Rows)):
                self.names[statement.target.id] = UNKNOWN
        elif isinstance(statement, ast.Expr):
            self._effect(statement.value)
        elif isinstance(statement, ast.If):
            self._branches([statement.body, statement.orelse])
        elif isinstance(statement, ast.For):
            self._loop(statement)
        elif isinstance(statement, ast.With):
            self._block(statement.body)
        elif isinstance(statement, ast.Try):
            self._branches([[*statement.body, *statement.orelse], []])
            for handler in statement.handlers:
                self._branches([handler.body, []])
            self._block(statement.finalbody)
        elif isinstance(statement, ast.While):
            self._branches([statement.body, []])
        elif isinstance(statement, ast.Delete):
            self._forget(statement)

    def _branches(self, bodies: Sequence[Sequence[ast.stmt]]) -> None:
        before = dict(self.names)
        after: list[dict[str, Part]] = []
        for body in bodies:
            self.names = dict(before)
            self._block(body)
            if not (body and isinstance(body[-1], (ast.Return, ast.Raise, ast.Continue))):
                after.append(self.names)
        names = dict.fromkeys(name for held in after for name in held)
        self.names = {name: agreed([held.get(name, UNKNOWN) for held in after]) for name in names}

    def _loop(self, loop: ast.For) -> None:
        over = self.part(loop.iter)
        item = entry_of(over)
        count = over.count if isinstance(over, Listed) else Count.UNKNOWN
        if item is None:
            self._forget(loop)
            return
        self._assign(loop.target, item)
        stable = not any(isinstance(n, (ast.Break, ast.While)) for n in subtree(loop))
        self._appending(loop.body, count if stable else Count.UNKNOWN)

    def _appending(self, body: Sequence[ast.stmt], count: Count) -> None:
        """Run the body of a loop once; lists that it appends to get an entry in each turn."""
        grown: dict[str, Part] = {}
        for statement in body:
            call = statement.value if isinstance(statement, ast.Expr) else None
            if (
                isinstance(call, ast.Call)
                and isinstance(call.func, ast.Attribute)
                and isinstance(call.func.value, ast.Name)
                and call.func.attr in ("append", "extend")
                and len(call.args) == 1
            ):
                name = call.func.value.id
                item = self.part(call.args[0])
                once = name not in grown and self.names.get(name) == Items(())
                if call.func.attr == "append":
                    made: Part = Listed(item, count)
                else:
                    inner = entry_of(item)
                    made = Listed(inner, Count.TOTAL) if inner is not None else UNKNOWN
                grown[name] = made if once else UNKNOWN
            elif isinstance(statement, (ast.Assign, ast.AnnAssign)) and not self._carried(
                statement
            ):
                self._statement(statement)
            else:
                self._forget(statement)
        self.names.update(grown)

    def _carried(self, statement: ast.Assign | ast.AnnAssign) -> bool:
        """Tell whether an assignment builds on what an earlier turn of its loop left."""
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        return any(not isinstance(t, (ast.Name, ast.Tuple, ast.List)) for t in targets)

    def _forget(self, statement: ast.AST) -> None:
        """Know no more of whatever a statement may bind or change."""
        for node in subtree(statement):
            if isinstance(node, ast.Name) and (
                isinstance(node.ctx, (ast.Store, ast.Del))
                or isinstance(self.names.get(node.id), (Items, Listed, Rows))
            ):
                if isinstance(node.ctx, ast.Load) and not _changed(self.module, node):
                    continue
                self.names[node.id] = UNKNOWN
            elif isinstance(node, ast.Return):
                self.returned.append(UNKNOWN)

    def _effect(self, expr: ast.expr) -> None:
        if not (isinstance(expr, ast.Call) and isinstance(expr.func, ast.Attribute)):
            return
        holder = expr.func.value
        if not isinstance(holder, ast.Name) or expr.func.attr in ("sort", "reverse"):
            return
        held = self.names.get(holder.id)
        if isinstance(held, Items) and expr.func.attr == "append" and len(expr.args) == 1:
            self.names[holder.id] = held.with_entry(len(held.entries), self.part(expr.args[0]))
        elif isinstance(held, (Items, Listed)):
            self.names[holder.id] = UNKNOWN

    def _assign(self, target: ast.expr, value: Part) -> None:
        if isinstance(target, ast.Name):
            self.names[target.id] = value
        elif isinstance(target, (ast.Tuple, ast.List)):
            starred = any(isinstance(e, ast.Starred) for e in target.elts)
            fits = not isinstance(value, Items) or len(value.entries) == len(target.elts)
            for position, element in enumerate(target.elts):
                if isinstance(element, ast.Starred):
                    self._assign(element.value, UNKNOWN)
                else:
                    known = fits and (not starred or isinstance(value, Opaque))
                    self._assign(element, self._unpacked(value, position) if known else UNKNOWN)
        elif isinstance(target, ast.Subscript) and isinstance(target.value, ast.Name):
            held = self.names.get(target.value.id)
            key = constant(self.module, target.slice)
            if isinstance(held, Items) and isinstance(key, (str, int)):
                self.names[target.value.id] = held.with_entry(key, value)
            elif isinstance(held, (Items, Listed)):
                self.names[target.value.id] = UNKNOWN

    def _unpacked(self, value: Part, position: int) -> Part:
        if isinstance(value, Items):
            return value.entries[position][1]
        if isinstance(value, Rows):
            return UNKNOWN
        part = _at(value, position)
        return self.default if part == UNKNOWN else part

    # Expressions --------------------------------------------------------------------------------

    def part(self, expr: ast.expr) -> Part:
        """Return what an expression gives."""
        found = self._part(expr)
        return self.default if found == UNKNOWN else found

    def _part(self, expr: ast.expr) -> Part:
        if isinstance(expr, ast.Name):
            return self.names.get(expr.id, UNKNOWN)
        if isinstance(expr, ast.Constant):
            number = isinstance(expr.value, (int, float))
            return Plain("number" if number else "none" if expr.value is None else "text")
        if isinstance(expr, ast.JoinedStr):
            return Plain("text")
        if isinstance(expr, (ast.Tuple, ast.List)):
            if any(isinstance(e, ast.Starred) for e in expr.elts):
                return UNKNOWN
            return Items(tuple((i, self.part(e)) for i, e in enumerate(expr.elts)))
        if isinstance(expr, ast.Dict):
            return self._dict(expr)
        if isinstance(expr, (ast.ListComp, ast.GeneratorExp)):
            return self._comprehension(expr)
        if isinstance(expr, ast.Subscript):
            return self._subscript(expr)
        if isinstance(expr, ast.Attribute):
            holder = self.part(expr.value)
            if isinstance(holder, Items):
                return holder.get(expr.attr)
            if isinstance(holder, Rows) and expr.attr == "T" and len(holder.counts) == 2:
                return replace(holder, counts=holder.counts[::-1])
            return Opaque() if isinstance(holder, Opaque) else UNKNOWN
        if isinstance(expr, ast.Call):
            return self._call(expr)
        if isinstance(expr, ast.IfExp):
            return agreed([self.part(expr.body), self.part(expr.orelse)])
        if isinstance(expr, ast.UnaryOp):
            return self.part(expr.operand)
        if isinstance(expr, (ast.BinOp, ast.Compare)):
            return self._operation(expr)
        return UNKNOWN

    def _dict(self, expr: ast.Dict) -> Part:
        made = Items(())
        for key, value in zip(expr.keys, expr.values, strict=True):
            name = ... if key is None else constant(self.module, key)
            if not isinstance(name, (str, int)):
                return UNKNOWN
            made = made.with_entry(name, self.part(value))
        return made

    def _operation(self, expr: ast.BinOp | ast.Compare) -> Part:
        operands = (
            [expr.left, expr.right]
            if isinstance(expr, ast.BinOp)
            else [expr.left, *expr.comparators]
        )
        parts = [self.part(o) for o in operands]
        if all(isinstance(p, (Opaque, Plain)) for p in parts):
            opaque = [p for p in parts if isinstance(p, Opaque)]
            if opaque:
                return Opaque(any(p.tensor for p in opaque))
            return parts[0]
        rows = [p for p in parts if isinstance(p, Rows)]
        if len(rows) == 1 and all(isinstance(p, (Rows, Plain)) for p in parts):
            return rows[0]
        return UNKNOWN

    def _comprehension(self, expr: ast.ListComp | ast.GeneratorExp) -> Part:
        kept = dict(self.names)
        counts: list[Count] = []
        for generator in expr.generators:
            over = self.part(generator.iter)
            if isinstance(over, (Columns, Items)) and len(expr.generators) == 1:
                return UNKNOWN if generator.ifs else self._of_columns(over, generator, expr.elt)
            item = entry_of(over)
            if item is None:
                self.names = kept
                return UNKNOWN
            counts.append(over.count if isinstance(over, Listed) else Count.UNKNOWN)
            if isinstance(over, Opaque):
                counts[-1] = Count.SAMPLE
            self._assign(generator.target, item)
        made = Listed(self.part(expr.elt), counts[0] if len(counts) == 1 else Count.TOTAL)
        self.names = kept
        return made

    def _of_columns(
        self, over: Columns | Items, generator: ast.comprehension, value: ast.expr
    ) -> Part:
        """Return what a comprehension makes of each place of a sample."""
        kept = dict(self.names)
        columns = [p for _, p in over.entries] if isinstance(over, Items) else [Listed(over.of)]
        made: list[Part] = []
        for column in columns:
            self._assign(generator.target, column)
            made.append(self.part(value))
            self.names = dict(kept)
        return _placed(over, made)

    def _subscript(self, expr: ast.Subscript) -> Part:
        holder = self.part(expr.value)
        if isinstance(holder, Opaque):
            return Opaque(holder.tensor)
        if isinstance(holder, Rows):
            index = expr.slice.elts if isinstance(expr.slice, ast.Tuple) else [expr.slice]
            first = index[0]
            if isinstance(first, ast.Slice) and first.lower is first.upper is first.step is None:
                return replace(holder, counts=(*holder.counts[:1], Count.UNKNOWN))
            return UNKNOWN
        if isinstance(expr.slice, ast.Slice):
            return UNKNOWN
        key = constant(self.module, expr.slice)
        return _at(holder, key) if key is not ... else UNKNOWN

    def _call(self, call: ast.Call) -> Part:
        named = {k.arg: k.value for k in call.keywords if k.arg}
        name = self.module.qualified(call.func) or ""
        if isinstance(call.func, ast.Name) and not name and call.func.id not in self.names:
            name = call.func.id
        last = name.rpartition(".")[2]
        if any(isinstance(a, ast.Starred) for a in call.args):
            return self._zipped(call) if name == "zip" else UNKNOWN
        arguments = [self.part(a) for a in call.args]
        if name.startswith(("torch.", "numpy.")):
            made = self._library(name, last, call, arguments, named)
            if made != UNKNOWN:
                return made
        elif name in ("list", "tuple", "sorted", "reversed", "iter") and arguments:
            return arguments[0]
        elif name == "filter" and len(arguments) == 2:
            return arguments[1]
        elif name == "dict" and not arguments and len(named) == len(call.keywords):
            return Items(tuple((k, self.part(v)) for k, v in named.items()))
        elif name in ("list", "dict") and not arguments:
            return Items(())
        elif name in _NUMBERS:
            return Plain("number")
        elif name in ("str", "repr"):
            return Plain("text")
        elif name in ("enumerate", "range", "zip", "map"):
            return self._iterated(name, call, arguments)
        elif last == "default_collate" and len(arguments) == 1:
            return collated(arguments[0])
        elif "return_tensors" in named:
            texts = arguments[0] if arguments else UNKNOWN
            batch = isinstance(texts, Listed) and texts.count is Count.SAMPLES
            return Rows((Count.SAMPLES, Count.TIME)) if batch else UNKNOWN
        target = self.module.resolve(call.func)
        if isinstance(target, ClassInfo):
            return self._instance(target, call, arguments)
        if isinstance(target, FunctionInfo) and target.cls is None:
            found = self.call(target, arguments)
            if found != UNKNOWN:
                return found
        if isinstance(call.func, ast.Attribute):
            if _is_self(call.func.value) and self.owner is not None:
                method = self.owner.lookup(call.func.attr)
                if method is not None:
                    found = self.call(method, arguments)
                    if found != UNKNOWN:
                        return found
            else:
                holder = self.part(call.func.value)
                found = self._method(call.func.attr, holder, call)
                if found != UNKNOWN:
                    return found
        # What is done to one sample alone gives something of that sample.
        if arguments and all(isinstance(a, (Opaque, Plain)) for a in arguments):
            opaque = [a for a in arguments if isinstance(a, Opaque)]
            if opaque:
                return Opaque()
        return UNKNOWN

    def _zipped(self, call: ast.Call) -> Part:
        if len(call.args) != 1 or not isinstance(call.args[0], ast.Starred):
            return UNKNOWN
        samples = self.part(call.args[0].value)
        if not isinstance(samples, Listed):
            return UNKNOWN
        if isinstance(samples.of, Items):
            return Items(
                tuple((i, Listed(p, samples.count)) for i, (_, p) in _numbered(samples.of))
            )
        return Columns(samples.of) if isinstance(samples.of, Opaque) else UNKNOWN

    def _iterated(self, name: str, call: ast.Call, arguments: Sequence[Part]) -> Part:
        if name == "range":
            over = call.args[-1]
            if isinstance(over, ast.Call) and getattr(over.func, "id", "") == "len" and over.args:
                held = self.part(over.args[0])
                if isinstance(held, Listed):
                    return Listed(Plain("number"), held.count)
            return UNKNOWN
        if name == "enumerate" and isinstance(arguments[0], Listed):
            of = Items(((0, Plain("number")), (1, arguments[0].of)))
            return Listed(of, arguments[0].count)
        listed = [a for a in arguments if isinstance(a, Listed)]
        if name == "zip" and listed and len(listed) == len(arguments):
            of = Items(tuple((i, a.of) for i, a in enumerate(listed)))
            return Listed(of, listed[0].count)
        if name == "map" and len(arguments) == 2:
            mapped = arguments[1]
            if isinstance(mapped, Listed):
                return Listed(self._mapped(call.args[0], mapped.of), mapped.count)
            if isinstance(mapped, Columns):
                return _placed(mapped, [self._mapped(call.args[0], Listed(mapped.of))])
            if isinstance(mapped, Items):
                return _placed(mapped, [self._mapped(call.args[0], p) for _, p in mapped.entries])
        return UNKNOWN

    def _mapped(self, callee: ast.expr, entry: Part) -> Part:
        """Return what ``map`` makes of one entry."""
        inner = Reader(self.module, self.owner, self.default, self.depth + 1)
        inner.measured = self.measured
        inner.names = {**self.names, "_": entry}
        if isinstance(callee, ast.Lambda):
            return inner.applied(callee, [entry])
        done = ast.Name(id="_", ctx=ast.Load())
        return inner.part(ast.Call(func=callee, args=[done], keywords=[]))

    def _library(
        self,
        name: str,
        last: str,
        call: ast.Call,
        arguments: Sequence[Part],
        named: Mapping[str, ast.expr],
    ) -> Part:
        """Return what a function of torch or numpy makes."""
        array = name.startswith("numpy.")
        first = arguments[0] if arguments else UNKNOWN
        if last in _TENSOR_MAKERS or (array and last in ("array", "asarray")):
            return self._made(first, call, array)
        if last == "pad_sequence" and isinstance(first, Listed):
            flag = call.args[1] if len(call.args) > 1 else named.get("batch_first")
            value = False if flag is None else constant(self.module, flag)
            if not isinstance(value, bool) or first.count is not Count.SAMPLES:
                return UNKNOWN
            pair = (Count.SAMPLES, Count.TIME)
            return Rows(pair if value else pair[::-1])
        if last in ("pack_sequence", "pack_padded_sequence"):
            return Packed()
        if last in _PAIRS and isinstance(first, Listed):
            return self._joined(last, first, call, named, array)
        if last in ("default_collate", "default_convert"):
            return collated(first) if last == "default_collate" else UNKNOWN
        known = [a for a in arguments if not isinstance(a, Plain)]
        if known and all(isinstance(a, Opaque) for a in known):
            return Opaque(not array)
        return UNKNOWN

    def _made(self, first: Part, call: ast.Call, array: bool) -> Part:
        if isinstance(first, Rows):
            return replace(first, array=array)
        if isinstance(first, Plain):
            if not array and first.kind == "number" and len(call.args) == 1:
                legacy = getattr(call.func, "attr", "").endswith("Tensor")
                return UNKNOWN if legacy else Rows(())
            return UNKNOWN
        if isinstance(first, Listed):
            plain = isinstance(first.of, Plain)
            return Rows((first.count,) if plain else (first.count, Count.SAMPLE), array)
        if isinstance(first, Items) and first.entries:
            plain = all(isinstance(entry, Plain) for _, entry in first.entries)
            return Rows((Count.FIXED,), array) if plain else UNKNOWN
        if isinstance(first, Opaque):
            return Opaque(not array)
        return UNKNOWN

    def _joined(
        self,
        last: str,
        first: Listed,
        call: ast.Call,
        named: Mapping[str, ast.expr],
        array: bool,
    ) -> Part:
        given = named.get("dim") or named.get("axis")
        if given is None and len(call.args) > 1:
            given = call.args[1]
        axis = 0 if given is None else constant(self.module, given)
        of = first.of
        inner = of.counts if isinstance(of, Rows) else (Count.SAMPLE,)
        if last == "stack":
            if axis == 0:
                return Rows((first.count, *inner), array)
            if axis == 1 and inner:
                return Rows((inner[0], first.count), array)
            return UNKNOWN
        if axis != 0 or last in ("hstack", "vstack") or first.count is not Count.SAMPLES:
            return UNKNOWN
        if isinstance(of, Rows) and of.counts and of.counts[0] is Count.FIXED:
            return UNKNOWN
        # Samples that the function measures have lengths of their own.
        return Rows((Count.TOTAL,), array) if self.measured else UNKNOWN

    def _method(self, name: str, holder: Part, call: ast.Call) -> Part:
        if isinstance(holder, Opaque):
            if name in ("size", "dim", "numel", "item", "__len__"):
                return Plain("number")
            if name == "unsqueeze" and call.args and constant(self.module, call.args[0]) == 0:
                return Rows((Count.FIXED,))
            tensor = holder.tensor or name in ("unsqueeze", "squeeze", "permute", "contiguous")
            return Opaque(tensor)
        if isinstance(holder, Plain):
            return holder
        if isinstance(holder, Items) and name == "get" and call.args:
            key = constant(self.module, call.args[0])
            return UNKNOWN if key is ... else holder.get(key)
        if not isinstance(holder, Rows):
            return UNKNOWN
        if name in _SAME:
            return holder
        if (
            name in _REDUCED
            and not call.args
            and all(keyword.arg in _KEEP_NO_DIMENSION for keyword in call.keywords)
        ):
            return replace(holder, counts=())
        if name == "item":
            return Plain("number")
        if name == "numpy":
            return replace(holder, array=True)
        axes = [constant(self.module, a) for a in call.args]
        if name in ("t", "transpose") and (not axes or set(axes) == {0, 1}):
            if len(holder.counts) == 2:
                return replace(holder, counts=holder.counts[::-1])
            return UNKNOWN
        if name in ("squeeze", "unsqueeze") and len(axes) == 1 and isinstance(axes[0], int):
            if name == "unsqueeze" and axes[0] == 0:
                return replace(holder, counts=(Count.FIXED, *holder.counts))
            if axes[0] != 0 and holder.counts:
                return replace(holder, counts=(holder.counts[0], Count.UNKNOWN))
        return UNKNOWN

    def _instance(self, cls: ClassInfo, call: ast.Call, arguments: Sequence[Part]) -> Part:
        fields = fields_of(cls)
        if fields is None:
            return Made(cls) if is_bare(cls) else UNKNOWN
        given = dict(zip(fields, arguments, strict=False))
        for keyword in call.keywords:
            if keyword.arg is None:
                return UNKNOWN
            given[keyword.arg] = self.part(keyword.value)
        if len(arguments) > len(fields) or set(given) - set(fields):
            return UNKNOWN
        # A field that is not given has its default, which the class shows.
        defaults = {
            node.target.id: node.value
            for base in cls.mro()
            for node in base.node.body
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
        }
        for name in fields:
            if name not in given:
                default = defaults.get(name)
                is_none = isinstance(default, ast.Constant)
                given[name] = Plain("none") if is_none else UNKNOWN
        return Items(tuple((name, given[name]) for name in fields))


def entry_of(over: Part) -> Part | None:
    """Return what a loop over a part meets, ``None`` when that is not known."""
    if isinstance(over, Listed):
        return over.of
    if isinstance(over, Opaque):
        return Opaque(over.tensor)
    return None


def agreed(parts: Sequence[Part]) -> Part:
    """Return what several ways come to: the same thing, or nothing known."""
    different = list(dict.fromkeys(parts))
    return different[0] if len(different) == 1 else UNKNOWN


def fields_of(cls: ClassInfo) -> list[str] | None:
    """Return the fields of a dataclass or named tuple in order, ``None`` for other classes."""
    held = cls.mro()[::-1]
    typed = any(name in ("typing.NamedTuple", "NamedTuple") for name in cls.base_names)
    data = any(_is_dataclass(base, d) for base in held for d in base.node.decorator_list)
    if not (typed or data) or (data and "__init__" in cls.methods):
        return None
    names = dict.fromkeys(
        node.target.id
        for base in held
        for node in base.node.body
        if isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and "ClassVar" not in ast.dump(node.annotation)
    )
    return list(names)


def _is_dataclass(cls: ClassInfo, decorator: ast.expr) -> bool:
    target = decorator.func if isinstance(decorator, ast.Call) else decorator
    return (cls.module.qualified(target) or "").endswith("dataclasses.dataclass")


def is_bare(cls: ClassInfo) -> bool:
    """Tell whether a class is plain: no dataclass, nothing to iterate over, no unknown base."""
    if any(base.node.decorator_list for base in cls.mro()):
        return False  # A dataclass, or whatever a decorator makes of it.
    if cls.lookup("__iter__") is not None or "__iter__" in cls.namespace:
        return False
    return not any(base is None for held in cls.mro() for base in held.bases) and not (
        cls.base_names - {"object", "builtins.object", "abc.ABC"}
    )


def stored(cls: ClassInfo, attribute: str) -> tuple[ClassInfo, ast.expr] | None:
    """Return the one value that the methods of a class give ``self.attribute``."""
    values = [
        (base, node.value)
        for base in cls.mro()
        for node in subtree(base.node)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Attribute)
        and target.attr == attribute
        and _is_self(target.value)
        and not (isinstance(node.value, ast.Constant) and node.value.value is None)
    ]
    return values[0] if len(values) == 1 else None


def local_value(module: Module, name: ast.Name) -> ast.expr | None:
    """Return the value that a name is bound to, once, in its function or in the file."""
    function = module.enclosing_function(name)
    while True:
        owner: ast.AST = function or module.tree
        scope = module.scope_of(owner)
        if name.id in scope or function is None:
            break
        function = module.enclosing_function(function)
    stores = [
        node
        for node in subtree(owner)
        if isinstance(node, ast.Name)
        and node.id == name.id
        and isinstance(node.ctx, ast.Store)
        and module.enclosing_function(node) is function
    ]
    statement = scope.get(name.id)
    if len(stores) == 1 and isinstance(statement, ast.Assign) and stores[0] in statement.targets:
        return statement.value
    return None


def _measures(module: Module, function: FunctionNode) -> bool:
    """Tell whether a function takes the lengths of single samples, in a loop over them."""
    parameters = {a.arg for a in function.args.args}
    loops = (ast.For, ast.ListComp, ast.GeneratorExp, ast.Lambda)
    for node in own_nodes(function):
        measured: ast.expr | None = None
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "len" and node.args:
            measured = node.args[0]
        elif isinstance(node, ast.Attribute) and node.attr in ("shape", "size"):
            measured = node.value
        if measured is None or (isinstance(measured, ast.Name) and measured.id in parameters):
            continue
        if any(isinstance(around, loops) for around in module.ancestors(node)):
            return True
    return False


def _changed(module: Module, node: ast.Name) -> bool:
    """Tell whether a use of a name may change what it holds."""
    parent = module.parent(node)
    return (
        isinstance(parent, ast.Attribute)
        and parent.attr in ("append", "extend", "insert", "update", "pop", "setdefault", "clear")
    ) or (isinstance(parent, ast.Subscript) and isinstance(parent.ctx, ast.Store))


def _is_self(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"
