"""Writes metric imports and calls as TorchMetrics 1.9 has them."""

from __future__ import annotations

import ast
import re

from lintmetrics.codemod import Blocked, Codemod, Fix, Relation
from lintmetrics.config import Settings
from lintmetrics.edits import CannotEdit, Editor
from lintmetrics.model.metric_api import Argument, MetricCall, read
from lintmetrics.model.metric_draft import Migration, quote_of
from lintmetrics.model.metric_feeds import Feed
from lintmetrics.model.metric_migration import migrate
from lintmetrics.model.metric_references import HandedOn, handed_on_at
from lintmetrics.model.moved_names import (
    MovedImport,
    MovedRead,
    Read,
    Successor,
    is_exported,
    is_passed_on,
    unit_of,
)
from lintmetrics.model.tensors import bindings
from lintmetrics.model.torchmetrics_versions import require
from lintmetrics.project import ImportedName, Module
from lintmetrics.rule import Finding
from lintmetrics.tree import subtree

_WIDTH = 100


class CurrentMetricApi(Codemod):
    """Moves an import with everything it binds, or one call, to TorchMetrics 1.9."""

    codes = ("LM301", "LM302", "LM303", "LM304", "LM305")
    since = "torchmetrics 0.11"

    def plan(self, finding: Finding, settings: Settings) -> Fix | Blocked:
        """Plan an import with all that it binds, or one call as its part of that plan."""
        subject = finding.detail
        if isinstance(subject, Feed):
            return _fed_by_new_names(subject)
        if not isinstance(subject, (MetricCall, HandedOn)):
            return _whole(subject)
        if isinstance(subject, HandedOn):
            return Blocked(_hidden(subject))
        unit = unit_of(subject.module, subject.reference or subject.node.func)
        if unit is None:
            return _one_call(subject, None)
        whole = _whole(unit)
        return _one_call(subject, (unit, whole)) if isinstance(whole, Fix) else whole


def _whole(unit: MovedImport | MovedRead) -> Fix | Blocked:
    """Plan a unit; it is all or nothing, and planned once."""
    plans: dict[int, Fix | Blocked] = unit.module.__dict__.setdefault("_lm_unit_plans", {})
    if id(unit) not in plans:
        try:
            plans[id(unit)] = _Unit(unit).plan()
        except CannotEdit as error:
            plans[id(unit)] = Blocked(str(error))
    return plans[id(unit)]


def _fed_by_new_names(feed: Feed) -> Fix:
    """Plan the keywords of one call of a metric object together."""
    editor = Editor()
    source = feed.module.source
    relation, order = Relation.PRESERVES, list(Relation)
    for keyword, row in feed.keywords:
        start = source.start(keyword)
        editor.replace_range(feed.module, start, start + len(row.argument), row.new)
        relation = max(relation, Relation(row.relation), key=order.index)
    text = "; ".join(dict.fromkeys(row.text for _, row in feed.keywords))
    return Fix(relation, text, editor.edits)


def _one_call(call: MetricCall, whole: tuple[MovedImport | MovedRead, Fix] | None) -> Fix | Blocked:
    """Plan the arguments of a call; its name is the part of the import that binds it."""
    migration = migrate(call)
    if migration.blocked:
        return Blocked(migration.blocked)
    if call.reference is not None and _is_another(migration):
        return Blocked(_through(call))
    editor = Editor()
    if migration.target:
        member = isinstance(call.node.func, ast.Name)
        name = _spelled(editor, call.module, migration.target, member)
        editor.replace(call.module, call.node.func, name)
    _write_call(editor, call, migration)
    if not editor.edits:
        return Blocked("nothing in 1.9 says the same; decide by hand")
    text = "; ".join(migration.notes) or f"write {call.current} as TorchMetrics 1.9 takes it"
    relation = migration.relation
    if whole is not None:
        unit, plan = whole
        if plan.relation is not relation and isinstance(unit, MovedImport):
            text += f"; moves with the import at line {unit.statement.lineno}"
        relation = plan.relation
    return Fix(relation, text, editor.edits)


