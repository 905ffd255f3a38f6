"""What is left of a formula of batch means and counts when its parts are gathered for an epoch.

``2 * tp / (2 * tp + fp + fn)`` is right for an epoch when the counts are added up and the formula
is applied once; ``torch.exp(loss)`` when the losses are averaged with the number of targets that
each is the mean of. The formula is taken apart down to such counts and means.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lintmetrics.edits import CannotEdit, FunctionNode
from lintmetrics.model import repeats
from lintmetrics.model.flow import LightningClass
from lintmetrics.model.frames import Frame
from lintmetrics.model.logged_values import conditions, peeled
from lintmetrics.model.tensors import bindings, constant
from lintmetrics.model.values import Const, Form, Instance, Number, Value, options
from lintmetrics.tree import subtree

if TYPE_CHECKING:
    from lintmetrics.project import ClassInfo, Module

_SUMS = frozenset((Form.SUM, Form.HITS, Form.COUNT))
# Calls that are part of a formula: what they do to the degree in which it grows with the data.
_KEEPS = frozenset(
    ("float", "item", "detach", "cpu", "double", "clamp", "clamp_min", "nan_to_num", "abs", "max",
     "min", "tensor", "as_tensor", "round", "to", "maximum", "minimum", "clip", "squeeze", "int")
)  # fmt: skip
_ROOTS = frozenset(("sqrt",))
_OF_MEANS = frozenset(("exp", "log", "log2", "log10", "log1p", "expm1"))
_LIBRARIES = re.compile(r"(?:torch|numpy|math|builtins)\.(\w+)$")
_ELEMENTWISE = frozenset(
    ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "binary_cross_entropy",
     "binary_cross_entropy_with_logits")
)  # fmt: skip
_OF_CLASSES = frozenset(("cross_entropy", "nll_loss"))
_LOSSES = {
    "torch.nn.MSELoss": "mse_loss",
    "torch.nn.L1Loss": "l1_loss",
    "torch.nn.SmoothL1Loss": "smooth_l1_loss",
    "torch.nn.HuberLoss": "huber_loss",
    "torch.nn.BCELoss": "binary_cross_entropy",
    "torch.nn.BCEWithLogitsLoss": "binary_cross_entropy_with_logits",
    "torch.nn.CrossEntropyLoss": "cross_entropy",
    "torch.nn.NLLLoss": "nll_loss",
}
_HARMLESS = frozenset(
    ("reduction", "ignore_index", "label_smoothing", "pos_weight", "beta", "delta", "input",
     "target")
)  # fmt: skip


# Methods and functions that make one number of a tensor, which differs from batch to batch.
_OF_BATCH = frozenset(("mean", "std", "var", "median", "norm", "max", "min", "nanmean", "quantile"))


@dataclass(frozen=True)
class Part:
    """One number of each batch that is gathered over an epoch.

    Args:
        name: how the step calls it; empty when it is written in the formula itself.
        nodes: where it stands in the formula.
        is_mean: whether it is a mean (a sum otherwise).
        feed: the texts that the object which gathers it is given.
    """

    name: str
    nodes: tuple[ast.expr, ...]
    is_mean: bool
    feed: tuple[str, ...]


@dataclass
class Formula:
    """A formula and its parts.

    Args:
        module: the file; ``expression``: what is logged.
        statements: the statements that it is worked out with, in order.
        parts: what it is made of.
        uses_numpy: whether it calls functions that want plain numbers.
    """

    module: Module = field(repr=False)
    expression: ast.expr
    statements: list[ast.stmt] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    uses_numpy: bool = False


class _Watching(LightningClass):
    """A model that remembers what expressions stand for."""

    def __init__(self, cls: ClassInfo) -> None:
        self.seen: dict[ast.expr, list[Value]] = {}
        super().__init__(cls)

    def _eval(self, frame: Frame, node: ast.expr) -> Value:
        value = super()._eval(frame, node)
        known = self.seen.setdefault(node, [])
        if value not in known:
            known.append(value)
        return value


def _seen(cls: ClassInfo) -> dict[ast.expr, list[Value]]:
    known: dict[ast.expr, list[Value]] | None = cls.__dict__.get("_lm_seen")
    if known is None:
        known = cls.__dict__["_lm_seen"] = _Watching(cls).seen
    return known


def formula_of(
    cls: ClassInfo, module: Module, function: FunctionNode, logged: ast.stmt, expression: ast.expr
) -> Formula:
    """Return a logged expression as a formula of numbers that can be gathered.

    Args:
        cls: the class whose hooks lead to it; ``module``: the file.
        function: the function that logs it; ``logged``: the statement; ``expression``: the value.

    Raises:
        CannotEdit: a part of it cannot be gathered, or the result would not be that of the epoch;
            says which and what a person must decide.
    """
    reader = _Reader(cls, module, function, logged, expression)
    degree = reader.degree(expression)
    formula = reader.formula
    if not formula.parts:
        raise CannotEdit(f"nothing of the formula at line {expression.lineno} can be gathered")
    if degree not in (None, 0):
        raise CannotEdit(
            f"the formula at line {expression.lineno} grows with the number of samples; decide "
            "what it is to be on an epoch and compute that in the epoch-end hook"
        )
    formula.statements.sort(key=lambda statement: statement.lineno)
    return formula


class _Reader:
    """Takes a formula apart."""

    def __init__(
        self,
        cls: ClassInfo,
        module: Module,
        function: FunctionNode,
        logged: ast.stmt,
        expression: ast.expr,
    ) -> None:
        self.cls = cls
        self.module = module
        self.function = function
        self.logged = logged
        self.formula = Formula(module, expression)
        self.known: dict[str, float | None] = {}
        self.values = _seen(cls)

    # Degrees: 1 for what grows with the data, 0 for a mean, None for a constant ----------------

    def degree(self, node: ast.expr) -> float | None:
        """Return how an expression grows with the data, and note its parts."""
        if isinstance(node, ast.Constant):
            return None
        if isinstance(node, ast.Name):
            return self._name(node)
        if isinstance(node, ast.BinOp):
            return self._arithmetic(node)
        if isinstance(node, ast.UnaryOp):
            return self.degree(node.operand)
        if isinstance(node, ast.IfExp):
            self.degree(node.test)
            return self._same(node, [node.body, node.orelse])
        if isinstance(node, ast.Compare):
            for operand in (node.left, *node.comparators):
                self.degree(operand)
            return 0
        if isinstance(node, ast.BoolOp):
            for operand in node.values:
                self.degree(operand)
            return 0
        if isinstance(node, ast.Call):
            return self._call(node)
        if isinstance(node, ast.Attribute) and self._is_setting(node):
            return None
        return self._leaf(node, node, "")

    def _same(self, node: ast.expr, operands: list[ast.expr]) -> float | None:
        degrees = [d for d in [self.degree(operand) for operand in operands] if d is not None]
        if len(set(degrees)) > 1:
            raise CannotEdit(
                f"{self._text(node)} at line {node.lineno} adds a mean to a count; decide what it "
                "is to be on an epoch and compute that in the epoch-end hook"
            )
        return degrees[0] if degrees else None

    def _arithmetic(self, node: ast.BinOp) -> float | None:
        if isinstance(node.op, (ast.Add, ast.Sub)):
            return self._same(node, [node.left, node.right])
        left, right = self.degree(node.left), self.degree(node.right)
        if isinstance(node.op, ast.Pow):
            power = constant(self.module, node.right)
            if isinstance(power, (int, float)):
                return None if left is None else left * power
            if left in (None, 0) and right in (None, 0):
                return 0
        elif left is None and right is None:
            return None
        elif isinstance(node.op, ast.Mult):
            return (left or 0) + (right or 0)
        elif isinstance(node.op, ast.Div):
            return (left or 0) - (right or 0)
        raise self._unknown(node)

    def _call(self, node: ast.Call) -> float | None:
        func = node.func
        resolved = self.module.qualified(func)
        if resolved is None and isinstance(func, ast.Name):
            resolved = f"builtins.{func.id}"
        match = _LIBRARIES.match(resolved or "")
        name, operands = "", list(node.args)
        if match:
            name = match.group(1)
        elif resolved is None and isinstance(func, ast.Attribute):
            name, operands = func.attr, [func.value, *node.args]
        if name == "to" and operands:
            operands = operands[:1]
        steps = _KEEPS | _ROOTS | _OF_MEANS
        if name not in steps or not operands or isinstance(operands[0], ast.Starred):
            return self._leaf(node, node, "")
        if match and (resolved or "").startswith("numpy."):
            self.formula.uses_numpy = True
        for keyword in node.keywords:
            if keyword.arg not in ("dtype", "device"):
                self.degree(keyword.value)
        degree = self._same(node, operands)
        if name in _ROOTS:
            return None if degree is None else degree / 2
        if name in _OF_MEANS and degree not in (None, 0):
            raise CannotEdit(
                f"{self._text(node)} at line {node.lineno} is a {name} of a count; decide what it "
                "is to be on an epoch and compute that in the epoch-end hook"
            )
        return degree

    def _name(self, node: ast.Name) -> float | None:
        name = node.id
        if name not in self.module.scope_of(self.function):
            if self.module.binds(name) and constant(self.module, node) is ...:
                values = [o for v in self.values.get(node, ()) for o in options(v)]
                if not values or not all(isinstance(v, Const) for v in values):
                    raise self._unknown(node)
            return None
        if name in self.known:
            self._note(name, node)
            return self.known[name]
        bound = bindings(self.module, name, self.function)
        statement = bound[0] if len(bound) == 1 else None
        if len(bound) > 1:
            lines = ", ".join(str(b.lineno) for b in bound)
            raise CannotEdit(f"{name} is given more than one value (lines {lines})")
        value: ast.expr | None = None
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            value = statement.value if len(statement.targets) == 1 else None
        elif isinstance(statement, ast.AnnAssign):
            value = statement.value
        degree: float | None
        if value is None:
            degree = self._leaf(node, node, name)
        elif conditions(self.module, statement or node) != conditions(self.module, self.logged):
            raise CannotEdit(
                f"{name} is made at line {statement.lineno if statement else node.lineno} under "
                "another condition than it is logged"
            )
        elif self._is_leaf(peeled(self.module, value)):
            degree = self._leaf(peeled(self.module, value), node, name)
        else:
            degree = self.degree(value)
            assert statement is not None
            self.formula.statements.append(statement)
        self.known[name] = degree
        return degree

    def _note(self, name: str, node: ast.expr) -> None:
        """Remember one more place at which a part stands."""
        for index, part in enumerate(self.formula.parts):
            if part.name == name:
                nodes = (*part.nodes, node)
                self.formula.parts[index] = Part(name, nodes, part.is_mean, part.feed)

    def _is_leaf(self, node: ast.expr) -> bool:
        if isinstance(node, (ast.BinOp, ast.UnaryOp, ast.IfExp, ast.Constant, ast.Name)):
            return False
        if not isinstance(node, ast.Call):
            return self._form(node) is not None
        name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        name = name or (node.func.id if isinstance(node.func, ast.Name) else "")
        return name not in _KEEPS | _ROOTS | _OF_MEANS and self._form(node) is not None

    def _is_setting(self, node: ast.Attribute) -> bool:
        """Tell whether an attribute of the module is no data of the batch."""
        root: ast.expr = node
        while isinstance(root, ast.Attribute):
            root = root.value
        if not isinstance(root, ast.Name) or root.id != "self":
            return False
        return not any(
            isinstance(option, Number)
            for value in self.values.get(node, ())
            for option in options(value)
        )

    # Parts ---------------------------------------------------------------------------------------

    def _form(self, node: ast.expr) -> Form | None:
        """Return ``SUM`` or ``MEAN`` where that is what an expression surely is."""
        found = [option for value in self.values.get(node, ()) for option in options(value)]
        forms: set[Form] = set()
        for option in found:
            if not isinstance(option, Number):
                return None
            if any(o.kind != "functional" and o.verdict != "exact" for o in option.origins):
                return None
            if any(o.verdict not in ("exact", "weighted") for o in option.origins):
                return None
            forms.add(Form.SUM if option.form in _SUMS else option.form)
        return forms.pop() if len(forms) == 1 and forms <= {Form.SUM, Form.MEAN} else None

    def _leaf(self, made: ast.expr, stands: ast.expr, name: str) -> float:
        form = self._form(made) or self._form(stands)
        if form is None:
            raise self._unknown(stands)
        text = name or self._text(stands)
        if form is Form.SUM:
            self._require_additive(made, stands)
            feed: tuple[str, ...] = (text,)
        else:
            feed = self._mean(made, text)
        self.formula.parts.append(Part(name, (stands,), form is Form.MEAN, feed))
        return 1 if form is Form.SUM else 0

    def _require_additive(self, made: ast.expr, stands: ast.expr) -> None:
        """Refuse a sum of what is itself worked out from the whole batch."""
        waiting, known = [made, stands], set[str]()
        while waiting:
            top = waiting.pop()
            for inner in subtree(top):
                if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Load):
                    if inner.id in known or inner.id in ("self", "batch"):
                        continue
                    known.add(inner.id)
                    for statement in bindings(self.module, inner.id, self.function):
                        value = getattr(statement, "value", None)
                        if isinstance(value, ast.expr):
                            waiting.append(value)
                elif isinstance(inner, ast.Call) and self._is_of_batch(inner):
                    what = self._short(inner)
                    raise CannotEdit(
                        f"{what} at line {inner.lineno} is of one batch, so that sums of what is "
                        f"made with it are not those of the epoch; {self._instead()}"
                    )

    def _instead(self) -> str:
        expression = self.formula.expression
        if isinstance(expression, ast.Name):
            bound = bindings(self.module, expression.id, self.function)
            value = getattr(bound[0], "value", None) if len(bound) == 1 else None
            expression = value if isinstance(value, ast.expr) else expression
        if isinstance(expression, ast.BinOp) and isinstance(expression.op, ast.Sub):
            return "if this is R2, update torchmetrics.R2Score in the step and log the object"
        return "gather predictions and targets, and apply the formula in the epoch-end hook"

    def _is_of_batch(self, call: ast.Call) -> bool:
        """Tell whether a call makes one number of a whole batch, which a sum does not."""
        func = call.func
        name = func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")
        if name not in _OF_BATCH:
            return False
        named = {keyword.arg for keyword in call.keywords}
        resolved = self.module.qualified(func)
        whole = len(call.args) <= (0 if resolved is None else 1)
        return whole and not named & {"dim", "axis"}

    def _mean(self, made: ast.expr, text: str) -> tuple[str, ...]:
        """Return what an object is given so that it averages over what a mean averages."""
        refused = CannotEdit(
            f"what {self._short(made)} at line {made.lineno} averages over is not shown here; "
            "gather it in torchmetrics.MeanMetric with the number of its samples as weight, and "
            "apply the formula in the epoch-end hook"
        )
        if not isinstance(made, ast.Call):
            raise refused
        func = made.func
        resolved = self.module.qualified(func) or ""
        if resolved in ("torch.mean",) and len(made.args) == 1 and not made.keywords:
            return (self._again(made.args[0], made, text),)
        if isinstance(func, ast.Attribute) and func.attr == "mean" and not resolved:
            if made.args or made.keywords:
                raise refused
            return (self._again(func.value, made, text),)
        loss, given, held = self._loss(made)
        if not loss:
            raise refused
        named = {k.arg: k.value for k in made.keywords}
        target = named.get("target", made.args[1] if len(made.args) > 1 else None)
        settings = {k.arg: k.value for k in given.keywords}
        extra = len(made.args) > 2 or None in named or None in settings
        if target is None or extra or (held and given.args):
            raise refused
        if set(named) - _HARMLESS or set(settings) - _HARMLESS:
            odd = sorted(str(k) for k in (set(named) | set(settings)) - _HARMLESS)[0]
            raise CannotEdit(
                f"{self._short(made)} at line {made.lineno} is given {odd}=, and its mean is over "
                "the weights; decide whether the epoch's value is to be weighted alike"
            )
        goal = self._stable(target, made)
        self._require_repeatable(target)
        if loss in _ELEMENTWISE:
            return text, f"{self._tight(target, goal)}.numel()"
        ignored = settings.get("ignore_index", named.get("ignore_index"))
        number = constant(self.module, ignored) if ignored is not None else -100
        if isinstance(number, int):
            return text, f"({goal} != {number}).sum()"
        if held:
            return text, f"({goal} != {held}.ignore_index).sum()"
        assert ignored is not None
        return text, f"({goal} != {self._stable(ignored, made)}).sum()"

    def _loss(self, made: ast.Call) -> tuple[str, ast.Call, str]:
        """Return the function that a call of a loss is, the call with its settings, and the
        object that holds them."""
        resolved = self.module.qualified(made.func) or ""
        if resolved.startswith("torch.nn.functional."):
            name = resolved.rsplit(".", 1)[1]
            return (name if name in _ELEMENTWISE | _OF_CLASSES else ""), made, ""
        held = [o for v in self.values.get(made.func, ()) for o in options(v)]
        if len(held) == 1 and isinstance(held[0], Instance) and held[0].name in _LOSSES:
            return _LOSSES[held[0].name], held[0].call, self._text(made.func)
        return "", made, ""

    def _again(self, node: ast.expr, made: ast.expr, text: str) -> str:
        """Return the text of what a mean is of, which is written once more if the mean has a name.

        A mean that is written in the formula itself leaves the step with it.
        """
        if text != self._text(made):
            self._require_repeatable(node)
        return self._stable(node, made)

    def _require_repeatable(self, node: ast.expr) -> None:
        """Refuse to write a second time what must not be worked out twice."""
        call = repeats.unrepeatable(self.module, node)
        if call is not None:
            raise CannotEdit(
                f"{self._short(call)} at line {call.lineno} would be worked out a second time; "
                f"give {self._short(node)} a name in the step, and take the mean of that"
            )

    def _stable(self, node: ast.expr, made: ast.expr) -> str:
        """Return the text of an expression that still means the same where the value is logged."""
        for inner in subtree(node):
            if isinstance(inner, ast.Name) and inner.id != "self":
                later = [
                    b
                    for b in bindings(self.module, inner.id, self.function)
                    if b.lineno > made.lineno
                ]
                if later:
                    raise CannotEdit(
                        f"{inner.id} is given another value at line {later[0].lineno}, before the "
                        "log call"
                    )
        return self._text(node)

    @staticmethod
    def _tight(node: ast.expr, text: str) -> str:
        loose = (ast.BinOp, ast.UnaryOp, ast.IfExp, ast.Compare, ast.BoolOp)
        return f"({text})" if isinstance(node, loose) else text

    def _text(self, node: ast.expr) -> str:
        return " ".join(self.module.source.segment(node).split())

    def _short(self, node: ast.expr) -> str:
        text = self._text(node)
        return text if len(text) <= 50 else text[:47] + "..."

    def _unknown(self, node: ast.expr) -> CannotEdit:
        return CannotEdit(
            f"{self._short(node)} at line {node.lineno} is neither a count nor a mean whose weight "
            "is shown; decide what to gather of it, and apply the formula in the epoch-end hook"
        )
