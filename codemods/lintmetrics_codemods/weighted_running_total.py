"""Totals of batch values weigh each with the size of its batch, and are divided by the samples."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence

from lintmetrics.codemod import Blocked, Codemod, Fix, Relation
from lintmetrics.config import Settings
from lintmetrics.edits import CannotEdit, Editor, FunctionNode, block_of
from lintmetrics.model import attribute_names, batches, hooks, running_totals
from lintmetrics.model.flow import LightningClass
from lintmetrics.model.hook_effects import Added, BatchMean, MeterUpdate
from lintmetrics.model.kept_outputs import KeptList
from lintmetrics.model.mean_meters import mean_meter
from lintmetrics.model.running_totals import addition, attribute_of
from lintmetrics.model.values import Form, Meter, numbers
from lintmetrics.project import Module
from lintmetrics.rule import Finding
from lintmetrics.tree import subtree

_MEANS = frozenset([Form.MEAN, Form.RATIO, Form.METRIC, Form.OTHER])
_SAME = ("item", "detach", "cpu", "float", "double", "numpy", "clone", "squeeze")
_BATCHES = re.compile(r"(?<![a-z])(batch|step|iteration|iter)(e?s)?(?![a-z])")
_MODELS = r"(?:\w*model|module|net|lit\w*|trainer\.\w+|self\.\w+)"


class WeightedRunningTotal(Codemod):
    """Batch values, added up with the sizes of their batches, over the number of samples."""

    codes = ("LM111",)
    priority = 20

    def plan(self, finding: Finding, settings: Settings) -> Fix | Blocked:
        """Plan the weights of every total that is divided by one number of batches."""
        assert isinstance(finding.subject, LightningClass)
        assert isinstance(finding.detail, BatchMean)
        meter = _meter_of(finding.subject, finding.detail)
        if meter:
            return _weighed_updates(finding.subject, meter)
        weighing = _Weighing(finding.subject, finding.detail)
        return weighing.fix() if weighing.totals else Blocked("")


class _Weighing:
    """The totals that are divided by one number of batches, and the edits that weigh them."""

    def __init__(self, model: LightningClass, mean: BatchMean) -> None:
        self.model = model
        self.module: Module = mean.origin.module
        self.editor = Editor()
        self.assumed: list[str] = []
        self.counter = ""
        self.totals: dict[str, list[Added]] = {}
        self.mean = mean.origin.node
        self.added: dict[str, list[Added]] = {}
        for one in model.added:
            known = self.added.setdefault(ast.unparse(one.target), [])
            if not any(one.node is other.node for other in known):
                known.append(one)
        self.stages = {id(one.node): set[str]() for one in model.added}
        for one in model.added:
            self.stages[id(one.node)].add(hooks.stage_of(one.hook))
        if not isinstance(self.mean, ast.BinOp):
            return
        left, right = self._places(self.mean.left), self._places(self.mean.right)
        if not left:
            return
        self.method = mean.function
        self.totals = {text: self.added[text] for text in left}
        if len(right) == 1:
            self.counter = right[0]
            self._require_group()
        else:
            self._add_siblings()

    def fix(self) -> Fix:
        """Plan everything that one number of batches needs."""
        for text, additions in self.totals.items():
            for one in additions:
                self._require_mean(text, one)
                self._weigh(one)
        counted = self._count() if self.counter else self._new_counter()
        names = ", ".join(self.totals)
        relation = Relation.ASSUMES if self.assumed else Relation.CORRECTS
        said = (
            f"{names}: each batch value is weighed by the size of its batch, and divided by "
            f"the samples that {counted} counts"
        )
        if self.assumed:
            said += "; assumes " + "; ".join(dict.fromkeys(self.assumed))
        return Fix(relation, said, self.editor.edits)

    # What belongs together --------------------------------------------------------------------

    def _places(self, node: ast.expr) -> list[str]:
        """Return the totals and counters of the module that an expression reads."""
        return self.model.totals_in(node)

    def _require_group(self) -> None:
        """Take in every total that is divided by the counter, and look at all their other uses."""
        for _, _, outer in self._uses(self.counter):
            division = self._division(outer, right=True)
            if division is not None:
                for text in self._places(division):
                    self.totals.setdefault(text, self.added[text])
        self.totals.pop(self.counter, None)
        for text in (self.counter, *self.totals):
            for method, module, outer in self._uses(text):
                if not self._is_fair(text, method, module, outer):
                    line = getattr(outer, "lineno", 0)
                    raise CannotEdit(
                        f"`{text}` is also used at {module.source.path}:{line}; weigh the mean "
                        "with the batch sizes by hand"
                    )

    def _add_siblings(self) -> None:
        """Take in the totals that the same method divides by the same length of a loader."""
        assert isinstance(self.mean, ast.BinOp)
        length = ast.unparse(self.mean.right)
        for node in subtree(self.method) if self.method else ():
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
                right, left = node.right, node.left
            elif isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Div):
                right, left = node.value, node.target
            else:
                continue
            if ast.unparse(right) == length:
                for text in self._places(left):
                    self.totals.setdefault(text, self.added[text])
        for text in self.totals:
            for method, module, outer in self._uses(text):
                if not self._is_fair(text, method, module, outer):
                    line = getattr(outer, "lineno", 0)
                    raise CannotEdit(
                        f"`{text}` is also used at {module.source.path}:{line}; weigh the mean "
                        "with the batch sizes by hand"
                    )

    def _uses(self, text: str) -> Iterator[tuple[FunctionNode, Module, ast.expr]]:
        """Yield the places that read or change a total, or what it is kept in."""
        attribute = _attribute(text)
        if self.module.project.mentioning(re.compile(rf"\b{_MODELS}\.{attribute}\b")):
            raise CannotEdit(
                f"`{attribute}` of an object is also used from outside; weigh the mean with the "
                "batch sizes by hand"
            )
        for cls in KeptList(self.model.cls, attribute).relatives:
            for method in cls.methods.values():
                for node in subtree(method):
                    if not (isinstance(node, ast.Attribute) and attribute_of(node) == attribute):
                        continue
                    outer: ast.expr = node
                    parent = cls.module.parent(outer)
                    while isinstance(parent, ast.Subscript) and parent.value is outer:
                        outer, parent = parent, cls.module.parent(parent)
                        if not isinstance(outer.slice, ast.Constant):
                            raise CannotEdit(
                                f"which of `self.{attribute}` is meant at line {node.lineno} "
                                "cannot be told; weigh the mean with the batch sizes by hand"
                            )
                    spelled = ast.unparse(outer)
                    if spelled == text or spelled == f"self.{attribute}":
                        yield method, cls.module, outer

    def _division(self, outer: ast.expr, right: bool) -> ast.expr | None:
        """Return the other side of the division that a place is a side of."""
        inner: ast.AST = outer
        for around in self.module.ancestors(outer):
            if isinstance(around, ast.BinOp) and isinstance(around.op, ast.Div):
                if around.right is inner:
                    return around.left if right else None
                return None if right else around.right
            if isinstance(around, ast.AugAssign) and isinstance(around.op, ast.Div):
                if around.value is inner:
                    return around.target if right else None
                return None if right else around.value
            if isinstance(around, ast.stmt) or not _is_same(around, inner):
                return None
            inner = around
        return None

    def _is_fair(self, text: str, method: FunctionNode, module: Module, outer: ast.expr) -> bool:
        """Tell whether a use of a total or counter means the same when batches are weighed."""
        statement = module.statement(outer)
        made = addition(statement)
        if made is not None and ast.unparse(made.target) == text:
            if any(one.node is statement for one in self.added[text]):
                return outer not in subtree(made.added)
            return False
        if isinstance(statement, (ast.Assign, ast.AnnAssign)) and not isinstance(
            getattr(outer, "ctx", None), ast.Load
        ):
            # Where it begins, or where the mean takes its place.
            return (
                statement.value is None
                or running_totals.is_zero(self.model.cls, statement.value)
                or self._is_mean_of(text, statement.value)
            )
        if isinstance(statement, ast.AugAssign) and statement.target is outer:
            return self._is_mean_of(text, statement)
        is_counter = text == self.counter
        other = self._division(outer, right=is_counter)
        if other is not None:
            return self._is_other_side(other, is_counter)
        if is_counter:
            return _is_asked(module, outer)
        # Behind a division in place it is the mean.
        return any(
            isinstance(node, (ast.AugAssign, ast.Assign))
            and node.lineno < outer.lineno
            and ast.unparse(node.targets[0] if isinstance(node, ast.Assign) else node.target)
            == text
            and self._is_mean_of(text, node if isinstance(node, ast.AugAssign) else node.value)
            for node in method.body
        )

    def _is_mean_of(self, text: str, node: ast.AST) -> bool:
        if isinstance(node, ast.AugAssign):
            return isinstance(node.op, ast.Div) and self._is_other_side(node.value, False)
        return (
            isinstance(node, ast.BinOp)
            and isinstance(node.op, ast.Div)
            and ast.unparse(node.left) == text
            and self._is_other_side(node.right, False)
        )

    def _is_other_side(self, other: ast.expr, is_counter: bool) -> bool:
        if is_counter:
            return bool(self._places(other))
        if self.counter:
            return self.counter in self._places(other)
        assert isinstance(self.mean, ast.BinOp)
        return ast.unparse(other) == ast.unparse(self.mean.right)

    # What is added ----------------------------------------------------------------------------

    def _require_mean(self, text: str, one: Added) -> None:
        self.assumed += _assumed(one, one.added, text)

    def _size(self, one: Added) -> str:
        return _size_at(self.model, one, one.added, self.stages[id(one.node)])

    def _weigh(self, one: Added) -> None:
        source, size = one.module.source, self._size(one)
        text = source.segment(one.added)
        tight = isinstance(one.added, (ast.Name, ast.Attribute, ast.Subscript, ast.Call))
        start, end = source.start(one.added), source.end(one.added)
        if tight:
            self.editor.replace_range(one.module, end, end, f" * {size}")
            return
        parenthesised = source.text[:start].rstrip().endswith("(") and source.text[
            end:
        ].lstrip().startswith(")")
        if parenthesised:
            close = source.text.index(")", end) + 1
            self.editor.replace_range(one.module, close, close, f" * {size}")
        else:
            self.editor.replace(one.module, one.added, f"({text}) * {size}")

    # What is divided by -----------------------------------------------------------------------

    def _count(self) -> str:
        """Let the counter of batches count samples; return its name."""
        counts = self.added[self.counter]
        for text, additions in self.totals.items():
            for one in additions:
                beside = [c for c in counts if c.function is one.function]
                if len(beside) != 1 or beside[0].tests != one.tests:
                    raise CannotEdit(
                        f"{self.counter} is not counted along with `{text}` at line "
                        f"{one.node.lineno}; weigh the mean with the batch sizes by hand"
                    )
        for one in counts:
            if not any(a.function is one.function for found in self.totals.values() for a in found):
                raise CannotEdit(f"{self.counter} also counts at line {one.node.lineno}")
            self.editor.replace(one.module, one.added, self._size(one))
        return self._renamed()

    def _renamed(self) -> str:
        """Give a counter of batches the name of what it counts, where it is plain to do."""
        attribute = _attribute(self.counter)
        fresh = _BATCHES.sub(lambda m: "samples" if m.group(2) else "sample", attribute)
        if self.counter != f"self.{attribute}" or fresh == attribute:
            return self.counter
        relatives = KeptList(self.model.cls, attribute).relatives
        outside = re.compile(rf"(?<!\bself)\.{attribute}\b|['\"]{attribute}['\"]")
        dynamic = re.compile(rf"setattr|getattr|\b{fresh}\b")
        if self.module.project.mentioning(outside) or any(
            dynamic.search(cls.module.source.text) for cls in relatives
        ):
            return self.counter
        for cls in relatives:
            for node in subtree(cls.node):
                if isinstance(node, ast.Attribute) and node.attr == attribute:
                    self.editor.rename_attribute(cls.module, node, fresh)
        return f"self.{fresh}"

    def _new_counter(self) -> str:
        """Count the samples where only the length of a loader is known; return the counter."""
        assert isinstance(self.mean, ast.BinOp)
        right = self.mean.right
        if isinstance(right, (ast.Name, ast.Attribute)):
            raise CannotEdit(
                f"`{ast.unparse(right)}` is the number of batches; count the samples in the step, "
                "weigh each batch value by its size, and divide by that"
            )
        additions = [one for found in self.totals.values() for one in found]
        first = additions[0]
        if any(
            block_of(one.module, one.node) is not block_of(first.module, first.node)
            for one in additions
        ) or any(len(found) != 1 for found in self.totals.values()):
            raise CannotEdit(
                "the totals are added to in several places; count the samples, and weigh each "
                "batch value, by hand"
            )
        if any("[" in text for text in self.totals):
            raise CannotEdit(
                "the totals are kept by key; count the samples, and weigh each batch value, by hand"
            )
        stage = min(self.stages[id(first.node)])
        name = attribute_names.attribute_for(f"{stage}_samples", "", self.model.cls)
        counter = f"self.{name}"
        last = max(additions, key=lambda one: one.node.lineno)
        self.editor.insert_after(last.module, last.node, [f"{counter} += {self._size(last)}"])
        self._start(first, counter)
        self._divide(ast.unparse(right), counter)
        return counter

    def _start(self, first: Added, counter: str) -> None:
        """Let a new counter begin wherever the total does."""
        text = ast.unparse(first.target)
        done: list[ast.stmt] = []
        for _, module, outer in list(self._uses(text)):
            statement = module.statement(outer)
            if isinstance(getattr(outer, "ctx", None), ast.Load) or addition(statement) is not None:
                continue
            if isinstance(statement, ast.AugAssign) or statement in done:
                continue
            if not running_totals.is_zero(self.model.cls, getattr(statement, "value", outer)):
                continue
            done.append(statement)
            self.editor.insert_after(module, statement, [f"{counter} = 0"])
        if not done:
            raise CannotEdit(f"where {text} begins cannot be told; count the samples by hand")

    def _divide(self, length: str, counter: str) -> None:
        """Divide by a counter instead of the length of a loader, for every total."""
        for node in subtree(self.method) if self.method else ():
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
                right, left = node.right, node.left
            elif isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Div):
                right, left = node.value, node.target
            else:
                continue
            if ast.unparse(right) == length and self._places(left):
                self.editor.replace(self.module, right, counter)


def _assumed(one: Added | MeterUpdate, value: ast.expr, text: str) -> list[str]:
    """Return what must be assumed of a value, so that it is a mean over the samples of a batch."""
    shown = one.module.source.segment(value)
    forms = {number.form for number in numbers(one.value)}
    if forms and forms <= _MEANS:
        return []
    if forms - _MEANS - {Form.DATA}:
        raise CannotEdit(
            f"`{shown}` at line {one.node.lineno} is a sum or a count, which needs no weight; "
            f"give {text} a number of samples of its own to be divided by"
        )
    return [f"`{shown}` is a mean over the samples of the batch"]


def _size_at(
    model: LightningClass, one: Added | MeterUpdate, value: ast.expr, stages: set[str]
) -> str:
    """Return the size of the batch, where a value is added."""
    function, module = one.function, one.module
    cls = module.enclosing_class(one.node) or model.cls
    if function is None:
        raise CannotEdit(f"the value at line {one.node.lineno} is in no method")
    line = batches.chunked(cls, function)
    if line is not None:
        raise CannotEdit(f"the batch is worked on piece by piece at line {line}")
    size = batches.of(cls, function, sorted(stages)).expression
    if size is None:
        raise CannotEdit(
            f"the size of the batch is not evident in {function.name} at "
            f"{module.source.path}:{function.lineno}; multiply the value at line "
            f"{one.node.lineno} by it, and divide by the number of samples"
        )
    if not batches.is_known_at(module, value, size):
        raise CannotEdit(
            f"`{size}`, the size of the batch, is not known yet at line {one.node.lineno}"
        )
    return size


# Objects that keep a mean -----------------------------------------------------------------------


def _meter_of(model: LightningClass, mean: BatchMean) -> str:
    """Return the attribute of the object that keeps a mean, empty where no object does."""
    node = mean.origin.node
    owner = node.func if isinstance(node, ast.Call) else node
    if not isinstance(owner, ast.Attribute):
        return ""
    attribute = attribute_of(owner.value)
    held = attribute is not None and isinstance(model.attributes.get(attribute), Meter)
    return attribute if held and attribute is not None else ""


def _weighed_updates(model: LightningClass, attribute: str) -> Fix | Blocked:
    """Plan the size of the batch as the weight of each value that an object is given."""
    held = model.attributes[attribute]
    assert isinstance(held, Meter)
    kept = mean_meter(held.cls)
    assert kept is not None
    if not kept.weight:
        return Blocked(
            f"{held.cls.node.name}.{kept.method} counts each value once; let it take the size of "
            "the batch as a weight, and give it"
        )
    editor, assumed, done = Editor(), list[str](), list[ast.Call]()
    for update in model.meter_updates:
        if update.attribute != attribute or update.node in done:
            continue
        done.append(update.node)
        value, *weights = update.node.args
        assumed += _assumed(update, value, f"self.{attribute}")
        stages = {
            hooks.stage_of(other.hook) for other in model.meter_updates if other.node is update.node
        }
        size = _size_at(model, update, value, stages)
        if not update.once:
            raise CannotEdit(f"self.{attribute} is given several values at line {value.lineno}")
        if weights:
            editor.replace(update.module, weights[0], size)
        else:
            editor.append_argument(update.module, update.node, size)
    said = f"self.{attribute} is given each batch value with the size of its batch"
    if assumed:
        said += "; assumes " + "; ".join(dict.fromkeys(assumed))
    return Fix(Relation.ASSUMES if assumed else Relation.CORRECTS, said, editor.edits)


# What a place is --------------------------------------------------------------------------------


def _attribute(text: str) -> str:
    found = attribute_of(ast.parse(text, mode="eval").body)
    assert found is not None
    return found


def _is_same(around: ast.AST, inner: ast.AST) -> bool:
    """Tell whether an expression is what is inside it, as far as a mean is concerned."""
    if isinstance(around, ast.Attribute):
        return around.attr in _SAME
    if isinstance(around, ast.Call):
        if around.func is inner:
            return not around.args
        name = getattr(around.func, "id", "")
        return name == "float" or (name == "max" and _has_constant(around.args))
    return isinstance(around, ast.BinOp) and isinstance(around.op, ast.Add)


def _has_constant(arguments: Sequence[ast.expr]) -> bool:
    return len(arguments) == 2 and any(
        isinstance(a, ast.Constant) and a.value in (1, 1.0) for a in arguments
    )


def _is_asked(module: Module, outer: ast.expr) -> bool:
    """Tell whether a condition only asks whether there was a batch at all."""
    inner: ast.AST = outer
    for around in module.ancestors(outer):
        if isinstance(around, (ast.If, ast.IfExp, ast.Assert)):
            return around.test is inner
        if isinstance(around, ast.Compare):
            bounds = [around.left, *around.comparators]
            if not all(b is inner or (isinstance(b, ast.Constant) and not b.value) for b in bounds):
                return False
        elif not isinstance(around, (ast.BoolOp, ast.UnaryOp)):
            return False
        inner = around
    return False
