"""Which hooks can be moved at all: what keeps one where it is, and what a person must decide."""

from __future__ import annotations

import ast

from lintmetrics.edits import CannotEdit
from lintmetrics.model import step_outputs
from lintmetrics.model.epoch_hooks import (
    TRAINING,
    EpochEnd,
    company,
    extra_parameters,
    hiding,
    inherited,
    is_generator,
    returns,
)
from lintmetrics.model.hook_groups import HookGroup
from lintmetrics.model.kept_outputs import appends
from lintmetrics.tree import subtree


def require_movable(group: HookGroup, end: EpochEnd) -> None:
    """Stop at a hook that cannot be moved with its group.

    Raises:
        CannotEdit: says which hook, where it stands and what a person must decide.
    """
    function, where = end.function, f"{end.spelled} at {end.module.source.path}:{end.line}"
    met = hiding(end)
    if met is not None:
        own, below = met
        raise CannotEdit(
            f"{own.spelled} at {own.module.source.path}:{own.line} runs besides {end.spelled} "
            f"in {below.node.name}, and one would hide the other; let one call super()"
        )
    arguments = function.args
    if not (arguments.posonlyargs or arguments.args):
        raise CannotEdit(f"{where} has no self")
    for decorator in function.decorator_list:
        name = ast.unparse(decorator).split("(")[0].split(".")[-1]
        if name in ("staticmethod", "classmethod", "property", "overload"):
            raise CannotEdit(f"{where} is decorated with @{name}")
    if is_generator(function) or isinstance(function, ast.AsyncFunctionDef):
        raise CannotEdit(f"{where} is a generator or a coroutine")
    same = [
        node
        for node in subtree(end.cls.node)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and node.name == function.name
        and end.module.enclosing_class(node) is end.cls
    ]
    if end.alias is None and len(same) > 1:
        raise CannotEdit(f"{where} is defined {len(same)} times in its class")
    if group.uses[end] and end.name == end.stage.hook:
        _require_outputs(end)
    if end.cls.is_kind("LightningModule"):
        for reference, reached in group.calls.items():
            if (
                reference.function is function
                and reference.receiver == "super"
                and inherited(end.cls, reference.name) is None
            ):
                raise CannotEdit(
                    f"super() at {end.module.source.path}:{reference.line} reaches "
                    f"{reached[0].spelled} in some subclasses and Lightning in others; give "
                    "those subclasses a hook of their own first"
                )
    if group.uses[end] and end.stage is TRAINING:
        for cls in (*end.cls.mro(), *end.cls.subclasses):
            step = cls.methods.get(end.stage.step)
            for parameter in extra_parameters(step) if step is not None else ():
                if parameter.arg in ("optimizer_idx", "hiddens"):
                    raise CannotEdit(
                        f"training_step of {cls.node.name} takes `{parameter.arg}` at "
                        f"{cls.module.source.path}:{parameter.lineno}, which Lightning 2 "
                        "never passes; several optimizers nested the outputs, so move it to "
                        "manual optimization first"
                    )


def _require_outputs(end: EpochEnd) -> None:
    """Stop at a hook that waits for outputs where no step of the class returns any."""
    related = company(end.cls)
    steps = [found for cls in related if (found := cls.own(end.stage.step)) is not None]
    if not steps or any(
        node.value is not None and not step_outputs.is_none(node.value)
        for found in steps
        for node in returns(found.node)
    ):
        return
    kept = [a.attribute for cls in related for a in appends(cls) if a.stage is end.stage]
    instead = f"self.{kept[0]}, which it fills" if len(set(kept)) == 1 else "a list it fills"
    raise CannotEdit(
        f"{end.stage.step} at {steps[0].module.source.path}:{steps[0].node.lineno} returns "
        f"nothing that could be collected; let {end.name} read {instead}, and empty it there"
    )
