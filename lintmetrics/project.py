"""The files of a project and the names in them: which name means which class, across files.

Nothing is imported and nothing is indexed in advance. A file is parsed when it is asked for, and a
name is followed through imports, re-exports, star imports and aliases only when a rule needs it.
"""

from __future__ import annotations

import ast
import builtins
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Union

from lintmetrics import facts
from lintmetrics.edits import FunctionNode, bound_name
from lintmetrics.errors import SourceError
from lintmetrics.module_files import ModuleFiles
from lintmetrics.source import Source
from lintmetrics.tree import index_tree, subtree

_KEPT = 16_000_000  # Characters of files that are not parsed, kept to be searched again.
_LIBRARY = re.compile(r"(?:torchmetrics|pytorch_lightning|lightning)\b")
_HANDS_ON = re.compile(r"torchmetrics|lightning|import \*")
_STARRED = frozenset(("pytorch_lightning", "lightning", "torchmetrics"))
# What gives a file other names than those, whatever it gives.
_STARRED_BESIDE = frozenset(("torch", "torchvision", "numpy", "math", "typing", "pathlib", "os"))
_LIMIT = 24  # Steps through aliases and re-exports before a name counts as unknown.

_LIGHTNING = r"(?:pytorch_lightning|lightning\.pytorch|lightning)"
_KINDS = {
    "LightningModule": re.compile(rf"{_LIGHTNING}\.(?:.*\.)?LightningModule$"),
    "LightningDataModule": re.compile(rf"{_LIGHTNING}\.(?:.*\.)?LightningDataModule$"),
    "Callback": re.compile(rf"{_LIGHTNING}\.(?:(?:.*\.)?Callback|callbacks\.(?:.*\.)?[A-Z]\w+)$"),
    "Trainer": re.compile(rf"{_LIGHTNING}\.(?:.*\.)?Trainer$"),
    "Metric": re.compile(rf"(?:torchmetrics|{_LIGHTNING}\.metrics)\.(?:.*\.)?[A-Z]\w+$"),
    "nn.Module": re.compile(r"torch\.nn\.(?:.*\.)?[A-Z]\w+$"),
}
_IMPLIED = {"nn.Module": ("LightningModule", "Metric")}


@dataclass(frozen=True)
class External:
    """Something outside the project, known by its dotted name only."""

    name: str


@dataclass(frozen=True)
class ModuleName:
    """A module, in the project (``path``) or outside it."""

    name: str
    path: str | None


@dataclass(eq=False)
class FunctionInfo:
    """A function of the project."""

    module: Module
    node: FunctionNode
    cls: ClassInfo | None = None

    @property
    def name(self) -> str:
        """The canonical dotted name."""
        owner = self.cls.name if self.cls else self.module.name
        return f"{owner}.{self.node.name}"


Symbol = Union[External, ModuleName, FunctionInfo, "ClassInfo"]


@dataclass(frozen=True)
class ImportedName:
    """One name bound by an import statement, anywhere in a file.

    ``target`` is the absolute dotted name as the statement spells it; ``bound`` the local name
    (``"*"`` for a star import).
    """

    module: Module = field(repr=False)
    statement: ast.Import | ast.ImportFrom
    alias: ast.alias
    bound: str
    target: str

    @property
    def node(self) -> ast.AST:
        """The part of the statement that names it."""
        return self.alias


@dataclass(frozen=True)
class CallSite:
    """A call of something of TorchMetrics or Lightning, by its canonical dotted name.

    A rule whose ``check`` takes a ``CallSite`` is called once for each such call.
    """

    module: Module = field(repr=False)
    node: ast.Call
    name: str


