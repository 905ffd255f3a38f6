"""The one applier of edits, and the editor that plans them on a parsed module.

An edit replaces a range of one file's text. Everything outside the ranges stays byte for byte,
so comments, quotes, line endings and odd formatting survive by construction.
"""

from __future__ import annotations

import ast
import bisect
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lintmetrics.errors import LintmetricsError
from lintmetrics.kept_answers import kept
from lintmetrics.tree import subtree

if TYPE_CHECKING:
    from lintmetrics.project import Module

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef

_CLOSED = re.compile(r"(?:\s*\))*")


@dataclass(frozen=True, order=True)
class Edit:
    """Replace ``text[start:end]`` of the file at ``path`` by ``new``.

    Two edits conflict when their ranges overlap. Insertions (``start == end``) at one place do not:
    equal ones are made once, others follow each other by ``rank``, then in the order planned.
    """

    path: str
    start: int
    end: int
    new: str
    rank: int = 0


class CannotEdit(LintmetricsError):
    """The text is laid out in a way that an edit cannot handle safely; says how and where."""


def conflicts(edit: Edit, others: Iterable[Edit]) -> bool:
    """Tell whether an edit overlaps one of the others (an equal edit does not)."""
    for other in others:
        if other.path != edit.path or other == edit:
            continue
        if edit.start == edit.end and other.start == other.end:
            continue
        if edit.start < other.end and other.start < edit.end:
            return True
        if edit.start == edit.end and other.start < edit.start < other.end:
            return True
        if other.start == other.end and edit.start < other.start < edit.end:
            return True
    return False


class EditSet:
    """Edits that do not conflict, with a quick answer whether one more would."""

    def __init__(self) -> None:
        self._ranges: dict[str, list[tuple[int, int]]] = {}
        self._insertions: dict[str, list[int]] = {}
        self._edits: dict[Edit, None] = {}

    def __iter__(self) -> Iterator[Edit]:
        return iter(self._edits)

    def clashes(self, edit: Edit) -> bool:
        """Tell whether an edit overlaps one of the set (an equal edit does not)."""
        if edit in self._edits:
            return False
        ranges = self._ranges.get(edit.path, [])
        # Ranges of the set are apart, so only the neighbours of a place can reach it.
        index = bisect.bisect_left(ranges, (edit.start, edit.end))
        for start, end in ranges[max(index - 1, 0) : index + 1]:
            if edit.start < end and start < edit.end:
                return True
        places = self._insertions.get(edit.path, [])
        first = bisect.bisect_right(places, edit.start)
        return first < len(places) and places[first] < edit.end

    def add(self, edit: Edit) -> None:
        """Add an edit that does not clash."""
        if edit in self._edits:
            return
        self._edits[edit] = None
        if edit.start == edit.end:
            bisect.insort(self._insertions.setdefault(edit.path, []), edit.start)
        else:
            bisect.insort(self._ranges.setdefault(edit.path, []), (edit.start, edit.end))


def apply(text: str, edits: Sequence[Edit]) -> str:
    """Return ``text`` with all edits made.

    Raises:
        ValueError: two edits overlap.
    """
    unique = list(dict.fromkeys(edits))
    order = {edit: index for index, edit in enumerate(unique)}
    unique.sort(key=lambda edit: (edit.start, edit.end, edit.rank, order[edit]))
    pieces: list[str] = []
    position = 0
    for edit in unique:
        if edit.start < position:
            raise ValueError(f"edits overlap at {edit.path}:{edit.start}")
        pieces += [text[position : edit.start], edit.new]
        position = edit.end
    pieces.append(text[position:])
    return "".join(pieces)