class _Unit:
    """An import with its reads, or one chain, planned as a whole."""

    def __init__(self, unit: MovedImport | MovedRead) -> None:
        self.unit = unit
        self.module: Module = unit.module
        self.editor = Editor()
        self.relation = Relation.PRESERVES
        self.notes: list[str] = []
        self.local: dict[str, str] = {}  # Old local name to the new one.

    def plan(self) -> Fix | Blocked:
        """Return the edits, or what blocks any part of them."""
        unit = self.unit
        if isinstance(unit, MovedImport):
            if unit.is_star:
                return Blocked("a star import hides which names are used; import them by name")
            for item, moved in unit.names:
                if not moved.new and not self._is_resolved(item, moved):
                    return Blocked(_no_successor(moved))
                if moved.new and not moved.is_module:
                    require(self.module.project, moved.new)
            self._choose_names(unit)
        for one in unit.reads:
            blocked = self._read(one)
            if blocked is not None:
                return blocked
        if isinstance(unit, MovedImport):
            self._write_import(unit)
        if not self.editor.edits:
            return Blocked("nothing in 1.9 says the same; decide by hand")
        text = "; ".join(self.notes) or _summary(unit)
        return Fix(self.relation, text, self.editor.edits)

    def _is_resolved(self, item: ImportedName, moved: Successor) -> bool:
        """Tell whether each use of a name without successor is a call that is rewritten."""
        reads = [r for r in self.unit.reads if r.successor.old.startswith(moved.old)]
        return bool(reads) and all(self._target_of(r) for r in reads)

    def _target_of(self, one: Read) -> str:
        call = self._call(one)
        if call is None:
            return one.successor.new
        migration = migrate(call)
        return migration.target or (migration.twice or ("",))[0] or migration.instead

    def _call(self, one: Read) -> MetricCall | None:
        parent = self.module.parent(one.node)
        if isinstance(parent, ast.Call) and parent.func is one.node:
            return read(self.module, parent, one.successor.old)
        return None

    def _choose_names(self, unit: MovedImport) -> None:
        for item, moved in unit.names:
            old, new = item.bound, moved.new.rsplit(".", 1)[-1]
            keep = (
                bool(item.alias.asname)
                or moved.is_module
                or old == new
                or not moved.new
                or is_exported(self.module, old)
                or self._is_bound_again(item)
            )
            if not keep and self.module.binds(new):
                keep = self.module.local_name(moved.new) != new
            self.local[old] = old if keep else new

    def _is_bound_again(self, item: ImportedName) -> bool:
        """Tell whether another import gives the same name, as the two ends of a fallback do."""
        return any(
            other.bound == item.bound and other.statement is not item.statement
            for other in self.module.imports
        )

    def _read(self, one: Read) -> Blocked | None:
        call = self._call(one)
        target = one.successor.new
        if call is not None:
            migration = migrate(call)
            if migration.blocked:
                return Blocked(_at(self.unit, one, migration.blocked))
            order = list(Relation)
            self.relation = max(self.relation, migration.relation, key=order.index)
            self.notes += [note for note in migration.notes if note not in self.notes]
            _write_call(self.editor, call, migration)
            if migration.twice is not None or migration.instead:
                return None
            target = migration.target or target
        elif target and is_passed_on(self.module, one.node):
            if one.successor.is_module:
                note = f"what is taken from {target} by name has to be there, and be called so"
                self.relation = Relation.ASSUMES
                self.notes += [note] if note not in self.notes else []
            blocked = self._handed_on(one)
            if blocked is not None:
                return blocked
        if not target:
            if one.successor.is_module:
                return Blocked(_no_successor(one.successor))
            return Blocked(_at(self.unit, one, _no_successor(one.successor)))
        if one.successor.is_module and self._is_bare(one):
            return None
        self.editor.replace(self.module, one.node, self._name(one, target))
        return None

    def _handed_on(self, one: Read) -> Blocked | None:
        """Write the calls that are made through the value which a read hands on."""
        handed = handed_on_at(self.module, one.node)
        if handed is None:
            return None
        if handed.lacks_task:
            return Blocked(_at(self.unit, one, _hidden(handed)))
        for call in handed.calls:
            migration = migrate(call)
            if migration.blocked or _is_another(migration):
                return Blocked(f"line {call.node.lineno}: {migration.blocked or _through(call)}")
            order = list(Relation)
            self.relation = max(self.relation, migration.relation, key=order.index)
            self.notes += [note for note in migration.notes if note not in self.notes]
            _write_call(self.editor, call, migration)
        return None

    def _is_bare(self, one: Read) -> bool:
        """Tell whether a read is of the module's binding itself, which keeps its name."""
        return isinstance(one.node, ast.Name)

    def _name(self, one: Read, target: str) -> str:
        root: ast.expr = one.node
        while isinstance(root, ast.Attribute):
            root = root.value
        name = root.id if isinstance(root, ast.Name) else ""
        unit = self.unit
        if isinstance(unit, MovedImport):
            for item, moved in unit.names:
                if item.bound != name:
                    continue
                if isinstance(item.statement, ast.Import) and not item.alias.asname:
                    return target
                if isinstance(one.node, ast.Name) and target == moved.new:
                    return self.local[name]
                if moved.is_module and target.startswith(moved.new + "."):
                    return name + target[len(moved.new) :]
            return _spelled(self.editor, self.module, target, isinstance(one.node, ast.Name))
        for item in self.module.imports:
            if item.bound != name or item.target.split(".")[0] != "torchmetrics":
                continue
            if target.startswith(item.target + "."):
                return name + target[len(item.target) :]
        return _spelled(self.editor, self.module, target)

    # The statement ------------------------------------------------------------------------

    def _write_import(self, unit: MovedImport) -> None:
        statement = unit.statement
        if isinstance(statement, ast.Import):
            self._write_plain_import(unit, statement)
            return
        moved = {item.alias: (item, successor) for item, successor in unit.names}
        base = self.module.absolute(statement)
        places = {
            alias: self._place(item, successor)
            for alias, (item, successor) in moved.items()
            if successor.new
        }
        targets = {place[0] for place in places.values()}
        whole = len(moved) == len(statement.names) and len(places) == len(moved)
        same = {alias for alias, place in places.items() if place[0] == base}
        if whole and len(targets) == 1 and "" not in targets:
            (target,) = targets
            if target != base:
                self._replace_module(statement, target)
            for alias, place in places.items():
                self.editor.replace(self.module, alias, place[1])
            self._no_duplicates(statement, [place[1] for place in places.values()])
            return
        kept: list[str] = []
        for alias in statement.names:
            if alias not in moved:
                kept.append(self.module.source.segment(alias))
            elif alias in same:
                kept.append(places[alias][1])
        groups: dict[str, list[str]] = {}
        for alias, (target, text) in places.items():
            if alias not in same:
                groups.setdefault(target, []).append(text)
        lines = [_import_line(target, names) for target, names in groups.items()]
        if kept:
            lines.insert(0, _import_line(self._module_text(statement), kept))
        source = self.module.source
        if "#" in source.code[source.start(statement) : source.end(statement)]:
            raise CannotEdit(
                f"a comment stands inside the import at line {statement.lineno}; move it out"
            )
        if not lines:
            self.editor.remove(self.module, statement)
            return
        indent = source.indent_of(source.start(statement))
        joined = "\n".join(lines).replace("\n", source.newline + indent)
        self.editor.replace(self.module, statement, joined)

    def _no_duplicates(self, statement: ast.ImportFrom, names: list[str]) -> None:
        if len(set(names)) != len(names):
            raise CannotEdit(
                f"two names imported at line {statement.lineno} are one in 1.9; keep one of them"
            )

    def _place(self, item: ImportedName, moved: Successor) -> tuple[str, str]:
        """Return the module to import from (``""`` for a plain import) and the alias text."""
        target, _, name = moved.new.rpartition(".")
        local = self.local[item.bound]
        if not target:
            return "", name if local == name else f"{name} as {local}"
        return target, name if local == name else f"{name} as {local}"

    def _module_text(self, statement: ast.ImportFrom) -> str:
        return "." * statement.level + (statement.module or "")

    def _replace_module(self, statement: ast.ImportFrom, target: str) -> None:
        source = self.module.source
        start = source.start(statement)
        match = re.compile(r"from\s+([.\w]+)").match(source.code, start)
        if match is None:
            raise CannotEdit(f"the import at line {statement.lineno} cannot be read")
        self.editor.replace_range(self.module, match.start(1), match.end(1), target)

    def _write_plain_import(self, unit: MovedImport, statement: ast.Import) -> None:
        for item, moved in unit.names:
            alias = item.alias
            if alias.asname:
                self.editor.replace(self.module, alias, f"{moved.new} as {alias.asname}")
                continue
            if self._others_need(unit, item.bound):
                root = alias.name.split(".")[0]
                self.editor.replace(self.module, alias, f"{root}, {moved.new}")
            else:
                self.editor.replace(self.module, alias, moved.new)

    def _others_need(self, unit: MovedImport, bound: str) -> bool:
        """Tell whether something else in the file reads the package that the import binds."""
        roots = set()
        for one in unit.reads:
            root: ast.expr = one.node
            while isinstance(root, ast.Attribute):
                root = root.value
            roots.add(root)
        other_import = any(
            other.bound == bound and other.statement is not unit.statement
            for other in self.module.imports
        )
        return not other_import and any(
            isinstance(node, ast.Name) and node.id == bound and node not in roots
            for node in subtree(self.module.tree)
        )


