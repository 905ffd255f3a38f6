"""The step behind an epoch-end hook: where its output is at hand, and how its parts are named."""

from __future__ import annotations

import ast
from collections.abc import Collection
from dataclasses import dataclass

from lintmetrics.edits import CannotEdit, Editor, FunctionNode, block_of
from lintmetrics.model import single_numbers
from lintmetrics.model.epoch_hooks import (
    STAGE_OF_HOOK,
    TRAINING,
    Stage,
    extra_parameters,
    family,
    is_generator,
    own_epoch_end,
    returns,
)
from lintmetrics.model.epoch_terms import Column, Path
from lintmetrics.model.filled_lists import aliases, collected_behind, fills
from lintmetrics.model.flow import LightningClass
from lintmetrics.model.hook_effects import BatchMean
from lintmetrics.model.step_outputs import (
    dataloader_parameter,
    is_mapping,
    is_tensor,
    may_be_none,
)
from lintmetrics.model.values import UNKNOWN, Map, Value, merge
from lintmetrics.project import ClassInfo, Module
from lintmetrics.tree import own_nodes, subtree

_TENSOR_ENDS = ("detach", "cpu", "numpy", "item", "tolist", "cuda", "clone", "data")
_CHEAP = ("float", "long", "int", "bool", "squeeze", "unsqueeze", "view", "reshape", "flatten")
_OFF_DEVICE = ("cpu", "numpy", "item", "tolist")


@dataclass(frozen=True)
class StepSource:
    """Where one step's output is at hand: a statement of the step, and the value given there."""

    step: FunctionNode
    statement: ast.stmt
    value: ast.expr


