"""What the call of a metric has to become so that TorchMetrics 1.9 answers the same number.

``migrate`` says it, or says why a person must decide. The tables of ``lintmetrics.facts`` hold what
changed; here is only how to apply them.
"""

from __future__ import annotations

import ast

from lintmetrics import facts
from lintmetrics.codemod import Relation
from lintmetrics.model.evidence import Evidence
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
from lintmetrics.model.metric_draft import Draft, Migration, Undecided
from lintmetrics.model.metric_keys import is_named_by_class
from lintmetrics.model.metric_numbers import value_changes
from lintmetrics.model.metric_successors import SUCCESSORS
from lintmetrics.model.metric_tasks import decide
from lintmetrics.model.tensors import constant


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
        except Undecided as stop:
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


class _Planner(Draft):
    def run(self) -> None:
        call = self.call
        move = call.move
        if call.is_gone and move is not None and not move.new and call.short not in SUCCESSORS:
            raise Undecided(f"{call.short} has no successor in 1.9: {move.remark}")
        if call.ambiguous and call.is_old:
            raise Undecided(call.ambiguous)
        handler = SUCCESSORS.get(call.short)
        if handler is not None and (call.is_gone or call.move is not None or call.lacks_task):
            handler(self)
        if self.plan.instead:
            return
        for argument, row in call.misread:
            if not row.fixable:
                raise Undecided(f"{row.text}; name the argument or drop it")
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
            value_changes(self, self.evidence() if self.plan.task else None)
        self.assemble()

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
            raise Undecided(
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
                raise Undecided(
                    f"{parameter}={spelled!r} has no one argument in 1.9: {change.text}"
                )
        elif change.values and parameter in ("reduction", "reduce", "normalize"):
            if change.action == "keep" and value is UNKNOWN:
                return
            raise Undecided(f"the value of {parameter} is not a literal: {change.text}")
        if change.action == "keep":
            if index not in self.values:
                return
        elif parameter == "mdmc_average" or parameter == "mdmc_reduce":
            if value == "samplewise":
                if self.call.kind == "function" and self.literal("average") in ("micro", UNKNOWN):
                    self.plan.after += ".mean()"
                else:
                    raise Undecided(
                        "samplewise scores were averaged before and come one per sample now; "
                        "set multidim_average='samplewise' and take .mean() where the value is read"
                    )
            elif value is UNKNOWN:
                raise Undecided(
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
                raise Undecided(f"the value of {parameter} decides the task and is not a literal")
            self.drop(parameter)
        elif parameter == "multilabel":
            if value is UNKNOWN:
                raise Undecided("the value of multilabel decides the task and is not a literal")
            self.drop(parameter)
        elif parameter == "subset_accuracy":
            if value is UNKNOWN:
                raise Undecided("the value of subset_accuracy is not a literal")
            self.drop(parameter)
            self.drop("average")
            self.drop("top_k")
            name = "ExactMatch" if call.kind == "class" else "exact_match"
            root = LIBRARY if call.kind == "class" else f"{LIBRARY}.functional"
            self.plan.target = f"{root}.{name}"
            self.plan.note("subset_accuracy=True is ExactMatch since 0.11")
        elif parameter == "absent_score":
            raise Undecided(
                "absent_score is gone; MulticlassJaccardIndex(average='none', "
                "zero_division=absent_score) and .mean() of its value gives the same number"
            )
        elif parameter == "pos_label":
            raise Undecided(
                "pos_label is gone and 1 is meant; for another class feed 1 - target"
                if value == 0
                else "pos_label is gone; 1.9 scores the class 1"
            )
        elif parameter == "return_state":
            raise Undecided("return_state is gone; a metric object keeps its states itself")
        else:
            raise Undecided(f"{parameter} is gone in 1.9 and nothing takes its place")

    # Task ---------------------------------------------------------------------------------

    def task(self) -> None:
        call = self.call
        found = self.evidence()
        if self.literal("average") == "samples":
            raise Undecided(SAMPLES)
        for parameter in ("average", "ignore_index", "top_k"):
            if self.has(parameter) and not _had_effect(call, parameter):
                raise Undecided(
                    f"{parameter} had no effect on {call.short} up to 0.10 and has one now; drop "
                    "it to keep the number"
                )
        decided = decide(call, found)
        if decided.blocked:
            raise Undecided(decided.blocked)
        task = decided.task
        supported = self.supported()
        family = "ExactMatch" if self.plan.target.endswith(("ExactMatch", "exact_match")) else None
        if family and task == "binary":
            raise Undecided(
                "ExactMatch has no binary task; subset accuracy of one label is Accuracy"
            )
        if task not in supported:
            raise Undecided(f"{call.current} has no {task} task in 1.9")
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
                    raise Undecided(
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
                raise Undecided(f"task='multiclass' wants two classes at least, and {why}")
        if task != "multiclass" and self.has("top_k") and self.literal("top_k") is None:
            self.drop("top_k")
        if not decided.proof:
            why = "; ".join(dict.fromkeys(w for w in (decided.why, decided.size_why) if w))
            self.plan.note(f"task={task!r}, because {why}", Relation.ASSUMES)
        if call.kind == "class" and is_named_by_class(call):
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
            raise Undecided(f"{call.lacks_size} is required with this task; say {call.lacks_size}=")
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
        decided = decide(call, self.evidence())
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
                raise Undecided(wanted(parameter))


SAMPLES = (
    "average='samples' is gone; average='micro', multidim_average='samplewise' on preds[..., None] "
    "and target[..., None] gives one value per sample, and .mean() of them the same number"
)
"""What becomes of the average over samples; measured equal."""


def wanted(parameter: str) -> str:
    """Return what a person has to say where an argument is missing that 1.9 requires."""
    return _WANTED.get(parameter, f"{parameter} is required in 1.9; say {parameter}=")


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
