"""One root for all imports of Lightning, in the whole project."""

from __future__ import annotations

import ast
import re

from lintmetrics.codemod import Blocked, Codemod, Fix, Relation
from lintmetrics.config import Settings
from lintmetrics.edits import CannotEdit, Editor
from lintmetrics.model.lightning_roots import NEW, OLD, MixedImport, imports_of, project_roots
from lintmetrics.project import Module
from lintmetrics.rule import Finding
from lintmetrics.tree import subtree


class OneImportRoot(Codemod):
    """The root that the project uses more, in every file that has the other."""

    codes = ("LM506",)

    def plan(self, finding: Finding, settings: Settings) -> Fix | Blocked:
        """Plan the whole project at once, or nothing."""
        mixed = finding.subject
        assert isinstance(mixed, MixedImport)
        project = mixed.module.project
        plans: dict[str, Fix | Blocked] = project.__dict__.setdefault("_lm_root_plans", {})
        if mixed.root not in plans:
            try:
                plans[mixed.root] = _plan(mixed)
            except CannotEdit as error:
                plans[mixed.root] = Blocked(str(error))
        return plans[mixed.root]


def _plan(mixed: MixedImport) -> Fix:
    editor, project = Editor(), mixed.module.project
    for path in project_roots(project)[mixed.root]:
        module = project.module_at(path)
        if module is not None:
            _rename(editor, module, mixed)
    return Fix(
        Relation.ASSUMES,
        f"{mixed.root} becomes {mixed.other} in the whole project; both are taken for the same "
        "release",
        editor.edits,
    )


def _rename(editor: Editor, module: Module, mixed: MixedImport) -> None:
    source = module.source
    named = re.compile(rf"(?<![\w/-]){re.escape(mixed.root)}\.\w+\.\w")
    for node in subtree(module.tree):
        if isinstance(node, ast.Constant) and named.search(str(node.value)):
            raise CannotEdit(
                f"{mixed.root} is named in a string at {source.path}:{node.lineno}; rename it "
                "there as well"
            )
    for statement in imports_of(module, mixed.root):
        where = f"{source.path}:{statement.lineno}"
        if isinstance(statement, ast.ImportFrom):
            dotted, start = statement.module or "", source.start(statement)
            match = re.compile(r"from\s+([\w.]+)\s+import\b").match(source.code, start)
            if match is None or (dotted == "lightning" and _has_fabric(statement)):
                raise CannotEdit(f"the import at {where} cannot be renamed; do it by hand")
            editor.replace_range(
                module, match.start(1), match.end(1), _renamed(dotted, mixed.other)
            )
            continue
        for alias in statement.names:
            if not alias.asname or alias.name == "lightning":
                raise CannotEdit(
                    f"the import at {where} binds the root itself; import it under a name, such "
                    "as pl"
                )
            start = source.start(alias)
            text = _renamed(alias.name, mixed.other)
            editor.replace_range(module, start, start + len(alias.name), text)


def _has_fabric(statement: ast.ImportFrom) -> bool:
    return any(alias.name in ("Fabric", "fabric", "pytorch", "*") for alias in statement.names)


def _renamed(dotted: str, root: str) -> str:
    for old in (OLD, NEW, "lightning"):
        if dotted == old or dotted.startswith(old + "."):
            return root + dotted[len(old) :]
    return dotted
