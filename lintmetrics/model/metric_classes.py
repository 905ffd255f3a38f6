"""Custom Metric classes: the states they declare, and what ``update`` and ``compute`` do to them.

A class is only judged where all that it inherits is known: its bases are classes of the project
and the ``Metric`` of TorchMetrics (or of the Lightning that had it first).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from lintmetrics.edits import FunctionNode
from lintmetrics.model.made_metrics import argument, is_unpacked
from lintmetrics.project import ClassInfo, External, FunctionInfo, Module, ModuleName
from lintmetrics.tree import own_nodes, subtree

_ROOT = re.compile(
    r"(?:torchmetrics|(?:pytorch_lightning|lightning\.pytorch|lightning)\.metrics)"
    r"\.(?:metric\.)?Metric$"
)
_HARMLESS = frozenset(
    ("abc.ABC", "typing.Generic", "typing.Protocol", "torch.nn.Module", "torch.nn.modules.Module")
)
_MADE = re.compile(
    r"torch\.(?:tensor|as_tensor|zeros|ones|empty|full|zeros_like|ones_like|eye|arange|rand|randn"
    r"|Tensor|FloatTensor|LongTensor|DoubleTensor|IntTensor|BoolTensor)$"
)
_CONCATENATES = frozenset(
    ("torch.cat", "torch.concat", "torch.concatenate", "torch.hstack", "torch.vstack")
)
_MAXIMA = frozenset(("torch.max", "torch.maximum", "torch.fmax", "builtins.max", "max"))
_MINIMA = frozenset(("torch.min", "torch.minimum", "torch.fmin", "builtins.min", "min"))
_NO_TENSOR = frozenset(("item", "tolist", "numpy", "size", "numel", "dim"))
_DEPTH = 6


@dataclass(frozen=True)
class State:
    """A state that a class declares with ``add_state``.

    Args:
        name: its attribute; ``cls``: the class that declares it; ``call``: where.
        default: the expression it is reset to; ``kind``: ``list`` (an empty one), ``tensor``,
            ``wrong`` (surely neither) or ``unknown``.
        reduction: ``sum``, ``mean``, ``cat``, ``min``, ``max``, ``""`` for none, ``?`` for one that
            is not known; ``given``: the argument, where there is one.
    """

    name: str
    cls: ClassInfo
    call: ast.Call
    default: ast.expr | None
    kind: str
    reduction: str
    given: ast.expr | None

    @property
    def module(self) -> Module:
        """The file that declares it."""
        return self.cls.module

    @property
    def node(self) -> ast.AST:
        """The declaration."""
        return self.call


@dataclass(frozen=True)
class Change:
    """What one statement of a method does to an attribute.

    Args:
        attribute: its name; ``kind``: ``add`` (``+=`` and the like), ``append``, ``extend``,
            ``item`` (``self.x[k] += v``), ``put`` (``self.x[k] = v``), ``cat``, ``max``, ``min``,
            ``rescale`` (``/=``, or a new value made of the old one) or ``set`` (one without it).
        method: where; ``node``: the expression or statement; ``value``: what it is changed with.
    """

    attribute: str
    kind: str
    method: FunctionInfo
    node: ast.AST
    value: ast.expr | None

    @property
    def module(self) -> Module:
        """The file of the statement."""
        return self.method.module


class MetricClass:
    """A class of the project that is a Metric of its own."""

    def __init__(self, cls: ClassInfo) -> None:
        self.cls = cls

    @staticmethod
    def of(cls: ClassInfo) -> MetricClass | None:
        """Return what is known of a class, ``None`` for one that is no Metric or is not known."""
        known = cls.__dict__.get("lm_metric_class", ...)
        if known is ...:
            known = MetricClass(cls) if cls.is_kind("Metric") and _is_closed(cls) else None
            cls.__dict__["lm_metric_class"] = known
        found: MetricClass | None = known
        return found

    @property
    def module(self) -> Module:
        """The file of the class."""
        return self.cls.module

    @property
    def node(self) -> ast.ClassDef:
        """The class."""
        return self.cls.node

    # Its methods ----------------------------------------------------------------------------------

    def reached(self, name: str) -> list[FunctionInfo]:
        """Return a method and the methods of the class that it calls on itself, itself first."""
        found: dict[ast.AST, FunctionInfo] = {}
        first = self.cls.lookup(name)
        waiting = [first] if first is not None else []
        while waiting:
            method = waiting.pop(0)
            if method.node in found or len(found) > 40:
                continue
            found[method.node] = method
            for node in own_nodes(method.node):
                if not isinstance(node, ast.Attribute) or not isinstance(node.ctx, ast.Load):
                    continue
                if _is_super(node.value):
                    other = self._above(method, node.attr)
                elif is_self(node.value, method.node):
                    other = self.cls.lookup(node.attr)
                else:
                    continue
                if other is not None:
                    waiting.append(other)
        return list(found.values())

    def _above(self, method: FunctionInfo, name: str) -> FunctionInfo | None:
        order = self.cls.mro()
        start = order.index(method.cls) + 1 if method.cls in order else len(order)
        return next((m for m in (c.own(name) for c in order[start:]) if m is not None), None)

    @cached_property
    def updates(self) -> list[FunctionInfo]:
        """``update`` and what it calls of the class."""
        return self.reached("update")

    @cached_property
    def computes(self) -> list[FunctionInfo]:
        """``compute`` and what it calls of the class."""
        return self.reached("compute")

    @cached_property
    def _methods(self) -> list[FunctionInfo]:
        return [
            FunctionInfo(cls.module, node, cls)
            for cls in (*self.cls.mro(), *self.cls.subclasses)
            for node in cls.methods.values()
        ]

    # Its states -----------------------------------------------------------------------------------

    @cached_property
    def _declared(self) -> tuple[list[State], bool]:
        """The states of the class, its bases and those below it, and whether those are all."""
        found: list[State] = []
        whole = True
        for method in self._methods:
            for node in subtree(method.node):
                if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                    continue
                if node.func.attr != "add_state":
                    continue
                if not is_self(node.func.value, method.node) and not _is_super(node.func.value):
                    continue
                names = _names(method, node)
                whole = whole and names is not None
                found += [_state(method, node, name) for name in names or ()]
        return found, whole

    @property
    def states(self) -> list[State]:
        """The states that the class itself and its bases declare."""
        order = self.cls.mro()
        return [state for state in self._declared[0] if state.cls in order]

    @property
    def are_all_known(self) -> bool:
        """Whether the names of all states are known."""
        return self._declared[1]

    def is_declared(self, attribute: str) -> bool:
        """Tell whether this class, a base or a class below it declares a state."""
        return any(state.name == attribute for state in self._declared[0])

    def state(self, attribute: str) -> State | None:
        """Return the one declaration of a state, ``None`` where there is none or several."""
        found = [state for state in self._declared[0] if state.name == attribute]
        return found[0] if len(found) == 1 else None

    def flag(self, name: str) -> object:
        """Return a constant of the class, such as ``full_state_update``; ``None`` for none."""
        for cls in self.cls.mro():
            value = cls.assigned.get(name)
            if value is not None:
                return value.value if isinstance(value, ast.Constant) else ...
        return None

    # What happens to an attribute -----------------------------------------------------------------

    @cached_property
    def update_changes(self) -> list[Change]:
        """What ``update`` does to attributes, in order."""
        return [change for method in self.updates for change in changes(method)]

    @cached_property
    def compute_changes(self) -> list[Change]:
        """What ``compute`` does to attributes, in order."""
        return [change for method in self.computes for change in changes(method)]

    def changed(self, attribute: str) -> list[Change]:
        """Return what ``update`` does to one attribute."""
        return [change for change in self.update_changes if change.attribute == attribute]

    def sets_back(self, attribute: str, change: Change) -> bool:
        """Tell whether ``compute`` itself sets the object or the attribute back."""
        if any(c.kind == "set" and c.attribute == attribute for c in self.compute_changes):
            return True
        return any(
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in ("reset", "clear")
            for method in (*self.computes, change.method)
            for node in subtree(method.node)
        )

    def reads(self, methods: list[FunctionInfo], attribute: str) -> list[ast.Attribute]:
        """Return where methods read one attribute."""
        return [
            node
            for method in methods
            for node in mentions(method, attribute)
            if isinstance(node.ctx, ast.Load)
        ]

    def mentioned(self, attribute: str) -> list[tuple[FunctionInfo, ast.Attribute]]:
        """Return every place of the class, its bases and those below that names an attribute."""
        return [(m, node) for m in self._methods for node in mentions(m, attribute)]

    def users(self) -> list[Module]:
        """Return the files that name the class, its bases or those below it."""
        names = sorted({cls.node.name for cls in (*self.cls.mro(), *self.cls.subclasses)})
        pattern = re.compile(rf"\b(?:{'|'.join(map(re.escape, names))})\b")
        return self.module.project.mentioning(pattern, *names)

    def is_touched_outside(self, attribute: str) -> bool:
        """Tell whether code outside the methods of the class assigns or empties an attribute."""
        own = {cls.node for cls in (*self.cls.mro(), *self.cls.subclasses)}
        for module in self.users():
            for node in subtree(module.tree):
                if isinstance(node, ast.Constant):
                    if node.value != attribute:
                        continue
                    above = module.parent(node)
                    if not (isinstance(above, ast.Call) and "attr" in _called(above)):
                        continue
                elif not isinstance(node, ast.Attribute) or node.attr != attribute:
                    continue
                elif isinstance(node.value, ast.Name) and node.value.id == "self":
                    continue  # An attribute of something else.
                elif isinstance(node.ctx, ast.Load):
                    above = module.parent(node)
                    if not (isinstance(above, ast.Attribute) and above.attr == "clear"):
                        continue
                if not any(above in own for above in module.ancestors(node)):
                    return True
        return False


# Reading a class --------------------------------------------------------------------------------


def _is_closed(cls: ClassInfo) -> bool:
    """Tell whether all bases are the project's, ``Metric`` itself, or say nothing of metrics."""
    is_rooted = False
    for one in cls.mro():
        for base, node in zip(one.bases, one.node.bases, strict=True):
            if isinstance(base, ClassInfo):
                continue
            if isinstance(base, (External, ModuleName)):
                if _ROOT.match(base.name):
                    is_rooted = True
                    continue
                if base.name in _HARMLESS:
                    continue
            if isinstance(node, ast.Name) and node.id == "object":
                continue
            return False
        if one.node.keywords and any(k.arg != "metaclass" for k in one.node.keywords):
            return False
    return is_rooted


