"""Gives a Trainer the router that delivers what modules put."""

from __future__ import annotations

import ast

from lintmetrics.codemod import Blocked, Codemod, Fix, Relation
from lintmetrics.config import Settings
from lintmetrics.edits import Editor
from lintmetrics.model import put_style
from lintmetrics.model.lightning_objects import ROOT
from lintmetrics.model.tensors import bindings
from lintmetrics.project import CallSite, ClassInfo, External, Module, ModuleName
from lintmetrics.rule import Finding


class RoutedTrainer(Codemod):
    """``PutRouter()`` among the callbacks of a Trainer."""

    codes = ("LM702",)

    def plan(self, finding: Finding, settings: Settings) -> Fix | Blocked:
        """Plan one more callback."""
        site = finding.subject
        assert isinstance(site, CallSite)
        module, node = site.module, site.node
        editor = Editor()
        given = put_style.callbacks_of(node)
        router = editor.add_import(module, put_style.home(module.project), put_style.ROUTER) + "()"
        if put_style.is_unpacked(node) and not isinstance(given, ast.List):
            return Blocked(
                "which callbacks this Trainer is given is not known until the code runs; add "
                f"{router} to them"
            )
        if given is None:
            if node.keywords:
                editor.append_argument(module, node, f"callbacks=[{router}]")
            else:
                func = module.source.segment(node.func)
                editor.replace(module, node, f"{func}(callbacks=[{router}])")
        elif isinstance(given, ast.Constant) and given.value is None:
            editor.replace(module, given, f"[{router}]")
        elif isinstance(given, ast.List):
            _append(editor, module, given, router)
        elif isinstance(given, ast.Name) and _is_list(module, given):
            editor.replace(module, given, f"[*{given.id}, {router}]")
        elif _is_list(module, given):
            end = module.source.end(given)
            editor.replace_range(module, end, end, f" + [{router}]")
        elif _is_callback(module, given):
            # A Trainer takes one callback without a list as well.
            editor.replace(module, given, f"[{module.source.segment(given)}, {router}]")
        else:
            shown = " ".join(module.source.segment(given).split())
            return Blocked(
                f"whether `{shown}` is a list of callbacks is not known; add {router} where it is "
                "made"
            )
        return Fix(
            Relation.CORRECTS,
            "deliver what modules put: without a router it reaches no logger, progress bar or "
            "callback",
            editor.edits,
        )


def _append(editor: Editor, module: Module, given: ast.List, text: str) -> None:
    """Write one more entry into a list that is written out."""
    if not given.elts:
        editor.replace(module, given, f"[{text}]")
        return
    source = module.source
    last = source.end(given.elts[-1])
    rest = source.text[last : source.end(given) - 1]
    comma = rest.lstrip().startswith(",")
    if not comma or "\n" not in rest:
        editor.replace_range(module, last, last, f", {text}")
        return
    # One entry to a line, each with its comma.
    indent = source.indent_of(source.start(given.elts[-1]))
    place = last + rest.index(",") + 1
    editor.replace_range(module, place, place, f"{source.newline}{indent}{text},")


def _is_callback(module: Module, given: ast.expr) -> bool:
    """Tell whether an expression makes one callback."""
    if not isinstance(given, ast.Call):
        return False
    made = module.resolve(given.func)
    if isinstance(made, ClassInfo):
        return made.is_kind("Callback")
    found = ROOT.match(made.name) if isinstance(made, (External, ModuleName)) else None
    return found is not None and found.group(1).startswith("callbacks.")


def _is_list(module: Module, given: ast.expr) -> bool:
    """Tell whether an expression is a list that is written out, or one with more behind it."""
    if isinstance(given, ast.BinOp) and isinstance(given.op, ast.Add):
        return _is_list(module, given.left) or _is_list(module, given.right)
    if not isinstance(given, ast.Name):
        return isinstance(given, ast.List)
    function = module.enclosing_function(given)
    inside = function is not None and given.id in module.scope_of(function)
    bound = bindings(module, given.id, function if inside else None)
    # What is added to a list in its place leaves it one.
    made = [node for node in bound if not isinstance(node, ast.AugAssign)]
    return bool(made) and all(
        isinstance(node, (ast.Assign, ast.AnnAssign))
        and isinstance(node.value, ast.List)
        and all(isinstance(target, ast.Name) for target in _targets(node))
        for node in made
    )


def _targets(node: ast.Assign | ast.AnnAssign) -> list[ast.expr]:
    return node.targets if isinstance(node, ast.Assign) else [node.target]
