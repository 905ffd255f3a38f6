"""What statements and expressions do, run on abstract values: branches, loops, names, operators.

What is not understood is ``UNKNOWN``. A run stops when it has looked at too many expressions.
"""

from __future__ import annotations

import ast
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from lintmetrics.model import (
    arithmetic,
    containers,
    library_objects,
    mean_meters,
    running_totals,
    texts,
    value_methods,
)
from lintmetrics.model.frames import Condition, Frame, Names, OutOfBudget, Returned
from lintmetrics.model.trails import attribute_value
from lintmetrics.model.values import (
    UNKNOWN,
    Callee,
    Component,
    Const,
    Elements,
    Form,
    Map,
    Meter,
    Named,
    Number,
    SelfValue,
    Seq,
    SuperValue,
    Text,
    Value,
    each,
    merge,
    numbers,
    text_of,
)
from lintmetrics.project import ClassInfo, External, FunctionInfo, ModuleName

_SIZES = (Form.COUNT, Form.BATCHES)
_TRY = (ast.Try, getattr(ast, "TryStar", ast.Try))  # `except*` came with Python 3.11.


class Interpreter(ABC):
    """Runs statements and expressions on values that say what is known of them.

    What a call answers, and what ``self`` holds, is for a subclass to say.
    """

    def __init__(self) -> None:
        self.attributes = Names()
        self._spent = 0
        self._limit = 0
        self._changes = 0
        self._loops = 0
        self._tests: list[Condition] = []
        self._asks_data = False
        self._evaluators: dict[type[ast.expr], Callable[[Frame, Any], Value]] = {}

    @abstractmethod
    def _eval_call(self, frame: Frame, node: ast.Call) -> Value:
        """Return what a call answers."""

    @abstractmethod
    def _attribute_of_self(self, name: str) -> Value:
        """Return what the module holds under a name."""

    @abstractmethod
    def _note_mean(self, frame: Frame, made: ast.expr, value: Value) -> None:
        """Keep a mean over batches by hand, with the place where the module's own code makes it."""

    @abstractmethod
    def _note_added(self, frame: Frame, made: running_totals.Addition, value: Value) -> None:
        """Keep what a statement adds to a total that the module holds."""

    @abstractmethod
    def _note_set(self, name: str) -> None:
        """Keep that an attribute of the module is given a value of its own."""

    @abstractmethod
    def _divisor(self, frame: Frame, node: ast.expr, left: Value, right: Value) -> Value:
        """Return what a total is divided by, where that is a number of batches."""

    # Statements -----------------------------------------------------------------------------------

    def _block(self, frame: Frame, body: Sequence[ast.stmt]) -> None:
        for statement in body:
            self._statement(frame, statement)

    def _statement(self, frame: Frame, node: ast.stmt) -> None:
        if isinstance(node, ast.Expr):
            self._eval(frame, node.value)
        elif isinstance(node, ast.Assign):
            value = self._running_total(frame, node) or self._eval(frame, node.value)
            total = running_totals.addition(node)
            if total is not None:
                self._note_added(frame, total, self._eval(frame, total.added))
            for target in node.targets:
                self._bind(frame, target, value, adds=total is not None)
        elif isinstance(node, ast.Return):
            value = self._eval(frame, node.value) if node.value else Const(None)
            frame.returned.append(value)
            frame.returns.append(node)
            raise Returned
        elif isinstance(node, ast.If):
            self._if(frame, node)
        elif isinstance(node, ast.AnnAssign):
            if node.value is not None:
                self._bind(frame, node.target, self._eval(frame, node.value))
        elif isinstance(node, ast.AugAssign):
            before = self._eval(frame, _as_load(node.target))
            value = self._eval(frame, node.value)
            total = running_totals.addition(node)
            if total is not None:
                self._note_added(frame, total, value)
            elif isinstance(node.op, ast.Div):
                value = self._divisor(frame, node.value, before, value)
            if isinstance(node.op, ast.Add) and isinstance(value, Seq) and self._loop(frame):
                value = containers.appended(before, value.items, self._loop(frame))
            elif isinstance(node.op, ast.Add) and isinstance(value, Number):
                value = arithmetic.accumulate(before, value, self._loop(frame))
            else:
                made = ast.copy_location(ast.BinOp(node.target, node.op, node.value), node)
                made.lm_parent = node  # type: ignore[attr-defined]
                value = arithmetic.binary(node.op, before, value, made, frame.module)
                self._note_mean(frame, made, value)
            self._bind(frame, node.target, value, adds=total is not None)
        elif isinstance(node, (ast.For, ast.AsyncFor)):
            self._for(frame, node)
        elif isinstance(node, ast.While):
            self._eval(frame, node.test)
            self._loops += 1
            self._branches(frame, [node.body, node.orelse], always=False)
            self._loops -= 1
        elif isinstance(node, (ast.With, ast.AsyncWith)):
            for item in node.items:
                value = self._eval(frame, item.context_expr)
                if item.optional_vars is not None:
                    self._bind(frame, item.optional_vars, value)
            self._block(frame, node.body)
        elif isinstance(node, _TRY):
            handlers = [handler.body for handler in node.handlers]
            self._branches(frame, [[*node.body, *node.orelse], *handlers], always=True)
            self._block(frame, node.finalbody)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            info = FunctionInfo(frame.module, node, frame.owner)
            frame.names[node.name] = Callee(info, False, tuple(frame.names.items()))
        elif isinstance(node, ast.Raise):
            raise Returned
        elif isinstance(node, ast.Match):
            subject = self._eval(frame, node.subject)
            bodies = []
            for case in node.cases:
                pattern = case.pattern
                if isinstance(pattern, ast.MatchValue) and isinstance(subject, Const):
                    wanted = self._eval(frame, pattern.value)
                    if isinstance(wanted, Const) and wanted.value != subject.value:
                        continue
                bodies.append(case.body)
            self._branches(frame, [*bodies, []], always=False)
        elif isinstance(node, ast.Delete):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    frame.names.forget(target.id)

    def _running_total(self, frame: Frame, node: ast.Assign) -> Value | None:
        """Return what ``total = total + x`` gives in a loop over step outputs."""
        added, target = node.value, node.targets[0]
        if not (isinstance(added, ast.BinOp) and isinstance(added.op, ast.Add)):
            return None
        if not isinstance(target, ast.Name) or self._loop(frame) != "batches":
            return None
        for own, other in ((added.left, added.right), (added.right, added.left)):
            if isinstance(own, ast.Name) and own.id == target.id:
                value = self._eval(frame, other)
                if isinstance(value, Number):
                    return arithmetic.accumulate(self._eval(frame, own), value, "batches")
        return None

    @staticmethod
    def _loop(frame: Frame) -> str:
        """Return ``batches`` in a loop over step outputs, ``other`` in another, else nothing."""
        mark = frame.names.get("\0loop")
        return str(mark.value) if isinstance(mark, Const) else ""

    def _if(self, frame: Frame, node: ast.If) -> None:
        before, self._asks_data = self._asks_data, False
        value = self._eval(frame, node.test)
        asks_data = self._asks_data or _is_data(value, node.test)
        self._asks_data = before
        test = arithmetic.truth(value)
        if test is True:
            self._block(frame, node.body)
        elif test is False:
            self._block(frame, node.orelse)
        else:
            self._tests.append(Condition(node.test, frame.module, asks_data))
            try:
                self._branches(frame, [node.body, node.orelse], always=True)
            finally:
                self._tests.pop()

    def _branches(self, frame: Frame, bodies: Sequence[Sequence[ast.stmt]], always: bool) -> None:
        """Run bodies of which any may run, and join what the names then stand for."""
        before, attributes = frame.names, self.attributes
        ends: list[tuple[Names, Names]] = []
        if not always:
            ends.append((Names(before), Names(attributes)))
        frame.conditions += 1
        for body in bodies:
            frame.names = Names(before)
            self.attributes = Names(attributes)
            try:
                self._block(frame, body)
            except Returned:
                self._changes += bool(self.attributes.touched)
                frame.left = True
                continue
            self._changes += bool(self.attributes.touched)
            ends.append((frame.names, self.attributes))
        frame.conditions -= 1
        if not ends:
            raise Returned
        frame.names = self._join(before, [names for names, _ in ends])
        self.attributes = self._join(attributes, [held for _, held in ends])

    @staticmethod
    def _join(before: Names, ends: list[Names]) -> Names:
        """Return the names before some branches as they are after any of them."""
        for name in dict.fromkeys(name for end in ends for name in end.touched):
            values = [end[name] for end in ends if name in end]
            if not values:
                before.forget(name)
                continue
            first = values[0]
            before[name] = (
                first
                if all(value is first or value == first for value in values[1:])
                else merge(values)
            )
        return before

    def _for(self, frame: Frame, node: ast.For | ast.AsyncFor) -> None:
        iterable = self._eval(frame, node.iter)
        items = containers.items_of(iterable)
        per_batch = isinstance(iterable, Elements) and iterable.per_batch
        if items is not None and len(items) <= 12:
            for item in items:
                self._bind(frame, node.target, item)
                try:
                    self._block(frame, node.body)
                except Returned:
                    break
            self._block(frame, node.orelse)
            return
        outer = frame.names.get("\0loop")
        self._bind(frame, node.target, containers.element_of(iterable))
        frame.names["\0loop"] = Const("batches" if per_batch else "other")
        self._loops += 1
        self._branches(frame, [node.body], always=False)
        self._loops -= 1
        frame.names.forget("\0loop")
        if outer is not None:
            frame.names["\0loop"] = outer
        self._block(frame, node.orelse)

    def _bind(self, frame: Frame, target: ast.expr, value: Value, adds: bool = False) -> None:
        if isinstance(target, ast.Name):
            frame.names[target.id] = value
        elif isinstance(target, (ast.Tuple, ast.List)):
            parts = containers.unpack(value, len(target.elts))
            for item, part in zip(target.elts, parts, strict=True):
                self._bind(frame, item.value if isinstance(item, ast.Starred) else item, part)
        elif isinstance(target, ast.Attribute):
            if isinstance(self._eval(frame, target.value), SelfValue):
                if not adds:
                    self._note_set(target.attr)
                self._set_attribute(target.attr, value)
        elif isinstance(target, ast.Subscript):
            key = self._eval(frame, target.slice)
            holder = self._eval(frame, target.value)
            changed = containers.with_item(holder, key, value)
            if isinstance(target.value, (ast.Name, ast.Attribute)):
                self._bind(frame, target.value, changed, adds)

    def _set_attribute(self, name: str, value: Value) -> None:
        placed = containers.held(value, name)
        if name not in self.attributes or self.attributes[name] != placed:
            self._changes += 1
            self.attributes[name] = placed

    # Expressions ----------------------------------------------------------------------------------

    def _eval(self, frame: Frame, node: ast.expr) -> Value:
        self._spent += 1
        if self._spent > self._limit:
            raise OutOfBudget
        kind = type(node)
        evaluate = self._evaluators.get(kind)
        if evaluate is None:
            name = f"_eval_{kind.__name__.lower()}"
            evaluate = self._evaluators[kind] = getattr(self, name, self._eval_parts)
        value = evaluate(frame, node)
        if value is not UNKNOWN and (kind is ast.Call or kind is ast.BinOp):
            self._note_mean(frame, node, value)
        return value

    def _eval_parts(self, frame: Frame, node: ast.expr) -> Value:
        """Look at the parts of an expression that is not understood as a whole."""
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                self._eval(frame, child)
        return UNKNOWN

    def _eval_constant(self, frame: Frame, node: ast.Constant) -> Value:
        return Const(node.value)

    def _eval_name(self, frame: Frame, node: ast.Name) -> Value:
        value = frame.names.get(node.id)
        if value is not None:
            return value
        return self._symbol(frame, node)

    def _symbol(self, frame: Frame, node: ast.expr) -> Value:
        known: dict[ast.expr, Value] = frame.module.__dict__.setdefault("_lm_symbols", {})
        value = known.get(node)
        if value is None:
            value = known[node] = self._resolved(frame, node)
        return value

    def _resolved(self, frame: Frame, node: ast.expr) -> Value:
        symbol = frame.module.resolve(node)
        if isinstance(symbol, FunctionInfo):
            return Callee(symbol)
        if isinstance(symbol, (External, ModuleName, ClassInfo)):
            return Named(symbol.name)
        if symbol is None and isinstance(node, ast.Name):
            constant = frame.module.constant(node.id)
            if constant is not None:
                return Const(constant)
            return Named(f"builtins.{node.id}")
        return UNKNOWN

    def _eval_attribute(self, frame: Frame, node: ast.Attribute) -> Value:
        owner = self._eval(frame, node.value)
        if isinstance(owner, SelfValue):
            return self._attribute_of_self(node.attr)
        if isinstance(owner, SuperValue):
            return UNKNOWN
        if isinstance(owner, Component):
            return _part_of(owner, node.attr)
        if isinstance(owner, Meter):
            return self._mean_of_meter(frame, owner, node.attr, node)
        if isinstance(owner, Named):
            return (
                self._symbol(frame, node) if is_chain(node) else Named(f"{owner.name}.{node.attr}")
            )
        return each(owner, lambda value: value_methods.attribute(value, node, frame.module))

    def _mean_of_meter(self, frame: Frame, meter: Meter, name: str, node: ast.expr) -> Value:
        """Return the mean that an object keeps, where each batch gave it one value."""
        kept = mean_meters.mean_meter(meter.cls)
        if meter.fed is None or kept is None or name not in kept.means:
            return UNKNOWN
        value = arithmetic.reduced(meter.fed, "mean", True, node, frame.module)
        self._note_mean(frame, node, value)
        return value

    def _eval_subscript(self, frame: Frame, node: ast.Subscript) -> Value:
        owner = self._eval(frame, node.value)
        key = self._eval(frame, node.slice)
        return each(owner, lambda value: containers.item(value, key, node))

    def _eval_tuple(self, frame: Frame, node: ast.Tuple) -> Value:
        return self._sequence(frame, node.elts)

    def _eval_list(self, frame: Frame, node: ast.List) -> Value:
        return self._sequence(frame, node.elts)

    def _eval_set(self, frame: Frame, node: ast.Set) -> Value:
        return self._sequence(frame, node.elts)

    def _sequence(self, frame: Frame, elements: Sequence[ast.expr]) -> Value:
        items: list[Value] = []
        for element in elements:
            if isinstance(element, ast.Starred):
                inner = containers.items_of(self._eval(frame, element.value))
                if inner is None:
                    return UNKNOWN
                items += inner
            else:
                items.append(self._eval(frame, element))
        return Seq(tuple(items))

    def _eval_dict(self, frame: Frame, node: ast.Dict) -> Value:
        found = Map(())
        for key, item in zip(node.keys, node.values, strict=True):
            value = self._eval(frame, item)
            if key is None:
                found = containers.updated(found, value)
                continue
            name = text_of(self._eval(frame, key))
            found = replace(found, open=True) if name is None else found.with_item(name, value)
        return found

    def _eval_joinedstr(self, frame: Frame, node: ast.JoinedStr) -> Value:
        parts: list[str | None] = []
        for part in node.values:
            if isinstance(part, ast.Constant):
                parts.append(str(part.value))
                continue
            assert isinstance(part, ast.FormattedValue)
            value = self._eval(frame, part.value)
            if part.format_spec is None and isinstance(value, Const):
                parts.append(str(value.value))
            elif part.format_spec is None and isinstance(value, Text):
                parts += value.parts
            else:
                parts.append(None)
        return texts.text(parts)

    def _eval_ifexp(self, frame: Frame, node: ast.IfExp) -> Value:
        test = arithmetic.truth(self._eval(frame, node.test))
        if test is not None:
            return self._eval(frame, node.body if test else node.orelse)
        return merge([self._eval(frame, node.body), self._eval(frame, node.orelse)])

    def _eval_boolop(self, frame: Frame, node: ast.BoolOp) -> Value:
        values = [self._eval(frame, value) for value in node.values]
        self._asks_data |= any(map(_is_data, values, node.values))
        truths = [arithmetic.truth(value) for value in values]
        if isinstance(node.op, ast.And):
            if False in truths:
                return Const(False)
            return Const(True) if all(t is True for t in truths) else UNKNOWN
        if True in truths and truths.index(True) == 0:
            return values[0]
        if all(t is False for t in truths):
            return Const(False)
        return UNKNOWN

    def _eval_unaryop(self, frame: Frame, node: ast.UnaryOp) -> Value:
        value = self._eval(frame, node.operand)
        if isinstance(node.op, ast.Not):
            self._asks_data |= _is_data(value, node.operand)
            truth = arithmetic.truth(value)
            return UNKNOWN if truth is None else Const(not truth)
        if isinstance(value, Const) and isinstance(value.value, (int, float)):
            return Const(-value.value) if isinstance(node.op, ast.USub) else value
        return value

    def _eval_compare(self, frame: Frame, node: ast.Compare) -> Value:
        left = self._eval(frame, node.left)
        rights = [self._eval(frame, right) for right in node.comparators]
        structural = (ast.In, ast.NotIn, ast.Is, ast.IsNot)
        involved = (left, *rights)
        # What has a name is a key or a kind, and no number of the batch.
        named = any(_is_named(value) for value in involved)
        if not isinstance(node.ops[0], structural) and not named:
            self._asks_data |= any(_is_data(value) for value in involved)
        return arithmetic.compare(left, node.ops, rights)

    def _eval_binop(self, frame: Frame, node: ast.BinOp) -> Value:
        left = self._eval(frame, node.left)
        right = self._eval(frame, node.right)
        if isinstance(node.op, ast.Div):
            right = self._divisor(frame, node.right, left, right)
        return arithmetic.binary(node.op, left, right, node, frame.module)

    def _eval_namedexpr(self, frame: Frame, node: ast.NamedExpr) -> Value:
        value = self._eval(frame, node.value)
        self._bind(frame, node.target, value)
        return value

    def _eval_await(self, frame: Frame, node: ast.Await) -> Value:
        return self._eval(frame, node.value)

    def _eval_starred(self, frame: Frame, node: ast.Starred) -> Value:
        return self._eval(frame, node.value)

    def _eval_lambda(self, frame: Frame, node: ast.Lambda) -> Value:
        body = ast.copy_location(ast.Return(node.body), node.body)
        function = ast.FunctionDef("<lambda>", node.args, [body], [])
        info = FunctionInfo(frame.module, ast.copy_location(function, node), frame.owner)
        return Callee(info, False, tuple(frame.names.items()))

    def _comprehension(
        self, frame: Frame, generators: list[ast.comprehension], elements: list[ast.expr]
    ) -> tuple[list[list[Value]] | None, list[Value], bool]:
        """Run a comprehension: known items, else one element that stands for all."""
        first, *rest = generators
        iterable = self._eval(frame, first.iter)
        items = containers.items_of(iterable)
        saved, frame.names = frame.names, Names(frame.names)
        try:
            if items is not None and len(items) <= 12 and not rest and not first.ifs:
                known = []
                for item in items:
                    self._bind(frame, first.target, item)
                    known.append([self._eval(frame, element) for element in elements])
                return known, [], False
            per_batch = isinstance(iterable, Elements) and iterable.per_batch and not rest
            self._bind(frame, first.target, containers.element_of(iterable))
            for generator in rest:
                inner = self._eval(frame, generator.iter)
                self._bind(frame, generator.target, containers.element_of(inner))
            for generator in generators:
                for condition in generator.ifs:
                    self._eval(frame, condition)
            return None, [self._eval(frame, element) for element in elements], per_batch
        finally:
            frame.names = saved

    def _eval_listcomp(self, frame: Frame, node: ast.ListComp) -> Value:
        known, element, per_batch = self._comprehension(frame, node.generators, [node.elt])
        if known is not None:
            return Seq(tuple(values[0] for values in known))
        return Elements(element[0], per_batch)

    def _eval_generatorexp(self, frame: Frame, node: ast.GeneratorExp) -> Value:
        known, element, per_batch = self._comprehension(frame, node.generators, [node.elt])
        if known is not None:
            return Seq(tuple(values[0] for values in known))
        return Elements(element[0], per_batch)

    def _eval_dictcomp(self, frame: Frame, node: ast.DictComp) -> Value:
        known, element, _ = self._comprehension(frame, node.generators, [node.key, node.value])
        if known is not None:
            found = Map(())
            for key, value in known:
                name = text_of(key)
                found = replace(found, open=True) if name is None else found.with_item(name, value)
            return found
        name = text_of(element[0])
        if name is not None:
            return Map(((name, element[1]),), open=True)
        return Elements(element[1])


def _is_named(value: Value) -> bool:
    if isinstance(value, Const):
        return value.value is None or isinstance(value.value, (str, bool))
    return isinstance(value, Text)


def _is_data(value: Value, node: ast.expr | None = None) -> bool:
    """Tell whether a value depends on what is in the batch, and not on its size alone.

    What a comparison asks, its sides have said.
    """
    return not isinstance(node, ast.Compare) and any(
        number.form not in _SIZES for number in numbers(value)
    )


def is_chain(node: ast.expr) -> bool:
    """Tell whether an expression is a name, or attributes of one."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return isinstance(node, ast.Name)


def _part_of(owner: Component, name: str) -> Value:
    """Return what an object holds under a name: a loss of torch, or a constant."""
    held = attribute_value(owner.cls, name)
    if held is None:
        return UNKNOWN
    node, module = held
    if isinstance(node, ast.Constant):
        return Const(node.value)
    dotted = module.qualified(node.func) if isinstance(node, ast.Call) else None
    if not isinstance(node, ast.Call) or not (dotted or "").startswith("torch.nn."):
        return UNKNOWN
    return library_objects.construct(dotted or "", node, module, [], {}) or UNKNOWN


def _as_load(node: ast.expr) -> ast.expr:
    return node
