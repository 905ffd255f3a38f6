"""What the call of a metric has to become so that TorchMetrics 1.9 answers the same number.

``migrate`` says it, or says why a person must decide. The tables of ``lintmetrics.facts`` hold what
changed; here is only how to apply them.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field

from lintmetrics import facts
from lintmetrics.codemod import Relation
from lintmetrics.edits import default_of
from lintmetrics.model import evidence
from lintmetrics.model.evidence import Evidence, Inputs
from lintmetrics.model.metric_api import (
    LIBRARY,
    OLD_LIBRARY,
    UNKNOWN,
    Argument,
    MetricCall,
    current_signature,
    is_current,
    required_of,
)
from lintmetrics.model.tensors import Tensor, bindings, constant
from lintmetrics.project import Module
from lintmetrics.tree import own_nodes, subtree

_THRESHOLDED = frozenset(
    ("Accuracy", "F1Score", "FBetaScore", "Precision", "Recall", "Specificity", "StatScores",
     "HammingDistance", "ConfusionMatrix", "CohenKappa", "MatthewsCorrCoef", "JaccardIndex",
     "ExactMatch")
)  # fmt: skip
_SCORED = frozenset(("AUROC", "AveragePrecision", "ROC", "PrecisionRecallCurve",
                     "RecallAtFixedPrecision"))  # fmt: skip
_HARD_LABELS = frozenset(("ConfusionMatrix", "CohenKappa", "MatthewsCorrCoef"))


@dataclass
class Migration:
    """What a call has to become in 1.9.

    Args:
        target: dotted name to call, when it is not the plain successor of the old name.
        changed: new text of an argument, by its place; ``None`` takes it out.
        first: arguments to add in front; ``last``: arguments to add behind.
            relation: what happens to the number.
        notes: facts a reader of the diff needs.
        blocked: why there is no such call; empty when there is.
        task: the task that was chosen.
    """

    target: str = ""
    changed: dict[int, str | None] = field(default_factory=dict)
    first: list[str] = field(default_factory=list)
    last: list[str] = field(default_factory=list)
    before: str = ""
    after: str = ""
    elsewhere: list[tuple[ast.expr, str]] = field(default_factory=list)
    twice: tuple[str, str] | None = None
    relation: Relation = Relation.PRESERVES
    notes: list[str] = field(default_factory=list)
    blocked: str = ""
    task: str = ""

    def note(self, text: str, relation: Relation = Relation.PRESERVES) -> None:
        """Add a fact, and lower the relation to what it allows."""
        if text not in self.notes:
            self.notes.append(text)
        order = list(Relation)
        self.relation = max(self.relation, relation, key=order.index)

    @property
    def is_idle(self) -> bool:
        """Whether the call stays as it is."""
        return not (
            self.target
            or self.changed
            or self.first
            or self.last
            or self.before
            or self.after
            or self.elsewhere
            or self.twice
        )


def quote_of(module: Module) -> str:
    """Return the quotation mark that a file uses most."""
    known: str | None = module.__dict__.get("_lm_quote")
    if known is None:
        code = module.source.code
        known = "'" if code.count("'") > code.count('"') else '"'
        module.__dict__["_lm_quote"] = known
    return known


_NAMES_BY_CLASS = re.compile(
    r"MetricCollection\(\s*(?!\{|\[\s*\]|\))"
    r"|metric\w*\.__class__\.__name__|type\(\w*metric\w*\)\.__name__"
    r"|\.__class__\.__name__\)?\.lower\("
)


def _is_named_by_class(call: MetricCall) -> bool:
    """Tell whether a metric may get to where its class gives it a key.

    With a task the object is of another class, and the key of a MetricCollection another.
    """
    module = call.module
    node: ast.AST = call.node
    parent = module.parent(node)
    while isinstance(parent, (ast.IfExp, ast.BoolOp, ast.List, ast.Tuple)):
        node, parent = parent, module.parent(parent)
    if isinstance(parent, (ast.Assign, ast.AnnAssign)):
        targets = parent.targets if isinstance(parent, ast.Assign) else [parent.target]
        if any(_is_collected(module, ast.unparse(target)) for target in targets):
            return True
        if not any(_is_handed_on(module, target) for target in targets):
            return False
    elif isinstance(parent, ast.Call):
        if parent.func is node or _is_of_library(module, parent):
            return False
    elif not isinstance(parent, (ast.Return, ast.arguments)):
        return False
    known: dict[str, bool] = module.project.__dict__
    if "_lm_names_by_class" not in known:
        known["_lm_names_by_class"] = bool(module.project.mentioning(_NAMES_BY_CLASS))
    return known["_lm_names_by_class"]


def _is_of_library(module: Module, call: ast.Call) -> bool:
    return (module.qualified(call.func) or "").startswith((LIBRARY, OLD_LIBRARY, "torch."))


def _is_handed_on(module: Module, target: ast.expr) -> bool:
    """Tell whether a local variable is an argument of a call of the project's own."""
    function = module.enclosing_function(target)
    if function is None or not isinstance(target, ast.Name):
        return False
    return any(
        isinstance(node, ast.Call)
        and not _is_of_library(module, node)
        and any(
            isinstance(given, ast.Name) and given.id == target.id
            for given in (*node.args, *(keyword.value for keyword in node.keywords))
        )
        for node in own_nodes(function)
    )


def _is_collected(module: Module, name: str) -> bool:
    """Tell whether a variable goes into a MetricCollection that has no keys of its own."""
    for node in module.calls:
        if not (module.qualified(node.func) or "").endswith(".MetricCollection"):
            continue
        for argument in node.args:
            given = argument.elts if isinstance(argument, (ast.List, ast.Tuple)) else [argument]
            if any(ast.unparse(item) == name for item in given):
                return True
    return False


class _Stop(Exception):
    """A person must decide; the message says what."""


