"""How a state becomes a list that is appended to and joined: what has to be changed, and where."""

from __future__ import annotations

import ast
from collections.abc import Collection, Sequence

from lintmetrics.edits import CannotEdit, Editor
from lintmetrics.model.metric_classes import Change, MetricClass, State, name_of
from lintmetrics.project import FunctionInfo, Module
from lintmetrics.tree import subtree

_OF_ROWS = frozenset(("torch.cat", "torch.concat", "torch.concatenate"))
# An empty tensor of these takes on the type of what is joined to it.
_NEUTRAL = ("torch.long", "torch.int64", "torch.bool", "torch.uint8", "torch.int", "torch.int32")
_FLOATS = frozenset(("float", "sigmoid", "softmax", "log_softmax", "sqrt", "exp", "logsumexp"))


def joined(editor: Editor, module: Module, attribute: str) -> str:
    """Return the text of a list state as one tensor, with its import."""
    return f"{editor.add_import(module, 'torchmetrics.utilities', 'dim_zero_cat')}({attribute})"


def joins_rows(module: Module, call: ast.Call) -> bool:
    """Tell whether a call joins tensors along their first dimension, and does no more."""
    if name_of(module, call) not in _OF_ROWS:
        return False
    others: list[ast.expr] = [*call.args[1:], *(k.value for k in call.keywords)]
    if any(k.arg not in ("dim", "axis") for k in call.keywords) or len(others) > 1:
        return False
    return all(isinstance(o, ast.Constant) and o.value == 0 for o in others)


def append_in_place_of(editor: Editor, change: Change) -> None:
    """Write ``self.x.append(v)`` in place of ``self.x = torch.cat([self.x, v])``.

    Raises:
        CannotEdit: the statement does something else as well.
    """
    node, module = change.node, change.module
    assert change.value is not None
    value = getattr(node, "value", None)
    line = getattr(node, "lineno", 0)
    targets = node.targets if isinstance(node, ast.Assign) else []
    if len(targets) != 1 or not isinstance(value, ast.Call) or not joins_rows(module, value):
        raise CannotEdit(f"self.{change.attribute} is not joined row by row at line {line}")
    parts = value.args[0]
    assert isinstance(parts, (ast.List, ast.Tuple))
    if parts.elts[1] is not change.value:
        raise CannotEdit(f"self.{change.attribute} is put behind the new values at line {line}")
    text = module.source.segment(change.value)
    target = module.source.segment(targets[0])
    editor.replace(module, node, f"{target}.append({text})")


def join_reads(
    editor: Editor,
    metric: MetricClass,
    attribute: str,
    known: Sequence[Change],
    others: Collection[ast.AST] = (),
) -> None:
    """Let every place that reads a state as one tensor join it.

    Args:
        editor: takes the edits; ``metric``: the class; ``attribute``: the state.
        known: the changes that are rewritten on their own.
        others: nodes that are rewritten elsewhere.

    Raises:
        CannotEdit: a place needs a person.
    """
    inside = {inner for change in known for inner in subtree(change.node)}
    by_method: dict[ast.AST, tuple[FunctionInfo, list[ast.Attribute]]] = {}
    for method, node in metric.mentioned(attribute):
        if node in inside or node in others:
            continue
        if not isinstance(node.ctx, ast.Load):
            raise CannotEdit(f"self.{attribute} is also set at line {node.lineno}")
        by_method.setdefault(method.node, (method, []))[1].append(node)
    own = {method.node for method in metric.computes}
    for function, (method, nodes) in by_method.items():
        if function not in own:
            raise CannotEdit(
                f"self.{attribute} is also read in {method.node.name} at line {nodes[0].lineno}"
            )
        for node in nodes:
            _require_filled(method, node, attribute)
            text = joined(editor, method.module, method.module.source.segment(node))
            editor.replace(method.module, node, text)


def _require_filled(method: FunctionInfo, node: ast.Attribute, attribute: str) -> None:
    """Raise where a place asks whether there is anything: to join nothing is an error."""
    below: ast.AST = node
    for above in method.module.ancestors(node):
        if isinstance(above, (ast.If, ast.IfExp, ast.While)) and above.test is below:
            raise CannotEdit(
                f"line {node.lineno} asks whether self.{attribute} is empty; ask the list"
            )
        if isinstance(above, ast.stmt) and not isinstance(above, (ast.If, ast.While)):
            return
        below = above


def is_read_outside(metric: MetricClass, attribute: str) -> bool:
    """Tell whether code outside the class may read an attribute of such an object."""
    own = {cls.node for cls in (*metric.cls.mro(), *metric.cls.subclasses)}
    for module in metric.users():
        for node in subtree(module.tree):
            if (
                isinstance(node, ast.Attribute)
                and node.attr == attribute
                and not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"))
                and not _is_called(module, node)
                and not any(above in own for above in module.ancestors(node))
            ):
                return True
    return False


def holds_floats(method: FunctionInfo, value: ast.expr, depth: int = 0) -> bool:
    """Tell whether a value is surely of the type that an empty tensor has, single floats."""
    if isinstance(value, ast.Call):
        func = value.func
        if isinstance(func, ast.Attribute):
            if func.attr in _FLOATS:
                return True
            if func.attr in ("detach", "cpu", "flatten", "view", "reshape", "squeeze", "ravel"):
                return holds_floats(method, func.value, depth)
            if func.attr in ("to", "type") and len(value.args) == 1:
                name = method.module.qualified(value.args[0]) or ""
                return name in ("torch.float", "torch.float32")
        return False
    if isinstance(value, ast.Name) and depth < 4:
        bound = [
            node
            for node in subtree(method.node)
            if isinstance(node, ast.Assign)
            and any(
                isinstance(t, ast.Name) and t.id == value.id
                for target in node.targets
                for t in subtree(target)
            )
        ]
        is_one = len(bound) == 1 and isinstance(bound[0].targets[0], ast.Name)
        return is_one and holds_floats(method, bound[0].value, depth + 1)
    return False


def write_reduction(editor: Editor, state: State, wanted: str) -> None:
    """Give a declaration another reduction."""
    module = state.module
    if state.given is not None:
        editor.replace(module, state.given, f'"{wanted}"')
        return
    last = max((*state.call.args, *(k.value for k in state.call.keywords)), key=module.source.end)
    end = module.source.end(last)
    editor.replace_range(module, end, end, f', dist_reduce_fx="{wanted}"')


def _is_called(module: Module, node: ast.Attribute) -> bool:
    above = module.parent(node)
    return isinstance(above, ast.Call) and above.func is node


def is_empty_tensor(made: ast.Call) -> bool:
    """Tell whether a call makes an empty tensor: ``torch.tensor([])``, ``torch.zeros(0)``."""
    given = made.args[0] if made.args else None
    if isinstance(given, ast.List):
        return not given.elts
    return isinstance(given, ast.Constant) and given.value == 0 and len(made.args) == 1


def keeps_type(module: Module, made: ast.Call) -> bool:
    """Tell whether what is joined to an empty tensor keeps the type it has."""
    return any(
        keyword.arg == "dtype" and module.qualified(keyword.value) in _NEUTRAL
        for keyword in made.keywords
    )
