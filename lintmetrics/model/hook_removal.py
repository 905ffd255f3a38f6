"""What goes when a step takes over what an epoch-end hook did: statements, the hook, its list."""

from __future__ import annotations

import ast
import io
import re
import tokenize

from lintmetrics.edits import FunctionNode, block_of, comment_span
from lintmetrics.model.epoch_hooks import extra_parameters, family
from lintmetrics.model.epoch_reductions import Reading
from lintmetrics.model.step_side import StepSide, StepSource
from lintmetrics.project import ClassInfo
from lintmetrics.tree import subtree

_PRAGMA = re.compile(r"#\s*(?:type:|noqa|pylint:|pyright:|mypy:|fmt:)")


class HookRemoval(StepSide):
    """A hook whose statements go, with the list that they alone read."""

    def __init__(self, cls: ClassInfo, name: str) -> None:
        super().__init__(cls, name)
        self.hook_goes = False
        self.replaced: list[ast.AST] = []

    def carry_comments(self, gone: list[ast.stmt], reading: Reading) -> None:
        """Put the comments of what goes before the new log calls, so that they outlive it."""
        if not self.lines:
            return
        source = self.module.source
        if self.hook_goes:
            spans = [(source.start(self.hook), source.end(self.hook))]
        else:
            spans = [
                comment_span(self.module, statement, gone)
                for statement in gone
                if statement not in reading.cleared
            ]
        # What stands beside the emptying of a list speaks of that.
        silent = [comment_span(self.module, s, reading.cleared) for s in reading.cleared]
        found: list[str] = []
        text = "\n" * (self.hook.lineno - 1) + source.segment(self.hook)
        tail = source.text[source.end(self.hook) : source.line_end(source.end(self.hook))]
        for token in tokenize.generate_tokens(io.StringIO(text + tail).readline):
            if token.type != tokenize.COMMENT or _PRAGMA.match(token.string):
                continue
            at = source.offset(token.start[0], 0)
            if any(source.line_start(start) <= at < end for start, end in spans) and not any(
                source.line_start(start) <= at < end for start, end in silent
            ):
                found.append(token.string)
        self.lines[:0] = found

    def remove_method(self, function: FunctionNode) -> None:
        """Remove a method with the blank lines before it."""
        source = self.module.source
        siblings = block_of(self.module, function)
        index = siblings.index(function)
        if index == 0:
            self.editor.remove(self.module, function)
            if len(siblings) > 1:
                self._remove_blank_lines(source.line_end(source.end(function)))
            return
        above = source.line_end(source.end(siblings[index - 1]))
        start = source.line_start(source.start(function))
        while start > above:
            previous = source.line_start(start - 1)
            if previous < above or source.text[previous:start].strip():
                break
            start = previous
        end = source.line_end(source.end(function))
        self.editor.replace_range(self.module, start, end, "")

    def _remove_blank_lines(self, start: int) -> None:
        """Remove the blank lines from a place on."""
        source, end = self.module.source, start
        while end < len(source.text) and not source.text[end : source.line_end(end)].strip():
            end = source.line_end(end)
        if end > start:
            self.editor.replace_range(self.module, start, end, "")

    def emptied(
        self, attribute: str, source: StepSource, done: list[ast.stmt]
    ) -> list[ast.stmt] | None:
        """Return where a list is made and emptied; ``None`` when more is done with it.

        The statements of the hook that are done with, and the one that fills it, do not count.
        """
        found: dict[ast.stmt, None] = {}
        users = {cls.node for cls in family(self.cls)}
        for module in self.module.project.mentioning(re.compile(rf"\.\s*{attribute}\b")):
            for node in subtree(module.tree):
                if not (isinstance(node, ast.Attribute) and node.attr == attribute):
                    continue
                owner = module.enclosing_class(node)
                is_own = isinstance(node.value, ast.Name) and node.value.id == "self"
                if is_own and owner is not None and owner.node not in users:
                    continue  # Another class has a list of that name.
                statement = module.statement(node)
                if is_own and owner is self.cls:
                    passed = [*done, *self.replaced]
                    if statement is source.statement or any(node in subtree(s) for s in passed):
                        continue
                    if _empties(statement, node) and self._can_go(statement):
                        found[statement] = None
                        continue
                return None
        return list(found)

    def _spoken_of(self, statement: ast.stmt, emptied: list[ast.stmt]) -> list[ast.stmt]:
        """Return statements whose comment goes along: also one that plainly speaks of a list."""
        block = block_of(self.module, statement)
        following = block[block.index(statement) + 1 :][:1]
        source = self.module.source
        start, _ = comment_span(self.module, statement, [*emptied, *following])
        above = source.text[start : source.line_start(source.start(statement))]
        return [*emptied, *following] if re.search(r"_epoch_end|outputs", above) else emptied

    def _can_go(self, statement: ast.stmt) -> bool:
        """Tell whether a statement, or the method that holds nothing else, can be removed."""
        function = self.module.enclosing_function(statement)
        if len(block_of(self.module, statement)) > 1 or function is self.hook:
            return True
        return (
            function is not None
            and self.module.parent(statement) is function
            and not function.decorator_list
            and not any(function.name in base.namespace for base in self.cls.mro()[1:])
            and (function.name.startswith("on_") or self._is_bare_init(function))
            and (self.cls.is_kind("LightningModule") or self.cls.is_kind("Callback"))
        )

    def _is_bare_init(self, function: FunctionNode) -> bool:
        """Tell whether a callback can do without its ``__init__``, which takes nothing."""
        takes_nothing = not extra_parameters(function)
        return function.name == "__init__" and takes_nothing and self.cls.is_kind("Callback")

    def drop_list(self, emptied: list[ast.stmt], source: StepSource) -> None:
        for statement in emptied:
            function = self.module.enclosing_function(statement)
            if function is self.hook and self.hook_goes:
                continue
            if function is not None and len(block_of(self.module, statement)) == 1:
                self.remove_method(function)
            else:
                self.editor.remove(self.module, statement, self._spoken_of(statement, emptied))
        start = self.module.source.start(source.statement)
        end = self.module.source.end(source.statement)
        if self.lines:
            # The log calls take the place of the append.
            indent = self.module.source.indent_of(start)
            newline = self.module.source.newline
            self.editor.replace_range(
                self.module, start, end, (newline + indent).join("\n".join(self.lines).split("\n"))
            )
            self.lines = []
        else:
            self.editor.remove(self.module, source.statement)


def _empties(statement: ast.stmt, node: ast.Attribute) -> bool:
    """Tell whether a statement makes a list, or clears it, and does nothing else."""
    if isinstance(statement, (ast.Assign, ast.AnnAssign)):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        value = statement.value
        return targets == [node] and (
            (isinstance(value, ast.List) and not value.elts)
            or (value is not None and ast.unparse(value) == "list()")
        )
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Call)
        and isinstance(statement.value.func, ast.Attribute)
        and statement.value.func.value is node
        and statement.value.func.attr == "clear"
    )
