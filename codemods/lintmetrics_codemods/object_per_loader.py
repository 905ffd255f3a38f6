"""Gives each dataloader a Metric object of its own, in a list that is indexed by its number."""

from __future__ import annotations

import ast

from lintmetrics.codemod import Blocked, Codemod, Fix, Relation
from lintmetrics.config import Settings
from lintmetrics.edits import Editor, indent_unit
from lintmetrics.model.creation import assignment
from lintmetrics.model.epoch_hooks import family
from lintmetrics.model.held_metrics import HeldMetric
from lintmetrics.model.loaders_of_steps import ToldStep
from lintmetrics.rule import Finding


class ObjectPerLoader(Codemod):
    """A list of objects, one for each dataloader."""

    codes = ("LM106",)

    def plan(self, finding: Finding, settings: Settings) -> Fix | Blocked:
        """Plan the list, and the index at each place that uses the object."""
        held, told = finding.detail
        assert isinstance(held, HeldMetric)
        assert isinstance(told, ToldStep)
        made = held.metric.constructor
        owner = held.metric.module.enclosing_class(made) if made is not None else None
        statement = owner.module.parent(made) if owner is not None and made is not None else None
        plain = (
            isinstance(statement, ast.Assign)
            and len(statement.targets) == 1
            and isinstance(statement.targets[0], ast.Attribute)
            and held.path == held.attribute
        )
        if owner is None or made is None or not plain or owner not in family(held.cls):
            return Blocked(f"self.{held.path} is made in no attribute of its own")
        if not told.count:
            return Blocked(
                f"how many dataloaders {told.step} has is not written in this class; make a "
                f"torch.nn.ModuleList of so many objects and use self.{held.path}"
                f"[{told.parameter}]"
            )
        editor = Editor()
        for module, node in held.mentions:
            if module.enclosing_function(node) is not told.function:
                return Blocked(
                    f"self.{held.path} is also used at line {node.lineno}, where the dataloader "
                    "is not known"
                )
            above = module.parent(node)
            if isinstance(above, ast.Attribute) and above.attr == "reset":
                return Blocked(f"self.{held.path} is reset at line {node.lineno}, in the step")
            text = module.source.segment(node)
            editor.replace(module, node, f"{text}[{told.parameter}]")
        module = owner.module
        container = editor.add_import(module, "torch.nn", "ModuleList")
        source = module.source
        whole = f"{container}([{source.segment(made)} for _ in range({told.count})])"
        assert statement is not None
        if "\n" in whole or "\r" in whole:
            editor.replace(module, made, whole)
        else:
            indent = source.indent_of(source.start(statement))
            unit = indent_unit(module)
            lines = [line.replace("    ", unit) for line in assignment(held.attribute, whole)]
            editor.replace(module, statement, f"{source.newline}{indent}".join(lines))
        return Fix(
            Relation.CORRECTS,
            f"one object for each of {told.count} dataloaders: each key becomes the value of its "
            "own",
            editor.edits,
        )
