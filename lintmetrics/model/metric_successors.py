"""Old metrics whose successor is not the same call under another name."""

from __future__ import annotations

import ast
from collections.abc import Callable

from lintmetrics.codemod import Relation
from lintmetrics.model.metric_api import LIBRARY
from lintmetrics.model.metric_draft import Draft, Undecided
from lintmetrics.model.metric_tasks import decide
from lintmetrics.model.tensors import bindings
from lintmetrics.project import Module
from lintmetrics.tree import subtree


def _binned(draft: Draft) -> None:
    call, plan = draft.call, draft.plan
    if call.argument("thresholds") is None and call.argument("num_thresholds") is None:
        plan.last.append("thresholds=100")
    if call.short == "BinnedAveragePrecision" and call.literal("num_classes") != 1:
        plan.last.append("average=None")
    if call.short == "BinnedPrecisionRecallCurve":
        plan.note("precision is nan, not 1, at thresholds that no score passes", Relation.ASSUMES)


def _successor(draft: Draft, size: str) -> None:
    """A multilabel ranking metric: its function and class want the number of labels."""
    call, plan = draft.call, draft.plan
    found = draft.evidence()
    if found.complete:
        widths = {pair.preds.shape[1] for pair in found.inputs if pair.preds and pair.preds.shape}
        if len(widths) == 1:
            (plan.first if call.kind == "class" else plan.last).append(f"{size}={widths.pop()}")
            return
    if not found.size:
        raise Undecided(f"{size} is required in 1.9 and the code does not say how many there are")
    (plan.first if call.kind == "class" else plan.last).append(f"{size}={found.size}")
    plan.note(f"{size}={found.size}, because {found.size_why}", Relation.ASSUMES)


def _ranking(draft: Draft) -> None:
    _successor(draft, "num_labels")


def _labels(draft: Draft) -> str:
    """Return the number of classes of a functional call, or stop."""
    found = draft.evidence()
    decided = decide(draft.call, found)
    size = decided.size or found.size or ""
    if decided.task != "multiclass" and not size:
        raise Undecided(decided.blocked or "num_classes is required in 1.9; say num_classes=")
    if not decided.proof:
        draft.plan.note(
            f"num_classes={size}, because {decided.size_why or decided.why or found.size_why}",
            Relation.ASSUMES,
        )
    return size


def _with_classes(draft: Draft) -> None:
    if draft.call.argument("num_classes") is None:
        draft.plan.last.append(f"num_classes={_labels(draft)}")


def _stat_scores_by_class(draft: Draft) -> None:
    _with_classes(draft)
    if draft.has("argmax_dim") or draft.has("reduction"):
        raise Undecided("argmax_dim and reduction are gone; call multiclass_stat_scores by hand")
    draft.plan.last.append("average=None")
    draft.plan.after = ".T"


def _dice_score(draft: Draft) -> None:
    call, plan = draft.call, draft.plan
    background = call.literal("bg")
    for name, harmless in (("nan_score", 0.0), ("no_fg_score", 0.0)):
        if draft.has(name) and draft.literal(name) != harmless:
            raise Undecided(
                f"dice_score is gone and f1_score has no {name}; decide what it was for"
            )
        draft.drop(name)
    if draft.has("reduction") and draft.literal("reduction") != "elementwise_mean":
        raise Undecided(
            "dice_score is gone; reduce the classes of f1_score(average='none') by hand"
        )
    draft.drop("reduction")
    if draft.has("bg") and not isinstance(background, bool):
        raise Undecided("the value of bg is not a literal; it says whether class 0 counts")
    draft.drop("bg")
    plan.last.append(f"average={draft.string('none')}")
    plan.after = ".mean()" if background is True else "[1:].mean()"
    plan.note("dice_score is the mean F1 of the classes")


def _embedding_similarity(draft: Draft) -> None:
    call, plan = draft.call, draft.plan
    similarity = call.literal("similarity")
    if draft.has("similarity"):
        if similarity not in ("cosine", "dot"):
            raise Undecided(
                "the value of similarity is not a literal; 'cosine' and 'dot' are two functions"
            )
        if similarity == "dot":
            plan.target = f"{LIBRARY}.functional.pairwise_linear_similarity"
            plan.note(
                "0.6 ignored similarity='dot' and gave the cosine; before it was the dot product",
                Relation.ASSUMES,
            )
        draft.drop("similarity")


def _precision_recall(draft: Draft) -> None:
    root = f"{LIBRARY}.functional"
    draft.plan.twice = (f"{root}.precision", f"{root}.recall")


