"""How the tensor states of a custom Metric are put together, and how they ought to be."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from lintmetrics.model.metric_classes import Change, MetricClass, State, is_self
from lintmetrics.project import FunctionInfo
from lintmetrics.tree import subtree

_WANTED = {
    "add": ("sum", "is added to"),
    "max": ("max", "keeps the largest"),
    "min": ("min", "keeps the smallest"),
}
# What is done to each value by itself, and leaves one for each process.
_EACH = frozenset(
    (
        *("float", "double", "half", "long", "int", "to", "type", "type_as", "cpu", "cuda"),
        *("detach", "clone", "sqrt", "exp", "log", "abs", "clamp", "clamp_min", "clip", "pow"),
        *("square", "neg", "div", "true_divide", "mul", "add", "sub", "nan_to_num", "reciprocal"),
    )
)


def misreduced(metric: MetricClass) -> Iterator[tuple[State, str, str]]:
    """Yield the states of a class that are not reduced as they are filled.

    Each comes with the reduction that fits and what update does. Only states that the class itself
    declares, and that are changed in one way.
    """
    filled = {
        state.name: _filled(metric.changed(state.name))
        for state in metric.states
        if state.kind == "tensor" and metric.state(state.name) is state
    }
    if metric.cls.lookup("_sync_dist") or metric.cls.lookup("sync"):
        return
    for state in metric.states:
        way = filled.get(state.name, "")
        if state.cls is not metric.cls or not way or state.reduction in ("?", "cat"):
            continue
        wanted, what = _WANTED[way]
        if state.reduction == wanted or not metric.reads(metric.computes, state.name):
            continue
        if not state.reduction:
            if not _knows_of_processes(metric, state):
                yield state, wanted, what
        elif state.reduction == "mean" and way == "add":
            # A quotient of two means of sums is that of the sums.
            others = [
                other
                for other in metric.states
                if other.reduction == "sum" and filled.get(other.name) == "add"
            ]
            if others:
                yield state, wanted, what
        elif not (way == "add" and _counts_calls(metric.changed(state.name))):
            yield state, wanted, what


def _filled(moves: list[Change]) -> str:
    """Return the one way in which update changes a state; empty where there are several."""
    kinds = {move.kind for move in moves}
    way = kinds.pop() if len(kinds) == 1 else ""
    return way if way in _WANTED else ""


def _counts_calls(moves: list[Change]) -> bool:
    """Tell whether a state counts batches, of which each process may have as many."""
    return all(isinstance(move.value, ast.Constant) for move in moves)


def _knows_of_processes(metric: MetricClass, state: State) -> bool:
    """Tell whether compute may handle one value for each process."""
    for method in metric.computes:
        names = {
            target.id
            for node in subtree(method.node)
            if isinstance(node, ast.Assign) and _is_state(method, node.value, state.name)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for node in subtree(method.node):
            is_local = isinstance(node, ast.Name) and node.id in names
            if not is_local and not _is_state(method, node, state.name):
                continue
            if isinstance(getattr(node, "ctx", None), ast.Load) and _looks_at_all(method, node):
                return True
    return False


def _looks_at_all(method: FunctionInfo, node: ast.AST) -> bool:
    """Tell whether code does more with a state than what it does to each value by itself."""
    below = node
    for above in method.module.ancestors(node):
        if isinstance(above, ast.Attribute):
            if above.attr not in _EACH and above.attr != "item":
                return True
        elif isinstance(above, ast.Call):
            if below is not above.func:
                name = method.module.qualified(above.func) or ""
                if not name.startswith("torch.") or name.rsplit(".", 1)[1] not in _EACH:
                    return name != "builtins.float" and getattr(above.func, "id", "") != "float"
        elif isinstance(above, ast.Tuple):
            return not isinstance(method.module.parent(above), ast.Return)
        else:
            return isinstance(
                above, (ast.Subscript, ast.For, ast.comprehension, ast.Starred, ast.List, ast.Dict)
            )
        below = above
    return False


def _is_state(method: FunctionInfo, node: ast.AST, name: str) -> bool:
    return (
        isinstance(node, ast.Attribute)
        and node.attr == name
        and isinstance(node.ctx, ast.Load)
        and is_self(node.value, method.node)
    )


def overwritten(metric: MetricClass) -> Iterator[tuple[State, Change]]:
    """Yield the sums over processes that each update of a class replaces by those of its batch.

    None where ``forward`` adds up the batches: it does so in a class that says that it need not
    look at what it has.
    """
    if (
        metric.flag("full_state_update") is not None
        and metric.flag("full_state_update") is not True
    ):
        return
    for state in metric.states:
        if state.cls is not metric.cls or state.kind != "tensor" or state.reduction != "sum":
            continue
        if metric.state(state.name) is not state or metric.reads(metric.updates, state.name):
            continue
        moves = metric.changed(state.name)
        if not moves or not metric.reads(metric.computes, state.name):
            continue
        if all(_replaces(metric, move) for move in moves) and not _hands_itself_on(metric):
            yield state, moves[0]


def _replaces(metric: MetricClass, move: Change) -> bool:
    """Tell whether every update comes to a statement that sets a state to a value of the batch."""
    method, value = move.method, getattr(move.node, "value", None)
    if move.kind != "set" or not isinstance(move.node, ast.Assign) or method.node.name != "update":
        return False
    if move.module.parent(move.node) is not method.node or value is None:
        return False
    arguments = {one.arg for one in ast.walk(method.node.args) if isinstance(one, ast.arg)}
    local = set(method.module.scope_of(method.node)) | arguments
    names = {node.id for node in subtree(value) if isinstance(node, ast.Name)}
    if _keeps_more(method, value):
        return False
    return any(name in local and not _is_self_name(name, method) for name in names)


def _keeps_more(method: FunctionInfo, value: ast.expr) -> bool:
    """Tell whether a value may be made of what other attributes have kept of earlier batches."""
    made = [value]
    seen: set[str] = set()
    for one in made:
        for node in subtree(one):
            if isinstance(node, ast.Name) and node.id not in seen:
                seen.add(node.id)
                made += _given(method, node.id)
    changed = {
        target.attr
        for node in subtree(method.node)
        if isinstance(node, (ast.Assign, ast.AugAssign, ast.AnnAssign))
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Attribute) and is_self(target.value, method.node)
    }
    filled = {
        node.value.attr
        for node in subtree(method.node)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Attribute)
        and is_self(node.value.value, method.node)
        and isinstance(method.module.parent(node), ast.Call)
    }
    return any(
        isinstance(node, ast.Attribute)
        and is_self(node.value, method.node)
        and node.attr in changed | filled
        for one in made
        for node in subtree(one)
    )


def _given(method: FunctionInfo, name: str) -> list[ast.expr]:
    """Return the values that a method gives a name."""
    found: list[ast.expr] = []
    for node in subtree(method.node):
        if isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign)) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            stored = (inner for target in targets for inner in subtree(target))
            if any(isinstance(inner, ast.Name) and inner.id == name for inner in stored):
                found.append(node.value)
        elif isinstance(node, (ast.For, ast.comprehension, ast.NamedExpr)) and name in {
            one.id for one in subtree(node.target) if isinstance(one, ast.Name)
        }:
            found.append(node.value if isinstance(node, ast.NamedExpr) else node.iter)
    return found


def _is_self_name(name: str, method: FunctionInfo) -> bool:
    """Tell whether a name is the first parameter of a method."""
    arguments = [*method.node.args.posonlyargs, *method.node.args.args]
    return bool(arguments) and arguments[0].arg == name


def _hands_itself_on(metric: MetricClass) -> bool:
    """Tell whether update gives the object itself to other code."""
    return any(
        isinstance(node, ast.Name)
        and is_self(node, method.node)
        and not isinstance(method.module.parent(node), ast.Attribute)
        for method in metric.updates
        for node in subtree(method.node)
    )
