"""The hooks that ended a step or an epoch in Lightning 1: who defines them, who calls them.

Lightning 1 handed ``*_epoch_end(outputs)`` the values that the steps returned. Lightning 2 has no
such hook; what a class did with ``outputs`` decides what has to be written instead.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

from lintmetrics.edits import FunctionNode, default_of
from lintmetrics.kept_answers import kept
from lintmetrics.project import ClassInfo, Module, Project
from lintmetrics.tree import own_nodes, subtree


@dataclass(frozen=True)
class Stage:
    """One of the loops that runs steps, and what Lightning calls its hooks."""

    name: str
    """``training``, ``validation`` or ``test``, as in ``training_step``."""
    loop: str
    """``train``, ``validation`` or ``test``, as in ``on_train_epoch_end``."""

    @property
    def step(self) -> str:
        """The hook that handles one batch."""
        return f"{self.name}_step"

    @property
    def step_end(self) -> str:
        """The removed hook behind a step."""
        return f"{self.name}_step_end"

    @property
    def removed(self) -> str:
        """The removed hook that took the outputs of the epoch."""
        return f"{self.name}_epoch_end"

    @property
    def hook(self) -> str:
        """The hook that ends an epoch today."""
        return f"on_{self.loop}_epoch_end"

    @property
    def batch_end(self) -> str:
        """The hook that ends a batch today; it is given what the step returned."""
        return f"on_{self.loop}_batch_end"

    @property
    def helper(self) -> str:
        """The name that a body keeps which other methods call with outputs of their own."""
        return f"_{self.name}_epoch_end"

    @property
    def outputs(self) -> str:
        """The attribute that holds the outputs of the steps."""
        return f"{self.name}_step_outputs"


TRAINING = Stage("training", "train")
STAGES = (TRAINING, Stage("validation", "validation"), Stage("test", "test"))
STAGE_OF_HOOK = {name: stage for stage in STAGES for name in (stage.removed, stage.hook)}
"""Removed and present epoch-end hooks, with the stage of each."""

_WORDS = tuple(
    name
    for stage in STAGES
    for name in (stage.step, stage.step_end, stage.removed, stage.hook, stage.batch_end)
)
# Files that only define hooks hold no reference to one, and need not be walked.
_MENTION = re.compile(rf"\.\s*\\?\s*(?:{'|'.join(_WORDS)})\b|['\"](?:{'|'.join(_WORDS)})['\"]")


@dataclass(frozen=True)
class EpochEnd:
    """An epoch-end hook as one class gives it, by ``def`` or by an alias in the class body."""

    cls: ClassInfo
    name: str
    function: FunctionNode
    alias: ast.Assign | ast.AnnAssign | None = None

    @property
    def stage(self) -> Stage:
        """The loop that it ends."""
        return STAGE_OF_HOOK[self.name]

    @property
    def module(self) -> Module:
        """The file it stands in."""
        return self.cls.module

    @property
    def node(self) -> ast.AST:
        """Where it stands."""
        return self.alias or self.function

    @property
    def line(self) -> int:
        """The line of its ``def`` or alias."""
        return (self.alias or self.function).lineno

    @property
    def spelled(self) -> str:
        """How a message names it."""
        return f"{self.cls.node.name}.{self.name}"

    @property
    def parameter(self) -> str | None:
        """The parameter that receives the outputs, without stars; ``None`` when there is none."""
        found = extra_parameters(self.function)
        return found[0].arg if found else None

    @property
    def is_done(self) -> bool:
        """Whether Lightning 2 can call it as it is, and nothing in it waits for outputs."""
        return self.name == self.stage.hook and outputs_parameter(self.function) is None

    @property
    def reads_list(self) -> bool:
        """Whether it reads the list of step outputs, so that it took a removed hook's place."""
        return any(
            isinstance(node, ast.Attribute) and node.attr == self.stage.outputs
            for node in subtree(self.function)
        )

    def __hash__(self) -> int:
        return hash((id(self.cls), self.name))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, EpochEnd) and (self.cls, self.name) == (other.cls, other.name)


