"""What a callback gathers in a list and averages is logged by the hook behind each batch."""

from __future__ import annotations

import ast
import re

from lintmetrics.codemod import Blocked, Codemod, Fix, Relation
from lintmetrics.config import Settings
from lintmetrics.edits import CannotEdit, FunctionNode, is_docstring
from lintmetrics.model import batches, hooks, loaders
from lintmetrics.model.arithmetic import SCALARS
from lintmetrics.model.epoch_hooks import STAGE_OF_HOOK, extra_parameters, loads
from lintmetrics.model.epoch_reductions import Reading
from lintmetrics.model.flow import LightningClass
from lintmetrics.model.hook_effects import BatchMean
from lintmetrics.model.hook_removal import HookRemoval
from lintmetrics.model.step_outputs import assignments, dataloader_parameter
from lintmetrics.model.values import Form, numbers
from lintmetrics.project import ClassInfo
from lintmetrics.rule import Finding
from lintmetrics.tree import subtree

_KEPT_OPTIONS = ("prog_bar", "logger", "sync_dist", "rank_zero_only")
_LEVELS = {"on_step": False, "on_epoch": True}


class BatchEndLogging(Codemod):
    """Batch values, logged by a callback behind each batch in place of the mean of a list."""

    codes = ("LM111",)
    priority = -10

    def plan(self, finding: Finding, settings: Settings) -> Fix | Blocked:
        """Plan the log call of one mean of a callback."""
        model, mean = finding.subject, finding.detail
        assert isinstance(model, LightningClass)
        assert isinstance(mean, BatchMean)
        cls = model.cls
        if not cls.is_kind("Callback") or cls.is_kind("LightningModule"):
            return Blocked("")
        if model.is_of_totals(mean.origin.node):
            return Blocked("")
        owner = mean.module.enclosing_class(mean.node)
        if owner is None or mean.function is None or mean.function.name not in STAGE_OF_HOOK:
            return Blocked(
                f"{cls.node.name} is a callback, whose mean is made for others; log each batch "
                "value in the hook behind the batch, where Lightning weighs it"
            )
        return _Move(owner, mean.function.name).fix(mean)