def migrate(call: MetricCall, at: ast.AST | None = None) -> Migration:
    """Return what a call has to become in 1.9.

    Args:
        call: the call; ``at``: where added arguments must be valid, when that is not the call
            itself but the place at which an object is created for it.
    """
    cache: dict[tuple[ast.Call, ast.AST | None], Migration]
    cache = call.module.__dict__.setdefault("_lm_migrations", {})
    if (call.node, at) not in cache:
        plan = Migration()
        try:
            _Planner(call, plan, at).run()
        except _Stop as stop:
            plan.blocked = str(stop)
        cache[call.node, at] = plan
    return cache[call.node, at]


def _had_effect(call: MetricCall, parameter: str) -> bool:
    """Tell whether a release before 0.10 knew an argument, which 0.8 on would have swallowed."""
    known = [
        signature
        for library in (LIBRARY, OLD_LIBRARY)
        for name in (call.short, call.current)
        for signature in facts.signatures(library, name, call.kind)
        if not is_current(signature) and not signature.first.startswith(("0.10", "0.11"))
    ]
    return not known or any(parameter in signature.names for signature in known)


class _Planner:
    def __init__(self, call: MetricCall, plan: Migration, at: ast.AST | None) -> None:
        self.call = call
        self.at = at
        self.plan = plan
        self.module = call.module
        self.gone: set[int] = set()  # Arguments dealt with one by one.
        self.renamed: dict[int, str] = {}
        self.values: dict[int, str] = {}
        self.size_added = ""
        self.quote = quote_of(self.module)

    # Small steps --------------------------------------------------------------------------

    def text(self, node: ast.AST) -> str:
        return self.module.source.segment(node)

    def string(self, value: str) -> str:
        return f"{self.quote}{value}{self.quote}"

    def index(self, parameter: str) -> int | None:
        for index, argument in enumerate(self.call.arguments):
            if argument.parameter == parameter:
                return index
        return None

    def drop(self, parameter: str) -> None:
        index = self.index(parameter)
        if index is not None:
            self.plan.changed[index] = None
            self.gone.add(index)

    def literal(self, parameter: str) -> object:
        return self.call.literal(parameter)

    def has(self, parameter: str) -> bool:
        return self.index(parameter) is not None

    # The plan -----------------------------------------------------------------------------

    def run(self) -> None:
        call = self.call
        move = call.move
        if call.is_gone and move is not None and not move.new and call.short not in _SPECIAL:
            raise _Stop(f"{call.short} has no successor in 1.9: {move.remark}")
        if call.ambiguous and call.is_old:
            raise _Stop(call.ambiguous)
        handler = _SPECIAL.get(call.short)
        if handler is not None and (call.is_gone or call.move is not None):
            handler(self)
        for argument, row in call.misread:
            if not row.fixable:
                raise _Stop(f"{row.text}; name the argument or drop it")
            self.plan.note(row.text)
            self.plan.changed[call.arguments.index(argument)] = (
                f"{row.old}={self.text(argument.value)}"
            )
        self.arguments()
        if call.lacks_task or self.plan.twice:
            self.task()
        elif call.lacks_size:
            self.size()
        if call.is_old or (call.move is not None):
            self.value_changes(self.evidence() if self.plan.task else None)
        self.assemble()

    def evidence(self) -> Evidence:
        if not hasattr(self, "_evidence"):
            call = self.call
            if call.kind == "class":
                found = evidence.of_metric(call.module, call.node)
            else:
                pair = self.pair()
                found = (
                    Evidence()
                    if pair is None
                    else evidence.of_function(call.module, call.node, *pair, self.at)
                )
            self._evidence = found
        return self._evidence

    def pair(self) -> tuple[ast.expr, ast.expr] | None:
        preds = next(
            (a for n in ("preds", "pred", "x") if (a := self.call.argument(n)) is not None), None
        )
        target = next(
            (a for n in ("target", "y") if (a := self.call.argument(n)) is not None), None
        )
        return None if preds is None or target is None else (preds.value, target.value)

    def arguments(self) -> None:
        """Deal with every argument that 1.9 lacks, names otherwise or reads otherwise."""
        call = self.call
        for index, argument in enumerate(call.arguments):
            parameter = argument.parameter
            if parameter is None or index in self.gone:
                continue
            value = constant(self.module, argument.value)
            change = facts.argument_change(call.current, parameter)
            if argument in call.removed or (change is not None and change.action == "keep"):
                self.removed_argument(index, argument, value, change)

    def removed_argument(
        self,
        index: int,
        argument: Argument,
        value: object,
        change: facts.ArgumentChange | None,
    ) -> None:
        parameter = argument.parameter or ""
        drop_when = _HARMLESS.get(parameter)
        if drop_when is not None:
            if value in drop_when and value is not UNKNOWN:
                self.drop(parameter)
                return
            self.special_value(index, parameter, value)
            return
        if change is None or change.action == "decide":
            raise _Stop(
                f"{parameter} is gone in 1.9 and nothing takes its place; "
                f"decide whether {self.call.current} is right without it"
            )
        if change.action == "drop":
            self.plan.note(change.text)
            self.drop(parameter)
            return
        if change.values and value is not UNKNOWN:
            spelled = str(value)
            if spelled in change.values:
                new = change.values[spelled]
                if not new:
                    self.drop(parameter)
                    return
                self.values[index] = "None" if new == "None" else self.string(new)
            elif parameter in ("reduction", "reduce"):
                raise _Stop(f"{parameter}={spelled!r} has no one argument in 1.9: {change.text}")
        elif change.values and parameter in ("reduction", "reduce", "normalize"):
            if change.action == "keep" and value is UNKNOWN:
                return
            raise _Stop(f"the value of {parameter} is not a literal: {change.text}")
        if change.action == "keep":
            if index not in self.values:
                return
        elif parameter == "mdmc_average" or parameter == "mdmc_reduce":
            if value == "samplewise":
                if self.call.kind == "function" and self.literal("average") in ("micro", UNKNOWN):
                    self.plan.after += ".mean()"
                else:
                    raise _Stop(
                        "samplewise scores were averaged before and come one per sample now; "
                        "set multidim_average='samplewise' and take .mean() where the value is read"
                    )
            elif value is UNKNOWN:
                raise _Stop(
                    f"the value of {parameter} is not a literal; with 'samplewise' 1.9 gives one "
                    "score per sample"
                )
        if change.action == "rename":
            self.renamed[index] = change.new
            if not self.call.arguments[index].is_keyword:
                return  # By its place, nothing of it is written.
        if change.text:
            self.plan.note(change.text)

    def special_value(self, index: int, parameter: str, value: object) -> None:
        call = self.call
        if parameter in ("multiclass", "is_multiclass"):
            if value is UNKNOWN:
                raise _Stop(f"the value of {parameter} decides the task and is not a literal")
            self.drop(parameter)
        elif parameter == "multilabel":
            if value is UNKNOWN:
                raise _Stop("the value of multilabel decides the task and is not a literal")
            self.drop(parameter)
        elif parameter == "subset_accuracy":
            if value is UNKNOWN:
                raise _Stop("the value of subset_accuracy is not a literal")
            self.drop(parameter)
            self.drop("average")
            self.drop("top_k")
            name = "ExactMatch" if call.kind == "class" else "exact_match"
            root = LIBRARY if call.kind == "class" else f"{LIBRARY}.functional"
            self.plan.target = f"{root}.{name}"
            self.plan.note("subset_accuracy=True is ExactMatch since 0.11")
        elif parameter == "absent_score":
            raise _Stop(
                "absent_score is gone; MulticlassJaccardIndex(average='none', "
                "zero_division=absent_score) and .mean() of its value gives the same number"
            )
        elif parameter == "pos_label":
            raise _Stop(
                "pos_label is gone and 1 is meant; for another class feed 1 - target"
                if value == 0
                else "pos_label is gone; 1.9 scores the class 1"
            )
        elif parameter == "return_state":
            raise _Stop("return_state is gone; a metric object keeps its states itself")
        else:
            raise _Stop(f"{parameter} is gone in 1.9 and nothing takes its place")

    # Task ---------------------------------------------------------------------------------

    def task(self) -> None:
        call = self.call
        found = self.evidence()
        for parameter in ("average", "ignore_index", "top_k"):
            if self.has(parameter) and not _had_effect(call, parameter):
                raise _Stop(
                    f"{parameter} had no effect on {call.short} up to 0.10 and has one now; drop "
                    "it to keep the number"
                )
        decided = _decide(call, found)
        if decided.blocked:
            raise _Stop(decided.blocked)
        task = decided.task
        supported = self.supported()
        family = "ExactMatch" if self.plan.target.endswith(("ExactMatch", "exact_match")) else None
        if family and task == "binary":
            raise _Stop("ExactMatch has no binary task; subset accuracy of one label is Accuracy")
        if task not in supported:
            raise _Stop(f"{call.current} has no {task} task in 1.9")
        self.plan.task = task
        if decided.casts:
            self.cast_scores(found)
        added = [f"task={self.string(task)}"]
        index = self.index("num_classes")
        given = index is not None and self.literal("num_classes") is not None
        if task == "binary":
            self.drop("num_classes")
            if self.has("average") and self.index("average") not in self.gone:
                self.drop("average")
            if self.literal("top_k") in (None, 1):
                self.drop("top_k")
        else:
            parameter = "num_classes" if task == "multiclass" else "num_labels"
            if given and index is not None:
                self.renamed[index] = parameter
            elif self.has("num_labels") and task == "multilabel":
                pass
            else:
                unsure = not decided.size or (found.proof and not decided.proof)
                if unsure and self.counts_no_classes(task):
                    return
                if not decided.size:
                    raise _Stop(
                        f"{parameter} is required for task={task!r} and the code does not say how "
                        f"many there are; add task={task!r}, {parameter}=..."
                    )
                if index is not None:
                    self.values[index] = decided.size
                    self.renamed[index] = parameter
                else:
                    added.append(f"{parameter}={decided.size}")
            if task == "multiclass" and decided.size in ("0", "1"):
                why = decided.size_why or decided.why
                raise _Stop(f"task='multiclass' wants two classes at least, and {why}")
        if task != "multiclass" and self.has("top_k") and self.literal("top_k") is None:
            self.drop("top_k")
        if not decided.proof:
            why = "; ".join(dict.fromkeys(w for w in (decided.why, decided.size_why) if w))
            self.plan.note(f"task={task!r}, because {why}", Relation.ASSUMES)
        if call.kind == "class" and _is_named_by_class(call):
            self.plan.note(
                f"what names it by its class finds {task.capitalize()}{call.current}; assumes that "
                "no key depends on it",
                Relation.ASSUMES,
            )
        (self.plan.first if call.kind == "class" else self.plan.last).extend(added)

    def size(self) -> None:
        """Add the number of classes to a call that names its task and no more."""
        call, found = self.call, self.evidence()
        literal = self.literal("task")
        if not found.size or found.task not in (None, literal):
            raise _Stop(f"{call.lacks_size} is required with this task; say {call.lacks_size}=")
        if not found.size_proof:
            note = f"{call.lacks_size}={found.size}, because {found.size_why}"
            self.plan.note(note, Relation.ASSUMES)
        index = self.index(call.lacks_size)
        if index is not None:
            self.values[index] = found.size
        else:
            self.plan.last.append(f"{call.lacks_size}={found.size}")

    def counts_no_classes(self, task: str) -> bool:
        """Use the metrics that need no number of classes: micro ones of 1.6.2 and later."""
        call = self.call
        plain = self.literal("average") in (UNKNOWN, "micro") and not self.plan.target
        given = [p for p in ("top_k", "ignore_index", "average") if self.has(p)]
        able = call.family == "Accuracy" or (
            call.kind == "class" and call.family in ("Precision", "Recall")
        )
        if not able or task != "multiclass" or not plain:
            return False
        if any(p != "average" and self.literal(p) is not None for p in given):
            return False
        for parameter in ("num_classes", "top_k", "ignore_index", "threshold"):
            self.drop(parameter)
        decided = _decide(call, self.evidence())
        if not decided.proof and not self.evidence().proof:
            self.plan.note(f"task={task!r}, because {decided.why}", Relation.ASSUMES)
        added = [] if self.has("average") else [f"average={self.string('micro')}"]
        package = f"{LIBRARY}.classification"
        if call.kind == "class":
            self.plan.target = f"{package}.Multiclass{call.family}"
            self.plan.first.extend(added)
        else:
            self.plan.target = f"{LIBRARY}.functional.classification.multiclass_accuracy"
            self.plan.last.extend(added)
        self.plan.note("the micro average over classes needs no num_classes since 1.6.2")
        return True

    def cast_scores(self, found: Evidence) -> None:
        """Turn integer scores, which 1.9 rejects, into floats where the metric is fed."""
        for pair in found.inputs:
            if pair.preds is None or pair.preds.kind == "float":
                continue
            argument = pair.scores
            simple = isinstance(argument, (ast.Name, ast.Attribute, ast.Call, ast.Subscript))
            text = self.text(argument) if simple else f"({self.text(argument)})"
            if pair.node is not self.call.node:
                self.plan.elsewhere.append((argument, f"{text}.float()"))
                continue
            for index, given in enumerate(self.call.arguments):
                if given.value is argument:
                    self.values[index] = f"{text}.float()"
        self.plan.note("1.9 takes scores as floats only")

    def supported(self) -> tuple[str, ...]:
        if self.call.family in ("CalibrationError", "CohenKappa", "HingeLoss"):
            return ("binary", "multiclass")
        return ("binary", "multiclass", "multilabel")

    # Numbers ------------------------------------------------------------------------------

    def value_changes(self, found: Evidence | None) -> None:
        call = self.call
        if not (call.is_old or call.move is not None):
            return
        for change in facts.value_changes():
            if change.metric != call.family:
                continue
            if not self.applies(change.condition, found):
                continue
            if change.relation == "blocked":
                raise _Stop(change.text)
            self.plan.note(
                f"{call.current}: {change.text}",
                Relation.CORRECTS if change.relation == "corrects" else Relation.ASSUMES,
            )
        if found is not None and call.family in _THRESHOLDED and self.plan.task != "multiclass":
            self.threshold_changes(found)

    def threshold_changes(self, found: Evidence) -> None:
        threshold = self.literal("threshold")
        threshold = threshold if isinstance(threshold, (int, float)) else 0.5
        if found.scores == "logits" and not found.complete and self.plan.task:
            self.plan.note(
                "the scores are logits: up to 0.10 they were compared with the threshold as they "
                "are, now they go through a sigmoid first",
                Relation.CORRECTS if not self.has("threshold") else Relation.ASSUMES,
            )
        for pair in found.inputs:
            preds = pair.preds
            if preds is None or preds.kind != "float":
                continue
            if preds.values is not None and threshold in preds.values:
                self.plan.note(
                    f"a score equals the threshold {threshold}: it counted as positive up to 0.10, "
                    "as negative now",
                    Relation.ASSUMES,
                )
            if preds.outside_unit:
                self.plan.note(
                    "scores outside [0, 1] were compared with the threshold as they are up to "
                    "0.10 and go through a sigmoid now",
                    Relation.ASSUMES,
                )

    def applies(self, condition: str, found: Evidence | None) -> bool:
        average = self.literal("average")
        pairs = found.inputs if found is not None and found.complete else ()
        task = self.plan.task
        if condition == "always":
            return True
        if condition.startswith("ignore_index"):
            given = self.has("ignore_index") and self.literal("ignore_index") is not None
            macro = average in ("macro", "weighted")
            return given and (condition == "ignore_index" or macro)
        if condition == "top_k > 1":
            return self.has("top_k") and self.literal("top_k") not in (None, 1)
        if condition == "weighted":
            return average == "weighted"
        if condition == "binary labels":
            labels = found is not None and found.scores == "labels" and not found.complete
            return task == "binary" and labels and self.literal("num_classes") in (UNKNOWN, None)
        if condition == "multiclass":
            return task == "multiclass" and self._classes() != 2
        if condition == "old library":
            return self.call.of_old_library and self.call.kind == "function"
        if condition == "per class":
            binned = self.call.short.startswith("Binned")
            return task in ("multiclass", "multilabel") and not self.has("average") and not binned
        if condition == "absent class by class":
            each = self.has("average") and average in ("none", None)
            absent = any(_absent(pair, self._classes()) for pair in pairs)
            return task == "multiclass" and each and absent
        if condition in ("absent class", "absent class of iou"):
            macro = average == "macro" or (condition.endswith("iou") and average is UNKNOWN)
            if task != "multiclass" or not macro:
                return False
            if not pairs:
                return condition.endswith("iou") or self.call.of_old_library
            return any(_absent(pair, self._classes()) for pair in pairs)
        if condition == "multiclass logits" and not pairs:
            return task == "multiclass" and found is not None and found.scores == "logits"
        if condition == "multiclass logits":
            outside = any(pair.preds is not None and pair.preds.outside_unit for pair in pairs)
            return task == "multiclass" and (outside if pairs else False)
        if condition == "logits":
            return not pairs or any(p.preds is None or p.preds.outside_unit for p in pairs)
        raise AssertionError(f"value_changes.csv: condition {condition!r} is not known")

    def _classes(self) -> int | None:
        value = self.literal("num_classes")
        if isinstance(value, int):
            return value
        for text in (*self.plan.first, *self.plan.last):
            name, _, number = text.partition("=")
            if name == "num_classes" and number.isdigit():
                return int(number)
        return None

    # Text ---------------------------------------------------------------------------------

    def assemble(self) -> None:
        """Turn renamed, revalued and shifted arguments into text."""
        call, plan = self.call, self.plan
        kept_positions = 0
        names = call.signature.names if call.signature is not None else ()
        target_names: tuple[str, ...] = names
        if plan.target:
            short = plan.target.rsplit(".", 1)[1]
            kind = "class" if short[:1].isupper() else "function"
            signature = current_signature(short, kind)
            target_names = signature.names if signature is not None else names
        positional_ends = bool(plan.first)
        for index, argument in enumerate(call.arguments):
            if argument.parameter is None or index in self.gone:
                if not argument.is_keyword and argument.parameter is not None:
                    positional_ends = True
                continue
            parameter = self.renamed.get(index, argument.parameter)
            value = self.values.get(index, self.text(argument.value))
            if argument.is_keyword:
                same = index not in self.values and parameter == argument.parameter
                if (index in self.renamed or index in self.values) and not same:
                    plan.changed[index] = f"{parameter}={value}"
                continue
            # A parameter that 1.9 calls otherwise keeps its place.
            expected = target_names[kept_positions : kept_positions + 1]
            in_place = not positional_ends and (
                expected == (parameter,) or (bool(expected) and parameter not in target_names)
            )
            if in_place:
                kept_positions += 1
                if index in self.values:
                    plan.changed[index] = value
                continue
            if call.signature is None and index not in self.renamed and index not in self.values:
                continue
            if not call.is_old:
                continue
            positional_ends = True
            if plan.target == "" and call.signature is None:
                continue
            plan.changed[index] = f"{parameter}={value}"
        self.required(target_names, kept_positions)

    def required(self, names: tuple[str, ...], positions: int) -> None:
        """Stop when 1.9 wants an argument that the call does not have."""
        call, plan = self.call, self.plan
        hidden = any(a.parameter is None for a in call.arguments)
        if (
            call.signature is None
            or hidden
            or plan.target
            or plan.twice
            or not (call.is_old or call.move is not None)
        ):
            return
        given = {text.partition("=")[0] for text in (*plan.first, *plan.last)}
        given |= set(names[:positions])
        for index, argument in enumerate(call.arguments):
            if index not in self.gone and argument.parameter is not None:
                given.add(self.renamed.get(index, argument.parameter))
        for parameter in required_of(call.signature):
            if parameter not in given and parameter not in ("task", "preds", "target"):
                raise _Stop(
                    _WANTED.get(parameter, f"{parameter} is required in 1.9; say {parameter}=")
                )


