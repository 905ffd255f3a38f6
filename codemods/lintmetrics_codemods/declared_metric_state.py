"""Declares with ``add_state`` what a custom metric gathers in."""

from __future__ import annotations

import ast

from lintmetrics.codemod import Blocked, Codemod, Fix, Relation
from lintmetrics.config import Settings
from lintmetrics.edits import CannotEdit, Editor
from lintmetrics.model import list_rewrites, state_values
from lintmetrics.model.metric_attributes import GatheredAttribute
from lintmetrics.model.metric_classes import MetricClass, changes, is_self, name_of
from lintmetrics.project import FunctionInfo
from lintmetrics.rule import Finding
from lintmetrics.tree import subtree

_STACKS = frozenset(("torch.stack",))
# What takes a tensor of one number as it takes a number.
_TAKES_TENSORS = frozenset(("float", "int", "abs", "builtins.float", "builtins.int"))


class DeclaredMetricState(Codemod):
    """``add_state`` in place of plain assignments in ``__init__``."""

    codes = ("LM311",)

    def plan(self, finding: Finding, settings: Settings) -> Fix | Blocked:
        """Plan the states of a class together: half of a quotient must not be reset alone."""
        editor = Editor()
        found = finding.detail
        assert isinstance(found, list)
        lines: dict[ast.stmt, list[str]] = {}
        for attribute in found:
            assert isinstance(attribute, GatheredAttribute)
            statement = _place(attribute)
            lines.setdefault(statement, []).append(_declaration(editor, attribute))
        for statement, declarations in lines.items():
            module = found[0].maker.module
            targets = getattr(statement, "targets", [statement])
            if len(declarations) != len(targets):
                raise CannotEdit(
                    f"line {statement.lineno} also makes attributes that are no states"
                )
            indent = module.source.indent_of(module.source.start(statement))
            text = f"{module.source.newline}{indent}".join(declarations)
            editor.replace(module, statement, text)
        _write_resets(editor, found)
        names = " and ".join(f"self.{attribute.name}" for attribute in found)
        grown = [a.name for a in found if not _keeps_type(a)]
        assumed = f"; assumes that self.{grown[0]} is given floats" if grown else ""
        return Fix(
            Relation.ASSUMES if grown else Relation.CORRECTS,
            f"declare {names} with add_state, which reset(), calls and processes know: each epoch "
            f"counts all its batches, and no others{assumed}",
            editor.edits,
        )


def _write_resets(editor: Editor, found: list[GatheredAttribute]) -> None:
    """Leave to ``Metric.reset`` what an own one did by hand."""
    begun: set[ast.AST] = set()
    for attribute in found:
        for method in attribute.resets:
            if method.cls is not attribute.metric.cls or method.node.name != "reset":
                raise CannotEdit(f"{method.node.name} also sets self.{attribute.name} back")
            for change in changes(method):
                if change.attribute != attribute.name:
                    continue
                statement = method.module.statement(change.node)
                targets = getattr(statement, "targets", [None])
                if change.kind != "set" or len(targets) > 1 or statement not in method.node.body:
                    raise CannotEdit(
                        f"reset does more to self.{attribute.name} at line {statement.lineno}"
                    )
                if method.node in begun or _calls_base(method):
                    editor.remove(method.module, statement)
                else:
                    editor.replace(method.module, statement, "super().reset()")
                begun.add(method.node)


def _calls_base(method: FunctionInfo) -> bool:
    return any(
        isinstance(node, ast.Attribute) and node.attr == "reset" for node in subtree(method.node)
    )


def _place(attribute: GatheredAttribute) -> ast.stmt:
    """Return the statement to replace: in ``__init__``, behind that of the base."""
    maker, statement = attribute.maker, attribute.made[0]
    name = attribute.name
    if maker.node.name != "__init__":
        raise CannotEdit(f"self.{name} is made in {maker.node.name} at line {statement.lineno}")
    others = [
        node
        for method, node in attribute.metric.mentioned(name)
        if method.node is maker.node and node not in subtree(statement)
    ]
    if others:
        raise CannotEdit(f"__init__ uses self.{name} again at line {others[0].lineno}")
    begun = [
        node.lineno
        for node in subtree(maker.node)
        if isinstance(node, ast.Attribute) and node.attr == "__init__"
    ]
    if not begun or min(begun) > statement.lineno:
        raise CannotEdit(
            f"self.{name} is made at line {statement.lineno} before super().__init__() has run"
        )
    return statement


def _declaration(editor: Editor, attribute: GatheredAttribute) -> str:
    """Return the call of ``add_state``, and plan what has to change with it."""
    metric, name = attribute.metric, attribute.name
    kinds = {change.kind for change in attribute.changes}
    initial = attribute.initial
    module = attribute.maker.module
    this = attribute.maker.node.args.args[0].arg
    if initial is None:
        text = _buffer(attribute)
        return f'{this}.add_state("{name}", default={text}, dist_reduce_fx="sum", persistent=True)'
    if isinstance(initial, ast.List) or _is_list(attribute):
        if kinds != {"append"}:
            raise CannotEdit(f"self.{name} is a list that update does more to than append")
        reduction = _list_reads(editor, attribute)
        return f'{this}.add_state("{name}", default=[], dist_reduce_fx={reduction})'
    if kinds == {"cat"}:
        _append(editor, attribute)
        return f'{this}.add_state("{name}", default=[], dist_reduce_fx="cat")'
    if kinds != {"add"} or (isinstance(initial, ast.Constant) and initial.value is None):
        raise CannotEdit(f"what self.{name} holds is no tensor; keep it in tensors first")
    if isinstance(initial, ast.Constant):
        _require_numbers(attribute)
        text = state_values.number_default(editor, metric, module, initial, attribute.changes)
    else:
        name_called = name_of(module, initial) if isinstance(initial, ast.Call) else ""
        if name_called.startswith("numpy.") or not isinstance(initial, ast.Call):
            raise CannotEdit(f"what self.{name} holds is no tensor; keep it in tensors first")
        if not name_called.startswith("torch."):
            raise CannotEdit(f"what self.{name} holds is no tensor; keep it in tensors first")
        text = module.source.segment(initial)
    return f'{this}.add_state("{name}", default={text}, dist_reduce_fx="sum")'


