"""Gives a hook the parameters that Lightning calls it with."""

from __future__ import annotations

import ast

from lintmetrics.codemod import Blocked, Codemod, Fix, Relation
from lintmetrics.config import Settings
from lintmetrics.edits import CannotEdit, Editor, default_of
from lintmetrics.facts import Hook
from lintmetrics.model.epoch_hooks import loads, rebinds
from lintmetrics.model.hook_families import HookFamily, add_parameters, drop_parameters
from lintmetrics.model.hook_signatures import Misfit, is_handed_on, positional
from lintmetrics.model.own_hooks import mentions
from lintmetrics.project import ClassInfo
from lintmetrics.rule import Finding

_INDEX = "dataloader_idx"


class CurrentHookSignature(Codemod):
    """Parameters of today, where no body misses those that go."""

    codes = ("LM211",)

    def plan(self, finding: Finding, settings: Settings) -> Fix | Blocked:
        """Plan one hook, with those that override it where a parameter goes."""
        misfit = finding.subject
        assert isinstance(misfit, Misfit)
        row = misfit.row
        editor = Editor()
        if misfit.problem == "index":
            return Fix(Relation.PRESERVES, self._default(editor, misfit), editor.edits)
        if row is None or misfit.problem == "unfilled":
            return Blocked(finding.help if row is None else row.note)
        if misfit.problem == "named":
            message = self._default(editor, misfit)
        elif misfit.problem == "several":
            add_parameters(editor, misfit.module, misfit.function, [f"{_INDEX}=0"])
            message = f"{misfit.name} takes {_INDEX}, which Lightning passes"
        elif misfit.problem == "lacks":
            message = self._add(editor, misfit, row)
        else:
            message = self._drop(editor, misfit, row)
        return Fix(Relation.PRESERVES, message, editor.edits)

    @staticmethod
    def _default(editor: Editor, misfit: Misfit) -> str:
        function, module, name = misfit.function, misfit.module, misfit.parameter
        ordered = [*function.args.posonlyargs, *function.args.args]
        index = next(i for i, a in enumerate(ordered) if a.arg == name)
        if any(default_of(function, a.arg) is None for a in ordered[index + 1 :]):
            raise CannotEdit(f"parameters without default stand behind `{name}`")
        argument = ordered[index]
        end = module.source.end(argument)
        equals = " = 0" if argument.annotation is not None else "=0"
        editor.replace_range(module, end, end, equals)
        if misfit.owner == "module" and name != _INDEX:
            # Lightning asks modules, and not callbacks, for the parameter by its name.
            if rebinds(function, name) or _INDEX in module.scope_of(function):
                raise CannotEdit(f"{misfit.spelled} sets `{name}`; call it {_INDEX}")
            for reference in mentions(module.project, misfit.name).references:
                call = reference.call
                if call is not None and any(keyword.arg == name for keyword in call.keywords):
                    where = f"{reference.module.source.path}:{call.lineno}"
                    raise CannotEdit(f"{where} gives `{name}` by its name; call it {_INDEX}")
            start = module.source.start(argument)
            editor.replace_range(module, start, start + len(name), _INDEX)
            for load in loads(function, name):
                editor.replace(module, load, _INDEX)
        return f"{misfit.name} takes {_INDEX} where Lightning passes it, and 0 where not"

    @staticmethod
    def _add(editor: Editor, misfit: Misfit, row: Hook) -> str:
        if not row.template:
            raise CannotEdit(f"write {misfit.written}")
        added = row.template.partition("=")[0]
        add_parameters(editor, misfit.module, misfit.function, [row.template])
        family = HookFamily.of(misfit.cls, misfit.name)
        for reference in (*family.passes, *family.last):
            call = reference.call
            if reference.function is not misfit.function or call is None:
                continue
            if any(isinstance(argument, ast.Starred) for argument in call.args) or any(
                keyword.arg in (None, added) for keyword in call.keywords
            ):
                raise CannotEdit(f"what line {call.lineno} hands on cannot be counted")
            source = misfit.module.source
            end = source.end(call) - 1
            every = [*call.args, *(keyword.value for keyword in call.keywords)]
            comma = (
                ", " if every and source.text[source.end(every[-1]) : end].strip() != "," else ""
            )
            given = f"{added}={added}" if call.keywords else added
            editor.replace_range(misfit.module, end, end, f"{comma}{given}")
        return f"{misfit.name} takes `{added}`, which Lightning passes"

    def _drop(self, editor: Editor, misfit: Misfit, row: Hook) -> str:
        family = HookFamily.of(misfit.cls, misfit.name)
        gone: dict[ClassInfo, list[str]] = {}
        for member in family.members:
            names = _going(misfit.owner, member, row)
            if names:
                gone[member] = names
        if misfit.cls not in gone:
            raise CannotEdit(f"write {misfit.written}")
        if row.template and self._is_read(misfit, gone[misfit.cls]):
            return self._keep(editor, misfit, row)
        try:
            drop_parameters(editor, family, gone)
        except CannotEdit as error:
            raise CannotEdit(f"{error}; {row.note}") from error
        spelled = " and ".join(f"`{name}`" for name in gone[misfit.cls])
        return f"{misfit.name} loses {spelled}, which nothing reads"

    @staticmethod
    def _is_read(misfit: Misfit, names: list[str]) -> bool:
        function = misfit.function
        return any(
            not is_handed_on(function, load) for name in names for load in loads(function, name)
        )

    @staticmethod
    def _keep(editor: Editor, misfit: Misfit, row: Hook) -> str:
        """Give a parameter that is read the value that it always had."""
        function, module = misfit.function, misfit.module
        last = [*function.args.posonlyargs, *function.args.args][-1]
        if last.arg != misfit.parameter or any(
            is_handed_on(function, load) for load in loads(function, last.arg)
        ):
            raise CannotEdit(row.note)
        end = module.source.end(last)
        default = row.template.partition("=")[2]
        editor.replace_range(
            module, end, end, f" = {default}" if last.annotation is not None else f"={default}"
        )
        return f"`{last.arg}` is {default}, as it always was: {row.note}"


def _going(owner: str, cls: ClassInfo, row: Hook) -> list[str]:
    """Return the parameters of a hook that a change took away, by name or else by place."""
    function = cls.methods[row.name]
    new = {p.name for _, parameters in row.successors for p in parameters}
    old = [p.name for p in row.parameters]
    own = [a.arg for a in positional(owner, function)]
    found: list[str] = []
    for index, name in enumerate(own):
        if name in new:
            continue
        meant = name if name in old else old[index] if index < len(old) else ""
        if meant not in old:
            raise CannotEdit(f"what `{name}` of {cls.node.name}.{row.name} is for cannot be told")
        if meant not in new:
            found.append(name)
    only = [a.arg for a in function.args.kwonlyargs]
    return [*found, *(name for name in only if name in old and name not in new)]