class _Move(HookRemoval):
    """The epoch-end hook of a callback, and the hook behind each batch that takes over."""

    def __init__(self, cls: ClassInfo, name: str) -> None:
        super().__init__(cls, name)
        self.filling = self.stage.batch_end

    def step_function(self, one_dataloader: bool = False) -> FunctionNode:
        """Return the hook behind each batch."""
        found = self.cls.methods.get(self.filling)
        if found is None or len(extra_parameters(found)) < 2:
            raise CannotEdit(
                f"{self.cls.node.name} is a callback without a {self.filling} of its own"
            )
        return found

    def fix(self, mean: BatchMean) -> Fix | Blocked:
        """Plan the log call in the one hook, and what goes with the mean in the other."""
        attribute, source = self.filled_source(mean)
        self._require_plain_batches(source.step)
        gone, call = self._logged(mean)
        receiver, arguments = self._arguments(call, source.step)
        value, is_known = self._value(mean, source.value)
        emptied = self.emptied(attribute, source, gone)
        if emptied is None:
            raise CannotEdit(
                f"self.{attribute} is used for more than its mean; log each batch value in "
                f"{self.filling}, where Lightning weighs it by the size of the batch"
            )
        rest = [s for s in self.hook.body if s not in (*gone, *emptied) and not is_docstring(s)]
        early = [n for s in rest for n in subtree(s) if isinstance(n, (ast.Return, ast.Raise))]
        if early:
            raise CannotEdit(
                f"{self.end.spelled} may end early at line {early[0].lineno}, before it logs"
            )
        self.hook_goes = not rest
        self.lines = [f"{receiver}.log({', '.join([arguments[0], value, *arguments[1:]])})"]
        self.carry_comments(gone, Reading(cleared=[s for s in emptied if s in self.hook.body]))
        self.drop_list(emptied, source)
        if self.hook_goes:
            self.remove_method(self.hook)
        else:
            for statement in gone:
                self.editor.remove(self.module, statement, gone)
        said = (
            f"{arguments[0]}: {self.filling} logs each batch value, which Lightning weighs by the "
            "size of the batch"
        )
        if is_known:
            return Fix(Relation.CORRECTS, said, self.editor.edits)
        shown = self.module.source.segment(source.value)
        said += f"; assumes `{shown}` is a mean over the samples of the batch"
        return Fix(Relation.ASSUMES, said, self.editor.edits)

    def _require_plain_batches(self, batch_end: FunctionNode) -> None:
        """Raise where a module shows that Lightning would weigh or name the values otherwise."""
        if any(
            isinstance(node, ast.Name) and node.id.startswith("dataloader_i")
            for node in subtree(batch_end)
        ):
            raise CannotEdit(
                f"{self.filling} tells dataloaders apart, and a log call in it adds their index "
                "to the key"
            )
        stage, project = hooks.stage_of(self.stage.step), self.module.project
        for module in project.mentioning(re.compile(rf"def {self.stage.step}\b")):
            for cls in module.classes:
                step = cls.methods.get(self.stage.step)
                if step is None or not cls.is_lightning:
                    continue
                where = f"{cls.node.name}.{self.stage.step} at {module.source.path}:{step.lineno}"
                if dataloader_parameter(step) or loaders.are_several(cls, stage):
                    raise CannotEdit(
                        f"{where} has several dataloaders, and a log call behind the batch adds "
                        "their index to the key"
                    )
                size = batches.of(cls, step, (stage,))
                if size.inference in ("wrong", "fails"):
                    raise CannotEdit(
                        f"Lightning misreads the size of the batches of {where}; tell the log "
                        "call the batch_size by hand"
                    )

    def _logged(self, mean: BatchMean) -> tuple[list[ast.stmt], ast.Call]:
        """Return the statements that make and log a mean, and nothing else, with the log call."""
        node = mean.origin.node
        statement = self.module.statement(node)
        gone = [statement]
        if isinstance(statement, ast.Assign) and statement.value is node:
            (target, *others) = statement.targets
            if isinstance(target, ast.Name) and not others:
                reads = loads(self.hook, target.id)
                if len(reads) == 1 and len(assignments(self.hook, target.id)) == 1:
                    node, statement = reads[0], self.module.statement(reads[0])
                    gone.append(statement)
        call = statement.value if isinstance(statement, ast.Expr) else None
        if (
            not isinstance(call, ast.Call)
            or not isinstance(call.func, ast.Attribute)
            or call.func.attr != "log"
            or node not in (*call.args[1:2], *(k.value for k in call.keywords if k.arg == "value"))
            or any(s not in self.hook.body for s in gone)
        ):
            raise CannotEdit(
                f"the mean at line {mean.node.lineno} is not only logged; log each batch value in "
                f"{self.filling}, where Lightning weighs it by the size of the batch"
            )
        return gone, call

    def _arguments(self, call: ast.Call, batch_end: FunctionNode) -> tuple[str, list[str]]:
        """Return who logs, and the arguments of the new call but for its value."""
        assert isinstance(call.func, ast.Attribute)
        names = [argument.arg for argument in extra_parameters(self.hook)]
        owner = ast.unparse(call.func.value)
        if owner == "self":
            receiver = "self"
        elif len(names) > 1 and owner == names[1]:
            receiver = extra_parameters(batch_end)[1].arg
        else:
            raise CannotEdit(f"who logs at line {call.lineno} cannot be told")
        named = {k.arg: k.value for k in call.keywords}
        key = call.args[0] if call.args else named.pop("name", None)
        named.pop("value", None)
        if not (isinstance(key, ast.Constant) and isinstance(key.value, str)) or len(call.args) > 2:
            raise CannotEdit(f"the key at line {call.lineno} is made in the hook itself")
        found = [self.module.source.segment(key), "on_step=False", "on_epoch=True"]
        for keyword in call.keywords:
            if keyword.arg in ("name", "value"):
                continue
            if keyword.arg in _LEVELS:
                value = keyword.value
                if isinstance(value, ast.Constant) and value.value is _LEVELS[keyword.arg]:
                    continue
            elif keyword.arg in _KEPT_OPTIONS and isinstance(keyword.value, ast.Constant):
                found.append(self.module.source.segment(keyword))
                continue
            raise CannotEdit(
                f"{keyword.arg or '**'} of the log call at line {call.lineno} may mean something "
                "else behind a batch"
            )
        return receiver, found

    def _value(self, mean: BatchMean, value: ast.expr) -> tuple[str, bool]:
        """Return the value of one batch, as one number, and whether it is known to be a mean."""
        text = self.module.source.segment(value)
        forms = {
            number.form
            for append in self.model.appends
            if append.node in subtree(self.module.statement(value))
            for number in numbers(append.value)
        }
        if forms & {Form.HITS, Form.COUNT, Form.FLAGS, Form.SUM}:
            raise CannotEdit(f"`{text}` is a sum or a count, and self.log would weigh it")
        is_known = bool(forms) and forms <= {Form.MEAN, Form.METRIC, Form.RATIO}
        ends = isinstance(value, ast.Call) and (
            (isinstance(value.func, ast.Attribute) and value.func.attr == "item")
            or ast.unparse(value.func) == "float"
        )
        if ends or (bool(forms) and forms <= SCALARS):
            return text, is_known
        if "stack(" in self.module.source.segment(mean.origin.node) and isinstance(
            value, (ast.Name, ast.Attribute, ast.Subscript, ast.Call)
        ):
            return f"{text}.mean()", is_known  # Tensors of one shape: the mean of their means.
        raise CannotEdit(
            f"whether `{text}` is one number cannot be told; log the number of each batch in "
            f"{self.filling}, where Lightning weighs it by the size of the batch"
        )