def _append(editor: Editor, attribute: GatheredAttribute) -> None:
    """Append to what grew by ``torch.cat``, and join it where it is read."""
    metric, name, initial = attribute.metric, attribute.name, attribute.initial
    if not isinstance(initial, ast.Call) or not list_rewrites.is_empty_tensor(initial):
        raise CannotEdit(f"self.{name} does not begin empty")
    if list_rewrites.is_read_outside(metric, name):
        raise CannotEdit(f"code outside {metric.node.name} reads .{name} as one tensor")
    for change in attribute.changes:
        list_rewrites.append_in_place_of(editor, change)
    others = _written(attribute) | set(subtree(attribute.made[0]))
    list_rewrites.join_reads(editor, metric, name, attribute.changes, others)


def _keeps_type(attribute: GatheredAttribute) -> bool:
    """Tell whether what grew is of the same type when it is joined at the end."""
    initial = attribute.initial
    if any(change.kind != "cat" for change in attribute.changes) or initial is None:
        return True
    assert isinstance(initial, ast.Call)
    return list_rewrites.keeps_type(attribute.maker.module, initial) or all(
        change.value is not None and list_rewrites.holds_floats(change.method, change.value)
        for change in attribute.changes
    )


def _buffer(attribute: GatheredAttribute) -> str:
    """Return what a buffer begins with."""
    call = getattr(attribute.made[0], "value", None)
    assert isinstance(call, ast.Call)
    if len(call.args) != 2 or call.keywords:
        raise CannotEdit(f"the arguments of register_buffer at line {call.lineno} are not known")
    if any(change.kind != "add" for change in attribute.changes):
        raise CannotEdit(f"update does more to the buffer self.{attribute.name} than add")
    return attribute.maker.module.source.segment(call.args[1])


def _is_list(attribute: GatheredAttribute) -> bool:
    initial = attribute.initial
    return isinstance(initial, ast.Call) and name_of(attribute.maker.module, initial) in (
        "list",
        "builtins.list",
    )


def _list_reads(editor: Editor, attribute: GatheredAttribute) -> str:
    """Return the reduction of a list, with every place that joins it rewritten.

    Raises:
        CannotEdit: what is in the list may be no tensors, which alone are shared and moved.
    """
    metric, name = attribute.metric, attribute.name
    changed = _written(attribute)
    joins: list[tuple[FunctionInfo, ast.Call]] = []
    stacks = 0
    for method, node in metric.mentioned(name):
        if node in changed or not isinstance(node.ctx, ast.Load):
            continue
        above = method.module.parent(node)
        called = name_of(method.module, above) if isinstance(above, ast.Call) else ""
        if isinstance(above, ast.Call) and list_rewrites.joins_rows(method.module, above):
            joins.append((method, above))
        elif called in _STACKS:
            stacks += 1
        elif called not in ("len", "builtins.len"):
            raise CannotEdit(
                f"whether self.{name} holds tensors does not show at line {node.lineno}"
            )
    if bool(joins) == bool(stacks):
        raise CannotEdit(f"whether self.{name} holds tensors does not show in compute")
    for method, call in joins:
        text = method.module.source.segment(call.args[0])
        editor.replace(method.module, call, list_rewrites.joined(editor, method.module, text))
    return '"cat"' if joins else "None"


def _written(attribute: GatheredAttribute) -> set[ast.AST]:
    """Return the nodes of what update and reset do to an attribute."""
    nodes = {node for change in attribute.changes for node in subtree(change.node)}
    for method in attribute.resets:
        for change in changes(method):
            if change.attribute == attribute.name:
                nodes.update(subtree(change.node))
    return nodes


def _require_numbers(attribute: GatheredAttribute) -> None:
    """Raise where a number may become a tensor of several, or is used as only a number can be."""
    name = attribute.name
    for change in attribute.changes:
        if not state_values.is_one_number(change.method, change.value):
            raise CannotEdit(
                f"whether one number is added to self.{name} does not show at line "
                f"{getattr(change.node, 'lineno', 0)}"
            )
    changed = _written(attribute)
    metric: MetricClass = attribute.metric
    for method, node in metric.mentioned(name):
        if node in changed or not isinstance(node.ctx, ast.Load):
            continue
        if not _is_arithmetic(method, node):
            raise CannotEdit(f"line {node.lineno} asks more of self.{name} than of a tensor")


def _is_arithmetic(method: FunctionInfo, node: ast.Attribute) -> bool:
    """Tell whether a place does with a number what it can do with a tensor of one number."""
    below: ast.AST = node
    for above in method.module.ancestors(node):
        if isinstance(above, (ast.BinOp, ast.UnaryOp, ast.Compare, ast.IfExp, ast.BoolOp)):
            below = above
            continue
        if isinstance(above, ast.Call):
            if below is above.func:
                below = above
                continue
            name = name_of(method.module, above)
            return name.startswith("torch.") or name in _TAKES_TENSORS
        if isinstance(above, ast.Attribute):
            if is_self(above, method.node):
                return False
            below = above
            continue
        return isinstance(
            above, (ast.Return, ast.Assign, ast.If, ast.Dict, ast.Tuple, ast.keyword, ast.Assert)
        )
    return False
