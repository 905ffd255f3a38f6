"""What expressions over the outputs of an epoch are: parts, columns, means, metrics of everything.

What they concatenate, map sample by sample and reduce is a term; all else is none.
"""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from lintmetrics.edits import CannotEdit, is_docstring
from lintmetrics.model.epoch_terms import OUTPUTS, Column, Path, Term
from lintmetrics.model.object_equivalents import MetricObject
from lintmetrics.project import FunctionInfo, Module
from lintmetrics.tree import subtree

_UNWRAPPED = frozenset(
    [
        "cpu",
        "cuda",
        "detach",
        "numpy",
        "tolist",
        "contiguous",
        "clone",
        "requires_grad_",
        "item",
        "float",
        "double",
    ]
)
_ELEMENTWISE = frozenset(
    [
        "sigmoid",
        "round",
        "float",
        "double",
        "half",
        "long",
        "int",
        "bool",
        "abs",
        "exp",
        "log",
        "sqrt",
    ]
)
_ROWWISE = frozenset(["softmax", "log_softmax", "argmax"])
_FUNCTIONS = {
    "torch.sigmoid": 0,
    "torch.special.expit": 0,
    "torch.nn.functional.sigmoid": 0,
    "torch.round": 0,
    "torch.softmax": 1,
    "torch.log_softmax": 1,
    "torch.argmax": 1,
    "torch.nn.functional.softmax": 1,
    "torch.nn.functional.log_softmax": 1,
}
_MODULES = {"torch.nn.Sigmoid": 0, "torch.nn.Softmax": 1, "torch.nn.LogSoftmax": 1}
_CONCAT = frozenset(["cat", "concat", "concatenate", "vstack", "hstack"])
_STACK = frozenset(["stack", "tensor", "as_tensor", "array", "asarray", "FloatTensor", "Tensor"])
_ARRAYS = ("torch.", "numpy.")


@dataclass(frozen=True)
class Closure:
    """A function of one expression that a body defines.

    Args:
        parameters: its parameters; ``value``: what it returns.
        gathers: whether it reads the outputs, or a term, by itself.
    """

    parameters: tuple[str, ...]
    value: ast.expr
    gathers: bool


