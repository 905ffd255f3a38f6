"""Calls of metrics, read against the releases that they were written for.

``read`` binds the arguments of a call to the parameters of the release that took them, and says
which of them TorchMetrics 1.9 rejects, lacks or takes for others.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from lintmetrics import facts
from lintmetrics.facts import Move, ShiftedArgument, Signature
from lintmetrics.kept_answers import kept
from lintmetrics.model.tensors import constant
from lintmetrics.model.torchmetrics_versions import is_past, move_of
from lintmetrics.project import Module
from lintmetrics.tree import subtree

OLD_LIBRARY = "pytorch_lightning.metrics"
LIBRARY = "torchmetrics"
UNKNOWN = ...
_GUESSED = "0.10"  # The last release that guessed the task.
_STANDS_FOR = {"precision_recall": "precision"}  # Two functions of one signature take its place.

# Whole families that are gone; what their calls looked like is beside the point.
_WITHOUT_SUCCESSOR = (f"{OLD_LIBRARY}.sklearns.", f"{OLD_LIBRARY}.converters.")
# Keywords that every Metric of 1.9 takes.
_COMMON = frozenset(
    (
        "dist_sync_on_step",
        "process_group",
        "dist_sync_fn",
        "distributed_available_fn",
        "sync_on_compute",
        "compute_on_cpu",
        "compute_with_cache",
        "validate_args",
    )
)
_CLASS_OF = {
    "accuracy": "Accuracy", "f1_score": "F1Score", "fbeta_score": "FBetaScore",
    "precision": "Precision", "recall": "Recall", "specificity": "Specificity",
    "stat_scores": "StatScores", "hamming_distance": "HammingDistance",
    "confusion_matrix": "ConfusionMatrix", "cohen_kappa": "CohenKappa",
    "matthews_corrcoef": "MatthewsCorrCoef", "jaccard_index": "JaccardIndex",
    "auroc": "AUROC", "average_precision": "AveragePrecision", "roc": "ROC",
    "precision_recall_curve": "PrecisionRecallCurve", "hinge_loss": "HingeLoss",
    "calibration_error": "CalibrationError", "exact_match": "ExactMatch",
    "structural_similarity_index_measure": "StructuralSimilarityIndexMeasure",
    "multiscale_structural_similarity_index_measure": "MultiScaleStructuralSimilarityIndexMeasure",
    "error_relative_global_dimensionless_synthesis": "ErrorRelativeGlobalDimensionlessSynthesis",
}  # fmt: skip


@dataclass(frozen=True)
class Argument:
    """One argument of a call: its place, its value and the parameter it binds."""

    node: ast.expr | ast.keyword
    value: ast.expr
    parameter: str | None
    is_keyword: bool


@dataclass(frozen=True)
class MetricCall:
    """A call of a metric class or function, as the release that it was written for read it.

    Args:
        module: the file; ``node``: the call; ``name``: dotted name called.
        kind: ``"class"`` or ``"function"``.
        move: the row about the name, when 1.9 lacks it or only shims it.
        current: short name in 1.9 (the old one when there is none).
        arguments: all arguments in order.
        signature: parameters in 1.9, ``None`` when it has no such metric.
        lacks_task: 1.9 wants ``task=`` and the call has none.
        lacks_size: ``"num_classes"`` or ``"num_labels"`` that the task wants and the call lacks.
        removed: arguments that 1.9 rejects.
        misread: arguments that 1.9 takes for another parameter, with what is known of them.
        ambiguous: why the arguments cannot be bound to one release's parameters.
        bound: the ``functools.partial`` that the arguments stand in, where nothing is called yet.
        fed: a call of what ``bound`` makes.
        reference: where the metric is named, when the call goes through a value that holds it.
    """

    module: Module = field(repr=False)
    node: ast.Call
    name: str
    kind: str
    move: Move | None
    current: str
    arguments: tuple[Argument, ...]
    signature: Signature | None
    lacks_task: bool
    lacks_size: str
    removed: tuple[Argument, ...]
    misread: tuple[tuple[Argument, ShiftedArgument], ...]
    ambiguous: str
    bound: ast.Call | None = None
    fed: ast.Call | None = None
    reference: ast.Name | ast.Attribute | None = None

    @property
    def short(self) -> str:
        """The name called, without its module."""
        return self.name.rsplit(".", 1)[1]

    @property
    def of_old_library(self) -> bool:
        """Whether it is called from ``pytorch_lightning.metrics``."""
        return self.name.startswith(OLD_LIBRARY)

    @property
    def is_gone(self) -> bool:
        """Whether 1.9 has nothing under the name called."""
        return self.move is not None and self.move.status != "deprecated"

    @property
    def lacks_required(self) -> tuple[str, ...]:
        """What 1.9 requires, the task apart, and a call that is right otherwise does not have."""
        hidden = any(argument.parameter is None for argument in self.arguments)
        if self.signature is None or self.move is not None or self.is_old or hidden:
            return ()
        given = {argument.parameter for argument in self.arguments}
        sizes = {"task", self.lacks_size}
        return tuple(p for p in required_of(self.signature) if p not in given | sizes)

    @property
    def is_old(self) -> bool:
        """Whether the call can only have been written for a release before 0.11."""
        return self.is_gone or self.lacks_task or bool(self.removed)

    @property
    def family(self) -> str:
        """The class name that stands for the metric in tables, for functions too."""
        return _CLASS_OF.get(self.current, self.current)

    def argument(self, parameter: str) -> Argument | None:
        """Return the argument bound to a parameter."""
        return next((a for a in self.arguments if a.parameter == parameter), None)

    def literal(self, parameter: str) -> object:
        """Return an argument's literal value; ``...`` when absent or not a literal."""
        argument = self.argument(parameter)
        return UNKNOWN if argument is None else constant(self.module, argument.value)