_WANTED = {
    "data_range": "data_range is required in 1.9; say 1.0 for images in [0, 1], 2.0 for [-1, 1], "
    "255 for 8-bit (it was the range of the targets before)",
}
_HARMLESS: dict[str, tuple[object, ...]] = {
    "multiclass": (None,),
    "is_multiclass": (None,),
    "multilabel": (None, False),
    "subset_accuracy": (None, False),
    "absent_score": (0, 0.0),
    "pos_label": (1, None),
    "sample_weights": (None,),
    "sample_weight": (None,),
    "return_state": (False,),
    "multiclass_mode": (None,),
}


# Which task ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Decision:
    task: str = ""
    size: str = ""
    proof: bool = False
    why: str = ""
    size_why: str = ""
    blocked: str = ""
    casts: bool = False  # The scores are integers and have to become floats.


def _decide(call: MetricCall, found: Evidence) -> _Decision:
    if found.complete:
        return _by_inputs(call, found)
    return _by_arguments(call, found)


def _by_inputs(call: MetricCall, found: Evidence) -> _Decision:
    """Apply the rules by which old releases told the task from the tensors."""
    decisions = [_by_pair(call, pair) for pair in found.inputs]
    blocked = next((d.blocked for d in decisions if d.blocked), "")
    if blocked:
        return _Decision(blocked=blocked)
    tasks = {d.task for d in decisions}
    if len(tasks) > 1:
        return _Decision(
            blocked=f"the metric is given {' and '.join(sorted(tasks))} inputs in turn; "
            "make one metric for each"
        )
    sizes = [int(d.size) for d in decisions if d.size]
    size = str(max(sizes)) if sizes else ""
    given = call.literal("num_classes")
    if (
        isinstance(given, int)
        and sizes
        and decisions[0].task == "multiclass"
        and given < max(sizes)
    ):
        return _Decision(blocked=f"num_classes={given}, and the tensors hold {max(sizes)} classes")
    task = decisions[0].task
    if task == "multilabel" and isinstance(given, int) and sizes and given != max(sizes):
        return _Decision(blocked=f"num_classes={given}, and the tensors hold {max(sizes)} labels")
    wide = isinstance(given, int) and given > 2
    if task == "binary" and call.family == "ConfusionMatrix" and wide:
        return _Decision(
            blocked=f"num_classes={given} made the matrix wider than the two classes that "
            "occur; task='binary' makes it 2 by 2"
        )
    line = found.inputs[0].node.lineno
    casts = any(d.casts for d in decisions)
    return _Decision(
        decisions[0].task,
        size,
        all(d.proof for d in decisions),
        f"the tensors at line {line} are {decisions[0].task}",
        "their number is read off random integers" if not all(d.proof for d in decisions) else "",
        casts=casts,
    )