def extra_parameters(function: FunctionNode) -> list[ast.arg]:
    """Return the parameters of a method behind ``self``, in order."""
    arguments = function.args
    found = [*arguments.posonlyargs, *arguments.args][1:]
    if arguments.vararg:
        found.append(arguments.vararg)
    found += arguments.kwonlyargs
    if arguments.kwarg:
        found.append(arguments.kwarg)
    return found


def required_parameters(function: FunctionNode) -> list[ast.arg]:
    """Return the parameters behind ``self`` that a call must give."""
    arguments = function.args
    return [
        argument
        for argument in extra_parameters(function)
        if argument not in (arguments.vararg, arguments.kwarg)
        and default_of(function, argument.arg) is None
    ]


def surplus_parameters(end: EpochEnd) -> list[ast.arg]:
    """Return what the hook of a callback requires besides the trainer and the module."""
    arguments = end.function.args
    passed = [*arguments.posonlyargs, *arguments.args][1:3]
    return [a for a in required_parameters(end.function) if a not in passed]


_OUTPUTS = re.compile(r"out|result|loss|pred|unused|^_+$", re.I)


def outputs_parameter(function: FunctionNode) -> ast.arg | None:
    """Return the parameter of a hook that waits for outputs, ``None`` when there is none.

    That is a required one, or one that is read and whose default is empty: Lightning 1 filled it.
    """
    required = required_parameters(function)
    if required:
        return required[0]
    arguments = function.args
    for parameter in extra_parameters(function):
        default = default_of(function, parameter.arg)
        if parameter in (arguments.vararg, arguments.kwarg) or default is None:
            continue
        empty = (isinstance(default, ast.Constant) and default.value is None) or (
            isinstance(default, (ast.List, ast.Tuple)) and not default.elts
        )
        if empty and _OUTPUTS.search(parameter.arg) and loads(function, parameter.arg):
            return parameter
    return None


def own_epoch_end(cls: ClassInfo, name: str) -> EpochEnd | None:
    """Return the hook of that name which a class itself gives."""
    function = cls.methods.get(name)
    if function is not None:
        return EpochEnd(cls, name, function)
    value = cls.assigned.get(name)
    if isinstance(value, ast.Name):
        found = cls.own(name)
        bound = cls.namespace[name]
        if found is not None and isinstance(bound, (ast.Assign, ast.AnnAssign)):
            return EpochEnd(cls, name, found.node, bound)
    return None


def loads(function: FunctionNode, name: str) -> list[ast.Name]:
    """Return every place in a body that reads a name."""
    return [
        node
        for statement in function.body
        for node in subtree(statement)
        if isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load)
    ]


def rebinds(function: FunctionNode, name: str) -> bool:
    """Tell whether a body assigns or deletes a name."""
    return any(
        (isinstance(node, ast.Name) and node.id == name and not isinstance(node.ctx, ast.Load))
        or (isinstance(node, ast.arg) and node.arg == name)
        or (isinstance(node, ast.ExceptHandler) and node.name == name)
        for statement in function.body
        for node in subtree(statement)
    )


def returns(function: FunctionNode) -> list[ast.Return]:
    """Return the ``return`` statements of a function itself, in order."""
    return [node for node in own_nodes(function) if isinstance(node, ast.Return)]


def never_falls_off(body: list[ast.stmt]) -> bool:
    """Tell whether a block surely ends in a ``return`` or ``raise``."""
    last = body[-1]
    if isinstance(last, (ast.Return, ast.Raise)):
        return True
    if isinstance(last, ast.If):
        return bool(last.orelse) and never_falls_off(last.body) and never_falls_off(last.orelse)
    return isinstance(last, ast.With) and never_falls_off(last.body)