class Editor:
    """Collects the edits of one plan; every method speaks of nodes of a parsed module.

    New lines are given without indentation and newline; relative indentation inside them is kept
    in steps of four spaces and adapted to the file.
    """

    def __init__(self) -> None:
        self._edits = EditSet()

    @property
    def edits(self) -> tuple[Edit, ...]:
        """All edits planned so far, in order."""
        return tuple(self._edits)

    def _add(self, module: Module, start: int, end: int, new: str, rank: int = 0) -> None:
        edit = Edit(module.source.path, start, end, new, rank)
        if self._edits.clashes(edit):
            line = module.source.location(start).line
            raise CannotEdit(f"two changes of one fix meet at {module.source.path}:{line}")
        self._edits.add(edit)

    def replace(self, module: Module, node: ast.AST, new: str) -> None:
        """Replace an expression or a whole simple statement by new text."""
        source = module.source
        start, end = source.start(node), source.end(node)
        if source.text[start:end] != new:
            self._add(module, start, end, new)

    def replace_range(self, module: Module, start: int, end: int, new: str) -> None:
        """Replace a range of offsets; for edits finer than a node."""
        self._add(module, start, end, new)

    def claim(self, module: Module, cls: ast.ClassDef, mark: int) -> None:
        """Keep other fixes that claim a class out of the same round; nothing is changed.

        Args:
            module: the file; ``cls``: the class; ``mark``: what tells this fix from the others.
        """
        start = module.source.start(cls)
        self._add(module, start, start + 1, module.source.text[start], mark)

    def append_argument(self, module: Module, call: ast.Call, text: str) -> None:
        """Write one more argument behind the last of a call that has some."""
        given: list[ast.expr | ast.keyword] = [*call.args, *call.keywords]
        end = max(module.source.end(node) for node in given)
        match = _CLOSED.match(module.source.code, end, module.source.end(call) - 1)
        # Parentheses around the last argument are no part of it.
        place = match.end() if match and match.group().strip() else end
        self.replace_range(module, place, place, f", {text}")

    def drop_argument(self, module: Module, call: ast.Call, keyword: ast.keyword) -> None:
        """Remove a keyword argument of a call; the first argument of all stays.

        Raises:
            CannotEdit: a comment stands inside what would go.
        """
        source = module.source
        given: tuple[ast.expr | ast.keyword, ...] = (*call.args, *call.keywords)
        before = [source.end(node) for node in given if source.end(node) < source.start(keyword)]
        if not before:
            return
        start, end = max(before), source.end(keyword)
        if "#" in source.text[start:end]:
            raise CannotEdit(f"a comment stands before {keyword.arg}= at line {keyword.lineno}")
        self._add(module, start, end, "")

    def _require_own_lines(self, module: Module, statement: ast.stmt) -> None:
        source = module.source
        start = statement_start(module, statement)
        before = source.text[source.line_start(start) : start]
        if before.strip(" \t\f"):
            raise CannotEdit(
                f"line {source.location(start).line} holds more than one statement; "
                "give each its own line"
            )

    def _lines(self, module: Module, indent: str, lines: Sequence[str]) -> str:
        unit = indent_unit(module)
        newline = module.source.newline
        done = []
        for line in "\n".join(lines).split("\n"):
            body = line.lstrip(" ")
            depth = (len(line) - len(body)) // 4
            done.append(f"{indent}{unit * depth}{body}".rstrip() + newline)
        return "".join(done)

    def insert_before(
        self, module: Module, statement: ast.stmt, lines: Sequence[str], rank: int = 0
    ) -> None:
        """Insert whole lines before a statement, at its indentation."""
        self._require_own_lines(module, statement)
        source = module.source
        start = statement_start(module, statement)
        place = source.line_start(start)
        text = self._lines(module, source.indent_of(start), lines)
        self._add(module, place, place, text, rank)

    def insert_after(
        self, module: Module, statement: ast.stmt, lines: Sequence[str], rank: int = 0
    ) -> None:
        """Insert whole lines after a statement (and its trailing comment), at its indentation."""
        self._require_own_lines(module, statement)
        source = module.source
        end = source.end(statement)
        place = source.line_end(end)
        rest = source.code[end:place].strip()  # Of a magic, the parser sees less than stands there.
        if rest and not rest.startswith("#"):
            raise CannotEdit(
                f"line {source.location(end).line} holds more than one statement; "
                "give each its own line"
            )
        indent = source.indent_of(statement_start(module, statement))
        text = self._lines(module, indent, lines)
        if place == len(source.text) and not source.text.endswith(("\n", "\r")):
            text = source.newline + text[: -len(source.newline)]
        self._add(module, place, place, text, rank)

    def remove(
        self, module: Module, statement: ast.stmt, along: Sequence[ast.stmt] | None = None
    ) -> None:
        """Remove a statement with its lines; ``pass`` takes its place when its block empties.

        Its comments stay, unless ``along`` names the statements that go as well (see
        ``comment_span``): then they go too, and whoever moves the code moves them.
        """
        source = module.source
        self._require_own_lines(module, statement)
        siblings = block_of(module, statement)
        start = source.line_start(statement_start(module, statement))
        end = source.line_end(source.end(statement))
        rest = source.text[source.end(statement) : end].strip()
        if rest.startswith(";"):
            raise CannotEdit(
                f"line {source.location(start).line} holds more than one statement; "
                "give each its own line"
            )
        if len(siblings) == 1:
            self.replace(module, statement, "pass")
            return
        if along is not None:
            start, end = comment_span(module, statement, along)
            after = source.line_end(end)
            if not source.text[end:after].strip() and statement is not siblings[-1]:
                # One of the blank lines around it is enough.
                above = source.line_start(start - 1) if start else start
                end = after if start and not source.text[above:start].strip() else end
        elif rest.startswith("#"):
            # The author's comment outlives the statement it stands behind, at its indentation.
            comment = source.text.index("#", source.end(statement))
            self._add(module, statement_start(module, statement), comment, "")
            return
        if statement is siblings[-1] or isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
            # Blank lines that set it off from the statements above go with it.
            while start > 0:
                above = source.line_start(start - 1)
                if source.text[above:start].strip():
                    break
                start = above
        self._add(module, start, end, "")

    def replace_statement(self, module: Module, statement: ast.stmt, lines: Sequence[str]) -> None:
        """Replace a simple statement by whole lines, at its indentation; remove it for none."""
        if not lines:
            self.remove(module, statement)
            return
        self._require_own_lines(module, statement)
        indent = module.source.indent_of(statement_start(module, statement))
        text = self._lines(module, indent, lines)
        self.replace(module, statement, text[len(indent) : -len(module.source.newline)])

    def body_start(self, module: Module, function: FunctionNode) -> ast.stmt:
        """Return the first statement of a body that is not its docstring.

        Raises:
            CannotEdit: the body stands on the line of the ``def``.
        """
        first = function.body[0]
        source = module.source
        if source.line_of(source.start(first)) == source.line_of(source.start(function)):
            raise CannotEdit(
                f"the body of {function.name} stands on the line of its def at line "
                f"{function.lineno}; give it its own line"
            )
        if is_docstring(first) and len(function.body) > 1:
            return function.body[1]
        return first

    def insert_at_body_start(
        self, module: Module, function: FunctionNode, lines: Sequence[str], rank: int = 0
    ) -> None:
        """Insert lines as the first statements of a body, behind the docstring.

        Comments that lead the body stay with the statement below them.
        """
        first = self.body_start(module, function)
        if is_docstring(function.body[0]):
            self.insert_after(module, function.body[0], lines, rank)
            return
        self._require_own_lines(module, first)
        source = module.source
        start = statement_start(module, first)
        place = source.line_start(start)
        while place > source.start(function):
            above = source.line_start(place - 1)
            line = source.text[above:place].strip()
            if line and not line.startswith("#"):
                break
            if above <= source.start(function):
                break
            place = above
        self._add(module, place, place, self._lines(module, source.indent_of(start), lines), rank)

    def append_to_body(
        self, module: Module, function: FunctionNode, lines: Sequence[str], rank: int = 0
    ) -> None:
        """Insert lines as the last statements of a body (before a bare final ``return``)."""
        self.body_start(module, function)
        last = function.body[-1]
        if isinstance(last, ast.Return) and last.value is None:
            self.insert_before(module, last, lines, rank)
        else:
            self.insert_after(module, last, lines, rank)

    def add_method(
        self,
        module: Module,
        cls: ast.ClassDef,
        lines: Sequence[str],
        before: ast.stmt | None = None,
        after: ast.stmt | None = None,
        rank: int = 0,
    ) -> None:
        """Insert a method into a class before or after one of its statements (last by default)."""
        if before is not None:
            self.insert_before(module, before, [*lines, ""], rank)
        else:
            self.insert_after(module, after or cls.body[-1], ["", *lines], rank)

    def append_to_init(
        self, module: Module, cls: ast.ClassDef, lines: Sequence[str], rank: int = 0
    ) -> None:
        """Append statements to ``__init__`` of a class; make one that passes all on if absent."""
        for statement in cls.body:
            if isinstance(statement, ast.FunctionDef) and statement.name == "__init__":
                self.append_to_body(module, statement, lines, rank)
                return
        place = cls.body[0]
        source = module.source
        if source.line_of(source.start(place)) == source.line_of(source.start(cls)):
            raise CannotEdit(
                f"the body of class {cls.name} stands on the line of its header at line "
                f"{cls.lineno}; give it its own line"
            )
        # The header is an insertion of its own, so that several fixes of one class share it.
        head = ["def __init__(self, *args, **kwargs):", "    super().__init__(*args, **kwargs)"]
        body = [f"    {line}" for text in lines for line in text.split("\n")]
        anchor = next(
            (s for s in cls.body if isinstance(s, (ast.FunctionDef, ast.AsyncFunctionDef))), None
        )
        if anchor is not None:
            self.insert_before(module, anchor, head, rank=-2)
            self.insert_before(module, anchor, body, rank=-1)
            self.insert_before(module, anchor, [""], rank=0)
        else:
            self.insert_after(module, cls.body[-1], ["", *head], rank=-2)
            self.insert_after(module, cls.body[-1], body, rank=-1)

    def rename_function(self, module: Module, function: FunctionNode, name: str) -> None:
        """Rename a function where it is defined."""
        source = module.source
        start = source.start(function)
        match = re.compile(r"(?:async\s+)?def\s+").match(source.text, start)
        if match is None:
            raise CannotEdit(f"the def at line {function.lineno} cannot be read")
        self._add(module, match.end(), match.end() + len(function.name), name)

    def drop_parameter(self, module: Module, function: FunctionNode, name: str) -> None:
        """Remove a parameter with its annotation and default from a signature.

        Raises:
            CannotEdit: a comment stands inside what would go.
        """
        source = module.source
        arguments = function.args
        ordered: list[ast.arg] = [*arguments.posonlyargs, *arguments.args]
        if arguments.vararg:
            ordered.append(arguments.vararg)
        ordered += arguments.kwonlyargs
        if arguments.kwarg:
            ordered.append(arguments.kwarg)
        index = next(i for i, argument in enumerate(ordered) if argument.arg == name)
        argument = ordered[index]
        default = default_of(function, name)
        end = source.end(default if default is not None else argument)
        while source.code[end : end + 1] == ")" and default is not None:
            # A default in parentheses: the node ends before them.
            if source.code.count("(", source.end(argument), end) <= source.code.count(
                ")", source.end(argument), end
            ):
                break
            end += 1
        start = source.start(argument)
        if argument in (arguments.vararg, arguments.kwarg):
            start = source.code.rindex("*" if argument is arguments.vararg else "**", 0, start)
        if index > 0:
            comma = source.code.rindex(",", 0, start)
            start = comma
        else:
            match = re.compile(r"\s*,\s*").match(source.code, end)
            end = match.end() if match else end
        if "#" in source.text[start:end]:
            raise CannotEdit(f"a comment stands inside the parameter {name!r}")
        self._add(module, start, end, "")

    def keep_first_parameter(self, module: Module, function: FunctionNode) -> None:
        """Remove every parameter but the first from a signature, with annotations and defaults.

        Raises:
            CannotEdit: a comment with something to say stands inside what would go.
        """
        arguments = function.args
        first = [*arguments.posonlyargs, *arguments.args][0]
        source = module.source
        behind = source.end(first)
        end = comma = behind
        depth = 0
        for token in _TOKEN.finditer(source.code, behind):
            text = token.group()
            if text in "([{":
                depth += 1
            elif text in ")]}":
                if depth == 0:
                    end = token.start()
                    break
                depth -= 1
            if not text.startswith("#"):
                comma = token.start() if text == "," and depth == 0 else token.end()
        removed = source.text[behind:end]
        comments = [t.group() for t in _TOKEN.finditer(removed) if t.group().startswith("#")]
        if any(not _PRAGMA.match(comment) for comment in comments):
            raise CannotEdit(
                f"a comment stands between the parameters of {function.name} at line "
                f"{function.lineno}"
            )
        opening = source.code.rindex("(", 0, source.start(first))
        if comma == behind:
            return
        if source.code[opening + 1 : source.start(first)].strip():
            self._add(module, behind, comma, "")
            return
        self._add(module, opening + 1, end, source.segment(first))

    def rename_attribute(self, module: Module, node: ast.Attribute, name: str) -> None:
        """Rename the last part of an attribute chain."""
        end = module.source.end(node)
        self._add(module, end - len(node.attr), end, name)

    def insert_in_init(
        self, module: Module, cls: ast.ClassDef, lines: Sequence[str], rank: int = 0
    ) -> None:
        """Insert statements right behind ``super().__init__(...)``; make an init if absent."""
        for statement in cls.body:
            if isinstance(statement, ast.FunctionDef) and statement.name == "__init__":
                for inner in statement.body:
                    if (
                        isinstance(inner, ast.Expr)
                        and isinstance(inner.value, ast.Call)
                        and isinstance(inner.value.func, ast.Attribute)
                        and inner.value.func.attr == "__init__"
                    ):
                        self.insert_after(module, inner, lines, rank)
                        return
                self.insert_at_body_start(module, statement, lines, rank)
                return
        self.append_to_init(module, cls, lines, rank)

    def add_import(self, module: Module, name: str, member: str | None = None) -> str:
        """Make a module, or a member of it, importable; return the expression that names it.

        An import that the file already has is reused, whatever it is called there.
        """
        wanted = name if member is None else f"{name}.{member}"
        known = module.local_name(wanted)
        if known is not None:
            return known
        statement = f"import {name}" if member is None else f"from {name} import {member}"
        used = name.split(".")[0] if member is None else member
        if module.binds(used):
            raise CannotEdit(
                f"the name {used!r} is already taken in {module.source.path}, "
                f"so `{statement}` cannot be added"
            )
        anchor = import_anchor(module)
        if anchor is None:
            place = _behind_header(module)
            self._add(module, place, place, statement + module.source.newline)
        else:
            self._insert_import(module, anchor, name, statement)
        return used if member is not None else name

    def _insert_import(self, module: Module, anchor: ast.stmt, name: str, line: str) -> None:
        """Insert an import where one who keeps imports sorted looks for it."""
        block = _import_block(module, anchor, name.split(".")[0])
        key = (not line.startswith("import "), name.lower())
        before = [statement for statement in block if _import_key(statement) <= key]
        if before:
            self.insert_after(module, before[-1], [line], rank=5)
        else:
            self.insert_before(module, block[0], [line], rank=5)

    def remove_import(
        self, module: Module, statement: ast.Import | ast.ImportFrom, bound: str
    ) -> None:
        """Remove one name from an import statement; the statement too when it was the only one."""
        index = next(
            i for i, alias in enumerate(statement.names) if bound_name(alias, statement) == bound
        )
        source = module.source
        if len(statement.names) == 1:
            self.remove(module, statement)
            return
        alias = statement.names[index]
        start, end = source.start(alias), source.end(alias)
        if index > 0:
            start = source.end(statement.names[index - 1])
        else:
            end = source.start(statement.names[index + 1])
        if "#" in source.text[start:end]:
            raise CannotEdit(
                f"a comment stands between the imported names at line {statement.lineno}"
            )
        self._add(module, start, end, "")


