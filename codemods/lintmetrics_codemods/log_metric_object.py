"""Writes the Metric object into the log call that was given its answer."""

from __future__ import annotations

import ast

from lintmetrics.codemod import Blocked, Codemod, Fix, Relation
from lintmetrics.config import Settings
from lintmetrics.edits import CannotEdit, Editor, indent_unit
from lintmetrics.model import attribute_names, hooks, loaders, logged_values
from lintmetrics.model.flow import LightningClass
from lintmetrics.model.log_calls import LogCall, LogContext
from lintmetrics.model.logged_values import LoggedValue
from lintmetrics.model.object_equivalents import other_than_one_number
from lintmetrics.model.tensors import bindings
from lintmetrics.model.values import Metric, Number, Origin, options
from lintmetrics.project import Module
from lintmetrics.rule import Finding
from lintmetrics.tree import subtree

_WIDTH = 100
_ORDER = ("train", "val", "test", "predict")


class LogMetricObject(Codemod):
    """Logs the object that a class already has, in place of what it answers."""

    codes = ("LM102", "LM103")

    def plan(self, finding: Finding, settings: Settings) -> Fix | Blocked:
        """Plan the call of the object and the log call."""
        call, origin = finding.subject, finding.detail
        assert isinstance(call, LogCall)
        assert isinstance(origin, Origin)
        assert isinstance(origin.node, ast.Call)
        metric = origin.metric
        if metric is None or not metric.path:
            return Blocked(
                "the object is no attribute of the module, so Lightning cannot find it; create it "
                "in __init__"
            )
        if metric.container in ("dict", "list"):
            kind = "ModuleDict" if metric.container == "dict" else "ModuleList"
            return Blocked(
                f"self.{metric.path} is kept in a plain {metric.container}, where Lightning does "
                f"not find it; keep it in torch.nn.{kind}"
            )
        answer = other_than_one_number(metric)
        if answer:
            return Blocked(
                f"self.{metric.path} computes {answer}, which an object cannot be logged with; "
                "compute it in the epoch-end hook, log its parts and reset it"
            )
        comprehension = origin.module.parent(origin.node)
        if isinstance(comprehension, ast.DictComp) and comprehension.value is origin.node:
            return _Comprehension(call, origin.module, comprehension, origin.node).fix()
        value = logged_values.trace(call, origin.node, origin.module)
        if value.is_by_choice:
            return Blocked(
                f"the object is called at line {value.statement.lineno} and logged at line "
                f"{value.logged.lineno} under another condition"
            )
        whole = value.key is None and value.function is call.function
        if call.is_dict and whole and not metric.is_collection:
            return Blocked(f"self.{metric.path} is no MetricCollection, so log_dict cannot take it")
        contexts = value.contexts()
        assumes = _require_one_loader(value, contexts, metric)
        _require_no_reset(value, metric)
        editor = Editor()
        name = _object_text(value, origin.node)
        own = _own_object(editor, value, contexts, metric)
        if origin.kind == "forward":
            _keep_call(editor, value, origin.node, name, own)
        elif own:
            raise CannotEdit(
                f"{name} is used in several stages, which would mix them; give each stage an "
                "object of its own"
            )
        else:
            _drop_compute(editor, value, contexts, metric)
        editor.replace(value.module, value.written, own or name)
        for keyword in value.redundant_arguments():
            editor.drop_argument(value.module, call.node, keyword)
        text = f"log {own or name} itself: {call.key} becomes its value on the epoch"
        if metric.custom is not None:
            assumes.append(f"that {metric.custom.node.name}.compute() gives one number")
        if assumes:
            text += f"; assumes {' and '.join(assumes)}"
        relation = Relation.ASSUMES if assumes else Relation.CORRECTS
        return Fix(relation, text, editor.edits)


# A dict made of the answers of all objects ----------------------------------------------------


