"""``self.log_dict(...)`` for the dicts that a hook returned under ``log``."""

from __future__ import annotations

import ast

from lintmetrics.codemod import Blocked, Codemod, Fix, Relation
from lintmetrics.config import Settings
from lintmetrics.edits import Editor, FunctionNode, block_of
from lintmetrics.model.epoch_hooks import STAGE_OF_HOOK, TRAINING, family, loads
from lintmetrics.model.returned_logs import KEYS, ReturnedLog
from lintmetrics.model.step_outputs import assignments
from lintmetrics.project import Module
from lintmetrics.rule import Finding
from lintmetrics.tree import own_nodes, subtree


class LoggedDict(Codemod):
    """The numbers of a returned dict, logged where they were returned."""

    codes = ("LM208",)

    def plan(self, finding: Finding, settings: Settings) -> Fix | Blocked:
        """Plan one call for each dict, and take its key out of the return."""
        returned = finding.subject
        assert isinstance(returned, ReturnedLog)
        module, statement = returned.module, returned.statement
        path = module.source.path
        if returned.read_at is not None:
            return Blocked(
                f"the result of {returned.function.name} is read at {returned.read_at}, so whether "
                "these numbers belong to this stage cannot be told"
            )
        read = _read_elsewhere(returned)
        if read is not None:
            return Blocked(f"{read} reads the key, so it cannot leave the returned dict unseen")
        display = _display(module, statement)
        if isinstance(display, ast.Call) and len(display.args) == 1 and not display.keywords:
            (display,) = display.args  # OrderedDict({...})
        if not isinstance(display, ast.Dict):
            return Blocked(
                f"the dict is built apart from the return at {path}:{statement.lineno}; log what "
                "it holds by hand"
            )
        source = module.source
        if "#" in source.segment(display) or any(key is None for key in display.keys):
            return Blocked(f"the dict at {path}:{display.lineno} is not a plain display of keys")
        known = _logged_keys(returned.function)
        shown: dict[str, bool] = {}
        keys: dict[str, set[str] | None] = {}
        for key, given in returned.values:
            value = _named(returned.function, given)
            if not isinstance(value, (ast.Name, ast.Dict)) or (
                isinstance(value, ast.Dict)
                and not all(isinstance(item, (ast.Name, ast.Constant)) for item in value.values)
            ):
                return Blocked(
                    f'what "{key}" holds at {path}:{value.lineno} is worked out there; give it a '
                    "name and log it"
                )
            text = source.segment(value)
            if isinstance(value, ast.Name) and _is_logged(returned, value.id):
                return Blocked(
                    f"`{text}` is given to a log call already; take it out of the return at "
                    f"{path}:{statement.lineno} if that is all there is to log"
                )
            shown[text] = shown.get(text, False) or key == "progress_bar"
            keys[text] = _keys_of(returned.function, value)
            for name in sorted(keys[text] or ()):
                if name in known:
                    return Blocked(f'"{name}" is logged at line {known[name]} as well')
        if len(shown) > 1:
            sets = list(keys.values())
            if any(found is None for found in sets) or len(
                set.union(*(found or set() for found in sets))
            ) < sum(len(found or ()) for found in sets):
                return Blocked(
                    "the two dicts may share a key, which Lightning refuses to log twice with "
                    "other arguments"
                )
        lines = [
            f"self.log_dict({text}{', prog_bar=True' if in_bar else ''})"
            for text, in_bar in shown.items()
        ]
        editor = Editor()
        taken = len(returned.values) == len(display.keys)
        if taken and returned.function.name in STAGE_OF_HOOK and isinstance(statement, ast.Return):
            # An epoch end that returned nothing else ends with the call.
            ends = statement is returned.function.body[-1]
            editor.insert_before(module, statement, lines)
            if ends:
                editor.remove(module, statement)
            else:
                editor.replace(module, statement, "return")
        else:
            editor.insert_before(module, statement, lines)
            _take_out(editor, module, display)
        return Fix(
            Relation.ASSUMES,
            f"{' and '.join(lines)}; assumes that the dict holds single numbers and that no other "
            "call logs the same keys",
            editor.edits,
        )


