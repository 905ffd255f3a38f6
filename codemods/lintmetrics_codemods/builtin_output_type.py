"""``list`` where ``EPOCH_OUTPUT`` was named, and no import."""

from __future__ import annotations

import ast
import re

from lintmetrics.codemod import Blocked, Codemod, Fix, Relation
from lintmetrics.config import Settings
from lintmetrics.edits import Editor
from lintmetrics.project import ImportedName
from lintmetrics.rule import Finding
from lintmetrics.tree import subtree


class BuiltinOutputType(Codemod):
    """The builtin ``list`` in place of a type that is gone."""

    codes = ("LM206",)

    def plan(self, finding: Finding, settings: Settings) -> Fix | Blocked:
        """Plan the names and the import in one go."""
        item = finding.subject
        assert isinstance(item, ImportedName)
        module, editor = item.module, Editor()
        quoted = re.compile(rf"\b{re.escape(item.bound)}\b")
        for node in subtree(module.tree):
            if isinstance(node, ast.Name) and node.id == item.bound:
                editor.replace(module, node, "list")
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                parent = module.parent(node)
                annotation = isinstance(parent, (ast.arg, ast.AnnAssign)) or (
                    isinstance(parent, ast.FunctionDef) and parent.returns is node
                )
                if annotation and quoted.search(node.value):
                    text = module.source.segment(node)
                    editor.replace(module, node, quoted.sub("list", text))
        editor.remove_import(module, item.statement, item.bound)
        return Fix(
            Relation.PRESERVES,
            f"{item.bound} is written as list, and its import goes",
            editor.edits,
        )
