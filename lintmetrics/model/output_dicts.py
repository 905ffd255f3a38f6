"""Where the dicts that an epoch end reads are made, and that nothing minds another key in them.

A list of step outputs is followed upwards, from a name in a method through its callers to the
steps that fill it, and then downwards again, to everything that may see one of the dicts. A use
that cannot be followed ends the search: it might count the keys, or unpack them by position.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

from lintmetrics.edits import CannotEdit, FunctionNode, block_of
from lintmetrics.model.epoch_hooks import (
    STAGE_OF_HOOK,
    STAGES,
    Stage,
    calls_super,
    extra_parameters,
    is_generator,
    returns,
)
from lintmetrics.model.filled_lists import aliases, copied, fills
from lintmetrics.model.kept_outputs import of_self
from lintmetrics.project import ClassInfo, FunctionInfo, Module
from lintmetrics.tree import subtree

_LOOKS = frozenset(["len", "bool", "isinstance", "type"])
_SAME = frozenset(["list", "tuple", "reversed", "iter"])
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)


@dataclass(frozen=True)
class OutputDict:
    """A dict display that a step, or a method that steps share, gives for one batch."""

    cls: ClassInfo
    module: Module
    function: FunctionNode
    node: ast.Dict


class OutputDicts:
    """The dicts in the list that a method reads, and everything else that sees them.

    Args:
        owner: the class that has the method.
        function: the method.
        outputs: the expression of the list.
        keyed: subscripts by a name that are known to ask for one key of a dict.
    Raises:
        CannotEdit: where the dicts are made, or who sees them, cannot be told.
    """

    def __init__(
        self,
        owner: ClassInfo,
        function: FunctionNode,
        outputs: ast.expr,
        keyed: frozenset[ast.AST] = frozenset(),
    ) -> None:
        self._owner = owner
        self._module = owner.module
        self._project = owner.module.project
        self._keyed = keyed
        self.made: dict[ast.Dict, OutputDict] = {}
        self._lists: dict[str, None] = {}
        self._stages: dict[str, Stage] = {}
        self._asked: set[tuple[str, int, str]] = set()
        self._users = [
            cls
            for cls in (owner, *owner.subclasses)
            if (own := cls.lookup(function.name)) is not None
            and (own.node is function or calls_super(own.node, function.name))
        ]
        self._classes: list[ClassInfo] = []
        wanted = _running([*self._users, owner])
        while not set(wanted) <= set(self._classes):
            # A step of a base class makes the dicts of its other subclasses, too.
            self._classes = list(dict.fromkeys([*self._classes, *wanted]))
            self._follow(owner, function, outputs)
            wanted = _running([made.cls for made in self.made.values()])

    def _follow(self, owner: ClassInfo, function: FunctionNode, outputs: ast.expr) -> None:
        """Find the dicts, and look at all that is done with them in the classes concerned."""
        self.made.clear()
        self._lists.clear()
        self._stages.clear()
        self._asked.clear()
        self._up(owner, function, outputs)
        for cls in self._users:
            for stage in self._stages.values():
                self._returned_by(cls, stage)
            for attribute in self._lists:
                self._appended_to(cls, attribute)
        if not self.made:
            raise CannotEdit("no step shows a dict in which its batch size could go along")
        for attribute in self._lists:
            self._require_plain_list(attribute)
        for stage in self._stages.values():
            self._hooks_of(stage)

    @property
    def removed_hooks(self) -> list[tuple[Module, FunctionNode]]:
        """The hooks of Lightning 1 that hand the dicts on."""
        return [
            (cls.module, cls.methods[stage.removed])
            for stage in self._stages.values()
            for cls in self._classes
            if stage.removed in cls.methods
        ]

    # Upwards: which list it is --------------------------------------------------------------

    def _up(self, cls: ClassInfo, function: FunctionNode, expr: ast.expr) -> None:
        key = ("up", id(function), ast.unparse(expr))
        if key in self._asked:
            return
        self._asked.add(key)
        attribute = of_self(expr)
        if attribute is not None:
            self._lists[attribute] = None
            return
        if isinstance(expr, ast.Subscript):
            self._up(cls, function, expr.value)
            return
        if isinstance(expr, ast.IfExp):
            self._up(cls, function, expr.body)
            self._up(cls, function, expr.orelse)
            return
        if isinstance(expr, ast.Call) and _name_of(expr.func) in _SAME and len(expr.args) == 1:
            self._up(cls, function, expr.args[0])
            return
        if not isinstance(expr, ast.Name):
            raise _untold(cls.module, expr)
        bound = self._bindings(cls.module, function, expr)
        if expr.id in [a.arg for a in extra_parameters(function)]:
            self._given(cls, function, expr.id)
        elif not bound:
            raise _untold(cls.module, expr)
        for value in bound:
            self._up(cls, function, value)

    def _bindings(self, module: Module, function: FunctionNode, read: ast.Name) -> list[ast.expr]:
        """Return what a name may have been assigned, or goes through, where it is read."""
        found: list[ast.expr] = []
        stores = [
            node
            for node in subtree(function)
            if isinstance(node, ast.Name) and node.id == read.id and isinstance(node.ctx, ast.Store)
        ]
        last = _last_for_sure(module, function, stores, read)
        for node in stores:
            if last is not None and _place(node) < _place(last):
                continue
            holder = node.lm_parent  # type: ignore[attr-defined]
            if isinstance(holder, ast.Tuple):
                loop = holder.lm_parent  # type: ignore[attr-defined]
                if (
                    isinstance(loop, (ast.For, ast.comprehension))
                    and isinstance(loop.iter, ast.Call)
                    and _name_of(loop.iter.func) == "enumerate"
                    and holder.elts[-1] is node
                    and loop.iter.args
                ):
                    found.append(loop.iter.args[0])
                    continue
            if isinstance(holder, ast.Assign) and holder.targets == [node]:
                found.append(holder.value)
            elif isinstance(holder, (ast.For, ast.comprehension)) and holder.target is node:
                found.append(holder.iter)
            else:
                raise CannotEdit(f"how `{read.id}` at line {node.lineno} is bound is not read")
        return found

    def _given(self, cls: ClassInfo, function: FunctionNode, name: str) -> None:
        """Follow a parameter to what callers give for it."""
        stage = STAGE_OF_HOOK.get(function.name)
        if stage is not None and function.name == stage.removed:
            if extra_parameters(function)[0].arg != name:
                raise CannotEdit(f"`{name}` of {function.name} is not what Lightning passes")
            self._stages[stage.name] = stage
            return
        calls = list(self._calls_of(cls, function.name))
        if not calls:
            raise CannotEdit(f"nothing in the project calls {function.name}() with outputs")
        for caller, method, call in calls:
            argument = _argument(call, function, name)
            if argument is None:
                raise CannotEdit(
                    f"the call of {function.name}() at {caller.module.source.path}:{call.lineno} "
                    f"does not show its `{name}`"
                )
            self._up(caller, method, argument)

    def _calls_of(
        self, cls: ClassInfo, name: str
    ) -> list[tuple[ClassInfo, FunctionNode, ast.Call]]:
        """Return the calls of a method on objects of these classes."""
        found: list[tuple[ClassInfo, FunctionNode, ast.Call]] = []
        related = set(self._classes)
        for module in self._project.mentioning(re.compile(rf"\.\s*{re.escape(name)}\b")):
            for node in subtree(module.tree):
                if not (isinstance(node, ast.Attribute) and node.attr == name):
                    continue
                around = module.enclosing_class(node)
                receiver = node.value
                own = isinstance(receiver, ast.Name) and receiver.id == "self"
                above = isinstance(receiver, ast.Call) and _name_of(receiver.func) == "super"
                if (own or above) and around is not None and around not in related:
                    continue
                call = module.parent(node)
                method = module.enclosing_method(node)
                if (
                    not (own or above)
                    or around is None
                    or method is None
                    or not isinstance(call, ast.Call)
                    or call.func is not node
                ):
                    if not (own or above) and not self._may_be_ours(module, name):
                        continue
                    raise CannotEdit(f"{name} is also named at {module.source.path}:{node.lineno}")
                found.append((around, method, call))
        return found

    def _may_be_ours(self, module: Module, method: str = "") -> bool:
        """Tell whether a file speaks of a class of ours, one that has a method if one is named."""
        return any(
            cls.module is module or cls.node.name in module.source.text
            for cls in self._classes
            if not method or cls.lookup(method) is not None
        )

    # Where the dicts are made -----------------------------------------------------------------

    def _returned_by(self, cls: ClassInfo, stage: Stage) -> None:
        if any(base.lookup(stage.step_end) is not None for base in (cls, *cls.subclasses)):
            raise CannotEdit(f"{cls.node.name}.{stage.step_end} has a part in the outputs")
        step = cls.lookup(stage.step)
        if step is None or step.cls is None:
            raise CannotEdit(
                f"{cls.node.name} has no {stage.step}, so what its outputs are is up to others"
            )
        self._made_by(cls, step)

    def _made_by(self, cls: ClassInfo, info: FunctionInfo) -> None:
        """Note every dict that a method returns."""
        key = ("made", id(info.node), str(id(cls)))
        if key in self._asked:
            return
        self._asked.add(key)
        if not isinstance(info.node, ast.FunctionDef) or is_generator(info.node):
            raise CannotEdit(f"{info.name}() at line {info.node.lineno} is no plain function")
        found = [node for node in returns(info.node) if not _is_none(node.value)]
        if not found:
            raise CannotEdit(f"{info.name}() at line {info.node.lineno} returns nothing")
        for node in found:
            assert node.value is not None
            self._value(cls, info, node.value)

    def _value(
        self, cls: ClassInfo, info: FunctionInfo, value: ast.expr, is_named: bool = False
    ) -> None:
        """Note the dict that an expression of a method is."""
        module, function = info.module, info.node
        owner = info.cls or cls
        if isinstance(value, ast.Dict) and (value.keys or is_named):
            if value not in self.made:
                self._require_once(module, function, value)
                self.made[value] = OutputDict(owner, module, function, value)
                self._seen(owner, function, value)
            return
        if isinstance(value, ast.Name):
            parameters = [a.arg for a in extra_parameters(function)]
            stage = next((s for s in STAGES if s.batch_end == function.name), None)
            if stage is not None and parameters[:1] == [value.id]:
                self._returned_by(cls, stage)
                return
            if value.id in parameters:
                raise _untold(module, value)
            bound = self._bindings(module, function, value)
            if not bound:
                raise _untold(module, value)
            for one in bound:
                # What begins empty is filled: the hook asks each output for its key.
                self._value(cls, info, one, is_named=True)
            return
        copy = copied(value)
        if copy is not None:
            self._value(cls, info, copy)
            return
        if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute):
            called = self._callee(cls, owner, value.func)
            if called is not None:
                self._made_by(cls, called)
                return
        where = f"{module.source.path}:{value.lineno}"
        raise CannotEdit(f"`{_text(module, value)}` at {where} shows no dict for the batch size")

    def _callee(self, cls: ClassInfo, owner: ClassInfo, func: ast.Attribute) -> FunctionInfo | None:
        if isinstance(func.value, ast.Name) and func.value.id == "self":
            return cls.lookup(func.attr)
        if isinstance(func.value, ast.Call) and ast.unparse(func.value) == "super()":
            for base in owner.mro()[1:]:
                found = base.own(func.attr)
                if found is not None:
                    return found
        return None

    @staticmethod
    def _require_once(module: Module, function: FunctionNode, node: ast.AST) -> None:
        for around in module.ancestors(node):
            if around is function:
                return
            if isinstance(around, (ast.For, ast.While, ast.comprehension, *_SCOPES)):
                break
        raise CannotEdit(f"the dict at line {getattr(node, 'lineno', 0)} is made in a loop")

    def _appended_to(self, cls: ClassInfo, attribute: str) -> None:
        """Note every dict that the methods of a class put into its list."""
        found = False
        for base in cls.mro():
            for name, method in base.methods.items():
                own = cls.lookup(name)
                if own is None or (own.node is not method and not calls_super(own.node, name)):
                    continue
                names = aliases(method, attribute)
                for call in subtree(method):
                    if not fills(call, attribute, names):
                        continue
                    assert isinstance(call, ast.Call)
                    found = True
                    if _is_empty(call.args[0]):
                        continue  # The list of one more dataloader.
                    self._value(cls, FunctionInfo(base.module, method, base), call.args[0])
        if not found:
            raise CannotEdit(
                f"nothing in {cls.node.name} fills self.{attribute}, so what is in it is up to "
                "others"
            )

    # Downwards: who sees them -----------------------------------------------------------------

    def _require_plain_list(self, attribute: str) -> None:
        """Look at every use of a list of the object."""
        ours = set(self._classes)
        for module in self._project.mentioning(re.compile(rf"\b{re.escape(attribute)}\b")):
            for node in subtree(module.tree):
                if isinstance(node, ast.Constant) and node.value == attribute:
                    raise CannotEdit(
                        f"{attribute!r} is named at {module.source.path}:{node.lineno}"
                    )
                if not (isinstance(node, ast.Attribute) and node.attr == attribute):
                    continue
                around = module.enclosing_class(node)
                if of_self(node) is None:
                    if self._may_be_ours(module) or "pl_module" in ast.unparse(node.value):
                        raise CannotEdit(
                            f"self.{attribute} is also used at {module.source.path}:{node.lineno}"
                        )
                    continue
                if around not in ours:
                    continue
                assert around is not None
                method = module.enclosing_method(node)
                if method is None:
                    raise CannotEdit(f"{attribute} is used outside a method")
                if isinstance(node.ctx, ast.Load):
                    self._seen(around, method, node)
                elif isinstance(node.ctx, ast.Store):
                    value = getattr(module.parent(node), "value", None)
                    if not isinstance(value, ast.expr) or not _is_empty(value):
                        raise CannotEdit(
                            f"self.{attribute} is set at {module.source.path}:{node.lineno}"
                        )

    def _hooks_of(self, stage: Stage) -> None:
        """Look at what the removed hooks do with what Lightning hands them."""
        for cls in self._classes:
            self._parameter_of(cls, stage.removed, 0)

    def _parameter_of(self, cls: ClassInfo, name: str, index: int) -> None:
        method = cls.methods.get(name)
        if method is None:
            return
        parameters = extra_parameters(method)
        if index < len(parameters):
            self._named(cls, method, method, parameters[index].arg)

    def _named(
        self,
        cls: ClassInfo,
        function: FunctionNode,
        scope: ast.AST,
        name: str,
        bound: ast.stmt | None = None,
    ) -> None:
        """Look at every use of a name, but for those before the statement that bound it."""
        module = cls.module
        if bound is not None and _repeats(module, bound, function):
            bound = None
        end = module.source.end(bound) if bound is not None else 0
        key = (f"named from {end}", id(scope), name)
        if key in self._asked:
            return
        self._asked.add(key)
        for node in subtree(scope):
            if isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load):
                before = module.source.start(node) < end
                if not before or module.enclosing_function(node) is not function:
                    self._seen(cls, function, node)

    def _seen(self, cls: ClassInfo, function: FunctionNode, node: ast.expr) -> None:
        """Look at what is done with a dict, a list of them, or a list of lists."""
        module = cls.module
        parent = module.parent(node)
        if isinstance(parent, ast.Subscript) and parent.value is node:
            if not isinstance(parent.ctx, ast.Load) or _is_key(parent.slice):
                return
            if parent not in self._keyed:
                self._seen(cls, function, parent)
            return
        if isinstance(parent, ast.Attribute) and parent.value is node:
            call = module.parent(parent)
            copy = _copy_around(module, parent)
            if copy is not None:
                self._seen(cls, function, copy)
                return
            if parent.attr in ("clear", "append", "update") and isinstance(call, ast.Call):
                return
            if parent.attr == "extend" and isinstance(call, ast.Call) and len(call.args) == 1:
                given = call.args[0]
                if _is_empty(given.elt if isinstance(given, ast.GeneratorExp) else given):
                    return  # A list for each dataloader.
            asked = module.parent(call) if isinstance(call, ast.Call) else None
            if parent.attr == "keys" and isinstance(asked, ast.Compare):
                if asked.left is not call and all(
                    isinstance(op, (ast.In, ast.NotIn)) for op in asked.ops
                ):
                    return
            elif parent.attr == "get" and isinstance(call, ast.Call) and _is_key(call.args[0]):
                return
        elif isinstance(parent, ast.Call) and node in parent.args:
            if self._handed(cls, function, parent, node):
                return
        elif isinstance(parent, ast.keyword):
            call = module.parent(parent)
            if (
                isinstance(call, ast.Call)
                and parent.arg
                and self._handed(cls, function, call, parent)
            ):
                return
        elif isinstance(parent, (ast.For, ast.comprehension)) and parent.iter is node:
            self._iterated(cls, function, parent, parent.target)
            return
        elif isinstance(parent, (ast.Assign, ast.AnnAssign)) and parent.value is node:
            targets = parent.targets if isinstance(parent, ast.Assign) else [parent.target]
            if all(isinstance(target, ast.Name) for target in targets):
                for target in targets:
                    assert isinstance(target, ast.Name)
                    self._named(cls, function, function, target.id, parent)
                return
            if all(isinstance(t, ast.Attribute) and of_self(t) in self._lists for t in targets):
                return
        elif isinstance(parent, ast.Compare):
            if all(isinstance(op, (ast.Is, ast.IsNot)) for op in parent.ops):
                return
            if node in parent.comparators and all(
                isinstance(op, (ast.In, ast.NotIn)) for op in parent.ops
            ):
                return
        elif isinstance(parent, (ast.UnaryOp, ast.If, ast.While)):
            return  # Only whether there is any is asked.
        elif isinstance(parent, ast.IfExp) and parent.test is node:
            return
        elif isinstance(parent, (ast.IfExp, ast.BoolOp)):
            self._seen(cls, function, parent)
            return
        elif isinstance(parent, ast.Return):
            self._caught(cls, function, parent)
            return
        elif isinstance(parent, ast.Expr):
            return
        raise CannotEdit(
            f"`{_text(module, parent or node)}` at {module.source.path}:{node.lineno} may mind "
            "another key in the outputs"
        )

    def _iterated(
        self,
        cls: ClassInfo,
        function: FunctionNode,
        loop: ast.For | ast.comprehension,
        target: ast.expr,
    ) -> None:
        scope: ast.AST = function
        if isinstance(loop, ast.comprehension):
            scope = cls.module.parent(loop) or function
        if not isinstance(target, ast.Name):
            raise CannotEdit(
                f"the outputs are taken apart at {cls.module.source.path}:{target.lineno}"
            )
        self._named(cls, function, scope, target.id)

    def _handed(
        self, cls: ClassInfo, function: FunctionNode, call: ast.Call, given: ast.AST
    ) -> bool:
        """Follow an argument; tell whether it could be followed."""
        name = _name_of(call.func)
        module = cls.module
        if isinstance(call.func, ast.Name):
            if name in _LOOKS:
                return True
            if name in _SAME:
                self._seen(cls, function, call)
                return True
            if name == "enumerate":
                loop = module.parent(call)
                if isinstance(loop, (ast.For, ast.comprehension)) and isinstance(
                    loop.target, ast.Tuple
                ):
                    self._iterated(cls, function, loop, loop.target.elts[-1])
                    return True
            return False
        if not isinstance(call.func, ast.Attribute):
            return False
        if name == "append":
            return self._kept(function, call)
        receiver = call.func.value
        above = isinstance(receiver, ast.Call) and _name_of(receiver.func) == "super"
        if not above and not (isinstance(receiver, ast.Name) and receiver.id == "self"):
            return False
        found = False
        # A callback hands on to its own methods, not to those of the module.
        for candidate in self._classes if cls in self._classes else cls.mro():
            method = candidate.methods.get(name)
            if method is None:
                continue
            found = True
            parameter = _parameter(call, method, given)
            if parameter is None:
                return False
            self._named(candidate, method, method, parameter)
        # Lightning's own hooks do nothing.
        return found or (above and name in STAGE_OF_HOOK)

    def _kept(self, function: FunctionNode, call: ast.Call) -> bool:
        """Look at what is done with a list of the object that a dict is put into."""
        receiver: ast.AST = call.func
        while isinstance(receiver, (ast.Attribute, ast.Subscript)) and of_self(receiver) is None:
            receiver = receiver.value
        attribute = of_self(receiver)
        if isinstance(receiver, ast.Name):
            # A list that is looked at already, under another name.
            return any(receiver.id in aliases(function, name) for name in self._lists)
        if attribute is None:
            return False
        key = ("kept", 0, attribute)
        if attribute not in self._lists and key not in self._asked:
            self._asked.add(key)
            self._require_plain_list(attribute)
        return True

    def _caught(self, cls: ClassInfo, function: FunctionNode, node: ast.Return) -> None:
        """Look at what is done with what a method returns."""
        key = ("caught", id(function), "")
        if key in self._asked:
            return
        self._asked.add(key)
        if cls.module.enclosing_method(node) is not function:
            raise CannotEdit(f"the outputs are returned by a function inside {function.name}")
        for stage in STAGES:
            if function.name == stage.step:
                self._batch_ends(stage)
        for caller, method, call in self._calls_of(cls, function.name):
            self._seen(caller, method, call)

    def _batch_ends(self, stage: Stage) -> None:
        """Look at the hooks behind a step, to which Lightning hands its output."""
        for cls in self._classes:
            self._parameter_of(cls, stage.batch_end, 0)
            if stage.step_end in cls.namespace:
                raise CannotEdit(f"{cls.node.name}.{stage.step_end} is given the outputs")
        for module in self._project.mentioning(re.compile(rf"\bdef\s+{stage.batch_end}\b")):
            for cls in module.classes:
                if cls.is_kind("Callback"):
                    self._parameter_of(cls, stage.batch_end, 2)


def _copy_around(module: Module, items: ast.Attribute) -> ast.DictComp | None:
    """Return the comprehension that copies a dict, of whose items it is asked."""
    around: ast.AST | None = items
    for _ in range(3):  # The call, the loop, the comprehension.
        around = module.parent(around) if around is not None else None
    if isinstance(around, ast.DictComp) and copied(around) is items.value:
        return around
    return None


def _repeats(module: Module, statement: ast.stmt, function: FunctionNode) -> bool:
    """Tell whether a statement of a function may run more than once."""
    for around in module.ancestors(statement):
        if around is function:
            return False
        if isinstance(around, (ast.For, ast.While, *_SCOPES)):
            return True
    return True


def _place(node: ast.Name) -> tuple[int, int]:
    return node.lineno, node.col_offset


def _last_for_sure(
    module: Module, function: FunctionNode, stores: list[ast.Name], read: ast.Name
) -> ast.Name | None:
    """Return the last assignment of a name that surely ran before it is read.

    What the name stood for above that is of no concern. In a loop nothing is said.
    """
    before: list[ast.stmt] = []
    around: ast.AST | None = module.statement(read)
    while isinstance(around, ast.stmt) and around is not function:
        if isinstance(around, (ast.For, ast.While, *_SCOPES)):
            return None
        block = block_of(module, around)
        before += block[: block.index(around)]
        around = module.parent(around)
    sure = [s for s in stores if getattr(module.parent(s), "targets", None) == [s]]
    return max((s for s in sure if module.parent(s) in before), key=_place, default=None)


def _running(classes: list[ClassInfo]) -> list[ClassInfo]:
    """Return all classes whose methods run on objects that have a method of these classes."""
    return list(
        dict.fromkeys(
            base for cls in classes for below in (cls, *cls.subclasses) for base in below.mro()
        )
    )


def _is_empty(value: ast.expr) -> bool:
    """Tell whether an expression makes a list without outputs in it, or lists of such lists."""
    if isinstance(value, ast.List):
        return all(_is_empty(inner) for inner in value.elts)
    if isinstance(value, ast.ListComp):
        return _is_empty(value.elt)
    if isinstance(value, ast.Constant):
        return value.value is None
    if isinstance(value, ast.Call):
        return ast.unparse(value) in ("list()", "dict()", "defaultdict(list)")
    if isinstance(value, ast.DictComp):
        return _is_empty(value.value)
    return isinstance(value, ast.Dict) and all(_is_empty(inner) for inner in value.values)


def _is_key(node: ast.expr) -> bool:
    """Tell whether a subscript asks a dict for one key."""
    if isinstance(node, ast.JoinedStr):
        return True
    if isinstance(node, ast.BinOp):
        return _is_key(node.left) or _is_key(node.right)
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _is_none(value: ast.expr | None) -> bool:
    return value is None or (isinstance(value, ast.Constant) and value.value is None)


def _name_of(func: ast.expr) -> str:
    return func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")


def _argument(call: ast.Call, function: FunctionNode, name: str) -> ast.expr | None:
    """Return what a call gives for a parameter of a method."""
    if any(isinstance(a, ast.Starred) for a in call.args) or any(
        k.arg is None for k in call.keywords
    ):
        return None
    given = next((k.value for k in call.keywords if k.arg == name), None)
    names = _given_by_position(function)
    if given is None and name in names and names.index(name) < len(call.args):
        given = call.args[names.index(name)]
    return given


def _given_by_position(function: FunctionNode) -> list[str]:
    """Return the parameters that the arguments of a call fill, one after the other."""
    names = [a.arg for a in (*function.args.posonlyargs, *function.args.args)]
    static = any(
        isinstance(d, ast.Name) and d.id == "staticmethod" for d in function.decorator_list
    )
    return names if static else names[1:]


def _parameter(call: ast.Call, function: FunctionNode, given: ast.AST) -> str | None:
    """Return the parameter of a method that an argument of a call is for."""
    names = _given_by_position(function)
    if isinstance(given, ast.keyword):
        known = [*names, *(a.arg for a in extra_parameters(function))]
        return given.arg if given.arg in known else None
    if any(isinstance(argument, ast.Starred) for argument in call.args):
        return None
    index = next(i for i, argument in enumerate(call.args) if argument is given)
    return names[index] if index < len(names) else None


def _text(module: Module, node: ast.AST) -> str:
    try:
        text = module.source.segment(node)
    except AttributeError:
        text = ast.unparse(node)
    text = text.split("\n")[0].strip()
    return text if len(text) < 60 else text[:57] + "..."


def _untold(module: Module, expr: ast.expr) -> CannotEdit:
    return CannotEdit(
        f"which outputs `{_text(module, expr)}` at {module.source.path}:{expr.lineno} stands for "
        "cannot be told"
    )
