"""Who puts: classes with the mixin of ``lintmetrics.put``, and Trainers with its router."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from lintmetrics.model.lightning_objects import ROOT, kind_of
from lintmetrics.tree import subtree

if TYPE_CHECKING:
    from lintmetrics.project import CallSite, ClassInfo, Module, Project

MIXIN = "PutMixin"
ROUTER = "PutRouter"
PUTS = ("put", "put_dict")
_HOME = "lintmetrics.put"
_MIXIN = re.compile(rf"\b{MIXIN}\b")
_ROUTER = re.compile(rf"\b{ROUTER}\b")
_VENDORED = re.compile(rf"^class {MIXIN}\b", re.M)
_TRAINER = re.compile(r"\bTrainer\b")


def home(project: Project) -> str:
    """Return the module that the project has ``put`` from: its own copy, where it keeps one."""
    known: str | None = project.__dict__.get("_lm_put_home")
    if known is None:
        own = [module.name for module in project.mentioning(_VENDORED)]
        known = project.__dict__["_lm_put_home"] = min(own, default=_HOME)
    return known


def has_mixin(cls: ClassInfo) -> bool:
    """Tell whether a class has ``put`` from the mixin."""
    return any(name.endswith(f".{MIXIN}") for name in cls.base_names) or any(
        base.node.name == MIXIN for base in cls.mro()
    )


def is_put(module: Module, call: ast.Call) -> bool:
    """Tell whether a call hands a number over: ``self.put(...)`` of a class with the mixin."""
    func = call.func
    if not (
        isinstance(func, ast.Attribute)
        and func.attr in PUTS
        and isinstance(func.value, ast.Name)
        and func.value.id == "self"
    ):
        return False
    cls = module.enclosing_class(call)
    return cls is not None and has_mixin(cls)


def putting_classes(module: Module) -> list[ClassInfo]:
    """Return the classes of a file that take the mixin in themselves."""
    if MIXIN not in module.source.text:
        return []
    return [
        cls
        for cls in module.classes
        if cls.node.name not in (MIXIN, ROUTER)
        and any(_last(base) == MIXIN for base in cls.node.bases)
    ]


def is_used(project: Project) -> bool:
    """Tell whether any class of the project puts."""
    known: bool | None = project.__dict__.get("_lm_put_used")
    if known is None:
        known = any(putting_classes(module) for module in project.mentioning(_MIXIN, MIXIN))
        project.__dict__["_lm_put_used"] = known
    return known


def trainers(module: Module) -> list[CallSite]:
    """Return the calls of a file that build a Trainer of Lightning."""
    return [
        site
        for site in module.call_sites
        if (match := ROOT.match(site.name)) and match.group(1) in ("Trainer", "trainer.Trainer")
    ]


def builds_trainer(project: Project) -> bool:
    """Tell whether a Trainer is built anywhere in the project."""
    return any(trainers(module) for module in project.mentioning(_TRAINER, "Trainer"))


def is_routed_somewhere(project: Project) -> bool:
    """Tell whether a router is made anywhere in the project."""
    return any(_makes_router(module.tree) for module in project.mentioning(_ROUTER, ROUTER))


def _is_router_at_large(project: Project) -> bool:
    """Tell whether a router is made that is not written into the arguments of one Trainer."""
    known: bool | None = project.__dict__.get("_lm_router_at_large")
    if known is None:
        known = any(
            _routers(module.tree) > sum(_routers(site.node) for site in trainers(module))
            for module in project.mentioning(_ROUTER, ROUTER)
        )
        project.__dict__["_lm_router_at_large"] = known
    return known


def read_result(project: Project, stage: str) -> str:
    """Return where the answer of ``trainer.validate`` or ``trainer.test`` is used; empty for none.

    It holds what ``self.log`` logged alone (lightning 2.6.6, ``_EvaluationLoop.on_run_end``).
    """
    methods = {"val": ("validate",), "test": ("test",)}.get(stage, ())
    known: dict[str, str] = project.__dict__.setdefault("_lm_read_results", {})
    if stage not in known:
        known[stage] = next(_uses(project, methods), "") if methods else ""
    return known[stage]


def _uses(project: Project, methods: tuple[str, ...]) -> Iterator[str]:
    spelled = re.compile(rf"\.(?:{'|'.join(methods)})\(")
    for module in project.mentioning(spelled):
        for call in module.calls:
            func = call.func
            if not isinstance(func, ast.Attribute) or func.attr not in methods:
                continue
            if isinstance(module.parent(call), ast.Expr):
                continue
            named = "trainer" in _last(func.value).lower()
            if named or "Trainer" in kind_of(module, func.value).names:
                yield f"{module.source.path}:{call.lineno}"


def callbacks_of(trainer: ast.Call) -> ast.expr | None:
    """Return the ``callbacks=`` that a Trainer is given."""
    return next((k.value for k in trainer.keywords if k.arg == "callbacks"), None)


def may_be_routed(site: CallSite) -> bool:
    """Tell whether a Trainer has a router, or may have one from code that is not followed."""
    given = callbacks_of(site.node)
    if given is not None and _makes_router(given):
        return True
    if is_unpacked(site.node):
        return _is_router_at_large(site.module.project)
    if given is None or _is_closed(site.module, given):
        # The module itself may bring it along, through configure_callbacks.
        return any(
            function.name == "configure_callbacks" and _makes_router(function)
            for module in site.module.project.mentioning(_ROUTER, ROUTER)
            for function in subtree(module.tree)
            if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef))
        )
    return _is_router_at_large(site.module.project)


def is_unpacked(trainer: ast.Call) -> bool:
    """Tell whether a Trainer has arguments that its call does not name."""
    return bool(trainer.args) or any(keyword.arg is None for keyword in trainer.keywords)


def _is_closed(module: Module, given: ast.expr) -> bool:
    """Tell whether it can be seen that no router is among the callbacks."""
    if isinstance(given, ast.Constant):
        return given.value is None
    if not isinstance(given, ast.List):
        return False
    named = {entry.id for entry in given.elts if isinstance(entry, ast.Name)}
    routers = {
        target.id
        for node in subtree(module.tree)
        if isinstance(node, ast.Assign) and _makes_router(node.value)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    return not named & routers and not any(isinstance(e, ast.Starred) for e in given.elts)


def _makes_router(tree: ast.AST) -> bool:
    return _routers(tree) > 0


def _routers(tree: ast.AST) -> int:
    return sum(isinstance(node, ast.Call) and _last(node.func) == ROUTER for node in subtree(tree))


def _last(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
