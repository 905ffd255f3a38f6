"""A mean of batch values stays where it is made, and weighs each with the size of its batch."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import TypeGuard

from lintmetrics.codemod import Blocked, Codemod, Fix, Relation
from lintmetrics.config import Settings
from lintmetrics.edits import CannotEdit, Editor, FunctionNode, block_of
from lintmetrics.model import batches, hooks
from lintmetrics.model.epoch_hooks import extra_parameters
from lintmetrics.model.flow import LightningClass
from lintmetrics.model.hook_effects import BatchMean
from lintmetrics.model.output_dicts import OutputDict, OutputDicts
from lintmetrics.model.step_outputs import assignments
from lintmetrics.model.values import Form, numbers
from lintmetrics.project import ClassInfo, Module
from lintmetrics.rule import Finding
from lintmetrics.tree import subtree

_KEY = "batch_size"
_NAME = "mean_batch_size"
_MEANS = frozenset([Form.MEAN, Form.RATIO, Form.METRIC, Form.OTHER, Form.DATA])
_NO_MEANS = frozenset([Form.HITS, Form.COUNT, Form.FLAGS, Form.SUM, Form.SUMMED, Form.BATCHES])
_BATCH_VALUE = re.compile(r"loss|acc|nll|elbo|perplexity|iou|dice|error|mse|mae", re.I)
_COUNTED = re.compile(r"num|count|total|correct|sum|denom|hits|\bn_|_n\b", re.I)
_SAME_VALUE = ("cpu", "detach", "item", "numpy", "float", "double", "squeeze")
# Only these raise where there are no outputs, as the division by the mean size then does.
_RAISING = ("torch.stack",)
_ANSWERING = ("numpy.array", "numpy.asarray", "numpy.stack")


class WeightedEpochMean(Codemod):
    """The batch sizes among the outputs of the steps, and the mean over samples made of both."""

    codes = ("LM111",)
    priority = 5

    def plan(self, finding: Finding, settings: Settings) -> Fix | Blocked:
        """Plan the weights of every mean that one method makes of one list of outputs."""
        assert isinstance(finding.subject, LightningClass)
        assert isinstance(finding.detail, BatchMean)
        weighing = _Weighing(finding.subject, finding.detail)
        return weighing.fix() if weighing.shapes else Blocked("")


@dataclass(frozen=True)
class _Shape:
    """A mean of one value of each output.

    Args:
        node: the mean; ``parts``: the comprehension over the outputs.
        sized: how the mean of the sizes is written, around ``{}``.
    """

    node: ast.expr
    parts: ast.ListComp | ast.GeneratorExp | ast.SetComp
    sized: str

    @property
    def outputs(self) -> ast.expr:
        """The list of outputs."""
        return self.parts.generators[0].iter


class _Weighing:
    """All means that a method makes of one list, and the edits that weigh them."""

    def __init__(self, model: LightningClass, mean: BatchMean) -> None:
        self.model = model
        module = mean.origin.module
        owner = module.enclosing_class(mean.origin.node)
        method = module.enclosing_method(mean.origin.node)
        if owner is None or method is None:
            raise CannotEdit("the mean is made outside the class; weigh it there by hand")
        self.module: Module = module
        self.owner: ClassInfo = owner
        self.method: FunctionNode = method
        self.editor = Editor()
        shape = self._shape(mean.origin.node)
        self.shapes: list[_Shape] = []
        if shape is None:
            return
        text = ast.unparse(shape.outputs)
        wanted = {
            id(other.origin.node): other.origin.node
            for other in LightningClass.of(owner).batch_means + model.batch_means
            if other.is_of_batch_values and module.enclosing_method(other.origin.node) is method
        }
        self._require_batch_values(mean.origin.node, shape)
        shapes = [
            found
            for node in wanted.values()
            if (found := self._shape(node)) is not None and self._is_of_batch_values(node, found)
        ]
        self.shapes = sorted(
            (s for s in shapes if ast.unparse(s.outputs) == text),
            key=lambda s: (s.node.lineno, s.node.col_offset),
        )

    def fix(self) -> Fix:
        """Plan everything that one list of outputs needs."""
        first = self.shapes[0]
        keyed = frozenset(
            node
            for shape in self.shapes
            for node in subtree(shape.parts.elt)
            if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Name)
        )
        found = OutputDicts(self.owner, self.method, first.outputs, keyed)
        for output in found.made.values():
            self._require_numbers(output)
            self._add_size(output)
        self._weigh()
        for module, hook in found.removed_hooks:
            # Written again as it is, so that no other fix moves the hook in the same round.
            for parameter in extra_parameters(hook):
                start, end = module.source.start(parameter), module.source.end(parameter)
                same = module.source.segment(parameter)
                self.editor.replace_range(module, start, end, same)
        steps = ", ".join(dict.fromkeys(o.function.name for o in found.made.values()))
        return Fix(
            Relation.CORRECTS,
            f"the plain mean of batch values in {self.method.name} becomes the mean over samples; "
            f"{steps} gives the batch size along with its outputs",
            self.editor.edits,
        )

    # What is averaged -------------------------------------------------------------------------

    def _require_batch_values(self, node: ast.expr, shape: _Shape) -> None:
        if not self._is_of_batch_values(node, shape):
            raise CannotEdit(
                f"whether `{self._spelled(shape.parts.elt)}` at line {node.lineno} is a mean over "
                "the samples of a batch cannot be told; weigh it with the batch sizes by hand"
            )

    def _is_of_batch_values(self, node: ast.expr, shape: _Shape) -> bool:
        """Tell whether all that a mean is made of are means over batches, for all that it shows.

        A sum or a count must keep its single vote: the ratio of two such means is right.
        """
        entries = {
            mean.origin.entry
            for model in (self.model, LightningClass.of(self.owner))
            for mean in model.batch_means
            if mean.origin.node is node
        }
        entries |= {
            origin.entry
            for model in (self.model, LightningClass.of(self.owner))
            for call in model.log_calls
            for context in call.contexts
            for number in numbers(context.value)
            for origin in number.origins
            if origin.node is node
        }
        if entries & _NO_MEANS:
            return False
        keys = self._keys(shape)
        if keys is None:
            return False
        if None not in entries and not any(isinstance(key, ast.Name) for key in keys):
            return all(entry in _MEANS for entry in entries)
        return all(
            _BATCH_VALUE.search(key) and not _COUNTED.search(key)
            for key in self._spelled_keys(keys, node)
        )

    def _require_numbers(self, output: OutputDict) -> None:
        """Raise where a step gives a list for what is averaged, which a factor would repeat."""
        wanted = [
            key.value
            for shape in self.shapes
            for key in self._keys(shape) or ()
            if isinstance(key, ast.Constant)
        ]
        for key, value in zip(output.node.keys, output.node.values, strict=True):
            named = isinstance(key, ast.Constant) and key.value in wanted
            if (named or not wanted) and _may_be_list(output.function, value):
                raise CannotEdit(
                    f"`{output.module.source.segment(value)}` at line {value.lineno} is a list; "
                    "weigh the mean with the batch sizes by hand"
                )

    def _keys(self, shape: _Shape) -> list[ast.expr] | None:
        """Return the keys by which the outputs are asked for what is averaged."""
        target = shape.parts.generators[0].target
        assert isinstance(target, ast.Name)
        found = [
            n.slice
            for n in subtree(shape.parts.elt)
            if isinstance(n, ast.Subscript) and _is_name(n.value, target.id)
        ]
        reads = [n for n in subtree(shape.parts.elt) if _is_name(n, target.id)]
        return found if len(found) == len(reads) == 1 else None

    def _spelled_keys(self, keys: list[ast.expr], node: ast.expr) -> list[str]:
        """Return all keys as text; a name stands for what a closure is called with."""
        found: list[str] = []
        for key in keys:
            if not isinstance(key, ast.Name):
                found.append(ast.unparse(key))
                continue
            given = self._given_keys(key, node)
            if not given:
                return [""]
            found += given
        return found

    def _given_keys(self, key: ast.Name, node: ast.expr) -> list[str]:
        for around in self.module.ancestors(node):
            if around is self.method:
                return []
            if isinstance(around, (ast.Lambda, ast.FunctionDef)) and key.id in [
                a.arg for a in around.args.args
            ]:
                break
        else:
            return []
        if len(around.args.args) != 1:
            return []
        holder = self.module.parent(around)
        if isinstance(around, ast.FunctionDef):
            name = around.name
        elif isinstance(holder, ast.Assign) and isinstance(holder.targets[0], ast.Name):
            name = holder.targets[0].id
        else:
            return []
        reads = [
            n for n in subtree(self.method) if _is_name(n, name) and isinstance(n.ctx, ast.Load)
        ]
        given: list[str] = []
        for read in reads:
            call = self.module.parent(read)
            if not (isinstance(call, ast.Call) and call.func is read and len(call.args) == 1):
                return []
            if not isinstance(call.args[0], (ast.Constant, ast.JoinedStr)):
                return []
            given.append(ast.unparse(call.args[0]))
        return given

    # The shape of a mean ----------------------------------------------------------------------

    def _shape(self, node: ast.expr) -> _Shape | None:
        """Read ``torch.stack([x["loss"] for x in outputs]).mean()`` and what is like it."""
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            return self._quotient(node)
        if not isinstance(node, ast.Call) or len(node.keywords) + len(node.args) > 1:
            return None
        name = self.module.qualified(node.func) or ""
        if name in ("numpy.mean", "statistics.mean", "statistics.fmean") and node.args:
            return self._over(node, node.args[0], f"{self._spelled(node.func)}({{}})")
        inner: ast.expr | None = None
        if name == "torch.mean" and node.args:
            inner = node.args[0]
        elif isinstance(node.func, ast.Attribute) and node.func.attr == "mean" and not node.args:
            if any(not _is_zero(k.value) for k in node.keywords):
                return None
            inner = node.func.value
        while (
            isinstance(inner, ast.Call)
            and isinstance(inner.func, ast.Attribute)
            and inner.func.attr in _SAME_VALUE
            and not inner.args
        ):
            inner = inner.func.value
        if not isinstance(inner, ast.Call) or len(inner.args) != 1 or inner.keywords:
            return None
        made = self.module.qualified(inner.func) or ""
        if made in _RAISING:
            return self._over(node, inner.args[0], "sum({}) / len({outputs})")
        if made in _ANSWERING:
            package = self._spelled(inner.func).rpartition(".")[0]
            return self._over(node, inner.args[0], f"{package}.mean({{}})") if package else None
        return None

    def _quotient(self, node: ast.BinOp) -> _Shape | None:
        left, right = node.left, node.right
        if not (
            isinstance(left, ast.Call)
            and len(left.args) == 1
            and not left.keywords
            and isinstance(right, ast.Call)
            and isinstance(right.func, ast.Name)
            and right.func.id == "len"
            and len(right.args) == 1
            and isinstance(left.func, ast.Name)
            and left.func.id == "sum"
        ):
            return None
        shape = self._over(node, left.args[0], "sum({}) / len({outputs})")
        if shape is None or ast.unparse(shape.outputs) != ast.unparse(right.args[0]):
            return None
        return shape

    def _over(self, node: ast.expr, parts: ast.expr, sized: str) -> _Shape | None:
        if isinstance(parts, ast.Call) and ast.unparse(parts.func) in ("list", "tuple"):
            parts = parts.args[0] if len(parts.args) == 1 else parts
        if not isinstance(parts, (ast.ListComp, ast.GeneratorExp)) or len(parts.generators) != 1:
            return None
        loop = parts.generators[0]
        if loop.ifs or loop.is_async or not isinstance(loop.target, ast.Name):
            return None
        if not any(
            isinstance(n, ast.Subscript) and _is_name(n.value, loop.target.id)
            for n in subtree(parts.elt)
        ):
            return None
        return _Shape(node, parts, sized)

    def _spelled(self, node: ast.expr) -> str:
        return self.module.source.segment(node)

    # Writing ----------------------------------------------------------------------------------

    def _weigh(self) -> None:
        """Write the weights into the means, and what they are divided by before them."""
        written: dict[str, list[ast.stmt]] = {}
        names: dict[str, str] = {}
        for shape in self.shapes:
            sizes = self._sizes(shape)
            statement = self._outer_statement(shape.node)
            name = names.setdefault(sizes, self._free(names))
            done = written.setdefault(sizes, [])
            if not any(self._runs_before(earlier, statement) for earlier in done):
                self.editor.insert_before(self.module, statement, [f"{name} = {sizes}"])
                done.append(statement)
            self._weigh_one(shape, name)

    def _sizes(self, shape: _Shape) -> str:
        loop = shape.parts.generators[0]
        assert isinstance(loop.target, ast.Name)
        outputs = self._spelled(shape.outputs)
        if "\n" in outputs:
            raise CannotEdit("the list of outputs is spelled over several lines; give it a name")
        key = _quoted(_KEY, self._spelled(shape.parts.elt))
        each = f"{loop.target.id}[{key}] for {loop.target.id} in {outputs}"
        if not shape.sized.startswith("sum"):
            each = f"[{each}]"
        return shape.sized.replace("{outputs}", outputs).replace("{}", each)

    def _free(self, taken: dict[str, str]) -> str:
        used = {n.id for n in subtree(self.method) if isinstance(n, ast.Name)}
        used |= {node.arg for node in subtree(self.method) if isinstance(node, ast.arg)}
        name = _NAME
        while name in used or name in taken.values():
            name += "_"
        return name

    def _outer_statement(self, node: ast.AST) -> ast.stmt:
        """Return the statement of the method's own code that a mean stands in."""
        statement = self.module.statement(node)
        for around in self.module.ancestors(node):
            if around is self.method:
                break
            if isinstance(around, (ast.FunctionDef, ast.AsyncFunctionDef)):
                # The sizes are the same for every call, as long as the list is.
                if any(self._changes(one) for one in self.method.body):
                    raise CannotEdit(
                        f"{around.name}() at line {around.lineno} makes the mean of a list that "
                        f"{self.method.name} changes; weigh it with the batch sizes by hand"
                    )
                statement = around
        if isinstance(statement, (ast.While, ast.For, ast.With, ast.If)) and not any(
            node in subtree(part) for part in statement.body
        ):
            if isinstance(statement, ast.While):
                raise CannotEdit(f"the mean is made in the head of the loop at line {node.lineno}")  # type: ignore[attr-defined]
            block = block_of(self.module, statement)
            above = self.module.parent(statement)
            if isinstance(above, ast.If) and above.orelse == block and len(block) == 1:
                raise CannotEdit("the mean is made in the test of an elif")
        return statement

    def _runs_before(self, earlier: ast.stmt, statement: ast.stmt) -> bool:
        """Tell whether a statement surely ran, with the same outputs, when another one runs."""
        block = block_of(self.module, earlier)
        around: ast.AST = statement
        while around is not self.method:
            if isinstance(around, ast.stmt) and around in block:
                between = block[block.index(earlier) : block.index(around)]
                return not any(self._changes(one) for one in between)
            parent = self.module.parent(around)
            if parent is None or isinstance(parent, (ast.For, ast.While)):
                return False
            around = parent
        return False

    def _changes(self, statement: ast.stmt) -> bool:
        """Tell whether a statement may bind or empty the list."""
        names = {
            n.id if isinstance(n, ast.Name) else n.attr
            for n in subtree(self.shapes[0].outputs)
            if isinstance(n, (ast.Name, ast.Attribute))
        } - {"self"}
        for node in subtree(statement):
            if isinstance(node, ast.Name) and node.id in names and isinstance(node.ctx, ast.Store):
                return True
            if isinstance(node, ast.Attribute) and node.attr in names:
                parent = self.module.parent(node)
                if isinstance(node.ctx, ast.Store) or isinstance(parent, ast.Attribute):
                    return True
        return False

    def _weigh_one(self, shape: _Shape, name: str) -> None:
        source = self.module.source
        element, loop = shape.parts.elt, shape.parts.generators[0]
        assert isinstance(loop.target, ast.Name)
        text = self._spelled(element)
        weight = f" * {loop.target.id}[{_quoted(_KEY, text)}]"
        if _is_tight(element):
            self.editor.replace_range(self.module, source.end(element), source.end(element), weight)
        else:
            self.editor.replace(self.module, element, f"({text}){weight}")
        start, end = source.start(shape.node), source.end(shape.node)
        parent = self.module.parent(shape.node)
        tight = isinstance(parent, (ast.Attribute, ast.Subscript, ast.BinOp, ast.UnaryOp)) and not (
            isinstance(parent, ast.BinOp) and isinstance(parent.op, (ast.Add, ast.Sub))
        )
        if tight:
            self.editor.replace_range(self.module, start, start, "(")
        self.editor.replace_range(self.module, end, end, f" / {name}" + (")" if tight else ""))

    def _add_size(self, output: OutputDict) -> None:
        """Add the batch size to a dict of a step."""
        module, node = output.module, output.node
        where = f"{module.source.path}:{output.function.lineno}"
        line = batches.chunked(output.cls, output.function)
        if line is not None:
            raise CannotEdit(f"the batch is worked on piece by piece at line {line}")
        stages = (hooks.stage_of(output.function.name),)
        size = batches.of(output.cls, output.function, stages)
        present = [
            value
            for key, value in zip(node.keys, node.values, strict=True)
            if isinstance(key, ast.Constant) and key.value == _KEY
        ]
        if present:
            if size.expression is not None and ast.unparse(present[-1]) == size.expression:
                return
            raise CannotEdit(f"whether its {_KEY!r} is the size of the batch cannot be told")
        if size.expression is None:
            raise CannotEdit(
                f"the size of the batch is not evident in {output.function.name} at {where}; "
                "return it with the outputs, and weigh the mean by hand"
            )
        _require_known(module, output, size.expression)
        key = _quoted(_KEY, module.source.segment(node))
        _add_entry(self.editor, module, node, f"{key}: {size.expression}")