def is_self(node: ast.expr, method: FunctionNode) -> bool:
    """Tell whether an expression is the first parameter of a method."""
    arguments = [*method.args.posonlyargs, *method.args.args]
    return isinstance(node, ast.Name) and bool(arguments) and node.id == arguments[0].arg


def _is_super(node: ast.expr) -> bool:
    return (
        isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "super"
    )


def mentions(method: FunctionInfo, attribute: str) -> Iterator[ast.Attribute]:
    """Yield every ``self.attribute`` of a method."""
    for node in subtree(method.node):
        if (
            isinstance(node, ast.Attribute)
            and node.attr == attribute
            and is_self(node.value, method.node)
        ):
            yield node


def _called(call: ast.Call) -> str:
    func = call.func
    return func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")


def bound_once(method: FunctionInfo, node: ast.expr) -> ast.expr | None:
    """Return the one value that a local name is given in a method."""
    if not isinstance(node, ast.Name):
        return None
    stores = [
        inner
        for inner in subtree(method.node)
        if isinstance(inner, ast.Name)
        and inner.id == node.id
        and not isinstance(inner.ctx, ast.Load)
    ]
    statement = method.module.statement(stores[0]) if len(stores) == 1 else None
    if isinstance(statement, ast.Assign) and statement.targets == stores:
        return statement.value
    return None