class _Comprehension:
    """``{k: m(x, y) for k, m in self.metrics.items()}``, logged as a dict."""

    def __init__(self, call: LogCall, module: Module, made: ast.DictComp, answer: ast.Call) -> None:
        self.call, self.module, self.made, self.answer = call, module, made, answer
        self.text = module.source.segment

    def fix(self) -> Fix | Blocked:
        """Plan a loop that calls the objects, and the same dict of the objects themselves."""
        call, made = self.call, self.made
        function = self.module.enclosing_function(made)
        loop = made.generators[0]
        line = made.lineno
        if function is None or function is not call.function or not self._is_only_logged():
            return Blocked(
                f"the dict at line {line} does not go straight to log_dict; call the objects in a "
                "loop and log a dict of the objects themselves"
            )
        name = self.answer.func
        if len(made.generators) > 1 or loop.ifs or not isinstance(name, ast.Name):
            return Blocked(
                f"the dict at line {line} is made in more than one step; call the objects in a "
                "loop and log a dict of the objects themselves"
            )
        metrics = self._metrics()
        if metrics is None:
            return Blocked(
                f"not all that the dict at line {line} is made of are objects of the module; call "
                "those that are in a loop and log them by themselves"
            )
        owner = self.module.enclosing_class(made)
        assert owner is not None
        contexts = [
            way for one in LightningClass.of(call.cls).calls_at(call.node) for way in one.contexts
        ]
        step, idle = logged_values.told_dataloader(contexts, owner)
        counts = {loaders.how_many(owner, context.stage) for context in contexts}
        idle = idle and max(counts, default=0) < 2
        assumed = f"that {step} has one dataloader" if step and counts != {1} else ""
        for metric in metrics:
            uses = list(logged_values.family_uses(owner, metric.path))
            stages = {hooks.stage_of(hook) for hook, _, _ in uses if hooks.is_batch_hook(hook)}
            others = [node for _, operation, node in uses if operation != "forward"]
            if others:
                return Blocked(
                    f"self.{metric.path} is also computed or reset at line {others[0].lineno}; "
                    "decide which of the two is logged"
                )
            if len(stages) > 1 and "train" in stages:
                return Blocked(
                    f"self.{metric.path} is used in {' and '.join(sorted(stages))}, which would "
                    "mix them; give each stage an object of its own"
                )
            again = [node for _, _, node in uses if node is not self.answer]
            if again and len({hook for hook, _, _ in uses}) < len(uses):
                return Blocked(
                    f"self.{metric.path} is called at line {again[0].lineno} as well, and one "
                    "object would count those samples twice"
                )
            if step and not idle:
                return Blocked(
                    f"{step} is told its dataloader, and one self.{metric.path} would mix them; "
                    "give each dataloader an object of its own"
                )
        taken = {inner.id for inner in subtree(loop.target) if isinstance(inner, ast.Name)}
        clash = sorted(taken & set(self.module.scope_of(function)))
        if clash:
            return Blocked(
                f"{clash[0]} has another meaning in {function.name}; call the objects in a loop "
                "and log a dict of the objects themselves"
            )
        editor = Editor()
        head = self._head(loop, name.id)
        body = indent_unit(self.module) + " ".join(self.text(self.answer).split())
        editor.insert_before(self.module, self.module.statement(made), [head, body])
        editor.replace(self.module, self.answer, name.id)
        text = (
            f"call the objects in a loop and log them themselves: {call.key} becomes its value on "
            "the epoch"
        )
        if assumed:
            text += f"; assumes {assumed}"
        relation = Relation.ASSUMES if assumed else Relation.CORRECTS
        return Fix(relation, text, editor.edits)

    def _head(self, loop: ast.comprehension, name: str) -> str:
        """Return the head of the loop over the objects, with their keys where they are read."""
        read = {inner.id for inner in subtree(self.answer) if isinstance(inner, ast.Name)}
        items, target = loop.iter, loop.target
        if (
            isinstance(items, ast.Call)
            and isinstance(items.func, ast.Attribute)
            and items.func.attr == "items"
            and isinstance(target, ast.Tuple)
            and isinstance(target.elts[0], ast.Name)
            and target.elts[0].id not in read
        ):
            return f"for {name} in {self.text(items.func.value)}.values():"
        return f"for {self.text(target)} in {self.text(items)}:"

    def _is_only_logged(self) -> bool:
        """Tell whether the dict is an argument of the log call, or a name that only it reads."""
        call, module = self.call, self.module
        if not call.is_dict or not isinstance(module.parent(call.node), ast.Expr):
            return False
        given = call.node.args[0] if call.node.args else None
        if given is self.made:
            return True
        statement = module.parent(self.made)
        if not isinstance(given, ast.Name) or not isinstance(statement, ast.Assign):
            return False
        assert call.function is not None
        return (
            bindings(module, given.id, call.function) == [statement]
            and len(logged_values.reads_of(call.function, given.id)) == 1
            and logged_values.conditions(module, statement)
            == logged_values.conditions(module, module.statement(call.node))
        )

    def _metrics(self) -> list[Metric] | None:
        """Return the objects whose answers the dict holds; ``None`` when it holds others."""
        found: list[Metric] = []
        for entry in LightningClass.of(self.call.cls).calls_at(self.call.node):
            for context in entry.contexts:
                for option in options(context.value):
                    origins = option.origins if isinstance(option, Number) else ()
                    if len(origins) != 1 or origins[0].node is not self.answer:
                        return None
                    metric = origins[0].metric
                    if metric is None or metric.container in ("", "dict", "list"):
                        return None
                    if metric.is_collection or other_than_one_number(metric):
                        return None
                    found.append(metric)
        return found or None


