"""Where a class logs what its steps gathered: the epoch-end hook of a step, made if absent."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lintmetrics.edits import CannotEdit, Editor, FunctionNode
from lintmetrics.model.epoch_hooks import extra_parameters, inherited, own_epoch_end
from lintmetrics.tree import own_nodes, subtree

if TYPE_CHECKING:
    from lintmetrics.project import ClassInfo

_STAGES = {
    "training_step": ("on_train_epoch_end", "training_epoch_end"),
    "validation_step": ("on_validation_epoch_end", "validation_epoch_end"),
    "test_step": ("on_test_epoch_end", "test_epoch_end"),
}


@dataclass(frozen=True)
class EpochEndPlace:
    """The end of the epoch-end hook that belongs to a step.

    Args:
        owner: the class; ``name``: the hook; ``method``: its function, ``None`` when absent.
        calls_base: whether a hook that is made has to call the one of a base class.
    """

    owner: ClassInfo
    name: str
    method: FunctionNode | None
    calls_base: bool = False

    @property
    def step(self) -> str:
        """The step that it belongs to."""
        return next(step for step, names in _STAGES.items() if names[0] == self.name)

    @classmethod
    def of(cls, owner: ClassInfo, step: str) -> EpochEndPlace:
        """Return the place for a step.

        Raises:
            CannotEdit: the class has no such place; says why.
        """
        if step not in _STAGES:
            raise CannotEdit(f"{step} has no epoch end of its own to log in")
        name, removed = _STAGES[step]
        for spelled in (removed, "on_epoch_end"):
            old = own_epoch_end(owner, spelled) or inherited(owner, spelled)
            if old is not None and spelled == removed:
                raise CannotEdit(
                    f"{removed} at line {old.function.lineno} is the epoch end of {step}; migrate "
                    "it first"
                )
        method = owner.methods.get(name)
        if method is None and name in owner.namespace:
            raise CannotEdit(f"{name} of {owner.node.name} is an alias of another method")
        if method is not None:
            if extra_parameters(method):
                raise CannotEdit(
                    f"{name} at line {method.lineno} wants arguments that Lightning does not give"
                )
            for node in own_nodes(method):
                bare = node is method.body[-1] and getattr(node, "value", None) is None
                if isinstance(node, ast.Return) and not bare:
                    raise CannotEdit(
                        f"{name} may return at line {node.lineno}, before what stands at its end"
                    )
        for below in owner.subclasses:
            other = below.methods.get(name)
            if other is not None and not any(
                isinstance(node, ast.Attribute) and node.attr == name for node in subtree(other)
            ):
                raise CannotEdit(f"{below.node.name}.{name} does not call that of its base")
        return cls(owner, name, method, method is None and inherited(owner, name) is not None)

    def binds(self, name: str) -> bool:
        """Tell whether the hook has a local of that name."""
        if self.method is None:
            return False
        return name in self.owner.module.scope_of(self.method)

    def loops_with(self, name: str) -> bool:
        """Tell whether the hook has no local of that name but the variables of loops."""
        if self.method is None:
            return True
        bound = self.owner.module.scope_of(self.method).get(name)
        return bound is None or isinstance(bound, (ast.For, ast.AsyncFor))

    def resets(self, attributes: Sequence[str]) -> ast.stmt | None:
        """Return the first statement that resets one of the attributes."""
        for statement in self.method.body if self.method is not None else ():
            call = statement.value if isinstance(statement, ast.Expr) else None
            func = call.func if isinstance(call, ast.Call) else None
            if (
                isinstance(func, ast.Attribute)
                and func.attr == "reset"
                and self.owner.module.source.segment(func.value) in attributes
            ):
                return statement
        return None

    def write(
        self,
        editor: Editor,
        after: FunctionNode,
        lines: Sequence[str],
        resets: Sequence[str],
        before: ast.stmt | None = None,
    ) -> None:
        """Add statements.

        Args:
            after: the method behind which a new hook stands.
            lines: what to log; ``resets``: what to do last.
            before: the statement of the hook before which ``lines`` stand; its end when absent.
        """
        module = self.owner.module
        if self.method is not None:
            if before is not None:
                editor.insert_before(module, before, lines)
                if resets:
                    editor.append_to_body(module, self.method, resets)
            else:
                editor.append_to_body(module, self.method, [*lines, *resets])
            return
        body = [f"    {line}" for text in (*lines, *resets) for line in text.split("\n")]
        base = [f"    super().{self.name}()"] if self.calls_base else []
        anchor = self.owner.methods.get(after.name)
        place: ast.stmt = anchor if anchor is not None else self.owner.node.body[-1]
        editor.add_method(
            module,
            self.owner.node,
            [f"def {self.name}(self) -> None:" if _annotates(after) else f"def {self.name}(self):",
             *base, *body],
            after=place,
        )  # fmt: skip


def _annotates(function: FunctionNode) -> bool:
    """Tell whether an author writes down what methods return."""
    return function.returns is not None
