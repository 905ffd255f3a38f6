"""Where a module can create an object, and what is known there."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from lintmetrics.edits import CannotEdit, Editor, FunctionNode
from lintmetrics.model import attribute_names
from lintmetrics.model.object_equivalents import MetricObject
from lintmetrics.model.tensors import bindings, constant
from lintmetrics.tree import subtree

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lintmetrics.model.log_calls import LogContext
    from lintmetrics.project import ClassInfo, Module

_T = TypeVar("_T")
# Lightning runs them before the first step and before the module goes to its device
# (lightning 2.6.6, trainer.py, ``_run``).
_LATER = ("configure_model", "setup")
_WIDTH = 100


@dataclass(frozen=True)
class Place:
    """The end of a method at which a class creates objects.

    Args:
        owner: the class.
        method: the method; ``None`` for the ``__init__`` that the class lacks.
    """

    owner: ClassInfo
    method: FunctionNode | None

    @property
    def name(self) -> str:
        """The method's name."""
        return "__init__" if self.method is None else self.method.name

    @property
    def at(self) -> ast.AST:
        """The node behind which an object is created."""
        return self.owner.node if self.method is None else self.method.body[-1]

    def write(self, editor: Editor, lines: Sequence[str]) -> None:
        """Add statements."""
        if self.method is None or self.name == "__init__":
            editor.append_to_init(self.owner.module, self.owner.node, lines)
        else:
            editor.append_to_body(self.owner.module, self.method, lines)

    def arguments(self, wanted: MetricObject, module: Module, call: ast.AST) -> list[str]:
        """Return the text of a constructor's arguments as it is right here.

        Args:
            wanted: the object; ``module``: the file of the function's call; ``call``: the call.

        Raises:
            CannotEdit: an argument is not known here.
        """
        function = module.enclosing_function(call)
        texts: list[str] = []
        for name, value in wanted.arguments:
            if isinstance(value, str):
                self._require(ast.parse(value, mode="eval").body, f"{name}={value}", call)
                texts.append(f"{name}={value}")
            else:
                texts.append(f"{name}={self._text(module, function, name, value)}")
        return texts

    def repeated(self, module: Module, call: ast.Call) -> list[str]:
        """Return the text of a constructor's own arguments as it is right here.

        Args:
            module: the file of the call; ``call``: the call that makes the object elsewhere.

        Raises:
            CannotEdit: an argument is not known here.
        """
        function = module.enclosing_function(call)
        texts: list[str] = []
        for argument in call.args:
            if isinstance(argument, ast.Starred):
                raise CannotEdit(f"the arguments at line {call.lineno} are unpacked from a name")
            texts.append(self._text(module, function, "", argument).removeprefix("="))
        for keyword in call.keywords:
            if keyword.arg is None:
                raise CannotEdit(f"the arguments at line {call.lineno} are unpacked from a name")
            text = self._text(module, function, keyword.arg, keyword.value)
            texts.append(f"{keyword.arg}={text}")
        return texts

    def _text(
        self, module: Module, function: FunctionNode | None, name: str, node: ast.expr
    ) -> str:
        """Return an expression of a step as it is written here."""
        local = module.scope_of(function) if function is not None else {}
        text = module.source.segment(node)
        for inner in subtree(node):
            if isinstance(inner, (ast.Call, ast.Lambda, ast.NamedExpr, ast.Await)):
                raise CannotEdit(f"{name}= at line {node.lineno} is worked out in the step")
            if not isinstance(inner, ast.Name) or inner.id == "self":
                continue
            if inner.id in local and function is not None:
                known = constant(module, node)
                if known is not ... and isinstance(known, (int, float, str, bool)):
                    return repr(known) if not isinstance(known, str) else f'"{known}"'
                bound = bindings(module, inner.id, function)
                if node is inner and len(bound) == 1 and isinstance(bound[0], ast.Assign):
                    return self._text(module, function, name, bound[0].value)
                raise CannotEdit(
                    f"{name}={text} at line {node.lineno} is a value of the step; create the "
                    f"object in {self.name} with what it will be"
                )
            if not module.binds(inner.id) and not hasattr(builtins, inner.id):
                raise CannotEdit(f"{inner.id} at line {node.lineno} is not known in {self.name}")
        self._require(node, f"{name}={text}", node)
        return text

    def _require(self, node: ast.expr, shown: str, at: ast.AST) -> None:
        """Raise where an expression cannot be evaluated here."""
        module = self.owner.module
        known = module.scope_of(self.method) if self.method is not None else {"self": None}
        line = getattr(at, "lineno", 0)
        for inner in subtree(node):
            if (
                isinstance(inner, ast.Name)
                and inner.id not in known
                and not module.binds(inner.id)
                and not hasattr(builtins, inner.id)
            ):
                raise CannotEdit(f"{inner.id} of {shown} is not known in {self.name}")
            if (
                isinstance(inner, ast.Attribute)
                and isinstance(inner.value, ast.Name)
                and inner.value.id == "self"
            ):
                self._require_set(inner.attr, shown, line)

    def _require_set(self, attribute: str, shown: str, line: int) -> None:
        """Raise where ``self.attribute`` is not there yet, or not what it will be."""
        later = [(name, s) for name, s in self._stores(_LATER, attribute) if s is not None]
        if self.name in _LATER and any(name == self.name for name, _ in later):
            if any(_is_certain(self.owner.module, s, self.method) for _, s in later):
                return
            where = later[0][1].lineno
            raise CannotEdit(
                f"{shown} at line {line}: self.{attribute} is set under a condition at line "
                f"{where}; create the object there by hand"
            )
        if later:
            raise CannotEdit(f"{shown} at line {line} is not set in {self.name}")
        if any(attribute in cls.namespace for cls in self.owner.mro()):
            return
        if next(self._stores(("__init__",), attribute), None) is None:
            raise CannotEdit(f"{shown} at line {line} is not set in {self.name}")

    def _stores(self, methods: tuple[str, ...], attribute: str) -> Iterator[tuple[str, ast.stmt]]:
        """Yield where methods of the class and its bases set an attribute."""
        for cls in self.owner.mro():
            for name in methods:
                method = cls.methods.get(name)
                for node in subtree(method) if method is not None else ():
                    if (
                        isinstance(node, ast.Attribute)
                        and isinstance(node.value, ast.Name)
                        and node.value.id == "self"
                        and (
                            (node.attr == attribute and isinstance(node.ctx, ast.Store))
                            or (attribute == "hparams" and node.attr == "save_hyperparameters")
                        )
                    ):
                        yield name, cls.module.statement(node)


