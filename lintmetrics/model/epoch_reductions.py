"""What the end of an epoch makes of the outputs of its steps: means, and metrics of everything.

A body is read statement by statement. What it concatenates, maps sample by sample and reduces is
kept as a term that can be written for one batch, in the step; all else stays what it is.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field, replace

from lintmetrics.edits import FunctionNode, is_docstring
from lintmetrics.model.epoch_expressions import Closure, Expressions, names_in
from lintmetrics.model.epoch_terms import OUTPUTS, Column, Path, Term
from lintmetrics.tree import subtree

SANITY = ("sanity_checking", "running_sanity_check")
"""What the trainer is asked whether this is a sanity check; the second until 1.5."""


@dataclass(frozen=True)
class Logged:
    """One key that the body logs, with the term it logs; ``call`` is ``None`` for returned ones."""

    key: ast.expr
    term: Term
    call: ast.Call | None
    extra: tuple[str, ...] = ()


@dataclass
class Reading:
    """What a body does.

    Args:
        logged: what it logs of terms.
        pure: assignments that make terms, with the name each binds.
        logs: statements that log terms only.
        cleared: statements that empty the list of outputs.
        guards: statements that only return when there are no outputs.
        kept: all other statements, in order; ``needing``: those of them that read terms.
        reasons: for statements in ``needing``, why they could not be read.
        returned: the last ``return``; ``returned_items``: the terms of the dict it returns.
        names: what the hook calls a part of the outputs.
        terms: what its names stand for at its end.
    """

    logged: list[Logged] = field(default_factory=list)
    pure: list[tuple[ast.stmt, str]] = field(default_factory=list)
    logs: list[ast.stmt] = field(default_factory=list)
    cleared: list[ast.stmt] = field(default_factory=list)
    guards: list[ast.stmt] = field(default_factory=list)
    kept: list[ast.stmt] = field(default_factory=list)
    needing: list[ast.stmt] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    returned: ast.Return | None = None
    returned_items: list[tuple[str, ast.expr, Term]] = field(default_factory=list)
    names: dict[Path, str] = field(default_factory=dict)
    terms: dict[str, Term] = field(default_factory=dict)


class Reader(Expressions):
    """Reads one body."""

    _function: FunctionNode
    _begun: dict[str, tuple[str, ast.stmt]]
    _defined: list[tuple[ast.stmt, str]]

    def read(self, function: FunctionNode) -> Reading:
        """Read all statements of a hook."""
        self._function = function
        self._begun = {}
        self._defined = []
        found = Reading()
        for statement in function.body:
            if is_docstring(statement) or isinstance(statement, ast.Pass):
                continue
            self._reason = ""
            self._statement(statement, found)
        for statement, name in self._defined:
            # One that nothing asks any more goes with what asked it.
            if not any(name in names_in(other) for other in found.kept if other is not statement):
                found.kept.remove(statement)
                found.pure.append((statement, name))
        found.terms = self._names
        return found

    # Statements -----------------------------------------------------------------------------------

    def _statement(self, node: ast.stmt, found: Reading) -> None:
        if node in self._function.body and self._define(node, found):
            return
        target = _single_target(node)
        value = getattr(node, "value", None)
        if target is not None and isinstance(value, ast.expr):
            if isinstance(target, ast.Name):
                term = self.term(value)
                if term is not None:
                    column = replace(term.column, name=target.id)
                    if len(column.pieces) == 1 and not isinstance(column.pieces[0], str):
                        found.names.setdefault(column.pieces[0], target.id)
                    self._names[target.id] = replace(term, column=column) if column.pieces else term
                    found.pure.append((node, target.id))
                    return
                self._names.pop(target.id, None)
            elif self._is_outputs(target) and _empties(value):
                found.cleared.append(node)
                return
            elif (
                isinstance(target, ast.Subscript)
                and isinstance(target.value, ast.Name)
                and self._set_item(target, value, node, found)
            ):
                return
        if isinstance(node, ast.Expr) and isinstance(value, ast.Call):
            func = value.func
            if isinstance(func, ast.Attribute):
                if func.attr == "clear" and self.term(func.value) is OUTPUTS:
                    found.cleared.append(node)
                    return
                if _is_self(func.value) and func.attr in ("log", "log_dict"):
                    logged = self._log(value, func.attr == "log_dict")
                    if logged is not None:
                        found.logged += logged
                        found.logs.append(node)
                        return
        if isinstance(node, ast.Return):
            self._return(node, found)
            return
        if isinstance(node, ast.For) and (self._gather(node, found) or self._by_key(node, found)):
            return
        if isinstance(node, ast.If) and self._guards(node):
            found.guards.append(node)
            return
        if isinstance(node, ast.If) and self._open(node, found):
            return
        if isinstance(node, ast.AugAssign) and self._averages(node):
            assert isinstance(node.target, ast.Name)
            found.pure.append((node, node.target.id))
            return
        self._begin(node)
        found.kept.append(node)
        if self.mentions(node):
            found.needing.append(node)
            found.reasons.append(self._reason or self._describe(node))

    def _define(self, node: ast.stmt, found: Reading) -> bool:
        """Read a closure of one expression."""
        name, arguments, value = "", None, None
        target = _single_target(node)
        made = getattr(node, "value", None)
        if isinstance(target, ast.Name) and isinstance(made, ast.Lambda):
            name, arguments, value = target.id, made.args, made.body
        elif isinstance(node, ast.FunctionDef) and not node.decorator_list:
            body = [s for s in node.body if not is_docstring(s)]
            last = body[0] if len(body) == 1 else None
            if isinstance(last, ast.Return) and last.value is not None:
                name, arguments, value = node.name, node.args, last.value
        if arguments is None or value is None or self._is_bound_again(name, node):
            return False
        plain = arguments.posonlyargs or arguments.kwonlyargs or arguments.defaults
        if plain or arguments.vararg or arguments.kwarg:
            return False
        gathers = self.mentions(value)
        parameters = tuple(argument.arg for argument in arguments.args)
        self._closures[name] = Closure(parameters, value, gathers)
        if gathers:
            found.pure.append((node, name))
        else:
            found.kept.append(node)
            self._defined.append((node, name))
        return True

    def _is_bound_again(self, name: str, definition: ast.stmt) -> bool:
        """Tell whether a name is bound by more than its definition."""
        bound = [
            node
            for node in subtree(self._function)
            if (isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Store))
            or (isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name == name)
            or (isinstance(node, ast.arg) and node.arg == name)
        ]
        return len(bound) != 1

    def _guards(self, node: ast.If) -> bool:
        """Tell whether a statement returns nothing when there are no outputs."""
        (first, *more) = node.body
        if more or node.orelse or not isinstance(first, ast.Return):
            return False
        value = first.value
        if not (
            value is None
            or (isinstance(value, ast.Constant) and value.value is None)
            or (isinstance(value, ast.Dict) and not value.keys)
        ):
            return False
        test = node.test
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            return self.term(test.operand) is OUTPUTS or self._counts(test.operand)
        if not isinstance(test, ast.Compare) or len(test.ops) != 1:
            return False
        bound = test.comparators[0]
        operator = type(test.ops[0])
        return (
            self._counts(test.left)
            and isinstance(bound, ast.Constant)
            and (operator, bound.value) in {(ast.Eq, 0), (ast.Lt, 1), (ast.LtE, 0)}
        )

    def _open(self, node: ast.If, found: Reading) -> bool:
        """Read what only reduces and logs, where there are outputs and no sanity check.

        A step logs nothing where it is not called, and nothing is kept of what is logged in a
        sanity check.
        """
        if node.orelse or not self._asks_for_outputs(node.test):
            return False
        names, begun, inner = dict(self._names), dict(self._begun), Reading()
        for statement in node.body:
            self._statement(statement, inner)
        if inner.kept or inner.guards or inner.returned or not inner.logged:
            self._names, self._begun = names, begun
            return False
        found.logged += inner.logged
        found.logs.append(node)
        found.pure += [(node, name) for _, name in inner.pure]
        return True

    def _asks_for_outputs(self, test: ast.expr) -> bool:
        """Tell whether a test only asks if there are outputs, and if this is the real thing."""
        if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
            return all(self._asks_for_outputs(part) for part in test.values)
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            return isinstance(test.operand, ast.Attribute) and test.operand.attr in SANITY
        if isinstance(test, ast.Compare):
            bound = test.comparators[0]
            return (
                self._counts(test.left)
                and isinstance(bound, ast.Constant)
                and (type(test.ops[0]), bound.value) in {(ast.Gt, 0), (ast.NotEq, 0), (ast.GtE, 1)}
            )
        return self.term(test) is OUTPUTS or self._counts(test)

    def _begin(self, node: ast.stmt) -> None:
        """Remember names that begin as an empty list or as zero."""
        target = _single_target(node)
        value = getattr(node, "value", None)
        pairs = [(target, value)]
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
            pairs = list(zip(target.elts, value.elts, strict=False))
        for name in names_in(target) if target is not None else ():
            self._begun.pop(name, None)
        for part, start in pairs:
            if isinstance(part, ast.Name) and isinstance(start, ast.expr):
                if _empties(start):
                    self._begun[part.id] = ("list", node)
                elif isinstance(start, ast.Constant) and start.value in (0, 0.0):
                    self._begun[part.id] = ("zero", node)

    # Loops ----------------------------------------------------------------------------------------

    def _gather(self, loop: ast.For, found: Reading) -> bool:
        """Read a loop that only gathers parts of the outputs in lists and totals."""
        iterated = self.term(loop.iter)
        if iterated is not OUTPUTS or not isinstance(loop.target, ast.Name) or loop.orelse:
            return False
        saved = dict(self._names)
        self._names[loop.target.id] = Term("item", Column(((),)), node=loop.iter)
        gathered: dict[str, Term] = {}
        for statement in loop.body:
            name, term = self._gathered(statement)
            if term is None or name in gathered or name not in self._begun:
                self._names = saved
                return False
            gathered[name] = term
        self._names = {**saved, **gathered}
        for name in gathered:
            begun = self._begun.pop(name)[1]
            if begun in found.kept:
                found.kept.remove(begun)
            found.pure += [(begun, name), (loop, name)]
        return True

    def _gathered(self, statement: ast.stmt) -> tuple[str, Term | None]:
        """Return the name that a statement of a loop adds to, with what the loop makes of it."""
        if (
            isinstance(statement, ast.AugAssign)
            and isinstance(statement.op, ast.Add)
            and isinstance(statement.target, ast.Name)
        ):
            name = statement.target.id
            term = self.term(statement.value)
            if term is not None and term.kind == "item":
                kind = {"zero": "summed", "list": "whole"}.get(
                    self._begun.get(name, ("", statement))[0]
                )
                return name, term.having(kind) if kind else None
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
            call = statement.value
            if isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Name):
                kind = {"append": "rows", "extend": "whole"}.get(call.func.attr)
                term = self.term(call.args[0]) if len(call.args) == 1 else None
                name = call.func.value.id
                if (
                    kind
                    and term is not None
                    and term.kind == "item"
                    and self._begun.get(name, ("", statement))[0] == "list"
                ):
                    return name, term.having(kind)
        return "", None

    def _averages(self, node: ast.AugAssign) -> bool:
        """Read ``total /= len(outputs)``."""
        if not isinstance(node.op, ast.Div) or not isinstance(node.target, ast.Name):
            return False
        total = self._names.get(node.target.id)
        if total is None or total.kind != "summed" or not self._counts(node.value):
            return False
        self._names[node.target.id] = Term("mean", total.column, node=node, by="sum")
        return True

    def _by_key(self, loop: ast.For, found: Reading) -> bool:
        """Read a loop that logs one mean for each key of the outputs, or puts it into a dict."""
        rounds = self._rounds(loop)
        if not rounds or loop.orelse:
            return False
        inside = set(subtree(loop))
        bound = {n.id for n in inside if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        if any(
            isinstance(n, ast.Name)
            and n.id in bound
            and n not in inside
            and isinstance(n.ctx, ast.Load)
            and not self._is_comprehended(n)
            for n in subtree(self._function)
        ):
            return False
        saved, logged = dict(self._names), list[Logged]()
        records: dict[str, Term] = {}
        try:
            for name, key, bound_term in rounds:
                self._constants[name] = key
                self._names.update(bound_term)
                inner = Reading()
                for statement in loop.body:
                    self._statement(statement, inner)
                if inner.kept or inner.guards or inner.cleared or inner.returned:
                    return False
                logged += inner.logged
            for holder, term in self._names.items():
                if term.kind == "record" and term is not saved.get(holder, term):
                    records[holder] = term
        finally:
            self._names = saved
            self._constants.pop(rounds[0][0], None)
        if records and not logged:
            self._names.update(records)
            found.pure += [(loop, holder) for holder in records]
            return True
        if records or not logged or any(one.term.kind != "mean" for one in logged):
            return False
        if len({ast.dump(one.key) for one in logged}) != len(logged):
            return False  # The last value wins here, and a step would average them.
        found.logged += logged
        found.logs.append(loop)
        return True

    def _is_comprehended(self, name: ast.Name) -> bool:
        """Tell whether a name is one that a loop or comprehension around it binds for itself."""
        for around in self._module.ancestors(name):
            targets: list[ast.expr] = []
            if isinstance(around, (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)):
                targets = [generator.target for generator in around.generators]
            elif isinstance(around, ast.For) and name not in subtree(around.iter):
                targets = [around.target]
            if any(name.id in names_in(target) for target in targets):
                return True
        return False

    def _rounds(self, loop: ast.For) -> list[tuple[str, str, dict[str, Term]]]:
        """Return for each round of a loop the name of a key, the key, and what else it binds."""
        target, over = loop.target, loop.iter
        if isinstance(target, ast.Name):
            return [(target.id, key, {}) for key in self._keys_of(over) or ()]
        if not (
            isinstance(target, ast.Tuple)
            and len(target.elts) == 2
            and isinstance(over, ast.Call)
            and isinstance(over.func, ast.Attribute)
            and over.func.attr == "items"
            and not over.args
        ):
            return []
        name, value = target.elts
        record = self.term(over.func.value)
        if record is None or record.kind != "record":
            return []
        if not isinstance(name, ast.Name) or not isinstance(value, ast.Name):
            return []
        rounds: list[tuple[str, str, dict[str, Term]]] = []
        for key, _, item in record.items:
            if item is None:
                return []
            rounds.append((name.id, key, {value.id: item}))
        return rounds

    # What is logged -------------------------------------------------------------------------------

    def _describe(self, node: ast.stmt) -> str:
        text = self._module.source.segment(node).split("\n")[0].strip()
        text = text if len(text) < 60 else text[:57] + "..."
        return f"`{text}` at line {node.lineno} does more than concatenate, reduce and log"

    def _set_item(
        self, target: ast.Subscript, value: ast.expr, node: ast.stmt, found: Reading
    ) -> bool:
        holder = target.value
        assert isinstance(holder, ast.Name)
        known = self._names.get(holder.id)
        key = self._key(target.slice)
        if known is None or known.kind != "record" or not isinstance(key, ast.Constant):
            return False
        entry = (str(key.value), key, self.term(value))
        self._names[holder.id] = Term("record", items=(*known.items, entry))
        found.pure.append((node, holder.id))
        return entry[2] is not None

    def _log(self, call: ast.Call, is_dict: bool) -> list[Logged] | None:
        named = {k.arg: k.value for k in call.keywords if k.arg}
        if is_dict:
            dictionary = call.args[0] if call.args else named.get("dictionary")
            term = self.term(dictionary) if dictionary is not None else None
            if term is None or term.kind != "record" or len(call.args) > 1:
                return None
            found = [Logged(key, item, call) for _, key, item in term.items if item is not None]
            if len(found) != len(term.items) or not found:
                return None
        else:
            key = call.args[0] if call.args else named.get("name")
            value = call.args[1] if len(call.args) > 1 else named.get("value")
            key = self._key(key) if key is not None else None
            if key is None or value is None or len(call.args) > 2:
                return None
            term = self.term(value)
            if term is None:
                return None
            found = [Logged(key, term, call)]
        if any(logged.term.kind not in ("mean", "metric") for logged in found):
            return None
        if any(self._binds(name) for logged in found for name in names_in(logged.key)):
            self._reason = f"the key at line {call.lineno} is made in the hook itself"
            return None
        for keyword in call.keywords:
            if keyword.arg is None or (
                keyword.arg not in ("name", "value", "dictionary")
                and any(self._binds(name) for name in names_in(keyword.value))
            ):
                return None
        return found

    def _binds(self, name: str) -> bool:
        return name != "self" and name in self._module.scope_of(self._function)

    def _return(self, node: ast.Return, found: Reading) -> None:
        if node is not self._function.body[-1]:
            found.kept.append(node)
            found.needing.append(node)
            found.reasons.append(f"the hook returns early at line {node.lineno}")
            return
        found.returned = node
        if node.value is None:
            return
        term = self.term(node.value)
        if term is None or term.kind != "record":
            return
        for key, key_node, item in term.items:
            if item is not None:
                found.returned_items.append((key, key_node, item))


def _single_target(node: ast.stmt) -> ast.expr | None:
    if isinstance(node, ast.Assign) and len(node.targets) == 1:
        return node.targets[0]
    return node.target if isinstance(node, ast.AnnAssign) else None


def _empties(value: ast.expr) -> bool:
    return (isinstance(value, ast.List) and not value.elts) or ast.unparse(value) == "list()"


def _is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"