def _by_pair(call: MetricCall, pair: Inputs) -> _Decision:
    preds, target = pair.preds, pair.target
    if preds is None or target is None or preds.shape is None or target.shape is None:
        return _Decision(blocked="the tensors that reach the metric are not known")
    family = call.family
    given = call.literal("num_classes")
    flag = call.literal("multiclass")
    flag = call.literal("is_multiclass") if flag is UNKNOWN else flag
    if len(preds.shape) == len(target.shape) + 1:
        if flag is False:
            return _Decision(
                blocked="multiclass=False scores the second column only; feed preds[:, 1] with "
                "task='binary'"
            )
        return _Decision("multiclass", str(preds.shape[1]), True)
    if len(preds.shape) != len(target.shape):
        return _Decision(blocked="predictions and targets have shapes that no task of 1.9 takes")
    if call.literal("multilabel") is True:
        width = preds.shape[1] if len(preds.shape) > 1 else 1
        return _Decision("multilabel", str(width), True)
    if preds.kind == "float":
        if len(preds.shape) == 1 or family in _HARD_LABELS:
            if family == "JaccardIndex" or flag is True:
                return _Decision(
                    blocked="both classes were scored after the threshold; feed "
                    "(preds >= 0.5).long() with task='multiclass', num_classes=2"
                )
            return _Decision("binary", "", True)
        if family == "JaccardIndex":
            return _Decision(
                blocked="scores of this shape were cut at the threshold and scored "
                "as two classes; feed (preds >= 0.5).long() with task='multiclass'"
            )
        return _Decision("multilabel", str(preds.shape[1]), True)
    return _by_labels(call, preds, target, given, flag)