def _is_certain(module: Module, statement: ast.stmt, method: FunctionNode | None) -> bool:
    """Tell whether a statement runs whenever the end of its method is reached."""
    around = module.parent(statement)
    while isinstance(around, (ast.With, ast.AsyncWith)):
        around = module.parent(around)
    return around is method


def first_fitting(owner: ClassInfo, make: Callable[[Place], _T]) -> tuple[Place, _T]:
    """Return the first place at which an object can be made, with what ``make`` says of it.

    ``__init__`` comes first; ``configure_model`` and ``setup`` follow where the class has them.

    Raises:
        CannotEdit: there is none; says what is wrong with the first.
    """
    refused: CannotEdit | None = None
    for name in ("__init__", *_LATER):
        method = owner.methods.get(name)
        if method is None and name != "__init__":
            continue
        try:
            _require_run(owner, name, method)
            place = Place(owner, method)
            return place, make(place)
        except CannotEdit as error:
            # A later method that sets what is wanted says more than that __init__ does not.
            is_telling = name in _LATER and "under a condition" in str(error)
            refused = error if refused is None or is_telling else refused
    assert refused is not None
    raise refused


def _require_run(owner: ClassInfo, name: str, method: FunctionNode | None) -> None:
    """Raise where the end of a method may not be reached."""
    if method is None:
        return
    for node in subtree(method):
        if isinstance(node, ast.Return) and node is not method.body[-1]:
            raise CannotEdit(
                f"{name} may return at line {node.lineno}, before an object at its end is created"
            )
    last = method.body[-1]
    if isinstance(last, ast.Return) and last.value is not None:
        raise CannotEdit(f"{name} returns a value at line {last.lineno}")
    if name == "__init__":
        if not _calls(method, "__init__"):
            raise CannotEdit(f"__init__ at line {method.lineno} calls no super().__init__()")
        return
    for below in owner.subclasses:
        other = below.methods.get(name)
        if other is not None and not _calls(other, name):
            raise CannotEdit(f"{below.node.name}.{name} does not call that of {owner.node.name}")