def name_of(module: Module, call: ast.Call) -> str:
    """Return the dotted name of what is called; the bare name of a builtin, else empty."""
    known = module.qualified(call.func)
    if known is not None:
        return known
    return call.func.id if isinstance(call.func, ast.Name) else ""


def _names(method: FunctionInfo, call: ast.Call) -> list[str] | None:
    """Return the names that a call of ``add_state`` declares, ``None`` where they are not known."""
    node = argument(call, 0, "name")
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value]
    if not isinstance(node, ast.Name):
        return None
    for above in method.module.ancestors(call):
        if isinstance(above, ast.For):
            if not isinstance(above.target, ast.Name) or above.target.id != node.id:
                continue
            over = above.iter
            if isinstance(over, (ast.Tuple, ast.List)):
                texts = [item.value for item in over.elts if isinstance(item, ast.Constant)]
                if len(texts) == len(over.elts) and all(isinstance(t, str) for t in texts):
                    return [str(text) for text in texts]
            return None
    return None


def _state(method: FunctionInfo, call: ast.Call, name: str) -> State:
    assert method.cls is not None
    default = argument(call, 1, "default")
    given = argument(call, 2, "dist_reduce_fx")
    unpacked = is_unpacked(call)
    reduction = "?"
    if isinstance(given, ast.Constant) and isinstance(given.value, str):
        reduction = given.value
    elif (given is None and not unpacked) or getattr(given, "value", ...) is None:
        reduction = ""
    kind = kind_of(method, default) if default is not None else "unknown"
    return State(name, method.cls, call, default, kind, reduction, given)


