"""Gives each stage a Metric object of its own, a clone of the one that they share."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from lintmetrics.codemod import Blocked, Codemod, Fix, Relation
from lintmetrics.config import Settings
from lintmetrics.edits import CannotEdit, Editor, FunctionNode, indent_unit
from lintmetrics.model import attribute_names, hooks
from lintmetrics.model.creation import assignment
from lintmetrics.model.epoch_hooks import family
from lintmetrics.model.flow import LightningClass
from lintmetrics.model.held_metrics import HeldMetric, held_metrics, own_name
from lintmetrics.project import ClassInfo, Module
from lintmetrics.rule import Finding
from lintmetrics.tree import subtree

_ORDER = ("train", "val", "test")
_HOOK = re.compile(r"(?:on_)?(?:train(?:ing)?|validation|test)_\w+$")
_MODULE = re.compile(r"model|module|net$", re.I)

Mention = tuple[Module, ast.Attribute]


class ObjectPerStage(Codemod):
    """One object for each stage in place of one that they share."""

    codes = ("LM105",)

    def plan(self, finding: Finding, settings: Settings) -> Fix | Blocked:
        """Plan the new objects, and who uses which."""
        held = finding.detail
        assert isinstance(held, HeldMetric)
        made = held.metric.constructor
        owner = held.metric.module.enclosing_class(made) if made is not None else None
        if made is None or owner is None or held.path != held.attribute:
            return Blocked(
                f"self.{held.path} is made in no attribute of its own; make one for each stage"
            )
        statement = owner.module.parent(made)
        target = _target(statement)
        if not isinstance(target, ast.Attribute) or target.attr != held.attribute:
            return Blocked(
                f"self.{held.path} is made inside another expression at line {made.lineno}; make "
                "one for each stage"
            )
        assert isinstance(statement, (ast.Assign, ast.AnnAssign))
        return _Split(held, owner, statement, target).fix()


def _target(statement: ast.AST | None) -> ast.expr | None:
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        return statement.targets[0]
    return statement.target if isinstance(statement, ast.AnnAssign) else None


class _Split:
    """The mentions of one object, by the stages that they serve."""

    def __init__(
        self,
        held: HeldMetric,
        owner: ClassInfo,
        statement: ast.Assign | ast.AnnAssign,
        target: ast.Attribute,
    ) -> None:
        self.held = held
        self.owner = owner
        self.statement = statement
        self.target = target
        self.editor = Editor()
        self.stages = _stages(held, owner)
        self.stores = [
            node
            for cls in family(owner)
            for node in subtree(cls.node)
            if isinstance(node, ast.Attribute)
            and node.attr == held.attribute
            and not isinstance(node.ctx, ast.Load)
        ]
        if len(self.stores) != 1:
            line = max(node.lineno for node in self.stores)
            raise CannotEdit(f"self.{held.attribute} is set again at line {line}")
        self.mentions = list(_mentions(owner, held.attribute))

    def fix(self) -> Fix:
        """Plan the whole split."""
        served = {id(node): self._served(module, node) for module, node in self.mentions}
        mixed = [
            (module, node)
            for module, node in self.mentions
            if "train" in served[id(node)] and len(served[id(node)]) > 1
        ]
        names = self._by_parameter(mixed, served) if mixed else self._by_name(served)
        text = f"{' and '.join(names)}: each stage gathers its own batches only"
        return Fix(Relation.CORRECTS, text, self.editor.edits)

    def _served(self, module: Module, node: ast.Attribute) -> frozenset[str]:
        """Return the stages in which a mention of the object runs."""
        above: ast.AST | None = node
        while isinstance(above, (ast.expr, ast.keyword)):
            if above in self.stages:
                return frozenset(self.stages[above])
            above = module.parent(above)
        function = module.enclosing_function(node)
        if function is not None and _HOOK.match(function.name):
            return frozenset((hooks.stage_of(function.name),))
        raise CannotEdit(
            f"which stage uses self.{self.held.attribute} at line {node.lineno} cannot be told; "
            "give each stage an object of its own"
        )

    def _by_name(self, served: dict[int, frozenset[str]]) -> list[str]:
        """Let each stage name its own object; training keeps the one there is."""
        together = any({"val", "test"} <= stages for stages in served.values())
        present = {stage for stages in served.values() for stage in stages}
        names = {"train": self.held.attribute}
        for stage in _ORDER[1:]:
            if stage in present:
                names[stage] = own_name(self.held, stage)
        if together:
            names["test"] = names["val"]
        for module, node in self.mentions:
            (name,) = {names[stage] for stage in served[id(node)]}
            if name != self.held.attribute:
                self.editor.rename_attribute(module, node, name)
        added = [name for name in dict.fromkeys(names.values()) if name != self.held.attribute]
        self._clone(self.held.attribute, added)
        return [f"self.{name}" for name in dict.fromkeys(names.values())]

    def _clone(self, first: str, others: list[str]) -> None:
        lines = [f"self.{name} = self.{first}.clone()" for name in others]
        self.editor.insert_after(self.owner.module, self.statement, lines)

    # Methods that several stages share ----------------------------------------------------------

    def _by_parameter(self, mixed: list[Mention], served: dict[int, frozenset[str]]) -> list[str]:
        """Let a shared method find the object of its stage by the parameter that tells it."""
        told: dict[str, str] = {}
        parameters: dict[FunctionNode, str] = {}
        for module, node in mixed:
            function = module.enclosing_function(node)
            assert function is not None
            if function not in parameters:
                name, values = self._parameter(function, served[id(node)])
                parameters[function] = name
                for stage, value in values.items():
                    if told.setdefault(stage, value) != value:
                        raise CannotEdit(
                            f"{function.name} at line {function.lineno} calls a stage {value!r} "
                            f"that another method calls {told[stage]!r}"
                        )
        present = {stage for stages in served.values() for stage in stages}
        lacking = sorted(present - told.keys())
        for stage in lacking:
            told[stage] = stage
        if any(told["train"] == told[stage] for stage in present - {"train"}):
            raise CannotEdit(f"the stages of self.{self.held.attribute} have one name")
        self._require_own_mentions()
        plain = (attribute_names.without_stage(self.held.attribute) or "metric").lstrip("_")
        taken = attribute_names.attribute_for
        words = [told[stage] for stage in _ORDER if stage in told]
        names = {word: f"{word.rstrip('_')}_{plain}" for word in words}
        free = all(
            name.isidentifier()
            and (taken(name, "", self.owner) == name or name == self.target.attr)
            for name in names.values()
        )
        if free:
            self._as_attributes(mixed, served, told, names, parameters, plain)
            return [f"self.{name}" for name in dict.fromkeys(names.values())]
        if all(attribute_names.is_module_dict_key(word) for word in words):
            return self._as_dict(mixed, served, told, parameters)
        raise CannotEdit(f"no names are free for the objects of {' and '.join(map(repr, words))}")

    def _as_attributes(
        self,
        mixed: list[Mention],
        served: dict[int, frozenset[str]],
        told: dict[str, str],
        names: dict[str, str],
        parameters: dict[FunctionNode, str],
        plain: str,
    ) -> None:
        first, *others = dict.fromkeys(names.values())
        if first != self.target.attr:
            self.editor.rename_attribute(self.owner.module, self.target, first)
        self._clone(first, others)
        for module, node in self.mentions:
            if (module, node) in mixed:
                continue
            (name,) = {names[told[stage]] for stage in served[id(node)]} or {first}
            if name != node.attr:
                self.editor.rename_attribute(module, node, name)
        for function, parameter in parameters.items():
            inside = [(m, n) for m, n in mixed if m.enclosing_function(n) is function]
            module = inside[0][0]
            ends = "" if all(value.endswith("_") for value in told.values()) else "_"
            made = f'getattr(self, f"{{{parameter}}}{ends}{plain}")'
            self._replace(module, function, [node for _, node in inside], made, plain)

    def _as_dict(
        self,
        mixed: list[Mention],
        served: dict[int, frozenset[str]],
        told: dict[str, str],
        parameters: dict[FunctionNode, str],
    ) -> list[str]:
        module = self.owner.module
        container = self.editor.add_import(module, "torch.nn", "ModuleDict")
        value = self.statement.value
        assert value is not None
        keys = ", ".join(f'"{told[stage]}"' for stage in _ORDER if stage in told)
        made = module.source.segment(value)
        whole = f"{container}({{key: {made} for key in ({keys})}})"
        if isinstance(self.statement, ast.Assign) and len(made.splitlines()) == 1:
            source, unit = module.source, indent_unit(module)
            indent = source.indent_of(source.start(self.statement))
            lines = assignment(self.target.attr, whole)
            text = f"{source.newline}{indent}".join(line.replace("    ", unit) for line in lines)
            self.editor.replace(module, self.statement, text)
        else:
            self.editor.replace(module, value, whole)
        for module, node in self.mentions:
            text = f"self.{node.attr}"
            if (module, node) not in mixed:
                (key,) = {told[stage] for stage in served[id(node)]}
                self.editor.replace(module, node, f'{text}["{key}"]')
                continue
            function = module.enclosing_function(node)
            assert function is not None
            self._require_plain(module, node)
            self.editor.replace(module, node, f"{text}[{parameters[function]}]")
        return [f'self.{self.held.attribute}["{told[s]}"]' for s in _ORDER if s in told]

    def _replace(
        self,
        module: Module,
        function: FunctionNode,
        nodes: list[ast.Attribute],
        made: str,
        local: str,
    ) -> None:
        for node in nodes:
            self._require_plain(module, node)
        if len(nodes) > 1 and local not in _names(function):
            self.editor.insert_at_body_start(module, function, [f"{local} = {made}"])
            made = local
        for node in nodes:
            self.editor.replace(module, node, made)

    @staticmethod
    def _require_plain(module: Module, node: ast.AST) -> None:
        for above in module.ancestors(node):
            if isinstance(above, ast.JoinedStr):
                raise CannotEdit(f"the object is used inside a string at line {node.lineno}")  # type: ignore[attr-defined]
            if isinstance(above, ast.Lambda):
                raise CannotEdit(f"the object is used in a lambda at line {node.lineno}")  # type: ignore[attr-defined]

    def _parameter(
        self, function: FunctionNode, stages: frozenset[str]
    ) -> tuple[str, dict[str, str]]:
        """Return the parameter of a method that tells it the stage, with its value for each."""
        parameters = [a.arg for a in (*function.args.args, *function.args.kwonlyargs)]
        found: dict[str, dict[str, set[str]]] = {name: {} for name in parameters}
        for hook, call in _calls_of(self.owner, function.name):
            stage = hooks.stage_of(hook)
            for name in parameters:
                value = _constant_argument(call, function, name)
                found[name].setdefault(stage, set()).add(value)
        stored = {n.id for n in subtree(function) if isinstance(n, ast.Name) and _is_store(n)}
        for name, values in found.items():
            known = {stage: next(iter(v)) for stage, v in values.items() if len(v) == 1}
            distinct = known.keys() >= stages and "" not in known.values()
            apart = all(known.get(s) != known.get("train") for s in stages if s != "train")
            if distinct and apart and name not in stored:
                return name, {stage: known[stage] for stage in stages}
        raise CannotEdit(
            f"{function.name} at line {function.lineno} serves {' and '.join(sorted(stages))}, and "
            "no parameter tells it which; give each stage an object of its own"
        )

    def _require_own_mentions(self) -> None:
        """Raise where other code may know the object by the name that goes."""
        attribute = self.held.attribute
        spelled = re.compile(rf"\.{re.escape(attribute)}\b")
        for module in self.owner.module.project.mentioning(spelled):
            for node in subtree(module.tree):
                if not (isinstance(node, ast.Attribute) and node.attr == attribute):
                    continue
                holder = node.value
                name = getattr(holder, "attr", getattr(holder, "id", ""))
                if name != "self" and _MODULE.search(name):
                    raise CannotEdit(
                        f"{name}.{attribute} is used at {module.source.path}:{node.lineno}"
                    )


def _stages(held: HeldMetric, owner: ClassInfo) -> dict[ast.AST, set[str]]:
    """Return the calls that use an object, and those that log it, with the stages of each."""
    found: dict[ast.AST, set[str]] = {}
    for cls in (owner, *owner.subclasses):
        for other in held_metrics(LightningClass.of(cls)):
            if other.path != held.path:
                continue
            for use in other.uses:
                found.setdefault(use.node, set()).add(hooks.stage_of(use.hook))
            for call, way in other.logs:
                found.setdefault(call.node, set()).add(way.stage)
    return found


def _mentions(owner: ClassInfo, attribute: str) -> Iterator[Mention]:
    for cls in family(owner):
        for node in subtree(cls.node):
            if (
                isinstance(node, ast.Attribute)
                and node.attr == attribute
                and isinstance(node.ctx, ast.Load)
                and isinstance(node.value, ast.Name)
                and node.value.id == "self"
            ):
                yield cls.module, node


def _calls_of(owner: ClassInfo, name: str) -> Iterator[tuple[str, ast.Call]]:
    """Yield each ``self.name(...)`` of a family, with the hook that makes it.

    Raises:
        CannotEdit: a method that is no hook calls it.
    """
    for cls in family(owner):
        for node in subtree(cls.node):
            if not (isinstance(node, ast.Attribute) and node.attr == name):
                continue
            call = cls.module.parent(node)
            function = cls.module.enclosing_function(node)
            if not isinstance(call, ast.Call) or call.func is not node or function is None:
                raise CannotEdit(f"{name} is handed on at line {node.lineno}")
            if function.name == "predict_step":
                continue
            if not _HOOK.match(function.name):
                raise CannotEdit(f"{function.name} calls {name} at line {node.lineno}")
            yield function.name, call


def _constant_argument(call: ast.Call, function: FunctionNode, name: str) -> str:
    """Return the string that a call gives a parameter; empty for anything else."""
    given: ast.expr | None = None
    for keyword in call.keywords:
        if keyword.arg == name:
            given = keyword.value
    names = [a.arg for a in (*function.args.posonlyargs, *function.args.args)]
    if given is None and name in names and not any(isinstance(a, ast.Starred) for a in call.args):
        position = names.index(name) - 1
        given = call.args[position] if 0 <= position < len(call.args) else None
    if isinstance(given, ast.Constant) and isinstance(given.value, str):
        return given.value
    return ""


def _names(function: FunctionNode) -> set[str]:
    found = {node.id for node in subtree(function) if isinstance(node, ast.Name)}
    return found | {node.arg for node in subtree(function) if isinstance(node, ast.arg)}


def _is_store(node: ast.Name) -> bool:
    return not isinstance(node.ctx, ast.Load)