def _quoted(key: str, beside: str) -> str:
    """Return a key in the quotes of the code beside it."""
    quote = "'" if "'" in beside and '"' not in beside else '"'
    return f"{quote}{key}{quote}"


def _may_be_list(function: FunctionNode, value: ast.expr) -> bool:
    """Tell whether a value of a step is, or may be, a Python list."""
    if isinstance(value, ast.Name):
        return any(
            found is not None and not isinstance(found, ast.Name) and _may_be_list(function, found)
            for found in assignments(function, value.id)
        )
    if isinstance(value, ast.Call):
        func = value.func
        return (isinstance(func, ast.Attribute) and func.attr == "tolist") or (
            isinstance(func, ast.Name) and func.id in ("list", "tuple", "sorted")
        )
    return isinstance(value, (ast.List, ast.Tuple, ast.ListComp))


def _require_known(module: Module, output: OutputDict, expression: str) -> None:
    """Raise where a name of the size may not be bound yet, or no longer, where the dict is made."""
    names = {n.id for n in ast.walk(ast.parse(expression, mode="eval")) if isinstance(n, ast.Name)}
    parameters = {a.arg for a in output.function.args.args}
    here = module.source.start(module.statement(output.node))
    for name in names - {"len"}:
        stores = [
            n
            for n in subtree(output.function)
            if isinstance(n, ast.Name) and n.id == name and not isinstance(n.ctx, ast.Load)
        ]
        if name in parameters and not stores:
            continue
        block_ok = len(stores) == 1 and module.source.start(stores[0]) < here
        if not block_ok or not _encloses(module, output, stores[0]):
            raise CannotEdit(
                f"`{name}` is bound more than once in {output.function.name}, so the batch size "
                "is not evident"
            )