class Expressions:
    """Reads expressions of one body.

    Args:
        module: the file.
        is_outputs: tells whether an expression is the list of outputs.
        batch_means: ids of expressions known to be means over batches, however they look.
        is_metric: tells whether an expression is a Metric object that only this hook uses.
        object_for: gives the object for a call of a metric function, by the function's name.
        keys: the keys of one step's output, where it is a dict and all of them are known.
    """

    def __init__(
        self,
        module: Module,
        is_outputs: Callable[[ast.expr], bool],
        batch_means: frozenset[int] = frozenset(),
        is_metric: Callable[[ast.expr], bool] = lambda expr: False,
        object_for: Callable[[Module, ast.Call, str], MetricObject] | None = None,
        keys: tuple[str, ...] = (),
    ) -> None:
        self._object_for = object_for
        self._batch_means = batch_means
        self._is_metric = is_metric
        self._module = module
        self._is_outputs = is_outputs
        self._keys = keys
        self._constants: dict[str, str] = {}
        self._names: dict[str, Term] = {}
        self._closures: dict[str, Closure] = {}
        self._reason = ""

    def mentions(self, node: ast.AST) -> bool:
        """Tell whether something reads the outputs, or a term made of them."""
        for inner in subtree(node):
            if isinstance(inner, ast.Name) and inner.id in self._names:
                return True
            closure = self._closures.get(inner.id) if isinstance(inner, ast.Name) else None
            if closure is not None and closure.gathers:
                return True
            if isinstance(inner, ast.expr) and self._is_outputs(inner):
                return True
        return False

    def term(self, node: ast.expr) -> Term | None:
        """Return what an expression is, ``None`` when it is no term."""
        if self._is_outputs(node):
            return OUTPUTS
        if isinstance(node, ast.Name):
            return self._names.get(node.id)
        if isinstance(node, ast.Dict):
            return self._record(node)
        if isinstance(node, (ast.ListComp, ast.GeneratorExp)):
            return self._comprehension(node)
        if isinstance(node, ast.DictComp):
            return self._dict_comprehension(node)
        if isinstance(node, ast.Subscript):
            return self._subscript(node)
        if isinstance(node, ast.Compare):
            inner = self.term(node.left)
            if (
                inner is not None
                and inner.kind in ("whole", "item")
                and len(node.ops) == 1
                and isinstance(node.comparators[0], ast.Constant)
            ):
                return self._wrapped(inner, node, node.left, atomic=False)
            return None
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            return self._quotient(node)
        if isinstance(node, ast.IfExp):
            if self._asks_for_a_dict(node.test):
                return self.term(node.body)
            return None
        if isinstance(node, ast.Call):
            return self._call(node)
        return None

    def _asks_for_a_dict(self, test: ast.expr) -> bool:
        return (
            isinstance(test, ast.Call)
            and isinstance(test.func, ast.Name)
            and test.func.id == "isinstance"
            and len(test.args) == 2
            and ast.unparse(test.args[1]) == "dict"
            and (term := self.term(test.args[0])) is not None
            and term.kind == "item"
        )

    def _record(self, node: ast.Dict) -> Term | None:
        items: list[tuple[str, ast.expr, Term | None]] = []
        for key, value in zip(node.keys, node.values, strict=True):
            if not isinstance(key, ast.Constant) or not isinstance(key.value, str):
                return None
            items.append((key.value, key, self.term(value)))
        if items and all(item is None for _, _, item in items):
            return None
        return Term("record", items=tuple(items))

    def _dict_comprehension(self, node: ast.DictComp) -> Term | None:
        """Return the record of one mean for each key."""
        generator = node.generators[0]
        if len(node.generators) != 1 or generator.ifs or generator.is_async:
            return None
        keys = self._keys_of(generator.iter)
        if keys is None or not isinstance(generator.target, ast.Name):
            return None
        items: list[tuple[str, ast.expr, Term | None]] = []
        try:
            for key in keys:
                self._constants[generator.target.id] = key
                named, item = self._key(node.key), self.term(node.value)
                if not isinstance(named, ast.Constant) or item is None or item.kind != "mean":
                    return None
                items.append((str(named.value), named, item))
        finally:
            self._constants.pop(generator.target.id, None)
        return Term("record", items=tuple(items))

    def _comprehension(self, node: ast.ListComp | ast.GeneratorExp) -> Term | None:
        if len(node.generators) != 1 or node.generators[0].ifs or node.generators[0].is_async:
            return None
        generator = node.generators[0]
        iterated = self.term(generator.iter)
        if iterated is None or iterated.kind not in ("outputs", "rows"):
            return None
        column = iterated.column if iterated.kind == "rows" else Column(((),))
        saved = dict(self._names)
        try:
            target = generator.target
            if isinstance(target, ast.Name):
                self._names[target.id] = Term("item", column, node=node)
            elif isinstance(target, (ast.Tuple, ast.List)) and iterated.kind == "outputs":
                for index, part in enumerate(target.elts):
                    if not isinstance(part, ast.Name):
                        return None
                    self._names[part.id] = Term("item", Column(((index,),)), node=node)
            else:
                return None
            element = self.term(node.elt)
        finally:
            self._names = saved
        return element.having("rows") if element is not None and element.kind == "item" else None

    def _subscript(self, node: ast.Subscript) -> Term | None:
        owner = self.term(node.value)
        if owner is None:
            return None
        text = self._text_of(node.slice)
        if text is None and not isinstance(node.slice, ast.Constant):
            return None
        key = text if text is not None else getattr(node.slice, "value", None)
        if owner.kind == "record":
            return next((t for k, _, t in reversed(owner.items) if k == key), None)
        if owner.kind != "item" or len(owner.column.pieces) != 1:
            return None
        piece = owner.column.pieces[0]
        if isinstance(piece, str) or not isinstance(key, (str, int)):
            return None
        return Term("item", Column(((*piece, key),)), node=owner.node)

    def _wrapped(self, term: Term, outer: ast.expr, inner: ast.expr, atomic: bool = True) -> Term:
        """Return a term after an operation whose text stays as it is around the term's."""
        source = self._module.source
        before = source.text[source.start(outer) : source.start(inner)]
        after = source.text[source.end(inner) : source.end(outer)]
        pieces: tuple[str | Path, ...] = term.column.pieces
        if not term.column.atomic and isinstance(outer, (ast.Compare, ast.BinOp)):
            pieces = ("(", *pieces, ")")
        if (
            isinstance(outer, ast.Call)
            and isinstance(outer.func, ast.Attribute)
            and outer.func.value is inner
            and not term.column.atomic
        ):
            pieces = ("(", *pieces, ")")
            # Parentheses that the source has around the inner expression are in neither part.
            before, after = before.rstrip("("), after.lstrip(")")
        column = Column((before, *pieces, after) if before else (*pieces, after), atomic)
        return Term(term.kind, column, node=term.node)

    def _counts(self, divisor: ast.expr) -> bool:
        """Tell whether an expression is the number of batches."""
        if (
            isinstance(divisor, ast.Call)
            and isinstance(divisor.func, ast.Name)
            and divisor.args
            and divisor.func.id == "max"
        ):
            divisor = divisor.args[0]
        if not (isinstance(divisor, ast.Call) and isinstance(divisor.func, ast.Name)):
            return False
        if divisor.func.id != "len" or len(divisor.args) != 1:
            return False
        counted = self.term(divisor.args[0])
        return counted is not None and counted.kind in ("outputs", "rows", "stacked")

    def _quotient(self, node: ast.BinOp) -> Term | None:
        if not self._counts(node.right):
            return None
        left = node.left
        summed: Term | None = None
        name: str | None = ""
        if isinstance(left, ast.Name):
            total = self.term(left)
            if total is None or total.kind != "summed":
                return None
            return Term("mean", total.column, node=node, by="sum")
        if isinstance(left, ast.Call) and len(left.args) == 1 and not left.keywords:
            name = self._module.qualified(left.func) or getattr(left.func, "id", "")
            if name in ("sum", "torch.sum", "numpy.sum"):
                summed = self.term(left.args[0])
        elif isinstance(left, ast.Call) and isinstance(left.func, ast.Attribute) and not left.args:
            summed = self.term(left.func.value) if left.func.attr == "sum" else None
        if summed is None or not (summed.kind in ("rows", "stacked") or summed is OUTPUTS):
            return None
        column = Column(((),)) if summed is OUTPUTS else summed.column
        by = "sum" if name == "sum" and summed.kind != "stacked" else "sum of all"
        return Term("mean", column, node=node, by=by)

    # Calls ----------------------------------------------------------------------------------------

    def _call(self, node: ast.Call) -> Term | None:
        func = node.func
        if isinstance(func, ast.Attribute):
            owner = self.term(func.value)
            if owner is not None:
                return self._method(node, func, owner)
        if isinstance(func, ast.Name) and func.id in self._closures:
            return self._closed(node, self._closures[func.id])
        name = self._module.qualified(func) or (func.id if isinstance(func, ast.Name) else "")
        first = self.term(node.args[0]) if node.args else None
        short = name.rsplit(".", 1)[-1]
        if name in ("float", "list", "tuple", "builtins.float") and first is not None:
            return first
        if name.startswith(_ARRAYS) and first is not None:
            known = self._array_function(node, name, short, first)
            if known is not None:
                return known
        if name in ("statistics.mean", "statistics.fmean") and first is not None:
            return self._mean(first, node, name)
        if isinstance(func, ast.Call) and first is not None:
            layer = self._module.qualified(func.func) or ""
            if (
                layer in _MODULES
                and first.kind in ("whole", "item")
                and (not _MODULES[layer] or _dimension(func, 0) not in (None, 0))
            ):
                return self._wrapped(first, node, node.args[0])
            return None
        if name in _FUNCTIONS and first is not None and first.kind in ("whole", "item"):
            if not _FUNCTIONS[name] or _dimension(node, 1) not in (None, 0):
                return self._wrapped(first, node, node.args[0])
            return None
        symbol = self._module.resolve(func)
        if isinstance(symbol, FunctionInfo) and symbol.cls is None:
            return self._helper(node, symbol)
        return self._metric(node, name)

    def _helper(self, node: ast.Call, info: FunctionInfo) -> Term | None:
        """Return what a one-line function of the project makes of the outputs."""
        body = [s for s in info.node.body if not is_docstring(s)]
        parameters = [a.arg for a in info.node.args.args]
        if len(body) != 1 or not isinstance(body[0], ast.Return) or body[0].value is None:
            return None
        if node.keywords or len(node.args) != len(parameters):
            return None
        inner = Expressions(info.module, lambda expr: False, object_for=self._object_for)
        constants: dict[str, ast.Constant] = {}
        for parameter, argument in zip(parameters, node.args, strict=True):
            term = self.term(argument)
            if term is not None:
                inner._names[parameter] = term
            elif isinstance(argument, ast.Constant):
                constants[parameter] = argument
            else:
                return None
        value = body[0].value
        if constants:
            value = _with_constants(info.module, value, constants)
        found = inner.term(value)
        if found is None or found.kind != "mean":
            return None
        return replace(found, node=node)

    def _closed(self, node: ast.Call, closure: Closure) -> Term | None:
        """Return what a closure of the body makes of the outputs."""
        if node.keywords or len(node.args) != len(closure.parameters):
            return None
        names, constants = dict(self._names), dict(self._constants)
        bound = zip(closure.parameters, node.args, strict=True)
        given = [(name, self.term(value), self._text_of(value)) for name, value in bound]
        try:
            for name, term, text in given:
                self._names.pop(name, None)
                self._constants.pop(name, None)
                if term is not None:
                    self._names[name] = term
                elif text is not None:
                    self._constants[name] = text
                else:
                    return None
            found = self.term(closure.value)
        finally:
            self._names, self._constants = names, constants
        if found is None or found.kind != "mean" or found.node is None:
            return None
        spelled = " ".join(piece for piece in found.column.pieces if isinstance(piece, str))
        if any(re.search(rf"\b{name}\b", spelled) for name in closure.parameters):
            return None  # The step has no such name.
        return replace(found, node=node, made=found.made or found.node)

    def _mean(self, term: Term, node: ast.expr, by: str) -> Term | None:
        by = term.by if term.kind == "stacked" and by != "first" else by
        if term is OUTPUTS:
            return Term("mean", Column(((),)), node=node, by=by)
        if term.kind in ("rows", "stacked"):
            return Term("mean", term.column, node=node, by=by)
        if term.kind == "whole" and id(node) in self._batch_means:
            return Term("mean", term.column, node=node, by="cat")
        if term.kind == "whole":
            mean = MetricObject("torchmetrics.MeanMetric")
            return Term("metric", metric=mean, preds=term.column, node=node)
        return None

    def _array_function(self, node: ast.Call, name: str, short: str, first: Term) -> Term | None:
        over_batches = _dimension(node, 1) in (None, 0)
        if short in _CONCAT and first.kind in ("outputs", "rows"):
            if short != "hstack" and not over_batches:
                return None
            column = Column(((),)) if first is OUTPUTS else first.column
            return Term("whole", column, node=node)
        if short in _STACK and first.kind in ("outputs", "rows", "stacked", "whole"):
            if first.kind == "whole":
                return first
            column = Column(((),)) if first is OUTPUTS else first.column
            by = first.by if first.kind == "stacked" else name
            return Term("stacked", column, node=node, by=by) if over_batches else None
        if short in ("mean", "nanmean") and over_batches and len(node.args) == 1:
            return self._mean(first, node, name if _dimension(node, 1) is None else "first")
        if name == "numpy.argmax" and first.kind == "whole":
            dim = _dimension(node, 1)
            if dim in (None, 0):
                return None
            pieces = (
                first.column.pieces if first.column.atomic else ("(", *first.column.pieces, ")")
            )
            return Term("whole", Column((*pieces, f".argmax(dim={dim})")), node=node)
        if short == "from_numpy":
            return first
        return None

    def _method(self, node: ast.Call, func: ast.Attribute, owner: Term) -> Term | None:
        name = func.attr
        if owner.kind == "item" and name == "get" and node.args:
            key = self._text_of(node.args[0])
            piece = owner.column.pieces[0] if len(owner.column.pieces) == 1 else ""
            if key is not None and not isinstance(piece, str):
                return Term("item", Column(((*piece, key),)), node=owner.node)
            return None
        if name in _UNWRAPPED and not (name in ("float", "double") and owner.kind == "whole"):
            return owner
        if name == "to" and owner.kind in ("mean", "metric", "stacked"):
            return owner
        if name in ("mean", "sum") and owner.kind == "item" and not node.args:
            return self._wrapped(owner, node, func.value) if not node.keywords else None
        if name in ("mean", "nanmean"):
            if _dimension(node, 0) in (None, 0) and len(node.args) <= 1:
                return self._mean(owner, node, "" if _dimension(node, 0) is None else "first")
            return None
        if owner.kind not in ("whole", "item"):
            return None
        if name in _ELEMENTWISE and not node.args and not node.keywords:
            return self._wrapped(owner, node, func.value)
        if name in _ROWWISE and _dimension(node, 0) not in (None, 0):
            return self._wrapped(owner, node, func.value)
        if name in ("squeeze", "unsqueeze") and _dimension(node, 0) not in (None, 0):
            return self._wrapped(owner, node, func.value)
        if name == "flatten" and not node.args and not node.keywords:
            return self._wrapped(owner, node, func.value)
        if (
            name in ("view", "reshape")
            and len(node.args) == 1
            and not node.keywords
            and ast.unparse(node.args[0]) == "-1"
        ):
            return self._wrapped(owner, node, func.value)
        if name == "astype" and len(node.args) == 1 and ast.unparse(node.args[0]) == "int":
            pieces = (
                owner.column.pieces if owner.column.atomic else ("(", *owner.column.pieces, ")")
            )
            return Term(owner.kind, Column((*pieces, ".long()")), node=owner.node)
        return None

    def _metric(self, node: ast.Call, name: str) -> Term | None:
        data = [*node.args, *(k.value for k in node.keywords)]
        if not any((term := self.term(v)) is not None and term.kind == "whole" for v in data):
            return None
        if self._is_metric(node.func):
            terms = [self.term(value) for value in node.args]
            if node.keywords or not 1 <= len(terms) <= 2:
                return None
            if any(given is None or given.kind != "whole" for given in terms):
                return None
            columns = [given.column for given in terms if given is not None]
            held = self._module.source.segment(node.func)
            second = columns[1] if len(columns) > 1 else None
            return Term("metric", preds=columns[0], target=second, node=node, held=held)
        if self._object_for is None:
            return None
        try:
            found = self._object_for(self._module, node, name)
        except CannotEdit as error:
            self._reason = str(error)
            return None
        if len(found.inputs) != 2:
            self._reason = f"{name}() at line {node.lineno} is given more than two columns"
            return None
        preds, target = (self.term(given) for given in found.inputs)
        if preds is None or target is None or {preds.kind, target.kind} != {"whole"}:
            self._reason = f"{name}() at line {node.lineno} is given more than the step outputs"
            return None
        return Term("metric", metric=found, preds=preds.column, target=target.column, node=node)

    # Keys -----------------------------------------------------------------------------------------

    def _keys_of(self, node: ast.expr) -> tuple[str, ...] | None:
        """Return the keys that a loop goes through: those written down, or those of an output."""
        if isinstance(node, (ast.List, ast.Tuple)):
            keys = [e.value for e in node.elts if isinstance(e, ast.Constant)]
            named = tuple(key for key in keys if isinstance(key, str))
            return named if len(named) == len(node.elts) and named else None
        if isinstance(node, ast.Call) and not node.keywords:
            func = node.func
            if isinstance(func, ast.Attribute) and func.attr == "keys" and not node.args:
                return self._keys_of(func.value)
            if isinstance(func, ast.Name) and func.id in ("list", "sorted") and len(node.args) == 1:
                return self._keys_of(node.args[0])
        if (
            isinstance(node, ast.Subscript)
            and not isinstance(node.slice, ast.Slice)
            and not isinstance(node.slice, ast.Name)
            and self.term(node.value) is OUTPUTS
        ):
            return self._keys or None
        return None

    def _text_of(self, node: ast.expr) -> str | None:
        """Return a text that is known, or that a key makes known."""
        if isinstance(node, ast.Constant):
            return node.value if isinstance(node.value, str) else None
        if isinstance(node, ast.Name):
            return self._constants.get(node.id)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            left, right = self._text_of(node.left), self._text_of(node.right)
            return None if left is None or right is None else left + right
        if not isinstance(node, ast.JoinedStr):
            return None
        parts: list[str] = []
        for value in node.values:
            inner = value.value if isinstance(value, ast.FormattedValue) else value
            plain = not isinstance(value, ast.FormattedValue) or (
                value.conversion == -1 and value.format_spec is None
            )
            text = self._text_of(inner) if plain else None
            if text is None:
                return None
            parts.append(text)
        return "".join(parts)

    def _key(self, node: ast.expr) -> ast.expr | None:
        """Return a key as it is, or as a constant where a loop over keys makes it."""
        if not any(name in self._constants for name in names_in(node)):
            return node
        text = self._text_of(node)
        return None if text is None else ast.copy_location(ast.Constant(text), node)