def _calls(method: FunctionNode, name: str) -> bool:
    return any(isinstance(node, ast.Attribute) and node.attr == name for node in subtree(method))


@dataclass(frozen=True)
class Subject:
    """What objects are created for: a log call of a class.

    Args:
        owner: the class; ``module``: the file of the log call; ``line``: its line.
        key: the expression of its key, where it is written out.
    """

    owner: ClassInfo
    module: Module
    key: ast.expr | None
    line: int


def write_objects(
    editor: Editor,
    subject: Subject,
    contexts: Sequence[LogContext],
    made: str,
    place: Place,
    many: int,
) -> str:
    """Create the object, or one for each key or dataloader; return what names it in the step.

    Args:
        contexts: the ways that lead to the log call.
        made: the text of the constructor's call.
        many: how many dataloaders want an object each; 0 when one serves all.

    Raises:
        CannotEdit: the keys are not known, or torch.nn.ModuleDict refuses one.
    """
    owner = subject.owner
    module = owner.module
    keys = list(dict.fromkeys(context.key for context in contexts if context.key is not None))
    stages = list(dict.fromkeys(context.stage for context in contexts))
    if many:
        key = keys[0].replace("*", "") if keys else ""
        name = attribute_names.attribute_for(key, stages[0], owner)
        container = editor.add_import(module, "torch.nn", "ModuleList")
        place.write(editor, assignment(name, f"{container}([{made} for _ in range({many})])"))
        return f"self.{name}[dataloader_idx]"
    if len(keys) == 1:
        stage = stages[0] if len(stages) == 1 else ""
        name = attribute_names.attribute_for(keys[0], stage, owner)
        place.write(editor, assignment(name, made))
        return f"self.{name}"
    if subject.key is None:
        raise CannotEdit(f"the keys at line {subject.line} are not written out")
    refused = [key for key in keys if not attribute_names.is_module_dict_key(key)]
    if refused:
        raise CannotEdit(
            f'torch.nn.ModuleDict takes no key "{refused[0]}"; create one object for each key by '
            "hand"
        )
    common = {attribute_names.without_stage(key) for key in keys}
    base = common.pop() if len(common) == 1 else ""
    name = attribute_names.attribute_for(base or "metrics_by_key", "", owner)
    container = editor.add_import(module, "torch.nn", "ModuleDict")
    listed = ", ".join(f'"{key}"' for key in keys)
    inner = f"{{key: {made} for key in ({listed})}}"
    place.write(editor, assignment(name, f"{container}({inner})"))
    key_text = " ".join(subject.module.source.segment(subject.key).split())
    return f"self.{name}[{key_text}]"


def assignment(name: str, made: str) -> list[str]:
    """Return ``self.name = made``, split behind the bracket where it is long."""
    line = f"self.{name} = {made}"
    if len(line) <= _WIDTH - 8:
        return [line]
    head, _, rest = made.partition("(")
    inner = [f"    {rest[:-1]}"]
    value, split, keys = rest[1:-2].partition(" for key in ")
    if len(inner[0]) > _WIDTH - 8 and split and rest.startswith("{"):
        each = [f"        {value}"]
        if len(each[0]) > _WIDTH - 8 and value.endswith(")"):
            opening, _, inside = value.partition("(")
            each = [f"        {opening}(", f"            {inside[:-1]}", "        )"]
        inner = ["    {", *each, f"       {split}{keys}", "    }"]
    elif len(inner[0]) > _WIDTH - 8:
        inner = [f"    {argument}," for argument in _arguments(made, head)] or inner
    return [f"self.{name} = {head}(", *inner, ")"]


def _arguments(made: str, head: str) -> list[str]:
    """Return the arguments of a call as they are written; none where it is no call of that name."""
    call = ast.parse(made, mode="eval").body
    if not isinstance(call, ast.Call) or ast.get_source_segment(made, call.func) != head:
        return []
    parts = [ast.get_source_segment(made, node) for node in (*call.args, *call.keywords)]
    return [part for part in parts if part]