def _display(module: Module, statement: ast.Return) -> ast.expr | None:
    """Return what a statement returns, or what its name was given shortly before.

    Nothing may happen to that name in between but being kept in a list or logged.
    """
    name = statement.value
    if not isinstance(name, ast.Name):
        return name
    block = block_of(module, statement)
    for before in reversed(block[: block.index(statement)]):
        if isinstance(before, ast.Assign) and len(before.targets) == 1:
            target = before.targets[0]
            if isinstance(target, ast.Name) and target.id == name.id:
                return before.value
        call = before.value if isinstance(before, ast.Expr) else None
        if not (
            isinstance(call, ast.Call)
            and isinstance(call.func, ast.Attribute)
            and call.func.attr in ("append", "log")
        ):
            return None
    return None


def _take_out(editor: Editor, module: Module, display: ast.Dict) -> None:
    """Rewrite a dict without the keys that are logged now."""
    source = module.source
    parts = [
        source.text[source.start(key) : source.end(value)]
        for key, value in zip(display.keys, display.values, strict=True)
        if key is not None and not (isinstance(key, ast.Constant) and key.value in KEYS)
    ]
    start, end = source.start(display), source.end(display)
    if "\n" not in source.text[start:end] or not parts:
        editor.replace_range(module, start, end, f"{{{', '.join(parts)}}}")
        return
    first = display.keys[0]
    assert first is not None
    indent, closing = source.indent_of(source.start(first)), source.indent_of(end - 1)
    body = "".join(f"{indent}{part},{source.newline}" for part in parts)
    editor.replace_range(module, start, end, f"{{{source.newline}{body}{closing}}}")


def _named(function: FunctionNode, value: ast.expr) -> ast.expr:
    """Return the first name of an alias such as ``bar = logs``."""
    for _ in range(4):
        if not isinstance(value, ast.Name):
            break
        found = assignments(function, value.id)
        if len(found) != 1 or not isinstance(found[0], ast.Name):
            break
        value = found[0]
    return value


def _keys_of(function: FunctionNode, value: ast.expr) -> set[str] | None:
    """Return the keys of a dict, ``None`` when they cannot all be told."""
    if isinstance(value, ast.Name):
        found = assignments(function, value.id)
        if len(found) != 1 or not isinstance(found[0], ast.Dict):
            return None
        keys = _keys_of(function, found[0])
        for node in own_nodes(function):
            if isinstance(node, ast.Assign) and keys is not None:
                for target in node.targets:
                    if (
                        isinstance(target, ast.Subscript)
                        and isinstance(target.value, ast.Name)
                        and target.value.id == value.id
                    ):
                        if not isinstance(target.slice, ast.Constant):
                            return None
                        keys.add(str(target.slice.value))
        return keys
    if not isinstance(value, ast.Dict):
        return None
    if not all(isinstance(key, ast.Constant) for key in value.keys):
        return None
    return {str(key.value) for key in value.keys if isinstance(key, ast.Constant)}


def _logged_keys(function: FunctionNode) -> dict[str, int]:
    return {
        str(node.args[0].value): node.lineno
        for node in own_nodes(function)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "log"
        and node.args
        and isinstance(node.args[0], ast.Constant)
    }


def _read_elsewhere(returned: ReturnedLog) -> str | None:
    """Return where what handles the outputs of training reads one of the keys."""
    if returned.function.name != TRAINING.step:
        return None  # Nobody but an explicit caller gets what the other hooks return.
    keys = {key for key, _ in returned.values}
    for cls in family(returned.cls):
        for name, method in cls.methods.items():
            if any(other in name for other in ("val", "test", "predict")):
                continue
            for node in subtree(method):
                if (
                    isinstance(node, ast.Subscript)
                    and isinstance(node.ctx, ast.Load)
                    and isinstance(node.slice, ast.Constant)
                    and node.slice.value in keys
                ):
                    return f"{cls.module.source.path}:{node.lineno}"
    return None


def _is_logged(returned: ReturnedLog, name: str) -> bool:
    for load in loads(returned.function, name):
        parent = returned.module.parent(load)
        if (
            isinstance(parent, ast.Call)
            and isinstance(parent.func, ast.Attribute)
            and parent.func.attr in ("log_dict", "log", "log_metrics")
        ):
            return True
    return False
