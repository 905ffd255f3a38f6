"""Names of Lightning that are imported or read from where newer releases have them no longer."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from lintmetrics import facts
from lintmetrics.facts import Change
from lintmetrics.model.lightning_objects import ROOT, is_left_alone
from lintmetrics.model.lightning_roots import spelled
from lintmetrics.model.lightning_versions import consequence
from lintmetrics.project import ImportedName, Module
from lintmetrics.rule import Consequence
from lintmetrics.tree import subtree

_TEXT = re.compile(r"""["'](?:pytorch_)?lightning\.\w""")
_DOTTED = re.compile(r"(?:\w+\.)+[A-Z]\w*")
_TARGET = re.compile(r"target|class_path|class_name|\bcls\b|_cls\b|path\b")
_IMPORTS = re.compile(r"^patch$|import|instantiate|locate|get_class|get_obj|load_obj|from_str")


@dataclass(frozen=True)
class OldName:
    """A place that names something of Lightning where it is no longer.

    Args:
        module: the file; ``node``: the part of an import, the chain of attributes, or the string.
        dotted: the name, from its root on.
        change: the row of the name, or of the module that held it.
        consequence: what reading it does.
        item: the import, where it is one.
    """

    module: Module = field(repr=False)
    node: ast.AST
    dotted: str
    change: Change
    consequence: Consequence
    item: ImportedName | None = None

    @property
    def new(self) -> str:
        """Where the name lives now; empty where it does nowhere."""
        match = ROOT.match(self.dotted)
        if match is None or match.group(1) != self.change.old:
            return ""  # The row is of the module, and knows nothing of this member.
        return spelled(self.change.new, self.root) if self.change.new else ""

    @property
    def root(self) -> str:
        """The root that it is read from."""
        match = ROOT.match(self.dotted)
        assert match is not None
        return self.dotted[: -len(match.group(1)) - 1]


def row_of(dotted: str) -> Change | None:
    """Return the row of a dotted name, or of the gone module that it was in."""
    match = ROOT.match(dotted)
    if match is None:
        return None
    parts = match.group(1).split(".")
    for end in range(len(parts), 0, -1):
        change = facts.lightning_name(".".join(parts[:end]))
        if change is not None:
            return change
    return None


def old_names(module: Module) -> list[OldName]:
    """Return every place in a file that names something that moved or is gone, in order."""
    known: list[OldName] | None = module.__dict__.get("_lm_old_names")
    if known is None:
        known = module.__dict__["_lm_old_names"] = list(_find(module))
    return known


def _find(module: Module) -> Iterator[OldName]:
    if "lightning" not in module.source.code:
        return
    roots: set[str] = set()
    for item in module.imports:
        if isinstance(item.statement, ast.Import):
            dotted, home = item.alias.name, item.alias.name
        else:
            dotted = item.target.removesuffix(".*")
            home = module.absolute(item.statement)
            if item.statement.level:
                continue
        if module.project.find(home, module) is not None:
            continue
        change = row_of(dotted)
        found = consequence(change, module.project) if change is not None else None
        if change is None or found is None:
            if ROOT.match(f"{dotted}.x"):
                roots.add(item.bound)
            continue
        if not _is_allowed(module, item.statement):
            yield OldName(module, item.alias, dotted, change, found, item)
    for chain, root in _chains(module, roots):
        dotted_chain = module.qualified(chain)
        change = row_of(dotted_chain) if dotted_chain is not None else None
        if dotted_chain is None or change is None:
            continue
        found = consequence(change, module.project)
        node, name = _named(chain, dotted_chain, change)
        if found is not None and not is_left_alone(module, node, root.id):
            yield OldName(module, node, name, change, found)
    yield from _texts(module)


def _texts(module: Module) -> Iterator[OldName]:
    """Yield strings that name a class to make, as ``{"_target_": "..."}`` does for Hydra."""
    if not _TEXT.search(module.source.code):
        return
    for node in subtree(module.tree):
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
            continue
        match = ROOT.match(node.value) if _DOTTED.fullmatch(node.value) else None
        change = row_of(node.value) if match is not None else None
        if match is None or change is None or not _is_a_name_to_import(module, node):
            continue
        is_member = change.kind == "module" and match.group(1).rpartition(".")[0] == change.old
        if not (match.group(1) == change.old and change.kind == "class") and not is_member:
            continue
        found = consequence(change, module.project)
        if found is not None and not is_left_alone(module, node, node.value):
            yield OldName(module, node, node.value, change, found)


def _is_a_name_to_import(module: Module, node: ast.Constant) -> bool:
    """Tell whether a string is handed on as what to import, and is no text to look for or show."""
    parent = module.parent(node)
    if isinstance(parent, ast.Dict):
        return any(value is node for value in parent.values)
    if isinstance(parent, ast.keyword):
        return parent.arg is not None and _TARGET.search(parent.arg) is not None
    if isinstance(parent, ast.Call):
        func = parent.func
        name = func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")
        return parent.args[:1] == [node] and _IMPORTS.search(name) is not None
    if isinstance(parent, ast.Assign):
        return all(_TARGET.search(ast.unparse(target)) for target in parent.targets)
    return False


def _is_allowed(module: Module, statement: ast.stmt) -> bool:
    """Tell whether an import runs only where it works, or not at all."""
    if is_left_alone(module, statement, ""):
        return True
    return any(
        isinstance(around, ast.If) and "TYPE_CHECKING" in ast.unparse(around.test)
        for around in module.ancestors(statement)
    )


def _chains(module: Module, roots: set[str]) -> Iterator[tuple[ast.Attribute, ast.Name]]:
    """Yield every whole chain of attributes that starts from one of some names."""
    if not roots:
        return
    for node in subtree(module.tree):
        if isinstance(node, ast.Name) and node.id in roots and isinstance(node.ctx, ast.Load):
            chain: ast.expr = node
            parent = module.parent(chain)
            while isinstance(parent, ast.Attribute) and parent.value is chain:
                chain = parent
                parent = module.parent(chain)
            if isinstance(chain, ast.Attribute):
                yield chain, node


def _named(chain: ast.Attribute, dotted: str, change: Change) -> tuple[ast.Attribute, str]:
    """Return the part of a chain that a row is of; with one member where it is of a module."""
    match = ROOT.match(dotted)
    assert match is not None
    more = match.group(1).count(".") - change.old.count(".")
    if change.kind == "module" and more > 0:
        more -= 1
    node, name = chain, dotted
    for _ in range(more):
        assert isinstance(node.value, ast.Attribute)
        node, name = node.value, name.rpartition(".")[0]
    return node, name
