"""The definitions of one hook that override each other, and how they are renamed together."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass

from lintmetrics.edits import CannotEdit, Editor, FunctionNode
from lintmetrics.model.epoch_hooks import (
    Reference,
    calls_super,
    company,
    is_generator,
    loads,
    rebinds,
    returns,
)
from lintmetrics.model.own_hooks import calls_by_hand, given_first, may_reach, mentions
from lintmetrics.project import ClassInfo, Module, Project
from lintmetrics.tree import subtree

_LATER = re.compile(r"^[ \t]*(?:from|import)[ \t]+(?:torchmetrics|lightning)\b", re.M)


@dataclass(frozen=True)
class HookFamily:
    """The classes that define a hook, as far as they stand above or below each other.

    Args:
        name: the hook; ``members``: the classes, sorted by file and line.
        passes: the calls of ``super()`` in them that reach another member.
        last: the calls of ``super()`` in them that reach Lightning.
    """

    name: str
    members: tuple[ClassInfo, ...]
    passes: tuple[Reference, ...]
    last: tuple[Reference, ...]

    @classmethod
    def of(cls, start: ClassInfo, name: str) -> HookFamily:
        """Return the family of a class.

        Raises:
            CannotEdit: one of them gives the hook in a way that cannot be renamed.
        """
        found: dict[ClassInfo, None] = {}
        queue = [start]
        while queue:
            member = queue.pop()
            if member in found:
                continue
            found[member] = None
            for relative in company(member):
                if name in relative.methods:
                    queue.append(relative)
                elif name in relative.namespace:
                    raise CannotEdit(f"{relative.node.name}.{name} is no method; give it a def")
        members = sorted(found, key=lambda c: (c.module.path, c.node.lineno))
        for member in members:
            _require_plain(member, name)
        passes: list[Reference] = []
        last: list[Reference] = []
        for reference in mentions(start.module.project, name).references:
            if reference.receiver == "super" and reference.cls in found:
                order = [relative for relative in reference.cls.mro()[1:] if relative in found]
                (passes if order else last).append(reference)
                if reference.call is None:
                    raise CannotEdit(f"super().{name} is handed on at line {reference.line}")
        return cls(name, tuple(members), tuple(passes), tuple(last))

    @property
    def relatives(self) -> list[ClassInfo]:
        """Every class that stands above, below or beside a member."""
        return list(dict.fromkeys(one for member in self.members for one in company(member)))

    @property
    def top(self) -> ClassInfo:
        """The member that overrides no other.

        Raises:
            CannotEdit: there are several.
        """
        tops = [m for m in self.members if not set(m.mro()[1:]).intersection(self.members)]
        if len(tops) != 1:
            names = " and ".join(top.node.name for top in tops)
            raise CannotEdit(f"{names} both have {self.name}, and meet in one class")
        return tops[0]

    def rename(self, editor: Editor, name: str) -> None:
        """Rename all definitions, and the calls from one to the next.

        Raises:
            CannotEdit: other code calls one of them by its name.
        """
        for member in self.members:
            by_hand = calls_by_hand(member, self.name)
            if by_hand is not None:
                raise CannotEdit(
                    f"{member.node.name}.{self.name} is called at "
                    f"{by_hand.module.source.path}:{by_hand.line}; call what it becomes there"
                )
        for member in self.members:
            editor.rename_function(member.module, member.methods[self.name], name)
        for reference in self.passes:
            editor.rename_attribute(reference.module, reference.node, name)

    def drop_calls_of_lightning(self, editor: Editor) -> None:
        """Remove the calls of what Lightning no longer has."""
        for reference in self.last:
            module = reference.module
            statement = module.statement(reference.node)
            if not isinstance(statement, ast.Expr) or statement.value is not reference.call:
                raise CannotEdit(
                    f"what super().{self.name} returns is used at line {reference.line}; "
                    "Lightning has no such hook any more"
                )
            editor.remove(module, statement)


def _require_plain(cls: ClassInfo, name: str) -> None:
    function = cls.methods[name]
    where = f"{cls.node.name}.{name} at {cls.module.source.path}:{function.lineno}"
    same = [
        node
        for node in subtree(cls.node)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and node.name == name
        and cls.module.enclosing_class(node) is cls
    ]
    if len(same) > 1:
        raise CannotEdit(f"{where} is defined {len(same)} times")
    if is_generator(function) or isinstance(function, ast.AsyncFunctionDef):
        raise CannotEdit(f"{where} is a generator or a coroutine")
    for decorator in function.decorator_list:
        last = ast.unparse(decorator).split("(")[0].rpartition(".")[2]
        if last in ("staticmethod", "classmethod", "property", "overload"):
            raise CannotEdit(f"{where} is decorated with @{last}")


def runs_behind_later_releases(project: Project) -> bool:
    """Tell whether a project imports what came with 1.3, so that its code ran on that or later."""
    return any(_LATER.search(text) for _, text in project.texts())


# What is written ---------------------------------------------------------------------------------


def add_parameters(
    editor: Editor, module: Module, function: FunctionNode, names: Sequence[str]
) -> None:
    """Add parameters behind the positional ones of a function.

    Args:
        names: as they are written, such as ``"stage=None"``.

    Raises:
        CannotEdit: the function has something by such a name, or a default before.
    """
    arguments = function.args
    if arguments.vararg is not None or not names:
        return
    positional = [*arguments.posonlyargs, *arguments.args]
    bare = [name.partition("=")[0] for name in names]
    taken = {node.id for node in subtree(function) if isinstance(node, ast.Name)}
    taken |= {node.arg for node in subtree(function) if isinstance(node, ast.arg)}
    for name in bare:
        if name in taken:
            raise CannotEdit(f"{function.name} at line {function.lineno} has a `{name}` already")
    if arguments.defaults and any("=" not in name for name in names):
        raise CannotEdit(f"{function.name} at line {function.lineno} has a default of its own")
    source = module.source
    last = positional[-1]
    end = source.end(last)
    if arguments.defaults:
        end = source.end(arguments.defaults[-1])
        while source.code[end : end + 1] == ")" and source.code.count(
            "(", source.end(last), end
        ) > source.code.count(")", source.end(last), end):
            end += 1
    editor.replace_range(module, end, end, "".join(f", {name}" for name in names))


def signature_of(module: Module, function: FunctionNode) -> tuple[str, list[str]]:
    """Return the parameters of a hook as they are written, and what hands them on, without self."""
    arguments = function.args
    source = module.source
    written: list[str] = []
    handed: list[str] = []
    if arguments.kwonlyargs or arguments.kwarg or arguments.defaults:
        raise CannotEdit(
            f"{function.name} at line {function.lineno} takes more than Lightning gave"
        )
    for argument in [*arguments.posonlyargs, *arguments.args]:
        written.append(source.segment(argument))
        handed.append(argument.arg)
    if arguments.vararg is not None:
        written.append(f"*{source.segment(arguments.vararg)}")
        handed.append(f"*{arguments.vararg.arg}")
    if any("\n" in part or "#" in part for part in written):
        raise CannotEdit(f"the parameters of {function.name} at line {function.lineno} are split")
    return ", ".join(written), handed[1:]


def call_from(
    editor: Editor, cls: ClassInfo, family: HookFamily, hooks: Sequence[str], helper: str
) -> None:
    """Let hooks of today call what a hook of old became; make those that a class lacks.

    Args:
        cls: the class that gets the calls; ``family``: the old hook; ``hooks``: today's names.
        helper: the name that the old hook goes by.
    """
    module, function = cls.module, cls.methods[family.name]
    parameters, handed = signature_of(module, function)
    first = family.name.endswith("_start")
    for hook in hooks:
        for below in cls.subclasses:
            if hook in below.namespace and not (
                hook in below.methods and calls_super(below.methods[hook], hook)
            ):
                raise CannotEdit(
                    f"{below.node.name}.{hook} does not call that of {cls.node.name}; let it call "
                    "super() first"
                )
    for hook in reversed(hooks):
        own = cls.methods.get(hook)
        if own is not None:
            _call_in(editor, module, own, helper, len(handed), first)
            continue
        if hook in cls.namespace:
            raise CannotEdit(f"{cls.node.name}.{hook} is no method")
        lines = [f"    self.{helper}({', '.join(handed)})"]
        if any(hook in above.namespace for above in cls.mro()[1:]):
            base = f"    super().{hook}({', '.join(handed)})"
            lines = [*lines, base] if first else [base, *lines]
        returned = module.source.segment(function.returns) if function.returns is not None else ""
        head = f"def {hook}({parameters}){f' -> {returned}' if returned else ''}:"
        rank = len(hooks) - hooks.index(hook)
        editor.add_method(module, cls.node, [head, *lines], after=function, rank=-rank)


def _call_in(
    editor: Editor, module: Module, function: FunctionNode, helper: str, count: int, first: bool
) -> None:
    arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args]
    if len(positional) != count + 1 or arguments.vararg or is_generator(function):
        raise CannotEdit(
            f"{function.name} at line {function.lineno} takes other arguments than Lightning gives"
        )
    call = f"{positional[0].arg}.{helper}({', '.join(a.arg for a in positional[1:])})"
    if first:
        editor.insert_at_body_start(module, function, [call])
        return
    for node in returns(function):
        if node is not function.body[-1] or node.value is not None:
            raise CannotEdit(
                f"{function.name} may return at line {node.lineno}, before what stands at its end"
            )
    editor.append_to_body(module, function, [call])


def written_call(owner: str, parameters: Sequence[str], function: FunctionNode) -> str:
    """Return the arguments with which a hook hands all that it is given to the one above."""
    arguments = function.args
    own = [a.arg for a in [*arguments.posonlyargs, *arguments.args]][1:]
    if arguments.vararg is not None:
        return ", ".join([*own, f"*{arguments.vararg.arg}"])
    count = len(given_first(owner, function.name))
    return ", ".join([*own[:count], *parameters])


def drop_parameters(editor: Editor, family: HookFamily, gone: dict[ClassInfo, list[str]]) -> None:
    """Remove parameters that nothing reads, and the arguments that hand them on.

    Args:
        gone: the names that go, for each class of the family.

    Raises:
        CannotEdit: something reads one.
    """
    places: dict[ClassInfo, set[int]] = {}
    for member, names in gone.items():
        function = member.methods[family.name]
        ordered = [*function.args.posonlyargs, *function.args.args]
        places[member] = {i for i, a in enumerate(ordered) if a.arg in names}
        handed = _handed_on(family, member, names)
        for name in names:
            for load in loads(function, name):
                if load not in handed:
                    raise CannotEdit(
                        f"{member.node.name}.{family.name} reads `{name}` at "
                        f"{member.module.source.path}:{load.lineno}"
                    )
            if rebinds(function, name):
                raise CannotEdit(f"{member.node.name}.{family.name} sets `{name}`")
            editor.drop_parameter(member.module, function, name)
    positions = {place for found in places.values() for place in found}
    named = {name for names in gone.values() for name in names}
    for reference in mentions(family.members[0].module.project, family.name).references:
        if reference.call is None:
            continue
        if reference.receiver == "other":
            if _gives(reference, positions, named) and may_reach(reference, family.members[0]):
                raise CannotEdit(
                    f"{family.name} is called with it at {reference.module.source.path}:"
                    f"{reference.line}"
                )
            continue
        ours = reference.cls if reference.receiver != "class" else reference.owner
        if ours in family.relatives:
            _drop_arguments(editor, reference, positions, named)


def _gives(reference: Reference, positions: set[int], names: set[str]) -> bool:
    """Tell whether a call on an object gives something to a parameter, by place or by name."""
    call = reference.call
    return call is not None and (
        any(isinstance(argument, ast.Starred) for argument in call.args)
        or len(call.args) >= min(positions, default=0)
        or any(keyword.arg in names for keyword in call.keywords)
    )


def _handed_on(family: HookFamily, member: ClassInfo, names: list[str]) -> set[ast.Name]:
    """Return the reads of parameters that a hook only hands to the one above."""
    found: set[ast.Name] = set()
    for reference in (*family.passes, *family.last):
        if reference.cls is not member or reference.call is None:
            continue
        if reference.function is not member.methods[family.name]:
            continue
        call = reference.call
        for value in (*call.args, *(keyword.value for keyword in call.keywords)):
            if isinstance(value, ast.Name) and value.id in names:
                found.add(value)
    return found


def _drop_arguments(
    editor: Editor, reference: Reference, positions: set[int], names: set[str]
) -> None:
    """Remove the arguments of a call that stand where parameters went."""
    module, call = reference.module, reference.call
    assert call is not None
    shift = 0 if reference.receiver == "class" else 1
    going: list[ast.expr | ast.keyword] = []
    for index, argument in enumerate(call.args):
        if isinstance(argument, ast.Starred):
            if any(place >= index + shift for place in positions):
                raise CannotEdit(f"what line {call.lineno} hands on cannot be counted")
            break
        if index + shift in positions:
            going.append(argument)
    going += [keyword for keyword in call.keywords if keyword.arg in names]
    drop_arguments(editor, module, call, going)


def drop_arguments(
    editor: Editor, module: Module, call: ast.Call, going: Sequence[ast.expr | ast.keyword]
) -> None:
    """Remove arguments of a call.

    Raises:
        CannotEdit: a comment stands before one.
    """
    source = module.source
    every: list[ast.expr | ast.keyword] = [*call.args, *call.keywords]
    for node in going:
        index = every.index(node)
        start, end = source.start(node), source.end(node)
        if index:
            start = source.end(every[index - 1])
        elif len(every) > 1:
            end = source.start(every[1])
        if "#" in source.text[start:end]:
            raise CannotEdit(f"a comment stands between the arguments at line {call.lineno}")
        editor.replace_range(module, start, end, "")