def _by_labels(
    call: MetricCall, preds: Tensor, target: Tensor, given: object, flag: object
) -> _Decision:
    family = call.family
    shape = preds.shape or ()
    binary = all(high is not None and high <= 1 for high in (target.high, -(target.low or 0)))
    if family in _SCORED and len(shape) == 1 and binary and given in (UNKNOWN, None, 1):
        # The sigmoid of 1.9 keeps the order of small integers, and the order is all that counts.
        low, high = preds.low, preds.high
        if low is not None and high is not None and max(-low, high) < 16:
            return _Decision("binary", "", True, casts=True)
    if family in _SCORED or family in ("HingeLoss", "CalibrationError"):
        return _Decision(
            blocked="the scores are integers, which 1.9 rejects; feed probabilities as floats"
        )
    highs = (preds.high, target.high)
    if given == 1 or flag is False:
        if any(high is None or high > 1 for high in highs):
            return _Decision(blocked="two classes are scored, and the tensors hold larger labels")
        return _Decision("binary", "", True)
    binary = all(high is not None and high <= 1 for high in highs)
    wide = len(shape) > 1
    if (
        binary
        and given is UNKNOWN
        and flag is not True
        and family in ("Accuracy", "HammingDistance")
    ):
        subset = call.literal("subset_accuracy") is True
        if wide and (family == "HammingDistance" or subset or family == "Accuracy"):
            return _Decision("multilabel", str(shape[1]), True)
        return _Decision("binary", "", True)
    if isinstance(given, int):
        if any(high is not None and high >= given for high in highs):
            return _Decision(blocked=f"num_classes={given}, and the tensors hold larger labels")
        return _Decision("multiclass", str(given), True)
    if None in highs:
        return _Decision(blocked="the number of classes is not written out")
    size = int(max(high for high in highs if high is not None)) + 1
    size = max(size, 2)
    attained = preds.reaches_ends or target.reaches_ends
    average = call.literal("average")
    free = average in (UNKNOWN, "micro") and family in (
        "Accuracy", "F1Score", "FBetaScore", "Precision", "Recall"
    )  # fmt: skip
    return _Decision("multiclass", str(size), attained or free)