def kind_of(name: str) -> str:
    """Tell a metric class from a function by its dotted name."""
    move = facts.moves().get(name)
    if move is not None:
        return move.kind
    return "class" if name.rsplit(".", 1)[1][:1].isupper() else "function"


def read(module: Module, node: ast.Call, name: str) -> MetricCall | None:
    """Return a metric call with its arguments bound; ``None`` when it is no metric's."""
    cache: dict[ast.Call, MetricCall | None] = module.__dict__.setdefault("_lm_metric_calls", {})
    if node not in cache:
        cache[node] = _read(module, node, name)
    return cache[node]


def current_signature(name: str, kind: str) -> Signature | None:
    """Return the parameters of a metric in 1.9, ``None`` when it has no such metric."""
    found = facts.signatures(LIBRARY, name, kind)
    return found[-1] if found and found[-1].last.startswith("1.") else None


def _read(module: Module, node: ast.Call, name: str) -> MetricCall | None:
    if not name.startswith((LIBRARY + ".", OLD_LIBRARY + ".")) or is_guarded(module, node):
        return None
    if name.startswith(_WITHOUT_SUCCESSOR):
        return None
    short = name.rsplit(".", 1)[1]
    move = move_of(name, module.project)
    kind = kind_of(name)
    current = move.new.rsplit(".", 1)[1] if move is not None and move.new else short
    current = _STANDS_FOR.get(short, current)
    library = OLD_LIBRARY if name.startswith(OLD_LIBRARY) else LIBRARY
    new_kind = kind
    if move is not None and move.new:
        new_kind = "class" if current[:1].isupper() else "function"
    signature = current_signature(current, new_kind)
    known = facts.signatures(library, short, kind)
    if library == OLD_LIBRARY:
        known += facts.signatures(LIBRARY, short, kind)
    if not known and signature is None:
        return None
    old = [s for s in known if not is_current(s) and "task" not in required_of(s)]
    is_gone = library == OLD_LIBRARY or (move is not None and move.status != "deprecated")
    lacks_task = _lacks_task(module, node, signature, kind, is_gone)
    # More positional arguments than 1.9 takes: they are an older release's.
    overflows = signature is not None and len(node.args) > len(signature.parameters) and bool(old)
    if is_gone or lacks_task or overflows or signature is None:
        arguments, ambiguous = _bind(module, node, old or list(known), library, current)
    else:
        arguments, ambiguous = _bind(module, node, [signature], library, current)
    removed = tuple(
        argument
        for argument in arguments
        if argument.parameter is not None
        and _is_removed(argument.parameter, signature, current, short, kind, known)
        and (argument.is_keyword or is_gone or lacks_task or overflows)
        and _is_past(module, current, argument.parameter)
    )
    shifted: list[tuple[Argument, ShiftedArgument]] = []
    if signature is not None and not is_gone and not lacks_task:
        shifted = _misread(module, arguments, current)
    return MetricCall(
        module,
        node,
        name,
        kind,
        move,
        current,
        arguments,
        signature,
        lacks_task,
        "" if is_gone or lacks_task or shifted else _lacks_size(module, node, arguments, signature),
        removed,
        tuple(shifted),
        ambiguous,
    )


