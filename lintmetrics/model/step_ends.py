"""The hooks that ran behind a step: ``training_step_end`` and its kin, which nobody calls now.

Lightning 1 handed them what the step returned and went on with what they returned; a hook that
returned nothing left the value as it was.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

from lintmetrics.edits import CannotEdit, Editor, default_of, is_docstring
from lintmetrics.model.epoch_hooks import (
    STAGES,
    TRAINING,
    Stage,
    extra_parameters,
    family,
    is_generator,
    loads,
    never_falls_off,
    rebinds,
    references,
    required_parameters,
    returns,
)
from lintmetrics.model.hook_methods import HookMethod
from lintmetrics.project import ClassInfo, FunctionInfo


@dataclass(frozen=True)
class StepEnd(HookMethod):
    """A step-end hook of one class."""

    stage: Stage

    @property
    def helper(self) -> str:
        """The name under which its body lives on."""
        return f"_{self.stage.step_end}"


def own_step_ends(cls: ClassInfo) -> list[StepEnd]:
    """Return the step-end hooks that a class itself defines."""
    return [
        StepEnd(cls, cls.methods[stage.step_end], stage)
        for stage in STAGES
        if stage.step_end in cls.methods
    ]


def called_in_step(end: StepEnd) -> bool:
    """Tell whether the step of the same class can call what was the hook."""
    cls, stage = end.cls, end.stage
    step = cls.methods.get(stage.step)
    if not isinstance(step, ast.FunctionDef) or is_generator(step):
        return False
    if any(stage.step in below.namespace for below in cls.subclasses):
        return False
    if any(
        isinstance(value, ast.Name) and value.id == stage.step for value in cls.assigned.values()
    ):
        return False
    relatives = set(family(cls))
    for reference in references(cls.module.project, stage.step):
        if reference.receiver == "other":
            if reference.module is cls.module or cls.node.name in reference.module.source.text:
                return False
        elif reference.cls in relatives or reference.owner in relatives:
            return False
    found = returns(step)
    return (
        bool(found) and all(node.value is not None for node in found) and never_falls_off(step.body)
    )


def write_step_end(editor: Editor, end: StepEnd) -> tuple[str, str]:
    """Plan what takes the place of a step-end hook.

    Returns:
        What is written, in words, and what it takes for granted (empty when nothing).

    Raises:
        CannotEdit: no rewrite is surely right.
    """
    cls, stage, function = end.cls, end.stage, end.function
    where = f"{end.spelled} at {end.module.source.path}:{function.lineno}"
    _require_plain(end, where)
    parameter = extra_parameters(function)[0].arg
    body = [s for s in function.body if not is_docstring(s)]
    if (
        len(body) <= 1
        and not function.decorator_list
        and all(
            isinstance(s, ast.Pass)
            or (isinstance(s, ast.Return) and s.value is None)
            or (
                isinstance(s, ast.Return)
                and isinstance(s.value, ast.Name)
                and s.value.id == parameter
            )
            for s in body
        )
        and len(cls.node.body) > 1
    ):
        editor.remove(end.module, function)
        return f"{stage.step_end} only handed its argument on, so it goes", ""
    for relative in family(cls):
        if end.helper in relative.namespace:
            raise CannotEdit(f"{relative.node.name} already has a {end.helper}")
    valued = [node for node in returns(function) if node.value is not None]
    if valued and not (len(valued) == len(returns(function)) and never_falls_off(function.body)):
        raise CannotEdit(f"{where} returns a value on some paths only")
    editor.rename_function(end.module, function, end.helper)
    if called_in_step(end):
        _call_in_step(editor, end, bool(valued))
        return f"{stage.step} calls the body of {stage.step_end}, which is now {end.helper}", ""
    if stage is not TRAINING:
        reader = _earlier_reader(end)
        if reader and _changes(cls, FunctionInfo(end.module, function, cls), 1):
            raise CannotEdit(
                f"{where} changes the outputs that {reader} reads, before {stage.batch_end} of a "
                f"module runs; call it at the end of each {stage.step}"
            )
        _call_at_batch_end(editor, end, bool(valued))
        message = f"{stage.batch_end} calls the body of {stage.step_end}, which is now {end.helper}"
        if not reader:
            return message, ""
        return message, f"{reader} reads the outputs before, and must not need what it does to them"
    _override_step(editor, end, bool(valued))
    return f"{stage.step} is overridden and calls the body of {stage.step_end}", ""


def _earlier_reader(end: StepEnd) -> str:
    """Say which callback reads the outputs before the module's own hook gets them.

    Lightning 2 runs the batch-end hooks of callbacks first; a step-end hook ran before them all.
    """
    stage = end.stage
    pattern = re.compile(rf"def\s+{stage.batch_end}\b")
    for module in end.module.project.mentioning(pattern):
        for cls in module.classes:
            function = cls.methods.get(stage.batch_end)
            if function is None or not cls.is_kind("Callback"):
                continue
            given = [*function.args.posonlyargs, *function.args.args]
            if len(given) > 3 and loads(function, given[3].arg):
                return (
                    f"{cls.node.name}.{stage.batch_end} at {module.source.path}:{function.lineno}"
                )
    return ""


# Methods that change the dict or the list that they belong to.
_CHANGING = frozenset(("update", "pop", "popitem", "setdefault", "clear", "append", "extend"))


def _changes(cls: ClassInfo, method: FunctionInfo, place: int, depth: int = 3) -> bool:
    """Tell whether a method surely changes the argument at a place, or answers with another."""
    function, module = method.node, method.module
    given = [*function.args.posonlyargs, *function.args.args]
    if place >= len(given):
        return False
    name = given[place].arg
    if depth == 3 and any(
        node.value is not None and not (isinstance(node.value, ast.Name) and node.value.id == name)
        for node in returns(function)
    ):
        return True
    for load in loads(function, name):
        above = module.parent(load)
        if isinstance(above, (ast.Subscript, ast.Attribute)) and above.value is load:
            if not isinstance(above.ctx, ast.Load):
                return True
            if isinstance(above, ast.Attribute) and above.attr in _CHANGING:
                return True
        if not isinstance(above, ast.Call) or load not in above.args or depth == 0:
            continue
        func = above.func
        if not (isinstance(func, ast.Attribute) and isinstance(func.value, ast.Name)):
            continue
        called = cls.lookup(func.attr) if func.value.id == "self" else None
        if called is None:
            continue
        static = any(
            isinstance(one, ast.Name) and one.id == "staticmethod"
            for one in called.node.decorator_list
        )
        if _changes(cls, called, above.args.index(load) + (not static), depth - 1):
            return True
    return False


def _require_plain(end: StepEnd, where: str) -> None:
    function, cls, stage = end.function, end.cls, end.stage
    if is_generator(function) or isinstance(function, ast.AsyncFunctionDef):
        raise CannotEdit(f"{where} is a generator or a coroutine")
    if not extra_parameters(function) or len(required_parameters(function)) > 1:
        raise CannotEdit(f"{where} does not take exactly the output of the step")
    if extra_parameters(function)[0] in (function.args.kwarg, *function.args.kwonlyargs):
        raise CannotEdit(f"{where} does not take the output of the step by position")
    others = [c for c in family(cls) if c is not cls and stage.step_end in c.namespace]
    if others:
        raise CannotEdit(
            f"{others[0].node.name} at {others[0].module.source.path}:{others[0].node.lineno} "
            f"defines {stage.step_end} too; move both by hand"
        )
    if any(
        isinstance(value, ast.Name) and value.id == stage.step_end
        for value in cls.assigned.values()
    ):
        raise CannotEdit(f"{where} has an alias in its class")
    relatives = set(family(cls))
    for reference in references(cls.module.project, stage.step_end):
        if reference.cls in relatives or reference.owner in relatives:
            raise CannotEdit(
                f"{stage.step_end} is named at {reference.module.source.path}:{reference.line} "
                "as well; move both by hand"
            )


def _call_in_step(editor: Editor, end: StepEnd, valued: bool) -> None:
    module, step = end.module, end.cls.methods[end.stage.step]
    source = module.source
    local = "output"
    if loads(step, local) or rebinds(step, local):
        local = "step_output"
    for node in returns(step):
        value = node.value
        assert value is not None
        start, stop = source.start(value), source.end(value)
        bare = isinstance(value, ast.Tuple) and source.start(value.elts[0]) == start
        left, right = ("((", "))") if bare else ("(", ")")
        if valued:
            editor.replace_range(module, start, start, f"self.{end.helper}{left}")
            editor.replace_range(module, stop, stop, right)
        elif isinstance(value, ast.Name):
            editor.insert_before(module, node, [f"self.{end.helper}({value.id})"])
        else:
            begin = source.start(node)
            editor.replace_range(module, begin, begin + len("return"), f"{local} =")
            editor.insert_after(module, node, [f"self.{end.helper}({local})", f"return {local}"])


def _call_at_batch_end(editor: Editor, end: StepEnd, valued: bool) -> None:
    cls, stage = end.cls, end.stage
    for relative in family(cls):
        if stage.batch_end in relative.namespace:
            raise CannotEdit(
                f"{relative.node.name} at {relative.module.source.path}:"
                f"{relative.node.lineno} has a {stage.batch_end} of its own; call "
                f"the body of {stage.step_end} there"
            )
    call = f"self.{end.helper}(outputs)"
    lines = [
        f"def {stage.batch_end}(self, outputs, batch, batch_idx, dataloader_idx=0):",
        f"    outputs = {call}" if valued else f"    {call}",
    ]
    editor.add_method(end.module, cls.node, lines, before=end.function)


def _override_step(editor: Editor, end: StepEnd, valued: bool) -> None:
    cls, stage = end.cls, end.stage
    above = next((f for c in cls.mro()[1:] if (f := c.own(stage.step)) is not None), None)
    others = [c for c in cls.subclasses if stage.step in c.namespace]
    if above is None or stage.step in cls.namespace or others or not valued:
        place = others[0] if others else cls
        raise CannotEdit(
            f"the {stage.step} of {place.node.name} at {place.module.source.path}:"
            f"{place.node.lineno} has to call the body of {stage.step_end} at each return; "
            "which call that is cannot be told"
        )
    arguments = above.node.args
    if arguments.vararg or arguments.kwarg or arguments.kwonlyargs:
        raise CannotEdit(f"the {stage.step} of {above.name} takes any arguments")
    names = extra_parameters(above.node)
    signature = ", ".join(
        argument.arg
        if (default := default_of(above.node, argument.arg)) is None
        else f"{argument.arg}={ast.unparse(default)}"
        for argument in names
    )
    given = ", ".join(argument.arg for argument in names)
    lines = [
        f"def {stage.step}(self, {signature}):",
        f"    return self.{end.helper}(super().{stage.step}({given}))",
    ]
    editor.add_method(end.module, cls.node, lines, before=end.function)
