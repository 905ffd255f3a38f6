"""Names of metrics that are imported or read from where TorchMetrics 1.9 has them no longer."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

from lintmetrics import facts
from lintmetrics.model.metric_api import LIBRARY, OLD_LIBRARY, is_guarded
from lintmetrics.model.torchmetrics_versions import is_over
from lintmetrics.project import ImportedName, Module, Project
from lintmetrics.tree import subtree

# Functions that are given a metric and do not call it.
_LOOK_AT = frozenset(
    ("isinstance", "issubclass", "cast", "super", "getattr", "hasattr", "setattr", "signature",
     "Union", "Optional", "type", "id", "print", "repr", "str")
)  # fmt: skip


@dataclass(frozen=True)
class Successor:
    """Where an old dotted name lives now.

    Args:
        old: the old dotted name.
        new: the new one; empty when there is none.
        status: ``"gone"``, ``"moved"`` or ``"deprecated"``.
        is_module: it names a module.
        remark: what else changed.
        last: the last release looked at that has the old one, such as ``"tm-0.7.3"``.
    """

    old: str
    new: str
    status: str
    is_module: bool
    remark: str
    last: str = ""


def successor(dotted: str, project: Project) -> Successor | None:
    """Return where a name lives now; ``None`` when it is still in its place or not a metric's."""
    found = _successor(dotted)
    return found if found and is_over(found.status, found.last, project) else None


def _successor(dotted: str) -> Successor | None:
    if not dotted.startswith((LIBRARY + ".", OLD_LIBRARY)):
        return None
    move = facts.moves().get(dotted)
    if move is not None:
        return Successor(dotted, move.new, move.status, False, move.remark, move.last)
    modules = facts.gone_modules()
    if dotted in modules:
        last = facts.end_of_module(dotted)
        return Successor(dotted, modules[dotted], "gone", True, "", last)
    if dotted == OLD_LIBRARY or dotted.startswith(OLD_LIBRARY + "."):
        remark = "pytorch_lightning.metrics is gone since 1.5"
        if ".sklearns" in dotted:
            remark = "call scikit-learn on the predictions of the whole epoch"
        return Successor(dotted, "", "gone", False, remark)
    return None


@dataclass(frozen=True)
class Read:
    """One place in a file that reads a moved name.

    Args:
        node: the whole chain, such as ``pl.metrics.F1``.
        successor: what it names.
    """

    node: ast.Name | ast.Attribute
    successor: Successor


@dataclass(frozen=True)
class MovedImport:
    """An import statement that binds moved names, with every place that reads them.

    Args:
        module: the file; ``statement``: the import.
        names: the imported names that moved.
        reads: places that read them, in order.
    """

    module: Module = field(repr=False)
    statement: ast.Import | ast.ImportFrom
    names: tuple[tuple[ImportedName, Successor], ...]
    reads: tuple[Read, ...]

    @property
    def node(self) -> ast.AST:
        """The statement."""
        return self.statement

    @property
    def is_star(self) -> bool:
        """Whether it imports everything."""
        return any(item.bound == "*" for item, _ in self.names)


@dataclass(frozen=True)
class MovedRead:
    """A chain such as ``pl.metrics.F1`` whose root is imported rightly and whose end moved."""

    module: Module = field(repr=False)
    read: Read

    @property
    def node(self) -> ast.AST:
        """The chain."""
        return self.read.node

    @property
    def reads(self) -> tuple[Read, ...]:
        """The one place."""
        return (self.read,)


def moved_imports(module: Module) -> list[MovedImport]:
    """Return the imports of a file that name what 1.9 lacks or only shims."""
    return _units(module)[0]


def moved_reads(module: Module) -> list[MovedRead]:
    """Return the chains that reach a moved name through an import that stands."""
    return _units(module)[1]


def unit_of(module: Module, node: ast.AST) -> MovedImport | MovedRead | None:
    """Return what has to move together with a chain that stands at a node."""
    known: dict[ast.AST, MovedImport | MovedRead] | None = module.__dict__.get("_lm_unit_of")
    if known is None:
        imports, reads = _units(module)
        units: tuple[MovedImport | MovedRead, ...] = (*reads, *imports)
        known = {read.node: unit for unit in units for read in unit.reads}
        module.__dict__["_lm_unit_of"] = known
    return known.get(node)


def _units(module: Module) -> tuple[list[MovedImport], list[MovedRead]]:
    known: tuple[list[MovedImport], list[MovedRead]] | None = module.__dict__.get("_lm_moved")
    if known is None:
        known = module.__dict__["_lm_moved"] = _find(module)
    return known