def is_generator(function: FunctionNode) -> bool:
    """Tell whether a function yields."""
    return any(isinstance(node, (ast.Yield, ast.YieldFrom)) for node in own_nodes(function))


def calls_super(function: FunctionNode, name: str) -> bool:
    """Tell whether a method calls the one that it overrides."""
    return any(
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == name
        and isinstance(node.func.value, ast.Call)
        and isinstance(node.func.value.func, ast.Name)
        and node.func.value.func.id == "super"
        for node in own_nodes(function)
    )


# Who calls what ---------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Reference:
    """A place that names a hook as an attribute, called or not.

    ``receiver`` is ``"self"``, ``"super"``, ``"class"`` (``owner`` says which) or ``"other"``.
    """

    module: Module
    node: ast.Attribute
    receiver: str
    cls: ClassInfo | None
    function: FunctionNode | None
    owner: ClassInfo | None = None

    @property
    def name(self) -> str:
        """The hook it names."""
        return self.node.attr

    @property
    def call(self) -> ast.Call | None:
        """The call it is the callee of."""
        parent = self.module.parent(self.node)
        return parent if isinstance(parent, ast.Call) and parent.func is self.node else None

    @property
    def line(self) -> int:
        """Where it stands."""
        return self.node.lineno

    @property
    def arguments(self) -> list[ast.expr]:
        """What it is called with, without an explicit ``self``."""
        if self.call is None:
            return []
        given = [*self.call.args, *(keyword.value for keyword in self.call.keywords)]
        return given[1:] if self.receiver == "class" else given


def references(project: Project, name: str) -> list[Reference]:
    """Return every place of a project that names a hook as an attribute."""
    return _references(project).get(name, [])


@kept
def _references(project: Project) -> dict[str, list[Reference]]:
    """Return every place of a project that names a hook as an attribute, by the hook's name."""
    table: dict[str, list[Reference]] = {}
    for module in project.mentioning(_MENTION, "_step", "_end"):
        for node in subtree(module.tree):
            if isinstance(node, ast.Attribute) and node.attr in _WORDS:
                table.setdefault(node.attr, []).append(reference_at(module, node))
            elif isinstance(node, ast.Call):
                spelled = _by_string(module, node)
                if spelled is not None:
                    table.setdefault(spelled.name, []).append(spelled)
    for found in table.values():
        found.sort(key=lambda ref: (ref.module.path, ref.node.lineno, ref.node.col_offset))
    return table


def _by_string(module: Module, call: ast.Call) -> Reference | None:
    # getattr(model, "validation_epoch_end") and its kin name a hook as well.
    if not (isinstance(call.func, ast.Name) and call.func.id in ("getattr", "setattr", "delattr")):
        return None
    if len(call.args) < 2 or not isinstance(call.args[1], ast.Constant):
        return None
    if call.args[1].value not in _WORDS:
        return None
    node = ast.copy_location(ast.Attribute(call.args[0], call.args[1].value, ast.Load()), call)
    return Reference(module, node, "other", None, module.enclosing_function(call))


def reference_at(module: Module, node: ast.Attribute) -> Reference:
    """Return who is asked, and where, at a place that names an attribute."""
    cls = module.enclosing_class(node)
    method: FunctionNode | None = None
    if cls is not None:
        for around in module.ancestors(node):
            if isinstance(around, (ast.FunctionDef, ast.AsyncFunctionDef)):
                method = around
            if around is cls.node:
                break
    receiver, owner = "other", None
    value = node.value
    if isinstance(value, ast.Name) and method is not None:
        arguments = [*method.args.posonlyargs, *method.args.args]
        if arguments and arguments[0].arg == value.id:
            receiver = "self"
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name):
        if value.func.id == "super" and cls is not None:
            receiver = "super"
            if value.args and (found := module.resolve(value.args[0])) is not cls:
                # super(Base, self) starts behind another class.
                owner = found if isinstance(found, ClassInfo) else None
                receiver = "super" if owner is not None else "other"
    elif receiver == "other":
        found = module.resolve(value)
        if isinstance(found, ClassInfo):
            receiver, owner = "class", found
    return Reference(module, node, receiver, cls, method, owner)