def _is_another(migration: Migration) -> bool:
    """Tell whether a call becomes one of another function."""
    return bool(migration.target or migration.twice or migration.instead)


def _through(call: MetricCall) -> str:
    return (
        f"{call.short} is called through a name that holds it; another metric takes its place in "
        "1.9, so call that one by its own name"
    )


def _hidden(handed: HandedOn) -> str:
    short = handed.target.rsplit(".", 1)[1]
    return (
        f"{short} is handed on here and called elsewhere, and its calls have to say task=; bind "
        f"it where it is named, as in functools.partial({short}, task=...), with num_classes= or "
        "num_labels= beside it"
    )


def _import_line(target: str, names: list[str]) -> str:
    names = list(dict.fromkeys(names))
    if not target:
        return "\n".join(f"import {name}" for name in names)
    line = f"from {target} import {', '.join(names)}"
    if len(line) <= _WIDTH:
        return line
    return "\n".join([f"from {target} import (", *(f"    {name}," for name in names), ")"])


def _summary(unit: MovedImport | MovedRead) -> str:
    if isinstance(unit, MovedImport):
        found = [moved.new for _, moved in unit.names if moved.new]
    else:
        found = [unit.read.successor.new]
    packages = [name if "." not in name else name.rsplit(".", 1)[0] for name in found]
    if not packages:
        return "write the calls as TorchMetrics 1.9 takes them"
    return f"import from {', '.join(dict.fromkeys(packages))}"