_TOKEN = re.compile(
    r"\'\'\'(?:\\.|.)*?\'\'\'"
    r'|"""(?:\\.|.)*?"""'
    r"|'(?:\\.|[^'\\\n\r])*'"
    r'|"(?:\\.|[^"\\\n\r])*"'
    r"|\#[^\n\r]*|\w+|[^\s\w]",
    re.S,
)
_PRAGMA = re.compile(r"#\s*(?:type:|noqa|pylint:|pyright:|mypy:)")


def bound_name(alias: ast.alias, statement: ast.Import | ast.ImportFrom) -> str:
    """Return the local name that one part of an import binds."""
    if alias.asname:
        return alias.asname
    return alias.name.split(".")[0] if isinstance(statement, ast.Import) else alias.name


def is_docstring(statement: ast.stmt) -> bool:
    """Tell whether a statement is a bare string."""
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def default_of(function: FunctionNode, name: str) -> ast.expr | None:
    """Return the default of a parameter, ``None`` when it has none."""
    arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args]
    for argument, default in zip(reversed(positional), reversed(arguments.defaults), strict=False):
        if argument.arg == name:
            return default
    for argument, keyword_default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        if argument.arg == name:
            return keyword_default
    return None


def statement_start(module: Module, statement: ast.stmt) -> int:
    """Return where a statement begins, its first decorator included."""
    decorators = getattr(statement, "decorator_list", None)
    if decorators:
        return module.source.code.rindex("@", 0, module.source.start(decorators[0]) + 1)
    return module.source.start(statement)


