"""Logs what a best or a running value computes, and forgets the sanity check."""

from __future__ import annotations

import ast

from lintmetrics.codemod import Blocked, Codemod, Fix, Relation
from lintmetrics.config import Settings
from lintmetrics.edits import CannotEdit, Editor
from lintmetrics.model import hooks
from lintmetrics.model.before_training import write_on_train_start
from lintmetrics.model.held_metrics import HeldMetric
from lintmetrics.model.log_calls import LogCall
from lintmetrics.rule import Finding


class ComputedBestValue(Codemod):
    """``.compute()`` of the object in place of the object."""

    codes = ("LM110", "LM120")

    def plan(self, finding: Finding, settings: Settings) -> Fix | Blocked:
        """Plan the value, and the reset before the first epoch."""
        call, held = finding.subject, finding.detail
        assert isinstance(call, LogCall)
        assert isinstance(held, HeldMetric)
        value = call.value_node
        if value is None or not isinstance(value, (ast.Attribute, ast.Name, ast.Subscript)):
            return Blocked(f"self.{held.path} is not written in the log call at {call.node.lineno}")
        if call.argument("metric_attribute") is not None:
            return Blocked("metric_attribute= says that an object is logged; take it out")
        editor = Editor()
        module = call.module
        editor.replace(module, value, f"{module.source.segment(value)}.compute()")
        before = any(
            reset.where in ("on_train_start", "on_fit_start", "on_sanity_check_end")
            for reset in held.resets
        )
        if not before and any(hooks.stage_of(way.hook) == "val" for _, way in held.logs):
            # The sanity check runs a validation epoch before training.
            owner = module.enclosing_class(call.node)
            if owner is None or not owner.is_lightning:
                return Blocked("the value is logged in no LightningModule")
            line = f"self.{held.path}.reset()"
            try:
                write_on_train_start(editor, owner, [line])
            except CannotEdit as error:
                return Blocked(f"{error}; reset self.{held.path} there")
        return Fix(
            Relation.CORRECTS,
            f"log what self.{held.path} computes, which goes on from epoch to epoch",
            editor.edits,
        )