class Module:
    """One parsed file: its tree with parents, its imports, its calls, its classes.

    A rule whose ``check`` takes a ``Module`` is called once for each file.
    """

    def __init__(self, project: Project, source: Source, path: str, tree: ast.Module) -> None:
        self.project = project
        self.source = source
        self.path = path
        self.tree = tree
        self.name, self.is_package = project.files.dotted_name(path)
        self.calls: list[ast.Call] = []
        self.imports: list[ImportedName] = []
        self.class_nodes: list[ast.ClassDef] = []
        self._classes: dict[ast.ClassDef, ClassInfo] = {}
        self._bound: dict[ast.AST, dict[str, ast.AST | None]] = {}
        self._resolved: dict[str, Symbol | None] = {}
        self._symbols: dict[ast.expr, Symbol | None] = {}
        self._leads: dict[str, bool] = {}
        self._walk()

    def __repr__(self) -> str:
        return f"Module({self.source.path!r})"

    @property
    def module(self) -> Module:
        """The module itself, so that it can be the subject of a finding."""
        return self

    @property
    def node(self) -> ast.AST:
        """The tree."""
        return self.tree

    def _walk(self) -> None:
        for node in index_tree(self.tree):
            kind = type(node)
            if kind is ast.Call:
                self.calls.append(node)  # type: ignore[arg-type]
            elif kind is ast.ClassDef:
                self.class_nodes.append(node)  # type: ignore[arg-type]
            elif isinstance(node, (ast.Import, ast.ImportFrom)):
                for alias in node.names:
                    self.imports.append(
                        ImportedName(
                            self, node, alias, bound_name(alias, node), self._target(node, alias)
                        )
                    )
        self.calls.sort(key=_position)
        self.class_nodes.sort(key=_position)
        self.imports.sort(key=lambda item: (item.statement.lineno, item.alias.col_offset))

    def _target(self, statement: ast.Import | ast.ImportFrom, alias: ast.alias) -> str:
        if isinstance(statement, ast.Import):
            return alias.name if alias.asname else alias.name.split(".")[0]
        base = self.absolute(statement)
        return f"{base}.{alias.name}" if base else alias.name

    @property
    def package(self) -> list[str]:
        """The parts of the dotted name of the package that it is, or is in."""
        parts = self.name.split(".")
        return parts if self.is_package else parts[:-1]

    def absolute(self, statement: ast.ImportFrom) -> str:
        """Return the absolute dotted name of the module that a from-import reads."""
        if not statement.level:
            return statement.module or ""
        package = self.package
        kept = package[: len(package) - (statement.level - 1)]
        return ".".join([*kept, *([statement.module] if statement.module else [])])

    def parent(self, node: ast.AST) -> ast.AST | None:
        """Return the node around a node."""
        return getattr(node, "lm_parent", None)

    def ancestors(self, node: ast.AST) -> Iterator[ast.AST]:
        """Yield the nodes around a node, innermost first."""
        current = self.parent(node)
        while current is not None:
            yield current
            current = self.parent(current)

    def statement(self, node: ast.AST) -> ast.stmt:
        """Return the statement that a node is part of."""
        for candidate in (node, *self.ancestors(node)):
            if isinstance(candidate, ast.stmt):
                return candidate
        raise ValueError("the module itself is no statement")

    def enclosing_function(self, node: ast.AST) -> FunctionNode | None:
        """Return the innermost function around a node (not the node itself)."""
        for candidate in self.ancestors(node):
            if isinstance(candidate, (ast.FunctionDef, ast.AsyncFunctionDef)):
                return candidate
        return None

    def enclosing_method(self, node: ast.AST) -> FunctionNode | None:
        """Return the method of a class that a node stands in, however deep."""
        found: FunctionNode | None = None
        for around in self.ancestors(node):
            if isinstance(around, (ast.FunctionDef, ast.AsyncFunctionDef)):
                found = around
            if isinstance(around, ast.ClassDef):
                return found
        return None

    def enclosing_class(self, node: ast.AST) -> ClassInfo | None:
        """Return the innermost class around a node (not the node itself)."""
        for candidate in self.ancestors(node):
            if isinstance(candidate, ast.ClassDef):
                return self.class_info(candidate)
        return None

    @cached_property
    def call_sites(self) -> tuple[CallSite, ...]:
        """Every call in the file whose callee belongs to TorchMetrics or Lightning, in order."""
        return tuple(self._find_call_sites())

    def _find_call_sites(self) -> Iterator[CallSite]:
        for call in self.calls:
            root: ast.expr = call.func
            while isinstance(root, ast.Attribute):
                root = root.value
            # Most calls are of names that cannot lead there; those are not even resolved.
            if isinstance(root, ast.Name) and self._may_lead_to_library(root.id):
                name = self.qualified(call.func)
                if name is not None and _LIBRARY.match(name):
                    yield CallSite(self, call, name)

    def _may_lead_to_library(self, name: str) -> bool:
        known = self._leads.get(name)
        if known is None:
            known = self._leads[name] = self._leads_to_library(name)
        return known

    def _leads_to_library(self, name: str) -> bool:
        bound = [item for item in self.imports if item.bound in (name, "*")]
        for item in bound:
            if _LIBRARY.match(item.target):
                return True
            statement = item.statement
            if isinstance(statement, ast.Import):
                path = self.project.find(item.alias.name, self)
            else:
                dotted = self.absolute(statement)
                path = self.project.find(dotted, self, statement.level)
            if path is not None and self.project.may_hand_on_library(path):
                return True
        return not bound and isinstance(self._namespace.get(name), ast.Assign)

    def class_info(self, node: ast.ClassDef) -> ClassInfo:
        """Return what is known of a class defined in this file."""
        info = self._classes.get(node)
        if info is None:
            info = self._classes[node] = ClassInfo(self, node)
        return info

    @property
    def classes(self) -> list[ClassInfo]:
        """Every class of the file, in order, nested ones included."""
        return [self.class_info(node) for node in self.class_nodes]

    # Names ------------------------------------------------------------------------------------

    @cached_property
    def _namespace(self) -> dict[str, ast.AST]:
        """Top-level name to the node that binds it."""
        return self._scope(self.tree)

    @cached_property
    def _stars(self) -> list[ast.ImportFrom]:
        return [
            item.statement
            for item in self.imports
            if item.bound == "*" and isinstance(item.statement, ast.ImportFrom)
        ]

    def _scope(self, owner: ast.AST) -> dict[str, ast.AST]:
        """Return the names that a module, class or function body binds, with the binding node."""
        names: dict[str, ast.AST] = {}
        if isinstance(owner, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            arguments = owner.args
            for argument in (
                *arguments.posonlyargs,
                *arguments.args,
                *arguments.kwonlyargs,
                *filter(None, (arguments.vararg, arguments.kwarg)),
            ):
                names[argument.arg] = argument
        body = getattr(owner, "body", [])
        stack: list[ast.AST] = list(reversed(body)) if isinstance(body, list) else [body]
        while stack:
            node = stack.pop()
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                for alias in node.names:
                    names.setdefault(bound_name(alias, node), node)
                continue
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                names[node.name] = node
                continue
            if isinstance(node, ast.Lambda):
                continue
            if isinstance(node, ast.Name) and isinstance(node.ctx, (ast.Store, ast.Del)):
                bound_by = self.statement(node)
                if not isinstance(names.get(node.id), (ast.Import, ast.ImportFrom)):
                    names[node.id] = bound_by
                continue
            if isinstance(node, ast.ExceptHandler) and node.name:
                names.setdefault(node.name, node)
            if isinstance(node, (ast.Global, ast.Nonlocal)):
                for name in node.names:
                    names.pop(name, None)
            if isinstance(node, ast.expr) and not isinstance(
                node, (ast.NamedExpr, ast.Tuple, ast.List, ast.Starred)
            ):
                # Only walrus targets bind inside expressions; look no deeper without one.
                stack.extend(n for n in subtree(node) if isinstance(n, ast.NamedExpr))
                continue
            stack.extend(reversed(list(ast.iter_child_nodes(node))))
        return names

    def scope_of(self, function: ast.AST) -> dict[str, ast.AST]:
        """Return the names that a function binds, with the node that binds each."""
        scope = self._bound.get(function)
        if scope is None:
            scope = self._bound[function] = dict(self._scope(function))
        return scope  # type: ignore[return-value]

    def binds(self, name: str) -> bool:
        """Tell whether a name is bound anywhere in the file."""
        return name in self._bound_anywhere

    @cached_property
    def _bound_anywhere(self) -> frozenset[str]:
        names = {*self._namespace, *(item.bound for item in self.imports)}
        for node in subtree(self.tree):
            if isinstance(node, ast.Name):
                if not isinstance(node.ctx, ast.Load):
                    names.add(node.id)
            elif isinstance(node, ast.arg):
                names.add(node.arg)
        return frozenset(names)

    def local_name(self, dotted: str) -> str | None:
        """Return how code at the top of the file can already spell a dotted name."""
        best: str | None = None
        for item in self.imports:
            if item.bound == "*" or item.statement not in self._top_imports:
                continue
            target = item.target
            if isinstance(item.statement, ast.Import) and not item.alias.asname:
                # `import a.b` binds `a`, and only promises that `a` and `a.b` are there.
                if (
                    dotted == item.alias.name
                    or dotted.startswith(item.alias.name + ".")
                    or item.alias.name.startswith(dotted + ".")
                ):
                    best = best or dotted
                continue
            if dotted == target:
                return item.bound
            if dotted.startswith(target + ".") and "." not in dotted[len(target) + 1 :]:
                best = item.bound + dotted[len(target) :]
        return best

    @cached_property
    def _top_imports(self) -> set[ast.stmt]:
        return {
            node
            for node in self._namespace.values()
            if isinstance(node, (ast.Import, ast.ImportFrom))
        }

    def constant(self, name: str) -> object:
        """Return the value of a top-level constant such as ``PREFIX = "val"``, else ``None``.

        What is bound under a condition, as the flag of an optional import is, may have another.
        """
        bound = self._namespace.get(name)
        if isinstance(bound, ast.Assign) and isinstance(bound.value, ast.Constant):
            return bound.value.value if self.parent(bound) is self.tree else None
        return None

    def qualified(self, expr: ast.expr) -> str | None:
        """Return the canonical dotted name of a name or attribute chain, ``None`` if unknown."""
        symbol = self.resolve(expr)
        return None if symbol is None else symbol.name

    def resolve(self, expr: ast.expr) -> Symbol | None:
        """Return what a name or attribute chain means, followed across the project's files."""
        if expr in self._symbols:
            return self._symbols[expr]
        symbol = self._symbols[expr] = self._resolve(expr)
        return symbol

    def _resolve(self, expr: ast.expr) -> Symbol | None:
        names: list[str] = []
        while isinstance(expr, ast.Attribute):
            names.append(expr.attr)
            expr = expr.value
        if not isinstance(expr, ast.Name):
            return None
        symbol = self._resolve_name(expr, 0)
        for name in reversed(names):
            if symbol is None:
                return None
            symbol = self.project.member(symbol, name, 0)
        return symbol

    def _resolve_name(self, node: ast.Name, depth: int) -> Symbol | None:
        below: ast.AST = node
        for scope in self.ancestors(node):
            if isinstance(scope, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
                # Decorators, defaults and annotations are evaluated outside the function.
                inside = isinstance(scope, ast.Lambda) or isinstance(below, ast.stmt)
                bound = self.scope_of(scope).get(node.id) if inside else None
                if bound is not None:
                    return self._meaning(bound, node.id, depth + 1)
            elif isinstance(scope, ast.ClassDef) and isinstance(below, ast.stmt):
                bound = self.class_info(scope).namespace.get(node.id)
                if bound is not None and self.enclosing_function(node) is None:
                    return self._meaning(bound, node.id, depth + 1)
            elif isinstance(scope, (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)):
                for generator in scope.generators:
                    for target in subtree(generator.target):
                        if isinstance(target, ast.Name) and target.id == node.id:
                            return None
            below = scope
        return self.lookup(node.id, depth + 1)

    def lookup(self, name: str, depth: int = 0) -> Symbol | None:
        """Return what a top-level name of this module means."""
        if name in self._resolved:
            return self._resolved[name]
        if depth > _LIMIT:
            return None
        self._resolved[name] = None  # A cycle of imports ends here.
        symbol: Symbol | None = None
        bound = self._namespace.get(name)
        if bound is not None:
            symbol = self._meaning(bound, name, depth + 1)
        else:
            outside: list[str] = []
            for statement in self._stars:
                base = self.absolute(statement)
                source = self.project.find(base, self, statement.level)
                if source is None:
                    outside.append(base)
                    continue
                module = self.project.module_at(source)
                symbol = module.lookup(name, depth + 1) if module else None
                if symbol is not None:
                    break
            if symbol is None and not hasattr(builtins, name):
                home = _starred_home(name, outside)
                if home is not None:
                    symbol = self.project.member(ModuleName(home, None), name, depth + 1)
        self._resolved[name] = symbol
        return symbol

    def _meaning(self, bound: ast.AST, name: str, depth: int) -> Symbol | None:
        """Return what a binding gives a name."""
        if depth > _LIMIT:
            return None
        if isinstance(bound, ast.ClassDef):
            return self.class_info(bound)
        if isinstance(bound, (ast.FunctionDef, ast.AsyncFunctionDef)):
            return FunctionInfo(self, bound, self.enclosing_class(bound))
        if isinstance(bound, ast.Import):
            for alias in bound.names:
                if bound_name(alias, bound) == name:
                    dotted = alias.name if alias.asname else name
                    return ModuleName(dotted, self.project.find(dotted, self))
            return None
        if isinstance(bound, ast.ImportFrom):
            for alias in bound.names:
                if bound_name(alias, bound) == name:
                    base = self.absolute(bound)
                    owner = ModuleName(base, self.project.find(base, self, bound.level))
                    return self.project.member(owner, alias.name, depth + 1)
            return None
        if isinstance(bound, ast.Assign) and len(bound.targets) == 1:
            target, value = bound.targets[0], bound.value
            if isinstance(target, ast.Name) and isinstance(value, (ast.Name, ast.Attribute)):
                root: ast.expr = value
                while isinstance(root, ast.Attribute):
                    root = root.value
                if isinstance(root, ast.Name) and root.id != name:
                    return self.resolve(value)
        return None


class ClassInfo:
    """A class of the project.

    A rule whose ``check`` takes a ``ClassInfo`` is called once for each class of each file.
    """

    def __init__(self, module: Module, node: ast.ClassDef) -> None:
        self.module = module
        self.node = node
        outer = [
            a.name
            for a in module.ancestors(node)
            if isinstance(a, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
        ]
        self.qualname = ".".join([*reversed(outer), node.name])

    def __repr__(self) -> str:
        return f"ClassInfo({self.name!r})"

    @property
    def name(self) -> str:
        """The canonical dotted name."""
        return f"{self.module.name}.{self.qualname}"

    @cached_property
    def namespace(self) -> dict[str, ast.AST]:
        """Names bound in the class body, with the node that binds each."""
        return self.module.scope_of(self.node)

    @cached_property
    def methods(self) -> dict[str, FunctionNode]:
        """Methods defined in this class itself, by name."""
        return {
            name: node
            for name, node in self.namespace.items()
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        }

    @cached_property
    def assigned(self) -> dict[str, ast.expr]:
        """Class attributes with their values, such as ``test_step = validation_step``."""
        values: dict[str, ast.expr] = {}
        for name, node in self.namespace.items():
            if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
                values[name] = node.value
        return values

    @cached_property
    def bases(self) -> list[Symbol | None]:
        """What each base means, ``None`` where unknown."""
        found: list[Symbol | None] = []
        for base in self.node.bases:
            if isinstance(base, ast.Subscript):  # Generic[T]
                base = base.value
            found.append(self.module.resolve(base))
        return found

    @cached_property
    def _mro(self) -> list[ClassInfo]:
        order: list[ClassInfo] = []

        def visit(cls: ClassInfo, trail: tuple[ClassInfo, ...]) -> None:
            if cls in trail or len(trail) > _LIMIT:
                return
            if cls in order:
                order.remove(cls)
            order.append(cls)
            for base in cls.bases:
                if isinstance(base, ClassInfo):
                    visit(base, (*trail, cls))

        visit(self, ())
        return order

    def mro(self) -> list[ClassInfo]:
        """Return this class and its bases inside the project, nearest first."""
        return self._mro

    @cached_property
    def base_names(self) -> frozenset[str]:
        """Dotted names of all bases, direct and inherited, outside the project."""
        names = {
            base.name
            for cls in self.mro()
            for base in cls.bases
            if isinstance(base, (External, ModuleName))
        }
        return frozenset(names)

    @cached_property
    def _kinds(self) -> frozenset[str]:
        names = {*self.base_names, *(cls.name for cls in self.mro())}
        kinds = {
            kind for kind, pattern in _KINDS.items() if any(pattern.match(name) for name in names)
        }
        if names & self.module.project.lightning_bases:
            kinds.add("LightningModule")
        for kind, by in _IMPLIED.items():
            if kinds.intersection(by):
                kinds.add(kind)
        return frozenset(kinds)

    def is_kind(self, kind: str) -> bool:
        """Tell whether the class descends from a known base.

        ``kind`` is one of LightningModule, LightningDataModule, Callback, Trainer, Metric,
        nn.Module.
        """
        return kind in self._kinds

    @cached_property
    def is_lightning(self) -> bool:
        """Whether the class is a LightningModule, or a mixin that one of the project takes in."""
        if self.is_kind("LightningModule"):
            return True
        if self._kinds:
            return False
        if self._outside_bases and {"training_step", "configure_optimizers"} <= set(self.methods):
            # The base lives in a package that is not here; no other class has both hooks.
            return True
        if not any(name in _HOOKISH for name in self.namespace) and not self._logs:
            return False
        return any(child.is_kind("LightningModule") for child in self.subclasses)

    @cached_property
    def _logs(self) -> bool:
        return any(
            isinstance(call.func, ast.Attribute)
            and call.func.attr in ("log", "log_dict")
            and isinstance(call.func.value, ast.Name)
            and call.func.value.id == "self"
            for node in self.node.body
            for call in subtree(node)
            if isinstance(call, ast.Call)
        )

    @property
    def _outside_bases(self) -> bool:
        known = ("torch.", "abc.", "typing.", "builtins.", "object")
        for cls in self.mro():
            for base, node in zip(cls.bases, cls.node.bases, strict=True):
                if base is None and not (isinstance(node, ast.Name) and node.id == "object"):
                    return True
                if isinstance(base, External) and not base.name.startswith(known):
                    return True
        return False

    @cached_property
    def subclasses(self) -> list[ClassInfo]:
        """Every class of the project below this one, sorted by file and line."""
        return self.module.project.subclasses(self)

    def lookup(self, name: str) -> FunctionInfo | None:
        """Return the method that ``self.name`` means, following the project's bases."""
        for cls in self.mro():
            found = cls.own(name)
            if found is not None:
                return found
        return None

    def own(self, name: str) -> FunctionInfo | None:
        """Return a method that this class itself gives, by ``def`` or by alias."""
        for _ in range(4):
            if name in self.methods:
                return FunctionInfo(self.module, self.methods[name], self)
            value = self.assigned.get(name)
            if not isinstance(value, ast.Name):
                return None
            name = value.id
        return None


_HOOKISH = frozenset(
    f"{prefix}{stage}_{what}"
    for prefix in ("", "on_")
    for stage in ("training", "train", "validation", "test", "predict")
    for what in ("step", "step_end", "epoch_end", "epoch_start", "batch_end", "batch_start")
) | {"on_epoch_end", "on_epoch_start", "configure_optimizers"}


class Project:
    """The files of one project, read on demand.

    Args:
        read: reads and parses a file; raises ``SourceError``. Returns ``None`` for no such file.
        universe: lists every file of the project, for questions about subclasses.
        root: no import is looked for above this directory.
        lightning_bases: dotted names, from the configuration, of LightningModules elsewhere.
        data: returns the bytes of a file that is not worth a parse yet, as ``read`` would read
            them; raises ``SourceError`` or ``OSError``.
        targets: the version of each library that the code must run on, such as ``"2.6"``; empty
            for the newest.
    """

    def __init__(
        self,
        read: Callable[[str], tuple[Source, ast.Module]],
        universe: Callable[[], Iterable[str]] = lambda: (),
        root: str | None = None,
        lightning_bases: Iterable[str] = (),
        data: Callable[[str], bytes] = lambda path: Path(path).read_bytes(),
        targets: Mapping[str, str] | None = None,
    ) -> None:
        self._read = read
        self._data = data
        self._universe = universe
        self.files = ModuleFiles(root)
        self.lightning_bases = frozenset(lightning_bases)
        self.targets = {"lightning": "", "torchmetrics": "", **(targets or {})}
        self.target_lightning = self.targets["lightning"]
        self.target_torchmetrics = self.targets["torchmetrics"]
        self._modules: dict[str, Module | None] = {}
        self._hands_on: dict[str, bool] = {}
        self._mentions: dict[re.Pattern[str], list[str]] = {}
        self._texts: dict[str, str] = {}
        self._kept = 0
        self.errors: dict[str, SourceError] = {}
        self.models: dict[ClassInfo, object] = {}
        """What the model worked out for each class, kept for as long as the files are."""

    def module_at(self, path: str) -> Module | None:
        """Return the parsed file, ``None`` when it cannot be parsed (kept in ``errors``)."""
        if path not in self._modules:
            self._modules[path] = None
            try:
                source, tree = self._read(path)
                self._modules[path] = Module(self, source, path, tree)
            except SourceError as error:
                self.errors[path] = error
        return self._modules[path]

    def _text(self, path: str) -> str:
        """Return the text of a file without a parse; empty when it cannot be read."""
        try:
            return self._data(path).decode("utf-8", "replace")
        except (OSError, SourceError):
            return ""

    def texts(self) -> Iterator[tuple[str, str]]:
        """Yield ``(path, text)`` of every file of the project, in order."""
        for path in sorted(self._universe()):
            yield path, self._text(path)

    def find(self, dotted: str, importer: Module, level: int = 0) -> str | None:
        """Return the file of a module as an importing file sees it, ``None`` outside."""
        return self.files.find(dotted, importer.path, importer.package, level)

    def may_hand_on_library(self, path: str) -> bool:
        """Tell whether other files may get a name of TorchMetrics or Lightning from a file.

        Its bytes say so, without a parse; a package's ``__init__`` always may.
        """
        known = self._hands_on.get(path)
        if known is None:
            known = path.endswith("__init__.py")
            if not known:
                known = _HANDS_ON.search(self._text(path)) is not None
            self._hands_on[path] = known
        return known

    def member(self, symbol: Symbol, name: str, depth: int) -> Symbol | None:
        """Return what ``symbol.name`` means."""
        if depth > _LIMIT:
            return None
        if isinstance(symbol, ModuleName):
            dotted = f"{symbol.name}.{name}" if symbol.name else name
            if symbol.path is None:
                return External(dotted)
            module = self.module_at(symbol.path)
            if module is None:
                return External(dotted)
            inner = module.lookup(name, depth + 1)
            if inner is not None:
                return inner
            if module.is_package:
                path = self.files.below(os.path.dirname(symbol.path), [name])
                if path is not None:
                    return ModuleName(dotted, path)
            return External(dotted)
        if isinstance(symbol, External):
            return External(f"{symbol.name}.{name}")
        if isinstance(symbol, ClassInfo):
            bound = symbol.namespace.get(name)
            if isinstance(bound, ast.ClassDef):
                return symbol.module.class_info(bound)
            method = symbol.lookup(name)
            return method if method is not None else External(f"{symbol.name}.{name}")
        return External(f"{symbol.name}.{name}")

    def mentioning(self, pattern: re.Pattern[str], *words: str) -> list[Module]:
        """Return the files of the project whose text a pattern is found in, sorted by path.

        Args:
            pattern: what to look for.
            words: texts of which every match holds one. Most files have none of them, and that is
                told much faster than that a pattern which begins with no letter is not there.
        """
        found = (self.module_at(path) for path in self.paths_mentioning(pattern, *words))
        return [module for module in found if module is not None]

    def paths_mentioning(self, pattern: re.Pattern[str], *words: str) -> list[str]:
        """Return the paths of these files, none of which is parsed for it."""

        def is_in(text: str) -> bool:
            if words and not any(word in text for word in words):
                return False
            return pattern.search(text) is not None

        listed = self._mentions.get(pattern)
        if listed is None:
            listed = self._mentions[pattern] = [
                path for path in self._listed if is_in(self._text_once(path))
            ]
        further = [
            path
            for path, module in self._modules.items()
            if path not in self._listed and module is not None and is_in(module.source.text)
        ]
        return sorted({*listed, *further})

    @cached_property
    def _listed(self) -> frozenset[str]:
        """The paths of the universe."""
        return frozenset(self._universe())

    def _text_once(self, path: str) -> str:
        """Return the text of a file, kept for the next question as long as there is room."""
        module = self._modules.get(path)
        if module is not None:
            return module.source.text
        text = self._texts.get(path)
        if text is None:
            text = self._text(path)
            self._kept += len(text)
            if self._kept <= _KEPT:
                self._texts[path] = text
        return text

    @cached_property
    def from_imports(self) -> dict[tuple[str, str], frozenset[str]]:
        """``(last part of the module, name or *)`` of each from-import to the files with it."""
        statement = re.compile(
            r"^[ \t]*from[ \t]+([.\w]+)[ \t]+import[ \t]*(\([^)]*\)|(?:\\\r?\n|[^\n\\])*)", re.M
        )
        found: dict[tuple[str, str], set[str]] = {}
        for path in sorted(self._universe()):
            for match in statement.finditer(self._text(path)):
                last = match.group(1).rpartition(".")[2]
                for name in re.findall(r"\w+|\*", match.group(2)):
                    found.setdefault((last, name), set()).add(path)
        return {key: frozenset(paths) for key, paths in found.items()}

    # Who inherits from whom -------------------------------------------------------------------

    @cached_property
    def _by_base(self) -> dict[str, list[str]]:
        """Last component of a base's name to the files with a class header that names it."""
        header = re.compile(r"^[ \t]*class[ \t]+\w+[ \t]*\(([^:]*?)\)[ \t]*:", re.M | re.S)
        name = re.compile(r"(?:\w+\.)*(\w+)")
        index: dict[str, list[str]] = {}
        for path in sorted(self._universe()):
            for match in header.finditer(self._text(path)):
                for base in name.finditer(match.group(1)):
                    files = index.setdefault(base.group(1), [])
                    if not files or files[-1] != path:
                        files.append(path)
        return index

    def subclasses(self, cls: ClassInfo) -> list[ClassInfo]:
        """Return every class of the project that descends from one, sorted by file and line."""
        found: dict[ClassInfo, None] = {}
        # Re-exports under another name are rare enough for the class's own name to do.
        queue = [cls]
        while queue:
            base = queue.pop()
            paths = {*self._by_base.get(base.node.name, ()), base.module.path}
            for path in sorted(paths):
                module = self.module_at(path)
                for candidate in module.classes if module else ():
                    if candidate not in found and candidate is not cls and base in candidate.bases:
                        found[candidate] = None
                        queue.append(candidate)
        return sorted(found, key=lambda c: (c.module.path, c.node.lineno))


def _starred_home(name: str, bases: list[str]) -> str | None:
    """Return the package, of those that a file imports all names of, that gives it one name.

    Args:
        name: a name that nothing else binds.
        bases: the packages outside the project, in the order of their imports.
    """
    roots = {base.partition(".")[0] for base in bases}
    if len(bases) == 1:
        return bases[0] if roots <= _STARRED else None
    if not roots <= _STARRED | _STARRED_BESIDE:
        return None  # One of them may have it as well.
    for base in reversed(bases):
        root, _, rest = base.partition(".")
        if root not in _STARRED:
            continue
        if root == "torchmetrics" or rest.startswith("metrics"):
            if facts.is_metric_name(name, "function" if "functional" in rest else "class"):
                return base
        elif any(pattern.match(f"{base}.{name}") for pattern in _KINDS.values()):
            return base
    return None


def _position(node: ast.expr | ast.stmt) -> tuple[int, int]:
    return (node.lineno, node.col_offset)