def _by_arguments(call: MetricCall, found: Evidence) -> _Decision:
    """Tell the task from the arguments, and where they leave it open from the code around."""
    given = call.argument("num_classes")
    number = call.literal("num_classes")
    size: str = found.size or ""
    if given is not None:
        size = call.module.source.segment(given.value)
    if number is None:
        size = found.size or ""
    size_why = "" if given is not None and number is not None else found.size_why
    family = call.family
    if call.literal("multilabel") is True:
        proof = given is not None
        return _Decision("multilabel", size, proof, "multilabel=True", size_why)
    for flag in ("multiclass", "is_multiclass"):
        if call.literal(flag) is True:
            return _Decision("multiclass", size, False, f"{flag}=True", size_why)
        if call.literal(flag) is False:
            if given is None or number in (1, None):
                return _Decision("binary", "", False, f"{flag}=False with one column of scores")
            if number == 2:
                return _Decision(
                    blocked=f"{flag}=False with num_classes=2 scores one column of two; feed "
                    "preds[:, 1] with task='binary', or say task='multilabel' for two labels"
                )
            return _Decision("multilabel", size, False, f"{flag}=False", size_why)
    top_k = call.literal("top_k")
    if call.argument("top_k") is not None and top_k is not None:
        return _Decision("multiclass", size, given is not None, "top_k is given", size_why)
    if call.argument("mdmc_average") is not None and call.literal("mdmc_average") is not None:
        several = "multilabel" if found.task == "multilabel" else "multiclass"
        return _Decision(several, size, False, "mdmc_average is given", size_why)
    if number == 1 and family not in ("ConfusionMatrix", "JaccardIndex"):
        return _Decision("binary", "", True, "num_classes=1")
    if family == "JaccardIndex" and found.task != "multilabel":
        if found.task == "binary":
            return _Decision(
                blocked="IoU of binary scores was the mean over both classes; feed hard labels "
                "with task='multiclass', num_classes=2 for that, task='binary' for class 1 alone"
            )
        why = found.why if found.task is not None else "IoU scored class labels"
        return _Decision("multiclass", size, False, why, size_why)
    task, why = found.task, found.why
    if task is None and why and number != 1:
        return _Decision(blocked=f"{why}, so the task is not one; make a metric for each")
    if family in _SCORED and (given is None or number is None):
        # Measured, 0.2 to 0.10: several classes raised without num_classes; labels were flattened.
        return _Decision("binary", "", True, "no num_classes is given")
    if number == 2 and task is None:
        if family in ("AUROC", "AveragePrecision", "ROC", "PrecisionRecallCurve"):
            return _Decision(
                blocked="num_classes=2 leaves two ways: task='binary' for one score per sample, "
                "task='multiclass', num_classes=2 for two columns"
            )
        return _Decision("multiclass", size, False, "num_classes=2 scored both classes")
    if number == 2 and task == "binary" and family not in _SCORED | _HARD_LABELS:
        if "compared" in why:
            return _Decision("multiclass", size, False, "num_classes=2 scored both classes")
        return _Decision(
            blocked="num_classes=2 scored both classes on class labels (task='multiclass') and, up "
            "to 0.2, class 1 alone on scores (task='binary'); say which"
        )
    if task is None and isinstance(number, int) and number > 2:
        return _Decision(
            "multiclass", size, False, f"num_classes={number} and nothing speaks of several labels"
        )
    if task is None and given is not None and number is UNKNOWN:
        default = _default(call.module, given.value)
        if default in (1, 2) or (family in _SCORED and default is UNKNOWN):
            return _Decision(
                blocked=f"{size} may be 1, which is task='binary', or more, which is "
                f"task='multiclass' or 'multilabel'; say which"
            )
        return _Decision(
            "multiclass", size, False, "num_classes is given and nothing speaks of several labels"
        )
    if task is None and call.literal("pos_label") in (0, 1):
        return _Decision("binary", "", False, "pos_label is given")
    if task is None and call.literal("average") in ("macro", "weighted", "none") and size:
        return _Decision(
            "multiclass", size, False, "an average over classes is asked for", size_why
        )
    if task is None and size and "another metric" in size_why:
        beside = "the metric beside it is given num_classes"
        return _Decision("multiclass", size, False, beside, size_why)
    if task is None:
        return _Decision(
            blocked="the code does not say the task; add task='binary', or task='multiclass' with "
            "num_classes=..., or task='multilabel' with num_labels=..."
        )
    proof = found.proof
    if task == "binary" and given is not None and number not in (None, 1, 2):
        task, proof = "multilabel", False
    known = found.size_proof or (given is not None and number is not None)
    proof = proof and (task == "binary" or known)
    return _Decision(task, size if task != "binary" else "", proof, why, size_why)