def kind_of(method: FunctionInfo, node: ast.expr, depth: int = 0) -> str:
    """Return what an expression makes: ``list`` (an empty one), ``tensor``, ``wrong``, ``unknown``.

    Anything that is surely neither an empty list nor a tensor is ``wrong``.
    """
    module = method.module
    if isinstance(node, ast.List):
        return "wrong" if node.elts else "list"
    if isinstance(node, (ast.Dict, ast.Set, ast.Tuple, ast.DictComp, ast.SetComp, ast.JoinedStr)):
        return "wrong"
    if isinstance(node, ast.Constant):
        return "wrong"
    if isinstance(node, ast.UnaryOp):
        return kind_of(method, node.operand, depth)
    if isinstance(node, ast.Call):
        name = name_of(module, node)
        if _MADE.match(name):
            return "tensor"
        if name in ("list", "builtins.list"):
            return "unknown" if node.args else "list"
        if name in ("dict", "set", "tuple", "int", "float", "str", "collections.defaultdict"):
            return "wrong"
        if name.startswith("numpy."):
            last = name.rsplit(".", 1)[1]
            return "wrong" if last in ("zeros", "ones", "array", "empty", "full") else "unknown"
        func = node.func
        if isinstance(func, ast.Attribute) and depth < _DEPTH and func.attr not in _NO_TENSOR:
            # torch.zeros(2).long(), torch.tensor(0).to(device)
            return "tensor" if kind_of(method, func.value, depth + 1) == "tensor" else "unknown"
    if isinstance(node, ast.BinOp) and depth < _DEPTH:
        sides = {kind_of(method, side, depth + 1) for side in (node.left, node.right)}
        return "tensor" if "tensor" in sides and "list" not in sides else "unknown"
    if isinstance(node, ast.Name) and depth < _DEPTH:
        bound = [
            inner
            for inner in subtree(method.node)
            if isinstance(inner, ast.Assign)
            and any(isinstance(t, ast.Name) and t.id == node.id for t in inner.targets)
        ]
        if len(bound) == 1 and isinstance(
            method.module.scope_of(method.node).get(node.id), ast.Assign
        ):
            return kind_of(method, bound[0].value, depth + 1)
    return "unknown"


# What statements do to attributes ---------------------------------------------------------------


def changes(method: FunctionInfo) -> list[Change]:
    """Return what the statements of a method do to attributes of ``self``, in order."""
    known = method.node.__dict__.get("lm_metric_changes")
    if known is None:
        known = [c for node in subtree(method.node) for c in _changes(method, node)]
        method.node.__dict__["lm_metric_changes"] = known
    found: list[Change] = known
    return found


def _changes(method: FunctionInfo, node: ast.AST) -> Iterator[Change]:
    if isinstance(node, ast.AugAssign):
        attribute = _attribute(method, node.target)
        if attribute is not None:
            kind = "add" if isinstance(node.op, (ast.Add, ast.Sub)) else "rescale"
            yield Change(attribute, kind, method, node, node.value)
        elif isinstance(node.target, ast.Subscript):
            attribute = _attribute(method, node.target.value)
            if attribute is not None:
                yield Change(attribute, "item", method, node, node.value)
    elif isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        for target in targets:
            for inner in subtree(target):
                attribute = _attribute(method, inner)
                if attribute is None or not isinstance(getattr(inner, "ctx", None), ast.Store):
                    if isinstance(inner, ast.Subscript) and isinstance(inner.ctx, ast.Store):
                        attribute = _attribute(method, inner.value)
                        if attribute is not None:
                            yield Change(attribute, "put", method, node, node.value)
                    continue
                if inner is not target:
                    yield Change(attribute, "set", method, node, None)
                    continue
                kind, value = _assigned(method, attribute, node.value)
                yield Change(attribute, kind, method, node, value)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        attribute = _attribute(method, node.func.value)
        if attribute is not None:
            first = node.args[0] if len(node.args) == 1 and not node.keywords else None
            kinds = {"append": "append", "extend": "extend", "add_": "add", "clear": "set"}
            kinds |= {"div_": "rescale", "mul_": "rescale", "zero_": "set", "fill_": "set"}
            kinds |= {"copy_": "set", "sub_": "add"}
            if node.func.attr in kinds:
                yield Change(attribute, kinds[node.func.attr], method, node, first)
        elif isinstance(node.func.value, ast.Subscript) and node.func.attr in ("append", "extend"):
            attribute = _attribute(method, node.func.value.value)
            if attribute is not None:
                yield Change(attribute, "item", method, node, None)