def wants_task(name: str) -> bool:
    """Tell whether 1.9 cannot call a metric, by its dotted name, without a task."""
    signature = current_signature(name.rsplit(".", 1)[1], kind_of(name))
    return signature is not None and "task" in required_of(signature)


def is_current(signature: Signature) -> bool:
    """Tell whether a signature is that of TorchMetrics 1.x."""
    return signature.library == LIBRARY and signature.last.startswith("1.")


def required_of(signature: Signature) -> tuple[str, ...]:
    """Return the parameters without a default."""
    return tuple(p.name for p in signature.parameters if p.default is None)


_GUARD = re.compile(r"version|VERSION|Version|_GREATER|_LESS|_(?:GE|GT|LE|LT)_?\d")


def _tests_a_version(module: Module, test: ast.expr, depth: int = 0) -> bool:
    """Tell whether a test asks for a version, itself or by the flags of the file that it names."""
    for node in subtree(test):
        name = getattr(node, "id", getattr(node, "attr", ""))
        if isinstance(name, str) and _GUARD.search(name):
            return True
        if isinstance(node, ast.Name) and depth < 2:
            # parts = version.split("."); is_new = int(parts[0]) >= 2; if is_new: ...
            flag = _flags(module).get(node.id)
            is_test = isinstance(flag, (ast.Compare, ast.BoolOp, ast.UnaryOp)) or depth == 1
            if flag is not None and is_test and _tests_a_version(module, flag, depth + 1):
                return True
    return False


@kept
def _flags(module: Module) -> dict[str, ast.expr]:
    """Return what a file gives the names that it assigns at its top."""
    return {
        target.id: statement.value
        for statement in module.tree.body
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Name)
    }


@kept
def _left_by_version(
    module: Module, function: ast.FunctionDef | ast.AsyncFunctionDef
) -> int | None:
    """Return the line of the first `if` of a body that returns after a version test."""
    for statement in function.body:
        if (
            isinstance(statement, ast.If)
            and isinstance(statement.body[-1], ast.Return)
            and _tests_a_version(module, statement.test)
        ):
            return statement.lineno
    return None


def is_guarded(module: Module, node: ast.AST) -> bool:
    """Tell whether code runs only where a version test or a failed import allows it."""
    below: ast.AST = node
    for ancestor in module.ancestors(node):
        if isinstance(ancestor, (ast.If, ast.IfExp)) and below is not ancestor.test:
            if _tests_a_version(module, ancestor.test):
                return True
        elif isinstance(ancestor, (ast.FunctionDef, ast.AsyncFunctionDef)):
            # if version >= ...: return the new call; what follows is for the old release.
            left = _left_by_version(module, ancestor)
            if left is not None and isinstance(below, ast.stmt) and left < below.lineno:
                return True
        elif isinstance(ancestor, ast.Try) and (
            below in ancestor.body or isinstance(below, ast.ExceptHandler)
        ):
            handlers = [one for one in ancestor.handlers if not _only_complains(one)]
            caught = {
                getattr(inner, "id", getattr(inner, "attr", ""))
                for handler in handlers
                if handler.type is not None
                for inner in subtree(handler.type)
            }
            imports = any(isinstance(s, (ast.Import, ast.ImportFrom)) for s in ancestor.body)
            errors = {"ImportError", "ModuleNotFoundError", "AttributeError", "TypeError"}
            bare = any(handler.type is None for handler in handlers)
            if caught & errors or (imports and (bare or "Exception" in caught)):
                return True
        below = ancestor
    return False