def _tokens(draft: Draft) -> None:
    """BLEU took lists of tokens up to 0.6, and takes strings now."""
    call, plan = draft.call, draft.plan
    pair = [call.argument(n) for n in ("translate_corpus", "preds")]
    preds = next((a for a in pair if a is not None), None)
    target = next(
        (a for n in ("reference_corpus", "target") if (a := call.argument(n)) is not None), None
    )
    if preds is None or target is None:
        return
    if not call.of_old_library and not _splits(draft.module, preds.value):
        return
    for argument, nested in ((preds, False), (target, True)):
        index = call.arguments.index(argument)
        text = draft.text(argument.value)
        space = draft.string(" ")
        if nested:
            draft.values[index] = f"[[{space}.join(r) for r in s] for s in {text}]"
        else:
            draft.values[index] = f"[{space}.join(s) for s in {text}]"
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


def _range(draft: Draft) -> None:
    """PSNR took its range from the targets when none was given."""
    call, plan = draft.call, draft.plan
    if draft.has("data_range") and draft.literal("data_range") is not None:
        return
    if not call.is_gone:
        return  # The shim in its place assumes 3.0; what is right only the images say.
    text = ""
    target = call.argument("target")
    if call.kind == "function" and isinstance(target and target.value, (ast.Name, ast.Attribute)):
        name = draft.text(target.value) if target is not None else ""
        text = f"{name}.max() - {name}.min()"
    else:
        targets = [pair.target for pair in draft.evidence().inputs]
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
        draft.drop("data_range")
        if call.kind == "class":
            plan.first.append(f"data_range={text}")
        else:
            plan.last.append(f"data_range={text}")


def _auc_object(draft: Draft) -> None:
    raise Undecided(
        "the AUC object is gone; collect x and y and call torchmetrics.utilities.compute.auc, or "
        "use AUROC for the area under a ROC curve"
    )


def _get_num_classes(draft: Draft) -> None:
    raise Undecided("get_num_classes is gone; state the number of classes")


def _hinge(draft: Draft) -> None:
    """Write the loss of decision values out: 1.9 puts them through a sigmoid or softmax first.

    Only where the tensors are written out too: other shapes would be broadcast in silence.
    """
    found, pair = draft.evidence(), draft.pair()
    squared = draft.literal("squared") if draft.has("squared") else False
    outside = any(p.preds is not None and p.preds.outside_unit is not False for p in found.inputs)
    if not found.complete or not outside or pair is None or not isinstance(squared, bool):
        return
    decided = decide(draft.call, found)
    preds, target = (_operand(draft, expr) for expr in pair)
    mode = draft.literal("multiclass_mode") if draft.has("multiclass_mode") else None
    clamp = ".clamp(min=0)" + (".pow(2)" if squared else "")
    torch = draft.module.local_name("torch")
    if decided.task == "binary":
        draft.plan.instead = f"(1 - {preds} * (2 * {target} - 1)){clamp}.mean()"
    elif decided.task != "multiclass" or torch is None or not decided.proof:
        return
    elif mode == "one-vs-all":
        label = f"{torch}.nn.functional.one_hot({target}, {decided.size})"
        draft.plan.instead = f"(1 - {preds} * (2 * {label} - 1)){clamp}.mean(0)"
    elif mode in (None, "crammer-singer") and all(isinstance(e, _REPEATABLE) for e in pair):
        own = f"{preds}.gather(1, {target}[:, None])"
        others = f"{preds}.scatter(1, {target}[:, None], -{torch}.inf)"
        draft.plan.instead = f"(1 - {own} + {others}).amax(1){clamp}.mean()"
    if draft.plan.instead:
        draft.plan.note(
            "1.9 puts decision values through a sigmoid or softmax, so the loss is written out"
        )


_REPEATABLE = (ast.Name, ast.Attribute)


def _operand(draft: Draft, expr: ast.expr) -> str:
    simple = isinstance(expr, (ast.Name, ast.Attribute, ast.Call, ast.Subscript))
    return draft.text(expr) if simple else f"({draft.text(expr)})"


def _group_indexes(draft: Draft) -> None:
    indexes = draft.call.argument("indexes")
    if indexes is None or not isinstance(indexes.value, _REPEATABLE):
        raise Undecided("get_group_indexes is gone; give it a variable, so that it can be inlined")
    name = draft.text(indexes.value)
    # In the order in which the groups first occur, as it gave them.
    draft.plan.instead = (
        f"[({name} == i).nonzero().flatten() for i in dict.fromkeys({name}.tolist())]"
    )
    draft.plan.note("get_group_indexes is gone since 0.10; this gives the same groups")


SUCCESSORS: dict[str, Callable[[Draft], None]] = {
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
    "get_group_indexes": _group_indexes,
    "get_num_classes": _get_num_classes,
    "hinge": _hinge,
    "hinge_loss": _hinge,
}
"""By the name called; each changes the draft, or stops."""