def _attribute(method: FunctionInfo, node: ast.AST) -> str | None:
    if isinstance(node, ast.Attribute) and is_self(node.value, method.node):
        return node.attr
    return None


def _assigned(method: FunctionInfo, attribute: str, value: ast.expr) -> tuple[str, ast.expr | None]:
    """Return what ``self.attribute = value`` does, and with what."""

    def is_it(node: ast.AST) -> bool:
        return _attribute(method, node) == attribute

    if not any(is_it(node) for node in subtree(value)):
        return "set", value
    if isinstance(value, ast.BinOp) and isinstance(value.op, (ast.Add, ast.Sub)):
        if is_it(value.left) and not any(is_it(n) for n in subtree(value.right)):
            return "add", value.right
        if (
            isinstance(value.op, ast.Add)
            and is_it(value.right)
            and not any(is_it(n) for n in subtree(value.left))
        ):
            return "add", value.left
    if isinstance(value, ast.Call):
        name = name_of(method.module, value)
        if name in _CONCATENATES and value.args:
            parts = value.args[0]
            if isinstance(parts, (ast.Tuple, ast.List)) and len(parts.elts) == 2:
                first, second = parts.elts
                others = [e for e in (first, second) if not is_it(e)]
                if len(others) == 1 and not any(is_it(n) for n in subtree(others[0])):
                    return "cat", others[0]
        for names, kind in ((_MAXIMA, "max"), (_MINIMA, "min")):
            if name in names and len(value.args) == 2 and not value.keywords:
                others = [a for a in value.args if not is_it(a)]
                if len(others) == 1 and not any(is_it(n) for n in subtree(others[0])):
                    return kind, others[0]
    return "rescale", value


def leaves_base_out(metric: MetricClass) -> bool:
    """Tell whether the ``__init__`` of a class surely runs no other ``__init__``.

    Any call that may lead to one counts: of ``super()``, of a base by name, or of what is handed
    the object.
    """
    init = metric.cls.methods.get("__init__")
    if init is None:
        return False
    for method in metric.reached("__init__"):
        for node in subtree(method.node):
            if isinstance(node, ast.Attribute) and node.attr in ("__init__", "__dict__"):
                return False
            if not isinstance(node, ast.Call):
                continue
            if isinstance(node.func, ast.Name) and node.func.id == "super":
                return False
            if any(isinstance(a, ast.expr) and is_self(a, method.node) for a in node.args):
                return False
    return True


def unreset_states(metric: MetricClass) -> list[str]:
    """Return the states that the ``reset`` of a class itself leaves as they are.

    None where it may set back what it does not name.
    """
    methods = metric.reached("reset")
    for method in methods:
        for node in subtree(method.node):
            if isinstance(node, ast.Attribute) and (
                node.attr in ("reset", "_defaults", "__dict__") or _is_super(node.value)
            ):
                return []
            if isinstance(node, ast.Name) and node.id in ("setattr", "vars", "super"):
                return []
    named = {change.attribute for method in methods for change in changes(method)}
    grown = {"add", "append", "extend", "cat", "max", "min", "item"}
    return [
        state.name
        for state in metric.states
        if state.name not in named
        and any(change.kind in grown for change in metric.changed(state.name))
    ]


def own_resets(metric: MetricClass) -> Iterator[tuple[FunctionInfo, ast.Call]]:
    """Yield where ``compute`` of a class itself resets the object."""
    for method in metric.computes:
        if method.cls is not metric.cls:
            continue
        for node in subtree(method.node):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == "reset"
                and is_self(node.func.value, method.node)
            ):
                yield method, node
