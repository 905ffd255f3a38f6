"""What the code says about a classification metric: which task, and how many classes.

Evidence comes from the tensors that flow into the metric, where they are written out, and from the
class around it: what the predictions went through, the loss, the last linear layer, the names that
hold a number of classes. Only written-out tensors (and arguments that admit one task) are proof.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Container
from dataclasses import dataclass

from lintmetrics.edits import FunctionNode, default_of
from lintmetrics.model.tensors import Tensor, bindings, constant, known_tensor
from lintmetrics.model.trails import Spot, attribute_value, is_self, trail, width_of
from lintmetrics.project import ClassInfo, Module
from lintmetrics.tree import subtree

_COUNT = re.compile(
    r"^_?(?:n|nb|num|number_of|no_of|out)_?(?:of_)?(?:\w+_)?(?:class|classes|labels?|cls|categories)$"
    r"|^(?:n|nb)class(?:es)?$|^(?:class|classes)_(?:num|count|number)$|^numclass(?:es)?$"
)
_MULTICLASS_LOSSES = frozenset(
    ("cross_entropy", "nll_loss", "CrossEntropyLoss", "NLLLoss", "LabelSmoothingCrossEntropy")
)
_BINARY_LOSSES = frozenset(
    (
        "binary_cross_entropy",
        "binary_cross_entropy_with_logits",
        "BCELoss",
        "BCEWithLogitsLoss",
        "MultiLabelSoftMarginLoss",
        "multilabel_soft_margin_loss",
    )
)


_LOSSES = _MULTICLASS_LOSSES | _BINARY_LOSSES
_FEEDS = frozenset(("update", "forward", "__call__"))


# What may stand for a size elsewhere in its function: ``cfg.model.classes``, ``cfg['classes']``.
_PATH = re.compile(r"[A-Za-z_]\w*(?:\.\w+|\['\w+'\])*")
_HPARAMS = ("self.hparams.", "self.hparams[")


@dataclass(frozen=True)
class Inputs:
    """One pair of tensors that a metric is given, as far as it is known."""

    preds: Tensor | None
    target: Tensor | None
    node: ast.Call
    scores: ast.expr


@dataclass(frozen=True)
class Use:
    """Where a metric object is fed, with the expressions of predictions and targets."""

    module: Module
    node: ast.Call
    preds: ast.expr
    target: ast.expr


@dataclass(frozen=True)
class Evidence:
    """What is known about a metric's task.

    Args:
        task: ``"binary"``, ``"multiclass"``, ``"multilabel"`` or ``None``.
        size: text of an expression for the number of classes or labels that is valid where the
            metric is constructed; ``None`` when there is none.
        size_value: its value, where it is a literal.
        proof: the task and size follow from what the code writes out, for every input.
        why: where the task shows, naming the line.
        size_why: where the size shows.
        inputs: the tensors the metric is given, where all of them are known.
        size_proof: the size is the width of the layer that made the predictions.
        scores: what the predictions are: ``"labels"``, ``"probabilities"``, ``"logits"``.
        is_fed: whether a place is in sight at which it is given predictions.
    """

    task: str | None = None
    size: str | None = None
    size_value: int | None = None
    proof: bool = False
    why: str = ""
    size_why: str = ""
    inputs: tuple[Inputs, ...] = ()
    size_proof: bool = False
    scores: str | None = None
    is_fed: bool = False

    @property
    def complete(self) -> bool:
        """Whether every tensor that reaches the metric is known by dtype and shape."""
        return bool(self.inputs) and all(
            pair.preds is not None
            and pair.target is not None
            and pair.preds.shape is not None
            and pair.target.shape is not None
            for pair in self.inputs
        )


class _Index:
    """What stands in a function, class or file, found in one walk."""

    def __init__(self, owner: ast.AST) -> None:
        self.calls: list[ast.Call] = []
        self.loads: dict[str, list[ast.Name]] = {}
        self.fed: dict[str, list[ast.Call]] = {}  # Calls of self.x and self.x.update, by x.
        self.stored: dict[str, list[ast.Attribute]] = {}  # self.x = ..., by x.
        self.attributes: list[ast.Attribute] = []
        self.names: list[ast.Name] = []
        self.losses: list[tuple[ast.expr, str]] = []
        for node in subtree(owner):
            if isinstance(node, ast.Call):
                self._call(node)
            elif isinstance(node, ast.Name):
                self._name(node)
            elif isinstance(node, ast.Attribute):
                self._attribute(node)

    def _call(self, node: ast.Call) -> None:
        self.calls.append(node)
        func = node.func
        if isinstance(func, ast.Attribute):
            held: ast.expr = func.value if func.attr in _FEEDS else func
            if isinstance(held, ast.Attribute) and is_self(held.value):
                self.fed.setdefault(held.attr, []).append(node)

    def _name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            self.loads.setdefault(node.id, []).append(node)
        if _COUNT.match(node.id):
            self.names.append(node)
        if node.id in _LOSSES:
            self.losses.append((node, node.id))

    def _attribute(self, node: ast.Attribute) -> None:
        if isinstance(node.ctx, ast.Store) and is_self(node.value):
            self.stored.setdefault(node.attr, []).append(node)
        if _COUNT.match(node.attr):
            self.attributes.append(node)
        if node.attr in _LOSSES:
            self.losses.append((node, node.attr))


def _index(module: Module, owner: ast.AST) -> _Index:
    indexes: dict[ast.AST, _Index] = module.__dict__.setdefault("_lm_indexes", {})
    if owner not in indexes:
        indexes[owner] = _Index(owner)
    return indexes[owner]


# Where a metric object is fed ------------------------------------------------------------------


def uses(module: Module, call: ast.Call) -> tuple[list[Use], bool]:
    """Return where the object made by a call is fed, and whether these are all such places."""
    holder: ast.AST = call
    parent = module.parent(holder)
    # Collections and wrappers hand their inputs on to the metrics inside them.
    while parent is not None and not isinstance(parent, ast.stmt):
        if isinstance(parent, ast.Call):
            if parent.func is holder:
                return _fed(module, [parent]), True
            name = module.qualified(parent.func) or ""
            wraps = name.startswith(("torchmetrics.", "pytorch_lightning.metrics.", "torch.nn."))
            if not wraps or name.endswith("MultioutputWrapper"):
                # A MultioutputWrapper cuts its inputs before it hands them on.
                return [], False
        elif isinstance(parent, ast.Attribute):
            outer = module.parent(parent)
            if isinstance(outer, ast.Call) and outer.func is parent and parent.attr in _FEEDS:
                return _fed(module, [outer]), True
            if parent.attr not in ("to", "clone", "cuda", "cpu"):
                return [], False
        elif not isinstance(
            parent, (ast.List, ast.Dict, ast.Tuple, ast.keyword, ast.Starred, ast.DictComp)
        ):
            return [], False
        outer_node = module.parent(parent)
        if isinstance(parent, ast.Tuple) and isinstance(outer_node, ast.Assign):
            target = outer_node.targets[0]
            if isinstance(target, ast.Tuple) and len(target.elts) == len(parent.elts):
                return _uses_of_target(module, target.elts[_position(parent.elts, holder)], call)
        holder, parent = parent, outer_node
    if isinstance(parent, ast.Assign) and len(parent.targets) == 1:
        target = parent.targets[0]
    elif isinstance(parent, ast.AnnAssign) and parent.value is not None:
        target = parent.target
    else:
        return [], False
    if isinstance(target, ast.Name):
        return _uses_of_name(module, target.id, parent)
    return _uses_of_target(module, target, call)


def _position(elements: list[ast.expr], node: ast.AST) -> int:
    return next(index for index, element in enumerate(elements) if element is node)


def _uses_of_target(module: Module, target: ast.expr, call: ast.Call) -> tuple[list[Use], bool]:
    cls = module.enclosing_class(call)
    if cls is not None and isinstance(target, ast.Attribute) and is_self(target.value):
        return _uses_of_attribute(cls, target.attr), False
    return [], False


def _fed(module: Module, calls: list[ast.Call]) -> list[Use]:
    found = []
    for call in calls:
        named = {k.arg: k.value for k in call.keywords if k.arg}
        preds = call.args[0] if call.args else named.get("preds", named.get("pred"))
        target = call.args[1] if len(call.args) > 1 else named.get("target")
        if preds is not None and target is not None and not isinstance(preds, ast.Starred):
            found.append(Use(module, call, preds, target))
    return found


def _uses_of_name(module: Module, name: str, made: ast.stmt) -> tuple[list[Use], bool]:
    function = module.enclosing_function(made)
    bound = bindings(module, name, function)
    straight = all(module.parent(s) is module.parent(made) for s in bound)
    following = [s for s in bound if s.lineno > made.lineno]
    end = following[0].lineno if following else 1 << 30
    calls: list[ast.Call] = []
    whole = straight
    for node in _index(module, function or module.tree).loads.get(name, ()):
        if not made.lineno < node.lineno <= end:
            continue
        if module.enclosing_function(node) is not function:
            whole = False
            continue
        parent = module.parent(node)
        if isinstance(parent, ast.Call) and parent.func is node:
            calls.append(parent)
            continue
        outer = module.parent(parent) if parent is not None else None
        if isinstance(parent, ast.Attribute) and isinstance(outer, ast.Call):
            if parent.attr in _FEEDS:
                calls.append(outer)
            elif parent.attr == "clone":
                whole = whole and _clone_is_fed_alike(module, outer)
            continue
        wrapped = isinstance(parent, (ast.Call, ast.keyword, ast.List, ast.Dict))
        if wrapped and parent is not None:
            # Handed to a wrapper, such as BootStrapper(metric): follow the wrapper.
            inner = node if isinstance(parent, ast.Call) else parent
            outer_call = next((a for a in module.ancestors(inner) if isinstance(a, ast.Call)), None)
            name_of = module.qualified(outer_call.func) if outer_call is not None else None
            if outer_call is not None and (name_of or "").startswith("torchmetrics."):
                more, all_of_them = uses(module, outer_call)
                calls += [use.node for use in more]
                whole = whole and all_of_them
                continue
        if not isinstance(parent, ast.Attribute):
            whole = False
    calls.sort(key=lambda c: (c.lineno, c.col_offset))
    return _fed(module, calls), whole and bool(calls)


def _clone_is_fed_alike(module: Module, clone: ast.Call) -> bool:
    parent = module.parent(clone)
    if not isinstance(parent, ast.Assign) or not isinstance(parent.targets[0], ast.Name):
        return False
    return _uses_of_name(module, parent.targets[0].id, parent)[1]


def _uses_of_attribute(cls: ClassInfo, name: str) -> list[Use]:
    found: list[Use] = []
    for owner in (cls, *cls.subclasses) if cls.is_kind("nn.Module") else (cls,):
        if owner is not cls and _sets(owner, name):
            continue  # It feeds a metric of its own.
        calls = _index(owner.module, owner.node).fed.get(name, [])
        found += _fed(owner.module, calls)
    return found


def _sets(cls: ClassInfo, attribute: str) -> bool:
    return attribute in _index(cls.module, cls.node).stored


# The task --------------------------------------------------------------------------------------


def of_metric(module: Module, call: ast.Call) -> Evidence:
    """Return the evidence for a metric object that a call constructs."""
    places, whole = uses(module, call)
    return _gather(module, call, places, whole)


def of_function(
    module: Module, call: ast.Call, preds: ast.expr, target: ast.expr, at: ast.AST | None = None
) -> Evidence:
    """Return the evidence for a functional call.

    Args:
        module: the file; ``call``: the call; ``preds``, ``target``: its tensors.
        at: where the size must be a valid expression, when that is not the call itself (such as a
            statement of ``__init__`` when the call becomes a metric object).
    """
    return _gather(module, call, [Use(module, call, preds, target)], True, at)


def _gather(
    module: Module, call: ast.Call, places: list[Use], whole: bool, at: ast.AST | None = None
) -> Evidence:
    inputs = tuple(
        Inputs(
            known_tensor(use.module, use.preds, use.node),
            known_tensor(use.module, use.target, use.node),
            use.node,
            use.preds,
        )
        for use in places
    )
    known = Evidence(inputs=inputs if whole else ())
    if known.complete:
        return known
    cls = module.enclosing_class(call)
    place = at or call
    flows = [_flow(use) for use in places]
    shown = _agreed(flows)
    size, value, size_why = _size(module, call, cls, place)
    size_proof = False
    direct = at is None and len(places) == 1 and places[0].node is call
    if direct and flows[0].columns is not None and flows[0].task == "multiclass":
        # A function is told by the tensor itself, a constructor cannot be.
        text = f"{flows[0].columns}.shape[{flows[0].axis}]"
        size, value, size_why = text, None, f"{flows[0].columns} has one column per class"
        size_proof = flows[0].proof
    if flows and cls is not None:
        widths = [_proven_width(flow, cls, module, place) for flow in flows]
        first = widths[0]
        if first is not None and all(w is not None and w[0] == first[0] for w in widths):
            if first[3]:
                size, value, size_why, size_proof = first
            elif not size_proof and size is None:
                size, value, size_why, _ = first
    task: str | None = None
    why, proof, scores = "", False, None
    if shown is not None:
        task, why, proof, scores = shown
    else:
        task, why = _task_of_loss(_surroundings(module, call, cls))
    if task == "binary" and (size_proof or not proof):
        if value is not None and value > 1:
            task = "multilabel"
        elif value is None and size is not None and _is_one_by_default(module, size, place):
            proof = False
        elif value is None and size is not None and (size_proof or "loss" in why):
            # A binary loss over a number of outputs that has a name: one label each.
            task, proof = "multilabel", False
    elif task == "binary":
        proof = False  # One label or several: only the width would tell.
    if task is None and value == 1:
        task, why = "binary", size_why
    return Evidence(
        task,
        size,
        value,
        proof and bool(places),
        why,
        size_why,
        inputs if whole else (),
        size_proof,
        scores,
        bool(places),
    )


def _is_one_by_default(module: Module, size: str, at: ast.AST) -> bool:
    """Tell whether a number of outputs is a parameter that is 1 where nothing is given."""
    function = at if isinstance(at, FunctionNode) else _scope(module, at)
    default = default_of(function, size) if function is not None else None
    return default is not None and constant(module, default) == 1


@dataclass(frozen=True)
class _Flow:
    """What the way of one pair of predictions and targets shows."""

    task: str | None
    why: str
    proof: bool
    scores: str | None
    source: Spot | None  # Where the output of the network stands.
    columns: str | None = None  # A name, valid where the metric is fed, that holds class scores.
    axis: int = 1  # The dimension of the classes in it.


def _agreed(flows: list[_Flow]) -> tuple[str, str, bool, str | None] | None:
    """Return what all places at which a metric is fed agree on."""
    tasks = {flow.task for flow in flows}
    if len(tasks) != 1 or None in tasks:
        return None
    first = flows[0]
    assert first.task is not None
    kinds = {flow.scores for flow in flows}
    return (
        first.task,
        first.why,
        all(flow.proof for flow in flows),
        first.scores if len(kinds) == 1 else None,
    )


def _flow(use: Use) -> _Flow:
    """Read the way of the predictions, and the loss that is given the same tensors."""
    module = use.module
    spots = list(trail(module, use.preds, use.node))
    columns = _columns(use, spots)
    told = next((spot for spot in reversed(spots) if spot.through), None)
    paired = _paired_loss(use, spots)
    source = spots[-1] if spots else None
    if paired is not None:
        task, why, through = paired
        scores = _scores(through)
        if task == "binary" and "argmax" in through:
            return _Flow(None, "", False, None, source)
        return _Flow(task, why, True, scores, source, columns)
    if told is not None:
        step, line = told.through[0], f"at line {told.line}"
        for name in told.through:
            if name in ("argmax", "softmax", "log_softmax", "topk", "max"):
                why = f"predictions go through {name} {line}"
                labels = name in ("argmax", "max")
                scores, axis = _scores(told.through), _axis(spots)
                return _Flow(
                    "multiclass", why, labels, scores, source, columns if axis else None, axis or 1
                )
        if step == "sigmoid" or "sigmoid" in told.through:
            why = f"predictions go through sigmoid {line}"
            return _Flow("binary", why, False, _scores(told.through), source)
        if "compared" in told.through:
            why = f"predictions are compared with a threshold {line}"
            return _Flow("binary", why, False, "labels", source)
    return _Flow(None, "", False, None, source)


def _axis(spots: list[Spot]) -> int | None:
    """Return the dimension that an argmax on the way looks along, 0 and unknown as ``None``."""
    for spot in spots:
        call = spot.expr
        if isinstance(call, ast.Subscript):
            call = call.value
        if not isinstance(call, ast.Call):
            continue
        func = call.func
        name = func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")
        if name not in ("argmax", "max", "softmax", "log_softmax"):
            continue
        given = [k.value for k in call.keywords if k.arg in ("dim", "axis")] or call.args[-1:]
        value = constant(spot.module, given[0]) if given else None
        return value if isinstance(value, int) and value in (1, -1) else None
    return None


_LABELLING = frozenset(("argmax", "max", "topk", "compared", "ge", "gt"))


def _columns(use: Use, spots: list[Spot]) -> str | None:
    """Return a name that still holds scores and means the same where the metric is fed."""
    function = use.module.enclosing_function(use.node)
    every = spots[-1].through if spots else ()
    for spot in spots:
        name = spot.expr
        if not isinstance(name, ast.Name) or _LABELLING & set(every[len(spot.through) :]):
            continue
        if use.module.enclosing_function(name) is not function or spot.key is None:
            return None
        here = Spot(use.module, name, use.node, (), 0)
        return name.id if here.key == spot.key else None
    return None


def _scores(through: tuple[str, ...]) -> str:
    """Return what predictions are after some steps: labels, probabilities or logits."""
    if _LABELLING & set(through):
        return "labels"
    if any(name in ("softmax", "sigmoid", "exp") for name in through):
        return "probabilities"
    return "logits"


def _paired_loss(use: Use, spots: list[Spot]) -> tuple[str, str, tuple[str, ...]] | None:
    """Find a loss that is given what the metric is given: it proves the task."""
    names = {spot.key: spot for spot in spots if spot.key is not None}
    targets = {spot.key for spot in trail(use.module, use.target, use.node)} - {None}
    owners = {spot.module.enclosing_function(spot.expr): spot.module for spot in spots}
    for function, module in owners.items():
        if function is None:
            continue
        for call, loss in _losses_in(module, function):
            named = {k.arg: k.value for k in call.keywords}
            scores = call.args[0] if call.args else named.get("input")
            truth = call.args[1] if len(call.args) > 1 else named.get("target")
            if scores is None or truth is None:
                continue
            found = _shared(module, scores, call, names)
            if found is None or _shared(module, truth, call, targets) is None:
                continue
            spot = names[found]
            return (
                loss[0],
                f"{loss[1]} is given the same tensors at line {call.lineno}",
                (spot.through),
            )
    return None


def _losses_in(module: Module, function: ast.AST) -> list[tuple[ast.Call, tuple[str, str]]]:
    known: dict[ast.AST, list[tuple[ast.Call, tuple[str, str]]]]
    known = module.__dict__.setdefault("_lm_losses", {})
    if function not in known:
        kinds = ((call, _loss_kind(module, call)) for call in _index(module, function).calls)
        known[function] = [(call, kind) for call, kind in kinds if kind is not None]
    return known[function]


def _shared(
    module: Module, expr: ast.expr, at: ast.AST, wanted: Container[tuple[ast.AST, str] | None]
) -> tuple[ast.AST, str] | None:
    for spot in trail(module, expr, at):
        if spot.key is not None and spot.key in wanted:
            return spot.key
    return None


def _loss_kind(module: Module, call: ast.Call) -> tuple[str, str] | None:
    """Return the task and name of a loss that a call computes."""
    func = call.func
    name = module.qualified(func) or ""
    short = name.rsplit(".", 1)[-1]
    if isinstance(func, ast.Attribute) and is_self(func.value):
        cls = module.enclosing_class(call)
        made = attribute_value(cls, func.attr) if cls is not None else None
        if made is None or not isinstance(made[0], (ast.Call, ast.Attribute, ast.Name)):
            return None
        value = made[0].func if isinstance(made[0], ast.Call) else made[0]
        name = made[1].qualified(value) or ""
        short = name.rsplit(".", 1)[-1]
    if not name.startswith("torch."):
        return None
    if short in _MULTICLASS_LOSSES:
        return "multiclass", short
    if short in _BINARY_LOSSES:
        return "binary", short
    return None


def _proven_width(
    flow: _Flow, cls: ClassInfo, module: Module, at: ast.AST
) -> tuple[str, int | None, str, bool] | None:
    """Return the width of the network that made the predictions, as text valid at a place."""
    if flow.source is None or not isinstance(flow.source.expr, ast.Call):
        return None
    width = width_of(flow.source, cls)
    if width is None:
        return None
    value = constant(width.module, width.expr)
    text = ast.unparse(width.expr)
    why = f"the last layer has {text} outputs at line {width.line}"
    if not width.sure:
        why = f"the network is made for {text} classes at line {width.line}"
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value), value, why, width.sure
    function = _scope(module, at)
    if not _PATH.fullmatch(text) or width.module is not module:
        return None
    if function is None:
        return None
    if text.startswith(_HPARAMS) or (
        text.startswith("self.") and _set_before(cls, text[5:], function, at)
    ):
        return text, None, why, width.sure
    if width.function is function and function is not None and not text.startswith("self."):
        name = re.split(r"[.\[]", text)[0]
        parameters = {a.arg for a in (*function.args.args, *function.args.kwonlyargs)}
        if name in parameters and not bindings(module, name, function):
            return text, None, why, width.sure
    return None


@dataclass(frozen=True)
class _Surroundings:
    """The classes (or the function) in whose light a metric is read."""

    module: Module
    nodes: tuple[tuple[Module, ast.AST], ...]


def _surroundings(module: Module, call: ast.Call, cls: ClassInfo | None) -> _Surroundings:
    if cls is not None:
        owners: list[ClassInfo] = list(cls.mro())
        if cls.is_kind("nn.Module") or cls.is_lightning:
            owners += [sub for sub in cls.subclasses if sub not in owners]
        return _Surroundings(module, tuple((owner.module, owner.node) for owner in owners))
    function = module.enclosing_function(call)
    return _Surroundings(module, ((module, function or module.tree),))


def _task_of_loss(around: _Surroundings) -> tuple[str | None, str]:
    found: dict[str, str] = {}
    for module, node in around.nodes:
        for inner, short in _index(module, node).losses:
            name = module.qualified(inner) or ""
            if name.startswith("torch.") or name.endswith(short):
                task = "multiclass" if short in _MULTICLASS_LOSSES else "binary"
                found.setdefault(task, f"the loss is {short} at line {inner.lineno}")
    if len(found) > 1:
        return None, " and ".join(found.values())
    return next(iter(found.items()), (None, ""))


# The number of classes --------------------------------------------------------------------------


def _size(
    module: Module, call: ast.Call, cls: ClassInfo | None, at: ast.AST
) -> tuple[str | None, int | None, str]:
    """Return text, value and origin of a number of classes that is valid at a place."""
    function = at if isinstance(at, FunctionNode) else _scope(module, at)
    sibling = _sibling_size(module, call, function)
    if sibling is not None:
        return sibling
    named = _named_size(module, function, at, cls)
    if named is not None:
        return named
    if cls is not None:
        found = _layer_size(cls, function, at)
        if function is not None or found[1] is not None:
            return found
    return None, None, ""


def _scope(module: Module, at: ast.AST) -> FunctionNode | None:
    """Return the function in whose body a node is evaluated; defaults are evaluated outside."""
    below = at
    for ancestor in module.ancestors(at):
        if isinstance(ancestor, FunctionNode) and below in ancestor.body:
            return ancestor
        below = ancestor
    return None


def _sibling_size(
    module: Module, call: ast.Call, function: FunctionNode | None
) -> tuple[str, int | None, str] | None:
    """Look at other metrics made in the same function."""
    if function is None:
        return None
    seen: dict[str, tuple[str, int | None, str]] = {}
    for node in _sized_metrics(module, function):
        if node is call:
            continue
        name = module.qualified(node.func) or ""
        if not name.startswith(("torchmetrics.", "pytorch_lightning.metrics.")):
            continue
        for keyword in node.keywords:
            if keyword.arg in ("num_classes", "num_labels"):
                text = ast.unparse(keyword.value)
                value = constant(module, keyword.value)
                seen[text] = (
                    text,
                    value if isinstance(value, int) else None,
                    f"another metric has {keyword.arg}={text} at line {node.lineno}",
                )
    return next(iter(seen.values())) if len(seen) == 1 else None


def _sized_metrics(module: Module, function: ast.AST) -> list[ast.Call]:
    known: dict[ast.AST, list[ast.Call]] = module.__dict__.setdefault("_lm_sized", {})
    if function not in known:
        seen: dict[str, ast.Call] = {}
        for node in _index(module, function).calls:
            for keyword in node.keywords:
                if keyword.arg in ("num_classes", "num_labels"):
                    # Three different sizes say no more than two.
                    text = ast.unparse(keyword.value)
                    if len(seen) < 3:
                        seen.setdefault(f"{text} {len(seen)}" if text in seen else text, node)
        known[function] = list(seen.values())
    return known[function]


def _named_size(
    module: Module, function: FunctionNode | None, at: ast.AST, cls: ClassInfo | None
) -> tuple[str, int | None, str] | None:
    line = _line_behind(at)
    if function is not None:
        arguments = function.args
        for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
            if _COUNT.match(argument.arg):
                why = f"{argument.arg} is a parameter of {function.name} at line {argument.lineno}"
                return argument.arg, None, why
        for name in dict.fromkeys(node.id for node in _index(module, function).names):
            bound = bindings(module, name, function)
            if bound and bound[0].lineno < line:
                return name, None, f"{name} is set at line {bound[0].lineno}"
    candidates: dict[str, int] = {}
    if function is None:
        cls = None  # In a default or a class body there is no self.
    owner: ast.AST = cls.node if cls is not None else function or module.tree
    for node in _index(module, owner).attributes[:40]:
        text = ast.unparse(node)
        root = text.split(".")[0]
        if root == "self" or (function is not None and root in module.scope_of(function)):
            candidates.setdefault(text, node.lineno)
    for text, where in candidates.items():
        if text.startswith("self.hparams") or not text.startswith("self."):
            return text, None, f"{text} is read at line {where}"
        # An attribute of self must be set before the metric is made.
        if cls is not None and _set_before(cls, text.removeprefix("self."), function, at):
            return text, None, f"{text} is set at line {where}"
    if cls is not None and function is not None:
        for text in candidates:
            if "." not in text.removeprefix("self.") and _set_in_base(cls, text[5:]):
                return text, None, f"{text} is set by a base class"
    if function is None or cls is None:
        for statement in module.tree.body:
            if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
                name = statement.targets[0].id
                if _COUNT.match(name.lower()) and statement.lineno < line:
                    value = constant(module, statement.value)
                    number = value if isinstance(value, int) else None
                    return name, number, f"{name} is set at line {statement.lineno}"
    return None


def _line_behind(at: ast.AST) -> int:
    """Return the line before which all is done at a place: behind a statement, before a call."""
    if isinstance(at, ast.stmt) and not isinstance(at, (FunctionNode, ast.ClassDef)):
        return (at.end_lineno or at.lineno) + 1
    return getattr(at, "lineno", 0)


def _set_before(cls: ClassInfo, attribute: str, function: FunctionNode | None, at: ast.AST) -> bool:
    for node in _index(cls.module, cls.node).stored.get(attribute, ()):
        owner = cls.module.enclosing_function(node)
        if owner is function:
            if node.lineno < _line_behind(at):
                return True
        elif owner is not None and owner.name == "__init__":
            return True
    return attribute in cls.assigned


def _set_in_base(cls: ClassInfo, attribute: str) -> bool:
    return any(_sets(base, attribute) for base in cls.mro()[1:])


def _layer_size(
    cls: ClassInfo, function: FunctionNode | None, at: ast.AST
) -> tuple[str | None, int | None, str]:
    """Look at the last linear layer of the class, or the classes= of a made backbone."""
    last = _last_layer(cls)
    if last is None:
        return None, None, ""
    node, width = last
    value = constant(cls.module, width)
    text = ast.unparse(width)
    why = f"the last linear layer has {text} outputs at line {node.lineno}"
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value), value, why
    same = cls.module.enclosing_function(node) is function and function is not None
    is_path = _PATH.fullmatch(text) is not None
    if is_path and (text.startswith(_HPARAMS) or same):
        return text, None, why
    return None, None, ""


def _last_layer(cls: ClassInfo) -> tuple[ast.Call, ast.expr] | None:
    known: dict[ast.AST, tuple[ast.Call, ast.expr] | None]
    known = cls.module.__dict__.setdefault("_lm_last_layers", {})
    if cls.node not in known:
        known[cls.node] = _find_last_layer(cls)
    return known[cls.node]


def _find_last_layer(cls: ClassInfo) -> tuple[ast.Call, ast.expr] | None:
    last: tuple[ast.Call, ast.expr] | None = None
    for node in _index(cls.module, cls.node).calls:
        name = cls.module.qualified(node.func) or ""
        width: ast.expr | None = None
        if name in ("torch.nn.Linear", "torch.nn.LazyLinear", "torch.nn.modules.linear.Linear"):
            named = {k.arg: k.value for k in node.keywords}
            position = 0 if name.endswith("LazyLinear") else 1
            width = named.get("out_features")
            if width is None and len(node.args) > position:
                width = node.args[position]
        elif name.startswith(("torchvision.models.", "timm.")):
            width = next((k.value for k in node.keywords if k.arg == "num_classes"), None)
        if width is not None and (last is None or node.lineno >= last[0].lineno):
            last = (node, width)
    return last