def _only_complains(handler: ast.ExceptHandler) -> bool:
    """Tell whether a handler raises in any case, so that the program ends there as well."""
    leaves = (ast.Return, ast.Break, ast.Continue)
    return isinstance(handler.body[-1], ast.Raise) and not any(
        isinstance(node, leaves) for one in handler.body for node in subtree(one)
    )


def _lacks_task(
    module: Module, node: ast.Call, signature: Signature | None, kind: str, is_gone: bool
) -> bool:
    if signature is None or "task" not in required_of(signature):
        return False
    if not is_past(_GUESSED, module.project):
        return False
    if any(keyword.arg == "task" for keyword in node.keywords):
        return False
    place = signature.names.index("task")
    starred = any(isinstance(argument, ast.Starred) for argument in node.args)
    if starred or any(keyword.arg is None for keyword in node.keywords):
        return is_gone and not starred and not any(k.arg is None for k in node.keywords)
    if len(node.args) <= place:
        return True
    value = constant(module, node.args[place])
    if value is not UNKNOWN:
        return not isinstance(value, str)
    if is_gone:
        return True
    text = ast.unparse(node.args[place])
    return re.search(r"class|label|thresh|output|beta", text, re.I) is not None


def _lacks_size(
    module: Module,
    node: ast.Call,
    arguments: tuple[Argument, ...],
    signature: Signature | None,
) -> str:
    """Return the number that a call with a task lacks."""
    if signature is None or "task" not in required_of(signature):
        return ""
    if any(argument.parameter is None for argument in arguments):
        return ""
    given = {argument.parameter: argument for argument in arguments}
    task = given.get("task")
    wanted = {"multiclass": "num_classes", "multilabel": "num_labels"}
    name = wanted.get(str(constant(module, task.value)).lower()) if task is not None else None
    if name is None or name not in signature.names:
        return ""
    size = given.get(name)
    return name if size is None or constant(module, size.value) is None else ""


def _bind(
    module: Module, node: ast.Call, candidates: list[Signature], library: str, current: str
) -> tuple[tuple[Argument, ...], str]:
    keywords = {keyword.arg for keyword in node.keywords if keyword.arg}
    fitting = [
        s
        for s in candidates
        if len(node.args) <= len(s.parameters) and (s.takes_any or keywords <= set(s.names))
    ]
    own = [s for s in fitting if s.library == library]
    fitting = own or fitting
    usable = fitting or [s for s in candidates if len(node.args) <= len(s.parameters)]
    arguments: list[Argument] = []
    ambiguous = ""
    for index, value in enumerate(node.args):
        if isinstance(value, ast.Starred):
            arguments.append(Argument(value, value, None, False))
            ambiguous = ambiguous or f"*{ast.unparse(value.value)} hides the arguments"
            continue
        names = list(dict.fromkeys(s.parameters[index].name for s in usable))
        if len(names) > 1:
            plausible = [n for n in names if _fits(module, value, usable, index, n)]
            names = plausible or names
        if len({_renamed(current, name) for name in names}) > 1 and not ambiguous:
            ambiguous = (
                f"argument {index + 1} is {' or '.join(names)} by release; "
                f"name it, as in {names[0]}={ast.unparse(value)}"
            )
        arguments.append(Argument(value, value, names[0] if names else None, False))
    for keyword in node.keywords:
        arguments.append(Argument(keyword, keyword.value, keyword.arg, True))
    return tuple(arguments), ambiguous