def comment_span(
    module: Module, statement: ast.stmt, along: Sequence[ast.stmt] = ()
) -> tuple[int, int]:
    """Return the lines of a statement with the comment above that speaks of it alone.

    A comment may head several statements: it is the statement's own where the next one stands
    apart from it, or goes ``along``.
    """
    source = module.source
    start = source.line_start(statement_start(module, statement))
    end = source.line_end(source.end(statement))
    siblings = block_of(module, statement)
    index = siblings.index(statement)
    following = siblings[index + 1] if index + 1 < len(siblings) else None
    if following is not None and following not in along:
        between = source.text[end : source.line_start(statement_start(module, following))]
        if not between.strip() and between.count("\n") == 0:
            return start, end
    floor = source.line_end(source.end(siblings[index - 1])) if index else None
    indent = source.indent_of(start)
    while start > 0:
        above = source.line_start(start - 1)
        line = source.text[above:start]
        if (floor is not None and above < floor) or not line.startswith(f"{indent}#"):
            break
        start = above
    return start, end


def block_of(module: Module, statement: ast.stmt) -> list[ast.stmt]:
    """Return the list of statements that a statement is part of."""
    parent = module.parent(statement)
    for field in ("body", "orelse", "finalbody", "handlers"):
        block = getattr(parent, field, None)
        if isinstance(block, list) and statement in block:
            return block
    return [statement]


