"""Gives a Trainer the router that delivers what modules put."""

from __future__ import annotations

import ast

from lintmetrics.codemod import Blocked, Codemod, Fix, Relation
from lintmetrics.config import Settings
from lintmetrics.edits import Editor
from lintmetrics.model import put_style
from lintmetrics.model.tensors import bindings
from lintmetrics.project import CallSite, Module
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


def _is_list(module: Module, name: ast.Name) -> bool:
    """Tell whether a name is bound once, to a list that is written out."""
    function = module.enclosing_function(name)
    if function is not None and name.id in module.scope_of(function):
        bound = bindings(module, name.id, function)
    else:
        bound = [
            node
            for node in module.tree.body
            if isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign))
            and any(isinstance(t, ast.Name) and t.id == name.id for t in _targets(node))
        ]
    made = bound[0] if len(bound) == 1 else None
    return isinstance(made, (ast.Assign, ast.AnnAssign)) and isinstance(made.value, ast.List)


def _targets(node: ast.Assign | ast.AnnAssign | ast.AugAssign) -> list[ast.expr]:
    return node.targets if isinstance(node, ast.Assign) else [node.target]
