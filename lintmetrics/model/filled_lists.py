"""What puts the outputs of steps into a list of the object, in a step or in the hook behind it."""

from __future__ import annotations

import ast

from lintmetrics.edits import FunctionNode
from lintmetrics.model.epoch_hooks import Stage, calls_super, extra_parameters
from lintmetrics.model.kept_outputs import of_self
from lintmetrics.project import ClassInfo, Module
from lintmetrics.tree import subtree


def fills(node: ast.AST, attribute: str, names: frozenset[str] = frozenset()) -> bool:
    """Tell whether a call puts one thing into a list of the object, or a list in that."""
    if not (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "append"
        and len(node.args) == 1
    ):
        return False
    receiver = node.func.value
    while isinstance(receiver, ast.Subscript):
        receiver = receiver.value
    if isinstance(receiver, ast.Name):
        return receiver.id in names
    return of_self(receiver) == attribute


def aliases(method: FunctionNode, attribute: str) -> frozenset[str]:
    """Return the names that a method has for a list of the object, or for the lists in it."""
    found: set[str] = set()
    for node in subtree(method):
        if not (isinstance(node, ast.Assign) and len(node.targets) == 1):
            continue
        target, value = node.targets[0], node.value
        while isinstance(value, ast.Subscript):
            value = value.value
        if isinstance(target, ast.Name) and of_self(value) == attribute:
            found.add(target.id)
    return frozenset(found)


def copied(value: ast.expr) -> ast.expr | None:
    """Return the dict that a comprehension copies key by key, a number beside the tensors too.

    That is ``{k: v.detach() if isinstance(v, torch.Tensor) else v for k, v in made.items()}``.
    """
    if not isinstance(value, ast.DictComp) or len(value.generators) != 1:
        return None
    loop = value.generators[0]
    key, item = value.key, value.value
    if isinstance(item, ast.IfExp):
        asked = item.test
        if not (isinstance(asked, ast.Call) and getattr(asked.func, "id", "") == "isinstance"):
            return None
        if ast.unparse(asked.args[-1]).rsplit(".", 1)[-1] != "Tensor":
            return None
        item = item.orelse
    if (
        loop.ifs
        or not isinstance(loop.target, ast.Tuple)
        or [ast.unparse(e) for e in loop.target.elts] != [ast.unparse(key), ast.unparse(item)]
        or not isinstance(loop.iter, ast.Call)
        or not isinstance(loop.iter.func, ast.Attribute)
        or loop.iter.func.attr != "items"
        or loop.iter.args
    ):
        return None
    return loop.iter.func.value


def collected_behind(cls: ClassInfo, stage: Stage) -> dict[str, list[ast.Call]]:
    """Return the lists that the hook behind a step puts its whole output into, and by what."""
    found: dict[str, list[ast.Call]] = {}
    resolved = cls.lookup(stage.batch_end)
    for base in cls.mro():
        function = base.methods.get(stage.batch_end)
        if function is None or resolved is None:
            continue
        if function is not resolved.node and not calls_super(resolved.node, stage.batch_end):
            continue
        parameters = extra_parameters(function)
        for attribute in _attributes(function):
            names = aliases(function, attribute)
            for call in subtree(function):
                if not fills(call, attribute, names):
                    continue
                assert isinstance(call, ast.Call)
                value = copied(call.args[0]) or call.args[0]
                name = parameters[0].arg if parameters else ""
                if (
                    isinstance(value, ast.Name)
                    and value.id == name
                    and _fills_always(base.module, function, call, name)
                ):
                    found.setdefault(attribute, []).append(call)
    return found


def _fills_always(module: Module, function: FunctionNode, call: ast.Call, name: str) -> bool:
    """Tell whether a call runs once for each output that there is."""
    for around in module.ancestors(call):
        if around is function:
            return True
        if isinstance(around, ast.If):
            asked = around.test
            if isinstance(asked, ast.Compare) and isinstance(asked.ops[0], ast.IsNot):
                asked = asked.left
            if not (isinstance(asked, ast.Name) and asked.id == name) or around.orelse:
                return False
        elif not isinstance(around, (ast.Expr, ast.With)):
            return False
    return False


def _attributes(function: FunctionNode) -> list[str]:
    named = (of_self(node) for node in subtree(function))
    return list(dict.fromkeys(name for name in named if name is not None))