def _with_constants(
    module: Module, value: ast.expr, constants: dict[str, ast.Constant]
) -> ast.expr:
    """Return an expression with parameters replaced by constants, in place of a call."""

    class _Substitute(ast.NodeTransformer):
        def visit_Name(self, node: ast.Name) -> ast.expr:
            found = constants.get(node.id)
            if found is None or not isinstance(node.ctx, ast.Load):
                return node
            fresh = ast.copy_location(ast.Constant(found.value), node)
            fresh.lm_parent = module.parent(node)  # type: ignore[attr-defined]
            return fresh

    memo: dict[int, object] = {}
    for inner in subtree(value):
        parent = module.parent(inner)
        if inner is value and parent is not None:
            memo[id(parent)] = parent
    return _Substitute().visit(copy.deepcopy(value, memo))  # type: ignore[no-any-return]


def names_in(node: ast.AST) -> Iterator[str]:
    """Yield every name that something reads or binds."""
    for inner in subtree(node):
        if isinstance(inner, ast.Name):
            yield inner.id


def _dimension(node: ast.Call, position: int) -> object:
    """Return the dimension that a call names as a constant; ``None`` when it names none."""
    value = next((k.value for k in node.keywords if k.arg in ("dim", "axis")), None)
    if value is None and len(node.args) > position:
        value = node.args[position]
    if isinstance(value, ast.UnaryOp) and isinstance(value.op, ast.USub):
        inner = value.operand
        return (
            -inner.value
            if isinstance(inner, ast.Constant) and isinstance(inner.value, int)
            else None
        )
    return value.value if isinstance(value, ast.Constant) else None