class StepSide:
    """The step that gives a hook its outputs, and lines to write into it.

    Args:
        cls: the class that has the hook.
        name: the hook.
    """

    def __init__(self, cls: ClassInfo, name: str) -> None:
        self.cls = cls
        self.module: Module = cls.module
        self.stage: Stage = STAGE_OF_HOOK[name]
        end = own_epoch_end(cls, name)
        if end is None or end.alias is not None:
            raise CannotEdit(f"{name} of {cls.node.name} is an alias of another method")
        self.end = end
        self.hook = end.function
        self.filling = self.stage.step
        self.editor = Editor()
        self.model = LightningClass.of(cls)
        self.spelled: dict[Path, str] = {}
        self.lines: list[str] = []
        self.made: set[str] = set()
        self.locals: dict[str, str] = {}
        self.hints: dict[Path, str] = {}
        self.hint = "output"
        self.list_goes = False

    def step_function(self, one_dataloader: bool = False) -> FunctionNode:
        step = self.cls.methods.get(self.stage.step)
        if not isinstance(step, ast.FunctionDef) or is_generator(step):
            raise CannotEdit(f"{self.cls.node.name} has no {self.stage.step} of its own")
        if dataloader_parameter(step) and not one_dataloader:
            raise CannotEdit(
                f"{self.stage.step} tells dataloaders apart, and self.log in it adds their index "
                "to the key"
            )
        names = [parameter.arg for parameter in extra_parameters(step)]
        if "optimizer_idx" in names or "hiddens" in names:
            raise CannotEdit(f"{self.stage.step} is called several times for each batch")
        return step

    def returned_source(self, one_dataloader: bool) -> StepSource:
        step = self.step_function(one_dataloader)
        found = [node for node in returns(step) if node.value is not None]
        if len(returns(step)) != 1 or not found or found[0] is not step.body[-1]:
            raise CannotEdit(f"{self.stage.step} does not end with its only return")
        value = found[0].value
        assert value is not None
        if isinstance(value, ast.Constant):
            raise CannotEdit(f"{self.stage.step} returns nothing")
        if may_be_none(self.cls, step, value):
            raise CannotEdit(f"{self.stage.step} may return None, which was left out")
        return StepSource(step, found[0], value)

    def source_of(self, mean: BatchMean) -> tuple[str, StepSource]:
        """Return the list that a mean is made of, and where the step gives it an output.

        The list is empty for a hook that Lightning 1 handed the outputs.
        """
        if self.end.name == self.stage.removed:
            return "", self._given_source(mean)
        behind = self._lists_of(mean.node, collected_behind(self.cls, self.stage))
        if len(behind) != 1:
            return self.filled_source(mean)
        attribute = behind.pop()
        for cls in family(self.cls):
            for method in cls.methods.values():
                if method.name != self.stage.batch_end and any(
                    fills(node, attribute, aliases(method, attribute)) for node in subtree(method)
                ):
                    raise CannotEdit(f"self.{attribute} is also filled in {method.name}")
        return attribute, self._given_source(mean)

    def _given_source(self, mean: BatchMean) -> StepSource:
        """Return the end of the step whose whole output comes to the hook."""
        # A list for each dataloader has no keys.
        is_keyed = any(
            isinstance(node, ast.Subscript)
            and isinstance(node.slice, ast.Constant)
            and isinstance(node.slice.value, str)
            for node in subtree(mean.origin.node)
        )
        return self.returned_source(is_keyed)

    def filled_source(self, mean: BatchMean) -> tuple[str, StepSource]:
        """Return the list that a mean is made of, and the statement that fills it."""
        step = self.step_function()
        for other in self.cls.subclasses:
            if step.name in other.namespace:
                owner = next(c for c in other.mro() if self.end.name in c.namespace)
                if owner is self.cls:
                    raise CannotEdit(
                        f"{other.node.name}.{step.name} feeds {self.end.spelled} as well; log the "
                        "batch value in both steps by hand"
                    )
        appends: dict[str, list[ast.Call]] = {}
        for append in self.model.appends:
            if append.hook == self.filling and append.node not in appends.get(append.attribute, []):
                appends.setdefault(append.attribute, []).append(append.node)
        read = self._lists_of(mean.node, appends)
        if len(read) != 1:
            raise CannotEdit(
                f"it cannot be told which list of {self.filling} the mean at line "
                f"{mean.node.lineno} is made of"
            )
        attribute = read.pop()
        calls = appends[attribute]
        statement = self.module.statement(calls[0])
        if len(calls) != 1 or not isinstance(statement, ast.Expr) or self._repeats(statement, step):
            raise CannotEdit(f"self.{attribute} is not filled by one statement of {step.name}")
        for append in self.model.appends:
            if append.attribute == attribute and append.node is not calls[0]:
                raise CannotEdit(
                    f"self.{attribute} is also filled at line {append.node.lineno}, by "
                    f"{append.hook}"
                )
        if not isinstance(calls[0].func, ast.Attribute) or not isinstance(
            calls[0].func.value, ast.Attribute
        ):
            raise CannotEdit(f"self.{attribute} is filled by parts")
        return attribute, StepSource(step, statement, calls[0].args[0])

    def _lists_of(self, node: ast.AST, filled: Collection[str]) -> set[str]:
        """Return the lists that an expression of the hook is made of, as far as it shows."""
        for part in (node, self.hook):
            found = {n.attr for n in subtree(part) if isinstance(n, ast.Attribute)} & set(filled)
            if found:
                return found
        return set()

    def _repeats(self, statement: ast.stmt, step: FunctionNode) -> bool:
        """Tell whether a statement may run more than once for a batch."""
        around = self.module.parent(statement)
        while isinstance(around, (ast.If, ast.With)):
            around = self.module.parent(around)
        return around is not step

    def output_value(self, source: StepSource) -> Value:
        """Return what is known of the step's output."""
        if isinstance(source.statement, ast.Return):
            return self.model.returned.get(self.stage.step, UNKNOWN)
        call = getattr(source.statement, "value", None)
        return merge([a.value for a in self.model.appends if a.node is call])

    def value_of(self, column: Column, source: StepSource) -> Value:
        """Return what is known of the part of the step's output that a column is."""
        value = self.output_value(source)
        if len(column.pieces) != 1 or isinstance(column.pieces[0], str):
            return UNKNOWN
        path = column.pieces[0]
        if self.stage is TRAINING and path == ("loss",) and not isinstance(value, Map):
            path = ()
        return single_numbers.part_of(value, path)

    def shown(self, column: Column, source: StepSource) -> ast.expr | None:
        """Return the expression of the step that a column is, where it is one."""
        if len(column.pieces) != 1 or isinstance(column.pieces[0], str):
            return None
        path = column.pieces[0]
        if self.stage is TRAINING and not is_mapping(source.step, source.value):
            path = ()
        part, rest = part_of_display(source.value, path)
        if part is None and path and (above := self._above(source)) is not None:
            part, rest = part_of_display(above, path)
        return None if rest else part

    def is_one_number(self, column: Column, source: StepSource) -> bool:
        """Tell whether what a batch gives is surely one number."""
        last = column.pieces[-1]
        if isinstance(last, str):
            return last.endswith((".mean()", ".sum()", ".max()", ".min()"))
        if single_numbers.is_one_number(self.value_of(column, source)):
            return True
        step, shown = source.step, self.shown(column, source)
        if shown is not None:
            inner, ends = bare(shown)
            made = inner.func if isinstance(inner, ast.Call) else None
            if "item" in ends or (isinstance(made, ast.Name) and made.id in ("float", "int")):
                return True
            if isinstance(inner, ast.Name) and single_numbers.is_logged_in(step, inner.id):
                return True
            return single_numbers.is_made_as_loss(self.cls, step, inner)
        return last == ("loss",) and single_numbers.is_made_as_loss(self.cls, step, source.value)

    def column_text(self, column: Column, source: StepSource, on_device: bool) -> str:
        text = column.text(lambda path: self._spell(path, source, on_device))
        if not column.name or len(column.pieces) == 1:
            return text
        if text not in self.locals:
            self.locals[text] = self._free_local(column.name, source)
            self.lines.append(f"{self.locals[text]} = {on_one_line(text)}")
        return self.locals[text]

    def _spell(self, path: Path, source: StepSource, on_device: bool) -> str:
        """Return how the step can name a part of its output just before it gives it away."""
        if self.stage is TRAINING and not is_mapping(source.step, source.value):
            # Lightning 1 made {"loss": loss} of a tensor.
            if path != ("loss",) or not is_tensor(self.cls, source.step, source.value):
                raise CannotEdit(
                    f"it cannot be told whether {self.stage.step} returns a tensor or a dict"
                )
            path = ()
        if path in self.spelled:
            return self.spelled[path]
        part, rest = part_of_display(source.value, path)
        if part is None and path:
            part, rest = self._displayed(source, path), ()
        if part is None:
            text = self._output(source) + "".join(f"[{_key(piece)}]" for piece in path)
        else:
            inner, _ = bare(part)
            if on_device and self._is_off_device(inner, source):
                raise CannotEdit(
                    f"`{self.module.source.segment(part)}` at line {part.lineno} has left the "
                    "device of the module; a Metric object needs it there"
                )
            text = self._named(inner, path, source) + "".join(f"[{_key(p)}]" for p in rest)
        self.spelled[path] = text
        return text

    def _displayed(self, source: StepSource, path: Path) -> ast.expr | None:
        """Return what a dict that was made just before has at a path, where it has a name."""
        above = self._above(source)
        if above is None or not isinstance(source.value, ast.Name):
            return None
        part, rest = part_of_display(above, path)
        if part is None or rest or not is_plain(part) or reads(part, source.value.id):
            return None  # In `loss = {"loss": loss}` the name is the dict's from then on.
        return part

    def _above(self, source: StepSource) -> ast.expr | None:
        """Return the dict or tuple that the output was given as its only name just before."""
        block = block_of(self.module, source.statement)
        index = block.index(source.statement)
        above = block[index - 1] if index else None
        if not (
            isinstance(source.value, ast.Name)
            and isinstance(above, ast.Assign)
            and isinstance(above.targets[0], ast.Name)
            and above.targets[0].id == source.value.id
            and isinstance(above.value, (ast.Dict, ast.Tuple))
        ):
            return None
        return above.value

    def _named(self, expr: ast.expr, path: Path, source: StepSource) -> str:
        text = self.module.source.segment(expr)
        if is_plain(expr):
            return text
        # The value is made in the output itself: it gets a name, so that it is made once.
        wanted = str(path[-1]) if path and isinstance(path[-1], str) else ""
        wanted = wanted or self.hints.get(path) or self.hint
        name = self._free_local(wanted, source)
        if self.list_goes:
            self.lines.append(f"{name} = {on_one_line(text)}")
            return name
        self.editor.insert_before(
            self.module, source.statement, [f"{name} = {on_one_line(text)}"], -3
        )
        self.editor.replace(self.module, expr, name)
        return name

    def _output(self, source: StepSource) -> str:
        value = source.value
        if isinstance(value, ast.Name):
            return value.id
        if () in self.spelled:
            return self.spelled[()]
        name = self._free_local("output", source)
        text = self.module.source.segment(value)
        if "\n" in text:
            raise CannotEdit(f"the output at line {value.lineno} spans lines; give it a name")
        if self.list_goes:
            self.lines.append(f"{name} = {text}")
            self.spelled[()] = name
            return name
        self.editor.insert_before(self.module, source.statement, [f"{name} = {text}"], -3)
        if isinstance(source.statement, ast.Return):
            # Whole, so that no other fix gives the same value a second name in this round.
            self.editor.replace(self.module, source.statement, f"return {name}")
        else:
            self.editor.replace(self.module, value, name)
        self.spelled[()] = name
        return name

    def _free_local(self, wanted: str, source: StepSource) -> str:
        name = wanted if wanted.isidentifier() else "value"
        taken = set(self.module.scope_of(source.step)) | {
            node.id for node in subtree(source.step) if isinstance(node, ast.Name)
        }
        while name in taken or name in self.made:
            name += "_value"
        self.made.add(name)
        return name

    def _is_off_device(self, expr: ast.expr, source: StepSource) -> bool:
        names = {node.id for node in subtree(expr) if isinstance(node, ast.Name)}
        for node in own_nodes(source.step):
            if isinstance(node, ast.Assign) and any(
                isinstance(inner, ast.Name) and inner.id in names
                for target in node.targets
                for inner in subtree(target)
            ):
                _, ends = bare(node.value)
                if set(ends) & set(_OFF_DEVICE):
                    return True
        return False