def _default(module: Module, expr: ast.expr) -> object:
    """Return the default of the parameter that an expression names."""
    function = module.enclosing_function(expr)
    if function is None or not isinstance(expr, ast.Name):
        return UNKNOWN
    return constant(module, default_of(function, expr.id))


def _absent(pair: Inputs, classes: int | None) -> bool:
    """Tell whether a class occurs neither in predictions nor in targets, as far as is known."""
    preds, target = pair.preds, pair.target
    if preds is None or target is None or classes is None:
        return True
    seen: set[int] = set()
    for tensor in (preds, target):
        if tensor.kind != "float" and tensor.values is not None:
            seen |= {int(value) for value in tensor.values}
        elif tensor.kind != "float" and tensor.reaches_ends and classes <= 2:
            seen |= {int(tensor.low or 0), int(tensor.high or 0)}
        elif tensor.kind != "float" and tensor.reaches_ends and tensor.high is not None:
            seen |= set(range(int(tensor.low or 0), int(tensor.high) + 1))
        elif tensor.values is not None and tensor.shape and len(tensor.shape) == 2:
            width = tensor.shape[1]
            for start in range(0, len(tensor.values), width):
                row = tensor.values[start : start + width]
                seen.add(row.index(max(row)))
    return not set(range(classes)) <= seen


# Names without a plain successor ---------------------------------------------------------------


def _binned(planner: _Planner) -> None:
    call, plan = planner.call, planner.plan
    if call.argument("thresholds") is None and call.argument("num_thresholds") is None:
        plan.last.append("thresholds=100")
    if call.short == "BinnedAveragePrecision" and call.literal("num_classes") != 1:
        plan.last.append("average=None")
    if call.short == "BinnedPrecisionRecallCurve":
        plan.note("precision is nan, not 1, at thresholds that no score passes", Relation.ASSUMES)


def _successor(planner: _Planner, size: str) -> None:
    """A multilabel ranking metric: its function and class want the number of labels."""
    call, plan = planner.call, planner.plan
    found = planner.evidence()
    if found.complete:
        widths = {pair.preds.shape[1] for pair in found.inputs if pair.preds and pair.preds.shape}
        if len(widths) == 1:
            (plan.first if call.kind == "class" else plan.last).append(f"{size}={widths.pop()}")
            return
    if not found.size:
        raise _Stop(f"{size} is required in 1.9 and the code does not say how many there are")
    (plan.first if call.kind == "class" else plan.last).append(f"{size}={found.size}")
    plan.note(f"{size}={found.size}, because {found.size_why}", Relation.ASSUMES)


def _ranking(planner: _Planner) -> None:
    _successor(planner, "num_labels")


def _labels(planner: _Planner) -> str:
    """Return the number of classes of a functional call, or stop."""
    found = planner.evidence()
    decided = _decide(planner.call, found)
    size = decided.size or found.size or ""
    if decided.task != "multiclass" and not size:
        raise _Stop(decided.blocked or "num_classes is required in 1.9; say num_classes=")
    if not decided.proof:
        planner.plan.note(
            f"num_classes={size}, because {decided.size_why or decided.why or found.size_why}",
            Relation.ASSUMES,
        )
    return size


def _with_classes(planner: _Planner) -> None:
    if planner.call.argument("num_classes") is None:
        planner.plan.last.append(f"num_classes={_labels(planner)}")