def targets(reference: Reference) -> list[EpochEnd]:
    """Return the hooks of the project that a reference can reach."""
    name = reference.name
    cls = reference.cls
    if reference.receiver == "class" and reference.owner is not None:
        found = _first(reference.owner.mro(), name)
        return [found] if found else []
    if cls is None or not cls.is_lightning:
        return []
    if reference.receiver == "super":
        behind = reference.owner or cls
        found_by: dict[EpochEnd, None] = {}
        # What follows a class depends on the object: a mixin hands on to the base beside it.
        for candidate in (cls, *cls.subclasses):
            order = candidate.mro()
            found = _first(order[order.index(behind) + 1 :], name) if behind in order else None
            if found is not None:
                found_by[found] = None
        return list(found_by)
    if reference.receiver == "self":
        reached: dict[EpochEnd, None] = {}
        for candidate in (cls, *cls.subclasses):
            found = _first(candidate.mro(), name)
            if found is not None:
                reached[found] = None
        return list(reached)
    return []


def _first(order: list[ClassInfo], name: str) -> EpochEnd | None:
    for cls in order:
        found = own_epoch_end(cls, name)
        if found is not None:
            return found
    return None


def inherited(cls: ClassInfo, name: str) -> EpochEnd | None:
    """Return the hook that a class takes over from its bases in the project."""
    return _first(cls.mro()[1:], name)


def family(cls: ClassInfo) -> list[ClassInfo]:
    """Return a class, its bases and its subclasses inside the project."""
    return list(dict.fromkeys((*cls.mro(), *cls.subclasses)))


def reads_of(cls: ClassInfo, attribute: str) -> list[tuple[Module, ast.Attribute]]:
    """Return every ``self.attribute`` that the family of a class reads, with its file."""
    return [
        (one.module, node)
        for one in family(cls)
        for node in subtree(one.node)
        if isinstance(node, ast.Attribute)
        and node.attr == attribute
        and isinstance(node.ctx, ast.Load)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    ]


def company(cls: ClassInfo) -> list[ClassInfo]:
    """Return the family of a class and the mixins that its subclasses stand it beside."""
    below = (other for subclass in cls.subclasses for other in subclass.mro())
    return list(dict.fromkeys((*family(cls), *below)))


def hiding(end: EpochEnd) -> tuple[EpochEnd, ClassInfo] | None:
    """Return a hook of today's name that would hide a renamed one, or be hidden by it, and where.

    The two ran one after the other in Lightning 1. They stand in classes that know nothing of each
    other, so only the class that takes in both shows that they meet.
    """
    hook = end.stage.hook
    if end.name == hook:
        return None
    for below in end.cls.subclasses:
        order = below.mro()
        if end.cls not in order or _first(order, end.name) != end:
            continue
        for other in order:
            if other is below or other in end.cls.mro() or other in end.cls.subclasses:
                continue
            own = own_epoch_end(other, hook)
            if own is None or any(own_epoch_end(cls, hook) for cls in order[: order.index(other)]):
                continue
            before = order.index(other) < order.index(end.cls)
            if not (before and calls_super(own.function, hook)):
                return own, below
    return None


def standing_with(end: EpochEnd) -> list[EpochEnd]:
    """Return the other removed hooks that every object with this one has, and those beside it.

    They are the hooks of the class, of its bases, and for a mixin those of what takes it in.
    """
    classes = dict.fromkeys(end.cls.mro())
    if not end.cls.is_kind("LightningModule"):
        for below in end.cls.subclasses:
            classes.update(dict.fromkeys(below.mro()))
    return [
        own
        for cls in classes
        for stage in STAGES
        if (own := own_epoch_end(cls, stage.removed)) is not None and own != end
    ]