@kept
def indent_unit(module: Module) -> str:
    """Return one level of indentation as the file has it; four spaces when it has none."""
    for statement in subtree(module.tree):
        body = getattr(statement, "body", None)
        if isinstance(statement, (ast.FunctionDef, ast.ClassDef, ast.If, ast.For)) and body:
            source = module.source
            outer = source.indent_of(source.start(statement))
            inner = source.indent_of(source.start(body[0]))
            if inner.startswith(outer) and inner != outer and body[0].lineno != statement.lineno:
                return inner[len(outer) :]
    return "    "


def import_anchor(module: Module) -> ast.stmt | None:
    """Return the last import at the top of the file, behind which a new one may stand."""
    anchor: ast.stmt | None = None
    for statement in module.tree.body:
        if isinstance(statement, (ast.Import, ast.ImportFrom)):
            anchor = statement
        elif anchor is not None and isinstance(
            statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        ):
            break
    return anchor


_LIBRARIES = (
    frozenset(("torchmetrics",)),
    frozenset(("torch", "pytorch_lightning", "lightning", "torchvision", "numpy")),
)


def _import_block(module: Module, anchor: ast.stmt, package: str) -> list[ast.stmt]:
    """Return neighbouring imports that a new one of a package belongs to.

    These are the ones with no blank line between them around an import of the same package, or
    else of a library that stands beside it; the last import of the file when there is none.
    """
    body = module.tree.body
    imports = [
        statement
        for statement in body[: body.index(anchor) + 1]
        if isinstance(statement, (ast.Import, ast.ImportFrom))
        and _import_key(statement) != (True, "__future__")
    ]
    for wanted in (frozenset((package,)), *_LIBRARIES):
        near = [s for s in imports if _import_key(s)[1].split(".")[0] in wanted]
        if not near:
            continue
        first = last = imports.index(near[-1])
        while first > 0 and _touch(body, imports[first - 1], imports[first]):
            first -= 1
        while last + 1 < len(imports) and _touch(body, imports[last], imports[last + 1]):
            last += 1
        block: list[ast.stmt] = [*imports[first : last + 1]]
        keys = [_import_key(statement) for statement in block]
        # In a block without order, beside the neighbour is the place that surprises least.
        return block if keys == sorted(keys) else [near[-1]]
    return [anchor]


def _touch(body: list[ast.stmt], above: ast.stmt, below: ast.stmt) -> bool:
    return (
        body.index(below) == body.index(above) + 1
        and below.lineno == (above.end_lineno or above.lineno) + 1
    )


def _import_key(statement: ast.stmt) -> tuple[bool, str]:
    """Return what imports are sorted by: ``import x`` first, then the module's name."""
    if isinstance(statement, ast.Import):
        return False, statement.names[0].name.lower()
    assert isinstance(statement, ast.ImportFrom)
    return True, ("." * statement.level + (statement.module or "")).lower()


def _behind_header(module: Module) -> int:
    """Return the offset behind the shebang, comments and docstring that begin a file."""
    source = module.source
    body = module.tree.body
    if body and is_docstring(body[0]):
        return source.line_end(source.end(body[0]))
    place = 0
    while place < len(source.text) and source.text.startswith("#", place):
        place = source.line_end(place)
    return place
