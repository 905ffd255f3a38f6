"""Makes a plain container of Metric objects one of ``torch.nn``, which registers them."""

from __future__ import annotations

import ast

from lintmetrics.codemod import Blocked, Codemod, Fix, Relation
from lintmetrics.config import Settings
from lintmetrics.edits import CannotEdit, Editor
from lintmetrics.model import attribute_names
from lintmetrics.model.plain_containers import PlainContainer
from lintmetrics.model.values import Elements, Map, Seq
from lintmetrics.project import Module
from lintmetrics.rule import Finding

_SUFFIX = "_metrics"


class ModuleContainer(Codemod):
    """``nn.ModuleDict`` or ``nn.ModuleList`` in place of a dict, list or tuple."""

    codes = ("LM108",)

    def plan(self, finding: Finding, settings: Settings) -> Fix | Blocked:
        """Plan the container, and other keys where it refuses those there are."""
        held = finding.detail
        assert isinstance(held, PlainContainer)
        wanted = held.wanted
        if held.others:
            return Blocked(
                f"self.{held.attribute} holds more than Metric objects; keep them apart in a "
                f"torch.nn.{wanted}"
            )
        if _is_nested(held):
            return Blocked(
                f"self.{held.attribute} holds containers; make each of them one of torch.nn"
            )
        odd = held.odd_use
        if odd is not None:
            return Blocked(
                f"torch.nn.{wanted} cannot do what line {getattr(odd, 'lineno', 0)} asks of "
                f"self.{held.attribute}"
            )
        editor = Editor()
        module = held.module
        name = editor.add_import(module, "torch.nn", wanted)
        assumes = ""
        if wanted == "ModuleDict":
            if held.keys is None and not _is_empty(held.value):
                assumes = "that no key holds a dot or is a method of ModuleDict, such as train"
                if not _has_text_keys(held.value):
                    return Blocked(f"the keys of self.{held.attribute} are no strings for sure")
            elif held.keys is None:
                return Blocked(f"not all keys of self.{held.attribute} are known")
        refused = held.refused_keys
        text = f"{wanted} moves the objects in self.{held.attribute} with the module and finds them"
        if refused:
            _rename_keys(editor, held, refused)
            editor.claim(module, held.cls.node, module.source.start(held.value))
            text += f"; keys end in {_SUFFIX}, as ModuleDict refuses {refused[0]!r}"
        start = module.source.start(held.value)
        end = module.source.end(held.value)
        editor.replace_range(module, start, start, f"{name}(")
        editor.replace_range(module, end, end, ")")
        if assumes:
            return Fix(Relation.ASSUMES, f"{text}; assumes {assumes}", editor.edits)
        return Fix(Relation.PRESERVES, text, editor.edits)


def _is_nested(held: PlainContainer) -> bool:
    contents = held.contents
    if isinstance(contents, Map):
        return any(isinstance(item, (Map, Seq, Elements)) for _, item in contents.items)
    if isinstance(contents, Seq):
        return any(isinstance(item, (Map, Seq, Elements)) for item in contents.items)
    return isinstance(contents, Elements) and isinstance(contents.of, (Map, Seq, Elements))


def _is_empty(value: ast.expr) -> bool:
    return isinstance(value, ast.Dict) and not value.keys


def _has_text_keys(value: ast.expr) -> bool:
    if isinstance(value, ast.DictComp):
        return isinstance(value.key, (ast.JoinedStr, ast.Name))
    return isinstance(value, ast.Dict) and all(
        isinstance(key, ast.JoinedStr)
        or (isinstance(key, ast.Constant) and isinstance(key.value, str))
        for key in value.keys
    )


def _rename_keys(editor: Editor, held: PlainContainer, refused: list[str]) -> None:
    """Give all keys an ending where the container refuses some of them."""
    where = f"ModuleDict refuses the key {refused[0]!r} of self.{held.attribute}"
    for key in held.keys or ():
        if not attribute_names.is_module_dict_key(f"{key}{_SUFFIX}"):
            raise CannotEdit(f"ModuleDict refuses the key {key!r} of self.{held.attribute}")
    value = held.value
    if isinstance(value, ast.Dict):
        for key_node in value.keys:
            if key_node is None:
                raise CannotEdit(where)
            _suffix(editor, held.module, key_node)
    elif isinstance(value, ast.DictComp):
        _suffix(editor, held.module, value.key)
    for module, node in held.mentions:
        above = module.parent(node)
        if isinstance(above, ast.Subscript) and above.value is node:
            _suffix(editor, module, above.slice)
        elif not (isinstance(above, ast.Attribute) and above.attr == "values"):
            raise CannotEdit(f"{where}, and line {node.lineno} reads its keys")


def _suffix(editor: Editor, module: Module, node: ast.expr) -> None:
    """Let an expression of a key end in the suffix."""
    text = module.source.segment(node)
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and text[:1] in "'\"":
        quote = text[:3] if text[:3] in ('"""', "'''") else text[:1]
        editor.replace(module, node, f"{text[: -len(quote)]}{_SUFFIX}{quote}")
    elif isinstance(node, (ast.Name, ast.Attribute)):
        inside = any(isinstance(above, ast.JoinedStr) for above in module.ancestors(node))
        if inside:
            raise CannotEdit(f"a key is used inside a string at line {node.lineno}")
        editor.replace(module, node, f'f"{{{text}}}{_SUFFIX}"')
    else:
        raise CannotEdit(f"the key at line {node.lineno} is worked out there")