def _no_successor(moved: Successor) -> str:
    name = moved.old.rsplit(".", 1)[1]
    remark = f": {moved.remark}" if moved.remark not in ("", "no replacement") else ""
    return f"{name} has no successor in 1.9{remark}"


def _at(unit: MovedImport | MovedRead, one: Read, reason: str) -> str:
    if isinstance(unit, MovedRead):
        return reason
    return f"line {one.node.lineno}: {reason}"


def _spelled(editor: Editor, module: Module, dotted: str, member: bool = False) -> str:
    """Return how the file spells a dotted name of TorchMetrics, imported if need be.

    Args:
        editor, module: where an import goes; ``dotted``: the name.
        member: import the name itself, not the package, where the name is free.
    """
    require(module.project, dotted)
    known = module.local_name(dotted)
    if known is not None:
        return known
    for item in module.imports:
        usable = item.target in ("torchmetrics", "torchmetrics.functional") and item.bound != "*"
        inside = dotted.startswith(item.target + ".")
        if usable and inside and module.local_name(item.target):
            return item.bound + dotted[len(item.target) :]
    package, _, short = dotted.rpartition(".")
    if member and not module.binds(short):
        return editor.add_import(module, package, short)
    name = editor.add_import(module, "torchmetrics")
    return name + dotted[len("torchmetrics") :]


# The arguments of one call ---------------------------------------------------------------------


