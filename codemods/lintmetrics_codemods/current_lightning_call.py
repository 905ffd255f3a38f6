"""Writes the arguments of Lightning's classes and methods as newer releases take them."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from lintmetrics.codemod import Blocked, Codemod, Fix, Relation
from lintmetrics.config import Settings
from lintmetrics.edits import CannotEdit, Editor, indent_unit
from lintmetrics.facts import Change
from lintmetrics.model.lightning_objects import kind_of
from lintmetrics.model.lightning_roots import imported, root_of
from lintmetrics.model.metric_draft import quote_of
from lintmetrics.model.old_arguments import (
    OldArgument,
    arguments_of,
    change_of,
    is_name,
    joined,
)
from lintmetrics.project import Module
from lintmetrics.rule import Finding
from lintmetrics.tree import own_nodes, subtree

# What Lightning 2 takes where one branch of a conditional names an argument and the other does not.
_DEFAULTS = {
    "accelerator": '"auto"',
    "devices": '"auto"',
    "strategy": '"auto"',
    "max_steps": "-1",
    "save_top_k": "1",
}


@dataclass
class _Parts:
    """What is written for one old argument.

    Args:
        keywords: new arguments with their text; ``weak`` ones give way to others.
        callbacks: callbacks to add.
        fit: an argument of the one call of ``fit``.
        attribute: an attribute to set behind the call.
        assumed: what has to hold.
    """

    keywords: dict[str, str] = field(default_factory=dict)
    weak: set[str] = field(default_factory=set)
    callbacks: list[str] = field(default_factory=list)
    fit: tuple[str, str] | None = None
    attribute: tuple[str, str] | None = None
    assumed: list[str] = field(default_factory=list)


class CurrentLightningCall(Codemod):
    """Moves the old arguments of one call to what took their place."""

    codes = ("LM501", "LM502")

    def plan(self, finding: Finding, settings: Settings) -> Fix | Blocked:
        """Plan an argument, together with those beside it that are as safe."""
        argument = finding.subject
        if not isinstance(argument, OldArgument):
            return Blocked(finding.help)
        if argument.blocked:
            today = _DEFAULTS.get(argument.change.member, "")
            if today and "was the default" in argument.change.note:
                today = f", and it is {today} now"
                return Blocked(f"{argument.blocked}: {argument.change.note}{today}")
            return Blocked(f"{argument.blocked}: {argument.change.note}")
        if argument.change.codemod == "manual":
            return Blocked(argument.change.note)
        planned: list[tuple[OldArgument, _Parts]] = []
        for other in arguments_of(argument.module, argument.call):
            try:
                parts = _parts(other)
            except CannotEdit:
                if other is argument:
                    raise
                continue
            if other is argument or not parts.assumed:
                planned.append((other, parts))
        call = _Call(argument, planned)
        return call.plan()


def _parts(argument: OldArgument) -> _Parts:
    """Return what is written for an argument.

    Raises:
        CannotEdit: nothing can be without a person.
    """
    module, value = argument.module, argument.value
    owner, name = argument.owner, argument.change.member
    if not isinstance(value, ast.IfExp):
        return _of_row(argument, argument.change, value)
    branches = []
    for one in (value.body, value.orelse):
        row = change_of(module, owner, name, one)
        text = module.source.segment(one)
        branches.append(_of_row(argument, row, one) if row else _Parts({name: text}))
    test = module.source.segment(value.test)
    if any(branch.callbacks or branch.fit or branch.attribute for branch in branches):
        raise CannotEdit(f"{name}= has two values, which go to different places; {_note(argument)}")
    done = _Parts(assumed=[note for branch in branches for note in branch.assumed])
    for key in dict.fromkeys(key for branch in branches for key in branch.keywords):
        texts = [branch.keywords.get(key, _DEFAULTS.get(key)) for branch in branches]
        if None in texts:
            raise CannotEdit(f"{key}= is for one of two values only; {_note(argument)}")
        first, second = texts
        done.keywords[key] = str(first) if first == second else f"{first} if {test} else {second}"
    return done


def _note(argument: OldArgument) -> str:
    return argument.change.note.replace("{value}", ast.unparse(argument.value))


def _of_row(argument: OldArgument, change: Change, value: ast.expr) -> _Parts:
    if change.codemod == "manual":
        raise CannotEdit(change.note)
    parts, module = _Parts(), argument.module
    text = module.source.segment(value)
    if "\n" in text and "{value}" in change.template:
        text = f"({text})" if not isinstance(value, (ast.List, ast.Dict, ast.Call)) else text
    if change.codemod == "unsafe":
        parts.assumed.append(change.note.replace("{value}", text))
    for piece in filter(None, (part.strip() for part in change.template.split(";"))):
        if piece.startswith("fit:"):
            name, _, written = piece.removeprefix("fit:").strip().partition("=")
            parts.fit = (name, written.replace("{value}", text))
        elif piece.startswith("attribute:"):
            parts.attribute = (piece.removeprefix("attribute:").strip(), text)
        elif piece.startswith("callbacks+="):
            parts.callbacks += _callbacks(module, piece.removeprefix("callbacks+="), value, text)
        else:
            name, _, written = piece.partition("=")
            if name.startswith("?"):
                parts.weak.add(name[1:])
            filled = _filled(argument, written, value, text, parts)
            if filled is not None:
                parts.keywords[name.lstrip("?")] = filled
    return parts


def _callbacks(module: Module, template: str, value: ast.expr, text: str) -> list[str]:
    if template == "{value}" and isinstance(value, ast.List):
        return [module.source.segment(one) for one in value.elts]
    return [template.replace("{value}", text)]


def _filled(
    argument: OldArgument, template: str, value: ast.expr, text: str, parts: _Parts
) -> str | None:
    """Return the text of one new argument; ``None`` where it is not given."""
    quote = quote_of(argument.module)
    if template == "{direction}":
        return f"{quote}{_direction(argument)}{quote}"
    if template in ("{strategy}", "{rest}"):
        strategy, rest = _parted(argument, value)
        return strategy if template == "{strategy}" else rest
    if template in ("{folder}", "{file}"):
        parted = joined(argument.module, value)
        if parted is not None:
            last = argument.module.source.segment(parted[1])
            return parted[0] if template == "{folder}" else last
        assert isinstance(value, ast.Constant)
        folder, slash, file = str(value.value).rpartition("/")
        if file and "{" not in file:
            note = f"{file!r} is taken for the name of a file, and not of a folder that is there"
            parts.assumed += [note] if note not in parts.assumed else []
        part = (folder or slash or ".") if template == "{folder}" else file
        return f"{quote}{part}{quote}" if part else None
    if quote not in text and quote == "'":
        template = template.replace('"', quote)
    if isinstance(value, ast.Attribute):
        template = template.replace("{object}", argument.module.source.segment(value.value))
    return template.replace("{value}", text)


def _parted(argument: OldArgument, value: ast.expr) -> tuple[str, str | None]:
    """Return the one strategy among plugins, and the list of the others."""
    segment = argument.module.source.segment
    if not isinstance(value, ast.List):
        return segment(value), None
    known = [kind_of(argument.module, one).names for one in value.elts]
    strategies = [i for i, names in enumerate(known) if any(map(_STRATEGY.search, names))]
    if len(strategies) != 1 or not all(known):
        raise CannotEdit(f"which of the plugins is the strategy is yours to say; {_note(argument)}")
    rest = [segment(one) for i, one in enumerate(value.elts) if i != strategies[0]]
    return segment(value.elts[strategies[0]]), f"[{', '.join(rest)}]" if rest else None


def _direction(argument: OldArgument) -> str:
    """Return the mode that ``auto`` stood for."""
    given = {k.arg: k.value for k in argument.call.keywords}
    monitor = given.get("monitor")
    if monitor is None and argument.call.args:
        raise CannotEdit("which key is watched cannot be told; give mode as min or max")
    if monitor is None:
        return "min"
    if not (isinstance(monitor, ast.Constant) and isinstance(monitor.value, str)):
        raise CannotEdit("which key is watched cannot be told; give mode as min or max")
    key = monitor.value
    return "max" if "acc" in key or key.startswith("fmeasure") else "min"


class _Call:
    """One call with the arguments of it that are written anew."""

    def __init__(
        self, argument: OldArgument, planned: Sequence[tuple[OldArgument, _Parts]]
    ) -> None:
        self.argument = argument
        self.module = argument.module
        self.call = argument.call
        self.planned = list(planned)
        self.editor = Editor()
        self.assumed: list[str] = []

    def plan(self) -> Fix:
        """Return the edits of the whole call."""
        while True:
            try:
                return self._plan()
            except CannotEdit:
                # What stands beside the argument in question must not keep it from being mended.
                others = [pair for pair in self.planned if pair[0] is not self.argument]
                if not others:
                    raise
                self.planned = [pair for pair in self.planned if pair[0] is self.argument]
                self.editor, self.assumed = Editor(), []

    def _plan(self) -> Fix:
        old = {id(argument.node) for argument, _ in self.planned}
        kept = {k.arg: k for k in self.call.keywords if k.arg is not None and id(k) not in old}
        written: dict[str, str] = {}
        texts: dict[int, list[str]] = {}
        callbacks: list[str] = []
        strong = {n for _, p in self.planned for n in p.keywords if n not in p.weak}
        strong |= {"callbacks"} if any(p.callbacks for _, p in self.planned) else set()
        place: OldArgument | None = None
        for argument, parts in self.planned:
            here = texts.setdefault(id(argument.node), [])
            for name, text in parts.keywords.items():
                if name in parts.weak and (
                    name in strong or (name in _OF_DEVICES and kept.keys() & _OF_DEVICES)
                ):
                    continue
                if name in kept:
                    if _same(self.module.source.segment(kept[name].value), text):
                        continue
                    raise CannotEdit(f"{name}= is given as well as {argument.change.member}=")
                if name in written:
                    if _same(written[name], text):
                        continue
                    raise CannotEdit(
                        f"{name}= is what becomes of two arguments that do not agree, at line "
                        f"{self.call.lineno}"
                    )
                written[name] = text
                here.append(f"{name}={text}")
            if parts.callbacks:
                place = place or argument
                callbacks += parts.callbacks
            self.assumed += [note for note in parts.assumed if note not in self.assumed]
            if parts.fit is not None:
                self._fit(argument, *parts.fit)
            if parts.attribute is not None:
                self._attribute(*parts.attribute)
        if callbacks and place is not None:
            added = self._add_callbacks(kept.get("callbacks"), _joined(callbacks))
            if added:
                texts[id(place.node)].append(self._broken_up(place.node, added))
        if written or callbacks:
            self._look_into_rest(set(written) | ({"callbacks"} if callbacks else set()))
        self._write(texts)
        return self._fix()

    def _look_into_rest(self, names: set[str]) -> None:
        """Raise, or say what is assumed, where the call unpacks arguments that are not known."""
        for keyword in self.call.keywords:
            if keyword.arg is None:
                given = _keys_given(self.module, keyword.value) & names
                if given:
                    raise CannotEdit(
                        f"{min(given)}= is given through **{ast.unparse(keyword.value)} as well"
                    )
                text = self.module.source.segment(keyword.value)
                listed = ", ".join(sorted(names))
                self.assumed.append(f"**{text} does not give {listed}")

    def _fit(self, argument: OldArgument, name: str, text: str) -> None:
        fit = _only_fit(self.module, self.call, argument.value)
        if any(keyword.arg in (name, None) for keyword in fit.keywords):
            raise CannotEdit(f"trainer.fit at line {fit.lineno} has arguments of its own for it")
        given: list[ast.expr | ast.keyword] = [*fit.args, *fit.keywords]
        source = self.module.source
        if given:
            end = max(source.end(one) for one in given)
            self.editor.replace_range(self.module, end, end, f", {name}={text}")
        else:
            end = source.end(fit) - 1
            self.editor.replace_range(self.module, end, end, f"{name}={text}")

    def _attribute(self, name: str, text: str) -> None:
        statement = self.module.parent(self.call)
        if not isinstance(statement, ast.Expr):
            raise CannotEdit(f"set self.{name} in __init__ yourself")
        self.editor.insert_after(self.module, statement, [f"self.{name} = {text}"])

    def _add_callbacks(self, keyword: ast.keyword | None, callbacks: list[str]) -> str:
        """Add callbacks to those of the call; return the argument to write where there is none."""
        module, new = self.module, []
        there = module.source.segment(keyword.value) if keyword is not None else ""
        for text in callbacks:
            name, bracket, _ = text.partition("(")
            if bracket and name in _OURS:
                if name == "TQDMProgressBar" and "ProgressBar" in there:
                    raise CannotEdit(
                        "a progress bar is among the callbacks; give it what the Trainer was given"
                    )
                if name in there:
                    raise CannotEdit(f"a {name} is among the callbacks already")
                dotted = f"{root_of(module)}.callbacks.{name}"
                text = imported(self.editor, module, dotted) + text[len(name) :]
            new.append(text)
        value = keyword.value if keyword is not None else None
        if isinstance(value, ast.List):
            new = [text for text in new if text not in map(module.source.segment, value.elts)]
            if value.elts and new:
                end = module.source.end(value.elts[-1])
                self.editor.replace_range(module, end, end, "".join(f", {text}" for text in new))
            elif new:
                end = module.source.end(value) - 1
                self.editor.replace_range(module, end, end, ", ".join(new))
            return ""
        if value is None:
            return f"callbacks=[{', '.join(new)}]"
        if isinstance(value, ast.Constant) and value.value is None:
            self.editor.replace(module, value, f"[{', '.join(new)}]")
            return ""
        if isinstance(value, ast.Name) and _is_list(module, value):
            self.editor.replace(module, value, f"[*{value.id}, {', '.join(new)}]")
            return ""
        if kind_of(module, value).names:
            self.editor.replace(module, value, f"[{there}, {', '.join(new)}]")
            return ""
        raise CannotEdit(f"callbacks={there} is not seen to be a list; add {', '.join(new)} to it")

    def _broken_up(self, node: ast.AST, added: str) -> str:
        """Return ``callbacks=[...]`` with one on each line where one line is too long for all."""
        source = self.module.source
        start = source.start(node)
        indent = source.indent_of(start)
        alone = not source.text[source.line_start(start) : start].strip()
        if not alone or len(indent) + len(added) < _WIDTH:
            return added
        listed = ast.parse(added.removeprefix("callbacks="), mode="eval").body
        assert isinstance(listed, ast.List)
        inner = indent + indent_unit(self.module)
        lines = [f"{inner}{ast.get_source_segment(added[10:], one)}," for one in listed.elts]
        return source.newline.join(["callbacks=[", *lines, f"{indent}]"])

    def _write(self, texts: dict[int, list[str]]) -> None:
        """Write new arguments where the old ones stand; take those out that nothing follows."""
        module, source = self.module, self.module.source
        items: list[ast.expr | ast.keyword] = [*self.call.args, *self.call.keywords]
        items.sort(key=source.start)
        gone = [id(item) in texts and not texts[id(item)] for item in items]
        for item in items:
            new = texts.get(id(item))
            if new:
                start = source.start(item)
                alone = source.text[source.line_start(start) : start].strip() == ""
                glue = f",{source.newline}{source.indent_of(start)}" if alone else ", "
                self.editor.replace_range(module, start, source.end(item), glue.join(new))
        index = 0
        while index < len(items):
            if not gone[index]:
                index += 1
                continue
            first = index
            while index < len(items) and gone[index]:
                index += 1
            self._take_out(items, first, index)

    def _take_out(self, items: list[ast.expr | ast.keyword], first: int, behind: int) -> None:
        """Take out neighbouring arguments with the commas that part them."""
        module, source = self.module, self.module.source
        if behind < len(items):
            start, end = source.start(items[first]), source.start(items[behind])
        elif first:
            start, end = source.end(items[first - 1]), source.end(items[-1])
        else:
            start, end = source.start(items[0]), source.end(items[-1])
            rest = source.code[end : source.end(self.call)]
            end += rest.index(",") + 1 if rest.lstrip().startswith(",") else 0
        if "#" in source.text[start:end]:
            raise CannotEdit(
                f"a comment stands beside {self.argument.change.member}= at line "
                f"{source.line_of(start)}"
            )
        self.editor.replace_range(module, start, end, "")

    def _fix(self) -> Fix:
        notes: dict[str, None] = {}
        for argument, _ in self.planned:
            if argument.change.codemod == "safe" or argument is self.argument:
                notes[_note(argument)] = None
        if not self.assumed:
            return Fix(Relation.PRESERVES, "; ".join(notes), self.editor.edits)
        return Fix(Relation.ASSUMES, "; ".join(self.assumed), self.editor.edits)


_WIDTH = 100  # As for other calls that fixes write.
_OURS = ("TQDMProgressBar", "ModelSummary", "DeviceStatsMonitor", "GradientAccumulationScheduler")
_STRATEGY = re.compile(
    r"Strategy$|^(?:DDP|DeepSpeed|SingleDevice|Parallel|TrainingType)Plugin$"
)  # What a plugin in the place of a strategy is called.
_OF_DEVICES = frozenset(("accelerator", "tpu_cores", "ipus", "devices", "num_processes"))


def _keys_given(module: Module, value: ast.expr) -> set[str]:
    """Return the keys that the function of a call sets in a dict by name, as far as is seen."""
    function = module.enclosing_function(value)
    if not isinstance(value, ast.Name):
        return set()
    keys: set[str] = set()
    for node in own_nodes(function) if function is not None else subtree(module.tree):
        key: ast.AST | None = None
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
            key = node.slice if ast.unparse(node.value) == value.id else None
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == f"{value.id}.setdefault":
            key = node.args[0] if node.args else None
        if isinstance(key, ast.Constant) and isinstance(key.value, str):
            keys.add(key.value)
    return keys


def _same(one: str, other: str) -> bool:
    return one.replace("'", '"') == other.replace("'", '"')


def _joined(callbacks: list[str]) -> list[str]:
    """Return callbacks with the arguments of one class in one call."""
    found: dict[str, list[str]] = {}
    for text in callbacks:
        name, bracket, arguments = text.partition("(")
        if bracket and name in _OURS:
            found.setdefault(name, []).append(arguments.removesuffix(")"))
        else:
            found.setdefault(text, [])
    return [
        f"{name}({', '.join(dict.fromkeys(filter(None, given)))})" if name in _OURS else name
        for name, given in found.items()
    ]


def _is_list(module: Module, name: ast.Name) -> bool:
    """Tell whether a name is given nothing but lists where it is read."""
    function = module.enclosing_function(name)
    nodes = list(own_nodes(function)) if function is not None else subtree(module.tree)
    found = [
        getattr(module.parent(node), "value", None)
        for node in nodes
        if isinstance(node, ast.Name) and node.id == name.id and isinstance(node.ctx, ast.Store)
    ]
    return bool(found) and all(isinstance(value, ast.List) for value in found)


_EVALUATIONS = ("test", "validate", "predict")


def _only_fit(module: Module, call: ast.Call, value: ast.expr) -> ast.Call:
    """Return the one call of ``fit`` on what a call makes.

    Raises:
        CannotEdit: there is none, or more, or the value may be another there.
    """
    parent = module.parent(call)
    grand = module.parent(parent) if parent is not None else None
    if isinstance(parent, ast.Attribute) and parent.attr == "fit" and isinstance(grand, ast.Call):
        return grand
    hint = "give ckpt_path= to the call of trainer.fit that resumes"
    if not isinstance(parent, ast.Assign) or len(parent.targets) != 1:
        raise CannotEdit(hint)
    target = ast.unparse(parent.targets[0])
    function = module.enclosing_function(call)
    runs = [
        other
        for other in module.calls
        if isinstance(other.func, ast.Attribute)
        and other.func.attr in ("fit", *_EVALUATIONS)
        and ast.unparse(other.func.value) == target
        and module.enclosing_function(other) is function
    ]
    fits = [run for run in runs if run.func.attr == "fit"]  # type: ignore[attr-defined]
    first = min((run.lineno for run in runs if run not in fits), default=0)
    if first and first < min((fit.lineno for fit in fits), default=first + 1):
        # Run on pytorch-lightning 1.0.8 to 1.8.6: 1.0 tests what it resumes from, 1.2 and later
        # what it is given.
        raise CannotEdit(
            f"{hint}, and to that at line {first} where it shall run on the checkpoint, as "
            "Lightning 1.0 and 1.1 did"
        )
    if len(fits) != 1 or fits[0].lineno < call.lineno:
        raise CannotEdit(hint)
    fit = fits[0]
    if isinstance(value, ast.Constant):
        return fit
    if not is_name(value):
        raise CannotEdit(f"{hint}; what it is given is worked out at line {value.lineno}")
    names = {node.id for node in subtree(value) if isinstance(node, ast.Name)}
    for node in subtree(function if function is not None else module.tree):
        if (
            isinstance(node, ast.Name)
            and node.id in names
            and isinstance(node.ctx, ast.Store)
            and call.lineno <= node.lineno <= fit.lineno
        ):
            raise CannotEdit(f"{hint}; {node.id} is another at line {node.lineno}")
    return fit