def part_of_display(value: ast.expr, path: Path) -> tuple[ast.expr | None, Path]:
    """Return the expression that a display has at a path, and what is left of the path."""
    rest = path
    found: ast.expr = value
    while rest:
        key = rest[0]
        if isinstance(found, ast.Dict):
            if any(k is None for k in found.keys):
                return None, rest
            entries = [
                v
                for k, v in zip(found.keys, found.values, strict=True)
                if isinstance(k, ast.Constant) and k.value == key
            ]
            if not entries:
                raise CannotEdit(f"the step's output at line {found.lineno} has no {key!r}")
            found = entries[-1]
        elif isinstance(found, (ast.Tuple, ast.List)) and isinstance(key, int):
            if key >= len(found.elts) or any(isinstance(e, ast.Starred) for e in found.elts):
                return None, rest
            found = found.elts[key]
        elif (
            isinstance(found, ast.Call)
            and isinstance(found.func, ast.Name)
            and found.func.id == "dict"
            and not found.args
        ):
            entries = [k.value for k in found.keywords if k.arg == key]
            if not entries:
                raise CannotEdit(f"the step's output at line {found.lineno} has no {key!r}")
            found = entries[-1]
        elif found is value:
            return None, rest
        else:
            return (found, rest) if is_plain(found) else (None, rest)
        rest = rest[1:]
    return found, ()