def _object_text(value: LoggedValue, made: ast.Call) -> str:
    func = made.func
    if isinstance(func, ast.Attribute) and func.attr in ("forward", "compute"):
        func = func.value
    return value.module.source.segment(func)


# May it be done --------------------------------------------------------------------------------


def _require_one_loader(
    value: LoggedValue, contexts: list[LogContext], metric: Metric
) -> list[str]:
    step, idle = logged_values.told_dataloader(contexts, value.owner)
    counts = {loaders.how_many(value.owner, context.stage) for context in contexts}
    if step and (not idle or max(counts) > 1):
        if _is_one_of_each_loader(value):
            return []
        raise CannotEdit(
            f"{step} is told its dataloader, and one self.{metric.path} would mix them; give each "
            "dataloader an object of its own"
        )
    return [f"that {step} has one dataloader"] if step and counts != {1} else []


def _is_one_of_each_loader(value: LoggedValue) -> bool:
    """Tell whether the step takes the object out of a list by the number of its dataloader."""
    held = value.made.func if isinstance(value.made, ast.Call) else None
    if isinstance(held, ast.Attribute) and held.attr in ("forward", "compute"):
        held = held.value
    function = value.function
    if not (isinstance(held, ast.Subscript) and isinstance(held.slice, ast.Name) and function):
        return False
    told = function.args.args[3:4]
    return bool(told) and told[0].arg == held.slice.id and function.name in hooks.STEPS


def _require_no_reset(value: LoggedValue, metric: Metric) -> None:
    for _, operation, node in logged_values.family_uses(value.owner, metric.path):
        if operation == "reset" and not _is_next_to(value, node):
            raise CannotEdit(
                f"self.{metric.path} is reset at line {node.lineno}, maybe before Lightning "
                "computes it; Lightning resets a logged object itself, take that line out"
            )


def _is_next_to(value: LoggedValue, node: ast.Call) -> bool:
    """Tell whether a reset stands in the block of the log call, as a statement."""
    module = value.module
    parent = module.parent(node)
    return isinstance(parent, ast.Expr) and module.parent(parent) is module.parent(value.logged)


# One object for each stage ---------------------------------------------------------------------