def _write_call(editor: Editor, call: MetricCall, migration: Migration) -> None:
    module, node = call.module, call.node
    source = module.source
    for expression, text in migration.elsewhere:
        editor.replace(module, expression, text)
    if migration.instead:
        editor.replace(module, node, migration.instead)
        return
    if migration.twice is not None:
        _write_twice(editor, call, migration)
        return
    _name_in_collection(editor, call)
    if migration.before or migration.after:
        start, end = source.start(node), source.end(node)
        if migration.before:
            editor.replace_range(module, start, start, migration.before)
        if migration.after:
            editor.replace_range(module, end, end, migration.after)
    arguments = sorted(call.arguments, key=lambda a: source.start(a.node))
    order = {id(argument): index for index, argument in enumerate(call.arguments)}
    spans = [_span(module, argument) for argument in arguments]
    kept = [
        index
        for index, argument in enumerate(arguments)
        if migration.changed.get(order[id(argument)], "") is not None
    ]
    opening = 0 if call.bound is not None else _opening(module, node)
    first, last = ", ".join(migration.first), ", ".join(migration.last)
    if not kept:
        text = ", ".join(filter(None, (first, last)))
        if call.bound is not None:  # Behind the name that is bound.
            if arguments:
                raise CannotEdit(f"write the arguments bound at line {node.lineno} by hand")
            end = source.end(node.func)
            editor.replace_range(module, end, end, f", {text}" if text else "")
            return
        if arguments:
            comma = re.compile(r"\s*,").match(source.code, spans[-1][1])
            end = comma.end() if comma and not text else spans[-1][1]
            _cut(editor, module, spans[0][0], end, text)
        elif text:
            editor.replace_range(module, opening, opening, text)
        return
    for index in kept:
        new = migration.changed.get(order[id(arguments[index])])
        if new is not None:
            editor.replace_range(module, *spans[index], new)
    index = 0
    while index < len(arguments):
        if index in kept:
            index += 1
            continue
        stop = index
        while stop + 1 < len(arguments) and stop + 1 not in kept:
            stop += 1
        after = spans[stop + 1][0] if stop + 1 < len(spans) else None
        before = spans[index - 1][1] if index > 0 else None
        _cut_run(editor, module, before, (spans[index][0], spans[stop][1]), after)
        index = stop + 1
    if first:
        place = spans[kept[0]][0]
        editor.replace_range(module, place, place, first + _between(module, spans[kept[0]]))
    if last:
        place = spans[kept[-1]][1]
        editor.replace_range(module, place, place, _between(module, spans[kept[-1]]) + last)


def _cut_run(
    editor: Editor, module: Module, before: int | None, run: tuple[int, int], after: int | None
) -> None:
    """Take out neighbouring arguments with one comma, sparing the comments around them."""
    source = module.source
    ways: list[tuple[int, int]] = []
    if before is not None:
        ways.append((before, run[1]))
    if after is not None:
        ways.append((run[0], after))
    start, end = source.line_start(run[0]), source.line_end(run[1])
    if not source.code[start : run[0]].strip() and source.code[run[1] : end].strip() in (",", ""):
        ways.append((start, end))
    for way in ways:
        if "#" not in source.code[way[0] : way[1]]:
            editor.replace_range(module, *way, "")
            return
    _cut(editor, module, *ways[0], "")


def _between(module: Module, span: tuple[int, int]) -> str:
    """Return what stands between arguments: a line of their own where the author gave them one."""
    source = module.source
    indent = source.indent_of(span[0])
    leads = span[0] == source.line_start(span[0]) + len(indent)
    rest = source.code[span[1] : source.line_end(span[1])].partition("#")[0]
    alone = leads and re.search(r"\w", rest) is None
    return f",{source.newline}{indent}" if alone else ", "


def _write_twice(editor: Editor, call: MetricCall, migration: Migration) -> None:
    """Write a pair of calls with the same arguments in place of one call."""
    module = call.module
    arguments = []
    for index, argument in enumerate(call.arguments):
        text = migration.changed.get(index, module.source.segment(argument.node))
        if text is not None:
            arguments.append(text)
    inside = ", ".join([*migration.first, *arguments, *migration.last])
    pair = [_spelled(editor, module, name) for name in migration.twice or ()]
    editor.replace(module, call.node, f"({', '.join(f'{name}({inside})' for name in pair)})")