def bare(expr: ast.expr) -> tuple[ast.expr, list[str]]:
    """Return an expression without the calls that take it off the graph or the device."""
    ends: list[str] = []
    while (
        isinstance(expr, ast.Call)
        and isinstance(expr.func, ast.Attribute)
        and expr.func.attr in _TENSOR_ENDS
        and not expr.args
    ):
        ends.append(expr.func.attr)
        expr = expr.func.value
    return expr, ends


def is_plain(expr: ast.expr) -> bool:
    """Tell whether naming an expression twice costs nothing."""
    if isinstance(expr, ast.Name):
        return True
    if isinstance(expr, ast.Attribute):
        return is_plain(expr.value)
    if isinstance(expr, ast.Subscript):
        return is_plain(expr.value) and isinstance(expr.slice, (ast.Constant, ast.Name))
    if isinstance(expr, ast.Call) and isinstance(expr.func, ast.Attribute):
        # Casts and views.
        cheap = expr.func.attr in _CHEAP and not expr.keywords
        return cheap and is_plain(expr.func.value) and all(_is_number(a) for a in expr.args)
    return False


def _is_number(node: ast.expr) -> bool:
    if isinstance(node, ast.UnaryOp):
        node = node.operand
    return isinstance(node, ast.Constant)


def on_one_line(text: str) -> str:
    if "\n" not in text:
        return text
    return " ".join(line.strip() for line in text.splitlines())


def _key(piece: str | int) -> str:
    return f'"{piece}"' if isinstance(piece, str) else str(piece)


def reads(statement: ast.AST, name: str) -> bool:
    return any(
        isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load)
        for node in subtree(statement)
    )