def _encloses(module: Module, output: OutputDict, store: ast.AST) -> bool:
    """Tell whether a binding surely ran before the dict is made."""
    statement = module.statement(store)
    block = block_of(module, statement)
    around: ast.AST | None = module.statement(output.node)
    while around is not None and around is not output.function:
        if isinstance(around, ast.stmt) and around in block:
            return True
        around = module.parent(around)
    return False


def _add_entry(editor: Editor, module: Module, node: ast.Dict, entry: str) -> None:
    """Write one more entry at the end of a dict display."""
    source = module.source
    if not node.keys:
        editor.replace(module, node, f"{{{entry}}}")
        return
    last, end = source.end(node.values[-1]), source.end(node) - 1
    tail = source.text[last:end]
    first = node.keys[0]
    if "\n" not in source.text[source.start(node) : end]:
        comma = re.fullmatch(r"([\s)]*)(,?)\s*", tail)
        assert comma is not None
        at = last + comma.end(2)
        editor.replace_range(module, at, at, (" " if comma.group(2) else ", ") + entry)
        return
    if first is None:
        raise CannotEdit(f"the dict at line {node.lineno} begins with another one")
    start = source.start(first)
    head = source.text[source.line_start(start) : start]
    simple = re.fullmatch(r"(\)*)(,?)\s*", tail)
    newline = source.newline
    if simple is not None and not head.strip():
        at = last + simple.end(2)
        if simple.group(2):
            editor.replace_range(module, at, at, f"{newline}{head}{entry},")
        else:
            editor.replace_range(module, at, at, f",{newline}{head}{entry}")
        return
    separator = f",{newline}{head}" if not head.strip() else ", "
    editor.replace_range(module, start, start, entry + separator)


def _is_tight(node: ast.expr) -> bool:
    """Tell whether a factor can follow an expression without parentheses."""
    return isinstance(node, (ast.Name, ast.Attribute, ast.Subscript, ast.Call))


def _is_name(node: ast.AST, name: str) -> TypeGuard[ast.Name]:
    return isinstance(node, ast.Name) and node.id == name


def _is_zero(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value == 0