def _renamed(metric: str, parameter: str) -> str:
    change = facts.argument_change(metric, parameter)
    return change.new if change is not None and change.action == "rename" else parameter


def _fits(
    module: Module, value: ast.expr, candidates: list[Signature], index: int, name: str
) -> bool:
    """Tell whether a literal has the type that a parameter's default has."""
    literal = constant(module, value)
    if literal is UNKNOWN:
        text = ast.unparse(value)
        return not re.search(r"class|label", text) or "class" in name or name == "num_labels"
    for signature in candidates:
        parameter = signature.parameters[index]
        if parameter.name != name:
            continue
        if parameter.default in (None, "None"):
            return not isinstance(literal, (bool, str)) or name in ("task", "average")
        try:
            default = ast.literal_eval(parameter.default)
        except (ValueError, SyntaxError):
            return True
        if isinstance(default, bool) or isinstance(literal, bool):
            return isinstance(default, bool) and isinstance(literal, bool)
        if isinstance(default, str) or isinstance(literal, str):
            return isinstance(default, str) and isinstance(literal, str)
        if isinstance(default, float) and isinstance(literal, int):
            return literal in (0, 1) or name == "beta"
        return True
    return False


_SPECIAL_ARGUMENTS = frozenset(
    ("multilabel", "is_multiclass", "multiclass", "subset_accuracy", "absent_score", "pos_label",
     "sample_weights", "sample_weight", "return_state", "reduction", "num_classes")
)  # fmt: skip


def _is_removed(
    parameter: str,
    signature: Signature | None,
    current: str,
    short: str,
    kind: str,
    known: tuple[Signature, ...],
) -> bool:
    if signature is None:
        return False
    accepted = set(signature.names)
    if kind == "class":
        accepted |= _COMMON
    if "task" in signature.names:
        for task in ("Binary", "Multiclass", "Multilabel"):
            for other in facts.signatures(LIBRARY, task + current, kind):
                if other.last.startswith("1."):
                    accepted |= set(other.names)
        accepted.discard("task")
        accepted.add("task")
    if parameter in accepted:
        return False
    if facts.argument_change(current, parameter) is not None:
        return kind == "class" or parameter != "compute_on_step"
    releases = (*known, *facts.signatures(LIBRARY, current, kind))
    return any(parameter in s.names for s in releases if not is_current(s))


def _is_past(module: Module, current: str, parameter: str) -> bool:
    """Tell whether the target takes an argument no longer that some release took."""
    change = facts.argument_change(current, parameter)
    return change is None or is_past(change.until, module.project)


def _misread(
    module: Module, arguments: tuple[Argument, ...], current: str
) -> list[tuple[Argument, ShiftedArgument]]:
    """Return positional arguments that were written for another parameter than 1.9 reads."""
    found = []
    for row in facts.shifted_arguments(current):
        if row.position >= len(arguments) or arguments[row.position].is_keyword:
            continue
        if not is_past(row.until, module.project):
            continue
        value = constant(module, arguments[row.position].value)
        plain_int = isinstance(value, int) and not isinstance(value, bool)
        if (
            (row.literal == "int" and plain_int)
            or (row.literal == "count" and isinstance(value, int) and value > 1)
            or (row.literal == "bool" and isinstance(value, bool))
            or (row.literal == "float" and isinstance(value, float))
            or (row.literal == "tuple" and isinstance(value, (tuple, list)))
            or (isinstance(value, str) and value in row.literal.split("|"))
        ):
            found.append((arguments[row.position], row))
    return found


def metric_calls(module: Module) -> Iterator[MetricCall]:
    """Yield every metric call of a file."""
    for node in module.calls:
        name = module.qualified(node.func)
        if name is not None:
            call = read(module, node, name)
            if call is not None:
                yield call