def _find(module: Module) -> tuple[list[MovedImport], list[MovedRead]]:
    if "metrics" not in module.source.code:
        return [], []
    by_statement: dict[ast.Import | ast.ImportFrom, list[tuple[ImportedName, Successor]]] = {}
    through: dict[str, ast.Import | ast.ImportFrom] = {}
    good_roots: set[str] = set()
    guarded: set[str] = set()
    for item in module.imports:
        dotted = item.target
        if isinstance(item.statement, ast.Import):
            dotted = item.alias.name
        if item.bound == "*":
            dotted = dotted.removesuffix(".*")
        moved = successor(dotted, module.project)
        if moved is None:
            if dotted.split(".")[0] in ("pytorch_lightning", LIBRARY):
                good_roots.add(item.bound)
            continue
        if is_guarded(module, item.statement) and not _is_reached(module, item.statement):
            guarded.add(item.bound)
            continue
        by_statement.setdefault(item.statement, []).append((item, moved))
        through[item.bound] = item.statement
    good_roots -= guarded  # A name that is imported from the new place when the old one fails.
    if not by_statement and not good_roots:
        return [], []
    reads: dict[ast.Import | ast.ImportFrom, list[Read]] = {}
    loose: list[MovedRead] = []
    for chain, root in _chains(module):
        starred = "*" in good_roots and not module.binds(root.id)
        if root.id not in through and root.id not in good_roots and not starred:
            continue
        found = _longest(module, chain, root)
        if found is None:
            continue
        if root.id in through and not is_guarded(module, chain):
            reads.setdefault(through[root.id], []).append(found)
        elif not is_guarded(module, chain):
            loose.append(MovedRead(module, found))
    units = [
        MovedImport(
            module,
            statement,
            tuple(names),
            tuple(sorted(reads.get(statement, ()), key=lambda r: _position(r.node))),
        )
        for statement, names in by_statement.items()
    ]
    return units, sorted(loose, key=lambda unit: _position(unit.read.node))


def _is_reached(module: Module, statement: ast.stmt) -> bool:
    """Tell whether a fallback import runs, because the import that it stands in for fails."""
    handler = module.parent(statement)
    attempt = module.parent(handler) if handler is not None else None
    if not isinstance(handler, ast.ExceptHandler) or not isinstance(attempt, ast.Try):
        return False
    if is_guarded(module, attempt):
        return False
    for item in module.imports:
        if item.statement in attempt.body:
            plain = isinstance(item.statement, ast.Import)
            moved = successor(item.alias.name if plain else item.target, module.project)
            if moved is not None and moved.status != "deprecated":
                return True
    return False


def _position(node: ast.expr) -> tuple[int, int, int]:
    return (node.lineno, node.col_offset, -(node.end_col_offset or 0))


def _chains(module: Module) -> Iterator[tuple[ast.Name | ast.Attribute, ast.Name]]:
    """Yield every name or attribute chain that is read, with the name it starts from."""
    for node in subtree(module.tree):
        if not isinstance(node, ast.Name) or not isinstance(node.ctx, ast.Load):
            continue
        chain: ast.Name | ast.Attribute = node
        parent = module.parent(chain)
        while isinstance(parent, ast.Attribute) and parent.value is chain:
            chain = parent
            parent = module.parent(chain)
        yield chain, node


def _longest(module: Module, chain: ast.Name | ast.Attribute, root: ast.Name) -> Read | None:
    """Return the longest part of a chain that names something moved."""
    unknown: Read | None = None
    part: ast.expr = chain
    while isinstance(part, (ast.Name, ast.Attribute)):
        dotted = module.qualified(part)
        moved = successor(dotted, module.project) if dotted is not None else None
        if dotted is not None and moved is not None and not _is_attribute(dotted):
            if dotted in facts.moves() or moved.is_module:
                # A module that is known says less than an unknown member of it.
                return unknown if moved.is_module and unknown is not None else Read(part, moved)
            unknown = Read(part, moved)  # The shortest unknown name is the one that is gone.
        if not isinstance(part, ast.Attribute):
            break
        part = part.value
    return unknown


def _is_attribute(dotted: str) -> bool:
    """Tell whether a name is a member of a moved class, not itself a moved name."""
    owner = dotted.rsplit(".", 1)[0]
    move = facts.moves().get(owner)
    return move is not None and move.kind == "class"


def is_passed_on(module: Module, node: ast.AST) -> bool:
    """Tell whether a place hands a metric on uncalled, so that others call it."""
    below = node
    for ancestor in module.ancestors(node):
        if isinstance(ancestor, ast.Call):
            if below is ancestor.func:
                return False
            called = ancestor.func
            return getattr(called, "id", getattr(called, "attr", "")) not in _LOOK_AT
        if isinstance(ancestor, ast.Subscript) and below is ancestor.slice:
            return False
        if isinstance(ancestor, ast.arg):
            return False
        if isinstance(ancestor, ast.AnnAssign) and below is ancestor.annotation:
            return False
        if isinstance(ancestor, (ast.FunctionDef, ast.AsyncFunctionDef)):
            return below is not ancestor.returns
        if isinstance(ancestor, (ast.ClassDef, ast.Compare, ast.Expr, ast.Attribute)):
            return False
        if isinstance(ancestor, ast.stmt):
            return True
        below = ancestor
    return False


def is_exported(module: Module, name: str) -> bool:
    """Tell whether other files may import a name from this one."""
    if module.is_package:
        return True
    for statement in module.tree.body:
        if isinstance(statement, (ast.Assign, ast.AugAssign)):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            if any(isinstance(t, ast.Name) and t.id == "__all__" for t in targets):
                for node in subtree(statement.value):
                    if isinstance(node, ast.Constant) and node.value == name:
                        return True
    last = module.name.rpartition(".")[2]
    return bool(module.project.from_imports.get((last, name), frozenset()) - {module.path})