# What a body does with its outputs --------------------------------------------------------------


def item_is_flat(cls: ClassInfo, function: FunctionNode, name: str, depth: int = 3) -> bool:
    """Tell whether a body only makes sense when each item of a list is one step's output.

    ``x["loss"] for x in outputs`` and ``torch.stack(outputs)`` fail on the list of lists that
    several dataloaders gave.
    """
    flat = False
    module = cls.module
    for load in loads(function, name):
        parent = module.parent(load)
        if isinstance(parent, ast.Call) and isinstance(parent.func, ast.Name):
            if parent.func.id in ("isinstance", "type"):
                return False
            if parent.func.id == "enumerate":
                around = module.parent(parent)
                if isinstance(around, (ast.For, ast.comprehension)):
                    target = around.target
                    if isinstance(target, ast.Tuple) and len(target.elts) == 2:
                        if _is_looped(module, around, target.elts[1]):
                            return False
                        flat |= _keyed(module, around, target.elts[1])
                continue
        if isinstance(parent, (ast.For, ast.comprehension)) and parent.iter is load:
            if _is_looped(module, parent, parent.target):
                return False  # Another branch may read them flat; the lists in lists count.
            flat |= _keyed(module, parent, parent.target)
        elif isinstance(parent, ast.Subscript) and parent.value is load:
            around = module.parent(parent)
            if (
                isinstance(around, ast.Call)
                and isinstance(around.func, ast.Name)
                and around.func.id in ("isinstance", "type")
            ):
                return False
            if not isinstance(parent.slice, ast.Slice):
                flat |= _is_keyed_access(module, parent)
        elif isinstance(parent, ast.Call) and load in parent.args:
            called = parent.func
            if isinstance(called, ast.Attribute):
                if called.attr in ("stack", "cat") and isinstance(called.value, ast.Name):
                    flat |= called.value.id == "torch"
                elif isinstance(called.value, ast.Name) and called.value.id == "self" and depth:
                    info = cls.lookup(called.attr)
                    if info is not None and info.cls is not None:
                        given = extra_parameters(info.node)
                        place = parent.args.index(load)
                        if place < len(given) and given[place] is not info.node.args.vararg:
                            flat |= item_is_flat(info.cls, info.node, given[place].arg, depth - 1)
    return flat


def _reads_in(module: Module, loop: ast.AST, target: ast.expr) -> list[ast.Name]:
    """Return the reads of the target of a loop inside it."""
    if not isinstance(target, ast.Name):
        return []
    inside: ast.AST = loop
    if isinstance(loop, ast.comprehension):
        inside = module.parent(loop) or loop
    return [
        node
        for node in subtree(inside)
        if isinstance(node, ast.Name) and node.id == target.id and isinstance(node.ctx, ast.Load)
    ]


def _is_looped(module: Module, loop: ast.AST, target: ast.expr) -> bool:
    """Tell whether each item of a loop is looped over itself."""
    return any(
        isinstance(parent := module.parent(node), (ast.For, ast.comprehension))
        and parent.iter is node
        for node in _reads_in(module, loop, target)
    )


def _keyed(module: Module, loop: ast.AST, target: ast.expr) -> bool:
    return any(_is_keyed_access(module, node) for node in _reads_in(module, loop, target))


def _is_keyed_access(module: Module, node: ast.AST) -> bool:
    """Tell whether a value is used as a mapping with text keys."""
    parent = module.parent(node)
    if isinstance(parent, ast.Subscript) and parent.value is node:
        return isinstance(parent.slice, ast.Constant) and isinstance(parent.slice.value, str)
    if isinstance(parent, ast.Attribute) and parent.value is node:
        return parent.attr in ("keys", "items", "values", "get")
    return False
