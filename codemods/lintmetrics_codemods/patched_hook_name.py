"""Today's name for a hook that is set from outside, where nothing reads its outputs."""

from __future__ import annotations

import ast
import re

from lintmetrics.codemod import Blocked, Codemod, Fix, Relation
from lintmetrics.config import Settings
from lintmetrics.edits import CannotEdit, Editor, FunctionNode
from lintmetrics.model.epoch_hooks import is_generator, loads, rebinds
from lintmetrics.model.patched_hooks import Patch, patched_class, patches
from lintmetrics.project import ClassInfo
from lintmetrics.rule import Finding
from lintmetrics.tree import subtree


class PatchedHookName(Codemod):
    """``on_*_epoch_end`` set from outside, to a function that takes no outputs."""

    codes = ("LM209",)

    def plan(self, finding: Finding, settings: Settings) -> Fix | Blocked:
        """Plan the name of the hook and the parameter of the function in one go."""
        patch = finding.subject
        assert isinstance(patch, Patch)
        function = patch.function
        if function is None:
            raise CannotEdit(
                f"what {patch.stage.removed} is set to cannot be read; make it a method of the "
                "class, with the list of outputs that its steps fill"
            )
        cls = patched_class(patch)
        self._require_ours(patch, function)
        _require_free(patch, cls)
        editor = Editor()
        if isinstance(patch.node, ast.Attribute):
            editor.rename_attribute(patch.module, patch.node, patch.stage.hook)
        else:
            assert isinstance(patch.node, ast.Call)
            editor.replace(patch.module, patch.node.args[1], f'"{patch.stage.hook}"')
        editor.keep_first_parameter(patch.module, function)
        return Fix(
            Relation.PRESERVES,
            f"{patch.stage.removed} becomes {patch.stage.hook}; the outputs of {function.name} "
            "were not used",
            editor.edits,
        )

    @staticmethod
    def _require_ours(patch: Patch, function: FunctionNode) -> None:
        """Raise where the function needs its outputs, or serves something else as well."""
        name, stage = function.name, patch.stage
        parameters = [*function.args.posonlyargs, *function.args.args]
        plain = not (function.args.vararg or function.args.kwarg or function.args.kwonlyargs)
        if len(parameters) != 2 or not plain or is_generator(function) or function.decorator_list:
            raise CannotEdit(f"{name} at line {function.lineno} is no plain hook(self, outputs)")
        outputs = parameters[1].arg
        if loads(function, outputs) or rebinds(function, outputs):
            raise CannotEdit(
                f"{name} at line {function.lineno} reads `{outputs}`; make it a method "
                f"{stage.removed} of the class, and its outputs can be collected there"
            )
        uses = [
            node
            for node in subtree(patch.module.tree)
            if isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load)
        ]
        elsewhere = [
            module
            for module in patch.module.project.mentioning(re.compile(rf"\b{re.escape(name)}\b"))
            if module is not patch.module
        ]
        if uses != [patch.named] or elsewhere:
            raise CannotEdit(f"{name} at line {function.lineno} is used elsewhere as well")


def _require_free(patch: Patch, cls: ClassInfo | None) -> None:
    """Raise where today's hook is given already, or the old name is spoken of elsewhere."""
    stage = patch.stage
    hidden = re.compile(rf"\b{stage.hook}\b")
    if cls is None:
        if hidden.search(patch.module.source.text):
            raise CannotEdit(f"whether the module has a {stage.hook} already cannot be told")
    elif any(stage.hook in found.namespace for found in (*cls.mro(), *cls.subclasses)):
        raise CannotEdit(f"{cls.node.name} has a {stage.hook} as well; let that do both")
    elif any(stage.removed in found.namespace for found in (*cls.mro(), *cls.subclasses)):
        raise CannotEdit(
            f"{cls.node.name} has a {stage.removed} of its own, which this replaces; keep one"
        )
    spoken = re.compile(rf"\b{stage.removed}\b|\b{stage.hook}\b")
    for module in patch.module.project.mentioning(spoken):
        for other in patches(module):
            if other != patch and other.stage is stage:
                raise CannotEdit(
                    f"{other.spelled} is set at {module.source.path}:{other.node.lineno} as well"
                )