def _stat_scores_by_class(planner: _Planner) -> None:
    _with_classes(planner)
    if planner.has("argmax_dim") or planner.has("reduction"):
        raise _Stop("argmax_dim and reduction are gone; call multiclass_stat_scores by hand")
    planner.plan.last.append("average=None")
    planner.plan.after = ".T"


def _dice_score(planner: _Planner) -> None:
    call, plan = planner.call, planner.plan
    background = call.literal("bg")
    for name, harmless in (("nan_score", 0.0), ("no_fg_score", 0.0)):
        if planner.has(name) and planner.literal(name) != harmless:
            raise _Stop(f"dice_score is gone and f1_score has no {name}; decide what it was for")
        planner.drop(name)
    if planner.has("reduction") and planner.literal("reduction") != "elementwise_mean":
        raise _Stop("dice_score is gone; reduce the classes of f1_score(average='none') by hand")
    planner.drop("reduction")
    if planner.has("bg") and not isinstance(background, bool):
        raise _Stop("the value of bg is not a literal; it says whether class 0 counts")
    planner.drop("bg")
    plan.last.append(f"average={planner.string('none')}")
    plan.after = ".mean()" if background is True else "[1:].mean()"
    plan.note("dice_score is the mean F1 of the classes")


def _embedding_similarity(planner: _Planner) -> None:
    call, plan = planner.call, planner.plan
    similarity = call.literal("similarity")
    if planner.has("similarity"):
        if similarity not in ("cosine", "dot"):
            raise _Stop(
                "the value of similarity is not a literal; 'cosine' and 'dot' are two functions"
            )
        if similarity == "dot":
            plan.target = f"{LIBRARY}.functional.pairwise_linear_similarity"
            plan.note(
                "0.6 ignored similarity='dot' and gave the cosine; before it was the dot product",
                Relation.ASSUMES,
            )
        planner.drop("similarity")


def _precision_recall(planner: _Planner) -> None:
    root = f"{LIBRARY}.functional"
    planner.plan.twice = (f"{root}.precision", f"{root}.recall")


def _tokens(planner: _Planner) -> None:
    """BLEU took lists of tokens up to 0.6, and takes strings now."""
    call, plan = planner.call, planner.plan
    pair = [call.argument(n) for n in ("translate_corpus", "preds")]
    preds = next((a for a in pair if a is not None), None)
    target = next(
        (a for n in ("reference_corpus", "target") if (a := call.argument(n)) is not None), None
    )
    if preds is None or target is None:
        return
    if not call.of_old_library and not _splits(planner.module, preds.value):
        return
    for argument, nested in ((preds, False), (target, True)):
        index = call.arguments.index(argument)
        text = planner.text(argument.value)
        space = planner.string(" ")
        if nested:
            planner.values[index] = f"[[{space}.join(r) for r in s] for s in {text}]"
        else:
            planner.values[index] = f"[{space}.join(s) for s in {text}]"
    plan.note("BLEU takes strings, where it took lists of tokens")


def _splits(module: Module, expr: ast.expr) -> bool:
    if isinstance(expr, ast.Name):
        bound = bindings(module, expr.id, module.enclosing_function(expr))
        values = [s.value for s in bound if isinstance(s, ast.Assign)]
        return any(_splits(module, value) for value in values)
    return any(
        isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute) and n.func.attr == "split"
        for n in subtree(expr)
    )


def _range(planner: _Planner) -> None:
    """PSNR took its range from the targets when none was given."""
    call, plan = planner.call, planner.plan
    if planner.has("data_range") and planner.literal("data_range") is not None:
        return
    if not call.is_gone:
        return  # The shim in its place assumes 3.0; what is right only the images say.
    text = ""
    target = call.argument("target")
    if call.kind == "function" and isinstance(target and target.value, (ast.Name, ast.Attribute)):
        name = planner.text(target.value) if target is not None else ""
        text = f"{name}.max() - {name}.min()"
    else:
        targets = [pair.target for pair in planner.evidence().inputs]
        ends = [(t.low, t.high) for t in targets if t is not None and t.values is not None]
        lows = [low for low, _ in ends if low is not None]
        highs = [high for _, high in ends if high is not None]
        if lows and len(lows) == len(targets):
            if call.kind == "class":  # Its states began at 0.
                lows.append(0.0)
                highs.append(0.0)
            text = repr(max(highs) - min(lows))
    if text:
        plan.note("without data_range the range of the targets was taken")
        planner.drop("data_range")
        if call.kind == "class":
            plan.first.append(f"data_range={text}")
        else:
            plan.last.append(f"data_range={text}")


def _auc_object(planner: _Planner) -> None:
    raise _Stop(
        "the AUC object is gone; collect x and y and call torchmetrics.utilities.compute.auc, or "
        "use AUROC for the area under a ROC curve"
    )


def _get_num_classes(planner: _Planner) -> None:
    raise _Stop("get_num_classes is gone; state the number of classes")


_SPECIAL = {
    "BinnedAveragePrecision": _binned,
    "BinnedPrecisionRecallCurve": _binned,
    "BinnedRecallAtFixedPrecision": _binned,
    "CoverageError": _ranking,
    "LabelRankingAveragePrecision": _ranking,
    "LabelRankingLoss": _ranking,
    "coverage_error": _ranking,
    "label_ranking_average_precision": _ranking,
    "label_ranking_loss": _ranking,
    "precision_recall": _precision_recall,
    "dice_score": _dice_score,
    "embedding_similarity": _embedding_similarity,
    "stat_scores_multiple_classes": _stat_scores_by_class,
    "multiclass_auroc": _with_classes,
    "multiclass_roc": _with_classes,
    "multiclass_precision_recall_curve": _with_classes,
    "bleu_score": _tokens,
    "PSNR": _range,
    "psnr": _range,
    "AUC": _auc_object,
    "get_num_classes": _get_num_classes,
}