def _own_object(
    editor: Editor, value: LoggedValue, contexts: list[LogContext], metric: Metric
) -> str:
    """Give a stage an object of its own where several share one; return how the step names it.

    Empty when the object serves one loop (or validation and test, which never interleave).
    """
    by_stage: dict[str, set[ast.Call]] = {}
    for hook, operation, node in logged_values.family_uses(value.owner, metric.path):
        if hooks.is_batch_hook(hook) and operation in ("forward", "update"):
            by_stage.setdefault(hooks.stage_of(hook), set()).add(node)
        elif operation == "compute" and not hooks.is_batch_hook(hook):
            raise CannotEdit(
                f"self.{metric.path} is also computed at line {node.lineno}; decide which of the "
                "two is logged"
            )
    if "train" not in by_stage or len(by_stage) < 2:
        return ""
    stages = [stage for stage in _ORDER if stage in by_stage]
    mixed = CannotEdit(
        f"self.{metric.path} is used in {' and '.join(stages)}, which would mix them; give each "
        "stage an object of its own"
    )
    owner = value.owner
    created = metric.constructor
    statement = owner.module.parent(created) if created is not None else None
    init = owner.methods.get("__init__")
    if (
        created is None
        or init is None
        or metric.module is not owner.module
        or not isinstance(statement, ast.Assign)
        or owner.module.enclosing_function(statement) is not init
        or not metric.path.isidentifier()
        or value.in_loop is not None
    ):
        raise mixed
    made = owner.module.source.segment(created)
    current = {context.stage for context in contexts}
    if len(current) == 1:
        (stage,) = current
        others = set().union(*(by_stage[other] for other in stages if other != stage))
        if stage == stages[0] or by_stage[stage] & others or by_stage[stage] != {value.made}:
            raise mixed
        name = attribute_names.attribute_for(metric.path, stage, owner)
        editor.insert_after(owner.module, statement, [f"self.{name} = {made}"])
        return f"self.{name}"
    keys = list(dict.fromkeys(context.key or "*" for context in contexts))
    if (
        any(nodes != {value.made} for nodes in by_stage.values())
        or len(keys) != len(stages)
        or value.key is None
        or not all(attribute_names.is_module_dict_key(key) and "*" not in key for key in keys)
    ):
        raise mixed
    container = editor.add_import(owner.module, "torch.nn", "ModuleDict")
    listed = ", ".join(f'"{key}"' for key in keys)
    inner = f"{{key: {made} for key in ({listed})}}"
    source = owner.module.source
    indent = source.indent_of(source.start(statement))
    if len(f"{indent}self.{metric.path} = {container}({inner})") > _WIDTH:
        newline = source.newline
        inner = f"{newline}{indent}{indent_unit(owner.module)}{inner}{newline}{indent}"
    editor.replace(owner.module, created, f"{container}({inner})")
    key_text = " ".join(value.module.source.segment(value.key).split())
    return f"self.{metric.path}[{key_text}]"


# What is written -------------------------------------------------------------------------------


def _keep_call(editor: Editor, value: LoggedValue, made: ast.Call, name: str, own: str) -> None:
    """Let the object be called, as a statement of its own before it is logged."""
    module = value.module
    text = "\n".join(logged_values.lines_of(module, made))
    if own:
        text = own + text.removeprefix(name)
    if not value.local:
        editor.insert_before(module, value.statement, text.split("\n"))
    elif not value.is_used:
        editor.replace(module, value.statement, text)
    elif own:
        editor.replace(module, made, text)


def _drop_compute(
    editor: Editor, value: LoggedValue, contexts: list[LogContext], metric: Metric
) -> None:
    """Take out the computing and resetting that Lightning does itself."""
    module = value.module
    if value.local and not value.is_used:
        editor.remove(module, value.statement)
    feeds = []
    for _, operation, node in logged_values.family_uses(value.owner, metric.path):
        if operation == "reset" and _is_next_to(value, node):
            statement = module.parent(node)
            assert isinstance(statement, ast.stmt)
            editor.remove(module, statement)
        elif operation in ("update", "forward"):
            feeds.append((operation, node))
    if not value.uses_step(contexts):
        return
    # After update() alone, a step has no value and on_step=True logs nothing (lightning 2.6.6).
    for operation, node in dict.fromkeys(feeds):
        if operation != "update":
            continue
        if module.enclosing_function(node) is not value.function:
            raise CannotEdit(
                f"self.{metric.path} is updated at line {node.lineno}, away from the log call; "
                "call it instead, so that on_step has a value"
            )
        assert isinstance(node.func, ast.Attribute)
        editor.replace(module, node.func, module.source.segment(node.func.value))