def _name_in_collection(editor: Editor, call: MetricCall) -> None:
    """Keep the keys of a MetricCollection, which names its metrics by their classes."""
    module = call.module
    if call.kind != "class" or not (call.lacks_task or call.current != call.short):
        return
    parent = module.parent(call.node)
    outer = module.parent(parent) if isinstance(parent, (ast.List, ast.Tuple)) else parent
    if not isinstance(outer, ast.Call) or call.node is outer.func:
        return
    if not (module.qualified(outer.func) or "").endswith(".MetricCollection"):
        return
    source = module.source
    if isinstance(parent, (ast.List, ast.Tuple)):
        elements = parent.elts
        start, end = source.start(parent), source.end(parent)
        if parent not in outer.args or source.code[start] not in "[(":
            return
        braces = ((start, start + 1), (end - 1, end))
    else:
        elements = outer.args
        start, end = source.start(elements[0]), source.end(elements[-1])
        braces = ((start, start), (end, end))
    keys = [_key(module, element) for element in elements]
    editor.replace_range(module, *braces[0], "{")
    quote = quote_of(module)
    for element, key in zip(elements, keys, strict=True):
        place = source.start(element)
        editor.replace_range(module, place, place, f"{quote}{key}{quote}: ")
    editor.replace_range(module, *braces[1], "}")


def _key(module: Module, element: ast.expr) -> str:
    """Return the key that a collection gave a metric: the name of its class."""
    made: ast.expr = element
    if isinstance(element, ast.Name):
        bound = bindings(module, element.id, module.enclosing_function(element))
        if len(bound) == 1 and isinstance(bound[0], ast.Assign):
            made = bound[0].value
    if isinstance(made, ast.Call):
        name = module.qualified(made.func)
        known = read(module, made, name) if name is not None else None
        if known is not None and known.kind == "class":
            task = known.literal("task")
            if known.signature is None or "task" not in known.signature.names or known.lacks_task:
                return known.short
            if isinstance(task, str):
                return task.capitalize() + known.current
        if name is not None and known is None and name.rsplit(".", 1)[-1][:1].isupper():
            return name.rsplit(".", 1)[-1]
    raise CannotEdit(
        f"the MetricCollection at line {element.lineno} names its metrics by class, and "
        "class names change; give it a dict with the keys you want"
    )


def _cut(editor: Editor, module: Module, start: int, end: int, text: str) -> None:
    if "#" in module.source.code[start:end]:
        line = module.source.location(start).line
        raise CannotEdit(f"a comment stands between the arguments at line {line}; move it out")
    editor.replace_range(module, start, end, text)


def _span(module: Module, argument: Argument) -> tuple[int, int]:
    """Return the range of an argument, parentheses of its own included."""
    source = module.source
    start, end = source.start(argument.node), source.end(argument.node)
    opened = 0
    while True:
        left = re.compile(r"[(\s]*\Z").search(source.code, max(0, start - 40), start)
        right = re.compile(r"\s*\)").match(source.code, end)
        inside = source.code[end : right.end()] if right else ""
        before = source.code[left.start() : start].rstrip() if left else ""
        # Only a pair that closes again before the next comma belongs to the argument.
        if not (before.endswith("(") and inside) or opened > 3 or argument.is_keyword:
            return start, end
        after = re.compile(r"\s*[,)]").match(source.code, right.end() if right else end)
        previous = source.code[: left.start() if left else start].rstrip()[-1:]
        if after is None or not (previous in ",(" and before.count("(") >= 1) or previous == "":
            return start, end
        if before.count("(") < 1 or (previous not in "," and before.count("(") < 2):
            return start, end
        start = source.code.rindex("(", 0, start)
        end = right.end() if right else end
        opened += 1


def _opening(module: Module, node: ast.Call) -> int:
    """Return the offset behind the parenthesis that opens a call's arguments."""
    source = module.source
    end = source.end(node.func)
    return source.code.index("(", end) + 1
